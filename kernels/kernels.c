/* What every backend shares: sizes of matrices, and which backend a device's name means. */
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t kernel_dtype_bytes(enum kernel_dtype dtype)
{
    static const size_t bytes[KERNEL_DTYPES] = {
        [KERNEL_FP32] = 4, [KERNEL_FP16] = 2, [KERNEL_BF16] = 2, [KERNEL_INT8] = 1};
    return bytes[dtype];
}

const char *kernel_dtype_name(enum kernel_dtype dtype)
{
    static const char *const names[KERNEL_DTYPES] = {"fp32",   "fp16", "bf16", "int8", "nf4",
                                                     "nf4_dq", "q8_0", "q4_0", "q4_k", "q6_k"};
    return names[dtype];
}

static bool is_nf4(enum kernel_dtype dtype)
{
    return dtype == KERNEL_NF4 || dtype == KERNEL_NF4_DQ;
}

bool kernel_is_blocks(enum kernel_dtype dtype)
{
    return dtype >= KERNEL_Q8_0 && dtype <= KERNEL_Q6_K;
}

bool kernel_is_integers(enum kernel_dtype dtype)
{
    return dtype == KERNEL_INT8 || kernel_is_blocks(dtype);
}

int kernel_block_cols(enum kernel_dtype dtype)
{
    return is_nf4(dtype)              ? KERNEL_NF4_BLOCK
           : !kernel_is_blocks(dtype) ? 1
           : dtype >= KERNEL_Q4_K     ? KERNEL_K_BLOCK
                                      : KERNEL_Q_BLOCK;
}

static size_t block_bytes(enum kernel_dtype dtype)
{
    switch (dtype) {
    case KERNEL_NF4:
    case KERNEL_NF4_DQ:
        return KERNEL_NF4_BLOCK / 2;
    case KERNEL_Q8_0:
        return KERNEL_Q8_0_BYTES;
    case KERNEL_Q4_0:
        return KERNEL_Q4_0_BYTES;
    case KERNEL_Q4_K:
        return KERNEL_Q4_K_BYTES;
    case KERNEL_Q6_K:
        return KERNEL_Q6_K_BYTES;
    default:
        return kernel_dtype_bytes(dtype);
    }
}

static size_t blocks_of(int64_t cols)
{
    return ((size_t)cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK;
}

size_t kernel_row_bytes(enum kernel_dtype dtype, int64_t cols)
{
    size_t block = (size_t)kernel_block_cols(dtype);
    return ((size_t)cols + block - 1) / block * block_bytes(dtype);
}

void kernel_matrix_parts(enum kernel_dtype dtype, int64_t rows, int64_t cols, size_t part[3])
{
    size_t blocks = (size_t)rows * blocks_of(cols);
    part[0] = (size_t)rows * kernel_row_bytes(dtype, cols);
    part[1] = dtype == KERNEL_INT8  ? (size_t)rows * sizeof(float)
              : dtype == KERNEL_NF4 ? blocks * sizeof(float)
              : dtype == KERNEL_NF4_DQ
                  ? (1 + (blocks + KERNEL_NF4_GROUP - 1) / KERNEL_NF4_GROUP) * sizeof(float)
                  : 0;
    part[2] = dtype == KERNEL_NF4_DQ ? blocks : 0;
}

size_t kernel_matrix_bytes(enum kernel_dtype dtype, int64_t rows, int64_t cols)
{
    size_t part[3];
    kernel_matrix_parts(dtype, rows, cols, part);
    return part[0] + part[1] + part[2];
}

struct kernel_matrix kernel_matrix_rows(const struct kernel_matrix *m, int64_t first, int64_t rows)
{
    struct kernel_matrix view = *m;
    size_t blocks = (size_t)first * blocks_of(m->cols);
    view.rows = rows;
    view.first_row = m->first_row + first;
    view.data = (char *)m->data + (size_t)first * (m->channel_stride ? kernel_dtype_bytes(m->dtype)
                                                                     : kernel_row_bytes(m->dtype, m->cols));
    if (m->dtype == KERNEL_INT8)
        view.scales = m->scales + first;
    if (m->dtype == KERNEL_NF4)
        view.scales = m->scales + blocks;
    if (m->codes)
        view.codes = m->codes + blocks;
    return view;
}

void kernel_kv_by_head(struct kernel_kv *kv)
{
    kv->token_stride = kv->head_dim;
    kv->head_stride = kv->block_size * kv->head_dim;
    kv->block_stride = (int64_t)kv->kv_heads * kv->head_stride;
}

void kernel_kv_by_token(struct kernel_kv *kv)
{
    kv->head_stride = kv->head_dim;
    kv->token_stride = kv->kv_heads * kv->head_dim;
    kv->block_stride = (int64_t)kv->block_size * kv->token_stride;
}

#ifndef BENCHTOP_CUDA
static const char no_cuda[] = "this build has no CUDA: install the CUDA toolkit and build again";

int kernels_devices(struct kernel_device *out, int max, char *why, size_t why_size)
{
    (void)out;
    (void)max;
    snprintf(why, why_size, "%s", no_cuda);
    return 0;
}

struct kernels *kernels_open_cuda(int index, const struct kernels_config *config, char *why, size_t why_size)
{
    (void)index;
    (void)config;
    snprintf(why, why_size, "%s", no_cuda);
    return NULL;
}
#endif

struct kernels *kernels_open(const char *device, const struct kernels_config *config, char *why,
                             size_t why_size)
{
    if (strcmp(device, "cpu") == 0)
        return kernels_open_cpu(config, why, why_size);
    if (strcmp(device, "cuda") == 0)
        return kernels_open_cuda(0, config, why, why_size);
    if (strncmp(device, "cuda:", 5) == 0) {
        char *end;
        long index = strtol(device + 5, &end, 10);
        if (end != device + 5 && !*end && index >= 0 && index < 1024)
            return kernels_open_cuda((int)index, config, why, why_size);
    }
    snprintf(why, why_size, "the engine has no backend for device %s: choose cpu, cuda or cuda:N", device);
    return NULL;
}
