/* Little-endian numbers in byte strings: a writer over lrb_buf, and a reader that cannot run over the end.
 *
 * The reader is "sticky": a read past the end returns zero (or NULL) and sets `bad`; callers read a
 * whole structure and look at `bad` once. Nothing here allocates but the writer's buffer.
 */
#ifndef LRB_BASE_WIRE_H
#define LRB_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

/* Where the processor's own order is little-endian these are plain loads and stores, which loops over them need to be
 * vectorised. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline void lrb_put_u16(uint8_t *at, uint16_t v) { memcpy(at, &v, sizeof v); }
static inline void lrb_put_u32(uint8_t *at, uint32_t v) { memcpy(at, &v, sizeof v); }
static inline void lrb_put_u64(uint8_t *at, uint64_t v) { memcpy(at, &v, sizeof v); }
static inline uint16_t lrb_get_u16(const uint8_t *at) {
    uint16_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline uint32_t lrb_get_u32(const uint8_t *at) {
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline uint64_t lrb_get_u64(const uint8_t *at) {
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
#else
static inline void lrb_put_u16(uint8_t *at, uint16_t v) {
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
}
static inline void lrb_put_u32(uint8_t *at, uint32_t v) {
    lrb_put_u16(at, (uint16_t)v);
    lrb_put_u16(at + 2, (uint16_t)(v >> 16));
}
static inline void lrb_put_u64(uint8_t *at, uint64_t v) {
    lrb_put_u32(at, (uint32_t)v);
    lrb_put_u32(at + 4, (uint32_t)(v >> 32));
}
static inline uint16_t lrb_get_u16(const uint8_t *at) {
    return (uint16_t)(at[0] | at[1] << 8);
}
static inline uint32_t lrb_get_u32(const uint8_t *at) {
    return (uint32_t)lrb_get_u16(at) | (uint32_t)lrb_get_u16(at + 2) << 16;
}
static inline uint64_t lrb_get_u64(const uint8_t *at) {
    return (uint64_t)lrb_get_u32(at) | (uint64_t)lrb_get_u32(at + 4) << 32;
}
#endif

int lrb_wire_u8(lrb_buf *out, uint8_t v, lrb_err *err);
int lrb_wire_u16(lrb_buf *out, uint16_t v, lrb_err *err);
int lrb_wire_u32(lrb_buf *out, uint32_t v, lrb_err *err);
int lrb_wire_u64(lrb_buf *out, uint64_t v, lrb_err *err);

typedef struct lrb_view {
    const uint8_t *at;
    size_t left;
    bool bad;
} lrb_view;

static inline lrb_view lrb_view_of(const void *bytes, size_t count) {
    lrb_view v = {(const uint8_t *)bytes, count, false};
    return v;
}
const uint8_t *lrb_view_bytes(lrb_view *view, size_t count); /* NULL and bad when fewer are left */
uint8_t lrb_view_u8(lrb_view *view);
uint16_t lrb_view_u16(lrb_view *view);
uint32_t lrb_view_u32(lrb_view *view);
uint64_t lrb_view_u64(lrb_view *view);

#endif
