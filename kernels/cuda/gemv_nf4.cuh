/* The 4-bit and the 8-bit code book (kernels/quantize.h) in the shapes in which the decode products look them
 * up: in shared memory, filled by all threads of a block. */
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/quantize.h"

static __device__ inline void nf4_fill_map(float *map)
{
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        map[i] = quantize_dynamic_value(i);
}

/* [16][32] values, a copy for each lane. */
static __device__ inline void nf4_fill_values(float *table)
{
    for (int i = threadIdx.x; i < 16 * WARP; i += blockDim.x)
        table[i] = quantize_nf4_value(i / WARP);
}

/* [256][32] pairs: the two values of a byte, the even element (high nibble) in the low half. */
template <typename T> static __device__ inline void nf4_fill_table(unsigned char *table)
{
    struct alignas(4) pair {
        T even, odd;
    } *to = reinterpret_cast<struct pair *>(table);
    for (int i = threadIdx.x; i < 256 * WARP; i += blockDim.x)
        to[i] = {from_float<T>(quantize_nf4_value(i / WARP >> 4)),
                 from_float<T>(quantize_nf4_value(i / WARP & 15))};
}
