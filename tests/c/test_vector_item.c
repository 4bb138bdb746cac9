/* The list of chunks of a vector file, made wrong in every way its shape allows. Both who read it, the restore and whoever
 * looks into a snapshot, call it damage, and neither gives out a byte that the list does not vouch for. Verify says so before
 * anybody reads it, but for lengths that only the chunks themselves refute. */
#include "engine/item_bytes.h"

#include "lightrag/vdb_group.h"
#include "maker.h"
#include "vector_bench.h"

enum { MAX_ROWS = 600, DIM = 64, RECORDS = 3000, FEW_RECORDS = 200 };

typedef struct listing { /* of the one item of a snapshot */
    lrb_body_item item;
    lrb_row rows[MAX_ROWS];
    size_t count;
} listing;

/* What a backup made of the source's only file. */
static listing list_item(bench *b) {
    static listing l;
    lrb_repo_reader fetch = {b->repo, b->f.worker.coder};
    lrb_body_reader *body;
    lrb_body_record record;
    lrb_recipe_walker *walker;
    bool done = false;
    lrb_row root = lrb_state_find(lrb_repo_begin_read(b->repo), b->outcome.snapshot_id)->body_root;
    lrb_repo_end_read(b->repo);
    must(lrb_body_reader_new(&root, lrb_repo_fetch, &fetch, &body, &err));
    do must(lrb_body_reader_next(body, &record, &done, &err));
    while (!done && record.type != LRB_BODY_ITEM);
    l = (listing){.item = record.item};
    l.item.name = "file";
    lrb_body_reader_free(body);
    must(lrb_recipe_walker_new(&l.item.root, lrb_repo_fetch, &fetch, &walker, &err));
    for (done = false; !done && l.count < MAX_ROWS; l.count += !done)
        must(lrb_recipe_walker_next(walker, false, &l.rows[l.count], &done, &err));
    lrb_recipe_walker_free(walker);
    if (!done) printf("more than %d rows\n", MAX_ROWS), exit(2);
    return l;
}

/* ---- what is done to it ---- */

static size_t first_of(const listing *l, lrb_chunk_kind kind, size_t from) {
    while (from < l->count && l->rows[from].kind != kind) from++;
    if (from == l->count) printf("no row of kind %d\n", (int)kind), exit(2);
    return from;
}

static size_t last_of(const listing *l, lrb_chunk_kind kind) {
    size_t at = l->count;
    while (l->rows[--at].kind != kind) continue;
    return at;
}

static void insert(listing *l, size_t at, lrb_row row, size_t times) {
    memmove(l->rows + at + times, l->rows + at, (l->count - at) * sizeof row);
    for (size_t i = 0; i < times; i++) l->rows[at + i] = row;
    l->count += times;
}

static void delete(listing *l, size_t at) {
    memmove(l->rows + at, l->rows + at + 1, (--l->count - at) * sizeof *l->rows);
}

static void exchange(listing *l, size_t a, size_t b) {
    lrb_row row = l->rows[a];
    l->rows[a] = l->rows[b];
    l->rows[b] = row;
}

/* The sum stays right, and each of the two is wrong. */
static void shift(listing *l, lrb_chunk_kind kind) {
    size_t a = first_of(l, kind, 0), b = first_of(l, kind, a + 1);
    l->rows[a].count--;
    l->rows[b].count++;
}

enum { FRAME, CORRECTIONS, TEXT, VECTORS, KINDS };
static const lrb_chunk_kind kinds[KINDS] = {LRB_CHUNK_FRAME, LRB_CHUNK_CORRECTIONS, LRB_CHUNK_TEXT, LRB_CHUNK_VECTORS};

static void no_count(listing *l, lrb_chunk_kind k) { l->rows[first_of(l, k, 0)].count = 0; }
static void one_more(listing *l, lrb_chunk_kind k) { l->rows[last_of(l, k)].count++; }
static void one_less(listing *l, lrb_chunk_kind k) { l->rows[last_of(l, k)].count--; }
static void far_too_many(listing *l, lrb_chunk_kind k) { l->rows[first_of(l, k, 0)].count = UINT32_MAX; }
static void missing(listing *l, lrb_chunk_kind k) { delete(l, last_of(l, k)); }
static void the_first_missing(listing *l, lrb_chunk_kind k) { delete(l, first_of(l, k, 0)); }
static void twice(listing *l, lrb_chunk_kind k) { insert(l, last_of(l, k), l->rows[last_of(l, k)], 1); }
static void too_often(listing *l, lrb_chunk_kind k) {
    lrb_row row = l->rows[last_of(l, k)];
    row.count = 1;
    insert(l, last_of(l, k), row, LRB_VDB_SPAN_MAX_GROUPS);
}
static void called_raw(listing *l, lrb_chunk_kind k) { l->rows[last_of(l, k)].kind = LRB_CHUNK_RAW; }
static void content_of_another_kind(listing *l, lrb_chunk_kind k) {
    l->rows[last_of(l, k)].id = l->rows[first_of(l, k == LRB_CHUNK_TEXT ? LRB_CHUNK_VECTORS : LRB_CHUNK_TEXT, 0)].id;
}
static void nothing_behind(listing *l, lrb_chunk_kind k) { l->count = first_of(l, k, 0) + 1; }

typedef struct flaw {
    const char *name;
    void (*make)(listing *l, lrb_chunk_kind kind);
    bool of[KINDS];
} flaw;

static const flaw FLAWS[] = {
    {"no count", no_count, {[CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"one more", one_more, {[CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"one less", one_less, {[CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"far too many", far_too_many, {[CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"missing", missing, {[CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"the first missing", the_first_missing, {[FRAME] = true, [TEXT] = true, [VECTORS] = true}},
    {"twice", twice, {[FRAME] = true, [CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"too often", too_often, {[CORRECTIONS] = true, [VECTORS] = true}},
    {"called raw", called_raw, {[FRAME] = true, [CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"content of another kind", content_of_another_kind, {[FRAME] = true, [CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"nothing behind", nothing_behind, {[CORRECTIONS] = true, [TEXT] = true, [VECTORS] = true}},
    {"shifted", shift, {[TEXT] = true, [VECTORS] = true}},
};

/* ---- who reads it ---- */

/* Every byte, as whoever judges a snapshot reads them. */
static int look_into(bench *b, const lrb_body_item *item) {
    static uint8_t into[1 << 16];
    lrb_item_bytes *bytes;
    size_t got = 1;
    int code = lrb_item_bytes_open(b->repo, item, b->f.worker.coder, &bytes, &err);
    if (code) return code;
    for (uint64_t at = 0; !code && got; at += got) code = lrb_item_bytes_read(bytes, b->f.worker.coder, at, into, sizeof into, &got, &err);
    lrb_item_bytes_close(bytes);
    return code;
}

/* Stores the listing as a snapshot; whether both readers, and verify, answer as they must. */
static bool all_say(bench *b, const listing *l, int wanted, bool adds_up, const char *name) {
    maker m = maker_open(b);
    lrb_body_item item = l->item;
    item.root = put_recipe(&m, l->rows, l->count);
    commit(&m, &item, 1);
    lrb_writer_free(m.writer);
    bench_renew_staging(b);
    int restored = bench_restore_all(b, &err);
    bool said = restored == wanted && (!wanted || strstr(err.message, "item file of snapshot"));
    if (!said) printf("%s: the restore says %s: %s\n", name, lrb_code_symbol(restored), err.message);
    int looked = look_into(b, &item);
    if (looked != wanted) printf("%s: looking says %s: %s\n", name, lrb_code_symbol(looked), err.message);
    bool verified = verify_complains(b) == !adds_up;
    if (!verified) printf("%s: verify says %s\n", name, adds_up ? "something" : "nothing");
    return said && looked == wanted && verified;
}

static void begin(bench *b, listing *l, size_t records) {
    vector_file *f = file_of(DIM, records);
    bench_open(b);
    put_file(b, "file", f->bytes.data, f->bytes.length);
    bench_backup(b);
    *l = list_item(b);
}

TEST(a_list_as_it_was_comes_back) {
    bench b;
    static listing l;
    begin(&b, &l, RECORDS);
    CHECK(l.rows[0].kind == LRB_CHUNK_FRAME && l.rows[1].kind == LRB_CHUNK_CORRECTIONS);
    CHECK(all_say(&b, &l, LRB_OK, true, "as it was"));
    bench_close(&b);
}

TEST(whatever_is_wrong_in_a_list_is_damage) {
    bench b;
    static listing right, wrong;
    char name[64];
    begin(&b, &right, RECORDS);
    for (size_t i = 0; i < sizeof FLAWS / sizeof *FLAWS; i++)
        for (int k = 0; k < KINDS; k++) {
            if (!FLAWS[i].of[k]) continue;
            wrong = right;
            FLAWS[i].make(&wrong, kinds[k]);
            snprintf(name, sizeof name, "%s, %s", lrb_chunk_kind_name(kinds[k]), FLAWS[i].name);
            CHECK(all_say(&b, &wrong, LRB_E_DAMAGED, FLAWS[i].make == shift, name));
        }
    bench_close(&b);
}

TEST(rows_in_another_order_are_damage) {
    bench b;
    static listing right, wrong;
    begin(&b, &right, RECORDS);
    for (int a = FRAME; a < KINDS; a++)
        for (int k = a + 1; k < KINDS; k++) {
            wrong = right;
            exchange(&wrong, first_of(&wrong, kinds[a], 0), first_of(&wrong, kinds[k], 0));
            CHECK(all_say(&b, &wrong, LRB_E_DAMAGED, false, "exchanged"));
        }
    bench_close(&b);
}

TEST(a_size_that_is_not_that_of_its_list_is_damage) {
    bench b;
    static listing right, wrong;
    begin(&b, &right, RECORDS);
    const uint64_t sizes[] = {1, right.item.size_bytes / 2, right.item.size_bytes - 1, right.item.size_bytes + 1, 2 * right.item.size_bytes};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        wrong = right;
        wrong.item.size_bytes = sizes[i];
        CHECK(all_say(&b, &wrong, LRB_E_DAMAGED, false, "another size"));
    }
    bench_close(&b);
}

TEST(every_failing_allocation_is_survived_by_both) {
    bench b;
    static listing l;
    begin(&b, &l, FEW_RECORDS);
    for (int reader = 0; reader < 2; reader++) {
        int64_t countdown = 0;
        for (int code = LRB_E_NOMEM; code; countdown++) {
            if (!reader) bench_renew_staging(&b);
            lrb_mem_fail_after(countdown, false);
            code = reader ? look_into(&b, &l.item) : bench_restore_all(&b, &err);
            lrb_mem_fail_after(-1, false);
            if (code) CHECK_FAILS(code, LRB_E_NOMEM);
        }
        CHECK(countdown > 20);
    }
    CHECK(same_trees(b.f.source, b.staging));
    bench_close(&b);
}

int main(void) {
    RUN(a_list_as_it_was_comes_back);
    RUN(whatever_is_wrong_in_a_list_is_damage);
    RUN(rows_in_another_order_are_damage);
    RUN(a_size_that_is_not_that_of_its_list_is_damage);
    RUN(every_failing_allocation_is_survived_by_both);
    return check_report();
}
