/* Inside of the engine: its state, and what its files share. Nobody else includes this.
 *
 * engine.c: the thread, its mailbox, the telling, start and end; engine_cells.c: the walk over the cells. */
#pragma once

#include "engine/device.h"
#include "engine/engine.h"
#include "engine/measure.h"
#include "engine/session_file.h"
#include "engine/telemetry.h"
#include <pthread.h>

struct engine {
    struct preset preset;
    struct device device;
    struct plan plan;
    const struct session *resume;
    int wake;
    bool realtime, fake;
    const char *program;

    struct log *log;
    struct session session; /* the worker's until it was joined */
    struct journal *journal;
    bool journal_failed;
    struct telemetry *telemetry;
    _Atomic(struct runner *)
        runner; /* once it is open; closed after the join, so that the clock stays readable */

    pthread_t thread;
    bool started, joined;
    _Atomic bool finished;

    /* the mailbox; the lock and the condition are for the pause alone */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic bool stop, skip, paused;
    _Atomic int more;
    _Atomic unsigned dropped; /* arms of the current cell, bits */

    int64_t deadline_ns;            /* of the run, by its time budget; 0: none. Worker only, as all below */
    int64_t spend_end_ns;           /* when the time budget that is spent to the full is over; 0: none */
    double measured_s, predicted_s; /* of the cells done: how far predictions hold */
    double planned_left_s;          /* predicted for the cells after the current one */
    _Atomic int64_t finish_ns;      /* when the run will be done at the latest; INT64_MAX: not known */
};

/* Folds into the session, appends to the log and, where it is a fact, to the journal. */
void engine_tell(void *who, const struct log_entry *entry, size_t payload_size);
void engine_tell_plain(struct engine *g, enum log_kind kind, int cell, double value, const char *text,
                       const void *payload, size_t size);
void engine_message(struct engine *g, const char *text);
/* What a cell may ask of the engine, and two of it that the walk asks itself. */
struct measure_host engine_host(struct engine *g);
enum measure_order engine_host_order(void *who);
int64_t engine_host_pause(void *who);

/* Every cell in plan order, then what is left of the time budget on those that need it. */
void engine_run_cells(struct engine *g, struct runner *runner);
