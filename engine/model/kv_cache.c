#include "engine/model/kv_cache.h"

#include <stdlib.h>
#include <string.h>

enum {
    FEW_TOKENS = 64,    /* that a page of one head, or of one layer, may hold for it to follow the tokens */
    MOST_REGIONS = 8192 /* by head: each is a mapping of the system's own, of which Linux allows 65530 */
};

struct kv_cache {
    struct kernels *k;
    struct kv_cache_shape shape;
    int blocks, blocks_per_sequence, block_size;
    enum kv_cache_layout layout;
    struct kv_pages *pages; /* virtual: what keys and values stand in */
    void *keys, *values;
    int32_t *table;      /* backend memory, [sequences, blocks_per_sequence]; NULL: not paged */
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

/* Bytes of keys (or values) of a token of one layer. */
static int64_t token_bytes(const struct kv_cache_shape *s)
{
    return (int64_t)s->kv_heads * s->head_dim * (int64_t)kernel_dtype_bytes(s->dtype);
}

/* Bytes of keys (or values) of one block of one layer. */
static int64_t block_bytes(const struct kv_cache_shape *s)
{
    return (is_paged(s) ? s->block_size : s->capacity) * token_bytes(s);
}

static int block_count(const struct kv_cache_shape *s)
{
    if (!is_paged(s))
        return s->sequences;
    int64_t all = (int64_t)s->sequences * blocks_for(s, s->capacity);
    int64_t most = s->budget ? s->budget / (2 * s->layers * block_bytes(s)) : all;
    return (int)(most < all ? most : all);
}

enum kv_cache_layout kv_cache_layout_of(const struct kv_cache_shape *s, int64_t page_bytes)
{
    if (s->kind != KV_CACHE_VIRTUAL)
        return KV_CACHE_BY_HEAD;
    int64_t row = token_bytes(s), regions = (int64_t)s->sequences * s->layers * s->kv_heads;
    if (page_bytes * s->kv_heads <= FEW_TOKENS * row && regions <= MOST_REGIONS)
        return KV_CACHE_BY_HEAD;
    return s->layers > 1 && page_bytes > FEW_TOKENS * row ? KV_CACHE_ACROSS_LAYERS : KV_CACHE_BY_TOKEN;
}

void kv_cache_sizes(const struct kv_cache_shape *shape, int64_t *pool_bytes, int64_t *table_bytes)
{
    *pool_bytes = 2 * (int64_t)shape->layers * block_count(shape) * block_bytes(shape);
    *table_bytes = is_paged(shape) ? (int64_t)shape->sequences * blocks_for(shape, shape->capacity) *
                                         (int64_t)sizeof(int32_t)
                                   : 0;
}

static int take_pages(struct kv_cache *c, struct error *e)
{
    const struct kv_cache_shape *s = &c->shape;
    struct kv_pages_shape shape = {.outer = s->layers,
                                   .sequences = s->sequences,
                                   .inner = 1,
                                   .capacity = s->capacity,
                                   .row_bytes = token_bytes(s),
                                   .budget = s->budget,
                                   .alone = s->alone};
    c->layout = kv_cache_layout_of(s, (int64_t)c->k->ops->page_bytes(c->k));
    if (c->layout == KV_CACHE_BY_HEAD) {
        shape.inner = s->kv_heads;
        shape.row_bytes /= s->kv_heads;
    } else if (c->layout == KV_CACHE_ACROSS_LAYERS) {
        shape.outer = 1;
        shape.row_bytes *= s->layers;
    }
    c->pages = kv_pages_create(c->k, &shape, e);
    if (!c->pages)
        return -1;
    c->keys = kv_pages_keys(c->pages);
    c->values = kv_pages_values(c->pages);
    return 0;
}

static int take_pool(struct kv_cache *c, int64_t pool, struct error *e)
{
    if (c->shape.kind == KV_CACHE_VIRTUAL)
        return take_pages(c, e);
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
    c->host_table = calloc((size_t)bytes, 1);
    c->free_block = calloc((size_t)c->blocks + 1, sizeof *c->free_block);
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
    c->blocks_per_sequence = is_paged(shape) ? blocks_for(shape, shape->capacity) : 1;
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

/* Where a sequence has blocks too many they go back to the pool. */
static void give_blocks(struct kv_cache *c, int sequence, int length)
{
    const int32_t *row = c->host_table + sequence * c->blocks_per_sequence;
    for (int need = blocks_for(&c->shape, length); c->held[sequence] > need; c->held[sequence]--)
        c->free_block[c->n_free++] = row[c->held[sequence] - 1];
}

/* Takes what is missing; the entries of the table that changed join [*from, *to). */
static void take_blocks(struct kv_cache *c, int sequence, int length, int *from, int *to)
{
    int need = blocks_for(&c->shape, length), held = c->held[sequence];
    int first = sequence * c->blocks_per_sequence;
    if (need <= held)
        return;
    for (int b = held; b < need; b++)
        c->host_table[first + b] = c->free_block[--c->n_free];
    c->held[sequence] = need;
    *from = first + held < *from ? first + held : *from;
    *to = first + need > *to ? first + need : *to;
}

static int resize_paged(struct kv_cache *c, int first, int n, const int *length, struct error *e)
{
    int more = 0, from = c->shape.sequences * c->blocks_per_sequence, to = 0;
    for (int i = 0; i < n; i++)
        more += blocks_for(&c->shape, length[i]) - c->held[first + i];
    if (more > c->n_free)
        return error_set(e, ERROR_MEMORY,
                         "%d blocks of cache are asked for, %d of %d are free: run fewer sequences at once",
                         more, c->n_free, c->blocks);
    for (int i = 0; i < n; i++)
        give_blocks(c, first + i, length[i]);
    for (int i = 0; i < n; i++)
        take_blocks(c, first + i, length[i], &from, &to);
    if (from < to)
        c->k->ops->upload(c->k, c->table + from, c->host_table + from,
                          (size_t)(to - from) * sizeof *c->host_table);
    return 0;
}

static int resize_virtual(struct kv_cache *c, int first, int n, const int *length, struct error *e)
{
    for (int i = 0; i < n; i++)
        if (kv_pages_need(c->pages, first + i, length[i], e)) {
            while (i-- > 0) /* what they had is there still: nobody else has asked */
                kv_pages_need(c->pages, first + i, c->length[first + i], NULL);
            return -1;
        }
    for (int i = 0; i < n; i++)
        if (length[i] > 0)
            kv_pages_ahead(c->pages, first + i, length[i] + KV_CACHE_AHEAD);
    return 0;
}

int kv_cache_resize(struct kv_cache *c, int first, int n, const int *length, struct error *e)
{
    for (int i = 0; i < n; i++)
        if (length[i] < 0 || length[i] > c->shape.capacity)
            return error_set(
                e, ERROR_FAILED,
                "sequence %d cannot hold %d tokens, its cache was sized for %d: prepare a longer one",
                first + i, length[i], c->shape.capacity);
    if (c->table && resize_paged(c, first, n, length, e))
        return -1;
    if (c->pages && resize_virtual(c, first, n, length, e))
        return -1;
    memcpy(c->length + first, length, (size_t)n * sizeof *length);
    return 0;
}

int kv_cache_length(const struct kv_cache *c, int sequence)
{
    return c->length[sequence];
}

int kv_cache_vacant(const struct kv_cache *c, int length)
{
    int best = -1, best_off = 0;
    for (int s = 0; s < c->shape.sequences; s++) {
        if (c->length[s] > 0)
            continue;
        /* What is short must be mapped: that counts before what would lie idle. */
        int have = c->pages ? kv_pages_ready(c->pages, s) : 0, off = have - length;
        bool better =
            best < 0 || (off >= 0 ? best_off < 0 || off < best_off : best_off < 0 && off > best_off);
        if (better)
            best = s, best_off = off;
    }
    return best;
}

/* Elements from one region of a virtual cache to the next. */
static int64_t region_elements(const struct kv_cache *c)
{
    return kv_pages_region_bytes(c->pages) / (int64_t)kernel_dtype_bytes(c->shape.dtype);
}

struct kernel_kv kv_cache_layer(const struct kv_cache *c, int layer, int first_sequence)
{
    const struct kv_cache_shape *s = &c->shape;
    struct kernel_kv kv = {
        .dtype = s->dtype,
        .table = c->table ? c->table + (int64_t)first_sequence * c->blocks_per_sequence : NULL,
        .table_stride = c->table ? c->blocks_per_sequence : 0,
        .block_size = c->block_size,
        .kv_heads = s->kv_heads,
        .head_dim = s->head_dim,
    };
    int64_t before; /* elements before the layer's first sequence */
    if (c->layout == KV_CACHE_BY_HEAD)
        kernel_kv_by_head(&kv);
    else
        kernel_kv_by_token(&kv);
    if (c->layout == KV_CACHE_ACROSS_LAYERS) {
        kv.block_stride = region_elements(c);
        before = first_sequence * kv.block_stride + layer * (int64_t)kv.token_stride;
        kv.token_stride *= s->layers;
    } else {
        if (c->pages) { /* regions are whole pages */
            kv.head_stride = c->layout == KV_CACHE_BY_HEAD ? (int)region_elements(c) : kv.head_stride;
            kv.block_stride = region_elements(c) * (c->layout == KV_CACHE_BY_HEAD ? s->kv_heads : 1);
        }
        /* A paged view shifts the table, the others the memory itself. */
        before = ((int64_t)layer * c->blocks + (c->table ? 0 : first_sequence)) * kv.block_stride;
    }
    size_t offset = (size_t)before * kernel_dtype_bytes(s->dtype);
    kv.k = (char *)c->keys + offset;
    kv.v = (char *)c->values + offset;
    return kv;
}

int64_t kv_cache_used_bytes(const struct kv_cache *c)
{
    int64_t tokens = 0;
    for (int s = 0; s < c->shape.sequences; s++)
        tokens += c->length[s];
    return 2 * tokens * c->shape.layers * token_bytes(&c->shape);
}

int kv_cache_free_blocks(const struct kv_cache *c)
{
    return c->n_free;
}

static void figures_of_pages(struct kv_cache *c, bool settle, struct kv_cache_figures *out)
{
    const struct kv_cache_shape *s = &c->shape;
    struct kv_pages_figures p;
    int64_t row = token_bytes(s);
    if (settle)
        kv_pages_settle(c->pages);
    kv_pages_figures(c->pages, &p);
    row = c->layout == KV_CACHE_ACROSS_LAYERS ? row * s->layers : row;
    row = c->layout == KV_CACHE_BY_HEAD ? row / s->kv_heads : row;
    *out = (struct kv_cache_figures){
        .page_bytes = p.page_bytes,
        .page_tokens = p.page_bytes / row,
        .pages = p.pages,
        .reserved = p.reserved,
        .committed = p.committed,
        .kept = p.kept,
        .map_calls = p.map_calls,
        .hidden = p.hidden,
        .exposed = p.exposed,
    };
}

void kv_cache_figures(struct kv_cache *c, bool settle, struct kv_cache_figures *out)
{
    int64_t pool, table, pages = c->shape.sequences;
    if (c->pages) {
        figures_of_pages(c, settle, out);
    } else {
        kv_cache_sizes(&c->shape, &pool, &table);
        if (c->table)
            pages = c->blocks - c->n_free;
        *out = (struct kv_cache_figures){
            .page_bytes = 2 * c->shape.layers * block_bytes(&c->shape),
            .page_tokens = c->block_size,
            .pages = pages,
            .reserved = pool,
        };
        out->committed = pages * out->page_bytes;
    }
    out->used = kv_cache_used_bytes(c);
    out->contiguous =
        2 * (int64_t)c->shape.layers * c->shape.sequences * c->shape.capacity * token_bytes(&c->shape);
}
