#include "engine/writer.h"

#include <pthread.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/pack_file.h"
#include "repo/field.h"

enum {
    MAX_UNSETTLED = 16, /* packs written but not yet fdatasynced; bounds descriptors and the final wait */
    MAX_REOPENED = 8    /* own packs whose rows are kept for looking up repeated chunks; only when sealed */
};

typedef enum own_status { OWN_FILLING, OWN_WRITING, OWN_WRITTEN, OWN_SYNCING, OWN_SETTLED, OWN_LOST } own_status;

/* One pack of this run, from its first chunk on. */
typedef struct own_pack {
    own_status status;
    uint32_t count;
    lrb_pack_builder *builder; /* FILLING, WRITING */
    lrb_pack_file file;        /* from WRITTEN on */
} own_pack;

struct lrb_writer {
    lrb_repo *repo;
    lrb_job *job;
    pthread_mutex_t lock;
    own_pack *packs;
    uint32_t count, room, filling; /* filling: position of the open pack, or LRB_NO_PACK */
    uint32_t unsettled, syncing; /* packs WRITTEN; packs SYNCING, each in a thread that does not hold the lock */
    pthread_cond_t synced;       /* one less is SYNCING */
    lrb_pack_builder *spare;
    lrb_index index;           /* this run's chunks; pack = position in packs */
    bool *relied;              /* by position in the repository's state */
    uint32_t relied_room;
    uint64_t stored_bytes;
    struct { uint32_t position; lrb_pack *pack; } reopened[MAX_REOPENED];
    uint32_t reopened_next;    /* the slot to take next */
    lrb_pack_ref *refs;        /* what lrb_writer_packs answered last */
};

int lrb_writer_new(lrb_repo *repo, lrb_job *job, lrb_writer **out, lrb_err *err) {
    lrb_writer *writer = lrb_alloc_zero(1, sizeof *writer);
    if (!writer) return lrb_err_nomem(err, "start writing");
    writer->repo = repo;
    writer->job = job;
    writer->filling = LRB_NO_PACK;
    lrb_index_init(&writer->index);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->synced, NULL);
    *out = writer;
    return LRB_OK;
}

static void free_builder(lrb_pack_builder *builder) {
    if (!builder) return;
    lrb_pack_builder_clear(builder);
    lrb_free(builder);
}

void lrb_writer_free(lrb_writer *writer) {
    if (!writer) return;
    for (uint32_t i = 0; i < writer->count; i++) {
        free_builder(writer->packs[i].builder);
        if (writer->packs[i].status == OWN_WRITTEN) lrb_pack_file_discard(writer->repo, &writer->packs[i].file);
    }
    for (uint32_t i = 0; i < MAX_REOPENED; i++) lrb_pack_close(writer->reopened[i].pack);
    free_builder(writer->spare);
    lrb_index_clear(&writer->index);
    lrb_free(writer->packs);
    lrb_free(writer->relied);
    lrb_free(writer->refs);
    pthread_cond_destroy(&writer->synced);
    pthread_mutex_destroy(&writer->lock);
    lrb_free(writer);
}

/* ---- chunks of this run ---- */

/* A pack that left memory, opened again. Rows that are sealed can only be unsealed all at once. */
static int reopen_own(lrb_writer *writer, uint32_t position, const lrb_pack **out, lrb_err *err) {
    for (uint32_t i = 0; i < MAX_REOPENED; i++) {
        *out = writer->reopened[i].pack;
        if (*out && writer->reopened[i].position == position) return LRB_OK;
    }
    const lrb_pack_file *file = &writer->packs[position].file;
    bool settled = writer->packs[position].status == OWN_SETTLED;
    char name[2 * LRB_DIGEST_BYTES + 1];
    lrb_pack *pack;
    lrb_hex(file->ref.id.bytes, sizeof file->ref.id.bytes, name);
    int code = lrb_pack_open_file(settled ? lrb_repo_packs_dir(writer->repo) : lrb_repo_tmp_dir(writer->repo),
                                  settled ? name : file->tmp_name, &file->ref.id, file->ref.size_bytes,
                                  lrb_repo_vault(writer->repo), &pack, err);
    if (code) return code;
    uint32_t slot = writer->reopened_next++ % MAX_REOPENED;
    lrb_pack_close(writer->reopened[slot].pack);
    writer->reopened[slot].position = position;
    writer->reopened[slot].pack = pack;
    *out = pack;
    return LRB_OK;
}

/* The id at `ordinal` of a pack that left memory, read from its trailer. */
static int read_own_id(lrb_writer *writer, const own_pack *pack, uint32_t ordinal, lrb_id *id, lrb_err *err) {
    uint64_t offset = pack->file.ref.size_bytes - LRB_PACK_FOOTER_BYTES - (uint64_t)(pack->count - ordinal) * LRB_PACK_ROW_BYTES;
    int fd = pack->file.fd;
    char name[2 * LRB_DIGEST_BYTES + 1];
    if (pack->status == OWN_SETTLED) {
        lrb_hex(pack->file.ref.id.bytes, sizeof pack->file.ref.id.bytes, name);
        int code = lrb_fs_open_read(lrb_repo_packs_dir(writer->repo), name, &fd, err);
        if (code) return code;
    }
    int code = lrb_fs_read_exact(fd, id->bytes, sizeof id->bytes, offset, "packs", err);
    if (pack->status == OWN_SETTLED) lrb_fs_close(fd);
    return code;
}

static int own_id(lrb_writer *writer, uint32_t position, uint32_t ordinal, lrb_id *id, lrb_err *err) {
    if (!lrb_repo_vault(writer->repo)->sealed) return read_own_id(writer, &writer->packs[position], ordinal, id, err);
    const lrb_pack *pack;
    int code = reopen_own(writer, position, &pack, err);
    if (!code && ordinal >= pack->count) code = lrb_err_set(err, LRB_E_DAMAGED, "read", pack->label, "the pack lost its chunks");
    if (!code) *id = pack->rows[ordinal].id;
    return code;
}

/* Whether this run stored `id` already. A pack of ours that cannot be read back does not count: the chunk is stored again. */
static bool stored_by_run(lrb_writer *writer, const lrb_id *id) {
    uint64_t cursor = UINT64_MAX;
    uint32_t position, ordinal;
    while (lrb_index_next(&writer->index, id, &cursor, &position, &ordinal)) {
        const own_pack *pack = &writer->packs[position];
        lrb_id there;
        lrb_err ignored;
        if (pack->status == OWN_LOST) continue;
        if (pack->builder) there = pack->builder->rows[ordinal].id;
        else if (own_id(writer, position, ordinal, &there, &ignored)) continue;
        if (!lrb_id_compare(&there, id)) return true;
    }
    return false;
}

/* ---- the open pack ---- */

static int new_builder(lrb_writer *writer, lrb_pack_builder **out, lrb_err *err) {
    lrb_pack_builder *builder = writer->spare;
    writer->spare = NULL;
    int code;
    if (builder) {
        code = lrb_pack_builder_reset(builder, err);
    } else {
        if (!(builder = lrb_alloc_zero(1, sizeof *builder))) return lrb_err_nomem(err, "start a pack");
        code = lrb_pack_builder_init(builder, lrb_repo_vault(writer->repo), err);
    }
    if (code) free_builder(builder);
    else *out = builder;
    return code;
}

static int open_pack(lrb_writer *writer, lrb_err *err) {
    if (writer->filling != LRB_NO_PACK) return LRB_OK;
    if (writer->count == writer->room) {
        uint32_t room = writer->room ? writer->room * 2 : 16;
        own_pack *packs = lrb_resize_array(writer->packs, room, sizeof *packs);
        if (!packs) return lrb_err_nomem(err, "start a pack");
        writer->packs = packs;
        writer->room = room;
    }
    lrb_pack_builder *builder = NULL;
    int code = new_builder(writer, &builder, err);
    if (code) return code;
    writer->packs[writer->count] = (own_pack){.status = OWN_FILLING, .builder = builder, .file.fd = -1};
    writer->filling = writer->count++;
    return LRB_OK;
}

static int append_chunk(lrb_writer *writer, const lrb_stored *chunk, lrb_err *err) {
    int code = open_pack(writer, err);
    if (code) return code;
    own_pack *pack = &writer->packs[writer->filling];
    uint32_t ordinal;
    if ((code = lrb_index_reserve(&writer->index, writer->index.used + 1, err)) ||
        (code = lrb_pack_builder_add(pack->builder, chunk, &ordinal, err)))
        return code;
    pack->count = ordinal + 1;
    return lrb_index_add(&writer->index, &chunk->id, writer->filling, ordinal, err);
}

/* Writes pack `position`, which no other thread fills any more. Called without the lock. */
static int write_pack(lrb_writer *writer, uint32_t position, lrb_pack_builder *builder, lrb_digest *digest, lrb_err *err) {
    lrb_pack_file file;
    int code = lrb_pack_file_begin(writer->repo, builder, digest, &file, err);
    pthread_mutex_lock(&writer->lock);
    own_pack *pack = &writer->packs[position];
    pack->builder = NULL;
    pack->status = code ? OWN_LOST : OWN_WRITTEN;
    if (!code) {
        pack->file = file;
        writer->stored_bytes += file.ref.size_bytes;
        writer->unsettled++;
        atomic_store_explicit(&writer->job->counters.bytes_stored, writer->stored_bytes, memory_order_relaxed);
    }
    if (!writer->spare) {
        writer->spare = builder;
        builder = NULL;
    }
    pthread_mutex_unlock(&writer->lock);
    free_builder(builder);
    return code;
}

/* The lock is held, but while the disk works: others look up, append and write meanwhile. Until the pack has its name it is read by
 * the one in tmp/. */
static int settle(lrb_writer *writer, uint32_t position, lrb_err *err) {
    lrb_pack_file file = writer->packs[position].file; /* the list may move */
    writer->packs[position].status = OWN_SYNCING;
    writer->unsettled--;
    writer->syncing++;
    pthread_mutex_unlock(&writer->lock);
    int code = lrb_pack_file_sync(&file, err);
    pthread_mutex_lock(&writer->lock);
    own_pack *pack = &writer->packs[position];
    if (!code) code = lrb_pack_file_name(writer->repo, &pack->file, err);
    if (code) lrb_pack_file_discard(writer->repo, &pack->file);
    pack->status = code ? OWN_LOST : OWN_SETTLED;
    writer->syncing--;
    pthread_cond_broadcast(&writer->synced);
    return code;
}

/* Settles the oldest written packs until at most `allowed` are unsettled, beside one a thread. The lock is held. */
static int settle_down_to(lrb_writer *writer, uint32_t allowed, lrb_err *err) {
    for (uint32_t i = 0; i < writer->count && writer->unsettled > allowed; i++) {
        int code = writer->packs[i].status == OWN_WRITTEN ? settle(writer, i, err) : LRB_OK;
        if (code) return code;
    }
    return LRB_OK;
}

/* Takes the open pack out of the writer for writing. The lock is held. */
static lrb_pack_builder *detach(lrb_writer *writer, uint32_t *position) {
    *position = writer->filling;
    writer->filling = LRB_NO_PACK;
    writer->packs[*position].status = OWN_WRITING;
    return writer->packs[*position].builder;
}

/* ---- the public side ---- */

/* Marks a pack of the repository as relied on. The lock is held. */
static int mark_relied(lrb_writer *writer, uint32_t position, lrb_err *err) {
    if (position >= writer->relied_room) {
        uint32_t room = position + 256;
        bool *relied = lrb_resize_array(writer->relied, room, sizeof *relied);
        if (!relied) return lrb_err_nomem(err, "remember a pack");
        memset(relied + writer->relied_room, 0, (room - writer->relied_room) * sizeof *relied);
        writer->relied = relied;
        writer->relied_room = room;
    }
    writer->relied[position] = true;
    return LRB_OK;
}

int lrb_writer_rely(lrb_writer *writer, const lrb_id *id, bool *known, lrb_err *err) {
    pthread_mutex_lock(&writer->lock);
    *known = writer->index.used && stored_by_run(writer, id);
    pthread_mutex_unlock(&writer->lock);
    if (*known) return LRB_OK;
    lrb_place place;
    int code = lrb_repo_find(writer->repo, id, known, &place, err);
    if (code || !*known) return code;
    pthread_mutex_lock(&writer->lock);
    code = mark_relied(writer, place.pack, err);
    pthread_mutex_unlock(&writer->lock);
    return code;
}

int lrb_writer_rely_on(lrb_writer *writer, const lrb_row *rows, size_t count, bool *known, lrb_err *err) {
    uint32_t packs[LRB_RELY_MAX];
    int code = lrb_repo_find_all(writer->repo, rows, count, known, packs, err);
    if (code) return code;
    if (*known) {
        pthread_mutex_lock(&writer->lock);
        for (size_t i = 0; !code && i < count; i++) code = mark_relied(writer, packs[i], err);
        pthread_mutex_unlock(&writer->lock);
        return code;
    }
    *known = true; /* some may be of this run */
    for (size_t i = 0; !code && *known && i < count; i++) code = lrb_writer_rely(writer, &rows[i].id, known, err);
    return code;
}

int lrb_writer_put(lrb_writer *writer, lrb_coder *coder, lrb_chunk_kind kind, uint32_t dim, const void *content, size_t count, lrb_id *id,
                   bool *added, lrb_err *err) {
    int code = lrb_chunk_id(coder, lrb_repo_vault(writer->repo), kind, dim, content, count, id, err);
    return code ? code : lrb_writer_put_known(writer, coder, id, kind, dim, content, count, added, err);
}

int lrb_writer_put_known(lrb_writer *writer, lrb_coder *coder, const lrb_id *id, lrb_chunk_kind kind, uint32_t dim, const void *content,
                         size_t count, bool *added, lrb_err *err) {
    bool known;
    *added = false;
    int code = lrb_writer_rely(writer, id, &known, err);
    if (code) return code;
    if (known) {
        atomic_fetch_add_explicit(&writer->job->counters.bytes_skipped, count, memory_order_relaxed);
        return LRB_OK;
    }
    lrb_stored chunk;
    if ((code = lrb_chunk_encode(coder, id, kind, dim, content, count, &chunk, err))) return code;
    uint32_t position = LRB_NO_PACK;
    lrb_pack_builder *full = NULL;
    pthread_mutex_lock(&writer->lock);
    if (!stored_by_run(writer, id)) { /* another thread may have stored it in the meantime */
        code = append_chunk(writer, &chunk, err);
        *added = !code;
        if (!code && lrb_pack_builder_full(writer->packs[writer->filling].builder)) full = detach(writer, &position);
    }
    pthread_mutex_unlock(&writer->lock);
    if (code || !full) return code;
    if ((code = write_pack(writer, position, full, lrb_coder_digest(coder), err))) return code;
    pthread_mutex_lock(&writer->lock);
    code = settle_down_to(writer, MAX_UNSETTLED, err);
    pthread_mutex_unlock(&writer->lock);
    return code;
}

int lrb_writer_flush(lrb_writer *writer, lrb_coder *coder, lrb_err *err) {
    uint32_t position = LRB_NO_PACK;
    lrb_pack_builder *last = NULL;
    pthread_mutex_lock(&writer->lock);
    if (writer->filling != LRB_NO_PACK) last = detach(writer, &position);
    pthread_mutex_unlock(&writer->lock);
    int code = last ? write_pack(writer, position, last, lrb_coder_digest(coder), err) : LRB_OK;
    pthread_mutex_lock(&writer->lock);
    if (!code) code = settle_down_to(writer, 0, err);
    while (writer->syncing) pthread_cond_wait(&writer->synced, &writer->lock);
    bool any = writer->count;
    pthread_mutex_unlock(&writer->lock);
    if (!code && any) code = lrb_fs_sync(lrb_repo_packs_dir(writer->repo), "packs", err);
    return code;
}

int lrb_writer_packs(lrb_writer *writer, const lrb_pack_ref **packs, uint32_t *count, lrb_err *err) {
    lrb_pack_ref *refs = lrb_resize_array(writer->refs, writer->count ? writer->count : 1, sizeof *refs);
    if (!refs) return lrb_err_nomem(err, "name the packs");
    writer->refs = refs;
    *count = 0;
    for (uint32_t i = 0; i < writer->count; i++)
        if (writer->packs[i].status == OWN_SETTLED) refs[(*count)++] = writer->packs[i].file.ref;
    *packs = refs;
    return LRB_OK;
}

bool lrb_writer_has_chunks(const lrb_writer *writer) { return writer->count; }

uint64_t lrb_writer_stored_bytes(const lrb_writer *writer) { return writer->stored_bytes; }

/* ---- rule 2 of the log ---- */

/* Whether a pack this run relies on is still known and there. *known false without *present looked at when the state refuses it. */
static int look_at(const lrb_writer *writer, lrb_pack_status status, const lrb_pack_ref *ref, bool *known, bool *present, lrb_err *err) {
    *known = status == LRB_PACK_KNOWN;
    *present = false;
    return *known ? lrb_pack_file_present(lrb_repo_packs_dir(writer->repo), &ref->id, ref->size_bytes, present, err) : LRB_OK;
}

/* A pack of this run that no entry names yet is good while it is there; one that prune retired as an orphan is lost. */
static lrb_pack_status own_status_in(const lrb_state *state, const own_pack *pack) {
    uint32_t position = lrb_state_find_pack(state, &pack->file.ref.id);
    return position == LRB_NO_PACK ? LRB_PACK_KNOWN : state->packs[position].status;
}

static int refuse_lost(const lrb_id *id, lrb_err *err) {
    char name[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(id->bytes, sizeof id->bytes, name);
    return lrb_err_set(err, LRB_E_BUSY, "commit", name, "a pack the snapshot relies on was retired, removed or found damaged meanwhile");
}

int lrb_writer_check(lrb_writer *writer, const lrb_state *state, lrb_err *err) {
    bool known, present;
    int code;
    for (uint32_t i = 0; i < writer->relied_room && i < state->pack_count; i++) {
        if (!writer->relied[i]) continue;
        lrb_pack_ref ref = {state->packs[i].id, state->packs[i].size_bytes};
        if ((code = look_at(writer, state->packs[i].status, &ref, &known, &present, err))) return code;
        if (!known || !present) return refuse_lost(&ref.id, err);
    }
    for (uint32_t i = 0; i < writer->count; i++) {
        const own_pack *pack = &writer->packs[i];
        if (pack->status != OWN_SETTLED) continue;
        if ((code = look_at(writer, own_status_in(state, pack), &pack->file.ref, &known, &present, err))) return code;
        if (!known || !present) return refuse_lost(&pack->file.ref.id, err);
    }
    return LRB_OK;
}

/* Collects known packs that are not there; they are entered as damaged, so that their chunks count as unknown. */
static int find_missing(lrb_writer *writer, const lrb_state *state, lrb_buf *payload, lrb_err *err) {
    bool known, present;
    for (uint32_t i = 0; i < writer->relied_room && i < state->pack_count; i++) {
        if (!writer->relied[i]) continue;
        lrb_pack_ref ref = {state->packs[i].id, state->packs[i].size_bytes};
        int code = look_at(writer, state->packs[i].status, &ref, &known, &present, err);
        if (!code && known && !present) code = lrb_field_put(payload, LRB_F_PACK_REF, ref.id.bytes, sizeof ref.id.bytes, err);
        if (code) return code;
    }
    return LRB_OK;
}

static int forget_own(lrb_writer *writer, const lrb_state *state, lrb_err *err) {
    bool known, present;
    for (uint32_t i = 0; i < writer->count; i++) {
        own_pack *pack = &writer->packs[i];
        if (pack->status != OWN_SETTLED) continue;
        int code = look_at(writer, own_status_in(state, pack), &pack->file.ref, &known, &present, err);
        if (code) return code;
        if (!known || !present) pack->status = OWN_LOST;
    }
    return LRB_OK;
}

int lrb_writer_forget_lost(lrb_writer *writer, lrb_err *err) {
    lrb_buf payload;
    lrb_buf_init(&payload, LRB_ENTRY_MAX_BYTES);
    const lrb_state *state = lrb_repo_begin_read(writer->repo);
    int code = forget_own(writer, state, err);
    if (!code) code = find_missing(writer, state, &payload, err);
    lrb_repo_end_read(writer->repo);
    if (!code && payload.length) {
        lrb_draft draft = {.kind = LRB_ENTRY_DAMAGED, .payload = payload.data, .payload_length = payload.length};
        uint64_t number;
        code = lrb_repo_append(writer->repo, &draft, NULL, NULL, &number, err);
    }
    lrb_buf_clear(&payload);
    if (!code && writer->relied_room) memset(writer->relied, 0, writer->relied_room * sizeof *writer->relied);
    return code;
}
