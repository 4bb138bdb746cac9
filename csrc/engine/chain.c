#include "engine/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "repo/log.h"

enum { NAME_DIGITS = 20, STEP_BYTES = 1 << 20, ENTRY_COST_BYTES = 8 << 10 /* opening one, in bytes read */ };

struct lrb_chain {
    lrb_repo *repo;
    lrb_chain_report report;
    void *arg;
    lrb_log_numbers numbers; /* those present */
    size_t next;
    uint64_t floor, last_number; /* of the state: entries from floor to last_number must be there */
    lrb_id last_digest;
    uint64_t expected;           /* the number after the last one looked at */
    bool chained;                /* `previous` is the digest of entry expected - 1 */
    lrb_id previous;
    lrb_buf bytes;
    uint64_t bytes_read;
};

/* ---- which numbers are there ---- */

static int list_entries(lrb_chain *chain, lrb_err *err) {
    const lrb_state *state = lrb_repo_begin_read(chain->repo);
    chain->floor = state->floor;
    chain->last_number = state->last_number;
    chain->last_digest = state->last_digest;
    lrb_repo_end_read(chain->repo);
    int code = lrb_log_list(lrb_repo_log_dir(chain->repo), &chain->numbers, err);
    if (code) return code;
    chain->expected = chain->floor;
    if (chain->numbers.count && chain->numbers.at[0] < chain->floor) chain->expected = chain->numbers.at[0];
    return LRB_OK;
}

int lrb_chain_new(lrb_repo *repo, lrb_chain_report report, void *arg, lrb_chain **out, lrb_err *err) {
    lrb_chain *chain = lrb_alloc_zero(1, sizeof *chain);
    if (!chain) return lrb_err_nomem(err, "read the log");
    chain->repo = repo;
    chain->report = report;
    chain->arg = arg;
    lrb_buf_init(&chain->bytes, LRB_ENTRY_MAX_BYTES);
    int code = list_entries(chain, err);
    if (code) lrb_chain_free(chain);
    else *out = chain;
    return code;
}

void lrb_chain_free(lrb_chain *chain) {
    if (!chain) return;
    lrb_buf_clear(&chain->bytes);
    lrb_free(chain->numbers.at);
    lrb_free(chain);
}

/* ---- reading them ---- */

static int report(lrb_chain *chain, uint64_t number, const char *message, lrb_err *err) {
    char object[4 + NAME_DIGITS + 1] = "log/";
    lrb_log_name(number, object + 4);
    return chain->report(chain->arg, object, message, err);
}

/* Entries from `first` up to, not including, `end` are not there. Below the floor they need not be. */
static int report_gap(lrb_chain *chain, uint64_t first, uint64_t end, lrb_err *err) {
    char message[96] = "the entry is missing";
    if (first < chain->floor) first = chain->floor;
    if (first >= end) return LRB_OK;
    if (end - first > 1)
        snprintf(message, sizeof message, "entries %" PRIu64 " to %" PRIu64 " are missing", first, end - 1);
    return report(chain, first, message, err);
}

static int read_entry(lrb_chain *chain, uint64_t number, lrb_err *err) {
    const lrb_id *previous = chain->chained ? &chain->previous : NULL;
    lrb_log_expect expect = {lrb_repo_graph_id(chain->repo), lrb_repo_id(chain->repo), previous,
                             lrb_repo_vault(chain->repo)};
    lrb_entry entry;
    lrb_id digest;
    int code = lrb_log_read(lrb_repo_log_dir(chain->repo), number, &expect, &chain->bytes, &entry, &digest, err);
    if (code && lrb_err_is_own(err)) return code;
    chain->chained = !code;
    if (code) {
        lrb_err reason = *err;
        lrb_err_clear(err);
        return report(chain, number, code == LRB_E_NOT_FOUND ? "the entry is missing" : reason.message, err);
    }
    chain->previous = digest;
    lrb_entry_clear(&entry);
    chain->bytes_read += chain->bytes.length;
    if (number != chain->last_number || !lrb_id_compare(&digest, &chain->last_digest)) return LRB_OK;
    return report(chain, number, "the entry is another one than was read before: the log was replaced", err);
}

static int next_entry(lrb_chain *chain, lrb_err *err) {
    uint64_t number = chain->numbers.at[chain->next++], first = chain->expected, last = chain->last_number;
    if (number > first) chain->chained = false;
    chain->expected = number < UINT64_MAX ? number + 1 : number;
    if (number <= first) return read_entry(chain, number, err);
    int code = number <= last ? report_gap(chain, first, number, err) : LRB_OK;
    if (!code) code = read_entry(chain, number, err);
    if (code || number <= last) return code;
    /* What lies beyond the last entry and is none itself makes no gap before it: it went astray. */
    return report_gap(chain, first, chain->chained ? number : last + 1, err);
}

int lrb_chain_step(lrb_chain *chain, bool *done, lrb_err *err) {
    size_t cost = 0;
    while (chain->next < chain->numbers.count && cost < STEP_BYTES) {
        int code = next_entry(chain, err);
        if (code) return code;
        cost += ENTRY_COST_BYTES + chain->bytes.length;
    }
    *done = chain->next == chain->numbers.count;
    if (!*done || chain->expected > chain->last_number) return LRB_OK;
    uint64_t first = chain->expected;
    chain->expected = chain->last_number + 1;
    return report_gap(chain, first, chain->expected, err);
}

uint64_t lrb_chain_entries(const lrb_chain *chain) { return chain->next; }
uint64_t lrb_chain_bytes(const lrb_chain *chain) { return chain->bytes_read; }
