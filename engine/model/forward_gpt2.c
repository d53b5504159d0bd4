/* GPT-2: pre-norm LayerNorm, learned positions, GELU (tanh form), biases everywhere, tied head. */
#include "engine/model/forward_internal.h"

static void layer(struct forward *f, const struct forward_pass *p, int i)
{
    const struct weights_layer *l = &f->w->layer[i];
    int rows = p->batch.rows;
    forward_normalize(f, &l->norm1, rows);
    forward_attend(f, p, i, f->h);
    forward_linear(f, f->branch, f->mixed, &l->out, l->out_bias, KERNEL_LINEAR, rows);
    forward_close_branch(f, rows);
    forward_normalize(f, &l->norm2, rows);
    forward_linear(f, f->ffn, f->h, &l->up, l->up_bias, KERNEL_GELU_TANH, rows);
    forward_linear(f, f->branch, f->ffn, &l->down, l->down_bias, KERNEL_LINEAR, rows);
    forward_close_branch(f, rows);
}

const struct forward_family forward_gpt2 = {layer, forward_finish};
