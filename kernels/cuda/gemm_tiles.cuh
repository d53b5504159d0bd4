/* The tile that sm80_any_gemm.cu and sm80_s8_gemm.cu are made of: out[rows, n] = epilogue(x[rows, cols] W[n,
 * cols]^T) on tensor cores, mma m16n8k16 of 16-bit floats with fp32 sums or m16n8k32 of int8 with int32 sums.
 *
 * Work. FLOPs 2 rows n cols. A block of 4 warps makes BM rows by 128 columns of out; the warps stand 2 x 2
 * (BM 128: 64 x 64 each, BM 64: 32 x 64) or 1 x 4 (BM 32: 32 x 32). From shared memory a 64 x 64 warp reads 8
 * ldmatrix.x4 per 32 mma: 1 clock of 128 bytes per mma, where mma.sync issues one in about 1.6 clocks per
 * multiprocessor (sm_90), so that shared memory is not the limit; 128 x 128 blocks read (1/128 + 1/128) * 2
 * bytes per multiply-add from L2.
 *
 * K advances by ROW bytes of x (64: 32 elements of 16 bits, or 64 of int8) through a ring of STAGES, filled
 * by cp.async of 16 bytes STAGES - 1 steps ahead; one barrier a step. Fragments are read one k-step ahead of
 * their use.
 *
 * Shared rows of 64 (128) bytes hold 4 (8) chunks of 16 bytes; chunk c of row r stands at c ^ (r / 2 % 4)
 * (c ^ (r % 8)): the 8 rows that a matrix of ldmatrix, or 8 threads storing chunk c, touch then lie in 8
 * different groups of 4 banks.
 *
 * W in x's type enters like x. int8 and nf4 enter the ring as they are in memory (2 and 4 times smaller),
 * each thread its own row of the tile, and are widened one step ahead into one of two buffers in x's type:
 * int8 exactly (its scale per row of W is applied to the sums), nf4 times its block's absmax with one
 * rounding. Any other type is read and converted in place of the ring: correct, not fast.
 *
 * Blocks take tiles in groups of 8 tiles of rows: the blocks that run together then share x and W in L2.
 * Where tiles are fewer than the device can hold, K is split: each split stores its sums in fp32, and a
 * second kernel adds them in order (the same bits every time) and does the epilogue. Per split sum 8 bytes of
 * traffic, mostly in L2, against cols / splits weights read.
 *
 * With `half` (gate_up) a tile holds 64 rows of gate and the 64 of up, by eights in turn: every lane then has
 * gate and up of the same outputs.
 *
 * The sums leave through shared memory, 16 rows of a warp at a time, so that stores are whole lines and the
 * epilogue's code stands once. */
#pragma once

#include "kernels/cuda/product.h"
#include "kernels/cuda/ptx.cuh"
#include "kernels/quantize.h"

enum { GEMM_COLUMNS = 128, GEMM_THREADS = 128, GEMM_GROUP = 8, GEMM_MOST_SPLITS = 16 };

enum gemm_weights { GEMM_SAME, GEMM_INT8, GEMM_NF4, GEMM_OTHER };

struct gemm_job {
    const void *x;
    const unsigned char *w;
    const float *w_scales; /* int8: per row; nf4: per block, or nf4_dq's mean and groups */
    const uint8_t *codes;  /* nf4_dq, else NULL */
    const float *x_scales; /* int8 x: per row, else NULL */
    int64_t x_row, w_row;  /* bytes */
    int64_t first_block;   /* nf4_dq: of this view in its matrix */
    void *out;
    float *partial; /* [splits][rows][n] where splits > 1 */
    struct kernel_epilogue epilogue;
    enum kernel_dtype dtype; /* of W */
    int rows, n, cols, out_stride;
    int half;     /* gate_up: n / 2 rows of W each, else 0 */
    int w_blocks; /* nf4: per row */
    int tiles_m, tiles_n, splits;
    bool x_packed, w_packed; /* rows begin and end at multiples of 16 bytes */
};

template <typename T> struct gemm_sum {
    typedef float type;
};
template <> struct gemm_sum<int8_t> {
    typedef int32_t type;
};

template <typename T>
static __device__ __forceinline__ void gemm_mma(float c[4], const uint32_t a[4], const uint32_t b[2], T type)
{
    mma_m16n8k16(c, a, b, type);
}
static __device__ __forceinline__ void gemm_mma(int32_t c[4], const uint32_t a[4], const uint32_t b[2],
                                                int8_t)
{
    mma_m16n8k32_s8(c, a, b);
}

/* Bytes from the start of a shared tile to chunk `chunk` of row `row`. */
template <int ROW> static __device__ __forceinline__ int gemm_at(int row, int chunk)
{
    static_assert(ROW == 64 || ROW == 128, "the swizzle is made for 4 or 8 chunks");
    return row * ROW + ((chunk ^ (ROW == 64 ? row >> 1 & 3 : row & 7)) << 4);
}

/* 16 bytes of a row that ends after `left` bytes from p, zeros after it, byte by byte. */
static __device__ __forceinline__ void gemm_copy_slowly(unsigned char *to, const unsigned char *from,
                                                        int64_t left)
{
#pragma unroll 1
    for (int i = 0; i < 16; i++)
        to[i] = i < left ? from[i] : (unsigned char)0;
}

/* COUNT rows of ROW bytes, k-step `step`, of a matrix in the tile's own type. Row r of the tile is matrix row
 * first + r * 1 for plain operands; `stride` gives the matrix rows between passes of the block. */
template <int COUNT, int ROW>
static __device__ __forceinline__ void gemm_load(unsigned char *tile, const unsigned char *mine,
                                                 int64_t pass_bytes, unsigned valid, bool packed,
                                                 int64_t row_bytes, int step)
{
    constexpr int CHUNKS = ROW / 16, PASS = GEMM_THREADS / CHUNKS;
    static_assert(COUNT % PASS == 0, "every thread loads as many chunks");
    int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
    int64_t k = (int64_t)step * ROW + chunk * 16, left = row_bytes - k;
    if (!packed) {
#pragma unroll 1
        for (int i = 0; i < COUNT / PASS; i++)
            gemm_copy_slowly(tile + gemm_at<ROW>(row + i * PASS, chunk), mine + i * pass_bytes + k,
                             valid >> i & 1 ? left : 0);
        return;
    }
#pragma unroll
    for (int i = 0; i < COUNT / PASS; i++) /* nothing is read where nothing is taken */
        copy_async_16(tile + gemm_at<ROW>(row + i * PASS, chunk), mine + i * pass_bytes + k,
                      (valid >> i & 1) != 0 && left > 0);
}

/* int8 or nf4: thread t brings row t of the tile, CHUNKS times 16 bytes, to raw[chunk][t]. */
template <int CHUNKS>
static __device__ __forceinline__ void gemm_load_raw(unsigned char *raw, const unsigned char *mine,
                                                     bool valid, bool packed, int64_t row_bytes, int step)
{
    int64_t k = (int64_t)step * CHUNKS * 16, left = valid ? row_bytes - k : 0;
    raw += threadIdx.x * 16;
    if (!packed) {
#pragma unroll 1
        for (int i = 0; i < CHUNKS; i++)
            gemm_copy_slowly(raw + i * GEMM_THREADS * 16, mine + k + i * 16, left - i * 16);
        return;
    }
#pragma unroll
    for (int i = 0; i < CHUNKS; i++)
        copy_async_16(raw + i * GEMM_THREADS * 16, mine + k + i * 16, left > i * 16);
}

template <typename T> union gemm_chunk {
    uint4 bits;
    T at[16 / sizeof(T)];
    __device__ gemm_chunk() : bits() {}
};

template <typename T, int ROW>
static __device__ __forceinline__ void gemm_put(unsigned char *wide, int chunk, const float value[8])
{
    gemm_chunk<T> to;
#pragma unroll
    for (int i = 0; i < 8; i++)
        to.at[i] = from_float<T>(value[i]);
    *reinterpret_cast<uint4 *>(wide + gemm_at<ROW>(threadIdx.x, chunk)) = to.bits;
}

/* 16 int8 -> two chunks. A byte b + 128 under the exponent of 2^23 is the float 2^23 + b + 128, exactly. */
template <typename T, int ROW>
static __device__ __forceinline__ void gemm_widen_int8(unsigned char *wide, int chunk, uint4 raw)
{
    uint32_t word[4] = {raw.x ^ 0x80808080u, raw.y ^ 0x80808080u, raw.z ^ 0x80808080u, raw.w ^ 0x80808080u};
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float value[8];
#pragma unroll
        for (int i = 0; i < 8; i++)
            value[i] =
                __uint_as_float(0x4b000000u | (word[half * 2 + i / 4] >> 8 * (i % 4) & 0xff)) - 8388736.0f;
        gemm_put<T, ROW>(wide, chunk + half, value);
    }
}

/* 32 codes -> four chunks. The table's 16 floats lie in 16 banks: no two lanes ever conflict. */
template <typename T, int ROW>
static __device__ __forceinline__ void gemm_widen_nf4(unsigned char *wide, int chunk, uint4 raw,
                                                      const float *levels, float absmax)
{
    uint32_t word[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
        float value[8];
#pragma unroll
        for (int i = 0; i < 8; i++) /* even elements in the high nibble */
            value[i] = levels[word[quarter] >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15] * absmax;
        gemm_put<T, ROW>(wide, chunk + quarter, value);
    }
}

/* COUNT elements from k on of a row of fp32, fp16 or bf16. */
template <int COUNT>
static __device__ __forceinline__ void gemm_read_other(float value[COUNT], const unsigned char *row,
                                                       enum kernel_dtype dtype, int k, int cols)
{
    for (int i = 0; i < COUNT; i++) {
        value[i] = 0;
        if (k + i >= cols)
            continue;
        if (dtype == KERNEL_FP16)
            value[i] = to_float(reinterpret_cast<const __half *>(row)[k + i]);
        else if (dtype == KERNEL_BF16)
            value[i] = to_float(reinterpret_cast<const __nv_bfloat16 *>(row)[k + i]);
        else
            value[i] = reinterpret_cast<const float *>(row)[k + i];
    }
}

/* Sums of four neighbors (ups: gate_up's other half) -> out. */
template <typename T>
static __device__ __forceinline__ void gemm_finish(const gemm_job &job, int row, int col, int n, float y[4],
                                                   const float *ups)
{
    float x_scale = job.x_scales ? job.x_scales[row] : 1;
    bool scaled = job.dtype == KERNEL_INT8;
    int count = min(4, n - col);
    int64_t at = (int64_t)row * job.out_stride + col;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (i >= count)
            break;
        if (scaled)
            y[i] *= x_scale * job.w_scales[col + i];
        if (ups) {
            float up = scaled ? ups[i] * (x_scale * job.w_scales[job.half + col + i]) : ups[i];
            y[i] = activate(y[i], KERNEL_SILU) * up;
            continue;
        }
        if (job.epilogue.bias)
            y[i] += job.epilogue.bias[col + i];
        y[i] = activate(y[i], job.epilogue.activation);
        if (job.epilogue.accumulate)
            y[i] += job.epilogue.fp32 ? static_cast<const float *>(job.out)[at + i]
                                      : to_float(static_cast<const T *>(job.out)[at + i]);
    }
    if (job.epilogue.fp32) {
        float *to = static_cast<float *>(job.out) + at;
        if (count == 4 && (uintptr_t)to % 16 == 0)
            *reinterpret_cast<float4 *>(to) = make_float4(y[0], y[1], y[2], y[3]);
        else
            for (int i = 0; i < count; i++)
                to[i] = y[i];
    } else {
        T *to = static_cast<T *>(job.out) + at;
        if (sizeof(T) == 2 && count == 4 && (uintptr_t)to % 8 == 0) {
            union {
                uint2 bits;
                uint16_t at[4];
            } packed;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                T narrow = from_float<T>(y[i]);
                memcpy(&packed.at[i], &narrow, sizeof(uint16_t));
            }
            *reinterpret_cast<uint2 *>(to) = packed.bits;
        } else {
            for (int i = 0; i < count; i++)
                to[i] = from_float<T>(y[i]);
        }
    }
}

template <typename A, int WEIGHTS, int BM, int ROW, int STAGES> struct gemm_shape {
    static constexpr int WARPS_M = BM == 32 ? 1 : 2, WARPS_N = 4 / WARPS_M;
    static constexpr int WM = BM / WARPS_M, WN = GEMM_COLUMNS / WARPS_N, MI = WM / 16, NI = WN / 8;
    static constexpr int RAW_CHUNKS = WEIGHTS == GEMM_INT8 ? ROW / 32 : WEIGHTS == GEMM_NF4 ? ROW / 64 : 0;
    static constexpr int X_TILE = BM * ROW, W_TILE = GEMM_COLUMNS * ROW;
    static constexpr int RAW_TILE = RAW_CHUNKS * GEMM_THREADS * 16;
    /* where W stands: ring of STAGES (same type), or two buffers behind a ring of raw tiles */
    static constexpr int WIDE = STAGES * X_TILE, RAW = WIDE + 2 * W_TILE;
    static constexpr int TABLES = WEIGHTS == GEMM_SAME ? WIDE + STAGES * W_TILE : RAW + STAGES * RAW_TILE;
    static constexpr int SHARED = TABLES + (WEIGHTS == GEMM_NF4 ? (16 + 256) * 4 : 0);
    static constexpr int SLICE = (WN + 8) * 16; /* floats: 16 rows of a warp; 8 more a row keep banks apart */
    static_assert(4 * SLICE * 4 <= TABLES, "the ring is long enough for the way out");
    static_assert(sizeof(A) == 2 || WEIGHTS == GEMM_SAME, "int8 multiplies int8");
};

/* Thread t's view of row t of the tile, where W is widened. */
struct gemm_row {
    const unsigned char *data;
    const float *scales;
    const uint8_t *codes;
    int64_t block; /* in the matrix that nf4_dq's groups count from */
    float mean;
    bool valid;
};

static __device__ __forceinline__ float gemm_absmax(const gemm_job &job, const gemm_row &r, const float *map,
                                                    int k)
{
    int b = k / KERNEL_NF4_BLOCK;
    if (!r.valid || b >= job.w_blocks)
        return 0;
    return job.codes ? map[r.codes[b]] * job.w_scales[1 + (r.block + b) / KERNEL_NF4_GROUP] + r.mean
                     : r.scales[b];
}

static __device__ const float gemm_levels[16] = QUANTIZE_NF4_LEVELS;
static __device__ const float gemm_map[256] = QUANTIZE_DYNAMIC_MAP;

template <typename A, typename O, int WEIGHTS, int BM, int ROW, int STAGES>
static __global__ void __launch_bounds__(GEMM_THREADS, 2) gemm_kernel(const gemm_job job)
{
    kernel_begin();
    typedef gemm_shape<A, WEIGHTS, BM, ROW, STAGES> shape;
    typedef typename gemm_sum<A>::type sum;
    constexpr int MI = shape::MI, NI = shape::NI, KSTEPS = ROW / 32, ELEMENTS = ROW / (int)sizeof(A);
    constexpr int CHUNKS = ROW / 16, PASS = GEMM_THREADS / CHUNKS;
    CUDA_SHARED(shared);
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int warp_m = warp / shape::WARPS_N * shape::WM, warp_n = warp % shape::WARPS_N * shape::WN;

    /* which tile, in groups of rows */
    int per_group = GEMM_GROUP * job.tiles_n, group = blockIdx.x / per_group, inside = blockIdx.x % per_group;
    int deep = min(GEMM_GROUP, job.tiles_m - group * GEMM_GROUP);
    const int m0 = (group * GEMM_GROUP + inside % deep) * BM, tile_n = inside / deep;
    /* which part of K */
    int steps = (job.cols + ELEMENTS - 1) / ELEMENTS, share = (steps + job.splits - 1) / job.splits;
    const int first = blockIdx.y * share, last = min(steps, first + share);

    /* matrix row of tile row r: n0 + r, or gate and up by eights in turn */
    const int f = job.half, n0 = tile_n * (f ? GEMM_COLUMNS / 2 : GEMM_COLUMNS), n = f ? f : job.n;
    auto column_of = [&](int r) { return f ? n0 + r / 16 * 8 + r % 8 : n0 + r; };
    auto is_up = [&](int r) { return f && r / 8 % 2 ? f : 0; };

    const int load_row = threadIdx.x / CHUNKS;
    const unsigned char *x_mine =
        static_cast<const unsigned char *>(job.x) + (int64_t)(m0 + load_row) * job.x_row;
    unsigned x_valid = 0;
#pragma unroll
    for (int i = 0; i < BM / PASS; i++)
        x_valid |= (unsigned)(m0 + load_row + i * PASS < job.rows) << i;
    if (!(x_valid & 1))
        x_mine = static_cast<const unsigned char *>(job.x);

    const unsigned char *w_mine = job.w;
    int64_t w_pass = 0;
    unsigned w_valid = 0;
    gemm_row mine = {};
    float *levels = reinterpret_cast<float *>(shared + shape::TABLES), *map = levels + 16;
    if (WEIGHTS == GEMM_SAME) {
        w_pass = (f ? PASS / 2 : PASS) * job.w_row;
#pragma unroll
        for (int i = 0; i < GEMM_COLUMNS / PASS; i++)
            w_valid |= (unsigned)(column_of(load_row + i * PASS) < n) << i;
        if (w_valid & 1)
            w_mine += (int64_t)(column_of(load_row) + is_up(load_row)) * job.w_row;
    } else {
        int column = column_of(threadIdx.x);
        int64_t row = column + is_up(threadIdx.x);
        mine.valid = column < n;
        row = mine.valid ? row : 0;
        mine.data = job.w + row * job.w_row;
        if (WEIGHTS == GEMM_NF4) {
            mine.scales = job.w_scales + row * job.w_blocks;
            mine.codes = job.codes ? job.codes + row * job.w_blocks : NULL;
            mine.block = job.first_block + row * job.w_blocks;
            mine.mean = job.codes ? job.w_scales[0] : 0;
            for (int i = threadIdx.x; i < 16; i += GEMM_THREADS)
                levels[i] = gemm_levels[i];
            for (int i = threadIdx.x; i < 256; i += GEMM_THREADS)
                map[i] = gemm_map[i];
            __syncthreads();
        }
    }

    auto load = [&](int step) {
        int slot = (step - first) % STAGES;
        gemm_load<BM, ROW>(shared + slot * shape::X_TILE, x_mine, PASS * job.x_row, x_valid, job.x_packed,
                           (int64_t)job.cols * sizeof(A), step);
        if (WEIGHTS == GEMM_SAME)
            gemm_load<GEMM_COLUMNS, ROW>(shared + shape::WIDE + slot * shape::W_TILE, w_mine, w_pass, w_valid,
                                         job.w_packed, job.w_row, step);
        else if (WEIGHTS != GEMM_OTHER)
            gemm_load_raw<shape::RAW_CHUNKS>(shared + shape::RAW + slot * shape::RAW_TILE, mine.data,
                                             mine.valid, job.w_packed, job.w_row, step);
    };
    float absmax = 0; /* of the next step to be widened */
    auto widen = [&](int step) {
        unsigned char *wide = shared + shape::WIDE + (step - first) % 2 * shape::W_TILE;
        int slot =
            (min(step, last - 1) - first) % STAGES; /* past the end there may be none: the last again */
        const uint4 *raw = reinterpret_cast<const uint4 *>(shared + shape::RAW + slot * shape::RAW_TILE);
        if constexpr (WEIGHTS == GEMM_INT8) {
#pragma unroll
            for (int i = 0; i < shape::RAW_CHUNKS; i++)
                gemm_widen_int8<A, ROW>(wide, 2 * i, raw[i * GEMM_THREADS + threadIdx.x]);
        } else if constexpr (WEIGHTS == GEMM_NF4) {
            float now = absmax; /* the step after's comes while this one is widened */
            absmax = gemm_absmax(job, mine, map, (step + 1) * ELEMENTS);
#pragma unroll
            for (int i = 0; i < shape::RAW_CHUNKS; i++)
                gemm_widen_nf4<A, ROW>(wide, 4 * i, raw[i * GEMM_THREADS + threadIdx.x], levels, now);
        } else if constexpr (WEIGHTS == GEMM_OTHER) {
            for (int i = 0; i < CHUNKS; i++) {
                float value[8];
                gemm_read_other<8>(value, mine.data, job.dtype, step * ELEMENTS + i * 8,
                                   mine.valid ? job.cols : 0);
                gemm_put<A, ROW>(wide, i, value);
            }
        }
    };

    sum acc[MI][NI][4];
#pragma unroll
    for (int i = 0; i < MI; i++)
#pragma unroll
        for (int j = 0; j < NI; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                acc[i][j][e] = 0;

    auto multiply = [&](int step) {
        const unsigned char *xs = shared + (step - first) % STAGES * shape::X_TILE;
        const unsigned char *ws =
            shared + shape::WIDE + (step - first) % (WEIGHTS == GEMM_SAME ? STAGES : 2) * shape::W_TILE;
        uint32_t a[2][MI][4], b[2][NI / 2][4];
        auto fragments = [&](int s) {
#pragma unroll
            for (int i = 0; i < MI; i++)
                load_matrices(a[s % 2][i], xs + gemm_at<ROW>(warp_m + i * 16 + lane % 16, 2 * s + lane / 16));
#pragma unroll
            for (int j = 0; j < NI / 2; j++)
                load_matrices(b[s % 2][j], ws + gemm_at<ROW>(warp_n + j * 16 + lane % 8 + lane / 16 * 8,
                                                             2 * s + lane / 8 % 2));
        };
        fragments(0);
#pragma unroll
        for (int s = 0; s < KSTEPS; s++) {
            if (s + 1 < KSTEPS)
                fragments(s + 1);
#pragma unroll
            for (int i = 0; i < MI; i++)
#pragma unroll
                for (int j = 0; j < NI; j++)
                    gemm_mma(acc[i][j], a[s % 2][i], b[s % 2][j / 2] + j % 2 * 2, A());
        }
    };

#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
        if (first + s < last)
            load(first + s);
        copy_async_commit();
    }
    if (WEIGHTS != GEMM_SAME) {
        if (WEIGHTS == GEMM_NF4)
            absmax = gemm_absmax(job, mine, map, first * ELEMENTS);
        copy_async_wait<STAGES - 2>();
        __syncthreads();
        if (first < last)
            widen(first);
    }
    for (int step = first; step < last; step++) {
        copy_async_wait<WEIGHTS == GEMM_SAME ? STAGES - 2 : STAGES - 3>();
        __syncthreads();
        if (step + STAGES - 1 < last)
            load(step + STAGES - 1);
        copy_async_commit();
        /* past the end too, where nobody reads it: without a branch the two mix */
        if (WEIGHTS == GEMM_INT8 || WEIGHTS == GEMM_NF4 || (WEIGHTS == GEMM_OTHER && step + 1 < last))
            widen(step + 1);
        multiply(step);
    }
    copy_async_wait<0>();
    __syncthreads();

    /* the way out */
    constexpr int WIDTH = shape::WN + 8;
    float *slice = reinterpret_cast<float *>(shared) + warp * shape::SLICE;
    const int outputs = f ? shape::WN / 2 : shape::WN, across = outputs / 4;
    const int col0 = n0 + (f ? warp_n / 2 : warp_n);
#pragma unroll 1
    for (int i = 0; i < MI; i++) {
#pragma unroll
        for (int here = 0; here < MI; here++) /* registers have no index */
            if (here == i)
#pragma unroll
                for (int j = 0; j < NI; j++)
#pragma unroll
                    for (int e = 0; e < 4; e += 2) {
                        float *to = slice + (lane / 4 + e * 4) * WIDTH + j * 8 + lane % 4 * 2;
                        *reinterpret_cast<float2 *>(to) =
                            make_float2((float)acc[here][j][e], (float)acc[here][j][e + 1]);
                    }
        __syncwarp();
#pragma unroll 1
        for (int item = lane; item < 16 * across; item += WARP) {
            int r = item / across, q = item % across * 4;
            int row = m0 + warp_m + i * 16 + r, col = col0 + q;
            if (row >= job.rows || col >= n)
                continue;
            const float *from = slice + r * WIDTH + (f ? q / 8 * 16 + q % 8 : q);
            float4 v = *reinterpret_cast<const float4 *>(from);
            float y[4] = {v.x, v.y, v.z, v.w};
            if (job.splits > 1) {
                float *to = job.partial + ((int64_t)blockIdx.y * job.rows + row) * job.n + col;
                for (int e = 0; e < 4 && col + e < n; e++)
                    to[e] = y[e];
            } else {
                gemm_finish<O>(job, row, col, n, y, f ? from + 8 : NULL);
            }
        }
        __syncwarp();
    }
}

/* The sums of the splits, in order. */
template <typename O> static __global__ void gemm_join(const gemm_job job)
{
    kernel_begin();
    int col = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (col >= job.n)
        return;
    for (int row = blockIdx.y; row < job.rows; row += gridDim.y) {
        float y[4] = {0, 0, 0, 0};
        for (int s = 0; s < job.splits; s++)
            for (int i = 0; i < 4 && col + i < job.n; i++)
                y[i] += job.partial[((int64_t)s * job.rows + row) * job.n + col + i];
        gemm_finish<O>(job, row, col, job.n, y, NULL);
    }
}

/* Everything but the tile's height. */
static inline struct gemm_job gemm_new_job(void *out, int out_stride, const void *x, int64_t x_row,
                                           size_t x_element, const struct kernel_matrix *m,
                                           const struct kernel_epilogue *epilogue, int rows)
{
    struct gemm_job job = {};
    job.x = x;
    job.x_row = x_row;
    job.w = static_cast<const unsigned char *>(m->data);
    job.w_row = (int64_t)kernel_row_bytes(m->dtype, m->cols);
    job.w_scales = m->scales;
    job.codes = m->dtype == KERNEL_NF4_DQ ? m->codes : NULL;
    job.w_blocks = (int)((m->cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK);
    job.first_block = m->first_row * job.w_blocks;
    job.out = out;
    job.out_stride = out_stride;
    job.epilogue = *epilogue;
    job.dtype = m->dtype;
    job.rows = rows;
    job.n = (int)m->rows;
    job.cols = (int)m->cols;
    job.splits = 1;
    job.x_packed = ((uintptr_t)x | (uintptr_t)x_row | (size_t)m->cols * x_element) % 16 == 0;
    job.w_packed = ((uintptr_t)m->data | (uintptr_t)job.w_row) % 16 == 0;
    return job;
}

/* As many splits of K as fill the device with two blocks a multiprocessor, each at least 128 elements long
 * and none empty; as many as the workspace has room for. Sets job->splits and job->partial. */
static inline void gemm_split(const struct cuda *c, struct gemm_job *job, int steps, void *workspace,
                              size_t workspace_bytes)
{
    int64_t tiles = (int64_t)job->tiles_m * job->tiles_n, splits = 2 * c->multiprocessors / tiles;
    int64_t room = (int64_t)(workspace_bytes / sizeof(float)) / ((int64_t)job->rows * job->n);
    splits = splits < steps / 4 ? splits : steps / 4;
    splits = splits < job->cols / 128 ? splits : job->cols / 128;
    splits = splits < room ? splits : room;
    splits = splits < GEMM_MOST_SPLITS ? splits : (int64_t)GEMM_MOST_SPLITS;
    if (!workspace || splits < 2)
        return;
    int64_t share = (steps + splits - 1) / splits;
    job->splits = (int)((steps + share - 1) / share);
    job->partial = static_cast<float *>(workspace);
}

template <typename O> static void gemm_join_launch(struct cuda *c, const struct gemm_job &job)
{
    int rows = job.rows < 65535 ? job.rows : 65535;
    CUDA_LAUNCH(c, (gemm_join<O>), dim3((unsigned)(job.n + 1023) / 1024, (unsigned)rows), dim3(256), 0, job);
}

template <typename A, typename O, int WEIGHTS, int BM, int ROW, int STAGES>
static void gemm_launch(struct cuda *c, struct gemm_job job, void *workspace, size_t workspace_bytes)
{
    typedef gemm_shape<A, WEIGHTS, BM, ROW, STAGES> shape;
    int columns = job.half ? GEMM_COLUMNS / 2 : GEMM_COLUMNS, n = job.half ? job.half : job.n;
    job.tiles_m = (job.rows + BM - 1) / BM;
    job.tiles_n = (n + columns - 1) / columns;
    if (!job.half)
        gemm_split(c, &job, (int)((job.cols * (int64_t)sizeof(A) + ROW - 1) / ROW), workspace,
                   workspace_bytes);
    CUDA_LAUNCH(c, (gemm_kernel<A, O, WEIGHTS, BM, ROW, STAGES>),
                dim3((unsigned)(job.tiles_m * job.tiles_n), (unsigned)job.splits), dim3(GEMM_THREADS),
                shape::SHARED, job);
    if (job.splits > 1)
        gemm_join_launch<O>(c, job);
}
