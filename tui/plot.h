/* Pictures out of cells: bars of eighths, histograms, line plots in braille, heat maps, each with an ASCII
 * form. Never color alone: lines carry a letter, ticks a label, heat cells a number where there is room.
 * Pure drawing: what to show is decided by the caller. UI thread only. */
#pragma once

#include "tui/grid.h"

/* A horizontal bar of eighths over `width` columns; the rest in STYLE_BAR_EMPTY. A fraction over 1 fills it
 * and ends in '>'. NAN draws the empty bar. */
void plot_bar(struct grid *g, int x, int y, int width, double fraction, enum style style);

enum { PLOT_TICKS = 4, PLOT_SERIES = 8 };
struct plot_tick {
    double at;         /* in the unit of low and high; NAN: none */
    const char *label; /* "p50" */
    bool weak;         /* the sample does not support it: drawn dim, in brackets */
};
/* Bars between low and high (log-spaced), under- and overflow in the outermost two columns. The
 * last row holds the ticks where height > 1. A count above 0 shows at least an eighth. */
struct plot_histogram {
    const uint32_t *count; /* [n], bar i covers low * (high/low)^(i/n) .. */
    int n, bar_width;      /* n * bar_width = width - 2 or a little less */
    uint64_t under, over;
    double low, high;
    struct plot_tick tick[PLOT_TICKS]; /* the most important first */
    enum style style;
    int cursor; /* bar under the reading cursor, -1: none */
};
void plot_histogram(struct grid *g, struct rect r, const struct plot_histogram *h);
/* Numbers under histograms of the same range and width: one row, the first column under their first bar. */
void plot_log_axis(struct grid *g, struct rect r, double low, double high);

/* Lines over a swept axis: x positions evenly spaced, NAN breaks the line. */
struct plot_series {
    const double *y, *low, *high; /* [n_x]; low/high may be NULL or hold NAN: no error bar */
    char letter;                  /* at the points and at the right edge */
    enum style style;
};
struct plot_lines {
    const char *const *x_label;
    int n_x;
    const struct plot_series *series; /* at most PLOT_SERIES */
    int n_series;
    const char *y_title; /* "tok/s", over the axis; NULL: none */
    const char *x_title; /* at the right end of the axis line; NULL: none */
    bool from_zero;      /* else the axis fits the data */
    bool log_y;
    int cursor; /* index of x under the cursor, -1: none */
};
void plot_lines(struct grid *g, struct rect r, const struct plot_lines *p);

/* value[row * columns + column] is a ratio: 1 neutral, above 1 faster; NAN: no value. */
struct plot_heat {
    const double *value;
    int rows, columns;
    const char *const *row_label, *const *column_label;
    double span;                   /* the ratio that gets full color */
    int cursor_row, cursor_column; /* -1: none */
    const bool *weak; /* as value: not told from 1, shown without color and with a '?'; NULL: none */
};
void plot_heat(struct grid *g, struct rect r, const struct plot_heat *p);
