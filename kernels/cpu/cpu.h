/* The CPU backend's own state, shared by the files of kernels/cpu/ and by nobody else.
 *
 * Activations are fp32. Every operation runs at once on `threads` OpenMP threads and returns when it is done;
 * no value depends on which thread computes it, so that results do not depend on timing. */
#pragma once

#include "kernels/cpu/simd.h"

#include <omp.h>
#include <stdatomic.h>

struct product_library;

enum { CPU_SPARSE_ROWS = 8 };

struct cpu {
    struct kernels base; /* first: struct kernels * is cast to this */
    int threads;
    const struct simd *simd;
    const struct product_library *library; /* for large products */
    char product_why[160];
    char affinity[96];
    atomic_size_t allocated;
};

static inline struct cpu *cpu_of(struct kernels *k)
{
    return (struct cpu *)(void *)k;
}

static inline const struct cpu *cpu_of_const(const struct kernels *k)
{
    return (const struct cpu *)(const void *)k;
}

struct cpu_range {
    int64_t first, last;
};

/* The part of n items of thread `i` out of `count`, in multiples of `unit` but for the end. */
static inline struct cpu_range cpu_share(int64_t n, int64_t unit, int i, int count)
{
    int64_t units = (n + unit - 1) / unit, first = units * i / count * unit,
            last = units * (i + 1) / count * unit;
    return (struct cpu_range){first < n ? first : n, last < n ? last : n};
}

/* Threads worth waking for `bytes` of traffic or as many FLOPs: a parallel region costs a few microseconds.
 */
static inline int cpu_threads_for(const struct cpu *c, int64_t work)
{
    return work < 32768 ? 1 : c->threads;
}

/* memory.c */
void *cpu_alloc(struct kernels *k, size_t bytes);
void cpu_free(struct kernels *k, void *p, size_t bytes);
size_t cpu_allocated(const struct kernels *k);
void cpu_memory(const struct kernels *k, struct kernel_memory *out);
void cpu_copy(struct kernels *k, void *to, const void *from, size_t bytes);
void cpu_synchronize(struct kernels *k);
struct kernel_event *cpu_event_create(struct kernels *k);
void cpu_event_destroy(struct kernels *k, struct kernel_event *e);
void cpu_event_record(struct kernels *k, struct kernel_event *e);
int64_t cpu_event_span_ns(struct kernels *k, const struct kernel_event *from, const struct kernel_event *to);

/* reserve.c */
size_t cpu_page_bytes(const struct kernels *k);
void *cpu_reserve(struct kernels *k, size_t bytes);
bool cpu_map(struct kernels *k, void *at, size_t bytes);
void cpu_unmap(struct kernels *k, void *at, size_t bytes);
void cpu_unreserve(struct kernels *k, void *at, size_t bytes);

/* weights.c */
void cpu_generate(struct kernels *k, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                  enum kernel_weight_law law, float amplitude);
void cpu_read_matrix(struct kernels *k, const struct kernel_matrix *m, int64_t first, int64_t rows,
                     float *out);

void cpu_write_matrix(struct kernels *k, struct kernel_matrix *m, int64_t first, int64_t rows,
                      const float *from);
/* Rows [first, first + rows) of a matrix by channel, in their type, row-major. */
void cpu_turn_rows(void *out, const struct kernel_matrix *m, int64_t first, int64_t rows);

/* Columns [first, first + n) of a row as fp32, first a multiple of 256, n of a block where blocks are not
 * padded. */
void cpu_widen(const struct cpu *c, float *out, const struct kernel_matrix *m, int64_t row, int64_t first,
               int64_t n);

/* rows.c */
void cpu_embed(struct kernels *k, void *out, const struct kernel_matrix *table, const int32_t *ids,
               const struct kernel_matrix *positions, const struct kernel_matrix *extra,
               const struct kernel_batch *batch);
void cpu_norm(struct kernels *k, void *out, const void *x, const struct kernel_norm *norm, int rows);
void cpu_add_norm(struct kernels *k, void *out, void *residual, const void *x, const struct kernel_norm *norm,
                  int rows);
void cpu_add(struct kernels *k, void *out, const void *a, const void *b, int64_t n);
void cpu_add_bias(struct kernels *k, void *x, int stride, const float *bias, int rows, int width);
void cpu_activate(struct kernels *k, void *x, enum kernel_activation activation, int64_t n);
void cpu_multiply_silu(struct kernels *k, void *out, const void *gate, const void *up, int64_t n);
void cpu_argmax(struct kernels *k, int32_t *ids, const float *logits, int rows, int64_t width);
void cpu_gather_rows(struct kernels *k, void *out, const void *x, int stride, const int32_t *row_ids,
                     int rows, int width);
void cpu_advance(struct kernels *k, int32_t *context, int sequences, int by);

/* product.c */
void cpu_product(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                 const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                 void *workspace);
size_t cpu_product_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows);
void cpu_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows,
                 void *workspace);
size_t cpu_gate_up_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows);
void cpu_head_argmax(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                     const struct kernel_matrix *m, const float *bias, int rows, void *workspace);
size_t cpu_head_argmax_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows);

/* sparse.c */
void cpu_top_k(struct kernels *k, const struct kernel_kept *out, const void *x, int stride, int width,
               int rows);
void cpu_mask_top_k(struct kernels *k, void *x, int stride, int width, int keep, int rows);
void cpu_sparse_product(struct kernels *k, void *out, int out_stride, const struct kernel_kept *x,
                        const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                        void *workspace);
size_t cpu_sparse_product_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows);
void cpu_sparse_gate_up(struct kernels *k, void *out, const struct kernel_kept *x,
                        const struct kernel_matrix *m, int rows, void *workspace);

/* cache.c: positions and the key-value cache */
void cpu_rope(struct kernels *k, void *x, int stride, int heads, int head_dim, const struct kernel_rope *rope,
              const struct kernel_batch *batch);
void cpu_cache_write(struct kernels *k, const struct kernel_kv *kv, const void *keys, const void *values,
                     int stride, const struct kernel_batch *batch);
void cpu_rope_cache(struct kernels *k, void *qkv, int stride, const struct kernel_attention *a,
                    const struct kernel_rope *rope, const struct kernel_kv *kv,
                    const struct kernel_batch *batch);
int cpu_sequence_of(const struct kernel_batch *batch, int row);

/* attention_naive.c, attention_flash.c */
void cpu_attention_naive(struct kernels *k, void *out, const void *q, int q_stride,
                         const struct kernel_kv *kv, const struct kernel_attention *a,
                         const struct kernel_batch *batch, void *workspace);
size_t cpu_attention_naive_workspace(const struct kernels *k, const struct kernel_attention *a,
                                     const struct kernel_batch *batch);
void cpu_attention_flash(struct kernels *k, void *out, const void *q, int q_stride,
                         const struct kernel_kv *kv, const struct kernel_attention *a,
                         const struct kernel_batch *batch, void *workspace);
size_t cpu_attention_flash_workspace(const struct kernels *k, const struct kernel_attention *a,
                                     const struct kernel_batch *batch);

/* ssm.c */
void cpu_ssm_conv(struct kernels *k, void *out, const void *x, int x_stride, const struct kernel_ssm *s,
                  bool silu, const struct kernel_batch *batch);
void cpu_ssm_softplus(struct kernels *k, void *dt, const float *bias, int rows, int width);
void cpu_ssm_gate(struct kernels *k, void *y, const void *z, int z_stride, int rows, int width);
void cpu_ssm_naive(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                   const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace);
size_t cpu_ssm_naive_workspace(const struct kernels *k, const struct kernel_ssm *s,
                               const struct kernel_batch *batch);
void cpu_ssm_scan(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                  const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace);
size_t cpu_ssm_scan_workspace(const struct kernels *k, const struct kernel_ssm *s,
                              const struct kernel_batch *batch);

/* measure.c */
double cpu_measure_read(struct kernels *k, double seconds);
double cpu_measure_copy(struct kernels *k, double seconds);
