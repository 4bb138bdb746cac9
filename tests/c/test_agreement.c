/* One storage path, one answer to whether it is sealed, whoever asks first. */
#include "repo/agreement.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/mem.h"
#include "locked.h"

static int graphs = -1;

static void scene(void) {
    fixture_open(&f);
    CHECK_OK(lrb_storage_open(f.storage, true, &graphs, &err));
}

static void end(void) {
    lrb_fs_close(graphs);
    fixture_close(&f);
}

TEST(the_first_word_holds) {
    for (int sealed = 0; sealed < 2; sealed++) {
        scene();
        CHECK_OK(lrb_agreement_reach(graphs, f.storage, sealed, &err));
        CHECK_OK(lrb_agreement_reach(graphs, f.storage, sealed, &err));
        CHECK_FAILS(lrb_agreement_reach(graphs, f.storage, !sealed, &err), LRB_E_LOCKED);
        CHECK(strstr(err.message, sealed ? "name the passphrase or key file; " : "under another storage path; "));
        end();
    }
}

TEST(a_word_nobody_wrote_is_named) {
    char path[400];
    static const char *const odd[] = {"", "clea", "sealed", "sealed\nsealed\nsealed\n"};
    scene();
    snprintf(path, sizeof path, "%s/graphs/.sealing", f.storage);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        FILE *file = fopen(path, "w");
        CHECK(file && fputs(odd[i], file) >= 0 && !fclose(file));
        CHECK_FAILS(lrb_agreement_reach(graphs, f.storage, (int)i % 2, &err), LRB_E_DAMAGED);
        CHECK(strstr(err.message, "graphs/.sealing is damaged"));
    }
    end();
}

/* A first backup as a process makes it: with a passphrase, or (NULL) without. */
static int begin_graph(const char *graph, bool sealed) {
    lrb_unlocked out;
    return sealed ? sealed_graph(graph, &out) : open_and_close(graph, true, NULL);
}

static int entries_of_two_kinds(const char *one, const char *two, bool *both) {
    const char *names[] = {one, two};
    bool seen[2] = {false, false};
    for (int i = 0; i < 2; i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/graphs/%s/log/%020d", f.storage, names[i], 0);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        seen[!fseek(file, 12, SEEK_SET) && fgetc(file)] = true;
        fclose(file);
    }
    *both = seen[0] && seen[1];
    return seen[0] || seen[1] ? LRB_OK : LRB_E_NOT_FOUND;
}

/* Twelve processes, half of which would seal, in two graphs or in one: all of one kind succeed, all others are refused. */
TEST(first_creators_that_race_never_mix) {
    enum { CREATORS = 12 };
    for (int round = 0; round < 8; round++) {
        pid_t children[CREATORS];
        scene();
        int gate[2];
        CHECK(!pipe(gate));
        for (int i = 0; i < CREATORS; i++)
            if (!(children[i] = fork())) {
                char byte;
                close(gate[1]);
                if (read(gate[0], &byte, 1)) _exit(99); /* all go once the last writer is gone */
                _exit(begin_graph(round % 2 ? "one" : i % 4 < 2 ? "one" : "two", i % 2));
            }
        close(gate[0]);
        close(gate[1]);
        int succeeded[2] = {0}, refused[2] = {0}, status;
        for (int i = 0; i < CREATORS; i++) {
            CHECK(waitpid(children[i], &status, 0) == children[i] && WIFEXITED(status));
            if (!WEXITSTATUS(status)) succeeded[i % 2]++;
            else if (WEXITSTATUS(status) == LRB_E_LOCKED) refused[i % 2]++;
        }
        bool both;
        CHECK_OK(entries_of_two_kinds("one", "two", &both));
        CHECK(!both);
        int winner = succeeded[1] > 0;
        CHECK(succeeded[winner] == CREATORS / 2 && refused[!winner] == CREATORS / 2);
        end();
    }
}

TEST(memory_running_out_is_survived) {
    int code = LRB_E_NOMEM;
    scene();
    for (int n = 0; code; n++) {
        lrb_mem_fail_after(n, false);
        code = lrb_agreement_reach(graphs, f.storage, true, &err);
        lrb_mem_fail_after(-1, false);
        CHECK(!code || code == LRB_E_NOMEM);
    }
    CHECK_FAILS(lrb_agreement_reach(graphs, f.storage, false, &err), LRB_E_LOCKED);
    end();
}

int main(void) {
    RUN(the_first_word_holds);
    RUN(a_word_nobody_wrote_is_named);
    RUN(first_creators_that_race_never_mix);
    RUN(memory_running_out_is_survived);
    return check_report();
}
