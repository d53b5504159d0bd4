/* Few rows of 16-bit activations on tensor cores: mma m16n8k16, A = 16 rows of W, B = the rows of x as
 * columns (8 at most, the others zero), fp32 sums. Weights of the activations' own type, int8, nf4, nf4_dq.
 *
 * Why tensor cores for a product that is bound by memory: a multiprocessor of an H200 receives some 21 bytes
 * a clock and issues 128 thread instructions, 6 a byte (7 a byte of nf4 codes, beside which scales arrive).
 * SASS of the loop on sm_90a per byte of weights, whatever the number of rows: 16 bits 0.8; int8 to bf16 2.7;
 * nf4 5.2 a byte of codes, of which three look up its two weights: take the byte, find its place, read. An
 * estimate for plain multiply-adds: nf4 7 at one row of x and 30 at eight. No time was measured.
 *
 * Operands. A product does not mind the order of its k, so that lane 4 g + t of a warp takes 16 contiguous
 * bytes of the rows g and g + 8 of its tile, at t * 16 of a chunk of 64 bytes, straight from memory into the
 * registers of A; B takes the same k from x. A step is eight chunks (nf4: four): 512 contiguous bytes of
 * each of 16 rows. The ring is one step: 8 KiB per warp, 128 KiB per multiprocessor (nf4: half).
 *
 * x is staged in shared memory in the order of its use (chunk, pack of 8, lane t: 64 contiguous bytes per row
 * and load; rows 64 bytes apart modulo 128: no bank conflicts), padded with zeros. Where it is too large it
 * is read in its own order through L1, which the weights pass by.
 *
 * nf4: a table of 256 pairs of values, one copy per lane (32 KiB, no bank conflicts), turns a byte into a
 * register of A. A chunk holds two blocks of 64, the first in lanes t < 2: with at most 4 rows of x the
 * columns 0..3 of B are x for t < 2 and zero for t >= 2, the columns 4..7 the other way round, so one mma
 * keeps the blocks' sums apart; with more rows two mma do (WIDE). The sum of a block times its absmax joins
 * the total in fp32. Values of the code book are rounded to the activations' type. */
#pragma once

#include "kernels/cuda/gemv.cuh"
#include "kernels/cuda/gemv_nf4.cuh"

enum gemv_kind { GEMV_SAME, GEMV_INT8, GEMV_NF4 };

enum {
    GEMV_CHUNK_BYTES = 64,
    GEMV_TABLE = 256 * WARP * 4 /* bytes */
};

template <int KIND> struct gemv_shape {
    enum {
        ELEMENTS = KIND == GEMV_SAME   ? 8
                   : KIND == GEMV_INT8 ? 16
                                       : 32, /* of 16 bytes of weights */
        PACKS = ELEMENTS / 8,                /* of x that belong to them */
        CHUNKS = KIND == GEMV_NF4 ? 4 : 8,   /* per step: the ring */
        ABSMAX = CHUNKS / 2                  /* nf4: of a row, in a lane */
    };
};

/* Where a lane reads: slots g and g + 8 of its tile. */
struct gemv_lane {
    const unsigned char *row[2]; /* not nf4 */
    uint32_t block[2]; /* nf4: of the view, the first of these rows; their bytes are found by it too */
};

/* Past the end of a row its last 16 bytes again: x is zero there. */
template <int KIND>
static __device__ __forceinline__ void gemv_fetch(const struct gemv_job &job, const struct gemv_lane &from,
                                                  int chunk, int t, uint4 w[2])
{
    const int at = min(chunk * GEMV_CHUNK_BYTES + t * 16, (int)job.row_bytes - 16);
#pragma unroll
    for (int h = 0; h < 2; h++)
        w[h] = load_streaming(
            (KIND == GEMV_NF4 ? job.data + (int64_t)from.block[h] * (KERNEL_NF4_BLOCK / 2) : from.row[h]) +
            at);
}

/* nf4: what tells the absmax of the blocks 4 i + t of a step, of two rows, as it comes from memory. */
struct gemv_absmax {
    float scale[2][gemv_shape<GEMV_NF4>::ABSMAX];
    uint32_t code[2][gemv_shape<GEMV_NF4>::ABSMAX];
};

static __device__ __forceinline__ void gemv_fetch_absmax(const struct gemv_job &job,
                                                         const struct gemv_lane &from, int step, int t,
                                                         struct gemv_absmax *to)
{
    enum { ABSMAX = gemv_shape<GEMV_NF4>::ABSMAX };
#pragma unroll
    for (int j = 0; j < 2 * ABSMAX; j++) {
        const int h = j / ABSMAX, i = j % ABSMAX;
        const uint32_t at = from.block[h] + (uint32_t)min((step * ABSMAX + i) * 4 + t, job.blocks - 1);
        to->code[h][i] = job.codes ? job.codes[at] : 0;
        to->scale[h][i] =
            job.codes ? job.scales[1 + (job.first_block + at) / KERNEL_NF4_GROUP] : job.scales[at];
    }
}

/* What a lane needs of x: packs of 8 elements for its column of B. Columns without a row of x read a row of
 * zeros, so that no lane asks whether it has one. */
template <typename T> struct gemv_x {
    const T *at; /* pack 0 of chunk 0 of this lane */
    int pack;    /* elements from pack to pack */
};

template <typename T, int KIND>
static __device__ __forceinline__ uint4 gemv_x_pack(const struct gemv_x<T> &x, int chunk, int i)
{
    return *reinterpret_cast<const uint4 *>(x.at + chunk * (4 * gemv_shape<KIND>::ELEMENTS) + i * x.pack);
}

template <typename T>
static __device__ __forceinline__ void gemv_mma_words(float c[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                                      uint32_t a3, uint32_t b0, uint32_t b1)
{
    const uint32_t a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
    mma_m16n8k16(c, a, b, T());
}

/* a - b of two packed elements, where the difference is representable. */
template <typename PAIR> static __device__ __forceinline__ uint32_t gemv_minus(uint32_t a, uint32_t b)
{
    PAIR p, q;
    memcpy(&p, &a, sizeof p);
    memcpy(&q, &b, sizeof q);
    p = __hsub2(p, q);
    memcpy(&a, &p, sizeof a);
    return a;
}

/* Four int8 -> two pairs, exactly. fp16: 0x64uu is 1024 + u, u = q + 128. */
static __device__ __forceinline__ void gemv_widen(uint32_t q, uint32_t pair[2], __half)
{
    uint32_t u = q ^ 0x80808080u;
    pair[0] = gemv_minus<__half2>(__byte_perm(u, 0x64646464u, 0x4140), 0x64806480u);
    pair[1] = gemv_minus<__half2>(__byte_perm(u, 0x64646464u, 0x4342), 0x64806480u);
}
/* bf16: 0x43vv is 128 + v for v = q & 127, and 0x4300 | (q & 128) is 128 or, for q < 0, 256. */
static __device__ __forceinline__ void gemv_widen(uint32_t q, uint32_t pair[2], __nv_bfloat16)
{
    uint32_t low = __byte_perm(q, 0x43434343u, 0x4140), high = __byte_perm(q, 0x43434343u, 0x4342);
    pair[0] = gemv_minus<__nv_bfloat162>(low & 0xff7fff7fu, low & 0xff80ff80u);
    pair[1] = gemv_minus<__nv_bfloat162>(high & 0xff7fff7fu, high & 0xff80ff80u);
}

/* Byte `i` of a word -> its pair in this lane's copy of the table: one instruction takes the byte, one finds
 * its place, one reads. */
static __device__ __forceinline__ uint32_t gemv_look_up(shared_place mine, uint32_t word, int i)
{
    return load_shared_word(mine, __byte_perm(word, 0, 0x4440u + (unsigned)i) * (WARP * 4));
}

static __device__ __forceinline__ uint32_t gemv_word(const uint4 &v, int i)
{
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

/* The two blocks of an nf4 chunk, number u of its step. scale: of the blocks of chunks u & ~1 and u | 1. */
template <typename T, bool WIDE>
static __device__ __forceinline__ void gemv_multiply_nf4(float sum[4], const uint4 w[2],
                                                         const struct gemv_x<T> &x, int chunk, int u,
                                                         const unsigned char *table, const float scale[2])
{
    const int lane = threadIdx.x % WARP, t = lane % 4;
    const shared_place mine = shared_place_of(table + lane * 4);
    float c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const uint4 b = gemv_x_pack<T, GEMV_NF4>(x, chunk, i);
        const uint32_t w0 = gemv_word(w[0], i), w1 = gemv_word(w[1], i);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            uint32_t a0 = gemv_look_up(mine, w0, 2 * h), a1 = gemv_look_up(mine, w1, 2 * h),
                     a2 = gemv_look_up(mine, w0, 2 * h + 1), a3 = gemv_look_up(mine, w1, 2 * h + 1);
            uint32_t b0 = h ? b.z : b.x, b1 = h ? b.w : b.y;
            if (WIDE) {
                gemv_mma_words<T>(c, a0, a1, a2, a3, t < 2 ? b0 : 0, t < 2 ? b1 : 0);
                gemv_mma_words<T>(d, a0, a1, a2, a3, t < 2 ? 0 : b0, t < 2 ? 0 : b1);
            } else {
                gemv_mma_words<T>(c, a0, a1, a2, a3, b0, b1);
            }
        }
    }
    /* The scale of block b of an odd chunk is in lane 2 + b of this row's four, of an even one in lane b. */
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int first = (lane & ~3) + 2 * (u % 2);
        if (WIDE) {
            float low = __shfl_sync(ALL_LANES, scale[h], first),
                  high = __shfl_sync(ALL_LANES, scale[h], first + 1);
            sum[2 * h] += c[2 * h] * low + d[2 * h] * high;
            sum[2 * h + 1] += c[2 * h + 1] * low + d[2 * h + 1] * high;
        } else { /* columns 2 t, 2 t + 1: below 4 the first block */
            float mine = __shfl_sync(ALL_LANES, scale[h], first + t / 2);
            sum[2 * h] += c[2 * h] * mine;
            sum[2 * h + 1] += c[2 * h + 1] * mine;
        }
    }
}

/* A chunk of 16 rows joins the sums. */
template <typename T, int KIND, bool WIDE>
static __device__ __forceinline__ void gemv_multiply(float sum[4], const uint4 w[2],
                                                     const struct gemv_x<T> &x, int chunk, int u,
                                                     const unsigned char *table, const float scale[2])
{
    if (KIND == GEMV_SAME) {
        const uint4 b = gemv_x_pack<T, KIND>(x, chunk, 0);
        gemv_mma_words<T>(sum, w[0].x, w[1].x, w[0].y, w[1].y, b.x, b.y);
        gemv_mma_words<T>(sum, w[0].z, w[1].z, w[0].w, w[1].w, b.z, b.w);
    } else if (KIND == GEMV_INT8) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const uint4 b = gemv_x_pack<T, KIND>(x, chunk, i / 2);
            uint32_t p[2], q[2];
            gemv_widen(gemv_word(w[0], i), p, T());
            gemv_widen(gemv_word(w[1], i), q, T());
            gemv_mma_words<T>(sum, p[0], q[0], p[1], q[1], i % 2 ? b.z : b.x, i % 2 ? b.w : b.y);
        }
    } else {
        gemv_multiply_nf4<T, WIDE>(sum, w, x, chunk, u, table, scale);
    }
}

/* x (where it is staged) and the row of zeros (where there are fewer than 8) -> shared memory, in the order
 * of use, zeros up to the last step. */
template <typename T, int KIND> static __device__ void gemv_stage(const struct gemv_job &job, T *to)
{
    enum { PACKS = gemv_shape<KIND>::PACKS };
    const int packs = job.steps * gemv_shape<KIND>::CHUNKS * 4 * PACKS;
    const int rows = (job.staged ? job.rows : 0) + (job.rows < CUDA_GEMV_ROWS);
    for (int i = threadIdx.x; i < packs * rows; i += GEMV_THREADS) {
        int r = i / packs, p = i % packs, chunk = p / (4 * PACKS), t = p / PACKS % 4,
            pack_of_lane = p % PACKS;
        const int left = job.staged && r < job.rows ? job.cols - p * 8 : 0;
        const T *from = static_cast<const T *>(job.x) + (int64_t)r * job.x_stride + p * 8;
        pack<T> v;
        if (job.x_packed && left > 0) {
            v = load_pack(from);
        } else {
            for (int j = 0; j < 8; j++)
                v.at[j] = j < left ? from[j] : from_float<T>(0.0f);
        }
        store_pack(to + (int64_t)r * job.x_row + ((chunk * PACKS + pack_of_lane) * 4 + t) * 8, v);
    }
}

/* Shared memory: sums | nf4: table, map | x. */
template <int MODE, typename T, int KIND, bool WIDE>
__global__ void __launch_bounds__(GEMV_THREADS, 1) gemv_mma(const struct gemv_job job)
{
    prefetch_first_steps<GEMV_TILE_SLOTS>(job, (enum gemv_mode)MODE);
    kernel_begin();
    CUDA_SHARED(shared);
    enum {
        ELEMENTS = gemv_shape<KIND>::ELEMENTS,
        CHUNKS = gemv_shape<KIND>::CHUNKS,
        ABSMAX = gemv_shape<GEMV_NF4>::ABSMAX,
        COOKED = KIND == GEMV_NF4 ? GEMV_TABLE + GEMV_MAP : 0
    };
    float *sums = reinterpret_cast<float *>(shared);
    unsigned char *table = shared + GEMV_SUMS;
    float *map = reinterpret_cast<float *>(table + GEMV_TABLE);
    T *staged = reinterpret_cast<T *>(shared + GEMV_SUMS + COOKED);

    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    const int per_block = job.per_block, split = warp & (job.splits - 1);
    const int groups = job.groups;

    int group = blockIdx.x;
    struct gemv_lane from;
    uint4 w[CHUNKS][2];
    struct gemv_absmax absmax;
    auto seek = [&]() {
        const int tile = group * per_block + (warp >> job.split_shift);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int64_t row = gemv_row<GEMV_TILE_SLOTS>(job, (enum gemv_mode)MODE, tile, g + 8 * h);
            from.row[h] = job.data + row * job.row_bytes;
            from.block[h] = (uint32_t)(row * job.blocks);
        }
    };
    seek();
#pragma unroll
    for (int u = 0; u < CHUNKS; u++)
        gemv_fetch<KIND>(job, from, split * CHUNKS + u, t, w[u]);
    if (KIND == GEMV_NF4)
        gemv_fetch_absmax(job, from, split, t, &absmax);

    float mean = 0;
    if (KIND == GEMV_NF4) {
        nf4_fill_table<T>(table);
        nf4_fill_map(map);
        mean = job.codes ? job.scales[0] : 0;
    }
    gemv_stage<T, KIND>(job, staged);
    __syncthreads();

    const int column = KIND == GEMV_NF4 && !WIDE ? g % 4 : g;
    const bool mine = column < job.rows && (KIND != GEMV_NF4 || WIDE || (g < 4) == (t < 2));
    struct gemv_x<T> x;
    x.pack = job.staged ? 32 : 8;
    if (mine && !job.staged)
        x.at = static_cast<const T *>(job.x) + (int64_t)column * job.x_stride + t * ELEMENTS;
    else
        x.at = staged + (mine ? column : job.staged ? job.rows : 0) * job.x_row + t * 8;

    struct gemv_best best = {-INFINITY, INT32_MAX};
    for (int parity = 0; group < groups; parity ^= 1) {
        float sum[4] = {0, 0, 0, 0};
        const int now = group;
        struct gemv_operands operands;
        if (!WIDE) /* else no registers are left to hold them */
            operands =
                gemv_operands_of(job, (enum gemv_mode)MODE,
                                 gemv_place_of<GEMV_TILE_SLOTS>(job, (enum gemv_mode)MODE, now, threadIdx.x));
        group += gridDim.x;
        for (int step = split; step < job.steps; step += job.splits) {
            int following = step + job.splits;
            if (following >= job.steps && group < groups) {
                seek();
                following = split;
            }
            float scale[ABSMAX][2] = {};
            if (KIND == GEMV_NF4) {
#pragma unroll
                for (int j = 0; j < 2 * ABSMAX; j++) {
                    const int h = j / ABSMAX, i = j % ABSMAX;
                    scale[i][h] = job.codes ? fmaf(map[absmax.code[h][i]], absmax.scale[h][i], mean)
                                            : absmax.scale[h][i];
                }
            }
#pragma unroll
            for (int u = 0; u < CHUNKS; u++) {
                gemv_multiply<T, KIND, WIDE>(sum, w[u], x, step * CHUNKS + u, u, table,
                                             scale[KIND == GEMV_NF4 ? u / 2 : 0]);
                if (following < job.steps)
                    gemv_fetch<KIND>(job, from, following * CHUNKS + u, t, w[u]);
                if (KIND == GEMV_NF4 && u == CHUNKS / 2 - 1 && following < job.steps)
                    gemv_fetch_absmax(job, from, following, t, &absmax);
            }
        }
        if (KIND == GEMV_NF4 && !WIDE) { /* columns c and c + 4 are the same row of x */
            for (int i = 0; i < 4; i++)
                sum[i] += __shfl_xor_sync(ALL_LANES, sum[i], 2);
        }
        if (WIDE)
            operands =
                gemv_operands_of(job, (enum gemv_mode)MODE,
                                 gemv_place_of<GEMV_TILE_SLOTS>(job, (enum gemv_mode)MODE, now, threadIdx.x));
        float *half = sums + parity * (GEMV_SUMS / 8);
        float *to = half + (warp * GEMV_TILE_SLOTS + g) * CUDA_GEMV_ROWS + 2 * t;
        to[0] = sum[0], to[1] = sum[1];
        to[8 * CUDA_GEMV_ROWS] = sum[2], to[8 * CUDA_GEMV_ROWS + 1] = sum[3];
        __syncthreads();
        gemv_finish<GEMV_TILE_SLOTS>(job, (enum gemv_mode)MODE, half, now, operands, &best);
    }
    if (MODE == GEMV_ARGMAX)
        gemv_finish_best<GEMV_TILE_SLOTS>(job, reinterpret_cast<struct gemv_best *>(sums), best);
}

/* Tensor cores where the weights are of the activations' 16-bit type or quantized, and rows of both operands
 * can be read 16 bytes at a time. Sets the plan. */
static bool gemv_plan_mma(struct gemv_job *job, const struct cuda *c)
{
    bool nf4 = gemv_is_nf4(job->dtype), same = job->dtype == job->x_type;
    if (job->x_type == KERNEL_FP32 || !job->aligned || !(nf4 || same || job->dtype == KERNEL_INT8))
        return false;
    int step_bytes =
        GEMV_CHUNK_BYTES * (nf4 ? (int)gemv_shape<GEMV_NF4>::CHUNKS : (int)gemv_shape<GEMV_SAME>::CHUNKS);
    gemv_split(job, c, GEMV_TILE_SLOTS, step_bytes);
    size_t cooked = GEMV_SUMS + (nf4 ? GEMV_TABLE + GEMV_MAP : 0);
    int elements = gemv_pack_elements(job->dtype) * (step_bytes / 16);
    job->x_row = job->steps * elements + 32;
    size_t row = (size_t)job->x_row * 2, zeros = job->rows < CUDA_GEMV_ROWS ? row : 0;
    size_t staged = cooked + (size_t)job->rows * row + zeros;
    job->staged = staged <= c->shared_limit;
    job->shared = (int)(job->staged ? staged : cooked + zeros);
    return job->staged || (job->x_packed && job->cols % elements == 0 && cooked + zeros <= c->shared_limit);
}

template <int MODE, typename T> static void gemv_launch_mma(struct cuda *c, const struct gemv_job &job)
{
    if (job.dtype == KERNEL_INT8)
        CUDA_LAUNCH(c, (gemv_mma<MODE, T, GEMV_INT8, false>), job.grid, GEMV_THREADS, job.shared, job);
    else if (!gemv_is_nf4(job.dtype))
        CUDA_LAUNCH(c, (gemv_mma<MODE, T, GEMV_SAME, false>), job.grid, GEMV_THREADS, job.shared, job);
    else if (job.rows > CUDA_GEMV_ROWS / 2)
        CUDA_LAUNCH(c, (gemv_mma<MODE, T, GEMV_NF4, true>), job.grid, GEMV_THREADS, job.shared, job);
    else
        CUDA_LAUNCH(c, (gemv_mma<MODE, T, GEMV_NF4, false>), job.grid, GEMV_THREADS, job.shared, job);
}

/* Plans and queues the job, by tensor cores where they can. */
template <int MODE> static void gemv_launch(struct cuda *c, struct gemv_job *job)
{
    if (!gemv_plan_mma(job, c))
        gemv_simt_launch(c, job);
    else if (job->x_type == KERNEL_FP16)
        gemv_launch_mma<MODE, __half>(c, *job);
    else
        gemv_launch_mma<MODE, __nv_bfloat16>(c, *job);
}
