#include "repo/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "repo/agreement.h"
#include "repo/key_opening.h"
#include "repo/key_store.h"
#include "repo/log.h"

enum { MAX_SLOTS = 64, ID_HEX = 2 * LRB_KEY_SLOT_ID_BYTES };

/* ---- unlocking ---- */

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
    int code = lrb_agreement_reach(r->graphs_dir, r->path, true, err);
    if (!code && !secret->key) code = lrb_random_bytes(out->key.bytes, sizeof out->key.bytes, err);
    if (secret->key) out->key = *secret->key;
    if (!code) code = lrb_key_slot_new(&out->key, secret->passphrase, lrb_passphrase_cost, lrb_clock_wall_ns(), &slot, err);
    if (!code) code = lrb_key_store_put(r, r->own, &slot, &out->key, err);
    out->by_slot = secret->passphrase != NULL;
    memcpy(out->slot, slot.id, sizeof out->slot);
    memcpy(out->slot_digest, lrb_key_slot_digest(&slot), sizeof out->slot_digest);
    return code;
}

static int unlock(lrb_key_store *r, bool create, const lrb_secret *secret, lrb_unlocked *out, lrb_err *err) {
    bool nothing_here;
    int code;
    if (lrb_key_store_has_slots(r))
        code = secret->key ? lrb_key_open_by_key(r, secret->key, out, err) : lrb_key_open_by_passphrase(r, secret, out, err);
    else if ((code = without_slots(r, secret, &nothing_here, err))) return code;
    else if (!nothing_here) code = lrb_key_open_by_key(r, secret->key, out, err);
    else if (create && r->own) return create_first(r, secret, out, err);
    else code = lrb_err_set(err, LRB_E_NOT_FOUND, "unlock", r->path, "nothing was ever stored here");
    /* The new graph is listed too, so that it gets what the others have. */
    if (!code) code = create ? lrb_key_store_spread(r, &out->key, err) : lrb_key_store_judge(r, &out->key, err);
    snprintf(out->forged, sizeof out->forged, "%s", r->forged);
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
    if (is_listed(r, r->own) && lrb_key_store_has_slots(r)) return LRB_OK;
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

/* Whether anything says so: a slot or what is left of one, or a log. */
static int is_sealed(const lrb_key_store *r, bool *sealed, lrb_err *err) {
    bool found;
    *sealed = r->count || r->problem[0];
    for (size_t i = 0; !*sealed && i < r->graphs.count; i++) {
        int code = peek(r->graphs_dir, r->graphs.at[i], &found, sealed, err);
        if (code && lrb_err_is_own(err)) return code;
        lrb_err_clear(err);
    }
    return LRB_OK;
}

int lrb_keyring_list(const char *storage_path, const lrb_key *key, lrb_keyring_listing *listing, lrb_err *err) {
    lrb_key_store r;
    *listing = (lrb_keyring_listing){0};
    int code = lrb_key_store_open(&r, storage_path, NULL, false, err);
    if (code) return code;
    code = is_sealed(&r, &listing->sealed, err);
    if (!code && key) code = lrb_key_store_judge(&r, key, err);
    if (!code && !(listing->slots = lrb_alloc_zero(r.count, sizeof *listing->slots))) code = lrb_err_nomem(err, "list key slots");
    for (size_t i = 0; !code && i < r.count; i++)
        if (lrb_key_store_is_open(&r, &r.objects[i])) listing->slots[listing->count++] = r.objects[i];
    if (!code && listing->count) qsort(listing->slots, listing->count, sizeof *listing->slots, by_age);
    for (size_t i = 0; i < listing->count; i++) listing->slots[i].graph = NULL; /* ends with the store */
    lrb_key_store_close(&r);
    return code;
}

int lrb_keyring_add(const char *storage_path, const lrb_key *key, const lrb_passphrase *passphrase, lrb_key_slot *added,
                    lrb_err *err) {
    lrb_key_store r;
    int code = lrb_key_store_open(&r, storage_path, NULL, false, err);
    if (code) return code;
    code = lrb_key_store_judge(&r, key, err);
    if (!code && lrb_key_store_count_open(&r) >= MAX_SLOTS)
        code = lrb_err_set(err, LRB_E_LIMIT, "add a passphrase", "keys", "there are %d key slots already: remove one first", (int)MAX_SLOTS);
    if (!code) code = lrb_key_slot_new(key, passphrase, lrb_passphrase_cost, lrb_clock_wall_ns(), added, err);
    if (!code) code = lrb_key_store_spread(&r, key, err);
    if (!code) code = lrb_key_store_put_everywhere(&r, added, key, err);
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
    code = lrb_key_store_judge(&r, key, err);
    const lrb_key_slot *slot = code ? NULL : find_open(&r, slot_id);
    if (!code) code = check_removable(&r, slot, slot_id, err);
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
    bool genuine;
    int keys = -1;
    *sight = (lrb_keyring_sight){0};
    int code = lrb_fs_open_dir(graph_dir, "keys", &keys, err);
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (!code) code = lrb_key_store_read(&r, keys, "", err);
    sight->any = r.count || r.problem[0];
    sight->another = key && r.count && !r.problem[0];
    for (size_t i = 0; !code && key && i < r.count; i++) {
        if ((code = lrb_key_slot_check(&r.objects[i], key, &genuine, err))) break;
        if (genuine) sight->another = false;
        else if (!sight->foreign[0]) name_slot(&r.objects[i], sight->foreign);
    }
    if (r.problem[0]) snprintf(sight->unreadable, sizeof sight->unreadable, "%s", r.problem + 1); /* behind the slash of no graph */
    lrb_fs_close(keys);
    lrb_key_store_close(&r);
    return code;
}
