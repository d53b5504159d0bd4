/* The tests' stand-in for CUDA's half precision: IEEE binary16, conversions to nearest even, arithmetic
 * through fp32 (whose 24 bits make a second rounding harmless for + - * / and the square root). */
#pragma once

#include "cuda_runtime.h"

#ifdef __cplusplus

struct __half_raw {
    unsigned short x;
};
struct __half2_raw {
    unsigned short x, y;
};

EMULATED float emulator_half_to_float(unsigned short h)
{
    unsigned bits = (h & 0x7fffu) << 13, exponent = bits & 0x0f800000u;
    float x;
    bits += (127u - 15u) << 23;
    if (exponent == 0x0f800000u)
        bits += (128u - 16u) << 23;
    x = __uint_as_float(bits);
    if (exponent == 0)
        x = __uint_as_float(bits + (1u << 23)) - 0x1p-14f;
    return __uint_as_float(__float_as_uint(x) | (h & 0x8000u) << 16);
}

EMULATED unsigned short emulator_float_to_half(float value)
{
    unsigned bits = __float_as_uint(value), sign = bits >> 16 & 0x8000u, x = bits & 0x7fffffffu;
    if (x > 0x7f800000u)
        return 0x7fffu;
    if (x >= 0x477ff000u) /* rounds to 65536 or is larger */
        return (unsigned short)(sign | 0x7c00u);
    if (x < 0x38800000u) { /* subnormal: adding 0.5 leaves the rounded mantissa in the low bits */
        unsigned sum = __float_as_uint(__uint_as_float(x) + 0.5f);
        return (unsigned short)(sign | (sum - 0x3f000000u));
    }
    x += 0xfffu + (x >> 13 & 1u);
    return (unsigned short)(sign | (x - 0x38000000u) >> 13);
}

struct alignas(2) __half {
    unsigned short __x;

    __half() = default;
    __half(const __half_raw &raw) : __x(raw.x) {}
    __half(float x) : __x(emulator_float_to_half(x)) {}
    __half(double x) : __x(emulator_float_to_half((float)x)) {}
    __half(int x) : __x(emulator_float_to_half((float)x)) {}
    operator float() const
    {
        return emulator_half_to_float(__x);
    }
    operator __half_raw() const
    {
        return {__x};
    }
};
typedef __half half;

struct alignas(4) __half2 {
    __half x, y;

    __half2() = default;
    __half2(__half a, __half b) : x(a), y(b) {}
};
typedef __half2 half2;

/* What both 16-bit types offer: S the scalar, V the pair, H its letter in CUDA's names. */
#define EMULATED_16(S, V)                                                                                    \
    EMULATED S operator+(S a, S b)                                                                           \
    {                                                                                                        \
        return S((float)a + (float)b);                                                                       \
    }                                                                                                        \
    EMULATED S operator-(S a, S b)                                                                           \
    {                                                                                                        \
        return S((float)a - (float)b);                                                                       \
    }                                                                                                        \
    EMULATED S operator*(S a, S b)                                                                           \
    {                                                                                                        \
        return S((float)a * (float)b);                                                                       \
    }                                                                                                        \
    EMULATED S operator/(S a, S b)                                                                           \
    {                                                                                                        \
        return S((float)a / (float)b);                                                                       \
    }                                                                                                        \
    EMULATED S operator-(S a)                                                                                \
    {                                                                                                        \
        return S(-(float)a);                                                                                 \
    }                                                                                                        \
    EMULATED S &operator+=(S &a, S b)                                                                        \
    {                                                                                                        \
        return a = a + b;                                                                                    \
    }                                                                                                        \
    EMULATED S &operator-=(S &a, S b)                                                                        \
    {                                                                                                        \
        return a = a - b;                                                                                    \
    }                                                                                                        \
    EMULATED S &operator*=(S &a, S b)                                                                        \
    {                                                                                                        \
        return a = a * b;                                                                                    \
    }                                                                                                        \
    EMULATED bool operator<(S a, S b)                                                                        \
    {                                                                                                        \
        return (float)a < (float)b;                                                                          \
    }                                                                                                        \
    EMULATED bool operator>(S a, S b)                                                                        \
    {                                                                                                        \
        return (float)a > (float)b;                                                                          \
    }                                                                                                        \
    EMULATED bool operator<=(S a, S b)                                                                       \
    {                                                                                                        \
        return (float)a <= (float)b;                                                                         \
    }                                                                                                        \
    EMULATED bool operator>=(S a, S b)                                                                       \
    {                                                                                                        \
        return (float)a >= (float)b;                                                                         \
    }                                                                                                        \
    EMULATED bool operator==(S a, S b)                                                                       \
    {                                                                                                        \
        return (float)a == (float)b;                                                                         \
    }                                                                                                        \
    EMULATED bool operator!=(S a, S b)                                                                       \
    {                                                                                                        \
        return (float)a != (float)b;                                                                         \
    }                                                                                                        \
    EMULATED S __hadd(S a, S b)                                                                              \
    {                                                                                                        \
        return a + b;                                                                                        \
    }                                                                                                        \
    EMULATED S __hsub(S a, S b)                                                                              \
    {                                                                                                        \
        return a - b;                                                                                        \
    }                                                                                                        \
    EMULATED S __hmul(S a, S b)                                                                              \
    {                                                                                                        \
        return a * b;                                                                                        \
    }                                                                                                        \
    EMULATED S __hdiv(S a, S b)                                                                              \
    {                                                                                                        \
        return a / b;                                                                                        \
    }                                                                                                        \
    EMULATED S __hneg(S a)                                                                                   \
    {                                                                                                        \
        return -a;                                                                                           \
    }                                                                                                        \
    EMULATED S __habs(S a)                                                                                   \
    {                                                                                                        \
        return S(fabsf((float)a));                                                                           \
    }                                                                                                        \
    EMULATED S __hfma(S a, S b, S c)                                                                         \
    {                                                                                                        \
        return S((float)((double)(float)a * (float)b + (double)(float)c));                                   \
    }                                                                                                        \
    EMULATED S __hmax(S a, S b)                                                                              \
    {                                                                                                        \
        return S(fmaxf((float)a, (float)b));                                                                 \
    }                                                                                                        \
    EMULATED S __hmin(S a, S b)                                                                              \
    {                                                                                                        \
        return S(fminf((float)a, (float)b));                                                                 \
    }                                                                                                        \
    EMULATED bool __hgt(S a, S b)                                                                            \
    {                                                                                                        \
        return a > b;                                                                                        \
    }                                                                                                        \
    EMULATED bool __hlt(S a, S b)                                                                            \
    {                                                                                                        \
        return a < b;                                                                                        \
    }                                                                                                        \
    EMULATED bool __heq(S a, S b)                                                                            \
    {                                                                                                        \
        return a == b;                                                                                       \
    }                                                                                                        \
    EMULATED bool __hisnan(S a)                                                                              \
    {                                                                                                        \
        return isnan((float)a);                                                                              \
    }                                                                                                        \
    EMULATED S hexp(S a)                                                                                     \
    {                                                                                                        \
        return S(expf((float)a));                                                                            \
    }                                                                                                        \
    EMULATED S hrsqrt(S a)                                                                                   \
    {                                                                                                        \
        return S(1.0f / sqrtf((float)a));                                                                    \
    }                                                                                                        \
    EMULATED V __hadd2(V a, V b)                                                                             \
    {                                                                                                        \
        return V(a.x + b.x, a.y + b.y);                                                                      \
    }                                                                                                        \
    EMULATED V __hsub2(V a, V b)                                                                             \
    {                                                                                                        \
        return V(a.x - b.x, a.y - b.y);                                                                      \
    }                                                                                                        \
    EMULATED V __hmul2(V a, V b)                                                                             \
    {                                                                                                        \
        return V(a.x * b.x, a.y * b.y);                                                                      \
    }                                                                                                        \
    EMULATED V __hfma2(V a, V b, V c)                                                                        \
    {                                                                                                        \
        return V(__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y));                                              \
    }                                                                                                        \
    EMULATED V __hmax2(V a, V b)                                                                             \
    {                                                                                                        \
        return V(__hmax(a.x, b.x), __hmax(a.y, b.y));                                                        \
    }                                                                                                        \
    EMULATED V __hmin2(V a, V b)                                                                             \
    {                                                                                                        \
        return V(__hmin(a.x, b.x), __hmin(a.y, b.y));                                                        \
    }                                                                                                        \
    EMULATED V operator+(V a, V b)                                                                           \
    {                                                                                                        \
        return __hadd2(a, b);                                                                                \
    }                                                                                                        \
    EMULATED V operator-(V a, V b)                                                                           \
    {                                                                                                        \
        return __hsub2(a, b);                                                                                \
    }                                                                                                        \
    EMULATED V operator*(V a, V b)                                                                           \
    {                                                                                                        \
        return __hmul2(a, b);                                                                                \
    }
EMULATED_16(__half, __half2)

EMULATED float __half2float(__half h)
{
    return h;
}
EMULATED __half __float2half(float x)
{
    return __half(x);
}
EMULATED __half __float2half_rn(float x)
{
    return __half(x);
}
EMULATED __half __double2half(double x)
{
    return __half(x);
}
EMULATED __half __int2half_rn(int x)
{
    return __half(x);
}
EMULATED __half __short2half_rn(short x)
{
    return __half((int)x);
}
EMULATED int __half2int_rn(__half h)
{
    return __float2int_rn(h);
}
EMULATED __half2 __float2half2_rn(float x)
{
    return __half2(__half(x), __half(x));
}
EMULATED __half2 __floats2half2_rn(float a, float b)
{
    return __half2(__half(a), __half(b));
}
EMULATED __half2 __float22half2_rn(float2 x)
{
    return __half2(__half(x.x), __half(x.y));
}
EMULATED float2 __half22float2(__half2 h)
{
    return {(float)h.x, (float)h.y};
}
EMULATED __half2 __half2half2(__half h)
{
    return __half2(h, h);
}
EMULATED __half2 __halves2half2(__half a, __half b)
{
    return __half2(a, b);
}
EMULATED __half2 make_half2(__half a, __half b)
{
    return __half2(a, b);
}
EMULATED __half __low2half(__half2 h)
{
    return h.x;
}
EMULATED __half __high2half(__half2 h)
{
    return h.y;
}
EMULATED float __low2float(__half2 h)
{
    return h.x;
}
EMULATED float __high2float(__half2 h)
{
    return h.y;
}
EMULATED unsigned short __half_as_ushort(__half h)
{
    return h.__x;
}
EMULATED short __half_as_short(__half h)
{
    return (short)h.__x;
}
EMULATED __half __ushort_as_half(unsigned short x)
{
    return __half(__half_raw{x});
}
EMULATED __half __short_as_half(short x)
{
    return __half(__half_raw{(unsigned short)x});
}
#endif
