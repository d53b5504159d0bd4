#include "tui/duel.h"
#include "tui/format.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* What the interval is made of, in words that name the remedy. */
static void tell_budget(struct duel *d, const char *name, const struct stats_variance_budget *b)
{
    const struct {
        double share;
        const char *where, *remedy;
    } part[] = {{b->between, "between blocks", "more rounds help"},
                {b->within, "within", "longer rounds help too"},
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

static void find_spoilers(struct duel *d)
{
    const struct session_cell *c = &d->of->cell[d->cell];
    const struct spoilers *k = &d->comparison.spoilers;
    const struct output_check *o = &c->arm[d->candidate].output;
    char low[FORMAT_TEXT], high[FORMAT_TEXT];
    d->n_spoilers = 0;
    if (o->checked && !o->passed)
        spoils(d, true, "the outputs differ: not ranked");
    if (d->compared && k->throttled > 0)
        spoils(d, 4 * k->throttled >= k->blocks, "%d of %d blocks ran throttled", k->throttled, k->blocks);
    if (d->compared && k->clock_faults > 0)
        spoils(d, true, "%d of %d blocks have samples that took no time: a faulty clock", k->clock_faults,
               k->blocks);
    if (d->compared && k->unsteady > 0)
        spoils(d, false, "%d arms had not settled when their warm-up ended", k->unsteady);
    if (d->compared && k->bimodal)
        spoils(d, true, "%s is bimodal: %s and %s ms", c->arm[k->bimodal_arm].name,
               format_digits(low, k->mode_ms[0], 3), format_digits(high, k->mode_ms[1], 3));
    if (d->compared && k->correlated)
        spoils(d, true, "rounds depend on their neighbors (lag-1 %s): worth about %.0f independent ones",
               format_digits(low, k->lag1, 2), floor(k->n_eff));
    if (d->compared && k->drifts)
        spoils(d, false, "drift: both got %s %s per %s; the order of the rounds cancels a steady one",
               format_percent(low, fabs(k->drift_per_minute)), k->drift_per_minute > 0 ? "slower" : "faster",
               isfinite(k->seconds_per_round) ? "minute" : "round");
    const int arm[2] = {d->baseline, d->candidate};
    for (int i = 0; i < 2; i++) {
        struct stats_variance_budget budget;
        if (d->n >= 5 && summary_budget(d->of, d->cell, arm[i], &budget) == 0)
            tell_budget(d, c->arm[arm[i]].name, &budget);
    }
    if (c->calibration.measured_at[0])
        spoils(d, false,
               "this machine's noise floor (A/A, %d rounds, %.10s): \xc2\xb1 %s; it shows %s or more",
               c->calibration.rounds, c->calibration.measured_at,
               format_percent(low, c->calibration.noise_floor_pct / 100),
               format_percent(high, c->calibration.mde_pct / 100));
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
    d->rounds_left = !d->compared ? (double)NAN
                     : d->comparison.final && d->comparison.verdict != VERDICT_INCONCLUSIVE
                         ? 0
                         : d->comparison.rounds_left;
    d->seconds_left = d->compared ? d->comparison.seconds_left : (double)NAN;
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
