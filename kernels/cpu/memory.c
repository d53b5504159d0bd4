/* Memory, copies and events of the CPU backend. */
#include "kernels/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { HUGE_PAGE = 2 << 20 };

static size_t rounded(size_t bytes)
{
    size_t unit = bytes >= HUGE_PAGE ? 4096 : 64;
    return (bytes + unit - 1) / unit * unit;
}

/* What the kernel could give us without swapping, or SIZE_MAX when it does not say. malloc and mmap succeed
 * beyond it (overcommit) and the process is killed at the first touch, so it is asked before. */
static size_t available_memory(void)
{
    FILE *f = fopen("/proc/meminfo", "r");
    if (!f)
        return SIZE_MAX;
    char line[128];
    unsigned long long kib;
    size_t available = SIZE_MAX;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            available = (size_t)kib * 1024;
    fclose(f);
    return available;
}

void *cpu_alloc(struct kernels *k, size_t bytes)
{
    struct cpu *c = cpu_of(k);
    size_t size = rounded(bytes ? bytes : 1);
    if (size < bytes)
        return NULL;
    char *p;
    if (size < HUGE_PAGE) {
        p = aligned_alloc(64, size);
        if (!p)
            return NULL;
        memset(p, 0, size);
    } else {
        size_t available = available_memory();
        if (size > available - available / 64)
            return NULL;
        p = aligned_alloc(HUGE_PAGE, size / HUGE_PAGE * HUGE_PAGE + (size % HUGE_PAGE ? HUGE_PAGE : 0));
        if (!p)
            return NULL;
        madvise(p, size, MADV_HUGEPAGE); /* advice: without huge pages everything works, a little slower */
        int64_t pages = (int64_t)((size + HUGE_PAGE - 1) / HUGE_PAGE);
#pragma omp parallel for schedule(static) num_threads(c->threads)
        for (int64_t i = 0; i < pages; i++) {
            size_t from = (size_t)i * HUGE_PAGE;
            memset(p + from, 0, size - from < HUGE_PAGE ? size - from : HUGE_PAGE);
        }
    }
    atomic_fetch_add(&c->allocated, bytes);
    return p;
}

void cpu_free(struct kernels *k, void *p, size_t bytes)
{
    if (!p)
        return;
    atomic_fetch_sub(&cpu_of(k)->allocated, bytes);
    free(p);
}

size_t cpu_allocated(const struct kernels *k)
{
    return atomic_load(&cpu_of_const(k)->allocated);
}

void cpu_copy(struct kernels *k, void *to, const void *from, size_t bytes)
{
    (void)k;
    if (bytes)
        memcpy(to, from, bytes);
}

void cpu_synchronize(struct kernels *k)
{
    (void)k; /* every operation has finished when it returns */
}

struct kernel_event {
    struct timespec at;
};

struct kernel_event *cpu_event_create(struct kernels *k)
{
    (void)k;
    return calloc(1, sizeof(struct kernel_event));
}

void cpu_event_destroy(struct kernels *k, struct kernel_event *e)
{
    (void)k;
    free(e);
}

void cpu_event_record(struct kernels *k, struct kernel_event *e)
{
    (void)k;
    clock_gettime(CLOCK_MONOTONIC, &e->at);
}

int64_t cpu_event_span_ns(struct kernels *k, const struct kernel_event *from, const struct kernel_event *to)
{
    (void)k;
    return (int64_t)(to->at.tv_sec - from->at.tv_sec) * 1000000000 + (to->at.tv_nsec - from->at.tv_nsec);
}
