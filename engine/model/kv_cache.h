/* The key-value cache of all layers for a fixed set of sequences: where each token's keys and values stand.
 *
 * Contiguous: every sequence owns room for `capacity` tokens. Paged (Kwon et al. 2023): blocks of block_size
 * tokens are taken from a free list as sequences grow and given back when they shrink; a block table finds
 * them; the pool is allocated once, large enough for all sequences at capacity or for the budget, so growth
 * never allocates memory. Virtual (Prabhu et al. 2024): one sequence after another in address space alone,
 * memory mapped under it as sequences grow (engine/model/kv_pages). It knows nothing of attention or models.
 */
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
    int64_t budget; /* bytes that sequences may hold together: paged, the pool; virtual, what may be mapped.
                       0: enough for all at capacity. Contiguous ignores it: all is taken at once. */
    bool alone;     /* virtual: nothing is mapped ahead, growth is what the calls alone make it */
};

/* What lies together, and so what a page serves.
 *  - heads: a layer's head, tokens one after another: the attention of one head reads one stretch of memory
 *  - tokens: a layer's token, all heads
 *  - layers: a token of all layers ("megacache", Prabhu et al. 2024, section 8.3): two tensors in all, so
 *    that a step of a sequence takes two pages and not two per layer */
enum kv_cache_layout { KV_CACHE_BY_HEAD, KV_CACHE_BY_TOKEN, KV_CACHE_ACROSS_LAYERS };
/* Contiguous and paged caches lie by head. A virtual one does where a page holds so few tokens of a head (4
 * KiB of the CPU: 16 of 256 bytes) that what is mapped follows the tokens closely; where pages are large (2
 * MiB of a GPU: 8192) a short context would touch one per head, so that tokens lie whole, across layers where
 * even a layer's tokens fill pages slowly. Pure. */
enum kv_cache_layout kv_cache_layout_of(const struct kv_cache_shape *shape, int64_t page_bytes);

struct kv_cache_figures {
    int64_t page_bytes;  /* in which memory comes and goes: contiguous, the room of a sequence; paged, a block
                            of all layers, keys and values; virtual, a page */
    int64_t page_tokens; /* of a sequence that a page of each tensor holds */
    int64_t pages;       /* held by sequences, or kept for them */
    int64_t reserved;    /* bytes of the pool, or of address space */
    int64_t committed;   /* bytes in pages: no other sequence can have them */
    int64_t kept;        /* of them: no token needs them now; a virtual cache keeps what it mapped */
    int64_t used;        /* bytes that hold tokens */
    int64_t contiguous;  /* bytes of a contiguous cache for the same sequences at capacity */
    int64_t map_calls;   /* virtual: of the backend */
    struct kv_growth hidden, exposed; /* virtual */
};

struct kv_cache;

int kv_cache_block_size(enum kv_cache_kind kind); /* of the paged kinds; 0: not paged */
/* Bytes of the pool and of the block table, without allocating. Virtual: of the pool when every sequence is
 * at capacity, before rounding to pages. */
void kv_cache_sizes(const struct kv_cache_shape *shape, int64_t *pool_bytes, int64_t *table_bytes);
struct kv_cache *kv_cache_create(struct kernels *k, const struct kv_cache_shape *shape, struct error *e);
void kv_cache_free(struct kv_cache *c); /* NULL is fine */

/* Makes tokens [0, length[i]) of sequence first + i addressable for each of n (it may also shrink them). -1
 * FAILED beyond capacity, MEMORY where the budget or the memory of the device ends: no length changes.
 * Queues the table's update on the backend, in one copy. */
int kv_cache_resize(struct kv_cache *c, int first, int n, const int *length, struct error *e);
int kv_cache_length(const struct kv_cache *c, int sequence);
/* The empty sequence to start one of `length` tokens in: where what is already mapped fits best, else the
 * first. -1: none is empty. */
int kv_cache_vacant(const struct kv_cache *c, int length);
/* One layer as the kernels see it; sequence 0 of the view is `first_sequence`. Stays the same as sequences
 * grow. */
struct kernel_kv kv_cache_layer(const struct kv_cache *c, int layer, int first_sequence);
int64_t kv_cache_used_bytes(const struct kv_cache *c); /* bytes that hold tokens */
int kv_cache_free_blocks(const struct kv_cache *c);    /* paged; else 0 */
/* settle: after a virtual cache's thread has done what it was asked. */
void kv_cache_figures(struct kv_cache *c, bool settle, struct kv_cache_figures *out);
