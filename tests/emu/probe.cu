#include "kernels/cuda/ptx.cuh"
#include "tests/emu/probe.h"

static __global__ void shuffles(int *out)
{
    int lane = threadIdx.x;
    if (lane < 16)
        out[lane] = __shfl_xor_sync(0x0000ffffu, lane * 10, 5);
    else
        out[lane] = __shfl_xor_sync(0xffff0000u, lane * 10, 5);
}

void probe_shuffles(cudaStream_t stream, int *out)
{
    emulator_launch("shuffles", 1, 32, 0, stream, shuffles, out);
}

static __global__ void leavers(int *out)
{
    int lane = threadIdx.x, sum = lane;
    if (lane % 2)
        return;
    for (int i = 16; i > 1; i /= 2)
        sum += __shfl_xor_sync(ALL_LANES, sum, i);
    unsigned here = __ballot_sync(ALL_LANES, 1);
    __syncthreads();
    if (lane == 0) {
        out[0] = sum;
        out[1] = (int)here;
    }
}

void probe_leavers(cudaStream_t stream, int *out)
{
    emulator_launch("leavers", 1, 32, 0, stream, leavers, out);
}

static __global__ void votes(unsigned *out)
{
    int lane = (int)threadIdx.x;
    unsigned v[8] = {
        __ballot_sync(ALL_LANES, lane % 3 == 0),          (unsigned)__any_sync(ALL_LANES, lane == 31),
        (unsigned)__all_sync(ALL_LANES, lane < 31),       __match_any_sync(ALL_LANES, lane / 8),
        (unsigned)__reduce_add_sync(ALL_LANES, lane),     (unsigned)__reduce_min_sync(ALL_LANES, lane - 5),
        (unsigned)__reduce_max_sync(ALL_LANES, lane - 5), (unsigned)__shfl_up_sync(ALL_LANES, lane, 3, 8)};
    if (lane == 9)
        for (int i = 0; i < 8; i++)
            out[i] = v[i];
}

void probe_votes(cudaStream_t stream, unsigned *out)
{
    emulator_launch("votes", 1, 32, 0, stream, votes, out);
}

template <bool DYNAMIC> static __global__ void reverse(float *out, const float *in, int n)
{
    __shared__ float fixed[256];
    CUDA_SHARED(given);
    float *tile = DYNAMIC ? reinterpret_cast<float *>(given) : fixed;
    int i = blockIdx.x * 256 + threadIdx.x;
    if (i < n)
        tile[threadIdx.x] = in[i];
    __syncthreads();
    int from = n - 1 - i; /* lives in this block only if n is a multiple of the block */
    if (i < n)
        out[from] = tile[threadIdx.x];
}

void probe_reverse(cudaStream_t stream, float *out, const float *in, int n, bool dynamic)
{
    if (dynamic)
        emulator_launch("reverse", (n + 255) / 256, 256, 256 * sizeof(float), stream, reverse<true>, out, in,
                        n);
    else
        emulator_launch("reverse", (n + 255) / 256, 256, 0, stream, reverse<false>, out, in, n);
}

template <typename T> static __global__ void uninitialized(float *out)
{
    __shared__ T fixed[32];
    CUDA_SHARED(given);
    out[64 * blockIdx.x + threadIdx.x] = fixed[threadIdx.x];
    out[64 * blockIdx.x + 32 + threadIdx.x] = reinterpret_cast<T *>(given)[threadIdx.x];
    fixed[threadIdx.x] = reinterpret_cast<T *>(given)[threadIdx.x] = 1.0f;
}

void probe_uninitialized(cudaStream_t stream, float *out)
{
    emulator_launch("uninitialized", 2, 32, 128, stream, uninitialized<float>, out);
}

static __global__ void counted_barrier(int *out)
{
    int mine = threadIdx.x < 100;
    int count = __syncthreads_count(mine), any = __syncthreads_or(mine), all = __syncthreads_and(mine);
    if (threadIdx.x == 127) {
        out[0] = count;
        out[1] = any;
        out[2] = all;
    }
}

void probe_counted_barrier(cudaStream_t stream, int *out)
{
    emulator_launch("counted_barrier", 1, 128, 0, stream, counted_barrier, out);
}

static __global__ void divergent_barrier(int alone)
{
    if ((int)threadIdx.x == alone)
        __shfl_sync(3u << 8, 0, 9);
    __syncthreads();
}

void probe_divergent_barrier(cudaStream_t stream)
{
    emulator_launch("divergent_barrier", 1, 64, 0, stream, divergent_barrier, 40);
}

static __global__ void two_barriers(int half)
{
    if ((int)threadIdx.x < half)
        __syncthreads();
    else
        __syncthreads();
}

void probe_two_barriers(cudaStream_t stream)
{
    emulator_launch("two_barriers", 1, 64, 0, stream, two_barriers, 32);
}

static __global__ void outside_mask(unsigned mask)
{
    __shfl_sync(mask, 1, 0);
}

void probe_outside_mask(cudaStream_t stream)
{
    emulator_launch("outside_mask", 1, 32, 0, stream, outside_mask, 0xffu);
}

template <typename T> static __global__ void mma_16(float *c, const uint32_t *a, const uint32_t *b)
{
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    uint32_t af[4], bf[2];
    float cf[4];
    for (int i = 0; i < 4; i++)
        af[i] = a[((g + 8 * (i % 2)) * 16 + 2 * t + 8 * (i / 2)) / 2];
    for (int i = 0; i < 2; i++)
        bf[i] = b[(g * 16 + 2 * t + 8 * i) / 2];
    for (int i = 0; i < 4; i++)
        cf[i] = c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
    mma_m16n8k16(cf, af, bf, T());
    for (int i = 0; i < 4; i++)
        c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = cf[i];
}

static __global__ void mma_8(int *c, const uint32_t *a, const uint32_t *b)
{
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    uint32_t af[4], bf[2];
    int cf[4];
    for (int i = 0; i < 4; i++)
        af[i] = a[((g + 8 * (i % 2)) * 32 + 4 * t + 16 * (i / 2)) / 4];
    for (int i = 0; i < 2; i++)
        bf[i] = b[(g * 32 + 4 * t + 16 * i) / 4];
    for (int i = 0; i < 4; i++)
        cf[i] = c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
    mma_m16n8k32_s8(cf, af, bf);
    for (int i = 0; i < 4; i++)
        c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = cf[i];
}

void probe_mma(cudaStream_t stream, enum probe_type type, void *c, const void *a, const void *b)
{
    auto *x = (const uint32_t *)a, *y = (const uint32_t *)b;
    if (type == PROBE_F16)
        emulator_launch("mma_16", 1, 32, 0, stream, mma_16<__half>, (float *)c, x, y);
    else if (type == PROBE_BF16)
        emulator_launch("mma_16", 1, 32, 0, stream, mma_16<__nv_bfloat16>, (float *)c, x, y);
    else
        emulator_launch("mma_8", 1, 32, 0, stream, mma_8, (int *)c, x, y);
}

template <bool TRANSPOSED> static __global__ void ldmatrix(unsigned *out, const unsigned short *tile)
{
    __shared__ __align__(16) unsigned short rows[32 * 8];
    uint32_t r[4];
    for (int i = 0; i < 8; i++)
        rows[threadIdx.x * 8 + i] = tile[threadIdx.x * 8 + i];
    __syncwarp();
    if (TRANSPOSED)
        load_matrices_transposed(r, rows + threadIdx.x * 8);
    else
        load_matrices(r, rows + threadIdx.x * 8);
    for (int i = 0; i < 4; i++)
        out[threadIdx.x * 4 + i] = r[i];
}

void probe_ldmatrix(cudaStream_t stream, unsigned *out, const unsigned short *tile, bool transposed)
{
    emulator_launch("ldmatrix", 1, 32, 0, stream, transposed ? ldmatrix<true> : ldmatrix<false>, out, tile);
}

static __global__ void copy_async(float *early, float *out, const float *in)
{
    __shared__ __align__(16) float row[128];
    int at = threadIdx.x * 4;
    copy_async_16(row + at, in + at, threadIdx.x % 2 == 0);
    copy_async_commit();
    for (int i = 0; i < 4; i++)
        early[at + i] = row[at + i];
    copy_async_wait<0>();
    __syncthreads();
    for (int i = 0; i < 4; i++)
        out[at + i] = row[127 - at - i];
}

void probe_copy_async(cudaStream_t stream, float *early, float *out, const float *in)
{
    emulator_launch("copy_async", 1, 32, 0, stream, copy_async, early, out, in);
}

static __global__ void unwaited_copy(const float *in)
{
    __shared__ __align__(16) float row[4];
    copy_async_16(row, in, true);
    copy_async_commit();
    copy_async_wait<1>();
}

void probe_unwaited_copy(cudaStream_t stream, const float *in)
{
    emulator_launch("unwaited_copy", 1, 1, 0, stream, unwaited_copy, in);
}

static __global__ void add(float *x, float y, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        x[i] += y;
}

void probe_add(cudaStream_t stream, float *x, float y, int n)
{
    emulator_launch("add", (n + 127) / 128, 128, 0, stream, add, x, y, n);
}

static __global__ void grid_barrier(int *turns, int rounds)
{
    __shared__ int mine; /* static shared memory belongs to a block, although all blocks are alive */
    if (threadIdx.x == 0)
        mine = (int)blockIdx.x;
    __syncthreads();
    for (int round = 1; round <= rounds; round++) {
        if (threadIdx.x == 0)
            atomicAdd(&turns[0], 1);
        emulator_grid_barrier(__FILE__, __LINE__);
        if (turns[0] != round * (int)gridDim.x || mine != (int)blockIdx.x)
            atomicAdd(&turns[1], 1);
        emulator_grid_barrier(__FILE__, __LINE__);
    }
}

void probe_grid_barrier(cudaStream_t stream, int *turns, int blocks, int rounds)
{
    emulator_launch_cooperative("grid_barrier", blocks, 64, 0, stream, grid_barrier, turns, rounds);
}

static __global__ void nothing(int) {}

void probe_shape(cudaStream_t stream, unsigned grid, unsigned block, size_t shared, bool allow)
{
    if (allow && cudaFuncSetAttribute(nothing, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared))
        return;
    emulator_launch("nothing", grid, block, shared, stream, nothing, 0);
}

static __global__ void touch(char *p)
{
    *p = 1;
}

void probe_touch(cudaStream_t stream, char *p)
{
    emulator_launch("touch", 1, 1, 0, stream, touch, p);
}

static __global__ void narrow(unsigned short *fp16, unsigned short *bf16, const float *in, int n)
{
    for (int i = threadIdx.x; i < n; i += 32) {
        fp16[i] = __half_as_ushort(__float2half_rn(in[i]));
        bf16[i] = __bfloat16_as_ushort(__float2bfloat16_rn(in[i]));
    }
}

void probe_half(cudaStream_t stream, unsigned short *fp16, unsigned short *bf16, const float *in, int n)
{
    emulator_launch("narrow", 1, 32, 0, stream, narrow, fp16, bf16, in, n);
}

bool probe_is_watched(void)
{
#ifdef __SANITIZE_THREAD__
    return true;
#else
    return false;
#endif
}

static __global__ void race(enum probe_race missing, int *out, const int *in)
{
    __shared__ __align__(16) int row[64];
    __shared__ int sum;
    int i = threadIdx.x, lane = i % 32, got = 0;
    row[i] = 0;
    if (i == 0)
        sum = 0;
    __syncthreads();
    if (missing == PROBE_ATOMIC || missing == PROBE_ATOMIC_AND_LOAD) {
        atomicAdd(&sum, in[i]);
        if (missing == PROBE_ATOMIC)
            __syncthreads();
        got = sum;
    } else if (missing == PROBE_COPY_UNSHARED) {
        if (i < 16)
            copy_async_16(row + 4 * i, in + 4 * i, true);
        copy_async_commit();
        __syncthreads();
        copy_async_wait<0>();
        got = row[63 - i];
    } else if (missing >= PROBE_WARP_ORDERED) {
        int other = i ^ 31; /* of the same warp */
        row[i] = in[i];
        if (missing == PROBE_WARP_ORDERED)
            __syncwarp();
        else if (missing == PROBE_HALF_SYNCWARP)
            __syncwarp(lane < 16 ? 0x0000ffffu : 0xffff0000u);
        else
            got = __shfl_xor_sync(ALL_LANES, i, 1);
        got = row[other];
        __syncwarp();
        row[i] = got;
    } else {
        row[i] = in[i];
        if (missing != PROBE_NO_BARRIER)
            __syncthreads();
        got = row[63 - i];
        if (missing != PROBE_NO_BARRIER_BACK)
            __syncthreads();
        row[i] = got;
    }
    out[i] = got;
}

void probe_race(cudaStream_t stream, enum probe_race missing, int *out, const int *in)
{
    emulator_launch("race", 1, 64, 0, stream, race, missing, out, in);
}
