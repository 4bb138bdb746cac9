#include "repo/key_opening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "repo/log.h"

/* ---- what the logs say of a key ---- */

static int read_with(int log, const char *graph, uint64_t number, const lrb_key *key, lrb_buf *bytes, lrb_err *err) {
    lrb_entry_peek header;
    lrb_vault vault = {0};
    lrb_entry entry;
    lrb_id digest;
    int code = lrb_log_peek(log, number, &header, err);
    if (!code) code = lrb_vault_open(&vault, header.repository_id, graph, key, err);
    lrb_log_expect expect = {graph, vault.repository_id, NULL, &vault};
    if (!code) code = lrb_log_read(log, number, &expect, bytes, &entry, &digest, err);
    if (!code) lrb_entry_clear(&entry);
    lrb_vault_clear(&vault);
    return code;
}

/* Reads a graph's log with the key, from its newest entry on, until one *holds; *refuted: some are there and do not. */
static int try_on_log(int log, const char *graph, const lrb_key *key, bool *holds, bool *refuted, lrb_err *err) {
    lrb_log_numbers numbers;
    lrb_buf bytes;
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    int code = lrb_log_list(log, &numbers, err);
    for (size_t i = numbers.count; !code && !*holds && i-- > 0;) {
        code = read_with(log, graph, numbers.at[i], key, &bytes, err);
        *holds = !code;
        *refuted |= code == LRB_E_DAMAGED;
        if (code && !lrb_err_is_own(err)) code = LRB_OK;
    }
    lrb_free(numbers.at);
    lrb_buf_clear(&bytes);
    return code;
}

/* Whether a graph's log speaks for the key; *refuted: one speaks against it. */
static int ask_logs(const lrb_key_store *r, const lrb_key *key, bool *holds, bool *refuted, lrb_err *err) {
    *holds = *refuted = false;
    for (size_t i = 0; !*holds && i < r->graphs.count; i++) {
        int dir = -1, log = -1;
        bool against = false;
        int code = lrb_fs_open_dir(r->graphs_dir, r->graphs.at[i], &dir, err);
        if (!code) code = lrb_fs_open_dir(dir, "log", &log, err);
        if (!code) code = try_on_log(log, r->graphs.at[i], key, holds, &against, err);
        *refuted |= against;
        lrb_fs_close(log);
        lrb_fs_close(dir);
        if (code && lrb_err_is_own(err)) return code;
        lrb_err_clear(err);
    }
    return LRB_OK;
}

/* ---- by passphrase ---- */

typedef struct candidate {
    const lrb_key_slot *slot;
    bool first;  /* this host opened it before: whoever made the others has no part in that */
    bool closed; /* says a removal, of which nobody knows yet who made it */
    uint64_t work;
} candidate;

static int by_cost(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->first != y->first) return y->first - x->first;
    if (x->closed != y->closed) return x->closed - y->closed;
    if (x->work != y->work) return x->work < y->work ? -1 : 1;
    return x->slot < y->slot ? -1 : 1; /* as they were found: those of the own graph first */
}

static size_t find_candidates(const lrb_key_store *r, const uint8_t *opened, candidate *found) {
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++) {
        const lrb_key_slot *slot = &r->objects[i];
        if (slot->kind != LRB_KEY_SLOT_PASSPHRASE) continue;
        uint64_t work = (UINT64_C(1) << slot->cost.log2_n) * slot->cost.r * slot->cost.p;
        bool first = opened && !memcmp(lrb_key_slot_digest(slot), opened, LRB_DIGEST_BYTES);
        found[count++] = (candidate){slot, first, !lrb_key_store_is_open(r, slot), work};
    }
    if (count) qsort(found, count, sizeof *found, by_cost);
    return count;
}

/* Whether all slots are of one key, as they are unless somebody put one of another storage path among them. */
static bool are_of_one_key(const lrb_key_store *r) {
    const lrb_key_slot *first = NULL;
    for (size_t i = 0; i < r->count; i++) {
        const lrb_key_slot *slot = &r->objects[i];
        if (slot->kind == LRB_KEY_SLOT_REMOVED) continue;
        if (first && memcmp(first->key_id, slot->key_id, sizeof slot->key_id) != 0) return false;
        first = slot;
    }
    return true;
}

typedef struct outcome {
    size_t tried, beyond;
    bool foreign, removed;
    char first_beyond[200];
} outcome;

/* Whether a slot that was opened may give the key: not when it is of another storage path, nor when it was removed. */
static int judge(const lrb_key_store *r, const candidate *one, const lrb_key *key, outcome *o, bool *fits, lrb_err *err) {
    bool holds = true, refuted = false, removed = false;
    int code = are_of_one_key(r) ? LRB_OK : ask_logs(r, key, &holds, &refuted, err);
    if (!code && one->closed) code = lrb_key_store_is_removed(r, one->slot, key, &removed, err);
    bool foreign = !holds && refuted;
    o->foreign |= foreign;
    o->removed |= removed && !foreign;
    *fits = !foreign && !removed;
    return code;
}

static int try_all(const lrb_key_store *r, const candidate *all, size_t count, const lrb_passphrase *passphrase, lrb_unlocked *out,
                   outcome *o, lrb_err *err) {
    uint64_t spent = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].work > LRB_UNLOCK_WORK - spent) {
            if (!o->beyond++) lrb_key_store_name(all[i].slot, o->first_beyond, sizeof o->first_beyond);
            continue;
        }
        spent += all[i].work;
        o->tried++;
        bool fits = false;
        int code = lrb_key_slot_open(all[i].slot, passphrase, &out->by_slot, &out->key, err);
        if (!code && out->by_slot) code = judge(r, &all[i], &out->key, o, &fits, err);
        if (code) return code;
        out->by_slot &= fits;
        if (!out->by_slot) continue;
        memcpy(out->slot, all[i].slot->id, sizeof out->slot);
        memcpy(out->slot_digest, lrb_key_slot_digest(all[i].slot), sizeof out->slot_digest);
        return LRB_OK;
    }
    return LRB_OK;
}

static int refuse(const lrb_key_store *r, const outcome *o, lrb_err *err) {
    char beyond[320] = "";
    if (o->beyond)
        snprintf(beyond, sizeof beyond, "; not tried, for the work they ask for together is too much: %zu, such as %.140s", o->beyond, o->first_beyond);
    if (o->removed) return lrb_err_set(err, LRB_E_LOCKED, "unlock", r->path, "the passphrase was removed: use another, or the key file%s", beyond);
    if (!o->tried && !o->beyond)
        return lrb_err_set(err, LRB_E_LOCKED, "unlock", r->path, "no passphrase was ever set here, or it was removed: name the key file");
    return lrb_err_set(err, LRB_E_LOCKED, "unlock", r->path, "the passphrase is wrong: it opens none of the key slots here%s%s%s%s",
                       o->foreign ? "; a slot it opens is of another storage path" : "", r->problem[0] ? "; unreadable is " : "", r->problem, beyond);
}

int lrb_key_open_by_passphrase(const lrb_key_store *r, const lrb_secret *secret, lrb_unlocked *out, lrb_err *err) {
    outcome o = {0};
    candidate *all = lrb_alloc_zero(r->count, sizeof *all);
    if (!all) return lrb_err_nomem(err, "unlock");
    int code = try_all(r, all, find_candidates(r, secret->first, all), secret->passphrase, out, &o, err);
    lrb_free(all);
    return code || out->by_slot ? code : refuse(r, &o, err);
}

/* ---- by the key itself ---- */

int lrb_key_open_by_key(const lrb_key_store *r, const lrb_key *key, lrb_unlocked *out, lrb_err *err) {
    bool fits = !lrb_key_store_has_slots(r), refuted;
    int code = LRB_OK;
    for (size_t i = 0; !code && !fits && i < r->count; i++) code = lrb_key_slot_check(&r->objects[i], key, &fits, err);
    if (!code && !fits) code = ask_logs(r, key, &fits, &refuted, err); /* slots may have been put in their place */
    if (!code && !fits)
        code = lrb_err_set(err, LRB_E_LOCKED, "unlock", r->path, "the key file is another one: what is stored here was not sealed with it");
    if (!code) out->key = *key;
    return code;
}
