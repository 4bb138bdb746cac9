#include "repo/arrival.h"

#include <fcntl.h>
#include <string.h>

#include "base/fs.h"
#include "base/fs_direct.h"
#include "base/mem.h"
#include "codec/adler.h"
#include "codec/digest.h"

enum { MODE = 0600, PIECE_BYTES = 256 << 10 /* stays in the cache of one core between reading and hashing */ };

struct lrb_arrival {
    lrb_digest *digest;
    lrb_identity file; /* as it was when the digest was that of all its bytes */
    bool is_known;
};

int lrb_arrival_new(lrb_arrival **out, lrb_err *err) {
    lrb_arrival *made = lrb_alloc_zero(1, sizeof *made);
    if (!made) return lrb_err_nomem(err, "receive");
    int code = lrb_digest_new(&made->digest, err);
    if (code) lrb_free(made);
    else *out = made;
    return code;
}

void lrb_arrival_free(lrb_arrival *arrival) {
    if (!arrival) return;
    lrb_digest_free(arrival->digest);
    lrb_free(arrival);
}

const char *lrb_arrival_outcome_name(lrb_arrival_outcome outcome) {
    static const char *const names[] = {
        [LRB_ARRIVAL_MORE] = "more",       [LRB_ARRIVAL_WHOLE] = "whole", [LRB_ARRIVAL_HOME] = "home",
        [LRB_ARRIVAL_FLIPPED] = "flipped", [LRB_ARRIVAL_GAP] = "gap",     [LRB_ARRIVAL_WRONG] = "wrong",
    };
    return names[outcome];
}

/* LRB_OK also where nothing is there: *found is all zero then. */
static int look(const char *path, lrb_identity *found, lrb_err *err) {
    *found = (lrb_identity){0};
    int code = lrb_fs_identify_at(AT_FDCWD, path, found, err);
    return code == LRB_E_NOT_FOUND ? LRB_OK : code;
}

/* Whoever waited for the lock may have got that of a file that went home, or was thrown away. */
static int lock(const char *path, int fd, bool *is_still, lrb_err *err) {
    lrb_identity named, own;
    int code = lrb_fs_wait_lock(fd, path, err);
    if (!code) code = lrb_fs_identify(fd, &own, err);
    if (!code) code = look(path, &named, err);
    if (!code) *is_still = own.device == named.device && own.inode == named.inode;
    return code;
}

static void close_locked(int fd) {
    lrb_fs_end_lock(fd);
    lrb_fs_close(fd);
}

static int open_locked(const char *path, int *fd, lrb_err *err) {
    for (bool is_still = false;;) {
        int code = lrb_fs_open_or_create(AT_FDCWD, path, MODE, fd, err);
        if (code) return code;
        code = lock(path, *fd, &is_still, err);
        if (!code && is_still) return LRB_OK;
        close_locked(*fd);
        if (code) return code;
    }
}

/* What is there; of another length than is said now it is thrown away: the name cannot be right for both. */
static int look_at_own(const lrb_arrival_part *part, int fd, lrb_identity *found, lrb_err *err) {
    int code = lrb_fs_identify(fd, found, err);
    if (code || found->size_bytes <= part->size) return code;
    code = lrb_fs_set_size(fd, 0, part->path, err);
    return code ? code : lrb_fs_identify(fd, found, err);
}

static int put_down(lrb_arrival *arrival, const lrb_arrival_part *part, int fd, uint64_t held, lrb_err *err) {
    bool follows = arrival->is_known;
    arrival->is_known = false;
    int code = LRB_OK;
    if (!follows && !held) {
        code = lrb_digest_begin(arrival->digest, err);
        follows = true;
    }
    if (!code) code = lrb_fs_write_direct(fd, part->bytes, part->count, held, part->path, err);
    if (code) {
        lrb_err ignored; /* the first refusal is what is told */
        (void)lrb_fs_set_size(fd, held, part->path, &ignored);
        return code;
    }
    if (!follows) return LRB_OK;
    code = lrb_digest_update(arrival->digest, part->bytes, part->count, err);
    if (!code) code = lrb_fs_identify(fd, &arrival->file, err);
    arrival->is_known = !code;
    return code;
}

static int read_whole(lrb_digest *digest, const char *path, int fd, lrb_err *err) {
    uint8_t *piece = lrb_alloc(PIECE_BYTES);
    if (!piece) return lrb_err_nomem(err, "receive");
    size_t got = PIECE_BYTES;
    int code = lrb_digest_begin(digest, err);
    for (uint64_t at = 0; !code && got == PIECE_BYTES; at += got) {
        code = lrb_fs_read_at(fd, piece, PIECE_BYTES, at, &got, path, err);
        if (!code) code = lrb_digest_update(digest, piece, got, err);
    }
    lrb_free(piece);
    return code;
}

static int judge(lrb_arrival *arrival, const lrb_arrival_part *part, int fd, lrb_arrival_end *out, lrb_err *err) {
    uint8_t digest[LRB_DIGEST_BYTES];
    int code = arrival->is_known ? LRB_OK : read_whole(arrival->digest, part->path, fd, err);
    arrival->is_known = false;
    if (!code) code = lrb_digest_finish(arrival->digest, digest, err);
    if (code) return code;
    out->outcome = memcmp(digest, part->sha256, sizeof digest) ? LRB_ARRIVAL_WRONG : LRB_ARRIVAL_WHOLE;
    return out->outcome == LRB_ARRIVAL_WRONG ? lrb_fs_unlink(AT_FDCWD, part->path, err) : LRB_OK;
}

static int take_locked(lrb_arrival *arrival, const lrb_arrival_part *part, int fd, lrb_arrival_end *out, lrb_err *err) {
    lrb_identity found;
    int code = look_at_own(part, fd, &found, err);
    if (code) return code;
    out->held = found.size_bytes;
    arrival->is_known = arrival->is_known && lrb_identity_same(&arrival->file, &found);
    if (part->offset > out->held) {
        out->outcome = LRB_ARRIVAL_GAP;
        return LRB_OK;
    }
    if (part->offset == out->held) {
        if ((code = put_down(arrival, part, fd, out->held, err))) return code;
        out->held += part->count;
    }
    return out->held == part->size ? judge(arrival, part, fd, out, err) : LRB_OK;
}

int lrb_arrival_take(lrb_arrival *arrival, const lrb_arrival_part *part, lrb_arrival_end *out, lrb_err *err) {
    *out = (lrb_arrival_end){.outcome = LRB_ARRIVAL_MORE, .fd = -1};
    if (part->offset > part->size || part->count > part->size - part->offset)
        return lrb_err_set(err, LRB_E_INVALID, "receive", part->path, "the part ended behind the object it is of");
    if (part->has_sum && lrb_adler32(part->bytes, part->count) != part->sum) {
        out->outcome = LRB_ARRIVAL_FLIPPED;
        return LRB_OK;
    }
    lrb_identity home = {0};
    int fd, code = *part->home ? look(part->home, &home, err) : LRB_OK;
    if (!code && home.inode && home.size_bytes == part->size) {
        *out = (lrb_arrival_end){LRB_ARRIVAL_HOME, part->size, -1};
        return LRB_OK;
    }
    if (!code) code = open_locked(part->path, &fd, err);
    if (code) return code;
    code = take_locked(arrival, part, fd, out, err);
    if (!code && out->outcome == LRB_ARRIVAL_WHOLE) out->fd = fd;
    else close_locked(fd);
    return code;
}

static bool is_as_left(const lrb_arrival *arrival, const lrb_identity *found, const lrb_arrival_part *part) {
    return lrb_identity_same(&arrival->file, found) && found->size_bytes == part->offset;
}

bool lrb_arrival_follow(lrb_arrival *arrival, const lrb_arrival_part *part) {
    lrb_err ignored; /* lrb_arrival_take meets it again, and tells it */
    lrb_identity found;
    int fd;
    bool is_next = arrival->is_known && part->offset < part->size && part->count < part->size - part->offset &&
                   !look(part->path, &found, &ignored) && is_as_left(arrival, &found, part);
    if (!is_next || !part->has_sum || lrb_adler32(part->bytes, part->count) != part->sum) return false;
    if (open_locked(part->path, &fd, &ignored)) return false;
    bool followed = !lrb_fs_identify(fd, &found, &ignored) && is_as_left(arrival, &found, part) &&
                    !put_down(arrival, part, fd, part->offset, &ignored);
    close_locked(fd);
    return followed;
}
