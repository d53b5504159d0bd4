/* What a shape asks for before anything is allocated: how its prompts are cut into pieces, and the bytes of
 * every buffer. */
#include "engine/model/forward_internal.h"
#include "engine/model/gguf_model.h"
#include "engine/model/model.h"

#include <math.h>

/* ---- cutting prompts into pieces ---- */

int forward_length_of(const struct forward_shape *s, int sequence)
{
    return s->lengths ? s->lengths[sequence] : s->length;
}

int forward_piece_limit(const struct kernels *k, const struct forward_shape *s)
{
    bool whole = s->model->family == MODEL_BERT;
    return whole && s->length > k->piece_rows ? s->length : k->piece_rows;
}

/* A sequence that fits into a piece of its own is not split. */
bool forward_next_piece(const struct forward_shape *s, int limit, struct forward_cut *c,
                        struct forward_piece_cut *p)
{
    *p = (struct forward_piece_cut){.first = c->sequence, .first_context = c->done};
    while (c->sequence < s->sequences && p->rows < limit) {
        int left = forward_length_of(s, c->sequence) - c->done, room = limit - p->rows;
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

void *forward_take(struct forward_arena *a, int64_t count, size_t element)
{
    size_t at = a->used;
    a->used += ((size_t)count * element + 63) / 64 * 64;
    return a->base ? a->base + at : NULL;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct kernel_attention forward_attention_of(const struct model_spec *m)
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

static size_t scan_need(const struct kernels *k, const struct forward_shape *s,
                        const struct kernel_batch *batch)
{
    struct kernel_ssm ssm = {
        .inner = s->model->mamba.inner, .states = s->model->mamba.state, .taps = s->model->mamba.conv};
    return s->implementation->attention == ATTENTION_FLASH ? k->ops->ssm_scan_workspace(k, &ssm, batch)
                                                           : k->ops->ssm_naive_workspace(k, &ssm, batch);
}

static size_t attention_need(const struct kernels *k, const struct forward_shape *s,
                             const struct kernel_batch *batch)
{
    if (s->model->family == MODEL_MAMBA)
        return scan_need(k, s, batch);
    struct kernel_attention a = forward_attention_of(s->model);
    return s->implementation->attention == ATTENTION_FLASH ? k->ops->attention_flash_workspace(k, &a, batch)
                                                           : k->ops->attention_naive_workspace(k, &a, batch);
}

/* The formats that the arm's products may have: one, or those of the model's file. */
static bool may_have(const struct forward_shape *s, enum kernel_dtype t)
{
    if (s->implementation->precision != PRECISION_STORED)
        return t == weights_dtype(s->implementation->precision);
    const struct gguf_type *type = gguf_model_type(t);
    return type && s->model->stored.types & UINT32_C(1) << type->id;
}

/* As forward_matrix. */
static bool quantizes(const struct forward_shape *s, enum kernel_dtype t)
{
    return s->implementation->activations == ACTIVATIONS_INT8 && kernel_is_integers(t);
}

static size_t mamba_layer_need(const struct kernels *k, const struct forward_shape *s, enum kernel_dtype t,
                               int rows)
{
    const struct model_spec *m = s->model;
    int64_t d = m->d_model, inner = m->mamba.inner, rank = m->mamba.dt_rank;
    enum kernel_dtype small = weights_small_dtype(t);
    int64_t halves = s->implementation->fusion & FUSION_QKV ? 2 : 1;
    bool quantize = quantizes(s, t);
    struct kernel_matrix shapes[] = {
        {.dtype = t, .rows = halves * inner, .cols = d, .quantize_input = quantize},
        {.dtype = small,
         .rows = rank + 2 * (int64_t)m->mamba.state,
         .cols = inner,
         .quantize_input = quantizes(s, small)},
        {.dtype = small, .rows = inner, .cols = rank, .quantize_input = quantizes(s, small)},
        {.dtype = t, .rows = d, .cols = inner, .quantize_input = quantize},
    };
    size_t need = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        need = larger(need, k->ops->product_workspace(k, &shapes[i], rows));
    return need;
}

/* The same where weights stand by channel: whole matrices need no less than their views. */
static size_t sparse_need(const struct kernels *k, const struct forward_shape *s, int rows)
{
    const struct model_spec *m = s->model;
    int64_t d = m->d_model, f = m->ffn, q = (int64_t)m->heads * m->head_dim,
            kv = (int64_t)m->kv_heads * m->head_dim;
    const int64_t shapes[][2] = {{q + 2 * kv, d}, {q, d}, {kv, d}, {d, q}, {2 * f, d}, {f, d}, {d, f}};
    size_t need = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct kernel_matrix w = {.dtype = weights_dtype(s->implementation->precision),
                                  .rows = shapes[i][0],
                                  .cols = shapes[i][1],
                                  .channel_stride = shapes[i][0]};
        need = larger(need, rows <= k->sparse_rows ? k->ops->sparse_product_workspace(k, &w, rows)
                                                   : k->ops->product_workspace(k, &w, rows));
        if (w.rows == 2 * f && rows > k->sparse_rows)
            need = larger(need, k->ops->gate_up_workspace(k, &w, rows));
    }
    return need;
}

/* Product workspace of one layer's products in format t at `rows`. */
static size_t layer_need_in(const struct kernels *k, const struct forward_shape *s, enum kernel_dtype t,
                            int rows)
{
    const struct model_spec *m = s->model;
    if (m->family == MODEL_MAMBA)
        return mamba_layer_need(k, s, t, rows);
    unsigned fusion = s->implementation->fusion;
    int64_t d = m->d_model, f = m->ffn, q = (int64_t)m->heads * m->head_dim,
            kv = (int64_t)m->kv_heads * m->head_dim;
    bool quantize = quantizes(s, t);
    struct kernel_matrix shapes[] = {
        {.dtype = t, .rows = fusion & FUSION_QKV ? q + 2 * kv : q, .cols = d, .quantize_input = quantize},
        {.dtype = t, .rows = q, .cols = d, .quantize_input = quantize}, /* apart in a file */
        {.dtype = t, .rows = kv, .cols = d, .quantize_input = quantize},
        {.dtype = t, .rows = d, .cols = q, .quantize_input = quantize},
        {.dtype = t, .rows = f, .cols = d, .quantize_input = quantize},
        {.dtype = t, .rows = d, .cols = f, .quantize_input = quantize},
    };
    size_t need = 0;
    if (s->implementation->sparsity > 0)
        return sparse_need(k, s, rows);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        need = larger(need, k->ops->product_workspace(k, &shapes[i], rows));
    if (m->family == MODEL_LLAMA && fusion & FUSION_GATE_UP) {
        struct kernel_matrix both = {.dtype = t, .rows = 2 * f, .cols = d, .quantize_input = quantize};
        need = larger(need, k->ops->gate_up_workspace(k, &both, rows));
    }
    return need;
}

static size_t layer_need(const struct kernels *k, const struct forward_shape *s, int rows)
{
    size_t need = 0;
    for (int t = 0; t < KERNEL_DTYPES; t++)
        if (may_have(s, (enum kernel_dtype)t))
            need = larger(need, layer_need_in(k, s, (enum kernel_dtype)t, rows));
    return need;
}

/* Rows of logits at once: enough for a product of matrices, few enough for any vocabulary. */
static int head_rows(const struct forward_shape *s)
{
    enum { AT_ONCE = 64 };
    int64_t tokens = 0;
    for (int i = 0; i < s->sequences && tokens < AT_ONCE; i++)
        tokens += forward_length_of(s, i);
    return tokens < AT_ONCE ? (int)tokens : AT_ONCE;
}

static size_t head_need_in(const struct kernels *k, const struct forward_shape *s, enum kernel_dtype t)
{
    const struct model_spec *m = s->model;
    struct kernel_matrix head = {
        .dtype = t, .rows = m->vocab, .cols = m->d_model, .quantize_input = quantizes(s, t)};
    struct kernel_matrix transform = head;
    transform.rows = m->d_model;
    size_t need = k->ops->product_workspace(k, &head, s->sequences);
    if (m->family == MODEL_BERT)
        need = larger(need, k->ops->product_workspace(k, &transform, s->sequences));
    if (s->implementation->fusion & FUSION_HEAD_ARGMAX)
        need = larger(need, k->ops->head_argmax_workspace(k, &head, s->sequences));
    if (s->all_rows)
        need = larger(need, k->ops->product_workspace(k, &head, head_rows(s)));
    return need;
}

static size_t head_need(const struct kernels *k, const struct forward_shape *s)
{
    size_t need = 0;
    for (int t = 0; t < KERNEL_DTYPES; t++)
        if (may_have(s, (enum kernel_dtype)t))
            need = larger(need, head_need_in(k, s, (enum kernel_dtype)t));
    return need;
}

struct forward_demand forward_demand_of(const struct kernels *k, const struct forward_shape *s)
{
    struct forward_demand need = {.product = head_need(k, s)};
    struct forward_cut cut = {0};
    struct forward_piece_cut p, before = {0};
    int limit = forward_piece_limit(k, s);
    while (forward_next_piece(s, limit, &cut, &p)) {
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
void forward_place(struct forward *f, const struct kernels *k, const struct forward_shape *s,
                   const struct forward_demand *need, struct forward_arena *activations,
                   struct forward_arena *tables)
{
    const struct model_spec *m = s->model;
    unsigned fusion = s->implementation->fusion;
    size_t element = kernel_dtype_bytes(k->activation);
    int64_t rows = need->rows, d = m->d_model, q = (int64_t)m->heads * m->head_dim;
    int64_t qkv = q + 2 * (int64_t)m->kv_heads * m->head_dim, n = s->sequences;
    bool apart = s->implementation->precision == PRECISION_STORED && m->stored.split_gate_up > 0;
    bool two_ffn = m->family == MODEL_LLAMA && (!(fusion & FUSION_GATE_UP) || apart);
    int64_t ffn = (int64_t)m->ffn * (two_ffn ? 2 : 1);
    if (m->family == MODEL_MAMBA) {
        q = ffn = m->mamba.inner;
        qkv = 2 * q;
        f->select = forward_take(activations, rows * (m->mamba.dt_rank + 2 * m->mamba.state), element);
        f->dt = forward_take(activations, rows * q, element);
    }
    f->x = forward_take(activations, rows * d, element);
    f->h = forward_take(activations, rows * d, element);
    f->qkv = forward_take(activations, rows * qkv, element);
    f->mixed = forward_take(activations, rows * q, element);
    f->branch = forward_take(activations, rows * d, element);
    f->ffn = forward_take(activations, rows * ffn, element);
    f->last = forward_take(activations, n * d, element);
    f->last_branch = forward_take(activations, n * d, element);
    f->hidden = forward_take(activations, n * d, element);
    bool logits =
        (s->keep_logits || !(fusion & FUSION_HEAD_ARGMAX)) && !forward_has_pooler(m) && !s->all_rows;
    f->logits = logits ? forward_take(activations, n * m->vocab, sizeof(float)) : NULL;
    f->rows = s->all_rows ? (int)need->tokens : 0;
    f->rows_at_once = s->all_rows ? head_rows(s) : 0;
    f->rows_hidden = s->all_rows ? forward_take(activations, f->rows * d, element) : NULL;
    f->row_logits =
        s->all_rows ? forward_take(activations, (int64_t)f->rows_at_once * m->vocab, sizeof(float)) : NULL;
    f->attention_workspace = forward_take(activations, (int64_t)need->attention, 1);

    if (s->implementation->sparsity > 0) {
        int64_t listed = rows < k->sparse_rows ? rows : k->sparse_rows,
                widest = model_widest_kept(m, s->implementation->sparsity);
        f->thin.channel = forward_take(tables, listed * widest, sizeof(int32_t));
        f->thin.value = forward_take(tables, listed * widest, sizeof(float));
    }
    f->product_workspace = forward_take(tables, (int64_t)need->product, 1);
    f->ids = forward_take(tables, need->tokens, sizeof(int32_t));
    f->next = forward_take(tables, n, sizeof(int32_t));
    f->prompt_next = forward_take(tables, n, sizeof(int32_t));
    f->context = forward_take(tables, n, sizeof(int32_t));
    f->step_start = forward_take(tables, n + 1, sizeof(int32_t));
    f->rope.dims = m->rotary_dims;
    f->rope.table = forward_take(tables, (int64_t)(s->length + s->steps) * m->rotary_dims, sizeof(float));
}

/* The backend with the activations of the precision; one that has none but fp32 has these. */
struct kernels *forward_view_of(const struct kernels *base, enum kernel_dtype activation)
{
    struct kernels *k = (struct kernels *)(uintptr_t)base; /* a view is the same backend */
    struct kernels *view = k->ops->view(k, activation);
    return view ? view : k;
}

struct kernels *forward_view(const struct kernels *base, const struct forward_shape *s)
{
    return forward_view_of(base, weights_activation(s->model, s->implementation->precision));
}

/* Activations in fp32 leave the cache the precision of the weights, and fp16 where that is smaller. */
static enum kernel_dtype cache_dtype(const struct kernels *k, enum precision_kind precision)
{
    enum kernel_dtype t = weights_dtype(precision);
    if (k->activation != KERNEL_FP32)
        return k->activation;
    return t == KERNEL_FP32 || t == KERNEL_BF16 ? t : KERNEL_FP16;
}

struct kv_cache_shape forward_cache_shape(const struct kernels *k, const struct forward_shape *s)
{
    const struct model_spec *m = s->model;
    return (struct kv_cache_shape){
        .kind = s->implementation->kv_cache,
        .dtype = cache_dtype(k, weights_like(m, s->implementation->precision)),
        .layers = m->family == MODEL_BERT ? 1 : m->layers,
        .kv_heads = m->kv_heads,
        .head_dim = m->head_dim,
        .block_size = kv_cache_block_size(s->implementation->kv_cache),
        .sequences = s->sequences,
        .capacity = s->length + s->steps,
    };
}

struct state_cache_shape forward_state_shape(const struct kernels *k, const struct forward_shape *s)
{
    const struct model_spec *m = s->model;
    return (struct state_cache_shape){
        .window = k->activation,
        .layers = m->layers,
        .sequences = s->sequences,
        .inner = m->mamba.inner,
        .states = m->mamba.state,
        .taps = m->mamba.conv,
        .keeps = s->steps > 0,
    };
}

/* Of keys and values, or of states; beside them a block table, or the states after the prompt. */
static void cache_sizes(const struct kernels *k, const struct forward_shape *s, int64_t *pool,
                        int64_t *beside)
{
    struct kv_cache_shape cache = forward_cache_shape(k, s);
    struct state_cache_shape states = forward_state_shape(k, s);
    if (s->model->family == MODEL_MAMBA)
        state_cache_sizes(&states, pool, beside);
    else
        kv_cache_sizes(&cache, pool, beside);
}

void forward_sizes(const struct kernels *base, const struct forward_shape *shape, struct forward_sizes *out)
{
    const struct kernels *k = forward_view(base, shape);
    struct forward scratch = {0};
    struct forward_arena activations = {0}, tables = {0};
    struct forward_demand need = forward_demand_of(k, shape);
    int64_t pool, table;
    cache_sizes(k, shape, &pool, &table);
    forward_place(&scratch, k, shape, &need, &activations, &tables);
    forward_take(&tables, need.piece_ints, sizeof(int32_t));
    bool encoder = shape->model->family == MODEL_BERT; /* its keys and values outlive no layer */
    *out = (struct forward_sizes){
        .activations = (int64_t)activations.used + (encoder ? pool : 0),
        .kv_cache = encoder ? 0 : pool,
        .overhead = (int64_t)tables.used + table,
    };
}
