/* Numbers in, numbers out. No I/O, no threads, no globals, nothing of ours but this room; gsl is included in
 * stats/ alone. One header for the whole room, one .c per group below.
 *
 * Undefined is NAN (or a false flag), never 0: the standard deviation of one sample, the ratio to a mean <=
 * 0, the interval of one block. Infinite limits are +-INFINITY. No function crashes on n = 0, n = 1, zero
 * variance, NaN or infinities (tests/data/oracle/edge_policy.json). Samples are const and
 * unsorted unless the parameter is named `sorted`. Any thread may call anything. stats_init() once, before
 * the first call. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Turns GSL's aborting error handler off. Idempotent; call before threads start. */
void stats_init(void);

struct stats_interval {
    double low, high; /* NAN where undefined, +-INFINITY where unbounded */
};

/* running.c: mean and variance of a stream (Welford; Chan's merge) */

struct stats_running {
    int64_t n;
    double mean, m2; /* m2 = sum of squared deviations */
    double min, max;
    int64_t rejected; /* NaN, infinite: counted, never mixed in */
};

void stats_running_add(struct stats_running *r, double x);
void stats_running_merge(struct stats_running *into, const struct stats_running *from);
double stats_running_std(const struct stats_running *r); /* n-1; NAN for n < 2 */

#define STATS_MAD_TO_STD 1.4826 /* makes the MAD of normal data estimate its standard deviation */

/* describe.c: one sample */

struct stats_summary {
    int64_t n, rejected; /* rejected = NaN and infinities in x; everything below is over the n others */
    double mean, std, min, max, median, p90, p95, p99; /* type 7 quantiles; std with n-1 */
    double cv;                                         /* std / mean, NAN for mean <= 0 */
    double mad;                                        /* 1.4826 x median |x - median| */
    double lag1;                                       /* lag-1 autocorrelation */
    struct stats_interval ci;                          /* t interval of the mean at `confidence` */
};

/* Corrected two-pass after subtracting a common reference. `scratch` holds n doubles and is overwritten
 * (it ends as the sorted finite values). */
void stats_describe(const double *x, size_t n, double confidence, double *scratch, struct stats_summary *out);
double stats_mean(const double *x, size_t n);
double stats_std(const double *x, size_t n);
double stats_quantile(const double *sorted, size_t n, double p); /* type 7 (Hyndman & Fan 1996) */
double stats_mad(const double *sorted, size_t n);                /* raw, without STATS_MAD_TO_STD */

double stats_autocorrelation(const double *x, size_t n, int lag);
struct stats_interval stats_mean_ci(double mean, double std, size_t n, double confidence);
/* Order-statistic interval of quantile p: [x(low_rank), x(high_rank)], ranks from 1; rank 0 or n + 1 means
 * that n supports no limit on that side. Ranks and coverage need no data: with sorted = NULL the limits are
 * NAN. */
struct stats_order_interval {
    size_t low_rank, high_rank;
    double low, high;
    double coverage; /* exact, at least the nominal one where both limits exist */
};
struct stats_order_interval stats_quantile_order(const double *sorted, size_t n, double p, double confidence);
/* The same without ranks: [x(l), x(u)], an infinite limit where n supports none. */
struct stats_interval stats_quantile_ci(const double *sorted, size_t n, double p, double confidence);
/* Smallest n whose order statistics bound quantile p from both sides: 6, 36, 72, 368 at 95 % for .5 .9 .95
 * .99. */
int stats_quantile_min_n(double p, double confidence);

/* compare.c: two samples. Differences are mean(x) - mean(y), ratios mean(y) / mean(x). */

struct stats_welch {
    double difference, t, df, p; /* p two-sided, from the upper tail; NAN where undefined */
    struct stats_interval ci;    /* of the difference */
};
struct stats_effect {
    double cohens_d, hedges_g; /* pooled standard deviation */
};
struct stats_paired { /* one-sample t on log(y[i] / x[i]) */
    size_t n;
    double mean_log_ratio, t, df, p;
    struct stats_interval ci; /* of the mean log ratio */
};

int stats_welch(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                struct stats_welch *out); /* -1: fewer than 2 finite values on a side */
void stats_effect(const double *x, size_t nx, const double *y, size_t ny, struct stats_effect *out);
const char *stats_effect_word(double d); /* negligible, small, medium, large (Cohen 1988: 0.2 0.5 0.8) */
int stats_paired_log_ratio(const double *x, const double *y, size_t n, double confidence,
                           struct stats_paired *out);
double stats_hedges_correction(double df); /* g = d x correction(nx + ny - 2), exact */

/* ratio.c: mean(y) / mean(x) of independent samples; undefined unless both means are positive */

struct stats_ratio {
    double ratio, df; /* Satterthwaite */
    double fieller_g; /* >= 1: the denominator may be 0, Fieller's interval is unbounded */
    struct stats_interval fieller, log_delta;
};
/* -1: a mean <= 0, fewer than 2 finite values on a side, or no variance at all (ratio alone is then given).
 */
int stats_ratio(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                struct stats_ratio *out);
/* Its log-delta interval alone. */
struct stats_interval stats_ratio_ci(const double *x, size_t nx, const double *y, size_t ny,
                                     double confidence);

/* multiplicity.c: families of p values. NAN stays NAN and does not count; adjusted may be p itself */

void stats_holm(const double *p, size_t n, double *adjusted); /* step-down; order kept; NAN stays NAN */
void stats_hochberg(const double *p, size_t n, double *adjusted);
void stats_bonferroni(const double *p, size_t n, double *adjusted);
void stats_benjamini_hochberg(const double *p, size_t n, double *adjusted);
void stats_benjamini_yekutieli(const double *p, size_t n, double *adjusted);

/* steady.c: is the series still warming up? */

/* MSER-5 (White 1997): how many leading samples to drop; *steady is false where the optimum is at the search
 * limit. */
size_t stats_mser5(const double *x, size_t n, bool *steady);

struct stats_mser {
    size_t drop;           /* leading samples of x, rejected ones included */
    size_t batches, limit; /* batches of 5 to drop; the largest number that was tried */
    double objective;
    bool steady;
};
bool stats_mser5_search(const double *x, size_t n, struct stats_mser *out); /* false: fewer than 2 batches */

struct stats_drift {    /* ordinary least squares over the index */
    double slope, t, p; /* per sample; NAN p where residuals vanish */
    struct stats_interval ci;
};
int stats_drift(const double *x, size_t n, double confidence, struct stats_drift *out); /* -1: fewer than 3 */
/* Slope over the last k values is indistinguishable from 0 at `confidence` (ordinary least squares). */
bool stats_is_level(const double *x, size_t k, double confidence);

/* distribution.c: t quantiles refined by Newton steps beyond GSL's 5e-9 */

double stats_t_quantile(double p, double df);
double stats_t_two_sided(double t, double df);   /* p value */
double stats_t_upper(double t, double df);       /* P(T > t), full relative precision in the far tail */
double stats_t_log10_upper(double t, double df); /* where the tail itself is below 1e-308 */
double stats_normal_quantile(double p);
double stats_normal_two_sided(double z);

/* histogram.c: log-spaced bins with fixed edges; counts only ever grow, so a live plot never flickers */

enum { STATS_BINS_PER_DECADE = 48, STATS_HISTOGRAM_DECADES = 14, STATS_HISTOGRAM_BINS = 48 * 14 };

struct stats_histogram { /* covers [1, 1e14) in the caller's unit (ns); outside is counted at the ends */
    uint64_t count[STATS_HISTOGRAM_BINS];
    uint64_t under, over, total;
};

void stats_histogram_add(struct stats_histogram *h, double x);
double stats_histogram_edge(int bin); /* lower edge of `bin` */
int stats_histogram_bin(double x);    /* -1 below, STATS_HISTOGRAM_BINS above or NaN */
