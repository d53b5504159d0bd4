/* Matrices in the block formats of GGUF files (kernels/blocks.h): made in place, widened for a product of
 * many rows, read back.
 *
 * generate: a thread makes the values of one block by the law of kernels/generator.h and searches its nearest
 *   block with the code of every backend: the same bytes as on the CPU. Once per model: not tuned.
 * widen: eight columns per thread and step; reads the matrix once, writes it once in the activations' type.
 * read_matrix: pieces copied to the stack and widened by the host; for tests and the reference. */
#include "kernels/blocks.h"
#include "kernels/cuda/blocks.cuh"
#include "kernels/cuda/matrix.cuh"
#include "kernels/generator.h"

namespace
{

enum { THREADS = 256, SEARCH_THREADS = 64, PIECE = 65536 };

__global__ void __launch_bounds__(SEARCH_THREADS)
    generated_blocks(unsigned char *out, enum kernel_dtype dtype, uint64_t seed, uint64_t id, bool constant,
                     float amplitude, int cols, int bytes, int64_t blocks)
{
    kernel_begin();
    const int64_t stride = (int64_t)gridDim.x * SEARCH_THREADS;
    for (int64_t b = (int64_t)blockIdx.x * SEARCH_THREADS + threadIdx.x; b < blocks; b += stride) {
        float x[KERNEL_K_BLOCK];
        unsigned char block[KERNEL_Q6_K_BYTES];
        const uint64_t first = (uint64_t)(b * cols), key = generator_key(seed, id, first);
        for (int i = 0; i < cols; i++)
            x[i] = constant ? amplitude : generator_value(key, (uint32_t)first + (uint32_t)i, amplitude);
        switch (dtype) {
        case KERNEL_Q8_0:
            blocks_quantize_q8_0(x, block);
            break;
        case KERNEL_Q4_0:
            blocks_quantize_q4_0(x, block);
            break;
        case KERNEL_Q4_K:
            blocks_quantize_q4_k(x, block);
            break;
        default:
            blocks_quantize_q6_k(x, block);
        }
        for (int i = 0; i < bytes; i++)
            out[b * bytes + i] = block[i];
    }
}

template <typename T> __global__ void __launch_bounds__(THREADS) widen_blocks(T *out, struct kernel_matrix m)
{
    kernel_begin();
    const int64_t packs = m.rows * m.cols / 8, step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < packs; i += step) {
        float v[8];
        blocks_eight((const unsigned char *)m.data, m.dtype, i * 8, v); /* rows are whole blocks */
        for (int part = 0; part < 8; part += pack<T>::COUNT) {
            pack<T> p;
            for (int j = 0; j < pack<T>::COUNT; j++)
                p.at[j] = from_float<T>(v[part + j]);
            store_pack(out + i * 8 + part, p);
        }
    }
}

template <typename T> void widen(struct cuda *c, T *out, const struct kernel_matrix *m)
{
    CUDA_LAUNCH(c, (widen_blocks<T>), grid_for(c, m->rows * m->cols / 8, THREADS), THREADS, 0, out, *m);
}

} // namespace

extern "C" void cuda_generate_blocks(struct cuda *c, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                                     bool constant, float amplitude)
{
    int cols = kernel_block_cols(m->dtype);
    int64_t blocks = m->rows * m->cols / cols;
    CUDA_LAUNCH(c, generated_blocks, grid_for(c, blocks, SEARCH_THREADS), SEARCH_THREADS, 0,
                (unsigned char *)m->data, m->dtype, seed, id, constant, amplitude, cols,
                (int)kernel_row_bytes(m->dtype, cols), blocks);
}

extern "C" void cuda_widen_blocks(struct cuda *c, void *out, enum kernel_dtype to,
                                  const struct kernel_matrix *m)
{
    if (to == KERNEL_FP16)
        widen(c, (__half *)out, m);
    else if (to == KERNEL_BF16)
        widen(c, (__nv_bfloat16 *)out, m);
    else
        widen(c, (float *)out, m);
}

extern "C" void cuda_read_blocks(struct kernels *k, const struct kernel_matrix *m, int64_t first,
                                 int64_t rows, float *out)
{
    unsigned char piece[PIECE];
    int64_t cols = kernel_block_cols(m->dtype), bytes = (int64_t)kernel_row_bytes(m->dtype, cols);
    const char *from = (const char *)m->data + (size_t)first * kernel_row_bytes(m->dtype, m->cols);
    int64_t left = rows * m->cols / cols, most = PIECE / bytes;
    for (int64_t n; left > 0; left -= n, from += n * bytes, out += n * cols) {
        n = left < most ? left : most;
        k->ops->download(k, piece, from, (size_t)(n * bytes));
        kernel_dequantize_rows(m->dtype, piece, 1, n * cols, out);
    }
}
