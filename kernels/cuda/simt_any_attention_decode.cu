/* Decode attention without tensor cores: fp32, and every case that the 16-bit form does not take (activations
 * and cache of different types, any head_dim up to 4096, any alignment); for prompts of head_dim above 256
 * too.
 *
 *   o[r, h] = sum_t softmax_t(scale q[r, h] . k[t, h / group]) v[t, h / group]
 *
 * Layouts: as in kernels.h; partial outputs as in attention.h. Bytes: 2 D elements per (sequence, kv head,
 * visible token), once for every tile of packed rows (row, head of the group), of which a block takes min(16,
 * 4096 / D). FLOPs: 4 D per (row, head, token), in fp32.
 *
 * Mapping: grid (splits, kv heads x tiles, sequences), the tokens shared among the splits on the device
 * (attention_split). A block of 128 threads brings TOKENS = min(32, 4096 / D) rows of k and v to shared
 * memory as fp32, eight loads of a thread under way at once; scores are a thread per (row, token); the
 * running softmax is a warp per row; the output a thread per (row, dim), up to 32 of them in registers.
 * Shared: k and v 32 KiB, q up to 16 KiB, so that 4 or 5 blocks (96 registers) share an SM and one loads
 * while others compute: up to 80 KiB under way where 4.8 TB/s x 0.8 us / 132 SMs = 29 KiB suffice. */
#include "kernels/cuda/attention.cuh"

#include <math.h>

namespace
{
enum { THREADS = 128, ELEMENTS = 4096, ROWS = 16, TOKENS = 32, OWN = ELEMENTS / THREADS };

struct place {
    int sequence, kv_head, start, rows, context;
    int first, count; /* packed rows */
    int tokens;       /* of a tile: a power of two */
    int pitch;        /* of k and v in shared memory: odd, so that a warp reads 32 rows without conflicts */
};

struct memory { /* the block's shared memory */
    float *q, *k, *v, *scores, *top, *sum, *shrink;
};

/* Tokens [first, first + count) of k and v to shared memory. */
__device__ __forceinline__ void load_tokens(const memory &m, const attention_arguments &g, const place &at,
                                            int first, int count, bool whole)
{
    int width = whole ? g.head_dim / 4 : g.head_dim;
#pragma unroll 4
    for (int i = threadIdx.x; i < count * width; i += THREADS) {
        int row = i / width, d = i % width;
        int64_t from = attention_token(g, at.sequence, at.kv_head, first + row);
        if (whole) {
            pack<float> k = load_pack((const float *)g.k + from + d * 4);
            pack<float> v = load_pack((const float *)g.v + from + d * 4);
            for (int e = 0; e < 4; e++) {
                m.k[row * at.pitch + d * 4 + e] = k.at[e];
                m.v[row * at.pitch + d * 4 + e] = v.at[e];
            }
        } else {
            m.k[row * at.pitch + d] = load_any(g.k, from + d, g.cache);
            m.v[row * at.pitch + d] = load_any(g.v, from + d, g.cache);
        }
    }
}

/* Scores in powers of two, -infinity where the row does not see the token. */
__device__ __forceinline__ void score(const memory &m, const attention_arguments &g, const place &at,
                                      int first, int count)
{
    for (int i = threadIdx.x; i < at.count * at.tokens; i += THREADS) {
        int row = i / at.tokens, token = i % at.tokens;
        int position = at.context + (at.first + row) / g.group;
        float s = -INFINITY;
        if (token < count && first + token >= attention_low(g, position) &&
            first + token < attention_high(g, position, at.context + at.rows)) {
            const float *q = m.q + row * g.head_dim, *k = m.k + token * at.pitch;
            s = 0;
            for (int d = 0; d < g.head_dim; d++)
                s = fmaf(q[d], k[d], s);
            s *= g.scale_log2;
        }
        m.scores[row * TOKENS + token] = s;
    }
}

/* A warp per row: scores become weights, maximum and sum are brought up to date. */
__device__ __forceinline__ void soften(const memory &m, const place &at)
{
    int lane = threadIdx.x % WARP;
    for (int row = threadIdx.x / WARP; row < at.count; row += THREADS / WARP) {
        float s = lane < at.tokens ? m.scores[row * TOKENS + lane] : -INFINITY, before = m.top[row];
        float top = fmaxf(before, warp_max(s)), base = top == -INFINITY ? 0.0f : top;
        float p = exp2_fast(s - base), total = warp_sum(p), shrink = exp2_fast(before - base);
        if (lane < at.tokens)
            m.scores[row * TOKENS + lane] = p;
        __syncwarp();
        if (lane == 0)
            m.top[row] = top, m.shrink[row] = shrink, m.sum[row] = m.sum[row] * shrink + total;
    }
}

/* Through the shared memory of k and v, which all have left: registers have no index, a loop may stay rolled
 * up. */
__device__ __forceinline__ void store(const float (&o)[OWN], const memory &m, const attention_arguments &g,
                                      const place &at, const attention_partial &partial,
                                      enum kernel_dtype type)
{
    int splits = gridDim.x;
    if (splits == 1 && threadIdx.x < ROWS)
        m.sum[threadIdx.x] = m.sum[threadIdx.x] > 0 ? 1 / m.sum[threadIdx.x] : 0.0f;
#pragma unroll
    for (int i = 0; i < OWN; i++)
        if (int e = threadIdx.x + i * THREADS; e < at.count * g.head_dim)
            m.k[e] = o[i];
    __syncthreads();
#pragma unroll 1
    for (int e = threadIdx.x; e < at.count * g.head_dim; e += THREADS) {
        int row = e / g.head_dim, d = e % g.head_dim, packed = at.first + row;
        int token_row = packed / g.group, head = at.kv_head * g.group + packed % g.group;
        if (splits == 1) {
            store_any(g.out, ((int64_t)(at.start + token_row) * g.heads + head) * g.head_dim + d, type,
                      m.k[e] * m.sum[row]);
            continue;
        }
        int64_t item = ((int64_t)at.sequence * partial.max_rows + token_row) * g.heads + head;
        int64_t slot = item * splits + blockIdx.x;
        partial.o[slot * g.head_dim + d] = m.k[e];
        if (d == 0)
            partial.statistics[slot * 2] = m.top[row], partial.statistics[slot * 2 + 1] = m.sum[row];
    }
}

/* type: of q and out. One kernel for all three: it is asked for at the edges alone. */
__global__ void __launch_bounds__(THREADS, 5)
    decode_any(const attention_arguments g, const attention_partial partial, const cuda_splits splits,
               int tokens, bool whole, enum kernel_dtype type)
{
    kernel_begin();
    CUDA_SHARED(shared);
    place at;
    at.sequence = blockIdx.z, at.kv_head = blockIdx.y / splits.tiles;
    at.first = blockIdx.y % splits.tiles * splits.tile_rows;
    at.start = g.row_start[at.sequence], at.rows = g.row_start[at.sequence + 1] - at.start;
    at.context = g.context[at.sequence];
    at.count = min(splits.tile_rows, at.rows * g.group - at.first);
    at.tokens = tokens, at.pitch = g.head_dim | 1;
    if (at.count <= 0)
        return;
    attention_share share = attention_split(g, at.context, at.rows, at.first, splits.tile_rows, gridDim.x,
                                            splits.minimum_tokens, blockIdx.x);
    if ((int)blockIdx.x >= share.live)
        return;
    memory m;
    m.q = (float *)shared, m.k = m.q + splits.tile_rows * g.head_dim, m.v = m.k + tokens * at.pitch;
    m.scores = m.v + tokens * at.pitch;
    m.top = m.scores + ROWS * TOKENS, m.sum = m.top + ROWS, m.shrink = m.sum + ROWS;

    for (int i = threadIdx.x; i < at.count * g.head_dim; i += THREADS) {
        int packed = at.first + i / g.head_dim, head = at.kv_head * g.group + packed % g.group;
        m.q[i] = load_any(g.q,
                          (int64_t)(at.start + packed / g.group) * g.q_stride + (int64_t)head * g.head_dim +
                              i % g.head_dim,
                          type);
    }
    if (threadIdx.x < ROWS)
        m.top[threadIdx.x] = -INFINITY, m.sum[threadIdx.x] = 0;
    float o[OWN] = {};
    for (int first = share.begin; first < share.end; first += tokens) {
        int count = min(tokens, share.end - first);
        load_tokens(m, g, at, first, count, whole);
        __syncthreads();
        score(m, g, at, first, count);
        __syncthreads();
        soften(m, at);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            int e = threadIdx.x + i * THREADS;
            if (e >= at.count * g.head_dim)
                continue;
            int row = e / g.head_dim, d = e % g.head_dim;
            float sum = o[i] * m.shrink[row];
            for (int t = 0; t < count; t++)
                sum = fmaf(m.scores[row * TOKENS + t], m.v[t * at.pitch + d], sum);
            o[i] = sum;
        }
        __syncthreads();
    }
    store(o, m, g, at, partial, type);
}
} // namespace

extern "C" int cuda_decode_any_rows(int head_dim)
{
    int rows = ELEMENTS / head_dim;
    return rows > ROWS ? ROWS : rows;
}

extern "C" void cuda_decode_any(const struct cuda_attention *call, struct cuda_splits splits)
{
    struct cuda *c = cuda_of(call->k);
    attention_arguments g = attention_pack(call);
    attention_partial partial = attention_partial_of(call, splits.splits);
    int tokens = TOKENS;
    while (tokens * g.head_dim > ELEMENTS && tokens > 1)
        tokens /= 2;
    bool whole = g.cache == KERNEL_FP32 && g.head_dim % 4 == 0 && ((uintptr_t)g.k | (uintptr_t)g.v) % 16 == 0;
    size_t bytes = ((size_t)splits.tile_rows * (size_t)g.head_dim +
                    2 * (size_t)tokens * (size_t)(g.head_dim | 1) + ROWS * (TOKENS + 3)) *
                   sizeof(float);
    dim3 grid((unsigned)splits.splits, (unsigned)(g.kv_heads * splits.tiles),
              (unsigned)call->batch->sequences);
    CUDA_LAUNCH(c, decode_any, grid, THREADS, bytes, g, partial, splits, tokens, whole, call->k->activation);
    if (splits.splits > 1)
        cuda_attention_combine(call, splits);
}
