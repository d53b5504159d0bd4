/* Logits of every row of a prompt: the pass keeps hidden states, the head follows in pieces, so that logits
 * never need more than rows_at_once x vocabulary. */
#include "engine/model/forward_internal.h"

void forward_keep_rows(struct forward *f, const struct forward_pass *p)
{
    int64_t first = p->ids - f->ids; /* prompts are packed, pieces follow one another */
    forward_finish_rows(f, forward_at(f, f->rows_hidden, first * f->model.d_model), f->x, f->branch,
                        p->batch.rows);
}

int forward_load(struct forward *f, const int32_t *ids, struct error *e)
{
    f->ops->upload(f->k, f->ids, ids, (size_t)f->rows * sizeof *ids);
    f->ops->synchronize(f->k);
    return forward_clear(f, e);
}

int forward_rows_at_once(const struct forward *f)
{
    return f->rows_at_once;
}

/* The first row of the piece that holds `first` and n - 1 after it: pieces do not reach beyond the last row,
 * and all have one size, for which the product's workspace was taken. */
static int piece_start(const struct forward *f, int first)
{
    int last = f->rows - f->rows_at_once;
    return first < last ? first : last;
}

void forward_queue_rows(struct forward *f, int first, int n)
{
    (void)n;
    int64_t start = piece_start(f, first);
    forward_head_rows(f, f->row_logits, forward_at(f, f->rows_hidden, start * f->model.d_model),
                      f->rows_at_once);
}

int forward_row_logits(struct forward *f, int first, int n, float *out, struct error *e)
{
    int64_t vocab = f->model.vocab;
    forward_queue_rows(f, first, n);
    f->ops->download(f->k, out, f->row_logits + (first - piece_start(f, first)) * vocab,
                     (size_t)n * (size_t)vocab * sizeof *out);
    return forward_check(f, e);
}
