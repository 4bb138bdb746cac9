/* A whole graph with some of its files replaced by anything: always a report, always JSON, never less than usable
 * without a finding.
 *
 * input: file number u8 | length u16 | that many bytes, repeated; the last one takes what is left. Files that are not
 * named come from tests/c/small_graph.h. Number SMALL_FILES on are those a graph has beside.
 */
#include "base/wire.h"
#include "c/small_graph.h"
#include "fuzz.h"
#include "lightrag/json.h"
#include "lightrag/validation.h"

static const char *const BESIDE[] = {"faiss_index_entities.index", "faiss_index_entities.index.meta.json",
                                     "_lightrag_config/kv_server_config.json", "_lightrag_config/storage_anchor.json",
                                     "kv_store_of_tomorrow.json"};
enum { FILES = SMALL_FILES + sizeof BESIDE / sizeof *BESIDE };

static void must_be_json(const lrb_buf *text) {
    lrb_bytes bytes = lrb_bytes_of_memory(text->data, text->length);
    lrb_json_value value = {.kind = LRB_JSON_NULL};
    lrb_json *j;
    lrb_err err;
    MUST_OK(lrb_json_new(&bytes, NULL, &j, &err));
    while (value.kind != LRB_JSON_END) MUST_OK(lrb_json_next(j, &value, &err));
    lrb_json_free(j);
}

static void must_report(lrb_validation *v) {
    lrb_buf json;
    lrb_err err;
    lrb_validation_state state = LRB_VALIDATION_MORE;
    lrb_buf_init(&json, 1 << 22);
    while (state != LRB_VALIDATION_DONE) {
        MUST_OK(lrb_validation_step(v, NULL, &state, &err));
        MUST(state != LRB_VALIDATION_IDLE); /* alone there is always something to do */
    }
    const lrb_report *report = lrb_validation_report(v);
    uint64_t errors = 0;
    for (int i = 0; i < LRB_CHECK_COUNT; i++)
        if (lrb_check_of((lrb_check)i)->severity == LRB_SEVERITY_ERROR) errors += report->lines[i].count;
    MUST((lrb_report_verdict(report) >= LRB_VERDICT_REPAIRABLE) == (errors > 0));
    MUST_OK(lrb_report_json(report, &json, &err));
    must_be_json(&json);
    lrb_buf_clear(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const lrb_validation_options options = {.workspace = ""};
    lrb_bytes given[FILES];
    uint8_t *copies[FILES] = {NULL};
    lrb_validation *v;
    lrb_err err;
    bool taken;
    for (int i = 0; i < SMALL_FILES; i++) given[i] = lrb_bytes_of_memory(SMALL_GRAPH[i].text, strlen(SMALL_GRAPH[i].text));
    for (lrb_view view = lrb_view_of(data, size); view.left > 3;) {
        size_t number = lrb_view_u8(&view) % FILES, length = lrb_view_u16(&view);
        if (length > view.left) length = view.left;
        if (copies[number]) break;
        copies[number] = fuzz_copy(lrb_view_bytes(&view, length), length);
        given[number] = lrb_bytes_of_memory(copies[number], length);
    }
    MUST_OK(lrb_validation_new(&options, &v, &err));
    for (size_t i = 0; i < FILES; i++)
        if (i < SMALL_FILES || copies[i])
            MUST_OK(lrb_validation_add(v, i < SMALL_FILES ? SMALL_GRAPH[i].name : BESIDE[i - SMALL_FILES], &given[i], &taken, &err));
    must_report(v);
    lrb_validation_free(v);
    for (size_t i = 0; i < FILES; i++) lrb_free(copies[i]);
    return 0;
}
