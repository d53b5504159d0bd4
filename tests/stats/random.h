/* Random numbers for simulations: splitmix64 and Box-Muller from a seed of the test's own, so every run
 * repeats. */
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>

static uint64_t random_state;

static inline double random_uniform(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

static inline double random_normal(void)
{
    return sqrt(-2 * log(random_uniform())) * cos(6.283185307179586 * random_uniform());
}

static inline void random_normals(double *x, size_t n, double mean, double std)
{
    for (size_t i = 0; i < n; i++)
        x[i] = mean + std * random_normal();
}
