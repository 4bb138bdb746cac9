#include "repo/format.h"

#include <stddef.h>
#include <string.h>

static const char *const kind_names[] = {
    [LRB_CHUNK_NONE] = "none",
    [LRB_CHUNK_RAW] = "raw",
    [LRB_CHUNK_TEXT] = "text",
    [LRB_CHUNK_VECTORS] = "vectors",
    [LRB_CHUNK_CORRECTIONS] = "corrections",
    [LRB_CHUNK_RECORDS] = "records",
    [LRB_CHUNK_GRAPHML] = "graphml",
    [LRB_CHUNK_FRAME] = "frame",
    [LRB_CHUNK_RECIPE] = "recipe",
    [LRB_CHUNK_BODY] = "body",
    [LRB_CHUNK_PAYLOAD] = "payload",
};

static const char *const codec_names[] = {
    [LRB_CODEC_STORED] = "stored",
    [LRB_CODEC_ZSTD] = "zstd",
    [LRB_CODEC_VECTOR] = "vector",
};

static const char *const entry_names[] = {
    [LRB_ENTRY_SNAPSHOT] = "snapshot",
    [LRB_ENTRY_HOLD] = "hold",
    [LRB_ENTRY_RELEASE] = "release",
    [LRB_ENTRY_DROP] = "drop",
    [LRB_ENTRY_RETIRE] = "retire",
    [LRB_ENTRY_UNRETIRE] = "unretire",
    [LRB_ENTRY_SWEEP] = "sweep",
    [LRB_ENTRY_REPACK] = "repack",
    [LRB_ENTRY_DAMAGED] = "damaged",
    [LRB_ENTRY_CHECKPOINT] = "checkpoint",
    [LRB_ENTRY_RECORD] = "record",
};

static const char *name_of(const char *const *names, size_t count, unsigned number) {
    return number < count && names[number] ? names[number] : "unknown";
}

const char *lrb_chunk_kind_name(unsigned kind) {
    return name_of(kind_names, sizeof kind_names / sizeof *kind_names, kind);
}

const char *lrb_chunk_codec_name(unsigned codec) {
    return name_of(codec_names, sizeof codec_names / sizeof *codec_names, codec);
}

const char *lrb_entry_kind_name(unsigned kind) {
    return name_of(entry_names, sizeof entry_names / sizeof *entry_names, kind);
}

bool lrb_chunk_kind_usable(unsigned kind) {
    switch (kind) {
    case LRB_CHUNK_RAW:
    case LRB_CHUNK_TEXT:
    case LRB_CHUNK_VECTORS:
    case LRB_CHUNK_CORRECTIONS:
    case LRB_CHUNK_FRAME:
    case LRB_CHUNK_RECIPE:
    case LRB_CHUNK_BODY:
    case LRB_CHUNK_PAYLOAD: return true;
    default: return false;
    }
}

bool lrb_chunk_kind_has_dim(unsigned kind) {
    return kind == LRB_CHUNK_VECTORS || kind == LRB_CHUNK_CORRECTIONS;
}

int lrb_id_compare(const lrb_id *a, const lrb_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

void lrb_id_prefix(const lrb_id *id, char out[17]) {
    lrb_hex(id->bytes, 8, out);
}
