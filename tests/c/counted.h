/* Included before everything in the coverage build: a process that ends by _exit, as the children of the kill tests do,
 * first writes down which branches it took. */
#ifndef LRB_TESTS_COUNTED_H
#define LRB_TESTS_COUNTED_H

#include <unistd.h>

void __gcov_dump(void);

static inline _Noreturn void counted_exit(int code) {
    __gcov_dump();
    (_exit)(code);
}
#define _exit(code) counted_exit(code)

#endif
