#include "codec/md5.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdatomic.h>

#include "base/mem.h"

struct lrb_md5 {
    EVP_MD_CTX *context;
    EVP_MD *algorithm;
};

/* Fetched once per process and kept, as in digest.c. */
static _Atomic(EVP_MD *) shared;

static EVP_MD *fetch(void) {
    EVP_MD *first = NULL, *md = atomic_load(&shared);
    if (md) return md;
    md = EVP_MD_fetch(NULL, "MD5", NULL);
    if (!md || atomic_compare_exchange_strong(&shared, &first, md)) return md;
    EVP_MD_free(md);
    return first;
}

static int refused(lrb_err *err) {
    unsigned long number = ERR_peek_last_error();
    ERR_clear_error(); /* the queue is shared with whatever else in the process uses OpenSSL */
    if (ERR_GET_REASON(number) == ERR_R_MALLOC_FAILURE) return lrb_err_nomem(err, "compute MD5");
    return lrb_err_set(err, LRB_E_UNSUPPORTED, "compute MD5", "",
                       "OpenSSL has no MD5 here, which LightRAG's ids are made of");
}

int lrb_md5_new(lrb_md5 **out, lrb_err *err) {
    lrb_md5 *md5 = lrb_alloc_zero(1, sizeof *md5);
    if (!md5) return lrb_err_nomem(err, "compute MD5");
    md5->algorithm = fetch();
    md5->context = EVP_MD_CTX_new();
    *out = md5;
    if (md5->algorithm && md5->context && EVP_DigestInit_ex2(md5->context, md5->algorithm, NULL)) return LRB_OK;
    lrb_md5_free(md5);
    return refused(err);
}

void lrb_md5_free(lrb_md5 *md5) {
    if (!md5) return;
    EVP_MD_CTX_free(md5->context);
    lrb_free(md5);
}

int lrb_md5_begin(lrb_md5 *md5, lrb_err *err) {
    return EVP_DigestInit_ex2(md5->context, NULL, NULL) ? LRB_OK : refused(err);
}

int lrb_md5_update(lrb_md5 *md5, const void *bytes, size_t count, lrb_err *err) {
    return EVP_DigestUpdate(md5->context, bytes, count) ? LRB_OK : refused(err);
}

int lrb_md5_finish(lrb_md5 *md5, uint8_t out[LRB_MD5_BYTES], lrb_err *err) {
    return EVP_DigestFinal_ex(md5->context, out, NULL) ? LRB_OK : refused(err);
}
