/* Weights of any type read as fp32 on the device, eight columns at a time, and where a token row stands. */
#pragma once

#include "kernels/cuda/blocks.cuh"
#include "kernels/cuda/device.cuh"
#include "kernels/quantize.h"

/* Eight columns are one 16-byte load of 16-bit weights, 8 bytes of int8, 4 bytes of NF4, and never leave
 * their block of 64. */
enum { MATRIX_EIGHT = 8 };
static_assert(KERNEL_NF4_BLOCK % MATRIX_EIGHT == 0, "eight columns share one block scale");

/* Whether every row of m may be read eight columns at a time. NF4 rows are padded to whole blocks. */
static inline bool matrix_in_eights(const struct kernel_matrix *m)
{
    if (kernel_is_blocks(m->dtype)) /* whole blocks, read two bytes at a time */
        return true;
    bool whole = m->dtype == KERNEL_NF4 || m->dtype == KERNEL_NF4_DQ || m->cols % MATRIX_EIGHT == 0;
    return whole && (uintptr_t)m->data % 16 == 0;
}

static __device__ __forceinline__ int64_t matrix_blocks(const struct kernel_matrix &m)
{
    return (m.cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK;
}

/* absmax of a block of a row of NF4 or NF4_DQ. */
static __device__ __forceinline__ float
matrix_block_scale(const struct kernel_matrix &m, enum kernel_dtype dtype, int64_t row, int64_t block)
{
    int64_t per_row = matrix_blocks(m), at = row * per_row + block;
    if (dtype == KERNEL_NF4)
        return m.scales[at];
    int64_t in_whole = m.first_row * per_row + at;
    return quantize_block_scale(m.codes[at], m.scales[1 + in_whole / KERNEL_NF4_GROUP], m.scales[0]);
}

template <typename T>
static __device__ __forceinline__ void matrix_halves(const struct kernel_matrix &m, int64_t at, float v[8])
{
    pack<T> p = load_pack((const T *)m.data + at);
    for (int i = 0; i < 8; i++)
        v[i] = to_float(p.at[i]);
}

/* Columns [col, col + 8) of a row, col a multiple of 8, where matrix_in_eights holds. dtype is m.dtype, a
 * constant where the caller is a template. Past NF4's last column stand zeros. */
static __device__ __forceinline__ void matrix_eight(const struct kernel_matrix &m, enum kernel_dtype dtype,
                                                    int64_t row, int64_t col, float v[8])
{
    int64_t at = row * m.cols + col;
    switch (dtype) {
    case KERNEL_FP16:
        matrix_halves<__half>(m, at, v);
        break;
    case KERNEL_BF16:
        matrix_halves<__nv_bfloat16>(m, at, v);
        break;
    case KERNEL_INT8: {
        float scale = m.scales[row];
        int2 bytes = *reinterpret_cast<const int2 *>((const int8_t *)m.data + at);
        for (int i = 0; i < 4; i++) {
            v[i] = (float)(int8_t)(bytes.x >> (8 * i)) * scale;
            v[4 + i] = (float)(int8_t)(bytes.y >> (8 * i)) * scale;
        }
        break;
    }
    case KERNEL_NF4:
    case KERNEL_NF4_DQ: {
        int64_t byte = row * matrix_blocks(m) * (KERNEL_NF4_BLOCK / 2) + col / 2;
        unsigned codes = *reinterpret_cast<const unsigned *>((const uint8_t *)m.data + byte);
        float scale = matrix_block_scale(m, dtype, row, col / KERNEL_NF4_BLOCK);
        for (int i = 0; i < 4; i++) {
            v[2 * i] = quantize_nf4_value(codes >> (8 * i + 4) & 15) * scale;
            v[2 * i + 1] = quantize_nf4_value(codes >> (8 * i) & 15) * scale;
        }
        break;
    }
    case KERNEL_Q8_0:
    case KERNEL_Q4_0:
    case KERNEL_Q4_K:
    case KERNEL_Q6_K:
        blocks_eight((const unsigned char *)m.data, dtype, at, v); /* rows are whole blocks */
        break;
    default: {
        pack<float> low = load_pack((const float *)m.data + at),
                    high = load_pack((const float *)m.data + at + 4);
        for (int i = 0; i < 4; i++)
            v[i] = low.at[i], v[4 + i] = high.at[i];
    }
    }
}

/* The same element by element, for matrices of any width. */
static __device__ __forceinline__ float matrix_one(const struct kernel_matrix &m, enum kernel_dtype dtype,
                                                   int64_t row, int64_t col)
{
    int64_t at = row * m.cols + col;
    switch (dtype) {
    case KERNEL_FP16:
        return to_float(((const __half *)m.data)[at]);
    case KERNEL_BF16:
        return to_float(((const __nv_bfloat16 *)m.data)[at]);
    case KERNEL_INT8:
        return (float)((const int8_t *)m.data)[at] * m.scales[row];
    case KERNEL_NF4:
    case KERNEL_NF4_DQ: {
        int byte = ((const uint8_t *)m.data)[row * matrix_blocks(m) * (KERNEL_NF4_BLOCK / 2) + col / 2];
        return quantize_nf4_value(col % 2 ? byte & 15 : byte >> 4) *
               matrix_block_scale(m, dtype, row, col / KERNEL_NF4_BLOCK);
    }
    case KERNEL_Q8_0:
    case KERNEL_Q4_0:
    case KERNEL_Q4_K:
    case KERNEL_Q6_K: {
        float v[8];
        blocks_eight((const unsigned char *)m.data, dtype, at / 8 * 8, v);
        return v[at % 8];
    }
    default:
        return ((const float *)m.data)[at];
    }
}

/* The last sequence that starts at or before row: with one row each, the row itself, without a look. */
static __device__ __forceinline__ int batch_sequence(const struct kernel_batch &batch, int row)
{
    if (batch.max_rows == 1 && batch.rows == batch.sequences)
        return row;
    int low = 0, high = batch.sequences - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (batch.row_start[middle] <= row)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static __device__ __forceinline__ int batch_position(const struct kernel_batch &batch, int row, int sequence)
{
    return batch.context[sequence] + row - batch.row_start[sequence];
}

/* Blocks of `threads` for n items where each thread goes on in strides: enough to fill the device. */
static inline unsigned grid_for(const struct cuda *c, int64_t n, int threads)
{
    int64_t blocks = (n + threads - 1) / threads, most = (int64_t)c->multiprocessors * 32;
    return (unsigned)(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

static inline bool aligned_16(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}
