#include "engine/dashboard.h"

#include "engine/export.h"
#include "stats/stats.h"
#include "tests/engine/golden.h"
#include "tests/engine/worth_maker.h"

static struct dashboard built(const struct session *s, int cell)
{
    struct dashboard d = {0};
    struct error e = {0};
    struct comparison *comparisons = NULL;
    stats_init();
    if (summary_comparisons(s, &comparisons, &e) != 0 || dashboard_build(s, cell, comparisons, &d, &e) != 0)
        TEST_FAIL("%s", e.text);
    free(comparisons);
    return d;
}

static const struct dashboard_row *row(const struct dashboard *d, const char *name)
{
    for (int i = 0; i < d->n; i++)
        if (strcmp(d->row[i].name, name) == 0)
            return &d->row[i];
    return NULL;
}

static void done(struct session *s)
{
    session_free(s);
    free(s);
}

TEST(every_value_is_one_that_was_measured)
{
    struct session *s = maker_fused_session();
    strcpy(s->cell[0].model, "gpt2.gguf");
    strcpy(s->cell[1].model, "gpt2.gguf");
    struct dashboard d = built(s, -1);
    char text[DASHBOARD_TEXT * 2];
    const struct dashboard_row *tokens = row(&d, "tokenize: tokens in all"),
                               *cache = row(&d, "generate: KV cache"),
                               *pass = row(&d, "generate: time per pass"),
                               *bits = row(&d, "generate: bits per byte");
    CHECK(tokens && cache && pass && bits);
    if (tokens && cache && pass && bits) {
        CHECK(tokens->arm[0].value == 301000 && tokens->arm[1].value == 213000);
        CHECK_STRING(dashboard_change(tokens, 1, text, sizeof text), "-29.2 %");
        CHECK(cache->arm[1].value == 2621440);
        CHECK_STRING(dashboard_value(cache, 1, text, sizeof text), "2.5 MiB");
        CHECK_INT(pass->arm[1].verdict, VERDICT_FASTER);
        CHECK(pass->arm[1].low < -0.2 && pass->arm[1].high > -0.2); /* 0.8 of the time */
        CHECK_CONTAINS(dashboard_change(pass, 1, text, sizeof text), "), faster");
        CHECK_STRING(dashboard_change(pass, 0, text, sizeof text), "");
        CHECK_STRING(dashboard_change(bits, 1, text, sizeof text), "+56.4 %");
    }
    dashboard_free(&d);
    done(s);
}

TEST(what_was_not_measured_says_why_and_never_a_number)
{
    struct session *s = maker_fused_session();
    char text[DASHBOARD_TEXT * 2];
    s->cell[1].arm[1].has_measured = false;
    s->cell[1].arm[1].quality.known = 0;
    struct dashboard d = built(s, -1);
    const struct dashboard_row *peak = row(&d, "generate: peak"), *bits = row(&d, "generate: bits per byte"),
                               *perplexity = row(&d, "generate: perplexity");
    CHECK(peak && bits && perplexity);
    if (peak && bits && perplexity) {
        CHECK(isnan(peak->arm[1].value)); /* although a prediction exists */
        CHECK_STRING(peak->arm[1].why, "memory was not measured");
        CHECK_STRING(dashboard_value(peak, 1, text, sizeof text), "–");
        CHECK_STRING(dashboard_change(peak, 1, text, sizeof text), "");
        CHECK_STRING(bits->arm[1].why, "no text was scored");
    }
    CHECK(row(&d, "tokenize: peak") == NULL); /* nobody has it */
    dashboard_free(&d);
    s->cell[1].arm[1].status = CELL_UNSUPPORTED;
    strcpy(s->cell[1].arm[1].reason, "no such cache here");
    d = built(s, -1);
    peak = row(&d, "generate: peak");
    CHECK(peak != NULL);
    if (peak)
        CHECK_STRING(peak->arm[1].why, "unsupported: no such cache here");
    dashboard_free(&d);
    done(s);
}

TEST(perplexities_of_two_vocabularies_or_of_random_weights_are_shown_and_not_compared)
{
    struct session *s = maker_fused_session();
    char text[DASHBOARD_TEXT * 2];
    struct dashboard d = built(s, -1);
    const struct dashboard_row *bits = row(&d, "generate: bits per byte");
    CHECK(bits && bits->arm[1].value == 2.674);
    if (bits)
        CHECK_STRING(dashboard_change(bits, 1, text, sizeof text), "");
    dashboard_free(&d);
    strcpy(s->cell[0].model, "gpt2.gguf");
    strcpy(s->cell[1].model, "gpt2.gguf");
    d = built(s, -1);
    const struct dashboard_row *r = row(&d, "generate: perplexity");
    CHECK(r && r->arm[1].value == 4100);
    if (r)
        CHECK_STRING(dashboard_change(r, 1, text, sizeof text), "");
    dashboard_free(&d);
    done(s);
}

TEST(a_session_without_a_text_or_with_one_arm_has_no_dashboard)
{
    struct session *s = maker_fused_session(), plain = maker_session(1, 2, 6);
    CHECK(dashboard_fits(s));
    CHECK(!dashboard_fits(&plain));
    s->preset.n_arms = 1;
    CHECK(!dashboard_fits(s));
    session_free(&plain);
    done(s);
}

TEST(the_report_fills_the_tables_from_measured_values)
{
    struct session *s = maker_fused_session();
    struct error e = {0};
    s->cell[0].arm[0].output.checked = s->cell[1].arm[0].output.checked = false;
    char *text = export_find("md", &e)->print(s, &e);
    golden_check("report-fused.md", text);
    free(text);
    done(s);
    s = maker_quality_session();
    text = export_find("md", &e)->print(s, &e);
    CHECK_CONTAINS(text, "Judged on 2048 tokens of tinyshakespeare");
    CHECK_CONTAINS(text, "| int8 | 33.38 | 1.687 | 0.0021 | 97.4 % | 81 % | perplexity +0.8 % |");
    CHECK_CONTAINS(text, "| adapted (output not equivalent) |");
    free(text);
    done(s);
}
