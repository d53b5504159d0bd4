#include "engine/clock.h"
#include "engine/model/forward_internal.h"

#include "engine/model/rope.h"

#include <stdlib.h>
#include <string.h>

static const struct forward_family *family_of(const struct model_spec *m)
{
    switch (m->family) {
    case MODEL_GPT2:
        return &forward_gpt2;
    case MODEL_PHI2:
        return &forward_phi2;
    case MODEL_BERT:
        return &forward_bert;
    case MODEL_MAMBA:
        return &forward_mamba;
    default:
        return &forward_llama;
    }
}

/* ---- creation ---- */

/* Uploads where each piece's sequences start, their contexts, and the rows the head needs. */
static int fill_pieces(struct forward *f, const struct forward_shape *s, int64_t ints, int32_t *to)
{
    int32_t *host = malloc((size_t)ints * sizeof *host);
    if (!host)
        return -1;
    struct forward_cut cut = {0};
    struct forward_piece_cut p;
    int64_t at = 0;
    const int32_t *ids = f->ids;
    int limit = forward_piece_limit(f->k, s);
    for (int i = 0; forward_next_piece(s, limit, &cut, &p); i++) {
        int32_t *start = host + at, *context = start + p.n + 1, *out = context + p.n;
        start[0] = 0;
        for (int j = 0; j < p.n; j++) {
            context[j] = j == 0 ? p.first_context : 0;
            int left = forward_length_of(s, p.first + j) - context[j], room = p.rows - start[j];
            start[j + 1] = start[j] + (left < room ? left : room);
            if (j < p.outs)
                out[j] = f->attention.causal ? start[j + 1] - 1 : start[j];
        }
        f->piece[i] = (struct forward_pass){
            .batch = {p.n, p.rows, p.max_rows, p.max_context, to + at, to + at + p.n + 1},
            .ids = ids,
            .first_sequence = p.first,
            .out_row = to + at + 2 * p.n + 1,
            .first_out = p.first,
            .outs = p.outs,
        };
        at += 2 * p.n + 1 + p.outs;
        ids += p.rows;
    }
    f->ops->upload(f->k, to, host, (size_t)ints * sizeof *host);
    f->ops->synchronize(f->k);
    free(host);
    return 0;
}

static int fill_tables(struct forward *f, const int32_t *ids, int64_t tokens)
{
    const struct kernel_ops *ops = f->ops;
    ops->upload(f->k, f->ids, ids, (size_t)tokens * sizeof *ids);
    size_t starts = (size_t)f->sequences + 1, pairs = (size_t)f->capacity * (size_t)f->rope.dims;
    int32_t *start = malloc(starts * sizeof *start);
    float *rope = malloc((pairs ? pairs : 1) * sizeof *rope);
    if (start && rope) {
        for (size_t s = 0; s < starts; s++)
            start[s] = (int32_t)s;
        ops->upload(f->k, f->step_start, start, starts * sizeof *start);
        rope_table(&f->model, f->w->rope_factors, f->capacity, rope);
        ops->upload(f->k, (void *)(uintptr_t)f->rope.table, rope, pairs * sizeof *rope);
        ops->synchronize(f->k);
    }
    int failed = !start || !rope;
    free(start);
    free(rope);
    return failed ? -1 : 0;
}

static int allocate(struct forward *f, const struct forward_shape *s, const int32_t *ids, struct error *e)
{
    struct forward_demand need = forward_demand_of(f->k, s);
    struct forward_arena activations = {0}, tables = {0};
    forward_place(f, f->k, s, &need, &activations, &tables);
    forward_take(&tables, need.piece_ints, sizeof(int32_t));
    f->activation_bytes = activations.used;
    f->table_bytes = tables.used;
    f->activations = f->ops->alloc(f->k, f->activation_bytes);
    f->tables = f->ops->alloc(f->k, f->table_bytes);
    f->piece = calloc((size_t)need.pieces, sizeof *f->piece);
    f->length = malloc((size_t)f->sequences * sizeof *f->length);
    f->grown = malloc((size_t)f->sequences * sizeof *f->grown);
    f->kept_next = malloc((size_t)f->sequences * sizeof *f->kept_next);
    f->pieces = need.pieces;
    if (!f->activations || !f->tables || !f->piece || !f->length || !f->grown || !f->kept_next)
        return error_set(e, ERROR_MEMORY,
                         "no memory for %.2f GiB of activations: choose a smaller batch or sequence",
                         (double)(f->activation_bytes + f->table_bytes) / 0x1p30);
    for (int i = 0; i < f->sequences; i++)
        f->length[i] = forward_length_of(s, i);
    activations = (struct forward_arena){f->activations, 0};
    tables = (struct forward_arena){f->tables, 0};
    forward_place(f, f->k, s, &need, &activations, &tables);
    int32_t *ints = forward_take(&tables, need.piece_ints, sizeof(int32_t));
    if (fill_pieces(f, s, need.piece_ints, ints) || fill_tables(f, ids, need.tokens))
        return error_set(e, ERROR_MEMORY, "no memory for the tables of a batch: choose a smaller batch");
    if (s->model->family == MODEL_MAMBA) {
        struct state_cache_shape states = forward_state_shape(f->k, s);
        f->states = state_cache_create(f->k, &states, e);
        return f->states ? 0 : -1;
    }
    struct kv_cache_shape cache = forward_cache_shape(f->k, s);
    f->kv = kv_cache_create(f->k, &cache, e);
    return f->kv ? 0 : -1;
}

static int record_step(struct forward *f, struct error *e);

struct forward *forward_create(struct kernels *k, struct weights *weights, const struct forward_shape *shape,
                               const int32_t *ids, struct error *e)
{
    struct forward *f = calloc(1, sizeof *f);
    if (!f) {
        error_set(e, ERROR_MEMORY, "no memory to prepare %s: close other programs", shape->model->name);
        return NULL;
    }
    f->k = forward_view(k, shape);
    f->logits_k = forward_view_of(k, KERNEL_FP32);
    f->ops = f->k->ops;
    f->w = weights_hold(weights);
    f->model = *shape->model;
    f->implementation = *shape->implementation;
    f->fusion = shape->implementation->fusion;
    f->keep_logits = shape->keep_logits;
    f->quantize_inputs = shape->implementation->activations == ACTIVATIONS_INT8;
    f->sequences = shape->sequences;
    f->longest = shape->length;
    f->steps = shape->steps;
    f->capacity = shape->length + shape->steps;
    f->attention = forward_attention_of(shape->model);
    f->family = family_of(shape->model);
    bool replays = f->implementation.launch == LAUNCH_GRAPH && f->steps > 0;
    if (allocate(f, shape, ids, e) || forward_clear(f, e) || (replays && record_step(f, e))) {
        forward_free(f);
        return NULL;
    }
    return f;
}

void forward_free(struct forward *f)
{
    if (!f)
        return;
    if (f->graph)
        f->ops->graph_destroy(f->k, f->graph);
    kv_cache_free(f->kv);
    state_cache_free(f->states);
    if (f->activations)
        f->ops->free(f->k, f->activations, f->activation_bytes);
    if (f->tables)
        f->ops->free(f->k, f->tables, f->table_bytes);
    weights_release(f->w);
    free(f->piece);
    free(f->length);
    free(f->grown);
    free(f->kept_next);
    free(f);
}

void forward_watch(struct forward *f, void (*progress)(void *, const char *, double),
                   bool (*cancelled)(void *), void *who)
{
    f->progress = progress;
    f->cancelled = cancelled;
    f->who = who;
}

void forward_observe(struct forward *f, void (*observe)(void *who, const void *x, int rows), void *who)
{
    f->observe = observe;
    f->observer = who;
}

/* ---- running ---- */

/* Embeds the rows, takes them through all layers, keeps those the head needs. */
static int run_pass(struct forward *f, const struct forward_pass *p, struct error *e)
{
    const struct weights *w = f->w;
    const struct kernel_ops *ops = f->ops;
    int d = f->model.d_model;
    f->pending = false;
    ops->embed(f->k, f->x, &w->embedding, p->ids, w->positions.data ? &w->positions : NULL,
               w->types.data ? &w->types : NULL, &p->batch);
    for (int l = 0; l < f->model.layers; l++) {
        if (f->cancelled && f->cancelled(f->who))
            return error_set(e, ERROR_CANCELLED, "stopped between layers: run again for a whole pass");
        f->family->layer(f, p, l);
    }
    if (f->rows_hidden) {
        forward_keep_rows(f, p);
        return 0;
    }
    if (!p->out_row || p->outs == 0)
        return 0;
    int64_t at = (int64_t)p->first_out * d;
    ops->gather_rows(f->k, forward_at(f, f->last, at), f->x, d, p->out_row, p->outs, d);
    if (f->pending)
        ops->gather_rows(f->k, forward_at(f, f->last_branch, at), f->branch, d, p->out_row, p->outs, d);
    return 0;
}

/* The likeliest token of every row of hidden. A pooler ends before. */
static void choose(struct forward *f, int32_t *ids)
{
    const struct weights *w = f->w;
    if (forward_has_pooler(&f->model))
        return;
    if (forward_fuses(f, FUSION_HEAD_ARGMAX) && !f->keep_logits) {
        struct kernel_matrix head = forward_matrix(f, &w->head);
        f->ops->head_argmax(f->k, ids, f->hidden, f->model.d_model, &head, w->head_bias, f->sequences,
                            f->product_workspace);
        return;
    }
    forward_head(f, f->logits);
    f->ops->argmax(f->k, ids, f->logits, f->sequences, f->model.vocab);
}

/* Where the head's choice after the prompt goes: a replayed step reads where it writes. */
static int32_t *after_prompt(const struct forward *f)
{
    return f->graph ? f->next : f->prompt_next;
}

/* The prompt's choice back into the place that replayed steps have overwritten. */
static int restore_next(struct forward *f, struct error *e)
{
    size_t bytes = (size_t)f->sequences * sizeof *f->kept_next;
    if (f->kept)
        f->ops->upload(f->k, f->next, f->kept_next, bytes);
    else if (f->taken == 0)
        f->ops->download(f->k, f->kept_next, f->next, bytes);
    else
        return error_set(
            e, ERROR_FAILED,
            "a replayed step overwrote what the prompt chose: rewind once before the first step");
    f->kept = true;
    return 0;
}

/* Room for these tokens of n sequences; a state's room is the same for any number. */
static int resize(struct forward *f, int first, int n, const int *length, struct error *e)
{
    if (f->kv)
        return kv_cache_resize(f->kv, first, n, length, e);
    state_cache_note(f->states, first, n, length);
    return 0;
}

/* States as the prompt left them: a step overwrites them, so they are copied before the first one. */
static int restore_states(struct forward *f, struct error *e)
{
    if (f->states_kept)
        state_cache_restore(f->states);
    else if (f->taken == 0)
        state_cache_keep(f->states);
    else
        return error_set(e, ERROR_FAILED,
                         "a step overwrote the states after the prompt: rewind once before the first step");
    f->states_kept = true;
    return 0;
}

static int resize_all(struct forward *f, const int *length, struct error *e)
{
    if (resize(f, 0, f->sequences, length, e))
        return -1;
    f->ops->upload(f->k, f->context, f->length, (size_t)f->sequences * sizeof *f->length);
    f->fed = after_prompt(f);
    f->taken = 0;
    return 0;
}

int forward_clear(struct forward *f, struct error *e)
{
    memset(f->grown, 0, (size_t)f->sequences * sizeof *f->grown);
    return resize_all(f, f->grown, e);
}

int forward_rewind(struct forward *f, struct error *e)
{
    bool keeps = f->states && f->steps > 0; /* without steps nothing overwrites them */
    if ((f->graph && restore_next(f, e)) || (keeps && restore_states(f, e)))
        return -1;
    return resize_all(f, f->length, e);
}

int forward_prefill(struct forward *f, struct error *e)
{
    f->kept = f->states_kept = false;
    for (int i = 0; i < f->pieces; i++) {
        const struct forward_pass *p = &f->piece[i];
        for (int s = 0; s < p->batch.sequences; s++)
            f->grown[s] = s < p->outs ? f->length[p->first_sequence + s] : p->batch.max_context;
        if (resize(f, p->first_sequence, p->batch.sequences, f->grown, e) || run_pass(f, p, e))
            return -1;
        if (f->progress)
            f->progress(f->who, "prompt", (double)(i + 1) / f->pieces);
    }
    if (f->rows_hidden)
        return 0;
    f->family->finish(f, f->last, f->last_branch);
    choose(f, after_prompt(f));
    return 0;
}

/* One token per sequence, from `fed` to `next`. */
static int queue_step(struct forward *f, const int32_t *fed, int max_context, struct error *e)
{
    struct forward_pass p = {
        .batch = {f->sequences, f->sequences, 1, max_context, f->step_start, f->context},
        .ids = fed,
    };
    if (run_pass(f, &p, e))
        return -1;
    f->family->finish(f, f->x, f->branch);
    choose(f, f->next);
    f->ops->advance(f->k, f->context, f->sequences, 1);
    return 0;
}

/* One step on cleared sequences, launched kernel by kernel, waited for. */
static int time_step(struct forward *f, int64_t *ns, struct error *e)
{
    for (int s = 0; s < f->sequences; s++)
        f->grown[s] = f->length[s] + 1;
    if (resize_all(f, f->grown, e))
        return -1;
    f->ops->synchronize(f->k);
    int64_t start = clock_ns();
    if (queue_step(f, f->next, f->capacity, e))
        return -1;
    f->ops->synchronize(f->k);
    *ns = clock_ns() - start;
    return forward_check(f, e);
}

/* Leaves cleared sequences. The step runs unrecorded first: what product libraries choose at the first call
 * of a shape must not happen while a graph is recorded. Nobody watches yet, so no pass can be cancelled. */
static int record_step(struct forward *f, struct error *e)
{
    if (time_step(f, &f->report.first_eager_ns, e) || time_step(f, &f->report.eager_ns, e))
        return -1;
    if (f->ops->graph_begin(f->k)) {
        queue_step(f, f->next, f->capacity, NULL);
        f->graph = f->ops->graph_end(f->k, &f->report.graph);
    }
    const char *why = f->graph ? NULL : f->ops->error(f->k);
    if (!f->graph)
        return error_set(e, ERROR_FAILED,
                         "the decode step of %s cannot be recorded (%s): choose launch eager", f->model.name,
                         why ? why : "the device refused");
    f->report.recorded = true;
    return forward_clear(f, e);
}

int forward_step(struct forward *f, struct error *e)
{
    if (f->taken >= f->steps)
        return error_set(
            e, ERROR_FAILED,
            "all %d decode steps this arm was prepared for are used: ask for fewer samples per block",
            f->steps);
    for (int s = 0; s < f->sequences; s++)
        f->grown[s] = f->length[s] + f->taken + 1;
    if (resize(f, 0, f->sequences, f->grown, e))
        return -1;
    if (f->graph)
        f->ops->graph_launch(f->k, f->graph);
    else if (queue_step(f, f->fed, f->longest + f->taken + 1, e))
        return -1;
    f->fed = f->next;
    f->taken++;
    return 0;
}

void forward_next(struct forward *f, int32_t *out)
{
    f->ops->download(f->k, out, f->fed, (size_t)f->sequences * sizeof *out);
}

void forward_set_next(struct forward *f, const int32_t *ids)
{
    f->ops->upload(f->k, f->next, ids, (size_t)f->sequences * sizeof *ids);
    f->fed = f->next;
}

int forward_width(const struct forward *f)
{
    return forward_has_pooler(&f->model) ? f->model.d_model : f->model.vocab;
}

int forward_logits(struct forward *f, float *out, struct error *e)
{
    size_t bytes = (size_t)f->sequences * (size_t)forward_width(f) * sizeof *out;
    if (forward_has_pooler(&f->model)) {
        struct kernel_matrix rows = {
            .dtype = f->k->activation, .rows = f->sequences, .cols = f->model.d_model, .data = f->hidden};
        f->ops->synchronize(f->k);
        f->ops->read_matrix(f->k, &rows, 0, rows.rows, out);
        return forward_check(f, e);
    }
    float *logits = f->logits ? f->logits : f->ops->alloc(f->k, bytes);
    if (!logits)
        return error_set(e, ERROR_MEMORY, "no memory for the logits of %d sequences: choose a smaller batch",
                         f->sequences);
    if (!f->keep_logits) /* else they are those of the last pass already */
        forward_head(f, logits);
    f->ops->download(f->k, out, logits, bytes);
    if (!f->logits)
        f->ops->free(f->k, logits, bytes);
    return forward_check(f, e);
}

int forward_check(const struct forward *f, struct error *e)
{
    const char *why = f->ops->error(f->k);
    return why ? error_set(e, ERROR_FAILED,
                           "the device failed (%s): run benchtop selftest, and again without this arm", why)
               : 0;
}

int forward_count(struct forward *f, struct error *e)
{
    if (f->graph || f->steps == 0 || !f->ops->graph_begin)
        return 0;
    if (record_step(f, e))
        return -1;
    f->ops->graph_destroy(f->k, f->graph);
    f->graph = NULL;
    f->report.recorded = false;
    return forward_clear(f, e);
}

void forward_report(const struct forward *f, struct forward_step_report *out)
{
    *out = f->report;
}

bool forward_kv_figures(const struct forward *f, bool settle, struct kv_cache_figures *out)
{
    if (f->kv)
        kv_cache_figures(f->kv, settle, out);
    return f->kv != NULL;
}

int forward_length(const struct forward *f)
{
    int longest = 0;
    for (int s = 0; s < f->sequences; s++) {
        int length = f->kv ? kv_cache_length(f->kv, s) : state_cache_length(f->states, s);
        longest = length > longest ? length : longest;
    }
    return longest;
}

int64_t forward_kv_used(const struct forward *f)
{
    return f->kv ? kv_cache_used_bytes(f->kv) : state_cache_used_bytes(f->states);
}
