/* The single-thread kernels of the CPU backend, one table per SIMD level.
 *
 * Every level is the same source (level.h) compiled for another instruction set; the level is chosen at run
 * time. Nothing here knows of threads, batches or memory: callers split the work. Lengths need no alignment
 * and may be any positive number; arrays need the alignment of their element only. */
#pragma once

#include "kernels/kernels.h"

/* Query rows of one key-value head against a range of one sequence's keys, by online softmax. */
struct simd_attention {
    const struct kernel_kv *kv;
    const int32_t *blocks; /* the sequence's block table, or NULL */
    int block;             /* contiguous: the sequence's own block */
    int kv_head;
    float scale;
    const float *q;        /* query row i stands at q + offset[i], head_dim floats */
    const int64_t *offset; /* [rows] */
    const int32_t *low;    /* [rows] row i sees keys [low[i], high[i]) */
    const int32_t *high;   /* [rows] */
    int rows;              /* at most SIMD_ATTENTION_ROWS */
    int first, last;       /* keys of this call: [first, last) */
    float *sum;            /* [rows, head_dim] out: sum of exp(score - max) * v */
    float *max, *total;    /* [rows] out: largest score, sum of exp(score - max) */
    float *scratch;        /* simd_attention_scratch(head_dim) floats */
};
enum { SIMD_ATTENTION_ROWS = 64, SIMD_GEMV_ROWS = 8, SIMD_ATTENTION_TILE = 128, SIMD_GEMM_BLOCK = 48 };

/* Transposed queries and sums, one tile of keys and values in fp32 and its scores. */
static inline size_t simd_attention_scratch(int head_dim)
{
    return (size_t)head_dim * 2 * (SIMD_ATTENTION_ROWS + SIMD_ATTENTION_TILE) + 32 * SIMD_ATTENTION_TILE;
}

/* The selective scan (struct kernel_ssm) of one sequence's rows on some channels. */
struct simd_scan {
    const float *x, *dt, *b, *c, *z; /* of the first row; z NULL: no gate */
    int64_t channels;                /* E: from row to row of x, dt and out, from state to state of a */
    int64_t bc_stride, z_stride;
    const float *a, *d, *dt_bias; /* dt_bias NULL: dt are the steps themselves */
    int64_t rows;
    int states;
    float *h; /* in and out, from the first channel of the call on; states h_stride apart */
    int64_t h_stride;
    float *steps;   /* out: the sum of the steps of each channel of the call; NULL: not asked */
    float *out;     /* first row; NULL: only the state is asked */
    float *partial; /* width * rows floats of scratch where there are more than 16 states */
};

/* Products of x in 8 bits with matrices that integers are multiplied with (kernel_is_integers). A row of x,
 * rounded as struct kernel_matrix says (quantize_input), takes bytes(), a multiple of 64, at a multiple of 4;
 * rows follow one another. gemv: any number of them, and of rows of m. */
struct simd_int8 {
    size_t (*bytes)(enum kernel_dtype dtype, int64_t cols);
    void (*pack)(void *to, const float *x, enum kernel_dtype dtype, int64_t cols);
    void (*gemv)(float *out, int64_t out_stride, const struct kernel_matrix *m, const void *x, int rows);
};

struct simd {
    const char *name;
    int width; /* floats per vector */

    /* out = in * scale (scale applies to int8 alone) */
    void (*widen)(float *out, const void *in, enum kernel_dtype dtype, float scale, int64_t n);
    /* out = in rounded to nearest even; int8: in * inverse rounded and clamped to +-127 */
    void (*narrow)(void *out, enum kernel_dtype dtype, const float *in, float inverse, int64_t n);
    /* NF4, from the start of a block on: out = level * scales[block]; one block of n <= 64 columns to 32
     * bytes: the nearest levels of in * inverse, behind them zeros. */
    void (*widen_nf4)(float *out, const uint8_t *codes, const float *scales, int64_t n);
    void (*narrow_nf4)(uint8_t *out, const float *in, float inverse, int64_t n);
    /* Q8_0 ... Q6_K: n columns, whole blocks, from the start of a block on */
    void (*widen_blocks)(float *out, const void *data, enum kernel_dtype dtype, int64_t n);
    /* generator_value of elements [first, first + n), which share the high half of their index */
    void (*uniform)(float *out, uint64_t key, uint32_t first, float amplitude, int64_t n);
    float (*absmax)(const float *x, int64_t n);
    float (*read)(const float *x, int64_t n); /* touches every byte, as fast as memory gives them; a sum */

    void (*norm)(float *out, const float *x, const struct kernel_norm *norm); /* one row; out may be x */
    void (*add)(float *out, const float *a, const float *b, int64_t n);
    void (*activate)(float *x, enum kernel_activation activation, int64_t n);
    void (*multiply_silu)(float *out, const float *gate, const float *up, int64_t n);
    int64_t (*argmax)(const float *x, int64_t n); /* first of the largest; NaN never wins */
    void (*rotate)(float *x, const float *table_row, int dims);
    void (*softmax)(float *x, float scale, int64_t n); /* x = softmax(x * scale) */

    void (*softplus)(float *x, const float *bias, int64_t n); /* x = softplus(x + bias) */
    /* out = bias + sum over taps of weight[tap] * in[tap] (NULL: zeros), weight [taps, n]; then SiLU */
    void (*convolve)(float *out, const float *const *in, const float *weight, const float *bias, int taps,
                     bool silu, int64_t n);
    /* decay = exp(dt a), enter = dt b x, both [states, n], of one row */
    void (*discretize)(float *decay, float *enter, const float *dt, const float *x, const float *b,
                       const float *a, int states, int64_t n);
    /* h = decay h + enter, out = c h + d x on n channels of one row; states are `stride` apart */
    void (*recur)(float *out, float *h, const float *decay, const float *enter, const float *c,
                  const float *d, const float *x, int states, int64_t stride, int64_t n);
    void (*scan)(const struct simd_scan *s, int64_t channel, int64_t n); /* channels [channel, channel + n) */

    /* out[b, r] = x[b] . row r of m, for all m->rows and b < rows <= SIMD_GEMV_ROWS */
    void (*gemv)(float *out, int64_t out_stride, const struct kernel_matrix *m, const float *x,
                 int64_t x_stride, int rows);
    const struct simd_int8 *int8;
    /* Of a cache: its rows stand `stride` elements apart. out[b, t] = q[b] . row t of keys, for t < tokens
     * and b < rows <= SIMD_GEMV_ROWS; out[b] += sum over t < tokens of weight[b, t] * row t of values, b <
     * rows. ahead: bytes from these rows to those that will be read next, 0: they follow.
     */
    void (*scored_rows)(float *out, int64_t out_stride, const void *keys, int64_t stride,
                        enum kernel_dtype dtype, int tokens, int width, const float *q, int64_t q_stride,
                        int rows, int64_t ahead);
    void (*weighted_rows)(float *out, int64_t out_stride, const float *weight, int64_t weight_stride,
                          const void *values, int64_t stride, enum kernel_dtype dtype, int tokens, int width,
                          int rows, int64_t ahead);
    /* sum[r] += sum over i < count of value[i] * element (r, channel[i]) of m, for all m->rows; m by channel,
     * int8 without its scales. `more` entries of the lists follow the last: what will be read next. */
    void (*sparse)(float *sum, const struct kernel_matrix *m, const int32_t *channel, const float *value,
                   int count, int more);
    /* The smallest magnitude, as bits, among the `keep` largest of n; *above: how many are larger. */
    uint32_t (*threshold)(const float *x, int n, int keep, int *above);
    /* Lists what is above the magnitude, and the first `equal` at it. */
    void (*list)(int32_t *channel, float *value, const float *x, int n, int keep, uint32_t magnitude,
                 int equal);
    void (*attention)(const struct simd_attention *a);

    /* Our own large product. x is packed in panels of `lanes` rows, each lanes * cols floats apart at most
     * (half of that in pairs of bf16); gemm_pack fills the panel at its start from up to `lanes` rows. */
    int lanes;
    void (*gemm_pack)(void *panel, const float *x, int64_t x_stride, int rows, int64_t cols,
                      enum kernel_dtype dtype);
    /* out[rows, m->rows] = x m^T for at most SIMD_GEMM_BLOCK rows of m; scratch: gemm_scratch_floats(rows).
     */
    void (*gemm_block)(float *out, int64_t out_stride, const struct kernel_matrix *m, const void *panels,
                       int rows, float *scratch);
    size_t (*gemm_scratch_floats)(int rows);
    bool (*gemm_in_pairs)(enum kernel_dtype dtype, int64_t cols); /* panels are bf16 */
};

/* The best level this CPU runs ("auto"), or the named one; NULL and `why` where it cannot run here. */
const struct simd *simd_select(const char *name, char *why, size_t why_size);

extern const struct simd simd_portable;
#if defined(__x86_64__)
extern const struct simd simd_avx2, simd_avx512, simd_avx512_vnni, simd_avx512_bf16;
extern const struct simd_int8 simd_int8_vnni;
#endif
