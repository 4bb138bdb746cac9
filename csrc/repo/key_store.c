#include "repo/key_store.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"

enum { MAX_OBJECTS = 4096, ID_HEX = 2 * LRB_KEY_SLOT_ID_BYTES, NAME_ROOM = 64 };

static const char removed_suffix[] = ".removed";

static void object_name(const lrb_key_slot *object, char out[NAME_ROOM]) {
    lrb_hex(object->id, sizeof object->id, out);
    if (object->kind == LRB_KEY_SLOT_REMOVED) memcpy(out + ID_HEX, removed_suffix, sizeof removed_suffix);
}

void lrb_key_store_name(const lrb_key_slot *object, char *out, size_t room) {
    char name[NAME_ROOM];
    object_name(object, name);
    snprintf(out, room, "%.100s/keys/%s", object->graph ? object->graph : "", name);
}

/* ---- gathering ---- */

int lrb_key_store_add(lrb_key_store *r, const lrb_key_slot *object, lrb_err *err) {
    for (size_t i = 0; i < r->count; i++)
        if (!memcmp(r->objects[i].bytes, object->bytes, sizeof object->bytes)) return LRB_OK;
    if (r->count == MAX_OBJECTS) {
        char beyond[200];
        lrb_key_store_name(object, beyond, sizeof beyond);
        return lrb_err_set(err, LRB_E_LIMIT, "read key slots", beyond, "there are more than %d different key slots and removals, beyond is %.140s: move files that "
                           "do not belong there away", (int)MAX_OBJECTS, beyond);
    }
    if (r->count == r->room) {
        size_t room = r->room ? r->room * 2 : 8;
        lrb_key_slot *objects = lrb_resize_array(r->objects, room, sizeof *objects);
        if (!objects) return lrb_err_nomem(err, "read key slots");
        r->objects = objects;
        r->room = room;
    }
    r->objects[r->count++] = *object;
    return LRB_OK;
}

static bool is_object_name(const char *name) {
    uint8_t id[LRB_KEY_SLOT_ID_BYTES];
    char hex[ID_HEX + 1];
    size_t length = strlen(name);
    if (length != ID_HEX && (length != ID_HEX + sizeof removed_suffix - 1 || strcmp(name + ID_HEX, removed_suffix))) return false;
    memcpy(hex, name, ID_HEX);
    hex[ID_HEX] = '\0';
    return !lrb_unhex(hex, id, sizeof id);
}

typedef struct listing {
    lrb_key_store *r;
    int keys_dir;
    const char *graph;
} listing;

static int read_object(const listing *l, const char *name, lrb_key_slot *object, lrb_err *err) {
    char label[LRB_GRAPH_NAME_BYTES + NAME_ROOM], expected[NAME_ROOM];
    uint8_t *bytes = NULL;
    size_t count;
    snprintf(label, sizeof label, "%s/keys/%s", l->graph, name);
    int code = lrb_fs_read_file(l->keys_dir, name, LRB_KEY_SLOT_BYTES + 1, &bytes, &count, err);
    if (code) return code;
    code = lrb_key_slot_parse(bytes, count, label, object, err);
    lrb_free(bytes);
    if (code) return code;
    object_name(object, expected);
    return strcmp(name, expected) ? lrb_err_set(err, LRB_E_DAMAGED, "read a key slot", label, "the key slot is another one") : LRB_OK;
}

/* A slot that cannot be read in one graph may be whole in another, so it stops nothing. */
static int take_name(void *arg, const char *name, lrb_err *err) {
    const listing *l = arg;
    lrb_key_slot object;
    if (!is_object_name(name)) return LRB_OK;
    int code = read_object(l, name, &object, err);
    object.graph = l->graph;
    if (!code) return lrb_key_store_add(l->r, &object, err);
    if (code == LRB_E_NOMEM) return code;
    if (!l->r->problem[0]) snprintf(l->r->problem, sizeof l->r->problem, "%.100s/keys/%.50s", l->graph, name);
    lrb_err_clear(err);
    return LRB_OK;
}

int lrb_key_store_read(lrb_key_store *r, int keys_dir, const char *graph, lrb_err *err) {
    listing l = {r, keys_dir, graph};
    return lrb_fs_list(keys_dir, take_name, &l, "keys", err);
}

/* Opens graphs/<graph>/keys; *fd -1 when there is none. */
static int open_keys(int graphs_dir, const char *graph, bool create, int *fd, lrb_err *err) {
    int graph_dir = -1;
    *fd = -1;
    int code = lrb_storage_subdir(graphs_dir, graph, create, &graph_dir, err);
    if (!code) code = lrb_storage_subdir(graph_dir, "keys", create, fd, err);
    lrb_fs_close(graph_dir);
    if (code != LRB_E_NOT_FOUND || create) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

static int gather_graph(lrb_key_store *r, const char *graph, lrb_err *err) {
    int keys = -1;
    int code = open_keys(r->graphs_dir, graph, false, &keys, err);
    if (code || keys < 0) return code;
    code = lrb_key_store_read(r, keys, graph, err);
    lrb_fs_close(keys);
    return code;
}

int lrb_key_store_gather(lrb_key_store *r, lrb_err *err) {
    lrb_free(r->graphs.at);
    r->graphs = (lrb_graph_names){0};
    r->count = 0;
    r->problem[0] = r->forged[0] = '\0';
    int code = lrb_storage_graphs(r->graphs_dir, &r->graphs, err);
    if (!code && r->own) code = gather_graph(r, r->own, err);
    for (size_t i = 0; !code && i < r->graphs.count; i++) code = gather_graph(r, r->graphs.at[i], err);
    return code;
}

void lrb_key_store_close(lrb_key_store *r) {
    lrb_fs_close(r->graphs_dir);
    lrb_free(r->graphs.at);
    lrb_free(r->objects);
}

int lrb_key_store_open(lrb_key_store *r, const char *storage_path, const char *own, bool create, lrb_err *err) {
    *r = (lrb_key_store){.path = storage_path, .graphs_dir = -1, .own = own};
    int code = lrb_storage_open(storage_path, create, &r->graphs_dir, err);
    if (!code) code = lrb_key_store_gather(r, err);
    if (code) lrb_key_store_close(r);
    return code;
}

static bool is_closed(const lrb_key_store *r, const lrb_key_slot *slot) {
    for (size_t i = 0; i < r->count; i++)
        if (r->objects[i].kind == LRB_KEY_SLOT_REMOVED && !memcmp(r->objects[i].id, slot->id, sizeof slot->id)) return true;
    return false;
}

bool lrb_key_store_is_open(const lrb_key_store *r, const lrb_key_slot *object) {
    return object->kind != LRB_KEY_SLOT_REMOVED && !is_closed(r, object);
}

size_t lrb_key_store_count_open(const lrb_key_store *r) {
    size_t open = 0;
    for (size_t i = 0; i < r->count; i++) open += lrb_key_store_is_open(r, &r->objects[i]);
    return open;
}

bool lrb_key_store_has_slots(const lrb_key_store *r) {
    for (size_t i = 0; i < r->count; i++)
        if (r->objects[i].kind != LRB_KEY_SLOT_REMOVED) return true;
    return false;
}

int lrb_key_store_is_removed(const lrb_key_store *r, const lrb_key_slot *slot, const lrb_key *key, bool *removed, lrb_err *err) {
    int code = LRB_OK;
    *removed = false;
    for (size_t i = 0; !code && !*removed && i < r->count; i++)
        if (r->objects[i].kind == LRB_KEY_SLOT_REMOVED && !memcmp(r->objects[i].id, slot->id, sizeof slot->id))
            code = lrb_key_slot_check(&r->objects[i], key, removed, err);
    return code;
}

int lrb_key_store_judge(lrb_key_store *r, const lrb_key *key, lrb_err *err) {
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++) {
        bool genuine;
        int code = lrb_key_slot_check(&r->objects[i], key, &genuine, err);
        if (code) return code;
        if (genuine) r->objects[kept++] = r->objects[i];
        else if (!r->forged[0]) lrb_key_store_name(&r->objects[i], r->forged, sizeof r->forged);
    }
    r->count = kept;
    return LRB_OK;
}

/* ---- writing objects ---- */

static int write_aside(int tmp_dir, const char *name, const lrb_key_slot *object, lrb_err *err) {
    int fd = -1;
    int code = lrb_fs_create(tmp_dir, name, 0600, &fd, err);
    if (code) return code;
    code = lrb_fs_write(fd, object->bytes, sizeof object->bytes, name, err);
    if (!code) code = lrb_fs_sync_data(fd, name, err);
    lrb_fs_close(fd);
    return code;
}

/* Whether a name is free, or taken by what never is an object again, or was made without the key: then *broken. What is there and could
 * not be read for another reason, or is of a newer version, stays; so does a directory that is not empty. */
static bool may_put(int keys, const char *graph, const char *name, const lrb_key *key, bool *broken) {
    listing l = {NULL, keys, graph};
    lrb_key_slot present;
    lrb_identity identity;
    lrb_err err;
    int code = read_object(&l, name, &present, &err);
    *broken = code == LRB_E_DAMAGED || code == LRB_E_INVALID || code == LRB_E_LIMIT;
    if (!code) {
        bool genuine = true;
        *broken = !lrb_key_slot_check(&present, key, &genuine, &err) && !genuine;
        return *broken;
    }
    bool seen = !lrb_fs_identify_at(keys, name, &identity, &err);
    if (!*broken || !seen) return !seen; /* a refusal is no sign that it is there: linking fails if it is */
    return identity.type != LRB_FILE_DIRECTORY || !lrb_fs_remove_dir(keys, name, &err);
}

/* Makes one object durable in one graph; one that is there already stays, unless it is broken: that is replaced in one step. */
int lrb_key_store_put(const lrb_key_store *r, const char *graph, const lrb_key_slot *object, const lrb_key *key, lrb_err *err) {
    char name[NAME_ROOM], aside[NAME_ROOM];
    uint8_t nonce[LRB_NONCE_BYTES];
    bool broken;
    lrb_err ignored;
    int keys = -1, graph_dir = -1, tmp = -1;
    object_name(object, name);
    int code = open_keys(r->graphs_dir, graph, true, &keys, err);
    if (!code && !may_put(keys, graph, name, key, &broken)) goto done;
    if (!code) code = lrb_random_bytes(nonce, sizeof nonce, err);
    if (!code) code = lrb_storage_subdir(r->graphs_dir, graph, true, &graph_dir, err);
    if (!code) code = lrb_storage_subdir(graph_dir, "tmp", true, &tmp, err);
    if (code) goto done;
    lrb_hex(nonce, sizeof nonce, aside);
    memcpy(aside + 2 * sizeof nonce, ".key", sizeof ".key");
    if (!(code = write_aside(tmp, aside, object, err)))
        code = broken ? lrb_fs_rename(tmp, aside, keys, name, err) : lrb_fs_link(tmp, aside, keys, name, err);
    (void)lrb_fs_unlink(tmp, aside, &ignored);
    if (code == LRB_E_EXISTS) {
        lrb_err_clear(err);
        code = LRB_OK;
    }
    if (!code) code = lrb_fs_sync(keys, "keys", err);
done:
    lrb_fs_close(tmp);
    lrb_fs_close(graph_dir);
    lrb_fs_close(keys);
    return code;
}

/* A closed slot still holds the key for whoever knows its passphrase: its file goes. */
static int drop_slot(int graphs_dir, const char *graph, const lrb_key_slot *removal, lrb_err *err) {
    char name[NAME_ROOM];
    lrb_identity present;
    lrb_err ignored;
    int keys = -1;
    lrb_hex(removal->id, sizeof removal->id, name);
    int code = open_keys(graphs_dir, graph, false, &keys, err);
    if (code || keys < 0) return code;
    if (!lrb_fs_identify_at(keys, name, &present, &ignored)) {
        code = lrb_fs_unlink(keys, name, err);
        if (!code) code = lrb_fs_sync(keys, "keys", err);
    }
    lrb_fs_close(keys);
    return code;
}

int lrb_key_store_put_everywhere(const lrb_key_store *r, const lrb_key_slot *object, const lrb_key *key, lrb_err *err) {
    int code = LRB_OK;
    for (size_t i = 0; !code && i < r->graphs.count; i++) code = lrb_key_store_put(r, r->graphs.at[i], object, key, err);
    return code;
}

/* Of a slot that another process has just made the name may not be durable yet. Who is going to write into a graph relies on its slots,
 * and needs them only there. */
static int settle_own(const lrb_key_store *r, lrb_err *err) {
    int graph_dir = -1, keys = -1;
    int code = lrb_storage_subdir(r->graphs_dir, r->own, false, &graph_dir, err);
    if (!code) code = lrb_storage_subdir(graph_dir, "keys", false, &keys, err);
    if (!code) code = lrb_fs_sync(keys, "keys", err);
    if (!code) code = lrb_fs_sync(graph_dir, r->own, err);
    lrb_fs_close(keys);
    lrb_fs_close(graph_dir);
    return code;
}

int lrb_key_store_spread(lrb_key_store *r, const lrb_key *key, lrb_err *err) {
    int code = lrb_key_store_judge(r, key, err);
    for (int removals = 1; removals >= 0; removals--)
        for (size_t i = 0; !code && i < r->count; i++) {
            const lrb_key_slot *object = &r->objects[i];
            if ((object->kind == LRB_KEY_SLOT_REMOVED) != removals || (!removals && is_closed(r, object))) continue;
            code = lrb_key_store_put_everywhere(r, object, key, err);
            for (size_t g = 0; !code && removals && g < r->graphs.count; g++) code = drop_slot(r->graphs_dir, r->graphs.at[g], object, err);
        }
    return !code && r->own ? settle_own(r, err) : code;
}
