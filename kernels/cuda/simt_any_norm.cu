/* Root-mean-square norm and layer norm over rows, alone or behind the residual's addition.
 *
 * RMS:   out = x / sqrt(mean(x^2) + eps) * weight (+ bias)
 * layer: out = (x - mean(x)) / sqrt(mean((x - mean)^2) + eps) * weight (+ bias)
 * add_norm: residual = round(residual + x), out = norm(residual): the values of the two steps apart.
 *
 * x, residual, out: [rows, width] of the activations' type; weight, bias: [width] fp32. Reads each row once
 * and writes it once (add_norm: two reads, two writes); 4 FLOPs per element.
 *
 * One block per row. The row waits in registers between the passes, the variance is a second pass over them
 * (E[x^2] - mean^2 would cancel). Few rows (decode) get a thread per 16-byte pack, so that a row is one load
 * deep; many rows get 256 threads with several packs each, so that an SM works on several rows. */
#include "kernels/cuda/matrix.cuh"

namespace
{

enum { MOST_THREADS = 1024, MANY_ROWS_THREADS = 256 };

/* Packs of V elements that a thread of 64 registers keeps. */
constexpr int most_packs(int v)
{
    return v == 1 ? 8 : 4;
}

/* V elements from p on as fp32: one pack, or one element. */
template <int V, typename T> __device__ __forceinline__ void load_unit(float v[V], const T *p)
{
    if constexpr (V == 1) {
        v[0] = to_float(*p);
    } else {
        for (int part = 0; part < V; part += pack<T>::COUNT) {
            pack<T> q = load_pack(p + part);
            for (int i = 0; i < pack<T>::COUNT && part + i < V; i++)
                v[part + i] = to_float(q.at[i]);
        }
    }
}

template <int V, typename T> __device__ __forceinline__ void store_unit(T *p, const float v[V])
{
    if constexpr (V == 1) {
        *p = from_float<T>(v[0]);
    } else {
        pack<T> q;
        for (int i = 0; i < V; i++)
            q.at[i] = from_float<T>(v[i]);
        store_pack(p, q);
    }
}

/* A row of at most blockDim.x * PACKS units of V elements. x == NULL: no addition. out may be x or residual:
 * every element is read before it is written, by the same thread. */
template <typename T, int V, int PACKS>
__global__ void __launch_bounds__(MOST_THREADS)
    norm_rows(T *out, T *residual, const T *x, struct kernel_norm norm)
{
    kernel_begin();
    __shared__ float scratch[WARP + 1];
    int64_t start = (int64_t)blockIdx.x * norm.width;
    int units = norm.width / V;
    float v[PACKS][V], mean = 0, square = 0;
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        int unit = p * blockDim.x + threadIdx.x;
        for (int i = 0; i < V; i++)
            v[p][i] = 0;
        if (unit < units)
            load_unit<V>(v[p], (residual ? residual : x) + start + unit * V);
    }
    if (residual) {
#pragma unroll
        for (int p = 0; p < PACKS; p++) {
            int unit = p * blockDim.x + threadIdx.x;
            if (unit >= units)
                continue;
            float add[V];
            load_unit<V>(add, x + start + unit * V);
            for (int i = 0; i < V; i++)
                v[p][i] = to_float(from_float<T>(v[p][i] + add[i]));
            if (out != residual)
                store_unit<V>(residual + start + unit * V, v[p]);
        }
    }
    /* Weights of a short row arrive while the sums are made. */
    constexpr bool EARLY = PACKS * V <= 8;
    float weight[EARLY ? PACKS : 1][V] = {};
    if constexpr (EARLY) {
#pragma unroll
        for (int p = 0; p < PACKS; p++)
            if (int unit = p * blockDim.x + threadIdx.x; unit < units)
                load_unit<V>(weight[p], norm.weight + unit * V);
    }
    if (norm.kind == KERNEL_LAYER_NORM) {
        for (int p = 0; p < PACKS; p++)
            for (int i = 0; i < V; i++)
                mean += v[p][i];
        mean = block_sum(mean, scratch) / norm.width;
    }
#pragma unroll
    for (int p = 0; p < PACKS; p++)
        if (p * (int)blockDim.x + (int)threadIdx.x < units)
            for (int i = 0; i < V; i++)
                square += (v[p][i] - mean) * (v[p][i] - mean);
    float scale = 1 / sqrtf(block_sum(square, scratch) / norm.width + norm.eps);
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        int unit = p * blockDim.x + threadIdx.x;
        if (unit >= units)
            continue;
        float *w = weight[EARLY ? p : 0], bias[V];
        if constexpr (!EARLY)
            load_unit<V>(w, norm.weight + unit * V);
        for (int i = 0; i < V; i++)
            v[p][i] = (v[p][i] - mean) * scale * w[i];
        if (norm.bias) {
            load_unit<V>(bias, norm.bias + unit * V);
            for (int i = 0; i < V; i++)
                v[p][i] += bias[i];
        }
        store_unit<V>(out + start + unit * V, v[p]);
    }
}

/* Rows wider than registers hold: read again for every pass. */
template <typename T>
__global__ void __launch_bounds__(MOST_THREADS)
    norm_wide_rows(T *out, T *residual, const T *x, struct kernel_norm norm)
{
    kernel_begin();
    __shared__ float scratch[WARP + 1];
    int64_t start = (int64_t)blockIdx.x * norm.width;
    const T *row = (residual ? residual : x) + start;
    float mean = 0, square = 0;
    if (residual)
        for (int i = threadIdx.x; i < norm.width; i += blockDim.x)
            residual[start + i] = from_float<T>(to_float(residual[start + i]) + to_float(x[start + i]));
    if (norm.kind == KERNEL_LAYER_NORM) {
        for (int i = threadIdx.x; i < norm.width; i += blockDim.x)
            mean += to_float(row[i]);
        mean = block_sum(mean, scratch) / norm.width;
    }
    for (int i = threadIdx.x; i < norm.width; i += blockDim.x)
        square += (to_float(row[i]) - mean) * (to_float(row[i]) - mean);
    float scale = 1 / sqrtf(block_sum(square, scratch) / norm.width + norm.eps);
    for (int i = threadIdx.x; i < norm.width; i += blockDim.x) {
        float v = (to_float(row[i]) - mean) * scale * norm.weight[i];
        out[start + i] = from_float<T>(norm.bias ? v + norm.bias[i] : v);
    }
}

template <typename T, int V>
void launch(struct cuda *c, T *out, T *residual, const T *x, const struct kernel_norm *norm, int rows)
{
    constexpr int MOST = most_packs(V);
    int units = norm->width / V;
    int threads = rows < 2 * c->multiprocessors ? MOST_THREADS : MANY_ROWS_THREADS;
    if (units > threads * MOST)
        threads = MOST_THREADS;
    int packs = (units + threads - 1) / threads;
    if (packs > MOST) {
        CUDA_LAUNCH(c, (norm_wide_rows<T>), (unsigned)rows, MOST_THREADS, 0, out, residual, x, *norm);
        return;
    }
    packs = packs <= 2 ? packs : packs <= 4 ? 4 : MOST;
    threads = ((units + packs - 1) / packs + WARP - 1) / WARP * WARP;
    if (packs == 1)
        CUDA_LAUNCH(c, (norm_rows<T, V, 1>), (unsigned)rows, threads, 0, out, residual, x, *norm);
    else if (packs == 2)
        CUDA_LAUNCH(c, (norm_rows<T, V, 2>), (unsigned)rows, threads, 0, out, residual, x, *norm);
    else if (packs == 4)
        CUDA_LAUNCH(c, (norm_rows<T, V, 4>), (unsigned)rows, threads, 0, out, residual, x, *norm);
    else
        CUDA_LAUNCH(c, (norm_rows<T, V, MOST>), (unsigned)rows, threads, 0, out, residual, x, *norm);
}

template <typename T>
void choose(struct kernels *k, T *out, T *residual, const T *x, const struct kernel_norm *norm, int rows)
{
    struct cuda *c = cuda_of(k);
    bool packs = norm->width % pack<T>::COUNT == 0 && aligned_16(out) && aligned_16(x) &&
                 aligned_16(residual) && aligned_16(norm->weight) && aligned_16(norm->bias);
    if (rows == 0)
        return;
    if (packs)
        launch<T, pack<T>::COUNT>(c, out, residual, x, norm, rows);
    else
        launch<T, 1>(c, out, residual, x, norm, rows);
}

} // namespace

extern "C" void cuda_norm(struct kernels *k, void *out, const void *x, const struct kernel_norm *norm,
                          int rows)
{
    CUDA_FOR_ACTIVATION(k, choose<T>(k, (T *)out, NULL, (const T *)x, norm, rows));
}

extern "C" void cuda_add_norm(struct kernels *k, void *out, void *residual, const void *x,
                              const struct kernel_norm *norm, int rows)
{
    CUDA_FOR_ACTIVATION(k, choose<T>(k, (T *)out, (T *)residual, (const T *)x, norm, rows));
}
