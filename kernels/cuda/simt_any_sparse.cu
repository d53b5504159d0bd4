/* Sparse activations: which entries of a row count, and products that read their channels alone.
 *
 * top_k: one block per row. Magnitudes are bits without their sign, whose order is that of integers: a radix
 *   select of 8 bits a pass (16-bit activations 2 passes, fp32 4), a histogram of 256 bins in shared memory,
 *   then one pass that lists what is larger and the first equals, by index: a ballot per warp, the warps'
 *   counts added in order. The row is read passes + 1 times, from L2 but the first.
 * sums: weights by channel, [cols][rows of the whole matrix]. A block owns TILE outputs and one part of a
 *   row's list; threads stand side by side along a channel, 16 bytes each, as many channels at a time as that
 *   leaves groups. Reads keep * TILE weights once, sums in fp32, groups added in order through shared memory.
 *   Parts go to the workspace [parts][rows of x][outputs], for no order of atomics is fixed.
 * finish: adds the parts in order, scales of int8, then the epilogue, or silu(gate) * up.
 * turn: a matrix by channel row-major, through tiles of shared memory, for products of many rows. */
#include "kernels/cuda/matrix.cuh"
#include "kernels/cuda/product.h"

namespace
{

enum { SELECT_THREADS = 512, BINS = 256, TILE = 64, SUM_THREADS = 256, THREADS = 256, SQUARE = 32 };
static_assert(BINS % WARP == 0 && TILE % (16 / sizeof(int8_t)) == 0, "bins and tiles are whole per thread");

/* ---- the largest entries ---- */

__device__ __forceinline__ uint32_t magnitude(float x)
{
    return __float_as_uint(x) & 0x7fffffffu;
}
__device__ __forceinline__ uint32_t magnitude(__half x)
{
    return (uint32_t)(__half_as_ushort(x) & 0x7fffu) << 16;
}
__device__ __forceinline__ uint32_t magnitude(__nv_bfloat16 x)
{
    return (uint32_t)(__bfloat16_as_ushort(x) & 0x7fffu) << 16;
}

struct border {
    uint32_t magnitude; /* of the smallest kept */
    int equal;          /* how many of that magnitude are kept */
};

/* The bin of the remaining-th largest entry, counted from the top, and what is left to find in it. Called by
 * the first warp: a lane has eight bins. */
__device__ __forceinline__ void find_bin(const unsigned *bins, int *bin, int *remaining)
{
    constexpr int EACH = BINS / WARP;
    int lane = threadIdx.x, own = 0, wanted = *remaining;
    for (int i = 0; i < EACH; i++)
        own += (int)bins[lane * EACH + i];
    int above = own; /* this lane's bins and all higher ones */
    for (int by = 1; by < WARP; by *= 2) {
        int other = __shfl_down_sync(ALL_LANES, above, by);
        above += lane + by < WARP ? other : 0;
    }
    int higher = above - own;
    __syncwarp();
    if (higher < wanted && above >= wanted) {
        int i = EACH - 1;
        for (; higher + (int)bins[lane * EACH + i] < wanted; i--)
            higher += (int)bins[lane * EACH + i];
        *bin = lane * EACH + i;
        *remaining = wanted - higher;
    }
}

template <typename T>
__device__ __forceinline__ struct border find_border(const T *x, int width, int keep, unsigned *bins,
                                                     int *found)
{
    uint32_t known = 0, mask = 0;
    int *bin = found, *remaining = found + 1;
    if (threadIdx.x == 0)
        *remaining = keep;
    for (int shift = 24; shift >= (sizeof(T) == 2 ? 16 : 0); shift -= 8) {
        for (int i = threadIdx.x; i < BINS; i += SELECT_THREADS)
            bins[i] = 0;
        __syncthreads();
        for (int i = threadIdx.x; i < width; i += SELECT_THREADS) {
            uint32_t m = magnitude(x[i]);
            if ((m & mask) == known)
                atomicAdd(&bins[m >> shift & (BINS - 1)], 1u);
        }
        __syncthreads();
        if (threadIdx.x < WARP)
            find_bin(bins, bin, remaining);
        __syncthreads();
        known |= (uint32_t)*bin << shift;
        mask |= (uint32_t)(BINS - 1) << shift;
    }
    return {known, *remaining};
}

/* channel NULL: the others of x become 0 instead. */
template <typename T>
__global__ void __launch_bounds__(SELECT_THREADS)
    top_k_rows(int32_t *channel, float *value, T *x, int stride, int width, int keep)
{
    kernel_begin();
    constexpr int WARPS = SELECT_THREADS / WARP;
    __shared__ unsigned bins[BINS];
    __shared__ int found[2], larger_in[WARPS], equal_in[WARPS];
    T *row = x + (int64_t)blockIdx.x * stride;
    struct border b = find_border(row, width, keep, bins, found);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, larger_before = 0, equal_before = 0;
    unsigned lower = (1u << lane) - 1;
    int64_t to = (int64_t)blockIdx.x * keep;
    for (int first = 0; first < width; first += SELECT_THREADS) {
        int i = first + threadIdx.x;
        T v = i < width ? row[i] : from_float<T>(0.0f);
        uint32_t m = magnitude(v);
        unsigned larger = __ballot_sync(ALL_LANES, i < width && m > b.magnitude),
                 equal = __ballot_sync(ALL_LANES, i < width && m == b.magnitude);
        if (lane == 0) {
            larger_in[warp] = __popc(larger);
            equal_in[warp] = __popc(equal);
        }
        __syncthreads();
        int larger_rank = larger_before + __popc(larger & lower),
            equal_rank = equal_before + __popc(equal & lower);
        for (int w = 0; w < WARPS; w++) {
            larger_rank += w < warp ? larger_in[w] : 0;
            equal_rank += w < warp ? equal_in[w] : 0;
            larger_before += larger_in[w];
            equal_before += equal_in[w];
        }
        __syncthreads();
        bool kept = i < width && (m > b.magnitude || (m == b.magnitude && equal_rank < b.equal));
        if (kept && channel) {
            int64_t at = to + larger_rank + (equal_rank < b.equal ? equal_rank : b.equal);
            channel[at] = i;
            value[at] = to_float(v);
        }
        if (i < width && !kept && !channel)
            row[i] = from_float<T>(0.0f);
    }
}

/* ---- sums ---- */

__device__ __forceinline__ float to_float(int8_t x)
{
    return (float)x;
}
using ::to_float;

struct sums_job {
    float *out; /* [parts][rows of x][n] */
    const int32_t *channel;
    const float *value;
    const void *weights;
    int64_t stride;
    int n, keep, parts;
};

/* COUNT: weights a thread reads at once, 16 bytes or one. Grid (tiles, parts, rows of x). */
template <typename T, int COUNT>
__global__ void __launch_bounds__(SUM_THREADS) channel_sums(struct sums_job job)
{
    kernel_begin();
    constexpr int ACROSS = TILE / COUNT, GROUPS = SUM_THREADS / ACROSS;
    __shared__ float sums[GROUPS * TILE];
    int group = threadIdx.x / ACROSS, column = threadIdx.x % ACROSS * COUNT;
    int first = blockIdx.x * TILE + column, part = blockIdx.y, row = blockIdx.z;
    int from = (int)((int64_t)job.keep * part / job.parts),
        end = (int)((int64_t)job.keep * (part + 1) / job.parts);
    const int32_t *channel = job.channel + (int64_t)row * job.keep;
    const float *value = job.value + (int64_t)row * job.keep;
    const T *w = (const T *)job.weights + first;
    float sum[COUNT] = {0};
    if (first < job.n) { /* whole packs: n is a multiple of COUNT */
#pragma unroll 4
        for (int i = from + group; i < end; i += GROUPS) {
            float x = value[i];
            const T *at = w + (int64_t)channel[i] * job.stride;
            if constexpr (COUNT == 1) {
                sum[0] += x * to_float(*at);
            } else {
                pack<T> p = load_pack(at);
#pragma unroll
                for (int j = 0; j < COUNT; j++)
                    sum[j] += x * to_float(p.at[j]);
            }
        }
    }
#pragma unroll
    for (int j = 0; j < COUNT; j++)
        sums[group * TILE + column + j] = sum[j];
    __syncthreads();
    int o = blockIdx.x * TILE + threadIdx.x;
    if (threadIdx.x < TILE && o < job.n) {
        float all = 0;
        for (int g = 0; g < GROUPS; g++)
            all += sums[g * TILE + threadIdx.x];
        job.out[((int64_t)part * gridDim.z + row) * job.n + o] = all;
    }
}

__device__ __forceinline__ float all_parts(const float *sums, int parts, int64_t apart, const float *scales,
                                           int o)
{
    float all = 0;
    for (int part = 0; part < parts; part++)
        all += sums[part * apart];
    return scales ? all * scales[o] : all;
}

/* Grid (groups of outputs, rows of x). */
template <typename OUT>
__global__ void __launch_bounds__(THREADS)
    sparse_finish(OUT *out, int out_stride, const float *sums, int parts, int n, const float *scales,
                  struct kernel_epilogue epilogue)
{
    kernel_begin();
    int o = blockIdx.x * THREADS + threadIdx.x, row = blockIdx.y;
    if (o >= n)
        return;
    float y = all_parts(sums + (int64_t)row * n + o, parts, (int64_t)gridDim.y * n, scales, o);
    y = activate(epilogue.bias ? y + epilogue.bias[o] : y, epilogue.activation);
    OUT *to = out + (int64_t)row * out_stride + o;
    *to = from_float<OUT>(epilogue.accumulate ? y + to_float(*to) : y);
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    sparse_gated(T *out, const float *sums, int parts, int f, const float *scales)
{
    kernel_begin();
    int o = blockIdx.x * THREADS + threadIdx.x, row = blockIdx.y;
    if (o >= f)
        return;
    int64_t n = 2 * (int64_t)f, apart = gridDim.y * n;
    float gate = all_parts(sums + row * n + o, parts, apart, scales, o);
    float up = all_parts(sums + row * n + f + o, parts, apart, scales, f + o);
    out[(int64_t)row * f + o] = from_float<T>(activate(gate, KERNEL_SILU) * up);
}

/* ---- row-major again ---- */

template <typename UNIT>
__global__ void __launch_bounds__(THREADS)
    turn_rows(UNIT *out, const UNIT *in, int64_t stride, int rows, int cols)
{
    kernel_begin();
    __shared__ UNIT tile[SQUARE][SQUARE + 1];
    int x = threadIdx.x % SQUARE, y = threadIdx.x / SQUARE, row = blockIdx.x * SQUARE,
        col = blockIdx.y * SQUARE;
    for (int c = y; c < SQUARE; c += THREADS / SQUARE)
        if (row + x < rows && col + c < cols)
            tile[c][x] = in[(int64_t)(col + c) * stride + row + x];
    __syncthreads();
    for (int r = y; r < SQUARE; r += THREADS / SQUARE)
        if (row + r < rows && col + x < cols)
            out[(int64_t)(row + r) * cols + col + x] = tile[x][r];
}

unsigned pieces(int64_t n, int each)
{
    return (unsigned)((n + each - 1) / each);
}

/* Blocks enough for every multiprocessor four times over, while a part has some hundred channels. */
int parts_of(const struct cuda *c, const struct kernel_matrix *m)
{
    int tiles = (int)pieces(m->rows, TILE), wanted = (4 * c->multiprocessors + tiles - 1) / tiles,
        most = (int)(m->cols / 128) + 1;
    return wanted < most ? wanted : most;
}

template <typename T>
void launch_sums(struct cuda *c, const struct kernel_matrix *m, const struct sums_job &job, int rows)
{
    constexpr int COUNT = pack<T>::COUNT;
    dim3 grid(pieces(job.n, TILE), (unsigned)job.parts, (unsigned)rows);
    bool whole = (uintptr_t)m->data % 16 == 0 && m->rows % COUNT == 0 && m->channel_stride % COUNT == 0;
    if (whole)
        CUDA_LAUNCH(c, (channel_sums<T, COUNT>), grid, SUM_THREADS, 0, job);
    else
        CUDA_LAUNCH(c, (channel_sums<T, 1>), grid, SUM_THREADS, 0, job);
}

struct sums_job sum_channels(struct cuda *c, const struct kernel_kept *x, const struct kernel_matrix *m,
                             int rows, void *workspace)
{
    struct sums_job job = {(float *)workspace, x->channel,   x->value, m->data,
                           m->channel_stride,  (int)m->rows, x->keep,  parts_of(c, m)};
    switch (m->dtype) {
    case KERNEL_FP16:
        launch_sums<__half>(c, m, job, rows);
        break;
    case KERNEL_BF16:
        launch_sums<__nv_bfloat16>(c, m, job, rows);
        break;
    case KERNEL_INT8:
        launch_sums<int8_t>(c, m, job, rows);
        break;
    default:
        launch_sums<float>(c, m, job, rows);
    }
    return job;
}

template <typename T>
void select(struct cuda *c, const struct kernel_kept *out, T *x, int stride, int width, int keep, int rows)
{
    CUDA_LAUNCH(c, (top_k_rows<T>), (unsigned)rows, SELECT_THREADS, 0, out ? out->channel : NULL,
                out ? out->value : NULL, x, stride, width, keep);
}

} // namespace

extern "C" void cuda_top_k(struct kernels *k, const struct kernel_kept *out, const void *x, int stride,
                           int width, int rows)
{
    if (rows > 0)
        CUDA_FOR_ACTIVATION(k, select(cuda_of(k), out, (T *)x, stride, width, out->keep, rows));
}

extern "C" void cuda_mask_top_k(struct kernels *k, void *x, int stride, int width, int keep, int rows)
{
    if (rows > 0 && keep < width)
        CUDA_FOR_ACTIVATION(k, select(cuda_of(k), NULL, (T *)x, stride, width, keep, rows));
}

extern "C" size_t cuda_sparse_product_workspace(const struct kernels *k, const struct kernel_matrix *m,
                                                int rows)
{
    return (size_t)parts_of(cuda_of(k), m) * (size_t)rows * (size_t)m->rows * sizeof(float);
}

extern "C" void cuda_sparse_product(struct kernels *k, void *out, int out_stride, const struct kernel_kept *x,
                                    const struct kernel_matrix *m, const struct kernel_epilogue *epilogue,
                                    int rows, void *workspace)
{
    static const struct kernel_epilogue plain = {NULL, KERNEL_LINEAR, false, false};
    struct cuda *c = cuda_of(k);
    const struct kernel_epilogue e = epilogue ? *epilogue : plain;
    if (rows <= 0)
        return;
    struct sums_job job = sum_channels(c, x, m, rows, workspace);
    dim3 grid(pieces(job.n, THREADS), (unsigned)rows);
    if (e.fp32)
        CUDA_LAUNCH(c, (sparse_finish<float>), grid, THREADS, 0, (float *)out, out_stride, job.out, job.parts,
                    job.n, m->scales, e);
    else
        CUDA_FOR_ACTIVATION(k, CUDA_LAUNCH(c, (sparse_finish<T>), grid, THREADS, 0, (T *)out, out_stride,
                                           job.out, job.parts, job.n, m->scales, e));
}

extern "C" void cuda_sparse_gate_up(struct kernels *k, void *out, const struct kernel_kept *x,
                                    const struct kernel_matrix *m, int rows, void *workspace)
{
    struct cuda *c = cuda_of(k);
    if (rows <= 0)
        return;
    struct sums_job job = sum_channels(c, x, m, rows, workspace);
    int f = job.n / 2;
    dim3 grid(pieces(f, THREADS), (unsigned)rows);
    CUDA_FOR_ACTIVATION(
        k, CUDA_LAUNCH(c, (sparse_gated<T>), grid, THREADS, 0, (T *)out, job.out, job.parts, f, m->scales));
}

extern "C" void cuda_turn_rows(struct cuda *c, void *out, const struct kernel_matrix *m)
{
    dim3 grid(pieces(m->rows, SQUARE), pieces(m->cols, SQUARE));
    int rows = (int)m->rows, cols = (int)m->cols;
    switch (kernel_dtype_bytes(m->dtype)) {
    case 4:
        CUDA_LAUNCH(c, (turn_rows<uint32_t>), grid, THREADS, 0, (uint32_t *)out, (const uint32_t *)m->data,
                    m->channel_stride, rows, cols);
        break;
    case 2:
        CUDA_LAUNCH(c, (turn_rows<uint16_t>), grid, THREADS, 0, (uint16_t *)out, (const uint16_t *)m->data,
                    m->channel_stride, rows, cols);
        break;
    default:
        CUDA_LAUNCH(c, (turn_rows<uint8_t>), grid, THREADS, 0, (uint8_t *)out, (const uint8_t *)m->data,
                    m->channel_stride, rows, cols);
    }
}
