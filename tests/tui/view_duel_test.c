#include "tests/tui/fixture.h"
#include "tui/duel.h"

#include <math.h>

TEST(duel_looks_as_it_should)
{
    struct app a;
    fixture_open(&a);
    app_show_session(&a, fixture_session(2));
    app_go(&a, VIEW_DUEL);
    fixture_check_sizes(&a, "duel");
    app_show_session(&a, fixture_session(3));
    fixture_check(&a, "duel-three-arms", 160, 45, false);
    fixture_keys(&a, "v");
    fixture_check(&a, "duel-matrix", 80, 24, false);
    app_free(&a);
}

TEST(duel_without_a_session_says_how_to_get_one)
{
    struct app a;
    fixture_open(&a);
    app_go(&a, VIEW_DUEL);
    fixture_check(&a, "duel-empty", 80, 24, false);
    app_free(&a);
}

TEST(a_close_duel_shows_its_band)
{
    struct app a;
    fixture_open(&a);
    struct session *s = malloc(sizeof *s);
    maker_state = 3;
    *s = maker_session(1, 2, 20);
    for (int arm = 0; arm < 2; arm++)
        maker_fill(s, 0, arm, 14, arm ? 6.02 : 6.0, 0.01);
    app_show_session(&a, s);
    app_go(&a, VIEW_DUEL);
    fixture_check(&a, "duel-close", 80, 24, false);
    fixture_keys(&a, "<<");
    fixture_check(&a, "duel-tight", 80, 24, false);
    app_free(&a);
}

/* Rounds of constant blocks: arm 0 takes 10 ms, arm 1 what the test says. */
static void add_round(struct session *s, int round, double ms, unsigned flags)
{
    const double mean[2] = {10 * (1 + 0.001 * (round % 3)), ms};
    for (int arm = 0; arm < 2; arm++) {
        struct error e = {0};
        struct block *b = session_new_block(0, arm, round, arm, 4, &e);
        b->started_ns = round * 2000000000LL + arm * 1000000000LL;
        b->flags = flags;
        for (int i = 0; i < 4; i++)
            b->samples[i] = (struct sample){(int64_t)(mean[arm] * (1 + 0.001 * i) * 1e6), 0, 0};
        b->n = 4;
        if (session_add_block(s, b, &e) != 0)
            TEST_FAIL("%s", e.text);
    }
}

TEST(a_duel_takes_each_round_once_and_waits_for_the_slower_arm)
{
    fixture_environment();
    struct session s = maker_session(1, 2, 10);
    struct duel d = {0};
    for (int r = 0; r < 3; r++)
        add_round(&s, r, 5, 0);
    CHECK_INT(duel_follow(&d, &s, 0, 0, 1, 0.01), 1);
    CHECK_INT(d.n, 3);
    CHECK_INT(duel_follow(&d, &s, 0, 0, 1, 0.01), 0);
    add_round(&s, 3, 5, 0);
    atomic_store(&s.cell[0].arm[1].blocks[3]->n, 2); /* still being filled */
    duel_follow(&d, &s, 0, 0, 1, 0.01);
    CHECK_INT(d.n, 3);
    atomic_store(&s.cell[0].arm[1].blocks[3]->n, 4);
    CHECK_INT(duel_follow(&d, &s, 0, 0, 1, 0.01), 1);
    CHECK_INT(d.n, 4);
    CHECK_CLOSE(d.round[0].ratio, 2, 1e-6);
    duel_free(&d);
    session_free(&s);
}

TEST(bounds_that_may_be_watched_decide_later_than_the_planned_ones)
{
    fixture_environment();
    struct session s = maker_session(1, 2, 10);
    struct duel d = {0};
    for (int r = 0; r < 10; r++)
        add_round(&s, r, 9.8 + 0.05 * (r % 4), 0);
    duel_follow(&d, &s, 0, 0, 1, 0.001);
    CHECK_INT(d.n, 10);
    for (int i = 4; i < d.n; i++) {
        CHECK(d.round[i].watched.low <= d.round[i].planned.low);
        CHECK(d.round[i].watched.high >= d.round[i].planned.high);
    }
    CHECK_INT(d.watched, VERDICT_FASTER);
    CHECK(d.watched_round >= 5);
    CHECK_INT(d.comparison.verdict, VERDICT_FASTER);
    duel_free(&d);
    session_free(&s);
}

TEST(swapped_arms_turn_the_ratio_round)
{
    fixture_environment();
    struct session s = maker_session(1, 2, 6);
    struct duel d = {0};
    for (int r = 0; r < 6; r++)
        add_round(&s, r, 5 + 0.01 * r, 0);
    duel_follow(&d, &s, 0, 0, 1, 0.01);
    double ratio = d.round[5].ratio;
    duel_follow(&d, &s, 0, 1, 0, 0.01);
    CHECK_INT(d.n, 6);
    CHECK_CLOSE(d.round[5].ratio, 1 / ratio, 1e-12);
    CHECK_INT(d.comparison.verdict, VERDICT_SLOWER);
    duel_free(&d);
    session_free(&s);
}

static bool tells(const struct duel *d, const char *word)
{
    for (int i = 0; i < d->n_spoilers; i++)
        if (strstr(d->spoiler[i].text, word))
            return true;
    return false;
}

TEST(what_spoils_a_duel_is_named)
{
    fixture_environment();
    struct session s = maker_session(1, 2, 20);
    struct duel d = {0};
    for (int r = 0; r < 20; r++)
        add_round(&s, r, 9 + (r / 10), r < 6 ? BLOCK_THROTTLED : 0);
    s.cell[0].arm[1].output = (struct output_check){.checked = true, .passed = false};
    duel_follow(&d, &s, 0, 0, 1, 0.01);
    CHECK(tells(&d, "outputs differ"));
    CHECK(tells(&d, "12 of 40 blocks ran throttled"));
    CHECK(tells(&d, "depend on their neighbors"));
    CHECK(tells(&d, "fused is bimodal"));
    CHECK(tells(&d, "more rounds help"));
    CHECK(d.round[0].flagged && !d.round[19].flagged);
    duel_free(&d);
    session_free(&s);
}

TEST(margins_go_by_a_ladder)
{
    CHECK_CLOSE(duel_margin_step(0.01, false), 0.005, 1e-12);
    CHECK_CLOSE(duel_margin_step(0.01, true), 0.02, 1e-12);
    CHECK_CLOSE(duel_margin_step(0.012, false), 0.01, 1e-12);
    CHECK_CLOSE(duel_margin_step(0.001, false), 0.001, 1e-12);
    CHECK_CLOSE(duel_margin_step(0.1, true), 0.1, 1e-12);
}

TEST(live_and_results_lead_to_the_pair_they_point_at)
{
    struct app a;
    fixture_open(&a);
    app_show_session(&a, fixture_session(3));
    fixture_keys(&a, "2");
    app_key(&a, KEY_CODE_HOME);
    fixture_keys(&a, "jd");
    CHECK_INT(a.view, VIEW_DUEL);
    char *text = fixture_draw(&a, 120, 30, false);
    CHECK_CONTAINS(text, "batch 1 ");
    CHECK_CONTAINS(text, "C int8");
    free(text);
    fixture_keys(&a, "x");
    text = fixture_draw(&a, 120, 30, false);
    CHECK_CONTAINS(text, "baseline is");
    CHECK_CONTAINS(text, "slower than int8");
    free(text);
    app_free(&a);
}

TEST(calibration_runs_the_baseline_against_itself_and_is_kept)
{
    struct app a;
    fixture_open(&a);
    a.preset.rounds = a.preset.max_rounds = 6;
    a.preset.n_batch = 1;
    app_replan(&a);
    fixture_keys(&a, "c");
    CHECK_INT(a.view, VIEW_DUEL);
    CHECK(a.calibrating);
    for (int i = 0; i < 5000 && app_running(&a); i++) {
        app_update(&a);
        usleep(1000);
    }
    while (app_update(&a))
        continue;
    CHECK_CONTAINS(a.message, "calibrated: noise floor");
    CHECK_INT(a.session->n_cells, 1);
    CHECK(implementation_equal(&a.session->preset.arms[0].implementation,
                               &a.session->preset.arms[1].implementation));
    fixture_keys(&a, "1r");
    for (int i = 0; i < 5000 && app_running(&a); i++) {
        app_update(&a);
        usleep(1000);
    }
    while (app_update(&a))
        continue;
    fixture_keys(&a, "3");
    char *text = fixture_draw(&a, 160, 45, false);
    CHECK_CONTAINS(text, "this machine's noise floor (A/A, 6 rounds");
    free(text);
    app_free(&a);
}

TEST(an_arm_of_another_vocabulary_is_called_what_it_is)
{
    struct app a;
    fixture_open(&a);
    app_show_session(&a, maker_quality_session());
    app_go(&a, VIEW_DUEL);
    char *text = fixture_draw(&a, 160, 45, false);
    CHECK_CONTAINS(text, "; perplexity +0.8 %");
    free(text);
    app_key(&a, KEY_CODE_DOWN);
    text = fixture_draw(&a, 160, 45, false);
    CHECK_CONTAINS(text, "; output not equivalent, bits per byte +59 %");
    free(text);
    fixture_keys(&a, "x"); /* the baseline is the candidate now: whose cost it is stands there */
    text = fixture_draw(&a, 160, 45, false);
    CHECK_CONTAINS(text, "; adapted: output not equivalent");
    free(text);
    app_go(&a, VIEW_LIVE);
    text = fixture_draw(&a, 160, 45, false);
    CHECK_CONTAINS(text, "output not equivalent");
    free(text);
    app_free(&a);
}
