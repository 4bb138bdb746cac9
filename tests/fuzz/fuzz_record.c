/* Records of a body: what is accepted can be written, says the same when read again, and is then written alike. */
#include "fuzz.h"
#include "records.h"

enum { ROOM_BYTES = 2 * (LRB_RECORD_HEAD_BYTES + LRB_RECORD_MAX_BYTES) };

static void write_and_read(const lrb_body_record *record) {
    lrb_buf once, twice;
    lrb_body_record again;
    lrb_err err;
    lrb_buf_init(&once, ROOM_BYTES);
    lrb_buf_init(&twice, ROOM_BYTES);
    record_write(&once, record);
    lrb_view view = lrb_view_of(once.data, once.length);
    MUST_OK(lrb_record_parse(&view, "body chunk", &again, &err));
    MUST(!view.left && again.type == record->type);
    record_write(&twice, &again);
    MUST(once.length == twice.length && !memcmp(once.data, twice.data, once.length));
    lrb_buf_clear(&once);
    lrb_buf_clear(&twice);
}

/* input: records one after the other, as in a body's chunk */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_view view = lrb_view_of(data, size);
    int code = LRB_OK;
    while (!code && view.left) {
        lrb_body_record record;
        lrb_err err;
        size_t before = view.left;
        code = lrb_record_parse(&view, "body chunk", &record, &err);
        must_be_an_answer(code, &err);
        MUST(code || view.left < before);
        if (!code && record_can_be_written(&record)) write_and_read(&record);
    }
    return 0;
}
