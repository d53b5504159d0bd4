/* Products with many rows: C^T = W X^T in tiles of registers.
 *
 * The vectors run along the rows of x, which are packed once, transposed, in panels of GEMM_LANES rows:
 * [panel][cols][GEMM_LANES]. Weights are broadcast element by element from their own row-major layout, so
 * that fp32 weights need no packing at all and other types only a conversion of the block at hand. Per step
 * of the inner loop a tile of R weight rows reads 2 vectors and R scalars for 2 R fused multiply-adds. */
#pragma once

#include "kernels/cpu/level_convert.h"

#if SIMD_AVX512
enum { GEMM_TILE = 12 }; /* 24 of 32 registers accumulate */
#else
enum { GEMM_TILE = 6 }; /* 12 of 16 registers */
#endif
enum { GEMM_LANES = 2 * W, GEMM_DEPTH = 256 };
_Static_assert(SIMD_GEMM_BLOCK % GEMM_TILE == 0, "a block is made of whole tiles");

/* c[r, lane] (+)= sum over k < depth of w[r * row_stride + k * k_stride] * xt[k * GEMM_LANES + lane] */
INLINE void outer_tile(float *c, int64_t c_stride, const float *w, int64_t row_stride, int64_t k_stride,
                       const float *xt, int64_t depth, bool accumulate, const int R)
{
    vf sum[GEMM_TILE][2];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < 2; v++)
            sum[r][v] = accumulate ? v_load(c + r * c_stride + v * W) : (vf){0};
    for (int64_t k = 0; k < depth; k++) {
        vf x0 = v_load(xt + k * GEMM_LANES), x1 = v_load(xt + k * GEMM_LANES + W);
        for (int r = 0; r < R; r++) {
            vf weight = v_set(w[r * row_stride + k * k_stride]);
            sum[r][0] = v_fma(weight, x0, sum[r][0]);
            sum[r][1] = v_fma(weight, x1, sum[r][1]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < 2; v++)
            v_store(c + r * c_stride + v * W, sum[r][v]);
}

/* Any number of weight rows for one panel. */
INLINE void outer_rows(float *c, int64_t c_stride, const float *w, int64_t row_stride, int64_t k_stride,
                       const float *xt, int64_t depth, bool accumulate, int64_t rows)
{
    int64_t r = 0;
    for (; r + GEMM_TILE <= rows; r += GEMM_TILE)
        outer_tile(c + r * c_stride, c_stride, w + r * row_stride, row_stride, k_stride, xt, depth,
                   accumulate, GEMM_TILE);
#if SIMD_AVX512
    for (; r + 4 <= rows; r += 4)
        outer_tile(c + r * c_stride, c_stride, w + r * row_stride, row_stride, k_stride, xt, depth,
                   accumulate, 4);
#endif
    for (; r + 2 <= rows; r += 2)
        outer_tile(c + r * c_stride, c_stride, w + r * row_stride, row_stride, k_stride, xt, depth,
                   accumulate, 2);
    for (; r < rows; r++)
        outer_tile(c + r * c_stride, c_stride, w + r * row_stride, row_stride, k_stride, xt, depth,
                   accumulate, 1);
}

#if SIMD_BF16DOT
/* The same with pairs of bf16: xt is [cols / 2][GEMM_LANES][2], weights are read in pairs as they stand. */
INLINE void outer_tile_bf16(float *c, int64_t c_stride, const uint16_t *w, int64_t row_stride,
                            const uint16_t *xt, int64_t pairs, bool accumulate, const int R)
{
    vf sum[GEMM_TILE][2];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < 2; v++)
            sum[r][v] = accumulate ? v_load(c + r * c_stride + v * W) : (vf){0};
    for (int64_t k = 0; k < pairs; k++) {
        __m512bh x0 = (__m512bh)_mm512_loadu_si512(xt + k * 2 * GEMM_LANES);
        __m512bh x1 = (__m512bh)_mm512_loadu_si512(xt + k * 2 * GEMM_LANES + 2 * W);
        for (int r = 0; r < R; r++) {
            int32_t pair;
            memcpy(&pair, w + r * row_stride + 2 * k, sizeof pair);
            __m512bh weight = (__m512bh)_mm512_set1_epi32(pair);
            sum[r][0] = (vf)_mm512_dpbf16_ps((__m512)sum[r][0], weight, x0);
            sum[r][1] = (vf)_mm512_dpbf16_ps((__m512)sum[r][1], weight, x1);
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < 2; v++)
            v_store(c + r * c_stride + v * W, sum[r][v]);
}

INLINE void outer_rows_bf16(float *c, int64_t c_stride, const uint16_t *w, int64_t row_stride,
                            const uint16_t *xt, int64_t pairs, bool accumulate, int64_t rows)
{
    int64_t r = 0;
    for (; r + GEMM_TILE <= rows; r += GEMM_TILE)
        outer_tile_bf16(c + r * c_stride, c_stride, w + r * row_stride, row_stride, xt, pairs, accumulate,
                        GEMM_TILE);
    for (; r + 2 <= rows; r += 2)
        outer_tile_bf16(c + r * c_stride, c_stride, w + r * row_stride, row_stride, xt, pairs, accumulate, 2);
    for (; r < rows; r++)
        outer_tile_bf16(c + r * c_stride, c_stride, w + r * row_stride, row_stride, xt, pairs, accumulate, 1);
}
#endif

/* Whether products with m run on pairs of bf16. */
INLINE bool gemm_in_pairs(enum kernel_dtype dtype, int64_t cols)
{
    return SIMD_BF16DOT && dtype == KERNEL_BF16 && cols % 2 == 0;
}

/* W x W elements transposed: to[c * to_stride + r] = from[r * from_stride + c]. */
INLINE void transpose(float *to, int64_t to_stride, const float *from, int64_t from_stride)
{
#if SIMD_AVX2 && !SIMD_AVX512
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps(from + i * from_stride);
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * to_stride, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
#else
    vf rows[W];
    for (int r = 0; r < W; r++)
        rows[r] = v_load(from + r * from_stride);
    for (int c = 0; c < W; c++) {
        vf column;
        for (int r = 0; r < W; r++)
            column[r] = rows[r][c];
        v_store(to + c * to_stride, column);
    }
#endif
}

/* to[c, r] = from[r, c] for rows x cols elements. */
INLINE void transpose_all(float *to, int64_t to_stride, const float *from, int64_t from_stride, int64_t rows,
                          int64_t cols)
{
    int64_t r = 0;
    for (; r + W <= rows; r += W) {
        int64_t c = 0;
        for (; c + W <= cols; c += W)
            transpose(to + c * to_stride + r, to_stride, from + r * from_stride + c, from_stride);
        for (; c < cols; c++)
            for (int i = 0; i < W; i++)
                to[c * to_stride + r + i] = from[(r + i) * from_stride + c];
    }
    for (; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            to[c * to_stride + r] = from[r * from_stride + c];
}

/* Up to GEMM_LANES rows of x into one panel, missing rows zero. */
static void gemm_pack(void *panel, const float *x, int64_t x_stride, int rows, int64_t cols,
                      enum kernel_dtype dtype)
{
    if (!gemm_in_pairs(dtype, cols)) {
        float *xt = panel;
        if (rows < GEMM_LANES)
            memset(xt, 0, (size_t)cols * GEMM_LANES * sizeof(float));
        transpose_all(xt, GEMM_LANES, x, x_stride, rows, cols);
        return;
    }
    uint16_t *pairs = panel;
    float column[W][GEMM_LANES], rounded[W];
    for (int64_t c = 0; c < cols; c += W) {
        int64_t count = cols - c < W ? cols - c : W;
        memset(column, 0, sizeof column);
        transpose_all(column[0], GEMM_LANES, x + c, x_stride, rows, count);
        for (int64_t i = 0; i < count; i++)
            for (int lane = 0; lane < GEMM_LANES; lane += W) {
                narrow_vector(rounded, KERNEL_BF16, v_load(column[i] + lane), 1, 0);
                for (int j = 0; j < W; j++)
                    memcpy(pairs + ((c + i) / 2 * GEMM_LANES + lane + j) * 2 + (c + i) % 2,
                           (uint16_t *)(void *)rounded + j, 2);
            }
    }
}

static size_t gemm_scratch_floats(int rows)
{
    size_t lanes = (size_t)(rows + GEMM_LANES - 1) / GEMM_LANES * GEMM_LANES + W;
    return SIMD_GEMM_BLOCK * (lanes + GEMM_DEPTH);
}

static void gemm_block(float *out, int64_t out_stride, const struct kernel_matrix *m, const void *xt,
                       int rows, float *scratch)
{
    int panels = (rows + GEMM_LANES - 1) / GEMM_LANES;
    int64_t c_stride = panels * GEMM_LANES + W; /* off the power of two, which would hit few cache sets */
    float *c = scratch, *converted = scratch + SIMD_GEMM_BLOCK * c_stride;
    size_t row_bytes = (size_t)m->cols * kernel_dtype_bytes(m->dtype);
    for (int64_t k = 0; k < m->cols; k += GEMM_DEPTH) {
        int64_t depth = m->cols - k < GEMM_DEPTH ? m->cols - k : GEMM_DEPTH, stride = m->cols;
        const char *w = (const char *)m->data + (size_t)k * kernel_dtype_bytes(m->dtype);
#if SIMD_BF16DOT
        if (gemm_in_pairs(m->dtype, m->cols)) {
            for (int p = 0; p < panels; p++)
                outer_rows_bf16(c + p * GEMM_LANES, c_stride, (const uint16_t *)(const void *)w, stride,
                                (const uint16_t *)xt + (p * m->cols + k) * GEMM_LANES, depth / 2, k > 0,
                                m->rows);
            continue;
        }
#endif
        if (m->dtype != KERNEL_FP32) {
            for (int64_t r = 0; r < m->rows; r++)
                widen(converted + r * GEMM_DEPTH, w + (size_t)r * row_bytes, m->dtype, 1, depth);
            w = (const char *)converted;
            stride = GEMM_DEPTH;
        }
        for (int p = 0; p < panels; p++)
            outer_rows(c + p * GEMM_LANES, c_stride, (const float *)(const void *)w, stride, 1,
                       (const float *)xt + (p * m->cols + k) * GEMM_LANES, depth, k > 0, m->rows);
    }
    if (m->scales)
        for (int64_t r = 0; r < m->rows; r++)
            for (int64_t i = 0; i < panels * GEMM_LANES; i += W)
                v_store(c + r * c_stride + i, v_load(c + r * c_stride + i) * m->scales[r]);
    transpose_all(out, out_stride, c, c_stride, m->rows, rows);
}
