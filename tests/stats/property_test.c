#include "stats/stats.h"
#include "tests/stats/random.h"
#include "tests/test.h"

#include <stdbool.h>

enum { MOST = 60 };

struct pair {
    size_t nx, ny;
    double x[MOST], y[MOST];
};

static struct pair random_pair(void)
{
    struct pair p = {.nx = 2 + (size_t)(random_uniform() * 50), .ny = 2 + (size_t)(random_uniform() * 50)};
    double sd_x = exp(4 * random_normal() - 5), sd_y = exp(4 * random_normal() - 5);
    for (size_t i = 0; i < p.nx; i++)
        p.x[i] = 20 + sd_x * random_normal();
    for (size_t i = 0; i < p.ny; i++)
        p.y[i] = 21 + sd_y * random_normal();
    return p;
}

static void mapped(const struct pair *p, double scale, double shift, struct pair *out)
{
    *out = *p;
    for (size_t i = 0; i < p->nx; i++)
        out->x[i] = scale * p->x[i] + shift;
    for (size_t i = 0; i < p->ny; i++)
        out->y[i] = scale * p->y[i] + shift;
}

TEST(welch_degrees_of_freedom_stay_within_their_bounds)
{
    stats_init();
    random_state = 18;
    for (int i = 0; i < 20000; i++) {
        struct pair p = random_pair();
        struct stats_welch w;
        CHECK_INT(stats_welch(p.x, p.nx, p.y, p.ny, NAN, &w), 0);
        double least = (double)(p.nx < p.ny ? p.nx : p.ny) - 1, most = (double)(p.nx + p.ny) - 2;
        CHECK(w.df >= least && w.df <= most);
        CHECK(w.p >= 0 && w.p <= 1);
    }
}

TEST(scaling_scales_means_and_intervals_and_nothing_else)
{
    random_state = 19;
    for (int i = 0; i < 60; i++) {
        struct pair p = random_pair(), q;
        for (double c = 1e-9; c < 2e9; c *= 10) {
            mapped(&p, c, 0, &q);
            struct stats_welch a, b;
            struct stats_effect ea, eb;
            struct stats_ratio ra, rb;
            struct stats_summary sa, sb;
            double scratch[MOST];
            stats_welch(p.x, p.nx, p.y, p.ny, 0.95, &a), stats_welch(q.x, q.nx, q.y, q.ny, 0.95, &b);
            stats_effect(p.x, p.nx, p.y, p.ny, &ea), stats_effect(q.x, q.nx, q.y, q.ny, &eb);
            stats_ratio(p.x, p.nx, p.y, p.ny, 0.95, &ra), stats_ratio(q.x, q.nx, q.y, q.ny, 0.95, &rb);
            stats_describe(p.x, p.nx, 0.95, scratch, &sa), stats_describe(q.x, q.nx, 0.95, scratch, &sb);
            /* Scaling by a power of ten rounds every value: what is left of the digits is eps x mean / sd. */
            double spread = fmin(sa.std / sa.mean, stats_std(p.y, p.ny) / 21);
            double loss = 1e-14 + 4e-15 / spread;
            CHECK_CLOSE(b.t, a.t, loss + 4e-15 * 20 / fabs(a.difference));
            CHECK_CLOSE(b.df, a.df, 10 * loss);
            CHECK_CLOSE(eb.cohens_d, ea.cohens_d, loss + 4e-15 * 20 / fabs(a.difference));
            CHECK_CLOSE(rb.ratio, ra.ratio, 1e-14);
            CHECK_CLOSE(sb.cv, sa.cv, loss);
            CHECK_CLOSE(sb.mean, c * sa.mean, 1e-15);
            CHECK_CLOSE(sb.std, c * sa.std, loss);
            CHECK_CLOSE(sb.ci.low, c * sa.ci.low, 1e-13);
            CHECK_CLOSE(sb.p95, c * sa.p95, 1e-14);
        }
        mapped(&p, 0x1p30, 0, &q); /* exact: every digit must stay */
        struct stats_welch a, b;
        stats_welch(p.x, p.nx, p.y, p.ny, 0.95, &a), stats_welch(q.x, q.nx, q.y, q.ny, 0.95, &b);
        CHECK(a.t == b.t && a.df == b.df && a.p == b.p && b.ci.low == 0x1p30 * a.ci.low);
    }
}

TEST(magnitudes_near_the_ends_of_the_range_change_nothing)
{
    random_state = 24;
    for (int i = 0; i < 50; i++) {
        struct pair p = random_pair(), q;
        for (int power = -960; power <= 960; power += 240) {
            double c = ldexp(1, power);
            mapped(&p, c, 0, &q);
            struct stats_welch a, b;
            struct stats_effect_ci ea, eb;
            struct stats_ratio ra, rb;
            struct stats_drift da, db;
            struct stats_mser ma, mb;
            stats_welch(p.x, p.nx, p.y, p.ny, 0.95, &a), stats_welch(q.x, q.nx, q.y, q.ny, 0.95, &b);
            stats_effect_ci(p.x, p.nx, p.y, p.ny, 0.95, &ea),
                stats_effect_ci(q.x, q.nx, q.y, q.ny, 0.95, &eb);
            stats_ratio(p.x, p.nx, p.y, p.ny, 0.95, &ra), stats_ratio(q.x, q.nx, q.y, q.ny, 0.95, &rb);
            stats_drift(p.x, p.nx, 0.95, &da), stats_drift(q.x, q.nx, 0.95, &db);
            stats_mser5_search(p.x, p.nx, &ma), stats_mser5_search(q.x, q.nx, &mb);
            CHECK_CLOSE(b.t, a.t, 1e-13);
            CHECK_CLOSE(b.df, a.df, 1e-13);
            CHECK_CLOSE(b.ci.low, c * a.ci.low, 1e-12);
            CHECK_CLOSE(eb.d_average, ea.d_average, 1e-13);
            CHECK_CLOSE(eb.bonett_error, ea.bonett_error, 1e-13);
            CHECK_CLOSE(rb.fieller_g, ra.fieller_g, 1e-12);
            CHECK_CLOSE(rb.log_delta.high, ra.log_delta.high, 1e-12);
            CHECK_CLOSE(db.p, da.p, 1e-10);
            CHECK_CLOSE(db.slope, c * da.slope, 1e-10);
            CHECK_INT(mb.drop, ma.drop);
            CHECK_CLOSE(stats_autocorrelation(q.x, q.nx, 1), stats_autocorrelation(p.x, p.nx, 1), 1e-11);
            CHECK_CLOSE(stats_skewness(q.x, q.nx), stats_skewness(p.x, p.nx), 1e-10);
        }
    }
    const double far[] = {1e308, 1.1e308}, low[] = {-1e308, -1.1e308};
    struct stats_welch w;
    stats_welch(far, 2, low, 2, 0.95, &w);
    CHECK(isnan(w.difference) && isnan(w.p)); /* no double holds the difference: refused, not 0 */
}

TEST(the_correction_for_dependence_is_the_published_formula)
{
    static const double x[] = {5, 6, 7, 6, 5, 4, 5, 6, 7, 8, 7, 6, 5, 6, 5, 4, 5, 6, 5, 6,
                               7, 6, 7, 6, 5, 4, 5, 4, 5, 6, 5, 4, 5, 6, 5, 4, 3, 4, 5, 6};
    struct stats_correlated c;
    CHECK_INT(stats_correlated(x, 40, 0.95, &c), 0);
    double r1 = stats_autocorrelation(x, 40, 1), r = r1 + (1 + 3 * r1) / 40, n_eff = 40 * (1 - r) / (1 + r);
    double std = stats_std(x, 40) / sqrt(1 - (40 / n_eff - 1) / 39);
    double half = stats_t_quantile(0.975, n_eff - 1) * std / sqrt(n_eff);
    CHECK(r > 0.4 && r < 0.8);
    CHECK_CLOSE(c.lag1, r1, 0);
    CHECK_CLOSE(c.r, r, 1e-15);
    CHECK_CLOSE(c.n_eff, n_eff, 1e-14);
    CHECK_CLOSE(c.std, std, 1e-14);
    CHECK_CLOSE(c.ci.low, stats_mean(x, 40) - half, 1e-13);
    CHECK_CLOSE(c.ci.high, stats_mean(x, 40) + half, 1e-13);
    CHECK(!c.too_correlated);
    const double alternating[] = {1, 2, 1, 2, 1, 2.1, 1, 2, 1, 2};
    stats_correlated(alternating, 10, 0.95, &c);
    CHECK(c.lag1 < -0.8 && c.r == 0 && c.n_eff == 10); /* never more than n */
}

TEST(swapping_negates_t_and_shifting_or_permuting_changes_nothing)
{
    random_state = 20;
    for (int i = 0; i < 300; i++) {
        struct pair p = random_pair(), q;
        struct stats_welch a, b;
        stats_welch(p.x, p.nx, p.y, p.ny, 0.95, &a);
        stats_welch(p.y, p.ny, p.x, p.nx, 0.95, &b);
        CHECK(b.t == -a.t && b.p == a.p && b.difference == -a.difference);
        CHECK(b.ci.low == -a.ci.high && b.ci.high == -a.ci.low);
        q = p;
        for (size_t j = 0; j < p.nx; j++)
            q.x[j] = p.x[p.nx - 1 - j];
        for (size_t j = 1; j < p.ny; j += 2)
            q.y[j] = p.y[j - 1], q.y[j - 1] = p.y[j];
        stats_welch(q.x, q.nx, q.y, q.ny, 0.95, &b);
        CHECK_CLOSE(b.t, a.t, 1e-13);
        CHECK_CLOSE(b.df, a.df, 1e-13);
        CHECK_CLOSE(b.p, a.p, 1e-12);
        for (size_t j = 0; j < p.nx; j++) /* multiples of 1/1024: shifting them is exact */
            p.x[j] = round(p.x[j] * 1024) / 1024 + (double)j / 1024;
        for (size_t j = 0; j < p.ny; j++)
            p.y[j] = round(p.y[j] * 1024) / 1024 + (double)j / 1024;
        mapped(&p, 1, 1048576, &q);
        stats_welch(p.x, p.nx, p.y, p.ny, 0.95, &a);
        stats_welch(q.x, q.nx, q.y, q.ny, 0.95, &b);
        CHECK_CLOSE(b.t, a.t, 1e-12);
        CHECK_CLOSE(b.p, a.p, 1e-11);
    }
}

TEST(ranks_agree_with_counting_every_pair)
{
    random_state = 21;
    for (int i = 0; i < 200; i++) {
        struct pair p = random_pair();
        for (size_t j = 0; j < p.nx && i % 2; j++)
            p.x[j] = round(p.x[j]);
        for (size_t j = 0; j < p.ny && i % 2; j++)
            p.y[j] = round(p.y[j]);
        double wins = 0;
        size_t below = 0, above = 0;
        struct stats_mann_whitney r, swapped;
        stats_mann_whitney(p.x, p.nx, p.y, p.ny, &r);
        stats_mann_whitney(p.y, p.ny, p.x, p.nx, &swapped);
        for (size_t a = 0; a < p.nx; a++) {
            for (size_t b = 0; b < p.ny; b++) {
                wins += p.x[a] > p.y[b] ? 1 : p.x[a] == p.y[b] ? 0.5 : 0;
                below += p.x[a] - p.y[b] <= r.hodges_lehmann;
                above += p.x[a] - p.y[b] >= r.hodges_lehmann;
            }
        }
        CHECK(r.u1 == wins && swapped.u1 == r.u2);
        CHECK_CLOSE(swapped.p, r.p, 1e-13);
        CHECK(2 * below >= p.nx * p.ny && 2 * above >= p.nx * p.ny); /* a median of the differences */
    }
}

TEST(the_exact_rank_test_of_small_samples_is_counted_by_hand)
{
    const double x[] = {1, 2, 4}, y[] = {3, 5, 6, 7};
    struct stats_mann_whitney r;
    stats_mann_whitney(x, 3, y, 4, &r);
    /* 35 orders; U1 = 1 is reached or undercut by 2 of them. */
    CHECK(r.u1 == 1);
    CHECK_CLOSE(r.p_exact, 4.0 / 35, 1e-15);
    CHECK_CLOSE(r.p, r.p_exact, 0);
}

TEST(a_pair_of_streams_merges_into_the_whole)
{
    random_state = 22;
    struct stats_running a = {0}, b = {0}, whole = {0}, empty = {0};
    for (int i = 0; i < 5000; i++) {
        double x = i % 1000 == 7 ? NAN : 1e6 + random_normal();
        stats_running_add(i < 1234 ? &a : &b, x);
        stats_running_add(&whole, x);
    }
    stats_running_merge(&a, &b);
    stats_running_merge(&a, &empty);
    CHECK_INT(a.n, whole.n);
    CHECK_INT(a.rejected, 5);
    CHECK_CLOSE(a.mean, whole.mean, 1e-14);
    CHECK_CLOSE(stats_running_std(&a), stats_running_std(&whole), 1e-9);
    CHECK(a.min == whole.min && a.max == whole.max);
    stats_running_merge(&empty, &a);
    CHECK(empty.n == a.n && empty.mean == a.mean && empty.rejected == 5);
    struct stats_running one = {0};
    stats_running_add(&one, 3);
    CHECK(isnan(stats_running_std(&one)) && one.min == 3 && one.max == 3);
}

TEST(autocorrelation_by_transform_equals_the_sum_over_pairs)
{
    static double x[6000];
    random_state = 23;
    double level = 0, sum = 0;
    for (int i = 0; i < 6000; i++)
        x[i] = 100 + (level = 0.8 * level + random_normal());
    for (int lag = 0; lag < 5998; lag += 2) {
        double pair = stats_autocorrelation(x, 6000, lag) + stats_autocorrelation(x, 6000, lag + 1);
        if (!(pair > 0))
            break;
        sum += pair;
    }
    CHECK_CLOSE(stats_geyer_tau(x, 6000), 2 * sum - 1, 1e-10);
    CHECK(sum > 3 && sum < 8); /* 1 / (1 - 0.8) = 5 */
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

TEST(many_values_are_sorted_like_few_whatever_their_signs_and_sizes)
{
    enum { N = 5000 };
    double *x = malloc(3 * N * sizeof *x), *sorted = x + N, *want = x + 2 * (size_t)N;
    size_t kept = 0;
    random_state = 77;
    for (size_t i = 0; i < N; i++) {
        x[i] = ldexp(random_normal(), (int)(random_uniform() * 200) - 100);
        if (i % 50 == 0)
            x[i] = (double[]){0, -0.0, 5e-324, -5e-324, 1e308, -1e308, NAN, INFINITY}[i / 50 % 8];
        if (i % 7 == 0 && i > 0)
            x[i] = x[i - 1];
        if (isfinite(x[i]))
            want[kept++] = x[i];
    }
    struct stats_summary out;
    stats_describe(x, N, 0.95, sorted, &out);
    CHECK_INT(out.n, (int64_t)kept);
    qsort(want, kept, sizeof *want, by_value);
    int wrong = 0;
    for (size_t i = 0; i < kept; i++)
        wrong += sorted[i] != want[i];
    CHECK_INT(wrong, 0);
    free(x);
}

TEST(the_mad_is_the_median_of_the_deviations_for_every_split)
{
    double x[41], d[41];
    random_state = 78;
    for (size_t n = 1; n <= 41; n++)
        for (int r = 0; r < 20; r++) {
            for (size_t i = 0; i < n; i++)
                x[i] = r % 3 ? random_normal() : floor(4 * random_uniform()); /* with ties */
            qsort(x, n, sizeof *x, by_value);
            double median = stats_quantile(x, n, 0.5);
            for (size_t i = 0; i < n; i++)
                d[i] = fabs(x[i] - median);
            qsort(d, n, sizeof *d, by_value);
            double want = stats_quantile(d, n, 0.5);
            CHECK(fabs(stats_mad(x, n) - want) <= 1e-14 * (1 + want));
        }
}
