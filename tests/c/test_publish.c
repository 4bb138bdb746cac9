#include "engine/publish.h"

#include <sys/mount.h>

#include "killed.h"

static lrb_err err;

static lrb_publish_way chosen(const char *target, bool shared) {
    lrb_publish_way way = (lrb_publish_way)0;
    if (lrb_publish_choose(target, shared, &way, &err)) printf("choose: %s\n", err.message);
    return way;
}

TEST(chooses_by_what_is_there) {
    scratch s;
    char deeper[256];
    scratch_open(&s);
    snprintf(deeper, sizeof deeper, "%s/x/y", s.target);
    CHECK(chosen(s.target, false) == LRB_PUBLISH_RENAME);
    CHECK(chosen(s.target, true) == LRB_PUBLISH_RENAME);
    CHECK(chosen(deeper, false) == LRB_PUBLISH_RENAME);
    tree_make(s.target, "");
    CHECK(chosen(s.target, false) == LRB_PUBLISH_RENAME);
    tree_make(s.target, "a=1\n");
    CHECK(chosen(s.target, false) == LRB_PUBLISH_EXCHANGE);
    CHECK(chosen(s.target, true) == LRB_PUBLISH_JOURNAL);
    CHECK(tree_is(s.target, "a=1\n") && tree_leftovers(s.root) == 0);
    scratch_close(&s);
}

TEST(chooses_the_journal_where_nothing_fits_beside) {
    scratch s;
    char target[512];
    scratch_open(&s);
    snprintf(target, sizeof target, "%s/%0240d", s.root, 7);
    CHECK(chosen(target, false) == LRB_PUBLISH_JOURNAL);
    tree_make(target, "a=1\n");
    CHECK(chosen(target, false) == LRB_PUBLISH_JOURNAL);
    scratch_close(&s);
}

/* Needs the right to mount; elsewhere there is nothing to test. */
TEST(chooses_the_journal_for_mounts) {
    scratch s;
    char inner[256];
    scratch_open(&s);
    snprintf(inner, sizeof inner, "%s/inputs", s.target);
    tree_make(s.target, "a=1\ninputs/b=1\n");
    if (mount(s.target, s.target, NULL, MS_BIND, NULL) == 0) {
        CHECK(chosen(s.target, false) == LRB_PUBLISH_JOURNAL);
        umount(s.target);
        mount(inner, inner, NULL, MS_BIND, NULL);
        CHECK(chosen(s.target, false) == LRB_PUBLISH_JOURNAL);
        for (lrb_publish_way way = LRB_PUBLISH_EXCHANGE; way <= LRB_PUBLISH_JOURNAL; way++) {
            scenario c = {
                .way = way, .staged = "inputs/b=2\n", .items = (const char *const[]){"inputs/b"}, .item_count = 1};
            CHECK_FAILS(publish_once(s.target, &c, &err), LRB_E_UNSUPPORTED);
            CHECK(strcmp(err.target, inner) == 0 && strstr(err.message, "unmount it"));
        }
        umount(inner);
        CHECK(tree_is(s.target, "a=1\ninputs/\ninputs/b=1\n"));
    } else {
        printf("may not mount: mounts were not tested\n");
    }
    scratch_close(&s);
}

TEST(refuses_targets_that_are_no_directories) {
    scratch s;
    lrb_publish_way way;
    bool pending, finished;
    char path[256];
    scratch_open(&s);
    tree_make(s.root, "file=1\nlink>/tmp\n");
    static const char *const names[] = {"file", "link"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", s.root, names[i]);
        CHECK_FAILS(lrb_publish_choose(path, false, &way, &err), LRB_E_INVALID);
        CHECK_OK(lrb_publish_pending(path, &pending, &err));
        CHECK_OK(lrb_publish_finish(path, &finished, &err));
        CHECK(!pending && !finished);
    }
    CHECK_FAILS(lrb_publish_choose("relative", false, &way, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_publish_choose("/", false, &way, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_publish_choose("/tmp/..", false, &way, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_publish_pending("", &pending, &err), LRB_E_INVALID);
    scratch_close(&s);
}

static scenario renaming(void) {
    static const char *const items[] = {"a", "d/b"};
    return (scenario){.way = LRB_PUBLISH_RENAME,
                      .staged = "a=new\nd/b=new\n",
                      .items = items,
                      .item_count = 2,
                      .old_text = "",
                      .new_text = "a=new\nd/\nd/b=new\n"};
}

TEST(renames_into_nothing_making_parents) {
    scratch s;
    char link[256], target[300];
    scenario c = renaming();
    scratch_open(&s);
    snprintf(link, sizeof link, "%s/link", s.root);
    snprintf(target, sizeof target, "%s/link/p/q//target/", s.root);
    CHECK(mkdir(s.target, 0755) == 0 && symlink("target", link) == 0);
    CHECK_OK(publish_once(target, &c, &err));
    CHECK(tree_is(s.target, "p/\np/q/\np/q/target/\np/q/target/a=new\np/q/target/d/\np/q/target/d/b=new\n"));
    scratch_close(&s);
}

TEST(killed_while_renaming_it_is_there_or_not) {
    scenario c = renaming();
    int changes;
    kill_everywhere(&c, &changes);
    c.present = "";
    kill_everywhere(&c, &changes);
    CHECK(changes >= 3);
}

TEST(a_target_filled_meanwhile_is_not_overwritten) {
    scratch s;
    char staging[LRB_PATH_MAX];
    int fd;
    scenario c = renaming();
    scratch_open(&s);
    CHECK_OK(lrb_publish_stage(s.target, LRB_PUBLISH_RENAME, staging, &fd, &err));
    tree_make(staging, c.staged);
    tree_make(s.target, "a=mine\n");
    CHECK_FAILS(lrb_publish_commit(s.target, LRB_PUBLISH_RENAME, staging, c.items, 2, NULL, 0, &err), LRB_E_EXISTS);
    CHECK_OK(lrb_publish_abandon(s.target, LRB_PUBLISH_RENAME, staging, &err));
    close(fd);
    CHECK(tree_is(s.target, "a=mine\n") && nothing_left(&s));
    scratch_close(&s);
}

/* What a living process stages is neither pending nor cleared away, and nobody else may stage; a dead one's is both. */
static void staging_lives_and_dies(lrb_publish_way way) {
    scratch s;
    char staging[LRB_PATH_MAX], second[LRB_PATH_MAX];
    int fd, other;
    bool pending, half_done, finished;
    scratch_open(&s);
    tree_make(s.target, "a=1\n");
    CHECK_OK(lrb_publish_stage(s.target, way, staging, &fd, &err));
    tree_make(staging, "a=2\n");
    CHECK_OK(lrb_publish_pending(s.target, &pending, &err));
    CHECK(!pending);
    CHECK_OK(lrb_publish_finish(s.target, &finished, &err));
    CHECK(!finished && access(staging, F_OK) == 0);
    CHECK_FAILS(lrb_publish_stage(s.target, way, second, &other, &err), LRB_E_BUSY);
    close(fd);
    CHECK_OK(lrb_publish_pending(s.target, &pending, &err));
    CHECK_OK(lrb_publish_half_done(s.target, &half_done, &err));
    CHECK(pending && !half_done);
    CHECK_OK(lrb_publish_finish(s.target, &finished, &err));
    CHECK(finished && access(staging, F_OK) != 0);
    CHECK(tree_is(s.target, "a=1\n") && nothing_left(&s));
    scratch_close(&s);
}

TEST(staging_lives_and_dies_with_its_process) {
    staging_lives_and_dies(LRB_PUBLISH_EXCHANGE);
    staging_lives_and_dies(LRB_PUBLISH_JOURNAL);
}

TEST(other_targets_staging_is_left_alone) {
    scratch s;
    bool finished;
    scratch_open(&s);
    tree_make(s.root,
              ".lrb_restore-target-0123abcd/x=1\n.lrb_restore-target2-0123abcd/x=1\n.lrb_restore-target-0123ABCD/x=1\n"
              ".lrb_restore-target-0123abcde/x=1\n.lrb_restore-target-89abcdef.probe/"
              "x=1\n.lrb_restore-target-01234567>/tmp\n");
    CHECK_OK(lrb_publish_finish(s.target, &finished, &err));
    CHECK(finished && tree_leftovers(s.root) == 4);
    scratch_close(&s);
}

/* Leaves a target whose journal was begun and not ended: a child is killed one change later each time until then. */
static void leave_half_a_journal(scratch *s, const scenario *c) {
    for (int n = 0;; n++) {
        scratch_open(s);
        tree_make(s->target, c->present);
        if (child_ends(s->target, c, n) || strstr(tree_text(s->target), "a=new")) return;
        scratch_close(s);
    }
}

/* Nobody may stage, or throw it away, before it is finished. */
TEST(an_unfinished_journal_stands_before_everything) {
    static const char *const items[] = {"a", "b"};
    scenario c = {
        .way = LRB_PUBLISH_JOURNAL, .present = "a=old\n", .staged = "a=new\nb=new\n", .items = items, .item_count = 2};
    scratch s;
    char staging[LRB_PATH_MAX];
    int fd;
    bool pending, half_done, finished, taken;
    leave_half_a_journal(&s, &c);
    CHECK(tree_is(s.target, "a=new\n"));
    CHECK_OK(lrb_publish_pending(s.target, &pending, &err));
    CHECK_OK(lrb_publish_half_done(s.target, &half_done, &err));
    CHECK(pending && half_done);
    CHECK_FAILS(lrb_publish_stage(s.target, LRB_PUBLISH_JOURNAL, staging, &fd, &err), LRB_E_UNFINISHED);
    CHECK_FAILS(lrb_publish_stage(s.target, LRB_PUBLISH_EXCHANGE, staging, &fd, &err), LRB_E_UNFINISHED);
    CHECK_FAILS(lrb_publish_abandon(s.target, LRB_PUBLISH_JOURNAL, "", &err), LRB_E_UNFINISHED);
    snprintf(staging, sizeof staging, "%s/.lrb_restore/new", s.target);
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, staging, &fd, &err));
    CHECK_OK(lrb_fs_try_lock(fd, &taken, &err));
    CHECK_FAILS(lrb_publish_finish(s.target, &finished, &err), LRB_E_BUSY);
    CHECK_OK(lrb_publish_pending(s.target, &pending, &err));
    CHECK(taken && pending);
    close(fd);
    CHECK_OK(lrb_publish_finish(s.target, &finished, &err));
    CHECK(finished && tree_is(s.target, "a=new\nb=new\n") && nothing_left(&s));
    scratch_close(&s);
}

TEST(only_its_own_staging_directories_are_taken) {
    scratch s;
    char other[256];
    scratch_open(&s);
    tree_make(s.target, "a=1\n");
    snprintf(other, sizeof other, "%s/other", s.root);
    tree_make(other, "precious=1\n");
    CHECK_FAILS(lrb_publish_abandon(s.target, LRB_PUBLISH_EXCHANGE, other, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_publish_commit(s.target, LRB_PUBLISH_EXCHANGE, other, NULL, 0, NULL, 0, &err), LRB_E_INVALID);
    CHECK(tree_is(other, "precious=1\n") && tree_is(s.target, "a=1\n"));
    scratch_close(&s);
}

TEST(names_must_be_sorted_and_usable) {
    scratch s;
    scratch_open(&s);
    tree_make(s.target, "a=1\n");
    CHECK_FAILS(lrb_publish_commit(s.target, LRB_PUBLISH_JOURNAL, "x", NAMES("b", "a"), NULL, 0, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_publish_commit(s.target, LRB_PUBLISH_JOURNAL, "x", NAMES("a", "a"), NULL, 0, &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_publish_commit(s.target, LRB_PUBLISH_JOURNAL, "x", NULL, 0, NAMES("/etc"), &err), LRB_E_INVALID);
    CHECK_FAILS(lrb_publish_commit(s.target, LRB_PUBLISH_JOURNAL, "x", NAMES(".lrb_restore.swap"), NULL, 0, &err),
                LRB_E_INVALID);
    scratch_close(&s);
}

int main(void) {
    RUN(chooses_by_what_is_there);
    RUN(chooses_the_journal_where_nothing_fits_beside);
    RUN(chooses_the_journal_for_mounts);
    RUN(refuses_targets_that_are_no_directories);
    RUN(renames_into_nothing_making_parents);
    RUN(killed_while_renaming_it_is_there_or_not);
    RUN(a_target_filled_meanwhile_is_not_overwritten);
    RUN(staging_lives_and_dies_with_its_process);
    RUN(other_targets_staging_is_left_alone);
    RUN(an_unfinished_journal_stands_before_everything);
    RUN(only_its_own_staging_directories_are_taken);
    RUN(names_must_be_sorted_and_usable);
    return check_report();
}
