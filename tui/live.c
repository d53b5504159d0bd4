#include "tui/live.h"
#include "engine/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_SAMPLES = 60000 }; /* sorting more would take longer than a key may wait */

static const double MS_PER_NS = 1e-6;

struct cached {
    bool has_summary, has_comparison;
    struct arm_summary summary;
    struct comparison comparison;
    int64_t summary_n, comparison_n; /* samples they were made from */
    int64_t summary_due_ns, comparison_due_ns;
    int64_t tokens;                     /* of the arm's work when it was summed up: the fact may come late */
    bool summary_over, comparison_over; /* made after the last sample */
};

struct live {
    const struct session *of;
    int n_cells, n_arms;
    struct live_arm *arm;  /* [n_cells * n_arms] */
    struct cached *cached; /* the same */
    bool resting;          /* the session does not run: caches may be exact */
};

struct live *live_new(void)
{
    return calloc(1, sizeof(struct live));
}

void live_reset(struct live *l)
{
    for (int i = 0; i < l->n_cells * l->n_arms; i++)
        free(l->arm[i].bins.count);
    free(l->arm);
    free(l->cached);
    memset(l, 0, sizeof *l);
}

void live_free(struct live *l)
{
    if (!l)
        return;
    live_reset(l);
    free(l);
}

static int lay_out(struct live *l, const struct session *s)
{
    live_reset(l);
    int n_arms = 1;
    for (int c = 0; c < s->n_cells; c++)
        n_arms = s->cell[c].n_arms > n_arms ? s->cell[c].n_arms : n_arms;
    size_t n = (size_t)s->n_cells * (size_t)n_arms;
    l->arm = calloc(n ? n : 1, sizeof *l->arm);
    l->cached = calloc(n ? n : 1, sizeof *l->cached);
    if (!l->arm || !l->cached) {
        live_reset(l);
        return -1;
    }
    l->n_cells = s->n_cells;
    l->n_arms = n_arms;
    l->of = s;
    return 0;
}

/* Makes room for bin i. A little more on both sides, so that a spreading histogram grows seldom. */
static int reach(struct live_bins *b, int i)
{
    if (b->n > 0 && i >= b->first && i < b->first + b->n)
        return 0;
    int first = b->n == 0 || i < b->first ? i - 32 : b->first;
    int end = b->n == 0 || i >= b->first + b->n ? i + 33 : b->first + b->n;
    uint32_t *count = calloc((size_t)(end - first), sizeof *count);
    if (!count)
        return -1;
    if (b->n > 0)
        memcpy(count + (b->first - first), b->count, (size_t)b->n * sizeof *count);
    free(b->count);
    b->count = count;
    b->first = first;
    b->n = end - first;
    return 0;
}

static int add_sample(struct live_arm *a, int64_t ns)
{
    if (ns <= 0)
        return 0; /* a clock fault: the summary counts it as rejected */
    int bin = (int)floor(log10((double)ns) * LIVE_BINS_PER_DECADE);
    if (reach(&a->bins, bin) != 0)
        return -1;
    a->bins.count[bin - a->bins.first]++;
    a->bins.total++;
    stats_running_add(&a->latency, (double)ns * MS_PER_NS);
    return 0;
}

static int follow_arm(struct live_arm *a, const struct session_arm *arm)
{
    int found = 0;
    while (a->block < arm->n_blocks) {
        struct block *b = arm->blocks[a->block];
        int n = atomic_load_explicit(&b->n, memory_order_acquire);
        n = n < b->capacity ? n : b->capacity;
        for (; a->sample < n; a->sample++, found = 1)
            if (add_sample(a, b->samples[a->sample].device_ns) != 0)
                return -1;
        if (a->block + 1 >= arm->n_blocks)
            break; /* it may still grow */
        a->block++;
        a->sample = 0;
    }
    return found;
}

int live_follow(struct live *l, const struct session *s)
{
    if (l->of != s || l->n_cells != s->n_cells) {
        if (lay_out(l, s) != 0)
            return -1;
    }
    int found = 0;
    l->resting = s->status != SESSION_RUNNING;
    for (int c = 0; c < s->n_cells; c++)
        for (int k = 0; k < s->cell[c].n_arms; k++) {
            int news = follow_arm(&l->arm[c * l->n_arms + k], &s->cell[c].arm[k]);
            if (news < 0)
                return -1;
            found |= news;
        }
    return found;
}

static bool inside(const struct live *l, int cell, int arm)
{
    return cell >= 0 && cell < l->n_cells && arm >= 0 && arm < l->n_arms;
}

const struct live_arm *live_arm(const struct live *l, int cell, int arm)
{
    if (!inside(l, cell, arm) || l->arm[cell * l->n_arms + arm].bins.total == 0)
        return NULL;
    return &l->arm[cell * l->n_arms + arm];
}

/* No sooner than in a quarter of a second, and never more than a fortieth of the time. */
static int64_t due(int64_t now_ns, int64_t cost_ns)
{
    return now_ns + (40 * cost_ns > 250000000 ? 40 * cost_ns : 250000000);
}

/* Many samples: what the exact summary of fewer samples said, moved on by the running figures. */
static void approximate(struct arm_summary *out, const struct live_arm *a, const struct session_arm *arm,
                        double confidence)
{
    double scale = out->latency.mean / a->latency.mean;
    struct stats_running blocks = {0};
    for (int i = 0; i < arm->n_blocks; i++) {
        const struct block *b = arm->blocks[i];
        int n = atomic_load_explicit(&b->n, memory_order_acquire);
        double sum = 0;
        for (int k = 0; k < n && k < b->capacity; k++)
            sum += (double)b->samples[k].device_ns;
        if (n >= b->capacity)
            stats_running_add(&blocks, sum / n * MS_PER_NS);
    }
    out->n = (int)a->latency.n;
    out->blocks = (int)blocks.n;
    out->block_mean = blocks;
    out->latency.n = a->latency.n;
    out->latency.mean = a->latency.mean;
    out->latency.std = stats_running_std(&a->latency);
    out->latency.min = a->latency.min;
    out->latency.max = a->latency.max;
    out->latency.median = live_quantile(&a->bins, 0.5);
    out->latency.p90 = live_quantile(&a->bins, 0.9);
    out->latency.p95 = live_quantile(&a->bins, 0.95);
    out->latency.p99 = live_quantile(&a->bins, 0.99);
    out->latency.ci = stats_mean_ci(blocks.mean, stats_running_std(&blocks), (size_t)blocks.n, confidence);
    out->tokens_per_second *= scale;
    double tokens = (double)arm->work.tokens * 1e3;
    out->tokens_per_second_ci =
        (struct stats_interval){tokens / out->latency.ci.high, tokens / out->latency.ci.low};
    out->bandwidth *= scale;
    out->flop_rate *= scale;
    out->bandwidth_share *= scale;
    out->flop_share *= scale;
    out->bandwidth_sheet_share *= scale;
    out->flop_sheet_share *= scale;
    out->limit_share *= scale;
}

const struct arm_summary *live_summary(struct live *l, const struct session *s, int cell, int arm,
                                       int64_t now_ns)
{
    const struct live_arm *a = live_arm(l, cell, arm);
    if (!a || l->of != s)
        return NULL;
    struct cached *c = &l->cached[cell * l->n_arms + arm];
    int64_t n = a->latency.n;
    bool over = l->resting || s->cell[cell].status > CELL_RUNNING;
    int64_t tokens = s->cell[cell].arm[arm].work.tokens;
    bool same = c->summary_n == n && c->tokens == tokens && c->summary_over == over;
    if (c->has_summary && (same || (!over && now_ns < c->summary_due_ns)))
        return &c->summary;
    int64_t start = clock_ns();
    if (c->has_summary && n > EXACT_SAMPLES && !over) {
        double confidence =
            s->preset.confidence > 0 && s->preset.confidence < 1 ? s->preset.confidence : 0.95;
        approximate(&c->summary, a, &s->cell[cell].arm[arm], confidence);
    } else if (summary_arm(s, cell, arm, &c->summary) != 0) {
        return c->has_summary ? &c->summary : NULL;
    }
    c->has_summary = true;
    c->summary_n = n;
    c->tokens = tokens;
    c->summary_over = over;
    c->summary_due_ns = due(now_ns, clock_ns() - start);
    return &c->summary;
}

const struct comparison *live_comparison(struct live *l, const struct session *s, int cell, int arm,
                                         int64_t now_ns)
{
    const struct live_arm *base = live_arm(l, cell, 0), *a = live_arm(l, cell, arm);
    if (!base || !a || l->of != s || arm == 0)
        return NULL;
    struct cached *c = &l->cached[cell * l->n_arms + arm];
    int64_t n = base->latency.n + a->latency.n;
    bool over = l->resting || s->cell[cell].status > CELL_RUNNING;
    bool same = c->comparison_n == n && c->comparison_over == over;
    if (c->has_comparison && (same || (!over && now_ns < c->comparison_due_ns)))
        return &c->comparison;
    int64_t start = clock_ns();
    if (summary_compare_arms(s, cell, 0, arm, &c->comparison) != 0)
        return c->has_comparison ? &c->comparison : NULL;
    c->has_comparison = true;
    c->comparison_n = n;
    c->comparison_over = over;
    c->comparison_due_ns = due(now_ns, clock_ns() - start);
    return &c->comparison;
}

void live_settle(struct live *l)
{
    for (int i = 0; i < l->n_cells * l->n_arms; i++)
        l->cached[i].summary_due_ns = l->cached[i].comparison_due_ns = 0;
}

double live_quantile(const struct live_bins *b, double p)
{
    if (b->total == 0)
        return NAN;
    double target = p * (double)b->total, sum = 0;
    for (int i = 0; i < b->n; i++) {
        double next = sum + b->count[i];
        if (b->count[i] > 0 && next >= target) {
            double within = (target - sum) / b->count[i];
            return pow(10, (b->first + i + fmin(fmax(within, 0), 1)) / LIVE_BINS_PER_DECADE) * MS_PER_NS;
        }
        sum = next;
    }
    return NAN;
}

/* Bins between which all but the outermost 0.2 % lie. */
static void span(const struct live_bins *b, int *low, int *high)
{
    uint64_t cut = b->total / 500, sum = 0;
    for (int i = 0; i < b->n; i++) {
        sum += b->count[i];
        if (sum > cut) {
            *low = b->first + i < *low ? b->first + i : *low;
            break;
        }
    }
    sum = 0;
    for (int i = b->n - 1; i >= 0; i--) {
        sum += b->count[i];
        if (sum > cut) {
            *high = b->first + i > *high ? b->first + i : *high;
            break;
        }
    }
}

void live_choose_range(const struct live *l, const struct session *s, int cell, int columns,
                       struct live_range *r)
{
    static const int widths[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000};
    int low = INT32_MAX, high = INT32_MIN;
    for (int k = 0; cell >= 0 && cell < s->n_cells && k < s->cell[cell].n_arms; k++)
        if (live_arm(l, cell, k))
            span(&live_arm(l, cell, k)->bins, &low, &high);
    if (high < low || columns < 4)
        return;
    if (r->per_column > 0 && low >= r->first && high < r->first + columns * r->per_column &&
        (high - low + 1) * 4 >= columns * r->per_column)
        return;
    size_t w = 0;
    while (w + 1 < sizeof widths / sizeof widths[0] && (high - low + 1 + 2 * widths[w]) > columns * widths[w])
        w++;
    int per = widths[w], used = (high - low) / per + 1;
    r->per_column = per;
    r->first = (int)floor((double)low / per) * per - (columns - used) / 2 * per;
}

void live_columns(const struct live_bins *b, const struct live_range *r, int columns, uint32_t *count,
                  uint64_t *under, uint64_t *over)
{
    memset(count, 0, (size_t)columns * sizeof *count);
    *under = *over = 0;
    if (r->per_column < 1)
        return;
    for (int i = 0; i < b->n; i++) {
        if (b->count[i] == 0)
            continue;
        int bin = b->first + i;
        if (bin < r->first)
            *under += b->count[i];
        else if ((bin - r->first) / r->per_column >= columns)
            *over += b->count[i];
        else
            count[(bin - r->first) / r->per_column] += b->count[i];
    }
}

double live_column_edge(const struct live_range *r, int column)
{
    return pow(10, (r->first + (double)column * r->per_column) / LIVE_BINS_PER_DECADE) * MS_PER_NS;
}
