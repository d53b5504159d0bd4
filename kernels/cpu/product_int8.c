/* Products of integers: x rounded to 8 bits once by all threads, then every row of weights opened once for
 * four rows of x. The same kernels serve one row of x, where memory is the limit, and many. */
#include "kernels/cpu/product.h"

enum {
    CHUNK = 512, /* weight rows whose results wait on the stack, for one group of rows of x */
    BLOCK = 64   /* the same where x has many rows: weights that stay in a cache while x passes */
};

bool product_takes_int8(const struct kernel_matrix *m)
{
    return m->quantize_input && kernel_is_integers(m->dtype) && !m->channel_stride;
}

size_t product_int8_workspace(const struct cpu *c, const struct kernel_matrix *m, int rows)
{
    return (size_t)rows * c->simd->int8->bytes(m->dtype, m->cols);
}

void product_int8_pack(const struct cpu *c, void *packed, const float *x, int64_t x_stride,
                       const struct kernel_matrix *m, int rows)
{
    size_t bytes = c->simd->int8->bytes(m->dtype, m->cols);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, 2 * rows * m->cols))
    for (int r = 0; r < rows; r++)
        c->simd->int8->pack((char *)packed + (size_t)r * bytes, x + r * x_stride, m->dtype, m->cols);
}

/* What every range of weight rows needs. */
struct job {
    const struct cpu *c;
    const struct kernel_matrix *m;
    const struct kernel_epilogue *epilogue; /* NULL: silu(gate) * up */
    const char *packed;
    float *out;
    int64_t out_stride;
    int rows;
};

static void multiply(const struct job *j, float *out, int64_t first, int64_t count, int row, int rows)
{
    struct kernel_matrix part = kernel_matrix_rows(j->m, first, count);
    size_t bytes = j->c->simd->int8->bytes(j->m->dtype, j->m->cols);
    j->c->simd->int8->gemv(out, CHUNK, &part, j->packed + (size_t)row * bytes, rows);
}

/* Columns [first, first + count <= CHUNK) of the result. */
static void columns(const struct job *j, int64_t first, int64_t count)
{
    float result[CHUNK * SIMD_GEMV_ROWS], up[CHUNK * SIMD_GEMV_ROWS];
    for (int row = 0; row < j->rows; row += SIMD_GEMV_ROWS) {
        int rows = j->rows - row < SIMD_GEMV_ROWS ? j->rows - row : SIMD_GEMV_ROWS;
        float *out = j->out + row * j->out_stride;
        multiply(j, result, first, count, row, rows);
        if (j->epilogue) {
            product_finish(j->c, out, j->out_stride, result, CHUNK, first, count, j->epilogue, rows);
            continue;
        }
        multiply(j, up, j->m->rows / 2 + first, count, row, rows);
        for (int b = 0; b < rows; b++)
            j->c->simd->multiply_silu(out + b * j->out_stride + first, result + b * CHUNK, up + b * CHUNK,
                                      count);
    }
}

/* `n` columns: of few rows every thread streams its own share of the weights, of many rows blocks go to
 * whichever thread is free. */
static void run(const struct job *j, int64_t n)
{
#pragma omp parallel num_threads(cpu_threads_for(j->c, j->m->rows * j->m->cols))
    if (j->rows <= SIMD_GEMV_ROWS) {
        struct cpu_range mine = cpu_share(n, 16, omp_get_thread_num(), omp_get_num_threads());
        for (int64_t r = mine.first; r < mine.last; r += CHUNK)
            columns(j, r, mine.last - r < CHUNK ? mine.last - r : CHUNK);
    } else {
#pragma omp for schedule(dynamic, 1)
        for (int64_t r = 0; r < n; r += BLOCK)
            columns(j, r, n - r < BLOCK ? n - r : BLOCK);
    }
}

void product_int8(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                  const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                  void *workspace)
{
    struct job j = {c, m, epilogue, workspace, out, out_stride, rows};
    product_int8_pack(c, workspace, x, x_stride, m, rows);
    run(&j, m->rows);
}

void product_int8_gate_up(const struct cpu *c, float *out, const float *x, const struct kernel_matrix *m,
                          int rows, void *workspace)
{
    struct job j = {c, m, NULL, workspace, out, m->rows / 2, rows};
    product_int8_pack(c, workspace, x, m->cols, m, rows);
    run(&j, m->rows / 2);
}
