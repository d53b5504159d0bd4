/* The worker thread: takes a preset, walks its cells, measures, and tells everything through the log.
 * The TUI and the headless command drive this same door; nothing else starts a run. */
#pragma once

#include "engine/log.h"
#include "engine/plan.h"
#include "presets/error.h"

struct engine_options {
    const struct preset *preset; /* copied */
    const struct session
        *resume; /* what is complete in it is kept, not run again; NULL: fresh. Must outlive the engine */
    const char
        *session_path;     /* where the session goes; NULL: the sessions folder, named by time and preset */
    const char *argv_json; /* for the record; NULL: "[]" */
    int wake_fd;           /* eventfd that each log entry signals; -1: none */
    bool realtime;         /* the fake runner sleeps */
    const char *program;   /* what a strict run starts for each block; NULL: this executable */
};

enum engine_command {
    ENGINE_PAUSE,
    ENGINE_CONTINUE,
    ENGINE_STOP, /* keep what was measured */
    ENGINE_SKIP_CELL,
    ENGINE_MORE_ROUNDS /* 10 more for the current cell */
};

struct engine;

/* Plans, validates, opens the journal beside the session's path, starts the thread. NULL: nothing was
 * started. */
struct engine *engine_start(const struct engine_options *o, struct error *e);
/* Any thread. PAUSE and CONTINUE: the last one wins; STOP stays; MORE_ROUNDS add up. Heard between samples.
 */
void engine_command(struct engine *g, enum engine_command c);
/* Any thread: the current cell goes on without this arm after the round in flight; what it measured stands,
 * without a verdict. The baseline (arm 0) cannot be dropped. */
void engine_drop_arm(struct engine *g, int arm);
const struct log *engine_log(const struct engine *g);
const struct preset *engine_preset(const struct engine *g);
const struct plan *engine_plan(const struct engine *g);
const char *engine_session_path(const struct engine *g);
bool engine_running(const struct engine *g);
int64_t engine_now_ns(const struct engine *g); /* the runner's clock, for elapsed and ETA */
double engine_eta_s(
    const struct engine *g); /* upper bound of what is left, by what was measured so far; NAN unknown */
int engine_telemetry(const struct engine *g, struct block_telemetry *out, int64_t *time_ns,
                     int max);      /* newest readings */
void engine_join(struct engine *g); /* waits for the end */
const struct session *
engine_session(const struct engine *g); /* after the end: the whole session, owned by the engine */
void engine_free(struct engine *g);     /* stops, joins, releases; NULL is fine. Blocks die with it */
