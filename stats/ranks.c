#include "stats/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this the exact distribution costs more than it tells. */
enum { EXACT_PAIRS = 10000 };

/* Two-sided exact p of min(u, nx ny - u), no ties. counts[i][k]: orders of i x values and the current number
 * of y values with U = k, as a fraction of all orders; only sums of positive terms (Mann and Whitney 1947).
 */
static double exact_p(double u1, size_t nx, size_t ny)
{
    size_t pairs = nx * ny, wanted = (size_t)fmin(u1, (double)pairs - u1);
    double **counts = calloc(nx + 1, sizeof *counts), p = NAN;
    if (!counts)
        return NAN;
    for (size_t i = 0; i <= nx; i++) {
        counts[i] = calloc(wanted + 1, sizeof **counts);
        if (!counts[i])
            goto done;
        counts[i][0] = 1; /* no y value yet: U is 0 */
    }
    for (size_t j = 1; j <= ny; j++) {
        for (size_t i = 1; i <= nx; i++) {
            /* The largest value is an x (it beats all j y values) or a y (it beats nothing). */
            double is_x = (double)i / (double)(i + j), is_y = (double)j / (double)(i + j);
            for (size_t k = 0; k <= wanted; k++)
                counts[i][k] = is_y * counts[i][k] + (k >= j ? is_x * counts[i - 1][k - j] : 0);
        }
    }
    struct stats_sum sum = {0, 0};
    for (size_t k = 0; k <= wanted; k++)
        stats_sum_add(&sum, counts[nx][k]);
    p = fmin(1, 2 * (sum.high + sum.low));
done:
    for (size_t i = 0; i <= nx; i++)
        free(counts[i]);
    free(counts);
    return p;
}

/* Doubles in an order that integers can bisect: the k-th representable number. */
static int64_t ordinal(double x)
{
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits < 0 ? INT64_MIN - bits : bits;
}

static double from_ordinal(int64_t k)
{
    int64_t bits = k < 0 ? INT64_MIN - k : k;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static size_t differences_up_to(const double *x, size_t nx, const double *y, size_t ny, double limit)
{
    size_t count = 0, j = ny; /* x - y falls as y rises: y[j..] are within the limit */
    for (size_t i = 0; i < nx; i++) {
        while (j > 0 && x[i] - y[j - 1] <= limit)
            j--;
        while (j < ny && x[i] - y[j] > limit)
            j++;
        count += ny - j;
    }
    return count;
}

/* The k-th smallest (from 1) of all x - y, exact, by bisection over the representable numbers. */
static double difference_at(const double *x, size_t nx, const double *y, size_t ny, size_t k)
{
    int64_t low = ordinal(x[0] - y[ny - 1]), high = ordinal(x[nx - 1] - y[0]);
    while (low < high) {
        int64_t middle = (int64_t)(((uint64_t)high - (uint64_t)low) / 2 + (uint64_t)low);
        if (differences_up_to(x, nx, y, ny, from_ordinal(middle)) >= k)
            high = middle;
        else
            low = middle + 1;
    }
    return from_ordinal(low);
}

static double hodges_lehmann(const double *x, size_t nx, const double *y, size_t ny)
{
    size_t pairs = nx * ny;
    if (!isfinite(x[0] - y[ny - 1]) || !isfinite(x[nx - 1] - y[0]))
        return NAN;
    double high = difference_at(x, nx, y, ny, pairs / 2 + 1);
    return pairs % 2 ? high : 0.5 * difference_at(x, nx, y, ny, pairs / 2) + 0.5 * high;
}

/* U1 = pairs with x > y, a tie counting half; *ties = sum of t^3 - t over the groups of equal values. */
static double u_statistic(const double *x, size_t nx, const double *y, size_t ny, double *ties)
{
    double u = 0;
    size_t i = 0, j = 0;
    *ties = 0;
    while (i < nx || j < ny) {
        double value = j >= ny || (i < nx && x[i] <= y[j]) ? x[i] : y[j];
        size_t ti = i, tj = j;
        while (i < nx && x[i] == value)
            i++;
        while (j < ny && y[j] == value)
            j++;
        double in_x = (double)(i - ti), in_y = (double)(j - tj), t = in_x + in_y;
        u += in_x * ((double)tj + 0.5 * in_y);
        *ties += t * (t - 1) * (t + 1);
    }
    return u;
}

int stats_mann_whitney(const double *x, size_t nx, const double *y, size_t ny, struct stats_mann_whitney *out)
{
    *out = (struct stats_mann_whitney){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, false, false};
    double *a = calloc(nx + ny + 1, sizeof *a);
    if (!a)
        return -1;
    size_t na = stats_finite_sorted(x, nx, a);
    double *b = a + na;
    size_t nb = stats_finite_sorted(y, ny, b);
    if (na == 0 || nb == 0) {
        free(a);
        return -1;
    }
    double ties, m = (double)na, n = (double)nb, total = m + n;
    out->u1 = u_statistic(a, na, b, nb, &ties);
    out->u2 = m * n - out->u1;
    out->a12 = out->u1 / (m * n);
    out->hodges_lehmann = hodges_lehmann(a, na, b, nb);
    out->has_ties = ties > 0;
    double variance = m * n / 12 * ((total + 1) - ties / (total * (total - 1)));
    double distance = fabs(out->u1 - m * n / 2);
    if (variance > 0) {
        out->p_normal_uncorrected = stats_normal_two_sided(distance / sqrt(variance));
        out->p_normal = fmin(1, stats_normal_two_sided(fmax(distance - 0.5, 0) / sqrt(variance)));
    }
    if (!out->has_ties && na <= EXACT_PAIRS / nb)
        out->p_exact = exact_p(out->u1, na, nb);
    out->is_exact = !isnan(out->p_exact);
    out->p = out->is_exact ? out->p_exact : out->p_normal;
    free(a);
    return 0;
}
