/* What forward.c and the families (forward_llama.c ...) share: the buffers of one arm, one pass over packed
 * rows, and the steps all families are made of. For engine/model/forward*.c alone. */
#pragma once

#include "engine/model/forward.h"
#include "engine/model/kv_cache.h"
#include "engine/model/state_cache.h"

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
    struct kernels *k;        /* the view of the arm's activations */
    struct kernels *logits_k; /* the view of fp32, for logits */
    const struct kernel_ops *ops;
    struct weights *w;
    struct model_spec model;
    struct implementation implementation;
    unsigned fusion;
    bool quantize_inputs; /* activations int8 */
    const struct forward_family *family;
    int sequences, longest, capacity;
    int steps, taken; /* decode steps prepared for, and used since the prompt */
    int *length;      /* [sequences] prompts */
    int *grown;       /* [sequences] scratch: what the cache shall hold */
    struct kernel_attention attention;
    struct kernel_rope rope;
    struct kv_cache *kv;        /* all but mamba */
    struct state_cache *states; /* mamba */
    bool states_kept;           /* as the prompt left them */

    /* activations, one row per token of a pass: */
    void *x;           /* [d] residual stream */
    void *h;           /* [d] normalized */
    void *qkv;         /* [(heads + 2 kv_heads) head_dim]; mamba: x and its gate [2 inner] */
    void *mixed;       /* [heads head_dim] what attention gives; mamba: [inner] the scan */
    void *branch;      /* [d] what a branch gives back to the residual */
    void *ffn;         /* [f]; unfused llama: gate [rows, f], then up [rows, f]; mamba: convolved [inner] */
    void *select, *dt; /* mamba: [dt_rank + 2 state] step, input and output vectors; [inner] step sizes */
    void *last, *last_branch; /* [sequences, d]: rows the head needs */
    void *hidden;             /* [sequences, d] what the head multiplies */
    float *logits;            /* [sequences, vocab]; NULL when the head finds the largest itself */
    bool keep_logits;
    void *rows_hidden; /* all_rows: [tokens, d] what the head multiplies; else NULL */
    float *row_logits; /* [rows_at_once, vocab] */
    int rows, rows_at_once;
    struct kernel_kept thin; /* sparse: what the next product reads of its input; keep 0: all of it */
    void *attention_workspace, *product_workspace;
    bool pending; /* the branch still has to be added to the residual */

    /* in backend memory: */
    int32_t *ids, *context, *step_start;
    int32_t *prompt_next, *next; /* what the head chose after the prompt, after a step */
    const int32_t *fed;          /* which of the two the next step reads */
    struct forward_pass *piece;  /* the prompts, cut */
    int pieces;
    struct kernel_graph *graph; /* one step: reads and writes `next`; NULL: launched one by one */
    struct forward_step_report report;
    int32_t *kept_next; /* graph: [sequences] what the prompt chose, once kept */
    bool kept;
    void *activations, *tables; /* the two allocations all of the above live in */
    size_t activation_bytes, table_bytes;

    void (*progress)(void *, const char *, double);
    bool (*cancelled)(void *);
    void *who;
    void (*observe)(void *, const void *x, int rows);
    void *observer;
};

/* A family: what happens to the rows of a pass. */
struct forward_family {
    void (*layer)(struct forward *f, const struct forward_pass *p, int layer);
    /* hidden from the rows the head needs: their residual and, when pending, their branch */
    void (*finish)(struct forward *f, void *x, const void *branch);
};
extern const struct forward_family forward_llama, forward_gpt2, forward_phi2, forward_bert, forward_mamba;

static inline bool forward_fuses(const struct forward *f, enum fusion_bit bit)
{
    return (f->fusion & bit) != 0;
}

static inline void *forward_at(const struct forward *f, void *p, int64_t elements)
{
    return (char *)p + elements * (int64_t)kernel_dtype_bytes(f->k->activation);
}

/* m as its products shall take it: activations int8 rounds their inputs where m can be multiplied so. */
static inline struct kernel_matrix forward_matrix(const struct forward *f, const struct kernel_matrix *m)
{
    struct kernel_matrix w = *m;
    w.quantize_input = f->quantize_inputs && kernel_is_integers(m->dtype);
    return w;
}

/* out[rows, m->rows] = act(x m^T + bias) in one pass. */
void forward_product(struct forward *f, void *out, int out_stride, const void *x, int x_stride,
                     const struct kernel_matrix *m, const float *bias, enum kernel_activation activation,
                     int rows);
/* out[rows, m->rows] = act(x m^T + bias). Without fusion bias_gelu: product, bias and activation apart. */
void forward_linear(struct forward *f, void *out, const void *x, const struct kernel_matrix *m,
                    const float *bias, enum kernel_activation activation, int rows);
/* Sparse: the largest entries of x [rows, width] are listed for the products that follow, or where rows are
 * many the others are set to 0. */
void forward_thin(struct forward *f, void *x, int width, bool rotated, int rows);
/* logits[sequences, vocab] in fp32 from `hidden`. */
void forward_head(struct forward *f, float *logits);
/* The same of `rows` other rows. */
void forward_head_rows(struct forward *f, float *logits, const void *hidden, int rows);
/* h = norm(x), adding the pending branch first. */
void forward_normalize(struct forward *f, const struct kernel_norm *norm, int rows);
/* The branch goes to the residual: now, or with the next norm (fusion residual_norm). */
void forward_close_branch(struct forward *f, int rows);
/* mixed = attention over q, k, v of `from`, which are written to the layer's cache. */
void forward_attend(struct forward *f, const struct forward_pass *p, int layer, const void *from);
/* out [rows, d] = final norm of x, adding the branch first where it is pending: the decoders' finish. */
void forward_finish_rows(struct forward *f, void *out, void *x, const void *branch, int rows);
/* forward_rows.c: the last step of a pass where every row's hidden state is kept. */
void forward_keep_rows(struct forward *f, const struct forward_pass *p);
/* The same for the rows of the last tokens: hidden. */
void forward_finish(struct forward *f, void *x, const void *branch);

/* ---- forward_shape.c ---- */

/* Prompts are cut into pieces: where the next one starts, and what it takes. */
struct forward_cut {
    int sequence, done; /* where the next piece starts */
};

struct forward_piece_cut {
    int first, n, first_context; /* only a piece's first sequence may continue an earlier piece */
    int rows, max_rows, max_context, outs;
};

int forward_length_of(const struct forward_shape *s, int sequence);
int forward_piece_limit(const struct kernels *k, const struct forward_shape *s); /* rows */
/* A sequence that fits into a piece of its own is not split. false: no more. */
bool forward_next_piece(const struct forward_shape *s, int limit, struct forward_cut *c,
                        struct forward_piece_cut *p);

struct forward_arena {
    char *base; /* NULL while measuring */
    size_t used;
};

void *forward_take(struct forward_arena *a, int64_t count, size_t element);

/* What the pieces and steps of a shape need, found by walking them once. */
struct forward_demand {
    int pieces, rows;
    int64_t tokens, piece_ints;
    size_t attention, product;
};

struct forward_demand forward_demand_of(const struct kernels *k, const struct forward_shape *s);
/* Gives every buffer its place; with NULL bases it only measures. */
void forward_place(struct forward *f, const struct kernels *k, const struct forward_shape *s,
                   const struct forward_demand *need, struct forward_arena *activations,
                   struct forward_arena *tables);
struct kernel_attention forward_attention_of(const struct model_spec *m);
/* The backend with these activations; one that has none but fp32 has those. */
struct kernels *forward_view_of(const struct kernels *base, enum kernel_dtype activation);
struct kernels *forward_view(const struct kernels *base, const struct forward_shape *s);
struct kv_cache_shape forward_cache_shape(const struct kernels *k, const struct forward_shape *s);
struct state_cache_shape forward_state_shape(const struct kernels *k, const struct forward_shape *s);

static inline bool forward_has_pooler(const struct model_spec *m)
{
    return m->family == MODEL_BERT && !m->mlm_head;
}
