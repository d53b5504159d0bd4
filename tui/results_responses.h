/* The responses picture of Results: what the arms of a cell answered to each prompt, side by side where there
 * is room, else one under the other; lengths, and where a candidate parts from the baseline, marked by a
 * sign. */
#pragma once

#include "tui/results.h"

/* Does any arm of the cell have responses? */
bool results_responses_has(const struct session *s, int cell);
/* Draws the lines from `top` on; returns how many there are in all. */
int results_responses_draw(struct grid *g, struct rect r, int top, const struct session *s, int cell);
