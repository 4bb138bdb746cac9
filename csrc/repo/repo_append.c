/* Appending entries: the loop around "take the next number". */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "repo/repo_private.h"

enum { MAX_TRIES = 1000, CHECKPOINT_INTERVAL = 256 };

/* One try's entry, encoded for the number after the newest. */
static int encode_next(lrb_repo *repo, lrb_draft *draft, lrb_repo_precommit precommit, void *arg, const uint8_t *nonce, lrb_buf *bytes,
                       uint64_t *number, lrb_err *err) {
    pthread_rwlock_rdlock(&repo->state_lock);
    const lrb_state *state = &repo->state;
    int code = precommit ? precommit(arg, state, draft, err) : LRB_OK;
    lrb_entry entry = {.kind = draft->kind, .number = state->last_number + 1, .epoch = state->epoch, .previous = state->last_digest,
                       .packs = (lrb_pack_ref *)draft->packs, .pack_count = draft->pack_count, .payload = draft->payload,
                       .payload_length = draft->payload_length};
    pthread_rwlock_unlock(&repo->state_lock);
    if (code) return code;
    entry.time_ns = draft->time_ns ? draft->time_ns : lrb_clock_wall_ns();
    memcpy(entry.repository_id, repo->vault.repository_id, LRB_REPO_ID_BYTES);
    memcpy(entry.nonce, nonce, LRB_NONCE_BYTES);
    memcpy(entry.graph_id, repo->graph_id, sizeof repo->graph_id);
    *number = entry.number;
    lrb_buf_empty(bytes);
    return lrb_entry_encode(&entry, &repo->vault, bytes, err);
}

/* Nothing is linked behind an entry that is not durable: of two new names in log/ a power cut may keep the later one alone, and a
 * hole would damage the log. What this handle saw synced needs no second sync. */
static int make_durable_before(lrb_repo *repo, uint64_t number, lrb_err *err) {
    if (repo->durable_entries >= number) return LRB_OK;
    int code = lrb_fs_sync(repo->log_dir, "log", err);
    if (!code) repo->durable_entries = number;
    return code;
}

int lrb_repo_check_place(const lrb_repo *repo, lrb_err *err) {
    char log[LRB_PATH_MAX];
    lrb_identity opened, found;
    int code = lrb_path_join(log, repo->path, "log", err);
    if (!code) code = lrb_fs_identify(repo->log_dir, &opened, err);
    if (code) return code;
    code = lrb_fs_identify_at(AT_FDCWD, log, &found, err);
    if (code && code != LRB_E_NOT_FOUND) return code;
    if (!code && opened.device == found.device && opened.inode == found.inode) return LRB_OK;
    return lrb_err_set(err, LRB_E_IO, "append", repo->path, "%s meanwhile, and nothing was entered: see that the storage is in its place, and try again",
                       code ? "this directory was moved away, unmounted or removed" : "another directory was put in this place");
}

int lrb_repo_append(lrb_repo *repo, const lrb_draft *original, lrb_repo_precommit precommit, void *arg, uint64_t *number, lrb_err *err) {
    uint8_t nonce[LRB_NONCE_BYTES];
    int code = lrb_repo_check_writable(repo, err);
    if (!code) code = lrb_random_bytes(nonce, sizeof nonce, err);
    if (code) return code;
    lrb_buf bytes;
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    lrb_draft draft = *original;
    bool created = false;
    const lrb_log_expect mine = {repo->graph_id, repo->vault.repository_id, NULL, &repo->vault};
    pthread_mutex_lock(&repo->append_lock);
    for (int tries = 0; tries < MAX_TRIES; tries++) {
        if ((code = lrb_repo_refresh(repo, err)) || (code = encode_next(repo, &draft, precommit, arg, nonce, &bytes, number, err)) ||
            (code = make_durable_before(repo, *number, err)) || (code = lrb_repo_check_place(repo, err)))
            break;
        code = lrb_log_create(repo->log_dir, repo->tmp_dir, *number, nonce, bytes.data, bytes.length, &created, err);
        if (code && !created && lrb_log_is_mine(repo->log_dir, *number, &mine, nonce)) { /* the link was made although its answer was lost, or came twice */
            created = true;
            code = lrb_fs_sync(repo->log_dir, "log", err);
        }
        if (code != LRB_E_EXISTS || created) break;
        lrb_err_clear(err); /* somebody took the number: look at what came between and try the next */
    }
    if (code == LRB_E_EXISTS && !created)
        code = lrb_err_set(err, LRB_E_BUSY, "append", "log", "%d other entries came first; try again", MAX_TRIES);
    if (created) { /* visible, whatever the fsync behind it said: this process must see it too */
        /* To callers a full disk means that nothing was entered; they would take back what the entry names. */
        if (code == LRB_E_NO_SPACE) code = err->code = LRB_E_IO;
        lrb_err refresh_err;
        int refreshed = lrb_repo_refresh(repo, &refresh_err);
        if (!code && refreshed) {
            *err = refresh_err;
            code = refreshed;
        }
        if (!code) {
            repo->durable_entries = *number + 1;
            pthread_rwlock_rdlock(&repo->state_lock);
            /* A later entry may be there already, and not be durable: its writer remembers it. */
            if (repo->state.last_number == *number) lrb_repo_remember_head(repo);
            pthread_rwlock_unlock(&repo->state_lock);
        }
    }
    pthread_mutex_unlock(&repo->append_lock);
    lrb_buf_clear(&bytes);
    return code;
}

static bool checkpoint_due(const lrb_state *state) {
    uint64_t since = state->last_number - state->last_checkpoint;
    return since >= CHECKPOINT_INTERVAL && since >= state->snapshot_count / 2;
}

static int write_checkpoint(void *arg, const lrb_state *state, lrb_draft *draft, lrb_err *err) {
    lrb_buf *payload = arg;
    if (!checkpoint_due(state)) return lrb_err_set(err, LRB_E_EXISTS, "checkpoint", "log", "another process wrote a checkpoint");
    lrb_buf_empty(payload);
    int code = lrb_state_checkpoint(state, payload, err);
    draft->payload = payload->data;
    draft->payload_length = payload->length;
    return code;
}

int lrb_repo_maybe_checkpoint(lrb_repo *repo, lrb_err *err) {
    bool due = checkpoint_due(lrb_repo_begin_read(repo));
    lrb_repo_end_read(repo);
    if (!due) return LRB_OK;
    lrb_buf payload;
    lrb_buf_init(&payload, LRB_ENTRY_MAX_BYTES);
    lrb_draft draft = {.kind = LRB_ENTRY_CHECKPOINT};
    uint64_t number;
    int code = lrb_repo_append(repo, &draft, write_checkpoint, &payload, &number, err);
    lrb_buf_clear(&payload);
    if (code != LRB_E_EXISTS) return code;
    lrb_err_clear(err);
    return LRB_OK;
}
