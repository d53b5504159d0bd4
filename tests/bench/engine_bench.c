/* How near the engine comes to this machine, in one run: ceilings measured first, then prefill and decode of
 * two models as shares of them. A reader can judge without a peer installed. Prints figures and "reached" or
 * "missed"; the exit code is 0 either way, because a noisy machine is not a fault (BENCH_STRICT=1 makes a
 * miss exit 1). */
#include "engine/runners/runner.h"
#include "kernels/kernels.h"
#include "presets/catalog.h"
#include "stats/stats.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 9, SAMPLES_MAX = 32, PREFILL_ROWS = 512, DECODE_CONTEXT = 128 };
#define PREFILL_GOAL 0.70 /* of the product library's own rate on the same shapes */
#define DECODE_GOAL  0.90 /* of the read bandwidth */
#define INT8_GOAL    0.85 /* of it, products of 4-bit weights with inputs of 8 bits */

static int missed;

struct shapes { /* [rows of W, columns] of one layer's products */
    enum kernel_dtype dtype;
    int product[4][2];
};

/* The product library's rate over one layer's products, weighted by their FLOPs as a forward pass is. */
static double library_rate(struct kernels *k, const struct shapes *s)
{
    double flops = 0, seconds = 0;
    for (int i = 0; i < 4; i++) {
        double f = 2.0 * PREFILL_ROWS * s->product[i][0] * s->product[i][1];
        flops += f;
        seconds += f / kernels_measure_product_rate(k, s->dtype, false, PREFILL_ROWS, s->product[i][0],
                                                    s->product[i][1], 0.05);
    }
    return flops / seconds;
}

static const char *judge(double share, double goal)
{
    if (share >= goal)
        return "reached";
    missed++;
    return "missed";
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_seconds(const struct sample *s, int n)
{
    int64_t ns[SAMPLES_MAX];
    for (int i = 0; i < n; i++)
        ns[i] = s[i].device_ns;
    qsort(ns, (size_t)n, sizeof *ns, compare_int64);
    return (double)ns[n / 2] / 1e9;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, compare_double);
    return v[n / 2];
}

/* One workload of one arm, in rounds of (ceiling, samples): memory and clocks of a shared machine drift
 * within seconds, so a share is taken against the ceiling of the same moment, and the median share is told.
 */
static void bench_arm(struct runner *r, struct kernels *k, const struct model_spec *m, const char *name,
                      const struct implementation *i, enum workload w, const struct shapes *shapes,
                      bool judged)
{
    bool decode = w == WORKLOAD_DECODE;
    int samples = decode ? SAMPLES_MAX : 2;
    struct error e = {0};
    struct sample s[SAMPLES_MAX];
    struct model_work work;
    _Atomic int done = 0;
    int64_t load = 0;
    double seconds[ROUNDS], ceiling[ROUNDS], share[ROUNDS];
    struct runner_request q = {.model = m,
                               .implementation = i,
                               .workload = w,
                               .batch = 1,
                               .seq = decode ? DECODE_CONTEXT : PREFILL_ROWS,
                               .tokens = 1,
                               .samples_max = SAMPLES_MAX,
                               .arm_name = name,
                               .seed = 42};
    struct runner_arm *a = r->ops->prepare(r, &q, NULL, &load, &e);
    if (a)
        r->ops->work(a, &work);
    for (int round = -1; a && round < ROUNDS; round++) { /* round -1 warms up */
        double top = decode ? k->ops->measure_read(k, 0.15) : library_rate(k, shapes);
        if (r->ops->reset(a, &e) || r->ops->run_block(a, samples, s, &done, NULL, &e)) {
            r->ops->release(a);
            a = NULL;
        } else if (round >= 0) {
            seconds[round] = median_seconds(s, samples);
            ceiling[round] = top;
            share[round] = (decode ? work.bytes : work.flops) / seconds[round] / top;
        }
    }
    if (!a) {
        printf("  %s\n", e.text);
        missed++;
        return;
    }
    r->ops->release(a);
    double t = median(seconds, ROUNDS), of = median(share, ROUNDS);
    printf("  %-9s %s %4d  %8.1f tok/s  %7.1f GFLOP/s  %6.2f GB/s   %5.1f %% (%.0f-%.0f) of %s %.1f   %s\n",
           name, decode ? "decode  @" : "prefill  ", q.seq, (double)work.tokens / t, work.flops / t / 1e9,
           work.bytes / t / 1e9, 100 * of, 100 * share[0], 100 * share[ROUNDS - 1],
           decode ? "read GB/s" : "library GFLOP/s", median(ceiling, ROUNDS) / 1e9,
           judged ? judge(of, decode ? DECODE_GOAL : PREFILL_GOAL) : "");
}

static void bench_model(struct runner *r, struct kernels *k, const char *model, enum precision_kind precision,
                        const struct shapes *shapes)
{
    static const char *const arms[] = {"baseline", "optimized"};
    struct error e = {0};
    struct model_spec m;
    for (int a = 0; a < 2; a++) {
        struct implementation i;
        if (catalog_model(model, &m, &e) || catalog_implementation(arms[a], &i, &e)) {
            printf("  %s\n", e.text);
            missed++;
            return;
        }
        i.precision = precision;
        bench_arm(r, k, &m, arms[a], &i, WORKLOAD_PREFILL, shapes, a == 1);
        bench_arm(r, k, &m, arms[a], &i, WORKLOAD_DECODE, shapes, a == 1);
    }
}

/* ---- what each format of the weights makes of the memory ---- */

enum { FORMAT_ROWS = 16384, FORMAT_COLS = 8192 };

static struct kernel_matrix format_matrix(struct kernels *k, enum kernel_dtype dtype, size_t part[3])
{
    struct kernel_matrix m = {.dtype = dtype, .rows = FORMAT_ROWS, .cols = FORMAT_COLS};
    kernel_matrix_parts(dtype, m.rows, m.cols, part);
    m.data = k->ops->alloc(k, part[0]);
    m.scales = part[1] ? k->ops->alloc(k, part[1]) : NULL;
    m.codes = part[2] ? k->ops->alloc(k, part[2]) : NULL;
    if (m.data)
        k->ops->generate(k, &m, 1, 2, KERNEL_UNIFORM, 1);
    return m;
}

static void drop_matrix(struct kernels *k, struct kernel_matrix *m, const size_t part[3])
{
    k->ops->free(k, m->data, part[0]);
    k->ops->free(k, m->scales, part[1]);
    k->ops->free(k, m->codes, part[2]);
}

/* Seconds of one row of x by m, the better of two. workspace: what inputs of 8 bits need. */
static double product_seconds(struct kernels *k, const struct kernel_matrix *m, const float *x, float *out,
                              void *workspace)
{
    struct kernel_event *from = k->ops->event_create(k), *to = k->ops->event_create(k);
    int64_t best = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        k->ops->event_record(k, from);
        k->ops->product(k, out, FORMAT_ROWS, x, FORMAT_COLS, m, NULL, 1, workspace);
        k->ops->event_record(k, to);
        k->ops->synchronize(k);
        int64_t span = k->ops->event_span_ns(k, from, to);
        best = span < best ? span : best;
    }
    k->ops->event_destroy(k, from);
    k->ops->event_destroy(k, to);
    return (double)best / 1e9;
}

/* What one format reached: paired rounds. gain: over fp32 weights, or of inputs of 8 bits over full ones. */
struct format_rounds {
    double rate[ROUNDS], share[ROUNDS], gain[ROUNDS];
};

static void tell_format(const struct kernel_matrix *m, struct format_rounds *f)
{
    double bytes = (double)kernel_matrix_bytes(m->dtype, m->rows, m->cols), of = median(f->share, ROUNDS),
           gain = median(f->gain, ROUNDS);
    bool four = m->dtype == KERNEL_Q4_0 || m->dtype == KERNEL_Q4_K;
    printf("  %-7s %-10s %6.3f bits a weight  %6.2f GB/s   %5.1f %% of read   %5.2f x the speed of %s   %s\n",
           kernel_dtype_name(m->dtype), m->quantize_input ? "8-bit x" : "",
           8 * bytes / ((double)FORMAT_ROWS * FORMAT_COLS), median(f->rate, ROUNDS) / 1e9, 100 * of, gain,
           m->quantize_input ? "full x" : "fp32",
           !m->quantize_input ? "" : judge(four ? fmin(of / INT8_GOAL, gain) : gain, 1));
}

/* A matrix far larger than any cache, one row of x, every format, then with inputs of 8 bits where it has
 * them: bytes per second against the memory's of the same moment, and the time of fp32, or of full inputs,
 * over its own, medians of paired rounds. */
static void bench_format(struct kernels *k, const struct kernel_matrix *base, enum kernel_dtype dtype,
                         const float *x, float *out)
{
    size_t part[3];
    struct kernel_matrix m = format_matrix(k, dtype, part), other = m;
    other.quantize_input = true;
    size_t need = kernel_is_integers(dtype) ? k->ops->product_workspace(k, &other, 1) : 0;
    void *workspace = need ? k->ops->alloc(k, need) : NULL;
    struct format_rounds full, int8;
    double bytes = (double)kernel_matrix_bytes(m.dtype, m.rows, m.cols);
    for (int round = -1; m.data && round < ROUNDS; round++) {
        int at = round < 0 ? 0 : round; /* round -1 warms up */
        double top = k->ops->measure_read(k, 0.1), t = product_seconds(k, &m, x, out, NULL),
               eight = workspace ? product_seconds(k, &other, x, out, workspace) : 1,
               whole = product_seconds(k, base, x, out, NULL);
        full.rate[at] = bytes / t;
        full.share[at] = bytes / t / top;
        full.gain[at] = whole / t;
        int8.rate[at] = bytes / eight;
        int8.share[at] = bytes / eight / top;
        int8.gain[at] = t / eight;
    }
    if (m.data)
        tell_format(&m, &full);
    if (m.data && workspace)
        tell_format(&other, &int8);
    k->ops->free(k, workspace, need);
    drop_matrix(k, &m, part);
}

static void bench_formats(struct kernels *k)
{
    size_t part[3];
    float *x = k->ops->alloc(k, FORMAT_COLS * sizeof *x), *out = k->ops->alloc(k, FORMAT_ROWS * sizeof *out);
    struct kernel_matrix base = format_matrix(k, KERNEL_FP32, part);
    for (int i = 0; x && i < FORMAT_COLS; i++)
        x[i] = (float)(i % 17 - 8) / 8;
    for (int d = 0; x && out && base.data && d < KERNEL_DTYPES; d++)
        bench_format(k, &base, (enum kernel_dtype)d, x, out);
    if (!base.data)
        printf("  no memory for half a gigabyte of weights: close other programs\n");
    drop_matrix(k, &base, part);
    k->ops->free(k, x, FORMAT_COLS * sizeof *x);
    k->ops->free(k, out, FORMAT_ROWS * sizeof *out);
}

int main(void)
{
    static const struct shapes gpt2 = {KERNEL_FP32, {{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}}};
    static const struct shapes llama = {KERNEL_BF16, {{2304, 768}, {768, 768}, {4096, 768}, {768, 2048}}};
    struct error e = {0};
    char why[256];
    struct kernels_info info;
    stats_init();
    struct kernels *k =
        kernels_open_cpu(&(struct kernels_config){.product = "auto", .simd = "auto"}, why, sizeof why);
    struct runner *r = k ? runner_open_native("cpu", 0, &e) : NULL;
    if (!r) {
        printf("%s\n", k ? e.text : why);
        return 1;
    }
    k->ops->info(k, &info);
    printf("%s, %d threads, %s, products by %s\n", info.simd, info.threads, info.affinity, info.product);
    printf("ceilings: read %.1f GB/s; products of 512 rows fp32 %.1f, bf16 %.1f GFLOP/s; shares below are of "
           "the ceiling of the "
           "same moment, median of 9 rounds (lowest-highest)\n",
           k->ops->measure_read(k, 1.0) / 1e9, library_rate(k, &gpt2) / 1e9, library_rate(k, &llama) / 1e9);
    printf("gpt2-124m fp32\n");
    bench_model(r, k, "gpt2-124m", PRECISION_FP32, &gpt2);
    printf("llama, 12 layers, d 768, ffn 2048, vocabulary 32000, bf16\n");
    bench_model(r, k, "llama-134m", PRECISION_BF16, &llama);
    printf("formats of the weights, %d x %d, one row of x\n", FORMAT_ROWS, FORMAT_COLS);
    bench_formats(k);
    r->ops->close(r);
    k->ops->close(k);
    printf("%d missed\n", missed);
    return getenv("BENCH_STRICT") && missed > 0;
}
