/* Llama, Mistral: pre-norm RMS, grouped queries with rotary positions, SwiGLU. No biases. Sparse: each
 * product reads the largest entries of its input; norms have no weights then, so that x is rotated as it
 * stands. */
#include "engine/model/forward_internal.h"

static void gate_up(struct forward *f, const struct weights_layer *l, int rows)
{
    int width = f->model.ffn;
    if (forward_fuses(f, FUSION_GATE_UP) && l->up.data) {
        struct kernel_matrix both = forward_matrix(f, &l->up);
        if (f->thin.keep) {
            f->ops->sparse_gate_up(f->k, f->ffn, &f->thin, &both, rows, f->product_workspace);
            return;
        }
        f->ops->gate_up(f->k, f->ffn, f->h, &both, rows, f->product_workspace);
        return;
    }
    void *second = forward_at(f, f->ffn, (int64_t)rows * width);
    struct kernel_matrix gate = weights_half(&f->model, l, 0), up = weights_half(&f->model, l, 1);
    forward_linear(f, f->ffn, f->h, &gate, NULL, KERNEL_LINEAR, rows);
    forward_linear(f, second, f->h, &up, NULL, KERNEL_LINEAR, rows);
    f->ops->multiply_silu(f->k, f->ffn, f->ffn, second, (int64_t)rows * width);
}

static void normalize(struct forward *f, const struct kernel_norm *norm, int rows)
{
    forward_normalize(f, norm, rows);
    if (f->observe)
        f->observe(f->observer, f->x, rows);
}

static void layer(struct forward *f, const struct forward_pass *p, int i)
{
    const struct weights_layer *l = &f->w->layer[i];
    int rows = p->batch.rows, d = f->model.d_model, q = f->attention.heads * f->attention.head_dim;
    normalize(f, &l->norm1, rows);
    forward_thin(f, f->h, d, true, rows);
    forward_attend(f, p, i, f->h);
    forward_thin(f, f->mixed, q, false, rows);
    forward_linear(f, f->branch, f->mixed, &l->out, NULL, KERNEL_LINEAR, rows);
    forward_close_branch(f, rows);
    normalize(f, &l->norm2, rows);
    forward_thin(f, f->h, d, true, rows);
    gate_up(f, l, rows);
    forward_thin(f, f->ffn, f->model.ffn, false, rows);
    forward_linear(f, f->branch, f->ffn, &l->down, NULL, KERNEL_LINEAR, rows);
    forward_close_branch(f, rows);
}

const struct forward_family forward_llama = {layer, forward_finish};
