#include "engine/log.h"
#include "engine/quality.h"
#include "engine/session_file.h"
#include "engine/summary.h"
#include "tests/engine/session_maker.h"

static struct session_responses *two_answers(void)
{
    struct session_responses *r = quality_new_responses(2, 4);
    const int32_t ids[8] = {5, 6, 7, 8, 9, 9, 9, 9};
    memcpy(r->ids, ids, sizeof ids);
    r->response[0] = (struct session_response){
        quality_text("To be,\n", 7), quality_text("or \"not\"\n\tgrößer", 18), 3, 4, RESPONSE_LENGTH};
    r->response[1] = (struct session_response){quality_text("", 0), quality_text("\xff\x1b[31m\xc3", 7), 0, 2,
                                               RESPONSE_END_OF_TEXT};
    return r;
}

static struct session judged(void)
{
    struct session s = maker_session(1, 3, 6);
    for (int arm = 0; arm < 2; arm++)
        maker_fill(&s, 0, arm, 6, 14 - 4 * arm, 0.01);
    s.cell[0].arm[0].quality = (struct arm_quality){.known = QUALITY_PERPLEXITY | QUALITY_BITS,
                                                    .tokens = 255,
                                                    .bytes = 812,
                                                    .window = 512,
                                                    .nll = 3.25,
                                                    .nll_se = 0.1,
                                                    .perplexity = 25.790339917193062,
                                                    .bits_per_byte = 1.4725,
                                                    .source = "tinyshakespeare"};
    s.cell[0].arm[1].quality = (struct arm_quality){.known = QUALITY_ALL,
                                                    .tokens = 255,
                                                    .bytes = 812,
                                                    .window = 512,
                                                    .nll = 3.5,
                                                    .nll_se = 0.11,
                                                    .perplexity = 33.11545195869231,
                                                    .bits_per_byte = 1.585,
                                                    .kl = 0.02,
                                                    .kl_p99 = 0.3,
                                                    .kl_max = 0.4,
                                                    .top1_agreement = 0.75,
                                                    .response_agreement = 0.5,
                                                    .response_prefix = 0.25,
                                                    .source = "tinyshakespeare"};
    s.cell[0].arm[2].quality =
        (struct arm_quality){.not_equivalent = true, .note = "output not equivalent: why"};
    s.cell[0].arm[1].text = (struct text_figures){TEXT_TOKENS | TEXT_STANDARD, 3, 700, 812, 1000};
    s.cell[0].arm[0].text = (struct text_figures){TEXT_TOKENS, 3, 1000, 812, 0};
    s.cell[0].arm[1].responses = two_answers();
    return s;
}

static bool same_quality(const struct arm_quality *a, const struct arm_quality *b)
{
    return a->known == b->known && a->tokens == b->tokens && a->bytes == b->bytes && a->window == b->window &&
           a->nll == b->nll && a->nll_se == b->nll_se && a->perplexity == b->perplexity &&
           a->bits_per_byte == b->bits_per_byte && a->kl == b->kl && a->kl_p99 == b->kl_p99 &&
           a->kl_max == b->kl_max && a->top1_agreement == b->top1_agreement &&
           a->response_agreement == b->response_agreement && a->response_prefix == b->response_prefix &&
           a->not_equivalent == b->not_equivalent && strcmp(a->source, b->source) == 0 &&
           strcmp(a->note, b->note) == 0;
}

static void check_kept(const struct session *s, const struct session *t)
{
    for (int a = 0; a < 3; a++) {
        const struct session_arm *x = &s->cell[0].arm[a], *y = &t->cell[0].arm[a];
        CHECK(same_quality(&x->quality, &y->quality));
        CHECK(memcmp(&x->text, &y->text, sizeof x->text) == 0);
        CHECK(!x->responses == !y->responses);
    }
    const struct session_responses *r = t->cell[0].arm[1].responses;
    if (!r)
        TEST_FAIL("the responses are gone");
    CHECK_INT(r->n, 2);
    CHECK_STRING(r->response[0].prompt, "To be,\n");
    CHECK_STRING(r->response[0].text, "or \"not\"\n\tgrößer");
    CHECK_INT(r->response[0].prompt_tokens, 3);
    CHECK_INT(r->response[0].tokens, 4);
    CHECK_INT(r->response[0].finish, RESPONSE_LENGTH);
    CHECK_STRING(r->response[1].text, "\xef\xbf\xbd\xef\xbf\xbd[31m\xef\xbf\xbd");
    CHECK_INT(r->response[1].finish, RESPONSE_END_OF_TEXT);
}

TEST(quality_text_and_responses_come_back_from_a_session_file)
{
    struct session s = judged(), t;
    struct error e = {0}, warning = {0};
    char *text = session_print(&s, &e);
    const char *folder = maker_folder();
    char path[256];
    snprintf(path, sizeof path, "%s/s.json", folder);
    CHECK_INT(session_save(&s, path, &e), 0);
    CHECK_INT(session_load(path, &t, &warning, &e), 0);
    CHECK_STRING(e.text, "");
    CHECK_STRING(warning.text, "");
    check_kept(&s, &t);
    char *again = session_print(&t, &e);
    CHECK_STRING(again, text); /* figures that are computed included */
    free(text);
    free(again);
    session_free(&s);
    session_free(&t);
    maker_remove_folder(folder);
}

TEST(what_is_not_known_is_null_and_never_0)
{
    struct session s = judged();
    struct error e = {0};
    char *text = session_print(&s, &e);
    CHECK_CONTAINS(text, "\"kl\": null");
    CHECK_CONTAINS(text, "\"perplexity\": null");
    CHECK_CONTAINS(text, "\"standard_tokens\": null");
    CHECK_CONTAINS(text, "\"not_equivalent\": true");
    free(text);
    session_free(&s);
}

TEST(a_journal_keeps_quality_and_responses)
{
    struct session s = judged(), t;
    struct error e = {0}, warning = {0};
    const char *folder = maker_folder();
    char path[256];
    snprintf(path, sizeof path, "%s/s.json", folder);
    struct session head = maker_session(1, 3, 6);
    struct journal *j = journal_open(path, &head, &e);
    for (int a = 0; a < 3; a++) {
        struct log_entry entry = {.kind = LOG_ARM, .arm = a, .payload = &s.cell[0].arm[a]};
        CHECK_INT(journal_append(j, &entry, &e), 0);
        entry.kind = LOG_RESPONSES;
        entry.payload = s.cell[0].arm[a].responses;
        if (entry.payload)
            CHECK_INT(journal_append(j, &entry, &e), 0);
    }
    CHECK_INT(journal_close(j, false, &e), 0);
    CHECK_INT(session_load(path, &t, &warning, &e), 0);
    check_kept(&s, &t);
    session_free(&s);
    session_free(&t);
    session_free(&head);
    maker_remove_folder(folder);
}

static void refused(const char *from, const char *to, const char *why)
{
    struct session s = judged(), t = {0};
    struct error e = {0};
    char *text = session_print(&s, &e), *at = strstr(text, from);
    if (!at)
        TEST_FAIL("\"%s\" is not in the file", from);
    const char *folder = maker_folder();
    char path[256];
    snprintf(path, sizeof path, "%s/s.json", folder);
    FILE *f = fopen(path, "w");
    fprintf(f, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    fclose(f);
    CHECK_INT(session_load(path, &t, NULL, &e), -1);
    CHECK_CONTAINS(e.text, why);
    free(text);
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(impossible_quality_in_a_file_is_refused_by_key)
{
    refused("\"top1_agreement\": 0.75", "\"top1_agreement\": 1.5", "cells.0.arms.1.quality.top1_agreement");
    refused("\"perplexity\": 25.790339917193062", "\"perplexity\": -1", "cells.0.arms.0.quality.perplexity");
    refused("\"window\": 512", "\"window\": \"long\"", "quality.window");
    refused("\"texts\": 3", "\"texts\": -3", "cells.0.arms.0.text.texts");
    refused("\"finish\": \"length\"", "\"finish\": \"tired\"",
            "cells.0.arms.1.responses.0.finish: expected length");
    refused("\"prompt\": \"To be,\\n\"", "\"prompt\": 7", "responses.0.prompt: expected a text");
    refused("\"quality\": {", "\"quality\": 5, \"other\": {", "quality");
}

TEST(a_fold_of_the_log_shows_responses_without_owning_them)
{
    struct session s = judged(), t = {0};
    struct error e = {0};
    CHECK_INT(session_layout(&t, &s.preset, &e), 0);
    struct log_entry entry = {.kind = LOG_RESPONSES, .arm = 1, .payload = s.cell[0].arm[1].responses};
    CHECK_INT(session_apply(&t, &entry, &e), 0);
    entry = (struct log_entry){.kind = LOG_ARM, .arm = 1, .payload = &s.cell[0].arm[1]};
    struct session_arm facts = s.cell[0].arm[1];
    facts.responses = NULL;
    entry.payload = &facts;
    CHECK_INT(session_apply(&t, &entry, &e), 0);
    CHECK(t.cell[0].arm[1].responses == s.cell[0].arm[1].responses);
    CHECK_CLOSE(t.cell[0].arm[1].quality.kl, 0.02, 0);
    session_free(&t);
    session_free(&s);
}

TEST(agreement_counts_equal_positions_and_those_before_the_first_difference)
{
    struct session_responses *a = two_answers(), *b = two_answers();
    double positions = -1, prefix = -1;
    b->ids[1] = 0;
    b->ids[7] = 0;
    CHECK(quality_agreement(a, b, &positions, &prefix));
    CHECK_CLOSE(positions, 6.0 / 8, 0);
    CHECK_CLOSE(prefix, (1.0 + 3) / 8, 0);
    free(b->ids);
    b->ids = NULL;
    CHECK(!quality_agreement(a, b, &positions, &prefix));
    struct session_responses *c = quality_copy_responses(a);
    CHECK(quality_agreement(a, c, &positions, &prefix) && positions == 1 && prefix == 1);
    quality_free_responses(a);
    quality_free_responses(b);
    quality_free_responses(c);
}

TEST(text_is_well_formed_whatever_bytes_come)
{
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"a\xc0\xaf", "a\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
                 {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
                 {"x\r\x01\ty\n", "x\xef\xbf\xbd\xef\xbf\xbd\ty\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *t = quality_text(cases[i].bytes, strlen(cases[i].bytes));
        CHECK_STRING(t, cases[i].text);
        free(t);
    }
    char *nul = quality_text("a\0b", 3);
    CHECK_STRING(nul, "a\xef\xbf\xbd"
                      "b");
    free(nul);
    size_t n = RESPONSE_TEXT;
    char *many = malloc(n);
    memset(many, 0xff, n);
    char *t = quality_text(many, n);
    CHECK(strlen(t) <= RESPONSE_TEXT && strlen(t) % 3 == 0);
    free(t);
    free(many);
}

TEST(an_increase_of_perplexity_is_told_only_where_figures_are_comparable)
{
    struct arm_quality base = {
        .known = QUALITY_PERPLEXITY | QUALITY_BITS, .perplexity = 20, .bits_per_byte = 2};
    struct arm_quality arm = {
        .known = QUALITY_PERPLEXITY | QUALITY_BITS | QUALITY_KL, .perplexity = 25, .bits_per_byte = 2.1};
    CHECK_CLOSE(quality_perplexity_increase(&base, &arm), 0.25, 1e-12);
    arm.known = QUALITY_PERPLEXITY | QUALITY_BITS; /* another vocabulary: no KL */
    CHECK_CLOSE(quality_perplexity_increase(&base, &arm), 0.05, 1e-12);
    arm.known = QUALITY_KL;
    CHECK(isnan(quality_perplexity_increase(&base, &arm)));
}

TEST(criteria_gate_on_quality)
{
    struct session s = judged();
    struct criterion_result r[SUMMARY_CRITERIA];
    s.preset.criteria = preset_no_criteria();
    s.preset.criteria.max_perplexity_increase = 0.3;
    s.preset.criteria.max_kl = 0.01;
    s.preset.criteria.min_top1_agreement = 0.75;
    CHECK_INT(summary_criteria(&s, r), 3);
    CHECK_STRING(r[0].metric, "max_perplexity_increase");
    CHECK(r[0].known && r[0].passed);
    CHECK_CLOSE(r[0].achieved, 33.11545195869231 / 25.790339917193062 - 1, 1e-12);
    CHECK(r[1].known && !r[1].passed);
    CHECK(r[2].known && r[2].passed);
    s.cell[0].arm[1].quality.known = 0;
    CHECK_INT(summary_criteria(&s, r), 3);
    CHECK(!r[0].known && !r[1].known && !r[2].known);
    session_free(&s);
}
