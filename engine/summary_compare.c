#include "engine/figure.h"
#include "engine/summary.h"
#include "engine/summary_internal.h"
#include "engine/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int summary_family(struct comparison *c, const struct summary_case *k, int n, struct error *e)
{
    double *p = calloc(3 * (size_t)n + 1, sizeof *p), *adjusted = p + n, *discovery = p + 2 * (size_t)n;
    if (!p)
        return error_set(e, ERROR_MEMORY, "no memory to compare %d pairs: close other programs", n);
    int family = 0;
    for (int i = 0; i < n; i++) {
        bool ranked = c[i].verdict != VERDICT_NONE && !k[i].differs[0];
        p[i] = ranked ? c[i].p : NAN;
        family += !isnan(p[i]);
    }
    stats_holm(p, (size_t)n, adjusted);
    stats_benjamini_hochberg(p, (size_t)n, discovery);
    for (int i = 0; i < n; i++) {
        if (!isnan(p[i]) && (isnan(adjusted[i]) || isnan(discovery[i]))) {
            free(p);
            return error_set(e, ERROR_MEMORY, "no memory to compare %d pairs: close other programs", n);
        }
    }
    for (int i = 0; i < n; i++) {
        c[i].p_holm = adjusted[i];
        c[i].p_bh = discovery[i];
        c[i].family = family;
        bool claimed = c[i].verdict == VERDICT_FASTER || c[i].verdict == VERDICT_SLOWER;
        if (!claimed || adjusted[i] < 1 - k[i].confidence)
            continue;
        char a[FIGURE_TEXT], b[FIGURE_TEXT];
        struct text reason = text_in(c[i].reason, sizeof c[i].reason);
        text_format(&reason, "p = %s alone, but %s among %d comparisons (Holm): run more rounds",
                    figure_p(c[i].p, a, sizeof a), figure_p(adjusted[i], b, sizeof b), family);
        c[i].verdict = VERDICT_INCONCLUSIVE;
        c[i].reason_code = REASON_FAMILY;
        summary_write_sentence(&c[i], &k[i]);
    }
    free(p);
    return 0;
}

/* Complete block means of two arms; the first n_pairs of x and y are one round each. */
struct means {
    double *x, *y;
    int nx, ny;
    double *pair_x, *pair_y;
    int *round;
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

/* In the order of rounds, which is nearly always the order of arrival: neighbors in time may depend on each
 * other. */
static void insert_pair(struct means *m, int round, double x, double y)
{
    int i = m->n_pairs++;
    for (; i > 0 && m->round[i - 1] > round; i--) {
        m->round[i] = m->round[i - 1];
        m->pair_x[i] = m->pair_x[i - 1];
        m->pair_y[i] = m->pair_y[i - 1];
    }
    m->round[i] = round;
    m->pair_x[i] = x;
    m->pair_y[i] = y;
}

static int collect(const struct session_arm *a, const struct session_arm *b, struct means *m)
{
    size_t na = (size_t)a->n_blocks, nb = (size_t)b->n_blocks;
    *m = (struct means){0};
    m->x = malloc((3 * na + 2 * nb + 1) * sizeof(double));
    if (!m->x)
        return -1;
    m->y = m->x + na;
    m->pair_x = m->y + nb;
    m->pair_y = m->pair_x + na;
    m->round = (int *)(m->pair_y + nb);
    m->nx = complete_means(a, m->x, &m->throttled);
    m->ny = complete_means(b, m->y, &m->throttled);
    int from = 0; /* rounds come in order, so the search rarely wraps */
    for (int i = 0; i < b->n_blocks; i++) {
        for (int step = 0; step < a->n_blocks; step++) {
            int j = (from + step) % a->n_blocks;
            if (a->blocks[j]->round != b->blocks[i]->round)
                continue;
            double x = summary_block_mean(a->blocks[j]), y = summary_block_mean(b->blocks[i]);
            if (!isnan(x) && !isnan(y) && m->n_pairs < a->n_blocks)
                insert_pair(m, b->blocks[i]->round, x, y);
            from = (j + 1) % a->n_blocks;
            break;
        }
    }
    return 0;
}

static struct stats_interval exp_of(struct stats_interval ci)
{
    return (struct stats_interval){exp(ci.low), exp(ci.high)};
}

/* -1: no memory. */
static int figures(const struct means *m, int planned, double confidence, bool watch, struct comparison *c)
{
    struct stats_interval none = {NAN, NAN};
    size_t nx = (size_t)m->nx, ny = (size_t)m->ny, pairs = (size_t)m->n_pairs;
    stats_welch(m->x, nx, m->y, ny, confidence, &c->welch);
    stats_effect(m->x, nx, m->y, ny, &c->effect);
    c->speedup = c->speedup_of_means = stats_mean(m->x, nx) / stats_mean(m->y, ny);
    c->speedup_ci = c->always_ci = none;
    /* log(baseline / candidate): the candidate is the denominator. */
    stats_paired_log_ratio(m->pair_y, m->pair_x, pairs, confidence, &c->paired);
    if (c->paired.n >= 2) {
        stats_log_ratios(m->pair_y, m->pair_x, pairs,
                         m->pair_y); /* read before it is written, place by place */
        decision_of(m->pair_y, pairs, planned, confidence, watch, &c->decision);
        c->speedup = exp(c->paired.mean_log_ratio);
        c->speedup_ci = exp_of(c->decision.ci);
        c->always_ci = exp_of(c->decision.sequence.ci);
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

int summary_compare_pair(const struct session *s, int cell, int baseline, int candidate, struct comparison *c,
                         struct summary_case *k, char differs[SUMMARY_REFUSAL])
{
    const struct session_cell *at = &s->cell[cell];
    const struct session_arm *a = &at->arm[baseline], *b = &at->arm[candidate];
    struct means m;
    *c = (struct comparison){.baseline = baseline, .candidate = candidate, .p_holm = NAN, .p_bh = NAN};
    *k = (struct summary_case){.differs = differs};
    differs[0] = '\0';
    if (a->n_blocks == 0 || b->n_blocks == 0)
        return -1;
    if (collect(a, b, &m) != 0)
        return SUMMARY_NO_MEMORY;
    int result = -1;
    if (m.nx > 0 && m.ny > 0) {
        double confidence = summary_confidence(s);
        bool watch = s->preset.watch;
        result = figures(&m, s->preset.rounds, confidence, watch, c) == 0 &&
                         summary_spoilers(at, baseline, candidate, &c->spoilers) == 0
                     ? 0
                     : SUMMARY_NO_MEMORY;
        c->spoilers.correlated = c->decision.correlated;
        c->spoilers.lag1 = c->decision.lag1;
        c->spoilers.n_eff = c->decision.n_eff;
        summary_refusal(&b->output, differs, SUMMARY_REFUSAL);
        int few = m.nx < m.ny ? m.nx : m.ny;
        *k = (struct summary_case){.baseline_name = a->name,
                                   .candidate_name = b->name,
                                   .confidence = confidence,
                                   .margin = s->preset.margin,
                                   .rounds = c->paired.n >= 2 ? (int)c->paired.n : few,
                                   .planned = at->rounds_planned > 0 ? at->rounds_planned : s->preset.rounds,
                                   .blocks = m.nx + m.ny,
                                   .throttled = m.throttled,
                                   .watched = watch && c->paired.n >= 2,
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
    *out = (struct comparison){.p_holm = NAN, .p_bh = NAN};
    if (baseline->n_blocks == 0 || candidate->n_blocks == 0)
        return -1;
    if (collect(baseline, candidate, &m) != 0)
        return SUMMARY_NO_MEMORY;
    m.n_pairs = 0; /* equal round numbers of two runs are no pairs: nothing ties them in time */
    int result = -1;
    if (m.nx > 0 && m.ny > 0) {
        result = figures(&m, 0, confidence, false, out);
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
    char differs[SUMMARY_REFUSAL];
    *out = (struct comparison){.baseline = baseline, .candidate = candidate, .p_holm = NAN, .p_bh = NAN};
    if (cell < 0 || cell >= s->n_cells || baseline < 0 || candidate < 0 || baseline >= s->cell[cell].n_arms ||
        candidate >= s->cell[cell].n_arms)
        return -1;
    return summary_compare_pair(s, cell, baseline, candidate, out, &k, differs);
}

int summary_comparisons(const struct session *s, struct comparison **out, struct error *e)
{
    int arms = s->preset.n_arms > 0 ? s->preset.n_arms : 1, n = s->n_cells * arms;
    size_t room = (size_t)n + 1;
    struct comparison *c = calloc(room, sizeof *c);
    struct summary_case *k = calloc(room, sizeof *k);
    char(*differs)[SUMMARY_REFUSAL] = calloc(room, sizeof *differs);
    *out = NULL;
    if (!c || !k || !differs) {
        error_set(e, ERROR_MEMORY, "no memory to compare %d pairs: close other programs", n);
        goto fail;
    }
    for (int cell = 0; cell < s->n_cells; cell++) {
        for (int arm = 0; arm < arms; arm++) {
            int i = cell * arms + arm;
            k[i].differs = "";
            c[i] = (struct comparison){.candidate = arm, .p_holm = NAN, .p_bh = NAN};
            if (arm > 0 && arm < s->cell[cell].n_arms &&
                summary_compare_pair(s, cell, 0, arm, &c[i], &k[i], differs[i]) == SUMMARY_NO_MEMORY) {
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
