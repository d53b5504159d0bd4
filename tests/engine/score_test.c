#include "engine/model/score.h"

#include "tests/test.h"

TEST(a_row_is_read_as_its_softmax_whatever_its_level)
{
    float row[3] = {1000, 1001, 999};
    double share[3];
    struct score_row r = score_read(row, 3, share);
    double sum = 1 + exp(-1) + exp(-2);
    CHECK_INT(r.top, 1);
    CHECK_CLOSE(r.norm, 1001 + log(sum), 1e-15);
    CHECK_CLOSE(share[0], exp(-1) / sum, 1e-14);
    CHECK_CLOSE(share[0] + share[1] + share[2], 1, 1e-14);
    row[2] = NAN;
    CHECK(isnan(score_read(row, 3, NULL).norm));
}

TEST(divergence_is_the_sum_by_definition_and_0_of_a_shifted_row)
{
    float base[3] = {0.5f, 1.5f, -1}, arm[3] = {0.25f, 1.75f, -0.5f}, shifted[3] = {8.5f, 9.5f, 7};
    double share[3], plain = 0;
    struct score_row b = score_read(base, 3, share), a = score_read(arm, 3, NULL),
                     s = score_read(shifted, 3, NULL);
    for (int i = 0; i < 3; i++)
        plain += share[i] * (((double)base[i] - b.norm) - ((double)arm[i] - a.norm));
    CHECK_CLOSE(score_kl(base, &b, share, arm, &a, 3), plain, 1e-12);
    CHECK(fabs(score_kl(base, &b, share, shifted, &s, 3)) < 1e-12);
}

TEST(figures_are_those_of_the_sums_and_bits_say_what_is_known)
{
    struct scores s = {0};
    struct arm_quality q = {0};
    score_finish(&s, 0, &q);
    CHECK_INT(q.known, 0);
    struct score_row row = {5, 0};
    score_likelihood(&s, &row, 4); /* 1 and 3 nats */
    score_likelihood(&s, &row, 2);
    for (int i = 1; i <= 200; i++)
        score_comparison(&s, i, i % 4 != 0);
    score_finish(&s, 8, &q);
    CHECK_INT(q.known, QUALITY_PERPLEXITY | QUALITY_BITS | QUALITY_KL | QUALITY_TOP1);
    CHECK_CLOSE(q.nll, 2, 1e-15);
    CHECK_CLOSE(q.nll_se, 1, 1e-12);
    CHECK_CLOSE(q.perplexity, exp(2), 1e-14);
    CHECK_CLOSE(q.bits_per_byte, 4 / log(2) / 8, 1e-14);
    CHECK_CLOSE(q.kl, 100.5, 1e-14);
    CHECK_CLOSE(q.kl_p99, 198, 0);
    CHECK_CLOSE(q.kl_max, 200, 0);
    CHECK_CLOSE(q.top1_agreement, 0.75, 0);
    score_free(&s);
}

TEST(figures_of_logits_that_are_not_finite_are_not_known)
{
    struct scores s = {0};
    struct arm_quality q = {0};
    struct score_row row = {(double)NAN, 0};
    score_likelihood(&s, &row, 1);
    score_finish(&s, 3, &q);
    CHECK(s.not_finite);
    CHECK_INT(q.known, 0);
    score_free(&s);
}
