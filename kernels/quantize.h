/* The two code books of 4-bit weights, shared by every backend: NF4 for the weights of a block, the dynamic
 * 8-bit map for the scales of blocks. No state; tables are brace lists, so that a backend may place them
 * where it reads them fastest, and every value is bitwise the same everywhere.
 *
 * NF4 (Dettmers et al. 2023, appendix E): 16 levels with equal mass under a normal law, -1 and 1 among them,
 * code 7 is 0. A value over its block's absmax takes the nearest level; a value halfway between two takes the
 * lower.
 *
 * Dynamic map (Dettmers 2016, "8-bit approximations"; signed, up to 7 exponent bits): code 127 is 0, code 255
 * is 1, and for i = 0 ... 6 the decade (10^(i-7), 10^(i-6)) holds the 2^i midpoints of as many equal parts,
 * with both signs, in ascending order of code. Such a midpoint is (2^(i+1) + 18 j + 9) / (2^(i+1) 10^(7-i)):
 * one division of two numbers that fp32 holds exactly. */
#pragma once

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define QUANTIZE static inline __host__ __device__
#else
#define QUANTIZE static inline
#endif

enum { QUANTIZE_NF4_ZERO = 7 };

#define QUANTIZE_NF4_LEVELS                                                                                  \
    {                                                                                                        \
        -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,     \
            -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,  \
            0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,           \
            0.7229568362236023f, 1.0f                                                                        \
    }

/* sign times 2^n midpoints of decade i, the first with index j, the next with j + step. */
#define QUANTIZE_1_(sign, i, ten, j, step)                                                                   \
    (sign) * (float)((2 << (i)) + 18 * (j) + 9) / ((float)(2 << (i)) * (ten))
#define QUANTIZE_2_(sign, i, ten, j, step)                                                                   \
    QUANTIZE_1_(sign, i, ten, j, step), QUANTIZE_1_(sign, i, ten, (j) + (step), step)
#define QUANTIZE_4_(sign, i, ten, j, step)                                                                   \
    QUANTIZE_2_(sign, i, ten, j, step), QUANTIZE_2_(sign, i, ten, (j) + 2 * (step), step)
#define QUANTIZE_8_(sign, i, ten, j, step)                                                                   \
    QUANTIZE_4_(sign, i, ten, j, step), QUANTIZE_4_(sign, i, ten, (j) + 4 * (step), step)
#define QUANTIZE_16_(sign, i, ten, j, step)                                                                  \
    QUANTIZE_8_(sign, i, ten, j, step), QUANTIZE_8_(sign, i, ten, (j) + 8 * (step), step)
#define QUANTIZE_32_(sign, i, ten, j, step)                                                                  \
    QUANTIZE_16_(sign, i, ten, j, step), QUANTIZE_16_(sign, i, ten, (j) + 16 * (step), step)
#define QUANTIZE_64_(sign, i, ten, j, step)                                                                  \
    QUANTIZE_32_(sign, i, ten, j, step), QUANTIZE_32_(sign, i, ten, (j) + 32 * (step), step)

#define QUANTIZE_DYNAMIC_MAP                                                                                 \
    {                                                                                                        \
        QUANTIZE_64_(-1.0f, 6, 1e1f, 63, -1), QUANTIZE_32_(-1.0f, 5, 1e2f, 31, -1),                          \
            QUANTIZE_16_(-1.0f, 4, 1e3f, 15, -1), QUANTIZE_8_(-1.0f, 3, 1e4f, 7, -1),                        \
            QUANTIZE_4_(-1.0f, 2, 1e5f, 3, -1), QUANTIZE_2_(-1.0f, 1, 1e6f, 1, -1),                          \
            QUANTIZE_1_(-1.0f, 0, 1e7f, 0, -1), 0.0f, QUANTIZE_1_(1.0f, 0, 1e7f, 0, 1),                      \
            QUANTIZE_2_(1.0f, 1, 1e6f, 0, 1), QUANTIZE_4_(1.0f, 2, 1e5f, 0, 1),                              \
            QUANTIZE_8_(1.0f, 3, 1e4f, 0, 1), QUANTIZE_16_(1.0f, 4, 1e3f, 0, 1),                             \
            QUANTIZE_32_(1.0f, 5, 1e2f, 0, 1), QUANTIZE_64_(1.0f, 6, 1e1f, 0, 1), 1.0f                       \
    }

QUANTIZE float quantize_nf4_value(int code)
{
    static const float level[16] = QUANTIZE_NF4_LEVELS;
    return level[code];
}

/* x: a weight times 1 / absmax of its block (0 where the block is all zeros). */
QUANTIZE int quantize_nf4_code(float x)
{
    const float level[16] = QUANTIZE_NF4_LEVELS;
    int code = 0;
    for (int i = 0; i < 15; i++)
        code += x > 0.5f * (level[i] + level[i + 1]);
    return code;
}

QUANTIZE float quantize_dynamic_value(int code)
{
    static const float map[256] = QUANTIZE_DYNAMIC_MAP;
    return map[code];
}

/* The nearest code of x in [-1, 1]; halfway between two: the lower. */
QUANTIZE int quantize_dynamic_code(float x)
{
    int low = 0, high = 255;
    while (low < high) { /* the least code whose upper midpoint is not below x */
        int middle = (low + high) / 2;
        if (x > 0.5f * (quantize_dynamic_value(middle) + quantize_dynamic_value(middle + 1)))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* absmax of a block of NF4_DQ. One rounding, whether or not the compiler contracts. */
QUANTIZE float quantize_block_scale(int code, float group_scale, float mean)
{
    return fmaf(quantize_dynamic_value(code), group_scale, mean);
}

/* The mean of all absmax, NF4_DQ's scales[0], must not depend on the order of summation: a backend adds
 * quantize_sum_term() of every block in 64-bit integers. Each is absmax in units of the 2^-38 part of the
 * power of two above `largest` (no absmax is larger), so that 2^25 blocks cannot overflow. */
QUANTIZE int quantize_sum_exponent(float largest)
{
    int exponent;
    frexpf(largest, &exponent);
    return 38 - exponent;
}

QUANTIZE uint64_t quantize_sum_term(float absmax, int sum_exponent)
{
    return (uint64_t)ldexpf(absmax, sum_exponent);
}

QUANTIZE float quantize_sum_mean(uint64_t sum, int sum_exponent, int64_t blocks)
{
    return (float)ldexp((double)sum / (double)blocks, -sum_exponent);
}
