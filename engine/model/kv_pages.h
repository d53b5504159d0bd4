/* The memory under a virtual key-value cache (vAttention, Prabhu et al. 2024, section 5): addresses for every
 * sequence at capacity are reserved once, memory is mapped under them as sequences grow, and a thread of its
 * own maps what the next steps will need while the present one runs. What was mapped stays when a sequence
 * ends or shrinks, for the next one to use.
 *
 * Keys and values are [layers, sequences, heads, capacity] rows each: the layout of the contiguous cache, so
 * that the same kernels read both. A head's rows lie together, so growth touches a page per layer and head;
 * pages at the border of two regions serve both. Knows rows and pages, nothing of tokens' meaning. */
#pragma once

#include "kernels/kernels.h"
#include "presets/error.h"

struct kv_pages;

struct kv_pages_shape {
    int layers, sequences, heads, capacity;
    int64_t row_bytes;
};

struct kv_pages_figures {
    int64_t page_bytes;
    int64_t reserved;   /* bytes of address space */
    int64_t committed;  /* bytes mapped; never shrinks */
    int64_t pages;      /* mapped */
    int64_t hidden_ns;  /* spent mapping by the thread, beside the work */
    int64_t exposed_ns; /* that kv_pages_need kept its caller waiting */
};

/* The backend has these operations (kernels.h). NULL: MEMORY or FAILED. */
struct kv_pages *kv_pages_create(struct kernels *k, const struct kv_pages_shape *shape, struct error *e);
void kv_pages_free(struct kv_pages *p); /* NULL is fine; nothing queued may still read the pages */

void *kv_pages_keys(const struct kv_pages *p);
void *kv_pages_values(const struct kv_pages *p);

/* Rows [0, rows) of every region of a sequence have memory when this returns; at most capacity. Waits for
 * mapping only where it was not done ahead. -1 MEMORY. One caller's thread. */
int kv_pages_need(struct kv_pages *p, int sequence, int rows, struct error *e);
/* The thread shall map rows [0, rows), soon. Costs nothing where they are mapped. */
void kv_pages_ahead(struct kv_pages *p, int sequence, int rows);
/* Waits until the thread has done what it was asked: for figures that do not depend on its speed. */
void kv_pages_settle(struct kv_pages *p);
void kv_pages_figures(struct kv_pages *p, struct kv_pages_figures *out);
