/* The tests' stand-in for CUDA's bfloat16: the upper half of an fp32, conversions to nearest even. */
#pragma once

#include "cuda_fp16.h"

#ifdef __cplusplus

struct __nv_bfloat16_raw {
    unsigned short x;
};

EMULATED unsigned short emulator_float_to_bfloat16(float value)
{
    unsigned bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return 0x7fffu;
    return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

struct alignas(2) __nv_bfloat16 {
    unsigned short __x;

    __nv_bfloat16() = default;
    __nv_bfloat16(const __nv_bfloat16_raw &raw) : __x(raw.x) {}
    __nv_bfloat16(float x) : __x(emulator_float_to_bfloat16(x)) {}
    __nv_bfloat16(double x) : __x(emulator_float_to_bfloat16((float)x)) {}
    __nv_bfloat16(int x) : __x(emulator_float_to_bfloat16((float)x)) {}
    operator float() const
    {
        return __uint_as_float((unsigned)__x << 16);
    }
    operator __nv_bfloat16_raw() const
    {
        return {__x};
    }
};
typedef __nv_bfloat16 nv_bfloat16;

struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;

    __nv_bfloat162() = default;
    __nv_bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) : x(a), y(b) {}
};
typedef __nv_bfloat162 nv_bfloat162;

EMULATED_16(__nv_bfloat16, __nv_bfloat162)

EMULATED float __bfloat162float(__nv_bfloat16 h)
{
    return h;
}
EMULATED __nv_bfloat16 __float2bfloat16(float x)
{
    return __nv_bfloat16(x);
}
EMULATED __nv_bfloat16 __float2bfloat16_rn(float x)
{
    return __nv_bfloat16(x);
}
EMULATED __nv_bfloat16 __double2bfloat16(double x)
{
    return __nv_bfloat16(x);
}
EMULATED __nv_bfloat16 __int2bfloat16_rn(int x)
{
    return __nv_bfloat16(x);
}
EMULATED __nv_bfloat162 __float2bfloat162_rn(float x)
{
    return __nv_bfloat162(__nv_bfloat16(x), __nv_bfloat16(x));
}
EMULATED __nv_bfloat162 __floats2bfloat162_rn(float a, float b)
{
    return __nv_bfloat162(__nv_bfloat16(a), __nv_bfloat16(b));
}
EMULATED __nv_bfloat162 __float22bfloat162_rn(float2 x)
{
    return __nv_bfloat162(__nv_bfloat16(x.x), __nv_bfloat16(x.y));
}
EMULATED float2 __bfloat1622float2(__nv_bfloat162 h)
{
    return {(float)h.x, (float)h.y};
}
EMULATED __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 h)
{
    return __nv_bfloat162(h, h);
}
EMULATED __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 a, __nv_bfloat16 b)
{
    return __nv_bfloat162(a, b);
}
EMULATED __nv_bfloat162 make_bfloat162(__nv_bfloat16 a, __nv_bfloat16 b)
{
    return __nv_bfloat162(a, b);
}
EMULATED __nv_bfloat16 __low2bfloat16(__nv_bfloat162 h)
{
    return h.x;
}
EMULATED __nv_bfloat16 __high2bfloat16(__nv_bfloat162 h)
{
    return h.y;
}
EMULATED float __low2float(__nv_bfloat162 h)
{
    return h.x;
}
EMULATED float __high2float(__nv_bfloat162 h)
{
    return h.y;
}
EMULATED unsigned short __bfloat16_as_ushort(__nv_bfloat16 h)
{
    return h.__x;
}
EMULATED short __bfloat16_as_short(__nv_bfloat16 h)
{
    return (short)h.__x;
}
EMULATED __nv_bfloat16 __ushort_as_bfloat16(unsigned short x)
{
    return __nv_bfloat16(__nv_bfloat16_raw{x});
}
EMULATED __nv_bfloat16 __short_as_bfloat16(short x)
{
    return __nv_bfloat16(__nv_bfloat16_raw{(unsigned short)x});
}
#endif
