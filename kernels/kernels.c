#include "kernels/kernels.h"

size_t kernel_dtype_bytes(enum kernel_dtype dtype)
{
    static const size_t bytes[KERNEL_DTYPES] = {4, 2, 2, 1};
    return bytes[dtype];
}

const char *kernel_dtype_name(enum kernel_dtype dtype)
{
    static const char *const names[KERNEL_DTYPES] = {"fp32", "fp16", "bf16", "int8"};
    return names[dtype];
}

size_t kernel_matrix_bytes(enum kernel_dtype dtype, int64_t rows, int64_t cols)
{
    size_t data = (size_t)rows * (size_t)cols * kernel_dtype_bytes(dtype);
    return dtype == KERNEL_INT8 ? data + (size_t)rows * sizeof(float) : data;
}

struct kernel_matrix kernel_matrix_rows(const struct kernel_matrix *m, int64_t first, int64_t rows)
{
    struct kernel_matrix view = *m;
    view.rows = rows;
    view.data = (char *)m->data + (size_t)first * (size_t)m->cols * kernel_dtype_bytes(m->dtype);
    if (m->scales)
        view.scales = m->scales + first;
    return view;
}
