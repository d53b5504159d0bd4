/* Chooses how to multiply, and lays out the workspace that way needs.
 *
 * rows <= 8        our own GEMV: the weights are read once, nothing else counts.
 * x and W of one type (fp32 without TF32, fp16, bf16): cuBLASLt; without it our own tiles.
 * int8, quantize_input (W8A8): x quantized per row, then cuBLASLt's int8 product and a pass that scales its
 *                  int32 sums; without the library our own int8 tiles, which scale in their epilogue.
 * all other W (int8 kept exact, nf4, a type other than x's): our own tiles, which widen W on the way into
 *                  shared memory; from widen_rows() rows on, where the library is there, W is widened in
 *                  memory piece by piece and multiplied by the library.
 * W in blocks (Q8_0 ... Q6_K): widened in memory piece by piece to the activations' type, fp32 too, then as W
 *                  of that type: by the library, or by our own tiles.
 *
 * Why widen_rows. Per weight, tiles cost 2 rows FLOP at the rate of mma.sync, the library 2 rows FLOP at the
 * rate of wgmma plus the traffic of widening: read b bytes (int8 1, nf4 0.56), write 2, read 2 once more than
 * the tiles would read b: 4 bytes. mma.sync reaches some 0.62 of wgmma's peak, and tiles two thirds of that
 * (nf4, bound by its look-ups, half); with 0.42 (0.33) and 0.74 of the H200's 989 TFLOP/s and 4.8 TB/s the
 * two meet at 2 rows / 415e12 = 2 rows / 732e12 + 4 / 4.8e12   =>   rows = 400 (nf4, 326e12: 245). Pieces
 * stay under 64 MiB, so that the workspace does too, while a piece still has a tile for every multiprocessor.
 *
 * Epilogues of the library: bias, tanh GELU and accumulation where its order of doing them is ours; the
 * activations it does not know in a pass of their own; activation and accumulation together by our tiles. A
 * 16-bit result wants a 16-bit bias: it is rounded into the workspace (n elements) instead of adding it in a
 * pass over [rows, n], which also would round the product first. */
#include "kernels/cuda/product.h"

enum { PIECE_ROWS = 256, ARGMAX_ROWS = 4096 };
static const size_t piece_bytes = (size_t)64 << 20;

enum way { GEMV, TILES, LIBRARY, WIDENED, TILES_S8, LIBRARY_S8 };

struct plan {
    enum way way;
    int64_t piece;  /* rows of W at a time */
    size_t bias;    /* offsets in the workspace, which begins with the library's own, or with partial sums */
    size_t widened; /* a piece of W */
    size_t q, q_scales, sums;
    int q_stride;
    size_t bytes;
};

static size_t padded(size_t bytes)
{
    return (bytes + 255) & ~(size_t)255;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t place(struct plan *p, size_t bytes)
{
    size_t at = p->bytes;
    p->bytes = at + padded(bytes);
    return at;
}

static int widen_rows(enum kernel_dtype dtype)
{
    return dtype == KERNEL_NF4 || dtype == KERNEL_NF4_DQ ? 256 : 400;
}

static enum way choose(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    bool library = cuda_library(cuda_of(k)) != NULL;
    if (rows <= CUDA_GEMV_ROWS)
        return GEMV;
    if (kernel_is_blocks(m->dtype))
        return WIDENED;
    if (m->dtype == KERNEL_INT8 && m->quantize_input)
        return library ? LIBRARY_S8 : TILES_S8;
    if (m->dtype == k->activation)
        return library ? LIBRARY : TILES;
    if (library && rows >= widen_rows(m->dtype) && k->activation != KERNEL_FP32)
        return WIDENED;
    return TILES;
}

/* Sizes do not shrink as rows grow: each way's room holds what it falls back to. */
static struct plan plan_of(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    const struct cuda *c = cuda_of(k);
    struct plan p = {.way = choose(k, m, rows), .piece = m->rows};
    if (p.way == GEMV)
        return p;
    size_t n = (size_t)m->rows, cols = (size_t)m->cols, many = (size_t)rows;
    if (p.way == TILES_S8 || p.way == LIBRARY_S8) {
        size_t stride = (cols + 15) & ~(size_t)15; /* rows of x begin at multiples of 16 bytes */
        if (p.way == LIBRARY_S8)
            place(&p, cublaslt_workspace(cuda_library(c)));
        p.q = place(&p, many * stride);
        p.q_scales = place(&p, many * sizeof(float));
        p.q_stride = (int)stride;
        if (p.way == LIBRARY_S8) {
            size_t fits = piece_bytes / (many * sizeof(int32_t)) / PIECE_ROWS * PIECE_ROWS;
            p.piece = fits >= n        ? (int64_t)n
                      : fits           ? (int64_t)fits
                      : n < PIECE_ROWS ? (int64_t)n
                                       : PIECE_ROWS;
            size_t most = many * n * sizeof(int32_t);
            p.sums = place(&p, larger(most < piece_bytes ? most : piece_bytes,
                                      many * (size_t)p.piece * sizeof(int32_t)));
        }
        return p;
    }
    place(&p, larger(cuda_gemm_workspace(c, m, rows), cublaslt_workspace(cuda_library(c))));
    p.bias = place(&p, p.way == TILES ? 0 : n * sizeof(uint16_t));
    if (p.way == WIDENED) {
        size_t element = kernel_dtype_bytes(k->activation);
        size_t whole = n * cols * element, pieces = (whole + piece_bytes - 1) / piece_bytes;
        size_t each = ((n + pieces - 1) / pieces + PIECE_ROWS - 1) / PIECE_ROWS * PIECE_ROWS;
        p.piece = (int64_t)(each < n ? each : n);
        size_t most = piece_bytes + PIECE_ROWS * cols * element; /* a view's pieces may be larger */
        p.widened = place(&p, whole < most ? whole : most);
    }
    return p;
}

static size_t element_bytes(const struct kernels *k, const struct kernel_epilogue *epilogue)
{
    return epilogue->fp32 ? sizeof(float) : kernel_dtype_bytes(k->activation);
}

/* x and m are of the activations' type. False: nothing was queued. */
static bool by_library(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                       const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                       void *workspace, void *bias_room)
{
    enum kernel_activation activation = epilogue->activation;
    if (epilogue->accumulate && activation != KERNEL_LINEAR)
        return false;
    bool wide = epilogue->fp32 || k->activation == KERNEL_FP32;
    struct cublaslt_epilogue own = {
        .bias = epilogue->bias,
        .gelu_tanh = activation == KERNEL_GELU_TANH,
        .accumulate = epilogue->accumulate,
        .fp32 = wide,
    };
    if (epilogue->bias && !wide) {
        cuda_narrow(k, bias_room, epilogue->bias, m->rows);
        own.bias = bias_room;
    }
    if (!cublaslt_product(cuda_library(cuda_of(k)), k, out, out_stride, x, x_stride, m, &own, rows,
                          workspace))
        return false;
    if (activation != KERNEL_LINEAR && activation != KERNEL_GELU_TANH)
        cuda_finish(k, out, out_stride, wide, activation, rows, m->rows);
    return true;
}

/* The rows [first, first + count) of m and what belongs to them of out and epilogue. */
struct piece {
    struct kernel_matrix m;
    struct kernel_epilogue epilogue;
    void *out;
};

static struct piece piece_of(const struct kernels *k, const struct kernel_matrix *m,
                             const struct kernel_epilogue *epilogue, void *out, int64_t first, int64_t most)
{
    int64_t count = most < m->rows - first ? most : m->rows - first;
    struct piece p = {
        .m = count == m->rows ? *m : kernel_matrix_rows(m, first, count),
        .epilogue = *epilogue,
        .out = (char *)out + (size_t)first * element_bytes(k, epilogue),
    };
    if (epilogue->bias)
        p.epilogue.bias = epilogue->bias + first;
    return p;
}

static void widened_product(struct kernels *k, const struct plan *plan, void *out, int out_stride,
                            const void *x, int x_stride, const struct kernel_matrix *m,
                            const struct kernel_epilogue *epilogue, int rows, char *workspace)
{
    for (int64_t first = 0; first < m->rows; first += plan->piece) {
        struct piece p = piece_of(k, m, epilogue, out, first, plan->piece);
        struct kernel_matrix wide = {
            .dtype = k->activation, .rows = p.m.rows, .cols = m->cols, .data = workspace + plan->widened};
        cuda_widen(cuda_of(k), wide.data, wide.dtype, &p.m);
        if (!cuda_library(cuda_of(k)) || !by_library(k, p.out, out_stride, x, x_stride, &wide, &p.epilogue,
                                                     rows, workspace, workspace + plan->bias))
            cuda_gemm(k, p.out, out_stride, x, x_stride, &wide, &p.epilogue, rows, workspace);
    }
}

static void s8_product(struct kernels *k, const struct plan *plan, void *out, int out_stride, const void *x,
                       int x_stride, const struct kernel_matrix *m, const struct kernel_epilogue *epilogue,
                       int rows, char *workspace)
{
    static const struct cublaslt_epilogue none = {NULL, false, false, false};
    struct cublaslt *l = cuda_library(cuda_of(k));
    int8_t *q = (int8_t *)(void *)(workspace + plan->q);
    float *scales = (float *)(void *)(workspace + plan->q_scales);
    int32_t *sums = (int32_t *)(void *)(workspace + plan->sums);
    cuda_quantize_rows(k, q, plan->q_stride, scales, x, x_stride, rows, (int)m->cols);
    for (int64_t first = 0; first < m->rows; first += plan->piece) {
        struct piece p = piece_of(k, m, epilogue, out, first, plan->piece);
        if (plan->way == LIBRARY_S8 &&
            cublaslt_product(l, k, sums, (int)p.m.rows, q, plan->q_stride, &p.m, &none, rows, workspace))
            cuda_finish_s8(k, p.out, out_stride, sums, scales, &p.m, &p.epilogue, rows);
        else
            cuda_gemm_s8(k, p.out, out_stride, q, plan->q_stride, scales, &p.m, &p.epilogue, rows);
    }
}

/* Weights by channel are turned row-major at the end of the workspace: a pass over them, small where rows are
 * many; few rows have products of listed channels. */
static size_t turned_bytes(const struct kernel_matrix *m)
{
    return m->channel_stride ? padded((size_t)m->rows * (size_t)m->cols * kernel_dtype_bytes(m->dtype)) : 0;
}

static struct kernel_matrix row_major(const struct kernel_matrix *m)
{
    struct kernel_matrix turned = *m;
    turned.channel_stride = 0;
    turned.first_row = 0;
    return turned;
}

static struct kernel_matrix turn(struct kernels *k, const struct kernel_matrix *m, void *at)
{
    struct kernel_matrix turned = row_major(m);
    turned.data = at;
    cuda_turn_rows(cuda_of(k), at, m);
    return turned;
}

void cuda_product(struct kernels *k, void *out, int out_stride, const void *x, int x_stride,
                  const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                  void *workspace)
{
    struct plan plan = plan_of(k, m, rows);
    if (rows <= 0 || m->rows <= 0)
        return;
    if (m->channel_stride) {
        struct kernel_matrix turned = turn(k, m, (char *)workspace + plan.bytes);
        cuda_product(k, out, out_stride, x, x_stride, &turned, epilogue, rows, workspace);
        return;
    }
    switch (plan.way) {
    case GEMV:
        cuda_gemv(k, out, out_stride, x, x_stride, m, epilogue, rows);
        return;
    case WIDENED:
        widened_product(k, &plan, out, out_stride, x, x_stride, m, epilogue, rows, workspace);
        return;
    case TILES_S8:
    case LIBRARY_S8:
        s8_product(k, &plan, out, out_stride, x, x_stride, m, epilogue, rows, workspace);
        return;
    case LIBRARY:
        if (by_library(k, out, out_stride, x, x_stride, m, epilogue, rows, workspace,
                       (char *)workspace + plan.bias))
            return;
        break;
    case TILES:
        break;
    }
    cuda_gemm(k, out, out_stride, x, x_stride, m, epilogue, rows, workspace);
}

size_t cuda_product_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    return plan_of(k, m, rows).bytes + turned_bytes(m);
}

/* Our tensor-core tiles hold gate and up of the same columns and store their product alone; the other ways
 * leave both in the workspace. */
static bool gate_up_in_tiles(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    return k->activation != KERNEL_FP32 && choose(k, m, rows) == TILES;
}

static size_t gate_up_bytes(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    return padded((size_t)rows * (size_t)m->rows * kernel_dtype_bytes(k->activation));
}

void cuda_gate_up(struct kernels *k, void *out, const void *x, const struct kernel_matrix *m, int rows,
                  void *workspace)
{
    static const struct kernel_epilogue none = {NULL, KERNEL_LINEAR, false, false};
    if (m->channel_stride) {
        struct kernel_matrix whole = row_major(m);
        size_t own = cuda_gate_up_workspace(k, &whole, rows);
        whole = turn(k, m, (char *)workspace + own);
        cuda_gate_up(k, out, x, &whole, rows, workspace);
        return;
    }
    if (rows <= CUDA_GEMV_ROWS) {
        cuda_gemv_gate_up(k, out, x, m, rows);
    } else if (gate_up_in_tiles(k, m, rows)) {
        cuda_gemm_gate_up(k, out, x, m, rows);
    } else {
        cuda_product(k, workspace, (int)m->rows, x, (int)m->cols, m, &none, rows,
                     (char *)workspace + gate_up_bytes(k, m, rows));
        cuda_finish_gate_up(k, out, workspace, rows, (int)(m->rows / 2));
    }
}

/* Without regard to gate_up_in_tiles, so that the size does not shrink where another way takes over. */
size_t cuda_gate_up_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    return rows <= CUDA_GEMV_ROWS ? turned_bytes(m)
                                  : gate_up_bytes(k, m, rows) + cuda_product_workspace(k, m, rows);
}

/* Logits of many rows, at most 64 MiB at a time: a piece of the rows, and of those a piece of the tokens. */
struct argmax_plan {
    int rows;
    int64_t tokens;
    int stride; /* of the logits: rows at multiples of 16 bytes, which the library's faster kernels want */
    size_t best, product, bytes;
};

static struct argmax_plan argmax_plan_of(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    struct argmax_plan p = {.rows = rows < ARGMAX_ROWS ? rows : ARGMAX_ROWS};
    size_t many = (size_t)p.rows, n = ((size_t)m->rows + 3) & ~(size_t)3, row = many * sizeof(float);
    size_t fits = piece_bytes / row / PIECE_ROWS * PIECE_ROWS; /* >= 4096 */
    p.tokens = (int64_t)(fits < n ? fits : n);
    p.stride = (int)p.tokens;
    p.best = padded(n * row < piece_bytes ? n * row : piece_bytes);
    p.product = p.best + padded(row);
    p.bytes = p.product + cuda_product_workspace(k, m, p.rows);
    return p;
}

void cuda_head_argmax(struct kernels *k, int32_t *ids, const void *x, int x_stride,
                      const struct kernel_matrix *m, const float *bias, int rows, void *workspace)
{
    if (rows <= CUDA_GEMV_ROWS) {
        cuda_gemv_argmax(k, ids, x, x_stride, m, bias, rows, workspace);
        return;
    }
    struct argmax_plan plan = argmax_plan_of(k, m, rows);
    struct kernel_epilogue epilogue = {bias, KERNEL_LINEAR, false, true};
    float *logits = workspace, *best = (float *)(void *)((char *)workspace + plan.best);
    for (int row = 0; row < rows; row += plan.rows) {
        int count = plan.rows < rows - row ? plan.rows : rows - row;
        const char *from =
            (const char *)x + (size_t)row * (size_t)x_stride * kernel_dtype_bytes(k->activation);
        for (int64_t first = 0; first < m->rows; first += plan.tokens) {
            struct piece p = piece_of(k, m, &epilogue, logits, first, plan.tokens);
            cuda_product(k, logits, plan.stride, from, x_stride, &p.m, &p.epilogue, count,
                         (char *)workspace + plan.product);
            cuda_argmax_piece(k, ids + row, best, logits, plan.stride, count, p.m.rows, first);
        }
    }
}

size_t cuda_head_argmax_workspace(const struct kernels *k, const struct kernel_matrix *m, int rows)
{
    return rows <= CUDA_GEMV_ROWS ? cuda_gemv_argmax_workspace(cuda_of(k), m, rows)
                                  : argmax_plan_of(k, m, rows).bytes;
}
