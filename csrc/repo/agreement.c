#include "repo/agreement.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "codec/seal.h"
#include "repo/format.h"

#define NAME ".sealing"
#define WHEN_EMPTY "; once nothing is stored there any more, remove graphs/" NAME

static const char *const words[] = {"clear\n", "sealed\n"};

static int compare(int graphs_dir, bool sealed, lrb_err *err) {
    uint8_t *bytes = NULL;
    size_t count;
    int code = lrb_fs_read_file(graphs_dir, NAME, 16, &bytes, &count, err);
    if (code && code != LRB_E_LIMIT) return code;
    bool known[2] = {false, false};
    for (int i = 0; !code && i < 2; i++) known[i] = count == strlen(words[i]) && !memcmp(bytes, words[i], count);
    lrb_free(bytes);
    if (known[sealed]) return LRB_OK;
    if (!known[!sealed])
        return lrb_err_set(err, LRB_E_DAMAGED, "begin a graph", "graphs/" NAME, "graphs/" NAME " is damaged: remove it, or restore it from a copy");
    return lrb_err_set(err, LRB_E_LOCKED, "begin a graph", "graphs/" NAME,
                       sealed ? "what is kept under this storage path is not sealed, but a passphrase or key file is named: name none, or keep sealed "
                                "snapshots under another storage path" WHEN_EMPTY
                              : "what is kept under this storage path is sealed, and this graph would not be: name the passphrase or key file" WHEN_EMPTY);
}

bool lrb_agreement_is_aside(const char *name) {
    return !strncmp(name, NAME ".", sizeof NAME);
}

static int write_aside(int graphs_dir, const char *name, const char *word, lrb_err *err) {
    int fd = -1;
    int code = lrb_fs_create(graphs_dir, name, 0440, &fd, err);
    if (code) return code;
    code = lrb_fs_write(fd, word, strlen(word), name, err);
    if (!code) code = lrb_fs_sync_data(fd, name, err);
    lrb_fs_close(fd);
    return code;
}

static int propose(int graphs_dir, bool sealed, lrb_err *err) {
    uint8_t nonce[LRB_NONCE_BYTES];
    char aside[sizeof NAME + 1 + 2 * LRB_NONCE_BYTES] = NAME ".";
    lrb_err ignored;
    int code = lrb_random_bytes(nonce, sizeof nonce, err);
    if (code) return code;
    lrb_hex(nonce, sizeof nonce, aside + sizeof NAME);
    if (!(code = write_aside(graphs_dir, aside, words[sealed], err))) code = lrb_fs_link(graphs_dir, aside, graphs_dir, NAME, err);
    (void)lrb_fs_unlink(graphs_dir, aside, &ignored);
    if (code != LRB_E_EXISTS) return code;
    lrb_err_clear(err);
    return LRB_OK;
}

int lrb_agreement_reach(int graphs_dir, const char *place, bool sealed, lrb_err *err) {
    int code = compare(graphs_dir, sealed, err);
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err);
        code = propose(graphs_dir, sealed, err);
        if (!code) code = compare(graphs_dir, sealed, err);
        if (code == LRB_E_UNSUPPORTED)
            return lrb_err_set(err, code, "link", place, "the file system refused a hard link; use one with them for %.200s", place);
    }
    return code ? code : lrb_fs_sync(graphs_dir, "graphs", err); /* also what another has made and not synced yet */
}
