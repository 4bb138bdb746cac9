/* What the tests of verify, prune and the walk behind them share: a repository with snapshots, ways to damage it, and
 * whole jobs in one call. */
#ifndef LRB_TESTS_JOBS_H
#define LRB_TESTS_JOBS_H

#include <dirent.h>

#include "engine/pack_file.h"
#include "engine/prune.h"
#include "engine/verify.h"
#include "fixture.h"
#include "repo/field.h"

typedef struct shelf {
    fixture f;
    lrb_repo *repo;
} shelf;

static inline void shelf_open(shelf *s) {
    lrb_err err;
    fixture_open(&s->f);
    if (fixture_repo_open(s->f.storage, "g", true, &s->repo, &err)) printf("%s\n", err.message), exit(2);
}

static inline void shelf_close(shelf *s) {
    lrb_repo_close(s->repo);
    fixture_close(&s->f);
}

/* Nothing this process has open or remembers survives. */
static inline void shelf_reopen(shelf *s) {
    lrb_err err;
    lrb_repo_close(s->repo);
    if (fixture_repo_open(s->f.storage, "g", false, &s->repo, &err)) printf("%s: %s\n", err.target, err.message), exit(2);
}

static inline void shelf_path(const shelf *s, const char *below, char *out) {
    snprintf(out, 512, "%s/graphs/g/%s", s->f.storage, below);
}

/* Files of a size each, then a snapshot of them. */
static inline void shelf_backup(shelf *s, char id[LRB_SNAPSHOT_ID_MAX]) {
    lrb_backup_outcome outcome;
    lrb_err err;
    if (fixture_backup(&s->f, s->repo, &outcome, &err)) printf("%s: %s\n", err.target, err.message), exit(2);
    if (id) memcpy(id, outcome.snapshot_id, LRB_SNAPSHOT_ID_MAX);
}

static inline void shelf_remove_source(shelf *s, const char *name) {
    char path[512];
    fixture_path(path, s->f.source, name);
    unlink(path);
}

static inline int shelf_append(lrb_repo *repo, lrb_entry_kind kind, uint16_t tag, const void *value, size_t count,
                               lrb_err *err) {
    lrb_buf payload;
    uint64_t number;
    lrb_buf_init(&payload, 4096);
    int code = lrb_field_put(&payload, tag, value, count, err);
    lrb_draft draft = {.kind = kind, .payload = payload.data, .payload_length = payload.length};
    if (!code) code = lrb_repo_append(repo, &draft, NULL, NULL, &number, err);
    lrb_buf_clear(&payload);
    return code;
}

static inline int shelf_drop(shelf *s, const char *id, lrb_err *err) {
    return shelf_append(s->repo, LRB_ENTRY_DROP, LRB_F_SNAPSHOT_REF, id, strlen(id), err);
}

static inline int shelf_name_pack(shelf *s, lrb_entry_kind kind, const lrb_id *pack, lrb_err *err) {
    return shelf_append(s->repo, kind, LRB_F_PACK_REF, pack->bytes, sizeof pack->bytes, err);
}

/* ---- what the state says ---- */

static inline uint64_t shelf_last_number(shelf *s) {
    uint64_t number = lrb_repo_begin_read(s->repo)->last_number;
    lrb_repo_end_read(s->repo);
    return number;
}

static inline uint32_t shelf_count(shelf *s, lrb_pack_status status) {
    uint32_t count = 0;
    const lrb_state *state = lrb_repo_begin_read(s->repo);
    for (uint32_t i = 0; i < state->pack_count; i++) count += state->packs[i].status == status;
    lrb_repo_end_read(s->repo);
    return count;
}

/* The id of pack number `position`; its path in `path` unless NULL. */
static inline lrb_id shelf_pack(shelf *s, uint32_t position, char *path) {
    lrb_id id = lrb_repo_begin_read(s->repo)->packs[position].id;
    lrb_repo_end_read(s->repo);
    if (path) {
        char below[80] = "packs/";
        lrb_hex(id.bytes, sizeof id.bytes, below + 6);
        shelf_path(s, below, path);
    }
    return id;
}

static inline unsigned shelf_files(const shelf *s, const char *below) {
    char path[512];
    unsigned count = 0;
    shelf_path(s, below, path);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) count += entry->d_name[0] != '.';
    if (dir) closedir(dir);
    return count;
}

/* ---- damage ---- */

static inline size_t file_size(const char *path) {
    struct stat status;
    return stat(path, &status) ? 0 : (size_t)status.st_size;
}

static inline void flip_byte(const char *path, size_t offset) {
    chmod(path, 0640);
    FILE *file = fopen(path, "r+b");
    if (!file) perror(path), exit(2);
    fseek(file, (long)offset, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, (long)offset, SEEK_SET);
    fputc(byte ^ 0x40, file);
    fclose(file);
}

static inline void cut_file(const char *path, size_t size) {
    chmod(path, 0640);
    if (truncate(path, (off_t)size)) perror(path), exit(2);
}

/* Flips one byte of the first chunk of `kind` in a pack. */
static inline bool spoil_chunk(shelf *s, uint32_t position, lrb_chunk_kind kind) {
    char path[512];
    lrb_pack *pack;
    lrb_err err;
    shelf_pack(s, position, path);
    if (lrb_repo_pack_acquire(s->repo, position, &pack, &err)) return false;
    uint32_t offset = 0;
    for (uint32_t i = 0; i < pack->count && !offset; i++)
        if (pack->rows[i].kind == kind) offset = pack->rows[i].offset;
    lrb_repo_pack_release(s->repo, pack);
    if (offset) flip_byte(path, offset);
    return offset;
}

/* ---- jobs ---- */

typedef struct report {
    lrb_finding *findings;
    size_t count, notes;
    uint64_t objects, chunks, bytes, total;
} report;

static inline int run_verify(shelf *s, const char *id, lrb_verify_level level, bool mark, report *out, lrb_err *err) {
    lrb_job *job;
    *out = (report){0};
    int code = lrb_verify_new(s->repo, id, level, mark, &job, err);
    if (code) return code;
    lrb_job_run(job, &s->f.worker);
    *err = job->err;
    code = job->err.code;
    if (!code) {
        out->count = lrb_verify_finding_count(job);
        out->notes = lrb_verify_note_count(job);
        out->findings = calloc(out->count + 1, sizeof *out->findings);
        for (size_t i = 0; i < out->count; i++) out->findings[i] = *lrb_verify_finding_at(job, i);
        lrb_verify_totals(job, &out->objects, &out->chunks, &out->bytes, &out->total);
    }
    lrb_job_free(job);
    return code;
}

static inline void report_free(report *r) { free(r->findings); }

static inline const lrb_finding *report_find(const report *r, const char *object) {
    for (size_t i = 0; i < r->count; i++)
        if (strstr(r->findings[i].object, object)) return &r->findings[i];
    return NULL;
}

/* How many findings verify has, or -1 when it could not look. */
static inline long count_findings(shelf *s, const char *id, lrb_verify_level level) {
    report r;
    lrb_err err;
    if (run_verify(s, id, level, false, &r, &err)) return -1;
    report_free(&r);
    return (long)r.total;
}

static inline int run_prune_with(shelf *s, const lrb_prune_options *options, lrb_prune_outcome *out, lrb_err *err) {
    lrb_job *job;
    int code = lrb_prune_new(s->repo, options, &job, err);
    if (code) return code;
    lrb_job_run(job, &s->f.worker);
    *err = job->err;
    code = job->err.code;
    *out = *lrb_prune_result(job);
    lrb_job_free(job);
    return code;
}

static inline int run_prune(shelf *s, int64_t wait_ns, bool dry_run, bool repack, lrb_prune_outcome *out,
                            lrb_err *err) {
    lrb_prune_options options = {.wait_ns = wait_ns, .dry_run = dry_run, .repack = repack};
    return run_prune_with(s, &options, out, err);
}

/* ---- chunks without a backup ---- */

/* A pack made by hand: add chunks, then commit it with an entry that names it. */
typedef struct bundle {
    shelf *s;
    lrb_pack_builder builder;
} bundle;

static inline void bundle_begin(bundle *b, shelf *s) {
    lrb_err err;
    b->s = s;
    if (lrb_pack_builder_init(&b->builder, lrb_repo_vault(s->repo), &err)) exit(2);
}

static inline lrb_row bundle_add(bundle *b, lrb_chunk_kind kind, const void *content, size_t count) {
    lrb_coder *coder = b->s->f.worker.coder;
    lrb_row row = {.kind = kind, .count = (uint32_t)(kind == LRB_CHUNK_RECIPE ? count / LRB_ROW_BYTES : count)};
    lrb_stored stored;
    uint32_t ordinal;
    lrb_err err;
    if (lrb_chunk_id(coder, lrb_repo_vault(b->s->repo), kind, 0, content, count, &row.id, &err) ||
        lrb_chunk_encode(coder, &row.id, kind, 0, content, count, &stored, &err) ||
        lrb_pack_builder_add(&b->builder, &stored, &ordinal, &err))
        printf("%s\n", err.message), exit(2);
    return row;
}

static inline lrb_row bundle_recipe(bundle *b, const lrb_row *rows, size_t count) {
    uint8_t content[64 * LRB_ROW_BYTES];
    for (size_t i = 0; i < count; i++) lrb_row_encode(&rows[i], content + i * LRB_ROW_BYTES);
    return bundle_add(b, LRB_CHUNK_RECIPE, content, count * LRB_ROW_BYTES);
}

/* Writes the pack; with `entered`, an entry names it. Returns its name. */
static inline lrb_id bundle_end(bundle *b, bool entered) {
    lrb_pack_ref ref;
    lrb_err err;
    uint64_t number;
    int code = lrb_pack_file_write(b->s->repo, &b->builder, lrb_coder_digest(b->s->f.worker.coder), &ref, &err);
    lrb_draft draft = {.kind = LRB_ENTRY_REPACK, .packs = &ref, .pack_count = 1};
    if (!code && entered) code = lrb_repo_append(b->s->repo, &draft, NULL, NULL, &number, &err);
    if (code) printf("%s\n", err.message), exit(2);
    lrb_pack_builder_clear(&b->builder);
    return ref.id;
}

#endif
