#include "tests/tui/fixture.h"
#include "tui/difference.h"
#include "tui/trend.h"
#include "tui/view_results.h"
#include "tui/view_sessions.h"

#include <sys/stat.h>

static void check_shows(struct app *a, const char *part)
{
    char *text = fixture_draw(a, 120, 40, false);
    CHECK_CONTAINS(text, part);
    free(text);
}

static void remove_sessions(void)
{
    char command[128];
    fixture_environment();
    snprintf(command, sizeof command, "rm -rf '%s/benchtop'", fixture_home);
    if (system(command) != 0)
        TEST_FAIL("the sessions were not removed");
}

static void session_path(const char *id, char out[512])
{
    char folder[400];
    struct error e = {0};
    if (catalog_sessions_dir(folder, sizeof folder, &e) != 0)
        TEST_FAIL("%s", e.text);
    snprintf(out, 512, "%s/%s.json", folder, id);
}

/* A session of two batches, baseline and fused, saved under its day: fused takes `share` of the time. */
static struct session make_saved(int day, double share, enum session_status status)
{
    char path[512];
    struct error e = {0};
    struct session s = maker_session(2, 2, 6);
    maker_state = (uint64_t)day;
    for (int c = 0; c < 2; c++) {
        maker_fill(&s, c, 0, 6, 10 + c, 0.004);
        maker_fill(&s, c, 1, 6, (10 + c) * share, 0.004);
    }
    snprintf(s.id, sizeof s.id, "2026-11-%02dT06-30-12-maker", day);
    snprintf(s.started, sizeof s.started, "2026-11-%02dT06:30:12Z", day);
    s.status = status;
    if (status != SESSION_COMPLETE)
        s.cell[1].status = CELL_STOPPED;
    session_path(s.id, path);
    if (session_save(&s, path, &e) != 0)
        TEST_FAIL("%s", e.text);
    return s;
}

static void saved(int day, double share, enum session_status status)
{
    struct session s = make_saved(day, share, status);
    session_free(&s);
}

static void four_sessions(void)
{
    remove_sessions();
    saved(18, 0.70, SESSION_COMPLETE);
    saved(19, 0.70, SESSION_COMPLETE);
    saved(20, 0.80, SESSION_COMPLETE);
    saved(21, 0.75, SESSION_STOPPED);
}

static void open_sessions(struct app *a)
{
    fixture_open(a);
    app_go(a, VIEW_SESSIONS);
    fixture_settle(a);
}

TEST(sessions_look_as_they_should)
{
    struct app a;
    four_sessions();
    open_sessions(&a);
    /* What a file measures changes with every member it gains: no concern of the picture. */
    for (int i = 0; i < a.sessions->n; i++)
        a.sessions->entry[i].bytes = 40 * 1024 + 4096 * i;
    fixture_check_sizes(&a, "sessions");
    fixture_keys(&a, "v");
    fixture_settle(&a);
    fixture_check(&a, "sessions-trend", 80, 24, false);
    fixture_check(&a, "sessions-trend", 100, 30, false);
    fixture_check(&a, "sessions-trend", 160, 45, true);
    fixture_keys(&a, "v");
    fixture_keys(&a, "jjc");
    fixture_check(&a, "sessions-marked", 80, 24, false);
    fixture_keys(&a, "kc");
    fixture_settle(&a);
    fixture_check(&a, "sessions-compared", 80, 24, false);
    fixture_check(&a, "sessions-compared", 100, 30, true);
    fixture_check(&a, "sessions-compared", 160, 45, false);
    app_free(&a);
}

TEST(without_sessions_the_screen_says_so)
{
    struct app a;
    remove_sessions();
    open_sessions(&a);
    check_shows(&a, "No saved sessions yet");
    fixture_keys(&a, "\nocRudevsS /x\n\033");
    fixture_settle(&a);
    check_shows(&a, "No saved sessions yet");
    app_free(&a);
}

TEST(enter_opens_a_session_in_results)
{
    struct app a;
    four_sessions();
    open_sessions(&a);
    fixture_keys(&a, "j\n");
    CHECK(a.job != NULL); /* reading never holds up the screen */
    fixture_settle(&a);
    CHECK_INT(a.view, VIEW_RESULTS);
    if (a.session)
        CHECK_STRING(a.session->id, "2026-11-20T06-30-12-maker");
    check_shows(&a, "fused is 1.2");
    app_free(&a);
}

TEST(a_damaged_file_is_told_in_a_sentence)
{
    struct app a;
    char path[512];
    four_sessions();
    open_sessions(&a);
    session_path("2026-11-21T06-30-12-maker", path);
    if (truncate(path, 900) != 0)
        TEST_FAIL("%s was not cut", path);
    fixture_keys(&a, "\n");
    fixture_settle(&a);
    CHECK_INT(a.view, VIEW_SESSIONS);
    CHECK(a.message_is_error && a.message[0]);
    CHECK_CONTAINS(a.message, "2026-11-21T06-30-12-maker");
    fixture_keys(&a, "45"); /* the list as it is now */
    fixture_settle(&a);
    check_shows(&a, "damaged");
    fixture_keys(&a, "G");
    check_shows(&a, "nothing measured can be");
    CHECK(!app_can(&a, ACTION_RESUME) && !app_can(&a, ACTION_OPEN) && app_can(&a, ACTION_DELETE));
    app_free(&a);
}

TEST(deleting_asks_and_names_the_file)
{
    struct app a;
    char path[512];
    struct stat st;
    four_sessions();
    open_sessions(&a);
    session_path("2026-11-21T06-30-12-maker", path);
    fixture_keys(&a, "d");
    CHECK(a.dialog != NULL);
    check_shows(&a, "Delete ~/benchtop/sessions/2026-11-21T06-30-12-maker.json");
    fixture_keys(&a, "n");
    CHECK_INT(stat(path, &st), 0);
    fixture_keys(&a, "d\n");
    CHECK(stat(path, &st) != 0);
    CHECK_CONTAINS(a.message, "deleted");
    fixture_settle(&a);
    CHECK_INT(a.sessions->n, 3);
    app_free(&a);
}

TEST(the_list_is_filtered_and_sorted)
{
    struct app a;
    four_sessions();
    open_sessions(&a);
    CHECK_STRING(sessions_selected(a.sessions)->id, "2026-11-21T06-30-12-maker"); /* newest first */
    fixture_keys(&a, "/stopped\n");
    CHECK_INT(a.sessions->n_shown, 1);
    check_shows(&a, "1 of 4 shown");
    fixture_keys(&a, "\033");
    CHECK_INT(a.sessions->n_shown, 4);
    fixture_keys(&a, "S<");
    CHECK_STRING(sessions_selected(a.sessions)->id, "2026-11-18T06-30-12-maker");
    for (int sort = 1; sort < SESSIONS_SORTS; sort++) {
        fixture_keys(&a, "s");
        CHECK_INT(a.sessions->sort, sort);
        CHECK_INT(a.sessions->n_shown, 4);
    }
    app_free(&a);
}

TEST(a_click_chooses_a_session)
{
    struct app a;
    four_sessions();
    open_sessions(&a);
    char *text = fixture_draw(&a, 80, 24, false);
    int y = 0;
    for (const char *c = text; *c && strncmp(c, "2026-11-19 06:30", 16) != 0; c++)
        y += *c == '\n';
    free(text);
    app_click(&a, 10, y);
    CHECK_STRING(sessions_selected(a.sessions)->id, "2026-11-19T06-30-12-maker");
    app_click(&a, 10, y + 5); /* below the last: nothing is chosen */
    CHECK_STRING(sessions_selected(a.sessions)->id, "2026-11-19T06-30-12-maker");
    app_free(&a);
}

/* two sessions */

TEST(two_sessions_are_compared_after_one_is_marked)
{
    struct app a;
    four_sessions();
    open_sessions(&a);
    fixture_keys(&a, "jjc"); /* 19: the base */
    CHECK_CONTAINS(a.message, "marked as the base");
    fixture_keys(&a, "kc"); /* 20 against it: fused went from 0.7 to 0.8 */
    fixture_settle(&a);
    CHECK(a.sessions->on_difference);
    CHECK_INT(a.sessions->difference.n, 4);
    check_shows(&a, "regression");
    check_shows(&a, "base 2026-11-19T06-30-12-maker, new 2026-11-20T06-30-12-maker");
    fixture_keys(&a, "d"); /* the list is not seen: nothing is deleted */
    CHECK(a.dialog == NULL);
    fixture_keys(&a, "\033");
    CHECK(!a.sessions->on_difference);
    fixture_keys(&a, "\033"); /* forgets the base */
    CHECK_STRING(a.sessions->base, "");
    CHECK_INT(a.view, VIEW_SESSIONS);
    app_free(&a);
}

TEST(what_differs_between_machines_is_named)
{
    remove_sessions();
    struct session base = make_saved(1, 0.7, SESSION_COMPLETE), other = make_saved(2, 0.7, SESSION_COMPLETE);
    struct difference d;
    struct error e = {0};
    strcpy(other.environment.cpu, "Another CPU");
    CHECK_INT(difference_make(&base, &other, &d, &e), 0);
    CHECK_CONTAINS(d.differences, "cpu: Test CPU / Another CPU");
    CHECK_CONTAINS(d.sentence, "Of 4 rows");
    CHECK(d.same_model && d.same_workload && d.same_seq && !d.same_batch);
    for (int i = 0; i < d.n; i++)
        CHECK(fabs(d.row[i].change_pct) < 5 && !d.row[i].regression);
    difference_free(&d);
    strcpy(other.cell[0].model, "other");
    strcpy(other.cell[1].model, "other");
    CHECK_INT(difference_make(&base, &other, &d, &e), 0);
    CHECK_CONTAINS(d.sentence, "no cell and arm in common");
    difference_free(&d);
    session_free(&base);
    session_free(&other);
}

/* the trend */

TEST(the_trend_follows_one_cell_and_arm_through_the_sessions)
{
    struct app a;
    four_sessions();
    open_sessions(&a);
    fixture_keys(&a, "v");
    fixture_settle(&a);
    const struct history *t = &a.sessions->trend;
    CHECK(a.sessions->has_trend);
    CHECK_INT(t->n_sessions, 4);
    CHECK_INT(t->n_keys, 4);
    CHECK_INT(t->n_points, 16);
    CHECK_STRING(t->session[0].id, "2026-11-18T06-30-12-maker"); /* oldest first */
    struct session s = make_saved(22, 0.7, SESSION_COMPLETE);
    int key = history_find(t, &s, 0, 1);
    CHECK(key >= 0);
    CHECK_INT(history_find(t, &s, 0, 7), -1);
    double at[4] = {0};
    for (int i = 0; i < t->n_points; i++)
        if (t->point[i].key == key)
            at[t->point[i].session] = t->point[i].mean;
    CHECK_CLOSE(at[0], 7.0, 0.02);
    CHECK_CLOSE(at[2], 8.0, 0.02);
    CHECK_CLOSE(at[3], 7.5, 0.02);
    s.cell[0].arm[1].implementation.precision = PRECISION_INT8; /* another implementation, another trend */
    CHECK_INT(history_find(t, &s, 0, 1), -1);
    session_free(&s);
    int shown = a.sessions->trend_key;
    app_key(&a, KEY_CODE_RIGHT);
    CHECK(a.sessions->trend_key != shown);
    app_key(&a, KEY_CODE_LEFT);
    CHECK_INT(a.sessions->trend_key, shown);
    app_free(&a);
}

TEST(the_trend_begins_with_the_cell_chosen_in_results)
{
    struct app a;
    int cell, arm;
    four_sessions();
    open_sessions(&a);
    fixture_keys(&a, "j\n");
    fixture_settle(&a);
    fixture_keys(&a, "jjj"); /* the last of four rows */
    CHECK(view_results_selected(&a, &cell, &arm));
    fixture_keys(&a, "5");
    fixture_settle(&a);
    fixture_keys(&a, "v");
    fixture_settle(&a);
    CHECK_INT(a.sessions->trend_key, history_find(&a.sessions->trend, a.session, cell, arm));
    check_shows(&a, "fused \xc2\xb7 decode gpt2-124m \xc2\xb7 batch 2");
    app_free(&a);
}

static bool stop_at_once(void *who, double fraction)
{
    (void)fraction;
    (*(int *)who)++;
    return true;
}

TEST(a_trend_is_stopped_between_sessions_and_leaves_nothing)
{
    struct session_entry *entry = NULL;
    struct history t;
    struct error e = {0};
    int n = 0, asked = 0;
    four_sessions();
    CHECK_INT(session_list(&entry, &n, &e), 0);
    CHECK_INT(history_gather(entry, n, stop_at_once, &asked, &t, &e), -1);
    CHECK_INT(asked, 1);
    CHECK_INT(e.kind, ERROR_CANCELLED);
    CHECK(t.key == NULL && t.point == NULL && t.n_points == 0);
    snprintf(entry[1].path, sizeof entry[1].path, "/nowhere/to/be/found.json");
    CHECK_INT(history_gather(entry, n, NULL, NULL, &t, &e), 0);
    CHECK_INT(t.unreadable, 1);
    CHECK_INT(t.n_sessions, 3);
    history_free(&t);
    entry[2].bytes = HISTORY_BYTES; /* too large to wait for: it and all older ones are left out */
    CHECK_INT(history_gather(entry, n, NULL, NULL, &t, &e), 0);
    CHECK_INT(t.left_out, 2);
    history_free(&t);
    free(entry);
}

/* running again, going on */

TEST(run_again_takes_the_session_s_preset_to_setup)
{
    struct app a;
    four_sessions();
    open_sessions(&a);
    fixture_keys(&a, "R");
    fixture_settle(&a);
    CHECK_INT(a.view, VIEW_SETUP);
    CHECK_STRING(a.preset.name, "maker");
    CHECK_INT(a.preset.n_batch, 2);
    app_free(&a);
}

TEST(a_stopped_run_goes_on_where_it_was_and_ends_complete)
{
    struct app a;
    remove_sessions();
    fixture_open(&a);
    a.realtime = true;
    fixture_keys(&a, "r");
    for (int i = 0; i < 3000 && session_samples(a.live_session) < 20; i++) {
        app_update(&a);
        usleep(2000);
    }
    app_stop_run(&a);
    CHECK_INT(a.live_session->status, SESSION_STOPPED);
    a.realtime = false;
    fixture_keys(&a, "5");
    fixture_settle(&a);
    CHECK_INT(a.sessions->n, 1);
    check_shows(&a, "u resume");
    fixture_keys(&a, "u");
    fixture_settle(&a);
    CHECK_INT(a.view, VIEW_LIVE);
    for (int i = 0; i < 3000 && app_running(&a); i++) {
        app_update(&a);
        usleep(2000);
    }
    app_update(&a);
    CHECK_INT(a.session->status, SESSION_COMPLETE);
    fixture_keys(&a, "5");
    fixture_settle(&a);
    CHECK_INT(a.sessions->n, 1); /* the same session, not another */
    fixture_keys(&a, "u");
    CHECK_CONTAINS(a.message, "complete");
    app_free(&a);
}

TEST(the_session_being_written_is_not_deleted)
{
    struct app a;
    remove_sessions();
    fixture_open(&a);
    a.realtime = true;
    fixture_keys(&a, "r");
    for (int i = 0; i < 3000 && session_samples(a.live_session) < 5; i++) {
        app_update(&a);
        usleep(2000);
    }
    fixture_keys(&a, "5");
    fixture_settle(&a);
    if (app_running(&a) && a.sessions->n == 1) {
        check_shows(&a, "This run is in progress");
        fixture_keys(&a, "d");
        CHECK(a.dialog == NULL);
        CHECK_CONTAINS(a.message, "being written");
    } else {
        TEST_FAIL("the run is not listed while it goes on");
    }
    engine_command(a.engine, ENGINE_STOP);
    for (int i = 0; i < 3000 && app_running(&a); i++) {
        app_update(&a);
        usleep(2000);
    }
    app_update(&a);
    fixture_settle(&a); /* its row is read again without anybody asking */
    CHECK_INT(a.sessions->entry[0].status, SESSION_STOPPED);
    app_free(&a);
}

TEST(sessions_draw_at_every_size_in_every_state)
{
    static const char *const states[] = {"", "v", "/2", "/zz", "jjc", "jjckc", "d", "sssS"};
    struct grid g;
    four_sessions();
    if (grid_init(&g, 1, 1) != 0)
        abort();
    for (size_t k = 0; k < sizeof states / sizeof states[0]; k++) {
        struct app a;
        open_sessions(&a);
        fixture_keys(&a, states[k]);
        fixture_settle(&a);
        for (int width = 20; width <= 300; width += 1 + width / 5)
            for (int height = 8; height <= 100; height += 1 + height / 4) {
                if (grid_resize(&g, width, height) != 0)
                    abort();
                g.ascii = g.monochrome = (width + height) % 3 == 0;
                app_draw(&a, &g);
            }
        app_free(&a);
    }
    grid_free(&g);
}
