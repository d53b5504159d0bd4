#include "engine/plan_admission.h"

#include "engine/model/admission.h"
#include "engine/model/native.h"

#include <stdlib.h>
#include <unistd.h>

int64_t plan_page_bytes(const char *device)
{
    return native_is_cuda(device) ? 2 << 20 : sysconf(_SC_PAGESIZE);
}

static int common_divisor(int a, int b)
{
    return b ? common_divisor(b, a % b) : a;
}

/* Every length once, in an order that mixes them: steps of about the golden ratio's share of n. */
static int mixed(int i, int n)
{
    int step = (int)(0.618 * n) + 1;
    while (common_divisor(step, n) != 1)
        step++;
    return (int)((int64_t)i * step % n);
}

static struct kv_cache_shape shape_of(const struct model_spec *m, const struct implementation *i,
                                      int capacity)
{
    int64_t elements = 2 * (int64_t)m->layers * m->kv_heads * m->head_dim;
    return (struct kv_cache_shape){
        .kind = i->kv_cache,
        .dtype = model_kv_bytes_per_token(m, i->precision) / elements == 4 ? KERNEL_FP32 : KERNEL_FP16,
        .layers = m->layers,
        .kv_heads = m->kv_heads,
        .head_dim = m->head_dim,
        .block_size = kv_cache_block_size(i->kv_cache),
        .capacity = capacity,
    };
}

/* The first arm with each kind of cache, that the device runs. */
static void choose_arms(const struct preset *p, const struct plan_cell *c, struct plan_admission *out)
{
    out->n = 0;
    for (int a = 0; a < p->n_arms; a++) {
        bool known = !c->arm[a].supported;
        for (int k = 0; k < out->n; k++)
            known = known ||
                    p->arms[out->cache[k].arm].implementation.kv_cache == p->arms[a].implementation.kv_cache;
        if (!known)
            out->cache[out->n++].arm = a;
    }
}

static int admit(const struct preset *p, const struct model_spec *m, int64_t page_bytes,
                 struct plan_admission *out, struct error *e)
{
    int capacity = out->seq + out->tokens;
    struct kv_cache_shape one = shape_of(m, &p->arms[out->cache[0].arm].implementation, capacity);
    struct admission_request *request = malloc((size_t)out->requests * sizeof *request);
    int64_t table;
    if (!request)
        return error_set(e, ERROR_MEMORY, "no memory for %d requests: close other programs", out->requests);
    one.kind = KV_CACHE_CONTIGUOUS;
    one.sequences = out->batch;
    kv_cache_sizes(&one, &out->budget, &table);
    for (int i = 0; i < out->requests; i++)
        request[i] = (struct admission_request){
            model_prompt_tokens(out->seq, p->shortest, out->requests, mixed(i, out->requests)), out->tokens};
    int failed = 0;
    for (int k = 0; k < out->n && !failed; k++) {
        const struct implementation *i = &p->arms[out->cache[k].arm].implementation;
        struct admission a = {
            .cache = shape_of(m, i, capacity), .budget = out->budget, .page_bytes = page_bytes};
        failed = admission_run(&a, request, out->requests, &out->cache[k].report, e);
        if (failed && e->kind == ERROR_MEMORY) { /* not one fits: its large pages or blocks are too few */
            out->cache[k].report = (struct admission_report){0};
            failed = 0;
        }
    }
    free(request);
    return failed;
}

/* The cell of a model and length whose batch is the largest, -1: none decodes there, or this is not the first
 * cell of them. */
static int largest_batch(const struct plan *plan, int first)
{
    const struct plan_cell *a = &plan->cell[first];
    int best = -1;
    for (int i = 0; i < plan->n_cells; i++) {
        const struct plan_cell *b = &plan->cell[i];
        bool decodes = b->workload == WORKLOAD_DECODE || b->workload == WORKLOAD_GENERATE;
        if (!decodes || !b->supported || a->model != b->model || a->seq != b->seq)
            continue;
        if (best < 0 && i != first)
            return -1;
        if (best < 0 || b->batch > plan->cell[best].batch)
            best = i;
    }
    return best;
}

int plan_admissions(const struct preset *p, const struct plan *plan, int64_t page_bytes,
                    struct plan_admission *out, int max, struct error *e)
{
    int n = 0;
    struct error own = {0};
    for (int i = 0; i < plan->n_cells && n < max; i++) {
        int cell = largest_batch(plan, i);
        const struct model_spec *m = &plan->model[plan->cell[i].model];
        if (cell < 0 || model_kv_bytes_per_token(m, PRECISION_FP32) == 0)
            continue;
        const struct plan_cell *c = &plan->cell[cell];
        struct plan_admission *a = &out[n];
        *a =
            (struct plan_admission){.model = c->model, .batch = c->batch, .seq = c->seq, .tokens = p->tokens};
        if (a->tokens > m->context - a->seq)
            a->tokens = m->context - a->seq;
        choose_arms(p, c, a);
        if (a->n < 2 || a->tokens < 1)
            continue;
        a->requests = PLAN_REQUESTS * c->batch;
        a->shortest = model_prompt_tokens(a->seq, p->shortest, a->requests, 0);
        if (admit(p, m, page_bytes, a, e ? e : &own))
            return -1;
        n++;
    }
    return n;
}
