#include "engine/model/kv_cache.h"

#include <stdlib.h>
#include <string.h>

struct kv_cache {
    struct kernels *k;
    struct kv_cache_shape shape;
    int blocks, blocks_per_sequence, block_size;
    struct kv_pages *pages; /* virtual: what keys and values stand in */
    void *keys, *values;
    int32_t *table;      /* backend memory, [sequences, blocks_per_sequence]; NULL: contiguous */
    int32_t *host_table; /* what table holds */
    int32_t *free_block; /* stack */
    int n_free;
    int *length, *held; /* per sequence: tokens, blocks */
};

int kv_cache_block_size(enum kv_cache_kind kind)
{
    return kind == KV_CACHE_PAGED ? KV_CACHE_BLOCK : kind == KV_CACHE_PAGED256 ? KV_CACHE_LARGE_BLOCK : 0;
}

static bool is_paged(const struct kv_cache_shape *s)
{
    return kv_cache_block_size(s->kind) > 0;
}

static int blocks_for(const struct kv_cache_shape *s, int tokens)
{
    return (tokens + s->block_size - 1) / s->block_size;
}

/* Bytes of keys (or values) of one block of one layer. */
static int64_t block_bytes(const struct kv_cache_shape *s)
{
    int64_t tokens = is_paged(s) ? s->block_size : s->capacity;
    return tokens * s->kv_heads * s->head_dim * (int64_t)kernel_dtype_bytes(s->dtype);
}

static int block_count(const struct kv_cache_shape *s)
{
    return is_paged(s) ? s->sequences * blocks_for(s, s->capacity) : s->sequences;
}

void kv_cache_sizes(const struct kv_cache_shape *shape, int64_t *pool_bytes, int64_t *table_bytes)
{
    *pool_bytes = 2 * (int64_t)shape->layers * block_count(shape) * block_bytes(shape);
    *table_bytes = is_paged(shape) ? block_count(shape) * (int64_t)sizeof(int32_t) : 0;
}

static int take_pool(struct kv_cache *c, int64_t pool, struct error *e)
{
    const struct kv_cache_shape *s = &c->shape;
    if (s->kind == KV_CACHE_VIRTUAL) {
        struct kv_pages_shape shape = {
            .layers = s->layers,
            .sequences = s->sequences,
            .heads = s->kv_heads,
            .capacity = s->capacity,
            .row_bytes = s->head_dim * (int64_t)kernel_dtype_bytes(s->dtype),
        };
        c->pages = kv_pages_create(c->k, &shape, e);
        if (!c->pages)
            return -1;
        c->keys = kv_pages_keys(c->pages);
        c->values = kv_pages_values(c->pages);
        return 0;
    }
    c->keys = c->k->ops->alloc(c->k, (size_t)pool / 2);
    c->values = c->k->ops->alloc(c->k, (size_t)pool / 2);
    if (c->keys && c->values)
        return 0;
    return error_set(e, ERROR_MEMORY,
                     "no memory for a key-value cache of %lld MiB: choose a smaller batch or sequence",
                     (long long)(pool >> 20));
}

static int take_table(struct kv_cache *c, int64_t bytes)
{
    c->table = c->k->ops->alloc(c->k, (size_t)bytes);
    c->host_table = calloc((size_t)c->blocks, sizeof *c->host_table);
    c->free_block = calloc((size_t)c->blocks, sizeof *c->free_block);
    if (!c->table || !c->host_table || !c->free_block)
        return -1;
    for (int b = 0; b < c->blocks; b++) /* the lowest block is taken first */
        c->free_block[b] = c->blocks - 1 - b;
    c->n_free = c->blocks;
    return 0;
}

struct kv_cache *kv_cache_create(struct kernels *k, const struct kv_cache_shape *shape, struct error *e)
{
    int64_t pool, table;
    kv_cache_sizes(shape, &pool, &table);
    struct kv_cache *c = calloc(1, sizeof *c);
    if (!c) {
        error_set(e, ERROR_MEMORY, "no memory for a key-value cache: close other programs");
        return NULL;
    }
    c->k = k;
    c->shape = *shape;
    c->blocks = block_count(shape);
    c->block_size = is_paged(shape) ? shape->block_size : shape->capacity;
    c->blocks_per_sequence = c->blocks / shape->sequences;
    if (take_pool(c, pool, e)) {
        kv_cache_free(c);
        return NULL;
    }
    c->length = calloc((size_t)shape->sequences, sizeof *c->length);
    c->held = calloc((size_t)shape->sequences, sizeof *c->held);
    if (!c->length || !c->held || (table && take_table(c, table))) {
        error_set(e, ERROR_MEMORY, "no memory for the table of a key-value cache: choose a smaller batch");
        kv_cache_free(c);
        return NULL;
    }
    return c;
}

void kv_cache_free(struct kv_cache *c)
{
    if (!c)
        return;
    int64_t pool, table;
    kv_cache_sizes(&c->shape, &pool, &table);
    if (c->shape.kind == KV_CACHE_VIRTUAL) {
        if (c->pages)
            c->k->ops->synchronize(c->k); /* what is queued may still read them */
        kv_pages_free(c->pages);
    } else {
        if (c->keys)
            c->k->ops->free(c->k, c->keys, (size_t)pool / 2);
        if (c->values)
            c->k->ops->free(c->k, c->values, (size_t)pool / 2);
    }
    if (c->table)
        c->k->ops->free(c->k, c->table, (size_t)table);
    free(c->host_table);
    free(c->free_block);
    free(c->length);
    free(c->held);
    free(c);
}

/* Takes or gives back blocks; the entries of the table that changed join [*from, *to). */
static void resize_paged(struct kv_cache *c, int sequence, int length, int *from, int *to)
{
    int need = blocks_for(&c->shape, length), held = c->held[sequence];
    int first = sequence * c->blocks_per_sequence;
    int32_t *row = c->host_table + first;
    for (int b = held; b < need; b++)
        row[b] = c->free_block[--c->n_free];
    for (int b = held; b > need; b--)
        c->free_block[c->n_free++] = row[b - 1];
    c->held[sequence] = need;
    if (need <= held)
        return;
    *from = first + held < *from ? first + held : *from;
    *to = first + need > *to ? first + need : *to;
}

int kv_cache_resize(struct kv_cache *c, int first, int n, const int *length, struct error *e)
{
    for (int i = 0; i < n; i++)
        if (length[i] < 0 || length[i] > c->shape.capacity)
            return error_set(
                e, ERROR_FAILED,
                "sequence %d cannot hold %d tokens, its cache was sized for %d: prepare a longer one",
                first + i, length[i], c->shape.capacity);
    int from = c->blocks, to = 0;
    for (int i = 0; i < n; i++) {
        if (c->pages && kv_pages_need(c->pages, first + i, length[i], e))
            return -1;
        if (c->table)
            resize_paged(c, first + i, length[i], &from, &to);
        c->length[first + i] = length[i];
    }
    for (int i = 0; c->pages && i < n; i++)
        if (length[i] > 0)
            kv_pages_ahead(c->pages, first + i, length[i] + KV_CACHE_AHEAD);
    if (from < to)
        c->k->ops->upload(c->k, c->table + from, c->host_table + from,
                          (size_t)(to - from) * sizeof *c->host_table);
    return 0;
}

int kv_cache_length(const struct kv_cache *c, int sequence)
{
    return c->length[sequence];
}

struct kernel_kv kv_cache_layer(const struct kv_cache *c, int layer, int first_sequence)
{
    /* A paged view shifts the table, a contiguous one the memory itself. */
    int64_t block = (int64_t)layer * c->blocks + (c->table ? 0 : first_sequence);
    size_t offset = (size_t)(block * block_bytes(&c->shape));
    return (struct kernel_kv){
        .dtype = c->shape.dtype,
        .k = (char *)c->keys + offset,
        .v = (char *)c->values + offset,
        .table = c->table ? c->table + (int64_t)first_sequence * c->blocks_per_sequence : NULL,
        .table_stride = c->table ? c->blocks_per_sequence : 0,
        .block_size = c->block_size,
        .kv_heads = c->shape.kv_heads,
        .head_dim = c->shape.head_dim,
    };
}

int64_t kv_cache_used_bytes(const struct kv_cache *c)
{
    int64_t tokens = 0;
    for (int s = 0; s < c->shape.sequences; s++)
        tokens += c->length[s];
    return 2 * tokens * c->shape.layers * c->shape.kv_heads * c->shape.head_dim *
           (int64_t)kernel_dtype_bytes(c->shape.dtype);
}

int kv_cache_free_blocks(const struct kv_cache *c)
{
    return c->n_free;
}

bool kv_cache_pages(struct kv_cache *c, bool settle, struct kv_pages_figures *out)
{
    if (!c->pages)
        return false;
    if (settle)
        kv_pages_settle(c->pages);
    kv_pages_figures(c->pages, out);
    return true;
}
