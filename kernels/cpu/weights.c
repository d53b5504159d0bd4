/* Synthetic weights made in place, and weights read back as fp32. */
#include "kernels/blocks.h"
#include "kernels/cpu/cpu.h"
#include "kernels/generator.h"
#include "kernels/quantize.h"

#include <math.h>

enum { CHUNK = 4096 };

/* Values [first, first + n) of the tensor in fp32; the generator's key changes every 2^32 elements. */
static void values(const struct cpu *c, float *out, uint64_t seed, uint64_t id, int64_t first, int64_t n,
                   enum kernel_weight_law law, float amplitude)
{
    if (law == KERNEL_CONSTANT) {
        for (int64_t i = 0; i < n; i++)
            out[i] = amplitude;
        return;
    }
    while (n > 0) {
        uint64_t i = (uint64_t)first;
        int64_t left = (int64_t)(UINT64_C(0x100000000) - (i & 0xffffffff)), count = n < left ? n : left;
        c->simd->uniform(out, generator_key(seed, id, i), (uint32_t)i, amplitude, count);
        out += count;
        first += count;
        n -= count;
    }
}

static void generate_int8_row(const struct cpu *c, struct kernel_matrix *m, int64_t row, uint64_t seed,
                              uint64_t id, enum kernel_weight_law law, float amplitude)
{
    float chunk[CHUNK], largest = 0;
    int64_t start = row * m->cols;
    /* Twice through the generator instead of once through memory: the row's scale must be known first. */
    for (int pass = 0; pass < 2; pass++) {
        float inverse = largest > 0 ? 127 / largest : 0;
        for (int64_t i = 0; i < m->cols; i += CHUNK) {
            int64_t n = m->cols - i < CHUNK ? m->cols - i : CHUNK;
            values(c, chunk, seed, id, start + i, n, law, amplitude);
            if (pass == 0)
                largest = fmaxf(largest, c->simd->absmax(chunk, n));
            else
                c->simd->narrow((int8_t *)m->data + start + i, KERNEL_INT8, chunk, inverse, n);
        }
    }
    m->scales[row] = largest / 127;
}

/* Block b of NF4, counted over the whole matrix: its values and how many there are; their absmax. */
static float nf4_block(const struct cpu *c, float out[KERNEL_NF4_BLOCK], int64_t *n,
                       const struct kernel_matrix *m, int64_t b, uint64_t seed, uint64_t id,
                       enum kernel_weight_law law, float amplitude)
{
    int64_t per_row = (m->cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK, row = b / per_row,
            col = b % per_row * KERNEL_NF4_BLOCK;
    *n = m->cols - col < KERNEL_NF4_BLOCK ? m->cols - col : KERNEL_NF4_BLOCK;
    values(c, out, seed, id, row * m->cols + col, *n, law, amplitude);
    return c->simd->absmax(out, *n);
}

/* Each absmax less their mean, in groups, to the dynamic map. The absmax are made again: nobody kept them. */
static void generate_nf4_scales(const struct cpu *c, struct kernel_matrix *m, int64_t blocks, uint64_t seed,
                                uint64_t id, enum kernel_weight_law law, float amplitude)
{
    float mean = m->scales[0];
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, blocks *KERNEL_NF4_BLOCK))
    for (int64_t first = 0; first < blocks; first += KERNEL_NF4_GROUP) {
        float away[KERNEL_NF4_GROUP], value[KERNEL_NF4_BLOCK];
        int64_t count = blocks - first < KERNEL_NF4_GROUP ? blocks - first : KERNEL_NF4_GROUP, n;
        for (int64_t i = 0; i < count; i++)
            away[i] = nf4_block(c, value, &n, m, first + i, seed, id, law, amplitude) - mean;
        float scale = c->simd->absmax(away, count), inverse = scale > 0 ? 1 / scale : 0;
        for (int64_t i = 0; i < count; i++)
            m->codes[first + i] = (uint8_t)quantize_dynamic_code(away[i] * inverse);
        m->scales[1 + first / KERNEL_NF4_GROUP] = scale;
    }
}

static void generate_nf4(const struct cpu *c, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                         enum kernel_weight_law law, float amplitude)
{
    int64_t blocks = m->rows * ((m->cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK);
    int exponent = quantize_sum_exponent(fabsf(amplitude));
    uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)                                                 \
    num_threads(cpu_threads_for(c, blocks *KERNEL_NF4_BLOCK))
    for (int64_t b = 0; b < blocks; b++) {
        float value[KERNEL_NF4_BLOCK];
        int64_t n;
        float largest = nf4_block(c, value, &n, m, b, seed, id, law, amplitude);
        c->simd->narrow_nf4((uint8_t *)m->data + b * (KERNEL_NF4_BLOCK / 2), value,
                            largest > 0 ? 1 / largest : 0, n);
        if (m->dtype == KERNEL_NF4)
            m->scales[b] = largest;
        else
            sum += quantize_sum_term(largest, exponent);
    }
    if (m->dtype == KERNEL_NF4)
        return;
    m->scales[0] = quantize_sum_mean(sum, exponent, blocks);
    generate_nf4_scales(c, m, blocks, seed, id, law, amplitude);
}

/* A chunk is a whole number of blocks, and so is a row: rows do not matter. */
static void generate_blocks(const struct cpu *c, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                            enum kernel_weight_law law, float amplitude)
{
    int64_t total = m->rows * m->cols;
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, total))
    for (int64_t i = 0; i < total; i += CHUNK) {
        float chunk[CHUNK];
        int64_t n = total - i < CHUNK ? total - i : CHUNK;
        values(c, chunk, seed, id, i, n, law, amplitude);
        kernel_quantize_rows(m->dtype, chunk, 1, n, (char *)m->data + kernel_row_bytes(m->dtype, i));
    }
}

void cpu_generate(struct kernels *k, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                  enum kernel_weight_law law, float amplitude)
{
    const struct cpu *c = cpu_of(k);
    int64_t total = m->rows * m->cols;
    int threads = cpu_threads_for(c, total);
    if (m->dtype == KERNEL_NF4 || m->dtype == KERNEL_NF4_DQ) {
        generate_nf4(c, m, seed, id, law, amplitude);
        return;
    }
    if (kernel_is_blocks(m->dtype)) {
        generate_blocks(c, m, seed, id, law, amplitude);
        return;
    }
    if (m->dtype == KERNEL_INT8) {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int64_t row = 0; row < m->rows; row++)
            generate_int8_row(c, m, row, seed, id, law, amplitude);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < total; i += CHUNK) {
        float chunk[CHUNK];
        int64_t n = total - i < CHUNK ? total - i : CHUNK;
        values(c, chunk, seed, id, i, n, law, amplitude);
        c->simd->narrow((char *)m->data + (size_t)i * kernel_dtype_bytes(m->dtype), m->dtype, chunk, 1, n);
    }
}

void cpu_widen(const struct cpu *c, float *out, const struct kernel_matrix *m, int64_t row, int64_t first,
               int64_t n)
{
    enum { BLOCKS = 64 };
    if (kernel_is_blocks(m->dtype)) {
        size_t at = (size_t)row * kernel_row_bytes(m->dtype, m->cols) + kernel_row_bytes(m->dtype, first);
        c->simd->widen_blocks(out, (const char *)m->data + at, m->dtype, n);
        return;
    }
    if (m->dtype != KERNEL_NF4 && m->dtype != KERNEL_NF4_DQ) {
        const char *from =
            (const char *)m->data + (size_t)(row * m->cols + first) * kernel_dtype_bytes(m->dtype);
        c->simd->widen(out, from, m->dtype, m->scales ? m->scales[row] : 1, n);
        return;
    }
    int64_t per_row = (m->cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK;
    for (int64_t i = 0; i < n; i += BLOCKS * KERNEL_NF4_BLOCK) {
        int64_t count = n - i < BLOCKS * KERNEL_NF4_BLOCK ? n - i : BLOCKS * KERNEL_NF4_BLOCK;
        int64_t block = row * per_row + (first + i) / KERNEL_NF4_BLOCK;
        float scales[BLOCKS];
        for (int64_t b = 0; b * KERNEL_NF4_BLOCK < count; b++) {
            int64_t at = block + b, whole = m->first_row * per_row + at;
            scales[b] = m->dtype == KERNEL_NF4
                            ? m->scales[at]
                            : quantize_block_scale(m->codes[at], m->scales[1 + whole / KERNEL_NF4_GROUP],
                                                   m->scales[0]);
        }
        c->simd->widen_nf4(out + i, (const uint8_t *)m->data + block * (KERNEL_NF4_BLOCK / 2), scales, count);
    }
}

/* ---- matrices by channel ---- */

#define TURN(type)                                                                                           \
    for (int64_t c = 0; c < m->cols; c++)                                                                    \
        for (int64_t r = 0; r < rows; r++)                                                                   \
            ((type *)out)[r * m->cols + c] = ((const type *)m->data)[c * m->channel_stride + first + r];

void cpu_turn_rows(void *out, const struct kernel_matrix *m, int64_t first, int64_t rows)
{
    switch (kernel_dtype_bytes(m->dtype)) {
    case 4:
        TURN(uint32_t)
        break;
    case 2:
        TURN(uint16_t)
        break;
    default:
        TURN(uint8_t)
    }
}
#undef TURN

enum { TURN_ROWS = 32 };

/* Rows [first, first + rows) of a matrix by channel as fp32, TURN_ROWS at a time. */
static void read_channels(const struct cpu *c, const struct kernel_matrix *m, int64_t first, int64_t rows,
                          float *out)
{
    size_t element = kernel_dtype_bytes(m->dtype);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, rows * m->cols))
    for (int64_t at = 0; at < rows; at += TURN_ROWS) {
        float value[TURN_ROWS];
        int64_t n = rows - at < TURN_ROWS ? rows - at : TURN_ROWS;
        for (int64_t col = 0; col < m->cols; col++) {
            size_t from = (size_t)(col * m->channel_stride + first + at);
            c->simd->widen(value, (const char *)m->data + from * element, m->dtype, 1, n);
            for (int64_t r = 0; r < n; r++)
                out[(at + r) * m->cols + col] = m->scales ? value[r] * m->scales[first + at + r] : value[r];
        }
    }
}

void cpu_read_matrix(struct kernels *k, const struct kernel_matrix *m, int64_t first, int64_t rows,
                     float *out)
{
    const struct cpu *c = cpu_of(k);
    if (m->channel_stride) {
        read_channels(c, m, first, rows, out);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, rows * m->cols))
    for (int64_t row = 0; row < rows; row++)
        cpu_widen(c, out + row * m->cols, m, first + row, 0, m->cols);
}

void cpu_write_matrix(struct kernels *k, struct kernel_matrix *m, int64_t first, int64_t rows,
                      const float *from)
{
    const struct cpu *c = cpu_of(k);
    size_t element = kernel_dtype_bytes(m->dtype);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, rows * m->cols))
    for (int64_t at = 0; at < rows; at += TURN_ROWS) {
        int64_t n = rows - at < TURN_ROWS ? rows - at : TURN_ROWS;
        float inverse[TURN_ROWS], value[TURN_ROWS];
        for (int64_t r = 0; r < n; r++) {
            const float *row = from + (at + r) * m->cols;
            float largest = m->dtype == KERNEL_INT8 ? c->simd->absmax(row, m->cols) : 127;
            inverse[r] = largest > 0 ? 127 / largest : 0;
            if (m->dtype == KERNEL_INT8)
                m->scales[first + at + r] = largest / 127;
            if (!m->channel_stride)
                c->simd->narrow((char *)m->data + (size_t)((first + at + r) * m->cols) * element, m->dtype,
                                row, inverse[r], m->cols);
        }
        for (int64_t col = 0; m->channel_stride && col < m->cols; col++) {
            for (int64_t r = 0; r < n; r++)
                value[r] = from[(at + r) * m->cols + col] * inverse[r];
            c->simd->narrow((char *)m->data + (size_t)(col * m->channel_stride + first + at) * element,
                            m->dtype, value, 1, n);
        }
    }
}
