/* State-space layers (Mamba: Gu and Dao 2023) beside their scan: the convolution with its window, softplus
 * and gate as passes of their own, and the recurrence over stored matrices.
 *
 * conv: out[t, e] = act(bias[e] + sum_j w[j, e] x[t - (K - 1) + j, e]), x before the sequence's first row
 * from its window, which then takes the last K - 1 rows. softplus: dt = log(1 + exp(dt + bias)). gate: y = y
 * z / (1 + exp(-z)). naive: decay[r, n, e] = exp(dt a), enter[r, n, e] = dt b x for every row; then per
 * channel, token by token, h = decay h + enter, y = sum_n c h + d x, the state in memory all the while.
 *
 * Activations in T, weights, states and stored matrices fp32; channels side by side, so that a warp's
 * accesses are whole sectors. conv reads x K times, K - 1 of them from L1, and writes once. naive writes and
 * reads 8 N bytes per (row, channel), which is what it is there to show. Lengths and contexts come from
 * device memory. With one row per sequence the convolution shifts its window in the same launch: a thread
 * owns its channel. */
#include "kernels/cuda/matrix.cuh"

namespace
{

enum { THREADS = 128, ROWS = 8, TAPS = 4 }; /* ROWS: of a block of the convolution */

template <typename T>
__device__ __forceinline__ float earlier(const T *window, const struct kernel_ssm &s,
                                         const struct kernel_batch &batch, int sequence, int back,
                                         int channel)
{
    if (batch.context[sequence] == 0)
        return 0;
    return to_float(window[((int64_t)sequence * (s.taps - 1) + s.taps - 1 - back) * s.inner + channel]);
}

/* Grid (groups of channels, tiles of rows). */
template <typename T>
__global__ void __launch_bounds__(THREADS, 8)
    ssm_convolve(T *out, const T *x, int64_t stride, struct kernel_ssm s, bool silu, bool shift,
                 struct kernel_batch batch)
{
    kernel_begin();
    int channel = blockIdx.x * THREADS + threadIdx.x, first = blockIdx.y * ROWS;
    if (channel >= s.inner)
        return;
    T *window = (T *)s.window;
#pragma unroll 1 /* unrolled they take registers for nothing: a row waits for memory once */
    for (int row = first; row < first + ROWS && row < batch.rows; row++) {
        int sequence = batch_sequence(batch, row), inside = row - batch.row_start[sequence];
        const T *here = x + row * stride + channel;
        float sum = s.conv_bias[channel];
#pragma unroll 1
        for (int tap = 0; tap < s.taps; tap += TAPS) { /* TAPS loads in flight */
            float v[TAPS], weight[TAPS];
#pragma unroll
            for (int i = 0; i < TAPS; i++) {
                int back = s.taps - 1 - tap - i;
                weight[i] = back >= 0 ? s.conv[(int64_t)(tap + i) * s.inner + channel] : 0.0f;
                v[i] = back < 0         ? 0.0f
                       : back <= inside ? to_float(here[-back * stride])
                                        : earlier(window, s, batch, sequence, back - inside, channel);
            }
#pragma unroll
            for (int i = 0; i < TAPS; i++)
                sum = fmaf(v[i], weight[i], sum);
        }
        out[(int64_t)row * s.inner + channel] = from_float<T>(silu ? activate(sum, KERNEL_SILU) : sum);
        if (!shift)
            continue;
        T *mine = window + (int64_t)sequence * (s.taps - 1) * s.inner + channel;
#pragma unroll 1
        for (int j = 0; j + 1 < s.taps - 1; j++)
            mine[(int64_t)j * s.inner] =
                from_float<T>(earlier(window, s, batch, sequence, s.taps - 2 - j, channel));
        mine[(int64_t)(s.taps - 2) * s.inner] = *here;
    }
}

/* Grid (groups of channels, sequences): the last rows, behind them in ascending order what stays. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    ssm_shift(const T *x, int64_t stride, struct kernel_ssm s, struct kernel_batch batch)
{
    kernel_begin();
    int channel = blockIdx.x * THREADS + threadIdx.x, sequence = blockIdx.y;
    if (channel >= s.inner)
        return;
    T *window = (T *)s.window;
    int64_t last = batch.row_start[sequence + 1];
    int rows = batch.row_start[sequence + 1] - batch.row_start[sequence];
    for (int back = s.taps - 1; back > 0; back--) {
        float v = back <= rows ? to_float(x[(last - back) * stride + channel])
                               : earlier(window, s, batch, sequence, back - rows, channel);
        window[((int64_t)sequence * (s.taps - 1) + s.taps - 1 - back) * s.inner + channel] = from_float<T>(v);
    }
}

__device__ __forceinline__ float softplus(float x)
{
    return x > 20 ? x : log1pf(expf(x));
}

/* Grid (rows, groups of channels). */
template <typename T>
__global__ void __launch_bounds__(THREADS) ssm_softplus(T *dt, const float *bias, int width)
{
    kernel_begin();
    int col = blockIdx.y * THREADS + threadIdx.x;
    if (col >= width)
        return;
    T *at = dt + (int64_t)blockIdx.x * width + col;
    *at = from_float<T>(softplus(to_float(*at) + bias[col]));
}

template <typename T>
__global__ void __launch_bounds__(THREADS) ssm_gate(T *y, const T *z, int64_t stride, int width)
{
    kernel_begin();
    int col = blockIdx.y * THREADS + threadIdx.x;
    if (col >= width)
        return;
    T *at = y + (int64_t)blockIdx.x * width + col;
    *at = from_float<T>(to_float(*at) * activate(to_float(z[blockIdx.x * stride + col]), KERNEL_SILU));
}

/* Grid (rows, groups of channels): all states of a channel. decay, then enter: [rows, N, E] each. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    ssm_discretize(float *decay, float *enter, struct kernel_ssm_rows in, struct kernel_ssm s)
{
    kernel_begin();
    int64_t row = blockIdx.x;
    int channel = blockIdx.y * THREADS + threadIdx.x;
    if (channel >= s.inner)
        return;
    const T *b = (const T *)in.b + row * in.bc_stride;
    float dt = to_float(((const T *)in.dt)[row * s.inner + channel]);
    float x = to_float(((const T *)in.x)[row * s.inner + channel]);
    for (int n = 0; n < s.states; n++) {
        int64_t at = (row * s.states + n) * s.inner + channel;
        decay[at] = expf(dt * s.a[(int64_t)n * s.inner + channel]);
        enter[at] = dt * to_float(b[n]) * x;
    }
}

/* Grid (groups of channels, sequences). out may be x. */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    ssm_recur(T *out, const float *decay, const float *enter, struct kernel_ssm_rows in, struct kernel_ssm s,
              struct kernel_batch batch)
{
    kernel_begin();
    int channel = blockIdx.x * THREADS + threadIdx.x, sequence = blockIdx.y;
    if (channel >= s.inner)
        return;
    float *h = s.h + (int64_t)sequence * s.states * s.inner + channel, skip = s.d[channel];
    bool fresh = batch.context[sequence] == 0;
    for (int64_t row = batch.row_start[sequence]; row < batch.row_start[sequence + 1]; row++) {
        const T *c = (const T *)in.c + row * in.bc_stride;
        float y = skip * to_float(((const T *)in.x)[row * s.inner + channel]);
        for (int n = 0; n < s.states; n++) {
            int64_t at = (row * s.states + n) * s.inner + channel, of = (int64_t)n * s.inner;
            float before = fresh ? 0.0f : h[of], next = fmaf(decay[at], before, enter[at]);
            h[of] = next;
            y = fmaf(next, to_float(c[n]), y);
        }
        fresh = false;
        out[row * s.inner + channel] = from_float<T>(y);
    }
}

unsigned groups(int channels)
{
    return (unsigned)((channels + THREADS - 1) / THREADS);
}

template <typename T>
void launch_conv(struct kernels *k, T *out, const T *x, int64_t stride, const struct kernel_ssm *s, bool silu,
                 const struct kernel_batch *batch)
{
    struct cuda *c = cuda_of(k);
    bool step = batch->max_rows == 1 && batch->rows == batch->sequences;
    dim3 tiles(groups(s->inner), (unsigned)((batch->rows + ROWS - 1) / ROWS));
    CUDA_LAUNCH(c, (ssm_convolve<T>), tiles, THREADS, 0, out, x, stride, *s, silu, step, *batch);
    if (!step)
        CUDA_LAUNCH(c, (ssm_shift<T>), dim3(groups(s->inner), (unsigned)batch->sequences), THREADS, 0, x,
                    stride, *s, *batch);
}

template <typename T>
void launch_naive(struct kernels *k, T *out, const struct kernel_ssm_rows *in, const struct kernel_ssm *s,
                  const struct kernel_batch *batch, float *decay)
{
    struct cuda *c = cuda_of(k);
    float *enter = decay + (int64_t)batch->rows * s->states * s->inner;
    CUDA_LAUNCH(c, (ssm_discretize<T>), dim3((unsigned)batch->rows, groups(s->inner)), THREADS, 0, decay,
                enter, *in, *s);
    CUDA_LAUNCH(c, (ssm_recur<T>), dim3(groups(s->inner), (unsigned)batch->sequences), THREADS, 0, out, decay,
                enter, *in, *s, *batch);
}

} // namespace

extern "C" void cuda_ssm_conv(struct kernels *k, void *out, const void *x, int x_stride,
                              const struct kernel_ssm *s, bool silu, const struct kernel_batch *batch)
{
    CUDA_FOR_ACTIVATION(k, launch_conv(k, (T *)out, (const T *)x, (int64_t)x_stride, s, silu, batch));
}

extern "C" void cuda_ssm_softplus(struct kernels *k, void *dt, const float *bias, int rows, int width)
{
    struct cuda *c = cuda_of(k);
    CUDA_FOR_ACTIVATION(k, CUDA_LAUNCH(c, (ssm_softplus<T>), dim3((unsigned)rows, groups(width)), THREADS, 0,
                                       (T *)dt, bias, width));
}

extern "C" void cuda_ssm_gate(struct kernels *k, void *y, const void *z, int z_stride, int rows, int width)
{
    struct cuda *c = cuda_of(k);
    CUDA_FOR_ACTIVATION(k, CUDA_LAUNCH(c, (ssm_gate<T>), dim3((unsigned)rows, groups(width)), THREADS, 0,
                                       (T *)y, (const T *)z, (int64_t)z_stride, width));
}

extern "C" void cuda_ssm_naive(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                               const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace)
{
    if (rows->softplus)
        cuda_ssm_softplus(k, rows->dt, s->dt_bias, batch->rows, s->inner);
    CUDA_FOR_ACTIVATION(k, launch_naive(k, (T *)out, rows, s, batch, (float *)workspace));
    if (rows->z)
        cuda_ssm_gate(k, out, rows->z, rows->z_stride, batch->rows, s->inner);
}

extern "C" size_t cuda_ssm_naive_workspace(const struct kernels *k, const struct kernel_ssm *s,
                                           const struct kernel_batch *batch)
{
    (void)k;
    return 2 * (size_t)batch->rows * (size_t)s->states * (size_t)s->inner * sizeof(float);
}
