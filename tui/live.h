/* Running statistics of a session that grows: each sample is looked at once, pictures and percentiles come
 * from counts in fine log-spaced bins, exact summaries are made again only when something changed and at a
 * bounded share of the time. A million samples cost a few kilobytes here. UI thread only. */
#pragma once

#include "engine/summary.h"

enum { LIVE_BINS_PER_DECADE = 1000 }; /* 0.23 % per bin: finer than a column of any histogram */

struct live_bins { /* counts of samples by floor(1000 log10(ns)); grows as needed */
    int first, n;
    uint32_t *count;
    uint64_t total;
};

struct live_arm {
    int block, sample;            /* read so far: blocks before `block`, samples of `block` before `sample` */
    struct stats_running latency; /* ms, every sample */
    struct live_bins bins;
};

struct live;
struct live *live_new(void); /* NULL: no memory */
void live_free(struct live *l);
void live_reset(struct live *l); /* another session from now on */
/* Takes in what is new in s. 1: something was; 0: nothing; -1: no memory. */
int live_follow(struct live *l, const struct session *s);
const struct live_arm *live_arm(const struct live *l, int cell, int arm); /* NULL: no samples */

/* Summary of an arm, at most a little out of date while the run is on (exact again when it rests); from the
 * bins where n is so large that sorting would hold up the screen. NULL: no samples. Valid until the next call
 * for the same arm. */
const struct arm_summary *live_summary(struct live *l, const struct session *s, int cell, int arm,
                                       int64_t now_ns);
const struct comparison *live_comparison(struct live *l, const struct session *s, int cell, int arm,
                                         int64_t now_ns);

/* The next summaries are made anew: for a picture that is going to stand still. */
void live_settle(struct live *l);

/* Quantile p by the bins, ms; NAN without samples. */
double live_quantile(const struct live_bins *b, double p);

/* Columns of a histogram: aligned to whole bins, so that counts only grow while the range stands. */
struct live_range {
    int first;      /* bin where column 0 begins */
    int per_column; /* bins; 0: not chosen yet */
};
/* Keeps *r while the data of all arms of the cell fit and fill it well; else chooses again. */
void live_choose_range(const struct live *l, const struct session *s, int cell, int columns,
                       struct live_range *r);
void live_columns(const struct live_bins *b, const struct live_range *r, int columns, uint32_t *count,
                  uint64_t *under, uint64_t *over);
double live_column_edge(const struct live_range *r, int column); /* lower edge, ms */
