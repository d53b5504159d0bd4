/* The block formats of GGUF files (kernels/blocks.h) on the device: eight columns of any row, and the layout
 * in which a warp takes 512 columns. Blocks begin at multiples of 2 bytes, which is how wide loads are. */
#pragma once

#include "kernels/blocks_search.h"
#include "kernels/cuda/device.cuh"

/* The byte's value in the low bits of a float of 2^23: exact, and no conversion. */
static __device__ __forceinline__ float blocks_whole(uint32_t small)
{
    return __uint_as_float(0x4b000000u | small);
}
#define BLOCKS_WHOLE 8388608.0f

static __device__ __forceinline__ uint32_t blocks_word(const unsigned char *p)
{
    const uint16_t *halves = reinterpret_cast<const uint16_t *>(p);
    return halves[0] | (uint32_t)halves[1] << 16;
}

static __device__ __forceinline__ float blocks_scale(uint32_t half)
{
    return __half2float(__ushort_as_half((unsigned short)half));
}

/* Scale and minimum of the sub-blocks 2 c and 2 c + 1 of Q4_K. a, b, e: two bytes each at 4, 8 and 12, plus
 * 2 (c % 2). */
struct blocks_pair {
    float scale[2], minimum[2];
};

static __device__ __forceinline__ struct blocks_pair blocks_pair_of(uint32_t a, uint32_t b, uint32_t e, int c,
                                                                    float d, float m)
{
    struct blocks_pair p;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const uint32_t s = a >> 8 * i & 255u, t = b >> 8 * i & 255u, rest = e >> 8 * i & 255u;
        p.scale[i] = d * (float)(c < 2 ? s & 63u : (rest & 15u) | s >> 6 << 4);
        p.minimum[i] = m * (float)(c < 2 ? t & 63u : rest >> 4 | t >> 6 << 4);
    }
    return p;
}

static __device__ __forceinline__ int64_t blocks_row_bytes(enum kernel_dtype dtype, int64_t cols)
{
    return dtype == KERNEL_Q8_0   ? cols / KERNEL_Q_BLOCK * KERNEL_Q8_0_BYTES
           : dtype == KERNEL_Q4_0 ? cols / KERNEL_Q_BLOCK * KERNEL_Q4_0_BYTES
           : dtype == KERNEL_Q4_K ? cols / KERNEL_K_BLOCK * KERNEL_Q4_K_BYTES
                                  : cols / KERNEL_K_BLOCK * KERNEL_Q6_K_BYTES;
}

/* Columns [col, col + 8) of a row, col a multiple of 8: the same values as kernel_dequantize_rows. */
static __device__ inline void blocks_eight(const unsigned char *row, enum kernel_dtype dtype, int64_t col,
                                           float v[8])
{
    const int in = (int)(col % (dtype >= KERNEL_Q4_K ? KERNEL_K_BLOCK : KERNEL_Q_BLOCK));
    const unsigned char *p = row + blocks_row_bytes(dtype, col - in);
    uint32_t word[2];
    switch (dtype) {
    case KERNEL_Q8_0: {
        const float d = blocks_scale(*reinterpret_cast<const uint16_t *>(p));
        for (int i = 0; i < 2; i++)
            word[i] = blocks_word(p + 2 + in + 4 * i) ^ 0x80808080u;
        for (int i = 0; i < 8; i++)
            v[i] = (blocks_whole(word[i / 4] >> i % 4 * 8 & 255u) - (BLOCKS_WHOLE + 128)) * d;
        break;
    }
    case KERNEL_Q4_0: {
        const float d = blocks_scale(*reinterpret_cast<const uint16_t *>(p));
        for (int i = 0; i < 2; i++)
            word[i] = blocks_word(p + 2 + in % 16 + 4 * i) >> in / 16 * 4;
        for (int i = 0; i < 8; i++)
            v[i] = (blocks_whole(word[i / 4] >> i % 4 * 8 & 15u) - (BLOCKS_WHOLE + 8)) * d;
        break;
    }
    case KERNEL_Q4_K: {
        const int c = in / 64, high = in / 32 % 2, at = 2 * (c % 2);
        const struct blocks_pair s = blocks_pair_of(*reinterpret_cast<const uint16_t *>(p + 4 + at),
                                                    *reinterpret_cast<const uint16_t *>(p + 8 + at),
                                                    *reinterpret_cast<const uint16_t *>(p + 12 + at), c,
                                                    blocks_scale(*reinterpret_cast<const uint16_t *>(p)),
                                                    blocks_scale(*reinterpret_cast<const uint16_t *>(p + 2)));
        for (int i = 0; i < 2; i++)
            word[i] = blocks_word(p + 16 + c * 32 + in % 32 + 4 * i) >> 4 * high;
        for (int i = 0; i < 8; i++)
            v[i] = fmaf(blocks_whole(word[i / 4] >> i % 4 * 8 & 15u) - BLOCKS_WHOLE, s.scale[high],
                        -s.minimum[high]);
        break;
    }
    default: {
        const int half = in / 128, quarter = in / 32 % 4, j = in % 32;
        const float scale = blocks_scale(*reinterpret_cast<const uint16_t *>(p + 208)) *
                            (float)(int8_t)p[192 + in / BLOCKS_SIX_SUB];
        for (int i = 0; i < 2; i++) {
            word[i] = blocks_word(p + half * 64 + quarter % 2 * 32 + j + 4 * i) >> quarter / 2 * 4;
            word[i] = (word[i] & 0x0f0f0f0fu) |
                      (blocks_word(p + 128 + half * 32 + j + 4 * i) >> 2 * quarter & 0x03030303u) << 4;
        }
        for (int i = 0; i < 8; i++)
            v[i] = (blocks_whole(word[i / 4] >> i % 4 * 8 & 63u) - (BLOCKS_WHOLE + 32)) * scale;
    }
    }
}
