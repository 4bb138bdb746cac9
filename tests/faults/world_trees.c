/* Trees: copied, removed, told apart by a number, and made the same in every run. */
#include "world_private.h"

#include <dirent.h>
#include <time.h>

/* ---- trees ---- */

static void copy_file(const char *from, const char *to, const struct stat *st) {
    int in = open(from, O_RDONLY | O_NOFOLLOW), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
    static uint8_t bytes[1 << 16];
    must(in >= 0 && out >= 0, from);
    for (ssize_t got; (got = read(in, bytes, sizeof bytes)) > 0;) must(write(out, bytes, (size_t)got) == got, to);
    must(!fchmod(out, st->st_mode & 07777) && !futimens(out, (struct timespec[2]){st->st_atim, st->st_mtim}), to);
    close(in);
    close(out);
}

void world_copy_tree_as(const char *from, const char *to, bool by_links) {
    struct stat st;
    char text[512] = "";
    must(!lstat(from, &st), from);
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (S_ISREG(st.st_mode) && by_links) {
        must(!link(from, to), to);
    } else if (S_ISREG(st.st_mode)) {
        copy_file(from, to, &st);
    } else if (S_ISLNK(st.st_mode)) {
        must(readlink(from, text, sizeof text - 1) > 0 && !symlink(text, to), to);
        utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW);
    } else if (S_ISDIR(st.st_mode)) {
        must(!mkdir(to, 0700), to);
        DIR *dir = opendir(from);
        for (struct dirent *entry; (entry = readdir(dir));) {
            char a[512], b[512];
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
            fixture_path(a, from, entry->d_name);
            fixture_path(b, to, entry->d_name);
            world_copy_tree_as(a, b, by_links);
        }
        closedir(dir);
        must(!chmod(to, st.st_mode & 07777) && !utimensat(AT_FDCWD, to, times, 0), to);
    }
}

void world_copy_tree(const char *from, const char *to) {
    seam_rest();
    world_copy_tree_as(from, to, false);
    seam_wake();
}

void world_remove_tree(const char *path) {
    lrb_err err;
    seam_rest();
    if (lrb_fs_remove_tree(AT_FDCWD, path, &err)) printf("left behind: %s: %s\n", path, err.message), abort();
    seam_wake();
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash ^ hash >> 31;
}

static uint64_t hash_file(uint64_t hash, const char *path) {
    static uint8_t bytes[1 << 16];
    uint64_t word;
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;) {
        ssize_t at = 0;
        for (; at + 8 <= got; at += 8) memcpy(&word, bytes + at, 8), hash = (hash ^ word) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
        hash = mix(hash, bytes + at, (size_t)(got - at));
    }
    close(fd);
    return hash;
}

static uint64_t hash_tree(const char *path) {
    struct stat st;
    char text[512] = "", below[512];
    uint64_t total = 0xcbf29ce484222325u;
    if (lstat(path, &st)) return 0;
    total = mix(total, &st.st_mode, sizeof st.st_mode);
    if (S_ISREG(st.st_mode)) return hash_file(total, path);
    if (S_ISLNK(st.st_mode)) return mix(total, text, (size_t)readlink(path, text, sizeof text - 1));
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        fixture_path(below, path, entry->d_name);
        uint64_t child = hash_tree(below);
        total += mix(mix(0x9e3779b97f4a7c15u, &child, sizeof child), entry->d_name, strlen(entry->d_name));
    }
    if (dir) closedir(dir);
    return total * 0xc4ceb9fe1a85ec53u;
}

uint64_t world_hash(const char *path) {
    seam_rest();
    uint64_t hash = hash_tree(path);
    seam_wake();
    return hash;
}

static int64_t still(clockid_t clock, int64_t real_ns) {
    static int64_t began[2];
    int64_t *at = &began[clock == CLOCK_REALTIME];
    if (!*at) *at = real_ns;
    return *at;
}

void world_repeat(uint64_t seed) {
    seam.random_from_seed = true;
    seam.seed = seed;
    seam.clock = still;
}

int world_descriptors(void) {
    return count_entries("/proc/self/fd");
}
