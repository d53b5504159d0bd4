#include "stats/stats.h"
#include "tests/stats/random.h"
#include "tests/test.h"

static void warm_up(double *x, size_t n, double excess, double constant)
{
    for (size_t i = 0; i < n; i++)
        x[i] = 20 * (1 + excess * exp(-(double)i / constant)) + random_normal();
}

TEST(a_step_is_cut_at_the_batch_where_it_ends)
{
    double x[100];
    bool steady = false;
    random_state = 1;
    random_normals(x, 35, 30, 0.5);
    random_normals(x + 35, 65, 20, 0.5);
    CHECK_INT(stats_mser5(x, 100, &steady), 35);
    CHECK(steady);
}

TEST(rejected_values_fill_no_batch_and_are_dropped_with_their_neighbors)
{
    double x[103];
    bool steady = false;
    random_state = 2;
    random_normals(x, 38, 30, 0.5);
    random_normals(x + 38, 65, 20, 0.5);
    x[0] = x[7] = NAN;
    x[20] = INFINITY;
    CHECK_INT(stats_mser5(x, 103, &steady), 38);
    CHECK(steady);
}

TEST(a_constant_series_is_steady_from_the_start)
{
    double x[40];
    bool steady = false;
    for (int i = 0; i < 40; i++)
        x[i] = 0.1;
    CHECK_INT(stats_mser5(x, 40, &steady), 0);
    CHECK(steady && stats_is_level(x, 40, 0.95));
}

TEST(too_few_values_are_never_called_steady)
{
    double x[9] = {1, 2, 1, 2, 1, 2, 1, 2, 1};
    bool steady = true;
    CHECK_INT(stats_mser5(x, 9, &steady), 0);
    CHECK(!steady);
    CHECK(!stats_is_level(x, 2, 0.95) && !stats_is_level(NULL, 0, 0.95));
}

TEST(dropping_what_mser_says_restores_the_coverage_of_the_mean)
{
    enum { REPLICATES = 4000, N = 60 };
    double x[N];
    int hits = 0, naive = 0;
    stats_init();
    random_state = 3;
    for (int r = 0; r < REPLICATES; r++) {
        bool steady;
        warm_up(x, N, 0.5, 5);
        size_t drop = stats_mser5(x, N, &steady), n = N - drop;
        struct stats_interval i = stats_mean_ci(stats_mean(x + drop, n), stats_std(x + drop, n), n, 0.95);
        hits += i.low <= 20 && 20 <= i.high;
        i = stats_mean_ci(stats_mean(x, N), stats_std(x, N), N, 0.95);
        naive += i.low <= 20 && 20 <= i.high;
    }
    CHECK((double)hits / REPLICATES > 0.88);
    CHECK((double)naive / REPLICATES < 0.3);
}

TEST(noise_is_called_level_at_its_rate_and_a_trend_is_not)
{
    enum { REPLICATES = 8000, N = 20 };
    double x[N];
    int level = 0, trend = 0;
    random_state = 4;
    for (int r = 0; r < REPLICATES; r++) {
        random_normals(x, N, 20, 1);
        level += stats_is_level(x, N, 0.95);
        for (int i = 0; i < N; i++)
            x[i] += 0.25 * i;
        trend += stats_is_level(x, N, 0.95);
    }
    double rate = (double)level / REPLICATES;
    CHECK(rate > 0.937 && rate < 0.963);
    CHECK(trend < REPLICATES / 100);
}

TEST(the_slope_of_known_points_and_its_interval_are_those_of_the_textbook)
{
    const double x[] = {2, 4, 5, 4, 5};
    struct stats_drift d;
    CHECK_INT(stats_drift(x, 5, 0.95, &d), 0);
    /* Sxx 10, Sxy 6, residual sum of squares 2.4: error sqrt(0.8 / 10), 3 degrees of freedom. */
    CHECK_CLOSE(d.slope, 0.6, 1e-15);
    CHECK_CLOSE(d.t, 0.6 / sqrt(0.08), 1e-14);
    CHECK_CLOSE(d.p, 0.12402706265755445, 1e-12);
    CHECK_CLOSE(d.ci.high - d.slope, 3.1824463052837078 * sqrt(0.08), 1e-13);
    CHECK_CLOSE(d.slope - d.ci.low, d.ci.high - d.slope, 1e-13);
}

TEST(a_perfect_line_has_a_slope_and_no_test)
{
    const double x[] = {1, 2, 3, 4, 5, 6};
    struct stats_drift d;
    CHECK_INT(stats_drift(x, 6, 0.95, &d), 0);
    CHECK_CLOSE(d.slope, 1, 1e-14);
    CHECK(isnan(d.p) && isnan(d.ci.low));
    CHECK(!stats_is_level(x, 6, 0.95));
    CHECK_INT(stats_drift(x, 2, 0.95, &d), -1);
    CHECK(isnan(d.slope));
}
