#include "engine/schedule.h"

struct generator {
    uint64_t state;
};

/* SplitMix64 (Steele, Lea & Flood 2014). */
static uint64_t next(struct generator *g)
{
    uint64_t z = g->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Unbiased below n: draws from the incomplete top range are refused. */
static int below(struct generator *g, int n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % (uint64_t)n, x;
    do
        x = next(g);
    while (x >= limit);
    return (int)(x % (uint64_t)n);
}

static void shuffle(struct generator *g, int *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = below(g, i + 1), t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

int schedule_group(int arms)
{
    return arms <= 1 ? 1 : arms % 2 ? 2 * arms : arms;
}

void schedule_round(uint64_t seed, int cell, int arms, int round, int order[])
{
    int label[SCHEDULE_ARMS_MAX], row[2 * SCHEDULE_ARMS_MAX], group = schedule_group(arms);
    struct generator g = {seed};
    g.state = next(&g) ^ (uint64_t)(uint32_t)cell;
    g.state = next(&g) ^ (uint64_t)(uint32_t)(round / group);
    shuffle(&g, label, arms);
    shuffle(&g, row, group);
    int r = row[round % group];
    for (int i = 0; i < arms; i++) {
        /* first row 0, k-1, 1, k-2, ...; each further row adds one; the second square is the first reversed
         */
        int p = r < arms ? i : arms - 1 - i;
        int first = p % 2 ? arms - (p + 1) / 2 : p / 2;
        order[i] = label[(first + r) % arms];
    }
}
