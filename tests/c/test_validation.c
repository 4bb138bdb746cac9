/* The validation as a whole, on one small graph in memory: steps, files in any state, and memory running out.
 * That each invariant is found when it is broken is shown on real directories, tests/python/test_validation.py; here
 * most are broken once more, so that finding them runs under the sanitizers and out of memory. */
#include "lightrag/validation.h"

#include <stdlib.h>

#include "base/mem.h"
#include "judging.h"

TEST(the_small_graph_is_usable) {
    lrb_buf json;
    lrb_buf_init(&json, 1 << 20);
    CHECK_OK(validate(NULL, &PLAIN, &json));
    CHECK(!strcmp((char *)json.data,
                  "{\"version\": 4, \"verdict\": \"usable\", \"findings\": [], \"amounts\": {\"nodes\": 2, \"edges\": 1, \"entity_vectors\": 2, "
                  "\"relation_vectors\": 1, \"chunk_vectors\": 1, \"embedding_dim\": 3, \"chunks\": 1, \"documents\": 1, "
                  "\"processed\": 1, \"in_flight\": 0, \"failed\": 0, \"llm_answers\": 1}}"));
    lrb_buf_clear(&json);
}

TEST(what_is_missing_is_said_where_others_need_it) {
    says(&(change){"kv_store_text_chunks.json", NULL, 0, NULL}, &PLAIN, "\"check\": \"file_missing\"");
    says(&(change){"vdb_chunks.json", NULL, 0, NULL}, &PLAIN, "\"verdict\": \"repairable\", \"findings\": [{\"invariant\": 1, \"check\": \"vectors_missing\"");
    says(&(change){"vdb_chunks.json", NULL, 0, NULL}, &(lrb_validation_options){.workspace = "", .partial = true}, "\"verdict\": \"usable\"");
    says(&(change){"kv_store_llm_response_cache.json", NULL, 0, NULL}, &PLAIN, "\"verdict\": \"usable\"");
    says(&(change){"kv_store_entity_chunks.json", NULL, 0, NULL}, &PLAIN, "\"verdict\": \"usable\"");
}

TEST(dimensions_are_compared_with_what_is_configured) {
    const change config = BECOMES("_lightrag_config/kv_server_config.json", "{\"/embedding/entities\": {\"workspace\": \"\", \"value\": {\"model\": \"m\", \"dim\": 4}},"
                                 "\"other/embedding/chunks\": {\"value\": {\"dim\": 9}}}");
    says(NULL, &(lrb_validation_options){.workspace = "", .embedding_dim = 3}, "\"verdict\": \"usable\"");
    says(NULL, &(lrb_validation_options){.workspace = "", .embedding_dim = 4}, "\"check\": \"dim_unwanted\"");
    says(&config, &PLAIN, "\"ids\": [\"entities: 4, not 3\"]");
}

TEST(an_anchor_has_to_name_the_store) {
    const change anchor = BECOMES("_lightrag_config/storage_anchor.json", "{\"backend\": \"JsonKVStorage\", \"storage_uuid\": \"u\"}");
    const change elsewhere = BECOMES("_lightrag_config/storage_anchor.json", "{\"backend\": \"PGKVStorage\", \"storage_uuid\": \"u\"}");
    says(&anchor, &PLAIN, "\"check\": \"anchor_differs\"");
    says(&elsewhere, &PLAIN, "\"findings\": []");
    says(&(change){anchor.name, anchor.text, 9, NULL}, &PLAIN, "\"check\": \"config_broken\"");
}

/* ---- one thing wrong in one file ---- */

#define DOC "doc-c001c3a494773d19754d7a8707f6f586"
#define GRAPHML "graph_chunk_entity_relation.graphml"
#define STATUS "kv_store_doc_status.json"
#define TEXTS "kv_store_full_docs.json"

typedef struct flaw {
    const char *file, *from, *to, *check; /* the first `from` becomes `to`, which is found as `check` */
} flaw;

static const flaw FLAWS[] = {
    {STATUS, "\"processed\"", "\"parsing\"", "in_flight"},
    {STATUS, "\"processed\"", "\"failed\"", "document_failed"},
    {STATUS, "\"processed\"", "\"elsewhere\"", "status_unknown"},
    {STATUS, "\"processed\"", "7", "status_unknown"},
    {STATUS, "\"chunks_count\": 1", "\"chunks_count\": 2", "chunks_count"},
    {STATUS, "\"chunks_count\": 1", "\"chunks_count\": 1.0", "chunks_count"},
    {STATUS, "\"chunks_count\": 1", "\"chunks_count\": 1e999999999", "chunks_count"},
    {STATUS, "\"chunks_count\": 1", "\"chunks_count\": \"1\"", "chunks_count"},
    {STATUS, "\"chunks_list\": [", "\"chunks_list\": [\"chunk-gone\", ", "chunk_gone"},
    {STATUS, "\"chunks_list\": [\"" DOC "-chunk-000\"]", "\"chunks_list\": []", "chunk_unlisted"},
    {STATUS, "\"content_length\": 25", "\"content_length\": 25, \"newer\": 25", "status_extra"},
    {STATUS, "\"content_length\": 25, ", "", "status_fields"},
    {STATUS, "\"content_summary\": \"Report.\", ", "", "status_fields"},
    {STATUS, "\"created_at\": \"2026-11-25T22:40:49+00:00\"", "\"created_at\": 7", "status_fields"},
    {STATUS, "\"updated_at\": \"2026-11-25T22:40:49+00:00\"", "\"updated_at\": null", "status_fields"},
    {STATUS, "\"chunks_list\"", "\"chunk_list\"", "status_no_list"},
    {STATUS, "\"metadata\": {", "\"metadata\": {\"kg_purge\": {}, ", "deletion_begun"},
    {STATUS, "{\"" DOC, "{\"x" DOC, "status_gone"},
    {STATUS, "\"status\": ", "\"status\": 1, \"status\": ", "key_twice"},
    {STATUS, "{\"" DOC, "{\"dup-1\": {\"status\": \"failed\"}, \"" DOC, "duplicate_mark"},
    {STATUS, "{\"" DOC, "{\"dup-1\": {\"status\": \"failed\", \"metadata\": {\"is_duplicate\": false}}, \"" DOC, "document_failed"},
    {STATUS, "{\"" DOC, "{\"error-1\": {\"status\": \"processed\", \"metadata\": []}, \"" DOC, "duplicate_mark"},
    {STATUS, "{\"" DOC, "{\"" DOC "\": {}, \"" DOC, "file_broken"},
    {STATUS, "{\"" DOC, "{\"more\": {\"status\": \"processed\"}, \"" DOC, "document_gone"},
    {TEXTS, "{\"" DOC, "{\"" DOC "\": {}, \"" DOC, "file_broken"},
    {TEXTS, "\"content\": \"", "\"text\": \"", "document_gone"},
    {TEXTS, "\"content\": \"Report.\\nE1 works with E2.\"", "\"content\": 7", "document_gone"},
    {TEXTS, "\"content\": \"Report.\\nE1 works with E2.\"", "\"content\": \"\"", "document_gone"},
    {TEXTS, "\"content_hash\": \"7e", "\"content_hash\": \"00", "content_hash"},
    {TEXTS, "{\"" DOC, "{\"mine\": {\"content\": \"x\", \"file_path\": \"y\"}, \"" DOC, "document_id"},
    {TEXTS, "\"parse_format\"", "\"sidecar_location\": \"/data/r.parsed\", \"parse_format\"", "sidecar_path"},
    {TEXTS, "\"parse_format\"", "\"sidecar_location\": \"r.parsed/a:b\", \"parse_format\"", "sidecar_path"},
    {TEXTS, "\"parse_format\"", "\"sidecar_location\": \"file:///no/such%20place\", \"parse_format\"", "sidecar_gone"},
    {"kv_store_text_chunks.json", "\"full_doc_id\": \"doc-c0", "\"full_doc_id\": \"doc-c1", "chunk_other_doc"},
    {"kv_store_text_chunks.json", "{\"" DOC, "{\"chunk-1\": {\"full_doc_id\": \"none\"}, \"" DOC, "chunk_no_doc"},
    {"kv_store_text_chunks.json", "\"content\": \"", "\"text\": \"", "chunk_text"},
    {"kv_store_text_chunks.json", "\"content\": \"Report.\\nE1 works with E2.\"", "\"content\": \"\"", "chunk_text"},
    {"kv_store_text_chunks.json", "\"full_doc_id\"", "\"doc_id\"", "chunk_origin"},
    {"kv_store_text_chunks.json", "default:extract:fc", "default:extract:00", "answer_gone"},
    {"kv_store_text_chunks.json", "{\"" DOC, "{\"" DOC "-chunk-000\": {}, \"" DOC, "file_broken"},
    {"kv_store_full_entities.json", "{\"" DOC, "{\"x" DOC, "no_anchors"},
    {"kv_store_full_entities.json", "[\"E1\", ", "[", "unanchored"},
    {"kv_store_full_entities.json", "[\"E1\", ", "[\"E1\", \"E9\", ", "anchor_extra"},
    {"kv_store_full_relations.json", "[[", "[[\"E1\", \"E9\"], [", "anchor_extra"},
    {"kv_store_full_relations.json", "[[\"E1\", \"E2\"]]", "[]", "unanchored"},
    {"kv_store_entity_chunks.json", "\"E1\"", "\"E9\"", "tracking_orphan"},
    {"kv_store_entity_chunks.json", "\"count\": 1", "\"count\": 2", "tracking_count"},
    {"kv_store_entity_chunks.json", "[\"doc-", "[\"x", "tracking_lacks"},
    {"kv_store_relation_chunks.json", "{\"E1", "{\"E9", "tracking_absent"},
    {"kv_store_relation_chunks.json", "{\"E1", "{\"E1<SEP>E2\": {\"chunk_ids\": []}, \"E1", "index_broken"},
    {GRAPHML, "undirected", "directed", "graph_directed"},
    {GRAPHML, "target=\"E2\"", "target=\"E9\"", "edge_endpoint"},
    {GRAPHML, "target=\"E2\"", "target=\"E1\"", "self_loop"},
    {GRAPHML, "source=\"E1\"", "source=\"E9\"", "edge_gone"},
    {GRAPHML, "<node id=\"E1\">", "<node id=\"E9\">", "node_gone"},
    {GRAPHML, ">1.0<", ">-inf<", "edge_attributes"},
    {GRAPHML, "<node id=\"E2\">", "<node id=\"E1\">", "node_twice"},
    {GRAPHML, "</edge>", "</edge><edge source=\"E2\" target=\"E1\"></edge>", "edge_twice"},
    {GRAPHML, "\"d0\">E1<", "\"d0\">E9<", "node_id"},
    {GRAPHML, "<data key=\"d2\">E1 is described in these words.</data>", "", "node_attributes"},
    {GRAPHML, "<data key=\"d9\">cooperation</data>", "", "edge_attributes"},
    {GRAPHML, "<data key=\"d13\"></data>", "", "no_truncate"},
    {GRAPHML, "\"d3\">doc-c0", "\"d3\">doc-c1", "source_gone"},
    {GRAPHML, "\"d3\">" DOC "-chunk-000", "\"d3\">manual", "source_foreign"},
    {GRAPHML, "\"d3\">" DOC "-chunk-000", "\"d3\">" DOC "-chunk-000&lt;SEP&gt;other", "node_sources"},
    {GRAPHML, "\"d10\">" DOC, "\"d10\">x", "edge_sources"},
    {GRAPHML, "<edge ", "<node id=\"E3\"><data key=\"d1\">UNKNOWN</data><data key=\"d2\">UNKNOWN</data></node><edge ", "placeholder"},
    {GRAPHML, "<edge ", "<node id=\"E3\"></node><edge ", "node_no_vector"},
    {GRAPHML, "<edge ", "<edge source=\"E1\" target=\"E1\"></edge><edge ", "edge_no_vector"},
    {"vdb_entities.json", "\"matrix\": \"kaUj", "\"matrix\": \"AACA", "row_norm"},
    {"vdb_entities.json", "\"matrix\": \"kaUjP4ti", "\"matrix\": \"AADAf4ti", "row_not_finite"},
    {"vdb_entities.json", "\"matrix\": \"kaUjP4ti", "\"matrix\": \"kaUj-4ti", "matrix_text"},
    {"vdb_entities.json", "eJxb7FzrcmY3AAo6Ay8=", "eJwL95RxPXkEAAcSAo8=", "row_cosine"},
    {"vdb_entities.json", "eJxb7FzrcmY3AAo6Ay8=", "eJxb", "row_vector"},
    {"vdb_entities.json", "\"matrix\": \"kaUj", "\"matrix\": \"", "matrix_length"},
    {"vdb_entities.json", "ent-48", "ent-49", "entity_id"},
    {"vdb_entities.json", "\"E1\\nE1", "\"E3\\nE1", "entity_content"},
    {"vdb_entities.json", "ent-560fce20abef5cd3f8e4d13c94669a46", "ent-48ed5d2db39237d7ae5e829b17581629", "record_twice"},
    {"vdb_entities.json", "\"file_path\": \"r.txt\", ", "\"further\": 1, ", "record_extra"},
    {"vdb_relationships.json", "rel-3e", "rel-3f", "relation_id"},
    {"vdb_relationships.json", "\"tgt_id\": \"E2\", ", "", "record_fields"},
    {"vdb_relationships.json", ", \"vector\": \"eJy76BHjFn4AAAoEAtM=\"", "", "no_f16"},
    {"vdb_entities.json", "\"__created_at__\"", "\"created_at\"", "record_origin"},
    {"vdb_chunks.json", ", \"file_path\": \"r.txt\"", "", "record_origin"},
    {"vdb_chunks.json", "\"full_doc_id\": \"doc-c001c3a494773d19754d7a8707f6f586\", ", "", "record_origin"},
    {"vdb_chunks.json", "\"__created_at__\"", "\"__id__\"", "key_twice"},
    {"vdb_chunks.json", "{\"__id__\": \"doc-", "{\"__id__\": \"x", "chunk_no_vector"},
};

/* The flawed text in a buffer; the caller clears it. */
static change flawed(const flaw *f, lrb_buf *text) {
    const char *before = NULL;
    for (int i = 0; i < SMALL_FILES; i++)
        if (!strcmp(SMALL_GRAPH[i].name, f->file)) before = SMALL_GRAPH[i].text;
    const char *at = strstr(before, f->from);
    if (!at) printf("%s is not in %s\n", f->from, f->file), exit(2);
    lrb_buf_init(text, 1 << 20);
    if (lrb_buf_append(text, before, (size_t)(at - before), &err) || lrb_buf_append(text, f->to, strlen(f->to), &err) ||
        lrb_buf_append(text, at + strlen(f->from), strlen(at + strlen(f->from)), &err))
        exit(2);
    return (change){f->file, (char *)text->data, text->length, NULL};
}

static const lrb_validation_options LIVE = {.workspace = "", .live = true};

TEST(each_flaw_is_found_by_its_name) {
    for (size_t i = 0; i < sizeof FLAWS / sizeof *FLAWS; i++) {
        char wanted[64];
        lrb_buf text;
        change changed = flawed(&FLAWS[i], &text);
        snprintf(wanted, sizeof wanted, "\"check\": \"%s\"", FLAWS[i].check);
        says(&changed, &LIVE, wanted);
        lrb_buf_clear(&text);
    }
}

/* ---- what only looks like a loss, or like less than one ---- */

#define CHUNKS "kv_store_text_chunks.json"

/* A custom graph on a node that was there: it names the custom chunk, and its tracking row does not. */
TEST(a_custom_graph_may_replace_the_sources_of_a_node) {
    const flaw node = {GRAPHML, "\"d3\">" DOC "-chunk-000", "\"d3\">chunk-1", "tracking_custom"};
    const flaw custom = {CHUNKS, "{\"" DOC, "{\"chunk-1\": {\"content\": \"c\", \"full_doc_id\": \"" DOC "\", \"source_id\": \"s\", "
                         "\"status\": \"processed\"}, \"" DOC, "chunk_no_doc"};
    const flaw plain = {CHUNKS, "{\"" DOC, "{\"chunk-1\": {\"content\": \"c\", \"full_doc_id\": \"none\"}, \"" DOC, ""};
    lrb_buf graph, chunks;
    change changed = flawed(&node, &graph), with = flawed(&custom, &chunks);
    changed.also = &with;
    says(&changed, &PLAIN, "\"tracking_custom\"");
    says(&changed, &PLAIN, "\"chunk_no_doc\"");
    lrb_buf_clear(&chunks);
    with = flawed(&plain, &chunks);
    says(&changed, &PLAIN, "\"tracking_lacks\"");
    lrb_buf_clear(&chunks);
    lrb_buf_clear(&graph);
}

/* Each takes a witness from the loss of node E1, beside the graph without it. */
TEST(a_node_is_lost_only_when_all_say_so) {
    static const flaw less[] = {{"vdb_entities.json", "\"entity_name\": \"E1\"", "\"entity_name\": \"E7\"", ""},
                                {"kv_store_entity_chunks.json", "\"E1\"", "\"E7\"", ""},
                                {"kv_store_full_entities.json", "[\"E1\", ", "[", ""},
                                {STATUS, "\"processed\"", "\"processing\"", ""},
                                {STATUS, "\"metadata\": {", "\"metadata\": {\"kg_purge\": {}, ", ""},
                                {CHUNKS, "{\"" DOC, "{\"x" DOC, ""}};
    const flaw gone = {GRAPHML, "<node id=\"E1\">", "<node id=\"E9\">", ""};
    lrb_buf graph, other, json;
    lrb_buf_init(&json, 1 << 20);
    change changed = flawed(&gone, &graph);
    for (size_t i = 0; i < sizeof less / sizeof *less; i++) {
        change with = flawed(&less[i], &other);
        changed.also = &with;
        CHECK_OK(validate(&changed, &PLAIN, &json));
        CHECK(!strstr((char *)json.data, "\"node_gone\""));
        lrb_buf_clear(&other);
    }
    lrb_buf_clear(&graph);
    lrb_buf_clear(&json);
}

/* Custom chunks of releases before 1.5 have a text, and neither a status nor anchors. */
TEST(a_document_without_a_status_is_lost_by_its_anchors_or_its_chunks_ids) {
    const change none = BECOMES(STATUS, "{\"other\": {}}"), anchors = BECOMES("kv_store_full_entities.json", "{}");
    const change relations = BECOMES("kv_store_full_relations.json", "{}"), empty = BECOMES(STATUS, "{}");
    const char *custom = "{\"chunk-1\": {\"content\": \"c\", \"full_doc_id\": \"" DOC "\"}}";
    const change chunks = {CHUNKS, custom, strlen(custom), NULL};
    const change *const neither[] = {&none, &anchors, &relations, &chunks};
    change list[4];
    lrb_buf json;
    lrb_buf_init(&json, 1 << 20);
    for (int kept = 0; kept < 4; kept++) { /* all but one of the three, or all */
        int used = 0;
        for (int i = 0; i < 4; i++)
            if (!i || i != kept) list[used++] = *neither[i];
        for (int i = 0; i + 1 < used; i++) list[i].also = &list[i + 1];
        CHECK_OK(validate(list, &PLAIN, &json));
        CHECK((strstr((char *)json.data, "\"status_gone\"") != NULL) == (kept != 0));
    }
    says(&empty, &PLAIN, "\"status_emptied\"");
    CHECK_OK(validate(&empty, &PLAIN, &json));
    CHECK(!strstr((char *)json.data, "\"status_gone\""));
    lrb_buf_clear(&json);
}

TEST(what_is_a_uri_is_no_path) {
    static const char *const uris[] = {"s3://b/r.parsed", "unknown_source", "", "x-y+z.1:r"};
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        char to[128];
        snprintf(to, sizeof to, "\"sidecar_location\": \"%s\", \"parse_format\"", uris[i]);
        lrb_buf text;
        change changed = flawed(&(flaw){TEXTS, "\"parse_format\"", to, ""}, &text);
        says(&changed, &LIVE, "\"findings\": []");
        lrb_buf_clear(&text);
    }
}

/* ---- any file in any state ---- */

TEST(every_truncation_of_every_file_is_a_finding) {
    lrb_buf json;
    lrb_buf_init(&json, 1 << 20);
    for (int i = 0; i < SMALL_FILES; i++) {
        size_t length = strlen(SMALL_GRAPH[i].text);
        for (size_t count = 0; count < length; count += 1 + count / 40) {
            CHECK_OK(validate(&(change){SMALL_GRAPH[i].name, SMALL_GRAPH[i].text, count, NULL}, &PLAIN, &json));
            CHECK(strstr((char *)json.data, "_broken\", \"severity\": \"error\""));
        }
    }
    lrb_buf_clear(&json);
}

TEST(every_changed_byte_is_answered) {
    lrb_buf json, copy;
    lrb_buf_init(&json, 1 << 20);
    lrb_buf_init(&copy, 1 << 20);
    for (int i = 0; i < SMALL_FILES; i++) {
        size_t length = strlen(SMALL_GRAPH[i].text);
        lrb_buf_empty(&copy);
        CHECK_OK(lrb_buf_append(&copy, SMALL_GRAPH[i].text, length, &err));
        for (size_t at = 0; at < length; at++) {
            copy.data[at] ^= (uint8_t)(1 << at % 8);
            CHECK_OK(validate(&(change){SMALL_GRAPH[i].name, (char *)copy.data, length, NULL}, &PLAIN, &json));
            copy.data[at] ^= (uint8_t)(1 << at % 8);
        }
    }
    lrb_buf_clear(&json);
    lrb_buf_clear(&copy);
}

TEST(a_file_given_twice_is_refused_and_a_foreign_one_passed_over) {
    lrb_validation *v;
    bool taken;
    lrb_bytes bytes = lrb_bytes_of_memory("{}", 2);
    CHECK_OK(lrb_validation_new(&PLAIN, &v, &err));
    CHECK_OK(lrb_validation_add(v, "kv_store_full_docs.json", &bytes, &taken, &err));
    CHECK(taken && lrb_validation_takes("kv_store_full_docs.json") && !lrb_validation_takes("notes.txt"));
    CHECK_OK(lrb_validation_add(v, "notes.txt", &bytes, &taken, &err));
    CHECK(!taken);
    CHECK_FAILS(lrb_validation_add(v, "kv_store_full_docs.json", &bytes, &taken, &err), LRB_E_EXISTS);
    for (int i = 0; i < 100; i++) {
        char name[40];
        snprintf(name, sizeof name, "kv_store_x%d.json", i);
        CHECK_OK(lrb_validation_add(v, name, &bytes, &taken, &err));
        CHECK(taken == (i < 64));
    }
    CHECK_OK(step_to_the_end(v, &err));
    lrb_validation_free(v);
}

static int refuse_all(const char *const *names, size_t count, lrb_verdict *verdict) {
    lrb_validation *v;
    int code = lrb_validation_new(&PLAIN, &v, &err);
    if (code) return code;
    for (size_t i = 0; !code && i < count; i++) code = lrb_validation_refuse(v, names[i], "it is no regular file", &err);
    if (!code) code = step_to_the_end(v, &err);
    *verdict = lrb_report_verdict(lrb_validation_report(v));
    lrb_validation_free(v);
    return code;
}

TEST(what_is_no_file_is_a_finding_of_its_name) {
    static const char *const names[] = {"kv_store_new.json", "notes.txt", "kv_store_llm_response_cache.json", "vdb_chunks.json",
                                        "kv_store_doc_status.json"};
    const lrb_verdict verdicts[] = {LRB_VERDICT_USABLE, LRB_VERDICT_USABLE, LRB_VERDICT_REPAIRABLE, LRB_VERDICT_REPAIRABLE, LRB_VERDICT_UNUSABLE};
    lrb_verdict verdict;
    for (size_t count = 0; count < sizeof names / sizeof *names; count++) {
        CHECK_OK(refuse_all(names, count + 1, &verdict));
        CHECK(verdict == verdicts[count]);
    }
    CHECK_FAILS(refuse_all((const char *const[]){"vdb_chunks.json", "vdb_chunks.json"}, 2, &verdict), LRB_E_EXISTS);
    for (int64_t countdown = 0;; countdown++) {
        lrb_mem_fail_after(countdown, false);
        int code = refuse_all(names, sizeof names / sizeof *names, &verdict);
        lrb_mem_fail_after(-1, false);
        if (!code) break;
        CHECK_FAILS(code, LRB_E_NOMEM);
    }
}

/* ---- memory, reading ---- */

TEST(every_failing_allocation_is_survived) {
    const change changes[] = {
        BECOMES("kv_store_entity_chunks.json", "{\"E1\": {\"chunk_ids\": [\"x\"], \"count\": 1}, \"E3\": {\"chunk_ids\": []}}"),
        BECOMES("vdb_relationships.json", "{\"data\": [{\"__id__\": \"r\", \"src_id\": \"a\", \"tgt_id\": \"b\", \"content\": \"\", "
                                          "\"vector\": \"e\\/\"}], \"matrix\": \"AAAAAAAAAAAAA\\u0041AA\", \"embedding_dim\": 3}"),
        BECOMES("faiss_index_chunks.index.meta.json", "{\"0\": {\"__id__\": \"c\", \"content\": \"\"}}")};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) survives_every_failing_allocation(&changes[i], &LIVE);
    for (size_t i = 0; i < sizeof FLAWS / sizeof *FLAWS; i++) {
        lrb_buf text;
        change changed = flawed(&FLAWS[i], &text);
        survives_every_failing_allocation(&changed, &LIVE);
        lrb_buf_clear(&text);
    }
}

/* ---- rows that another reader has compared ---- */

/* Validates the small graph with relations whose matrix is all zeros, told what was seen of their rows; how many rows are found wrong. */
static uint64_t wrong_rows_when_told(const lrb_rows_seen *seen) {
    const change zeros = BECOMES("vdb_relationships.json", "{\"embedding_dim\": 3, \"data\": [{\"__id__\": \"a\", \"vector\": "
                                 "\"eJy76BHjFn4AAAoEAtM=\"}, {\"__id__\": \"b\", \"vector\": \"eJy76BHjFn4AAAoEAtM=\"}], \"matrix\": "
                                 "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}");
    lrb_validation *v;
    lrb_bytes bytes[JUDGED_FILES];
    if (lrb_validation_new(&PLAIN, &v, &err) || give(v, &zeros, bytes, &err)) exit(2);
    lrb_validation_rows_seen(v, zeros.name, seen);
    lrb_validation_rows_seen(v, "notes.txt", seen);
    if (step_to_the_end(v, &err)) exit(2);
    uint64_t count = lrb_validation_report(v)->lines[LRB_CHECK_ROW_NORM].count;
    lrb_validation_free(v);
    return count;
}

TEST(rows_another_reader_compared_are_left_alone_where_they_are_the_same) {
    const lrb_rows_seen right = {2, 144, lrb_row_place(0, 57, 20) + lrb_row_place(1, 108, 20), 3};
    lrb_rows_seen wrong[5] = {right, right, right, right, {.rows = 0}};
    CHECK(wrong_rows_when_told(&right) == 0);
    wrong[0].rows--;
    wrong[1].matrix_at++;
    wrong[2].dim++;
    wrong[3].places = lrb_row_place(1, 57, 20) + lrb_row_place(0, 108, 20);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(wrong_rows_when_told(&wrong[i]) == 2);
}

TEST(what_cannot_be_read_is_no_finding) {
    lrb_validation *v;
    bool taken;
    lrb_bytes bytes = {.read = failing_read, .length = 10};
    CHECK_OK(lrb_validation_new(&PLAIN, &v, &err));
    CHECK_OK(lrb_validation_add(v, "vdb_entities.json", &bytes, &taken, &err));
    CHECK_FAILS(step_to_the_end(v, &err), LRB_E_IO);
    lrb_validation_free(v);
}

/* ---- a second thread ---- */

typedef struct meanwhile { /* what another thread finds while one file is being read for the first time */
    lrb_validation *v;
    lrb_bytes bytes;
    lrb_validation_state state;
    unsigned steps; /* 0: not yet */
} meanwhile;

static int read_meanwhile(const lrb_bytes *self, void *thread, uint64_t offset, void *into, size_t room, size_t *got, lrb_err *error) {
    meanwhile *m = self->arg;
    int code = LRB_OK;
    for (bool first = !m->steps; !code && first && m->state == LRB_VALIDATION_MORE && m->steps < 1000; m->steps++)
        code = lrb_validation_step(m->v, thread, &m->state, error);
    return code ? code : m->bytes.read(&m->bytes, thread, offset, into, room, got, error);
}

TEST(whoever_finds_only_others_work_left_is_told_so) {
    for (int slow = 0; slow < SMALL_FILES; slow++) {
        meanwhile m = {.state = LRB_VALIDATION_MORE};
        lrb_bytes bytes[SMALL_FILES];
        bool taken;
        CHECK_OK(lrb_validation_new(&PLAIN, &m.v, &err));
        for (int i = 0; i < SMALL_FILES; i++) {
            bytes[i] = lrb_bytes_of_memory(SMALL_GRAPH[i].text, strlen(SMALL_GRAPH[i].text));
            if (i == slow) m.bytes = bytes[i], bytes[i] = (lrb_bytes){read_meanwhile, &m, m.bytes.length};
            CHECK_OK(lrb_validation_add(m.v, SMALL_GRAPH[i].name, &bytes[i], &taken, &err));
        }
        CHECK_OK(step_to_the_end(m.v, &err));
        CHECK(m.steps && m.state == LRB_VALIDATION_IDLE);
        CHECK(lrb_report_verdict(lrb_validation_report(m.v)) == LRB_VERDICT_USABLE);
        lrb_validation_free(m.v);
    }
}

int main(void) {
    RUN(the_small_graph_is_usable);
    RUN(what_is_missing_is_said_where_others_need_it);
    RUN(dimensions_are_compared_with_what_is_configured);
    RUN(an_anchor_has_to_name_the_store);
    RUN(each_flaw_is_found_by_its_name);
    RUN(a_custom_graph_may_replace_the_sources_of_a_node);
    RUN(a_node_is_lost_only_when_all_say_so);
    RUN(a_document_without_a_status_is_lost_by_its_anchors_or_its_chunks_ids);
    RUN(what_is_a_uri_is_no_path);
    RUN(what_is_no_file_is_a_finding_of_its_name);
    RUN(every_truncation_of_every_file_is_a_finding);
    RUN(every_changed_byte_is_answered);
    RUN(a_file_given_twice_is_refused_and_a_foreign_one_passed_over);
    RUN(every_failing_allocation_is_survived);
    RUN(rows_another_reader_compared_are_left_alone_where_they_are_the_same);
    RUN(what_cannot_be_read_is_no_finding);
    RUN(whoever_finds_only_others_work_left_is_told_so);
    return check_report();
}
