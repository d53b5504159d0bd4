/* What each key-value cache of a comparison holds per sequence, beside its speed: one table, where the arms
 * of a cell differ in their caches and were measured. For the results table and the Markdown report. */
#pragma once

#include "engine/session.h"
#include "engine/summary.h"
#include "engine/text.h"

/* Bytes per sequence. */
struct cache_bytes {
    int64_t used;       /* that hold tokens */
    int64_t held;       /* in blocks or pages that no other sequence can have */
    int64_t reserved;   /* of the pool, or of address space */
    int64_t contiguous; /* that a contiguous cache of the same sequences at capacity holds */
};
/* false: this arm tells none. */
bool cache_bytes_of(const struct session_cell *cell, const struct session_arm *arm, struct cache_bytes *out);
/* comparisons: as summary_comparisons gives them. Appends nothing where no two arms of a cell differ in what
 * keeps their keys and values. width: as columns_print's; markdown has none. */
void cache_table_print(const struct session *s, const struct comparison *comparisons, bool markdown,
                       int width, struct text *out);
