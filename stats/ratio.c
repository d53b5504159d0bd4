#include "stats/internal.h"

#include <math.h>

int stats_ratio(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                struct stats_ratio *out)
{
    struct stats_moments a = stats_moments_of(x, nx), b = stats_moments_of(y, ny);
    *out = (struct stats_ratio){NAN, NAN, NAN, stats_interval_none(), stats_interval_none()};
    if (!(a.mean > 0 && b.mean > 0))
        return -1;
    out->ratio = b.mean / a.mean;
    if (a.n < 2 || b.n < 2 || !stats_is_confidence(confidence))
        return -1;
    double error_a = stats_moments_error(&a), error_b = stats_moments_error(&b);
    if (!(error_a > 0 || error_b > 0))
        return -1;
    double relative_a = error_a / a.mean, relative_b = error_b / b.mean;
    out->df = stats_satterthwaite(relative_b, (double)(b.n - 1), relative_a, (double)(a.n - 1));
    double q = stats_t_quantile(0.5 + confidence / 2, out->df);
    double factor = exp(q * hypot(relative_a, relative_b));
    out->log_delta = (struct stats_interval){out->ratio / factor, out->ratio * factor};
    double root_g = q * relative_a;
    out->fieller_g = root_g * root_g;
    if (out->fieller_g >= 1) {
        out->fieller = (struct stats_interval){-INFINITY, INFINITY};
        return 0;
    }
    double keep = 1 - out->fieller_g, half = q * hypot(relative_b * sqrt(keep), relative_a);
    out->fieller = (struct stats_interval){out->ratio * (1 - half) / keep, out->ratio * (1 + half) / keep};
    return 0;
}

struct stats_interval stats_ratio_ci(const double *x, size_t nx, const double *y, size_t ny,
                                     double confidence)
{
    struct stats_ratio r;
    stats_ratio(x, nx, y, ny, confidence, &r);
    return r.log_delta;
}
