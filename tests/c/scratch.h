/* What the tests of restoring and publishing share: a scratch directory with a target in it, and trees written and
 * read as text.
 *
 * A tree is described line by line in byte order: "d/" a directory, "a=text" a file, "l>text" a link. Names of a
 * restore's own (".lrb_restore...") are left out of descriptions.
 */
#ifndef LRB_TESTS_SCRATCH_H
#define LRB_TESTS_SCRATCH_H

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/path.h"
#include "engine/publish.h"

enum { TREE_TEXT = 8192 };

typedef struct scratch {
    char root[128], target[160];
} scratch;

static inline void scratch_open(scratch *s) {
    const char *tmp = getenv("TMPDIR");
    snprintf(s->root, sizeof s->root, "%s/lrb-test-XXXXXX", tmp && strlen(tmp) < 100 ? tmp : "/tmp");
    if (!mkdtemp(s->root)) perror(s->root), exit(2);
    snprintf(s->target, sizeof s->target, "%s/target", s->root);
}

static inline void scratch_close(scratch *s) {
    lrb_err err;
    if (lrb_fs_remove_tree(AT_FDCWD, s->root, &err)) printf("left behind: %s: %s\n", s->root, err.message);
}

static inline void tree_make_parents(const char *base, char *name) {
    char path[8192];
    for (char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        snprintf(path, sizeof path, "%s/%s", base, name);
        mkdir(path, 0755);
        *slash = '/';
    }
}

static inline void tree_make_line(const char *base, char *line) {
    char path[8192], *mark = line + strcspn(line, "=>"), kind = *mark;
    *mark = '\0';
    tree_make_parents(base, line);
    snprintf(path, sizeof path, "%s/%s", base, line);
    if (kind == '>' && symlink(mark + 1, path)) perror(path), exit(2);
    if (kind != '=') return;
    FILE *file = fopen(path, "w");
    if (!file || fputs(mark + 1, file) < 0) perror(path), exit(2);
    fclose(file);
}

/* Makes what the lines of `tree` describe below `base`; directories above a name are made. */
static inline void tree_make(const char *base, const char *tree) {
    mkdir(base, 0755);
    while (*tree) {
        char line[4096];
        size_t length = strcspn(tree, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, tree);
        tree_make_line(base, line);
        tree += length + (tree[length] == '\n');
    }
}

static inline int tree_by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static inline void tree_add(char *out, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t length = strlen(out);
    vsnprintf(out + length, TREE_TEXT - length, format, args);
    va_end(args);
}

static inline void tree_read_below(const char *base, const char *prefix, char *out) {
    char path[8192], text[4096], *names[256];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", base, prefix);
    DIR *dir = opendir(path);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir)) && count < 256;)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && !lrb_publish_reserved(entry->d_name))
            names[count++] = strdup(entry->d_name);
    closedir(dir);
    qsort(names, count, sizeof *names, tree_by_name);
    for (size_t i = 0; i < count; i++) {
        char name[2048];
        struct stat st;
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "/" : "", names[i]);
        snprintf(path, sizeof path, "%s/%s", base, name);
        if (lstat(path, &st)) continue;
        ssize_t got = 0;
        if (S_ISDIR(st.st_mode)) {
            tree_add(out, "%s/\n", name);
            tree_read_below(base, name, out);
        } else if (S_ISLNK(st.st_mode)) {
            got = readlink(path, text, sizeof text);
            tree_add(out, "%s>%.*s\n", name, (int)got, text);
        } else {
            int fd = open(path, O_RDONLY | O_NONBLOCK);
            got = fd < 0 ? 0 : read(fd, text, sizeof text);
            close(fd);
            tree_add(out, "%s=%.*s\n", name, (int)got, text);
        }
        free(names[i]);
    }
}

/* The description of everything below `base`; the memory is the function's own until the next call but one. */
static inline const char *tree_text(const char *base) {
    static char texts[2][TREE_TEXT];
    static int turn;
    char *out = texts[turn ^= 1];
    *out = '\0';
    tree_read_below(base, "", out);
    return out;
}

static inline bool tree_is(const char *base, const char *wanted) {
    const char *is = tree_text(base);
    if (strcmp(is, wanted) == 0) return true;
    printf("--- %s is:\n%s--- wanted:\n%s", base, is, wanted);
    return false;
}

/* How many names of a restore's own are directly in `base`. */
static inline int tree_leftovers(const char *base) {
    int count = 0;
    DIR *dir = opendir(base);
    for (struct dirent *entry; dir && (entry = readdir(dir));) count += lrb_publish_reserved(entry->d_name);
    if (dir) closedir(dir);
    return count;
}

#endif
