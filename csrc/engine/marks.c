#include "engine/marks.h"

#include <string.h>

#include "base/mem.h"

void lrb_marks_init(lrb_marks *marks) {
    *marks = (lrb_marks){0};
}

void lrb_marks_clear(lrb_marks *marks) {
    for (uint32_t i = 0; i < marks->pack_count; i++) lrb_free(marks->packs[i].words);
    lrb_free(marks->packs);
    lrb_marks_init(marks);
}

static uint32_t max_u32(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static int grow_packs(lrb_marks *marks, uint32_t pack, lrb_err *err) {
    if (pack < marks->pack_count) return LRB_OK;
    uint32_t wanted = max_u32(pack, marks->pack_count + marks->pack_count / 2);
    lrb_marks_pack *packs = lrb_resize_array(marks->packs, (size_t)wanted + 1, sizeof *packs);
    if (!packs) return lrb_err_nomem(err, "mark a chunk");
    memset(packs + marks->pack_count, 0, ((size_t)wanted + 1 - marks->pack_count) * sizeof *packs);
    marks->packs = packs;
    marks->pack_count = wanted + 1;
    return LRB_OK;
}

static int grow_words(lrb_marks_pack *pack, uint32_t word, lrb_err *err) {
    if (word < pack->word_count) return LRB_OK;
    uint32_t wanted = max_u32(word + 1, pack->word_count * 2);
    uint64_t *words = lrb_resize_array(pack->words, wanted, sizeof *words);
    if (!words) return lrb_err_nomem(err, "mark a chunk");
    memset(words + pack->word_count, 0, (wanted - pack->word_count) * sizeof *words);
    pack->words = words;
    pack->word_count = wanted;
    return LRB_OK;
}

static int refuse(lrb_place place, lrb_err *err) {
    return lrb_err_set(err, LRB_E_INVALID, "mark a chunk", "packs", "there is no chunk %u in a pack %u", place.ordinal,
                       place.pack);
}

int lrb_marks_add(lrb_marks *marks, lrb_place place, lrb_err *err) {
    if (place.ordinal >= LRB_PACK_MAX_CHUNKS || place.pack == LRB_NO_PACK) return refuse(place, err);
    int code = grow_packs(marks, place.pack, err);
    if (code) return code;
    lrb_marks_pack *pack = &marks->packs[place.pack];
    if ((code = grow_words(pack, place.ordinal / 64, err))) return code;
    pack->words[place.ordinal / 64] |= UINT64_C(1) << place.ordinal % 64;
    return LRB_OK;
}

int lrb_marks_add_pack(lrb_marks *marks, uint32_t pack, lrb_err *err) {
    if (pack == LRB_NO_PACK) return refuse((lrb_place){pack, 0}, err);
    int code = grow_packs(marks, pack, err);
    if (!code) marks->packs[pack].all = true;
    return code;
}

bool lrb_marks_has(const lrb_marks *marks, lrb_place place) {
    if (place.pack >= marks->pack_count) return false;
    const lrb_marks_pack *pack = &marks->packs[place.pack];
    if (pack->all) return true;
    return place.ordinal / 64 < pack->word_count && (pack->words[place.ordinal / 64] >> place.ordinal % 64 & 1);
}

bool lrb_marks_has_pack(const lrb_marks *marks, uint32_t pack) {
    return pack < marks->pack_count && marks->packs[pack].all;
}

bool lrb_marks_touch(const lrb_marks *marks, uint32_t pack) {
    return pack < marks->pack_count && (marks->packs[pack].words || marks->packs[pack].all);
}
