/* Which rows a plan has and in what order; what it refuses is tested where it matters, in test_roll.c. */
#include "engine/roll_plan.h"

#include "base/mem.h"
#include "check.h"
#include "engine/journal.h"
#include "scratch.h"

static lrb_err err;
static int64_t failing = -1; /* which allocation of the planning fails */

/* The rows of a plan, one line each: the op's letter and the name. */
static int plan(const char *present, const char *staged, lrb_names items, lrb_names removed, char *text) {
    static const char letters[] = "?PRDA";
    scratch s;
    int target, staging;
    lrb_buf bytes;
    char path[300];
    scratch_open(&s);
    snprintf(path, sizeof path, "%s/staged", s.root);
    tree_make(s.target, present);
    tree_make(path, staged);
    if (lrb_fs_open_dir(AT_FDCWD, s.target, &target, &err) || lrb_fs_open_dir(AT_FDCWD, path, &staging, &err)) exit(2);
    lrb_mem_fail_after(failing, false);
    int code = lrb_roll_plan(target, staging, items, removed, &bytes, &err);
    lrb_mem_fail_after(-1, false);
    if (!code) code = lrb_journal_save(&bytes, target, "journal", &err);
    lrb_journal journal = {0};
    if (!code) code = lrb_journal_load(target, "journal", "journal", &journal, &err);
    *text = '\0';
    for (size_t i = 0; i < journal.count; i++) tree_add(text, "%c %s\n", letters[journal.rows[i].op], journal.names[i]);
    lrb_journal_clear(&journal);
    lrb_buf_clear(&bytes);
    close(target);
    close(staging);
    scratch_close(&s);
    return code;
}

#define NAMES(...)                                                                                                     \
    (lrb_names) {                                                                                                      \
        (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                \
    }
static const lrb_names nothing = {NULL, 0};

TEST(parents_come_before_what_they_hold) {
    char text[TREE_TEXT];
    CHECK_OK(plan("", "a=1\nb/c/d=1\nb/c/e=1\nb-/x=1\nf/g=1\n", NAMES("a", "b-/x", "b/c/d", "b/c/e", "f", "f/g"),
                  nothing, text));
    CHECK(!strcmp(text, "P a\nA b-\nP b-/x\nA b\nA b/c\nP b/c/d\nP b/c/e\nD f\nP f/g\n"));
}

TEST(removals_come_first_and_take_emptied_parents_along) {
    char text[TREE_TEXT];
    CHECK_OK(plan("a/b/c=1\na/b/d=1\na/e=1\nk/l=1\nk/m=1\n", "a/n=1\nk/m=1\n", NAMES("a/n", "k/m"),
                  NAMES("a/b/c", "a/b/d", "a/e", "k/l", "z/y/x"), text));
    CHECK(!strcmp(text, "R z/y/x\nR z/y\nR z\nR k/l\nR a/e\nR a/b/d\nR a/b/c\nR a/b\nA a\nP a/n\nA k\nP k/m\n"));
}

TEST(a_directory_item_stays_though_it_is_emptied) {
    char text[TREE_TEXT];
    CHECK_OK(plan("a/b=1\n", "a/\n", NAMES("a"), NAMES("a/b"), text));
    CHECK(!strcmp(text, "R a/b\nD a\n"));
}

TEST(a_removed_directory_goes_after_its_content) {
    char text[TREE_TEXT];
    CHECK_OK(plan("a/b=1\n", "", nothing, NAMES("a", "a/b"), text));
    CHECK(!strcmp(text, "R a/b\nR a\n"));
}

TEST(the_reason_of_a_failed_removal_is_recognised) {
    scratch s;
    int dir;
    scratch_open(&s);
    tree_make(s.root, "d/x=1\n");
    CHECK_OK(lrb_fs_open_dir(AT_FDCWD, s.root, &dir, &err));
    CHECK(lrb_fs_remove_dir(dir, "d", &err) && lrb_roll_not_empty(&err));
    CHECK(lrb_fs_remove_dir(dir, "d/x", &err) && !lrb_roll_not_empty(&err));
    close(dir);
    scratch_close(&s);
}

TEST(every_failing_allocation_is_survived) {
    char text[TREE_TEXT];
    int code = LRB_E_NOMEM;
    for (failing = 0; code; failing++) {
        code = plan("a/b=1\nc=1\n", "a/n=1\nf/g=1\n", NAMES("a/n", "f", "f/g"), NAMES("a/b", "c", "z/y"), text);
        if (code) CHECK_FAILS(code, LRB_E_NOMEM);
    }
    CHECK(failing > 3 && !strcmp(text, "R z/y\nR z\nR c\nR a/b\nA a\nP a/n\nD f\nP f/g\n"));
    failing = -1;
}

int main(void) {
    RUN(parents_come_before_what_they_hold);
    RUN(removals_come_first_and_take_emptied_parents_along);
    RUN(a_directory_item_stays_though_it_is_emptied);
    RUN(a_removed_directory_goes_after_its_content);
    RUN(the_reason_of_a_failed_removal_is_recognised);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
