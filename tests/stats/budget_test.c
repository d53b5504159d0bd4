#include "stats/stats.h"
#include "tests/stats/random.h"
#include "tests/test.h"

enum { BLOCKS = 400, PER = 10 };
static double x[BLOCKS * PER], clock_mhz[BLOCKS];
static size_t size[BLOCKS];

/* Blocks differ by between_sd, and by clock_sd along their clock; samples by within_sd. */
static struct stats_variance_budget simulate(double within, double between, double along, double outlier)
{
    struct stats_variance_budget v;
    for (int b = 0; b < BLOCKS; b++) {
        double z = random_normal(), level = 100 + between * random_normal() + along * z;
        clock_mhz[b] = 1500 - 50 * z;
        size[b] = PER;
        for (int i = 0; i < PER; i++)
            x[b * PER + i] = level + within * random_normal() + (random_uniform() < 0.01 ? outlier : 0);
    }
    CHECK_INT(stats_variance_budget(x, size, BLOCKS, clock_mhz, &v), 0);
    CHECK(fabs(v.within + v.between + v.clock + v.outliers - 1) < 1e-12);
    return v;
}

TEST(samples_that_scatter_within_blocks_are_all_there_is)
{
    random_state = 1;
    struct stats_variance_budget v = simulate(1, 0, 0, 0);
    CHECK(v.within > 0.85 && v.clock < 0.05 && v.outliers < 0.02);
    CHECK_CLOSE(v.block_variance, 1.0 / PER, 0.3);
}

TEST(blocks_that_differ_are_told_from_samples_that_do)
{
    random_state = 2;
    /* between 0.25, within 1 / 10: shares 0.71 and 0.29 */
    struct stats_variance_budget v = simulate(1, 0.5, 0, 0);
    CHECK(v.between > 0.6 && v.between < 0.8 && v.within > 0.2 && v.within < 0.4 && v.clock < 0.05);
}

TEST(what_the_clock_explains_is_its_own_share)
{
    random_state = 3;
    struct stats_variance_budget v = simulate(1, 0, 1, 0);
    CHECK(v.clock > 0.8 && v.between < 0.1); /* 1 of 1.1 */
    CHECK_INT(stats_variance_budget(x, size, BLOCKS, NULL, &v), 0);
    CHECK(v.clock == 0 && v.between > 0.8);
}

TEST(rare_slow_samples_are_outliers)
{
    random_state = 4;
    struct stats_variance_budget v = simulate(1, 0, 0, 30);
    CHECK(v.outliers > 0.7 && v.n_outliers > 20 && v.n_outliers < 100);
}

TEST(a_budget_needs_two_blocks_and_more_than_one_sample_in_one)
{
    struct stats_variance_budget v;
    const double y[4] = {1, 2, 3, 5};
    const size_t one[1] = {4}, single[4] = {1, 1, 1, 1}, two[2] = {2, 2};
    CHECK_INT(stats_variance_budget(y, one, 1, NULL, &v), -1);
    CHECK_INT(stats_variance_budget(y, single, 4, NULL, &v), -1);
    CHECK_INT(stats_variance_budget(y, two, 2, NULL, &v), 0);
    CHECK_INT(stats_variance_budget(NULL, NULL, 0, NULL, &v), -1);
    CHECK(isnan(v.within));
}
