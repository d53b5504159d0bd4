#include "stats/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
        if (!m.n || x[i] < m.min)
            m.min = x[i];
        if (!m.n || x[i] > m.max)
            m.max = x[i];
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

enum { RADIX_BITS = 11, RADIX_PASSES = 6, RADIX_LEAST = 512 };

/* Doubles in the order of their bits as integers: the sign turned over, all bits of negative ones. */
static uint64_t key_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ (bits >> 63 ? UINT64_MAX : (uint64_t)1 << 63);
}

static double value_of(uint64_t key)
{
    uint64_t bits = key ^ (key >> 63 ? (uint64_t)1 << 63 : UINT64_MAX);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Least significant digit first; digits that all values share (exponents mostly) cost no pass. */
static bool radix_sort(double *x, size_t n)
{
    enum { BUCKETS = 1 << RADIX_BITS };
    uint64_t *from = malloc(2 * n * sizeof *from), *to = from + n, *room = from;
    size_t(*count)[BUCKETS] = calloc(RADIX_PASSES, sizeof *count);
    if (!from || !count) {
        free(from);
        free(count);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        from[i] = key_of(x[i]);
        for (int p = 0; p < RADIX_PASSES; p++)
            count[p][from[i] >> (p * RADIX_BITS) & (BUCKETS - 1)]++;
    }
    for (int p = 0; p < RADIX_PASSES; p++) {
        int shift = p * RADIX_BITS;
        if (count[p][from[0] >> shift & (BUCKETS - 1)] == n)
            continue;
        size_t start = 0;
        for (int b = 0; b < BUCKETS; b++) {
            size_t here = count[p][b];
            count[p][b] = start;
            start += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[p][from[i] >> shift & (BUCKETS - 1)]++] = from[i];
        uint64_t *t = from;
        from = to;
        to = t;
    }
    for (size_t i = 0; i < n; i++)
        x[i] = value_of(from[i]);
    free(room);
    free(count);
    return true;
}

void stats_sort(double *x, size_t n)
{
    if (n > 1 && (n < RADIX_LEAST || !radix_sort(x, n)))
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
