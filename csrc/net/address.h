/* Where an address leads: whether a program that was told a URL by somebody may connect there.
 *
 * A target's URL is data, and so is what its name resolves to. Addresses that lead to the machine itself, into the
 * network around it, or to a cloud's metadata service are told apart from the open Internet by IANA's registries of
 * special-purpose addresses (RFC 6890 and its updates) and by what the clouds document. An IPv6 address that carries an
 * IPv4 one (mapped, compatible, 6to4, NAT64) is judged by the latter. What no unicast connection can need, or what only
 * serves to hide an address (Teredo), is NEVER. No state, any thread.
 */
#ifndef LRB_NET_ADDRESS_H
#define LRB_NET_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

typedef enum lrb_reach {
    LRB_REACH_PUBLIC,
    LRB_REACH_LOOPBACK, /* this machine */
    LRB_REACH_PRIVATE,  /* the network around it */
    LRB_REACH_NEVER     /* link-local, metadata services, multicast, reserved, no IP address at all */
} lrb_reach;

lrb_reach lrb_address_reach(const struct sockaddr *address, size_t length);

#endif
