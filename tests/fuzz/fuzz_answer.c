/* What a stranger answers a probe with: the first two bytes are the HTTP status. Some finding with a reason comes of it,
 * HEALTHY only with an instance, and no text is left that could disturb a terminal. */
#include "fuzz.h"
#include "net/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    uint8_t *copy = fuzz_copy(data + 2, size - 2);
    lrb_answer answer = {.http_status = 100 + (data[0] | data[1] << 8) % 500, .body = copy, .body_bytes = size - 2, .with_key = true};
    lrb_finding finding;
    lrb_err err;
    MUST_OK(lrb_answer_judge(&answer, &finding, &err));
    MUST(finding.reason[0] && (finding.status == LRB_TARGET_HEALTHY || finding.status == LRB_TARGET_DEGRADED));
    MUST(finding.status != LRB_TARGET_HEALTHY || (finding.instance_id[0] && answer.http_status == 200));
    for (const char *c = finding.reason; *c; c++) MUST((unsigned char)*c >= ' ' && *c != 0x7f);
    lrb_free(copy);
    return 0;
}
