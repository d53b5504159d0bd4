#include "engine/figure.h"
#include "tui/format.h"
#include "tui/plot.h"
#include "tui/theme.h"
#include "tui/view_live.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* About two bars per root of n, so that few samples do not look like a comb; returns how many bars. */
static int choose_bars(struct live_state *s, int columns)
{
    double most = 0;
    for (int i = 0; i < s->of->cell[s->cell].n_arms; i++) {
        const struct live_arm *arm = live_arm(s->statistics, s->cell, i);
        most = arm && (double)arm->bins.total > most ? (double)arm->bins.total : most;
    }
    int width = (int)(columns / fmax(8, 2 * sqrt(most)));
    s->bar_width = width < 1 ? 1 : width > 4 ? 4 : width;
    return columns / s->bar_width;
}

static void choose_range(struct live_state *s, int columns)
{
    if (s->range_cell != s->cell || s->range_columns != columns)
        s->range.per_column = 0;
    s->range_cell = s->cell;
    s->range_columns = columns;
    live_choose_range(s->statistics, s->of, s->cell, columns, &s->range);
}

/* One arm: its letter and name at the left, bars, ticks of its percentiles underneath. */
static void draw_arm(struct app *a, struct grid *g, struct rect r, int arm, int label)
{
    struct live_state *s = a->live;
    const struct session_arm *of = &s->of->cell[s->cell].arm[arm];
    const struct live_arm *data = live_arm(s->statistics, s->cell, arm);
    const struct arm_summary *m = live_summary(s->statistics, s->of, s->cell, arm, s->now_ns);
    char text[FORMAT_TEXT];
    grid_put(g, r.x, r.y, (uint32_t)theme_arm_letter(arm), theme_arm(arm));
    grid_text(g, r.x + 2, r.y, label - 3, STYLE_TEXT, of->name);
    if (m && r.height > 1)
        grid_format(g, r.x + 2, r.y + 1, label - 3, STYLE_DIM, "%s ms",
                    format_digits(text, m->latency.mean, 4));
    r.x += label;
    r.width -= label;
    if (!data || !m) {
        grid_text(g, r.x, r.y, r.width, STYLE_DIM, live_why_empty(&s->of->cell[s->cell], arm));
        return;
    }
    uint32_t count[LIVE_COLUMNS_MAX];
    int n = s->range_columns;
    struct plot_histogram h = {.count = count,
                               .n = n,
                               .bar_width = s->bar_width,
                               .low = live_column_edge(&s->range, 0),
                               .high = live_column_edge(&s->range, n),
                               .style = theme_arm(arm),
                               .cursor = a->frozen ? s->cursor : -1};
    h.tick[0] = (struct plot_tick){m->latency.median, "p50", false};
    h.tick[2] = (struct plot_tick){m->latency.p90, "p90", !m->p90_supported};
    h.tick[1] = (struct plot_tick){m->latency.p99, "p99", !m->p99_supported};
    live_columns(&data->bins, &s->range, n, count, &h.under, &h.over);
    plot_histogram(g, r, &h);
}

/* What stands under the cursor: the column's range, and per arm how many samples and what share is below. */
static void draw_reading(struct app *a, struct grid *g, struct rect r)
{
    struct live_state *s = a->live;
    char low[FORMAT_TEXT], high[FORMAT_TEXT], share[FORMAT_TEXT], line[256];
    size_t used = (size_t)snprintf(line, sizeof line, "%s\xe2\x80\x93%s ms",
                                   format_digits(low, live_column_edge(&s->range, s->cursor), 4),
                                   format_digits(high, live_column_edge(&s->range, s->cursor + 1), 4));
    for (int arm = 0; arm < s->of->cell[s->cell].n_arms && used < sizeof line; arm++) {
        const struct live_arm *data = live_arm(s->statistics, s->cell, arm);
        uint32_t count[LIVE_COLUMNS_MAX];
        uint64_t under, over, below;
        if (!data)
            continue;
        live_columns(&data->bins, &s->range, s->range_columns, count, &under, &over);
        below = under;
        for (int i = 0; i <= s->cursor; i++)
            below += count[i];
        used += (size_t)snprintf(line + used, sizeof line - used,
                                 arm ? "; %c %u, %s" : ": %c %u here, %s up to it", theme_arm_letter(arm),
                                 count[s->cursor],
                                 format_percent(share, (double)below / (double)data->bins.total));
    }
    grid_text(g, r.x, r.y, r.width, STYLE_KEY, line);
}

void live_draw_latency(struct app *a, struct grid *g, struct rect r)
{
    struct live_state *s = a->live;
    const struct session_cell *c = &s->of->cell[s->cell];
    const char *what = c->workload == WORKLOAD_PREFILL  ? "Latency per prompt, ms"
                       : c->workload == WORKLOAD_DECODE ? "Latency per decode step, ms"
                                                        : "Latency per generation, ms";
    struct rect in =
        widget_panel(g, r, what, a->frozen ? "h l move the cursor" : "log", s->focus == LIVE_LATENCY);
    int label = 8;
    for (int i = 0; i < c->n_arms; i++)
        label = grid_columns(c->arm[i].name) + 3 > label ? grid_columns(c->arm[i].name) + 3 : label;
    if (label > in.width / 3)
        label = in.width / 3;
    int columns = in.width - label - 2;
    if (columns < 4 || columns > LIVE_COLUMNS_MAX || in.height < 2)
        return;
    if (!a->frozen || s->range_columns < 1)
        columns = choose_bars(s, columns);
    else
        columns /= s->bar_width;
    choose_range(s, columns);
    struct rect axis = layout_bottom(&in, 1);
    if (a->frozen && s->range.per_column > 0)
        draw_reading(a, g, axis);
    else if (s->range.per_column > 0)
        plot_log_axis(g, (struct rect){axis.x + label, axis.y, columns * s->bar_width + 2, 1},
                      live_column_edge(&s->range, 0), live_column_edge(&s->range, columns));
    int arm[PRESET_ARMS], n = live_arms_shown(s, in.height, arm);
    int each = n > 0 ? in.height / n : 0, spare = n > 0 ? in.height % n : 0;
    for (int i = 0; i < n; i++)
        draw_arm(a, g, layout_top(&in, each + (i < spare)), arm[i], label);
}

static double value_of(const struct arm_summary *m, enum live_quantity q, int which)
{
    if (q == LIVE_LATENCY_MS)
        return which == 0 ? m->latency.mean : which < 0 ? m->latency.ci.low : m->latency.ci.high;
    return which == 0  ? m->tokens_per_second
           : which < 0 ? m->tokens_per_second_ci.low
                       : m->tokens_per_second_ci.high;
}

enum { LINES = 4 }; /* more in one picture are not told apart */

struct curve { /* the points of the arms shown along the axis */
    int arm[PRESET_ARMS], n_arms;
    double y[PLOT_SERIES][PRESET_SWEEP], low[PLOT_SERIES][PRESET_SWEEP], high[PLOT_SERIES][PRESET_SWEEP];
    char label[PRESET_SWEEP][24];
    const char *labels[PRESET_SWEEP];
    struct plot_series series[PLOT_SERIES];
    double least, most;
};

static void collect(struct live_state *s, struct curve *k, int n_x)
{
    k->least = INFINITY;
    k->n_arms = live_arms_shown(s, LINES, k->arm);
    k->most = 0;
    for (int i = 0; i < n_x; i++) {
        struct live_place at = live_place_of(s->of, s->cell);
        *live_place_on(&at, s->axis) = i;
        int cell = live_cell_at(s->of, at);
        const struct preset *p = &s->of->preset;
        if (s->axis == LIVE_AXIS_MODEL)
            snprintf(k->label[i], sizeof k->label[i], "%.23s", p->models[i]);
        else
            snprintf(k->label[i], sizeof k->label[i], "%d",
                     s->axis == LIVE_AXIS_BATCH ? p->batch[i] : p->seq[i]);
        k->labels[i] = k->label[i];
        for (int arm = 0; arm < k->n_arms; arm++) {
            const struct arm_summary *m =
                cell < 0 ? NULL : live_summary(s->statistics, s->of, cell, k->arm[arm], s->now_ns);
            double y = m ? value_of(m, s->quantity, 0) : NAN;
            k->y[arm][i] = y;
            k->low[arm][i] = m ? value_of(m, s->quantity, -1) : NAN;
            k->high[arm][i] = m ? value_of(m, s->quantity, 1) : NAN;
            if (y > 0) {
                k->least = fmin(k->least, y);
                k->most = fmax(k->most, y);
            }
        }
    }
    for (int arm = 0; arm < k->n_arms; arm++)
        k->series[arm] = (struct plot_series){k->y[arm], k->low[arm], k->high[arm],
                                              theme_arm_letter(k->arm[arm]), theme_arm(k->arm[arm])};
}

/* Values of the point under the cursor, in place of the note. */
static void point_note(const struct curve *k, bool is_rate, int at, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s:", k->label[at]);
    char text[FORMAT_TEXT];
    size_t empty = used;
    for (int arm = 0; arm < k->n_arms && used < size; arm++)
        if (isfinite(k->y[arm][at]))
            used += (size_t)snprintf(out + used, size - used, " %c %s", theme_arm_letter(k->arm[arm]),
                                     is_rate ? format_rate(text, k->y[arm][at])
                                             : format_digits(text, k->y[arm][at], 3));
    if (used == empty && used < size)
        snprintf(out + used, size - used, " \xe2\x80\x93");
}

void live_draw_curve(struct app *a, struct grid *g, struct rect r)
{
    static const char *const axis_names[LIVE_AXES] = {"batch", "sequence", "model"};
    struct live_state *s = a->live;
    struct curve k;
    int n_x = live_axis_length(s->of, s->axis);
    n_x = n_x > PRESET_SWEEP ? PRESET_SWEEP : n_x;
    collect(s, &k, n_x);
    struct live_place here = live_place_of(s->of, s->cell);
    int at = *live_place_on(&here, s->axis);
    char title[64], note[128], level[FORMAT_TEXT];
    bool is_log = k.most > 25 * k.least;
    if (a->frozen || s->pinned)
        point_note(&k, s->quantity != LIVE_LATENCY_MS, at, note, sizeof note);
    else
        snprintf(note, sizeof note, "%s\xc2\xb1 %s", is_log ? "log \xc2\xb7 " : "",
                 figure_percent(summary_confidence(s->of), 1, level, sizeof level));
    /* The values under the cursor need the room of the long title. */
    bool is_short = grid_columns(note) + 36 > r.width;
    snprintf(title, sizeof title, "%s by %s",
             s->quantity == LIVE_LATENCY_MS ? (is_short ? "ms" : "Latency, ms")
                                            : (is_short ? "tok/s" : "Throughput, tok/s"),
             axis_names[s->axis]);
    struct rect in = widget_panel(g, r, title, note, s->focus == LIVE_CURVE);
    struct plot_lines lines = {.x_label = k.labels,
                               .n_x = n_x,
                               .series = k.series,
                               .n_series = k.n_arms,
                               .from_zero = true,
                               .log_y = is_log,
                               .cursor = at};
    if (!(k.most > 0)) {
        grid_text(g, in.x, in.y, in.width, STYLE_DIM, "no point of this curve is measured yet");
        return;
    }
    in.x -= 1; /* labels may use the padding */
    in.width += 1;
    plot_lines(g, in, &lines);
}
