/* Inside of summary: what its files share. Nobody else includes this. */
#pragma once

#include "engine/summary.h"

/* The sentence from verdict, interval and reason. */
void summary_write_sentence(struct comparison *c, const struct summary_case *k);

/* The criteria of a preset on figures that are there already; arm_of gives an arm's summary, in room or its
 * own.
 */
typedef const struct arm_summary *summary_arm_source(void *who, const struct session *s, int cell, int arm,
                                                     struct arm_summary *room);
int summary_judge_criteria(const struct session *s, const struct comparison *comparisons,
                           summary_arm_source *arm_of, void *who,
                           struct criterion_result out[SUMMARY_CRITERIA]);

enum { SUMMARY_REFUSAL = 128 };
/* One pair before the family. k->differs points to `differs`, which must outlive it; names point into s. -1:
 * an arm has no complete block; SUMMARY_NO_MEMORY. */
int summary_compare_pair(const struct session *s, int cell, int baseline, int candidate, struct comparison *c,
                         struct summary_case *k, char differs[SUMMARY_REFUSAL]);
