/* Phi-2: one LayerNorm feeds attention and MLP side by side, rotary positions on part of each head, biases.
 */
#include "engine/model/forward_internal.h"

static void layer(struct forward *f, const struct forward_pass *p, int i)
{
    const struct weights_layer *l = &f->w->layer[i];
    int rows = p->batch.rows, d = f->model.d_model;
    forward_normalize(f, &l->norm1, rows);
    forward_attend(f, p, i, f->h);
    forward_linear(f, f->branch, f->mixed, &l->out, l->out_bias, KERNEL_LINEAR, rows);
    if (!forward_fuses(f, FUSION_RESIDUAL_NORM))
        forward_close_branch(f, rows);
    forward_linear(f, f->ffn, f->h, &l->up, l->up_bias, KERNEL_GELU_TANH, rows);
    if (forward_fuses(f, FUSION_RESIDUAL_NORM)) { /* both branches meet in the second product */
        bool in_epilogue = forward_fuses(f, FUSION_BIAS_GELU);
        struct kernel_epilogue sum = {.bias = in_epilogue ? l->down_bias : NULL, .accumulate = true};
        struct kernel_matrix down = forward_matrix(f, &l->down);
        f->ops->product(f->k, f->branch, d, f->ffn, f->model.ffn, &down, &sum, rows, f->product_workspace);
        if (!in_epilogue)
            f->ops->add_bias(f->k, f->branch, d, l->down_bias, rows, d);
    } else {
        forward_linear(f, f->branch, f->ffn, &l->down, l->down_bias, KERNEL_LINEAR, rows);
    }
    forward_close_branch(f, rows);
}

const struct forward_family forward_phi2 = {layer, forward_finish};
