/* Between element types, and the generator of weights. */
#pragma once

#include "kernels/cpu/vector.h"

enum {
    GEMV_AHEAD = 512 /* bytes by which a stream is fetched before its use; 2048 lost 5 % on Zen 3 */
};

INLINE size_t kernel_dtype_bytes_of(enum kernel_dtype dtype) /* kernel_dtype_bytes, known to the compiler */
{
    return dtype == KERNEL_FP32 ? 4 : dtype == KERNEL_INT8 ? 1 : 2;
}

/* One vector of any weight type as fp32; `dtype` is a constant wherever this is inlined. */
INLINE vf v_load_as(const void *p, enum kernel_dtype dtype, int64_t i)
{
    switch (dtype) {
    case KERNEL_FP16:
        return v_load_fp16((const uint16_t *)p + i);
    case KERNEL_BF16:
        return v_load_bf16((const uint16_t *)p + i);
    case KERNEL_INT8:
        return v_load_int8((const int8_t *)p + i);
    default:
        return v_load((const float *)p + i);
    }
}

/* n < W elements, the rest zero. */
INLINE vf v_load_part_as(const void *p, enum kernel_dtype dtype, int64_t i, int64_t n)
{
    float copy[W] = {0};
    size_t size = kernel_dtype_bytes(dtype);
    memcpy(copy, (const char *)p + (size_t)i * size, (size_t)n * size);
    return v_load_as(copy, dtype, 0);
}

static void widen(float *out, const void *in, enum kernel_dtype dtype, float scale, int64_t n)
{
    int64_t i = 0;
    switch (dtype) {
    case KERNEL_FP16:
        for (; i + W <= n; i += W)
            v_store(out + i, v_load_fp16((const uint16_t *)in + i));
        break;
    case KERNEL_BF16:
        for (; i + W <= n; i += W)
            v_store(out + i, v_load_bf16((const uint16_t *)in + i));
        break;
    case KERNEL_INT8:
        for (; i + W <= n; i += W)
            v_store(out + i, v_load_int8((const int8_t *)in + i) * scale);
        break;
    default:
        memcpy(out, in, (size_t)n * sizeof(float));
        return;
    }
    if (i < n) {
        vf last = v_load_part_as(in, dtype, i, n - i);
        v_store_part(out + i, dtype == KERNEL_INT8 ? last * scale : last, (int)(n - i));
    }
}

INLINE void narrow_vector(void *out, enum kernel_dtype dtype, vf v, float inverse, int64_t i)
{
    switch (dtype) {
    case KERNEL_FP16:
        v_store_fp16((uint16_t *)out + i, v);
        break;
    case KERNEL_BF16:
        v_store_bf16((uint16_t *)out + i, v);
        break;
    case KERNEL_INT8: {
        vf scaled = v_min(v_max(v * inverse, v_set(-127)), v_set(127));
        *(vi8_any *)((int8_t *)out + i) = __builtin_convertvector(v_round_int(scaled), vi8);
        break;
    }
    default:
        v_store((float *)out + i, v);
    }
}

static void narrow(void *out, enum kernel_dtype dtype, const float *in, float inverse, int64_t n)
{
    int64_t i = 0;
    for (; i + W <= n; i += W)
        narrow_vector(out, dtype, v_load(in + i), inverse, i);
    if (i < n) {
        float last[W];
        size_t size = kernel_dtype_bytes(dtype);
        narrow_vector(last, dtype, v_load_part(in + i, (int)(n - i)), inverse, 0);
        memcpy((char *)out + (size_t)i * size, last, (size_t)(n - i) * size);
    }
}

static void uniform(float *out, uint64_t key, uint32_t first, float amplitude, int64_t n)
{
    vu lane;
    for (int i = 0; i < W; i++)
        lane[i] = first + (uint32_t)i;
    vu low = (vu){0} + (uint32_t)key, high = (vu){0} + (uint32_t)(key >> 32);
    float scale = amplitude * 0x1p-24f;
    int64_t i = 0;
    for (; i + W <= n; i += W, lane += W) {
        vu x = lane + low;
        x = (x ^ (x >> 16)) * 0x7feb352du;
        x ^= high;
        x = (x ^ (x >> 15)) * 0x846ca68bu;
        x ^= x >> 16;
        vi odd = (vi)((x >> 8) << 1) + (1 - (1 << 24));
        v_store(out + i, __builtin_convertvector(odd, vf) * scale);
    }
    for (; i < n; i++)
        out[i] = generator_value(key, first + (uint32_t)i, amplitude);
}

static float absmax(const float *x, int64_t n)
{
    vf best = {0};
    int64_t i = 0;
    for (; i + W <= n; i += W)
        best = v_max(v_abs(v_load(x + i)), best);
    if (i < n)
        best = v_max(v_abs(v_load_part(x + i, (int)(n - i))), best);
    return v_largest(best);
}

/* Four streams at a time, as the products with few rows read weights. */
static float read_all(const float *x, int64_t n)
{
    vf sum[8] = {{0}};
    int64_t quarter = n / 4 / 32 * 32, i;
    for (i = 0; i < quarter; i += 2 * W)
        for (int s = 0; s < 4; s++) {
            const float *p = x + s * quarter + i;
            __builtin_prefetch(p + 512);
            sum[s] += v_load(p);
            sum[4 + s] += v_load(p + W);
        }
    for (i = 4 * quarter; i < n; i++)
        sum[0][0] += x[i];
    vf all = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    return v_sum(all);
}
