#include "engine/judge.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "engine/item_bytes.h"

typedef struct input { /* a file of the graph */
    struct input *next;
    struct lrb_judge *judge;
    const lrb_source_item *item; /* of a source */
    int fd;
    lrb_item_bytes *bytes;       /* of a snapshot */
} input;

struct lrb_judge {
    lrb_job *job;
    bool counted, live;
    lrb_validation *validation;
    input *inputs;
};

int lrb_judge_new(lrb_job *job, bool counted, const lrb_validation_options *options, lrb_judge **out, lrb_err *err) {
    lrb_judge *judge = lrb_alloc_zero(1, sizeof *judge);
    if (!judge) return lrb_err_nomem(err, "validate");
    judge->job = job;
    judge->counted = counted;
    judge->live = options->live;
    int code = lrb_validation_new(options, &judge->validation, err);
    if (code) lrb_free(judge);
    else *out = judge;
    return code;
}

void lrb_judge_close(lrb_judge *judge) {
    while (judge->inputs) {
        input *in = judge->inputs;
        judge->inputs = in->next;
        lrb_fs_close(in->fd);
        lrb_item_bytes_close(in->bytes);
        lrb_free(in);
    }
}

void lrb_judge_free(lrb_judge *judge) {
    if (!judge) return;
    lrb_judge_close(judge);
    lrb_validation_free(judge->validation);
    lrb_free(judge);
}

const lrb_report *lrb_judge_report(const lrb_judge *judge) {
    return lrb_validation_report(judge->validation);
}

void lrb_judge_trust(lrb_judge *judge, const char *name) {
    lrb_validation_trust(judge->validation, name);
}

void lrb_judge_rows_seen(lrb_judge *judge, const char *name, const lrb_rows_seen *seen) {
    lrb_validation_rows_seen(judge->validation, name, seen);
}

/* ---- reading ---- */

static void count_read(lrb_judge *judge, size_t got) {
    lrb_counters *counters = &judge->job->counters;
    if (!judge->counted) return;
    uint64_t total = atomic_load_explicit(&counters->bytes_total, memory_order_relaxed);
    uint64_t before = atomic_load_explicit(&counters->bytes_in, memory_order_relaxed);
    /* Vector files are read twice in part; what is shown ends where the whole does. */
    if (before + got <= total) atomic_fetch_add_explicit(&counters->bytes_in, got, memory_order_relaxed);
}

static int read_file(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got, lrb_err *err) {
    (void)thread;
    const input *in = self->arg;
    int code = lrb_job_check(in->judge->job, err);
    if (!code) code = lrb_fs_read_at(in->fd, into, room, offset, got, in->item->name, err);
    if (!code) count_read(in->judge, *got);
    return code;
}

static int read_item(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got, lrb_err *err) {
    const input *in = self->arg;
    int code = lrb_job_check(in->judge->job, err);
    if (!code) code = lrb_item_bytes_read(in->bytes, ((lrb_worker *)thread)->coder, offset, into, room, got, err);
    if (!code) count_read(in->judge, *got);
    return code;
}

/* ---- opening ---- */

static input *new_input(lrb_judge *judge) {
    input *in = lrb_alloc_zero(1, sizeof *in);
    if (!in) return NULL;
    in->judge = judge;
    in->fd = -1;
    in->next = judge->inputs;
    judge->inputs = in;
    return in;
}

static int give(lrb_judge *judge, const char *name, input *in, uint64_t length, lrb_err *err) {
    lrb_bytes bytes = {.read = in->item ? read_file : read_item, .arg = in, .length = length};
    bool taken;
    int code = lrb_validation_add(judge->validation, name, &bytes, &taken, err);
    if (code || !taken || !judge->counted) return code;
    atomic_fetch_add_explicit(&judge->job->counters.bytes_total, length, memory_order_relaxed);
    atomic_fetch_add_explicit(&judge->job->counters.items_total, 1, memory_order_relaxed);
    return LRB_OK;
}

static const lrb_source_item *item_named(const lrb_source *source, const char *name) {
    for (size_t i = 0; i < lrb_source_count(source); i++)
        if (!strcmp(lrb_source_at(source, i)->name, name)) return lrb_source_at(source, i);
    return NULL;
}

static int refuse(lrb_judge *judge, const char *name, const char *reason, lrb_err *err) {
    char why[128];
    snprintf(why, sizeof why, "it is %s", reason);
    return lrb_validation_refuse(judge->validation, name, why, err);
}

/* A directory or a FIFO in the place of a store: a snapshot leaves it out, and the host comes to grief over it. A symlink,
 * which is skipped as well, is an item. */
static int refuse_what_is_no_file(lrb_judge *judge, const lrb_source *source, lrb_err *err) {
    int code = LRB_OK;
    for (size_t i = 0; !code && judge->live && i < lrb_source_skip_count(source); i++) {
        const char *name = lrb_source_skip_at(source, i)->name;
        if (lrb_validation_takes(name) && !item_named(source, name))
            code = refuse(judge, name, lrb_source_skip_at(source, i)->reason, err);
    }
    return code;
}

/* Of a pair of Faiss files the metadata is written last, and nothing in them says which belongs to which: their times are
 * the one witness of an index that was replaced alone. A copy may have lost them, so that it is no error. */
static int compare_times(lrb_judge *judge, const lrb_source *source, const lrb_source_item *item, lrb_err *err) {
    static const char end[] = ".meta.json";
    char name[LRB_PATH_MAX];
    size_t length = strlen(item->name), front = length > sizeof end - 1 ? length - (sizeof end - 1) : 0;
    if (!judge->live || !front || front >= sizeof name || strcmp(item->name + front, end)) return LRB_OK;
    snprintf(name, sizeof name, "%.*s", (int)front, item->name);
    const lrb_source_item *index = item_named(source, name);
    if (!index || index->identity.type != LRB_FILE_REGULAR || index->identity.mtime_ns <= item->identity.mtime_ns) return LRB_OK;
    return lrb_validation_newer_index(judge->validation, name, err);
}

static int open_file(lrb_judge *judge, const lrb_source *source, const lrb_source_item *item, lrb_err *err) {
    input *in = new_input(judge);
    if (!in) return lrb_err_nomem(err, "validate");
    in->item = item;
    int code = lrb_source_open(source, item, &in->fd, err);
    if (!code) code = give(judge, item->name, in, item->identity.size_bytes, err);
    return code ? code : compare_times(judge, source, item, err);
}

int lrb_judge_open_source(lrb_judge *judge, const lrb_source *source, lrb_err *err) {
    for (size_t i = 0; i < lrb_source_count(source); i++) {
        const lrb_source_item *item = lrb_source_at(source, i);
        int code = LRB_OK;
        if (item->identity.type == LRB_FILE_SYMLINK) lrb_validation_link(judge->validation, item->name);
        if (item->identity.type == LRB_FILE_REGULAR && lrb_validation_takes(item->name)) code = open_file(judge, source, item, err);
        if (code) return code;
    }
    return refuse_what_is_no_file(judge, source, err);
}

static int open_item(lrb_judge *judge, lrb_repo *repo, const lrb_body_item *item, lrb_coder *coder, lrb_err *err) {
    char name[LRB_PATH_MAX];
    snprintf(name, sizeof name, "%.*s", (int)item->name_length, item->name);
    if (item->type == LRB_FILE_SYMLINK) lrb_validation_link(judge->validation, name);
    if (item->type != LRB_FILE_REGULAR || !lrb_validation_takes(name)) return LRB_OK;
    input *in = new_input(judge);
    if (!in) return lrb_err_nomem(err, "validate");
    int code = lrb_item_bytes_open(repo, item, coder, &in->bytes, err);
    return code ? code : give(judge, name, in, item->size_bytes, err);
}

static int find_body(lrb_repo *repo, const char *snapshot_id, lrb_row *root, lrb_err *err) {
    const lrb_snapshot *snapshot = lrb_state_find(lrb_repo_begin_read(repo), snapshot_id);
    if (snapshot) *root = snapshot->body_root;
    lrb_repo_end_read(repo);
    return snapshot ? LRB_OK : lrb_err_set(err, LRB_E_NOT_FOUND, "validate", snapshot_id, "there is no such snapshot");
}

int lrb_judge_open_snapshot(lrb_judge *judge, lrb_repo *repo, const char *snapshot_id, lrb_coder *coder, lrb_err *err) {
    lrb_row root;
    lrb_body_reader *reader;
    lrb_repo_reader fetch = {repo, coder};
    bool done = false;
    int code = find_body(repo, snapshot_id, &root, err);
    if (!code) code = lrb_body_reader_new(&root, lrb_repo_fetch, &fetch, &reader, err);
    if (code) return code;
    while (!code && !done) {
        lrb_body_record record;
        code = lrb_body_reader_next(reader, &record, &done, err);
        if (!code && !done && record.type == LRB_BODY_ITEM) code = open_item(judge, repo, &record.item, coder, err);
    }
    lrb_body_reader_free(reader);
    return code;
}

/* ---- judging ---- */

/* What was judged is one state of each file. A pinned file's ctime may move: it loses its name, and not one byte. */
static int check_unchanged(const lrb_judge *judge, lrb_err *err) {
    for (const input *in = judge->inputs; in; in = in->next) {
        lrb_identity now;
        if (in->fd < 0) continue;
        int code = lrb_fs_identify(in->fd, &now, err);
        if (code) return code;
        now.ctime_ns = in->item->identity.ctime_ns;
        if (!lrb_identity_same(&now, &in->item->identity))
            return lrb_source_changed(in->item, in->fd, "validate", "the file changed while it was read; validate again when it is at rest", err);
    }
    return LRB_OK;
}

int lrb_judge_step(lrb_judge *judge, lrb_worker *worker, lrb_step *next, lrb_err *err) {
    lrb_validation_state state;
    int code = lrb_job_check(judge->job, err);
    if (!code) code = lrb_validation_step(judge->validation, worker, &state, err);
    if (code) return code;
    *next = state == LRB_VALIDATION_MORE ? LRB_STEP_MORE : state == LRB_VALIDATION_DONE ? LRB_STEP_DONE : LRB_STEP_IDLE;
    return *next == LRB_STEP_DONE ? check_unchanged(judge, err) : LRB_OK;
}
