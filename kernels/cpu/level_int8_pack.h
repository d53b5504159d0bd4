/* x in 8 bits, as the products of integers read it: a record per group of columns in the order in which the
 * weights' bytes give them: the low halves of 4W bytes of nibbles, then the high halves. With it stand the
 * scale of every lane's block, and what must be added to a lane's sum because weights are stored with an
 * offset (8 in Q4_0; 128 in Q8_0 where the instruction wants one side unsigned), so that both cost a load.
 *
 *   Q8_0  group of 4W columns     4W q | W offsets (VNNI alone) | W scales
 *   Q4_0  W/4 blocks of 32        2 x 4W q | W offsets | W scales
 *   K     block of 256            256 q | 16 sums of 16 (Q6_K) or 8 of 32 (Q4_K), int16 | scale
 *   int8  the whole row           scale | sum, then q, zeros up to whole vectors */
#pragma once

#include "kernels/cpu/level_blocks.h"

enum {
    V = 4 * W, /* bytes of a vector */
    INT8_Q4_BLOCKS = W / 4,
    INT8_Q4_RECORD = 2 * V + 8 * W,
    INT8_Q8_RECORD = V + (SIMD_VNNI ? 8 : 4) * W,
    INT8_Q8_OFFSETS = SIMD_VNNI ? 4 * W : 0,
    INT8_Q8_PART = W < 8 ? V : 32, /* of a block in a group */
    INT8_K_SUMS = KERNEL_K_BLOCK,
    INT8_K_SCALE = INT8_K_SUMS + 32,
    INT8_K_RECORD = INT8_K_SCALE + 32,
    INT8_HEAD = 64,
    INT8_CHUNK = 16, /* columns that stay together in any order */
    K_VECTORS = KERNEL_K_BLOCK / 2 / V
};

typedef uint8_t vub __attribute__((vector_size(V)));
typedef int8_t vsb __attribute__((vector_size(V)));
typedef uint16_t vuw __attribute__((vector_size(V)));
typedef int16_t vsw __attribute__((vector_size(V)));
typedef uint8_t vub_any __attribute__((vector_size(V), aligned(1), may_alias));
typedef int8_t vsb_any __attribute__((vector_size(V), aligned(1), may_alias));
typedef int32_t vi_any __attribute__((vector_size(V), aligned(4), may_alias));

INLINE vsb load_q(const char *p)
{
    return *(const vsb_any *)p;
}

/* ---- packing x ---- */

INLINE int64_t int8_groups(enum kernel_dtype dtype, int64_t cols)
{
    int64_t group = dtype == KERNEL_Q8_0   ? V
                    : dtype == KERNEL_Q4_0 ? INT8_Q4_BLOCKS * KERNEL_Q_BLOCK
                    : dtype == KERNEL_INT8 ? V
                                           : KERNEL_K_BLOCK;
    return (cols + group - 1) / group;
}

static size_t int8_bytes(enum kernel_dtype dtype, int64_t cols)
{
    size_t groups = (size_t)int8_groups(dtype, cols);
    size_t bytes = dtype == KERNEL_Q8_0   ? groups * INT8_Q8_RECORD
                   : dtype == KERNEL_Q4_0 ? groups * INT8_Q4_RECORD
                   : dtype == KERNEL_INT8 ? INT8_HEAD + groups * V
                                          : groups * INT8_K_RECORD;
    return (bytes + 63) / 64 * 64;
}

/* The scale of n columns and their q. Where an x is not finite the scale is NaN. `half`: the scale as fp16
 * holds it. */
INLINE float round_columns(int8_t *q, const float *x, int64_t n, bool half, bool of_inverse)
{
    vf strange = {0};
    int64_t i = 0;
    for (; i + W <= n; i += W)
        strange += v_load(x + i) * 0.0f;
    if (i < n)
        strange += v_load_part(x + i, (int)(n - i)) * 0.0f;
    float largest = absmax(x, n), inverse = largest > 0 ? 127 / largest : 0, scale = largest / 127;
    narrow(q, KERNEL_INT8, x, inverse, n);
    if (of_inverse)
        scale = largest > 0 ? 1 / inverse : 0;
    if (half) {
        uint16_t bits[W];
        v_store_fp16(bits, v_set(scale));
        scale = load_half((const uint8_t *)bits);
    }
    return scale + v_sum(strange);
}

INLINE int sum_of(const int8_t *q, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += q[i];
    return sum;
}

static void pack_q8_0(char *to, const float *x, int64_t cols)
{
    int8_t q[KERNEL_Q_BLOCK];
    for (int64_t at = 0; at < cols; at += KERNEL_Q_BLOCK) {
        float scale = round_columns(q, x + at, KERNEL_Q_BLOCK, true, false);
        for (int64_t i = at; i < at + KERNEL_Q_BLOCK; i += INT8_Q8_PART) {
            char *group = to + i / V * INT8_Q8_RECORD;
            int64_t inside = i % V;
            memcpy(group + inside, q + (i - at), INT8_Q8_PART);
            float *scales = (float *)(void *)(group + V + INT8_Q8_OFFSETS) + inside / 4;
            for (int l = 0; l < INT8_Q8_PART / 4; l++)
                scales[l] = scale;
            if (SIMD_VNNI)
                ((int32_t *)(void *)(group + V))[inside / 4] = -128 * sum_of(q, KERNEL_Q_BLOCK);
        }
    }
}

static void pack_q4_0(char *to, const float *x, int64_t cols)
{
    int8_t q[KERNEL_Q_BLOCK];
    for (int64_t at = 0; at < cols; at += KERNEL_Q_BLOCK) {
        int64_t block = at / KERNEL_Q_BLOCK, inside = block % INT8_Q4_BLOCKS;
        char *group = to + block / INT8_Q4_BLOCKS * INT8_Q4_RECORD;
        float scale = round_columns(q, x + at, KERNEL_Q_BLOCK, true, false);
        memcpy(group + inside * 16, q, 16);
        memcpy(group + V + inside * 16, q + 16, 16);
        ((int32_t *)(void *)(group + 2 * V))[inside * 4] = -8 * sum_of(q, KERNEL_Q_BLOCK);
        for (int l = 0; l < 4; l++)
            ((float *)(void *)(group + 2 * V + 4 * W))[inside * 4 + l] = scale;
    }
}

/* The column of the low half of byte j of a block's nibbles; the high half's is so many further. */
INLINE int k_column(enum kernel_dtype dtype, int j)
{
    return dtype == KERNEL_Q4_K ? j / 32 * 64 + j % 32 : j / 64 * 128 + j % 64;
}

INLINE void pack_k(char *to, const float *x, enum kernel_dtype dtype, int64_t cols)
{
    const int high = dtype == KERNEL_Q4_K ? 32 : 64, each = dtype == KERNEL_Q4_K ? 32 : 16;
    int8_t q[KERNEL_K_BLOCK];
    for (int64_t at = 0; at < cols; at += KERNEL_K_BLOCK, to += INT8_K_RECORD) {
        float scale = round_columns(q, x + at, KERNEL_K_BLOCK, false, true);
        for (int j = 0; j < KERNEL_K_BLOCK / 2; j += INT8_CHUNK) {
            char *pair = to + j / V * 2 * V + j % V;
            memcpy(pair, q + k_column(dtype, j), INT8_CHUNK);
            memcpy(pair + V, q + k_column(dtype, j) + high, INT8_CHUNK);
        }
        int16_t *sums = (int16_t *)(void *)(to + INT8_K_SUMS);
        for (int i = 0; i < KERNEL_K_BLOCK / each; i++)
            sums[i] = (int16_t)sum_of(q + i * each, each);
        memcpy(to + INT8_K_SCALE, &scale, sizeof scale);
    }
}

static void pack_int8(char *to, const float *x, int64_t cols)
{
    int8_t *q = (int8_t *)to + INT8_HEAD;
    int64_t padded = int8_groups(KERNEL_INT8, cols) * V;
    float scale = round_columns(q, x, cols, false, false);
    int32_t sum = 0;
    memset(q + cols, 0, (size_t)(padded - cols));
    for (int64_t i = 0; i < cols; i += V)
        sum += sum_of(q + i, V);
    memcpy(to, &scale, sizeof scale);
    memcpy(to + sizeof scale, &sum, sizeof sum);
}

static void int8_pack(void *to, const float *x, enum kernel_dtype dtype, int64_t cols)
{
    memset(to, 0, int8_bytes(dtype, cols));
    if (dtype == KERNEL_Q8_0)
        pack_q8_0(to, x, cols);
    else if (dtype == KERNEL_Q4_0)
        pack_q4_0(to, x, cols);
    else if (dtype == KERNEL_Q4_K)
        pack_k(to, x, KERNEL_Q4_K, cols);
    else if (dtype == KERNEL_Q6_K)
        pack_k(to, x, KERNEL_Q6_K, cols);
    else
        pack_int8(to, x, cols);
}
