/* Online softmax (Dao 2023, section 3.1) over the keys [first, last) of one key-value head.
 *
 * Keys come in tiles that lie contiguously inside one cache block; a tile's scores live on the stack, so that
 * memory sees each key and value once per call. */
#pragma once

#include "kernels/cpu/level_elementwise.h"
#include "kernels/cpu/level_gemv.h"

enum { ATTENTION_TILE = 64 };

INLINE void attention_tile(const struct simd_attention *a, const void *keys, const void *values, int from,
                           int tokens)
{
    int dim = a->kv->head_dim;
    float score[SIMD_GEMV_ROWS * ATTENTION_TILE];
    struct kernel_matrix k = {a->kv->dtype, tokens, dim, (void *)(uintptr_t)keys, NULL};
    for (int r = 0; r < a->rows; r++) {
        int low = a->low[r] > from ? a->low[r] - from : 0;
        int high = a->high[r] < from + tokens ? a->high[r] - from : tokens;
        if (low >= high)
            continue;
        float *sum = a->sum + (int64_t)r * dim;
        gemv(score, ATTENTION_TILE, &k, a->q + a->offset[r], 0, 1);
        float largest = largest_of(score + low, high - low) * a->scale;
        if (largest > a->max[r]) {
            float shrink = expf(a->max[r] - largest); /* exp(-inf) = 0 the first time */
            for (int i = 0; i < dim; i++)
                sum[i] *= shrink;
            a->total[r] *= shrink;
            a->max[r] = largest;
        }
        a->total[r] += exponentials(score + low, a->scale, a->max[r], high - low);
        const char *v = (const char *)values + (size_t)low * (size_t)dim * kernel_dtype_bytes(a->kv->dtype);
        weighted_rows(sum, dim, score + low, ATTENTION_TILE, v, a->kv->dtype, high - low, dim, 1);
    }
}

static void attention(const struct simd_attention *a)
{
    const struct kernel_kv *kv = a->kv;
    for (int r = 0; r < a->rows; r++) {
        a->max[r] = -INFINITY;
        a->total[r] = 0;
    }
    memset(a->sum, 0, (size_t)a->rows * (size_t)kv->head_dim * sizeof(float));
    size_t token_bytes = (size_t)kv->head_dim * kernel_dtype_bytes(kv->dtype);
    for (int t = a->first; t < a->last;) {
        int block = a->blocks ? a->blocks[t / kv->block_size] : a->block;
        int inside = a->blocks ? t % kv->block_size : t;
        int tokens = a->last - t < ATTENTION_TILE ? a->last - t : ATTENTION_TILE;
        if (tokens > kv->block_size - inside)
            tokens = kv->block_size - inside;
        size_t row = ((size_t)block * (size_t)kv->kv_heads + (size_t)a->kv_head) * (size_t)kv->block_size +
                     (size_t)inside;
        attention_tile(a, (const char *)kv->k + row * token_bytes, (const char *)kv->v + row * token_bytes, t,
                       tokens);
        t += tokens;
    }
}
