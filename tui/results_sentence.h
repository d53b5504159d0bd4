/* What a person would say of a whole session in one sentence: which arm is faster than the baseline, by how
 * much and in how many cells, and what is missing. Pure; any thread that may read the session. */
#pragma once

#include "tui/results.h"

/* r: summaries and comparisons are up to date. */
void results_sentence(const struct results *r, const struct session *s, char *out, size_t size);
