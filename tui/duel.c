#include "tui/duel.h"
#include "tui/format.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHAPE_SAMPLES = 4096, /* enough to see two modes, few enough to sort in every round */
    BUDGET_SAMPLES = 65536,
    BUDGET_BLOCKS = 1024
};

void duel_free(struct duel *d)
{
    free(d->round);
    free(d->logs);
    memset(d, 0, sizeof *d);
}

static bool grow(struct duel *d)
{
    if (d->n < d->room)
        return true;
    int room = d->room ? 2 * d->room : 64;
    struct duel_round *round = realloc(d->round, (size_t)room * sizeof *round);
    if (round)
        d->round = round;
    double *logs = round ? realloc(d->logs, (size_t)room * sizeof *logs) : NULL;
    if (!logs)
        return false;
    d->logs = logs;
    d->room = room;
    return true;
}

/* ---- rounds ---- */

static struct stats_interval ratio_of(struct stats_interval logs)
{
    return (struct stats_interval){exp(logs.low), exp(logs.high)};
}

/* What an interval of the ratio decides under a margin. */
static enum verdict decided(struct stats_interval ci, double margin)
{
    if (!isfinite(ci.low) || !isfinite(ci.high))
        return VERDICT_NONE;
    if (margin > 0 && ci.low >= 1 / (1 + margin) && ci.high <= 1 + margin)
        return VERDICT_EQUIVALENT;
    return ci.low > 1 ? VERDICT_FASTER : ci.high < 1 ? VERDICT_SLOWER : VERDICT_NONE;
}

static int add_round(struct duel *d, const struct block *x, const struct block *y)
{
    double ratio = summary_block_mean(x) / summary_block_mean(y), confidence = summary_confidence(d->of);
    if (!(ratio > 0) || !isfinite(ratio))
        return 0;
    if (!grow(d))
        return -1;
    d->logs[d->n] = log(ratio);
    stats_running_add(&d->log_ratio, d->logs[d->n]);
    struct duel_round *r = &d->round[d->n++];
    *r = (struct duel_round){
        .round = y->round,
        .ratio = ratio,
        .flagged =
            ((atomic_load(&x->flags) | atomic_load(&y->flags)) & (BLOCK_THROTTLED | BLOCK_CLOCK_FAULT)) != 0,
    };
    double std = stats_running_std(&d->log_ratio);
    r->planned = ratio_of(stats_mean_ci(d->log_ratio.mean, std, (size_t)d->n, confidence));
    double reach = stats_sequence_width((size_t)d->n, confidence) * std;
    if (std > 0)
        r->watched = ratio_of((struct stats_interval){d->log_ratio.mean - reach, d->log_ratio.mean + reach});
    else
        r->watched = (struct stats_interval){NAN, NAN};
    enum verdict v = decided(r->watched, d->margin);
    if (d->watched == VERDICT_NONE && v != VERDICT_NONE) {
        d->watched = v;
        d->watched_round = d->n;
    }
    return 1;
}

/* Pairs whose two blocks are complete, in the order of rounds. */
static int take_rounds(struct duel *d)
{
    const struct session_cell *c = &d->of->cell[d->cell];
    const struct session_arm *a = &c->arm[d->baseline], *b = &c->arm[d->candidate];
    int added = 0;
    while (d->next[0] < a->n_blocks && d->next[1] < b->n_blocks) {
        const struct block *x = a->blocks[d->next[0]], *y = b->blocks[d->next[1]];
        if (x->round != y->round) { /* one of them was never finished by the other arm */
            d->next[x->round > y->round]++;
            continue;
        }
        bool whole = !isnan(summary_block_mean(x)) && !isnan(summary_block_mean(y));
        bool last = d->next[0] + 1 == a->n_blocks || d->next[1] + 1 == b->n_blocks;
        if (!whole && last)
            break; /* still being filled */
        int result = whole ? add_round(d, x, y) : 0;
        if (result < 0)
            return -1;
        added += result;
        d->next[0]++;
        d->next[1]++;
    }
    return added;
}

/* ---- how much longer ---- */

static void estimate(struct duel *d)
{
    const struct session_cell *c = &d->of->cell[d->cell];
    const struct session_arm *b = &c->arm[d->candidate];
    d->seconds_per_round = NAN;
    d->rounds_left = NAN;
    if (b->n_blocks >= 2) {
        const struct block *first = b->blocks[0], *last = b->blocks[b->n_blocks - 1];
        int rounds = last->round - first->round;
        if (rounds > 0 && last->started_ns > first->started_ns)
            d->seconds_per_round = (double)(last->started_ns - first->started_ns) / 1e9 / rounds;
    }
    if (!d->compared || d->n < 3)
        return;
    int planned = c->rounds_planned > 0 ? c->rounds_planned : d->of->preset.rounds;
    bool decides = d->comparison.final && d->comparison.verdict != VERDICT_INCONCLUSIVE;
    struct stats_interval ci = d->round[d->n - 1].planned;
    double half = (log(ci.high) - log(ci.low)) / 2, goal = log1p(d->margin),
           distance = fabs(d->log_ratio.mean);
    if (decides) {
        d->rounds_left = 0;
        return;
    }
    if (distance > goal) /* far from equal: the interval need only leave 1 */
        goal = distance;
    else if (half <= goal) /* narrow enough, but across the edge of the margin */
        goal = fmax(distance, goal - distance) * 0.9;
    double needed = goal > 0 ? ceil(d->n * (half / goal) * (half / goal)) : NAN;
    d->rounds_left = fmax(fmax(needed, planned) - d->n, 1);
}

/* ---- what spoils it ---- */

static void spoils(struct duel *d, bool grave, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void spoils(struct duel *d, bool grave, const char *format, ...)
{
    if (d->n_spoilers == DUEL_SPOILERS)
        return;
    struct duel_spoiler *s = &d->spoiler[d->n_spoilers++];
    va_list list;
    va_start(list, format);
    vsnprintf(s->text, sizeof s->text, format, list);
    va_end(list);
    s->grave = grave;
}

static void count_throttled(struct duel *d)
{
    int flagged = 0, blocks = 0;
    const int arm[2] = {d->baseline, d->candidate};
    for (int i = 0; i < 2; i++) {
        const struct session_arm *a = &d->of->cell[d->cell].arm[arm[i]];
        for (int b = 0; b < a->n_blocks; b++)
            flagged += (atomic_load(&a->blocks[b]->flags) & BLOCK_THROTTLED) != 0;
        blocks += a->n_blocks;
    }
    if (flagged > 0)
        spoils(d, 4 * flagged >= blocks, "%d of %d blocks ran throttled", flagged, blocks);
}

/* Both arms drifting together is what the rounds' order cancels; it still tells that the machine is not
 * steady. */
static void find_drift(struct duel *d)
{
    struct stats_drift drift;
    char percent[FORMAT_TEXT];
    const struct session_arm *a = &d->of->cell[d->cell].arm[d->baseline];
    if (d->n < 8 || isnan(d->seconds_per_round))
        return;
    double *means = malloc((size_t)a->n_blocks * sizeof *means);
    int n = 0;
    for (int i = 0; means && i < a->n_blocks; i++) {
        double mean = summary_block_mean(a->blocks[i]);
        if (mean > 0)
            means[n++] = log(mean);
    }
    if (n >= 8 && stats_drift(means, (size_t)n, 0.99, &drift) == 0 && drift.p < 0.01 &&
        fabs(drift.slope) * n > 0.005)
        spoils(d, false, "drift: %s got %s %s per minute; the order of the rounds cancels a steady one",
               a->name, format_percent(percent, fabs(drift.slope) / d->seconds_per_round * 60),
               drift.slope > 0 ? "slower" : "faster");
    free(means);
}

static void find_dependence(struct duel *d)
{
    struct stats_correlated k;
    char r[FORMAT_TEXT];
    if (d->n < 10 || stats_correlated(d->logs, (size_t)d->n, summary_confidence(d->of), &k) != 0 || k.r < 0.4)
        return;
    spoils(d, true, "rounds depend on their neighbors (lag-1 %s): worth about %.0f independent ones",
           format_digits(r, k.lag1, 2), floor(k.n_eff));
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The newest samples of an arm, sorted. */
static int newest_samples(const struct session_arm *a, double *out)
{
    int n = 0;
    for (int b = a->n_blocks - 1; b >= 0 && n < SHAPE_SAMPLES; b--) {
        int have = atomic_load_explicit(&a->blocks[b]->n, memory_order_acquire);
        for (int i = 0; i < have && n < SHAPE_SAMPLES; i++)
            out[n++] = (double)a->blocks[b]->samples[i].device_ns / 1e6;
    }
    qsort(out, (size_t)n, sizeof *out, ascending);
    return n;
}

static void find_modes(struct duel *d, int arm, double *samples)
{
    const struct session_arm *a = &d->of->cell[d->cell].arm[arm];
    struct stats_bimodality shape;
    char low[FORMAT_TEXT], high[FORMAT_TEXT];
    int n = newest_samples(a, samples);
    if (stats_bimodality(samples, (size_t)n, &shape) && shape.is_bimodal)
        spoils(d, true, "%s is bimodal: %s and %s ms", a->name, format_digits(low, shape.mode[0], 3),
               format_digits(high, shape.mode[1], 3));
}

/* What the interval is made of, in words that name the remedy. */
static void tell_budget(struct duel *d, const char *name, const struct stats_variance_budget *b)
{
    const struct {
        double share;
        const char *where, *remedy;
    } part[] = {{b->between, "between blocks", "more rounds help, longer ones do not"},
                {b->within, "within blocks", "longer rounds help too"},
                {b->clock, "along the clock", "lock it or let it settle"},
                {b->outliers, "in outliers", "close what disturbs"}};
    char text[160], percent[FORMAT_TEXT];
    size_t used = (size_t)snprintf(text, sizeof text, "%.40s: variance", name);
    const char *remedy = NULL, *comma = "";
    for (int i = 0; i < 4; i++) {
        if (!(part[i].share >= 0.01) || used >= sizeof text)
            continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %s %s", comma,
                                 format_percent(percent, part[i].share), part[i].where);
        comma = ",";
        if (part[i].share > 0.5)
            remedy = part[i].remedy;
    }
    spoils(d, b->clock > 0.5 || b->outliers > 0.5, "%s%s%s", text, remedy ? ": " : "", remedy ? remedy : "");
}

/* The newest blocks whose samples fit into BUDGET_SAMPLES. */
static void find_budget(struct duel *d, int arm)
{
    const struct session_arm *a = &d->of->cell[d->cell].arm[arm];
    struct stats_variance_budget budget;
    double *samples = malloc(BUDGET_SAMPLES * sizeof *samples),
           *clock = malloc(BUDGET_BLOCKS * sizeof *clock);
    size_t *size = malloc(BUDGET_BLOCKS * sizeof *size), blocks = 0, n = 0;
    for (int b = a->n_blocks - 1; samples && clock && size && b >= 0 && blocks < BUDGET_BLOCKS; b--) {
        const struct block *k = a->blocks[b];
        if (isnan(summary_block_mean(k)))
            continue;
        if (n + (size_t)k->capacity > BUDGET_SAMPLES)
            break;
        for (int i = 0; i < k->capacity; i++)
            samples[n++] = (double)k->samples[i].device_ns / 1e6;
        clock[blocks] = k->telemetry.valid & TELEMETRY_CLOCK ? k->telemetry.clock_mhz : NAN;
        size[blocks++] = (size_t)k->capacity;
    }
    if (blocks >= 5 && stats_variance_budget(samples, size, blocks, clock, &budget) == 0)
        tell_budget(d, a->name, &budget);
    free(samples);
    free(clock);
    free(size);
}

static void find_spoilers(struct duel *d)
{
    d->n_spoilers = 0;
    const struct output_check *o = &d->of->cell[d->cell].arm[d->candidate].output;
    if (o->checked && !o->passed)
        spoils(d, true, "the outputs differ: not ranked");
    count_throttled(d);
    find_dependence(d);
    find_drift(d);
    double *samples = malloc(SHAPE_SAMPLES * sizeof *samples);
    if (samples) {
        find_modes(d, d->baseline, samples);
        find_modes(d, d->candidate, samples);
    }
    free(samples);
    find_budget(d, d->baseline);
    find_budget(d, d->candidate);
}

/* ---- */

int duel_follow(struct duel *d, const struct session *s, int cell, int baseline, int candidate, double margin)
{
    bool other = d->of != s || d->cell != cell || d->baseline != baseline || d->candidate != candidate ||
                 d->margin != margin;
    if (other) {
        duel_free(d);
        *d = (struct duel){
            .of = s, .cell = cell, .baseline = baseline, .candidate = candidate, .margin = margin};
    }
    int added = take_rounds(d);
    if (added < 0)
        return -1;
    if (added == 0 && !other)
        return 0;
    /* The margin is the watcher's, not the session's. */
    struct session under = *s;
    under.preset.margin = margin;
    d->compared = summary_compare_arms(&under, cell, baseline, candidate, &d->comparison) == 0;
    estimate(d);
    find_spoilers(d);
    return 1;
}

double duel_margin_step(double margin, bool wider)
{
    static const double ladder[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1};
    enum { STEPS = sizeof ladder / sizeof ladder[0] };
    if (wider) {
        for (int i = 0; i < STEPS; i++)
            if (ladder[i] > margin * 1.001)
                return ladder[i];
        return ladder[STEPS - 1];
    }
    for (int i = STEPS - 1; i >= 0; i--)
        if (ladder[i] < margin * 0.999)
            return ladder[i];
    return ladder[0];
}
