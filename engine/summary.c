#include "engine/summary.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MS_PER_NS = 1e-6;

double summary_confidence(const struct session *s)
{
    double c = s->preset.confidence;
    return c > 0 && c < 1 ? c : 0.95;
}

static int published(const struct block *b)
{
    return atomic_load_explicit(&b->n, memory_order_acquire);
}

static bool complete(const struct block *b)
{
    int n = published(b);
    return n > 0 && n >= b->capacity && !(b->flags & BLOCK_PARTIAL);
}

/* A span of zero or less is a clock fault, not a latency. */
static double samples_mean(const struct block *b, int n)
{
    double sum = 0;
    int good = 0;
    for (int i = 0; i < n; i++) {
        if (b->samples[i].device_ns > 0) {
            sum += (double)b->samples[i].device_ns;
            good++;
        }
    }
    return good > 0 ? sum / good * MS_PER_NS : NAN;
}

double summary_block_mean(const struct block *b)
{
    return complete(b) ? samples_mean(b, published(b)) : NAN;
}

static struct arm_summary nothing(void)
{
    struct arm_summary a = {0};
    struct stats_interval none = {NAN, NAN};
    stats_describe(NULL, 0, 0.95, NULL, &a.latency);
    a.latency.ci = a.tokens_per_second_ci = none;
    a.block_cv = a.host_mean_ms = a.tokens_per_second = NAN;
    a.tokens_per_second_peak = a.tokens_per_second_sustained = a.mean_of_rates = NAN;
    a.time_to_first_token_ms = a.time_per_output_token_ms = a.cold_start_ms = a.load_ms = NAN;
    a.bandwidth = a.flop_rate = a.bandwidth_share = a.flop_share = a.limit_share = NAN;
    a.bandwidth_sheet_share = a.flop_sheet_share = NAN;
    a.texts_per_second = a.text_bytes_per_second = NAN;
    return a;
}

/* Sums over the samples that count, besides the latencies themselves. */
struct sums {
    double host, rate, first, rest;
    int with_first;
};

static void add_block(const struct block *b, int n, const struct session_cell *cell, double tokens,
                      double *latency, struct sums *sums, struct arm_summary *out)
{
    for (int i = 0; i < n; i++) {
        const struct sample *x = &b->samples[i];
        if (x->device_ns <= 0) {
            out->rejected++;
            continue;
        }
        double ns = (double)x->device_ns;
        latency[out->n++] = ns * MS_PER_NS;
        sums->host += (double)x->host_ns * MS_PER_NS;
        sums->rate += tokens * 1e9 / ns;
        if (cell->workload == WORKLOAD_GENERATE && x->first_ns > 0 && x->first_ns <= x->device_ns) {
            sums->first += (double)x->first_ns * MS_PER_NS;
            sums->rest += (double)(x->device_ns - x->first_ns) * MS_PER_NS;
            sums->with_first++;
        }
    }
    double mean = samples_mean(b, n);
    if (isfinite(mean)) {
        stats_running_add(&out->block_mean, mean);
        out->blocks++;
    }
    if (b->flags & (BLOCK_THROTTLED | BLOCK_CLOCK_FAULT | BLOCK_WARMUP_NOT_STEADY))
        out->flagged_blocks++;
}

static void rates(const struct session *s, const struct session_cell *cell, const struct session_arm *arm,
                  struct arm_summary *out)
{
    double mean = out->latency.mean, tokens = (double)arm->work.tokens;
    const struct session_environment *env = &s->environment;
    if (tokens > 0) {
        double t = tokens * 1e3;
        out->tokens_per_second = t / mean;
        struct stats_interval ci = out->latency.ci;
        if (!isnan(ci.low))
            out->tokens_per_second_ci =
                (struct stats_interval){t / ci.high, ci.low > 0 ? t / ci.low : INFINITY};
        out->tokens_per_second_peak = t / out->block_mean.min;
        out->tokens_per_second_sustained = t / out->block_mean.max;
    }
    if (cell->workload == WORKLOAD_TOKENIZE && arm->text.known & TEXT_TOKENS)
        out->texts_per_second = (double)arm->text.texts * 1e3 / mean;
    if (arm->text.known & TEXT_TOKENS && arm->text.tokens > 0)
        out->text_bytes_per_second =
            out->tokens_per_second * (double)arm->text.bytes / (double)arm->text.tokens;
    if (arm->work.bytes > 0)
        out->bandwidth = arm->work.bytes * 1e3 / mean;
    if (arm->work.flops > 0)
        out->flop_rate = arm->work.flops * 1e3 / mean;
    if (env->read_bandwidth > 0)
        out->bandwidth_share = out->bandwidth / env->read_bandwidth;
    int rate = session_rate_index(s->preset.device, &arm->implementation);
    if (env->product_rate[rate] > 0)
        out->flop_share = out->flop_rate / env->product_rate[rate];
    if (env->sheet_bandwidth > 0)
        out->bandwidth_sheet_share = out->bandwidth / env->sheet_bandwidth;
    if (env->sheet_rate[rate] > 0)
        out->flop_sheet_share = out->flop_rate / env->sheet_rate[rate];
    out->limit_share = fmax(out->bandwidth_share, out->flop_share);
}

static void describe(const struct session *s, const struct session_cell *cell, const struct session_arm *arm,
                     double *latency, double *scratch, const struct sums *sums, struct arm_summary *out)
{
    double confidence = summary_confidence(s);
    size_t n = (size_t)out->n;
    stats_describe(latency, n, confidence, scratch, &out->latency);
    out->latency.ci = stats_mean_ci(out->block_mean.mean, stats_running_std(&out->block_mean),
                                    (size_t)out->block_mean.n, confidence);
    out->block_cv = stats_running_std(&out->block_mean) / out->block_mean.mean;
    out->host_mean_ms = sums->host / out->n;
    rates(s, cell, arm, out);
    if (arm->work.tokens > 0)
        out->mean_of_rates = sums->rate / out->n;
    if (cell->workload == WORKLOAD_PREFILL)
        out->time_to_first_token_ms = out->latency.mean;
    if (cell->workload == WORKLOAD_DECODE)
        out->time_per_output_token_ms = out->latency.mean;
    if (sums->with_first > 0) {
        out->time_to_first_token_ms = sums->first / sums->with_first;
        if (cell->tokens > 1)
            out->time_per_output_token_ms = sums->rest / sums->with_first / (cell->tokens - 1);
    }
    out->p90_supported = out->n >= stats_quantile_min_n(0.90, confidence);
    out->p95_supported = out->n >= stats_quantile_min_n(0.95, confidence);
    out->p99_supported = out->n >= stats_quantile_min_n(0.99, confidence);
}

int summary_arm(const struct session *s, int cell_index, int arm_index, struct arm_summary *out)
{
    *out = nothing();
    if (cell_index < 0 || cell_index >= s->n_cells || arm_index < 0 ||
        arm_index >= s->cell[cell_index].n_arms)
        return -1;
    const struct session_cell *cell = &s->cell[cell_index];
    const struct session_arm *arm = &cell->arm[arm_index];
    if (arm->cold_start_ns >= 0)
        out->cold_start_ms = (double)arm->cold_start_ns * MS_PER_NS;
    if (arm->load_ns > 0)
        out->load_ms = (double)arm->load_ns * MS_PER_NS;

    bool any = false;
    size_t room = 0;
    for (int i = 0; i < arm->n_blocks; i++) {
        any = any || complete(arm->blocks[i]);
        room += (size_t)arm->blocks[i]->capacity; /* n may still grow below it while we read */
    }
    double *latency = malloc((2 * room + 1) * sizeof *latency);
    if (!latency) {
        out->incomplete = true;
        return -1;
    }
    struct sums sums = {0};
    double tokens = (double)arm->work.tokens;
    for (int i = 0; i < arm->n_blocks; i++) {
        const struct block *b = arm->blocks[i];
        int n = published(b);
        if (n > 0 && (!any || complete(b)))
            add_block(b, n < b->capacity ? n : b->capacity, cell, tokens, latency, &sums, out);
    }
    if (out->n > 0)
        describe(s, cell, arm, latency, latency + room, &sums, out);
    free(latency);
    return out->n > 0 ? 0 : -1;
}
