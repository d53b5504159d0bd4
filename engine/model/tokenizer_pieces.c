/* From ids back to text, and what else one may ask of single tokens. */
#include "engine/hash.h"
#include "engine/model/tokenizer_internal.h"
#include "engine/model/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t put_bpe(const struct token_entry *v, char *out)
{
    size_t used = 0;
    for (size_t at = 0, length; at < v->n; at += length) {
        int byte = bpe_byte_of(unicode_decode(v->text + at, v->n - at, &length));
        if (byte >= 0) {
            out[used++] = (char)byte;
        } else { /* a token outside the alphabet stands for itself */
            memcpy(out + used, v->text + at, length);
            used += length;
        }
    }
    return used;
}

static size_t put_blanks(const struct token_entry *v, char *out)
{
    size_t used = 0;
    for (size_t at = 0; at < v->n;) {
        if (v->n - at >= 3 && memcmp(v->text + at, "\xe2\x96\x81", 3) == 0) {
            out[used++] = ' ';
            at += 3;
        } else {
            out[used++] = v->text[at++];
        }
    }
    return used;
}

static size_t put_token(const struct tokenizer *t, int32_t id, char *out)
{
    const struct token_entry *v = &t->entry[id];
    if (v->type == TOKEN_CONTROL || v->type == TOKEN_UNUSED)
        return 0;
    if (v->type == TOKEN_BYTE) {
        unsigned byte = 0;
        char text[8];
        snprintf(text, sizeof text, "%.*s", (int)(v->n < 7 ? v->n : 7), v->text);
        if (sscanf(text, "<0x%2x>", &byte) != 1)
            return 0;
        *out = (char)byte;
        return 1;
    }
    if (v->type == TOKEN_USER_DEFINED) {
        memcpy(out, v->text, v->n);
        return v->n;
    }
    return t->model == TOKENIZER_BPE && !t->raw ? put_bpe(v, out) : put_blanks(v, out);
}

char *tokenizer_decode(const struct tokenizer *t, const int32_t *id, size_t n, size_t *size, struct error *e)
{
    char *out = malloc(n * ((size_t)t->longest + 1) + 1);
    size_t used = 0, bytes = 0; /* bytes: byte tokens in a row */
    if (!out) {
        error_set(e, ERROR_MEMORY, "no memory for the text of %zu tokens: close other programs", n);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0 || id[i] >= t->size) {
            error_set(e, ERROR_FAILED, "token %d is outside the vocabulary of %d tokens", id[i], t->size);
            free(out);
            return NULL;
        }
        used += put_token(t, id[i], out + used);
        bytes = t->entry[id[i]].type == TOKEN_BYTE ? bytes + 1 : 0;
        /* A blank behind a stray lead byte was taken for its continuation and came out as three bytes. */
        if (bytes >= 3 && memcmp(out + used - 3, "\xe2\x96\x81", 3) == 0) {
            used -= 2;
            out[used - 1] = ' ';
            bytes = 0;
        }
    }
    /* The blank that encoding put before the first word. */
    bool prefixed = (t->model == TOKENIZER_SPM && t->add_space_prefix) || t->model == TOKENIZER_WPM;
    if (prefixed && used > 0 && out[0] == ' ')
        memmove(out, out + 1, --used);
    out[used] = '\0';
    *size = used;
    return out;
}

size_t tokenizer_piece(const struct tokenizer *t, int32_t id, char *out)
{
    return id >= 0 && id < t->size ? put_token(t, id, out) : 0;
}

int tokenizer_longest(const struct tokenizer *t)
{
    return t->longest;
}

bool tokenizer_is_text(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->size && t->entry[id].type == TOKEN_NORMAL;
}

bool tokenizer_starts_word(const struct tokenizer *t, int32_t id)
{
    static const char *const blank[] = {[TOKENIZER_SPM] = "\xe2\x96\x81", /* U+2581 */
                                        [TOKENIZER_BPE] = "\xc4\xa0",     /* the letter of the byte 32 */
                                        [TOKENIZER_WPM] = "\xe2\x96\x81"};
    const struct token_entry *v = id >= 0 && id < t->size ? &t->entry[id] : NULL;
    size_t n = strlen(blank[t->model]);
    return v && v->n >= n && memcmp(v->text, blank[t->model], n) == 0;
}

/* ---- how tokens are made ---- */

static void split_bpe(const struct tokenizer *t, int32_t *left, int32_t *right, int32_t *rank)
{
    for (uint32_t i = 0; i <= t->merge_mask; i++) {
        const struct merge *m = &t->merge[i];
        if (m->left < 0 || m->id >= t->size || m->left >= t->size || m->right >= t->size)
            continue;
        if (left[m->id] >= 0 && rank[m->id] <= m->rank)
            continue;
        left[m->id] = m->left;
        right[m->id] = m->right;
        rank[m->id] = m->rank;
    }
}

enum { SPLIT_BYTES = 512 }; /* longer tokens stay whole: looking for their parts is quadratic */

/* SentencePiece keeps no merges: a token is made of the two tokens whose later one is made soonest. */
static void split_spm(const struct tokenizer *t, int32_t id, int32_t *left, int32_t *right)
{
    const struct token_entry *v = &t->entry[id];
    float best = 0;
    for (uint32_t cut = 1; cut < v->n && v->n <= SPLIT_BYTES; cut++) {
        int32_t l = token_find(t, v->text, cut), r = l < 0 ? -1 : token_find(t, v->text + cut, v->n - cut);
        if (r < 0 || t->entry[l].type != TOKEN_NORMAL || t->entry[r].type != TOKEN_NORMAL)
            continue;
        float worse = t->entry[l].score < t->entry[r].score ? t->entry[l].score : t->entry[r].score;
        if (*left < 0 || worse > best) {
            best = worse;
            *left = l;
            *right = r;
        }
    }
}

int tokenizer_splits(const struct tokenizer *t, int32_t *left, int32_t *right, struct error *e)
{
    int32_t *rank = malloc((size_t)t->size * sizeof *rank);
    if (!rank)
        return error_set(e, ERROR_MEMORY, "no memory for the splits of %d tokens: close other programs",
                         t->size);
    for (int32_t id = 0; id < t->size; id++)
        left[id] = right[id] = -1;
    if (t->model == TOKENIZER_BPE)
        split_bpe(t, left, right, rank);
    for (int32_t id = 0; id < t->size; id++) {
        if (t->entry[id].type != TOKEN_NORMAL)
            left[id] = right[id] = -1;
        else if (t->model == TOKENIZER_SPM)
            split_spm(t, id, &left[id], &right[id]);
    }
    free(rank);
    return 0;
}

uint64_t tokenizer_fingerprint(const struct tokenizer *t)
{
    uint64_t h = hash_bytes(HASH_START, t->kind, strlen(t->kind)), merges = 0;
    for (int32_t id = 0; id < t->size; id++) {
        const struct token_entry *v = &t->entry[id];
        h = hash_bytes(h, &v->n, sizeof v->n);
        h = hash_bytes(h, v->text, v->n);
        h = hash_bytes(h, &v->type, sizeof v->type);
        h = hash_bytes(h, &v->score, sizeof v->score);
    }
    for (uint32_t i = 0; t->merge && i <= t->merge_mask; i++) /* a sum: the table has no order */
        if (t->merge[i].left >= 0)
            merges += hash_bytes(HASH_START, &t->merge[i], sizeof t->merge[i]);
    return hash_bytes(h, &merges, sizeof merges);
}
