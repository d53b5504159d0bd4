/* Fusion head_argmax for few rows: ids[r] = the lowest o with the largest x[r] . w[o] + bias[o]; NaN is never
 * largest. Logits (4 n bytes per row of x) are never stored.
 *
 * As sm80_any_gemv.cu, but the threads of the epilogue keep the best they met; each block writes one pair
 * (value, id) per row of x, and a second kernel picks among at most as many pairs as there are
 * multiprocessors. Equal values: the lower id wins at every stage, so the order of blocks does not matter. */
#include "kernels/cuda/gemv_mma.cuh"

enum { GEMV_PICK_THREADS = 256 };

/* ids[r] = the id of the best of best[block, r]; 0 where every logit was NaN. A block per row of x. */
static __global__ void __launch_bounds__(GEMV_PICK_THREADS)
    gemv_pick(int32_t *ids, const struct gemv_best *best, int blocks)
{
    kernel_begin();
    __shared__ struct gemv_best of_warp[GEMV_PICK_THREADS / WARP];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, rows = gridDim.x;
    struct gemv_best mine = {-INFINITY, INT32_MAX};
    for (int b = threadIdx.x; b < blocks; b += GEMV_PICK_THREADS) {
        struct gemv_best other = best[(int64_t)b * rows + blockIdx.x];
        if (gemv_better(other, mine))
            mine = other;
    }
    mine = gemv_best_of_warp(mine);
    if (lane == 0)
        of_warp[warp] = mine;
    __syncthreads();
    if (warp != 0)
        return;
    mine = {-INFINITY, INT32_MAX};
    if (lane < GEMV_PICK_THREADS / WARP)
        mine = of_warp[lane];
    mine = gemv_best_of_warp(mine);
    if (lane == 0)
        ids[blockIdx.x] = mine.id == INT32_MAX ? 0 : mine.id;
}

extern "C" size_t cuda_gemv_argmax_workspace(const struct cuda *c, const struct kernel_matrix *m, int rows)
{
    (void)m; /* the grid is never larger, and less must not be needed for fewer rows */
    return sizeof(struct gemv_best) * (size_t)c->multiprocessors *
           (size_t)(rows < CUDA_GEMV_ROWS ? rows : CUDA_GEMV_ROWS);
}

extern "C" void cuda_gemv_argmax(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                                 const struct kernel_matrix *m, const float *bias, int rows, void *workspace)
{
    struct cuda *c = cuda_of(k);
    struct gemv_job job = gemv_new_job(k, m, x, x_stride, rows, GEMV_ARGMAX);
    job.epilogue.bias = bias;
    job.best = static_cast<struct gemv_best *>(workspace);
    gemv_launch<GEMV_ARGMAX>(c, &job);
    CUDA_LAUNCH(c, gemv_pick, rows, GEMV_PICK_THREADS, 0, ids, job.best, job.grid);
}
