/* What others may tell and ask the Results screen. UI thread only. */
#pragma once

#include "tui/app.h"
#include "tui/results.h"

/* Figures that a job worked out for a->session, which was shown just now: taken (moved out of *made), so that
 * opening a large session never holds up the screen. */
void view_results_take(struct app *a, struct results *made);
/* The row under the cursor; false: none. */
bool view_results_selected(const struct app *a, int *cell, int *arm);
