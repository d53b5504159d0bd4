/* Flash attention for prompts without tensor cores: fp32, and what the 16-bit form does not take (activations
 * and cache of different types, head sizes that are no multiple of 8, any alignment) up to head_dim 256. The
 * formulas are those of sm80_f16_attention_flash.cu, in fp32 throughout.
 *
 * Layouts: q [rows, q_stride], out [rows, heads D], cache as in kernels.h. FLOPs: 4 D per (row, head, visible
 * token). Bytes: q and out once, k and v once per block of ROWS rows.
 *
 * Mapping: a block of 16 x 16 threads per (ROWS token rows, head, sequence), heaviest first. Thread (x, y)
 * owns rows y + 16 i: of the scores the tokens x + 16 j, of the output the dims 4 x + 64 j ... + 3. q stays
 * in shared memory, k and v pass in tiles of TOKENS; both products read four elements at a time (rows 4
 * floats apart from whole banks), a thread's 4 rows sharing what it reads: 6 reads of 16 bytes for 32
 * multiplications of q k, 3 reads for 32 of p v (D = 128). Row maxima and sums are exchanged among the 16
 * threads of a row.
 *
 * Shared: (ROWS + 2 TOKENS) (D + 4) + ROWS (TOKENS + 4) floats: D 64: 43 KiB; 128: 75 KiB, 2 blocks on sm_80
 * and 90; 256 (32 rows, 16 tokens): 67 KiB. */
#include "kernels/cuda/attention.cuh"

#include <math.h>

namespace
{
enum { SIDE = 16, THREADS = SIDE * SIDE };

template <int D> struct shape {
    enum {
        ROWS = D <= 128 ? 64 : 32,
        TOKENS = D <= 128 ? 32 : 16,
        OWN_ROWS = ROWS / SIDE,
        OWN_TOKENS = TOKENS / SIDE,
        OWN_DIMS = D / SIDE / 4, /* packs of four */
        PITCH = D + 4,
        P_PITCH = TOKENS + 4,
        BYTES = ((ROWS + 2 * TOKENS) * PITCH + ROWS * P_PITCH) * 4
    };
    static_assert(BYTES <= 99 * 1024, "a block must fit sm_86 and sm_89");
    static_assert(D % (4 * SIDE) == 0, "every thread owns whole packs of the output");
};

struct place {
    int sequence, head, kv_head, start, rows, context, first;
};

/* Rows [first, first + ROWS) of q as fp32, zeros beyond the sequence and beyond head_dim. */
template <typename T, int D>
__device__ __forceinline__ void load_q(float *shared, const attention_arguments &g, const place &at)
{
    for (int i = threadIdx.x; i < shape<D>::ROWS * D; i += THREADS) {
        int row = i / D, d = i % D;
        bool take = at.first + row < at.rows && d < g.head_dim;
        int64_t from = (int64_t)(at.start + at.first + row) * g.q_stride + (int64_t)at.head * g.head_dim + d;
        shared[row * shape<D>::PITCH + d] = take ? to_float(((const T *)g.q)[from]) : 0.0f;
    }
}

template <int D>
__device__ __forceinline__ void load_tokens(float *k, float *v, const attention_arguments &g, const place &at,
                                            int first, int end, bool whole)
{
    enum { PACKS = D / 4, PITCH = shape<D>::PITCH };
#pragma unroll 4
    for (int i = threadIdx.x; i < shape<D>::TOKENS * PACKS; i += THREADS) {
        int row = i / PACKS, d = i % PACKS * 4;
        pack<float> a = {}, b = {};
        if (first + row < end && d < g.head_dim) {
            int64_t from = attention_token(g, at.sequence, at.kv_head, first + row) + d;
            if (whole) {
                a = load_pack((const float *)g.k + from);
                b = load_pack((const float *)g.v + from);
            } else {
                for (int e = 0; e < 4 && d + e < g.head_dim; e++) {
                    a.at[e] = load_any(g.k, from + e, g.cache);
                    b.at[e] = load_any(g.v, from + e, g.cache);
                }
            }
        }
        store_pack(k + row * PITCH + d, a);
        store_pack(v + row * PITCH + d, b);
    }
}

template <int D>
__device__ __forceinline__ void score(float (&s)[shape<D>::OWN_ROWS][shape<D>::OWN_TOKENS], const float *q,
                                      const float *k, int dims)
{
    using S = shape<D>;
    int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    for (int d = 0; d < dims; d += 4) {
        pack<float> a[S::OWN_ROWS], b[S::OWN_TOKENS];
#pragma unroll
        for (int i = 0; i < S::OWN_ROWS; i++)
            a[i] = load_pack(q + (y + i * SIDE) * S::PITCH + d);
#pragma unroll
        for (int j = 0; j < S::OWN_TOKENS; j++)
            b[j] = load_pack(k + (x + j * SIDE) * S::PITCH + d);
#pragma unroll
        for (int i = 0; i < S::OWN_ROWS; i++)
#pragma unroll
            for (int j = 0; j < S::OWN_TOKENS; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    s[i][j] = fmaf(a[i].at[e], b[j].at[e], s[i][j]);
    }
}

template <int D>
__device__ __forceinline__ void weigh(pack<float> (&o)[shape<D>::OWN_ROWS][shape<D>::OWN_DIMS],
                                      const float *p, const float *v)
{
    using S = shape<D>;
    int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    for (int t = 0; t < S::TOKENS; t += 4) {
        pack<float> a[S::OWN_ROWS];
#pragma unroll
        for (int i = 0; i < S::OWN_ROWS; i++)
            a[i] = load_pack(p + (y + i * SIDE) * S::P_PITCH + t);
#pragma unroll
        for (int e = 0; e < 4; e++)
#pragma unroll
            for (int j = 0; j < S::OWN_DIMS; j++) {
                pack<float> b = load_pack(v + (t + e) * S::PITCH + j * 4 * SIDE + x * 4);
#pragma unroll
                for (int i = 0; i < S::OWN_ROWS; i++)
#pragma unroll
                    for (int f = 0; f < 4; f++)
                        o[i][j].at[f] = fmaf(a[i].at[e], b.at[f], o[i][j].at[f]);
            }
    }
}

static __device__ __forceinline__ float max_of_row(float x) /* among the 16 threads of a row */
{
    for (int lane = SIDE / 2; lane > 0; lane /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, lane));
    return x;
}
static __device__ __forceinline__ float sum_of_row(float x)
{
    for (int lane = SIDE / 2; lane > 0; lane /= 2)
        x += __shfl_xor_sync(ALL_LANES, x, lane);
    return x;
}

template <typename T, int D>
__global__ void __launch_bounds__(THREADS) flash_f32(const attention_arguments g, bool whole)
{
    kernel_begin();
    using S = shape<D>;
    CUDA_SHARED(shared);
    float *q = (float *)shared, *k = q + S::ROWS * S::PITCH, *v = k + S::TOKENS * S::PITCH,
          *p = v + S::TOKENS * S::PITCH;
    place at;
    at.sequence = blockIdx.z, at.head = blockIdx.x, at.kv_head = at.head / g.group;
    at.first = (gridDim.y - 1 - blockIdx.y) * S::ROWS;
    at.start = g.row_start[at.sequence], at.rows = g.row_start[at.sequence + 1] - at.start;
    at.context = g.context[at.sequence];
    if (at.first >= at.rows)
        return;
    int last_row = min(at.first + S::ROWS, at.rows) - 1;
    int end = attention_high(g, at.context + last_row, at.context + at.rows);
    int begin = attention_low(g, at.context + at.first) / S::TOKENS * S::TOKENS;
    int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;

    load_q<T, D>(q, g, at);
    pack<float> o[S::OWN_ROWS][S::OWN_DIMS] = {};
    float maximum[S::OWN_ROWS], sum[S::OWN_ROWS] = {};
    for (int i = 0; i < S::OWN_ROWS; i++)
        maximum[i] = -INFINITY;
    for (int first = begin; first < end; first += S::TOKENS) {
        __syncthreads();
        load_tokens<D>(k, v, g, at, first, end, whole);
        __syncthreads();
        float s[S::OWN_ROWS][S::OWN_TOKENS] = {};
        score<D>(s, q, k, g.head_dim);
#pragma unroll
        for (int i = 0; i < S::OWN_ROWS; i++) {
            int position = at.context + at.first + y + i * SIDE;
            int low = attention_low(g, position), high = min(attention_high(g, position, end), end);
            float top = maximum[i], total = 0;
#pragma unroll
            for (int j = 0; j < S::OWN_TOKENS; j++) {
                int token = first + x + j * SIDE;
                s[i][j] = token >= low && token < high ? s[i][j] * g.scale_log2 : -INFINITY;
                top = fmaxf(top, s[i][j]);
            }
            top = max_of_row(top);
            float base = top == -INFINITY ? 0.0f : top, shrink = exp2_fast(maximum[i] - base);
            maximum[i] = top;
#pragma unroll
            for (int j = 0; j < S::OWN_TOKENS; j++) {
                float weight = exp2_fast(s[i][j] - base);
                total += weight;
                p[(y + i * SIDE) * S::P_PITCH + x + j * SIDE] = weight;
            }
            sum[i] = sum[i] * shrink + total;
#pragma unroll
            for (int j = 0; j < S::OWN_DIMS; j++)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    o[i][j].at[e] *= shrink;
        }
        __syncwarp(); /* a row's weights are read by the threads of its own warp alone */
        weigh<D>(o, p, v);
    }
    for (int i = 0; i < S::OWN_ROWS; i++) {
        int row = at.first + y + i * SIDE;
        float total = sum_of_row(sum[i]), share = total > 0 ? 1 / total : 0.0f;
        if (row >= at.rows)
            continue;
        T *out = (T *)g.out + ((int64_t)(at.start + row) * g.heads + at.head) * g.head_dim;
#pragma unroll
        for (int j = 0; j < S::OWN_DIMS; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                if (j * 4 * SIDE + x * 4 + e < g.head_dim)
                    out[j * 4 * SIDE + x * 4 + e] = from_float<T>(o[i][j].at[e] * share);
    }
}

template <int D> void launch(const struct cuda_attention *call)
{
    struct cuda *c = cuda_of(call->k);
    attention_arguments g = attention_pack(call);
    bool whole = g.cache == KERNEL_FP32 && g.head_dim % 4 == 0 && ((uintptr_t)g.k | (uintptr_t)g.v) % 16 == 0;
    size_t bytes = shape<D>::BYTES;
    dim3 grid((unsigned)g.heads, (unsigned)((call->batch->max_rows + shape<D>::ROWS - 1) / shape<D>::ROWS),
              (unsigned)call->batch->sequences);
    CUDA_FOR_ACTIVATION(call->k, CUDA_LAUNCH(c, (flash_f32<T, D>), grid, THREADS, bytes, g, whole));
}
} // namespace

extern "C" void cuda_flash_f32(const struct cuda_attention *call)
{
    if (call->a->head_dim <= 64)
        launch<64>(call);
    else if (call->a->head_dim <= 128)
        launch<128>(call);
    else
        launch<256>(call);
}
