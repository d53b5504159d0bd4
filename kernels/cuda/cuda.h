/* The CUDA backend's own state and its operations, shared by the files of kernels/cuda/ and by nobody else.
 *
 * One struct cuda per kernels_open; its three views (fp32, fp16, bf16 activations) share the stream, the
 * memory and the libraries. Every operation is queued on `stream`, allocates nothing and may be captured in a
 * graph: it reads positions, lengths and token ids from device memory alone, and its grid depends on the
 * host's numbers (rows, max_rows, max_context). A launch that fails is remembered by cuda_check and told by
 * error(). */
#pragma once

#include "kernels/kernels.h"

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cuda;

struct cuda_view {
    struct kernels base; /* first: struct kernels * is cast to this */
    struct cuda *device;
};

struct cuda_private; /* cuda.c: accounting, staging, libraries, the error */

struct cuda {
    struct cuda_view view[3]; /* KERNEL_FP32, KERNEL_FP16, KERNEL_BF16 */
    cudaStream_t stream;
    int index, major, minor; /* compute capability */
    int multiprocessors;
    size_t shared_limit; /* bytes of shared memory a block may have when it asks (opt-in) */
    int64_t l2_bytes;
    bool overlap;  /* a kernel may be set up while the one before still runs: kernel_begin in device.cuh */
    void *scratch; /* CUDA_SCRATCH_BYTES of the device, between two kernels of one operation */
    struct cuda_private *own;
};
enum { CUDA_SCRATCH_BYTES = 8192 };

static inline struct cuda *cuda_of(const struct kernels *k)
{
    return ((const struct cuda_view *)(const void *)k)->device;
}

/* Remembers the first failure: "an illegal memory access was encountered in product". */
void cuda_check(struct cuda *c, cudaError_t status, const char *what);
/* Before a launch with more than 48 KiB of dynamic shared memory; cheap when repeated. */
void cuda_allow_shared(struct cuda *c, const void *kernel, size_t bytes);

/* ---- operations, as in kernels.h; the file they live in ---- */

/* simt_any_weights.cu */
void cuda_generate(struct kernels *k, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                   enum kernel_weight_law law, float amplitude);
void cuda_read_matrix(struct kernels *k, const struct kernel_matrix *m, int64_t first, int64_t rows,
                      float *out);
void cuda_write_matrix(struct kernels *k, struct kernel_matrix *m, int64_t first, int64_t rows,
                       const float *from);
/* The matrix in its own precision -> [rows, cols] of `to` (fp16 or bf16) in device memory: what a product
 * library multiplies. Queued. */
void cuda_widen(struct cuda *c, void *out, enum kernel_dtype to, const struct kernel_matrix *m);

/* simt_any_blocks.cu: the same for Q8_0 ... Q6_K; these widen to fp32 too */
void cuda_generate_blocks(struct cuda *c, struct kernel_matrix *m, uint64_t seed, uint64_t id, bool constant,
                          float amplitude);
void cuda_widen_blocks(struct cuda *c, void *out, enum kernel_dtype to, const struct kernel_matrix *m);
void cuda_read_blocks(struct kernels *k, const struct kernel_matrix *m, int64_t first, int64_t rows,
                      float *out);

/* simt_any_rows.cu */
void cuda_embed(struct kernels *k, void *out, const struct kernel_matrix *table, const int32_t *ids,
                const struct kernel_matrix *positions, const struct kernel_matrix *extra,
                const struct kernel_batch *batch);
void cuda_gather_rows(struct kernels *k, void *out, const void *x, int stride, const int32_t *row_ids,
                      int rows, int width);
void cuda_argmax(struct kernels *k, int32_t *ids, const float *logits, int rows, int64_t width);
void cuda_advance(struct kernels *k, int32_t *context, int sequences, int by);

/* simt_any_norm.cu */
void cuda_norm(struct kernels *k, void *out, const void *x, const struct kernel_norm *norm, int rows);
void cuda_add_norm(struct kernels *k, void *out, void *residual, const void *x,
                   const struct kernel_norm *norm, int rows);

/* simt_any_elementwise.cu */
void cuda_add(struct kernels *k, void *out, const void *a, const void *b, int64_t n);
void cuda_add_bias(struct kernels *k, void *x, int stride, const float *bias, int rows, int width);
void cuda_activate(struct kernels *k, void *x, enum kernel_activation activation, int64_t n);
void cuda_multiply_silu(struct kernels *k, void *out, const void *gate, const void *up, int64_t n);

/* simt_any_rope_cache.cu */
void cuda_rope(struct kernels *k, void *x, int stride, int heads, int head_dim,
               const struct kernel_rope *rope, const struct kernel_batch *batch);
void cuda_cache_write(struct kernels *k, const struct kernel_kv *kv, const void *keys, const void *values,
                      int stride, const struct kernel_batch *batch);
void cuda_rope_cache(struct kernels *k, void *qkv, int stride, const struct kernel_attention *a,
                     const struct kernel_rope *rope, const struct kernel_kv *kv,
                     const struct kernel_batch *batch);

/* simt_any_sparse.cu */
void cuda_top_k(struct kernels *k, const struct kernel_kept *out, const void *x, int stride, int width,
                int rows);
void cuda_mask_top_k(struct kernels *k, void *x, int stride, int width, int keep, int rows);
void cuda_sparse_product(struct kernels *k, void *out, int out_stride, const struct kernel_kept *x,
                         const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                         void *workspace);
size_t cuda_sparse_product_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows);
void cuda_sparse_gate_up(struct kernels *k, void *out, const struct kernel_kept *x,
                         const struct kernel_matrix *m, int rows, void *workspace);
/* A matrix by channel -> [rows, cols] of its own type in device memory. Queued. */
void cuda_turn_rows(struct cuda *c, void *out, const struct kernel_matrix *m);

/* product.c: chooses between GEMV, library and our own GEMM (kernels/cuda/product.h) */
void cuda_product(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                  const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                  void *workspace);
size_t cuda_product_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows);
void cuda_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows,
                  void *workspace);
size_t cuda_gate_up_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows);
void cuda_head_argmax(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                      const struct kernel_matrix *m, const float *bias, int rows, void *workspace);
size_t cuda_head_argmax_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows);

/* attention.c: chooses the kernel (kernels/cuda/attention.h) */
void cuda_attention_naive(struct kernels *k, void *out, const void *q, int q_stride,
                          const struct kernel_kv *kv, const struct kernel_attention *a,
                          const struct kernel_batch *batch, void *workspace);
size_t cuda_attention_naive_workspace(const struct kernels *k, const struct kernel_attention *a,
                                      const struct kernel_batch *batch);
void cuda_attention_flash(struct kernels *k, void *out, const void *q, int q_stride,
                          const struct kernel_kv *kv, const struct kernel_attention *a,
                          const struct kernel_batch *batch, void *workspace);
size_t cuda_attention_flash_workspace(const struct kernels *k, const struct kernel_attention *a,
                                      const struct kernel_batch *batch);

/* simt_any_ssm.cu; the scan: simt_any_ssm_scan.cu */
void cuda_ssm_conv(struct kernels *k, void *out, const void *x, int x_stride, const struct kernel_ssm *s,
                   bool silu, const struct kernel_batch *batch);
void cuda_ssm_softplus(struct kernels *k, void *dt, const float *bias, int rows, int width);
void cuda_ssm_gate(struct kernels *k, void *y, const void *z, int z_stride, int rows, int width);
void cuda_ssm_naive(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                    const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace);
size_t cuda_ssm_naive_workspace(const struct kernels *k, const struct kernel_ssm *s,
                                const struct kernel_batch *batch);
void cuda_ssm_scan(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                   const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace);
size_t cuda_ssm_scan_workspace(const struct kernels *k, const struct kernel_ssm *s,
                               const struct kernel_batch *batch);

/* simt_any_ceilings.cu */
double cuda_measure_read(struct kernels *k, double seconds);
double cuda_measure_copy(struct kernels *k, double seconds);

#ifdef __cplusplus
}
#endif
