#include "stats/internal.h"

#include <float.h>
#include <gsl/gsl_cdf.h>
#include <math.h>

static double between(double low, double high, double fraction)
{
    double span = high - low;
    return isfinite(span) ? low + fraction * span : (1 - fraction) * low + fraction * high;
}

double stats_quantile_from(const double *sorted, size_t n, double p, double reference)
{
    if (n == 0 || !(p >= 0 && p <= 1))
        return NAN;
    double h = (double)(n - 1) * p, whole = floor(h);
    size_t i = (size_t)whole;
    if (i + 1 >= n)
        return sorted[n - 1] - reference;
    return between(sorted[i] - reference, sorted[i + 1] - reference, h - whole);
}

double stats_quantile(const double *sorted, size_t n, double p)
{
    return stats_quantile_from(sorted, n, p, 0);
}

double stats_reference(const double *sorted, size_t n)
{
    return n > 0 && isfinite(sorted[n - 1] - sorted[0]) ? sorted[n / 2] : 0;
}

double stats_quantile_type(const double *sorted, size_t n, double p, int type)
{
    if (type == 7)
        return stats_quantile(sorted, n, p);
    if (n == 0 || !(p >= 0 && p <= 1) || (type != 1 && type != 6 && type != 8))
        return NAN;
    const double fuzz = 4 * DBL_EPSILON; /* n p that is whole but for rounding counts as whole */
    double count = (double)n, h = count * p;
    if (type == 1) {
        double rank = ceil(h - fuzz * fmax(h, 1));
        return sorted[(size_t)fmin(fmax(rank, 1), count) - 1];
    }
    h = type == 6 ? (count + 1) * p : (count + 1.0 / 3) * p + 1.0 / 3;
    if (fabs(h - round(h)) <= fuzz * fmax(h, 1))
        h = round(h);
    if (h <= 1)
        return sorted[0];
    if (h >= count)
        return sorted[n - 1];
    size_t i = (size_t)h;
    return between(sorted[i - 1], sorted[i], h - (double)i);
}

/* k-th smallest (from 0) of |(x - reference) - center| over a sorted sample without touching memory: the
 * deviations left and right of the center are two sorted runs; this merges them. */
static double deviation_at(const double *sorted, size_t n, double reference, double center, size_t k)
{
    size_t right = 0;
    for (size_t step = n; step > 0;) { /* first index at or above the center */
        size_t half = step / 2;
        if (sorted[right + half] - reference < center) {
            right += half + 1;
            step -= half + 1;
        } else {
            step = half;
        }
    }
    /* Of the k + 1 smallest deviations `taken` lie on the left: the largest number for which the last of them
     * is not beyond the next one on the right. */
    size_t left = right, most = k + 1 < left ? k + 1 : left;
    size_t least = k + 1 > n - right ? k + 1 - (n - right) : 0;
    while (least < most) {
        size_t taken = least + (most - least + 1) / 2, on_right = k + 1 - taken;
        double below = center - (sorted[left - taken] - reference);
        double above = right + on_right < n ? (sorted[right + on_right] - reference) - center : INFINITY;
        if (below <= above)
            least = taken;
        else
            most = taken - 1;
    }
    size_t on_right = k + 1 - least;
    double below = least > 0 ? center - (sorted[left - least] - reference) : -INFINITY;
    double above = on_right > 0 ? (sorted[right + on_right - 1] - reference) - center : -INFINITY;
    return fmax(below, above);
}

double stats_mad(const double *sorted, size_t n)
{
    if (n == 0)
        return NAN;
    double reference = stats_reference(sorted, n), center = stats_quantile_from(sorted, n, 0.5, reference);
    double high = deviation_at(sorted, n, reference, center, n / 2);
    return n % 2 ? high : between(deviation_at(sorted, n, reference, center, n / 2 - 1), high, 0.5);
}

/* Smallest k with P(X <= k) >= q, X binomial(n, p). */
static size_t binomial_quantile(double q, size_t n, double p)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (gsl_cdf_binomial_P((unsigned)middle, p, (unsigned)n) >= q)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

struct stats_order_interval stats_quantile_order(const double *sorted, size_t n, double p, double confidence)
{
    struct stats_order_interval out = {0, 0, -INFINITY, INFINITY, NAN};
    if (n == 0 || n > 0x7fffffff || !(p > 0 && p < 1) || !stats_is_confidence(confidence)) {
        out.low = out.high = NAN;
        return out;
    }
    double alpha = 1 - confidence;
    out.low_rank = binomial_quantile(alpha / 2, n, p);
    out.high_rank = binomial_quantile(1 - alpha / 2, n, p) + 1;
    double above = gsl_cdf_binomial_P((unsigned)(out.high_rank - 1), p, (unsigned)n), below = 0;
    if (out.low_rank > 0) {
        below = gsl_cdf_binomial_P((unsigned)(out.low_rank - 1), p, (unsigned)n);
        out.low = sorted ? sorted[out.low_rank - 1] : NAN;
    }
    if (out.high_rank <= n)
        out.high = sorted ? sorted[out.high_rank - 1] : NAN;
    out.coverage = above - below;
    return out;
}

struct stats_interval stats_quantile_ci(const double *sorted, size_t n, double p, double confidence)
{
    struct stats_order_interval o = stats_quantile_order(sorted, n, p, confidence);
    return (struct stats_interval){o.low, o.high};
}

int stats_quantile_min_n(double p, double confidence)
{
    if (!(p > 0 && p < 1) || !stats_is_confidence(confidence))
        return -1;
    /* Both limits exist when neither all values below nor all values above the quantile has a probability
     * beyond alpha / 2; the rarer side decides. */
    double half = (1 - confidence) / 2, worst = fmax(p, 1 - p);
    double n = floor(log(half) / log(worst));
    if (!(n < 2147483000.0))
        return -1;
    n = fmax(n - 1, 1);
    while (pow(worst, n) > half)
        n++;
    return (int)n;
}
