/* Products of many rows in fp32, honestly: every product and sum is an fp32 FMA, no TF32. out[rows, n] =
 * epilogue(x[rows, cols] W[n, cols]^T), x and out fp32, W of any type, widened on the way into shared memory.
 *
 * FLOPs 2 rows n cols on the ordinary units (67 TFLOP/s of an H200's data sheet). Bytes: W once per 128 rows
 * of x, x once per 128 columns.
 *
 * A block makes BM x 128 of out: 256 threads of 8 x 8 (BM 128), or 128 threads of 4 x 8 (BM 32, for few
 * rows). K advances by 8 through two buffers; the next step is read into registers while this one is
 * multiplied. Tiles stand in shared memory as [k][row], rows of 4 more floats: a thread reads its rows and
 * columns by 16 bytes, 4 reads per 64 FMA; 32 threads storing 32 rows touch 32 banks. Few tiles: K is split
 * as in gemm_tiles.cuh. */
#include "kernels/cuda/gemm_tiles.cuh"

enum { DEPTH = 8, EACH = 4 }; /* k of a step, and of a thread's load: more would not fit 128 registers */

/* W[row, k ... k + 3] without int8's scale, zeros past cols. k is a multiple of 4. */
static __device__ __forceinline__ void read_weights(float value[EACH], const gemm_job &job, int64_t row,
                                                    int k)
{
    const unsigned char *data = job.w + row * job.w_row;
    bool whole = job.w_packed && k + EACH <= job.cols;
    if (job.dtype == KERNEL_FP32 && whole) {
        float4 v = *reinterpret_cast<const float4 *>(data + (int64_t)k * 4);
        value[0] = v.x, value[1] = v.y, value[2] = v.z, value[3] = v.w;
    } else if (job.dtype == KERNEL_INT8) {
        uint32_t word = 0;
        if (whole)
            word = *reinterpret_cast<const uint32_t *>(data + k);
        else
            for (int i = 0; i < EACH && k + i < job.cols; i++)
                word |= (uint32_t)data[k + i] << 8 * i;
        for (int i = 0; i < EACH; i++)
            value[i] = (float)(int8_t)(word >> 8 * i);
    } else if (job.dtype == KERNEL_NF4 || job.dtype == KERNEL_NF4_DQ) {
        int64_t block = row * job.w_blocks + k / KERNEL_NF4_BLOCK;
        float absmax = 0;
        uint32_t codes = 0;
        if (k < job.cols) {
            absmax = job.codes ? gemm_map[job.codes[block]] *
                                         job.w_scales[1 + (job.first_block + block) / KERNEL_NF4_GROUP] +
                                     job.w_scales[0]
                               : job.w_scales[block];
            codes = *reinterpret_cast<const uint16_t *>(data + k / 2); /* blocks are whole: 32 bytes */
        }
        for (int i = 0; i < EACH; i++)
            value[i] = gemm_levels[codes >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15] * absmax;
    } else {
        gemm_read_other<EACH>(value, data, job.dtype, k, job.cols);
    }
}

static __device__ __forceinline__ void read_x(float value[EACH], const gemm_job &job, int row, int k)
{
    const float *from = reinterpret_cast<const float *>(static_cast<const char *>(job.x) + row * job.x_row);
    if (job.x_packed && k + EACH <= job.cols) {
        float4 v = *reinterpret_cast<const float4 *>(from + k);
        value[0] = v.x, value[1] = v.y, value[2] = v.z, value[3] = v.w;
        return;
    }
    for (int i = 0; i < EACH; i++)
        value[i] = k + i < job.cols ? from[k + i] : 0;
}

template <int BM, int TM>
static __global__ void __launch_bounds__(BM / TM * 16, TM == 8 ? 2 : 4) gemm_f32(const gemm_job job)
{
    kernel_begin();
    constexpr int THREADS = BM / TM * 16, W_ITEMS = GEMM_COLUMNS * 2 / THREADS,
                  X_ITEMS = (BM * 2 + THREADS - 1) / THREADS;
    __shared__ float xs[2][DEPTH][BM + 4], ws[2][DEPTH][GEMM_COLUMNS + 4];
    int per_group = GEMM_GROUP * job.tiles_n, group = blockIdx.x / per_group, inside = blockIdx.x % per_group;
    int deep = min(GEMM_GROUP, job.tiles_m - group * GEMM_GROUP);
    const int m0 = (group * GEMM_GROUP + inside % deep) * BM, n0 = inside / deep * GEMM_COLUMNS;
    int steps = (job.cols + DEPTH - 1) / DEPTH, share = (steps + job.splits - 1) / job.splits;
    const int first = blockIdx.y * share, last = min(steps, first + share);
    const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;

    float x_next[X_ITEMS][EACH], w_next[W_ITEMS][EACH], acc[TM][8];
#pragma unroll
    for (int i = 0; i < TM; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
            acc[i][j] = 0;

    auto read = [&](int step) {
#pragma unroll
        for (int i = 0; i < X_ITEMS; i++) {
            int item = threadIdx.x + i * THREADS, row = m0 + item % BM;
            if (item < BM * 2 && row < job.rows)
                read_x(x_next[i], job, row, step * DEPTH + item / BM * EACH);
            else
                for (int e = 0; e < EACH; e++)
                    x_next[i][e] = 0;
        }
#pragma unroll
        for (int i = 0; i < W_ITEMS; i++) {
            int item = threadIdx.x + i * THREADS, row = n0 + item % GEMM_COLUMNS;
            if (row < job.n)
                read_weights(w_next[i], job, row, step * DEPTH + item / GEMM_COLUMNS * EACH);
            else
                for (int e = 0; e < EACH; e++)
                    w_next[i][e] = 0;
        }
    };
    auto put = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < X_ITEMS; i++) {
            int item = threadIdx.x + i * THREADS;
            if (item < BM * 2)
#pragma unroll
                for (int e = 0; e < EACH; e++)
                    xs[buffer][item / BM * EACH + e][item % BM] = x_next[i][e];
        }
#pragma unroll
        for (int i = 0; i < W_ITEMS; i++) {
            int item = threadIdx.x + i * THREADS;
#pragma unroll
            for (int e = 0; e < EACH; e++)
                ws[buffer][item / GEMM_COLUMNS * EACH + e][item % GEMM_COLUMNS] = w_next[i][e];
        }
    };

    if (first < last) {
        read(first);
        put(0);
    }
    __syncthreads();
    for (int step = first; step < last; step++) {
        int now = (step - first) % 2;
        if (step + 1 < last)
            read(step + 1);
#pragma unroll 2 /* more spills on sm_100 */
        for (int k = 0; k < DEPTH; k++) {
            float a[TM], b[8];
#pragma unroll
            for (int i = 0; i < TM; i += 4)
                *reinterpret_cast<float4 *>(a + i) =
                    *reinterpret_cast<const float4 *>(&xs[now][k][i * 16 + ty * 4]);
#pragma unroll
            for (int j = 0; j < 8; j += 4)
                *reinterpret_cast<float4 *>(b + j) =
                    *reinterpret_cast<const float4 *>(&ws[now][k][j * 16 + tx * 4]);
#pragma unroll
            for (int i = 0; i < TM; i++)
#pragma unroll
                for (int j = 0; j < 8; j++)
                    acc[i][j] = fmaf(a[i], b[j], acc[i][j]);
        }
        if (step + 1 < last)
            put(1 - now);
        __syncthreads();
    }

#pragma unroll 1
    for (int part = 0; part < TM * 2;
         part++) { /* a row's four neighbors at a time: the epilogue's code once */
        float y[4] = {0, 0, 0, 0};
#pragma unroll
        for (int here = 0; here < TM * 2; here++) /* registers have no index */
            if (here == part)
#pragma unroll
                for (int e = 0; e < 4; e++)
                    y[e] = acc[here / 2][here % 2 * 4 + e];
        int i = part / 2, row = m0 + i / 4 * 64 + ty * 4 + i % 4, col = n0 + part % 2 * 64 + tx * 4;
        if (row >= job.rows || col >= job.n)
            continue;
        if (job.splits > 1) {
            float *to = job.partial + ((int64_t)blockIdx.y * job.rows + row) * job.n + col;
            for (int e = 0; e < 4 && col + e < job.n; e++)
                to[e] = y[e];
        } else {
            gemm_finish<float>(job, row, col, job.n, y, NULL);
        }
    }
}

template <int BM, int TM>
static void launch(struct cuda *c, struct gemm_job job, void *workspace, size_t bytes)
{
    job.tiles_m = (job.rows + BM - 1) / BM;
    job.tiles_n = (job.n + GEMM_COLUMNS - 1) / GEMM_COLUMNS;
    gemm_split(c, &job, (job.cols + DEPTH - 1) / DEPTH, workspace, bytes);
    CUDA_LAUNCH(c, (gemm_f32<BM, TM>), dim3((unsigned)(job.tiles_m * job.tiles_n), (unsigned)job.splits),
                dim3(BM / TM * 16), 0, job);
    if (job.splits > 1)
        gemm_join_launch<float>(c, job);
}

extern "C" void cuda_gemm_f32(struct kernels *k, float *out, int out_stride, const float *x, int x_stride,
                              const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                              void *workspace, size_t workspace_bytes)
{
    struct gemm_job job = gemm_new_job(out, out_stride, x, (int64_t)x_stride * 4, 4, m, epilogue, rows);
    job.epilogue.fp32 = true;
    job.x_packed = ((uintptr_t)x | (uintptr_t)job.x_row) % 16 == 0;
    if (rows <= 32)
        launch<32, 4>(cuda_of(k), job, workspace, workspace_bytes);
    else
        launch<128, 8>(cuda_of(k), job, workspace, workspace_bytes);
}
