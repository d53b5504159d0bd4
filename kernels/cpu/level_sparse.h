/* Sparse activations: the entries of largest magnitude, and products that read the channels of these alone.
 *
 * Channels lie anywhere in a large matrix, so that one stream after another starts cold: what prefetchers in
 * hardware gain on long rows must come from elsewhere. EIGHT channels are read side by side into sums that
 * stay in the first-level cache, while the lines of the next eight are fetched into the second. Measured on
 * Zen 4, one thread, bf16, 60 % of the channels kept, 4096 outputs: 26 GB/s, where a dense product reads 31;
 * one channel at a time with sums in registers, fetched 16 channels ahead, reads 14. */
#pragma once

#include "kernels/cpu/level_convert.h"

enum { SPARSE_CHANNELS = 8 };

INLINE void prefetch_second_level(const char *p)
{
    __builtin_prefetch(p, 0, 2);
}

/* sum += R channels. */
INLINE void sparse_group(float *sum, const char *const *w, const char *const *next, const float *value,
                         enum kernel_dtype dtype, int64_t n, const int R)
{
    enum { LINE = 64 };
    const int64_t step = LINE / (int64_t)kernel_dtype_bytes_of(dtype), line = step < W ? W : step;
    int64_t i = 0;
    for (; i + line <= n; i += line) {
        if (next)
            for (int r = 0; r < R; r++)
                prefetch_second_level(next[r] + i * (LINE / step));
        for (int64_t j = i; j < i + line; j += W) {
            vf s = v_load(sum + j);
            for (int r = 0; r < R; r++)
                s = v_fma(v_load_as(w[r], dtype, j), v_set(value[r]), s);
            v_store(sum + j, s);
        }
    }
    for (; i < n; i += W) {
        int part = n - i < W ? (int)(n - i) : W;
        vf s = v_load_part(sum + i, part);
        for (int r = 0; r < R; r++)
            s = v_fma(v_load_part_as(w[r], dtype, i, part), v_set(value[r]), s);
        v_store_part(sum + i, s, part);
    }
}

INLINE void sparse_as(float *sum, const struct kernel_matrix *m, const int32_t *channel, const float *value,
                      int count, int more, enum kernel_dtype dtype)
{
    enum { R = SPARSE_CHANNELS };
    const int64_t stride = m->channel_stride * (int64_t)kernel_dtype_bytes_of(dtype);
    const char *w = m->data, *at[R], *next[R];
    int i = 0;
    for (; i + R <= count; i += R) {
        for (int r = 0; r < R; r++)
            at[r] = w + channel[i + r] * stride;
        bool ahead = i + 2 * R <= count + more;
        for (int r = 0; ahead && r < R; r++)
            next[r] = w + channel[i + R + r] * stride;
        sparse_group(sum, at, ahead ? next : NULL, value + i, dtype, m->rows, R);
    }
    for (; i < count; i++) {
        at[0] = w + channel[i] * stride;
        sparse_group(sum, at, NULL, value + i, dtype, m->rows, 1);
    }
}

static void sparse(float *sum, const struct kernel_matrix *m, const int32_t *channel, const float *value,
                   int count, int more)
{
    switch (m->dtype) {
    case KERNEL_FP16:
        sparse_as(sum, m, channel, value, count, more, KERNEL_FP16);
        break;
    case KERNEL_BF16:
        sparse_as(sum, m, channel, value, count, more, KERNEL_BF16);
        break;
    case KERNEL_INT8:
        sparse_as(sum, m, channel, value, count, more, KERNEL_INT8);
        break;
    default:
        sparse_as(sum, m, channel, value, count, more, KERNEL_FP32);
    }
}

/* How many magnitudes are at least `least` (bits of a float without its sign). */
INLINE int count_from(const float *x, int n, uint32_t least)
{
    vi sum[4] = {{0}}, bound = (vi){0} + (int32_t)least;
    int i = 0, total = 0;
    for (; i + 4 * W <= n; i += 4 * W)
        for (int u = 0; u < 4; u++)
            sum[u] -= (((vi)v_load(x + i + u * W) & 0x7fffffff) >= bound);
    vi all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    for (int lane = 0; lane < W; lane++)
        total += all[lane];
    for (; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        total += (bits & 0x7fffffffu) >= least;
    }
    return total;
}

/* Bisection over the bits of magnitudes, whose order is that of integers; it ends as soon as a bound parts
 * exactly `keep`, about 20 passes over a row that lies in the cache. */
static uint32_t threshold(const float *x, int n, int keep, int *above)
{
    uint32_t low = 0, high = 0x80000000u; /* at least `keep` from low on, fewer from high on */
    int over = 0;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        int from = count_from(x, n, middle);
        if (from == keep) { /* nothing lies at middle - 1 that would be needed */
            *above = keep;
            return middle - 1;
        }
        if (from > keep) {
            low = middle;
        } else {
            high = middle;
            over = from;
        }
    }
    *above = over;
    return low;
}

static void list_kept(int32_t *channel, float *value, const float *x, int n, int keep, uint32_t magnitude,
                      int equal)
{
    int kept = 0, i = 0;
#if SIMD_AVX512
    __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i bound = _mm512_set1_epi32((int32_t)magnitude), sign = _mm512_set1_epi32(0x7fffffff);
    for (; equal == 0 && i + W <= n && kept + W <= keep; i += W) {
        __m512 v = _mm512_loadu_ps(x + i);
        __mmask16 over = _mm512_cmpgt_epi32_mask(_mm512_and_si512(_mm512_castps_si512(v), sign), bound);
        _mm512_storeu_ps(value + kept, _mm512_maskz_compress_ps(over, v));
        _mm512_storeu_si512(channel + kept, _mm512_maskz_compress_epi32(over, index));
        index = _mm512_add_epi32(index, _mm512_set1_epi32(W));
        kept += __builtin_popcount(over);
    }
#endif
    for (; i < n && kept < keep; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffffu;
        bool at = bits == magnitude && equal > 0;
        equal -= at;
        channel[kept] = i;
        value[kept] = x[i];
        kept += bits > magnitude || at;
    }
}
