#include "tui/plot.h"
#include "tui/format.h"
#include "tui/theme.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plot_bar(struct grid *g, int x, int y, int width, double fraction, enum style style)
{
    if (width < 1)
        return;
    double length = isnan(fraction) || fraction < 0 ? 0 : fraction;
    int eighths = (int)lround(fmin(length, 1) * 8 * width);
    if (length > 0 && eighths == 0)
        eighths = 1;
    for (int i = 0; i < width; i++) {
        int here = eighths - 8 * i;
        if (here > 0)
            grid_put(g, x + i, y, glyph_bar(g, here, false), style);
        else
            grid_put(g, x + i, y, g->ascii ? '.' : 0xb7, STYLE_BAR_EMPTY);
    }
    if (length > 1.0005)
        grid_put(g, x + width - 1, y, '>', STYLE_ERROR);
}

static void draw_column(struct grid *g, int x, struct rect r, double fraction, enum style style)
{
    int eighths = (int)lround(fraction * 8 * r.height);
    if (fraction > 0 && eighths == 0)
        eighths = 1;
    for (int row = 0; row < r.height && eighths > 0; row++, eighths -= 8)
        grid_put(g, x, r.y + r.height - 1 - row, glyph_bar(g, eighths, true), style);
}

static int log_column(const struct plot_histogram *h, double value)
{
    return (int)floor(log(value / h->low) / log(h->high / h->low) * h->n * h->bar_width);
}

/* Ticks in one row, in their order of importance: what would run into another is left out. */
static void draw_ticks(struct grid *g, struct rect r, const struct plot_histogram *h)
{
    bool taken[512] = {false};
    int width = r.width < 512 ? r.width : 512;
    for (int t = 0; t < PLOT_TICKS; t++) {
        const struct plot_tick *tick = &h->tick[t];
        if (!(tick->at > 0) || !tick->label)
            continue;
        int column = log_column(h, tick->at) + 1;
        if (column < 0 || column >= width)
            continue;
        char label[16];
        snprintf(label, sizeof label, tick->weak ? "(%s)" : "%s", tick->label);
        int length = grid_columns(label);
        int from =
            column + 1 + length <= width ? column : column - length; /* label right of the tick, or left */
        bool is_free = from >= 0;
        for (int i = from; is_free && i <= from + length + 1 && i < width; i++)
            is_free = !taken[i];
        if (!is_free && column - length >= 0) {
            from = column - length;
            is_free = true;
            for (int i = from > 0 ? from - 1 : 0; is_free && i <= column; i++)
                is_free = !taken[i];
        }
        if (!is_free)
            continue;
        for (int i = from; i <= from + length; i++)
            taken[i] = true;
        enum style style = tick->weak ? STYLE_DIM : STYLE_PERCENTILE;
        grid_put(g, r.x + column, r.y, glyph(g, GLYPH_TICK), style);
        grid_text(g, r.x + (from == column ? column + 1 : from), r.y, length, style, label);
    }
}

void plot_histogram(struct grid *g, struct rect r, const struct plot_histogram *h)
{
    if (r.width < 4 || r.height < 1 || h->n < 1 || h->bar_width < 1 || !(h->low > 0) || !(h->high > h->low))
        return;
    struct rect bars = r;
    if (r.height > 1) {
        bars.height--;
        draw_ticks(g, (struct rect){r.x, r.y + r.height - 1, r.width, 1}, h);
    }
    uint32_t most = 1;
    for (int i = 0; i < h->n; i++)
        most = h->count[i] > most ? h->count[i] : most;
    int w = h->bar_width;
    if (h->cursor >= 0 && h->cursor < h->n)
        grid_fill(g, (struct rect){r.x + 1 + h->cursor * w, bars.y, w, bars.height}, ' ', STYLE_CURSOR);
    for (int x = 0; x < h->n * w && x < r.width - 2; x++)
        if (h->count[x / w])
            draw_column(g, r.x + 1 + x, bars, h->count[x / w] / (double)most,
                        x / w == h->cursor ? STYLE_CURSOR : h->style);
    if (h->under)
        draw_column(g, r.x, bars, fmin(1, (double)h->under / most), STYLE_WARNING);
    if (h->over)
        draw_column(g, r.x + r.width - 1, bars, fmin(1, (double)h->over / most), STYLE_WARNING);
}

/* The next of 1, 2, 5 x 10^k at or above x. */
static double nice(double x)
{
    double power = pow(10, floor(log10(x)));
    double m = x / power;
    return power * (m <= 1.0001 ? 1 : m <= 2.0001 ? 2 : m <= 5.0001 ? 5 : 10);
}

void plot_log_axis(struct grid *g, struct rect r, double low, double high)
{
    if (r.width < 12 || !(low > 0) || !(high > low))
        return;
    int n = r.width - 2, labels = n / 9 < 1 ? 1 : n / 9, free_from = 0;
    bool narrow = high / low < 10; /* 1, 2, 5, 10 would be one or two labels */
    double step = narrow ? nice((high - low) / labels) : 0;
    double v = narrow ? ceil(low / step) * step : nice(low);
    for (int guard = 0; guard < 200 && v < high * 1.0001; guard++) {
        char text[FORMAT_TEXT];
        snprintf(text, sizeof text, "%.6g", v);
        int column = 1 + (int)floor(log(v / low) / log(high / low) * n), width = grid_columns(text);
        int from = column - width / 2;
        if (from < 0)
            from = 0;
        if (from + width > r.width)
            from = r.width - width;
        if (from >= free_from) {
            grid_text(g, r.x + from, r.y, width, STYLE_DIM, text);
            free_from = from + width + 2;
        }
        v = narrow ? v + step : nice(v * 1.001);
    }
}

/* The line plot's picture: a box of cells, each 2 x 4 dots in braille, and the value range it covers. */
struct canvas {
    struct grid *g;
    struct rect r;
    double low, high;
    bool log;
};

static double height_of(const struct canvas *c, double y)
{
    double low = c->low, high = c->high;
    if (c->log) {
        y = log(y);
        low = log(low);
        high = log(high);
    }
    return (y - low) / (high - low);
}

/* Row of dots from the top; -1: outside or undefined. */
static int dot_row(const struct canvas *c, double y)
{
    double h = height_of(c, y);
    if (!(h > -0.01 && h < 1.01))
        return -1;
    int dots = 4 * c->r.height;
    int row = (int)lround((1 - h) * (dots - 1));
    return row < 0 ? 0 : row >= dots ? dots - 1 : row;
}

static void dot(const struct canvas *c, int x, int y, enum style style, char ascii)
{
    static const uint8_t bit[4][2] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};
    if (x < 0 || y < 0 || x >= 2 * c->r.width || y >= 4 * c->r.height)
        return;
    int cx = c->r.x + x / 2, cy = c->r.y + y / 4;
    uint32_t old = grid_code(c->g, cx, cy);
    if (c->g->ascii) {
        if (old == ' ' || old == '.' || ascii == '|')
            grid_put(c->g, cx, cy, (uint32_t)ascii, style);
        return;
    }
    uint32_t dots = old >= 0x2800 && old < 0x2900 ? old : 0x2800;
    grid_put(c->g, cx, cy, dots | bit[y % 4][x % 2], style);
}

static void line(const struct canvas *c, int x0, int y0, int x1, int y1, enum style style)
{
    int steps = abs(x1 - x0) > abs(y1 - y0) ? abs(x1 - x0) : abs(y1 - y0);
    for (int i = 0; i <= steps; i++) {
        double t = steps ? (double)i / steps : 0;
        dot(c, x0 + (int)lround(t * (x1 - x0)), y0 + (int)lround(t * (y1 - y0)), style, '.');
    }
}

static int x_dot(const struct canvas *c, int i, int n)
{
    int left = 2, right = 2 * c->r.width - 3;
    return n < 2 ? (left + right) / 2 : left + (int)lround((double)i * (right - left) / (n - 1));
}

static void y_range(const struct plot_lines *p, struct canvas *c)
{
    double low = INFINITY, high = -INFINITY;
    for (int s = 0; s < p->n_series; s++)
        for (int i = 0; i < p->n_x; i++) {
            const double *of[] = {p->series[s].y, p->series[s].low, p->series[s].high};
            for (int k = 0; k < 3; k++) {
                double v = of[k] ? of[k][i] : NAN;
                /* An interval of few blocks may be far wider than the data: it must not flatten the curve. */
                if (!isfinite(v) || (p->log_y && v <= 0) || (k && !(fabs(v) < 3 * fabs(p->series[s].y[i]))))
                    continue;
                low = fmin(low, v);
                high = fmax(high, v);
            }
        }
    if (!(high >= low)) {
        low = p->log_y ? 1 : 0;
        high = p->log_y ? 10 : 1;
    }
    c->log = p->log_y;
    if (c->log) {
        double pad = pow(high / low, 0.06) * 1.02;
        c->low = low / pad;
        c->high = high * pad;
        return;
    }
    if (p->from_zero)
        low = 0;
    double pad = (high - low) * 0.06 + (high == low ? fabs(high) * 0.05 + 1e-12 : 0);
    c->high = high + pad;
    c->low = p->from_zero ? 0 : low - pad;
}

static void y_axis(const struct canvas *c, int label_width)
{
    int axis = c->r.x - 1;
    for (int y = c->r.y; y < c->r.y + c->r.height; y++)
        grid_put(c->g, axis, y, glyph(c->g, GLYPH_VERTICAL), STYLE_FRAME);
    int wanted = c->r.height / 3 < 2 ? 2 : c->r.height / 3, last = -9;
    double step = nice((c->high - c->low) / wanted);
    double v = c->log ? nice(c->low) : ceil(c->low / step - 1e-9) * step;
    for (int guard = 0; guard < 100 && v <= c->high; guard++) {
        int row = dot_row(c, v);
        if (row >= 0 && (last < 0 || abs(row / 4 - last) >= 2)) {
            char text[FORMAT_TEXT];
            last = row / 4;
            grid_put(c->g, axis, c->r.y + last, glyph(c->g, GLYPH_TEE_RIGHT), STYLE_FRAME);
            grid_text_right(c->g, axis, c->r.y + last, label_width, STYLE_DIM,
                            format_si(text, fabs(v) < step * 1e-6 ? 0 : v, label_width));
        }
        v = c->log ? nice(v * 1.001) : v + step;
    }
}

static void x_axis(const struct canvas *c, const struct plot_lines *p)
{
    int y = c->r.y + c->r.height, end = c->r.x + c->r.width, free_from = c->r.x;
    grid_put(c->g, c->r.x - 1, y, glyph(c->g, GLYPH_BOTTOM_LEFT), STYLE_FRAME);
    for (int x = c->r.x; x < end; x++)
        grid_put(c->g, x, y, glyph(c->g, GLYPH_HORIZONTAL), STYLE_FRAME);
    for (int i = 0; i < p->n_x; i++) {
        int width = grid_columns(p->x_label[i]);
        int from = c->r.x + x_dot(c, i, p->n_x) / 2 - width / 2;
        if (i == 0 && from < free_from)
            from = free_from;
        if (from + width > end)
            from = end - width;
        if (from < free_from)
            continue;
        grid_text(c->g, from, y, width, i == p->cursor ? STYLE_CURSOR : STYLE_DIM, p->x_label[i]);
        free_from = from + width + 1;
    }
}

static void draw_series(const struct canvas *c, const struct plot_lines *p, int which)
{
    const struct plot_series *s = &p->series[which];
    int last = -1;
    for (int i = 0; i < p->n_x; i++) {
        int x = x_dot(c, i, p->n_x), y = dot_row(c, s->y[i]);
        if (y < 0) {
            last = -1;
            continue;
        }
        if (last >= 0)
            line(c, x_dot(c, last, p->n_x), dot_row(c, s->y[last]), x, y, s->style);
        last = i;
    }
    for (int i = 0; i < p->n_x; i++) {
        int x = x_dot(c, i, p->n_x), y = dot_row(c, s->y[i]);
        if (y < 0)
            continue;
        if (s->low && s->high && isfinite(s->low[i]) && isfinite(s->high[i])) {
            int bottom = dot_row(c, fmax(s->low[i], c->low)), top = dot_row(c, fmin(s->high[i], c->high));
            for (int row = top; top >= 0 && bottom >= 0 && row <= bottom; row++)
                dot(c, x, row, s->style, '|');
        }
    }
}

/* Letters at the points, and at the right edge where a line ends, each on a row of its own. */
static void draw_letters(const struct canvas *c, const struct plot_lines *p)
{
    for (int s = p->n_series - 1; s >= 0; s--) {
        const struct plot_series *series = &p->series[s];
        int end = -1;
        for (int i = 0; i < p->n_x; i++) {
            int y = dot_row(c, series->y[i]);
            if (y < 0)
                continue;
            end = y / 4;
            grid_put(c->g, c->r.x + x_dot(c, i, p->n_x) / 2, c->r.y + end, (uint32_t)series->letter,
                     series->style);
        }
        if (end < 0)
            continue;
        int x = c->r.x + c->r.width;
        for (int away = 0; away < 2 * c->r.height; away++) {
            int row = end + (away % 2 ? 1 : -1) * ((away + 1) / 2);
            if (row < 0 || row >= c->r.height || grid_code(c->g, x, c->r.y + row) != ' ')
                continue;
            grid_put(c->g, x, c->r.y + row, (uint32_t)series->letter, series->style);
            break;
        }
    }
}

void plot_lines(struct grid *g, struct rect r, const struct plot_lines *p)
{
    const int label_width = 5;
    if (r.width < label_width + 8 || r.height < 4 || p->n_x < 1)
        return;
    struct canvas c = {.g = g, .r = {r.x + label_width + 1, r.y, r.width - label_width - 2, r.height - 1}};
    y_range(p, &c);
    y_axis(&c, label_width);
    x_axis(&c, p);
    if (p->x_title) {
        int width = grid_columns(p->x_title);
        int x = r.x + label_width - width;
        if (x >= r.x)
            grid_text(g, x, r.y + r.height - 1, width, STYLE_DIM, p->x_title);
    }
    if (p->cursor >= 0 && p->cursor < p->n_x)
        for (int y = c.r.y; y < c.r.y + c.r.height; y++)
            grid_put(g, c.r.x + x_dot(&c, p->cursor, p->n_x) / 2, y, glyph(g, GLYPH_VERTICAL),
                     STYLE_FRAME_FOCUS);
    for (int s = p->n_series - 1; s >= 0; s--)
        draw_series(&c, p, s);
    draw_letters(&c, p);
    if (p->y_title && grid_code(g, c.r.x + 1, r.y) == ' ')
        grid_text(g, c.r.x + 1, r.y, c.r.width / 2, STYLE_DIM, p->y_title);
}

/* One character for a ratio where there are no colors: - slower, = equal, + faster, doubled in size by # */
static uint32_t heat_character(double ratio, double span)
{
    if (!(ratio > 0))
        return ' ';
    double t = log(ratio) / log(span);
    return (uint32_t)(t < -0.5 ? 'v' : t < -0.05 ? '-' : t <= 0.05 ? '=' : t <= 0.5 ? '+' : '^');
}

static double heat_value(const struct plot_heat *p, int row, int column)
{
    return row < p->rows && column < p->columns ? p->value[row * p->columns + column] : NAN;
}

static bool heat_weak(const struct plot_heat *p, int row, int column)
{
    return p->weak && row < p->rows && column < p->columns && p->weak[row * p->columns + column];
}

/* What the color stands for: a ratio that is not told from 1 has that of 1. */
static double heat_shown(const struct plot_heat *p, int row, int column)
{
    double v = heat_value(p, row, column);
    return isfinite(v) && heat_weak(p, row, column) ? 1 : v;
}

/* Numbers on colored cells. */
static void heat_numbers(struct grid *g, struct rect r, const struct plot_heat *p, int cell_width)
{
    for (int row = 0; row < p->rows && row < r.height; row++)
        for (int column = 0; column < p->columns && (column + 1) * cell_width <= r.width; column++) {
            double v = heat_value(p, row, column);
            char text[FORMAT_TEXT];
            struct rect cell = {r.x + column * cell_width, r.y + row, cell_width - 1, 1};
            bool here = row == p->cursor_row && column == p->cursor_column;
            bool weak = heat_weak(p, row, column) && !isnan(v);
            enum style back = g->monochrome || weak ? STYLE_TEXT : theme_heat(v, p->span);
            for (int x = 0; x < cell.width; x++)
                grid_put_on(g, cell.x + x, cell.y, ' ', STYLE_TEXT, isnan(v) ? STYLE_TEXT : back);
            format_digits(text, v, 3);
            if (weak && (int)strlen(text) < cell.width)
                snprintf(text + strlen(text), 2, "?");
            int length = grid_columns(text), from = cell.x + (cell.width - length) / 2;
            for (int i = 0; i < length && !isnan(v); i++)
                grid_put_on(g, from + i, cell.y, (uint32_t)text[i], weak ? STYLE_DIM : STYLE_TEXT, back);
            if (isnan(v))
                grid_text(g, from, cell.y, cell.width, STYLE_DIM, text);
            if (here) {
                grid_put_on(g, cell.x, cell.y, '[', STYLE_TEXT, isnan(v) ? STYLE_TEXT : back);
                grid_put_on(g, cell.x + cell.width - 1, cell.y, ']', STYLE_TEXT,
                            isnan(v) ? STYLE_TEXT : back);
            }
        }
}

/* Two rows of values per row of cells. */
static void heat_blocks(struct grid *g, struct rect r, const struct plot_heat *p, int cell_width)
{
    for (int row = 0; row < p->rows && row / 2 < r.height; row += 2)
        for (int column = 0; column < p->columns && (column + 1) * cell_width <= r.width; column++) {
            enum style upper = theme_heat(heat_shown(p, row, column), p->span);
            enum style lower = theme_heat(heat_shown(p, row + 1, column), p->span);
            for (int x = 0; x < cell_width; x++)
                grid_put_on(g, r.x + column * cell_width + x, r.y + row / 2,
                            upper == STYLE_TEXT && lower == STYLE_TEXT ? ' ' : glyph(g, GLYPH_HALF_BLOCK),
                            upper, lower);
        }
}

static void heat_characters(struct grid *g, struct rect r, const struct plot_heat *p, int cell_width)
{
    for (int row = 0; row < p->rows && row < r.height; row++)
        for (int column = 0; column < p->columns && (column + 1) * cell_width <= r.width; column++)
            grid_put(g, r.x + column * cell_width, r.y + row,
                     heat_weak(p, row, column) ? '?' : heat_character(heat_value(p, row, column), p->span),
                     STYLE_TEXT);
}

void plot_heat(struct grid *g, struct rect r, const struct plot_heat *p)
{
    int label = 1;
    for (int i = 0; i < p->rows; i++)
        label = grid_columns(p->row_label[i]) > label ? grid_columns(p->row_label[i]) : label;
    if (label > r.width / 3)
        label = r.width / 3;
    if (p->columns < 1 || p->rows < 1 || r.height < 2 || r.width < label + 2)
        return;
    struct rect area = {r.x + label + 1, r.y + 1, r.width - label - 1, r.height - 1};
    int cell_width = area.width / p->columns > 9 ? 9 : area.width / p->columns;
    bool numbers = cell_width >= 6 && area.height >= p->rows;
    bool blocks = !numbers && !g->ascii && !g->monochrome;
    if (cell_width < 1)
        cell_width = 1;
    int free_from = area.x;
    for (int column = 0; column < p->columns && (column + 1) * cell_width <= area.width; column++) {
        int width = grid_columns(p->column_label[column]);
        int from = area.x + column * cell_width + (cell_width - width) / 2;
        if (from < free_from)
            from = area.x + column * cell_width;
        if (from < free_from)
            continue;
        grid_text(g, from, r.y, r.x + r.width - from, column == p->cursor_column ? STYLE_BOLD : STYLE_DIM,
                  p->column_label[column]);
        free_from = from + width + 1;
    }
    int step = blocks ? 2 : 1;
    for (int row = 0; row < p->rows && row / step < area.height; row += step)
        grid_text_right(g, r.x + label, area.y + row / step, label,
                        row == p->cursor_row ? STYLE_BOLD : STYLE_DIM, p->row_label[row]);
    if (numbers)
        heat_numbers(g, area, p, cell_width);
    else if (blocks)
        heat_blocks(g, area, p, cell_width);
    else
        heat_characters(g, area, p, cell_width);
}
