/* oneDNN (https://oneapi-src.github.io/oneDNN), opened at run time. Only dnnl_sgemm and dnnl_version are
 * used: their signatures are the same in versions 1 to 3, so that no header is needed to build. Row-major
 * since version 1. */
#include "kernels/cpu/product.h"

#include <dlfcn.h>
#include <stdio.h>

struct version { /* the head of dnnl_version_t */
    int major, minor, patch;
    const char *hash;
};

typedef int sgemm_function(char transa, char transb, int64_t m, int64_t n, int64_t k, float alpha,
                           const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                           int64_t ldc);

static sgemm_function *sgemm;
static char name[48];

static const char *load(char *why, size_t why_size)
{
    static const char *const files[] = {"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so.1"};
    if (sgemm)
        return name;
    void *library = NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files && !library; i++)
        library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why, why_size, "oneDNN not found");
        return NULL;
    }
    const struct version *(*version)(void);
    *(void **)&version = dlsym(library, "dnnl_version");
    *(void **)&sgemm = dlsym(library, "dnnl_sgemm");
    if (!version || !sgemm) {
        sgemm = NULL;
        dlclose(library);
        snprintf(why, why_size, "the oneDNN found has no dnnl_sgemm");
        return NULL;
    }
    const struct version *v = version();
    snprintf(name, sizeof name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return name;
}

static void multiply(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                     const float *w, int64_t w_stride, int64_t rows, int64_t n, int64_t cols)
{
    omp_set_dynamic(0);
    omp_set_num_threads(c->threads); /* of this thread's parallel regions: what oneDNN asks for */
    sgemm('N', 'T', rows, n, cols, 1, x, x_stride, w, w_stride, 0, out, out_stride);
}

const struct product_library product_onednn = {
    .key = "onednn",
    .install = "install libdnnl-dev (Debian, Ubuntu) or onednn (Fedora, Arch)",
    .load = load,
    .multiply = multiply,
};
