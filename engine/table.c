#include "engine/table.h"
#include "engine/ablation.h"
#include "engine/cache_table.h"
#include "engine/columns.h"
#include "engine/export.h"
#include "engine/figure.h"
#include "engine/nvml.h"
#include "engine/worth.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct column results[] = {
    {"model", true, 0},      {"workload", true, 0},  {"batch", false, 0},   {"seq", false, 0},
    {"arm", true, 0},        {"n", false, 9},        {"blocks", false, 8},  {"mean ms", false, 0},
    {"± ms", false, 4},      {"p50 ms", false, 10},  {"p90 ms", false, 12}, {"p95 ms", false, 11},
    {"p99 ms", false, 7},    {"tok/s", false, 2},    {"GB/s", false, 6},    {"of limit", false, 5},
    {"peak MiB", false, 3},  {"speed-up", false, 0}, {"interval", true, 1}, {"perplexity", false, 2},
    {"bits/byte", false, 1}, {"KL nats", false, 1},  {"top-1", false, 3},   {"verdict", true, 0}};
enum { RESULTS = sizeof results / sizeof results[0], LINE = 2048 };

/* Which of a cell's coordinates are the same in every cell: they are told once, above the table. */
struct common {
    bool model, workload, batch, seq;
};

static struct common find_common(const struct session *s)
{
    struct common same = {true, true, true, true};
    for (int i = 1; i < s->n_cells; i++) {
        const struct session_cell *a = &s->cell[0], *b = &s->cell[i];
        same.model = same.model && strcmp(a->model, b->model) == 0;
        same.workload = same.workload && a->workload == b->workload;
        same.batch = same.batch && a->batch == b->batch;
        same.seq = same.seq && a->seq == b->seq;
    }
    return same;
}

char *table_cell_words(const struct session *s, int cell, char *out, size_t size)
{
    const struct session_cell *c = &s->cell[cell];
    struct common same = find_common(s);
    struct text t = text_in(out, size);
    if (!same.model)
        text_add(&t, session_model_name(c));
    if (!same.workload)
        text_format(&t, "%s%s", t.n ? " " : "", workload_names[c->workload]);
    if (!same.batch)
        text_format(&t, "%sbatch %d", t.n ? ", " : "", c->batch);
    if (!same.seq)
        text_format(&t, "%sseq %d", t.n ? ", " : "", c->seq);
    return out;
}

void table_common(const struct session *s, struct text *head)
{
    struct common same = find_common(s);
    if (s->n_cells == 0)
        return;
    if (same.model)
        text_format(head, " · %s", session_model_name(&s->cell[0]));
    if (same.workload)
        text_format(head, " · %s", workload_names[s->cell[0].workload]);
    if (same.batch)
        text_format(head, " · batch %d", s->cell[0].batch);
    if (same.seq)
        text_format(head, " · seq %d", s->cell[0].seq);
}

static void put_number(struct columns *t, double value, int decimals)
{
    char text[FIGURE_TEXT * 12];
    columns_cell(t, figure_fixed(value, decimals, text, sizeof text));
}

/* Of a percentile: shown where the sample supports it. */
static void put_percentile(struct columns *t, double value, bool supported, int decimals)
{
    char text[FIGURE_TEXT * 12];
    figure_fixed(value, decimals, text, sizeof text);
    if (supported || !isfinite(value))
        columns_cell(t, text);
    else
        columns_weak(t, text);
}

static void put_digits(struct columns *t, double value, int digits)
{
    char text[FIGURE_TEXT * 12];
    columns_cell(t, figure_digits(value, digits, text, sizeof text));
}

static void put_int(struct columns *t, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    columns_cell(t, value > 0 ? text : "");
}

/* Decimals for a latency: what its interval supports, else four digits. */
static int latency_decimals(const struct arm_summary *a)
{
    double half = (a->latency.ci.high - a->latency.ci.low) / 2;
    if (isfinite(half) && half > 0)
        return figure_scale_decimals(a->latency.mean, half);
    int magnitude = a->latency.mean > 0 ? (int)floor(log10(a->latency.mean)) : 0;
    int decimals = 3 - magnitude;
    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

static void put_latency(struct columns *t, const struct arm_summary *a)
{
    char rate[FIGURE_TEXT * 12];
    int d = latency_decimals(a);
    put_int(t, a->n);
    put_int(t, a->blocks);
    put_number(t, a->latency.mean, d);
    put_number(t, (a->latency.ci.high - a->latency.ci.low) / 2, d);
    put_number(t, a->latency.median, d);
    put_percentile(t, a->latency.p90, a->p90_supported, d);
    put_percentile(t, a->latency.p95, a->p95_supported, d);
    put_percentile(t, a->latency.p99, a->p99_supported, d);
    columns_cell(t, figure_rate(a->tokens_per_second, 4, rate, sizeof rate));
    put_digits(t, a->bandwidth / 1e9, 3);
    char percent[FIGURE_TEXT * 12];
    columns_cell(t, figure_percent(a->limit_share, a->limit_share < 0.0995 ? 1 : 0, percent, sizeof percent));
}

static void put_memory(struct columns *t, const struct session_arm *arm)
{
    char number[FIGURE_TEXT * 12], text[FIGURE_TEXT * 12 + 4];
    int64_t peak = arm->has_measured ? arm->measured.peak : arm->predicted.peak;
    figure_digits(peak > 0 ? (double)peak / 1048576 : NAN, 3, number, sizeof number);
    snprintf(text, sizeof text, "%s%s", !arm->has_measured && peak > 0 ? "~" : "", number);
    columns_cell(t, text);
}

/* Nothing where no arm differs in what its output is worth: then the columns are left out. */
static void put_quality(struct columns *t, const struct session *s, const struct session_arm *arm)
{
    for (int f = 0; f <= WORTH_TOP1; f++) {
        char text[FIGURE_TEXT * 12] = "";
        if (worth_has(s, (enum worth_figure)f))
            worth_text(&arm->quality, (enum worth_figure)f, text, sizeof text);
        columns_cell(t, text);
    }
}

static void put_comparison(struct columns *t, const struct session *s, const struct session_cell *cell,
                           const struct session_arm *arm, const struct comparison *c,
                           const struct arm_summary *a)
{
    char number[FIGURE_TEXT * 12], interval[96], verdict[64];
    bool state = a->n == 0 && cell->status != CELL_RUNNING;
    if (c->verdict == VERDICT_NONE) {
        columns_cell(t, "");
        columns_cell(t, "");
        put_quality(t, s, arm);
        enum cell_status status = session_arm_status(cell, (int)(arm - cell->arm));
        status = status == CELL_OK ? cell->status : status;
        columns_cell(t, state ? cell_status_names[status] : "");
        return;
    }
    double half = (c->speedup_ci.high - c->speedup_ci.low) / 2;
    int d = figure_scale_decimals(c->speedup, isfinite(half) ? half : 0.02);
    columns_cell(t, figure_fixed(c->speedup, d, number, sizeof number));
    columns_cell(t, figure_interval(c->speedup_ci.low, c->speedup_ci.high, d, interval, sizeof interval));
    put_quality(t, s, arm);
    columns_cell(t, worth_verdict(c, arm, verdict, sizeof verdict));
}

struct columns *table_results(const struct session *s, const struct comparison *comparisons, struct text *out)
{
    struct common same = find_common(s);
    struct columns *t = columns_new(results, RESULTS);
    if (!t)
        return NULL;
    for (int i = 0; i < s->n_cells; i++) {
        const struct session_cell *cell = &s->cell[i];
        for (int j = 0; j < cell->n_arms && j < s->preset.n_arms; j++) {
            struct arm_summary a;
            summary_arm(s, i, j, &a);
            out->failed = out->failed || a.incomplete;
            bool first = j == 0;
            columns_cell(t, first && !same.model ? session_model_name(cell) : "");
            columns_cell(t, first && !same.workload ? workload_names[cell->workload] : "");
            put_int(t, first && !same.batch ? cell->batch : 0);
            put_int(t, first && !same.seq ? cell->seq : 0);
            columns_cell(t, cell->arm[j].name);
            put_latency(t, &a);
            put_memory(t, &cell->arm[j]);
            put_comparison(t, s, cell, &cell->arm[j], &comparisons[i * s->preset.n_arms + j], &a);
        }
    }
    return t;
}

/* Which flags the blocks of an arm carry: "2 of 10 blocks throttled, 1 of 10 blocks not steady". */
static void add_flags(const struct session_arm *arm, const char *separator, struct text *line)
{
    static const struct {
        unsigned bit;
        const char *words;
    } flags[] = {{BLOCK_THROTTLED, "throttled"},
                 {BLOCK_WARMUP_NOT_STEADY, "measured before warm-up was steady"},
                 {BLOCK_CLOCK_FAULT, "with a clock fault"},
                 {BLOCK_PARTIAL, "cut short"}};
    bool any = false;
    for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++) {
        unsigned reasons = 0;
        int n = 0;
        for (int i = 0; i < arm->n_blocks; i++)
            if (arm->blocks[i]->flags & flags[f].bit) {
                reasons |= flags[f].bit == BLOCK_THROTTLED ? arm->blocks[i]->telemetry.reasons : 0;
                n++;
            }
        char words[200];
        nvml_reasons_text(reasons & NVML_THROTTLES, words, sizeof words);
        if (n > 0)
            text_format(line, "%s%d of %d blocks %s%s%s%s", any ? ", " : separator, n, arm->n_blocks,
                        flags[f].words, words[0] ? " (" : "", words, words[0] ? ")" : "");
        any = any || n > 0;
    }
}

/* A recorded step's cold start, and what a virtual cache mapped. */
static void add_machinery(const struct session_arm *arm, size_t start, struct text *line)
{
    char number[4][FIGURE_TEXT];
    const struct runner_graph *g = &arm->graph;
    const struct memory_pages *p = &arm->measured.kv_pages;
    if (g->launches > 0 && g->nodes == 0)
        text_format(line, "%s%d launches per step, the first step %s ms", line->n > start ? "; " : "",
                    g->launches,
                    figure_digits((double)g->first_eager_ns / 1e6, 3, number[0], sizeof number[0]));
    if (g->nodes > 0)
        text_format(
            line, "%sstep of %d nodes recorded in %s ms, first replay %s ms, then %s ms",
            line->n > start ? "; " : "", g->nodes,
            figure_digits((double)(g->capture_ns + g->instantiate_ns) / 1e6, 3, number[0], sizeof number[0]),
            figure_digits((double)g->first_replay_ns / 1e6, 3, number[1], sizeof number[0]),
            figure_digits((double)g->replay_ns / 1e6, 3, number[2], sizeof number[0]));
    if (g->nodes > 0)
        text_format(line, "; launched one by one %s ms",
                    figure_digits((double)g->eager_ns / 1e6, 3, number[0], sizeof number[0]));
    if (arm->implementation.kv_cache != KV_CACHE_VIRTUAL)
        return;
    if (p->page_bytes > 0)
        text_format(
            line, "%scache pages: %s mapped of %s reserved, %s per sequence unused, %s ms of mapping",
            line->n > start ? "; " : "", figure_bytes((double)p->committed, number[0], sizeof number[0]),
            figure_bytes((double)p->reserved, number[1], sizeof number[0]),
            figure_bytes((double)p->wasted, number[2], sizeof number[0]),
            figure_digits((double)(p->hidden_ns + p->exposed_ns) / 1e6, 3, number[3], sizeof number[0]));
    if (p->page_bytes > 0)
        text_format(line, ", %s ms waited for",
                    figure_digits((double)p->exposed_ns / 1e6, 3, number[0], sizeof number[0]));
}

void table_notes(const struct session *s, int width, struct text *out)
{
    for (int i = 0; i < s->n_cells; i++) {
        const struct session_cell *cell = &s->cell[i];
        char where[400], buffer[LINE];
        table_cell_words(s, i, where, sizeof where);
        if (cell->reason[0]) {
            struct text line = text_in(buffer, sizeof buffer);
            text_format(&line, "%s%s%s: %s", where, where[0] ? ": " : "", cell_status_names[cell->status],
                        cell->reason);
            columns_wrap(buffer, width, 2, out);
        }
        for (int j = 0; j < cell->n_arms; j++) {
            const struct session_arm *arm = &cell->arm[j];
            struct arm_summary a;
            summary_arm(s, i, j, &a);
            out->failed = out->failed || a.incomplete;
            struct text line = text_in(buffer, sizeof buffer);
            text_format(&line, "%s%s%s: ", where, where[0] ? ", " : "", arm->name);
            size_t start = line.n;
            if (arm->reason[0] && strcmp(arm->reason, cell->reason) != 0)
                text_format(&line, "%s: %s", cell_status_names[arm->status], arm->reason);
            if (a.rejected > 0)
                text_format(&line, "%s%d samples refused: clock fault", line.n > start ? "; " : "",
                            a.rejected);
            if (arm->quality.note[0])
                text_format(&line, "%s%s", line.n > start ? "; " : "", arm->quality.note);
            add_flags(arm, line.n > start ? "; " : "", &line);
            add_machinery(arm, start, &line);
            if (line.n > start)
                columns_wrap(buffer, width, 2, out);
        }
    }
}

void table_percentile_note(const struct session *s, int width, struct text *out)
{
    double c = summary_confidence(s);
    bool any = false;
    for (int i = 0; i < s->n_cells; i++) {
        for (int j = 0; j < s->cell[i].n_arms; j++) {
            struct arm_summary a;
            any = any || (summary_arm(s, i, j, &a) == 0 && !a.p99_supported);
            out->failed = out->failed || a.incomplete;
        }
    }
    char line[160];
    snprintf(line, sizeof line,
             "A percentile needs samples enough for its own interval: p90 %d, p95 %d, p99 %d.",
             stats_quantile_min_n(0.90, c), stats_quantile_min_n(0.95, c), stats_quantile_min_n(0.99, c));
    if (any)
        columns_wrap(line, width, 2, out);
}

/* More than was measured is no feat of the arm: the ceiling was taken while the machine gave less. */
void table_limit_note(const struct session *s, int width, struct text *out)
{
    double most = 0;
    for (int i = 0; i < s->n_cells; i++)
        for (int j = 0; j < s->cell[i].n_arms; j++) {
            struct arm_summary a;
            if (summary_arm(s, i, j, &a) == 0 && a.limit_share > most)
                most = a.limit_share;
        }
    if (most > 1)
        columns_wrap(
            "Shares of the limit above 100 %: the limits were measured while this machine gave less than "
            "during the run; benchtop doctor --measure takes them again.",
            width, 2, out);
}

/* A perplexity is comparable with those of the same rule alone. */
static void print_rule(const struct session *s, int width, struct text *out)
{
    char line[200];
    if (worth_has(s, WORTH_PERPLEXITY) && worth_rule(s, line, sizeof line)[0])
        columns_wrap(line, width, 2, out);
}

static void print_sentences(const struct session *s, const struct comparison *comparisons, int width,
                            struct text *out)
{
    int family = 0;
    for (int i = 0; i < s->n_cells; i++) {
        for (int j = 1; j < s->preset.n_arms; j++) {
            const struct comparison *c = &comparisons[i * s->preset.n_arms + j];
            if (c->verdict == VERDICT_NONE)
                continue;
            family = c->family > family ? c->family : family;
            char where[400], buffer[LINE], cost[160], source[160];
            struct text line = text_in(buffer, sizeof buffer);
            if (table_cell_words(s, i, where, sizeof where)[0])
                text_format(&line, "%s: ", where);
            text_add(&line, c->sentence);
            if (worth_cost(s, i, j, cost, sizeof cost)[0])
                text_format(&line, "; %s", cost);
            if (cost[0] && worth_source(s, i, source, sizeof source)[0])
                text_format(&line, " on %s", source);
            summary_calibration_text(s, i, c, buffer + line.n, sizeof buffer - line.n);
            columns_wrap(buffer, width, 2, out);
        }
    }
    if (family > 1) {
        char line[160];
        snprintf(line, sizeof line, "Verdicts hold over the family of %d comparisons (Holm).", family);
        columns_wrap(line, width, 2, out);
    }
}

struct columns *table_criteria(const struct session *s, struct text *out)
{
    static const struct column head[] = {{"criterion", true, 0},
                                         {"target", false, 0},
                                         {"achieved", false, 0},
                                         {"status", true, 0},
                                         {"worst case", true, 1}};
    struct criterion_result r[SUMMARY_CRITERIA];
    int n = summary_criteria(s, r);
    out->failed = out->failed || n < 0;
    struct columns *t = n > 0 ? columns_new(head, 5) : NULL;
    for (int i = 0; i < n && t; i++) {
        char where[512] = "no data";
        if (r[i].cell >= 0) {
            table_cell_words(s, r[i].cell, where, sizeof where);
            size_t used = strlen(where);
            snprintf(where + used, sizeof where - used, "%s%s", used ? ", " : "",
                     s->cell[r[i].cell].arm[r[i].arm].name);
        }
        columns_cell(t, r[i].metric);
        put_digits(t, r[i].target, 2);
        char achieved[FIGURE_TEXT * 12];
        columns_cell(t, figure_against(r[i].achieved, r[i].target, 3, achieved, sizeof achieved));
        columns_cell(t, !r[i].known ? "no data" : r[i].passed ? "passed" : "FAILED");
        columns_cell(t, where);
    }
    out->failed = out->failed || (n > 0 && !t);
    return t;
}

char *table_print(const struct session *s, int width, struct error *e)
{
    struct comparison *comparisons;
    if (summary_comparisons(s, &comparisons, e) != 0)
        return NULL;
    char buffer[LINE];
    struct text out = {0}, head = text_in(buffer, sizeof buffer), notes = {0}, sentences = {0}, cache = {0};
    text_format(&head, "%s · %s", s->preset.title[0] ? s->preset.title : s->preset.name,
                session_status_names[s->status]);
    table_common(s, &head);
    if (s->environment.device[0] || s->environment.cpu[0])
        text_format(&head, " · %s", s->environment.device[0] ? s->environment.device : s->environment.cpu);
    if (s->environment.threads > 0 && !s->environment.device[0])
        text_format(&head, " · %d thread%s", s->environment.threads, s->environment.threads == 1 ? "" : "s");
    if (strcmp(s->preset.device, "fake") == 0)
        text_add(&head, " · simulated latencies");
    if (s->started[0])
        text_format(&head, " · %s", s->started);
    columns_wrap(buffer, width, 2, &out);
    if (s->message[0])
        columns_wrap(s->message, width, 2, &out);
    text_add(&out, "\n");
    struct columns *results_table = table_results(s, comparisons, &out);
    columns_print(results_table, width, &out);
    columns_free(results_table);
    /* A percentile without an order-statistic interval is left out, and says so where its column stands. */
    if (out.bytes && strstr(out.bytes, "p99 ms"))
        table_percentile_note(s, width, &out);
    if (out.bytes && strstr(out.bytes, "of limit"))
        table_limit_note(s, width, &out);
    print_rule(s, width, &out);
    print_sentences(s, comparisons, width, &sentences);
    if (sentences.n > 0)
        text_format(&out, "\n%s", sentences.bytes);
    cache_table_print(s, comparisons, false, width, &cache);
    if (cache.n > 0)
        text_format(&out, "\n%s", cache.bytes);
    table_notes(s, width, &notes);
    if (notes.n > 0)
        text_format(&out, "\n%s", notes.bytes);
    char *ablation = s->preset.design.n_factors > 0 ? ablation_print(s, width, false, e) : NULL;
    if (ablation && ablation[0])
        text_format(&out, "\n%s", ablation);
    out.failed = out.failed || (s->preset.design.n_factors > 0 && !ablation);
    free(ablation);
    struct columns *criteria = table_criteria(s, &out);
    if (criteria) {
        text_add(&out, "\n");
        columns_print(criteria, width, &out);
    }
    columns_free(criteria);
    out.failed = out.failed || sentences.failed || notes.failed || cache.failed;
    text_free(&sentences);
    text_free(&notes);
    text_free(&cache);
    free(comparisons);
    return text_take(&out, e);
}
