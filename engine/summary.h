/* From raw samples to the figures everyone sees: the table, the TUI, the session file, exports and compare
 * all call this. Pure: reads a session, allocates scratch only. Times in milliseconds, rates per second, NAN
 * where undefined. Blocks are the replicates: intervals are t intervals over block means; percentiles pool
 * samples. */
#pragma once

#include "engine/session.h"
#include "stats/stats.h"

struct arm_summary {
    int n, blocks, rejected;         /* samples; blocks; samples refused (zero or negative: clock fault) */
    struct stats_summary latency;    /* of samples, ms; .ci is the interval over block means */
    struct stats_running block_mean; /* over block means, ms */
    double block_cv;
    double host_mean_ms;
    double tokens_per_second; /* tokens / mean latency */
    struct stats_interval tokens_per_second_ci;
    double tokens_per_second_peak, tokens_per_second_sustained; /* best and worst block mean */
    double mean_of_rates;                                       /* llama-bench's figure, named as such */
    double time_to_first_token_ms,
        time_per_output_token_ms;       /* prefill: first = latency; decode: per output = latency */
    double cold_start_ms, load_ms;      /* NAN: not measured */
    double bandwidth, flop_rate;        /* achieved: work / mean latency */
    double bandwidth_share, flop_share; /* of what the device was measured to reach; NAN: not measured */
    double limit_share;                 /* the larger of both: how near to the nearer ceiling */
    bool p90_supported, p95_supported, p99_supported; /* n is large enough for order-statistic limits */
    int flagged_blocks;
};
int summary_arm(const struct session *s, int cell, int arm, struct arm_summary *out); /* -1: no samples */

enum verdict { VERDICT_NONE, VERDICT_FASTER, VERDICT_SLOWER, VERDICT_EQUIVALENT, VERDICT_INCONCLUSIVE };
extern const char *const verdict_names[]; /* "", "faster", "slower", "equivalent", "inconclusive" */

struct comparison {
    int baseline, candidate;          /* arm indices */
    double speedup;                   /* baseline time / candidate time: > 1 is faster */
    struct stats_interval speedup_ci; /* paired log-ratio where rounds pair, else Welch log-delta */
    double improvement_pct;           /* 100 (1 - candidate / baseline): latency reduction */
    struct stats_welch welch;         /* on block means */
    struct stats_paired paired;       /* over rounds; n = 0: unpaired */
    struct stats_effect effect;       /* on block means */
    double p_holm;                    /* over all comparisons of the session; NAN when asked for one cell */
    int family;                       /* its size */
    enum verdict verdict;
    bool final;       /* the planned rounds were reached; else the verdict is not given */
    char reason[192]; /* a reason a person can act on */
    char sentence[256]; /* "fused is 1.42× faster than baseline (95 % CI 1.39–1.45), Welch p = 3e-12, d = 4.1,
                           large" */
};
/* All comparisons of a session (candidates against the baseline, cell by cell), Holm over the family.
 * (*out)[cell * n_arms + arm]; arm 0 and arms without data have verdict NONE. Caller frees *out. */
int summary_comparisons(const struct session *s, struct comparison **out, struct error *e);
/* One pair alone: cheap enough for every frame. -1: an arm has no samples. */
int summary_compare_arms(const struct session *s, int cell, int baseline, int candidate,
                         struct comparison *out);

struct criterion_result {
    char metric[64];
    int cell, arm; /* the worst case over all cells and candidates; -1: no data */
    double target, achieved;
    bool passed, known; /* known = false: no data */
};
enum { SUMMARY_CRITERIA = 6 };
int summary_criteria(const struct session *s,
                     struct criterion_result out[SUMMARY_CRITERIA]); /* how many were asked for */
