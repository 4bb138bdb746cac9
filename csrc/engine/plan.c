#include "engine/plan.h"

#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

/* ---- gathering ---- */

typedef struct listing {
    lrb_plan_pack *files;
    size_t count, room;
    int packs_dir;
} listing;

static int add_file(void *arg, const char *name, lrb_err *err) {
    listing *list = arg;
    lrb_plan_pack file = {.position = LRB_NO_PACK, .on_disk = true};
    lrb_identity identity;
    if (lrb_unhex(name, file.known.id.bytes, LRB_DIGEST_BYTES)) return LRB_OK; /* no pack: not prune's to judge */
    int code = lrb_fs_identify_at(list->packs_dir, name, &identity, err);
    if (code == LRB_E_NOT_FOUND) {
        lrb_err_clear(err); /* another process unlinked it just now */
        return LRB_OK;
    }
    if (code) return code;
    file.file_bytes = identity.size_bytes;
    file.mtime_ns = identity.mtime_ns;
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        lrb_plan_pack *files = lrb_resize_array(list->files, room, sizeof *files);
        if (!files) return lrb_err_nomem(err, "list the packs");
        list->files = files;
        list->room = room;
    }
    list->files[list->count++] = file;
    return LRB_OK;
}

/* Room for every pack of the state and every file. */
static int copy_state(lrb_plan *plan, const lrb_state *state, size_t files, lrb_err *err) {
    plan->packs = lrb_alloc_zero(state->pack_count + files, sizeof *plan->packs);
    if (!plan->packs) return lrb_err_nomem(err, "list the packs");
    plan->at = state->last_number;
    plan->count = state->pack_count;
    for (uint32_t i = 0; i < state->pack_count; i++)
        plan->packs[i] = (lrb_plan_pack){.known = state->packs[i], .position = i};
    return LRB_OK;
}

static void place_file(lrb_plan *plan, const lrb_state *state, const lrb_plan_pack *file) {
    uint32_t position = lrb_state_find_pack(state, &file->known.id);
    lrb_plan_pack *pack = position == LRB_NO_PACK ? &plan->packs[plan->count++] : &plan->packs[position];
    if (position == LRB_NO_PACK) *pack = *file;
    pack->on_disk = true;
    pack->file_bytes = file->file_bytes;
    pack->mtime_ns = file->mtime_ns;
    if (pack->known.status != LRB_PACK_SWEPT) plan->bytes_total += file->file_bytes;
}

static bool any_known(const lrb_plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        if (plan->packs[i].known.status == LRB_PACK_KNOWN) return true;
    return false;
}

int lrb_plan_begin(lrb_plan *plan, lrb_repo *repo, lrb_err *err) {
    *plan = (lrb_plan){0};
    listing list = {.packs_dir = lrb_repo_packs_dir(repo)};
    int code = lrb_fs_list(list.packs_dir, add_file, &list, "packs", err);
    if (!code) {
        const lrb_state *state = lrb_repo_begin_read(repo);
        code = copy_state(plan, state, list.count, err);
        for (size_t i = 0; !code && i < list.count; i++) place_file(plan, state, &list.files[i]);
        lrb_repo_end_read(repo);
    }
    if (!code && !list.count && any_known(plan))
        code = lrb_err_set(err, LRB_E_DAMAGED, "prune", "packs",
                           "nothing was pruned, because packs/ lists nothing although the log knows packs; check that "
                           "the storage is mounted whole");
    lrb_free(list.files);
    if (code) lrb_plan_clear(plan);
    return code;
}

void lrb_plan_clear(lrb_plan *plan) {
    lrb_free(plan->packs);
    *plan = (lrb_plan){0};
}

static void weigh_rows(lrb_plan_pack *pack, const lrb_pack *opened, lrb_reach *reach) {
    const lrb_marks *live = lrb_reach_live(reach);
    bool lost = lrb_reach_lost_count(reach) > 0;
    for (uint32_t i = 0; i < opened->count; i++) {
        pack->chunk_bytes += opened->rows[i].stored_length;
        if (lrb_marks_has(live, (lrb_place){pack->position, i})) pack->live_bytes += opened->rows[i].stored_length;
        if (lost && lrb_reach_lacks(reach, &opened->rows[i].id)) pack->doubtful = true;
    }
}

int lrb_plan_weigh(lrb_plan *plan, size_t index, lrb_repo *repo, lrb_reach *reach, lrb_err *err) {
    lrb_plan_pack *pack = &plan->packs[index];
    bool lost = lrb_reach_lost_count(reach) > 0;
    if (pack->position == LRB_NO_PACK || pack->known.status == LRB_PACK_SWEPT) return LRB_OK;
    if (!lost && !lrb_marks_touch(lrb_reach_live(reach), pack->position)) return LRB_OK;
    lrb_pack *opened;
    int code = lrb_repo_pack_acquire(repo, pack->position, &opened, err);
    if (code == LRB_E_NOMEM) return code;
    if (code) {
        lrb_err_clear(err);
        pack->doubtful = true; /* nobody can tell what is in it */
        return LRB_OK;
    }
    weigh_rows(pack, opened, reach);
    lrb_repo_pack_release(repo, opened);
    plan->bytes_live += pack->live_bytes;
    return LRB_OK;
}

/* ---- deciding ---- */

/* A time in the future, from a clock that was set back since, counts as no time at all. */
static bool waited(const lrb_plan_rules *rules, int64_t since_ns) {
    if (rules->wait_ns == 0) return true;
    return since_ns <= rules->now_ns && (uint64_t)rules->now_ns - (uint64_t)since_ns >= (uint64_t)rules->wait_ns;
}

static lrb_fate decide(const lrb_plan_pack *pack, const lrb_plan_rules *rules) {
    bool needed = pack->live_bytes > 0;
    if (pack->doubtful) return LRB_FATE_KEEP;
    if (pack->position == LRB_NO_PACK) /* a backup under way has its packs here before its entry names them */
        return waited(rules, pack->mtime_ns) ? LRB_FATE_RETIRE : LRB_FATE_KEEP;
    switch (pack->known.status) {
    case LRB_PACK_KNOWN:
        if (!needed) return LRB_FATE_RETIRE;
        /* Against the chunks, not the file: a small pack is mostly framing, and its copy would be so again. */
        return rules->repack && pack->live_bytes < pack->chunk_bytes / 2 ? LRB_FATE_REPACK : LRB_FATE_KEEP;
    case LRB_PACK_RETIRED:
        if (needed) return pack->known.size_bytes ? LRB_FATE_UNRETIRE : LRB_FATE_KEEP;
        return waited(rules, pack->known.since_ns) ? LRB_FATE_SWEEP : LRB_FATE_KEEP;
    case LRB_PACK_DAMAGED:
        return !needed && waited(rules, pack->known.since_ns) ? LRB_FATE_SWEEP : LRB_FATE_KEEP;
    case LRB_PACK_SWEPT:
        return pack->on_disk ? LRB_FATE_UNLINK : LRB_FATE_KEEP;
    }
    return LRB_FATE_KEEP;
}

/* What a pack that stays would go on holding for nothing. */
static uint64_t dead_bytes(const lrb_plan_pack *pack) {
    bool stays = pack->known.status == LRB_PACK_KNOWN && pack->live_bytes && pack->fate == LRB_FATE_KEEP && !pack->doubtful;
    return stays ? pack->chunk_bytes - pack->live_bytes : 0;
}

static unsigned dead_percent(const lrb_plan_pack *pack) {
    return pack->chunk_bytes ? (unsigned)(dead_bytes(pack) * 100 / pack->chunk_bytes) : 0;
}

/* Each pack may be nearly half dead, all together may not: those with the largest dead share are copied, by whole
 * percents, until what stays dead is little beside what lives. */
static void bound_dead(lrb_plan *plan) {
    uint64_t dead_by_percent[101] = {0}, live = 0, dead = 0;
    for (size_t i = 0; i < plan->count; i++) {
        live += plan->packs[i].live_bytes;
        dead += dead_bytes(&plan->packs[i]);
        dead_by_percent[dead_percent(&plan->packs[i])] += dead_bytes(&plan->packs[i]);
    }
    unsigned least = 101; /* packs of this share and more go */
    while (least > 0 && dead > live / 100 * LRB_PLAN_MAX_DEAD_PERCENT) dead -= dead_by_percent[--least];
    for (size_t i = 0; i < plan->count; i++)
        if (dead_bytes(&plan->packs[i]) && dead_percent(&plan->packs[i]) >= least) plan->packs[i].fate = LRB_FATE_REPACK;
}

static bool is_small(const lrb_plan_pack *pack) {
    return pack->known.status == LRB_PACK_KNOWN && pack->live_bytes && pack->fate == LRB_FATE_KEEP && !pack->doubtful &&
           pack->chunk_bytes < LRB_PLAN_SMALL_BYTES;
}

/* Small changes, hour after hour, leave a small pack each: they are joined once there are enough of them, some hundreds into one
 * (repack.c), so that the next prunes soon find nothing to join. */
static void join_small(lrb_plan *plan) {
    size_t small = 0;
    for (size_t i = 0; i < plan->count; i++) small += is_small(&plan->packs[i]);
    if (small < LRB_PLAN_SMALL_PACKS) return;
    for (size_t i = 0; i < plan->count; i++)
        if (is_small(&plan->packs[i])) plan->packs[i].fate = LRB_FATE_REPACK;
}

void lrb_plan_decide(lrb_plan *plan, const lrb_plan_rules *rules) {
    for (size_t i = 0; i < plan->count; i++) plan->packs[i].fate = decide(&plan->packs[i], rules);
    if (!rules->repack) return;
    bound_dead(plan);
    join_small(plan);
}
