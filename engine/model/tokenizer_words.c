/* How the rules that GGUF files name (tokenizer.ggml.pre) cut a text into words before bytes are merged. The
 * rules are regular expressions, one after the other: what the first one finds, and what lies between, is cut
 * further by the next. They are written out as matchers, since a word ends where one test on the next
 * characters fails; above each stands its expression (llama.cpp, src/llama-vocab.cpp). */
#include "engine/model/tokenizer_internal.h"
#include "engine/model/unicode.h"

#include <string.h>

struct cursor {
    const char *text;
    size_t n;
};

enum sort { END, LETTER, NUMBER, SPACE, LINE, OTHER }; /* LINE: \r and \n, which are spaces too */

/* The sorts of ASCII, as the tables of Unicode have them: 16 characters a row. */
enum { L = LETTER, N = NUMBER, S = SPACE, E = LINE, O = OTHER };
// clang-format off
static const uint8_t ascii[128] = {
    O, O, O, O, O, O, O, O, O, S, E, S, S, E, O, O,
    O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
    N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
};
// clang-format on

static enum sort class_at(const struct cursor *c, size_t at, size_t *length)
{
    *length = 0;
    if (at >= c->n)
        return END;
    uint8_t first = (uint8_t)c->text[at];
    if (first < 128) {
        *length = 1;
        return (enum sort)ascii[first];
    }
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

static size_t any_number(const struct cursor *c, size_t at, int most)
{
    size_t length;
    while (most-- > 0 && class_at(c, at, &length) == NUMBER)
        at += length;
    return at;
}

/* \p{N} */
static size_t one_number(const struct cursor *c, size_t at)
{
    return any_number(c, at, 1);
}

/* \p{N}{1,3} */
static size_t three_numbers(const struct cursor *c, size_t at)
{
    return any_number(c, at, 3);
}

/* \p{N}+ */
static size_t numbers(const struct cursor *c, size_t at)
{
    return run_of(c, at, NUMBER);
}

/* [0-9][0-9][0-9] */
static size_t three_digits(const struct cursor *c, size_t at)
{
    for (size_t i = at; i < at + 3; i++)
        if (i >= c->n || c->text[i] < '0' || c->text[i] > '9')
            return at;
    return at + 3;
}

static size_t words_llama3(const struct cursor *c, size_t at)
{
    return word_llama3(c, at, 3);
}

static size_t words_qwen2(const struct cursor *c, size_t at)
{
    return word_llama3(c, at, 1);
}

static uint32_t code_at(const struct cursor *c, size_t at, size_t *length)
{
    *length = 0;
    return at < c->n ? unicode_decode(c->text + at, c->n - at, length) : 0;
}

/* A byte that is no UTF-8 is of no category. */
static bool is_stray(uint32_t code, size_t length)
{
    return code == UNICODE_REPLACEMENT && length == 1;
}

static size_t punctuation_or(const struct cursor *c, size_t at, const char *also)
{
    for (size_t length;; at += length) {
        uint32_t code = code_at(c, at, &length);
        if (length == 0 || is_stray(code, length) ||
            !(unicode_is_punctuation(code) || (code > 0 && code < 128 && strchr(also, (int)code))))
            return at;
    }
}

/* [\p{P}\$\+<=>\^~\|`]+ */
static size_t marks_falcon(const struct cursor *c, size_t at)
{
    return punctuation_or(c, at, "$+<=>^~|`");
}

/* [\p{P}\$\+<=>\^~\|]+ */
static size_t marks_default(const struct cursor *c, size_t at)
{
    return punctuation_or(c, at, "$+<=>^~|");
}

/* [\r\n] */
static size_t one_line(const struct cursor *c, size_t at)
{
    size_t length;
    return class_at(c, at, &length) == LINE ? at + length : at;
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
static size_t letters(const struct cursor *c, size_t at)
{
    return after_blank(c, at, unicode_is_letter);
}

/* \s?\p{P}+ */
static size_t marks(const struct cursor *c, size_t at)
{
    return after_blank(c, at, unicode_is_punctuation);
}

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

static bool is_cased(uint32_t code)
{
    return IN(cased, code);
}

static bool is_wide_mark(uint32_t code)
{
    return IN(wide_marks, code);
}

static size_t letters_deepseek(const struct cursor *c, size_t at)
{
    return after_blank(c, at, is_cased);
}

static size_t marks_deepseek(const struct cursor *c, size_t at)
{
    return after_blank(c, at, is_wide_mark);
}

/* \s+$ */
static size_t blanks_at_the_end(const struct cursor *c, size_t at)
{
    size_t end = at, length;
    while (is_space(class_at(c, end, &length)))
        end += length;
    return end == c->n ? end : at;
}

static size_t run_in(const struct cursor *c, size_t at, const uint32_t (*range)[2], size_t n)
{
    for (size_t length;; at += length) {
        uint32_t code = code_at(c, at, &length);
        if (length == 0 || is_stray(code, length) || !in_ranges(range, n, code))
            return at;
    }
}

/* [\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+ */
static size_t eastern(const struct cursor *c, size_t at)
{
    return run_in(c, at, east, sizeof east / sizeof east[0]);
}

/* [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+ */
static size_t eastern_v3(const struct cursor *c, size_t at)
{
    return run_in(c, at, chinese_japanese, sizeof chinese_japanese / sizeof chinese_japanese[0]);
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t blanks_by_line(const struct cursor *c, size_t at)
{
    size_t line_end = at, end, length;
    enum sort k;
    for (end = at; is_space(k = class_at(c, end, &length)); end += length)
        if (k == LINE)
            line_end = end + length;
    return line_end > at ? line_end : blanks(c, at);
}

static bool is_latin(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_ascii_mark(char c)
{
    return c > ' ' && c < 127 && !is_latin(c) && !(c >= '0' && c <= '9');
}

/* llama.cpp's list of ASCII's symbols lacks the tilde. */
static bool mark_or_symbol(uint32_t code, size_t length)
{
    return length > 0 && code != '~' && !is_stray(code, length) &&
           (unicode_is_punctuation(code) || unicode_is_symbol(code));
}

/* [!"#...~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|... */
static size_t words_deepseek3(const struct cursor *c, size_t at)
{
    size_t end = at + 1, length, next;
    if (is_ascii_mark(c->text[at]) && end < c->n && is_latin(c->text[end])) {
        while (end < c->n && is_latin(c->text[end]))
            end++;
        return end;
    }
    uint32_t code = code_at(c, at, &length), second = code_at(c, at + length, &next);
    bool lead = !unicode_is_letter(code) && code != '\r' && code != '\n' && !mark_or_symbol(code, length);
    bool begins = unicode_is_letter(code) || unicode_is_mark(code);
    if (lead && next > 0 && (unicode_is_letter(second) || unicode_is_mark(second)))
        begins = true;
    if (begins) {
        end = at + length;
        for (second = code_at(c, end, &next);
             next > 0 && (unicode_is_letter(second) || unicode_is_mark(second));
             second = code_at(c, end, &next))
            end += next;
        return end;
    }
    size_t first = at + (c->text[at] == ' ');
    for (end = first; code = code_at(c, end, &length), mark_or_symbol(code, length); end += length)
        continue;
    return end > first ? run_of(c, end, LINE) : blanks_by_line(c, at);
}

/* (?=\p{L})[^a-z] and (?=\p{L})[^A-Z]: letters that are no small, no capital letters of ASCII */
static size_t letters_but(const struct cursor *c, size_t at, char first, char last)
{
    size_t length;
    while (class_at(c, at, &length) == LETTER && !(c->text[at] >= first && c->text[at] <= last))
        at += length;
    return at;
}

/* (A)*(B)+ where it holds, else (A)+(B)*, of A no small and B no capital letters. Going back: letters beyond
 * ASCII are both, so that the last of A serves for B. at: nothing. */
static size_t mixed_case(const struct cursor *c, size_t at)
{
    size_t upper = letters_but(c, at, 'a', 'z'), lower = letters_but(c, upper, 'A', 'Z');
    if (lower > upper)
        return lower;
    /* no B after all of A: back to where a B begins, which then runs on to the end of its kind */
    for (size_t back = upper; back > at;) {
        size_t from = back - 1;
        while (from > at && ((uint8_t)c->text[from] & 0xc0) == 0x80)
            from--;
        if (!(c->text[from] >= 'A' && c->text[from] <= 'Z'))
            return letters_but(c, from, 'A', 'Z');
        back = from;
    }
    return upper;
}

static size_t words_mixed(const struct cursor *c, size_t at, int digits, bool contractions)
{
    size_t length, next, end;
    enum sort k = class_at(c, at, &length);
    size_t first = k == LETTER                                                               ? at
                   : (k == SPACE || k == OTHER) && class_at(c, at + length, &next) == LETTER ? at + length
                                                                                             : c->n;
    if (first < c->n) {
        end = mixed_case(c, first);
        return contractions ? contraction(c, end, true) : end;
    }
    if (k == NUMBER)
        return any_number(c, at, digits);
    first = at + (c->text[at] == ' ');
    if (class_at(c, first, &length) == OTHER) { /* ?[^\s\p{L}\p{N}]+[\r\n/]* */
        end = run_of(c, first, OTHER);
        while (end < c->n && (c->text[end] == '\r' || c->text[end] == '\n' || c->text[end] == '/'))
            end++;
        return end;
    }
    return blanks_by_line(c, at);
}

/* [^\r\n\p{L}\p{N}]?((?=\p{L})[^a-z])*((?=\p{L})[^A-Z])+|[^\r\n\p{L}\p{N}]?((?=\p{L})[^a-z])+((?=\p{L})[^A-Z])*|
 * \p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t words_tekken(const struct cursor *c, size_t at)
{
    return words_mixed(c, at, 1, false);
}

/* The same with contractions after a word, and up to three numbers together. */
static size_t words_gpt4o(const struct cursor *c, size_t at)
{
    return words_mixed(c, at, 3, true);
}

/*  ?[^(\s|.,!?...)]+ */
static size_t words_bloom(const struct cursor *c, size_t at)
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

/* ---- rules ---- */

typedef size_t matcher(const struct cursor *c,
                       size_t at); /* the end of what begins at `at`; at: nothing does */
enum { STAGES = 6 };
static matcher *const rules[][STAGES] = {
    [PRE_GPT2] = {word_gpt2},
    [PRE_LLAMA3] = {words_llama3},
    [PRE_QWEN2] = {words_qwen2},
    [PRE_STARCODER] = {one_number, word_gpt2},
    [PRE_FALCON] = {marks_falcon, word_gpt2, three_digits},
    [PRE_DEFAULT] = {marks_default, word_gpt2, numbers, three_digits},
    [PRE_DEEPSEEK_LLM] = {one_line, letters_deepseek, marks_deepseek, blanks_at_the_end, eastern, numbers},
    [PRE_DEEPSEEK_CODER] = {one_line, letters, marks, eastern, one_number},
    [PRE_DEEPSEEK3] = {three_numbers, eastern_v3, words_deepseek3},
    [PRE_TEKKEN] = {words_tekken},
    [PRE_GPT4O] = {words_gpt4o},
    [PRE_BLOOM] = {words_bloom},
    [PRE_VIKING] = {words_bloom, one_number},
};

struct cutting {
    matcher *const *rule;
    int (*word)(void *who, const char *word, size_t n);
    void *who;
};

static int cut(const struct cutting *k, int stage, const char *text, size_t n)
{
    const struct cursor c = {text, n};
    if (stage == STAGES || !k->rule[stage])
        return n > 0 ? k->word(k->who, text, n) : 0;
    size_t done = 0;
    for (size_t at = 0, end; at < n; at = end) {
        end = k->rule[stage](&c, at);
        if (end == at) { /* what no rule takes lies between words */
            class_at(&c, at, &end);
            end += at;
            continue;
        }
        if ((at > done && cut(k, stage + 1, text + done, at - done) != 0) ||
            cut(k, stage + 1, text + at, end - at) != 0)
            return -1;
        done = end;
    }
    return done < n ? cut(k, stage + 1, text + done, n - done) : 0;
}

int tokenizer_words(enum tokenizer_pre pre, const char *text, size_t n,
                    int (*word)(void *who, const char *word, size_t n), void *who)
{
    const struct cutting k = {rules[pre], word, who};
    return cut(&k, 0, text, n);
}
