/* Passes over token rows: rows of a table, rows gathered, the largest logit of each row, the next position.
 *
 * embed: out[r] = table[ids[r]] (+ positions[position of r]) (+ extra[0]), added in fp32. Blocks of 128
 *   threads, eight columns each; grid (rows, column groups). Reads and writes each row once.
 * gather_rows: out[i] = x[row_ids[i]]; the same grid, 16 bytes per thread.
 * argmax: blocks of 1024 threads, four 16-byte loads in flight per thread; one reads 100 KB of logits in the
 * time of a launch, so a long row is split over blocks and a warp picks among their candidates (in the
 * backend's scratch). The lowest index wins among equals at every stage, NaN never wins, a row of NaN alone
 * gives 0. advance: one thread per sequence. */
#include "kernels/cuda/matrix.cuh"

#include <limits.h>

namespace
{

enum { THREADS = 128, ARGMAX_THREADS = 1024, ARGMAX_LOADS = 4, ARGMAX_PART = 4096 };

template <typename T, bool EIGHTS>
__global__ void __launch_bounds__(THREADS)
    embed_rows(T *out, struct kernel_matrix table, const int32_t *ids, struct kernel_matrix positions,
               struct kernel_matrix extra, struct kernel_batch batch)
{
    kernel_begin();
    constexpr int COUNT = EIGHTS ? 8 : 1;
    int row = blockIdx.x;
    int64_t col = ((int64_t)blockIdx.y * THREADS + threadIdx.x) * COUNT;
    if (col >= table.cols)
        return;
    const struct kernel_matrix *from[3] = {&table, &positions, &extra};
    int64_t at[3] = {ids[row], 0, 0};
    if (positions.data)
        at[1] = batch_position(batch, row, batch_sequence(batch, row));
    float sum[COUNT] = {0};
#pragma unroll
    for (int i = 0; i < 3; i++) {
        if (!from[i]->data)
            continue;
        float v[8];
        if (EIGHTS)
            matrix_eight(*from[i], from[i]->dtype, at[i], col, v);
        else
            v[0] = matrix_one(*from[i], from[i]->dtype, at[i], col);
        for (int j = 0; j < COUNT; j++)
            sum[j] += v[j];
    }
    T *to = out + row * table.cols + col;
    if constexpr (!EIGHTS) {
        *to = from_float<T>(sum[0]);
    } else {
        for (int part = 0; part < COUNT; part += pack<T>::COUNT) {
            pack<T> p;
            for (int j = 0; j < pack<T>::COUNT; j++)
                p.at[j] = from_float<T>(sum[part + j]);
            store_pack(to + part, p);
        }
    }
}

/* A unit is 16 bytes, or one element of T where rows are not whole units. */
template <typename UNIT>
__global__ void __launch_bounds__(THREADS)
    gather_units(UNIT *out, const UNIT *x, int64_t stride, const int32_t *row_ids, int width)
{
    kernel_begin();
    int col = blockIdx.y * THREADS + threadIdx.x;
    if (col < width)
        out[(int64_t)blockIdx.x * width + col] = x[row_ids[blockIdx.x] * stride + col];
}

struct candidate {
    float value;
    int index; /* INT_MAX: none */
};

__device__ __forceinline__ candidate better(candidate a, candidate b)
{
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

__device__ __forceinline__ candidate warp_better(candidate best)
{
    for (int away = WARP / 2; away > 0; away /= 2) {
        candidate other = {__shfl_xor_sync(ALL_LANES, best.value, away),
                           __shfl_xor_sync(ALL_LANES, best.index, away)};
        best = better(best, other);
    }
    return best;
}

/* A block per part of a row; the row's only part gives the id, others a candidate each. */
__global__ void __launch_bounds__(ARGMAX_THREADS)
    argmax_parts(int32_t *ids, candidate *parts_best, const float *logits, int width, int parts)
{
    kernel_begin();
    __shared__ candidate warps[ARGMAX_THREADS / WARP];
    int of_row = blockIdx.x / parts, part = blockIdx.x % parts, share = (width + parts - 1) / parts;
    int from = part * share, n = min(share, width - from);
    const float *row = logits + (int64_t)of_row * width + from;
    /* A part may begin anywhere: single elements up to the first multiple of 16 bytes, packs, single
     * elements.
     */
    int lead = (int)(-(int64_t)((uintptr_t)row / sizeof(float)) & 3);
    lead = lead < n ? lead : n;
    int packs = (n - lead) / 4, rest = lead + packs * 4, t = threadIdx.x;
    candidate best = {-INFINITY, INT_MAX};
    if (t < lead)
        best = better(best, {row[t], from + t});
    for (int first = t; first < packs; first += ARGMAX_LOADS * ARGMAX_THREADS) {
        pack<float> p[ARGMAX_LOADS];
#pragma unroll
        for (int i = 0; i < ARGMAX_LOADS; i++) {
            int at = first + i * ARGMAX_THREADS;
            p[i] = load_pack(row + lead + 4 * (at < packs ? at : first));
        }
#pragma unroll
        for (int i = 0; i < ARGMAX_LOADS; i++) {
            int at = first + i * ARGMAX_THREADS;
            at = at < packs ? at : first;
            for (int j = 0; j < 4; j++)
                best = better(best, {p[i].at[j], from + lead + 4 * at + j});
        }
    }
    if (rest + t < n)
        best = better(best, {row[rest + t], from + rest + t});
    best = warp_better(best);
    if (t % WARP == 0)
        warps[t / WARP] = best;
    __syncthreads();
    if (t < WARP) {
        best = warp_better(warps[t]);
        if (t == 0 && parts == 1)
            ids[of_row] = best.index == INT_MAX ? 0 : best.index;
        else if (t == 0)
            parts_best[blockIdx.x] = best;
    }
}

/* A warp per row. */
__global__ void __launch_bounds__(WARP) argmax_pick(int32_t *ids, const candidate *parts_best, int parts)
{
    kernel_begin();
    candidate best = {-INFINITY, INT_MAX};
#pragma unroll 1
    for (int part = threadIdx.x; part < parts; part += WARP) /* once, for most rows */
        best = better(best, parts_best[(int64_t)blockIdx.x * parts + part]);
    best = warp_better(best);
    if (threadIdx.x == 0)
        ids[blockIdx.x] = best.index == INT_MAX ? 0 : best.index;
}

__global__ void advance_contexts(int32_t *context, int sequences, int by)
{
    kernel_begin();
    int s = blockIdx.x * THREADS + threadIdx.x;
    if (s < sequences)
        context[s] += by;
}

unsigned groups_of(int64_t n)
{
    return (unsigned)((n + THREADS - 1) / THREADS);
}

template <typename T>
void launch_embed(struct kernels *k, T *out, const struct kernel_matrix *table, const int32_t *ids,
                  const struct kernel_matrix *positions, const struct kernel_matrix *extra,
                  const struct kernel_batch *batch)
{
    struct cuda *c = cuda_of(k);
    struct kernel_matrix none = {}, p = positions ? *positions : none, e = extra ? *extra : none;
    bool eights = table->cols % 8 == 0 && aligned_16(out) && matrix_in_eights(table) &&
                  (!positions || matrix_in_eights(positions)) && (!extra || matrix_in_eights(extra));
    dim3 grid((unsigned)batch->rows, groups_of(eights ? table->cols / 8 : table->cols));
    if (eights)
        CUDA_LAUNCH(c, (embed_rows<T, true>), grid, THREADS, 0, out, *table, ids, p, e, *batch);
    else
        CUDA_LAUNCH(c, (embed_rows<T, false>), grid, THREADS, 0, out, *table, ids, p, e, *batch);
}

} // namespace

extern "C" void cuda_embed(struct kernels *k, void *out, const struct kernel_matrix *table,
                           const int32_t *ids, const struct kernel_matrix *positions,
                           const struct kernel_matrix *extra, const struct kernel_batch *batch)
{
    if (batch->rows > 0)
        CUDA_FOR_ACTIVATION(k, launch_embed(k, (T *)out, table, ids, positions, extra, batch));
}

extern "C" void cuda_gather_rows(struct kernels *k, void *out, const void *x, int stride,
                                 const int32_t *row_ids, int rows, int width)
{
    struct cuda *c = cuda_of(k);
    int element = (int)kernel_dtype_bytes(k->activation), units = 16 / element;
    if (rows == 0)
        return;
    if (aligned_16(out) && aligned_16(x) && stride % units == 0 && width % units == 0) {
        dim3 grid((unsigned)rows, groups_of(width / units));
        CUDA_LAUNCH(c, (gather_units<uint4>), grid, THREADS, 0, (uint4 *)out, (const uint4 *)x,
                    (int64_t)(stride / units), row_ids, width / units);
        return;
    }
    dim3 grid((unsigned)rows, groups_of(width));
    if (element == 4)
        CUDA_LAUNCH(c, (gather_units<uint32_t>), grid, THREADS, 0, (uint32_t *)out, (const uint32_t *)x,
                    (int64_t)stride, row_ids, width);
    else
        CUDA_LAUNCH(c, (gather_units<uint16_t>), grid, THREADS, 0, (uint16_t *)out, (const uint16_t *)x,
                    (int64_t)stride, row_ids, width);
}

/* Enough parts for two blocks a multiprocessor, none shorter than ARGMAX_PART but of a short row. */
extern "C" void cuda_argmax(struct kernels *k, int32_t *ids, const float *logits, int rows, int64_t width)
{
    struct cuda *c = cuda_of(k);
    candidate *best = (candidate *)c->scratch;
    int room = (int)(CUDA_SCRATCH_BYTES / sizeof *best), parts = 2 * c->multiprocessors;
    if (rows <= 0)
        return;
    parts = parts < room ? parts / rows : room / rows;
    parts = parts < width / ARGMAX_PART ? parts : (int)(width / ARGMAX_PART);
    parts = parts > 1 ? parts : 1;
    CUDA_LAUNCH(c, argmax_parts, (unsigned)rows * (unsigned)parts, ARGMAX_THREADS, 0, ids, best, logits,
                (int)width, parts);
    if (parts > 1)
        CUDA_LAUNCH(c, argmax_pick, (unsigned)rows, WARP, 0, ids, best, parts);
}

extern "C" void cuda_advance(struct kernels *k, int32_t *context, int sequences, int by)
{
    struct cuda *c = cuda_of(k);
    if (sequences > 0)
        CUDA_LAUNCH(c, advance_contexts, groups_of(sequences), THREADS, 0, context, sequences, by);
}
