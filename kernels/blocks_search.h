/* The nearest block of given values (kernels/blocks.h), one source for every backend. Each function takes the
 * values of one block and writes its bytes.
 *
 * The search of Q4_K and Q6_K, by least squares. A sub-block's values x are to be s q + b with few levels q.
 * For given q the best s and b solve two linear equations (one where b must be 0), and what they take from
 * the sum of squares is s sum(q x) + b sum(x); so a handful of rounded guesses q are tried, the best is
 * rounded again with its own s and b, and the gains compared. Then s and b are rounded to the few bits they
 * have; the neighbors of each rounded pair are tried with their true errors; last, the block's two
 * half-precision scales are solved for once more, all levels given, and kept where that lowers the error.
 *
 * Sums run in eight lanes in a fixed order and no product is contracted into a sum (BLOCKS_MUL), so that
 * every backend finds the same block. */
#pragma once

#include "kernels/kernels.h"
#include "kernels/quantize.h"
#include <string.h>

#ifdef __CUDA_ARCH__
#define BLOCKS_MUL(a, b) __fmul_rn(a, b)
#else
#define BLOCKS_MUL(a, b) ((a) * (b)) /* blocks.c is compiled without contraction */
#endif

enum { BLOCKS_LANES = 8, BLOCKS_SUB = 32, BLOCKS_SIX_SUB = 16 };

QUANTIZE float blocks_from_half(uint16_t h)
{
    uint32_t rest = h & 0x7fffu, bits = rest << 13;
    float value;
    if (rest >= 0x7c00u)
        bits |= 0x7f800000u;
    memcpy(&value, &bits, sizeof value);
    if (rest < 0x7c00u)
        value *= 0x1p112f; /* repairs the exponent's bias, exactly */
    return h & 0x8000u ? -value : value;
}

/* To nearest even. */
QUANTIZE uint16_t blocks_to_half(float x)
{
    uint32_t bits, rest;
    memcpy(&bits, &x, sizeof bits);
    rest = bits & 0x7fffffffu;
    uint32_t half = (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13;
    if (rest < 0x38800000u) { /* subnormal: the addition aligns the mantissa and rounds */
        float aligned;
        memcpy(&aligned, &rest, sizeof aligned);
        aligned += 0.5f;
        memcpy(&half, &aligned, sizeof half);
        half -= 0x3f000000u;
    }
    if (rest >= 0x477ff000u)
        half = rest > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return (uint16_t)(half | (bits >> 16 & 0x8000u));
}

QUANTIZE void blocks_store_half(unsigned char *p, float x)
{
    uint16_t half = blocks_to_half(x);
    memcpy(p, &half, sizeof half);
}

QUANTIZE float blocks_load_half(const unsigned char *p)
{
    uint16_t half;
    memcpy(&half, p, sizeof half);
    return blocks_from_half(half);
}

/* ---- Q8_0 and Q4_0, as ggml's reference ---- */

QUANTIZE void blocks_quantize_q8_0(const float *x, unsigned char *out)
{
    float largest = 0;
    for (int i = 0; i < KERNEL_Q_BLOCK; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    float scale = largest / 127, inverse = scale != 0 ? 1 / scale : 0;
    blocks_store_half(out, scale);
    for (int i = 0; i < KERNEL_Q_BLOCK; i++) {
        float v = BLOCKS_MUL(x[i], inverse);
        v = v > -127 ? v : -127; /* not a number too */
        v = v < 127 ? v : 127;
        float whole = (float)(int)v, rest = v - whole; /* roundf: halves away from zero */
        int q = (int)whole + (rest >= 0.5f) - (rest <= -0.5f);
        out[2 + i] = (unsigned char)q;
    }
}

QUANTIZE int blocks_code_q4_0(float x, float inverse)
{
    float v = BLOCKS_MUL(x, inverse) + 8.5f;
    v = v > 0 ? v : 0;
    return v < 15 ? (int)v : 15;
}

QUANTIZE void blocks_quantize_q4_0(const float *x, unsigned char *out)
{
    float largest = 0, extreme = 0;
    for (int i = 0; i < KERNEL_Q_BLOCK; i++)
        if (fabsf(x[i]) > largest) {
            largest = fabsf(x[i]);
            extreme = x[i];
        }
    float scale = extreme / -8, inverse = scale != 0 ? 1 / scale : 0;
    blocks_store_half(out, scale);
    for (int i = 0; i < KERNEL_Q_BLOCK / 2; i++)
        out[2 + i] = (unsigned char)(blocks_code_q4_0(x[i], inverse) |
                                     blocks_code_q4_0(x[i + KERNEL_Q_BLOCK / 2], inverse) << 4);
}

/* ---- least squares over one sub-block ---- */

struct blocks_fit {
    float scale, base; /* x is near scale q + base */
    float gain;        /* sum x^2 less the sum of squared errors */
};

QUANTIZE float blocks_sum_lanes(const float lane[BLOCKS_LANES])
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* Sums over n values, n a multiple of BLOCKS_LANES. */
struct blocks_sums {
    float q, qq, qx;
};

#ifdef __CUDACC__

QUANTIZE struct blocks_sums blocks_sum(const float *q, const float *x, int n)
{
    float all[BLOCKS_LANES] = {0}, squares[BLOCKS_LANES] = {0}, products[BLOCKS_LANES] = {0};
    for (int i = 0; i < n; i++) {
        all[i % BLOCKS_LANES] += q[i];
        squares[i % BLOCKS_LANES] += BLOCKS_MUL(q[i], q[i]);
        products[i % BLOCKS_LANES] += BLOCKS_MUL(q[i], x[i]);
    }
    struct blocks_sums s = {blocks_sum_lanes(all), blocks_sum_lanes(squares), blocks_sum_lanes(products)};
    return s;
}

/* q = x scaled, rounded and kept in [low, high]; what is not a number becomes low. */
QUANTIZE void blocks_levels(float *q, const float *x, int n, float base, float inverse, float low, float high)
{
    for (int i = 0; i < n; i++) {
        float v = BLOCKS_MUL(x[i] - base, inverse);
        v = v > low ? v : low;
        v = v < high ? v : high;
        q[i] = (v + 0x1.8p23f) - 0x1.8p23f; /* the nearest whole number */
    }
}

QUANTIZE float blocks_error(const float *q, const float *x, int n, float scale, float base)
{
    float lane[BLOCKS_LANES] = {0};
    for (int i = 0; i < n; i++) {
        float away = x[i] - (BLOCKS_MUL(scale, q[i]) + base);
        lane[i % BLOCKS_LANES] += BLOCKS_MUL(away, away);
    }
    return blocks_sum_lanes(lane);
}

#else /* the same, eight lanes at a time */

typedef float blocks_v __attribute__((vector_size(4 * BLOCKS_LANES), aligned(4), may_alias));
typedef int32_t blocks_vi __attribute__((vector_size(4 * BLOCKS_LANES), aligned(4), may_alias));

QUANTIZE struct blocks_sums blocks_sum(const float *q, const float *x, int n)
{
    blocks_v all = {0}, squares = {0}, products = {0};
    for (int i = 0; i < n; i += BLOCKS_LANES) {
        blocks_v a = *(const blocks_v *)(q + i), b = *(const blocks_v *)(x + i);
        all += a;
        squares += a * a;
        products += a * b;
    }
    struct blocks_sums s = {blocks_sum_lanes((const float *)&all), blocks_sum_lanes((const float *)&squares),
                            blocks_sum_lanes((const float *)&products)};
    return s;
}

QUANTIZE void blocks_levels(float *q, const float *x, int n, float base, float inverse, float low, float high)
{
    const blocks_v least = low - (blocks_v){0}, most = high - (blocks_v){0};
    for (int i = 0; i < n; i += BLOCKS_LANES) {
        blocks_v v = (*(const blocks_v *)(x + i) - base) * inverse;
        blocks_vi above = v > least;
        v = (blocks_v)(((blocks_vi)v & above) | ((blocks_vi)least & ~above));
        blocks_vi below = v < most;
        v = (blocks_v)(((blocks_vi)v & below) | ((blocks_vi)most & ~below));
        *(blocks_v *)(q + i) = (v + 0x1.8p23f) - 0x1.8p23f;
    }
}

QUANTIZE float blocks_error(const float *q, const float *x, int n, float scale, float base)
{
    blocks_v lane = {0};
    for (int i = 0; i < n; i += BLOCKS_LANES) {
        blocks_v away = *(const blocks_v *)(x + i) - (scale * *(const blocks_v *)(q + i) + base);
        lane += away * away;
    }
    return blocks_sum_lanes((const float *)&lane);
}

#endif

QUANTIZE float blocks_inverse(float x)
{
    return x != 0 ? 1 / x : 0;
}

/* The best scale, and the best base at or below 0 (four-bit blocks subtract a minimum), for levels q. */
QUANTIZE struct blocks_fit blocks_fit_line(const float *q, const float *x, float sum_x)
{
    const float n = BLOCKS_SUB;
    const struct blocks_sums sum = blocks_sum(q, x, BLOCKS_SUB);
    float determinant = BLOCKS_MUL(n, sum.qq) - BLOCKS_MUL(sum.q, sum.q); /* whole numbers: exact */
    struct blocks_fit f = {0, 0, 0};
    if (determinant > 0) {
        f.scale = (BLOCKS_MUL(n, sum.qx) - BLOCKS_MUL(sum.q, sum_x)) / determinant;
        f.base = (sum_x - BLOCKS_MUL(f.scale, sum.q)) / n;
    }
    if (determinant <= 0 || f.base > 0) {
        f.scale = sum.qq > 0 ? sum.qx / sum.qq : 0;
        f.base = 0;
    }
    f.gain = f.scale > 0 ? BLOCKS_MUL(f.scale, sum.qx) + BLOCKS_MUL(f.base, sum_x) : 0;
    return f;
}

/* 32 values as scale q + base, 0 <= q <= 15, scale >= 0 >= base. */
QUANTIZE struct blocks_fit blocks_search_line(const float *x)
{
    enum { GUESSES = 9 };
    float low = 0, high = x[0], q[BLOCKS_SUB], sum_x = blocks_sum(x, x, BLOCKS_SUB).q;
    for (int i = 0; i < BLOCKS_SUB; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    struct blocks_fit best = {0, low, 0};
    if (!(high > low))
        return best;
    best.scale = (high - low) / 15;
    for (int i = 0; i < GUESSES; i++) {
        blocks_levels(q, x, BLOCKS_SUB, low, (14.0f + 0.25f * (float)i) / (high - low), 0, 15);
        struct blocks_fit f = blocks_fit_line(q, x, sum_x);
        best = f.gain > best.gain ? f : best;
    }
    for (int i = 0; i < 2; i++) {
        blocks_levels(q, x, BLOCKS_SUB, best.base, blocks_inverse(best.scale), 0, 15);
        struct blocks_fit f = blocks_fit_line(q, x, sum_x);
        best = f.gain > best.gain ? f : best;
    }
    return best;
}

/* 16 values as scale q, -32 <= q <= 31; scale of either sign. */
QUANTIZE struct blocks_fit blocks_search_scale(const float *x)
{
    enum { GUESSES = 9 };
    float extreme = 0, q[BLOCKS_SIX_SUB];
    for (int i = 0; i < BLOCKS_SIX_SUB; i++)
        extreme = fabsf(x[i]) > fabsf(extreme) ? x[i] : extreme;
    struct blocks_fit best = {0, 0, 0};
    for (int i = 0; i < GUESSES && extreme != 0; i++) {
        blocks_levels(q, x, BLOCKS_SIX_SUB, 0, -(31.0f + 0.25f * (float)i) / extreme, -32, 31);
        const struct blocks_sums sum = blocks_sum(q, x, BLOCKS_SIX_SUB);
        float scale = sum.qq > 0 ? sum.qx / sum.qq : 0, gain = BLOCKS_MUL(scale, sum.qx);
        if (gain > best.gain) {
            best.scale = scale;
            best.gain = gain;
        }
    }
    return best;
}

/* ---- Q4_K ---- */

QUANTIZE int blocks_nearest(float x, int low, int high)
{
    float v = x > (float)low ? x : (float)low;
    v = v < (float)high ? v : (float)high;
    return (int)((v + 0x1.8p23f) - 0x1.8p23f);
}

/* A block on its way: levels and the small integers, then the two scales. */
struct blocks_four {
    float q[KERNEL_K_BLOCK];
    int s[8], t[8];
    float d, m; /* exactly halves */
};

/* Levels of sub-block b for s and t; their true error. */
QUANTIZE float blocks_try_four(float *q, const float *x, const struct blocks_four *f, int s, int t)
{
    float scale = BLOCKS_MUL(f->d, (float)s), base = -BLOCKS_MUL(f->m, (float)t);
    blocks_levels(q, x, BLOCKS_SUB, base, blocks_inverse(scale), 0, 15);
    return blocks_error(q, x, BLOCKS_SUB, scale, base);
}

/* The best of s, t and their neighbors for sub-block b. */
QUANTIZE float blocks_settle_four(struct blocks_four *f, const float *x, int b, int s, int t)
{
    float q[BLOCKS_SUB], least = INFINITY;
    for (int try_s = s > 0 ? s - 1 : 0; try_s <= s + 1 && try_s < 64; try_s++)
        for (int try_t = t > 0 ? t - 1 : 0; try_t <= t + 1 && try_t < 64; try_t++) {
            float error = blocks_try_four(q, x, f, try_s, try_t);
            if (error < least || least == INFINITY) {
                least = error;
                f->s[b] = try_s;
                f->t[b] = try_t;
                memcpy(f->q + b * BLOCKS_SUB, q, sizeof q);
            }
        }
    return least;
}

/* d and m that suit all levels of the block best. */
QUANTIZE void blocks_solve_four(struct blocks_four *f, const float *x)
{
    float uu = 0, uv = 0, vv = 0, ux = 0, vx = 0; /* x is near d u + m v with u = s q, v = -t */
    for (int b = 0; b < 8; b++) {
        const float *q = f->q + b * BLOCKS_SUB, *y = x + b * BLOCKS_SUB;
        float s = (float)f->s[b], t = (float)f->t[b];
        const struct blocks_sums sum = blocks_sum(q, y, BLOCKS_SUB);
        uu += BLOCKS_MUL(BLOCKS_MUL(s, s), sum.qq);
        uv -= BLOCKS_MUL(BLOCKS_MUL(s, t), sum.q);
        vv += BLOCKS_MUL(BLOCKS_MUL(t, t), (float)BLOCKS_SUB);
        ux += BLOCKS_MUL(s, sum.qx);
        vx -= BLOCKS_MUL(t, blocks_sum(y, y, BLOCKS_SUB).q);
    }
    float determinant = BLOCKS_MUL(uu, vv) - BLOCKS_MUL(uv, uv);
    float d = f->d, m = f->m;
    if (vv > 0 && determinant > BLOCKS_MUL(1e-4f, BLOCKS_MUL(uu, vv))) {
        d = (BLOCKS_MUL(ux, vv) - BLOCKS_MUL(vx, uv)) / determinant;
        m = (BLOCKS_MUL(vx, uu) - BLOCKS_MUL(ux, uv)) / determinant;
    } else if (uu > 0) {
        d = (ux - BLOCKS_MUL(m, uv)) / uu;
    }
    f->d = d > 0 ? blocks_from_half(blocks_to_half(d)) : f->d;
    f->m = m > 0 ? blocks_from_half(blocks_to_half(m)) : f->m;
}

QUANTIZE void blocks_store_four(const struct blocks_four *f, unsigned char *out)
{
    unsigned char *small = out + 4, *codes = out + 16;
    blocks_store_half(out, f->d);
    blocks_store_half(out + 2, f->m);
    for (int b = 0; b < 4; b++) {
        small[b] = (unsigned char)(f->s[b] | f->s[b + 4] >> 4 << 6);
        small[b + 4] = (unsigned char)(f->t[b] | f->t[b + 4] >> 4 << 6);
        small[b + 8] = (unsigned char)((f->s[b + 4] & 15) | (f->t[b + 4] & 15) << 4);
    }
    for (int i = 0; i < KERNEL_K_BLOCK / 2; i++) {
        const float *q = f->q + i / 32 * 64 + i % 32;
        codes[i] = (unsigned char)((int)q[0] | (int)q[32] << 4);
    }
}

QUANTIZE void blocks_quantize_q4_k(const float *x, unsigned char *out)
{
    struct blocks_fit fit[8];
    struct blocks_four f, again;
    float largest_scale = 0, largest_min = 0, error = 0, solved = 0;
    for (int b = 0; b < 8; b++) {
        fit[b] = blocks_search_line(x + b * BLOCKS_SUB);
        largest_scale = fit[b].scale > largest_scale ? fit[b].scale : largest_scale;
        largest_min = -fit[b].base > largest_min ? -fit[b].base : largest_min;
    }
    f.d = blocks_from_half(blocks_to_half(largest_scale / 63));
    f.m = blocks_from_half(blocks_to_half(largest_min / 63));
    float to_s = blocks_inverse(f.d), to_t = blocks_inverse(f.m);
    for (int b = 0; b < 8; b++)
        error += blocks_settle_four(&f, x + b * BLOCKS_SUB, b,
                                    blocks_nearest(BLOCKS_MUL(fit[b].scale, to_s), 0, 63),
                                    blocks_nearest(BLOCKS_MUL(-fit[b].base, to_t), 0, 63));
    again = f;
    blocks_solve_four(&again, x);
    for (int b = 0; b < 8; b++)
        solved += blocks_try_four(again.q + b * BLOCKS_SUB, x + b * BLOCKS_SUB, &again, f.s[b], f.t[b]);
    blocks_store_four(solved < error ? &again : &f, out);
}

/* ---- Q6_K ---- */

struct blocks_six {
    float q[KERNEL_K_BLOCK]; /* -32 .. 31 */
    int s[16];
    float d;
};

QUANTIZE float blocks_try_six(float *q, const float *x, float d, int s)
{
    float scale = BLOCKS_MUL(d, (float)s);
    blocks_levels(q, x, BLOCKS_SIX_SUB, 0, blocks_inverse(scale), -32, 31);
    return blocks_error(q, x, BLOCKS_SIX_SUB, scale, 0);
}

QUANTIZE float blocks_settle_six(struct blocks_six *f, const float *x, int b, int s)
{
    float q[BLOCKS_SIX_SUB], least = INFINITY;
    for (int try_s = s > -127 ? s - 1 : -128; try_s <= s + 1 && try_s < 128; try_s++) {
        float error = blocks_try_six(q, x, f->d, try_s);
        if (error < least || least == INFINITY) {
            least = error;
            f->s[b] = try_s;
            memcpy(f->q + b * BLOCKS_SIX_SUB, q, sizeof q);
        }
    }
    return least;
}

QUANTIZE void blocks_store_six(const struct blocks_six *f, unsigned char *out)
{
    unsigned char *low = out, *high = out + 128, *small = out + 192;
    for (int i = 0; i < KERNEL_K_BLOCK; i += 128)
        for (int j = 0; j < 32; j++) {
            int a = (int)f->q[i + j] + 32, b = (int)f->q[i + j + 32] + 32, c = (int)f->q[i + j + 64] + 32,
                e = (int)f->q[i + j + 96] + 32;
            low[i / 2 + j] = (unsigned char)((a & 15) | (c & 15) << 4);
            low[i / 2 + j + 32] = (unsigned char)((b & 15) | (e & 15) << 4);
            high[i / 4 + j] = (unsigned char)(a >> 4 | b >> 4 << 2 | c >> 4 << 4 | e >> 4 << 6);
        }
    for (int b = 0; b < 16; b++)
        small[b] = (unsigned char)f->s[b];
    blocks_store_half(out + 208, f->d);
}

QUANTIZE void blocks_quantize_q6_k(const float *x, unsigned char *out)
{
    float scale[16], extreme = 0, error = 0, solved = 0, uu = 0, ux = 0;
    struct blocks_six f, again;
    for (int b = 0; b < 16; b++) {
        scale[b] = blocks_search_scale(x + b * BLOCKS_SIX_SUB).scale;
        extreme = fabsf(scale[b]) > fabsf(extreme) ? scale[b] : extreme;
    }
    f.d = blocks_from_half(blocks_to_half(extreme / -128));
    float inverse = blocks_inverse(f.d);
    for (int b = 0; b < 16; b++) {
        const float *y = x + b * BLOCKS_SIX_SUB;
        error += blocks_settle_six(&f, y, b, blocks_nearest(BLOCKS_MUL(scale[b], inverse), -128, 127));
        const float *q = f.q + b * BLOCKS_SIX_SUB;
        float s = (float)f.s[b];
        const struct blocks_sums sum = blocks_sum(q, y, BLOCKS_SIX_SUB);
        uu += BLOCKS_MUL(BLOCKS_MUL(s, s), sum.qq);
        ux += BLOCKS_MUL(s, sum.qx);
    }
    again = f;
    again.d = uu > 0 ? blocks_from_half(blocks_to_half(ux / uu)) : f.d;
    for (int b = 0; b < 16; b++)
        solved += blocks_try_six(again.q + b * BLOCKS_SIX_SUB, x + b * BLOCKS_SIX_SUB, again.d, f.s[b]);
    blocks_store_six(solved < error ? &again : &f, out);
}
