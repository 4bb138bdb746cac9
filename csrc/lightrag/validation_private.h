/* The inside of a validation, shared by its parts:
 *
 *   validation.c          which file next, and by whom
 *   validation_json.c     reading a JSON store row by row
 *   validation_status.c   doc_status
 *   validation_documents.c  full_docs, text_chunks, the LLM cache
 *   validation_tracking.c entity_chunks and relation_chunks, full_entities and full_relations
 *   validation_vectors.c  records of vector files and of Faiss metadata
 *   validation_rows.c     vectors against matrix rows; Faiss indexes
 *   validation_graph.c    nodes and edges
 *   validation_config.c   the configuration store of later releases
 *   validation_settle.c   what can be said once everything is read
 *
 * Every file is read by one thread at a time. What the threads share is in the idsets and the report, which have locks of
 * their own, and in the scheduling of validation.c. What a file reads of another's results is complete by then: files
 * are begun only when those they depend on are over (see the table in validation.c).
 */
#ifndef LRB_LIGHTRAG_VALIDATION_PRIVATE_H
#define LRB_LIGHTRAG_VALIDATION_PRIVATE_H

#include <stdatomic.h>
#include <string.h>

#include "base/path.h"
#include "codec/md5.h"
#include "lightrag/graphml.h"
#include "lightrag/idset.h"
#include "lightrag/json.h"
#include "lightrag/row_check.h"
#include "lightrag/source_list.h"
#include "lightrag/validation.h"

enum {
    LRB_STEP_BYTES = 1 << 20,          /* about how much of a file one step reads */
    LRB_ROUND_PAIRS = 1 << 21,         /* tracking pairs compared per round: 32 MiB */
    LRB_MAX_DIM = 65535,
    LRB_MAX_OTHERS = 64,
    LRB_ID_KEPT_BYTES = 512,           /* of a record's id */
    LRB_ROW_KEYS = 48                  /* of a row, compared with each other; LightRAG writes fewer than 20 */
};

typedef enum lrb_role {
    LRB_ROLE_LLM_CACHE,
    LRB_ROLE_DOC_STATUS,
    LRB_ROLE_FULL_DOCS,
    LRB_ROLE_FULL_ENTITIES,
    LRB_ROLE_FULL_RELATIONS,
    LRB_ROLE_ENTITY_CHUNKS,
    LRB_ROLE_RELATION_CHUNKS,
    LRB_ROLE_TEXT_CHUNKS,
    LRB_ROLE_GRAPH,
    LRB_ROLE_RELATION_VECTORS, /* these three in a row, as NanoVectorDB has them */
    LRB_ROLE_ENTITY_VECTORS,
    LRB_ROLE_CHUNK_VECTORS,
    LRB_ROLE_RELATION_META, /* these three as Faiss has them */
    LRB_ROLE_ENTITY_META,
    LRB_ROLE_CHUNK_META,
    LRB_ROLE_RELATION_INDEX,
    LRB_ROLE_ENTITY_INDEX,
    LRB_ROLE_CHUNK_INDEX,
    LRB_ROLE_CONFIG,
    LRB_ROLE_ANCHOR,
    LRB_ROLE_OTHER, /* a store of a later release: that it parses is all that can be asked */
    LRB_ROLE_COUNT
} lrb_role;

/* Vectors of relations, entities, chunks: 0, 1, 2. */
typedef enum lrb_vector_kind { LRB_OF_RELATIONS, LRB_OF_ENTITIES, LRB_OF_CHUNKS, LRB_VECTOR_KINDS } lrb_vector_kind;

/* Flags of an entity or a relation. words[0]: sum of the sources its tracking row names; words[1]: sum of all sources
 * graph or vector name, whichever was read first. */
enum {
    LRB_IN_GRAPH = 1 << 0,
    LRB_IN_VECTORS = 1 << 1,
    LRB_IS_PLACEHOLDER = 1 << 2,
    LRB_IS_ENDPOINT = 1 << 3,     /* an edge leads to it */
    LRB_IS_ANCHORED = 1 << 4,     /* full_entities or full_relations have it */
    LRB_IS_TRACKED = 1 << 5,
    LRB_TRACKS_OTHERS = 1 << 6,   /* than the graph names: to be compared one by one */
    LRB_TRACKS_LOADED = 1 << 7,   /* in this round */
    LRB_SOURCES_SUMMED = 1 << 8,
    LRB_SOURCES_DIFFER = 1 << 9
};
/* Flags of a chunk. words: the hash of its document. */
enum {
    LRB_CHUNK_HERE = 1 << 0,
    LRB_CHUNK_HAS_VECTOR = 1 << 1,
    LRB_CHUNK_IN_PROCESSED = 1 << 2,
    LRB_CHUNK_IS_CUSTOM = 1 << 3 /* of a custom graph, which no document lists and no tracking row names */
};
/* Flags of a document. */
enum {
    LRB_DOC_KNOWN = 1 << 0, /* in doc_status */
    LRB_DOC_PROCESSED = 1 << 1, /* and its deletion has not begun */
    LRB_DOC_IN_FLIGHT = 1 << 2,
    LRB_DOC_HAS_TEXT = 1 << 3,    /* in full_docs, and more than "" */
    LRB_DOC_HAS_ENTITIES = 1 << 4,
    LRB_DOC_HAS_RELATIONS = 1 << 5,
    LRB_DOC_LISTS = 1 << 6, /* its status has a chunks_list */
    LRB_DOC_HAS_CHUNKS = 1 << 7,  /* these two of what has no status: chunks say they are its own */
    LRB_DOC_NAMES_CHUNKS = 1 << 8, /* and are called after it */
    LRB_DOC_TOLD = 1 << 9,   /* its loss, once */
    LRB_DOC_HAS_ROW = 1 << 10,   /* in full_docs */
    LRB_DOC_EMPTY_TEXT = 1 << 11 /* which is "": right for a document without a character */
};

typedef enum lrb_file_state {
    LRB_FILE_ABSENT,
    LRB_FILE_WAITING,
    LRB_FILE_BUSY,
    LRB_FILE_PAUSED, /* between two steps */
    LRB_FILE_READ,
    LRB_FILE_BROKEN
} lrb_file_state;

/* Where the numbers of a vector file lie: for each record offset, length and whether there are escapes in it, in one
 * word; 0: it has no vector. In blocks, so that growing never copies. */
enum { LRB_PLACES_PER_BLOCK = 8192, LRB_PLACE_LENGTH_BITS = 20, LRB_PLACE_MAX_LENGTH = (1 << LRB_PLACE_LENGTH_BITS) - 1 };
#define LRB_PLACE_ESCAPED (UINT64_C(1) << 63)
typedef struct lrb_vector_file {
    uint64_t **blocks;
    size_t block_count, block_room;
    uint64_t rows, without_vector;
    int64_t dim;               /* 0: not seen */
    uint64_t matrix_offset, matrix_chars;
    bool has_data, has_matrix, matrix_plain;
    bool trusted;              /* the rows need not be compared */
    lrb_rows_seen seen;        /* by somebody else; rows 0: nobody */
    bool compared;             /* these are they */
    bool checkable;            /* they can be: rows and matrix fit */
    bool matrix_garbled;       /* part of it is no base64; under the lock */
    uint64_t next_row;         /* to compare; under the validation's lock */
    unsigned inside;           /* threads comparing; under the validation's lock */
    uint64_t *wrong[LRB_ROW_FLAWS]; /* bit sets of rows, made when needed; under the lock */
} lrb_vector_file;

typedef struct lrb_file {
    lrb_validation *validation;
    lrb_role role;
    char *name;
    lrb_bytes bytes;
    lrb_file_state state;
    bool is_link;              /* a symbolic one is in its place, and not followed: it counts as absent */
    bool wanted;               /* in the next look */
    bool looking;              /* this reading is one: rows are named, not noted */
    bool paused_look;          /* between two steps of a look */
    lrb_json *json;
    lrb_graphml *graphml;
    uint64_t at;               /* of a reading that is no JSON's */
    int place;                 /* where in the file's outermost structure: the reader's own */
    uint64_t row;              /* number of the current one */
    lrb_md5 *md5;
    uint64_t row_keys[LRB_ROW_KEYS]; /* hashes of the current row's keys */
    unsigned row_key_count;
    lrb_buf row_key, name_1, name_2, id, content; /* of the current row */
    lrb_source_list sources;
    lrb_vector_file vectors;
    uint64_t index_rows;       /* of a Faiss index */
    uint64_t ids_off;          /* of Faiss metadata: sum over its rows, id less number; 0: the ids are the numbers of its rows */
    int64_t index_dim;
} lrb_file;

struct lrb_validation {
    lrb_validation_options options;
    char *workspace;
    lrb_hash_key key;
    lrb_report report;
    lrb_idset entities, relations, chunks, documents;       /* slots */
    lrb_idset anchors, listings, answers, pairs;            /* memberships */
    lrb_idset record_ids[LRB_VECTOR_KINDS];
    lrb_file files[LRB_ROLE_OTHER];
    lrb_file *others[LRB_MAX_OTHERS];                       /* of role OTHER */
    size_t other_count;
    uint64_t to_compare;                                    /* objects with LRB_TRACKS_OTHERS, before this round */
    bool needs_entity_vectors, listed_processed;            /* what settling saw */
    _Atomic uint64_t pairs_loaded;                          /* in this round */
    struct lrb_row_scratch *spare;                          /* under the lock */
    int64_t recorded_dims[LRB_VECTOR_KINDS];                /* by the configuration store; 0: none */
    lrb_hash identity;                                      /* of the configuration store */
    bool has_identity;
    bool graph_directed;
    size_t most_sources[2];                                 /* of a node, of an edge */
    unsigned round;                                         /* of looks; names are taken in the first */
    pthread_mutex_t lock;                                   /* the states of files, stage, inside */
    int stage;
    unsigned inside;
};

/* ---- validation.c ---- */
const char *lrb_role_name(lrb_role role); /* of its file */
/* Whether a store was read from end to end, so that what it lacks is missing. Absent counts as read when it may be. */
bool lrb_was_read(const lrb_validation *v, lrb_role role);
bool lrb_vectors_read(const lrb_validation *v, lrb_vector_kind kind);
/* Whether a document is known and not processed: LightRAG makes what it lacks when it processes it. */
bool lrb_is_unfinished(lrb_validation *v, const lrb_hash *document);
/* Notes that LightRAG could not read a file. */
int lrb_file_broken(lrb_validation *v, lrb_file *file, const char *message, lrb_err *err);
/* A finding about the current row, by its key. */
int lrb_row_finding(lrb_validation *v, const lrb_file *file, lrb_check check, lrb_err *err);

static inline lrb_hash lrb_hash_of(const lrb_validation *v, const void *text, size_t length) {
    return lrb_siphash(&v->key, text, length);
}
static inline lrb_hash lrb_hash_of_buf(const lrb_validation *v, const lrb_buf *text) {
    return lrb_siphash(&v->key, text->data, text->length);
}
/* Of two ids together. */
static inline lrb_hash lrb_hash_of_pair(const lrb_validation *v, const lrb_hash *one, const lrb_hash *other) {
    uint64_t both[4] = {one->low, one->high, other->low, other->high};
    return lrb_siphash(&v->key, both, sizeof both);
}
/* The key of a relation, as LightRAG tracks it: both names in order, joined by <SEP>; in `joined`. */
int lrb_join_names(lrb_buf *joined, const char *one, size_t one_length, const char *other, size_t other_length, lrb_err *err);

/* ---- readers: a step each; *over at the end of the file. INVALID: LightRAG cannot read it ---- */
int lrb_read_store(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err);
int lrb_read_vector_file(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err);
int lrb_read_graph(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err);
int lrb_read_faiss_index(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err);
int lrb_read_anchor(lrb_validation *v, lrb_file *file, void *thread, bool *over, lrb_err *err);

/* ---- validation_json.c: helpers of row readers ---- */
static inline bool lrb_text_is(const lrb_buf *text, const char *wanted) {
    return text->length == strlen(wanted) && !memcmp(text->data, wanted, text->length);
}
static inline bool lrb_begins(const lrb_buf *text, const char *with) {
    size_t length = strlen(with);
    return text->length >= length && !memcmp(text->data, with, length);
}
/* The next member of the current row, or its OBJECT_END; a key that was there before is a finding. */
int lrb_row_member(lrb_validation *v, lrb_file *file, lrb_json_value *value, lrb_err *err);
/* Rows of stores: called behind the row's OBJECT, with its key in file->row_key; must read to OBJECT_END. */
typedef int (*lrb_read_row)(lrb_validation *v, lrb_file *file, lrb_err *err);
/* A text member into `into`, at most `most` bytes of it; anything but a string leaves it empty. */
int lrb_take_text(lrb_file *file, const lrb_json_value *value, lrb_buf *into, size_t most, lrb_err *err);
/* An array of strings into file->sources; *is_list false for anything else, *items how many there were. */
int lrb_take_ids(lrb_validation *v, lrb_file *file, const lrb_json_value *value, bool *is_list, uint64_t *items, lrb_err *err);
/* The MD5 of a text member, in hex; "" when it is no string. */
int lrb_take_md5(lrb_file *file, const lrb_json_value *value, char hex[33], lrb_err *err);
/* Whether `id` is `prefix` and the MD5 of two texts, one behind the other. */
int lrb_is_md5_id(lrb_file *file, const lrb_buf *id, const char *prefix, const lrb_buf *one, const lrb_buf *two, bool *is, lrb_err *err);

int lrb_row_doc_status(lrb_validation *v, lrb_file *file, lrb_err *err);
int lrb_row_full_docs(lrb_validation *v, lrb_file *file, lrb_err *err);
int lrb_row_text_chunks(lrb_validation *v, lrb_file *file, lrb_err *err);
int lrb_row_llm_cache(lrb_validation *v, lrb_file *file, lrb_err *err);
int lrb_row_tracking(lrb_validation *v, lrb_file *file, lrb_err *err);
int lrb_row_full_entities(lrb_validation *v, lrb_file *file, lrb_err *err);
int lrb_row_full_relations(lrb_validation *v, lrb_file *file, lrb_err *err);
int lrb_row_config(lrb_validation *v, lrb_file *file, lrb_err *err);
int lrb_row_record(lrb_validation *v, lrb_file *file, lrb_err *err); /* of a vector file or of Faiss metadata */
int lrb_row_ignored(lrb_validation *v, lrb_file *file, lrb_err *err);

/* ---- validation_rows.c ---- */
/* When the matrix begins: whether all that was seen of the rows is so. How long the matrix has to be. */
bool lrb_rows_were_seen(const lrb_vector_file *vectors);
uint64_t lrb_matrix_chars(const lrb_vector_file *vectors);
/* After the records are read: whether the matrix fits them. */
int lrb_judge_matrix(lrb_validation *v, lrb_file *file, lrb_err *err);
/* The next rows of a file; *count 0 when all were given out. Under the lock. */
void lrb_claim_rows(lrb_file *file, uint64_t *first, uint64_t *count);
int lrb_compare_rows(lrb_validation *v, lrb_file *file, uint64_t first, uint64_t count, void *thread, lrb_err *err);
/* In a look: the findings about row file->row, whose id is in file->id. */
int lrb_name_wrong_row(lrb_validation *v, lrb_file *file, lrb_err *err);
bool lrb_any_wrong_row(const lrb_file *file);
void lrb_vector_file_clear(lrb_vector_file *vectors);
void lrb_free_row_scratch(lrb_validation *v);

/* ---- validation_settle.c ---- */
/* Whether a document of these flags has chunks and no status because that is lost. */
bool lrb_status_is_lost(const lrb_validation *v, uint32_t document_flags);
/* Whether a node or an edge that is not in the graph is lost: no step of LightRAG's takes it out and leaves its vector,
 * its tracking row and an anchor of a processed document one of its sources is of. */
bool lrb_object_is_lost(lrb_validation *v, lrb_idset *objects, const lrb_hash *object, const lrb_source_list *sources);
/* What is missing between files: findings about files, and which have to be looked at again for names. */
int lrb_settle(lrb_validation *v, lrb_err *err);
/* After a look: whether another one is needed, because not all tracking rows were compared in this round. */
bool lrb_settle_again(lrb_validation *v);

#endif
