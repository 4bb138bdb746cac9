/* Writes the corpus the fuzz targets start from: seeds <directory>. For each target a handful of inputs, nearly all of
 * them accepted, so that fuzzing begins behind the first checks. `make fuzz-seeds` runs it; what it writes is checked
 * in, and the input of every finding beside it. */
#include "seeds.h"

lrb_coder *seeds_coder;
const char *seeds_corpus;

int main(int argc, char **argv) {
    lrb_buf bytes, other;
    if (argc != 2) return fprintf(stderr, "usage: seeds <directory>\n"), 2;
    seeds_corpus = argv[1];
    lrb_buf_init(&bytes, SEED_MAX_BYTES);
    lrb_buf_init(&other, SEED_MAX_BYTES);
    MUST_OK(lrb_coder_new(&seeds_coder, &err));
    MUST_OK(lrb_fs_make_dir(AT_FDCWD, seeds_corpus, 0755, &err));
    seed_stored(&bytes, &other);
    seed_lists(&bytes, &other);
    seed_files(&bytes, &other);
    lrb_coder_free(seeds_coder);
    lrb_buf_clear(&bytes);
    lrb_buf_clear(&other);
    return 0;
}
