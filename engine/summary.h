/* From raw samples to the figures everyone sees: the table, the TUI, the session file, exports and compare
 * all call this. Pure: reads a session, allocates scratch only. Times in milliseconds, rates per second, NAN
 * where undefined. Blocks are the replicates: intervals are t intervals over block means; percentiles pool
 * samples. A block that is being filled or was cut short counts only while an arm has no complete one: its
 * mean would be another quantity (decode slows down as its cache grows).
 *
 * summary.c: arms; summary_compare.c: pairs and families; summary_judge.c: verdicts, their reasons and words;
 * summary_spoilers.c: what spoils a measurement, and its variance budget; summary_criteria.c: a preset's
 * criteria. */
#pragma once

#include "engine/decision.h"
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
    double texts_per_second;                                    /* tokenize; NAN: not known */
    double
        text_bytes_per_second; /* of text: tokens per second times the bytes that a token of it stands for */
    double mean_of_rates;      /* llama-bench's figure, named as such */
    double time_to_first_token_ms,
        time_per_output_token_ms;       /* prefill: first = latency; decode: per output = latency */
    double cold_start_ms, load_ms;      /* NAN: not measured */
    double bandwidth, flop_rate;        /* achieved: work / mean latency */
    double bandwidth_share, flop_share; /* of what the device was measured to reach; NAN: not measured */
    double bandwidth_sheet_share, flop_sheet_share;   /* of what its data sheet promises; NAN: none known */
    double limit_share;                               /* the larger of both: how near to the nearer ceiling */
    bool p90_supported, p95_supported, p99_supported; /* n is large enough for order-statistic limits */
    int flagged_blocks;
    bool incomplete; /* memory ran out: nothing else in it counts */
};
/* Mean latency of a complete block, ms; NAN while it is being filled, cut short, or without a good sample. */
double summary_block_mean(const struct block *b);
double summary_confidence(const struct session *s); /* the preset's, 0.95 where it has none */
int summary_arm(const struct session *s, int cell, int arm, struct arm_summary *out); /* -1: no samples */

/* A verdict needs this many rounds whatever was planned: t intervals over fewer means fail on bimodal data.
 */
enum { SUMMARY_MIN_ROUNDS = 5 };
enum verdict { VERDICT_NONE, VERDICT_FASTER, VERDICT_SLOWER, VERDICT_EQUIVALENT, VERDICT_INCONCLUSIVE };
extern const char *const verdict_names[]; /* "", "faster", "slower", "equivalent", "inconclusive" */

/* Why a verdict is what it is: the machine's word beside the sentence. */
enum reason_code {
    REASON_NONE,
    REASON_BEYOND_ONE,     /* the interval excludes 1 */
    REASON_WITHIN_MARGIN,  /* the interval lies inside the margin */
    REASON_OUTPUT_DIFFERS, /* the correctness gate refused the candidate */
    REASON_TOO_FEW_ROUNDS,
    REASON_NO_VARIANCE,
    REASON_NO_INTERVAL,
    REASON_FAMILY, /* decided alone, but not among the comparisons shown (Holm) */
    REASON_THROTTLED,
    REASON_BIMODAL,
    REASON_AUTOCORRELATED,
    REASON_DRIFT,
    REASON_NEEDS_MORE, /* undecided, nothing spoils it: more rounds will do */
    REASON_TOO_NOISY,  /* so many rounds that nobody will run them */
    REASONS
};
extern const char
    *const reason_names[REASONS]; /* "", "beyond_one", "within_margin", ... as above, in files */

/* What spoils a comparison. All zero: nothing does. */
struct spoilers {
    int throttled, unsteady, clock_faults, blocks; /* flagged blocks of both arms, of all complete ones */
    bool bimodal;                                  /* an arm's samples have two modes ... */
    bool bimodal_rare; /* ... and the rarer one was seen too seldom for an interval of the mean */
    int bimodal_arm;   /* index of the arm */
    double mode_ms[2], mode_share[2];
    bool drifts; /* the level of both arms together has a slope beyond chance (1 %) and 0.5 % over the run */
    double drift_per_minute;  /* relative, of that slope; per round where the clock says nothing */
    double seconds_per_round; /* NAN: not known */
    bool correlated;          /* as in decision */
    double lag1, n_eff;
};

struct comparison {
    int baseline, candidate;          /* arm indices */
    double speedup;                   /* baseline time / candidate time: > 1 is faster */
    struct stats_interval speedup_ci; /* paired log-ratio where rounds pair, else Welch log-delta */
    double speedup_of_means; /* mean(baseline) / mean(candidate) over all blocks: what tokens per second show.
                                Slow blocks weigh more in it than in speedup. NAN or 0: not known */
    double improvement_pct;  /* 100 (1 - candidate / baseline): latency reduction */
    struct stats_welch welch;   /* on block means, ms, baseline - candidate: t > 0 is faster */
    struct stats_paired paired; /* log(baseline / candidate) over rounds; n = 0: unpaired */
    struct stats_effect effect; /* on block means */
    struct decision decision;   /* what speedup_ci stands on where rounds pair; n = 0: unpaired */
    struct stats_interval
        always_ci; /* of the speed-up, always valid; NAN: unpaired, infinite: too few rounds */
    struct spoilers spoilers;
    double p;                         /* the p of the method that decides */
    double p_bh;                      /* Benjamini & Hochberg over the same family: for heat maps */
    double rounds_left, seconds_left; /* until one verdict or another must hold, about; NAN: not known */
    double p_holm;                    /* over all ranked comparisons of the session; faster and slower need it
                                         below 1 - confidence. NAN when asked for one cell */
    int family;                       /* its size */
    enum verdict verdict;
    bool final; /* the planned rounds were reached (watched: five); else the verdict is not given */
    enum reason_code reason_code;
    char reason[256]; /* a reason a person can act on */
    char sentence[320]; /* "fused is 1.42× faster than baseline (95 % CI 1.39–1.45), Welch p = 3e-12, d = 4.1,
                           large" */
};
/* Fills verdict, final, reason and sentence from the figures already in c: rounds of `planned` were measured,
 * `throttled` of `blocks` blocks ran slowed down, differs: "" or why the candidate's output was refused.
 * Names are those the sentence uses. compare calls this for sessions that have no rounds in common. */
struct summary_case {
    const char *baseline_name, *candidate_name;
    double confidence, margin;
    int rounds, planned, blocks, throttled;
    bool watched; /* final from SUMMARY_MIN_ROUNDS rounds on, whatever was planned */
    const char *differs;
};
void summary_judge(struct comparison *c, const struct summary_case *k);
/* Holm over n comparisons (those that may be ranked and have a p); takes verdicts back that do not hold in
 * the family. k[i] belongs to c[i]. */
int summary_family(struct comparison *c, const struct summary_case *k, int n, struct error *e);
/* All comparisons of a session (candidates against the baseline, cell by cell), Holm over the family.
 * (*out)[cell * n_arms + arm]; arm 0 and arms without data have verdict NONE. Caller frees *out. */
int summary_comparisons(const struct session *s, struct comparison **out, struct error *e);
/* One pair alone: cheap enough for every frame. -1: an arm has no samples. */
int summary_compare_arms(const struct session *s, int cell, int baseline, int candidate,
                         struct comparison *out);

enum { SUMMARY_NO_MEMORY = -2 };
/* An arm of one session against an arm of another: no rounds in common, so Welch and the ratio on block
 * means. Fills the figures of out and the counts of k; verdict and words are left to summary_judge. -1: no
 * complete block; SUMMARY_NO_MEMORY. */
int summary_compare_unpaired(const struct session_arm *baseline, const struct session_arm *candidate,
                             double confidence, struct comparison *out, struct summary_case *k);
/* What spoils the comparison of two arms of a cell. baseline and candidate are indices into its arms. -1: no
 * memory. */
int summary_spoilers(const struct session_cell *cell, int baseline, int candidate, struct spoilers *out);
/* "3 of 12 blocks throttled; bimodal: 10.1 and 14.0 ms; drift 0.8 % per minute; lag-1 0.6: 9 effective
 * rounds": those that apply, "" without. */
void summary_spoilers_text(const struct spoilers *s, char *out, size_t size);
/* "; this machine's noise floor is 0.8 %, the smallest difference found 1.1 % (calibrated 2026-11-21)", and
 * where a verdict claims less than the noise floor that it does; "" for a cell without a calibration. */
enum { SUMMARY_CALIBRATION_TEXT = 192 };
char *summary_calibration_text(const struct session *s, int cell, const struct comparison *c, char *out,
                               size_t size);
/* What the variance of an arm's block means is made of. -1: too few blocks, no variance. SUMMARY_NO_MEMORY.
 */
int summary_budget(const struct session *s, int cell, int arm, struct stats_variance_budget *out);
/* Why a candidate's output was refused, in words; "" when it was not. */
void summary_refusal(const struct output_check *o, char *out, size_t size);

struct criterion_result {
    char metric[64];
    int cell, arm; /* the worst case over all cells and candidates; -1: no data */
    double target, achieved;
    bool passed, known; /* known = false: no data */
};
enum { SUMMARY_CRITERIA = 9 };
int summary_criteria(
    const struct session *s,
    struct criterion_result out[SUMMARY_CRITERIA]); /* how many were asked for; -1: no memory */
/* The interval of a comparison without a verdict leaves 1 out all the same: it seems faster (1) or slower
 * (-1); 0: it does not, or a verdict is given. */
int summary_leaning(const struct comparison *c);
