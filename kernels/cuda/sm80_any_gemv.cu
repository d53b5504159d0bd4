/* Decode products: out[r, o] = act(sum_k x[r, k] w[o, k] + bias[o]) (+ out[r, o]), r < rows <= 8.
 *
 * Bytes: the matrix once (2 n cols in 16 bits, n cols + 4 n in int8, 0.5625 n cols in nf4, 0.516 in nf4_dq),
 * x once per multiprocessor from L2. FLOPs: 2 rows n cols. Layouts: kernels.h. Mapping of work, bytes in
 * flight: gemv.cuh; operands and instructions per byte: gemv_mma.cuh (16-bit activations),
 * simt_any_gemv.cu (all others). */
#include "kernels/cuda/gemv_mma.cuh"

extern "C" void cuda_gemv(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                          const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows)
{
    struct gemv_job job = gemv_new_job(k, m, x, x_stride, rows, GEMV_STORE);
    job.out = out;
    job.out_stride = out_stride;
    if (epilogue) {
        job.epilogue = *epilogue;
        if (epilogue->fp32)
            job.out_type = KERNEL_FP32;
    }
    gemv_launch<GEMV_STORE>(cuda_of(k), &job);
}
