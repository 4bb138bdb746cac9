#include "repo/replica.h"

#include <stdlib.h>

#include "base/fs.h"
#include "base/mem.h"
#include "repo/log.h"
#include "repo/repo.h"
#include "repo/state_table.h"
#include "repo/storage.h"

int lrb_replica_look(int root_dir, bool *is_replica, lrb_err *err) {
    lrb_identity identity;
    int code = lrb_fs_identify_at(root_dir, "replica", &identity, err);
    *is_replica = !code;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

int lrb_replica_refuse(const char *graph_id, lrb_err *err) {
    return lrb_err_set(err, LRB_E_INVALID, "append", graph_id, "this is a replica: only its sender adds to it, and `replica prune` removes what its "
                       "retention lets go; restore it to another directory to work with it");
}

/* Numbers of the receipts, ascending; none where the directory is not there. */
static int list_receipts(int root_dir, lrb_log_numbers *numbers, lrb_err *err) {
    int replica = -1, receipts = -1;
    *numbers = (lrb_log_numbers){0};
    int code = lrb_storage_subdir(root_dir, "replica", false, &replica, err);
    if (!code) code = lrb_storage_subdir(replica, "receipts", false, &receipts, err);
    if (!code) code = lrb_log_list(receipts, numbers, err);
    lrb_fs_close(receipts);
    lrb_fs_close(replica);
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void drop_unreceipted(const lrb_log_numbers *receipts, lrb_state *state) {
    for (size_t i = 0; i < state->snapshot_count; i++)
        if (!receipts->count || !bsearch(&state->snapshots[i].number, receipts->at, receipts->count, sizeof *receipts->at, compare))
            lrb_table_remove_snapshot(state, &state->snapshots[i]);
    lrb_table_close_gaps(state);
}

static int sweep_absent(int packs_dir, lrb_state *state, lrb_err *err) {
    for (uint32_t i = 0; i < state->pack_count; i++) {
        bool present;
        lrb_state_pack *pack = &state->packs[i];
        int code = lrb_pack_file_present(packs_dir, &pack->id, pack->size_bytes, &present, err);
        if (code) return code;
        if (!present) pack->status = LRB_PACK_SWEPT;
    }
    return LRB_OK;
}

int lrb_replica_narrow(int root_dir, int packs_dir, lrb_state *state, lrb_err *err) {
    lrb_log_numbers receipts;
    int code = list_receipts(root_dir, &receipts, err);
    if (!code) {
        drop_unreceipted(&receipts, state);
        code = sweep_absent(packs_dir, state, err);
    }
    lrb_free(receipts.at);
    return code;
}
