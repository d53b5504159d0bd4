#include "engine/model/native.h"
#include "engine/model/native_judge.h"

#include <math.h>
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
    char name[128], text[256];
    struct error e = {0};
    implementation_describe(i, name, sizeof name);
    snprintf(text, sizeof text, "%s %s: %s", j->model->name, name, what);
    struct selftest_line line = {.what = text, .tolerance = judge_tolerance(i->precision)};
    line.error = judge_run(j, i, sequences, lengths, steps, &e);
    line.passed = line.error <= line.tolerance;
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

static void check_model(struct report *r, struct judge *j, enum precision_kind precision)
{
    static const unsigned fusions[] = {0, FUSION_FULL};
    struct implementation i;
    implementation_default(&i);
    i.precision = precision;
    for (int attention = ATTENTION_NAIVE; attention <= ATTENTION_FLASH; attention++)
        for (int cache = KV_CACHE_CONTIGUOUS; cache < KV_CACHES; cache++)
            for (int f = 0; f < 2; f++) {
                i.attention = (enum attention_kind)attention;
                i.kv_cache = (enum kv_cache_kind)cache;
                i.fusion = fusions[f];
                check_implementation(r, j, &i);
            }
    if (precision != PRECISION_FP32)
        return;
    for (unsigned bit = 1; bit < FUSION_FULL; bit <<= 1) {
        i.fusion = bit;
        check_implementation(r, j, &i);
    }
}

int native_selftest(const char *device, void (*line)(void *who, const struct selftest_line *), void *who,
                    struct error *e)
{
    struct report report = {.line = line, .who = who};
    char why[256] = "";
    if (strcmp(device, "cpu") != 0)
        return error_set(e, ERROR_UNSUPPORTED, "the engine has no backend for device %s: choose device cpu",
                         device);
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){0, "auto", "auto"}, why, sizeof why);
    if (!k)
        return error_set(e, ERROR_FAILED, "the cpu backend does not open (%s): see `benchtop doctor`", why);
    int failed = 0;
    for (int m = 0; m < JUDGE_MODELS && !failed; m++)
        for (int p = PRECISION_FP32; p <= PRECISION_INT8 && !failed; p++) {
            struct judge j;
            failed = judge_open(&j, k, &judge_models[m], (enum precision_kind)p, e);
            if (!failed) {
                check_model(&report, &j, (enum precision_kind)p);
                judge_close(&j);
            }
        }
    k->ops->close(k);
    return failed ? -1 : report.failures;
}
