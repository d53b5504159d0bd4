#include "presets/implementation.h"
#include "presets/catalog.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static const struct implementation_value attention_values[] = {
    {"naive", ATTENTION_NAIVE,
     "stores all scores, then softmax, then the product with the values (state-space: stores every "
     "token's discretized state matrices, then the recurrence token by token)"},
    {"flash", ATTENTION_FLASH,
     "online softmax over tiles: scores never leave the caches; split over the context for decode "
     "(state-space: chunked scan, its states stay in registers)"},
    {"flash3", ATTENTION_FLASH3, "flash for Hopper: asynchronous copies and warp-group products"},
    {"ring", ATTENTION_RING, "keys and values passed around a ring of devices"},
};
static const struct implementation_value fusion_values[] = {
    {"none", 0, "every step is a pass of its own"},
    {"full", FUSION_FULL, "all of the fusions below that the model has"},
    {"residual_norm", FUSION_RESIDUAL_NORM, "residual add and norm in one pass"},
    {"qkv", FUSION_QKV, "one product for queries, keys and values (state-space: for x and its gate)"},
    {"rope_cache", FUSION_ROPE_CACHE, "rotation and the write to the cache in one pass"},
    {"gate_up", FUSION_GATE_UP, "one product for gate and up, with SwiGLU"},
    {"bias_gelu", FUSION_BIAS_GELU, "bias and GELU in the product's epilogue"},
    {"head_argmax", FUSION_HEAD_ARGMAX, "argmax inside the head's product: logits are never stored"},
    {"ssm", FUSION_SSM,
     "state-space models: convolution with its SiLU, and softplus, scan and gate, one pass each"},
};
static const struct implementation_value launch_values[] = {
    {"eager", LAUNCH_EAGER, "every kernel is launched by the host"},
    {"graph", LAUNCH_GRAPH,
     "a decode step, recorded as a CUDA graph, is replayed; prompts are launched kernel by kernel"},
    {"persistent", LAUNCH_PERSISTENT, "one cooperative kernel per token"},
};
static const struct implementation_value precision_values[] = {
    {"fp32", PRECISION_FP32, "weights and activations in 32 bits"},
    {"fp16", PRECISION_FP16, "weights and cache in IEEE half precision"},
    {"bf16", PRECISION_BF16, "weights and cache in bfloat16"},
    {"int8", PRECISION_INT8, "weights in 8-bit integers, one scale per output channel"},
    {"nf4", PRECISION_NF4, "weights in 4-bit NormalFloat blocks of 64, one fp32 scale each"},
    {"nf4_dq", PRECISION_NF4_DQ, "nf4 with its block scales quantized to 8 bits too"},
    {"q8_0", PRECISION_Q8_0, "weights in GGUF blocks of 32 with 8 bits each: 8.5 bits a weight"},
    {"q4_0", PRECISION_Q4_0, "weights in GGUF blocks of 32 with 4 bits each: 4.5 bits a weight"},
    {"q4_k", PRECISION_Q4_K, "4.5 bits a weight in GGUF blocks of 256: scale and minimum per 32"},
    {"q6_k", PRECISION_Q6_K, "6.56 bits a weight in GGUF blocks of 256: a scale per 16"},
    {"stored", PRECISION_STORED, "every tensor in the type in which it stands in the model's file"},
};
static const struct implementation_value activations_values[] = {
    {"full", ACTIVATIONS_FULL, "inputs of products as the arithmetic has them"},
    {"int8", ACTIVATIONS_INT8,
     "inputs of products rounded to 8 bits, integers multiplied: a scale per 32 of them beside q8_0 and "
     "q4_0, "
     "per 256 beside q4_k and q6_k, per row beside int8; a file's tensors of other types keep full ones (on "
     "a "
     "GPU: int8 alone, products of many rows)"},
};
static const struct implementation_value kv_cache_values[] = {
    {"contiguous", KV_CACHE_CONTIGUOUS, "one span per sequence, reserved for the longest context"},
    {"paged", KV_CACHE_PAGED, "fixed blocks of 16 tokens found through a block table"},
    {"paged256", KV_CACHE_PAGED256, "fixed blocks of 256 tokens found through a block table"},
    {"virtual", KV_CACHE_VIRTUAL, "one span of addresses, physical pages mapped as the context grows"},
};

const struct implementation_axis implementation_axes[] = {
    {"attention", "how scores and softmax are computed (state-space: how the scan is)", attention_values,
     COUNT(attention_values), false},
    {"fusion", "which steps are fused into one pass; several are joined with +", fusion_values,
     COUNT(fusion_values), true},
    {"launch", "how work reaches the device", launch_values, COUNT(launch_values), false},
    {"precision", "type of weights and cache", precision_values, COUNT(precision_values), false},
    {"activations", "type of what products read beside the weights", activations_values,
     COUNT(activations_values), false},
    {"kv_cache", "how keys and values are laid out", kv_cache_values, COUNT(kv_cache_values), false},
    {"sparsity", "fraction of activations set to zero, 0 to 0.9", NULL, 0, false},
    {"vocabulary", "standard, or the name of an adapted vocabulary", NULL, 0, false},
};
const int implementation_n_axes = COUNT(implementation_axes);

void implementation_default(struct implementation *i)
{
    memset(i, 0, sizeof *i); /* the first value of every axis is 0 */
    snprintf(i->vocabulary, sizeof i->vocabulary, "standard");
}

static int get_value(const struct implementation *i, int axis)
{
    switch (axis) {
    case IMPLEMENTATION_ATTENTION:
        return (int)i->attention;
    case IMPLEMENTATION_FUSION:
        return (int)i->fusion;
    case IMPLEMENTATION_LAUNCH:
        return (int)i->launch;
    case IMPLEMENTATION_PRECISION:
        return (int)i->precision;
    case IMPLEMENTATION_ACTIVATIONS:
        return (int)i->activations;
    default:
        return (int)i->kv_cache;
    }
}

static void set_value(struct implementation *i, int axis, int value)
{
    switch (axis) {
    case IMPLEMENTATION_ATTENTION:
        i->attention = (enum attention_kind)value;
        break;
    case IMPLEMENTATION_FUSION:
        i->fusion = (unsigned)value;
        break;
    case IMPLEMENTATION_LAUNCH:
        i->launch = (enum launch_kind)value;
        break;
    case IMPLEMENTATION_PRECISION:
        i->precision = (enum precision_kind)value;
        break;
    case IMPLEMENTATION_ACTIVATIONS:
        i->activations = (enum activations_kind)value;
        break;
    default:
        i->kv_cache = (enum kv_cache_kind)value;
        break;
    }
}

/* "attention: no value fast: did you mean flash? (naive, flash, ...)" */
static int unknown_value(const struct implementation_axis *axis, const char *word, struct error *e)
{
    const char *names[16];
    char near[160], all[200] = "";
    for (int v = 0; v < axis->n_values; v++) {
        names[v] = axis->values[v].name;
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", v ? ", " : "", names[v]);
    }
    catalog_nearest(word, names, axis->n_values, near, sizeof near);
    return error_set(e, ERROR_USAGE, "%s has no value \"%.64s\": %s%s%suse one of %s", axis->name, word,
                     near[0] ? "did you mean " : "", near, near[0] ? "? " : "", all);
}

static int find_value(const struct implementation_axis *axis, const char *word, size_t n)
{
    for (int v = 0; v < axis->n_values; v++)
        if (strlen(axis->values[v].name) == n && memcmp(axis->values[v].name, word, n) == 0)
            return v;
    return -1;
}

static int parse_mask(const struct implementation_axis *axis, const char *text, int *out, struct error *e)
{
    int mask = 0;
    const char *word = text;
    do {
        size_t n = strcspn(word, "+");
        int v = find_value(axis, word, n);
        if (v < 0) {
            char unknown[64];
            snprintf(unknown, sizeof unknown, "%.*s", (int)(n < 63 ? n : 63), word);
            return unknown_value(axis, unknown, e);
        }
        if (axis->values[v].value == 0 && strchr(text, '+'))
            return error_set(e, ERROR_USAGE, "%s \"%.64s\": none cannot be joined with others: leave it out",
                             axis->name, text);
        mask |= axis->values[v].value;
        word += n;
    } while (*word++ == '+');
    *out = mask;
    return 0;
}

/* A vocabulary's name travels in paths and on the command line. */
static bool is_name(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && text[n] == '\0' && n < sizeof((struct implementation *)0)->vocabulary;
}

/* The plain decimal forms only, so that the locale and strtod's "inf" and hex have no say. */
static int parse_sparsity(const char *text, double *out, struct error *e)
{
    size_t whole = strspn(text, "0123456789"),
           rest = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    size_t n = whole + (text[whole] == '.') + rest;
    double value = 0, scale = 1;
    for (size_t i = 0; i < whole && i < 4; i++)
        value = value * 10 + (text[i] - '0');
    for (size_t i = 0; i < rest && i < 15; i++) {
        value = value * 10 + (text[whole + 1 + i] - '0');
        scale *= 10;
    }
    value /= scale;
    if (whole + rest == 0 || whole > 4 || text[n] != '\0' || value > 0.9)
        return error_set(e, ERROR_USAGE, "sparsity \"%.32s\": expected a number from 0 to 0.9", text);
    *out = value;
    return 0;
}

int implementation_set(struct implementation *i, const char *key, const char *value, struct error *e)
{
    int axis = 0, v = 0;
    while (axis < implementation_n_axes && strcmp(implementation_axes[axis].name, key) != 0)
        axis++;
    if (axis == implementation_n_axes) {
        const char *names[16];
        char near[160];
        for (int a = 0; a < implementation_n_axes; a++)
            names[a] = implementation_axes[a].name;
        catalog_nearest(key, names, implementation_n_axes, near, sizeof near);
        return error_set(
            e, ERROR_USAGE,
            "no axis \"%.64s\": %s%s%suse attention, fusion, launch, precision, activations, kv_cache, "
            "sparsity or vocabulary",
            key, near[0] ? "did you mean " : "", near, near[0] ? "? " : "");
    }
    const struct implementation_axis *a = &implementation_axes[axis];
    if (axis == IMPLEMENTATION_SPARSITY)
        return parse_sparsity(value, &i->sparsity, e);
    if (axis == IMPLEMENTATION_VOCABULARY) {
        if (!is_name(value))
            return error_set(e, ERROR_USAGE,
                             "vocabulary \"%.64s\": expected a name of letters, digits, '.', '_', '-'",
                             value);
        snprintf(i->vocabulary, sizeof i->vocabulary, "%s", value);
        return 0;
    }
    if (a->is_mask) {
        if (parse_mask(a, value, &v, e) != 0)
            return -1;
    } else {
        v = find_value(a, value, strlen(value));
        if (v < 0)
            return unknown_value(a, value, e);
        v = a->values[v].value;
    }
    set_value(i, axis, v);
    return 0;
}

static void get_mask(const struct implementation_axis *a, int mask, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (int v = 0; v < a->n_values; v++)
        if (a->values[v].value == mask) {
            snprintf(out, size, "%s", a->values[v].name);
            return;
        }
    for (int v = 0; v < a->n_values; v++) {
        int bit = a->values[v].value;
        if (bit == 0 || bit == FUSION_FULL || !(mask & bit) || n >= size)
            continue;
        int wrote = snprintf(out + n, size - n, "%s%s", n ? "+" : "", a->values[v].name);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
}

static void get_sparsity(double sparsity, char *out, size_t size)
{
    snprintf(out, size, "%.15g", sparsity);
    for (char *c = out; *c; c++)
        if (*c == ',') /* the locale's decimal point */
            *c = '.';
}

void implementation_get(const struct implementation *i, int axis, char *out, size_t size)
{
    const struct implementation_axis *a = &implementation_axes[axis];
    if (axis == IMPLEMENTATION_SPARSITY) {
        get_sparsity(i->sparsity, out, size);
    } else if (axis == IMPLEMENTATION_VOCABULARY) {
        snprintf(out, size, "%s", i->vocabulary);
    } else if (a->is_mask) {
        get_mask(a, get_value(i, axis), out, size);
    } else {
        const char *name = "?";
        for (int v = 0; v < a->n_values; v++)
            if (a->values[v].value == get_value(i, axis))
                name = a->values[v].name;
        snprintf(out, size, "%s", name);
    }
}

void implementation_describe(const struct implementation *i, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (int axis = 0; axis < implementation_n_axes; axis++) {
        char value[160];
        if ((axis == IMPLEMENTATION_SPARSITY && i->sparsity == 0) ||
            (axis == IMPLEMENTATION_ACTIVATIONS && i->activations == ACTIVATIONS_FULL) ||
            (axis == IMPLEMENTATION_VOCABULARY && strcmp(i->vocabulary, "standard") == 0) || n >= size)
            continue;
        implementation_get(i, axis, value, sizeof value);
        int wrote = snprintf(out + n, size - n, "%s%s%s", n ? " " : "",
                             axis == IMPLEMENTATION_SPARSITY      ? "sparsity "
                             : axis == IMPLEMENTATION_ACTIVATIONS ? "activations "
                                                                  : "",
                             value);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
}

bool implementation_equal(const struct implementation *a, const struct implementation *b)
{
    return a->attention == b->attention && a->fusion == b->fusion && a->launch == b->launch &&
           a->precision == b->precision && a->activations == b->activations && a->kv_cache == b->kv_cache &&
           a->sparsity == b->sparsity && strcmp(a->vocabulary, b->vocabulary) == 0;
}

bool implementation_same_quality(const struct implementation *a, const struct implementation *b)
{
    return a->precision == b->precision && a->activations == b->activations && a->sparsity == b->sparsity &&
           strcmp(a->vocabulary, b->vocabulary) == 0;
}
