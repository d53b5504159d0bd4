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

enum { TOKENS_MAX = 4 << 20 };
enum tokenizer_model { TOKENIZER_SPM, TOKENIZER_BPE, TOKENIZER_WPM };
enum tokenizer_pre { /* rules of cutting words, as the files name them */
                     PRE_GPT2,
                     PRE_LLAMA3,
                     PRE_JAIS2,
                     PRE_QWEN2,
                     PRE_QWEN35,
                     PRE_STARCODER,
                     PRE_FALCON,
                     PRE_DEFAULT,
                     PRE_DEEPSEEK_LLM,
                     PRE_DEEPSEEK_CODER,
                     PRE_DEEPSEEK3,
                     PRE_SPARK,
                     PRE_YOUTU,
                     PRE_TEKKEN,
                     PRE_GPT4O,
                     PRE_GRANITE,
                     PRE_TINY_AYA,
                     PRE_BLOOM,
                     PRE_VIKING,
                     PRE_SUPERBPE,
                     PRE_SEED_CODER,
                     PRE_UFAKZEKA,
                     PRE_AFMOE,
                     PRE_LAGUNA,
                     PRE_EXAONE_MOE,
                     PRE_KIMI_K2,
                     PRE_MINICPM5,
                     PRE_CHAMELEON,
                     PRE_GEMMA4, /* this and the next: text as it is, not GPT-2's alphabet */
                     PRE_SARVAM
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
    struct token_entry *entry; /* [known]: the vocabulary's, and behind them what merges alone name */
    int size, known, longest;  /* tokens; entries; bytes of the longest */
    char *texts, *more_texts;
    int32_t *slot; /* hash table of entries by text, -1: empty */
    uint32_t mask;
    int32_t byte_id[256]; /* SPM and raw: <0x00> ..; BPE: the entry of the byte's letter; -1: none */
    int32_t bos, eos, unknown, separator;
    bool add_bos, add_eos, add_space_prefix, ignore_merges;
    bool raw;                    /* BPE on the text itself, blanks written as U+2581 (gemma4) */
    bool lower_case, no_accents; /* WPM */
    bool strips;                 /* blanks behind special tokens belong to them (phi-3) */
    int32_t strips_before;       /* blanks before this one belong to it; -1: none */
    int32_t *special;            /* tokens that are found in a text as they are written, longest first */
    int n_special;
    struct merge {                     /* BPE: hash table by the pair */
        int32_t left, right, rank, id; /* left -1: empty */
    } * merge;
    uint32_t merge_mask;
};

int32_t token_find(const struct tokenizer *t, const char *text, size_t n); /* -1: not there */
uint32_t entry_hash(const char *text, size_t n);
/* The same among all entries. */
int32_t entry_find(const struct tokenizer *t, const char *text, size_t n);
/* Makes the table of entries anew, with room for that many, and puts one in: the first of equal texts stays.
 * -1: no memory. */
int entries_index(struct tokenizer *t, size_t room);
void entry_put(struct tokenizer *t, int32_t id);
uint32_t entries_table_size(uint64_t n); /* slots of a hash table for n, a power of two */

/* What tokenizer.ggml.pre asks for. Fails as tokenizer_open. */
int tokenizer_choose_pre(struct tokenizer *t, const struct gguf *g, struct error *e);
/* The merges of a BPE vocabulary. */
int tokenizer_read_merges(struct tokenizer *t, const struct gguf *g, struct error *e);

/* A text piece between special tokens. -1: no memory. */
int tokenizer_encode_spm(const struct tokenizer *t, const char *text, size_t n, bool prefix,
                         struct token_ids *out);
int tokenizer_encode_bpe(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out);
int tokenizer_encode_wpm(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out);

/* The text with blanks written as U+2581, one more before it with `prefix`; caller frees. NULL: no memory. */
char *tokenizer_escape_blanks(const char *text, size_t n, bool prefix, size_t *size);

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
