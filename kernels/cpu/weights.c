/* Synthetic weights made in place, and weights read back as fp32. */
#include "kernels/cpu/cpu.h"
#include "kernels/generator.h"

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

void cpu_generate(struct kernels *k, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                  enum kernel_weight_law law, float amplitude)
{
    const struct cpu *c = cpu_of(k);
    int64_t total = m->rows * m->cols;
    int threads = cpu_threads_for(c, total);
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

void cpu_read_matrix(struct kernels *k, const struct kernel_matrix *m, int64_t first, int64_t rows,
                     float *out)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, rows * m->cols))
    for (int64_t row = 0; row < rows; row++) {
        struct kernel_matrix part = kernel_matrix_rows(m, first + row, 1);
        c->simd->widen(out + row * m->cols, part.data, m->dtype, part.scales ? *part.scales : 1, m->cols);
    }
}
