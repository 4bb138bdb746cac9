#include "codec/cpu.h"

#include <stdatomic.h>

enum { UNKNOWN = -1 };

static _Atomic int limit = LRB_CPU_LEVELS;

#if LRB_HAS_X86

#include <cpuid.h>

static _Atomic int known_level = UNKNOWN, known_sha = UNKNOWN;

/* These also ask whether the system saves the wide registers. */
static int find_level(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) return LRB_CPU_PLAIN;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi"))
        return LRB_CPU_AVX512;
    return LRB_CPU_AVX2;
}

lrb_cpu lrb_cpu_level(void) {
    int level = atomic_load_explicit(&known_level, memory_order_relaxed);
    int highest = atomic_load_explicit(&limit, memory_order_relaxed);
    if (level == UNKNOWN) {
        level = find_level();
        atomic_store_explicit(&known_level, level, memory_order_relaxed);
    }
    return (lrb_cpu)(level < highest ? level : highest);
}

static int find_sha(void) {
    unsigned a, b, c, d;
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
}

bool lrb_cpu_has_sha(void) {
    int sha = atomic_load_explicit(&known_sha, memory_order_relaxed);
    if (sha == UNKNOWN) {
        sha = find_sha();
        atomic_store_explicit(&known_sha, sha, memory_order_relaxed);
    }
    return sha && atomic_load_explicit(&limit, memory_order_relaxed) != LRB_CPU_PLAIN;
}

static bool find_clmul(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("ssse3");
}

#else

#include <sys/auxv.h>

lrb_cpu lrb_cpu_level(void) { return LRB_CPU_PLAIN; }
bool lrb_cpu_has_sha(void) { return false; }

#ifdef HWCAP_PMULL
static bool find_clmul(void) { return getauxval(AT_HWCAP) & HWCAP_PMULL; }
#else
static bool find_clmul(void) { return false; }
#endif

#endif

bool lrb_cpu_has_clmul(void) { return find_clmul() && atomic_load_explicit(&limit, memory_order_relaxed) != LRB_CPU_PLAIN; }

void lrb_cpu_limit(lrb_cpu highest) { atomic_store_explicit(&limit, (int)highest, memory_order_relaxed); }
