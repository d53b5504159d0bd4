/* What the Results screen shows of a session, worked out once: a row per cell and arm with its summary,
 * comparisons, criteria, the sentence a person would say, and which rows are seen in which order. Pure data:
 * draws nothing, knows no application. A loaded session may be built in any thread; one that is being written
 * is read by the UI thread. Rows hold indices, never pointers into the session. */
#pragma once

#include "engine/dashboard.h"
#include "engine/session.h"
#include "engine/summary.h"
#include "engine/summary_cache.h"
#include "tui/grid.h"

enum results_column {
    RESULTS_MODEL,
    RESULTS_WORKLOAD,
    RESULTS_BATCH,
    RESULTS_SEQ,
    RESULTS_ARM,
    RESULTS_N,
    RESULTS_MEAN,
    RESULTS_INTERVAL,
    RESULTS_MEDIAN,
    RESULTS_P95,
    RESULTS_P99,
    RESULTS_RATE,
    RESULTS_TEXT_RATE, /* bytes of text per second: what vocabularies have in common */
    RESULTS_BANDWIDTH,
    RESULTS_LIMIT,
    RESULTS_PEAK,
    RESULTS_SPEEDUP,
    RESULTS_SPEEDUP_CI,
    RESULTS_PERPLEXITY, /* what it costs in quality: in worth's order */
    RESULTS_BITS,
    RESULTS_KL,
    RESULTS_TOP1,
    RESULTS_REPLIES,
    RESULTS_VERDICT,
    RESULTS_COLUMNS,
    RESULTS_PLAN_ORDER = RESULTS_COLUMNS /* sorted by nothing: as the session ran */
};

struct results_row {
    int cell, arm;
    int64_t mark; /* changes with the arm's samples: what has not changed is not summed up again */
    bool has_summary;
    enum cell_status status; /* the arm's own, or its cell's */
    struct arm_summary summary;
};

struct results {
    struct results_row *row;             /* [n], cell by cell */
    int n, n_arms;                       /* arms of the preset: comparison's stride */
    struct summary_cache *cache;         /* what its figures come from */
    const struct comparison *comparison; /* the cache's; NULL: none yet */
    struct criterion_result criterion[SUMMARY_CRITERIA];
    int n_criteria;
    char sentence[640];
    unsigned quality; /* bit per worth_figure that stands beside the speed */
    bool has_text_rate;
    bool not_equivalent;                                  /* an arm is: the verdicts say so */
    bool same_model, same_workload, same_batch, same_seq; /* in every cell: told once, above the table */
    int model_width, arm_width;                           /* columns of the longest names, bounded */

    struct dashboard dashboard; /* of dashboard_cell; -1: none yet */
    int dashboard_cell;

    int *shown; /* [n_shown]: indices into row, filtered and sorted */
    int n_shown;
    enum results_column sort;
    bool reverse;
    char filter[64];
};

/* A step towards results_build, so that a large session does not hold up the keys: the share of its arms that
 * are summed up, 1: results_build will be quick. Nothing that r shows changes. */
double results_prepare(struct results *r, const struct session *s);
/* Brings r up to date with s; what is already there and unchanged is kept. r zeroed: all is made. Until
 * results_free s must be the same session, and may only grow. -1: no memory, r may be drawn and freed. */
int results_build(struct results *r, const struct session *s, struct error *e);
void results_free(struct results *r); /* keeps sort, reverse and filter, so that they outlive a session */
/* Filters and sorts again, after either changed. */
void results_arrange(struct results *r, const struct session *s);
/* Of a candidate that was compared; NULL else. */
const struct comparison *results_comparison(const struct results *r, const struct results_row *row);
/* The column says something in this session that is not the same in every row. */
bool results_has_column(const struct results *r, enum results_column column);
/* The text of one cell of the table; "" where there is nothing to say. */
enum { RESULTS_TEXT = 96 };
enum style results_text(const struct results *r, const struct session *s, const struct results_row *row,
                        enum results_column column, char out[RESULTS_TEXT]);
/* "out_of_memory: 27 GiB are needed, 24 are here" for a row without figures. */
void results_status_text(const struct session *s, const struct results_row *row, char *out, size_t size);
/* "gpt2-124m · decode · batch 4 · seq 128" */
void results_cell_name(const struct session *s, int cell, char *out, size_t size);
/* The same without what is common to all cells of the session: "batch 4 · seq 128". */
void results_short_name(const struct results *r, const struct session *s, int cell, char *out, size_t size);
/* The figures of the dashboard around a cell, made when first asked for; NULL: no memory, or nothing
 * measured. */
const struct dashboard *results_dashboard(struct results *r, const struct session *s, int cell);
/* Where row (cell, arm) stands among the shown; -1: it is filtered out. */
int results_find(const struct results *r, int cell, int arm);
