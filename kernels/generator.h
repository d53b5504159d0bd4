/* The law of synthetic weights: element i of a tensor as a pure function of (seed, id, i), shared by every
 * backend.
 *
 * A counter-based generator: (seed, id, high half of i) are mixed once into a 64-bit key (the finalizer of
 * splitmix64, Steele et al. 2014), then the low half of i passes two rounds of multiply and xor-shift under
 * the two halves of the key. Only 32-bit arithmetic per element, so it vectorizes everywhere. The top 24 bits
 * h give (2 h + 1 - 2^24) / 2^24 * amplitude: symmetric, never zero, one rounding, hence bitwise equal on
 * every backend. */
#pragma once

#include <stdint.h>

#ifdef __CUDACC__
#define GENERATOR static inline __host__ __device__
#else
#define GENERATOR static inline
#endif

GENERATOR uint64_t generator_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The key of the 2^32 elements whose index has this high half. */
GENERATOR uint64_t generator_key(uint64_t seed, uint64_t id, uint64_t i)
{
    uint64_t z = generator_mix(seed + 0x9e3779b97f4a7c15u);
    z = generator_mix(z ^ (id * 0x9e3779b97f4a7c15u + 0xd1b54a32d192ed03u));
    return generator_mix(z + (i >> 32) * 0x9e3779b97f4a7c15u);
}

GENERATOR uint32_t generator_bits(uint64_t key, uint32_t i)
{
    uint32_t x = i + (uint32_t)key;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x ^= (uint32_t)(key >> 32);
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

GENERATOR float generator_value(uint64_t key, uint32_t i, float amplitude)
{
    int32_t odd = (int32_t)((generator_bits(key, i) >> 8) << 1) + 1 - (1 << 24);
    return (float)odd * (amplitude * 0x1p-24f);
}
