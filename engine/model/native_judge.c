#include "engine/model/native_judge.h"

#include "engine/model/larosa.h"
#include "engine/model/model.h"
#include "engine/model/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TINY_COMMON .layers = 2, .context = 128, .norm_eps = 1e-5

const struct model_spec judge_models[JUDGE_MODELS] = {
    {.name = "llama",
     .family = MODEL_LLAMA,
     .d_model = 64,
     .heads = 4,
     .kv_heads = 2,
     .head_dim = 16,
     .ffn = 172,
     .vocab = 211,
     .rope_theta = 10000,
     .rotary_dims = 16,
     TINY_COMMON},
    {.name = "llama3",
     .family = MODEL_LLAMA,
     .d_model = 48,
     .heads = 6,
     .kv_heads = 2,
     .head_dim = 8,
     .ffn = 100,
     .vocab = 150,
     .rope_theta = 500000,
     .rotary_dims = 8,
     .rope_scaling = {8, 1, 4, 32},
     .tied = true,
     TINY_COMMON},
    {.name = "mistral",
     .family = MODEL_LLAMA,
     .d_model = 64,
     .heads = 4,
     .kv_heads = 1,
     .head_dim = 16,
     .ffn = 96,
     .vocab = 97,
     .rope_theta = 10000,
     .rotary_dims = 16,
     .window = 8,
     TINY_COMMON},
    {.name = "gpt2",
     .family = MODEL_GPT2,
     .d_model = 60,
     .heads = 3,
     .kv_heads = 3,
     .head_dim = 20,
     .ffn = 240,
     .vocab = 193,
     .tied = true,
     TINY_COMMON},
    {.name = "phi2",
     .family = MODEL_PHI2,
     .d_model = 80,
     .heads = 4,
     .kv_heads = 4,
     .head_dim = 20,
     .ffn = 160,
     .vocab = 128,
     .rope_theta = 10000,
     .rotary_dims = 8,
     .head_bias = true,
     TINY_COMMON},
    {.name = "bert",
     .family = MODEL_BERT,
     .d_model = 48,
     .heads = 3,
     .kv_heads = 3,
     .head_dim = 16,
     .ffn = 192,
     .vocab = 131,
     .tied = true,
     .token_types = 2,
     .mlm_head = true,
     TINY_COMMON},
    {.name = "wide",
     .family = MODEL_LLAMA,
     .d_model = 256,
     .heads = 4,
     .kv_heads = 2,
     .head_dim = 64,
     .ffn = 256,
     .vocab = 101,
     .rope_theta = 10000,
     .rotary_dims = 64,
     TINY_COMMON},
    {.name = "mamba",
     .family = MODEL_MAMBA,
     .d_model = 64,
     .vocab = 157,
     .tied = true,
     .mamba = {.inner = 96, .dt_rank = 3, .state = 16, .conv = 4},
     TINY_COMMON},
};

/* fp32: sums of some hundred terms in another order. bf16 rounds keys, values and (where the product library
 * or AVX512-BF16 takes them so) activations to 8 bits before each of a layer's products: about 2^-9 per
 * rounding, a dozen of them behind one another. fp16 and int8 round keys and values to 11 bits; libraries may
 * also take fp16 activations. */
static double full_tolerance(enum precision_kind precision)
{
    switch (precision) {
    case PRECISION_FP32:
        return 2e-5;
    case PRECISION_BF16:
        return 4e-2;
    default:
        return 5e-3;
    }
}

/* activations int8: the reference rounds the inputs of products as the backend does, but what it rounds is
 * other by what keys and values in fp16 lose, 2^-12 to 2^-11 of it. One input in 127 * 2^-11 = 1 / 16 then
 * takes the next step, 1 / 127 of its block's largest, 2.5 deviations: an error of sqrt(1 / 16) * 2.5 / 127 =
 * 5e-3 of a deviation of a product's result, for each of four products of two layers behind one another and
 * the head's: sqrt(9) * 5e-3, and three times that in the largest of some hundred logits. */
double judge_tolerance(const struct implementation *i)
{
    return i->activations == ACTIVATIONS_INT8 ? 5e-2 : full_tolerance(i->precision);
}

/* Activations in 16 bits are rounded after every step: embedding, norms, products, rotation, attention and
 * residual of two layers make about thirty roundings of relative size 2^-12 (fp16) or 2^-9 (bf16), whose sum
 * grows like a random walk, and the largest of some hundred logits lies three standard deviations out:
 * 3 sqrt(30) u. Small weights are widened without error, so they are judged as bf16. activations int8
 * rounds the inputs of a prompt's products to a 127th of the largest of their row, 2.5 deviations at these
 * widths: 2e-2 / sqrt(12) of a deviation each, three times the rounding of bf16. */
double judge_tolerance_on(const struct kernels *k, const struct implementation *i)
{
    struct kernels *base = (struct kernels *)(uintptr_t)k; /* a view is the same backend */
    struct kernels *view = base->ops->view(base, weights_activation(NULL, i->precision));
    if (!view || view->activation == KERNEL_FP32)
        return judge_tolerance(i);
    if (i->activations == ACTIVATIONS_INT8)
        return 1e-1; /* decode is exact there: the reference does not round */
    return view->activation == KERNEL_FP16 ? 5e-3 : 4e-2;
}

/* ---- the reference's copy of the weights ---- */

static const double *keep(struct judge *j, const struct kernel_matrix *m, int64_t first, int64_t rows)
{
    size_t n = (size_t)(rows * m->cols);
    float *values = malloc(n * sizeof *values);
    if (!values || j->used + n > j->size) {
        free(values);
        return NULL;
    }
    double *to = j->values + j->used;
    j->used += n;
    j->k->ops->read_matrix(j->k, m, first, rows, values);
    for (size_t i = 0; i < n; i++)
        to[i] = values[i];
    free(values);
    return to;
}

static const double *keep_all(struct judge *j, const struct kernel_matrix *m)
{
    return m->data ? keep(j, m, 0, m->rows) : NULL;
}

static const double *keep_vector(struct judge *j, const float *v, int64_t n)
{
    struct kernel_matrix m = {.dtype = KERNEL_FP32, .rows = 1, .cols = n, .data = (void *)(uintptr_t)v};
    return keep_all(j, &m);
}

static void keep_mamba_layer(struct judge *j, struct reference_layer *to, const struct weights_layer *l)
{
    const struct model_spec *m = j->model;
    int64_t inner = m->mamba.inner;
    *to = (struct reference_layer){
        .norm1 = keep_vector(j, l->norm1.weight, m->d_model),
        .in = keep_all(j, &l->in),
        .select = keep_all(j, &l->select),
        .dt = keep_all(j, &l->dt),
        .o = keep_all(j, &l->out),
        .conv = keep_vector(j, l->conv, m->mamba.conv * inner),
        .conv_bias = keep_vector(j, l->conv_bias, inner),
        .dt_bias = keep_vector(j, l->dt_bias, inner),
        .a = keep_vector(j, l->a, m->mamba.state * inner),
        .skip = keep_vector(j, l->skip, inner),
    };
}

static void keep_layer(struct judge *j, struct reference_layer *to, const struct weights_layer *l)
{
    const struct model_spec *m = j->model;
    if (m->family == MODEL_MAMBA) {
        keep_mamba_layer(j, to, l);
        return;
    }
    int64_t d = m->d_model, f = m->ffn, q = (int64_t)m->heads * m->head_dim;
    int64_t kv = (int64_t)m->kv_heads * m->head_dim;
    bool llama = m->family == MODEL_LLAMA;
    struct kernel_matrix part[3], half[2];
    for (int i = 0; i < 3; i++)
        part[i] = weights_part(m, l, i);
    for (int i = 0; i < 2 && llama; i++)
        half[i] = weights_half(m, l, i);
    *to = (struct reference_layer){
        .norm1 = keep_vector(j, l->norm1.weight, d),
        .norm1_bias = keep_vector(j, l->norm1.bias, d),
        .norm2 = keep_vector(j, l->norm2.weight, d),
        .norm2_bias = keep_vector(j, l->norm2.bias, d),
        .q = keep_all(j, &part[0]),
        .k = keep_all(j, &part[1]),
        .v = keep_all(j, &part[2]),
        .o = keep_all(j, &l->out),
        .gate = llama ? keep_all(j, &half[0]) : NULL,
        .up = keep_all(j, llama ? &half[1] : &l->up),
        .down = keep_all(j, &l->down),
        .up_bias = keep_vector(j, l->up_bias, f),
        .down_bias = keep_vector(j, l->down_bias, d),
        .o_bias = keep_vector(j, l->out_bias, d),
    };
    if (l->qkv_bias) {
        to->q_bias = keep_vector(j, l->qkv_bias, q);
        to->k_bias = keep_vector(j, l->qkv_bias + q, kv);
        to->v_bias = keep_vector(j, l->qkv_bias + q + kv, kv);
    }
}

static void keep_model(struct judge *j)
{
    static const enum reference_family families[] = {
        [MODEL_LLAMA] = REFERENCE_LLAMA, [MODEL_GPT2] = REFERENCE_GPT2,   [MODEL_PHI2] = REFERENCE_PHI2,
        [MODEL_BERT] = REFERENCE_BERT,   [MODEL_MAMBA] = REFERENCE_MAMBA,
    };
    const struct model_spec *m = j->model;
    const struct weights *w = j->weights;
    int64_t d = m->d_model;
    double *frequency = j->values;
    j->used = (size_t)m->rotary_dims;
    rope_frequencies(m, w->rope_factors, frequency);
    j->reference = (struct reference_model){
        .family = families[m->family],
        .layers = m->layers,
        .d = m->d_model,
        .heads = m->heads,
        .kv_heads = m->kv_heads,
        .head_dim = m->head_dim,
        .ffn = m->ffn,
        .vocab = m->vocab,
        .rotary_dims = m->rotary_dims,
        .window = m->window,
        .inner = m->mamba.inner,
        .rank = m->mamba.dt_rank,
        .states = m->mamba.state,
        .taps = m->mamba.conv,
        .eps = m->norm_eps,
        .gelu_erf = m->family == MODEL_BERT,
        .rope_frequency = frequency,
        .embedding = keep_all(j, &w->embedding),
        .positions = keep_all(j, &w->positions),
        .type_row = keep_all(j, &w->types),
        .embedding_norm = keep_vector(j, w->embedding_norm.weight, d),
        .embedding_norm_bias = keep_vector(j, w->embedding_norm.bias, d),
        .final_norm = keep_vector(j, w->final_norm.weight, d),
        .final_norm_bias = keep_vector(j, w->final_norm.bias, d),
        .head = keep_all(j, &w->head),
        .head_bias = keep_vector(j, w->head_bias, m->vocab),
        .mlm = keep_all(j, &w->transform),
        .mlm_bias = keep_vector(j, w->transform_bias, d),
        .mlm_norm = keep_vector(j, w->transform_norm.weight, d),
        .mlm_norm_bias = keep_vector(j, w->transform_norm.bias, d),
        .layer = j->layers,
    };
    for (int l = 0; l < m->layers; l++)
        keep_layer(j, &j->layers[l], &w->layer[l]);
}

/* The reference of weights that exist. */
static int make_reference(struct judge *j, struct error *e)
{
    const struct model_spec *m = j->model;
    /* every weight takes at least half a byte; a tied head is kept twice */
    j->size = (size_t)(2 * j->weights->bytes + (int64_t)m->vocab * m->d_model + m->rotary_dims);
    j->values = malloc(j->size * sizeof *j->values);
    j->layers = calloc((size_t)m->layers, sizeof *j->layers);
    j->known = calloc(JUDGE_MEMORY, sizeof *j->known);
    if (!j->values || !j->layers || !j->known) {
        judge_close(j);
        return error_set(e, ERROR_MEMORY, "no memory for the reference of %s: close other programs", m->name);
    }
    keep_model(j);
    return 0;
}

static int judge_weights(struct judge *j, struct kernels *k, const struct weights_request *q, struct error *e)
{
    *j = (struct judge){.k = k, .model = q->model};
    j->weights = weights_create(k, q, NULL, NULL, NULL, e);
    return j->weights ? make_reference(j, e) : -1;
}

int judge_open(struct judge *j, struct kernels *k, const struct model_spec *m, enum precision_kind precision,
               struct error *e)
{
    struct weights_request request = {.model = m, .precision = precision, .seed = 42};
    return judge_weights(j, k, &request, e);
}

/* ---- rotated weights ---- */

static void orthogonalize(double *row, const double *earlier, int rows, int d)
{
    for (int r = 0; r < rows; r++) {
        double along = 0;
        for (int i = 0; i < d; i++)
            along += row[i] * earlier[r * d + i];
        for (int i = 0; i < d; i++)
            row[i] -= along * earlier[r * d + i];
    }
}

/* A random rotation by Gram and Schmidt, each row twice. false: no memory. */
static bool random_rotation(struct larosa *l, int d)
{
    size_t n = (size_t)d * (size_t)d;
    double *q = malloc(n * sizeof *q);
    *l = (struct larosa){.d = d, .basis = malloc(n * sizeof *l->basis)};
    uint64_t state = 99;
    for (int r = 0; q && l->basis && r < d; r++) {
        double *row = q + r * d, length = 0;
        for (int i = 0; i < d; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            row[i] = (double)(int64_t)(state >> 40) * 0x1p-23 - 1;
        }
        orthogonalize(row, q, r, d);
        orthogonalize(row, q, r, d);
        for (int i = 0; i < d; i++)
            length += row[i] * row[i];
        for (int i = 0; i < d; i++)
            l->basis[r * d + i] = (float)(row[i] /= sqrt(length));
    }
    bool made = q && l->basis;
    free(q);
    return made;
}

/* Any sparsity makes rotated weights. */
static int rotated(struct judge *j, struct kernels *k, const struct model_spec *m,
                   enum precision_kind precision, bool of_original, struct error *e)
{
    struct larosa rotation;
    struct weights_request q = {
        .model = m, .precision = precision, .seed = 42, .sparsity = 0.5, .rotation = &rotation};
    int failed = random_rotation(&rotation, m->d_model)
                     ? 0
                     : error_set(e, ERROR_MEMORY, "no memory for a rotation: close other programs");
    if (!failed && of_original) {
        struct weights *w = weights_create(k, &q, NULL, NULL, NULL, e);
        failed = w ? judge_open(j, k, m, precision, e) : -1;
        if (!failed) {
            weights_release(j->weights);
            j->weights = weights_hold(w);
        }
        weights_release(w);
    } else if (!failed) {
        failed = judge_weights(j, k, &q, e);
    }
    free(rotation.basis);
    return failed;
}

int judge_open_rotated(struct judge *j, struct kernels *k, const struct model_spec *m,
                       enum precision_kind precision, struct error *e)
{
    return rotated(j, k, m, precision, true, e);
}

int judge_open_sparse(struct judge *j, struct kernels *k, const struct model_spec *m,
                      enum precision_kind precision, double sparsity, struct error *e)
{
    if (rotated(j, k, m, precision, false, e))
        return -1;
    j->reference.keep_input = model_kept(m->d_model, sparsity, true);
    j->reference.keep_mixed = model_kept(m->heads * m->head_dim, sparsity, false);
    j->reference.keep_inner = model_kept(m->ffn, sparsity, false);
    return 0;
}

/* In fp32 no text of the judge has two entries so close that rounding makes them change places at the border
 * of what is kept: judged as all else. Keys and values rounded to 16 bits move what is chosen from by 2^-9 to
 * 2^-12, and of a dozen choices among 50 to 170 entries one then falls otherwise in many texts. That entry is
 * one of the smallest kept, yet at these widths worth a tenth of a product's result, more where few are kept;
 * the layer behind it chooses anew. What is not right at all errs by more than 1. */
double judge_sparse_tolerance(const struct kernels *k, const struct implementation *i)
{
    return i->precision == PRECISION_FP32 ? judge_tolerance_on(k, i) : 0.5;
}

static void forget(struct judge *j)
{
    for (int i = 0; j->known && i < JUDGE_MEMORY; i++) {
        free(j->known[i].logits);
        j->known[i] = (struct judge_verdict){0};
    }
}

void judge_close(struct judge *j)
{
    weights_release(j->weights);
    forget(j);
    free(j->known);
    free(j->layers);
    free(j->values);
    *j = (struct judge){0};
}

/* ---- one judgement ---- */

struct text {
    int id[JUDGE_MAX_SEQUENCES + 1][JUDGE_MAX_TEXT], n[JUDGE_MAX_SEQUENCES + 1];
};

static int run(struct forward *f, struct text *t, int steps, float *logits, int32_t *chosen, struct error *e)
{
    if (forward_prefill(f, e))
        return -1;
    for (int step = 0; step < steps; step++) {
        forward_next(f, chosen);
        for (int s = 0; t->n[s]; s++)
            t->id[s][t->n[s]++] = chosen[s];
        if (forward_step(f, e))
            return -1;
    }
    forward_next(f, chosen);
    return forward_logits(f, logits, e);
}

/* What the products of the arm do to their inputs. A GPU's arms are judged against exact ones. */
static void round_as(struct judge *j, const struct implementation *i)
{
    struct kernels *view = j->k->ops->view(j->k, weights_activation(j->model, i->precision));
    bool fp32 = !view || view->activation == KERNEL_FP32;
    enum kernel_dtype t = weights_dtype(weights_like(j->model, i->precision));
    enum reference_rounding rounding = i->activations != ACTIVATIONS_INT8 || !fp32 ? REFERENCE_EXACT
                                       : t == KERNEL_INT8                          ? REFERENCE_ROW
                                       : kernel_block_cols(t) == KERNEL_Q_BLOCK    ? REFERENCE_BLOCK_32
                                                                                   : REFERENCE_BLOCK_256;
    if (rounding != j->reference.rounding)
        forget(j);
    j->reference.rounding = rounding;
    j->reference.small_exact = !kernel_is_integers(weights_small_dtype(t));
}

/* The reference's logits of a text's last row (an encoder's first); NULL when memory is short. */
static const double *reference_logits(struct judge *j, const int *id, int n)
{
    size_t vocab = (size_t)j->model->vocab;
    for (int i = 0; i < JUDGE_MEMORY; i++)
        if (j->known[i].n == n && memcmp(j->known[i].id, id, (size_t)n * sizeof *id) == 0)
            return j->known[i].logits;
    struct judge_verdict *v = &j->known[j->n_known++ % JUDGE_MEMORY];
    free(v->logits);
    *v = (struct judge_verdict){.logits = malloc((size_t)n * vocab * sizeof *v->logits)};
    if (!v->logits || reference_forward(&j->reference, id, n, v->logits))
        return NULL;
    if (j->model->family != MODEL_BERT)
        memmove(v->logits, v->logits + (size_t)(n - 1) * vocab, vocab * sizeof *v->logits);
    v->n = n;
    memcpy(v->id, id, (size_t)n * sizeof *id);
    return v->logits;
}

static double compare(struct judge *j, const struct text *t, const float *logits, const int32_t *chosen)
{
    int vocab = j->model->vocab;
    double worst = 0;
    for (int s = 0; t->n[s]; s++) {
        const double *want = reference_logits(j, t->id[s], t->n[s]);
        if (!want)
            return NAN;
        if (chosen[s] < 0 || chosen[s] >= vocab)
            return INFINITY;
        double scale = 0, error = 0, best = -INFINITY;
        for (int v = 0; v < vocab; v++) {
            double got = (double)logits[(size_t)s * (size_t)vocab + (size_t)v];
            scale = fmax(scale, fabs(want[v]));
            best = fmax(best, want[v]);
            error = isnan(got) ? INFINITY : fmax(error, fabs(got - want[v]));
        }
        worst = fmax(worst, fmax(error, best - want[chosen[s]]) / scale);
    }
    return worst;
}

double judge_run(struct judge *j, const struct implementation *i, int sequences, const int *lengths,
                 int steps, struct error *e)
{
    int32_t ids[JUDGE_MAX_SEQUENCES * JUDGE_MAX_TEXT], chosen[JUDGE_MAX_SEQUENCES] = {0};
    struct text text = {0};
    struct forward_shape shape = {
        .model = j->model, .implementation = i, .sequences = sequences, .lengths = lengths, .steps = steps};
    int total = 0;
    if (sequences > JUDGE_MAX_SEQUENCES) {
        error_set(e, ERROR_USAGE, "%d sequences: the judge takes at most %d", sequences, JUDGE_MAX_SEQUENCES);
        return NAN;
    }
    for (int s = 0; s < sequences; s++)
        shape.length = lengths[s] > shape.length ? lengths[s] : shape.length;
    if (shape.length + steps > JUDGE_MAX_TEXT) {
        error_set(e, ERROR_USAGE, "%d tokens: the judge takes at most %d", shape.length + steps,
                  JUDGE_MAX_TEXT);
        return NAN;
    }
    for (int s = 0; s < sequences; s++)
        for (int t = 0; t < lengths[s]; t++, total++)
            ids[total] = text.id[s][text.n[s]++] = (total * 7919 + 31 * s + 5) % j->model->vocab;
    double error = NAN;
    round_as(j, i);
    float *logits = malloc((size_t)sequences * (size_t)j->model->vocab * sizeof *logits);
    struct forward *f = forward_create(j->k, j->weights, &shape, ids, e);
    if (f && logits && run(f, &text, steps, logits, chosen, e) == 0 && forward_check(f, e) == 0)
        error = compare(j, &text, logits, chosen);
    forward_free(f);
    free(logits);
    return error;
}
