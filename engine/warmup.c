#include "engine/warmup.h"

#include "stats/stats.h"
#include <math.h>

/* A change over the window below this share of the mean is level for every purpose of ours, however well the
 * samples resolve it (decode reads a longer cache with every step). */
#define PRACTICALLY_LEVEL 0.005
/* A few samples cannot show a slope; then the change itself must be small. */
#define FEW_SAMPLES_LEVEL 0.05
enum { FEW_SAMPLES = 6, SHORT_SAMPLES = 10, MSER_SAMPLES = 40, WINDOW_MIN = 3, WINDOW_MAX = 32 };

static bool level(const double *ms, size_t k)
{
    struct stats_drift d;
    if (stats_drift(ms, k, 0.95, &d) < 0)
        return false;
    double change = fabs(d.slope) * (double)(k - 1) / stats_mean(ms, k);
    if (change < PRACTICALLY_LEVEL)
        return true;
    return stats_is_level(ms, k, 0.95) && (k >= FEW_SAMPLES || change < FEW_SAMPLES_LEVEL);
}

bool warmup_steady(const double *ms, size_t n, size_t minimum, size_t *drop)
{
    *drop = n ? 1 : 0;
    if (n < minimum || n < WINDOW_MIN + 1)
        return false;
    size_t k = n / 2;
    k = k < WINDOW_MIN ? WINDOW_MIN : k > WINDOW_MAX ? WINDOW_MAX : k;
    if (!level(ms + n - k, k))
        return false;
    if (n < SHORT_SAMPLES)
        return stats_mean(ms, n) * (double)n >= 1e3 * WARMUP_LONG_S;
    if (n < MSER_SAMPLES) /* fewer than eight batches: its optimum is mostly noise */
        return true;
    bool found;
    size_t transient = stats_mser5(ms, n, &found);
    if (transient > *drop)
        *drop = transient;
    return found && n - transient >= transient;
}
