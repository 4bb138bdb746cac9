/* One chunk: its id, and the way between content and stored bytes.
 *
 * id = SHA-256( "lrb1" | kind u8 | 0 0 0 | dim u32 | content length u64 | content )
 * (HMAC-SHA256 with the id key when sealed). Framed injectively: kind and dim are in it, so equal bytes of another
 * meaning are another chunk. `dim` is 0 but for vector kinds. A vault says whose chunk it is; NULL: of a repository that
 * is not sealed.
 *
 * An lrb_coder is the working memory of one thread: digest, compressor, vector coder, sealer, two scratch buffers.
 */
#ifndef LRB_REPO_CHUNK_H
#define LRB_REPO_CHUNK_H

#include "base/buf.h"
#include "codec/vectors.h"
#include "repo/vault.h"

typedef struct lrb_coder lrb_coder;

int lrb_coder_new(lrb_coder **out, lrb_err *err);
void lrb_coder_free(lrb_coder *coder); /* NULL: nothing */
lrb_digest *lrb_coder_digest(lrb_coder *coder); /* for the coder's own thread, between two calls */
lrb_vector_coder *lrb_coder_vectors(lrb_coder *coder); /* likewise */
int lrb_coder_sealer(lrb_coder *coder, lrb_sealer **sealer, lrb_err *err); /* likewise; made at first use */
/* `count` bytes of the coder's own memory for a stored form that is about to be decoded; valid until its next use. */
int lrb_coder_room(lrb_coder *coder, size_t count, uint8_t **room, lrb_err *err);

typedef struct lrb_stored { /* a chunk ready to be appended to a pack; `bytes` live in the coder until its next use */
    lrb_id id;
    lrb_chunk_kind kind;
    lrb_chunk_codec codec;
    uint32_t dim, content_length, stored_length;
    const uint8_t *bytes;
} lrb_stored;

int lrb_chunk_id(lrb_coder *coder, const lrb_vault *vault, lrb_chunk_kind kind, uint32_t dim, const void *content,
                 size_t count, lrb_id *id, lrb_err *err);

/* The ids of several contents; faster than one after the other (digest.h). */
typedef struct lrb_content {
    lrb_chunk_kind kind;
    uint32_t dim;
    const uint8_t *bytes;
    size_t count;
} lrb_content;
enum { LRB_CHUNK_IDS_MAX = 64 };
int lrb_chunk_ids(lrb_coder *coder, const lrb_vault *vault, const lrb_content *contents, size_t count, lrb_id *ids,
                  lrb_err *err);

/* The same, while a digest goes on with other bytes; NULL: none does. */
int lrb_chunk_ids_beside(lrb_coder *coder, const lrb_vault *vault, const lrb_content *contents, size_t count, lrb_id *ids,
                         const lrb_digest_flow *flow, lrb_err *err);

/* Encodes content whose id is known; picks the smaller of the codecs, then runs the inverse and compares. INTERNAL
 * when the inverse differs: nothing that cannot be read back is ever stored. */
int lrb_chunk_encode(lrb_coder *coder, const lrb_id *id, lrb_chunk_kind kind, uint32_t dim, const void *content,
                     size_t count, lrb_stored *out, lrb_err *err);

/* Decodes into out[content_length]. UNSUPPORTED names an unknown kind or codec; DAMAGED says what did not fit.
 * The stored bytes stay as they are.
 * With `check_id` the content's id is recomputed and compared. `target` names the pack in errors. */
int lrb_chunk_decode(lrb_coder *coder, const lrb_vault *vault, const lrb_stored *stored, bool check_id, void *out,
                     const char *target, lrb_err *err);

/* Decodes several, at most LRB_CHUNK_IDS_MAX, each to its place, without a look at their ids; vectors of neighbours together
 * (vectors.h). When any cannot be decoded the answer says that of one of them, and of the others nothing. */
int lrb_chunk_decode_many(lrb_coder *coder, const lrb_stored *stored, uint8_t *const *outs, size_t count, const char *target,
                          lrb_err *err);

/* DAMAGED unless the id computed from a chunk's content is the one it is stored under. */
int lrb_chunk_check_id(const lrb_id *stored, const lrb_id *computed, const char *target, lrb_err *err);

#endif
