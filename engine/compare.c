#include "engine/compare.h"
#include "engine/columns.h"
#include "engine/figure.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same_cell(const struct session_cell *a, const struct session_cell *b)
{
    return strcmp(a->model, b->model) == 0 && a->workload == b->workload && a->batch == b->batch &&
           a->seq == b->seq && a->tokens == b->tokens;
}

static bool same_arm(const struct session_arm *a, const struct session_arm *b)
{
    return strcmp(a->name, b->name) == 0 && implementation_equal(&a->implementation, &b->implementation);
}

/* --- environments */

static void differ_text(struct text *t, const char *what, const char *a, const char *b)
{
    if (strcmp(a, b) != 0)
        text_format(t, "%s%s: %s / %s", t->n ? "; " : "", what, a[0] ? a : "unknown", b[0] ? b : "unknown");
}

static void differ_number(struct text *t, const char *what, int64_t a, int64_t b)
{
    char x[24], y[24];
    snprintf(x, sizeof x, "%lld", (long long)a);
    snprintf(y, sizeof y, "%lld", (long long)b);
    differ_text(t, what, x, y);
}

static void environment_differences(const struct session *a, const struct session *b, char *out, size_t size)
{
    const struct session_environment *x = &a->environment, *y = &b->environment;
    char memory_a[FIGURE_TEXT], memory_b[FIGURE_TEXT];
    struct text t = text_in(out, size);
    differ_text(&t, "host", x->host, y->host);
    differ_text(&t, "cpu", x->cpu, y->cpu);
    differ_number(&t, "cores", x->cores, y->cores);
    differ_number(&t, "threads", x->threads, y->threads);
    differ_text(&t, "memory", figure_bytes((double)x->memory_bytes, memory_a, sizeof memory_a),
                figure_bytes((double)y->memory_bytes, memory_b, sizeof memory_b));
    differ_text(&t, "simd", x->simd, y->simd);
    differ_text(&t, "products", x->product, y->product);
    differ_text(&t, "affinity", x->affinity, y->affinity);
    differ_text(&t, "governor", x->governor, y->governor);
    differ_text(&t, "os", x->os, y->os);
    differ_text(&t, "kernel", x->kernel, y->kernel);
    if (strcmp(x->gpu_json, y->gpu_json) != 0)
        text_format(&t, "%sgpu: not the same", t.n ? "; " : "");
    differ_text(&t, "device", a->preset.device, b->preset.device);
    differ_text(&t, "benchtop", a->version, b->version);
    differ_text(&t, "commit", a->git_commit, b->git_commit);
    differ_text(&t, "build", a->build, b->build);
    if (a->preset.seed != b->preset.seed)
        text_format(&t, "%sseed: %llu / %llu", t.n ? "; " : "", (unsigned long long)a->preset.seed,
                    (unsigned long long)b->preset.seed);
    error_clean_text(out);
}

/* --- rows */

/* Two limits of the change in latency, as a fraction: > 0 is slower. */
static struct stats_interval change_ci(const struct comparison *c)
{
    return (struct stats_interval){1 / c->speedup_ci.high - 1, 1 / c->speedup_ci.low - 1};
}

static void judge_threshold(struct compare_result *r, double pct)
{
    for (int i = 0; i < r->n; i++) {
        struct compare_row *row = &r->row[i];
        const struct comparison *c = &row->comparison;
        struct stats_interval change = change_ci(c);
        row->regression = c->verdict == VERDICT_SLOWER && change.low > pct / 100;
        /* Undecided is what the threshold asks, not whether the two differ at all. */
        bool harmless = c->verdict == VERDICT_FASTER || c->verdict == VERDICT_EQUIVALENT ||
                        (c->final && change.high <= pct / 100);
        r->regressions += row->regression;
        r->inconclusive += !row->regression && !harmless;
    }
}

/* Rows of one pair of cells; differs[i] is the text that k[i] points to. */
static int add_rows(const struct session *base, const struct session *candidate, int x, int y,
                    struct compare_result *out, struct comparison *c, struct summary_case *k,
                    char (*differs)[128])
{
    const struct session_cell *a = &base->cell[x], *b = &candidate->cell[y];
    for (int i = 0; i < a->n_arms; i++) {
        for (int j = 0; j < b->n_arms; j++) {
            if (!same_arm(&a->arm[i], &b->arm[j]))
                continue;
            int n = out->n;
            k[n] = (struct summary_case){.baseline_name = "base",
                                         .candidate_name = "new",
                                         .confidence = summary_confidence(candidate),
                                         .margin = candidate->preset.margin,
                                         .differs = differs[n]};
            int result = summary_compare_unpaired(&a->arm[i], &b->arm[j], k[n].confidence, &c[n], &k[n]);
            if (result == SUMMARY_NO_MEMORY)
                return -1;
            if (result != 0)
                continue;
            summary_refusal(&b->arm[j].output, differs[n], sizeof differs[n]);
            summary_judge(&c[n], &k[n]);
            out->row[n] = (struct compare_row){.base_cell = x, .base_arm = i, .new_cell = y, .new_arm = j};
            out->n++;
            break;
        }
    }
    return 0;
}

static int find_cell(const struct session *s, const struct session_cell *c)
{
    for (int i = 0; i < s->n_cells; i++) {
        if (same_cell(&s->cell[i], c))
            return i;
    }
    return -1;
}

int compare_sessions(const struct session *base, const struct session *candidate, double regression_pct,
                     struct compare_result *out, struct error *e)
{
    struct compare_result r = {0};
    size_t room = 1;
    for (int i = 0; i < base->n_cells; i++)
        room += (size_t)base->cell[i].n_arms;
    struct comparison *c = calloc(room, sizeof *c);
    struct summary_case *k = calloc(room, sizeof *k);
    char(*differs)[128] = calloc(room, sizeof *differs);
    r.row = calloc(room, sizeof *r.row);
    int result = -1;
    if (!c || !k || !differs || !r.row) {
        error_set(e, ERROR_MEMORY, "no memory to compare the sessions: close other programs");
        goto done;
    }
    for (int i = 0; i < base->n_cells; i++) {
        int partner = find_cell(candidate, &base->cell[i]);
        if (partner < 0)
            r.only_base++;
        else if (add_rows(base, candidate, i, partner, &r, c, k, differs) != 0) {
            error_set(e, ERROR_MEMORY, "no memory to compare the sessions: close other programs");
            goto done;
        }
    }
    for (int i = 0; i < candidate->n_cells; i++)
        r.only_new += find_cell(base, &candidate->cell[i]) < 0;
    if (summary_family(c, k, r.n, e) != 0)
        goto done;
    for (int i = 0; i < r.n; i++) {
        r.row[i].comparison = c[i];
        r.row[i].change_pct = 100 * (1 / c[i].speedup - 1);
    }
    judge_threshold(&r, regression_pct);
    environment_differences(base, candidate, r.differences, sizeof r.differences);
    *out = r;
    r.row = NULL;
    result = 0;
done:
    free(r.row);
    free(c);
    free(k);
    free(differs);
    return result;
}

void compare_free(struct compare_result *r)
{
    free(r->row);
    *r = (struct compare_result){0};
}

/* --- text */

static const struct column columns[] = {{"model", true, 0},    {"workload", true, 3}, {"batch", false, 0},
                                        {"seq", false, 0},     {"arm", true, 0},      {"base ms", false, 6},
                                        {"new ms", false, 5},  {"change", false, 0},  {"interval", true, 4},
                                        {"Welch p", false, 7}, {"Holm p", false, 8},  {"verdict", true, 0}};
enum { COLUMNS = sizeof columns / sizeof columns[0], LINE = 2048 };

static void put(struct columns *t, const char *format, int value)
{
    char text[24];
    if (value == 0) { /* other tools' files know no batch or length */
        columns_cell(t, "");
        return;
    }
    snprintf(text, sizeof text, format, value);
    columns_cell(t, text);
}

static void put_mean(struct columns *t, const struct session *s, int cell, int arm)
{
    struct arm_summary a;
    char number[FIGURE_TEXT * 12];
    summary_arm(s, cell, arm, &a);
    double half = (a.latency.ci.high - a.latency.ci.low) / 2;
    columns_cell(t, a.incomplete ? NULL
                    : isfinite(half) && half > 0
                        ? figure_fixed(a.latency.mean, figure_scale_decimals(a.latency.mean, half), number,
                                       sizeof number)
                        : figure_digits(a.latency.mean, 4, number, sizeof number));
}

static void put_row(struct columns *t, const struct session *base, const struct session *candidate,
                    const struct compare_row *row)
{
    const struct session_cell *cell = &base->cell[row->base_cell];
    const struct comparison *c = &row->comparison;
    struct stats_interval change = change_ci(c);
    double half = 100 * (change.high - change.low) / 2;
    int decimals = isfinite(half) ? figure_decimals(half) : 1;
    char number[FIGURE_TEXT * 12], text[FIGURE_TEXT * 24], p[FIGURE_TEXT];
    columns_cell(t, cell->model);
    columns_cell(t, workload_names[cell->workload]);
    put(t, "%d", cell->batch);
    put(t, "%d", cell->seq);
    columns_cell(t, cell->arm[row->base_arm].name);
    put_mean(t, base, row->base_cell, row->base_arm);
    put_mean(t, candidate, row->new_cell, row->new_arm);
    figure_fixed(row->change_pct, decimals, number, sizeof number);
    snprintf(text, sizeof text, "%s%s %%", row->change_pct > 0 && number[0] != '-' ? "+" : "", number);
    columns_cell(t, text);
    columns_cell(t, figure_interval(100 * change.low, 100 * change.high, decimals, text, sizeof text));
    columns_cell(t, figure_p(c->welch.p, p, sizeof p));
    columns_cell(t, figure_p(c->p_holm, p, sizeof p));
    snprintf(text, sizeof text, "%s%s", verdict_names[c->verdict], row->regression ? ", REGRESSION" : "");
    columns_cell(t, text);
}

static void put_notes(const struct session *base, const struct compare_result *r, int width, struct text *out)
{
    char buffer[LINE];
    for (int i = 0; i < r->n; i++) {
        const struct compare_row *row = &r->row[i];
        struct text line = text_in(buffer, sizeof buffer);
        const struct session_cell *cell = &base->cell[row->base_cell];
        text_format(&line, "%s %s, ", cell->model, workload_names[cell->workload]);
        if (cell->batch > 0) /* files of other tools may tell neither */
            text_format(&line, "batch %d, ", cell->batch);
        if (cell->seq > 0)
            text_format(&line, "seq %d, ", cell->seq);
        text_format(&line, "%s: %s", cell->arm[row->base_arm].name, row->comparison.sentence);
        columns_wrap(buffer, width, 2, out);
    }
    struct text line = text_in(buffer, sizeof buffer);
    if (r->n > 0) {
        text_format(&line,
                    "Unpaired and exposed to drift between the runs: Welch on block means, over %d "
                    "%s (Holm).",
                    r->row[0].comparison.family,
                    r->row[0].comparison.family == 1 ? "comparison" : "comparisons");
        columns_wrap(buffer, width, 2, out);
    }
    if (r->only_base > 0 || r->only_new > 0) {
        line = text_in(buffer, sizeof buffer);
        text_format(&line, "%d %s in the base alone, %d in the new session alone.", r->only_base,
                    r->only_base == 1 ? "cell is" : "cells are", r->only_new);
        columns_wrap(buffer, width, 2, out);
    }
    if (r->differences[0]) {
        line = text_in(buffer, sizeof buffer);
        text_format(&line, "The environments differ: %s", r->differences);
        columns_wrap(buffer, width, 2, out);
    }
}

char *compare_print(const struct session *base, const struct session *candidate,
                    const struct compare_result *r, int width, struct error *e)
{
    char buffer[LINE];
    struct text out = {0}, line = text_in(buffer, sizeof buffer);
    struct columns *t = columns_new(columns, COLUMNS);
    text_format(&line, "base %s · new %s", base->id, candidate->id);
    columns_wrap(buffer, width, 2, &out);
    text_add(&out, "\n");
    for (int i = 0; t && i < r->n; i++)
        put_row(t, base, candidate, &r->row[i]);
    columns_print(t, width, &out);
    columns_free(t);
    text_add(&out, "\n");
    put_notes(base, r, width, &out);
    return text_take(&out, e);
}
