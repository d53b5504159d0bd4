#include "engine/model/kv_cache.h"

#include <stdlib.h>
#include <string.h>

struct kv_cache {
    struct kernels *k;
    struct kv_cache_shape shape;
    int blocks, blocks_per_sequence, block_size;
    void *keys, *values;
    int32_t *table;      /* backend memory, [sequences, blocks_per_sequence]; NULL: contiguous */
    int32_t *host_table; /* what table holds */
    int32_t *free_block; /* stack */
    int n_free;
    int *length, *held; /* per sequence: tokens, blocks */
};

static int blocks_for(const struct kv_cache_shape *s, int tokens)
{
    return (tokens + s->block_size - 1) / s->block_size;
}

/* Bytes of keys (or values) of one block of one layer. */
static int64_t block_bytes(const struct kv_cache_shape *s)
{
    int64_t tokens = s->kind == KV_CACHE_PAGED ? s->block_size : s->capacity;
    return tokens * s->kv_heads * s->head_dim * (int64_t)kernel_dtype_bytes(s->dtype);
}

static int block_count(const struct kv_cache_shape *s)
{
    return s->kind == KV_CACHE_PAGED ? s->sequences * blocks_for(s, s->capacity) : s->sequences;
}

void kv_cache_sizes(const struct kv_cache_shape *shape, int64_t *pool_bytes, int64_t *table_bytes)
{
    *pool_bytes = 2 * (int64_t)shape->layers * block_count(shape) * block_bytes(shape);
    *table_bytes = shape->kind == KV_CACHE_PAGED ? block_count(shape) * (int64_t)sizeof(int32_t) : 0;
}

struct kv_cache *kv_cache_create(struct kernels *k, const struct kv_cache_shape *shape, struct error *e)
{
    int64_t pool, table;
    kv_cache_sizes(shape, &pool, &table);
    struct kv_cache *c = calloc(1, sizeof *c);
    if (!c)
        goto fail;
    c->k = k;
    c->shape = *shape;
    c->blocks = block_count(shape);
    c->block_size = shape->kind == KV_CACHE_PAGED ? shape->block_size : shape->capacity;
    c->blocks_per_sequence = c->blocks / shape->sequences;
    c->length = calloc((size_t)shape->sequences, sizeof *c->length);
    c->held = calloc((size_t)shape->sequences, sizeof *c->held);
    c->keys = k->ops->alloc(k, (size_t)pool / 2);
    c->values = k->ops->alloc(k, (size_t)pool / 2);
    if (!c->length || !c->held || !c->keys || !c->values)
        goto fail;
    if (table) {
        c->table = k->ops->alloc(k, (size_t)table);
        c->host_table = calloc((size_t)c->blocks, sizeof *c->host_table);
        c->free_block = calloc((size_t)c->blocks, sizeof *c->free_block);
        if (!c->table || !c->host_table || !c->free_block)
            goto fail;
        for (int b = 0; b < c->blocks; b++) /* the lowest block is taken first */
            c->free_block[b] = c->blocks - 1 - b;
        c->n_free = c->blocks;
    }
    return c;
fail:
    kv_cache_free(c);
    error_set(e, ERROR_MEMORY,
              "no memory for a key-value cache of %lld MiB: choose a smaller batch or sequence",
              (long long)(pool >> 20));
    return NULL;
}

void kv_cache_free(struct kv_cache *c)
{
    if (!c)
        return;
    int64_t pool, table;
    kv_cache_sizes(&c->shape, &pool, &table);
    if (c->keys)
        c->k->ops->free(c->k, c->keys, (size_t)pool / 2);
    if (c->values)
        c->k->ops->free(c->k, c->values, (size_t)pool / 2);
    if (c->table)
        c->k->ops->free(c->k, c->table, (size_t)table);
    free(c->host_table);
    free(c->free_block);
    free(c->length);
    free(c->held);
    free(c);
}

int kv_cache_resize(struct kv_cache *c, int sequence, int length, struct error *e)
{
    if (length < 0 || length > c->shape.capacity)
        return error_set(
            e, ERROR_FAILED,
            "sequence %d cannot hold %d tokens, its cache was sized for %d: prepare a longer one", sequence,
            length, c->shape.capacity);
    c->length[sequence] = length;
    if (!c->table)
        return 0;
    int need = blocks_for(&c->shape, length), held = c->held[sequence];
    int32_t *row = c->host_table + (int64_t)sequence * c->blocks_per_sequence;
    for (int b = held; b < need; b++)
        row[b] = c->free_block[--c->n_free];
    for (int b = held; b > need; b--)
        c->free_block[c->n_free++] = row[b - 1];
    if (need > held)
        c->k->ops->upload(c->k, c->table + (row - c->host_table) + held, row + held,
                          (size_t)(need - held) * sizeof *row);
    c->held[sequence] = need;
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
