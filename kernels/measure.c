/* What products reach on a device, measured through the door: the same code for every backend. */
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

enum { PASSES = 64, PARTS = 3 };

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static enum kernel_dtype activation_of(enum kernel_dtype dtype)
{
    return dtype == KERNEL_FP32 || dtype == KERNEL_FP16 ? dtype : KERNEL_BF16;
}

/* Median span of one pass: the first warms caches and libraries up, then at least three, as many as fit. */
static int64_t median_span(struct kernels *k, const struct kernel_matrix *m, void *out, const void *x,
                           int rows, void *workspace, double seconds)
{
    const struct kernel_ops *ops = k->ops;
    struct kernel_event *from = ops->event_create(k), *to = ops->event_create(k);
    int64_t span[PASSES], total = 0;
    int n = 0;
    for (int pass = 0; from && to && pass <= PASSES && (n < 3 || (double)total < seconds * 1e9); pass++) {
        ops->event_record(k, from);
        ops->product(k, out, (int)m->rows, x, (int)m->cols, m, NULL, rows, workspace);
        ops->event_record(k, to);
        ops->synchronize(k);
        if (pass == 0)
            continue;
        span[n] = ops->event_span_ns(k, from, to);
        total += span[n++];
    }
    if (from)
        ops->event_destroy(k, from);
    if (to)
        ops->event_destroy(k, to);
    if (n == 0)
        return 0;
    qsort(span, (size_t)n, sizeof *span, ascending);
    return span[n / 2];
}

double kernels_measure_product_rate(struct kernels *base, enum kernel_dtype dtype, bool quantize_input,
                                    int rows, int n, int cols, double seconds)
{
    struct kernels *k = base->ops->view(base, activation_of(dtype));
    if (!k) /* the backend has one type of activations */
        k = base;
    const struct kernel_ops *ops = k->ops;
    struct kernel_matrix m = {.dtype = dtype, .rows = n, .cols = cols, .quantize_input = quantize_input};
    size_t element = kernel_dtype_bytes(k->activation), part[PARTS],
           need = ops->product_workspace(k, &m, rows);
    size_t x_bytes = (size_t)rows * (size_t)cols * element, out_bytes = (size_t)rows * (size_t)n * element;
    kernel_matrix_parts(dtype, n, cols, part);
    void *weights[PARTS] = {NULL};
    bool enough = true;
    for (int i = 0; i < PARTS; i++)
        enough = enough && (part[i] == 0 || (weights[i] = ops->alloc(k, part[i])));
    void *x = ops->alloc(k, x_bytes), *out = ops->alloc(k, out_bytes),
         *workspace = need ? ops->alloc(k, need) : NULL;
    double rate = 0;
    if (enough && x && out && (workspace || need == 0)) {
        struct kernel_matrix inputs = {.dtype = k->activation, .rows = rows, .cols = cols, .data = x};
        m.data = weights[0];
        m.scales = weights[1];
        m.codes = weights[2];
        ops->generate(k, &m, 1, 1, KERNEL_UNIFORM, 0.05f);
        ops->generate(k, &inputs, 1, 2, KERNEL_UNIFORM, 1);
        int64_t span = median_span(k, &m, out, x, rows, workspace, seconds);
        rate = span > 0 ? 2.0 * rows * n * cols / ((double)span * 1e-9) : 0;
    }
    for (int i = 0; i < PARTS; i++)
        if (weights[i])
            ops->free(k, weights[i], part[i]);
    if (x)
        ops->free(k, x, x_bytes);
    if (out)
        ops->free(k, out, out_bytes);
    if (workspace)
        ops->free(k, workspace, need);
    return rate;
}
