#include "engine/history.h"
#include "engine/history_print.h"
#include "stats/stats.h"
#include "tests/engine/session_maker.h"

/* One session of one cell whose baseline takes `ms`, give or take a little. */
static void add(struct history *h, int number, double ms, const char *host)
{
    struct session s = maker_session(1, 2, 6);
    struct error e = {0};
    snprintf(s.id, sizeof s.id, "session-%02d", number);
    strcpy(s.environment.host, host);
    for (int arm = 0; arm < 2; arm++)
        maker_fill(&s, 0, arm, 6, arm ? 5 * (1 + 0.002 * (number % 3)) : ms, 0.001);
    if (history_add(h, &s, &e) != 0)
        TEST_FAIL("%s", e.text);
    session_free(&s);
}

static void judge(const struct history *h, double threshold, struct history_judgement *out)
{
    struct error e = {0};
    if (history_judge(h, 0, threshold, out, &e) != 0)
        TEST_FAIL("%s", e.text);
}

TEST(two_sessions_predict_nothing)
{
    struct history h = {0};
    struct history_judgement j;
    for (int i = 0; i < 3; i++)
        add(&h, i, 10, "a");
    judge(&h, 5, &j);
    CHECK_INT(j.verdict, HISTORY_TOO_SHORT);
    CHECK(!j.regression && !j.harmless);
    CHECK_CONTAINS(j.reason, "2 earlier sessions");
    history_free(&h);
}

TEST(equal_sessions_are_steady_and_harmless)
{
    struct history h = {0};
    struct history_judgement j;
    for (int i = 0; i < 8; i++)
        add(&h, i, 10 * (1 + 0.003 * (i % 3)), "a");
    judge(&h, 5, &j);
    CHECK_INT(j.verdict, HISTORY_STEADY);
    CHECK_INT(j.earlier, 7);
    CHECK(j.harmless && !j.regression && j.n_changes == 0);
    CHECK(j.ci.low < 1 && j.ci.high > 1);
    history_free(&h);
}

TEST(a_session_of_another_device_is_held_against_none_of_the_cpu)
{
    struct history h = {0};
    struct history_judgement j;
    struct error e = {0};
    for (int i = 0; i < 7; i++)
        add(&h, i, 10 * (1 + 0.003 * (i % 3)), "a");
    struct session s = maker_session(1, 2, 6);
    strcpy(s.environment.host, "a");
    strcpy(s.preset.device, "cuda");
    strcpy(s.environment.device, "Emulated GPU");
    for (int arm = 0; arm < 2; arm++)
        maker_fill(&s, 0, arm, 6, 20, 0.001);
    CHECK_INT(history_add(&h, &s, &e), 0);
    judge(&h, 5, &j);
    CHECK_INT(j.n, 1);
    CHECK_INT(j.verdict, HISTORY_TOO_SHORT);
    CHECK(!j.regression);
    session_free(&s);
    history_free(&h);
}

TEST(a_newest_session_beyond_the_spread_between_sessions_is_slower)
{
    struct history h = {0};
    struct history_judgement j;
    for (int i = 0; i < 7; i++)
        add(&h, i, 10 * (1 + 0.003 * (i % 3)), "a");
    add(&h, 7, 11, "a");
    judge(&h, 5, &j);
    CHECK_INT(j.verdict, HISTORY_SLOWER);
    CHECK(j.regression);
    judge(&h, 50, &j);
    CHECK_INT(j.verdict, HISTORY_SLOWER);
    CHECK(!j.regression && j.harmless);
    history_free(&h);
}

TEST(a_wide_spread_between_sessions_hides_the_same_step)
{
    struct history h = {0};
    struct history_judgement j;
    for (int i = 0; i < 7; i++)
        add(&h, i, 10 * (1 + 0.08 * (i % 3 - 1)), "a");
    add(&h, 7, 11, "a");
    judge(&h, 5, &j);
    CHECK_INT(j.verdict, HISTORY_STEADY);
    CHECK(!j.regression && !j.harmless); /* neither shown nor excluded: exit 4 */
    history_free(&h);
}

TEST(a_step_in_the_past_is_found_and_stays_a_regression)
{
    struct history h = {0};
    struct history_judgement j;
    for (int i = 0; i < 12; i++)
        add(&h, i, (i < 6 ? 10 : 11) * (1 + 0.002 * (i % 3)), "a");
    judge(&h, 5, &j);
    CHECK_INT(j.n_changes, 1);
    CHECK_INT((long long)j.change[0].at, 6);
    CHECK_INT(j.verdict, HISTORY_STEADY);
    CHECK(j.regression);
    CHECK_CONTAINS(j.reason, "since session-06");
    judge(&h, 20, &j);
    CHECK(!j.regression);
    history_free(&h);
}

TEST(sessions_of_another_machine_do_not_count)
{
    struct history h = {0};
    struct history_judgement j;
    for (int i = 0; i < 6; i++)
        add(&h, i, 20, "old");
    for (int i = 6; i < 10; i++)
        add(&h, i, 10 * (1 + 0.003 * (i % 3)), "new");
    judge(&h, 5, &j);
    CHECK_INT(j.n, 4);
    CHECK_INT(j.n_changes, 0);
    CHECK_INT(j.verdict, HISTORY_STEADY);
    history_free(&h);
}

TEST(a_history_prints_as_table_and_as_json)
{
    struct history h = {0};
    struct history_judgement *j = NULL;
    struct error e = {0};
    const int key[] = {1, 0};
    for (int i = 0; i < 12; i++)
        add(&h, i, (i < 6 ? 10 : 11) * (1 + 0.002 * (i % 3)), "a");
    CHECK_INT(history_judge_all(&h, 5, &j, &e), 0);
    CHECK(j[0].p_holm >= j[0].p);
    char *text = history_print(&h, j, key, 2, 200, &e), *json = history_print_json(&h, j, key, 2, &e);
    CHECK(text && json);
    CHECK_CONTAINS(text, "changed, REGRESSION");
    CHECK_CONTAINS(text, "from session-06 on");
    CHECK(strstr(text, "fused") < strstr(text, "baseline"));
    CHECK_CONTAINS(json, "\"session\": \"session-06\"");
    free(text);
    free(json);
    free(j);
    history_free(&h);
}

TEST(arms_that_differ_in_axes_alone_are_told_apart)
{
    static const enum precision_kind precision[] = {PRECISION_FP32, PRECISION_BF16};
    struct history h = {0};
    struct history_judgement *j = NULL;
    struct error e = {0};
    char name[400], axes[192];
    const int key[] = {0, 1, 2};
    for (int i = 0; i < 6; i++) { /* the first arm has two precisions, the second is the same in both */
        struct session s = maker_session(1, 2, 6);
        snprintf(s.id, sizeof s.id, "session-%02d", i);
        s.cell[0].arm[0].implementation.precision = precision[i % 2];
        s.cell[0].arm[0].implementation.fusion = i % 2 ? FUSION_QKV : 0;
        for (int arm = 0; arm < 2; arm++)
            maker_fill(&s, 0, arm, 6, 10, 0.001);
        CHECK_INT(history_add(&h, &s, &e), 0);
        session_free(&s);
    }
    CHECK_INT(h.n_keys, 3);
    history_axes(&h, 0, axes, sizeof axes);
    CHECK_STRING(axes, "fusion none fp32");
    history_axes(&h, 1, axes, sizeof axes);
    CHECK_STRING(axes, "");
    history_name(&h, 2, name, sizeof name);
    CHECK_STRING(name, "baseline (fusion qkv bf16) · decode gpt2-124m · batch 1 · seq 128");
    CHECK_INT(history_judge_all(&h, 5, &j, &e), 0);
    char *text = history_print(&h, j, key, 3, 200, &e);
    CHECK_CONTAINS(text, "baseline  fusion none fp32 ");
    CHECK_CONTAINS(text, "fused                      "); /* the column stays aligned where there is nothing */
    CHECK_CONTAINS(text, "baseline  fusion qkv bf16  ");
    free(text);
    text = history_print(&h, j, key + 1, 1, 200, &e);
    CHECK(text && !strstr(text, "axes"));
    free(text);
    free(j);
    history_free(&h);
}
