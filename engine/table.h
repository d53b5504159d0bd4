/* The parts of the results table that the HTML report has in common with it (export.h has the whole): the
 * same figures by the same rules in both. Pure; any thread. comparisons: as summary_comparisons gives them.
 * width: as columns_print's. Where memory runs out `out` has failed. */
#pragma once

#include "engine/columns.h"
#include "engine/session.h"
#include "engine/summary.h"

/* A row per cell and arm; the caller prints and frees it. */
struct columns *table_results(const struct session *s, const struct comparison *comparisons,
                              struct text *out);
/* NULL: the preset has none. */
struct columns *table_criteria(const struct session *s, struct text *out);
/* A cell by the coordinates that are not common to all: "batch 4, seq 128"; "" where there is but one cell.
 */
char *table_cell_words(const struct session *s, int cell, char *out, size_t size);
/* Those that are: " · gpt2-124m · decode". */
void table_common(const struct session *s, struct text *head);
/* One line each: what a reader must know about single arms (why there is no figure, what spoiled those that
 * are shown), how many samples a percentile needs, and why shares of the limit exceed it. */
void table_notes(const struct session *s, int width, struct text *out);
void table_percentile_note(const struct session *s, int width, struct text *out);
void table_limit_note(const struct session *s, int width, struct text *out);
