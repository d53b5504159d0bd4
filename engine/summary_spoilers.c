#include "engine/figure.h"
#include "engine/summary.h"
#include "engine/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A slope counts when chance shows it once in a hundred runs, and when it is worth a word. */
#define DRIFT_CONFIDENCE 0.99
#define DRIFT_WORTH      0.005
/* A mode that was seen fewer times than this leaves the mean's distribution skewed: t intervals of data with
 * a tenth in a second mode cover 91 % with 3 expected, 93.6 % with 10. */
#define MODES_APART 1.05 /* nearer modes are the ordinary spread between blocks */
enum { RARE = 10, SAMPLES_MOST = 4096 };

static int count_samples(const struct session_arm *arm)
{
    int n = 0;
    for (int i = 0; i < arm->n_blocks; i++)
        if (!isnan(summary_block_mean(arm->blocks[i])))
            n += atomic_load_explicit(&arm->blocks[i]->n, memory_order_acquire);
    return n;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The other arm's mean in the same round; NAN without one. */
static double partner(const struct session_arm *other, const struct block *b, int hint)
{
    for (int step = 0; step < other->n_blocks; step++) {
        const struct block *o = other->blocks[(hint + step) % other->n_blocks];
        if (o->round == b->round)
            return summary_block_mean(o);
    }
    return NAN;
}

/* Samples of complete blocks in milliseconds, of very many only every step-th; against: over the mean of that
 * arm's block in the same round. */
static int collect_samples(const struct session_arm *arm, const struct session_arm *against, int step,
                           double *out)
{
    int n = 0, seen = 0;
    for (int i = 0; i < arm->n_blocks; i++) {
        const struct block *b = arm->blocks[i];
        double level = against ? partner(against, b, i) : 1;
        if (isnan(summary_block_mean(b)) || isnan(level))
            continue;
        int size = atomic_load_explicit(&b->n, memory_order_acquire);
        for (int j = 0; j < size; j++)
            if (b->samples[j].device_ns > 0 && seen++ % step == 0)
                out[n++] = (double)b->samples[j].device_ns * 1e-6 / level;
    }
    return n;
}

static bool has_modes(double *x, int n, struct stats_bimodality *out)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return stats_bimodality(x, (size_t)n, out) && out->is_bimodal &&
           out->mode[1] > MODES_APART * out->mode[0];
}

/* Blocks whose mean lies on the far side of the middle between the modes: where whole blocks are slow, a mode
 * was seen as often as it had blocks, however many samples they have. */
static int blocks_in_mode(const struct session_arm *arm, const double mode[2], int rare)
{
    double middle = sqrt(mode[0] * mode[1]);
    int n = 0;
    for (int i = 0; i < arm->n_blocks; i++) {
        double mean = summary_block_mean(arm->blocks[i]);
        n += !isnan(mean) && (mean > middle) == (mode[rare] > middle);
    }
    return n;
}

/* Two modes of an arm spoil its ratio to the other unless both have them in the same rounds: then they are
 * gone once the samples are seen against the other's. */
static int find_modes(const struct session_arm *arm, const struct session_arm *other, int index,
                      struct spoilers *out)
{
    int n = count_samples(arm), step = n / SAMPLES_MOST + 1;
    if (n < STATS_BIMODALITY_MIN_N || out->bimodal_rare)
        return 0;
    double *x = malloc((size_t)(n / step + 1) * sizeof *x);
    if (!x)
        return -1;
    struct stats_bimodality b, relative;
    bool found = has_modes(x, collect_samples(arm, NULL, step, x), &b) &&
                 has_modes(x, collect_samples(arm, other, step, x), &relative);
    free(x);
    if (!found)
        return 0;
    int rare = b.share[0] < b.share[1] ? 0 : 1, blocks = blocks_in_mode(arm, b.mode, rare);
    double samples = b.share[rare] * n;
    bool seldom = samples < RARE || (blocks > 0 && blocks < RARE && samples > 2 * blocks);
    if (out->bimodal && !seldom)
        return 0;
    out->bimodal = true;
    out->bimodal_rare = seldom;
    out->bimodal_arm = index;
    for (int i = 0; i < 2; i++) {
        out->mode_ms[i] = b.mode[i];
        out->mode_share[i] = b.share[i];
    }
    return 0;
}

/* The common level of both arms over rounds, and how long a round took. */
static int find_drift(const struct session_arm *a, const struct session_arm *b, struct spoilers *out)
{
    int rounds = a->n_blocks < b->n_blocks ? a->n_blocks : b->n_blocks, n = 0;
    double *level = malloc(((size_t)rounds + 1) * sizeof *level);
    if (!level)
        return -1;
    double first = NAN, last = NAN;
    for (int i = 0; i < rounds; i++) {
        double x = summary_block_mean(a->blocks[i]), y = summary_block_mean(b->blocks[i]);
        if (isnan(x) || isnan(y))
            continue;
        level[n++] = (log(x) + log(y)) / 2;
        double at = (double)a->blocks[i]->started_ns / 1e9;
        if (isnan(first))
            first = at;
        last = at;
    }
    if (n >= 2 && last > first)
        out->seconds_per_round = (last - first) / (n - 1);
    struct stats_drift d;
    if (n >= 5 && stats_drift(level, (size_t)n, DRIFT_CONFIDENCE, &d) == 0 && d.p < 1 - DRIFT_CONFIDENCE &&
        fabs(d.slope) * (n - 1) > DRIFT_WORTH) {
        out->drifts = true;
        out->drift_per_minute =
            expm1(isnan(out->seconds_per_round) ? d.slope : d.slope * 60 / out->seconds_per_round);
    }
    free(level);
    return 0;
}

static void count_flags(const struct session_arm *arm, struct spoilers *out)
{
    for (int i = 0; i < arm->n_blocks; i++) {
        unsigned flags = arm->blocks[i]->flags;
        if (isnan(summary_block_mean(arm->blocks[i])))
            continue;
        out->blocks++;
        out->throttled += (flags & BLOCK_THROTTLED) != 0;
        out->unsteady += (flags & BLOCK_WARMUP_NOT_STEADY) != 0;
        out->clock_faults += (flags & BLOCK_CLOCK_FAULT) != 0;
    }
}

int summary_spoilers(const struct session_cell *cell, int baseline, int candidate, struct spoilers *out)
{
    const struct session_arm *a = &cell->arm[baseline], *b = &cell->arm[candidate];
    *out = (struct spoilers){.seconds_per_round = NAN, .lag1 = NAN, .n_eff = NAN};
    count_flags(a, out);
    count_flags(b, out);
    return find_modes(a, b, baseline, out) || find_modes(b, a, candidate, out) || find_drift(a, b, out) ? -1
                                                                                                        : 0;
}

void summary_spoilers_text(const struct spoilers *s, char *out, size_t size)
{
    struct text t = text_in(out, size);
    char a[FIGURE_TEXT], b[FIGURE_TEXT];
    const char *then = "";
    out[0] = '\0';
    if (s->throttled > 0) {
        text_format(&t, "%d of %d blocks flagged throttled", s->throttled, s->blocks);
        then = "; ";
    }
    if (s->bimodal) {
        text_format(&t, "%sbimodal: %s and %s ms", then, figure_digits(s->mode_ms[0], 3, a, sizeof a),
                    figure_digits(s->mode_ms[1], 3, b, sizeof b));
        then = "; ";
    }
    if (s->correlated) {
        text_format(&t, "%slag-1 %s: %.0f effective rounds", then, figure_fixed(s->lag1, 1, a, sizeof a),
                    s->n_eff);
        then = "; ";
    }
    if (s->drifts)
        text_format(&t, "%sdrift %s %% per %s", then,
                    figure_digits(100 * s->drift_per_minute, 1, a, sizeof a),
                    isnan(s->seconds_per_round) ? "round" : "minute");
}

int summary_budget(const struct session *s, int cell, int arm, struct stats_variance_budget *out)
{
    const struct session_arm *a = &s->cell[cell].arm[arm];
    size_t blocks = 0, n = 0, room = (size_t)count_samples(a);
    double *x = malloc((room + 1) * sizeof *x), *clock = malloc(((size_t)a->n_blocks + 1) * sizeof *clock);
    size_t *size = malloc(((size_t)a->n_blocks + 1) * sizeof *size);
    int result = SUMMARY_NO_MEMORY;
    if (x && clock && size) {
        for (int i = 0; i < a->n_blocks; i++) {
            const struct block *b = a->blocks[i];
            if (isnan(summary_block_mean(b)))
                continue;
            size_t start = n;
            for (int j = 0; j < b->capacity; j++)
                if (b->samples[j].device_ns > 0)
                    x[n++] = (double)b->samples[j].device_ns * 1e-6;
            clock[blocks] = b->telemetry.valid & TELEMETRY_CLOCK ? b->telemetry.clock_mhz : NAN;
            size[blocks++] = n - start;
        }
        result = stats_variance_budget(x, size, blocks, clock, out);
        if (result == STATS_NO_MEMORY)
            result = SUMMARY_NO_MEMORY;
    }
    free(x);
    free(clock);
    free(size);
    return result;
}
