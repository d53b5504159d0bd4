/* What an arm's output is worth, beside its speed: perplexity on a text, divergence from the baseline on the
 * same tokens, what it answered. The record and its words; the engine computes it (engine/model/score).
 * What is not known is said by `known`, never by a number. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum quality_bit {
    QUALITY_PERPLEXITY = 1, /* tokens, nll, nll_se, perplexity: of a text */
    QUALITY_BITS = 2,       /* bytes, bits_per_byte: comparable between vocabularies */
    QUALITY_KL = 4,         /* tokens, kl, kl_p99, kl_max: of a candidate */
    QUALITY_TOP1 = 8,       /* tokens, top1_agreement: of a candidate */
    QUALITY_RESPONSES = 16, /* response_agreement, response_prefix: of a candidate */
    QUALITY_ALL = 31
};

enum { QUALITY_NOTE = 192 };
struct arm_quality {
    unsigned known;            /* quality_bit mask */
    int64_t tokens;            /* scored positions */
    int64_t bytes;             /* of the text that they decode to */
    int window;                /* tokens of context each window has; its second half is scored */
    double nll, nll_se;        /* mean negative log likelihood, nats; its standard error */
    double perplexity;         /* exp(nll) */
    double bits_per_byte;      /* of all scored tokens, by the bytes they stand for */
    double kl, kl_p99, kl_max; /* of softmax(baseline) from softmax(arm) per position, nats: mean, ... */
    double top1_agreement;     /* share of positions with the baseline's likeliest token */
    double response_agreement; /* share of response positions with the baseline's token, */
    double response_prefix;    /* and of those before the first difference */
    bool not_equivalent;       /* an adapted vocabulary without weights that were trained for it */
    char source[96];           /* "tinyshakespeare", "seeded random ids"; "": quality was not judged */
    char note[QUALITY_NOTE]; /* what a reader must know: "output not equivalent: ...", why a figure is missing
                              */
};

enum text_bit {
    TEXT_TOKENS = 1,  /* texts, tokens, bytes */
    TEXT_STANDARD = 2 /* standard_tokens: the arm's vocabulary is another one */
};
struct text_figures { /* the text in the arm's vocabulary */
    unsigned known;   /* text_bit mask */
    int64_t texts, tokens, bytes;
    int64_t standard_tokens; /* of the same texts in the model's own vocabulary */
};

enum response_finish { RESPONSE_LENGTH, RESPONSE_END_OF_TEXT, RESPONSE_FINISHES };
extern const char *const response_finish_names[RESPONSE_FINISHES]; /* "length", "end_of_text" */
struct session_response {
    char *prompt, *text; /* UTF-8, owned; what is none stands as U+FFFD */
    int prompt_tokens;
    int tokens; /* of the response, without the end-of-text token */
    enum response_finish finish;
};
struct session_responses {
    int n;
    struct session_response *response; /* [n] */
    int length;                        /* tokens generated for each, whatever came */
    int32_t *ids;                      /* [n, length]; NULL when read from a file */
};
enum { RESPONSE_TEXT = 64 * 1024 }; /* bytes of a prompt or text at most */

/* n empty responses and, with length > 0, ids. NULL: no memory. */
struct session_responses *quality_new_responses(int n, int length);
struct session_responses *quality_copy_responses(const struct session_responses *r); /* NULL: no memory */
void quality_free_responses(struct session_responses *r);                            /* NULL is fine */
/* A copy of n bytes (any) as UTF-8 text of at most RESPONSE_TEXT bytes. NULL: no memory. */
char *quality_text(const char *bytes, size_t n);
/* Share of positions with equal tokens, and of those before the first difference, over all prompts. false:
 * not the same prompts, or no ids. */
bool quality_agreement(const struct session_responses *a, const struct session_responses *b,
                       double *positions, double *prefix);
/* The figure of one bit (perplexity, bits_per_byte, kl, top1_agreement, response_agreement); NAN: not known.
 */
double quality_figure(const struct arm_quality *q, enum quality_bit bit);
/* Candidate's perplexity over the baseline's - 1; between vocabularies that of bits per byte. NAN: not known.
 */
double quality_perplexity_increase(const struct arm_quality *baseline, const struct arm_quality *candidate);
