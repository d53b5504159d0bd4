/* Any values as a matrix of any format, in host memory: what kernel_quantize_rows does for formats that keep
 * everything in their rows, with the scales and codes of int8, nf4 and nf4_dq beside them. A backend that
 * generates such a matrix from the same values makes the same bits. Pure; different rows at the same time
 * from any threads. */
#pragma once

#include "kernels/kernels.h"

/* Rows [first, first + rows) of m from x [rows, cols]. absmax: of every block of the whole matrix
 * ([m->rows, ceil(cols / 64)]), kept here for kernel_pack_scales; only used by nf4_dq, else NULL will do. */
void kernel_pack_rows(struct kernel_matrix *m, int64_t first, int64_t rows, const float *x, float *absmax);
/* nf4_dq, once all rows are packed: the scales of scales. Others: nothing. */
void kernel_pack_scales(struct kernel_matrix *m, const float *absmax);
int64_t kernel_pack_blocks(const struct kernel_matrix *m); /* values of absmax; 0: none are needed */
