#include "engine/model/state_cache.h"

#include <stdlib.h>

struct state_cache {
    struct kernels *k;
    struct state_cache_shape shape;
    char *states, *copy; /* all layers' scan states, then all layers' windows */
    int *length;
};

static size_t layer_states(const struct state_cache_shape *s)
{
    return (size_t)s->sequences * (size_t)s->states * (size_t)s->inner * sizeof(float);
}

static size_t layer_window(const struct state_cache_shape *s)
{
    return (size_t)s->sequences * (size_t)(s->taps - 1) * (size_t)s->inner * kernel_dtype_bytes(s->window);
}

static size_t all_bytes(const struct state_cache_shape *s)
{
    return (size_t)s->layers * (layer_states(s) + layer_window(s));
}

void state_cache_sizes(const struct state_cache_shape *shape, int64_t *bytes, int64_t *copy_bytes)
{
    *bytes = (int64_t)all_bytes(shape);
    *copy_bytes = shape->keeps ? *bytes : 0;
}

struct state_cache *state_cache_create(struct kernels *k, const struct state_cache_shape *shape,
                                       struct error *e)
{
    struct state_cache *c = calloc(1, sizeof *c);
    if (c) {
        c->k = k;
        c->shape = *shape;
        c->length = calloc((size_t)shape->sequences, sizeof *c->length);
        c->states = k->ops->alloc(k, all_bytes(shape));
        c->copy = shape->keeps ? k->ops->alloc(k, all_bytes(shape)) : NULL;
    }
    if (c && c->length && c->states && (c->copy || !shape->keeps))
        return c;
    state_cache_free(c);
    error_set(e, ERROR_MEMORY, "no memory for the states of %d sequences (%lld MiB): choose a smaller batch",
              shape->sequences, (long long)(all_bytes(shape) >> 20) * (shape->keeps ? 2 : 1));
    return NULL;
}

void state_cache_free(struct state_cache *c)
{
    if (!c)
        return;
    if (c->states)
        c->k->ops->free(c->k, c->states, all_bytes(&c->shape));
    if (c->copy)
        c->k->ops->free(c->k, c->copy, all_bytes(&c->shape));
    free(c->length);
    free(c);
}

struct kernel_ssm state_cache_layer(const struct state_cache *c, int layer, int first_sequence)
{
    const struct state_cache_shape *s = &c->shape;
    size_t n = (size_t)s->sequences, before = (size_t)first_sequence;
    char *states = c->states + (size_t)layer * layer_states(s);
    char *window = c->states + (size_t)s->layers * layer_states(s) + (size_t)layer * layer_window(s);
    return (struct kernel_ssm){
        .inner = s->inner,
        .states = s->states,
        .taps = s->taps,
        .window = window + layer_window(s) / n * before,
        .h = (float *)(void *)(states + layer_states(s) / n * before),
    };
}

void state_cache_note(struct state_cache *c, int first, int n, const int *length)
{
    for (int i = 0; i < n; i++)
        c->length[first + i] = length[i];
}

int state_cache_length(const struct state_cache *c, int sequence)
{
    return c->length[sequence];
}

int64_t state_cache_used_bytes(const struct state_cache *c)
{
    int used = 0;
    for (int s = 0; s < c->shape.sequences; s++)
        used += c->length[s] > 0;
    return (int64_t)all_bytes(&c->shape) / c->shape.sequences * used;
}

void state_cache_keep(struct state_cache *c)
{
    c->k->ops->copy(c->k, c->copy, c->states, all_bytes(&c->shape));
}

void state_cache_restore(struct state_cache *c)
{
    c->k->ops->copy(c->k, c->states, c->copy, all_bytes(&c->shape));
}
