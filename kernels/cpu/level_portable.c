/* The kernels in the instruction set every compiler target has (SSE2 on x86-64, NEON on arm64). */
#include "kernels/cpu/level_head.h"

#define SIMD_WIDTH   4
#define SIMD_AVX2    0
#define SIMD_AVX512  0
#define SIMD_BF16DOT 0
#define SIMD_VNNI    0
#define SIMD_NAME    "portable"
#define SIMD_TABLE   simd_portable
#include "kernels/cpu/level.h"
