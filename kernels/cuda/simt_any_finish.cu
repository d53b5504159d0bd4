/* What stands before and after a product library: quantizing x, scaling int32 sums, the activations the
 * library does not know, gate times up, the largest logit. All of it is bound by memory: every element is
 * read and written once, neighboring threads take neighboring elements.
 *
 * Bytes: quantize rows cols (b + 1), x twice but the second time from cache; finish_s8 rows n (4 + b);
 * finish 2 rows n b; gate_up 3 rows f b; argmax 4 rows n. */
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/product.h"

enum { THREADS = 256 };

static dim3 grid_over(int64_t width, int rows)
{
    int64_t blocks = (width + THREADS - 1) / THREADS;
    return dim3((unsigned)blocks, (unsigned)(rows < 65535 ? rows : 65535));
}

/* One block a row. Every thread's q depends on the row's absmax alone, so that x is read twice. */
template <typename T>
static __global__ void quantize_rows(int8_t *q, int q_stride, float *scales, const T *x, int x_stride,
                                     int cols)
{
    kernel_begin();
    __shared__ float scratch[WARP + 1];
    const T *from = x + (int64_t)blockIdx.x * x_stride;
    int8_t *to = q + (int64_t)blockIdx.x * q_stride;
    float largest = 0;
    for (int i = threadIdx.x; i < cols; i += THREADS)
        largest = fmaxf(largest, fabsf(to_float(from[i])));
    largest = warp_max(largest);
    if (threadIdx.x % WARP == 0)
        scratch[threadIdx.x / WARP] = largest;
    __syncthreads();
    if (threadIdx.x < WARP) {
        largest = warp_max(threadIdx.x < THREADS / WARP ? scratch[threadIdx.x] : 0.0f);
        if (threadIdx.x == 0)
            scratch[WARP] = largest;
    }
    __syncthreads();
    largest = scratch[WARP];
    float inverse = largest > 0 ? 127 / largest : 0;
    for (int i = threadIdx.x; i < q_stride; i += THREADS)
        to[i] = i < cols ? (int8_t)rintf(to_float(from[i]) * inverse) : (int8_t)0;
    if (threadIdx.x == 0)
        scales[blockIdx.x] = largest / 127;
}

extern "C" void cuda_quantize_rows(struct kernels *k, int8_t *q, int q_stride, float *scales, const void *x,
                                   int x_stride, int rows, int cols)
{
    CUDA_FOR_ACTIVATION(k, CUDA_LAUNCH(cuda_of(k), (quantize_rows<T>), dim3((unsigned)rows), dim3(THREADS), 0,
                                       q, q_stride, scales, static_cast<const T *>(x), x_stride, cols));
}

template <typename O>
static __global__ void finish_s8(O *out, int out_stride, const int32_t *sums, const float *x_scales,
                                 const float *w_scales, struct kernel_epilogue epilogue, int rows, int n)
{
    kernel_begin();
    int col = blockIdx.x * THREADS + threadIdx.x;
    if (col >= n)
        return;
    float scale = w_scales[col], bias = epilogue.bias ? epilogue.bias[col] : 0;
    for (int row = blockIdx.y; row < rows; row += gridDim.y) {
        O *to = out + (int64_t)row * out_stride + col;
        float y = (float)sums[(int64_t)row * n + col] * (x_scales[row] * scale) + bias;
        y = activate(y, epilogue.activation);
        *to = from_float<O>(epilogue.accumulate ? y + to_float(*to) : y);
    }
}

extern "C" void cuda_finish_s8(struct kernels *k, void *out, int out_stride, const int32_t *sums,
                               const float *x_scales, const struct kernel_matrix *m,
                               const struct kernel_epilogue *epilogue, int rows)
{
    struct cuda *c = cuda_of(k);
    dim3 grid = grid_over(m->rows, rows);
    if (epilogue->fp32)
        CUDA_LAUNCH(c, (finish_s8<float>), grid, dim3(THREADS), 0, static_cast<float *>(out), out_stride,
                    sums, x_scales, m->scales, *epilogue, rows, (int)m->rows);
    else
        CUDA_FOR_ACTIVATION(k, CUDA_LAUNCH(c, (finish_s8<T>), grid, dim3(THREADS), 0, static_cast<T *>(out),
                                           out_stride, sums, x_scales, m->scales, *epilogue, rows,
                                           (int)m->rows));
}

template <typename O>
static __global__ void finish(O *out, int out_stride, enum kernel_activation activation, int rows, int n)
{
    kernel_begin();
    int col = blockIdx.x * THREADS + threadIdx.x;
    if (col >= n)
        return;
    for (int row = blockIdx.y; row < rows; row += gridDim.y) {
        O *at = out + (int64_t)row * out_stride + col;
        *at = from_float<O>(activate(to_float(*at), activation));
    }
}

extern "C" void cuda_finish(struct kernels *k, void *out, int out_stride, bool fp32,
                            enum kernel_activation activation, int rows, int64_t n)
{
    struct cuda *c = cuda_of(k);
    dim3 grid = grid_over(n, rows);
    if (fp32)
        CUDA_LAUNCH(c, (finish<float>), grid, dim3(THREADS), 0, static_cast<float *>(out), out_stride,
                    activation, rows, (int)n);
    else
        CUDA_FOR_ACTIVATION(k, CUDA_LAUNCH(c, (finish<T>), grid, dim3(THREADS), 0, static_cast<T *>(out),
                                           out_stride, activation, rows, (int)n));
}

template <typename T> static __global__ void narrow(T *out, const float *from, int n)
{
    kernel_begin();
    int i = blockIdx.x * THREADS + threadIdx.x;
    if (i < n)
        out[i] = from_float<T>(from[i]);
}

extern "C" void cuda_narrow(struct kernels *k, void *out, const float *from, int64_t n)
{
    CUDA_FOR_ACTIVATION(k, CUDA_LAUNCH(cuda_of(k), (narrow<T>), grid_over(n, 1), dim3(THREADS), 0,
                                       static_cast<T *>(out), from, (int)n));
}

template <typename T> static __global__ void finish_gate_up(T *out, const T *both, int rows, int f)
{
    kernel_begin();
    int col = blockIdx.x * THREADS + threadIdx.x;
    if (col >= f)
        return;
    for (int row = blockIdx.y; row < rows; row += gridDim.y) {
        const T *gate = both + (int64_t)row * 2 * f + col;
        out[(int64_t)row * f + col] =
            from_float<T>(activate(to_float(gate[0]), KERNEL_SILU) * to_float(gate[f]));
    }
}

/* Eight or four neighbors a thread, where rows begin at multiples of 16 bytes. */
template <typename T> static __global__ void finish_gate_up_packed(T *out, const T *both, int rows, int f)
{
    kernel_begin();
    int col = (blockIdx.x * THREADS + threadIdx.x) * pack<T>::COUNT;
    if (col >= f)
        return;
    for (int row = blockIdx.y; row < rows; row += gridDim.y) {
        pack<T> gate = load_pack(both + (int64_t)row * 2 * f + col);
        pack<T> up = load_pack(both + (int64_t)row * 2 * f + f + col);
        for (int i = 0; i < pack<T>::COUNT; i++)
            gate.at[i] = from_float<T>(activate(to_float(gate.at[i]), KERNEL_SILU) * to_float(up.at[i]));
        store_pack(out + (int64_t)row * f + col, gate);
    }
}

extern "C" void cuda_finish_gate_up(struct kernels *k, void *out, const void *both, int rows, int f)
{
    struct cuda *c = cuda_of(k);
    CUDA_FOR_ACTIVATION(
        k, bool packed = f % pack<T>::COUNT == 0 && ((uintptr_t)out | (uintptr_t)both) % sizeof(pack<T>) == 0;
        if (packed)
            CUDA_LAUNCH(c, (finish_gate_up_packed<T>), grid_over(f / pack<T>::COUNT, rows), dim3(THREADS), 0,
                        static_cast<T *>(out), static_cast<const T *>(both), rows, f);
        else CUDA_LAUNCH(c, (finish_gate_up<T>), grid_over(f, rows), dim3(THREADS), 0, static_cast<T *>(out),
                         static_cast<const T *>(both), rows, f));
}

struct candidate {
    float value;
    int32_t id;
};

static __device__ __forceinline__ candidate better(candidate a, candidate b)
{
    return b.value > a.value || (b.value == a.value && b.id < a.id) ? b : a;
}

static __device__ __forceinline__ candidate best_of_warp(candidate best)
{
    for (int lane = WARP / 2; lane > 0; lane /= 2) {
        candidate other = {__shfl_xor_sync(ALL_LANES, best.value, lane),
                           __shfl_xor_sync(ALL_LANES, best.id, lane)};
        best = better(best, other);
    }
    return best;
}

/* One block a row. A row of NaN alone, or of minus infinity, has token 0. */
static __global__ void argmax_piece(int32_t *ids, float *best_of_row, const float *logits, int stride, int n,
                                    int32_t first)
{
    kernel_begin();
    __shared__ float values[THREADS / WARP];
    __shared__ int32_t tokens[THREADS / WARP];
    const float *row = logits + (int64_t)blockIdx.x * stride;
    candidate best = {-INFINITY, INT32_MAX};
    for (int i = threadIdx.x; i < n; i += THREADS)
        if (row[i] > best.value)
            best = {row[i], first + i};
    best = best_of_warp(best);
    if (threadIdx.x % WARP == 0) {
        values[threadIdx.x / WARP] = best.value;
        tokens[threadIdx.x / WARP] = best.id;
    }
    __syncthreads();
    if (threadIdx.x >= WARP)
        return;
    bool mine = threadIdx.x < THREADS / WARP;
    best = best_of_warp(mine ? candidate{values[threadIdx.x], tokens[threadIdx.x]}
                             : candidate{-INFINITY, INT32_MAX});
    if (threadIdx.x != 0)
        return;
    if (first != 0 && !(best.value > best_of_row[blockIdx.x]))
        return;
    best_of_row[blockIdx.x] = best.value;
    ids[blockIdx.x] = best.id == INT32_MAX ? 0 : best.id;
}

extern "C" void cuda_argmax_piece(struct kernels *k, int32_t *ids, float *best, const float *logits,
                                  int stride, int rows, int64_t n, int64_t first)
{
    CUDA_LAUNCH(cuda_of(k), argmax_piece, dim3((unsigned)rows), dim3(THREADS), 0, ids, best, logits, stride,
                (int)n, (int32_t)first);
}
