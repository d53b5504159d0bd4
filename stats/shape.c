#include "stats/internal.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool stats_is_latency(double x)
{
    return isfinite(x) && x > 0;
}

double stats_harmonic_mean(const double *x, size_t n)
{
    struct stats_moments m = stats_moments_of(x, n);
    if (m.n == 0 || !(m.min > 0))
        return NAN;
    struct stats_sum sum = {0, 0};
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            stats_sum_add(&sum, m.min / x[i]); /* in (0, 1]: reciprocals of tiny values do not overflow */
    return m.min * ((double)m.n / (sum.high + sum.low));
}

double stats_geometric_mean(const double *x, size_t n)
{
    struct stats_moments m = stats_moments_of(x, n);
    if (m.n == 0 || !(m.min > 0))
        return NAN;
    struct stats_sum sum = {0, 0};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        double change = (x[i] - m.mean) / m.mean; /* close values keep the digits of their difference */
        stats_sum_add(&sum, fabs(change) < 0.5 ? log1p(change) : log(x[i]) - log(m.mean));
    }
    return m.mean * exp((sum.high + sum.low) / (double)m.n);
}

/* Mean of ((x - mean) / std)^power. */
static double standardized_moment(const double *x, size_t n, int power)
{
    struct stats_moments m = stats_moments_of(x, n);
    if (m.n < 2 || !(m.std > 0))
        return NAN;
    struct stats_sum sum = {0, 0};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        double d = ((x[i] - m.mean) - m.mean_low) / m.std;
        stats_sum_add(&sum, power == 3 ? d * d * d : d * d * d * d);
    }
    return (sum.high + sum.low) / (double)m.n;
}

double stats_skewness(const double *x, size_t n)
{
    return standardized_moment(x, n, 3);
}

double stats_excess_kurtosis(const double *x, size_t n)
{
    return standardized_moment(x, n, 4) - 3;
}

struct stats_interval stats_std_ci(double std, size_t n, double confidence)
{
    if (n < 2 || !isfinite(std) || !stats_is_confidence(confidence))
        return stats_interval_none();
    double df = (double)(n - 1), tail = (1 - confidence) / 2;
    return (struct stats_interval){std * sqrt(df / stats_chi_square_quantile(1 - tail, df)),
                                   std * sqrt(df / stats_chi_square_quantile(tail, df))};
}

void stats_tukey(const double *sorted, size_t n, struct stats_tukey *out)
{
    double reference = stats_reference(sorted, n);
    double q1 = stats_quantile_from(sorted, n, 0.25, reference);
    double q3 = stats_quantile_from(sorted, n, 0.75, reference), iqr = q3 - q1;
    const double fence[4] = {q1 - 3 * iqr, q1 - 1.5 * iqr, q3 + 1.5 * iqr, q3 + 3 * iqr};
    *out = (struct stats_tukey){.iqr = iqr};
    for (int i = 0; i < 4; i++)
        out->fence[i] = reference + fence[i];
    for (size_t i = 0; i < n; i++) {
        double x = sorted[i] - reference;
        if (x < fence[0])
            out->count[0]++;
        else if (x < fence[1])
            out->count[1]++;
        else if (x > fence[3])
            out->count[3]++;
        else if (x > fence[2])
            out->count[2]++;
    }
}

int64_t stats_modified_z_count(const double *sorted, size_t n, double limit)
{
    double reference = stats_reference(sorted, n), mad = stats_mad(sorted, n);
    double median = stats_quantile_from(sorted, n, 0.5, reference);
    if (!(mad > 0))
        return -1;
    int64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += 0.6745 * fabs((sorted[i] - reference) - median) / mad > limit;
    return count;
}

/* Silverman's rule (a narrower kernel calls one normal sample in ten bimodal), but never below the step of a
 * quantized clock, whose ticks would otherwise each be a mode. */
static double bandwidth(const double *sorted, size_t n, double std)
{
    double iqr = stats_quantile(sorted, n, 0.75) - stats_quantile(sorted, n, 0.25);
    double spread = iqr > 0 ? fmin(std, iqr / 1.349) : std;
    double width = 0.9 * spread * pow((double)n, -0.2);
    size_t distinct = 1;
    double step = INFINITY;
    for (size_t i = 1; i < n; i++) {
        if (sorted[i] > sorted[i - 1]) {
            distinct++;
            step = fmin(step, sorted[i] - sorted[i - 1]);
        }
    }
    return distinct < n / 2 ? fmax(width, step) : width;
}

enum { GRID = 512 };

/* Density on GRID points over [low, low + GRID * step): samples are shared between their two neighbors, then
 * smoothed, so the cost does not grow as samples x grid. */
static void density(const double *sorted, size_t n, double low, double step, double width, double *out)
{
    double mass[GRID] = {0};
    for (size_t i = 0; i < n; i++) {
        double at = (sorted[i] - low) / step;
        if (!(at >= 0) || at >= GRID - 1)
            continue;
        size_t cell = (size_t)at;
        double share = at - (double)cell;
        mass[cell] += 1 - share;
        mass[cell + 1] += share;
    }
    double kernel[GRID] = {0}; /* by distance; what lies farther than 8 widths is nothing */
    int reach = 0;
    for (; reach < GRID && reach * step / width < 8; reach++) {
        double z = reach * step / width;
        kernel[reach] = exp(-0.5 * z * z);
    }
    memset(out, 0, GRID * sizeof *out);
    for (int j = 0; j < GRID; j++) {
        if (mass[j] == 0)
            continue;
        int from = j - reach + 1 > 0 ? j - reach + 1 : 0, to = j + reach < GRID ? j + reach : GRID;
        for (int i = from; i < to; i++)
            out[i] += mass[j] * kernel[i < j ? j - i : i - j];
    }
}

static size_t values_below(const double *sorted, size_t n, double limit)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle] < limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The deepest valley of the density between two sides that each hold enough samples; curve index or -1. */
static int deepest_valley(const double *sorted, size_t n, double low, double step, const double *curve,
                          double *depth)
{
    double left_peak[GRID], right_peak[GRID];
    for (int i = 0; i < GRID; i++)
        left_peak[i] = i ? fmax(left_peak[i - 1], curve[i]) : curve[i];
    for (int i = GRID; i-- > 0;)
        right_peak[i] = i < GRID - 1 ? fmax(right_peak[i + 1], curve[i]) : curve[i];
    size_t enough = (size_t)fmax(5, ceil(0.05 * (double)n));
    int valley = -1;
    *depth = 1;
    for (int i = 1; i < GRID - 1; i++) {
        double here = curve[i] / fmin(left_peak[i], right_peak[i]);
        size_t below = values_below(sorted, n, low + i * step);
        if (here < *depth && below >= enough && n - below >= enough) {
            *depth = here;
            valley = i;
        }
    }
    return valley;
}

/* The modes of sorted values already on the scale they are judged on. */
static bool find_modes(const double *sorted, size_t n, struct stats_bimodality *out)
{
    struct stats_moments m = stats_moments_of(sorted, n);
    double width = bandwidth(sorted, n, m.std), curve[GRID], depth;
    double low = stats_quantile(sorted, n, 0.02) - 3 * width;
    double step = (stats_quantile(sorted, n, 0.98) + 3 * width - low) / GRID;
    if (!(m.std > 0) || !(step > 0) || !isfinite(step))
        return false;
    density(sorted, n, low, step, fmax(width, step), curve);
    int valley = deepest_valley(sorted, n, low, step, curve, &depth);
    if (valley < 0)
        return true;
    int mode[2] = {0, valley};
    for (int i = 0; i < GRID; i++)
        if (curve[i] > curve[mode[i > valley]])
            mode[i > valley] = i;
    out->mode[0] = low + mode[0] * step;
    out->mode[1] = low + mode[1] * step;
    out->share[0] = (double)values_below(sorted, n, low + valley * step) / (double)n;
    out->share[1] = 1 - out->share[0];
    out->valley = depth;
    out->is_bimodal = depth < STATS_BIMODALITY_VALLEY;
    return true;
}

bool stats_bimodality(const double *sorted, size_t n, struct stats_bimodality *out)
{
    *out = (struct stats_bimodality){{NAN, NAN}, {NAN, NAN}, NAN, false};
    for (size_t i = 0; i < n; i++)
        if (!isfinite(sorted[i]))
            return false;
    if (n < STATS_BIMODALITY_MIN_N)
        return false;
    if (!(sorted[0] > 0))
        return find_modes(sorted, n, out);
    double *logs = calloc(n, sizeof *logs); /* a long tail is no mode */
    if (!logs)
        return false;
    for (size_t i = 0; i < n; i++)
        logs[i] = log(sorted[i]);
    bool found = find_modes(logs, n, out);
    free(logs);
    for (int i = 0; i < 2; i++)
        out->mode[i] = exp(out->mode[i]);
    return found;
}
