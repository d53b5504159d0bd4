/* W8A8: out[rows, n] = epilogue(x_scales[row] w_scales[col] sum_k q[row, k] w[col, k]), q and w int8, sums
 * exact in int32. The tile, its layouts and its mapping: gemm_tiles.cuh; K advances by 64 (128 for few rows).
 *
 * Bytes: half of the 16-bit product's. FLOPs the same, at twice its rate. |sum| <= 127^2 cols stays below
 * 2^31 for cols < 133,000; the sums pass through fp32 on the way out, which rounds those above 2^24 by 2^-25.
 */
#include "kernels/cuda/gemm_tiles.cuh"

template <typename O> static void multiply(struct cuda *c, const struct gemm_job &job)
{
    if (job.rows <= 32)
        gemm_launch<int8_t, O, GEMM_SAME, 32, 128, 4>(c, job, NULL, 0);
    else
        gemm_launch<int8_t, O, GEMM_SAME, 128, 64, 3>(c, job, NULL, 0);
}

extern "C" void cuda_gemm_s8(struct kernels *k, void *out, int out_stride, const int8_t *x, int x_stride,
                             const float *x_scales, const struct kernel_matrix *m,
                             const struct kernel_epilogue *epilogue, int rows)
{
    struct gemm_job job = gemm_new_job(out, out_stride, x, x_stride, 1, m, epilogue, rows);
    job.x_scales = x_scales;
    CUDA_FOR_ACTIVATION(k, multiply<T>(cuda_of(k), job));
}
