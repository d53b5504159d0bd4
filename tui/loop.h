/* The event loop: waits for keys, signals and the engine, lets the application change, draws at most 20 times
 * a second. The engine is never waited for. UI thread (main) only. */
#pragma once

#include "presets/error.h"
#include "tui/app.h"
#include "tui/screen.h"

/* Blocks every signal but the fatal ones, in this thread and all it will create: before any other thread
 * exists. The loop reads them from a descriptor. */
void loop_block_signals(void);

/* Until the user quits. 0: by their own wish; 130: interrupted (Ctrl-C, SIGTERM, SIGHUP, a lost terminal);
 * -1: the terminal cannot (nothing was drawn). A run is stopped and saved and the terminal given back before
 * it returns; a->engine, a->session are still there for the caller's last table. */
int loop_run(struct app *a, const struct screen_options *o, struct error *e);
