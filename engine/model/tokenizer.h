/* Token ids of a text, and back, by the vocabulary of a GGUF file: SentencePiece-style merges by score
 * ("llama"), byte pair encoding by merge rank ("gpt2", with the pre-tokenizer that the file names, and
 * "gemma4"), WordPiece ("bert"). Results are those of llama.cpp on the same file, but that bytes which are no
 * UTF-8 are kept, not replaced. Unknown models and pre-tokenizers are refused by name, never guessed; a file
 * that names no pre-tokenizer at all is read by llama.cpp's rule for such files ("default"), which
 * tokenizer_kind says.
 *
 * Opened once, then read by any number of threads. */
#pragma once

#include "engine/model/gguf.h"
#include "presets/error.h"

struct tokenizer;

/* Copies what it needs: the file may be closed afterwards. NULL: UNSUPPORTED (no vocabulary, unknown kind),
 * FAILED (damaged), MEMORY. */
struct tokenizer *tokenizer_open(const struct gguf *g, struct error *e);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */

struct token_ids { /* grows; zeroed is empty */
    int32_t *id;
    size_t n, room;
};
int token_ids_add(struct token_ids *ids, int32_t id); /* -1: no memory */
void token_ids_free(struct token_ids *ids);

/* Appends the ids of text (any bytes). special: begin and end tokens as the file asks for them. -1: MEMORY.
 */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool special,
                     struct token_ids *out, struct error *e);
/* As with special = true, and control tokens that the text spells are those tokens ("<|endoftext|>"): as
 * llama-tokenize reads a prompt. */
int tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out,
                            struct error *e);
/* The text of ids, NUL-terminated with its length in *size (it may hold NULs); control tokens are left out.
 * Caller frees. NULL: an id outside the vocabulary, MEMORY. */
char *tokenizer_decode(const struct tokenizer *t, const int32_t *id, size_t n, size_t *size, struct error *e);

/* What stands before every text, and what ends one; -1: nothing. */
int32_t tokenizer_begin(const struct tokenizer *t);
int32_t tokenizer_end(const struct tokenizer *t);
int tokenizer_size(const struct tokenizer *t);         /* ids are 0 .. size - 1 */
const char *tokenizer_kind(const struct tokenizer *t); /* "llama", "gpt2, llama-bpe", "bert" */

/* ---- single tokens ---- */

/* The bytes that id stands for in a text, not terminated, into out (tokenizer_longest bytes and one more);
 * control tokens and strange ids: 0. */
size_t tokenizer_piece(const struct tokenizer *t, int32_t id, char *out);
int tokenizer_longest(const struct tokenizer *t);
bool tokenizer_is_text(const struct tokenizer *t, int32_t id); /* no byte, control or user-defined token */
bool tokenizer_starts_word(const struct tokenizer *t, int32_t id); /* with a blank */
/* Which two tokens each token is merged from: left and right are [tokenizer_size], -1: none. The parts are
 * shorter than the token, and their bytes one after the other are its own. -1: MEMORY. */
int tokenizer_splits(const struct tokenizer *t, int32_t *left, int32_t *right, struct error *e);
/* Same tokens, types, scores and merges: the same number. */
uint64_t tokenizer_fingerprint(const struct tokenizer *t);
