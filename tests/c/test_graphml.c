/* GraphML: what LightRAG writes is read, what networkx would refuse is refused, and no file can do harm. */
#include "lightrag/graphml.h"

#include "base/buf.h"
#include "base/mem.h"
#include "check.h"

static lrb_err err;

#define HEAD "<?xml version='1.0' encoding='utf-8'?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n" \
    "<key id=\"d9\" for=\"edge\" attr.name=\"weight\" attr.type=\"double\" />\n" \
    "<key id=\"d6\" for=\"node\" attr.name=\"truncate\" attr.type=\"string\" />\n" \
    "<key id=\"d5\" for=\"node\" attr.name=\"created_at\" attr.type=\"long\" />\n" \
    "<key id=\"d3\" for=\"node\" attr.name=\"source_id\" attr.type=\"string\" />\n" \
    "<key id=\"d2\" for=\"node\" attr.name=\"description\" attr.type=\"string\" />\n" \
    "<key id=\"d1\" for=\"node\" attr.name=\"entity_type\" attr.type=\"string\" />\n" \
    "<key id=\"d0\" for=\"node\" attr.name=\"entity_id\" attr.type=\"string\" />\n"
#define GRAPH(inside) HEAD "<graph edgedefault=\"undirected\">" inside "</graph></graphml>"

/* ---- what was seen, written down ---- */

static int note(void *arg, const lrb_graph_object *o, lrb_err *error) {
    char line[256];
    int length = snprintf(line, sizeof line, "%s%s%s a=%x e=%s s=%.40s%s%s%s%s%s\n", o->id, o->is_edge ? "->" : "", o->target, o->attributes,
                          o->entity_id, o->source_id, o->type_unknown ? " type?" : "", o->description_unknown ? " words?" : "",
                          o->truncated ? " cut" : "", o->weight_is_number ? " weight" : "", o->directed ? " directed" : "");
    return lrb_buf_append(arg, line, (size_t)length, error);
}

/* Feeds `text` in pieces of `step` bytes; what was seen is in out, NUL-terminated. */
static int read_in_steps(const char *text, size_t count, size_t step, lrb_buf *out) {
    lrb_graphml *g;
    bool directed;
    lrb_buf_empty(out);
    int code = lrb_graphml_new(note, out, &g, &err);
    if (code) return code;
    for (size_t at = 0; !code && at < count; at += step)
        code = lrb_graphml_feed(g, text + at, count - at < step ? count - at : step, &err);
    if (!code) code = lrb_graphml_finish(g, &directed, &err);
    if (!code && directed) code = lrb_buf_append(out, "DIRECTED", 8, &err);
    lrb_graphml_free(g);
    return code ? code : lrb_buf_append(out, "", 1, &err);
}

static void reads_as(const char *text, const char *wanted) {
    static const size_t steps[] = {1, 7, 1 << 20};
    lrb_buf out;
    lrb_buf_init(&out, 1 << 16);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        CHECK_OK(read_in_steps(text, strlen(text), steps[i], &out));
        if (strcmp((char *)out.data, wanted)) printf("%s\n", (char *)out.data);
        CHECK(!strcmp((char *)out.data, wanted));
    }
    lrb_buf_clear(&out);
}

static void is_refused(const char *text, const char *because) {
    lrb_buf out;
    lrb_buf_init(&out, 1 << 24);
    int code = read_in_steps(text, strlen(text), 4096, &out);
    lrb_buf_clear(&out);
    if (code != LRB_E_INVALID || !strstr(err.message, because)) printf("%.200s: %s\n", text, code ? err.message : "accepted");
    CHECK(code == LRB_E_INVALID && strstr(err.message, because));
}

TEST(nodes_and_edges_come_with_their_attributes) {
    reads_as(GRAPH("<node id=\"A\"><data key=\"d0\">A</data><data key=\"d1\">concept</data><data key=\"d2\">words</data>"
                   "<data key=\"d3\">c1&lt;SEP&gt;c2</data><data key=\"d5\">17</data><data key=\"d6\" /></node>"
                   "<edge source=\"A\" target=\"B &amp; &#228;\"><data key=\"d9\">1.5</data></edge>"),
             "A a=6f e=A s=c1<SEP>c2\nA->B & \xc3\xa4 a=80 e= s= weight\n");
    reads_as(GRAPH("<node id=\"P\"><data key=\"d1\">UNKNOWN</data><data key=\"d2\">UNKNOWN</data><data key=\"d6\">KEEP 200/300</data></node>"),
             "P a=46 e= s= type? words? cut\n");
    reads_as(GRAPH(""), "");
}

TEST(odd_but_readable_files) {
    reads_as("<graphml><graph edgedefault=\"directed\"><node id=\"x\"/><node id=\"\"/></graph></graphml>", "x a=0 e= s=\n a=0 e= s=\nDIRECTED");
    reads_as(GRAPH("<edge source=\"a\" target=\"b\" directed=\"true\"/>"), "a->b a=0 e= s= directed\n");
    reads_as("<!DOCTYPE graphml>" "<graphml><graph><!-- c --><node id=\"x\"><desc>more</desc><graph><node id=\"inner\"/></graph></node></graph></graphml>",
             "x a=0 e= s=\n");
    reads_as(HEAD "<key id=\"d5\" for=\"node\" attr.name=\"created_at\" attr.type=\"string\"/><graph><node id=\"x\"><data key=\"d5\">soon</data></node></graph></graphml>",
             "x a=20 e= s=\n");
    reads_as(GRAPH("<edge source=\"a\" target=\"b\"><data key=\"d9\"> -1e-3 </data></edge><edge source=\"a\" target=\"c\"><data key=\"d9\">inf</data></edge>"),
             "a->b a=80 e= s= weight\na->c a=80 e= s=\n");
}

TEST(what_lightrag_could_not_load) {
    is_refused("", "no element found");
    is_refused("{}", "not well-formed");
    is_refused(HEAD, "no element found");
    is_refused("<html/>", "some other XML");
    is_refused("<graphml/>", "no graph in it");
    is_refused("<g:graphml xmlns:g=\"urn:other\"><graph/></g:graphml>", "some other XML");
    is_refused("<graphml><graph/><graph/></graphml>", "more than one graph");
    is_refused(GRAPH("<node/>"), "a node without id");
    is_refused(GRAPH("<edge source=\"a\"/>"), "an edge without source or target");
    is_refused(GRAPH("<hyperedge/>"), "a hyperedge");
    is_refused(GRAPH("<node id=\"a\"><data key=\"d77\">x</data></node>"), "not declared");
    is_refused(GRAPH("<node id=\"a\"><data>x</data></node>"), "not declared");
    is_refused(GRAPH("<node id=\"a\"><data key=\"d5\">soon</data></node>"), "not of its key's type");
    is_refused(GRAPH("<edge source=\"a\" target=\"b\"><data key=\"d9\">1,5</data></edge>"), "not of its key's type");
    is_refused(GRAPH("<node id=\"a\"></edge>"), "mismatched tag");
    is_refused(GRAPH("<node id=\"a\"/>") "x", "junk after document element");
    is_refused("<graphml><key id=\"d\" attr.type=\"blob\"/></graphml>", "a type that is unknown");
    is_refused("<graphml><key attr.type=\"int\"/></graphml>", "a key without id");
    is_refused("<?xml version='1.0' encoding='klingon'?><graphml/>", "unknown encoding");
    is_refused("<graphml><graph><node id=\"\xff\"/></graph></graphml>", "not well-formed");
}

TEST(bombs_are_refused) {
    is_refused("<!DOCTYPE g [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><graphml><graph/></graphml>", "entity declaration");
    is_refused("<!DOCTYPE g [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><graphml><graph/></graphml>", "entity declaration");
    is_refused("<!DOCTYPE g [<!ENTITY % p \"x\">]><graphml><graph/></graphml>", "entity declaration");
}

static char *wrapped(const char *front, const char *what, size_t times, const char *back) {
    size_t length = strlen(what);
    char *text = lrb_alloc(strlen(front) + times * length + strlen(back) + 1), *at = text ? stpcpy(text, front) : NULL;
    if (!text) return NULL;
    for (size_t i = 0; i < times; i++, at += length) memcpy(at, what, length);
    stpcpy(at, back);
    return text;
}

TEST(ceilings_are_said) {
    char *deep = wrapped("<graphml>", "<a>", 2000, ""), *tag = wrapped("<graphml><graph><node id=\"", "0123456789abcdef", 1 << 17, "\"/></graph></graphml>");
    char *value = wrapped(HEAD "<graph><node id=\"a\"><data key=\"d3\">", "0123456789abcdef", 1 << 20, "</data></node></graph></graphml>");
    char *words = wrapped(HEAD "<graph><node id=\"a\"><data key=\"d2\">", "0123456789abcdef", 1 << 20, "</data></node></graph></graphml>");
    char *keys = wrapped("<graphml>", "<key id=\"a\"/>", 5000, "<graph/></graphml>");
    CHECK(deep && tag && value && words && keys);
    is_refused(deep, "100 deep");
    is_refused(tag, "a tag of more than 1 MiB");
    is_refused(value, "a value of more than 8 MiB");
    reads_as(words, "a a=4 e= s=\n");
    reads_as(keys, "");
    lrb_free(deep), lrb_free(tag), lrb_free(value), lrb_free(words), lrb_free(keys);
}

TEST(a_thousand_keys_are_enough) {
    lrb_buf text;
    char line[40];
    lrb_buf_init(&text, 1 << 20);
    CHECK_OK(lrb_buf_append(&text, "<graphml>", 9, &err));
    for (int i = 0; i <= LRB_GRAPHML_MAX_KEYS; i++)
        CHECK_OK(lrb_buf_append(&text, line, (size_t)snprintf(line, sizeof line, "<key id=\"d%d\"/>", i), &err));
    CHECK_OK(lrb_buf_append(&text, "", 1, &err));
    is_refused((char *)text.data, "more than 1024 keys");
    lrb_buf_clear(&text);
}

static const char small[] = GRAPH("<node id=\"A\"><data key=\"d3\">c1</data></node><edge source=\"A\" target=\"B\"/>");

TEST(every_beginning_and_every_flip_is_answered) {
    char text[sizeof small];
    lrb_buf out;
    lrb_buf_init(&out, 1 << 16);
    for (size_t count = 0; count < sizeof small - 1; count++)
        CHECK_FAILS(read_in_steps(small, count, 4096, &out), LRB_E_INVALID);
    for (size_t at = 0; at < sizeof small - 1; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(text, small, sizeof small);
            text[at] = (char)(text[at] ^ 1 << bit);
            int code = read_in_steps(text, sizeof small - 1, 4096, &out);
            CHECK(!code || code == LRB_E_INVALID);
        }
    lrb_buf_clear(&out);
}

static int give_up(void *arg, const lrb_graph_object *object, lrb_err *error) {
    (void)arg;
    return lrb_err_set(error, LRB_E_CANCELLED, "look", object->id, "that is enough");
}

TEST(what_the_caller_says_ends_the_reading) {
    lrb_graphml *g;
    CHECK_OK(lrb_graphml_new(give_up, NULL, &g, &err));
    CHECK_FAILS(lrb_graphml_feed(g, small, sizeof small - 1, &err), LRB_E_CANCELLED);
    CHECK(!strcmp(err.target, "A"));
    lrb_graphml_free(g);
}

TEST(every_failing_allocation_is_survived) {
    lrb_buf out;
    lrb_buf_init(&out, 1 << 16);
    for (int64_t countdown = 0;; countdown++) {
        lrb_mem_fail_after(countdown, false);
        int code = read_in_steps(small, sizeof small - 1, 64, &out);
        lrb_mem_fail_after(-1, false);
        if (!code) break;
        CHECK_FAILS(code, LRB_E_NOMEM);
    }
    lrb_buf_clear(&out);
}

int main(void) {
    RUN(nodes_and_edges_come_with_their_attributes);
    RUN(odd_but_readable_files);
    RUN(what_lightrag_could_not_load);
    RUN(bombs_are_refused);
    RUN(ceilings_are_said);
    RUN(a_thousand_keys_are_enough);
    RUN(every_beginning_and_every_flip_is_answered);
    RUN(what_the_caller_says_ends_the_reading);
    RUN(every_failing_allocation_is_survived);
    return check_report();
}
