/* Rows of values to rows of blocks, as one template: BLOCKS_NAME is the function to make, the including file
 * chooses for which instruction set. */
#pragma once

#include "kernels/blocks_search.h"

#ifndef BLOCKS_NAME
#define BLOCKS_NAME blocks_quantize
#endif

void BLOCKS_NAME(enum kernel_dtype dtype, const float *x, int64_t blocks, unsigned char *out);

static void quantize_block(enum kernel_dtype dtype, const float *x, unsigned char *out)
{
    switch (dtype) {
    case KERNEL_Q8_0:
        blocks_quantize_q8_0(x, out);
        break;
    case KERNEL_Q4_0:
        blocks_quantize_q4_0(x, out);
        break;
    case KERNEL_Q4_K:
        blocks_quantize_q4_k(x, out);
        break;
    default:
        blocks_quantize_q6_k(x, out);
    }
}

void BLOCKS_NAME(enum kernel_dtype dtype, const float *x, int64_t blocks, unsigned char *out)
{
    int64_t cols = kernel_block_cols(dtype);
    size_t bytes = kernel_row_bytes(dtype, cols);
    for (int64_t b = 0; b < blocks; b++)
        quantize_block(dtype, x + b * cols, out + (size_t)b * bytes);
}
