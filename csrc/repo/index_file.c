#include "repo/index_file.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/wire.h"

static const uint8_t magic[8] = {'l', 'r', 'b', 'i', 'n', 'd', 'x', '1'};
static const char file_name[] = "index", new_name[] = "index.new", label[] = "cache/index";

enum {
    HEADER_BYTES = 88, SLOT_BYTES = 16, BLOCK_BYTES = 256 << 10,
    AT_VERSION = 8, AT_REPOSITORY = 16, AT_NUMBER = 32, AT_DIGEST = 40, AT_PACKS = 72, AT_SLOTS = 80
};

/* Bytes on their way to or from the file: hashed and moved a block at a time, so that the file never lies in memory. */
typedef struct stream {
    int fd;
    lrb_digest *digest;
    uint8_t *block;
    size_t at, fill;          /* reading: block[at..fill) is not taken yet; writing: block[0..fill) not written */
    uint64_t offset, end;     /* reading: what of the file was not read yet, the final digest excluded */
} stream;

static void stream_close(stream *s) {
    lrb_fs_close(s->fd);
    lrb_digest_free(s->digest);
    lrb_free(s->block);
}

static int stream_prepare(stream *s, lrb_err *err) {
    *s = (stream){.fd = -1, .block = lrb_alloc(BLOCK_BYTES)};
    if (!s->block) return lrb_err_nomem(err, "buffer the chunk index");
    int code = lrb_digest_new(&s->digest, err);
    if (!code) code = lrb_digest_begin(s->digest, err);
    return code;
}

/* ---- saving ---- */

static int write_out(stream *s, lrb_err *err) {
    int code = lrb_digest_update(s->digest, s->block, s->fill, err);
    if (!code) code = lrb_fs_write(s->fd, s->block, s->fill, label, err);
    s->fill = 0;
    return code;
}

/* `count` bytes to fill in, in the block. */
static int next_room(stream *s, size_t count, uint8_t **room, lrb_err *err) {
    int code = s->fill + count > BLOCK_BYTES ? write_out(s, err) : LRB_OK;
    *room = s->block + s->fill;
    s->fill += count;
    return code;
}

/* Numbers the packs that have rows in the index: places[position] is the place in the file's list, or LRB_NO_PACK. A
 * pack covered without a row could not be opened; it is left out, so that the next opening tries it again. */
static uint64_t number_packs(const lrb_index *index, const lrb_state *state, const bool *covered, uint32_t *places,
                             uint32_t *packs) {
    uint64_t slots = 0;
    for (uint32_t i = 0; i < state->pack_count; i++) places[i] = LRB_NO_PACK;
    for (uint64_t i = 0; i < index->capacity; i++) {
        uint32_t pack = index->slots[i].pack;
        if (pack >= state->pack_count || !covered[pack] || state->packs[pack].status == LRB_PACK_SWEPT) continue;
        places[pack] = 0;
        slots++;
    }
    *packs = 0;
    for (uint32_t i = 0; i < state->pack_count; i++)
        if (places[i] != LRB_NO_PACK) places[i] = (*packs)++;
    return slots;
}

static int write_header(stream *s, const lrb_state *state, uint32_t packs, uint64_t slots, lrb_err *err) {
    uint8_t *at;
    int code = next_room(s, HEADER_BYTES, &at, err);
    if (code) return code;
    memset(at, 0, HEADER_BYTES);
    memcpy(at, magic, sizeof magic);
    lrb_put_u16(at + AT_VERSION, LRB_FORMAT_VERSION);
    memcpy(at + AT_REPOSITORY, state->repository_id, LRB_REPO_ID_BYTES);
    lrb_put_u64(at + AT_NUMBER, state->last_number);
    memcpy(at + AT_DIGEST, state->last_digest.bytes, LRB_DIGEST_BYTES);
    lrb_put_u32(at + AT_PACKS, packs);
    lrb_put_u64(at + AT_SLOTS, slots);
    return LRB_OK;
}

static int write_rows(stream *s, const lrb_index *index, const lrb_state *state, const uint32_t *places, lrb_err *err) {
    int code = LRB_OK;
    uint8_t *at;
    for (uint32_t i = 0; !code && i < state->pack_count; i++) {
        if (places[i] == LRB_NO_PACK || (code = next_room(s, LRB_DIGEST_BYTES, &at, err))) continue;
        memcpy(at, state->packs[i].id.bytes, LRB_DIGEST_BYTES);
    }
    for (uint64_t i = 0; !code && i < index->capacity; i++) {
        const lrb_slot *slot = &index->slots[i];
        if (slot->pack >= state->pack_count || places[slot->pack] == LRB_NO_PACK) continue;
        if ((code = next_room(s, SLOT_BYTES, &at, err))) break;
        lrb_put_u64(at, slot->prefix);
        lrb_put_u32(at + 8, places[slot->pack]);
        lrb_put_u32(at + 12, slot->ordinal);
    }
    return code;
}

static int write_digest(stream *s, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    int code = write_out(s, err);
    if (!code) code = lrb_digest_finish(s->digest, digest, err);
    if (!code) code = lrb_fs_write(s->fd, digest, sizeof digest, label, err);
    return code;
}

int lrb_index_save(const lrb_index *index, const lrb_state *state, const bool *covered, int cache_dir, lrb_err *err) {
    uint32_t packs, *places = lrb_alloc_zero(state->pack_count, sizeof *places);
    stream s;
    int code = stream_prepare(&s, err);
    if (!code && !places) code = lrb_err_nomem(err, "save the chunk index");
    if (code) goto done;
    uint64_t slots = number_packs(index, state, covered, places, &packs);

    code = lrb_fs_unlink(cache_dir, new_name, err); /* left by a crash */
    if (!code) code = lrb_fs_create(cache_dir, new_name, 0640, &s.fd, err);
    if (!code) code = write_header(&s, state, packs, slots, err);
    if (!code) code = write_rows(&s, index, state, places, err);
    if (!code) code = write_digest(&s, err);
    if (!code) code = lrb_fs_rename(cache_dir, new_name, cache_dir, file_name, err);
    if (code) {
        lrb_err ignored; /* the file is disposable, and the first error is the one to report */
        (void)lrb_fs_unlink(cache_dir, new_name, &ignored);
    }
done:
    stream_close(&s);
    lrb_free(places);
    return code;
}

/* ---- loading ---- */

static int unusable(lrb_err *err, const char *why) {
    return lrb_err_set(err, LRB_E_DAMAGED, "read", label, "the chunk index %s", why);
}

/* The next `count` bytes of the file, in the block. */
static int next_bytes(stream *s, size_t count, const uint8_t **bytes, lrb_err *err) {
    if (s->fill - s->at < count) {
        size_t rest = s->fill - s->at, room = BLOCK_BYTES - rest;
        if (room > s->end - s->offset) room = (size_t)(s->end - s->offset);
        memmove(s->block, s->block + s->at, rest);
        int code = lrb_fs_read_exact(s->fd, s->block + rest, room, s->offset, label, err);
        if (!code) code = lrb_digest_update(s->digest, s->block + rest, room, err);
        if (code) return code;
        s->offset += room;
        s->at = 0;
        s->fill = rest + room;
    }
    if (s->fill - s->at < count) return unusable(err, "ends early");
    *bytes = s->block + s->at;
    s->at += count;
    return LRB_OK;
}

/* A log only grows, so a file that is ahead of it, or names more packs, belongs to another history. */
static int check_header(const uint8_t *at, const lrb_state *state, uint64_t file_bytes, uint32_t *packs,
                        uint64_t *slots, lrb_err *err) {
    static const uint8_t zero[6];
    uint64_t number = lrb_get_u64(at + AT_NUMBER);
    *packs = lrb_get_u32(at + AT_PACKS);
    *slots = lrb_get_u64(at + AT_SLOTS);
    if (memcmp(at, magic, sizeof magic) || lrb_get_u16(at + AT_VERSION) != LRB_FORMAT_VERSION ||
        memcmp(at + AT_VERSION + 2, zero, 6) || memcmp(at + AT_PACKS + 4, zero, 4))
        return unusable(err, "is of another format");
    if (memcmp(at + AT_REPOSITORY, state->repository_id, LRB_REPO_ID_BYTES) || number > state->last_number ||
        *packs > state->pack_count ||
        (number == state->last_number && memcmp(at + AT_DIGEST, state->last_digest.bytes, LRB_DIGEST_BYTES)))
        return unusable(err, "was made for another log");
    if (*slots > (uint64_t)*packs * LRB_PACK_MAX_CHUNKS ||
        HEADER_BYTES + (uint64_t)*packs * LRB_DIGEST_BYTES + *slots * SLOT_BYTES + LRB_DIGEST_BYTES != file_bytes)
        return unusable(err, "is not as long as it says");
    return LRB_OK;
}

/* positions[place] becomes the state's position of a pack in the file's list, or LRB_NO_PACK. */
static int read_packs(stream *s, const lrb_state *state, uint32_t packs, uint32_t *positions, lrb_err *err) {
    const uint8_t *bytes;
    int code = LRB_OK;
    for (uint32_t i = 0; !code && i < packs; i++) {
        lrb_id id;
        if ((code = next_bytes(s, LRB_DIGEST_BYTES, &bytes, err))) break;
        memcpy(id.bytes, bytes, LRB_DIGEST_BYTES);
        positions[i] = lrb_state_find_pack(state, &id);
        if (positions[i] != LRB_NO_PACK && state->packs[positions[i]].status == LRB_PACK_SWEPT)
            positions[i] = LRB_NO_PACK;
    }
    return code;
}

static int read_slots(stream *s, lrb_index *index, uint64_t slots, const uint32_t *positions, uint32_t packs,
                      lrb_err *err) {
    const uint8_t *bytes;
    int code = lrb_index_reserve(index, slots, err);
    for (uint64_t i = 0; !code && i < slots; i++) {
        lrb_id id = {{0}};
        if ((code = next_bytes(s, SLOT_BYTES, &bytes, err))) break;
        uint32_t place = lrb_get_u32(bytes + 8), ordinal = lrb_get_u32(bytes + 12);
        if (place >= packs || ordinal >= LRB_PACK_MAX_CHUNKS) return unusable(err, "has a slot that leads nowhere");
        memcpy(id.bytes, bytes, 8);
        if (positions[place] != LRB_NO_PACK) code = lrb_index_add(index, &id, positions[place], ordinal, err);
    }
    return code;
}

static int check_digest(stream *s, lrb_err *err) {
    uint8_t wanted[LRB_DIGEST_BYTES], digest[LRB_DIGEST_BYTES];
    int code = lrb_fs_read_exact(s->fd, wanted, sizeof wanted, s->end, label, err);
    if (!code) code = lrb_digest_finish(s->digest, digest, err);
    if (!code && memcmp(wanted, digest, sizeof digest)) code = unusable(err, "does not match its digest");
    return code;
}

static int open_file(stream *s, int cache_dir, uint64_t *file_bytes, lrb_err *err) {
    lrb_identity identity;
    int code = lrb_fs_open_read(cache_dir, file_name, &s->fd, err);
    if (!code) code = lrb_fs_identify(s->fd, &identity, err);
    if (code) return code;
    *file_bytes = identity.size_bytes;
    if (identity.size_bytes < HEADER_BYTES + LRB_DIGEST_BYTES) return unusable(err, "is too short");
    s->end = identity.size_bytes - LRB_DIGEST_BYTES;
    return LRB_OK;
}

static int load(lrb_index *fresh, const lrb_state *state, bool *covered, int cache_dir, lrb_err *err) {
    uint64_t file_bytes, slots;
    uint32_t packs, *positions = NULL;
    const uint8_t *header;
    stream s;
    int code = stream_prepare(&s, err);
    if (!code) code = open_file(&s, cache_dir, &file_bytes, err);
    if (!code) code = next_bytes(&s, HEADER_BYTES, &header, err);
    if (!code) code = check_header(header, state, file_bytes, &packs, &slots, err);
    if (code) goto done;
    positions = lrb_alloc_zero(packs, sizeof *positions);
    if (!positions) code = lrb_err_nomem(err, "load the chunk index");
    if (!code) code = read_packs(&s, state, packs, positions, err);
    if (!code) code = read_slots(&s, fresh, slots, positions, packs, err);
    if (!code) code = check_digest(&s, err);
    for (uint32_t i = 0; !code && i < packs; i++)
        if (positions[i] != LRB_NO_PACK) covered[positions[i]] = true;
done:
    lrb_free(positions);
    stream_close(&s);
    return code;
}

int lrb_index_load(lrb_index *index, const lrb_state *state, bool *covered, int cache_dir, bool *loaded, lrb_err *err) {
    lrb_index fresh;
    lrb_index_init(&fresh);
    int code = load(&fresh, state, covered, cache_dir, err);
    *loaded = code == LRB_OK;
    if (*loaded) {
        lrb_index_clear(index);
        *index = fresh;
        return LRB_OK;
    }
    lrb_index_clear(&fresh);
    if (code == LRB_E_NOMEM) return code;
    lrb_err_clear(err);
    return LRB_OK;
}
