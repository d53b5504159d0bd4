#include "engine/measure_internal.h"
#include "engine/warmup.h"
#include "stats/stats.h"
#include <math.h>
#include <stdlib.h>

/* Short samples are asked for in parts of about this length while the arm warms up. */
#define WARMUP_PART_S 0.1
#define WARMUP_SHARE  0.33

static double seconds(const struct sample *s)
{
    return (double)(s->device_ns > s->host_ns ? s->device_ns : s->host_ns) / 1e9;
}

/* How many samples to ask for at once while warming: single ones at first, then parts of WARMUP_PART_S. */
static int warmup_part(const struct measure_run *r, const struct sample *s, int n, int most, int since_reset)
{
    int part = 1;
    if (n >= 4) {
        double t = fmax(seconds(&s[n - 1]), 1e-7);
        part = t * most > WARMUP_PART_S ? (int)(WARMUP_PART_S / t) : most;
        part = part < 1 ? 1 : part > n / 2 ? n / 2 : part; /* steadiness is looked at in between */
    }
    int room = r->m->plan->samples_per_block - since_reset;
    part = part > most - n ? most - n : part;
    return part > room ? room : part;
}

/* When the arm must be warm where a time budget presses: all arms together may use WARMUP_SHARE of what the
 * cell has left. 0: no budget. */
static int64_t warmup_deadline(const struct measure_run *r, int a)
{
    int arms = 0;
    for (int i = a; i < r->m->preset->n_arms; i++)
        arms += r->active[i];
    return r->share_ns
               ? measure_now(r) + (int64_t)((double)(r->share_ns - measure_now(r)) * WARMUP_SHARE / arms)
               : 0;
}

int measure_warm_arm(struct measure_run *r, int a)
{
    const struct runner_ops *ops = r->m->runner->ops;
    const struct preset *p = r->m->preset;
    int most = p->warmup_max > p->warmup_min ? p->warmup_max : p->warmup_min, n = 0, since_reset = 0;
    struct error e = {0};
    struct session_arm facts = *measure_known(r, a);
    struct sample *s = calloc(most > 0 ? (size_t)most : 1, sizeof *s);
    double *ms = calloc(most > 0 ? (size_t)most : 1, sizeof *ms);
    bool steady = false;
    int64_t start = measure_now(r), steady_at = start, deadline = warmup_deadline(r, a);
    free(r->warmup[a]); /* of a process that is gone */
    r->warmup[a] = s;
    if (!s || !ms) {
        error_set(&e, ERROR_MEMORY, "no memory for warm-up samples: choose a smaller warmup_max");
        goto fail;
    }
    while (n < most && !steady && (n < p->warmup_min || !deadline || measure_now(r) < deadline)) {
        _Atomic int done = 0;
        measure_phase(r, a, "warm-up", (double)n / most);
        if (measure_checkpoint(r) != MEASURE_WHY_NONE)
            goto fail;
        if (since_reset >= r->m->plan->samples_per_block) {
            if (ops->reset(r->arm[a], &e) < 0)
                goto fail;
            since_reset = 0;
        }
        int part = warmup_part(r, s, n, most, since_reset);
        if (ops->run_block(r->arm[a], part, s + n, &done, &r->watch, &e) < 0)
            goto fail;
        for (int i = n; i < n + part; i++)
            ms[i] = 1e3 * seconds(&s[i]);
        n += part;
        since_reset += part;
        size_t drop;
        steady = warmup_steady(ms, (size_t)n, (size_t)p->warmup_min, &drop);
        steady_at = measure_now(r);
    }
    r->n_warmup[a] = n;
    r->unsteady[a] = !steady;
    if (n > 0 && r->m->first_round == 0 && !r->again) {
        facts.cold_start_ns = s[0].device_ns;
        facts.time_to_steady_ns = steady_at - start;
        measure_tell_arm(r, a, &facts);
    }
    if (n > 0) {
        int k = n - n / 2;
        r->sample_s[a] = stats_mean(ms + n - k, (size_t)k) / 1e3;
    }
    free(ms);
    return 0;
fail:
    free(ms);
    if (r->why == MEASURE_WHY_NONE)
        measure_drop_arm(r, a, measure_status_of(e.kind), e.text);
    return -1;
}
