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

static double weight_of(const struct sampler *s, float logit, float max)
{
    return exp(((double)logit - (double)max) / s->how.temperature);
}

/* The likeliest leave the heap in order, to its far end, until there are k or they hold `enough`. */
static int take_likeliest(struct sampler *s, int n, int k, double enough, double *sum)
{
    struct candidate *heap = s->candidate;
    float max = heap[0].logit;
    int taken = 0;
    for (*sum = 0; taken < k && *sum < enough; taken++) {
        struct candidate best = heap[0];
        heap[0] = heap[n - 1 - taken];
        heap[n - 1 - taken] = best;
        sift(heap, n - 1 - taken, 0);
        s->weight[taken] = weight_of(s, best.logit, max);
        *sum += s->weight[taken];
    }
    return taken;
}

/* Of the k likeliest, the fewest that hold top_p of what the k hold. */
static int cut_share(const struct sampler *s, int k, double *sum)
{
    double enough = s->how.top_p * *sum;
    int kept = 0;
    for (*sum = 0; kept < k && (kept == 0 || *sum < enough); kept++)
        *sum += s->weight[kept];
    return kept;
}

static int draw(const struct sampler *s, int n, double sum, struct random *g)
{
    double at = random_uniform(g) * sum;
    int chosen = 0;
    while (chosen < n - 1 && at >= s->weight[chosen])
        at -= s->weight[chosen++];
    return chosen;
}

int32_t sampler_choose(struct sampler *s, const float *logits, struct random *g)
{
    struct candidate *heap = s->candidate;
    int n = 0, taken;
    double sum = 0;
    for (int i = 0; i < s->n; i++)
        if (isfinite(logits[i]))
            heap[n++] = (struct candidate){logits[i], i};
    if (n == 0)
        return 0;
    for (int i = n / 2 - 1; i >= 0; i--)
        sift(heap, n, i);
    if (sampler_is_greedy(&s->how))
        return heap[0].id;
    if (s->how.top_k > 0 && s->how.top_k < n) {
        taken = take_likeliest(s, n, s->how.top_k, INFINITY, &sum);
        taken = cut_share(s, taken, &sum);
        return heap[n - 1 - draw(s, taken, sum, g)].id;
    }
    for (int i = 0; i < n; i++)
        sum += s->weight[i] = weight_of(s, heap[i].logit, heap[0].logit);
    if (!(s->how.top_p < 1)) /* all of them, in whatever order */
        return heap[draw(s, n, sum, g)].id;
    taken = take_likeliest(s, n, n, s->how.top_p * sum, &sum);
    return heap[n - 1 - draw(s, taken, sum, g)].id;
}
