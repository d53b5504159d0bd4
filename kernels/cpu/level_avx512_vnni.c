/* The products of integers for AVX-512 with dot products of bytes (VNNI). */
#include "kernels/cpu/level_head.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                                \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))),                  \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#endif

#define SIMD_WIDTH   16
#define SIMD_AVX2    1
#define SIMD_AVX512  1
#define SIMD_BF16DOT 0
#define SIMD_VNNI    1
#pragma GCC diagnostic ignored "-Wunused-function" /* of what they are made of */
#include "kernels/cpu/level_int8.h"

const struct simd_int8 simd_int8_vnni = {int8_bytes, int8_pack, int8_gemv};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
