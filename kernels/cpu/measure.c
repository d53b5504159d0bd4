/* What this machine reaches, for comparison with what the operations reach. */
#include "kernels/cpu/cpu.h"

#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Far beyond any cache of its class, yet small enough for a small machine. */
enum { READ_MIB = 256 };

double kernels_measure_read_bandwidth(struct kernels *k, double seconds)
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

double kernels_measure_product_rate(struct kernels *k, enum kernel_dtype dtype, int rows, int n, int cols,
                                    double seconds)
{
    struct kernel_matrix m = {dtype, n, cols, NULL, NULL};
    size_t weight_bytes = kernel_matrix_bytes(dtype, n, cols), data_bytes = (size_t)n * (size_t)cols;
    data_bytes *= kernel_dtype_bytes(dtype);
    size_t x_bytes = (size_t)rows * (size_t)cols * sizeof(float),
           out_bytes = (size_t)rows * (size_t)n * sizeof(float);
    size_t workspace_bytes = cpu_product_workspace(k, &m, rows);
    char *weights = cpu_alloc(k, weight_bytes);
    float *x = cpu_alloc(k, x_bytes), *out = cpu_alloc(k, out_bytes);
    void *workspace = workspace_bytes ? cpu_alloc(k, workspace_bytes) : NULL;
    double best = 0;
    if (weights && x && out && (workspace || workspace_bytes == 0)) {
        struct kernel_matrix xs = {KERNEL_FP32, rows, cols, x, NULL};
        m.data = weights;
        m.scales = dtype == KERNEL_INT8 ? (float *)(void *)(weights + data_bytes) : NULL;
        cpu_generate(k, &m, 1, 1, KERNEL_UNIFORM, 0.05f);
        cpu_generate(k, &xs, 1, 2, KERNEL_UNIFORM, 1);
        double start = now();
        int pass = 0;
        do {
            double before = now();
            cpu_product(k, out, n, x, cols, &m, NULL, rows, workspace);
            double rate = 2.0 * rows * n * cols / (now() - before);
            if (pass++ > 0) /* the first pass warms caches and the library up */
                best = rate > best ? rate : best;
        } while (pass < 3 || now() - start < seconds);
    }
    cpu_free(k, weights, weight_bytes);
    cpu_free(k, x, x_bytes);
    cpu_free(k, out, out_bytes);
    cpu_free(k, workspace, workspace_bytes);
    return best;
}
