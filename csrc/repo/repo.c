#include "repo/repo.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/wire.h"
#include "repo/agreement.h"
#include "repo/keyring.h"
#include "repo/replica.h"
#include "repo/repo_private.h"
#include "repo/storage.h"

enum { HEAD_BYTES = 104, HEAD_SHA256_AT = 72 };
#define REMEDY " from a copy, or move the graph's directory away to begin anew"
#define ACCEPT "; restore log/ from a copy, or remove graphs/%s/cache/head to go on with the log as it is"
static const char HEAD_MAGIC[8] = {'l', 'r', 'b', 'h', 'e', 'a', 'd', '1'};

/* ---- directories ---- */

static int locked(const lrb_repo *repo, const char *message, lrb_err *err) {
    return lrb_err_set(err, LRB_E_LOCKED, "open", repo->graph_id, "%s", message);
}

static int beside_sealed(const lrb_repo *repo, lrb_err *err) {
    return locked(repo, "what is kept under this storage path is sealed, and this graph would not be: name the passphrase or key file", err);
}

/* A new graph is sealed where others are. Looked at before anything is made. */
static int check_neighbours(const lrb_repo *repo, int graphs_dir, lrb_err *err) {
    char log[sizeof repo->graph_id + sizeof "/log"];
    lrb_identity identity;
    bool sealed;
    snprintf(log, sizeof log, "%s/log", repo->graph_id);
    int code = lrb_fs_identify_at(graphs_dir, log, &identity, err);
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    code = lrb_keyring_any(graphs_dir, &sealed, err);
    return !code && sealed ? beside_sealed(repo, err) : code;
}

/* Opens graphs/<graph id><below>: `name` in `parent`. What is there and no directory is a damaged object, named with its path. */
static int open_below(const lrb_repo *repo, int parent, const char *name, const char *below, bool create, int *fd, lrb_err *err) {
    int code = lrb_storage_subdir(parent, name, create, fd, err);
    if (code != LRB_E_INVALID) return code;
    char path[sizeof repo->graph_id + 32];
    lrb_err found = *err;
    snprintf(path, sizeof path, "graphs/%s%s", repo->graph_id, below);
    return lrb_err_set(err, LRB_E_DAMAGED, "open", path, "%.100s: put the directory itself there", found.message);
}

static int open_subdir(lrb_repo *repo, const char *name, bool create, int *fd, lrb_err *err) {
    char below[16];
    snprintf(below, sizeof below, "/%s", name);
    return *fd >= 0 ? LRB_OK : open_below(repo, repo->root_dir, name, below, create, fd, err);
}

/* log/ is made first, then packs/, then entry 0: looked at the other way round, what is missing of them was lost and is not being
 * made just now. */
static int check_stored(lrb_repo *repo, bool create, lrb_err *err) {
    bool entries = false;
    uint64_t highest;
    int packs = open_subdir(repo, "packs", false, &repo->packs_dir, err);
    if (packs && packs != LRB_E_NOT_FOUND) return packs;
    int log = open_subdir(repo, "log", false, &repo->log_dir, err);
    if (log == LRB_E_NOT_FOUND && !packs)
        return lrb_err_set(err, LRB_E_DAMAGED, "open", "log", "log/ is missing while packs/ is not; restore log/" REMEDY);
    if (log && log != LRB_E_NOT_FOUND) return log;
    lrb_err_clear(err);
    if (log || !packs || create) return LRB_OK;
    int code = lrb_log_highest(repo->log_dir, &entries, &highest, err);
    if (!code && entries) code = open_subdir(repo, "packs", false, &repo->packs_dir, err);
    if (code != LRB_E_NOT_FOUND) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "open", "packs", "packs/ is missing while the log has entries; restore packs/" REMEDY);
}

/* tmp/ and cache/ hold nothing that matters: who only reads goes on without them, also where they cannot be made. */
static int open_disposable(lrb_repo *repo, const char *name, bool create, int *fd, lrb_err *err) {
    int code = open_subdir(repo, name, true, fd, err);
    if (!code || create) return code;
    repo->unwritable = *err;
    *fd = -1;
    lrb_err_clear(err);
    return LRB_OK;
}

static int look_whose(lrb_repo *repo, bool create, lrb_err *err) {
    int code = lrb_replica_look(repo->root_dir, &repo->replica, err);
    if (code || !repo->replica) return code;
    repo->state.replica = true;
    lrb_replica_refuse(repo->graph_id, &repo->unwritable);
    return create ? lrb_replica_refuse(repo->graph_id, err) : LRB_OK;
}

static int open_directories(lrb_repo *repo, const char *storage_path, bool create, bool sealed, lrb_err *err) {
    int graphs = -1;
    int code = lrb_storage_open(storage_path, create, &graphs, err);
    if (!code && create && !sealed) code = check_neighbours(repo, graphs, err);
    if (!code) code = open_below(repo, graphs, repo->graph_id, "", create, &repo->root_dir, err);
    lrb_fs_close(graphs);
    if (!code) code = check_stored(repo, create, err);
    if (!code) code = open_subdir(repo, "log", create, &repo->log_dir, err);
    if (!code) code = open_subdir(repo, "packs", create, &repo->packs_dir, err);
    if (!code) code = open_disposable(repo, "tmp", create, &repo->tmp_dir, err);
    if (!code) code = open_disposable(repo, "cache", create, &repo->cache_dir, err);
    if (code == LRB_E_NOT_FOUND)
        return lrb_err_set(err, LRB_E_NOT_FOUND, "open", repo->graph_id, "no repository of this graph was found in %s", storage_path);
    return code ? code : look_whose(repo, create, err);
}

/* ---- the log ---- */

int lrb_repo_missing_entry(uint64_t number, lrb_err *err) {
    char name[21], label[32];
    lrb_log_name(number, name);
    snprintf(label, sizeof label, "log/%s", name);
    return lrb_err_set(err, LRB_E_DAMAGED, "open", label, "the log entry is missing while later ones exist");
}

static int apply_number(lrb_repo *repo, uint64_t number, lrb_err *err) {
    bool first = repo->state.empty;
    lrb_log_expect expect = {repo->graph_id, repo->vault.repository_id, first ? NULL : &repo->state.last_digest, &repo->vault};
    lrb_buf bytes;
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    lrb_entry entry;
    lrb_id digest;
    int code = lrb_log_read(repo->log_dir, number, &expect, &bytes, &entry, &digest, err);
    if (!code) {
        code = lrb_state_apply(&repo->state, &entry, &digest, bytes.length, err);
        lrb_entry_clear(&entry);
    }
    lrb_buf_clear(&bytes);
    return code;
}

int lrb_repo_read_new_entries(lrb_repo *repo, lrb_err *err) {
    int code;
    lrb_state_begin_batch(&repo->state);
    do code = apply_number(repo, repo->state.last_number + 1, err);
    while (!code);
    lrb_state_end_batch(&repo->state);
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return repo->replica ? lrb_replica_narrow(repo->root_dir, repo->packs_dir, &repo->state, err) : LRB_OK;
}

static int note_name(void *arg, const char *name, lrb_err *err) {
    (void)name, (void)err;
    *(bool *)arg = true;
    return LRB_OK;
}

/* Whether a log without entries is that of a graph never made, or lost them. Packs may also be there because another creator was
 * faster: then its first entry is there by now. */
static int look_again(lrb_repo *repo, bool *found, uint64_t *highest, lrb_err *err) {
    bool any = false;
    int code = lrb_fs_list(repo->packs_dir, note_name, &any, "packs", err);
    if (!code && any) code = lrb_log_highest(repo->log_dir, found, highest, err);
    if (code || !any || *found) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "open", "log", "the log is empty while packs/ is not; restore log/" REMEDY);
}

static int agree(const lrb_repo *repo, bool sealed, lrb_err *err) {
    int graphs = -1;
    int code = lrb_fs_open_dir(repo->root_dir, "..", &graphs, err);
    if (!code) code = lrb_agreement_reach(graphs, repo->path, sealed, err);
    lrb_fs_close(graphs);
    return code;
}

/* Entry 0 fixes the repository id. Two creators race for it; the loser reads the winner's. */
static int create_first_entry(lrb_repo *repo, const lrb_key *key, lrb_err *err) {
    lrb_keyring_sight slots = {0};
    int code = key ? LRB_OK : lrb_keyring_look(repo->root_dir, NULL, &slots, err);
    if (!code && slots.any) code = beside_sealed(repo, err);
    if (!code) code = agree(repo, key != NULL, err);
    if (code) return code;
    lrb_entry entry = {.kind = LRB_ENTRY_CHECKPOINT, .time_ns = lrb_clock_wall_ns()};
    snprintf(entry.graph_id, sizeof entry.graph_id, "%s", repo->graph_id);
    lrb_buf payload, bytes;
    lrb_buf_init(&payload, LRB_ENTRY_MAX_BYTES);
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    if (!(code = lrb_random_bytes(entry.repository_id, sizeof entry.repository_id, err)) &&
        !(code = lrb_random_bytes(entry.nonce, sizeof entry.nonce, err)) &&
        !(code = lrb_vault_open(&repo->vault, entry.repository_id, repo->graph_id, key, err)) &&
        !(code = lrb_state_checkpoint(&repo->state, &payload, err))) {
        entry.payload = payload.data;
        entry.payload_length = payload.length;
        bool created;
        if (!(code = lrb_entry_encode(&entry, &repo->vault, &bytes, err)))
            code = lrb_log_create(repo->log_dir, repo->tmp_dir, 0, entry.nonce, bytes.data, bytes.length, &created, err);
    }
    if (code == LRB_E_EXISTS) {
        lrb_err_clear(err);
        code = LRB_OK;
    }
    lrb_buf_clear(&bytes);
    lrb_buf_clear(&payload);
    return code;
}

/* The newest entry that says of itself that it is a checkpoint; a replica's first one, for later ones know what the sender let go. A
 * damaged one is found when it is applied. */
static int find_checkpoint(lrb_repo *repo, uint64_t highest, uint64_t *number, lrb_entry_peek *peek, lrb_err *err) {
    for (*number = repo->replica ? 0 : highest;; (*number)--) {
        int code = lrb_log_peek(repo->log_dir, *number, peek, err);
        if (code == LRB_E_NOT_FOUND) return lrb_repo_missing_entry(*number, err);
        if (code || peek->kind == LRB_ENTRY_CHECKPOINT) return code;
        if (!*number) return lrb_err_set(err, LRB_E_DAMAGED, "open", "log/00000000000000000000", "the first log entry was no checkpoint");
    }
}

/* DAMAGED when the vault's key does not open the entry. */
static int try_vault(const lrb_repo *repo, uint64_t number, lrb_err *err) {
    lrb_log_expect expect = {repo->graph_id, repo->vault.repository_id, NULL, &repo->vault};
    lrb_buf bytes;
    lrb_entry entry;
    lrb_id digest;
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    int code = lrb_log_read(repo->log_dir, number, &expect, &bytes, &entry, &digest, err);
    if (!code) lrb_entry_clear(&entry);
    lrb_buf_clear(&bytes);
    return code;
}

/* Sealed repositories want their key, others want none: what was meant to be sealed never goes unsealed unnoticed. The
 * graph's key slots are a second witness, so that a seal byte that flipped is called damage; an entry that the key opens
 * is a better one, should somebody have put another storage path's slots in their place. */
int lrb_repo_open_vault(lrb_repo *repo, const lrb_entry_peek *peek, uint64_t number, const lrb_key *key, lrb_err *err) {
    lrb_keyring_sight slots;
    char name[21], label[32];
    int code = peek->sealed || key ? lrb_keyring_look(repo->root_dir, key, &slots, err) : LRB_OK;
    if (code) return code;
    lrb_log_name(number, name);
    snprintf(label, sizeof label, "log/%s", name);
    if (peek->sealed && !key && !slots.any)
        return lrb_err_set(err, LRB_E_DAMAGED, "open", label, "the log entry is sealed, but the graph has no key slots: restore keys/ from a copy, or name "
                           "the key file or recovery kit");
    if (peek->sealed && !key) return locked(repo, "the repository of this graph is sealed: name its passphrase or key file", err);
    if (!peek->sealed && key && slots.any) return lrb_err_set(err, LRB_E_DAMAGED, "open", label, "the log entry is not sealed while its repository is");
    if (!peek->sealed && key)
        return locked(repo, "the repository of this graph is not sealed, but a passphrase or key file is named: name none, or keep sealed snapshots under "
                            "another storage path", err);
    code = lrb_vault_open(&repo->vault, peek->repository_id, repo->graph_id, key, err);
    if (code || !key || !slots.another) return code;
    code = try_vault(repo, number, err);
    return code == LRB_E_DAMAGED ? locked(repo, "the repository of this graph is sealed with another key than the one that was named", err) : code;
}

/* Whoever commits first answers for the whole way to the log: another process may have made a part of it and not synced it yet. */
static int make_way_durable(lrb_repo *repo, lrb_err *err) {
    int code = lrb_fs_sync(repo->log_dir, "log", err);
    if (!code) repo->durable_entries = repo->state.last_number + 1;
    return code ? code : lrb_storage_sync(repo->path, err);
}

static int load_whole(lrb_repo *repo, uint64_t highest, const lrb_key *key, lrb_err *err) {
    uint64_t number;
    lrb_entry_peek peek;
    int code = find_checkpoint(repo, highest, &number, &peek, err);
    if (!code) code = lrb_repo_open_vault(repo, &peek, number, key, err);
    if (code) return code;
    lrb_state_begin_batch(&repo->state);
    while (number <= highest && !(code = apply_number(repo, number, err))) number++;
    lrb_state_end_batch(&repo->state);
    if (code == LRB_E_NOT_FOUND) return lrb_repo_missing_entry(number, err);
    return code ? code : lrb_repo_read_new_entries(repo, err);
}

static int load_log(lrb_repo *repo, bool create, const lrb_key *key, lrb_err *err) {
    bool found;
    uint64_t highest = 0;
    int code = lrb_log_highest(repo->log_dir, &found, &highest, err);
    if (!code && !found) code = look_again(repo, &found, &highest, err);
    if (code) return code;
    if (!found && !create)
        return lrb_err_set(err, LRB_E_NOT_FOUND, "open", repo->graph_id, "no snapshot of this graph was ever made");
    if (!found && (code = create_first_entry(repo, key, err))) return code;
    code = load_whole(repo, highest, key, err);
    if (code == LRB_E_DAMAGED || code == LRB_E_FOREIGN || code == LRB_E_UNSUPPORTED) {
        lrb_err reason = *err;
        code = lrb_repo_read_intact(repo, key, &reason, err);
        if (!code && create) code = lrb_repo_check_whole(repo, err);
    }
    return code || !create || repo->state.last_number ? code : make_way_durable(repo, err);
}

/* ---- cache/head: 0 magic[8] | 8 number u64 | 16 zero[24] | 40 digest[32] | 72 SHA-256 of all before[32] ---- */

void lrb_repo_remember_head(lrb_repo *repo) {
    if (repo->alarm[0]) return; /* the alarm stays until the operator removes cache/head */
    uint8_t head[HEAD_BYTES] = {0};
    memcpy(head, HEAD_MAGIC, sizeof HEAD_MAGIC);
    lrb_put_u64(head + 8, repo->state.last_number);
    memcpy(head + 40, repo->state.last_digest.bytes, 32);
    char name[48];
    snprintf(name, sizeof name, "head.%ld.%llx", (long)getpid(), (unsigned long long)lrb_clock_monotonic_ns());
    lrb_err ignored; /* the cache is disposable: not remembering costs an alarm, never data */
    int fd;
    if (lrb_sha256(head, HEAD_SHA256_AT, head + HEAD_SHA256_AT, &ignored)) return;
    if (lrb_fs_create(repo->cache_dir, name, 0640, &fd, &ignored)) return;
    int code = lrb_fs_write(fd, head, sizeof head, name, &ignored);
    lrb_fs_close(fd);
    if (!code) code = lrb_fs_rename(repo->cache_dir, name, repo->cache_dir, "head", &ignored);
    if (code) lrb_fs_unlink(repo->cache_dir, name, &ignored);
}

/* A rotten one is as good as none: it must not raise an alarm that stops prune. */
static bool head_is_whole(const uint8_t *head, size_t count) {
    uint8_t digest[LRB_DIGEST_BYTES];
    lrb_err ignored;
    return count == HEAD_BYTES && !memcmp(head, HEAD_MAGIC, sizeof HEAD_MAGIC) &&
           !lrb_sha256(head, HEAD_SHA256_AT, digest, &ignored) && !memcmp(head + HEAD_SHA256_AT, digest, sizeof digest);
}

/* Whether the log still holds the entry that had been seen: below the newest one it is read for that. What lies below the floor, or
 * cannot be read, is not judged here: opening and verify have their own say about entries that are missing or broken. */
static bool still_there(const lrb_repo *repo, uint64_t number, const uint8_t seen[LRB_DIGEST_BYTES]) {
    if (number == repo->state.last_number) return !memcmp(seen, repo->state.last_digest.bytes, LRB_DIGEST_BYTES);
    lrb_log_expect expect = {repo->graph_id, repo->vault.repository_id, NULL, &repo->vault};
    lrb_entry entry;
    lrb_id digest;
    lrb_err ignored;
    lrb_buf bytes;
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    bool unread = lrb_log_read(repo->log_dir, number, &expect, &bytes, &entry, &digest, &ignored);
    if (!unread) lrb_entry_clear(&entry);
    lrb_buf_clear(&bytes);
    return unread || !memcmp(seen, digest.bytes, sizeof digest.bytes);
}

/* Compares the log with what an earlier process of this host has seen durable. */
static void look_back(lrb_repo *repo) {
    uint8_t *head = NULL;
    size_t count = 0;
    lrb_err ignored;
    if (lrb_fs_read_file(repo->cache_dir, "head", HEAD_BYTES, &head, &count, &ignored)) return;
    if (head_is_whole(head, count)) {
        uint64_t number = lrb_get_u64(head + 8);
        if (number > repo->state.last_number) (void)lrb_repo_read_new_entries(repo, &ignored); /* written since the log was read */
        if (number > repo->state.last_number)
            snprintf(repo->alarm, sizeof repo->alarm, "the log ends at entry %llu, but entry %llu had been written here: entries were lost or rolled back" ACCEPT,
                     (unsigned long long)repo->state.last_number, (unsigned long long)number, repo->graph_id);
        else if (!still_there(repo, number, head + 40))
            snprintf(repo->alarm, sizeof repo->alarm, "log entry %llu is not the one that had been written here: the log was replaced" ACCEPT,
                     (unsigned long long)number, repo->graph_id);
    }
    lrb_free(head);
}

/* ---- the handle ---- */

int lrb_repo_open(const char *storage_path, const char *graph_id, bool create, lrb_repo **out, lrb_err *err) {
    return lrb_repo_open_with(storage_path, graph_id, create, NULL, out, err);
}

int lrb_repo_open_with(const char *storage_path, const char *graph_id, bool create, const lrb_key *key, lrb_repo **out, lrb_err *err) {
    if (!lrb_graph_id_valid(graph_id))
        return lrb_err_set(err, LRB_E_INVALID, "open", graph_id, "a graph id is 1 to 128 letters, digits, '_', '.' or '-', and begins with a letter or digit");
    lrb_repo *repo = lrb_alloc_zero(1, sizeof *repo);
    if (!repo) return lrb_err_nomem(err, "open repository");
    repo->pid = getpid();
    repo->root_dir = repo->log_dir = repo->packs_dir = repo->tmp_dir = repo->cache_dir = -1;
    snprintf(repo->graph_id, sizeof repo->graph_id, "%s", graph_id);
    lrb_state_init(&repo->state);
    lrb_index_init(&repo->index);
    pthread_mutex_init(&repo->append_lock, NULL);
    pthread_rwlock_init(&repo->state_lock, NULL);
    pthread_mutex_init(&repo->pack_lock, NULL);
    char below[160];
    snprintf(below, sizeof below, "graphs/%s", graph_id);
    int code = lrb_path_join(repo->path, storage_path, below, err);
    if (!code) code = open_directories(repo, storage_path, create, key, err);
    if (!code) code = load_log(repo, create, key, err);
    if (code) {
        lrb_repo_close(repo);
        return code;
    }
    if (!repo->damage.code) look_back(repo);
    *out = repo;
    return LRB_OK;
}

void lrb_repo_close(lrb_repo *repo) {
    if (!repo) return;
    lrb_repo_drop_packs(repo);
    lrb_index_clear(&repo->index);
    lrb_state_clear(&repo->state);
    lrb_free(repo->covered);
    lrb_vault_clear(&repo->vault);
    lrb_fs_close(repo->cache_dir);
    lrb_fs_close(repo->tmp_dir);
    lrb_fs_close(repo->packs_dir);
    lrb_fs_close(repo->log_dir);
    lrb_fs_close(repo->root_dir);
    pthread_mutex_destroy(&repo->pack_lock);
    pthread_rwlock_destroy(&repo->state_lock);
    pthread_mutex_destroy(&repo->append_lock);
    lrb_free(repo);
}

pid_t lrb_repo_pid(const lrb_repo *repo) { return repo->pid; }
const char *lrb_repo_path(const lrb_repo *repo) { return repo->path; }
const char *lrb_repo_graph_id(const lrb_repo *repo) { return repo->graph_id; }
const uint8_t *lrb_repo_id(const lrb_repo *repo) { return repo->vault.repository_id; }
const lrb_vault *lrb_repo_vault(const lrb_repo *repo) { return &repo->vault; }
const char *lrb_repo_alarm(const lrb_repo *repo) { return repo->alarm[0] ? repo->alarm : NULL; }
int lrb_repo_root_dir(const lrb_repo *repo) { return repo->root_dir; }
int lrb_repo_packs_dir(const lrb_repo *repo) { return repo->packs_dir; }
int lrb_repo_tmp_dir(const lrb_repo *repo) { return repo->tmp_dir; }
int lrb_repo_log_dir(const lrb_repo *repo) { return repo->log_dir; }
int lrb_repo_cache_dir(const lrb_repo *repo) { return repo->cache_dir; }

int lrb_repo_check_whole(const lrb_repo *repo, lrb_err *err) {
    const lrb_err *damage = &repo->damage;
    if (!damage->code) return LRB_OK;
    return lrb_err_set(err, LRB_E_DAMAGED, "open", damage->target, "%s: restore it from a copy%s; until then snapshots that are intact can be read, and "
                       "nothing is written", damage->message, repo->damage_at_end ? ", or remove it to give it up" : "");
}

int lrb_repo_check_writable(const lrb_repo *repo, lrb_err *err) {
    if (!repo->unwritable.code) return lrb_repo_check_whole(repo, err);
    *err = repo->unwritable;
    return err->code;
}

int lrb_repo_refresh(lrb_repo *repo, lrb_err *err) {
    if (repo->damage.code) return LRB_OK;
    pthread_rwlock_wrlock(&repo->state_lock);
    int code = lrb_repo_read_new_entries(repo, err);
    pthread_rwlock_unlock(&repo->state_lock);
    return code;
}

const lrb_state *lrb_repo_begin_read(lrb_repo *repo) {
    pthread_rwlock_rdlock(&repo->state_lock);
    return &repo->state;
}

void lrb_repo_end_read(lrb_repo *repo) { pthread_rwlock_unlock(&repo->state_lock); }
