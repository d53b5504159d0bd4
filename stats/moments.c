#include "stats/internal.h"

#include <math.h>
#include <stdlib.h>

void stats_sum_add(struct stats_sum *s, double x)
{
    double t = s->high + x;
    s->low += fabs(s->high) >= fabs(x) ? (s->high - t) + x : (x - t) + s->high;
    s->high = t;
}

/* 1 for ordinary magnitudes; else the power of two that brings `reach` near 1. */
static double power_of_two_scale(double reach)
{
    int exponent;
    if (reach <= 0)
        return 1;
    frexp(reach, &exponent);
    if (exponent > -300 && exponent < 300)
        return 1;
    return ldexp(1, exponent > 1000 ? -1000 : exponent < -1000 ? 1000 : -exponent);
}

struct stats_moments stats_moments_of(const double *x, size_t n)
{
    struct stats_moments m = {.mean = NAN, .std = NAN, .min = NAN, .max = NAN};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            m.rejected++;
            continue;
        }
        m.min = m.n ? fmin(m.min, x[i]) : x[i];
        m.max = m.n ? fmax(m.max, x[i]) : x[i];
        m.n++;
    }
    if (!m.n)
        return m;
    double count = (double)m.n;
    if (m.min == m.max) { /* exact, so that "no variance" is never a rounding residue */
        m.mean = m.min;
        m.std = m.n > 1 ? 0 : NAN;
        return m;
    }
    double scale = power_of_two_scale(fmax(fabs(m.min), fabs(m.max)));
    struct stats_sum sum = {0, 0};
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            stats_sum_add(&sum, x[i] * scale);
    double mean = (sum.high + sum.low) / count;
    double low = (fma(-mean, count, sum.high) + sum.low) / count;
    struct stats_sum squares = {0, 0};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        double d = (x[i] * scale - mean) - low;
        stats_sum_add(&squares, d * d);
    }
    m.std = sqrt((squares.high + squares.low) / (count - 1)) / scale;
    m.mean = mean / scale;
    m.mean_low = low / scale;
    return m;
}

double stats_moments_difference(const struct stats_moments *a, const struct stats_moments *b)
{
    double difference = (a->mean - b->mean) + (a->mean_low - b->mean_low);
    return isfinite(difference) ? difference : NAN;
}

double stats_moments_error(const struct stats_moments *m)
{
    return m->std / sqrt((double)m->n);
}

double stats_satterthwaite(double error_a, double df_a, double error_b, double df_b)
{
    double total = hypot(error_a, error_b);
    if (!(total > 0) || !(df_a > 0) || !(df_b > 0))
        return NAN;
    double a = error_a / total, b = error_b / total;
    double df = 1 / (a * a * a * a / df_a + b * b * b * b / df_b);
    /* The bounds hold exactly; rounding may leave them by an ulp. */
    return fmin(fmax(df, fmin(df_a, df_b)), df_a + df_b);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *x, size_t n)
{
    if (n > 1)
        qsort(x, n, sizeof *x, ascending);
}

size_t stats_finite_sorted(const double *x, size_t n, double *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            out[kept++] = x[i];
    stats_sort(out, kept);
    return kept;
}
