/* Everything known of one row of Results, in words: statistics, both tests, output check, memory, warm-up,
 * device, implementation. Draws into a grid. UI thread only. */
#pragma once

#include "tui/results.h"

/* top: the first line shown; returns how many lines there are at this width, so that the caller can bound it.
 * Cell and arm are told by the caller, in a title. */
int results_details_draw(struct grid *g, struct rect r, int top, const struct results *results,
                         const struct session *s, const struct results_row *row);
