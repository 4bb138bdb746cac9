/* How often the prober's thread wakes: not while there is nothing to do. */
#include <curl/curl.h>
#include <dirent.h>
#include <poll.h>

#include "check.h"
#include "net/prober.h"
#include "small_server.h"

static lrb_err err;
static small_server server;

enum { LONG_MS = 20000, SETTLED_MS = 50, LISTENED_MS = 350, ATTEMPTS = 5 };

static bool set(lrb_prober *prober, const char *id, const char *path) {
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", server.port, path);
    lrb_probe_target target = {.id = id, .base_url = url, .period_ms = 3600 * 1000, .connect_ms = LONG_MS, .total_ms = LONG_MS};
    return lrb_prober_set(prober, &target, &err) == LRB_OK;
}

/* ---- how often a thread slept, by the kernel's count ---- */

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

static long sleeps_of(const char *thread) {
    char path[64], line[128];
    long sleeps = -1;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
    FILE *status = fopen(path, "r");
    while (status && sleeps < 0 && fgets(line, sizeof line, status))
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps) != 1) sleeps = -1;
    if (status) fclose(status);
    return sleeps;
}

/* ---- while nothing comes ---- */

/* How often the thread woke while one probe waited for its answer, but for the beginning. */
static long wakings_of_a_wait(lrb_prober *prober, const char *thread) {
    uint64_t ticket;
    int requests = server.requests;
    if (!set(prober, "hangs", "hang") || !lrb_prober_check(prober, "hangs", &ticket)) return -1;
    while (server.requests == requests) poll(NULL, 0, 1);
    poll(NULL, 0, SETTLED_MS);
    long before = sleeps_of(thread);
    poll(NULL, 0, LISTENED_MS);
    return before < 0 ? -1 : sleeps_of(thread) - before;
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
    RUN(who_waits_for_an_answer_is_not_looked_at);
    small_server_stop(&server);
    return check_report();
}
