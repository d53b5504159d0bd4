#include "tui/roofline.h"
#include "tui/format.h"
#include "tui/plot.h"

#include <math.h>
#include <stdio.h>

enum { AXIS = 6 };

double roofline_limit(const struct roofline *f, double intensity, int ceiling)
{
    double memory = f->bandwidth > 0 ? f->bandwidth * intensity : INFINITY;
    double products = ceiling >= 0 && ceiling < f->n_ceilings ? f->ceiling[ceiling].rate : INFINITY;
    return fmin(memory, products);
}

struct plane {
    struct grid *g;
    struct rect r;
    double x_low, x_high, y_low, y_high; /* logarithms */
};

static bool usable(const struct roofline_point *p)
{
    return isfinite(p->intensity) && p->intensity > 0 && isfinite(p->rate) && p->rate > 0;
}

static bool fit(struct plane *p, const struct roofline *f)
{
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    for (int i = 0; i < f->n_points; i++) {
        const struct roofline_point *at = &f->point[i];
        if (!usable(at))
            continue;
        x_low = fmin(x_low, log2(at->intensity));
        x_high = fmax(x_high, log2(at->intensity));
        y_low = fmin(y_low, log2(at->rate));
        double limit = roofline_limit(f, at->intensity, at->ceiling);
        y_high = fmax(y_high, fmax(log2(at->rate), isfinite(limit) ? log2(limit) : -INFINITY));
    }
    if (!(x_high >= x_low))
        return false;
    for (int c = 0; c < f->n_ceilings; c++) {
        double ridge = log2(f->ceiling[c].rate / f->bandwidth);
        y_high = fmax(y_high, log2(f->ceiling[c].rate));
        /* The ridge belongs into the picture, unless it is so far away that the points would fall together.
         */
        if (isfinite(ridge) && ridge < x_high + 8)
            x_high = fmax(x_high, ridge + 1);
    }
    p->x_low = x_low - 1;
    p->x_high = x_high + 1;
    p->y_high = y_high + 0.7;
    p->y_low = y_low - 1;
    if (p->y_high - p->y_low < 4)
        p->y_low = p->y_high - 4;
    return true;
}

static int column(const struct plane *p, double x)
{
    return (int)lround((x - p->x_low) / (p->x_high - p->x_low) * (p->r.width - 1));
}

static int row(const struct plane *p, double y)
{
    return (int)lround((p->y_high - y) / (p->y_high - p->y_low) * (p->r.height - 1));
}

/* One dot of a 2 x 4 grid per cell, as braille; '.' in ASCII. */
static void dot(const struct plane *p, int x, int y, enum style style)
{
    static const uint8_t bit[4][2] = {{1, 8}, {2, 16}, {4, 32}, {64, 128}};
    if (x < 0 || y < 0 || x >= 2 * p->r.width || y >= 4 * p->r.height)
        return;
    int cx = p->r.x + x / 2, cy = p->r.y + y / 4;
    uint32_t old = grid_code(p->g, cx, cy);
    if (p->g->ascii)
        grid_put(p->g, cx, cy, '.', style);
    else
        grid_put(p->g, cx, cy, (old >= 0x2800 && old < 0x2900 ? old : 0x2800) | bit[y % 4][x % 2], style);
}

/* The roof under one ceiling, dot column by dot column; steep parts are filled so that the line holds. */
static void draw_roof(const struct plane *p, const struct roofline *f, int ceiling)
{
    int dots = 2 * p->r.width, rows = 4 * p->r.height, last = -1;
    for (int x = 0; x < dots; x++) {
        double at = p->x_low + (p->x_high - p->x_low) * x / (dots - 1);
        double limit = roofline_limit(f, exp2(at), ceiling);
        if (!isfinite(limit))
            return;
        int y = (int)lround((p->y_high - log2(limit)) / (p->y_high - p->y_low) * (rows - 1));
        int from = last >= 0 && last > y + 1 ? last - 1 : y;
        for (int k = y; k <= from; k++)
            dot(p, x, k, STYLE_LIMIT);
        last = y;
    }
}

static void draw_axes(const struct plane *p)
{
    char text[FORMAT_TEXT];
    int axis = p->r.x - 1, bottom = p->r.y + p->r.height, last = -9, free_from = 0;
    for (int y = p->r.y; y < bottom; y++)
        grid_put(p->g, axis, y, glyph(p->g, GLYPH_VERTICAL), STYLE_FRAME);
    grid_put(p->g, axis, bottom, glyph(p->g, GLYPH_BOTTOM_LEFT), STYLE_FRAME);
    for (int x = p->r.x; x < p->r.x + p->r.width; x++)
        grid_put(p->g, x, bottom, glyph(p->g, GLYPH_HORIZONTAL), STYLE_FRAME);
    for (double y = floor(p->y_high / log2(10)); y >= p->y_low / log2(10); y--) {
        int at = row(p, y * log2(10));
        if (at < 0 || at >= p->r.height || at - last < 2)
            continue;
        last = at;
        grid_put(p->g, axis, p->r.y + at, glyph(p->g, GLYPH_TEE_RIGHT), STYLE_FRAME);
        grid_text_right(p->g, axis, p->r.y + at, AXIS - 1, STYLE_DIM, format_si(text, pow(10, y), 5));
    }
    for (double x = ceil(p->x_low); x <= p->x_high; x++) {
        int at = column(p, x);
        snprintf(text, sizeof text, "%g", exp2(x) < 1 ? round(exp2(x) * 1e3) / 1e3 : exp2(x));
        int width = grid_columns(text), from = at - width / 2;
        if (from < free_from || from + width > p->r.width)
            continue;
        grid_text(p->g, p->r.x + from, bottom, width, STYLE_DIM, text);
        free_from = from + width + 3;
    }
}

static void draw_points(const struct plane *p, const struct roofline *f)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = f->n_points - 1; i >= 0; i--) {
            const struct roofline_point *at = &f->point[i];
            if (!usable(at) || at->strong != (pass == 1))
                continue;
            int x = column(p, log2(at->intensity)), y = row(p, log2(at->rate));
            if (x < 0 || x >= p->r.width || y < 0 || y >= p->r.height)
                continue;
            /* Where letters of the same cell would lie on each other, the next column is free. */
            while (pass == 1 && x + 1 < p->r.width && grid_code(p->g, p->r.x + x, p->r.y + y) - 'A' < 26u)
                x++;
            grid_put(p->g, p->r.x + x, p->r.y + y,
                     at->strong    ? (uint32_t)at->letter
                     : p->g->ascii ? 'o'
                                   : 0x2218,
                     at->style);
        }
}

/* Where nothing stands yet, with a blank on either side. */
static bool is_free(const struct plane *p, int x, int y, int width)
{
    if (x < 0 || x + width > p->r.width || y < 0 || y >= p->r.height)
        return false;
    for (int i = x > 0 ? -1 : 0; i <= width && x + i < p->r.width; i++)
        if (grid_code(p->g, p->r.x + x + i, p->r.y + y) != ' ')
            return false;
    return true;
}

static void rate_text(char *out, size_t size, double rate, const char *unit)
{
    char number[FORMAT_TEXT];
    bool tera = rate >= 1e12;
    snprintf(out, size, "%s %c%s", format_digits(number, rate / (tera ? 1e12 : 1e9), 3), tera ? 'T' : 'G',
             unit);
}

/* Flat roofs are named under their right end, or above it, the slope above its left part; where a label would
 * cover a point it moves along the line. */
static void draw_labels(const struct plane *p, const struct roofline *f)
{
    char text[80];
    for (int c = 0; c < f->n_ceilings; c++) {
        char unit[32];
        snprintf(unit, sizeof unit, "FLOP/s %s", f->ceiling[c].name);
        rate_text(text, sizeof text, f->ceiling[c].rate, unit);
        int at = row(p, log2(f->ceiling[c].rate)) + 1, width = grid_columns(text);
        int x = p->r.width - width;
        for (int side = 0; side < 2; side++, at -= 2) {
            while (x > p->r.width / 2 && !is_free(p, x, at, width))
                x--;
            if (is_free(p, x, at, width)) {
                grid_text(p->g, p->r.x + x, p->r.y + at, width, STYLE_DIM, text);
                break;
            }
            x = p->r.width - width;
        }
    }
    if (!(f->bandwidth > 0))
        return;
    rate_text(text, sizeof text, f->bandwidth, "B/s");
    int width = grid_columns(text);
    for (int x = width + 1; x < p->r.width * 3 / 4; x++) {
        double at = p->x_low + (p->x_high - p->x_low) * x / (p->r.width - 1);
        int y = row(p, log2(f->bandwidth) + at) - 1;
        if (is_free(p, x - width, y, width)) {
            grid_text(p->g, p->r.x + x - width, p->r.y + y, width, STYLE_DIM, text);
            break;
        }
    }
}

/* No room for a picture: how near each arm comes to the nearer of both limits. */
static void draw_bars(struct grid *g, struct rect r, const struct roofline *f)
{
    int y = 0, name_width = 0;
    for (int i = 0; i < f->n_points; i++) {
        int width = f->point[i].strong ? grid_columns(f->point[i].name) : 0;
        name_width = width > name_width ? width : name_width;
    }
    name_width = name_width > r.width / 3 ? r.width / 3 : name_width;
    for (int i = 0; i < f->n_points && y < r.height; i++) {
        const struct roofline_point *p = &f->point[i];
        if (!p->strong || !usable(p))
            continue;
        double limit = roofline_limit(f, p->intensity, p->ceiling);
        bool memory = f->bandwidth > 0 && limit >= f->bandwidth * p->intensity * 0.999;
        char text[FORMAT_TEXT];
        int x = r.x;
        grid_format(g, x, r.y + y, 1, p->style, "%c", p->letter);
        grid_text(g, x + 2, r.y + y, name_width, STYLE_TEXT, p->name);
        x += name_width + 3;
        int width = r.x + r.width - x - 20;
        if (width >= 4) {
            plot_bar(g, x, r.y + y, width, isfinite(limit) ? p->rate / limit : NAN, p->style);
            x += width + 1;
        }
        grid_text_right(g, x + 5, r.y + y, 5, STYLE_TEXT,
                        format_percent(text, isfinite(limit) ? p->rate / limit : NAN));
        grid_text(g, x + 6, r.y + y, r.x + r.width - x - 6, STYLE_DIM,
                  !isfinite(limit) ? "not measured"
                  : memory         ? "of bandwidth"
                                   : "of FLOP/s");
        y++;
    }
}

void roofline_draw(struct grid *g, struct rect r, const struct roofline *f)
{
    struct plane p = {.g = g, .r = {r.x + AXIS, r.y, r.width - AXIS, r.height - 1}};
    if (r.width < 30 || r.height < 7 || !fit(&p, f)) {
        draw_bars(g, r, f);
        return;
    }
    draw_axes(&p);
    if (f->n_ceilings == 0)
        draw_roof(&p, f, -1);
    for (int c = 0; c < f->n_ceilings; c++)
        draw_roof(&p, f, c);
    draw_points(&p, f);
    draw_labels(&p, f);
}
