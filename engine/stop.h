/* The stop rule: planned rounds, then precision, a cap, the time budget. Pure arithmetic over block means; no
 * significance test has a say (peeking at p values makes false alarms: measurement rule R8). */
#pragma once

#include "stats/stats.h"

enum stop_rule { STOP_NOT, STOP_PLANNED, STOP_PRECISION, STOP_CAP, STOP_BUDGET, STOP_USER };
extern const char *const stop_rule_names[]; /* "", "planned rounds", "precision", "cap", "budget", "user" */

struct stop_state {
    int rounds, planned, cap; /* rounds done; the planned number; the most (cap <= planned: no extension) */
    double half_width;        /* reached now, relative; NAN: not defined yet */
    double target;            /* wanted; <= 0 or NAN: no precision rule */
    bool share_used;          /* this cell's share of the time budget is used up */
};
/* A share of the budget never ends a cell before this many rounds, or the planned ones: few rounds of every
 * cell are worth more than all rounds of some. */
enum { STOP_BUDGET_ROUNDS = 2 };

enum stop_rule stop_decide(const struct stop_state *s);
/* Half-width of the interval that decides, relative: candidates against the baseline by paired log ratios,
 * the widest of all; one arm alone by its block means. mean[arm][round], NAN: no block; arms without any
 * block are left out. scratch: 3 x rounds doubles. */
double stop_half_width(double *const *mean, int arms, int rounds, double confidence, double *scratch);
