#include "engine/summary_cache.h"
#include "tests/engine/session_maker.h"

static void check_same(struct summary_cache *cache, const struct session *s)
{
    struct comparison *all;
    struct error e = {0};
    CHECK_INT(summary_comparisons(s, &all, &e), 0);
    const struct comparison *kept = summary_cache_comparisons(cache, s, &e);
    CHECK(kept != NULL);
    for (int i = 0; kept && i < s->n_cells * s->preset.n_arms; i++) {
        CHECK_INT(kept[i].verdict, all[i].verdict);
        CHECK_INT(kept[i].family, all[i].family);
        CHECK(kept[i].p_holm == all[i].p_holm || (isnan(kept[i].p_holm) && isnan(all[i].p_holm)));
        CHECK_STRING(kept[i].sentence, all[i].sentence);
        CHECK_STRING(kept[i].reason, all[i].reason);
    }
    free(all);
}

TEST(the_cache_says_what_a_fresh_computation_says_as_blocks_arrive)
{
    struct session s = maker_session(3, 3, 6);
    struct summary_cache *cache = summary_cache_new();
    check_same(cache, &s);
    for (int r = 0; r < 8; r++)
        for (int a = 0; a < 3; a++)
            for (int cell = 0; cell < 3; cell++) {
                maker_block(&s, cell, a, r, 6, a == 1 ? 9.9 : 10, 0.01);
                if (cell == a)
                    check_same(cache, &s);
            }
    check_same(cache, &s);
    s.cell[1].arm[1].output = (struct output_check){.checked = true, .passed = false, .tolerance = 0.1};
    check_same(cache, &s);
    summary_cache_free(cache);
    session_free(&s);
}

TEST(a_large_session_is_summed_up_in_steps_and_then_only_what_is_new)
{
    struct session s = maker_session(5, 3, 6);
    struct summary_cache *cache = summary_cache_new();
    for (int cell = 0; cell < 5; cell++)
        for (int a = 0; a < 3; a++)
            for (int r = 0; r < 6; r++)
                maker_block(&s, cell, a, r, 6, 10 + a, 0.01);
    int steps = 0;
    double done = 0, last = -1;
    for (; done < 1 && steps < 100; steps++, last = done) {
        done = summary_cache_step(cache, &s, 4);
        CHECK(done > last);
    }
    CHECK_INT(steps, 4); /* 15 arms, 4 at a time */
    check_same(cache, &s);
    maker_block(&s, 2, 1, 6, 6, 11, 0.01);
    CHECK(summary_cache_step(cache, &s, 0) < 1);
    CHECK(summary_cache_step(cache, &s, 1) == 1); /* that arm alone */
    check_same(cache, &s);
    summary_cache_free(cache);
    session_free(&s);
}

TEST(an_arm_is_summed_up_again_when_its_open_block_is_complete)
{
    struct session s = maker_session(1, 2, 6);
    struct summary_cache *cache = summary_cache_new();
    CHECK(summary_cache_arm(cache, &s, 0, 0) == NULL);
    maker_block(&s, 0, 0, 0, 6, 10, 0.01);
    struct block *open = maker_block(&s, 0, 0, 1, 6, 12, 0.01);
    open->n = 3;
    CHECK_INT(summary_cache_arm(cache, &s, 0, 0)->n, 6);
    open->n = 6;
    CHECK_INT(summary_cache_arm(cache, &s, 0, 0)->n, 12);
    CHECK(summary_cache_arm(cache, &s, 1, 0) == NULL && summary_cache_arm(cache, &s, 0, 2) == NULL);
    summary_cache_free(cache);
    session_free(&s);
}
