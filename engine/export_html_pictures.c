#include "engine/export_html.h"
#include "engine/figure.h"
#include "engine/markup.h"
#include "engine/table.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = FIGURE_TEXT * 12, WHERE = 400, OPEN_CELLS = 12 };

/* --- throughput */

/* Equal in everything but the batch, or but the sequence. */
static bool same_line(const struct session_cell *a, const struct session_cell *b, bool by_batch)
{
    return strcmp(a->model, b->model) == 0 && a->workload == b->workload &&
           (by_batch ? a->seq == b->seq : a->batch == b->batch);
}

static void put_curve(struct text *out, const struct session *s, struct summary_cache *cache, int first,
                      bool by_batch)
{
    static const struct markup_line none;
    double x[PRESET_SWEEP], y[MARKUP_ARMS][PRESET_SWEEP], low[MARKUP_ARMS][PRESET_SWEEP],
        high[MARKUP_ARMS][PRESET_SWEEP];
    struct markup_line line[MARKUP_ARMS] = {none};
    const struct session_cell *c = &s->cell[first];
    int points = 0, arms = c->n_arms < MARKUP_ARMS ? c->n_arms : MARKUP_ARMS;
    for (double last = 0;;) { /* by ascending coordinate, whatever the order of the cells */
        int next = -1;
        double value = INFINITY;
        for (int i = first; i < s->n_cells; i++) {
            double here = by_batch ? s->cell[i].batch : s->cell[i].seq;
            if (same_line(&s->cell[i], c, by_batch) && here > last && here < value) {
                next = i;
                value = here;
            }
        }
        if (next < 0 || points == PRESET_SWEEP)
            break;
        x[points] = last = value;
        for (int arm = 0; arm < arms; arm++) {
            const struct arm_summary *a = summary_cache_arm(cache, s, next, arm);
            y[arm][points] = a ? a->tokens_per_second : (double)NAN;
            low[arm][points] = a ? a->tokens_per_second_ci.low : (double)NAN;
            high[arm][points] = a ? a->tokens_per_second_ci.high : (double)NAN;
        }
        points++;
    }
    for (int arm = 0; arm < arms; arm++)
        line[arm] = (struct markup_line){c->arm[arm].name, y[arm], low[arm], high[arm]};
    if (points < 2)
        return;
    text_add(out, "<h3>");
    markup_text(out, session_model_name(c));
    text_format(out, ", %s, %s %d</h3>\n", workload_names[c->workload], by_batch ? "seq" : "batch",
                by_batch ? c->seq : c->batch);
    markup_curves(out, x, points, line, arms, by_batch ? "batch" : "sequence", "tokens per second");
}

void html_curves(struct text *out, const struct session *s, struct summary_cache *cache)
{
    bool by_batch = s->preset.n_batch > 1;
    if (!by_batch && s->preset.n_seq < 2)
        return;
    text_add(out, "<h2>Throughput</h2>\n");
    for (int i = 0; i < s->n_cells; i++) {
        bool seen = s->cell[i].workload == WORKLOAD_TOKENIZE;
        for (int j = 0; j < i && !seen; j++)
            seen = same_line(&s->cell[j], &s->cell[i], by_batch);
        if (!seen)
            put_curve(out, s, cache, i, by_batch);
    }
}

/* --- latencies */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The samples that its summary pools, ms, ascending. NULL: none, or no memory (out failed). */
static double *samples_of(const struct session_arm *a, size_t *n, struct text *out)
{
    size_t room = 0;
    *n = 0;
    for (int b = 0; b < a->n_blocks; b++)
        room += (size_t)a->blocks[b]->n;
    double *x = room ? malloc(room * sizeof *x) : NULL;
    out->failed = out->failed || (room && !x);
    for (int b = 0; b < a->n_blocks && x; b++) {
        const struct block *k = a->blocks[b];
        for (int i = 0; i < k->n && isfinite(summary_block_mean(k)); i++)
            if (k->samples[i].device_ns > 0)
                x[(*n)++] = (double)k->samples[i].device_ns * 1e-6;
    }
    if (x)
        qsort(x, *n, sizeof *x, ascending);
    return x;
}

static void put_cell(struct text *out, const struct session *s, struct summary_cache *cache, int cell)
{
    const struct session_cell *c = &s->cell[cell];
    struct markup_sample sample[PRESET_ARMS];
    char figure[PRESET_ARMS][WIDE * 2 + 16], mean[WIDE], margin[WIDE];
    double *x[PRESET_ARMS] = {NULL};
    for (int arm = 0; arm < c->n_arms; arm++) {
        const struct arm_summary *a = summary_cache_arm(cache, s, cell, arm);
        struct markup_sample *m = &sample[arm];
        *m = (struct markup_sample){.name = c->arm[arm].name, .figure = figure[arm]};
        for (int t = 0; t < MARKUP_TICKS; t++)
            m->tick[t].value = (double)NAN;
        snprintf(figure[arm], sizeof figure[arm], "%s", cell_status_names[session_arm_status(c, arm)]);
        if (!a)
            continue;
        x[arm] = samples_of(&c->arm[arm], &m->n, out);
        m->x = x[arm];
        m->n = x[arm] ? m->n : 0;
        double half = (a->latency.ci.high - a->latency.ci.low) / 2;
        int d = figure_scale_decimals(a->latency.mean, half);
        figure_fixed(a->latency.mean, d, mean, sizeof mean);
        if (isfinite(half))
            snprintf(figure[arm], sizeof figure[arm], "%s ± %s ms", mean,
                     figure_fixed(half, d, margin, sizeof margin));
        else
            snprintf(figure[arm], sizeof figure[arm], "%s ms", mean);
        m->tick[0] = (struct markup_tick){a->latency.median, "p50", false};
        m->tick[1] = (struct markup_tick){a->latency.p90, "p90", !a->p90_supported};
        m->tick[2] = (struct markup_tick){a->latency.p99, "p99", !a->p99_supported};
    }
    markup_histograms(out, sample, c->n_arms, "ms, logarithmic");
    for (int arm = 0; arm < c->n_arms; arm++)
        free(x[arm]);
}

void html_histograms(struct text *out, const struct session *s, struct summary_cache *cache)
{
    char where[WHERE];
    int n = 0;
    for (int i = 0; i < s->n_cells; i++) {
        bool any = false;
        for (int arm = 0; arm < s->cell[i].n_arms; arm++)
            any = any || summary_cache_arm(cache, s, i, arm);
        if (!any)
            continue;
        if (n == 0)
            text_add(
                out,
                "<h2>Latencies</h2>\n<p class=\"quiet\">Every sample of complete blocks; each arm's tallest "
                "bar "
                "has full height. Percentiles in gray italics: too few samples for their interval.</p>\n");
        if (n == OPEN_CELLS)
            text_add(out, "<details><summary>More cells</summary>\n");
        n++;
        if (table_cell_words(s, i, where, sizeof where)[0]) {
            text_add(out, "<h3>");
            markup_text(out, where);
            text_add(out, "</h3>\n");
        }
        put_cell(out, s, cache, i);
    }
    text_add(out, n > OPEN_CELLS ? "</details>\n" : "");
}
