#include <string.h>

#include "base/wire.h"
#include "codec/digest_private.h"

/* A message on its way through the block function, in runs of blocks that lie together. */
typedef enum run { RUN_FRONT, RUN_BODY, RUN_TAIL, RUN_OUTER, RUN_BESIDE, RUN_DONE } run;

enum { BLOCK = LRB_SHA256_BLOCK_BYTES, LENGTH_BYTES = 8 };

typedef struct lane {
    const lrb_message *message;
    uint32_t *beside;  /* where the state of a message under way is kept */
    uint32_t state[LRB_SHA256_WORDS];
    run run;
    const uint8_t *at; /* of the run */
    size_t blocks;     /* left of it */
    size_t taken;      /* of the message's bytes, behind its head */
    uint8_t edge[2 * BLOCK]; /* the run itself, when it does not lie in the message */
} lane;

/* What a key makes of the state before the first block, inside and outside. */
typedef struct key_states {
    bool keyed;
    uint32_t inner[LRB_SHA256_WORDS], outer[LRB_SHA256_WORDS];
} key_states;

static key_states states_of(const lrb_hmac_key *key) {
    key_states states = {.keyed = key != NULL};
    memcpy(states.inner, lrb_sha256_start, sizeof states.inner);
    memcpy(states.outer, lrb_sha256_start, sizeof states.outer);
    if (key) lrb_sha256_two(states.inner, states.outer, key->inner, key->outer, 1);
    return states;
}

/* Ends the run in `edge`, of which `used` bytes are taken, with the padding of a message of `total` bytes. */
static void pad(lane *l, size_t used, uint64_t total) {
    l->blocks = used + 1 + LENGTH_BYTES <= BLOCK ? 1 : 2;
    memset(l->edge + used, 0, BLOCK * l->blocks - used);
    l->edge[used] = 0x80;
    for (unsigned i = 0; i < LENGTH_BYTES; i++) l->edge[BLOCK * l->blocks - 1 - i] = (uint8_t)(8 * total >> 8 * i);
    l->at = l->edge;
}

static void begin_tail(lane *l, bool keyed) {
    const lrb_message *m = l->message;
    size_t head = l->taken || l->run != RUN_FRONT ? 0 : m->head_bytes, rest = m->count - l->taken;
    if (head) memcpy(l->edge, m->head, head);
    if (rest) memcpy(l->edge + head, m->bytes + l->taken, rest);
    pad(l, head + rest, m->head_bytes + m->count + (keyed ? BLOCK : 0));
    l->run = RUN_TAIL;
}

/* The head and the bytes that fill its block; then the whole blocks behind them. */
static void begin(lane *l, const lrb_message *message, const key_states *states) {
    l->message = message;
    l->run = RUN_FRONT;
    l->taken = 0;
    memcpy(l->state, states->inner, sizeof l->state);
    if (message->head_bytes + message->count < BLOCK) {
        begin_tail(l, states->keyed);
        return;
    }
    l->taken = BLOCK - message->head_bytes;
    memcpy(l->edge, message->head, message->head_bytes);
    memcpy(l->edge + message->head_bytes, message->bytes, l->taken);
    l->at = l->edge;
    l->blocks = 1;
}

static void begin_beside(lane *l, const lrb_blocks *blocks) {
    *l = (lane){.run = RUN_BESIDE, .beside = blocks->state, .at = blocks->at, .blocks = blocks->count};
    memcpy(l->state, blocks->state, sizeof l->state);
}

static void write_state(const lane *l, uint8_t out[LRB_DIGEST_BYTES]) {
    for (unsigned i = 0; i < LRB_SHA256_WORDS; i++)
        for (unsigned k = 0; k < 4; k++) out[4 * i + k] = (uint8_t)(l->state[i] >> (24 - 8 * k));
}

/* The run is over: on to the next that has blocks. */
static void turn(lane *l, const key_states *states) {
    if (l->run == RUN_FRONT) {
        l->run = RUN_BODY;
        l->at = l->message->bytes + l->taken;
        l->blocks = (l->message->count - l->taken) / BLOCK;
        l->taken += BLOCK * l->blocks;
        if (l->blocks) return;
    }
    if (l->run == RUN_BODY) {
        begin_tail(l, states->keyed);
    } else if (l->run == RUN_TAIL && states->keyed) {
        write_state(l, l->edge);
        memcpy(l->state, states->outer, sizeof l->state);
        pad(l, LRB_DIGEST_BYTES, BLOCK + LRB_DIGEST_BYTES);
        l->run = RUN_OUTER;
    } else if (l->run == RUN_BESIDE) {
        memcpy(l->beside, l->state, sizeof l->state);
        l->run = RUN_DONE;
    } else {
        write_state(l, l->message->out);
        l->run = RUN_DONE;
    }
}

static void advance(lane *l, size_t blocks, const key_states *states) {
    l->at += BLOCK * blocks;
    l->blocks -= blocks;
    if (!l->blocks) turn(l, states);
}

void lrb_digest_wide(const lrb_hmac_key *key, const lrb_message *messages, size_t count, const lrb_blocks *beside) {
    key_states states = states_of(key);
    lane lanes[2] = {{.run = RUN_DONE}, {.run = RUN_DONE}};
    if (beside && beside->count) begin_beside(&lanes[0], beside);
    for (size_t next = 0;;) {
        for (int k = 0; k < 2; k++)
            if (lanes[k].run == RUN_DONE && next < count) begin(&lanes[k], &messages[next++], &states);
        lane *a = &lanes[0], *b = &lanes[1];
        if (a->run == RUN_DONE && b->run == RUN_DONE) break;
        if (a->run == RUN_DONE || b->run == RUN_DONE) {
            lane *alone = a->run == RUN_DONE ? b : a;
            lrb_sha256_one(alone->state, alone->at, alone->blocks);
            advance(alone, alone->blocks, &states);
            continue;
        }
        size_t blocks = a->blocks < b->blocks ? a->blocks : b->blocks;
        lrb_sha256_two(a->state, b->state, a->at, b->at, blocks);
        advance(a, blocks, &states);
        advance(b, blocks, &states);
    }
    if (key) lrb_bytes_wipe(&states, sizeof states);
}

static int digest_one(lrb_digest *digest, const lrb_hmac_key *key, const lrb_message *m, lrb_err *err) {
    int code = lrb_digest_begin_keyed(digest, key, err);
    if (!code) code = lrb_digest_update(digest, m->head, m->head_bytes, err);
    if (!code) code = lrb_digest_update(digest, m->bytes, m->count, err);
    if (!code) code = lrb_digest_finish(digest, m->out, err);
    return code;
}

int lrb_digest_many(lrb_digest *digest, const lrb_hmac_key *key, const lrb_message *messages, size_t count,
                    lrb_err *err) {
    int code = LRB_OK;
    if (count > 1 && lrb_sha256_wide_available()) {
        lrb_digest_wide(key, messages, count, NULL);
        return LRB_OK;
    }
    for (size_t i = 0; i < count && !code; i++) code = digest_one(digest, key, &messages[i], err);
    return code;
}
