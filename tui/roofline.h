/* The roofline: what runs reach against what this machine was measured to reach, FLOP/s over FLOP per byte,
 * both logarithmic (Williams, Waterman, Patterson 2009). Where there is no room for the plot: bars to the
 * nearer of both limits. Pure drawing. UI thread only. */
#pragma once

#include "tui/grid.h"

enum { ROOFLINE_CEILINGS = 4 };

struct roofline_point {
    double intensity; /* FLOP per byte of the cost model */
    double rate;      /* FLOP/s achieved */
    int ceiling;      /* index into ceiling: the rate of its precision; -1: not measured */
    char letter;
    enum style style;
    bool strong; /* of the cell in question; others are context and lie below */
    const char *name;
};
struct roofline {
    double bandwidth; /* bytes/s */
    struct {
        double rate; /* FLOP/s */
        const char *name;
    } ceiling[ROOFLINE_CEILINGS];
    int n_ceilings;
    const struct roofline_point *point;
    int n_points;
};
void roofline_draw(struct grid *g, struct rect r, const struct roofline *f);
/* FLOP/s attainable at an intensity under a ceiling (-1: bandwidth alone); INFINITY where neither is known.
 */
double roofline_limit(const struct roofline *f, double intensity, int ceiling);
