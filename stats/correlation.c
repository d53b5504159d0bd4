#include "stats/internal.h"

#include <gsl/gsl_fft_halfcomplex.h>
#include <gsl/gsl_fft_real.h>
#include <math.h>
#include <stdlib.h>

/* Above this many values all lags at once cost less by Fourier transform than one lag after another. */
enum { DIRECT_LIMIT = 4096 };

/* Deviations from the mean in units of the standard deviation: no overflow, no underflow. A rejected value
 * becomes a hole (0), so that pairs across it are left out rather than joined. */
static double *deviations(const double *x, size_t n, size_t padded, const struct stats_moments *m)
{
    double *d = calloc(padded, sizeof *d);
    for (size_t i = 0; d && i < n; i++)
        if (isfinite(x[i]))
            d[i] = ((x[i] - m->mean) - m->mean_low) / m->std;
    return d;
}

static double product_at(const double *d, size_t n, size_t lag)
{
    double sum = 0;
    for (size_t i = 0; i + lag < n; i++)
        sum += d[i] * d[i + lag];
    return sum;
}

double stats_autocorrelation_about(const double *x, size_t n, int lag, const struct stats_moments *about)
{
    struct stats_moments m = *about;
    if (lag < 0 || (size_t)lag >= n || m.n < 2 || !(m.std > 0))
        return NAN;
    struct stats_sum products = {0, 0}, squares = {0, 0}; /* terms of both signs nearly cancel at small r */
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        double d = ((x[i] - m.mean) - m.mean_low) / m.std;
        size_t j = i + (size_t)lag;
        stats_sum_add(&squares, d * d);
        if (j < n && isfinite(x[j]))
            stats_sum_add(&products, d * (((x[j] - m.mean) - m.mean_low) / m.std));
    }
    return (products.high + products.low) / (squares.high + squares.low);
}

double stats_autocorrelation(const double *x, size_t n, int lag)
{
    struct stats_moments m = stats_moments_of(x, n);
    return stats_autocorrelation_about(x, n, lag, &m);
}

double stats_geyer_tau(const double *x, size_t n)
{
    struct stats_moments m = stats_moments_of(x, n);
    if (m.n < 3 || !(m.std > 0))
        return NAN;
    size_t padded = n;
    if (n > DIRECT_LIMIT)
        for (padded = 1; padded < 2 * n;)
            padded *= 2;
    double *d = deviations(x, n, padded, &m);
    if (!d)
        return NAN;
    if (n > DIRECT_LIMIT) { /* the autocovariance is the inverse transform of the squared modulus */
        gsl_fft_real_radix2_transform(d, 1, padded);
        d[0] *= d[0];
        d[padded / 2] *= d[padded / 2];
        for (size_t k = 1; k < padded / 2; k++) {
            d[k] = d[k] * d[k] + d[padded - k] * d[padded - k];
            d[padded - k] = 0;
        }
        gsl_fft_halfcomplex_radix2_inverse(d, 1, padded);
    }
    double sum = 0, unit = n > DIRECT_LIMIT ? d[0] : product_at(d, n, 0);
    for (size_t lag = 0; lag + 3 <= n; lag += 2) {
        double pair =
            n > DIRECT_LIMIT ? d[lag] + d[lag + 1] : product_at(d, n, lag) + product_at(d, n, lag + 1);
        if (!(pair > 0))
            break;
        sum += pair / unit;
    }
    free(d);
    return -1 + 2 * sum;
}

double stats_ar1_samples(double r, size_t n)
{
    return (double)n * (1 - r) / (1 + r);
}

static struct stats_interval interval(const struct stats_moments *m, double std, double n_eff,
                                      double confidence)
{
    if (!(n_eff > 1) || !stats_is_confidence(confidence))
        return stats_interval_none();
    double half = stats_t_quantile(0.5 + confidence / 2, n_eff - 1) * std / sqrt(n_eff);
    return (struct stats_interval){m->mean - half, m->mean + half};
}

/* Bias-corrected lag-1 coefficient, the samples it leaves, and the standard deviation that goes with them. */
static void correct(double r, const struct stats_moments *m, struct stats_correlated *out)
{
    double n = (double)m->n;
    out->r = fmin(fmax(r + (1 + 3 * r) / n, 0), 0.99);
    out->n_eff = stats_ar1_samples(out->r, m->n);
    double shrink = 1 - (n / out->n_eff - 1) / (n - 1);
    out->std = shrink > 0 ? m->std / sqrt(shrink) : NAN;
    out->too_correlated = out->n_eff < STATS_MIN_EFFECTIVE || isnan(out->std);
}

int stats_correlated(const double *x, size_t n, double confidence, struct stats_correlated *out)
{
    struct stats_moments m = stats_moments_of(x, n);
    *out = (struct stats_correlated){.lag1 = NAN,
                                     .r = NAN,
                                     .n_eff = NAN,
                                     .std = NAN,
                                     .ci = stats_interval_none(),
                                     .ci_uncorrected = stats_interval_none()};
    if (m.n < 3 || !(m.std > 0))
        return -1;
    out->lag1 = stats_autocorrelation(x, n, 1);
    correct(out->lag1, &m, out);
    out->ci_uncorrected =
        interval(&m, m.std, fmin(stats_ar1_samples(out->lag1, m.n), (double)m.n), confidence);
    if (!out->too_correlated)
        out->ci = interval(&m, out->std, out->n_eff, confidence);
    return 0;
}

int stats_welch_correlated(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                           struct stats_welch *out)
{
    struct stats_moments a = stats_moments_of(x, nx), b = stats_moments_of(y, ny);
    struct stats_correlated ca, cb;
    *out = (struct stats_welch){NAN, NAN, NAN, NAN, NAN, stats_interval_none()};
    if (a.n > 0 && b.n > 0)
        out->difference = stats_moments_difference(&a, &b);
    if (stats_correlated(x, nx, confidence, &ca) < 0 || stats_correlated(y, ny, confidence, &cb) < 0 ||
        ca.too_correlated || cb.too_correlated)
        return -1;
    double ea = ca.std / sqrt(ca.n_eff), eb = cb.std / sqrt(cb.n_eff), error = hypot(ea, eb);
    out->df = stats_satterthwaite(ea, ca.n_eff - 1, eb, cb.n_eff - 1);
    stats_welch_judge(out, error, confidence);
    return 0;
}
