/* What the host files of the CUDA backend share beyond cuda.h: its private state and the operations on
 * memory, events, graphs and address space. Included by kernels/cuda/{cuda,memory,graph,reserve,devices}.c
 * alone. */
#pragma once

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/driver.h"

#include <pthread.h>
#include <stdatomic.h>

struct cublaslt;

/* Pinned memory through which every upload goes, in turn; a slot is free again when its event has passed. 16
 * MiB: larger copies overlap the host's part with the device's, and 32 small ones may be under way at once.
 */
enum { STAGING_SLOTS = 32, STAGING_SLOT_BYTES = 512 << 10 };
struct staging {
    char *slots;
    cudaEvent_t passed[STAGING_SLOTS];
    int next;
};

/* Addresses taken by cuda_reserve: which physical memory lies under each page, 0: none. */
struct reservation {
    struct reservation *next;
    char *at;
    size_t pages;
    driver_memory under[];
};

/* Guarded by `lock`: map and unmap come from another thread than the rest. */
struct address_space {
    pthread_mutex_t lock;
    bool there;
    struct driver driver;
    struct driver_property property;
    size_t page;
    cudaStream_t zeroing; /* new pages are zeroed here: on the backend's own stream a graph would record it */
    struct reservation *reservations;
    driver_memory *pool; /* pages kept on unmap, for the next map */
    size_t pooled, pool_room;
    char why[160]; /* why there is none */
};

/* Kernels that were allowed more than 48 KiB of dynamic shared memory, and how much. */
enum { SHARED_SLOTS = 256 };
struct shared_limit {
    const void *kernel;
    size_t bytes;
};

struct cuda_private {
    struct kernel_ops ops; /* the table without what this driver lacks */
    atomic_bool failed;
    pthread_mutex_t failing; /* one writer of `why`, which never changes once `failed` is set */
    char why[256];
    const char *last; /* the launch before now: an asynchronous fault is told at synchronize */
    bool capturing;
    int64_t capture_began_ns;
    atomic_size_t allocated;
    int64_t context;
    struct staging staging;
    struct address_space space;
    struct shared_limit shared[SHARED_SLOTS];
    struct cublaslt *library;
    char product[64], product_why[160];
    bool modules_at_once;
};

int64_t cuda_now_ns(void);
/* A failure that no call of the runtime returned: "uploaded while a graph is captured". First one stays. */
void cuda_fail(struct cuda *c, const char *what);
/* cuda_check of a call that launches nothing: keeps the last launch's name. */
static inline void cuda_verify(struct cuda *c, cudaError_t status, const char *what)
{
    if (status != cudaSuccess)
        cuda_check(c, status, what);
}
/* True, and a failure, while a graph is captured: `what` may not happen then. */
bool cuda_refuse_in_capture(struct cuda *c, const char *what);

/* devices.c: what open and kernels_devices need to know before a device is used. The number of GPUs, or 0
 * with the reason in why. */
int cuda_count_devices(char *why, size_t why_size);
bool cuda_modules_at_once(void); /* modules are loaded when the context is made */

/* memory.c */
int cuda_memory_open(struct cuda *c, char *why, size_t why_size);
void cuda_memory_close(struct cuda *c);
void *cuda_alloc(struct kernels *k, size_t bytes);
void cuda_free(struct kernels *k, void *p, size_t bytes);
size_t cuda_allocated(const struct kernels *k);
void cuda_memory(const struct kernels *k, struct kernel_memory *out);
void cuda_upload(struct kernels *k, void *to, const void *from, size_t bytes);
void cuda_download(struct kernels *k, void *to, const void *from, size_t bytes);
void cuda_copy(struct kernels *k, void *to, const void *from, size_t bytes);
void cuda_synchronize(struct kernels *k);
struct kernel_event *cuda_event_create(struct kernels *k);
void cuda_event_destroy(struct kernels *k, struct kernel_event *e);
void cuda_event_record(struct kernels *k, struct kernel_event *e);
int64_t cuda_event_span_ns(struct kernels *k, const struct kernel_event *from, const struct kernel_event *to);

/* graph.c */
bool cuda_graph_begin(struct kernels *k);
struct kernel_graph *cuda_graph_end(struct kernels *k, struct kernel_graph_report *report);
void cuda_graph_launch(struct kernels *k, struct kernel_graph *g);
void cuda_graph_destroy(struct kernels *k, struct kernel_graph *g);

/* reserve.c: where the driver has no virtual memory, `there` stays false and the five operations are NULL in
 * the table. */
void cuda_space_open(struct cuda *c);
void cuda_space_close(struct cuda *c);
/* Gives the pool's pages back to the driver; true where there were any. */
bool cuda_space_trim(struct cuda *c);
size_t cuda_space_pooled(const struct cuda *c); /* bytes */
size_t cuda_page_bytes(const struct kernels *k);
void *cuda_reserve(struct kernels *k, size_t bytes);
bool cuda_map(struct kernels *k, void *at, size_t bytes);
void cuda_unmap(struct kernels *k, void *at, size_t bytes);
void cuda_unreserve(struct kernels *k, void *at, size_t bytes);
