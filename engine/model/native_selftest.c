#include "engine/model/native.h"
#include "engine/model/native_judge.h"

#include <stdio.h>
#include <string.h>

struct report {
    void (*line)(void *, const struct selftest_line *);
    void *who;
    int failures;
};

static void check(struct report *r, struct judge *j, const struct implementation *i, const char *what,
                  int sequences, const int *lengths, int steps)
{
    char name[128], text[512];
    struct error e = {0};
    implementation_describe(i, name, sizeof name);
    struct selftest_line line = {.what = text, .tolerance = judge_tolerance_on(j->k, i)};
    line.error = judge_run(j, i, sequences, lengths, steps, &e);
    line.passed = line.error <= line.tolerance;
    snprintf(text, sizeof text, "%s %s: %s%s%.200s", j->model->name, name, what, e.text[0] ? ": " : "",
             e.text);
    r->failures += !line.passed;
    if (r->line)
        r->line(r->who, &line);
}

static void check_implementation(struct report *r, struct judge *j, const struct implementation *i)
{
    bool encoder = j->model->family == MODEL_BERT;
    check(r, j, i, "prefill 1", 1, (const int[]){1}, 0);
    check(r, j, i, "prefill 7", 1, (const int[]){7}, 0);
    check(r, j, i, "prefill 37", 1, (const int[]){37}, 0);
    check(r, j, i, "batch of 3, 12 and 5 tokens", 3, (const int[]){3, 12, 5}, encoder ? 0 : 2);
    if (!encoder)
        check(r, j, i, "decode 14 after 5", 1, (const int[]){5}, 14);
}

/* Where checks are cheap: all combinations, and each fusion alone. */
static void check_all(struct report *r, struct judge *j, const struct implementation *plain)
{
    static const unsigned fusions[] = {0, FUSION_FULL};
    struct implementation i = *plain;
    for (int attention = ATTENTION_NAIVE; attention <= ATTENTION_FLASH; attention++)
        for (int cache = KV_CACHE_CONTIGUOUS; cache < KV_CACHES; cache++)
            for (int f = cache > KV_CACHE_PAGED; f < 2; f++) { /* layouts twice found alike */
                i.attention = (enum attention_kind)attention;
                i.kv_cache = (enum kv_cache_kind)cache;
                i.fusion = fusions[f];
                if (i.activations != ACTIVATIONS_FULL && (cache != KV_CACHE_CONTIGUOUS || attention != f))
                    continue; /* products alone differ */
                if (native_supports("cpu", j->model, &i, WORKLOAD_PREFILL, NULL))
                    continue; /* a layout that this family has not */
                check_implementation(r, j, &i);
            }
    if (i.precision != PRECISION_FP32)
        return;
    bool states = j->model->family == MODEL_MAMBA;
    i.kv_cache = states ? KV_CACHE_CONTIGUOUS : i.kv_cache;
    for (unsigned bit = 1; bit < FUSION_FULL; bit <<= 1)
        for (int attention = states ? ATTENTION_NAIVE : ATTENTION_FLASH; attention <= ATTENTION_FLASH;
             attention++) {
            i.attention = (enum attention_kind)attention;
            i.fusion = bit;
            if (bit != FUSION_SSM || states)
                check_implementation(r, j, &i);
        }
}

/* Where every check launches some hundred kernels: three implementations per model and precision, chosen so
 * that every model meets every value of every axis, and all models together nearly every pair of values. */
static void check_pairs(struct report *r, struct judge *j, int model, const struct implementation *plain)
{
    enum { PER_PRECISION = 3 };
    static const unsigned fusions[] = {FUSION_FULL,          0,
                                       FUSION_RESIDUAL_NORM, FUSION_QKV,
                                       FUSION_ROPE_CACHE,    FUSION_GATE_UP,
                                       FUSION_BIAS_GELU,     FUSION_HEAD_ARGMAX};
    bool states = j->model->family == MODEL_MAMBA;
    bool encoder = j->model->family == MODEL_BERT;
    for (int v = 0; v < PER_PRECISION; v++) {
        int n = PER_PRECISION * ((int)plain->precision + 4 * (int)plain->activations) + v + 5 * model;
        struct implementation i = *plain;
        i.attention = (n + n / 5) % 2 ? ATTENTION_FLASH : ATTENTION_NAIVE;
        i.fusion = fusions[(3 * n + n / 3) % 8];
        if (states && (i.fusion == FUSION_ROPE_CACHE || i.fusion == FUSION_GATE_UP)) /* it has neither */
            i.fusion = FUSION_SSM;
        i.launch = (n / 2 + n / 4) % 2 ? LAUNCH_GRAPH : LAUNCH_EAGER;
        i.kv_cache = states ? KV_CACHE_CONTIGUOUS : (enum kv_cache_kind)((n + n / 4) % KV_CACHES);
        check(r, j, &i, "batch of 3, 12 and 5 tokens", 3, (const int[]){3, 12, 5}, encoder ? 0 : 2);
        if (v == 0)
            check(r, j, &i, "prefill 37", 1, (const int[]){37}, 0);
        if (v == 1 && !encoder)
            check(r, j, &i, "decode 9 after 1", 1, (const int[]){1}, 9);
    }
}

/* Sparse activations in fp32, where the reference leaves out exactly the same: rotated weights that keep
 * every channel against the original model, then lists (decode) and masks (a prompt). */
static int check_sparse(struct report *r, struct kernels *k, int model, const char *device, struct error *e)
{
    struct implementation i;
    struct judge j;
    implementation_default(&i);
    i.sparsity = 1e-9;
    i.fusion = FUSION_FULL;
    if (native_supports(device, &judge_models[model], &i, WORKLOAD_DECODE, NULL))
        return 0;
    if (judge_open_rotated(&j, k, &judge_models[model], i.precision, e))
        return -1;
    check(r, &j, &i, "rotated, decode 3 after 5", 1, (const int[]){5}, 3);
    judge_close(&j);
    for (int fused = 0; fused < 2; fused++) {
        i.sparsity = 0.4;
        i.fusion = fused ? FUSION_FULL : 0;
        if (judge_open_sparse(&j, k, &judge_models[model], i.precision, i.sparsity, e))
            return -1;
        check(r, &j, &i, "prefill 12", 1, (const int[]){12}, 0);
        check(r, &j, &i, "decode 3 after 5", 1, (const int[]){5}, 3);
        judge_close(&j);
    }
    return 0;
}

static bool chosen(int model, const char *only)
{
    return !only || strcmp(only, judge_models[model].name) == 0;
}

static int check_name(const char *only, struct error *e)
{
    char names[128] = "";
    for (int m = 0; m < JUDGE_MODELS; m++) {
        size_t n = strlen(names);
        if (chosen(m, only))
            return 0;
        snprintf(names + n, sizeof names - n, "%s%.20s", m ? ", " : "", judge_models[m].name);
    }
    return error_set(e, ERROR_USAGE, "the self-test has no model \"%.32s\": use one of %s", only, names);
}

int native_selftest(const char *device, const char *only,
                    void (*line)(void *who, const struct selftest_line *), void *who, struct error *e)
{
    struct report report = {.line = line, .who = who};
    struct implementation plain;
    struct kernels *k = check_name(only, e) ? NULL : native_open(device, 0, e);
    if (!k)
        return -1;
    int failed = 0;
    implementation_default(&plain);
    for (int m = 0; m < JUDGE_MODELS && !failed; m++)
        for (int p = 0; p < PRECISIONS && !failed; p++) {
            struct judge j;
            plain.precision = (enum precision_kind)p;
            if (!chosen(m, only))
                continue;
            if (m == JUDGE_WIDE && !model_holds(&judge_models[0], plain.precision, NULL))
                continue;
            if (native_supports(device, &judge_models[m], &plain, WORKLOAD_PREFILL, NULL))
                continue;
            failed = judge_open(&j, k, &judge_models[m], plain.precision, e);
            if (failed)
                break;
            for (int a = ACTIVATIONS_FULL; a <= ACTIVATIONS_INT8; a++) {
                plain.activations = (enum activations_kind)a;
                if (native_supports(device, &judge_models[m], &plain, WORKLOAD_PREFILL, NULL))
                    continue;
                if (native_is_cuda(device))
                    check_pairs(&report, &j, m, &plain);
                else
                    check_all(&report, &j, &plain);
            }
            plain.activations = ACTIVATIONS_FULL;
            judge_close(&j);
        }
    for (int m = 0; m < JUDGE_MODELS && !failed; m++)
        if (judge_models[m].family == MODEL_LLAMA && chosen(m, only))
            failed = check_sparse(&report, k, m, device, e);
    k->ops->close(k);
    return failed ? -1 : report.failures;
}
