#include "engine/model/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct score_row score_read(const float *logits, int n, double *share)
{
    int top = 0;
    bool finite = true;
    for (int i = 0; i < n; i++) {
        finite = finite && isfinite(logits[i]);
        top = logits[i] > logits[top] ? i : top;
    }
    double max = (double)logits[top], sum = 0;
    if (!finite)
        return (struct score_row){(double)NAN, top};
    for (int i = 0; i < n; i++) {
        double x = exp((double)logits[i] - max);
        sum += x;
        if (share)
            share[i] = x;
    }
    for (int i = 0; share && i < n; i++)
        share[i] /= sum;
    return (struct score_row){max + log(sum), top};
}

double score_kl(const float *baseline, const struct score_row *b, const double *share, const float *arm,
                const struct score_row *a, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += share[i] * ((double)baseline[i] - (double)arm[i]);
    return sum + (a->norm - b->norm);
}

void score_likelihood(struct scores *s, const struct score_row *row, double target_logit)
{
    double nll = row->norm - target_logit;
    s->not_finite = s->not_finite || !isfinite(nll);
    s->rows++;
    s->nll += nll;
    s->nll_squares += nll * nll;
}

void score_comparison(struct scores *s, double kl, bool same_top)
{
    if (s->compared == s->room) {
        int64_t room = s->room ? 2 * s->room : 256;
        double *larger = realloc(s->kl_row, (size_t)room * sizeof *larger);
        if (!larger) {
            s->failed = true;
            return;
        }
        s->kl_row = larger;
        s->room = room;
    }
    s->not_finite = s->not_finite || !isfinite(kl);
    s->kl_row[s->compared++] = kl;
    s->kl += kl;
    s->same_top += same_top;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void score_finish(const struct scores *s, int64_t bytes, struct arm_quality *out)
{
    if (s->not_finite || s->failed)
        return;
    if (s->rows > 0) {
        double n = (double)s->rows, mean = s->nll / n;
        double variance = n > 1 ? fmax(0, (s->nll_squares - n * mean * mean) / (n - 1)) : 0;
        out->known |= QUALITY_PERPLEXITY;
        out->tokens = s->rows;
        out->nll = fmax(mean, 0);
        out->nll_se = sqrt(variance / n);
        out->perplexity = exp(mean);
        if (bytes > 0) {
            out->known |= QUALITY_BITS;
            out->bytes = bytes;
            out->bits_per_byte = s->nll / M_LN2 / (double)bytes;
        }
    }
    if (s->compared > 0) {
        double n = (double)s->compared;
        out->known |= QUALITY_KL | QUALITY_TOP1;
        out->tokens = s->compared;
        out->kl = s->kl / n;
        out->top1_agreement = (double)s->same_top / n;
        qsort(s->kl_row, (size_t)s->compared, sizeof *s->kl_row, ascending);
        out->kl_p99 = s->kl_row[(int64_t)ceil(0.99 * n) - 1]; /* the nearest rank */
        out->kl_max = s->kl_row[s->compared - 1];
    }
}

void score_free(struct scores *s)
{
    free(s->kl_row);
    *s = (struct scores){0};
}
