#include "engine/figure.h"
#include "engine/summary.h"
#include "engine/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const verdict_names[] = {"", "faster", "slower", "equivalent", "inconclusive"};

static void add_interval(struct text *t, const struct comparison *c, const struct summary_case *k,
                         bool inverse)
{
    struct stats_interval ci = c->speedup_ci;
    if (inverse)
        ci = (struct stats_interval){1 / c->speedup_ci.high, 1 / c->speedup_ci.low};
    char percent[FIGURE_TEXT], interval[64];
    text_format(t, "%s CI %s", figure_percent(k->confidence, 1, percent, sizeof percent),
                figure_interval(ci.low, ci.high, figure_scale_decimals(c->speedup, (ci.high - ci.low) / 2),
                                interval, sizeof interval));
}

static void add_p(struct text *t, const char *name, double p)
{
    char number[FIGURE_TEXT];
    if (isnan(p))
        return;
    figure_p(p, number, sizeof number);
    if (number[0] == '<')
        text_format(t, ", %s p < %s", name, number + 1);
    else
        text_format(t, ", %s p = %s", name, number);
}

/* "1.42× faster" or "1.20× slower", with the digits that the interval supports. */
static void add_ratio(struct text *t, const struct comparison *c, bool slower)
{
    double ratio = slower ? 1 / c->speedup : c->speedup, half = (c->speedup_ci.high - c->speedup_ci.low) / 2;
    char number[FIGURE_TEXT * 2];
    if (slower)
        half = (1 / c->speedup_ci.low - 1 / c->speedup_ci.high) / 2;
    int decimals = isfinite(half) ? figure_decimals(half) : 2;
    text_format(t, "%s× %s", figure_fixed(ratio, decimals, number, sizeof number),
                slower ? "slower" : "faster");
}

static void write_sentence(struct comparison *c, const struct summary_case *k)
{
    struct text t = text_in(c->sentence, sizeof c->sentence);
    const char *a = k->baseline_name, *b = k->candidate_name;
    char margin[FIGURE_TEXT], number[FIGURE_TEXT];
    bool slower = c->speedup < 1;
    if (k->differs[0]) {
        text_format(&t, "%s is not ranked: %s", b, c->reason);
    } else if (c->verdict == VERDICT_FASTER || c->verdict == VERDICT_SLOWER) {
        text_format(&t, "%s is ", b);
        add_ratio(&t, c, slower);
        text_format(&t, " than %s (", a);
        add_interval(&t, c, k, slower);
        text_add(&t, ")");
        add_p(&t, "Welch", c->welch.p);
        if (isfinite(c->effect.cohens_d))
            text_format(&t, ", d = %s, %s", figure_digits(fabs(c->effect.cohens_d), 2, number, sizeof number),
                        stats_effect_word(c->effect.cohens_d));
    } else if (c->verdict == VERDICT_EQUIVALENT) {
        text_format(&t, "%s and %s are equivalent within ±%s (", b, a,
                    figure_percent(k->margin, 1, margin, sizeof margin));
        add_interval(&t, c, k, false);
        text_add(&t, ")");
    } else if (!isfinite(c->speedup_ci.low)) {
        text_format(&t, "%s against %s: %s", b, a, c->reason);
    } else if (!c->final && c->speedup_ci.low <= 1 && c->speedup_ci.high >= 1) {
        text_format(&t, "%s is not shown to differ from %s so far (speed-up ", b, a);
        add_interval(&t, c, k, false);
        text_format(&t, "); %s", c->reason);
    } else if (!c->final) {
        text_format(&t, "%s is ", b);
        add_ratio(&t, c, slower);
        text_format(&t, " than %s so far (", a);
        add_interval(&t, c, k, slower);
        text_format(&t, "); %s", c->reason);
    } else {
        text_format(&t, "%s is not shown to differ from %s (speed-up ", b, a);
        add_interval(&t, c, k, false);
        text_format(&t, "): %s", c->reason);
    }
}

/* Rounds still needed until the interval is so narrow that one verdict or another must hold. */
static double rounds_to_decide(const struct comparison *c, const struct summary_case *k)
{
    double half = (log(c->speedup_ci.high) - log(c->speedup_ci.low)) / 2, goal = log1p(k->margin);
    double distance = fabs(log(c->speedup));
    if (half <= goal) /* narrow enough, but across the edge of the margin */
        goal = fmax(distance, goal - distance) * 0.9;
    return goal > 0 ? ceil(k->rounds * (half / goal) * (half / goal)) - k->rounds : NAN;
}

static void reason_undecided(struct text *t, const struct comparison *c, const struct summary_case *k)
{
    double more = fmax(1, rounds_to_decide(c, k));
    char margin[FIGURE_TEXT];
    figure_percent(k->margin, 1, margin, sizeof margin);
    if (!isfinite(more) || k->margin <= 0)
        text_add(t, "the interval includes 1: more rounds are needed");
    else if (more > 9999)
        text_format(t, "too noisy for ±%s: more than 10000 further rounds; close other programs", margin);
    else
        text_format(t, "needs about %.0f more %s for ±%s", more, more < 2 ? "round" : "rounds", margin);
}

static void judge_interval(struct comparison *c, const struct summary_case *k, struct text *reason)
{
    double low = c->speedup_ci.low, high = c->speedup_ci.high;
    char margin[FIGURE_TEXT], p[FIGURE_TEXT];
    figure_percent(k->margin, 1, margin, sizeof margin);
    bool inside = k->margin > 0 && low >= 1 / (1 + k->margin) && high <= 1 + k->margin;
    if (inside) {
        c->verdict = VERDICT_EQUIVALENT;
        text_format(reason, "the interval lies inside ±%s", margin);
    } else if (low > 1 || high < 1) {
        c->verdict = low > 1 ? VERDICT_FASTER : VERDICT_SLOWER;
        bool paired = c->paired.n >= 2;
        figure_p(paired ? c->paired.p : c->welch.p, p, sizeof p);
        text_format(reason, "%s %s, p %s%s", paired ? "paired over" : "unpaired, drift-exposed:",
                    paired ? "rounds" : "Welch on block means", p[0] == '<' ? "" : "= ", p);
    } else {
        c->verdict = VERDICT_INCONCLUSIVE;
        reason_undecided(reason, c, k);
    }
}

void summary_judge(struct comparison *c, const struct summary_case *k)
{
    struct text reason = text_in(c->reason, sizeof c->reason);
    bool no_variance = (c->paired.n >= 2 && isnan(c->paired.p)) || (c->paired.n < 2 && isnan(c->welch.p));
    int needed = k->planned > SUMMARY_MIN_ROUNDS ? k->planned : SUMMARY_MIN_ROUNDS;
    c->verdict = VERDICT_INCONCLUSIVE;
    c->final = k->rounds >= needed && !k->differs[0];
    if (k->differs[0]) {
        text_format(&reason, "output differs from the baseline (%s): not ranked", k->differs);
    } else if (k->rounds < k->planned) {
        text_format(&reason, "only %d of %d rounds", k->rounds, k->planned);
    } else if (!c->final) {
        text_format(&reason, "%d %s too few for a verdict: run at least %d", k->rounds,
                    k->rounds == 1 ? "round is" : "rounds are", needed);
    } else if (no_variance || !isfinite(c->speedup_ci.low) || !isfinite(c->speedup_ci.high)) {
        c->final = false;
        text_add(&reason,
                 no_variance ? "no variance: clock resolution?" : "no interval: too few good samples");
    } else {
        judge_interval(c, k, &reason);
    }
    if (c->verdict == VERDICT_INCONCLUSIVE && k->throttled > 0 && !k->differs[0])
        text_format(&reason, "; %d of %d blocks flagged throttled", k->throttled, k->blocks);
    write_sentence(c, k);
}

int summary_family(struct comparison *c, const struct summary_case *k, int n, struct error *e)
{
    double *p = calloc(2 * (size_t)n + 1, sizeof *p), *adjusted = p + n;
    if (!p)
        return error_set(e, ERROR_MEMORY, "no memory to compare %d pairs: close other programs", n);
    int family = 0;
    for (int i = 0; i < n; i++) {
        bool ranked = c[i].verdict != VERDICT_NONE && !k[i].differs[0];
        p[i] = !ranked ? NAN : c[i].paired.n >= 2 ? c[i].paired.p : c[i].welch.p;
        family += !isnan(p[i]);
    }
    stats_holm(p, (size_t)n, adjusted);
    for (int i = 0; i < n; i++) {
        if (!isnan(p[i]) && isnan(adjusted[i])) {
            free(p);
            return error_set(e, ERROR_MEMORY, "no memory to compare %d pairs: close other programs", n);
        }
    }
    for (int i = 0; i < n; i++) {
        c[i].p_holm = adjusted[i];
        c[i].family = family;
        double alone = c[i].paired.n >= 2 ? c[i].paired.p : c[i].welch.p;
        bool claimed = c[i].verdict == VERDICT_FASTER || c[i].verdict == VERDICT_SLOWER;
        if (!claimed || adjusted[i] < 1 - k[i].confidence)
            continue;
        char a[FIGURE_TEXT], b[FIGURE_TEXT];
        struct text reason = text_in(c[i].reason, sizeof c[i].reason);
        text_format(&reason, "p = %s alone, but %s among %d comparisons (Holm): run more rounds",
                    figure_p(alone, a, sizeof a), figure_p(adjusted[i], b, sizeof b), family);
        c[i].verdict = VERDICT_INCONCLUSIVE;
        write_sentence(&c[i], &k[i]);
    }
    free(p);
    return 0;
}

/* Complete block means of two arms; the first n_pairs of x and y are one round each. */
struct means {
    double *x, *y;
    int nx, ny;
    double *pair_x, *pair_y;
    int n_pairs, throttled;
};

static int complete_means(const struct session_arm *arm, double *out, int *throttled)
{
    int n = 0;
    for (int i = 0; i < arm->n_blocks; i++) {
        out[n] = summary_block_mean(arm->blocks[i]);
        if (isnan(out[n]))
            continue;
        *throttled += (arm->blocks[i]->flags & BLOCK_THROTTLED) != 0;
        n++;
    }
    return n;
}

static int collect(const struct session_arm *a, const struct session_arm *b, struct means *m)
{
    size_t na = (size_t)a->n_blocks, nb = (size_t)b->n_blocks;
    *m = (struct means){0};
    m->x = malloc((2 * na + 2 * nb + 1) * sizeof(double));
    if (!m->x)
        return -1;
    m->y = m->x + na;
    m->pair_x = m->y + nb;
    m->pair_y = m->pair_x + na;
    m->nx = complete_means(a, m->x, &m->throttled);
    m->ny = complete_means(b, m->y, &m->throttled);
    int from = 0; /* rounds come in order, so the search rarely wraps */
    for (int i = 0; i < b->n_blocks; i++) {
        for (int step = 0; step < a->n_blocks; step++) {
            int j = (from + step) % a->n_blocks;
            if (a->blocks[j]->round != b->blocks[i]->round)
                continue;
            double x = summary_block_mean(a->blocks[j]), y = summary_block_mean(b->blocks[i]);
            if (!isnan(x) && !isnan(y) && m->n_pairs < a->n_blocks) {
                m->pair_x[m->n_pairs] = x;
                m->pair_y[m->n_pairs++] = y;
            }
            from = (j + 1) % a->n_blocks;
            break;
        }
    }
    return 0;
}

/* -1: no memory. */
static int figures(const struct means *m, double confidence, struct comparison *c)
{
    struct stats_interval none = {NAN, NAN};
    size_t nx = (size_t)m->nx, ny = (size_t)m->ny;
    stats_welch(m->x, nx, m->y, ny, confidence, &c->welch);
    stats_effect(m->x, nx, m->y, ny, &c->effect);
    c->speedup = stats_mean(m->x, nx) / stats_mean(m->y, ny);
    c->speedup_ci = none;
    /* log(baseline / candidate): the candidate is the denominator. */
    int paired = stats_paired_log_ratio(m->pair_y, m->pair_x, (size_t)m->n_pairs, confidence, &c->paired);
    if (c->paired.n >= 2) {
        c->speedup = exp(c->paired.mean_log_ratio);
        if (paired == 0)
            c->speedup_ci = (struct stats_interval){exp(c->paired.ci.low), exp(c->paired.ci.high)};
    } else {
        c->paired.n = 0;
        struct stats_ratio ratio;
        if (stats_ratio(m->y, ny, m->x, nx, confidence, &ratio) == 0)
            c->speedup_ci = ratio.log_delta;
    }
    c->improvement_pct = 100 * (1 - 1 / c->speedup);
    return m->n_pairs >= 2 && c->paired.n < 2 ? -1 : 0;
}

void summary_refusal(const struct output_check *o, char *out, size_t size)
{
    out[0] = '\0';
    if (!o->checked || o->passed)
        return;
    char error[FIGURE_TEXT * 2], tolerance[FIGURE_TEXT * 2], top1[FIGURE_TEXT];
    figure_percent(o->top1_agreement, 1, top1, sizeof top1);
    if (isfinite(o->tolerance))
        snprintf(out, size, "relative error %s, allowed %s, top-1 %s",
                 figure_digits(o->max_relative_error, 2, error, sizeof error),
                 figure_digits(o->tolerance, 2, tolerance, sizeof tolerance), top1);
    else
        snprintf(out, size, "top-1 agreement %s", top1);
}

/* differs must outlive the case. -1: an arm has no complete block; SUMMARY_NO_MEMORY. */
static int compare_pair(const struct session *s, int cell, int baseline, int candidate, struct comparison *c,
                        struct summary_case *k, char *differs, size_t size)
{
    const struct session_cell *at = &s->cell[cell];
    const struct session_arm *a = &at->arm[baseline], *b = &at->arm[candidate];
    struct means m;
    *c = (struct comparison){.baseline = baseline, .candidate = candidate, .p_holm = NAN};
    differs[0] = '\0';
    if (a->n_blocks == 0 || b->n_blocks == 0)
        return -1;
    if (collect(a, b, &m) != 0)
        return SUMMARY_NO_MEMORY;
    int result = -1;
    if (m.nx > 0 && m.ny > 0) {
        double confidence = summary_confidence(s);
        result = figures(&m, confidence, c) == 0 ? 0 : SUMMARY_NO_MEMORY;
        summary_refusal(&b->output, differs, size);
        int few = m.nx < m.ny ? m.nx : m.ny;
        *k = (struct summary_case){.baseline_name = a->name,
                                   .candidate_name = b->name,
                                   .confidence = confidence,
                                   .margin = s->preset.margin,
                                   .rounds = c->paired.n >= 2 ? (int)c->paired.n : few,
                                   .planned = at->rounds_planned > 0 ? at->rounds_planned : s->preset.rounds,
                                   .blocks = m.nx + m.ny,
                                   .throttled = m.throttled,
                                   .differs = differs};
        if (result == 0)
            summary_judge(c, k);
    }
    free(m.x);
    return result;
}

int summary_compare_unpaired(const struct session_arm *baseline, const struct session_arm *candidate,
                             double confidence, struct comparison *out, struct summary_case *k)
{
    struct means m;
    *out = (struct comparison){.p_holm = NAN};
    if (baseline->n_blocks == 0 || candidate->n_blocks == 0)
        return -1;
    if (collect(baseline, candidate, &m) != 0)
        return SUMMARY_NO_MEMORY;
    m.n_pairs = 0; /* equal round numbers of two runs are no pairs: nothing ties them in time */
    int result = -1;
    if (m.nx > 0 && m.ny > 0) {
        result = figures(&m, confidence, out);
        k->rounds = m.nx < m.ny ? m.nx : m.ny;
        k->blocks = m.nx + m.ny;
        k->throttled = m.throttled;
    }
    free(m.x);
    return result;
}

int summary_compare_arms(const struct session *s, int cell, int baseline, int candidate,
                         struct comparison *out)
{
    struct summary_case k;
    char differs[128];
    *out = (struct comparison){.baseline = baseline, .candidate = candidate, .p_holm = NAN};
    if (cell < 0 || cell >= s->n_cells || baseline < 0 || candidate < 0 || baseline >= s->cell[cell].n_arms ||
        candidate >= s->cell[cell].n_arms)
        return -1;
    return compare_pair(s, cell, baseline, candidate, out, &k, differs, sizeof differs);
}

int summary_comparisons(const struct session *s, struct comparison **out, struct error *e)
{
    int arms = s->preset.n_arms > 0 ? s->preset.n_arms : 1, n = s->n_cells * arms;
    size_t room = (size_t)n + 1;
    struct comparison *c = calloc(room, sizeof *c);
    struct summary_case *k = calloc(room, sizeof *k);
    char(*differs)[128] = calloc(room, sizeof *differs);
    *out = NULL;
    if (!c || !k || !differs) {
        error_set(e, ERROR_MEMORY, "no memory to compare %d pairs: close other programs", n);
        goto fail;
    }
    for (int cell = 0; cell < s->n_cells; cell++) {
        for (int arm = 0; arm < arms; arm++) {
            int i = cell * arms + arm;
            k[i].differs = "";
            c[i] = (struct comparison){.candidate = arm, .p_holm = NAN};
            if (arm > 0 && arm < s->cell[cell].n_arms &&
                compare_pair(s, cell, 0, arm, &c[i], &k[i], differs[i], sizeof differs[i]) ==
                    SUMMARY_NO_MEMORY) {
                error_set(e, ERROR_MEMORY, "no memory to compare the arms: close other programs");
                goto fail;
            }
        }
    }
    if (summary_family(c, k, n, e) != 0)
        goto fail;
    free(k);
    free(differs);
    *out = c;
    return 0;
fail:
    free(c);
    free(k);
    free(differs);
    return -1;
}
