/* A storage path that is sealed, for tests of what opens it. */
#ifndef LRB_TEST_LOCKED_H
#define LRB_TEST_LOCKED_H

#include "check.h"
#include "fixture.h"
#include "repo/key_store.h"
#include "repo/keyring.h"
#include "repo/storage.h"

static lrb_err err;
static fixture f;

static inline int with_passphrase(const char *graph, bool create, const char *text, lrb_unlocked *out) {
    lrb_passphrase passphrase = {(const uint8_t *)text, strlen(text)};
    lrb_secret secret = {.passphrase = &passphrase};
    return lrb_keyring_unlock(f.storage, graph, create, &secret, out, &err);
}

static inline int with_key(const char *graph, bool create, const lrb_key *key, lrb_unlocked *out) {
    lrb_secret secret = {.key = key};
    return lrb_keyring_unlock(f.storage, graph, create, &secret, out, &err);
}

static inline int open_and_close(const char *graph, bool create, const lrb_key *key) {
    lrb_repo *repo;
    int code = lrb_repo_open_with(f.storage, graph, create, key, &repo, &err);
    if (!code) lrb_repo_close(repo);
    return code;
}

/* A sealed graph, made with "right". */
static inline int sealed_graph(const char *graph, lrb_unlocked *out) {
    int code = with_passphrase(graph, true, "right", out);
    return code ? code : open_and_close(graph, true, &out->key);
}

static inline void remove_below(const char *below) {
    int graphs;
    if (!lrb_storage_open(f.storage, false, &graphs, &err)) {
        int fd;
        char graph[64], *slash;
        snprintf(graph, sizeof graph, "%s", below);
        if ((slash = strchr(graph, '/'))) *slash = '\0';
        if (!lrb_fs_open_dir(graphs, graph, &fd, &err)) {
            lrb_fs_remove_tree(fd, slash + 1, &err);
            lrb_fs_close(fd);
        }
        lrb_fs_close(graphs);
    }
}

#endif
