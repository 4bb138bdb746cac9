#include "engine/roll.h"

#include "engine/journal.h"
#include "killed.h"

static lrb_err err;

/* A target with another workspace in it, type changes both ways, a directory that loses its last item and one that is
 * an item. */
static scenario usual(void) {
    static const char *const items[] = {"a", "b", "b/x", "c", "d", "e/f/g", "l"}, *const removed[] = {
                                                                                      "c/old", "gone/deep/er", "h"};
    return (scenario){
        .way = LRB_PUBLISH_JOURNAL,
        .items = items,
        .item_count = 7,
        .removed = removed,
        .removed_count = 3,
        .present = "a=old\nb=was a file\nc/old=x\ngone/deep/er=x\nh=x\nl>a\nother/kv.json=another workspace\n",
        .staged = "a=new\nb/x=new\nc=was a directory\nd/\ne/f/g=new\nl>b\n",
        .old_text =
            "a=old\nb=was a "
            "file\nc/\nc/old=x\ngone/\ngone/deep/\ngone/deep/er=x\nh=x\nl>a\nother/\nother/kv.json=another workspace\n",
        .new_text = "a=new\nb/\nb/x=new\nc=was a "
                    "directory\nd/\ne/\ne/f/\ne/f/g=new\nl>b\nother/\nother/kv.json=another workspace\n",
    };
}

TEST(items_change_and_the_rest_stays) {
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
    printf("journal: %d changes\n", changes);
    CHECK(changes > 15);
}

TEST(directories_get_mode_and_time) {
    static const char *const items[] = {"d", "d/e", "d/e/f"};
    scratch s;
    struct stat st;
    char staging[LRB_PATH_MAX], path[LRB_PATH_MAX + 16];
    int fd;
    struct timespec times[2] = {{1500000000, 0}, {1500000000, 7}};
    scratch_open(&s);
    tree_make(s.target, "d/e/f=old\n");
    CHECK_OK(lrb_publish_stage(s.target, LRB_PUBLISH_JOURNAL, staging, &fd, &err));
    tree_make(staging, "d/e/f=new\n");
    snprintf(path, sizeof path, "%s/d", staging);
    utimensat(AT_FDCWD, path, times, 0);
    snprintf(path, sizeof path, "%s/d/e", staging);
    utimensat(AT_FDCWD, path, times, 0);
    chmod(path, 0500);
    CHECK_OK(lrb_publish_commit(s.target, LRB_PUBLISH_JOURNAL, staging, items, 3, NULL, 0, &err));
    close(fd);
    CHECK(tree_is(s.target, "d/\nd/e/\nd/e/f=new\n"));
    snprintf(path, sizeof path, "%s/d/e", s.target);
    CHECK(!stat(path, &st) && (st.st_mode & 07777) == 0500 && st.st_mtim.tv_sec == 1500000000 &&
          st.st_mtim.tv_nsec == 7);
    snprintf(path, sizeof path, "%s/d", s.target);
    CHECK(!stat(path, &st) && (st.st_mode & 07777) == 0755 && st.st_mtim.tv_sec == 1500000000);
    scratch_close(&s);
}

/* Refused before the journal exists: the target is what it was. */
static void refuses(const char *present, const char *staged, const char *item, const char *removed, int wanted) {
    scratch s;
    char staging[LRB_PATH_MAX], before[TREE_TEXT];
    int fd;
    scratch_open(&s);
    tree_make(s.target, present);
    snprintf(before, sizeof before, "%s", tree_text(s.target));
    CHECK_OK(lrb_publish_stage(s.target, LRB_PUBLISH_JOURNAL, staging, &fd, &err));
    tree_make(staging, staged);
    CHECK_FAILS(lrb_publish_commit(s.target, LRB_PUBLISH_JOURNAL, staging, &item, 1, &removed, removed ? 1 : 0, &err),
                wanted);
    CHECK_OK(lrb_publish_abandon(s.target, LRB_PUBLISH_JOURNAL, staging, &err));
    close(fd);
    CHECK(tree_is(s.target, before));
    CHECK(nothing_left(&s));
    scratch_close(&s);
}

TEST(what_is_no_item_is_never_overwritten) {
    refuses("a=foreign\n", "a/b=item\n", "a/b", NULL, LRB_E_EXISTS);
    refuses("a>/tmp\n", "a/b=item\n", "a/b", NULL, LRB_E_EXISTS);
    refuses("a/b=foreign\n", "a=item\n", "a", NULL, LRB_E_EXISTS);
    refuses("a/b=item\na/c/d=foreign\n", "a=item\n", "a", "a/b", LRB_E_EXISTS);
    refuses("a/b=item\na/empty/\n", "a=item\n", "a", "a/b", LRB_E_EXISTS);
}

TEST(items_that_make_no_sense_are_refused) {
    refuses("a=1\n", "b=2\n", "c", NULL, LRB_E_INVALID);
    refuses("a=1\n", "b=2\n", "b", "b", LRB_E_INVALID);
    refuses("a=1\n", "b=2\n", ".lrb_restore/journal", NULL, LRB_E_INVALID);
    refuses("a=1\n", "b=2\n", "../b", NULL, LRB_E_INVALID);
}

/* Links put into the target after the journal was written must not lead out of it. */
TEST(links_in_the_way_of_a_journal_are_not_followed) {
    scratch s;
    char outside[200], path[512];
    bool finished, pending;
    lrb_buf bytes;
    int work;
    scratch_open(&s);
    snprintf(outside, sizeof outside, "%s/outside", s.root);
    tree_make(outside, "x=outside\n");
    tree_make(s.target, ".lrb_restore/new/d/x=new\nl>../outside\n");
    snprintf(path, sizeof path, "%s/d", s.target);
    CHECK(symlink("../outside", path) == 0);
    snprintf(path, sizeof path, "%s/.lrb_restore", s.target);
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, path, &work, &err));
    CHECK_OK(lrb_journal_begin(&bytes, &err));
    CHECK_OK(lrb_journal_add(&bytes, LRB_JOURNAL_REMOVE, "l/x", 3, 0, 0, &err));
    CHECK_OK(lrb_journal_add(&bytes, LRB_JOURNAL_PARENT, "d", 1, 0, 0, &err));
    CHECK_OK(lrb_journal_add(&bytes, LRB_JOURNAL_PUT, "d/x", 3, 0, 0, &err));
    CHECK_OK(lrb_journal_save(&bytes, work, "journal", &err));
    lrb_buf_clear(&bytes);
    close(work);
    CHECK_FAILS(lrb_publish_finish(s.target, &finished, &err), LRB_E_EXISTS);
    CHECK(tree_is(outside, "x=outside\n"));
    CHECK_OK(lrb_publish_pending(s.target, &pending, &err));
    CHECK(pending);
    snprintf(path, sizeof path, "%s/d", s.target);
    unlink(path);
    CHECK_OK(lrb_publish_finish(s.target, &finished, &err));
    CHECK(finished && tree_is(s.target, "d/\nd/x=new\nl>../outside\n") && tree_is(outside, "x=outside\n"));
    scratch_close(&s);
}

TEST(a_damaged_journal_is_named_and_changes_nothing) {
    scratch s;
    bool finished, pending;
    scratch_open(&s);
    tree_make(s.target, "a=1\n.lrb_restore/new/a=2\n.lrb_restore/journal=rubbish\n");
    CHECK_OK(lrb_publish_pending(s.target, &pending, &err));
    CHECK(pending);
    CHECK_FAILS(lrb_publish_finish(s.target, &finished, &err), LRB_E_DAMAGED);
    CHECK(strcmp(err.target, ".lrb_restore/journal") == 0);
    CHECK(tree_is(s.target, "a=1\n"));
    scratch_close(&s);
}

/* More directories than are synced one by one. */
TEST(many_directories) {
    enum { COUNT = 150 };
    static char names[COUNT][16];
    static const char *items[COUNT];
    char staged[COUNT * 24] = "";
    scratch s;
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "d%03d/f", i);
        items[i] = names[i];
        snprintf(staged + strlen(staged), sizeof staged - strlen(staged), "%s=%d\n", names[i], i);
    }
    scenario c = {.way = LRB_PUBLISH_JOURNAL, .staged = staged, .items = items, .item_count = COUNT};
    scratch_open(&s);
    tree_make(s.target, "keep=1\n");
    CHECK_OK(publish_once(s.target, &c, &err));
    CHECK(strstr(tree_text(s.target), "d149/f=149\nkeep=1\n"));
    CHECK(nothing_left(&s));
    scratch_close(&s);
}

TEST(survives_every_failed_allocation) {
    scenario c = usual();
    fail_every_allocation(&c);
}

int main(void) {
    RUN(items_change_and_the_rest_stays);
    RUN(killed_at_every_change_it_is_old_or_new);
    RUN(directories_get_mode_and_time);
    RUN(what_is_no_item_is_never_overwritten);
    RUN(items_that_make_no_sense_are_refused);
    RUN(links_in_the_way_of_a_journal_are_not_followed);
    RUN(a_damaged_journal_is_named_and_changes_nothing);
    RUN(many_directories);
    RUN(survives_every_failed_allocation);
    return check_report();
}
