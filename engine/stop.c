#include "engine/stop.h"

#include <math.h>

const char *const stop_rule_names[] = {"", "planned rounds", "precision", "cap", "budget", "user"};

enum stop_rule stop_decide(const struct stop_state *s)
{
    int least = s->planned < STOP_BUDGET_ROUNDS ? s->planned : STOP_BUDGET_ROUNDS;
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

static double pair_half_width(const double *x, const double *y, int rounds, double confidence,
                              double *scratch)
{
    double *a = scratch, *b = scratch + rounds;
    size_t n = 0;
    for (int r = 0; r < rounds; r++)
        if (x[r] > 0 && y[r] > 0) {
            a[n] = x[r];
            b[n++] = y[r];
        }
    struct stats_paired p;
    if (n < 2 || stats_paired_log_ratio(a, b, n, confidence, &p) < 0)
        return (double)NAN;
    return expm1((p.ci.high - p.ci.low) / 2);
}

static double single_half_width(const double *x, int rounds, double confidence, double *scratch)
{
    size_t n = 0;
    for (int r = 0; r < rounds; r++)
        if (x[r] > 0)
            scratch[n++] = x[r];
    if (n < 2)
        return (double)NAN;
    double mean = stats_mean(scratch, n);
    struct stats_interval ci = stats_mean_ci(mean, stats_std(scratch, n), n, confidence);
    return (ci.high - ci.low) / 2 / mean;
}

static bool has_blocks(const double *x, int rounds)
{
    for (int r = 0; r < rounds; r++)
        if (x[r] > 0)
            return true;
    return false;
}

double stop_half_width(double *const *mean, int arms, int rounds, double confidence, double *scratch)
{
    double widest = (double)NAN;
    bool paired = false;
    for (int a = 1; a < arms; a++) {
        if (!mean[a] || !has_blocks(mean[a], rounds))
            continue;
        double w = pair_half_width(mean[0], mean[a], rounds, confidence, scratch);
        if (isnan(w))
            return w;
        paired = true;
        widest = fmax(widest, w);
    }
    return paired ? widest : single_half_width(mean[0], rounds, confidence, scratch);
}
