/* Address space without memory: pages that fault until they are mapped. */
#include "kernels/cpu/cpu.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

size_t cpu_page_bytes(const struct kernels *k)
{
    (void)k;
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *cpu_reserve(struct kernels *k, size_t bytes)
{
    (void)k;
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

bool cpu_map(struct kernels *k, void *at, size_t bytes)
{
    if (mprotect(at, bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    memset(at, 0, bytes); /* resident now, not at the first token that comes here */
    atomic_fetch_add(&cpu_of(k)->allocated, bytes);
    return true;
}

void cpu_unmap(struct kernels *k, void *at, size_t bytes)
{
    /* The order keeps the promise that mapped pages are zero: nothing is written once access is gone. */
    mprotect(at, bytes, PROT_NONE);
    madvise(at, bytes, MADV_DONTNEED);
    atomic_fetch_sub(&cpu_of(k)->allocated, bytes);
}

void cpu_unreserve(struct kernels *k, void *at, size_t bytes)
{
    (void)k;
    if (at)
        munmap(at, bytes);
}
