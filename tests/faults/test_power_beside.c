/* Power cuts while two processes make what lies beside the logs: records of a recovery point, and key slots. What one of
 * them sees of the other may not be durable yet; nothing may be made behind it, or rest on it, until it is. And answers
 * that are lost.
 */
#include <errno.h>

#include "check.h"
#include "power.h"
#include "repo/keyring.h"
#include "repo/point.h"

static const lrb_key key = {{'k', 'e', 'y'}};

static struct {
    world *w;
    disk *d;
    int (*work)(world *w, disk *d, lrb_err *err);
    const char *part; /* of the paths whose calls count */
    size_t before, seen;
    bool done;
    int code;
} other;

static seam_verdict let_other_work(const seam_call *call, int *sys_errno) {
    lrb_err err;
    (void)sys_errno;
    bool changes = call->kind == SEAM_SYNC || call->kind == SEAM_LINK || call->kind == SEAM_UNLINK;
    if (other.done || !changes || !(strstr(call->path, other.part) || strstr(call->to_path, other.part))) return SEAM_PASS;
    if (other.seen++ < other.before) return SEAM_PASS;
    other.done = true;
    if ((other.code = other.work(other.w, other.d, &err))) printf("the other one: %s\n", err.message);
    return SEAM_PASS;
}

/* A promise is a run of the world, so that a state is judged anew when more was promised. */
static int promise(world *w, disk *d, int code) {
    if (!code) w->runs[w->run_count++] = (world_run){.made = true, .made_at = disk_events(d)};
    return code;
}

static int promised_by(const world *w, size_t cut) {
    int count = 0;
    for (int i = 0; i < w->run_count; i++) count += w->runs[i].made_at <= cut;
    return count;
}

/* The other one works before call number `from` of the first one, before the next, … until there is none. */
static void two_at_once(const char *what, const char *part, size_t from, void (*prepare)(world *), int (*first)(world *, disk *, lrb_err *),
                        int (*second)(world *, disk *, lrb_err *), power_judge judge) {
    power_count count = {0};
    int failures = check_failures;
    for (size_t before = from; check_failures == failures; before++) {
        world w;
        lrb_err err;
        world_open(&w);
        if (prepare) prepare(&w);
        disk *d = power_watch_storage(&w);
        other = (__typeof__(other)){.w = &w, .d = d, .work = second, .part = part, .before = before};
        seam.before = let_other_work;
        CHECK_OK(first(&w, d, &err));
        seam.before = NULL;
        bool done = other.done;
        CHECK(!other.code);
        CHECK(power_cut_everywhere(&w, d, judge, true, &count));
        disk_end(d);
        world_close(&w);
        if (!done) break;
    }
    power_report(what, &count);
}

/* ---- recovery points ---- */

static int append(world *w, disk *d, bool create, lrb_err *err) {
    lrb_point_place place = {w->storage, "p", &key};
    uint64_t number;
    int code = lrb_point_append(&place, create, "{}", 2, &number, err);
    return d ? promise(w, d, code) : code;
}

static int make_point(world *w, disk *d, lrb_err *err) { return append(w, d, true, err); }
static int add_record(world *w, disk *d, lrb_err *err) { return append(w, d, false, err); }

static void make_storage(world *w) {
    if (mkdir(w->storage, 0750)) abort();
}

static void make_point_before(world *w) {
    lrb_err err;
    make_storage(w);
    if (append(w, NULL, true, &err)) printf("%s\n", err.message), abort();
}

static int count_record(void *arg, uint64_t number, int64_t time_ns, const char *text, size_t length, lrb_err *err) {
    (void)number, (void)time_ns, (void)text, (void)length, (void)err;
    ++*(int *)arg;
    return LRB_OK;
}

static const char *judge_records(const char *state, int least) {
    char storage[512];
    static lrb_err err;
    int found = 0;
    fixture_path(storage, state, "storage");
    lrb_point_place place = {storage, "p", &key};
    int code = lrb_point_read(&place, count_record, &found, &err);
    if (code == LRB_E_NOT_FOUND) return least ? "the recovery point is gone" : "";
    if (code) return err.message;
    return found < least ? "a record is lost" : "";
}

static const char *judge_added(world *w, const char *state, size_t cut, bool deep) {
    (void)deep;
    return judge_records(state, 1 + promised_by(w, cut));
}

static const char *judge_made(world *w, const char *state, size_t cut, bool deep) {
    (void)deep;
    return judge_records(state, promised_by(w, cut));
}

TEST(two_records_at_once) {
    two_at_once("two records of a recovery point at once", "recovery_points", 0, make_point_before, add_record, add_record, judge_added);
}

/* A record can be added once entry 0 is linked, and that is durable only when its maker is told so. */
static int add_record_if_there(world *w, disk *d, lrb_err *err) {
    int code = add_record(w, d, err);
    return code == LRB_E_NOT_FOUND ? LRB_OK : code;
}

TEST(a_record_beside_the_making_of_the_point) {
    two_at_once("a record in the midst of the making of a recovery point", "recovery_points", 0, make_storage, make_point,
                add_record_if_there, judge_made);
}

static seam_verdict lose_the_link(const seam_call *call, int *sys_errno) {
    *sys_errno = other.code;
    return call->kind == SEAM_LINK && !other.seen++ ? SEAM_LOSE_ANSWER : SEAM_PASS;
}

TEST(a_record_whose_answer_was_lost_is_there_once) {
    static const int answers[] = {EIO, EEXIST, ENOSPC};
    for (int create = 0; create < 2; create++)
        for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
            world w;
            lrb_err err;
            int found = 0;
            world_open(&w);
            (create ? make_storage : make_point_before)(&w);
            other = (__typeof__(other)){.code = answers[i]};
            snprintf(seam.root, sizeof seam.root, "%s", w.storage);
            seam.before = lose_the_link;
            CHECK_OK(append(&w, NULL, create, &err));
            seam.before = NULL;
            seam.root[0] = '\0';
            lrb_point_place place = {w.storage, "p", &key};
            CHECK_OK(lrb_point_read(&place, count_record, &found, &err));
            CHECK(found == 2 - create);
            world_close(&w);
        }
}

/* ---- key slots ---- */

static int unlock(world *w, disk *d, lrb_err *err) {
    lrb_secret secret = {.key = &key};
    lrb_unlocked unlocked;
    return promise(w, d, lrb_keyring_unlock(w->storage, "g", true, &secret, &unlocked, err));
}

/* Whoever was handed the key to write with may seal a snapshot with it: the slot that opens it must be there. */
static const char *judge_slot(world *w, const char *state, size_t cut, bool deep) {
    char path[512];
    lrb_err err;
    int dir;
    lrb_keyring_sight slots = {0};
    (void)deep;
    if (!promised_by(w, cut)) return "";
    fixture_path(path, state, "storage/graphs/g");
    if (lrb_fs_open_dir(AT_FDCWD, path, &dir, &err)) return "the graph is gone";
    int code = lrb_keyring_look(dir, &key, &slots, &err);
    lrb_fs_close(dir);
    return code || !slots.any || slots.another || slots.unreadable[0] ? "the key slot is gone" : "";
}

/* From the call after the link on; before that the other one waits for the lock of the slot's maker. */
TEST(a_key_slot_that_is_seen_is_there) {
    two_at_once("a slot that another process has just made", "keys", 1, NULL, unlock, unlock, judge_slot);
}

int main(void) {
    RUN(two_records_at_once);
    RUN(a_record_beside_the_making_of_the_point);
    RUN(a_record_whose_answer_was_lost_is_there_once);
    RUN(a_key_slot_that_is_seen_is_there);
    return check_report();
}
