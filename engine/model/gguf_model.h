/* What a GGUF file says of a model: its dimensions as a struct model_spec, and which of its tensors hold
 * which of the model's arrays (names as in gguf-py's constants, shapes as llama.cpp loads them). Believes
 * nothing: every dimension has bounds, every tensor is looked for and its shape held against them, and a
 * tensor that nobody here would compute is refused, because leaving it out computes another model.
 *
 * Conventions of the format: dim[0] is the contiguous one, so a product's tensor is [inputs, outputs]. Files
 * of the llama family keep the rows of q and k so that neighbors rotate together; here halves do
 * (kernel_rope): slices say so (`rotated`), and whoever moves rows puts them back with gguf_model_file_row.
 */
#pragma once

#include "engine/model/gguf.h"
#include "kernels/kernels.h"
#include "presets/model_spec.h"

/* What `model write` says of weights that were never trained, so that nobody takes them for such. */
#define GGUF_MODEL_WEIGHTS "benchtop.weights"
#define GGUF_MODEL_RANDOM  "random"

/* The arrays of a model, by what they are for; those from MODEL_NORM1 on stand in every layer. */
enum model_array {
    MODEL_EMBEDDING,
    MODEL_POSITIONS,
    MODEL_TYPES,
    MODEL_EMBEDDING_NORM,
    MODEL_EMBEDDING_NORM_BIAS,
    MODEL_FINAL_NORM,
    MODEL_FINAL_NORM_BIAS,
    MODEL_HEAD,
    MODEL_HEAD_BIAS,
    MODEL_POOLER, /* bert: dense and tanh over the first token */
    MODEL_POOLER_BIAS,
    MODEL_ROPE_FACTORS, /* [rotary_dims / 2] that frequencies are divided by; a file may have none */
    MODEL_NORM1,
    MODEL_NORM1_BIAS,
    MODEL_NORM2,
    MODEL_NORM2_BIAS,
    MODEL_Q,
    MODEL_K,
    MODEL_V,
    MODEL_Q_BIAS,
    MODEL_K_BIAS,
    MODEL_V_BIAS,
    MODEL_OUT,
    MODEL_OUT_BIAS,
    MODEL_GATE,
    MODEL_UP,
    MODEL_UP_BIAS,
    MODEL_DOWN,
    MODEL_DOWN_BIAS,
    MODEL_SSM_IN,        /* [2 inner, d]: x, then its gate */
    MODEL_SSM_CONV,      /* [inner, conv] in the file, [conv, inner] here */
    MODEL_SSM_CONV_BIAS, /* [inner] */
    MODEL_SSM_X,         /* [dt_rank + 2 state, inner] */
    MODEL_SSM_DT,        /* [inner, dt_rank] */
    MODEL_SSM_DT_BIAS,   /* [inner] */
    MODEL_SSM_A,         /* [inner, state] in the file, [state, inner] here; already -exp(A_log) */
    MODEL_SSM_D,         /* [inner] */
    MODEL_SSM_OUT,       /* [d, inner] */
    MODEL_ARRAYS,
    MODEL_NO_ARRAY = -1 /* what no GGUF file has: bert's masked-language head */
};

/* Rows of one tensor that are one array of the model. */
struct gguf_slice {
    const struct gguf_tensor *tensor;
    enum kernel_dtype dtype;
    int64_t first, rows, cols; /* rows [first, first + rows) of the tensor; a vector is one row */
    int head_dim, rotated;     /* rotated > 0: of each head_dim rows the first `rotated` are interleaved */
    bool transposed;           /* ours is [cols, rows] */
};

/* Dimensions of the model in an opened file, everything checked; path is for messages and out->file. Whatever
 * tells the file from a later one of the same name is noted in out->stored. -1: USAGE or UNSUPPORTED, or
 * FAILED (a tensor is missing or has another shape); *out is then unchanged. */
int gguf_model_spec(const struct gguf *g, const char *path, struct model_spec *out, struct error *e);
/* Where array `a` of a layer lies. -1: missing, of another shape or of a type that is not computed here. */
int gguf_model_slice(const struct gguf *g, const struct model_spec *m, enum model_array a, int layer,
                     struct gguf_slice *out, struct error *e);
/* Whether models of this spec have the array at all. */
bool gguf_model_has(const struct model_spec *m, enum model_array a);
/* Rows and columns of an array as files have it; a vector is one row. */
void gguf_model_shape(const struct model_spec *m, enum model_array a, int64_t *rows, int64_t *cols);
/* The name under which a file keeps an array. false: no file of the family has it. */
bool gguf_model_name(const struct model_spec *m, enum model_array a, int layer, char out[GGUF_NAME]);
/* The one tensor in which files of the family keep q, k and v, or (a: the bias of q) their biases. false:
 * they keep them apart. */
bool gguf_model_fused_name(const struct model_spec *m, enum model_array a, int layer, char out[GGUF_NAME]);
/* "llama", "gpt2" ...: general.architecture, and the prefix of its keys. */
const char *gguf_model_architecture(enum model_family family);
/* Of an interleaved slice: the file's row (from the slice's first) that is our row `row`. */
int64_t gguf_model_file_row(const struct gguf_slice *s, int64_t row);
/* F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K. false: not computed here. */
bool gguf_model_dtype(const struct gguf_type *type, enum kernel_dtype *out);
/* Our format as the file's; NULL: files have no such type. */
const struct gguf_type *gguf_model_type(enum kernel_dtype dtype);
