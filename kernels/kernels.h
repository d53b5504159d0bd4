/* The door to the math. A backend (cpu here, cuda behind the same door) is a table of operations on arrays.
 *
 * Rules, for every backend:
 *  - asynchronous: an operation is queued in order; results are valid after synchronize(). (The cpu backend
 *    happens to finish at once; callers must not rely on it.)
 *  - allocates nothing: every buffer, workspace included, comes from the caller. Only open, alloc,
 * event_create and warm-up inside a product library may allocate. Workspace sizes depend on the host's
 * numbers alone (never on the arrays of a batch) and do not shrink as rows or max_context grow.
 *  - knows nothing of models, files, samples or screens, and includes nothing of ours but kernels/.
 *
 * Activations are arrays of `activation` elements (cpu: always fp32), row-major, one row per token; a
 * `stride` counts elements between rows. Weights are struct kernel_matrix. Token rows of several sequences
 * are packed one after another (struct kernel_batch), so ragged lengths cost nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kernel_dtype { KERNEL_FP32, KERNEL_FP16, KERNEL_BF16, KERNEL_INT8, KERNEL_DTYPES };

size_t kernel_dtype_bytes(enum kernel_dtype dtype);
const char *kernel_dtype_name(enum kernel_dtype dtype); /* "fp32" ... */

/* Weights [rows, cols] row-major in `dtype`; a row is an output channel. y = x W^T. */
struct kernel_matrix {
    enum kernel_dtype dtype;
    int64_t rows, cols;
    void *data;
    float *scales; /* [rows], KERNEL_INT8 only: w = scale[row] * q, scale = absmax / 127 */
};

size_t kernel_matrix_bytes(enum kernel_dtype dtype, int64_t rows, int64_t cols); /* data and scales */
/* The rows [first, first + rows) as a matrix of their own (no copy): how q, k, v are seen in one qkv matrix.
 */
struct kernel_matrix kernel_matrix_rows(const struct kernel_matrix *m, int64_t first, int64_t rows);

/* Packed token rows. Row r of sequence s (row_start[s] <= r < row_start[s+1]) has position
 * context[s] + r - row_start[s]. The arrays live in backend memory, so that one captured graph serves every
 * step. */
struct kernel_batch {
    int sequences;
    int rows;                 /* row_start[sequences] */
    int max_rows;             /* longest sequence's rows: a bound the host knows */
    int max_context;          /* largest context[s] + rows of s during this call: a bound the host knows */
    const int32_t *row_start; /* [sequences + 1] */
    const int32_t *context;   /* [sequences] tokens already cached */
};

/* One layer's cache: k and v are [blocks, kv_heads, block_size, head_dim] in dtype (fp32, fp16 or bf16).
 * Token t of sequence s is row t % block_size of block table[s * table_stride + t / block_size].
 * table == NULL: contiguous, sequence s owns block s alone (block_size = capacity). */
struct kernel_kv {
    enum kernel_dtype dtype;
    void *k, *v;
    const int32_t *table;
    int table_stride, block_size, kv_heads, head_dim;
};

struct kernel_norm {
    enum { KERNEL_RMS_NORM, KERNEL_LAYER_NORM } kind;
    const float *weight; /* [width] */
    const float *bias;   /* [width] or NULL */
    float eps;
    int width;
};

enum kernel_activation { KERNEL_LINEAR, KERNEL_GELU_TANH, KERNEL_GELU_ERF, KERNEL_SILU, KERNEL_TANH };

/* What a product does to its result before storing it: y = act(x W^T + bias), then y += the old y if
 * accumulate. */
struct kernel_epilogue {
    const float *bias; /* [rows of W] or NULL */
    enum kernel_activation activation;
    bool accumulate;
};

/* Rotary embedding on the first `dims` of each head (Su et al. 2021). Pairs are (i, i + dims/2) ("rotate
 * half"). table is [positions, dims / 2, 2]: cos, sin in fp32, made by the caller (scaling rules live in the
 * model). */
struct kernel_rope {
    const float *table;
    int dims; /* 0: no rotation */
};

struct kernel_attention {
    int heads, kv_heads, head_dim;
    float scale;
    int window;  /* sliding window in tokens (position - window, position]; 0: none */
    bool causal; /* false: every row of a sequence sees all its rows (encoder) */
};

enum kernel_weight_law { KERNEL_UNIFORM, KERNEL_CONSTANT }; /* constant: norms = 1, biases may be uniform */

struct kernels; /* an opened backend: one per run; not shared between threads */

struct kernels_config {
    int threads;         /* 0: all cores this process may use (affinity mask) */
    const char *product; /* library for large products: "auto", "onednn", "cblas", "own" */
    const char *simd; /* "auto" or a level by name, for tests: "portable", "avx2", "avx512", "avx512_bf16" */
};

struct kernels_info {    /* what open() found and chose, for doctor and the session */
    const char *backend; /* "cpu" */
    char simd[32];       /* level in use */
    char product[64];    /* "oneDNN 2.6.3; fp16, ...: own loops", "OpenBLAS ... (cblas); ...", "own loops" */
    char product_why[160]; /* why not a better one; empty if the best was found */
    int threads;
    char affinity[96]; /* "cores 0-1, threads not pinned" */
};

/* Returns NULL and says why (at most why_size bytes) where the backend cannot run here. close(NULL) is fine.
 */
struct kernels *kernels_open_cpu(const struct kernels_config *config, char *why, size_t why_size);

struct kernel_event; /* a point in the queue */

struct kernel_ops {
    void (*close)(struct kernels *k);
    void (*info)(const struct kernels *k, struct kernels_info *out);

    /* memory: 64-byte aligned, zeroed (so that every page is resident), counted. alloc returns NULL when
     * there is none. */
    void *(*alloc)(struct kernels *k, size_t bytes);
    void (*free)(struct kernels *k, void *p, size_t bytes);
    size_t (*allocated)(const struct kernels *k); /* bytes now held */
    void (*upload)(struct kernels *k, void *to, const void *from, size_t bytes);
    void (*download)(struct kernels *k, void *to, const void *from, size_t bytes); /* synchronizes */
    void (*synchronize)(struct kernels *k);

    /* events: event_ns is valid after synchronize; on the cpu a monotonic timestamp. */
    struct kernel_event *(*event_create)(struct kernels *k);
    void (*event_destroy)(struct kernels *k, struct kernel_event *e);
    void (*event_record)(struct kernels *k, struct kernel_event *e);
    int64_t (*event_span_ns)(struct kernels *k, const struct kernel_event *from,
                             const struct kernel_event *to);

    /* weights: element i of tensor `id` is a pure function of (seed, id, i), the same on every backend and
     * for any number of threads; quantized formats round that value. Uniform in +-amplitude, or the constant.
     */
    void (*generate)(struct kernels *k, struct kernel_matrix *m, uint64_t seed, uint64_t id,
                     enum kernel_weight_law law, float amplitude);
    /* Rows [first, first + rows) of m as fp32 [rows, cols] in host memory: for the reference and for tests.
     */
    void (*read_matrix)(struct kernels *k, const struct kernel_matrix *m, int64_t first, int64_t rows,
                        float *out);

    /* out[r] = table[ids[r]] (+ positions[position of r]) (+ extra[0], BERT's type row). positions, extra may
     * be NULL. */
    void (*embed)(struct kernels *k, void *out, const struct kernel_matrix *table, const int32_t *ids,
                  const struct kernel_matrix *positions, const struct kernel_matrix *extra,
                  const struct kernel_batch *batch);

    void (*norm)(struct kernels *k, void *out, const void *x, const struct kernel_norm *norm, int rows);
    /* fusion residual_norm: residual += x; out = norm(residual), one pass. post_norm callers pass out ==
     * residual. */
    void (*add_norm)(struct kernels *k, void *out, void *residual, const void *x,
                     const struct kernel_norm *norm, int rows);

    /* out[rows, m->rows] (row stride out_stride) = epilogue(x[rows, m->cols] m^T); x row stride x_stride.
     * rows <= 8 or so: our own GEMV; more: our own loops, or for many rows in fp32 the product library.
     * workspace: product_workspace() bytes or NULL. Dot products in pairs of bf16 (AVX512-BF16, more than 8
     * rows) round x to bf16; everything else multiplies and adds in fp32. */
    void (*product)(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                    const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                    void *workspace);
    size_t (*product_workspace)(const struct kernels *k, const struct kernel_matrix *m, int rows);
    /* fusion gate_up: m is [2 f, cols], gate rows first. out[rows, f] = silu(x gate^T) * (x up^T). */
    void (*gate_up)(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows,
                    void *workspace);
    size_t (*gate_up_workspace)(const struct kernels *k, const struct kernel_matrix *m, int rows);
    /* fusion head_argmax: ids[r] = argmax over m->rows of x[r] m^T + bias; logits never stored for few rows.
     */
    void (*head_argmax)(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                        const struct kernel_matrix *m, const float *bias, int rows, void *workspace);
    size_t (*head_argmax_workspace)(const struct kernels *k, const struct kernel_matrix *m, int rows);

    /* the unfused steps */
    void (*add)(struct kernels *k, void *out, const void *a, const void *b, int64_t n);
    void (*add_bias)(struct kernels *k, void *x, int stride, const float *bias, int rows, int width);
    void (*activate)(struct kernels *k, void *x, enum kernel_activation activation, int64_t n);
    void (*multiply_silu)(struct kernels *k, void *out, const void *gate, const void *up, int64_t n);
    void (*argmax)(struct kernels *k, int32_t *ids, const void *logits, int rows, int64_t width);
    void (*gather_rows)(struct kernels *k, void *out, const void *x, int stride, const int32_t *row_ids,
                        int rows, int width); /* out[i] = x[row_ids[i]]: the last token of each sequence */

    void (*rope)(struct kernels *k, void *x, int stride, int heads, int head_dim,
                 const struct kernel_rope *rope, const struct kernel_batch *batch); /* in place */
    void (*cache_write)(struct kernels *k, const struct kernel_kv *kv, const void *keys, const void *values,
                        int stride, const struct kernel_batch *batch);
    /* fusion rope_cache: rotates q in place, rotates k and writes k, v to the cache; qkv rows are [q | k |
     * v]. */
    void (*rope_cache)(struct kernels *k, void *qkv, int stride, const struct kernel_attention *a,
                       const struct kernel_rope *rope, const struct kernel_kv *kv,
                       const struct kernel_batch *batch);

    /* out[rows, heads * head_dim] (dense). Keys and values are read from the cache, where these rows already
     * stand. naive stores the scores of all heads ([heads, max_rows, max_context] fp32 per sequence) in the
     * workspace, as unfused engines do; flash is the online softmax (Dao 2023, section 3.1), split over KV
     * for decode. */
    void (*attention_naive)(struct kernels *k, void *out, const void *q, int q_stride,
                            const struct kernel_kv *kv, const struct kernel_attention *a,
                            const struct kernel_batch *batch, void *workspace);
    size_t (*attention_naive_workspace)(const struct kernels *k, const struct kernel_attention *a,
                                        const struct kernel_batch *batch);
    void (*attention_flash)(struct kernels *k, void *out, const void *q, int q_stride,
                            const struct kernel_kv *kv, const struct kernel_attention *a,
                            const struct kernel_batch *batch, void *workspace);
    size_t (*attention_flash_workspace)(const struct kernels *k, const struct kernel_attention *a,
                                        const struct kernel_batch *batch);

    /* context[s] += by for every sequence, in queue order: the step of free-running decode. */
    void (*advance)(struct kernels *k, int32_t *context, int sequences, int by);
};

struct kernels {
    const struct kernel_ops *ops;
    enum kernel_dtype activation; /* element type of activations */
    /* the backend's own fields follow */
};

/* Machine ceilings, for doctor and bench: measured in this process with the threads of k, in about `seconds`;
 * the best of several passes, over memory far larger than any cache. 0 where memory is short. */
double kernels_measure_read_bandwidth(struct kernels *k, double seconds); /* bytes per second */
double kernels_measure_product_rate(struct kernels *k, enum kernel_dtype dtype, int rows, int n, int cols,
                                    double seconds); /* FLOP/s of product() alone on that shape */
