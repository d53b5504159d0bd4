/* Large products behind one seam: a library made for them, found at run time, or our own loops.
 *
 * A library computes out[rows, n] = x w^T in fp32 and nothing else; types, bias, activation and accumulation
 * are handled by product.c, so that every way gives the same epilogue. */
#pragma once

#include "kernels/cpu/cpu.h"

struct product_library {
    const char *key;     /* in kernels_config.product */
    const char *install; /* what to do where it is missing */
    /* Loads the library (once per process; later calls are free). NULL and `why` where it is missing, else
     * its name and version. */
    const char *(*load)(char *why, size_t why_size);
    void (*multiply)(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                     const float *w, int64_t w_stride, int64_t rows, int64_t n, int64_t cols);
};

extern const struct product_library product_onednn, product_cblas; /* product_onednn.c, product_cblas.c */

/* product_own.c: any weight type, any epilogue. */
void product_own(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                 const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                 void *workspace);
/* out[rows, m->rows / 2] = silu(x gate^T) * (x up^T), both halves of a block while they are in the cache. */
void product_own_gate_up(const struct cpu *c, float *out, const float *x, const struct kernel_matrix *m,
                         int rows, void *workspace);
size_t product_own_workspace(const struct cpu *c, const struct kernel_matrix *m, int rows);

/* product_int8.c: x rounded to 8 bits, its columns a record each in the workspace. Any number of rows. */
bool product_takes_int8(const struct kernel_matrix *m);
void product_int8(const struct cpu *c, float *out, int64_t out_stride, const float *x, int64_t x_stride,
                  const struct kernel_matrix *m, const struct kernel_epilogue *epilogue, int rows,
                  void *workspace);
void product_int8_gate_up(const struct cpu *c, float *out, const float *x, const struct kernel_matrix *m,
                          int rows, void *workspace);
void product_int8_pack(const struct cpu *c, void *packed, const float *x, int64_t x_stride,
                       const struct kernel_matrix *m, int rows);
size_t product_int8_workspace(const struct cpu *c, const struct kernel_matrix *m, int rows);

/* Bias, activation and accumulation of results [rows, n] (row stride from_stride), in place where out ==
 * from. */
void product_finish(const struct cpu *c, float *out, int64_t out_stride, float *from, int64_t from_stride,
                    int64_t first, int64_t n, const struct kernel_epilogue *epilogue, int rows);

/* The library of the name, or for "auto" the best found; NULL in *library means our own loops. -1 and `why`
 * where the named one is unknown or missing. `note` says why not a better one. */
int product_select(const char *name, const struct product_library **library, char *note, size_t note_size,
                   char *why, size_t why_size);
