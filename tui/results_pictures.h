/* The pictures of Results: speed-up over the sweep, memory, roofline, criteria; each of the cell and arm of
 * one row. They draw into a rect and say in words what is missing. UI thread only. */
#pragma once

#include "tui/results.h"

void results_speedup_draw(struct grid *g, struct rect r, const struct results *results,
                          const struct session *s, const struct results_row *row);
void results_memory_draw(struct grid *g, struct rect r, const struct session *s,
                         const struct results_row *row);
void results_roofline_draw(struct grid *g, struct rect r, const struct results *results,
                           const struct session *s, const struct results_row *row);
void results_criteria_draw(struct grid *g, struct rect r, const struct results *results,
                           const struct session *s);
/* "fused, decode of gpt2-124m": what the speed-up picture shows for this row. */
void results_speedup_title(const struct session *s, const struct results_row *row, char *out, size_t size);
/* The row one step along the batch (dx) or sequence (dy) axis of the speed-up picture; the same where there
 * is none. Returns an index into results->row. */
int results_speedup_step(const struct results *results, const struct session *s, int from, int dx, int dy);
