/* What this machine reaches, for comparison with what the operations reach. */
#include "kernels/cpu/cpu.h"

#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Far beyond any cache of its class, yet small enough for a small machine. */
enum { READ_MIB = 256 };

double cpu_measure_read(struct kernels *k, double seconds)
{
    const struct cpu *c = cpu_of(k);
    size_t bytes = (size_t)READ_MIB << 20;
    float *buffer = cpu_alloc(k, bytes);
    if (!buffer)
        return 0;
    double start = now(), best = 0;
    volatile float sink = 0;
    do {
        double before = now();
        float total = 0;
#pragma omp parallel num_threads(c->threads) reduction(+ : total)
        {
            struct cpu_range mine = cpu_share((int64_t)(bytes / sizeof(float)), 4096, omp_get_thread_num(),
                                              omp_get_num_threads());
            total += c->simd->read(buffer + mine.first, mine.last - mine.first);
        }
        sink = sink + total;
        double rate = (double)bytes / (now() - before);
        best = rate > best ? rate : best;
    } while (now() - start < seconds);
    cpu_free(k, buffer, bytes);
    return best;
}

double cpu_measure_copy(struct kernels *k, double seconds)
{
    const struct cpu *c = cpu_of(k);
    size_t bytes = (size_t)READ_MIB << 19; /* as much again is written */
    char *from = cpu_alloc(k, bytes), *to = cpu_alloc(k, bytes);
    double start = now(), best = 0;
    while (from && to && now() - start < seconds) {
        double before = now();
#pragma omp parallel num_threads(c->threads)
        {
            struct cpu_range mine =
                cpu_share((int64_t)bytes, 4096, omp_get_thread_num(), omp_get_num_threads());
            memcpy(to + mine.first, from + mine.first, (size_t)(mine.last - mine.first));
        }
        double rate = 2.0 * (double)bytes / (now() - before);
        best = rate > best ? rate : best;
    }
    cpu_free(k, from, bytes);
    cpu_free(k, to, bytes);
    return best;
}
