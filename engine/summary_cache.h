/* All figures of a session that grows, at the price of what is new: an arm or a pair is summed up again only
 * when a block of it was completed, its rounds or its output judged anew; the family (Holm) is cheap and made
 * every time. Gives exactly what summary_arm and summary_comparisons give. One thread at a time; the session
 * must be the same one in every call, and must not shrink. */
#pragma once

#include "engine/summary.h"

struct summary_cache;
struct summary_cache *summary_cache_new(void); /* NULL: no memory */
void summary_cache_free(struct summary_cache *c);
/* A step of the work, for a thread that must not be away for long: sums up at most `most` arms and pairs that
 * are not up to date. The share that is done, 1: the functions below have nothing of it left to do. -1: no
 * memory. */
double summary_cache_step(struct summary_cache *c, const struct session *s, int most);
/* out[cell * n_arms + arm], as from summary_comparisons, valid until the next call; NULL after an error. */
const struct comparison *summary_cache_comparisons(struct summary_cache *c, const struct session *s,
                                                   struct error *e);
/* What summary_criteria says, at the price of what is new. */
int summary_cache_criteria(struct summary_cache *c, const struct session *s,
                           struct criterion_result out[SUMMARY_CRITERIA]);
/* NULL: the arm has no samples in complete blocks (summary_arm also sums up a block that is being filled).
 * Valid until the next call. */
const struct arm_summary *summary_cache_arm(struct summary_cache *c, const struct session *s, int cell,
                                            int arm);
