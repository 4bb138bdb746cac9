/* The directories of a storage path. */
#include "repo/storage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "check.h"
#include "fixture.h"

static lrb_err err;

TEST(missing_directories_are_made_when_asked) {
    fixture f;
    char deep[300];
    struct stat found;
    int graphs = -1, one = -1;
    fixture_open(&f);
    snprintf(deep, sizeof deep, "%s/a/b/c", f.root);
    CHECK_FAILS(lrb_storage_open(deep, false, &graphs, &err), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_storage_open(deep, true, &graphs, &err));
    CHECK_FAILS(lrb_storage_subdir(graphs, "one", false, &one, &err), LRB_E_NOT_FOUND);
    CHECK_OK(lrb_storage_subdir(graphs, "one", true, &one, &err));
    CHECK(!fstat(one, &found) && (found.st_mode & 0777) == 0750);
    lrb_fs_close(one);
    CHECK_OK(lrb_storage_subdir(graphs, "one", false, &one, &err));
    lrb_fs_close(one);
    lrb_fs_close(graphs);
    fixture_close(&f);
}

/* That it makes them durable is the matter of tests/faults; here that it goes the whole way, and past what it may not open. */
TEST(syncing_goes_up_to_the_top) {
    fixture f;
    fixture_open(&f);
    CHECK_OK(lrb_storage_sync(f.source, &err));
    CHECK_OK(lrb_storage_sync("tests", &err));
    fixture_close(&f);
}

TEST(graphs_are_listed_by_name_and_nothing_else) {
    fixture f;
    char path[400];
    lrb_graph_names names;
    int graphs = -1, fd = -1;
    fixture_open(&f);
    CHECK_OK(lrb_storage_open(f.storage, true, &graphs, &err));
    CHECK_OK(lrb_storage_graphs(graphs, &names, &err));
    CHECK(!names.count);
    lrb_free(names.at);
    for (const char *const *name = (const char *const[]){"zebra", "ant", "-no", ".hidden", "b.c", NULL}; *name; name++) {
        snprintf(path, sizeof path, "%s/graphs/%s", f.storage, *name);
        CHECK(!mkdir(path, 0755));
    }
    CHECK_OK(lrb_fs_create(graphs, "file", 0640, &fd, &err));
    lrb_fs_close(fd);
    CHECK_OK(lrb_storage_graphs(graphs, &names, &err));
    CHECK(names.count == 3);
    CHECK(!strcmp(names.at[0], "ant") && !strcmp(names.at[1], "b.c") && !strcmp(names.at[2], "zebra"));
    lrb_free(names.at);
    int code = LRB_E_NOMEM;
    for (int n = 0; code == LRB_E_NOMEM; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_storage_graphs(graphs, &names, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(code == LRB_OK || code == LRB_E_NOMEM);
        lrb_free(names.at);
    }
    lrb_fs_close(graphs);
    fixture_close(&f);
}

int main(void) {
    RUN(missing_directories_are_made_when_asked);
    RUN(syncing_goes_up_to_the_top);
    RUN(graphs_are_listed_by_name_and_nothing_else);
    return check_report();
}
