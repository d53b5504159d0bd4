#include "stats/internal.h"

#include <math.h>
#include <stdlib.h>

int stats_contrast(const double *y, size_t rounds, size_t runs, const double *weight, double confidence,
                   struct stats_contrast *out)
{
    *out = (struct stats_contrast){0, NAN, NAN, NAN, stats_interval_none()};
    double *value = calloc(rounds ? rounds : 1, sizeof *value);
    if (!value)
        return -1;
    size_t n = 0;
    for (size_t r = 0; r < rounds; r++) {
        struct stats_sum sum = {0, 0};
        bool whole = true;
        for (size_t i = 0; i < runs && whole; i++) {
            if (weight[i] == 0)
                continue;
            whole = isfinite(y[r * runs + i]);
            stats_sum_add(&sum, weight[i] * y[r * runs + i]);
        }
        if (whole)
            value[n++] = sum.high + sum.low;
    }
    struct stats_moments m = stats_moments_of(value, n);
    free(value);
    out->n = n;
    out->estimate = m.mean;
    if (n < 2)
        return -1;
    double error = stats_moments_error(&m);
    if (!(error > 0))
        return 0;
    out->t = m.mean / error;
    out->p = stats_t_two_sided(out->t, (double)(n - 1));
    out->ci = stats_mean_ci(m.mean, m.std, n, confidence);
    return 0;
}

static double sign(unsigned setting, unsigned factors)
{
    /* Yates: the product over the effect's factors of +1 where high, -1 where low */
    return __builtin_popcount(factors & ~setting) % 2 ? -1 : 1;
}

void stats_factorial_weights(const unsigned *setting, size_t runs, unsigned factors, double *weight)
{
    for (size_t i = 0; i < runs; i++)
        weight[i] = 2 * sign(setting[i], factors) / (double)runs;
}

bool stats_factorial_estimable(const unsigned *setting, size_t runs, unsigned factors)
{
    double sum = 0;
    for (size_t i = 0; i < runs; i++)
        sum += sign(setting[i], factors);
    return runs > 0 && sum == 0;
}

bool stats_factorial_aliased(const unsigned *setting, size_t runs, unsigned a, unsigned b)
{
    double sum = 0;
    for (size_t i = 0; i < runs; i++)
        sum += sign(setting[i], a) * sign(setting[i], b);
    return fabs(sum) == (double)runs;
}

int stats_factorial(const double *y, size_t rounds, const unsigned *setting, size_t runs, int factors,
                    double confidence, struct stats_factor_effect *out)
{
    if (factors < 1 || factors > STATS_FACTORS || runs < 2)
        return -1;
    double *weight = calloc(runs, sizeof *weight);
    if (!weight)
        return -1;
    int n = 0;
    for (int order = 1; order <= 2; order++)
        for (int a = 0; a < factors; a++)
            for (int b = order == 1 ? a : a + 1; b < (order == 1 ? a + 1 : factors); b++) {
                struct stats_factor_effect *e = &out[n];
                *e = (struct stats_factor_effect){.factors = 1u << a | 1u << b, .alias = -1};
                e->estimable = stats_factorial_estimable(setting, runs, e->factors);
                for (int i = 0; i < n && e->alias < 0; i++)
                    if (stats_factorial_aliased(setting, runs, out[i].factors, e->factors))
                        e->alias = i;
                stats_factorial_weights(setting, runs, e->factors, weight);
                stats_contrast(y, rounds, runs, weight, confidence, &e->contrast);
                n++;
            }
    free(weight);
    return n;
}
