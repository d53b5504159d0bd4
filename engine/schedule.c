#include "engine/schedule.h"

#include "engine/random.h"

static void shuffle(struct random *g, int *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = random_below(g, i + 1), t = x[i];
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
    struct random g = random_of(seed, cell, round / group);
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
