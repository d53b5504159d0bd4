/* What a run may keep of an earlier session of the same preset: whole cells, with every sample. */
#pragma once

#include "engine/session.h"

/* Same model, workload and tokens: cells that differ in batch and sequence alone. */
bool resume_same_row(const struct session_cell *a, const struct session_cell *b);
/* The cell of `old` that was measured to its end and asks for the same: point of the sweep, arms, their
 * implementations. NULL: none. */
const struct session_cell *resume_find(const struct session *old, const struct session_cell *cell);
/* A closed block of its own, as block `cell` of another session. */
struct block *resume_copy_block(const struct block *b, int cell, struct error *e);
