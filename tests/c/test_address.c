/* Where an address leads: one row per kind, in both spellings where an IPv4 address can hide in an IPv6 one. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "check.h"
#include "net/address.h"

static lrb_reach reach_of(const char *text) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) return lrb_address_reach((struct sockaddr *)&four, sizeof four);
    if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1) return lrb_address_reach((struct sockaddr *)&six, sizeof six);
    printf("no address: %s\n", text);
    return (lrb_reach)-1;
}

static const struct {
    const char *address;
    lrb_reach reach;
} table[] = {
    {"127.0.0.1", LRB_REACH_LOOPBACK},        {"127.255.255.254", LRB_REACH_LOOPBACK}, {"::1", LRB_REACH_LOOPBACK},
    {"::ffff:127.0.0.1", LRB_REACH_LOOPBACK}, {"64:ff9b::7f00:1", LRB_REACH_LOOPBACK},
    {"10.0.0.1", LRB_REACH_PRIVATE},          {"172.16.0.1", LRB_REACH_PRIVATE},       {"172.31.255.255", LRB_REACH_PRIVATE},
    {"192.168.1.1", LRB_REACH_PRIVATE},       {"100.64.0.1", LRB_REACH_PRIVATE},       {"100.127.255.255", LRB_REACH_PRIVATE},
    {"198.18.0.1", LRB_REACH_PRIVATE},        {"fc00::1", LRB_REACH_PRIVATE},          {"fdff::1", LRB_REACH_PRIVATE},
    {"fec0::1", LRB_REACH_PRIVATE},           {"::ffff:10.1.2.3", LRB_REACH_PRIVATE},  {"2002:c0a8:101::1", LRB_REACH_PRIVATE},
    {"64:ff9b:1::1", LRB_REACH_PRIVATE},      {"::192.168.0.1", LRB_REACH_PRIVATE},    {"::ffff:0:10.0.0.1", LRB_REACH_PRIVATE},
    {"0.0.0.0", LRB_REACH_NEVER},             {"0.1.2.3", LRB_REACH_NEVER},            {"169.254.169.254", LRB_REACH_NEVER},
    {"169.254.0.1", LRB_REACH_NEVER},         {"100.100.100.200", LRB_REACH_NEVER},    {"168.63.129.16", LRB_REACH_NEVER},
    {"192.0.0.192", LRB_REACH_NEVER},         {"224.0.0.1", LRB_REACH_NEVER},          {"240.0.0.1", LRB_REACH_NEVER},
    {"255.255.255.255", LRB_REACH_NEVER},     {"::", LRB_REACH_NEVER},                 {"fe80::1", LRB_REACH_NEVER},
    {"febf::1", LRB_REACH_NEVER},             {"fd00:ec2::254", LRB_REACH_NEVER},      {"fd20:ce::254", LRB_REACH_NEVER},
    {"ff02::1", LRB_REACH_NEVER},             {"2001:0:1::1", LRB_REACH_NEVER},        {"2001:db8::1", LRB_REACH_NEVER},
    {"::ffff:169.254.169.254", LRB_REACH_NEVER}, {"2002:a9fe:a9fe::1", LRB_REACH_NEVER}, {"64:ff9b::a9fe:a9fe", LRB_REACH_NEVER},
    {"1.1.1.1", LRB_REACH_PUBLIC},            {"172.15.255.255", LRB_REACH_PUBLIC},    {"172.32.0.1", LRB_REACH_PUBLIC},
    {"100.63.255.255", LRB_REACH_PUBLIC},     {"100.128.0.1", LRB_REACH_PUBLIC},       {"11.0.0.1", LRB_REACH_PUBLIC},
    {"223.255.255.255", LRB_REACH_PUBLIC},    {"2606:4700::1", LRB_REACH_PUBLIC},      {"2001:1::1", LRB_REACH_PUBLIC},
    {"::ffff:8.8.8.8", LRB_REACH_PUBLIC},     {"fbff::1", LRB_REACH_PUBLIC},
};

TEST(an_address_leads_where_the_registries_say) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        lrb_reach reach = reach_of(table[i].address);
        if (reach != table[i].reach) printf("%s: %d\n", table[i].address, reach);
        CHECK(reach == table[i].reach);
    }
}

TEST(what_is_no_internet_address_is_never_connected_to) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808)};
    CHECK(lrb_address_reach((struct sockaddr *)&four, sizeof four) == LRB_REACH_PUBLIC);
    CHECK(lrb_address_reach((struct sockaddr *)&four, sizeof four - 1) == LRB_REACH_NEVER);
    four.sin_family = AF_UNIX;
    CHECK(lrb_address_reach((struct sockaddr *)&four, sizeof four) == LRB_REACH_NEVER);
}

int main(void) {
    RUN(an_address_leads_where_the_registries_say);
    RUN(what_is_no_internet_address_is_never_connected_to);
    return check_report();
}
