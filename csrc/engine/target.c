#include "engine/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { PAYLOAD_MAX_BYTES = 64 << 10 };

static int copy_one(const lrb_snapshot *snapshot, const lrb_vault *vault, lrb_coder *coder, lrb_buf *payload,
                    lrb_target *target, lrb_err *err) {
    memcpy(target->id, snapshot->id, sizeof target->id);
    target->number = snapshot->number;
    target->body_root = snapshot->body_root;
    target->items = snapshot->item_count;
    target->size_bytes = snapshot->size_bytes;
    lrb_buf_empty(payload);
    int code = lrb_snapshot_encode(snapshot, payload, err);
    if (code) return code;
    return lrb_chunk_id(coder, vault, LRB_CHUNK_PAYLOAD, 0, payload->data, payload->length, &target->payload, err);
}

static int copy_all(const lrb_state *state, const lrb_vault *vault, lrb_coder *coder, const char *only,
                    lrb_target *targets, size_t *count, lrb_err *err) {
    lrb_buf payload;
    lrb_buf_init(&payload, PAYLOAD_MAX_BYTES);
    int code = LRB_OK;
    *count = 0;
    for (size_t i = 0; !code && i < state->snapshot_count; i++)
        if (!only || !strcmp(only, state->snapshots[i].id))
            code = copy_one(&state->snapshots[i], vault, coder, &payload, &targets[(*count)++], err);
    lrb_buf_clear(&payload);
    return code;
}

int lrb_target_list(lrb_repo *repo, lrb_coder *coder, const char *only, lrb_target **out, size_t *count, lrb_err *err) {
    const lrb_state *state = lrb_repo_begin_read(repo);
    lrb_target *targets = lrb_alloc_zero(state->snapshot_count, sizeof *targets);
    int code = targets ? copy_all(state, lrb_repo_vault(repo), coder, only, targets, count, err) : lrb_err_nomem(err, "list the snapshots");
    lrb_repo_end_read(repo);
    if (!code && only && !*count)
        code = lrb_err_set(err, LRB_E_NOT_FOUND, "find", only, "there is no snapshot %s", only);
    if (code) lrb_free(targets);
    else *out = targets;
    return code;
}

static int by_id(const void *id, const void *listed) { return strcmp(id, *(const char *const *)listed); }

size_t lrb_target_leave_out(lrb_target *targets, size_t count, const char *const *ids, size_t id_count) {
    size_t left = 0;
    for (size_t i = 0; id_count && i < count; i++)
        if (!bsearch(targets[i].id, ids, id_count, sizeof *ids, by_id)) targets[left++] = targets[i];
    return id_count ? left : count;
}
