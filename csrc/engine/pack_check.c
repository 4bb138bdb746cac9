#include "engine/pack_check.h"

#include <errno.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/mem.h"

enum {
    RUN_CHUNKS = 32,
    STEP_BYTES = 1 << 20,   /* of content */
    RUN_BYTES = 256 << 10,  /* of content that is decoded together */
    PIECE_BYTES = 256 << 10 /* of the file: what a piece holds is decoded from it, and both fit the near caches */
};

int lrb_pack_check_new(lrb_repo *repo, uint32_t position, const lrb_state_pack *known, bool digests,
                       const lrb_marks *only, lrb_pack_check **out, lrb_err *err) {
    lrb_pack_check *check = lrb_alloc_zero(1, sizeof *check);
    if (!check) return lrb_err_nomem(err, "check a pack");
    check->repo = repo;
    check->position = position;
    check->known = *known;
    check->digests = digests;
    check->only = only;
    *out = check;
    return LRB_OK;
}

void lrb_pack_check_free(lrb_pack_check *check) {
    if (!check) return;
    if (check->pack) lrb_pack_close(check->pack);
    lrb_digest_free(check->digest);
    lrb_free(check->bad);
    lrb_free(check);
}

/* ---- problems ---- */

/* Moves a failure into the struct. What says nothing about stored bytes (no memory, no descriptors) stays a failure;
 * what the machine refused for other reasons is a problem of its own kind. */
static int note(lrb_pack_check *check, lrb_err *err) {
    int code = err->code;
    if (code == LRB_E_NOMEM || code == LRB_E_CANCELLED || code == LRB_E_INTERNAL || err->sys_errno == EMFILE ||
        err->sys_errno == ENFILE)
        return code;
    /* What only a newer version understands may be whole: harm of any other kind says more. */
    if (!check->problem.code || check->problem.code == LRB_E_UNSUPPORTED) check->problem = *err;
    if (code == LRB_E_IO && err->sys_errno != EIO) check->refused = true;
    lrb_err_clear(err);
    return LRB_OK;
}

static int note_bad(lrb_pack_check *check, uint32_t ordinal, lrb_err *err) {
    if (check->bad_count == check->bad_room) {
        uint32_t room = check->bad_room ? check->bad_room * 2 : 16;
        uint32_t *bad = lrb_resize_array(check->bad, room, sizeof *bad);
        if (!bad) return lrb_err_nomem(err, "check a pack");
        check->bad = bad;
        check->bad_room = room;
    }
    check->bad[check->bad_count++] = ordinal;
    return LRB_OK;
}

/* ---- pieces ---- */

/* A pack of a version or seal that is not known: one whose bytes have its name is as a newer writer made it, others have flipped. */
static int judge_unknown(lrb_pack_check *check, lrb_err *err) {
    char name[2 * LRB_DIGEST_BYTES + 1], label[80];
    lrb_id found;
    uint8_t *bytes = NULL;
    size_t count;
    lrb_err unknown = *err;
    lrb_hex(check->known.id.bytes, LRB_DIGEST_BYTES, name);
    snprintf(label, sizeof label, "packs/%s", name);
    int code = lrb_fs_read_file(lrb_repo_packs_dir(check->repo), name, LRB_PACK_MAX_BYTES, &bytes, &count, err);
    if (!code) code = lrb_sha256(bytes, count, found.bytes, err);
    lrb_free(bytes);
    if (!code && !lrb_id_compare(&found, &check->known.id)) *err = unknown;
    else if (!code) lrb_err_set(err, LRB_E_DAMAGED, "check", label, "the SHA-256 of the file is not its name");
    return note(check, err);
}

static int open_pack(lrb_pack_check *check, lrb_err *err) {
    int code = lrb_pack_open(lrb_repo_packs_dir(check->repo), &check->known.id, check->known.size_bytes,
                             lrb_repo_vault(check->repo), &check->pack, err);
    if (code) {
        check->pack = NULL;
        check->unreadable = true;
        return code == LRB_E_UNSUPPORTED ? judge_unknown(check, err) : note(check, err);
    }
    if (!check->digests) return LRB_OK;
    if ((code = lrb_digest_new(&check->digest, err))) return code;
    return lrb_digest_begin(check->digest, err);
}

static int compare_name(lrb_pack_check *check, lrb_err *err) {
    lrb_id name;
    int code = lrb_digest_finish(check->digest, name.bytes, err);
    if (code || !lrb_id_compare(&name, &check->known.id)) return code;
    lrb_err_set(err, LRB_E_DAMAGED, "check", check->pack->label, "the SHA-256 of the file is not its name");
    return note(check, err);
}

/* Reads the next piece, which is hashed along with what it holds. */
static int read_piece(lrb_pack_check *check, lrb_worker *worker, lrb_digest_flow *flow, lrb_err *err) {
    lrb_pack *pack = check->pack;
    uint64_t left = pack->size_bytes - check->hashed;
    size_t count = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    int code = lrb_fs_read_exact(pack->fd, worker->input, count, check->hashed, pack->label, err);
    if (code) { /* the rest of the file cannot be hashed; its chunks are tried one by one */
        check->hashed = pack->size_bytes;
        return note(check, err);
    }
    pack->window.bytes = worker->input;
    pack->window.offset = check->hashed;
    pack->window.count = count;
    *flow = (lrb_digest_flow){check->digest, worker->input, count};
    check->hashed += count;
    check->bytes += count;
    return LRB_OK;
}

/* Chunks decoded one behind the other, whose ids are computed together, and with the piece of the file that has just been
 * read: two digests at a time are faster. */
typedef struct batch {
    lrb_digest_flow flow; /* no digest: the piece is hashed */
    uint32_t ordinals[LRB_CHUNK_IDS_MAX];
    size_t ends[LRB_CHUNK_IDS_MAX]; /* in the worker's content */
    size_t count;
} batch;

static int compare_ids(lrb_pack_check *check, lrb_worker *worker, batch *b, lrb_err *err) {
    lrb_content contents[LRB_CHUNK_IDS_MAX];
    lrb_id ids[LRB_CHUNK_IDS_MAX];
    for (size_t i = 0; i < b->count; i++) {
        const lrb_pack_row *row = &check->pack->rows[b->ordinals[i]];
        size_t from = i ? b->ends[i - 1] : 0;
        contents[i] = (lrb_content){(lrb_chunk_kind)row->kind, row->dim, worker->content.data + from, b->ends[i] - from};
    }
    int code = lrb_chunk_ids_beside(worker->coder, check->pack->vault, contents, b->count, ids, &b->flow, err);
    b->flow.digest = NULL;
    for (size_t i = 0; !code && i < b->count; i++) {
        if (!lrb_chunk_check_id(&check->pack->rows[b->ordinals[i]].id, &ids[i], check->pack->label, err)) continue;
        code = note(check, err);
        if (!code) code = note_bad(check, b->ordinals[i], err);
    }
    b->count = 0;
    lrb_buf_empty(&worker->content);
    return code;
}

/* Chunks that are decoded together. */
typedef struct run {
    uint32_t ordinals[RUN_CHUNKS];
    size_t count, bytes;
} run;

static void add(lrb_pack_check *check, batch *b, uint32_t ordinal, size_t end) {
    b->ordinals[b->count] = ordinal;
    b->ends[b->count++] = end;
    check->chunks++;
}

static int decode_chunk(lrb_pack_check *check, uint32_t ordinal, lrb_worker *worker, batch *b, lrb_err *err) {
    int code = lrb_pack_read_more(check->pack, ordinal, worker->coder, &worker->content, err);
    if (!code) {
        add(check, b, ordinal, worker->content.length);
        return LRB_OK;
    }
    check->chunks++;
    if ((code = note(check, err)) || (code = compare_ids(check, worker, b, err))) return code;
    return note_bad(check, ordinal, err);
}

/* All of the run, or, when something is wrong with any, one by one: what is wrong is said of each. */
static int decode_run(lrb_pack_check *check, const run *r, lrb_worker *worker, batch *b, lrb_err *err) {
    bool fits = b->count + r->count <= LRB_CHUNK_IDS_MAX && worker->content.length + r->bytes <= STEP_BYTES;
    int code = fits || !b->count ? LRB_OK : compare_ids(check, worker, b, err);
    if (code) return code;
    size_t end = worker->content.length;
    code = lrb_pack_read_many(check->pack, r->ordinals, r->count, worker->coder, &worker->content, err);
    if (code == LRB_E_NOMEM) return code;
    if (code) {
        lrb_err_clear(err);
        code = LRB_OK;
        for (size_t i = 0; !code && i < r->count; i++) code = decode_chunk(check, r->ordinals[i], worker, b, err);
        return code;
    }
    for (size_t i = 0; i < r->count; i++) {
        end += check->pack->rows[r->ordinals[i]].content_length;
        add(check, b, r->ordinals[i], end);
    }
    return LRB_OK;
}

/* Whether the next chunk lies within what was read of the file. */
static bool next_was_read(const lrb_pack_check *check) {
    if (check->next == check->pack->count) return false;
    const lrb_pack_row *row = &check->pack->rows[check->next];
    return row->offset + (uint64_t)row->stored_length <= check->hashed;
}

static void take_run(lrb_pack_check *check, run *r) {
    r->count = r->bytes = 0;
    while (r->count < RUN_CHUNKS && next_was_read(check)) {
        size_t length = check->pack->rows[check->next].content_length;
        if (r->count && r->bytes + length > RUN_BYTES) return;
        uint32_t ordinal = check->next++;
        if (check->only && !lrb_marks_has(check->only, (lrb_place){check->position, ordinal})) continue;
        r->ordinals[r->count++] = ordinal;
        r->bytes += length;
    }
}

static int decode_chunks(lrb_pack_check *check, const lrb_job *job, lrb_worker *worker, batch *b, lrb_err *err) {
    int code = LRB_OK;
    size_t decoded = 0;
    run r;
    lrb_buf_empty(&worker->content);
    while (!code && next_was_read(check) && decoded < STEP_BYTES) {
        take_run(check, &r);
        if (r.count) code = decode_run(check, &r, worker, b, err);
        if (!code) code = lrb_job_check(job, err);
        decoded += r.bytes;
    }
    return code ? code : compare_ids(check, worker, b, err);
}

/* A piece of the file and the chunks it ends; those that are left, when they are many, by themselves. */
static int check_piece(lrb_pack_check *check, const lrb_job *job, lrb_worker *worker, lrb_err *err) {
    batch b = {.count = 0};
    int code = next_was_read(check) ? LRB_OK : read_piece(check, worker, &b.flow, err);
    bool whole = b.flow.digest && check->hashed == check->pack->size_bytes;
    if (!code) code = decode_chunks(check, job, worker, &b, err);
    check->pack->window.count = 0; /* it is the worker's */
    return code || !whole ? code : compare_name(check, err);
}

int lrb_pack_check_step(lrb_pack_check *check, const lrb_job *job, lrb_worker *worker, bool *done, lrb_err *err) {
    int code = check->pack ? check_piece(check, job, worker, err) : open_pack(check, err);
    *done = check->unreadable || (check->pack && (!check->digests || (check->hashed == check->pack->size_bytes &&
                                                                     check->next == check->pack->count)));
    return code;
}

uint64_t lrb_pack_check_left(const lrb_pack_check *check) { return check->known.size_bytes - check->hashed; }

bool lrb_pack_check_is_newer(const lrb_pack_check *check) { return check->problem.code == LRB_E_UNSUPPORTED; }

void lrb_pack_check_message(const lrb_pack_check *check, char *out, size_t room) {
    if (check->problem.code == LRB_E_NOT_FOUND) snprintf(out, room, "the pack is missing");
    else if (lrb_pack_check_is_newer(check))
        snprintf(out, room, "%s of this program: it is not damaged, and nothing is noted in the log", check->problem.message);
    else if (check->bad_count)
        snprintf(out, room, "%u of its %u chunks cannot be read: %s", check->bad_count, check->pack->count,
                 check->problem.message);
    else if (check->refused || check->unreadable) snprintf(out, room, "%s", check->problem.message);
    else snprintf(out, room, "%s; the chunks looked at are whole", check->problem.message);
}
