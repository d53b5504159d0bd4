#include "presets/preset.h"
#include "presets/preset_json.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a)   ((int)(sizeof(a) / sizeof *(a)))
#define AT(member) offsetof(struct preset, member)
#define TEXT(key, member)                                                                                    \
    {                                                                                                        \
        key, JSON_TEXT, AT(member), sizeof((struct preset *)0)->member, 0, 0                                 \
    }

const char *const workload_names[WORKLOAD_NAMES] = {"prefill",    "decode",  "generate", "tokenize",
                                                    "perplexity", "command", "kernel"};
const char *const text_unit_names[TEXT_UNITS] = {"document", "lines"};
const char *const preset_law_names[4] = {"normal", "lognormal", "bimodal", "ar1"};
const char *const preset_fault_names[4] = {"ok", "out_of_memory", "failed", "hang"};

const struct json_field preset_fields[] = {
    TEXT("name", name),
    TEXT("title", title),
    TEXT("answers", answers),
    TEXT("device", device),
    {"tokens", JSON_INT, AT(tokens), 0, 1, PRESET_SEQ_MAX},
    {"shortest", JSON_DOUBLE, AT(shortest), 0, 1e-6, 1},
    TEXT("text", text),
    {"quality_tokens", JSON_INT, AT(quality_tokens), 0, 0, 1 << 30},
    {"rounds", JSON_INT, AT(rounds), 0, 1, PRESET_ROUNDS_MAX},
    {"max_rounds", JSON_INT, AT(max_rounds), 0, 1, PRESET_ROUNDS_MAX},
    {"samples_per_block", JSON_INT, AT(samples_per_block), 0, 0, 1000000},
    {"half_width", JSON_DOUBLE, AT(half_width), 0, 0, 1},
    {"budget_s", JSON_DOUBLE, AT(budget_s), 0, 0, 1e8},
    {"time_budget_s", JSON_DOUBLE, AT(time_budget_s), 0, 0, 1e8},
    {"watch", JSON_BOOL, AT(watch), 0, 0, 0},
    {"strict", JSON_BOOL, AT(strict), 0, 0, 0},
    {"warmup_min", JSON_INT, AT(warmup_min), 0, 0, 1000000},
    {"warmup_max", JSON_INT, AT(warmup_max), 0, 0, 1000000},
    {"margin", JSON_DOUBLE, AT(margin), 0, 0, 0.9},
    {"confidence", JSON_DOUBLE, AT(confidence), 0, 0.5, 0.9999},
    {"threads", JSON_INT, AT(threads), 0, 0, 4096},
    {"seed", JSON_UINT64, AT(seed), 0, 0, 0},
};
const int preset_n_fields = COUNT(preset_fields);

#define CRITERION(key, low, high)                                                                            \
    {                                                                                                        \
#key, JSON_DOUBLE, offsetof(struct preset_criteria, key), 0, low, high                               \
    }
const struct json_field preset_criteria_fields[] = {
    CRITERION(min_speedup, 0, 1e6),
    CRITERION(max_memory_increase, -1, 1e6),
    CRITERION(max_numeric_difference, 0, 1e6),
    CRITERION(min_latency_reduction, -1e6, 1),
    CRITERION(min_bandwidth_gain, -1, 1e6),
    CRITERION(max_cv, 0, 1e6),
    CRITERION(max_perplexity_increase, -1, 1e6),
    CRITERION(max_kl, 0, 1e6),
    CRITERION(min_top1_agreement, 0, 1),
};
const int preset_n_criteria_fields = COUNT(preset_criteria_fields);

const struct json_field preset_sampling_fields[] = {
    {"temperature", JSON_DOUBLE, offsetof(struct preset_sampling, temperature), 0, 0, 100},
    {"top_k", JSON_INT, offsetof(struct preset_sampling, top_k), 0, 0, 1 << 30},
    {"top_p", JSON_DOUBLE, offsetof(struct preset_sampling, top_p), 0, 1e-6, 1},
};
const int preset_n_sampling_fields = COUNT(preset_sampling_fields);

#define LAW(key, low, high)                                                                                  \
    {                                                                                                        \
#key, JSON_DOUBLE, offsetof(struct fake_law, key), 0, low, high                                      \
    }
const struct json_field preset_law_fields[] = {
    LAW(mean_ms, 1e-6, 1e9), LAW(within_sd, 0, 10),       LAW(between_sd, 0, 10), LAW(rho, -0.999, 0.999),
    LAW(sigma, 0, 10),       LAW(drift_per_round, -1, 1), LAW(throttled, 0, 1),
};
const int preset_n_law_fields = COUNT(preset_law_fields);
const struct json_field preset_law_warmup_fields[] = {
    {"size", JSON_DOUBLE, offsetof(struct fake_law, warmup.size), 0, 0, 1000},
    {"tau", JSON_DOUBLE, offsetof(struct fake_law, warmup.tau), 0, 0, 1e6},
};
const int preset_n_law_warmup_fields = COUNT(preset_law_warmup_fields);

const char *const preset_keys[] = {"schema",        "name",
                                   "title",         "answers",
                                   "device",        "models",
                                   "workloads",     "batch",
                                   "seq",           "tokens",
                                   "shortest",      "text",
                                   "texts",         "quality_tokens",
                                   "sampling",      "arms",
                                   "design",        "rounds",
                                   "max_rounds",    "samples_per_block",
                                   "half_width",    "budget_s",
                                   "time_budget_s", "watch",
                                   "strict",        "warmup_min",
                                   "warmup_max",    "margin",
                                   "confidence",    "threads",
                                   "seed",          "criteria",
                                   "fake",          "warmup",
                                   "runs",          "model",
                                   "workload",      NULL}; /* the last four are other ways to say one above */

int preset_n_keys(void)
{
    return COUNT(preset_keys) - 1;
}

struct preset_criteria preset_no_criteria(void)
{
    return (struct preset_criteria){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
}

void preset_default(struct preset *p)
{
    memset(p, 0, sizeof *p);
    snprintf(p->device, sizeof p->device, "cpu");
    p->workloads[0] = WORKLOAD_PREFILL;
    p->n_workloads = 1;
    p->batch[0] = 1;
    p->n_batch = 1;
    p->seq[0] = 128;
    p->n_seq = 1;
    p->tokens = 32;
    p->rounds = 10;
    p->max_rounds = 30;
    p->half_width = 0.01;
    p->warmup_min = 2;
    p->warmup_max = 20;
    p->shortest = 1;
    p->margin = 0.01;
    p->confidence = 0.95;
    p->seed = 1;
    p->sampling = (struct preset_sampling){0, 0, 1};
    p->criteria = preset_no_criteria();
}

int preset_batches(const struct preset *p, enum workload w)
{
    return w == WORKLOAD_TOKENIZE ? 1 : p->n_batch;
}

int preset_seqs(const struct preset *p, enum workload w)
{
    return w == WORKLOAD_TOKENIZE ? 1 : p->n_seq;
}

int preset_batch(const struct preset *p, enum workload w, int i)
{
    return w == WORKLOAD_TOKENIZE ? 1 : p->batch[i];
}

int preset_seq(const struct preset *p, enum workload w, int i)
{
    return w == WORKLOAD_TOKENIZE ? 1 : p->seq[i];
}

void preset_free(struct preset *p)
{
    if (!p)
        return;
    free(p->unknown);
    p->unknown = NULL;
}

int preset_copy(struct preset *to, const struct preset *from, struct error *e)
{
    char *unknown = from->unknown ? strdup(from->unknown) : NULL;
    if (from->unknown && !unknown)
        return error_set(e, ERROR_MEMORY, "no memory to copy the preset");
    *to = *from;
    to->unknown = unknown;
    return 0;
}

static bool equal_ints(const int *a, int n_a, const int *b, int n_b)
{
    return n_a == n_b && memcmp(a, b, (size_t)n_a * sizeof *a) == 0;
}

static bool equal_law(const struct fake_law *a, const struct fake_law *b)
{
    bool equal = strcmp(a->arm, b->arm) == 0 && a->kind == b->kind && a->n_modes == b->n_modes &&
                 json_equal_fields(preset_law_fields, preset_n_law_fields, a, b) &&
                 json_equal_fields(preset_law_warmup_fields, preset_n_law_warmup_fields, a, b);
    for (int i = 0; equal && i < a->n_modes; i++)
        equal = a->mode[i].share == b->mode[i].share && a->mode[i].mean_ms == b->mode[i].mean_ms;
    return equal;
}

static bool equal_fake(const struct fake_spec *a, const struct fake_spec *b)
{
    bool equal = a->n_laws == b->n_laws && a->n_faults == b->n_faults;
    for (int i = 0; equal && i < a->n_laws; i++)
        equal = equal_law(&a->law[i], &b->law[i]);
    for (int i = 0; equal && i < a->n_faults; i++)
        equal = a->fault[i].cell == b->fault[i].cell && a->fault[i].fault == b->fault[i].fault;
    return equal;
}

bool preset_equal(const struct preset *a, const struct preset *b)
{
    bool equal =
        json_equal_fields(preset_fields, preset_n_fields, a, b) &&
        json_equal_fields(preset_criteria_fields, preset_n_criteria_fields, &a->criteria, &b->criteria) &&
        json_equal_fields(preset_sampling_fields, preset_n_sampling_fields, &a->sampling, &b->sampling) &&
        a->texts == b->texts && equal_ints(a->batch, a->n_batch, b->batch, b->n_batch) &&
        equal_ints(a->seq, a->n_seq, b->seq, b->n_seq) && a->n_models == b->n_models &&
        a->n_workloads == b->n_workloads && a->n_arms == b->n_arms && equal_fake(&a->fake, &b->fake) &&
        preset_equal_design(&a->design, &b->design) && !a->unknown == !b->unknown &&
        (!a->unknown || strcmp(a->unknown, b->unknown) == 0);
    for (int i = 0; equal && i < a->n_models; i++)
        equal = strcmp(a->models[i], b->models[i]) == 0;
    for (int i = 0; equal && i < a->n_workloads; i++)
        equal = a->workloads[i] == b->workloads[i];
    for (int i = 0; equal && i < a->n_arms; i++)
        equal = strcmp(a->arms[i].name, b->arms[i].name) == 0 &&
                strcmp(a->arms[i].bundle, b->arms[i].bundle) == 0 &&
                implementation_equal(&a->arms[i].implementation, &b->arms[i].implementation);
    return equal;
}
