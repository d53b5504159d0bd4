#include "stats/stats.h"
#include "tests/stats/random.h"
#include "tests/test.h"

#define CHECK_NEAR(got, want, tolerance) CHECK(fabs((got) - (want)) <= (tolerance))
enum { FULL = 4, ROUNDS = 40 };
static const unsigned full[FULL] = {0, 1, 2, 3}; /* neither, A, B, both */

/* A gains 0.2 alone and 0.04 on top of B, B gains 0.1 alone. */
static void planted(double *y, size_t rounds, double noise)
{
    static const double truth[FULL] = {0, 0.2, 0.1, 0.14};
    for (size_t r = 0; r < rounds; r++) {
        double common = random_normal(); /* what all arms of a round share cancels */
        for (size_t i = 0; i < FULL; i++)
            y[r * FULL + i] = truth[i] + common + noise * random_normal();
    }
}

TEST(main_effects_and_the_interaction_come_out_as_planted)
{
    double y[2 * FULL];
    struct stats_factor_effect e[STATS_FACTOR_EFFECTS];
    random_state = 1;
    planted(y, 2, 0);
    CHECK_INT(stats_factorial(y, 2, full, FULL, 2, 0.95, e), 3);
    CHECK_NEAR(e[0].contrast.estimate, 0.12, 1e-12); /* half of 0.2 + 0.04 */
    CHECK_NEAR(e[1].contrast.estimate, 0.02, 1e-12); /* half of 0.1 - 0.06 */
    CHECK_NEAR(e[2].contrast.estimate, -0.08, 1e-12);
    CHECK(e[0].factors == 1 && e[1].factors == 2 && e[2].factors == 3);
    for (int i = 0; i < 3; i++)
        CHECK(e[i].estimable && e[i].alias == -1);
}

TEST(the_interval_of_an_effect_covers_it_at_its_confidence)
{
    enum { REPLICATES = 4000, N = 6 };
    double y[N * FULL];
    int hits = 0;
    stats_init();
    random_state = 2;
    for (int r = 0; r < REPLICATES; r++) {
        struct stats_factor_effect e[STATS_FACTOR_EFFECTS];
        planted(y, N, 0.05);
        stats_factorial(y, N, full, FULL, 2, 0.95, e);
        hits += e[2].contrast.ci.low <= -0.08 && e[2].contrast.ci.high >= -0.08;
    }
    CHECK(hits > REPLICATES * 933 / 1000 && hits < REPLICATES * 967 / 1000); /* 5 s.d. */
}

TEST(a_simple_effect_is_a_contrast_of_two_runs)
{
    double y[ROUNDS * FULL];
    random_state = 3;
    planted(y, ROUNDS, 0.001);
    struct stats_contrast alone, on_top;
    CHECK_INT(stats_contrast(y, ROUNDS, FULL, (double[]){-1, 1, 0, 0}, 0.95, &alone), 0);
    CHECK_INT(stats_contrast(y, ROUNDS, FULL, (double[]){0, 0, -1, 1}, 0.95, &on_top), 0);
    CHECK_NEAR(alone.estimate, 0.2, 0.002);
    CHECK_NEAR(on_top.estimate, 0.04, 0.002);
    CHECK(alone.p < 1e-10 && alone.n == ROUNDS);
}

TEST(a_round_with_a_hole_counts_only_where_the_hole_has_no_weight)
{
    double y[3 * FULL];
    random_state = 4;
    planted(y, 3, 0.01);
    y[1 * FULL + 3] = NAN;
    struct stats_contrast c;
    CHECK_INT(stats_contrast(y, 3, FULL, (double[]){-1, 1, 0, 0}, 0.95, &c), 0);
    CHECK_INT((int)c.n, 3);
    CHECK_INT(stats_contrast(y, 3, FULL, (double[]){0, 0, -1, 1}, 0.95, &c), 0);
    CHECK_INT((int)c.n, 2);
    CHECK_INT(stats_contrast(y, 1, FULL, (double[]){-1, 1, 0, 0}, 0.95, &c), -1);
    CHECK(isnan(c.ci.low) && isnan(c.p));
}

TEST(a_half_fraction_says_what_it_cannot_tell_apart)
{
    /* 2^(3-1) with C = AB: each main effect is an interaction's alias */
    const unsigned half[4] = {4, 1, 2, 7};
    double y[2 * 4] = {0};
    struct stats_factor_effect e[STATS_FACTOR_EFFECTS];
    CHECK_INT(stats_factorial(y, 2, half, 4, 3, 0.95, e), 6);
    CHECK(e[0].alias == -1 && e[1].alias == -1 && e[2].alias == -1);
    CHECK_INT(e[3].alias, 2); /* AB is C */
    CHECK_INT(e[4].alias, 1);
    CHECK_INT(e[5].alias, 0);
    /* 2^(4-1) with D = ABC: main effects are clear, interactions are pairs */
    unsigned eight[8];
    for (unsigned i = 0; i < 8; i++)
        eight[i] = i | (__builtin_popcount(i) % 2 ? 8u : 0u);
    double z[2 * 8] = {0};
    CHECK_INT(stats_factorial(z, 2, eight, 8, 4, 0.95, e), 10);
    for (int i = 0; i < 4; i++)
        CHECK(e[i].alias == -1 && e[i].estimable);
    CHECK(e[9].alias >= 4);
    CHECK_INT(stats_factorial(z, 2, eight, 8, STATS_FACTORS + 1, 0.95, e), -1);
}
