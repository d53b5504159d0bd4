#include "stats/internal.h"

#include <math.h>

int stats_tost(const double *x, size_t nx, const double *y, size_t ny, double margin, double alpha,
               struct stats_tost *out)
{
    *out = (struct stats_tost){NAN, NAN, NAN, NAN, STATS_VERDICT_UNDEFINED};
    struct stats_moments a = stats_moments_of(x, nx), b = stats_moments_of(y, ny);
    if (a.n < 2 || b.n < 2 || !(margin > 0) || !isfinite(margin) || !(alpha > 0 && alpha < 0.5))
        return -1;
    double ea = stats_moments_error(&a), eb = stats_moments_error(&b), error = hypot(ea, eb);
    double difference = stats_moments_difference(&a, &b);
    out->margin = margin;
    if (!(error > 0)) /* nothing to weigh the difference against */
        return -1;
    double df = stats_satterthwaite(ea, (double)(a.n - 1), eb, (double)(b.n - 1));
    out->p_lower = stats_t_upper((difference + margin) / error, df);
    out->p_upper = stats_t_upper(-(difference - margin) / error, df);
    out->p = fmax(out->p_lower, out->p_upper);
    double half = stats_t_quantile(1 - alpha / 2, df) * error;
    bool differs = fabs(difference) > half, within = out->p <= alpha;
    if (fabs(difference) - half > margin)
        out->verdict = STATS_VERDICT_BEYOND_MARGIN;
    else if (within)
        out->verdict = differs ? STATS_VERDICT_DIFFERENT_WITHIN_MARGIN : STATS_VERDICT_EQUIVALENT;
    else
        out->verdict = STATS_VERDICT_INCONCLUSIVE;
    return 0;
}

const char *stats_verdict_word(enum stats_verdict v)
{
    static const char *const words[] = {"undefined", "beyond the margin", "different within the margin",
                                        "equivalent", "inconclusive"};
    return (unsigned)v < sizeof words / sizeof *words ? words[v] : words[0];
}
