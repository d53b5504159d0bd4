#include "engine/worth.h"

#include "engine/export.h"
#include "stats/stats.h"
#include "tests/engine/session_maker.h"

/* Two batches, baseline, the same fused, and int8: arm 2 alone differs in what counts. */
static struct session sample(void)
{
    stats_init();
    struct session s = maker_session(2, 3, 6);
    for (int c = 0; c < 2; c++)
        for (int arm = 0; arm < 3; arm++) {
            maker_fill(&s, c, arm, 6, 10 - 2 * arm, 0.005);
            s.cell[c].arm[arm].implementation = s.preset.arms[arm].implementation;
        }
    for (int c = 0; c < 2; c++)
        strcpy(s.cell[c].model, "/models/gpt2.gguf");
    return s;
}

static void judge(struct session *s, int cell, int arm, double perplexity, double bits, double kl)
{
    struct arm_quality *q = &s->cell[cell].arm[arm].quality;
    *q = (struct arm_quality){.known = QUALITY_PERPLEXITY | QUALITY_BITS,
                              .tokens = 512,
                              .perplexity = perplexity,
                              .bits_per_byte = bits,
                              .nll = log(perplexity)};
    if (kl >= 0) {
        q->known |= QUALITY_KL | QUALITY_TOP1;
        q->kl = kl;
        q->top1_agreement = 0.9;
    }
    strcpy(q->source, "tinyshakespeare");
}

TEST(an_arm_of_the_same_quality_costs_nothing_and_shows_nothing)
{
    struct session s = sample();
    char text[160];
    CHECK(!worth_differs(&s, 1) && worth_differs(&s, 2) && !worth_differs(&s, 0));
    CHECK_STRING(worth_cost(&s, 0, 1, text, sizeof text), "");
    s.preset.n_arms = 2; /* without int8 */
    judge(&s, 0, 0, 20, 1.2, -1);
    judge(&s, 0, 1, 20, 1.2, 0);
    CHECK(!worth_has(&s, WORTH_PERPLEXITY) && !worth_has(&s, WORTH_KL));
    s.cell[0].workload = WORKLOAD_PERPLEXITY; /* there it is what was asked for */
    CHECK(worth_has(&s, WORTH_PERPLEXITY));
    session_free(&s);
}

TEST(what_was_not_judged_is_called_so)
{
    struct session s = sample();
    char text[160];
    CHECK_STRING(worth_cost(&s, -1, 2, text, sizeof text), "quality not measured");
    CHECK_STRING(worth_source(&s, -1, text, sizeof text), "");
    for (int f = 0; f < WORTH_FIGURES; f++)
        CHECK(!worth_has(&s, (enum worth_figure)f));
    session_free(&s);
}

TEST(the_rule_of_a_perplexity_is_told_in_words)
{
    struct session s = sample();
    char text[200];
    CHECK_STRING(worth_rule(&s, text, sizeof text), "");
    judge(&s, 0, 0, 20, 1.2, -1);
    s.cell[0].arm[0].quality.window = 256;
    CHECK_STRING(worth_rule(&s, text, sizeof text),
                 "Perplexity: windows of 256 tokens, the second half of each predicted, as llama-perplexity "
                 "-c 256 does.");
    judge(&s, 1, 0, 20, 1.2, -1);
    s.cell[1].arm[0].quality.window = 512;
    CHECK_CONTAINS(worth_rule(&s, text, sizeof text), "windows of 256 to 512 tokens");
    s.cell[0].arm[0].quality.known = s.cell[1].arm[0].quality.known = QUALITY_KL;
    CHECK_STRING(worth_rule(&s, text, sizeof text), "");
    session_free(&s);
}

TEST(a_cost_is_a_change_with_its_sign_over_the_cells)
{
    struct session s = sample();
    char text[160];
    for (int c = 0; c < 2; c++) {
        judge(&s, c, 0, 20, 1.2, -1);
        judge(&s, c, 2, c ? 20.4 : 20.1, 1.21, c ? 0.012 : 0.010);
    }
    CHECK_STRING(worth_cost(&s, 0, 2, text, sizeof text), "perplexity +0.5 %");
    CHECK_STRING(worth_cost(&s, -1, 2, text, sizeof text), "perplexity +0.5 % to +2.0 %");
    CHECK_STRING(worth_source(&s, -1, text, sizeof text), "512 tokens of tinyshakespeare");
    judge(&s, 0, 2, 19.99, 1.2, 0.01);
    CHECK_STRING(worth_cost(&s, 0, 2, text, sizeof text), "perplexity -0.05 %");
    judge(&s, 0, 2, 20, 1.2, 1e-9);
    CHECK_STRING(worth_cost(&s, 0, 2, text, sizeof text), "perplexity ±0.00 %");
    CHECK_STRING(worth_text(&s.cell[0].arm[2].quality, WORTH_KL, text, sizeof text), "0");
    for (int c = 0; c < 2; c++) /* no text: divergence is what there is */
        s.cell[c].arm[2].quality.known = QUALITY_KL | QUALITY_TOP1;
    s.cell[0].arm[2].quality.kl = 0.01;
    CHECK_STRING(worth_cost(&s, -1, 2, text, sizeof text), "KL 0.010 to 0.012 nats, top-1 90 %");
    session_free(&s);
}

TEST(another_vocabulary_is_held_against_the_baseline_by_bits_per_byte)
{
    struct session s = sample();
    char text[160];
    strcpy(s.preset.arms[2].implementation.vocabulary, "other");
    s.preset.arms[2].implementation.precision = s.preset.arms[0].implementation.precision;
    judge(&s, 0, 0, 20, 1.2, -1);
    judge(&s, 0, 2, 4000, 1.8, -1);
    CHECK(worth_differs(&s, 2) && worth_has(&s, WORTH_BITS));
    CHECK_STRING(worth_cost(&s, 0, 2, text, sizeof text), "bits per byte +50 %");
    s.cell[0].arm[2].quality.not_equivalent = true;
    CHECK_STRING(worth_cost(&s, 0, 2, text, sizeof text), "output not equivalent, bits per byte +50 %");
    s.cell[0].arm[2].quality.known = 0;
    CHECK_STRING(worth_cost(&s, 0, 2, text, sizeof text), "output not equivalent");
    session_free(&s);
}

TEST(the_printed_table_has_quality_beside_the_speed_up)
{
    struct session s = sample();
    struct error e = {0};
    for (int c = 0; c < 2; c++) {
        judge(&s, c, 0, 20, 1.2, -1);
        judge(&s, c, 2, 20.4, 1.21, 0.012);
    }
    strcpy(s.cell[0].arm[2].quality.note, "a note of the judge");
    char *text = table_print(&s, 0, &e);
    CHECK(text != NULL);
    CHECK_CONTAINS(text, "perplexity  KL nats  top-1  verdict");
    CHECK(text && !strstr(text, "bits/byte")); /* one vocabulary: perplexity says the same */
    CHECK_CONTAINS(text, "20.40    0.012   90 %  faster");
    CHECK_CONTAINS(text, "; perplexity +2.0 % on 512 tokens of tinyshakespeare");
    CHECK_CONTAINS(text, "batch 1, int8: a note of the judge");
    free(text);
    s.cell[0].arm[2].quality.not_equivalent = true;
    text = table_print(&s, 0, &e);
    CHECK_CONTAINS(text, "faster, not equivalent");
    free(text);
    session_free(&s);
}

TEST(of_random_weights_divergence_alone_is_told)
{
    struct session s = sample();
    char text[160];
    for (int c = 0; c < 2; c++) {
        strcpy(s.cell[c].model, "gpt2-124m");
        judge(&s, c, 0, 74000, 4.2, -1);
        judge(&s, c, 2, 68000, 2.8, 0.012); /* a lower perplexity of noise is no better one */
    }
    CHECK_STRING(worth_cost(&s, -1, 2, text, sizeof text), "KL 0.012 nats, top-1 90 %");
    CHECK_STRING(worth_source(&s, -1, text, sizeof text), "512 tokens of tinyshakespeare, random weights");
    CHECK_STRING(session_model_name(&s.cell[0]), "gpt2-124m");
    strcpy(s.cell[0].model, "/a/b/GPT2.GGUF");
    CHECK_STRING(session_model_name(&s.cell[0]), "GPT2.GGUF");
    CHECK(!session_random_weights(&s.cell[0]) && session_random_weights(&s.cell[1]));
    session_free(&s);
}
