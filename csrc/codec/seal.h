/* AES-256-GCM (NIST SP 800-38D) through OpenSSL's EVP: sealing bytes in place, with a tag of 16 bytes.
 *
 * The nonce is a number below 2^32 (u32 little-endian | 8 zero bytes): under one key each number seals one message, and
 * keys are made for one object each (repo/vault.h), so no pair ever comes twice. What is not secret but must not be
 * exchanged goes along as associated data. An lrb_sealer is one reusable context, made once and then without
 * allocation; one thread at a time.
 */
#ifndef LRB_CODEC_SEAL_H
#define LRB_CODEC_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "codec/kdf.h"

enum { LRB_TAG_BYTES = 16 };

typedef struct lrb_sealer lrb_sealer;

int lrb_sealer_new(lrb_sealer **out, lrb_err *err);
void lrb_sealer_free(lrb_sealer *sealer); /* NULL: nothing; wipes the key */

/* The key of what follows. Cheap when it is the one in use. */
void lrb_sealer_set_key(lrb_sealer *sealer, const uint8_t key[LRB_KEY_BYTES]);

/* bytes[count] become ciphertext of the same length, and `tag` is filled in. */
int lrb_sealer_seal(lrb_sealer *sealer, uint32_t number, const void *associated, size_t associated_bytes,
                    uint8_t *bytes, size_t count, uint8_t tag[LRB_TAG_BYTES], lrb_err *err);
/* The tag of bytes that come in pieces and are not sealed themselves: that of lrb_sealer_seal with all of them as associated
 * data and nothing to seal. Begin, add..., end; nothing else in between. */
int lrb_sealer_tag_begin(lrb_sealer *sealer, uint32_t number, lrb_err *err);
int lrb_sealer_tag_add(lrb_sealer *sealer, const void *bytes, size_t count, lrb_err *err);
int lrb_sealer_tag_end(lrb_sealer *sealer, uint8_t tag[LRB_TAG_BYTES], lrb_err *err);
/* The way back. DAMAGED when bytes, tag, number or associated data are not those that were sealed under this key: the
 * bytes are then zeros. */
int lrb_sealer_unseal(lrb_sealer *sealer, uint32_t number, const void *associated, size_t associated_bytes,
                      uint8_t *bytes, size_t count, const uint8_t tag[LRB_TAG_BYTES], lrb_err *err);
/* The same to another place: `from` stays as it is. */
int lrb_sealer_unseal_to(lrb_sealer *sealer, uint32_t number, const void *associated, size_t associated_bytes, const uint8_t *from,
                         uint8_t *to, size_t count, const uint8_t tag[LRB_TAG_BYTES], lrb_err *err);

#endif
