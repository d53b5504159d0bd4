#include "kernels/pack.h"

#include "kernels/blocks.h"
#include "kernels/quantize.h"

static float largest_of(const float *x, int64_t n)
{
    float largest = 0;
    for (int64_t i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    return largest;
}

static void pack_int8(struct kernel_matrix *m, int64_t row, const float *x)
{
    int8_t *out = (int8_t *)m->data + row * m->cols;
    float largest = largest_of(x, m->cols), inverse = largest > 0 ? 127 / largest : 0;
    for (int64_t i = 0; i < m->cols; i++)
        out[i] = (int8_t)lrintf(fminf(fmaxf(x[i] * inverse, -127), 127));
    m->scales[row] = largest / 127;
}

static void pack_nf4(struct kernel_matrix *m, int64_t row, const float *x, float *absmax)
{
    int64_t per_row = (m->cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK;
    for (int64_t b = 0; b < per_row; b++) {
        int64_t first = b * KERNEL_NF4_BLOCK;
        int64_t n = m->cols - first < KERNEL_NF4_BLOCK ? m->cols - first : KERNEL_NF4_BLOCK;
        uint8_t *out = (uint8_t *)m->data + (row * per_row + b) * (KERNEL_NF4_BLOCK / 2);
        float largest = largest_of(x + first, n), inverse = largest > 0 ? 1 / largest : 0;
        for (int64_t i = 0; i < KERNEL_NF4_BLOCK; i += 2) {
            int high = i < n ? quantize_nf4_code(x[first + i] * inverse) : QUANTIZE_NF4_ZERO;
            int low = i + 1 < n ? quantize_nf4_code(x[first + i + 1] * inverse) : QUANTIZE_NF4_ZERO;
            out[i / 2] = (uint8_t)(high << 4 | low);
        }
        (m->dtype == KERNEL_NF4 ? m->scales : absmax)[row * per_row + b] = largest;
    }
}

void kernel_pack_rows(struct kernel_matrix *m, int64_t first, int64_t rows, const float *x, float *absmax)
{
    if (m->dtype != KERNEL_INT8 && m->dtype != KERNEL_NF4 && m->dtype != KERNEL_NF4_DQ) {
        size_t bytes = kernel_row_bytes(m->dtype, m->cols);
        kernel_quantize_rows(m->dtype, x, rows, m->cols, (char *)m->data + (size_t)first * bytes);
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        if (m->dtype == KERNEL_INT8)
            pack_int8(m, first + r, x + r * m->cols);
        else
            pack_nf4(m, first + r, x + r * m->cols, absmax);
    }
}

int64_t kernel_pack_blocks(const struct kernel_matrix *m)
{
    return m->dtype == KERNEL_NF4_DQ ? m->rows * ((m->cols + KERNEL_NF4_BLOCK - 1) / KERNEL_NF4_BLOCK) : 0;
}

void kernel_pack_scales(struct kernel_matrix *m, const float *absmax)
{
    int64_t blocks = kernel_pack_blocks(m);
    if (blocks == 0)
        return;
    int exponent = quantize_sum_exponent(largest_of(absmax, blocks));
    uint64_t sum = 0;
    for (int64_t b = 0; b < blocks; b++)
        sum += quantize_sum_term(absmax[b], exponent);
    float mean = m->scales[0] = quantize_sum_mean(sum, exponent, blocks);
    for (int64_t first = 0; first < blocks; first += KERNEL_NF4_GROUP) {
        int64_t count = blocks - first < KERNEL_NF4_GROUP ? blocks - first : KERNEL_NF4_GROUP;
        float away[KERNEL_NF4_GROUP];
        for (int64_t i = 0; i < count; i++)
            away[i] = absmax[first + i] - mean;
        float scale = largest_of(away, count), inverse = scale > 0 ? 1 / scale : 0;
        for (int64_t i = 0; i < count; i++)
            m->codes[first + i] = (uint8_t)quantize_dynamic_code(away[i] * inverse);
        m->scales[1 + first / KERNEL_NF4_GROUP] = scale;
    }
}
