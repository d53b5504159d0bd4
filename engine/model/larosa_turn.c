/* Dense weights into rotated ones. With x the normalized input of a block and Q the rotation (its columns the
 * basis): q, k, v, gate and up become W diag(norm) Q, which takes x Q; what is written to the residual
 * becomes Q^T W, which gives y Q; the embedding E Q, the head H diag(norm) Q. Products of 32 bits throughout,
 * rounded once to the weights' own type. */
#include "engine/figure.h"
#include "engine/model/larosa.h"

#include <stdlib.h>
#include <string.h>

static const struct kernel_epilogue no_epilogue = {NULL, KERNEL_LINEAR, false, false};
enum { CHUNK = 512, TILE = 32 }; /* rows multiplied at a time; side of a square turned at a time */

struct turn {
    struct kernels *k; /* the view of fp32 */
    struct weights *w;
    int d;
    struct kernel_matrix q;  /* [d, d] basis: x q^T = x Q */
    void *x, *y, *workspace; /* [CHUNK, d] */
    size_t row_bytes, q_bytes, workspace_bytes;
    float *in, *out;     /* the same on the host */
    float *vector;       /* a norm's weights */
    int64_t done, total; /* elements */
    void (*progress)(void *, const char *, double);
    bool (*cancelled)(void *);
    void *who;
    struct error *e;
};

/* out[n, d] = in[n, d] Q */
static int rotate_rows(struct turn *t, int64_t n)
{
    const struct kernel_ops *ops = t->k->ops;
    size_t bytes = (size_t)n * (size_t)t->d * sizeof(float);
    if (t->cancelled && t->cancelled(t->who))
        return error_set(t->e, ERROR_CANCELLED, "stopped while rotating weights: run again to continue");
    ops->upload(t->k, t->x, t->in, bytes);
    ops->product(t->k, t->y, t->d, t->x, t->d, &t->q, &no_epilogue, (int)n, t->workspace);
    ops->download(t->k, t->out, t->y, bytes);
    t->done += n * t->d;
    if (t->progress)
        t->progress(t->who, "rotation", (double)t->done / (double)t->total);
    return 0;
}

static const float *norm_weight(struct turn *t, const struct kernel_norm *norm)
{
    struct kernel_matrix v = {
        .dtype = KERNEL_FP32, .rows = 1, .cols = t->d, .data = (void *)(uintptr_t)norm->weight};
    t->k->ops->read_matrix(t->k, &v, 0, 1, t->vector);
    return t->vector;
}

/* Laid out as weights.c lays out its own, which frees them. */
static struct kernel_matrix new_matrix(struct turn *t, const struct kernel_matrix *like)
{
    size_t part[3];
    struct kernel_matrix m = *like;
    kernel_matrix_parts(m.dtype, m.rows, m.cols, part);
    size_t at = (part[0] + 63) / 64 * 64;
    m.data = t->k->ops->alloc(t->k, part[1] ? at + part[1] : part[0]);
    m.scales = m.data && part[1] ? (float *)(void *)((char *)m.data + at) : NULL;
    m.first_row = 0;
    return m;
}

static void free_matrix(struct kernels *k, struct kernel_matrix *m)
{
    size_t part[3];
    kernel_matrix_parts(m->dtype, m->rows, m->cols, part);
    k->ops->free(k, m->data, part[1] ? (part[0] + 63) / 64 * 64 + part[1] : part[0]);
}

void larosa_free_head(struct weights *w)
{
    free_matrix(w->k, &w->head);
    w->own_head = false;
}

static int no_memory(struct turn *t)
{
    char text[FIGURE_TEXT];
    return error_set(t->e, ERROR_MEMORY, "no memory to rotate the weights of %s (%s): choose a smaller model",
                     t->w->model.name, figure_bytes((double)t->w->bytes, text, sizeof text));
}

/* to = from diag(norm) Q; to may be from. */
static int turn_inputs(struct turn *t, struct kernel_matrix *to, const struct kernel_matrix *from,
                       const float *norm)
{
    for (int64_t row = 0; row < from->rows; row += CHUNK) {
        int64_t n = from->rows - row < CHUNK ? from->rows - row : CHUNK;
        t->k->ops->read_matrix(t->k, from, row, n, t->in);
        for (int64_t r = 0; norm && r < n; r++)
            for (int i = 0; i < t->d; i++)
                t->in[r * t->d + i] *= norm[i];
        if (rotate_rows(t, n))
            return -1;
        t->k->ops->write_matrix(t->k, to, row, n, t->out);
    }
    return 0;
}

/* Columns [first, first + n) of a [rows, cols] to [n, rows], or back. */
static void turn_square(float *columns, float *all, int64_t rows, int64_t cols, int64_t first, int64_t n,
                        bool back)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i += TILE)
        for (int64_t j = 0; j < n; j++)
            for (int64_t r = i; r < i + TILE && r < rows; r++) {
                float *a = all + r * cols + first + j, *c = columns + j * rows + r;
                if (back)
                    *a = *c;
                else
                    *c = *a;
            }
}

/* to = Q^T from */
static int turn_outputs(struct turn *t, struct kernel_matrix *to, const struct kernel_matrix *from)
{
    float *all = malloc((size_t)(from->rows * from->cols) * sizeof *all);
    int failed = all ? 0 : no_memory(t);
    if (all)
        t->k->ops->read_matrix(t->k, from, 0, from->rows, all);
    for (int64_t first = 0; !failed && first < from->cols; first += CHUNK) {
        int64_t n = from->cols - first < CHUNK ? from->cols - first : CHUNK;
        turn_square(t->in, all, from->rows, from->cols, first, n, false);
        failed = rotate_rows(t, n);
        turn_square(t->out, all, from->rows, from->cols, first, n, true);
    }
    if (!failed)
        t->k->ops->write_matrix(t->k, to, 0, from->rows, all);
    free(all);
    return failed;
}

/* One product of a layer by channel. norm: of its inputs; NULL: its outputs are rotated. */
static int turn_matrix(struct turn *t, struct kernel_matrix *m, const struct kernel_norm *norm)
{
    struct kernel_matrix to = new_matrix(t, m);
    if (!to.data)
        return no_memory(t);
    to.channel_stride = m->rows;
    int failed = norm ? turn_inputs(t, &to, m, norm_weight(t, norm)) : turn_outputs(t, &to, m);
    if (failed) {
        free_matrix(t->k, &to);
        return -1;
    }
    free_matrix(t->k, m);
    *m = to;
    return 0;
}

static void set_to_one(struct turn *t, struct kernel_norm *norm)
{
    struct kernel_matrix v = {
        .dtype = KERNEL_FP32, .rows = 1, .cols = t->d, .data = (void *)(uintptr_t)norm->weight};
    for (int i = 0; i < t->d; i++)
        t->vector[i] = 1;
    t->k->ops->write_matrix(t->k, &v, 0, 1, t->vector);
}

static bool is_one(const float *norm, int d)
{
    for (int i = 0; i < d; i++)
        if (norm[i] < 1 || norm[i] > 1)
            return false;
    return true;
}

/* A tied head stays the embedding where the final norm has no weights; else it becomes a matrix of its own.
 */
static int turn_ends(struct turn *t)
{
    struct weights *w = t->w;
    const float *norm = norm_weight(t, &w->final_norm);
    bool tied = w->head.data == w->embedding.data;
    if (tied && !is_one(norm, t->d)) {
        struct kernel_matrix head = new_matrix(t, &w->head);
        if (!head.data)
            return no_memory(t);
        w->head = head;
        w->own_head = true;
        w->bytes += (int64_t)kernel_matrix_bytes(head.dtype, head.rows, head.cols);
        if (turn_inputs(t, &w->head, &w->embedding, norm))
            return -1;
    } else if (!tied && turn_inputs(t, &w->head, &w->head, norm)) {
        return -1;
    }
    if (turn_inputs(t, &w->embedding, &w->embedding, NULL))
        return -1;
    if (!w->own_head && tied)
        w->head = w->embedding;
    set_to_one(t, &w->final_norm);
    return 0;
}

static int turn_layer(struct turn *t, struct weights_layer *l)
{
    if (turn_matrix(t, &l->qkv, &l->norm1) || turn_matrix(t, &l->up, &l->norm2) ||
        turn_matrix(t, &l->out, NULL) || turn_matrix(t, &l->down, NULL))
        return -1;
    set_to_one(t, &l->norm1);
    set_to_one(t, &l->norm2);
    return 0;
}

static int open_turn(struct turn *t, const struct larosa *l)
{
    const struct kernel_ops *ops = t->k->ops;
    size_t floats = CHUNK * (size_t)t->d;
    t->row_bytes = floats * sizeof(float);
    t->q_bytes = (size_t)t->d * (size_t)t->d * sizeof(float);
    t->q = (struct kernel_matrix){.dtype = KERNEL_FP32, .rows = t->d, .cols = t->d};
    t->workspace_bytes = ops->product_workspace(t->k, &t->q, CHUNK);
    t->q.data = ops->alloc(t->k, t->q_bytes);
    t->x = ops->alloc(t->k, t->row_bytes);
    t->y = ops->alloc(t->k, t->row_bytes);
    t->workspace = t->workspace_bytes ? ops->alloc(t->k, t->workspace_bytes) : NULL;
    t->in = malloc(t->row_bytes);
    t->out = malloc(t->row_bytes);
    t->vector = malloc((size_t)t->d * sizeof *t->vector);
    if (!t->q.data || !t->x || !t->y || (t->workspace_bytes && !t->workspace) || !t->in || !t->out ||
        !t->vector)
        return no_memory(t);
    ops->upload(t->k, t->q.data, l->basis, t->q_bytes);
    return 0;
}

static void close_turn(struct turn *t)
{
    const struct kernel_ops *ops = t->k->ops;
    ops->synchronize(t->k);
    if (t->q.data)
        ops->free(t->k, t->q.data, t->q_bytes);
    if (t->x)
        ops->free(t->k, t->x, t->row_bytes);
    if (t->y)
        ops->free(t->k, t->y, t->row_bytes);
    if (t->workspace)
        ops->free(t->k, t->workspace, t->workspace_bytes);
    free(t->in);
    free(t->out);
    free(t->vector);
}

int larosa_turn(struct weights *w, const struct larosa *l, void (*progress)(void *, const char *, double),
                bool (*cancelled)(void *), void *who, struct error *e)
{
    struct kernels *view = w->k->ops->view(w->k, KERNEL_FP32);
    const struct model_spec *m = &w->model;
    struct turn t = {.k = view ? view : w->k,
                     .w = w,
                     .d = m->d_model,
                     .progress = progress,
                     .cancelled = cancelled,
                     .who = who,
                     .e = e};
    int64_t d = m->d_model, q = (int64_t)m->heads * m->head_dim, kv = (int64_t)m->kv_heads * m->head_dim;
    t.total = m->layers * (d * (q + 2 * kv) + q * d + 3 * d * m->ffn) + (m->tied ? 1 : 2) * d * m->vocab;
    int failed = open_turn(&t, l);
    for (int i = 0; i < m->layers && !failed; i++)
        failed = turn_layer(&t, &w->layer[i]);
    if (!failed)
        failed = turn_ends(&t);
    close_turn(&t);
    return failed;
}
