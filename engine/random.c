#include "engine/random.h"

#include <math.h>

uint64_t random_next(struct random *g)
{
    uint64_t z = g->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct random random_of(uint64_t seed, int a, int b)
{
    struct random g = {.state = seed};
    g.state = random_next(&g) ^ (uint64_t)(uint32_t)a;
    g.state = random_next(&g) ^ (uint64_t)(uint32_t)b;
    return g;
}

int random_below(struct random *g, int n)
{
    /* draws from the incomplete top range are refused */
    uint64_t limit = UINT64_MAX - UINT64_MAX % (uint64_t)n, x;
    do
        x = random_next(g);
    while (x >= limit);
    return (int)(x % (uint64_t)n);
}

double random_uniform(struct random *g)
{
    return ((double)(random_next(g) >> 11) + 0.5) * 0x1p-53;
}

double random_normal(struct random *g)
{
    if (g->has_spare) {
        g->has_spare = false;
        return g->spare;
    }
    double r = sqrt(-2 * log(random_uniform(g))), angle = 2 * M_PI * random_uniform(g);
    g->spare = r * sin(angle);
    g->has_spare = true;
    return r * cos(angle);
}
