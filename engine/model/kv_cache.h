/* The key-value cache of all layers for a fixed set of sequences: where each token's keys and values stand.
 *
 * Contiguous: every sequence owns room for `capacity` tokens. Paged (Kwon et al. 2023): blocks of block_size
 * tokens are taken from a free list as sequences grow and given back when they shrink; a block table finds
 * them. The pool is allocated once, large enough for all sequences at capacity, so growth never allocates
 * memory and never fails below capacity. It knows nothing of attention or models. */
#pragma once

#include "kernels/kernels.h"
#include "presets/error.h"
#include "presets/implementation.h"

enum { KV_CACHE_BLOCK = 16 }; /* tokens per block, as vLLM's default */

struct kv_cache_shape {
    enum kv_cache_kind kind; /* contiguous or paged */
    enum kernel_dtype dtype; /* fp32, fp16, bf16 */
    int layers, kv_heads, head_dim;
    int block_size; /* paged only */
    int sequences, capacity;
};

struct kv_cache;

/* Bytes of the pool and of the block table, without allocating. */
void kv_cache_sizes(const struct kv_cache_shape *shape, int64_t *pool_bytes, int64_t *table_bytes);
struct kv_cache *kv_cache_create(struct kernels *k, const struct kv_cache_shape *shape, struct error *e);
void kv_cache_free(struct kv_cache *c); /* NULL is fine */

/* Makes tokens [0, length) of a sequence addressable (it may also shrink it). -1 FAILED beyond capacity:
 * nothing changes. Queues the table's update on the backend. */
int kv_cache_resize(struct kv_cache *c, int sequence, int length, struct error *e);
int kv_cache_length(const struct kv_cache *c, int sequence);
/* One layer as the kernels see it; sequence 0 of the view is `first_sequence`. */
struct kernel_kv kv_cache_layer(const struct kv_cache *c, int layer, int first_sequence);
int64_t kv_cache_used_bytes(const struct kv_cache *c); /* bytes that hold tokens */
int kv_cache_free_blocks(const struct kv_cache *c);    /* paged; contiguous: 0 */
