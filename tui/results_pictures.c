#include "tui/results_pictures.h"
#include "engine/figure.h"
#include "tui/format.h"
#include "tui/plot.h"
#include "tui/roofline.h"
#include "tui/theme.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMES "\xc3\x97"
#define DOT   " \xc2\xb7 "

/* speed-up over the sweep */

/* The cells of one model, workload and number of tokens over batch and sequence. */
struct sweep {
    int batch[PRESET_SWEEP], n_batch, seq[PRESET_SWEEP], n_seq;
    int cell[PRESET_SWEEP][PRESET_SWEEP]; /* [seq][batch], -1: not in the session */
    int batch_at, seq_at;                 /* of the cell in question */
};

static int place(int *values, int *n, int value)
{
    int at = 0;
    while (at < *n && values[at] < value)
        at++;
    if (at < *n && values[at] == value)
        return at;
    if (*n == PRESET_SWEEP)
        return -1;
    memmove(values + at + 1, values + at, (size_t)(*n - at) * sizeof *values);
    values[at] = value;
    (*n)++;
    return at;
}

static bool same_sweep(const struct session_cell *a, const struct session_cell *b)
{
    return strcmp(a->model, b->model) == 0 && a->workload == b->workload && a->tokens == b->tokens;
}

static void find_sweep(const struct session *s, int cell, struct sweep *w)
{
    const struct session_cell *here = &s->cell[cell];
    w->n_batch = w->n_seq = 0;
    for (int c = 0; c < s->n_cells; c++)
        if (same_sweep(&s->cell[c], here)) {
            place(w->batch, &w->n_batch, s->cell[c].batch);
            place(w->seq, &w->n_seq, s->cell[c].seq);
        }
    for (int y = 0; y < w->n_seq; y++)
        for (int x = 0; x < w->n_batch; x++)
            w->cell[y][x] = -1;
    for (int c = 0; c < s->n_cells; c++) {
        if (!same_sweep(&s->cell[c], here))
            continue;
        int x = place(w->batch, &w->n_batch, s->cell[c].batch), y = place(w->seq, &w->n_seq, s->cell[c].seq);
        if (x >= 0 && y >= 0)
            w->cell[y][x] = c;
    }
    w->batch_at = place(w->batch, &w->n_batch, here->batch);
    w->seq_at = place(w->seq, &w->n_seq, here->seq);
}

static const struct comparison *comparison_of(const struct results *r, int cell, int arm)
{
    if (cell < 0 || !r->comparison || arm >= r->n_arms)
        return NULL;
    const struct comparison *c = &r->comparison[cell * r->n_arms + arm];
    return c->verdict == VERDICT_NONE ? NULL : c;
}

/* The baseline's row shows its first candidate. */
static int candidate_of(const struct results_row *row)
{
    return row->arm > 0 ? row->arm : 1;
}

void results_speedup_title(const struct session *s, const struct results_row *row, char *out, size_t size)
{
    const struct session_cell *c = &s->cell[row->cell];
    struct sweep w;
    int arm = candidate_of(row);
    find_sweep(s, row->cell, &w);
    bool one_arm = w.n_batch > 1 && w.n_seq > 1 && arm < c->n_arms;
    snprintf(out, size, "%.40s%s%s of %.60s", one_arm ? c->arm[arm].name : "", one_arm ? ", " : "",
             workload_names[c->workload], session_model_name(c));
}

static double span_of(const double *value, int n)
{
    double span = 1.25;
    for (int i = 0; i < n; i++)
        if (value[i] > 0)
            span = fmax(span, fmax(value[i], 1 / value[i]));
    return fmin(span, 4);
}

static void draw_heat(struct grid *g, struct rect r, const struct results *results, const struct sweep *w,
                      int arm)
{
    double value[PRESET_SWEEP * PRESET_SWEEP];
    bool weak[PRESET_SWEEP * PRESET_SWEEP];
    char text[2][PRESET_SWEEP][16];
    const char *batch[PRESET_SWEEP], *seq[PRESET_SWEEP];
    for (int x = 0; x < w->n_batch; x++) {
        snprintf(text[0][x], sizeof text[0][x], "%d", w->batch[x]);
        batch[x] = text[0][x];
    }
    for (int y = 0; y < w->n_seq; y++) {
        snprintf(text[1][y], sizeof text[1][y], "%d", w->seq[y]);
        seq[y] = text[1][y];
        for (int x = 0; x < w->n_batch; x++) {
            const struct comparison *c = comparison_of(results, w->cell[y][x], arm);
            value[y * w->n_batch + x] = c ? c->speedup : NAN;
            /* Many cells at once: the false discovery rate (Benjamini & Hochberg), as the verdicts' Holm
             * would hide most of a picture. */
            weak[y * w->n_batch + x] = c && !(c->p_bh < 0.05);
        }
    }
    const struct plot_heat heat = {.value = value,
                                   .weak = weak,
                                   .rows = w->n_seq,
                                   .columns = w->n_batch,
                                   .row_label = seq,
                                   .column_label = batch,
                                   .span = span_of(value, w->n_batch * w->n_seq),
                                   .cursor_row = w->seq_at,
                                   .cursor_column = w->batch_at};
    plot_heat(g, r, &heat);
    /* As plot_heat does: numbers where they fit, else two rows of values per row of cells, else characters.
     */
    bool numbers = r.width >= 6 * w->n_batch + 6 && r.height > w->n_seq;
    int rows = numbers || g->ascii || g->monochrome ? w->n_seq : (w->n_seq + 1) / 2;
    const char *meaning = numbers                     ? "1 is the baseline's speed"
                          : g->ascii || g->monochrome ? "^ + faster, = equal, - v slower"
                                                      : "blue faster, orange slower";
    if (r.height > rows + 2)
        grid_format(g, r.x, r.y + rows + 2, r.width, STYLE_DIM,
                    "batch \xe2\x86\x92, sequence \xe2\x86\x93, %s", meaning);
    if (r.height > rows + 3)
        grid_text(g, r.x, r.y + rows + 3, r.width, STYLE_DIM,
                  numbers || g->ascii || g->monochrome ? "? not told from 1 (false discovery 5 %)"
                                                       : "no color: not told from 1 (false discovery 5 %)");
}

static void draw_curve(struct grid *g, struct rect r, const struct results *results, const struct sweep *w)
{
    enum { ARMS = PRESET_ARMS };
    double y[ARMS][PRESET_SWEEP], low[ARMS][PRESET_SWEEP], high[ARMS][PRESET_SWEEP];
    struct plot_series series[PLOT_SERIES];
    char text[PRESET_SWEEP][16];
    const char *label[PRESET_SWEEP];
    bool over_batch = w->n_batch > 1;
    int n_x = over_batch ? w->n_batch : w->n_seq, n = 0;
    for (int i = 0; i < n_x; i++) {
        snprintf(text[i], sizeof text[i], "%d", over_batch ? w->batch[i] : w->seq[i]);
        label[i] = text[i];
    }
    for (int arm = 0; arm < results->n_arms && n < PLOT_SERIES && n < ARMS; arm++) {
        for (int i = 0; i < n_x; i++) {
            const struct comparison *c =
                comparison_of(results, over_batch ? w->cell[0][i] : w->cell[i][0], arm);
            y[n][i] = arm == 0 ? 1 : c ? c->speedup : NAN; /* the baseline's own line shows where 1 is */
            low[n][i] = c ? c->speedup_ci.low : NAN;
            high[n][i] = c ? c->speedup_ci.high : NAN;
        }
        series[n] = (struct plot_series){y[n], low[n], high[n], theme_arm_letter(arm), theme_arm(arm)};
        n++;
    }
    const struct plot_lines lines = {.x_label = label,
                                     .n_x = n_x,
                                     .series = series,
                                     .n_series = n,
                                     .y_title = over_batch ? TIMES " baseline, by batch"
                                                           : TIMES " baseline, by sequence",
                                     .cursor = over_batch ? w->batch_at : w->seq_at};
    plot_lines(g, r, &lines);
}

/* Every candidate of one cell: bars against the baseline's 1. */
static void draw_one_cell(struct grid *g, struct rect r, const struct results *results,
                          const struct session *s, int cell)
{
    double most = 1;
    for (int arm = 1; arm < s->cell[cell].n_arms; arm++) {
        const struct comparison *c = comparison_of(results, cell, arm);
        if (c && isfinite(c->speedup))
            most = fmax(most, c->speedup);
    }
    for (int arm = 0; arm < s->cell[cell].n_arms && arm < r.height; arm++) {
        const struct comparison *c = arm > 0 ? comparison_of(results, cell, arm) : NULL;
        double ratio = arm == 0 ? 1 : c ? c->speedup : NAN;
        char number[3][FORMAT_TEXT], words[3 * FORMAT_TEXT + 16];
        int name = results->arm_width, wide = r.width >= 56 ? 20 : 8, width = r.width - name - wide - 1;
        grid_format(g, r.x, r.y + arm, name, theme_arm(arm), "%c %s", theme_arm_letter(arm),
                    s->cell[cell].arm[arm].name);
        if (width > 3)
            plot_bar(g, r.x + name + 1, r.y + arm, width, ratio / most, theme_arm(arm));
        format_digits(number[0], ratio, 3);
        if (c && wide > 8 && isfinite(c->speedup_ci.low) && isfinite(c->speedup_ci.high))
            snprintf(words, sizeof words, "%s" TIMES " (%s\xe2\x80\x93%s)", number[0],
                     format_digits(number[1], c->speedup_ci.low, 3),
                     format_digits(number[2], c->speedup_ci.high, 3));
        else
            snprintf(words, sizeof words, "%s%s", number[0], isfinite(ratio) ? TIMES : "");
        grid_text(g, r.x + r.width - wide + 1, r.y + arm, wide - 1, STYLE_TEXT, words);
    }
}

void results_speedup_draw(struct grid *g, struct rect r, const struct results *results,
                          const struct session *s, const struct results_row *row)
{
    struct sweep w;
    if (results->n_arms < 2) {
        widget_paragraph(g, r, STYLE_DIM, "One arm alone: a second one (a in Setup) gives a speed-up.");
        return;
    }
    find_sweep(s, row->cell, &w);
    if (w.n_batch > 1 && w.n_seq > 1)
        draw_heat(g, r, results, &w, candidate_of(row));
    else if (w.n_batch * w.n_seq > 1 && r.height >= 4)
        draw_curve(g, r, results, &w);
    else
        draw_one_cell(g, r, results, s, row->cell);
}

int results_speedup_step(const struct results *results, const struct session *s, int from, int dx, int dy)
{
    struct sweep w;
    const struct results_row *row = &results->row[from];
    find_sweep(s, row->cell, &w);
    if (w.n_batch == 1 && w.n_seq > 1) { /* the curve over sequences lies along x */
        dy = dy ? dy : dx;
        dx = 0;
    }
    int x = w.batch_at + dx, y = w.seq_at + dy;
    if (x < 0 || x >= w.n_batch || y < 0 || y >= w.n_seq || w.cell[y][x] < 0)
        return from;
    for (int i = 0; i < results->n; i++)
        if (results->row[i].cell == w.cell[y][x] && results->row[i].arm == row->arm)
            return i;
    return from;
}

/* memory */

enum { PARTS = 4 };
static const struct memory_part {
    const char *name;
    uint32_t code;
    char ascii;
    enum style style;
} memory_parts[PARTS] = {{"weights", 0x2588, '#', STYLE_ARM_A},
                         {"KV", 0x2593, '=', STYLE_ARM_B},
                         {"activations", 0x2592, '-', STYLE_ARM_C},
                         {"overhead", 0x2591, '.', STYLE_ARM_D}};

static void memory_values(const struct memory_use *m, double out[PARTS])
{
    out[0] = (double)m->weights;
    out[1] = (double)m->kv_cache;
    out[2] = (double)m->activations;
    out[3] = (double)m->overhead;
}

static void draw_memory_bar(struct grid *g, int x, int y, int width, const double value[PARTS], double whole)
{
    double before = 0;
    for (int p = 0; p < PARTS; p++) {
        int from = (int)lround(before / whole * width), to = (int)lround((before + value[p]) / whole * width);
        for (int i = from; i < to && i < width; i++)
            grid_put(g, x + i, y, g->ascii ? (uint32_t)memory_parts[p].ascii : memory_parts[p].code,
                     memory_parts[p].style);
        before += value[p];
    }
}

/* Under the bar: each part's mark and size, close together where there is little room. */
static void memory_numbers(struct grid *g, struct rect r, const double value[PARTS])
{
    char text[PARTS][FORMAT_TEXT];
    int total = 0;
    for (int p = 0; p < PARTS; p++)
        total += 2 + grid_columns(format_bytes(text[p], value[p]));
    int gap = total + 3 * 2 <= r.width ? 2 : 1, end = r.x + r.width;
    for (int p = 0, x = r.x; p < PARTS && x < end; p++) {
        grid_put(g, x, r.y, g->ascii ? (uint32_t)memory_parts[p].ascii : memory_parts[p].code,
                 memory_parts[p].style);
        x += 2 + grid_text(g, x + 2, r.y, end - x - 2, STYLE_DIM, text[p]) + gap;
    }
}

static void memory_legend(struct grid *g, struct rect r)
{
    int x = r.x;
    for (int p = 0; p < PARTS && x < r.x + r.width; p++) {
        grid_put(g, x, r.y, g->ascii ? (uint32_t)memory_parts[p].ascii : memory_parts[p].code,
                 memory_parts[p].style);
        x += 2 + grid_text(g, x + 2, r.y, r.x + r.width - x - 2, STYLE_DIM, memory_parts[p].name) + 2;
    }
}

void results_memory_draw(struct grid *g, struct rect r, const struct session *s,
                         const struct results_row *row)
{
    const struct session_cell *c = &s->cell[row->cell];
    double most = 0;
    int name = 0, y = r.y, end = r.y + r.height;
    bool predicted = false;
    for (int a = 0; a < c->n_arms; a++) {
        const struct memory_use *m = c->arm[a].has_measured ? &c->arm[a].measured : &c->arm[a].predicted;
        double part[PARTS];
        memory_values(m, part);
        most = fmax(most, fmax((double)m->peak, part[0] + part[1] + part[2] + part[3]));
        int width = grid_columns(c->arm[a].name) + 2;
        name = width > name ? width : name;
        predicted |= !c->arm[a].has_measured && m->peak > 0;
    }
    if (!(most > 0)) {
        widget_paragraph(g, r, STYLE_DIM, "No memory was measured for this cell.");
        return;
    }
    name = name > r.width / 3 ? r.width / 3 : name;
    int width = r.width - name - 12;
    bool roomy = r.height >= 2 * c->n_arms + 2;
    for (int a = 0; a < c->n_arms && y < end; a++) {
        const struct session_arm *arm = &c->arm[a];
        const struct memory_use *m = arm->has_measured ? &arm->measured : &arm->predicted;
        char text[FORMAT_TEXT], peak[FORMAT_TEXT + 2];
        double part[PARTS];
        memory_values(m, part);
        grid_format(g, r.x, y, name, theme_arm(a), "%c %s", theme_arm_letter(a), arm->name);
        if (width > 3 && m->peak > 0)
            draw_memory_bar(g, r.x + name + 1, y, width, part, most);
        snprintf(peak, sizeof peak, "%s%s", arm->has_measured || m->peak <= 0 ? "" : "~",
                 format_bytes(text, m->peak > 0 ? (double)m->peak : NAN));
        grid_text_right(g, r.x + r.width, y, 10, arm->has_measured ? STYLE_TEXT : STYLE_DIM, peak);
        y++;
        if (roomy && m->peak > 0 && y < end) {
            int indent = r.width >= 64 ? name + 1 : 2;
            memory_numbers(g, (struct rect){r.x + indent, y, r.width - indent, 1}, part);
            y++;
        }
    }
    if (y + 1 < end)
        memory_legend(g, (struct rect){r.x, y + (y + 2 < end), r.width, 1});
    y += 1 + (y + 2 < end);
    if (y < end && s->environment.memory_bytes > 0) {
        char text[2][FORMAT_TEXT];
        grid_format(g, r.x, y, r.width, STYLE_DIM, "the largest takes %s of %s%s",
                    format_percent(text[0], most / (double)s->environment.memory_bytes),
                    format_bytes(text[1], (double)s->environment.memory_bytes),
                    predicted ? "; ~ predicted" : "");
    }
}

/* roofline */

void results_roofline_draw(struct grid *g, struct rect r, const struct results *results,
                           const struct session *s, const struct results_row *row)
{
    enum { POINTS = 256 };
    static const char *const dtypes[ROOFLINE_CEILINGS] = {"fp32", "fp16", "bf16", "int8"};
    struct roofline_point point[POINTS];
    int index[ROOFLINE_CEILINGS] = {-1, -1, -1, -1}, n = 0;
    struct roofline f = {.bandwidth = s->environment.read_bandwidth};
    for (int i = 0; i < results->n && n < POINTS; i++) {
        const struct results_row *at = &results->row[i];
        const struct session_cell *c = &s->cell[at->cell];
        const struct session_arm *arm = &c->arm[at->arm];
        bool strong = at->cell == row->cell;
        if (!at->has_summary || !(arm->work.bytes > 0))
            continue;
        int dtype = session_rate_index(s->preset.device, &arm->implementation);
        if (dtype < ROOFLINE_CEILINGS && index[dtype] < 0 && s->environment.product_rate[dtype] > 0) {
            f.ceiling[f.n_ceilings].rate = s->environment.product_rate[dtype];
            f.ceiling[f.n_ceilings].name = dtypes[dtype];
            index[dtype] = f.n_ceilings++;
        }
        point[n++] = (struct roofline_point){.intensity = arm->work.flops / arm->work.bytes,
                                             .rate = at->summary.flop_rate,
                                             .ceiling = dtype < ROOFLINE_CEILINGS ? index[dtype] : -1,
                                             .letter = theme_arm_letter(at->arm),
                                             .style = strong ? theme_arm(at->arm) : STYLE_DIM,
                                             .strong = strong,
                                             .name = arm->name};
    }
    f.point = point;
    f.n_points = n;
    if (!(f.bandwidth > 0) && f.n_ceilings == 0) {
        widget_paragraph(g, r, STYLE_DIM,
                         "What this machine reaches was not measured when the session ran: M in Setup "
                         "measures it, the next session will know.");
        return;
    }
    if (n == 0) {
        widget_paragraph(g, r, STYLE_DIM, "No samples yet.");
        return;
    }
    roofline_draw(g, r, &f);
}

/* criteria */

void results_criteria_draw(struct grid *g, struct rect r, const struct results *results,
                           const struct session *s)
{
    struct widget_column columns[] = {{"criterion", 9, 1, false, false},
                                      {"target", 8, 2, true, false},
                                      {"achieved", 8, 1, true, false},
                                      {"", 7, 1, false, false},
                                      {"worst case", 16, 3, false, true}};
    if (results->n_criteria == 0) {
        widget_paragraph(g, r, STYLE_DIM, "This preset asks for nothing: criteria are set in its file.");
        return;
    }
    for (int i = 0; i < results->n_criteria; i++) {
        int width = grid_columns(results->criterion[i].metric);
        columns[0].width = width > columns[0].width ? width : columns[0].width;
    }
    struct widget_table t;
    widget_table_begin(&t, g, r, columns, 5);
    for (int i = 0; i < results->n_criteria; i++) {
        const struct criterion_result *c = &results->criterion[i];
        char text[FORMAT_TEXT], name[160] = "";
        widget_table_cell(&t, i, 0, STYLE_TEXT, c->metric);
        widget_table_cell(&t, i, 1, STYLE_DIM, format_digits(text, c->target, 3));
        widget_table_cell(&t, i, 2, STYLE_TEXT, figure_against(c->achieved, c->target, 3, text, sizeof text));
        widget_table_cell(&t, i, 3,
                          !c->known   ? STYLE_DIM
                          : c->passed ? STYLE_GOOD
                                      : STYLE_ERROR,
                          !c->known   ? "no data"
                          : c->passed ? "passed"
                                      : "failed");
        if (c->known && c->cell >= 0 && c->cell < s->n_cells && c->arm < s->cell[c->cell].n_arms) {
            results_cell_name(s, c->cell, name, sizeof name);
            widget_table_format(&t, i, 4, STYLE_DIM, "%s" DOT "%s", s->cell[c->cell].arm[c->arm].name, name);
        }
    }
}
