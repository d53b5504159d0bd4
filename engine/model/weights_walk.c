/* The walk over a model's arrays in a fixed order: their shapes, types and laws, family by family. It makes
 * nothing: each array is handed to a visitor. */
#include "engine/model/weights_internal.h"

#include "kernels/generator.h"
#include <math.h>

struct weights_layout weights_layout_of(const struct weights_array *t)
{
    size_t part[3];
    kernel_matrix_parts(t->dtype, t->rows, t->cols, part);
    struct weights_layout l = {.has_scales = part[1] > 0, .has_codes = part[2] > 0};
    l.scales = (part[0] + 63) / 64 * 64;
    l.codes = l.scales + (part[1] + 63) / 64 * 64;
    l.bytes = part[2] ? l.codes + part[2] : part[1] ? l.scales + part[1] : part[0];
    return l;
}

struct kernel_matrix weights_matrix_at(const struct weights_array *t, void *data)
{
    struct weights_layout l = weights_layout_of(t);
    struct kernel_matrix m = {.dtype = t->dtype, .rows = t->rows, .cols = t->cols, .data = data};
    if (l.has_scales)
        m.scales = (float *)(void *)((char *)data + l.scales);
    if (l.has_codes)
        m.codes = (uint8_t *)data + l.codes;
    return m;
}

enum kernel_dtype weights_small_dtype(enum kernel_dtype others)
{
    return kernel_is_blocks(others) ? KERNEL_FP16 : others;
}

/* What a model's products and embeddings are stored in, and how they are drawn. */
static struct weights_array matrix_of(const struct weights_walk *k, enum model_array a, int64_t rows,
                                      int64_t cols, double amplitude)
{
    enum kernel_dtype t = weights_dtype(k->w->precision);
    bool small = a == MODEL_SSM_X || a == MODEL_SSM_DT;
    return (struct weights_array){.dtype = small ? weights_small_dtype(t) : t,
                                  .rows = rows,
                                  .cols = cols,
                                  .law = KERNEL_UNIFORM,
                                  .amplitude = (float)amplitude,
                                  .parts = 1,
                                  .part = {a},
                                  .product = true};
}

static int visit_matrix(struct weights_walk *k, struct kernel_matrix *to, struct weights_array t)
{
    t.matrix = to;
    t.id = k->id++;
    if (k->file)
        t.dtype = weights_file_dtype(k->file, &t, t.dtype);
    return k->visit(k, &t);
}

static int matrix(struct weights_walk *k, int layer, struct kernel_matrix *to, enum model_array a,
                  int64_t rows, int64_t cols, double amplitude)
{
    struct weights_array t = matrix_of(k, a, rows, cols, amplitude);
    t.layer = layer;
    return visit_matrix(k, to, t);
}

/* n matrices of the same inputs as one, where their types allow. */
static int joined(struct weights_walk *k, int layer, struct kernel_matrix *whole, struct kernel_matrix *part,
                  int n, const enum model_array *a, const int64_t *rows, int64_t cols, double amplitude)
{
    struct weights_array t = matrix_of(k, a[0], 0, cols, amplitude);
    t.layer = layer;
    t.parts = n;
    for (int i = 0; i < n; i++) {
        t.part[i] = a[i];
        t.rows += rows[i];
    }
    bool apart = k->file ? weights_file_apart(k->file, &t) : !whole->data && part[0].data;
    if (!apart)
        return visit_matrix(k, whole, t);
    for (int i = 0; i < n; i++)
        if (matrix(k, layer, &part[i], a[i], rows[i], cols, amplitude))
            return -1;
    return 0;
}

/* Rows that are added to others: learned positions and token types, never less than 16 bits. */
static int added_rows(struct weights_walk *k, struct kernel_matrix *to, enum model_array a, int64_t rows,
                      int64_t cols, double amplitude)
{
    struct weights_array t = matrix_of(k, a, rows, cols, amplitude);
    t.dtype = t.dtype == KERNEL_FP32 || t.dtype == KERNEL_BF16 ? t.dtype : KERNEL_FP16;
    t.product = false;
    t.matrix = to;
    t.id = k->id++;
    if (k->file)
        t.dtype = weights_file_dtype(k->file, &t, t.dtype);
    if (kernel_is_blocks(t.dtype))
        t.dtype = KERNEL_FP32;
    return k->visit(k, &t);
}

static int vectors(struct weights_walk *k, int layer, const float **to, const enum model_array *a, int parts,
                   int64_t n, enum kernel_weight_law law, double amplitude)
{
    struct weights_array t = {.vector = to,
                              .dtype = KERNEL_FP32,
                              .rows = 1,
                              .cols = n,
                              .id = k->id++,
                              .law = law,
                              .amplitude = (float)amplitude,
                              .layer = layer,
                              .parts = parts};
    for (int i = 0; i < parts; i++)
        t.part[i] = a[i];
    return k->visit(k, &t);
}

static int vector(struct weights_walk *k, int layer, const float **to, enum model_array a, int64_t n,
                  enum kernel_weight_law law, double amplitude)
{
    return vectors(k, layer, to, &a, 1, n, law, amplitude);
}

static int bias(struct weights_walk *k, int layer, const float **to, enum model_array a, int64_t n)
{
    return vector(k, layer, to, a, n, KERNEL_UNIFORM, 0.02);
}

/* a: its weight; the bias follows in the list of arrays. */
static int norm(struct weights_walk *k, int layer, struct kernel_norm *to, enum model_array a)
{
    const struct model_spec *m = &k->w->model;
    bool rms = m->family == MODEL_LLAMA || m->family == MODEL_MAMBA;
    to->kind = rms ? KERNEL_RMS_NORM : KERNEL_LAYER_NORM;
    to->eps = (float)m->norm_eps;
    to->width = m->d_model;
    if (vector(k, layer, &to->weight, a, m->d_model, KERNEL_CONSTANT, 1))
        return -1;
    return rms ? 0 : bias(k, layer, &to->bias, a == MODEL_NO_ARRAY ? a : a + 1, m->d_model);
}

/* a of state n is -(n + 1) in every channel: A_log = log(1 .. N). */
static void fill_decays(float *a, int64_t states, int64_t inner, uint64_t key)
{
    (void)key;
    for (int64_t n = 0; n < states; n++)
        for (int64_t e = 0; e < inner; e++)
            a[n * inner + e] = (float)-(n + 1);
}

/* softplus(bias) log-uniform in [0.001, 0.1]: bias = dt + log(1 - exp(-dt)). */
static void fill_step_biases(float *bias, int64_t rows, int64_t cols, uint64_t key)
{
    for (int64_t i = 0; i < rows * cols; i++) {
        double dt = 0.01 * pow(10, (double)generator_value(key, (uint32_t)i, 1));
        bias[i] = (float)(dt + log(-expm1(-dt)));
    }
}

static int filled(struct weights_walk *k, int layer, const float **to, enum model_array a, int64_t rows,
                  int64_t cols, void (*fill)(float *, int64_t, int64_t, uint64_t))
{
    struct weights_array t = {.vector = to,
                              .dtype = KERNEL_FP32,
                              .rows = rows,
                              .cols = cols,
                              .id = k->id++,
                              .law = KERNEL_CONSTANT,
                              .fill = fill,
                              .layer = layer,
                              .parts = 1,
                              .part = {a}};
    return k->visit(k, &t);
}

/* A unit input stays one through projection and convolution; SiLU leaves 0.36 of its square, with which the
 * selecting projection and, by gate and skip, the output's (0.36 * 0.37) count. */
static int walk_mamba_layer(struct weights_walk *k, struct weights_layer *l, int i)
{
    const struct model_spec *m = &k->w->model;
    int64_t d = m->d_model, inner = m->mamba.inner, rank = m->mamba.dt_rank, taps = m->mamba.conv;
    double unit_inner = sqrt(3.0 / (double)inner);
    return norm(k, i, &l->norm1, MODEL_NORM1) ||
                   matrix(k, i, &l->in, MODEL_SSM_IN, 2 * inner, d, sqrt(3.0 / (double)d)) ||
                   vector(k, i, &l->conv, MODEL_SSM_CONV, taps * inner, KERNEL_UNIFORM,
                          sqrt(3.0 / (double)taps)) ||
                   bias(k, i, &l->conv_bias, MODEL_SSM_CONV_BIAS, inner) ||
                   matrix(k, i, &l->select, MODEL_SSM_X, rank + 2 * (int64_t)m->mamba.state, inner,
                          unit_inner / 0.6) ||
                   matrix(k, i, &l->dt, MODEL_SSM_DT, inner, rank, 1 / sqrt((double)rank)) ||
                   filled(k, i, &l->dt_bias, MODEL_SSM_DT_BIAS, 1, inner, fill_step_biases) ||
                   filled(k, i, &l->a, MODEL_SSM_A, m->mamba.state, inner, fill_decays) ||
                   vector(k, i, &l->skip, MODEL_SSM_D, inner, KERNEL_CONSTANT, 1) ||
                   matrix(k, i, &l->out, MODEL_SSM_OUT, d, inner, unit_inner / 0.36 / sqrt(m->layers))
               ? -1
               : 0;
}

static int walk_layer(struct weights_walk *k, struct weights_layer *l, int i)
{
    static const enum model_array in[] = {MODEL_Q, MODEL_K, MODEL_V},
                                  in_bias[] = {MODEL_Q_BIAS, MODEL_K_BIAS, MODEL_V_BIAS},
                                  gate_up[] = {MODEL_GATE, MODEL_UP};
    const struct model_spec *m = &k->w->model;
    if (m->family == MODEL_MAMBA)
        return walk_mamba_layer(k, l, i);
    int64_t d = m->d_model, f = m->ffn, q = (int64_t)m->heads * m->head_dim;
    int64_t kv = (int64_t)m->kv_heads * m->head_dim;
    bool llama = m->family == MODEL_LLAMA;
    double unit_d = sqrt(3.0 / (double)d), depth = sqrt(2.0 * m->layers);
    if (norm(k, i, &l->norm1, MODEL_NORM1) ||
        (m->family != MODEL_PHI2 && norm(k, i, &l->norm2, MODEL_NORM2)) ||
        joined(k, i, &l->qkv, l->part, 3, in, (const int64_t[]){q, kv, kv}, d, unit_d) ||
        matrix(k, i, &l->out, MODEL_OUT, d, q, sqrt(3.0 / (double)q) / depth) ||
        (llama ? joined(k, i, &l->up, l->half, 2, gate_up, (const int64_t[]){f, f}, d, unit_d)
               : matrix(k, i, &l->up, MODEL_UP, f, d, unit_d)) ||
        matrix(k, i, &l->down, MODEL_DOWN, d, f, sqrt(3.0 / (double)f) / depth))
        return -1;
    if (llama)
        return 0;
    return vectors(k, i, &l->qkv_bias, in_bias, 3, q + 2 * kv, KERNEL_UNIFORM, 0.02) ||
                   bias(k, i, &l->out_bias, MODEL_OUT_BIAS, d) || bias(k, i, &l->up_bias, MODEL_UP_BIAS, f) ||
                   bias(k, i, &l->down_bias, MODEL_DOWN_BIAS, d)
               ? -1
               : 0;
}

/* Bert's end: the masked-language transform, or the pooler, or in a file nothing at all. */
static int walk_bert_head(struct weights_walk *k)
{
    struct weights *w = k->w;
    const struct model_spec *m = &w->model;
    int64_t d = m->d_model;
    if ((m->token_types > 0 &&
         added_rows(k, &w->types, MODEL_TYPES, m->token_types, d, sqrt(3.0 / (double)d))) ||
        norm(k, 0, &w->embedding_norm, MODEL_EMBEDDING_NORM))
        return -1;
    if (m->headless)
        return 0;
    if (matrix(k, 0, &w->transform, m->mlm_head ? MODEL_NO_ARRAY : MODEL_POOLER, d, d,
               sqrt(3.0 / (double)d)) ||
        bias(k, 0, &w->transform_bias, m->mlm_head ? MODEL_NO_ARRAY : MODEL_POOLER_BIAS, d))
        return -1;
    if (!m->mlm_head)
        return 0;
    return norm(k, 0, &w->transform_norm, MODEL_NO_ARRAY) ||
                   (!m->tied && matrix(k, 0, &w->head, MODEL_NO_ARRAY, m->vocab, d, sqrt(3.0 / (double)d))) ||
                   bias(k, 0, &w->head_bias, MODEL_NO_ARRAY, m->vocab)
               ? -1
               : 0;
}

int weights_walk_all(struct weights_walk *k, bool one_layer)
{
    struct weights *w = k->w;
    const struct model_spec *m = &w->model;
    int64_t d = m->d_model;
    double unit = sqrt(3.0 / (double)d);
    if (matrix(k, 0, &w->embedding, MODEL_EMBEDDING, m->vocab, d, unit))
        return -1;
    bool learned = m->rotary_dims == 0 && m->family != MODEL_MAMBA;
    if (learned && added_rows(k, &w->positions, MODEL_POSITIONS, m->context, d, unit))
        return -1;
    for (int i = 0; i < m->layers; i++)
        if (walk_layer(k, &w->layer[one_layer ? 0 : i], i))
            return -1;
    if (m->family == MODEL_BERT)
        return walk_bert_head(k);
    if (norm(k, 0, &w->final_norm, MODEL_FINAL_NORM))
        return -1;
    if (!m->tied && matrix(k, 0, &w->head, MODEL_HEAD, m->vocab, d, unit))
        return -1;
    return m->head_bias ? bias(k, 0, &w->head_bias, MODEL_HEAD_BIAS, m->vocab) : 0;
}
