#include "stats/internal.h"

#include <math.h>
#include <stdlib.h>

/* Sums of squares of the samples around their block's mean, with and without those beyond the outer fences of
 * the deviations. */
struct within {
    double squares, outliers;
    int64_t n_outliers;
};

static struct within spread_within(const double *x, const size_t *size, size_t blocks, double *scratch)
{
    struct within w = {0, 0, 0};
    size_t n = 0, at = 0;
    double *deviation = scratch;
    for (size_t b = 0; b < blocks; at += size[b++]) {
        struct stats_moments m = stats_moments_of(x + at, size[b]);
        for (size_t i = at; i < at + size[b]; i++)
            if (isfinite(x[i]))
                deviation[n++] = (x[i] - m.mean) - m.mean_low;
    }
    stats_sort(deviation, n);
    struct stats_tukey t;
    stats_tukey(deviation, n, &t);
    struct stats_sum all = {0, 0}, out = {0, 0};
    for (size_t i = 0; i < n; i++) {
        double d = deviation[i];
        stats_sum_add(&all, d * d);
        if (!(d >= t.fence[0] && d <= t.fence[3])) {
            stats_sum_add(&out, d * d);
            w.n_outliers++;
        }
    }
    w.squares = all.high + all.low;
    w.outliers = out.high + out.low;
    return w;
}

/* Adjusted share of the variance of the means that a straight line over the clock explains, 0 where there is
 * no clock, no variation of it, or no more than chance. */
static double clock_share(const double *mean, const double *clock, size_t blocks)
{
    double n = 0, mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (size_t b = 0; clock && b < blocks; b++) {
        if (!isfinite(mean[b]) || !isfinite(clock[b]))
            continue;
        n++;
        double dx = clock[b] - mx, dy = mean[b] - my;
        mx += dx / n;
        my += dy / n;
        xx += dx * (clock[b] - mx);
        yy += dy * (mean[b] - my);
        xy += dx * (mean[b] - my);
    }
    if (n < 4 || !(xx > 0) || !(yy > 0))
        return 0;
    double r2 = xy * xy / (xx * yy);
    return fmax(0, 1 - (1 - r2) * (n - 1) / (n - 2));
}

int stats_variance_budget(const double *x, const size_t *size, size_t blocks, const double *clock,
                          struct stats_variance_budget *out)
{
    *out = (struct stats_variance_budget){
        .within = NAN, .between = NAN, .clock = NAN, .outliers = NAN, .block_variance = NAN};
    size_t room = 0, k = 0;
    for (size_t b = 0; b < blocks; b++)
        room += size[b];
    double *scratch = calloc(room + blocks + 1, sizeof *scratch), *mean = scratch + room;
    if (!scratch)
        return STATS_NO_MEMORY;
    double n = 0, squares = 0;
    size_t at = 0;
    for (size_t b = 0; b < blocks; at += size[b++]) {
        struct stats_moments m = stats_moments_of(x + at, size[b]);
        mean[b] = m.mean;
        if (m.n == 0)
            continue;
        k++;
        n += (double)m.n;
        squares += (double)m.n * (double)m.n;
    }
    struct stats_moments means = stats_moments_of(mean, blocks);
    int result = -1;
    if (k >= 2 && n > (double)k && means.std > 0) {
        struct within w = spread_within(x, size, blocks, scratch);
        /* Expected mean squares of the one-way random model (Searle, Casella & McCulloch 1992, section 3.6),
         * on unweighted means: var(mean of a block) = between + within / per_block. */
        double per_block = (n - squares / n) / ((double)k - 1), inner = w.squares / (n - (double)k);
        double total = means.std * means.std, share = clock_share(mean, clock, blocks);
        double from_within = fmin(inner / per_block, total), between = total - from_within;
        double outlying = w.squares > 0 ? w.outliers / w.squares : 0;
        out->block_variance = total;
        out->outliers = from_within * outlying / total;
        out->within = from_within * (1 - outlying) / total;
        /* What the clock explains cannot be more than the blocks differ by. */
        out->clock = fmin(share, between / total);
        out->between = between / total - out->clock;
        out->n_outliers = w.n_outliers;
        result = 0;
    }
    free(scratch);
    return result;
}
