/* Rules that find one kind of characters: numbers, marks, scripts as the expressions list them. Above each
 * stands its expression (llama.cpp, src/llama-vocab.cpp). */
#include "engine/model/tokenizer_cursor.h"

#include <string.h>

/* ---- numbers ---- */

static size_t any_number(const struct cursor *c, size_t at, int most)
{
    size_t length;
    while (most-- > 0 && class_at(c, at, &length) == NUMBER)
        at += length;
    return at;
}

/* \p{N} */
size_t cut_one_number(const struct cursor *c, size_t at)
{
    return any_number(c, at, 1);
}

/* \p{N}{1,3} */
size_t cut_three_numbers(const struct cursor *c, size_t at)
{
    return any_number(c, at, 3);
}

/* \p{N}+ */
size_t cut_numbers(const struct cursor *c, size_t at)
{
    return run_of(c, at, NUMBER);
}

static bool is_digit(const struct cursor *c, size_t at)
{
    return at < c->n && c->text[at] >= '0' && c->text[at] <= '9';
}

/* [0-9][0-9][0-9] */
size_t cut_three_digits(const struct cursor *c, size_t at)
{
    return is_digit(c, at) && is_digit(c, at + 1) && is_digit(c, at + 2) ? at + 3 : at;
}

/* A run of numbers by threes from its right: 1234567 is 1, 234, 567. As llama.cpp runs it, in place of
 * \d{1,3}(?=(?:\d{3})*\b) as well, what stands before the first of them stays with it. */
size_t cut_thousands(const struct cursor *c, size_t at)
{
    size_t length, end, n = 0;
    enum sort k;
    while ((k = class_at(c, at, &length)) != NUMBER && k != END)
        at += length;
    if (k == END)
        return at;
    if (c->counted->end <= at) {
        for (end = at; class_at(c, end, &length) == NUMBER; end += length)
            n++;
        *c->counted = (struct counted){end, n};
    }
    size_t take = c->counted->left % 3 ? c->counted->left % 3 : 3;
    c->counted->left -= take;
    return any_number(c, at, (int)take);
}

/* (?=(\d{3})+(?!\d)): a word ends wherever that stands ahead, with digits of ASCII alone. */
size_t cut_thousands_ahead(const struct cursor *c, size_t at)
{
    struct counted *k = c->counted;
    for (size_t next = at; next < c->n; next++) {
        if (!is_digit(c, next))
            continue;
        if (k->end <= next) {
            size_t end = next;
            while (is_digit(c, end))
                end++;
            k->end = end;
        }
        k->left = k->end - next;
        if (next > at && k->left % 3 == 0)
            return next;
        if (k->left <= 3) /* no further one in this run */
            next = k->end - 1;
        else
            next += k->left % 3 ? k->left % 3 - 1 : 2;
    }
    return c->n;
}

/* ---- lines and blanks ---- */

/* [\r\n] */
size_t cut_one_line(const struct cursor *c, size_t at)
{
    size_t length;
    return class_at(c, at, &length) == LINE ? at + length : at;
}

/* [^\n]+|[\n]+ */
size_t cut_lines_or_text(const struct cursor *c, size_t at)
{
    if (c->text[at] != '\n') {
        const char *end = memchr(c->text + at, '\n', c->n - at);
        return end ? (size_t)(end - c->text) : c->n;
    }
    while (at < c->n && c->text[at] == '\n')
        at++;
    return at;
}

/* \s+$ */
size_t cut_blanks_at_the_end(const struct cursor *c, size_t at)
{
    size_t end = at, length;
    while (is_space(class_at(c, end, &length)))
        end += length;
    return end == c->n ? end : at;
}

/* [\t\n]|four blanks|two blanks */
size_t cut_paired_blanks(const struct cursor *c, size_t at)
{
    size_t n = 0;
    if (c->text[at] == '\t' || c->text[at] == '\n')
        return at + 1;
    while (n < 4 && at + n < c->n && c->text[at + n] == ' ')
        n++;
    return at + (n == 4 ? 4 : n >= 2 ? 2 : 0);
}

/* ---- marks ---- */

static bool in_word(uint32_t code, const char *characters)
{
    return code > 0 && code < 128 && strchr(characters, (int)code);
}

static size_t punctuation_or(const struct cursor *c, size_t at, const char *also)
{
    for (size_t length;; at += length) {
        uint32_t code = code_at(c, at, &length);
        if (length == 0 || is_stray(code, length) || !(unicode_is_punctuation(code) || in_word(code, also)))
            return at;
    }
}

/* [\p{P}\$\+<=>\^~\|`]+ */
size_t cut_marks_falcon(const struct cursor *c, size_t at)
{
    return punctuation_or(c, at, "$+<=>^~|`");
}

/* [\p{P}\$\+<=>\^~\|]+ */
size_t cut_marks_default(const struct cursor *c, size_t at)
{
    return punctuation_or(c, at, "$+<=>^~|");
}

/* [\p{P}!-/:-@\[-`{-~] */
size_t cut_one_mark(const struct cursor *c, size_t at)
{
    size_t length;
    uint32_t code = code_at(c, at, &length);
    return !is_stray(code, length) && (unicode_is_punctuation(code) || in_word(code, "$+<=>^`|~"))
               ? at + length
               : at;
}

/* \s?[...]+ : one blank and a run of what is_in holds. */
static size_t after_blank(const struct cursor *c, size_t at, bool is_in(uint32_t code))
{
    size_t length, first = at, end;
    if (is_space(class_at(c, at, &length)))
        first += length;
    for (end = first;; end += length) {
        uint32_t code = code_at(c, end, &length);
        if (length == 0 || is_stray(code, length) || !is_in(code))
            return end > first ? end : at;
    }
}

/* \s?\p{L}+ */
size_t cut_letters(const struct cursor *c, size_t at)
{
    return after_blank(c, at, unicode_is_letter);
}

/* \s?\p{P}+ */
size_t cut_marks(const struct cursor *c, size_t at)
{
    return after_blank(c, at, unicode_is_punctuation);
}

/* ---- lists ---- */

/* Blanks beyond ASCII are in no list of characters: they stand as a blank of ASCII when lists are looked at.
 */
static bool in_ranges(const uint32_t (*range)[2], size_t n, uint32_t code)
{
    for (size_t i = 0; i < n && range[i][0] <= code; i++)
        if (code <= range[i][1])
            return !unicode_is_space(code);
    return false;
}
#define IN(table, code) in_ranges(table, sizeof table / sizeof table[0], code)

// clang-format off
/* The letters of deepseek-llm, as it lists them. */
static const uint32_t cased[][2] = {
    {0x41, 0x5a}, {0x61, 0x7a}, {0xb5, 0xb5}, {0xc0, 0xd6}, {0xd8, 0xf6}, {0xf8, 0x1ba}, {0x1bc, 0x1bf},
    {0x1c4, 0x293}, {0x295, 0x2af}, {0x370, 0x373}, {0x376, 0x376}, {0x377, 0x377}, {0x37b, 0x37d},
    {0x37f, 0x37f}, {0x386, 0x386}, {0x388, 0x38a}, {0x38c, 0x38c}, {0x38e, 0x3a1}, {0x3a3, 0x3f5},
    {0x3f7, 0x481}, {0x48a, 0x52f}, {0x531, 0x556}, {0x10a0, 0x10c5}, {0x13a0, 0x13f5}, {0x13f8, 0x13fd},
    {0x1c90, 0x1cba}, {0x1cbd, 0x1cbf}, {0x1d00, 0x1d2b}, {0x1d6b, 0x1d77}, {0x1d79, 0x1d9a},
    {0x1e00, 0x1f15}, {0x1f18, 0x1f1d}, {0x1f20, 0x1f45}, {0x1f48, 0x1f4d}, {0x1f50, 0x1f57},
    {0x1f59, 0x1f59}, {0x1f5b, 0x1f5b}, {0x1f5d, 0x1f5d}, {0x1f5f, 0x1f7d}, {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc}, {0x1fbe, 0x1fbe}, {0x1fc2, 0x1fc4}, {0x1fc6, 0x1fcc}, {0x1fd0, 0x1fd3},
    {0x1fd6, 0x1fdb}, {0x1fe0, 0x1fec}, {0x1ff2, 0x1ff4}, {0x1ff6, 0x1ffc}, {0x2102, 0x2102},
    {0x2107, 0x2107}, {0x210a, 0x2113}, {0x2115, 0x2115}, {0x2119, 0x211d}, {0x2124, 0x2124},
    {0x2126, 0x2126}, {0x2128, 0x2128}, {0x212a, 0x212d}, {0x212f, 0x2134}, {0x2139, 0x2139},
    {0x213c, 0x213f}, {0x2145, 0x2149}, {0x214e, 0x214e}, {0x2183, 0x2183}, {0x2184, 0x2184},
    {0x2c00, 0x2c7b}, {0x2c7e, 0x2ce4}, {0x2ceb, 0x2cee}, {0x2cf2, 0x2cf2}, {0x2cf3, 0x2cf3},
    {0xa640, 0xa66d}, {0xa680, 0xa69b}, {0xa722, 0xa76f}, {0xa771, 0xa787}, {0xa78b, 0xa78e},
    {0xab70, 0xabbf}, {0xfb00, 0xfb06}, {0xfb13, 0xfb17}, {0xff21, 0xff3a}, {0xff41, 0xff5a},
    {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2},
    {0x118a0, 0x118df}, {0x1e900, 0x1e943},
};
// clang-format on
static const uint32_t wide_marks[][2] = {{'!', '/'},       {':', '~'},       {0x2018, 0x201f},
                                         {0x3000, 0x3002}, {0xff01, 0xff0f}, {0xff1a, 0xff5e}};
static const uint32_t east[][2] = {{0x800, 0x9fa5}, {0xac00, 0xd7ff}};
static const uint32_t chinese_japanese[][2] = {{0x3040, 0x30ff}, {0x4e00, 0x9fa5}};
/* Its ideographs for compatibility are listed from one below them on, so that all between counts. */
static const uint32_t south_and_east[][2] = {{0xe40, 0xeff},   {0x1000, 0x109f}, {0x1100, 0x11ff},
                                             {0x1780, 0x17ff}, {0x2f00, 0x2fdf}, {0x3040, 0x30ff},
                                             {0x3400, 0x4dbf}, {0x4e00, 0xfaff}, {0xff65, 0xff9f}};
static const uint32_t hangul[][2] = {{0x3131, 0x318e}, {0xac00, 0xd7a3}};
static const uint32_t bopomofo[][2] = {{0x3105, 0x312f}};
static const uint32_t chinese_marks[][2] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201c, 0x201d},
                                            {0x2026, 0x2026}, {0x3001, 0x303f}, {0xfe30, 0xfe4f},
                                            {0xff01, 0xff01}, {0xff0c, 0xff0c}, {0xff1a, 0xff1b}};

static bool is_cased(uint32_t code)
{
    return IN(cased, code);
}

static bool is_wide_mark(uint32_t code)
{
    return IN(wide_marks, code);
}

/* \s?[A-Z...]+, by `cased` */
size_t cut_letters_deepseek(const struct cursor *c, size_t at)
{
    return after_blank(c, at, is_cased);
}

/* \s?[!-/:-~...]+, by `wide_marks` */
size_t cut_marks_deepseek(const struct cursor *c, size_t at)
{
    return after_blank(c, at, is_wide_mark);
}

static size_t run_in(const struct cursor *c, size_t at, const uint32_t (*range)[2], size_t n)
{
    for (size_t length;; at += length) {
        uint32_t code = code_at(c, at, &length);
        if (length == 0 || is_stray(code, length) || !in_ranges(range, n, code))
            return at;
    }
}
#define RUN(c, at, table) run_in(c, at, table, sizeof table / sizeof table[0])

/* [\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+ */
size_t cut_eastern(const struct cursor *c, size_t at)
{
    return RUN(c, at, east);
}

/* [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+ */
size_t cut_eastern_v3(const struct cursor *c, size_t at)
{
    return RUN(c, at, chinese_japanese);
}

size_t cut_eastern_afmoe(const struct cursor *c, size_t at)
{
    return RUN(c, at, south_and_east);
}

/* A run of one of four lists; where they share characters the earlier one has them. */
size_t cut_eastern_youtu(const struct cursor *c, size_t at)
{
    size_t end = RUN(c, at, hangul);
    end = end > at ? end : RUN(c, at, chinese_marks);
    end = end > at ? end : RUN(c, at, bopomofo);
    return end > at ? end : RUN(c, at, chinese_japanese);
}

/*  ?[^(\s|.,!?...)]+ */
size_t cut_words_bloom(const struct cursor *c, size_t at)
{
    static const uint32_t out[] = {'(',    ')',    '|',    '.',    ',',   '!',   '?',
                                   0x2026, 0x3002, 0xff0c, 0x3001, 0x964, 0x6d4, 0x60c};
    size_t first = at + (c->text[at] == ' '), end = first, length;
    for (;; end += length) {
        uint32_t code = code_at(c, end, &length);
        bool stop = length == 0 || is_space(class_at(c, end, &length));
        for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
            stop = stop || code == out[i];
        if (stop)
            return end > first ? end : at;
    }
}

/* ---- chameleon's own tokens ---- */

static size_t after(const struct cursor *c, size_t at, const char *word)
{
    size_t n = strlen(word);
    return n <= c->n - at && memcmp(c->text + at, word, n) == 0 ? at + n : at;
}

/* <sentinel:[0-9]+> */
size_t cut_sentinel(const struct cursor *c, size_t at)
{
    size_t first = after(c, at, "<sentinel:"), end = first;
    while (first > at && is_digit(c, end))
        end++;
    return end > first && end < c->n && c->text[end] == '>' ? end + 1 : at;
}

/* (IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z */
size_t cut_image_tokens(const struct cursor *c, size_t at)
{
    size_t first = after(c, at, "IMGIMG"), end = first;
    while (first > at && end < c->n && end < first + 4 && c->text[end] >= 'A' && c->text[end] <= 'I')
        end++;
    return end > first && end < c->n && c->text[end] == 'Z' ? end + 1 : at;
}
