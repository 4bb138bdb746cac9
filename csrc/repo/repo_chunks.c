/* Where chunks are: the index kept in step with the state, the cache of open packs, finding and reading. */
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "repo/repo_private.h"

enum {
    NEAR_ROWS = 8,          /* looked at behind a chunk for the one that is named next: several threads fill a pack */
    MAX_COPIES = 16,        /* copies of one chunk looked at; raced, healed and repacked ones are few */
    RESTING_SLOTS = 1 << 16 /* 1 MiB: an index up to this size is kept while nothing happens */
};

/* ---- the cache of open packs ---- */

static void label_pack(const lrb_id *id, char out[80]) {
    memcpy(out, "packs/", 6);
    lrb_hex(id->bytes, sizeof id->bytes, out + 6);
}

/* The slot of the unused pack used longest ago; NULL when all are in use. */
static lrb_cached_pack *oldest_unused(lrb_repo *repo) {
    lrb_cached_pack *oldest = NULL;
    for (size_t i = 0; i < LRB_PACK_CACHE_SLOTS; i++) {
        lrb_cached_pack *slot = &repo->cache[i];
        if (slot->pack && !slot->users && (!oldest || slot->last_use < oldest->last_use)) oldest = slot;
    }
    return oldest;
}

/* False when every open pack is in use. */
static bool close_oldest(lrb_repo *repo) {
    lrb_cached_pack *oldest = oldest_unused(repo);
    if (!oldest) return false;
    lrb_pack_close(oldest->pack);
    oldest->pack = NULL;
    return true;
}

/* A free slot with room for `rows` more; NULL when packs in use leave none. */
static lrb_cached_pack *free_slot(lrb_repo *repo, uint32_t rows) {
    for (;;) {
        lrb_cached_pack *found = NULL;
        uint64_t cached = rows;
        for (size_t i = 0; i < LRB_PACK_CACHE_SLOTS; i++) {
            if (repo->cache[i].pack) cached += repo->cache[i].pack->count;
            else found = &repo->cache[i];
        }
        if (found && cached <= LRB_PACK_CACHE_ROWS) return found;
        if (!close_oldest(repo)) return NULL;
    }
}

static lrb_pack *take_cached(lrb_repo *repo, uint32_t position) {
    for (size_t i = 0; i < LRB_PACK_CACHE_SLOTS; i++) {
        lrb_cached_pack *slot = &repo->cache[i];
        if (!slot->pack || slot->position != position) continue;
        slot->users++;
        slot->last_use = ++repo->use_counter;
        return slot->pack;
    }
    return NULL;
}

/* The caller holds state_lock. Several threads may open one pack at the same moment; all but one handle are then private
 * to their user and closed on release. */
static int acquire(lrb_repo *repo, uint32_t position, lrb_pack **out, lrb_err *err) {
    pthread_mutex_lock(&repo->pack_lock);
    lrb_pack *pack = take_cached(repo, position);
    pthread_mutex_unlock(&repo->pack_lock);
    if (pack) {
        *out = pack;
        return LRB_OK;
    }
    const lrb_state_pack *known = &repo->state.packs[position];
    int code = lrb_pack_open(repo->packs_dir, &known->id, known->size_bytes, &repo->vault, &pack, err);
    if (code) return code;
    pthread_mutex_lock(&repo->pack_lock);
    lrb_cached_pack *slot = free_slot(repo, pack->count);
    if (slot) *slot = (lrb_cached_pack){pack, position, 1, ++repo->use_counter};
    pthread_mutex_unlock(&repo->pack_lock);
    *out = pack;
    return LRB_OK;
}

int lrb_repo_pack_acquire(lrb_repo *repo, uint32_t position, lrb_pack **out, lrb_err *err) {
    pthread_rwlock_rdlock(&repo->state_lock);
    int code = position < repo->state.pack_count ? acquire(repo, position, out, err)
                                                 : lrb_err_set(err, LRB_E_INVALID, "open", "packs", "there is no pack number %u", position);
    pthread_rwlock_unlock(&repo->state_lock);
    return code;
}

void lrb_repo_pack_release(lrb_repo *repo, lrb_pack *pack) {
    bool cached = false;
    pthread_mutex_lock(&repo->pack_lock);
    for (size_t i = 0; i < LRB_PACK_CACHE_SLOTS && !cached; i++)
        if (repo->cache[i].pack == pack) {
            repo->cache[i].users--;
            cached = true;
        }
    pthread_mutex_unlock(&repo->pack_lock);
    if (!cached) lrb_pack_close(pack);
}

void lrb_repo_pack_forget(lrb_repo *repo, uint32_t position) {
    pthread_mutex_lock(&repo->pack_lock);
    for (size_t i = 0; i < LRB_PACK_CACHE_SLOTS; i++) {
        lrb_cached_pack *slot = &repo->cache[i];
        if (!slot->pack || slot->position != position || slot->users) continue;
        lrb_pack_close(slot->pack);
        slot->pack = NULL;
    }
    pthread_mutex_unlock(&repo->pack_lock);
}

void lrb_repo_drop_packs(lrb_repo *repo) {
    for (size_t i = 0; i < LRB_PACK_CACHE_SLOTS; i++) {
        if (repo->cache[i].pack) lrb_pack_close(repo->cache[i].pack);
        repo->cache[i].pack = NULL;
    }
}

int lrb_pack_file_present(int packs_dir, const lrb_id *id, uint64_t size_bytes, bool *present, lrb_err *err) {
    char label[80];
    label_pack(id, label);
    lrb_identity identity;
    int code = lrb_fs_identify_at(packs_dir, label + 6, &identity, err);
    *present = !code && identity.type == LRB_FILE_REGULAR && identity.size_bytes == size_bytes;
    if (code != LRB_E_NOT_FOUND) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

/* ---- the index ---- */

/* Adds the rows of one pack. A pack that cannot be opened has no rows: its chunks count as unknown, so the next backup
 * stores them again; verify says what is wrong with it. A shortage of this process says nothing about it. */
static int cover_pack(lrb_repo *repo, uint32_t position, lrb_err *err) {
    if (repo->state.packs[position].status == LRB_PACK_SWEPT) return LRB_OK;
    lrb_pack *pack;
    int code = acquire(repo, position, &pack, err);
    if (code && lrb_err_is_own(err)) return code;
    if (code) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    code = lrb_index_reserve(&repo->index, repo->index.used + pack->count, err);
    for (uint32_t i = 0; !code && i < pack->count; i++) code = lrb_index_add(&repo->index, &pack->rows[i].id, position, i, err);
    lrb_repo_pack_release(repo, pack);
    if (!code) repo->packs_unsaved++;
    return code;
}

/* Brings the index up to the state. The caller holds state_lock exclusively. */
static int catch_up(lrb_repo *repo, lrb_err *err) {
    const lrb_state *state = &repo->state;
    if (repo->covered_count == state->pack_count && repo->index_loaded) return LRB_OK;
    bool *covered = lrb_resize_array(repo->covered, state->pack_count ? state->pack_count : 1, sizeof *covered);
    if (!covered) return lrb_err_nomem(err, "read the index");
    memset(covered + repo->covered_count, 0, (state->pack_count - repo->covered_count) * sizeof *covered);
    repo->covered = covered;
    int code;
    if (!repo->index_loaded) {
        bool loaded; /* never a replica's, whose packs come and go without an entry: nobody saves one */
        if ((code = lrb_index_load(&repo->index, state, covered, repo->cache_dir, &loaded, err))) return code;
        repo->index_loaded = true;
    }
    while (repo->covered_count < state->pack_count) {
        if (!covered[repo->covered_count] && (code = cover_pack(repo, repo->covered_count, err))) return code;
        covered[repo->covered_count++] = true;
    }
    return LRB_OK;
}

/* Takes state_lock shared with the index up to date. */
static int begin_lookup(lrb_repo *repo, lrb_err *err) {
    for (;;) {
        pthread_rwlock_rdlock(&repo->state_lock);
        if (repo->index_loaded && repo->covered_count == repo->state.pack_count) return LRB_OK;
        pthread_rwlock_unlock(&repo->state_lock);
        pthread_rwlock_wrlock(&repo->state_lock);
        int code = catch_up(repo, err);
        pthread_rwlock_unlock(&repo->state_lock);
        if (code) return code;
    }
}

/* Whether pack `copy->place.pack` really holds `id` there, and as what. A pack that cannot be read does not hold it; a shortage is an
 * error. */
static int confirm(lrb_repo *repo, const lrb_id *id, lrb_copy *copy, bool *holds, lrb_err *err) {
    *holds = false;
    lrb_pack *pack;
    int code = acquire(repo, copy->place.pack, &pack, err);
    if (code && lrb_err_is_own(err)) return code;
    if (code) {
        lrb_err_clear(err);
        return LRB_OK;
    }
    const lrb_pack_row *row = copy->place.ordinal < pack->count ? &pack->rows[copy->place.ordinal] : NULL;
    *holds = row && !lrb_id_compare(&row->id, id);
    if (*holds) *copy = (lrb_copy){copy->place, (lrb_chunk_kind)row->kind, row->content_length};
    lrb_repo_pack_release(repo, pack);
    return LRB_OK;
}

/* Confirmed copies of `id` in packs whose status is one of `statuses` (bits 1 << status). The caller holds state_lock. */
static int copies_in(lrb_repo *repo, const lrb_id *id, unsigned statuses, lrb_copy *out, size_t room, size_t *count, lrb_err *err) {
    uint64_t cursor = UINT64_MAX;
    lrb_copy copy;
    *count = 0;
    while (*count < room && lrb_index_next(&repo->index, id, &cursor, &copy.place.pack, &copy.place.ordinal)) {
        if (!(statuses >> repo->state.packs[copy.place.pack].status & 1)) continue;
        bool holds;
        int code = confirm(repo, id, &copy, &holds, err);
        if (code) return code;
        if (holds) out[(*count)++] = copy;
    }
    return LRB_OK;
}

int lrb_repo_find(lrb_repo *repo, const lrb_id *id, bool *found, lrb_place *place, lrb_err *err) {
    *found = false;
    int code = begin_lookup(repo, err);
    if (code) return code;
    size_t count;
    lrb_copy copy;
    code = copies_in(repo, id, 1u << LRB_PACK_KNOWN, &copy, 1, &count, err);
    pthread_rwlock_unlock(&repo->state_lock);
    *found = !code && count;
    if (*found) *place = copy.place;
    return code;
}

/* The place of a chunk that stands close behind `from` in its pack. */
static bool find_behind(const lrb_pack *pack, const lrb_id *id, lrb_place from, lrb_place *place) {
    uint32_t end = pack->count - from.ordinal > NEAR_ROWS ? from.ordinal + NEAR_ROWS : pack->count;
    for (uint32_t i = from.ordinal; i < end; i++)
        if (!lrb_id_compare(&pack->rows[i].id, id)) {
            *place = (lrb_place){from.pack, i};
            return true;
        }
    return false;
}

int lrb_repo_find_all(lrb_repo *repo, const lrb_row *rows, size_t count, bool *found, uint32_t *packs, lrb_err *err) {
    lrb_pack *held = NULL; /* of the chunk before */
    lrb_copy copy = {.place = {0, 0}};
    *found = false;
    int code = begin_lookup(repo, err);
    if (code) return code;
    *found = true;
    for (size_t i = 0; !code && *found && i < count; i++) {
        size_t copies = 1;
        if (!held || !find_behind(held, &rows[i].id, copy.place, &copy.place)) {
            if (held) lrb_repo_pack_release(repo, held);
            held = NULL;
            code = copies_in(repo, &rows[i].id, 1u << LRB_PACK_KNOWN, &copy, 1, &copies, err);
            lrb_err ignored; /* it is only asked for the next one */
            if (!code && copies && acquire(repo, copy.place.pack, &held, &ignored)) held = NULL;
        }
        *found = !code && copies;
        if (*found) packs[i] = copy.place.pack;
    }
    if (held) lrb_repo_pack_release(repo, held);
    pthread_rwlock_unlock(&repo->state_lock);
    return code;
}

static const unsigned READABLE = 1u << LRB_PACK_KNOWN | 1u << LRB_PACK_RETIRED | 1u << LRB_PACK_DAMAGED;

int lrb_repo_copies(lrb_repo *repo, const lrb_id *id, lrb_copy *out, size_t room, size_t *count, lrb_err *err) {
    *count = 0;
    int code = begin_lookup(repo, err);
    if (code) return code;
    code = copies_in(repo, id, READABLE, out, room, count, err);
    pthread_rwlock_unlock(&repo->state_lock);
    return code;
}

static int read_place(lrb_repo *repo, lrb_place place, lrb_chunk_kind kind, bool check_id, lrb_coder *coder, lrb_buf *content, lrb_err *err) {
    lrb_pack *pack;
    int code = lrb_repo_pack_acquire(repo, place.pack, &pack, err);
    if (code) return code;
    uint8_t stored_kind = pack->rows[place.ordinal].kind;
    if (stored_kind != kind)
        code = lrb_err_set(err, LRB_E_DAMAGED, "read", pack->label, "chunk %u is of kind %s where %s was asked for", place.ordinal,
                           lrb_chunk_kind_name(stored_kind), lrb_chunk_kind_name(kind));
    else
        code = lrb_pack_read(pack, place.ordinal, coder, check_id, content, err);
    lrb_repo_pack_release(repo, pack);
    return code;
}

int lrb_repo_read(lrb_repo *repo, const lrb_id *id, lrb_chunk_kind kind, bool check_id, lrb_coder *coder, lrb_buf *content, lrb_err *err) {
    lrb_copy found[MAX_COPIES];
    size_t count;
    int code = lrb_repo_copies(repo, id, found, MAX_COPIES, &count, err);
    if (code) return code;
    if (!count) {
        char hex[65];
        lrb_hex(id->bytes, sizeof id->bytes, hex);
        return lrb_err_set(err, LRB_E_DAMAGED, "read", hex, "no readable pack holds this %s chunk", lrb_chunk_kind_name(kind));
    }
    for (size_t i = 0; i < count; i++) {
        lrb_err_clear(err);
        code = read_place(repo, found[i].place, kind, check_id, coder, content, err);
        if (code == LRB_OK || code == LRB_E_NOMEM) return code;
    }
    return code;
}

int lrb_repo_fetch(void *arg, const lrb_row *node, lrb_buf *content, lrb_err *err) {
    lrb_repo_reader *reader = arg;
    return lrb_repo_read(reader->repo, &node->id, node->kind, true, reader->coder, content, err);
}

void lrb_repo_rest(lrb_repo *repo) {
    pthread_rwlock_wrlock(&repo->state_lock);
    if (repo->index.capacity > RESTING_SLOTS) {
        lrb_index_clear(&repo->index);
        repo->index_loaded = false;
        repo->covered_count = repo->packs_unsaved = 0;
    }
    pthread_rwlock_unlock(&repo->state_lock);
    pthread_mutex_lock(&repo->pack_lock);
    while (close_oldest(repo)) {}
    pthread_mutex_unlock(&repo->pack_lock);
}

int lrb_repo_save_index(lrb_repo *repo, lrb_err *err) {
    int code = begin_lookup(repo, err);
    if (code) return code;
    /* Rewriting costs some 20 bytes a chunk, reading a trailer some microseconds: the file follows in steps of a sixteenth. */
    bool worth = !repo->damage.code && repo->packs_unsaved >= 16 && repo->packs_unsaved >= repo->state.pack_count / 16;
    bool saved = worth && !lrb_index_save(&repo->index, &repo->state, repo->covered, repo->cache_dir, err);
    pthread_rwlock_unlock(&repo->state_lock);
    if (saved) {
        pthread_rwlock_wrlock(&repo->state_lock);
        repo->packs_unsaved = 0;
        pthread_rwlock_unlock(&repo->state_lock);
    }
    lrb_err_clear(err);
    return LRB_OK;
}
