/* Fusion gate_up for few rows: out[r, o] = silu(x[r] . w[o]) * (x[r] . w[f + o]), w [2 f, cols].
 *
 * Bytes and FLOPs as a product with 2 f rows; what is saved is the 2 f values per row of x, written and read,
 * and a launch. A tile holds 8 gate rows and the 8 up rows that belong to them (4 slots: 2 and 2), so that
 * both sums of an output meet in one thread. Else as sm80_any_gemv.cu. */
#include "kernels/cuda/gemv_mma.cuh"

extern "C" void cuda_gemv_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m,
                                  int rows)
{
    struct gemv_job job = gemv_new_job(k, m, x, (int)m->cols, rows, GEMV_GATE_UP);
    job.out = out;
    job.out_stride = job.n;
    gemv_launch<GEMV_GATE_UP>(cuda_of(k), &job);
}
