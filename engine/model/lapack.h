/* What a LAPACK found at run time computes faster than GSL: any of OpenBLAS, MKL, FlexiBLAS or the reference.
 */
#pragma once

#include <stddef.h>

/* A symmetric matrix [n, n] becomes its eigenvectors, row i that of value[i], ascending (dsyevd, divide and
 * conquer). name: of the library. -1: there is none, no memory, or no convergence; a is then undefined. */
int lapack_eigen(double *a, int n, double *value, char *name, size_t size);
