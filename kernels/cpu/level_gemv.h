/* Few rows of x against many rows of weights: reads every weight once, from memory, for all rows of x.
 *
 * R weight rows and B rows of x at a time keep R * B accumulators in registers. Weights convert to fp32 on
 * the way in; x stays in the first-level cache. */
#pragma once

#include "kernels/cpu/level_blocks.h"

enum {
    GEMV_TILE =
        SIMD_AVX512 ? 4 : 3, /* weight rows for four rows of x: 12 of 16 (16 of 32) registers accumulate */
};

INLINE void gemv_tile(float *out, int64_t out_step, int64_t out_stride, const char *w, int64_t w_stride,
                      int64_t ahead, enum kernel_dtype dtype, const float *scales, int64_t cols,
                      const float *x, int64_t x_stride, const int R, const int B)
{
    enum { LINE = 64 }; /* bytes of a cache line: the unit of prefetching */
    const int64_t step = LINE / (int64_t)kernel_dtype_bytes_of(dtype);
    vf sum[4][4];
    for (int r = 0; r < R; r++)
        for (int b = 0; b < B; b++)
            sum[r][b] = (vf){0};
    int64_t i = 0;
    for (; i + step <= cols; i += step) {
        for (int r = 0; r < R; r++)
            __builtin_prefetch(w + r * w_stride + i * (LINE / step) + ahead);
        for (int64_t j = i; j < i + step; j += W)
            for (int r = 0; r < R; r++) {
                vf weight = v_load_as(w + r * w_stride, dtype, j);
                for (int b = 0; b < B; b++)
                    sum[r][b] = v_fma(weight, v_load(x + b * x_stride + j), sum[r][b]);
            }
    }
    for (; i + W <= cols; i += W)
        for (int r = 0; r < R; r++) {
            vf weight = v_load_as(w + r * w_stride, dtype, i);
            for (int b = 0; b < B; b++)
                sum[r][b] = v_fma(weight, v_load(x + b * x_stride + i), sum[r][b]);
        }
    if (i < cols) {
        for (int r = 0; r < R; r++) {
            vf weight = v_load_part_as(w + r * w_stride, dtype, i, cols - i);
            for (int b = 0; b < B; b++)
                sum[r][b] = v_fma(weight, v_load_part(x + b * x_stride + i, (int)(cols - i)), sum[r][b]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int b = 0; b < B; b++)
            out[b * out_stride + r * out_step] =
                dtype == KERNEL_INT8 ? v_sum(sum[r][b]) * scales[r * out_step] : v_sum(sum[r][b]);
}

/* How a stream of rows is read: bytes from row to row, and how far ahead to fetch. */
struct gemv_stream {
    int64_t stride, ahead;
};

INLINE struct gemv_stream gemv_dense(int64_t width, enum kernel_dtype dtype)
{
    return (struct gemv_stream){width * (int64_t)kernel_dtype_bytes_of(dtype), GEMV_AHEAD};
}

/* Rows apart: what comes GEMV_AHEAD bytes later in the stream stands whole rows further in memory, or where
 * the caller says. */
INLINE struct gemv_stream gemv_apart(int64_t stride, int64_t width, enum kernel_dtype dtype, int64_t ahead)
{
    int64_t element = (int64_t)kernel_dtype_bytes_of(dtype);
    int64_t rows = (GEMV_AHEAD + width * element - 1) / (width * element);
    return (struct gemv_stream){stride * element, ahead ? ahead : rows * stride * element};
}

/* All rows of m for B rows of x. The R rows of a tile lie a part of the matrix apart, so that memory is read
 * in R long sequential streams. */
INLINE void gemv_rows(float *out, int64_t out_stride, const struct kernel_matrix *m, struct gemv_stream from,
                      enum kernel_dtype dtype, const float *x, int64_t x_stride, const int R, const int B)
{
    const char *w = m->data;
    int64_t stride = from.stride, part = m->rows / R, r = 0;
    for (; r < part; r++)
        gemv_tile(out + r, part, out_stride, w + r * stride, part * stride, from.ahead, dtype,
                  m->scales ? m->scales + r : NULL, m->cols, x, x_stride, R, B);
    for (r = part * R; r < m->rows; r++)
        gemv_tile(out + r, 1, out_stride, w + r * stride, stride, from.ahead, dtype,
                  m->scales ? m->scales + r : NULL, m->cols, x, x_stride, 1, B);
}

INLINE void gemv_batch(float *out, int64_t out_stride, const struct kernel_matrix *m, struct gemv_stream from,
                       enum kernel_dtype dtype, const float *x, int64_t x_stride, int rows)
{
    switch (rows) {
    case 1:
        gemv_rows(out, out_stride, m, from, dtype, x, x_stride, 4, 1);
        break;
    case 2:
        gemv_rows(out, out_stride, m, from, dtype, x, x_stride, 4, 2);
        break;
    case 3:
        gemv_rows(out, out_stride, m, from, dtype, x, x_stride, 4, 3);
        break;
    default:
        gemv_rows(out, out_stride, m, from, dtype, x, x_stride, GEMV_TILE, 4);
    }
}

#define GEMV(name, dtype)                                                                                    \
    static void gemv_##name(float *out, int64_t out_stride, const struct kernel_matrix *m, const float *x,   \
                            int64_t x_stride, int rows)                                                      \
    {                                                                                                        \
        struct gemv_stream dense = {m->cols * (int64_t)kernel_dtype_bytes_of(dtype), GEMV_AHEAD};            \
        gemv_batch(out, out_stride, m, dense, dtype, x, x_stride, rows);                                     \
    }
GEMV(fp32, KERNEL_FP32)
GEMV(fp16, KERNEL_FP16)
GEMV(bf16, KERNEL_BF16)
GEMV(int8, KERNEL_INT8)
#undef GEMV

static void gemv(float *out, int64_t out_stride, const struct kernel_matrix *m, const float *x,
                 int64_t x_stride, int rows)
{
    static void (*const by_dtype[KERNEL_DTYPES])(float *, int64_t, const struct kernel_matrix *,
                                                 const float *, int64_t, int) = {
        gemv_fp32,   gemv_fp16, gemv_bf16, gemv_int8, gemv_nf4,
        gemv_nf4_dq, gemv_q8_0, gemv_q4_0, gemv_q4_k, gemv_q6_k};
    /* More than four rows of x: blocks of whole tiles small enough to stay in the first-level cache for the
     * second group of rows. */
    int64_t row_bytes = (int64_t)kernel_row_bytes(m->dtype, m->cols), tiles = 16384 / (GEMV_TILE * row_bytes);
    int64_t block = rows <= 4 ? m->rows : GEMV_TILE * (tiles > 1 ? tiles : 1);
    for (int64_t first = 0; first < m->rows; first += block) {
        int64_t count = m->rows - first < block ? m->rows - first : block;
        struct kernel_matrix part = kernel_matrix_rows(m, first, count);
        for (int b = 0; b < rows; b += 4)
            by_dtype[m->dtype](out + b * out_stride + first, out_stride, &part, x + b * x_stride, x_stride,
                               rows - b < 4 ? rows - b : 4);
    }
}

/* Dense rows are a case of their own below, so that the compiler knows how far to fetch ahead. */
INLINE void scored_rows_as(float *out, int64_t out_stride, const char *keys, enum kernel_dtype dtype,
                           int tokens, int width, const float *q, int64_t q_stride, int rows,
                           struct gemv_stream from)
{
    int64_t row_bytes = width * (int64_t)kernel_dtype_bytes_of(dtype),
            tiles = 16384 / (GEMV_TILE * row_bytes);
    int64_t block = rows <= 4 ? tokens : GEMV_TILE * (tiles > 1 ? tiles : 1); /* as in gemv */
    for (int64_t t = 0; t < tokens; t += block) {
        struct kernel_matrix part = {.dtype = dtype,
                                     .rows = tokens - t < block ? tokens - t : block,
                                     .cols = width,
                                     .data = (char *)(uintptr_t)keys + t * from.stride};
        for (int b = 0; b < rows; b += 4)
            gemv_batch(out + b * out_stride + t, out_stride, &part, from, dtype, q + b * q_stride, q_stride,
                       rows - b < 4 ? rows - b : 4);
    }
}

/* ahead: bytes to what will be read after these rows, 0: what follows them. */
static void scored_rows(float *out, int64_t out_stride, const void *keys, int64_t stride,
                        enum kernel_dtype dtype, int tokens, int width, const float *q, int64_t q_stride,
                        int rows, int64_t ahead)
{
    switch (dtype) {
#define CASE(AS)                                                                                             \
    if (stride == width && !ahead)                                                                           \
        scored_rows_as(out, out_stride, keys, AS, tokens, width, q, q_stride, rows, gemv_dense(width, AS));  \
    else                                                                                                     \
        scored_rows_as(out, out_stride, keys, AS, tokens, width, q, q_stride, rows,                          \
                       gemv_apart(stride, width, AS, ahead))
    case KERNEL_FP16:
        CASE(KERNEL_FP16);
        break;
    case KERNEL_BF16:
        CASE(KERNEL_BF16);
        break;
    default: /* caches are held in nothing else */
        CASE(KERNEL_FP32);
    }
#undef CASE
}

/* Columns [i, i + U W) of one row of sums. One index into `values`: with a pointer of its own per row decode
 * of fp32 heads of 64 took 10 % longer. */
INLINE void weighted_columns(float *out, const float *weight, const void *values, struct gemv_stream from,
                             enum kernel_dtype dtype, int tokens, int i, const int U)
{
    vf sum[8];
    for (int u = 0; u < U; u++)
        sum[u] = v_load(out + i + u * W);
    const int64_t bytes = (int64_t)kernel_dtype_bytes_of(dtype), stride = from.stride / bytes;
    for (int t = 0; t < tokens; t++) {
        const char *next = (const char *)values + (t * stride + i) * bytes + from.ahead;
        for (int64_t byte = 0; byte < U * W * bytes; byte += 64)
            __builtin_prefetch(next + byte);
        for (int u = 0; u < U; u++)
            sum[u] = v_fma(v_set(weight[t]), v_load_as(values, dtype, t * stride + i + u * W), sum[u]);
    }
    for (int u = 0; u < U; u++)
        v_store(out + i + u * W, sum[u]);
}

INLINE void weighted_rows_as(float *out, int64_t out_stride, const float *weight, int64_t weight_stride,
                             const void *values, enum kernel_dtype dtype, int tokens, int width, int rows,
                             struct gemv_stream from)
{
    for (int b = 0; b < rows; b++, out += out_stride, weight += weight_stride) {
        int i = 0;
        for (; i + 8 * W <= width; i += 8 * W)
            weighted_columns(out, weight, values, from, dtype, tokens, i, 8);
        for (; i + 2 * W <= width; i += 2 * W)
            weighted_columns(out, weight, values, from, dtype, tokens, i, 2);
        for (; i < width; i += W) {
            int n = width - i < W ? width - i : W;
            vf sum = v_load_part(out + i, n);
            for (int t = 0; t < tokens; t++)
                sum = v_fma(v_set(weight[t]),
                            v_load_part_as((const char *)values + t * from.stride, dtype, i, n), sum);
            v_store_part(out + i, sum, n);
        }
    }
}

static void weighted_rows(float *out, int64_t out_stride, const float *weight, int64_t weight_stride,
                          const void *values, int64_t stride, enum kernel_dtype dtype, int tokens, int width,
                          int rows, int64_t ahead)
{
    switch (dtype) {
#define CASE(AS)                                                                                             \
    if (stride == width && !ahead)                                                                           \
        weighted_rows_as(out, out_stride, weight, weight_stride, values, AS, tokens, width, rows,            \
                         gemv_dense(width, AS));                                                             \
    else                                                                                                     \
        weighted_rows_as(out, out_stride, weight, weight_stride, values, AS, tokens, width, rows,            \
                         gemv_apart(stride, width, AS, ahead))
    case KERNEL_FP16:
        CASE(KERNEL_FP16);
        break;
    case KERNEL_BF16:
        CASE(KERNEL_BF16);
        break;
    default:
        CASE(KERNEL_FP32);
    }
#undef CASE
}
