#include "stats/internal.h"

#include <math.h>

/* Upper tail P(T > t) = E[ Phi(delta - t W) ] with W = sqrt(chi2(df) / df), and its derivative in delta. The
 * expectation is a trapezoidal sum over log W, where the integrand is analytic and dies out on both sides, so
 * the sum converges exponentially; the weights are normalized by their own sum, so no gamma function enters.
 */
struct tail {
    double upper, lower, density;
};

static struct tail noncentral_tail(double t, double df, double delta)
{
    double step = fmin(0.1, fmin(0.5 / sqrt(2 * df), 0.5 / fmax(fabs(delta), 1)));
    double total = 0;
    struct tail out = {0, 0, 0};
    for (int direction = -1; direction <= 1; direction += 2) {
        for (int i = direction < 0 ? -1 : 0;; i += direction) {
            double s = i * step, weight = exp(df * (s - expm1(2 * s) / 2));
            if (weight < 1e-22)
                break;
            double z = delta - t * exp(s);
            total += weight;
            out.upper += weight * 0.5 * erfc(-z / M_SQRT2);
            out.lower += weight * 0.5 * erfc(z / M_SQRT2);
            out.density += weight * exp(-0.5 * z * z) * 0.39894228040143267794;
        }
    }
    return (struct tail){out.upper / total, out.lower / total, out.density / total};
}

double stats_noncentral_t_upper(double t, double df, double ncp)
{
    if (!isfinite(t) || !isfinite(ncp) || !(df >= 0.5) || isinf(df) || fabs(ncp) > 1e4)
        return NAN;
    return noncentral_tail(t, df, ncp).upper;
}

/* The noncentrality at which the observed t has `tail` above it (or below it). */
static double solve(double t, double df, double tail, bool above)
{
    double z = stats_normal_quantile(tail), guess = sqrt(1 + t * t / (2 * df));
    double delta = t + (above ? z : -z) * guess;
    for (int i = 0; i < 100; i++) {
        struct tail now = noncentral_tail(t, df, delta);
        double p = above ? now.upper : now.lower, sign = above ? 1 : -1;
        if (!(p > 0) || !(now.density > 0)) {
            delta += sign * guess;
            continue;
        }
        double change = sign * (log(tail) - log(p)) * p / now.density;
        change = fmin(fmax(change, -2 * guess), 2 * guess);
        delta += change;
        if (fabs(change) <= 1e-14 * fmax(fabs(delta), 0.01))
            return delta;
        /* Rounding in the sum may keep the last digit moving. */
        if (i > 30 && fabs(change) <= 1e-11 * fmax(fabs(delta), 0.01))
            return delta;
    }
    return NAN;
}

struct stats_interval stats_noncentrality_ci(double t, double df, double confidence)
{
    if (!(fabs(t) <= 5000) || !(df >= 1) || isinf(df) || !stats_is_confidence(confidence))
        return stats_interval_none();
    double tail = (1 - confidence) / 2;
    return (struct stats_interval){solve(t, df, tail, true), solve(t, df, tail, false)};
}
