#include "stats/internal.h"

#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>

static double acceleration(const double *jackknife, size_t n)
{
    struct stats_moments m = stats_moments_of(jackknife, n);
    if (m.n < 2 || !(m.std > 0))
        return 0; /* no skewness to correct */
    double squares = 0, cubes = 0;
    for (size_t i = 0; i < n; i++) {
        double d = -((jackknife[i] - m.mean) - m.mean_low) / m.std;
        squares += d * d;
        cubes += d * d * d;
    }
    return cubes / (6 * squares * sqrt(squares));
}

int stats_bca(double estimate, double *resamples, size_t count, const double *jackknife, size_t n,
              double confidence, struct stats_bootstrap *out)
{
    *out =
        (struct stats_bootstrap){estimate, NAN, NAN, NAN, NAN, stats_interval_none(), stats_interval_none()};
    if (count < 2 || n < 2 || !isfinite(estimate) || !stats_is_confidence(confidence))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(resamples[i]))
            return -1;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(jackknife[i]))
            return -1;
    stats_sort(resamples, count);
    double tail = (1 - confidence) / 2;
    out->percentile.low = stats_quantile(resamples, count, tail);
    out->percentile.high = stats_quantile(resamples, count, 1 - tail);
    size_t below = 0;
    while (below < count && resamples[below] < estimate)
        below++;
    if (below == 0 || below == count)
        return -1; /* the estimate lies outside its own resamples: no bias correction is finite */
    double z0 = stats_normal_quantile((double)below / (double)count), z = stats_normal_quantile(1 - tail);
    double a = acceleration(jackknife, n);
    if (!(1 - a * (z0 + z) > 0) || !(1 - a * (z0 - z) > 0))
        return -1;
    out->z0 = z0;
    out->acceleration = a;
    out->alpha_low = 0.5 * erfc(-(z0 + (z0 - z) / (1 - a * (z0 - z))) / M_SQRT2);
    out->alpha_high = 0.5 * erfc(-(z0 + (z0 + z) / (1 - a * (z0 + z))) / M_SQRT2);
    out->bca.low = stats_quantile(resamples, count, out->alpha_low);
    out->bca.high = stats_quantile(resamples, count, out->alpha_high);
    return 0;
}

int stats_bootstrap(const double *x, size_t n, double (*statistic)(double *x, size_t n, void *context),
                    void *context, size_t count, uint64_t seed, double confidence,
                    struct stats_bootstrap *out)
{
    int status = -1;
    *out = (struct stats_bootstrap){NAN, NAN, NAN, NAN, NAN, stats_interval_none(), stats_interval_none()};
    double *memory = calloc(count + 3 * n + 1, sizeof *memory);
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (!memory || !rng)
        goto done;
    double *resamples = memory, *sorted = memory + count, *sample = sorted + n, *jackknife = sample + n;
    size_t kept = stats_finite_sorted(x, n, sorted);
    if (kept < 2)
        goto done;
    gsl_rng_set(rng, (unsigned long)seed);
    for (size_t b = 0; b < count; b++) {
        for (size_t i = 0; i < kept; i++)
            sample[i] = sorted[gsl_rng_uniform_int(rng, (unsigned long)kept)];
        resamples[b] = statistic(sample, kept, context);
    }
    for (size_t left_out = 0; left_out < kept; left_out++) {
        for (size_t i = 0, k = 0; i < kept; i++)
            if (i != left_out)
                sample[k++] = sorted[i];
        jackknife[left_out] = statistic(sample, kept - 1, context);
    }
    for (size_t i = 0; i < kept; i++)
        sample[i] = sorted[i];
    status = stats_bca(statistic(sample, kept, context), resamples, count, jackknife, kept, confidence, out);
done:
    if (rng)
        gsl_rng_free(rng);
    free(memory);
    return status;
}
