/* The block formats of GGUF files (kernels/blocks.h): 32 weights at a time become fp32 in registers, exactly,
 * and the products of few rows that do so. Nothing but a block's own scales is ever unpacked to memory, and
 * of Q6_K, whose six bits lie apart, the 256 bytes of one block. */
#pragma once

#include "kernels/cpu/level_nf4.h"

enum { BLOCK_SUB = 32, BLOCK_VECTORS = BLOCK_SUB / W, BLOCK_SIX = 16 };

typedef uint8_t vu8 __attribute__((vector_size(W)));
typedef uint8_t vu8_any __attribute__((vector_size(W), aligned(1), may_alias));
typedef uint8_t bytes32 __attribute__((vector_size(32), aligned(1), may_alias));

/* A block of a row, ready to be read. */
struct block {
    const uint8_t *p;
    float scale[16];             /* per block (Q8_0, Q4_0), per 32 (Q4_K), per 16 (Q6_K) */
    float base[8];               /* Q4_K: -minimum */
    int8_t code[KERNEL_K_BLOCK]; /* Q6_K */
};

INLINE int block_cols(enum kernel_dtype dtype)
{
    return dtype == KERNEL_Q8_0 || dtype == KERNEL_Q4_0 ? KERNEL_Q_BLOCK : KERNEL_K_BLOCK;
}

INLINE int block_bytes(enum kernel_dtype dtype)
{
    return dtype == KERNEL_Q8_0   ? KERNEL_Q8_0_BYTES
           : dtype == KERNEL_Q4_0 ? KERNEL_Q4_0_BYTES
           : dtype == KERNEL_Q4_K ? KERNEL_Q4_K_BYTES
                                  : KERNEL_Q6_K_BYTES;
}

INLINE float load_half(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
#if SIMD_AVX2
    return _cvtsh_ss(h);
#else
    uint32_t rest = h & 0x7fffu, bits = rest << 13 | (rest >= 0x7c00u ? 0x7f800000u : 0);
    float value;
    memcpy(&value, &bits, sizeof value);
    value = rest >= 0x7c00u ? value : value * 0x1p112f;
    return h & 0x8000u ? -value : value;
#endif
}

/* Eight small integers times a scale. */
INLINE void scale_bytes(float out[8], uint64_t bytes, bool negative, float scale)
{
#if SIMD_AVX2
    __m128i v = _mm_cvtsi64_si128((long long)bytes);
    __m256 f = _mm256_cvtepi32_ps(negative ? _mm256_cvtepi8_epi32(v) : _mm256_cvtepu8_epi32(v));
    _mm256_storeu_ps(out, _mm256_mul_ps(f, _mm256_set1_ps(scale)));
#else
    for (int i = 0; i < 8; i++)
        out[i] = (float)(negative ? (int8_t)(bytes >> 8 * i) : (uint8_t)(bytes >> 8 * i)) * scale;
#endif
}

/* Eight pairs of 6 bits in 12 bytes, a byte each. */
struct q4_k_pairs {
    uint64_t scales, minima;
};

INLINE struct q4_k_pairs q4_k_pairs_of(const uint8_t *p)
{
    uint64_t low;
    uint32_t high;
    memcpy(&low, p + 4, sizeof low);
    memcpy(&high, p + 12, sizeof high);
    const uint32_t s = (uint32_t)low, t = (uint32_t)(low >> 32);
    uint64_t scales = (s & 0x3f3f3f3fu) | (uint64_t)((high & 0x0f0f0f0fu) | (s >> 2 & 0x30303030u)) << 32;
    uint64_t minima = (t & 0x3f3f3f3fu) | (uint64_t)((high >> 4 & 0x0f0f0f0fu) | (t >> 2 & 0x30303030u))
                                              << 32;
    return (struct q4_k_pairs){scales, minima};
}

INLINE void open_q4_k(struct block *b)
{
    struct q4_k_pairs pairs = q4_k_pairs_of(b->p);
    scale_bytes(b->scale, pairs.scales, false, load_half(b->p));
    scale_bytes(b->base, pairs.minima, false, -load_half(b->p + 2));
}

INLINE void open_q6_k(struct block *b)
{
    float d = load_half(b->p + 208);
    uint64_t small[2];
    memcpy(small, b->p + 192, sizeof small);
    scale_bytes(b->scale, small[0], true, d);
    scale_bytes(b->scale + 8, small[1], true, d);
    UNROLL for (int half = 0; half < 2; half++)
    {
        bytes32 low0 = *(const bytes32 *)(b->p + half * 64), low1 = *(const bytes32 *)(b->p + half * 64 + 32),
                high = *(const bytes32 *)(b->p + 128 + half * 32);
        bytes32 *to = (bytes32 *)(b->code + half * 128);
        to[0] = ((low0 & 15) | (high << 4 & 0x30)) - 32;
        to[1] = ((low1 & 15) | (high << 2 & 0x30)) - 32;
        to[2] = (low0 >> 4 | (high & 0x30)) - 32;
        to[3] = (low1 >> 4 | (high >> 2 & 0x30)) - 32;
    }
}

INLINE void open_block(struct block *b, enum kernel_dtype dtype, const uint8_t *p)
{
    b->p = p;
    if (dtype == KERNEL_Q4_K)
        open_q4_k(b);
    else if (dtype == KERNEL_Q6_K)
        open_q6_k(b);
    else
        b->scale[0] = load_half(p);
}

INLINE vi v_load_bytes(const uint8_t *p)
{
#if SIMD_AVX512
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif SIMD_AVX2
    return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
#else
    return __builtin_convertvector(*(const vu8_any *)p, vi);
#endif
}

/* Nibbles of 16 bytes where they are values 0 .. 15 - first times scale, plus base: the low ones or the high
 * ones. Tables of 16 floats stand in a register of AVX-512, scaled before the look-up. */
INLINE void load_nibbles(vf *out, const uint8_t *p, bool high, float first, float scale, float base, int n)
{
#if SIMD_AVX512
    const vf values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    vf table = v_fma(values - first, v_set(scale), v_set(base));
    UNROLL for (int i = 0; i < n; i++)
    {
        vi code = v_load_bytes(p + i * W); /* the look-up uses the low four bits alone */
        out[i] = (vf)_mm512_permutexvar_ps((__m512i)(high ? code >> 4 : code), (__m512)table);
    }
#else
    UNROLL for (int i = 0; i < n; i++)
    {
        vi code = v_load_bytes(p + i * W);
        vf level = __builtin_convertvector((high ? code >> 4 : code & 15) - (int)first, vf);
        out[i] = v_fma(level, v_set(scale), v_set(base));
    }
#endif
}

/* Columns [32 sub, 32 sub + 32) of a block. */
INLINE void load_sub(vf out[BLOCK_VECTORS], const struct block *b, enum kernel_dtype dtype, int sub)
{
    switch (dtype) {
    case KERNEL_Q8_0:
        UNROLL for (int i = 0; i < BLOCK_VECTORS; i++) out[i] =
            v_load_int8((const int8_t *)b->p + 2 + i * W) * b->scale[0];
        break;
    case KERNEL_Q4_0:
        load_nibbles(out, b->p + 2, false, 8, b->scale[0], -0.0f, BLOCK_VECTORS / 2);
        load_nibbles(out + BLOCK_VECTORS / 2, b->p + 2, true, 8, b->scale[0], -0.0f, BLOCK_VECTORS / 2);
        break;
    case KERNEL_Q4_K:
        load_nibbles(out, b->p + 16 + sub / 2 * 32, sub % 2, 0, b->scale[sub], b->base[sub], BLOCK_VECTORS);
        break;
    default:
        UNROLL for (int i = 0; i < BLOCK_VECTORS; i++) out[i] =
            v_load_int8(b->code + sub * BLOCK_SUB + i * W) *
            b->scale[sub * BLOCK_SUB / BLOCK_SIX + i * W / BLOCK_SIX];
    }
}

INLINE void widen_blocks_as(float *out, const uint8_t *p, enum kernel_dtype dtype, int64_t n)
{
    struct block b;
    vf v[BLOCK_VECTORS];
    for (int64_t i = 0; i < n; i += block_cols(dtype), p += block_bytes(dtype)) {
        open_block(&b, dtype, p);
        UNROLL for (int sub = 0; sub < block_cols(dtype) / BLOCK_SUB; sub++)
        {
            load_sub(v, &b, dtype, sub);
            UNROLL for (int j = 0; j < BLOCK_VECTORS; j++) v_store(out + i + sub * BLOCK_SUB + j * W, v[j]);
        }
    }
}

/* n columns, whole blocks, from the start of a block on. */
static void widen_blocks(float *out, const void *data, enum kernel_dtype dtype, int64_t n)
{
    switch (dtype) {
    case KERNEL_Q8_0:
        widen_blocks_as(out, data, KERNEL_Q8_0, n);
        break;
    case KERNEL_Q4_0:
        widen_blocks_as(out, data, KERNEL_Q4_0, n);
        break;
    case KERNEL_Q4_K:
        widen_blocks_as(out, data, KERNEL_Q4_K, n);
        break;
    default:
        widen_blocks_as(out, data, KERNEL_Q6_K, n);
    }
}

/* R rows of W, `stride` bytes apart, for B rows of x. */
INLINE void gemv_blocks_tile(float *out, int64_t out_step, int64_t out_stride, const uint8_t *w,
                             int64_t stride, enum kernel_dtype dtype, int64_t cols, const float *x,
                             int64_t x_stride, const int R, const int B)
{
    struct block block[4];
    vf sum[4][4] = {{{0}}};
    for (int64_t i = 0; i < cols; i += block_cols(dtype), w += block_bytes(dtype)) {
        UNROLL for (int r = 0; r < R; r++)
        {
            for (int byte = 0; byte < block_bytes(dtype); byte += 64)
                __builtin_prefetch(w + r * stride + byte + GEMV_AHEAD);
            open_block(&block[r], dtype, w + r * stride);
        }
        UNROLL for (int sub = 0; sub < block_cols(dtype) / BLOCK_SUB; sub++)
            UNROLL for (int r = 0; r < R; r++)
        {
            vf level[BLOCK_VECTORS];
            load_sub(level, &block[r], dtype, sub);
            UNROLL for (int j = 0; j < BLOCK_VECTORS; j++) UNROLL for (int b = 0; b < B; b++) sum[r][b] =
                v_fma(level[j], v_load(x + b * x_stride + i + sub * BLOCK_SUB + j * W), sum[r][b]);
        }
    }
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int b = 0; b < B; b++) out[b * out_stride + r * out_step] =
        v_sum(sum[r][b]);
}

/* All rows of m; the R rows of a tile lie a part of the matrix apart, as in gemv_rows. */
INLINE void gemv_blocks_rows(float *out, int64_t out_stride, const struct kernel_matrix *m,
                             enum kernel_dtype dtype, const float *x, int64_t x_stride, const int R,
                             const int B)
{
    const uint8_t *w = m->data;
    int64_t stride = m->cols / block_cols(dtype) * block_bytes(dtype), part = m->rows / R, r = 0;
    for (; r < part; r++)
        gemv_blocks_tile(out + r, part, out_stride, w + r * stride, part * stride, dtype, m->cols, x,
                         x_stride, R, B);
    for (r = part * R; r < m->rows; r++)
        gemv_blocks_tile(out + r, 1, out_stride, w + r * stride, stride, dtype, m->cols, x, x_stride, 1, B);
}

INLINE void gemv_blocks_batch(float *out, int64_t out_stride, const struct kernel_matrix *m,
                              enum kernel_dtype dtype, const float *x, int64_t x_stride, int rows)
{
    switch (rows) {
    case 1:
        gemv_blocks_rows(out, out_stride, m, dtype, x, x_stride, 4, 1);
        break;
    case 2:
        gemv_blocks_rows(out, out_stride, m, dtype, x, x_stride, 2, 2);
        break;
    case 3:
        gemv_blocks_rows(out, out_stride, m, dtype, x, x_stride, 1, 3);
        break;
    default:
        gemv_blocks_rows(out, out_stride, m, dtype, x, x_stride, 1, 4);
    }
}

#define GEMV_BLOCKS(name, dtype)                                                                             \
    static void gemv_##name(float *out, int64_t out_stride, const struct kernel_matrix *m, const float *x,   \
                            int64_t x_stride, int rows)                                                      \
    {                                                                                                        \
        gemv_blocks_batch(out, out_stride, m, dtype, x, x_stride, rows);                                     \
    }
GEMV_BLOCKS(q8_0, KERNEL_Q8_0)
GEMV_BLOCKS(q4_0, KERNEL_Q4_0)
GEMV_BLOCKS(q4_k, KERNEL_Q4_K)
GEMV_BLOCKS(q6_k, KERNEL_Q6_K)
#undef GEMV_BLOCKS
