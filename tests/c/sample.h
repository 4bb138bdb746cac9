/* Sample bytes for tests: the same on every machine and in every run, so that golden values can rest on them. */
#ifndef LRB_TESTS_SAMPLE_H
#define LRB_TESTS_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* splitmix64 (Steele, Lea, Flood 2014): a counter and a mixing function. */
static inline uint64_t sample_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline void sample_fill(uint8_t *bytes, size_t count, uint64_t seed) {
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)sample_next(&seed);
}

#endif
