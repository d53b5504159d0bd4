#include "engine/decision.h"

#include <math.h>

/* Under independence the lag-1 coefficient of n values is about normal with mean -1 / n and variance 1 / n
 * (Kendall & Stuart); this is its upper 1 %. */
static double chance_limit(double n)
{
    return 2.326 / sqrt(n) - 1 / n;
}

static void correct(const double *ratio, size_t n, double confidence, struct decision *out)
{
    struct stats_correlated c;
    if (out->n < DECISION_CORRELATION_ROUNDS || stats_correlated(ratio, n, confidence, &c) < 0)
        return;
    out->lag1 = c.lag1;
    out->n_eff = (double)out->n;
    out->correlated = c.lag1 > chance_limit((double)out->n);
    if (!out->correlated)
        return;
    out->n_eff = c.n_eff;
    out->ci =
        c.ci; /* NAN where too few effective rounds are left: nothing can be claimed, the family stays */
    out->p = c.too_correlated ? 1 : stats_t_two_sided(out->mean / (c.std / sqrt(c.n_eff)), c.n_eff - 1);
}

int decision_of(const double *ratio, size_t n, int planned, double confidence, bool watch,
                struct decision *out)
{
    *out = (struct decision){.p = NAN, .ci = {NAN, NAN}, .lag1 = NAN, .n_eff = NAN, .watched = watch};
    int result = stats_sequence(ratio, n, confidence, &out->sequence);
    out->n = out->sequence.n;
    out->mean = out->sequence.mean;
    if (result < 0)
        return -1;
    size_t known = planned > DECISION_LEAST ? (size_t)planned : DECISION_LEAST;
    double df = (double)(known < out->n ? known : out->n) - 1;
    double error = stats_std(ratio, n) / sqrt((double)out->n);
    double half = stats_t_quantile(0.5 + confidence / 2, df) * error;
    out->ci = (struct stats_interval){out->mean - half, out->mean + half};
    out->p = stats_t_two_sided(out->mean / error, df);
    correct(ratio, n, confidence, out);
    if (watch) {
        out->ci = out->sequence.ci;
        out->p = out->sequence.p;
    }
    return 0;
}

bool decision_is_made(const struct decision *d, double margin)
{
    if (!isfinite(d->ci.low) || !isfinite(d->ci.high))
        return false;
    double edge = log1p(margin);
    return d->ci.low > 0 || d->ci.high < 0 || (margin > 0 && d->ci.low >= -edge && d->ci.high <= edge);
}
