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
 * Activations are arrays of `activation` elements (cpu: always fp32; cuda: fp32, fp16 or bf16, chosen by
 * view()), row-major, one row per token; a `stride` counts elements between rows. Weights are struct
 * kernel_matrix. Token rows of several sequences are packed one after another (struct kernel_batch), so
 * ragged lengths cost nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kernel_dtype {
    KERNEL_FP32,
    KERNEL_FP16,
    KERNEL_BF16,
    KERNEL_INT8,   /* per output channel: w = scales[row] * q, scale = absmax / 127 */
    KERNEL_NF4,    /* 4-bit NormalFloat, blocks of 64 (Dettmers et al. 2023, appendix E): w = scales[block] *
                      code */
    KERNEL_NF4_DQ, /* the same with its block scales quantized to 8 bits in groups of 256 (section 3) */
    KERNEL_Q8_0,   /* rows of blocks exactly as GGUF files hold them (kernels/blocks.h): 8.5 bits a weight, */
    KERNEL_Q4_0,   /* 4.5, */
    KERNEL_Q4_K,   /* 4.5 */
    KERNEL_Q6_K,   /* and 6.5625 */
    KERNEL_DTYPES
};
enum { KERNEL_NF4_BLOCK = 64, KERNEL_NF4_GROUP = 256 };
enum { /* columns and bytes of a block */
       KERNEL_Q_BLOCK = 32,
       KERNEL_K_BLOCK = 256,
       KERNEL_Q8_0_BYTES = 34,
       KERNEL_Q4_0_BYTES = 18,
       KERNEL_Q4_K_BYTES = 144,
       KERNEL_Q6_K_BYTES = 210
};

size_t kernel_dtype_bytes(enum kernel_dtype dtype);             /* of one element; fp32 ... int8 only */
const char *kernel_dtype_name(enum kernel_dtype dtype);         /* "fp32" ... */
size_t kernel_row_bytes(enum kernel_dtype dtype, int64_t cols); /* of `data`, one row of a matrix */
/* Columns that are stored together: 32 in Q8_0 and Q4_0, 256 in Q4_K and Q6_K, 64 in NF4, else 1. */
int kernel_block_cols(enum kernel_dtype dtype);
/* int8 and the block formats: what integers can be multiplied with (kernel_matrix.quantize_input). */
bool kernel_is_integers(enum kernel_dtype dtype);
/* Q8_0, Q4_0, Q4_K, Q6_K: a matrix of them needs cols to be a multiple of kernel_block_cols; nothing is
 * padded, and who makes the matrix refuses others (model_holds). */
bool kernel_is_blocks(enum kernel_dtype dtype);

/* Weights [rows, cols] row-major in `dtype`; a row is an output channel. y = x W^T.
 *
 * NF4: a row is ceil(cols / 64) blocks of 32 bytes, the last one padded with the code of 0; even elements in
 * the high nibble. scales: [rows, blocks] fp32 absmax. NF4_DQ: `codes` [rows, blocks] 8-bit codes of the
 * dynamic map (kernels/quantize.h) and scales [1 + ceil(rows blocks / 256)]: scales[0] the mean of all
 * absmax, scales[1 + b / 256] the group's; absmax of block b = map[codes[b]] * scales[1 + b / 256] +
 * scales[0], b counted from the row `first_row` rows before the view, so that a view of rows keeps its
 * groups.
 *
 * Q8_0, Q4_0, Q4_K, Q6_K: data alone, whole blocks row after row, at any address that is a multiple of 2; a
 * file's own bytes serve as they are. Fast where data and row are multiples of 16 bytes, which eight blocks
 * of 32 columns and eight of 256 are. */
struct kernel_matrix {
    enum kernel_dtype dtype;
    int64_t rows, cols;
    void *data;
    float *scales;     /* int8, nf4, nf4_dq */
    uint8_t *codes;    /* nf4_dq */
    int64_t first_row; /* of a view by kernel_matrix_rows, for nf4_dq's groups; codes and data are already
                          there */
    /* Products round their input too and multiply integers: int8 and the block formats (kernel_is_integers);
     * else weights are widened to the activations' type. q = x (127 / amax) to the nearest integer, halves to
     * the even one, for blocks of inputs:
     *   Q8_0, Q4_0  32 columns, scale amax / 127 rounded to fp16 (beyond 8.3e6: infinite), as ggml's Q8_0
     *   Q4_K, Q6_K  256 columns, scale 1 / (127 / amax) in fp32, as ggml's Q8_K
     *   int8        a whole row, scale amax / 127 in fp32; cols < 132,000
     * y = w_scale x_scale sum w q (+ Q4_K's minima times the sum of q), sums of a block exact in 32 bits. An
     * x that is not finite makes the results of its row NaN. cpu: any number of rows; workspace also for few.
     * cuda: int8 alone, rows > 8; fewer rows are exact. Not beside channel_stride. */
    bool quantize_input;
    /* 0: row-major as above. Else by input channel, all outputs of one side by side, for products that read
     * few channels: element (r, c) is data[c * channel_stride + r]; fp32, fp16, bf16 and int8. As many bytes.
     * Taken by read_matrix, write_matrix, product, gate_up and the sparse products. */
    int64_t channel_stride;
};

size_t kernel_matrix_bytes(enum kernel_dtype dtype, int64_t rows, int64_t cols); /* data, scales, codes */
/* Bytes of the parts, each to be placed at a multiple of 64: data, scales, codes. */
void kernel_matrix_parts(enum kernel_dtype dtype, int64_t rows, int64_t cols, size_t part[3]);
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

/* One layer's cache in dtype (fp32, fp16 or bf16). Token t of sequence s is token t % block_size of block
 * table[s * table_stride + t / block_size]; table == NULL: sequence s owns block s alone (block_size =
 * capacity). Head h of token i of block b is head_dim elements from b * block_stride + h * head_stride + i *
 * token_stride on, in k and in v. Strides count elements, and are whole 16 bytes where head_dim is; what lies
 * between (other layers, other heads) is nobody's to touch. */
struct kernel_kv {
    enum kernel_dtype dtype;
    void *k, *v;
    const int32_t *table;
    int table_stride, block_size, kv_heads, head_dim;
    int token_stride, head_stride;
    int64_t block_stride;
};
/* The strides of a cache of this layer alone: by head [blocks, kv_heads, block_size, head_dim], where a
 * head's tokens are one stretch of memory; by token [blocks, block_size, kv_heads, head_dim], where a token
 * is. */
void kernel_kv_by_head(struct kernel_kv *kv);
void kernel_kv_by_token(struct kernel_kv *kv);

/* Element index of head h of a token within its block, in k and in v. */
static inline int64_t kernel_kv_at(const struct kernel_kv *kv, int64_t block, int head, int64_t inside)
{
    return block * kv->block_stride + (int64_t)head * kv->head_stride + inside * kv->token_stride;
}

/* The entries of each row of x that are not zero: [rows, keep], by ascending channel. */
struct kernel_kept {
    int32_t *channel;
    float *value;
    int keep; /* of every row, so that a recorded step serves every token */
};

enum kernel_norm_kind { KERNEL_RMS_NORM, KERNEL_LAYER_NORM };

struct kernel_norm {
    enum kernel_norm_kind kind;
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
    bool fp32; /* store fp32 whatever the activations are: logits */
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

/* One layer of a state-space model (Mamba: Gu and Dao 2023, section 3) and the state of the batch's
 * sequences, which the operations below go on from and leave behind. A sequence whose context is 0 starts
 * from zeros, whatever stands there. All arrays have the channels side by side. */
struct kernel_ssm {
    int inner, states, taps;       /* E channels, N states of each, K taps of the convolution */
    const float *conv, *conv_bias; /* [K, E], the last tap is the row's own; [E] */
    const float *dt_bias;          /* [E] */
    const float *a, *d;            /* [N, E], negative; [E] */
    void *window; /* activations [sequences, K - 1, E]: the convolution's last inputs, the oldest first */
    float *h;     /* [sequences, N, E] */
};
enum { KERNEL_SSM_STATES = 128, KERNEL_SSM_TAPS = 64 }; /* at most; K at least 2 */

/* What a scan reads: rows of activations, strides in elements. */
struct kernel_ssm_rows {
    const void *x; /* [rows, E] dense: convolved */
    void *dt;      /* [rows, E] dense: step sizes; with `softplus` softplus(dt + dt_bias) are, which may be
                      left in their place */
    const void *b, *c; /* [rows, N] */
    const void *z;     /* [rows, E] the gate; NULL: none */
    int bc_stride, z_stride;
    bool softplus;
};

enum kernel_weight_law { KERNEL_UNIFORM, KERNEL_CONSTANT }; /* constant: norms = 1, biases may be uniform */

struct kernels; /* an opened backend: one per run; not shared between threads */

struct kernels_config {
    int threads;         /* 0: all cores this process may use (affinity mask) */
    const char *product; /* library for large products: "auto", "onednn", "cblas", "own" */
    const char *simd; /* "auto" or a level by name, for tests: "portable", "avx2", "avx512", "avx512_bf16" */
};

struct kernels_info {    /* what open() found and chose, for doctor and the session */
    const char *backend; /* "cpu", "cuda" */
    bool emulated;       /* the cuda backend on the tests' stand-in for a GPU: its times mean nothing */
    char simd[32];       /* level in use */
    char product[64];    /* "oneDNN 2.6.3; fp16, ...: own loops", "OpenBLAS ... (cblas); ...", "own loops" */
    char product_why[160]; /* why not a better one; empty if the best was found */
    int threads;
    char affinity[96]; /* "cores 0-1, threads not pinned" */
};

/* A device that kernels_open can open, found without creating a context on it. */
struct kernel_device {
    char id[16];   /* "cuda:0" */
    char name[96]; /* "NVIDIA H200" */
    char uuid[48];
    int major, minor; /* compute capability */
    int multiprocessors;
    int64_t memory_bytes, l2_bytes;
    int driver, runtime; /* 13000 = 13.0 */
    bool emulated;
};
/* How many GPUs there are, the first `max` of them in out. 0 with the reason in why: "no driver", "this build
 * has no CUDA: install the toolkit and build again", "no device". Any thread. */
int kernels_devices(struct kernel_device *out, int max, char *why, size_t why_size);

/* device: "cpu", "cuda", "cuda:N". Returns NULL and says why (at most why_size bytes) where the backend
 * cannot run here. close(NULL) is fine. A GPU's context is created here and belongs to the calling thread's
 * use: one thread at a time. */
struct kernels *kernels_open(const char *device, const struct kernels_config *config, char *why,
                             size_t why_size);
struct kernels *kernels_open_cpu(const struct kernels_config *config, char *why, size_t why_size);
struct kernels *kernels_open_cuda(int index, const struct kernels_config *config, char *why, size_t why_size);

struct kernel_event; /* a point in the queue */
struct kernel_graph; /* a captured sequence of operations */

struct kernel_graph_report { /* the counterpart of a compiler's cold start */
    int64_t capture_ns, instantiate_ns;
    int nodes; /* kernels and copies per launch */
};

struct kernel_memory {
    int64_t allocated; /* bytes now held through alloc and map */
    int64_t available; /* bytes that could be had now; INT64_MAX: unknown */
    int64_t total;     /* of the device */
    int64_t context; /* what the driver took for this process beyond `allocated`: context, modules, libraries;
                        0: unknown */
};

struct kernel_ops {
    void (*close)(struct kernels *k);
    void (*info)(const struct kernels *k, struct kernels_info *out);
    /* The same backend, queue and memory with activations of another type; owned by k, valid until close.
     * NULL: this backend has no such activations. */
    struct kernels *(*view)(struct kernels *k, enum kernel_dtype activation);
    /* The first thing that went wrong since open in words ("an illegal memory access ... in product"), NULL
     * while all is well. Complete after synchronize. A device that failed stays failed: close and open. */
    const char *(*error)(const struct kernels *k);

    /* memory: 64-byte aligned, zeroed (so that every page is resident), counted. alloc returns NULL when
     * there is none. */
    void *(*alloc)(struct kernels *k, size_t bytes);
    void (*free)(struct kernels *k, void *p, size_t bytes);
    size_t (*allocated)(const struct kernels *k); /* bytes now held */
    void (*memory)(const struct kernels *k, struct kernel_memory *out);
    /* Queued; `from` may be reused at once (large arrays: after the copy, which then waits). */
    void (*upload)(struct kernels *k, void *to, const void *from, size_t bytes);
    void (*download)(struct kernels *k, void *to, const void *from, size_t bytes); /* synchronizes */
    void (*synchronize)(struct kernels *k);

    /* events: event_ns is valid after synchronize; on the cpu a monotonic timestamp. */
    struct kernel_event *(*event_create)(struct kernels *k);
    void (*event_destroy)(struct kernels *k, struct kernel_event *e);
    void (*event_record)(struct kernels *k, struct kernel_event *e);
    int64_t (*event_span_ns)(struct kernels *k, const struct kernel_event *from,
                             const struct kernel_event *to);

    /* Address space without memory, for caches that grow (vAttention, Prabhu et al. 2024, section 5): reserve
     * takes addresses only; map puts zeroed memory under a whole number of pages (false: no memory, nothing
     * changed), unmap takes it away. map and unmap may be called by one other thread at a time while
     * operations run on pages that are already mapped. Counted in `allocated` while mapped. page: bytes, a
     * power of two. All five NULL: this backend has none. */
    size_t (*page_bytes)(const struct kernels *k);
    void *(*reserve)(struct kernels *k, size_t bytes);
    bool (*map)(struct kernels *k, void *at, size_t bytes);
    void (*unmap)(struct kernels *k, void *at, size_t bytes);
    void (*unreserve)(struct kernels *k, void *at, size_t bytes); /* everything unmapped before */

    /* Graphs: what is queued between begin and end is recorded, not run; launch queues it all again with the
     * same arguments. Nothing may be uploaded, downloaded, allocated or synchronized in between. end returns
     * NULL when it cannot be recorded (error() says why). All four NULL: this backend has none. */
    bool (*graph_begin)(struct kernels *k);
    struct kernel_graph *(*graph_end)(struct kernels *k, struct kernel_graph_report *report);
    void (*graph_launch)(struct kernels *k, struct kernel_graph *g);
    void (*graph_destroy)(struct kernels *k, struct kernel_graph *g);

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

    /* Rows [first, first + rows) of m from fp32 [rows, cols] in host memory, rounded to its type: fp32, fp16,
     * bf16, int8. Synchronizes. */
    void (*write_matrix)(struct kernels *k, struct kernel_matrix *m, int64_t first, int64_t rows,
                         const float *from);

    /* out[rows, m->rows] (row stride out_stride) = epilogue(x[rows, m->cols] m^T); x row stride x_stride.
     * rows <= 8 or so: our own GEMV; more: our own loops, or for many rows in fp32 the product library.
     * workspace: product_workspace() bytes, NULL where that is 0. Pairs of bf16 (AVX512-BF16, more than 8
     * rows) round x to bf16, quantize_input to 8 bits; everything else multiplies and adds in fp32. */
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

    /* Sparse activations (Liu et al. 2025, "La RoSA", section 3.3): the `keep` entries of largest magnitude
     * of each row of x [rows, width], listed; of equals those of lower index, NaN above all. mask_top_k
     * leaves them where they are and sets the others to 0. */
    void (*top_k)(struct kernels *k, const struct kernel_kept *out, const void *x, int stride, int width,
                  int rows);
    void (*mask_top_k)(struct kernels *k, void *x, int stride, int width, int keep, int rows);
    /* out[r] = epilogue(sum of value[r, i] * channel[r, i] of m) for every row r; m stands by channel. Each
     * row reads its own channels: up to sparse_rows rows that is less than the whole matrix for all. */
    void (*sparse_product)(struct kernels *k, void *out, int out_stride, const struct kernel_kept *x,
                           const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                           void *workspace);
    size_t (*sparse_product_workspace)(const struct kernels *k, const struct kernel_matrix *m, int rows);
    /* the same of gate_up */
    void (*sparse_gate_up)(struct kernels *k, void *out, const struct kernel_kept *x,
                           const struct kernel_matrix *m, int rows, void *workspace);

    /* the unfused steps */
    void (*add)(struct kernels *k, void *out, const void *a, const void *b, int64_t n);
    void (*add_bias)(struct kernels *k, void *x, int stride, const float *bias, int rows, int width);
    void (*activate)(struct kernels *k, void *x, enum kernel_activation activation, int64_t n);
    void (*multiply_silu)(struct kernels *k, void *out, const void *gate, const void *up, int64_t n);
    void (*argmax)(struct kernels *k, int32_t *ids, const float *logits, int rows, int64_t width);
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

    /* State-space layers. ssm_conv: out[rows, E] (dense) = the causal depthwise convolution of x's rows along
     * each sequence, plus bias, through SiLU where asked; the window takes what the next rows need. out is
     * not x. */
    void (*ssm_conv)(struct kernels *k, void *out, const void *x, int x_stride, const struct kernel_ssm *s,
                     bool silu, const struct kernel_batch *batch);
    void (*ssm_softplus)(struct kernels *k, void *dt, const float *bias, int rows,
                         int width); /* dt = softplus(dt + bias), dense */
    void (*ssm_gate)(struct kernels *k, void *y, const void *z, int z_stride, int rows,
                     int width); /* y *= silu(z), y dense */
    /* Along each sequence h = exp(dt a) h + dt b x, y = c h + d x, out = y silu(z); out [rows, E] dense, may
     * be x. naive stores exp(dt a) and dt b x of every (row, channel, state), [2, rows, N, E] fp32, in the
     * workspace and runs the recurrence over them token by token, as unfused implementations do. scan keeps
     * them in registers: time is cut into chunks that run side by side, joined by the associative rule
     * (a1, b1) o (a0, b0) = (a1 a0, a1 b0 + b1) where channels alone do not fill the device; a single row is
     * one step of the recurrence. */
    void (*ssm_naive)(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                      const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace);
    size_t (*ssm_naive_workspace)(const struct kernels *k, const struct kernel_ssm *s,
                                  const struct kernel_batch *batch);
    void (*ssm_scan)(struct kernels *k, void *out, const struct kernel_ssm_rows *rows,
                     const struct kernel_ssm *s, const struct kernel_batch *batch, void *workspace);
    size_t (*ssm_scan_workspace)(const struct kernels *k, const struct kernel_ssm *s,
                                 const struct kernel_batch *batch);
    void (*copy)(struct kernels *k, void *to, const void *from,
                 size_t bytes); /* backend memory both, queued */

    /* context[s] += by for every sequence, in queue order: the step of free-running decode. */
    void (*advance)(struct kernels *k, int32_t *context, int sequences, int by);

    /* Ceilings of this device in bytes per second, the best of several passes in about `seconds` over memory
     * far larger than any cache; copy counts what is read and what is written. 0 where memory is short. */
    double (*measure_read)(struct kernels *k, double seconds);
    double (*measure_copy)(struct kernels *k, double seconds);
};

struct kernels {
    const struct kernel_ops *ops;
    enum kernel_dtype activation; /* element type of activations */
    int sparse_rows; /* rows up to which products of listed channels pay; more: mask_top_k and product */
    int piece_rows;  /* rows of a prompt worth sending through at once: more gain nothing and cost memory */
    /* the backend's own fields follow */
};

/* FLOP/s of product() alone on that shape, inputs of the precision's own activations, median of the passes
 * that fit into `seconds`. quantize_input: int8 both sides. 0 where memory is short. */
double kernels_measure_product_rate(struct kernels *k, enum kernel_dtype dtype, bool quantize_input, int rows,
                                    int n, int cols, double seconds);

#ifdef __cplusplus
}
#endif
