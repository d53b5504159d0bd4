#include "stats/stats.h"
#include "tests/stats/random.h"
#include "tests/test.h"

#define CHECK_NEAR(got, want, tolerance) CHECK(fabs((got) - (want)) <= (tolerance))

/* ln of the integrated likelihood of x over the standard deviation (d sigma / sigma), the mean being d
 * standard deviations with d ~ N(0, variance), or 0. */
static double log_evidence(const double *x, int n, double variance)
{
    enum { STEPS = 400 };
    double total = 0, reference = 0;
    for (int pass = 0; pass < 2; pass++) { /* the first finds the scale */
        for (int i = 0; i <= STEPS; i++) {
            double sigma = exp(-4 + 12.0 * i / STEPS);
            for (int j = variance > 0 ? 0 : STEPS / 2; j <= (variance > 0 ? STEPS : STEPS / 2); j++) {
                double d = variance > 0 ? -8 + 16.0 * j / STEPS : 0;
                double l = variance > 0
                               ? -d * d / (2 * variance) - 0.5 * log(2 * M_PI * variance) + log(16.0 / STEPS)
                               : 0;
                for (int k = 0; k < n; k++)
                    l += -0.5 * pow(x[k] / sigma - d, 2) - log(sigma);
                if (pass == 0)
                    reference = i == 0 && (j == 0 || variance <= 0) ? l : fmax(reference, l);
                else
                    total += exp(l - reference);
            }
        }
    }
    return reference + log(total);
}

TEST(the_e_value_is_the_ratio_of_integrated_likelihoods)
{
    const double x[8] = {0.9, 1.4, -0.2, 0.8, 1.9, 0.4, 1.1, 0.6};
    for (int n = 2; n <= 8; n += 3) {
        struct stats_sequence s;
        CHECK_INT(stats_sequence(x, (size_t)n, 0.95, &s), 0);
        double want = log_evidence(x, n, STATS_SEQUENCE_PRIOR) - log_evidence(x, n, 0);
        if (!(fabs(s.log_e - want) < 1e-4))
            TEST_FAIL("%d values: %.7f, not %.7f", n, s.log_e, want);
    }
}

TEST(the_interval_holds_exactly_the_means_that_the_e_value_does_not_refuse)
{
    double x[12], shifted[12];
    random_state = 5;
    random_normals(x, 12, 3, 0.7);
    struct stats_sequence s, at;
    CHECK_INT(stats_sequence(x, 12, 0.95, &s), 0);
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 12; i++)
            shifted[i] = x[i] - (side ? s.ci.high : s.ci.low);
        CHECK_INT(stats_sequence(shifted, 12, 0.95, &at), 0);
        CHECK_NEAR(at.log_e, log(20), 1e-9);
    }
    CHECK_NEAR((s.ci.high - s.ci.low) / 2 / stats_std(x, 12), stats_sequence_width(12, 0.95), 1e-12);
}

TEST(too_few_values_refuse_nothing)
{
    double x[4] = {1, 1.1, 0.9, 1.05};
    struct stats_sequence s;
    CHECK_INT(stats_sequence(x, 4, 0.95, &s), 0);
    CHECK(isinf(s.ci.low) && isinf(s.ci.high) && s.p > 0.05);
    CHECK(isinf(stats_sequence_width(4, 0.95)) && isfinite(stats_sequence_width(5, 0.95)));
    CHECK_INT(stats_sequence(x, 1, 0.95, &s), -1);
    CHECK_INT(stats_sequence(x, 0, 0.95, &s), -1);
    CHECK(isnan(s.mean) && isnan(s.p) && isnan(s.ci.low));
}

TEST(values_without_spread_have_no_sequence_and_bad_ones_are_passed_over)
{
    double flat[6] = {2, 2, 2, 2, 2, 2}, holes[7] = {1, NAN, 1.1, 0.9, INFINITY, 1.05, 1};
    struct stats_sequence s, clean;
    CHECK_INT(stats_sequence(flat, 6, 0.95, &s), -1);
    CHECK_INT(stats_sequence(holes, 7, 0.95, &s), 0);
    double kept[5] = {1, 1.1, 0.9, 1.05, 1};
    CHECK_INT(stats_sequence(kept, 5, 0.95, &clean), 0);
    CHECK_INT((int)s.n, 5);
    CHECK_NEAR(s.ci.low, clean.ci.low, 1e-15);
    CHECK_NEAR(s.p, clean.p, 1e-15);
}

TEST(looking_after_every_value_costs_the_sequence_no_error)
{
    enum { REPLICATES = 4000, N = 100 };
    int missed = 0, naive = 0;
    stats_init();
    random_state = 11;
    double quantile[N + 1];
    for (int n = 2; n <= N; n++)
        quantile[n] = stats_t_quantile(0.975, n - 1);
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_running run = {0};
        bool out = false, out_naive = false;
        for (int n = 1; n <= N; n++) {
            stats_running_add(&run, random_normal());
            if (n < 2)
                continue;
            double std = stats_running_std(&run);
            out = out || fabs(run.mean) > stats_sequence_width((size_t)n, 0.95) * std;
            out_naive = out_naive || fabs(run.mean) > quantile[n] * std / sqrt(n);
        }
        missed += out;
        naive += out_naive;
    }
    CHECK(naive > REPLICATES * 3 / 10); /* the method that this replaces */
    if (missed > REPLICATES * 5 / 100)
        TEST_FAIL("%d of %d sequences missed the mean at some time", missed, REPLICATES);
    CHECK(missed > REPLICATES / 100); /* not by being infinitely wide */
}

TEST(the_p_value_of_a_sequence_never_grows_as_values_arrive)
{
    double x[40];
    random_state = 3;
    random_normals(x, 40, 0.8, 1);
    double last = 1;
    for (size_t n = 2; n <= 40; n++) {
        struct stats_sequence s;
        stats_sequence(x, n, 0.95, &s);
        CHECK(s.p <= last && s.p > 0);
        last = s.p;
    }
    CHECK(last < 0.01);
}

TEST(the_paired_plan_agrees_with_the_t_test)
{
    /* one sample, two-sided 5 %, d = 0.5: 34 values have a power of 0.8078 (Cohen 1988, and every program) */
    CHECK_NEAR(stats_paired_power(34, 0.5, 0.05), 0.8078, 2e-4);
    double d = stats_minimum_effect(34, 2, 0.05, 0.8078);
    CHECK_NEAR(d, 1.0, 1e-3);
    CHECK_NEAR(stats_paired_power(10, stats_minimum_effect(10, 1, 0.05, 0.8), 0.05), 0.8, 1e-9);
    CHECK(isnan(stats_minimum_effect(1, 1, 0.05, 0.8)) && isnan(stats_minimum_effect(10, 0, 0.05, 0.8)));
}
