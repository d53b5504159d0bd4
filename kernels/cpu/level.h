/* The single-thread kernels as one template: a level_*.c sets the SIMD_ macros and includes this once. */
#include "kernels/cpu/level_attention.h"
#include "kernels/cpu/level_blocks.h"
#include "kernels/cpu/level_convert.h"
#include "kernels/cpu/level_elementwise.h"
#include "kernels/cpu/level_gemm.h"
#include "kernels/cpu/level_gemv.h"
#include "kernels/cpu/level_nf4.h"
#include "kernels/cpu/level_sparse.h"
#include "kernels/cpu/level_ssm.h"
#ifndef SIMD_INT8 /* else another file's are taken */
#include "kernels/cpu/level_int8.h"
static const struct simd_int8 int8_table = {int8_bytes, int8_pack, int8_gemv};
#define SIMD_INT8 int8_table
#endif
#include "kernels/cpu/level_table.h"
