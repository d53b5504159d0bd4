#include "engine/model/forward_internal.h"

#include "engine/model/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct forward_family *family_of(const struct model_spec *m)
{
    switch (m->family) {
    case MODEL_GPT2:
        return &forward_gpt2;
    case MODEL_PHI2:
        return &forward_phi2;
    case MODEL_BERT:
        return &forward_bert;
    default:
        return &forward_llama;
    }
}

static bool has_pooler(const struct model_spec *m)
{
    return m->family == MODEL_BERT && !m->mlm_head;
}

/* ---- cutting prompts into pieces ---- */

struct cut {
    int sequence, done; /* where the next piece starts */
};

struct cut_piece {
    int first, n, first_context; /* only a piece's first sequence may continue an earlier piece */
    int rows, max_rows, max_context, outs;
};

static int length_of(const struct forward_shape *s, int sequence)
{
    return s->lengths ? s->lengths[sequence] : s->length;
}

static int piece_limit(const struct forward_shape *s)
{
    bool whole = s->model->family == MODEL_BERT;
    return whole && s->length > FORWARD_PIECE ? s->length : FORWARD_PIECE;
}

/* A sequence that fits into a piece of its own is not split. */
static bool next_piece(const struct forward_shape *s, struct cut *c, struct cut_piece *p)
{
    *p = (struct cut_piece){.first = c->sequence, .first_context = c->done};
    int limit = piece_limit(s);
    while (c->sequence < s->sequences && p->rows < limit) {
        int left = length_of(s, c->sequence) - c->done, room = limit - p->rows;
        if (left > room && p->n > 0)
            break;
        int take = left < room ? left : room;
        p->n++;
        p->rows += take;
        p->max_rows = take > p->max_rows ? take : p->max_rows;
        p->max_context = c->done + take > p->max_context ? c->done + take : p->max_context;
        if (take < left) {
            c->done += take;
            break;
        }
        p->outs++;
        c->sequence++;
        c->done = 0;
    }
    return p->n > 0;
}

/* ---- sizes ---- */

struct arena {
    char *base; /* NULL while measuring */
    size_t used;
};

static void *take(struct arena *a, int64_t count, size_t element)
{
    size_t at = a->used;
    a->used += ((size_t)count * element + 63) / 64 * 64;
    return a->base ? a->base + at : NULL;
}

/* What the pieces and steps of a shape need, found by walking them once. */
struct demand {
    int pieces, rows;
    int64_t tokens, piece_ints;
    size_t attention, product;
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static struct kernel_attention attention_of(const struct model_spec *m)
{
    return (struct kernel_attention){
        .heads = m->heads,
        .kv_heads = m->kv_heads,
        .head_dim = m->head_dim,
        .scale = (float)(1 / sqrt(m->head_dim)),
        .window = m->window,
        .causal = m->family != MODEL_BERT,
    };
}

static size_t attention_need(const struct kernels *k, const struct forward_shape *s,
                             const struct kernel_batch *batch)
{
    struct kernel_attention a = attention_of(s->model);
    return s->implementation->attention == ATTENTION_FLASH ? k->ops->attention_flash_workspace(k, &a, batch)
                                                           : k->ops->attention_naive_workspace(k, &a, batch);
}

/* Product workspace of one layer's products at `rows`. */
static size_t layer_need(const struct kernels *k, const struct forward_shape *s, int rows)
{
    const struct model_spec *m = s->model;
    enum kernel_dtype t = weights_dtype(s->implementation->precision);
    unsigned fusion = s->implementation->fusion;
    int64_t d = m->d_model, f = m->ffn, q = (int64_t)m->heads * m->head_dim,
            kv = (int64_t)m->kv_heads * m->head_dim;
    struct kernel_matrix shapes[] = {
        {.dtype = t, .rows = fusion & FUSION_QKV ? q + 2 * kv : q, .cols = d},
        {.dtype = t, .rows = kv, .cols = d},
        {.dtype = t, .rows = d, .cols = q},
        {.dtype = t, .rows = f, .cols = d},
        {.dtype = t, .rows = d, .cols = f},
    };
    size_t need = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        need = larger(need, k->ops->product_workspace(k, &shapes[i], rows));
    if (m->family == MODEL_LLAMA && fusion & FUSION_GATE_UP) {
        struct kernel_matrix both = {.dtype = t, .rows = 2 * f, .cols = d};
        need = larger(need, k->ops->gate_up_workspace(k, &both, rows));
    }
    return need;
}

static size_t head_need(const struct kernels *k, const struct forward_shape *s)
{
    const struct model_spec *m = s->model;
    enum kernel_dtype t = weights_dtype(s->implementation->precision);
    struct kernel_matrix transform = {.dtype = t, .rows = m->d_model, .cols = m->d_model};
    struct kernel_matrix head = {.dtype = t, .rows = m->vocab, .cols = m->d_model};
    size_t need = k->ops->product_workspace(k, &head, s->sequences);
    if (m->family == MODEL_BERT)
        need = larger(need, k->ops->product_workspace(k, &transform, s->sequences));
    if (s->implementation->fusion & FUSION_HEAD_ARGMAX)
        need = larger(need, k->ops->head_argmax_workspace(k, &head, s->sequences));
    return need;
}

static struct demand demand_of(const struct kernels *k, const struct forward_shape *s)
{
    struct demand need = {.product = head_need(k, s)};
    struct cut cut = {0};
    struct cut_piece p, before = {0};
    while (next_piece(s, &cut, &p)) {
        need.pieces++;
        need.tokens += p.rows;
        need.piece_ints += 2 * p.n + 1 + p.outs;
        if (p.rows != before.rows)
            need.product = larger(need.product, layer_need(k, s, p.rows));
        if (p.rows != before.rows || p.n != before.n || p.max_context != before.max_context) {
            struct kernel_batch b = {
                .sequences = p.n, .rows = p.rows, .max_rows = p.max_rows, .max_context = p.max_context};
            need.attention = larger(need.attention, attention_need(k, s, &b));
        }
        need.rows = p.rows > need.rows ? p.rows : need.rows;
        before = p;
    }
    if (s->steps > 0) {
        struct kernel_batch b = {.sequences = s->sequences,
                                 .rows = s->sequences,
                                 .max_rows = 1,
                                 .max_context = s->length + s->steps};
        need.attention = larger(need.attention, attention_need(k, s, &b));
        need.product = larger(need.product, layer_need(k, s, s->sequences));
        need.rows = s->sequences > need.rows ? s->sequences : need.rows;
    }
    return need;
}

/* Gives every buffer its place; with NULL bases it only measures. */
static void place(struct forward *f, const struct kernels *k, const struct forward_shape *s,
                  const struct demand *need, struct arena *activations, struct arena *tables)
{
    const struct model_spec *m = s->model;
    unsigned fusion = s->implementation->fusion;
    size_t element = kernel_dtype_bytes(k->activation);
    int64_t rows = need->rows, d = m->d_model, q = (int64_t)m->heads * m->head_dim;
    int64_t qkv = q + 2 * (int64_t)m->kv_heads * m->head_dim, n = s->sequences;
    bool two_ffn = m->family == MODEL_LLAMA && !(fusion & FUSION_GATE_UP);
    f->x = take(activations, rows * d, element);
    f->h = take(activations, rows * d, element);
    f->qkv = take(activations, rows * qkv, element);
    f->mixed = take(activations, rows * q, element);
    f->branch = take(activations, rows * d, element);
    f->ffn = take(activations, rows * m->ffn * (two_ffn ? 2 : 1), element);
    f->last = take(activations, n * d, element);
    f->last_branch = take(activations, n * d, element);
    f->hidden = take(activations, n * d, element);
    bool logits = !(fusion & FUSION_HEAD_ARGMAX) && !has_pooler(m);
    f->logits = logits ? take(activations, n * m->vocab, element) : NULL;
    f->attention_workspace = take(activations, (int64_t)need->attention, 1);

    f->product_workspace = take(tables, (int64_t)need->product, 1);
    f->ids = take(tables, need->tokens, sizeof(int32_t));
    f->next = take(tables, n, sizeof(int32_t));
    f->prompt_next = take(tables, n, sizeof(int32_t));
    f->context = take(tables, n, sizeof(int32_t));
    f->step_start = take(tables, n + 1, sizeof(int32_t));
    f->rope.dims = m->rotary_dims;
    f->rope.table = take(tables, (int64_t)(s->length + s->steps) * m->rotary_dims, sizeof(float));
}

static struct kv_cache_shape cache_shape(const struct forward_shape *s)
{
    const struct model_spec *m = s->model;
    enum kernel_dtype t = weights_dtype(s->implementation->precision);
    return (struct kv_cache_shape){
        .kind = s->implementation->kv_cache,
        .dtype = t == KERNEL_INT8 ? KERNEL_FP16 : t,
        .layers = m->family == MODEL_BERT ? 1 : m->layers,
        .kv_heads = m->kv_heads,
        .head_dim = m->head_dim,
        .block_size = KV_CACHE_BLOCK,
        .sequences = s->sequences,
        .capacity = s->length + s->steps,
    };
}

void forward_sizes(const struct kernels *k, const struct forward_shape *shape, struct forward_sizes *out)
{
    struct forward scratch = {0};
    struct arena activations = {0}, tables = {0};
    struct demand need = demand_of(k, shape);
    struct kv_cache_shape cache = cache_shape(shape);
    int64_t pool, table;
    kv_cache_sizes(&cache, &pool, &table);
    place(&scratch, k, shape, &need, &activations, &tables);
    take(&tables, need.piece_ints, sizeof(int32_t));
    bool encoder = shape->model->family == MODEL_BERT; /* its keys and values outlive no layer */
    *out = (struct forward_sizes){
        .activations = (int64_t)activations.used + (encoder ? pool : 0),
        .kv_cache = encoder ? 0 : pool,
        .overhead = (int64_t)tables.used + table,
    };
}

/* ---- creation ---- */

/* Uploads where each piece's sequences start, their contexts, and the rows the head needs. */
static int fill_pieces(struct forward *f, const struct forward_shape *s, int64_t ints, int32_t *to)
{
    int32_t *host = malloc((size_t)ints * sizeof *host);
    if (!host)
        return -1;
    struct cut cut = {0};
    struct cut_piece p;
    int64_t at = 0;
    const int32_t *ids = f->ids;
    for (int i = 0; next_piece(s, &cut, &p); i++) {
        int32_t *start = host + at, *context = start + p.n + 1, *out = context + p.n;
        start[0] = 0;
        for (int j = 0; j < p.n; j++) {
            context[j] = j == 0 ? p.first_context : 0;
            int left = length_of(s, p.first + j) - context[j], room = p.rows - start[j];
            start[j + 1] = start[j] + (left < room ? left : room);
            if (j < p.outs)
                out[j] = f->attention.causal ? start[j + 1] - 1 : start[j];
        }
        f->piece[i] = (struct forward_pass){
            .batch = {p.n, p.rows, p.max_rows, p.max_context, to + at, to + at + p.n + 1},
            .ids = ids,
            .first_sequence = p.first,
            .out_row = to + at + 2 * p.n + 1,
            .first_out = p.first,
            .outs = p.outs,
        };
        at += 2 * p.n + 1 + p.outs;
        ids += p.rows;
    }
    f->ops->upload(f->k, to, host, (size_t)ints * sizeof *host);
    f->ops->synchronize(f->k);
    free(host);
    return 0;
}

static int fill_tables(struct forward *f, const int32_t *ids, int64_t tokens)
{
    const struct kernel_ops *ops = f->ops;
    ops->upload(f->k, f->ids, ids, (size_t)tokens * sizeof *ids);
    size_t starts = (size_t)f->sequences + 1, pairs = (size_t)f->capacity * (size_t)f->rope.dims;
    int32_t *start = malloc(starts * sizeof *start);
    float *rope = malloc((pairs ? pairs : 1) * sizeof *rope);
    if (start && rope) {
        for (size_t s = 0; s < starts; s++)
            start[s] = (int32_t)s;
        ops->upload(f->k, f->step_start, start, starts * sizeof *start);
        rope_table(&f->model, f->capacity, rope);
        ops->upload(f->k, (void *)(uintptr_t)f->rope.table, rope, pairs * sizeof *rope);
        ops->synchronize(f->k);
    }
    int failed = !start || !rope;
    free(start);
    free(rope);
    return failed ? -1 : 0;
}

static int allocate(struct forward *f, const struct forward_shape *s, const int32_t *ids, struct error *e)
{
    struct demand need = demand_of(f->k, s);
    struct arena activations = {0}, tables = {0};
    place(f, f->k, s, &need, &activations, &tables);
    take(&tables, need.piece_ints, sizeof(int32_t));
    f->activation_bytes = activations.used;
    f->table_bytes = tables.used;
    f->activations = f->ops->alloc(f->k, f->activation_bytes);
    f->tables = f->ops->alloc(f->k, f->table_bytes);
    f->piece = calloc((size_t)need.pieces, sizeof *f->piece);
    f->length = malloc((size_t)f->sequences * sizeof *f->length);
    f->pieces = need.pieces;
    if (!f->activations || !f->tables || !f->piece || !f->length)
        return error_set(e, ERROR_MEMORY,
                         "no memory for %.2f GiB of activations: choose a smaller batch or sequence",
                         (double)(f->activation_bytes + f->table_bytes) / 0x1p30);
    for (int i = 0; i < f->sequences; i++)
        f->length[i] = length_of(s, i);
    activations = (struct arena){f->activations, 0};
    tables = (struct arena){f->tables, 0};
    place(f, f->k, s, &need, &activations, &tables);
    int32_t *ints = take(&tables, need.piece_ints, sizeof(int32_t));
    if (fill_pieces(f, s, need.piece_ints, ints) || fill_tables(f, ids, need.tokens))
        return error_set(e, ERROR_MEMORY, "no memory for the tables of a batch: choose a smaller batch");
    struct kv_cache_shape cache = cache_shape(s);
    f->kv = kv_cache_create(f->k, &cache, e);
    return f->kv ? 0 : -1;
}

struct forward *forward_create(struct kernels *k, struct weights *weights, const struct forward_shape *shape,
                               const int32_t *ids, struct error *e)
{
    struct forward *f = calloc(1, sizeof *f);
    if (!f) {
        error_set(e, ERROR_MEMORY, "no memory to prepare %s: close other programs", shape->model->name);
        return NULL;
    }
    f->k = k;
    f->ops = k->ops;
    f->w = weights_hold(weights);
    f->model = *shape->model;
    f->implementation = *shape->implementation;
    f->fusion = shape->implementation->fusion;
    f->sequences = shape->sequences;
    f->longest = shape->length;
    f->steps = shape->steps;
    f->capacity = shape->length + shape->steps;
    f->attention = attention_of(shape->model);
    f->family = family_of(shape->model);
    if (allocate(f, shape, ids, e) || forward_clear(f, e)) {
        forward_free(f);
        return NULL;
    }
    return f;
}

void forward_free(struct forward *f)
{
    if (!f)
        return;
    kv_cache_free(f->kv);
    if (f->activations)
        f->ops->free(f->k, f->activations, f->activation_bytes);
    if (f->tables)
        f->ops->free(f->k, f->tables, f->table_bytes);
    weights_release(f->w);
    free(f->piece);
    free(f->length);
    free(f);
}

void forward_watch(struct forward *f, void (*progress)(void *, const char *, double),
                   bool (*cancelled)(void *), void *who)
{
    f->progress = progress;
    f->cancelled = cancelled;
    f->who = who;
}

/* ---- running ---- */

/* Embeds the rows, takes them through all layers, keeps those the head needs. */
static int run_pass(struct forward *f, const struct forward_pass *p, struct error *e)
{
    const struct weights *w = f->w;
    const struct kernel_ops *ops = f->ops;
    int d = f->model.d_model;
    f->pending = false;
    ops->embed(f->k, f->x, &w->embedding, p->ids, w->positions.data ? &w->positions : NULL,
               w->types.data ? &w->types : NULL, &p->batch);
    for (int l = 0; l < f->model.layers; l++) {
        if (f->cancelled && f->cancelled(f->who))
            return error_set(e, ERROR_CANCELLED, "stopped between layers: run again for a whole pass");
        f->family->layer(f, p, l);
    }
    if (!p->out_row || p->outs == 0)
        return 0;
    int64_t at = (int64_t)p->first_out * d;
    ops->gather_rows(f->k, forward_at(f, f->last, at), f->x, d, p->out_row, p->outs, d);
    if (f->pending)
        ops->gather_rows(f->k, forward_at(f, f->last_branch, at), f->branch, d, p->out_row, p->outs, d);
    return 0;
}

/* The likeliest token of every row of hidden. A pooler ends before. */
static void choose(struct forward *f, int32_t *ids)
{
    const struct weights *w = f->w;
    if (has_pooler(&f->model))
        return;
    if (forward_fuses(f, FUSION_HEAD_ARGMAX)) {
        f->ops->head_argmax(f->k, ids, f->hidden, f->model.d_model, &w->head, w->head_bias, f->sequences,
                            f->product_workspace);
        return;
    }
    forward_linear(f, f->logits, f->hidden, &w->head, w->head_bias, KERNEL_LINEAR, f->sequences);
    f->ops->argmax(f->k, ids, f->logits, f->sequences, f->model.vocab);
}

static int resize_all(struct forward *f, bool to_prompt, struct error *e)
{
    for (int s = 0; s < f->sequences; s++)
        if (kv_cache_resize(f->kv, s, to_prompt ? f->length[s] : 0, e))
            return -1;
    f->ops->upload(f->k, f->context, f->length, (size_t)f->sequences * sizeof *f->length);
    f->fed = f->prompt_next;
    f->taken = 0;
    return 0;
}

int forward_clear(struct forward *f, struct error *e)
{
    return resize_all(f, false, e);
}

int forward_rewind(struct forward *f, struct error *e)
{
    return resize_all(f, true, e);
}

int forward_prefill(struct forward *f, struct error *e)
{
    for (int i = 0; i < f->pieces; i++) {
        const struct forward_pass *p = &f->piece[i];
        for (int s = 0; s < p->batch.sequences; s++) {
            int sequence = p->first_sequence + s;
            int length = s < p->outs ? f->length[sequence] : p->batch.max_context;
            if (kv_cache_resize(f->kv, sequence, length, e))
                return -1;
        }
        if (run_pass(f, p, e))
            return -1;
        if (f->progress)
            f->progress(f->who, "prompt", (double)(i + 1) / f->pieces);
    }
    f->family->finish(f, f->last, f->last_branch);
    choose(f, f->prompt_next);
    return 0;
}

int forward_step(struct forward *f, struct error *e)
{
    if (f->taken >= f->steps)
        return error_set(
            e, ERROR_FAILED,
            "all %d decode steps this arm was prepared for are used: ask for fewer samples per block",
            f->steps);
    for (int s = 0; s < f->sequences; s++)
        if (kv_cache_resize(f->kv, s, f->length[s] + f->taken + 1, e))
            return -1;
    struct forward_pass p = {
        .batch = {f->sequences, f->sequences, 1, f->longest + f->taken + 1, f->step_start, f->context},
        .ids = f->fed,
    };
    if (run_pass(f, &p, e))
        return -1;
    f->family->finish(f, f->x, f->branch);
    choose(f, f->next);
    f->ops->advance(f->k, f->context, f->sequences, 1);
    f->fed = f->next;
    f->taken++;
    return 0;
}

void forward_next(struct forward *f, int32_t *out)
{
    f->ops->download(f->k, out, f->fed, (size_t)f->sequences * sizeof *out);
}

void forward_set_next(struct forward *f, const int32_t *ids)
{
    f->ops->upload(f->k, f->next, ids, (size_t)f->sequences * sizeof *ids);
    f->fed = f->next;
}

int forward_width(const struct forward *f)
{
    return has_pooler(&f->model) ? f->model.d_model : f->model.vocab;
}

int forward_logits(struct forward *f, float *out, struct error *e)
{
    size_t bytes = (size_t)f->sequences * (size_t)forward_width(f) * kernel_dtype_bytes(f->k->activation);
    if (has_pooler(&f->model)) {
        f->ops->download(f->k, out, f->hidden, bytes);
        return 0;
    }
    void *logits = f->logits ? f->logits : f->ops->alloc(f->k, bytes);
    if (!logits)
        return error_set(e, ERROR_MEMORY, "no memory for the logits of %d sequences: choose a smaller batch",
                         f->sequences);
    forward_linear(f, logits, f->hidden, &f->w->head, f->w->head_bias, KERNEL_LINEAR, f->sequences);
    f->ops->download(f->k, out, logits, bytes);
    if (!f->logits)
        f->ops->free(f->k, logits, bytes);
    return 0;
}

int forward_length(const struct forward *f)
{
    int longest = 0;
    for (int s = 0; s < f->sequences; s++)
        if (kv_cache_length(f->kv, s) > longest)
            longest = kv_cache_length(f->kv, s);
    return longest;
}

int64_t forward_kv_used(const struct forward *f)
{
    return kv_cache_used_bytes(f->kv);
}
