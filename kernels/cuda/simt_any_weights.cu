/* Synthetic weights made in place, weights widened for a product library, weights read back.
 *
 * generate: w[i] = generator_value(key(seed, id, i), i, amplitude) (kernels/generator.h) or the constant,
 * rounded to the matrix's type; the same bits as on the CPU.
 *   fp32, fp16, bf16   one 16-byte pack per thread and step; writes the matrix once, reads nothing
 *   int8               one block per row, twice through the generator: absmax, then round(w 127 / absmax)
 *   nf4                eight lanes per block of 64 columns, eight columns each: absmax by shuffles, codes
 *                      as one 4-byte word per lane, 128 bytes per warp
 *   nf4_dq             the same, while the sum of all absmax grows in 64-bit integers (any order gives the
 *                      same sum) where scales[0] and scales[1] will stand; then their mean; then one block
 *                      per group of 256 absmax makes them again and rounds them to the dynamic map
 * About 12 integer operations per element and pass.
 *
 * widen: eight columns per thread and step; reads the matrix once, writes 2 bytes per element.
 *
 * read_matrix: pieces copied to the stack and widened by the host; for tests and the reference. */
#include "kernels/cuda/matrix.cuh"
#include "kernels/generator.h"

#include <string.h>

namespace
{

enum { THREADS = 256, BLOCK = KERNEL_NF4_BLOCK, LANES = 8, EACH = BLOCK / LANES };
static_assert(LANES * EACH == BLOCK && WARP % LANES == 0 && EACH == 8, "a lane's codes are one 4-byte word");

/* A tensor's law, with the key of the 2^32 elements last asked for. */
struct source {
    uint64_t seed, id, key, high;
    float amplitude;
    bool constant;

    __device__ __forceinline__ float at(int64_t i)
    {
        if (constant)
            return amplitude;
        if ((uint64_t)i >> 32 != high) {
            high = (uint64_t)i >> 32;
            key = generator_key(seed, id, (uint64_t)i);
        }
        return generator_value(key, (uint32_t)i, amplitude);
    }
};

template <typename T> __global__ void __launch_bounds__(THREADS) generated_values(T *out, source w, int64_t n)
{
    kernel_begin();
    constexpr int COUNT = pack<T>::COUNT;
    int64_t step = (int64_t)gridDim.x * THREADS, packs = n / COUNT;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < packs; i += step) {
        pack<T> p;
        for (int j = 0; j < COUNT; j++)
            p.at[j] = from_float<T>(w.at(i * COUNT + j));
        store_pack(out + i * COUNT, p);
    }
    int64_t rest = packs * COUNT + threadIdx.x;
    if (blockIdx.x == 0 && rest < n)
        out[rest] = from_float<T>(w.at(rest));
}

/* Largest over the block of THREADS, for every thread; scratch: [THREADS / WARP + 1]. */
__device__ __forceinline__ float block_max(float x, float *scratch)
{
    x = warp_max(x);
    __syncthreads();
    if (threadIdx.x % WARP == 0)
        scratch[threadIdx.x / WARP] = x;
    __syncthreads();
    for (int i = 0; i < THREADS / WARP; i++)
        x = fmaxf(x, scratch[i]);
    return x;
}

__global__ void __launch_bounds__(THREADS) int8_rows(int8_t *out, float *scales, source w, int64_t cols)
{
    kernel_begin();
    __shared__ float scratch[THREADS / WARP];
    int64_t start = (int64_t)blockIdx.x * cols;
    float largest = 0;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS)
        largest = fmaxf(largest, fabsf(w.at(start + i)));
    largest = block_max(largest, scratch);
    float inverse = largest > 0 ? 127 / largest : 0;
    for (int64_t i = threadIdx.x; i < cols; i += THREADS) {
        float scaled = fminf(fmaxf(w.at(start + i) * inverse, -127.0f), 127.0f);
        out[start + i] = (int8_t)__float2int_rn(scaled);
    }
    if (threadIdx.x == 0)
        scales[blockIdx.x] = largest / 127;
}

/* Codes of all blocks; absmax to scales, or their sum to *sum. */
__global__ void __launch_bounds__(THREADS)
    nf4_blocks(uint8_t *out, float *scales, unsigned long long *sum, int sum_exponent, source w, int64_t cols,
               int64_t per_row, int64_t blocks)
{
    kernel_begin();
    int lane = threadIdx.x % LANES;
    int64_t step = (int64_t)gridDim.x * (THREADS / LANES), first = (int64_t)blockIdx.x * (THREADS / LANES);
    unsigned long long mine = 0;
    for (; first < blocks; first += step) { /* whole warps stay: they shuffle */
        int64_t b = first + threadIdx.x / LANES, row = b / per_row, col = b % per_row * BLOCK + lane * EACH;
        float v[EACH], largest = 0;
        for (int i = 0; i < EACH; i++) {
            v[i] = b < blocks && col + i < cols ? w.at(row * cols + col + i) : 0.0f;
            largest = fmaxf(largest, fabsf(v[i]));
        }
        for (int away = 1; away < LANES; away *= 2)
            largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, away));
        if (b >= blocks)
            continue;
        float inverse = largest > 0 ? 1 / largest : 0;
        unsigned codes = 0;
        for (int i = 0; i < EACH; i++) /* even columns in the high half of their byte */
            codes |= (unsigned)quantize_nf4_code(v[i] * inverse) << (i / 2 * 8 + (i % 2 ? 0 : 4));
        *reinterpret_cast<unsigned *>(out + b * (BLOCK / 2) + lane * (EACH / 2)) = codes;
        if (lane == 0 && scales)
            scales[b] = largest;
        if (lane == 0 && !scales)
            mine += quantize_sum_term(largest, sum_exponent);
    }
    if (!scales && mine)
        atomicAdd(sum, mine);
}

__global__ void nf4_mean(float *scales, int sum_exponent, int64_t blocks)
{
    kernel_begin();
    unsigned long long sum;
    memcpy(&sum, scales, sizeof sum);
    scales[0] = quantize_sum_mean(sum, sum_exponent, blocks);
}

/* One group of 256 absmax per block of threads, one absmax per thread. */
__global__ void __launch_bounds__(THREADS)
    nf4_groups(uint8_t *codes, float *scales, source w, int64_t cols, int64_t per_row, int64_t blocks)
{
    kernel_begin();
    static_assert((int)THREADS == (int)KERNEL_NF4_GROUP, "a thread makes one block's scale");
    __shared__ float scratch[THREADS / WARP];
    int64_t b = (int64_t)blockIdx.x * THREADS + threadIdx.x, row = b / per_row, col = b % per_row * BLOCK;
    float mean = scales[0], largest = 0, away = 0;
    if (b < blocks) {
        int64_t last = col + BLOCK < cols ? col + BLOCK : cols;
        for (int64_t i = col; i < last; i++)
            largest = fmaxf(largest, fabsf(w.at(row * cols + i)));
        away = largest - mean;
    }
    float scale = block_max(fabsf(away), scratch), inverse = scale > 0 ? 1 / scale : 0;
    if (b < blocks)
        codes[b] = (uint8_t)quantize_dynamic_code(away * inverse);
    if (threadIdx.x == 0)
        scales[1 + blockIdx.x] = scale;
}

template <typename T, enum kernel_dtype FROM>
__global__ void __launch_bounds__(THREADS) widen_eights(T *out, struct kernel_matrix m)
{
    kernel_begin();
    int64_t per_row = m.cols / 8, packs = m.rows * per_row, step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < packs; i += step) {
        int64_t row = packs <= INT32_MAX ? (int32_t)i / (int32_t)per_row : i / per_row;
        float v[8];
        matrix_eight(m, FROM, row, (i - row * per_row) * 8, v);
        pack<T> p;
        for (int j = 0; j < 8; j++)
            p.at[j] = from_float<T>(v[j]);
        store_pack(out + i * 8, p);
    }
}

template <typename T> __global__ void __launch_bounds__(THREADS) widen_ones(T *out, struct kernel_matrix m)
{
    kernel_begin();
    int64_t n = m.rows * m.cols, step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += step)
        out[i] = from_float<T>(matrix_one(m, m.dtype, i / m.cols, i % m.cols));
}

void generate_nf4(struct cuda *c, struct kernel_matrix *m, const source &w)
{
    int64_t per_row = (m->cols + BLOCK - 1) / BLOCK, blocks = m->rows * per_row;
    bool twice = m->dtype == KERNEL_NF4_DQ;
    int exponent = quantize_sum_exponent(fabsf(w.amplitude));
    /* There are at least two scales, 64-byte aligned: room for the sum until they are known. */
    unsigned long long *sum = (unsigned long long *)(void *)m->scales;
    if (twice)
        cuda_check(c, cudaMemsetAsync(sum, 0, sizeof *sum, c->stream), "generate");
    CUDA_LAUNCH(c, nf4_blocks, grid_for(c, blocks * LANES, THREADS), THREADS, 0, (uint8_t *)m->data,
                twice ? NULL : m->scales, sum, exponent, w, m->cols, per_row, blocks);
    if (!twice)
        return;
    CUDA_LAUNCH(c, nf4_mean, 1, 1, 0, m->scales, exponent, blocks);
    CUDA_LAUNCH(c, nf4_groups, (unsigned)((blocks + KERNEL_NF4_GROUP - 1) / KERNEL_NF4_GROUP), THREADS, 0,
                m->codes, m->scales, w, m->cols, per_row, blocks);
}

template <typename T> void generate_values(struct cuda *c, struct kernel_matrix *m, const source &w)
{
    int64_t n = m->rows * m->cols;
    CUDA_LAUNCH(c, (generated_values<T>), grid_for(c, n / pack<T>::COUNT, THREADS), THREADS, 0, (T *)m->data,
                w, n);
}

template <typename T> void widen_to(struct cuda *c, T *out, const struct kernel_matrix *m)
{
    unsigned grid = grid_for(c, m->rows * m->cols / 8, THREADS);
    if (!matrix_in_eights(m) || m->cols % 8 || !aligned_16(out)) {
        CUDA_LAUNCH(c, (widen_ones<T>), grid, THREADS, 0, out, *m);
        return;
    }
    switch (m->dtype) {
    case KERNEL_FP16:
        CUDA_LAUNCH(c, (widen_eights<T, KERNEL_FP16>), grid, THREADS, 0, out, *m);
        break;
    case KERNEL_BF16:
        CUDA_LAUNCH(c, (widen_eights<T, KERNEL_BF16>), grid, THREADS, 0, out, *m);
        break;
    case KERNEL_INT8:
        CUDA_LAUNCH(c, (widen_eights<T, KERNEL_INT8>), grid, THREADS, 0, out, *m);
        break;
    case KERNEL_NF4:
        CUDA_LAUNCH(c, (widen_eights<T, KERNEL_NF4>), grid, THREADS, 0, out, *m);
        break;
    case KERNEL_NF4_DQ:
        CUDA_LAUNCH(c, (widen_eights<T, KERNEL_NF4_DQ>), grid, THREADS, 0, out, *m);
        break;
    default:
        CUDA_LAUNCH(c, (widen_eights<T, KERNEL_FP32>), grid, THREADS, 0, out, *m);
    }
}

/* What a piece of a matrix needs on the host: at most PIECE bytes of data and MOST rows or blocks. */
enum { PIECE = 65536, MOST = PIECE / (BLOCK / 2) };
struct piece {
    unsigned char data[PIECE];
    float scales[MOST];
    uint8_t codes[MOST];
};

/* Copies the columns [col, col + cols) of `rows` rows from `row` on, whole rows or a part of one row that
 * begins with a block; the matrix that the copy is. */
struct kernel_matrix fetch(struct kernels *k, struct piece *p, const struct kernel_matrix *m, int64_t row,
                           int64_t rows, int64_t col, int64_t cols)
{
    struct kernel_matrix from = kernel_matrix_rows(m, row, rows), here = from;
    int64_t blocks = rows * ((cols + BLOCK - 1) / BLOCK), before = col / BLOCK;
    size_t skipped = kernel_row_bytes(m->dtype, col);
    here.cols = cols, here.first_row = 0;
    here.data = p->data, here.scales = p->scales, here.codes = p->codes;
    k->ops->download(k, p->data, (const char *)from.data + skipped,
                     (size_t)rows * kernel_row_bytes(m->dtype, cols));
    if (m->dtype == KERNEL_INT8)
        k->ops->download(k, p->scales, from.scales, (size_t)rows * sizeof(float));
    if (m->dtype == KERNEL_NF4)
        k->ops->download(k, p->scales, from.scales + before, (size_t)blocks * sizeof(float));
    if (m->dtype == KERNEL_NF4_DQ) { /* the copy has a scale per block */
        float groups[MOST / KERNEL_NF4_GROUP + 2], mean;
        int64_t first = (m->first_row + row) * ((m->cols + BLOCK - 1) / BLOCK) + before;
        int64_t group = first / KERNEL_NF4_GROUP, last = (first + blocks - 1) / KERNEL_NF4_GROUP;
        k->ops->download(k, p->codes, from.codes + before, (size_t)blocks);
        k->ops->download(k, groups, m->scales + 1 + group, (size_t)(last - group + 1) * sizeof(float));
        k->ops->download(k, &mean, m->scales, sizeof mean);
        for (int64_t b = 0; b < blocks; b++)
            p->scales[b] =
                quantize_block_scale(p->codes[b], groups[(first + b) / KERNEL_NF4_GROUP - group], mean);
        here.dtype = KERNEL_NF4;
    }
    return here;
}

float host_value(const struct kernel_matrix *m, int64_t row, int64_t col)
{
    int64_t at = row * m->cols + col, per_row = (m->cols + BLOCK - 1) / BLOCK;
    switch (m->dtype) {
    case KERNEL_FP16:
        return __half2float(((const __half *)m->data)[at]);
    case KERNEL_BF16:
        return __bfloat162float(((const __nv_bfloat16 *)m->data)[at]);
    case KERNEL_INT8:
        return (float)((const int8_t *)m->data)[at] * m->scales[row];
    case KERNEL_NF4: {
        int byte = ((const uint8_t *)m->data)[row * per_row * (BLOCK / 2) + col / 2];
        return quantize_nf4_value(col % 2 ? byte & 15 : byte >> 4) * m->scales[row * per_row + col / BLOCK];
    }
    default:
        return ((const float *)m->data)[at];
    }
}

} // namespace

extern "C" void cuda_generate(struct kernels *k, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                              enum kernel_weight_law law, float amplitude)
{
    struct cuda *c = cuda_of(k);
    if (kernel_is_blocks(m->dtype)) {
        cuda_generate_blocks(c, m, seed, id, law == KERNEL_CONSTANT, amplitude);
        return;
    }
    source w = {seed, id, generator_key(seed, id, 0), 0, amplitude, law == KERNEL_CONSTANT};
    switch (m->dtype) {
    case KERNEL_FP16:
        generate_values<__half>(c, m, w);
        break;
    case KERNEL_BF16:
        generate_values<__nv_bfloat16>(c, m, w);
        break;
    case KERNEL_INT8:
        CUDA_LAUNCH(c, int8_rows, (unsigned)m->rows, THREADS, 0, (int8_t *)m->data, m->scales, w, m->cols);
        break;
    case KERNEL_NF4:
    case KERNEL_NF4_DQ:
        generate_nf4(c, m, w);
        break;
    default:
        generate_values<float>(c, m, w);
    }
}

extern "C" void cuda_widen(struct cuda *c, void *out, enum kernel_dtype to, const struct kernel_matrix *m)
{
    if (kernel_is_blocks(m->dtype))
        cuda_widen_blocks(c, out, to, m);
    else if (to == KERNEL_FP16)
        widen_to(c, (__half *)out, m);
    else
        widen_to(c, (__nv_bfloat16 *)out, m);
}

/* By channel: one channel of these rows at a time. */
static void read_channels(struct kernels *k, const struct kernel_matrix *m, int64_t first, int64_t rows,
                          float *out)
{
    struct piece p;
    size_t element = kernel_dtype_bytes(m->dtype);
    for (int64_t row = 0; row < rows; row += MOST) {
        int64_t n = rows - row < MOST ? rows - row : (int64_t)MOST;
        struct kernel_matrix here = kernel_matrix_rows(m, 0, n);
        here.cols = 1, here.channel_stride = 0, here.data = p.data, here.scales = p.scales;
        if (m->scales)
            k->ops->download(k, p.scales, m->scales + first + row, (size_t)n * sizeof(float));
        for (int64_t col = 0; col < m->cols; col++) {
            k->ops->download(
                k, p.data, (const char *)m->data + (size_t)(col * m->channel_stride + first + row) * element,
                (size_t)n * element);
            for (int64_t r = 0; r < n; r++)
                out[(row + r) * m->cols + col] = host_value(&here, r, 0);
        }
    }
}

static void narrow_host(void *to, enum kernel_dtype dtype, int64_t at, float x)
{
    switch (dtype) {
    case KERNEL_FP16:
        ((__half *)to)[at] = __float2half_rn(x);
        break;
    case KERNEL_BF16:
        ((__nv_bfloat16 *)to)[at] = __float2bfloat16_rn(x);
        break;
    case KERNEL_INT8:
        ((int8_t *)to)[at] = (int8_t)nearbyintf(fminf(fmaxf(x, -127.0f), 127.0f));
        break;
    default:
        ((float *)to)[at] = x;
    }
}

/* [rows, cols], or by channel [cols, rows], of at most PIECE bytes a time. */
extern "C" void cuda_write_matrix(struct kernels *k, struct kernel_matrix *m, int64_t first, int64_t rows,
                                  const float *from)
{
    struct piece p;
    size_t element = kernel_dtype_bytes(m->dtype);
    for (int64_t row = 0; row < rows; row += MOST) {
        int64_t n = rows - row < MOST ? rows - row : (int64_t)MOST;
        float inverse[MOST];
        for (int64_t r = 0; r < n; r++) {
            float largest = 0;
            for (int64_t col = 0; m->dtype == KERNEL_INT8 && col < m->cols; col++)
                largest = fmaxf(largest, fabsf(from[(row + r) * m->cols + col]));
            p.scales[r] = largest / 127;
            inverse[r] = m->dtype != KERNEL_INT8 ? 1.0f : largest > 0 ? 127 / largest : 0.0f;
        }
        if (m->dtype == KERNEL_INT8)
            k->ops->upload(k, m->scales + first + row, p.scales, (size_t)n * sizeof(float));
        for (int64_t col = 0; m->channel_stride && col < m->cols; col++) {
            for (int64_t r = 0; r < n; r++)
                narrow_host(p.data, m->dtype, r, from[(row + r) * m->cols + col] * inverse[r]);
            k->ops->upload(k, (char *)m->data + (size_t)(col * m->channel_stride + first + row) * element,
                           p.data, (size_t)n * element);
        }
        const int64_t most = PIECE / (int64_t)element;
        for (int64_t r = 0; !m->channel_stride && r < n; r++)
            for (int64_t col = 0; col < m->cols; col += most) {
                int64_t count = m->cols - col < most ? m->cols - col : most;
                for (int64_t i = 0; i < count; i++)
                    narrow_host(p.data, m->dtype, i, from[(row + r) * m->cols + col + i] * inverse[r]);
                k->ops->upload(k, (char *)m->data + (size_t)((first + row + r) * m->cols + col) * element,
                               p.data, (size_t)count * element);
            }
    }
    k->ops->synchronize(k);
}

extern "C" void cuda_read_matrix(struct kernels *k, const struct kernel_matrix *m, int64_t first,
                                 int64_t rows, float *out)
{
    if (m->channel_stride) {
        read_channels(k, m, first, rows, out);
        return;
    }
    if (kernel_is_blocks(m->dtype)) {
        cuda_read_blocks(k, m, first, rows, out);
        return;
    }
    struct piece p;
    int64_t row_bytes = (int64_t)kernel_row_bytes(m->dtype, m->cols), most = PIECE / row_bytes,
            cols = m->cols;
    most = most > MOST ? (int64_t)MOST : most;
    if (most == 0) /* a part of a row: whole blocks */
        cols = PIECE / (int64_t)kernel_row_bytes(m->dtype, BLOCK) * BLOCK, most = 1;
    for (int64_t row = 0; row < rows; row += most)
        for (int64_t col = 0; col < m->cols; col += cols) {
            int64_t r = rows - row < most ? rows - row : most,
                    n = m->cols - col < cols ? m->cols - col : cols;
            struct kernel_matrix here = fetch(k, &p, m, first + row, r, col, n);
            for (int64_t i = 0; i < r; i++)
                for (int64_t j = 0; j < n; j++)
                    out[(row + i) * m->cols + col + j] = host_value(&here, i, j);
        }
}
