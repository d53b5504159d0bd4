/* Seeded random numbers that are the same on every machine: SplitMix64 (Steele, Lea & Flood 2014). For orders
 * and simulation; weights have their own law in kernels/. Any seed will do, equal seeds give equal streams.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
    bool has_spare; /* a normal deviate drawn with the last one */
    double spare;
};

/* A stream of its own for each triple. */
struct random random_of(uint64_t seed, int a, int b);
uint64_t random_next(struct random *g);
int random_below(struct random *g, int n); /* 0..n-1, unbiased; n > 0 */
double random_uniform(struct random *g);   /* (0, 1) */
double random_normal(struct random *g);    /* mean 0, variance 1 (Box & Muller 1958) */
