/* The second step of split decode attention (flash-decoding): with the unnormalized output o_i, the maximum
 * m_i in powers of two and the sum l_i of every split that had tokens, M = max m_i, out = sum 2^(m_i - M) o_i
 * / sum 2^(m_i - M) l_i.
 *
 * Layouts: attention.h. Bytes: (D + 2) floats per live split of an item, D elements out; from L2, where the
 * splits have just left them. A block of 128 threads per (head, row, sequence): the first warp takes the
 * weights into shared memory, then a thread per dim adds, four splits under way at once. */
#include "kernels/cuda/attention.cuh"

#include <math.h>

namespace
{
enum { THREADS = 128, SPLITS = 128 };

template <typename T>
__global__ void __launch_bounds__(THREADS)
    combine(const attention_arguments g, const attention_partial partial, const cuda_splits splits)
{
    kernel_begin();
    __shared__ float weights[SPLITS];
    int s = blockIdx.z, row = blockIdx.y, head = blockIdx.x;
    int start = g.row_start[s], rows = g.row_start[s + 1] - start;
    if (row >= rows)
        return;
    int packed = row * g.group + head % g.group;
    int live = attention_split(g, g.context[s], rows, packed / splits.tile_rows * splits.tile_rows,
                               splits.tile_rows, splits.splits, splits.minimum_tokens, 0)
                   .live;
    int64_t slot = (((int64_t)s * partial.max_rows + row) * g.heads + head) * splits.splits;
    if (threadIdx.x < WARP) {
        const float *statistics = partial.statistics + slot * 2;
        float top = -INFINITY, total = 0;
        for (int i = threadIdx.x; i < live; i += WARP)
            top = fmaxf(top, statistics[i * 2]);
        top = warp_max(top);
        float base = top == -INFINITY ? 0.0f : top;
        for (int i = threadIdx.x; i < live; i += WARP) {
            weights[i] = exp2_fast(statistics[i * 2] - base);
            total += weights[i] * statistics[i * 2 + 1];
        }
        total = warp_sum(total);
        for (int i = threadIdx.x; i < live; i += WARP)
            weights[i] = total > 0 ? weights[i] / total : 0.0f;
    }
    __syncthreads();
    T *out = (T *)g.out + ((int64_t)(start + row) * g.heads + head) * g.head_dim;
    for (int d = threadIdx.x; d < g.head_dim; d += THREADS) {
        const float *o = partial.o + slot * g.head_dim + d;
        float sum = 0;
#pragma unroll 4
        for (int i = 0; i < live; i++)
            sum += weights[i] * o[(int64_t)i * g.head_dim];
        out[d] = from_float<T>(sum);
    }
}
} // namespace

extern "C" void cuda_attention_combine(const struct cuda_attention *call, struct cuda_splits splits)
{
    static_assert((int)SPLITS == (int)CUDA_ATTENTION_SPLITS, "a weight for every split");
    struct cuda *c = cuda_of(call->k);
    attention_arguments g = attention_pack(call);
    attention_partial partial = attention_partial_of(call, splits.splits);
    dim3 grid((unsigned)g.heads, (unsigned)call->batch->max_rows, (unsigned)call->batch->sequences);
    CUDA_FOR_ACTIVATION(call->k, CUDA_LAUNCH(c, (combine<T>), grid, THREADS, 0, g, partial, splits));
}
