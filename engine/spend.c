#include "engine/spend.h"

#include "engine/schedule.h"
#include "engine/summary.h"
#include <limits.h>
#include <math.h>

double spend_goal(const struct preset *p)
{
    double width = p->half_width > 0 ? p->half_width : 0.01;
    return p->margin > 0 ? fmin(width, p->margin / 2) : width;
}

static int rounds_done(const struct session_cell *c)
{
    int n = 0;
    for (int i = 0; i < c->arm[0].n_blocks; i++)
        if (c->arm[0].blocks[i]->round >= n)
            n = c->arm[0].blocks[i]->round + 1;
    return n;
}

int spend_whole_rounds(const struct session_cell *c)
{
    int least = INT_MAX;
    for (int a = 0; a < c->n_arms; a++) {
        int whole = 0;
        for (int i = 0; i < c->arm[a].n_blocks; i++)
            whole += !(c->arm[a].blocks[i]->flags & BLOCK_PARTIAL);
        if (c->arm[a].n_blocks > 0 && whole < least)
            least = whole;
    }
    return least == INT_MAX ? 0 : least;
}

static double mean_seconds(const struct session_arm *a)
{
    double sum = 0;
    int blocks = 0;
    for (int i = 0; i < a->n_blocks; i++) {
        double mean = summary_block_mean(a->blocks[i]);
        if (isnan(mean))
            continue;
        sum += mean / 1e3 * a->blocks[i]->capacity;
        blocks++;
    }
    return blocks ? sum / blocks : 0;
}

/* How wide the cell still is against the goal (1: reached), 0 where it needs nothing; what a round and the
 * return to it cost. */
struct need {
    double width, round_s, return_s;
    int rounds, arms; /* rounds that should do */
};

/* Round starts differ by what a round takes, resets included; the samples alone are the least it can be. */
static double round_seconds(const struct session_cell *c)
{
    double sum = 0;
    for (int a = 0; a < c->n_arms; a++)
        sum += mean_seconds(&c->arm[a]);
    return sum;
}

static struct need need_of(const struct session *s, int cell)
{
    const struct session_cell *c = &s->cell[cell];
    const struct preset *p = &s->preset;
    struct need n = {.round_s = round_seconds(c)};
    double goal = spend_goal(p), done = rounds_done(c), more = 0;
    bool decided = true;
    for (int a = 0; a < c->n_arms; a++) {
        const struct session_arm *arm = &c->arm[a];
        if (arm->n_blocks == 0)
            continue;
        n.arms++;
        n.return_s += (double)(arm->load_ns > 0 ? arm->load_ns : 0) / 1e9 +
                      (double)(arm->time_to_steady_ns > 0 ? arm->time_to_steady_ns : 0) / 1e9;
        struct comparison x;
        if (a == 0 || summary_compare_arms(s, cell, 0, a, &x) < 0 || x.reason_code == REASON_OUTPUT_DIFFERS)
            continue;
        double half = expm1((x.decision.ci.high - x.decision.ci.low) / 2);
        bool settled =
            p->watch ? decision_is_made(&x.decision, p->margin) : x.p < SPEND_SETTLED || half <= goal;
        if (settled || isnan(half))
            continue;
        decided = false;
        n.width = fmax(n.width, fmin(half, 1e6) / goal);
        more = fmax(more, p->watch ? x.rounds_left : ceil(done * pow(fmin(half, 1e3) / goal, 2)) - done);
    }
    if (n.arms == 1) { /* nothing to compare: the mean itself */
        struct arm_summary a;
        if (summary_arm(s, cell, 0, &a) == 0) {
            n.width = (a.latency.ci.high - a.latency.ci.low) / 2 / a.latency.mean / goal;
            decided = !(n.width > 1);
            more = ceil(done * n.width * n.width) - done;
        }
    }
    if (decided)
        n.width = 0;
    n.rounds = (int)fmin(fmax(more, 1), done);
    return n;
}

bool spend_next(const struct session *s, const bool *closed, double left_s, struct spend_visit *out)
{
    double widest = 0;
    for (int i = 0; i < s->n_cells; i++) {
        const struct session_cell *c = &s->cell[i];
        if (closed[i] || c->status != CELL_OK)
            continue;
        struct need n = need_of(s, i);
        int done = rounds_done(c), group = schedule_group(n.arms), room = s->preset.max_rounds - done;
        if (!(n.width > widest) || room < 1 || !(n.round_s > 0))
            continue;
        /* A visit is worth its return only if it measures at least as long; orders balance over whole groups.
         */
        double rounds = fmax(n.rounds, ceil(n.return_s / n.round_s));
        rounds = fmin(ceil(rounds / group) * group, room);
        double fitting = floor((left_s - n.return_s) / n.round_s);
        if (fitting < fmin(group, room))
            continue;
        widest = n.width;
        *out = (struct spend_visit){i, done, (int)fmin(rounds, fitting), spend_goal(&s->preset)};
    }
    return widest > 0;
}
