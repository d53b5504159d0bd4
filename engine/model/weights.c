#include "engine/clock.h"
#include "engine/model/weights_internal.h"

#include "engine/figure.h"
#include "engine/model/larosa.h"
#include "engine/model/vocabulary.h"
#include "engine/model/weights_adapt.h"
#include "kernels/generator.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kernel_dtype weights_dtype(enum precision_kind precision)
{
    switch (precision) {
    case PRECISION_FP16:
        return KERNEL_FP16;
    case PRECISION_BF16:
        return KERNEL_BF16;
    case PRECISION_INT8:
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

enum precision_kind weights_like(const struct model_spec *m, enum precision_kind precision)
{
    return precision == PRECISION_STORED ? m->stored.like : precision;
}

enum kernel_dtype weights_activation(const struct model_spec *m, enum precision_kind precision)
{
    enum kernel_dtype t = weights_dtype(weights_like(m, precision));
    return t == KERNEL_FP32 || t == KERNEL_FP16 ? t : KERNEL_BF16;
}

/* ---- sizes ---- */

/* An adapted vocabulary (k->rows) has rows of its own, and a head beside its embedding. */
static int count(struct weights_walk *k, const struct weights_array *t)
{
    const struct weights *w = k->w;
    struct weights_array own = *t;
    bool embedding = t->matrix && t->matrix == &w->embedding;
    if (k->rows > 0 && (embedding || (t->matrix && t->matrix == &w->head)))
        own.rows = k->rows;
    if (k->rows > 0 && t->vector && t->vector == &w->head_bias)
        own.cols = k->rows;
    int64_t bytes = (int64_t)weights_layout_of(&own).bytes;
    k->bytes += bytes * (embedding && k->rows > 0 && w->model.tied ? 2 : 1);
    const struct model_spec *m = &k->w->model;
    bool head = m->tied && (m->family != MODEL_BERT || m->mlm_head);
    if (t->product && (t->part[0] != MODEL_EMBEDDING || head))
        k->product_bytes += bytes;
    return 0;
}

struct kernel_matrix weights_part(const struct model_spec *m, const struct weights_layer *l, int i)
{
    int64_t q = (int64_t)m->heads * m->head_dim, kv = (int64_t)m->kv_heads * m->head_dim;
    return l->qkv.data ? kernel_matrix_rows(&l->qkv, i == 0 ? 0 : q + (i - 1) * kv, i == 0 ? q : kv)
                       : l->part[i];
}

struct kernel_matrix weights_half(const struct model_spec *m, const struct weights_layer *l, int i)
{
    return l->up.data ? kernel_matrix_rows(&l->up, (int64_t)i * m->ffn, m->ffn) : l->half[i];
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

/* Of a file's own types, with the rows of an adapted vocabulary where there is one. */
static int64_t stored_bytes(const struct model_spec *m, int64_t rows)
{
    const struct model_stored *s = &m->stored;
    if (rows == 0)
        return s->bytes;
    return s->bytes + rows * s->vocabulary_row_bytes * (m->tied ? 2 : 1) - m->vocab * s->vocabulary_row_bytes;
}

int64_t weights_bytes(const struct weights_request *q)
{
    struct weights_layer layer = {0};
    struct weights scratch = {.model = *q->model, .precision = q->precision, .layer = &layer};
    struct weights_walk k = {.visit = count, .w = &scratch};
    struct model_spec adapted;
    if (vocabulary_model(q->model, q->vocabulary, &adapted, NULL) == 0 &&
        !vocabulary_is_standard(q->vocabulary))
        k.rows = adapted.vocab; /* one that cannot be had is refused when the weights are made */
    if (q->precision == PRECISION_STORED)
        return stored_bytes(q->model, k.rows);
    weights_walk_all(&k, true);
    /* A file's final norm has weights: folded into the head they part it from the embedding. */
    if (q->sparsity > 0 && q->model->tied && q->model->file[0] && k.rows == 0)
        k.bytes +=
            (int64_t)kernel_matrix_bytes(weights_dtype(q->precision), q->model->vocab, q->model->d_model);
    return k.bytes;
}

/* Which layers' products stay apart, and which types products have. */
static int look_at_types(struct weights_walk *k, const struct weights_array *t)
{
    int64_t *bytes_of = k->data;
    struct model_stored *s = &k->w->model.stored;
    if (t->part[0] == MODEL_EMBEDDING || t->part[0] == MODEL_HEAD)
        s->vocabulary_row_bytes += (int64_t)kernel_row_bytes(t->dtype, t->cols);
    if (t->part[0] == MODEL_HEAD_BIAS)
        s->vocabulary_row_bytes += (int64_t)sizeof(float);
    if (t->product) {
        int64_t bytes = (int64_t)weights_layout_of(t).bytes;
        s->types |= UINT32_C(1) << gguf_model_type(t->dtype)->id;
        bytes_of[t->dtype] += bytes;
        s->split_qkv += t->parts == 1 && t->part[0] == MODEL_Q;
        s->split_gate_up += t->parts == 1 && t->part[0] == MODEL_GATE;
    }
    return count(k, t);
}

static void summarize_types(const struct gguf *g, struct model_stored *s)
{
    size_t used = 0;
    for (uint32_t id = 0; id < 32; id++) {
        int n = 0;
        for (size_t i = 0; i < g->n_tensors; i++)
            n += g->tensor[i].type->id == id;
        if (n > 0 && used < sizeof s->summary)
            used += (size_t)snprintf(s->summary + used, sizeof s->summary - used, "%s%s %d", used ? ", " : "",
                                     gguf_type_of(id)->name, n);
    }
}

int weights_measure_stored(const struct gguf *g, struct model_spec *m, struct error *e)
{
    static const enum precision_kind like[KERNEL_DTYPES] = {
        [KERNEL_FP32] = PRECISION_FP32, [KERNEL_FP16] = PRECISION_FP16, [KERNEL_BF16] = PRECISION_BF16,
        [KERNEL_Q8_0] = PRECISION_Q8_0, [KERNEL_Q4_0] = PRECISION_Q4_0, [KERNEL_Q4_K] = PRECISION_Q4_K,
        [KERNEL_Q6_K] = PRECISION_Q6_K,
    };
    int64_t bytes_of[KERNEL_DTYPES] = {0};
    struct weights_layer layer = {0};
    struct weights *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        return error_set(e, ERROR_MEMORY, "no memory to look at %s: close other programs", m->name);
    scratch->model = *m;
    scratch->precision = PRECISION_STORED;
    scratch->layer = &layer;
    struct weights_file file = {.g = g, .m = m, .fd = -1, .stored = true};
    struct weights_walk k = {.visit = look_at_types, .w = scratch, .file = &file, .data = bytes_of};
    weights_walk_all(&k, true);
    struct model_stored *s = &scratch->model.stored;
    s->bytes = k.bytes;
    s->product_bytes = k.product_bytes;
    enum kernel_dtype most = KERNEL_FP32;
    for (int t = 0; t < KERNEL_DTYPES; t++)
        if (bytes_of[t] > bytes_of[most])
            most = (enum kernel_dtype)t;
    s->like = like[most];
    summarize_types(g, s);
    m->stored = *s;
    free(scratch);
    return 0;
}

/* ---- making ---- */

static int fill(struct weights_walk *k, const struct weights_array *t, struct kernel_matrix *m)
{
    struct kernels *backend = k->w->k;
    if (k->file)
        return weights_file_read(k->file, backend, t, m, k->e);
    if (t->fill) {
        size_t bytes = weights_layout_of(t).bytes;
        float *values = malloc(bytes);
        if (!values)
            return error_set(k->e, ERROR_MEMORY, "no memory to make the weights of %s: close other programs",
                             k->w->model.name);
        t->fill(values, t->rows, t->cols, generator_key(k->w->seed, t->id, 0));
        backend->ops->upload(backend, m->data, values, bytes);
        free(values);
        return 0;
    }
    backend->ops->generate(backend, m, k->w->seed, t->id, t->law, t->amplitude);
    return 0;
}

static int make(struct weights_walk *k, const struct weights_array *t)
{
    struct kernels *backend = k->w->k;
    if (k->cancelled && k->cancelled(k->who))
        return error_set(k->e, ERROR_CANCELLED, "stopped while making weights: run again to continue");
    size_t bytes = weights_layout_of(t).bytes;
    char total[FIGURE_TEXT];
    struct kernel_matrix m = weights_matrix_at(t, backend->ops->alloc(backend, bytes));
    if (!m.data)
        return error_set(k->e, ERROR_MEMORY,
                         "no memory for the weights of %s (%s in all): choose a smaller model or precision",
                         k->w->model.name, figure_bytes((double)k->total, total, sizeof total));
    if (t->vector)
        *t->vector = m.data;
    else
        *t->matrix = m;
    k->w->bytes += (int64_t)bytes;
    if (fill(k, t, &m))
        return -1;
    k->bytes += (int64_t)bytes;
    if (k->progress)
        k->progress(k->who, "weights", (double)k->bytes / (double)k->total);
    return 0;
}

static int drop(struct weights_walk *k, const struct weights_array *t)
{
    struct kernels *backend = k->w->k;
    void *p = t->vector ? (void *)(uintptr_t)*t->vector : t->matrix->data;
    struct weights_array held = *t;
    if (!t->vector && p) /* of a file: as it was loaded */
        held.dtype = t->matrix->dtype;
    if (p)
        backend->ops->free(backend, p, weights_layout_of(&held).bytes);
    return 0;
}

static void destroy(struct weights *w)
{
    if (w->own_head)
        larosa_free_head(w);
    weights_adapt_drop(w);
    if (w->layer) {
        struct weights_walk k = {.visit = drop, .w = w};
        weights_walk_all(&k, false);
    }
    free(w->rope_factors);
    free(w->layer);
    free(w);
}

static struct weights *new_weights(struct kernels *k, const struct weights_request *q)
{
    struct weights *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->model = *q->model;
    w->precision = q->precision;
    w->seed = q->seed;
    snprintf(w->vocabulary, sizeof w->vocabulary, "%s", vocabulary_of(q));
    w->sparsity = q->sparsity;
    w->k = k;
    w->references = 1;
    w->layer = calloc((size_t)q->model->layers, sizeof *w->layer);
    if (w->layer)
        return w;
    free(w);
    return NULL;
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

/* From the file that is named by the model. */
static int read_all(struct weights_walk *walk)
{
    struct weights *w = walk->w;
    struct weights_file file;
    struct kernels_info info;
    int failed = 0;
    info.threads = 1;
    if (w->k)
        w->k->ops->info(w->k, &info);
    if (weights_file_open(&w->model, w->precision == PRECISION_STORED, info.threads, &file, walk->e))
        return -1;
    walk->file = &file;
    w->rope_factors = weights_file_rope_factors(&file, &failed, walk->e);
    failed = failed || weights_walk_all(walk, false);
    walk->file = NULL;
    w->page_in_ns = file.page_in_ns;
    weights_file_close(&file);
    return failed;
}

struct weights *weights_create(struct kernels *k, const struct weights_request *q,
                               void (*progress)(void *, const char *, double), bool (*cancelled)(void *),
                               void *who, struct error *e)
{
    int64_t start = clock_ns();
    const struct model_spec *m = q->model;
    struct weights *w = new_weights(k, q);
    if (!w) {
        error_set(e, ERROR_MEMORY, "no memory to load %s: close other programs", m->name);
        return NULL;
    }
    struct weights_request read = *q; /* an adapted vocabulary's rows are made of all of the model's */
    read.vocabulary = NULL;
    struct weights_walk walk = {.visit = make,
                                .w = w,
                                .total = weights_bytes(&read),
                                .progress = progress,
                                .cancelled = cancelled,
                                .who = who,
                                .e = e};
    if (m->file[0] ? read_all(&walk) : weights_walk_all(&walk, false)) {
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
    w->load_ns = clock_ns() - start;
    return w;
}

/* ---- one after another ---- */

static int hand_over(struct weights_walk *k, const struct weights_array *t)
{
    const struct weights_stream *s = k->data;
    struct kernel_matrix *matrix = t->matrix, m = {0};
    const float *vector = NULL;
    struct weights_array own = *t;
    if (!s->k)
        return s->each(s->who, t, NULL, k->e);
    own.matrix = t->vector ? NULL : &m;
    own.vector = t->vector ? &vector : NULL;
    int failed = make(k, &own);
    if (t->vector)
        m = weights_matrix_at(t, (void *)(uintptr_t)vector);
    if (!failed) {
        s->k->ops->synchronize(s->k);
        failed = s->each(s->who, t, &m, k->e);
    }
    if (m.data)
        s->k->ops->free(s->k, m.data, weights_layout_of(t).bytes);
    if (matrix)
        *matrix = (struct kernel_matrix){0};
    return failed;
}

int weights_stream(const struct weights_stream *s, struct error *e)
{
    const struct weights_request *q = s->request;
    struct weights *w = new_weights(s->k, q);
    if (!w)
        return error_set(e, ERROR_MEMORY, "no memory to go through %s: close other programs", q->model->name);
    struct weights_walk walk = {.visit = hand_over,
                                .w = w,
                                .total = weights_bytes(q),
                                .progress = s->progress,
                                .cancelled = s->cancelled,
                                .who = s->watcher,
                                .data = (void *)(uintptr_t)s,
                                .e = e};
    int failed = q->model->file[0] ? read_all(&walk) : weights_walk_all(&walk, false);
    free(w->rope_factors);
    free(w->layer);
    free(w);
    return failed;
}

bool weights_same(const struct weights_request *a, const struct weights_request *b)
{
    const struct model_spec *o = a->model, *m = b->model;
    const int mine[] = {o->family,      o->layers, o->d_model,   o->heads,    o->kv_heads,
                        o->head_dim,    o->ffn,    o->vocab,     o->context,  o->rotary_dims,
                        o->token_types, o->tied,   o->head_bias, o->mlm_head, o->headless};
    const int asked[] = {m->family,      m->layers, m->d_model,   m->heads,    m->kv_heads,
                         m->head_dim,    m->ffn,    m->vocab,     m->context,  m->rotary_dims,
                         m->token_types, m->tied,   m->head_bias, m->mlm_head, m->headless};
    return weights_dtype(a->precision) == weights_dtype(b->precision) &&
           (a->precision == PRECISION_STORED) == (b->precision == PRECISION_STORED) && a->seed == b->seed &&
           strcmp(o->file, m->file) == 0 && o->stored.changed_ns == m->stored.changed_ns &&
           strcmp(vocabulary_of(a), vocabulary_of(b)) == 0 && (a->sparsity > 0) == (b->sparsity > 0) &&
           memcmp(mine, asked, sizeof mine) == 0 && memcmp(&o->mamba, &m->mamba, sizeof o->mamba) == 0 &&
           fabs(o->norm_eps - m->norm_eps) <= 0;
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
