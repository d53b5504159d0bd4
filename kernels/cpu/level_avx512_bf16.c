/* The kernels for AVX-512 with BF16 dot products; every CPU that has them has VNNI. */
#include "kernels/cpu/level_head.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                                \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"))),                  \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")
#endif

#define SIMD_WIDTH   16
#define SIMD_AVX2    1
#define SIMD_AVX512  1
#define SIMD_BF16DOT 1
#define SIMD_NAME    "avx512_bf16"
#define SIMD_TABLE   simd_avx512_bf16
#define SIMD_INT8    simd_int8_vnni
#include "kernels/cpu/level.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
