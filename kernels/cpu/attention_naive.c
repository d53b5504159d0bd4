/* Attention as unfused engines run it: all scores to memory, softmax over them, then their product with v. */
#include "kernels/cpu/cpu.h"

enum {
    ROWS = 32,  /* of a task */
    TOKENS = 64 /* of keys or values that stay in the first-level cache while the rows pass */
};

/* Where key (or value) `token` of a head stands, and how many follow it at the same stride. */
static const char *cache_rows(const struct kernel_kv *kv, const void *cache, int sequence, int head,
                              int token, int *count)
{
    int64_t block = sequence, inside = token;
    if (kv->table) {
        block = kv->table[(int64_t)sequence * kv->table_stride + token / kv->block_size];
        inside = token % kv->block_size;
        if (*count > kv->block_size - (int)inside)
            *count = kv->block_size - (int)inside;
    }
    return (const char *)cache +
           (size_t)kernel_kv_at(kv, block, head, inside) * kernel_dtype_bytes(kv->dtype);
}

struct job {
    const struct cpu *c;
    const struct kernel_kv *kv;
    const struct kernel_attention *a;
    const struct kernel_batch *batch;
    float *out, *scores;
    const float *q;
    int64_t q_stride;
};

static int64_t scores_at(const struct job *j, int sequence, int head)
{
    return ((int64_t)sequence * j->a->heads + head) * j->batch->max_rows * j->batch->max_context;
}

static int visible_tokens(const struct job *j, int sequence, int row, int rows)
{
    return j->batch->context[sequence] + (j->a->causal ? row + 1 : rows);
}

static int first_visible(const struct job *j, int tokens)
{
    return j->a->causal && j->a->window > 0 && tokens > j->a->window ? tokens - j->a->window : 0;
}

/* Decode reads every key once, in as long a run as there is. */
static int chunk_of(int tokens, int rows)
{
    return rows <= SIMD_GEMV_ROWS || tokens < TOKENS ? tokens : TOKENS;
}

static void score_rows(const struct job *j, int sequence, int head, int row, int rows)
{
    int start = j->batch->row_start[sequence], all = j->batch->row_start[sequence + 1] - start;
    int tokens = visible_tokens(j, sequence, row + rows - 1, all), dim = j->a->head_dim;
    int kv_head = head / (j->a->heads / j->a->kv_heads);
    float *scores = j->scores + scores_at(j, sequence, head) + (int64_t)row * j->batch->max_context;
    const float *q = j->q + (start + row) * j->q_stride + (int64_t)head * dim;
    for (int t = 0; t < tokens;) {
        int count = chunk_of(tokens - t, rows);
        const char *keys = cache_rows(j->kv, j->kv->k, sequence, kv_head, t, &count);
        for (int r = 0; r < rows; r += SIMD_GEMV_ROWS)
            j->c->simd->scored_rows(scores + (int64_t)r * j->batch->max_context + t, j->batch->max_context,
                                    keys, j->kv->token_stride, j->kv->dtype, count, dim, q + r * j->q_stride,
                                    j->q_stride, rows - r < SIMD_GEMV_ROWS ? rows - r : SIMD_GEMV_ROWS, 0);
        t += count;
    }
}

static void soften_rows(const struct job *j, int sequence, int head, int row, int rows)
{
    int all = j->batch->row_start[sequence + 1] - j->batch->row_start[sequence];
    int longest = visible_tokens(j, sequence, row + rows - 1, all);
    for (int r = row; r < row + rows; r++) {
        float *scores = j->scores + scores_at(j, sequence, head) + (int64_t)r * j->batch->max_context;
        int tokens = visible_tokens(j, sequence, r, all), first = first_visible(j, tokens);
        for (int t = 0; t < first; t++)
            scores[t] = 0;
        j->c->simd->softmax(scores + first, j->a->scale, tokens - first);
        for (int t = tokens; t < longest; t++)
            scores[t] = 0;
    }
}

static void weigh_rows(const struct job *j, int sequence, int head, int row, int rows)
{
    int start = j->batch->row_start[sequence], all = j->batch->row_start[sequence + 1] - start;
    int tokens = visible_tokens(j, sequence, row + rows - 1, all), dim = j->a->head_dim;
    int kv_head = head / (j->a->heads / j->a->kv_heads);
    int64_t out_stride = (int64_t)j->a->heads * dim;
    const float *scores = j->scores + scores_at(j, sequence, head) + (int64_t)row * j->batch->max_context;
    float *out = j->out + (start + row) * out_stride + (int64_t)head * dim;
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < dim; i++)
            out[r * out_stride + i] = 0;
    for (int t = 0; t < tokens;) {
        int count = chunk_of(tokens - t, rows);
        const char *values = cache_rows(j->kv, j->kv->v, sequence, kv_head, t, &count);
        j->c->simd->weighted_rows(out, out_stride, scores + t, j->batch->max_context, values,
                                  j->kv->token_stride, j->kv->dtype, count, dim, rows, 0);
        t += count;
    }
}

/* One pass over all (sequence, head, group of rows): a parallel region each, as separate kernels would be. */
static void pass(const struct job *j, void (*step)(const struct job *, int, int, int, int))
{
    int groups = (j->batch->max_rows + ROWS - 1) / ROWS;
    int64_t work = (int64_t)j->batch->rows * j->a->heads * j->batch->max_context * j->a->head_dim;
#pragma omp parallel for collapse(3) schedule(static, 1) num_threads(cpu_threads_for(j->c, work))
    for (int s = 0; s < j->batch->sequences; s++)
        for (int h = 0; h < j->a->heads; h++)
            for (int g = 0; g < groups; g++) {
                int all = j->batch->row_start[s + 1] - j->batch->row_start[s], row = g * ROWS;
                int rows = all - row < ROWS ? all - row : ROWS;
                if (rows > 0)
                    step(j, s, h, row, rows);
            }
}

void cpu_attention_naive(struct kernels *k, void *out, const void *q, int q_stride,
                         const struct kernel_kv *kv, const struct kernel_attention *a,
                         const struct kernel_batch *batch, void *workspace)
{
    struct job j = {cpu_of(k), kv, a, batch, out, workspace, q, q_stride};
    pass(&j, score_rows);
    pass(&j, soften_rows);
    pass(&j, weigh_rows);
}

size_t cpu_attention_naive_workspace(const struct kernels *k, const struct kernel_attention *a,
                                     const struct kernel_batch *batch)
{
    (void)k;
    return (size_t)batch->sequences * (size_t)a->heads * (size_t)batch->max_rows *
           (size_t)batch->max_context * sizeof(float);
}
