/* The judge: a double-precision forward pass in plain loops, written independently of the backends.
 *
 * No SIMD, no cache, no batching, no fusion, no threads: every position is recomputed from the whole
 * sequence. Weights are plain double arrays in the layout [out, in] (y = x W^T), which tests and selftest
 * fill from the values a backend really holds (after rounding to its precision), so that only arithmetic is
 * judged. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Inputs of products in 8 bits (struct kernel_matrix, quantize_input): how they are rounded. */
enum reference_rounding {
    REFERENCE_EXACT,
    REFERENCE_ROW,       /* one scale, of all of them */
    REFERENCE_BLOCK_32,  /* a scale per 32, in fp16 */
    REFERENCE_BLOCK_256, /* a scale per 256 */
};

/* y = what n inputs x hold once rounded; may be x. */
void reference_round(double *y, const double *x, int64_t n, enum reference_rounding rounding);

enum reference_family { REFERENCE_LLAMA, REFERENCE_GPT2, REFERENCE_PHI2, REFERENCE_BERT, REFERENCE_MAMBA };

struct reference_layer {
    const double *norm1, *norm1_bias, *norm2, *norm2_bias; /* [d]; phi-2 has norm1 alone */
    const double *q, *k, *v, *o;                           /* [H hd, d], [KV hd, d] x2, [d, H hd] */
    const double *q_bias, *k_bias, *v_bias, *o_bias;       /* NULL for llama */
    const double *gate, *up, *down;                        /* llama: [f, d] x2, [d, f]; others: up, down */
    const double *up_bias, *down_bias;
    /* mamba, beside norm1 and o [d, inner]: [2 inner, d] (channels, then gates), [rank + 2 states, inner],
     * [inner, rank]; [taps, inner], the last tap the token's own; [inner] x2; [states, inner] negative;
     * [inner] */
    const double *in, *select, *dt, *conv, *conv_bias, *dt_bias, *a, *skip;
};

struct reference_model {
    enum reference_family family;
    int layers, d, heads, kv_heads, head_dim, ffn, vocab;
    int rotary_dims;               /* 0: learned positions */
    int window;                    /* 0: none */
    int inner, rank, states, taps; /* mamba */
    double eps;
    bool gelu_erf;                                      /* bert; else tanh approximation */
    const double *rope_frequency;                       /* [rotary_dims / 2], scaling applied */
    const double *embedding;                            /* [vocab, d] */
    const double *positions;                            /* [context, d] or NULL */
    const double *type_row;                             /* [d], bert */
    const double *embedding_norm, *embedding_norm_bias; /* bert */
    const double *final_norm, *final_norm_bias;
    const double *head, *head_bias;                          /* [vocab, d] (tied: == embedding) */
    const double *mlm, *mlm_bias, *mlm_norm, *mlm_norm_bias; /* bert's MLM transform [d, d], NULL: none */
    const struct reference_layer *layer;
    /* Sparse activations: how many entries of largest magnitude the products of a layer see, of the
     * normalized inputs, of what attention gives, and of the feed-forward's inner activations. 0: all. */
    int keep_input, keep_mixed, keep_inner;
    enum reference_rounding rounding; /* of the inputs of all products */
    bool small_exact;                 /* but mamba's select and dt, where those stand in 16 bits */
};

/* A mamba layer on the residual x [n, d], in place (reference_mamba.c). -1: memory is short. */
int reference_mamba_layer(const struct reference_model *m, const struct reference_layer *l, double *x, int n);
/* logits [n, vocab] for the n tokens of one sequence. Returns -1 when memory is short. */
int reference_forward(const struct reference_model *m, const int *ids, int n, double *logits);
