#include "engine/site.h"

#include "check.h"
#include "scratch.h"

static scratch s;
static lrb_site site;
static lrb_err err;

TEST(opens_what_is_there) {
    scratch_open(&s);
    CHECK_OK(lrb_site_open(&site, s.target, false, &err));
    CHECK(site.parent >= 0 && site.dir < 0 && !strcmp(site.leaf, "target"));
    CHECK_OK(lrb_site_make_target(&site, &err));
    CHECK(site.dir >= 0 && site.identity.type == LRB_FILE_DIRECTORY);
    lrb_site_close(&site);
    CHECK_OK(lrb_site_open(&site, s.target, false, &err));
    CHECK(site.dir >= 0);
    lrb_site_close(&site);
    scratch_close(&s);
}

TEST(makes_parents_only_when_asked) {
    char deep[300];
    scratch_open(&s);
    snprintf(deep, sizeof deep, "%s/a//b/c/leaf///", s.root);
    CHECK_OK(lrb_site_open(&site, deep, false, &err));
    CHECK(site.parent < 0 && site.dir < 0);
    CHECK_OK(lrb_site_open(&site, deep, true, &err));
    CHECK(site.parent >= 0 && site.dir < 0 && !strcmp(site.leaf, "leaf"));
    lrb_site_close(&site);
    CHECK(tree_is(s.root, "a/\na/b/\na/b/c/\n"));
    scratch_close(&s);
}

TEST(links_above_the_target_are_followed_but_not_the_target) {
    char path[300];
    scratch_open(&s);
    tree_make(s.root, "real/leaf/x=1\nlink>real\n");
    snprintf(path, sizeof path, "%s/link/leaf", s.root);
    CHECK_OK(lrb_site_open(&site, path, true, &err));
    CHECK(site.dir >= 0);
    lrb_site_close(&site);
    snprintf(path, sizeof path, "%s/link", s.root);
    CHECK_FAILS(lrb_site_open(&site, path, false, &err), LRB_E_INVALID);
    CHECK_OK(lrb_site_open_beside(&site, path, &err));
    CHECK(site.parent >= 0 && site.dir < 0);
    lrb_site_close(&site);
    scratch_close(&s);
}

TEST(a_file_above_the_target_is_an_error) {
    char path[300];
    scratch_open(&s);
    tree_make(s.root, "file=1\n");
    snprintf(path, sizeof path, "%s/file/leaf", s.root);
    CHECK(lrb_site_open(&site, path, true, &err) != LRB_OK);
    scratch_close(&s);
}

TEST(knows_its_own_names) {
    static const char *const own[] = {".lrb_restore-target-0123abcd", ".lrb_restore-target-0123abcd.probe"};
    static const char *const others[] = {
        ".lrb_restore-target-0123abc", ".lrb_restore-target-0123abcde",     ".lrb_restore-target-0123abcg",
        ".lrb_restore-target",         ".lrb_restore-targe-0123abcd",       ".lrb_restore-target2-0123abcd",
        "lrb_restore-target-0123abcd", ".lrb_restore-target-0123abcd.prob", ".lrb_restore"};
    bool probe;
    scratch_open(&s);
    CHECK_OK(lrb_site_open(&site, s.target, false, &err));
    CHECK(lrb_site_owns(&site, own[0], &probe) && !probe);
    CHECK(lrb_site_owns(&site, own[1], &probe) && probe);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) CHECK(!lrb_site_owns(&site, others[i], &probe));
    lrb_site_close(&site);
    scratch_close(&s);
}

TEST(what_it_makes_beside_is_locked) {
    char name[LRB_SITE_LEAF_MAX + 1];
    int fd, other;
    bool taken, probe;
    scratch_open(&s);
    CHECK_OK(lrb_site_open(&site, s.target, false, &err));
    CHECK_OK(lrb_site_make_beside(&site, false, name, &fd, &err));
    CHECK(lrb_site_owns(&site, name, &probe) && !probe);
    CHECK_OK(lrb_site_lock(site.parent, name, &other, &taken, &err));
    CHECK(!taken);
    close(other);
    close(fd);
    CHECK_OK(lrb_site_lock(site.parent, name, &other, &taken, &err));
    CHECK(taken);
    close(other);
    lrb_site_close(&site);
    scratch_close(&s);
}

TEST(long_names_fit_or_are_refused) {
    char path[512], name[LRB_SITE_LEAF_MAX + 1];
    int fd;
    scratch_open(&s);
    snprintf(path, sizeof path, "%s/%0250d", s.root, 7);
    CHECK_OK(lrb_site_open(&site, path, false, &err));
    CHECK(!lrb_site_fits_beside(&site));
    CHECK_FAILS(lrb_site_make_beside(&site, false, name, &fd, &err), LRB_E_LIMIT);
    lrb_site_close(&site);
    snprintf(path, sizeof path, "%s/%0256d", s.root, 7);
    CHECK_FAILS(lrb_site_open(&site, path, false, &err), LRB_E_INVALID);
    scratch_close(&s);
}

int main(void) {
    RUN(opens_what_is_there);
    RUN(makes_parents_only_when_asked);
    RUN(links_above_the_target_are_followed_but_not_the_target);
    RUN(a_file_above_the_target_is_an_error);
    RUN(knows_its_own_names);
    RUN(what_it_makes_beside_is_locked);
    RUN(long_names_fit_or_are_refused);
    return check_report();
}
