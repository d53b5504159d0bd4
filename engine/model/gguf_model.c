#include "engine/model/gguf_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum {
    LLAMA = 1 << MODEL_LLAMA,
    GPT2 = 1 << MODEL_GPT2,
    PHI2 = 1 << MODEL_PHI2,
    BERT = 1 << MODEL_BERT,
    MAMBA = 1 << MODEL_MAMBA,
    ALL = LLAMA | GPT2 | PHI2 | BERT | MAMBA,
    BIASED = GPT2 | PHI2 | BERT
};

static const char *const architectures[] = {
    [MODEL_LLAMA] = "llama", [MODEL_GPT2] = "gpt2",   [MODEL_PHI2] = "phi2",
    [MODEL_BERT] = "bert",   [MODEL_MAMBA] = "mamba",
};

static const struct {
    enum model_array array;
    unsigned families;
    const char *name;
} names[] = {
    {MODEL_EMBEDDING, ALL, "token_embd.weight"},
    {MODEL_POSITIONS, GPT2 | BERT, "position_embd.weight"},
    {MODEL_TYPES, BERT, "token_types.weight"},
    {MODEL_EMBEDDING_NORM, BERT, "token_embd_norm.weight"},
    {MODEL_EMBEDDING_NORM_BIAS, BERT, "token_embd_norm.bias"},
    {MODEL_FINAL_NORM, ALL & ~BERT, "output_norm.weight"},
    {MODEL_FINAL_NORM_BIAS, GPT2 | PHI2, "output_norm.bias"},
    {MODEL_HEAD, ALL & ~BERT, "output.weight"},
    {MODEL_HEAD_BIAS, PHI2, "output.bias"},
    {MODEL_POOLER, BERT, "cls.weight"},
    {MODEL_POOLER_BIAS, BERT, "cls.bias"},
    {MODEL_ROPE_FACTORS, LLAMA, "rope_freqs.weight"},
    {MODEL_NORM1, ALL & ~BERT, "blk.%d.attn_norm.weight"},
    {MODEL_NORM1, BERT, "blk.%d.attn_output_norm.weight"},
    {MODEL_NORM1_BIAS, GPT2 | PHI2, "blk.%d.attn_norm.bias"},
    {MODEL_NORM1_BIAS, BERT, "blk.%d.attn_output_norm.bias"},
    {MODEL_NORM2, LLAMA | GPT2, "blk.%d.ffn_norm.weight"},
    {MODEL_NORM2, BERT, "blk.%d.layer_output_norm.weight"},
    {MODEL_NORM2_BIAS, GPT2, "blk.%d.ffn_norm.bias"},
    {MODEL_NORM2_BIAS, BERT, "blk.%d.layer_output_norm.bias"},
    {MODEL_Q, ALL & ~MAMBA, "blk.%d.attn_q.weight"},
    {MODEL_K, ALL & ~MAMBA, "blk.%d.attn_k.weight"},
    {MODEL_V, ALL & ~MAMBA, "blk.%d.attn_v.weight"},
    {MODEL_Q_BIAS, BIASED, "blk.%d.attn_q.bias"},
    {MODEL_K_BIAS, BIASED, "blk.%d.attn_k.bias"},
    {MODEL_V_BIAS, BIASED, "blk.%d.attn_v.bias"},
    {MODEL_OUT, ALL & ~MAMBA, "blk.%d.attn_output.weight"},
    {MODEL_OUT_BIAS, BIASED, "blk.%d.attn_output.bias"},
    {MODEL_GATE, LLAMA, "blk.%d.ffn_gate.weight"},
    {MODEL_UP, ALL & ~MAMBA, "blk.%d.ffn_up.weight"},
    {MODEL_UP_BIAS, BIASED, "blk.%d.ffn_up.bias"},
    {MODEL_DOWN, ALL & ~MAMBA, "blk.%d.ffn_down.weight"},
    {MODEL_DOWN_BIAS, BIASED, "blk.%d.ffn_down.bias"},
    {MODEL_SSM_IN, MAMBA, "blk.%d.ssm_in.weight"},
    {MODEL_SSM_CONV, MAMBA, "blk.%d.ssm_conv1d.weight"},
    {MODEL_SSM_CONV_BIAS, MAMBA, "blk.%d.ssm_conv1d.bias"},
    {MODEL_SSM_X, MAMBA, "blk.%d.ssm_x.weight"},
    {MODEL_SSM_DT, MAMBA, "blk.%d.ssm_dt.weight"},
    {MODEL_SSM_DT_BIAS, MAMBA, "blk.%d.ssm_dt.bias"},
    {MODEL_SSM_A, MAMBA, "blk.%d.ssm_a"},
    {MODEL_SSM_D, MAMBA, "blk.%d.ssm_d"},
    {MODEL_SSM_OUT, MAMBA, "blk.%d.ssm_out.weight"},
};
static const char fused_weight[] = "blk.%d.attn_qkv.weight", fused_bias[] = "blk.%d.attn_qkv.bias";

static const struct {
    uint32_t id;
    enum kernel_dtype dtype;
} computed[] = {{0, KERNEL_FP32}, {1, KERNEL_FP16},  {30, KERNEL_BF16}, {8, KERNEL_Q8_0},
                {2, KERNEL_Q4_0}, {12, KERNEL_Q4_K}, {14, KERNEL_Q6_K}};

const char *gguf_model_architecture(enum model_family family)
{
    return architectures[family];
}

bool gguf_model_dtype(const struct gguf_type *type, enum kernel_dtype *out)
{
    for (size_t i = 0; i < COUNT(computed); i++)
        if (computed[i].id == type->id) {
            *out = computed[i].dtype;
            return true;
        }
    return false;
}

const struct gguf_type *gguf_model_type(enum kernel_dtype dtype)
{
    for (size_t i = 0; i < COUNT(computed); i++)
        if (computed[i].dtype == dtype)
            return gguf_type_of(computed[i].id);
    return NULL;
}

/* ---- arrays ---- */

static const char *name_of(const struct model_spec *m, enum model_array a)
{
    for (size_t i = 0; i < COUNT(names); i++)
        if (names[i].array == a && names[i].families & 1u << m->family)
            return names[i].name;
    return NULL;
}

bool gguf_model_has(const struct model_spec *m, enum model_array a)
{
    bool pooled = m->family == MODEL_BERT && !m->mlm_head && !m->headless;
    if (a == MODEL_HEAD && m->tied)
        return false;
    if (a == MODEL_HEAD_BIAS)
        return m->head_bias && name_of(m, a);
    if (a == MODEL_POOLER || a == MODEL_POOLER_BIAS)
        return pooled;
    if (a == MODEL_TYPES)
        return m->token_types > 0;
    return a != MODEL_ROPE_FACTORS && a != MODEL_NO_ARRAY && name_of(m, a) != NULL;
}

void gguf_model_shape(const struct model_spec *m, enum model_array a, int64_t *rows, int64_t *cols)
{
    int64_t d = m->d_model, q = (int64_t)m->heads * m->head_dim, kv = (int64_t)m->kv_heads * m->head_dim;
    int64_t inner = m->mamba.inner, r = m->mamba.dt_rank, n = m->mamba.state;
    const int64_t shapes[MODEL_ARRAYS][2] = {
        [MODEL_EMBEDDING] = {m->vocab, d},
        [MODEL_POSITIONS] = {m->context, d},
        [MODEL_TYPES] = {m->token_types, d},
        [MODEL_HEAD] = {m->vocab, d},
        [MODEL_HEAD_BIAS] = {1, m->vocab},
        [MODEL_POOLER] = {d, d},
        [MODEL_ROPE_FACTORS] = {1, m->rotary_dims / 2},
        [MODEL_Q] = {q, d},
        [MODEL_K] = {kv, d},
        [MODEL_V] = {kv, d},
        [MODEL_Q_BIAS] = {1, q},
        [MODEL_K_BIAS] = {1, kv},
        [MODEL_V_BIAS] = {1, kv},
        [MODEL_OUT] = {d, q},
        [MODEL_GATE] = {m->ffn, d},
        [MODEL_UP] = {m->ffn, d},
        [MODEL_UP_BIAS] = {1, m->ffn},
        [MODEL_DOWN] = {d, m->ffn},
        [MODEL_SSM_IN] = {2 * inner, d},
        [MODEL_SSM_CONV] = {inner, m->mamba.conv},
        [MODEL_SSM_CONV_BIAS] = {1, inner},
        [MODEL_SSM_X] = {r + 2 * n, inner},
        [MODEL_SSM_DT] = {inner, r},
        [MODEL_SSM_DT_BIAS] = {1, inner},
        [MODEL_SSM_A] = {inner, n},
        [MODEL_SSM_D] = {1, inner},
        [MODEL_SSM_OUT] = {d, inner},
    };
    *rows = shapes[a][0] ? shapes[a][0] : 1; /* norms, and biases of the hidden state's width */
    *cols = shapes[a][0] ? shapes[a][1] : d;
}

/* q, k, v (or their biases) where they stand in one tensor: how many rows before this one, of how many. */
static bool fused_place(const struct model_spec *m, enum model_array a, int64_t *before, int64_t *all)
{
    int64_t q = (int64_t)m->heads * m->head_dim, kv = (int64_t)m->kv_heads * m->head_dim;
    *all = q + 2 * kv;
    *before = a == MODEL_Q || a == MODEL_Q_BIAS ? 0 : a == MODEL_K || a == MODEL_K_BIAS ? q : q + kv;
    return m->family != MODEL_LLAMA && a >= MODEL_Q && a <= MODEL_V_BIAS;
}

static void layer_name(const char *format, int layer, char out[GGUF_NAME])
{
    const char *mark = strstr(format, "%d");
    if (mark)
        snprintf(out, GGUF_NAME, "%.*s%d%s", (int)(mark - format), format, layer, mark + 2);
    else
        snprintf(out, GGUF_NAME, "%s", format);
}

bool gguf_model_name(const struct model_spec *m, enum model_array a, int layer, char out[GGUF_NAME])
{
    const char *format = name_of(m, a);
    if (format)
        layer_name(format, layer, out);
    return format != NULL;
}

bool gguf_model_fused_name(const struct model_spec *m, enum model_array a, int layer, char out[GGUF_NAME])
{
    bool fuses = m->family == MODEL_GPT2 || m->family == MODEL_PHI2;
    if (fuses)
        layer_name(a == MODEL_Q ? fused_weight : fused_bias, layer, out);
    return fuses;
}

int64_t gguf_model_file_row(const struct gguf_slice *s, int64_t row)
{
    if (s->rotated == 0)
        return row;
    int64_t head = row / s->head_dim * s->head_dim, i = row - head, half = s->rotated / 2;
    if (i >= s->rotated)
        return row;
    return head + (i < half ? 2 * i : 2 * (i - half) + 1);
}

static int wrong_shape(const struct gguf *g, const struct gguf_tensor *t, int64_t rows, int64_t cols,
                       struct error *e)
{
    (void)g;
    return error_set(e, ERROR_FAILED,
                     "tensor %.*s is %" PRIu64 " x %" PRIu64 ", its file's dimensions need %lld x %lld: the "
                     "file does not hold the model it says, get it again",
                     (int)t->name.n, t->name.bytes, t->dim[0], t->dim[1], (long long)cols, (long long)rows);
}

int gguf_model_slice(const struct gguf *g, const struct model_spec *m, enum model_array a, int layer,
                     struct gguf_slice *out, struct error *e)
{
    char name[GGUF_NAME], other[GGUF_NAME];
    int64_t rows, cols, before = 0, all = 0;
    layer_name(name_of(m, a), layer, name);
    gguf_model_shape(m, a, &rows, &cols);
    struct gguf_slice s = {.tensor = gguf_tensor(g, name), .rows = rows, .cols = cols};
    bool vector = a >= MODEL_Q_BIAS && a <= MODEL_V_BIAS;
    int64_t in_file = rows, width = cols;
    if (!s.tensor && fused_place(m, a, &before, &all)) {
        layer_name(vector ? fused_bias : fused_weight, layer, other);
        s.tensor = gguf_tensor(g, other);
        s.first = vector ? 0 : before;
        in_file = vector ? 1 : all;
        width = vector ? all : cols;
    }
    if (!s.tensor)
        return error_set(e, ERROR_FAILED,
                         "tensor %s is missing: the file does not hold the whole %s model, get it again",
                         name, architectures[m->family]);
    const struct gguf_tensor *t = s.tensor;
    if (t->dim[0] != (uint64_t)width || t->dim[1] != (uint64_t)in_file || t->dim[2] != 1 || t->dim[3] != 1)
        return wrong_shape(g, t, in_file, width, e);
    if (!gguf_model_dtype(t->type, &s.dtype))
        return error_set(
            e, ERROR_UNSUPPORTED,
            "tensor %.*s is of type %s, which is not computed here: convert the file to F32, F16, "
            "BF16, Q8_0, Q4_0, Q4_K or Q6_K",
            (int)t->name.n, t->name.bytes, t->type->name);
    if (vector && before > 0) /* part of a vector: whole tensors of blocks cannot be cut, fp32 can */
        s.first = before;
    if (m->family == MODEL_LLAMA && (a == MODEL_Q || a == MODEL_K)) {
        s.head_dim = m->head_dim;
        s.rotated = m->rotary_dims;
    }
    s.transposed = a == MODEL_SSM_CONV || a == MODEL_SSM_A;
    *out = s;
    return 0;
}

/* ---- dimensions ---- */

struct source {
    const struct gguf *g;
    const char *path, *architecture;
    struct error *e;
};

static void key_of(const struct source *s, const char *key, char out[96])
{
    snprintf(out, 96, "%s.%s", s->architecture, key);
}

/* A count in [low, high]; absent: `otherwise`, or an error where that is negative. */
static int count_of(const struct source *s, const char *key, int64_t low, int64_t high, int64_t otherwise,
                    int *out)
{
    char name[96];
    int64_t n = 0;
    key_of(s, key, name);
    const struct gguf_value *v = gguf_find(s->g, name);
    if (!v && otherwise < 0)
        return error_set(s->e, ERROR_FAILED,
                         "key %s is missing: the file holds no whole %s model, get it again", name,
                         s->architecture);
    if (!v) {
        *out = (int)otherwise;
        return 0;
    }
    bool known = v->kind != GGUF_ARRAY && gguf_int_at(v, 0, &n);
    for (uint64_t i = 0; v->kind == GGUF_ARRAY && i < v->count;
         i++) { /* one per layer: all the same, or none */
        int64_t other = 0;
        known = gguf_int_at(v, i, &other) && (i == 0 || other == n);
        if (!known)
            return error_set(s->e, ERROR_UNSUPPORTED,
                             "key %s differs from layer to layer, which is not computed here: take another "
                             "model",
                             name);
        n = other;
    }
    if (!known || n < low || n > high)
        return error_set(s->e, ERROR_FAILED,
                         "key %s is no whole number from %lld to %lld: the file is damaged, get it again",
                         name, (long long)low, (long long)high);
    *out = (int)n;
    return 0;
}

static int number_of(const struct source *s, const char *key, double low, double high, double otherwise,
                     double *out)
{
    char name[96];
    key_of(s, key, name);
    if (!gguf_find(s->g, name) && !isnan(otherwise)) {
        *out = otherwise;
        return 0;
    }
    if (!gguf_double(s->g, name, out) || !(*out >= low && *out <= high))
        return error_set(s->e, ERROR_FAILED,
                         "key %s is no number from %g to %g: the file is damaged, get it again", name, low,
                         high);
    return 0;
}

/* As llama.cpp: linear where no type is named, by a factor under its name or that of 2023; 0 is none. */
static int read_scaling(const struct source *s, struct model_spec *m)
{
    static const char *const factors[] = {"rope.scaling.factor", "rope.scale_linear"};
    char name[96];
    struct gguf_string type = {"linear", 6};
    double *factor = &m->rope_scaling.factor;
    key_of(s, "rope.scaling.type", name);
    gguf_text(s->g, name, &type);
    if (gguf_equal(type, "none"))
        return 0;
    if (!gguf_equal(type, "linear"))
        return error_set(
            s->e, ERROR_UNSUPPORTED,
            "rope scaling \"%.*s\" is not computed here: take a model with linear or llama 3's scaling",
            type.n < 32 ? (int)type.n : 32, type.bytes);
    key_of(s, factors[0], name);
    if (number_of(s, factors[gguf_find(s->g, name) == NULL], 0, 1e6, 1, factor))
        return -1;
    if (*factor > 0 && *factor < 1)
        return error_set(s->e, ERROR_UNSUPPORTED,
                         "a rope scaling factor of %g is not computed here: take a model whose factor is 1 "
                         "or more",
                         *factor);
    if (*factor <= 1)
        *factor = 0;
    return 0;
}

/* What would compute another model if it were left out. */
static int refuse_extras(const struct source *s)
{
    static const char *const counts[] = {"expert_count",        "attention.temperature_length",
                                         "attention.clamp_kqv", "logit_scale",
                                         "embedding_scale",     "residual_scale",
                                         "attention.scale"};
    for (size_t i = 0; i < COUNT(counts); i++) {
        char name[96];
        double value;
        key_of(s, counts[i], name);
        if (gguf_double(s->g, name, &value) && fabs(value) > 0)
            return error_set(s->e, ERROR_UNSUPPORTED,
                             "the file asks for %s, which is not computed here: take "
                             "another model",
                             name);
    }
    double magnitude;
    return number_of(s, "rope.scaling.attn_factor", 1, 1, 1, &magnitude) == 0
               ? 0
               : error_set(s->e, ERROR_UNSUPPORTED,
                           "the file asks for rope.scaling.attn_factor, which is not computed here: take "
                           "another model");
}

static int read_attention(const struct source *s, struct model_spec *m)
{
    int key = 0, value = 0;
    bool rotates = m->family == MODEL_LLAMA || m->family == MODEL_PHI2;
    if (count_of(s, "attention.head_count", 1, 1024, -1, &m->heads) ||
        count_of(s, "attention.head_count_kv", 1, 1024, m->heads, &m->kv_heads) ||
        count_of(s, "feed_forward_length", 1, 1 << 20, -1, &m->ffn) ||
        count_of(s, "attention.key_length", 1, 1024, m->d_model / m->heads, &key) ||
        count_of(s, "attention.value_length", 1, 1024, key, &value))
        return -1;
    if (key < 1 || key != value || m->heads % m->kv_heads != 0 ||
        (m->family != MODEL_LLAMA && m->kv_heads != m->heads))
        return error_set(
            s->e, ERROR_UNSUPPORTED,
            "%d heads of %d with %d key heads and values of %d are not computed here: take another "
            "model",
            m->heads, key, m->kv_heads, value);
    m->head_dim = key;
    if (!rotates)
        return 0;
    if (number_of(s, "rope.freq_base", 1, 1e12, 10000, &m->rope_theta) ||
        count_of(s, "rope.dimension_count", 2, m->head_dim, m->head_dim, &m->rotary_dims) ||
        count_of(s, "attention.sliding_window", 0, 1 << 24, 0, &m->window) || read_scaling(s, m))
        return -1;
    return m->rotary_dims % 2 == 0 ? 0
                                   : error_set(s->e, ERROR_FAILED,
                                               "key %s.rope.dimension_count is odd: the file is damaged, get "
                                               "it again",
                                               s->architecture);
}

static int read_mamba(const struct source *s, struct model_spec *m)
{
    return count_of(s, "ssm.inner_size", 1, 1 << 18, -1, &m->mamba.inner) ||
                   count_of(s, "ssm.time_step_rank", 1, 1 << 16, -1, &m->mamba.dt_rank) ||
                   count_of(s, "ssm.state_size", 1, 1024, -1, &m->mamba.state) ||
                   count_of(s, "ssm.conv_kernel", 2, 64, -1, &m->mamba.conv)
               ? -1
               : 0;
}

/* What the tensors alone tell: the vocabulary, which heads there are. */
static int read_heads(const struct source *s, struct model_spec *m)
{
    const struct gguf_tensor *embedding = gguf_tensor(s->g, "token_embd.weight");
    const struct gguf_tensor *types = gguf_tensor(s->g, "token_types.weight");
    if (!embedding)
        return error_set(s->e, ERROR_FAILED,
                         s->g->n_tensors == 0
                             ? "the file holds a vocabulary and no model: it can be tokenized with, not run"
                             : "tensor token_embd.weight is missing: the file does not hold the whole model, "
                               "get it again");
    if (embedding->dim[1] < 2 || embedding->dim[1] > 1 << 24)
        return error_set(s->e, ERROR_FAILED,
                         "tensor token_embd.weight has %" PRIu64 " rows: the file is damaged, get it again",
                         embedding->dim[1]);
    m->vocab = (int)embedding->dim[1];
    if (m->family == MODEL_BERT) {
        m->tied = true;
        m->headless = !gguf_tensor(s->g, "cls.weight");
        m->token_types = types && types->dim[1] <= 1024 ? (int)types->dim[1] : 0;
        return 0;
    }
    m->tied = !gguf_tensor(s->g, "output.weight");
    m->head_bias = name_of(m, MODEL_HEAD_BIAS) && gguf_tensor(s->g, "output.bias");
    return 0;
}

static int read_dimensions(const struct source *s, struct model_spec *m)
{
    bool rms = m->family == MODEL_LLAMA || m->family == MODEL_MAMBA;
    if (refuse_extras(s) || count_of(s, "block_count", 1, 1000, -1, &m->layers) ||
        count_of(s, "embedding_length", 1, 1 << 17, -1, &m->d_model) ||
        (m->family != MODEL_MAMBA && /* whose state holds any sequence */
         count_of(s, "context_length", 1, 1 << 24, -1, &m->context)) ||
        number_of(s, rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", 1e-15, 0.1,
                  (double)NAN, &m->norm_eps))
        return -1;
    return (m->family == MODEL_MAMBA ? read_mamba(s, m) : read_attention(s, m)) || read_heads(s, m) ? -1 : 0;
}

/* ---- the whole ---- */

/* Files name no model we have by the name of its architecture alone: every one of these words is checked. */
static int read_family(const struct source *s, struct model_spec *m)
{
    struct gguf_string name;
    if (!gguf_text(s->g, "general.architecture", &name))
        return error_set(s->e, ERROR_FAILED,
                         "key general.architecture is missing: the file holds no model, get it again");
    for (size_t i = 0; i < COUNT(architectures); i++)
        if (gguf_equal(name, architectures[i])) {
            m->family = (enum model_family)i;
            return 0;
        }
    return error_set(s->e, ERROR_UNSUPPORTED,
                     "architecture \"%.*s\" is not computed here: take a model of llama, gpt2, phi2, bert or "
                     "mamba",
                     name.n < 32 ? (int)name.n : 32, name.bytes);
}

/* Every array of the model is there; every tensor of the file is one of them. */
static int check_tensors(const struct gguf *g, const struct model_spec *m, struct error *e)
{
    bool *used = calloc(g->n_tensors + 1, sizeof *used);
    struct gguf_slice slice;
    int failed =
        used ? 0 : error_set(e, ERROR_MEMORY, "no memory for the names of tensors: close other programs");
    for (int a = 0; a < MODEL_ARRAYS && !failed; a++) {
        bool optional = a == MODEL_ROPE_FACTORS && m->family == MODEL_LLAMA &&
                        gguf_tensor(g, "rope_freqs.weight") != NULL;
        if (!optional && !gguf_model_has(m, (enum model_array)a))
            continue;
        for (int l = 0; l < (a < MODEL_NORM1 ? 1 : m->layers) && !failed; l++) {
            failed = gguf_model_slice(g, m, (enum model_array)a, l, &slice, e);
            if (!failed)
                used[slice.tensor - g->tensor] = true;
        }
    }
    for (size_t i = 0; i < g->n_tensors && !failed; i++)
        if (!used[i])
            failed =
                error_set(e, ERROR_UNSUPPORTED,
                          "tensor %.*s is none that a %s model has here: without it another model would be "
                          "computed, take a file without it",
                          (int)g->tensor[i].name.n, g->tensor[i].name.bytes, architectures[m->family]);
    free(used);
    return failed;
}

/* "dir/llama-7b.Q4_K.gguf" -> "llama-7b.Q4_K" */
static void name_file(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".gguf") == 0)
        n -= 5;
    snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), name);
    error_clean_text(out);
}

static void note_file(const struct gguf *g, const char *path, struct model_spec *m)
{
    struct gguf_string title, weights;
    struct stat s;
    name_file(path, m->name, sizeof m->name);
    snprintf(m->title, sizeof m->title, "%s", m->name);
    if (gguf_text(g, "general.name", &title) && title.n > 0) {
        snprintf(m->title, sizeof m->title, "%.*s", title.n < sizeof m->title ? (int)title.n : 95,
                 title.bytes);
        error_clean_text(m->title);
    }
    snprintf(m->file, sizeof m->file, "%s", path);
    m->seeded = gguf_text(g, GGUF_MODEL_WEIGHTS, &weights) && gguf_equal(weights, GGUF_MODEL_RANDOM);
    snprintf(m->source, sizeof m->source, m->seeded ? "a GGUF file of random weights" : "a GGUF file");
    m->stored.file_bytes = (int64_t)g->size;
    if (stat(path, &s) == 0)
        m->stored.changed_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
    for (size_t i = 0; i < g->n_tensors; i++)
        m->stored.parameters +=
            (int64_t)(g->tensor[i].dim[0] * g->tensor[i].dim[1] * g->tensor[i].dim[2] * g->tensor[i].dim[3]);
}

int gguf_model_spec(const struct gguf *g, const char *path, struct model_spec *out, struct error *e)
{
    struct model_spec m = {0};
    struct error why = {0};
    struct source s = {.g = g, .path = path, .e = &why};
    int failed = strlen(path) >= sizeof m.file
                     ? error_set(&why, ERROR_USAGE, "the path is too long: move the file")
                     : read_family(&s, &m);
    if (!failed) {
        s.architecture = architectures[m.family];
        failed = read_dimensions(&s, &m) || check_tensors(g, &m, &why);
    }
    if (failed)
        return error_set(e, why.kind, "%.300s: %s", path, why.text);
    note_file(g, path, &m);
    *out = m;
    return 0;
}
