/* One log entry as bytes.
 *
 *   0 "lrblog01" | 8 version u16 | 10 kind u16 | 12 seal u8 | 13 zero[3] | 16 repository id[16]
 *   32 number u64 | 40 epoch u64 | 48 writer nonce[16] | 64 time i64 (ns since 1970, claimed)
 *   72 SHA-256 of entry n-1[32] | 104 salt[32] | 136 graph id length u16 | 138 zero[2] | 140 packs u32
 *   144 payload length u32 | 148 zero[4]
 *   152 graph id | packs x (id[32] | size u64) | payload (fields, field.h) | SHA-256 of all before[32]
 *
 * Sealed (vault.h): header and pack list stay clear; the payload is ciphertext | tag[16], both counted in its length, with
 * all bytes before it as associated data, and the last 32 bytes are HMAC-SHA256 of all before. The salt is random then,
 * and zero otherwise.
 *
 * The pack list names what this run wrote; those packs are durable before the entry exists. The chain's "SHA-256 of
 * entry n-1" is over the whole file, its own last 32 bytes included. Entry 0 is a checkpoint of nothing: it fixes the
 * repository id, and its "SHA-256 of entry n-1" is zero.
 */
#ifndef LRB_REPO_ENTRY_H
#define LRB_REPO_ENTRY_H

#include "base/buf.h"
#include "repo/vault.h"

enum { LRB_ENTRY_HEADER_BYTES = 152, LRB_ENTRY_PACK_BYTES = 40 };

typedef struct lrb_pack_ref { lrb_id id; uint64_t size_bytes; } lrb_pack_ref;

typedef struct lrb_entry {
    lrb_entry_kind kind;
    uint8_t repository_id[LRB_REPO_ID_BYTES];
    uint64_t number, epoch;
    uint8_t nonce[LRB_NONCE_BYTES];
    int64_t time_ns;
    lrb_id previous;
    char graph_id[129];
    lrb_pack_ref *packs;    /* owned after decode (lrb_entry_clear); borrowed for encode */
    uint32_t pack_count;
    const uint8_t *payload; /* borrowed: inside the decoded bytes, or the caller's */
    size_t payload_length;
} lrb_entry;

/* Appends the entry's bytes to `out`; on failure nothing. INVALID for a kind or graph id that could not be read back,
 * LIMIT above LRB_ENTRY_MAX_BYTES or the buffer's ceiling. `vault` NULL: not sealed. */
int lrb_entry_encode(const lrb_entry *entry, const lrb_vault *vault, lrb_buf *out, lrb_err *err);
/* Checks magic, version, ids, lengths and the final digest or MAC. `label` names the object in errors. A sealed payload
 * is unsealed in place; `entry->payload` points into `bytes`. LOCKED for a sealed entry without its key. Does not know
 * which number or graph was expected: log.h checks that. */
int lrb_entry_decode(uint8_t *bytes, size_t count, const lrb_vault *vault, const char *label, lrb_entry *entry,
                     lrb_err *err);

/* What the clear header says of an entry, to be believed once the entry is decoded. */
typedef struct lrb_entry_peek {
    lrb_entry_kind kind;
    bool sealed;
    uint8_t repository_id[LRB_REPO_ID_BYTES];
} lrb_entry_peek;
enum { LRB_ENTRY_PEEK_BYTES = 32 };
/* DAMAGED or UNSUPPORTED when these are not the first LRB_ENTRY_PEEK_BYTES of an entry this build reads. */
int lrb_entry_peek_at(const uint8_t *bytes, const char *label, lrb_entry_peek *peek, lrb_err *err);
void lrb_entry_clear(lrb_entry *entry);

#endif
