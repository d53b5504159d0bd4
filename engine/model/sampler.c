#include "engine/model/sampler.h"

#include <math.h>
#include <stdlib.h>

struct candidate {
    float logit;
    int32_t id;
};

struct sampler {
    struct preset_sampling how;
    int n;
    double *weight;               /* [n] */
    struct candidate candidate[]; /* [n] */
};

bool sampler_is_greedy(const struct preset_sampling *s)
{
    return !(s->temperature > 0);
}

struct sampler *sampler_new(const struct preset_sampling *how, int n, struct error *e)
{
    struct sampler *s = malloc(sizeof *s + (size_t)n * sizeof s->candidate[0]);
    double *weight = malloc((size_t)n * sizeof *weight);
    if (!s || !weight) {
        free(s);
        free(weight);
        error_set(e, ERROR_MEMORY, "no memory to sample from %d tokens: close other programs", n);
        return NULL;
    }
    s->how = *how;
    s->n = n;
    s->weight = weight;
    return s;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->weight);
    free(s);
}

/* The likelier first; of equal ones the smaller id, so that a seed means one sequence everywhere. */
static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void sift(struct candidate *heap, int n, int at)
{
    for (;;) {
        int child = 2 * at + 1;
        if (child >= n)
            return;
        if (child + 1 < n && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &heap[at]))
            return;
        struct candidate t = heap[at];
        heap[at] = heap[child];
        heap[child] = t;
        at = child;
    }
}

int32_t sampler_choose(struct sampler *s, const float *logits, struct random *g)
{
    struct candidate *heap = s->candidate;
    int n = 0;
    for (int i = 0; i < s->n; i++)
        if (isfinite(logits[i]))
            heap[n++] = (struct candidate){logits[i], i};
    if (n == 0)
        return 0;
    for (int i = n / 2 - 1; i >= 0; i--)
        sift(heap, n, i);
    float max = heap[0].logit;
    if (sampler_is_greedy(&s->how))
        return heap[0].id;
    /* Taken from the heap in order while they count: the likeliest come out first, to the heap's far end. */
    int k = s->how.top_k > 0 && s->how.top_k < n ? s->how.top_k : n, taken = 0;
    bool all = k == n && !(s->how.top_p < 1);
    double sum = 0, total = 0;
    for (int i = 0; i < n && (all || !(s->how.top_k > 0)); i++)
        total += exp(((double)heap[i].logit - (double)max) / s->how.temperature);
    if (all) {
        for (int i = 0; i < n; i++)
            s->weight[i] = exp(((double)heap[i].logit - (double)max) / s->how.temperature);
        taken = n;
        sum = total;
    } else {
        bool whole = !(s->how.top_k > 0); /* of what the share is taken: all, or the k likeliest */
        while (taken < k) {
            struct candidate best = heap[0];
            heap[0] = heap[n - 1 - taken];
            heap[n - 1 - taken] = best;
            sift(heap, n - 1 - taken, 0);
            s->weight[taken] = exp(((double)best.logit - (double)max) / s->how.temperature);
            sum += s->weight[taken++];
            if (whole && sum >= s->how.top_p * total)
                break;
        }
        if (!whole && s->how.top_p < 1) {
            double part = 0;
            int kept = 0;
            while (kept < taken && (kept == 0 || part < s->how.top_p * sum))
                part += s->weight[kept++];
            taken = kept;
            sum = part;
        }
    }
    double at = random_uniform(g) * sum;
    int chosen = 0;
    while (chosen < taken - 1 && at >= s->weight[chosen])
        at -= s->weight[chosen++];
    return all ? heap[chosen].id : heap[n - 1 - chosen].id;
}
