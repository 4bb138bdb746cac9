#include "codec/float_env.h"

#include <fenv.h>
#include <stdbool.h>

#include "check.h"
#include "codec/f16.h"

/* Volatile, so that the products are made when the program runs. */
static volatile float tiny = 0x1p-120f, third = 1.0f / 3, small = 0x1p-20f;

static bool __attribute__((noinline)) follows_the_rules(void) {
    return lrb_bits_of(tiny * small) == 1 << 9 && third * third == 0x1.c71c74p-4f;
}

TEST(a_thread_that_rounds_downwards_rounds_to_nearest_between) {
    CHECK(follows_the_rules() && !fesetround(FE_DOWNWARD));
    bool broken = !follows_the_rules();
    lrb_float_env before = lrb_float_env_begin();
    bool mended = follows_the_rules();
    lrb_float_env_end(before);
    int rounding = fegetround();
    fesetround(FE_TONEAREST);
    CHECK(broken && mended && rounding == FE_DOWNWARD);
}

#ifdef __x86_64__
#include <immintrin.h>

TEST(a_thread_without_subnormals_has_them_between) {
    unsigned flush = _mm_getcsr() | 0x8040;
    _mm_setcsr(flush);
    bool broken = !follows_the_rules();
    lrb_float_env before = lrb_float_env_begin();
    bool mended = follows_the_rules();
    lrb_float_env_end(before);
    bool restored = (_mm_getcsr() & 0x8040) == 0x8040;
    _mm_setcsr(0x1F80);
    CHECK(broken && mended && restored);
}
#else
#include <stdint.h>

TEST(a_thread_without_subnormals_has_them_between) {
    uint64_t plain, flush;
    __asm__ volatile("mrs %0, fpcr" : "=r"(plain));
    __asm__ volatile("msr fpcr, %0" : : "r"(plain | 1u << 24));
    bool broken = !follows_the_rules();
    lrb_float_env before = lrb_float_env_begin();
    bool mended = follows_the_rules();
    lrb_float_env_end(before);
    __asm__ volatile("mrs %0, fpcr" : "=r"(flush));
    __asm__ volatile("msr fpcr, %0" : : "r"(plain));
    CHECK(broken && mended && flush >> 24 & 1);
}
#endif

int main(void) {
    RUN(a_thread_that_rounds_downwards_rounds_to_nearest_between);
    RUN(a_thread_without_subnormals_has_them_between);
    return check_report();
}
