/* Sessions whose arms are not worth the same: quality, responses and texts beside the speed. */
#pragma once

#include "tests/engine/session_maker.h"

static inline struct session_responses *maker_responses(const char *const *prompt, const char *const *text,
                                                        const int *tokens, int n)
{
    struct session_responses *r = quality_new_responses(n, 0);
    for (int i = 0; i < n; i++)
        r->response[i] = (struct session_response){strdup(prompt[i]), strdup(text[i]), 9 + i, tokens[i],
                                                   tokens[i] < 24 ? RESPONSE_END_OF_TEXT : RESPONSE_LENGTH};
    return r;
}

/* generate from a text: baseline, the same in int8, and an adapted vocabulary on weights that know nothing of
 * it. int8 parts from the baseline in the second response alone. */
static inline struct session *maker_quality_session(void)
{
    static const char
        *const prompt[] = {"Before we proceed any further,", "You are all resolved rather\nto die"},
               *const same[] = {" hear me speak.\nSpeak, speak, my lord, and say no more of it than the "
                                "Volsces have in arms.",
                                " than to famish? Resolved, resolved; we know it well."},
               *const near[] = {same[0], " than to famish? Resolved, as we know the people."},
               *const far[] = {" of the of the the and, the", "thou art the the king of"};
    static const int long_ones[] = {24, 12}, short_ones[] = {24, 24};
    struct session *s = malloc(sizeof *s);
    maker_state = 1;
    *s = maker_session(1, 3, 6);
    s->preset.workloads[0] = s->cell[0].workload = WORKLOAD_GENERATE;
    s->preset.tokens = s->cell[0].tokens = 24;
    strcpy(s->preset.text, "tinyshakespeare");
    struct session_cell *c = &s->cell[0];
    strcpy(s->preset.models[0], "/models/gpt2.gguf"); /* trained: its perplexity means something */
    strcpy(c->model, s->preset.models[0]);
    strcpy(s->preset.arms[1].name, "int8");
    strcpy(s->preset.arms[2].name, "adapted");
    strcpy(c->arm[1].name, "int8");
    strcpy(c->arm[2].name, "adapted");
    struct implementation *int8 = &s->preset.arms[1].implementation,
                          *other = &s->preset.arms[2].implementation;
    *int8 = *other = s->preset.arms[0].implementation;
    int8->precision = PRECISION_INT8;
    strcpy(other->vocabulary, "shakespeare-gpt-2");
    for (int arm = 0; arm < 3; arm++) {
        c->arm[arm].implementation = s->preset.arms[arm].implementation;
        maker_fill(s, 0, arm, 6, arm == 0 ? 90 : arm == 1 ? 52 : 91, 0.004);
        c->arm[arm].work.tokens = 48;
        c->arm[arm].output.tolerance = arm ? (double)NAN : 0;
        c->arm[arm].quality = (struct arm_quality){.known = QUALITY_PERPLEXITY | QUALITY_BITS,
                                                   .tokens = 2048,
                                                   .bytes = arm == 2 ? 9216 : 6144,
                                                   .window = 1024,
                                                   .nll = 3.5,
                                                   .nll_se = 0.05,
                                                   .perplexity = arm == 1 ? 33.38 : 33.12,
                                                   .bits_per_byte = arm == 1 ? 1.6871 : 1.6832};
        strcpy(c->arm[arm].quality.source, "tinyshakespeare");
        c->arm[arm].text = (struct text_figures){TEXT_TOKENS, 2, arm == 2 ? 30 : 43, 160, 0};
        c->arm[arm].responses = maker_responses(prompt,
                                                arm == 0   ? same
                                                : arm == 1 ? near
                                                           : far,
                                                arm == 2 ? short_ones : long_ones, 2);
    }
    struct arm_quality *q = &c->arm[1].quality;
    q->known = QUALITY_ALL;
    q->kl = 0.00214;
    q->top1_agreement = 0.9741;
    q->response_agreement = 0.81;
    q = &c->arm[2].quality;
    q->perplexity = 4100;
    q->bits_per_byte = 2.674;
    q->not_equivalent = true;
    strcpy(q->note, "output not equivalent: the weights were not trained for this vocabulary");
    c->arm[2].text.known |= TEXT_STANDARD;
    c->arm[2].text.standard_tokens = 43;
    return s;
}

/* The combined comparison: tokenize, and generate with two prompts, normal against fused (an adapted
 * vocabulary on a virtual cache). */
static inline struct session *maker_fused_session(void)
{
    static const char *const prompt[] = {"Before we proceed any further,",
                                         "You are all resolved rather\nto die"},
                             *const said[] = {" hear me speak.", " than to famish?"},
                             *const other[] = {" of the of the the and", "thou art the the king of"};
    static const int length[] = {24, 24};
    struct session *s = malloc(sizeof *s);
    maker_state = 1;
    *s = maker_session(2, 2, 6);
    strcpy(s->preset.name, "normal-vs-fused");
    strcpy(s->preset.text, "tinyshakespeare");
    s->preset.workloads[0] = WORKLOAD_TOKENIZE;
    s->preset.workloads[1] = WORKLOAD_GENERATE;
    s->preset.n_workloads = 2;
    s->preset.n_batch = 1;
    s->preset.batch[0] = 2;
    strcpy(s->preset.arms[0].name, "normal");
    strcpy(s->preset.arms[1].name, "fused");
    struct implementation *fused = &s->preset.arms[1].implementation;
    fused->attention = ATTENTION_FLASH;
    fused->kv_cache = KV_CACHE_VIRTUAL;
    strcpy(fused->vocabulary, "shakespeare-gpt-2");
    for (int c = 0; c < 2; c++)
        for (int arm = 0; arm < 2; arm++) {
            struct session_arm *a = &s->cell[c].arm[arm];
            s->cell[c].workload = s->preset.workloads[c];
            s->cell[c].seq = c ? 128 : 1;
            s->cell[c].tokens = 24;
            strcpy(a->name, s->preset.arms[arm].name);
            a->implementation = s->preset.arms[arm].implementation;
            maker_fill(s, c, arm, 6, (c ? 90 : 12) * (arm ? 0.8 : 1), 0.004);
            a->work.tokens = c ? 48 : arm ? 213000 : 301000;
            a->output.checked = false;
            a->text = (struct text_figures){TEXT_TOKENS, c ? 2 : 7222,
                                            c     ? arm ? 30 : 43
                                            : arm ? 213000
                                                  : 301000,
                                            c ? 160 : 1115394, 0};
            if (arm) {
                a->text.known |= TEXT_STANDARD;
                a->text.standard_tokens = c ? 43 : 301000;
            }
            if (c == 0) { /* no model runs there */
                a->measured = a->predicted = (struct memory_use){0};
                a->has_measured = false;
                continue;
            }
            a->measured.kv_used = arm ? 2300000 : 2600000;
            a->measured.kv_cache = arm ? 2621440 : 9437184;
            a->measured.kv_pages = (struct memory_pages){.page_bytes = arm ? 65536 : 4718592,
                                                         .pages = arm ? 40 : 2,
                                                         .reserved = 9437184,
                                                         .committed = a->measured.kv_cache,
                                                         .wasted = arm ? 160720 : 3418592,
                                                         .hidden_ns = arm ? 90000 : 0,
                                                         .exposed_ns = arm ? 240000 : 0,
                                                         .contiguous = 9437184};
            a->responses = maker_responses(prompt, arm ? other : said, length, 2);
            a->quality = (struct arm_quality){.known = QUALITY_PERPLEXITY | QUALITY_BITS,
                                              .tokens = 512,
                                              .bytes = 1900,
                                              .window = 128,
                                              .nll = 3.6,
                                              .perplexity = arm ? 4100 : 36.6,
                                              .bits_per_byte = arm ? 2.674 : 1.71,
                                              .not_equivalent = arm == 1};
            strcpy(a->quality.source, "tinyshakespeare");
        }
    return s;
}
