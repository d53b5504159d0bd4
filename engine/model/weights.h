/* Weights of a model in one precision, shared between arms by reference counting: read from the model's GGUF
 * file, or synthetic: seeded, random, scaled so that activations stay in range at every depth, generated in
 * place through the kernels' door.
 *
 * Products and embeddings stand in the precision of the implementation (int8 and nf4 keep the embedding so
 * too, so that a tied head is the same matrix); learned positions and token types in it or, where it is less
 * than 16 bits, in fp16; norms and biases always in fp32. A state-space model's convolution, decays and skips
 * are fp32 too. q, k and v are one matrix, rows [q | k | v]; gate and up of llama are one matrix, rows [gate
 * | up]: unfused implementations look at row ranges.
 *
 * Of a file: precision `stored` keeps every array in the type it has there, bit by bit (learned positions
 * that are stored in blocks are widened to fp32, for they are added, not multiplied). Where q, k and v, or
 * gate and up, have different types they stay matrices of their own, and there is no product for all of them.
 * Any other precision is made from the values of the file at load. The file is open while loading alone.
 *
 * Amplitudes: a product with n inputs is uniform in +-sqrt(3 / n), which keeps the variance of unit inputs;
 * the two products that write to the residual are smaller by sqrt(2 layers) (Radford et al. 2019,
 * section 2.3). A state-space layer begins as published (Gu and Dao 2023, section 3.6; their code): decays
 * a = -1, -2, ..., step sizes log-uniform in [0.001, 0.1] through the bias of dt, skips 1; its projections
 * count with what SiLU and the scan leave of the variance. */
#pragma once

#include "kernels/kernels.h"
#include "presets/error.h"
#include "presets/implementation.h"
#include "presets/model_spec.h"
#include <stdbool.h>
#include <stdint.h>

struct larosa;

/* Which weights: what two arms must agree in to share them. */
struct weights_request {
    const struct model_spec *model;
    enum precision_kind precision;
    uint64_t seed;                 /* of synthetic weights */
    const char *vocabulary;        /* NULL or "standard": the model's own */
    double sparsity;               /* 0: dense; else rotated (engine/model/larosa.h), whatever the share */
    const struct larosa *rotation; /* NULL: the file that the model's calibration left */
};

struct weights_layer {
    struct kernel_norm norm1, norm2; /* phi-2: norm1 alone */
    struct kernel_matrix qkv;        /* data NULL: of different types, apart */
    struct kernel_matrix part[3];    /* q, k, v then; see weights_part */
    struct kernel_matrix out, down;
    struct kernel_matrix up;      /* llama: gate and up; data NULL: of different types, apart */
    struct kernel_matrix half[2]; /* gate, up then; see weights_half */
    const float *qkv_bias, *out_bias, *up_bias, *down_bias; /* NULL for llama */
    /* mamba, beside norm1 and out: projections of the hidden state [2 inner, d], of the convolved channels
     * [dt_rank + 2 state, inner] (rows: step, input and output vectors) and of the step [inner, dt_rank] */
    struct kernel_matrix in, select, dt;
    const float *conv, *conv_bias, *dt_bias, *a, *skip; /* as struct kernel_ssm has them; skip: its d */
};

struct weights {
    struct model_spec model;
    enum precision_kind precision;
    uint64_t seed;
    char vocabulary[64]; /* "standard": the model's own */
    double sparsity;
    struct kernel_matrix embedding;
    struct kernel_matrix positions, types; /* data NULL: none */
    struct kernel_norm embedding_norm;     /* bert */
    struct kernel_norm final_norm;         /* all but bert */
    struct kernel_matrix transform;        /* bert: masked-language transform or pooler */
    const float *transform_bias;
    struct kernel_norm transform_norm; /* masked-language head only */
    struct kernel_matrix head;         /* tied: the embedding's own data; bert's pooler: data NULL */
    const float *head_bias;
    bool own_head; /* of a tied model whose rotated head is not its embedding */
    struct weights_layer *layer;
    size_t adapted_bytes[3]; /* of embedding, head and its bias, where a vocabulary other than the model's
                              * made them (weights_adapt); else 0 */
    float *rope_factors;     /* of a file, in host memory: [rotary_dims / 2]; NULL: the model's rule */
    int64_t bytes, load_ns;
    int64_t page_in_ns; /* of load_ns: reading the file's bytes */
    int references;
    struct kernels *k;
};

enum kernel_dtype weights_dtype(enum precision_kind precision); /* stored: of no meaning */
/* A state-space layer's two small projections (select, dt), whose rows blocks need not divide, where the
 * others have this type: fp16 beside blocks of GGUF files, as llama.cpp leaves them out of quantization too.
 */
enum kernel_dtype weights_small_dtype(enum kernel_dtype others);
/* The type of activations that goes with it where the backend has that type (ops->view), else fp32: its own,
 * and bf16 for what is smaller. stored: of the type that has the most bytes. */
enum kernel_dtype weights_activation(const struct model_spec *m, enum precision_kind precision);
/* The precision itself, or what `stored` means for this model's activations and cache. */
enum precision_kind weights_like(const struct model_spec *m, enum precision_kind precision);
/* q, k, v (i = 0, 1, 2) or gate, up of llama (0, 1): rows of one matrix, or matrices of their own. */
struct kernel_matrix weights_part(const struct model_spec *m, const struct weights_layer *l, int i);
struct kernel_matrix weights_half(const struct model_spec *m, const struct weights_layer *l, int i);
struct weights_request weights_request_of(const struct model_spec *m, const struct implementation *i,
                                          uint64_t seed);
int64_t weights_bytes(const struct weights_request *q);

struct gguf; /* engine/model/gguf.h */
/* Completes m->stored from the opened file that m was read from (gguf_model_spec). -1 MEMORY. */
int weights_measure_stored(const struct gguf *g, struct model_spec *m, struct error *e);

/* Allocates and fills, one reference; rotates where the request is sparse. progress(who, "weights", 0..1) and
 * cancelled(who) are called between matrices, either may be NULL. NULL: MEMORY, CANCELLED or what is wrong
 * with the file, nothing kept. */
struct weights *weights_create(struct kernels *k, const struct weights_request *q,
                               void (*progress)(void *, const char *, double), bool (*cancelled)(void *),
                               void *who, struct error *e);
/* Whether two requests ask for the same weights: precisions of one weights_dtype share, so do all sparsities
 * above 0. Positions' rotation
 * and windows are no matter of weights. */
bool weights_same(const struct weights_request *a, const struct weights_request *b);
bool weights_match(const struct weights *w, const struct weights_request *q);
struct weights *weights_hold(struct weights *w); /* one more reference */
void weights_release(struct weights *w);         /* the last one frees; NULL is fine */
