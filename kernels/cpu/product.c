/* Products of activations with weights: which way for which shape, and what happens to the result. */
#include "kernels/cpu/product.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 64 }; /* weight rows whose results wait on the stack for the epilogue */

/* Results [rows, count] of one chunk (row stride CHUNK) into out, through bias, activation and accumulation.
 */
static void finish_chunk(const struct cpu *c, float *out, int64_t out_stride, float *chunk, int64_t first,
                         int64_t count, const struct kernel_epilogue *epilogue, int rows)
{
    for (int b = 0; b < rows; b++) {
        float *from = chunk + (int64_t)b * CHUNK, *to = out + b * out_stride + first;
        if (epilogue->bias)
            c->simd->add(from, from, epilogue->bias + first, count);
        c->simd->activate(from, epilogue->activation, count);
        if (epilogue->accumulate)
            c->simd->add(to, to, from, count);
        else
            memcpy(to, from, (size_t)count * sizeof(float));
    }
}

/* Every thread streams its own rows of the weights once per eight rows of x. */
static void few_rows(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                     const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows)
{
#pragma omp parallel num_threads(cpu_threads_for(c, m->rows * m->cols))
    {
        struct cpu_range mine = cpu_share(m->rows, 16, omp_get_thread_num(), omp_get_num_threads());
        float chunk[CHUNK * SIMD_GEMV_ROWS];
        for (int64_t r = mine.first; r < mine.last; r += CHUNK) {
            int64_t count = mine.last - r < CHUNK ? mine.last - r : CHUNK;
            struct kernel_matrix part = kernel_matrix_rows(m, r, count);
            for (int b = 0; b < rows; b += SIMD_GEMV_ROWS) {
                int batch = rows - b < SIMD_GEMV_ROWS ? rows - b : SIMD_GEMV_ROWS;
                c->simd->gemv(chunk, CHUNK, &part, x + b * x_stride, x_stride, batch);
                finish_chunk(c, out + b * out_stride, out_stride, chunk, r, count, epilogue, batch);
            }
        }
    }
}

void cpu_product(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                 const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                 void *workspace)
{
    static const struct kernel_epilogue plain = {NULL, KERNEL_LINEAR, false};
    const struct cpu *c = cpu_of(k);
    (void)workspace;
    few_rows(c, out, out_stride, x, x_stride, m, epilogue ? epilogue : &plain, rows);
}

size_t cpu_product_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    (void)k;
    (void)m;
    (void)rows;
    return 0;
}

void cpu_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows,
                 void *workspace)
{
    const struct cpu *c = cpu_of(k);
    (void)workspace;
    int64_t f = m->rows / 2, cols = m->cols;
#pragma omp parallel num_threads(cpu_threads_for(c, m->rows * m->cols))
    {
        struct cpu_range mine = cpu_share(f, 16, omp_get_thread_num(), omp_get_num_threads());
        float gate[CHUNK * SIMD_GEMV_ROWS], up[CHUNK * SIMD_GEMV_ROWS];
        for (int64_t r = mine.first; r < mine.last; r += CHUNK) {
            int64_t count = mine.last - r < CHUNK ? mine.last - r : CHUNK;
            struct kernel_matrix gate_part = kernel_matrix_rows(m, r, count);
            struct kernel_matrix up_part = kernel_matrix_rows(m, f + r, count);
            for (int b = 0; b < rows; b += SIMD_GEMV_ROWS) {
                int batch = rows - b < SIMD_GEMV_ROWS ? rows - b : SIMD_GEMV_ROWS;
                const float *from = (const float *)x + b * cols;
                c->simd->gemv(gate, CHUNK, &gate_part, from, cols, batch);
                c->simd->gemv(up, CHUNK, &up_part, from, cols, batch);
                for (int i = 0; i < batch; i++)
                    c->simd->multiply_silu((float *)out + (b + i) * f + r, gate + i * CHUNK, up + i * CHUNK,
                                           count);
            }
        }
    }
}

size_t cpu_gate_up_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    (void)k;
    (void)m;
    (void)rows;
    return 0;
}

/* The best so far of one row: the first of the largest, whatever the order in which parts are offered. */
struct best {
    float value;
    int64_t index; /* -1: none yet */
};

static void offer(struct best *best, float value, int64_t index)
{
    if (best->index < 0 || value > best->value || (value == best->value && index < best->index))
        *best = (struct best){value, index};
}

static void argmax_few(const struct cpu *c, int32_t *ids, const float *x, int64_t x_stride,
                       const struct kernel_matrix *m, const float *bias, int rows)
{
    struct best best[SIMD_GEMV_ROWS];
    for (int b = 0; b < rows; b++)
        best[b] = (struct best){0, -1};
#pragma omp parallel num_threads(cpu_threads_for(c, m->rows * m->cols))
    {
        struct cpu_range mine = cpu_share(m->rows, 16, omp_get_thread_num(), omp_get_num_threads());
        float chunk[CHUNK * SIMD_GEMV_ROWS];
        struct best own[SIMD_GEMV_ROWS];
        for (int b = 0; b < rows; b++)
            own[b] = (struct best){0, -1};
        for (int64_t r = mine.first; r < mine.last; r += CHUNK) {
            int64_t count = mine.last - r < CHUNK ? mine.last - r : CHUNK;
            struct kernel_matrix part = kernel_matrix_rows(m, r, count);
            c->simd->gemv(chunk, CHUNK, &part, x, x_stride, rows);
            for (int b = 0; b < rows; b++) {
                float *logits = chunk + b * CHUNK;
                if (bias)
                    c->simd->add(logits, logits, bias + r, count);
                int64_t i = c->simd->argmax(logits, count);
                if (!isnan(logits[i]))
                    offer(&own[b], logits[i], r + i);
            }
        }
#pragma omp critical(cpu_head_argmax)
        for (int b = 0; b < rows; b++)
            if (own[b].index >= 0)
                offer(&best[b], own[b].value, own[b].index);
    }
    for (int b = 0; b < rows; b++)
        ids[b] = best[b].index < 0 ? 0 : (int32_t)best[b].index;
}

void cpu_head_argmax(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                     const struct kernel_matrix *m, const float *bias, int rows, void *workspace)
{
    (void)workspace;
    for (int b = 0; b < rows; b += SIMD_GEMV_ROWS)
        argmax_few(cpu_of(k), ids + b, (const float *)x + (int64_t)b * x_stride, x_stride, m, bias,
                   rows - b < SIMD_GEMV_ROWS ? rows - b : SIMD_GEMV_ROWS);
}

size_t cpu_head_argmax_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    (void)k;
    (void)m;
    (void)rows;
    return 0;
}
