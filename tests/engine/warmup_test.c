#include "engine/warmup.h"

#include "tests/test.h"
#include <stdint.h>

static uint64_t state;
static double noise(void) /* about normal: the sum of twelve uniforms */
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        sum += (double)(state >> 33) / 0x1p31;
    }
    return sum;
}

static void decay(double *x, int n, double size, double tau, double sd)
{
    for (int i = 0; i < n; i++)
        x[i] = 10 * (1 + size * exp(-i / tau)) * (1 + sd * noise());
}

static int steady_at(const double *x, int n, int minimum)
{
    size_t drop;
    for (int i = 1; i <= n; i++)
        if (warmup_steady(x, (size_t)i, (size_t)minimum, &drop))
            return i;
    return -1;
}

TEST(a_level_arm_is_steady_at_ten_short_samples)
{
    double x[100];
    int late = 0;
    for (state = 1; state < 200000; state += 1000) {
        decay(x, 100, 0, 1, 0.02);
        int at = steady_at(x, 100, 3);
        CHECK(at >= 10);
        late += at > 20 || at < 0;
    }
    CHECK(late < 10); /* of about 200: the slope test errs in 5 %, and is repeated */
}

TEST(a_decaying_arm_is_not_called_steady_at_once)
{
    double x[200];
    int early = 0, runs = 0;
    for (state = 1; state < 200000; state += 1000, runs++) {
        decay(x, 200, 0.5, 8, 0.01);
        int at = steady_at(x, 200, 3);
        CHECK(at > 0);
        early += at > 0 && 0.5 * exp(-at / 8.0) > 0.05; /* still 5 % off */
    }
    CHECK(early <= runs / 20);
}

TEST(the_transient_is_told)
{
    double x[60];
    state = 5;
    decay(x, 60, 1, 4, 0.005);
    size_t drop = 0;
    CHECK(warmup_steady(x, 60, 3, &drop));
    CHECK(drop >= 8 && drop <= 30);
}

TEST(an_arm_that_keeps_rising_is_never_steady)
{
    double x[200];
    for (int i = 0; i < 200; i++)
        x[i] = 10 + 0.1 * i;
    CHECK_INT(steady_at(x, 200, 3), -1);
}

TEST(long_samples_need_not_be_ten)
{
    double x[] = {2500, 1010, 1000, 1005, 1002};
    CHECK_INT(steady_at(x, 5, 3), 4);
    for (int i = 0; i < 5; i++)
        x[i] /= 1000;
    CHECK_INT(steady_at(x, 5, 3), -1); /* milliseconds instead of seconds: more are cheap */
}

TEST(the_minimum_is_kept)
{
    double x[50];
    for (int i = 0; i < 50; i++)
        x[i] = 10 + 0.001 * (i % 3);
    CHECK_INT(steady_at(x, 50, 30), 30);
}
