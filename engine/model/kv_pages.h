/* The memory under a virtual key-value cache (vAttention, Prabhu et al. 2024, section 5): addresses for every
 * sequence at capacity are reserved once, memory is mapped under them as sequences grow, and a thread of its
 * own maps what the next steps will need while the present one runs. What was mapped stays when a sequence
 * ends or shrinks, for the next one to use, and is taken back where memory runs short.
 *
 * Keys and values are [outer, sequences, inner] regions each, a region [capacity] rows and then nothing up to
 * a whole page, so that no page serves two regions. Every region of a sequence grows alike, page by page from
 * its start. Knows rows and pages, nothing of tokens' meaning. */
#pragma once

#include "kernels/kernels.h"
#include "presets/error.h"

struct kv_pages;

struct kv_pages_shape {
    int outer, sequences, inner, capacity;
    int64_t row_bytes;
    int64_t budget; /* bytes that may be mapped at once; 0: as many as there are */
    bool alone;     /* no thread maps ahead */
};

struct kv_growth { /* each time a sequence was given memory */
    int64_t count, ns, max_ns;
};

struct kv_pages_figures {
    int64_t page_bytes;
    int64_t reserved;         /* bytes of address space */
    int64_t committed, pages; /* mapped now */
    int64_t kept;             /* bytes of committed that no row needs now: kept, or mapped ahead */
    int64_t map_calls;        /* of the backend, since create */
    struct kv_growth hidden;  /* by the thread, beside the work */
    struct kv_growth exposed; /* in kv_pages_need, its caller waiting */
};

/* The backend has these operations (kernels.h). NULL: MEMORY or FAILED. */
struct kv_pages *kv_pages_create(struct kernels *k, const struct kv_pages_shape *shape, struct error *e);
void kv_pages_free(struct kv_pages *p); /* NULL is fine; nothing queued may still read the pages */

void *kv_pages_keys(const struct kv_pages *p);
void *kv_pages_values(const struct kv_pages *p);
int64_t kv_pages_region_bytes(const struct kv_pages *p); /* from region to region */

/* Rows [0, rows) of every region of a sequence have memory when this returns; at most capacity. Fewer than
 * before: the rest may be taken back when others need it. Waits for mapping only where it was not done ahead,
 * and for all that is queued where pages must be taken back first. -1 MEMORY: nothing has changed. One
 * caller's thread. */
int kv_pages_need(struct kv_pages *p, int sequence, int rows, struct error *e);
/* The thread shall map rows [0, rows), soon. Costs nothing where they are mapped. */
void kv_pages_ahead(struct kv_pages *p, int sequence, int rows);
/* Rows of a sequence that have memory now. */
int kv_pages_ready(const struct kv_pages *p, int sequence);
/* Waits until the thread has done what it was asked: for figures that do not depend on its speed. */
void kv_pages_settle(struct kv_pages *p);
void kv_pages_figures(struct kv_pages *p, struct kv_pages_figures *out);
