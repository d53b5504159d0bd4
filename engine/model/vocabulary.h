/* The vocabulary that a model's text is cut by: that of its GGUF file, or the catalog's under
 * model_spec.vocabulary (presets/vocabularies). Token ids are rows of the model's embedding. Knows no
 * weights.
 *
 * A model may have more rows than its vocabulary has tokens (publishers pad to a round number): no text is
 * encoded to such an id, and one that a model picks decodes to nothing. A model with fewer rows is refused.
 *
 * Opened once, then read by any number of threads. */
#pragma once

#include "engine/model/tokenizer.h"
#include "presets/model_spec.h"

struct vocabulary;

/* adapted: "standard" (or NULL, ""). NULL: USAGE (no such name, a model that names none), FAILED (damaged, or
 * not this model's), UNSUPPORTED, MEMORY. */
struct vocabulary *vocabulary_open(const struct model_spec *m, const char *adapted, struct error *e);
void vocabulary_free(struct vocabulary *v); /* NULL is fine */

/* As tokenizer_encode: appends, text may be any bytes. */
int vocabulary_encode(const struct vocabulary *v, const char *text, size_t n, bool special,
                      struct token_ids *out, struct error *e);
/* As tokenizer_decode; caller frees. NULL: an id outside vocabulary_size, MEMORY. */
char *vocabulary_decode(const struct vocabulary *v, const int32_t *id, size_t n, size_t *size,
                        struct error *e);

/* What stands before every text, and what ends one; -1: nothing. */
int32_t vocabulary_begin(const struct vocabulary *v);
int32_t vocabulary_end(const struct vocabulary *v);
int vocabulary_size(const struct vocabulary *v);         /* rows of the embedding, padding counted */
const char *vocabulary_kind(const struct vocabulary *v); /* "gpt2, gpt-2" */
