/* The seam of a whole program: `LD_PRELOAD=seam.so program`, planned by its environment.
 *
 *   LRB_SEAM_ROOT    calls below this directory are looked at
 *   LRB_SEAM_AT      <kind>:<part of the path>:<number>: of the calls of this kind ("change": any that changes
 *                    something, "any": all) with this part in their path, the one with this number, from 0
 *   LRB_SEAM_DO      what happens there: stop, kill (before the call is made), refuse=<errno>, lose=<errno> (made, and
 *                    its answer lost), short
 *   LRB_SEAM_ALWAYS  set: to all such calls from that number on
 *   LRB_SEAM_RANDOM  <seed>:<refusals>:<lost answers>:<short ones>:<interruptions>:<stops>:<kills>, of 100,000 calls each
 *   LRB_SEAM_TALLY   a file to which "<deed> <kind of call>" is appended for all that happens
 *   LRB_SEAM_CLOCK   seconds the wall clock is ahead, or behind
 *   LRB_SEAM_FS      what statfs says the file system is, in hexadecimal
 *   LRB_SEAM_LOCKS   "lie": flock always succeeds and locks nothing
 *   LRB_SEAM_PLAIN   set: what goes by whole paths is looked at, too: link, rename, unlink and mkdir, which Python calls and
 *                    the core does not
 *
 * A forked child goes on by the same plan. Nothing happens to a process without LRB_SEAM_ROOT, until it plans something
 * itself by calling seam_plan.
 */
#define _GNU_SOURCE 1
#include "seam.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    char kind[32], part[256], deed[32];
    long number;
    bool always, random, plain;
    int sys_errno;
    unsigned odds[6]; /* of 100,000, in the order of `deeds` */
    int tally;        /* a descriptor, or 0 */
    _Atomic long seen;
    _Atomic uint64_t state;
} plan;

static bool changes(seam_kind kind) {
    switch (kind) {
    case SEAM_OPEN:
    case SEAM_DUPLICATE:
    case SEAM_STAT:
    case SEAM_LIST:
    case SEAM_READ:
    case SEAM_READ_LINK:
    case SEAM_ROOM:
    case SEAM_LOCK: return false;
    default: return true;
    }
}

static bool is_meant(const seam_call *call) {
    bool kind = !strcmp(plan.kind, "any") || (!strcmp(plan.kind, "change") ? changes(call->kind) : !strcmp(plan.kind, seam_names[call->kind]));
    return kind && (strstr(call->path, plan.part) || strstr(call->to_path, plan.part));
}

static const char *const deeds[] = {"refuse", "lose", "short", "interrupt", "stop", "kill"};

static void count(const char *deed, const seam_call *call) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s %s\n", deed, seam_names[call->kind]);
    if (plan.tally) syscall(SYS_write, plan.tally, line, (size_t)length);
}

static seam_verdict act(const char *deed, const seam_call *call, int *sys_errno) {
    *sys_errno = plan.sys_errno ? plan.sys_errno : EIO;
    count(deed, call);
    if (!strcmp(deed, "stop")) raise(SIGSTOP);
    if (!strcmp(deed, "kill")) raise(SIGKILL);
    if (!strcmp(deed, "refuse") || !strcmp(deed, "interrupt")) return SEAM_REFUSE;
    if (!strcmp(deed, "lose")) return SEAM_LOSE_ANSWER;
    return !strcmp(deed, "short") ? SEAM_SHORTEN : SEAM_PASS;
}

static bool makes_sense(const char *deed, const seam_call *call) {
    if (!strcmp(deed, "short")) return call->count > 1 && (call->kind == SEAM_READ || call->kind == SEAM_WRITE);
    return strcmp(deed, "interrupt") != 0 || seam_can_interrupt(call->kind);
}

static seam_verdict at_random(const seam_call *call, int *sys_errno) {
    uint64_t state = atomic_fetch_add(&plan.state, 0x9e3779b97f4a7c15u);
    unsigned drawn = (unsigned)(seam_random(&state) >> 20) % 100000, at = 0;
    size_t number;
    const int *errnos = seam_errnos(call->kind, &number);
    while (at < 6 && drawn >= plan.odds[at]) drawn -= plan.odds[at++];
    if (at == 6 || !makes_sense(deeds[at], call)) return SEAM_PASS;
    seam_verdict verdict = act(deeds[at], call, sys_errno);
    *sys_errno = strcmp(deeds[at], "interrupt") ? errnos[seam_random(&state) % number] : EINTR;
    return verdict;
}

static seam_verdict before(const seam_call *call, int *sys_errno) {
    if (plan.random) return at_random(call, sys_errno);
    if (!is_meant(call)) return SEAM_PASS;
    long number = atomic_fetch_add(&plan.seen, 1);
    return number == plan.number || (plan.always && number > plan.number) ? act(plan.deed, call, sys_errno) : SEAM_PASS;
}

static const char *setting(const char *name) {
    const char *said = getenv(name);
    return said ? said : "";
}

static void must(bool understood, const char *name) {
    if (understood) return;
    fprintf(stderr, "%s=%s is not understood\n", name, setting(name));
    _exit(99);
}

/* Plans anew, for this process: `at` and `deed` as in LRB_SEAM_AT and LRB_SEAM_DO. False for what is not understood. */
bool seam_plan(const char *root, const char *at, const char *deed) {
    const char *first = strchr(at, ':'), *last = strrchr(at, ':');
    if (!first || last <= first || sscanf(deed, "%31[a-z]=%d", plan.deed, &plan.sys_errno) < 1) return false;
    snprintf(plan.kind, sizeof plan.kind, "%.*s", (int)(first - at), at);
    snprintf(plan.part, sizeof plan.part, "%.*s", (int)(last - first - 1), first + 1);
    plan.number = atol(last + 1);
    atomic_store(&plan.seen, 0);
    snprintf(seam.root, sizeof seam.root, "%s", root);
    seam.before = before;
    return true;
}

__attribute__((constructor)) static void read_plan(void) {
    const char *root = setting("LRB_SEAM_ROOT"), *at = setting("LRB_SEAM_AT"), *deed = setting("LRB_SEAM_DO");
    unsigned long long seed = 0;
    if (!root[0]) return;
    if (setting("LRB_SEAM_TALLY")[0]) {
        plan.tally = (int)syscall(SYS_openat, AT_FDCWD, setting("LRB_SEAM_TALLY"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        must(plan.tally > 0, "LRB_SEAM_TALLY");
    }
    snprintf(seam.root, sizeof seam.root, "%s", root);
    plan.plain = setting("LRB_SEAM_PLAIN")[0];
    plan.always = setting("LRB_SEAM_ALWAYS")[0];
    must(!at[0] || seam_plan(root, at, deed), "LRB_SEAM_AT");
    if ((plan.random = setting("LRB_SEAM_RANDOM")[0])) {
        unsigned *odds = plan.odds;
        int read = sscanf(setting("LRB_SEAM_RANDOM"), "%llu:%u:%u:%u:%u:%u:%u", &seed, odds, odds + 1, odds + 2, odds + 3, odds + 4, odds + 5);
        must(read == 7, "LRB_SEAM_RANDOM");
        atomic_store(&plan.state, seed);
    }
    if (plan.random) seam.before = before;
    seam.ahead_s = atoll(setting("LRB_SEAM_CLOCK"));
    seam.file_system = strtol(setting("LRB_SEAM_FS"), NULL, 16);
    seam.locks_lie = !strcmp(setting("LRB_SEAM_LOCKS"), "lie");
}

/* ---- what goes by whole paths ---- */

/* Through its twin with descriptors, which seam.c looks at, or by a system call that nobody looks at. */
#define BY_PATH(watched, number, ...) return plan.plain ? (watched) : (int)syscall(number, __VA_ARGS__)

int link(const char *from, const char *to) {
    BY_PATH(linkat(AT_FDCWD, from, AT_FDCWD, to, 0), SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rename(const char *from, const char *to) {
    BY_PATH(renameat(AT_FDCWD, from, AT_FDCWD, to), SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
    BY_PATH(unlinkat(AT_FDCWD, path, 0), SYS_unlinkat, AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode) {
    BY_PATH(mkdirat(AT_FDCWD, path, mode), SYS_mkdirat, AT_FDCWD, path, mode);
}
