/* SentencePiece's BPE as llama.cpp runs it (Kudo & Richardson 2018; merges by the score of the joint token):
 * blanks are written as U+2581, unknown characters as byte tokens. */
#include "engine/model/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

static const char blank[] = "\xe2\x96\x81";

static bool pair(const struct tokenizer *t, const char *text, const struct symbol *left,
                 const struct symbol *right, int32_t *id, float *value)
{
    *id = token_find(t, text + left->start, left->n + right->n);
    if (*id < 0)
        return false;
    *value = t->entry[*id].score;
    return true;
}

char *tokenizer_escape_blanks(const char *text, size_t n, bool prefix, size_t *size)
{
    char *out = malloc(3 * n + 4);
    size_t used = 0;
    if (!out)
        return NULL;
    if (prefix) {
        memcpy(out, blank, 3);
        used = 3;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] == ' ') {
            memcpy(out + used, blank, 3);
            used += 3;
        } else {
            out[used++] = text[i];
        }
    }
    *size = used;
    return out;
}

static int put(const struct tokenizer *t, const char *text, const struct symbol *s, struct token_ids *out)
{
    int32_t id = s->id >= 0 ? s->id : token_find(t, text + s->start, s->n);
    if (id >= 0)
        return token_ids_add(out, id);
    for (uint32_t i = 0; i < s->n; i++) {
        int32_t byte = t->byte_id[(uint8_t)text[s->start + i]], known = byte >= 0 ? byte : t->unknown;
        if (known >= 0 && token_ids_add(out, known) != 0)
            return -1;
    }
    return 0;
}

int tokenizer_encode_spm(const struct tokenizer *t, const char *text, size_t n, bool prefix,
                         struct token_ids *out)
{
    struct symbols s = {0};
    size_t size;
    char *line = tokenizer_escape_blanks(text, n, prefix, &size);
    int failed = line ? 0 : -1;
    /* By the length that the lead byte claims, as llama.cpp does, so that stray bytes fall into the same
     * symbols. */
    for (size_t at = 0; !failed && at < size;) {
        static const uint8_t lengths[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
        size_t length = lengths[(uint8_t)line[at] >> 4];
        if (length > size - at)
            length = size - at;
        failed = symbols_add(&s, (uint32_t)at, (uint32_t)length, -1);
        at += length;
    }
    if (!failed)
        failed = symbols_merge(&s, t, line, pair);
    for (int i = s.n > 0 ? 0 : -1; !failed && i >= 0; i = s.symbol[i].next)
        failed = put(t, line, &s.symbol[i], out);
    symbols_free(&s);
    free(line);
    return failed;
}
