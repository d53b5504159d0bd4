/* Mamba: x += W_out(scan(conv(x half)) gated by the other half), RMS norm before, no attention, no MLP, no
 * positions (Gu and Dao 2023, section 3.4). What other families cache as keys and values is a state of
 * constant size here. */
#include "engine/model/forward_internal.h"

/* x and its gate z side by side in one row: one product, or two into its columns. */
static void project(struct forward *f, const struct weights_layer *l, int rows)
{
    int d = f->model.d_model, inner = f->model.mamba.inner;
    if (forward_fuses(f, FUSION_QKV)) {
        forward_product(f, f->qkv, 2 * inner, f->h, d, &l->in, NULL, KERNEL_LINEAR, rows);
        return;
    }
    for (int half = 0; half < 2; half++) {
        struct kernel_matrix part = kernel_matrix_rows(&l->in, half * inner, inner);
        forward_product(f, forward_at(f, f->qkv, half * inner), 2 * inner, f->h, d, &part, NULL,
                        KERNEL_LINEAR, rows);
    }
}

static struct kernel_ssm layer_of(const struct forward *f, const struct forward_pass *p, int i)
{
    const struct weights_layer *l = &f->w->layer[i];
    struct kernel_ssm s = state_cache_layer(f->states, i, p->first_sequence);
    s.conv = l->conv;
    s.conv_bias = l->conv_bias;
    s.dt_bias = l->dt_bias;
    s.a = l->a;
    s.d = l->skip;
    return s;
}

/* mixed = the selective scan of the projected rows. */
static void scan(struct forward *f, const struct forward_pass *p, const struct kernel_ssm *s,
                 const struct weights_layer *l)
{
    int rows = p->batch.rows, inner = s->inner, rank = f->model.mamba.dt_rank, width = rank + 2 * s->states;
    bool fused = forward_fuses(f, FUSION_SSM);
    void *x = f->ffn, *z = forward_at(f, f->qkv, inner);
    forward_product(f, f->select, width, x, inner, &l->select, NULL, KERNEL_LINEAR, rows);
    forward_product(f, f->dt, inner, f->select, width, &l->dt, NULL, KERNEL_LINEAR, rows);
    if (!fused)
        f->ops->ssm_softplus(f->k, f->dt, l->dt_bias, rows, inner);
    struct kernel_ssm_rows in = {
        .x = x,
        .dt = f->dt,
        .b = forward_at(f, f->select, rank),
        .c = forward_at(f, f->select, rank + s->states),
        .z = fused ? z : NULL,
        .bc_stride = width,
        .z_stride = 2 * inner,
        .softplus = fused,
    };
    if (f->implementation.attention == ATTENTION_FLASH)
        f->ops->ssm_scan(f->k, f->mixed, &in, s, &p->batch, f->attention_workspace);
    else
        f->ops->ssm_naive(f->k, f->mixed, &in, s, &p->batch, f->attention_workspace);
    if (!fused)
        f->ops->ssm_gate(f->k, f->mixed, z, 2 * inner, rows, inner);
}

static void layer(struct forward *f, const struct forward_pass *p, int i)
{
    const struct weights_layer *l = &f->w->layer[i];
    struct kernel_ssm s = layer_of(f, p, i);
    int rows = p->batch.rows;
    bool fused = forward_fuses(f, FUSION_SSM);
    forward_normalize(f, &l->norm1, rows);
    project(f, l, rows);
    f->ops->ssm_conv(f->k, f->ffn, f->qkv, 2 * s.inner, &s, fused, &p->batch);
    if (!fused)
        f->ops->activate(f->k, f->ffn, KERNEL_SILU, (int64_t)rows * s.inner);
    scan(f, p, &s, l);
    forward_linear(f, f->branch, f->mixed, &l->out, NULL, KERNEL_LINEAR, rows);
    forward_close_branch(f, rows);
}

const struct forward_family forward_mamba = {layer, forward_finish};
