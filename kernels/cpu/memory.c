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

/* The number behind `key` in a file of lines "key number", times `unit`; key "" takes the first number.
 * SIZE_MAX where there is none ("max" in the files of control groups). */
static size_t number_in(const char *path, const char *key, size_t unit)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return SIZE_MAX;
    char line[128];
    size_t length = strlen(key), found = SIZE_MAX;
    while (found == SIZE_MAX && fgets(line, sizeof line, f)) {
        char *end;
        if (strncmp(line, key, length) != 0)
            continue;
        unsigned long long number = strtoull(line + length, &end, 10);
        if (end != line + length)
            found = (size_t)number * unit;
    }
    fclose(f);
    return found;
}

/* What the control group (version 2) in `folder` still allows; cached files can be dropped. */
static size_t group_memory(const char *folder)
{
    char path[320];
    snprintf(path, sizeof path, "%s/memory.max", folder);
    size_t limit = number_in(path, "", 1);
    snprintf(path, sizeof path, "%s/memory.current", folder);
    size_t used = number_in(path, "", 1);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    size_t files = number_in(path, "inactive_file ", 1);
    if (limit == SIZE_MAX || used == SIZE_MAX)
        return SIZE_MAX;
    used -= files < used ? files : 0;
    return used < limit ? limit - used : 0;
}

/* What the kernel could give us without swapping or killing, or SIZE_MAX when it does not say. malloc and
 * mmap succeed beyond it (overcommit) and the process is killed at the first touch, so it is asked before. */
static size_t available_memory(void)
{
    size_t available = number_in("/proc/meminfo", "MemAvailable:", 1024);
    size_t group = group_memory("/sys/fs/cgroup"); /* the root of a container */
    available = group < available ? group : available;
    char line[256], folder[300];
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (f && fgets(line, sizeof line, f) && strncmp(line, "0::/", 4) == 0) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", line + 3);
        group = group_memory(folder);
        available = group < available ? group : available;
    }
    if (f)
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

void cpu_memory(const struct kernels *k, struct kernel_memory *out)
{
    size_t available = available_memory(), total = number_in("/proc/meminfo", "MemTotal:", 1024);
    *out = (struct kernel_memory){
        .allocated = (int64_t)cpu_allocated(k),
        .available = available == SIZE_MAX ? INT64_MAX : (int64_t)available,
        .total = total == SIZE_MAX ? INT64_MAX : (int64_t)total,
    };
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
