/* Flash attention: tasks of (sequence, key-value head, group of rows, range of keys), and the merge of the
 * ranges.
 *
 * The rows of a task are the query heads that share the key-value head, over a few tokens, so that
 * grouped-query attention reads each key once for all of them. When there are fewer tasks than threads
 * (decode), the keys of a task are split into ranges whose partial results are merged by their maxima (Dao
 * 2023, flash-decoding). */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

enum { LEAST_KEYS = 64 }; /* of a split: below, a range is not worth a task */

struct plan {
    int group; /* query heads per key-value head */
    int heads; /* of a task: the group, or a part of a very large one */
    int head_groups;
    int tokens;       /* of a task */
    int token_groups; /* of the longest sequence */
    int splits;       /* ranges of keys per task */
    int64_t tasks;    /* without the splits */
};

static struct plan plan_of(const struct cpu *c, const struct kernel_attention *a,
                           const struct kernel_batch *batch)
{
    struct plan p = {.group = a->heads / a->kv_heads};
    p.heads = p.group < SIMD_ATTENTION_ROWS ? p.group : SIMD_ATTENTION_ROWS;
    p.head_groups = (p.group + p.heads - 1) / p.heads;
    p.tokens = SIMD_ATTENTION_ROWS / p.heads;
    if (p.tokens > batch->max_rows)
        p.tokens = batch->max_rows;
    p.token_groups = (batch->max_rows + p.tokens - 1) / p.tokens;
    p.tasks = (int64_t)batch->sequences * a->kv_heads * p.head_groups * p.token_groups;
    p.splits = 1;
    /* Few tasks: four ranges per thread in all, of at least LEAST_KEYS keys each. */
    if (p.tasks < 2 * c->threads && c->threads > 1) {
        int wanted = (int)((4 * c->threads + p.tasks - 1) / p.tasks), most = batch->max_context / LEAST_KEYS;
        p.splits = wanted < most ? wanted : most > 1 ? most : 1;
    }
    return p;
}

/* Partial results of one (task, split): rows of sums, then maxima, then totals. */
static size_t partial_floats(const struct plan *p, const struct kernel_attention *a)
{
    return (size_t)p->tokens * (size_t)p->heads * (size_t)(a->head_dim + 2);
}

/* Partials kept at once. Unsplit tasks are finished by the thread that ran them; split ones number
 * tasks * splits < 4 threads + tasks < 6 threads. That bound and not the number itself, so that the workspace
 * of a large batch or a long context serves a smaller one. */
static size_t partial_count(int threads, const struct kernel_batch *batch)
{
    return (size_t)threads * (batch->max_context < 2 * LEAST_KEYS ? 1 : 6);
}

struct job {
    const struct cpu *c;
    const struct kernel_kv *kv;
    const struct kernel_attention *a;
    const struct kernel_batch *batch;
    struct plan plan;
    float *out, *partials, *scratch; /* scratch: simd_attention_scratch floats per thread */
    const float *q;
    int64_t q_stride;
};

struct task {
    int sequence, kv_head;
    int head, heads;   /* query heads */
    int token, tokens; /* token: first, counted within the sequence; tokens <= 0: nothing to do */
};

static struct task task_of(const struct job *j, int64_t index)
{
    struct task t;
    t.token = (int)(index % j->plan.token_groups) * j->plan.tokens;
    index /= j->plan.token_groups;
    int head_group = (int)(index % j->plan.head_groups);
    index /= j->plan.head_groups;
    t.kv_head = (int)(index % j->a->kv_heads);
    t.sequence = (int)(index / j->a->kv_heads);
    int before = head_group * j->plan.heads;
    t.head = t.kv_head * j->plan.group + before;
    t.heads = j->plan.group - before < j->plan.heads ? j->plan.group - before : j->plan.heads;
    int rows = j->batch->row_start[t.sequence + 1] - j->batch->row_start[t.sequence];
    t.tokens = rows - t.token < j->plan.tokens ? rows - t.token : j->plan.tokens;
    return t;
}

static float *partial_of(const struct job *j, int64_t task, int split)
{
    int64_t place = j->plan.splits == 1 ? omp_get_thread_num() : task * j->plan.splits + split;
    return j->partials + (size_t)place * partial_floats(&j->plan, j->a);
}

/* The rows of a task see keys of [first, last); this split takes its share of them. */
static void run_split(const struct job *j, const struct task *t, int split, float *partial)
{
    enum { MOST = SIMD_ATTENTION_ROWS };
    int64_t offset[MOST];
    int32_t low[MOST], high[MOST];
    int dim = j->a->head_dim, row_start = j->batch->row_start[t->sequence];
    int context = j->batch->context[t->sequence], all = j->batch->row_start[t->sequence + 1] - row_start;
    int first = INT32_MAX, last = 0, rows = t->tokens * t->heads;
    for (int r = 0; r < rows; r++) {
        int token = t->token + r / t->heads, head = t->head + r % t->heads;
        offset[r] = (row_start + token) * j->q_stride + (int64_t)head * dim;
        high[r] = context + (j->a->causal ? token + 1 : all);
        low[r] = j->a->causal && j->a->window > 0 && high[r] > j->a->window ? high[r] - j->a->window : 0;
        first = low[r] < first ? low[r] : first;
        last = high[r] > last ? high[r] : last;
    }
    int keys = last - first, splits = j->plan.splits;
    struct simd_attention work = {
        .kv = j->kv,
        .blocks = j->kv->table ? j->kv->table + (int64_t)t->sequence * j->kv->table_stride : NULL,
        .block = t->sequence,
        .kv_head = t->kv_head,
        .scale = j->a->scale,
        .q = j->q,
        .offset = offset,
        .low = low,
        .high = high,
        .rows = rows,
        .first = first + (int)((int64_t)keys * split / splits),
        .last = first + (int)((int64_t)keys * (split + 1) / splits),
        .sum = partial,
        .max = partial + (size_t)rows * (size_t)dim,
        .total = partial + (size_t)rows * (size_t)(dim + 1),
        .scratch = j->scratch + (size_t)omp_get_thread_num() * simd_attention_scratch(dim),
    };
    j->c->simd->attention(&work);
}

static void merge_splits(const struct job *j, const struct task *t, int64_t index)
{
    int dim = j->a->head_dim, rows = t->tokens * t->heads, splits = j->plan.splits;
    for (int r = 0; r < rows; r++) {
        int token = t->token + r / t->heads, head = t->head + r % t->heads;
        float *out =
            j->out + ((int64_t)(j->batch->row_start[t->sequence] + token) * j->a->heads + head) * dim;
        float max = -INFINITY, total = 0;
        for (int s = 0; s < splits; s++)
            max = fmaxf(max, partial_of(j, index, s)[rows * dim + r]);
        memset(out, 0, (size_t)dim * sizeof(float));
        for (int s = 0; s < splits; s++) {
            const float *partial = partial_of(j, index, s);
            float share = expf(partial[rows * dim + r] - max);
            total += share * partial[rows * (dim + 1) + r];
            for (int i = 0; i < dim; i++)
                out[i] += share * partial[r * dim + i];
        }
        for (int i = 0; i < dim; i++)
            out[i] /= total;
    }
}

void cpu_attention_flash(struct kernels *k, void *out, const void *q, int q_stride,
                         const struct kernel_kv *kv, const struct kernel_attention *a,
                         const struct kernel_batch *batch, void *workspace)
{
    struct job j = {cpu_of(k), kv, a, batch, plan_of(cpu_of(k), a, batch), out, workspace, NULL, q, q_stride};
    j.scratch = j.partials + partial_count(j.c->threads, batch) * partial_floats(&j.plan, a);
    int splits = j.plan.splits;
    int64_t pieces = j.plan.tasks * splits;
    int64_t work = (int64_t)batch->rows * a->heads * batch->max_context * a->head_dim;
#pragma omp parallel num_threads(cpu_threads_for(j.c, work))
    {
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < pieces; i++) {
            int64_t piece = pieces - 1 - i, index = piece / splits; /* the last rows see most keys: first */
            int split = (int)(piece % splits);
            struct task t = task_of(&j, index);
            if (t.tokens <= 0)
                continue;
            run_split(&j, &t, split, partial_of(&j, index, split));
            if (splits == 1)
                merge_splits(&j, &t, index);
        }
        if (splits > 1) {
#pragma omp for schedule(static)
            for (int64_t i = 0; i < j.plan.tasks; i++) {
                struct task t = task_of(&j, i);
                if (t.tokens > 0)
                    merge_splits(&j, &t, i);
            }
        }
    }
}

size_t cpu_attention_flash_workspace(const struct kernels *k, const struct kernel_attention *a,
                                     const struct kernel_batch *batch)
{
    int threads = cpu_of_const(k)->threads;
    struct plan p = plan_of(cpu_of_const(k), a, batch);
    size_t scratch = (size_t)threads * simd_attention_scratch(a->head_dim);
    return (partial_count(threads, batch) * partial_floats(&p, a) + scratch) * sizeof(float);
}
