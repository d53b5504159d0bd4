/* The states of a state-space model's layers for a fixed set of sequences: per layer and sequence the
 * convolution's last inputs and the scan's states (struct kernel_ssm). Their size does not depend on the
 * context, so there is nothing to page or to grow. A second copy keeps the states after the prompt, so that a
 * decode can be repeated. It knows nothing of weights or layers' work. */
#pragma once

#include "kernels/kernels.h"
#include "presets/error.h"

struct state_cache_shape {
    enum kernel_dtype window; /* of the convolution's inputs: the activations' */
    int layers, sequences;
    int inner, states, taps; /* as in struct kernel_ssm */
    bool keeps;              /* with the second copy */
};

struct state_cache;

/* Bytes of the states, and of their copy, without allocating. */
void state_cache_sizes(const struct state_cache_shape *shape, int64_t *bytes, int64_t *copy_bytes);
struct state_cache *state_cache_create(struct kernels *k, const struct state_cache_shape *shape,
                                       struct error *e);
void state_cache_free(struct state_cache *c); /* NULL is fine */

/* The sizes and states of a layer, seen from `first_sequence` on; the weights are the caller's to fill in. */
struct kernel_ssm state_cache_layer(const struct state_cache *c, int layer, int first_sequence);
/* What the states stand for: tokens seen by sequence first + i. The states themselves change by the kernels
 * alone. */
void state_cache_note(struct state_cache *c, int first, int n, const int *length);
int state_cache_length(const struct state_cache *c, int sequence);
int64_t state_cache_used_bytes(const struct state_cache *c); /* of the sequences that have seen a token */
/* Queued copies of all states, there and back. Only where the shape keeps. */
void state_cache_keep(struct state_cache *c);
void state_cache_restore(struct state_cache *c);
