/* Llama, Mistral: pre-norm RMS, grouped queries with rotary positions, SwiGLU. No biases. */
#include "engine/model/forward_internal.h"

static void gate_up(struct forward *f, const struct weights_layer *l, int rows)
{
    int width = f->model.ffn;
    if (forward_fuses(f, FUSION_GATE_UP)) {
        struct kernel_matrix both = forward_matrix(f, &l->up);
        f->ops->gate_up(f->k, f->ffn, f->h, &both, rows, f->product_workspace);
        return;
    }
    struct kernel_matrix gate = kernel_matrix_rows(&l->up, 0, width);
    struct kernel_matrix up = kernel_matrix_rows(&l->up, width, width);
    void *second = forward_at(f, f->ffn, (int64_t)rows * width);
    forward_linear(f, f->ffn, f->h, &gate, NULL, KERNEL_LINEAR, rows);
    forward_linear(f, second, f->h, &up, NULL, KERNEL_LINEAR, rows);
    f->ops->multiply_silu(f->k, f->ffn, f->ffn, second, (int64_t)rows * width);
}

static void layer(struct forward *f, const struct forward_pass *p, int i)
{
    const struct weights_layer *l = &f->w->layer[i];
    int rows = p->batch.rows;
    forward_normalize(f, &l->norm1, rows);
    forward_attend(f, p, i, f->h);
    forward_linear(f, f->branch, f->mixed, &l->out, NULL, KERNEL_LINEAR, rows);
    forward_close_branch(f, rows);
    forward_normalize(f, &l->norm2, rows);
    gate_up(f, l, rows);
    forward_linear(f, f->branch, f->ffn, &l->down, NULL, KERNEL_LINEAR, rows);
    forward_close_branch(f, rows);
}

const struct forward_family forward_llama = {layer, forward_finish};
