/* Rotary position tables (Su et al. 2021) with the scaling rule of Llama 3.1: the model's share of what the
 * kernels' rope needs. Pure functions. */
#pragma once

#include "presets/model_spec.h"

/* Angular frequency of each of the rotary_dims / 2 pairs, scaling applied. */
void rope_frequencies(const struct model_spec *m, double *out);
/* cos, sin of every pair: out is [positions, rotary_dims / 2, 2]; angles are formed in double. */
void rope_table(const struct model_spec *m, int positions, float *out);
