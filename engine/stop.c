#include "engine/stop.h"

#include "engine/decision.h"
#include <math.h>

const char *const stop_rule_names[] = {"",       "planned rounds", "precision", "cap",
                                       "budget", "user",           "decided",   "time spent"};

enum stop_rule stop_decide(const struct stop_state *s)
{
    int least = s->planned < STOP_BUDGET_ROUNDS ? s->planned : STOP_BUDGET_ROUNDS;
    if (s->visit_end) {
        if (s->watched ? s->decided : s->half_width <= s->target)
            return s->watched ? STOP_DECIDED : STOP_PRECISION;
        if (s->rounds >= s->cap)
            return STOP_CAP;
        return s->rounds >= s->visit_end || s->share_used ? STOP_SPENT : STOP_NOT;
    }
    if (s->watched) {
        if (s->decided && s->rounds >= STOP_WATCH_ROUNDS)
            return STOP_DECIDED;
        if (s->rounds >= s->cap && s->rounds >= s->planned)
            return STOP_CAP;
        return s->share_used && s->rounds >= least ? STOP_BUDGET : STOP_NOT;
    }
    if (s->rounds < s->planned)
        return s->share_used && s->rounds >= least ? STOP_BUDGET : STOP_NOT;
    if (!(s->target > 0) || s->cap <= s->planned)
        return STOP_PLANNED;
    if (s->half_width <= s->target)
        return STOP_PRECISION;
    if (s->rounds >= s->cap)
        return STOP_CAP;
    return s->share_used ? STOP_BUDGET : STOP_NOT;
}

static bool has_blocks(const double *x, int rounds)
{
    for (int r = 0; x && r < rounds; r++)
        if (x[r] > 0)
            return true;
    return false;
}

static int decide(const struct stop_question *q, int arm, struct decision *out)
{
    stats_log_ratios(q->mean[arm], q->mean[0], (size_t)q->rounds, q->scratch);
    return decision_of(q->scratch, (size_t)q->rounds, q->planned, q->confidence, q->watch, out);
}

static double single_half_width(const struct stop_question *q)
{
    const double *x = q->mean[0];
    size_t n = 0;
    for (int r = 0; r < q->rounds; r++)
        if (x[r] > 0)
            q->scratch[n++] = x[r];
    if (n < 2)
        return (double)NAN;
    double mean = stats_mean(q->scratch, n);
    struct stats_interval ci = stats_mean_ci(mean, stats_std(q->scratch, n), n, q->confidence);
    return (ci.high - ci.low) / 2 / mean;
}

double stop_half_width(const struct stop_question *q)
{
    double widest = (double)NAN;
    bool paired = false;
    for (int a = 1; a < q->arms; a++) {
        struct decision d;
        if (!has_blocks(q->mean[a], q->rounds))
            continue;
        decide(q, a, &d);
        double w = expm1((d.ci.high - d.ci.low) / 2);
        if (isnan(w))
            return w;
        widest = paired ? fmax(widest, w) : w;
        paired = true;
    }
    return paired ? widest : single_half_width(q);
}

bool stop_is_decided(const struct stop_question *q)
{
    bool any = false;
    for (int a = 1; a < q->arms; a++) {
        struct decision d;
        if (!has_blocks(q->mean[a], q->rounds))
            continue;
        if (decide(q, a, &d) < 0 || !decision_is_made(&d, q->margin))
            return false;
        any = true;
    }
    return any;
}
