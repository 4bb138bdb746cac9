/* What replication reads: entries and packs as they are on disk. */
#include "base/fs.h"
#include "base/mem.h"
#include "repo/repo_private.h"

lrb_head lrb_repo_head(lrb_repo *repo) {
    const lrb_state *state = lrb_repo_begin_read(repo);
    lrb_head head = {state->last_number, state->epoch, state->last_digest};
    lrb_repo_end_read(repo);
    return head;
}

int lrb_repo_read_entry(lrb_repo *repo, uint64_t number, lrb_buf *bytes, lrb_id *digest, int64_t *time_ns, lrb_err *err) {
    lrb_log_expect expect = {repo->graph_id, repo->vault.repository_id, NULL, &repo->vault};
    return lrb_log_read_stored(repo->log_dir, number, &expect, bytes, digest, time_ns, err);
}

static bool is_known_since(const lrb_state_pack *pack, uint64_t from) {
    return pack->status == LRB_PACK_KNOWN && pack->since_entry >= from;
}

static int copy_known(const lrb_state *state, uint64_t from, lrb_pack_ref **out, size_t *count, lrb_err *err) {
    size_t found = 0;
    for (uint32_t i = 0; i < state->pack_count; i++) found += is_known_since(&state->packs[i], from);
    lrb_pack_ref *packs = lrb_alloc_zero(found ? found : 1, sizeof *packs);
    if (!packs) return lrb_err_nomem(err, "list packs");
    *out = packs;
    *count = found;
    for (uint32_t i = 0; i < state->pack_count; i++) {
        const lrb_state_pack *pack = &state->packs[i];
        if (is_known_since(pack, from)) *packs++ = (lrb_pack_ref){pack->id, pack->size_bytes};
    }
    return LRB_OK;
}

int lrb_repo_list_known(lrb_repo *repo, uint64_t from, lrb_pack_ref **out, size_t *count, lrb_err *err) {
    int code = copy_known(lrb_repo_begin_read(repo), from, out, count, err);
    lrb_repo_end_read(repo);
    return code;
}

int lrb_repo_open_pack_file(const lrb_repo *repo, const lrb_id *id, int *fd, lrb_err *err) {
    char name[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(id->bytes, LRB_DIGEST_BYTES, name);
    return lrb_fs_open_read(repo->packs_dir, name, fd, err);
}
