#include "tests/tui/fixture.h"
#include "tui/dialog.h"
#include "tui/job.h"

#include <time.h>

static void check_shows(struct app *a, int width, int height, const char *part)
{
    char *text = fixture_draw(a, width, height, false);
    CHECK_CONTAINS(text, part);
    free(text);
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void run_to_the_end(struct app *a)
{
    for (int i = 0; i < 3000 && app_running(a); i++) {
        app_update(a);
        pause_ms(5);
    }
    app_update(a);
    CHECK(!app_running(a));
}

TEST(the_help_key_stands_on_every_screen_at_every_width)
{
    struct app a;
    fixture_open(&a);
    for (int view = 0; view < VIEWS; view++)
        for (int width = 40; width < 120; width += 3) {
            app_go(&a, (enum view_id)view);
            char *text = fixture_draw(&a, width, 12, false);
            if (!strstr(text, "? help"))
                TEST_FAIL("screen %d at width %d shows no ? help", view, width);
            free(text);
        }
    app_free(&a);
}

TEST(a_terminal_too_small_gets_a_sentence_with_both_sizes)
{
    struct app a;
    fixture_open(&a);
    check_shows(&a, 39, 20, "39 x 20 is too small");
    check_shows(&a, 80, 9, "benchtop needs 40 x 10");
    fixture_keys(&a, "q");
    CHECK(a.quit);
    app_free(&a);
}

TEST(digits_and_brackets_change_the_screen_and_escape_leads_back)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "4");
    CHECK_INT(a.view, VIEW_RESULTS);
    fixture_keys(&a, "]");
    CHECK_INT(a.view, VIEW_SESSIONS);
    fixture_keys(&a, "[[");
    CHECK_INT(a.view, VIEW_DUEL);
    fixture_keys(&a, "[");
    CHECK_INT(a.view, VIEW_LIVE);
    fixture_keys(&a, "\033");
    CHECK_INT(a.view, VIEW_SETUP);
    fixture_keys(&a, "\033\033\033");
    CHECK(!a.quit);
    app_free(&a);
}

TEST(a_click_focuses_a_tab_or_a_panel)
{
    struct app a;
    fixture_open(&a);
    free(fixture_draw(&a, 100, 30, false));
    app_click(&a, 5, 6); /* a model in the list at the left */
    char *text = fixture_draw(&a, 100, 30, false);
    CHECK_CONTAINS(text, "\xe2\x94\x82 \xe2\x96\xb8 "); /* its pointer, right at the frame */
    free(text);
    app_click(&a, a.tab_x[VIEW_SESSIONS] + 1, 0);
    CHECK_INT(a.view, VIEW_SESSIONS);
    app_click(&a, 99, 0);
    app_click(&a, 50, 10);
    CHECK_INT(a.view, VIEW_SESSIONS);
    app_free(&a);
}

TEST(help_comes_from_the_table_and_any_key_closes_it)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "?");
    CHECK(a.dialog != NULL);
    check_shows(&a, 100, 60, "Start the run that the plan describes.");
    check_shows(&a, 100, 60, "On every screen");
    fixture_keys(&a, "x");
    CHECK(a.dialog == NULL);
    app_free(&a);
}

TEST(help_is_wrapped_and_never_cut_however_narrow)
{
    static const int size[][2] = {{160, 45}, {80, 24}, {60, 20}, {40, 10}};
    struct app a;
    fixture_open(&a);
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        bool seen[64] = {false};
        fixture_keys(&a, "?");
        for (int page = 0; page < 200; page++) {
            char *text = fixture_draw(&a, size[i][0], size[i][1], false);
            char *body = strchr(text, '\n'); /* below the tabs and the device, which may be cut */
            if (strstr(body, "\xe2\x80\xa6"))
                TEST_FAIL("%dx%d cuts help:%s", size[i][0], size[i][1], body);
            for (int k = 0; k < action_count; k++) /* its last word stands somewhere */
                seen[k] |= strstr(body, strrchr(action_table[k].help, ' ')) != NULL ||
                           strstr(body, strrchr(action_table[k].help, ' ') + 1) != NULL;
            free(text);
            app_key(&a, KEY_CODE_DOWN);
        }
        for (int k = 0; k < action_count; k++)
            if (!seen[k] && (action_table[k].views >> a.view & 1u))
                TEST_FAIL("%dx%d never shows the end of: %s", size[i][0], size[i][1], action_table[k].help);
        app_key(&a, KEY_CODE_ESCAPE);
        CHECK(a.dialog == NULL);
    }
    app_free(&a);
}

TEST(the_palette_finds_commands_of_this_screen_by_words)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, ":sess");
    check_shows(&a, 100, 30, "sessions");
    fixture_keys(&a, "\n");
    CHECK_INT(a.view, VIEW_SESSIONS);
    fixture_keys(&a, ":measure dev"); /* means nothing here */
    check_shows(&a, 100, 30, "nothing matches");
    fixture_keys(&a, "\033");
    CHECK(a.dialog == NULL);
    app_free(&a);
}

TEST(text_entry_takes_letters_that_are_commands_elsewhere)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "w");
    CHECK(a.dialog != NULL);
    for (int i = 0; i < 40; i++)
        app_key(&a, KEY_CODE_BACKSPACE);
    fixture_keys(&a, "q?h j");
    CHECK(!a.quit);
    fixture_keys(&a, "\n");
    CHECK(a.dialog != NULL); /* refused, and told why */
    check_shows(&a, 100, 30, "letters, digits");
    for (int i = 0; i < 40; i++)
        app_key(&a, KEY_CODE_BACKSPACE);
    fixture_keys(&a, "mine\n");
    CHECK(a.dialog == NULL);
    CHECK_CONTAINS(a.message, "saved as");
    struct preset p = {0};
    struct error e = {0};
    CHECK_INT(catalog_preset("mine", &p, NULL, &e), 0);
    CHECK(preset_equal(&p, &a.preset));
    preset_free(&p);
    fixture_keys(&a, "w\n"); /* the same name again asks first */
    check_shows(&a, 100, 30, "Replace your preset mine?");
    fixture_keys(&a, "\033");
    app_free(&a);
}

TEST(a_preset_is_opened_from_the_menu)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "o");
    CHECK(a.dialog != NULL);
    fixture_keys(&a, "batch-scal\n");
    CHECK_STRING(a.preset.name, "batch-scaling");
    CHECK_STRING(a.preset.device, "fake");
    CHECK(!a.message_is_error);
    app_free(&a);
}

TEST(a_run_is_folded_saved_and_shown)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "r");
    CHECK_INT(a.view, VIEW_LIVE);
    CHECK(a.live_session != NULL && a.session == a.live_session);
    if (!a.live_session) {
        printf("%s\n", a.message);
        app_free(&a);
        return;
    }
    run_to_the_end(&a);
    CHECK_CONTAINS(a.message, "saved as");
    CHECK(session_samples(a.session) > 0);
    CHECK_INT(a.session->status, SESSION_COMPLETE);
    for (int c = 0; c < a.session->n_cells; c++)
        CHECK_INT(a.session->cell[c].status, CELL_OK);
    check_shows(&a, 100, 30, "complete");
    fixture_keys(&a, "4");
    check_shows(&a, 100, 30, "optimized");
    fixture_keys(&a, "5");
    fixture_settle(&a);
    check_shows(&a, 100, 30, "fixture");
    fixture_keys(&a, "1r"); /* again: the old run is let go */
    run_to_the_end(&a);
    app_free(&a);
}

TEST(the_wait_for_weights_shows_how_far_they_are_on_every_width)
{
    struct app a;
    struct error e = {0};
    fixture_open(&a);
    a.realtime = true; /* 27 GB take the simulated device seconds */
    CHECK_INT(preset_set(&a.preset, "models", "[\"llama-7b\"]", &e), 0);
    app_replan(&a);
    fixture_keys(&a, "r");
    for (int i = 0; i < 400 && !a.phase[0]; i++) {
        pause_ms(5);
        app_update(&a);
    }
    check_shows(&a, 80, 24, "no samples of this cell yet: weights, ");
    check_shows(&a, 160, 45, "no samples of this cell yet: weights, ");
    engine_command(a.engine, ENGINE_STOP);
    run_to_the_end(&a);
    app_free(&a);
}

TEST(the_question_whether_to_stop_goes_when_the_run_ends_by_itself)
{
    struct app a;
    fixture_open(&a);
    a.realtime = true;
    fixture_keys(&a, "rq");
    CHECK(a.dialog);
    app_update(&a);
    CHECK(a.dialog); /* the run goes on: the question stays */
    engine_command(a.engine, ENGINE_STOP);
    run_to_the_end(&a);
    CHECK(!a.dialog && !a.quit);
    fixture_keys(&a, "q");
    CHECK(a.quit);
    app_free(&a);
}

TEST(a_run_is_stopped_by_quitting_only_after_asking)
{
    struct app a;
    fixture_open(&a);
    a.realtime = true;
    fixture_keys(&a, "r");
    CHECK(app_running(&a));
    fixture_keys(&a, "q");
    CHECK(!a.quit && a.dialog);
    check_shows(&a, 80, 24, "What was measured is kept");
    fixture_keys(&a, "n");
    CHECK(!a.quit && !a.dialog);
    fixture_keys(&a, "q\n");
    CHECK(a.quit);
    app_stop_run(&a);
    CHECK(!app_running(&a));
    CHECK_INT(a.session->status, SESSION_STOPPED);
    app_free(&a);
}

TEST(commands_to_no_run_say_so)
{
    struct app a;
    fixture_open(&a);
    fixture_keys(&a, "p");
    CHECK(a.message_is_error);
    CHECK_CONTAINS(a.message, "nothing is running");
    fixture_keys(&a, "2e");
    CHECK_CONTAINS(a.message, "nothing to export");
    app_free(&a);
}

TEST(an_impossible_preset_is_told_and_not_run)
{
    struct app a;
    fixture_open(&a);
    a.preset.batch[0] = 0;
    a.preset_changed = true;
    app_update(&a);
    CHECK(a.plan_error.text[0] != 0);
    fixture_keys(&a, "r");
    CHECK(a.engine == NULL);
    CHECK(a.message_is_error);
    check_shows(&a, 100, 30, "batch");
    app_free(&a);
}

/* jobs */

struct work {
    int steps;
    _Atomic int released;
};
static struct work work;
static int delivered;

static int count_steps(struct job *j, void *data, struct error *e)
{
    struct work *w = data;
    for (int i = 0; i < w->steps && !job_cancelled(j); i++) {
        job_report(j, "counting", (double)i / w->steps);
        pause_ms(1);
    }
    return w->steps < 0 ? error_set(e, ERROR_FAILED, "counting failed: count less") : 0;
}
static void deliver(struct app *a, void *data, int result, const struct error *e)
{
    (void)data;
    delivered++;
    if (result != 0)
        app_say(a, true, "%s", e->text);
}
static void let_go(void *data)
{
    ((struct work *)data)->released++;
}

TEST(a_job_delivers_once_and_is_released)
{
    struct app a;
    struct error e = {0};
    fixture_open(&a);
    delivered = 0;
    work.steps = 5;
    work.released = 0;
    const struct job_spec spec = {"counting", count_steps, deliver, let_go, &work};
    CHECK_INT(job_start(&a, &spec, &e), 0);
    for (int i = 0; i < 1000 && a.job; i++) {
        app_update(&a);
        pause_ms(1);
    }
    CHECK_INT(delivered, 1);
    CHECK_INT(work.released, 1);
    work.steps = -1;
    CHECK_INT(job_start(&a, &spec, &e), 0);
    for (int i = 0; i < 1000 && a.job; i++) {
        app_update(&a);
        pause_ms(1);
    }
    CHECK_CONTAINS(a.message, "counting failed");
    app_free(&a);
}

TEST(escape_cancels_a_job_and_nothing_is_delivered)
{
    struct app a;
    struct error e = {0};
    fixture_open(&a);
    delivered = 0;
    work.steps = 100000;
    work.released = 0;
    const struct job_spec spec = {"counting", count_steps, deliver, let_go, &work};
    CHECK_INT(job_start(&a, &spec, &e), 0);
    fixture_clock_ns += 1000000000; /* jobs shorter than a blink are not shown */
    check_shows(&a, 80, 24, "Esc cancel");
    struct work second = {0};
    const struct job_spec other = {"more", count_steps, deliver, let_go, &second};
    CHECK_INT(job_start(&a, &other, &e), -1); /* one at a time */
    CHECK_INT(second.released, 1);
    fixture_keys(&a, "\033");
    CHECK(a.job == NULL);
    for (int i = 0; i < 1000 && !work.released; i++)
        pause_ms(1);
    CHECK_INT(work.released, 1);
    CHECK_INT(delivered, 0);
    app_free(&a);
}

/* every screen in every state at many sizes */

static void draw_at_many_sizes(struct app *a)
{
    struct grid g;
    if (grid_init(&g, 1, 1) != 0)
        abort();
    for (int width = 20; width <= 300; width += 1 + width / 6)
        for (int height = 8; height <= 100; height += 1 + height / 5) {
            if (grid_resize(&g, width, height) != 0)
                abort();
            g.ascii = (width + height) % 5 == 0;
            app_draw(a, &g);
        }
    grid_free(&g);
}

TEST(every_screen_draws_in_every_state_at_every_size)
{
    static const char *const states[] = {"",  "?", ":", "\t", "\t\t", "\t\t\t", "/", "/lla",
                                         "a", "w", "o", "f",  "f\t",  "v",      "vv"};
    struct app a;
    fixture_open(&a);
    for (int with_session = 0; with_session < 2; with_session++) {
        if (with_session)
            app_show_session(&a, fixture_session(3));
        for (int view = 0; view < VIEWS; view++)
            for (size_t s = 0; s < sizeof states / sizeof states[0]; s++) {
                app_go(&a, (enum view_id)view);
                fixture_keys(&a, states[s]);
                draw_at_many_sizes(&a);
                fixture_keys(&a, "\033\033");
                dialog_close(&a);
            }
    }
    app_say(&a, true, "%0400d", 7);
    draw_at_many_sizes(&a);
    app_free(&a);
}

/* A seeded monkey: keys of every kind, at changing sizes, with and without a run. */
TEST(random_keys_never_break_anything)
{
    static const int special[] = {
        KEY_CODE_UP,        KEY_CODE_DOWN,   KEY_CODE_LEFT,    KEY_CODE_RIGHT,     KEY_CODE_HOME,
        KEY_CODE_END,       KEY_CODE_TAB,    KEY_CODE_BACKTAB, KEY_CODE_ENTER,     KEY_CODE_ESCAPE,
        KEY_CODE_BACKSPACE, KEY_CODE_DELETE, KEY_CODE_PAGE_UP, KEY_CODE_PAGE_DOWN, 0x6f22};
    struct app a;
    struct grid g;
    int runs = 0;
    fixture_open(&a);
    app_show_session(&a, fixture_session(3));
    if (grid_init(&g, 80, 24) != 0)
        abort();
    maker_state = 7;
    for (int i = 0; i < 20000; i++) {
        int key =
            maker_uniform() < 0.5 ? special[(int)(maker_uniform() * 15)] : 32 + (int)(maker_uniform() * 95);
        /* Measuring the device takes seconds, and every run writes a file: few of them are enough. */
        bool is_text = a.dialog != NULL;
        if (!is_text && (key == 'M' || key == 'e' || (key == 'r' && runs++ > 3)))
            continue;
        app_key(&a, key);
        if (i % 16 == 0)
            app_update(&a);
        if (i % 64 == 0 &&
            grid_resize(&g, 20 + (int)(maker_uniform() * 200), 5 + (int)(maker_uniform() * 60)) != 0)
            abort();
        if (i % 4 == 0)
            app_draw(&a, &g);
        a.quit = false;
        if (strcmp(a.device.id, "fake") != 0) { /* it found the menu of devices: no real runs here */
            a.device = fixture_device();
            strcpy(a.preset.device, "fake");
        }
    }
    grid_free(&g);
    app_free(&a);
}
