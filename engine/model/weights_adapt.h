/* The embedding and the head of an adapted vocabulary, made from those of a model's own (AdaptiVocab: Nakash
 * et al. 2025, section 3.3): a kept token keeps its rows; the row of an n-gram of n tokens is
 *
 *   embedding: sum w_i e_i, w_i ~ 0.5^(n-1-i)   the last token weighs most
 *   head:      sum w_i h_i, w_i ~ 0.5^i         the first token, which is predicted next, weighs most
 *
 * with weights that sum up to 1. The two differ, so that a model whose head was its embedding gets a head of
 * its own. Without fine-tuning such rows are a start, not a model's output. */
#pragma once

#include "engine/model/weights.h"

/* Replaces embedding, head and the head's bias of w, in the types they have, on any backend; w->bytes
 * follows. q is what w is made for. cancelled(who) may be NULL. -1: as vocabulary_open, MEMORY, CANCELLED; w
 * is then as it was. */
int weights_adapt(struct weights *w, const struct weights_request *q, bool (*cancelled)(void *), void *who,
                  struct error *e);
void weights_adapt_drop(struct weights *w); /* frees what weights_adapt made; w without it is fine */
