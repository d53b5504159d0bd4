/* Memory, copies, events and the end of the queue.
 *
 * Everything runs on one stream, so that order is all that is needed: alloc's zeros, an upload and the
 * operation that reads it are queued one after another. */
#include "kernels/cuda/host.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t cuda_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int cuda_memory_open(struct cuda *c, char *why, size_t why_size)
{
    struct staging *s = &c->own->staging;
    void *slots = NULL;
    cudaError_t status =
        cudaHostAlloc(&slots, (size_t)STAGING_SLOTS * STAGING_SLOT_BYTES, cudaHostAllocDefault);
    s->slots = slots;
    for (int i = 0; status == cudaSuccess && i < STAGING_SLOTS; i++)
        status = cudaEventCreateWithFlags(&s->passed[i], cudaEventDisableTiming);
    if (status == cudaSuccess) {
        status = cudaMalloc(&c->scratch, CUDA_SCRATCH_BYTES);
        if (status == cudaSuccess)
            return 0;
        (void)cudaGetLastError();
        snprintf(why, why_size, "cuda:%d has no memory left (%s): nvidia-smi lists who holds it", c->index,
                 cudaGetErrorString(status));
        return -1;
    }
    (void)cudaGetLastError();
    snprintf(why, why_size, "no pinned host memory for uploads (%s): close other programs",
             cudaGetErrorString(status));
    return -1;
}

void cuda_memory_close(struct cuda *c)
{
    struct staging *s = &c->own->staging;
    for (int i = 0; i < STAGING_SLOTS; i++)
        if (s->passed[i])
            cudaEventDestroy(s->passed[i]);
    if (s->slots)
        cudaFreeHost(s->slots);
    cudaFree(c->scratch);
}

/* Zeroed in queue order: whatever is queued after it sees zeros. */
void *cuda_alloc(struct kernels *k, size_t bytes)
{
    struct cuda *c = cuda_of(k);
    void *p = NULL;
    if (cuda_refuse_in_capture(c, "alloc"))
        return NULL;
    cudaSetDevice(c->index);
    cudaError_t status = cudaMalloc(&p, bytes ? bytes : 1);
    if (status == cudaErrorMemoryAllocation && cuda_space_trim(c)) {
        (void)cudaGetLastError();
        status = cudaMalloc(&p, bytes ? bytes : 1);
    }
    if (status != cudaSuccess) {
        (void)cudaGetLastError(); /* no memory is an answer, not a failure of the device */
        if (status != cudaErrorMemoryAllocation)
            cuda_verify(c, status, "alloc");
        return NULL;
    }
    cuda_verify(c, cudaMemsetAsync(p, 0, bytes ? bytes : 1, c->stream), "alloc");
    atomic_fetch_add(&c->own->allocated, bytes);
    return p;
}

void cuda_free(struct kernels *k, void *p, size_t bytes)
{
    struct cuda *c = cuda_of(k);
    if (!p || cuda_refuse_in_capture(c, "free"))
        return;
    cuda_verify(c, cudaFree(p), "free"); /* waits for the device: nobody reads it any more */
    atomic_fetch_sub(&c->own->allocated, bytes);
}

size_t cuda_allocated(const struct kernels *k)
{
    return atomic_load(&cuda_of(k)->own->allocated);
}

/* context: what was gone from the device when it was opened and nothing was allocated yet: this process's
 * context, modules and library, and whatever other processes held then. The driver tells them apart only
 * through NVML. */
void cuda_memory(const struct kernels *k, struct kernel_memory *out)
{
    struct cuda *c = cuda_of(k);
    size_t available = 0, total = 0;
    *out = (struct kernel_memory){.allocated = (int64_t)cuda_allocated(k),
                                  .available = INT64_MAX,
                                  .total = INT64_MAX,
                                  .context = c->own->context};
    cudaError_t status = cudaMemGetInfo(&available, &total);
    cuda_verify(c, status, "memory");
    if (status != cudaSuccess)
        return;
    out->available = (int64_t)(available + cuda_space_pooled(c));
    out->total = (int64_t)total;
}

/* Through the ring: each piece waits only for the slot's last copy, and `from` is free when this returns. */
void cuda_upload(struct kernels *k, void *to, const void *from, size_t bytes)
{
    struct cuda *c = cuda_of(k);
    struct staging *s = &c->own->staging;
    if (bytes == 0 || cuda_refuse_in_capture(c, "upload"))
        return;
    for (size_t done = 0; done < bytes;) {
        size_t piece = bytes - done < STAGING_SLOT_BYTES ? bytes - done : STAGING_SLOT_BYTES;
        char *slot = s->slots + (size_t)s->next * STAGING_SLOT_BYTES;
        cuda_verify(c, cudaEventSynchronize(s->passed[s->next]), "upload");
        memcpy(slot, (const char *)from + done, piece);
        cuda_verify(c, cudaMemcpyAsync((char *)to + done, slot, piece, cudaMemcpyHostToDevice, c->stream),
                    "upload");
        cuda_verify(c, cudaEventRecord(s->passed[s->next], c->stream), "upload");
        s->next = (s->next + 1) % STAGING_SLOTS;
        done += piece;
    }
}

void cuda_download(struct kernels *k, void *to, const void *from, size_t bytes)
{
    struct cuda *c = cuda_of(k);
    if (cuda_refuse_in_capture(c, "download"))
        return;
    if (bytes)
        cuda_verify(c, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, c->stream), "download");
    cuda_synchronize(k);
}

void cuda_copy(struct kernels *k, void *to, const void *from, size_t bytes)
{
    struct cuda *c = cuda_of(k);
    cuda_verify(c, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, c->stream), "copy");
}

/* A fault of a kernel shows here, long after its launch: the last launch's name narrows it down. */
void cuda_synchronize(struct kernels *k)
{
    struct cuda *c = cuda_of(k);
    if (cuda_refuse_in_capture(c, "synchronize"))
        return;
    cudaError_t status = cudaStreamSynchronize(c->stream);
    if (status == cudaSuccess)
        status = cudaGetLastError();
    if (status != cudaSuccess) {
        char what[160];
        snprintf(what, sizeof what, "the queue, seen at synchronize, last launch %s",
                 c->own->last ? c->own->last : "none");
        cuda_verify(c, status, what);
    }
}

/* A kernel_event is a cudaEvent_t: no memory of its own. The device's clock behind it ticks about every half
 * microsecond (CUDA Runtime API, cudaEventElapsedTime). */
struct kernel_event *cuda_event_create(struct kernels *k)
{
    cudaEvent_t e = NULL;
    struct cuda *c = cuda_of(k);
    cudaSetDevice(c->index);
    cudaError_t status = cudaEventCreateWithFlags(&e, cudaEventDefault);
    if (status == cudaSuccess)
        return (struct kernel_event *)(void *)e;
    (void)cudaGetLastError();
    return NULL;
}

void cuda_event_destroy(struct kernels *k, struct kernel_event *e)
{
    if (e)
        cuda_verify(cuda_of(k), cudaEventDestroy((cudaEvent_t)(void *)e), "event_destroy");
}

void cuda_event_record(struct kernels *k, struct kernel_event *e)
{
    struct cuda *c = cuda_of(k);
    cuda_verify(c, cudaEventRecord((cudaEvent_t)(void *)e, c->stream), "event_record");
}

int64_t cuda_event_span_ns(struct kernels *k, const struct kernel_event *from, const struct kernel_event *to)
{
    float ms = 0;
    cudaError_t status = cudaEventElapsedTime(&ms, (cudaEvent_t)(uintptr_t)from, (cudaEvent_t)(uintptr_t)to);
    cuda_verify(cuda_of(k), status, "event_span_ns");
    return status == cudaSuccess ? llround((double)ms * 1e6) : 0;
}
