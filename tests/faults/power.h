/* Cutting the power at every moment of a piece of work (disk.h), and judging what is left (world.h).
 *
 * For each prefix of what was done, the states in which nothing uncertain was lost, all of it, or up to two operations of
 * it were lost or torn; and random others. Every state that differs from those before it is written to a directory and
 * judged, with the code under test and its real file system. One state in three is judged deeply: cleaned until nothing
 * is left over, and written to.
 *
 * LRB_POWER_RANDOM: random states per prefix (default 20, which makes some 1,000 per case).
 */
#ifndef LRB_TESTS_POWER_H
#define LRB_TESTS_POWER_H

#include "disk.h"
#include "world.h"

enum { UNCERTAIN_MAX = 512 };

/* "" or what is wrong with the state below the directory `state`, after a cut before event `cut`. */
typedef const char *(*power_judge)(world *w, const char *state, size_t cut, bool deep);

typedef struct power_count {
    size_t events, states;
} power_count;

/* `pairs` false: one loss at a time only, and nothing at random. Adds to *count; prints what is wrong and returns false.
 * Stops the watching. */
bool power_cut_everywhere(world *w, disk *d, power_judge judge, bool pairs, power_count *count);
void power_report(const char *what, const power_count *count);
long power_setting(const char *name, long usual);

/* Moves the storage below a directory of its own and watches that, so that making the storage is seen as well. */
disk *power_watch_storage(world *w);
/* The judge of that. */
const char *power_judge_storage(world *w, const char *state, size_t cut, bool deep);
/* Runs that are there before anything is watched, each of another turn; promised from the start. */
void power_runs_before(world *w, unsigned turns);
/* A run that is promised from the present event on. */
int power_backup(world *w, disk *d, lrb_err *err);

#endif
