/* The dashboard picture of Results: tokens, KV cache and performance as bars, arm under arm, and an overview
 * of every figure with its change. One sheet of lines; where there is room the overview stands beside the
 * bars. */
#pragma once

#include "engine/dashboard.h"
#include "tui/results.h"

/* Draws the lines from `top` on; returns how many there are in all. d NULL: nothing was measured. */
int results_dashboard_draw(struct grid *g, struct rect r, int top, const struct session *s, int cell,
                           const struct dashboard *d);
