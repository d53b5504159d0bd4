#include "stats/internal.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <math.h>

void stats_init(void)
{
    gsl_set_error_handler_off();
}

/* Asymptotic series of ln(gamma(a + 1/2) / gamma(a)) - ln(a) / 2, after shifting a up by the recurrence
 * R(a) = R(a + 1) a / (a + 1/2): no difference of two large lgamma values, so no digits are lost at large a.
 */
double stats_log_gamma_ratio(double a)
{
    double product = 1, b = a;
    while (b < 30) {
        product *= b / (b + 0.5);
        b += 1;
    }
    double z = 1 / b, y = z * z;
    double series =
        -z * (1.0 / 8 - y * (1.0 / 192 - y * (1.0 / 640 - y * (17.0 / 14336 - y * 31.0 / 18432))));
    return b == a ? series : series + log(product * sqrt(b / a));
}

static double log_density(double t, double df)
{
    double u = t / sqrt(df); /* squared only where it cannot overflow */
    double log_term = u < 1e100 ? log1p(u * u) : 2 * log(u);
    return stats_log_gamma_ratio(df / 2) - 0.91893853320467274178 - (df + 1) / 2 * log_term;
}

/* Upper tail over density at t >= 0: T integral_0^inf (1 + 2 c w + w^2)^-k dw with T^2 = df + t^2, c = t / T,
 * k = (df + 1) / 2. The integrand is positive and smooth, so double-exponential quadrature (Takahasi and Mori
 * 1974) reaches full relative precision at every df and t; gsl_cdf_tdist_Q is off by 1e-6 in the deep tail.
 */
static double mills_ratio(double t, double df)
{
    const double step = 1.0 / 16;
    double reach = hypot(sqrt(df), t), c = t / reach, k = (df + 1) / 2;
    double scale = 1 / (k * c + sqrt(k * c * k * c + k));
    double sum = 0;
    for (int direction = -1; direction <= 1; direction += 2) {
        for (int i = direction < 0 ? -1 : 0; i > -72 && i < 160; i += direction) {
            double s = i * step, w = scale * exp(M_PI_2 * sinh(s));
            double term = w * cosh(s) * exp(-k * log1p(w * (2 * c + w)));
            sum += term;
            if (!(term > 1e-19 * sum))
                break;
        }
    }
    return reach * sum * step * M_PI_2;
}

static double log_upper(double t, double df) /* t >= 0 */
{
    if (isinf(t))
        return -INFINITY;
    if (isinf(df)) {
        if (t < 30)
            return log(0.5 * erfc(t / M_SQRT2));
        df = 1e18; /* the difference from the normal tail is far below an ulp of its logarithm's own error */
    }
    return log_density(t, df) + log(mills_ratio(t, df));
}

double stats_t_log10_upper(double t, double df)
{
    if (isnan(t) || !(df > 0))
        return NAN;
    if (t < 0)
        return log1p(-exp(log_upper(-t, df))) / M_LN10;
    return t == 0 ? log10(0.5) : log_upper(t, df) / M_LN10;
}

double stats_t_upper(double t, double df)
{
    if (isnan(t) || !(df > 0))
        return NAN;
    if (t == 0)
        return 0.5;
    double tail = exp(log_upper(fabs(t), df));
    return t > 0 ? tail : 1 - tail;
}

double stats_t_two_sided(double t, double df)
{
    double p = 2 * stats_t_upper(fabs(t), df);
    return p > 1 ? 1 : p; /* fmin would turn a NaN into 1 */
}

double stats_t_quantile(double p, double df)
{
    if (!(p >= 0 && p <= 1) || !(df > 0))
        return NAN;
    if (p == 0.5)
        return 0;
    double sign = p < 0.5 ? -1 : 1, tail = p < 0.5 ? p : 1 - p;
    if (tail == 0)
        return sign * INFINITY;
    double t = isinf(df) ? gsl_cdf_ugaussian_Qinv(tail) : gsl_cdf_tdist_Qinv(tail, df);
    if (!(t > 0) || isinf(t))
        t = 1;
    double log_tail = log(tail);
    /* Newton on the logarithm of the tail: nearly linear in t while t^2 < df, in log t beyond. */
    for (int i = 0; i < 100; i++) {
        double log_q = log_upper(t, df), density = log_density(t, isinf(df) ? 1e18 : df);
        double change = (log_q - log_tail) * exp(log_q - density); /* in t */
        double next = t * t < df ? fmax(t + change, t / 4) : t * exp(fmin(fmax(change / t, -20), 700));
        double moved = fabs(next - t);
        t = next;
        if (!(moved > 4e-16 * t) || isinf(t))
            break;
    }
    return sign * t;
}

double stats_normal_quantile(double p)
{
    if (!(p >= 0 && p <= 1))
        return NAN;
    return p < 0.5 ? -gsl_cdf_ugaussian_Qinv(p) : gsl_cdf_ugaussian_Qinv(1 - p);
}

double stats_normal_two_sided(double z)
{
    return erfc(fabs(z) / M_SQRT2);
}

double stats_chi_square_quantile(double p, double df)
{
    if (!(p >= 0 && p <= 1) || !(df > 0))
        return NAN;
    return gsl_cdf_chisq_Pinv(p, df);
}
