/* What all kernels share on the device side: element types, 16-byte packs, warp and block reductions,
 * launches.
 *
 * The same source is compiled by nvcc and, for tests/emu, by the host compiler (reference: one fiber per
 * thread):
 *  - a kernel is launched by CUDA_LAUNCH alone (templates in parentheses), dynamic shared memory comes from
 *    CUDA_SHARED, inline PTX stands in kernels/cuda/ptx.cuh alone;
 *  - its first statement is kernel_begin();
 *  - lanes never rely on marching together: every exchange is a _sync intrinsic naming its lanes. */
#pragma once

#include "kernels/cuda/cuda.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#ifdef __CUDACC__
#define CUDA_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define CUDA_LAUNCH(c, kernel, grid, block, shared, ...)                                                     \
    do {                                                                                                     \
        if ((shared) > 48 * 1024)                                                                            \
            cuda_allow_shared((c), (const void *)(kernel), (shared));                                        \
        cuda_check((c), cuda_launch((c), (grid), (block), (shared), (kernel), __VA_ARGS__), #kernel);        \
    } while (0)

/* As <<<grid, block, shared, stream>>>. Where launches overlap (struct cuda), the kernel may be set up while
 * the one before it still runs; kernel_begin says why that is safe. */
template <typename... P, typename... A>
static inline cudaError_t cuda_launch(const struct cuda *c, dim3 grid, dim3 block, size_t shared,
                                      void (*kernel)(P...), A... arguments)
{
    cudaLaunchAttribute overlap = {};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t how = {};
    how.gridDim = grid;
    how.blockDim = block;
    how.dynamicSmemBytes = shared;
    how.stream = c->stream;
    how.attrs = &overlap;
    how.numAttrs = c->overlap ? 1 : 0;
    return cudaLaunchKernelEx(&how, kernel, static_cast<P>(arguments)...);
}
#else
#include "emulator.h"
#define CUDA_SHARED(name) unsigned char *name = emulator_shared()
#define CUDA_LAUNCH(c, kernel, grid, block, shared, ...)                                                     \
    do {                                                                                                     \
        if ((shared) > 48 * 1024)                                                                            \
            cuda_allow_shared((c), (const void *)(kernel), (shared));                                        \
        emulator_launch(#kernel, (grid), (block), (shared), (c)->stream, (kernel), __VA_ARGS__);             \
        cuda_check((c), cudaGetLastError(), #kernel);                                                        \
    } while (0)
#endif

/* The first statement of every kernel. On sm_90 and later a kernel is set up while those before it still run
 * (programmatic dependent launch, CUDA C++ Programming Guide; PTX ISA, griddepcontrol), which hides most of
 * what a launch costs in decode. First the next one is let in: its blocks take the multiprocessors that are
 * free as soon as every block of this one has begun, and wait here in their turn, so that several small
 * kernels and the product behind them, which asks L2 for its weights before it waits (prefetch_bulk), stand
 * ready when their turn comes. Then this one waits.
 *
 * Why that is safe. Nothing is read or written before the wait returns; what asks L2 for weights looks at
 * nothing. The wait of kernel n returns when n - 1 has ended and its writes can be seen. n - 1 ended when
 * each of its threads had, so after its own wait had returned, so after n - 2 had ended; and so on, to the
 * first that was launched without overlap. What n - 2 wrote could be seen by n - 1 before it ended, so by n.
 * Hence n sees all that was written before it, and nobody still reads what it writes. Nobody waits for ever:
 * blocks are let in when all of the kernel before have begun, so they never hold a place which a kernel that
 * they wait for still needs. A kernel that lacks the line, or a path around it, would break the chain:
 * tests/build/kernels_test.sh looks at each. */
static __device__ __forceinline__ void kernel_begin(void)
{
#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 900
    cudaTriggerProgrammaticLaunchCompletion();
    cudaGridDependencySynchronize();
#endif
}

/* T is float, __half or __nv_bfloat16 for activations k: a switch in one place. */
#define CUDA_FOR_ACTIVATION(k, ...)                                                                          \
    do {                                                                                                     \
        switch ((k)->activation) {                                                                           \
        case KERNEL_FP16: {                                                                                  \
            using T = __half;                                                                                \
            __VA_ARGS__;                                                                                     \
        } break;                                                                                             \
        case KERNEL_BF16: {                                                                                  \
            using T = __nv_bfloat16;                                                                         \
            __VA_ARGS__;                                                                                     \
        } break;                                                                                             \
        default: {                                                                                           \
            using T = float;                                                                                 \
            __VA_ARGS__;                                                                                     \
        }                                                                                                    \
        }                                                                                                    \
    } while (0)

static __device__ __forceinline__ float to_float(float x)
{
    return x;
}
static __device__ __forceinline__ float to_float(__half x)
{
    return __half2float(x);
}
static __device__ __forceinline__ float to_float(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

template <typename T> __device__ __forceinline__ T from_float(float x);
template <> __device__ __forceinline__ float from_float<float>(float x)
{
    return x;
}
template <> __device__ __forceinline__ __half from_float<__half>(float x)
{
    return __float2half_rn(x);
}
template <> __device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x)
{
    return __float2bfloat16_rn(x);
}

/* 16 bytes of elements: one load or store of a thread. Addresses must be multiples of 16. */
template <typename T> struct alignas(16) pack {
    enum { COUNT = 16 / sizeof(T) };
    T at[COUNT];
};

template <typename T> __device__ __forceinline__ pack<T> load_pack(const T *p)
{
    return *reinterpret_cast<const pack<T> *>(p);
}
template <typename T> __device__ __forceinline__ void store_pack(T *p, const pack<T> &v)
{
    *reinterpret_cast<pack<T> *>(p) = v;
}

enum { WARP = 32 };
static const unsigned ALL_LANES = 0xffffffffu;

static __device__ __forceinline__ float warp_sum(float x)
{
    for (int lane = WARP / 2; lane > 0; lane /= 2)
        x += __shfl_xor_sync(ALL_LANES, x, lane);
    return x;
}
static __device__ __forceinline__ float warp_max(float x)
{
    for (int lane = WARP / 2; lane > 0; lane /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, lane));
    return x;
}

/* Sum over a block of at most 1024 threads, a multiple of 32; every thread gets it. scratch: [33] floats. May
 * be called again with the same scratch. */
static __device__ __forceinline__ float block_sum(float x, float *scratch)
{
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    x = warp_sum(x);
    __syncthreads();
    if (lane == 0)
        scratch[warp] = x;
    __syncthreads();
    if (warp == 0) {
        x = warp_sum(lane < warps ? scratch[lane] : 0.0f);
        if (lane == 0)
            scratch[WARP] = x;
    }
    __syncthreads();
    return scratch[WARP];
}

static __device__ __forceinline__ float activate(float x, enum kernel_activation activation)
{
    switch (activation) {
    case KERNEL_GELU_TANH:
        return 0.5f * x * (1 + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case KERNEL_GELU_ERF:
        return 0.5f * x * (1 + erff(x * 0.70710678118654752f));
    case KERNEL_SILU:
        return x / (1 + expf(-x));
    case KERNEL_TANH:
        return tanhf(x);
    default:
        return x;
    }
}
