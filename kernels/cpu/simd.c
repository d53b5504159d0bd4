#include "kernels/cpu/simd.h"

#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

struct level {
    const struct simd *simd;
    bool (*runs_here)(void);
    const char *needs;
};

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
/* By cpuid where clang 14 knows no name; what the operating system saves is covered by avx2 and avx512f. */
static bool has_avx2(void)
{
    unsigned a, b, c, d;
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
    return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static bool has_avx512_vnni(void)
{
    return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool has_avx512_bf16(void)
{
    unsigned a, b, c, d;
    return has_avx512_vnni() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}
#endif

static const struct level levels[] = {
/* best first */
#if defined(__x86_64__)
    {&simd_avx512_bf16, has_avx512_bf16, "AVX-512 F, BW, VL, DQ, VNNI and BF16"},
    {&simd_avx512_vnni, has_avx512_vnni, "AVX-512 F, BW, VL, DQ and VNNI"},
    {&simd_avx512, has_avx512, "AVX-512 F, BW, VL and DQ"},
    {&simd_avx2, has_avx2, "AVX2, FMA and F16C"},
#endif
    {&simd_portable, always, "nothing"},
};

const struct simd *simd_select(const char *name, char *why, size_t why_size)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    bool best = !name || strcmp(name, "auto") == 0;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        const struct level *level = &levels[i];
        if (!best && strcmp(name, level->simd->name) != 0)
            continue;
        if (level->runs_here())
            return level->simd;
        if (!best) {
            snprintf(why, why_size, "SIMD level %s needs %s, which this CPU lacks: choose auto", name,
                     level->needs);
            return NULL;
        }
    }
    snprintf(why, why_size,
             "unknown SIMD level %s: choose auto, portable, avx2, avx512, avx512_vnni or avx512_bf16", name);
    return NULL;
}
