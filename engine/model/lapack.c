#include "engine/model/lapack.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Fortran: everything by address, the lengths of the two letters at the end. */
typedef void dsyevd_function(const char *job, const char *half, const int *n, double *a, const int *lda,
                             double *w, double *work, const int *work_size, int *iwork, const int *iwork_size,
                             int *info, size_t job_length, size_t half_length);

static dsyevd_function *find_lapack(const char **name, void (**set_threads)(int))
{
    static const char *const files[] = {"libopenblas.so.0", "libopenblas.so",    "libmkl_rt.so.2",
                                        "libmkl_rt.so",     "libflexiblas.so.3", "liblapack.so.3"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        void *library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
        dsyevd_function *solve = NULL;
        if (!library)
            continue;
        *(void **)&solve = dlsym(library, "dsyevd_");
        *(void **)set_threads = dlsym(library, "openblas_set_num_threads");
        *name = files[i];
        if (solve)
            return solve;
        dlclose(library);
    }
    return NULL;
}

/* 0: done; else nothing is known of a. */
static int run(dsyevd_function *solve, double *a, int n, double *value)
{
    double work_wanted = 0;
    int iwork_wanted = 0, query = -1, info = 0;
    solve("V", "U", &n, a, &n, value, &work_wanted, &query, &iwork_wanted, &query, &info, 1, 1);
    int work_size = (int)work_wanted + 1, iwork_size = iwork_wanted + 1;
    double *work = info == 0 ? malloc((size_t)work_size * sizeof *work) : NULL;
    int *iwork = info == 0 ? malloc((size_t)iwork_size * sizeof *iwork) : NULL;
    if (work && iwork)
        solve("V", "U", &n, a, &n, value, work, &work_size, iwork, &iwork_size, &info, 1, 1);
    int failed = !work || !iwork || info != 0;
    free(work);
    free(iwork);
    return failed ? -1 : 0;
}

int lapack_eigen(double *a, int n, double *value, char *name, size_t size)
{
    const char *file = "";
    void (*set_threads)(int) = NULL;
    dsyevd_function *solve = find_lapack(&file, &set_threads);
    if (!solve)
        return -1;
    snprintf(name, size, "%s", file);
    if (set_threads)
        set_threads((int)sysconf(_SC_NPROCESSORS_ONLN));
    int failed = run(solve, a, n, value);
    if (set_threads) /* as the products that share it want it */
        set_threads(1);
    return failed;
}
