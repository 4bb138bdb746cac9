/* Keys from keys, and keys from passphrases, through OpenSSL's EVP.
 *
 * HKDF-SHA256 (RFC 5869) makes independent keys of one secret of full strength: `info` says what a key is for, `salt`
 * which object it is for. scrypt (RFC 7914) makes a key of a passphrase, slowly and with much memory, so that guessing
 * is dear. No state, any thread. Who is done with a key wipes it (lrb_bytes_wipe).
 */
#ifndef LRB_CODEC_KDF_H
#define LRB_CODEC_KDF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { LRB_KEY_BYTES = 32 };

/* 32 bytes in, 32 bytes out. */
int lrb_hkdf(const uint8_t key[LRB_KEY_BYTES], const void *salt, size_t salt_bytes, const void *info, size_t info_bytes,
             uint8_t out[LRB_KEY_BYTES], lrb_err *err);

/* What a derivation costs: 128 * 2^log2_n * r bytes of memory, p times. */
typedef struct lrb_scrypt_cost { uint8_t log2_n, r, p; } lrb_scrypt_cost;

/* NOMEM when there is no room for what `cost` asks; callers check stored costs against their ceilings first. */
int lrb_scrypt(const void *passphrase, size_t passphrase_bytes, const uint8_t *salt, size_t salt_bytes,
               lrb_scrypt_cost cost, uint8_t out[LRB_KEY_BYTES], lrb_err *err);

#endif
