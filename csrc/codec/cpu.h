/* Which instructions this processor has, and functions compiled for them.
 *
 * Hot loops are plain C, written once as an inline body and compiled several times: for any processor, and under the
 * attributes below for those with wider registers, where the compiler's vectoriser does the rest. All variants give the
 * same bytes because they are the same arithmetic; tests compare them. A dispatching function asks lrb_cpu_level().
 */
#ifndef LRB_CODEC_CPU_H
#define LRB_CODEC_CPU_H

#include <stdbool.h>

typedef enum lrb_cpu { LRB_CPU_PLAIN, LRB_CPU_AVX2, LRB_CPU_AVX512, LRB_CPU_LEVELS } lrb_cpu;

lrb_cpu lrb_cpu_level(void); /* any thread; looked up once */
bool lrb_cpu_has_sha(void);  /* x86's instructions for SHA-256 */
bool lrb_cpu_has_clmul(void); /* multiplication without carries, with which OpenSSL computes GHASH as fast as memory is read */

/* At most this level and, when PLAIN, none of those instructions from now on; LRB_CPU_LEVELS: no limit. For tests. */
void lrb_cpu_limit(lrb_cpu highest);

#define LRB_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define LRB_HAS_X86 1
#define LRB_FOR_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#define LRB_AVX512_SET "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi,bmi2,lzcnt,popcnt"
#if defined(__clang__)
#define LRB_FOR_AVX512 __attribute__((target(LRB_AVX512_SET)))
#else
#define LRB_FOR_AVX512 __attribute__((target(LRB_AVX512_SET ",prefer-vector-width=512")))
#endif
#else
#define LRB_HAS_X86 0
#endif

/* Defines the function `name`, which runs name_body in the variant of this processor. `linkage` is static or nothing. */
#if LRB_HAS_X86
#define LRB_VARIANTS(linkage, type, name, parameters, arguments)                                                  \
    static type name##_plain parameters { return name##_body arguments; }                                         \
    LRB_FOR_AVX2 static type name##_avx2 parameters { return name##_body arguments; }                             \
    LRB_FOR_AVX512 static type name##_avx512 parameters { return name##_body arguments; }                         \
    linkage type name parameters {                                                                                \
        lrb_cpu level = lrb_cpu_level();                                                                          \
        if (level == LRB_CPU_AVX512) return name##_avx512 arguments;                                              \
        return level == LRB_CPU_AVX2 ? name##_avx2 arguments : name##_plain arguments;                            \
    }
#else
#define LRB_VARIANTS(linkage, type, name, parameters, arguments)                                                  \
    linkage type name parameters { return name##_body arguments; }
#endif

#endif
