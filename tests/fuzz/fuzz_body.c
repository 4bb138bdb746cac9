/* Snapshot bodies over a hostile store: reading ends, and a body read to its end can be written and reads the same. */
#include "records.h"
#include "repo/body.h"
#include "store.h"

#include "c/memory_store.h"

enum { TRANSCRIPT_MAX_BYTES = 4 << 20 };

/* Writes what is read, unless it is NULL or was refused. */
typedef struct copyist {
    lrb_body_writer *writer;
    uint64_t size_bytes;
    bool possible; /* every record so far can be written */
} copyist;

static void copy_skipped(copyist *c, const lrb_body_record *record) {
    char *reason, *name = record_skipped_texts(record, &reason);
    lrb_err err;
    MUST_OK(lrb_body_writer_skipped(c->writer, name, reason, &err));
    lrb_free(name);
}

static void copy_record(copyist *c, const lrb_body_record *record) {
    lrb_err err;
    c->possible = c->possible && record_can_be_written(record) &&
                  !__builtin_add_overflow(c->size_bytes, record->item.size_bytes, &c->size_bytes);
    if (!c->writer || !c->possible) return;
    if (record->type == LRB_BODY_FACTS)
        MUST_OK(lrb_body_writer_facts(c->writer, record->facts, record->facts_length, &err));
    else if (record->type == LRB_BODY_ITEM)
        MUST_OK(lrb_body_writer_item(c->writer, &record->item, &err));
    else
        copy_skipped(c, record);
}

/* Reads a whole body; its records, as a writer would write them, are appended to *transcript. */
static int read_body(const lrb_row *root, lrb_recipe_fetch fetch, void *arg, copyist *c, lrb_buf *transcript) {
    lrb_body_reader *reader;
    lrb_err err;
    bool done = false;
    MUST_OK(lrb_body_reader_new(root, fetch, arg, &reader, &err));
    int code = LRB_OK;
    for (;;) {
        lrb_body_record record;
        code = lrb_body_reader_next(reader, &record, &done, &err);
        if (code || done) break;
        copy_record(c, &record);
        if (c->possible) record_write(transcript, &record);
    }
    must_be_an_answer(code, &err);
    lrb_body_reader_free(reader);
    return code;
}

static void read_copy(memory_store *store, copyist *c, const lrb_buf *transcript) {
    uint8_t data_hash[32];
    uint64_t items, size_bytes;
    copyist idle = {.possible = true};
    lrb_row root;
    lrb_buf again;
    lrb_err err;
    lrb_buf_init(&again, TRANSCRIPT_MAX_BYTES);
    MUST_OK(lrb_body_writer_finish(c->writer, &root, data_hash, &items, &size_bytes, &err));
    MUST(size_bytes == c->size_bytes);
    MUST(!read_body(&root, memory_store_fetch, store, &idle, &again));
    MUST(again.length == transcript->length && !memcmp(again.data, transcript->data, again.length));
    lrb_buf_clear(&again);
}

/* input: store.h */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_store store;
    memory_store copies;
    copyist c = {.possible = true};
    lrb_buf transcript;
    lrb_row root;
    lrb_err err;
    fuzz_store_open(&store, data, size);
    MUST_OK(memory_store_init(&copies, &err));
    MUST_OK(lrb_body_writer_new(memory_store_put, &copies, &c.writer, &err));
    lrb_buf_init(&transcript, TRANSCRIPT_MAX_BYTES);
    int code = lrb_row_decode(store.root, &root, "root", &err);
    must_be_an_answer(code, &err);
    if (!code) code = read_body(&root, fuzz_store_fetch, &store, &c, &transcript);
    if (!code && c.possible) read_copy(&copies, &c, &transcript);
    lrb_body_writer_free(c.writer);
    lrb_buf_clear(&transcript);
    memory_store_clear(&copies);
    fuzz_store_close(&store);
    return 0;
}
