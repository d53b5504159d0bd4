/* What the tests of the CPU backend share: every SIMD level this CPU has, filled arrays, plain-loop oracles.
 */
#pragma once

#include "kernels/kernels.h"
#include "tests/test.h"
#include <omp.h>

static const char *const levels[] = {"portable", "avx2", "avx512", "avx512_bf16"};
enum { LEVELS = sizeof levels / sizeof *levels };

/* The backend on a level with our own loops (or `product`), NULL where this CPU lacks the level. */
__attribute__((unused)) static struct kernels *open_level(const char *simd, const char *product, int threads)
{
    char why[200] = "";
    int limit = omp_get_thread_limit(); /* the TSan run has one */
    struct kernels_config config = {
        .threads = threads < limit ? threads : limit, .product = product, .simd = simd};
    return kernels_open_cpu(&config, why, sizeof why);
}

/* A test body run on every level this CPU has, with two threads. */
#define FOR_EACH_LEVEL(k)                                                                                    \
    for (int level_ = 0; level_ < LEVELS; level_++)                                                          \
        for (struct kernels *k = open_level(levels[level_], "own", 2); k; k->ops->close(k), k = NULL)

static uint64_t noise_state = 1;

__attribute__((unused)) static float noise(void)
{
    noise_state = noise_state * 6364136223846793005u + 1442695040888963407u;
    return (float)((int64_t)(noise_state >> 40) - (1 << 23)) * 0x1p-23f;
}

__attribute__((unused)) static float *noise_array(size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = noise();
    return x;
}

/* cols, or the next number of columns that makes whole blocks where those are not padded. */
__attribute__((unused)) static int whole_cols(enum kernel_dtype dtype, int cols)
{
    int block = kernel_is_blocks(dtype) ? kernel_block_cols(dtype) : 1;
    return (cols + block - 1) / block * block;
}

/* Weights in dtype, with what they really hold as fp32 in *plain (caller frees both through free_matrix). */
__attribute__((unused)) static struct kernel_matrix
new_matrix(struct kernels *k, enum kernel_dtype dtype, int64_t rows, int64_t cols, uint64_t id, float **plain)
{
    size_t part[3];
    kernel_matrix_parts(dtype, rows, cols, part);
    struct kernel_matrix m = {.dtype = dtype, .rows = rows, .cols = cols, .data = k->ops->alloc(k, part[0])};
    if (part[1])
        m.scales = k->ops->alloc(k, part[1]);
    if (part[2])
        m.codes = k->ops->alloc(k, part[2]);
    k->ops->generate(k, &m, 7, id, KERNEL_UNIFORM, 1.0f);
    *plain = malloc((size_t)rows * (size_t)cols * sizeof(float));
    k->ops->read_matrix(k, &m, 0, rows, *plain);
    return m;
}

__attribute__((unused)) static void free_matrix(struct kernels *k, struct kernel_matrix *m, float *plain)
{
    size_t part[3];
    kernel_matrix_parts(m->dtype, m->rows, m->cols, part);
    k->ops->free(k, m->data, part[0]);
    if (m->scales)
        k->ops->free(k, m->scales, part[1]);
    if (m->codes)
        k->ops->free(k, m->codes, part[2]);
    free(plain);
}

/* Fails once, at the first element farther from `want` than tolerance * (scale + |want|). */
__attribute__((unused)) static void check_near(const char *what, const char *level, const float *got,
                                               const double *want, size_t n, double tolerance, double scale)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * (scale + fabs(want[i])))) {
            TEST_FAIL("%s at %s, element %zu: %.9g, not %.9g", what, level, i, (double)got[i], want[i]);
            return;
        }
}
