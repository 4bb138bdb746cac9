/* The state against a trivial model over random logs, read entry by entry, in batches and from checkpoints; and every
 * entry kind with every allocation failing. */
#include "check.h"
#include "logbook.h"

static lrb_err err;

enum { SNAPSHOTS = 60, PACKS = 40, HOLDERS = 3 };
static const char *const holder_names[HOLDERS] = {"user", "recovery:1", "recovery:2"};

typedef struct model {
    bool alive[SNAPSHOTS];
    unsigned holders[SNAPSHOTS]; /* bits */
    lrb_pack_status status[PACKS];
    bool sized[PACKS];
    uint64_t since[PACKS];
    uint64_t order[SNAPSHOTS];   /* every snapshot ever taken, in log order; ids are not used again */
    size_t taken;
} model;

typedef struct step {
    lrb_entry_kind kind;
    uint64_t snapshot, pack, other_pack;
    unsigned holder;
} step;

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static step draw(const model *m, uint64_t *seed) {
    step s = {.kind = (lrb_entry_kind)(1 + next_random(seed) % 10), .snapshot = next_random(seed) % SNAPSHOTS,
              .pack = next_random(seed) % PACKS, .other_pack = next_random(seed) % PACKS,
              .holder = (unsigned)(next_random(seed) % HOLDERS)};
    if (s.kind == LRB_ENTRY_SNAPSHOT) {
        if (m->taken == SNAPSHOTS) s.kind = LRB_ENTRY_RETIRE;
        s.snapshot = m->taken;
    }
    return s;
}

static void model_status(model *m, uint64_t pack, lrb_pack_status status, uint64_t number) {
    if (m->status[pack] == status) return;
    m->status[pack] = status;
    m->since[pack] = number;
}

static void model_write(model *m, uint64_t pack, uint64_t number) {
    m->sized[pack] = true;
    if (!m->status[pack]) model_status(m, pack, LRB_PACK_KNOWN, number);
}

static void model_retire(model *m, uint64_t pack, uint64_t number) {
    if (m->status[pack] == 0 || m->status[pack] == LRB_PACK_KNOWN) model_status(m, pack, LRB_PACK_RETIRED, number);
}

static void model_apply(model *m, const step *s, uint64_t number) {
    switch (s->kind) {
    case LRB_ENTRY_SNAPSHOT:
        m->alive[s->snapshot] = true;
        m->order[m->taken++] = s->snapshot;
        model_write(m, s->pack, number);
        break;
    case LRB_ENTRY_HOLD: if (m->alive[s->snapshot]) m->holders[s->snapshot] |= 1u << s->holder; break;
    case LRB_ENTRY_RELEASE: m->holders[s->snapshot] &= ~(1u << s->holder); break;
    case LRB_ENTRY_DROP: if (!m->holders[s->snapshot]) m->alive[s->snapshot] = false; break;
    case LRB_ENTRY_RETIRE: model_retire(m, s->pack, number); break;
    case LRB_ENTRY_UNRETIRE:
        if (m->status[s->pack] == LRB_PACK_RETIRED && m->sized[s->pack])
            model_status(m, s->pack, LRB_PACK_KNOWN, number);
        break;
    case LRB_ENTRY_SWEEP:
        if (m->status[s->pack] == LRB_PACK_RETIRED || m->status[s->pack] == LRB_PACK_DAMAGED)
            model_status(m, s->pack, LRB_PACK_SWEPT, number);
        break;
    case LRB_ENTRY_REPACK:
        model_retire(m, s->pack, number);
        model_write(m, s->other_pack, number);
        break;
    case LRB_ENTRY_DAMAGED:
        if (m->status[s->pack] != LRB_PACK_SWEPT) model_status(m, s->pack, LRB_PACK_DAMAGED, number);
        break;
    case LRB_ENTRY_CHECKPOINT:
    case LRB_ENTRY_RECORD: break; /* no steps */
    }
}

static int checkpoint(lrb_state *state) {
    lrb_buf payload;
    lrb_buf_init(&payload, LRB_ENTRY_MAX_BYTES);
    int code = lrb_state_checkpoint(state, &payload, &err);
    lrb_entry entry = logbook_next(state, LRB_ENTRY_CHECKPOINT, &payload);
    if (!code) code = logbook_apply(state, &entry, &err);
    lrb_buf_clear(&payload);
    return code;
}

static int apply_step(lrb_state *state, const step *s) {
    lrb_pack_ref pack = logbook_pack(s->pack), other = logbook_pack(s->other_pack);
    switch (s->kind) {
    case LRB_ENTRY_SNAPSHOT: return logbook_take(state, s->snapshot, &pack, 1, &err);
    case LRB_ENTRY_HOLD:
    case LRB_ENTRY_RELEASE: return logbook_hold(state, s->kind, s->snapshot, holder_names[s->holder], &err);
    case LRB_ENTRY_DROP: return logbook_drop(state, &s->snapshot, 1, &err);
    case LRB_ENTRY_REPACK: return logbook_packs(state, s->kind, &s->pack, 1, &other, 1, &err);
    case LRB_ENTRY_CHECKPOINT: return checkpoint(state);
    default: return logbook_packs(state, s->kind, &s->pack, 1, NULL, 0, &err);
    }
}

static bool agrees_on_snapshots(const lrb_state *state, const model *m) {
    size_t place = 0;
    for (size_t i = 0; i < m->taken; i++) {
        char id[LRB_SNAPSHOT_ID_MAX];
        uint64_t snapshot = m->order[i];
        logbook_name(snapshot, id);
        const lrb_snapshot *found = lrb_state_find(state, id);
        if (!m->alive[snapshot] && found) return false;
        if (!m->alive[snapshot]) continue;
        if (place >= state->snapshot_count || found != &state->snapshots[place++]) return false;
        if (found->holder_count != (uint32_t)__builtin_popcount(m->holders[snapshot])) return false;
    }
    return place == state->snapshot_count;
}

static bool agrees_on_packs(const lrb_state *state, const model *m) {
    uint32_t named = 0;
    for (uint64_t i = 0; i < PACKS; i++) {
        lrb_pack_ref ref = logbook_pack(i);
        uint32_t position = lrb_state_find_pack(state, &ref.id);
        if ((position == LRB_NO_PACK) != (m->status[i] == 0)) return false;
        if (position == LRB_NO_PACK) continue;
        const lrb_state_pack *pack = &state->packs[position];
        named++;
        if (pack->status != m->status[i] || pack->since_entry != m->since[i]) return false;
        if (pack->size_bytes != (m->sized[i] ? ref.size_bytes : 0)) return false;
    }
    return named == state->pack_count;
}

/* The same state again, from nothing but a checkpoint. */
static int reopen(const lrb_state *state, lrb_state *out) {
    lrb_buf payload;
    lrb_buf_init(&payload, LRB_ENTRY_MAX_BYTES);
    int code = lrb_state_checkpoint(state, &payload, &err);
    lrb_entry entry = logbook_next(state, LRB_ENTRY_CHECKPOINT, &payload);
    lrb_state_init(out);
    if (!code) code = logbook_apply(out, &entry, &err);
    lrb_buf_clear(&payload);
    return code;
}

/* One random log, read three ways: entry by entry, in batches, and from the last checkpoint in it. */
static void run_random_log(uint64_t seed) {
    lrb_state state, batched, reopened;
    model m = {0};
    lrb_state_init(&state);
    lrb_state_init(&batched);
    CHECK_OK(logbook_begin(&state, &err));
    CHECK_OK(logbook_begin(&batched, &err));
    lrb_state_init(&reopened);
    for (int i = 0; i < 400; i++) {
        step s = draw(&m, &seed);
        if (s.kind == LRB_ENTRY_CHECKPOINT) {
            lrb_state_clear(&reopened);
            CHECK_OK(reopen(&state, &reopened));
            CHECK_OK(apply_step(&state, &s));
            lrb_state_end_batch(&batched);
        } else {
            model_apply(&m, &s, state.last_number + 1);
            CHECK_OK(apply_step(&state, &s));
            if (!reopened.empty) CHECK_OK(apply_step(&reopened, &s));
        }
        CHECK_OK(apply_step(&batched, &s));
        if (s.kind == LRB_ENTRY_CHECKPOINT) lrb_state_begin_batch(&batched);
        CHECK(agrees_on_snapshots(&state, &m) && agrees_on_packs(&state, &m));
    }
    lrb_state_end_batch(&batched);
    CHECK(logbook_same(&state, &batched));
    CHECK(reopened.empty || logbook_same(&state, &reopened));
    lrb_state_clear(&state);
    lrb_state_clear(&batched);
    lrb_state_clear(&reopened);
}

TEST(random_logs_agree_with_the_model) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        int before = check_failures;
        run_random_log(seed * UINT64_C(0x9e3779b97f4a7c15));
        if (check_failures != before) printf("seed %d\n", (int)seed);
        CHECK(check_failures == before);
    }
}

/* ---- failures ---- */

/* Entry 0, and entry 1: snapshot 1 with packs 1 and 2. */
static int open_log(lrb_state *state) {
    const lrb_pack_ref packs[] = {logbook_pack(1), logbook_pack(2)};
    lrb_state_init(state);
    int code = logbook_begin(state, &err);
    return code ? code : logbook_take(state, 1, packs, 2, &err);
}

/* Applies an entry of `kind` with the n-th allocation failing, until it goes through; until then nothing changes. */
static bool survives(lrb_entry_kind kind) {
    const step s = {.kind = kind, .snapshot = kind == LRB_ENTRY_SNAPSHOT ? 2 : 1, .pack = 9, .other_pack = 10};
    int code = LRB_E_NOMEM;
    for (int64_t n = 0; code == LRB_E_NOMEM; n++) {
        lrb_state state, twin;
        if (open_log(&state) || open_log(&twin)) return false;
        lrb_mem_fail_after(n, false);
        code = apply_step(&state, &s);
        lrb_mem_fail_after(-1, false);
        if (code && !logbook_same(&state, &twin)) return false;
        lrb_state_clear(&state);
        lrb_state_clear(&twin);
    }
    return code == LRB_OK;
}

TEST(every_failing_allocation_leaves_the_state_as_before) {
    for (int kind = LRB_ENTRY_SNAPSHOT; kind <= LRB_ENTRY_CHECKPOINT; kind++) CHECK(survives((lrb_entry_kind)kind));
}

int main(void) {
    RUN(random_logs_agree_with_the_model);
    RUN(every_failing_allocation_leaves_the_state_as_before);
    return check_report();
}
