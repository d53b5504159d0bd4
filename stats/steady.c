#include "stats/internal.h"

#include <math.h>

enum { BATCH = 5 };

/* Mean of the BATCH finite values that end before *i, in standard deviations; moves *i to their first. */
static double batch_before(const double *x, size_t *i, const struct stats_moments *m)
{
    double sum = 0;
    for (int taken = 0; taken < BATCH;) {
        (*i)--;
        if (isfinite(x[*i])) {
            sum += ((x[*i] - m->mean) - m->mean_low) / (m->std > 0 ? m->std : 1);
            taken++;
        }
    }
    return sum / BATCH;
}

bool stats_mser5_search(const double *x, size_t n, struct stats_mser *out)
{
    struct stats_moments m = stats_moments_of(x, n);
    size_t batches = m.n / BATCH, limit = batches / 2;
    *out = (struct stats_mser){.limit = limit, .objective = NAN};
    if (batches < 2)
        return false;
    size_t i = n;
    for (size_t skip = m.n - batches * BATCH; skip > 0;)
        skip -= isfinite(x[--i]) ? 1 : 0; /* the incomplete batch is the last one */
    double mean = 0, squares = 0;
    for (size_t kept = 1; kept <= batches; kept++) { /* Welford from the end: every suffix in one pass */
        double z = batch_before(x, &i, &m), delta = z - mean;
        mean += delta / (double)kept;
        squares += delta * (z - mean);
        double objective = squares / ((double)kept * (double)kept);
        if (batches - kept > limit)
            continue;
        if (!(objective > out->objective)) {
            out->objective = objective;
            out->batches = batches - kept;
            out->drop = i;
        }
    }
    out->objective *= m.std * m.std;
    if (out->batches == 0)
        out->drop = 0;
    out->steady = out->batches < limit;
    return true;
}

size_t stats_mser5(const double *x, size_t n, bool *steady)
{
    struct stats_mser m;
    bool searched = stats_mser5_search(x, n, &m);
    *steady = searched && m.steady;
    return m.drop;
}

int stats_drift(const double *x, size_t n, double confidence, struct stats_drift *out)
{
    struct stats_moments m = stats_moments_of(x, n);
    *out = (struct stats_drift){NAN, NAN, NAN, stats_interval_none()};
    if (m.n < 3)
        return -1;
    if (m.std == 0) {
        out->slope = 0;
        return 0;
    }
    /* In standard deviations, so that no square leaves the range; positions keep the holes of rejected
     * values. */
    double center = 0, count = (double)m.n, df = count - 2, txx = 0, txy = 0, residuals = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            center += (double)i / count;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        double t = (double)i - center;
        txx += t * t;
        txy += t * (((x[i] - m.mean) - m.mean_low) / m.std);
    }
    double slope = txy / txx;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        double r = ((x[i] - m.mean) - m.mean_low) / m.std - slope * ((double)i - center);
        residuals += r * r;
    }
    double error = sqrt(residuals / df / txx);
    out->slope = slope * m.std;
    if (error <= 1e-14 * fabs(slope))
        return 0; /* a line but for rounding: the slope is known, a test of it is not */
    out->t = slope / error;
    out->p = stats_t_two_sided(out->t, df);
    if (stats_is_confidence(confidence)) {
        double half = stats_t_quantile(0.5 + confidence / 2, df) * error;
        out->ci = (struct stats_interval){(slope - half) * m.std, (slope + half) * m.std};
    }
    return 0;
}

bool stats_is_level(const double *x, size_t k, double confidence)
{
    struct stats_drift d;
    if (stats_drift(x, k, confidence, &d) < 0)
        return false;
    return isnan(d.p) ? d.slope == 0 : d.p > 1 - confidence;
}
