/* When an arm is warm: a judgment over its samples so far. Pure; takes no samples itself.
 *
 * Steady means: at least `minimum` samples, and ten unless they took WARMUP_LONG_S; the level of the last
 * half (3 to 32 samples, the first pass never among them) without a slope, statistically (ordinary least
 * squares) or for practical purposes; from forty samples on also MSER-5 (White 1997) finding its optimum with
 * as many samples after it as before. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define WARMUP_LONG_S 1.0 /* an arm that was warmed this long need not take ten samples */

/* ms: times of the samples since prepare, milliseconds. *drop: how many belong to the transient (1 if it
 * cannot be told: the first pass). */
bool warmup_steady(const double *ms, size_t n, size_t minimum, size_t *drop);
