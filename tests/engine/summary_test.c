#include "engine/figure.h"
#include "engine/summary.h"
#include "tests/engine/session_maker.h"
#include <locale.h>

static struct comparison only(const struct session *s)
{
    struct comparison c;
    summary_compare_arms(s, 0, 0, 1, &c);
    return c;
}

TEST(a_clear_difference_is_faster_and_says_so_in_one_sentence)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 10, 14.2, 0.01);
    maker_fill(&s, 0, 1, 10, 10.0, 0.01);
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_FASTER);
    CHECK(c.final);
    CHECK(c.speedup > 1.39 && c.speedup < 1.45);
    CHECK(c.speedup_ci.low < c.speedup && c.speedup < c.speedup_ci.high && c.speedup_ci.low > 1.38);
    CHECK_CLOSE(c.improvement_pct, 100 * (1 - 1 / c.speedup), 1e-12);
    CHECK_INT(c.paired.n, 10);
    CHECK_CONTAINS(c.sentence, "fused is 1.4");
    CHECK_CONTAINS(c.sentence, "× faster than baseline (95 % CI 1.");
    CHECK_CONTAINS(c.sentence, "Welch p = ");
    CHECK_CONTAINS(c.sentence, ", large");
    CHECK_CONTAINS(c.reason, "paired over rounds, p = ");
    CHECK(isnan(c.p_holm));
    session_free(&s);
}

TEST(a_slower_candidate_is_told_by_how_much_slower)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 10, 10.0, 0.005);
    maker_fill(&s, 0, 1, 10, 12.0, 0.005);
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_SLOWER);
    CHECK(c.speedup < 1 && c.improvement_pct < 0);
    CHECK(strncmp(c.sentence, "fused is 1.", 11) == 0);
    CHECK_CONTAINS(c.sentence, "× slower than baseline (95 % CI 1.");
    session_free(&s);
}

TEST(a_much_slower_candidate_is_told_with_the_digits_of_its_own_ratio)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 10, 10.0, 0.2);
    maker_fill(&s, 0, 1, 10, 400.0, 0.2);
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_SLOWER);
    const char *interval = strstr(c.sentence, "CI ");
    CHECK(interval && strcspn(interval, ")") < strcspn(interval, "."));
    session_free(&s);
}

TEST(a_difference_inside_the_margin_is_equivalent_even_when_it_is_significant)
{
    struct session s = maker_session(1, 2, 12);
    maker_fill(&s, 0, 0, 12, 10.03, 0.0002);
    maker_fill(&s, 0, 1, 12, 10.00, 0.0002);
    struct comparison c = only(&s);
    CHECK(c.paired.p < 1e-6);
    CHECK_INT(c.verdict, VERDICT_EQUIVALENT);
    CHECK_CONTAINS(c.sentence, "equivalent within ±1 %");
    session_free(&s);
}

TEST(noise_is_inconclusive_and_says_how_many_rounds_are_missing)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 10, 10, 0.05);
    maker_fill(&s, 0, 1, 10, 10, 0.05);
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_INCONCLUSIVE);
    CHECK(c.final);
    CHECK_CONTAINS(c.reason, "needs about ");
    CHECK_CONTAINS(c.reason, "for ±1 %");
    CHECK_CONTAINS(c.sentence, "not shown to differ");
    session_free(&s);
}

TEST(before_the_planned_rounds_no_verdict_is_given)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 7, 14.2, 0.01);
    maker_fill(&s, 0, 1, 7, 10.0, 0.01);
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_INCONCLUSIVE);
    CHECK(!c.final);
    CHECK_STRING(c.reason, "only 7 of 10 rounds");
    CHECK_CONTAINS(c.sentence, "faster than baseline so far");
    session_free(&s);
}

TEST(few_planned_rounds_are_too_few_for_a_verdict)
{
    struct session s = maker_session(1, 2, 3);
    maker_fill(&s, 0, 0, 3, 14.2, 0.001);
    maker_fill(&s, 0, 1, 3, 10.0, 0.001);
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_INCONCLUSIVE);
    CHECK_CONTAINS(c.reason, "3 rounds are too few for a verdict: run at least 5");
    session_free(&s);
}

TEST(an_arm_that_fails_the_gate_is_not_ranked)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 10, 14.2, 0.01);
    maker_fill(&s, 0, 1, 10, 10.0, 0.01);
    s.cell[0].arm[1].output.passed = false;
    s.cell[0].arm[1].output.max_relative_error = 0.25;
    struct comparison c = only(&s), *all;
    CHECK_INT(c.verdict, VERDICT_INCONCLUSIVE);
    CHECK(!c.final);
    CHECK_CONTAINS(c.reason, "output differs from the baseline (relative error 0.25, allowed 0.00010");
    CHECK_CONTAINS(c.reason, "not ranked");
    CHECK_CONTAINS(c.sentence, "fused is not ranked: output differs");
    CHECK_INT(summary_comparisons(&s, &all, NULL), 0);
    CHECK_INT(all[1].family, 0);
    free(all);
    session_free(&s);
}

TEST(constant_samples_have_no_p_and_no_verdict)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 10, 14, 0);
    maker_fill(&s, 0, 1, 10, 10, 0);
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_INCONCLUSIVE);
    CHECK_STRING(c.reason, "no variance: clock resolution?");
    CHECK(isnan(c.paired.p) && isnan(c.welch.p));
    CHECK_CLOSE(c.speedup, 1.4, 1e-9);
    session_free(&s);
}

TEST(throttled_blocks_are_named_where_nothing_is_decided)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 10, 10, 0.05);
    maker_fill(&s, 0, 1, 10, 10, 0.05);
    s.cell[0].arm[0].blocks[2]->flags |= BLOCK_THROTTLED;
    s.cell[0].arm[1].blocks[5]->flags |= BLOCK_THROTTLED;
    struct comparison c = only(&s);
    CHECK_CONTAINS(c.reason, "2 of 20 blocks flagged throttled");
    session_free(&s);
}

TEST(rounds_pair_by_their_number_not_by_their_place)
{
    struct session s = maker_session(1, 2, 8);
    double drift[] = {1, 1.5, 2, 1.2, 1.7, 1.1, 3, 1.4};
    int order[] = {3, 1, 0, 2, 7, 5, 6, 4};
    for (int r = 0; r < 8; r++)
        maker_block(&s, 0, 0, r, 20, 10 * drift[r], 0.0001);
    for (int i = 0; i < 8; i++)
        maker_block(&s, 0, 1, order[i], 20, 8 * drift[order[i]], 0.0001);
    struct comparison c = only(&s);
    CHECK_INT(c.paired.n, 8);
    CHECK_CLOSE(c.speedup, 1.25, 1e-3);
    CHECK_INT(c.verdict, VERDICT_FASTER);
    CHECK(c.welch.p > 0.05); /* unpaired, the drift hides it */
    session_free(&s);
}

TEST(a_round_that_one_arm_lacks_does_not_pair)
{
    struct session s = maker_session(1, 2, 6);
    for (int r = 0; r < 7; r++)
        if (r != 3)
            maker_block(&s, 0, 0, r, 10, 10, 0.01);
    for (int r = 0; r < 7; r++)
        if (r != 5)
            maker_block(&s, 0, 1, r, 10, 8, 0.01);
    struct comparison c = only(&s);
    CHECK_INT(c.paired.n, 5);
    CHECK_STRING(c.reason, "only 5 of 6 rounds");
    session_free(&s);
}

TEST(a_family_of_null_cells_yields_no_finding_after_holm)
{
    int findings = 0, alone = 0;
    for (int run = 0; run < 20; run++) {
        struct session s = maker_session(10, 3, 10);
        struct comparison *all;
        for (int cell = 0; cell < 10; cell++)
            for (int arm = 0; arm < 3; arm++)
                maker_fill(&s, cell, arm, 10, 10, 0.03);
        CHECK_INT(summary_comparisons(&s, &all, NULL), 0);
        for (int i = 0; i < 30; i++) {
            CHECK_INT(all[i].family, 20);
            CHECK_INT(all[i].verdict == VERDICT_NONE, i % 3 == 0);
            bool claimed = all[i].verdict == VERDICT_FASTER || all[i].verdict == VERDICT_SLOWER;
            findings += claimed;
            alone += i % 3 != 0 && all[i].paired.p < 0.05;
            if (i % 3 != 0 && all[i].paired.p < 0.05 && !claimed)
                CHECK_CONTAINS(all[i].reason, "(Holm)");
        }
        free(all);
        session_free(&s);
    }
    CHECK(alone > 5);
    CHECK(findings <= 3);
}

TEST(an_arm_is_summed_up_over_its_blocks)
{
    struct session s = maker_session(2, 2, 10);
    maker_fill(&s, 1, 0, 10, 10, 0.01);
    struct arm_summary a;
    CHECK_INT(summary_arm(&s, 1, 0, &a), 0);
    CHECK_INT(a.n, 10 * MAKER_SAMPLES);
    CHECK_INT(a.blocks, 10);
    CHECK_CLOSE(a.latency.mean, a.block_mean.mean, 1e-12);
    CHECK(a.latency.ci.low < a.latency.mean && a.latency.mean < a.latency.ci.high);
    CHECK_CLOSE(a.tokens_per_second, 2000 / a.latency.mean, 1e-12);
    CHECK_CLOSE(a.tokens_per_second_ci.low, 2000 / a.latency.ci.high, 1e-12);
    CHECK(a.tokens_per_second_peak > a.tokens_per_second &&
          a.tokens_per_second > a.tokens_per_second_sustained);
    CHECK(a.mean_of_rates > a.tokens_per_second);
    CHECK_CLOSE(a.bandwidth, 500e6 / (a.latency.mean * 1e-3), 1e-12);
    CHECK_CLOSE(a.bandwidth_share, a.bandwidth / 45e9, 1e-12);
    CHECK_CLOSE(a.limit_share, fmax(a.bandwidth_share, a.flop_share), 1e-12);
    CHECK_CLOSE(a.time_per_output_token_ms, a.latency.mean, 1e-12);
    CHECK(isnan(a.time_to_first_token_ms));
    CHECK_CLOSE(a.cold_start_ms, 31.234567, 1e-12);
    CHECK_CLOSE(a.load_ms, 1234.56789, 1e-12);
    CHECK(a.p90_supported && a.p95_supported && a.p99_supported);
    CHECK_CLOSE(a.host_mean_ms, a.latency.mean + 0.0015, 1e-6);
    session_free(&s);
}

TEST(generate_splits_first_token_from_the_others)
{
    struct session s = maker_session(1, 2, 10);
    struct block *b = maker_block(&s, 0, 0, 0, 2, 10, 0);
    s.cell[0].workload = WORKLOAD_GENERATE;
    s.cell[0].tokens = 11;
    s.cell[0].arm[0].work.tokens = 11;
    b->samples[0] = (struct sample){110000000, 110000000, 10000000};
    b->samples[1] = (struct sample){130000000, 130000000, 20000000};
    struct arm_summary a;
    CHECK_INT(summary_arm(&s, 0, 0, &a), 0);
    CHECK_CLOSE(a.time_to_first_token_ms, 15, 1e-12);
    CHECK_CLOSE(a.time_per_output_token_ms, 10.5, 1e-12);
    CHECK_CLOSE(a.latency.mean, 120, 1e-12);
    session_free(&s);
}

TEST(samples_of_zero_or_less_are_rejected_and_counted)
{
    struct session s = maker_session(1, 2, 10);
    struct block *b = maker_block(&s, 0, 0, 0, 4, 10, 0);
    b->samples[0].device_ns = 0;
    b->samples[3].device_ns = -5;
    struct arm_summary a;
    CHECK_INT(summary_arm(&s, 0, 0, &a), 0);
    CHECK_INT(a.n, 2);
    CHECK_INT(a.rejected, 2);
    CHECK_CLOSE(a.latency.mean, 10, 1e-9);
    CHECK(isnan(a.latency.ci.low));
    session_free(&s);
}

TEST(an_arm_without_samples_has_no_figures)
{
    struct session s = maker_session(1, 2, 10);
    struct arm_summary a;
    struct comparison c;
    CHECK_INT(summary_arm(&s, 0, 0, &a), -1);
    CHECK_INT(summary_arm(&s, 5, 0, &a), -1);
    CHECK_INT(a.n, 0);
    CHECK(isnan(a.latency.mean) && isnan(a.tokens_per_second) && isnan(a.load_ms));
    CHECK_INT(summary_compare_arms(&s, 0, 0, 1, &c), -1);
    CHECK_INT(c.verdict, VERDICT_NONE);
    session_free(&s);
}

TEST(a_block_in_flight_counts_only_until_one_is_complete)
{
    struct session s = maker_session(1, 2, 10);
    struct block *b = maker_block(&s, 0, 0, 0, 10, 10, 0);
    struct arm_summary a;
    b->n = 4;
    CHECK_INT(summary_arm(&s, 0, 0, &a), 0);
    CHECK_INT(a.n, 4);
    maker_block(&s, 0, 0, 1, 10, 20, 0);
    CHECK_INT(summary_arm(&s, 0, 0, &a), 0);
    CHECK_INT(a.n, 10);
    CHECK_CLOSE(a.latency.mean, 20, 1e-9);
    session_free(&s);
}

TEST(criteria_judge_the_worst_cell_and_arm)
{
    struct session s = maker_session(2, 2, 10);
    struct criterion_result r[SUMMARY_CRITERIA];
    maker_fill(&s, 0, 0, 10, 14, 0.01);
    maker_fill(&s, 0, 1, 10, 10, 0.01);
    maker_fill(&s, 1, 0, 10, 11, 0.01);
    maker_fill(&s, 1, 1, 10, 10, 0.01);
    s.preset.criteria = (struct preset_criteria){1.2, 0.05, NAN, NAN, NAN, 0.1, NAN, NAN, NAN};
    CHECK_INT(summary_criteria(&s, r), 3);
    CHECK_STRING(r[0].metric, "min_speedup");
    CHECK(r[0].known && !r[0].passed && r[0].cell == 1 && r[0].arm == 1);
    CHECK(r[0].achieved > 1.05 && r[0].achieved < 1.15);
    CHECK_STRING(r[1].metric, "max_memory_increase");
    CHECK(r[1].passed && r[1].achieved < 0);
    CHECK_STRING(r[2].metric, "max_cv");
    CHECK(r[2].passed);
    s.preset.criteria.min_speedup = 1.05;
    CHECK_INT(summary_criteria(&s, r), 3);
    CHECK(r[0].passed);
    session_free(&s);
}

TEST(a_criterion_without_data_is_unknown_and_not_passed)
{
    struct session s = maker_session(1, 2, 10);
    struct criterion_result r[SUMMARY_CRITERIA];
    s.preset.criteria = (struct preset_criteria){1.2, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    CHECK_INT(summary_criteria(&s, r), 1);
    CHECK(!r[0].known && !r[0].passed && isnan(r[0].achieved));
    s.preset.criteria.min_speedup = NAN;
    CHECK_INT(summary_criteria(&s, r), 0);
    session_free(&s);
}

TEST(figures_have_no_more_digits_than_their_interval_and_no_locale)
{
    char t[64];
    setlocale(LC_ALL, "de_DE.UTF-8");
    CHECK_STRING(figure_fixed(1234.5678, 2, t, sizeof t), "1234.57");
    CHECK_STRING(figure_fixed(-0.001, 2, t, sizeof t), "0.00");
    CHECK_STRING(figure_fixed(NAN, 2, t, sizeof t), "–");
    CHECK_STRING(figure_digits(0.0123456, 3, t, sizeof t), "0.0123");
    CHECK_STRING(figure_digits(9.996, 3, t, sizeof t), "10.0");
    CHECK_STRING(figure_digits(12345, 3, t, sizeof t), "12345");
    CHECK_STRING(figure_rate(0.844, 3, t, sizeof t), "0.844");
    CHECK_STRING(figure_rate(9999, 3, t, sizeof t), "9999");
    CHECK_STRING(figure_rate(17812, 3, t, sizeof t), "17.8k");
    CHECK_STRING(figure_rate(999600, 3, t, sizeof t), "1.00M");
    CHECK_STRING(figure_rate(25073569, 4, t, sizeof t), "25.07M");
    CHECK_STRING(figure_rate((double)NAN, 4, t, sizeof t), "–");
    CHECK_STRING(figure_against(1.1976, 1.2, 3, t, sizeof t), "1.198");
    CHECK_STRING(figure_against(1.2, 1.2, 3, t, sizeof t), "1.20");
    CHECK_STRING(figure_against(0.10004, 0.1, 3, t, sizeof t), "0.10004");
    CHECK_STRING(figure_against(0.09996, 0.1, 2, t, sizeof t), "0.09996");
    CHECK_STRING(figure_against(NAN, 0.1, 2, t, sizeof t), "\xe2\x80\x93");
    CHECK_STRING(figure_p(3.2e-12, t, sizeof t), "3e-12");
    CHECK_STRING(figure_p(9.7e-5, t, sizeof t), "1e-4");
    CHECK_STRING(figure_p(0.031, t, sizeof t), "0.03");
    CHECK_STRING(figure_p(0.5, t, sizeof t), "0.50");
    CHECK_STRING(figure_p(1e-305, t, sizeof t), "<1e-300");
    CHECK_STRING(figure_p(0, t, sizeof t), "<1e-300");
    CHECK_STRING(figure_interval(1.391, 1.449, figure_decimals(0.029), t, sizeof t), "1.39–1.45");
    CHECK_STRING(figure_interval(1, INFINITY, 2, t, sizeof t), "unbounded");
    CHECK_STRING(figure_interval(0.001, 1.2418e17, 2, t, sizeof t), "0.00–1e17");
    CHECK_STRING(figure_interval(-3, 4e9, 2, t, sizeof t), "-3.00 to 4e9");
    CHECK_STRING(figure_interval(0.13, 12418.07, 2, t, sizeof t), "0.13–12418");
    CHECK_INT(figure_scale_decimals(0.52, 4), 2);
    CHECK_INT(figure_scale_decimals(52, 4), 0);
    CHECK_INT(figure_scale_decimals(1.42, 0.012), 3);
    CHECK_INT(figure_scale_decimals(0, 4), 0);
    CHECK_INT(figure_decimals(0.3), 1);
    CHECK_INT(figure_decimals(0.012), 3);
    CHECK_INT(figure_decimals(40), 0);
    CHECK_STRING(figure_bytes(3.7 * 1024 * 1024 * 1024, t, sizeof t), "3.7 GiB");
    CHECK_STRING(figure_bytes(1023.9 * 1024, t, sizeof t), "1.0 MiB");
    CHECK_STRING(figure_percent(0.95, 1, t, sizeof t), "95 %");
    CHECK_STRING(figure_percent(0.999, 1, t, sizeof t), "99.9 %");
    setlocale(LC_ALL, "C");
}

TEST(a_null_pair_is_called_different_as_often_as_promised)
{
    int wrong = 0, runs = 2000;
    maker_state = 99;
    for (int run = 0; run < runs; run++) {
        struct session s = maker_session(1, 2, 10);
        for (int r = 0; r < 10; r++) {
            double drift = 1 + 0.02 * r; /* common to both arms of a round: pairing removes it */
            maker_block(&s, 0, 0, r, 4, 10 * drift, 0.03);
            maker_block(&s, 0, 1, r, 4, 10 * drift, 0.03);
        }
        struct comparison c = only(&s);
        wrong += c.verdict == VERDICT_FASTER || c.verdict == VERDICT_SLOWER;
        session_free(&s);
    }
    double rate = (double)wrong / runs; /* 5 % promised; the standard error is 0.5 % */
    if (rate < 0.03 || rate > 0.07)
        TEST_FAIL("%d of %d null pairs were called different", wrong, runs);
}

TEST(a_true_speedup_lies_in_its_interval_as_often_as_promised)
{
    int covered = 0, runs = 2000;
    maker_state = 17;
    for (int run = 0; run < runs; run++) {
        struct session s = maker_session(1, 2, 10);
        for (int r = 0; r < 10; r++) {
            maker_block(&s, 0, 0, r, 4, 12.5, 0.03);
            maker_block(&s, 0, 1, r, 4, 10.0, 0.03);
        }
        struct comparison c = only(&s);
        covered += c.speedup_ci.low <= 1.25 && 1.25 <= c.speedup_ci.high;
        session_free(&s);
    }
    double rate = (double)covered / runs;
    if (rate < 0.93 || rate > 0.97)
        TEST_FAIL("%d of %d intervals hold the true speed-up", covered, runs);
}

/* Thirty rounds of which one was slow by much: the rounds say twice as fast, the means do not. */
TEST(where_slow_blocks_make_the_means_tell_another_story_the_verdict_says_so)
{
    for (int slower = 0; slower < 2; slower++) {
        struct session s = maker_session(1, 2, 30);
        maker_fill(&s, 0, 0, 30, slower ? 10.0 : 20.0, 0.01);
        maker_fill(&s, 0, 1, 30, slower ? 20.0 : 10.0, 0.01);
        struct comparison c = only(&s);
        CHECK(!strstr(c.sentence, "ratio of the means"));
        struct block *b = s.cell[0].arm[!slower].blocks[3];
        for (int i = 0; i < b->n; i++)
            b->samples[i].device_ns *= 31;
        c = only(&s);
        CHECK_INT(c.verdict, slower ? VERDICT_SLOWER : VERDICT_FASTER);
        CHECK(c.speedup_of_means > 0.95 && c.speedup_of_means < 1.05);
        CHECK_CONTAINS(c.sentence, slower ? "× slower than baseline" : "× faster than baseline");
        CHECK_CONTAINS(c.sentence, "; the ratio of the means is ");
        session_free(&s);
    }
}
