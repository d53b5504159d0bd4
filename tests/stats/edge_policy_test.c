#include "stats/stats.h"
#include "tests/stats/oracle.h"

static struct stats_summary describe(const double *x, size_t n)
{
    double scratch[1024];
    struct stats_summary s;
    stats_describe(x, n, 0.95, scratch, &s);
    return s;
}

static bool is_none(struct stats_interval i)
{
    return isnan(i.low) && isnan(i.high);
}

static void no_values(void)
{
    struct stats_summary s = describe(NULL, 0);
    struct stats_welch w;
    const double one[] = {1, 2};
    CHECK_INT(s.n, 0);
    CHECK(isnan(s.mean) && isnan(s.std) && isnan(s.median) && isnan(s.p99) && isnan(s.min) && isnan(s.mad) &&
          isnan(s.cv) && isnan(s.lag1) && is_none(s.ci));
    CHECK_INT(stats_welch(NULL, 0, one, 2, 0.95, &w), -1);
    CHECK(isnan(w.difference) && isnan(w.p));
}

static void one_value(void)
{
    const double x[] = {42}, y[] = {1, 2};
    struct stats_summary s = describe(x, 1);
    struct stats_welch w;
    CHECK(s.n == 1 && s.mean == 42 && s.median == 42 && s.p90 == 42 && s.p99 == 42);
    CHECK(isnan(s.std) && isnan(s.cv) && is_none(s.ci));
    CHECK_INT(stats_welch(x, 1, y, 2, 0.95, &w), -1);
    CHECK(isnan(w.p) && isnan(w.t) && is_none(w.ci) && w.difference == 40.5);
}

static void constant_and_equal(void)
{
    const double x[] = {7, 7, 7};
    struct stats_welch w;
    struct stats_effect e;
    struct stats_tost t;
    struct stats_mann_whitney r;
    CHECK_INT(stats_welch(x, 3, x, 3, 0.95, &w), 0);
    stats_effect(x, 3, x, 3, &e);
    CHECK(w.difference == 0 && isnan(w.t) && isnan(w.p) && is_none(w.ci));
    CHECK(isnan(e.cohens_d) && isnan(e.hedges_g));
    CHECK_INT(stats_tost(x, 3, x, 3, 1, 0.05, &t), -1);
    CHECK_INT(t.verdict, STATS_VERDICT_UNDEFINED);
    CHECK_INT(stats_mann_whitney(x, 3, x, 3, &r), 0);
    CHECK(r.u1 == 4.5 && isnan(r.p));
}

static void constant_and_different(void)
{
    const double x[] = {7, 7, 7}, y[] = {8, 8, 8};
    struct stats_welch w;
    CHECK_INT(stats_welch(x, 3, y, 3, 0.95, &w), 0);
    CHECK(w.difference == -1 && w.t == -INFINITY && isnan(w.p) && is_none(w.ci));
}

static void one_side_constant(void)
{
    const double x[] = {10, 10, 10, 10}, y[] = {10.02, 10.05, 9.99};
    struct stats_welch w;
    stats_welch(x, 4, y, 3, 0.95, &w);
    CHECK(w.df == 2);
    stats_welch(y, 3, x, 4, 0.95, &w);
    CHECK(w.df == 2);
}

static void rejects(double bad)
{
    const double dirty[] = {3, bad, 1, 2, bad}, clean[] = {3, 1, 2};
    struct stats_summary a = describe(dirty, 5), b = describe(clean, 3);
    struct stats_running r = {0};
    struct stats_welch wa, wb;
    struct stats_mann_whitney ra, rb;
    CHECK_INT(a.n, 3);
    CHECK_INT(a.rejected, 2);
    CHECK(a.mean == b.mean && a.std == b.std && a.median == b.median && a.max == 3 && a.ci.low == b.ci.low);
    for (int i = 0; i < 5; i++)
        stats_running_add(&r, dirty[i]);
    CHECK(r.n == 3 && r.rejected == 2 && r.mean == 2 && r.max == 3);
    const double other[] = {5, 6, 8};
    stats_welch(dirty, 5, other, 3, 0.95, &wa);
    stats_welch(clean, 3, other, 3, 0.95, &wb);
    CHECK(wa.p == wb.p && !isnan(wa.p));
    stats_mann_whitney(dirty, 5, other, 3, &ra);
    stats_mann_whitney(clean, 3, other, 3, &rb);
    CHECK(ra.p == rb.p && !isnan(ra.p));
    CHECK(isnan(stats_autocorrelation(dirty, 2, 1)));
}

static void not_a_number(void)
{
    rejects(NAN);
}

static void infinite(void)
{
    rejects(INFINITY);
    rejects(-INFINITY);
}

static void clock_faults(void)
{
    CHECK(!stats_is_latency(0) && !stats_is_latency(-1) && !stats_is_latency(NAN) &&
          !stats_is_latency(INFINITY));
    CHECK(stats_is_latency(1e-9));
}

static void mean_not_positive(void)
{
    const double x[] = {-1, 1, -2, 2}, y[] = {3, 4, 5, 6}, wide[] = {-3, 4, 9, -6};
    struct stats_ratio r;
    CHECK(isnan(describe(x, 4).cv));
    CHECK_INT(stats_ratio(x, 4, y, 4, 0.95, &r), -1);
    CHECK(isnan(r.ratio) && is_none(r.fieller) && is_none(r.log_delta));
    CHECK(is_none(stats_ratio_ci(x, 4, y, 4, 0.95)));
    CHECK_INT(stats_ratio(wide, 4, y, 4, 0.95, &r), 0);
    CHECK(r.fieller_g >= 1 && r.fieller.low == -INFINITY && r.fieller.high == INFINITY);
    CHECK(isnan(stats_harmonic_mean(x, 4)) && isnan(stats_geometric_mean(x, 4)));
}

static void two_to_five_values(void)
{
    const double sorted[] = {1, 2, 3, 4, 5}, above[] = {6, 7, 8, 9, 10};
    for (size_t n = 2; n <= 5; n++) {
        struct stats_interval i = stats_quantile_ci(sorted, n, 0.5, 0.95);
        CHECK(i.low == -INFINITY && i.high == INFINITY);
        struct stats_mann_whitney r;
        stats_mann_whitney(sorted, n, above, n, &r);
        CHECK(r.is_exact);
        CHECK_INT(r.p <= 0.05, n >= 4);
    }
}

static void too_few_for_the_tail(void)
{
    static double sorted[3688];
    const struct {
        double p;
        size_t n;
    } least[] = {{0.95, 72}, {0.99, 368}, {0.999, 3688}};
    for (size_t i = 0; i < 3688; i++)
        sorted[i] = (double)i;
    for (int i = 0; i < 3; i++) {
        struct stats_interval below = stats_quantile_ci(sorted, least[i].n - 1, least[i].p, 0.95);
        CHECK(isfinite(below.low) && below.high == INFINITY);
        CHECK(isfinite(stats_quantile_ci(sorted, least[i].n, least[i].p, 0.95).high));
    }
}

static void p99_of_few(void)
{
    double x[30];
    for (int i = 0; i < 30; i++)
        x[i] = i;
    /* An interpolation between the two largest; nothing bounds it from above. */
    double p99 = describe(x, 30).p99;
    CHECK(p99 > 28 && p99 < 29);
    CHECK(stats_quantile_ci(x, 30, 0.99, 0.95).high == INFINITY);
    CHECK(stats_quantile_min_n(0.99, 0.95) > 100);
}

static void too_correlated(void)
{
    double x[50];
    for (int i = 0; i < 50; i++)
        x[i] = 10 + i * 0.1;
    struct stats_correlated c;
    struct stats_welch w;
    CHECK_INT(stats_correlated(x, 50, 0.95, &c), 0);
    CHECK(c.n_eff < STATS_MIN_EFFECTIVE && c.too_correlated && is_none(c.ci));
    CHECK_INT(stats_welch_correlated(x, 50, x, 50, 0.95, &w), -1);
    CHECK(isnan(w.p) && w.difference == 0);
}

static void no_steady_state(void)
{
    double x[60];
    bool steady = true;
    for (int i = 0; i < 60; i++)
        x[i] = 100 - i;
    CHECK_INT(stats_mser5(x, 60, &steady), 30);
    CHECK(!steady);
    CHECK(!stats_is_level(x, 60, 0.95));
}

static void p_below_any_double(void)
{
    double x[200], y[200];
    struct stats_welch w;
    for (int i = 0; i < 200; i++) {
        x[i] = 1 + 1e-5 * sin(i);
        y[i] = 2 + 1e-5 * cos(i);
    }
    stats_welch(x, 200, y, 200, 0.95, &w);
    CHECK(w.p == 0);
    CHECK(w.log10_p < -300 && w.log10_p > -3000);
}

static void million_with_a_large_mean(void)
{
    enum { N = 1000000 };
    double *x = malloc(N * sizeof *x);
    struct stats_running r = {0};
    for (int i = 0; i < N; i++) {
        x[i] = 1e9 + (i % 2 ? 1 : -1) / 1024.0; /* exact in double */
        stats_running_add(&r, x[i]);
    }
    double want = sqrt((double)N / (N - 1)) / 1024;
    CHECK(stats_mean(x, N) == 1e9);
    CHECK_CLOSE(stats_std(x, N), want, 1e-14);
    CHECK_CLOSE(stats_running_std(&r), want, 1e-6); /* one pass: its mean is rounded to an ulp of 1e9 */
    free(x);
}

static void ties(void)
{
    const double x[] = {1, 1, 2, 2, 3}, y[] = {2, 2, 3, 3, 4};
    struct stats_mann_whitney r;
    CHECK_INT(stats_mann_whitney(x, 5, y, 5, &r), 0);
    CHECK(r.has_ties && !r.is_exact && isnan(r.p_exact) && r.p == r.p_normal && r.p > 0 && r.p < 1);
}

/* The property tests e18 to e20 live in property_test.c. */
static void elsewhere(void) {}

TEST(every_policy_of_the_file_holds)
{
    static void (*const policies[])(void) = {no_values,
                                             one_value,
                                             constant_and_equal,
                                             constant_and_different,
                                             one_side_constant,
                                             not_a_number,
                                             infinite,
                                             clock_faults,
                                             mean_not_positive,
                                             two_to_five_values,
                                             too_few_for_the_tail,
                                             p99_of_few,
                                             too_correlated,
                                             no_steady_state,
                                             p_below_any_double,
                                             million_with_a_large_mean,
                                             ties,
                                             elsewhere,
                                             elsewhere,
                                             elsewhere};
    enum { POLICIES = sizeof policies / sizeof *policies };
    stats_init();
    cJSON *file = oracle_read("edge_policy.json");
    const cJSON *item;
    int visited = 0;
    cJSON_ArrayForEach(item, file)
    {
        char id[16];
        snprintf(id, sizeof id, "e%02d", visited + 1);
        CHECK_STRING(oracle_text(item, "id"), id);
        int before = test_failures;
        if (visited < POLICIES)
            policies[visited]();
        if (test_failures > before)
            printf("policy %s: %s\n", id, oracle_text(item, "input"));
        visited++;
    }
    CHECK_INT(visited, POLICIES);
    cJSON_Delete(file);
}

TEST(nothing_crashes_on_degenerate_samples)
{
    static const double samples[][6] = {{0},
                                        {NAN, NAN, NAN, NAN, NAN, NAN},
                                        {INFINITY, -INFINITY, NAN, 1, 2, 3},
                                        {1e308, -1e308, 1e308, -1e308, 1e308, 1e308},
                                        {5e-324, 1e-323, 5e-324, 0, -5e-324, 5e-324},
                                        {1, 1, 1, 1, 1, 1 + 2.3e-16},
                                        {-0.0, 0.0, -0.0, 0.0, 1, 2},
                                        {1e200, 1e-200, 1, 2, 3, 4}};
    enum { KINDS = sizeof samples / sizeof *samples };
    double copy[6];
    for (int a = 0; a < KINDS; a++) {
        for (int b = 0; b < KINDS; b++) {
            for (size_t n = 0; n <= 6; n++) {
                const double *x = samples[a], *y = samples[b];
                struct stats_welch w;
                struct stats_pooled p;
                struct stats_effect e;
                struct stats_effect_ci c;
                struct stats_ratio r;
                struct stats_tost t;
                struct stats_mann_whitney m;
                struct stats_paired q;
                stats_welch(x, n, y, 6, 0.95, &w);
                stats_welch_correlated(x, n, y, 6, 0.95, &w);
                stats_pooled(x, n, y, 6, &p);
                stats_effect(x, n, y, 6, &e);
                stats_effect_ci(x, n, y, 6, 0.95, &c);
                stats_ratio(x, n, y, 6, 0.95, &r);
                stats_tost(x, n, y, 6, 1, 0.05, &t);
                stats_mann_whitney(x, n, y, 6, &m);
                stats_paired_log_ratio(x, y, n, 0.95, &q);
                CHECK(!(w.p < 0 || w.p > 1 || m.p < 0 || m.p > 1 || t.p < 0 || t.p > 1 || q.p < 0));
                CHECK(q.n <= n);
            }
        }
        for (size_t n = 0; n <= 6; n++) {
            struct stats_summary s;
            struct stats_tukey t;
            struct stats_correlated c;
            struct stats_drift d;
            struct stats_mser m;
            struct stats_bimodality b;
            stats_describe(samples[a], n, 0.95, copy, &s);
            CHECK_INT(s.n + s.rejected, n);
            size_t kept = (size_t)s.n;
            stats_tukey(copy, kept, &t);
            CHECK(stats_modified_z_count(copy, kept, 3.5) <= (int64_t)kept);
            stats_correlated(samples[a], n, 0.95, &c);
            stats_drift(samples[a], n, 0.95, &d);
            CHECK(!stats_mser5_search(samples[a], n, &m));
            CHECK(!stats_bimodality(copy, kept, &b));
            CHECK(!(stats_skewness(samples[a], n) < -10));
            stats_geyer_tau(samples[a], n);
            for (int type = 0; type < 10; type++)
                CHECK(kept > 0 || isnan(stats_quantile_type(copy, kept, 0.5, type)));
        }
    }
}
