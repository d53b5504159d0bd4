/* WordPiece (Devlin et al. 2019, as llama.cpp runs it): lower case, base characters, words apart at blanks,
 * punctuation and Chinese characters; each word by its longest known pieces, the whole word unknown where one
 * is missing. */
#include "engine/model/tokenizer_internal.h"
#include "engine/model/unicode.h"

#include <stdlib.h>
#include <string.h>

static bool is_chinese(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x2f800 && c <= 0x2fa1f);
}

static int put_word(const struct tokenizer *t, const char *word, size_t n, struct token_ids *out)
{
    size_t before = out->n;
    for (size_t i = 0; i < n;) {
        size_t end = n - i > (size_t)t->longest ? i + (size_t)t->longest : n;
        int32_t id = -1;
        while (end > i && (id = token_find(t, word + i, end - i)) < 0)
            end--;
        if (id < 0) {
            out->n = before;
            break;
        }
        if (token_ids_add(out, id) != 0)
            return -1;
        i = end;
    }
    return out->n > before || t->unknown < 0 ? 0 : token_ids_add(out, t->unknown);
}

int tokenizer_encode_wpm(const struct tokenizer *t, const char *text, size_t n, struct token_ids *out)
{
    static const char blank[] = "\xe2\x96\x81"; /* begins every word */
    char *word = malloc(4 * n + 8);
    size_t used = 3;
    int failed = word ? 0 : -1;
    if (word)
        memcpy(word, blank, 3);
    for (size_t at = 0, length; !failed && at < n; at += length) {
        uint32_t c = unicode_decode(text + at, n - at, &length);
        c = t->no_accents ? unicode_base(c) : c;
        bool space = unicode_is_space(c);
        if (!space && (c == 0 || c == UNICODE_REPLACEMENT || unicode_is_control(c)))
            continue;
        if (t->no_accents && unicode_is_mark(c))
            continue;
        bool alone =
            !space && (unicode_is_punctuation(c) || (c < 0x7f && unicode_is_symbol(c)) || is_chinese(c));
        if ((space || alone) && used > 3) {
            failed = put_word(t, word, used, out);
            used = 3;
        }
        if (space)
            continue;
        used += unicode_encode(t->lower_case ? unicode_lower(c) : c, word + used);
        if (alone && !failed) {
            failed = put_word(t, word, used, out);
            used = 3;
        }
    }
    if (!failed && used > 3)
        failed = put_word(t, word, used, out);
    free(word);
    return failed;
}
