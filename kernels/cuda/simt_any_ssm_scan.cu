/* The selective scan of a state-space layer (Gu and Dao 2023, section 3.3.2), prompts and single steps.
 *
 * h[t, n] = exp(dt[t] a[n]) h[t - 1, n] + dt[t] b[t, n] x[t], y[t] = sum_n c[t, n] h[t, n] + d x[t],
 * out[t] = y[t] silu(z[t]), for every channel e of every sequence; dt = softplus(dt + bias) where asked.
 *
 * x, dt, out: [rows, E] of T; b, c: rows of N, z: rows of E, strided; a [N, E], d, bias [E], h [sequences, N,
 * E] fp32. Bytes: x, dt, b, c read twice (the second time from L2), z read and out written once, h once each
 * way; the (row, channel, state) arrays stay in registers. 2 exponentials and 12 FLOPs per (row, channel,
 * state).
 *
 * A warp walks through time for 32 / lanes neighboring channels; the `lanes` threads of a channel hold
 * STATES states each. The warps of a block share a group of channels and cut time into chunks. Each first
 * runs its chunk from zero and keeps what it adds and the sum of its steps: the product of its decays is
 * exp(a sum dt), so the pair is an element of the associative scan (a1, b1) o (a0, b0) = (a1 a0, a1 b0 + b1).
 * Joined over the chunks before, it gives the state the chunk really begins with, from which it runs again
 * and writes. Chunks are as many as it takes to fill the device, and one for a single step, which then is the
 * recurrence alone: one pass over the state. */
#include "kernels/cuda/matrix.cuh"
#include "kernels/cuda/ptx.cuh"

namespace
{

enum {
    STATES = 4,      /* of a thread */
    STEPS = 4,       /* rows whose loads are in flight together */
    WARPS = 16,      /* of a block at most: chunks times groups of channels */
    STEP_WARPS = 4,  /* of a block at least, where there are channels */
    CHUNK_LEAST = 8, /* rows worth a chunk */
    JOINT = STATES + 1,
    WARPS_PER_SM = 16 /* fill the device */
};
static_assert(KERNEL_SSM_STATES <= STATES * WARP, "a warp holds a channel's states");

struct place {
    int lanes, chunks, groups; /* threads of a channel; warps of a group; groups of a block */
};

/* What a thread knows of its channel. */
struct channel {
    float rate[STATES]; /* a / log 2; 0 past the last state, whose b and c are 0 too */
    float skip, bias;
    int index, first; /* of the channel; of its first state */
    bool there;       /* past the last channel a thread computes for nobody */
};

template <typename T> struct steps {
    float x[STEPS], dt[STEPS], b[STEPS][STATES], c[STEPS][STATES], z[STEPS];
};

__device__ __forceinline__ float softplus(float x)
{
    return x > 20 ? x : log1pf(expf(x));
}

/* Rows [row, row + count), count <= STEPS; missing ones are identities: dt 0. */
template <typename T, bool WRITES>
__device__ __forceinline__ void load_steps(steps<T> &v, const struct kernel_ssm_rows &in,
                                           const struct kernel_ssm &s, const channel &ch, int64_t row,
                                           int count)
{
#pragma unroll
    for (int j = 0; j < STEPS; j++) {
        bool there = j < count;
        int64_t r = row + j;
        v.x[j] = there ? to_float(((const T *)in.x)[r * s.inner + ch.index]) : 0.0f;
        v.dt[j] = there ? to_float(((const T *)in.dt)[r * s.inner + ch.index]) : 0.0f;
        if (WRITES)
            v.z[j] = there && in.z ? to_float(((const T *)in.z)[r * in.z_stride + ch.index]) : 0.0f;
#pragma unroll
        for (int i = 0; i < STATES; i++) {
            bool held = there && ch.first + i < s.states;
            v.b[j][i] = held ? to_float(((const T *)in.b)[r * in.bc_stride + ch.first + i]) : 0.0f;
            if (WRITES)
                v.c[j][i] = held ? to_float(((const T *)in.c)[r * in.bc_stride + ch.first + i]) : 0.0f;
        }
    }
#pragma unroll
    for (int j = 0; j < STEPS; j++)
        if (in.softplus && j < count)
            v.dt[j] = softplus(v.dt[j] + ch.bias);
}

/* Rows [from, to) of the packed batch from the states in h on; the sum of the steps. */
template <typename T, bool WRITES>
__device__ __forceinline__ float walk(float h[STATES], T *out, const struct kernel_ssm_rows &in,
                                      const struct kernel_ssm &s, const channel &ch, int64_t from, int64_t to,
                                      int per_warp)
{
    float total = 0;
    for (int64_t row = from; row < to; row += STEPS) {
        steps<T> v;
        int count = to - row < STEPS ? (int)(to - row) : STEPS;
        load_steps<T, WRITES>(v, in, s, ch, row, count);
#pragma unroll
        for (int j = 0; j < STEPS; j++) {
            float enter = v.dt[j] * v.x[j], y = 0;
            total += v.dt[j];
#pragma unroll
            for (int i = 0; i < STATES; i++) {
                h[i] = fmaf(exp2_fast(v.dt[j] * ch.rate[i]), h[i], enter * v.b[j][i]);
                if (WRITES)
                    y = fmaf(v.c[j][i], h[i], y);
            }
            if (!WRITES || j >= count)
                continue;
            for (int lane = per_warp; lane < WARP; lane *= 2)
                y += __shfl_xor_sync(ALL_LANES, y, lane);
            y = fmaf(ch.skip, v.x[j], y);
            if (in.z)
                y *= activate(v.z[j], KERNEL_SILU);
            if (ch.first == 0 && ch.there)
                out[(row + j) * s.inner + ch.index] = from_float<T>(y);
        }
    }
    return total;
}

/* Grid (groups of channels, sequences), block (32, chunks * groups). Shared: [warps][JOINT][32] fp32. */
template <typename T>
__global__ void __launch_bounds__(WARPS *WARP)
    ssm_scan(T *out, struct kernel_ssm_rows in, struct kernel_ssm s, struct kernel_batch batch, place p)
{
    kernel_begin();
    CUDA_SHARED(memory);
    float *joints = (float *)memory;
    int lane = threadIdx.x, warp = threadIdx.y, per_warp = WARP / p.lanes;
    int chunk = warp / p.groups, group = warp % p.groups, sequence = blockIdx.y;
    channel ch;
    ch.index = (blockIdx.x * p.groups + group) * per_warp + lane % per_warp;
    ch.there = ch.index < s.inner;
    ch.index = ch.there ? ch.index : s.inner - 1;
    ch.first = lane / per_warp * STATES;
    ch.skip = s.d[ch.index];
    ch.bias = in.softplus ? s.dt_bias[ch.index] : 0.0f;
    float *states = s.h + ((int64_t)sequence * s.states + ch.first) * s.inner + ch.index, h[STATES];
    bool fresh = batch.context[sequence] == 0;
#pragma unroll
    for (int i = 0; i < STATES; i++) {
        bool held = ch.first + i < s.states;
        ch.rate[i] = held ? s.a[(int64_t)(ch.first + i) * s.inner + ch.index] * 1.44269504088896341f : 0.0f;
        h[i] = held && !fresh ? states[(int64_t)i * s.inner] : 0.0f;
    }
    int64_t start = batch.row_start[sequence], rows = batch.row_start[sequence + 1] - start;
    int64_t from = start + rows * chunk / p.chunks, to = start + rows * (chunk + 1) / p.chunks;
    if (p.chunks > 1) {
        if (chunk < p.chunks - 1) {
            float added[STATES] = {}, *mine = joints + warp * JOINT * WARP + lane;
            mine[STATES * WARP] = walk<T, false>(added, out, in, s, ch, from, to, per_warp);
#pragma unroll
            for (int i = 0; i < STATES; i++)
                mine[i * WARP] = added[i];
        }
        __syncthreads(); /* everyone has read the states and, where out is x, its chunk's inputs */
        for (int before = 0; before < chunk; before++) {
            const float *other = joints + (before * p.groups + group) * JOINT * WARP + lane;
#pragma unroll
            for (int i = 0; i < STATES; i++)
                h[i] = fmaf(exp2_fast(other[STATES * WARP] * ch.rate[i]), h[i], other[i * WARP]);
        }
    }
    walk<T, true>(h, out, in, s, ch, from, to, per_warp);
    if (chunk < p.chunks - 1 || !ch.there)
        return;
#pragma unroll
    for (int i = 0; i < STATES; i++)
        if (ch.first + i < s.states)
            states[(int64_t)i * s.inner] = h[i];
}

int ceiling(int a, int b)
{
    return (a + b - 1) / b;
}

place place_of(const struct cuda *c, const struct kernel_ssm *s, const struct kernel_batch *batch)
{
    place p = {1, 1, 1};
    while (p.lanes * STATES < s->states)
        p.lanes *= 2;
    int64_t warps = (int64_t)batch->sequences * ceiling(s->inner, WARP / p.lanes);
    int64_t wanted = (int64_t)WARPS_PER_SM * c->multiprocessors;
    while (p.chunks < WARPS && p.chunks * warps < wanted && batch->max_rows >= 2 * p.chunks * CHUNK_LEAST)
        p.chunks *= 2;
    while (p.chunks * p.groups < STEP_WARPS && p.groups * 2 * (WARP / p.lanes) <= s->inner)
        p.groups *= 2;
    return p;
}

template <typename T>
void launch(struct kernels *k, T *out, const struct kernel_ssm_rows *in, const struct kernel_ssm *s,
            const struct kernel_batch *batch)
{
    struct cuda *c = cuda_of(k);
    place p = place_of(c, s, batch);
    int warps = p.chunks * p.groups;
    size_t shared = p.chunks > 1 ? (size_t)warps * JOINT * WARP * sizeof(float) : 0;
    dim3 grid((unsigned)ceiling(s->inner, p.groups * (WARP / p.lanes)), (unsigned)batch->sequences);
    CUDA_LAUNCH(c, (ssm_scan<T>), grid, dim3(WARP, (unsigned)warps), shared, out, *in, *s, *batch, p);
}

} // namespace

extern "C" void cuda_ssm_scan(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                              const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace)
{
    (void)workspace;
    CUDA_FOR_ACTIVATION(k, launch(k, (T *)out, rows, s, batch));
}

extern "C" size_t cuda_ssm_scan_workspace(const struct kernels *k, const struct kernel_ssm *s,
                                          const struct kernel_batch *batch)
{
    (void)k;
    (void)s;
    (void)batch;
    return 0;
}
