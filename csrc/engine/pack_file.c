#include "engine/pack_file.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/fs_direct.h"

/* Objects are immutable: not even their owner writes to them by accident. */
enum { PACK_MODE = 0440, DIRECT_MIN_BYTES = 1 << 20 /* a smaller one the device has soon enough once it is synced */ };

static int write_pack(int fd, const lrb_buf *bytes, const char *target, lrb_err *err) {
    if (bytes->length < DIRECT_MIN_BYTES) return lrb_fs_write(fd, bytes->data, bytes->length, target, err);
    return lrb_fs_write_direct(fd, bytes->data, bytes->length, 0, target, err);
}

int lrb_pack_file_begin(lrb_repo *repo, lrb_pack_builder *builder, lrb_digest *digest, lrb_pack_file *file, lrb_err *err) {
    file->fd = -1;
    uint8_t nonce[LRB_NONCE_BYTES];
    char hex[2 * LRB_NONCE_BYTES + 1];
    int code = lrb_random_bytes(nonce, sizeof nonce, err);
    if (!code) code = lrb_pack_builder_finish(builder, digest, &file->ref.id, err);
    if (code) return code;
    lrb_hex(nonce, sizeof nonce, hex);
    snprintf(file->tmp_name, sizeof file->tmp_name, "%s.pack", hex);
    file->ref.size_bytes = builder->bytes.length;
    if ((code = lrb_fs_create(lrb_repo_tmp_dir(repo), file->tmp_name, PACK_MODE, &file->fd, err))) return code;
    bool taken; /* a file system without locks costs only prune's caution */
    lrb_err ignored;
    (void)lrb_fs_try_lock(file->fd, &taken, &ignored);
    if ((code = write_pack(file->fd, &builder->bytes, file->tmp_name, err)))
        lrb_pack_file_discard(repo, file);
    else
        lrb_fs_start_writeback(file->fd);
    return code;
}

int lrb_pack_file_sync(const lrb_pack_file *file, lrb_err *err) { return lrb_fs_sync_data(file->fd, file->tmp_name, err); }

int lrb_pack_file_name(lrb_repo *repo, lrb_pack_file *file, lrb_err *err) {
    char name[2 * LRB_DIGEST_BYTES + 1];
    lrb_hex(file->ref.id.bytes, sizeof file->ref.id.bytes, name);
    int code = lrb_fs_rename(lrb_repo_tmp_dir(repo), file->tmp_name, lrb_repo_packs_dir(repo), name, err);
    if (code) return code;
    lrb_fs_close(file->fd);
    file->fd = -1;
    return LRB_OK;
}

void lrb_pack_file_discard(lrb_repo *repo, lrb_pack_file *file) {
    if (file->fd < 0) return;
    lrb_err ignored; /* what cannot be unlinked is litter, which prune reaps */
    (void)lrb_fs_unlink(lrb_repo_tmp_dir(repo), file->tmp_name, &ignored);
    lrb_fs_close(file->fd);
    file->fd = -1;
}

int lrb_pack_file_write(lrb_repo *repo, lrb_pack_builder *builder, lrb_digest *digest, lrb_pack_ref *ref, lrb_err *err) {
    lrb_pack_file file;
    int code = lrb_pack_file_begin(repo, builder, digest, &file, err);
    if (code) return code;
    code = lrb_pack_file_sync(&file, err);
    if (!code) code = lrb_pack_file_name(repo, &file, err);
    if (code) lrb_pack_file_discard(repo, &file);
    else *ref = file.ref;
    return code;
}
