/* Finished packs on their way to packs/: written to tmp/, then made durable and given their name.
 *
 * The two halves are apart so that the disk works while the next pack is being filled: begin() writes the bytes and starts
 * their write-back, settle() waits for them (fdatasync) and renames. After the last settle() one lrb_fs_sync of packs/ makes all the
 * names durable. The file in tmp/ is locked (flock) as long as its descriptor is open, so prune can tell litter from work.
 * A failed write or fdatasync is final: the file is discarded and the error passed up.
 */
#ifndef LRB_ENGINE_PACK_FILE_H
#define LRB_ENGINE_PACK_FILE_H

#include "repo/repo.h"

typedef struct lrb_pack_file {
    lrb_pack_ref ref;
    int fd;             /* -1 once settled or discarded */
    char tmp_name[64];
} lrb_pack_file;

/* Finishes the builder (trailer, footer, name) and writes it. */
int lrb_pack_file_begin(lrb_repo *repo, lrb_pack_builder *builder, lrb_digest *digest, lrb_pack_file *file, lrb_err *err);
int lrb_pack_file_settle(lrb_repo *repo, lrb_pack_file *file, lrb_err *err);
void lrb_pack_file_discard(lrb_repo *repo, lrb_pack_file *file);

/* Both halves at once. */
int lrb_pack_file_write(lrb_repo *repo, lrb_pack_builder *builder, lrb_digest *digest, lrb_pack_ref *ref, lrb_err *err);

#endif
