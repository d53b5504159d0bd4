#include "engine/summary_cache.h"

#include "engine/summary_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the figures of an arm depend on: whatever changes in it, one of these does. */
struct arm_state {
    int blocks, complete, planned;
    bool checked, passed;
    enum cell_status status;
    int64_t load_ns, cold_start_ns;
    double bytes, flops, tokens;
};

struct summary_cache {
    int n, arms; /* pairs: cells x arms */
    struct pair {
        struct arm_state baseline, candidate;
        bool made;
        struct comparison alone; /* before the family */
        struct summary_case k;
        char differs[SUMMARY_REFUSAL];
    } * pair;
    struct comparison *family;
    struct summary_case *k;
    struct arm_figures {
        struct arm_state state;
        bool made, some;
        struct arm_summary summary;
    } * figures;
};

struct summary_cache *summary_cache_new(void)
{
    return calloc(1, sizeof(struct summary_cache));
}

static void drop(struct summary_cache *c)
{
    free(c->pair);
    free(c->family);
    free(c->k);
    free(c->figures);
    *c = (struct summary_cache){0};
}

void summary_cache_free(struct summary_cache *c)
{
    if (c)
        drop(c);
    free(c);
}

static int fit(struct summary_cache *c, const struct session *s)
{
    int arms = s->preset.n_arms > 0 ? s->preset.n_arms : 1, n = s->n_cells * arms;
    if (c->n == n && c->arms == arms && c->pair)
        return 0;
    drop(c);
    size_t room = (size_t)n + 1;
    c->pair = calloc(room, sizeof *c->pair);
    c->family = calloc(room, sizeof *c->family);
    c->k = calloc(room, sizeof *c->k);
    c->figures = calloc(room, sizeof *c->figures);
    if (!c->pair || !c->family || !c->k || !c->figures) {
        drop(c);
        return -1;
    }
    c->n = n;
    c->arms = arms;
    return 0;
}

static struct arm_state state_of(const struct session *s, int cell, int arm)
{
    const struct session_arm *a = &s->cell[cell].arm[arm];
    struct arm_state x;
    memset(&x, 0, sizeof x); /* compared as bytes */
    x.blocks = a->n_blocks;
    x.planned = s->cell[cell].rounds_planned;
    x.checked = a->output.checked;
    x.passed = a->output.passed;
    x.status = a->status;
    x.load_ns = a->load_ns;
    x.cold_start_ns = a->cold_start_ns;
    x.bytes = a->work.bytes;
    x.flops = a->work.flops;
    x.tokens = (double)a->work.tokens;
    /* Blocks are completed in order: only the last ones can still be open. */
    for (int i = a->n_blocks; i-- > 0 && a->n_blocks - i <= 2;)
        x.complete += atomic_load_explicit(&a->blocks[i]->n, memory_order_acquire) >= a->blocks[i]->capacity;
    return x;
}

static bool same(const struct arm_state *a, const struct arm_state *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool up_to_date(const struct pair *p, const struct arm_state *baseline,
                       const struct arm_state *candidate)
{
    return p->made && same(&p->baseline, baseline) && same(&p->candidate, candidate);
}

static int refresh(struct summary_cache *c, const struct session *s, int cell, int arm)
{
    struct pair *p = &c->pair[cell * c->arms + arm];
    struct arm_state baseline = state_of(s, cell, 0), candidate = state_of(s, cell, arm);
    if (up_to_date(p, &baseline, &candidate))
        return 0;
    int result = summary_compare_pair(s, cell, 0, arm, &p->alone, &p->k, p->differs);
    if (result == SUMMARY_NO_MEMORY)
        return -1;
    p->baseline = baseline;
    p->candidate = candidate;
    p->made = true;
    return 0;
}

const struct comparison *summary_cache_comparisons(struct summary_cache *c, const struct session *s,
                                                   struct error *e)
{
    if (fit(c, s) < 0) {
        error_set(e, ERROR_MEMORY, "no memory to compare the arms: close other programs");
        return NULL;
    }
    for (int cell = 0; cell < s->n_cells; cell++) {
        for (int arm = 0; arm < c->arms; arm++) {
            int i = cell * c->arms + arm;
            if (arm == 0 || arm >= s->cell[cell].n_arms) {
                c->family[i] = (struct comparison){.candidate = arm, .p_holm = NAN, .p_bh = NAN};
                c->k[i] = (struct summary_case){.differs = ""};
                continue;
            }
            if (refresh(c, s, cell, arm) < 0) {
                error_set(e, ERROR_MEMORY, "no memory to compare the arms: close other programs");
                return NULL;
            }
            c->family[i] = c->pair[i].alone;
            c->k[i] = c->pair[i].k;
        }
    }
    return summary_family(c->family, c->k, c->n, e) == 0 ? c->family : NULL;
}

const struct arm_summary *summary_cache_arm(struct summary_cache *c, const struct session *s, int cell,
                                            int arm)
{
    if (fit(c, s) < 0 || cell < 0 || cell >= s->n_cells || arm < 0 || arm >= c->arms ||
        arm >= s->cell[cell].n_arms)
        return NULL;
    struct arm_figures *f = &c->figures[cell * c->arms + arm];
    struct arm_state now = state_of(s, cell, arm);
    if (!f->made || !same(&f->state, &now)) {
        f->some = summary_arm(s, cell, arm, &f->summary) == 0;
        f->made = !f->summary.incomplete;
        f->state = now;
    }
    return f->some ? &f->summary : NULL;
}

double summary_cache_step(struct summary_cache *c, const struct session *s, int most)
{
    int left = 0, all = 0;
    if (fit(c, s) < 0)
        return -1;
    for (int cell = 0; cell < s->n_cells; cell++) {
        struct arm_state baseline = {0};
        for (int arm = 0; arm < c->arms && arm < s->cell[cell].n_arms; arm++) {
            int i = cell * c->arms + arm;
            const struct arm_state now = state_of(s, cell, arm);
            baseline = arm == 0 ? now : baseline;
            all++;
            if (c->figures[i].made && same(&c->figures[i].state, &now) &&
                (arm == 0 || up_to_date(&c->pair[i], &baseline, &now)))
                continue;
            if (now.blocks > 0 && most-- <= 0) { /* one that has nothing costs nothing */
                left++;
                continue;
            }
            summary_cache_arm(c, s, cell, arm);
            if (!c->figures[i].made || (arm > 0 && refresh(c, s, cell, arm) < 0))
                return -1;
        }
    }
    return left > 0 ? 1 - (double)left / all : 1;
}

static const struct arm_summary *kept_arm(void *who, const struct session *s, int cell, int arm,
                                          struct arm_summary *room)
{
    const struct arm_summary *kept = summary_cache_arm(who, s, cell, arm);
    if (!kept)
        summary_arm(s, cell, arm, room);
    return kept ? kept : room;
}

int summary_cache_criteria(struct summary_cache *c, const struct session *s,
                           struct criterion_result out[SUMMARY_CRITERIA])
{
    const struct comparison *comparisons = summary_cache_comparisons(c, s, NULL);
    return comparisons ? summary_judge_criteria(s, comparisons, kept_arm, c, out) : -1;
}
