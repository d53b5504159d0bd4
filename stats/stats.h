/* Numbers in, numbers out. No I/O, no threads, no globals, nothing of ours but this room; gsl is included in
 * stats/ alone. One header for the whole room, one .c per group below.
 *
 * Undefined is NAN (or a false flag), never 0: the standard deviation of one sample, the ratio to a mean that
 * is not positive, the interval of one block. Infinite limits are +-INFINITY. No function crashes on n = 0, n
 * = 1, zero variance, NaN or infinities (tests/data/oracle/edge_policy.json). Samples are const and unsorted
 * unless the parameter is named `sorted`. Any thread may call anything. stats_init() once, before the first
 * call. */
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

/* Two passes, the mean carried in two parts (moments.c). `scratch` holds n doubles and is overwritten
 * (it ends as the sorted finite values). */
void stats_describe(const double *x, size_t n, double confidence, double *scratch, struct stats_summary *out);
double stats_mean(const double *x, size_t n);
double stats_std(const double *x, size_t n);
struct stats_interval stats_mean_ci(double mean, double std, size_t n, double confidence);

/* quantile.c: sorted samples without NaN */

double stats_quantile(const double *sorted, size_t n, double p); /* type 7 (Hyndman & Fan 1996) */
double stats_quantile_type(const double *sorted, size_t n, double p, int type); /* 1, 6, 7 or 8, else NAN */
double stats_mad(const double *sorted, size_t n); /* raw, without STATS_MAD_TO_STD */
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
    double log10_p;              /* still tells where p itself is below 1e-308 */
    struct stats_interval ci;    /* of the difference */
};
struct stats_paired { /* one-sample t on log(y[i] / x[i]) */
    size_t n;
    double mean_log_ratio, t, df, p;
    struct stats_interval ci; /* of the mean log ratio */
};

int stats_welch(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                struct stats_welch *out); /* -1: fewer than 2 finite values on a side */
int stats_paired_log_ratio(const double *x, const double *y, size_t n, double confidence,
                           struct stats_paired *out);

/* log(y[i] / x[i]) where both are positive, else NAN, so that places stay rounds; close values keep the
 * digits of their difference. */
void stats_log_ratios(const double *x, const double *y, size_t n, double *out);

/* Welch on samples that depend on their neighbors: each side at its effective number (correlation.c).
 * -1 where a side is too correlated or constant. */
int stats_welch_correlated(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                           struct stats_welch *out);

/* effect.c: how large, in standard deviations; mean(x) - mean(y) as above */

struct stats_pooled {
    double t, df, p; /* equal variances assumed: Student's test, for comparison with other programs */
};
struct stats_effect {
    double cohens_d, hedges_g; /* pooled standard deviation */
};
struct stats_effect_ci {
    double d, normal_error;         /* pooled */
    double d_average, bonett_error; /* over the average variance: unequal variances (Bonett 2008) */
    struct stats_interval noncentral_t, normal; /* of d */
    struct stats_interval bonett;               /* of d_average */
};
int stats_pooled(const double *x, size_t nx, const double *y, size_t ny, struct stats_pooled *out);
void stats_effect(const double *x, size_t nx, const double *y, size_t ny, struct stats_effect *out);
const char *stats_effect_word(double d);   /* negligible, small, medium, large (Cohen 1988: 0.2 0.5 0.8) */
double stats_hedges_correction(double df); /* g = d x correction(nx + ny - 2), exact */
/* -1: fewer than 2 values on a side, no variance. noncentral_t is NAN where |t| > 5000. */
int stats_effect_ci(const double *x, size_t nx, const double *y, size_t ny, double confidence,
                    struct stats_effect_ci *out);

/* equivalence.c: two one-sided tests against a margin (Schuirmann 1987), on Welch's error */

enum stats_verdict {
    STATS_VERDICT_UNDEFINED,
    STATS_VERDICT_BEYOND_MARGIN, /* the whole interval of the difference lies outside +-margin */
    STATS_VERDICT_DIFFERENT_WITHIN_MARGIN,
    STATS_VERDICT_EQUIVALENT,
    STATS_VERDICT_INCONCLUSIVE, /* never "the same" because p is large */
};
struct stats_tost {
    double margin;
    double p_lower, p_upper, p; /* p = the larger of the two */
    enum stats_verdict verdict;
};
/* margin in the unit of the samples, > 0. -1: fewer than 2 values on a side, no variance, bad margin. */
int stats_tost(const double *x, size_t nx, const double *y, size_t ny, double margin, double alpha,
               struct stats_tost *out);
const char *stats_verdict_word(enum stats_verdict v);

/* ranks.c: Mann-Whitney. No test of means where variances differ: 13 % false alarms at n = 30 / 10, sd 1 / 4.
 */

struct stats_mann_whitney {
    double u1, u2;         /* u1 = pairs with x > y, a tie counts half */
    double a12;            /* u1 / (nx ny): probability that an x exceeds a y (Vargha and Delaney 2000) */
    double hodges_lehmann; /* median of all x - y */
    double p;              /* exact where there is an exact one, else normal */
    double p_exact;        /* NAN with ties and beyond 10000 pairs */
    double p_normal, p_normal_uncorrected; /* corrected for ties; continuity correction or none */
    bool has_ties, is_exact;
};
int stats_mann_whitney(const double *x, size_t nx, const double *y, size_t ny,
                       struct stats_mann_whitney *out); /* -1: a side without finite values, no memory */

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

/* correlation.c: samples that depend on their neighbors. Rejected values are holes: no pair across them. */

double stats_autocorrelation(const double *x, size_t n, int lag);
double stats_ar1_samples(double r, size_t n); /* n (1 - r) / (1 + r): not capped */
/* Initial positive sequence (Geyer 1992): n_eff = n / tau; NAN below 3 finite values or without variance. */
double stats_geyer_tau(const double *x, size_t n);

enum { STATS_MIN_EFFECTIVE = 5 };
struct stats_correlated { /* first-order autoregression, bias of the coefficient corrected */
    double lag1, r;       /* measured; corrected, clipped to [0, 0.99] */
    double n_eff, std;    /* at most n; the standard deviation without its own bias */
    bool too_correlated;  /* n_eff < STATS_MIN_EFFECTIVE: ci refused */
    struct stats_interval ci;
    struct stats_interval ci_uncorrected; /* measured lag1 and std, n_eff capped at n */
};
int stats_correlated(const double *x, size_t n, double confidence,
                     struct stats_correlated *out); /* -1: fewer than 3 finite values, no variance */

/* shape.c: means of rates, outliers, modes. Outliers are counted, never removed. */

bool stats_is_latency(double x); /* finite and > 0; anything else is a clock fault to reject and count */
double stats_harmonic_mean(const double *x, size_t n); /* of rates: units per mean time. NAN unless all > 0 */
double stats_geometric_mean(const double *x, size_t n); /* NAN unless all > 0 */
double stats_skewness(const double *x, size_t n);       /* mean of ((x - mean) / std)^3, std with n-1 */
double stats_excess_kurtosis(const double *x, size_t n);
struct stats_interval stats_std_ci(double std, size_t n, double confidence); /* chi-square, normal data */

struct stats_tukey {
    double iqr, fence[4]; /* q1 - 3 iqr, q1 - 1.5 iqr, q3 + 1.5 iqr, q3 + 3 iqr */
    int64_t count[4];     /* low severe, low mild, high mild, high severe */
};
void stats_tukey(const double *sorted, size_t n, struct stats_tukey *out);
/* Values with 0.6745 |x - median| / MAD > limit (3.5: Iglewicz and Hoaglin 1993); -1 where the MAD is 0. */
int64_t stats_modified_z_count(const double *sorted, size_t n, double limit);

enum { STATS_BIMODALITY_MIN_N = 30 };
#define STATS_BIMODALITY_VALLEY 0.5
struct stats_bimodality {
    double mode[2], share[2]; /* positions and shares of the two sides of the deepest valley */
    double valley;            /* density there over the lower peak; NAN without a valley */
    bool is_bimodal;          /* valley < STATS_BIMODALITY_VALLEY, at least 5 values and 5 % on each side */
};
/* Kernel density at Silverman's bandwidth, of the logarithms where all values are positive; advisory:
 * at n = 100 it flags under 2 % of normal, lognormal and autoregressive samples, 7 to 9 % of uniform and
 * Pareto ones, 97 % of those with a tenth in a second clock state 40 % slower. false: too few values, no
 * variance. */
bool stats_bimodality(const double *sorted, size_t n, struct stats_bimodality *out);

/* bootstrap.c: bias-corrected and accelerated intervals (Efron 1987), for medians and skewed means, n >= 30
 */

struct stats_bootstrap {
    double estimate, z0, acceleration, alpha_low, alpha_high;
    struct stats_interval bca, percentile;
};
/* From resampled and leave-one-out estimates; sorts the resamples. -1: undefined (percentile may still be
 * given). */
int stats_bca(double estimate, double *resamples, size_t count, const double *jackknife, size_t n,
              double confidence, struct stats_bootstrap *out);
/* Any statistic of a sample, which it may reorder; the leave-one-out samples arrive sorted. */
int stats_bootstrap(const double *x, size_t n, double (*statistic)(double *x, size_t n, void *context),
                    void *context, size_t count, uint64_t seed, double confidence,
                    struct stats_bootstrap *out);

/* planning.c: how many samples. -1: impossible or beyond 1e9. */

/* Smallest n whose t interval is within +-relative_half_width of the mean at this coefficient of variation.
 */
int64_t stats_plan_samples(double cv, double relative_half_width, double confidence);
/* Two-sample t test, two-sided; the difference in standard deviations. */
double stats_power(double n_per_arm, double standardized_difference, double alpha);
int64_t stats_plan_per_arm(double cv, double relative_difference, double power, double alpha);

/* The same for paired logarithms: one-sample t, two-sided, over n rounds; the mean in standard deviations. */
double stats_paired_power(double n, double standardized_mean, double alpha);
/* Smallest true mean of n paired differences with this standard deviation that is found with `power`. NAN: n
 * < 2, no spread. */
double stats_minimum_effect(size_t n, double std, double alpha, double power);

/* sequence.c: an interval that may be watched. With probability `confidence` it holds the mean of normal data
 * of unknown variance at every n at once, so that looking after each value and stopping at will costs no
 * error. The t-mixture martingale (Lai 1976, Ann. Statist. 4:265, as test martingale in Wang & Ramdas 2025,
 * "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance"): the likelihood
 * ratio of t with a normal prior of variance STATS_SEQUENCE_PRIOR on the mean in standard deviations and the
 * right Haar prior on the standard deviation; Ville's inequality bounds its supremum. Exact at every n; the
 * interval is unbounded while n is too small to refuse anything (n < 5 at 95 %). */

#define STATS_SEQUENCE_PRIOR                                                                                 \
    1.0 /* narrowest between 8 and 20 values (half-width 1.22 std at 10, 0.43 at 60) */
struct stats_sequence {
    size_t n; /* finite values */
    double mean;
    double log_e;             /* ln of the e value against a mean of 0, now */
    double p;                 /* valid at any stopping time: 1 over the largest e value so far */
    struct stats_interval ci; /* of the mean */
};
int stats_sequence(const double *x, size_t n, double confidence,
                   struct stats_sequence *out); /* -1: fewer than 2 finite values, no variance */
/* Half-width at n values in standard deviations; infinite while unbounded. */
double stats_sequence_width(size_t n, double confidence);

/* factorial.c: two-level designs (Box, Hunter & Hunter 2005, chapters 5 and 6). y[round * runs + run] on the
 * scale where effects add (logarithms for times); a round is a replicate, so every contrast has one value per
 * round and a t interval over rounds. Rounds with a hole (NAN) under a weight other than 0 are left out. */

enum { STATS_FACTORS = 5, STATS_FACTOR_EFFECTS = 15 };
struct stats_contrast {
    size_t n;           /* rounds */
    double estimate, t; /* t, p and ci NAN where undefined */
    double p;
    struct stats_interval ci;
};
int stats_contrast(const double *y, size_t rounds, size_t runs, const double *weight, double confidence,
                   struct stats_contrast *out); /* -1: fewer than 2 rounds, no memory */
struct stats_factor_effect {
    unsigned factors; /* bits: one factor, or two for their interaction */
    bool estimable;   /* the design has as many runs on either side */
    int alias;        /* an earlier effect that this design cannot tell from this one; -1: none */
    /* High minus low, averaged over the other factors; an interaction is half the difference of one factor's
     * effect between the high and the low level of the other. */
    struct stats_contrast contrast;
};
/* setting[run]: bit f is set where factor f is at its high level. Main effects first, then interactions in
 * the order 01 02 .. 12 ..: factors (factors + 1) / 2 of them, the return value. -1: no factors or too many,
 * no memory. */
int stats_factorial(const double *y, size_t rounds, const unsigned *setting, size_t runs, int factors,
                    double confidence, struct stats_factor_effect *out);
void stats_factorial_weights(const unsigned *setting, size_t runs, unsigned factors, double *weight);
bool stats_factorial_estimable(const unsigned *setting, size_t runs, unsigned factors);
bool stats_factorial_aliased(const unsigned *setting, size_t runs, unsigned a, unsigned b);

/* change.c: where a history changed. E-divisive (Matteson & James 2014, JASA 109:334; used on benchmarks by
 * Daly et al. 2020): the split with the largest energy distance, kept where fewer than alpha of the
 * permutations of its segment do as well; each side is then searched again. Sensitive to any change of the
 * distribution, robust to single outliers. */

enum { STATS_CHANGE_SEGMENT = 3, STATS_CHANGE_PERMUTATIONS = 999, STATS_CHANGE_MAX = 2000 };
struct stats_change {
    size_t at; /* index of the first value after the change */
    double p;
    double before, after; /* medians of the segments on both sides */
};
/* Ascending by `at`; equal seeds give equal answers. Values that are not finite are passed over. How many
 * were found (at most room); -1: no memory, bad alpha, more than STATS_CHANGE_MAX values. */
int stats_changes(const double *x, size_t n, double alpha, uint64_t seed, struct stats_change *out, int room);

/* budget.c: what the variance of a block mean, and with it every interval, is made of */

enum { STATS_NO_MEMORY = -2 };
struct stats_variance_budget { /* shares of block_variance; they add to 1 */
    double within;             /* samples scatter within blocks, outliers apart: longer blocks help */
    double between;            /* blocks differ, and the clock does not explain it: only more blocks help */
    double clock;              /* blocks differ along a straight line over their clock: lock it */
    double outliers;           /* samples beyond Tukey's outer fences around their block's mean */
    double block_variance;     /* of block means */
    int64_t n_outliers;
};
/* x: the samples of all blocks one after another, size[b] of block b; clock[b] in any unit, NAN or a NULL
 * array where unknown. -1: fewer than 2 blocks, one sample each, no variance. STATS_NO_MEMORY. */
int stats_variance_budget(const double *x, const size_t *size, size_t blocks, const double *clock,
                          struct stats_variance_budget *out);

/* noncentral.c: the noncentral t distribution; df >= 1 */

double stats_noncentral_t_upper(double t, double df, double ncp); /* P(T > t) */
struct stats_interval stats_noncentrality_ci(double t, double df, double confidence);

/* distribution.c: t quantiles refined by Newton steps beyond GSL's 5e-9 */

double stats_t_quantile(double p, double df);
double stats_t_two_sided(double t, double df);   /* p value */
double stats_t_upper(double t, double df);       /* P(T > t), full relative precision in the far tail */
double stats_t_log10_upper(double t, double df); /* where the tail itself is below 1e-308 */
double stats_normal_quantile(double p);
double stats_normal_two_sided(double z);
double stats_chi_square_quantile(double p, double df);

/* histogram.c: log-spaced bins with fixed edges; counts only ever grow, so a live plot never flickers */

enum { STATS_BINS_PER_DECADE = 48, STATS_HISTOGRAM_DECADES = 14, STATS_HISTOGRAM_BINS = 48 * 14 };

struct stats_histogram { /* covers [1, 1e14) in the caller's unit (ns); outside is counted at the ends */
    uint64_t count[STATS_HISTOGRAM_BINS];
    uint64_t under, over, total;
};

void stats_histogram_add(struct stats_histogram *h, double x);
double stats_histogram_edge(int bin); /* lower edge of `bin` */
int stats_histogram_bin(double x);    /* -1 below, STATS_HISTOGRAM_BINS above or NaN */

/* eigen.c: a symmetric matrix [n, n] becomes its eigenvectors, row i that of value[i], ascending. By GSL,
 * which takes a tenth of a second for n = 200 and minutes for n = 2000. -1: no memory, or no convergence. */
int stats_eigen(double *a, int n, double *value);
