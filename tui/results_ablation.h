/* The picture of an ablation in Results: what each factor gains alone and with the others, as bars around "no
 * effect", and the sentences a person would say. UI thread only. */
#pragma once

#include "engine/session.h"
#include "tui/grid.h"

void results_ablation_draw(struct grid *g, struct rect r, const struct session *s, int cell);
