#include "codec/md5.h"

#include "base/mem.h"
#include "codec/openssl.h"

struct lrb_md5 {
    EVP_MD_CTX *context;
};

static int refused(lrb_err *err) { return lrb_openssl_failed(err, "compute MD5", "MD5"); }

static int without_md5(lrb_err *err) {
    if (refused(err) == LRB_E_NOMEM) return LRB_E_NOMEM;
    return lrb_err_set(err, LRB_E_UNSUPPORTED, "compute MD5", "", "OpenSSL has no MD5 here, which LightRAG's ids are made of");
}

int lrb_md5_new(lrb_md5 **out, lrb_err *err) {
    EVP_MD *algorithm = lrb_openssl_md5();
    if (!algorithm) return without_md5(err);
    lrb_md5 *md5 = lrb_alloc_zero(1, sizeof *md5);
    if (!md5) return lrb_err_nomem(err, "compute MD5");
    md5->context = EVP_MD_CTX_new();
    if (!md5->context || !EVP_DigestInit_ex2(md5->context, algorithm, NULL)) {
        lrb_md5_free(md5);
        return refused(err);
    }
    *out = md5;
    return LRB_OK;
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
