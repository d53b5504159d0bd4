/* Draws against their law: with a fixed seed the test is certain; the bound is one that a wrong law does not
 * meet and a right one misses once in ten thousand seeds. */
#include "engine/model/sampler.h"

#include "tests/test.h"

enum { TOKENS = 12, DRAWS = 40000 };
static const float logits[TOKENS] = {0.3f,  2.1f, -1.0f, 1.4f,  0.0f, 2.1f,
                                     -3.0f, 0.9f, 1.1f,  -0.5f, 0.6f, -0.2f};

/* The law by definition: sorted, cut, normalized. */
static void law(const struct preset_sampling *s, double share[TOKENS])
{
    int order[TOKENS], kept = TOKENS;
    double weight[TOKENS], sum = 0, part = 0;
    for (int i = 0; i < TOKENS; i++) {
        int at = i;
        for (; at > 0 && logits[order[at - 1]] < logits[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    if (s->top_k > 0 && s->top_k < kept)
        kept = s->top_k;
    for (int i = 0; i < kept; i++)
        sum += weight[i] = exp((double)logits[order[i]] / s->temperature);
    int n = 0;
    while (n < kept && (n == 0 || part < s->top_p * sum))
        part += weight[n++];
    memset(share, 0, TOKENS * sizeof *share);
    for (int i = 0; i < n; i++)
        share[order[i]] = weight[i] / part;
}

static void draw(const struct preset_sampling *s, uint64_t seed, int count[TOKENS])
{
    struct error e = {0};
    struct sampler *sampler = sampler_new(s, TOKENS, &e);
    memset(count, 0, TOKENS * sizeof *count);
    for (int i = 0; i < DRAWS; i++) {
        struct random g = random_of(seed, 0, i); /* a stream for each draw, as the runner has them */
        count[sampler_choose(sampler, logits, &g)]++;
    }
    sampler_free(sampler);
}

static double chi_square(const int count[TOKENS], const double share[TOKENS])
{
    double sum = 0;
    for (int i = 0; i < TOKENS; i++) {
        double expected = share[i] * DRAWS;
        if (share[i] > 0)
            sum += (count[i] - expected) * (count[i] - expected) / expected;
        else if (count[i] > 0)
            return INFINITY;
    }
    return sum;
}

TEST(draws_follow_temperature_top_k_and_top_p)
{
    static const struct preset_sampling ways[] = {{1, 0, 1},   {0.5, 0, 1},   {2.5, 0, 1}, {1, 4, 1},
                                                  {1, 0, 0.7}, {0.8, 6, 0.8}, {1, 1, 1},   {3, 12, 0.999}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        double share[TOKENS];
        int count[TOKENS];
        law(&ways[i], share);
        draw(&ways[i], 7 + i, count);
        if (!(chi_square(count, share) < 37.4)) /* of 11 degrees of freedom, 1e-4 */
            TEST_FAIL("way %zu: %g", i, chi_square(count, share));
    }
}

TEST(the_bound_sees_a_law_that_is_a_little_wrong)
{
    double share[TOKENS];
    int count[TOKENS];
    draw(&(struct preset_sampling){1, 0, 1}, 7, count);
    law(&(struct preset_sampling){1.05, 0, 1}, share);
    CHECK(chi_square(count, share) > 37.4);
    law(&(struct preset_sampling){1, 11, 1}, share);
    CHECK(chi_square(count, share) > 37.4);
}

TEST(without_temperature_the_likeliest_is_taken_and_of_equal_ones_the_first)
{
    struct error e = {0};
    struct preset_sampling greedy = {0, 0, 1};
    struct sampler *s = sampler_new(&greedy, TOKENS, &e);
    struct random g = random_of(1, 2, 3);
    CHECK(sampler_is_greedy(&greedy));
    CHECK_INT(sampler_choose(s, logits, &g), 1);
    sampler_free(s);
}

TEST(logits_that_are_not_finite_are_never_chosen)
{
    struct error e = {0};
    struct preset_sampling hot = {50, 0, 1};
    float odd[4] = {NAN, 1, -INFINITY, INFINITY};
    struct sampler *s = sampler_new(&hot, 4, &e);
    for (int i = 0; i < 100; i++) {
        struct random g = random_of(9, 0, i);
        CHECK_INT(sampler_choose(s, odd, &g), 1);
    }
    sampler_free(s);
}
