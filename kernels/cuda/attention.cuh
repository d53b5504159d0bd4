/* What the attention kernels share: their arguments, who sees which token, where a token lies in the cache,
 * tiles in shared memory. */
#pragma once

#include "kernels/cuda/attention.h"
#include "kernels/cuda/ptx.cuh"

struct attention_arguments {
    void *out;
    const void *q, *k, *v;
    const int32_t *table, *row_start, *context;
    int q_stride, table_stride, block_size;
    uint32_t block_inverse; /* 2^31 / block_size */
    int heads, kv_heads, group, head_dim, window;
    int token_stride, head_stride; /* as in struct kernel_kv */
    int64_t block_stride;
    float scale_log2; /* scale * log2(e): softmax in powers of two */
    enum kernel_dtype cache;
    bool causal;
};

static inline struct attention_arguments attention_pack(const struct cuda_attention *call)
{
    const struct kernel_kv *kv = call->kv;
    struct attention_arguments g = {};
    g.out = call->out, g.q = call->q, g.k = kv->k, g.v = kv->v;
    g.table = kv->table, g.row_start = call->batch->row_start, g.context = call->batch->context;
    g.q_stride = call->q_stride, g.table_stride = kv->table_stride, g.block_size = kv->block_size;
    g.block_inverse =
        kv->block_size > 0 ? ((1u << 31) + (unsigned)kv->block_size / 2) / (unsigned)kv->block_size : 0;
    g.heads = call->a->heads, g.kv_heads = kv->kv_heads, g.group = call->a->heads / kv->kv_heads;
    g.token_stride = kv->token_stride, g.head_stride = kv->head_stride, g.block_stride = kv->block_stride;
    g.head_dim = call->a->head_dim, g.window = call->a->causal ? call->a->window : 0;
    g.scale_log2 = call->a->scale * 1.4426950408889634f;
    g.cache = kv->dtype, g.causal = call->a->causal;
    return g;
}

/* Tokens [low, high) are seen by a row at `position` of a sequence of `total` tokens. */
static __device__ __forceinline__ int attention_high(const attention_arguments &g, int position, int total)
{
    return g.causal ? position + 1 : total;
}
static __device__ __forceinline__ int attention_low(const attention_arguments &g, int position)
{
    return g.window ? max(position - g.window + 1, 0) : 0;
}

/* The block of a sequence that holds token t: t / block_size, as (t + 1/2) / block_size rounded down, exact
 * for powers of two and wherever t * block_size < 2^31. */
static __device__ __forceinline__ int attention_block(const attention_arguments &g, int t)
{
    return (int)((uint64_t)(2 * (uint32_t)t + 1) * g.block_inverse >> 32);
}

/* Element index in k and v of token t of sequence s. t must be a token the sequence has. */
static __device__ __forceinline__ int64_t attention_token(const attention_arguments &g, int s, int kv_head,
                                                          int t)
{
    int64_t block = s;
    if (g.table) {
        int index = attention_block(g, t);
        block = g.table[(int64_t)s * g.table_stride + index];
        t -= index * g.block_size;
    }
    return block * g.block_stride + (int64_t)kv_head * g.head_stride + (int64_t)t * g.token_stride;
}

static __device__ __forceinline__ float load_any(const void *p, int64_t i, enum kernel_dtype dtype)
{
    switch (dtype) {
    case KERNEL_FP16:
        return to_float(((const __half *)p)[i]);
    case KERNEL_BF16:
        return to_float(((const __nv_bfloat16 *)p)[i]);
    default:
        return ((const float *)p)[i];
    }
}

static __device__ __forceinline__ void store_any(void *p, int64_t i, enum kernel_dtype dtype, float value)
{
    switch (dtype) {
    case KERNEL_FP16:
        ((__half *)p)[i] = from_float<__half>(value);
        break;
    case KERNEL_BF16:
        ((__nv_bfloat16 *)p)[i] = from_float<__nv_bfloat16>(value);
        break;
    default:
        ((float *)p)[i] = value;
    }
}

/* Two floats as a register of two 16-bit elements, the first in the low half. */
template <typename T> __device__ __forceinline__ uint32_t pack_pair(float low, float high);
template <> __device__ __forceinline__ uint32_t pack_pair<__half>(float low, float high)
{
    __half2 v = __floats2half2_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&v);
}
template <> __device__ __forceinline__ uint32_t pack_pair<__nv_bfloat16>(float low, float high)
{
    __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t *>(&v);
}

/* A tile [tokens, D] of 16-bit elements in shared memory, in chunks of 16 bytes. ldmatrix reads one chunk of
 * eight rows at once, which must lie in eight different groups of four banks: where a row is a multiple of
 * 128 bytes the chunks of row r change places by xor with r % 8, elsewhere rows are an odd number of chunks
 * apart. */
template <int D> struct attention_tile {
    static_assert(D % 16 == 0, "the products take 16 dims at a time");
    enum { CHUNKS = D / 8, SWIZZLED = CHUNKS % 8 == 0, PITCH = (SWIZZLED ? CHUNKS : CHUNKS | 1) * 8 };
    static __device__ __forceinline__ int at(int row, int chunk) /* element index */
    {
        return row * PITCH + (SWIZZLED ? chunk ^ (row & 7) : chunk) * 8;
    }
    /* From an element index whose chunk is 0 or 1: `chunks` (even) further along the row. */
    static __device__ __forceinline__ int along(int index, int chunks)
    {
        return SWIZZLED ? index ^ chunks * 8 : index + chunks * 8;
    }
};

/* What one of `splits` blocks reads for a tile of packed rows. */
struct attention_share {
    int begin, end; /* tokens */
    int live;       /* splits that have any: the others write nothing */
};

/* Shares the tokens that the packed rows [first, first + tile_rows) of a sequence see among the splits: in
 * whole steps, at least `minimum` each, as equal as that allows. The same arithmetic serves the blocks and
 * whoever combines their results, so that no lengths travel between them and no split needs clearing. */
enum { ATTENTION_STEP = 64 };
static __device__ __forceinline__ attention_share attention_split(const attention_arguments &g, int context,
                                                                  int rows, int first, int tile_rows,
                                                                  int splits, int minimum, int split)
{
    int last = min(first + tile_rows, rows * g.group) - 1;
    int begin = attention_low(g, context + first / g.group) / ATTENTION_STEP * ATTENTION_STEP;
    int tokens = attention_high(g, context + last / g.group, context + rows) - begin;
    int each = max((tokens + splits - 1) / splits, minimum);
    each = (each + ATTENTION_STEP - 1) / ATTENTION_STEP * ATTENTION_STEP;
    attention_share share;
    share.live = (tokens + each - 1) / each;
    share.begin = begin + split * each;
    share.end = min(share.begin + each, begin + tokens);
    return share;
}

/* Where the splits leave their results. */
struct attention_partial {
    float *o, *statistics; /* as in attention.h */
    int max_rows;
};
static inline attention_partial attention_partial_of(const struct cuda_attention *call, int splits)
{
    attention_partial p;
    int64_t items = (int64_t)call->batch->sequences * call->batch->max_rows * call->a->heads;
    p.o = (float *)call->workspace;
    p.statistics = p.o + items * splits * call->a->head_dim;
    p.max_rows = call->batch->max_rows;
    return p;
}
