#include "engine/columns.h"
#include "engine/export.h"
#include "tests/engine/golden.h"
#include "tests/engine/session_maker.h"
#include <locale.h>

/* The widest line of a text, in columns. */
static int widest(const char *text)
{
    int most = 0;
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = strndup(text, n);
        int w = text_width(line);
        most = w > most ? w : most;
        free(line);
        text += n + (text[n] == '\n');
    }
    return most;
}

static struct session sample(void)
{
    maker_state = 7;
    struct session s = maker_session(2, 3, 10);
    for (int cell = 0; cell < 2; cell++) {
        maker_fill(&s, cell, 0, 10, 14.2 * (1 + cell), 0.01);
        maker_fill(&s, cell, 1, 10, 10.0 * (1 + cell), 0.01);
    }
    s.cell[0].arm[2].status = s.cell[1].arm[2].status = CELL_UNSUPPORTED;
    strcpy(s.cell[0].arm[2].reason, "int8 products need AVX2: choose bf16");
    return s;
}

TEST(one_thread_is_not_many_and_no_time_or_ratio_is_rounded_to_nothing)
{
    struct session s = maker_session(1, 2, 2);
    struct error e = {0};
    s.environment.threads = 1;
    strcpy(s.preset.device, "fake");
    maker_fill(&s, 0, 0, 2, 0.52, 2.0);
    maker_fill(&s, 0, 1, 2, 5.2, 2.0);
    char *t = table_print(&s, 0, &e);
    CHECK_CONTAINS(t, " 1 thread ");
    CHECK_CONTAINS(t, "simulated");
    const char *row = strstr(t, "baseline");
    double mean = 0;
    CHECK(row && sscanf(row, "baseline %*d %*d %lf", &mean) == 1);
    CHECK(mean > 0);
    free(t);
    session_free(&s);
}

TEST(the_table_shows_every_arm_with_units_in_the_header)
{
    struct session s = sample();
    struct error e = {0};
    char *t = table_print(&s, 0, &e);
    CHECK_CONTAINS(t, "mean ms");
    CHECK_CONTAINS(t, "peak MiB");
    CHECK_CONTAINS(t, "baseline");
    CHECK_CONTAINS(t, "faster");
    CHECK_CONTAINS(t, "unsupported");
    CHECK_CONTAINS(t, "int8 products need AVX2");
    CHECK_CONTAINS(t, "batch 2: fused is 1.4");
    CHECK_CONTAINS(t, "family of 2 comparisons (Holm)");
    if (getenv("SHOW"))
        puts(t);
    free(t);
    session_free(&s);
}

TEST(the_table_fits_every_width)
{
    struct session s = sample();
    struct error e = {0};
    s.preset.criteria.min_speedup = 1.2;
    for (int width = 20; width <= 200; width++) {
        char *t = table_print(&s, width, &e);
        if (widest(t) > width)
            TEST_FAIL("a line of %d columns at width %d", widest(t), width);
        if (width >= 40) {
            CHECK_CONTAINS(t, "mean ms");
            CHECK_CONTAINS(t, "speed-up");
        }
        if (width >= 100)
            CHECK_CONTAINS(t, "tok/s");
        if (getenv("SHOW") && (width == 40 || width == 80 || width == 100))
            puts(t);
        free(t);
    }
    session_free(&s);
}

TEST(the_table_looks_as_it_should_at_three_widths)
{
    struct session s = sample();
    struct error e = {0};
    s.preset.criteria = (struct preset_criteria){1.2, 0.05, NAN, NAN, NAN, 0.1, NAN, NAN, NAN};
    static const int widths[] = {160, 100, 60};
    for (int i = 0; i < 3; i++) {
        char name[32], *t = table_print(&s, widths[i], &e);
        snprintf(name, sizeof name, "table-%d.txt", widths[i]);
        golden_check(name, t);
        free(t);
    }
    session_free(&s);
}

TEST(percentiles_that_n_cannot_support_are_dashes)
{
    struct session s = maker_session(1, 2, 10);
    maker_fill(&s, 0, 0, 5, 14.2, 0.01); /* 200 samples: p95 but no p99 */
    struct error e = {0};
    char *t = table_print(&s, 0, &e), *row = strstr(t, "baseline");
    CHECK(row != NULL);
    struct arm_summary a;
    summary_arm(&s, 0, 0, &a);
    CHECK(a.p95_supported && !a.p99_supported);
    CHECK_CONTAINS(row, "–");
    free(t);
    session_free(&s);
}

TEST(more_than_the_ceiling_is_told_as_a_ceiling_measured_low)
{
    struct session s = sample();
    struct error e = {0};
    s.environment.read_bandwidth *= 2;
    char *within = table_print(&s, 120, &e);
    s.environment.read_bandwidth /= 1000;
    char *beyond = table_print(&s, 120, &e);
    CHECK(within && beyond);
    CHECK(!strstr(within, "above 100 %"));
    CHECK_CONTAINS(beyond, "Shares of the limit above 100 %: the limits were measured while");
    free(within);
    free(beyond);
    session_free(&s);
}

TEST(the_table_is_the_same_in_every_locale)
{
    struct session s = sample();
    struct error e = {0};
    char *a = table_print(&s, 100, &e);
    setlocale(LC_ALL, "de_DE.UTF-8");
    char *b = table_print(&s, 100, &e);
    setlocale(LC_ALL, "C");
    CHECK_STRING(b, a);
    free(a);
    free(b);
    session_free(&s);
}

TEST(a_session_without_any_sample_still_has_a_table)
{
    struct session s = maker_session(1, 2, 10);
    struct error e = {0};
    s.cell[0].status = CELL_OUT_OF_MEMORY;
    strcpy(s.cell[0].reason, "needs 27.1 GiB, 23.4 GiB are free");
    s.preset.criteria.min_speedup = 1.2;
    char *t = table_print(&s, 80, &e);
    CHECK_CONTAINS(t, "out_of_memory");
    CHECK_CONTAINS(t, "needs 27.1 GiB");
    CHECK_CONTAINS(t, "no data");
    free(t);
    session_free(&s);
}

TEST(names_with_escape_bytes_and_wide_characters_do_not_disturb_the_terminal)
{
    struct session s = sample();
    struct error e = {0};
    strcpy(s.cell[0].model, "evil\033[2Jモデル");
    strcpy(s.cell[0].arm[2].reason, "broken \033]0;x\007 text");
    char *t = table_print(&s, 80, &e);
    CHECK(strchr(t, '\033') == NULL && strchr(t, '\007') == NULL);
    CHECK(widest(t) <= 80);
    free(t);
    session_free(&s);
}

TEST(a_text_is_cut_at_whole_characters)
{
    char out[64];
    CHECK_STRING(text_fit("größer", 4, out, sizeof out), "grö…");
    CHECK_STRING(text_fit("größer", 6, out, sizeof out), "größer");
    CHECK_STRING(text_fit("モデル", 5, out, sizeof out), "モデ…");
    CHECK_STRING(text_fit("a\xFFz", 5, out, sizeof out), "a?z");
    CHECK_INT(text_width("モデル±"), 7);
}
