/* Finished packs on their way to packs/: written to tmp/, then made durable and given their name.
 *
 * The parts are apart so that the disk works while the next pack is being filled: begin() writes the bytes and starts
 * their write-back, sync() waits for them (fdatasync), name() renames. After the last name() one lrb_fs_sync of packs/ makes all the
 * names durable. The file in tmp/ is locked (flock) as long as its descriptor is open, so prune can tell litter from work.
 * A failed write or fdatasync is final: the file is discarded and the error passed up.
 */
#ifndef LRB_ENGINE_PACK_FILE_H
#define LRB_ENGINE_PACK_FILE_H

#include "repo/repo.h"

typedef struct lrb_pack_file {
    lrb_pack_ref ref;
    int fd;             /* -1 once named or discarded */
    char tmp_name[64];
} lrb_pack_file;

/* Finishes the builder (trailer, footer, name) and writes it. */
int lrb_pack_file_begin(lrb_repo *repo, lrb_pack_builder *builder, lrb_digest *digest, lrb_pack_file *file, lrb_err *err);
int lrb_pack_file_sync(const lrb_pack_file *file, lrb_err *err);
int lrb_pack_file_name(lrb_repo *repo, lrb_pack_file *file, lrb_err *err); /* on failure the file is there still, to be discarded */
void lrb_pack_file_discard(lrb_repo *repo, lrb_pack_file *file);

/* All of it at once. */
int lrb_pack_file_write(lrb_repo *repo, lrb_pack_builder *builder, lrb_digest *digest, lrb_pack_ref *ref, lrb_err *err);

#endif
