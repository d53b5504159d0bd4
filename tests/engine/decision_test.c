#include "engine/decision.h"
#include "engine/random.h"
#include "tests/test.h"

#include <math.h>

static void normals(double *x, int n, double mean, double std, uint64_t seed)
{
    struct random g = random_of(seed, 0, 0);
    for (int i = 0; i < n; i++)
        x[i] = mean + std * random_normal(&g);
}

TEST(independent_rounds_are_judged_by_student)
{
    double x[12];
    struct decision d;
    normals(x, 12, 0.1, 0.02, 3);
    CHECK_INT(decision_of(x, 12, 12, 0.95, false, &d), 0);
    struct stats_interval t = stats_mean_ci(stats_mean(x, 12), stats_std(x, 12), 12, 0.95);
    CHECK(!d.correlated);
    CHECK_CLOSE(d.ci.low, t.low, 1e-12);
    CHECK_CLOSE(d.ci.high, t.high, 1e-12);
    CHECK_INT((int)d.n, 12);
    CHECK(d.n_eff == 12 && d.p < 1e-4);
    CHECK(d.sequence.ci.low < t.low && d.sequence.ci.high > t.high);
}

TEST(a_watched_decision_stands_on_the_sequence)
{
    double x[12];
    struct decision d;
    normals(x, 12, 0.1, 0.02, 3);
    CHECK_INT(decision_of(x, 12, 12, 0.95, true, &d), 0);
    CHECK(d.watched && d.ci.low == d.sequence.ci.low && d.p == d.sequence.p);
    CHECK(decision_is_made(&d, 0));
}

TEST(rounds_that_depend_on_each_other_count_for_fewer)
{
    double x[80], level = 0;
    struct random g = random_of(1, 2, 3);
    struct decision d;
    for (int i = 0; i < 80; i++)
        x[i] = level = 0.6 * level + 0.01 * random_normal(&g);
    CHECK_INT(decision_of(x, 80, 80, 0.95, false, &d), 0);
    struct stats_interval naive = stats_mean_ci(stats_mean(x, 80), stats_std(x, 80), 80, 0.95);
    CHECK(d.correlated && d.n_eff < 40 && d.lag1 > 0.3);
    if (!(d.ci.high - d.ci.low > 1.15 * (naive.high - naive.low)))
        TEST_FAIL("%g against %g, n_eff %g, lag1 %g", d.ci.high - d.ci.low, naive.high - naive.low, d.n_eff,
                  d.lag1);
}

TEST(a_trend_of_ten_rounds_leaves_no_interval_and_claims_nothing)
{
    double x[10];
    struct decision d;
    for (int i = 0; i < 10; i++)
        x[i] = 0.1 + 0.01 * i;
    CHECK_INT(decision_of(x, 10, 10, 0.95, false, &d), 0);
    CHECK(d.correlated && isnan(d.ci.low) && d.p == 1);
    CHECK(!decision_is_made(&d, 0.5));
}

TEST(chance_alone_rarely_calls_rounds_dependent)
{
    double x[15];
    int called = 0;
    for (int i = 0; i < 2000; i++) {
        struct decision d;
        normals(x, 15, 0, 1, (uint64_t)i);
        decision_of(x, 15, 15, 0.95, false, &d);
        called += d.correlated;
    }
    CHECK(called < 50); /* 1 % of 2000 is 20, s.d. 4.5 */
}

TEST(a_decision_is_beyond_one_or_inside_the_margin)
{
    struct decision d = {.ci = {0.001, 0.03}};
    CHECK(decision_is_made(&d, 0.01));
    d.ci = (struct stats_interval){-0.02, 0.02};
    CHECK(!decision_is_made(&d, 0.01));
    d.ci = (struct stats_interval){-0.009, 0.009};
    CHECK(decision_is_made(&d, 0.01) && !decision_is_made(&d, 0));
    d.ci = (struct stats_interval){-INFINITY, INFINITY};
    CHECK(!decision_is_made(&d, 0.01));
    CHECK_INT(decision_of(NULL, 0, 0, 0.95, false, &d), -1);
    CHECK(isnan(d.p) && isnan(d.ci.low));
}

TEST(rounds_beyond_the_planned_ones_add_no_degrees_of_freedom)
{
    double x[30];
    struct decision all, some;
    normals(x, 30, 0, 0.02, 9);
    CHECK_INT(decision_of(x, 30, 30, 0.95, false, &all), 0);
    CHECK_INT(decision_of(x, 30, 10, 0.95, false, &some), 0);
    double ratio = (some.ci.high - some.ci.low) / (all.ci.high - all.ci.low);
    CHECK_CLOSE(ratio, stats_t_quantile(0.975, 9) / stats_t_quantile(0.975, 29), 1e-9);
    CHECK(some.p > all.p);
    CHECK_INT(decision_of(x, 30, 0, 0.95, false, &some), 0); /* never fewer than DECISION_LEAST */
    CHECK_CLOSE((some.ci.high - some.ci.low) / (all.ci.high - all.ci.low),
                stats_t_quantile(0.975, 4) / stats_t_quantile(0.975, 29), 1e-9);
}
