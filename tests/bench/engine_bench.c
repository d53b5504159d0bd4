/* How near the engine comes to this machine, in one run: ceilings measured first, then prefill and decode of
 * two models as shares of them. A reader can judge without a peer installed. Prints figures and "reached" or
 * "missed"; the exit code is 0 either way, because a noisy machine is not a fault (BENCH_STRICT=1 makes a
 * miss exit 1). */
#include "engine/runners/runner.h"
#include "kernels/kernels.h"
#include "presets/catalog.h"
#include "stats/stats.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES_MAX = 64, PREFILL_ROWS = 512, DECODE_CONTEXT = 128 };
#define PREFILL_GOAL 0.70 /* of the product library's own rate on the same shapes */
#define DECODE_GOAL  0.90 /* of the read bandwidth */

static int missed;

struct ceiling {
    double bandwidth; /* bytes/s */
    double rate[2];   /* FLOP/s: fp32, bf16 */
};

/* The library's rate over one layer's products, weighted by their FLOPs as a forward pass is. */
static double layer_rate(struct kernels *k, enum kernel_dtype dtype, const int (*shape)[2], int n)
{
    double flops = 0, seconds = 0;
    for (int i = 0; i < n; i++) {
        double f = 2.0 * PREFILL_ROWS * shape[i][0] * shape[i][1];
        flops += f;
        seconds += f / kernels_measure_product_rate(k, dtype, PREFILL_ROWS, shape[i][0], shape[i][1], 0.4);
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

static double median_seconds(const struct sample *s, int n)
{
    int64_t ns[SAMPLES_MAX];
    for (int i = 0; i < n; i++)
        ns[i] = s[i].device_ns;
    qsort(ns, (size_t)n, sizeof *ns, compare_int64);
    return (double)ns[n / 2] / 1e9;
}

/* Median seconds of a sample of one arm; work into *work. Negative: it could not run. */
static double time_arm(struct runner *r, const struct model_spec *m, const struct implementation *i,
                       enum workload w, int seq, int samples, struct model_work *work)
{
    struct error e = {0};
    struct sample s[SAMPLES_MAX];
    _Atomic int done = 0;
    int64_t load = 0;
    struct runner_request q = {.model = m,
                               .implementation = i,
                               .workload = w,
                               .batch = 1,
                               .seq = seq,
                               .tokens = 1,
                               .samples_max = SAMPLES_MAX,
                               .arm_name = "bench",
                               .seed = 42};
    struct runner_arm *a = r->ops->prepare(r, &q, NULL, &load, &e);
    double result = -1;
    if (a && r->ops->reset(a, &e) == 0 && r->ops->run_block(a, 3, s, &done, NULL, &e) == 0 &&
        r->ops->reset(a, &e) == 0 && r->ops->run_block(a, samples, s, &done, NULL, &e) == 0) {
        r->ops->work(a, work);
        result = median_seconds(s, samples);
    } else {
        printf("  %s\n", e.text);
        missed++;
    }
    r->ops->release(a);
    return result;
}

static void bench_model(struct runner *r, const char *name, enum precision_kind precision, double bandwidth,
                        double rate)
{
    struct error e = {0};
    struct model_spec m;
    if (catalog_model(name, &m, &e)) {
        printf("  %s\n", e.text);
        missed++;
        return;
    }
    struct {
        const char *name;
        struct implementation i;
    } arm[2] = {{"baseline", {0}}, {"optimized", {0}}};
    for (int a = 0; a < 2; a++) {
        struct model_work work;
        if (catalog_implementation(arm[a].name, &arm[a].i, &e)) {
            printf("  %s\n", e.text);
            missed++;
            return;
        }
        arm[a].i.precision = precision;
        double s = time_arm(r, &m, &arm[a].i, WORKLOAD_PREFILL, PREFILL_ROWS, 7, &work);
        if (s > 0)
            printf("  %-9s prefill %d   %9.1f tok/s  %8.1f GFLOP/s  %5.1f %% of the library's %.1f   %s\n",
                   arm[a].name, PREFILL_ROWS, (double)work.tokens / s, work.flops / s / 1e9,
                   100 * work.flops / s / rate, rate / 1e9,
                   a ? judge(work.flops / s / rate, PREFILL_GOAL) : "");
        s = time_arm(r, &m, &arm[a].i, WORKLOAD_DECODE, DECODE_CONTEXT, SAMPLES_MAX, &work);
        if (s > 0)
            printf(
                "  %-9s decode @%d   %9.1f tok/s  %8.2f GB/s     %5.1f %% of the read bandwidth %.2f   %s\n",
                arm[a].name, DECODE_CONTEXT, (double)work.tokens / s, work.bytes / s / 1e9,
                100 * work.bytes / s / bandwidth, bandwidth / 1e9,
                a ? judge(work.bytes / s / bandwidth, DECODE_GOAL) : "");
    }
}

int main(void)
{
    static const int gpt2[][2] = {{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}};
    static const int llama[][2] = {{2304, 768}, {768, 768}, {4096, 768}, {768, 2048}};
    struct error e = {0};
    char why[256];
    struct kernels_info info;
    stats_init();
    struct kernels *k =
        kernels_open_cpu(&(struct kernels_config){.product = "auto", .simd = "auto"}, why, sizeof why);
    if (!k) {
        printf("%s\n", why);
        return 1;
    }
    k->ops->info(k, &info);
    printf("%s, %d threads, %s, products by %s\n", info.simd, info.threads, info.affinity, info.product);
    /* Ceilings before and after: on a shared machine they drift, and a share of a drifted ceiling is no
     * figure. */
    double bandwidth = kernels_measure_read_bandwidth(k, 1.0);
    double fp32 = layer_rate(k, KERNEL_FP32, gpt2, 4), bf16 = layer_rate(k, KERNEL_BF16, llama, 4);
    printf("ceilings: read %.2f GB/s; products, 512 rows: fp32 %.1f GFLOP/s, bf16 %.1f GFLOP/s\n",
           bandwidth / 1e9, fp32 / 1e9, bf16 / 1e9);

    struct runner *r = runner_open_native("cpu", 0, &e);
    if (!r) {
        printf("%s\n", e.text);
        return 1;
    }
    printf("gpt2-124m fp32\n");
    bench_model(r, "gpt2-124m", PRECISION_FP32, bandwidth, fp32);
    printf("llama, 12 layers, d 768, ffn 2048, vocabulary 32000, bf16\n");
    bench_model(r, "llama-134m", PRECISION_BF16, bandwidth, bf16);
    r->ops->close(r);

    double after = kernels_measure_read_bandwidth(k, 1.0);
    printf("ceiling again: read %.2f GB/s (%+.1f %%)\n", after / 1e9, 100 * (after / bandwidth - 1));
    k->ops->close(k);
    printf("%d missed\n", missed);
    return getenv("BENCH_STRICT") && missed > 0;
}
