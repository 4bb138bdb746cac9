#include "engine/findings.h"

#include <stdio.h>

#include "base/mem.h"

void lrb_findings_init(lrb_findings *findings) {
    *findings = (lrb_findings){0};
    pthread_mutex_init(&findings->lock, NULL);
}

void lrb_findings_clear(lrb_findings *findings) {
    lrb_free(findings->list);
    pthread_mutex_destroy(&findings->lock);
}

static int append(lrb_findings *findings, const char *object, const char *message, lrb_err *err) {
    if (findings->count == findings->room) {
        size_t room = findings->room ? findings->room * 2 : 16;
        lrb_finding *list = lrb_resize_array(findings->list, room, sizeof *list);
        if (!list) return lrb_err_nomem(err, "note a finding");
        findings->list = list;
        findings->room = room;
    }
    lrb_finding *finding = &findings->list[findings->count++];
    snprintf(finding->object, sizeof finding->object, "%s", object);
    snprintf(finding->message, sizeof finding->message, "%s", message);
    return LRB_OK;
}

int lrb_findings_add(lrb_findings *findings, const char *object, const char *message, lrb_err *err) {
    pthread_mutex_lock(&findings->lock);
    int code = findings->count < LRB_VERIFY_MAX_FINDINGS ? append(findings, object, message, err) : LRB_OK;
    if (!code) findings->total++;
    pthread_mutex_unlock(&findings->lock);
    return code;
}

bool lrb_findings_full(lrb_findings *findings) {
    pthread_mutex_lock(&findings->lock);
    bool full = findings->count >= LRB_VERIFY_MAX_FINDINGS;
    pthread_mutex_unlock(&findings->lock);
    return full;
}
