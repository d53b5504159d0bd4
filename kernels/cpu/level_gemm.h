/* Products with many rows: C^T = W X^T in tiles of registers.
 *
 * The vectors run along the rows of x, which are packed once, transposed, in panels of GEMM_LANES rows:
 * [panel][cols][GEMM_LANES]. Weights are broadcast element by element from their own row-major layout, so
 * that fp32 weights need no packing at all and other types only a conversion of the block at hand. Per step
 * of the inner loop a tile of R weight rows reads 2 vectors and R scalars for 2 R fused multiply-adds. */
#pragma once

#include "kernels/cpu/level_blocks.h"

#if SIMD_AVX512
enum { GEMM_TILE = 12 }; /* 24 of 32 registers accumulate */
#else
enum { GEMM_TILE = 6 }; /* 12 of 16 registers */
#endif
enum { GEMM_LANES = 2 * W, GEMM_DEPTH = 256 };
_Static_assert(GEMM_DEPTH % KERNEL_K_BLOCK == 0, "depths begin with a block of every format");
_Static_assert(SIMD_GEMM_BLOCK % GEMM_TILE == 0, "a block is made of whole tiles");

/* c[r, lane] (+)= sum over k < depth of w[r * row_stride + k * k_stride] * xt[k * V W + lane] */
INLINE void outer_tile(float *c, int64_t c_stride, const float *w, int64_t row_stride, int64_t k_stride,
                       const float *xt, int64_t depth, bool accumulate, const int R, const int V)
{
    vf sum[GEMM_TILE][2];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            sum[r][v] = accumulate ? v_load(c + r * c_stride + v * W) : (vf){0};
    for (int64_t k = 0; k < depth; k++) {
        vf x[2];
        for (int v = 0; v < V; v++)
            x[v] = v_load(xt + (k * V + v) * W);
        for (int r = 0; r < R; r++) {
            vf weight = v_set(w[r * row_stride + k * k_stride]);
            for (int v = 0; v < V; v++)
                sum[r][v] = v_fma(weight, x[v], sum[r][v]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            v_store(c + r * c_stride + v * W, sum[r][v]);
}

/* Any number of weight rows for one panel. */
INLINE void outer_rows(float *c, int64_t c_stride, const float *w, int64_t row_stride, int64_t k_stride,
                       const float *xt, int64_t depth, bool accumulate, int64_t rows, const int V)
{
    int64_t r = 0;
#define TILES(R)                                                                                             \
    for (; r + (R) <= rows; r += (R))                                                                        \
    outer_tile(c + r * c_stride, c_stride, w + r * row_stride, row_stride, k_stride, xt, depth, accumulate,  \
               R, V)
    TILES(GEMM_TILE);
    TILES(4);
    TILES(2);
    TILES(1);
#undef TILES
}

#if SIMD_BF16DOT
/* The same with pairs of bf16: xt is [cols / 2][V W][2], weights are read in pairs as they stand. */
INLINE void outer_tile_bf16(float *c, int64_t c_stride, const uint16_t *w, int64_t row_stride,
                            const uint16_t *xt, int64_t pairs, bool accumulate, const int R, const int V)
{
    vf sum[GEMM_TILE][2];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            sum[r][v] = accumulate ? v_load(c + r * c_stride + v * W) : (vf){0};
    for (int64_t k = 0; k < pairs; k++) {
        __m512bh x[2];
        for (int v = 0; v < V; v++)
            x[v] = (__m512bh)_mm512_loadu_si512(xt + (k * V + v) * 2 * W);
        for (int r = 0; r < R; r++) {
            int32_t pair;
            memcpy(&pair, w + r * row_stride + 2 * k, sizeof pair);
            __m512bh weight = (__m512bh)_mm512_set1_epi32(pair);
            for (int v = 0; v < V; v++)
                sum[r][v] = (vf)_mm512_dpbf16_ps((__m512)sum[r][v], weight, x[v]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            v_store(c + r * c_stride + v * W, sum[r][v]);
}

INLINE void outer_rows_bf16(float *c, int64_t c_stride, const uint16_t *w, int64_t row_stride,
                            const uint16_t *xt, int64_t pairs, bool accumulate, int64_t rows, const int V)
{
    int64_t r = 0;
#define TILES(R)                                                                                             \
    for (; r + (R) <= rows; r += (R))                                                                        \
    outer_tile_bf16(c + r * c_stride, c_stride, w + r * row_stride, row_stride, xt, pairs, accumulate, R, V)
    TILES(GEMM_TILE);
    TILES(2);
    TILES(1);
#undef TILES
}
#endif

/* Whether products with m run on pairs of bf16. */
INLINE bool gemm_in_pairs(enum kernel_dtype dtype, int64_t cols)
{
    return SIMD_BF16DOT && dtype == KERNEL_BF16 && cols % 2 == 0;
}

#if SIMD_AVX2
INLINE void transpose8(float *to, int64_t to_stride, const float *from, int64_t from_stride)
{
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
}
#endif

/* W x W elements transposed: to[c * to_stride + r] = from[r * from_stride + c]. */
INLINE void transpose(float *to, int64_t to_stride, const float *from, int64_t from_stride)
{
#if SIMD_AVX2
    for (int r = 0; r < W; r += 8)
        for (int c = 0; c < W; c += 8)
            transpose8(to + c * to_stride + r, to_stride, from + r * from_stride + c, from_stride);
#else
    vf rows[W];
    for (int r = 0; r < W; r++)
        rows[r] = v_load(from + r * from_stride);
    for (int c = 0; c < W; c++) {
        vf column = {0};
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

/* Lanes of a panel that holds so many rows: the last one may be narrow. */
INLINE int gemm_lanes(int rows)
{
    return rows > W ? GEMM_LANES : W;
}

/* Up to GEMM_LANES rows of x into one panel, missing rows zero. */
static void gemm_pack(void *panel, const float *x, int64_t x_stride, int rows, int64_t cols,
                      enum kernel_dtype dtype)
{
    int lanes = gemm_lanes(rows);
    if (!gemm_in_pairs(dtype, cols)) {
        float *xt = panel;
        if (rows < lanes)
            memset(xt, 0, (size_t)(cols * lanes) * sizeof(float));
        transpose_all(xt, lanes, x, x_stride, rows, cols);
        return;
    }
    float column[W * GEMM_LANES], *pairs = panel; /* a float holds a pair, the first column in its low half */
    for (int64_t c = 0; c < cols; c += W) {
        int64_t count = cols - c < W ? cols - c : W;
        memset(column, 0, sizeof column);
        transpose_all(column, lanes, x + c, x_stride, rows, count);
        for (int64_t i = 0; i < count; i += 2)
            for (int lane = 0; lane < lanes; lane += W) {
                vu low = v_to_bf16_bits(v_load(column + i * lanes + lane));
                vu high = v_to_bf16_bits(v_load(column + (i + 1) * lanes + lane));
                v_store(pairs + (c + i) / 2 * lanes + lane, (vf)(low | (high << 16)));
            }
    }
}

static size_t gemm_scratch_floats(int rows)
{
    size_t lanes = (size_t)(rows + GEMM_LANES - 1) / GEMM_LANES * GEMM_LANES + W;
    return SIMD_GEMM_BLOCK * (lanes + GEMM_DEPTH);
}

/* Columns [k, k + depth) of row r, k at the start of a block. */
INLINE void widen_nf4_depth(float *out, const struct kernel_matrix *m, int64_t r, int64_t k, int64_t depth)
{
    int64_t per_row = (m->cols + NF4_BLOCK - 1) / NF4_BLOCK, block = k / NF4_BLOCK;
    float scales[GEMM_DEPTH / NF4_BLOCK];
    _Static_assert(GEMM_DEPTH % NF4_BLOCK == 0, "depths begin with a block");
    for (int i = 0; i * NF4_BLOCK < depth; i++)
        scales[i] = nf4_scale(m, m->dtype, per_row, r, block + i);
    widen_nf4(out, (const uint8_t *)m->data + (r * per_row + block) * NF4_BYTES, scales, depth);
}

/* The weights of one block and GEMM_DEPTH columns from k on, times all panels. */
INLINE void gemm_depth(float *c, int64_t c_stride, const struct kernel_matrix *m, int64_t k, const void *xt,
                       int rows, float *converted)
{
    int64_t depth = m->cols - k < GEMM_DEPTH ? m->cols - k : GEMM_DEPTH, stride = m->cols;
    size_t row_bytes = kernel_row_bytes(m->dtype, m->cols), depth_bytes = kernel_row_bytes(m->dtype, depth);
    const char *w = (const char *)m->data + kernel_row_bytes(m->dtype, k);
    bool pairs = gemm_in_pairs(m->dtype, m->cols);
    if (m->dtype != KERNEL_FP32 && !pairs) {
        for (int64_t r = 0; r < m->rows; r++) {
            const char *row = w + (size_t)r * row_bytes;
            for (size_t byte = 0; byte < depth_bytes; byte += 64) /* memory streams one row ahead */
                __builtin_prefetch(row + 2 * row_bytes + byte);
            if (m->dtype == KERNEL_NF4 || m->dtype == KERNEL_NF4_DQ)
                widen_nf4_depth(converted + r * GEMM_DEPTH, m, r, k, depth);
            else if (kernel_is_blocks(m->dtype))
                widen_blocks(converted + r * GEMM_DEPTH, row, m->dtype, depth);
            else
                widen(converted + r * GEMM_DEPTH, row, m->dtype, 1, depth);
        }
        w = (const char *)converted;
        stride = GEMM_DEPTH;
    }
    for (int row = 0; row < rows; row += GEMM_LANES) {
        int lanes = gemm_lanes(rows - row);
        const float *panel = (const float *)xt + (row * m->cols + k * lanes) / (pairs ? 2 : 1);
#if SIMD_BF16DOT
        if (pairs) {
            if (lanes == W)
                outer_rows_bf16(c + row, c_stride, (const uint16_t *)(const void *)w, stride,
                                (const uint16_t *)(const void *)panel, depth / 2, k > 0, m->rows, 1);
            else
                outer_rows_bf16(c + row, c_stride, (const uint16_t *)(const void *)w, stride,
                                (const uint16_t *)(const void *)panel, depth / 2, k > 0, m->rows, 2);
            continue;
        }
#endif
        if (lanes == W)
            outer_rows(c + row, c_stride, (const float *)(const void *)w, stride, 1, panel, depth, k > 0,
                       m->rows, 1);
        else
            outer_rows(c + row, c_stride, (const float *)(const void *)w, stride, 1, panel, depth, k > 0,
                       m->rows, 2);
    }
}

static void gemm_block(float *out, int64_t out_stride, const struct kernel_matrix *m, const void *xt,
                       int rows, float *scratch)
{
    int64_t lanes = (rows + GEMM_LANES - 1) / GEMM_LANES * GEMM_LANES;
    int64_t c_stride = lanes + W; /* off the power of two, which would hit few cache sets */
    for (int64_t k = 0; k < m->cols; k += GEMM_DEPTH)
        gemm_depth(scratch, c_stride, m, k, xt, rows, scratch + SIMD_GEMM_BLOCK * c_stride);
    if (m->dtype == KERNEL_INT8)
        for (int64_t r = 0; r < m->rows; r++)
            for (int64_t i = 0; i < lanes; i += W)
                v_store(scratch + r * c_stride + i, v_load(scratch + r * c_stride + i) * m->scales[r]);
    transpose_all(out, out_stride, scratch, c_stride, m->rows, rows);
}
