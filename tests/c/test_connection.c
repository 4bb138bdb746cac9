/* How libcurl connects: what is judged before a socket is made, which paths are taken, and what is short here told from
 * what is refused there. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "check.h"
#include "net/connection.h"

static lrb_err err;

static struct curl_sockaddr address_of(const char *text, int port) {
    struct curl_sockaddr address = {.family = AF_INET, .socktype = SOCK_STREAM, .protocol = IPPROTO_TCP, .addrlen = sizeof(struct sockaddr_in)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, text, &four.sin_addr) != 1) printf("no address: %s\n", text);
    memcpy(&address.addr, &four, sizeof four);
    return address;
}

/* ---- what is judged ---- */

static const struct {
    const char *address;
    bool allow_http, allow_private, is_plain, has_key;
    lrb_refusal refusal;
} judged[] = {
    {"169.254.169.254", true, true, false, false, LRB_REFUSED_ADDRESS}, {"0.0.0.0", true, true, true, true, LRB_REFUSED_ADDRESS},
    {"10.0.0.1", true, false, false, false, LRB_REFUSED_PRIVATE},       {"10.0.0.1", false, true, false, true, LRB_REFUSED_NOT},
    {"10.0.0.1", false, false, true, true, LRB_REFUSED_PRIVATE},        {"10.0.0.1", false, true, true, true, LRB_REFUSED_PLAIN},
    {"10.0.0.1", true, true, true, true, LRB_REFUSED_NOT},              {"8.8.8.8", false, false, true, true, LRB_REFUSED_PLAIN},
    {"8.8.8.8", false, false, true, false, LRB_REFUSED_NOT},            {"8.8.8.8", true, false, true, true, LRB_REFUSED_NOT},
    {"8.8.8.8", false, false, false, true, LRB_REFUSED_NOT},            {"127.0.0.1", false, false, true, true, LRB_REFUSED_NOT},
};

TEST(an_address_is_judged_by_the_rules_of_its_request) {
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
        lrb_connection connection = {.allow_http = judged[i].allow_http, .allow_private = judged[i].allow_private,
                                     .is_plain = judged[i].is_plain, .has_key = judged[i].has_key};
        struct curl_sockaddr address = address_of(judged[i].address, 80);
        lrb_refusal found = lrb_connection_judge(&connection, &address.addr, address.addrlen);
        if (found != judged[i].refusal) printf("row %zu, %s: %d\n", i, judged[i].address, found);
        CHECK(found == judged[i].refusal);
    }
}

/* ---- sockets ---- */

TEST(a_socket_is_made_where_it_may_lead) {
    lrb_connection connection = {0};
    lrb_refusal refused = LRB_REFUSED_NOT;
    bool lacks = false;
    struct curl_sockaddr here = address_of("127.0.0.1", 80), private = address_of("10.0.0.1", 80);
    int fd = lrb_connection_open(&connection, &here, &refused, &lacks);
    CHECK(fd >= 0 && !refused && !lacks);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC && fcntl(fd, F_GETFL) & O_NONBLOCK);
    lrb_fs_close(fd);
    CHECK(lrb_connection_open(&connection, &private, &refused, &lacks) == CURL_SOCKET_BAD && refused == LRB_REFUSED_PRIVATE && !lacks);
}

TEST(a_socket_this_process_cannot_have_is_no_fault_of_the_address) {
    lrb_connection connection = {0};
    lrb_refusal refused = LRB_REFUSED_NOT;
    bool lacks = false;
    struct curl_sockaddr here = address_of("127.0.0.1", 80);
    struct rlimit before, none;
    CHECK(!getrlimit(RLIMIT_NOFILE, &before));
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    CHECK(!setrlimit(RLIMIT_NOFILE, &none));
    int fd = lrb_connection_open(&connection, &here, &refused, &lacks), why = errno;
    CHECK(!setrlimit(RLIMIT_NOFILE, &before));
    CHECK(fd == CURL_SOCKET_BAD && lacks && !refused && why == EMFILE);
    lacks = false;
    here.family = AF_MAX; /* as where a kernel has no IPv6: the next address may do */
    CHECK(lrb_connection_open(&connection, &here, &refused, &lacks) == CURL_SOCKET_BAD && !lacks && !refused);
}

/* ---- what libcurl is told ---- */

TEST(paths_are_copied_or_refused) {
    static char longest[LRB_CERTIFICATE_PATH_BYTES + 2];
    lrb_connection connection = {0};
    CHECK_OK(lrb_connection_take_path(&connection.ca_file, NULL, "there", &err));
    CHECK(!connection.ca_file);
    CHECK_FAILS(lrb_connection_take_path(&connection.ca_file, "", "there", &err), LRB_E_INVALID);
    CHECK(!strcmp(err.target, "there") && strstr(err.message, "certificate"));
    memset(longest, 'a', sizeof longest - 1);
    CHECK_FAILS(lrb_connection_take_path(&connection.ca_file, longest, "there", &err), LRB_E_INVALID);
    longest[LRB_CERTIFICATE_PATH_BYTES] = 0;
    lrb_mem_fail_after(0, false);
    int code = lrb_connection_take_path(&connection.ca_file, longest, "there", &err);
    lrb_mem_fail_after(-1, false);
    CHECK(code == LRB_E_NOMEM && !connection.ca_file);
    CHECK_OK(lrb_connection_take_path(&connection.ca_file, longest, "there", &err));
    CHECK(connection.ca_file != longest && !strcmp(connection.ca_file, longest));
    lrb_connection_clear(&connection);
    CHECK(!connection.ca_file);
}

/* Of a transfer that was set without memory nothing is left, and it is set again. */
TEST(without_memory_nothing_is_half_told) {
    lrb_connection connection = {.ca_file = (char *)"/ca", .certificate = (char *)"/own", .certificate_key = (char *)"/key", .connect_ms = 1000};
    CURL *easy = curl_easy_init();
    CHECK(easy && !lrb_curl_begin(&err) && !lrb_curl_begin(&err));
    int64_t countdown = 0;
    bool set = false;
    for (; !set; countdown++) {
        lrb_mem_fail_after(countdown, false);
        set = lrb_connection_set(easy, &connection);
        lrb_mem_fail_after(-1, false);
        curl_easy_reset(easy);
    }
    CHECK(countdown > 1); /* libcurl's memory is of base/mem */
    connection.is_plain = true;
    CHECK(lrb_connection_set(easy, &connection));
    curl_easy_cleanup(easy);
}

TEST(a_limit_of_libcurls_is_told_from_a_lack_of_memory) {
    int64_t before = lrb_mem_refusals();
    CHECK(lrb_connection_met_a_limit(CURLE_OUT_OF_MEMORY, before) && !lrb_connection_lacked_memory(CURLE_OUT_OF_MEMORY, before));
    CHECK(lrb_connection_met_a_limit(CURLE_OUT_OF_MEMORY, before - 1) == false && lrb_connection_lacked_memory(CURLE_OUT_OF_MEMORY, before - 1));
    CHECK(lrb_connection_met_a_limit((CURLcode)100, before - 1) && lrb_connection_lacked_memory(CURLE_FAILED_INIT, before));
    CHECK(!lrb_connection_met_a_limit(CURLE_OK, before - 1) && !lrb_connection_lacked_memory(CURLE_OK, before - 1));
}

int main(void) {
    lrb_mem_fail_after(0, false); /* the place for blocks: so libcurl's are base/mem's one by one, and malloc's */
    if (lrb_curl_begin(&err)) return 2;
    lrb_mem_fail_after(-1, false);
    RUN(an_address_is_judged_by_the_rules_of_its_request);
    RUN(a_socket_is_made_where_it_may_lead);
    RUN(a_socket_this_process_cannot_have_is_no_fault_of_the_address);
    RUN(paths_are_copied_or_refused);
    RUN(without_memory_nothing_is_half_told);
    RUN(a_limit_of_libcurls_is_told_from_a_lack_of_memory);
    return check_report();
}
