#include "stats/stats.h"
#include "tests/stats/random.h"
#include "tests/test.h"

TEST(a_step_is_found_where_it_happened)
{
    double x[30];
    struct stats_change c[8];
    random_state = 1;
    random_normals(x, 18, 10, 0.1);
    random_normals(x + 18, 12, 10.5, 0.1);
    CHECK_INT(stats_changes(x, 30, 0.01, 1, c, 8), 1);
    CHECK_INT((int)c[0].at, 18);
    CHECK(c[0].p <= 0.01);
    CHECK(fabs(c[0].before - 10) < 0.1 && fabs(c[0].after - 10.5) < 0.1);
}

TEST(there_and_back_are_two_changes)
{
    double x[45];
    struct stats_change c[8];
    random_state = 2;
    random_normals(x, 15, 10, 0.1);
    random_normals(x + 15, 15, 11, 0.1);
    random_normals(x + 30, 15, 10, 0.1);
    CHECK_INT(stats_changes(x, 45, 0.01, 1, c, 8), 2);
    CHECK(c[0].at == 15 && c[1].at == 30);
    CHECK(c[0].after > 10.8 && c[1].after < 10.2);
    CHECK_INT(stats_changes(x, 45, 0.01, 1, c, 1), 1); /* no room for more */
}

TEST(one_outlier_is_no_change)
{
    double x[30];
    struct stats_change c[8];
    random_state = 3;
    random_normals(x, 30, 10, 0.1);
    x[20] = 20;
    CHECK_INT(stats_changes(x, 30, 0.01, 1, c, 8), 0);
}

TEST(noise_alone_rarely_changes)
{
    enum { REPLICATES = 1000, N = 25 };
    double x[N];
    struct stats_change c[8];
    int found = 0;
    random_state = 4;
    for (int r = 0; r < REPLICATES; r++) {
        random_normals(x, N, 10, 1);
        found += stats_changes(x, N, 0.05, (uint64_t)r, c, 8) > 0;
    }
    CHECK(found < 85 && found > 20); /* 5 % are 50, s.d. 7 */
}

TEST(holes_keep_the_places_of_the_others)
{
    double x[24];
    struct stats_change c[8];
    random_state = 5;
    random_normals(x, 14, 10, 0.1);
    random_normals(x + 14, 10, 12, 0.1);
    x[2] = NAN;
    x[14] = INFINITY;
    CHECK_INT(stats_changes(x, 24, 0.01, 1, c, 8), 1);
    CHECK_INT((int)c[0].at, 15);
}

TEST(too_few_values_or_none_have_no_changes)
{
    double x[5] = {1, 1, 9, 9, 9};
    struct stats_change c[8];
    CHECK_INT(stats_changes(x, 5, 0.05, 1, c, 8), 0);
    CHECK_INT(stats_changes(NULL, 0, 0.05, 1, c, 8), 0);
    double same[20] = {0};
    CHECK_INT(stats_changes(same, 20, 0.05, 1, c, 8), 0);
    CHECK_INT(stats_changes(x, 5, 0, 1, c, 8), -1);
}
