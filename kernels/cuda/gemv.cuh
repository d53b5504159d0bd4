/* What the decode products share: the job a launch carries, its plan (tile, split, shared memory), x staged
 * in shared memory, the sums of a tile on their way out.
 *
 * y[r, o] = sum_k x[r, k] w[o, k] for r < rows <= 8. Every weight byte is read once from memory and nothing
 * else counts: bytes = the matrix, FLOPs = 2 rows n cols.
 *
 * Mapping. A tile is SLOTS rows of W. One block of 16 warps lives on each multiprocessor and walks over
 * groups of tiles with the grid's stride; `splits` warps share one tile, warp s of them taking the steps s, s
 * + splits, ... of its columns. Sums meet in shared memory in a fixed order (no atomics: the same bits every
 * time), in two buffers, so that one barrier per group is enough.
 *
 * Bytes in flight. A lane holds a ring of 16-byte loads; each is queued again, for the next step or the next
 * tile, as soon as it was used, so that barriers and epilogues pass under loads already on their way.
 * Little's law asks for 4.8 TB/s x 0.8 us / 132 = 29 KiB per multiprocessor of an H200. One fat block rather
 * than several: x and tables stand in shared memory once, and 128 registers a thread leave room for the ring.
 */
#pragma once

#include "kernels/cuda/product.h"
#include "kernels/cuda/ptx.cuh"

enum gemv_mode {
    GEMV_STORE,   /* out[r, o] = epilogue(y[r, o]) */
    GEMV_GATE_UP, /* out[r, o] = silu(y[r, o]) * y[r, o + n]: a tile holds SLOTS / 2 rows of each half */
    GEMV_ARGMAX   /* the largest y[r, o] + bias[o] of this block and its o */
};

enum {
    GEMV_WARPS = 16,
    GEMV_THREADS = GEMV_WARPS * WARP,
    GEMV_TILE_SLOTS = 16, /* rows of W of a tensor-core tile */
    GEMV_LANE_SLOTS = 4,  /* rows of W of a warp without tensor cores */
    GEMV_SUMS =
        2 * GEMV_WARPS * GEMV_TILE_SLOTS * CUDA_GEMV_ROWS * 4, /* bytes: two buffers of partial sums */
    GEMV_MAP = 256 * 4,                                        /* bytes: the 8-bit map of nf4_dq */
};
static_assert(CUDA_GEMV_ROWS == 8, "the columns of one mma, and the rows in an index of a thread");
static_assert(GEMV_THREADS % (GEMV_TILE_SLOTS * CUDA_GEMV_ROWS) == 0,
              "a thread of the epilogue keeps its row of x from group to group");

struct gemv_best {
    float value;
    int id;
};

struct gemv_job {
    enum gemv_mode mode;
    const unsigned char *data;
    const float *scales;
    const uint8_t *codes;
    enum kernel_dtype dtype;
    int64_t row_bytes;
    int64_t first_block; /* nf4_dq: of the view, in the whole matrix */
    int blocks;          /* nf4: per row */
    int n, cols;         /* outputs per row of x */
    const void *x;
    int x_stride, rows;
    enum kernel_dtype x_type, out_type;
    void *out;
    int out_stride;
    struct kernel_epilogue epilogue;
    struct gemv_best *best; /* argmax: [blocks of the grid, rows] */
    /* the plan */
    int tiles, splits, steps, step_bytes, grid, shared;
    int per_block, groups, split_shift; /* tiles of a block at once: a group; splits is 2^split_shift */
    int ahead;     /* steps that each warp asks L2 for while the kernel before still runs */
    bool aligned;  /* rows of W begin at multiples of 16 bytes and end there */
    bool staged;   /* x stands in shared memory, else it is read through L1 */
    bool x_packed; /* rows of x begin at multiples of 16 bytes */
    int x_row;     /* staged: elements from row to row */
};

static inline bool gemv_is_nf4(enum kernel_dtype dtype)
{
    return dtype == KERNEL_NF4 || dtype == KERNEL_NF4_DQ;
}

/* Of one row of W, in 16 bytes. */
static inline int gemv_pack_elements(enum kernel_dtype dtype)
{
    return gemv_is_nf4(dtype) ? 32 : 16 / (int)kernel_dtype_bytes(dtype);
}

static inline struct gemv_job gemv_new_job(const struct kernels *k, const struct kernel_matrix *m,
                                           const void *x, int x_stride, int rows, enum gemv_mode mode)
{
    struct gemv_job job = {};
    job.mode = mode;
    job.data = (const unsigned char *)m->data;
    job.scales = m->scales;
    job.codes = m->dtype == KERNEL_NF4_DQ ? m->codes : NULL;
    job.dtype = m->dtype;
    job.row_bytes = (int64_t)kernel_row_bytes(m->dtype, m->cols);
    job.blocks = (int)((m->cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK);
    job.first_block = m->first_row * job.blocks;
    job.n = (int)(mode == GEMV_GATE_UP ? m->rows / 2 : m->rows);
    job.cols = (int)m->cols;
    job.x = x;
    job.x_stride = x_stride;
    job.rows = rows;
    job.x_type = job.out_type = k->activation;
    job.aligned = job.row_bytes % 16 == 0 && (uintptr_t)m->data % 16 == 0;
    job.x_packed = ((uintptr_t)x | (uintptr_t)x_stride * kernel_dtype_bytes(k->activation)) % 16 == 0 &&
                   job.cols * (int)kernel_dtype_bytes(k->activation) % 16 == 0;
    return job;
}

/* Tiles of `slots` rows, steps of `step_bytes` of a row. As many warps share a tile as leave each two steps;
 * more where the busiest multiprocessor then reads less, for it decides when the product ends, or as much
 * with more of them at work. Warps without a step (more splits than steps) are no loss as long as the others
 * ask for 64 KiB at once, twice what Little wants, or where the busiest then reads half. On 132
 * multiprocessors, n x cols of 16 bits: 6144 x 4096 16 splits, 3 tiles at most instead of 4; 2048 x 2048 16,
 * all 128 tiles at once instead of two on each of 64. */
static inline void gemv_split(struct gemv_job *job, const struct cuda *c, int slots, int step_bytes)
{
    const int outputs = job->mode == GEMV_GATE_UP ? slots / 2 : slots, blocks = c->multiprocessors;
    const int ring = slots * step_bytes, enough = 64 << 10;
    job->tiles = (job->n + outputs - 1) / outputs;
    job->steps = (int)((job->row_bytes + step_bytes - 1) / step_bytes);
    job->step_bytes = step_bytes;
    job->splits = 0;
    for (int splits = 1, best = 0, at_work = 0; splits <= GEMV_WARPS; splits *= 2) {
        const int per_block = GEMV_WARPS / splits, groups = (job->tiles + per_block - 1) / per_block;
        const int busiest = (groups + blocks - 1) / blocks * per_block; /* tiles */
        const int asking = splits < job->steps ? GEMV_WARPS : per_block * job->steps;
        const bool better = asking * ring >= enough ? 100 * busiest <= 97 * best : 2 * busiest <= best;
        const bool wider = splits <= job->steps && busiest <= best && at_work < blocks;
        if (splits > 1 && 2 * splits > job->steps && !better && !wider)
            continue;
        job->splits = splits;
        best = busiest;
        at_work = groups;
    }
    job->per_block = GEMV_WARPS / job->splits;
    for (job->split_shift = 0; 1 << job->split_shift < job->splits;)
        job->split_shift++;
    job->groups = (job->tiles + job->per_block - 1) / job->per_block;
    job->grid = job->groups < blocks ? job->groups : blocks;
    int64_t of_step = (int64_t)job->grid * GEMV_WARPS * slots * step_bytes;
    job->ahead = c->overlap && job->aligned ? (int)(c->l2_bytes / 2 / of_step) : 0;
}

/* simt_any_gemv.cu: plans and queues any job. */
void gemv_simt_launch(struct cuda *c, struct gemv_job *job);
/* simt_any_gemv_blocks.cu: what it calls for Q8_0 ... Q6_K. */
void gemv_blocks_launch(struct cuda *c, struct gemv_job *job);

/* The row of W in slot `slot` of a tile; past the end the last one again, whose sums nobody stores. */
template <int SLOTS>
static __device__ __forceinline__ int64_t gemv_row(const struct gemv_job &job, enum gemv_mode mode, int tile,
                                                   int slot)
{
    if (mode == GEMV_GATE_UP) {
        int o = min(tile * (SLOTS / 2) + slot % (SLOTS / 2), job.n - 1);
        return slot < SLOTS / 2 ? o : (int64_t)o + job.n;
    }
    return min(tile * SLOTS + slot, job.n - 1);
}

/* Before kernel_begin: the weights of this block's first steps on their way into L2, at most half of it. The
 * kernel before may even be writing them: nothing is looked at, and L2 is where both would meet. It hides the
 * start of a product behind small kernels (norms, attention), which leave the memory idle. */
template <int SLOTS>
static __device__ __forceinline__ void prefetch_first_steps(const struct gemv_job &job, enum gemv_mode mode)
{
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, per_block = job.per_block;
    int left = job.ahead;
    for (int tile = blockIdx.x * per_block + (warp >> job.split_shift); left > 0 && tile < job.tiles;
         tile += gridDim.x * per_block)
        for (int step = warp & (job.splits - 1); left > 0 && step < job.steps; step += job.splits, left--)
            if (lane < SLOTS) {
                const int64_t at = (int64_t)step * job.step_bytes;
                prefetch_bulk(job.data + gemv_row<SLOTS>(job, mode, tile, lane) * job.row_bytes + at,
                              (unsigned)min((int64_t)job.step_bytes, job.row_bytes - at));
            }
}

static __device__ __forceinline__ float gemv_read(const void *p, enum kernel_dtype type, size_t i)
{
    switch (type) {
    case KERNEL_FP16:
        return to_float(static_cast<const __half *>(p)[i]);
    case KERNEL_BF16:
        return to_float(static_cast<const __nv_bfloat16 *>(p)[i]);
    default:
        return static_cast<const float *>(p)[i];
    }
}

static __device__ __forceinline__ void gemv_write(void *p, enum kernel_dtype type, size_t i, float value)
{
    switch (type) {
    case KERNEL_FP16:
        static_cast<__half *>(p)[i] = from_float<__half>(value);
        break;
    case KERNEL_BF16:
        static_cast<__nv_bfloat16 *>(p)[i] = from_float<__nv_bfloat16>(value);
        break;
    default:
        static_cast<float *>(p)[i] = value;
    }
}

static __device__ __forceinline__ bool gemv_better(const struct gemv_best &a, const struct gemv_best &b)
{
    return a.value > b.value || (a.value == b.value && a.id < b.id);
}

static __device__ __forceinline__ struct gemv_best gemv_best_of_warp(struct gemv_best best)
{
    for (int apart = WARP / 2; apart > 0; apart /= 2) {
        struct gemv_best other = {__shfl_xor_sync(ALL_LANES, best.value, apart),
                                  __shfl_xor_sync(ALL_LANES, best.id, apart)};
        if (gemv_better(other, best))
            best = other;
    }
    return best;
}

/* Where output i of a group belongs: slots lie next to each other in the threads, so that stores do in
 * memory, and a thread keeps its row of x. */
struct gemv_place {
    int slot, r, local, o;
    bool stored;
};

template <int SLOTS>
static __device__ __forceinline__ struct gemv_place gemv_place_of(const struct gemv_job &job,
                                                                  enum gemv_mode mode, int group, int i)
{
    const int per_block = job.per_block, outputs = mode == GEMV_GATE_UP ? SLOTS / 2 : SLOTS;
    struct gemv_place p;
    p.slot = i % SLOTS;
    p.r = i / SLOTS % CUDA_GEMV_ROWS;
    p.local = i / (SLOTS * CUDA_GEMV_ROWS);
    p.o = (group * per_block + p.local) * outputs + p.slot;
    p.stored = p.local < per_block && p.r < job.rows && p.slot < outputs && p.o < job.n;
    return p;
}

/* What an output needs besides its sum. Read while its group is multiplied, for what a thread stores first.
 */
struct gemv_operands {
    float scale, up_scale, bias, old;
};

static __device__ __forceinline__ struct gemv_operands
gemv_operands_of(const struct gemv_job &job, enum gemv_mode mode, const struct gemv_place &p)
{
    struct gemv_operands v = {1, 1, 0, 0};
    if (!p.stored)
        return v;
    if (job.dtype == KERNEL_INT8) {
        v.scale = job.scales[p.o];
        if (mode == GEMV_GATE_UP)
            v.up_scale = job.scales[(int64_t)p.o + job.n];
    }
    if (mode != GEMV_GATE_UP && job.epilogue.bias)
        v.bias = job.epilogue.bias[p.o];
    if (mode == GEMV_STORE && job.epilogue.accumulate)
        v.old = gemv_read(job.out, job.out_type, (size_t)p.r * (size_t)job.out_stride + (size_t)p.o);
    return v;
}

/* A thread's share of a group's outputs, from the sums [warp][slot][row] of its block. best: this thread's so
 * far. */
template <int SLOTS>
static __device__ __forceinline__ void gemv_finish(const struct gemv_job &job, enum gemv_mode mode,
                                                   const float *sums, int group,
                                                   const struct gemv_operands &first, struct gemv_best *best)
{
    const int per_block = job.per_block;
    for (int i = threadIdx.x; i < per_block * SLOTS * CUDA_GEMV_ROWS; i += GEMV_THREADS) {
        const struct gemv_place p = gemv_place_of<SLOTS>(job, mode, group, i);
        if (!p.stored)
            continue;
        const struct gemv_operands v = i < GEMV_THREADS ? first : gemv_operands_of(job, mode, p);
        const float *sum = sums + (p.local * job.splits * SLOTS + p.slot) * CUDA_GEMV_ROWS + p.r;
        float y = 0, up = 0;
#pragma unroll 4
        for (int s = 0; s < job.splits; s++) {
            y += sum[s * SLOTS * CUDA_GEMV_ROWS];
            if (mode == GEMV_GATE_UP)
                up += sum[(s * SLOTS + SLOTS / 2) * CUDA_GEMV_ROWS];
        }
        y = y * v.scale + v.bias;
        const size_t at = (size_t)p.r * (size_t)job.out_stride + (size_t)p.o;
        if (mode == GEMV_GATE_UP) {
            gemv_write(job.out, job.out_type, at, activate(y, KERNEL_SILU) * (up * v.up_scale));
        } else if (mode == GEMV_ARGMAX) {
            const struct gemv_best here = {y, p.o};
            if (gemv_better(here, *best))
                *best = here;
        } else {
            gemv_write(job.out, job.out_type, at, activate(y, job.epilogue.activation) + v.old);
        }
    }
}

/* The best of every thread -> the block's, per row of x: warp r asks the threads that had row r. scratch: one
 * struct gemv_best per thread. */
template <int SLOTS>
static __device__ __forceinline__ void gemv_finish_best(const struct gemv_job &job, struct gemv_best *scratch,
                                                        struct gemv_best best)
{
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    __syncthreads(); /* scratch held sums */
    scratch[threadIdx.x] = best;
    __syncthreads();
    if (warp >= job.rows)
        return;
    best = {-INFINITY, INT32_MAX};
    for (int i = lane; i < GEMV_THREADS / CUDA_GEMV_ROWS; i += WARP) {
        struct gemv_best other = scratch[(i / SLOTS * CUDA_GEMV_ROWS + warp) * SLOTS + i % SLOTS];
        if (gemv_better(other, best))
            best = other;
    }
    best = gemv_best_of_warp(best);
    if (lane == 0)
        job.best[blockIdx.x * job.rows + warp] = best;
}
