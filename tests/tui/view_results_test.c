#include "engine/headline.h"
#include "tests/tui/fixture.h"
#include "tui/results.h"
#include "tui/roofline.h"
#include "tui/view_results.h"

#include <time.h>

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void check_shows(struct app *a, const char *part)
{
    char *text = fixture_draw(a, 160, 45, false);
    CHECK_CONTAINS(text, part);
    free(text);
}

static void check_hides(struct app *a, const char *part)
{
    char *text = fixture_draw(a, 160, 45, false);
    if (strstr(text, part))
        TEST_FAIL("\"%s\" is still shown", part);
    free(text);
}

/* Decode at batches 1 2 4 8 and sequences 128 512 2048, three arms: mostly faster, int8 slower at short
 * sequences; the last cell did not fit, one arm is not supported in the fourth. Criteria are asked for. */
static struct session *grid_session(void)
{
    struct session *s = calloc(1, sizeof *s), base = maker_session(4, 3, 8);
    struct error e = {0};
    struct preset p;
    maker_state = 7;
    preset_copy(&p, &base.preset, &e);
    p.n_seq = 3;
    p.seq[1] = 512;
    p.seq[2] = 2048;
    p.criteria.min_speedup = 1.2;
    p.criteria.max_cv = 0.1;
    p.criteria.max_memory_increase = 0.05;
    if (session_layout(s, &p, &e) != 0)
        TEST_FAIL("%s", e.text);
    preset_free(&p);
    strcpy(s->id, base.id);
    strcpy(s->started, base.started);
    s->argv = strdup("[]");
    s->environment = base.environment;
    s->status = SESSION_COMPLETE;
    s->owns_blocks = true;
    for (int c = 0; c < s->n_cells; c++)
        for (int arm = 0; arm < 3; arm++) {
            const double share[] = {1, c == 5 ? 1.0 : 0.8 - 0.02 * c, c < 3 ? 1.1 : 0.6};
            if (c == 11) {
                s->cell[c].status = s->cell[c].arm[arm].status = CELL_OUT_OF_MEMORY;
                strcpy(s->cell[c].reason, "27.1 GiB are needed, 23.4 GiB are free");
            } else if (c == 3 && arm == 2) {
                s->cell[c].arm[arm].status = CELL_UNSUPPORTED;
                strcpy(s->cell[c].arm[arm].reason, "this precision is not there on this device");
            } else {
                maker_fill(s, c, arm, 8, (6.0 + c) * share[arm], 0.01);
            }
        }
    session_free(&base);
    return s;
}

static void open_with(struct app *a, struct session *s)
{
    fixture_open(a);
    app_show_session(a, s);
    app_go(a, VIEW_RESULTS);
    free(fixture_draw(a, 160, 45, false));
}

static struct results built(const struct session *s)
{
    struct results r = {.sort = RESULTS_PLAN_ORDER};
    struct error e = {0};
    stats_init();
    if (results_build(&r, s, &e) != 0)
        TEST_FAIL("%s", e.text);
    return r;
}

TEST(the_details_of_a_simulated_session_say_so)
{
    struct app a;
    fixture_open(&a);
    struct session *s = fixture_session(2);
    strcpy(s->preset.device, "fake");
    s->environment.threads = 1;
    app_show_session(&a, s);
    app_go(&a, VIEW_RESULTS);
    char *text = fixture_draw(&a, 160, 60, false);
    CHECK_CONTAINS(text, "simulated latencies, by Test CPU, 1 ");
    free(text);
    app_free(&a);
}

TEST(results_look_as_they_should)
{
    struct app a;
    open_with(&a, fixture_session(3));
    fixture_check_sizes(&a, "results");
    app_free(&a);
    open_with(&a, grid_session());
    fixture_check(&a, "results-grid", 160, 45, false);
    fixture_check(&a, "results-grid", 80, 24, true);
    fixture_keys(&a, "v");
    fixture_check(&a, "results-speedup", 100, 30, false);
    fixture_check(&a, "results-speedup", 80, 24, true);
    fixture_keys(&a, "vv");
    fixture_check(&a, "results-roofline", 100, 30, false);
    fixture_keys(&a, "\t");
    fixture_check(&a, "results-roofline", 60, 12, false);
    app_free(&a);
}

TEST(results_without_a_session_say_how_to_get_one)
{
    struct app a;
    fixture_open(&a);
    app_go(&a, VIEW_RESULTS);
    check_shows(&a, "No session yet");
    fixture_keys(&a, "vs\n\t/jk");
    check_shows(&a, "No session yet");
    fixture_keys(&a, "w");
    CHECK(a.dialog == NULL);
    CHECK_CONTAINS(a.message, "nothing is shown yet");
    app_free(&a);
}

/* the sentence */

TEST(the_sentence_counts_verdicts_over_cells_and_names_what_is_missing)
{
    struct session *s = grid_session();
    struct results r = built(s);
    CHECK_CONTAINS(r.sentence, "fused is 1.2");
    CHECK_CONTAINS(r.sentence, "faster than baseline in 10 of 11 cells");
    CHECK_CONTAINS(r.sentence, "int8 is 1.6");
    CHECK_CONTAINS(r.sentence, "faster in 7 of 10 cells, slower in 3");
    CHECK_CONTAINS(r.sentence, "1 cell did not fit");
    CHECK_CONTAINS(r.sentence, "unsupported in part");
    results_free(&r);
    session_free(s);
    free(s);
}

TEST(the_sentence_of_one_cell_is_the_comparison_itself)
{
    struct session s = maker_session(1, 2, 6);
    maker_fill(&s, 0, 0, 6, 10, 0.005);
    maker_fill(&s, 0, 1, 6, 5, 0.005);
    struct results r = built(&s);
    CHECK_CONTAINS(r.sentence, "faster than baseline (95 % CI");
    CHECK_CONTAINS(r.sentence, "Welch p");
    results_free(&r);
    session_free(&s);
}

TEST(one_arm_alone_is_told_by_its_rate_and_nothing_by_words)
{
    struct session s = maker_session(2, 1, 6);
    struct results r = built(&s);
    CHECK_CONTAINS(r.sentence, "0 of 2 cells done");
    CHECK(!strstr(r.sentence, "faster"));
    maker_fill(&s, 0, 0, 6, 10, 0.005);
    maker_fill(&s, 1, 0, 6, 10, 0.005);
    struct error e = {0};
    CHECK_INT(results_build(&r, &s, &e), 0);
    CHECK_CONTAINS(r.sentence, "baseline reaches");
    CHECK_CONTAINS(r.sentence, "over 2 cells");
    results_free(&r);
    session_free(&s);
}

TEST(a_slower_arm_is_called_slower_by_how_much)
{
    struct session s = maker_session(2, 2, 6);
    for (int c = 0; c < 2; c++) {
        maker_fill(&s, c, 0, 6, 5, 0.002);
        maker_fill(&s, c, 1, 6, 10, 0.002);
    }
    struct results r = built(&s);
    CHECK_CONTAINS(r.sentence, "slower than baseline in both cells");
    CHECK(strstr(r.sentence, "2.0") || strstr(r.sentence, "1.99"));
    results_free(&r);
    session_free(&s);
}

TEST(wrong_output_is_never_called_faster)
{
    struct session s = maker_session(2, 2, 6);
    for (int c = 0; c < 2; c++) {
        maker_fill(&s, c, 0, 6, 10, 0.002);
        maker_fill(&s, c, 1, 6, 5, 0.002);
        s.cell[c].arm[1].output.passed = false;
        s.cell[c].arm[1].output.max_relative_error = 0.4;
    }
    struct results r = built(&s);
    char text[RESULTS_TEXT];
    CHECK(!strstr(r.sentence, "faster"));
    CHECK_CONTAINS(r.sentence, "not ranked");
    CHECK_INT(results_text(&r, &s, &r.row[1], RESULTS_VERDICT, text), STYLE_ERROR);
    CHECK_STRING(text, "wrong output");
    results_free(&r);
    session_free(&s);
}

TEST(what_a_cell_calls_seemingly_faster_the_headline_calls_so_too)
{
    struct session s = maker_session(3, 2, 6);
    for (int c = 0; c < 3; c++) {
        maker_fill(&s, c, 0, 6, 10, 0.02);
        maker_fill(&s, c, 1, 6, c < 2 ? 5 : 10, 0.02);
    }
    struct results r = built(&s);
    struct comparison c[3] = {r.comparison[1], r.comparison[3], r.comparison[5]}, all[6];
    memcpy(all, r.comparison, sizeof all);
    char text[640];
    all[1].verdict = all[3].verdict = VERDICT_INCONCLUSIVE; /* something withholds it */
    r.comparison = all;
    headline_print(&s, r.cache, r.comparison, text, sizeof text);
    CHECK_STRING(
        text,
        "fused seems faster than baseline, without a verdict in 2 of 3 cells, not shown to differ in 1");
    all[3] = c[1];
    headline_print(&s, r.cache, r.comparison, text, sizeof text);
    CHECK_CONTAINS(text, "faster than baseline in 1 of 3 cells, without a verdict but seemingly faster in 1, "
                         "inconclusive in 1");
    all[1].final = all[3].final = all[5].final = false;
    all[3].verdict = VERDICT_INCONCLUSIVE;
    headline_print(&s, r.cache, r.comparison, text, sizeof text);
    CHECK_CONTAINS(text, "too few rounds for a verdict"); /* and no direction: one of three has none */
    CHECK(!strstr(text, "faster"));
    all[5] = all[3];
    headline_print(&s, r.cache, r.comparison, text, sizeof text);
    CHECK_STRING(text, "fused is faster than baseline so far in all 3 cells; too few rounds for a verdict");
    results_free(&r);
    session_free(&s);
}

/* the table's model */

TEST(what_has_not_changed_is_not_summed_up_again)
{
    struct session s = maker_session(2, 2, 6);
    for (int i = 0; i < 4; i++)
        maker_fill(&s, i / 2, i % 2, 6, 10 + i, 0.01);
    struct results r = built(&s);
    const struct comparison *kept = r.comparison;
    struct error e = {0};
    r.row[3].summary.n = 12345; /* a mark of our own */
    CHECK_INT(results_build(&r, &s, &e), 0);
    CHECK(r.comparison == kept);
    s.preset.criteria.min_speedup = 0.1;
    CHECK_INT(r.row[3].summary.n, 12345);
    maker_block(&s, 1, 1, 6, MAKER_SAMPLES, 13, 0.01);
    CHECK_INT(results_build(&r, &s, &e), 0);
    CHECK_INT(r.row[3].summary.n, 7 * MAKER_SAMPLES);
    struct criterion_result fresh[SUMMARY_CRITERIA];
    CHECK_INT(r.n_criteria, 1);
    CHECK_INT(summary_criteria(&s, fresh), 1);
    CHECK(r.criterion[0].achieved == fresh[0].achieved && r.criterion[0].cell == fresh[0].cell);
    results_free(&r);
    session_free(&s);
}

TEST(sorting_orders_by_figure_and_keeps_rows_without_one_last)
{
    struct session *s = grid_session();
    struct results r = built(s);
    static const enum results_column by[] = {RESULTS_MEAN, RESULTS_RATE, RESULTS_P99, RESULTS_LIMIT,
                                             RESULTS_SPEEDUP};
    for (size_t k = 0; k < sizeof by / sizeof by[0]; k++)
        for (int reverse = 0; reverse < 2; reverse++) {
            r.sort = by[k];
            r.reverse = reverse;
            results_arrange(&r, s);
            CHECK_INT(r.n_shown, 36);
            double last = reverse ? INFINITY : -INFINITY;
            bool ended = false;
            for (int i = 0; i < r.n_shown; i++) {
                const struct results_row *row = &r.row[r.shown[i]];
                const struct comparison *c = results_comparison(&r, row);
                const struct arm_summary *a = &row->summary;
                double v = by[k] == RESULTS_SPEEDUP ? c ? c->speedup : NAN
                           : !row->has_summary      ? NAN
                           : by[k] == RESULTS_MEAN  ? a->latency.mean
                           : by[k] == RESULTS_RATE  ? a->tokens_per_second
                           : by[k] == RESULTS_P99   ? a->latency.p99
                                                    : a->limit_share;
                CHECK(!ended || isnan(v));
                ended = ended || isnan(v);
                CHECK(ended || (reverse ? v <= last : v >= last));
                last = v;
            }
        }
    results_free(&r);
    session_free(s);
    free(s);
}

TEST(an_arm_that_never_ran_says_what_kept_its_cell)
{
    struct session s = maker_session(2, 2, 6);
    for (int arm = 0; arm < 2; arm++) {
        maker_fill(&s, 0, arm, 6, 10, 0.005);
        s.cell[1].arm[arm].status = CELL_STOPPED; /* as a file has it */
    }
    s.cell[1].status = CELL_SKIPPED;
    strcpy(s.cell[1].reason, "a smaller cell ran out of memory");
    struct results r = built(&s);
    char text[320];
    CHECK_INT(r.row[3].status, CELL_SKIPPED);
    results_status_text(&s, &r.row[3], text, sizeof text);
    CHECK_STRING(text, "skipped: a smaller cell ran out of memory");
    CHECK_CONTAINS(r.sentence, "1 cell was skipped");
    CHECK(!strstr(r.sentence, "stopped"));
    results_free(&r);
    session_free(&s);
}

TEST(a_reason_that_names_its_status_is_not_told_twice)
{
    struct session s = maker_session(1, 1, 2);
    struct results_row row = {.status = CELL_UNSUPPORTED};
    char text[320];
    strcpy(s.cell[0].arm[0].reason, "unsupported: nothing of the kind");
    results_status_text(&s, &row, text, sizeof text);
    CHECK_STRING(text, "unsupported: nothing of the kind");
    strcpy(s.cell[0].arm[0].reason, "nothing of the kind");
    results_status_text(&s, &row, text, sizeof text);
    CHECK_STRING(text, "unsupported: nothing of the kind");
    session_free(&s);
}

/* quality beside speed */

TEST(quality_stands_beside_the_speed_it_was_bought_with)
{
    struct app a;
    open_with(&a, maker_quality_session());
    fixture_check(&a, "quality", 80, 24, false);
    fixture_check(&a, "quality", 160, 45, false);
    fixture_check(&a, "quality", 40, 10, false);
    free(fixture_draw(&a, 80, 24, false));
    fixture_keys(&a, "vvvv\t"); /* past speed-up, memory, roofline */
    fixture_check(&a, "responses", 80, 24, false);
    fixture_check(&a, "responses", 160, 45, true);
    fixture_check(&a, "responses", 40, 10, false);
    free(fixture_draw(&a, 40, 14, false));
    fixture_keys(&a, "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj");
    char *text = fixture_draw(&a, 40, 14, false);
    CHECK_CONTAINS(text, "thou art");
    free(text);
    free(fixture_draw(&a, 80, 24, false));
    fixture_keys(&a, "\n"); /* alone */
    fixture_check(&a, "responses-alone", 80, 24, true);
    app_free(&a);
}

TEST(the_dashboard_shows_tokens_cache_performance_and_an_overview)
{
    struct app a;
    open_with(&a, maker_fused_session());
    free(fixture_draw(&a, 80, 24, false));
    fixture_keys(&a, "vvvvv\t\n"); /* past speed-up, memory, roofline and responses; alone */
    fixture_check(&a, "dashboard", 80, 24, false);
    fixture_check(&a, "dashboard", 160, 45, false);
    fixture_check(&a, "dashboard", 160, 45, true);
    fixture_check(&a, "dashboard", 40, 10, false);
    check_shows(&a, "fused: output not equivalent");
    free(fixture_draw(&a, 80, 24, false));
    fixture_keys(&a, "G");
    char *text = fixture_draw(&a, 80, 24, false);
    CHECK_CONTAINS(text, "bits per byte"); /* the overview's end */
    free(text);
    app_free(&a);
    open_with(&a, fixture_session(2)); /* no text: no such picture */
    for (int i = 0; i < 9; i++) {
        fixture_keys(&a, "v");
        text = fixture_draw(&a, 80, 24, false);
        CHECK(!strstr(text, "Dashboard") && !strstr(text, "Responses"));
        free(text);
    }
    app_free(&a);
}

TEST(the_sentence_names_what_the_speed_costs)
{
    struct session *s = maker_quality_session();
    struct results r = built(s);
    char text[RESULTS_TEXT];
    CHECK_CONTAINS(r.sentence, "int8 is 1.73\xc3\x97 faster than baseline, perplexity +0.8 %; adapted");
    CHECK_CONTAINS(r.sentence,
                   "slower, output not equivalent, bits per byte +59 %; text per second 1.42\xc3\x97");
    CHECK_CONTAINS(r.sentence, " (quality on 2048 tokens of tinyshakespeare)");
    results_text(&r, s, &r.row[2], RESULTS_VERDICT, text);
    CHECK_CONTAINS(text, ", not equivalent");
    results_text(&r, s, &r.row[1], RESULTS_KL, text);
    CHECK_STRING(text, "0.0021");
    results_text(&r, s, &r.row[2], RESULTS_KL, text);
    CHECK_STRING(text, ""); /* other tokens: nothing to hold it against */
    for (int arm = 0; arm < 3; arm++)
        s->cell[0].arm[arm].quality = (struct arm_quality){0};
    results_free(&r);
    r = built(s);
    CHECK_CONTAINS(r.sentence, "faster than baseline, quality not measured");
    CHECK(!results_has_column(&r, RESULTS_PERPLEXITY) && !results_has_column(&r, RESULTS_TOP1));
    results_free(&r);
    session_free(s);
    free(s);
}

/* keys */

TEST(the_filter_narrows_the_table_and_escape_widens_it)
{
    struct app a;
    open_with(&a, grid_session());
    fixture_keys(&a, "/int8 slower");
    check_shows(&a, "3 of 36 shown");
    fixture_keys(&a, "\n"); /* accepted: letters are keys again */
    CHECK_INT(a.view, VIEW_RESULTS);
    fixture_keys(&a, "j");
    int cell, arm;
    CHECK(view_results_selected(&a, &cell, &arm));
    CHECK_INT(arm, 2);
    fixture_keys(&a, "\033");
    check_shows(&a, "of 36");
    check_hides(&a, "shown");
    fixture_keys(&a, "/nothing of the kind");
    check_shows(&a, "Nothing matches");
    CHECK(!view_results_selected(&a, &cell, &arm));
    fixture_keys(&a, "\033");
    CHECK(view_results_selected(&a, &cell, &arm));
    app_free(&a);
}

TEST(cells_that_gave_nothing_say_why_in_the_table)
{
    struct app a;
    open_with(&a, grid_session());
    fixture_keys(&a, "/unsupp\n");
    check_shows(&a, "unsupported: this precision is not there on this device");
    fixture_keys(&a, "\033/fit\n");
    check_shows(&a, "does not fit: 27.1 GiB are needed, 23.4 GiB are free");
    app_free(&a);
}

TEST(sort_and_reverse_move_the_arrow_in_the_header)
{
    struct app a;
    open_with(&a, grid_session());
    fixture_keys(&a, "s");
    check_shows(&a, "batch\xe2\x96\xb2");
    fixture_keys(&a, "S");
    check_shows(&a, "batch\xe2\x96\xbc");
    char *text = fixture_draw(&a, 160, 45, false);
    const char *eight = strstr(text, "     8    128"), *one = strstr(text, "     1    128");
    CHECK(eight != NULL && (one == NULL || eight < one));
    free(text);
    app_free(&a);
}

TEST(enter_opens_all_details_and_escape_closes_them)
{
    struct app a;
    open_with(&a, grid_session());
    fixture_keys(&a, "j\n");
    check_shows(&a, "Hedges' g");
    check_shows(&a, "Holm");
    check_shows(&a, "agrees with the baseline");
    check_shows(&a, "steady after");
    check_shows(&a, "needs 368 samples");
    check_hides(&a, "mean ms");
    fixture_keys(&a, "\033");
    check_shows(&a, "mean ms");
    CHECK_INT(a.view, VIEW_RESULTS);
    app_free(&a);
}

TEST(details_scroll_to_their_end_and_no_further)
{
    struct app a;
    open_with(&a, grid_session());
    fixture_keys(&a, "j\n");
    for (int i = 0; i < 200; i++) {
        fixture_keys(&a, "j");
        free(fixture_draw(&a, 80, 24, false));
    }
    char *text = fixture_draw(&a, 80, 24, false);
    CHECK_CONTAINS(text, "ended by");
    CHECK_CONTAINS(text, "planned rounds");
    free(text);
    app_free(&a);
}

TEST(the_speed_up_picture_is_walked_with_arrows)
{
    struct app a;
    int cell, arm;
    open_with(&a, grid_session());
    fixture_keys(&a, "jv\t"); /* fused of the first cell; the picture has the focus */
    app_key(&a, KEY_CODE_RIGHT);
    CHECK(view_results_selected(&a, &cell, &arm));
    CHECK_INT(a.session->cell[cell].batch, 2);
    CHECK_INT(arm, 1);
    app_key(&a, KEY_CODE_DOWN);
    CHECK(view_results_selected(&a, &cell, &arm));
    CHECK_INT(a.session->cell[cell].seq, 512);
    CHECK_INT(a.session->cell[cell].batch, 2);
    app_key(&a, KEY_CODE_LEFT);
    app_key(&a, KEY_CODE_LEFT); /* at the edge already */
    CHECK(view_results_selected(&a, &cell, &arm));
    CHECK_INT(a.session->cell[cell].batch, 1);
    app_free(&a);
}

TEST(a_small_screen_shows_one_panel_at_a_time_the_table_among_them)
{
    static const char *const shown[] = {"latency", "Speed-up", "Memory", "Roofline", "Criteria", "speed"};
    struct app a;
    open_with(&a, grid_session());
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        free(fixture_draw(&a, 40, 10, false));
        fixture_keys(&a, "v");
        char *text = fixture_draw(&a, 40, 10, false);
        CHECK_CONTAINS(text, shown[i]);
        free(text);
    }
    app_free(&a);
}

TEST(a_click_chooses_a_row_or_the_picture)
{
    struct app a;
    int cell, arm;
    open_with(&a, grid_session());
    char *text = fixture_draw(&a, 100, 30, false);
    int y = 0;
    for (const char *c = text; *c && strncmp(c, "     4   128 B fused", 20) != 0; c++)
        y += *c == '\n';
    free(text);
    app_click(&a, 20, y);
    CHECK(view_results_selected(&a, &cell, &arm));
    CHECK_INT(a.session->cell[cell].batch, 4);
    CHECK_INT(arm, 1);
    app_click(&a, 10, 25); /* the details: arrows scroll them now */
    fixture_keys(&a, "j");
    CHECK(view_results_selected(&a, &cell, &arm));
    CHECK_INT(arm, 1);
    app_click(&a, 10, 6); /* the first row */
    fixture_keys(&a, "j");
    CHECK(view_results_selected(&a, &cell, &arm));
    CHECK_INT(a.session->cell[cell].batch, 1);
    app_free(&a);
}

TEST(criteria_are_judged_in_words)
{
    struct app a;
    open_with(&a, grid_session());
    fixture_keys(&a, "vvvv");
    check_shows(&a, "min_speedup");
    check_shows(&a, "failed");
    check_shows(&a, "passed");
    app_free(&a);
}

TEST(the_session_s_own_preset_is_saved_from_results)
{
    struct app a;
    struct preset p = {0};
    struct error e = {0};
    open_with(&a, grid_session());
    fixture_keys(&a, "w");
    CHECK(a.dialog != NULL);
    for (int i = 0; i < 40; i++)
        app_key(&a, KEY_CODE_BACKSPACE);
    fixture_keys(&a, "of-results\n");
    CHECK_CONTAINS(a.message, "saved as");
    CHECK_INT(catalog_preset("of-results", &p, NULL, &e), 0);
    CHECK_INT(p.n_seq, 3);
    CHECK(strcmp(a.preset.name, "of-results") != 0); /* Setup is left alone */
    preset_free(&p);
    app_free(&a);
}

TEST(figures_made_by_a_job_are_taken_as_they_are)
{
    struct app a;
    struct session *s = grid_session();
    struct results r = built(s);
    const struct results_row *row = r.row;
    fixture_open(&a);
    app_show_session(&a, s);
    view_results_take(&a, &r);
    app_go(&a, VIEW_RESULTS);
    check_shows(&a, "1 of 36");
    CHECK(r.row == NULL);
    int cell, arm;
    CHECK(view_results_selected(&a, &cell, &arm));
    (void)row;
    app_free(&a);
}

/* roofline */

TEST(the_roofline_is_the_nearer_of_both_limits)
{
    struct roofline f = {.bandwidth = 50e9, .n_ceilings = 1, .ceiling = {{400e9, "fp32"}}};
    CHECK_CLOSE(roofline_limit(&f, 0.5, 0), 25e9, 1e-12);
    CHECK_CLOSE(roofline_limit(&f, 8, 0), 400e9, 1e-12);
    CHECK_CLOSE(roofline_limit(&f, 100, 0), 400e9, 1e-12);
    CHECK_CLOSE(roofline_limit(&f, 100, -1), 5000e9, 1e-12);
    f.bandwidth = 0;
    CHECK(isinf(roofline_limit(&f, 100, -1)));
}

TEST(without_room_the_roofline_is_a_bar_to_the_limit_that_binds)
{
    struct grid g;
    const struct roofline_point point[] = {{0.5, 20e9, 0, 'A', STYLE_ARM_A, true, "baseline"},
                                           {50, 100e9, 0, 'B', STYLE_ARM_B, true, "fused"}};
    struct roofline f = {
        .bandwidth = 50e9, .n_ceilings = 1, .ceiling = {{400e9, "fp32"}}, .point = point, .n_points = 2};
    if (grid_init(&g, 50, 3) != 0)
        abort();
    roofline_draw(&g, (struct rect){0, 0, 50, 3}, &f);
    char *text = grid_dump(&g, false);
    CHECK_CONTAINS(text, "80 % of bandwidth");
    CHECK_CONTAINS(text, "25 % of FLOP/s");
    free(text);
    grid_free(&g);
}

/* cost and size */

TEST(results_of_a_large_session_are_drawn_within_two_milliseconds)
{
    struct session *s = calloc(1, sizeof *s);
    struct preset p;
    struct error e = {0};
    struct session base = maker_session(6, 3, 2);
    preset_copy(&p, &base.preset, &e);
    p.n_seq = 24;
    for (int i = 0; i < 24; i++)
        p.seq[i] = 32 * (i + 1);
    if (session_layout(s, &p, &e) != 0)
        TEST_FAIL("%s", e.text);
    preset_free(&p);
    session_free(&base);
    s->owns_blocks = true;
    s->argv = strdup("[]");
    for (int c = 0; c < s->n_cells; c++)
        for (int arm = 0; arm < 3; arm++)
            maker_fill(s, c, arm, 5, 5 + arm, 0.01);
    struct app a;
    struct grid g;
    open_with(&a, s);
    if (grid_init(&g, 200, 60) != 0)
        abort();
    double best = INFINITY;
    for (int k = 0; k < 5; k++) {
        double start = cpu_ms();
        for (int i = 0; i < 20; i++)
            app_draw(&a, &g);
        best = fmin(best, (cpu_ms() - start) / 20);
        fixture_keys(&a, "v");
    }
    if (best > (getenv("SANITIZER") ? 40 : 2))
        TEST_FAIL("a frame takes %.2f ms", best);
    grid_free(&g);
    app_free(&a);
}

TEST(results_draw_at_every_size_in_every_state)
{
    static const char *const states[] = {"",      "v",  "vv", "vvv", "vvvv", "\t",  "\tv",    "\tvv",
                                         "\tvvv", "\n", "jj", "/",   "/b",   "/zz", "ssssss", "G\n"};
    struct grid g;
    if (grid_init(&g, 1, 1) != 0)
        abort();
    for (int which = 0; which < 3; which++)
        for (size_t k = 0; k < sizeof states / sizeof states[0]; k++) {
            struct app a;
            open_with(&a, which == 2 ? grid_session() : fixture_session(which + 1));
            fixture_keys(&a, states[k]);
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

TEST(an_ablation_shows_what_each_factor_gains)
{
    struct app a;
    struct error e = {0};
    fixture_open(&a);
    struct preset p = {0};
    if (preset_load("tests/data/presets/ablation.json", &p, NULL, &e) != 0) {
        TEST_FAIL("%s", e.text);
        return;
    }
    preset_free(&a.preset);
    a.preset = p;
    app_replan(&a);
    fixture_keys(&a, "r");
    for (int i = 0; i < 5000 && app_running(&a); i++) {
        app_update(&a);
        usleep(1000);
    }
    while (app_update(&a))
        continue;
    fixture_keys(&a, "4");
    char *text = fixture_draw(&a, 120, 40, false);
    CHECK_CONTAINS(text, "Ablation");
    CHECK_CONTAINS(text, "flash x fusion");
    CHECK_CONTAINS(text, "on top of fusion");
    free(text);
    text = fixture_draw(&a, 80, 24, true);
    CHECK_CONTAINS(text, "####"); /* a bar without Unicode */
    free(text);
    app_free(&a);
}
