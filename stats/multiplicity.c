#include "stats/internal.h"

#include <math.h>
#include <stdlib.h>

struct ranked {
    double p;
    size_t index;
};

static int by_p(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* The p values that are numbers, ascending; NULL where there are none (adjusted is then all NAN). */
static struct ranked *rank(const double *p, size_t n, double *adjusted, size_t *count)
{
    struct ranked *r = malloc((n ? n : 1) * sizeof *r);
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (r && p[i] >= 0 && p[i] <= 1)
            r[m++] = (struct ranked){p[i], i};
    }
    /* Not in the first loop: adjusted may be p itself. */
    for (size_t i = 0; i < n; i++)
        adjusted[i] = NAN;
    if (r)
        qsort(r, m, sizeof *r, by_p);
    *count = m;
    return r;
}

/* factor(j) of the j-th smallest p of m, j from 0; the running maximum goes up the list, the minimum down. */
static void step_down(const double *p, size_t n, double *adjusted)
{
    size_t m;
    struct ranked *r = rank(p, n, adjusted, &m);
    double worst = 0;
    for (size_t j = 0; r && j < m; j++) {
        worst = fmax(worst, fmin(1, (double)(m - j) * r[j].p));
        adjusted[r[j].index] = worst;
    }
    free(r);
}

enum step_up { HOCHBERG, BENJAMINI_HOCHBERG, BENJAMINI_YEKUTIELI };

static void step_up(const double *p, size_t n, double *adjusted, enum step_up kind)
{
    size_t m;
    struct ranked *r = rank(p, n, adjusted, &m);
    double best = 1, harmonic = 0;
    for (size_t j = 1; j <= m; j++)
        harmonic += 1 / (double)j;
    for (size_t j = m; r && j-- > 0;) {
        double factor = kind == HOCHBERG ? (double)(m - j) : (double)m / (double)(j + 1);
        if (kind == BENJAMINI_YEKUTIELI)
            factor *= harmonic;
        best = fmin(best, factor * r[j].p);
        adjusted[r[j].index] = best;
    }
    free(r);
}

void stats_holm(const double *p, size_t n, double *adjusted)
{
    step_down(p, n, adjusted);
}

void stats_hochberg(const double *p, size_t n, double *adjusted)
{
    step_up(p, n, adjusted, HOCHBERG);
}

void stats_benjamini_hochberg(const double *p, size_t n, double *adjusted)
{
    step_up(p, n, adjusted, BENJAMINI_HOCHBERG);
}

void stats_benjamini_yekutieli(const double *p, size_t n, double *adjusted)
{
    step_up(p, n, adjusted, BENJAMINI_YEKUTIELI);
}

void stats_bonferroni(const double *p, size_t n, double *adjusted)
{
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        m += p[i] >= 0 && p[i] <= 1;
    for (size_t i = 0; i < n; i++)
        adjusted[i] = p[i] >= 0 && p[i] <= 1 ? fmin(1, (double)m * p[i]) : NAN;
}
