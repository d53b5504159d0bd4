#include "stats/stats.h"
#include "tests/stats/random.h"
#include "tests/test.h"

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum kind { NORMAL, LOGNORMAL, QUANTIZED, TWO_STATES, FAR_STATES, AROUND_ZERO, KINDS };

static double draw(enum kind kind)
{
    switch (kind) {
    case NORMAL:
        return 20 + random_normal();
    case LOGNORMAL:
        return exp(random_normal());
    case QUANTIZED:
        return round(200 + 2 * random_normal()) / 10;
    case TWO_STATES:
        return (random_uniform() < 0.9 ? 10 : 14) + 0.3 * random_normal();
    case FAR_STATES:
        return (random_uniform() < 0.5 ? 20 : 26) + random_normal();
    case AROUND_ZERO:
    case KINDS:
        break;
    }
    return random_normal();
}

TEST(two_clock_states_are_flagged_and_one_skewed_or_quantized_state_is_not)
{
    static const struct {
        enum kind kind;
        double least, most; /* rate of the flag at n = 100 */
    } rates[] = {{NORMAL, 0, 0.02},      {LOGNORMAL, 0, 0.02},    {QUANTIZED, 0, 0.02},
                 {TWO_STATES, 0.9, 1.0}, {FAR_STATES, 0.95, 1.0}, {AROUND_ZERO, 0, 0.02}};
    enum { REPLICATES = 300, N = 100 };
    double x[N];
    stats_init();
    random_state = 1;
    for (int k = 0; k < KINDS; k++) {
        int flagged = 0;
        for (int r = 0; r < REPLICATES; r++) {
            struct stats_bimodality b;
            for (int i = 0; i < N; i++)
                x[i] = draw(rates[k].kind);
            qsort(x, N, sizeof *x, ascending);
            CHECK(stats_bimodality(x, N, &b));
            flagged += b.is_bimodal;
        }
        double rate = (double)flagged / REPLICATES;
        if (!(rate >= rates[k].least && rate <= rates[k].most))
            TEST_FAIL("kind %d is flagged in %.3f of the samples", k, rate);
    }
}

TEST(the_modes_and_their_shares_are_where_they_were_put)
{
    double x[1000];
    struct stats_bimodality b;
    random_state = 2;
    random_normals(x, 700, 10, 0.3);
    random_normals(x + 700, 300, 14, 0.3);
    qsort(x, 1000, sizeof *x, ascending);
    CHECK(stats_bimodality(x, 1000, &b));
    CHECK(b.is_bimodal && b.valley < 0.1);
    CHECK_CLOSE(b.mode[0], 10, 0.02);
    CHECK_CLOSE(b.mode[1], 14, 0.02);
    CHECK_CLOSE(b.share[0], 0.7, 1e-12);
    CHECK_CLOSE(b.share[1], 0.3, 1e-12);
    CHECK(!stats_bimodality(x, STATS_BIMODALITY_MIN_N - 1, &b));
    CHECK(!b.is_bimodal && isnan(b.mode[0]));
}

TEST(means_of_rates_are_what_a_stopwatch_says)
{
    const double rates[] = {10, 30}; /* tokens per second over equal work: 60 tokens in 4 seconds */
    CHECK_CLOSE(stats_harmonic_mean(rates, 2), 15, 1e-15);
    CHECK_CLOSE(stats_geometric_mean(rates, 2), sqrt(300), 1e-15);
    const double tiny[] = {1e-310, 1e-310};
    CHECK_CLOSE(stats_harmonic_mean(tiny, 2), 1e-310, 1e-12);
    CHECK(isnan(stats_harmonic_mean(NULL, 0)) && isnan(stats_geometric_mean(NULL, 0)));
}

TEST(words_and_limits_of_effects)
{
    CHECK_STRING(stats_effect_word(0), "negligible");
    CHECK_STRING(stats_effect_word(-0.2), "small");
    CHECK_STRING(stats_effect_word(0.5), "medium");
    CHECK_STRING(stats_effect_word(-0.8), "large");
    CHECK_STRING(stats_effect_word(-INFINITY), "large");
    CHECK_STRING(stats_effect_word(NAN), "undefined");
}

TEST(the_four_verdicts_of_equivalence)
{
    const double base[] = {99, 100, 101, 100, 99, 101, 100, 100};
    const struct {
        double shift, margin;
        enum stats_verdict verdict;
    } cases[] = {{0, 2, STATS_VERDICT_EQUIVALENT},    {2, 5, STATS_VERDICT_DIFFERENT_WITHIN_MARGIN},
                 {9, 5, STATS_VERDICT_BEYOND_MARGIN}, {-9, 5, STATS_VERDICT_BEYOND_MARGIN},
                 {5, 5, STATS_VERDICT_INCONCLUSIVE},  {0, 0.1, STATS_VERDICT_INCONCLUSIVE}};
    double other[8];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct stats_tost t;
        for (int i = 0; i < 8; i++)
            other[i] = base[i] + cases[c].shift;
        CHECK_INT(stats_tost(base, 8, other, 8, cases[c].margin, 0.05, &t), 0);
        CHECK_STRING(stats_verdict_word(t.verdict), stats_verdict_word(cases[c].verdict));
        CHECK_INT(t.verdict, cases[c].verdict);
    }
    struct stats_tost t;
    CHECK_INT(stats_tost(base, 8, base, 8, 0, 0.05, &t), -1);
    CHECK_INT(t.verdict, STATS_VERDICT_UNDEFINED);
}

TEST(the_paired_ratio_is_a_one_sample_test_on_logarithms)
{
    const double x[] = {10, 20, 40, NAN, 5, -1}, y[] = {11, 24, 44, 3, 0, 2};
    struct stats_paired p;
    CHECK_INT(stats_paired_log_ratio(x, y, 6, 0.95, &p), 0);
    const double logs[] = {log(1.1), log(1.2), log(1.1)};
    struct stats_interval i = stats_mean_ci(stats_mean(logs, 3), stats_std(logs, 3), 3, 0.95);
    CHECK_INT(p.n, 3);
    CHECK_CLOSE(p.mean_log_ratio, stats_mean(logs, 3), 1e-14);
    CHECK_CLOSE(p.t, stats_mean(logs, 3) / (stats_std(logs, 3) / sqrt(3)), 1e-13);
    CHECK_CLOSE(p.p, stats_t_two_sided(p.t, 2), 1e-14);
    CHECK_CLOSE(p.ci.low, i.low, 1e-11);
    CHECK_CLOSE(p.ci.high, i.high, 1e-13);
    CHECK_INT(stats_paired_log_ratio(x, y, 1, 0.95, &p), -1);
    CHECK_INT(p.n, 1);
    CHECK_CLOSE(p.mean_log_ratio, log(1.1), 1e-14);
    CHECK(isnan(p.p) && isnan(p.ci.low));
}
