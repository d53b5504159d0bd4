/* Passes over token rows: embedding, norms and the unfused elementwise steps. */
#include "kernels/cpu/cpu.h"

#include <string.h>

enum { PIECE = 8192 }; /* elements a thread takes at a time in flat passes */

int cpu_sequence_of(const struct kernel_batch *batch, int row)
{
    int low = 0, high = batch->sequences - 1;
    while (low < high) { /* the last sequence that starts at or before row */
        int middle = (low + high + 1) / 2;
        if (batch->row_start[middle] <= row)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* out += row of m */
static void add_row(const struct cpu *c, float *out, const struct kernel_matrix *m, int64_t row)
{
    float piece[512];
    for (int64_t i = 0; i < m->cols; i += 512) {
        int64_t n = m->cols - i < 512 ? m->cols - i : 512;
        cpu_widen(c, piece, m, row, i, n);
        c->simd->add(out + i, out + i, piece, n);
    }
}

void cpu_embed(struct kernels *k, void *out, const struct kernel_matrix *table, const int32_t *ids,
               const struct kernel_matrix *positions, const struct kernel_matrix *extra,
               const struct kernel_batch *batch)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, batch->rows * table->cols))
    for (int r = 0; r < batch->rows; r++) {
        float *row = (float *)out + r * table->cols;
        cpu_widen(c, row, table, ids[r], 0, table->cols);
        if (positions) {
            int s = cpu_sequence_of(batch, r);
            add_row(c, row, positions, batch->context[s] + r - batch->row_start[s]);
        }
        if (extra)
            add_row(c, row, extra, 0);
    }
}

void cpu_norm(struct kernels *k, void *out, const void *x, const struct kernel_norm *norm, int rows)
{
    const struct cpu *c = cpu_of(k);
    int64_t width = norm->width;
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, rows *width))
    for (int r = 0; r < rows; r++)
        c->simd->norm((float *)out + r * width, (const float *)x + r * width, norm);
}

void cpu_add_norm(struct kernels *k, void *out, void *residual, const void *x, const struct kernel_norm *norm,
                  int rows)
{
    const struct cpu *c = cpu_of(k);
    int64_t width = norm->width;
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, rows *width))
    for (int r = 0; r < rows; r++) {
        float *sum = (float *)residual + r * width;
        c->simd->add(sum, sum, (const float *)x + r * width, width);
        c->simd->norm((float *)out + r * width, sum, norm);
    }
}

void cpu_add(struct kernels *k, void *out, const void *a, const void *b, int64_t n)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, n))
    for (int64_t i = 0; i < n; i += PIECE)
        c->simd->add((float *)out + i, (const float *)a + i, (const float *)b + i,
                     n - i < PIECE ? n - i : PIECE);
}

void cpu_add_bias(struct kernels *k, void *x, int stride, const float *bias, int rows, int width)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, (int64_t)rows *width))
    for (int r = 0; r < rows; r++) {
        float *row = (float *)x + (int64_t)r * stride;
        c->simd->add(row, row, bias, width);
    }
}

void cpu_activate(struct kernels *k, void *x, enum kernel_activation activation, int64_t n)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, 4 * n))
    for (int64_t i = 0; i < n; i += PIECE)
        c->simd->activate((float *)x + i, activation, n - i < PIECE ? n - i : PIECE);
}

void cpu_multiply_silu(struct kernels *k, void *out, const void *gate, const void *up, int64_t n)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, 4 * n))
    for (int64_t i = 0; i < n; i += PIECE)
        c->simd->multiply_silu((float *)out + i, (const float *)gate + i, (const float *)up + i,
                               n - i < PIECE ? n - i : PIECE);
}

void cpu_argmax(struct kernels *k, int32_t *ids, const float *logits, int rows, int64_t width)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(rows > 1 ? cpu_threads_for(c, rows * width) : 1)
    for (int r = 0; r < rows; r++)
        ids[r] = (int32_t)c->simd->argmax((const float *)logits + r * width, width);
}

void cpu_gather_rows(struct kernels *k, void *out, const void *x, int stride, const int32_t *row_ids,
                     int rows, int width)
{
    (void)k;
    for (int r = 0; r < rows; r++)
        memcpy((float *)out + (int64_t)r * width, (const float *)x + (int64_t)row_ids[r] * stride,
               (size_t)width * sizeof(float));
}

void cpu_advance(struct kernels *k, int32_t *context, int sequences, int by)
{
    (void)k;
    for (int s = 0; s < sequences; s++)
        context[s] += by;
}
