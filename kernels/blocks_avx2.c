/* The search for the nearest blocks, compiled for AVX2 without FMA: the same bits as everywhere, four times
 * as fast. */
#include "kernels/kernels.h"
#include "kernels/quantize.h"
#include <string.h>

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define BLOCKS_NAME blocks_quantize_avx2
#include "kernels/blocks_rows.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
