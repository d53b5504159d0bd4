/* Sparse activations: which channels of a row count, and products of these alone. */
#include "kernels/cpu/product.h"

#include <math.h>
#include <string.h>

/* ---- the largest entries ---- */

void cpu_top_k(struct kernels *k, const struct kernel_kept *out, const void *x, int stride, int width,
               int rows)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(rows > 1 ? cpu_threads_for(c, 8 * rows * width) : 1)
    for (int r = 0; r < rows; r++) {
        const float *row = (const float *)x + (int64_t)r * stride;
        int above;
        uint32_t magnitude = c->simd->threshold(row, width, out->keep, &above);
        c->simd->list(out->channel + (int64_t)r * out->keep, out->value + (int64_t)r * out->keep, row, width,
                      out->keep, magnitude, out->keep - above);
    }
}

static void mask_row(float *x, int n, uint32_t magnitude, int equal)
{
    for (int i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffffu;
        bool at = bits == magnitude && equal > 0;
        equal -= at;
        x[i] = bits > magnitude || at ? x[i] : 0;
    }
}

void cpu_mask_top_k(struct kernels *k, void *x, int stride, int width, int keep, int rows)
{
    const struct cpu *c = cpu_of(k);
    if (keep >= width)
        return;
#pragma omp parallel for schedule(static) num_threads(rows > 1 ? cpu_threads_for(c, 8 * rows * width) : 1)
    for (int r = 0; r < rows; r++) {
        float *row = (float *)x + (int64_t)r * stride;
        int above;
        uint32_t magnitude = c->simd->threshold(row, width, keep, &above);
        mask_row(row, width, magnitude, keep - above);
    }
}

/* ---- products ---- */

/* Outputs at a time: their sums fill half of a first-level cache, and a channel's part is as long as memory
 * likes it. */
enum { SEGMENT_BYTES = 8192, SEGMENT_ROWS = 4096 };
/* Channels that pass through the second-level cache for all rows of x before the next. */
enum { CHUNK_BYTES = 256 << 10 };

/* How a product is dealt out: segments of outputs, and where these are too few for the threads also parts of
 * the channels, whose sums are added up afterwards. */
struct deal {
    int64_t segment, segments;
    int parts, threads;
};

static struct deal deal_of(const struct cpu *c, const struct kernel_matrix *m)
{
    int64_t longest = SEGMENT_BYTES / (int64_t)kernel_dtype_bytes(m->dtype);
    struct deal d = {.segment = longest < SEGMENT_ROWS ? longest : SEGMENT_ROWS, .parts = 1};
    d.threads = cpu_threads_for(c, m->rows * m->cols);
    d.segments = (m->rows + d.segment - 1) / d.segment;
    d.segment = ((m->rows + d.segments - 1) / d.segments + 31) / 32 * 32; /* equal ones */
    d.segments = (m->rows + d.segment - 1) / d.segment;
    while (d.segments * d.parts % d.threads != 0 && d.segments * d.parts < 8 * d.threads)
        d.parts++;
    return d;
}

/* Sums of all parts, and with several rows each row's. */
size_t cpu_sparse_product_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    struct deal d = deal_of(cpu_of_const(k), m);
    return (size_t)d.parts * (size_t)rows * (size_t)m->rows * sizeof(float);
}

/* The first entry of the list at or behind a channel. */
static int position_of(const int32_t *channel, int keep, int64_t least)
{
    int low = 0, high = keep;
    while (low < high) {
        int middle = (low + high) / 2;
        if (channel[middle] < least)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* One segment and one part of the channels, for all rows. One row: an equal share of its list. Several: the
 * same channels for all, chunk by chunk, so that memory is read once. */
static void sum_unit(const struct cpu *c, float *sum, const struct kernel_kept *x,
                     const struct kernel_matrix *m, const struct deal *d, int64_t segment, int part, int rows)
{
    int64_t first = segment * d->segment, count = m->rows - first < d->segment ? m->rows - first : d->segment;
    struct kernel_matrix mine = kernel_matrix_rows(m, first, count);
    float *to = sum + (int64_t)part * rows * m->rows + first;
    for (int r = 0; r < rows; r++)
        memset(to + r * m->rows, 0, (size_t)count * sizeof *to);
    if (rows == 1) {
        int from = (int)((int64_t)x->keep * part / d->parts),
            end = (int)((int64_t)x->keep * (part + 1) / d->parts);
        c->simd->sparse(to, &mine, x->channel + from, x->value + from, end - from, x->keep - end);
        return;
    }
    int64_t chunk = CHUNK_BYTES / (count * (int64_t)kernel_dtype_bytes(m->dtype)) + 1;
    int64_t last = m->cols * (part + 1) / d->parts;
    for (int64_t channel = m->cols * part / d->parts; channel < last; channel += chunk) {
        int64_t end = channel + chunk < last ? channel + chunk : last;
        for (int r = 0; r < rows; r++) {
            const int32_t *list = x->channel + (int64_t)r * x->keep;
            int from = position_of(list, x->keep, channel), to_entry = position_of(list, x->keep, end);
            c->simd->sparse(to + r * m->rows, &mine, list + from, x->value + (int64_t)r * x->keep + from,
                            to_entry - from, x->keep - to_entry);
        }
    }
}

/* The sums of all parts of outputs [first, first + n) of one row, scaled, in the first part's place. */
static float *gather_sums(const struct cpu *c, float *sum, const struct kernel_matrix *m,
                          const struct deal *d, int64_t first, int64_t n, int row, int rows)
{
    float *to = sum + (int64_t)row * m->rows + first;
    for (int part = 1; part < d->parts; part++)
        c->simd->add(to, to, to + (int64_t)part * rows * m->rows, n);
    for (int64_t i = 0; m->scales && i < n; i++)
        to[i] *= m->scales[first + i];
    return to;
}

/* To be called by all threads of a team. */
static void sum_units(const struct cpu *c, float *sum, const struct kernel_kept *x,
                      const struct kernel_matrix *m, const struct deal *d, int rows)
{
    struct cpu_range mine = cpu_share(d->segments * d->parts, 1, omp_get_thread_num(), omp_get_num_threads());
    for (int64_t unit = mine.first; unit < mine.last; unit++)
        sum_unit(c, sum, x, m, d, unit / d->parts, (int)(unit % d->parts), rows);
#pragma omp barrier
}

void cpu_sparse_product(struct kernels *k, void *out, int out_stride, const struct kernel_kept *x,
                        const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                        void *workspace)
{
    static const struct kernel_epilogue plain = {NULL, KERNEL_LINEAR, false};
    const struct cpu *c = cpu_of(k);
    struct deal d = deal_of(c, m);
#pragma omp parallel num_threads(d.threads)
    {
        sum_units(c, workspace, x, m, &d, rows);
        struct cpu_range mine = cpu_share(m->rows, 32, omp_get_thread_num(), omp_get_num_threads());
        int64_t n = mine.last - mine.first;
        for (int r = 0; n > 0 && r < rows; r++) {
            float *from = gather_sums(c, workspace, m, &d, mine.first, n, r, rows);
            product_finish(c, (float *)out + (int64_t)r * out_stride, out_stride, from, n, mine.first, n,
                           epilogue ? epilogue : &plain, 1);
        }
    }
}

void cpu_sparse_gate_up(struct kernels *k, void *out, const struct kernel_kept *x,
                        const struct kernel_matrix *m, int rows, void *workspace)
{
    const struct cpu *c = cpu_of(k);
    struct deal d = deal_of(c, m);
    int64_t f = m->rows / 2;
#pragma omp parallel num_threads(d.threads)
    {
        sum_units(c, workspace, x, m, &d, rows);
        struct cpu_range mine = cpu_share(f, 32, omp_get_thread_num(), omp_get_num_threads());
        int64_t n = mine.last - mine.first;
        for (int r = 0; n > 0 && r < rows; r++) {
            const float *gate = gather_sums(c, workspace, m, &d, mine.first, n, r, rows);
            const float *up = gather_sums(c, workspace, m, &d, f + mine.first, n, r, rows);
            c->simd->multiply_silu((float *)out + (int64_t)r * f + mine.first, gate, up, n);
        }
    }
}
