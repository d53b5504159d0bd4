/* The steps all families are made of, each in its unfused and its fused form. */
#include "engine/model/forward_internal.h"

#include "engine/model/model.h"

void forward_product(struct forward *f, void *out, int out_stride, const void *x, int x_stride,
                     const struct kernel_matrix *m, const float *bias, enum kernel_activation activation,
                     int rows)
{
    struct kernel_epilogue epilogue = {.bias = bias, .activation = activation};
    struct kernel_matrix w = forward_matrix(f, m);
    if (f->thin.keep) {
        f->ops->sparse_product(f->k, out, out_stride, &f->thin, &w, &epilogue, rows, f->product_workspace);
        return;
    }
    f->ops->product(f->k, out, out_stride, x, x_stride, &w, &epilogue, rows, f->product_workspace);
}

void forward_linear(struct forward *f, void *out, const void *x, const struct kernel_matrix *m,
                    const float *bias, enum kernel_activation activation, int rows)
{
    int width = (int)m->rows, inputs = (int)m->cols;
    if (forward_fuses(f, FUSION_BIAS_GELU)) {
        forward_product(f, out, width, x, inputs, m, bias, activation, rows);
        return;
    }
    forward_product(f, out, width, x, inputs, m, NULL, KERNEL_LINEAR, rows);
    if (bias)
        f->ops->add_bias(f->k, out, width, bias, rows, width);
    if (activation != KERNEL_LINEAR)
        f->ops->activate(f->k, out, activation, (int64_t)rows * width);
}

void forward_thin(struct forward *f, void *x, int width, bool rotated, int rows)
{
    f->thin.keep = 0;
    if (f->implementation.sparsity <= 0)
        return;
    int keep = model_kept(width, f->implementation.sparsity, rotated);
    if (rows > f->k->sparse_rows) {
        f->ops->mask_top_k(f->k, x, width, width, keep, rows);
        return;
    }
    f->thin.keep = keep;
    f->ops->top_k(f->k, &f->thin, x, width, width, rows);
}

void forward_head_rows(struct forward *f, float *logits, const void *hidden, int rows)
{
    const struct weights *w = f->w;
    int d = f->model.d_model, vocab = f->model.vocab;
    bool in_epilogue = forward_fuses(f, FUSION_BIAS_GELU);
    struct kernel_matrix head = forward_matrix(f, &w->head);
    struct kernel_epilogue epilogue = {.bias = in_epilogue ? w->head_bias : NULL, .fp32 = true};
    f->ops->product(f->k, logits, vocab, hidden, d, &head, &epilogue, rows, f->product_workspace);
    if (w->head_bias && !in_epilogue)
        f->ops->add_bias(f->logits_k, logits, vocab, w->head_bias, rows, vocab);
}

void forward_head(struct forward *f, float *logits)
{
    forward_head_rows(f, logits, f->hidden, f->sequences);
}

void forward_normalize(struct forward *f, const struct kernel_norm *norm, int rows)
{
    if (f->pending)
        f->ops->add_norm(f->k, f->h, f->x, f->branch, norm, rows);
    else
        f->ops->norm(f->k, f->h, f->x, norm, rows);
    f->pending = false;
}

void forward_close_branch(struct forward *f, int rows)
{
    if (forward_fuses(f, FUSION_RESIDUAL_NORM))
        f->pending = true;
    else
        f->ops->add(f->k, f->x, f->x, f->branch, (int64_t)rows * f->model.d_model);
}

/* q, k, v side by side in one row: one product, or three into its columns, as also where a file keeps them in
 * different types. */
static void project(struct forward *f, const struct weights_layer *l, const void *from, int rows)
{
    const struct kernel_attention *a = &f->attention;
    int d = f->model.d_model, q = a->heads * a->head_dim, kv = a->kv_heads * a->head_dim, width = q + 2 * kv;
    bool in_epilogue = forward_fuses(f, FUSION_BIAS_GELU);
    if (forward_fuses(f, FUSION_QKV) && l->qkv.data) {
        forward_linear(f, f->qkv, from, &l->qkv, l->qkv_bias, KERNEL_LINEAR, rows);
        return;
    }
    const int first[3] = {0, q, q + kv}, count[3] = {q, kv, kv};
    for (int i = 0; i < 3; i++) {
        struct kernel_matrix part = weights_part(&f->model, l, i);
        const float *bias = l->qkv_bias ? l->qkv_bias + first[i] : NULL;
        void *out = forward_at(f, f->qkv, first[i]);
        forward_product(f, out, width, from, d, &part, in_epilogue ? bias : NULL, KERNEL_LINEAR, rows);
        if (bias && !in_epilogue)
            f->ops->add_bias(f->k, out, width, bias, rows, count[i]);
    }
}

static void rotate_and_store(struct forward *f, const struct forward_pass *p, const struct kernel_kv *kv)
{
    const struct kernel_attention *a = &f->attention;
    int q = a->heads * a->head_dim, keys = a->kv_heads * a->head_dim, stride = q + 2 * keys;
    if (f->rope.dims && forward_fuses(f, FUSION_ROPE_CACHE)) {
        f->ops->rope_cache(f->k, f->qkv, stride, a, &f->rope, kv, &p->batch);
        return;
    }
    void *k = forward_at(f, f->qkv, q), *v = forward_at(f, f->qkv, q + keys);
    if (f->rope.dims) {
        f->ops->rope(f->k, f->qkv, stride, a->heads, a->head_dim, &f->rope, &p->batch);
        f->ops->rope(f->k, k, stride, a->kv_heads, a->head_dim, &f->rope, &p->batch);
    }
    f->ops->cache_write(f->k, kv, k, v, stride, &p->batch);
}

void forward_attend(struct forward *f, const struct forward_pass *p, int layer, const void *from)
{
    const struct weights_layer *l = &f->w->layer[layer];
    const struct kernel_attention *a = &f->attention;
    int stride = (a->heads + 2 * a->kv_heads) * a->head_dim;
    bool encoder = f->model.family == MODEL_BERT; /* its layers take turns in one layer's cache */
    struct kernel_kv kv = kv_cache_layer(f->kv, encoder ? 0 : layer, p->first_sequence);
    project(f, l, from, p->batch.rows);
    rotate_and_store(f, p, &kv);
    if (f->implementation.attention == ATTENTION_FLASH)
        f->ops->attention_flash(f->k, f->mixed, f->qkv, stride, &kv, a, &p->batch, f->attention_workspace);
    else
        f->ops->attention_naive(f->k, f->mixed, f->qkv, stride, &kv, a, &p->batch, f->attention_workspace);
}

void forward_finish_rows(struct forward *f, void *out, void *x, const void *branch, int rows)
{
    const struct kernel_norm *norm = &f->w->final_norm;
    if (f->pending)
        f->ops->add_norm(f->k, out, x, branch, norm, rows);
    else
        f->ops->norm(f->k, out, x, norm, rows);
    f->pending = false;
}

void forward_finish(struct forward *f, void *x, const void *branch)
{
    forward_finish_rows(f, f->hidden, x, branch, f->sequences);
}
