/* Our own large product: x packed once by all threads, blocks of weight rows dealt out as threads become
 * free. */
#include "kernels/cpu/product.h"

/* Rows of x at a time: what is packed stays in the shared cache while the weights pass. */
enum { MOST_ROWS = 512 };

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

/* A thread's own: the kernel's scratch, and two blocks of results that wait for their epilogue. */
static size_t results_floats(int rows)
{
    return (size_t)rows_at_once(rows) * SIMD_GEMM_BLOCK;
}

/* Weights that stand by channel: a block of them row-major, as the kernel reads them. */
static size_t turned_floats(const struct kernel_matrix *m)
{
    return m->channel_stride ? (SIMD_GEMM_BLOCK * kernel_row_bytes(m->dtype, m->cols) + 3) / sizeof(float)
                             : 0;
}

static size_t thread_floats(const struct cpu *c, const struct kernel_matrix *m, int rows)
{
    size_t own = c->simd->gemm_scratch_floats(rows_at_once(rows)) + 2 * results_floats(rows);
    return (own + turned_floats(m) + 31) / 16 * 16;
}

size_t product_own_workspace(const struct cpu *c, const struct kernel_matrix *m, int rows)
{
    return (packed_floats(c, m, rows) + (size_t)c->threads * thread_floats(c, m, rows)) * sizeof(float);
}

/* One product: where x is packed, and what every block needs. */
struct job {
    const struct cpu *c;
    const struct kernel_matrix *m;
    const struct kernel_epilogue *epilogue; /* NULL: silu(gate) * up */
    float *out, *packed, *scratch;
    const float *x;
    int64_t out_stride, x_stride;
    size_t own; /* floats of scratch per thread */
    int rows;
};

static struct kernel_matrix block_of(const struct job *j, int64_t first, int64_t count, float *scratch)
{
    struct kernel_matrix part = kernel_matrix_rows(j->m, first, count);
    if (!part.channel_stride)
        return part;
    void *rows = scratch + j->own - turned_floats(j->m);
    cpu_turn_rows(rows, &part, 0, count);
    part.data = rows;
    part.channel_stride = 0;
    return part;
}

/* Weight rows [first, first + count) times `rows` rows of packed x. */
static void finished_block(const struct job *j, float *out, int64_t first, int64_t count, int rows,
                           float *scratch)
{
    const struct kernel_epilogue *epilogue = j->epilogue;
    struct kernel_matrix part = block_of(j, first, count, scratch);
    float *from = out + first;
    int64_t stride = j->out_stride;
    if (epilogue->accumulate) {
        from = scratch + j->c->simd->gemm_scratch_floats(rows);
        stride = SIMD_GEMM_BLOCK;
    }
    j->c->simd->gemm_block(from, stride, &part, j->packed, rows, scratch);
    product_finish(j->c, out, j->out_stride, from, stride, first, count, epilogue, rows);
}

static void gated_block(const struct job *j, float *out, int64_t first, int64_t count, int rows,
                        float *scratch)
{
    struct kernel_matrix gate_part = block_of(j, first, count, scratch);
    float *gate = scratch + j->c->simd->gemm_scratch_floats(rows), *up = gate + results_floats(rows);
    j->c->simd->gemm_block(gate, SIMD_GEMM_BLOCK, &gate_part, j->packed, rows, scratch);
    struct kernel_matrix up_part = block_of(j, j->m->rows / 2 + first, count, scratch);
    j->c->simd->gemm_block(up, SIMD_GEMM_BLOCK, &up_part, j->packed, rows, scratch);
    for (int r = 0; r < rows; r++)
        j->c->simd->multiply_silu(out + r * j->out_stride + first, gate + r * SIMD_GEMM_BLOCK,
                                  up + r * SIMD_GEMM_BLOCK, count);
}

/* Columns of a block: whole kernel blocks, or parts of them where every thread would get too few to even out.
 */
static int block_columns(const struct cpu *c, int64_t n)
{
    int columns = SIMD_GEMM_BLOCK;
    while (columns > SIMD_GEMM_BLOCK / 4 && n / columns < 3 * c->threads)
        columns /= 2;
    return columns;
}

/* `n` columns of the result. Blocks go to whichever thread is free: cores differ in speed and are shared with
 * other work (a screen being drawn). Which thread computes a block does not change its values. */
static void run(const struct job *j, int64_t n)
{
    int lanes = j->c->simd->lanes, columns = block_columns(j->c, n);
    size_t panel = panel_floats(j->c, j->m);
#pragma omp parallel num_threads(j->c->threads)
    for (int row = 0; row < j->rows; row += MOST_ROWS) {
        int count = j->rows - row < MOST_ROWS ? j->rows - row : MOST_ROWS;
        float *scratch = j->scratch + (size_t)omp_get_thread_num() * j->own,
              *out = j->out + row * j->out_stride;
#pragma omp for schedule(dynamic, 1)
        for (int r = 0; r < count; r += lanes)
            j->c->simd->gemm_pack(j->packed + (size_t)(r / lanes) * panel, j->x + (row + r) * j->x_stride,
                                  j->x_stride, count - r < lanes ? count - r : lanes, j->m->cols,
                                  j->m->dtype);
#pragma omp for schedule(dynamic, 1)
        for (int64_t first = 0; first < n; first += columns) {
            int64_t width = n - first < columns ? n - first : columns;
            (j->epilogue ? finished_block : gated_block)(j, out, first, width, count, scratch);
        }
    }
}

void product_own(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                 const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                 void *workspace)
{
    struct job j = {
        c, m, epilogue, out, workspace, NULL, x, out_stride, x_stride, thread_floats(c, m, rows), rows};
    j.scratch = j.packed + packed_floats(c, m, rows);
    run(&j, m->rows);
}

void product_own_gate_up(const struct cpu *c, float *out, const float *x, const struct kernel_matrix *m,
                         int rows, void *workspace)
{
    struct job j = {c,   m, NULL, out, workspace, NULL, x, m->rows / 2, m->cols, thread_floats(c, m, rows),
                    rows};
    j.scratch = j.packed + packed_floats(c, m, rows);
    run(&j, m->rows / 2);
}
