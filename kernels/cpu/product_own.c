/* Our own large product: x packed once by all threads, blocks of weight rows dealt out statically. */
#include "kernels/cpu/product.h"

enum {
    MOST_ROWS = 512
}; /* of x at a time: what is packed stays in the shared cache while the weights pass */

static int rows_at_once(int rows)
{
    return rows < MOST_ROWS ? rows : MOST_ROWS;
}

static size_t panel_floats(const struct cpu *c, const struct kernel_matrix *m)
{
    size_t floats = (size_t)c->simd->lanes * (size_t)m->cols;
    return c->simd->gemm_in_pairs(m->dtype, m->cols) ? floats / 2 : floats;
}

static size_t packed_floats(const struct cpu *c, const struct kernel_matrix *m, int rows)
{
    size_t panels = (size_t)((rows_at_once(rows) + c->simd->lanes - 1) / c->simd->lanes);
    return (panels * panel_floats(c, m) + 15) / 16 * 16;
}

/* A thread's own: the kernel's scratch, and results that wait to be accumulated. */
static size_t thread_floats(const struct cpu *c, int rows)
{
    size_t results = (size_t)rows_at_once(rows) * SIMD_GEMM_BLOCK;
    return (c->simd->gemm_scratch_floats(rows_at_once(rows)) + results + 31) / 16 * 16;
}

size_t product_own_workspace(const struct cpu *c, const struct kernel_matrix *m, int rows)
{
    return (packed_floats(c, m, rows) + (size_t)c->threads * thread_floats(c, rows)) * sizeof(float);
}

static void one_block(const struct cpu *c, float *out, int64_t out_stride, const struct kernel_matrix *m,
                      int64_t first, int64_t count, const float *packed,
                      const struct kernel_epilogue *epilogue, int rows, float *scratch)
{
    struct kernel_matrix part = kernel_matrix_rows(m, first, count);
    if (epilogue->accumulate) {
        float *results = scratch + c->simd->gemm_scratch_floats(rows);
        c->simd->gemm_block(results, SIMD_GEMM_BLOCK, &part, packed, rows, scratch);
        product_finish(c, out, out_stride, results, SIMD_GEMM_BLOCK, first, count, epilogue, rows);
    } else {
        c->simd->gemm_block(out + first, out_stride, &part, packed, rows, scratch);
        product_finish(c, out, out_stride, out + first, out_stride, first, count, epilogue, rows);
    }
}

void product_own(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                 const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                 void *workspace)
{
    float *packed = workspace, *scratch = packed + packed_floats(c, m, rows);
    size_t own = thread_floats(c, rows), panel = panel_floats(c, m);
    int lanes = c->simd->lanes;
#pragma omp parallel num_threads(c->threads)
    for (int row = 0; row < rows; row += MOST_ROWS) {
        int thread = omp_get_thread_num(), threads = omp_get_num_threads();
        int count = rows - row < MOST_ROWS ? rows - row : MOST_ROWS;
#pragma omp for schedule(static)
        for (int r = 0; r < count; r += lanes)
            c->simd->gemm_pack(packed + (size_t)(r / lanes) * panel, x + (row + r) * x_stride, x_stride,
                               count - r < lanes ? count - r : lanes, m->cols, m->dtype);
        struct cpu_range mine = cpu_share(m->rows, 12, thread, threads);
        for (int64_t n = mine.first; n < mine.last; n += SIMD_GEMM_BLOCK)
            one_block(c, out + row * out_stride, out_stride, m, n,
                      mine.last - n < SIMD_GEMM_BLOCK ? mine.last - n : SIMD_GEMM_BLOCK, packed, epilogue,
                      count, scratch + (size_t)thread * own);
#pragma omp barrier
    }
}
