/* Sets of ids: against a plain table, from several threads, and without memory. */
#include "lightrag/idset.h"

#include <pthread.h>

#include "base/mem.h"
#include "check.h"

static lrb_err err;
static const lrb_hash_key key = {1, 2};

static lrb_hash id_of(uint64_t number) {
    return lrb_siphash(&key, &number, sizeof number);
}

TEST(slots_keep_what_is_put_into_them) {
    enum { IDS = 20000 };
    lrb_idset set;
    lrb_idset_init(&set, false);
    for (uint64_t n = 0; n < IDS; n++) {
        lrb_hash id = id_of(n);
        lrb_id_slot *slot = lrb_idset_hold(&set, &id, true);
        CHECK(slot && !slot->flags && !slot->words[0] && !slot->words[1]);
        slot->words[0] = n;
        slot->words[1] = ~n;
        lrb_idset_release(&set, &id);
    }
    CHECK(lrb_idset_count(&set) == IDS);
    for (uint64_t n = 0; n < IDS + 1000; n++) {
        lrb_hash id = id_of(n);
        lrb_id_slot *slot = lrb_idset_hold(&set, &id, false);
        CHECK((slot != NULL) == (n < IDS) && (!slot || (slot->words[0] == n && slot->words[1] == ~n)));
        if (slot) lrb_idset_release(&set, &id);
    }
    lrb_idset_clear(&set);
}

TEST(flags_add_up) {
    lrb_idset set;
    lrb_hash id = id_of(7);
    uint32_t before = 9;
    lrb_idset_init(&set, false);
    CHECK(lrb_idset_flags(&set, &id) == 0);
    CHECK_OK(lrb_idset_mark(&set, &id, 1, &before, &err));
    CHECK(before == 0);
    CHECK_OK(lrb_idset_mark(&set, &id, 4, &before, &err));
    CHECK(before == 1);
    CHECK_OK(lrb_idset_mark(&set, &id, 4, NULL, &err));
    CHECK(lrb_idset_flags(&set, &id) == 5 && lrb_idset_count(&set) == 1);
    lrb_idset_clear(&set);
}

/* Hashes as no table likes them: the free mark itself, all in one home, and equal but for what is compared last. */
TEST(awkward_hashes_are_told_apart) {
    lrb_idset set, members;
    bool was;
    lrb_idset_init(&set, false);
    lrb_idset_init(&members, true);
    for (uint64_t n = 0; n < 300; n++) {
        lrb_hash ids[] = {{0, n}, {UINT64_MAX, n}, {n * LRB_IDSET_SHARDS, 0}, {UINT64_MAX - n * LRB_IDSET_SHARDS, 1}};
        for (size_t i = 0; i < 4; i++) {
            CHECK_OK(lrb_idset_mark(&set, &ids[i], 1, NULL, &err));
            CHECK_OK(lrb_idset_join(&members, &ids[i], &was, &err));
            CHECK(lrb_idset_has(&members, &ids[i]));
        }
    }
    CHECK(lrb_idset_flags(&set, &(lrb_hash){0, 299}) == 1 && lrb_idset_flags(&set, &(lrb_hash){0, 300}) == 0);
    CHECK(lrb_idset_flags(&set, &(lrb_hash){UINT64_MAX, 300}) == 0);
    lrb_idset_clear(&set);
    lrb_idset_clear(&members);
}

TEST(members_are_counted_once) {
    enum { IDS = 50000 };
    lrb_idset set;
    bool was;
    lrb_idset_init(&set, true);
    for (int round = 0; round < 2; round++)
        for (uint64_t n = 0; n < IDS; n++) {
            lrb_hash id = id_of(n);
            CHECK(lrb_idset_has(&set, &id) == (round == 1));
            CHECK_OK(lrb_idset_join(&set, &id, &was, &err));
            CHECK(was == (round == 1));
        }
    CHECK(lrb_idset_count(&set) == IDS);
    lrb_idset_clear(&set);
}

static void bytes_per_id_stay_below(bool members, uint64_t most) {
    lrb_idset set;
    lrb_idset_init(&set, members);
    for (uint64_t n = 0; n < 200000; n++) {
        lrb_hash id = id_of(n);
        bool was;
        if (members) CHECK_OK(lrb_idset_join(&set, &id, &was, &err));
        else CHECK_OK(lrb_idset_mark(&set, &id, 1, NULL, &err));
        if (n % 997 || n < 10000) continue;
        uint64_t bytes = 0;
        for (int i = 0; i < LRB_IDSET_SHARDS; i++) bytes += set.shards[i].room * set.slot_bytes;
        CHECK(bytes <= n * most);
    }
    lrb_idset_clear(&set);
}

TEST(memory_per_id_is_bounded) {
    bytes_per_id_stay_below(false, 67);
    bytes_per_id_stay_below(true, 17);
}

/* ---- threads ---- */

enum { THREADS = 4, EACH = 5000 };
typedef struct crowd {
    lrb_idset slots, members;
} crowd;

static void *join_all(void *arg) {
    crowd *c = arg;
    lrb_err own;
    for (uint64_t n = 0; n < EACH; n++) {
        lrb_hash id = id_of(n);
        bool was;
        lrb_id_slot *slot = lrb_idset_hold(&c->slots, &id, true);
        if (!slot || lrb_idset_join(&c->members, &id, &was, &own)) return arg;
        slot->words[0]++;
        lrb_idset_release(&c->slots, &id);
    }
    return NULL;
}

TEST(threads_do_not_lose_each_others_work) {
    crowd c;
    pthread_t threads[THREADS];
    lrb_idset_init(&c.slots, false);
    lrb_idset_init(&c.members, true);
    for (int i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, join_all, &c));
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        CHECK(!pthread_join(threads[i], &failed) && !failed);
    }
    CHECK(lrb_idset_count(&c.slots) == EACH && lrb_idset_count(&c.members) == EACH);
    for (uint64_t n = 0; n < EACH; n++) {
        lrb_hash id = id_of(n);
        lrb_id_slot *slot = lrb_idset_hold(&c.slots, &id, false);
        CHECK(slot && slot->words[0] == THREADS);
        lrb_idset_release(&c.slots, &id);
    }
    lrb_idset_clear(&c.slots);
    lrb_idset_clear(&c.members);
}

static void count_slot(void *arg, lrb_id_slot *slot) {
    *(uint64_t *)arg += slot->flags;
}

TEST(without_memory_nothing_is_lost) {
    lrb_idset slots, members;
    bool was;
    lrb_idset_init(&slots, false);
    lrb_idset_init(&members, true);
    uint64_t kept = 0, told = 0;
    for (uint64_t n = 0; n < 3000; n++) {
        lrb_hash id = id_of(n);
        lrb_mem_fail_after(n % 3 ? -1 : 0, false);
        int marked = lrb_idset_mark(&slots, &id, 1, NULL, &err);
        lrb_mem_fail_after(n % 3 ? -1 : 0, false);
        int joined = lrb_idset_join(&members, &id, &was, &err);
        lrb_mem_fail_after(-1, false);
        CHECK((!marked || marked == LRB_E_NOMEM) && (!joined || joined == LRB_E_NOMEM));
        CHECK(!!lrb_idset_flags(&slots, &id) == !marked && lrb_idset_has(&members, &id) == !joined);
        kept += !marked;
    }
    lrb_idset_each(&slots, count_slot, &told);
    CHECK(told == kept && kept < 3000 && lrb_idset_count(&slots) == kept);
    lrb_idset_clear(&slots);
    lrb_idset_clear(&members);
}

int main(void) {
    RUN(slots_keep_what_is_put_into_them);
    RUN(flags_add_up);
    RUN(awkward_hashes_are_told_apart);
    RUN(members_are_counted_once);
    RUN(memory_per_id_is_bounded);
    RUN(threads_do_not_lose_each_others_work);
    RUN(without_memory_nothing_is_lost);
    return check_report();
}
