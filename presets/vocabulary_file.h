/* Adapted vocabularies as files ("benchtop/vocabulary/1"): which tokens of a base vocabulary are gone and
 * which n-grams of the others were added, in the order in which they are tried. What the numbers mean for a
 * text is engine/model/patch's job; here they are read, checked on their own and written.
 *
 * Files are not believed: ids are bounded by base_tokens, lists by each other, every n-gram is of tokens that
 * are kept and stands once. */
#pragma once

#include "presets/error.h"
#include <stdbool.h>
#include <stdint.h>

enum { VOCABULARY_NGRAM_MAX = 8 };

struct vocabulary_file {
    char name[64];           /* of the file when it was written, for people */
    char base[64];           /* base vocabulary, for people: "gpt-2" */
    uint64_t fingerprint;    /* of the base vocabulary: tokens and merges */
    int base_tokens;         /* 2 .. 2^22 */
    char text[128];          /* what it was built from, for people */
    int64_t text_bytes;      /* of that text */
    int64_t standard_tokens; /* of that text, by the base vocabulary */
    int64_t adapted_tokens;  /* of that text, by this one */
    int min_frequency;
    bool within_words; /* no n-gram crosses the beginning of a word */
    int32_t *removed;  /* ascending ids of the base */
    int n_removed;
    int8_t *length; /* of each n-gram, 2 .. VOCABULARY_NGRAM_MAX tokens */
    int n_added;
    int32_t *part; /* the n-grams' base ids, one n-gram after the other */
    int n_parts;
};

/* -1: what is wrong with which key; *out is then untouched. Unknown keys are named in warning (may be NULL).
 */
int vocabulary_file_load(const char *path, struct vocabulary_file *out, struct error *warning,
                         struct error *e);
/* The same on bytes; name is for messages. For tests and fuzzing. */
int vocabulary_file_parse(const char *bytes, size_t size, const char *name, struct vocabulary_file *out,
                          struct error *warning, struct error *e);
/* Whole or not at all. */
int vocabulary_file_save(const struct vocabulary_file *f, const char *path, struct error *e);
void vocabulary_file_free(struct vocabulary_file *f); /* zeroed is fine */
