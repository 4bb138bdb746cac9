/* The on-disk format, version 1: magics, ids, sizes, and where each byte layout is described.
 *
 *   <storage>/graphs/<graph_id>/log/<20 digits>   entry.h     create-only; creating one is a commit
 *                              /packs/<sha256>    pack.h      immutable; the name is the SHA-256 of the bytes
 *                              /keys/<slot>       key_slot.h, keyring.h; of sealed repositories
 *                              /tmp/<nonce>.<k>   files being written; litter after a crash, reaped by prune and at a server's start
 *                              /cache/...         index_file.h, disposable
 *                              /reserve           64 KiB given up first when the disk is full
 *   <storage>/recovery_points/<id>/<20 digits>    point.h     create-only
 *
 * All numbers are little-endian. Ids are never reused. A reader refuses an id it does not know, by name: it does
 * not guess. Kinds and codecs marked "reserved" have their number, so that later encodings add no layout.
 * Format reference for other programs: docs/format.md.
 */
#ifndef LRB_REPO_FORMAT_H
#define LRB_REPO_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/digest.h"

enum { LRB_FORMAT_VERSION = 1, LRB_REPO_ID_BYTES = 16, LRB_NONCE_BYTES = 16, LRB_SALT_BYTES = 32 };

/* What a chunk's content is. It decides how content becomes item bytes, and it is part of the chunk id. */
typedef enum lrb_chunk_kind {
    LRB_CHUNK_NONE = 0,        /* no chunk: the root of an empty stream */
    LRB_CHUNK_RAW = 1,         /* bytes of an item as they are; count = bytes */
    /* A vector file is one frame, corrections, and then texts, each with the vectors of its records behind it. */
    LRB_CHUNK_TEXT = 2,        /* texts of records (lightrag/vdb_parts.h); count = bytes of the file, with the payloads */
    LRB_CHUNK_VECTORS = 3,     /* canonical rows (codec/vectors.h); count = rows */
    LRB_CHUNK_CORRECTIONS = 4, /* differences from canonical rows (codec/corrections.h); count = rows looked at */
    LRB_CHUNK_RECORDS = 5,     /* never used: rows of JSON and elements of GraphML are RAW */
    LRB_CHUNK_GRAPHML = 6,     /* never used */
    LRB_CHUNK_FRAME = 7,       /* what holds a vector file together (lightrag/vdb_parts.h); count = its bytes of the file */
    LRB_CHUNK_RECIPE = 32,     /* rows naming chunks (recipe.h); count = rows */
    LRB_CHUNK_BODY = 33,       /* records of a snapshot's body (body.h); count = bytes */
    LRB_CHUNK_PAYLOAD = 34     /* copy of a snapshot entry's payload; found by scanning packs only */
} lrb_chunk_kind;

/* How a chunk's content is stored. Not part of the chunk id: a better codec keeps deduplication. */
typedef enum lrb_chunk_codec {
    LRB_CODEC_STORED = 0, /* the content itself */
    LRB_CODEC_ZSTD = 1,   /* one zstd frame */
    LRB_CODEC_VECTOR = 2  /* rows told from their float16 (codec/vectors.h); of kind VECTORS only */
} lrb_chunk_codec;

typedef enum lrb_seal { LRB_SEAL_NONE = 0, LRB_SEAL_AES256_GCM = 1 } lrb_seal;

typedef enum lrb_entry_kind {
    LRB_ENTRY_SNAPSHOT = 1,
    LRB_ENTRY_HOLD = 2,
    LRB_ENTRY_RELEASE = 3,
    LRB_ENTRY_DROP = 4,
    LRB_ENTRY_RETIRE = 5,
    LRB_ENTRY_UNRETIRE = 6,
    LRB_ENTRY_SWEEP = 7,
    LRB_ENTRY_REPACK = 8,
    LRB_ENTRY_DAMAGED = 9,
    LRB_ENTRY_CHECKPOINT = 10,
    LRB_ENTRY_RECORD = 11 /* of a recovery point (point.h); never in a graph's log */
} lrb_entry_kind;

/* Ceilings for what is read back. Nothing stored can ask for more memory than these. */
enum {
    LRB_CONTENT_MAX_BYTES = 4 << 20,      /* one chunk's content */
    LRB_PACK_TARGET_BYTES = 8 << 20,      /* a pack is finished once it is this long */
    LRB_PACK_MAX_BYTES = 16 << 20,
    LRB_PACK_MAX_CHUNKS = 1 << 16,
    LRB_ENTRY_MAX_BYTES = 256 << 20       /* a checkpoint of a million snapshots */
};

typedef struct lrb_id { uint8_t bytes[LRB_DIGEST_BYTES]; } lrb_id; /* of a chunk, a pack or an entry */

int lrb_id_compare(const lrb_id *a, const lrb_id *b);
void lrb_id_prefix(const lrb_id *id, char out[17]); /* the first 16 hex digits, for messages */

/* Kinds this build reads and writes: none of the reserved ones, and not NONE. */
bool lrb_chunk_kind_usable(unsigned kind);
bool lrb_chunk_kind_has_dim(unsigned kind); /* the dim of all others is 0 */

const char *lrb_chunk_kind_name(unsigned kind);   /* "raw"; "unknown" */
const char *lrb_chunk_codec_name(unsigned codec);
const char *lrb_entry_kind_name(unsigned kind);

#endif
