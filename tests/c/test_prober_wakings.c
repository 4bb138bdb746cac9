/* How often the prober's thread wakes: once for several answers that come together, in time for a deadline, and not while
 * there is nothing to do. */
#include <curl/curl.h>
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>

#include "base/clock.h"
#include "check.h"
#include "net/prober.h"
#include "small_server.h"

static lrb_err err;
static small_server server;

enum { PACED = 800, SOON_MS = 50, LONG_MS = 20000, SETTLED_MS = 50, LISTENED_MS = 350, ATTEMPTS = 5 };

static bool set(lrb_prober *prober, const char *id, const char *path, int64_t total_ms) {
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", server.port, path);
    lrb_probe_target target = {.id = id, .base_url = url, .period_ms = 3600 * 1000, .connect_ms = total_ms, .total_ms = total_ms};
    return lrb_prober_set(prober, &target, &err) == LRB_OK;
}

static bool set_paced(lrb_prober *prober) {
    char id[16];
    for (int i = 0; i < PACED; i++) {
        snprintf(id, sizeof id, "paced%d", i);
        if (!set(prober, id, "paced", LONG_MS)) return false;
    }
    return true;
}

static void sweep(lrb_prober *prober) {
    struct pollfd readable = {.fd = lrb_prober_fd(prober), .events = POLLIN};
    uint64_t ticket = lrb_prober_check_all(prober);
    while (lrb_prober_swept(prober) < ticket) {
        lrb_prober_news news;
        poll(&readable, 1, LONG_MS);
        while (lrb_prober_next(prober, &news)) continue;
    }
}

/* ---- how often a thread slept, by the kernel's count ---- */

typedef struct rest {
    long sleeps;
    int64_t ns; /* for which it did not run */
} rest;

/* The prober's thread is the last that was started. */
static bool find_last_thread(char thread[17]) {
    DIR *all = opendir("/proc/self/task");
    if (!all) return false;
    *thread = 0;
    for (struct dirent *one; (one = readdir(all));)
        if (atol(one->d_name) > atol(thread)) snprintf(thread, 17, "%.16s", one->d_name);
    closedir(all);
    return *thread != 0;
}

static FILE *open_file_of(const char *thread, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", thread, name);
    return fopen(path, "r");
}

static bool read_rest(const char *thread, rest *out) {
    char line[128];
    int64_t ran_ns;
    bool both = false;
    FILE *status = open_file_of(thread, "status"), *times = open_file_of(thread, "schedstat");
    while (status && times && !both && fgets(line, sizeof line, status)) both = sscanf(line, "voluntary_ctxt_switches: %ld", &out->sleeps) == 1;
    both = both && fscanf(times, "%" SCNd64, &ran_ns) == 1;
    if (both) out->ns = lrb_clock_monotonic_ns() - ran_ns;
    if (status) fclose(status);
    if (times) fclose(times);
    return both;
}

TEST(answers_that_come_together_are_taken_together) {
    lrb_prober *prober;
    char thread[17];
    rest before, after;
    CHECK_OK(lrb_prober_start(&prober, &err));
    CHECK(find_last_thread(thread) && set_paced(prober));
    sweep(prober); /* which makes everything ready */
    CHECK(read_rest(thread, &before));
    sweep(prober);
    CHECK(read_rest(thread, &after));
    long sleeps = after.sleeps - before.sleeps, rested_ms = (long)((after.ns - before.ns) / 1000000);
    bool few = sleeps <= 2 * rested_ms + 10; /* until an answer comes, and a millisecond while others do */
    if (!few) printf("%ld sleeps in %ld ms\n", sleeps, rested_ms);
    CHECK(few);
    lrb_prober_stop(prober);
}

/* ---- deadlines ---- */

TEST(a_deadline_does_not_wait_for_answers_that_keep_coming) {
    lrb_prober *prober;
    lrb_prober_news news;
    int64_t last_ns = 0;
    CHECK_OK(lrb_prober_start(&prober, &err));
    CHECK(set(prober, "hangs", "hang", SOON_MS) && set_paced(prober)); /* probed first */
    sweep(prober);
    CHECK(lrb_prober_look(prober, "hangs", &news) && news.status == LRB_TARGET_UNREACHABLE && news.last.took_ms >= SOON_MS);
    char id[16];
    for (int i = 0; i < PACED; i++) {
        lrb_prober_news paced;
        snprintf(id, sizeof id, "paced%d", i);
        CHECK(lrb_prober_look(prober, id, &paced) && paced.status == LRB_TARGET_DEGRADED);
        if (paced.probed_ns > last_ns) last_ns = paced.probed_ns;
    }
    CHECK(news.probed_ns < last_ns);
    lrb_prober_stop(prober);
}

/* ---- while nothing comes ---- */

/* How often the thread woke while one probe waited for its answer, but for the beginning. */
static long wakings_of_a_wait(lrb_prober *prober, const char *thread) {
    rest before, after;
    uint64_t ticket;
    int requests = server.requests;
    if (!set(prober, "hangs", "hang", LONG_MS) || !lrb_prober_check(prober, "hangs", &ticket)) return -1;
    while (server.requests == requests) poll(NULL, 0, 1);
    poll(NULL, 0, SETTLED_MS);
    bool both = read_rest(thread, &before);
    poll(NULL, 0, LISTENED_MS);
    both = both && read_rest(thread, &after);
    return both ? after.sleeps - before.sleeps : -1;
}

TEST(who_waits_for_an_answer_is_not_looked_at) {
    lrb_prober *prober;
    char thread[17];
    long wakings = -1;
    CHECK_OK(lrb_prober_start(&prober, &err));
    CHECK(find_last_thread(thread));
    for (int i = 0; wakings && i < ATTEMPTS; i++) wakings = wakings_of_a_wait(prober, thread); /* on a busy machine it may settle late */
    CHECK(wakings == 0);
    lrb_prober_stop(prober);
}

int main(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT); /* before the prober does: so libcurl's blocks are malloc's, and AddressSanitizer sees them */
    small_server_start(&server);
    RUN(answers_that_come_together_are_taken_together);
    RUN(a_deadline_does_not_wait_for_answers_that_keep_coming);
    RUN(who_waits_for_an_answer_is_not_looked_at);
    small_server_stop(&server);
    return check_report();
}
