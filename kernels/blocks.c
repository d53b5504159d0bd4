#include "kernels/blocks.h"

#include "kernels/blocks_search.h"

static void dequantize_q8_0(const unsigned char *p, float *out)
{
    float d = blocks_load_half(p);
    for (int i = 0; i < KERNEL_Q_BLOCK; i++)
        out[i] = d * (float)(int8_t)p[2 + i];
}

static void dequantize_q4_0(const unsigned char *p, float *out)
{
    float d = blocks_load_half(p);
    for (int i = 0; i < KERNEL_Q_BLOCK / 2; i++) {
        out[i] = d * (float)((p[2 + i] & 15) - 8);
        out[i + KERNEL_Q_BLOCK / 2] = d * (float)((p[2 + i] >> 4) - 8);
    }
}

static void dequantize_q4_k(const unsigned char *p, float *out)
{
    const unsigned char *small = p + 4, *codes = p + 16;
    float d = blocks_load_half(p), m = blocks_load_half(p + 2);
    for (int b = 0; b < 8; b++, out += BLOCKS_SUB) {
        int s = b < 4 ? small[b] & 63 : (small[b + 4] & 15) | small[b - 4] >> 6 << 4;
        int t = b < 4 ? small[b + 4] & 63 : small[b + 4] >> 4 | small[b] >> 6 << 4;
        float scale = d * (float)s, base = m * (float)t;
        for (int i = 0; i < BLOCKS_SUB; i++) {
            int code = codes[b / 2 * 32 + i];
            out[i] = scale * (float)(b % 2 ? code >> 4 : code & 15) - base;
        }
    }
}

static void dequantize_q6_k(const unsigned char *p, float *out)
{
    const unsigned char *low = p, *high = p + 128, *small = p + 192;
    float d = blocks_load_half(p + 208);
    for (int i = 0; i < KERNEL_K_BLOCK; i++) {
        int half = i / 128, quarter = i / 32 % 4, j = i % 32;
        int four = low[half * 64 + quarter % 2 * 32 + j] >> (quarter / 2 * 4) & 15;
        int q = four | (high[half * 32 + j] >> (2 * quarter) & 3) << 4;
        out[i] = d * (float)(int8_t)small[i / BLOCKS_SIX_SUB] * (float)(q - 32);
    }
}

#define BLOCKS_NAME blocks_quantize_portable
#include "kernels/blocks_rows.h"

static void quantize_blocks(enum kernel_dtype dtype, const float *x, int64_t blocks, unsigned char *out)
{
#if defined(__x86_64__)
    void blocks_quantize_avx2(enum kernel_dtype, const float *, int64_t, unsigned char *);
    if (__builtin_cpu_supports("avx2")) {
        blocks_quantize_avx2(dtype, x, blocks, out);
        return;
    }
#endif
    blocks_quantize_portable(dtype, x, blocks, out);
}

static void dequantize_block(enum kernel_dtype dtype, const unsigned char *p, float *out)
{
    switch (dtype) {
    case KERNEL_Q8_0:
        dequantize_q8_0(p, out);
        break;
    case KERNEL_Q4_0:
        dequantize_q4_0(p, out);
        break;
    case KERNEL_Q4_K:
        dequantize_q4_k(p, out);
        break;
    default:
        dequantize_q6_k(p, out);
    }
}

/* To nearest even; what is not a number stays one. */
static uint16_t to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

void kernel_quantize_rows(enum kernel_dtype dtype, const float *x, int64_t rows, int64_t cols, void *out)
{
    int64_t n = rows * cols;
    unsigned char *to = out;
    if (dtype == KERNEL_FP32)
        memcpy(out, x, (size_t)n * sizeof *x);
    for (int64_t i = 0; i < n && (dtype == KERNEL_FP16 || dtype == KERNEL_BF16); i++) {
        uint16_t half = dtype == KERNEL_FP16 ? blocks_to_half(x[i]) : to_bf16(x[i]);
        memcpy(to + 2 * i, &half, sizeof half);
    }
    if (kernel_is_blocks(dtype))
        quantize_blocks(dtype, x, n / kernel_block_cols(dtype), out);
}

void kernel_dequantize_rows(enum kernel_dtype dtype, const void *data, int64_t rows, int64_t cols, float *out)
{
    int64_t n = rows * cols, block = kernel_block_cols(dtype);
    size_t bytes = kernel_row_bytes(dtype, block);
    const unsigned char *from = data;
    if (dtype == KERNEL_FP32)
        memcpy(out, data, (size_t)n * sizeof *out);
    for (int64_t i = 0; i < n && (dtype == KERNEL_FP16 || dtype == KERNEL_BF16); i++) {
        uint32_t bits = 0;
        memcpy((char *)&bits + 2, from + 2 * i, 2);
        if (dtype == KERNEL_BF16)
            memcpy(out + i, &bits, sizeof bits);
        else
            out[i] = blocks_from_half((uint16_t)(bits >> 16));
    }
    for (int64_t i = 0; i < n && kernel_is_blocks(dtype); i += block, from += bytes)
        dequantize_block(dtype, from, out + i);
}
