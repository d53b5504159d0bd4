/* The products of unfused attention on tensor cores, for prompts in fp16 and bf16: what an engine without
 * flash attention calls a batched GEMM for. Formulas and layouts: simt_any_attention_naive.cu, whose softmax
 * stands between the two; p is rounded to the activations' type on its way into the second product, as such
 * engines do.
 *
 * FLOPs: 4 D per (row, head, token), hidden tokens included. Bytes: scores written once (4 bytes each) and,
 * after the softmax, read once; q, k, v from L2 for all but the first tile that needs them.
 *
 * Mapping: blocks of 4 warps per tile of 64 x 64 of the result, a warp 16 rows. Scores: q and k in slices of
 * 64 dims. Output: p and v in slices of 64 tokens, double-buffered v by cp.async, p through registers.
 * Shared: 16 KiB and 24 KiB. */
#include "kernels/cuda/attention.cuh"

namespace
{
enum {
    WARPS = 4,
    THREADS = WARPS * WARP,
    TILE = 64,
    ELEMENTS = TILE * attention_tile<TILE>::PITCH,
    COLUMNS = TILE / 8
};
using tile = attention_tile<TILE>;

struct place {
    int sequence, head, kv_head, start, rows, total;
    int64_t scores;
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

/* 64 tokens from `first` on, dims [dim, dim + 64), zeros beyond. */
template <typename T>
__device__ __forceinline__ void load_tokens(T *to, const void *cache, const attention_arguments &g,
                                            const place &at, int first, int dim)
{
    for (int i = threadIdx.x; i < TILE * TILE / 8; i += THREADS) {
        int row = i / (TILE / 8), chunk = i % (TILE / 8);
        bool take = first + row < at.total && dim + chunk * 8 < g.head_dim;
        int64_t from = attention_token(g, at.sequence, at.kv_head, take ? first + row : 0);
        copy_async_16(to + tile::at(row, chunk), (const T *)cache + from + (take ? dim + chunk * 8 : 0),
                      take);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS, 4)
    scores_f16(const attention_arguments g, float *scores, int max_rows, int max_context)
{
    kernel_begin();
    __shared__ __align__(128) unsigned char memory[2 * ELEMENTS * 2];
    T *q = (T *)memory, *k = q + ELEMENTS;
    place at = place_of(g, max_rows, max_context);
    int first_row = blockIdx.y * TILE, first = blockIdx.z * TILE;
    if (first_row >= at.rows || first >= at.total)
        return;
    int lane = threadIdx.x % WARP, warp_row = threadIdx.x / WARP * 16;
    float s[COLUMNS][4] = {};
    for (int dim = 0; dim < g.head_dim; dim += TILE) {
        __syncthreads();
        for (int i = threadIdx.x; i < TILE * TILE / 8; i += THREADS) {
            int row = i / (TILE / 8), chunk = i % (TILE / 8);
            bool take = first_row + row < at.rows && dim + chunk * 8 < g.head_dim;
            const T *from = (const T *)g.q + (int64_t)(at.start + (take ? first_row + row : 0)) * g.q_stride +
                            (int64_t)at.head * g.head_dim + (take ? dim + chunk * 8 : 0);
            copy_async_16(q + tile::at(row, chunk), from, take);
        }
        load_tokens(k, g.k, g, at, first, dim);
        copy_async_commit();
        copy_async_wait<0>();
        __syncthreads();
#pragma unroll
        for (int step = 0; step < TILE / 16; step++) {
            uint32_t a[4], b[4];
            load_matrices(a, q + tile::at(warp_row + lane % 16, step * 2 + lane / 16));
#pragma unroll
            for (int j = 0; j < COLUMNS; j += 2) {
                load_matrices(b, k + tile::at(j * 8 + lane / 16 * 8 + lane % 8, step * 2 + lane / 8 % 2));
                mma_m16n8k16(s[j], a, b, T());
                mma_m16n8k16(s[j + 1], a, b + 2, T());
            }
        }
    }
    for (int e = 0; e < 4; e++) {
        int row = first_row + warp_row + e / 2 * 8 + lane / 4;
        float *to = scores + at.scores + (int64_t)row * max_context + first + lane % 4 * 2 + e % 2;
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
            if (row < at.rows && first + j * 8 + lane % 4 * 2 + e % 2 < at.total)
                to[j * 8] = s[j][e];
    }
}

/* 64 tokens of the block's rows of p, rounded to T; zeros beyond. */
template <typename T>
__device__ __forceinline__ void load_weights(T *to, const float *scores, const place &at, int max_context,
                                             int first_row, int first)
{
#pragma unroll 8
    for (int i = threadIdx.x; i < TILE * TILE / 2; i += THREADS) {
        int row = i / (TILE / 2), t = i % (TILE / 2) * 2;
        const float *from = scores + at.scores + (int64_t)(first_row + row) * max_context + first + t;
        bool is_row = first_row + row < at.rows;
        float low = is_row && first + t < at.total ? from[0] : 0.0f;
        float high = is_row && first + t + 1 < at.total ? from[1] : 0.0f;
        *reinterpret_cast<uint32_t *>(to + tile::at(row, t / 8) + t % 8) = pack_pair<T>(low, high);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    values_f16(const attention_arguments g, const float *scores, int max_rows, int max_context)
{
    kernel_begin();
    __shared__ __align__(128) unsigned char memory[3 * ELEMENTS * 2];
    T *p = (T *)memory, *v = p + ELEMENTS;
    place at = place_of(g, max_rows, max_context);
    int first_row = blockIdx.y * TILE, first_dim = blockIdx.z * TILE;
    if (first_row >= at.rows)
        return;
    int lane = threadIdx.x % WARP, warp_row = threadIdx.x / WARP * 16;
    float o[COLUMNS][4] = {};
    load_tokens(v, g.v, g, at, 0, first_dim);
    copy_async_commit();
    for (int first = 0, stage = 0; first < at.total; first += TILE, stage ^= 1) {
        __syncthreads(); /* all have left p and the other v */
        load_weights(p, scores, at, max_context, first_row, first);
        copy_async_wait<0>();
        __syncthreads();
        if (first + TILE < at.total) {
            load_tokens(v + (stage ^ 1) * ELEMENTS, g.v, g, at, first + TILE, first_dim);
            copy_async_commit();
        }
        const T *values = v + stage * ELEMENTS;
#pragma unroll
        for (int step = 0; step < TILE / 16; step++) {
            uint32_t a[4], b[4];
            load_matrices(a, p + tile::at(warp_row + lane % 16, step * 2 + lane / 16));
#pragma unroll
            for (int n = 0; n < COLUMNS; n += 2) {
                load_matrices_transposed(b, values + tile::at(step * 16 + lane % 16, n + lane / 16));
                mma_m16n8k16(o[n], a, b, T());
                mma_m16n8k16(o[n + 1], a, b + 2, T());
            }
        }
    }
    for (int half = 0; half < 2; half++) {
        int row = first_row + warp_row + half * 8 + lane / 4;
        T *out = (T *)g.out + ((int64_t)(at.start + row) * g.heads + at.head) * g.head_dim;
#pragma unroll
        for (int n = 0; n < COLUMNS; n++) {
            int d = first_dim + n * 8 + lane % 4 * 2;
            if (row < at.rows && d < g.head_dim)
                *reinterpret_cast<uint32_t *>(out + d) = pack_pair<T>(o[n][half * 2], o[n][half * 2 + 1]);
        }
    }
}

unsigned tiles(int n)
{
    return (unsigned)((n + TILE - 1) / TILE);
}

template <typename T> void run(const struct cuda_attention *call)
{
    struct cuda *c = cuda_of(call->k);
    const struct kernel_batch *batch = call->batch;
    attention_arguments g = attention_pack(call);
    float *scores = (float *)call->workspace;
    unsigned heads = (unsigned)(batch->sequences * g.heads);
    dim3 tokens(heads, tiles(batch->max_rows), tiles(batch->max_context));
    dim3 dims(heads, tiles(batch->max_rows), tiles(g.head_dim));
    CUDA_LAUNCH(c, (scores_f16<T>), tokens, THREADS, 0, g, scores, batch->max_rows, batch->max_context);
    cuda_naive_softmax(call);
    CUDA_LAUNCH(c, (values_f16<T>), dims, THREADS, 0, g, scores, batch->max_rows, batch->max_context);
}
} // namespace

extern "C" void cuda_naive_f16(const struct cuda_attention *call)
{
    if (call->k->activation == KERNEL_FP16)
        run<__half>(call);
    else
        run<__nv_bfloat16>(call);
}
