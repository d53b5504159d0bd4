/* The ways to attend, behind cuda_attention_naive and cuda_attention_flash: attention.c alone chooses.
 *
 * Shapes, strides and the order of tokens are those of kernels.h. "16-bit form" below means: activations and
 * cache of the same type, fp16 or bf16; head_dim a multiple of 8 and at most 256; q, its stride, out and the
 * cache in multiples of 16 bytes. All compute scores and sums in fp32; the softmax is taken in powers of two,
 * so scale must be positive. Everything is queued on the stream; lengths are read on the device. */
#pragma once

#include "kernels/cuda/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cuda_attention { /* the arguments of one call, as in kernels.h */
    struct kernels *k;
    void *out;
    const void *q;
    int q_stride;
    const struct kernel_kv *kv;
    const struct kernel_attention *a;
    const struct kernel_batch *batch;
    void *workspace;
};

/* How decode shares the tokens among blocks: every (sequence, kv head, group of packed rows) is read by
 * `splits` blocks. A packed row is one (token row, head of the kv head's group). */
struct cuda_splits {
    int splits;         /* 1: the block writes the output itself, no combining */
    int tile_rows;      /* packed rows a block takes */
    int tiles;          /* blocks per (sequence, kv head) and split: packed rows / tile_rows, rounded up */
    int minimum_tokens; /* no block takes fewer, unless there are no more */
};

/* sm80_f16_attention_flash.cu: prompts, 16-bit form, tensor cores */
void cuda_flash_f16(const struct cuda_attention *call);
/* simt_f32_attention_flash.cu: prompts, any types, any alignment, head_dim <= 256 */
enum { CUDA_FLASH_F32_DIM = 256 };
void cuda_flash_f32(const struct cuda_attention *call);

/* sm80_f16_attention_decode.cu: few rows, 16-bit form, tensor cores */
enum { CUDA_DECODE_F16_ROWS = 16 }; /* packed rows of a tile */
void cuda_decode_f16(const struct cuda_attention *call, struct cuda_splits splits);
/* simt_any_attention_decode.cu: any rows, any types, any alignment, head_dim <= CUDA_ATTENTION_DIM */
enum { CUDA_ATTENTION_DIM = 4096 };
void cuda_decode_any(const struct cuda_attention *call, struct cuda_splits splits);
int cuda_decode_any_rows(int head_dim); /* packed rows of a tile */
/* simt_any_attention_combine.cu: the partial outputs of `splits` blocks -> out. The partials in the
 * workspace: O [items, splits, head_dim] fp32, not yet divided by the sum, then (maximum in powers of two,
 * sum) [items, splits, 2] fp32, with item = (sequence * max_rows + row) * heads + head. */
enum { CUDA_ATTENTION_SPLITS = 128 }; /* at most */
void cuda_attention_combine(const struct cuda_attention *call, struct cuda_splits splits);

/* The baseline: scores of the whole batch, [sequences, heads, max_rows, max_context] fp32, in the workspace.
 * simt_any_attention_naive.cu: any types, any alignment; sm80_f16_attention_naive.cu: prompts in 16-bit form,
 * tensor cores. Each queues scores, softmax, product with v. */
void cuda_naive_any(const struct cuda_attention *call);
void cuda_naive_f16(const struct cuda_attention *call);
void cuda_naive_softmax(const struct cuda_attention *call); /* the middle step of both */

#ifdef __cplusplus
}
#endif
