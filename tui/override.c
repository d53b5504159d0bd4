#include "tui/override.h"
#include "presets/catalog.h"
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int override_expected(struct error *e, const char *option, const char *value, const char *expected)
{
    return error_add(e, ERROR_USAGE, "%s %s: expected %s", option, *value ? value : "\"\"", expected);
}

/* Whole decimal numbers that fit an int; ranges are the preset's to judge. */
static bool read_int(const char *text, char end, int *out, const char **next)
{
    char *stop;
    errno = 0;
    long v = strtol(text, &stop, 10);
    if (stop == text || errno || v < INT_MIN || v > INT_MAX || (*stop && *stop != end))
        return false;
    *out = (int)v;
    *next = stop;
    return true;
}

static int apply_int(int *field, const char *option, const char *value, struct error *e)
{
    int v;
    const char *rest;
    if (!read_int(value, '\0', &v, &rest))
        return override_expected(e, option, value, "a whole number");
    *field = v;
    return 0;
}

static int apply_list(int *list, int *n, const char *option, const char *value, struct error *e)
{
    int v[PRESET_SWEEP], count = 0;
    for (const char *p = value;; p++) {
        if (count == PRESET_SWEEP)
            return error_add(e, ERROR_USAGE, "%s: more than %d values: sweep fewer", option, PRESET_SWEEP);
        if (!read_int(p, ',', &v[count++], &p))
            return override_expected(e, option, value, "whole numbers with commas between, as in 1,8");
        if (!*p)
            break;
    }
    memcpy(list, v, (size_t)count * sizeof *v);
    *n = count;
    return 0;
}

int override_device(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    if (!*value || strlen(value) >= sizeof p->device)
        return override_expected(e, "--device", value, "cpu, cuda, cuda:N or fake");
    snprintf(p->device, sizeof p->device, "%s", value);
    return 0;
}

int override_model(struct preset *p, const char *value, bool first, struct error *e)
{
    if (first)
        p->n_models = 0;
    if (!*value || strlen(value) >= sizeof p->models[0])
        return override_expected(e, "--model", value, "a model's name or file: `benchtop list models`");
    if (p->n_models == PRESET_MODELS)
        return error_add(e, ERROR_USAGE, "--model: more than %d models: choose fewer", PRESET_MODELS);
    snprintf(p->models[p->n_models++], sizeof p->models[0], "%s", value);
    return 0;
}

int override_workload(struct preset *p, const char *value, bool first, struct error *e)
{
    if (first)
        p->n_workloads = 0;
    for (const char *word = value; *word;) {
        size_t length = strcspn(word, ",");
        int w = 0;
        while (w < WORKLOADS &&
               (strlen(workload_names[w]) != length || strncmp(workload_names[w], word, length)))
            w++;
        if (w == WORKLOADS) {
            char near[128], name[64];
            snprintf(name, sizeof name, "%.*s", (int)length, word);
            catalog_nearest(name, workload_names, WORKLOADS, near, sizeof near);
            return error_add(
                e, ERROR_USAGE, "--workload %s is unknown: %s%s", name,
                *near ? "did you mean " : "choose prefill, decode, generate, tokenize or perplexity", near);
        }
        bool have = false;
        for (int i = 0; i < p->n_workloads; i++)
            have |= p->workloads[i] == (enum workload)w;
        if (!have)
            p->workloads[p->n_workloads++] = (enum workload)w;
        word += length + (word[length] == ',');
    }
    return p->n_workloads ? 0
                          : override_expected(e, "--workload", value,
                                              "prefill, decode, generate, tokenize or perplexity");
}

int override_batch(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_list(p->batch, &p->n_batch, "--batch", value, e);
}

int override_seq(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_list(p->seq, &p->n_seq, "--seq", value, e);
}

int override_tokens(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_int(&p->tokens, "--tokens", value, e);
}

int override_text(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    if (!*value || strlen(value) >= sizeof p->text)
        return override_expected(e, "--text", value,
                                 "a file of at most 255 bytes in its name, or a shipped text");
    snprintf(p->text, sizeof p->text, "%s", value);
    return 0;
}

static int apply_double(double *field, const char *option, const char *value, const char *expected,
                        struct error *e)
{
    char *end;
    double v = strtod(value, &end);
    if (end == value || *end || !isfinite(v))
        return override_expected(e, option, value, expected);
    *field = v;
    return 0;
}

int override_temperature(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_double(&p->sampling.temperature, "--temperature", value, "a number from 0 (greedy)", e);
}

int override_top_k(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_int(&p->sampling.top_k, "--top-k", value, e);
}

int override_top_p(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_double(&p->sampling.top_p, "--top-p", value, "a number above 0, at most 1 (all)", e);
}

int override_arm(struct preset *p, const char *value, bool first, struct error *e)
{
    if (first)
        p->n_arms = 0;
    if (p->n_arms == PRESET_ARMS)
        return error_add(e, ERROR_USAGE, "--arm: more than %d arms: compare fewer", PRESET_ARMS);
    struct error why = {0};
    if (preset_arm_parse(value, &p->arms[p->n_arms], &why) < 0)
        return error_add(e, ERROR_USAGE, "--arm %s: %s", value, why.text);
    p->n_arms++;
    return 0;
}

int override_precision(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    struct implementation probe;
    struct error why = {0};
    implementation_default(&probe);
    if (implementation_set(&probe, "precision", value, &why) < 0)
        return error_add(e, ERROR_USAGE, "--precision %s: %s", value, why.text);
    for (int i = 0; i < p->n_arms; i++)
        p->arms[i].implementation.precision = probe.precision;
    return 0;
}

int override_runs(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    if (apply_int(&p->rounds, "--runs", value, e) < 0)
        return -1;
    if (p->max_rounds < p->rounds)
        p->max_rounds = p->rounds; /* the cap of the preset was meant for its own number of runs */
    return 0;
}

int override_max_rounds(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_int(&p->max_rounds, "--max-rounds", value, e);
}

static int apply_time(double *field, const char *option, const char *value, struct error *e)
{
    char *end;
    double v = strtod(value, &end);
    double unit = !strcmp(end, "h") ? 3600 : !strcmp(end, "m") || !strcmp(end, "min") ? 60 : 1;
    if (end == value || !isfinite(v) || v < 0 || (unit == 1 && *end && strcmp(end, "s")))
        return override_expected(e, option, value, "a time, as in 90, 90s, 5m or 1h");
    *field = v * unit;
    return 0;
}

int override_budget(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_time(&p->budget_s, "--budget", value, e);
}

int override_time(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    if (apply_time(&p->time_budget_s, "--time", value, e) < 0)
        return -1;
    if (p->budget_s < p->time_budget_s)
        p->budget_s = 0; /* the preset's limit was meant for a run that spends no more than it needs */
    return 0;
}

int override_watch(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)value, (void)first, (void)e;
    p->watch = true;
    return 0;
}

int override_strict(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)value, (void)first, (void)e;
    p->strict = true;
    return 0;
}

int override_threads(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    return apply_int(&p->threads, "--threads", value, e);
}

int override_seed(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(value, &end, 0);
    if (end == value || *end || errno || strchr(value, '-'))
        return override_expected(e, "--seed", value, "a whole number from 0 to 18446744073709551615");
    p->seed = v;
    return 0;
}

int override_set(struct preset *p, const char *value, bool first, struct error *e)
{
    (void)first;
    char path[256];
    const char *equals = strchr(value, '=');
    if (!equals || equals == value || (size_t)(equals - value) >= sizeof path)
        return override_expected(e, "--set", value, "path=value, as in criteria.min_speedup=1.2");
    memcpy(path, value, (size_t)(equals - value));
    path[equals - value] = '\0';
    struct error why = {0};
    if (preset_set(p, path, equals + 1, &why) < 0)
        return error_add(e, ERROR_USAGE, "--set %s: %s", value, why.text);
    return 0;
}
