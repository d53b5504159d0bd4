/* The rotation of a model from a text. */
#include "engine/clock.h"
#include "engine/model/forward.h"
#include "engine/model/lapack.h"
#include "engine/model/larosa.h"
#include "engine/model/model.h"
#include "stats/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kernel_epilogue no_epilogue = {NULL, KERNEL_LINEAR, false, false};
enum { SAMPLES = 256, SQUARE = 32 }; /* rows kept to tell what the rotation gains */
static const double damping = 0.01, shown_sparsity = 0.4;

struct calibration {
    struct kernels *k; /* the view of fp32 */
    struct weights *w;
    int d, most;                   /* rows that a pass may have */
    enum kernel_dtype residual;    /* type of what is observed */
    float *row, *turned;           /* [most, d] and [d, most], on the host */
    void *x, *product, *workspace; /* [d, most], [d, d] on the device */
    size_t x_bytes, product_bytes, workspace_bytes;
    float *sum;     /* [d, d] of one pass */
    double *moment; /* [d, d] */
    float *sample;  /* [SAMPLES, d] */
    int64_t seen;   /* rows */
    double seconds; /* spent on moments */
    bool (*cancelled)(void *);
    void *who;
};

static double now(void)
{
    return (double)clock_ns() * 1e-9;
}

/* Rows to columns, each divided by its root mean square. */
static void normalize(struct calibration *c, int rows)
{
    int d = c->d;
#pragma omp parallel for schedule(static)
    for (int first = 0; first < rows; first += SQUARE)
        for (int r = first; r < first + SQUARE && r < rows; r++) {
            float *x = c->row + (size_t)r * (size_t)d;
            double square = 0;
            for (int i = 0; i < d; i++)
                square += (double)x[i] * (double)x[i];
            float scale = (float)(1 / sqrt(square / d + c->w->model.norm_eps));
            for (int i = 0; i < d; i++)
                x[i] *= scale;
            for (int i = 0; i < d; i++)
                c->turned[(size_t)i * (size_t)rows + (size_t)r] = x[i];
        }
    /* Every 61st row seen is kept, in a ring. */
    for (int r = 0; r < rows; r++, c->seen++)
        if (c->seen % 61 == 0)
            memcpy(c->sample + (size_t)(c->seen / 61 % SAMPLES) * (size_t)d, c->row + (size_t)r * (size_t)d,
                   (size_t)d * sizeof *c->sample);
}

/* moment += X^T X of one block's inputs */
static void observe(void *who, const void *x, int rows)
{
    struct calibration *c = who;
    const struct kernel_ops *ops = c->k->ops;
    struct kernel_matrix residual = {
        .dtype = c->residual, .rows = rows, .cols = c->d, .data = (void *)(uintptr_t)x};
    size_t n = (size_t)c->d * (size_t)c->d;
    if (c->cancelled && c->cancelled(c->who))
        return;
    ops->synchronize(c->k);
    double start = now();
    ops->read_matrix(c->k, &residual, 0, rows, c->row);
    normalize(c, rows);
    struct kernel_matrix m = {.dtype = KERNEL_FP32, .rows = c->d, .cols = rows, .data = c->x};
    ops->upload(c->k, c->x, c->turned, (size_t)c->d * (size_t)rows * sizeof *c->turned);
    ops->product(c->k, c->product, c->d, c->x, rows, &m, &no_epilogue, c->d, c->workspace);
    ops->download(c->k, c->sum, c->product, n * sizeof *c->sum);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++)
        c->moment[i] += (double)c->sum[i];
    c->seconds += now() - start;
}

static int open_calibration(struct calibration *c, struct error *e)
{
    const struct kernel_ops *ops = c->k->ops;
    size_t d = (size_t)c->d, rows = (size_t)c->most;
    struct kernel_matrix m = {.dtype = KERNEL_FP32, .rows = c->d, .cols = c->most};
    c->x_bytes = d * rows * sizeof(float);
    c->product_bytes = d * d * sizeof(float);
    c->workspace_bytes = ops->product_workspace(c->k, &m, c->d);
    c->x = ops->alloc(c->k, c->x_bytes);
    c->product = ops->alloc(c->k, c->product_bytes);
    c->workspace = c->workspace_bytes ? ops->alloc(c->k, c->workspace_bytes) : NULL;
    c->row = malloc(c->x_bytes);
    c->turned = malloc(c->x_bytes);
    c->sum = malloc(c->product_bytes);
    c->moment = calloc(d * d, sizeof *c->moment);
    c->sample = malloc(SAMPLES * d * sizeof *c->sample);
    return c->x && c->product && (c->workspace || !c->workspace_bytes) && c->row && c->turned && c->sum &&
                   c->moment && c->sample
               ? 0
               : error_set(e, ERROR_MEMORY, "no memory to calibrate %s: choose a smaller model",
                           c->w->model.name);
}

static void close_calibration(struct calibration *c)
{
    const struct kernel_ops *ops = c->k->ops;
    if (c->x)
        ops->free(c->k, c->x, c->x_bytes);
    if (c->product)
        ops->free(c->k, c->product, c->product_bytes);
    if (c->workspace)
        ops->free(c->k, c->workspace, c->workspace_bytes);
    free(c->row);
    free(c->turned);
    free(c->sum);
    free(c->moment);
    free(c->sample);
}

/* All windows, one after another, through the original weights. */
static int run(struct calibration *c, const int32_t *id, int64_t n, int window,
               void (*progress)(void *, const char *, double), struct error *e)
{
    struct implementation i;
    implementation_default(&i);
    i.attention = ATTENTION_FLASH;
    i.fusion = FUSION_FULL & ~(unsigned)FUSION_HEAD_ARGMAX;
    i.precision = c->w->precision;
    for (int64_t at = 0; at < n; at += window) {
        struct forward_shape shape = {.model = &c->w->model,
                                      .implementation = &i,
                                      .sequences = 1,
                                      .length = (int)(n - at < window ? n - at : window)};
        struct forward *f = forward_create(c->w->k, c->w, &shape, id + at, e);
        if (!f)
            return -1;
        forward_watch(f, NULL, c->cancelled, c->who);
        forward_observe(f, observe, c);
        int failed = forward_prefill(f, e) || forward_check(f, e);
        forward_free(f);
        if (failed)
            return -1;
        if (progress)
            progress(c->who, "calibration", (double)(at + shape.length) / (double)n);
    }
    return 0;
}

/* With a hundredth of the mean on the diagonal: directions no text has seen stay apart from rounding. */
static int solve(struct calibration *c, char *solver, size_t size, struct error *e)
{
    size_t d = (size_t)c->d;
    char library[40];
    double mean = 0, *value = malloc(d * sizeof *value), *copy = malloc(d * d * sizeof *copy);
    int failed = -1;
    for (size_t i = 0; i < d; i++)
        mean += c->moment[i * d + i] / (double)d;
    for (size_t i = 0; i < d; i++)
        c->moment[i * d + i] += damping * mean;
    if (value && copy && isfinite(mean) && mean > 0) {
        memcpy(copy, c->moment, d * d * sizeof *copy);
        failed = lapack_eigen(c->moment, c->d, value, library, sizeof library);
        snprintf(solver, size, "LAPACK of %s", library);
        if (failed) {
            memcpy(c->moment, copy, d * d * sizeof *copy);
            failed = stats_eigen(c->moment, c->d, value);
            snprintf(solver, size, "GSL, slowly: libopenblas0-pthread is faster");
        }
    }
    free(value);
    free(copy);
    return failed ? error_set(e, ERROR_FAILED,
                              "the activations of %s have no eigenvectors (%s): choose another text",
                              c->w->model.name, isfinite(mean) && mean > 0 ? "no convergence" : "not finite")
                  : 0;
}

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Share of x's squared length in its `keep` largest squares. x becomes its sorted squares. */
static double largest_share(float *x, int d, int keep)
{
    double kept = 0, all = 0;
    for (int i = 0; i < d; i++)
        x[i] *= x[i];
    qsort(x, (size_t)d, sizeof *x, descending);
    for (int i = 0; i < d; i++) {
        all += (double)x[i];
        kept += i < keep ? (double)x[i] : 0;
    }
    return all > 0 ? kept / all : 0;
}

static void judge(struct calibration *c, const struct larosa *l, struct larosa_report *report)
{
    int64_t seen = (c->seen + 60) / 61, n = seen < SAMPLES ? seen : SAMPLES;
    int d = c->d, keep = model_kept(d, shown_sparsity, true);
    double rotated = 0, plain = 0;
#pragma omp parallel for schedule(dynamic) reduction(+ : rotated, plain)
    for (int64_t s = 0; s < n; s++) {
        float *x = c->sample + (size_t)s * (size_t)d, *y = malloc((size_t)d * sizeof *y);
        for (int i = 0; y && i < d; i++) {
            const float *row = l->basis + (size_t)i * (size_t)d;
            float sum = 0;
            for (int j = 0; j < d; j++)
                sum += row[j] * x[j];
            y[i] = sum;
        }
        rotated += y ? largest_share(y, d, keep) : 0;
        plain += largest_share(x, d, keep);
        free(y);
    }
    report->kept = rotated / (double)n;
    report->unrotated = plain / (double)n;
}

struct larosa *larosa_calibrate(struct kernels *k, struct weights *w, const int32_t *id, int64_t n,
                                int window, void (*progress)(void *, const char *, double),
                                bool (*cancelled)(void *), void *who, struct larosa_report *report,
                                struct error *e)
{
    struct kernels *fp32 = k->ops->view(k, KERNEL_FP32),
                   *own = k->ops->view(k, weights_activation(&w->model, w->precision));
    struct calibration c = {.k = fp32 ? fp32 : k,
                            .w = w,
                            .d = w->model.d_model,
                            .most = k->piece_rows < window ? k->piece_rows : window,
                            .residual = own ? own->activation : k->activation,
                            .cancelled = cancelled,
                            .who = who};
    size_t count = (size_t)c.d * (size_t)c.d;
    struct larosa_report unused, *r = report ? report : &unused;
    struct larosa *l = calloc(1, sizeof *l);
    if (l)
        l->basis = malloc(count * sizeof *l->basis);
    int failed = l && l->basis ? open_calibration(&c, e)
                               : error_set(e, ERROR_MEMORY, "no memory for a rotation: close other programs");
    double start = now();
    if (!failed)
        failed = run(&c, id, n, window, progress, e);
    *r = (struct larosa_report){.run_s = now() - start - c.seconds, .moments_s = c.seconds};
    start = now();
    if (!failed)
        failed = solve(&c, r->solver, sizeof r->solver, e);
    r->eigen_s = now() - start;
    if (!failed) {
        for (size_t i = 0; i < count; i++)
            l->basis[i] = (float)c.moment[i];
        l->d = c.d;
        l->tokens = n;
        snprintf(l->name, sizeof l->name, "%s", w->model.name);
        judge(&c, l, r);
    }
    close_calibration(&c);
    if (failed) {
        larosa_free(l);
        return NULL;
    }
    return l;
}
