/* MD5 (RFC 1321) through OpenSSL: what LightRAG makes its ids of. It proves nothing about who wrote what, and serves
 * only to recognise ids that are not the hash they claim to be.
 *
 * An lrb_md5 is one reusable context: begin, update..., finish, begin again. One thread at a time. UNSUPPORTED where
 * OpenSSL is set up to have no MD5 (FIPS), as LightRAG is then, too.
 */
#ifndef LRB_CODEC_MD5_H
#define LRB_CODEC_MD5_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { LRB_MD5_BYTES = 16 };

typedef struct lrb_md5 lrb_md5;

int lrb_md5_new(lrb_md5 **out, lrb_err *err);
void lrb_md5_free(lrb_md5 *md5); /* NULL: nothing */
int lrb_md5_begin(lrb_md5 *md5, lrb_err *err);
int lrb_md5_update(lrb_md5 *md5, const void *bytes, size_t count, lrb_err *err);
int lrb_md5_finish(lrb_md5 *md5, uint8_t out[LRB_MD5_BYTES], lrb_err *err);

#endif
