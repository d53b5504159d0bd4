#include "stats/internal.h"

#include <math.h>

void stats_running_add(struct stats_running *r, double x)
{
    if (!isfinite(x)) {
        r->rejected++;
        return;
    }
    if (r->n == 0) {
        *r = (struct stats_running){.n = 1, .mean = x, .min = x, .max = x, .rejected = r->rejected};
        return;
    }
    r->n++;
    double delta = x - r->mean;
    r->mean += delta / (double)r->n;
    r->m2 += delta * (x - r->mean);
    r->min = fmin(r->min, x);
    r->max = fmax(r->max, x);
}

/* Chan, Golub and LeVeque 1979. */
void stats_running_merge(struct stats_running *into, const struct stats_running *from)
{
    int64_t rejected = into->rejected + from->rejected;
    if (into->n == 0) {
        *into = *from;
    } else if (from->n > 0) {
        double a = (double)into->n, b = (double)from->n, delta = from->mean - into->mean;
        into->mean += delta * (b / (a + b));
        into->m2 += from->m2 + delta * delta * (a * (b / (a + b)));
        into->min = fmin(into->min, from->min);
        into->max = fmax(into->max, from->max);
        into->n += from->n;
    }
    into->rejected = rejected;
}

double stats_running_std(const struct stats_running *r)
{
    return r->n < 2 ? NAN : sqrt(r->m2 / (double)(r->n - 1));
}
