/* Shared by the .c files of this room alone: what every group needs of a raw sample. */
#pragma once

#include "stats/stats.h"

#include <math.h>

/* Moments of the finite values of a sample. The mean is carried in two parts (mean + mean_low is good to
 * about 32 digits of the sum), so that differences of nearly equal means keep their digits; squares are taken
 * after scaling by a power of two, so 1e200 and 1e-200 neither overflow nor vanish. */
struct stats_moments {
    size_t n, rejected;
    double mean, mean_low, std; /* NAN where undefined */
    double min, max;
};

struct stats_moments stats_moments_of(const double *x, size_t n);

/* mean(a) - mean(b) in both parts; NAN where it leaves the range of doubles. */
double stats_moments_difference(const struct stats_moments *a, const struct stats_moments *b);

/* stats_autocorrelation where the moments are known already. */
double stats_autocorrelation_about(const double *x, size_t n, int lag, const struct stats_moments *about);

/* std / sqrt(n) */
double stats_moments_error(const struct stats_moments *m);

/* Copies the finite values, returns how many; sorts them ascending. */
size_t stats_finite_sorted(const double *x, size_t n, double *out);
void stats_sort(double *x, size_t n);

/* Quantile (type 7) of sorted - reference; a reference inside the sample keeps the digits of small spreads.
 */
double stats_quantile_from(const double *sorted, size_t n, double p, double reference);
double stats_reference(const double *sorted, size_t n);

/* Welch-Satterthwaite degrees of freedom of the sum of two independent errors. */
double stats_satterthwaite(double error_a, double df_a, double error_b, double df_b);

/* Fills t, p, log10_p and ci from difference and df. */
void stats_welch_judge(struct stats_welch *w, double error, double confidence);

/* Compensated sum: the rounding error of each addition, exact by Knuth's TwoSum (no branch, so that a million
 * samples stay cheap), is summed apart. */
struct stats_sum {
    double high, low;
};
static inline void stats_sum_add(struct stats_sum *s, double x)
{
    double t = s->high + x, moved = t - s->high;
    s->low += (s->high - (t - moved)) + (x - moved);
    s->high = t;
}

/* ln( gamma(a + 1/2) / (gamma(a) sqrt(a)) ), a > 0, to a few ulp at any a. */
double stats_log_gamma_ratio(double a);

static inline struct stats_interval stats_interval_none(void)
{
    return (struct stats_interval){NAN, NAN};
}

static inline bool stats_is_confidence(double c)
{
    return c > 0 && c < 1;
}
