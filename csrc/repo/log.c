#include "repo/log.h"

#include "base/fs.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_DIGITS = 20 };

void lrb_log_name(uint64_t number, char out[21]) {
    snprintf(out, NAME_DIGITS + 1, "%020" PRIu64, number);
}

/* ---- which numbers are there ---- */

typedef struct scan {
    bool found;
    uint64_t highest;
} scan;

static bool parse_name(const char *name, uint64_t *number) {
    uint64_t value = 0;
    if (strlen(name) != NAME_DIGITS) return false;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(name[i] - '0'), &value))
            return false;
    }
    *number = value;
    return true;
}

static int scan_name(void *arg, const char *name, lrb_err *err) {
    scan *s = arg;
    uint64_t number;
    (void)err;
    if (parse_name(name, &number) && (!s->found || number > s->highest)) {
        s->found = true;
        s->highest = number;
    }
    return LRB_OK;
}

int lrb_log_highest(int log_dir, bool *found, uint64_t *highest, lrb_err *err) {
    scan s = {false, 0};
    int code = lrb_fs_list(log_dir, scan_name, &s, "log", err);
    if (code) return code;
    *found = s.found;
    *highest = s.highest;
    return LRB_OK;
}

static int add_name(void *arg, const char *name, lrb_err *err) {
    lrb_log_numbers *numbers = arg;
    uint64_t number;
    if (!parse_name(name, &number)) return LRB_OK; /* not a log entry's name: nobody reads it */
    if (numbers->count == numbers->room) {
        size_t room = numbers->room ? numbers->room * 2 : 256;
        uint64_t *at = lrb_resize_array(numbers->at, room, sizeof *at);
        if (!at) return lrb_err_nomem(err, "list the log");
        numbers->at = at;
        numbers->room = room;
    }
    numbers->at[numbers->count++] = number;
    return LRB_OK;
}

static int compare_numbers(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int lrb_log_list(int log_dir, lrb_log_numbers *numbers, lrb_err *err) {
    *numbers = (lrb_log_numbers){0};
    int code = lrb_fs_list(log_dir, add_name, numbers, "log", err);
    if (!code && numbers->count) qsort(numbers->at, numbers->count, sizeof *numbers->at, compare_numbers);
    return code;
}

/* ---- reading ---- */

/* What bears an entry's name and is no file is a damaged entry like any other. */
static int open_entry(int log_dir, const char *name, const char *label, int *fd, lrb_err *err) {
    int code = lrb_fs_open_read(log_dir, name, fd, err);
    if (code != LRB_E_INVALID) return code;
    lrb_err found = *err;
    return lrb_err_set(err, LRB_E_DAMAGED, "open", label, "log entry cannot be read: %s", found.message);
}

static int read_bytes(int log_dir, const char *name, const char *label, lrb_buf *bytes, lrb_err *err) {
    int fd = -1;
    lrb_identity identity;
    lrb_buf_empty(bytes);
    int code = open_entry(log_dir, name, label, &fd, err);
    if (code) return code;
    code = lrb_fs_identify(fd, &identity, err);
    if (!code && identity.size_bytes > LRB_ENTRY_MAX_BYTES)
        code = lrb_err_set(err, LRB_E_DAMAGED, "read", label, "log entry is longer than any entry may be");
    if (!code) code = lrb_buf_reserve(bytes, (size_t)identity.size_bytes, err);
    if (!code) code = lrb_fs_read_exact(fd, bytes->data, (size_t)identity.size_bytes, 0, label, err);
    if (!code) bytes->length = (size_t)identity.size_bytes;
    lrb_fs_close(fd);
    return code;
}

static int check_expected(const lrb_entry *entry, uint64_t number, const lrb_log_expect *expect, const char *label,
                          lrb_err *err) {
    if (entry->number != number)
        return lrb_err_set(err, LRB_E_DAMAGED, "read", label, "log entry says it is number %" PRIu64, entry->number);
    if (!expect) return LRB_OK;
    if (expect->graph_id && strcmp(expect->graph_id, entry->graph_id))
        return lrb_err_set(err, LRB_E_FOREIGN, "read", label, "log entry belongs to graph %s", entry->graph_id);
    if (expect->repository_id && memcmp(expect->repository_id, entry->repository_id, LRB_REPO_ID_BYTES))
        return lrb_err_set(err, LRB_E_FOREIGN, "read", label, "log entry belongs to another repository");
    if (expect->previous && memcmp(expect->previous->bytes, entry->previous.bytes, LRB_DIGEST_BYTES))
        return lrb_err_set(err, LRB_E_DAMAGED, "read", label,
                           "log entry does not follow the entry before it: one of the two was replaced");
    return LRB_OK;
}

int lrb_log_read(int log_dir, uint64_t number, const lrb_log_expect *expect, lrb_buf *bytes, lrb_entry *entry,
                 lrb_id *digest, lrb_err *err) {
    char name[21], label[32];
    lrb_log_name(number, name);
    snprintf(label, sizeof label, "log/%s", name);
    memset(entry, 0, sizeof *entry);
    int code = read_bytes(log_dir, name, label, bytes, err);
    if (!code) code = lrb_sha256(bytes->data, bytes->length, digest->bytes, err); /* before it is unsealed in place */
    if (!code) code = lrb_entry_decode(bytes->data, bytes->length, expect ? expect->vault : NULL, label, entry, err);
    if (!code) code = check_expected(entry, number, expect, label, err);
    if (code) lrb_entry_clear(entry);
    return code;
}

int lrb_log_read_stored(int log_dir, uint64_t number, const lrb_log_expect *expect, lrb_buf *bytes, lrb_id *digest,
                        int64_t *time_ns, lrb_err *err) {
    char name[21], label[32];
    lrb_log_name(number, name);
    snprintf(label, sizeof label, "log/%s", name);
    lrb_buf copy; /* is unsealed in place */
    lrb_buf_init(&copy, LRB_ENTRY_MAX_BYTES);
    lrb_entry entry = {0};
    int code = read_bytes(log_dir, name, label, bytes, err);
    if (!code) code = lrb_sha256(bytes->data, bytes->length, digest->bytes, err);
    if (!code) code = lrb_buf_append(&copy, bytes->data, bytes->length, err);
    if (!code) code = lrb_entry_decode(copy.data, copy.length, expect ? expect->vault : NULL, label, &entry, err);
    if (!code) code = check_expected(&entry, number, expect, label, err);
    *time_ns = entry.time_ns;
    lrb_entry_clear(&entry);
    lrb_buf_clear(&copy);
    return code;
}

int lrb_log_peek(int log_dir, uint64_t number, lrb_entry_peek *peek, lrb_err *err) {
    char name[21], label[32];
    uint8_t start[LRB_ENTRY_PEEK_BYTES];
    int fd;
    lrb_log_name(number, name);
    snprintf(label, sizeof label, "log/%s", name);
    int code = open_entry(log_dir, name, label, &fd, err);
    if (code) return code;
    code = lrb_fs_read_exact(fd, start, sizeof start, 0, label, err);
    lrb_fs_close(fd);
    return code ? code : lrb_entry_peek_at(start, label, peek, err);
}

/* ---- creating ---- */

static int write_durably(int dir, const char *name, const uint8_t *bytes, size_t count, lrb_err *err) {
    int fd = -1;
    int code = lrb_fs_create(dir, name, 0440, &fd, err);
    if (code) return code;
    code = lrb_fs_write(fd, bytes, count, name, err);
    if (!code) code = lrb_fs_sync_data(fd, name, err);
    lrb_fs_close(fd);
    return code;
}

int lrb_log_create(int log_dir, int tmp_dir, uint64_t number, const uint8_t nonce[LRB_NONCE_BYTES],
                   const uint8_t *bytes, size_t count, bool *created, lrb_err *err) {
    char name[21], temporary[2 * LRB_NONCE_BYTES + sizeof ".entry"];
    lrb_err ignored;
    *created = false;
    lrb_log_name(number, name);
    lrb_hex(nonce, LRB_NONCE_BYTES, temporary);
    memcpy(temporary + 2 * LRB_NONCE_BYTES, ".entry", sizeof ".entry");

    /* A leftover of the same writer's earlier try would make the create fail with EXISTS, which means something else
     * here. */
    int code = lrb_fs_unlink(tmp_dir, temporary, err);
    if (code) return code;
    code = write_durably(tmp_dir, temporary, bytes, count, err);
    if (!code) code = lrb_fs_link(tmp_dir, temporary, log_dir, name, err);
    *created = code == LRB_OK;
    /* Prune reaps what cannot be unlinked now. */
    (void)lrb_fs_unlink(tmp_dir, temporary, &ignored);
    if (code) return code;

    code = lrb_fs_sync(log_dir, "log", err);
    if (code) lrb_err_context(err, "log entry %s is visible, but whether it survives a power cut is unknown", name);
    return code;
}

bool lrb_log_is_mine(int log_dir, uint64_t number, const lrb_log_expect *expect, const uint8_t nonce[LRB_NONCE_BYTES]) {
    lrb_buf bytes;
    lrb_buf_init(&bytes, LRB_ENTRY_MAX_BYTES);
    lrb_entry entry;
    lrb_id digest;
    lrb_err ignored; /* the error before is the one to report */
    bool mine = false;
    if (!lrb_log_read(log_dir, number, expect, &bytes, &entry, &digest, &ignored)) {
        mine = !memcmp(entry.nonce, nonce, LRB_NONCE_BYTES);
        lrb_entry_clear(&entry);
    }
    lrb_buf_clear(&bytes);
    return mine;
}
