#include "net/address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct range4 {
    uint32_t first;
    int bits;
    lrb_reach reach;
} range4;

/* The first row that holds an address decides. */
static const range4 ranges4[] = {
    {0x7f000000, 8, LRB_REACH_LOOPBACK},  /* 127/8 */
    {0x646464c8, 32, LRB_REACH_NEVER},    /* 100.100.100.200: Alibaba's metadata */
    {0xa83f8110, 32, LRB_REACH_NEVER},    /* 168.63.129.16: Azure's wire server */
    {0x00000000, 8, LRB_REACH_NEVER},     /* "this network": Linux takes 0.0.0.0 for itself */
    {0xa9fe0000, 16, LRB_REACH_NEVER},    /* 169.254/16: link-local, with most metadata services */
    {0xc0000000, 24, LRB_REACH_NEVER},    /* 192.0.0/24: protocol assignments, Oracle's metadata */
    {0xc0000200, 24, LRB_REACH_NEVER},    /* documentation */
    {0xc6336400, 24, LRB_REACH_NEVER},
    {0xcb007100, 24, LRB_REACH_NEVER},
    {0xc0586300, 24, LRB_REACH_NEVER},    /* 192.88.99/24: 6to4 relays, given up */
    {0xe0000000, 3, LRB_REACH_NEVER},     /* multicast, reserved, broadcast */
    {0x0a000000, 8, LRB_REACH_PRIVATE},   /* RFC 1918 */
    {0xac100000, 12, LRB_REACH_PRIVATE},
    {0xc0a80000, 16, LRB_REACH_PRIVATE},
    {0x64400000, 10, LRB_REACH_PRIVATE},  /* 100.64/10: carriers' NAT, and what VPNs make of it */
    {0xc6120000, 15, LRB_REACH_PRIVATE},  /* 198.18/15: benchmarks of networks */
};

static bool in_range4(uint32_t address, const range4 *range) {
    return (address ^ range->first) >> (32 - range->bits) == 0;
}

static lrb_reach reach4(uint32_t address) {
    for (size_t i = 0; i < sizeof ranges4 / sizeof ranges4[0]; i++)
        if (in_range4(address, &ranges4[i])) return ranges4[i].reach;
    return LRB_REACH_PUBLIC;
}

typedef struct range6 {
    uint8_t first[16];
    int bits;
    lrb_reach reach;
} range6;

static const range6 ranges6[] = {
    {{[15] = 1}, 128, LRB_REACH_LOOPBACK},                                   /* ::1 */
    {{0}, 128, LRB_REACH_NEVER},                                             /* :: */
    {{0xfd, 0x00, 0x0e, 0xc2}, 32, LRB_REACH_NEVER},                         /* fd00:ec2::/32: Amazon's metadata */
    {{0xfd, 0x20, 0x00, 0xce}, 32, LRB_REACH_NEVER},                         /* fd20:ce::/32: Google's */
    {{0xfe, 0x80}, 10, LRB_REACH_NEVER},                                     /* link-local */
    {{0xff}, 8, LRB_REACH_NEVER},                                            /* multicast */
    {{0x20, 0x01, 0x00, 0x00}, 32, LRB_REACH_NEVER},                         /* Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, LRB_REACH_NEVER},                         /* documentation */
    {{0x3f, 0xff, 0x00}, 20, LRB_REACH_NEVER},                               /* documentation, RFC 9637 */
    {{0x01, 0x00}, 64, LRB_REACH_NEVER},                                     /* discard only */
    {{0xfc}, 7, LRB_REACH_PRIVATE},                                          /* unique local */
    {{0xfe, 0xc0}, 10, LRB_REACH_PRIVATE},                                   /* site-local, given up */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, LRB_REACH_PRIVATE},           /* NAT64 of one's own */
};

/* Prefixes behind which an IPv4 address lies, and at which byte. */
static const struct {
    uint8_t first[16];
    int bits, at;
} carriers[] = {
    {{[10] = 0xff, [11] = 0xff}, 96, 12},     /* ::ffff:a.b.c.d */
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},       /* 64:ff9b::a.b.c.d */
    {{[8] = 0xff, [9] = 0xff}, 96, 12},       /* ::ffff:0:a.b.c.d */
    {{0x20, 0x02}, 16, 2},                    /* 2002:aabb:ccdd:: */
    {{0}, 96, 12},                            /* ::a.b.c.d */
};

static bool begins_with(const uint8_t address[16], const uint8_t first[16], int bits) {
    int bytes = bits / 8, rest = bits % 8;
    return !memcmp(address, first, (size_t)bytes) && (!rest || (address[bytes] ^ first[bytes]) >> (8 - rest) == 0);
}

static lrb_reach reach6(const uint8_t address[16]) {
    for (size_t i = 0; i < sizeof ranges6 / sizeof ranges6[0]; i++)
        if (begins_with(address, ranges6[i].first, ranges6[i].bits)) return ranges6[i].reach;
    for (size_t i = 0; i < sizeof carriers / sizeof carriers[0]; i++)
        if (begins_with(address, carriers[i].first, carriers[i].bits)) {
            const uint8_t *at = address + carriers[i].at;
            return reach4((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
        }
    return LRB_REACH_PUBLIC;
}

lrb_reach lrb_address_reach(const struct sockaddr *address, size_t length) {
    if (length >= sizeof(struct sockaddr_in) && address->sa_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof four);
        return reach4(ntohl(four.sin_addr.s_addr));
    }
    if (length >= sizeof(struct sockaddr_in6) && address->sa_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, address, sizeof six);
        return reach6(six.sin6_addr.s6_addr);
    }
    return LRB_REACH_NEVER;
}
