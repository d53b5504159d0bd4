/* The tests' stand-in for CUDA C++ on the host compiler: qualifiers, vector types, thread indices, and the
 * headers with the warp's, the block's and the arithmetic intrinsics. */
#pragma once

#include "cuda_runtime_api.h"

#ifdef __cplusplus
#include <math.h>
#include <string.h>

#define __constant__
#define __managed__
#define __grid_constant__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n)    __attribute__((aligned(n)))
/* Static shared memory stands in sections of its own (tests/emu/shared.ld gathers them, and those of
 * templates, which the compiler keeps apart by itself), so that it can be filled before a block and exchanged
 * between blocks. */
#define EMULATED_TEXT2(x) #x
#define EMULATED_TEXT(x)  EMULATED_TEXT2(x)
#define __shared__        static __attribute__((section(".bss.emulated_shared." EMULATED_TEXT(__COUNTER__))))

#define EMULATED_VECTORS(type, name, align2, align4)                                                         \
    struct name##1                                                                                           \
    {                                                                                                        \
        type x;                                                                                              \
    };                                                                                                       \
    struct alignas(align2) name##2                                                                           \
    {                                                                                                        \
        type x, y;                                                                                           \
    };                                                                                                       \
    struct name##3                                                                                           \
    {                                                                                                        \
        type x, y, z;                                                                                        \
    };                                                                                                       \
    struct alignas(align4) name##4                                                                           \
    {                                                                                                        \
        type x, y, z, w;                                                                                     \
    };                                                                                                       \
    static inline name##1 make_##name##1(type x)                                                             \
    {                                                                                                        \
        return {x};                                                                                          \
    }                                                                                                        \
    static inline name##2 make_##name##2(type x, type y)                                                     \
    {                                                                                                        \
        return {x, y};                                                                                       \
    }                                                                                                        \
    static inline name##3 make_##name##3(type x, type y, type z)                                             \
    {                                                                                                        \
        return {x, y, z};                                                                                    \
    }                                                                                                        \
    static inline name##4 make_##name##4(type x, type y, type z, type w)                                     \
    {                                                                                                        \
        return {x, y, z, w};                                                                                 \
    }
EMULATED_VECTORS(signed char, char, 2, 4)
EMULATED_VECTORS(unsigned char, uchar, 2, 4)
EMULATED_VECTORS(short, short, 4, 8)
EMULATED_VECTORS(unsigned short, ushort, 4, 8)
EMULATED_VECTORS(int, int, 8, 16)
EMULATED_VECTORS(unsigned, uint, 8, 16)
EMULATED_VECTORS(float, float, 8, 16)
EMULATED_VECTORS(long long, longlong, 16, 16)
EMULATED_VECTORS(unsigned long long, ulonglong, 16, 16)
EMULATED_VECTORS(double, double, 16, 16)
#undef EMULATED_VECTORS

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

/* What a running thread is to the kernel's source and to its warp's operations; emulator.cc extends it. */
struct emulator_thread {
    uint3 thread_index, block_index;
    unsigned char *shared;              /* dynamic shared memory of its block */
    unsigned lane, source;              /* source: the lane a shuffle reads, an operation's parameter */
    alignas(16) unsigned char give[64]; /* to the warp's operation */
    alignas(16) unsigned char take[64]; /* from it */
};
/* The thread that runs now and where it stands. Constants, as far as a thread of the device can see: its
 * reads of them are not watched and may be kept. Only the emulator's own file changes them. */
#ifdef EMULATOR_CHANGES_THREADS
#define EMULATED_FIXED
#else
#define EMULATED_FIXED const
#endif
extern emulator_thread *EMULATED_FIXED emulator_self;
extern EMULATED_FIXED uint3 emulator_thread_index, emulator_block_index;
extern EMULATED_FIXED dim3 emulator_block_dim, emulator_grid_dim;

#define threadIdx emulator_thread_index
#define blockIdx  emulator_block_index
#define blockDim  emulator_block_dim
#define gridDim   emulator_grid_dim
static const int warpSize = 32;

#include "emulator_math.h"
#include "emulator_warp.h"

/* The runtime's C++ forms. */
template <typename T> static inline cudaError_t cudaMalloc(T **p, size_t bytes)
{
    return cudaMalloc(reinterpret_cast<void **>(p), bytes);
}
template <typename T> static inline cudaError_t cudaMallocHost(T **p, size_t bytes)
{
    return cudaMallocHost(reinterpret_cast<void **>(p), bytes);
}
template <typename R, typename... P>
static inline cudaError_t cudaFuncSetAttribute(R (*kernel)(P...), enum cudaFuncAttribute attribute, int value)
{
    return cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), attribute, value);
}
template <typename R, typename... P>
static inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, R (*kernel)(P...),
                                                                        int threads, size_t shared)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void *>(kernel),
                                                         threads, shared);
}
template <typename T>
static inline cudaError_t cudaMemcpyToSymbol(T &symbol, const void *from, size_t bytes, size_t offset = 0)
{
    memcpy(reinterpret_cast<char *>(&symbol) + offset, from, bytes);
    return cudaSuccess;
}
template <typename T> static inline cudaError_t cudaGetSymbolAddress(void **p, const T &symbol)
{
    *p = const_cast<T *>(&symbol);
    return cudaSuccess;
}
#endif
