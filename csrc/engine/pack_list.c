#include "engine/pack_list.h"

#include "engine/reserve.h"
#include "repo/field.h"

enum { PAYLOAD_MAX_BYTES = LRB_PACK_LIST_MAX * (6 + LRB_DIGEST_BYTES) };

static int only_behind(void *arg, const lrb_state *state, lrb_draft *draft, lrb_err *err) {
    (void)draft;
    if (state->last_number == *(const uint64_t *)arg) return LRB_OK;
    return lrb_err_set(err, LRB_E_BUSY, "append", "log", "another entry was written meanwhile; try again");
}

static int append_one(lrb_repo *repo, lrb_draft *draft, const lrb_id *ids, size_t count, uint64_t *at, lrb_err *err) {
    lrb_buf payload;
    lrb_buf_init(&payload, PAYLOAD_MAX_BYTES);
    int code = LRB_OK;
    for (size_t i = 0; !code && i < count; i++)
        code = lrb_field_put(&payload, LRB_F_PACK_REF, ids[i].bytes, sizeof ids[i].bytes, err);
    draft->payload = payload.data;
    draft->payload_length = payload.length;
    uint64_t number;
    if (!code) code = lrb_reserve_append(repo, draft, only_behind, at, &number, err);
    if (!code) *at = number;
    lrb_buf_clear(&payload);
    return code;
}

int lrb_pack_list_append(lrb_repo *repo, lrb_entry_kind kind, const lrb_pack_ref *written, uint32_t written_count,
                         const lrb_id *ids, size_t count, uint64_t *at, size_t *entered, lrb_err *err) {
    lrb_draft draft = {.kind = kind, .packs = written, .pack_count = written_count};
    for (*entered = 0; *entered < count;) {
        size_t batch = count - *entered < LRB_PACK_LIST_MAX ? count - *entered : LRB_PACK_LIST_MAX;
        int code = append_one(repo, &draft, ids + *entered, batch, at, err);
        if (code) return code;
        *entered += batch;
        draft.packs = NULL;
        draft.pack_count = 0;
    }
    return LRB_OK;
}
