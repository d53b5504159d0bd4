#include "engine/summary.h"
#include "engine/summary_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What one criterion measures on one arm; NAN: nothing to judge there. */
struct view {
    const struct session *s;
    int cell, arm;
    const struct comparison *comparison;
    const struct arm_summary *baseline, *candidate;
};

static double speedup(const struct view *v)
{
    const struct output_check *o = &v->s->cell[v->cell].arm[v->arm].output;
    bool refused = o->checked && !o->passed; /* not ranked: its speed counts for nothing */
    return v->comparison->verdict == VERDICT_NONE || refused ? NAN : v->comparison->speedup;
}

static double memory_increase(const struct view *v)
{
    const struct session_arm *arm = v->s->cell[v->cell].arm, *a = &arm[0], *b = &arm[v->arm];
    if (!a->has_measured || !b->has_measured || a->measured.peak <= 0)
        return NAN;
    return (double)(b->measured.peak - a->measured.peak) / (double)a->measured.peak;
}

static double numeric_difference(const struct view *v)
{
    const struct output_check *o = &v->s->cell[v->cell].arm[v->arm].output;
    return o->checked ? o->max_relative_error : NAN;
}

static double latency_reduction(const struct view *v)
{
    return 1 - 1 / speedup(v);
}

static double bandwidth_gain(const struct view *v)
{
    return isnan(speedup(v)) ? NAN : v->candidate->bandwidth / v->baseline->bandwidth - 1;
}

static double block_cv(const struct view *v)
{
    return v->candidate->block_cv;
}

static double perplexity_increase(const struct view *v)
{
    const struct arm_quality *base = &v->s->cell[v->cell].arm[0].quality,
                             *mine = &v->s->cell[v->cell].arm[v->arm].quality;
    return quality_perplexity_increase(base, mine);
}

static double kl(const struct view *v)
{
    return quality_figure(&v->s->cell[v->cell].arm[v->arm].quality, QUALITY_KL);
}

static double top1_agreement(const struct view *v)
{
    return quality_figure(&v->s->cell[v->cell].arm[v->arm].quality, QUALITY_TOP1);
}

struct criterion {
    const char *metric;
    bool at_least;         /* achieved must reach the target; else must not exceed it */
    bool baseline_as_well; /* judged on the baseline arm, too */
    double (*value)(const struct view *v);
};

/* In the order of struct preset_criteria's members. */
static const struct criterion criteria[SUMMARY_CRITERIA] = {
    {"min_speedup", true, false, speedup},
    {"max_memory_increase", false, false, memory_increase},
    {"max_numeric_difference", false, false, numeric_difference},
    {"min_latency_reduction", true, false, latency_reduction},
    {"min_bandwidth_gain", true, false, bandwidth_gain},
    {"max_cv", false, true, block_cv},
    {"max_perplexity_increase", false, false, perplexity_increase},
    {"max_kl", false, false, kl},
    {"min_top1_agreement", true, false, top1_agreement},
};

static void judge(const struct criterion *c, const struct view *v, struct criterion_result *r)
{
    double value = c->value(v);
    if (isnan(value))
        return;
    bool worse = c->at_least ? value < r->achieved : value > r->achieved;
    if (r->known && !worse)
        return;
    r->known = true;
    r->achieved = value;
    r->cell = v->cell;
    r->arm = v->arm;
    r->passed = c->at_least ? value >= r->target : value <= r->target;
}

static int judge_cell(const struct session *s, int cell, const struct comparison *comparisons,
                      summary_arm_source *arm_of, void *who, const double targets[SUMMARY_CRITERIA],
                      struct criterion_result *all)
{
    struct arm_summary room[2];
    const struct arm_summary *baseline = arm_of(who, s, cell, 0, &room[0]);
    for (int arm = 0; arm < s->cell[cell].n_arms && arm < s->preset.n_arms; arm++) {
        const struct arm_summary *candidate = arm_of(who, s, cell, arm, &room[1]);
        if (baseline->incomplete || candidate->incomplete)
            return -1;
        struct view v = {s, cell, arm, &comparisons[cell * s->preset.n_arms + arm], baseline, candidate};
        for (int i = 0; i < SUMMARY_CRITERIA; i++) {
            if (!isnan(targets[i]) && (arm > 0 || criteria[i].baseline_as_well))
                judge(&criteria[i], &v, &all[i]);
        }
    }
    return 0;
}

static int targets_of(const struct session *s, double targets[SUMMARY_CRITERIA])
{
    const struct preset_criteria *p = &s->preset.criteria;
    const double all[SUMMARY_CRITERIA] = {p->min_speedup,
                                          p->max_memory_increase,
                                          p->max_numeric_difference,
                                          p->min_latency_reduction,
                                          p->min_bandwidth_gain,
                                          p->max_cv,
                                          p->max_perplexity_increase,
                                          p->max_kl,
                                          p->min_top1_agreement};
    int asked = 0;
    for (int i = 0; i < SUMMARY_CRITERIA; i++) {
        targets[i] = all[i];
        asked += !isnan(all[i]);
    }
    return asked;
}

int summary_judge_criteria(const struct session *s, const struct comparison *comparisons,
                           summary_arm_source *arm_of, void *who,
                           struct criterion_result out[SUMMARY_CRITERIA])
{
    double targets[SUMMARY_CRITERIA];
    struct criterion_result all[SUMMARY_CRITERIA];
    if (targets_of(s, targets) == 0)
        return 0;
    for (int i = 0; i < SUMMARY_CRITERIA; i++) {
        all[i] = (struct criterion_result){.cell = -1, .arm = -1, .target = targets[i], .achieved = NAN};
        snprintf(all[i].metric, sizeof all[i].metric, "%s", criteria[i].metric);
    }
    for (int cell = 0; cell < s->n_cells; cell++)
        if (judge_cell(s, cell, comparisons, arm_of, who, targets, all) != 0)
            return -1;
    int n = 0;
    for (int i = 0; i < SUMMARY_CRITERIA; i++) {
        if (!isnan(targets[i]))
            out[n++] = all[i];
    }
    return n;
}

static const struct arm_summary *fresh_arm(void *who, const struct session *s, int cell, int arm,
                                           struct arm_summary *room)
{
    (void)who;
    summary_arm(s, cell, arm, room);
    return room;
}

int summary_criteria(const struct session *s, struct criterion_result out[SUMMARY_CRITERIA])
{
    struct comparison *comparisons = NULL;
    double targets[SUMMARY_CRITERIA];
    if (targets_of(s, targets) == 0)
        return 0;
    if (summary_comparisons(s, &comparisons, NULL) != 0)
        return -1;
    int n = summary_judge_criteria(s, comparisons, fresh_arm, NULL, out);
    free(comparisons);
    return n;
}
