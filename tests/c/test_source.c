/* Listing a source: names, order, what is left out, and files that are not the same any more when their turn comes. */
#include "engine/source.h"

#include "check.h"
#include "fixture.h"

static const char *names_of(const lrb_source *source) {
    static char out[1024];
    out[0] = '\0';
    for (size_t i = 0; i < lrb_source_count(source); i++) {
        strncat(out, lrb_source_at(source, i)->name, sizeof out - strlen(out) - 2);
        strncat(out, " ", sizeof out - strlen(out) - 1);
    }
    return out;
}

static void make_tree(const fixture *f) {
    char path[512];
    fixture_write(f->source, "b", 10, 1);
    fixture_write(f->source, "a", 20, 2);
    fixture_path(path, f->source, "dir");
    mkdir(path, 0700);
    fixture_write(path, "c", 30, 3);
    fixture_path(path, f->source, "zlink");
    if (symlink("/etc/passwd", path)) perror("symlink");
    fixture_path(path, f->source, "fifo");
    mkfifo(path, 0600);
}

TEST(a_tree_is_listed_in_name_order) {
    fixture f;
    lrb_err err;
    lrb_source *source;
    fixture_open(&f);
    make_tree(&f);
    CHECK_OK(fixture_list(f.source, &source, &err));
    CHECK(!strcmp(names_of(source), "a b dir dir/c zlink "));
    CHECK(lrb_source_at(source, 0)->identity.size_bytes == 20);
    CHECK(lrb_source_at(source, 2)->identity.type == LRB_FILE_DIRECTORY);
    CHECK(!strcmp(lrb_source_at(source, 4)->link_target, "/etc/passwd"));
    CHECK(lrb_source_skip_count(source) == 1 && !strcmp(lrb_source_skip_at(source, 0)->name, "fifo"));
    lrb_source_free(source);
    fixture_close(&f);
}

TEST(a_prefix_and_a_single_child) {
    fixture f;
    lrb_err err;
    lrb_source *source;
    int dir, fd;
    char bytes[64];
    size_t got;
    fixture_open(&f);
    make_tree(&f);
    CHECK_OK(lrb_source_new(&source, &err));
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, f.source, &dir, &err));
    CHECK_OK(lrb_source_add_tree(source, dir, "inputs", NULL, &err));
    CHECK_OK(lrb_source_add_tree(source, dir, "", "zlink", &err));
    lrb_fs_close(dir);
    CHECK_OK(lrb_source_seal(source, &err));
    CHECK(!strcmp(names_of(source), "inputs/a inputs/b inputs/dir inputs/dir/c inputs/zlink zlink "));
    CHECK_OK(lrb_source_open(source, lrb_source_at(source, 3), &fd, &err));
    CHECK_OK(lrb_fs_read_at(fd, bytes, sizeof bytes, 0, &got, "c", &err));
    CHECK(got == 30);
    lrb_fs_close(fd);
    CHECK_FAILS(lrb_source_skip_name(source, "late", "closed", &err), LRB_E_INVALID);
    lrb_source_free(source);
    fixture_close(&f);
}

TEST(a_pinned_file_outlives_its_name) {
    fixture f;
    lrb_err err;
    lrb_source *source;
    char path[512], bytes[64];
    int fd;
    size_t got;
    fixture_open(&f);
    fixture_write(f.source, "a", 20, 2);
    fixture_path(path, f.source, "a");
    CHECK_OK(lrb_source_new(&source, &err));
    CHECK_OK(lrb_fs_open_read(AT_FDCWD, path, &fd, &err));
    CHECK_OK(lrb_source_pin(source, "a", fd, &err));
    CHECK_OK(lrb_source_seal(source, &err));
    CHECK(unlink(path) == 0);
    fixture_write(f.source, "a", 60, 3);
    CHECK_OK(lrb_source_open(source, lrb_source_at(source, 0), &fd, &err));
    CHECK_OK(lrb_fs_read_at(fd, bytes, sizeof bytes, 0, &got, "a", &err));
    CHECK(got == 20);
    lrb_fs_close(fd);
    lrb_source_free(source);
    fixture_close(&f);
}

TEST(a_file_replaced_before_its_turn_is_changed) {
    fixture f;
    lrb_err err;
    lrb_source *source;
    char path[512];
    int fd;
    fixture_open(&f);
    make_tree(&f);
    CHECK_OK(fixture_list(f.source, &source, &err));
    fixture_path(path, f.source, "a");
    CHECK(unlink(path) == 0);
    CHECK_FAILS(lrb_source_open(source, lrb_source_at(source, 0), &fd, &err), LRB_E_CHANGED);
    fixture_write(f.source, "a", 20, 2);
    CHECK_FAILS(lrb_source_open(source, lrb_source_at(source, 0), &fd, &err), LRB_E_CHANGED);
    fixture_path(path, f.source, "dir/c");
    CHECK(unlink(path) == 0 && symlink("/etc/passwd", path) == 0);
    CHECK(lrb_source_open(source, lrb_source_at(source, 3), &fd, &err) != LRB_OK);
    lrb_source_free(source);
    fixture_close(&f);
}

TEST(one_name_twice_and_bad_names_are_refused) {
    fixture f;
    lrb_err err;
    lrb_source *source;
    int fd;
    fixture_open(&f);
    fixture_write(f.source, "a", 20, 2);
    CHECK_OK(lrb_source_new(&source, &err));
    for (int i = 0; i < 2; i++) {
        char path[512];
        fixture_path(path, f.source, "a");
        CHECK_OK(lrb_fs_open_read(AT_FDCWD, path, &fd, &err));
        CHECK_OK(lrb_source_pin(source, "same", fd, &err));
    }
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, f.source, &fd, &err));
    CHECK_FAILS(lrb_source_add_tree(source, fd, "../out", NULL, &err), LRB_E_INVALID);
    lrb_fs_close(fd);
    CHECK_FAILS(lrb_source_seal(source, &err), LRB_E_INVALID);
    CHECK(!strcmp(err.target, "same"));
    lrb_source_free(source);
    fixture_close(&f);
}

TEST(listing_survives_every_failed_allocation) {
    fixture f;
    lrb_err err;
    lrb_source *source;
    int code = LRB_E_NOMEM;
    fixture_open(&f);
    make_tree(&f);
    for (int64_t n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = fixture_list(f.source, &source, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
    }
    CHECK(lrb_source_count(source) == 5);
    lrb_source_free(source);
    fixture_close(&f);
}

int main(void) {
    RUN(a_tree_is_listed_in_name_order);
    RUN(a_prefix_and_a_single_child);
    RUN(a_pinned_file_outlives_its_name);
    RUN(a_file_replaced_before_its_turn_is_changed);
    RUN(one_name_twice_and_bad_names_are_refused);
    RUN(listing_survives_every_failed_allocation);
    return check_report();
}
