/* Rotary position tables (Su et al. 2021) with the scaling rule of Llama 3.1, or all frequencies by one
 * factor (Chen et al. 2023, position interpolation): the model's share of what the kernels' rope needs. Pure
 * functions.
 *
 * Scaling divides the frequency of each pair by a factor that is rounded to fp32, because that is how files
 * publish it (tensor rope_freqs.weight): a model computes the same before and after it was written. factors:
 * [rotary_dims / 2] of a file, or NULL: by the model's rule. */
#pragma once

#include "presets/model_spec.h"

float rope_factor(const struct model_spec *m, int pair); /* by the rule; 1: not scaled */
/* Angular frequency of each of the rotary_dims / 2 pairs, scaling applied. */
void rope_frequencies(const struct model_spec *m, const float *factors, double *out);
/* cos, sin of every pair: out is [positions, rotary_dims / 2, 2]; angles are formed in double. */
void rope_table(const struct model_spec *m, const float *factors, int positions, float *out);
