/* Few rows without tensor cores: fp32 activations, weights of another 16-bit type than the activations, fp32
 * weights, and every shape whose rows do not begin at multiples of 16 bytes. Weights and x are widened to
 * fp32, every multiply-add is fp32.
 *
 * A warp has 4 rows of W (a tile) and reads pieces of 512 contiguous bytes of each, 16 a lane. x is staged as
 * fp32 in the order of its use (piece, pack of 4, lane: conflict-free), each value read once for the 4 rows
 * of W. Thread instructions per byte at one row of x (counted in the source): fp32 0.4, 16 bits 1.1,
 * int8 2.4, nf4 6; with r rows of x a multiply-add more each per element.
 *
 * Rows of W at odd addresses are read element by element into the same 16 bytes. */
#include "kernels/cuda/gemv.cuh"
#include "kernels/cuda/gemv_nf4.cuh"

enum {
    GEMV_LANE_PIECE = WARP * 16,     /* bytes of a row */
    GEMV_LANE_TABLE = 16 * WARP * 4, /* bytes: the nf4 values, a copy per lane */
};

/* One piece of four rows in a lane, as it comes from memory. */
struct gemv_lane_piece {
    uint4 w[GEMV_LANE_SLOTS];
    float scale[GEMV_LANE_SLOTS]; /* nf4: of this lane's block, or of its group */
    uint32_t code[GEMV_LANE_SLOTS];
};

/* Up to 16 bytes at p, zeros from `left` bytes on, for addresses that are multiples of E's size alone. Rolled
 * up, each element pushing those before it on: no model of the catalog comes here, and in line it was most of
 * the code. */
template <typename E> static __device__ __forceinline__ uint4 gemv_load_any(const unsigned char *p, int left)
{
    enum { SIZE = sizeof(E), BITS = 8 * SIZE % 32 };
    uint4 v = {0, 0, 0, 0};
#pragma unroll 1
    for (int at = 16 - SIZE; at >= 0; at -= SIZE) {
        uint32_t next = at < left ? (uint32_t) * reinterpret_cast<const E *>(p + at) : 0;
        if constexpr (SIZE == 4) {
            v = {next, v.x, v.y, v.z};
        } else {
            v = {v.x << BITS | next, __funnelshift_l(v.x, v.y, BITS), __funnelshift_l(v.y, v.z, BITS),
                 __funnelshift_l(v.z, v.w, BITS)};
        }
    }
    return v;
}

template <int DTYPE> static __device__ __forceinline__ uint4 gemv_lane_load(const unsigned char *p, int left)
{
    if constexpr (DTYPE == KERNEL_FP32)
        return gemv_load_any<uint32_t>(p, left);
    else if constexpr (DTYPE == KERNEL_FP16 || DTYPE == KERNEL_BF16)
        return gemv_load_any<uint16_t>(p, left);
    else
        return gemv_load_any<uint8_t>(p, left);
}

template <int DTYPE>
static __device__ __forceinline__ void gemv_lane_fetch(const struct gemv_job &job, const int64_t *row,
                                                       int piece, int lane, struct gemv_lane_piece *to)
{
    const int at = piece * GEMV_LANE_PIECE + lane * 16, left = (int)job.row_bytes - at;
#pragma unroll
    for (int s = 0; s < GEMV_LANE_SLOTS; s++) {
        const unsigned char *p = job.data + row[s] * job.row_bytes + at;
        if (left <= 0)
            to->w[s] = {0, 0, 0, 0};
        else if (job.aligned)
            to->w[s] = load_streaming(p);
        else
            to->w[s] = gemv_lane_load<DTYPE>(p, left);
        to->code[s] = 0;
        to->scale[s] = 0;
        if (DTYPE == KERNEL_NF4 && left > 0) {
            const uint32_t block = (uint32_t)(row[s] * job.blocks) + (uint32_t)at / (KERNEL_NF4_BLOCK / 2);
            if (job.codes) {
                to->code[s] = job.codes[block];
                to->scale[s] = job.scales[1 + (job.first_block + block) / KERNEL_NF4_GROUP];
            } else {
                to->scale[s] = job.scales[block];
            }
        }
    }
}

static __device__ __forceinline__ float gemv_bits(uint32_t bits)
{
    return __uint_as_float(bits);
}

/* Element i of the 16 bytes of a lane. table: this lane's copy of the nf4 values. */
template <int DTYPE>
static __device__ __forceinline__ float gemv_decode(const uint4 &w, int i, const float *table)
{
    const uint32_t word[4] = {w.x, w.y, w.z, w.w};
    if constexpr (DTYPE == KERNEL_FP32) {
        return gemv_bits(word[i]);
    } else if constexpr (DTYPE == KERNEL_BF16) {
        return gemv_bits(i % 2 ? word[i / 2] & 0xffff0000u : word[i / 2] << 16);
    } else if constexpr (DTYPE == KERNEL_FP16) {
        return to_float(__ushort_as_half((unsigned short)(word[i / 2] >> (i % 2 * 16))));
    } else if constexpr (DTYPE == KERNEL_INT8) { /* 2^23 + u is 0x4b0000uu */
        return gemv_bits(0x4b000000u | ((word[i / 4] >> (i % 4 * 8) & 255u) ^ 128u)) - 8388736.0f;
    } else {
        uint32_t byte = word[i / 8] >> (i / 2 % 4 * 8) & 255u;
        return table[(i % 2 ? byte & 15u : byte >> 4) * WARP];
    }
}

/* Elements 4 p .. 4 p + 3 of a lane's share of x, row r. */
template <int ELEMENTS>
static __device__ __forceinline__ float4 gemv_lane_x(const struct gemv_job &job, const float *staged, int r,
                                                     int piece, int lane, int p)
{
    if (job.staged)
        return *reinterpret_cast<const float4 *>(staged + (int64_t)r * job.x_row +
                                                 ((piece * (ELEMENTS / 4) + p) * WARP + lane) * 4);
    const int k = (piece * WARP + lane) * ELEMENTS + p * 4;
    if (k >= job.cols)
        return {0, 0, 0, 0};
    const size_t at = (size_t)r * (size_t)job.x_stride + (size_t)k;
    if (job.x_packed && job.x_type == KERNEL_FP32)
        return *reinterpret_cast<const float4 *>(static_cast<const float *>(job.x) + at);
    float v[4];
    for (int j = 0; j < 4; j++)
        v[j] = k + j < job.cols ? gemv_read(job.x, job.x_type, at + (size_t)j) : 0;
    return {v[0], v[1], v[2], v[3]};
}

/* A piece of four rows joins the sums. */
template <int DTYPE, int ELEMENTS, int ROWS>
static __device__ __forceinline__ void
gemv_lane_multiply(float (*sum)[ROWS], const struct gemv_job &job, const struct gemv_lane_piece &ring,
                   const float *staged, int piece, int lane, const float *table, const float *map, float mean)
{
    float scale[GEMV_LANE_SLOTS];
#pragma unroll
    for (int s = 0; s < GEMV_LANE_SLOTS; s++)
        scale[s] =
            DTYPE == KERNEL_NF4 && job.codes ? fmaf(map[ring.code[s]], ring.scale[s], mean) : ring.scale[s];
#pragma unroll
    for (int p = 0; p < ELEMENTS / 4; p++) {
        float v[GEMV_LANE_SLOTS][4];
#pragma unroll
        for (int i = 0; i < 4 * GEMV_LANE_SLOTS; i++) {
            v[i / 4][i % 4] = gemv_decode<DTYPE>(ring.w[i / 4], 4 * p + i % 4, table);
            if (DTYPE == KERNEL_NF4)
                v[i / 4][i % 4] *= scale[i / 4];
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (r >= job.rows)
                break;
            const float4 x = gemv_lane_x<ELEMENTS>(job, staged, r, piece, lane, p);
#pragma unroll
            for (int s = 0; s < GEMV_LANE_SLOTS; s++)
                sum[s][r] += v[s][0] * x.x + v[s][1] * x.y + v[s][2] * x.z + v[s][3] * x.w;
        }
    }
}

template <int ELEMENTS, int PIECES>
static __device__ void gemv_lane_stage(const struct gemv_job &job, float *to)
{
    const int padded = job.steps * PIECES * WARP * ELEMENTS;
    for (int i = threadIdx.x; i < padded * job.rows; i += GEMV_THREADS) {
        int r = i / padded, k = i % padded, piece = k / (WARP * ELEMENTS), lane = k / ELEMENTS % WARP,
            p = k % ELEMENTS / 4;
        float v =
            k < job.cols ? gemv_read(job.x, job.x_type, (size_t)r * (size_t)job.x_stride + (size_t)k) : 0;
        to[(int64_t)r * job.x_row + ((piece * (ELEMENTS / 4) + p) * WARP + lane) * 4 + k % 4] = v;
    }
}

/* Pieces per step: the ring. With one row of x there are registers for two. */
template <int ROWS> struct gemv_lane_shape {
    enum { PIECES = ROWS == 1 ? 2 : 1 };
};

/* ROWS: at least job.rows. Shared memory: sums | nf4: values, map | x. */
template <int DTYPE, int ROWS>
__global__ void __launch_bounds__(GEMV_THREADS, 1) gemv_simt(const struct gemv_job job)
{
    prefetch_first_steps<GEMV_LANE_SLOTS>(job, job.mode);
    kernel_begin();
    CUDA_SHARED(shared);
    enum {
        ELEMENTS = DTYPE == KERNEL_NF4    ? 32
                   : DTYPE == KERNEL_INT8 ? 16
                   : DTYPE == KERNEL_FP32 ? 4
                                          : 8,
        PIECES = gemv_lane_shape<ROWS>::PIECES,
        COOKED = DTYPE == KERNEL_NF4 ? GEMV_LANE_TABLE + GEMV_MAP : 0
    };
    float *sums = reinterpret_cast<float *>(shared);
    float *table = reinterpret_cast<float *>(shared + GEMV_SUMS);
    float *map = table + GEMV_LANE_TABLE / 4;
    float *staged = reinterpret_cast<float *>(shared + GEMV_SUMS + COOKED);

    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int per_block = job.per_block, split = warp & (job.splits - 1);
    const int groups = job.groups;

    int group = blockIdx.x;
    int64_t row[GEMV_LANE_SLOTS];
    struct gemv_lane_piece ring[PIECES];
    auto seek = [&]() {
        int tile = group * per_block + (warp >> job.split_shift);
#pragma unroll
        for (int s = 0; s < GEMV_LANE_SLOTS; s++)
            row[s] = gemv_row<GEMV_LANE_SLOTS>(job, job.mode, tile, s);
    };
    seek();
#pragma unroll
    for (int u = 0; u < PIECES; u++)
        gemv_lane_fetch<DTYPE>(job, row, split * PIECES + u, lane, &ring[u]);

    float mean = 0;
    if (DTYPE == KERNEL_NF4) {
        nf4_fill_values(table);
        nf4_fill_map(map);
        mean = job.codes ? job.scales[0] : 0;
    }
    if (job.staged)
        gemv_lane_stage<ELEMENTS, PIECES>(job, staged);
    __syncthreads();

    struct gemv_best best = {-INFINITY, INT32_MAX};
    for (int parity = 0; group < groups; parity ^= 1) {
        float sum[GEMV_LANE_SLOTS][ROWS] = {};
        const int now = group;
        group += gridDim.x;
        for (int step = split; step < job.steps; step += job.splits) {
            int following = step + job.splits;
            if (following >= job.steps && group < groups) {
                seek();
                following = split;
            }
#pragma unroll
            for (int u = 0; u < PIECES; u++) {
                gemv_lane_multiply<DTYPE, ELEMENTS, ROWS>(sum, job, ring[u], staged, step * PIECES + u, lane,
                                                          table + lane, map, mean);
                if (following < job.steps)
                    gemv_lane_fetch<DTYPE>(job, row, following * PIECES + u, lane, &ring[u]);
            }
        }
        const struct gemv_operands operands =
            gemv_operands_of(job, job.mode, gemv_place_of<GEMV_LANE_SLOTS>(job, job.mode, now, threadIdx.x));
        float *half = sums + parity * (GEMV_SUMS / 8);
#pragma unroll
        for (int i = 0; i < GEMV_LANE_SLOTS * ROWS; i++) {
            if (i % ROWS >= job.rows) /* of the whole warp */
                continue;
            float total = warp_sum(sum[i / ROWS][i % ROWS]);
            if (lane == 0)
                half[(warp * GEMV_LANE_SLOTS + i / ROWS) * CUDA_GEMV_ROWS + i % ROWS] = total;
        }
        __syncthreads();
        gemv_finish<GEMV_LANE_SLOTS>(job, job.mode, half, now, operands, &best);
    }
    if (job.mode == GEMV_ARGMAX)
        gemv_finish_best<GEMV_LANE_SLOTS>(job, reinterpret_cast<struct gemv_best *>(sums), best);
}

static void gemv_plan_simt(struct gemv_job *job, const struct cuda *c)
{
    const int pieces = job->rows == 1 ? (int)gemv_lane_shape<1>::PIECES : (int)gemv_lane_shape<8>::PIECES;
    gemv_split(job, c, GEMV_LANE_SLOTS, pieces * GEMV_LANE_PIECE);
    size_t cooked = GEMV_SUMS + (gemv_is_nf4(job->dtype) ? GEMV_LANE_TABLE + GEMV_MAP : 0);
    job->x_row = job->steps * pieces * WARP * gemv_pack_elements(job->dtype);
    size_t staged = cooked + (size_t)job->rows * (size_t)job->x_row * sizeof(float);
    job->staged = staged <= c->shared_limit;
    job->shared = (int)(job->staged ? staged : cooked);
}

template <int DTYPE> static void gemv_launch_simt(struct cuda *c, const struct gemv_job &job)
{
    if (job.rows == 1)
        CUDA_LAUNCH(c, (gemv_simt<DTYPE, 1>), job.grid, GEMV_THREADS, job.shared, job);
    else
        CUDA_LAUNCH(c, (gemv_simt<DTYPE, 8>), job.grid, GEMV_THREADS, job.shared, job);
}

void gemv_simt_launch(struct cuda *c, struct gemv_job *job)
{
    if (kernel_is_blocks(job->dtype))
        return gemv_blocks_launch(c, job);
    gemv_plan_simt(job, c);
    switch (job->dtype) {
    case KERNEL_FP32:
        return gemv_launch_simt<KERNEL_FP32>(c, *job);
    case KERNEL_FP16:
        return gemv_launch_simt<KERNEL_FP16>(c, *job);
    case KERNEL_BF16:
        return gemv_launch_simt<KERNEL_BF16>(c, *job);
    case KERNEL_INT8:
        return gemv_launch_simt<KERNEL_INT8>(c, *job);
    default:
        return gemv_launch_simt<KERNEL_NF4>(c, *job);
    }
}
