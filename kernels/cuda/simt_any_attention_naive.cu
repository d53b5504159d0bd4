/* Attention as unfused engines run it: three kernels, all scores through memory.
 *
 *   scores [sequence, head, row, token] = q[row, head] . k[token, head / group]   (fp32)
 *   p = softmax over the tokens that the row sees of scale * scores, zeros elsewhere, in place
 *   out[row, head] = sum_t p[row, t] v[t, head / group]
 *
 * Layouts: q [rows, q_stride], out [rows, heads D], cache as in kernels.h, scores [sequences, heads,
 * max_rows, max_context]. FLOPs: 4 D per (row, head, token), tokens that causality hides included. Bytes: the
 * scores are written three times and read four times (the softmax takes its maximum, its powers and their
 * share in a pass each, of which L1 serves the later ones), 28 bytes per (row, head, token); keys and values
 * are read once per head, for a group of heads from L2.
 *
 * This file has the softmax and the products on fp32 lanes, any types and alignment; prompts of the 16-bit
 * form multiply on tensor cores (sm80_f16_attention_naive.cu). Mapping of the products: for prompts blocks of
 * 16 x 16 threads per tile of 64 x 64 of the result, 4 x 4 per thread, operands through shared memory in
 * slices of 16; for decode (one row) a warp per token for the scores and a block per (head, 32 dims) for the
 * output, its 8 warps sharing the tokens. Softmax: a block of 256 threads per row. */
#include "kernels/cuda/attention.cuh"

#include <math.h>

namespace
{
enum { SIDE = 16, THREADS = SIDE * SIDE, TILE = 64, SLICE = 16, OWN = TILE / SIDE, WARPS = THREADS / WARP };

struct place {
    int sequence, head, kv_head, start, rows, total;
    int64_t scores; /* index of the head's first score */
};

__device__ __forceinline__ place place_of(const attention_arguments &g, int max_rows, int max_context)
{
    place at;
    at.sequence = blockIdx.x / g.heads, at.head = blockIdx.x % g.heads, at.kv_head = at.head / g.group;
    at.start = g.row_start[at.sequence], at.rows = g.row_start[at.sequence + 1] - at.start;
    at.total = g.context[at.sequence] + at.rows;
    at.scores = (int64_t)blockIdx.x * max_rows * max_context;
    return at;
}

/* c[4][4] += a b^T of two tiles [64, SLICE] in shared memory, rows SLICE + 1 apart. */
__device__ __forceinline__ void multiply_slice(float (&c)[OWN][OWN], const float *a, const float *b)
{
    int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
    for (int d = 0; d < SLICE; d++)
#pragma unroll
        for (int i = 0; i < OWN; i++)
#pragma unroll
            for (int j = 0; j < OWN; j++)
                c[i][j] =
                    fmaf(a[(y + i * SIDE) * (SLICE + 1) + d], b[(x + j * SIDE) * (SLICE + 1) + d], c[i][j]);
}

/* grid: (sequences x heads, tiles of rows, tiles of tokens) */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    naive_scores(const attention_arguments g, float *scores, int max_rows, int max_context)
{
    kernel_begin();
    __shared__ float a[TILE * (SLICE + 1)], b[TILE * (SLICE + 1)];
    place at = place_of(g, max_rows, max_context);
    int first_row = blockIdx.y * TILE, first = blockIdx.z * TILE;
    if (first_row >= at.rows || first >= at.total)
        return;
    float c[OWN][OWN] = {};
    for (int slice = 0; slice < g.head_dim; slice += SLICE) {
        __syncthreads();
        for (int i = threadIdx.x; i < TILE * SLICE; i += THREADS) {
            int row = i / SLICE, d = slice + i % SLICE, to = row * (SLICE + 1) + i % SLICE;
            bool is_row = d < g.head_dim && first_row + row < at.rows;
            bool is_token = d < g.head_dim && first + row < at.total;
            a[to] = is_row ? to_float(((const T *)g.q)[(int64_t)(at.start + first_row + row) * g.q_stride +
                                                       (int64_t)at.head * g.head_dim + d])
                           : 0.0f;
            b[to] = is_token
                        ? load_any(g.k, attention_token(g, at.sequence, at.kv_head, first + row) + d, g.cache)
                        : 0.0f;
        }
        __syncthreads();
        multiply_slice(c, a, b);
    }
    for (int i = 0; i < OWN; i++)
        for (int j = 0; j < OWN; j++) {
            int row = first_row + threadIdx.x / SIDE + i * SIDE,
                token = first + threadIdx.x % SIDE + j * SIDE;
            if (row < at.rows && token < at.total)
                scores[at.scores + (int64_t)row * max_context + token] = c[i][j];
        }
}

/* grid: (sequences x heads, tiles of rows, tiles of dims) */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    naive_values(const attention_arguments g, const float *scores, int max_rows, int max_context)
{
    kernel_begin();
    __shared__ float a[TILE * (SLICE + 1)], b[TILE * (SLICE + 1)];
    place at = place_of(g, max_rows, max_context);
    int first_row = blockIdx.y * TILE, first_dim = blockIdx.z * TILE;
    if (first_row >= at.rows)
        return;
    float c[OWN][OWN] = {};
    for (int slice = 0; slice < at.total; slice += SLICE) {
        __syncthreads();
        for (int i = threadIdx.x; i < TILE * SLICE; i += THREADS) {
            int row = i / SLICE, t = slice + i % SLICE;
            bool take = t < at.total && first_row + row < at.rows;
            a[row * (SLICE + 1) + i % SLICE] =
                take ? scores[at.scores + (int64_t)(first_row + row) * max_context + t] : 0.0f;
            int token = slice + i / TILE, d = first_dim + i % TILE;
            bool is_value = token < at.total && d < g.head_dim;
            b[i % TILE * (SLICE + 1) + i / TILE] =
                is_value ? load_any(g.v, attention_token(g, at.sequence, at.kv_head, token) + d, g.cache)
                         : 0.0f;
        }
        __syncthreads();
        multiply_slice(c, a, b);
    }
    for (int i = 0; i < OWN; i++)
        for (int j = 0; j < OWN; j++) {
            int row = first_row + threadIdx.x / SIDE + i * SIDE,
                d = first_dim + threadIdx.x % SIDE + j * SIDE;
            if (row < at.rows && d < g.head_dim)
                ((T *)g.out)[((int64_t)(at.start + row) * g.heads + at.head) * g.head_dim + d] =
                    from_float<T>(c[i][j]);
        }
}

/* One row a sequence. grid: (sequences x heads, 1, groups of 32 tokens); each warp 4 tokens, lanes along the
 * dims. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    naive_scores_decode(const attention_arguments g, float *scores, int max_rows, int max_context)
{
    kernel_begin();
    place at = place_of(g, max_rows, max_context);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, first = (blockIdx.z * WARPS + warp) * OWN;
    if (at.rows <= 0 || first >= at.total)
        return;
    const T *q = (const T *)g.q + (int64_t)at.start * g.q_stride + (int64_t)at.head * g.head_dim;
    int64_t from[OWN];
    float sum[OWN] = {};
#pragma unroll
    for (int i = 0; i < OWN; i++)
        from[i] = attention_token(g, at.sequence, at.kv_head, min(first + i, at.total - 1));
    for (int d = lane; d < g.head_dim; d += WARP) {
        float x = to_float(q[d]);
#pragma unroll
        for (int i = 0; i < OWN; i++)
            sum[i] = fmaf(x, load_any(g.k, from[i] + d, g.cache), sum[i]);
    }
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        float all = warp_sum(sum[i]);
        if (lane == 0 && first + i < at.total)
            scores[at.scores + first + i] = all;
    }
}

/* One row a sequence. grid: (sequences x heads, 1, groups of 32 dims). */
template <typename T>
__global__ void __launch_bounds__(THREADS, 4)
    naive_values_decode(const attention_arguments g, const float *scores, int max_rows, int max_context)
{
    kernel_begin();
    __shared__ float parts[WARPS][WARP];
    place at = place_of(g, max_rows, max_context);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, d = blockIdx.z * WARP + lane;
    if (at.rows <= 0)
        return;
    float sum = 0;
    if (d < g.head_dim)
#pragma unroll 8
        for (int t = warp; t < at.total; t += WARPS)
            sum = fmaf(scores[at.scores + t],
                       load_any(g.v, attention_token(g, at.sequence, at.kv_head, t) + d, g.cache), sum);
    parts[warp][lane] = sum;
    __syncthreads();
    if (warp > 0 || d >= g.head_dim)
        return;
    for (int w = 1; w < WARPS; w++)
        sum += parts[w][lane];
    ((T *)g.out)[((int64_t)at.start * g.heads + at.head) * g.head_dim + d] = from_float<T>(sum);
}

/* grid: (sequences x heads, rows) */
__global__ void __launch_bounds__(THREADS)
    naive_softmax(const attention_arguments g, float *scores, int max_rows, int max_context)
{
    kernel_begin();
    __shared__ float scratch[WARP + 1];
    place at = place_of(g, max_rows, max_context);
    int row = blockIdx.y;
    if (row >= at.rows)
        return;
    int position = at.total - at.rows + row, low = attention_low(g, position);
    int high = attention_high(g, position, at.total);
    float *mine = scores + at.scores + (int64_t)row * max_context, top = -INFINITY, total = 0;
    for (int t = low + threadIdx.x; t < high; t += THREADS)
        top = fmaxf(top, mine[t]);
    top = warp_max(top);
    if (threadIdx.x % WARP == 0)
        scratch[threadIdx.x / WARP] = top;
    __syncthreads();
    top = scratch[0];
    for (int w = 1; w < WARPS; w++)
        top = fmaxf(top, scratch[w]);
    for (int t = threadIdx.x; t < at.total; t += THREADS) {
        float p = t >= low && t < high ? exp2f((mine[t] - top) * g.scale_log2) : 0.0f;
        mine[t] = p;
        total += p;
    }
    float share = 1 / block_sum(total, scratch);
    for (int t = threadIdx.x; t < at.total; t += THREADS)
        mine[t] *= share;
}

unsigned tiles(int n, int of)
{
    return (unsigned)((n + of - 1) / of);
}
} // namespace

extern "C" void cuda_naive_softmax(const struct cuda_attention *call)
{
    struct cuda *c = cuda_of(call->k);
    const struct kernel_batch *batch = call->batch;
    attention_arguments g = attention_pack(call);
    dim3 grid((unsigned)(batch->sequences * g.heads), (unsigned)batch->max_rows);
    CUDA_LAUNCH(c, naive_softmax, grid, THREADS, 0, g, (float *)call->workspace, batch->max_rows,
                batch->max_context);
}

extern "C" void cuda_naive_any(const struct cuda_attention *call)
{
    struct cuda *c = cuda_of(call->k);
    const struct kernel_batch *batch = call->batch;
    attention_arguments g = attention_pack(call);
    float *scores = (float *)call->workspace;
    unsigned heads = (unsigned)(batch->sequences * g.heads);
    if (batch->max_rows == 1) {
        dim3 tokens(heads, 1, tiles(batch->max_context, WARPS * OWN));
        dim3 dims(heads, 1, tiles(g.head_dim, WARP));
        CUDA_FOR_ACTIVATION(call->k, CUDA_LAUNCH(c, (naive_scores_decode<T>), tokens, THREADS, 0, g, scores,
                                                 batch->max_rows, batch->max_context));
        cuda_naive_softmax(call);
        CUDA_FOR_ACTIVATION(call->k, CUDA_LAUNCH(c, (naive_values_decode<T>), dims, THREADS, 0, g, scores,
                                                 batch->max_rows, batch->max_context));
        return;
    }
    dim3 tokens(heads, tiles(batch->max_rows, TILE), tiles(batch->max_context, TILE));
    dim3 dims(heads, tiles(batch->max_rows, TILE), tiles(g.head_dim, TILE));
    CUDA_FOR_ACTIVATION(call->k, CUDA_LAUNCH(c, (naive_scores<T>), tokens, THREADS, 0, g, scores,
                                             batch->max_rows, batch->max_context));
    cuda_naive_softmax(call);
    CUDA_FOR_ACTIVATION(call->k, CUDA_LAUNCH(c, (naive_values<T>), dims, THREADS, 0, g, scores,
                                             batch->max_rows, batch->max_context));
}
