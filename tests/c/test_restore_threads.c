/* The restore job on several threads: it writes what one thread writes, also where the first copy of what it reads is
 * damaged and every item is written twice. */
#include <glob.h>

#include "repo/field.h"
#include "restoring.h"

/* The first file is at its second try while the other is still being written for the first time. */
enum { FILES = 2, FIRST_BYTES = 3 << 20, OTHER_BYTES = 24 << 20, THREADS = 4 };

static lrb_err err;

static void write_files(bench *b) {
    char name[16];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-%d", i);
        fixture_write(b->f.source, name, i ? OTHER_BYTES : FIRST_BYTES, (uint64_t)i + 1);
    }
}

/* Enters every pack there is as damaged, so that the next backup stores all of it again. */
static int doubt_packs(lrb_repo *repo) {
    lrb_buf payload;
    uint64_t number;
    lrb_buf_init(&payload, 1 << 16);
    int code = LRB_OK;
    const lrb_state *state = lrb_repo_begin_read(repo);
    for (uint32_t i = 0; i < state->pack_count && !code; i++)
        code = lrb_field_put(&payload, LRB_F_PACK_REF, state->packs[i].id.bytes, LRB_DIGEST_BYTES, &err);
    lrb_repo_end_read(repo);
    lrb_draft draft = {.kind = LRB_ENTRY_DAMAGED, .payload = payload.data, .payload_length = payload.length};
    if (!code) code = lrb_repo_append(repo, &draft, NULL, NULL, &number, &err);
    lrb_buf_clear(&payload);
    return code;
}

/* A byte in every 64 KiB of every pack, but for the ends, where header and trailer are. */
static void spoil_packs(const bench *b) {
    char pattern[300];
    glob_t packs;
    struct stat st;
    uint8_t byte;
    snprintf(pattern, sizeof pattern, "%s/graphs/graph/packs/*", b->f.storage);
    if (glob(pattern, 0, NULL, &packs)) exit(2);
    for (size_t i = 0; i < packs.gl_pathc; i++) {
        chmod(packs.gl_pathv[i], 0600);
        int fd = open(packs.gl_pathv[i], O_RDWR);
        if (fd < 0 || fstat(fd, &st)) exit(2);
        for (off_t at = 4096; at < st.st_size - (64 << 10); at += 64 << 10) {
            if (pread(fd, &byte, 1, at) != 1) exit(2);
            byte ^= 1;
            if (pwrite(fd, &byte, 1, at) != 1) exit(2);
        }
        close(fd);
    }
    globfree(&packs);
}

TEST(a_second_copy_is_found_however_many_threads_look) {
    bench b;
    bench_open(&b);
    write_files(&b);
    bench_backup(&b);
    CHECK_OK(doubt_packs(b.repo));
    spoil_packs(&b);
    lrb_repo_close(b.repo);
    CHECK_OK(lrb_repo_open(b.f.storage, "graph", false, &b.repo, &err));
    bench_backup(&b);
    crew_start(&b.crew, THREADS, THREADS);
    for (int round = 0; round < 5; round++) {
        bench_renew_staging(&b);
        CHECK_OK(bench_restore_all(&b, &err));
        CHECK(same_trees(b.f.source, b.staging));
    }
    bench_close(&b);
}

TEST(many_threads_write_what_one_does) {
    bench b;
    lrb_restore_list *list;
    bench_open(&b);
    bench_fill_source(&b);
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "d/f%03d", i);
        fixture_write(b.f.source, name, (size_t)(i * 37), (uint64_t)i);
    }
    bench_set(&b, "d", 0750, 1500000000);
    bench_backup(&b);
    crew_start(&b.crew, THREADS, THREADS);
    for (int keep = LRB_KEEP_NOTHING; keep <= LRB_KEEP_LINKED; keep += LRB_KEEP_LINKED) {
        wishes w = bench_wishes(&b);
        wishes_compare(&b, &w, (lrb_restore_keep)keep);
        w.stage.durable = true; /* so many items that the file system is synced as a whole */
        CHECK_OK(bench_restore(&b, &w, &list, &err));
        CHECK(same_trees(b.f.source, b.staging));
        CHECK((links_of(b.staging_dir, "d/f007") == 2) == (keep == LRB_KEEP_LINKED));
        lrb_restore_list_free(list);
        bench_renew_staging(&b);
    }
    bench_close(&b);
}

int main(void) {
    umask(022);
    RUN(many_threads_write_what_one_does);
    RUN(a_second_copy_is_found_however_many_threads_look);
    return check_report();
}
