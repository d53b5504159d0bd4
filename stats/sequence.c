#include "stats/internal.h"

#include <math.h>

/* ln of the mixture likelihood ratio at t^2 / df = u, r = 1 + n g:
 *   M = r^(-1/2) [ (1 + u) / (1 + u / r) ]^(n/2) */
static double log_ratio(double n, double u)
{
    double r = 1 + n * STATS_SEQUENCE_PRIOR;
    if (isinf(u))
        return ((n - 1) * log(r)) / 2;
    return (n * (log1p(u) - log1p(u / r)) - log(r)) / 2;
}

/* The largest u that keeps M below 1 / alpha; infinite while no value of the mean can be refused. */
static double largest(double n, double alpha)
{
    double r = 1 + n * STATS_SEQUENCE_PRIOR, q = (log(r) - 2 * log(alpha)) / n;
    double bound = -expm1(q - log(r)); /* 1 - e^q / r */
    return bound > 0 ? expm1(q) / bound : INFINITY;
}

double stats_sequence_width(size_t n, double confidence)
{
    if (n < 2 || !stats_is_confidence(confidence))
        return INFINITY;
    return sqrt(largest((double)n, 1 - confidence) * (double)(n - 1) / (double)n);
}

int stats_sequence(const double *x, size_t n, double confidence, struct stats_sequence *out)
{
    struct stats_running run = {0};
    *out = (struct stats_sequence){0, NAN, NAN, NAN, stats_interval_none()};
    double highest = 0; /* M is 1 before the first values */
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        stats_running_add(&run, x[i]);
        double count = (double)run.n;
        /* u = t^2 / (n - 1) = n mean^2 / m2 */
        bool flat = !(run.m2 > 0);
        if (run.n < 2 || (flat && run.mean == 0))
            continue;
        double u = flat ? INFINITY : count * run.mean * run.mean / run.m2;
        out->log_e = log_ratio(count, u);
        highest = fmax(highest, out->log_e);
    }
    out->n = (size_t)run.n;
    out->mean = run.n ? run.mean : NAN;
    if (run.n < 2 || !(run.m2 > 0))
        return -1;
    out->p = exp(-highest);
    double half = stats_sequence_width(out->n, confidence) * stats_running_std(&run);
    if (stats_is_confidence(confidence))
        out->ci = (struct stats_interval){run.mean - half, run.mean + half};
    return 0;
}
