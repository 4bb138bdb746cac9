/* The order of a snapshot's records, and the wall that keeps a restore from walking through a symlink. */
#include "check.h"
#include "repo/sequence.h"

static lrb_sequence sequence;

static lrb_body_record facts(void) {
    return (lrb_body_record){.type = LRB_BODY_FACTS};
}

static lrb_body_record item(const char *name, lrb_file_type type) {
    return (lrb_body_record){.type = LRB_BODY_ITEM, .item = {.name = name, .name_length = strlen(name), .type = type}};
}

static lrb_body_record file(const char *name) {
    return item(name, LRB_FILE_REGULAR);
}

static lrb_body_record skipped(const char *name) {
    return (lrb_body_record){.type = LRB_BODY_SKIPPED, .skipped = name, .skipped_length = strlen(name)};
}

static bool admit(lrb_body_record record) {
    if (lrb_sequence_complaint(&sequence, &record)) return false;
    lrb_sequence_note(&sequence, &record);
    return true;
}

static void begin(void) {
    memset(&sequence, 0, sizeof sequence);
    admit(facts());
}

TEST(facts_come_first_and_once) {
    memset(&sequence, 0, sizeof sequence);
    CHECK(!admit(file("a")) && !admit(skipped("a")));
    CHECK(admit(facts()) && !admit(facts()) && admit(file("a")) && !admit(facts()));
}

TEST(items_come_before_skipped_names) {
    begin();
    CHECK(admit(skipped("a")) && !admit(file("b")) && admit(skipped("b")));
}

TEST(names_rise_as_byte_strings) {
    begin();
    CHECK(admit(file("B")) && admit(file("a")) && admit(file("a-")) && admit(file("aa")) && admit(file("\xc3\xa4")));
    CHECK(!admit(file("\xc3\xa4")) && !admit(file("\xc3")) && !admit(file("z")));
    CHECK(admit(file("\xff")));
}

TEST(skipped_names_rise_too_and_begin_anew) {
    begin();
    CHECK(admit(file("m")) && admit(skipped("b")) && !admit(skipped("b")) && !admit(skipped("a")));
    CHECK(admit(skipped("m")));
}

TEST(nothing_lies_below_what_is_no_directory) {
    begin();
    CHECK(admit(item("a", LRB_FILE_SYMLINK)) && !admit(file("a/b")));
    CHECK(admit(file("a-b")) && !admit(file("a/b")) && !admit(file("a/b/c")));
    CHECK(admit(file("ab")) && admit(item("c/d", LRB_FILE_REGULAR)) && !admit(file("c/d/e")) && admit(file("c/de")));
}

TEST(directories_and_paths_without_them_are_fine) {
    begin();
    CHECK(admit(item("a", LRB_FILE_DIRECTORY)) && admit(file("a-b")) && admit(file("a/b")) && admit(file("a/c/d")));
    CHECK(admit(item("b", LRB_FILE_REGULAR)) && admit(item("c", LRB_FILE_DIRECTORY)) && admit(file("c/b")));
}

/* "x/y" is a file; when "x/z" has come in between, its mark must be gone, for names that only look like it. */
TEST(marks_end_with_the_names_they_belong_to) {
    begin();
    CHECK(admit(file("x/y")) && admit(file("x/z/y")) && admit(file("y/y/b")) && !admit(file("y/y/b/c")));
}

TEST(skipped_names_lie_where_they_like) {
    begin();
    CHECK(admit(file("a")) && admit(skipped("a")) && admit(skipped("a/b")) && admit(skipped("a/b/c")));
}

TEST(the_longest_names_fit) {
    static char longest[LRB_NAME_MAX + 1], below[LRB_NAME_MAX + 1];
    for (size_t i = 0; i < LRB_NAME_MAX; i++) longest[i] = i % 200 == 199 ? '/' : 'x';
    memcpy(below, longest, sizeof below);
    below[3799] = '\0';
    begin();
    CHECK(admit(file(below)) && !admit(file(longest)));
    begin();
    CHECK(admit(item(below, LRB_FILE_DIRECTORY)) && admit(file(longest)) && admit(file("y")));
}

int main(void) {
    RUN(facts_come_first_and_once);
    RUN(items_come_before_skipped_names);
    RUN(names_rise_as_byte_strings);
    RUN(skipped_names_rise_too_and_begin_anew);
    RUN(nothing_lies_below_what_is_no_directory);
    RUN(directories_and_paths_without_them_are_fine);
    RUN(marks_end_with_the_names_they_belong_to);
    RUN(skipped_names_lie_where_they_like);
    RUN(the_longest_names_fit);
    return check_report();
}
