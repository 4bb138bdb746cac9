#include "lightrag/bytes.h"

#include <string.h>

int lrb_bytes_read_exact(const lrb_bytes *bytes, void *thread, uint64_t offset, void *into, size_t count, lrb_err *err) {
    size_t got;
    int code = bytes->read(bytes, thread, offset, into, count, &got, err);
    if (code || got == count) return code;
    return lrb_err_set(err, LRB_E_DAMAGED, "read", "", "the bytes ended early, at %llu",
                       (unsigned long long)(offset + got));
}

static int read_memory(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got,
                       lrb_err *err) {
    (void)thread, (void)err;
    uint64_t left = offset < self->length ? self->length - offset : 0;
    *got = left < room ? (size_t)left : room;
    if (*got) memcpy(into, (const uint8_t *)self->arg + offset, *got);
    return LRB_OK;
}

lrb_bytes lrb_bytes_of_memory(const void *memory, size_t count) {
    return (lrb_bytes){.read = read_memory, .arg = (void *)(uintptr_t)memory, .length = count};
}
