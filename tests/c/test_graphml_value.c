/* Values by their type, as Python's int, float and networkx's booleans take them; and which numbers are finite. */
#include "lightrag/graphml_value.h"

#include <stddef.h>

#include "check.h"

TEST(types_are_those_of_networkx) {
    lrb_graphml_type type;
    CHECK(lrb_graphml_type_named("double", &type) && type == LRB_GRAPHML_REAL);
    CHECK(lrb_graphml_type_named("long", &type) && type == LRB_GRAPHML_INTEGER);
    CHECK(lrb_graphml_type_named("boolean", &type) && type == LRB_GRAPHML_BOOLEAN);
    CHECK(!lrb_graphml_type_named("decimal", &type) && !lrb_graphml_type_named("", &type));
}

TEST(values_are_of_their_type) {
    CHECK(lrb_graphml_is_of_type(" -12 ", LRB_GRAPHML_INTEGER) && !lrb_graphml_is_of_type("1.0", LRB_GRAPHML_INTEGER));
    CHECK(lrb_graphml_is_of_type("+.5e-3", LRB_GRAPHML_REAL) && lrb_graphml_is_of_type("-Infinity", LRB_GRAPHML_REAL));
    CHECK(!lrb_graphml_is_of_type(".", LRB_GRAPHML_REAL) && !lrb_graphml_is_of_type("1e", LRB_GRAPHML_REAL));
    CHECK(lrb_graphml_is_of_type("True", LRB_GRAPHML_BOOLEAN) && !lrb_graphml_is_of_type("yes", LRB_GRAPHML_BOOLEAN));
    CHECK(lrb_graphml_is_of_type("anything", LRB_GRAPHML_STRING));
}

TEST(numbers_are_finite_below_their_limit) {
    static const char *const finite[] = {"1", " -2.5 ", "0", "0.0", "0e999", ".0e99999999999999999999", "1e307", "9.99e307", "1e-999", "0.001e310",
                                         "000000000123", "12345e300"};
    static const char *const infinite[] = {"", "nan", "-NaN", "inf", "+Infinity", "1e308", "10e307", "1e999", "1e99999999999999999999", "0.01e311",
                                           "heavy"};
    for (size_t i = 0; i < sizeof finite / sizeof *finite; i++) CHECK(lrb_graphml_is_finite(finite[i], LRB_GRAPHML_REAL));
    for (size_t i = 0; i < sizeof infinite / sizeof *infinite; i++) CHECK(!lrb_graphml_is_finite(infinite[i], LRB_GRAPHML_REAL));
    CHECK(lrb_graphml_is_finite("7", LRB_GRAPHML_INTEGER));
    CHECK(!lrb_graphml_is_finite("1.0", LRB_GRAPHML_STRING) && !lrb_graphml_is_finite("1", LRB_GRAPHML_BOOLEAN));
}

int main(void) {
    RUN(types_are_those_of_networkx);
    RUN(values_are_of_their_type);
    RUN(numbers_are_finite_below_their_limit);
    return check_report();
}
