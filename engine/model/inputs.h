/* What an arm is fed: the ids of a text in its vocabulary, or without a text seeded random ids. The same
 * request gives the same ids, so that arms of one vocabulary can be compared row by row. */
#pragma once

#include "engine/model/text_file.h"
#include "engine/model/vocabulary.h"
#include "engine/quality.h"

struct inputs_request {
    const struct model_spec *model;
    const char *vocabulary; /* of the arm; NULL: standard */
    const char *text;       /* NULL, "": seeded */
    enum text_unit texts;
    uint64_t seed;
    int rows; /* of the arm's embedding: random ids stay below; 0: the model's */
};
struct inputs;
/* NULL: as vocabulary_open and text_file_open. */
struct inputs *inputs_open(const struct inputs_request *q, struct error *e);
void inputs_free(struct inputs *in); /* NULL is fine */

const char *inputs_source(const struct inputs *in); /* "tinyshakespeare", "seeded random ids" */
const struct vocabulary *inputs_vocabulary(const struct inputs *in); /* NULL: seeded */
const struct text_file *inputs_text(const struct inputs *in);        /* NULL: seeded */

/* n seeded ids below `rows`. */
void inputs_random(uint64_t seed, int64_t n, int rows, int32_t *out);
/* Of ids, going on from `hash` (engine/hash.h). */
uint64_t inputs_hash(uint64_t hash, const int32_t *ids, int64_t n);

/* `sequences` windows of `length` ids each, the first being window `first` of the text (or of the random
 * ids), one after another; past the text's last whole window it begins again, and a text shorter than one
 * window is repeated to fill it. A window of a text begins with the token that stands before every text,
 * where there is one: it replaces the window's own first (llama.cpp's perplexity does so). */
int inputs_windows(struct inputs *in, int64_t first, int sequences, int length, int32_t *out,
                   struct error *e);
/* Whole windows of the text, looking no further than `most`; seeded: `most`. -1: MEMORY. */
int64_t inputs_count(struct inputs *in, int length, int64_t most, struct error *e);
/* Ids of the text, looking no further than `most`. -1: MEMORY. */
int64_t inputs_tokens(struct inputs *in, int64_t most, struct error *e);
/* Prompts, each of at most `length` ids, packed into out [sequences * length]: lines as long as they are,
 * the first again where the file has fewer; of a document or of random ids the windows above. */
int inputs_prompts(struct inputs *in, int sequences, int length, int32_t *out, int *lengths, struct error *e);
/* The text's size in the arm's tokens and, where its vocabulary is another, in the model's own; no special
 * tokens. whole: all of it, else its first 2 MiB. */
int inputs_figures(struct inputs *in, bool whole, struct text_figures *out, struct error *e);
