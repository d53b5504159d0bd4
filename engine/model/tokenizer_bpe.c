/* Byte pair encoding by merge rank (Sennrich et al. 2016; GPT-2's byte-level alphabet, Radford et al. 2019).
 * A text is first cut into words by the rule that the file names (tokenizer_words.c). */
#include "engine/model/tokenizer_internal.h"
#include "engine/model/unicode.h"

#include <stdlib.h>
#include <string.h>

/* ---- the alphabet: printable bytes stand for themselves, the others for 256, 257, ... ---- */

static bool is_printable(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

uint32_t bpe_letter_of(uint8_t byte)
{
    uint32_t letter = 256;
    if (is_printable(byte))
        return byte;
    for (int b = 0; b < byte; b++)
        letter += !is_printable(b);
    return letter;
}

int bpe_byte_of(uint32_t letter)
{
    if (letter < 256)
        return is_printable((int)letter) ? (int)letter : -1;
    for (int b = 0; b < 256; b++)
        if (!is_printable(b) && letter-- == 256)
            return b;
    return -1;
}

/* ---- merging ---- */

static bool pair(const struct tokenizer *t, const char *text, const struct symbol *left,
                 const struct symbol *right, int32_t *id, float *value)
{
    (void)text;
    uint32_t h = ((uint32_t)left->id * 0x9e3779b1u) ^ ((uint32_t)right->id * 0x85ebca6bu);
    for (h ^= h >> 15;; h++) {
        const struct merge *m = &t->merge[h & t->merge_mask];
        if (m->left < 0)
            return false;
        if (m->left == left->id && m->right == right->id) {
            *id = m->id;
            *value = -(float)m->rank;
            return true;
        }
    }
}

/* The word in the alphabet, for vocabularies that hold whole words the merges do not reach. */
static int32_t whole_word(const struct tokenizer *t, const char *word, size_t n)
{
    char spelled[512];
    size_t used = 0;
    if (n > sizeof spelled / 2)
        return -1;
    for (size_t i = 0; i < n; i++)
        used += unicode_encode(bpe_letter_of((uint8_t)word[i]), spelled + used);
    return token_find(t, spelled, used);
}

static int put_word(const struct tokenizer *t, const char *word, size_t n, struct symbols *s,
                    struct token_ids *out)
{
    int32_t whole = t->ignore_merges ? whole_word(t, word, n) : -1;
    if (whole >= 0)
        return token_ids_add(out, whole);
    s->n = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t id = t->byte_id[(uint8_t)word[i]];
        if (id >= 0 && symbols_add(s, (uint32_t)i, 1, id) != 0)
            return -1;
    }
    if (symbols_merge(s, t, word, pair) != 0)
        return -1;
    for (int i = s->n > 0 ? 0 : -1; i >= 0; i = s->symbol[i].next)
        if (token_ids_add(out, s->symbol[i].id) != 0)
            return -1;
    return 0;
}

struct encoding {
    const struct tokenizer *t;
    struct symbols s;
    struct token_ids *out;
};

static int encode_word(void *who, const char *word, size_t n)
{
    struct encoding *k = who;
    return put_word(k->t, word, n, &k->s, k->out);
}

int tokenizer_encode_bpe(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out)
{
    struct encoding k = {t, {0}, out};
    int failed = tokenizer_words(t->pre, text, n, encode_word, &k);
    symbols_free(&k.s);
    return failed;
}
