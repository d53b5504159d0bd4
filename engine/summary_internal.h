/* Inside of summary: what its files share. Nobody else includes this. */
#pragma once

#include "engine/summary.h"

/* The sentence from verdict, interval and reason. */
void summary_write_sentence(struct comparison *c, const struct summary_case *k);
