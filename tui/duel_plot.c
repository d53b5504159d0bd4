#include "tui/duel_plot.h"
#include "tui/format.h"
#include "tui/theme.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LABELS = 7 }; /* columns of numbers and the axis line */

struct scale {
    double low, high; /* log ratio at the bottom and the top row */
    struct rect area; /* points and lines */
    int rounds;
};

static int row_of(const struct scale *s, double log_ratio)
{
    if (!isfinite(log_ratio))
        return -1;
    double at = (s->high - log_ratio) / (s->high - s->low) * (s->area.height - 1);
    return at < -0.5 || at > s->area.height - 0.5 ? -1 : (int)lround(at);
}

static double value_of(const struct scale *s, int row)
{
    return s->high - (s->high - s->low) * row / (s->area.height > 1 ? s->area.height - 1 : 1);
}

static int column_of(const struct scale *s, int round)
{
    return (int)((round + 0.5) * s->area.width / s->rounds);
}

static int round_at(const struct scale *s, int column)
{
    return (int)((double)column * s->rounds / s->area.width);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void include(double value, double *low, double *high)
{
    if (!isfinite(value))
        return;
    *low = fmin(*low, value);
    *high = fmax(*high, value);
}

/* The bulk of the points and today's intervals; what was wider earlier is clipped. The band too, unless the
 * arms are so far apart that it would flatten everything else. */
static void choose_scale(struct scale *s, const struct duel *d)
{
    double margin = log1p(d->margin), low = INFINITY, high = -INFINITY;
    double *sorted = d->n > 0 ? malloc((size_t)d->n * sizeof *sorted) : NULL;
    if (sorted) {
        for (int i = 0; i < d->n; i++)
            sorted[i] = d->logs[i];
        qsort(sorted, (size_t)d->n, sizeof *sorted, ascending);
        include(sorted[d->n / 20], &low, &high);
        include(sorted[d->n - 1 - d->n / 20], &low, &high);
        free(sorted);
    }
    if (d->n > 0) {
        double extent = fmax(high - low, margin);
        const struct duel_round *last = &d->round[d->n - 1];
        include(fmax(log(last->planned.low), low - extent), &low, &high);
        include(fmin(log(last->planned.high), high + extent), &low, &high);
        include(fmax(log(last->watched.low), low - extent / 2), &low, &high);
        include(fmin(log(last->watched.high), high + extent / 2), &low, &high);
    }
    double away = low > margin ? low - margin : high < -margin ? -margin - high : 0;
    if (!(high > low) || away < 3 * (high - low)) {
        include(-1.3 * margin, &low, &high);
        include(1.3 * margin, &low, &high);
    }
    double room = 0.04 * (high - low);
    s->low = low - room;
    s->high = high + room;
}

static void draw_band(struct grid *g, const struct scale *s, const struct duel *d)
{
    double margin = log1p(d->margin);
    int one = row_of(s, 0);
    for (int y = 0; y < s->area.height; y++) {
        bool inside = fabs(value_of(s, y)) <= margin;
        uint32_t code = y == one ? glyph(g, GLYPH_HORIZONTAL) : inside ? glyph(g, GLYPH_SHADE) : ' ';
        for (int x = 0; x < s->area.width; x++)
            grid_put(g, s->area.x + x, s->area.y + y, code, STYLE_DIM);
    }
}

/* Round steps in the unit of the label, at least two rows apart. */
static void draw_labels(struct grid *g, const struct scale *s)
{
    static const double steps[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5};
    double per_row = (exp(s->high) - exp(s->low)) / s->area.height, step = steps[0];
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && step < 2 * per_row; i++)
        step = steps[i];
    int decimals = step < 0.001 ? 4 : step < 0.01 ? 3 : step < 1 ? 2 : 0, used = -1;
    for (int y = 0; y < s->area.height; y++)
        grid_put(g, s->area.x - 1, s->area.y + y, glyph(g, GLYPH_VERTICAL), STYLE_FRAME);
    for (double v = 1 + ceil((exp(s->high) - 1) / step) * step; v >= exp(s->low) && v > 0; v -= step) {
        int y = row_of(s, log(v));
        if (y < 0 || y == used)
            continue;
        used = y;
        char text[FORMAT_TEXT];
        snprintf(text, sizeof text, "%.*f", decimals, v);
        grid_text_right(g, s->area.x - 2, s->area.y + y, LABELS - 2, STYLE_TEXT, text);
        grid_put(g, s->area.x - 1, s->area.y + y, glyph(g, GLYPH_TEE_RIGHT), STYLE_FRAME);
    }
}

static void draw_bounds(struct grid *g, const struct scale *s, const struct duel *d, bool watched)
{
    uint32_t code = watched ? (g->ascii ? '.' : 0x22ef) : (g->ascii ? '=' : 0x2501);
    enum style style = watched ? STYLE_PERCENTILE : STYLE_BOLD;
    int end = d->n > 0 ? column_of(s, d->n - 1) : -1;
    for (int x = 0; x <= end && x < s->area.width; x++) {
        int i = round_at(s, x);
        if (i >= d->n)
            break;
        struct stats_interval ci = watched ? d->round[i].watched : d->round[i].planned;
        const double edge[2] = {ci.low, ci.high};
        for (int k = 0; k < 2; k++) {
            int y = edge[k] > 0 ? row_of(s, log(edge[k])) : -1;
            if (y >= 0)
                grid_put(g, s->area.x + x, s->area.y + y, code, style);
        }
    }
}

/* A point outside the picture stands at its edge as an arrow: nothing is hidden. */
static void draw_points(struct grid *g, const struct scale *s, const struct duel *d)
{
    for (int i = 0; i < d->n; i++) {
        int y = row_of(s, d->logs[i]), x = column_of(s, i);
        uint32_t code = d->round[i].flagged ? glyph(g, GLYPH_TIMES) : g->ascii ? 'o' : 0x2022;
        if (y < 0) {
            code = glyph(g, d->logs[i] > s->high ? GLYPH_UP : GLYPH_DOWN);
            y = d->logs[i] > s->high ? 0 : s->area.height - 1;
        }
        grid_put(g, s->area.x + x, s->area.y + y, code, d->round[i].flagged ? STYLE_WARNING : STYLE_KEY);
    }
}

static void draw_axis(struct grid *g, const struct scale *s, int y)
{
    int step = 1, last = s->area.x - 2;
    while ((double)s->area.width / s->rounds * step < 6)
        step = step == 1 ? 2 : step == 2 ? 5 : step == 5 ? 10 : step * 2;
    grid_put(g, s->area.x - 1, y, glyph(g, GLYPH_BOTTOM_LEFT), STYLE_FRAME);
    for (int x = 0; x < s->area.width; x++)
        grid_put(g, s->area.x + x, y, glyph(g, GLYPH_HORIZONTAL), STYLE_FRAME);
    int end = s->area.x + s->area.width - 7;
    grid_text(g, end, y, 7, STYLE_DIM, " rounds");
    for (int round = step; round <= s->rounds; round += step) {
        char text[FORMAT_TEXT];
        int n = snprintf(text, sizeof text, "%d", round), x = s->area.x + column_of(s, round - 1) - n / 2;
        if (x <= last + 1 || x + n > end)
            continue;
        grid_text(g, x, y, n, STYLE_TEXT, text);
        last = x + n;
    }
}

void duel_plot_ratio(struct grid *g, struct rect r, const struct duel *d, int rounds)
{
    struct scale s = {.area = {r.x + LABELS, r.y, r.width - LABELS, r.height - 1},
                      .rounds = rounds > d->n ? rounds : d->n};
    if (s.area.width < 12 || s.area.height < 3)
        return;
    if (s.rounds < 10)
        s.rounds = 10;
    choose_scale(&s, d);
    draw_band(g, &s, d);
    draw_labels(g, &s);
    draw_bounds(g, &s, d, true);
    draw_bounds(g, &s, d, false);
    draw_points(g, &s, d);
    draw_axis(g, &s, r.y + r.height - 1);
}

/* ---- who beats whom ---- */

static char mark_of(const struct comparison *c)
{
    static const char marks[] = {[VERDICT_FASTER] = '+', [VERDICT_SLOWER] = '-', [VERDICT_EQUIVALENT] = '='};
    return c->final && c->verdict != VERDICT_INCONCLUSIVE && c->verdict != VERDICT_NONE ? marks[c->verdict]
                                                                                        : '?';
}

void duel_plot_matrix(struct grid *g, struct rect r, const struct duel_matrix *m)
{
    enum { CELL = 8 };
    int name = r.width - m->n * CELL - 3;
    if (name > 14)
        name = 14;
    bool has_names = name >= 4;
    int x0 = r.x + 2 + (has_names ? name + 1 : 0);
    for (int j = 0; j < m->n; j++)
        if (x0 + (j + 1) * CELL <= r.x + r.width + 1)
            grid_put(g, x0 + j * CELL + 3, r.y, (uint32_t)theme_arm_letter(j), theme_arm(j));
    for (int i = 0; i < m->n && i + 1 < r.height; i++) {
        int y = r.y + 1 + i;
        grid_put(g, r.x, y, (uint32_t)theme_arm_letter(i), theme_arm(i));
        if (has_names)
            grid_text(g, r.x + 2, y, name, STYLE_TEXT, m->name[i]);
        for (int j = 0; j < m->n && x0 + (j + 1) * CELL <= r.x + r.width + 1; j++) {
            const struct comparison *c = &m->c[i * m->n + j];
            int x = x0 + j * CELL;
            char text[FORMAT_TEXT];
            if (i == j) {
                grid_text(g, x + 3, y, 1, STYLE_DIM, "\xc2\xb7");
                continue;
            }
            if (!isfinite(c->speedup)) {
                grid_text(g, x + 3, y, 1, STYLE_DIM, "\xe2\x80\x93");
                continue;
            }
            char mark = mark_of(c);
            grid_text_right(g, x + 5, y, 5, STYLE_TEXT, format_digits(text, c->speedup, 3));
            grid_put(g, x + 6, y, (uint32_t)mark, mark == '?' ? STYLE_DIM : STYLE_BOLD);
            if (i == m->row && j == m->column)
                grid_restyle(g, (struct rect){x, y, CELL - 1, 1}, STYLE_SELECTED);
        }
    }
    if (m->n + 2 <= r.height)
        grid_text(g, r.x, r.y + m->n + 1, r.width, STYLE_DIM, "+ faster  - slower  = equal  ? open");
}
