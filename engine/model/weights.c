#include "engine/model/weights.h"

#include "engine/figure.h"
#include "engine/model/larosa.h"
#include "engine/model/vocabulary.h"
#include "engine/model/weights_adapt.h"
#include "kernels/generator.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One tensor on the walk through a model: a matrix, or a vector of fp32 when `vector` is set. */
struct tensor {
    struct kernel_matrix *matrix;
    const float **vector;
    enum kernel_dtype dtype;
    int64_t rows, cols;
    uint64_t id; /* of the generator's stream: stays the same for every precision */
    enum kernel_weight_law law;
    float amplitude;
    void (*fill)(float *values, int64_t rows, int64_t cols, uint64_t key); /* instead of a law: by the host */
};

struct walk {
    int (*visit)(struct walk *, const struct tensor *);
    struct weights *w;
    uint64_t id;
    int64_t bytes, total;
    int64_t rows; /* of an adapted vocabulary, while counting */
    void (*progress)(void *, const char *, double);
    bool (*cancelled)(void *);
    void *who;
    struct error *e;
};

enum kernel_dtype weights_dtype(enum precision_kind precision)
{
    switch (precision) {
    case PRECISION_FP16:
        return KERNEL_FP16;
    case PRECISION_BF16:
        return KERNEL_BF16;
    case PRECISION_INT8:
    case PRECISION_W8A8:
        return KERNEL_INT8;
    case PRECISION_NF4:
        return KERNEL_NF4;
    case PRECISION_NF4_DQ:
        return KERNEL_NF4_DQ;
    case PRECISION_Q8_0:
        return KERNEL_Q8_0;
    case PRECISION_Q4_0:
        return KERNEL_Q4_0;
    case PRECISION_Q4_K:
        return KERNEL_Q4_K;
    case PRECISION_Q6_K:
        return KERNEL_Q6_K;
    default:
        return KERNEL_FP32;
    }
}

enum kernel_dtype weights_activation(enum precision_kind precision)
{
    enum kernel_dtype t = weights_dtype(precision);
    return t == KERNEL_FP32 || t == KERNEL_FP16 ? t : KERNEL_BF16;
}

/* Data, scales and codes follow one another, each on a cache line of its own. */
struct layout {
    size_t scales, codes, bytes;
    bool has_scales, has_codes;
};

static struct layout layout_of(const struct tensor *t)
{
    size_t part[3];
    kernel_matrix_parts(t->dtype, t->rows, t->cols, part);
    struct layout l = {.has_scales = part[1] > 0, .has_codes = part[2] > 0};
    l.scales = (part[0] + 63) / 64 * 64;
    l.codes = l.scales + (part[1] + 63) / 64 * 64;
    l.bytes = part[2] ? l.codes + part[2] : part[1] ? l.scales + part[1] : part[0];
    return l;
}

static size_t tensor_bytes(const struct tensor *t)
{
    return layout_of(t).bytes;
}

static int matrix(struct walk *k, struct kernel_matrix *to, enum kernel_dtype dtype, int64_t rows,
                  int64_t cols, double amplitude)
{
    return k->visit(k,
                    &(struct tensor){to, NULL, dtype, rows, cols, k->id++, KERNEL_UNIFORM, (float)amplitude});
}

static int vector(struct walk *k, const float **to, int64_t n, enum kernel_weight_law law, double amplitude)
{
    return k->visit(k, &(struct tensor){NULL, to, KERNEL_FP32, 1, n, k->id++, law, (float)amplitude});
}

static int bias(struct walk *k, const float **to, int64_t n)
{
    return vector(k, to, n, KERNEL_UNIFORM, 0.02);
}

static int norm(struct walk *k, struct kernel_norm *to)
{
    const struct model_spec *m = &k->w->model;
    bool rms = m->family == MODEL_LLAMA || m->family == MODEL_MAMBA;
    to->kind = rms ? KERNEL_RMS_NORM : KERNEL_LAYER_NORM;
    to->eps = (float)m->norm_eps;
    to->width = m->d_model;
    if (vector(k, &to->weight, m->d_model, KERNEL_CONSTANT, 1))
        return -1;
    return rms ? 0 : bias(k, &to->bias, m->d_model);
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

static int filled(struct walk *k, const float **to, int64_t rows, int64_t cols,
                  void (*fill)(float *, int64_t, int64_t, uint64_t))
{
    return k->visit(k,
                    &(struct tensor){NULL, to, KERNEL_FP32, rows, cols, k->id++, KERNEL_CONSTANT, 0, fill});
}

/* A unit input stays one through projection and convolution; SiLU leaves 0.36 of its square, with which the
 * selecting projection and, by gate and skip, the output's (0.36 * 0.37) count. */
static int walk_mamba_layer(struct walk *k, struct weights_layer *l)
{
    const struct model_spec *m = &k->w->model;
    enum kernel_dtype t = weights_dtype(k->w->precision);
    int64_t d = m->d_model, inner = m->mamba.inner, rank = m->mamba.dt_rank, taps = m->mamba.conv;
    double unit_inner = sqrt(3.0 / (double)inner);
    return norm(k, &l->norm1) || matrix(k, &l->in, t, 2 * inner, d, sqrt(3.0 / (double)d)) ||
                   vector(k, &l->conv, taps * inner, KERNEL_UNIFORM, sqrt(3.0 / (double)taps)) ||
                   bias(k, &l->conv_bias, inner) ||
                   matrix(k, &l->select, t, rank + 2 * (int64_t)m->mamba.state, inner, unit_inner / 0.6) ||
                   matrix(k, &l->dt, t, inner, rank, 1 / sqrt((double)rank)) ||
                   filled(k, &l->dt_bias, 1, inner, fill_step_biases) ||
                   filled(k, &l->a, m->mamba.state, inner, fill_decays) ||
                   vector(k, &l->skip, inner, KERNEL_CONSTANT, 1) ||
                   matrix(k, &l->out, t, d, inner, unit_inner / 0.36 / sqrt(m->layers))
               ? -1
               : 0;
}

static int walk_layer(struct walk *k, struct weights_layer *l)
{
    const struct model_spec *m = &k->w->model;
    if (m->family == MODEL_MAMBA)
        return walk_mamba_layer(k, l);
    enum kernel_dtype t = weights_dtype(k->w->precision);
    int64_t d = m->d_model, f = m->ffn, q = (int64_t)m->heads * m->head_dim;
    int64_t qkv = q + 2 * (int64_t)m->kv_heads * m->head_dim;
    bool llama = m->family == MODEL_LLAMA;
    double unit_d = sqrt(3.0 / (double)d), depth = sqrt(2.0 * m->layers);
    if (norm(k, &l->norm1) || (m->family != MODEL_PHI2 && norm(k, &l->norm2)) ||
        matrix(k, &l->qkv, t, qkv, d, unit_d) || matrix(k, &l->out, t, d, q, sqrt(3.0 / (double)q) / depth) ||
        matrix(k, &l->up, t, llama ? 2 * f : f, d, unit_d) ||
        matrix(k, &l->down, t, d, f, sqrt(3.0 / (double)f) / depth))
        return -1;
    if (llama)
        return 0;
    return bias(k, &l->qkv_bias, qkv) || bias(k, &l->out_bias, d) || bias(k, &l->up_bias, f) ||
                   bias(k, &l->down_bias, d)
               ? -1
               : 0;
}

/* Every tensor in a fixed order. A scratch w whose layers are all one serves for sizes. */
static int walk_model(struct walk *k, bool one_layer)
{
    struct weights *w = k->w;
    const struct model_spec *m = &w->model;
    enum kernel_dtype t = weights_dtype(w->precision);
    enum kernel_dtype rows = t == KERNEL_FP32 || t == KERNEL_BF16 ? t : KERNEL_FP16;
    int64_t d = m->d_model;
    double unit = sqrt(3.0 / (double)d);
    if (matrix(k, &w->embedding, t, m->vocab, d, unit))
        return -1;
    bool learned = m->rotary_dims == 0 && m->family != MODEL_MAMBA;
    if (learned && matrix(k, &w->positions, rows, m->context, d, unit))
        return -1;
    for (int i = 0; i < m->layers; i++)
        if (walk_layer(k, &w->layer[one_layer ? 0 : i]))
            return -1;
    if (m->family == MODEL_BERT) {
        if (matrix(k, &w->types, rows, m->token_types, d, unit) || norm(k, &w->embedding_norm) ||
            matrix(k, &w->transform, t, d, d, unit) || bias(k, &w->transform_bias, d))
            return -1;
        if (!m->mlm_head)
            return 0;
        if (norm(k, &w->transform_norm))
            return -1;
    } else if (norm(k, &w->final_norm)) {
        return -1;
    }
    if (!m->tied && matrix(k, &w->head, t, m->vocab, d, unit))
        return -1;
    bool biased = m->head_bias || m->family == MODEL_BERT;
    return biased ? bias(k, &w->head_bias, m->vocab) : 0;
}

/* An adapted vocabulary (k->rows) has rows of its own, and a head beside its embedding. */
static int count(struct walk *k, const struct tensor *t)
{
    const struct weights *w = k->w;
    struct tensor own = *t;
    bool embedding = t->matrix && t->matrix == &w->embedding;
    if (k->rows > 0 && (embedding || (t->matrix && t->matrix == &w->head)))
        own.rows = k->rows;
    if (k->rows > 0 && t->vector && t->vector == &w->head_bias)
        own.cols = k->rows;
    k->bytes += (int64_t)tensor_bytes(&own) * (embedding && k->rows > 0 && w->model.tied ? 2 : 1);
    return 0;
}

struct weights_request weights_request_of(const struct model_spec *m, const struct implementation *i,
                                          uint64_t seed)
{
    return (struct weights_request){
        .model = m,
        .precision = i->precision,
        .seed = seed,
        .vocabulary = i->vocabulary,
        .sparsity = i->sparsity,
    };
}

static const char *vocabulary_of(const struct weights_request *q)
{
    return q->vocabulary && *q->vocabulary ? q->vocabulary : "standard";
}

int64_t weights_bytes(const struct weights_request *q)
{
    struct weights_layer layer = {0};
    struct weights scratch = {.model = *q->model, .precision = q->precision, .layer = &layer};
    struct walk k = {.visit = count, .w = &scratch};
    struct model_spec adapted;
    if (vocabulary_model(q->model, q->vocabulary, &adapted, NULL) == 0 &&
        !vocabulary_is_standard(q->vocabulary))
        k.rows = adapted.vocab; /* one that cannot be had is refused when the weights are made */
    walk_model(&k, true);
    /* A file's final norm has weights: folded into the head they part it from the embedding. */
    if (q->sparsity > 0 && q->model->tied && q->model->file[0] && k.rows == 0)
        k.bytes +=
            (int64_t)kernel_matrix_bytes(weights_dtype(q->precision), q->model->vocab, q->model->d_model);
    return k.bytes;
}

static int make(struct walk *k, const struct tensor *t)
{
    struct kernels *backend = k->w->k;
    if (k->cancelled && k->cancelled(k->who))
        return error_set(k->e, ERROR_CANCELLED, "stopped while making weights: run again to continue");
    struct layout l = layout_of(t);
    size_t bytes = l.bytes;
    struct kernel_matrix m = {.dtype = t->dtype, .rows = t->rows, .cols = t->cols};
    m.data = backend->ops->alloc(backend, bytes);
    char total[FIGURE_TEXT];
    if (!m.data)
        return error_set(k->e, ERROR_MEMORY,
                         "no memory for the weights of %s (%s in all): choose a smaller model or precision",
                         k->w->model.name, figure_bytes((double)k->total, total, sizeof total));
    if (l.has_scales)
        m.scales = (float *)(void *)((char *)m.data + l.scales);
    if (l.has_codes)
        m.codes = (uint8_t *)m.data + l.codes;
    if (t->vector)
        *t->vector = m.data;
    else
        *t->matrix = m;
    k->w->bytes += (int64_t)bytes;
    if (t->fill) {
        float *values = malloc(bytes);
        if (!values)
            return error_set(k->e, ERROR_MEMORY, "no memory to make the weights of %s: close other programs",
                             k->w->model.name);
        t->fill(values, t->rows, t->cols, generator_key(k->w->seed, t->id, 0));
        backend->ops->upload(backend, m.data, values, bytes);
        free(values);
    } else {
        backend->ops->generate(backend, &m, k->w->seed, t->id, t->law, t->amplitude);
    }
    k->bytes += (int64_t)bytes;
    if (k->progress)
        k->progress(k->who, "weights", (double)k->bytes / (double)k->total);
    return 0;
}

static int drop(struct walk *k, const struct tensor *t)
{
    struct kernels *backend = k->w->k;
    void *p = t->vector ? (void *)(uintptr_t)*t->vector : t->matrix->data;
    if (p)
        backend->ops->free(backend, p, tensor_bytes(t));
    return 0;
}

static void destroy(struct weights *w)
{
    if (w->own_head)
        larosa_free_head(w);
    weights_adapt_drop(w);
    if (w->layer) {
        struct walk k = {.visit = drop, .w = w};
        walk_model(&k, false);
    }
    free(w->layer);
    free(w);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int rotate(struct weights *w, const struct weights_request *q,
                  void (*progress)(void *, const char *, double), bool (*cancelled)(void *), void *who,
                  struct error *e)
{
    struct larosa *found = q->rotation ? NULL : larosa_find(q->model, q->seed, e);
    if (!found && !q->rotation)
        return -1;
    int failed = larosa_turn(w, found ? found : q->rotation, progress, cancelled, who, e);
    larosa_free(found);
    return failed;
}

struct weights *weights_create(struct kernels *k, const struct weights_request *q,
                               void (*progress)(void *, const char *, double), bool (*cancelled)(void *),
                               void *who, struct error *e)
{
    int64_t start = now_ns();
    const struct model_spec *m = q->model;
    struct weights *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(e, ERROR_MEMORY, "no memory to load %s: close other programs", m->name);
        return NULL;
    }
    w->model = *m;
    w->precision = q->precision;
    w->seed = q->seed;
    snprintf(w->vocabulary, sizeof w->vocabulary, "%s", vocabulary_of(q));
    w->sparsity = q->sparsity;
    w->k = k;
    w->references = 1;
    w->layer = calloc((size_t)m->layers, sizeof *w->layer);
    struct walk walk = {.visit = make,
                        .w = w,
                        .total = weights_bytes(q),
                        .progress = progress,
                        .cancelled = cancelled,
                        .who = who,
                        .e = e};
    if (!w->layer) {
        error_set(e, ERROR_MEMORY, "no memory to load %s: close other programs", m->name);
        destroy(w);
        return NULL;
    }
    if (walk_model(&walk, false)) {
        destroy(w);
        return NULL;
    }
    if (m->tied && (m->family != MODEL_BERT || m->mlm_head))
        w->head = w->embedding;
    if (q->sparsity > 0 && rotate(w, q, progress, cancelled, who, e)) {
        destroy(w);
        return NULL;
    }
    k->ops->synchronize(k);
    if (!vocabulary_is_standard(q->vocabulary) && weights_adapt(w, q, cancelled, who, e) != 0) {
        destroy(w);
        return NULL;
    }
    w->load_ns = now_ns() - start;
    return w;
}

bool weights_same(const struct weights_request *a, const struct weights_request *b)
{
    const struct model_spec *o = a->model, *m = b->model;
    const int mine[] = {o->family,      o->layers, o->d_model,   o->heads,   o->kv_heads,
                        o->head_dim,    o->ffn,    o->vocab,     o->context, o->rotary_dims,
                        o->token_types, o->tied,   o->head_bias, o->mlm_head};
    const int asked[] = {m->family,      m->layers, m->d_model,   m->heads,   m->kv_heads,
                         m->head_dim,    m->ffn,    m->vocab,     m->context, m->rotary_dims,
                         m->token_types, m->tied,   m->head_bias, m->mlm_head};
    return weights_dtype(a->precision) == weights_dtype(b->precision) && a->seed == b->seed &&
           strcmp(o->file, m->file) == 0 && strcmp(vocabulary_of(a), vocabulary_of(b)) == 0 &&
           (a->sparsity > 0) == (b->sparsity > 0) && memcmp(mine, asked, sizeof mine) == 0 &&
           memcmp(&o->mamba, &m->mamba, sizeof o->mamba) == 0 && fabs(o->norm_eps - m->norm_eps) <= 0;
}

bool weights_match(const struct weights *w, const struct weights_request *q)
{
    struct weights_request own = {
        .model = &w->model,
        .precision = w->precision,
        .seed = w->seed,
        .vocabulary = w->vocabulary,
        .sparsity = w->sparsity,
    };
    return weights_same(&own, q);
}

struct weights *weights_hold(struct weights *w)
{
    w->references++;
    return w;
}

void weights_release(struct weights *w)
{
    if (w && --w->references == 0)
        destroy(w);
}
