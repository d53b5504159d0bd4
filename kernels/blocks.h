/* The block formats of GGUF files (ggml's Q8_0, Q4_0, Q4_K, Q6_K): what a block's bytes mean, and the nearest
 * block of given values. Pure functions of arrays in host memory; no state, any thread; every value is
 * bitwise the same on every machine.
 *
 *   type  columns  bytes  layout                                                        value
 *   Q8_0       32     34  half d; 32 int8 q                                             d q
 *   Q4_0       32     18  half d; 16 bytes: low nibble value i, high nibble i + 16      d (q - 8)
 *   Q4_K      256    144  half d, half m; 12 bytes: 8 pairs of 6-bit s and t;           d s q - m t
 *                         128 bytes: of 64 values the first 32 low, the next high nibbles
 *   Q6_K      256    210  128 bytes: low 4 bits, 64 bytes: high 2 bits; 16 int8 s; half d  d s (q - 32)
 *
 * Products d s and d s q fit the 24 bits of fp32, so that each value is rounded at most once, whatever
 * computes it.
 *
 * Quantizing. Q8_0 and Q4_0: as ggml's reference (quantize_row_q8_0_ref, quantize_row_q4_0_ref), bit by bit:
 * the scale maps the largest magnitude to 127 or to -8. Q4_K and Q6_K: our own search for the least sum of
 * squared errors (kernels/blocks_search.h), which ggml's reference does not beat. */
#pragma once

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* x [rows, cols] to rows of blocks, kernel_row_bytes(dtype, cols) each; cols a multiple of
 * kernel_block_cols(dtype). fp32, fp16 and bf16 (rounded to nearest even) too, so that whoever writes a file
 * has one call. Not finite: some value, never a crash. */
void kernel_quantize_rows(enum kernel_dtype dtype, const float *x, int64_t rows, int64_t cols, void *out);
/* The values that stand in rows of blocks, or of fp32, fp16, bf16. Any bytes are valid. */
void kernel_dequantize_rows(enum kernel_dtype dtype, const void *data, int64_t rows, int64_t cols,
                            float *out);

#ifdef __cplusplus
}
#endif
