#include "engine/swap.h"

#include "engine/journal.h"
#include "killed.h"

static lrb_err err;

/* A target with foreign files beside items, below an item directory and in a directory of their own; a link that is
 * an item. */
static scenario usual(void) {
    static const char *const items[] = {"a", "d/keep", "d/new", "l"}, *const removed[] = {"d/gone", "z/gone"};
    return (scenario){
        .way = LRB_PUBLISH_EXCHANGE,
        .items = items,
        .item_count = 4,
        .removed = removed,
        .removed_count = 2,
        .present = "a=old a\nd/gone=old\nd/inner/note=foreign too\nd/keep=old "
                   "keep\ndebug.log=log\nl>a\nother/deep/f=foreign\nz/gone=old\n",
        .staged = "a=new a\nd/keep=new keep\nd/new=new\nl>d\n",
        .old_text = "a=old a\nd/\nd/gone=old\nd/inner/\nd/inner/note=foreign too\nd/keep=old keep\ndebug.log=log\nl>a\n"
                    "other/\nother/deep/\nother/deep/f=foreign\nz/\nz/gone=old\n",
        .new_text = "a=new a\nd/\nd/inner/\nd/inner/note=foreign too\nd/keep=new keep\nd/new=new\ndebug.log=log\nl>d\n"
                    "other/\nother/deep/\nother/deep/f=foreign\n",
    };
}

static scenario one_item(const char *staged, const char *name) {
    static const char *items[1];
    items[0] = name;
    return (scenario){.way = LRB_PUBLISH_EXCHANGE, .staged = staged, .items = items, .item_count = 1};
}

TEST(new_items_and_what_is_no_item) {
    scratch s;
    scenario c = usual();
    scratch_open(&s);
    tree_make(s.target, c.present);
    CHECK(tree_is(s.target, c.old_text));
    CHECK_OK(publish_once(s.target, &c, &err));
    CHECK(tree_is(s.target, c.new_text));
    CHECK(nothing_left(&s));
    scratch_close(&s);
}

TEST(killed_at_every_change_it_is_old_or_new) {
    scenario c = usual();
    int changes;
    kill_everywhere(&c, &changes);
    printf("exchange: %d changes\n", changes);
    CHECK(changes > 8);
}

/* Without anybody finishing: the items are all old or all new at any moment. */
TEST(never_a_mix_of_items) {
    scenario c = usual();
    bool done = false;
    for (int n = 0; !done; n++) {
        scratch s;
        scratch_open(&s);
        tree_make(s.target, c.present);
        done = child_ends(s.target, &c, n);
        const char *is = tree_text(s.target);
        bool old_a = strstr(is, "a=old a\n"), old_keep = strstr(is, "d/keep=old keep\n"),
             gone = strstr(is, "d/gone=old\n");
        bool new_a = strstr(is, "a=new a\n"), new_keep = strstr(is, "d/keep=new keep\n"),
             added = strstr(is, "d/new=new\n");
        CHECK((old_a && old_keep && gone && !added) || (new_a && new_keep && added && !gone));
        CHECK(strstr(is, "debug.log=log\n"));
        scratch_close(&s);
    }
}

/* Refused before anything changed: the target is what it was, and abandoning leaves nothing. */
static void refuses(const char *present, const char *staged, const char *const *items, size_t item_count,
                    const char *old_text, int wanted) {
    scratch s;
    char staging[LRB_PATH_MAX];
    int fd;
    scratch_open(&s);
    tree_make(s.target, present);
    CHECK_OK(lrb_publish_stage(s.target, LRB_PUBLISH_EXCHANGE, staging, &fd, &err));
    tree_make(staging, staged);
    CHECK_FAILS(lrb_publish_commit(s.target, LRB_PUBLISH_EXCHANGE, staging, items, item_count, NULL, 0, &err), wanted);
    CHECK_OK(lrb_publish_abandon(s.target, LRB_PUBLISH_EXCHANGE, staging, &err));
    close(fd);
    CHECK(tree_is(s.target, old_text));
    CHECK(nothing_left(&s));
    scratch_close(&s);
}

TEST(what_is_no_item_is_never_overwritten) {
    refuses("a=foreign\n", "a/b=item\n", NAMES("a/b"), "a=foreign\n", LRB_E_EXISTS);
    refuses("a/b=foreign\n", "a=item\n", NAMES("a"), "a/\na/b=foreign\n", LRB_E_EXISTS);
    refuses("a>/tmp\n", "a/b=item\n", NAMES("a/b"), "a>/tmp\n", LRB_E_EXISTS);
    refuses("a/b/c/d=foreign\n", "a/b=item\n", NAMES("a/b"), "a/\na/b/\na/b/c/\na/b/c/d=foreign\n", LRB_E_EXISTS);
}

/* A link in the old directory is moved or replaced as a link; what it leads to stays as it is. */
TEST(links_in_the_old_tree_are_not_followed) {
    scratch s;
    char outside[200], link_line[512];
    scenario c = one_item("a/x=new\n", "a/x");
    scratch_open(&s);
    snprintf(outside, sizeof outside, "%s/outside", s.root);
    tree_make(outside, "x=outside\n");
    snprintf(link_line, sizeof link_line, "foreign>%s\na/y>%s\n", outside, outside);
    tree_make(s.target, link_line);
    CHECK_OK(publish_once(s.target, &c, &err));
    CHECK(tree_is(outside, "x=outside\n"));
    CHECK(strstr(tree_text(s.target), "a/x=new\n") && strstr(tree_text(s.target), "foreign>"));
    scratch_close(&s);
}

TEST(the_new_directory_has_the_old_ones_mode) {
    scratch s;
    struct stat st;
    scenario c = one_item("a=new\n", "a");
    scratch_open(&s);
    tree_make(s.target, "b=1\n");
    chmod(s.target, 02710);
    CHECK_OK(publish_once(s.target, &c, &err));
    CHECK(stat(s.target, &st) == 0 && (st.st_mode & 07777) == 02710);
    CHECK(tree_is(s.target, "a=new\nb=1\n"));
    scratch_close(&s);
}

/* Its items go, something else in it stays: the directory is made anew for that, as it was. */
TEST(a_directory_that_loses_its_items_keeps_the_rest) {
    static const char *const items[] = {"a"}, *const removed[] = {"d/e/gone", "d/too"};
    scratch s;
    struct stat st;
    char path[300];
    scenario c = {.way = LRB_PUBLISH_EXCHANGE, .staged = "a=new\n", .items = items, .item_count = 1, .removed = removed, .removed_count = 2};
    scratch_open(&s);
    tree_make(s.target, "d/e/gone=1\nd/e/note=foreign\nd/e/own/deep=foreign\nd/too=2\n");
    snprintf(path, sizeof path, "%s/d/e", s.target);
    chmod(path, 0510);
    CHECK_OK(publish_once(s.target, &c, &err));
    CHECK(!stat(path, &st) && (st.st_mode & 0777) == 0710); /* opened up, so that its owner can put something in */
    CHECK(tree_is(s.target, "a=new\nd/\nd/e/\nd/e/note=foreign\nd/e/own/\nd/e/own/deep=foreign\n"));
    CHECK(nothing_left(&s));
    scratch_close(&s);
}

/* A marker that is whole, and names what no restore gave: of another name, below one, none, or two at once. */
TEST(a_marker_that_names_no_staging_directory_removes_nothing) {
    static const char *const asides[][2] = {{"b", NULL}, {".lrb_restore-1/b", NULL}, {".lrb_restore", NULL}, {NULL, NULL},
                                            {".lrb_restore-1", ".lrb_restore-2"}};
    for (size_t i = 0; i < sizeof asides / sizeof *asides; i++) {
        scratch s;
        lrb_buf bytes;
        bool finished;
        scratch_open(&s);
        tree_make(s.target, "a=1\n");
        int fd = open(s.target, O_RDONLY | O_DIRECTORY);
        CHECK_OK(lrb_journal_begin(&bytes, &err));
        for (int k = 0; k < 2 && asides[i][k]; k++)
            CHECK_OK(lrb_journal_add(&bytes, LRB_JOURNAL_ASIDE, asides[i][k], strlen(asides[i][k]), 0, 0, &err));
        CHECK_OK(lrb_journal_save(&bytes, fd, ".lrb_restore.swap", &err));
        lrb_buf_clear(&bytes);
        close(fd);
        CHECK_FAILS(lrb_publish_finish(s.target, &finished, &err), LRB_E_DAMAGED);
        CHECK(tree_is(s.target, "a=1\n"));
        scratch_close(&s);
    }
}

/* A marker is a file that anybody might have put there: it must not get a directory elsewhere removed. */
TEST(a_damaged_marker_removes_nothing) {
    scratch s;
    bool finished, pending, half_done;
    scratch_open(&s);
    tree_make(s.target, "a=1\n.lrb_restore.swap=rubbish\n");
    CHECK_OK(lrb_publish_pending(s.target, &pending, &err));
    CHECK_OK(lrb_publish_half_done(s.target, &half_done, &err));
    CHECK(pending && half_done);
    CHECK_FAILS(lrb_publish_finish(s.target, &finished, &err), LRB_E_DAMAGED);
    CHECK(strstr(err.target, "swap"));
    CHECK(tree_is(s.target, "a=1\n"));
    scratch_close(&s);
}

TEST(survives_every_failed_allocation) {
    scenario c = usual();
    fail_every_allocation(&c);
}

int main(void) {
    RUN(new_items_and_what_is_no_item);
    RUN(killed_at_every_change_it_is_old_or_new);
    RUN(never_a_mix_of_items);
    RUN(what_is_no_item_is_never_overwritten);
    RUN(links_in_the_old_tree_are_not_followed);
    RUN(the_new_directory_has_the_old_ones_mode);
    RUN(a_directory_that_loses_its_items_keeps_the_rest);
    RUN(a_marker_that_names_no_staging_directory_removes_nothing);
    RUN(a_damaged_marker_removes_nothing);
    RUN(survives_every_failed_allocation);
    return check_report();
}
