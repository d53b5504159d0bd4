/* Inside of measure: the state of one cell's run, and what its files share. Nobody else includes this.
 *
 * measure.c: the cell from prepare to release; measure_worth.c: quality and responses; measure_warmup.c: an
 * arm until it is steady; measure_rounds.c: blocks, rounds and their end. */
#pragma once

#include "engine/measure.h"

enum measure_why {
    MEASURE_WHY_NONE,
    MEASURE_WHY_STOP,
    MEASURE_WHY_SKIP,
    MEASURE_WHY_BUDGET,
    MEASURE_WHY_HUNG
};

struct measure_run {
    const struct measure_cell *m;
    const struct measure_host *host;
    struct session_cell *out;
    struct runner_watch watch;
    struct runner_arm *arm[PRESET_ARMS];
    bool active[PRESET_ARMS]; /* prepared and not failed since */
    struct sample *warmup[PRESET_ARMS];
    int n_warmup[PRESET_ARMS];
    bool unsteady[PRESET_ARMS];
    bool again;                   /* the warm-up of an arm that was warm before: the facts told of it stand */
    double sample_s[PRESET_ARMS]; /* mean of the later half of the warm-up */
    double *mean[PRESET_ARMS];    /* block means by round, NAN: none */
    double *scratch;
    int rounds_capacity;
    int samples_per_block;
    int64_t share_ns, deadline_ns, alive_ns; /* alive: when something last moved */
    double watchdog_s;
    enum measure_why why;
    char lost[160]; /* a visit: why an arm could not be had again */
    char phase[32];
    double fraction;
    double clock_max;
};

int64_t measure_now(const struct measure_run *r);
void measure_tell(struct measure_run *r, enum log_kind kind, int arm, double value, const char *text,
                  const void *payload, size_t size);
const struct session_arm *measure_known(const struct measure_run *r, int arm);
void measure_tell_arm(struct measure_run *r, int arm, struct session_arm *facts);
void measure_phase(struct measure_run *r, int arm, const char *what, double fraction);
/* Between samples and blocks: waits while paused, the time of which no budget pays. */
enum measure_why measure_checkpoint(struct measure_run *r);
enum cell_status measure_status_of(enum error_kind kind);
/* The arm is out, its cell goes on without it. */
void measure_drop_arm(struct measure_run *r, int arm, enum cell_status status, const char *reason);

/* 0, or -1: the arm failed and was dropped, or r->why says what else. */
int measure_warm_arm(struct measure_run *r, int arm);

/* measure_worth.c: texts in tokens; quality where the workload is quality or arms may differ in it; responses
 * of generations. Arms are left somewhere else than at their start: a block resets. */
void measure_worth(struct measure_run *r);

/* One number for all arms of the cell, so that decode reads the same positions in every block. */
void measure_choose_samples(struct measure_run *r);
/* Rounds in balanced random order until the rule says stop; fills r->out. */
void measure_rounds(struct measure_run *r);
/* A visit: what the session has of this cell, for the rounds to go on from. -1: no memory, r->out says so. */
int measure_recall(struct measure_run *r);
/* A visit that could not begin leaves the cell as it was. */
void measure_abandon(struct measure_run *r);
/* Something other than the stop rule ended the cell after `rounds` whole rounds. */
void measure_end_early(struct measure_run *r, int rounds);
