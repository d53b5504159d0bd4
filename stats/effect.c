#include "stats/internal.h"

#include <math.h>

static double pooled_std(const struct stats_moments *a, const struct stats_moments *b)
{
    double da = (double)(a->n - 1), db = (double)(b->n - 1);
    return hypot(a->std * sqrt(da / (da + db)), b->std * sqrt(db / (da + db)));
}

int stats_pooled(const double *x, size_t nx, const double *y, size_t ny, struct stats_pooled *out)
{
    struct stats_moments a = stats_moments_of(x, nx), b = stats_moments_of(y, ny);
    *out = (struct stats_pooled){NAN, NAN, NAN};
    if (a.n < 2 || b.n < 2)
        return -1;
    double difference = stats_moments_difference(&a, &b);
    double error = pooled_std(&a, &b) * sqrt(1 / (double)a.n + 1 / (double)b.n);
    if (!(error > 0)) {
        if (difference != 0)
            out->t = copysign(INFINITY, difference);
        return 0;
    }
    out->df = (double)(a.n + b.n - 2);
    out->t = difference / error;
    out->p = stats_t_two_sided(out->t, out->df);
    return 0;
}

void stats_effect(const double *x, size_t nx, const double *y, size_t ny, struct stats_effect *out)
{
    struct stats_moments a = stats_moments_of(x, nx), b = stats_moments_of(y, ny);
    *out = (struct stats_effect){NAN, NAN};
    if (a.n < 2 || b.n < 2)
        return;
    double std = pooled_std(&a, &b);
    if (!(std > 0))
        return;
    out->cohens_d = stats_moments_difference(&a, &b) / std;
    out->hedges_g = out->cohens_d * stats_hedges_correction((double)(a.n + b.n - 2));
}

double stats_hedges_correction(double df)
{
    /* gamma(df/2) / (sqrt(df/2) gamma((df-1)/2)) */
    return df > 1 ? exp(stats_log_gamma_ratio((df - 1) / 2)) * sqrt((df - 1) / df) : NAN;
}

const char *stats_effect_word(double d)
{
    double size = fabs(d);
    if (isnan(d))
        return "undefined";
    return size < 0.2 ? "negligible" : size < 0.5 ? "small" : size < 0.8 ? "medium" : "large";
}

static struct stats_interval around(double center, double half)
{
    return (struct stats_interval){center - half, center + half};
}

int stats_effect_ci(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                    struct stats_effect_ci *out)
{
    struct stats_moments a = stats_moments_of(x, nx), b = stats_moments_of(y, ny);
    *out = (struct stats_effect_ci){
        NAN, NAN, NAN, NAN, stats_interval_none(), stats_interval_none(), stats_interval_none()};
    if (a.n < 2 || b.n < 2 || !stats_is_confidence(confidence))
        return -1;
    double std = pooled_std(&a, &b), average = hypot(a.std, b.std) / M_SQRT2;
    if (!(std > 0))
        return -1;
    double na = (double)a.n, nb = (double)b.n, z = stats_normal_quantile(0.5 + confidence / 2);
    double difference = stats_moments_difference(&a, &b), d = difference / std;
    out->d = d;
    out->normal_error = sqrt((na + nb) / (na * nb) + d * d / (2 * (na + nb)));
    out->normal = around(d, z * out->normal_error);
    out->d_average = difference / average;
    double ra = a.std / average, rb = b.std / average;
    double spread = ra * ra * ra * ra / (na - 1) + rb * rb * rb * rb / (nb - 1);
    out->bonett_error =
        sqrt(out->d_average * out->d_average * spread / 8 + ra * ra / (na - 1) + rb * rb / (nb - 1));
    out->bonett = around(out->d_average, z * out->bonett_error);
    double root = sqrt(1 / na + 1 / nb);
    struct stats_interval ncp = stats_noncentrality_ci(d / root, na + nb - 2, confidence);
    out->noncentral_t = (struct stats_interval){ncp.low * root, ncp.high * root};
    return 0;
}
