/* Products of activations with weights: which way for which shape, and what happens to the result. */
#include "kernels/cpu/product.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK = 512 }; /* weight rows whose results wait on the stack for the epilogue */

void product_finish(const struct cpu *c, float *out, int64_t out_stride, float *from, int64_t from_stride,
                    int64_t first, int64_t n, const struct kernel_epilogue *epilogue, int rows)
{
    for (int b = 0; b < rows; b++, from += from_stride) {
        float *to = out + b * out_stride + first;
        if (epilogue->bias)
            c->simd->add(from, from, epilogue->bias + first, n);
        c->simd->activate(from, epilogue->activation, n);
        if (epilogue->accumulate)
            c->simd->add(to, to, from, n);
        else if (to != from)
            memcpy(to, from, (size_t)n * sizeof(float));
    }
}

/* Every thread streams its own rows of the weights once. */
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
            c->simd->gemv(chunk, CHUNK, &part, x, x_stride, rows);
            product_finish(c, out, out_stride, chunk, CHUNK, r, count, epilogue, rows);
        }
    }
}

int product_select(const char *name, const struct product_library **library, char *note, size_t note_size,
                   char *why, size_t why_size)
{
    static const struct product_library *const all[] = {&product_onednn, &product_cblas}; /* best first */
    bool best = !name || strcmp(name, "auto") == 0;
    size_t used = 0;
    *library = NULL;
    note[0] = '\0';
    if (!best && strcmp(name, "own") == 0)
        return 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char missing[80] = "";
        if (!best && strcmp(name, all[i]->key) != 0)
            continue;
        if (all[i]->load(missing, sizeof missing)) {
            *library = all[i];
            return 0;
        }
        if (!best) {
            snprintf(why, why_size, "%s: %s", missing, all[i]->install);
            return -1;
        }
        int n =
            snprintf(note + used, note_size - used, "%s%s: %s", used ? "; " : "", missing, all[i]->install);
        used = (size_t)n < note_size - used ? used + (size_t)n : note_size - 1;
    }
    if (best)
        return 0;
    snprintf(why, why_size, "unknown product library %s: choose auto, onednn, cblas or own", name);
    return -1;
}

/* Up to so many rows of x the weights are streamed once, as fast as memory gives them; above, products are
 * bound by arithmetic and x is worth packing. Measured on Zen 3: in fp32 packing wins from 5 rows on; other
 * types must be converted and stored first, which pays from 9 rows on. */
static bool is_few(const struct kernel_matrix *m, int rows)
{
    return !m->channel_stride && rows <= (m->dtype == KERNEL_FP32 ? 4 : SIMD_GEMV_ROWS);
}

/* From so many rows on a library is used; with fewer our own loops, which pack only x, were ahead of oneDNN
 * and OpenBLAS (Zen 3, one thread, n and cols 768 to 3072: 16 rows 96 against 73 and 59 GFLOP/s, 64 rows 95
 * against 90 and 82, 512 rows 92 against 93 and 91). */
enum { LIBRARY_ROWS = 128 };

/* Libraries multiply fp32. Other types convert inside our own loops, where each weight is converted once
 * while it passes through the cache; a converted copy for a library would cost more than the library saves.
 */
static bool takes_library(const struct cpu *c, const struct kernel_matrix *m, int rows)
{
    return c->library && m->dtype == KERNEL_FP32 && !m->channel_stride && rows >= LIBRARY_ROWS;
}

/* Columns of the result that wait in the workspace when a library's product is added to the old result. */
enum { LIBRARY_COLUMNS = 768 };

static int64_t library_columns(const struct kernel_matrix *m)
{
    return m->rows < LIBRARY_COLUMNS ? m->rows : LIBRARY_COLUMNS;
}

static void finish_all(const struct cpu *c, float *out, int64_t out_stride, float *from, int64_t from_stride,
                       int64_t first, int64_t n, const struct kernel_epilogue *epilogue, int rows)
{
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, rows *n))
    for (int r = 0; r < rows; r++)
        product_finish(c, out + r * out_stride, out_stride, from + r * from_stride, from_stride, first, n,
                       epilogue, 1);
}

static void library_product(const struct cpu *c, float *out, int64_t out_stride, const float *x,
                            int64_t x_stride, const struct kernel_matrix *m,
                            const struct kernel_epilogue *epilogue, int rows, float *workspace)
{
    const float *w = m->data;
    if (!epilogue->accumulate) {
        c->library->multiply(c, out, out_stride, x, x_stride, w, m->cols, rows, m->rows, m->cols);
        if (epilogue->bias || epilogue->activation != KERNEL_LINEAR)
            finish_all(c, out, out_stride, out, out_stride, 0, m->rows, epilogue, rows);
        return;
    }
    int64_t columns = library_columns(m);
    for (int64_t n = 0; n < m->rows; n += columns) {
        int64_t count = m->rows - n < columns ? m->rows - n : columns;
        c->library->multiply(c, workspace, columns, x, x_stride, w + n * m->cols, m->cols, rows, count,
                             m->cols);
        finish_all(c, out, out_stride, workspace, columns, n, count, epilogue, rows);
    }
}

void cpu_product(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                 const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                 void *workspace)
{
    static const struct kernel_epilogue plain = {NULL, KERNEL_LINEAR, false};
    const struct cpu *c = cpu_of(k);
    const struct kernel_epilogue *e = epilogue ? epilogue : &plain;
    if (product_takes_int8(m))
        product_int8(c, out, out_stride, x, x_stride, m, e, rows, workspace);
    else if (is_few(m, rows))
        few_rows(c, out, out_stride, x, x_stride, m, e, rows);
    else if (takes_library(c, m, rows))
        library_product(c, out, out_stride, x, x_stride, m, e, rows, workspace);
    else
        product_own(c, out, out_stride, x, x_stride, m, e, rows, workspace);
}

size_t cpu_product_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    const struct cpu *c = cpu_of_const(k);
    if (product_takes_int8(m))
        return product_int8_workspace(c, m, rows);
    if (is_few(m, rows))
        return 0;
    if (!takes_library(c, m, rows))
        return product_own_workspace(c, m, rows);
    /* No less than fewer rows need. */
    size_t library = (size_t)rows * (size_t)library_columns(m) * sizeof(float);
    size_t own = product_own_workspace(c, m, LIBRARY_ROWS - 1);
    return library > own ? library : own;
}

static void gate_up_few(const struct cpu *c, float *out, const float *x, const struct kernel_matrix *m,
                        int rows)
{
    int64_t f = m->rows / 2, cols = m->cols;
#pragma omp parallel num_threads(cpu_threads_for(c, m->rows * m->cols))
    {
        struct cpu_range mine = cpu_share(f, 16, omp_get_thread_num(), omp_get_num_threads());
        float gate[CHUNK * SIMD_GEMV_ROWS], up[CHUNK * SIMD_GEMV_ROWS];
        for (int64_t r = mine.first; r < mine.last; r += CHUNK) {
            int64_t count = mine.last - r < CHUNK ? mine.last - r : CHUNK;
            struct kernel_matrix gate_part = kernel_matrix_rows(m, r, count);
            struct kernel_matrix up_part = kernel_matrix_rows(m, f + r, count);
            c->simd->gemv(gate, CHUNK, &gate_part, x, cols, rows);
            c->simd->gemv(up, CHUNK, &up_part, x, cols, rows);
            for (int b = 0; b < rows; b++)
                c->simd->multiply_silu(out + b * f + r, gate + b * CHUNK, up + b * CHUNK, count);
        }
    }
}

/* Through a library: gate and up to the workspace in groups of rows, then combined. */
enum { GATE_UP_ROWS = 512 };

static void gate_up_library(const struct cpu *c, float *out, const float *x, const struct kernel_matrix *m,
                            int rows, float *both)
{
    int64_t f = m->rows / 2;
    for (int row = 0; row < rows; row += GATE_UP_ROWS) {
        int count = rows - row < GATE_UP_ROWS ? rows - row : GATE_UP_ROWS;
        c->library->multiply(c, both, m->rows, x + row * m->cols, m->cols, m->data, m->cols, count, m->rows,
                             m->cols);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, count *f))
        for (int r = 0; r < count; r++)
            c->simd->multiply_silu(out + (row + r) * f, both + r * m->rows, both + r * m->rows + f, f);
    }
}

void cpu_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows,
                 void *workspace)
{
    const struct cpu *c = cpu_of(k);
    if (product_takes_int8(m))
        product_int8_gate_up(c, out, x, m, rows, workspace);
    else if (is_few(m, rows))
        gate_up_few(c, out, x, m, rows);
    else if (takes_library(c, m, rows))
        gate_up_library(c, out, x, m, rows, workspace);
    else
        product_own_gate_up(c, out, x, m, rows, workspace);
}

size_t cpu_gate_up_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    const struct cpu *c = cpu_of_const(k);
    if (product_takes_int8(m))
        return product_int8_workspace(c, m, rows);
    if (is_few(m, rows))
        return 0;
    if (!takes_library(c, m, rows))
        return product_own_workspace(c, m, rows);
    size_t most = rows < GATE_UP_ROWS ? (size_t)rows : GATE_UP_ROWS;
    size_t library = most * (size_t)m->rows * sizeof(float),
           own = product_own_workspace(c, m, LIBRARY_ROWS - 1);
    return library > own ? library : own;
}

/* A logit and its index as one number, larger for a larger logit and, among equals, for a smaller index: the
 * best of any parts in any order is the maximum. 0: none yet, also for NaN. */
static uint64_t ranked(float logit, int64_t index)
{
    if (isnan(logit))
        return 0;
    float value = logit + 0.0f; /* -0 becomes 0, which is equal */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (UINT32_MAX - (uint32_t)index);
}

static int32_t index_of(uint64_t rank)
{
    return rank ? (int32_t)(UINT32_MAX - (uint32_t)rank) : 0;
}

/* packed: x in 8 bits, or NULL. */
static void argmax_few(const struct cpu *c, int32_t *ids, const float *x, int64_t x_stride,
                       const void *packed, const struct kernel_matrix *m, const float *bias, int rows)
{
    _Atomic uint64_t best[SIMD_GEMV_ROWS];
    for (int b = 0; b < rows; b++)
        atomic_init(&best[b], 0);
#pragma omp parallel num_threads(cpu_threads_for(c, m->rows * m->cols))
    {
        struct cpu_range mine = cpu_share(m->rows, 16, omp_get_thread_num(), omp_get_num_threads());
        float chunk[CHUNK * SIMD_GEMV_ROWS];
        for (int64_t r = mine.first; r < mine.last; r += CHUNK) {
            int64_t count = mine.last - r < CHUNK ? mine.last - r : CHUNK;
            struct kernel_matrix part = kernel_matrix_rows(m, r, count);
            if (packed)
                c->simd->int8->gemv(chunk, CHUNK, &part, packed, rows);
            else
                c->simd->gemv(chunk, CHUNK, &part, x, x_stride, rows);
            for (int b = 0; b < rows; b++) {
                float *logits = chunk + b * CHUNK;
                if (bias)
                    c->simd->add(logits, logits, bias + r, count);
                int64_t i = c->simd->argmax(logits, count);
                uint64_t rank = ranked(logits[i], r + i), seen = atomic_load(&best[b]);
                while (rank > seen && !atomic_compare_exchange_weak(&best[b], &seen, rank))
                    ;
            }
        }
    }
    for (int b = 0; b < rows; b++)
        ids[b] = index_of(atomic_load(&best[b]));
}

/* Many rows: the logits of a block of the vocabulary at a time, the best kept in the workspace. */
enum { HEAD_COLUMNS = 2048 };

static void argmax_many(struct kernels *k, int32_t *ids, const float *x, int x_stride,
                        const struct kernel_matrix *m, const float *bias, int rows, void *workspace)
{
    const struct cpu *c = cpu_of(k);
    int64_t columns = m->rows < HEAD_COLUMNS ? m->rows : HEAD_COLUMNS;
    uint64_t *best = workspace;
    float *logits = (float *)workspace + 2 * (int64_t)rows;
    void *rest = logits + rows * columns;
    for (int r = 0; r < rows; r++)
        best[r] = 0;
    for (int64_t n = 0; n < m->rows; n += columns) {
        struct kernel_matrix part = kernel_matrix_rows(m, n, m->rows - n < columns ? m->rows - n : columns);
        struct kernel_epilogue epilogue = {bias ? bias + n : NULL, KERNEL_LINEAR, false};
        cpu_product(k, logits, (int)columns, x, x_stride, &part, &epilogue, rows, rest);
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, rows *columns))
        for (int r = 0; r < rows; r++) {
            int64_t i = c->simd->argmax(logits + r * columns, part.rows);
            uint64_t rank = ranked(logits[r * columns + i], n + i);
            best[r] = rank > best[r] ? rank : best[r];
        }
    }
    for (int r = 0; r < rows; r++)
        ids[r] = index_of(best[r]);
}

void cpu_head_argmax(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                     const struct kernel_matrix *m, const float *bias, int rows, void *workspace)
{
    const struct cpu *c = cpu_of(k);
    bool packs = product_takes_int8(m);
    if (is_few(m, rows) && packs)
        product_int8_pack(c, workspace, x, x_stride, m, rows);
    if (is_few(m, rows))
        argmax_few(c, ids, x, x_stride, packs ? workspace : NULL, m, bias, rows);
    else
        argmax_many(k, ids, x, x_stride, m, bias, rows, workspace);
}

size_t cpu_head_argmax_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    if (is_few(m, rows))
        return product_takes_int8(m) ? product_int8_workspace(cpu_of_const(k), m, rows) : 0;
    size_t columns = m->rows < HEAD_COLUMNS ? (size_t)m->rows : HEAD_COLUMNS;
    struct kernel_matrix part = kernel_matrix_rows(m, 0, (int64_t)columns);
    return (size_t)rows * (2 + columns) * sizeof(float) + cpu_product_workspace(k, &part, rows);
}
