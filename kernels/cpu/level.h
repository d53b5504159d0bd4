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

const struct simd SIMD_TABLE = {
    .name = SIMD_NAME,
    .width = SIMD_WIDTH,
    .widen = widen,
    .narrow = narrow,
    .widen_nf4 = widen_nf4,
    .narrow_nf4 = narrow_nf4,
    .widen_blocks = widen_blocks,
    .uniform = uniform,
    .absmax = absmax,
    .read = read_all,
    .norm = norm_row,
    .add = add,
    .activate = activate,
    .multiply_silu = multiply_silu,
    .argmax = argmax,
    .rotate = rotate,
    .softmax = softmax,
    .softplus = softplus,
    .convolve = convolve,
    .discretize = discretize,
    .recur = recur,
    .scan = scan,
    .gemv = gemv,
    .scored_rows = scored_rows,
    .weighted_rows = weighted_rows,
    .sparse = sparse,
    .threshold = threshold,
    .list = list_kept,
    .attention = attention,
    .lanes = GEMM_LANES,
    .gemm_pack = gemm_pack,
    .gemm_block = gemm_block,
    .gemm_scratch_floats = gemm_scratch_floats,
    .gemm_in_pairs = gemm_in_pairs,
};
