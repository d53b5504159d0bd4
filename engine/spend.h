/* The precision scheduler: where the rest of a time budget goes after every cell has had its planned rounds.
 * Pure: reads a session, runs nothing.
 *
 * A cell needs more while the half-width of its widest interval is above spend_goal. Which cells go on, and
 * when they stop, thus hangs on their spread alone and not on the sign of their difference: the mean of
 * normal data is independent of its spread, so the verdict's error stays what it was (Stein 1945). The one
 * look at a difference is Haybittle and Peto's (1971, 1976): a cell whose p is below SPEND_SETTLED is
 * settled, which costs a tenth of a percent. A watched run may look as it likes: its cells go on until their
 * always-valid intervals decide. The widest goes first, and no visit more than doubles a cell's rounds, so
 * that the order is judged anew. */
#pragma once

#include "engine/session.h"

#define SPEND_SETTLED 0.001

struct spend_visit {
    int cell, first_round, rounds; /* rounds first_round .. first_round + rounds - 1 at most */
    double goal;                   /* half-width at which the visit is over */
};
/* The preset's half_width or half its margin, whichever is less: an interval that narrow decides, but for
 * means near the margin itself. */
double spend_goal(const struct preset *p);
/* Rounds of which every arm that takes part has its whole block. */
int spend_whole_rounds(const struct session_cell *c);
/* left_s: what may still be spent, preparing and warming the arms again included. closed[cell]: cells not to
 * come back to. false: nothing needs more, or no visit fits. */
bool spend_next(const struct session *s, const bool *closed, double left_s, struct spend_visit *out);
