/* The validation of one small graph by several threads at once: the report of one thread alone. */
#include "lightrag/validation.h"

#include <pthread.h>

#include "judging.h"

static void *work(void *arg) {
    lrb_err own;
    return step_to_the_end(arg, &own) ? arg : NULL;
}

TEST(threads_find_the_same) {
    enum { THREADS = 4, ROUNDS = 20 };
    lrb_buf alone, together;
    const change changed = BECOMES("vdb_entities.json", "{\"embedding_dim\": 3, \"data\": [], \"matrix\": \"\"}");
    lrb_buf_init(&alone, 1 << 20);
    lrb_buf_init(&together, 1 << 20);
    CHECK_OK(validate(&changed, &PLAIN, &alone));
    for (int round = 0; round < ROUNDS; round++) {
        lrb_validation *v;
        pthread_t threads[THREADS];
        lrb_bytes bytes[JUDGED_FILES];
        void *failed;
        CHECK_OK(lrb_validation_new(&PLAIN, &v, &err));
        CHECK_OK(give(v, &changed, bytes, &err));
        for (int i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, work, v));
        for (int i = 0; i < THREADS; i++) CHECK(!pthread_join(threads[i], &failed) && !failed);
        lrb_buf_empty(&together);
        CHECK_OK(lrb_report_json(lrb_validation_report(v), &together, &err));
        CHECK(together.length + 1 == alone.length && !memcmp(together.data, alone.data, together.length));
        lrb_validation_free(v);
    }
    lrb_buf_clear(&alone);
    lrb_buf_clear(&together);
}

int main(void) {
    RUN(threads_find_the_same);
    return check_report();
}
