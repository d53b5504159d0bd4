/* The picture of a history: mean and interval of one arm in one cell, session by session, and where it
 * changed. UI thread only. */
#pragma once

#include "engine/history.h"
#include "tui/grid.h"

/* j: what history_judge said of the key, NULL: not judged. session_id: the one to mark ("" none). */
void trend_draw(struct grid *g, struct rect r, const struct history *t, int key,
                const struct history_judgement *j, const char *session_id);
