/* One cell: prepare its arms, warm each, hold their outputs against the baseline's, take rounds of blocks
 * until the stop rule says so. Speaks to the runner below and to its host above; knows no thread, no file and
 * no device. Worker thread only. */
#pragma once

#include "engine/log.h"
#include "engine/plan.h"
#include "engine/runners/runner.h"

enum measure_order { MEASURE_GO, MEASURE_STOP, MEASURE_SKIP };

/* What the worker gives a cell. All members are set. */
struct measure_host {
    void *who;
    enum measure_order (*order)(void *who); /* at once; called between samples */
    int64_t (*pause)(void *who);    /* returns when there is no pause; runner nanoseconds spent waiting */
    int (*more_rounds)(void *who);  /* asked for since the last call */
    unsigned (*dropped)(void *who); /* arms (bits) that the user dropped from this cell since the last call */
    /* Appends to the log and folds into `session`; payload_size as in log_append. */
    void (*tell)(void *who, const struct log_entry *entry, size_t payload_size);
    struct block_telemetry (*telemetry)(void *who, int64_t from_ns, int64_t to_ns); /* CLOCK_MONOTONIC */
    void (*left)(void *who, double seconds); /* upper bound of what is left of this cell */
};

struct measure_cell {
    struct runner *runner;
    const struct preset *preset;
    const struct model_spec *model;
    const struct plan_cell *plan;  /* support, samples per block, predictions */
    const struct session *session; /* written through tell alone */
    int cell;
    const char *refused[PRESET_ARMS]; /* why an arm is out of memory without being tried; NULL: try it */
    int64_t share_ns;                 /* runner clock: behind it the cell ends at the next round; 0: none */
    int64_t deadline_ns;              /* runner clock: behind it the cell ends at the next sample; 0: none */
    /* A visit to a cell that has rounds already (engine/spend): they go on from first_round for visit_rounds
     * at most, until `goal` is reached or share_ns is over. The arms are prepared and warmed again, what was
     * told of them stands; outputs are not compared again. first_round 0: the cell is new. */
    int first_round, visit_rounds, visit; /* visit: a number of its own, 0 for the first */
    double goal;
};

/* Where no sample completes for this long (and 100 times the prediction), the arm hangs. */
#define MEASURE_WATCHDOG_S 1800.0
/* How long the samples of one block take together, if the number is left to the engine. */
#define MEASURE_BLOCK_S 0.3
/* A block whose clock is below this share of the highest seen in its cell was throttled (nvbench's rule). */
#define MEASURE_THROTTLED_CLOCK 0.75
enum { MEASURE_SAMPLES_MAX = 256 };

/* Fills status, reason, stop_rule and rounds_planned of out; the rest was told. Never fails: what goes wrong
 * is the cell's status. Everything prepared is released. */
void measure_cell(const struct measure_cell *m, const struct measure_host *host, struct session_cell *out);
