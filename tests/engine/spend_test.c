/* The precision scheduler, pure and through the engine. */
#include "engine/spend.h"
#include "engine/summary.h"
#include "tests/engine/fake_run.h"
#include "tests/engine/session_maker.h"

static void fill(struct session *s, int cell, double spread, double candidate_ms)
{
    for (int r = 0; r < 10; r++) {
        maker_block(s, cell, 0, r, 4, 10, spread);
        maker_block(s, cell, 1, r, 4, candidate_ms, spread);
    }
    s->cell[cell].status = CELL_OK;
    s->cell[cell].rounds_planned = 10;
}

TEST(the_widest_cell_goes_first_and_precise_or_settled_ones_never)
{
    struct session s = maker_session(4, 2, 10);
    struct spend_visit v;
    bool closed[4] = {false};
    s.preset.max_rounds = 100;
    fill(&s, 0, 0.02, 10);
    fill(&s, 1, 0.04, 10);   /* the widest that is open */
    fill(&s, 2, 0.0002, 10); /* precise */
    fill(&s, 3, 0.05, 3);    /* wide, but nobody doubts it */
    CHECK(spend_next(&s, closed, 1000, &v));
    CHECK_INT(v.cell, 1);
    CHECK_INT(v.first_round, 10);
    CHECK(v.rounds >= 2 && v.rounds <= 10 && v.goal == 0.005);
    closed[1] = true;
    CHECK(spend_next(&s, closed, 1000, &v));
    CHECK_INT(v.cell, 0);
    closed[0] = true;
    CHECK(!spend_next(&s, closed, 1000, &v));
    session_free(&s);
}

TEST(a_visit_fits_the_time_that_is_left_and_the_cap)
{
    struct session s = maker_session(1, 2, 10);
    struct spend_visit v;
    bool closed[1] = {false};
    s.preset.max_rounds = 100;
    fill(&s, 0, 0.04, 10); /* 80 ms of samples a round */
    CHECK(!spend_next(&s, closed, 0.1, &v));
    CHECK(spend_next(&s, closed, 0.4, &v));
    CHECK_INT(v.rounds, 4);
    s.preset.max_rounds = 13;
    CHECK(spend_next(&s, closed, 100, &v));
    CHECK_INT(v.rounds, 3);
    s.preset.max_rounds = 10;
    CHECK(!spend_next(&s, closed, 100, &v));
    session_free(&s);
}

#define BUDGET(more)                                                                                         \
    "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"gpt2-124m\"],"       \
    "\"arms\":[\"baseline\",\"fused\"],\"workloads\":[\"prefill\"],\"batch\":[1,2,4],\"seq\":[32],"          \
    "\"rounds\":10,\"max_rounds\":400,\"samples_per_block\":5,\"warmup_min\":2,\"warmup_max\":4,"            \
    "\"seed\":3," more "\"fake\":{\"arms\":{\"baseline\":{\"law\":\"normal\",\"mean_ms\":10,"                \
    "\"within_sd\":0.01,\"between_sd\":0.02},\"fused\":{\"law\":\"normal\",\"mean_ms\":10,"                  \
    "\"within_sd\":0.01,\"between_sd\":0.02}}}}"

static int rounds_of(const struct session_cell *c)
{
    return c->arm[0].n_blocks;
}

TEST(a_time_budget_is_spent_on_open_cells_until_they_are_precise)
{
    struct engine *g = fake_run(BUDGET("\"time_budget_s\":150,"));
    if (!g)
        return;
    const struct session *s = engine_session(g);
    for (int c = 0; c < s->n_cells; c++) {
        struct comparison x;
        CHECK_INT(summary_compare_arms(s, c, 0, 1, &x), 0);
        CHECK(rounds_of(&s->cell[c]) > 40);
        CHECK_INT(s->cell[c].rounds_planned, rounds_of(&s->cell[c]));
        CHECK_STRING(s->cell[c].stop_rule, "precision");
        CHECK(x.final && x.speedup_ci.high / x.speedup_ci.low < 1.0102);
        CHECK_INT(s->cell[c].status, CELL_OK);
        for (int r = 0; r < rounds_of(&s->cell[c]); r++) /* no round twice, none left out */
            CHECK_INT(s->cell[c].arm[1].blocks[r]->round, r);
        /* a later visit is warmed again and draws other samples */
        CHECK(s->cell[c].arm[0].blocks[10]->n_warmup > 0);
        CHECK(s->cell[c].arm[0].blocks[10]->samples[0].device_ns !=
              s->cell[c].arm[0].blocks[0]->samples[0].device_ns);
    }
    fake_end(g);
}

TEST(a_small_time_budget_ends_in_time_with_every_cell_measured)
{
    struct engine *g = fake_run(BUDGET("\"time_budget_s\":7,"));
    if (!g)
        return;
    const struct session *s = engine_session(g);
    int rounds = 0;
    for (int c = 0; c < s->n_cells; c++) {
        CHECK(rounds_of(&s->cell[c]) >= 10);
        rounds += rounds_of(&s->cell[c]);
    }
    CHECK(rounds > 30 && rounds < 80);
    CHECK(engine_now_ns(g) < (int64_t)7200000000);
    CHECK_INT(s->status, SESSION_COMPLETE);
    fake_end(g);
}

TEST(without_a_time_budget_nothing_is_visited_twice)
{
    struct engine *g = fake_run(BUDGET("\"half_width\":0.5,"));
    if (!g)
        return;
    const struct session *s = engine_session(g);
    for (int c = 0; c < s->n_cells; c++)
        CHECK_INT(rounds_of(&s->cell[c]), 10);
    fake_end(g);
}

TEST(a_limit_that_cuts_a_visit_short_leaves_a_verdict_over_whole_rounds)
{
    struct engine *g = fake_run(BUDGET("\"time_budget_s\":100,\"budget_s\":6.033,"));
    if (!g)
        return;
    const struct session *s = engine_session(g);
    int cut = 0;
    for (int c = 0; c < s->n_cells; c++) {
        struct comparison x;
        CHECK_INT(summary_compare_arms(s, c, 0, 1, &x), 0);
        CHECK(x.final);
        CHECK_INT(s->cell[c].rounds_planned, (int)x.decision.n);
        for (int a = 0; a < 2; a++)
            for (int i = 0; i < s->cell[c].arm[a].n_blocks; i++)
                cut += (s->cell[c].arm[a].blocks[i]->flags & BLOCK_PARTIAL) != 0;
    }
    CHECK(cut <= 1);
    CHECK(engine_now_ns(g) < (int64_t)6200000000);
    fake_end(g);
}
