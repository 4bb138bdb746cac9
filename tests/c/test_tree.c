#include "engine/tree.h"

#include "check.h"
#include "scratch.h"

static scratch s;
static lrb_tree tree;
static lrb_err err;

static void begin(const char *lines) {
    int root;
    scratch_open(&s);
    tree_make(s.target, lines);
    if (lrb_fs_open_dir(AT_FDCWD, s.target, &root, &err)) exit(2);
    lrb_tree_init(&tree, root);
}

static void end(void) {
    lrb_tree_clear(&tree);
    lrb_fs_close(tree.root);
    scratch_close(&s);
}

TEST(finds_what_is_below) {
    begin("a/b/c=1\na/d=2\ne=3\n");
    static const char *const names[] = {"a", "a/b", "a/b/c", "a/d", "e", "a/b/c"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool found;
        lrb_identity identity;
        CHECK_OK(lrb_tree_identify(&tree, names[i], &found, &identity, &err));
        CHECK(found);
    }
    end();
}

TEST(says_what_is_not_there) {
    begin("a/b=1\n");
    static const char *const names[] = {"x", "a/x", "x/y/z", "a/b/c", "a/bb", "ab/b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool found;
        lrb_identity identity;
        CHECK_OK(lrb_tree_identify(&tree, names[i], &found, &identity, &err));
        CHECK(!found);
    }
    end();
}

TEST(never_goes_through_a_link) {
    begin("in>/tmp\nup>..\na/out>../..\n");
    static const char *const names[] = {"in/x", "up/x", "a/out/x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int dir;
        const char *leaf;
        CHECK_FAILS(lrb_tree_parent(&tree, names[i], false, &dir, &leaf, &err), LRB_E_NOT_FOUND);
        CHECK_FAILS(lrb_tree_parent(&tree, names[i], true, &dir, &leaf, &err), LRB_E_EXISTS);
    }
    end();
}

TEST(refuses_names_that_lead_elsewhere) {
    begin("");
    static const char *const names[] = {"", "/etc", "..", "a/../b", "a//b", "./a", "a/"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int dir;
        const char *leaf;
        CHECK_FAILS(lrb_tree_parent(&tree, names[i], true, &dir, &leaf, &err), LRB_E_INVALID);
    }
    end();
}

TEST(makes_what_is_missing) {
    begin("a/b/c=1\n");
    int dir;
    const char *leaf;
    CHECK_OK(lrb_tree_parent(&tree, "a/b/x/y/z", true, &dir, &leaf, &err));
    CHECK(strcmp(leaf, "z") == 0);
    CHECK_OK(lrb_tree_directory(&tree, "a/n", true, &dir, &err));
    CHECK_OK(lrb_tree_directory(&tree, "m", true, &dir, &err));
    CHECK(tree_is(s.target, "a/\na/b/\na/b/c=1\na/b/x/\na/b/x/y/\na/n/\nm/\n"));
    CHECK_FAILS(lrb_tree_directory(&tree, "a/b/c", true, &dir, &err), LRB_E_EXISTS);
    end();
}

TEST(lists_answer_by_byte_order) {
    const char *const at[] = {"a", "a-", "a.b", "a/b", "a/b/c", "b/c", "\xc3\xa4/x"};
    lrb_names names = {at, sizeof at / sizeof *at}, unsorted = {(const char *const[]){"b", "a"}, 2};
    CHECK(lrb_names_sorted(&names) && !lrb_names_sorted(&unsorted));
    for (size_t i = 0; i < names.count; i++) CHECK(lrb_names_has(&names, at[i], strlen(at[i])));
    CHECK(lrb_names_has(&names, "a/bcd", 3) && !lrb_names_has(&names, "a/bc", 4) && !lrb_names_has(&names, "b", 1));
    CHECK(lrb_names_below(&names, "a", 1) && lrb_names_below(&names, "a/b", 3) && lrb_names_below(&names, "b", 1));
    CHECK(lrb_names_below(&names, "\xc3\xa4", 2) && !lrb_names_below(&names, "a-", 2) &&
          !lrb_names_below(&names, "c", 1));
    CHECK(!lrb_names_below(&names, "b/c", 3) && !lrb_names_below(&names, "a.", 2));
}

int main(void) {
    RUN(finds_what_is_below);
    RUN(says_what_is_not_there);
    RUN(never_goes_through_a_link);
    RUN(refuses_names_that_lead_elsewhere);
    RUN(makes_what_is_missing);
    RUN(lists_answer_by_byte_order);
    return check_report();
}
