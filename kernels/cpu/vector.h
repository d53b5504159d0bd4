/* Vectors of SIMD_WIDTH floats for the level being compiled, written with the compilers' vector types so that
 * one source serves every instruction set. Intrinsics stand only where the vector types have no word for it.
 */
#pragma once

#define INLINE static inline __attribute__((always_inline, unused))
#define W      SIMD_WIDTH

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef uint32_t vu __attribute__((vector_size(4 * W)));
typedef uint16_t vu16 __attribute__((vector_size(2 * W)));
typedef int8_t vi8 __attribute__((vector_size(W)));
typedef float vf_any __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef uint16_t vu16_any __attribute__((vector_size(2 * W), aligned(2), may_alias));
typedef int8_t vi8_any __attribute__((vector_size(W), aligned(1), may_alias));

INLINE vf v_load(const float *p)
{
    return *(const vf_any *)p;
}

INLINE void v_store(float *p, vf v)
{
    *(vf_any *)p = v;
}

INLINE vf v_set(float x)
{
    return x - (vf){0};
}

INLINE vf v_fma(vf a, vf b, vf c)
{
#if SIMD_AVX512
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif SIMD_AVX2
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

INLINE vf v_select(vi mask, vf yes, vf no)
{
#if SIMD_AVX2 && !SIMD_AVX512
    return (vf)_mm256_blendv_ps((__m256)no, (__m256)yes, (__m256)mask);
#else
    return (vf)(((vi)yes & mask) | ((vi)no & ~mask));
#endif
}

/* Where a number is compared with NaN, v_max and v_min give b. */
INLINE vf v_max(vf a, vf b)
{
#if SIMD_AVX512
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif SIMD_AVX2
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return v_select(a > b, a, b);
#endif
}

INLINE vf v_min(vf a, vf b)
{
#if SIMD_AVX512
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif SIMD_AVX2
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return v_select(a < b, a, b);
#endif
}

INLINE vf v_abs(vf a)
{
    return (vf)((vi)a & 0x7fffffff);
}

INLINE float v_sum(vf v)
{
#if SIMD_AVX512
    return _mm512_reduce_add_ps((__m512)v);
#elif SIMD_AVX2
    __m128 s = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
#else
    return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

INLINE float v_largest(vf v)
{
    float best = v[0];
    for (int i = 1; i < W; i++)
        best = v[i] > best ? v[i] : best;
    return best;
}

/* fp16 by bit arithmetic, for levels without conversion instructions: every finite value, infinities and NaN.
 */
INLINE vf v_from_half_bits(vu h)
{
    vu sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;
    /* Shift exponent and mantissa into place; the exponent bias is repaired by an exact multiplication, which
     * also normalizes subnormals. */
    vf value = (vf)(rest << 13) * 0x1p112f;
    vi special = (vi)(rest >= 0x7c00u);
    value = v_select(special, (vf)((rest << 13) | 0x7f800000u), value);
    return (vf)((vu)value | sign);
}

INLINE vu v_to_half_bits(vf f)
{
    vu bits = (vu)f, sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    /* Normal results: round to nearest even in integers. Subnormal results: adding 0.5 aligns the mantissa so
     * that the addition itself rounds. */
    vu normal = (rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13;
    vu small = (vu)((vf)rest + 0.5f) - 0x3f000000u;
    vu is_small = (vu)(rest < 0x38800000u), is_large = (vu)(rest >= 0x477ff000u),
       is_nan = (vu)(rest > 0x7f800000u);
    vu half = (small & is_small) | (normal & ~is_small);
    half = (half & ~is_large) | (is_large & 0x7c00u);
    return (half | (is_nan & 0x200u)) | sign;
}

INLINE vf v_load_fp16(const uint16_t *p)
{
#if SIMD_AVX512
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
#elif SIMD_AVX2
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
#else
    return v_from_half_bits(__builtin_convertvector(*(const vu16_any *)p, vu));
#endif
}

INLINE void v_store_fp16(uint16_t *p, vf v)
{
#if SIMD_AVX512
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#elif SIMD_AVX2
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#else
    *(vu16_any *)p = __builtin_convertvector(v_to_half_bits(v), vu16);
#endif
}

INLINE vf v_load_bf16(const uint16_t *p)
{
#if SIMD_AVX512
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16);
#elif SIMD_AVX2
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16);
#else
    return (vf)(__builtin_convertvector(*(const vu16_any *)p, vu) << 16);
#endif
}

/* Rounded to nearest even, in the low halves. */
INLINE vu v_to_bf16_bits(vf v)
{
    vu bits = (vu)v, is_nan = (vu)(v != v);
    vu rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (rounded & ~is_nan) | (is_nan & 0x7fc0u);
}

INLINE void v_store_bf16(uint16_t *p, vf v)
{
    *(vu16_any *)p = __builtin_convertvector(v_to_bf16_bits(v), vu16);
}

INLINE vf v_load_int8(const int8_t *p)
{
#if SIMD_AVX512
    return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif SIMD_AVX2
    return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
    return __builtin_convertvector(__builtin_convertvector(*(const vi8_any *)p, vi), vf);
#endif
}

/* The nearest integer, for |x| < 2^22: adding 1.5 * 2^23 leaves it in the low bits. */
INLINE vi v_round_int(vf x)
{
    return (vi)(x + 0x1.8p23f) - 0x4b400000;
}

/* exp to about 1e-7 relative: x = n ln 2 + r, a Taylor polynomial of degree 7 in |r| <= ln 2 / 2, then 2^n
 * through the exponent field. Below -87.3 the result is 0 (a masked score of -inf vanishes), above 88.3 it
 * stays finite. */
INLINE vf v_exp(vf x)
{
    vf clamped = v_min(v_set(88.3f), v_max(v_set(-87.3f), x)); /* x last: NaN passes */
    vf shifted = v_fma(clamped, v_set(0x1.715476p0f), v_set(0x1.8p23f));
    vf n = shifted - 0x1.8p23f;
    vf r = v_fma(n, v_set(-0x1.62e4p-1f), clamped);
    r = v_fma(n, v_set(-0x1.7f7d1cp-20f), r);
    vf p = v_fma(r, v_set(1.0f / 5040), v_set(1.0f / 720));
    p = v_fma(p, r, v_set(1.0f / 120));
    p = v_fma(p, r, v_set(1.0f / 24));
    p = v_fma(p, r, v_set(1.0f / 6));
    p = v_fma(p, r, v_set(0.5f));
    p = v_fma(p, r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    vu power = ((vu)shifted - 0x4b400000u) << 23;
    vf result = (vf)((vu)p + power);
    return v_select(x < -87.3f, (vf){0}, result);
}

/* Lengths that are no multiple of W: the last vector is read and written through memory. */
INLINE vf v_load_part(const float *p, int n)
{
    vf v = {0};
    memcpy(&v, p, (size_t)n * sizeof(float));
    return v;
}

INLINE void v_store_part(float *p, vf v, int n)
{
    memcpy(p, &v, (size_t)n * sizeof(float));
}
