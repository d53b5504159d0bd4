/* Byte pair encoding by merge rank (Sennrich et al. 2016; GPT-2's byte-level alphabet, Radford et al. 2019).
 * A text is first cut into words by the rule that the file names; the rules are written out as matchers,
 * since a word ends where one test on the next characters fails. */
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

/* ---- words ---- */

struct cursor {
    const char *text;
    size_t n;
};

enum sort { END, LETTER, NUMBER, SPACE, LINE, OTHER }; /* LINE: \r and \n, which are spaces too */

static enum sort class_at(const struct cursor *c, size_t at, size_t *length)
{
    *length = 0;
    if (at >= c->n)
        return END;
    uint32_t code = unicode_decode(c->text + at, c->n - at, length);
    return unicode_is_letter(code)        ? LETTER
           : unicode_is_number(code)      ? NUMBER
           : code == '\r' || code == '\n' ? LINE
           : unicode_is_space(code)       ? SPACE
                                          : OTHER;
}

static bool is_space(enum sort k)
{
    return k == SPACE || k == LINE;
}

static size_t run_of(const struct cursor *c, size_t at, enum sort k)
{
    size_t length;
    while (class_at(c, at, &length) == k)
        at += length;
    return at;
}

/* 's 't 're 've 'm 'll 'd; returns their end, or at. */
static size_t contraction(const struct cursor *c, size_t at, bool any_case)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (at >= c->n || c->text[at] != '\'')
        return at;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t k = 0;
        while (endings[i][k] && at + 1 + k < c->n &&
               (any_case ? (char)unicode_lower((uint8_t)c->text[at + 1 + k]) : c->text[at + 1 + k]) ==
                   endings[i][k])
            k++;
        if (!endings[i][k])
            return at + 1 + k;
    }
    return at;
}

/* \s+(?!\S)|\s+ : blanks, but for the last one where a word follows. */
static size_t blanks(const struct cursor *c, size_t at)
{
    size_t end = at, last = at, length;
    enum sort k;
    while (is_space(k = class_at(c, end, &length))) {
        last = end;
        end += length;
    }
    return k == END || last == at ? end : last;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static size_t word_gpt2(const struct cursor *c, size_t at)
{
    size_t end = contraction(c, at, false), length;
    if (end > at)
        return end;
    size_t first = at + (c->text[at] == ' ');
    enum sort k = class_at(c, first, &length);
    if (k == LETTER || k == NUMBER || k == OTHER)
        return run_of(c, first, k);
    return blanks(c, at);
}

/* (?i:'s|...)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t word_llama3(const struct cursor *c, size_t at, int digits)
{
    size_t end = contraction(c, at, true), length, next;
    if (end > at)
        return end;
    enum sort k = class_at(c, at, &length);
    if (k == LETTER)
        return run_of(c, at, LETTER);
    if ((k == SPACE || k == OTHER) && class_at(c, at + length, &next) == LETTER)
        return run_of(c, at + length, LETTER);
    if (k == NUMBER) {
        for (end = at; digits-- > 0 && class_at(c, end, &length) == NUMBER; end += length)
            continue;
        return end;
    }
    size_t first = at + (c->text[at] == ' ');
    if (class_at(c, first, &length) == OTHER)
        return run_of(c, run_of(c, first, OTHER), LINE);
    /* \s*[\r\n]+ : as far as the last line end of this run of blanks */
    size_t line_end = at;
    for (end = at; is_space(k = class_at(c, end, &length)); end += length)
        if (k == LINE)
            line_end = end + length;
    return line_end > at ? line_end : blanks(c, at);
}

/* Digits stand alone, the rest as in gpt-2. */
static size_t word_starcoder(const struct cursor *c, size_t at)
{
    size_t length;
    if (class_at(c, at, &length) == NUMBER)
        return at + length;
    /* The cut at digits comes first, so that a blank before one is a word of its own. */
    if (c->text[at] == ' ' && class_at(c, at + 1, &length) == NUMBER)
        return at + 1;
    size_t end = at;
    enum sort k;
    while ((k = class_at(c, end, &length)) != END && k != NUMBER)
        end += length;
    const struct cursor part = {c->text, end};
    return word_gpt2(&part, at);
}

static size_t word_end(const struct tokenizer *t, const struct cursor *c, size_t at)
{
    switch (t->pre) {
    case PRE_LLAMA3:
        return word_llama3(c, at, 3);
    case PRE_QWEN2:
        return word_llama3(c, at, 1);
    case PRE_STARCODER:
        return word_starcoder(c, at);
    default:
        return word_gpt2(c, at);
    }
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

int tokenizer_encode_bpe(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out)
{
    const struct cursor c = {text, n};
    struct symbols s = {0};
    int failed = 0;
    for (size_t at = 0; !failed && at < n;) {
        size_t end = word_end(t, &c, at);
        failed = put_word(t, text + at, end - at, &s, out);
        at = end;
    }
    symbols_free(&s);
    return failed;
}
