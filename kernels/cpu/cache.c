/* Rotary positions and the key-value cache. */
#include "kernels/cpu/cpu.h"

static int position_of(const struct kernel_batch *batch, int row, int sequence)
{
    return batch->context[sequence] + row - batch->row_start[sequence];
}

static void rotate_heads(const struct cpu *c, float *x, int heads, int head_dim,
                         const struct kernel_rope *rope, int position)
{
    if (!rope || rope->dims == 0)
        return;
    const float *table = rope->table + (int64_t)position * rope->dims;
    for (int h = 0; h < heads; h++)
        c->simd->rotate(x + (int64_t)h * head_dim, table, rope->dims);
}

/* One token's heads, dense in x, to their places in the cache. */
static void store_heads(const struct cpu *c, const struct kernel_kv *kv, void *cache, const float *x,
                        int sequence, int position)
{
    int64_t block = sequence, inside = position;
    if (kv->table) {
        block = kv->table[(int64_t)sequence * kv->table_stride + position / kv->block_size];
        inside = position % kv->block_size;
    }
    for (int h = 0; h < kv->kv_heads; h++) {
        char *to = (char *)cache + (size_t)kernel_kv_at(kv, block, h, inside) * kernel_dtype_bytes(kv->dtype);
        c->simd->narrow(to, kv->dtype, x + (int64_t)h * kv->head_dim, 1, kv->head_dim);
    }
}

void cpu_rope(struct kernels *k, void *x, int stride, int heads, int head_dim, const struct kernel_rope *rope,
              const struct kernel_batch *batch)
{
    const struct cpu *c = cpu_of(k);
#pragma omp parallel for schedule(static)                                                                    \
    num_threads(cpu_threads_for(c, (int64_t)batch->rows *heads *head_dim))
    for (int r = 0; r < batch->rows; r++)
        rotate_heads(c, (float *)x + (int64_t)r * stride, heads, head_dim, rope,
                     position_of(batch, r, cpu_sequence_of(batch, r)));
}

void cpu_cache_write(struct kernels *k, const struct kernel_kv *kv, const void *keys, const void *values,
                     int stride, const struct kernel_batch *batch)
{
    const struct cpu *c = cpu_of(k);
    int64_t width = (int64_t)kv->kv_heads * kv->head_dim;
#pragma omp parallel for schedule(static) num_threads(cpu_threads_for(c, batch->rows *width))
    for (int r = 0; r < batch->rows; r++) {
        int s = cpu_sequence_of(batch, r), position = position_of(batch, r, s);
        store_heads(c, kv, kv->k, (const float *)keys + (int64_t)r * stride, s, position);
        store_heads(c, kv, kv->v, (const float *)values + (int64_t)r * stride, s, position);
    }
}

void cpu_rope_cache(struct kernels *k, void *qkv, int stride, const struct kernel_attention *a,
                    const struct kernel_rope *rope, const struct kernel_kv *kv,
                    const struct kernel_batch *batch)
{
    const struct cpu *c = cpu_of(k);
    int64_t q_width = (int64_t)a->heads * a->head_dim, kv_width = (int64_t)a->kv_heads * a->head_dim;
#pragma omp parallel for schedule(static)                                                                    \
    num_threads(cpu_threads_for(c, batch->rows *(q_width + 2 * kv_width)))
    for (int r = 0; r < batch->rows; r++) {
        int s = cpu_sequence_of(batch, r), position = position_of(batch, r, s);
        float *q = (float *)qkv + (int64_t)r * stride;
        rotate_heads(c, q, a->heads + a->kv_heads, a->head_dim, rope, position); /* k stands right behind q */
        store_heads(c, kv, kv->k, q + q_width, s, position);
        store_heads(c, kv, kv->v, q + q_width + kv_width, s, position);
    }
}
