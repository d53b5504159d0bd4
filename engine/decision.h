/* The figure that decides: the interval of the log ratio of two arms over rounds. One place for the stop
 * rule, the verdict and the screens, so that a run never stops on another interval than the one it is judged
 * by. Pure.
 *
 * Planned rounds: Student's t over the ratios. Rounds beyond the planned ones were added because the interval
 * was still wide, so the spread they end on is too small more often than too large: the interval keeps the
 * degrees of freedom of the planned rounds (Stein 1945), without which 6.4 % of equal arms would differ at 95
 * %. Where they depend on their neighbors (lag-1 correlation beyond what chance does once in a hundred runs,
 * from DECISION_CORRELATION_ROUNDS rounds on) their effective number takes the place of their number, and
 * below STATS_MIN_EFFECTIVE there is no interval (p is then 1). Watched: the always-valid sequence
 * (stats_sequence), whatever the number of looks. */
#pragma once

#include "stats/stats.h"

enum { DECISION_CORRELATION_ROUNDS = 10 };

struct decision {
    size_t n;                 /* rounds with both blocks */
    double mean;              /* of log(baseline / candidate) */
    struct stats_interval ci; /* the interval that decides, on the log scale; NAN: none */
    double p;                 /* of the same method; NAN: none */
    double lag1, n_eff;       /* of the ratios; NAN below DECISION_CORRELATION_ROUNDS */
    bool correlated;          /* ci and p stand on n_eff */
    bool watched;             /* ci and p are the sequence's */
    struct stats_sequence sequence;
};
/* ratio: log(baseline / candidate) by round, NAN: a hole; planned: rounds that were fixed in advance, at
 * least DECISION_LEAST count. -1: fewer than 2 rounds, no variance. */
enum { DECISION_LEAST = 5 };
int decision_of(const double *ratio, size_t n, int planned, double confidence, bool watch,
                struct decision *out);
/* Whether the interval decides: beyond 1, or inside +-margin (0: none). */
bool decision_is_made(const struct decision *d, double margin);
