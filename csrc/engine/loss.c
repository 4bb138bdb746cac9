#include "engine/loss.h"

#include <stdio.h>

#include "base/path.h"

static bool name_pack(const lrb_loss *loss, uint32_t pack, char hex[2 * LRB_DIGEST_BYTES + 1]) {
    const lrb_state *state = lrb_repo_begin_read(loss->repo);
    bool known = pack < state->pack_count;
    if (known) lrb_hex(state->packs[pack].id.bytes, LRB_DIGEST_BYTES, hex);
    lrb_repo_end_read(loss->repo);
    return known;
}

/* The only pack of which nothing can be read; LRB_NO_PACK when there is none or more than one. */
static uint32_t only_unreadable(const lrb_marks *bad) {
    uint32_t found = LRB_NO_PACK;
    for (uint32_t i = 0; i < bad->pack_count; i++) {
        if (!lrb_marks_has_pack(bad, i)) continue;
        if (found != LRB_NO_PACK) return LRB_NO_PACK;
        found = i;
    }
    return found;
}

static const char *state_of(const lrb_loss *loss, uint32_t pack) {
    if (lrb_marks_has_pack(loss->newer, pack)) return "for a newer version of this program";
    return lrb_marks_has_pack(loss->bad, pack) ? "missing or unreadable" : "damaged";
}

int lrb_loss_any(const lrb_loss *loss, lrb_worker *worker, const lrb_target *target, bool *any, lrb_err *err) {
    lrb_tally tally;
    int code = lrb_reach_is_lost(loss->reach, &target->body_root, any, err);
    if (code || *any) return code;
    code = lrb_reach_tally(loss->reach, worker->coder, &target->body_root, &tally, err);
    *any = !code && !lrb_tally_makes_body(&tally, target->items, target->size_bytes);
    return code;
}

/* A trailer that cannot be read does not say what it held; when only one pack is in that state it must be that one. */
static void describe(const lrb_loss *loss, const lrb_blame *blame, char *out, size_t room) {
    char chunk[2 * LRB_DIGEST_BYTES + 1], hex[2 * LRB_DIGEST_BYTES + 1];
    const char *kind = lrb_chunk_kind_name(blame->kind);
    lrb_hex(blame->chunk.bytes, LRB_DIGEST_BYTES, chunk);
    uint32_t pack = blame->placed ? blame->pack : only_unreadable(loss->bad);
    if (pack == LRB_NO_PACK || !name_pack(loss, pack, hex))
        snprintf(out, room, "cannot be restored: no pack that can be read holds %s chunk %.12s", kind, chunk);
    else
        snprintf(out, room, "cannot be restored: packs/%s is %s, and %s chunk %.12s has no other good copy", hex,
                 state_of(loss, pack), kind, chunk);
}

/* What is wrong with an item, in `message`; *wrong false: nothing. */
static int judge_item(const lrb_loss *loss, lrb_worker *worker, const lrb_body_item *item, bool *wrong, char *message, size_t room, lrb_err *err) {
    lrb_blame blame;
    lrb_tally tally;
    char why[200];
    int code = lrb_reach_is_lost(loss->reach, &item->root, wrong, err);
    if (!code && *wrong) {
        if (lrb_findings_full(loss->findings)) return LRB_OK; /* only counted */
        code = lrb_reach_blame(loss->reach, worker->coder, &item->root, &blame, err);
        if (!code) describe(loss, &blame, message, room);
        return code;
    }
    if (code || item->root.kind == LRB_CHUNK_NONE) return code;
    code = lrb_reach_tally(loss->reach, worker->coder, &item->root, &tally, err);
    *wrong = !code && !lrb_tally_makes_file(&tally, item->size_bytes);
    if (!*wrong) return code;
    lrb_tally_why_no_file(&tally, item->size_bytes, why, sizeof why);
    snprintf(message, room, "cannot be restored: %s", why);
    return LRB_OK;
}

static int report_item(const lrb_loss *loss, lrb_worker *worker, const lrb_target *target, const lrb_body_item *item,
                       lrb_err *err) {
    lrb_finding finding = {"", ""};
    bool wrong;
    int code = judge_item(loss, worker, item, &wrong, finding.message, sizeof finding.message, err);
    if (code || !wrong) return code;
    char name[80];
    lrb_name_printable(name, sizeof name, item->name, item->name_length);
    snprintf(finding.object, sizeof finding.object, "snapshot %s item %s", target->id, name);
    return lrb_findings_add(loss->findings, finding.object, finding.message, err);
}

/* Reads the body up to its end, or to where it cannot be read any more: then *unreadable says why. */
static int report_items(const lrb_loss *loss, lrb_worker *worker, const lrb_target *target, lrb_body_reader *reader,
                        lrb_err *unreadable, lrb_err *err) {
    lrb_body_record record;
    for (bool done = false; !done;) {
        int code = lrb_body_reader_next(reader, &record, &done, err);
        if (code == LRB_E_NOMEM) return code;
        if (code) {
            *unreadable = *err;
            lrb_err_clear(err);
            return LRB_OK;
        }
        if (!done && record.type == LRB_BODY_ITEM) code = report_item(loss, worker, target, &record.item, err);
        if (!code) code = lrb_job_check(loss->job, err);
        if (code) return code;
    }
    return LRB_OK;
}

static int report_body(const lrb_loss *loss, const lrb_target *target, const char *message, lrb_err *err) {
    char object[160];
    snprintf(object, sizeof object, "snapshot %s", target->id);
    return lrb_findings_add(loss->findings, object, message, err);
}

/* The list itself is lost although it can still be read, from a file that is held open but has no name any more; or it is all
 * there, and says something else than the log. */
static int blame_body(const lrb_loss *loss, lrb_worker *worker, const lrb_target *target, lrb_err *err) {
    char message[320], why[200];
    lrb_blame blame;
    lrb_tally tally;
    bool lost;
    int code = lrb_reach_is_lost(loss->reach, &target->body_root, &lost, err);
    if (!code && lost) code = lrb_reach_blame(loss->reach, worker->coder, &target->body_root, &blame, err);
    else if (!code) code = lrb_reach_tally(loss->reach, worker->coder, &target->body_root, &tally, err);
    if (code) return code;
    if (lost) describe(loss, &blame, message, sizeof message);
    else lrb_tally_why_no_body(&tally, target->items, target->size_bytes, why, sizeof why);
    if (!lost) snprintf(message, sizeof message, "cannot be trusted: %s", why);
    return report_body(loss, target, message, err);
}

int lrb_loss_report(const lrb_loss *loss, lrb_worker *worker, const lrb_target *target, lrb_err *err) {
    lrb_repo_reader source = {loss->repo, worker->coder};
    lrb_body_reader *reader = NULL;
    lrb_err unreadable = {0};
    uint64_t before = loss->findings->total;
    int code = lrb_body_reader_new(&target->body_root, lrb_repo_fetch, &source, &reader, err);
    if (!code) code = report_items(loss, worker, target, reader, &unreadable, err);
    if (!code && unreadable.code) {
        char message[320];
        snprintf(message, sizeof message, "cannot be restored: its list of items is broken: %.180s (%.80s)",
                 unreadable.message, unreadable.target);
        code = report_body(loss, target, message, err);
    }
    if (!code && loss->findings->total == before) code = blame_body(loss, worker, target, err);
    if (reader) lrb_body_reader_free(reader);
    return code;
}
