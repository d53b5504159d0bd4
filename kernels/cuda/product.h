/* The ways to multiply, behind cuda_product: product.c alone chooses.
 *
 * x [rows, x_stride], out [rows, out_stride] in the activations' type (out fp32 where the epilogue says so),
 * weights as in kernels.h. All accumulate in fp32 (int8 both sides: int32) and are queued on c->stream. */
#pragma once

#include "kernels/cuda/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Few rows: bound by reading the weights once. sm80_any_gemv.cu (tensor cores where both types allow). */
enum { CUDA_GEMV_ROWS = 8 };
void cuda_gemv(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
               const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows);
/* sm80_any_gemv_gate_up.cu: m [2 f, cols], gate rows first */
void cuda_gemv_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows);
/* sm80_any_gemv_argmax.cu: two kernels; workspace: best value and id per block and row */
size_t cuda_gemv_argmax_workspace(const struct cuda *c, const struct kernel_matrix *m, int rows);
void cuda_gemv_argmax(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                      const struct kernel_matrix *m, const float *bias, int rows, void *workspace);

/* Our own tiles. sm80_any_gemm.cu: tensor cores, fp16 and bf16 activations, every weight type widened on the
 * way into shared memory; simt_f32_gemm.cu: fp32 activations. Any rows, any shape. workspace: the partial
 * sums of products split along cols, added in a fixed order. */
size_t cuda_gemm_workspace(const struct cuda *c, const struct kernel_matrix *m, int rows);
void cuda_gemm(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
               const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
               void *workspace);
/* simt_f32_gemm.cu: what cuda_gemm calls for fp32 activations. */
void cuda_gemm_f32(struct kernels *k, float *out, int out_stride, const float *x, int x_stride,
                   const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                   void *workspace, size_t workspace_bytes);
/* fp16 and bf16 activations. m [2 f, cols], gate rows first: out[rows, f] = silu(x gate^T) * (x up^T), both
 * in one tile. No workspace.
 */
void cuda_gemm_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows);
/* sm80_s8_gemm.cu: x already quantized [rows, cols] with a scale per row; int8 weights. */
void cuda_gemm_s8(struct kernels *k, void *out, int out_stride, const int8_t *x, int x_stride,
                  const float *x_scales, const struct kernel_matrix *m,
                  const struct kernel_epilogue *epilogue, int rows);

/* simt_any_finish.cu: what stands before and after a library's product. */
/* x [rows, cols] -> q [rows, q_stride] int8 (the padding zeroed) and scales [rows], absmax / 127 (Dettmers et
 * al. 2022, section 2). */
void cuda_quantize_rows(struct kernels *k, int8_t *q, int q_stride, float *scales, const void *x,
                        int x_stride, int rows, int cols);
/* out = epilogue(sums * x_scales[row] * m->scales[col]); sums [rows, n] of int32. */
void cuda_finish_s8(struct kernels *k, void *out, int out_stride, const int32_t *sums, const float *x_scales,
                    const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows);
/* In place: the activation of out [rows, n], of the activations' type or fp32. */
void cuda_finish(struct kernels *k, void *out, int out_stride, bool fp32, enum kernel_activation activation,
                 int rows, int64_t n);
/* fp32 -> the activations' type: a library wants the bias in the type of its result. */
void cuda_narrow(struct kernels *k, void *out, const float *from, int64_t n);
/* both [rows, 2 f], gate first -> out[rows, f] = silu(gate) * up */
void cuda_finish_gate_up(struct kernels *k, void *out, const void *both, int rows, int f);
/* The largest of logits [rows, n], tokens `first` and up, joins ids and best [rows] (first == 0: they hold
 * nothing yet). Of equals the first wins; NaN never does. */
void cuda_argmax_piece(struct kernels *k, int32_t *ids, float *best, const float *logits, int stride,
                       int rows, int64_t n, int64_t first);

/* cublaslt.c: opened at run time. NULL with the reason in words where it is not there; version: "13.1.0".
 * BENCHTOP_CUBLASLT in the environment names the one file to open. */
struct cublaslt;
struct cublaslt *cublaslt_open(char *version, size_t version_size, char *why, size_t why_size);
void cublaslt_close(struct cublaslt *l); /* NULL is fine */
/* Bytes of the library's own workspace, part of cuda_product_workspace. 0 for NULL. */
size_t cublaslt_workspace(const struct cublaslt *l);
/* What the library does to a result, in its own order: y = gelu(x W^T + old y if accumulate + bias). */
struct cublaslt_epilogue {
    const void *bias; /* [rows of W] in the type of out, or NULL */
    bool gelu_tanh, accumulate;
    bool fp32; /* out is fp32, else the type of m */
};
/* x and m of one type: fp32 (without TF32), fp16 or bf16; or int8 both with int32 out and no epilogue.
 * Chooses and remembers an algorithm for the shape at the first call (warm-up, never between timestamps).
 * False: the library refuses this shape or type; nothing was queued. */
bool cublaslt_product(struct cublaslt *l, struct kernels *k, void *out, int out_stride, const void *x,
                      int x_stride, const struct kernel_matrix *m, const struct cublaslt_epilogue *epilogue,
                      int rows, void *workspace);
struct cublaslt *cuda_library(const struct cuda *c); /* cuda.c: what open() found; NULL: none */

#ifdef __cplusplus
}
#endif
