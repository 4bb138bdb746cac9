/* Snapshots made by hand, chunk by chunk: such as no backup would make. */
#ifndef LRB_TESTS_MAKER_H
#define LRB_TESTS_MAKER_H

#include "engine/verify.h"
#include "engine/writer.h"
#include "restoring.h"

static lrb_err err;

/* For what a test needs and does not test. */
static inline void must(int code) {
    if (!code) return;
    printf("%s: %s\n", err.target, err.message);
    exit(2);
}

typedef struct maker {
    bench *b;
    lrb_writer *writer;
} maker;

static inline int store(void *arg, lrb_chunk_kind kind, const void *content, size_t count, lrb_id *id, lrb_err *error) {
    maker *m = arg;
    bool added;
    return lrb_writer_put(m->writer, m->b->f.worker.coder, kind, 0, content, count, id, &added, error);
}

static inline lrb_row put_raw(maker *m, size_t count, uint64_t seed) {
    static uint8_t bytes[1 << 16];
    lrb_row row = {.kind = LRB_CHUNK_RAW, .count = (uint32_t)count};
    fixture_fill(bytes, count, seed);
    must(store(m, row.kind, bytes, count, &row.id, &err));
    return row;
}

static inline lrb_row put_recipe(maker *m, const lrb_row *rows, size_t count) {
    lrb_recipe_builder *builder;
    lrb_row root;
    must(lrb_recipe_builder_new(store, m, &builder, &err));
    for (size_t i = 0; i < count; i++)
        must(lrb_recipe_builder_add(builder, &rows[i], &err));
    must(lrb_recipe_builder_finish(builder, &root, &err));
    lrb_recipe_builder_free(builder);
    return root;
}

static inline lrb_body_item item_of(const char *name, uint64_t size, lrb_row root) {
    return (lrb_body_item){.name = name,
                           .name_length = strlen(name),
                           .type = LRB_FILE_REGULAR,
                           .mode = 0644,
                           .size_bytes = size,
                           .root = root};
}

static inline void commit(maker *m, const lrb_body_item *items, size_t count) {
    lrb_body_writer *body;
    lrb_snapshot snapshot = {.consistency = "plain", .metadata = (char *)"{}"};
    lrb_buf payload;
    lrb_draft draft = {.kind = LRB_ENTRY_SNAPSHOT};
    uint64_t number;
    static int made;
    snprintf(snapshot.id, sizeof snapshot.id, "20260101T000000Z-%08x", ++made);
    lrb_buf_init(&payload, 1 << 20);
    int code = lrb_body_writer_new(store, m, &body, &err);
    if (!code) code = lrb_body_writer_facts(body, "{}", 2, &err);
    for (size_t i = 0; !code && i < count; i++) code = lrb_body_writer_item(body, &items[i], &err);
    if (!code)
        code = lrb_body_writer_finish(body, &snapshot.body_root, snapshot.data_hash.bytes, &snapshot.item_count,
                                      &snapshot.size_bytes, &err);
    lrb_body_writer_free(body);
    if (!code) code = lrb_writer_flush(m->writer, m->b->f.worker.coder, &err);
    if (!code) code = lrb_writer_packs(m->writer, &draft.packs, &draft.pack_count, &err);
    if (!code) code = lrb_snapshot_encode(&snapshot, &payload, &err);
    draft.payload = payload.data;
    draft.payload_length = payload.length;
    if (!code) code = lrb_repo_append(m->b->repo, &draft, NULL, NULL, &number, &err);
    lrb_buf_clear(&payload);
    must(code);
    snprintf(m->b->outcome.snapshot_id, sizeof m->b->outcome.snapshot_id, "%s", snapshot.id);
}

/* Whether verify says of the newest snapshot that something in it does not come back; by either level the same. */
static inline bool verify_complains(bench *b) {
    bool said[2];
    for (int i = 0; i < 2; i++) {
        lrb_job *job;
        must(lrb_verify_new(b->repo, b->outcome.snapshot_id, i ? LRB_VERIFY_DIGESTS : LRB_VERIFY_CATALOGUE, false, &job, &err));
        lrb_job_run(job, &b->f.worker);
        err = job->err;
        must(err.code);
        said[i] = lrb_verify_finding_count(job) > 0;
        const lrb_finding *finding = said[i] ? lrb_verify_finding_at(job, 0) : NULL;
        if (finding && !strstr(finding->object, b->outcome.snapshot_id)) printf("%s: %s\n", finding->object, finding->message), exit(2);
        lrb_job_free(job);
    }
    if (said[0] != said[1]) printf("the levels of verify disagree\n"), exit(2);
    return said[0];
}

static inline maker maker_open(bench *b) {
    static lrb_job job;
    maker m = {.b = b};
    job = (lrb_job){0};
    must(lrb_writer_new(b->repo, &job, &m.writer, &err));
    return m;
}

#endif
