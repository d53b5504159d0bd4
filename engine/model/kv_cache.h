/* The key-value cache of all layers for a fixed set of sequences: where each token's keys and values stand.
 *
 * Contiguous: every sequence owns room for `capacity` tokens. Paged (Kwon et al. 2023): blocks of block_size
 * tokens are taken from a free list as sequences grow and given back when they shrink; a block table finds
 * them; the pool is allocated once, large enough for all sequences at capacity, so growth never allocates
 * memory and never fails below capacity. Virtual (Prabhu et al. 2024): the contiguous layout in address space
 * alone, memory mapped under it as sequences grow (engine/model/kv_pages). It knows nothing of attention or
 * models. */
#pragma once

#include "engine/model/kv_pages.h"
#include "kernels/kernels.h"
#include "presets/error.h"
#include "presets/implementation.h"

enum {
    KV_CACHE_BLOCK = 16,        /* tokens per block, as vLLM's default */
    KV_CACHE_LARGE_BLOCK = 256, /* as FlashAttention's own paged path */
    KV_CACHE_AHEAD = 64         /* tokens of a virtual cache that are mapped before they are needed */
};

struct kv_cache_shape {
    enum kv_cache_kind kind;
    enum kernel_dtype dtype; /* fp32, fp16, bf16 */
    int layers, kv_heads, head_dim;
    int block_size; /* paged only */
    int sequences, capacity;
};

struct kv_cache;

int kv_cache_block_size(enum kv_cache_kind kind); /* of the paged kinds; 0: not paged */
/* Bytes of the pool and of the block table, without allocating. Virtual: of the pool when every sequence is
 * at capacity, before rounding to pages. */
void kv_cache_sizes(const struct kv_cache_shape *shape, int64_t *pool_bytes, int64_t *table_bytes);
struct kv_cache *kv_cache_create(struct kernels *k, const struct kv_cache_shape *shape, struct error *e);
void kv_cache_free(struct kv_cache *c); /* NULL is fine */

/* Makes tokens [0, length[i]) of sequence first + i addressable for each of n (it may also shrink them). -1
 * FAILED beyond capacity: nothing changes; MEMORY where a virtual cache finds none. Queues the table's update
 * on the backend, in one copy. */
int kv_cache_resize(struct kv_cache *c, int first, int n, const int *length, struct error *e);
int kv_cache_length(const struct kv_cache *c, int sequence);
/* One layer as the kernels see it; sequence 0 of the view is `first_sequence`. Stays the same as sequences
 * grow. */
struct kernel_kv kv_cache_layer(const struct kv_cache *c, int layer, int first_sequence);
int64_t kv_cache_used_bytes(const struct kv_cache *c); /* bytes that hold tokens */
int kv_cache_free_blocks(const struct kv_cache *c);    /* paged; else 0 */
/* The pages of a virtual cache; false: this is none. settle: after the thread has done what it was asked. */
bool kv_cache_pages(struct kv_cache *c, bool settle, struct kv_pages_figures *out);
