/* The cache of source identities: what it spares, and that no defect in it can do harm. */
#include "engine/source_cache.h"

#include <dirent.h>

#include "base/clock.h"
#include "base/mem.h"
#include "check.h"
#include "codec/cpu.h"
#include "fixture.h"
#include "vector_file.h"

typedef struct scene {
    fixture f;
    lrb_repo *repo;
    lrb_backup_outcome outcome;
    char cache[512]; /* path of the one cache/sources-... file */
} scene;

static int open_scene(scene *s, lrb_err *err) {
    fixture_open(&s->f);
    fixture_write(s->f.source, "a", 30000, 1);
    fixture_write(s->f.source, "b", 40000, 2);
    int code = fixture_repo_open(s->f.storage, "g", true, &s->repo, err);
    return code ? code : fixture_backup(&s->f, s->repo, &s->outcome, err);
}

static void close_scene(scene *s) {
    lrb_repo_close(s->repo);
    fixture_close(&s->f);
}

static bool find_cache(scene *s) {
    char dir_path[256];
    snprintf(dir_path, sizeof dir_path, "%s/graphs/g/cache", s->f.storage);
    DIR *dir = opendir(dir_path);
    bool found = false;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (!strncmp(entry->d_name, "sources-", 8)) {
            snprintf(s->cache, sizeof s->cache, "%s/%.200s", dir_path, entry->d_name);
            found = true;
        }
    if (dir) closedir(dir);
    return found;
}

static int64_t failing = -1; /* which allocation of the loading fails */
static bool tagged[2];       /* which items' tags the last loading offered, */
static size_t sections[2];   /* and how many sections' */

/* Loads the cache for a source listed now, into an intake of its own, and tells which items need not be read. */
static int load(scene *s, const char *label, bool *found, bool unread[2], lrb_err *err) {
    static const lrb_job_ops NONE;
    lrb_job job;
    lrb_job_init(&job, &NONE);
    lrb_source *source;
    lrb_writer *writer = NULL;
    lrb_intake *intake = NULL;
    int code = fixture_list(s->f.source, &source, err);
    if (!code) code = lrb_writer_new(s->repo, &job, &writer, err);
    if (!code) code = lrb_intake_new(source, s->repo, writer, &job, &intake, err);
    lrb_mem_fail_after(failing, false);
    if (!code) code = lrb_source_cache_load(s->repo, label, source, intake, found, err);
    lrb_mem_fail_after(-1, false);
    for (size_t i = 0; !code && i < 2; i++) unread[i] = lrb_intake_is_unread(intake, i), tagged[i] = lrb_intake_tags(intake, i) != NULL, sections[i] = lrb_intake_sections(intake, i)->sections;
    lrb_intake_free(intake);
    lrb_writer_free(writer);
    lrb_source_free(source);
    return code;
}

TEST(young_files_are_read_and_settled_ones_are_not) {
    scene s;
    lrb_err err;
    bool found, unread[2];
    CHECK_OK(open_scene(&s, &err));
    CHECK_OK(load(&s, "test", &found, unread, &err));
    CHECK(found && !unread[0] && !unread[1]); /* changed within the margin before they were looked at */
    sleep(3);
    CHECK_OK(fixture_backup(&s.f, s.repo, &s.outcome, &err));
    CHECK_OK(load(&s, "test", &found, unread, &err));
    CHECK(found && unread[0] && unread[1]);
    struct stat before, after;
    CHECK(find_cache(&s) && !stat(s.cache, &before));
    CHECK_OK(fixture_backup(&s.f, s.repo, &s.outcome, &err));
    CHECK(!stat(s.cache, &after) && before.st_ino == after.st_ino); /* nothing was read: it says all there is to say */
    fixture_write(s.f.source, "b", 40000, 3);
    CHECK_OK(load(&s, "test", &found, unread, &err));
    CHECK(found && unread[0] && !unread[1]);
    CHECK_OK(fixture_backup(&s.f, s.repo, &s.outcome, &err));
    CHECK(!stat(s.cache, &after) && before.st_ino != after.st_ino);
    CHECK_OK(load(&s, "another source", &found, unread, &err));
    CHECK(!found);
    close_scene(&s);
}

TEST(a_time_that_was_set_back_does_not_hide_a_change) {
    scene s;
    lrb_err err;
    bool found, unread[2];
    CHECK_OK(open_scene(&s, &err));
    fixture_age(s.f.source, "a");
    sleep(3);
    CHECK_OK(fixture_backup(&s.f, s.repo, &s.outcome, &err));
    fixture_write(s.f.source, "a", 30000, 9); /* same size */
    fixture_age(s.f.source, "a");             /* same mtime: ctime gives it away */
    CHECK_OK(load(&s, "test", &found, unread, &err));
    CHECK(found && !unread[0] && unread[1]);
    close_scene(&s);
}

TEST(tags_are_offered_for_a_file_of_the_same_size_alone) {
    enum { SIZE = (2 << 20) + 3 };
    scene s;
    lrb_err err;
    bool found, unread[2];
    CHECK_OK(open_scene(&s, &err));
    fixture_write(s.f.source, "a", SIZE, 1);
    CHECK_OK(fixture_backup(&s.f, s.repo, &s.outcome, &err));
    for (int grown = -1; grown <= 1; grown++) {
        fixture_write(s.f.source, "a", (size_t)(SIZE + grown), 2);
        CHECK_OK(load(&s, "test", &found, unread, &err));
        CHECK(found && tagged[0] == (!grown && lrb_cpu_has_clmul()) && !tagged[1]); /* "b" is small */
    }
    close_scene(&s);
}

TEST(tags_of_sections_are_offered_for_a_file_of_any_size) {
    scene s;
    lrb_err err;
    bool found, unread[2];
    char path[512];
    CHECK_OK(open_scene(&s, &err));
    fixture_path(path, s.f.source, "b");
    vector_file f = vector_file_of(24, 9000); /* some sections */
    for (int grown = 0; grown < 2; grown++) {
        FILE *file = fopen(path, "wb");
        CHECK(file && fwrite(f.bytes.data, 1, f.bytes.length - (size_t)grown, file) == f.bytes.length - (size_t)grown && !fclose(file));
        if (!grown) CHECK_OK(fixture_backup(&s.f, s.repo, &s.outcome, &err));
        CHECK_OK(load(&s, "test", &found, unread, &err));
        CHECK(found && !sections[0] && lrb_cpu_has_clmul() == (sections[1] > 1) && tagged[1] == (!grown && lrb_cpu_has_clmul()));
    }
    lrb_buf_clear(&f.bytes);
    close_scene(&s);
}

TEST(every_flipped_or_missing_byte_means_no_cache) {
    scene s;
    lrb_err err;
    bool found, unread[2];
    uint8_t bytes[4096], flipped[4096];
    CHECK_OK(open_scene(&s, &err));
    CHECK(find_cache(&s));
    FILE *file = fopen(s.cache, "rb");
    size_t count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    CHECK(count > 200 && count < sizeof bytes);
    for (size_t i = 0; i < 2 * count; i++) {
        size_t length = i < count ? count : i - count; /* first every flip, then every truncation */
        memcpy(flipped, bytes, count);
        if (i < count) flipped[i] ^= 0x40;
        unlink(s.cache);
        file = fopen(s.cache, "wb");
        CHECK(fwrite(flipped, 1, length, file) == length);
        fclose(file);
        CHECK_OK(load(&s, "test", &found, unread, &err));
        CHECK(!found);
    }
    CHECK_OK(fixture_backup(&s.f, s.repo, &s.outcome, &err)); /* the snapshot before serves instead */
    CHECK(s.outcome.items_reused == 2 && s.outcome.stored_bytes <= 4096);
    close_scene(&s);
}

TEST(what_an_earlier_version_wrote_is_no_cache) {
    scene s;
    lrb_err err;
    bool found, unread[2];
    uint8_t bytes[4096], digest[LRB_DIGEST_BYTES];
    CHECK_OK(open_scene(&s, &err));
    CHECK(find_cache(&s));
    FILE *file = fopen(s.cache, "rb+");
    size_t count = fread(bytes, 1, sizeof bytes, file);
    CHECK(count > sizeof digest && count < sizeof bytes && !memcmp(bytes, "lrbsrcs4", 8));
    for (char version = '1'; version <= '4'; version++) {
        bytes[7] = (uint8_t)version;
        CHECK_OK(lrb_sha256(bytes, count - sizeof digest, digest, &err));
        memcpy(bytes + count - sizeof digest, digest, sizeof digest);
        rewind(file);
        CHECK(fwrite(bytes, 1, count, file) == count && !fflush(file));
        CHECK_OK(load(&s, "test", &found, unread, &err));
        CHECK(found == (version == '4'));
    }
    fclose(file);
    close_scene(&s);
}

TEST(every_failing_allocation_while_loading_is_survived) {
    scene s;
    lrb_err err;
    bool found = false, unread[2];
    CHECK_OK(open_scene(&s, &err));
    char path[512];
    fixture_path(path, s.f.source, "b");
    vector_file f = vector_file_of(24, 9000); /* larger than a buffer: it has tags of both kinds */
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(f.bytes.data, 1, f.bytes.length, file) == f.bytes.length && !fclose(file));
    lrb_buf_clear(&f.bytes);
    CHECK_OK(fixture_backup(&s.f, s.repo, &s.outcome, &err));
    int code = LRB_E_NOMEM;
    for (failing = 0; code; failing++) {
        code = load(&s, "test", &found, unread, &err);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
    }
    CHECK(failing > (lrb_cpu_has_clmul() ? 4 : 2) && found);
    failing = -1;
    close_scene(&s);
}

/* One saving is lost, and nothing else: the cache is the one from before, whole, or the new one. */
TEST(every_failing_allocation_while_saving_costs_only_the_cache) {
    scene s;
    lrb_err err;
    bool found = true, unread[2], saved = false;
    CHECK_OK(open_scene(&s, &err));
    CHECK(find_cache(&s));
    for (int64_t n = 0; !saved; n++) {
        lrb_source *source;
        lrb_writer *writer;
        lrb_intake *intake;
        lrb_job job;
        static const lrb_job_ops NONE;
        lrb_job_init(&job, &NONE);
        unlink(s.cache);
        CHECK_OK(fixture_list(s.f.source, &source, &err));
        CHECK_OK(lrb_writer_new(s.repo, &job, &writer, &err));
        CHECK_OK(lrb_intake_new(source, s.repo, writer, &job, &intake, &err));
        lrb_mem_fail_after(n, false);
        lrb_source_cache_save(s.repo, "test", lrb_clock_wall_ns(), source, intake);
        saved = lrb_mem_count() <= n;
        lrb_mem_fail_after(-1, false);
        lrb_intake_free(intake);
        lrb_writer_free(writer);
        lrb_source_free(source);
        CHECK_OK(load(&s, "test", &found, unread, &err));
        CHECK(found == saved);
    }
    close_scene(&s);
}

static void run_all(void) {
    RUN(what_an_earlier_version_wrote_is_no_cache);
    RUN(every_failing_allocation_while_loading_is_survived);
    RUN(every_failing_allocation_while_saving_costs_only_the_cache);
    RUN(young_files_are_read_and_settled_ones_are_not);
    RUN(a_time_that_was_set_back_does_not_hide_a_change);
    RUN(every_flipped_or_missing_byte_means_no_cache);
    RUN(tags_of_sections_are_offered_for_a_file_of_any_size);
    RUN(tags_are_offered_for_a_file_of_the_same_size_alone);
}

int main(void) {
    run_all();
    fixture_key = &fixture_some_key;
    run_all();
    return check_report();
}
