/* Products of many rows by our own tiles, fp16 and bf16 activations, every type of W: out[rows, n] =
 * epilogue(x[rows, cols] W[n, cols]^T). The tile, its layouts and its mapping: gemm_tiles.cuh.
 *
 * Bytes: W once per 128 rows of x (the blocks that share it run together), x once per 128 columns, out once.
 * Up to 32 and up to 64 rows are bound by reading W: tiles as low as the rows are then, K by 64 elements a
 * step (whole lines of W, half as many barriers), split along K until every multiprocessor has two blocks.
 * More rows: 128 x 128 tiles.
 *
 * Shared memory and blocks per multiprocessor (228 KiB on sm_90, 164 on sm_80, 100 on sm_86, 89 and 120):
 *   rows   W of x's type       int8                nf4
 *   128    48 KiB: 4, 3, 2     64 KiB: 3, 2, 1     57 KiB: 3, 2, 1      registers allow 2
 *   64     96 KiB: 2, 1, 1     96 KiB: 2, 1, 1     81 KiB: 2, 1, 1
 *   32     80 KiB: 2, 2, 1     80 KiB: 2, 2, 1     65 KiB: 3, 2, 1
 * Traffic of shared memory per step of 32 k and 128 x 128 block, in clocks of 128 bytes: 256 of fragments,
 * 128 of x and W coming in; int8 adds 32, nf4 its 128 look-ups and 32. mma.sync needs some 413 on sm_90 (512
 * on sm_80): nf4 is bound by it, the others just not. */
#include "kernels/cuda/gemm_tiles.cuh"

enum { LOW = 32, MIDDLE = 64, HIGH = 128 };

/* The sums of splits: never more than two blocks a multiprocessor store a tile. */
extern "C" size_t cuda_gemm_workspace(const struct cuda *c, const struct kernel_matrix *m, int rows)
{
    size_t all = (size_t)rows * (size_t)m->rows * sizeof(float) * GEMM_MOST_SPLITS;
    size_t most = (size_t)c->multiprocessors * 2 * HIGH * GEMM_COLUMNS * sizeof(float);
    return all < most ? all : most;
}

template <typename T, int WEIGHTS>
static void launch(struct cuda *c, const struct gemm_job &job, void *workspace, size_t bytes)
{
    if (WEIGHTS == GEMM_OTHER || (job.rows > LOW && job.rows <= MIDDLE))
        gemm_launch<T, T, WEIGHTS, MIDDLE, 128, 4>(c, job, workspace, bytes);
    else if constexpr (WEIGHTS != GEMM_OTHER) {
        if (job.rows <= LOW)
            gemm_launch<T, T, WEIGHTS, LOW, 128, 4>(c, job, workspace, bytes);
        else
            gemm_launch<T, T, WEIGHTS, HIGH, 64, WEIGHTS == GEMM_SAME ? 3 : 4>(c, job, workspace, bytes);
    }
}

template <typename T>
static void multiply(struct cuda *c, const struct gemm_job &job, enum kernel_dtype own, void *workspace,
                     size_t bytes)
{
    if (job.dtype == own)
        launch<T, GEMM_SAME>(c, job, workspace, bytes);
    else if (job.dtype == KERNEL_INT8)
        launch<T, GEMM_INT8>(c, job, workspace, bytes);
    else if (job.dtype == KERNEL_NF4 || job.dtype == KERNEL_NF4_DQ)
        launch<T, GEMM_NF4>(c, job, workspace, bytes);
    else
        launch<T, GEMM_OTHER>(c, job, workspace, bytes);
}

static void multiply_any(struct kernels *k, const struct gemm_job &job, void *workspace, size_t bytes)
{
    if (k->activation == KERNEL_FP16)
        multiply<__half>(cuda_of(k), job, KERNEL_FP16, workspace, bytes);
    else
        multiply<__nv_bfloat16>(cuda_of(k), job, KERNEL_BF16, workspace, bytes);
}

extern "C" void cuda_gemm(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                          const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                          void *workspace)
{
    struct cuda *c = cuda_of(k);
    size_t bytes = workspace ? cuda_gemm_workspace(c, m, rows) : 0;
    if (k->activation == KERNEL_FP32) {
        cuda_gemm_f32(k, static_cast<float *>(out), out_stride, static_cast<const float *>(x), x_stride, m,
                      epilogue, rows, workspace, bytes);
        return;
    }
    struct gemm_job job = gemm_new_job(out, out_stride, x, (int64_t)x_stride * 2, 2, m, epilogue, rows);
    multiply_any(k, job, workspace, bytes);
}

extern "C" void cuda_gemm_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m,
                                  int rows)
{
    struct kernel_epilogue none = {};
    struct gemm_job job = gemm_new_job(out, (int)(m->rows / 2), x, m->cols * 2, 2, m, &none, rows);
    job.half = (int)(m->rows / 2);
    multiply_any(k, job, NULL, 0);
}
