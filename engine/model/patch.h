/* The PatchTokenizer of an adapted vocabulary (Nakash et al. 2025, AdaptiVocab: arXiv 2503.19693): ids of the
 * base vocabulary become ids of the adapted one, and back. Removed tokens are taken apart by their merges
 * into kept ones; then, from left to right, the n-gram that stands first in the file's order of all that
 * begin at a place becomes one token. Kept tokens are numbered in the base's order, n-grams after them.
 *
 * Linear in the ids: a walk of at most VOCABULARY_NGRAM_MAX steps down a tree at every place. Knows ids
 * alone, no text. Opened once, then read by any number of threads. */
#pragma once

#include "engine/model/tokenizer.h"
#include "presets/vocabulary_file.h"

struct patch;

/* Copies what it needs of both. NULL: FAILED (the file is for another vocabulary, or removes a token that no
 * merge makes), MEMORY. name is for messages. */
struct patch *patch_open(const struct vocabulary_file *f, const struct tokenizer *base, const char *name,
                         struct error *e);
void patch_free(struct patch *p); /* NULL is fine */

/* Appends. Ids outside the base vocabulary are an error, and nothing is appended. -1: FAILED, MEMORY. */
int patch_encode(const struct patch *p, const int32_t *base, size_t n, struct token_ids *out,
                 struct error *e);
int patch_decode(const struct patch *p, const int32_t *id, size_t n, struct token_ids *base, struct error *e);

int patch_size(const struct patch *p);                    /* ids are 0 .. size - 1 */
int32_t patch_token(const struct patch *p, int32_t base); /* of a kept token; -1: removed, or none */
int patch_kept(const struct patch *p);                    /* the n-grams' ids begin here */
/* The base ids that id stands for: one for a kept token, 2 .. VOCABULARY_NGRAM_MAX for an n-gram. */
int patch_parts(const struct patch *p, int32_t id, const int32_t **part);
