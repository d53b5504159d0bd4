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

/* ---- the merges of a file ---- */

struct pair { /* a merge as the file writes it: two parts with a blank between them */
    const char *left, *right;
    size_t n_left, n_right;
};

/* The blank is the first one behind the first byte. false: it has none, and llama.cpp never finds it. */
static bool read_pair(struct gguf_string s, struct pair *p)
{
    const char *cut = s.n > 1 ? memchr(s.bytes + 1, ' ', s.n - 1) : NULL;
    if (!cut)
        return false;
    *p = (struct pair){s.bytes, cut + 1, (size_t)(cut - s.bytes), s.n - (size_t)(cut - s.bytes) - 1};
    return p->n_left > 0 && p->n_right > 0;
}

static size_t missing(const struct tokenizer *t, const char *text, size_t n, size_t *bytes)
{
    bool is_missing = entry_find(t, text, n) < 0;
    *bytes += is_missing ? n : 0;
    return is_missing;
}

static const char *joined(const struct pair *p, char *both)
{
    memcpy(both, p->left, p->n_left);
    memcpy(both + p->n_left, p->right, p->n_right);
    return both;
}

/* Merges go by texts, which need not be tokens: room for entries behind those of the vocabulary, so that what
 * is no token has a number as well. */
static int make_room(struct tokenizer *t, const struct gguf_value *merges, char *both)
{
    struct gguf_walk w = {0};
    struct gguf_string s;
    struct pair p;
    size_t n = 0, bytes = 0;
    while (gguf_next(merges, &w, &s)) {
        if (!read_pair(s, &p))
            continue;
        n += missing(t, p.left, p.n_left, &bytes) + missing(t, p.right, p.n_right, &bytes);
        n += missing(t, joined(&p, both), p.n_left + p.n_right, &bytes);
    }
    if (n == 0)
        return 0;
    struct token_entry *larger = realloc(t->entry, ((size_t)t->size + n) * sizeof *larger);
    if (!larger)
        return -1;
    t->entry = larger;
    t->more_texts = malloc(bytes);
    return t->more_texts ? entries_index(t, (size_t)t->size + n) : -1;
}

/* at: where the next text that is no token goes. */
static int32_t entry_of(struct tokenizer *t, char **at, const char *text, size_t n)
{
    int32_t id = entry_find(t, text, n);
    if (id >= 0)
        return id;
    id = t->known++;
    memcpy(*at, text, n);
    t->entry[id] = (struct token_entry){*at, (uint32_t)n, 0, TOKEN_UNUSED};
    *at += n;
    t->longest = (int)n > t->longest ? (int)n : t->longest;
    entry_put(t, id);
    return id;
}

static void merge_put(struct tokenizer *t, struct merge m)
{
    uint32_t h = ((uint32_t)m.left * 0x9e3779b1u) ^ ((uint32_t)m.right * 0x85ebca6bu);
    for (h ^= h >> 15; t->merge[h & t->merge_mask].left >= 0; h++) {
        const struct merge *other = &t->merge[h & t->merge_mask];
        if (other->left == m.left && other->right == m.right)
            return; /* the earlier one has the better rank */
    }
    t->merge[h & t->merge_mask] = m;
}

static int put_merges(struct tokenizer *t, const struct gguf_value *merges, char *both)
{
    struct gguf_walk w = {0};
    struct gguf_string s;
    uint32_t slots = entries_table_size(merges->count);
    t->merge_mask = slots - 1;
    t->merge = malloc(slots * sizeof *t->merge);
    if (!t->merge || make_room(t, merges, both) != 0)
        return -1;
    for (uint32_t i = 0; i < slots; i++)
        t->merge[i].left = -1;
    char *at = t->more_texts;
    for (int32_t rank = 0; gguf_next(merges, &w, &s); rank++) {
        struct pair p;
        if (!read_pair(s, &p))
            continue;
        struct merge m = {.rank = rank};
        m.left = entry_of(t, &at, p.left, p.n_left);
        m.right = entry_of(t, &at, p.right, p.n_right);
        m.id = entry_of(t, &at, joined(&p, both), p.n_left + p.n_right);
        merge_put(t, m);
    }
    return 0;
}

int tokenizer_read_merges(struct tokenizer *t, const struct gguf *g, struct error *e)
{
    static const uint8_t nothing[1];
    static const struct gguf_value none = {.kind = GGUF_ARRAY, .element = GGUF_STRING, .data = nothing};
    const struct gguf_value *merges = gguf_find(g, "tokenizer.ggml.merges");
    if (!merges && t->pre == PRE_KIMI_K2) /* its tokens are words, or single letters */
        merges = &none;
    if (!merges || merges->element != GGUF_STRING || merges->count > TOKENS_MAX)
        return error_set(e, ERROR_FAILED, "the file has a BPE vocabulary without merges: convert it again");
    struct gguf_walk w = {0};
    struct gguf_string s;
    size_t longest = 0;
    while (gguf_next(merges, &w, &s))
        longest = s.n > longest ? s.n : longest;
    char *both = malloc(longest + 1);
    int failed = both ? put_merges(t, merges, both) : -1;
    free(both);
    return failed ? error_set(e, ERROR_MEMORY, "no memory for a vocabulary: close other programs") : 0;
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

enum { WHOLE_BYTES = 1024 };

/* The word in the alphabet, for vocabularies that hold whole words the merges do not reach. */
static int32_t whole_word(const struct tokenizer *t, const char *word, size_t n)
{
    char spelled[2 * WHOLE_BYTES];
    size_t used = 0;
    if (n > WHOLE_BYTES || n > (size_t)t->longest)
        return -1;
    if (t->raw)
        return token_find(t, word, n);
    for (size_t i = 0; i < n; i++)
        used += unicode_encode(bpe_letter_of((uint8_t)word[i]), spelled + used);
    return token_find(t, spelled, used);
}

/* What no token holds: by its bytes, as far as the vocabulary has them. */
static int put_symbol(const struct tokenizer *t, const char *word, const struct symbol *s,
                      struct token_ids *out)
{
    if (s->id >= 0 && s->id < t->size)
        return token_ids_add(out, s->id);
    const char *text = t->raw || s->id < 0 ? word + s->start : t->entry[s->id].text;
    uint32_t n = t->raw || s->id < 0 ? s->n : t->entry[s->id].n;
    for (uint32_t i = 0; i < n; i++) {
        int32_t id = t->raw ? t->byte_id[(uint8_t)text[i]] : token_find(t, text + i, 1);
        if (id >= 0 && token_ids_add(out, id) != 0)
            return -1;
    }
    return 0;
}

static bool only_lines(const char *word, size_t n)
{
    while (n > 0 && word[n - 1] == '\n')
        n--;
    return n == 0;
}

static int put_word(const struct tokenizer *t, const char *word, size_t n, struct symbols *s,
                    struct token_ids *out)
{
    bool look = t->ignore_merges || (t->pre == PRE_GEMMA4 && only_lines(word, n));
    int32_t whole = look ? whole_word(t, word, n) : -1;
    if (whole >= 0)
        return token_ids_add(out, whole);
    s->n = 0;
    for (size_t i = 0, length = 1; i < n; i += length) {
        if (t->raw)
            unicode_decode(word + i, n - i, &length);
        int32_t id = t->raw ? entry_find(t, word + i, length) : t->byte_id[(uint8_t)word[i]];
        if (symbols_add(s, (uint32_t)i, (uint32_t)length, id) != 0)
            return -1;
    }
    if (symbols_merge(s, t, word, pair) != 0)
        return -1;
    for (int i = s->n > 0 ? 0 : -1; i >= 0; i = s->symbol[i].next)
        if (put_symbol(t, word, &s->symbol[i], out) != 0)
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
    char *escaped = t->raw ? tokenizer_escape_blanks(text, n, false, &n) : NULL;
    if (t->raw && !escaped)
        return -1;
    int failed = tokenizer_words(t->pre, escaped ? escaped : text, n, encode_word, &k);
    symbols_free(&k.s);
    free(escaped);
    return failed;
}
