/* State-space layers: the convolution and its window, the recurrence over stored matrices, and the scan.
 *
 * A task of the scan is (sequence, channels): a vector of channels walks through time with its states in
 * registers. Only where all tasks together leave most threads idle is time cut into chunks as well: each
 * chunk but the last runs from zero states and keeps the sum of its steps, since the product of its decays
 * exp(dt a) is exp(a sum dt); then the associative rule joins them, and each chunk but the first runs again
 * from the state it really meets. That is twice the arithmetic, so it pays from three chunks on. */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum { CHUNK_LEAST = 32, CHUNKS_LEAST = 3 }; /* rows of a chunk; chunks worth their second pass */

static int rows_of(const struct kernel_batch *batch, int sequence)
{
    return batch->row_start[sequence + 1] - batch->row_start[sequence];
}

/* ---- convolution ---- */

/* The input `back` rows before the sequence's first row of this pass (1: the last of the window); NULL: none.
 */
static float *window_row(const struct kernel_ssm *s, const struct kernel_batch *batch, int sequence, int back)
{
    if (batch->context[sequence] == 0)
        return NULL;
    int64_t row = (int64_t)sequence * (s->taps - 1) + s->taps - 1 - back;
    return (float *)s->window + row * s->inner;
}

static void convolve_row(const struct cpu *c, float *out, const float *x, int x_stride,
                         const struct kernel_ssm *s, bool silu, const struct kernel_batch *batch, int row)
{
    const float *in[KERNEL_SSM_TAPS];
    int sequence = cpu_sequence_of(batch, row), inside = row - batch->row_start[sequence];
    for (int t = 0; t < s->taps; t++) {
        int back = s->taps - 1 - t;
        in[t] = back <= inside ? x + (int64_t)(row - back) * x_stride
                               : window_row(s, batch, sequence, back - inside);
    }
    c->simd->convolve(out + (int64_t)row * s->inner, in, s->conv, s->conv_bias, s->taps, silu, s->inner);
}

/* The window of a sequence takes its last rows; what is left of the old one moves down, in ascending order.
 */
static void shift_window(const float *x, int x_stride, const struct kernel_ssm *s,
                         const struct kernel_batch *batch, int sequence)
{
    int rows = rows_of(batch, sequence), last = batch->row_start[sequence + 1];
    size_t bytes = (size_t)s->inner * sizeof *x;
    for (int back = s->taps - 1; back > 0; back--) {
        float *to = (float *)s->window + ((int64_t)sequence * (s->taps - 1) + s->taps - 1 - back) * s->inner;
        const float *from = back <= rows ? x + (int64_t)(last - back) * x_stride
                                         : window_row(s, batch, sequence, back - rows);
        if (from)
            memmove(to, from, bytes);
        else
            memset(to, 0, bytes);
    }
}

void cpu_ssm_conv(struct kernels *k, void *out, const void *x, int x_stride, const struct kernel_ssm *s,
                  bool silu, const struct kernel_batch *batch)
{
    const struct cpu *c = cpu_of(k);
    int threads = cpu_threads_for(c, (int64_t)batch->rows * s->inner * s->taps);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int r = 0; r < batch->rows; r++)
            convolve_row(c, out, x, x_stride, s, silu, batch, r);
#pragma omp for schedule(static)
        for (int q = 0; q < batch->sequences; q++)
            shift_window(x, x_stride, s, batch, q);
    }
}

/* ---- the separate steps ---- */

void cpu_ssm_softplus(struct kernels *k, void *dt, const float *bias, int rows, int width)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, 8 * (int64_t)rows * width))
    for (int r = 0; r < rows; r++)
        c->simd->softplus((float *)dt + (int64_t)r * width, bias, width);
}

void cpu_ssm_gate(struct kernels *k, void *y, const void *z, int z_stride, int rows, int width)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, 4 * (int64_t)rows * width))
    for (int r = 0; r < rows; r++) {
        float *row = (float *)y + (int64_t)r * width;
        c->simd->multiply_silu(row, (const float *)z + (int64_t)r * z_stride, row, width);
    }
}

/* The states of some channels as this pass shall find them. */
static float *states_of(const struct kernel_ssm *s, const struct kernel_batch *batch, int sequence,
                        int64_t channel, int64_t n)
{
    float *h = s->h + (int64_t)sequence * s->states * s->inner + channel;
    for (int i = 0; batch->context[sequence] == 0 && i < s->states; i++)
        memset(h + (int64_t)i * s->inner, 0, (size_t)n * sizeof *h);
    return h;
}

size_t cpu_ssm_naive_workspace(const struct kernels *k, const struct kernel_ssm *s,
                               const struct kernel_batch *batch)
{
    (void)k;
    return 2 * (size_t)batch->rows * (size_t)s->states * (size_t)s->inner * sizeof(float);
}

void cpu_ssm_naive(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                   const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace)
{
    const struct cpu *c = cpu_of(k);
    int64_t inner = s->inner, matrix = s->states * inner, block = 4 * c->simd->width;
    int64_t blocks = (inner + block - 1) / block;
    const float *x = rows->x, *dt = rows->dt, *b = rows->b, *read = rows->c;
    float *decay = workspace, *enter = decay + batch->rows * matrix, *y = out;
    if (rows->softplus)
        cpu_ssm_softplus(k, rows->dt, s->dt_bias, batch->rows, s->inner);
#pragma omp parallel num_threads(cpu_threads_for(c, 4 * batch->rows * matrix))
    {
#pragma omp for schedule(static)
        for (int r = 0; r < batch->rows; r++)
            c->simd->discretize(decay + r * matrix, enter + r * matrix, dt + r * inner, x + r * inner,
                                b + (int64_t)r * rows->bc_stride, s->a, s->states, inner);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < batch->sequences * blocks; i++) {
            int q = (int)(i / blocks);
            int64_t first = i % blocks * block, n = inner - first < block ? inner - first : block;
            float *h = states_of(s, batch, q, first, n);
            for (int64_t r = batch->row_start[q]; r < batch->row_start[q + 1]; r++)
                c->simd->recur(y + r * inner + first, h, decay + r * matrix + first,
                               enter + r * matrix + first, read + r * rows->bc_stride, s->d + first,
                               x + r * inner + first, s->states, inner, n);
        }
    }
    if (rows->z)
        cpu_ssm_gate(k, out, rows->z, rows->z_stride, batch->rows, s->inner);
}

/* ---- the scan ---- */

struct plan {
    int64_t block, blocks; /* channels of a task, and how many of them a sequence has */
    int64_t tasks;
    int chunks; /* of time; 1: not cut */
};

static struct plan plan_of(const struct cpu *c, const struct kernel_ssm *s, const struct kernel_batch *batch)
{
    struct plan p = {.block = 4 * c->simd->width, .chunks = 1};
    for (int part = 0; part < 2; part++) {
        p.blocks = (s->inner + p.block - 1) / p.block;
        p.tasks = batch->sequences * p.blocks;
        if (part == 0 && p.tasks < 4 * c->threads)
            p.block = c->simd->width;
    }
    int64_t chunks = c->threads / p.tasks, most = batch->max_rows / CHUNK_LEAST;
    chunks = chunks < most ? chunks : most;
    if (chunks >= CHUNKS_LEAST)
        p.chunks = (int)chunks;
    return p;
}

struct job {
    const struct cpu *c;
    const struct kernel_ssm_rows *rows;
    const struct kernel_ssm *s;
    const struct kernel_batch *batch;
    struct plan plan;
    float *out, *joints,
        *partials; /* joints: [tasks, chunks, states + 1, width], partials: width * max_rows each */
};

static size_t joint_floats(const struct cpu *c, const struct kernel_ssm *s)
{
    return (size_t)(s->states + 1) * (size_t)c->simd->width;
}

/* What waits between chunk and chunk + 1: the states, then the sum of the steps. */
static float *joint(const struct job *j, int64_t task, int chunk)
{
    return j->joints + (size_t)(task * j->plan.chunks + chunk) * joint_floats(j->c, j->s);
}

static int64_t channels_of(const struct job *j, int64_t task, int64_t *first)
{
    *first = task % j->plan.blocks * j->plan.block;
    return j->s->inner - *first < j->plan.block ? j->s->inner - *first : j->plan.block;
}

/* Rows [from, to) of a task's sequence, from and to the states in h; without out only the states. */
static void scan_rows(const struct job *j, int64_t task, struct cpu_range part, float *h, int64_t h_stride,
                      float *steps, bool out)
{
    const struct kernel_ssm_rows *r = j->rows;
    int64_t inner = j->s->inner, channel, n = channels_of(j, task, &channel);
    int64_t at = j->batch->row_start[task / j->plan.blocks] + part.first;
    struct simd_scan work = {
        .x = (const float *)r->x + at * inner,
        .dt = (const float *)r->dt + at * inner,
        .b = (const float *)r->b + at * r->bc_stride,
        .c = (const float *)r->c + at * r->bc_stride,
        .z = r->z ? (const float *)r->z + at * r->z_stride : NULL,
        .channels = inner,
        .bc_stride = r->bc_stride,
        .z_stride = r->z_stride,
        .a = j->s->a,
        .d = j->s->d,
        .dt_bias = r->softplus ? j->s->dt_bias : NULL,
        .rows = part.last - part.first,
        .states = j->s->states,
        .h = h,
        .h_stride = h_stride,
        .steps = steps,
        .out = out ? j->out + at * inner : NULL,
        .partial = j->partials + (int64_t)omp_get_thread_num() * j->c->simd->width * j->batch->max_rows,
    };
    j->c->simd->scan(&work, channel, n);
}

static void scan_whole(const struct job *j, int64_t task)
{
    int64_t first, n = channels_of(j, task, &first);
    int sequence = (int)(task / j->plan.blocks);
    float *h = states_of(j->s, j->batch, sequence, first, n);
    scan_rows(j, task, (struct cpu_range){0, rows_of(j->batch, sequence)}, h, j->s->inner, NULL, true);
}

static void copy_states(float *to, int64_t to_stride, const float *from, int64_t from_stride, int states,
                        int64_t n)
{
    for (int i = 0; i < states; i++)
        memcpy(to + i * to_stride, from + i * from_stride, (size_t)n * sizeof *to);
}

/* The first chunk for good, the others but the last from zero, to know what each adds. */
static void scan_ahead(const struct job *j, int64_t task, int chunk)
{
    int64_t first, n = channels_of(j, task, &first), width = j->c->simd->width;
    int sequence = (int)(task / j->plan.blocks), states = j->s->states;
    float *h = joint(j, task, chunk);
    memset(h, 0, joint_floats(j->c, j->s) * sizeof *h);
    if (chunk == 0)
        copy_states(h, width, states_of(j->s, j->batch, sequence, first, n), j->s->inner, states, n);
    scan_rows(j, task, cpu_share(rows_of(j->batch, sequence), 1, chunk, j->plan.chunks), h, width,
              h + states * width, chunk == 0);
}

/* (product of decays, what was added) of each chunk after what came before it. */
static void join(const struct job *j, int64_t task)
{
    int64_t first, n = channels_of(j, task, &first), width = j->c->simd->width;
    for (int chunk = 1; chunk < j->plan.chunks - 1; chunk++) {
        const float *before = joint(j, task, chunk - 1);
        float *h = joint(j, task, chunk), *steps = h + j->s->states * width;
        for (int i = 0; i < j->s->states; i++)
            for (int64_t e = 0; e < n; e++)
                h[i * width + e] +=
                    expf(j->s->a[i * j->s->inner + first + e] * steps[e]) * before[i * width + e];
    }
}

static void scan_again(const struct job *j, int64_t task, int chunk)
{
    int64_t first, n = channels_of(j, task, &first), width = j->c->simd->width;
    int sequence = (int)(task / j->plan.blocks);
    float *h = joint(j, task, chunk - 1);
    scan_rows(j, task, cpu_share(rows_of(j->batch, sequence), 1, chunk, j->plan.chunks), h, width, NULL,
              true);
    if (chunk == j->plan.chunks - 1)
        copy_states(j->s->h + (int64_t)sequence * j->s->states * j->s->inner + first, j->s->inner, h, width,
                    j->s->states, n);
}

void cpu_ssm_scan(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                  const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace)
{
    const struct cpu *c = cpu_of(k);
    struct job j = {c, rows, s, batch, plan_of(c, s, batch), out, workspace, NULL};
    j.partials = j.joints + (batch->max_rows > 1 ? (size_t)c->threads * joint_floats(c, s) : 0);
    int64_t tasks = j.plan.tasks, again = j.plan.chunks - 1;
#pragma omp parallel num_threads(cpu_threads_for(c, 16 * (int64_t)batch->rows * s->states * s->inner))
    {
        if (again == 0) {
#pragma omp for schedule(dynamic, 1)
            for (int64_t i = 0; i < tasks; i++)
                scan_whole(&j, i);
        } else {
#pragma omp for schedule(dynamic, 1)
            for (int64_t i = 0; i < tasks * again; i++)
                scan_ahead(&j, i / again, (int)(i % again));
#pragma omp for schedule(static)
            for (int64_t i = 0; i < tasks; i++)
                join(&j, i);
#pragma omp for schedule(dynamic, 1)
            for (int64_t i = 0; i < tasks * again; i++)
                scan_again(&j, i / again, (int)(i % again) + 1);
        }
    }
}

/* Tasks times chunks are at most the threads wherever there are chunks. Partial sums: beyond 16 states. */
size_t cpu_ssm_scan_workspace(const struct kernels *k, const struct kernel_ssm *s,
                              const struct kernel_batch *batch)
{
    const struct cpu *c = cpu_of_const(k);
    size_t joints = batch->max_rows > 1 ? joint_floats(c, s) : 0;
    size_t partial = (size_t)c->simd->width * (size_t)batch->max_rows;
    return (size_t)c->threads * (joints + partial) * sizeof(float);
}
