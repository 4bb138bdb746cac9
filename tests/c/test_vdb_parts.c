#include "lightrag/vdb_parts.h"

#include "base/mem.h"
#include "check.h"

static lrb_err err;

static const uint8_t data[] = "{\"first\", \"vector\": \"eJw=\"}, {\"vector\": \"AAAA";
static const lrb_vdb_record records[] = {{21, 4, 0}, {16, 4, 0}};

TEST(a_frame_comes_back) {
    lrb_vdb_frame frame = {.rows = 70000, .dim = 1024, .middle_bytes = 3, .end_bytes = 2,
                           .middle = (const uint8_t *)"\"}]", .end = (const uint8_t *)"\"}"};
    lrb_vdb_frame back;
    lrb_buf content;
    lrb_buf_init(&content, 100);
    CHECK_OK(lrb_vdb_frame_encode(&frame, &content, &err));
    CHECK_OK(lrb_vdb_frame_open(content.data, content.length, &back, &err));
    CHECK(back.rows == 70000 && back.dim == 1024 && back.middle_bytes == 3 && back.end_bytes == 2);
    CHECK(!memcmp(back.middle, "\"}]", 3) && !memcmp(back.end, "\"}", 2));
    for (size_t count = 0; count < content.length; count++)
        CHECK_FAILS(lrb_vdb_frame_open(content.data, count, &back, &err), LRB_E_DAMAGED);
    static const struct { size_t at; uint8_t instead; } wrong[] = {{12, 4}, {16, 3}, {20, 1}, {11, 1}, {4, 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t was = content.data[wrong[i].at];
        content.data[wrong[i].at] = wrong[i].instead;
        CHECK_FAILS(lrb_vdb_frame_open(content.data, content.length, &back, &err), LRB_E_DAMAGED);
        content.data[wrong[i].at] = was;
    }
    memset(content.data, 0, 8);
    CHECK_FAILS(lrb_vdb_frame_open(content.data, content.length, &back, &err), LRB_E_DAMAGED);
    lrb_buf_clear(&content);
}

TEST(texts_leave_payloads_out) {
    lrb_vdb_texts texts;
    lrb_buf content;
    lrb_buf_init(&content, 100);
    CHECK_OK(lrb_vdb_texts_encode(records, 2, data, &content, &err));
    CHECK_OK(lrb_vdb_texts_open(content.data, content.length, &texts, &err));
    CHECK(texts.records == 2 && lrb_vdb_text_bytes(&texts, 0) == 21 && lrb_vdb_text_bytes(&texts, 1) == 16);
    CHECK(texts.texts_bytes == 37 && !memcmp(texts.texts, "{\"first\", \"vector\": \"\"}, {\"vector\": \"", 37));
    for (size_t count = 0; count < content.length; count++)
        CHECK_FAILS(lrb_vdb_texts_open(content.data, count, &texts, &err), LRB_E_DAMAGED);
    content.data[3] = 0xff; /* more records than any content has */
    CHECK_FAILS(lrb_vdb_texts_open(content.data, content.length, &texts, &err), LRB_E_DAMAGED);
    memset(content.data, 0, 4);
    CHECK_FAILS(lrb_vdb_texts_open(content.data, content.length, &texts, &err), LRB_E_DAMAGED);
    lrb_buf_clear(&content);
}

TEST(every_failing_allocation_is_an_error) {
    lrb_vdb_frame frame = {.rows = 1, .dim = 1, .middle_bytes = 100, .end_bytes = 300, .middle = data, .end = data};
    static uint8_t text[400];
    frame.middle = frame.end = text;
    for (int64_t n = 0;; n++) {
        lrb_buf content;
        lrb_buf_init(&content, 1000);
        lrb_mem_fail_after(n, false);
        int code = lrb_vdb_frame_encode(&frame, &content, &err);
        if (!code) code = lrb_vdb_texts_encode(records, 2, data, &content, &err);
        lrb_mem_fail_after(-1, false);
        lrb_buf_clear(&content);
        CHECK(!code || code == LRB_E_NOMEM);
        if (!code) break;
    }
}

int main(void) {
    RUN(a_frame_comes_back);
    RUN(texts_leave_payloads_out);
    RUN(every_failing_allocation_is_an_error);
    return check_report();
}
