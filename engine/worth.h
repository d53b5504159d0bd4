/* What an arm's output is worth, in the words that stand beside its speed: which figures a session has to
 * show, their text, and what a candidate costs against its baseline. Never says more than was judged: what
 * was not is called so. Pure; any thread. */
#pragma once

#include "engine/session.h"
#include "engine/summary.h"

enum worth_figure { WORTH_PERPLEXITY, WORTH_BITS, WORTH_KL, WORTH_TOP1, WORTH_REPLIES, WORTH_FIGURES };
extern const char *const worth_titles[WORTH_FIGURES]; /* "perplexity", "bits/byte", "KL nats", ... */

/* Precision, sparsity or vocabulary are not the baseline's: speed alone would be half the truth. */
bool worth_differs(const struct session *s, int arm);
/* The figure stands beside the speed: an arm differs, or perplexity is what was run, and it is known
 * somewhere.
 */
bool worth_has(const struct session *s, enum worth_figure figure);
/* "18.42", "1.273", "0.0021", "97.4 %"; "" where it is not known. */
char *worth_text(const struct arm_quality *q, enum worth_figure figure, char *out, size_t size);
/* An adapted vocabulary on weights that were not trained for it: whoever shows the arm says so in words. */
bool worth_not_equivalent(const struct session_arm *arm);
bool worth_any_not_equivalent(const struct session *s, int arm); /* in any cell */
/* "faster", "wrong output, not equivalent", "open" (rounds are not done): what stands beside a candidate. */
char *worth_verdict(const struct comparison *c, const struct session_arm *arm, char *out, size_t size);
extern const char worth_not_equivalent_words[]; /* "output not equivalent" */
/* "perplexity +0.8 %", "output not equivalent, bits per byte +31 %", "KL 0.012 nats, top-1 97.4 %", "quality
 * not measured"; over all cells where cell is -1, as a range. "" for an arm that differs in nothing that
 * counts. */
char *worth_cost(const struct session *s, int cell, int arm, char *out, size_t size);
/* What the quality of cell (-1: of any) was judged on: "4096 tokens of tinyshakespeare"; "": it was not. */
char *worth_source(const struct session *s, int cell, char *out, size_t size);
/* By what rule perplexity was taken, a sentence; "" where there is none. */
char *worth_rule(const struct session *s, char *out, size_t size);
