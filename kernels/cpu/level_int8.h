/* Products of integers: few rows of packed x (kernels/cpu/level_int8_pack.h) against many rows of int8
 * weights or of GGUF blocks. Weights are never widened: 4- and 6-bit values become bytes in registers, four
 * products at a time are summed in 32 bits, and one multiplication per block puts both scales on.
 *
 * Bounds: 4 products of u8 x s8 fit 32 bits; a pair fits the 16 bits of maddubs where the unsigned side is at
 * most 128; rows of int8 sum up to 127 * 128 * cols < 2^31 for cols < 132,000. */
#pragma once

#include "kernels/cpu/level_int8_pack.h"

/* ---- four products in a lane ---- */

#if !SIMD_AVX2
/* Here the 16 products of a vector belong to one block: which of them share a lane does not matter. Products
 * fit 16 bits. */
typedef int16_t wide __attribute__((vector_size(2 * V)));
typedef int32_t wide_pairs __attribute__((vector_size(2 * V)));

INLINE vi dot_of_words(const wide *a, const wide *b) /* by address: these have no registers of their own */
{
    wide_pairs pairs = (wide_pairs)(*a * *b);
    vi half[2];
    pairs = ((pairs << 16) >> 16) + (pairs >> 16);
    memcpy(half, &pairs, sizeof half);
    return half[0] + half[1];
}
#endif

/* sum + u x, u at most 127 */
INLINE vi dot_bytes(vi sum, vub u, vsb x)
{
#if SIMD_VNNI
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)u, (__m512i)x);
#elif SIMD_AVX512
    __m512i pairs = _mm512_maddubs_epi16((__m512i)u, (__m512i)x);
    return sum + (vi)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#elif SIMD_AVX2
    __m256i pairs = _mm256_maddubs_epi16((__m256i)u, (__m256i)x);
    return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
    wide a = __builtin_convertvector(u, wide), b = __builtin_convertvector(x, wide);
    return sum + dot_of_words(&a, &b);
#endif
}

/* sum + (a x + b y), a and b at most 15: one sum in 16 bits for both */
INLINE vi dot_nibbles(vi sum, vub a, vsb x, vub b, vsb y)
{
#if SIMD_AVX512 && !SIMD_VNNI
    __m512i pairs = _mm512_add_epi16(_mm512_maddubs_epi16((__m512i)a, (__m512i)x),
                                     _mm512_maddubs_epi16((__m512i)b, (__m512i)y));
    return sum + (vi)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
#elif SIMD_AVX2 && !SIMD_AVX512
    __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16((__m256i)a, (__m256i)x),
                                     _mm256_maddubs_epi16((__m256i)b, (__m256i)y));
    return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#else
    return dot_bytes(dot_bytes(sum, a, x), b, y);
#endif
}

/* sum + w x of signed weights. VNNI multiplies w + 128: 128 x is for the caller to take off. */
INLINE vi dot_signed(vi sum, vsb w, vsb x)
{
#if SIMD_VNNI
    return dot_bytes(sum, (vub)w ^ 0x80, x);
#elif SIMD_AVX512
    __m512i turned =
        _mm512_mask_sub_epi8((__m512i)x, _mm512_movepi8_mask((__m512i)w), _mm512_setzero_si512(), (__m512i)x);
    return dot_bytes(sum, (vub)_mm512_abs_epi8((__m512i)w), (vsb)turned);
#elif SIMD_AVX2
    return dot_bytes(sum, (vub)_mm256_abs_epi8((__m256i)w), (vsb)_mm256_sign_epi8((__m256i)x, (__m256i)w));
#else
    wide a = __builtin_convertvector(w, wide), b = __builtin_convertvector(x, wide);
    return sum + dot_of_words(&a, &b);
#endif
}

/* sum + scale (u x), u at most 63, a scale for every two bytes */
INLINE vi dot_scaled(vi sum, vub u, vsb x, vsw scale)
{
#if SIMD_VNNI
    return (vi)_mm512_dpwssd_epi32((__m512i)sum, _mm512_maddubs_epi16((__m512i)u, (__m512i)x),
                                   (__m512i)scale);
#elif SIMD_AVX512
    return sum + (vi)_mm512_madd_epi16(_mm512_maddubs_epi16((__m512i)u, (__m512i)x), (__m512i)scale);
#elif SIMD_AVX2
    return sum + (vi)_mm256_madd_epi16(_mm256_maddubs_epi16((__m256i)u, (__m256i)x), (__m256i)scale);
#else
    wide a = __builtin_convertvector(u, wide), b = __builtin_convertvector(x, wide);
    return sum + dot_of_words(&a, &b) * scale[0];
#endif
}

INLINE vub low_nibbles(vub v)
{
    return v & 15;
}

INLINE vub high_nibbles(vub v)
{
    return (vub)((vuw)v >> 4) & 15;
}

INLINE vf to_floats(vi v)
{
    return __builtin_convertvector(v, vf);
}

/* ---- Q4_0 ---- */

/* The nibbles of W / 4 blocks side by side, and the scale of each in its four lanes. */
INLINE void open_q4_0(vub *nibbles, vf *scale, const uint8_t *p)
{
#if SIMD_AVX512
    /* 72 bytes: two loads that overlap, of which one permutation takes the 64 of the nibbles */
#define FROM(w) (w) < 32 ? (w) : (w)-4 + 32
#define EIGHT(k)                                                                                             \
    FROM(9 * (k) + 1), FROM(9 * (k) + 2), FROM(9 * (k) + 3), FROM(9 * (k) + 4), FROM(9 * (k) + 5),           \
        FROM(9 * (k) + 6), FROM(9 * (k) + 7), FROM(9 * (k) + 8)
    static const uint16_t pick[32] = {EIGHT(0), EIGHT(1), EIGHT(2), EIGHT(3)};
    static const uint16_t scales[32] = {0, 0, 0, 0, 9, 9, 9, 9, 18, 18, 18, 18, 27, 27, 27, 27};
#undef EIGHT
#undef FROM
    __m512i first = _mm512_loadu_si512(p), last = _mm512_loadu_si512(p + 8);
    *nibbles = (vub)_mm512_permutex2var_epi16(first, _mm512_loadu_si512(pick), last);
    *scale = (vf)_mm512_cvtph_ps(
        _mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_loadu_si512(scales), first)));
#elif SIMD_AVX2
    __m256i v = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(p + 2)));
    *nibbles = (vub)_mm256_inserti128_si256(v, _mm_loadu_si128((const __m128i *)(const void *)(p + 20)), 1);
    int16_t half[2];
    memcpy(half, p, sizeof half[0]);
    memcpy(half + 1, p + KERNEL_Q4_0_BYTES, sizeof half[1]);
    *scale = (vf)_mm256_cvtph_ps(_mm_unpacklo_epi64(_mm_set1_epi16(half[0]), _mm_set1_epi16(half[1])));
#else
    *nibbles = *(const vub_any *)(p + 2);
    *scale = v_set(load_half(p));
#endif
}

INLINE void q4_0_group(vf sum[4][4], const uint8_t *w, int64_t stride, const char *const x[4], int64_t at,
                       const int R, const int B)
{
    vub low[4], high[4];
    vf scale[4];
    UNROLL for (int r = 0; r < R; r++)
    {
        vub nibbles;
        open_q4_0(&nibbles, &scale[r], w + r * stride);
        low[r] = low_nibbles(nibbles);
        high[r] = high_nibbles(nibbles);
    }
    UNROLL for (int b = 0; b < B; b++)
    {
        const char *q = x[b] + at;
        vsb first = load_q(q), second = load_q(q + V);
        vi offset = *(const vi_any *)(const void *)(q + 2 * V);
        vf of_x = v_load((const float *)(const void *)(q + 2 * V + 4 * W));
        UNROLL for (int r = 0; r < R; r++) sum[r][b] =
            v_fma(to_floats(dot_nibbles(offset, low[r], first, high[r], second)), scale[r] * of_x, sum[r][b]);
    }
}

INLINE void q4_0_tile(vf sum[4][4], const uint8_t *w, int64_t stride, int64_t cols, const char *const x[4],
                      const int R, const int B)
{
    enum { GROUP = INT8_Q4_BLOCKS * KERNEL_Q4_0_BYTES };
    int64_t blocks = cols / KERNEL_Q_BLOCK, whole = blocks / INT8_Q4_BLOCKS;
    int64_t at = 0;
    for (int64_t g = 0; g < whole; g++, w += GROUP, at += INT8_Q4_RECORD) {
        UNROLL for (int r = 0; r < R; r++) for (int byte = 0; byte < GROUP; byte += 64)
            __builtin_prefetch(w + r * stride + byte + GEMV_AHEAD);
        q4_0_group(sum, w, stride, x, at, R, B);
    }
    if (whole * INT8_Q4_BLOCKS == blocks)
        return;
    uint8_t last[4 * GROUP] = {0}; /* the missing blocks have a scale of 0 on both sides */
    for (int r = 0; r < R; r++)
        memcpy(last + r * GROUP, w + r * stride,
               (size_t)(blocks - whole * INT8_Q4_BLOCKS) * KERNEL_Q4_0_BYTES);
    q4_0_group(sum, last, GROUP, x, at, R, B);
}

/* ---- Q8_0 ---- */

/* 4W weights from column `inside` of a block on, and the scale in every lane. */
INLINE void open_q8_0(vsb *weights, vf *scale, const uint8_t *p, int inside)
{
#if SIMD_AVX512
    static const uint16_t scales[32] = {0, 0, 0, 0, 0, 0, 0, 0, 17, 17, 17, 17, 17, 17, 17, 17};
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)(p + 2)));
    *weights = (vsb)_mm512_inserti64x4(v, _mm256_loadu_si256((const __m256i *)(const void *)(p + 36)), 1);
    *scale = (vf)_mm512_cvtph_ps(
        _mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_loadu_si512(scales), _mm512_loadu_si512(p))));
#else
    *weights = *(const vsb_any *)(p + 2 + inside);
    *scale = v_set(load_half(p));
#endif
    (void)inside;
}

INLINE void q8_0_group(vf sum[4][4], const uint8_t *w, int64_t stride, int inside, const char *const x[4],
                       int64_t at, const int R, const int B)
{
    vsb weights[4];
    vf scale[4];
    UNROLL for (int r = 0; r < R; r++) open_q8_0(&weights[r], &scale[r], w + r * stride, inside);
    UNROLL for (int b = 0; b < B; b++)
    {
        const char *q = x[b] + at;
        vsb of_x = load_q(q);
        vi offset = {0};
        if (SIMD_VNNI)
            offset = *(const vi_any *)(const void *)(q + V);
        vf x_scale = v_load((const float *)(const void *)(q + V + INT8_Q8_OFFSETS));
        UNROLL for (int r = 0; r < R; r++) sum[r][b] =
            v_fma(to_floats(dot_signed(offset, weights[r], of_x)), scale[r] * x_scale, sum[r][b]);
    }
}

INLINE void q8_0_tile(vf sum[4][4], const uint8_t *w, int64_t stride, int64_t cols, const char *const x[4],
                      const int R, const int B)
{
    enum {
        BLOCKS = W > 8 ? W / 8 : 1, /* of a step */
        GROUPS = W > 8 ? 1 : 8 / W,
        STEP = BLOCKS * KERNEL_Q8_0_BYTES
    };
    int64_t blocks = cols / KERNEL_Q_BLOCK, whole = blocks / BLOCKS, at = 0;
    for (int64_t s = 0; s < whole; s++, w += STEP)
        UNROLL for (int g = 0; g < GROUPS; g++, at += INT8_Q8_RECORD)
        {
            UNROLL for (int r = 0; r < R; r++) for (int byte = 0; g == 0 && byte < STEP; byte += 64)
                __builtin_prefetch(w + r * stride + byte + GEMV_AHEAD);
            q8_0_group(sum, w, stride, g * V, x, at, R, B);
        }
    if (whole * BLOCKS == blocks)
        return;
    uint8_t last[4 * STEP] = {0};
    for (int r = 0; r < R; r++)
        memcpy(last + r * STEP, w + r * stride, (size_t)(blocks - whole * BLOCKS) * KERNEL_Q8_0_BYTES);
    q8_0_group(sum, last, STEP, 0, x, at, R, B);
}

/* ---- Q4_K and Q6_K ---- */

/* A vector of nibbles as bytes, low and high halves, and the scale of every two. */
struct k_vector {
    vub low, high;
    vsw low_scale, high_scale;
};

/* Of eight 16-bit scales, number `of(i)` for the 16 bytes i of a vector. */
#define PICK(n) 2 * (n), 2 * (n) + 1
#define ALL(n)  PICK(n), PICK(n), PICK(n), PICK(n), PICK(n), PICK(n), PICK(n), PICK(n)
static const uint8_t int8_pick[8][16] = {{ALL(0)}, {ALL(1)}, {ALL(2)}, {ALL(3)},
                                         {ALL(4)}, {ALL(5)}, {ALL(6)}, {ALL(7)}};
#if SIMD_AVX512
static const uint8_t int8_pick_pairs[4][64] = {{ALL(0), ALL(0), ALL(2), ALL(2)},
                                               {ALL(1), ALL(1), ALL(3), ALL(3)},
                                               {ALL(4), ALL(4), ALL(6), ALL(6)},
                                               {ALL(5), ALL(5), ALL(7), ALL(7)}};
static const uint8_t int8_pick_runs[2][64] = {{ALL(0), ALL(1), ALL(2), ALL(3)},
                                              {ALL(4), ALL(5), ALL(6), ALL(7)}};
#elif SIMD_AVX2
static const uint8_t int8_pick_pairs[8][32] = {{ALL(0), ALL(0)}, {ALL(1), ALL(1)}, {ALL(2), ALL(2)},
                                               {ALL(3), ALL(3)}, {ALL(4), ALL(4)}, {ALL(5), ALL(5)},
                                               {ALL(6), ALL(6)}, {ALL(7), ALL(7)}};
static const uint8_t int8_pick_runs[4][32] = {
    {ALL(0), ALL(1)}, {ALL(4), ALL(5)}, {ALL(2), ALL(3)}, {ALL(6), ALL(7)}};
#endif
#undef ALL
#undef PICK

typedef int16_t eight __attribute__((vector_size(16), aligned(2), may_alias));

/* Scales of the 16 bytes of every part of vector v, high or low halves. */
INLINE vsw scales_of(eight scale, enum kernel_dtype dtype, int v, int high)
{
#if SIMD_AVX512
    const uint8_t *pick = dtype == KERNEL_Q4_K ? int8_pick_pairs[2 * v + high] : int8_pick_runs[high];
    return (vsw)_mm512_shuffle_epi8(_mm512_broadcast_i32x4((__m128i)scale), _mm512_loadu_si512(pick));
#elif SIMD_AVX2
    const uint8_t *pick =
        dtype == KERNEL_Q4_K ? int8_pick_pairs[2 * v + high] : int8_pick_runs[v % 2 * 2 + high];
    return (vsw)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256((__m128i)scale),
                                    _mm256_loadu_si256((const __m256i *)(const void *)pick));
#else
    return (vsw){0} + scale[dtype == KERNEL_Q4_K ? v / 2 * 2 + high : v % 4 + 4 * high];
#endif
}

/* What a block's scales are, opened once. */
struct k_block {
    const uint8_t *p;
    eight scale[2]; /* Q4_K: the first alone */
    eight least;    /* Q4_K */
    vf d, least_d;  /* of the block, in every lane; Q4_K's minimum negative */
};

INLINE eight widen_eight(uint64_t bytes, bool negative)
{
#if SIMD_AVX2
    __m128i v = _mm_cvtsi64_si128((long long)bytes);
    return (eight)(negative ? _mm_cvtepi8_epi16(v) : _mm_cvtepu8_epi16(v));
#else
    eight out;
    for (int i = 0; i < 8; i++)
        out[i] = negative ? (int8_t)(bytes >> 8 * i) : (uint8_t)(bytes >> 8 * i);
    return out;
#endif
}

INLINE void open_k(struct k_block *b, enum kernel_dtype dtype, const uint8_t *p)
{
    b->p = p;
    if (dtype == KERNEL_Q4_K) {
        struct q4_k_pairs pairs = q4_k_pairs_of(p);
        b->scale[0] = widen_eight(pairs.scales, false);
        b->least = widen_eight(pairs.minima, false);
        b->d = v_set(load_half(p));
        b->least_d = v_set(-load_half(p + 2));
        return;
    }
    uint64_t small[2];
    memcpy(small, p + 192, sizeof small);
    b->scale[0] = widen_eight(small[0], true);
    b->scale[1] = widen_eight(small[1], true);
    b->d = v_set(load_half(p + 208));
}

/* Bits 4 and 5 of vector v's values in Q6_K: two bits of each of 32 bytes that stand for 128 columns. */
INLINE vub two_bits(const uint8_t *high, int v, int upper)
{
#if SIMD_AVX512
    __m512i bytes =
        _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)(high + 32 * v)));
    /* the 32 columns further on have the next two bits */
    const __m512i
        left = {0x0000000400000004, 0x0000000400000004, 0x0000000400000004, 0x0000000400000004,
                0x0000000200000002, 0x0000000200000002, 0x0000000200000002, 0x0000000200000002},
        right = {0, 0, 0, 0, 0x0000000200000002, 0x0000000200000002, 0x0000000200000002, 0x0000000200000002};
    return (vub)(upper ? _mm512_srlv_epi32(bytes, right) : _mm512_sllv_epi32(bytes, left)) & 0x30;
#else
    const int at = V * v, from = at / 64 * 32 + at % 32, shift = at % 64 / 32 * 2 + 4 * upper;
    vuw bytes = (vuw) * (const vub_any *)(high + from);
    return (vub)(shift < 4 ? bytes << (4 - shift) : bytes >> (shift - 4)) & 0x30;
#endif
}

INLINE struct k_vector load_k(const struct k_block *b, enum kernel_dtype dtype, int v)
{
    struct k_vector k;
    vub nibbles = *(const vub_any *)(b->p + (dtype == KERNEL_Q4_K ? 16 : 0) + v * V);
    k.low = low_nibbles(nibbles);
    k.high = high_nibbles(nibbles);
    eight scale = b->scale[0];
    if (dtype == KERNEL_Q6_K) {
        k.low |= two_bits(b->p + 128, v, 0);
        k.high |= two_bits(b->p + 128, v, 1);
        scale = b->scale[v * 2 / K_VECTORS];
    }
    k.low_scale = scales_of(scale, dtype, v, 0);
    k.high_scale = scales_of(scale, dtype, v, 1);
    return k;
}

/* Pairs of 16 bits multiplied and added, eight of them in the first four lanes. */
INLINE vi pairs_of(eight a, eight b)
{
#if SIMD_AVX512
    return (vi)_mm512_zextsi128_si512(_mm_madd_epi16((__m128i)a, (__m128i)b));
#elif SIMD_AVX2
    return (vi)_mm256_zextsi128_si256(_mm_madd_epi16((__m128i)a, (__m128i)b));
#else
    vi sum;
    for (int l = 0; l < 4; l++)
        sum[l] = a[2 * l] * b[2 * l] + a[2 * l + 1] * b[2 * l + 1];
    return sum;
#endif
}

INLINE void k_block_tile(vf sum[4][4], const uint8_t *w, int64_t stride, enum kernel_dtype dtype,
                         const char *const x[4], int64_t at, const int R, const int B)
{
    UNROLL for (int r = 0; r < R; r++)
    {
        struct k_block block;
        vi dot[4] = {{0}};
        open_k(&block, dtype, w + r * stride);
        UNROLL for (int v = 0; v < K_VECTORS; v++)
        {
            struct k_vector k = load_k(&block, dtype, v);
            UNROLL for (int b = 0; b < B; b++)
            {
                const char *q = x[b] + at + v * 2 * V;
                dot[b] = dot_scaled(dot[b], k.low, load_q(q), k.low_scale);
                dot[b] = dot_scaled(dot[b], k.high, load_q(q + V), k.high_scale);
            }
        }
        UNROLL for (int b = 0; b < B; b++)
        {
            const char *q = x[b] + at;
            const eight *sums = (const eight *)(const void *)(q + INT8_K_SUMS);
            float of_x;
            memcpy(&of_x, q + INT8_K_SCALE, sizeof of_x);
            if (dtype == KERNEL_Q6_K) /* values are stored with 32 added */
                dot[b] -= (pairs_of(sums[0], block.scale[0]) + pairs_of(sums[1], block.scale[1])) << 5;
            else
                sum[r][b] =
                    v_fma(to_floats(pairs_of(sums[0], block.least)), block.least_d * v_set(of_x), sum[r][b]);
            sum[r][b] = v_fma(to_floats(dot[b]), block.d * v_set(of_x), sum[r][b]);
        }
    }
}

INLINE void k_tile(vf sum[4][4], const uint8_t *w, int64_t stride, enum kernel_dtype dtype, int64_t cols,
                   const char *const x[4], const int R, const int B)
{
    int64_t at = 0;
    for (int64_t i = 0; i < cols; i += KERNEL_K_BLOCK, w += block_bytes(dtype), at += INT8_K_RECORD) {
        UNROLL for (int r = 0; r < R; r++) for (int byte = 0; byte < block_bytes(dtype); byte += 64)
            __builtin_prefetch(w + r * stride + byte + GEMV_AHEAD);
        k_block_tile(sum, w, stride, dtype, x, at, R, B);
    }
}

/* ---- int8, a scale per row on both sides ---- */

INLINE void int8_tile(vf sum[4][4], const uint8_t *w, int64_t stride, int64_t cols, const float *scale,
                      int64_t scale_step, const char *const x[4], const int R, const int B)
{
    vi dot[4][4] = {{{0}}};
    int64_t i = 0;
    for (; i < cols; i += V) {
        vsb weights[4];
        UNROLL for (int r = 0; r < R; r++)
        {
            __builtin_prefetch(w + r * stride + i + GEMV_AHEAD);
            if (i + V <= cols) {
                weights[r] = *(const vsb_any *)(w + r * stride + i);
            } else {
                weights[r] = (vsb){0};
                memcpy(&weights[r], w + r * stride + i, (size_t)(cols - i));
            }
        }
        UNROLL for (int b = 0; b < B; b++)
        {
            vsb of_x = load_q(x[b] + INT8_HEAD + i);
            UNROLL for (int r = 0; r < R; r++) dot[r][b] = dot_signed(dot[r][b], weights[r], of_x);
        }
    }
    UNROLL for (int b = 0; b < B; b++)
    {
        float of_x;
        int32_t all;
        memcpy(&of_x, x[b], sizeof of_x);
        memcpy(&all, x[b] + sizeof of_x, sizeof all);
        UNROLL for (int r = 0; r < R; r++)
        {
            vi d = dot[r][b];
            if (SIMD_VNNI) /* the whole offset in one lane: lanes add up exactly in integers */
                d[0] = (int32_t)((uint32_t)d[0] - 128u * (uint32_t)all);
            uint32_t total = 0;
            for (int l = 0; l < W; l++)
                total += (uint32_t)d[l];
            sum[r][b] = (vf){(float)(int32_t)total * (scale[r * scale_step] * of_x)};
        }
    }
}

/* ---- any format ---- */

/* `kept` rows of weights from `first` on, `step` apart, for `rows` rows of x: the tile is R x B. */
INLINE void int8_rows(float *out, int64_t out_stride, const struct kernel_matrix *m, enum kernel_dtype dtype,
                      int64_t first, int64_t step, const char *const x[4], int rows, int kept, const int R,
                      const int B)
{
    const int64_t row = dtype == KERNEL_INT8 ? m->cols : m->cols / block_cols(dtype) * block_bytes(dtype);
    const uint8_t *w = (const uint8_t *)m->data + first * row;
    vf sum[4][4] = {{{0}}};
    if (dtype == KERNEL_INT8)
        int8_tile(sum, w, step * row, m->cols, m->scales + first, step, x, R, B);
    else if (dtype == KERNEL_Q8_0)
        q8_0_tile(sum, w, step * row, m->cols, x, R, B);
    else if (dtype == KERNEL_Q4_0)
        q4_0_tile(sum, w, step * row, m->cols, x, R, B);
    else
        k_tile(sum, w, step * row, dtype, m->cols, x, R, B);
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int b = 0; b < B; b++) if (r < kept && b < rows)
        out[b * out_stride + first + r * step] = v_sum(sum[r][b]);
}

/* All rows of m; the R rows of a tile lie a part of the matrix apart, as in gemv_rows. Those left over are
 * computed R times: fewer tiles to compile are worth more. */
INLINE void int8_all(float *out, int64_t out_stride, const struct kernel_matrix *m, enum kernel_dtype dtype,
                     const char *const x[4], int rows, const int R, const int B)
{
    int64_t part = m->rows / R, r = 0;
    for (int64_t done = 0; done < m->rows; done += r < part ? R : 1, r++)
        int8_rows(out, out_stride, m, dtype, r < part ? r : done, r < part ? part : 0, x, rows,
                  r < part ? R : 1, R, B);
}

/* Four rows of x share what two rows of weights were opened for; of AVX2's 16 registers one row's. Three are
 * four of which the last is not stored. */
#define INT8_GEMV(name, dtype)                                                                               \
    static void int8_##name(float *out, int64_t out_stride, const struct kernel_matrix *m,                   \
                            const char *const x[4], int rows)                                                \
    {                                                                                                        \
        if (rows == 1)                                                                                       \
            int8_all(out, out_stride, m, dtype, x, rows, SIMD_AVX512 ? 4 : SIMD_AVX2 ? 2 : 1, 1);            \
        else if (rows == 2)                                                                                  \
            int8_all(out, out_stride, m, dtype, x, rows, SIMD_AVX2 ? 2 : 1, 2);                              \
        else                                                                                                 \
            int8_all(out, out_stride, m, dtype, x, rows, SIMD_AVX512 ? 2 : 1, 4);                            \
    }
INT8_GEMV(int8, KERNEL_INT8)
INT8_GEMV(q8_0, KERNEL_Q8_0)
INT8_GEMV(q4_0, KERNEL_Q4_0)
INT8_GEMV(q4_k, KERNEL_Q4_K)
INT8_GEMV(q6_k, KERNEL_Q6_K)
#undef INT8_GEMV

static void int8_gemv(float *out, int64_t out_stride, const struct kernel_matrix *m, const void *x, int rows)
{
    static void (*const by_dtype[KERNEL_DTYPES])(float *, int64_t, const struct kernel_matrix *,
                                                 const char *const[4], int) = {
        [KERNEL_INT8] = int8_int8, [KERNEL_Q8_0] = int8_q8_0, [KERNEL_Q4_0] = int8_q4_0,
        [KERNEL_Q4_K] = int8_q4_k, [KERNEL_Q6_K] = int8_q6_k,
    };
    size_t bytes = int8_bytes(m->dtype, m->cols);
    for (int b = 0; b < rows; b += 4) {
        int count = rows - b < 4 ? rows - b : 4;
        const char *row[4];
        for (int i = 0; i < 4; i++)
            row[i] = (const char *)x + (size_t)(b + (i < count ? i : count - 1)) * bytes;
        by_dtype[m->dtype](out + b * out_stride, out_stride, m, row, count);
    }
}
