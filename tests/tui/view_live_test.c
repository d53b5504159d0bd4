#include "tests/tui/fixture.h"
#include "tui/live.h"
#include "tui/view_live.h"

#include <time.h>

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct session one_block(int n, double (*ms)(int i))
{
    struct session s = maker_session(1, 1, 1);
    struct error e = {0};
    struct block *b = session_new_block(0, 0, 0, 0, n, &e);
    for (int i = 0; i < n; i++)
        b->samples[i] = (struct sample){(int64_t)(ms(i) * 1e6), 0, 0};
    b->n = n;
    if (session_add_block(&s, b, &e) != 0)
        TEST_FAIL("%s", e.text);
    return s;
}

static double ramp(int i)
{
    return 1 + 0.001 * i;
}

TEST(live_looks_as_it_should)
{
    struct app a;
    fixture_open(&a);
    app_show_session(&a, fixture_session(2));
    app_go(&a, VIEW_LIVE);
    fixture_check_sizes(&a, "live");
    app_show_session(&a, fixture_session(3));
    fixture_check(&a, "live-three-arms", 100, 30, false);
    fixture_keys(&a, "f");
    for (int i = 0; i < 3; i++)
        app_key(&a, KEY_CODE_LEFT);
    fixture_check(&a, "live-frozen", 100, 30, false);
    app_free(&a);
}

TEST(intervals_are_called_by_their_confidence_and_simulated_times_by_their_name)
{
    struct app a;
    fixture_open(&a);
    struct session *s = fixture_session(2);
    s->preset.confidence = 0.999;
    strcpy(s->preset.device, "fake");
    app_show_session(&a, s);
    app_go(&a, VIEW_LIVE);
    char *text = fixture_draw(&a, 100, 30, false);
    CHECK_CONTAINS(text, "mean and its 99.9 % interval over blocks");
    CHECK_CONTAINS(text, "99.9 % CI");
    CHECK_CONTAINS(text, "± 99.9 %");
    CHECK(!strstr(text, "95 %"));
    CHECK_CONTAINS(text, "simulated: gpt2-124m");
    free(text);
    app_go(&a, VIEW_RESULTS);
    text = fixture_draw(&a, 100, 30, false);
    CHECK_CONTAINS(text, "simulated: fused is");
    CHECK_CONTAINS(text, "ms, 99.9 % CI"); /* not 100 % */
    CHECK(!strstr(text, "100 % CI"));
    free(text);
    app_go(&a, VIEW_DUEL);
    text = fixture_draw(&a, 100, 30, false);
    CHECK_CONTAINS(text, "simulated: gpt2-124m");
    CHECK_CONTAINS(text, "planned 99.9 %");
    free(text);
    app_free(&a);
}

TEST(live_without_a_session_says_how_to_get_one)
{
    struct app a;
    fixture_open(&a);
    app_go(&a, VIEW_LIVE);
    fixture_check(&a, "live-empty", 80, 24, false);
    app_free(&a);
}

TEST(each_sample_is_counted_once_as_blocks_grow)
{
    fixture_environment();
    struct session s = one_block(1000, ramp);
    struct live *l = live_new();
    s.cell[0].arm[0].blocks[0]->n = 10;
    CHECK_INT(live_follow(l, &s), 1);
    CHECK_INT(live_follow(l, &s), 0);
    CHECK_INT((long long)live_arm(l, 0, 0)->latency.n, 10);
    s.cell[0].arm[0].blocks[0]->n = 1000;
    CHECK_INT(live_follow(l, &s), 1);
    CHECK_INT((long long)live_arm(l, 0, 0)->bins.total, 1000);
    CHECK_CLOSE(live_arm(l, 0, 0)->latency.mean, 1 + 0.001 * 999 / 2, 1e-6);
    CHECK(live_arm(l, 0, 1) == NULL && live_arm(l, -1, 0) == NULL && live_arm(l, 1, 0) == NULL);
    live_free(l);
    session_free(&s);
}

TEST(quantiles_by_the_bins_agree_with_the_exact_ones)
{
    fixture_environment();
    struct session s = one_block(20000, ramp);
    struct live *l = live_new();
    live_follow(l, &s);
    for (double p = 0.01; p < 1; p += 0.07)
        CHECK_CLOSE(live_quantile(&live_arm(l, 0, 0)->bins, p), 1 + 0.001 * p * 19999, 0.0025);
    struct live_bins none = {0};
    CHECK(isnan(live_quantile(&none, 0.5)));
    live_free(l);
    session_free(&s);
}

TEST(columns_hold_every_sample_and_only_ever_grow)
{
    fixture_environment();
    struct session s = one_block(5000, ramp);
    struct live *l = live_new();
    struct live_range range = {0};
    uint32_t count[LIVE_COLUMNS_MAX], before[LIVE_COLUMNS_MAX] = {0};
    uint64_t under, over;
    struct live_range last = {0};
    for (int n = 100; n <= 5000; n += 100) {
        s.cell[0].arm[0].blocks[0]->n = n;
        live_follow(l, &s);
        live_choose_range(l, &s, 0, 50, &range);
        live_columns(&live_arm(l, 0, 0)->bins, &range, 50, count, &under, &over);
        uint64_t sum = under + over;
        for (int i = 0; i < 50; i++) {
            sum += count[i];
            if (last.first == range.first && last.per_column == range.per_column)
                CHECK(count[i] >= before[i]);
            before[i] = count[i];
        }
        CHECK_INT((long long)sum, n);
        CHECK(under + over <= (uint64_t)n / 100);
        last = range;
    }
    CHECK(live_column_edge(&range, 0) <= 1.02 && live_column_edge(&range, 50) >= 5.9);
    live_free(l);
    session_free(&s);
}

TEST(one_outlier_does_not_flatten_the_histogram)
{
    fixture_environment();
    struct session s = one_block(5000, ramp);
    s.cell[0].arm[0].blocks[0]->samples[2500].device_ns = 90000000000;
    struct live *l = live_new();
    struct live_range range = {0};
    uint32_t count[50];
    uint64_t under, over;
    live_follow(l, &s);
    live_choose_range(l, &s, 0, 50, &range);
    live_columns(&live_arm(l, 0, 0)->bins, &range, 50, count, &under, &over);
    CHECK(live_column_edge(&range, 50) < 100);
    CHECK(over >= 1);
    live_free(l);
    session_free(&s);
}

TEST(summaries_are_kept_until_something_changed_and_time_has_passed)
{
    fixture_environment();
    struct session s = one_block(1000, ramp);
    struct live *l = live_new();
    s.status = SESSION_RUNNING;
    s.cell[0].status = CELL_RUNNING;
    s.cell[0].arm[0].blocks[0]->n = 500;
    live_follow(l, &s);
    int64_t now = 5000000000;
    CHECK_INT(live_summary(l, &s, 0, 0, now)->n, 500);
    s.cell[0].arm[0].blocks[0]->n = 1000;
    live_follow(l, &s);
    CHECK_INT(live_summary(l, &s, 0, 0, now + 1000000)->n, 500);
    CHECK_INT(live_summary(l, &s, 0, 0, now + 60000000000)->n, 1000);
    live_free(l);
    session_free(&s);
}

TEST(a_million_samples_cost_little_memory_and_time)
{
    fixture_environment();
    struct session s = one_block(1000000, ramp);
    struct live *l = live_new();
    s.status = SESSION_RUNNING;
    s.cell[0].status = CELL_RUNNING;
    double start = cpu_ms();
    live_follow(l, &s);
    CHECK(live_summary(l, &s, 0, 0, 1)->n == 1000000);
    double first = cpu_ms() - start;
    CHECK(live_arm(l, 0, 0)->bins.n < 10000);
    s.cell[0].arm[0].blocks[0]->n = 999999; /* as if it had grown meanwhile */
    start = cpu_ms();
    for (int i = 0; i < 100; i++)
        live_summary(l, &s, 0, 0, 1 + i * (int64_t)50000000);
    double later = (cpu_ms() - start) / 100;
    if (first > 3000 || later > 10)
        TEST_FAIL("taking in a million samples took %.0f ms, a frame after it %.2f ms", first, later);
    live_free(l);
    session_free(&s);
}

TEST(the_cursor_reads_values_out_of_the_frozen_histogram)
{
    struct app a;
    fixture_open(&a);
    app_show_session(&a, fixture_session(2));
    app_go(&a, VIEW_LIVE);
    free(fixture_draw(&a, 100, 30, false));
    fixture_keys(&a, "f");
    CHECK(a.frozen);
    char *text = fixture_draw(&a, 100, 30, false);
    CHECK_CONTAINS(text, "frozen");
    CHECK_CONTAINS(text, "% up to it");
    free(text);
    int at = a.live->cursor;
    app_key(&a, KEY_CODE_RIGHT);
    CHECK_INT(a.live->cursor, at + 1);
    for (int i = 0; i < 500; i++)
        app_key(&a, KEY_CODE_RIGHT);
    CHECK(a.live->cursor < a.live->range_columns);
    fixture_keys(&a, "\033");
    CHECK(!a.frozen);
    CHECK_INT(a.view, VIEW_LIVE);
    app_free(&a);
}

TEST(arrows_walk_along_the_sweep_and_choose_the_arm_spoken_of)
{
    struct app a;
    fixture_open(&a);
    app_show_session(&a, fixture_session(3));
    app_go(&a, VIEW_LIVE);
    char *text = fixture_draw(&a, 100, 30, false);
    CHECK_CONTAINS(text, "batch 1 ");
    CHECK_CONTAINS(text, "fused is");
    free(text);
    app_key(&a, KEY_CODE_RIGHT);
    app_key(&a, KEY_CODE_RIGHT);
    app_key(&a, KEY_CODE_DOWN);
    text = fixture_draw(&a, 100, 30, false);
    CHECK_CONTAINS(text, "batch 4 ");
    CHECK_CONTAINS(text, "int8 is");
    free(text);
    app_free(&a);
}

TEST(a_frame_at_200_by_60_costs_under_two_milliseconds)
{
    struct app a;
    struct grid g;
    fixture_open(&a);
    app_show_session(&a, fixture_session(3));
    app_go(&a, VIEW_LIVE);
    if (grid_init(&g, 200, 60) != 0)
        abort();
    app_draw(&a, &g);
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        double start = cpu_ms();
        for (int i = 0; i < 20; i++) {
            fixture_clock_ns += 50000000;
            app_draw(&a, &g);
        }
        best = fmin(best, (cpu_ms() - start) / 20);
    }
    if (best > (getenv("SANITIZER") ? 40 : 2))
        TEST_FAIL("a frame costs %.2f ms", best);
    grid_free(&g);
    app_free(&a);
}
