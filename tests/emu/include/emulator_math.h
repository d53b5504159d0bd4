/* Arithmetic and memory intrinsics of CUDA C++ (CUDA Math API; Programming Guide, section 10) on the host.
 * The approximate ones are exact to fp32 here. One OS thread runs all of a device's threads, so atomics are
 * plain. */
#pragma once

#define EMULATED static inline __attribute__((always_inline))

template <typename To, typename From> EMULATED To emulator_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "a reinterpretation keeps the size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
EMULATED unsigned __float_as_uint(float x)
{
    return emulator_bits<unsigned>(x);
}
EMULATED int __float_as_int(float x)
{
    return emulator_bits<int>(x);
}
EMULATED float __uint_as_float(unsigned x)
{
    return emulator_bits<float>(x);
}
EMULATED float __int_as_float(int x)
{
    return emulator_bits<float>(x);
}
EMULATED long long __double_as_longlong(double x)
{
    return emulator_bits<long long>(x);
}
EMULATED double __longlong_as_double(long long x)
{
    return emulator_bits<double>(x);
}

/* min and max of two arithmetic types as the device's overloads: fp where one is fp, else the common integer.
 */
#define EMULATED_MINMAX(type, least, most)                                                                   \
    EMULATED type min(type a, type b)                                                                        \
    {                                                                                                        \
        return least;                                                                                        \
    }                                                                                                        \
    EMULATED type max(type a, type b)                                                                        \
    {                                                                                                        \
        return most;                                                                                         \
    }
#define EMULATED_PLAIN                (b < a ? b : a), (a < b ? b : a)
#define EMULATED_PAIR(type, values)   EMULATED_MINMAX_OF(type, values)
#define EMULATED_MINMAX_OF(type, ...) EMULATED_MINMAX(type, __VA_ARGS__)
EMULATED_PAIR(int, EMULATED_PLAIN)
EMULATED_PAIR(unsigned, EMULATED_PLAIN)
EMULATED_PAIR(long, EMULATED_PLAIN)
EMULATED_PAIR(unsigned long, EMULATED_PLAIN)
EMULATED_PAIR(long long, EMULATED_PLAIN)
EMULATED_PAIR(unsigned long long, EMULATED_PLAIN)
EMULATED_MINMAX(float, fminf(a, b), fmaxf(a, b))
EMULATED_MINMAX(double, fmin(a, b), fmax(a, b))
#undef EMULATED_PAIR
#undef EMULATED_MINMAX_OF
#undef EMULATED_PLAIN
#undef EMULATED_MINMAX
#define EMULATED_MIXED(a_type, b_type, type)                                                                 \
    EMULATED type min(a_type a, b_type b)                                                                    \
    {                                                                                                        \
        return min((type)a, (type)b);                                                                        \
    }                                                                                                        \
    EMULATED type max(a_type a, b_type b)                                                                    \
    {                                                                                                        \
        return max((type)a, (type)b);                                                                        \
    }
EMULATED_MIXED(int, unsigned, unsigned)
EMULATED_MIXED(unsigned, int, unsigned)
EMULATED_MIXED(int, long, long)
EMULATED_MIXED(long, int, long)
EMULATED_MIXED(float, double, double)
EMULATED_MIXED(double, float, double)
EMULATED_MIXED(long long, unsigned long long, unsigned long long)
EMULATED_MIXED(unsigned long long, long long, unsigned long long)
#undef EMULATED_MIXED

/* The C library has functions of its own by these names. */
#define __expf    emulator__expf
#define __exp10f  emulator__exp10f
#define __logf    emulator__logf
#define __log2f   emulator__log2f
#define __log10f  emulator__log10f
#define __sinf    emulator__sinf
#define __cosf    emulator__cosf
#define __tanf    emulator__tanf
#define __powf    emulator__powf
#define __sincosf emulator__sincosf
#define EMULATED_F1(name, value)                                                                             \
    EMULATED float name(float x)                                                                             \
    {                                                                                                        \
        return value;                                                                                        \
    }
EMULATED_F1(__expf, expf(x))
EMULATED_F1(__exp10f, powf(10.0f, x))
EMULATED_F1(__logf, logf(x))
EMULATED_F1(__log2f, log2f(x))
EMULATED_F1(__log10f, log10f(x))
EMULATED_F1(__sinf, sinf(x))
EMULATED_F1(__cosf, cosf(x))
EMULATED_F1(__tanf, tanf(x))
EMULATED_F1(rsqrtf, 1.0f / sqrtf(x))
EMULATED_F1(__frsqrt_rn, (float)(1.0 / sqrt((double)x)))
EMULATED_F1(__frcp_rn, 1.0f / x)
EMULATED_F1(__fsqrt_rn, sqrtf(x))
EMULATED_F1(__saturatef, x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f)
EMULATED_F1(normcdff, 0.5f * erfcf(-x * 0.70710678f))
#undef EMULATED_F1
#define EMULATED_F2(name, value)                                                                             \
    EMULATED float name(float a, float b)                                                                    \
    {                                                                                                        \
        return value;                                                                                        \
    }
EMULATED_F2(__fdividef, a / b)
EMULATED_F2(__fdiv_rn, a / b)
EMULATED_F2(__fadd_rn, a + b)
EMULATED_F2(__fsub_rn, a - b)
EMULATED_F2(__fmul_rn, a *b)
EMULATED_F2(__powf, powf(a, b))
#undef EMULATED_F2
EMULATED float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
EMULATED double __fma_rn(double a, double b, double c)
{
    return fma(a, b, c);
}
EMULATED double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
/* In line: the C library's are calls. The other number where one is none. */
EMULATED float emulator_fmaxf(float a, float b)
{
    return a != a ? b : b > a ? b : a;
}
EMULATED float emulator_fminf(float a, float b)
{
    return a != a ? b : b < a ? b : a;
}
#define fmaxf emulator_fmaxf
#define fminf emulator_fminf
EMULATED void __sincosf(float x, float *s, float *c)
{
    *s = sinf(x);
    *c = cosf(x);
}

/* Conversions: saturating, NaN gives 0, as the device's. */
EMULATED int emulator_to_int(float x)
{
    return x != x ? 0 : x >= 0x1p31f ? 0x7fffffff : x <= -0x1p31f ? -0x7fffffff - 1 : (int)x;
}
EMULATED int __float2int_rn(float x)
{
    return emulator_to_int(rintf(x));
}
EMULATED int __float2int_rz(float x)
{
    return emulator_to_int(truncf(x));
}
EMULATED int __float2int_ru(float x)
{
    return emulator_to_int(ceilf(x));
}
EMULATED int __float2int_rd(float x)
{
    return emulator_to_int(floorf(x));
}
EMULATED unsigned __float2uint_rn(float x)
{
    x = rintf(x);
    return !(x > 0) ? 0 : x >= 0x1p32f ? 0xffffffffu : (unsigned)x;
}
EMULATED float __int2float_rn(int x)
{
    return (float)x;
}
EMULATED float __uint2float_rn(unsigned x)
{
    return (float)x;
}
EMULATED float __double2float_rn(double x)
{
    return (float)x;
}

EMULATED int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
EMULATED int __popcll(unsigned long long x)
{
    return __builtin_popcountll(x);
}
EMULATED int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
EMULATED int __clzll(long long x)
{
    return x ? __builtin_clzll((unsigned long long)x) : 64;
}
EMULATED int __ffs(int x)
{
    return __builtin_ffs(x);
}
EMULATED int __ffsll(long long x)
{
    return __builtin_ffsll(x);
}
EMULATED unsigned __brev(unsigned x)
{
    unsigned y = 0;
    for (int i = 0; i < 32; i++)
        y |= (x >> i & 1u) << (31 - i);
    return y;
}
EMULATED unsigned __byte_perm(unsigned a, unsigned b, unsigned selector)
{
    unsigned long long both = (unsigned long long)b << 32 | a;
    unsigned y = 0;
    for (int i = 0; i < 4; i++) {
        unsigned byte = (unsigned)(both >> (selector >> 4 * i & 7u) * 8) & 0xffu;
        if (selector >> 4 * i & 8u)
            byte = byte & 0x80u ? 0xffu : 0;
        y |= byte << 8 * i;
    }
    return y;
}
EMULATED unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift)
{
    return (unsigned)(((unsigned long long)high << 32 | low) << (shift & 31u) >> 32);
}
EMULATED unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift)
{
    return (unsigned)(((unsigned long long)high << 32 | low) >> (shift & 31u));
}
EMULATED int __mulhi(int a, int b)
{
    return (int)((long long)a * b >> 32);
}
EMULATED unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((unsigned long long)a * b >> 32);
}
EMULATED unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
EMULATED int __dp4a(int a, int b, int c)
{
    unsigned sum = (unsigned)c;
    for (int i = 0; i < 4; i++)
        sum += (unsigned)((signed char)(a >> 8 * i) * (signed char)(b >> 8 * i));
    return (int)sum;
}
EMULATED unsigned __dp4a(unsigned a, unsigned b, unsigned c)
{
    for (int i = 0; i < 4; i++)
        c += (a >> 8 * i & 0xffu) * (b >> 8 * i & 0xffu);
    return c;
}

/* ---- memory ---- */
#define EMULATED_LOAD(name)                                                                                  \
    template <typename T> EMULATED T name(const T *p)                                                        \
    {                                                                                                        \
        return *p;                                                                                           \
    }
#define EMULATED_STORE(name)                                                                                 \
    template <typename T> EMULATED void name(T *p, T value)                                                  \
    {                                                                                                        \
        *p = value;                                                                                          \
    }
EMULATED_LOAD(__ldg)
EMULATED_LOAD(__ldcg)
EMULATED_LOAD(__ldca)
EMULATED_LOAD(__ldcs)
EMULATED_LOAD(__ldlu)
EMULATED_LOAD(__ldcv)
EMULATED_STORE(__stcs)
EMULATED_STORE(__stcg)
EMULATED_STORE(__stwb)
EMULATED_STORE(__stwt)
#undef EMULATED_LOAD
#undef EMULATED_STORE

void emulator_atomic(const void *p, size_t bytes); /* watch.cc */
#define UNWATCHED static __attribute__((noinline, no_sanitize_thread))
/* Keeps an argument out of deduction, so that atomicAdd(float *, 1) is a float's. */
template <typename T> struct emulator_same {
    typedef T type;
};
template <typename T> using emulator_same_t = typename emulator_same<T>::type;
#define EMULATED_ATOMIC(name, value)                                                                         \
    template <typename T> UNWATCHED T name(T *at, emulator_same_t<T> operand)                                \
    {                                                                                                        \
        emulator_atomic(at, sizeof *at);                                                                     \
        T old = *at;                                                                                         \
        *at = value;                                                                                         \
        return old;                                                                                          \
    }
EMULATED_ATOMIC(atomicAdd, old + operand)
EMULATED_ATOMIC(atomicSub, old - operand)
EMULATED_ATOMIC(atomicExch, operand)
EMULATED_ATOMIC(atomicMin, operand < old ? operand : old)
EMULATED_ATOMIC(atomicMax, old < operand ? operand : old)
EMULATED_ATOMIC(atomicAnd, old &operand)
EMULATED_ATOMIC(atomicOr, old | operand)
EMULATED_ATOMIC(atomicXor, old ^ operand)
EMULATED_ATOMIC(atomicInc, old >= operand ? 0 : old + 1)
#undef EMULATED_ATOMIC
template <typename T> UNWATCHED T atomicCAS(T *at, emulator_same_t<T> compare, emulator_same_t<T> value)
{
    emulator_atomic(at, sizeof *at);
    T old = *at;
    if (old == compare)
        *at = value;
    return old;
}
EMULATED void __threadfence(void) {}
EMULATED void __threadfence_block(void) {}
EMULATED void __threadfence_system(void) {}
EMULATED unsigned long long emulator_address(const void *p)
{
    return (unsigned long long)(uintptr_t)p;
}
#define __cvta_generic_to_shared(p) emulator_address(p)
