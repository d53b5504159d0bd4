/* The whole picture: tabs, the current view, a job's line, the status line, a dialog on top. app_draw() of
 * tui/app.h is defined here; this header holds what tests need of its parts. UI thread only. */
#pragma once

#include "tui/app.h"

/* The status line: actions that mean something now, by importance from the left; "? help" at the right end
 * is never dropped. */
void app_draw_status(const struct app *a, struct grid *g, struct rect r);
