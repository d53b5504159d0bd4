/* The kernels for AVX2 with FMA and F16C. */
#include "kernels/cpu/level_head.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#define SIMD_WIDTH   8
#define SIMD_AVX2    1
#define SIMD_AVX512  0
#define SIMD_BF16DOT 0
#define SIMD_VNNI    0
#define SIMD_NAME    "avx2"
#define SIMD_TABLE   simd_avx2
#include "kernels/cpu/level.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
