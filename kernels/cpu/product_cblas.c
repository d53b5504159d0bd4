/* Any CBLAS, opened at run time. OpenBLAS brings a thread pool of its own, which would fight with OpenMP's
 * for the cores: it is held to one thread, and every OpenMP thread multiplies its own rows of the weights. */
#include "kernels/cpu/product.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 }; /* of the CBLAS standard */

enum {
    MOST_THREADS = 64
}; /* distributions build OpenBLAS with buffers for 128 callers at once, some for fewer */

typedef void sgemm_function(int order, int transa, int transb, int m, int n, int k, float alpha,
                            const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

static sgemm_function *sgemm;
static char name[64];

static void describe(void *library, const char *file)
{
    char *(*config)(void);
    void (*set_threads)(int);
    *(void **)&config = dlsym(library, "openblas_get_config");
    *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    if (!set_threads)
        *(void **)&set_threads = dlsym(library, "MKL_Set_Num_Threads");
    if (!set_threads)
        *(void **)&set_threads = dlsym(library, "bli_thread_set_num_threads_");
    if (set_threads)
        set_threads(1);
    if (config) { /* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ... Zen MAX_THREADS=64" */
        char text[200] = "";
        snprintf(text, sizeof text, "%s", config());
        char *version = strchr(text, ' ');
        char *end = version ? strchr(version + 1, ' ') : NULL;
        if (end)
            *end = '\0';
        snprintf(name, sizeof name, "%.40s (cblas)", text);
    } else {
        snprintf(name, sizeof name, "%.40s (cblas)", file);
    }
}

static const char *load(char *why, size_t why_size)
{
    static const char *const files[] = {"libopenblas.so.0", "libopenblas.so", "libmkl_rt.so.2",
                                        "libmkl_rt.so",     "libblis.so.4",   "libcblas.so.3",
                                        "libblas.so.3"};
    if (sgemm)
        return name;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        void *library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
        if (!library)
            continue;
        *(void **)&sgemm = dlsym(library, "cblas_sgemm");
        if (sgemm) {
            describe(library, files[i]);
            return name;
        }
        dlclose(library);
    }
    snprintf(why, why_size, "no CBLAS found");
    return NULL;
}

static void multiply(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                     const float *w, int64_t w_stride, int64_t rows, int64_t n, int64_t cols)
{
    int threads = c->threads < MOST_THREADS ? c->threads : MOST_THREADS;
#pragma omp parallel num_threads(threads)
    {
        struct cpu_range mine = cpu_share(n, 16, omp_get_thread_num(), omp_get_num_threads());
        if (mine.last > mine.first)
            sgemm(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, (int)rows, (int)(mine.last - mine.first), (int)cols, 1,
                  x, (int)x_stride, w + mine.first * w_stride, (int)w_stride, 0, out + mine.first,
                  (int)out_stride);
    }
}

const struct product_library product_cblas = {
    .key = "cblas",
    .install = "install libopenblas0-pthread (Debian, Ubuntu) or openblas (Fedora, Arch)",
    .load = load,
    .multiply = multiply,
};
