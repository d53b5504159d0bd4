#include "engine/plan.h"

#include "engine/figure.h"
#include "engine/measure.h"
#include "engine/model/larosa.h"
#include "engine/model/model_find.h"
#include "engine/model/native.h"
#include "engine/model/vocabulary.h"
#include "engine/model/weights.h"
#include "engine/runners/fake.h"
#include "presets/catalog.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A block may be up to this long where the prediction errs on the slow side. */
#define BLOCK_ROOM 2.0
/* Weights are generated at about this rate, on a GPU at about this share of its bandwidth; only the predicted
 * time depends on it. */
#define LOAD_RATE      1.5e9
#define LOAD_SHARE_GPU 0.1
/* Room left to the rest of the system: a thirty-second, at most this. */
#define RESERVE_BYTES ((int64_t)256 << 20)
enum { DECODE_SAMPLES_MIN = 16, WARMUP_USUAL = 10 };

static bool is_fake(const struct device *d)
{
    return strcmp(d->id, "fake") == 0;
}

static int load_models(const struct preset *p, struct plan *out, struct error *e)
{
    int rc = 0;
    out->model = calloc((size_t)p->n_models + 1, sizeof *out->model);
    if (!out->model)
        return error_set(e, ERROR_MEMORY, "no memory for the plan: close other programs");
    for (int i = 0; i < p->n_models; i++) {
        struct error one = {0};
        if (model_find(p->models[i], &out->model[i], &one) < 0)
            rc = error_add(e, one.kind, "%s", one.text);
    }
    out->n_models = p->n_models;
    return rc;
}

/* Tokens a sequence will hold at least. */
static int tokens_needed(enum workload w, int seq, int tokens)
{
    return w == WORKLOAD_TOKENIZE                              ? 0
           : w == WORKLOAD_PREFILL || w == WORKLOAD_PERPLEXITY ? seq
           : w == WORKLOAD_DECODE                              ? seq + 1
                                                               : seq + tokens;
}

/* All impossible values in one message: what the preset says by itself, unknown models, sequences that a
 * model's context cannot hold. */
static int check(const struct preset *p, struct plan *out, struct error *e)
{
    struct error all = {0}, one = {0};
    int rc = preset_validate(p, &all);
    if (load_models(p, out, &one) < 0)
        rc = error_add(&all, one.kind, "%s", one.text);
    for (int m = 0; m < out->n_models; m++) {
        const struct model_spec *s = &out->model[m];
        for (int w = 0; s->context > 0 && w < p->n_workloads; w++) {
            int longest = 0;
            for (int q = 0; q < p->n_seq; q++)
                if (p->seq[q] > longest)
                    longest = p->seq[q];
            int need = tokens_needed(p->workloads[w], longest, p->tokens);
            if (need > s->context)
                rc = error_add(&all, ERROR_USAGE,
                               "%s at seq %d needs %d positions, %s has %d: choose a shorter seq",
                               workload_names[p->workloads[w]], longest, need, s->name, s->context);
        }
    }
    if (rc < 0 && e)
        *e = all;
    return rc;
}

static double rate_of(const struct device *d, const struct implementation *i)
{
    double rate = d->product_rate[session_rate_index(d->id, i)];
    return rate > 0 ? rate : d->product_rate[0];
}

static void predict_time(const struct device *d, const struct implementation *i, struct plan_arm *arm)
{
    double rate = rate_of(d, i);
    double memory_s = d->read_bandwidth > 0 ? arm->work.bytes / d->read_bandwidth : (double)NAN;
    double compute_s = rate > 0 ? arm->work.flops / rate : (double)NAN;
    arm->sample_s = fmax(memory_s, compute_s);
    arm->memory_bound = memory_s > compute_s;
    arm->limit_tokens_per_second = (double)arm->work.tokens / arm->sample_s;
}

static struct runner_request request_of(const struct preset *p, const struct plan *plan,
                                        const struct plan_cell *c, int arm)
{
    return (struct runner_request){.model = &plan->model[c->model],
                                   .implementation = &p->arms[arm].implementation,
                                   .workload = c->workload,
                                   .batch = c->batch,
                                   .seq = c->seq,
                                   .tokens = c->tokens,
                                   .samples_max = c->samples_per_block,
                                   .arm = arm,
                                   .arm_name = p->arms[arm].name,
                                   .seed = p->seed,
                                   .text = p->text,
                                   .texts = p->texts,
                                   .sampling = p->sampling,
                                   .quality_tokens = p->quality_tokens,
                                   .shortest = p->shortest};
}

static void plan_work(const struct preset *p, const struct device *d, const struct plan *plan,
                      struct plan_cell *c)
{
    const struct model_spec *m = &plan->model[c->model];
    for (int a = 0; a < p->n_arms; a++) {
        struct plan_arm *arm = &c->arm[a];
        const struct implementation *i = &p->arms[a].implementation;
        struct error e = {0};
        arm->supported = is_fake(d) || (native_supports(d->id, m, i, c->workload, &e) == 0 &&
                                        (!p->text[0] || vocabulary_named(m, &e) == 0) &&
                                        (i->sparsity <= 0 || larosa_known(m, p->seed, &e) == 0));
        if (!arm->supported) {
            snprintf(arm->reason, sizeof arm->reason, "%.255s", e.text);
            arm->sample_s = arm->limit_tokens_per_second = (double)NAN;
            continue;
        }
        struct model_spec runs = *m;
        if (!is_fake(d))
            vocabulary_model(m, i->vocabulary, &runs, NULL); /* supported: it can be had */
        arm->work = model_work_ragged(&runs, i, c->workload, c->batch, c->seq, c->tokens, p->shortest);
        if (is_fake(d)) {
            struct runner_request q = request_of(p, plan, c, a);
            struct fake_law law = fake_law_of(p, &q);
            arm->sample_s = fake_law_mean_ms(&law) / 1e3;
            arm->limit_tokens_per_second = (double)NAN;
            arm->memory_bound = arm->work.bytes / FAKE_BANDWIDTH > arm->work.flops / FAKE_FLOP_RATE;
        } else {
            predict_time(d, i, arm);
        }
    }
}

/* The most samples a block will ask for: what the runner reserves cache for. Predictions are lower bounds of
 * the time, so this is an upper bound of the number that measure will choose. */
static void plan_samples(const struct preset *p, const struct plan *plan, struct plan_cell *c)
{
    double shortest = (double)NAN;
    for (int a = 0; a < p->n_arms; a++)
        if (c->arm[a].supported)
            shortest = fmin(shortest, c->arm[a].sample_s);
    int n = p->samples_per_block;
    if (n <= 0) {
        double want = shortest > 0 ? BLOCK_ROOM * MEASURE_BLOCK_S / shortest : MEASURE_SAMPLES_MAX;
        n = want > MEASURE_SAMPLES_MAX ? MEASURE_SAMPLES_MAX : (int)ceil(want);
        if (c->workload == WORKLOAD_DECODE && n < DECODE_SAMPLES_MIN)
            n = DECODE_SAMPLES_MIN;
    }
    int context = plan->model[c->model].context;
    if (c->workload == WORKLOAD_DECODE && context > 0 && n > context - c->seq)
        n = context - c->seq;
    c->samples_per_block = n < 1 ? 1 : n;
}

static int predict_memory(const struct preset *p, const struct device *d, const struct plan *plan,
                          const struct plan_cell *c, int a, struct memory_use *out, struct error *e)
{
    struct runner_request q = request_of(p, plan, c, a);
    if (is_fake(d)) {
        *out = fake_memory_of(&q);
        return 0;
    }
    return native_predict_memory(d->id, q.model, q.implementation, q.workload, q.batch, q.seq, q.tokens,
                                 q.samples_max, p->threads, out, e);
}

/* The first arm that holds the same weights. */
static int sharing_arm(const struct preset *p, const struct plan *plan, const struct plan_cell *c, int arm)
{
    const struct model_spec *m = &plan->model[c->model];
    struct weights_request mine = weights_request_of(m, &p->arms[arm].implementation, p->seed);
    for (int a = 0; a < arm; a++) {
        struct weights_request other = weights_request_of(m, &p->arms[a].implementation, p->seed);
        if (weights_same(&mine, &other))
            return a;
    }
    return arm;
}

/* Arms are resident together, in their order as long as there is room. The same weights are shared; so is
 * the program, which every arm counts to its overhead, and which is resident already. */
static void plan_memory(const struct preset *p, const struct device *d, const struct plan *plan,
                        struct plan_cell *c, int64_t program_bytes)
{
    int64_t weights[PRESET_ARMS] = {0}, wanted[PRESET_ARMS] = {0}, used = 0, all = 0, shared = 0;
    for (int a = 0; a < p->n_arms; a++) {
        struct plan_arm *arm = &c->arm[a];
        struct memory_use *m = &arm->memory;
        struct error e = {0};
        if (!arm->supported)
            continue;
        if (predict_memory(p, d, plan, c, a, m, &e) < 0) {
            arm->supported = false;
            snprintf(arm->reason, sizeof arm->reason, "%.255s", e.text);
            continue;
        }
        int holder = sharing_arm(p, plan, c, a);
        int64_t *mine = &weights[holder];
        int64_t program = m->overhead < program_bytes ? m->overhead : program_bytes;
        int64_t more = m->weights > *mine ? m->weights - *mine : 0;
        int64_t need = m->activations + m->kv_cache + m->overhead - program + more;
        int64_t free_bytes = plan->memory_free_bytes - used;
        int64_t *first = &wanted[holder];
        all += need - more + (m->weights > *first ? m->weights - *first : 0);
        *first = m->weights > *first ? m->weights : *first;
        shared = program > shared ? program : shared;
        arm->fits = is_fake(d) || need <= free_bytes;
        if (arm->fits) {
            used += need;
            *mine += more;
            native_note(&plan->model[c->model], &p->arms[a].implementation, arm->reason, sizeof arm->reason);
        } else {
            char needs[FIGURE_TEXT], free_text[FIGURE_TEXT], more_text[FIGURE_TEXT];
            snprintf(arm->reason, sizeof arm->reason, "needs %s%s, %s are free: %s too much",
                     figure_bytes((double)need, needs, sizeof needs),
                     used ? " beside the arms before it" : "",
                     figure_bytes((double)free_bytes, free_text, sizeof free_text),
                     figure_bytes((double)(need - free_bytes), more_text, sizeof more_text));
        }
    }
    c->fits = c->arm[0].fits;
    c->peak_bytes = (c->fits ? used : all) + shared;
    if (!c->fits)
        memcpy(c->reason, c->arm[0].reason, sizeof c->reason);
}

static double load_rate(const struct device *d)
{
    return is_fake(d)                                       ? FAKE_LOAD_RATE
           : native_is_cuda(d->id) && d->read_bandwidth > 0 ? LOAD_SHARE_GPU * d->read_bandwidth
                                                            : LOAD_RATE;
}

static void plan_time(const struct preset *p, const struct device *d, const struct plan *plan,
                      struct plan_cell *c)
{
    double load = 0;
    bool loaded[PRESET_ARMS] = {false};
    for (int a = 0; a < p->n_arms; a++) {
        const struct plan_arm *arm = &c->arm[a];
        int holder = sharing_arm(p, plan, c, a);
        if (!arm->supported || !arm->fits || !(arm->sample_s > 0))
            continue;
        if (!loaded[holder])
            load += (double)arm->memory.weights / load_rate(d);
        loaded[holder] = true;
        double n = fmin(c->samples_per_block, fmax(1, MEASURE_BLOCK_S / arm->sample_s));
        if (p->samples_per_block > 0)
            n = c->samples_per_block;
        double refill = 0; /* decode fills its cache before every block, about as a prefill does */
        if (c->workload == WORKLOAD_DECODE && !is_fake(d)) {
            struct plan_arm pass = {.work = model_work_ragged(&plan->model[c->model],
                                                              &p->arms[a].implementation, WORKLOAD_PREFILL,
                                                              c->batch, c->seq, 0, p->shortest)};
            predict_time(d, &p->arms[a].implementation, &pass);
            refill = pass.sample_s;
        }
        int warm = p->warmup_min > WARMUP_USUAL ? p->warmup_min : WARMUP_USUAL;
        warm = p->warmup_max > p->warmup_min && warm > p->warmup_max ? p->warmup_max : warm;
        c->time_s += warm * arm->sample_s + 2 * refill + p->rounds * (n * arm->sample_s + refill);
    }
    c->time_s += load;
}

static int64_t program_bytes(void)
{
    long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lld %lld", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

static void plan_cell(const struct preset *p, const struct device *d, struct plan *out, struct plan_cell *c,
                      int64_t program)
{
    plan_work(p, d, out, c);
    plan_samples(p, out, c);
    plan_memory(p, d, out, c, program);
    c->supported = c->arm[0].supported;
    if (!c->supported) {
        snprintf(c->reason, sizeof c->reason, "%s", c->arm[0].reason);
        out->n_unsupported++;
        return;
    }
    if (!c->fits) {
        out->n_unfit++;
        return;
    }
    plan_time(p, d, out, c);
    out->time_s += c->time_s;
    *(c->arm[0].memory_bound ? &out->n_memory_bound : &out->n_compute_bound) += 1;
}

static int64_t reserve_of(int64_t free_bytes)
{
    return free_bytes / 32 < RESERVE_BYTES ? free_bytes / 32 : RESERVE_BYTES;
}

int plan_build(const struct preset *p, const struct device *d, struct plan *out, struct error *e)
{
    struct plan t = {.memory_bytes = d->memory_bytes, .memory_free_bytes = d->memory_free_bytes};
    if (!is_fake(d)) {
        t.memory_free_bytes -= reserve_of(d->memory_free_bytes);
    }
    if (check(p, &t, e) < 0)
        goto fail;
    size_t n = (size_t)p->n_models * (size_t)p->n_workloads * (size_t)p->n_seq * (size_t)p->n_batch;
    t.cell = calloc(n ? n : 1, sizeof *t.cell);
    if (!t.cell) {
        error_set(e, ERROR_MEMORY, "no memory for a plan of %zu cells: choose a smaller sweep", n);
        goto fail;
    }
    int64_t program = program_bytes();
    if (native_is_cuda(d->id)) {
        if (native_memory(d->id, p->threads, &t.memory_free_bytes, &program, e) < 0)
            goto fail;
        t.memory_free_bytes -= reserve_of(t.memory_free_bytes);
    }
    for (int m = 0; m < p->n_models; m++)
        for (int w = 0; w < p->n_workloads; w++)
            for (int q = 0; q < preset_seqs(p, p->workloads[w]); q++)
                for (int b = 0; b < preset_batches(p, p->workloads[w]); b++) {
                    struct plan_cell *c = &t.cell[t.n_cells++];
                    c->model = m;
                    c->workload = p->workloads[w];
                    c->seq = preset_seq(p, c->workload, q);
                    c->batch = preset_batch(p, c->workload, b);
                    c->tokens = c->workload == WORKLOAD_GENERATE ? p->tokens : 0;
                    plan_cell(p, d, &t, c, program);
                }
    *out = t;
    return 0;
fail:
    plan_free(&t);
    return -1;
}

void plan_free(struct plan *p)
{
    free(p->model);
    free(p->cell);
    memset(p, 0, sizeof *p);
}
