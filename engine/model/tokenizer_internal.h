/* Inside of the tokenizer: the vocabulary and what its three kinds share. For engine/model/tokenizer*.c
 * alone. */
#pragma once

#include "engine/model/tokenizer.h"

enum token_type { /* the numbers of the file */
                  TOKEN_NORMAL = 1,
                  TOKEN_UNKNOWN = 2,
                  TOKEN_CONTROL = 3,
                  TOKEN_USER_DEFINED = 4,
                  TOKEN_UNUSED = 5,
                  TOKEN_BYTE = 6
};

enum tokenizer_model { TOKENIZER_SPM, TOKENIZER_BPE, TOKENIZER_WPM };
enum tokenizer_pre {
    PRE_GPT2,
    PRE_LLAMA3,
    PRE_QWEN2,
    PRE_STARCODER,
    PRE_FALCON,
    PRE_DEFAULT,
    PRE_DEEPSEEK_LLM,
    PRE_DEEPSEEK_CODER,
    PRE_DEEPSEEK3,
    PRE_TEKKEN,
    PRE_GPT4O,
    PRE_BLOOM,
    PRE_VIKING
};

struct token_entry {
    const char *text; /* in `texts`, not terminated */
    uint32_t n;
    float score;
    uint8_t type;
};

struct tokenizer {
    enum tokenizer_model model;
    enum tokenizer_pre pre;
    char kind[64];
    struct token_entry *entry;
    int size, longest; /* entries; bytes of the longest */
    char *texts;
    int32_t *slot; /* hash table of ids by text, -1: empty */
    uint32_t mask;
    int32_t byte_id[256]; /* SPM: <0x00> ..; BPE: the token of the byte's letter; -1: none */
    int32_t bos, eos, unknown, separator, class_token;
    bool add_bos, add_eos, add_space_prefix, ignore_merges;
    bool strips;      /* blanks behind user-defined tokens belong to them (phi-3) */
    int32_t *special; /* user-defined tokens, longest first: found in any text */
    int n_special;
    struct merge {                     /* BPE: hash table by the pair */
        int32_t left, right, rank, id; /* left -1: empty */
    } * merge;
    uint32_t merge_mask;
};

int32_t token_find(const struct tokenizer *t, const char *text, size_t n); /* -1: not there */

/* A text piece between special tokens. -1: no memory. */
int tokenizer_encode_spm(const struct tokenizer *t, const char *text, size_t n, bool prefix,
                         struct token_ids *out);
int tokenizer_encode_bpe(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out);
int tokenizer_encode_wpm(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out);

/* Calls word for every word of text, in order; what it returns, if not 0, ends the walk and is returned. */
int tokenizer_words(enum tokenizer_pre pre, const char *text, size_t n,
                    int (*word)(void *who, const char *word, size_t n), void *who);

/* Byte-level alphabet of GPT-2: every byte is a printable character. */
uint32_t bpe_letter_of(uint8_t byte);
int bpe_byte_of(uint32_t letter); /* -1: none */

/* Merging neighbors in a line of symbols, the best pair first (ties: the leftmost), until no pair has a
 * value. */
struct symbol {
    int previous, next; /* -1: none */
    uint32_t start, n;  /* bytes of the text; n = 0: merged away */
    int32_t id;
};
struct symbols {
    struct symbol *symbol;
    int n, room;
    struct bigram {
        int left, right;
        uint32_t size; /* bytes of both: tells whether one has grown since */
        int32_t id;
        float value; /* larger first */
    } * heap;
    int n_heap, heap_room;
};
/* The token of left and right together and how soon it is made; false: they make none. */
typedef bool symbols_pair(const struct tokenizer *t, const char *text, const struct symbol *left,
                          const struct symbol *right, int32_t *id, float *value);
int symbols_add(struct symbols *s, uint32_t start, uint32_t n, int32_t id); /* -1: no memory */
int symbols_merge(struct symbols *s, const struct tokenizer *t, const char *text, symbols_pair *pair);
void symbols_free(struct symbols *s);
