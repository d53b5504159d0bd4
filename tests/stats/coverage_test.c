/* Error rates by simulation with fixed seeds: what the intervals promise is what they keep. The bounds lie at
 * least five standard errors from the true rate, and every one of them excludes the naive method's rate. */
#include "stats/stats.h"
#include "tests/stats/random.h"
#include "tests/test.h"

#include <stdbool.h>

/* First-order autoregression around 50, from its stationary distribution. */
static void autoregression(double *x, size_t n, double rho)
{
    double level = random_normal() / sqrt(1 - rho * rho);
    for (size_t i = 0; i < n; i++) {
        x[i] = 50 + level;
        level = rho * level + random_normal();
    }
}

static bool covers(struct stats_interval i, double truth)
{
    return i.low <= truth && truth <= i.high;
}

static void check_rate(const char *what, int hits, int replicates, double low, double high)
{
    double rate = (double)hits / replicates;
    if (!(rate >= low && rate <= high))
        TEST_FAIL("%s: %.4f is outside %.4f to %.4f", what, rate, low, high);
}

TEST(the_t_interval_of_ten_normal_values_covers_the_mean)
{
    enum { REPLICATES = 20000, N = 10 };
    double x[N];
    int hits = 0;
    stats_init();
    random_state = 1;
    for (int r = 0; r < REPLICATES; r++) {
        random_normals(x, N, 20, 1);
        hits += covers(stats_mean_ci(stats_mean(x, N), stats_std(x, N), N, 0.95), 20);
    }
    check_rate("t, n = 10", hits, REPLICATES, 0.942, 0.958); /* with normal quantiles: 0.918 */
}

TEST(the_corrected_interval_covers_where_neighbors_depend)
{
    enum { REPLICATES = 10000, N = 100 };
    double x[N];
    int hits = 0, naive = 0, refused = 0;
    random_state = 2;
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_correlated c;
        autoregression(x, N, 0.5);
        stats_correlated(x, N, 0.95, &c);
        hits += covers(c.ci, 50);
        refused += c.too_correlated;
        naive += covers(stats_mean_ci(stats_mean(x, N), stats_std(x, N), N, 0.95), 50);
    }
    CHECK_INT(refused, 0);
    check_rate("corrected, rho 0.5, n = 100", hits, REPLICATES, 0.932, 0.956);
    check_rate("naive, rho 0.5, n = 100", naive, REPLICATES, 0.71, 0.77); /* what the correction is for */
}

TEST(the_corrected_interval_costs_little_where_nothing_depends)
{
    enum { REPLICATES = 4000, N = 30 };
    double x[N];
    int hits = 0;
    random_state = 3;
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_correlated c;
        random_normals(x, N, 50, 1);
        stats_correlated(x, N, 0.95, &c);
        hits += covers(c.ci, 50);
    }
    check_rate("corrected, iid, n = 30", hits, REPLICATES, 0.945, 0.980);
}

TEST(welch_keeps_its_level_where_variances_differ)
{
    enum { REPLICATES = 20000, NX = 30, NY = 10 };
    double x[NX], y[NY];
    int alarms = 0, pooled_alarms = 0;
    random_state = 4;
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_welch w;
        struct stats_pooled p;
        random_normals(x, NX, 20, 1);
        random_normals(y, NY, 20, 4);
        stats_welch(x, NX, y, NY, NAN, &w);
        stats_pooled(x, NX, y, NY, &p);
        alarms += w.p < 0.05;
        pooled_alarms += p.p < 0.05;
    }
    check_rate("Welch, sd 1 and 4", alarms, REPLICATES, 0.043, 0.061);
    check_rate("pooled, sd 1 and 4", pooled_alarms, REPLICATES, 0.21, 0.27);
}

TEST(the_corrected_welch_raises_few_false_alarms_where_neighbors_depend)
{
    enum { REPLICATES = 4000, N = 100 };
    double x[N], y[N];
    int alarms = 0, naive = 0;
    random_state = 5;
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_welch w;
        autoregression(x, N, 0.5);
        autoregression(y, N, 0.5);
        stats_welch_correlated(x, N, y, N, NAN, &w);
        alarms += w.p < 0.05;
        stats_welch(x, N, y, N, NAN, &w);
        naive += w.p < 0.05;
    }
    check_rate("corrected Welch, rho 0.5", alarms, REPLICATES, 0.030, 0.070);
    check_rate("naive Welch, rho 0.5", naive, REPLICATES, 0.21, 0.30);
}

TEST(both_ratio_intervals_cover_the_ratio)
{
    enum { REPLICATES = 8000, NX = 12, NY = 8 };
    double x[NX], y[NY];
    int fieller = 0, log_delta = 0, bonett = 0, noncentral = 0;
    random_state = 6;
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_ratio q;
        random_normals(x, NX, 20, 2);
        random_normals(y, NY, 30, 4);
        stats_ratio(x, NX, y, NY, 0.95, &q);
        fieller += covers(q.fieller, 1.5);
        log_delta += covers(q.log_delta, 1.5);
    }
    check_rate("Fieller", fieller, REPLICATES, 0.935, 0.962);
    check_rate("log-delta", log_delta, REPLICATES, 0.935, 0.962);
    for (int r = 0; r < REPLICATES / 8; r++) {
        struct stats_effect_ci c;
        random_normals(x, NX, 21, 1);
        random_normals(y, NY, 20, 1);
        stats_effect_ci(x, NX, y, NY, 0.95, &c);
        noncentral += covers(c.noncentral_t, 1);
        bonett += covers(c.bonett, 1);
    }
    check_rate("noncentral t", noncentral, REPLICATES / 8, 0.915, 0.985);
    check_rate("Bonett", bonett, REPLICATES / 8, 0.915, 0.99);
}

TEST(order_statistics_cover_the_quantile_of_any_distribution)
{
    enum { REPLICATES = 10000, N = 100 };
    double x[N], scratch[N];
    int median = 0, p95 = 0;
    random_state = 7;
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_summary s;
        for (int i = 0; i < N; i++)
            x[i] = exp(random_normal());
        stats_describe(x, N, NAN, scratch, &s);
        median += covers(stats_quantile_ci(scratch, N, 0.5, 0.95), 1);
        p95 += covers(stats_quantile_ci(scratch, N, 0.95, 0.95), exp(1.6448536269514722));
    }
    double exact_median = stats_quantile_order(NULL, N, 0.5, 0.95).coverage;
    double exact_p95 = stats_quantile_order(NULL, N, 0.95, 0.95).coverage;
    CHECK(exact_median >= 0.95 && exact_p95 >= 0.95);
    check_rate("median", median, REPLICATES, exact_median - 0.011, exact_median + 0.011);
    check_rate("p95", p95, REPLICATES, exact_p95 - 0.009, exact_p95 + 0.009);
}

TEST(equivalence_is_claimed_at_most_at_its_level_and_often_when_true)
{
    enum { REPLICATES = 4000, N = 30 };
    double x[N], y[N];
    int wrong = 0, right = 0;
    random_state = 8;
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_tost t;
        random_normals(x, N, 100, 1);
        random_normals(y, N, 101, 1); /* exactly at the margin */
        stats_tost(x, N, y, N, 1, 0.05, &t);
        wrong += t.p <= 0.05;
        random_normals(y, N, 100, 1);
        stats_tost(x, N, y, N, 1, 0.05, &t);
        right += t.verdict == STATS_VERDICT_EQUIVALENT || t.verdict == STATS_VERDICT_DIFFERENT_WITHIN_MARGIN;
    }
    check_rate("TOST at the margin", wrong, REPLICATES, 0.03, 0.07);
    check_rate("TOST of equals", right, REPLICATES, 0.95, 1);
}

TEST(a_planned_sample_reaches_its_power)
{
    enum { REPLICATES = 4000 };
    double x[64], y[64];
    int found = 0;
    random_state = 9;
    size_t n = (size_t)stats_plan_per_arm(0.02, 0.01, 0.8, 0.05);
    CHECK_INT(n, 64);
    for (int r = 0; n == 64 && r < REPLICATES; r++) {
        struct stats_welch w;
        random_normals(x, n, 100, 2);
        random_normals(y, n, 101, 2);
        stats_welch(x, n, y, n, NAN, &w);
        found += w.p < 0.05;
    }
    check_rate("power", found, REPLICATES, 0.765, 0.835);
    CHECK_CLOSE(stats_power(64, 0.5, 0.05), 0.801, 0.002);
}

TEST(holm_keeps_the_family_and_benjamini_hochberg_the_discoveries)
{
    enum { REPLICATES = 10000, CELLS = 20 };
    double p[CELLS], adjusted[CELLS];
    int naive = 0, holm = 0;
    random_state = 10;
    for (int r = 0; r < REPLICATES; r++) {
        bool any = false, any_holm = false;
        for (int i = 0; i < CELLS; i++)
            p[i] = random_uniform();
        stats_holm(p, CELLS, adjusted);
        for (int i = 0; i < CELLS; i++) {
            any |= p[i] < 0.05;
            any_holm |= adjusted[i] < 0.05;
        }
        naive += any;
        holm += any_holm;
    }
    check_rate("any alarm", naive, REPLICATES, 0.61, 0.67);
    check_rate("Holm", holm, REPLICATES, 0.038, 0.060);
}
