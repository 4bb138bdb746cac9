/* Slot objects gathered from all graphs: what is read, what is carried on, and what is not. */
#include "repo/key_store.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "check.h"
#include "fixture.h"

static const lrb_key master = {{1}}, stranger = {{2}};
static lrb_err err;
static fixture f;
static lrb_key_slot slot, removal, foreign;

static void make_graph(const char *name) {
    char path[400];
    snprintf(path, sizeof path, "%s/graphs/%s", f.storage, name);
    mkdir(path, 0755);
}

static bool exists(const char *below) {
    char path[500];
    struct stat found;
    snprintf(path, sizeof path, "%s/graphs/%s", f.storage, below);
    return !stat(path, &found);
}

/* "<graph>/keys/<slot's name><suffix>" */
static const char *object(const char *graph, const lrb_key_slot *of, const char *suffix) {
    static char name[200];
    char hex[33];
    lrb_hex(of->id, sizeof of->id, hex);
    snprintf(name, sizeof name, "%s/keys/%s%s", graph, hex, suffix);
    return name;
}

static int open_store(lrb_key_store *r) { return lrb_key_store_open(r, f.storage, NULL, true, &err); }

static int scene(lrb_key_store *r) {
    fixture_open(&f);
    int graphs = -1;
    int code = lrb_storage_open(f.storage, true, &graphs, &err);
    lrb_fs_close(graphs);
    make_graph("a");
    make_graph("b");
    if (!code) code = lrb_key_slot_new(&master, NULL, lrb_passphrase_cost, 1, &slot, &err);
    if (!code) code = lrb_key_slot_removal(&master, &slot, 2, &removal, &err);
    if (!code) code = lrb_key_slot_new(&stranger, NULL, lrb_passphrase_cost, 3, &foreign, &err);
    return code ? code : open_store(r);
}

static void end(lrb_key_store *r) {
    lrb_key_store_close(r);
    fixture_close(&f);
}

TEST(an_object_in_one_graph_is_found_and_carried_to_all) {
    lrb_key_store r;
    struct stat found;
    char path[500];
    CHECK_OK(scene(&r));
    CHECK(!r.count && r.graphs.count == 2);
    CHECK_OK(lrb_key_store_put(&r, "a", &slot, &master, &err));
    CHECK_OK(lrb_key_store_put(&r, "a", &slot, &master, &err)); /* again is nothing */
    snprintf(path, sizeof path, "%s/graphs/%s", f.storage, object("a", &slot, ""));
    CHECK(!stat(path, &found) && (found.st_mode & 0777) == 0600 && found.st_size == LRB_KEY_SLOT_BYTES);
    CHECK_OK(lrb_key_store_gather(&r, &err));
    CHECK(r.count == 1 && lrb_key_store_is_open(&r, &r.objects[0]) && lrb_key_store_count_open(&r) == 1);
    CHECK(!exists(object("b", &slot, "")));
    CHECK_OK(lrb_key_store_spread(&r, &master, &err));
    CHECK(exists(object("b", &slot, "")));
    CHECK_OK(lrb_key_store_gather(&r, &err));
    CHECK(r.count == 1);
    end(&r);
}

TEST(a_removal_anywhere_closes_everywhere_and_stays) {
    lrb_key_store r;
    CHECK_OK(scene(&r));
    CHECK_OK(lrb_key_store_put_everywhere(&r, &slot, &master, &err));
    CHECK_OK(lrb_key_store_put(&r, "b", &removal, &master, &err));
    CHECK_OK(lrb_key_store_gather(&r, &err));
    CHECK(r.count == 2 && !lrb_key_store_count_open(&r));
    CHECK_OK(lrb_key_store_spread(&r, &master, &err));
    CHECK(exists(object("a", &removal, ".removed")) && exists(object("b", &removal, ".removed")));
    CHECK(!exists(object("a", &slot, "")) && !exists(object("b", &slot, "")));
    /* From a copy made before. */
    CHECK_OK(lrb_key_store_put(&r, "a", &slot, &master, &err));
    CHECK_OK(lrb_key_store_gather(&r, &err));
    CHECK(!lrb_key_store_count_open(&r));
    CHECK_OK(lrb_key_store_spread(&r, &master, &err));
    CHECK(!exists(object("a", &slot, "")) && !exists(object("b", &slot, "")));
    end(&r);
}

TEST(what_a_stranger_made_is_not_carried_on) {
    lrb_key_store r;
    lrb_key_slot forged;
    CHECK_OK(scene(&r));
    CHECK_OK(lrb_key_slot_removal(&stranger, &slot, 4, &forged, &err));
    CHECK_OK(lrb_key_store_put(&r, "a", &slot, &master, &err));
    CHECK_OK(lrb_key_store_put(&r, "a", &foreign, &master, &err));
    CHECK_OK(lrb_key_store_put(&r, "a", &forged, &master, &err));
    CHECK_OK(lrb_key_store_gather(&r, &err));
    CHECK_OK(lrb_key_store_spread(&r, &master, &err));
    CHECK(!exists(object("b", &foreign, "")) && !exists(object("b", &forged, ".removed")));
    CHECK(exists(object("a", &slot, "")));
    end(&r);
}

TEST(what_cannot_be_read_stops_nothing_and_is_remembered) {
    lrb_key_store r;
    char path[500];
    CHECK_OK(scene(&r));
    CHECK_OK(lrb_key_store_put_everywhere(&r, &slot, &master, &err));
    snprintf(path, sizeof path, "%s/graphs/%s", f.storage, object("a", &slot, ""));
    CHECK(!truncate(path, 100));
    CHECK_OK(lrb_key_store_gather(&r, &err));
    CHECK(r.count == 1 && !memcmp(r.objects[0].id, slot.id, sizeof slot.id));
    CHECK(!strncmp(r.problem, "a/keys/", 7));
    /* An object under another's name is none. */
    CHECK_OK(lrb_key_store_put(&r, "a", &foreign, &master, &err));
    char other[500];
    snprintf(path, sizeof path, "%s/graphs/%s", f.storage, object("a", &foreign, ""));
    snprintf(other, sizeof other, "%s/graphs/b/keys/%032d", f.storage, 7);
    CHECK(!rename(path, other));
    CHECK_OK(lrb_key_store_gather(&r, &err));
    CHECK(r.count == 1);
    end(&r);
}

/* Breaks the object in graph a in one of several ways; none of them lets it be read. */
static void break_in_a(int way) {
    char path[500], version = 7;
    snprintf(path, sizeof path, "%s/graphs/%s", f.storage, object("a", &slot, ""));
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0);
    if (way == 0) CHECK(pwrite(fd, "?", 1, 60) == 1);
    if (way == 1) CHECK(pwrite(fd, &version, 1, 8) == 1); /* of a newer version, if its digest held */
    if (way == 2) CHECK(!ftruncate(fd, 0));
    close(fd);
    if (way < 3) return;
    CHECK(!unlink(path));
    if (way == 3) CHECK(!mkfifo(path, 0600));
    if (way == 4) CHECK(!symlink("/dev/null", path));
    if (way == 5) CHECK(!mkdir(path, 0700));
}

TEST(a_broken_object_is_replaced_by_a_copy_that_is_whole) {
    lrb_key_store r;
    CHECK_OK(scene(&r));
    for (int way = 0; way < 6; way++) {
        CHECK_OK(lrb_key_store_put_everywhere(&r, &slot, &master, &err));
        break_in_a(way);
        CHECK_OK(lrb_key_store_gather(&r, &err));
        CHECK(r.count == 1 && !strncmp(r.problem, "a/keys/", 7));
        CHECK_OK(lrb_key_store_spread(&r, &master, &err));
        CHECK_OK(lrb_key_store_gather(&r, &err));
        CHECK(r.count == 1 && !r.problem[0]);
    }
    end(&r);
}

/* A refused look is no sign that an object is there already: it is put, or there is an error. */
TEST(descriptors_running_out_lose_no_object) {
    lrb_key_store r;
    struct rlimit limit, few;
    CHECK_OK(scene(&r));
    CHECK_OK(lrb_key_store_put(&r, "a", &foreign, &master, &err)); /* the directories are there */
    CHECK(!getrlimit(RLIMIT_NOFILE, &limit));
    few = limit;
    int code = LRB_E_IO;
    for (few.rlim_cur = 3; code && few.rlim_cur < 100; few.rlim_cur++) {
        CHECK(!setrlimit(RLIMIT_NOFILE, &few));
        code = lrb_key_store_put(&r, "a", &slot, &master, &err);
        CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
        CHECK(!code == exists(object("a", &slot, "")));
    }
    CHECK(!code);
    end(&r);
}

TEST(memory_running_out_is_survived) {
    lrb_key_store r;
    CHECK_OK(scene(&r));
    CHECK_OK(lrb_key_store_put(&r, "a", &slot, &master, &err));
    CHECK_OK(lrb_key_store_put(&r, "b", &foreign, &master, &err));
    lrb_key_store_close(&r);
    int code = LRB_E_NOMEM;
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = open_store(&r);
        if (!code && (code = lrb_key_store_spread(&r, &master, &err))) lrb_key_store_close(&r);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    CHECK(r.count == 1);
    end(&r);
}

int main(void) {
    RUN(an_object_in_one_graph_is_found_and_carried_to_all);
    RUN(a_removal_anywhere_closes_everywhere_and_stays);
    RUN(what_a_stranger_made_is_not_carried_on);
    RUN(what_cannot_be_read_stops_nothing_and_is_remembered);
    RUN(a_broken_object_is_replaced_by_a_copy_that_is_whole);
    RUN(descriptors_running_out_lose_no_object);
    RUN(memory_running_out_is_survived);
    return check_report();
}
