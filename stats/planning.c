#include "stats/internal.h"

#include <math.h>

/* Beyond this a plan is no plan; the counts stay exact in a double. */
static const double most = 1e9;

int64_t stats_plan_samples(double cv, double relative_half_width, double confidence)
{
    if (!(cv >= 0) || !(relative_half_width > 0) || !stats_is_confidence(confidence))
        return -1;
    double need = cv / relative_half_width;
    double normal = need * stats_normal_quantile(0.5 + confidence / 2);
    if (!(normal * normal < most))
        return -1;
    int64_t n = (int64_t)fmax(2, floor(normal * normal)); /* t is wider than normal: never too many */
    while (stats_t_quantile(0.5 + confidence / 2, (double)(n - 1)) * need / sqrt((double)n) > 1)
        n++;
    return n;
}

double stats_power(double n_per_arm, double standardized_difference, double alpha)
{
    if (!(n_per_arm >= 2) || !(alpha > 0 && alpha < 1) || !isfinite(standardized_difference))
        return NAN;
    double df = 2 * n_per_arm - 2, ncp = fabs(standardized_difference) * sqrt(n_per_arm / 2);
    if (ncp > 100)
        return 1; /* the critical value never comes near */
    return stats_noncentral_t_upper(stats_t_quantile(1 - alpha / 2, df), df, ncp);
}

int64_t stats_plan_per_arm(double cv, double relative_difference, double power, double alpha)
{
    double d = fabs(relative_difference) / cv;
    if (!(cv > 0) || !(d > 0) || !isfinite(d) || !(power > 0 && power < 1) || !(alpha > 0 && alpha < 1))
        return -1;
    double z = stats_normal_quantile(1 - alpha / 2) + stats_normal_quantile(power);
    double normal = 2 * z * z / (d * d);
    if (!(normal < most))
        return -1;
    /* The normal approximation is a little short: step up from below it. */
    int64_t n = (int64_t)fmax(2, floor(normal) - 1);
    while (stats_power((double)n, d, alpha) < power)
        n++;
    return n;
}

double stats_paired_power(double n, double standardized_mean, double alpha)
{
    if (!(n >= 2) || !(alpha > 0 && alpha < 1) || !isfinite(standardized_mean))
        return NAN;
    double ncp = fabs(standardized_mean) * sqrt(n);
    if (ncp > 1000)
        return 1;
    return stats_noncentral_t_upper(stats_t_quantile(1 - alpha / 2, n - 1), n - 1, ncp);
}

double stats_minimum_effect(size_t n, double std, double alpha, double power)
{
    if (n < 2 || !(std > 0) || !(alpha > 0 && alpha < 1) || !(power > alpha && power < 1))
        return NAN;
    double low = 0, high = 1;
    while (stats_paired_power((double)n, high, alpha) < power)
        high *= 2;
    for (int i = 0; i < 60 && high - low > 1e-12 * high; i++) {
        double middle = (low + high) / 2;
        *(stats_paired_power((double)n, middle, alpha) < power ? &low : &high) = middle;
    }
    return high * std;
}
