/* The figures of a session file: computed from its samples when it is written, never read back. */
#include "engine/ablation.h"
#include "engine/session_json.h"
#include <math.h>

static int put_latency(cJSON *summary, const struct arm_summary *a, struct stats_interval ci95)
{
    const struct stats_summary *x = &a->latency;
    cJSON *o = cJSON_AddObjectToObject(summary, "latency_ms");
    int bad = json_add_int64(o, "n", a->n) && json_add_int64(o, "blocks", a->blocks) &&
                      json_add_int64(o, "rejected", a->rejected)
                  ? 0
                  : -1;
    bad |= session_put_double(o, "mean", x->mean) || session_put_double(o, "std", x->std) ||
           session_put_double(o, "min", x->min) || session_put_double(o, "max", x->max) ||
           session_put_double(o, "median", x->median) || session_put_double(o, "p90", x->p90) ||
           session_put_double(o, "p95", x->p95) || session_put_double(o, "p99", x->p99) ||
           session_put_double(o, "cv", x->cv) || session_put_interval(o, "ci95", ci95) ||
           session_put_double(o, "mad", x->mad) || session_put_double(o, "lag1", x->lag1) ||
           session_put_double(o, "block_cv", a->block_cv);
    /* A percentile is an order statistic: below these n it has no interval and should not be quoted. */
    cJSON *supported = cJSON_AddObjectToObject(o, "supported");
    return bad || !cJSON_AddBoolToObject(supported, "p90", a->p90_supported) ||
                   !cJSON_AddBoolToObject(supported, "p95", a->p95_supported) ||
                   !cJSON_AddBoolToObject(supported, "p99", a->p99_supported)
               ? -1
               : 0;
}

/* What the variance of a block mean is made of, as shares; null where it cannot be told. */
static int put_budget(cJSON *summary, const struct session *s, int cell, int arm)
{
    struct stats_variance_budget v;
    int told = summary_budget(s, cell, arm, &v);
    if (told == SUMMARY_NO_MEMORY)
        return -1;
    if (told != 0)
        return cJSON_AddNullToObject(summary, "variance_budget") ? 0 : -1;
    cJSON *o = cJSON_AddObjectToObject(summary, "variance_budget");
    return session_put_double(o, "within_block", v.within) ||
                   session_put_double(o, "between_blocks", v.between) ||
                   session_put_double(o, "clock", v.clock) || session_put_double(o, "outliers", v.outliers)
               ? -1
               : 0;
}

cJSON *session_write_summary(const struct session *s, int cell, int arm)
{
    struct arm_summary a, at95;
    summary_arm(s, cell, arm, &a);
    at95 = a;
    if (summary_confidence(s) != 0.95) { /* "ci95" means 95 % whatever the preset asks for */
        struct session view = *s;
        view.preset.confidence = 0.95;
        summary_arm(&view, cell, arm, &at95);
    }
    cJSON *o = cJSON_CreateObject();
    int bad = a.incomplete || at95.incomplete || put_latency(o, &a, at95.latency.ci);
    cJSON *t = cJSON_AddObjectToObject(o, "tokens_per_second");
    bad |= session_put_double(t, "mean", a.tokens_per_second) ||
           session_put_interval(t, "ci95", at95.tokens_per_second_ci) ||
           session_put_double(t, "peak", a.tokens_per_second_peak) ||
           session_put_double(t, "sustained", a.tokens_per_second_sustained) ||
           session_put_double(t, "mean_of_rates", a.mean_of_rates);
    bad |= session_put_double(o, "time_to_first_token_ms", a.time_to_first_token_ms) ||
           session_put_double(o, "time_per_output_token_ms", a.time_per_output_token_ms) ||
           session_put_double(o, "cold_start_ms", a.cold_start_ms) ||
           session_put_double(o, "load_ms", a.load_ms) ||
           session_put_double(o, "host_mean_ms", a.host_mean_ms) ||
           session_put_double(o, "bandwidth", a.bandwidth) ||
           session_put_double(o, "flop_rate", a.flop_rate) ||
           session_put_double(o, "bandwidth_share", a.bandwidth_share) ||
           session_put_double(o, "flop_share", a.flop_share) ||
           session_put_double(o, "bandwidth_sheet_share", a.bandwidth_sheet_share) ||
           session_put_double(o, "flop_sheet_share", a.flop_sheet_share) ||
           session_put_double(o, "limit_share", a.limit_share);
    if (isfinite(a.texts_per_second))
        bad |= session_put_double(o, "texts_per_second", a.texts_per_second);
    if (isfinite(a.text_bytes_per_second))
        bad |= session_put_double(o, "text_bytes_per_second", a.text_bytes_per_second);
    bad |= json_add_int64(o, "flagged_blocks", a.flagged_blocks) ? 0 : -1;
    bad |= put_budget(o, s, cell, arm);
    if (bad) {
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

/* What spoils a comparison; null for what does not. */
static int put_spoilers(cJSON *comparison, const struct spoilers *s)
{
    cJSON *o = cJSON_AddObjectToObject(comparison, "spoilers");
    int bad = json_add_int64(o, "blocks", s->blocks) && json_add_int64(o, "throttled", s->throttled) &&
                      json_add_int64(o, "warmup_not_steady", s->unsteady) &&
                      json_add_int64(o, "clock_fault", s->clock_faults)
                  ? 0
                  : -1;
    cJSON *modes = s->bimodal ? cJSON_AddArrayToObject(o, "modes_ms") : cJSON_AddNullToObject(o, "modes_ms");
    for (int i = 0; s->bimodal && i < 2; i++)
        bad |= session_push_item(modes, cJSON_CreateNumber(s->mode_ms[i]));
    return bad || !modes ||
                   session_put_double(o, "drift_per_minute", s->drifts ? s->drift_per_minute : NAN) ||
                   session_put_double(o, "lag1", s->lag1) ||
                   session_put_double(o, "effective_rounds", s->n_eff)
               ? -1
               : 0;
}

int session_write_comparison(cJSON *o, const struct comparison *c, const struct comparison *at95,
                             double confidence)
{
    int bad =
        session_put_double(o, "speedup", c->speedup) ||
        session_put_interval(o, "speedup_ci95", at95->speedup_ci) ||
        session_put_interval(o, "speedup_ci", c->speedup_ci) || /* the one that decided, at "confidence" */
        session_put_double(o, "confidence", confidence) ||
        session_put_double(o, "speedup_of_means", c->speedup_of_means) ||
        session_put_double(o, "improvement_pct", c->improvement_pct);
    cJSON *welch = cJSON_AddObjectToObject(o, "welch");
    bad |= session_put_double(welch, "t", c->welch.t) || session_put_double(welch, "df", c->welch.df) ||
           session_put_double(welch, "p", c->welch.p);
    if (c->paired.n > 0) {
        cJSON *paired = cJSON_AddObjectToObject(o, "paired");
        bad |= json_add_int64(paired, "n", (int64_t)c->paired.n) ? 0 : -1;
        bad |= session_put_double(paired, "mean_log_ratio", c->paired.mean_log_ratio) ||
               session_put_interval(paired, "ci95", at95->paired.ci) ||
               session_put_double(paired, "p", c->paired.p);
    } else {
        bad |= cJSON_AddNullToObject(o, "paired") ? 0 : -1;
    }
    bad |= session_put_double(o, "cohens_d", c->effect.cohens_d) ||
           session_put_double(o, "hedges_g", c->effect.hedges_g) || session_put_double(o, "p", c->p) ||
           session_put_double(o, "p_holm", c->p_holm) ||
           session_put_double(o, "p_benjamini_hochberg", c->p_bh) ||
           session_put_interval(o, "speedup_ci_always_valid", c->always_ci);
    bad |= json_add_int64(o, "family", c->family) && cJSON_AddBoolToObject(o, "final", c->final) ? 0 : -1;
    bad |= put_spoilers(o, &c->spoilers);
    bad |= session_put_text(o, "verdict", verdict_names[c->verdict]) ||
           session_put_text(o, "reason_code", reason_names[c->reason_code]) ||
           session_put_text(o, "reason", c->reason) || session_put_text(o, "sentence", c->sentence);
    return bad ? -1 : 0;
}

static int put_contrast(cJSON *o, const struct stats_contrast *c)
{
    struct stats_interval ci = {100 * expm1(c->ci.low), 100 * expm1(c->ci.high)};
    int bad = json_add_int64(o, "rounds", (int64_t)c->n) ? 0 : -1;
    bad |= session_put_double(o, "speedup_pct", 100 * expm1(c->estimate)) ||
           session_put_interval(o, "ci_pct", ci) || session_put_double(o, "p", c->p);
    return bad ? -1 : 0;
}

static int put_effect(cJSON *list, const struct ablation *a, int i)
{
    const struct stats_factor_effect *e = &a->effect[i];
    cJSON *o = cJSON_CreateObject(), *factors;
    char alias[96] = "";
    if (session_push_item(list, o) != 0 || !(factors = cJSON_AddArrayToObject(o, "factors")))
        return -1;
    for (int f = 0; f < a->design->n_factors; f++)
        if ((e->factors >> f & 1) &&
            session_push_item(factors, cJSON_CreateString(a->design->factor[f].name)) != 0)
            return -1;
    if (e->alias >= 0)
        ablation_effect_name(a, e->alias, alias, sizeof alias);
    return put_contrast(o, &e->contrast) || session_put_double(o, "p_holm", a->p_holm[i]) ||
           session_put_text(o, "not_told_from", alias);
}

static int put_gain(cJSON *list, const struct ablation *a, const struct ablation_gain *g)
{
    cJSON *o = cJSON_CreateObject();
    return session_push_item(list, o) || session_put_text(o, "factor", a->design->factor[g->factor].name) ||
                   session_put_text(o, "on_top_of", g->on >= 0 ? a->design->factor[g->on].name : "") ||
                   !cJSON_AddBoolToObject(o, "direct", g->direct) || put_contrast(o, &g->log_speedup)
               ? -1
               : 0;
}

int session_write_ablation(cJSON *root, const struct session *s)
{
    if (s->preset.design.n_factors == 0)
        return 0;
    cJSON *o = cJSON_AddObjectToObject(root, "ablation"), *cells = cJSON_AddArrayToObject(o, "cells");
    int bad = session_put_double(o, "confidence", summary_confidence(s));
    for (int i = 0; i < s->n_cells && cells && !bad; i++) {
        struct ablation a;
        if (ablation_of(s, i, &a) < 0)
            continue;
        cJSON *cell = cJSON_CreateObject();
        bad = session_push_item(cells, cell) || !cJSON_AddNumberToObject(cell, "cell", i);
        cJSON *effects = cJSON_AddArrayToObject(cell, "effects"),
              *gains = cJSON_AddArrayToObject(cell, "gains");
        for (int k = 0; k < a.n_effects && !bad; k++)
            bad = put_effect(effects, &a, k);
        for (int k = 0; k < a.n_gains && !bad; k++)
            bad = put_gain(gains, &a, &a.gain[k]);
    }
    return bad || !cells ? -1 : 0;
}
