/* Flash attention for prompts on tensor cores, fp16 and bf16 (Dao 2023, "FlashAttention-2", section 3).
 *
 *   o[r, h] = sum_t softmax_t(scale q[r, h] . k[t, h / group]) v[t, h / group]
 *
 * over the tokens t that row r sees (causal, sliding window, or the whole sequence), without storing scores:
 * with the running maximum m, the running sum l and the unnormalized output o of a row, a tile of tokens
 * gives m' = max(m, max s), p = 2^((s - m') c), a = 2^((m - m') c), l' = a l + sum p, o' = a o + p v, c =
 * scale log2(e), and at the end o / l.
 *
 * Layouts: q [rows, q_stride], head h at h D; out [rows, heads D]; cache as in kernels.h.
 * FLOPs: 4 D per (row, head, visible token). Bytes: q and out once, k and v once per block of ROWS rows
 * (from L2: the blocks of a head and the heads of a group pass over the same tokens at about the same time).
 *
 * Mapping: one block of 4 warps per (ROWS token rows, head, sequence), heaviest rows first (a causal row tile
 * costs as much as it has tokens before it). A warp owns 16 M rows alone, M = 2 where there are enough
 * blocks: each fragment of k and v that ldmatrix brings then serves two products, which halves the traffic of
 * shared memory, the limit of the form with one (32 KiB per 64 tokens for 0.5 MFLOP = 2048 FLOP per clock and
 * SM). Tokens pass in tiles of TOKENS, double-buffered by cp.async; one barrier a tile. Scores stay in the
 * accumulators, whose layout is that of the next product's first operand, so that no lane exchanges them; a
 * row's maximum is exchanged among its four lanes once a tile, its sum once at the end. Tiles that no row
 * sees are never loaded; only tiles that some row of the warp sees in part are masked.
 *
 * Tile choice, by arithmetic (no figure here was measured). Shared: (ROWS + 4 TOKENS) D elements; registers:
 * o 4 M D / 8, scores 4 M TOKENS / 8, q 4 M D / 16 where it stays in registers (not at D = 128, M = 2 and D =
 * 256: it is read again from shared memory). As compiled for sm_90a (227 KiB and 65536 registers an SM):
 *  - D 64, M 2: 128 x 64, 48 KiB, o 64 + s 64 + q 32, 246 in all, 2 blocks an SM
 *  - D 64, M 1: 64 x 64, 40 KiB, 32 + 32 + 16, 149 in all, 3 blocks
 *  - D 80, M 2: 128 x 64, 66 KiB, 80 + 64 + 40, 255 in all, 2 blocks
 *  - D 80, M 1: 64 x 64, 55 KiB, 40 + 32 + 20, 162 in all, 3 blocks
 *  - D 128, M 2: 128 x 64, 96 KiB, 128 + 64, 255 in all, 2 blocks
 *  - D 128, M 1: 64 x 64, 80 KiB, 64 + 32 + 32, 202 in all, 2 blocks
 *  - D 256, M 1: 64 x 32, 96 KiB, 128 + 16, 240 in all, 2 blocks
 *
 * 96 KiB is also what sm_86, 89 and 120 grant one block (99 KiB); sm_80 (164 KiB) holds one such block too.
 * M = 2 reads 40 KiB of shared memory per warp and 64 tokens at D = 128 for 1 MFLOP: 3350 FLOP per clock and
 * SM, above the about 2700 of mma.sync, where M = 1 stays below. Exponentials: 8192 per tile of 128 x 64, 512
 * clocks of the special function units beside 1550 of the tensor cores, which the SM's second block covers.
 * Other head sizes up to 256 that are multiples of 8 take the next larger D with zeros behind head_dim. */
#include "kernels/cuda/attention.cuh"

#include <math.h>

namespace
{
enum { WARPS = 4, THREADS = WARPS * WARP };

template <int D, int M> struct shape {
    enum {
        ROWS = 16 * M * WARPS,
        TOKENS = D <= 128 ? 64 : 32,
        STEPS = D / 16,      /* products along the dims of q k */
        COLUMNS = D / 8,     /* accumulators of o */
        SCORES = TOKENS / 8, /* accumulators of s */
        Q_IN_REGISTERS = D * M <= 160,
        BLOCKS = M == 1 && D <= 80 ? 3 : 2, /* of an SM, for the register budget */
        Q_ELEMENTS = ROWS * attention_tile<D>::PITCH,
        KV_ELEMENTS = TOKENS * attention_tile<D>::PITCH,
        BYTES = (Q_ELEMENTS + 4 * KV_ELEMENTS) * 2
    };
    static_assert(BYTES <= 99 * 1024, "a block must fit sm_86 and sm_89");
};

struct place { /* what a block works on */
    int sequence, head, kv_head, start, rows, context,
        first; /* first: row of the block within the sequence */
};

template <int ROWS> __device__ __forceinline__ place place_of(const attention_arguments &g)
{
    place at;
    at.sequence = blockIdx.z, at.head = blockIdx.x, at.kv_head = at.head / g.group;
    at.first = (gridDim.y - 1 - blockIdx.y) * ROWS;
    at.start = g.row_start[at.sequence], at.rows = g.row_start[at.sequence + 1] - at.start;
    at.context = g.context[at.sequence];
    return at;
}

template <typename T, int D, int M>
__device__ __forceinline__ void load_q(T *shared, const attention_arguments &g, const place &at)
{
    const T *q = (const T *)g.q + (int64_t)at.head * g.head_dim;
    int chunks = g.head_dim / 8;
#pragma unroll 4
    for (int i = threadIdx.x; i < shape<D, M>::ROWS * (D / 8); i += THREADS) {
        int row = i / (D / 8), chunk = i % (D / 8);
        bool take = at.first + row < at.rows && chunk < chunks;
        const T *from = q + (take ? (int64_t)(at.start + at.first + row) * g.q_stride + chunk * 8 : 0);
        copy_async_16(shared + attention_tile<D>::at(row, chunk), from, take);
    }
}

/* Tokens [first, first + TOKENS) of k and v, zeros from `end` on.
 *
 * A thread keeps its chunk and walks down the rows (D = 80 finds both anew each time): with the barrier 167
 * instructions a tile at D = 128, M = 2 on sm_90a, 430 as long as every chunk was looked for by itself,
 * beside 256 products. A block table is asked for every row, in a loop of its own so that others do not pay
 * for it. What only this needs is computed here, for which the compiler must not know that `spare` is 0:
 * between tiles there is no register left. */
template <typename T, int D, int M>
__device__ __forceinline__ void load_tokens(T *k, T *v, const attention_arguments &g, const place &at,
                                            int first, int end)
{
    enum { CHUNKS = D / 8, PASSES = shape<D, M>::TOKENS * CHUNKS / THREADS, KEEPS = THREADS % CHUNKS == 0 };
    static_assert(PASSES * THREADS == shape<D, M>::TOKENS * CHUNKS, "every thread takes as many chunks");
    const int thread = (int)thread_again(), spare = thread / THREADS;
    const int token_bytes = g.token_stride * (int)sizeof(T);
    const int64_t block_bytes = g.block_stride * (int64_t)sizeof(T);
    const int64_t head = (int64_t)(at.kv_head + spare) * g.head_stride * (int64_t)sizeof(T);
    auto load = [&](int pass, auto &&place_of_block) {
        const int i = thread + pass * THREADS;
        const int row = KEEPS ? thread / CHUNKS + pass * (THREADS / CHUNKS) : i / CHUNKS;
        const int chunk = (KEEPS ? thread : i) % CHUNKS;
        const bool mine = chunk * 8 < g.head_dim;
        int token = min(first + row, end - 1);
        const bool take = mine && token == first + row;
        int64_t from = place_of_block(token) + (mine ? chunk * 16 : 0);
        from += (int64_t)token * token_bytes;
        copy_async_16(k + attention_tile<D>::at(row, chunk), (const char *)g.k + from, take);
        copy_async_16(v + attention_tile<D>::at(row, chunk), (const char *)g.v + from, take);
    };
    if (g.table) {
#pragma unroll 2
        for (int pass = 0; pass < PASSES; pass++)
            load(pass, [&](int &token) {
                const int block = attention_block(g, token);
                token -= block * g.block_size;
                return head + g.table[(int64_t)at.sequence * g.table_stride + block] * block_bytes;
            });
    } else {
#pragma unroll
        for (int pass = 0; pass < PASSES; pass++)
            load(pass, [&](int &) { return head + at.sequence * block_bytes; });
    }
}

/* Where this lane reads a 16 x 16 corner of a tile for q (rows are token rows) and v (rows are tokens), and
 * for k (two columns of eight tokens). */
template <int D> __device__ __forceinline__ int lane_of_rows(void)
{
    int lane = thread_again() % WARP;
    return attention_tile<D>::at(lane % 16, lane / 16);
}
template <int D> __device__ __forceinline__ int lane_of_columns(void)
{
    int lane = thread_again() % WARP;
    return attention_tile<D>::at(lane / 16 * 8 + lane % 8, lane / 8 % 2);
}

/* s = q k^T of the warp's 16 M rows and one tile of tokens. */
template <typename T, int D, int M>
__device__ __forceinline__ void score(float (&s)[M][shape<D, M>::SCORES][4],
                                      const uint32_t (&fragments)[M][shape<D, M>::STEPS][4], const T *q,
                                      const T *k)
{
    using S = shape<D, M>;
    using tile = attention_tile<D>;
    int rows = lane_of_rows<D>(), columns = lane_of_columns<D>();
    q += thread_again() / WARP * 16 * M * tile::PITCH;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int j = 0; j < S::SCORES; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[m][j][e] = 0;
                /* Not whole where q comes from shared memory: the addresses of eight steps would not fit the
                 * registers. */
#pragma unroll(S::Q_IN_REGISTERS ? S::STEPS : 4)
    for (int step = 0; step < S::STEPS; step++) {
        uint32_t a[M][4];
#pragma unroll
        for (int m = 0; m < M; m++)
            if (S::Q_IN_REGISTERS)
                for (int e = 0; e < 4; e++)
                    a[m][e] = fragments[m][step][e];
            else
                load_matrices(a[m], q + tile::along(rows, step * 2) + m * 16 * tile::PITCH);
#pragma unroll
        for (int j = 0; j < S::SCORES; j += 2) {
            uint32_t b[4];
            load_matrices(b, k + tile::along(columns, step * 2) + j * 8 * tile::PITCH);
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma_m16n8k16(s[m][j], a[m], b, T());
                mma_m16n8k16(s[m][j + 1], a[m], b + 2, T());
            }
        }
    }
}

/* -infinity where the row does not see the token. row: position of the warp's first row in the sequence. */
template <int D, int M>
__device__ __forceinline__ void mask(float (&s)[M][shape<D, M>::SCORES][4], const attention_arguments &g,
                                     int position, int end, int first)
{
    int lane = thread_again() % WARP;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int mine = position + m * 16 + half * 8 + lane / 4;
            int high = attention_high(g, mine, end) - first, low = attention_low(g, mine) - first;
#pragma unroll
            for (int j = 0; j < shape<D, M>::SCORES; j++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    int token = j * 8 + lane % 4 * 2 + e;
                    if (token >= high || token < low)
                        s[m][j][half * 2 + e] = -INFINITY;
                }
        }
}

/* The step of the running softmax: s becomes p; o, m and l are brought to the new maximum. A row that has
 * seen nothing yet keeps m = -infinity and p = 0. */
template <int D, int M>
__device__ __forceinline__ void soften(float (&s)[M][shape<D, M>::SCORES][4],
                                       float (&o)[M][shape<D, M>::COLUMNS][4], float (&maximum)[M][2],
                                       float (&sum)[M][2], float scale_log2)
{
    using S = shape<D, M>;
#pragma unroll
    for (int m = 0; m < M; m++) {
        float shrink[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float high = maximum[m][half];
#pragma unroll
            for (int j = 0; j < S::SCORES; j++)
                high = fmaxf(high, fmaxf(s[m][j][half * 2], s[m][j][half * 2 + 1]));
            high = fmaxf(high, __shfl_xor_sync(ALL_LANES, high, 1));
            high = fmaxf(high, __shfl_xor_sync(ALL_LANES, high, 2));
            float base = high == -INFINITY ? 0.0f : high * scale_log2, total = 0;
            shrink[half] = exp2_fast(maximum[m][half] * scale_log2 - base);
            maximum[m][half] = high;
#pragma unroll
            for (int j = 0; j < S::SCORES; j++)
#pragma unroll
                for (int e = half * 2; e < half * 2 + 2; e++) {
                    s[m][j][e] = exp2_fast(fmaf(s[m][j][e], scale_log2, -base));
                    total += s[m][j][e];
                }
            sum[m][half] = sum[m][half] * shrink[half] + total;
        }
        /* Later tiles seldom raise a maximum: then the whole warp is spared the pass over o. */
        if (__any_sync(ALL_LANES, shrink[0] != 1.0f || shrink[1] != 1.0f))
#pragma unroll
            for (int n = 0; n < S::COLUMNS; n++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    o[m][n][e] *= shrink[e / 2];
    }
}

/* o += p v: the accumulators of two neighboring columns of s are a fragment of 16 tokens. */
template <typename T, int D, int M>
__device__ __forceinline__ void weigh(float (&o)[M][shape<D, M>::COLUMNS][4],
                                      const float (&p)[M][shape<D, M>::SCORES][4], const T *v)
{
    using S = shape<D, M>;
    using tile = attention_tile<D>;
    int rows = lane_of_rows<D>();
#pragma unroll
    for (int step = 0; step < S::TOKENS / 16; step++) {
        uint32_t a[M][4];
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                a[m][e] =
                    pack_pair<T>(p[m][step * 2 + e / 2][e % 2 * 2], p[m][step * 2 + e / 2][e % 2 * 2 + 1]);
#pragma unroll
        for (int n = 0; n < S::COLUMNS; n += 2) {
            uint32_t b[4];
            load_matrices_transposed(b, v + tile::along(rows, n) + step * 16 * tile::PITCH);
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma_m16n8k16(o[m][n], a[m], b, T());
                mma_m16n8k16(o[m][n + 1], a[m], b + 2, T());
            }
        }
    }
}

/* o / l through the warp's own rows of q's tile, so that the stores are whole chunks. */
template <typename T, int D, int M>
__device__ __forceinline__ void store(T *shared, const float (&o)[M][shape<D, M>::COLUMNS][4],
                                      float (&sum)[M][2], const attention_arguments &g)
{
    int lane = threadIdx.x % WARP, warp_row = threadIdx.x / WARP * 16 * M;
    __syncwarp();
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float total = sum[m][half];
            total += __shfl_xor_sync(ALL_LANES, total, 1);
            total += __shfl_xor_sync(ALL_LANES, total, 2);
            float share = total > 0 ? 1 / total : 0.0f;
            int row = warp_row + m * 16 + half * 8 + lane / 4;
#pragma unroll
            for (int n = 0; n < shape<D, M>::COLUMNS; n++)
                *reinterpret_cast<uint32_t *>(shared + attention_tile<D>::at(row, n) + lane % 4 * 2) =
                    pack_pair<T>(o[m][n][half * 2] * share, o[m][n][half * 2 + 1] * share);
        }
    __syncwarp();
    place at = place_of<shape<D, M>::ROWS>(g); /* again: registers are short in the loop before */
    int chunks = g.head_dim / 8;
    T *out = (T *)g.out + (int64_t)at.head * g.head_dim;
    for (int i = lane; i < 16 * M * (D / 8); i += WARP) {
        int row = warp_row + i / (D / 8), chunk = i % (D / 8);
        if (at.first + row < at.rows && chunk < chunks)
            store_pack(out + (int64_t)(at.start + at.first + row) * g.heads * g.head_dim + chunk * 8,
                       load_pack(shared + attention_tile<D>::at(row, chunk)));
    }
}

template <typename T, int D, int M>
__global__ void __launch_bounds__(THREADS, shape<D, M>::BLOCKS) flash_f16(const attention_arguments g)
{
    kernel_begin();
    using S = shape<D, M>;
    CUDA_SHARED(memory);
    T *q = (T *)memory, *k = q + S::Q_ELEMENTS, *v = k + 2 * S::KV_ELEMENTS;
    place at = place_of<S::ROWS>(g);
    if (at.first >= at.rows)
        return;
    int last_row = min(at.first + S::ROWS, at.rows) - 1;
    int end = attention_high(g, at.context + last_row, at.context + at.rows);
    int begin = attention_low(g, at.context + at.first) / S::TOKENS * S::TOKENS;

    load_q<T, D, M>(q, g, at);
    load_tokens<T, D, M>(k, v, g, at, begin, end);
    copy_async_commit();

    uint32_t fragments[M][S::STEPS][4];
    float o[M][S::COLUMNS][4] = {}, maximum[M][2], sum[M][2] = {};
    for (int m = 0; m < M; m++)
        maximum[m][0] = maximum[m][1] = -INFINITY;
    int warp_row = threadIdx.x / WARP * 16 * M;

    for (int first = begin, stage = 0; first < end; first += S::TOKENS, stage ^= 1) {
        copy_async_wait<0>();
        __syncthreads(); /* this tile is there for all, and all have left the other one */
        if (S::Q_IN_REGISTERS && first == begin)
#pragma unroll
            for (int m = 0; m < M; m++)
#pragma unroll
                for (int step = 0; step < S::STEPS; step++)
                    load_matrices(fragments[m][step],
                                  q + attention_tile<D>::along(lane_of_rows<D>(), step * 2) +
                                      (warp_row + m * 16) * attention_tile<D>::PITCH);
        if (first + S::TOKENS < end) {
            load_tokens<T, D, M>(k + (stage ^ 1) * S::KV_ELEMENTS, v + (stage ^ 1) * S::KV_ELEMENTS, g, at,
                                 first + S::TOKENS, end);
            copy_async_commit();
        }
        int position = at.context + at.first + (int)(thread_again() / WARP) * 16 * M,
            last_position = position + 16 * M - 1;
        if (first >= attention_high(g, last_position, end) || first + S::TOKENS <= attention_low(g, position))
            continue; /* no row of this warp sees any of it */
        float s[M][S::SCORES][4];
        score<T, D, M>(s, fragments, q, k + stage * S::KV_ELEMENTS);
        if (first + S::TOKENS > attention_high(g, position, end) || first < attention_low(g, last_position))
            mask<D, M>(s, g, position, end, first);
        soften<D, M>(s, o, maximum, sum, g.scale_log2);
        weigh<T, D, M>(o, s, v + stage * S::KV_ELEMENTS);
    }
    store<T, D, M>(q, o, sum, g);
}

template <typename T, int D, int M> void launch(const struct cuda_attention *call)
{
    struct cuda *c = cuda_of(call->k);
    attention_arguments g = attention_pack(call);
    size_t bytes = shape<D, M>::BYTES;
    dim3 grid((unsigned)g.heads,
              (unsigned)((call->batch->max_rows + shape<D, M>::ROWS - 1) / shape<D, M>::ROWS),
              (unsigned)call->batch->sequences);
    CUDA_LAUNCH(c, (flash_f16<T, D, M>), grid, THREADS, bytes, g);
}

/* Tiles of 128 rows where they give every SM its two blocks, else of 64: twice the blocks. */
template <typename T, int D> void choose_rows(const struct cuda_attention *call)
{
    int64_t blocks = (int64_t)call->a->heads * call->batch->sequences * ((call->batch->max_rows + 127) / 128);
    if (call->batch->max_rows > 64 && blocks >= 2 * cuda_of(call->k)->multiprocessors)
        launch<T, D, 2>(call);
    else
        launch<T, D, 1>(call);
}

template <typename T> void choose_dims(const struct cuda_attention *call)
{
    if (call->a->head_dim <= 64)
        choose_rows<T, 64>(call);
    else if (call->a->head_dim <= 80)
        choose_rows<T, 80>(call);
    else if (call->a->head_dim <= 128)
        choose_rows<T, 128>(call);
    else
        launch<T, 256, 1>(call);
}
} // namespace

extern "C" void cuda_flash_f16(const struct cuda_attention *call)
{
    if (call->k->activation == KERNEL_FP16)
        choose_dims<__half>(call);
    else
        choose_dims<__nv_bfloat16>(call);
}
