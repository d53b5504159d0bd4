/* The kernels for AVX-512 F, BW, VL, DQ; with VNNI the products of integers are level_avx512_vnni.c's. */
#include "kernels/cpu/level_head.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"))),    \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
#endif

#define SIMD_WIDTH   16
#define SIMD_AVX2    1
#define SIMD_AVX512  1
#define SIMD_BF16DOT 0
#define SIMD_VNNI    0
#define SIMD_NAME    "avx512"
#define SIMD_TABLE   simd_avx512
#include "kernels/cpu/level.h"

#undef SIMD_NAME
#undef SIMD_TABLE
#undef SIMD_INT8
#define SIMD_NAME  "avx512_vnni"
#define SIMD_TABLE simd_avx512_vnni
#define SIMD_INT8  simd_int8_vnni
#include "kernels/cpu/level_table.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
