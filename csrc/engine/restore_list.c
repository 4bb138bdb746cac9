#include "engine/restore_private.h"

#include "base/mem.h"

#include <string.h>

/* What a plan found, or once that is staged what is worth knowing of it: then the items give way to what is shown. */
struct lrb_restore_list {
    char snapshot_id[LRB_SNAPSHOT_ID_MAX];
    lrb_restore_item *items;
    lrb_restored_item *shown;
    size_t count;
    lrb_arena texts;
    lrb_restore_totals totals;
};

lrb_restore_list *lrb_restore_list_new(void) {
    return lrb_alloc_zero(1, sizeof(lrb_restore_list));
}

void lrb_restore_list_free(lrb_restore_list *list) {
    if (!list) return;
    lrb_free(list->items);
    lrb_free(list->shown);
    lrb_arena_clear(&list->texts);
    lrb_free(list);
}

int lrb_restore_list_enter(lrb_restore *r, lrb_restore_list *list, lrb_err *err) {
    r->list = list;
    if (lrb_restore_list_is_staged(list))
        return lrb_err_set(err, LRB_E_INVALID, "restore", list->snapshot_id, "it was staged already");
    memcpy(r->snapshot_id, list->snapshot_id, sizeof r->snapshot_id);
    r->items = list->items;
    r->count = list->count;
    r->texts = list->texts;
    r->totals = list->totals;
    list->items = NULL;
    list->texts = (lrb_arena){0};
    return LRB_OK;
}

/* Each shown item is shorter than the item it comes from, so they fit into the same memory from the front. */
static lrb_restored_item *shorten(lrb_restore_item *items, size_t count) {
    char *to = (char *)items;
    for (size_t i = 0; i < count; i++) {
        lrb_restored_item shown = items[i].shown;
        memcpy(to + i * sizeof shown, &shown, sizeof shown);
    }
    void *shorter = lrb_resize_array(items, count, sizeof(lrb_restored_item));
    return shorter ? shorter : (void *)items;
}

lrb_restore_list *lrb_restore_take(lrb_job *job) {
    lrb_restore *r = (lrb_restore *)job;
    lrb_restore_list *list = r->list;
    memcpy(list->snapshot_id, r->snapshot_id, sizeof list->snapshot_id);
    list->count = r->count;
    list->texts = r->texts;
    list->totals = r->totals;
    if (r->staging_dir < 0) list->items = r->items;
    else list->shown = shorten(r->items, r->count);
    r->items = NULL;
    r->count = 0;
    r->texts = (lrb_arena){0};
    r->list = NULL;
    return list;
}

size_t lrb_restore_list_count(const lrb_restore_list *list) {
    return list->count;
}

const lrb_restored_item *lrb_restore_list_at(const lrb_restore_list *list, size_t position) {
    return list->shown ? &list->shown[position] : &list->items[position].shown;
}

bool lrb_restore_list_has(const lrb_restore_list *list, const char *name) {
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(lrb_restore_list_at(list, middle)->name, name);
        if (!order) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

const lrb_restore_totals *lrb_restore_list_totals(const lrb_restore_list *list) {
    return &list->totals;
}

bool lrb_restore_list_is_staged(const lrb_restore_list *list) {
    return list->shown != NULL;
}
