#include "repo/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "repo/key_store.h"
#include "repo/log.h"

enum { MAX_SLOTS = 64, ID_HEX = 2 * LRB_KEY_SLOT_ID_BYTES };

/* ---- unlocking ---- */

/* Whether all open slots are of one key, as they are unless somebody put one of another storage path among them. */
static bool are_of_one_key(const lrb_key_store *r) {
    const lrb_key_slot *first = NULL;
    for (size_t i = 0; i < r->count; i++) {
        const lrb_key_slot *slot = &r->objects[i];
        if (!lrb_key_store_is_open(r, slot)) continue;
        if (first && memcmp(first->key_id, slot->key_id, sizeof slot->key_id) != 0) return false;
        first = slot;
    }
    return true;
}

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

static int by_passphrase(const lrb_key_store *r, const lrb_passphrase *passphrase, lrb_unlocked *out, lrb_err *err) {
    size_t tried = 0;
    bool one_key = are_of_one_key(r);
    char foreign[64] = "";
    for (size_t i = 0; i < r->count && tried < MAX_SLOTS; i++) {
        const lrb_key_slot *slot = &r->objects[i];
        if (slot->kind != LRB_KEY_SLOT_PASSPHRASE || !lrb_key_store_is_open(r, slot)) continue;
        tried++;
        int code = lrb_key_slot_open(slot, passphrase, &out->by_slot, &out->key, err);
        if (code) return code;
        bool holds = true, refuted = false;
        if (out->by_slot && !one_key) code = ask_logs(r, &out->key, &holds, &refuted, err);
        if (code) return code;
        bool fits = holds || !refuted;
        if (!fits) snprintf(foreign, sizeof foreign, "; a slot it opens is of another storage path");
        out->by_slot &= fits;
        if (!out->by_slot) continue;
        memcpy(out->slot, slot->id, sizeof out->slot);
        return LRB_OK;
    }
    if (!tried)
        return lrb_err_set(err, LRB_E_LOCKED, "unlock", r->path, "no passphrase was ever set here, or it was removed: name the key file");
    const char *also = r->problem[0] ? "; unreadable is " : "";
    return lrb_err_set(err, LRB_E_LOCKED, "unlock", r->path, "the passphrase is wrong: it opens none of the key slots here%s%s%s", foreign,
                       also, r->problem);
}

static int by_key(const lrb_key_store *r, const lrb_key *key, lrb_unlocked *out, lrb_err *err) {
    uint8_t id[LRB_KEY_ID_BYTES];
    int code = lrb_key_id(key, id, err);
    bool fits = !lrb_key_store_count_open(r);
    for (size_t i = 0; !code && i < r->count; i++) fits |= lrb_key_store_is_open(r, &r->objects[i]) && lrb_bytes_same(id, r->objects[i].key_id, sizeof id);
    bool refuted;
    if (!code && !fits) code = ask_logs(r, key, &fits, &refuted, err); /* slots may have been put in their place */
    if (!code && !fits)
        code = lrb_err_set(err, LRB_E_LOCKED, "unlock", r->path, "the key file is another one: what is stored here was not sealed with it");
    if (!code) out->key = *key;
    return code;
}

/* What the graph's log says of itself; *found false without a log. */
static int peek(int graphs_dir, const char *graph, bool *found, bool *sealed, lrb_err *err) {
    int graph_dir = -1, log = -1;
    uint64_t highest;
    lrb_entry_peek header = {0};
    *found = false;
    int code = lrb_fs_open_dir(graphs_dir, graph, &graph_dir, err);
    if (!code) code = lrb_fs_open_dir(graph_dir, "log", &log, err);
    if (!code) code = lrb_log_highest(log, found, &highest, err);
    if (!code && *found) code = lrb_log_peek(log, highest, &header, err);
    lrb_fs_close(log);
    lrb_fs_close(graph_dir);
    *sealed = header.sealed;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int not_sealed(const char *graph, lrb_err *err) {
    return lrb_err_set(err, LRB_E_LOCKED, "unlock", graph, "graph %s is here and not sealed, but a passphrase or key file is named: name none, or keep "
                       "sealed snapshots under another storage path", graph);
}

/* No slot is left anywhere. Nothing may have been there, or somebody has lost the slots. */
static int without_slots(const lrb_key_store *r, const lrb_secret *secret, bool *nothing_here, lrb_err *err) {
    *nothing_here = true;
    for (size_t i = 0; i < r->graphs.count; i++) {
        bool found, sealed;
        int code = peek(r->graphs_dir, r->graphs.at[i], &found, &sealed, err);
        if (code) return code;
        if (!found) continue;
        *nothing_here = false;
        if (!sealed) return not_sealed(r->graphs.at[i], err);
        if (secret->passphrase)
            return lrb_err_set(err, LRB_E_LOCKED, "unlock", r->graphs.at[i], "the key slots of this storage path are gone%s%s: restore a keys directory from a "
                               "copy, or name the key file or recovery kit", r->problem[0] ? "; unreadable is " : "", r->problem);
    }
    return LRB_OK;
}

/* The first slot of a storage path, and with it its key. */
static int create_first(lrb_key_store *r, const lrb_secret *secret, lrb_unlocked *out, lrb_err *err) {
    lrb_key_slot slot;
    int code = secret->key ? LRB_OK : lrb_random_bytes(out->key.bytes, sizeof out->key.bytes, err);
    if (secret->key) out->key = *secret->key;
    if (!code) code = lrb_key_slot_new(&out->key, secret->passphrase, lrb_passphrase_cost, lrb_clock_wall_ns(), &slot, err);
    if (!code) code = lrb_key_store_put(r, r->own, &slot, err);
    out->by_slot = secret->passphrase != NULL;
    memcpy(out->slot, slot.id, sizeof out->slot);
    return code;
}

static int unlock(lrb_key_store *r, bool create, const lrb_secret *secret, lrb_unlocked *out, lrb_err *err) {
    bool nothing_here;
    int code;
    if (lrb_key_store_count_open(r)) code = secret->key ? by_key(r, secret->key, out, err) : by_passphrase(r, secret->passphrase, out, err);
    else if ((code = without_slots(r, secret, &nothing_here, err))) return code;
    else if (!nothing_here) code = by_key(r, secret->key, out, err);
    else if (create && r->own) return create_first(r, secret, out, err);
    else code = lrb_err_set(err, LRB_E_NOT_FOUND, "unlock", r->path, "nothing was ever stored here");
    /* The new graph is listed too, so that it gets what the others have. */
    if (!code && create) code = lrb_key_store_spread(r, &out->key, err);
    return code;
}

static bool is_listed(const lrb_key_store *r, const char *graph) {
    for (size_t i = 0; i < r->graphs.count; i++)
        if (!strcmp(r->graphs.at[i], graph)) return true;
    return false;
}

/* What only one creator may do at a time: a graph that is new here, or a first key. */
static int prepare_to_create(lrb_key_store *r, lrb_err *err) {
    int graph_dir = -1;
    lrb_err ignored; /* where the file system has no locks, two first creators at the same moment make two keys */
    if (is_listed(r, r->own) && lrb_key_store_count_open(r)) return LRB_OK;
    (void)lrb_fs_wait_lock(r->graphs_dir, "graphs", &ignored); /* until the lrb_key_store is closed */
    int code = lrb_storage_subdir(r->graphs_dir, r->own, true, &graph_dir, err);
    lrb_fs_close(graph_dir);
    return code ? code : lrb_key_store_gather(r, err);
}

int lrb_keyring_unlock(const char *storage_path, const char *graph_id, bool create, const lrb_secret *secret,
                       lrb_unlocked *unlocked, lrb_err *err) {
    lrb_key_store r;
    memset(unlocked, 0, sizeof *unlocked);
    if (graph_id && !lrb_graph_id_valid(graph_id))
        return lrb_err_set(err, LRB_E_INVALID, "unlock", graph_id, "this is no graph id");
    int code = lrb_key_store_open(&r, storage_path, graph_id, create, err);
    if (code) return code;
    if (create && graph_id) code = prepare_to_create(&r, err);
    if (!code) code = unlock(&r, create, secret, unlocked, err);
    lrb_key_store_close(&r);
    if (code) lrb_bytes_wipe(unlocked, sizeof *unlocked);
    return code;
}

/* ---- looking after slots ---- */

static int by_age(const void *a, const void *b) {
    const lrb_key_slot *x = a, *y = b;
    if (x->created_ns != y->created_ns) return x->created_ns < y->created_ns ? -1 : 1;
    return memcmp(x->id, y->id, sizeof x->id);
}

int lrb_keyring_list(const char *storage_path, lrb_key_slot **slots, size_t *count, lrb_err *err) {
    lrb_key_store r;
    int code = lrb_key_store_open(&r, storage_path, NULL, false, err);
    if (code) return code;
    lrb_key_slot *list = lrb_alloc_zero(r.count, sizeof *list);
    if (!list) code = lrb_err_nomem(err, "list key slots");
    *count = 0;
    for (size_t i = 0; !code && i < r.count; i++)
        if (lrb_key_store_is_open(&r, &r.objects[i])) list[(*count)++] = r.objects[i];
    if (!code && *count) qsort(list, *count, sizeof *list, by_age);
    if (!code) *slots = list;
    lrb_key_store_close(&r);
    return code;
}

int lrb_keyring_add(const char *storage_path, const lrb_key *key, const lrb_passphrase *passphrase, lrb_key_slot *added,
                    lrb_err *err) {
    lrb_key_store r;
    int code = lrb_key_store_open(&r, storage_path, NULL, false, err);
    if (code) return code;
    if (lrb_key_store_count_open(&r) >= MAX_SLOTS)
        code = lrb_err_set(err, LRB_E_LIMIT, "add a passphrase", "keys", "there are %d key slots already: remove one first", (int)MAX_SLOTS);
    if (!code) code = lrb_key_slot_new(key, passphrase, lrb_passphrase_cost, lrb_clock_wall_ns(), added, err);
    if (!code) code = lrb_key_store_spread(&r, key, err);
    if (!code) code = lrb_key_store_put_everywhere(&r, added, err);
    lrb_key_store_close(&r);
    return code;
}

static const lrb_key_slot *find_open(const lrb_key_store *r, const uint8_t *id) {
    for (size_t i = 0; i < r->count; i++)
        if (lrb_key_store_is_open(r, &r->objects[i]) && !memcmp(r->objects[i].id, id, LRB_KEY_SLOT_ID_BYTES)) return &r->objects[i];
    return NULL;
}

static int check_removable(const lrb_key_store *r, const lrb_key_slot *slot, const uint8_t *id, lrb_err *err) {
    char hex[ID_HEX + 1];
    lrb_hex(id, LRB_KEY_SLOT_ID_BYTES, hex);
    if (!slot) return lrb_err_set(err, LRB_E_NOT_FOUND, "remove a key slot", hex, "there is no key slot %s", hex);
    if (slot->kind == LRB_KEY_SLOT_FILE)
        return lrb_err_set(err, LRB_E_INVALID, "remove a key slot", hex, "slot %s stands for the key file, which is the key itself and stays valid", hex);
    if (lrb_key_store_count_open(r) == 1)
        return lrb_err_set(err, LRB_E_INVALID, "remove a key slot", hex, "slot %s is the last way to the key: add a passphrase first", hex);
    return LRB_OK;
}

int lrb_keyring_remove(const char *storage_path, const lrb_key *key, const uint8_t slot_id[LRB_KEY_SLOT_ID_BYTES],
                       lrb_err *err) {
    lrb_key_store r;
    lrb_key_slot removal;
    int code = lrb_key_store_open(&r, storage_path, NULL, false, err);
    if (code) return code;
    const lrb_key_slot *slot = find_open(&r, slot_id);
    code = check_removable(&r, slot, slot_id, err);
    if (!code) code = lrb_key_slot_removal(key, slot, lrb_clock_wall_ns(), &removal, err);
    if (!code) code = lrb_key_store_add(&r, &removal, err);
    if (!code) code = lrb_key_store_spread(&r, key, err);
    lrb_key_store_close(&r);
    return code;
}

/* ---- for repo.c ---- */

int lrb_keyring_any(int graphs_dir, bool *any, lrb_err *err) {
    lrb_key_store r = {.graphs_dir = graphs_dir};
    int code = lrb_key_store_gather(&r, err);
    *any = !code && (r.count || r.problem[0]);
    r.graphs_dir = -1; /* the caller's */
    lrb_key_store_close(&r);
    return code;
}

static void name_slot(const lrb_key_slot *slot, char out[64]) {
    char hex[ID_HEX + 1];
    lrb_hex(slot->id, sizeof slot->id, hex);
    snprintf(out, 64, "keys/%s%s", hex, slot->kind == LRB_KEY_SLOT_REMOVED ? ".removed" : "");
}

int lrb_keyring_look(int graph_dir, const lrb_key *key, lrb_keyring_sight *sight, lrb_err *err) {
    lrb_key_store r = {.graphs_dir = -1};
    uint8_t id[LRB_KEY_ID_BYTES];
    int keys = -1;
    *sight = (lrb_keyring_sight){0};
    int code = lrb_fs_open_dir(graph_dir, "keys", &keys, err);
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (!code) code = lrb_key_store_read(&r, keys, "", err);
    if (!code && key) code = lrb_key_id(key, id, err);
    for (size_t i = 0; !code && key && i < r.count && !sight->foreign[0]; i++)
        if (memcmp(id, r.objects[i].key_id, sizeof id) != 0) name_slot(&r.objects[i], sight->foreign);
    sight->any = r.count || r.problem[0];
    sight->another = key && r.count && !r.problem[0];
    for (size_t i = 0; !code && key && i < r.count; i++) sight->another &= !lrb_bytes_same(id, r.objects[i].key_id, sizeof id);
    if (r.problem[0]) snprintf(sight->unreadable, sizeof sight->unreadable, "%s", r.problem + 1); /* behind the slash of no graph */
    lrb_fs_close(keys);
    lrb_key_store_close(&r);
    return code;
}
