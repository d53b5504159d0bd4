/* Builds an adapted vocabulary from a text (AdaptiVocab: Nakash et al. 2025, arXiv 2503.19693, algorithm 1):
 *
 * 1. Tokens that a merge makes and that are plain text may go: those the text never needs first, the longest
 *    ahead, then the least frequent. The text is then tokenized again without them.
 * 2. All n-grams of 2 .. max_ngram tokens are counted, without those that hold digits alone, parts of
 *    characters, no-break spaces or tokens that are no text; within_words: nor those that cross the beginning
 *    of a word. The most frequent 5 x vocabulary are looked at.
 * 3. The n-gram of the largest frequency x length is added, and whatever overlaps it loses that occurrence,
 *    until `add` are found or the best is rarer than min_frequency. Occurrences are taken away where they
 * stand in the text; the published code subtracts the overlaps that it counted before for every pair.
 *
 * Deterministic. Pure of files; any thread. */
#pragma once

#include "engine/model/tokenizer.h"
#include "presets/vocabulary_file.h"

struct adapt_options {
    int remove, add;   /* at most that many, 0 .. */
    int max_ngram;     /* 2 .. VOCABULARY_NGRAM_MAX */
    int min_frequency; /* 1 .. */
    bool within_words;
};

/* Fills removed, added, fingerprint, base_tokens, text_bytes, both token counts and the options; names are
 * the caller's, who frees with vocabulary_file_free. -1: USAGE (options, a text too short), UNSUPPORTED (a
 * WordPiece vocabulary), MEMORY; *out is then untouched. */
int adapt_build(const struct tokenizer *t, const char *text, size_t n, const struct adapt_options *o,
                struct vocabulary_file *out, struct error *e);
