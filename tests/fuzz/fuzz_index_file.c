/* cache/index: a file nobody vouches for is loaded wholly or ignored, never makes a pack known, and what was loaded is
 * saved and loaded alike. */
#include "c/logbook.h"
#include "fuzz.h"
#include "repo/index_file.h"

enum { PACKS = 5, AT_REPOSITORY = 16, AT_NUMBER = 32, AT_DIGEST = 40, AT_PACKS = 72, AT_SLOTS = 80, HEADER_BYTES = 88,
       SLOT_BYTES = 16 };

static lrb_state state;
static int dir = -1;

/* A log that names PACKS packs, one of them swept. */
static void make_state(void) {
    lrb_pack_ref packs[PACKS];
    lrb_err err;
    const uint64_t swept = PACKS - 1;
    for (uint64_t i = 0; i < PACKS; i++) packs[i] = logbook_pack(i);
    lrb_state_init(&state);
    MUST_OK(logbook_begin(&state, &err));
    MUST_OK(logbook_take(&state, 1, packs, PACKS, &err));
    MUST_OK(logbook_packs(&state, LRB_ENTRY_RETIRE, &swept, 1, NULL, 0, &err));
    MUST_OK(logbook_packs(&state, LRB_ENTRY_SWEEP, &swept, 1, NULL, 0, &err));
}

/* Makes the header fit the log and the length, and the digest right. The pack count is the input's. */
static void fix(uint8_t *bytes, size_t size) {
    if (size < HEADER_BYTES + LRB_DIGEST_BYTES) return;
    uint64_t body = size - HEADER_BYTES - LRB_DIGEST_BYTES;
    uint64_t ids = (uint64_t)lrb_get_u32(bytes + AT_PACKS) * LRB_DIGEST_BYTES;
    memcpy(bytes + AT_REPOSITORY, state.repository_id, LRB_REPO_ID_BYTES);
    if (lrb_get_u64(bytes + AT_NUMBER) == state.last_number)
        memcpy(bytes + AT_DIGEST, state.last_digest.bytes, LRB_DIGEST_BYTES);
    if (ids <= body) lrb_put_u64(bytes + AT_SLOTS, (body - ids) / SLOT_BYTES);
    fuzz_seal(bytes, size);
}

static bool load(lrb_index *index, bool covered[PACKS]) {
    bool loaded;
    lrb_err err;
    memset(covered, 0, PACKS * sizeof *covered);
    lrb_index_init(index);
    MUST_OK(lrb_index_load(index, &state, covered, dir, &loaded, &err));
    return loaded;
}

static void check_slots(const lrb_index *index, const bool covered[PACKS], size_t size) {
    MUST(index->used <= size / SLOT_BYTES && !covered[PACKS - 1]);
    for (uint64_t i = 0; i < index->capacity; i++)
        MUST(index->slots[i].pack == UINT32_MAX || (index->slots[i].pack < PACKS - 1 && covered[index->slots[i].pack]));
}

static bool has_slot(const lrb_index *index, const lrb_slot *slot) {
    lrb_id id = {{0}};
    uint64_t cursor = UINT64_MAX;
    uint32_t pack, ordinal;
    lrb_put_u64(id.bytes, slot->prefix);
    while (lrb_index_next(index, &id, &cursor, &pack, &ordinal))
        if (pack == slot->pack && ordinal == slot->ordinal) return true;
    return false;
}

static void save_and_load(const lrb_index *index, const bool covered[PACKS]) {
    lrb_index again;
    bool covered_again[PACKS];
    lrb_err err;
    MUST_OK(lrb_index_save(index, &state, covered, dir, &err));
    MUST(load(&again, covered_again) && again.used == index->used);
    for (uint64_t i = 0; i < index->capacity; i++)
        MUST(index->slots[i].pack == UINT32_MAX || has_slot(&again, &index->slots[i]));
    lrb_index_clear(&again);
}

/* input: cache/index; header and digest are put right */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_index index;
    lrb_err err;
    bool covered[PACKS];
    if (dir < 0) {
        make_state();
        MUST_OK(lrb_fs_open_dir(AT_FDCWD, fuzz_directory(), &dir, &err));
    }
    uint8_t *bytes = fuzz_copy(data, size);
    fix(bytes, size);
    fuzz_write_file(dir, "index", bytes, size);
    lrb_free(bytes);
    if (load(&index, covered)) {
        check_slots(&index, covered, size);
        save_and_load(&index, covered);
    } else {
        MUST(!index.used);
        for (int i = 0; i < PACKS; i++) MUST(!covered[i]);
    }
    lrb_index_clear(&index);
    return 0;
}
