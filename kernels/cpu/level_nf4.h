/* NF4 weights: 32 codes at a time become fp32 in registers, and the products of few rows that do so. */
#pragma once

#include "kernels/cpu/level_convert.h"

/* Arrays of vectors stay in registers only where every loop over them is unrolled. */
#define UNROLL _Pragma("GCC unroll 8")

enum { NF4_BLOCK = KERNEL_NF4_BLOCK, NF4_BYTES = NF4_BLOCK / 2, NF4_HALF = NF4_BLOCK / 2 };

static const float nf4_level[16] = QUANTIZE_NF4_LEVELS;

/* The 16 levels as the level's shuffles look them up. AVX2 has no table of 16 floats in registers: it looks
 * up each of their four bytes. */
struct nf4_table {
#if SIMD_AVX512
    __m512 level;
    __m512i lane[2], shift;
#elif SIMD_AVX2
    __m256i byte[4];
#else
    char unused;
#endif
};

INLINE struct nf4_table nf4_table(void)
{
    struct nf4_table t = {0};
#if SIMD_AVX512
    t.level = _mm512_loadu_ps(nf4_level);
    t.lane[0] = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    t.lane[1] = _mm512_setr_epi32(2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    t.shift = _mm512_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24, 4, 0, 12, 8, 20, 16, 28, 24);
#elif SIMD_AVX2
    for (int i = 0; i < 4; i++) {
        uint8_t plane[16];
        for (int code = 0; code < 16; code++)
            plane[code] = ((const uint8_t *)&nf4_level[code])[i];
        t.byte[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)plane));
    }
#endif
    return t;
}

/* 16 bytes from p on: 32 levels in order. */
INLINE void v_load_nf4(vf out[NF4_HALF / W], const uint8_t *p, const struct nf4_table *t)
{
#if SIMD_AVX512
    __m512i codes = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)p));
    for (int i = 0; i < 2; i++) {
        __m512i spread = _mm512_srlv_epi32(_mm512_permutexvar_epi32(t->lane[i], codes), t->shift);
        out[i] = (vf)_mm512_permutexvar_ps(spread, t->level); /* looks at the low four bits alone */
    }
#elif SIMD_AVX2
    /* Groups of four codes go alternately to the low and the high lane, whence the two rounds of unpacking
     * bring out eight in order each. */
    const __m128i groups = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m128i codes = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), groups);
    __m256i wide = _mm256_cvtepu8_epi16(codes);
    wide = _mm256_or_si256(_mm256_srli_epi16(wide, 4), _mm256_slli_epi16(wide, 8));
    wide = _mm256_and_si256(wide, _mm256_set1_epi8(15));
    __m256i b0 = _mm256_shuffle_epi8(t->byte[0], wide), b1 = _mm256_shuffle_epi8(t->byte[1], wide);
    __m256i b2 = _mm256_shuffle_epi8(t->byte[2], wide), b3 = _mm256_shuffle_epi8(t->byte[3], wide);
    __m256i low = _mm256_unpacklo_epi8(b0, b1), high = _mm256_unpacklo_epi8(b2, b3);
    out[0] = (vf)_mm256_unpacklo_epi16(low, high);
    out[1] = (vf)_mm256_unpackhi_epi16(low, high);
    low = _mm256_unpackhi_epi8(b0, b1), high = _mm256_unpackhi_epi8(b2, b3);
    out[2] = (vf)_mm256_unpacklo_epi16(low, high);
    out[3] = (vf)_mm256_unpackhi_epi16(low, high);
#else
    (void)t;
    _Static_assert(W == 4, "two bytes of codes per vector");
    for (int i = 0; i < NF4_HALF / W; i++)
        out[i] = (vf){nf4_level[p[2 * i] >> 4], nf4_level[p[2 * i] & 15], nf4_level[p[2 * i + 1] >> 4],
                      nf4_level[p[2 * i + 1] & 15]};
#endif
}

/* out = level * scale of its block for n columns from the start of a block on. */
static void widen_nf4(float *out, const uint8_t *codes, const float *scales, int64_t n)
{
    const struct nf4_table table = nf4_table();
    for (int64_t i = 0; i < n; i += NF4_HALF) {
        vf level[NF4_HALF / W], scale = v_set(scales[i / NF4_BLOCK]);
        v_load_nf4(level, codes + i / 2, &table);
        for (int j = 0; j < NF4_HALF; j += W) {
            vf v = level[j / W] * scale;
            if (i + j + W <= n)
                v_store(out + i + j, v);
            else if (i + j < n)
                v_store_part(out + i + j, v, (int)(n - i - j));
        }
    }
}

/* One block: the nearest levels of in * inverse for n <= 64 columns, zeros behind them. */
static void narrow_nf4(uint8_t *out, const float *in, float inverse, int64_t n)
{
    int8_t code[NF4_BLOCK];
    memset(code, QUANTIZE_NF4_ZERO, sizeof code);
    for (int64_t i = 0; i < n; i += W) {
        int rest = n - i < W ? (int)(n - i) : W;
        vf v = (rest < W ? v_load_part(in + i, rest) : v_load(in + i)) * inverse; /* 0 has the code of 0 */
        vi found = {0};
        for (int j = 0; j < 15; j++)
            found -= v > 0.5f * (nf4_level[j] + nf4_level[j + 1]);
        *(vi8_any *)(code + i) = __builtin_convertvector(found, vi8);
    }
    for (int i = 0; i < NF4_BYTES; i++)
        out[i] = (uint8_t)(code[2 * i] << 4 | code[2 * i + 1]);
}

/* absmax of block `block` of row r. */
INLINE float nf4_scale(const struct kernel_matrix *m, enum kernel_dtype dtype, int64_t per_row, int64_t r,
                       int64_t block)
{
    int64_t at = r * per_row + block;
    if (dtype == KERNEL_NF4)
        return m->scales[at];
    uint64_t in_whole = (uint64_t)(m->first_row * per_row + at);
    return quantize_block_scale(m->codes[at], m->scales[1 + in_whole / KERNEL_NF4_GROUP], m->scales[0]);
}

/* One block of a row of weights for B rows of x: the levels' products first, their sums times the scale. */
INLINE void gemv_nf4_block(vf sum[4], const uint8_t *w, float scale, const float *x, int64_t x_stride,
                           const struct nf4_table *table, const int B)
{
    enum { PER_HALF = NF4_HALF / W };
    vf part[2][4]; /* two chains: one would wait for itself */
    UNROLL for (int half = 0; half < 2; half++)
    {
        vf level[PER_HALF];
        v_load_nf4(level, w + half * NF4_HALF / 2, table);
        UNROLL for (int j = 0; j < PER_HALF; j++) UNROLL for (int b = 0; b < B; b++)
        {
            vf v = v_load(x + b * x_stride + half * NF4_HALF + j * W);
            part[j % 2][b] = half == 0 && j < 2 ? level[j] * v : v_fma(level[j], v, part[j % 2][b]);
        }
    }
    UNROLL for (int b = 0; b < B; b++) sum[b] = v_fma(part[0][b] + part[1][b], v_set(scale), sum[b]);
}

/* All rows of m for B rows of x. One row at a time: looking levels up takes longer than memory, so that more
 * streams would gain nothing and cost registers. */
INLINE void gemv_nf4_rows(float *out, int64_t out_stride, const struct kernel_matrix *m,
                          enum kernel_dtype dtype, const float *x, int64_t x_stride, const int B)
{
    const struct nf4_table table = nf4_table();
    const int64_t whole = m->cols / NF4_BLOCK, per_row = (m->cols + NF4_BLOCK - 1) / NF4_BLOCK;
    float last[4 * NF4_BLOCK] = {0}; /* where x ends within a block: zeros behind it */
    for (int b = 0; b < B && whole < per_row; b++)
        memcpy(last + b * NF4_BLOCK, x + b * x_stride + whole * NF4_BLOCK,
               (size_t)(m->cols - whole * NF4_BLOCK) * sizeof *last);
    const uint8_t *w = m->data;
    for (int64_t r = 0; r < m->rows; r++) {
        vf sum[4] = {{0}};
        for (int64_t block = 0; block < whole; block++, w += NF4_BYTES) {
            __builtin_prefetch(w + GEMV_AHEAD);
            gemv_nf4_block(sum, w, nf4_scale(m, dtype, per_row, r, block), x + block * NF4_BLOCK, x_stride,
                           &table, B);
        }
        if (whole < per_row) {
            gemv_nf4_block(sum, w, nf4_scale(m, dtype, per_row, r, whole), last, NF4_BLOCK, &table, B);
            w += NF4_BYTES;
        }
        for (int b = 0; b < B; b++)
            out[b * out_stride + r] = v_sum(sum[b]);
    }
}

INLINE void gemv_nf4_batch(float *out, int64_t out_stride, const struct kernel_matrix *m,
                           enum kernel_dtype dtype, const float *x, int64_t x_stride, int rows)
{
    switch (rows) {
    case 1:
        gemv_nf4_rows(out, out_stride, m, dtype, x, x_stride, 1);
        break;
    case 2:
        gemv_nf4_rows(out, out_stride, m, dtype, x, x_stride, 2);
        break;
    case 3:
        gemv_nf4_rows(out, out_stride, m, dtype, x, x_stride, 3);
        break;
    default:
        gemv_nf4_rows(out, out_stride, m, dtype, x, x_stride, 4);
    }
}

static void gemv_nf4(float *out, int64_t out_stride, const struct kernel_matrix *m, const float *x,
                     int64_t x_stride, int rows)
{
    gemv_nf4_batch(out, out_stride, m, KERNEL_NF4, x, x_stride, rows);
}

static void gemv_nf4_dq(float *out, int64_t out_stride, const struct kernel_matrix *m, const float *x,
                        int64_t x_stride, int rows)
{
    gemv_nf4_batch(out, out_stride, m, KERNEL_NF4_DQ, x, x_stride, rows);
}
