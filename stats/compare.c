#include "stats/internal.h"

#include <math.h>
#include <stdlib.h>

void stats_welch_judge(struct stats_welch *w, double error, double confidence)
{
    w->t = w->difference / error;
    w->p = stats_t_two_sided(w->t, w->df);
    w->log10_p = w->t == 0 ? 0 : log10(2) + stats_t_log10_upper(fabs(w->t), w->df);
    if (stats_is_confidence(confidence)) {
        double half = stats_t_quantile(0.5 + confidence / 2, w->df) * error;
        w->ci = (struct stats_interval){w->difference - half, w->difference + half};
    }
}

int stats_welch(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                struct stats_welch *out)
{
    struct stats_moments a = stats_moments_of(x, nx), b = stats_moments_of(y, ny);
    *out = (struct stats_welch){NAN, NAN, NAN, NAN, NAN, stats_interval_none()};
    if (a.n > 0 && b.n > 0)
        out->difference = stats_moments_difference(&a, &b);
    if (a.n < 2 || b.n < 2)
        return -1;
    double error = hypot(stats_moments_error(&a), stats_moments_error(&b));
    if (!(error > 0)) { /* no variance on either side: no test, whatever the difference */
        if (out->difference != 0)
            out->t = copysign(INFINITY, out->difference);
        return 0;
    }
    out->df = stats_satterthwaite(stats_moments_error(&a), (double)(a.n - 1), stats_moments_error(&b),
                                  (double)(b.n - 1));
    stats_welch_judge(out, error, confidence);
    return 0;
}

void stats_log_ratios(const double *x, const double *y, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) {
        if (!(isfinite(x[i]) && x[i] > 0 && isfinite(y[i]) && y[i] > 0)) {
            out[i] = NAN;
            continue;
        }
        double change = (y[i] - x[i]) / x[i];
        out[i] = fabs(change) < 0.5 ? log1p(change) : log(y[i]) - log(x[i]);
    }
}

int stats_paired_log_ratio(const double *x, const double *y, size_t n, double confidence,
                           struct stats_paired *out)
{
    *out = (struct stats_paired){0, NAN, NAN, NAN, NAN, stats_interval_none()};
    double *logs = calloc(n ? n : 1, sizeof *logs);
    if (!logs)
        return -1;
    stats_log_ratios(x, y, n, logs);
    struct stats_moments m = stats_moments_of(logs, n);
    size_t pairs = m.n;
    free(logs);
    out->n = pairs;
    out->mean_log_ratio = m.mean;
    if (pairs < 2)
        return -1;
    double error = stats_moments_error(&m);
    if (!(error > 0)) {
        if (m.mean != 0)
            out->t = copysign(INFINITY, m.mean);
        return 0;
    }
    out->df = (double)(pairs - 1);
    out->t = m.mean / error;
    out->p = stats_t_two_sided(out->t, out->df);
    out->ci = stats_mean_ci(m.mean, m.std, pairs, confidence);
    return 0;
}
