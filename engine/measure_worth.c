/* What the prepared arms of a cell are worth besides their speed. */
#include "engine/measure_internal.h"
#include <math.h>

static bool quality_differs(const struct preset *p)
{
    for (int a = 1; a < p->n_arms; a++)
        if (!implementation_same_quality(&p->arms[0].implementation, &p->arms[a].implementation))
            return true;
    return false;
}

/* How the text looks in each arm's vocabulary. */
static void tell_texts(struct measure_run *r)
{
    for (int a = 0; a < r->m->preset->n_arms; a++) {
        if (!r->active[a])
            continue;
        struct session_arm facts = *measure_known(r, a);
        r->m->runner->ops->text(r->arm[a], &facts.text);
        if (facts.text.known)
            measure_tell_arm(r, a, &facts);
    }
}

/* A call that failed: the arm is out, unless it was stopped. */
static void drop(struct measure_run *r, int arm, const struct error *e)
{
    if (measure_checkpoint(r) == MEASURE_WHY_NONE)
        measure_drop_arm(r, arm, measure_status_of(e->kind), e->text);
}

static void judge_quality(struct measure_run *r)
{
    struct runner_arm *arm[PRESET_ARMS];
    struct arm_quality quality[PRESET_ARMS];
    int index[PRESET_ARMS], n = 0;
    struct error e = {0};
    for (int a = 0; a < r->m->preset->n_arms; a++)
        if (r->active[a]) {
            index[n] = a;
            arm[n++] = r->arm[a];
        }
    measure_phase(r, -1, "quality", 0);
    if (r->m->runner->ops->quality(arm, n, &r->watch, quality, &e) < 0) {
        drop(r, 0, &e); /* they run together: whichever it was, nothing can be compared */
        return;
    }
    for (int i = 0; i < n; i++) {
        struct session_arm facts = *measure_known(r, index[i]);
        facts.quality = quality[i];
        measure_tell_arm(r, index[i], &facts);
    }
}

static void gather_responses(struct measure_run *r, int a)
{
    struct session_responses *mine = NULL;
    struct error e = {0};
    double positions, prefix;
    measure_phase(r, a, "responses", (double)a / r->m->preset->n_arms);
    if (r->m->runner->ops->responses(r->arm[a], &r->watch, &mine, &e) < 0) {
        drop(r, a, &e);
        return;
    }
    if (!mine)
        return;
    measure_tell(r, LOG_RESPONSES, a, (double)NAN, "", mine, 0);
    struct session_arm facts = *measure_known(r, a);
    if (a == 0 || facts.quality.not_equivalent ||
        !quality_agreement(measure_known(r, 0)->responses, mine, &positions, &prefix))
        return;
    facts.quality.known |= QUALITY_RESPONSES;
    facts.quality.response_agreement = positions;
    facts.quality.response_prefix = prefix;
    measure_tell_arm(r, a, &facts);
}

void measure_worth(struct measure_run *r)
{
    const struct runner_ops *ops = r->m->runner->ops;
    enum workload w = r->m->plan->workload;
    bool judged = w == WORKLOAD_PERPLEXITY || (w != WORKLOAD_TOKENIZE && quality_differs(r->m->preset));
    if (ops->text)
        tell_texts(r);
    if (ops->quality && judged)
        judge_quality(r);
    for (int a = 0; ops->responses && w == WORKLOAD_GENERATE && a < r->m->preset->n_arms; a++)
        if (r->active[a] && r->active[0] && measure_checkpoint(r) == MEASURE_WHY_NONE)
            gather_responses(r, a);
}
