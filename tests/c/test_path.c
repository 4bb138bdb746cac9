#include "base/path.h"

#include "check.h"

static bool valid(const char *name) {
    return lrb_name_valid(name, strlen(name));
}

TEST(plain_names_are_valid) {
    const char *const names[] = {"a", "a/b", "vdb_entities.json", ".hidden", "..x", "x..", "...",
                                 "a/.b/c d", "\xC3\xA4\xFF", "a\nb"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(valid(names[i]));
}

TEST(names_that_lead_elsewhere_are_refused) {
    const char *const names[] = {"",    "/",    "/a",  "a/",   "a//b",  ".",      "..",
                                 "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "//"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(!valid(names[i]));
    CHECK(!lrb_name_valid("a\0b", 3) && !lrb_name_valid("a\0", 2));
}

TEST(long_names_are_refused) {
    char name[LRB_NAME_MAX + 2];
    memset(name, 'x', sizeof name);
    CHECK(lrb_name_valid(name, 255) && !lrb_name_valid(name, 256));
    for (size_t i = 255; i < sizeof name; i += 256) name[i] = '/';
    CHECK(lrb_name_valid(name, LRB_NAME_MAX));
    name[LRB_NAME_MAX] = 'x';
    CHECK(!lrb_name_valid(name, LRB_NAME_MAX + 1));
}

TEST(graph_ids) {
    char longest[130];
    memset(longest, 'g', sizeof longest);
    longest[128] = '\0';
    CHECK(lrb_graph_id_valid("a") && lrb_graph_id_valid("9.a-b_C") && lrb_graph_id_valid(longest));
    longest[128] = 'g';
    longest[129] = '\0';
    const char *const refused[] = {"", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "\xC3\xA4", longest};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) CHECK(!lrb_graph_id_valid(refused[i]));
}

TEST(paths_join_with_one_slash) {
    lrb_err err;
    char out[LRB_PATH_MAX];
    CHECK_OK(lrb_path_join(out, "a", "b", &err));
    CHECK(!strcmp(out, "a/b"));
    CHECK_OK(lrb_path_join(out, out, "c", &err));
    CHECK(!strcmp(out, "a/b/c"));
    CHECK_OK(lrb_path_join(out, "/", "b", &err));
    CHECK(!strcmp(out, "/b"));
    CHECK_OK(lrb_path_join(out, "", "b", &err));
    CHECK(!strcmp(out, "b"));
}

TEST(a_path_that_does_not_fit_is_refused) {
    lrb_err err;
    char out[LRB_PATH_MAX], a[LRB_PATH_MAX];
    memset(a, 'a', sizeof a);
    a[LRB_PATH_MAX - 3] = '\0';
    CHECK_OK(lrb_path_join(out, a, "b", &err));
    CHECK(strlen(out) == LRB_PATH_MAX - 1);
    CHECK_FAILS(lrb_path_join(out, a, "bc", &err), LRB_E_LIMIT);
    CHECK_FAILS(lrb_path_join(out, "bc", a, &err), LRB_E_LIMIT);
}

static bool prints(const char *name, size_t length, const char *expected) {
    char out[64];
    lrb_name_printable(out, sizeof out, name, length);
    return !strcmp(out, expected);
}

TEST(text_is_printed_as_it_is) {
    CHECK(prints("a/\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80", 13, "a/\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80"));
    CHECK(prints("", 0, ""));
}

TEST(control_characters_become_question_marks) {
    CHECK(prints("a\n\x1B[1m\0\x7F", 8, "a??[1m??"));
    CHECK(prints("\xC2\x85\xC2\xA0", 4, "?\xC2\xA0"));
}

TEST(bytes_that_are_no_utf8_become_question_marks) {
    CHECK(prints("\xFF\x80z", 3, "??z"));
    CHECK(prints("\xC3", 1, "?") && prints("\xE2\x82", 2, "??") && prints("\xF0\x9F\x98", 3, "???"));
    CHECK(prints("\xC0\xAF", 2, "??"));             /* overlong */
    CHECK(prints("\xE0\x80\xAF", 3, "???"));        /* overlong */
    CHECK(prints("\xED\xA0\x80", 3, "???"));        /* surrogate */
    CHECK(prints("\xF4\x90\x80\x80", 4, "????"));   /* above U+10FFFF */
}

TEST(printing_is_cut_between_characters) {
    char out[4] = "zzz";
    lrb_name_printable(out, 4, "ab\xC3\xA4", 4);
    CHECK(!strcmp(out, "ab"));
    lrb_name_printable(out, 4, "a\xC3\xA4z", 4);
    CHECK(!strcmp(out, "a\xC3\xA4"));
    lrb_name_printable(out, 1, "abc", 3);
    CHECK(!out[0]);
    out[0] = 'k';
    lrb_name_printable(out, 0, "abc", 3);
    CHECK(out[0] == 'k');
}

TEST(names_are_ordered_by_bytes) {
    CHECK(lrb_name_compare("a", 1, "b", 1) < 0);
    CHECK(lrb_name_compare("b", 1, "a", 1) > 0);
    CHECK(lrb_name_compare("a", 1, "a", 1) == 0);
    CHECK(lrb_name_compare("a", 1, "ab", 2) < 0);
    CHECK(lrb_name_compare("ab", 2, "a", 1) > 0);
    CHECK(lrb_name_compare("a\xff", 2, "a/", 2) > 0); /* unsigned, whatever char is */
    CHECK(lrb_name_compare("", 0, "a", 1) < 0);
}

int main(void) {
    RUN(names_are_ordered_by_bytes);
    RUN(plain_names_are_valid);
    RUN(names_that_lead_elsewhere_are_refused);
    RUN(long_names_are_refused);
    RUN(graph_ids);
    RUN(paths_join_with_one_slash);
    RUN(a_path_that_does_not_fit_is_refused);
    RUN(text_is_printed_as_it_is);
    RUN(control_characters_become_question_marks);
    RUN(bytes_that_are_no_utf8_become_question_marks);
    RUN(printing_is_cut_between_characters);
    return check_report();
}
