#include "stats/internal.h"

#include <math.h>

double stats_mean(const double *x, size_t n)
{
    return stats_moments_of(x, n).mean;
}

double stats_std(const double *x, size_t n)
{
    return stats_moments_of(x, n).std;
}

struct stats_interval stats_mean_ci(double mean, double std, size_t n, double confidence)
{
    if (n < 2 || !isfinite(mean) || !isfinite(std) || !stats_is_confidence(confidence))
        return stats_interval_none();
    double half = stats_t_quantile(0.5 + confidence / 2, (double)(n - 1)) * std / sqrt((double)n);
    return (struct stats_interval){mean - half, mean + half};
}

void stats_describe(const double *x, size_t n, double confidence, double *scratch, struct stats_summary *out)
{
    struct stats_moments m = stats_moments_of(x, n);
    *out = (struct stats_summary){
        .n = (int64_t)m.n,
        .rejected = (int64_t)m.rejected,
        .mean = m.mean,
        .std = m.std,
        .min = m.min,
        .max = m.max,
        .cv = m.mean > 0 ? m.std / m.mean : NAN,
    };
    out->lag1 = stats_autocorrelation_about(x, n, 1, &m);
    out->ci = stats_mean_ci(m.mean, m.std, m.n, confidence);
    size_t kept = stats_finite_sorted(x, n, scratch);
    out->median = stats_quantile(scratch, kept, 0.5);
    out->p90 = stats_quantile(scratch, kept, 0.90);
    out->p95 = stats_quantile(scratch, kept, 0.95);
    out->p99 = stats_quantile(scratch, kept, 0.99);
    out->mad = STATS_MAD_TO_STD * stats_mad(scratch, kept);
}
