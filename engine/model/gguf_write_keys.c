#include "engine/model/gguf_write_keys.h"

#include "engine/model/gguf_model.h"
#include "engine/version.h"
#include "presets/catalog.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* llama.cpp's names for the type that most of a file has (llama.h, llama_ftype). */
static const struct {
    enum precision_kind precision;
    uint32_t number;
} file_types[] = {{PRECISION_FP32, 0}, {PRECISION_FP16, 1},  {PRECISION_BF16, 32}, {PRECISION_Q8_0, 7},
                  {PRECISION_Q4_0, 2}, {PRECISION_Q4_K, 14}, {PRECISION_Q6_K, 18}};

/* ---- values ---- */

static void put(FILE *f, const void *bytes, size_t n)
{
    fwrite(bytes, 1, n, f);
}

static void put_string(FILE *f, const char *s, size_t n)
{
    uint64_t length = n;
    put(f, &length, sizeof length);
    put(f, s, n);
}

static void put_key(struct gguf_keys *k, const char *key, enum gguf_kind kind)
{
    uint32_t number = (uint32_t)kind;
    put_string(k->f, key, strlen(key));
    put(k->f, &number, sizeof number);
    k->n++;
}

static void put_text(struct gguf_keys *k, const char *key, const char *value)
{
    put_key(k, key, GGUF_STRING);
    put_string(k->f, value, strlen(value));
}

static void put_flag(struct gguf_keys *k, const char *key, bool value)
{
    uint8_t byte = value;
    put_key(k, key, GGUF_BOOL);
    put(k->f, &byte, 1);
}

static void put_count(struct gguf_keys *k, const char *prefix, const char *key, int64_t value)
{
    char name[96];
    uint32_t number = (uint32_t)value;
    snprintf(name, sizeof name, "%s.%s", prefix, key);
    put_key(k, name, GGUF_U32);
    put(k->f, &number, sizeof number);
}

static void put_number(struct gguf_keys *k, const char *prefix, const char *key, double value)
{
    char name[96];
    float number = (float)value;
    snprintf(name, sizeof name, "%s.%s", prefix, key);
    put_key(k, name, GGUF_F32);
    put(k->f, &number, sizeof number);
}

/* ---- values of another file ---- */

static size_t value_bytes(const struct gguf_value *v)
{
    static const uint8_t bytes[GGUF_KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    struct gguf_walk w = {0};
    struct gguf_string s;
    if (v->element != GGUF_STRING)
        return (size_t)v->count * bytes[v->element];
    while (gguf_next(v, &w, &s))
        ;
    return v->count ? (size_t)(w.at - v->data) : 0;
}

static void copy_value(struct gguf_keys *k, const struct gguf_value *v)
{
    uint32_t kind = (uint32_t)v->kind, element = (uint32_t)v->element;
    put_string(k->f, v->key.bytes, v->key.n);
    put(k->f, &kind, sizeof kind);
    if (v->kind == GGUF_ARRAY) {
        put(k->f, &element, sizeof element);
        put(k->f, &v->count, sizeof v->count);
    }
    put(k->f, v->data, value_bytes(v));
    k->n++;
}

static bool begins(struct gguf_string s, const char *with)
{
    size_t n = strlen(with);
    return s.n >= n && memcmp(s.bytes, with, n) == 0;
}

/* What the types decide is written anew; data is aligned as it is here. */
static void copy_all(struct gguf_keys *k, const struct gguf *source)
{
    for (size_t i = 0; i < source->n_values; i++) {
        const struct gguf_value *v = &source->value[i];
        if (!gguf_equal(v->key, "general.file_type") && !gguf_equal(v->key, "general.quantization_version") &&
            !gguf_equal(v->key, "general.alignment"))
            copy_value(k, v);
    }
}

/* ---- a model's own ---- */

/* The tokens of the catalog's vocabulary, or "no_vocab". */
static int put_vocabulary(struct gguf_keys *k, const struct model_spec *m, bool *there, struct error *e)
{
    char path[PATH_MAX];
    struct gguf g;
    *there = false;
    if (m->vocabulary[0]) {
        if (catalog_find(CATALOG_VOCABULARIES, m->vocabulary, path, sizeof path, e) || gguf_open(path, &g, e))
            return -1;
        const struct gguf_value *tokens = gguf_find(&g, "tokenizer.ggml.tokens");
        *there = tokens && tokens->count == (uint64_t)m->vocab;
        for (size_t i = 0; *there && i < g.n_values; i++)
            if (begins(g.value[i].key, "tokenizer."))
                copy_value(k, &g.value[i]);
        gguf_close(&g);
    }
    if (!*there)
        put_text(k, "tokenizer.ggml.model", "no_vocab");
    return 0;
}

static void put_attention(struct gguf_keys *k, const struct model_spec *m, const char *arch)
{
    bool bert = m->family == MODEL_BERT;
    put_count(k, arch, "feed_forward_length", m->ffn);
    put_count(k, arch, "attention.head_count", m->heads);
    put_count(k, arch, "attention.head_count_kv", m->kv_heads);
    if (m->head_dim * m->heads != m->d_model) {
        put_count(k, arch, "attention.key_length", m->head_dim);
        put_count(k, arch, "attention.value_length", m->head_dim);
    }
    if (m->rotary_dims > 0) {
        put_count(k, arch, "rope.dimension_count", m->rotary_dims);
        put_number(k, arch, "rope.freq_base", m->rope_theta);
    }
    if (m->rope_scaling.factor > 0 && m->rope_scaling.original == 0) {
        char name[96];
        snprintf(name, sizeof name, "%s.rope.scaling.type", arch);
        put_text(k, name, "linear");
        put_number(k, arch, "rope.scaling.factor", m->rope_scaling.factor);
    }
    if (m->window > 0)
        put_count(k, arch, "attention.sliding_window", m->window);
    if (bert) {
        put_flag(k, "bert.attention.causal", false);
        put_count(k, arch, "pooling_type", m->mlm_head ? 0 : 4); /* none; rank: the pooler's */
        put_count(k, "tokenizer.ggml", "token_type_count", m->token_types);
    }
}

static int put_dimensions(struct gguf_keys *k, const struct model_spec *m, bool *vocabulary, struct error *e)
{
    const char *arch = gguf_model_architecture(m->family);
    bool rms = m->family == MODEL_LLAMA || m->family == MODEL_MAMBA;
    put_count(k, arch, "vocab_size", m->vocab);
    put_count(k, arch, "context_length", m->context > 0 ? m->context : 1 << 20);
    put_count(k, arch, "embedding_length", m->d_model);
    put_count(k, arch, "block_count", m->layers);
    put_number(k, arch, rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
               m->norm_eps);
    if (m->family == MODEL_MAMBA) {
        put_count(k, arch, "feed_forward_length", 0);
        put_count(k, arch, "attention.head_count", 0);
        put_count(k, arch, "ssm.conv_kernel", m->mamba.conv);
        put_count(k, arch, "ssm.inner_size", m->mamba.inner);
        put_count(k, arch, "ssm.state_size", m->mamba.state);
        put_count(k, arch, "ssm.time_step_rank", m->mamba.dt_rank);
    } else {
        put_attention(k, m, arch);
    }
    return put_vocabulary(k, m, vocabulary, e);
}

static void put_types(struct gguf_keys *k, const struct model_spec *m, const struct weights_request *q)
{
    enum precision_kind like = weights_like(m, q->precision);
    for (size_t i = 0; i < sizeof file_types / sizeof *file_types; i++)
        if (file_types[i].precision == like)
            put_count(k, "general", "file_type", file_types[i].number);
    if (kernel_is_blocks(weights_dtype(like)))
        put_count(k, "general", "quantization_version", 2);
}

int gguf_keys_begin(struct gguf_keys *k, struct error *e)
{
    *k = (struct gguf_keys){0};
    k->f = open_memstream(&k->bytes, &k->size);
    return k->f ? 0 : error_set(e, ERROR_MEMORY, "no memory for the keys of a file: close other programs");
}

int gguf_keys_write(struct gguf_keys *k, const struct model_spec *m, const struct weights_request *q,
                    const struct gguf *source, bool *vocabulary, struct error *e)
{
    char text[256];
    if (source) {
        copy_all(k, source);
        *vocabulary = gguf_find(source, "tokenizer.ggml.tokens") != NULL;
    } else {
        put_text(k, "general.architecture", gguf_model_architecture(m->family));
        put_text(k, "general.name", m->title);
        snprintf(text, sizeof text,
                 "random weights, seed %llu, written by benchtop %s: the shape of %s, not what it knows",
                 (unsigned long long)q->seed, version_get()->version, m->name);
        put_text(k, "general.description", text);
        put_text(k, GGUF_MODEL_WEIGHTS, GGUF_MODEL_RANDOM);
        put_key(k, "benchtop.seed", GGUF_U64);
        put(k->f, &q->seed, sizeof q->seed);
        if (put_dimensions(k, m, vocabulary, e))
            return -1;
    }
    put_types(k, m, q);
    if (fflush(k->f) != 0 || ferror(k->f))
        return error_set(e, ERROR_MEMORY, "no memory for the keys of a file: close other programs");
    return 0;
}

void gguf_keys_head(const struct gguf_keys *k, FILE *out, int tensors)
{
    uint32_t version = 3;
    uint64_t n = (uint64_t)tensors;
    put(out, "GGUF", 4);
    put(out, &version, sizeof version);
    put(out, &n, sizeof n);
    put(out, &k->n, sizeof k->n);
    put(out, k->bytes, k->size);
}

void gguf_keys_tensor(FILE *out, const char *name, int n_dims, int64_t cols, int64_t rows, uint32_t type,
                      uint64_t offset)
{
    uint32_t dims = (uint32_t)n_dims;
    uint64_t dim[2] = {(uint64_t)cols, (uint64_t)rows};
    put_string(out, name, strlen(name));
    put(out, &dims, sizeof dims);
    put(out, dim, sizeof dim[0] * (size_t)n_dims);
    put(out, &type, sizeof type);
    put(out, &offset, sizeof offset);
}

void gguf_keys_end(struct gguf_keys *k)
{
    if (k->f)
        fclose(k->f);
    free(k->bytes);
    *k = (struct gguf_keys){0};
}
