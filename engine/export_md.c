/* The Markdown report: what was run, on what, the expected-results tables that fit the sweep, all figures,
 * and (export_findings.c) criteria and questions. */
#include "engine/ablation.h"
#include "engine/cache_table.h"
#include "engine/export_formats.h"
#include "engine/figure.h"
#include "engine/session_json.h"
#include "engine/text.h"
#include "engine/worth.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = FIGURE_TEXT * 12 };

void export_markdown_text(struct text *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '|' || *p == '\\' || *p == '`' || *p == '<')
            text_put(out, "\\", 1);
        text_put(out, *p == '\n' || *p == '\r' ? " " : p, 1);
    }
}

static void put_row(struct text *out, const char *key, const char *value, const char *absent)
{
    text_format(out, "| %s | ", key);
    export_markdown_text(out, value[0] ? value : absent);
    text_add(out, " |\n");
}

/* --- hardware */

/* Members of the first GPU as text; numbers as figures with their unit. */
static void gpu_member(const struct session *s, const char *key, char *out, size_t size)
{
    out[0] = '\0';
    cJSON *list = cJSON_Parse(s->environment.gpu_json[0] ? s->environment.gpu_json : "[]");
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(list ? list->child : NULL, key);
    if (cJSON_IsString(item))
        snprintf(out, size, "%s", item->valuestring);
    else if (cJSON_IsNumber(item) && strstr(key, "bytes"))
        figure_bytes(item->valuedouble, out, size);
    else if (cJSON_IsNumber(item))
        figure_digits(item->valuedouble, 3, out, size);
    cJSON_Delete(list);
}

void export_hardware(struct text *out, const struct session *s, export_hardware_row *row)
{
    const struct session_environment *v = &s->environment;
    char text[512], number[WIDE];
    bool none = !v->gpu_json[0] || strcmp(v->gpu_json, "[]") == 0;
    bool fake = strcmp(s->preset.device, "fake") == 0;
    const char *absent = fake   ? "none: simulated latencies"
                         : none ? "none: this run used the CPU"
                                : "not known";
    gpu_member(s, "name", text, sizeof text);
    row(out, "GPU", text, absent);
    gpu_member(s, "memory_bytes", text, sizeof text);
    row(out, "GPU Memory", text, absent);
    snprintf(text, sizeof text, "%s%s%d core%s, %d thread%s used", v->cpu, v->cpu[0] ? ", " : "", v->cores,
             v->cores == 1 ? "" : "s", v->threads, v->threads == 1 ? "" : "s");
    row(out, "CPU", text, "not known");
    row(out, "System Memory",
        v->memory_bytes > 0 ? figure_bytes((double)v->memory_bytes, number, sizeof number) : "", "not known");
    gpu_member(s, "driver", text, sizeof text);
    row(out, "Driver Version", text, absent);
    gpu_member(s, "cuda", text, sizeof text);
    row(out, "CUDA Version", text, absent);
    row(out, "Operating system", v->os, "not known");
    row(out, "Kernel", v->kernel, "not known");
    row(out, "SIMD", v->simd, "not known");
    row(out, "Matrix products", v->product, "not known");
    row(out, "Governor", v->governor, "not known");
    row(out, "Affinity", v->affinity, "not known");
    snprintf(text, sizeof text, "%s GB/s", figure_digits(v->read_bandwidth / 1e9, 3, number, sizeof number));
    row(out, "Read bandwidth, measured", v->read_bandwidth > 0 ? text : "", "not measured");
    snprintf(text, sizeof text, "%s, commit %s, %s", s->version,
             s->git_commit[0] ? s->git_commit : "not known", s->build);
    row(out, "benchtop", text, "not known");
}

/* --- expected results: the tables of the four scenarios */

/* What a table's rows are indexed by, and what it shows. */
enum axis { AXIS_MODEL, AXIS_BATCH, AXIS_SEQ };
struct scenario {
    enum axis axis;
    const char *title, *row_head, *unit;
    bool throughput;
};
static const struct scenario scenarios[] = {
    {AXIS_SEQ, "Latency vs Sequence Length", "Seq Len", "ms", false},
    {AXIS_BATCH, "Throughput vs Batch Size", "Batch Size", "tok/s", true},
    {AXIS_MODEL, "Multi-Model Comparison", "Model", "ms", false}};

static int axis_length(const struct session *s, enum axis axis)
{
    const struct preset *p = &s->preset;
    return axis == AXIS_MODEL ? p->n_models : axis == AXIS_BATCH ? p->n_batch : p->n_seq;
}

/* Equal in everything but the axis. */
static bool same_line(const struct session_cell *a, const struct session_cell *b, enum axis axis)
{
    return (axis == AXIS_MODEL || strcmp(a->model, b->model) == 0) && a->workload == b->workload &&
           (axis == AXIS_BATCH || a->batch == b->batch) && (axis == AXIS_SEQ || a->seq == b->seq);
}

/* "Optimized (ms)" from "optimized". */
static void put_title(struct text *out, const char *name, const char *unit)
{
    char text[PRESET_NAME];
    snprintf(text, sizeof text, "%s", name);
    text[0] = (char)toupper((unsigned char)text[0]);
    export_markdown_text(out, text);
    text_format(out, " (%s) | ", unit);
}

/* Why an arm has no figure, in the words of its row. */
static void put_why(struct text *out, const struct session_cell *cell, const struct session_arm *arm)
{
    bool own = arm->reason[0] || cell->status == CELL_OK;
    enum cell_status status = own ? arm->status : cell->status;
    const char *reason = own ? arm->reason : cell->reason;
    if (status == CELL_OK) { /* tokenize runs no model: it has no such figure */
        text_add(out, "– (not measured) | ");
        return;
    }
    text_format(out, "– (%s%s", cell_status_names[status], reason[0] ? ": " : "");
    export_markdown_text(out, reason);
    text_add(out, ") | ");
}

static void put_figure(struct text *out, const struct session *s, int cell, int arm, bool throughput)
{
    struct arm_summary a;
    char number[WIDE], more[WIDE * 2];
    if (summary_arm(s, cell, arm, &a) != 0) {
        out->failed = out->failed || a.incomplete;
        put_why(out, &s->cell[cell], &s->cell[cell].arm[arm]);
        return;
    }
    double value = throughput ? a.tokens_per_second : a.latency.mean;
    struct stats_interval ci = throughput ? a.tokens_per_second_ci : a.latency.ci;
    double half = (ci.high - ci.low) / 2;
    int d = figure_scale_decimals(value, half);
    if (isfinite(half) && half > 0)
        text_format(out, "%s ± %s | ", figure_fixed(value, d, number, sizeof number),
                    figure_fixed(half, d, more, sizeof more));
    else
        text_format(out, "%s | ", figure_digits(value, 4, number, sizeof number));
}

/* Throughput's gain is the speed-up - 1, latency's 1 - 1 / speed-up. */
static void put_improvement(struct text *out, const struct comparison *c, bool throughput)
{
    char number[WIDE], interval[WIDE * 2];
    if (c->verdict == VERDICT_NONE) {
        text_add(out, "– | ");
        return;
    }
    struct stats_interval ci = c->speedup_ci;
    double value = throughput ? 100 * (c->speedup - 1) : c->improvement_pct;
    double low = throughput ? 100 * (ci.low - 1) : 100 * (1 - 1 / ci.low);
    double high = throughput ? 100 * (ci.high - 1) : 100 * (1 - 1 / ci.high);
    if (isfinite(low) && isfinite(high)) {
        int d = figure_decimals((high - low) / 2);
        text_format(out, "%s (%s to %s), %s | ", figure_fixed(value, d, number, sizeof number),
                    figure_fixed(low, d, interval, WIDE), figure_fixed(high, d, interval + WIDE, WIDE),
                    verdict_names[c->verdict]);
    } else {
        text_format(out, "%s, %s | ", figure_digits(value, 2, number, sizeof number),
                    verdict_names[c->verdict]);
    }
}

static void put_line(struct text *out, const struct session *s, const struct comparison *comparisons,
                     const struct scenario *scenario, int cell)
{
    const struct session_cell *c = &s->cell[cell];
    text_add(out, "| ");
    if (scenario->axis == AXIS_MODEL)
        export_markdown_text(out, c->model);
    else
        text_format(out, "%d", scenario->axis == AXIS_BATCH ? c->batch : c->seq);
    text_add(out, " | ");
    for (int arm = 0; arm < c->n_arms; arm++) {
        put_figure(out, s, cell, arm, scenario->throughput);
        if (arm > 0)
            put_improvement(out, &comparisons[cell * s->preset.n_arms + arm], scenario->throughput);
    }
    text_trim(out);
    text_add(out, "\n");
}

static void put_table_head(struct text *out, const struct session *s, const struct scenario *scenario)
{
    int n = s->preset.n_arms;
    text_format(out, "| %s | ", scenario->row_head);
    for (int arm = 0; arm < n; arm++) {
        put_title(out, s->preset.arms[arm].name, scenario->unit);
        if (arm == 0)
            continue;
        text_add(out, "Improvement");
        if (n > 2) {
            text_add(out, " of ");
            export_markdown_text(out, s->preset.arms[arm].name);
        }
        text_add(out, " (%) | ");
    }
    text_trim(out);
    text_add(out, "\n|---|");
    text_repeat(out, "---|", 2 * n - 1);
    text_add(out, "\n");
}

/* One table per combination of the other coordinates. */
static void put_scenario(struct text *out, const struct session *s, const struct comparison *comparisons,
                         const struct scenario *scenario)
{
    if (axis_length(s, scenario->axis) < 2)
        return;
    text_format(out, "### %s\n\n", scenario->title);
    for (int i = 0; i < s->n_cells; i++) {
        const struct session_cell *first = &s->cell[i];
        bool seen = false;
        for (int j = 0; j < i && !seen; j++)
            seen = same_line(&s->cell[j], first, scenario->axis);
        if (seen)
            continue;
        text_format(out, "%s", workload_names[first->workload]);
        if (scenario->axis != AXIS_MODEL) {
            text_add(out, ", ");
            export_markdown_text(out, first->model);
        }
        if (scenario->axis != AXIS_BATCH)
            text_format(out, ", batch %d", first->batch);
        if (scenario->axis != AXIS_SEQ)
            text_format(out, ", sequence %d", first->seq);
        text_add(out, "\n\n");
        put_table_head(out, s, scenario);
        for (int j = i; j < s->n_cells; j++) {
            if (same_line(&s->cell[j], first, scenario->axis))
                put_line(out, s, comparisons, scenario, j);
        }
        text_add(out, "\n");
    }
}

/* --- memory */

/* "Allocated" is what stays while the arm runs: the mean of the sum. */
enum memory_row { MEMORY_PEAK, MEMORY_ALLOCATED, MEMORY_WEIGHTS, MEMORY_KV, MEMORY_BANDWIDTH, MEMORY_ROWS };
static const char *const memory_titles[MEMORY_ROWS] = {"Peak Memory", "Allocated", "of that weights",
                                                       "of that KV cache", "Memory BW"};

static double memory_value(const struct session *s, int cell, int arm, enum memory_row row)
{
    const struct session_arm *a = &s->cell[cell].arm[arm];
    struct arm_summary x;
    switch (row) {
    case MEMORY_PEAK:
        return a->has_measured ? (double)a->measured.peak / 1e9 : (double)NAN;
    case MEMORY_ALLOCATED:
        return a->has_measured ? (double)a->measured.average / 1e9 : (double)NAN;
    case MEMORY_WEIGHTS:
        return a->has_measured ? (double)a->measured.weights / 1e9 : (double)NAN;
    case MEMORY_KV:
        return a->has_measured ? (double)a->measured.kv_cache / 1e9 : (double)NAN;
    case MEMORY_BANDWIDTH:
    case MEMORY_ROWS:
        break;
    }
    summary_arm(s, cell, arm, &x);
    return x.bandwidth / 1e9;
}

/* Fewer bytes are better, more bytes per second are. */
static double memory_gain(double base, double value, bool rate)
{
    return 100 * (rate ? value / base - 1 : 1 - value / base);
}

static void put_memory_cell(struct text *out, const struct session *s, int cell)
{
    const struct session_cell *c = &s->cell[cell];
    text_add(out, "| Metric | ");
    for (int arm = 0; arm < c->n_arms; arm++) {
        put_title(out, c->arm[arm].name, "GB");
        if (arm > 0)
            text_add(out, "Improvement (%) | ");
    }
    text_trim(out);
    text_add(out, "\n|---|");
    text_repeat(out, "---|", 2 * c->n_arms - 1);
    text_add(out, "\n");
    for (int row = 0; row < MEMORY_ROWS; row++) {
        double base = memory_value(s, cell, 0, (enum memory_row)row);
        bool rate = row == MEMORY_BANDWIDTH;
        text_format(out, "| %s | ", memory_titles[row]);
        for (int arm = 0; arm < c->n_arms; arm++) {
            char number[WIDE];
            double value = memory_value(s, cell, arm, (enum memory_row)row);
            if (isnan(value))
                put_why(out, c, &c->arm[arm]);
            else
                text_format(out, "%s%s | ", figure_digits(value, 3, number, sizeof number),
                            rate ? " GB/s" : "");
            if (arm > 0)
                text_format(out, "%s | ",
                            figure_fixed(memory_gain(base, value, rate), 1, number, sizeof number));
        }
        text_trim(out);
        text_add(out, "\n");
    }
}

/* A sweep's memory in one table: peak and bandwidth of every arm. */
static void put_memory_sweep(struct text *out, const struct session *s)
{
    text_add(out, "| Model | Workload | Batch | Seq | Arm | Peak (GB) | Improvement (%) | Allocated (GB) | "
                  "Weights (GB) | "
                  "KV cache (GB) | Bandwidth (GB/s) | Improvement (%) "
                  "|\n|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < s->n_cells; i++) {
        const struct session_cell *c = &s->cell[i];
        for (int arm = 0; arm < c->n_arms; arm++) {
            char t[4][WIDE];
            text_add(out, "| ");
            export_markdown_text(out, c->model);
            text_format(out, " | %s | %d | %d | ", workload_names[c->workload], c->batch, c->seq);
            export_markdown_text(out, c->arm[arm].name);
            text_add(out, " | ");
            double peak = memory_value(s, i, arm, MEMORY_PEAK),
                   rate = memory_value(s, i, arm, MEMORY_BANDWIDTH);
            if (isnan(peak)) {
                put_why(out, c, &c->arm[arm]);
                text_add(out, "– | – | – | – | – | – |\n");
                continue;
            }
            double gain = memory_gain(memory_value(s, i, 0, MEMORY_PEAK), peak, false);
            double faster = memory_gain(memory_value(s, i, 0, MEMORY_BANDWIDTH), rate, true);
            text_format(out, "%s | %s | %s | ", figure_digits(peak, 3, t[0], WIDE),
                        arm ? figure_fixed(gain, 1, t[1], WIDE) : "–",
                        figure_digits(memory_value(s, i, arm, MEMORY_ALLOCATED), 3, t[2], WIDE));
            text_format(out, "%s | %s | ",
                        figure_digits(memory_value(s, i, arm, MEMORY_WEIGHTS), 3, t[0], WIDE),
                        figure_digits(memory_value(s, i, arm, MEMORY_KV), 3, t[1], WIDE));
            text_format(out, "%s | %s |\n", figure_digits(rate, 3, t[2], WIDE),
                        arm ? figure_fixed(faster, 1, t[3], WIDE) : "–");
        }
    }
}

static void put_memory(struct text *out, const struct session *s)
{
    text_add(out, "### Memory Efficiency\n\n");
    text_add(out,
             "Bytes as measured while the arm ran (1 GB is 10^9 bytes); bandwidth is the bytes that the cost "
             "model counts over the mean latency.\n\n");
    if (s->n_cells == 1)
        put_memory_cell(out, s, 0);
    else
        put_memory_sweep(out, s);
    text_add(out, "\n");
}

/* --- all figures */

static void put_full_row(struct text *out, const struct session *s, int cell, int arm,
                         const struct comparison *c)
{
    struct arm_summary a;
    const struct session_cell *at = &s->cell[cell];
    char t[8][WIDE];
    text_add(out, "| ");
    export_markdown_text(out, at->model);
    text_format(out, " | %s | %d | %d | ", workload_names[at->workload], at->batch, at->seq);
    export_markdown_text(out, at->arm[arm].name);
    text_add(out, " | ");
    if (summary_arm(s, cell, arm, &a) != 0) {
        out->failed = out->failed || a.incomplete;
        put_why(out, at, &at->arm[arm]);
        text_add(out, "– | – | – | – | – | – | – | – | – | – |\n");
        return;
    }
    const struct stats_summary *x = &a.latency;
    double half = (x->ci.high - x->ci.low) / 2;
    int d = isfinite(half) && half > 0 ? figure_scale_decimals(x->mean, half) : 3;
    text_format(out, "%d / %d | %s ± %s | %s | %s | %s | %s | ", a.n, a.blocks,
                figure_fixed(x->mean, d, t[0], WIDE), figure_fixed(half, d, t[1], WIDE),
                figure_fixed(x->std, d ? d + 1 : 0, t[2], WIDE), figure_fixed(x->min, d, t[3], WIDE),
                figure_fixed(x->max, d, t[4], WIDE), figure_fixed(x->median, d, t[5], WIDE));
    text_format(out, "%s | %s | %s | ", figure_fixed(a.p95_supported ? x->p95 : (double)NAN, d, t[0], WIDE),
                figure_fixed(a.p99_supported ? x->p99 : (double)NAN, d, t[1], WIDE),
                figure_digits(a.tokens_per_second, 4, t[2], WIDE));
    int ratio = figure_scale_decimals(c->speedup, (c->speedup_ci.high - c->speedup_ci.low) / 2);
    if (c->verdict != VERDICT_NONE)
        text_format(out, "%s (%s) | %s |\n", figure_fixed(c->speedup, ratio, t[0], WIDE),
                    figure_interval(c->speedup_ci.low, c->speedup_ci.high, ratio, t[1], WIDE),
                    verdict_names[c->verdict]);
    else
        text_add(out, "– | – |\n");
}

static void put_full(struct text *out, const struct session *s, const struct comparison *comparisons)
{
    char level[WIDE];
    text_format(out,
                "## Full results\n\nLatency in milliseconds, means with %s intervals over blocks; "
                "percentiles (type 7) "
                "only where there are samples enough for their own interval.\n\n",
                figure_percent(summary_confidence(s), 1, level, WIDE));
    text_add(
        out,
        "| Model | Workload | Batch | Seq | Arm | n / blocks | Mean | Std | Min | Max | Median | p95 | p99 | "
        "tok/s | Speed-up | Verdict |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < s->n_cells; i++) {
        for (int j = 0; j < s->cell[i].n_arms; j++)
            put_full_row(out, s, i, j, &comparisons[i * s->preset.n_arms + j]);
    }
    text_add(out, "\n");
    bool any = false;
    for (int i = 0; i < s->n_cells; i++) {
        const struct session_cell *c = &s->cell[i];
        for (int j = 1; j < s->preset.n_arms; j++) {
            const struct comparison *x = &comparisons[i * s->preset.n_arms + j];
            if (x->verdict == VERDICT_NONE)
                continue;
            any = true;
            text_add(out, "- ");
            export_markdown_text(out, c->model);
            text_format(out, " %s, batch %d, seq %d: ", workload_names[c->workload], c->batch, c->seq);
            export_markdown_text(out, x->sentence);
            char calibrated[SUMMARY_CALIBRATION_TEXT];
            export_markdown_text(out, summary_calibration_text(s, i, x, calibrated, sizeof calibrated));
            if (worth_cost(s, i, j, calibrated, sizeof calibrated)[0])
                text_format(out, "; %s", calibrated);
            text_add(out, "\n");
        }
    }
    text_add(out, any ? "\n" : "");
}

char *export_markdown(const struct session *s, struct error *e)
{
    struct comparison *comparisons;
    if (summary_comparisons(s, &comparisons, e) != 0)
        return NULL;
    struct text out = {0};
    text_add(&out, "# ");
    export_markdown_text(&out, s->preset.title[0] ? s->preset.title : s->preset.name);
    text_add(&out, "\n\n");
    if (s->preset.answers[0]) {
        export_markdown_text(&out, s->preset.answers);
        text_add(&out, "\n\n");
    }
    text_format(&out, "Session %s, %s", s->id, session_status_names[s->status]);
    if (s->started[0])
        text_format(&out, ", started %s", s->started);
    if (s->finished[0])
        text_format(&out, ", finished %s", s->finished);
    text_format(&out, "; seed %llu, %d rounds planned.\n\n", (unsigned long long)s->preset.seed,
                s->preset.rounds);
    text_add(&out,
             "## Hardware Specifications\n\n| Component | Specification |\n|-----------|---------------|\n");
    export_hardware(&out, s, put_row);
    text_add(&out, "\n");
    text_add(&out, "## Results\n\n");
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        put_scenario(&out, s, comparisons, &scenarios[i]);
    put_memory(&out, s);
    out.failed = export_dashboard(&out, s, comparisons, e) != 0 || out.failed;
    export_quality(&out, s);
    put_full(&out, s, comparisons);
    cache_table_print(s, comparisons, true, 0, &out);
    export_responses(&out, s);
    char *ablation = ablation_print(s, 0, true, e);
    text_add(&out, ablation ? ablation : "");
    out.failed = out.failed || !ablation;
    free(ablation);
    export_metrics(&out, s, comparisons);
    export_questions(&out, s, comparisons);
    free(comparisons);
    return text_take(&out, e);
}
