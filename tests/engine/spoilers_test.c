/* What spoils a comparison is found, named, and keeps the verdict from claiming more than it can. */
#include "engine/summary.h"
#include "tests/engine/session_maker.h"

static struct comparison only(const struct session *s)
{
    struct comparison c;
    CHECK_INT(summary_compare_arms(s, 0, 0, 1, &c), 0);
    return c;
}

static void scale(struct block *b, int i, double factor)
{
    b->samples[i].device_ns = (int64_t)((double)b->samples[i].device_ns * factor);
}

TEST(a_second_mode_seen_too_seldom_keeps_the_verdict_back)
{
    struct session s = maker_session(1, 2, 10);
    for (int r = 0; r < 10; r++) {
        maker_block(&s, 0, 0, r, 5, 10, 0.002);
        struct block *b = maker_block(&s, 0, 1, r, 5, 8, 0.002);
        if (r % 2)
            scale(b, 2, 1.4);
    }
    struct comparison c = only(&s);
    CHECK(c.spoilers.bimodal && c.spoilers.bimodal_rare);
    CHECK_INT(c.spoilers.bimodal_arm, 1);
    CHECK_CLOSE(c.spoilers.mode_ms[0], 8, 0.02);
    CHECK_CLOSE(c.spoilers.mode_ms[1], 11.2, 0.02);
    CHECK_INT(c.verdict, VERDICT_INCONCLUSIVE);
    CHECK_INT(c.reason_code, REASON_BIMODAL);
    CHECK_CONTAINS(c.reason, "bimodal: 8.0");
    CHECK_CONTAINS(c.reason, "11.2 ms");
    CHECK_CONTAINS(
        c.sentence,
        "seems faster than"); /* its interval leaves 1 out: "not shown to differ" is no word for it */
    session_free(&s);
}

TEST(a_second_mode_seen_often_leaves_the_verdict)
{
    struct session s = maker_session(1, 2, 10);
    for (int r = 0; r < 10; r++) {
        maker_block(&s, 0, 0, r, 30, 10, 0.002);
        struct block *b = maker_block(&s, 0, 1, r, 30, 8, 0.002);
        for (int i = 0; i < 30; i += 10)
            scale(b, i, 1.4);
    }
    struct comparison c = only(&s);
    CHECK(c.spoilers.bimodal && !c.spoilers.bimodal_rare);
    CHECK_INT(c.verdict, VERDICT_FASTER);
    session_free(&s);
}

TEST(slow_blocks_that_both_arms_share_are_no_second_mode)
{
    struct session s = maker_session(1, 2, 10);
    for (int r = 0; r < 10; r++)
        for (int a = 0; a < 2; a++)
            maker_block(&s, 0, a, r, 20, (a ? 8 : 10) * (r == 4 ? 1.4 : 1), 0.002);
    struct comparison c = only(&s);
    CHECK(!c.spoilers.bimodal);
    CHECK_INT(c.verdict, VERDICT_FASTER);
    session_free(&s);
}

TEST(throttled_blocks_are_the_reason_where_the_verdict_is_open)
{
    struct session s = maker_session(1, 2, 6);
    for (int r = 0; r < 6; r++)
        for (int a = 0; a < 2; a++) {
            bool slow = r < 3 && a == 1;
            struct block *b = maker_block(&s, 0, a, r, 20, slow ? 10.4 : 10, 0.01);
            b->flags |= slow ? BLOCK_THROTTLED : 0u;
        }
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_INCONCLUSIVE);
    CHECK_INT(c.reason_code, REASON_THROTTLED);
    CHECK_CONTAINS(c.reason, "3 of 12 blocks flagged throttled");
    CHECK_STRING(reason_names[c.reason_code], "throttled");
    session_free(&s);
}

TEST(drift_is_named_by_the_minute)
{
    struct session s = maker_session(1, 2, 12);
    for (int r = 0; r < 12; r++) /* a round takes a second: 0.1 % each is 6 % a minute */
        for (int a = 0; a < 2; a++)
            maker_block(&s, 0, a, r, 1, 10 * (1 + 0.001 * r), a && r % 2 ? 0.0001 : 0.00012);
    struct comparison c = only(&s);
    CHECK(c.spoilers.drifts);
    CHECK_CLOSE(c.spoilers.drift_per_minute, 0.062, 0.1);
    CHECK_CLOSE(c.spoilers.seconds_per_round, 1, 1e-9);
    char text[160];
    summary_spoilers_text(&c.spoilers, text, sizeof text);
    CHECK_CONTAINS(text, "drift 6 % per minute");
    session_free(&s);
}

TEST(an_open_verdict_says_how_many_seconds_would_close_it)
{
    struct session s = maker_session(1, 2, 10);
    for (int r = 0; r < 10; r++)
        for (int a = 0; a < 2; a++)
            maker_block(&s, 0, a, r, 20, 10, 0.02);
    struct comparison c = only(&s);
    CHECK_INT(c.verdict, VERDICT_INCONCLUSIVE);
    CHECK_INT(c.reason_code, REASON_NEEDS_MORE);
    CHECK(c.rounds_left >= 1 && c.seconds_left == c.rounds_left);
    CHECK_CONTAINS(c.reason, "needs about ");
    CHECK_CONTAINS(c.reason, "more for ±1 %");
    session_free(&s);
}

TEST(a_watched_session_is_judged_by_its_sequence_from_the_fifth_round_on)
{
    struct session s = maker_session(1, 2, 30);
    s.preset.watch = true;
    for (int r = 0; r < 8; r++)
        for (int a = 0; a < 2; a++)
            maker_block(&s, 0, a, r, 20, a ? 8 : 10, 0.01);
    struct comparison c = only(&s);
    CHECK(c.final && c.decision.watched);
    CHECK_INT(c.verdict, VERDICT_FASTER);
    CHECK(c.speedup_ci.low == c.always_ci.low);
    CHECK_CONTAINS(c.reason, "always-valid");
    s.preset.watch = false;
    c = only(&s);
    CHECK(!c.final && c.speedup_ci.low > c.always_ci.low);
    session_free(&s);
}

TEST(the_budget_of_an_arm_names_what_its_interval_is_made_of)
{
    struct session s = maker_session(1, 2, 40);
    for (int r = 0; r < 40; r++) {
        maker_block(&s, 0, 0, r, 20, 10 * (r % 2 ? 1 : 1.1), 0.001);
        maker_block(&s, 0, 1, r, 20, 10, 0.001);
    }
    struct stats_variance_budget v;
    CHECK_INT(summary_budget(&s, 0, 0, &v), 0);
    CHECK(v.between > 0.95);
    for (int r = 0; r < 40; r++) {
        struct block *b = s.cell[0].arm[0].blocks[r];
        b->telemetry = (struct block_telemetry){.valid = TELEMETRY_CLOCK, .clock_mhz = r % 2 ? 2000 : 1800};
    }
    CHECK_INT(summary_budget(&s, 0, 0, &v), 0);
    CHECK(v.clock > 0.95);
    session_free(&s);
}
