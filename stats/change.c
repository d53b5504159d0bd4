#include "stats/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The scaled energy distance between x[0..m) and x[m..n), for every m (Matteson & James 2014, equations 5 and
 * 6, alpha = 1):  q = (m k / n) (2 B / (m k) - W1 / C(m, 2) - W2 / C(k, 2)), k = n - m. B sums |x - y|
 * across, W1 and W2 within. Moving one value across costs n differences. The best m goes to *at. */
static double best_split(const double *x, size_t n, size_t *at)
{
    double across = 0, left = 0, right = 0, best = -INFINITY;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            right += fabs(x[i] - x[j]);
    for (size_t m = 1; m + STATS_CHANGE_SEGMENT <= n; m++) {
        double before = 0, after = 0, v = x[m - 1];
        for (size_t i = 0; i + 1 < m; i++)
            before += fabs(v - x[i]);
        for (size_t i = m; i < n; i++)
            after += fabs(v - x[i]);
        left += before;
        right -= after;
        across += after - before;
        if (m < STATS_CHANGE_SEGMENT)
            continue;
        double a = (double)m, b = (double)(n - m);
        double q =
            a * b / (a + b) * (2 * across / (a * b) - 2 * left / (a * (a - 1)) - 2 * right / (b * (b - 1)));
        if (q > best) {
            best = q;
            *at = m;
        }
    }
    return best;
}

static uint64_t next(uint64_t *state) /* SplitMix64 (Steele, Lea & Flood 2014) */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Share of orders of the same values whose best split is at least as good. Once the answer can only be "no",
 * the remaining orders are left out. */
static double permutation_p(const double *x, size_t n, double observed, double alpha, double *scratch,
                            uint64_t seed)
{
    int reached = 0, tried = 0;
    memcpy(scratch, x, n * sizeof *scratch);
    while (tried < STATS_CHANGE_PERMUTATIONS) {
        size_t ignored;
        for (size_t i = n - 1; i > 0; i--) {
            size_t j = (size_t)(next(&seed) % (i + 1));
            double t = scratch[i];
            scratch[i] = scratch[j];
            scratch[j] = t;
        }
        tried++;
        reached += best_split(scratch, n, &ignored) >= observed * (1 - 1e-12);
        if (reached + 1 > alpha * (STATS_CHANGE_PERMUTATIONS + 1))
            break;
    }
    return (reached + 1.0) / (tried + 1.0);
}

static double median_of(const double *x, size_t n, double *scratch)
{
    size_t kept = stats_finite_sorted(x, n, scratch);
    return stats_quantile(scratch, kept, 0.5);
}

static int by_place(const void *a, const void *b)
{
    const struct stats_change *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* Splits [from, to) as long as the split is one. */
static int divide(const double *x, size_t from, size_t to, double alpha, uint64_t seed, double *scratch,
                  struct stats_change *out, int room)
{
    size_t n = to - from, at = 0;
    if (room < 1 || n < 2 * STATS_CHANGE_SEGMENT)
        return 0;
    double q = best_split(x + from, n, &at);
    if (!(q > 0))
        return 0;
    double p = permutation_p(x + from, n, q, alpha, scratch, seed + from);
    if (p > alpha)
        return 0;
    out[0] = (struct stats_change){.at = from + at, .p = p, .before = NAN, .after = NAN};
    int found = 1;
    found += divide(x, from, from + at, alpha, seed, scratch, out + found, room - found);
    found += divide(x, from + at, to, alpha, seed, scratch, out + found, room - found);
    return found;
}

int stats_changes(const double *x, size_t n, double alpha, uint64_t seed, struct stats_change *out, int room)
{
    if (!(alpha > 0 && alpha < 1) || n > STATS_CHANGE_MAX)
        return -1;
    double *clean = malloc((3 * n + 1) * sizeof *clean);
    size_t *place = malloc((n + 1) * sizeof *place), kept = 0;
    if (!clean || !place) {
        free(clean);
        free(place);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i])) {
            place[kept] = i;
            clean[kept++] = x[i];
        }
    int found = divide(clean, 0, kept, alpha, seed, clean + n, out, room);
    qsort(out, (size_t)found, sizeof *out, by_place);
    for (int i = 0; i < found; i++) {
        size_t start = i ? out[i - 1].at : 0, end = i + 1 < found ? out[i + 1].at : kept;
        out[i].before = median_of(clean + start, out[i].at - start, clean + 2 * n);
        out[i].after = median_of(clean + out[i].at, end - out[i].at, clean + 2 * n);
    }
    for (int i = 0; i < found; i++)
        out[i].at = place[out[i].at];
    free(clean);
    free(place);
    return found;
}
