/* A whole graph of LightRAG 1.5.7: one document, two entities, one relation, vectors of three numbers. What the pipeline
 * wrote, less white space and what nothing depends on.
 */
#ifndef LRB_TESTS_SMALL_GRAPH_H
#define LRB_TESTS_SMALL_GRAPH_H

#include <stddef.h>

typedef struct small_file {
    const char *name, *text;
} small_file;

static const small_file SMALL_GRAPH[] = {
    {"graph_chunk_entity_relation.graphml",
     "<?xml version='1.0' encoding='utf-8'?><graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\"><key id=\""
     "d13\" for=\"edge\" attr.name=\"truncate\" attr.type=\"string\"/><key id=\"d12\" for=\"edge\" attr.name=\""
     "created_at\" attr.type=\"long\"/><key id=\"d11\" for=\"edge\" attr.name=\"file_path\" attr.type=\"string\""
     "/><key id=\"d10\" for=\"edge\" attr.name=\"source_id\" attr.type=\"string\"/><key id=\"d9\" for=\"edge\" "
     "attr.name=\"keywords\" attr.type=\"string\"/><key id=\"d8\" for=\"edge\" attr.name=\"description\" attr.t"
     "ype=\"string\"/><key id=\"d7\" for=\"edge\" attr.name=\"weight\" attr.type=\"double\"/><key id=\"d6\" for"
     "=\"node\" attr.name=\"truncate\" attr.type=\"string\"/><key id=\"d5\" for=\"node\" attr.name=\"created_at"
     "\" attr.type=\"long\"/><key id=\"d4\" for=\"node\" attr.name=\"file_path\" attr.type=\"string\"/><key id="
     "\"d3\" for=\"node\" attr.name=\"source_id\" attr.type=\"string\"/><key id=\"d2\" for=\"node\" attr.name=\""
     "description\" attr.type=\"string\"/><key id=\"d1\" for=\"node\" attr.name=\"entity_type\" attr.type=\"str"
     "ing\"/><key id=\"d0\" for=\"node\" attr.name=\"entity_id\" attr.type=\"string\"/><graph edgedefault=\"und"
     "irected\"><node id=\"E1\"><data key=\"d0\">E1</data><data key=\"d1\">concept</data><data key=\"d2\">E1 is"
     " described in these words.</data><data key=\"d3\">doc-c001c3a494773d19754d7a8707f6f586-chunk-000</data><d"
     "ata key=\"d4\">r.txt</data><data key=\"d5\">1795646449</data><data key=\"d6\"></data></node><node id=\"E2"
     "\"><data key=\"d0\">E2</data><data key=\"d1\">concept</data><data key=\"d2\">E2 is described in these wor"
     "ds.</data><data key=\"d3\">doc-c001c3a494773d19754d7a8707f6f586-chunk-000</data><data key=\"d4\">r.txt</d"
     "ata><data key=\"d5\">1795646449</data><data key=\"d6\"></data></node><edge source=\"E1\" target=\"E2\"><d"
     "ata key=\"d7\">1.0</data><data key=\"d8\">E1 relates to E2.</data><data key=\"d9\">cooperation</data><dat"
     "a key=\"d10\">doc-c001c3a494773d19754d7a8707f6f586-chunk-000</data><data key=\"d11\">r.txt</data><data ke"
     "y=\"d12\">1795646449</data><data key=\"d13\"></data></edge></graph></graphml>"},
    {"kv_store_doc_status.json",
     "{\"doc-c001c3a494773d19754d7a8707f6f586\": {\"status\": \"processed\", \"content_summary\": \"Report.\", \"content_length\": 25, "
     "\"created_at\": \"2026-11-25T22:40:49+00:00\", \"updated_at\": \"2026-11-25T22:40:49+00:00\", \"file_path\": \"r.txt\", \"content_hash\": \"7e0f03e5e6b43d4bd27de651fd2debb1\", \"metadata\": {\"kg_write_state\""
     ": \"graph_mutation_started\"}, \"chunks_count\": 1, \"chunks_list\": [\"doc-c001c3a494773d19754d7a8707f6f"
     "586-chunk-000\"]}}"},
    {"kv_store_entity_chunks.json",
     "{\"E1\": {\"chunk_ids\": [\"doc-c001c3a494773d19754d7a8707f6f586-chunk-000\"], \"count\": 1, \"create_tim"
     "e\": 1795646449, \"update_time\": 1795646449, \"_id\": \"E1\"}, \"E2\": {\"chunk_ids\": [\"doc-c001c3a494"
     "773d19754d7a8707f6f586-chunk-000\"], \"count\": 1, \"create_time\": 1795646449, \"update_time\": 17956464"
     "49, \"_id\": \"E2\"}}"},
    {"kv_store_full_docs.json",
     "{\"doc-c001c3a494773d19754d7a8707f6f586\": {\"content\": \"Report.\\nE1 works with E2.\", \"file_path\": "
     "\"r.txt\", \"parse_format\": \"raw\", \"content_hash\": \"7e0f03e5e6b43d4bd27de651fd2debb1\", \"create_ti"
     "me\": 1795646449, \"update_time\": 1795646449, \"_id\": \"doc-c001c3a494773d19754d7a8707f6f586\"}}"},
    {"kv_store_full_entities.json",
     "{\"doc-c001c3a494773d19754d7a8707f6f586\": {\"entity_names\": [\"E1\", \"E2\"], \"count\": 2, \"create_ti"
     "me\": 1795646449, \"update_time\": 1795646449, \"_id\": \"doc-c001c3a494773d19754d7a8707f6f586\"}}"},
    {"kv_store_full_relations.json",
     "{\"doc-c001c3a494773d19754d7a8707f6f586\": {\"relation_pairs\": [[\"E1\", \"E2\"]], \"count\": 1, \"creat"
     "e_time\": 1795646449, \"update_time\": 1795646449, \"_id\": \"doc-c001c3a494773d19754d7a8707f6f586\"}}"},
    {"kv_store_llm_response_cache.json",
     "{\"default:extract:fc93aba9d35f87aeafdfc969facda288\": {\"return\": \"...\"}}"},
    {"kv_store_relation_chunks.json",
     "{\"E1<SEP>E2\": {\"chunk_ids\": [\"doc-c001c3a494773d19754d7a8707f6f586-chunk-000\"], \"count\": 1, \"cre"
     "ate_time\": 1795646449, \"update_time\": 1795646449, \"_id\": \"E1<SEP>E2\"}}"},
    {"kv_store_text_chunks.json",
     "{\"doc-c001c3a494773d19754d7a8707f6f586-chunk-000\": {\"tokens\": 25, \"content\": \"Report.\\nE1 works w"
     "ith E2.\", \"chunk_order_index\": 0, \"full_doc_id\": \"doc-c001c3a494773d19754d7a8707f6f586\", \"file_pa"
     "th\": \"r.txt\", \"llm_cache_list\": [\"default:extract:fc93aba9d35f87aeafdfc969facda288\"], \"create_tim"
     "e\": 1795646449, \"update_time\": 1795646449, \"_id\": \"doc-c001c3a494773d19754d7a8707f6f586-chunk-000\""
     "}}"},
    {"vdb_chunks.json",
     "{\"embedding_dim\": 3, \"data\": [{\"__id__\": \"doc-c001c3a494773d19754d7a8707f6f586-chunk-000\", \"__cr"
     "eated_at__\": 1795646449, \"__write_seq__\": 1795646449911551390, \"content\": \"Report.\\nE1 works with "
     "E2.\", \"full_doc_id\": \"doc-c001c3a494773d19754d7a8707f6f586\", \"file_path\": \"r.txt\", \"vector\": \""
     "eJyb73ltb8p+AAxDA58=\"}], \"matrix\": \"vZF6P2UEAr5IqCS+\"}"},
    {"vdb_entities.json",
     "{\"embedding_dim\": 3, \"data\": [{\"__id__\": \"ent-48ed5d2db39237d7ae5e829b17581629\", \"__created_at__"
     "\": 1795646449, \"__write_seq__\": 1795646449925258554, \"entity_name\": \"E1\", \"content\": \"E1\\nE1 i"
     "s described in these words.\", \"source_id\": \"doc-c001c3a494773d19754d7a8707f6f586-chunk-000\", \"file_"
     "path\": \"r.txt\", \"vector\": \"eJxb7FzrcmY3AAo6Ay8=\"}, {\"__id__\": \"ent-560fce20abef5cd3f8e4d13c9466"
     "9a46\", \"__created_at__\": 1795646449, \"__write_seq__\": 1795646449925313349, \"entity_name\": \"E2\", "
     "\"content\": \"E2\\nE2 is described in these words.\", \"source_id\": \"doc-c001c3a494773d19754d7a8707f6f"
     "586-chunk-000\", \"file_path\": \"r.txt\", \"vector\": \"eJwL95RxPXkEAAcSAo8=\"}], \"matrix\": \"kaUjP4ti"
     "QD/hCCe+SxdWP6jqzD4+3r++\"}"},
    {"vdb_relationships.json",
     "{\"embedding_dim\": 3, \"data\": [{\"__id__\": \"rel-3e8693d4922189a232fe958564f977ea\", \"__created_at__"
     "\": 1795646449, \"__write_seq__\": 1795646449925900138, \"src_id\": \"E1\", \"tgt_id\": \"E2\", \"source_"
     "id\": \"doc-c001c3a494773d19754d7a8707f6f586-chunk-000\", \"content\": \"cooperation\\tE1\\nE2\\nE1 relat"
     "es to E2.\", \"file_path\": \"r.txt\", \"vector\": \"eJy76BHjFn4AAAoEAtM=\"}], \"matrix\": \"SflRP6aXCj9+"
     "Rz2+\"}"},
};
enum { SMALL_FILES = sizeof SMALL_GRAPH / sizeof *SMALL_GRAPH };

#endif
