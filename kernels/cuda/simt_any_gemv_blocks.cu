/* Few rows of x times weights in the block formats of GGUF files (kernels/blocks.h). Activations of any type
 * are widened to fp32, weights become fp32 in registers, exactly, every multiply-add is fp32.
 *
 * Bytes: the matrix once, 1.0625 (Q8_0), 0.5625 (Q4_0, Q4_K) or 0.8203 (Q6_K) n cols; FLOPs: 2 rows n cols.
 *
 * Mapping (gemv.cuh). A warp has 4 rows of W (a tile); a step is 512 columns of each, which are 16 blocks of
 * 32 or 2 of 256. A lane takes 16 columns of a step, four groups of 4 that lie where its bytes do:
 *
 *   Q8_0   two lanes a block, 16 bytes each                    columns 16 lane + 4 g
 *   Q4_0   two lanes a block, 8 bytes: 8 low and 8 high nibbles, 16 columns apart
 *   Q4_K   16 lanes a block, 8 bytes: 8 low and 8 high nibbles, 32 columns apart
 *   Q6_K   16 lanes a block, 4 + 4 bytes of low and 4 of high bits: 4 columns in each quarter of 128
 *
 * Bytes begin at multiples of 2 and are loaded two at a time; neighbors share sectors, so that L1 joins them.
 * x is staged as fp32 in the order of its use (step, g, lane: conflict-free float4). With one row of x two
 * steps are in flight per lane, else one. */
#include "kernels/cuda/blocks.cuh"
#include "kernels/cuda/gemv.cuh"

enum { STEP_COLS = 512, GROUPS = 4 };

/* One lane's 16 columns of a row as they come from memory.
 *   w[0..3]: codes (Q8_0), codes in 0 and 1 (four bits; Q6_K), high bits and four scales in 2 and 3 (Q6_K),
 *   bytes of scales in 2 and 3 (Q4_K); w[4]: halves. */
struct block_raw {
    uint32_t w[5];
};

/* The first column of group g of a lane, within a step. */
template <int DTYPE> static __device__ __forceinline__ int block_column(int lane, int g)
{
    if constexpr (DTYPE == KERNEL_Q8_0)
        return lane * 16 + g * 4;
    else if constexpr (DTYPE == KERNEL_Q4_0)
        return lane / 2 * 32 + g / 2 * 16 + lane % 2 * 8 + g % 2 * 4;
    else if constexpr (DTYPE == KERNEL_Q4_K)
        return lane / 4 * 64 + g / 2 * 32 + lane % 4 * 8 + g % 2 * 4;
    else
        return lane / 8 * 128 + g * 32 + lane % 8 * 4;
}

static __device__ __forceinline__ uint32_t block_half(const unsigned char *p)
{
    return *reinterpret_cast<const uint16_t *>(p);
}

template <int DTYPE>
static __device__ __forceinline__ void block_fetch(const struct gemv_job &job, const unsigned char *row,
                                                   int step, int lane, struct block_raw *to)
{
    enum {
        SMALL = DTYPE == KERNEL_Q8_0 || DTYPE == KERNEL_Q4_0,
        SHARE = SMALL ? 2 : 16, /* lanes of a block */
        BYTES = DTYPE == KERNEL_Q8_0   ? KERNEL_Q8_0_BYTES
                : DTYPE == KERNEL_Q4_0 ? KERNEL_Q4_0_BYTES
                : DTYPE == KERNEL_Q4_K ? KERNEL_Q4_K_BYTES
                                       : KERNEL_Q6_K_BYTES
    };
    const int block = step * (WARP / SHARE) + lane / SHARE, part = lane % SHARE;
    *to = {};
    if ((int64_t)block * BYTES >= job.row_bytes)
        return;
    const unsigned char *p = row + block * BYTES;
    if constexpr (DTYPE == KERNEL_Q8_0) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            to->w[i] = blocks_word(p + 2 + part * 16 + i * 4) ^ 0x80808080u;
        to->w[4] = block_half(p);
    } else if constexpr (DTYPE == KERNEL_Q4_0) {
        to->w[0] = blocks_word(p + 2 + part * 8);
        to->w[1] = blocks_word(p + 2 + part * 8 + 4);
        to->w[4] = block_half(p);
    } else if constexpr (DTYPE == KERNEL_Q4_K) {
        const int at = 2 * (part / 4 % 2);
        to->w[0] = blocks_word(p + 16 + part * 8);
        to->w[1] = blocks_word(p + 16 + part * 8 + 4);
        to->w[2] = block_half(p + 4 + at) | block_half(p + 8 + at) << 16;
        to->w[3] = block_half(p + 12 + at);
        to->w[4] = blocks_word(p);
    } else {
        const int half = part / 8, j = part % 8 * 4;
        to->w[0] = blocks_word(p + half * 64 + j);
        to->w[1] = blocks_word(p + half * 64 + 32 + j);
        to->w[2] = blocks_word(p + 128 + half * 32 + j);
        const unsigned char *scale = p + 192 + half * 8 + j / 16;
        to->w[3] = scale[0] | scale[2] << 8 | scale[4] << 16 | (uint32_t)scale[6] << 24;
        to->w[4] = block_half(p + 208);
    }
}

/* What turns codes to values: value = code * scale - minimum, for the groups of each half. */
template <int DTYPE>
static __device__ __forceinline__ struct blocks_pair block_scales(const struct block_raw &raw, int lane)
{
    struct blocks_pair p = {};
    if constexpr (DTYPE == KERNEL_Q4_K)
        return blocks_pair_of(raw.w[2], raw.w[2] >> 16, raw.w[3], lane / 4 % 4, blocks_scale(raw.w[4]),
                              blocks_scale(raw.w[4] >> 16));
    p.scale[0] = p.scale[1] = blocks_scale(raw.w[4]);
    return p;
}

/* Group g of a lane's columns as fp32. */
template <int DTYPE>
static __device__ __forceinline__ void block_values(float v[4], const struct block_raw &raw,
                                                    const struct blocks_pair &s, int g)
{
    if constexpr (DTYPE == KERNEL_Q8_0) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[i] = (blocks_whole(raw.w[g] >> 8 * i & 255u) - (BLOCKS_WHOLE + 128)) * s.scale[0];
    } else if constexpr (DTYPE == KERNEL_Q4_0) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[i] =
                (blocks_whole(raw.w[g % 2] >> (8 * i + g / 2 * 4) & 15u) - (BLOCKS_WHOLE + 8)) * s.scale[0];
    } else if constexpr (DTYPE == KERNEL_Q4_K) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[i] = fmaf(blocks_whole(raw.w[g % 2] >> (8 * i + g / 2 * 4) & 15u) - BLOCKS_WHOLE,
                        s.scale[g / 2], -s.minimum[g / 2]);
    } else {
        const uint32_t codes = (raw.w[g % 2] >> g / 2 * 4 & 0x0f0f0f0fu) | (raw.w[2] >> 2 * g & 0x03030303u)
                                                                               << 4;
        const float scale = s.scale[0] * (float)(int8_t)(raw.w[3] >> 8 * g);
#pragma unroll
        for (int i = 0; i < 4; i++)
            v[i] = (blocks_whole(codes >> 8 * i & 63u) - (BLOCKS_WHOLE + 32)) * scale;
    }
}

template <int DTYPE>
static __device__ __forceinline__ float4 block_x(const struct gemv_job &job, const float *staged, int r,
                                                 int step, int lane, int g)
{
    if (job.staged)
        return *reinterpret_cast<const float4 *>(staged + (int64_t)r * job.x_row +
                                                 ((step * GROUPS + g) * WARP + lane) * 4);
    const int k = step * STEP_COLS + block_column<DTYPE>(lane, g);
    float v[4];
    for (int i = 0; i < 4; i++)
        v[i] = k < job.cols ? gemv_read(job.x, job.x_type, (size_t)r * (size_t)job.x_stride + (size_t)(k + i))
                            : 0;
    return {v[0], v[1], v[2], v[3]};
}

template <int DTYPE> static __device__ void block_stage(const struct gemv_job &job, int steps, float *to)
{
    const int padded = steps * STEP_COLS;
    for (int i = threadIdx.x; i < padded * job.rows; i += GEMV_THREADS) {
        const int r = i / padded, at = i % padded, lane = at / 4 % WARP, g = at / (4 * WARP) % GROUPS;
        const int k = at / STEP_COLS * STEP_COLS + block_column<DTYPE>(lane, g) + at % 4;
        to[(int64_t)r * job.x_row + at] =
            k < job.cols ? gemv_read(job.x, job.x_type, (size_t)r * (size_t)job.x_stride + (size_t)k) : 0;
    }
}

/* A step of four rows joins the sums. */
template <int DTYPE, int ROWS>
static __device__ __forceinline__ void block_multiply(float (*sum)[ROWS], const struct gemv_job &job,
                                                      const struct block_raw *raw, const float *staged,
                                                      int step, int lane)
{
    struct blocks_pair scales[GEMV_LANE_SLOTS];
#pragma unroll
    for (int s = 0; s < GEMV_LANE_SLOTS; s++)
        scales[s] = block_scales<DTYPE>(raw[s], lane);
#pragma unroll
    for (int g = 0; g < GROUPS; g++) {
        float v[GEMV_LANE_SLOTS][4];
#pragma unroll
        for (int s = 0; s < GEMV_LANE_SLOTS; s++)
            block_values<DTYPE>(v[s], raw[s], scales[s], g);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            if (r >= job.rows)
                break;
            const float4 x = block_x<DTYPE>(job, staged, r, step, lane, g);
#pragma unroll
            for (int s = 0; s < GEMV_LANE_SLOTS; s++)
                sum[s][r] += v[s][0] * x.x + v[s][1] * x.y + v[s][2] * x.z + v[s][3] * x.w;
        }
    }
}

/* Steps of 512 columns that a ring holds. */
template <int ROWS> struct block_ring {
    enum { STEPS = ROWS == 1 ? 2 : 1 };
};

/* ROWS: at least job.rows. Shared memory: sums | x. job.steps counts the ring's. */
template <int DTYPE, int ROWS>
static __global__ void __launch_bounds__(GEMV_THREADS, 1) gemv_blocks(const struct gemv_job job)
{
    prefetch_first_steps<GEMV_LANE_SLOTS>(job, job.mode);
    kernel_begin();
    CUDA_SHARED(shared);
    enum { RING = block_ring<ROWS>::STEPS };
    float *sums = reinterpret_cast<float *>(shared), *staged = reinterpret_cast<float *>(shared + GEMV_SUMS);
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int per_block = job.per_block, split = warp & (job.splits - 1);
    const int groups = job.groups;

    int group = blockIdx.x;
    const unsigned char *row[GEMV_LANE_SLOTS];
    struct block_raw ring[RING][GEMV_LANE_SLOTS] = {};
    auto seek = [&]() {
        const int tile = group * per_block + (warp >> job.split_shift);
#pragma unroll
        for (int s = 0; s < GEMV_LANE_SLOTS; s++)
            row[s] = job.data + gemv_row<GEMV_LANE_SLOTS>(job, job.mode, tile, s) * job.row_bytes;
    };
    auto fetch = [&](int step, int u) {
#pragma unroll
        for (int s = 0; s < GEMV_LANE_SLOTS; s++)
            block_fetch<DTYPE>(job, row[s], step * RING + u, lane, &ring[u][s]);
    };
    seek();
#pragma unroll
    for (int u = 0; u < RING; u++)
        fetch(split, u);
    if (job.staged)
        block_stage<DTYPE>(job, job.steps * RING, staged);
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
            for (int u = 0; u < RING; u++) {
                block_multiply<DTYPE, ROWS>(sum, job, ring[u], staged, step * RING + u, lane);
                if (following < job.steps)
                    fetch(following, u);
            }
        }
        const struct gemv_operands operands =
            gemv_operands_of(job, job.mode, gemv_place_of<GEMV_LANE_SLOTS>(job, job.mode, now, threadIdx.x));
        float *half = sums + parity * (GEMV_SUMS / 8);
#pragma unroll
        for (int i = 0; i < GEMV_LANE_SLOTS * ROWS; i++) {
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

template <int DTYPE> static void launch(struct cuda *c, const struct gemv_job &job)
{
    if (job.rows == 1)
        CUDA_LAUNCH(c, (gemv_blocks<DTYPE, 1>), job.grid, GEMV_THREADS, job.shared, job);
    else
        CUDA_LAUNCH(c, (gemv_blocks<DTYPE, 8>), job.grid, GEMV_THREADS, job.shared, job);
}

void gemv_blocks_launch(struct cuda *c, struct gemv_job *job)
{
    int ring = job->rows == 1 ? (int)block_ring<1>::STEPS : (int)block_ring<8>::STEPS;
    int step_bytes = ring * (int)kernel_row_bytes(job->dtype, STEP_COLS);
    gemv_split(job, c, GEMV_LANE_SLOTS, step_bytes);
    if (step_bytes % 16) /* what is asked for ahead begins and ends at multiples of 16 bytes */
        job->ahead = 0;
    job->x_row = job->steps * ring * STEP_COLS;
    size_t staged = GEMV_SUMS + (size_t)job->rows * (size_t)job->x_row * sizeof(float);
    job->staged = staged <= c->shared_limit;
    job->shared = (int)(job->staged ? staged : (size_t)GEMV_SUMS);
    switch (job->dtype) {
    case KERNEL_Q8_0:
        return launch<KERNEL_Q8_0>(c, *job);
    case KERNEL_Q4_0:
        return launch<KERNEL_Q4_0>(c, *job);
    case KERNEL_Q4_K:
        return launch<KERNEL_Q4_K>(c, *job);
    default:
        return launch<KERNEL_Q6_K>(c, *job);
    }
}
