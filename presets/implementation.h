/* How a model is run: a point in the space of axes (DESIGN section 5). One table of axes generates parsing,
 * printing, the command line's --arm, the Setup screen's editor and the documentation. Knows values, not what
 * a device supports. */
#pragma once

#include "presets/error.h"
#include <stdbool.h>
#include <stddef.h>

enum attention_kind { ATTENTION_NAIVE, ATTENTION_FLASH, ATTENTION_FLASH3, ATTENTION_RING };
enum launch_kind { LAUNCH_EAGER, LAUNCH_GRAPH, LAUNCH_PERSISTENT };
enum precision_kind {
    PRECISION_FP32,
    PRECISION_FP16,
    PRECISION_BF16,
    PRECISION_INT8,
    PRECISION_NF4,
    PRECISION_NF4_DQ, /* block scales quantized too */
    PRECISION_Q8_0,   /* the block types of GGUF files, here for all products of a model */
    PRECISION_Q4_0,
    PRECISION_Q4_K,
    PRECISION_Q6_K,
    PRECISION_STORED, /* each tensor in the type in which it stands in the model's file */
    PRECISIONS
};
enum activations_kind { ACTIVATIONS_FULL, ACTIVATIONS_INT8 }; /* what products read beside weights */
enum kv_cache_kind {
    KV_CACHE_CONTIGUOUS,
    KV_CACHE_PAGED, /* blocks of 16 tokens */
    KV_CACHE_VIRTUAL,
    KV_CACHE_PAGED256, /* blocks of 256 tokens */
    KV_CACHES
};

enum fusion_bit {
    FUSION_RESIDUAL_NORM = 1 << 0, /* add and norm in one pass */
    FUSION_QKV = 1 << 1,           /* one product for q, k, v */
    FUSION_ROPE_CACHE = 1 << 2,    /* rotate and write the cache in one pass */
    FUSION_GATE_UP = 1 << 3,       /* one product and SwiGLU */
    FUSION_BIAS_GELU = 1 << 4,     /* bias and GELU in the product's epilogue */
    FUSION_HEAD_ARGMAX = 1 << 5,   /* argmax inside the head's product */
    FUSION_SSM = 1 << 6, /* state-space: convolution and SiLU in one pass; steps, scan and gate in one */
    FUSION_FULL = (1 << 7) - 1
};

struct implementation {
    enum attention_kind attention;
    unsigned fusion; /* fusion_bit mask; 0 = none, FUSION_FULL = full */
    enum launch_kind launch;
    enum precision_kind precision;
    enum activations_kind activations;
    enum kv_cache_kind kv_cache;
    double sparsity;     /* 0 .. 0.9 */
    char vocabulary[64]; /* "standard" or an adapted vocabulary's name */
};

enum { /* places in implementation_axes */
       IMPLEMENTATION_ATTENTION,
       IMPLEMENTATION_FUSION,
       IMPLEMENTATION_LAUNCH,
       IMPLEMENTATION_PRECISION,
       IMPLEMENTATION_ACTIVATIONS,
       IMPLEMENTATION_KV_CACHE,
       IMPLEMENTATION_SPARSITY,
       IMPLEMENTATION_VOCABULARY
};

struct implementation_value {
    const char *name;
    int value;
    const char *help;
};
struct implementation_axis {
    const char *name; /* "attention" ... */
    const char *help;
    const struct implementation_value *values; /* NULL for sparsity (a number) and vocabulary (a name) */
    int n_values;
    bool is_mask; /* fusion: a list of values may be combined */
};

extern const struct implementation_axis implementation_axes[];
extern const int implementation_n_axes;

void implementation_default(
    struct implementation *i); /* the baseline point: naive, none, eager, fp32, contiguous */
/* Sets axis `key` from text ("flash", "qkv+gate_up", "0.4"). USAGE error names the nearest key or value. */
int implementation_set(struct implementation *i, const char *key, const char *value, struct error *e);
/* The value of an axis as text that implementation_set reads back. */
void implementation_get(const struct implementation *i, int axis, char *out, size_t size);
/* "flash full eager q4_0 activations int8 paged": values in axis order, defaults of activations, sparsity and
 * vocabulary left out. */
void implementation_describe(const struct implementation *i, char *out, size_t size);
bool implementation_equal(const struct implementation *a, const struct implementation *b);
/* Same weights, same arithmetic up to rounding: arms that must agree closely. False when precision,
 * activations, sparsity or vocabulary differ, where quality stands beside speed. */
bool implementation_same_quality(const struct implementation *a, const struct implementation *b);
/* Reads a bundle's file ("benchtop/implementation/1"). *help (may be NULL) gets what it says of itself, in
 * words. Unknown keys are reported in warning (may be NULL). On failure nothing is changed. */
int implementation_load(const char *path, struct implementation *out, char *help, size_t size,
                        struct error *warning, struct error *e);
