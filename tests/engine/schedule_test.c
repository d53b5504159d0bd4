#include "engine/schedule.h"

#include "tests/test.h"

TEST(two_arms_are_ordered_ABBA_or_BAAB_at_random)
{
    int first[2] = {0, 0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        int a[2], b[2];
        schedule_round(seed, 0, 2, 0, a);
        schedule_round(seed, 0, 2, 1, b);
        CHECK_INT(a[0], b[1]);
        CHECK_INT(a[1], b[0]);
        first[a[0]]++;
    }
    CHECK(first[0] > 150 && first[1] > 150); /* 200 +- 5 standard deviations */
}

/* Over a group of rounds every arm stands at every position equally often, and every ordered pair of arms is
 * adjacent equally often. */
static void check_group(uint64_t seed, int cell, int k, int group)
{
    int at[16][16] = {{0}}, pair[16][16] = {{0}}, rounds = schedule_group(k);
    for (int r = group * rounds; r < (group + 1) * rounds; r++) {
        int order[16], seen[16] = {0};
        schedule_round(seed, cell, k, r, order);
        for (int i = 0; i < k; i++) {
            CHECK(order[i] >= 0 && order[i] < k);
            seen[order[i]]++;
            at[order[i]][i]++;
            if (i > 0)
                pair[order[i - 1]][order[i]]++;
        }
        for (int a = 0; a < k; a++)
            CHECK_INT(seen[a], 1);
    }
    for (int a = 0; a < k; a++)
        for (int b = 0; b < k; b++) {
            CHECK_INT(at[a][b], rounds / k);
            if (a != b)
                CHECK_INT(pair[a][b], k == 1 ? 0 : rounds / k);
        }
}

TEST(every_group_of_rounds_is_balanced_for_positions_and_neighbors)
{
    for (int k = 1; k <= 9; k++)
        for (uint64_t seed = 0; seed < 20; seed++)
            for (int group = 0; group < 3; group++)
                check_group(seed * 7919, (int)seed, k, group);
}

TEST(orders_are_a_function_of_seed_cell_and_round)
{
    int a[5], b[5], same_seed = 0, same_cell = 0;
    for (int r = 0; r < 50; r++) {
        schedule_round(42, 3, 5, r, a);
        schedule_round(42, 3, 5, r, b);
        CHECK(memcmp(a, b, sizeof a) == 0);
        schedule_round(43, 3, 5, r, b);
        same_seed += memcmp(a, b, sizeof a) == 0;
        schedule_round(42, 4, 5, r, b);
        same_cell += memcmp(a, b, sizeof a) == 0;
    }
    CHECK(same_seed < 10);
    CHECK(same_cell < 10);
}
