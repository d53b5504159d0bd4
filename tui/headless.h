/* A run without the interface: starts the engine, follows its log, tells progress on standard error, and
 * obeys signals. Main thread only. */
#pragma once

#include "engine/engine.h"
#include "tui/prepare.h"

struct headless_options {
    const struct prepared *prepared;
    const struct session *resume; /* NULL: fresh */
    const char *path;             /* NULL: the sessions folder */
    const char *argv_json;
    bool quiet, realtime;
};
struct headless_result {
    struct engine *engine; /* ended, owned by the caller; NULL: nothing was started */
    bool interrupted;      /* by a signal: the partial session was saved like a whole one */
    bool saved;            /* the session's file was written */
    char why[256];         /* where it was not */
};

/* Before any thread exists: INT, TERM and HUP (unless ignored, as under nohup) come to headless_run alone. */
void headless_block_signals(void);
/* -1: the engine would not start. A second INT, TERM or HUP leaves the program at once (exit 130) with the
 * journal on disk. */
int headless_run(const struct headless_options *o, struct headless_result *result, struct error *e);
