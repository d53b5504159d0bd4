/* Decode attention on tensor cores, fp16 and bf16: few rows, many cached tokens, so that reading the cache is
 * all the time there is (flash-decoding, Dao et al. 2023; packed heads as in FlashInfer).
 *
 *   o[r, h] = sum_t softmax_t(scale q[r, h] . k[t, h / group]) v[t, h / group]
 *
 * Layouts: as in kernels.h; partial outputs as in attention.h.
 * Bytes: 2 D elements per (sequence, kv head, visible token), read once: all heads of a kv head and all rows
 * are packed into the 16 rows of one product (more than 16: one pass of the cache each). FLOPs: 4 D per (row,
 * head, token), padded to 16 rows: 32 FLOP per byte, 4.8 TB/s need 77 TFLOP/s of the 620 that mma.sync gives,
 * with 0.012 instructions per element where lanes multiplying by themselves would need 0.16 at a group of
 * four.
 *
 * Mapping: grid (splits, kv heads x tiles of packed rows, sequences); the tokens of a sequence are shared
 * among the splits by its length as the device knows it, in multiples of 64 tokens, so that one
 * recorded graph serves all positions; splits without tokens leave at once. A block has 4 warps, each of
 * which takes every fourth tile of 16 tokens on its own: own ring of STAGES tiles of k and v filled by
 * cp.async, no barrier until all are done. Then the warps' results are brought to one maximum and added
 * through shared memory.
 *
 * In flight: a tile is 64 D bytes (8 KiB for D = 128), a block holds 4 warps x STAGES of them, two of three
 * under way: 64 KiB a block, 128 KiB an SM with two blocks, where 4.8 TB/s x 0.8 us / 132 SMs = 29 KiB
 * suffice. Shared on sm_90: D 64: 4 stages 64 KiB, 3 blocks; 80: 3 stages 66 KiB, 3; 128: 3 stages 96 KiB, 2;
 * 256: 1 block of 3 stages would not fit the 99 KiB of sm_86 and 89, so that two warps share it: 2 warps x 3
 * stages, 96 KiB, 2. A block table costs one load per tile of 16 tokens (block sizes that are multiples of
 * 16), which is asked for one tile ahead of its use; other block sizes look every token up. */
#include "kernels/cuda/attention.cuh"

#include <math.h>

namespace
{
enum { TOKENS = 16, ROWS = CUDA_DECODE_F16_ROWS };

/* Rows of k and v asked for together at D = 256: what each assembler back end fits into 255 registers. */
#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 1200
enum { LARGE_LOADS = 8 };
#else
enum { LARGE_LOADS = 16 };
#endif

template <int D> struct shape {
    enum {
        WARPS = D <= 128 ? 4 : 2,
        THREADS = WARPS * WARP,
        STAGES = D <= 64 ? 4 : 3,
        STEPS = D / 16,
        COLUMNS = D / 8,
        TILE = TOKENS * attention_tile<D>::PITCH, /* elements of k, and of v */
        RING = WARPS * STAGES * 2 * TILE * 2,
        MERGE = WARPS * ROWS * (D + 4 + 2) * 4, /* o (rows 4 floats apart from whole banks), m, l per warp */
        BYTES = RING > MERGE ? RING : MERGE
    };
    static_assert(BYTES <= 99 * 1024, "a block must fit sm_86 and sm_89");
    static_assert(ROWS == 16, "one product's rows");
};

struct place {
    int sequence, kv_head, start, rows, context;
    int packed, first; /* packed rows of the kv head, first of this tile */
    int end;           /* tokens from here on are not this block's */
};

/* Where tile `first` of 16 tokens starts in a cache whose blocks hold whole tiles. */
__device__ __forceinline__ int block_of(const attention_arguments &g, const place &at, int first)
{
    if (!g.table)
        return at.sequence;
    if (first >= at.end)
        return 0;
    return g.table[(int64_t)at.sequence * g.table_stride + attention_block(g, first)];
}

/* 16 tokens from `first` on into the warp's stage, zeros from `end` on; one commit group. block: block_of. */
template <typename T, int D>
__device__ __forceinline__ void load_tokens(T *k, T *v, const attention_arguments &g, const place &at,
                                            int first, int end, int block, bool whole)
{
    int lane = threadIdx.x % WARP, chunks = g.head_dim / 8;
    if (first < end) {
        int64_t base = 0;
        if (whole) {
            int inside = g.table ? first - attention_block(g, first) * g.block_size : first;
            base = block * g.block_stride + (int64_t)at.kv_head * g.head_stride +
                   (int64_t)inside * g.token_stride;
        }
#pragma unroll(D <= 128 ? TOKENS * (D / 8) / WARP : LARGE_LOADS)
        for (int i = lane; i < TOKENS * (D / 8); i += WARP) {
            int row = i / (D / 8), chunk = i % (D / 8);
            bool take = first + row < end && chunk < chunks;
            int64_t from = whole ? base + (take ? row * g.token_stride : 0)
                                 : attention_token(g, at.sequence, at.kv_head, take ? first + row : end - 1);
            from += take ? chunk * 8 : 0;
            copy_async_16(k + attention_tile<D>::at(row, chunk), (const T *)g.k + from, take);
            copy_async_16(v + attention_tile<D>::at(row, chunk), (const T *)g.v + from, take);
        }
    }
    copy_async_commit();
}

/* q of the tile's packed rows as the first operand, straight from memory: rows beyond are zeros. */
template <typename T, int D>
__device__ __forceinline__ void load_q(uint32_t (&a)[shape<D>::STEPS][4], const attention_arguments &g,
                                       const place &at)
{
    int lane = threadIdx.x % WARP;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int i = at.first + half * 8 + lane / 4;
        bool take = i < at.packed;
        int row = take ? i / g.group : 0, head = at.kv_head * g.group + (take ? i % g.group : 0);
        const T *q = (const T *)g.q + (int64_t)(at.start + row) * g.q_stride + (int64_t)head * g.head_dim;
#pragma unroll
        for (int step = 0; step < shape<D>::STEPS; step++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                int dim = step * 16 + e * 8 + lane % 4 * 2;
                a[step][half + e * 2] =
                    take && dim < g.head_dim ? *reinterpret_cast<const uint32_t *>(q + dim) : 0u;
            }
    }
}

/* One tile of 16 tokens: scores, running softmax, product with v. */
template <typename T, int D>
__device__ __forceinline__ void attend(float (&o)[shape<D>::COLUMNS][4], float (&maximum)[2], float (&sum)[2],
                                       const uint32_t (&q)[shape<D>::STEPS][4], const T *k, const T *v,
                                       const attention_arguments &g, const int (&low)[2],
                                       const int (&high)[2], int first)
{
    using tile = attention_tile<D>;
    int lane = threadIdx.x % WARP;
    int columns = tile::at(lane / 16 * 8 + lane % 8, lane / 8 % 2), rows = tile::at(lane % 16, lane / 16);
    float s[2][2][4] = {}; /* [two chains of products][token column] */
#pragma unroll
    for (int step = 0; step < shape<D>::STEPS; step++) {
        uint32_t b[4];
        load_matrices(b, k + tile::along(columns, step * 2));
        mma_m16n8k16(s[step % 2][0], q[step], b, T());
        mma_m16n8k16(s[step % 2][1], q[step], b + 2, T());
    }
    float shrink[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float top = maximum[half];
#pragma unroll
        for (int j = 0; j < 2; j++)
#pragma unroll
            for (int e = half * 2; e < half * 2 + 2; e++) {
                int token = first + j * 8 + lane % 4 * 2 + e % 2;
                bool seen = token >= low[half] && token < high[half];
                s[0][j][e] = seen ? s[0][j][e] + s[1][j][e] : -INFINITY;
                top = fmaxf(top, s[0][j][e]);
            }
        top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 1));
        top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 2));
        float base = top == -INFINITY ? 0.0f : top * g.scale_log2;
        shrink[half] = exp2_fast(maximum[half] * g.scale_log2 - base);
        maximum[half] = top;
        sum[half] *= shrink[half];
#pragma unroll
        for (int j = 0; j < 2; j++)
#pragma unroll
            for (int e = half * 2; e < half * 2 + 2; e++) {
                s[0][j][e] = exp2_fast(fmaf(s[0][j][e], g.scale_log2, -base));
                sum[half] += s[0][j][e];
            }
    }
    if (__any_sync(ALL_LANES, shrink[0] != 1.0f || shrink[1] != 1.0f))
#pragma unroll
        for (int n = 0; n < shape<D>::COLUMNS; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                o[n][e] *= shrink[e / 2];
    uint32_t p[4];
#pragma unroll
    for (int e = 0; e < 4; e++)
        p[e] = pack_pair<T>(s[0][e / 2][e % 2 * 2], s[0][e / 2][e % 2 * 2 + 1]);
#pragma unroll
    for (int n = 0; n < shape<D>::COLUMNS; n += 2) {
        uint32_t b[4];
        load_matrices_transposed(b, v + tile::along(rows, n));
        mma_m16n8k16(o[n], p, b, T());
        mma_m16n8k16(o[n + 1], p, b + 2, T());
    }
}

/* The warps' results brought together: written as the output (one split) or as this split's partial. */
template <typename T, int D>
__device__ __forceinline__ void
merge(float *shared, const float (&o)[shape<D>::COLUMNS][4], const float (&maximum)[2], float (&sum)[2],
      const attention_arguments &g, const place &at, const attention_partial &partial)
{
    enum { WARPS = shape<D>::WARPS, PITCH = D + 4 };
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float *tops = shared + WARPS * ROWS * PITCH, *sums = tops + WARPS * ROWS;
    __syncthreads(); /* the rings are no longer read */
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = half * 8 + lane / 4;
        sum[half] += __shfl_xor_sync(ALL_LANES, sum[half], 1);
        sum[half] += __shfl_xor_sync(ALL_LANES, sum[half], 2);
        if (lane % 4 == 0)
            tops[warp * ROWS + row] = maximum[half] * g.scale_log2, sums[warp * ROWS + row] = sum[half];
        if (at.first + row < at.packed)
#pragma unroll
            for (int n = 0; n < shape<D>::COLUMNS; n++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    shared[(warp * ROWS + row) * PITCH + n * 8 + lane % 4 * 2 + e] = o[n][half * 2 + e];
    }
    __syncthreads();
    int rows = min((int)ROWS, at.packed - at.first), splits = gridDim.x;
    for (int i = threadIdx.x; i < rows * (D / 4); i += shape<D>::THREADS) {
        int row = i / (D / 4), dim = i % (D / 4) * 4, packed = at.first + row;
        if (dim >= g.head_dim)
            continue;
        float top = tops[row], total = 0, sums_of[4] = {};
        for (int w = 1; w < WARPS; w++)
            top = fmaxf(top, tops[w * ROWS + row]);
        float base = top == -INFINITY ? 0.0f : top;
        for (int w = 0; w < WARPS; w++) {
            float share = exp2_fast(tops[w * ROWS + row] - base);
            total += share * sums[w * ROWS + row];
            pack<float> part = load_pack(shared + (w * ROWS + row) * PITCH + dim);
            for (int e = 0; e < 4; e++)
                sums_of[e] += share * part.at[e];
        }
        int token_row = packed / g.group, head = at.kv_head * g.group + packed % g.group;
        if (splits == 1) {
            float inverse = total > 0 ? 1 / total : 0.0f;
            T *out = (T *)g.out + ((int64_t)(at.start + token_row) * g.heads + head) * g.head_dim + dim;
            uint2 v;
            v.x = pack_pair<T>(sums_of[0] * inverse, sums_of[1] * inverse);
            v.y = pack_pair<T>(sums_of[2] * inverse, sums_of[3] * inverse);
            *reinterpret_cast<uint2 *>(out) = v;
            continue;
        }
        int64_t item = ((int64_t)at.sequence * partial.max_rows + token_row) * g.heads + head;
        int64_t slot = item * splits + blockIdx.x;
        pack<float> v;
        for (int e = 0; e < 4; e++)
            v.at[e] = sums_of[e];
        store_pack(partial.o + slot * g.head_dim + dim, v);
        if (dim == 0)
            partial.statistics[slot * 2] = top, partial.statistics[slot * 2 + 1] = total;
    }
}

template <typename T, int D>
__global__ void __launch_bounds__(shape<D>::THREADS)
    decode_f16(const attention_arguments g, const attention_partial partial, int minimum)
{
    kernel_begin();
    using S = shape<D>;
    CUDA_SHARED(memory);
    place at;
    int tiles = gridDim.y / g.kv_heads;
    at.sequence = blockIdx.z, at.kv_head = blockIdx.y / tiles, at.first = blockIdx.y % tiles * ROWS;
    at.start = g.row_start[at.sequence], at.rows = g.row_start[at.sequence + 1] - at.start;
    at.context = g.context[at.sequence], at.packed = at.rows * g.group;
    if (at.first >= at.packed)
        return;
    attention_share share =
        attention_split(g, at.context, at.rows, at.first, ROWS, gridDim.x, minimum, blockIdx.x);
    if ((int)blockIdx.x >= share.live)
        return;

    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int end = at.end = share.end;
    bool whole = !g.table || g.block_size % TOKENS == 0;
    T *ring = (T *)memory + warp * S::STAGES * 2 * S::TILE;
    enum { STRIDE = TOKENS * S::WARPS };
    int first = share.begin + warp * TOKENS, ahead = first;
    int block = whole ? block_of(g, at, ahead) : 0;
#pragma unroll
    for (int stage = 0; stage < S::STAGES - 1; stage++, ahead += STRIDE) {
        int next = whole ? block_of(g, at, ahead + STRIDE) : 0;
        T *k = ring + stage * 2 * S::TILE;
        load_tokens<T, D>(k, k + S::TILE, g, at, ahead, end, block, whole);
        block = next;
    }

    uint32_t q[S::STEPS][4];
    load_q<T, D>(q, g, at);
    int low[2], high[2];
    for (int half = 0; half < 2; half++) {
        int position = at.context + min(at.first + half * 8 + lane / 4, at.packed - 1) / g.group;
        low[half] = attention_low(g, position),
        high[half] = min(attention_high(g, position, at.context + at.rows), end);
    }
    float o[S::COLUMNS][4] = {}, maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {};
    for (int stage = 0; first < end; first += STRIDE, ahead += STRIDE) {
        copy_async_wait<S::STAGES - 2>();
        __syncwarp(); /* this tile is there for all lanes, and all have left the one before */
        int next = whole ? block_of(g, at, ahead + STRIDE) : 0;
        T *free = ring + (stage == 0 ? S::STAGES - 1 : stage - 1) * 2 * S::TILE;
        load_tokens<T, D>(free, free + S::TILE, g, at, ahead, end, block, whole);
        block = next;
        const T *k = ring + stage * 2 * S::TILE;
        attend<T, D>(o, maximum, sum, q, k, k + S::TILE, g, low, high, first);
        stage = stage + 1 == S::STAGES ? 0 : stage + 1;
    }
    copy_async_wait<0>();
    merge<T, D>((float *)memory, o, maximum, sum, g, at, partial);
}

template <typename T, int D> void launch(const struct cuda_attention *call, struct cuda_splits splits)
{
    struct cuda *c = cuda_of(call->k);
    attention_arguments g = attention_pack(call);
    size_t bytes = shape<D>::BYTES;
    dim3 grid((unsigned)splits.splits, (unsigned)(g.kv_heads * splits.tiles),
              (unsigned)call->batch->sequences);
    CUDA_LAUNCH(c, (decode_f16<T, D>), grid, shape<D>::THREADS, bytes, g,
                attention_partial_of(call, splits.splits), splits.minimum_tokens);
}

template <typename T> void choose_dims(const struct cuda_attention *call, struct cuda_splits splits)
{
    if (call->a->head_dim <= 64)
        launch<T, 64>(call, splits);
    else if (call->a->head_dim <= 80)
        launch<T, 80>(call, splits);
    else if (call->a->head_dim <= 128)
        launch<T, 128>(call, splits);
    else
        launch<T, 256>(call, splits);
}
} // namespace

extern "C" void cuda_decode_f16(const struct cuda_attention *call, struct cuda_splits splits)
{
    if (call->k->activation == KERNEL_FP16)
        choose_dims<__half>(call, splits);
    else
        choose_dims<__nv_bfloat16>(call, splits);
    if (splits.splits > 1)
        cuda_attention_combine(call, splits);
}
