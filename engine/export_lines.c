/* jsonl and csv: a line per block, a row per arm. */
#include "engine/export_formats.h"
#include "engine/session_json.h"
#include "engine/text.h"
#include "presets/implementation_json.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- jsonl */

/* The members of one object, moved behind those of another. */
static int append_members(cJSON *to, cJSON *from)
{
    int bad = 0;
    while (from && from->child) {
        cJSON *item = cJSON_DetachItemViaPointer(from, from->child);
        bad |= session_push_item(to, item); /* the item brings its key along */
    }
    cJSON_Delete(from);
    return bad || !from ? -1 : 0;
}

static cJSON *block_line(const struct session *s, int cell, int arm, const struct block *b)
{
    const struct session_cell *c = &s->cell[cell];
    cJSON *o = cJSON_CreateObject();
    int bad = session_put_text(o, "session", s->id) || session_put_text(o, "started", s->started) ||
              (s->environment.device[0] && session_put_text(o, "device", s->environment.device)) ||
              session_write_cell(o, c) || session_put_text(o, "arm", c->arm[arm].name);
    /* The cell's outcome is not the block's. */
    cJSON_DeleteItemFromObjectCaseSensitive(o, "stop_rule");
    cJSON_DeleteItemFromObjectCaseSensitive(o, "rounds_planned");
    bad = bad ||
          implementation_write(cJSON_AddObjectToObject(o, "implementation"), &c->arm[arm].implementation) ||
          session_write_quality(o, &c->arm[arm]) || append_members(o, session_write_block(b));
    if (bad) {
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

char *export_jsonl(const struct session *s, struct error *e)
{
    struct text out = {0};
    for (int i = 0; i < s->n_cells; i++) {
        for (int j = 0; j < s->cell[i].n_arms; j++) {
            const struct session_arm *a = &s->cell[i].arm[j];
            for (int b = 0; b < a->n_blocks && !out.failed; b++) {
                cJSON *o = block_line(s, i, j, a->blocks[b]);
                char *line = o ? json_print(o, 0) : NULL;
                cJSON_Delete(o);
                if (line) {
                    text_add(&out, line);
                    text_add(&out, "\n");
                } else {
                    out.failed = true;
                }
                free(line);
            }
        }
    }
    return text_take(&out, e);
}

/* --- csv (RFC 4180 quoting; lines end with a newline alone) */

static void csv_text(struct text *out, const char *value)
{
    bool quote = strpbrk(value, ",\"\r\n") != NULL;
    if (quote)
        text_add(out, "\"");
    for (const char *p = value; *p; p++) {
        if (*p == '"')
            text_add(out, "\"");
        text_put(out, p, 1);
    }
    if (quote)
        text_add(out, "\"");
    text_add(out, ",");
}

/* Absent figures are empty fields. */
static void csv_number(struct text *out, double value)
{
    char number[40] = "";
    if (isfinite(value))
        json_number_text(value, number, sizeof number);
    text_format(out, "%s,", number);
}

static void csv_axes(struct text *out, const struct implementation *i)
{
    for (int axis = 0; axis < implementation_n_axes; axis++) {
        char value[160];
        implementation_get(i, axis, value, sizeof value);
        csv_text(out, value);
    }
}

static void csv_summary(struct text *out, const struct arm_summary *a)
{
    const struct stats_summary *x = &a->latency;
    const double figures[] = {a->n,
                              a->blocks,
                              a->rejected,
                              a->flagged_blocks,
                              x->mean,
                              x->ci.low,
                              x->ci.high,
                              x->std,
                              x->min,
                              x->max,
                              x->median,
                              x->p90,
                              x->p95,
                              x->p99,
                              x->cv,
                              x->mad,
                              x->lag1,
                              a->block_cv,
                              a->host_mean_ms,
                              a->tokens_per_second,
                              a->tokens_per_second_ci.low,
                              a->tokens_per_second_ci.high,
                              a->tokens_per_second_peak,
                              a->tokens_per_second_sustained,
                              a->mean_of_rates,
                              a->time_to_first_token_ms,
                              a->time_per_output_token_ms,
                              a->cold_start_ms,
                              a->load_ms,
                              a->bandwidth,
                              a->flop_rate,
                              a->bandwidth_share,
                              a->flop_share};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        csv_number(out, figures[i]);
}

static const char csv_summary_head[] =
    "n,blocks,rejected,flagged_blocks,mean_ms,mean_ci_low_ms,mean_ci_high_ms,std_ms,min_ms,max_ms,median_ms,"
    "p90_ms,"
    "p95_ms,p99_ms,cv,mad_ms,lag1,block_cv,host_mean_ms,tokens_per_second,tokens_per_second_ci_low,"
    "tokens_per_second_ci_high,tokens_per_second_peak,tokens_per_second_sustained,mean_of_rates,"
    "time_to_first_token_ms,time_per_output_token_ms,cold_start_ms,load_ms,bandwidth_bytes_per_second,"
    "flops_per_second,bandwidth_share,flop_share,";
static const char csv_memory_head[] =
    "weights_bytes,activations_bytes,kv_cache_bytes,overhead_bytes,peak_bytes,average_bytes,kv_used_bytes,"
    "kv_committed_bytes,kv_reserved_bytes,kv_contiguous_bytes,kv_exposed_ms,"
    "device,";
static const char csv_comparison_head[] =
    "speedup,speedup_ci_low,speedup_ci_high,improvement_pct,welch_t,welch_df,welch_p,paired_n,paired_p,"
    "cohens_d,"
    "hedges_g,p_holm,p_benjamini_hochberg,always_valid_low,always_valid_high,max_relative_error,top1_"
    "agreement,"
    "verdict,reason_code,verdict_reason,";
static const char csv_quality_head[] =
    "quality_source,scored_tokens,window,nll,nll_se,perplexity,bits_per_byte,kl,kl_p99,kl_max,kl_top1_"
    "agreement,"
    "response_agreement,response_prefix,not_equivalent,quality_note,texts,text_tokens,text_bytes,"
    "standard_tokens,texts_per_second,text_bytes_per_second\n";

static void csv_memory(struct text *out, const struct session_arm *a)
{
    const int64_t part[] = {a->measured.weights,  a->measured.activations, a->measured.kv_cache,
                            a->measured.overhead, a->measured.peak,        a->measured.average,
                            a->measured.kv_used};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        csv_number(out, a->has_measured ? (double)part[i] : (double)NAN);
    const struct memory_pages *p = &a->measured.kv_pages;
    const double cache[] = {(double)p->committed, (double)p->reserved, (double)p->contiguous,
                            (double)p->exposed_ns / 1e6};
    for (size_t i = 0; i < sizeof cache / sizeof cache[0]; i++)
        csv_number(out, a->has_measured && p->page_bytes > 0 ? cache[i] : (double)NAN);
}

static void csv_comparison(struct text *out, const struct comparison *c, const struct output_check *o)
{
    bool any = c->verdict != VERDICT_NONE;
    const double figures[] = {c->speedup,  c->speedup_ci.low,  c->speedup_ci.high, c->improvement_pct,
                              c->welch.t,  c->welch.df,        c->welch.p,         (double)c->paired.n,
                              c->paired.p, c->effect.cohens_d, c->effect.hedges_g, c->p_holm,
                              c->p_bh,     c->always_ci.low,   c->always_ci.high};
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        csv_number(out, any ? figures[i] : (double)NAN);
    csv_number(out, o->checked ? o->max_relative_error : (double)NAN);
    csv_number(out, o->checked ? o->top1_agreement : (double)NAN);
    csv_text(out, verdict_names[c->verdict]);
    csv_text(out, reason_names[c->reason_code]);
    csv_text(out, c->reason);
}

static void csv_quality(struct text *out, const struct session_arm *arm, const struct arm_summary *a)
{
    const struct arm_quality *q = &arm->quality;
    const struct text_figures *t = &arm->text;
    const struct {
        unsigned bit;
        double value;
    } figures[] = {{QUALITY_PERPLEXITY, q->nll},
                   {QUALITY_PERPLEXITY, q->nll_se},
                   {QUALITY_PERPLEXITY, q->perplexity},
                   {QUALITY_BITS, q->bits_per_byte},
                   {QUALITY_KL, q->kl},
                   {QUALITY_KL, q->kl_p99},
                   {QUALITY_KL, q->kl_max},
                   {QUALITY_TOP1, q->top1_agreement},
                   {QUALITY_RESPONSES, q->response_agreement},
                   {QUALITY_RESPONSES, q->response_prefix}};
    csv_text(out, q->source);
    csv_number(out, q->tokens > 0 ? (double)q->tokens : (double)NAN);
    csv_number(out, q->window > 0 ? (double)q->window : (double)NAN);
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        csv_number(out, q->known & figures[i].bit ? figures[i].value : (double)NAN);
    csv_text(out, q->not_equivalent ? "true" : q->source[0] ? "false" : "");
    csv_text(out, q->note);
    const double text[] = {(double)t->texts, (double)t->tokens, (double)t->bytes};
    for (int i = 0; i < 3; i++)
        csv_number(out, t->known & TEXT_TOKENS ? text[i] : (double)NAN);
    csv_number(out, t->known & TEXT_STANDARD ? (double)t->standard_tokens : (double)NAN);
    csv_number(out, a->texts_per_second);
    csv_number(out, a->text_bytes_per_second);
    if (out->n > 0 && !out->failed)
        out->bytes[out->n - 1] = '\n'; /* instead of the comma after the last field */
}

char *export_csv(const struct session *s, struct error *e)
{
    struct comparison *comparisons;
    if (summary_comparisons(s, &comparisons, e) != 0)
        return NULL;
    struct text out = {0};
    text_add(&out, "session,model,workload,batch,seq,tokens,arm,");
    for (int axis = 0; axis < implementation_n_axes; axis++)
        csv_text(&out, implementation_axes[axis].name);
    text_add(&out, "cell_status,arm_status,reason,");
    text_add(&out, csv_summary_head);
    text_add(&out, csv_memory_head);
    text_add(&out, csv_comparison_head);
    text_add(&out, csv_quality_head);
    for (int i = 0; i < s->n_cells; i++) {
        const struct session_cell *c = &s->cell[i];
        for (int j = 0; j < c->n_arms && j < s->preset.n_arms; j++) {
            const struct session_arm *arm = &c->arm[j];
            struct arm_summary a;
            summary_arm(s, i, j, &a);
            out.failed = out.failed || a.incomplete;
            csv_text(&out, s->id);
            csv_text(&out, c->model);
            csv_text(&out, workload_names[c->workload]);
            csv_number(&out, c->batch);
            csv_number(&out, c->seq);
            csv_number(&out, c->tokens > 0 ? c->tokens : (double)NAN);
            csv_text(&out, arm->name);
            csv_axes(&out, &arm->implementation);
            csv_text(&out, cell_status_names[c->status]);
            csv_text(&out, cell_status_names[arm->status]);
            csv_text(&out, arm->reason[0] ? arm->reason : c->reason);
            csv_summary(&out, &a);
            csv_memory(&out, arm);
            csv_text(&out, s->environment.device[0] ? s->environment.device : s->environment.cpu);
            csv_comparison(&out, &comparisons[i * s->preset.n_arms + j], &arm->output);
            csv_quality(&out, arm, &a);
        }
    }
    free(comparisons);
    return text_take(&out, e);
}
