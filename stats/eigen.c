#include "stats/stats.h"

#include <gsl/gsl_eigen.h>
#include <stdlib.h>
#include <string.h>

int stats_eigen(double *a, int n, double *value)
{
    size_t size = (size_t)n;
    double *copy = malloc(size * size * sizeof *copy);
    gsl_error_handler_t *before = gsl_set_error_handler_off();
    gsl_eigen_symmv_workspace *w = gsl_eigen_symmv_alloc(size);
    int failed = !copy || !w;
    if (!failed) {
        gsl_matrix_view from = gsl_matrix_view_array(copy, size, size),
                        to = gsl_matrix_view_array(a, size, size);
        gsl_vector_view values = gsl_vector_view_array(value, size);
        memcpy(copy, a, size * size * sizeof *a);
        failed = gsl_eigen_symmv(&from.matrix, &values.vector, &to.matrix, w);
        gsl_eigen_symmv_sort(&values.vector, &to.matrix, GSL_EIGEN_SORT_VAL_ASC);
        gsl_matrix_transpose(&to.matrix);
    }
    gsl_eigen_symmv_free(w);
    gsl_set_error_handler(before);
    free(copy);
    return failed ? -1 : 0;
}
