/* What forward.c and the families (forward_llama.c ...) share: the buffers of one arm, one pass over packed
 * rows, and the steps all families are made of. For engine/model/forward*.c alone. */
#pragma once

#include "engine/model/forward.h"
#include "engine/model/kv_cache.h"

/* Consecutive rows of consecutive sequences that go through all layers together. */
struct forward_pass {
    struct kernel_batch batch;
    const int32_t *ids;     /* [batch.rows] */
    int first_sequence;     /* of the batch, among all */
    const int32_t *out_row; /* [outs] rows whose hidden state the head needs; NULL: all rows */
    int first_out, outs;    /* the sequences they belong to */
};

struct forward_family;

struct forward {
    struct kernels *k;
    const struct kernel_ops *ops;
    struct weights *w;
    struct model_spec model;
    struct implementation implementation;
    unsigned fusion;
    const struct forward_family *family;
    int sequences, longest, capacity;
    int steps, taken; /* decode steps prepared for, and used since the prompt */
    int *length;      /* [sequences] prompts */
    struct kernel_attention attention;
    struct kernel_rope rope;
    struct kv_cache *kv;

    /* activations, one row per token of a pass: */
    void *x;                  /* [d] residual stream */
    void *h;                  /* [d] normalized */
    void *qkv;                /* [(heads + 2 kv_heads) head_dim] */
    void *mixed;              /* [heads head_dim] what attention gives */
    void *branch;             /* [d] what a branch gives back to the residual */
    void *ffn;                /* [f]; unfused llama: gate [rows, f], then up [rows, f] */
    void *last, *last_branch; /* [sequences, d]: rows the head needs */
    void *hidden;             /* [sequences, d] what the head multiplies */
    void *logits;             /* [sequences, vocab]; NULL when the head finds the largest itself */
    void *attention_workspace, *product_workspace;
    bool pending; /* the branch still has to be added to the residual */

    /* in backend memory: */
    int32_t *ids, *context, *step_start;
    int32_t *prompt_next, *next; /* what the head chose after the prompt, after a step */
    const int32_t *fed;          /* which of the two the next step reads */
    struct forward_pass *piece;  /* the prompts, cut */
    int pieces;
    void *activations, *tables; /* the two allocations all of the above live in */
    size_t activation_bytes, table_bytes;

    void (*progress)(void *, const char *, double);
    bool (*cancelled)(void *);
    void *who;
};

/* A family: what happens to the rows of a pass. */
struct forward_family {
    void (*layer)(struct forward *f, const struct forward_pass *p, int layer);
    /* hidden from the rows the head needs: their residual and, when pending, their branch */
    void (*finish)(struct forward *f, void *x, const void *branch);
};
extern const struct forward_family forward_llama, forward_gpt2, forward_phi2, forward_bert;

static inline bool forward_fuses(const struct forward *f, enum fusion_bit bit)
{
    return (f->fusion & bit) != 0;
}

static inline void *forward_at(const struct forward *f, void *p, int64_t elements)
{
    return (char *)p + elements * (int64_t)kernel_dtype_bytes(f->k->activation);
}

/* out[rows, m->rows] = act(x m^T + bias). Without fusion bias_gelu: product, bias and activation apart. */
void forward_linear(struct forward *f, void *out, const void *x, const struct kernel_matrix *m,
                    const float *bias, enum kernel_activation activation, int rows);
/* h = norm(x), adding the pending branch first. */
void forward_normalize(struct forward *f, const struct kernel_norm *norm, int rows);
/* The branch goes to the residual: now, or with the next norm (fusion residual_norm). */
void forward_close_branch(struct forward *f, int rows);
/* mixed = attention over q, k, v of `from`, which are written to the layer's cache. */
void forward_attend(struct forward *f, const struct forward_pass *p, int layer, const void *from);
/* The decoders' finish: hidden = final norm. */
void forward_finish(struct forward *f, void *x, const void *branch);
