/* What the modules on top of OpenSSL share: its algorithms, fetched once, and what its refusals become.
 *
 * Fetching an algorithm takes OpenSSL's locks and walks its providers, so each is fetched once per process and kept until
 * its end. Any thread may ask, several at once too. Nobody frees what is returned. NULL where OpenSSL does not have it
 * or had no memory, and then the next call tries again.
 */
#ifndef LRB_CODEC_OPENSSL_H
#define LRB_CODEC_OPENSSL_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "base/err.h"

EVP_MD *lrb_openssl_sha256(void);
EVP_MD *lrb_openssl_md5(void);
EVP_KDF *lrb_openssl_hkdf(void);
EVP_CIPHER *lrb_openssl_aes_256_gcm(void);

/* After a call that failed: NOMEM when memory was what it lacked, else INTERNAL with OpenSSL's own reason for refusing
 * `what`. Takes OpenSSL's errors off the thread's queue, which is shared with whatever else in the process uses it. */
int lrb_openssl_failed(lrb_err *err, const char *op, const char *what);

#endif
