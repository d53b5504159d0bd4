/* The vocabulary that a model's text is cut by: that of its GGUF file, or the catalog's under
 * model_spec.vocabulary (presets/vocabularies), as it is or adapted to a kind of text (engine/model/patch.h).
 * Token ids are rows of the model's embedding.
 *
 * A model may have more rows than its vocabulary has tokens (publishers pad to a round number): no text is
 * encoded to such an id, and one that a model picks decodes to nothing. An adapted vocabulary leaves such
 * rows out. A model with fewer rows than tokens is refused.
 *
 * Opened once, then read by any number of threads. */
#pragma once

#include "engine/model/tokenizer.h"
#include "presets/model_spec.h"

struct vocabulary;

enum { VOCABULARY_PARTS = 8 }; /* rows that one may stand for, at most */

/* What is to be said, wherever it is shown, of output by an adapted vocabulary. */
extern const char vocabulary_not_equivalent[]; /* "output not equivalent (embeddings not fine-tuned)" */

bool vocabulary_is_standard(const char *adapted); /* NULL, "" or "standard" */

/* Whether a model names a vocabulary at all; else USAGE, with what to do. Reads no file. */
int vocabulary_named(const struct model_spec *m, struct error *e);
/* adapted: "standard" (or NULL, ""), or the name or path of a file that `benchtop vocab build` wrote. NULL:
 * USAGE (no such name, a model that names none), FAILED (damaged, or built for another vocabulary),
 * UNSUPPORTED, MEMORY. */
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
/* The tokenizer that a word means: a GGUF file, a vocabulary of the catalog, or the vocabulary of a model.
 * Its name ("gpt-2") goes into name. Fails as vocabulary_open. */
struct tokenizer *vocabulary_tokenizer(const char *word, char *name, size_t size, struct error *e);

int vocabulary_size(const struct vocabulary *v);         /* rows of the embedding, padding counted */
const char *vocabulary_kind(const struct vocabulary *v); /* "gpt2, gpt-2" */
/* NULL for the standard vocabulary, else vocabulary_not_equivalent. */
const char *vocabulary_label(const struct vocabulary *v);
/* The rows of the model's own embedding that row `id` stands for, in the order of the text: itself alone
 * where the vocabulary is standard (then *part is id's own place in a list that lives as long as v). */
int vocabulary_parts(const struct vocabulary *v, int32_t id, const int32_t **part);
/* Bytes of text per token, what turns tokens per second into text per second: of text, without special
 * tokens. A text without tokens: 0. -1: MEMORY. */
int vocabulary_bytes_per_token(const struct vocabulary *v, const char *text, size_t n, double *out,
                               struct error *e);

/* The model as it runs with that vocabulary: its rows, and a head of its own where they differ from the
 * embedding's. Remembers files it has seen, so that it may be asked at every key press. Fails as
 * vocabulary_open does, *out untouched; m and out may be the same. */
int vocabulary_model(const struct model_spec *m, const char *adapted, struct model_spec *out,
                     struct error *e);
