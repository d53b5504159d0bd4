/* BERT: an encoder with post-norm LayerNorm, attention in both directions, GELU (erf form); then, for the
 * first row of each sequence, the masked-language transform or the pooler. */
#include "engine/model/forward_internal.h"

/* x = norm(x + branch) */
static void close_post_norm(struct forward *f, const struct kernel_norm *norm, int rows)
{
    if (forward_fuses(f, FUSION_RESIDUAL_NORM)) {
        f->ops->add_norm(f->k, f->x, f->x, f->branch, norm, rows);
        return;
    }
    f->ops->add(f->k, f->branch, f->branch, f->x, (int64_t)rows * f->model.d_model);
    f->ops->norm(f->k, f->x, f->branch, norm, rows);
}

static void layer(struct forward *f, const struct forward_pass *p, int i)
{
    const struct weights_layer *l = &f->w->layer[i];
    int rows = p->batch.rows;
    if (i == 0) { /* the embedding's own norm */
        void *embedded = f->x;
        f->ops->norm(f->k, f->h, embedded, &f->w->embedding_norm, rows);
        f->x = f->h;
        f->h = embedded;
    }
    forward_attend(f, p, i, f->x);
    forward_linear(f, f->branch, f->mixed, &l->out, l->out_bias, KERNEL_LINEAR, rows);
    close_post_norm(f, &l->norm1, rows);
    forward_linear(f, f->ffn, f->x, &l->up, l->up_bias, KERNEL_GELU_ERF, rows);
    forward_linear(f, f->branch, f->ffn, &l->down, l->down_bias, KERNEL_LINEAR, rows);
    close_post_norm(f, &l->norm2, rows);
}

static void finish(struct forward *f, void *x, const void *branch)
{
    const struct weights *w = f->w;
    (void)branch;
    if (f->model.headless) { /* the state itself, by the operation that moves rows */
        f->ops->gather_rows(f->k, f->hidden, x, f->model.d_model, f->step_start, f->sequences,
                            f->model.d_model);
        return;
    }
    if (!f->model.mlm_head) {
        forward_linear(f, f->hidden, x, &w->transform, w->transform_bias, KERNEL_TANH, f->sequences);
        return;
    }
    forward_linear(f, f->last_branch, x, &w->transform, w->transform_bias, KERNEL_GELU_ERF, f->sequences);
    f->ops->norm(f->k, f->hidden, f->last_branch, &w->transform_norm, f->sequences);
}

const struct forward_family forward_bert = {layer, finish};
