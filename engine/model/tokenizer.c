#define _GNU_SOURCE /* memmem */
#include "engine/model/tokenizer_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- the vocabulary ---- */

uint32_t entry_hash(const char *text, size_t n)
{
    uint32_t h = 0x811c9dc5u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)text[i]) * 0x01000193u;
    return h ^ h >> 15;
}

int32_t entry_find(const struct tokenizer *t, const char *text, size_t n)
{
    if (n > (size_t)t->longest)
        return -1;
    for (uint32_t h = entry_hash(text, n);; h++) {
        int32_t id = t->slot[h & t->mask];
        if (id < 0 || (t->entry[id].n == n && memcmp(t->entry[id].text, text, n) == 0))
            return id;
    }
}

int32_t token_find(const struct tokenizer *t, const char *text, size_t n)
{
    int32_t id = entry_find(t, text, n);
    return id < t->size ? id : -1;
}

int32_t tokenizer_begin(const struct tokenizer *t)
{
    return t->add_bos ? t->bos : -1;
}

int32_t tokenizer_end(const struct tokenizer *t)
{
    return t->eos;
}

int tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

const char *tokenizer_kind(const struct tokenizer *t)
{
    return t->kind;
}

/* ---- text to ids ---- */

void token_ids_free(struct token_ids *ids)
{
    free(ids->id);
    *ids = (struct token_ids){0};
}

int token_ids_add(struct token_ids *ids, int32_t id)
{
    if (ids->n == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 256;
        int32_t *larger = realloc(ids->id, room * sizeof *larger);
        if (!larger)
            return -1;
        ids->id = larger;
        ids->room = room;
    }
    ids->id[ids->n++] = id;
    return 0;
}

struct encoder {
    const struct tokenizer *t;
    struct token_ids *out;
    bool parse;         /* control tokens are found in the text, too */
    bool after_special; /* the next piece of an SPM text begins with a blank */
};

static int encode_plain(struct encoder *k, const char *text, size_t n)
{
    const struct tokenizer *t = k->t;
    bool prefix = k->after_special && t->add_space_prefix;
    if (n == 0)
        return 0;
    k->after_special = false;
    switch (t->model) {
    case TOKENIZER_SPM:
        return tokenizer_encode_spm(t, text, n, prefix, k->out);
    case TOKENIZER_BPE:
        return tokenizer_encode_bpe(t, text, n, k->out);
    default:
        return tokenizer_encode_wpm(t, text, n, k->out);
    }
}

static bool strips_after(const struct tokenizer *t, const struct token_entry *token)
{
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    bool strip = t->strips;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        strip = strip && !(strlen(others[i]) == token->n && memcmp(others[i], token->text, token->n) == 0);
    return strip;
}

/* Blanks before a token that has them. */
static size_t without_end(const struct tokenizer *t, int32_t id, const char *text, size_t n)
{
    while (id == t->strips_before && n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    return n;
}

/* Cuts the text at every token that is found in it as it is written, the longest ones first. */
static int encode_pieces(struct encoder *k, const char *text, size_t n, int special)
{
    const struct tokenizer *t = k->t;
    for (; special < t->n_special && n > 0; special++) {
        int32_t id = t->special[special];
        const struct token_entry *token = &t->entry[id];
        const char *found;
        if (token->type != TOKEN_USER_DEFINED && !k->parse)
            continue;
        while (n > 0 && (found = memmem(text, n, token->text, token->n))) {
            size_t before = (size_t)(found - text);
            if (encode_pieces(k, text, without_end(t, id, text, before), special + 1) != 0 ||
                token_ids_add(k->out, id) != 0)
                return -1;
            k->after_special = true;
            text = found + token->n;
            n -= before + token->n;
            for (; n > 0 && strips_after(t, token) && isspace((unsigned char)*text); n--)
                text++;
        }
    }
    return encode_plain(k, text, n);
}

static int encode(const struct tokenizer *t, const char *text, size_t n, bool special, bool parse,
                  struct token_ids *out, struct error *e)
{
    struct encoder k = {t, out, parse, true};
    if (n > UINT32_MAX / 4)
        return error_set(e, ERROR_UNSUPPORTED,
                         "a text of %zu bytes is too long: cut it into pieces below 1 GiB", n);
    int failed = special && t->add_bos && t->bos >= 0 ? token_ids_add(out, t->bos) : 0;
    if (!failed)
        failed = encode_pieces(&k, text, n, 0);
    if (!failed && special && t->add_eos && t->eos >= 0)
        failed = token_ids_add(out, t->eos);
    return failed
               ? error_set(e, ERROR_MEMORY, "no memory for the tokens of %zu bytes: close other programs", n)
               : 0;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool special,
                     struct token_ids *out, struct error *e)
{
    return encode(t, text, n, special, false, out, e);
}

int tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out,
                            struct error *e)
{
    return encode(t, text, n, true, true, out, e);
}
