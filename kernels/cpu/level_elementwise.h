/* Norms, activations and other passes over rows. */
#pragma once

#include "kernels/cpu/vector.h"

/* erfc(z) = t exp(-z^2 + P(u)), t = 1 / (1 + z / 2), for z >= 0: P interpolates log(erfc(z) / t) + z^2 at the
 * Chebyshev nodes of t in [1/6, 1] (z up to 10), u being t mapped to [-1, 1]; 5e-8 relative before rounding.
 */
INLINE vf v_erfc_positive(vf z)
{
    z = v_min(z, v_set(10));
    vf t = 1.0f / v_fma(z, v_set(0.5f), v_set(1));
    vf u = v_fma(t, v_set(2.4f), v_set(-1.4f));
    static const float p[] = {-0.558595401f,   0.570307144f,   0.0157473877f,   -0.029470884f,
                              -0.00106381156f, 0.00370945598f, -2.25322784e-4f, -5.36968179e-4f,
                              7.2409689e-5f,   5.60396816e-5f};
    vf sum = v_set(p[9]);
    for (int i = 8; i >= 0; i--)
        sum = v_fma(sum, u, v_set(p[i]));
    return t * v_exp(v_fma(-z, z, sum));
}

INLINE vf v_gelu_erf(vf x)
{
    vf half_tail = 0.5f * v_erfc_positive(v_abs(x) * 0x1.6a09e6p-1f);
    return x * v_select(x > 0.0f, 1.0f - half_tail, half_tail);
}

/* 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)), which does not cancel. */
INLINE vf v_gelu_tanh(vf x)
{
    vf u = x * v_fma(x * x, v_set(0.044715f), v_set(1)) * -1.5957691216057308f;
    return x / (1.0f + v_exp(u));
}

INLINE vf v_silu(vf x)
{
    return x / (1.0f + v_exp(-x));
}

/* Odd Taylor series where the quotient would cancel, |x| < 0.3. */
INLINE vf v_tanh(vf x)
{
    vf s = x * x;
    vf p = v_fma(s, v_set(-1382.0f / 155925), v_set(62.0f / 2835));
    p = v_fma(p, s, v_set(-17.0f / 315));
    p = v_fma(p, s, v_set(2.0f / 15));
    p = v_fma(p, s, v_set(-1.0f / 3));
    vf small = v_fma(x * s, p, x);
    vf large = 1.0f - 2.0f / (1.0f + v_exp(2.0f * x));
    return v_select(v_abs(x) < 0.3f, small, large);
}

#define EACH(array, n, expression)                                                                           \
    do {                                                                                                     \
        int64_t i_ = 0;                                                                                      \
        for (; i_ + W <= (n); i_ += W) {                                                                     \
            vf v = v_load((array) + i_);                                                                     \
            v_store((array) + i_, expression);                                                               \
        }                                                                                                    \
        if (i_ < (n)) {                                                                                      \
            vf v = v_load_part((array) + i_, (int)((n)-i_));                                                 \
            v_store_part((array) + i_, expression, (int)((n)-i_));                                           \
        }                                                                                                    \
    } while (0)

static void activate(float *x, enum kernel_activation activation, int64_t n)
{
    switch (activation) {
    case KERNEL_GELU_TANH:
        EACH(x, n, v_gelu_tanh(v));
        break;
    case KERNEL_GELU_ERF:
        EACH(x, n, v_gelu_erf(v));
        break;
    case KERNEL_SILU:
        EACH(x, n, v_silu(v));
        break;
    case KERNEL_TANH:
        EACH(x, n, v_tanh(v));
        break;
    case KERNEL_LINEAR:
        break;
    }
}
#undef EACH

static void multiply_silu(float *out, const float *gate, const float *up, int64_t n)
{
    int64_t i = 0;
    for (; i + W <= n; i += W)
        v_store(out + i, v_silu(v_load(gate + i)) * v_load(up + i));
    if (i < n) {
        int rest = (int)(n - i);
        v_store_part(out + i, v_silu(v_load_part(gate + i, rest)) * v_load_part(up + i, rest), rest);
    }
}

static void add(float *out, const float *a, const float *b, int64_t n)
{
    int64_t i = 0;
    for (; i + W <= n; i += W)
        v_store(out + i, v_load(a + i) + v_load(b + i));
    for (; i < n; i++)
        out[i] = a[i] + b[i];
}

static int64_t argmax(const float *x, int64_t n)
{
    vf best = v_set(-INFINITY);
    int64_t i = 0;
    for (; i + W <= n; i += W)
        best = v_max(v_load(x + i), best); /* NaN in x: the second operand stays */
    float largest = v_largest(best);
    for (; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (i = 0; i < n; i++)
        if (x[i] == largest)
            return i;
    return 0; /* nothing but NaN */
}

static void norm_row(float *out, const float *x, const struct kernel_norm *norm)
{
    int n = norm->width, i;
    float mean = 0;
    if (norm->kind == KERNEL_LAYER_NORM) {
        vf sum = {0};
        for (i = 0; i + W <= n; i += W)
            sum += v_load(x + i);
        mean = v_sum(sum);
        for (; i < n; i++)
            mean += x[i];
        mean /= (float)n;
    }
    /* Squares of deviations in a second pass: E[x^2] - mean^2 would cancel. */
    vf squares = {0};
    for (i = 0; i + W <= n; i += W) {
        vf d = v_load(x + i) - mean;
        squares = v_fma(d, d, squares);
    }
    float square = v_sum(squares);
    for (; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    float scale = 1.0f / sqrtf(square / (float)n + norm->eps);
    const float *weight = norm->weight, *bias = norm->bias;
    for (i = 0; i < n; i += W) {
        int rest = n - i < W ? n - i : W;
        bool part = rest < W;
        vf v = part ? v_load_part(x + i, rest) : v_load(x + i);
        vf w = part ? v_load_part(weight + i, rest) : v_load(weight + i);
        v = (v - mean) * scale * w;
        if (bias)
            v += part ? v_load_part(bias + i, rest) : v_load(bias + i);
        if (part)
            v_store_part(out + i, v, rest);
        else
            v_store(out + i, v);
    }
}

/* Cosines and sines stand alternately: two vectors of pairs come apart by shuffles. */
#if SIMD_WIDTH == 4
#define EVEN 0, 2, 4, 6
#define ODD  1, 3, 5, 7
#elif SIMD_WIDTH == 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD  1, 3, 5, 7, 9, 11, 13, 15
#else
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD  1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#endif

static void rotate(float *x, const float *table_row, int dims)
{
    int half = dims / 2, i = 0;
    for (; i + W <= half; i += W) {
        vf low = v_load(table_row + 2 * i), high = v_load(table_row + 2 * i + W);
        vf c = __builtin_shufflevector(low, high, EVEN), s = __builtin_shufflevector(low, high, ODD);
        vf a = v_load(x + i), b = v_load(x + i + half);
        v_store(x + i, v_fma(a, c, -(b * s)));
        v_store(x + i + half, v_fma(b, c, a * s));
    }
    for (; i < half; i++) {
        float c = table_row[2 * i], s = table_row[2 * i + 1], a = x[i], b = x[i + half];
        x[i] = a * c - b * s;
        x[i + half] = b * c + a * s;
    }
}
#undef EVEN
#undef ODD

/* exp(x * scale - max) in place, the sum returned. */
INLINE float exponentials(float *x, float scale, float max, int64_t n)
{
    vf sum = {0};
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        vf e = v_exp(v_fma(v_load(x + i), v_set(scale), v_set(-max)));
        v_store(x + i, e);
        sum += e;
    }
    float total = v_sum(sum);
    if (i < n) {
        vf e = v_exp(v_fma(v_load_part(x + i, (int)(n - i)), v_set(scale), v_set(-max)));
        v_store_part(x + i, e, (int)(n - i));
        for (int j = 0; j < n - i; j++)
            total += e[j];
    }
    return total;
}

INLINE float largest_of(const float *x, int64_t n)
{
    vf best = v_set(-INFINITY);
    int64_t i = 0;
    for (; i + W <= n; i += W)
        best = v_max(v_load(x + i), best);
    float largest = v_largest(best);
    for (; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}

static void softmax(float *x, float scale, int64_t n)
{
    float largest = largest_of(x, n) * scale; /* scale > 0 */
    float inverse = 1.0f / exponentials(x, scale, largest, n);
    for (int64_t i = 0; i < n; i++)
        x[i] *= inverse;
}
