/* Packs: immutable objects holding many chunks, named by the SHA-256 of their bytes.
 *
 *   header, 64 bytes:  0 "lrbpack1" | 8 version u16 | 10 seal u8 | 11 zero[5] | 16 repository id[16] | 32 salt[32]
 *   chunks:            stored bytes back to back, in ordinal order
 *   trailer:           one row of 56 bytes per chunk, in ordinal order:
 *                        0 id[32] | 32 offset u32 | 36 stored length u32 | 40 content length u32 | 44 dim u32
 *                        48 kind u8 | 49 codec u8 | 50 zero[6]
 *   footer, 64 bytes:  0 trailer length u32 | 4 rows u32 | 8 pack length u64 | 16 SHA-256 of the trailer[32]
 *                      48 zero[8] | 56 "lrbpend1"
 *
 * The salt is drawn at random, so that the name of a pack that was swept never comes back; readers take any.
 *
 * Sealed (vault.h): the stored bytes of each chunk are ciphertext | tag[16], and so are the rows; lengths count the
 * tags, the footer's digest is over what is stored. Nonces are ordinals, 2^32 - 1 for the rows. Associated data:
 *
 *   chunk:  header[64] | ordinal u32 | its row[56] | graph id
 *   rows:   header[64] | 2^32 - 1 u32 | rows u32 | graph id
 *
 * So no chunk passes for another, of this pack or any other, and without the key a pack tells its length and how many
 * chunks it has.
 *
 * A reader checks the header, footer, exact length, trailer digest, that rows tile the chunk area exactly and that
 * no length is above its ceiling, before it believes a row. Kinds and codecs are judged when a chunk is decoded, so a
 * pack that also holds chunks of a later version stays readable for the others. A pack has at least one row and is at
 * most LRB_PACK_MAX_BYTES long, trailer and footer included. The builder keeps one pack in memory; it is not shared
 * between threads without a lock of its owner.
 */
#ifndef LRB_REPO_PACK_H
#define LRB_REPO_PACK_H

#include "repo/chunk.h"

enum { LRB_PACK_HEADER_BYTES = 64, LRB_PACK_ROW_BYTES = 56, LRB_PACK_FOOTER_BYTES = 64 };

typedef struct lrb_pack_row {
    lrb_id id;
    uint32_t offset, stored_length, content_length, dim;
    uint8_t kind, codec;
} lrb_pack_row;

/* ---- writing ---- */
typedef struct lrb_pack_builder {
    const lrb_vault *vault; /* borrowed */
    lrb_sealer *sealer;     /* with the open pack's key; NULL when not sealed */
    lrb_buf bytes;          /* header and chunks, later trailer and footer; whole pages, all from the start (fs_direct.h) */
    lrb_pack_row *rows;
    uint32_t count, room;
} lrb_pack_builder;

/* Starts a pack. After a failure there is nothing to clear. */
int lrb_pack_builder_init(lrb_pack_builder *b, const lrb_vault *vault, lrb_err *err);
void lrb_pack_builder_clear(lrb_pack_builder *b);
/* Starts the next pack in the same memory; after a failure only clear makes sense. */
int lrb_pack_builder_reset(lrb_pack_builder *b, lrb_err *err);
/* Another salt than the one that was drawn; only while the pack is empty. For tests, and for building a pack again. */
int lrb_pack_builder_set_salt(lrb_pack_builder *b, const uint8_t salt[LRB_SALT_BYTES], lrb_err *err);
/* Appends a chunk; in a sealed repository its copy in the pack is sealed. After a failure the pack is what it was. */
/* LIMIT when the finished pack would be too long; cannot happen to a caller that finishes full packs. */
int lrb_pack_builder_add(lrb_pack_builder *b, const lrb_stored *chunk, uint32_t *ordinal, lrb_err *err);
bool lrb_pack_builder_full(const lrb_pack_builder *b); /* at or above the target length, or out of rows */
/* Appends trailer and footer and computes the name. The bytes to write are b->bytes. INVALID for a pack without chunks.
 * After success only reset and clear make sense; after a failure the builder is what it was. */
int lrb_pack_builder_finish(lrb_pack_builder *b, lrb_digest *digest, lrb_id *name, lrb_err *err);

/* ---- reading ---- */
typedef struct lrb_pack {
    int fd;
    lrb_id name;
    uint64_t size_bytes;
    const lrb_vault *vault; /* borrowed */
    uint8_t header[LRB_PACK_HEADER_BYTES];
    lrb_key key;            /* of this pack; zero when not sealed */
    uint32_t count;
    lrb_pack_row *rows;
    struct {
        const uint8_t *bytes;
        uint64_t offset;
        size_t count;
    } window;       /* a stretch of the file that whoever has the pack has read already; count 0: none */
    char label[80]; /* "packs/<hex>" for messages */
} lrb_pack;

/* Opens packs_dir/<hex name> and checks everything but the chunk bytes. `expected_size_bytes` 0: any. FOREIGN for
 * another repository's pack. The vault must outlive the pack. */
int lrb_pack_open(int packs_dir, const lrb_id *name, uint64_t expected_size_bytes, const lrb_vault *vault,
                  lrb_pack **out, lrb_err *err);
/* The same for a file that has not got its name yet. */
int lrb_pack_open_file(int dir, const char *file_name, const lrb_id *name, uint64_t expected_size_bytes,
                       const lrb_vault *vault, lrb_pack **out, lrb_err *err);
void lrb_pack_close(lrb_pack *pack);
/* Checks header, footer and trailer in memory: what lrb_pack_open does, for fuzzing and whole-pack verification. The
 * rows are from lrb_alloc. */
int lrb_pack_parse(const uint8_t *bytes, size_t count, const lrb_vault *vault, const char *label, lrb_pack_row **rows,
                   uint32_t *row_count, lrb_err *err);
/* Reads chunk `ordinal` as it was before it was sealed; `stored->bytes` live in the coder until its next use, or in the window. */
int lrb_pack_take(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, lrb_stored *stored, lrb_err *err);
/* Reads and decodes chunk `ordinal` behind what is in `content` already, without a look at its id. */
int lrb_pack_read_more(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, lrb_buf *content, lrb_err *err);
/* The same of several chunks, at most LRB_CHUNK_IDS_MAX, which is faster than one by one. After a failure, which may be that
 * of any of them, nothing is behind what was there. */
int lrb_pack_read_many(const lrb_pack *pack, const uint32_t *ordinals, size_t count, lrb_coder *coder, lrb_buf *content,
                       lrb_err *err);
/* Reads and decodes chunk `ordinal` into `content` (emptied first). */
int lrb_pack_read(const lrb_pack *pack, uint32_t ordinal, lrb_coder *coder, bool check_id, lrb_buf *content,
                  lrb_err *err);

#endif
