/* A duel: two arms of one cell, round by round, as figures: the ratio of every round, how the planned
 * interval and the always-valid one shrank over them, and what spoils the comparison. Pure: reads a session,
 * draws nothing. Rounds that were taken in never change, so following a run costs one round at a time. UI
 * thread only. */
#pragma once

#include "engine/summary.h"

struct duel_round {
    int round;
    double ratio; /* time of the baseline / time of the candidate: > 1, the candidate is faster */
    struct stats_interval
        planned; /* of the ratio after this round, as if this many had been planned; NAN: too few */
    struct stats_interval
        watched;  /* always-valid: holds over all rounds at once, so that one may stop when one likes */
    bool flagged; /* a block of it ran throttled or with a faulty clock */
};

enum { DUEL_SPOILERS = 8 };
struct duel_spoiler {
    char text[160];
    bool grave; /* enough to doubt the verdict */
};

struct duel {
    const struct session *of;
    int cell, baseline, candidate; /* arms */
    double margin;                 /* of equivalence, relative */
    struct duel_round *round;
    int n, room;
    int next[2]; /* blocks of the baseline and of the candidate that were looked at */
    struct stats_running log_ratio;
    double *logs;                 /* [n] */
    struct comparison comparison; /* under `margin` */
    bool compared;
    enum verdict watched; /* what the always-valid bounds decided, and after which round; NONE: nothing yet */
    int watched_round;
    double rounds_left;  /* about so many more until a verdict must come; 0: it stands; NAN: not known */
    double seconds_left; /* of them; NAN: not known */
    struct duel_spoiler spoiler[DUEL_SPOILERS];
    int n_spoilers;
};

/* Takes in what is new; another cell, arm or margin starts over. 1: something changed; 0: nothing; -1: no
 * memory. */
int duel_follow(struct duel *d, const struct session *s, int cell, int baseline, int candidate,
                double margin);
void duel_free(struct duel *d); /* zeroed is fine; zeroed afterwards */

/* The next margin of a ladder (0.1 0.2 0.5 1 2 3 5 10 %), tighter or wider. */
double duel_margin_step(double margin, bool wider);
