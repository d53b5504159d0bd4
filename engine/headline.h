/* What a person would say of a whole session in one sentence: which arm is faster than the baseline, by how
 * much and in how many cells, and what is missing. The Results screen and the HTML report say the same. Any
 * thread that may read the session; the cache is its caller's. */
#pragma once

#include "engine/summary_cache.h"

/* comparison: summary_cache_comparisons of the same session; NULL: none yet. Writes at most `size` bytes. */
void headline_print(const struct session *s, struct summary_cache *cache, const struct comparison *comparison,
                    char *out, size_t size);
