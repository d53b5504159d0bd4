#include "engine/compare.h"
#include "engine/text.h"
#include "tests/engine/session_maker.h"
#include <cjson/cJSON.h>

static struct session run(uint64_t noise, double factor, double spread)
{
    maker_state = noise;
    struct session s = maker_session(2, 2, 10);
    for (int cell = 0; cell < 2; cell++) {
        maker_fill(&s, cell, 0, 10, 14 * (1 + cell), spread);
        maker_fill(&s, cell, 1, 10, 10 * (1 + cell) * factor, spread);
    }
    return s;
}

TEST(a_session_against_itself_shows_no_difference)
{
    struct session s = run(3, 1, 0.002);
    struct compare_result r;
    struct error e = {0};
    CHECK_INT(compare_sessions(&s, &s, 5, &r, &e), 0);
    CHECK_INT(r.n, 4);
    CHECK_INT(r.regressions, 0);
    CHECK_INT(r.inconclusive, 0);
    CHECK_STRING(r.differences, "");
    for (int i = 0; i < r.n; i++) {
        CHECK_CLOSE(r.row[i].comparison.speedup, 1, 1e-12);
        CHECK_CLOSE(r.row[i].comparison.welch.p, 1, 1e-9);
        CHECK_INT(r.row[i].comparison.verdict, VERDICT_EQUIVALENT);
        CHECK_INT(r.row[i].comparison.paired.n, 0);
    }
    compare_free(&r);
    session_free(&s);
}

TEST(a_slower_run_is_a_regression_only_beyond_its_threshold)
{
    struct session a = run(3, 1, 0.002), b = run(4, 1.08, 0.002);
    struct compare_result r;
    struct error e = {0};
    CHECK_INT(compare_sessions(&a, &b, 5, &r, &e), 0);
    CHECK_INT(r.regressions, 2);
    CHECK_INT(r.inconclusive, 0);
    for (int i = 0; i < r.n; i++) {
        bool fused = r.row[i].base_arm == 1;
        CHECK_INT(r.row[i].regression, fused);
        CHECK_INT(r.row[i].comparison.verdict == VERDICT_SLOWER, fused);
        if (fused)
            CHECK(r.row[i].change_pct > 7 && r.row[i].change_pct < 9);
        CHECK_INT(r.row[i].comparison.family, 4);
        CHECK(r.row[i].comparison.p_holm >= r.row[i].comparison.welch.p);
    }
    compare_free(&r);
    CHECK_INT(compare_sessions(&a, &b, 10, &r, &e), 0);
    CHECK_INT(r.regressions, 0);
    CHECK_INT(r.inconclusive, 0);
    compare_free(&r);
    CHECK_INT(compare_sessions(&b, &a, 0, &r, &e), 0); /* the other way round it is faster */
    CHECK_INT(r.regressions, 0);
    compare_free(&r);
    session_free(&a);
    session_free(&b);
}

TEST(noise_around_the_threshold_is_inconclusive)
{
    struct session a = run(3, 1, 0.05), b = run(4, 1.05, 0.05);
    struct compare_result r;
    struct error e = {0};
    CHECK_INT(compare_sessions(&a, &b, 5, &r, &e), 0);
    CHECK_INT(r.regressions, 0);
    CHECK(r.inconclusive >= 2);
    compare_free(&r);
    session_free(&a);
    session_free(&b);
}

TEST(a_wrong_output_is_never_waved_through)
{
    struct session a = run(3, 1, 0.002), b = run(4, 0.5, 0.002);
    struct compare_result r;
    struct error e = {0};
    b.cell[0].arm[1].output.passed = false;
    CHECK_INT(compare_sessions(&a, &b, 5, &r, &e), 0);
    CHECK_INT(r.inconclusive, 1);
    CHECK_CONTAINS(r.row[1].comparison.sentence, "not ranked");
    compare_free(&r);
    session_free(&a);
    session_free(&b);
}

TEST(cells_match_by_their_coordinates_arm_and_implementation)
{
    struct session a = run(3, 1, 0.002), b = run(4, 1, 0.002);
    struct compare_result r;
    struct error e = {0};
    b.cell[0].seq = 999;
    b.cell[1].arm[1].implementation.precision = PRECISION_BF16;
    CHECK_INT(compare_sessions(&a, &b, 5, &r, &e), 0);
    CHECK_INT(r.n, 1);
    CHECK_INT(r.only_base, 1);
    CHECK_INT(r.only_new, 1);
    CHECK_INT(r.row[0].base_cell, 1);
    CHECK_INT(r.row[0].base_arm, 0);
    compare_free(&r);
    session_free(&a);
    session_free(&b);
}

TEST(unequal_environments_are_named)
{
    struct session a = run(3, 1, 0.002), b = run(4, 1, 0.002);
    struct compare_result r;
    struct error e = {0};
    strcpy(b.environment.cpu, "Other CPU");
    b.environment.threads = 16;
    strcpy(b.git_commit, "ba9876543210");
    CHECK_INT(compare_sessions(&a, &b, 5, &r, &e), 0);
    CHECK_STRING(r.differences,
                 "cpu: Test CPU / Other CPU; threads: 2 / 16; commit: 0123456789ab / ba9876543210");
    char *text = compare_print(&a, &b, &r, 80, &e);
    CHECK_CONTAINS(text, "The environments differ: cpu: Test CPU / Other CPU");
    CHECK_CONTAINS(text, "change");
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        CHECK(text_width(line) <= 80);
    }
    free(text);
    compare_free(&r);
    session_free(&a);
    session_free(&b);
}

TEST(the_comparison_as_json_names_both_sides)
{
    struct session a = run(3, 1, 0.002), b = run(4, 1.08, 0.002);
    struct compare_result r;
    struct error e = {0};
    strcpy(b.id, "new-session");
    CHECK_INT(compare_sessions(&a, &b, 5, &r, &e), 0);
    char *text = compare_print_json(&a, &b, &r, &e);
    cJSON *root = cJSON_Parse(text);
    CHECK(root != NULL);
    cJSON *cell = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "cells"), 1);
    cJSON *c = cJSON_GetArrayItem(cJSON_GetObjectItem(cell, "comparisons"), 1);
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetObjectItem(c, "verdict")), "slower");
    CHECK(cJSON_IsTrue(cJSON_GetObjectItem(c, "regression")));
    CHECK(cJSON_IsNull(cJSON_GetObjectItem(c, "paired")));
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(c, "new"), "session")),
                 "new-session");
    CHECK_INT(cJSON_GetObjectItem(root, "regressions")->valueint, 2);
    cJSON_Delete(root);
    free(text);
    compare_free(&r);
    session_free(&a);
    session_free(&b);
}

TEST(sessions_with_nothing_in_common_compare_to_nothing)
{
    struct session a = run(3, 1, 0.002), b = maker_session(2, 2, 10);
    struct compare_result r;
    struct error e = {0};
    CHECK_INT(compare_sessions(&a, &b, 5, &r, &e), 0);
    CHECK_INT(r.n, 0);
    char *text = compare_print(&a, &b, &r, 0, &e);
    CHECK(text != NULL);
    free(text);
    compare_free(&r);
    session_free(&a);
    session_free(&b);
}
