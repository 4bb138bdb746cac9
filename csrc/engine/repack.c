#include "engine/repack.h"

#include "base/fs.h"
#include "base/mem.h"
#include "engine/pack_file.h"
#include "engine/pack_list.h"

enum { GROUP_MAX_PACKS = 8 * LRB_PACK_LIST_MAX, WRITTEN_MAX = 16 };

struct lrb_repack {
    lrb_repo *repo;
    const lrb_marks *live;
    lrb_pack_builder builder;
    bool building;                     /* the builder has memory */
    lrb_id old[GROUP_MAX_PACKS];
    size_t old_count;
    lrb_pack_ref written[WRITTEN_MAX]; /* renamed into packs/, not named by any entry */
    uint32_t written_count;
};

int lrb_repack_new(lrb_repo *repo, const lrb_marks *live, lrb_repack **out, lrb_err *err) {
    lrb_repack *repack = lrb_alloc_zero(1, sizeof *repack);
    if (!repack) return lrb_err_nomem(err, "repack");
    repack->repo = repo;
    repack->live = live;
    int code = lrb_pack_builder_init(&repack->builder, lrb_repo_vault(repo), err);
    repack->building = !code;
    if (code) lrb_repack_free(repack);
    else *out = repack;
    return code;
}

/* Their names are this run's own and in no entry, so nobody relies on them. */
static void unlink_written(lrb_repack *repack) {
    char name[2 * LRB_DIGEST_BYTES + 1];
    lrb_err ignored; /* what stays is an orphan for the next prune */
    for (uint32_t i = 0; i < repack->written_count; i++) {
        lrb_hex(repack->written[i].id.bytes, LRB_DIGEST_BYTES, name);
        lrb_fs_unlink(lrb_repo_packs_dir(repack->repo), name, &ignored);
    }
    repack->written_count = 0;
}

void lrb_repack_free(lrb_repack *repack) {
    if (!repack) return;
    unlink_written(repack);
    if (repack->building) lrb_pack_builder_clear(&repack->builder);
    lrb_free(repack);
}

static int write_pack(lrb_repack *repack, lrb_worker *worker, lrb_err *err) {
    lrb_pack_ref *ref = &repack->written[repack->written_count];
    int code = lrb_pack_file_write(repack->repo, &repack->builder, lrb_coder_digest(worker->coder), ref, err);
    if (code) return code;
    repack->written_count++;
    return lrb_pack_builder_reset(&repack->builder, err);
}

/* Checks and copies one chunk in its stored form. */
static int copy_chunk(lrb_repack *repack, lrb_worker *worker, const lrb_pack *pack, uint32_t ordinal, lrb_err *err) {
    lrb_stored chunk;
    int code = lrb_pack_take(pack, ordinal, worker->coder, &chunk, err);
    lrb_buf_empty(&worker->content);
    if (!code) code = lrb_buf_reserve(&worker->content, chunk.content_length, err);
    if (!code) code = lrb_chunk_decode(worker->coder, pack->vault, &chunk, true, worker->content.data, pack->label, err);
    if (code) return code;
    uint32_t ignored;
    if ((code = lrb_pack_builder_add(&repack->builder, &chunk, &ignored, err))) return code;
    return lrb_pack_builder_full(&repack->builder) ? write_pack(repack, worker, err) : LRB_OK;
}

static int copy_pack(lrb_repack *repack, const lrb_job *job, lrb_worker *worker, uint32_t position,
                     const lrb_pack *pack, lrb_err *err) {
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < pack->count; i++) {
        if (!lrb_marks_has(repack->live, (lrb_place){position, i})) continue;
        code = copy_chunk(repack, worker, pack, i, err);
        if (!code) code = lrb_job_check(job, err);
    }
    return code;
}

int lrb_repack_add(lrb_repack *repack, const lrb_job *job, lrb_worker *worker, uint32_t position, const lrb_id *id,
                   bool *copied, lrb_err *err) {
    lrb_pack *pack;
    int code = lrb_repo_pack_acquire(repack->repo, position, &pack, err);
    if (!code) {
        code = copy_pack(repack, job, worker, position, pack, err);
        lrb_repo_pack_release(repack->repo, pack);
    }
    *copied = !code;
    if (!code) repack->old[repack->old_count++] = *id;
    if (code != LRB_E_DAMAGED && code != LRB_E_UNSUPPORTED && code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err); /* the chunks of it that were copied are second copies, and die with the next prune */
    return LRB_OK;
}

bool lrb_repack_full(const lrb_repack *repack) {
    return repack->old_count == GROUP_MAX_PACKS || repack->written_count > 0 ||
           repack->builder.bytes.length >= LRB_PACK_TARGET_BYTES / 2;
}

static int make_durable(lrb_repack *repack, lrb_worker *worker, lrb_err *err) {
    int code = repack->builder.count ? write_pack(repack, worker, err) : LRB_OK;
    return code ? code : lrb_fs_sync(lrb_repo_packs_dir(repack->repo), "packs", err);
}

/* Whether the log, as far as it was read, names what this group wrote. */
static bool is_entered(const lrb_repack *repack) {
    const lrb_state *state = lrb_repo_begin_read(repack->repo);
    bool entered = repack->written_count && lrb_state_find_pack(state, &repack->written[0].id) != LRB_NO_PACK;
    lrb_repo_end_read(repack->repo);
    return entered;
}

int lrb_repack_commit(lrb_repack *repack, lrb_worker *worker, uint64_t *at, lrb_err *err) {
    if (!repack->old_count) return LRB_OK;
    size_t entered = 0;
    int code = make_durable(repack, worker, err);
    if (code) return code;
    code = lrb_pack_list_append(repack->repo, LRB_ENTRY_REPACK, repack->written, repack->written_count, repack->old,
                                repack->old_count, at, &entered, err);
    if (!entered && (code == LRB_E_BUSY || (code == LRB_E_NO_SPACE && !is_entered(repack)))) return code;
    /* The first entry names them; or the answer is unclear and an entry may: then they must stay. Old packs whose entry
     * did not come have every chunk twice, and die with the next prune. */
    repack->written_count = 0;
    repack->old_count = 0;
    return code;
}
