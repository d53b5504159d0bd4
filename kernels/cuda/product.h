/* The ways to multiply, behind cuda_product: product.c alone chooses.
 *
 * x [rows, x_stride], out [rows, out_stride] in the activations' type (out fp32 where the epilogue says so),
 * weights as in kernels.h. All accumulate in fp32 (int8 both sides: int32) and are queued on c->stream. */
#pragma once

#include "kernels/cuda/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Few rows: bound by reading the weights once. simt_any_gemv.cu */
enum { CUDA_GEMV_ROWS = 8 };
void cuda_gemv(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
               const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows);
/* simt_any_gemv_gate_up.cu: m [2 f, cols], gate rows first */
void cuda_gemv_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows);
/* simt_any_gemv_argmax.cu: two kernels; workspace: best value and id per block and row */
size_t cuda_gemv_argmax_workspace(const struct cuda *c, const struct kernel_matrix *m, int rows);
void cuda_gemv_argmax(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                      const struct kernel_matrix *m, const float *bias, int rows, void *workspace);

/* Our own tiles. sm80_any_gemm.cu: tensor cores, fp16 and bf16 activations, every weight type widened on the
 * way into shared memory; simt_f32_gemm.cu: fp32 activations. Any rows, any shape. */
void cuda_gemm(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
               const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows);
/* sm80_s8_gemm.cu: x quantized per row first (absmax / 127) into the workspace; int8 weights. */
size_t cuda_gemm_s8_workspace(const struct kernel_matrix *m, int rows);
void cuda_gemm_s8(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                  const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                  void *workspace);

/* cublaslt.c: opened at run time. NULL with the reason in words where it is not there. */
struct cublaslt;
struct cublaslt *cublaslt_open(char *version, size_t version_size, char *why, size_t why_size);
void cublaslt_close(struct cublaslt *l); /* NULL is fine */
/* Bytes of the library's own workspace, part of cuda_product_workspace. */
size_t cublaslt_workspace(const struct cublaslt *l);
/* Chooses and remembers an algorithm for the shape at the first call (warm-up, never between timestamps).
 * False: the library refuses this shape or type; nothing was queued. */
bool cublaslt_product(struct cublaslt *l, struct kernels *k, void *out, int out_stride, const void *x,
                      int x_stride, const struct kernel_matrix *m, const struct kernel_epilogue *epilogue,
                      int rows, void *workspace);
struct cublaslt *cuda_library(const struct cuda *c); /* cuda.c: what open() found; NULL: none */

#ifdef __cplusplus
}
#endif
