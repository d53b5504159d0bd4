/* Balanced random orders of the arms within rounds. A pure function of seed, cell and round: a run that is
 * extended or resumed has the same orders. Knows nothing of runners, time or results.
 *
 * Rounds come in groups: a Williams (1949) Latin square of the arms (two squares where their number is odd)
 * with shuffled labels and shuffled rows. Over a group each arm stands at each position equally often, and
 * each ordered pair of arms is adjacent equally often. Two arms give ABBA or BAAB at random. */
#pragma once

#include <stdint.h>

enum { SCHEDULE_ARMS_MAX = 16 };

int schedule_group(
    int arms); /* rounds after which the balance is exact: arms, or 2 x arms where odd; 1 for 1 */
/* order[position] = arm, a permutation of 0..arms-1. arms: 1..SCHEDULE_ARMS_MAX. */
void schedule_round(uint64_t seed, int cell, int arms, int round, int order[]);
