/* The unfused elementwise steps, in fp32 between loads and stores.
 *
 * add: out = a + b. add_bias: x[r] += bias. activate: x = act(x). multiply_silu: out = silu(gate) * up.
 *
 * Arrays of the activations' type, bias fp32. One 16-byte pack per thread and step where every array begins
 * on 16 bytes, single elements elsewhere and at the end; each array is read or written once. out may be an
 * operand. */
#include "kernels/cuda/matrix.cuh"

namespace
{

enum { THREADS = 256 };

struct sum {
    template <typename T> __device__ __forceinline__ T operator()(T a, T b) const
    {
        return from_float<T>(to_float(a) + to_float(b));
    }
};

struct gated {
    template <typename T> __device__ __forceinline__ T operator()(T gate, T up) const
    {
        return from_float<T>(activate(to_float(gate), KERNEL_SILU) * to_float(up));
    }
};

template <enum kernel_activation ACTIVATION> struct activated {
    template <typename T> __device__ __forceinline__ T operator()(T a, T) const
    {
        return from_float<T>(activate(to_float(a), ACTIVATION));
    }
};

/* out = f(a, b) for n elements, the first `packs` packs of them 16 bytes at a time. b is a where f takes one.
 */
template <typename F, typename T>
__global__ void __launch_bounds__(THREADS)
    elementwise(T *out, const T *a, const T *b, F f, int64_t packs, int64_t n)
{
    kernel_begin();
    constexpr int COUNT = pack<T>::COUNT;
    int64_t step = (int64_t)gridDim.x * THREADS, thread = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    for (int64_t i = thread; i < packs; i += step) {
        pack<T> p = load_pack(a + i * COUNT), q = p;
        if (b != a)
            q = load_pack(b + i * COUNT);
        for (int j = 0; j < COUNT; j++)
            p.at[j] = f(p.at[j], q.at[j]);
        store_pack(out + i * COUNT, p);
    }
    for (int64_t i = packs * COUNT + thread; i < n; i += step)
        out[i] = f(a[i], b[i]);
}

template <typename F, typename T>
void launch(struct kernels *k, T *out, const T *a, const T *b, F f, int64_t n)
{
    struct cuda *c = cuda_of(k);
    int64_t packs = aligned_16(out) && aligned_16(a) && aligned_16(b) ? n / pack<T>::COUNT : 0;
    if (n > 0)
        CUDA_LAUNCH(c, (elementwise<F, T>), grid_for(c, packs ? packs : n, THREADS), THREADS, 0, out, a, b, f,
                    packs, n);
}

/* Grid (rows, groups of columns); V columns per thread. */
template <typename T, int V>
__global__ void __launch_bounds__(THREADS) bias_rows(T *x, int64_t stride, const float *bias, int width)
{
    kernel_begin();
    int col = ((int)blockIdx.y * THREADS + (int)threadIdx.x) * V;
    if (col >= width)
        return;
    T *at = x + blockIdx.x * stride + col;
    if constexpr (V == 1) {
        *at = from_float<T>(to_float(*at) + bias[col]);
    } else {
        pack<T> p = load_pack(at);
        for (int part = 0; part < V; part += 4) {
            pack<float> b = load_pack(bias + col + part);
            for (int i = 0; i < 4; i++)
                p.at[part + i] = from_float<T>(to_float(p.at[part + i]) + b.at[i]);
        }
        store_pack(at, p);
    }
}

template <typename T>
void launch_bias(struct kernels *k, T *x, int stride, const float *bias, int rows, int width)
{
    struct cuda *c = cuda_of(k);
    constexpr int COUNT = pack<T>::COUNT;
    bool packs = aligned_16(x) && aligned_16(bias) && stride % COUNT == 0 && width % COUNT == 0;
    int units = packs ? width / COUNT : width;
    dim3 grid((unsigned)rows, (unsigned)((units + THREADS - 1) / THREADS));
    if (rows == 0)
        return;
    if (packs)
        CUDA_LAUNCH(c, (bias_rows<T, COUNT>), grid, THREADS, 0, x, (int64_t)stride, bias, width);
    else
        CUDA_LAUNCH(c, (bias_rows<T, 1>), grid, THREADS, 0, x, (int64_t)stride, bias, width);
}

template <typename T>
void launch_activation(struct kernels *k, T *x, enum kernel_activation activation, int64_t n)
{
    switch (activation) {
    case KERNEL_GELU_TANH:
        launch(k, x, (const T *)x, (const T *)x, activated<KERNEL_GELU_TANH>(), n);
        break;
    case KERNEL_GELU_ERF:
        launch(k, x, (const T *)x, (const T *)x, activated<KERNEL_GELU_ERF>(), n);
        break;
    case KERNEL_SILU:
        launch(k, x, (const T *)x, (const T *)x, activated<KERNEL_SILU>(), n);
        break;
    case KERNEL_TANH:
        launch(k, x, (const T *)x, (const T *)x, activated<KERNEL_TANH>(), n);
        break;
    case KERNEL_LINEAR:
        break;
    }
}

} // namespace

extern "C" void cuda_add(struct kernels *k, void *out, const void *a, const void *b, int64_t n)
{
    CUDA_FOR_ACTIVATION(k, launch(k, (T *)out, (const T *)a, (const T *)b, sum(), n));
}

extern "C" void cuda_add_bias(struct kernels *k, void *x, int stride, const float *bias, int rows, int width)
{
    CUDA_FOR_ACTIVATION(k, launch_bias(k, (T *)x, stride, bias, rows, width));
}

extern "C" void cuda_activate(struct kernels *k, void *x, enum kernel_activation activation, int64_t n)
{
    CUDA_FOR_ACTIVATION(k, launch_activation(k, (T *)x, activation, n));
}

extern "C" void cuda_multiply_silu(struct kernels *k, void *out, const void *gate, const void *up, int64_t n)
{
    CUDA_FOR_ACTIVATION(k, launch(k, (T *)out, (const T *)gate, (const T *)up, gated(), n));
}
