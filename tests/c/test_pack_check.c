/* One pack looked at: which damage is seen at which level, and which chunks it costs. */
#include "engine/pack_check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "base/fs.h"
#include "base/mem.h"
#include "check.h"
#include "jobs.h"

enum { CHUNKS = 4, CHUNK_BYTES = 700 << 10, HEADER_BYTES = 64 };

/* Pack 0: four chunks that do not compress, more than one step's worth. */
static void shelf_with_pack(shelf *s, char path[512]) {
    bundle b;
    uint8_t *bytes = malloc(CHUNK_BYTES);
    shelf_open(s);
    bundle_begin(&b, s);
    for (uint64_t i = 0; i < CHUNKS; i++) {
        fixture_fill(bytes, CHUNK_BYTES, i);
        bundle_add(&b, LRB_CHUNK_RAW, bytes, CHUNK_BYTES);
    }
    bundle_end(&b, true);
    shelf_pack(s, 0, path);
    free(bytes);
}

static lrb_state_pack known_pack(shelf *s) {
    lrb_state_pack known = lrb_repo_begin_read(s->repo)->packs[0];
    lrb_repo_end_read(s->repo);
    return known;
}

static int check_known(shelf *s, const lrb_state_pack *known, bool digests, const lrb_marks *only, lrb_pack_check **out, lrb_err *err) {
    lrb_job job = {0};
    bool done = false;
    int code = lrb_pack_check_new(s->repo, 0, known, digests, only, out, err);
    if (code) return code;
    while (!code && !done) code = lrb_pack_check_step(*out, &job, &s->f.worker, &done, err);
    if (code) lrb_pack_check_free(*out);
    return code;
}

static int check_pack(shelf *s, bool digests, const lrb_marks *only, lrb_pack_check **out, lrb_err *err) {
    lrb_state_pack known = known_pack(s);
    return check_known(s, &known, digests, only, out, err);
}

TEST(a_sound_pack_has_no_problem) {
    shelf s;
    lrb_err err;
    lrb_pack_check *check;
    char path[512];
    shelf_with_pack(&s, path);
    CHECK_OK(check_pack(&s, false, NULL, &check, &err));
    CHECK(!check->problem.code && check->chunks == 0 && check->bytes == 0);
    lrb_pack_check_free(check);
    CHECK_OK(check_pack(&s, true, NULL, &check, &err));
    CHECK(!check->problem.code && check->chunks == CHUNKS && check->bytes == file_size(path));
    lrb_pack_check_free(check);
    shelf_close(&s);
}

TEST(rotten_chunks_are_listed) {
    shelf s;
    lrb_err err;
    lrb_pack_check *check;
    lrb_marks only;
    char path[512], message[320];
    shelf_with_pack(&s, path);
    flip_byte(path, HEADER_BYTES + CHUNK_BYTES + 5);
    flip_byte(path, HEADER_BYTES + 3 * CHUNK_BYTES + 5);
    CHECK_OK(check_pack(&s, false, NULL, &check, &err));
    CHECK(!check->problem.code); /* content is not the catalogue's matter */
    lrb_pack_check_free(check);
    CHECK_OK(check_pack(&s, true, NULL, &check, &err));
    CHECK(check->problem.code == LRB_E_DAMAGED && !check->unreadable && !check->refused);
    CHECK(check->bad_count == 2 && check->bad[0] == 1 && check->bad[1] == 3);
    lrb_pack_check_message(check, message, sizeof message);
    CHECK(strstr(message, "2 of its 4 chunks"));
    lrb_pack_check_free(check);
    lrb_marks_init(&only);
    CHECK_OK(lrb_marks_add(&only, (lrb_place){0, 0}, &err));
    CHECK_OK(lrb_marks_add(&only, (lrb_place){0, 3}, &err));
    CHECK_OK(check_pack(&s, true, &only, &check, &err));
    CHECK(check->chunks == 2 && check->bad_count == 1 && check->bad[0] == 3);
    lrb_pack_check_free(check);
    lrb_marks_clear(&only);
    shelf_close(&s);
}

/* Small ones, which are decoded together: those that are rotten are told from their neighbours all the same. */
TEST(rotten_chunks_are_told_from_their_neighbours) {
    enum { SMALL = 200, SMALL_BYTES = 3000 };
    shelf s;
    lrb_err err;
    lrb_pack_check *check;
    bundle b;
    uint8_t bytes[SMALL_BYTES];
    char path[512], message[320];
    static const uint32_t rotten[] = {0, 31, 32, 33, 99, SMALL - 1};
    shelf_open(&s);
    bundle_begin(&b, &s);
    for (uint64_t i = 0; i < SMALL; i++) {
        fixture_fill(bytes, sizeof bytes, i);
        if (i % 3) memset(bytes, 'x', SMALL_BYTES - 500); /* compressed: what is rotten cannot be decoded, or is another content */
        bundle_add(&b, LRB_CHUNK_RAW, bytes, sizeof bytes);
    }
    for (size_t i = 0; i < sizeof rotten / sizeof *rotten; i++) b.builder.bytes.data[b.builder.rows[rotten[i]].offset + 20] ^= 1;
    bundle_end(&b, true);
    shelf_pack(&s, 0, path);
    CHECK_OK(check_pack(&s, true, NULL, &check, &err));
    CHECK(check->problem.code == LRB_E_DAMAGED && check->chunks == SMALL && check->bytes == file_size(path));
    CHECK(check->bad_count == sizeof rotten / sizeof *rotten && !memcmp(check->bad, rotten, sizeof rotten));
    lrb_pack_check_message(check, message, sizeof message);
    CHECK(strstr(message, "6 of its 200 chunks"));
    lrb_pack_check_free(check);
    shelf_close(&s);
}

TEST(damage_beside_the_chunks_is_the_digests_matter) {
    shelf s;
    lrb_err err;
    lrb_pack_check *check;
    char path[512], message[320];
    shelf_with_pack(&s, path);
    flip_byte(path, 40); /* salt */
    CHECK_OK(check_pack(&s, true, NULL, &check, &err));
    CHECK(check->problem.code == LRB_E_DAMAGED && check->bad_count == 0 && !check->unreadable);
    lrb_pack_check_message(check, message, sizeof message);
    CHECK(strstr(message, "SHA-256") && strstr(message, "whole"));
    lrb_pack_check_free(check);
    shelf_close(&s);
}

TEST(a_missing_cut_or_foreign_pack_is_unreadable) {
    for (int turn = 0; turn < 3; turn++) {
        shelf s;
        lrb_err err;
        lrb_pack_check *check;
        char path[512], message[320];
        shelf_with_pack(&s, path);
        if (turn == 0) unlink(path);
        if (turn == 1) cut_file(path, file_size(path) - 1);
        if (turn == 2) flip_byte(path, 20); /* repository id */
        for (int digests = 0; digests < 2; digests++) {
            CHECK_OK(check_pack(&s, digests, NULL, &check, &err));
            CHECK(check->unreadable && !check->refused && check->problem.code);
            lrb_pack_check_message(check, message, sizeof message);
            CHECK(turn || !strcmp(message, "the pack is missing"));
            lrb_pack_check_free(check);
        }
        shelf_close(&s);
    }
}

/* Both say a version that is not known; only the bytes of one have its name. */
TEST(a_newer_pack_is_told_from_a_flipped_version) {
    shelf s;
    lrb_err err;
    lrb_pack_check *check;
    char path[512], newer[512], hex[2 * LRB_DIGEST_BYTES + 1];
    shelf_with_pack(&s, path);
    flip_byte(path, 8);
    lrb_state_pack known = known_pack(&s);
    for (int named = 0; named < 2; named++) {
        for (int digests = 0; digests < 2; digests++) {
            CHECK_OK(check_known(&s, &known, digests, NULL, &check, &err));
            CHECK(check->unreadable && lrb_pack_check_is_newer(check) == named);
            CHECK(check->problem.code == (named ? LRB_E_UNSUPPORTED : LRB_E_DAMAGED));
            lrb_pack_check_free(check);
        }
        uint8_t *bytes;
        size_t count;
        CHECK_OK(lrb_fs_read_file(AT_FDCWD, path, LRB_PACK_MAX_BYTES, &bytes, &count, &err));
        CHECK_OK(lrb_sha256(bytes, count, known.id.bytes, &err));
        lrb_free(bytes);
        lrb_hex(known.id.bytes, sizeof known.id.bytes, hex);
        snprintf(newer, sizeof newer, "%s/graphs/g/packs/%s", s.f.storage, hex);
        CHECK(rename(path, newer) == 0);
        memcpy(path, newer, sizeof path);
    }
    shelf_close(&s);
}

TEST(what_is_no_regular_file_is_no_pack) {
    shelf s;
    lrb_err err;
    lrb_pack_check *check;
    char path[512];
    shelf_with_pack(&s, path);
    CHECK(unlink(path) == 0 && symlink("/dev/null", path) == 0);
    CHECK_OK(check_pack(&s, true, NULL, &check, &err));
    CHECK(check->unreadable && !check->refused);
    lrb_pack_check_free(check);
    shelf_close(&s);
}

TEST(running_out_of_descriptors_is_no_finding) {
    shelf s;
    lrb_err err;
    lrb_pack_check *check;
    struct rlimit before, none;
    char path[512];
    shelf_with_pack(&s, path);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    int code = check_pack(&s, true, NULL, &check, &err);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(code == LRB_E_IO && err.sys_errno == EMFILE);
    shelf_close(&s);
}

TEST(running_out_of_memory_is_no_finding) {
    shelf s;
    lrb_err err;
    lrb_pack_check *check;
    char path[512];
    shelf_with_pack(&s, path);
    flip_byte(path, HEADER_BYTES + 5);
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        lrb_buf_clear(&s.f.worker.content);
        lrb_mem_fail_after(n, false);
        code = check_pack(&s, true, NULL, &check, &err);
        lrb_mem_fail_after(-1, false);
    }
    CHECK(code == LRB_OK && check->bad_count == 1);
    lrb_pack_check_free(check);
    shelf_close(&s);
}

int main(void) {
    RUN(a_sound_pack_has_no_problem);
    RUN(rotten_chunks_are_listed);
    RUN(rotten_chunks_are_told_from_their_neighbours);
    RUN(damage_beside_the_chunks_is_the_digests_matter);
    RUN(a_missing_cut_or_foreign_pack_is_unreadable);
    RUN(a_newer_pack_is_told_from_a_flipped_version);
    RUN(what_is_no_regular_file_is_no_pack);
    RUN(running_out_of_descriptors_is_no_finding);
    RUN(running_out_of_memory_is_no_finding);
    return check_report();
}
