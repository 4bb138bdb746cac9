/* A damaged log: reading those of its entries that are intact, each by its own digest or MAC.
 *
 * An entry holds by itself; what the chain adds is that none before it is missing or another one. Without that it is not known what
 * was dropped, held, retired or swept, nor which snapshot is the latest, so nothing may be written; but a snapshot whose entry
 * holds says what it is made of, and every chunk of it is found or not, and proved by its id, whatever the log lost.
 */
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "repo/replica.h"
#include "repo/repo_private.h"

typedef struct reading {
    lrb_repo *repo;
    lrb_log_numbers numbers;
    lrb_buf bytes; /* of the entry read last */
    uint64_t damaged; /* the entry that is noted */
} reading;

static bool is_damage(int code) { return code == LRB_E_DAMAGED || code == LRB_E_FOREIGN || code == LRB_E_NOT_FOUND; }

/* A clear header alone does not tell a newer writer's entry from a flipped byte: where it is only looked at, both are passed over. The
 * newer one is refused when it is read. */
static bool is_passed(int code) { return is_damage(code) || code == LRB_E_UNSUPPORTED; }

/* Keeps the first thing found. */
static void note(reading *r, const lrb_err *found, uint64_t number) {
    if (r->repo->damage.code) return;
    r->repo->damage = *found;
    r->damaged = number;
}

static void note_missing(reading *r, uint64_t number) {
    lrb_err missing;
    lrb_repo_missing_entry(number, &missing);
    note(r, &missing, number);
}

static void note_replaced(reading *r, uint64_t number) {
    char label[32] = "log/";
    lrb_err replaced;
    lrb_log_name(number, label + 4);
    lrb_err_set(&replaced, LRB_E_DAMAGED, "open", label, "the log entry does not follow the one before it: one of the two was replaced");
    note(r, &replaced, number);
}

static int read_one(reading *r, uint64_t number, lrb_entry *entry, lrb_id *digest, lrb_err *err) {
    lrb_log_expect expect = {r->repo->graph_id, r->repo->vault.repository_id, NULL, &r->repo->vault};
    return lrb_log_read(r->repo->log_dir, number, &expect, &r->bytes, entry, digest, err);
}

/* The vault as the first intact entry says: which repository this is, and whether it is sealed. */
static int find_vault(reading *r, const lrb_key *key, const lrb_err *reason, lrb_err *err) {
    lrb_entry_peek peek;
    lrb_entry entry;
    lrb_id digest;
    bool opened = true;
    for (size_t i = 0; i < r->numbers.count; i++) {
        uint64_t number = r->numbers.at[i];
        int code = lrb_log_peek(r->repo->log_dir, number, &peek, err);
        if (!code) opened = !(code = lrb_repo_open_vault(r->repo, &peek, number, key, err));
        if (!code) code = read_one(r, number, &entry, &digest, err);
        if (!code) lrb_entry_clear(&entry);
        if (!code || !is_passed(code)) return code;
        lrb_vault_clear(&r->repo->vault);
    }
    if (!opened) return err->code; /* it is the keys that are damaged */
    if (reason->code == LRB_E_UNSUPPORTED) {
        *err = *reason;
        return reason->code;
    }
    return lrb_err_set(err, LRB_E_DAMAGED, "open", reason->target, "%s, and no other entry is intact: restore log/ from a copy", reason->message);
}

/* What the chain says of an intact entry about to be applied: is one before it missing, or another one? One that is there and was
 * not applied has been noted. */
static void look_before(reading *r, size_t at, const lrb_entry *entry) {
    const lrb_state *state = &r->repo->state;
    uint64_t next = state->empty ? 0 : state->last_number + 1;
    if (state->empty && entry->kind == LRB_ENTRY_CHECKPOINT) return;
    if (entry->number > next && (!at || r->numbers.at[at - 1] != entry->number - 1)) note_missing(r, entry->number - 1);
    if (entry->number == next && !state->empty && lrb_id_compare(&entry->previous, &state->last_digest)) note_replaced(r, entry->number);
}

/* Applies one entry if it is intact, and notes it if not. */
static int take(reading *r, size_t at, lrb_err *err) {
    uint64_t number = r->numbers.at[at];
    lrb_entry entry;
    lrb_id digest;
    int code = read_one(r, number, &entry, &digest, err);
    if (!code) {
        look_before(r, at, &entry);
        code = lrb_state_apply_beyond(&r->repo->state, &entry, &digest, r->bytes.length, err);
        lrb_entry_clear(&entry);
    }
    if (code && !is_damage(code)) return code;
    if (code) note(r, err, number);
    lrb_err_clear(err);
    return LRB_OK;
}

/* From the newest checkpoint that holds, or the first entry that does. */
static int take_all(reading *r, lrb_err *err) {
    lrb_entry_peek peek;
    size_t at = r->numbers.count;
    int code = LRB_OK;
    while (r->repo->state.empty && !r->repo->replica && at-- > 0) {
        code = lrb_log_peek(r->repo->log_dir, r->numbers.at[at], &peek, err);
        if (code && !is_passed(code)) return code;
        lrb_err_clear(err);
        if (!code && peek.kind == LRB_ENTRY_CHECKPOINT && (code = take(r, at, err))) return code;
    }
    r->repo->damage.code = 0; /* what is wrong at or after the beginning comes again, the first one first */
    lrb_state_begin_batch(&r->repo->state);
    size_t first = r->repo->state.empty ? 0 : at + 1;
    for (code = LRB_OK, at = first; !code && at < r->numbers.count; at++) code = take(r, at, err);
    lrb_state_end_batch(&r->repo->state);
    return code;
}

/* Packs whose entry was lost can still be read: they say themselves what is in them. */
static int add_pack(void *arg, const char *name, lrb_err *err) {
    lrb_repo *repo = arg;
    lrb_id id;
    lrb_identity identity;
    if (lrb_unhex(name, id.bytes, sizeof id.bytes)) return LRB_OK;
    int code = lrb_fs_identify_at(repo->packs_dir, name, &identity, err);
    if (code || identity.type != LRB_FILE_REGULAR || !identity.size_bytes) return code == LRB_E_NOT_FOUND ? LRB_OK : code;
    return lrb_state_add_found_pack(&repo->state, &id, identity.size_bytes, err);
}

int lrb_repo_read_intact(lrb_repo *repo, const lrb_key *key, const lrb_err *reason, lrb_err *err) {
    reading r = {.repo = repo};
    lrb_buf_init(&r.bytes, LRB_ENTRY_MAX_BYTES);
    lrb_state_clear(&repo->state);
    repo->state.replica = repo->replica;
    lrb_vault_clear(&repo->vault);
    lrb_err_clear(err);
    int code = lrb_log_list(repo->log_dir, &r.numbers, err);
    if (!code) code = find_vault(&r, key, reason, err);
    if (!code) code = take_all(&r, err);
    if (!code) code = lrb_fs_list(repo->packs_dir, add_pack, repo, "packs", err);
    if (!code) note(&r, reason, 0);
    if (!code && repo->replica) code = lrb_replica_narrow(repo->root_dir, repo->packs_dir, &repo->state, err);
    repo->damage_at_end = r.damaged > repo->state.last_number;
    lrb_free(r.numbers.at);
    lrb_buf_clear(&r.bytes);
    return code;
}
