/* Power cuts during a restore, and again while it is being finished: the target is old or new, and new once that was
 * promised. */
#include <dirent.h>

#include "check.h"
#include "power.h"

enum { OLD = 0, NEW = 1 };

static struct {
    bool present, shared; /* there is a target; with another workspace in it */
} place;

static bool is_empty(const char *directory) {
    int count = 0;
    DIR *dir = opendir(directory);
    while (dir && readdir(dir)) count++;
    if (dir) closedir(dir);
    return count == 2;
}

static int leftovers(const char *directory) {
    int count = 0;
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir && (entry = readdir(dir));) count += lrb_publish_reserved(entry->d_name);
    if (dir) closedir(dir);
    return count;
}

/* The target after an interrupted restore was finished: old or new, and new once that was promised. */
static const char *judge_finished(world *w, const char *state, bool promised) {
    char target[512], another[512];
    fixture_path(target, state, "target");
    fixture_path(another, target, "another/file");
    bool absent = access(target, F_OK) != 0;
    bool is_new = !absent && world_is_run(w, NEW, target, !place.present);
    bool is_old = place.present ? !absent && world_is_run(w, OLD, target, false) : absent || is_empty(target);
    if (!is_new && !is_old) return "the target is neither old nor new";
    if (promised && !is_new) return "the restore was done and is not there";
    if (place.shared && access(another, F_OK)) return "another workspace is gone";
    if (leftovers(state) || leftovers(target)) return "something of the restore is left over";
    return "";
}

/* The power is cut again while the restore is being finished: the `turn`-th of all cuts, with nothing lost or everything. */
static const char *judge_second_cut(world *w, const char *state, bool promised, size_t turn) {
    char target[512], second[512];
    lrb_err err;
    bool finished;
    size_t uncertain[UNCERTAIN_MAX];
    fixture_path(target, state, "target");
    disk *d = disk_begin(state);
    int code = lrb_publish_finish(target, &finished, &err);
    disk_pause(d);
    size_t cut = turn / 2 % (disk_events(d) + 1), count = disk_uncertain(d, cut, uncertain, UNCERTAIN_MAX);
    uint8_t *harm = calloc(disk_operations(d) + 1, 1);
    for (size_t i = 0; turn % 2 && i < count; i++) harm[uncertain[i]] = disk_possible(d, cut, uncertain[i], DISK_LOST) ? DISK_LOST : DISK_BOTH_NAMES;
    fixture_path(second, w->root, "second");
    if (mkdir(second, 0755)) abort();
    disk_cut(d, cut, harm);
    disk_write(d, second);
    fixture_path(target, second, "target");
    if (!code) code = lrb_publish_finish(target, &finished, &err);
    const char *wrong = code ? "it cannot be finished after a second power cut" : judge_finished(w, second, promised);
    world_remove_tree(second);
    free(harm);
    disk_end(d);
    return wrong;
}

static const char *judge_place(world *w, const char *state, size_t cut, bool deep) {
    static size_t turn;
    static char said[700];
    char target[512], copy[512];
    lrb_err err;
    bool finished, promised = cut >= w->restored_at;
    const char *wrong = "";
    fixture_path(target, state, "target");
    if (deep) {
        fixture_path(copy, w->root, "copy");
        world_copy_tree(state, copy);
        wrong = judge_second_cut(w, copy, promised, turn++);
        world_remove_tree(copy);
    }
    int code = *wrong ? LRB_OK : lrb_publish_finish(target, &finished, &err);
    if (!code && !*wrong) wrong = judge_finished(w, state, promised);
    if (!code && !*wrong && deep) {
        code = world_restore(w, w->storage, w->runs[NEW].id, target, place.shared, &err);
        if (!code && !world_is_run(w, NEW, target, false)) wrong = "the next restore does not bring the new state";
    }
    if (code) snprintf(said, sizeof said, "%s: %s: %s", lrb_code_symbol(code), err.target, err.message);
    return code ? said : wrong;
}

static void restore_watched(const char *what, bool present, bool shared) {
    world w;
    lrb_err err;
    power_count count = {0};
    char root[512], target[512], path[512];
    world_open(&w);
    power_runs_before(&w, 2);
    fixture_path(root, w.root, "place");
    fixture_path(target, root, "target");
    fixture_path(path, target, "another");
    mkdir(root, 0755);
    if (present) CHECK_OK(world_restore(&w, w.storage, w.runs[OLD].id, target, false, &err));
    if (shared && !mkdir(path, 0755)) fixture_write(path, "file", 10, 1);
    disk *d = disk_begin(root);
    place = (__typeof__(place)){present, shared};
    CHECK_OK(world_restore(&w, w.storage, w.runs[NEW].id, target, shared, &err));
    w.restored_at = disk_events(d);
    CHECK(power_cut_everywhere(&w, d, judge_place, true, &count));
    power_report(what, &count);
    disk_end(d);
    world_close(&w);
}

TEST(a_restore) {
    restore_watched("a restore to a new place", false, false);
    restore_watched("a restore by exchange", true, false);
    restore_watched("a restore item by item", true, true);
}

int main(void) {
    RUN(a_restore);
    return check_report();
}
