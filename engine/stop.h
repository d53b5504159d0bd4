/* The stop rule: planned rounds, then precision, a cap, the time budget; a watched run stops once its
 * always-valid intervals decide. Pure arithmetic over block means; no significance test has a say (peeking at
 * p values makes false alarms: measurement rule R8). */
#pragma once

#include "stats/stats.h"

enum stop_rule {
    STOP_NOT,
    STOP_PLANNED,
    STOP_PRECISION,
    STOP_CAP,
    STOP_BUDGET,
    STOP_USER,
    STOP_DECIDED,
    STOP_SPENT
};
extern const char *const stop_rule_names[]; /* "", "planned rounds", "precision", "cap", "budget", "user",
                                               "decided", "time spent" */

struct stop_state {
    int rounds, planned, cap; /* rounds done; the planned number; the most (cap <= planned: no extension) */
    double half_width;        /* reached now, relative; NAN: not defined yet */
    double target;            /* wanted; <= 0 or NAN: no precision rule */
    bool share_used;          /* this cell's share of the time budget is used up */
    bool watched;             /* planned rounds are no end, the decision is */
    bool decided;             /* every candidate's always-valid interval decides */
    int visit_end;            /* a visit of the precision scheduler: rounds after which it is over; 0: none */
};
/* A share of the budget never ends a cell before this many rounds, or the planned ones: few rounds of every
 * cell are worth more than all rounds of some. A watched cell looks from STOP_WATCH_ROUNDS rounds on. */
enum { STOP_BUDGET_ROUNDS = 2, STOP_WATCH_ROUNDS = 5 };

enum stop_rule stop_decide(const struct stop_state *s);

struct stop_question {
    double *const *mean;       /* [arm][round], NAN: no block; arms without any block are left out */
    int arms, rounds, planned; /* planned: as the preset had it, before any extension */
    double confidence, margin;
    bool watch;
    double *scratch; /* rounds doubles */
};
/* Half-width of the interval that decides (engine/decision), relative: candidates against the baseline, the
 * widest of all; one arm alone by its block means. NAN: not defined. */
double stop_half_width(const struct stop_question *q);
/* Every candidate with blocks is decided against the baseline. false without a candidate. */
bool stop_is_decided(const struct stop_question *q);
