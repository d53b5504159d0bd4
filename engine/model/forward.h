/* One forward pass of a transformer as a sequence of operations on the kernels' door: a prompt (prefill),
 * then one token per sequence at a time (greedy decode that feeds itself).
 *
 * Every implementation is the same walk over the same buffers: fusion `none` is the honest sequence of
 * separate operations, each fusion bit swaps in its fused operation. Activations and cache are of the type
 * that goes with the precision where the backend has it (weights_activation), else fp32 with a cache of the
 * precision's own type; logits are fp32 everywhere. Long prompts go through in pieces of at most the
 * backend's piece_rows (an encoder's sequence stays whole, for each row sees all), so that activations stay
 * bounded. The head runs for one row per sequence. All memory is taken by forward_create; nothing allocates
 * while tokens flow, except forward_logits and the pages of a virtual cache.
 *
 * Launch graph: forward_create records one decode step, bounded by the capacity and reading lengths from
 * device memory, and every forward_step replays it. Prompts and encoders are launched one by one: their
 * shapes change from piece to piece. */
#pragma once

#include "engine/model/kv_cache.h"
#include "engine/model/weights.h"
#include "presets/error.h"
#include "presets/implementation.h"
#include "presets/model_spec.h"

struct forward_shape {
    const struct model_spec *model;
    const struct implementation *implementation;
    int sequences;
    int length;         /* tokens of every prompt, or of the longest */
    const int *lengths; /* [sequences] of ragged prompts, each >= 1; NULL: all `length` */
    int steps;          /* decode steps that must fit behind the prompts */
    bool all_rows;    /* decoders, steps 0: the prompt pass keeps the hidden state of every row, and the head
                         runs only when rows are asked for (forward_queue_rows); no next token is chosen */
    bool keep_logits; /* every pass leaves its logits for a caller who chooses otherwise (forward_logits,
                         forward_set_next): fusion head_argmax is not used */
};

struct forward_sizes {
    int64_t activations, kv_cache,
        overhead; /* overhead: tables, token ids, workspaces of product libraries */
};

struct forward;

/* What forward_create will take. k is only asked for its views and for workspace sizes. */
void forward_sizes(const struct kernels *k, const struct forward_shape *shape, struct forward_sizes *out);
/* ids: the prompts packed one after another. weights are held until forward_free. Callers have checked that
 * the implementation is supported and lengths fit the model's context. NULL: MEMORY, or FAILED where a step
 * cannot be recorded. */
struct forward *forward_create(struct kernels *k, struct weights *weights, const struct forward_shape *shape,
                               const int32_t *ids, struct error *e);
void forward_free(struct forward *f); /* NULL is fine */

/* Asked between layers; a cancelled pass returns -1 CANCELLED and must be followed by a rewind. */
void forward_watch(struct forward *f, void (*progress)(void *, const char *, double),
                   bool (*cancelled)(void *), void *who);

/* Called before each of a llama's blocks with the residual stream [rows, d] that it normalizes, as
 * activations in backend memory: queued, so synchronize before reading. */
void forward_observe(struct forward *f, void (*observe)(void *who, const void *x, int rows), void *who);

/* Back to empty sequences. */
int forward_clear(struct forward *f, struct error *e);
/* Runs the prompts of cleared sequences and chooses each one's next token. Queued: results after synchronize.
 */
int forward_prefill(struct forward *f, struct error *e);
/* Back to where forward_prefill ended: lengths and next tokens. The cache keeps what it holds. Launch graph
 * and state-space models: to be called once before the first step, for the replayed step overwrites the
 * prompt's choice, which is then kept by the host, and any step the states, which are then kept beside; else
 * FAILED. */
int forward_rewind(struct forward *f, struct error *e);
/* One token per sequence; FAILED when the prepared steps are used up. Queued. */
int forward_step(struct forward *f, struct error *e);

/* The token each sequence will be fed next. set: host ids [sequences]. */
void forward_next(struct forward *f, int32_t *out);
void forward_set_next(struct forward *f, const int32_t *ids);
/* Logits of the last pass, [sequences, forward_width]; may allocate. Synchronizes. */
int forward_logits(struct forward *f, float *out, struct error *e);
/* all_rows: other prompts of the same lengths, packed; clears the sequences. */
int forward_load(struct forward *f, const int32_t *ids, struct error *e);
/* all_rows, after forward_prefill: rows of logits that one call gives. Rows are those of the packed prompts.
 */
int forward_rows_at_once(const struct forward *f);
/* Queues the logits of rows [first, first + n), 1 <= n <= forward_rows_at_once. Always the same number of
 * rows goes through the head; what was queued before is overwritten. */
void forward_queue_rows(struct forward *f, int first, int n);
/* The same, into host memory [n, forward_width]. Synchronizes. */
int forward_row_logits(struct forward *f, int first, int n, float *out, struct error *e);
int forward_width(const struct forward *f);  /* vocabulary; an encoder with a pooler: d */
int forward_length(const struct forward *f); /* tokens now cached of the longest sequence */
int64_t forward_kv_used(const struct forward *f);
/* false: a state-space model has none. */
bool forward_kv_figures(const struct forward *f, bool settle, struct kv_cache_figures *out);
/* A decode step as a backend with graphs sees it; all 0: it has none, or no step was prepared. */
struct forward_step_report {
    struct kernel_graph_report graph;
    int64_t first_eager_ns,
        eager_ns;  /* submit to done, launched one by one: the first step ever, and one after */
    bool recorded; /* steps are replayed */
};
/* Where steps are launched one by one: records one to count its launches, and drops it. Clears the sequences;
 * may allocate. */
int forward_count(struct forward *f, struct error *e);
void forward_report(const struct forward *f, struct forward_step_report *out);
/* After a synchronization: -1 FAILED in words where the device failed since it was opened. */
int forward_check(const struct forward *f, struct error *e);
