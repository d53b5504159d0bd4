/* A model's dimensions as they stand in presets/models/NAME.json or a user's own file of the same schema
 * ("benchtop/model/1"). Reads, checks and prints; counting parameters and costs is engine/model's job. */
#pragma once

#include "presets/error.h"
#include "presets/implementation.h"
#include <stdbool.h>
#include <stdint.h>

enum model_family { MODEL_LLAMA, MODEL_GPT2, MODEL_PHI2, MODEL_BERT, MODEL_MAMBA };

/* What a file holds, as precision `stored` takes it. */
struct model_stored {
    int64_t bytes;                /* of all weights once loaded */
    int64_t product_bytes;        /* of these, what every decoded token reads */
    int64_t vocabulary_row_bytes; /* of one token: embedding, and head where it is not tied */
    int64_t parameters;           /* values of all tensors */
    uint32_t types;               /* bit of each GGUF type number that products and embeddings have */
    enum precision_kind like; /* the precision whose activations and cache go with it: of the type with the
                                 most bytes */
    int split_qkv, split_gate_up;   /* layers whose q, k, v (gate, up) have different types: products apart */
    char summary[96];               /* "Q4_K 193, Q6_K 33, F32 65": tensors of each type */
    int64_t file_bytes, changed_ns; /* of the file when it was looked at */
};

struct model_spec {
    char name[64];  /* "llama3-8b" */
    char title[96]; /* "Llama 3 8B" */
    char file[512]; /* the GGUF file its weights are read from; "": synthetic, made from a seed */
    enum model_family family;
    int layers, d_model, heads, kv_heads, head_dim, ffn, vocab, context;
    double norm_eps;
    double rope_theta; /* 0: none (learned positions, or mamba) */
    int rotary_dims;   /* of head_dim; 0: none */
    struct {
        double factor, low, high;
        int original;
    } rope_scaling;  /* llama3 rule; original 0: every frequency by the factor; factor 0: none */
    int window;      /* sliding window, 0: none */
    bool tied;       /* the head is the embedding */
    bool head_bias;  /* phi-2 */
    int token_types; /* bert: 2 */
    bool mlm_head;   /* bert: the masked-language head, tied */
    bool headless; /* bert of a file: neither it nor a pooler; the output is the first token's hidden state */
    struct {
        int inner, dt_rank, state, conv;
    } mamba;
    int64_t published_parameters; /* what the publisher counts; tests compare with model_parameters() */
    char vocabulary[64]; /* whose text its ids are: a file of presets/vocabularies; "" where none may be
                            shipped */
    char source[160];
    bool seeded; /* of a file: its weights are random, as `model write` makes them of the catalog */
    struct model_stored stored; /* of a file; zeroed for synthetic models */
};

/* path: a JSON file. Errors name file, key and what was expected; unknown keys are reported in `warning` (may
 * be NULL). */
int model_spec_load(const char *path, struct model_spec *out, struct error *warning, struct error *e);
const char *model_family_name(enum model_family family);
