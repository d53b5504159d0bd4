#include "engine/stop.h"

#include "tests/test.h"

static struct stop_state at(int rounds, int planned, int cap, double half_width, double target)
{
    return (struct stop_state){
        .rounds = rounds, .planned = planned, .cap = cap, .half_width = half_width, .target = target};
}

static enum stop_rule rule(struct stop_state s)
{
    return stop_decide(&s);
}

TEST(nothing_ends_a_cell_before_the_planned_rounds)
{
    CHECK_INT(rule(at(9, 10, 30, 0.0001, 0.01)), STOP_NOT);
}

TEST(the_planned_rounds_end_a_cell_without_extension)
{
    CHECK_INT(rule(at(10, 10, 10, 0.5, 0.01)), STOP_PLANNED);
    CHECK_INT(rule(at(10, 10, 30, 0.5, 0)), STOP_PLANNED);
}

TEST(an_extension_goes_on_until_precise_or_capped)
{
    CHECK_INT(rule(at(10, 10, 30, 0.009, 0.01)), STOP_PRECISION);
    CHECK_INT(rule(at(10, 10, 30, 0.011, 0.01)), STOP_NOT);
    CHECK_INT(rule(at(10, 10, 30, NAN, 0.01)), STOP_NOT);
    CHECK_INT(rule(at(30, 10, 30, 0.011, 0.01)), STOP_CAP);
}

TEST(a_used_share_of_the_budget_ends_an_extension_and_a_long_plan)
{
    struct stop_state s = at(12, 10, 30, 0.5, 0.01);
    s.share_used = true;
    CHECK_INT(rule(s), STOP_BUDGET);
    s.rounds = 2;
    CHECK_INT(rule(s), STOP_BUDGET);
    s.rounds = 1;
    CHECK_INT(rule(s), STOP_NOT);
}

static double half_width(double *const *mean, int arms, int rounds, double confidence, double *scratch)
{
    return stop_half_width(&(struct stop_question){.mean = mean,
                                                   .arms = arms,
                                                   .rounds = rounds,
                                                   .planned = rounds,
                                                   .confidence = confidence,
                                                   .scratch = scratch});
}

TEST(a_watched_cell_ends_with_its_decision_or_its_cap_not_with_the_plan)
{
    struct stop_state s = at(10, 10, 30, NAN, 0.01);
    s.watched = true;
    CHECK_INT(rule(s), STOP_NOT);
    s.decided = true;
    CHECK_INT(rule(s), STOP_DECIDED);
    s.rounds = STOP_WATCH_ROUNDS - 1;
    CHECK_INT(rule(s), STOP_NOT);
    s.decided = false;
    s.rounds = 30;
    CHECK_INT(rule(s), STOP_CAP);
}

TEST(every_candidate_must_be_decided)
{
    double a[] = {10, 10.1, 10, 9.9, 10.1, 10, 9.9, 10.1}, b[] = {5, 5.01, 5.02, 5, 5.01, 5.02, 5, 5.01},
           c[] = {10.1, 9.8, 10.3, 9.9, 10, 10.2, 9.7, 10.1}, scratch[8];
    struct stop_question q = {.mean = (double *const[]){a, b, c},
                              .arms = 2,
                              .rounds = 8,
                              .planned = 8,
                              .confidence = 0.95,
                              .margin = 0.01,
                              .watch = true,
                              .scratch = scratch};
    CHECK(stop_is_decided(&q));
    q.arms = 3;
    CHECK(!stop_is_decided(&q));
    q.arms = 1;
    CHECK(!stop_is_decided(&q));
}

TEST(the_half_width_of_two_arms_is_that_of_their_paired_ratio)
{
    double a[] = {10, 11, 12, 13}, b[] = {5.1, 5.4, 6.1, 6.4}, scratch[12];
    double *mean[] = {a, b};
    struct stats_paired p;
    stats_paired_log_ratio(a, b, 4, 0.95, &p);
    double want = expm1((p.ci.high - p.ci.low) / 2);
    CHECK_CLOSE(half_width(mean, 2, 4, 0.95, scratch), want, 1e-12);
    CHECK(want < 0.1); /* the drift of both cancels */
}

TEST(the_widest_candidate_decides_and_lost_rounds_are_left_out)
{
    double a[] = {10, 10, 10, 10}, b[] = {5, 5.001, 5, 5.001}, c[] = {7, 8, NAN, 7}, scratch[12];
    double *both[] = {a, b, c}, *narrow[] = {a, b}, *wide[] = {a, c};
    double w = half_width(both, 3, 4, 0.95, scratch);
    CHECK_CLOSE(w, half_width(wide, 2, 4, 0.95, scratch), 1e-12);
    CHECK(w > half_width(narrow, 2, 4, 0.95, scratch));
    double x[] = {10, 10, 10}, y[] = {7, 8, 7};
    double *pairs[] = {x, y};
    CHECK_CLOSE(w, half_width(pairs, 2, 3, 0.95, scratch), 1e-12);
}

TEST(one_arm_alone_is_judged_by_its_block_means)
{
    double a[] = {9, 10, 11}, none[] = {NAN, NAN, NAN}, scratch[9];
    double *mean[] = {a, none};
    CHECK_CLOSE(half_width(mean, 1, 3, 0.95, scratch), 4.302652729911275 / sqrt(3) / 10, 1e-9);
    CHECK_CLOSE(half_width(mean, 2, 3, 0.95, scratch), 4.302652729911275 / sqrt(3) / 10, 1e-9);
    CHECK(isnan(half_width(mean, 1, 1, 0.95, scratch)));
}
