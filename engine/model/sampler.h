/* Choosing a token from logits on the host: temperature, then the top_k likeliest, then of these the fewest
 * likeliest that hold top_p of the probability (Holtzman et al. 2020), then a draw by what is left. */
#pragma once

#include "engine/random.h"
#include "presets/error.h"
#include "presets/preset.h"
#include <stdint.h>

struct sampler;

bool sampler_is_greedy(const struct preset_sampling *s); /* temperature 0 */
/* For rows of n logits. NULL: MEMORY. */
struct sampler *sampler_new(const struct preset_sampling *s, int n, struct error *e);
void sampler_free(struct sampler *s); /* NULL is fine */
/* Allocates nothing. Logits that are not finite are never chosen. One thread at a time. */
int32_t sampler_choose(struct sampler *s, const float *logits, struct random *g);
