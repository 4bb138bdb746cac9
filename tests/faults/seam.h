/* The seam between the core and the kernel, in a test's hands.
 *
 * csrc/base is the only place that calls the kernel about files and time. seam.c defines those calls itself, so that
 * whoever is linked with it, or runs with it as LD_PRELOAD, asks the test first. A test sees every call below
 * seam.root before it is made (`before`: let it pass, refuse it, cut it short, make it and lose the answer; or do
 * whatever it likes meanwhile: run another writer, stop the process, end it) and after it was made (`after`: record
 * it). Calls elsewhere, and calls made by `after`, go straight to the kernel.
 *
 * Preloaded, the plan comes from the environment (seam_preload.c).
 */
#ifndef LRB_TESTS_SEAM_H
#define LRB_TESTS_SEAM_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

typedef enum seam_kind {
    SEAM_OPEN,       /* of what exists: file or directory */
    SEAM_CREATE,
    SEAM_MAKE_DIR,
    SEAM_DUPLICATE,
    SEAM_STAT,
    SEAM_LIST,       /* opening a stream, or its next name */
    SEAM_READ,
    SEAM_READ_LINK,
    SEAM_WRITE,
    SEAM_SET_SIZE,
    SEAM_ATTRIBUTES, /* mode, owner or time */
    SEAM_SYNC,       /* of a file's data or of a directory's names */
    SEAM_SYNC_ALL,   /* of the file system */
    SEAM_LINK,
    SEAM_RENAME,
    SEAM_EXCHANGE,
    SEAM_UNLINK,
    SEAM_REMOVE_DIR,
    SEAM_MAKE_LINK,  /* symbolic */
    SEAM_ROOM,
    SEAM_LOCK,
    SEAM_KINDS
} seam_kind;

extern const char *const seam_names[SEAM_KINDS];

typedef struct seam_call {
    seam_kind kind;
    int fd;               /* the file, or the directory that `name` is in */
    const char *name;     /* NULL: it is about `fd` itself */
    int to_fd;            /* of link, rename and exchange */
    const char *to_name;
    const void *bytes;    /* of write; of a symbolic link, its text */
    size_t count;         /* of read and write */
    uint64_t offset;      /* of write; the new size of set size */
    bool data_only;       /* of sync: without times and modes (fdatasync) */
    char path[PATH_MAX];  /* `fd`, or `name` in it, below seam.root */
    char to_path[PATH_MAX];
} seam_call;

typedef enum seam_verdict {
    SEAM_PASS,
    SEAM_REFUSE,      /* not made; fails with *sys_errno */
    SEAM_SHORTEN,     /* reads and writes: half of it, at least one byte; others pass */
    SEAM_LOSE_ANSWER  /* made, and yet it fails with *sys_errno */
} seam_verdict;

typedef struct seam_watch {
    char root[PATH_MAX];                                              /* "": nothing is watched */
    seam_verdict (*before)(const seam_call *call, int *sys_errno);    /* NULL: all pass */
    void (*after)(const seam_call *call, long result);                /* NULL: nobody looks; `result` >= 0 */
    int64_t (*clock)(clockid_t clock, int64_t real_ns);               /* NULL: the real one */
    int64_t ahead_s;                                                  /* of the wall clock, beyond the range of ns too */
    bool random_from_seed;                                            /* getrandom gives a reproducible stream */
    uint64_t seed;
    long file_system;                                                 /* what statfs says; 0: the truth */
    bool locks_lie;                                                   /* flock always succeeds and locks nothing */
} seam_watch;

extern seam_watch seam;

/* Between these two, calls of this thread go straight to the kernel: a harness at work on its own files. They nest. */
void seam_rest(void);
void seam_wake(void);
/* Which errno a device in trouble gives for a call of this kind; *count of them. */
const int *seam_errnos(seam_kind kind, size_t *count);
/* Whether the kernel may break off such a call with EINTR on a regular file system. */
bool seam_can_interrupt(seam_kind kind);
/* xorshift64*, the state in *state; never 0. */
uint64_t seam_random(uint64_t *state);

#endif
