/* How good logits are: the likelihood they give to the token that came, and how far they stand from a
 * baseline's on the same row. Sums only, in double precision; the caller brings the rows. */
#pragma once

#include "engine/quality.h"

struct score_row {
    double norm; /* log of the sum of exp(logits) */
    int top;     /* the likeliest; the first of equal ones */
};
/* share (may be NULL): [n] the softmax. norm is NAN where a logit is not finite. */
struct score_row score_read(const float *logits, int n, double *share);
/* KL(baseline || arm) in nats, from the baseline's softmax; rounding may make it slightly negative. */
double score_kl(const float *baseline, const struct score_row *b, const double *share, const float *arm,
                const struct score_row *a, int n);

struct scores { /* zeroed: nothing yet */
    int64_t rows, compared, same_top;
    double nll, nll_squares; /* sums over rows with a target */
    double kl;
    double *kl_row; /* [compared] */
    int64_t room;
    bool failed;     /* no memory for kl_row */
    bool not_finite; /* a logit was not finite */
};
void score_likelihood(struct scores *s, const struct score_row *row, double target_logit);
void score_comparison(struct scores *s, double kl, bool same_top);
/* Figures and known bits of what was added; bytes: of the scored tokens' text, 0: not known. */
void score_finish(const struct scores *s, int64_t bytes, struct arm_quality *out);
void score_free(struct scores *s);
