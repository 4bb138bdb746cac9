#include "repo/point.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/path.h"
#include "repo/field.h"
#include "repo/storage.h"

enum { MAX_TRIES = 1000, ENTRY_MAX_BYTES = LRB_POINT_TEXT_MAX_BYTES + 4096 };

static const char points_name[] = "recovery_points", tmp_name[] = ".tmp";

/* ---- directories ---- */

typedef struct dirs {
    int points, tmp, point;
} dirs;

static void close_dirs(dirs *d) {
    lrb_fs_close(d->points);
    lrb_fs_close(d->tmp);
    lrb_fs_close(d->point);
}

static int no_point(const char *id, lrb_err *err) {
    return lrb_err_set(err, LRB_E_NOT_FOUND, "open", id, "there is no such recovery point");
}

typedef enum purpose { READ, CHANGE, CREATE, DELETE } purpose;

/* All that is needed for this access is open afterwards, or nothing. */
static int open_dirs(const char *storage_path, const char *id, purpose how, dirs *d, lrb_err *err) {
    int storage = -1;
    *d = (dirs){-1, -1, -1};
    if (!lrb_graph_id_valid(id)) return lrb_err_set(err, LRB_E_INVALID, "open", id, "this cannot be the id of a recovery point");
    int code = lrb_fs_open_dir(AT_FDCWD, storage_path, &storage, err);
    if (!code) code = lrb_storage_subdir(storage, points_name, how == CREATE, &d->points, err);
    if (!code && how != DELETE) code = lrb_storage_subdir(d->points, id, how == CREATE, &d->point, err);
    if (!code && how != READ) code = lrb_storage_subdir(d->points, tmp_name, true, &d->tmp, err);
    lrb_fs_close(storage);
    if (code) {
        close_dirs(d);
        if (code == LRB_E_NOT_FOUND) code = no_point(id, err);
    }
    return code;
}

/* ---- what is there ---- */

typedef struct tail {
    bool found;       /* false: no entry 0 */
    uint64_t highest;
    lrb_id digest;    /* of the highest entry */
} tail;

/* Keys for what entry 0 says, or for a new point. */
static int open_vault(const lrb_point_place *place, const lrb_entry_peek *first, lrb_vault *vault, lrb_err *err) {
    if (first->sealed != (place->key != NULL))
        return lrb_err_set(err, LRB_E_LOCKED, "open", place->id,
                           first->sealed ? "the recovery point is sealed: name its passphrase or key file"
                                         : "the recovery point is not sealed, but a passphrase or key file is named: name none");
    return lrb_vault_open(vault, first->repository_id, place->id, place->key, err);
}

static int missing_entry(const char *id, uint64_t number, lrb_err *err) {
    char name[21];
    lrb_log_name(number, name);
    return lrb_err_set(err, LRB_E_DAMAGED, "read", id, "entry %s of the recovery point is missing while later ones exist", name);
}

/* Entries are read as a log's, which calls them log/<number>: here they lie elsewhere. */
static int name_it(const lrb_point_place *place, uint64_t number, lrb_err *err) {
    if (!strncmp(err->target, "log/", 4))
        snprintf(err->target, sizeof err->target, "%s/%s/%020" PRIu64, points_name, place->id, number);
    return err->code;
}

/* *found and the keys, when there is an entry 0. Later ones without it are what is left of a point: DAMAGED. */
static int look(const lrb_point_place *place, int dir, bool *found, lrb_vault *vault, lrb_err *err) {
    lrb_entry_peek first;
    uint64_t highest;
    int code = lrb_log_peek(dir, 0, &first, err);
    *found = !code;
    if (!code) return open_vault(place, &first, vault, err);
    if (code != LRB_E_NOT_FOUND) return name_it(place, 0, err);
    lrb_err_clear(err);
    bool left;
    code = lrb_log_highest(dir, &left, &highest, err);
    return !code && left ? missing_entry(place->id, 0, err) : code;
}

static int take_text(const lrb_entry *entry, const char *id, const char **text, size_t *length, lrb_err *err) {
    lrb_view view = {.at = entry->payload, .left = entry->payload_length};
    lrb_field field;
    if (entry->kind != LRB_ENTRY_RECORD || entry->pack_count || !lrb_field_next(&view, &field) ||
        field.tag != LRB_F_DOCUMENT || view.left || view.bad || field.value.left > LRB_POINT_TEXT_MAX_BYTES)
        return lrb_err_set(err, LRB_E_DAMAGED, "parse", id, "an entry of the recovery point holds no document");
    *text = (const char *)field.value.at;
    *length = field.value.left;
    return LRB_OK;
}

/* Reads entry `number` behind the one with the digest *chain, which becomes its own. NOT_FOUND at the end. */
static int read_one(const lrb_point_place *place, int dir, const lrb_vault *vault, uint64_t number, lrb_id *chain,
                    lrb_point_each each, void *arg, lrb_err *err) {
    lrb_log_expect expect = {place->id, vault->repository_id, chain, vault};
    lrb_buf bytes;
    lrb_entry entry;
    lrb_id digest;
    const char *text;
    size_t length;
    lrb_buf_init(&bytes, ENTRY_MAX_BYTES);
    int code = lrb_log_read(dir, number, &expect, &bytes, &entry, &digest, err);
    if (!code) {
        *chain = digest;
        code = take_text(&entry, place->id, &text, &length, err);
        if (!code && each) code = each(arg, number, entry.time_ns, text, length, err);
        lrb_entry_clear(&entry);
    } else {
        code = name_it(place, number, err);
    }
    lrb_buf_clear(&bytes);
    return code;
}

/* Walks all entries; *t says where they end. */
static int walk(const lrb_point_place *place, int dir, const lrb_vault *vault, lrb_point_each each, void *arg, tail *t,
                lrb_err *err) {
    int code = lrb_log_highest(dir, &t->found, &t->highest, err);
    memset(&t->digest, 0, sizeof t->digest);
    for (uint64_t number = 0; !code && number <= t->highest; number++) {
        code = read_one(place, dir, vault, number, &t->digest, each, arg, err);
        if (code == LRB_E_NOT_FOUND) return missing_entry(place->id, number, err);
    }
    return code;
}

int lrb_point_read(const lrb_point_place *place, lrb_point_each each, void *arg, lrb_err *err) {
    dirs d;
    lrb_vault vault;
    tail t;
    bool found = false;
    int code = open_dirs(place->storage_path, place->id, READ, &d, err);
    if (code) return code;
    code = look(place, d.point, &found, &vault, err);
    if (!code && !found) code = no_point(place->id, err);
    if (!code) {
        code = walk(place, d.point, &vault, each, arg, &t, err);
        lrb_vault_clear(&vault);
    }
    close_dirs(&d);
    return code;
}

/* ---- appending ---- */

static int encode(const lrb_vault *vault, uint64_t number, const lrb_id *previous, const uint8_t *nonce,
                  const lrb_buf *payload, lrb_buf *bytes, lrb_err *err) {
    lrb_entry entry = {.kind = LRB_ENTRY_RECORD, .number = number, .previous = *previous, .time_ns = lrb_clock_wall_ns(),
                       .payload = payload->data, .payload_length = payload->length};
    memcpy(entry.repository_id, vault->repository_id, LRB_REPO_ID_BYTES);
    memcpy(entry.nonce, nonce, LRB_NONCE_BYTES);
    memcpy(entry.graph_id, vault->graph_id, sizeof entry.graph_id);
    lrb_buf_empty(bytes);
    return lrb_entry_encode(&entry, vault, bytes, err);
}

static int new_vault(const lrb_point_place *place, lrb_vault *vault, lrb_err *err) {
    uint8_t repository_id[LRB_REPO_ID_BYTES];
    int code = lrb_random_bytes(repository_id, sizeof repository_id, err);
    return code ? code : lrb_vault_open(vault, repository_id, place->id, place->key, err);
}

/* Where the next entry goes, and the keys to seal it with: *vault is open when this succeeds. */
static int find_end(const lrb_point_place *place, const dirs *d, bool create, lrb_vault *vault, uint64_t *number,
                    lrb_id *previous, lrb_err *err) {
    bool found;
    int code = look(place, d->point, &found, vault, err);
    if (code) return code;
    *number = 0;
    memset(previous, 0, sizeof *previous);
    if (!found) return create ? new_vault(place, vault, err) : no_point(place->id, err);
    tail t;
    if (create) code = lrb_err_set(err, LRB_E_EXISTS, "create", place->id, "this recovery point exists already");
    else code = walk(place, d->point, vault, NULL, NULL, &t, err);
    if (code) {
        lrb_vault_clear(vault);
        return code;
    }
    *number = t.highest + 1;
    *previous = t.digest;
    return LRB_OK;
}

/* Nothing is linked behind an entry that is not durable, as in a graph's log; a new point answers for the whole way to it. */
static int make_durable_before(const lrb_point_place *place, const dirs *d, uint64_t number, lrb_err *err) {
    char points[LRB_PATH_MAX], path[LRB_PATH_MAX];
    if (number) return lrb_fs_sync(d->point, place->id, err);
    int code = lrb_path_join(points, place->storage_path, points_name, err);
    if (!code) code = lrb_path_join(path, points, place->id, err);
    return code ? code : lrb_storage_sync(path, err);
}

/* One try: EXISTS and !*created when somebody was faster. */
static int append_once(const lrb_point_place *place, const dirs *d, bool create, const uint8_t *nonce,
                       const lrb_buf *payload, lrb_buf *bytes, uint64_t *number, bool *created, lrb_err *err) {
    lrb_vault vault;
    lrb_id previous;
    *created = false;
    int code = find_end(place, d, create, &vault, number, &previous, err);
    if (code) return code;
    code = encode(&vault, *number, &previous, nonce, payload, bytes, err);
    if (!code) code = make_durable_before(place, d, *number, err);
    if (!code) code = lrb_log_create(d->point, d->tmp, *number, nonce, bytes->data, bytes->length, created, err);
    lrb_log_expect mine = {place->id, vault.repository_id, NULL, &vault};
    if (code && !*created && lrb_log_is_mine(d->point, *number, &mine, nonce)) { /* the link was made, and its answer lost */
        *created = true;
        code = lrb_fs_sync(d->point, place->id, err);
    }
    lrb_vault_clear(&vault);
    return code;
}

int lrb_point_append(const lrb_point_place *place, bool create, const char *text, size_t length, uint64_t *number,
                     lrb_err *err) {
    if (length > LRB_POINT_TEXT_MAX_BYTES)
        return lrb_err_set(err, LRB_E_LIMIT, "append", place->id, "a record of %zu bytes was above the ceiling of %d", length,
                           LRB_POINT_TEXT_MAX_BYTES);
    uint8_t nonce[LRB_NONCE_BYTES];
    dirs d;
    lrb_buf payload, bytes;
    bool created = false;
    int code = open_dirs(place->storage_path, place->id, create ? CREATE : CHANGE, &d, err);
    if (code) return code;
    lrb_buf_init(&payload, ENTRY_MAX_BYTES);
    lrb_buf_init(&bytes, ENTRY_MAX_BYTES);
    code = lrb_random_bytes(nonce, sizeof nonce, err);
    if (!code) code = lrb_field_put(&payload, LRB_F_DOCUMENT, text, length, err);
    for (int tries = 0; !code && !created && tries < MAX_TRIES; tries++) {
        code = append_once(place, &d, create, nonce, &payload, &bytes, number, &created, err);
        if (code != LRB_E_EXISTS || created || create) break; /* a point that exists does so at the next try, too */
        lrb_err_clear(err);
        code = LRB_OK;
    }
    if (!code && !created) code = lrb_err_set(err, LRB_E_BUSY, "append", place->id, "%d other records came first", MAX_TRIES);
    lrb_buf_clear(&bytes);
    lrb_buf_clear(&payload);
    close_dirs(&d);
    return code;
}

/* ---- deleting ---- */

int lrb_point_delete(const char *storage_path, const char *id, bool *existed, lrb_err *err) {
    dirs d;
    *existed = false;
    int code = open_dirs(storage_path, id, DELETE, &d, err);
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    if (code) return code;
    code = lrb_fs_remove_tree(d.tmp, id, err); /* of a deletion that died */
    if (!code) code = lrb_fs_rename(d.points, id, d.tmp, id, err);
    *existed = !code;
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err);
        code = LRB_OK;
    }
    if (!code && *existed) code = lrb_fs_sync(d.points, points_name, err);
    if (!code && *existed) code = lrb_fs_remove_tree(d.tmp, id, err);
    close_dirs(&d);
    return code;
}
