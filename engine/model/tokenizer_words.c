/* How the rules that GGUF files name (tokenizer.ggml.pre) cut a text into words before bytes are merged. The
 * rules are regular expressions, one after the other: what the first one finds, and what lies between, is cut
 * further by the next. They are written out as matchers, since a word ends where one test on the next
 * characters fails; above each stands its expression (llama.cpp, src/llama-vocab.cpp). */
#include "engine/model/tokenizer_cursor.h"
#include "engine/model/tokenizer_internal.h"

#include <string.h>

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

/* ---- blanks ---- */

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

/* \s*[\r\n]+ : as far as the last line end of this run of blanks; at: it holds none. */
static size_t to_line_end(const struct cursor *c, size_t at)
{
    size_t line_end = at, length;
    enum sort k;
    for (size_t end = at; is_space(k = class_at(c, end, &length)); end += length)
        if (k == LINE)
            line_end = end + length;
    return line_end;
}

/* \s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1} */
static size_t halved_blanks(const struct cursor *c, size_t at)
{
    size_t length, n = 0, take = 512, end = at;
    enum sort k = END;
    for (; n <= take && is_space(k = class_at(c, end, &length)); end += length)
        n++;
    if (n > 0 && k != END && !is_space(k))
        n--; /* a word follows */
    while (take > n && take > 1)
        take /= 2;
    for (end = at; take > 0 && is_space(class_at(c, end, &length)); end += length)
        take--;
    return end;
}

/* ---- words ---- */

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

/* Most newer rules are one expression with different parts:
 *   contraction|[^\r\n\p{L}\p{N}]?LETTERS contraction?|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+TAIL|blanks */
struct parts {
    bool contractions; /* (?i:'s|'t|'re|'ve|'m|'ll|'d) before all else */
    bool suffix;       /* contractions behind letters */
    enum {
        PLAIN,  /* \p{L}+ */
        MARKED, /* [\p{L}\p{M}]+ */
        APART,  /* the same, and no \p{M} among what is no letter either */
        MIXED,  /* by case, see mixed_case */
        MIXED_MARKED,
        JOINED,  /* (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+ */
        NOT_HAN, /* \p{L}+ without Chinese characters, which are words of their own */
    } letters;
    int digits;
    const char *tail; /* characters behind marks that go with them */
    bool one_tail;    /* one of them at most */
    bool halved;      /* blanks by halved_blanks */
};

static bool is_han(uint32_t code) /* as llama.cpp lists them */
{
    return (code >= 0x4e00 && code <= 0x9fff) || (code >= 0x3400 && code <= 0x4dbf) ||
           (code >= 0x20000 && code <= 0x2a6df) || (code >= 0x2a700 && code <= 0x2ebef) ||
           (code >= 0xf900 && code <= 0xfaff) || (code >= 0x2f800 && code <= 0x2fa1f);
}

/* Whether a letter of the rule stands at `at`. */
static inline bool letter_at(const struct parts *p, const struct cursor *c, size_t at, size_t *length)
{
    enum sort k = class_at(c, at, length);
    if (p->letters == NOT_HAN)
        return k == LETTER && !is_han(code_at(c, at, length));
    if (k == LETTER)
        return true;
    return p->letters != PLAIN && p->letters != MIXED && p->letters != JOINED && k == OTHER && *length > 1 &&
           unicode_is_mark(code_at(c, at, length));
}

/* (?=LETTER)[^a-z] and (?=LETTER)[^A-Z]: letters that are no small, no capital letters of ASCII */
static size_t letters_but(const struct parts *p, const struct cursor *c, size_t at, char first, char last)
{
    size_t length;
    while (letter_at(p, c, at, &length) && !(c->text[at] >= first && c->text[at] <= last))
        at += length;
    return at;
}

/* (A)*(B)+ where it holds, else (A)+(B)*, of A no small and B no capital letters. Going back: letters beyond
 * ASCII are both, so that the last of A serves for B. at: nothing. */
static size_t mixed_case(const struct parts *p, const struct cursor *c, size_t at)
{
    size_t upper = letters_but(p, c, at, 'a', 'z'), lower = letters_but(p, c, upper, 'A', 'Z');
    if (lower > upper)
        return lower;
    /* no B after all of A: back to where a B begins, which then runs on to the end of its kind */
    for (size_t back = upper; back > at;) {
        size_t from = back - 1;
        while (from > at && ((uint8_t)c->text[from] & 0xc0) == 0x80)
            from--;
        if (!(c->text[from] >= 'A' && c->text[from] <= 'Z'))
            return letters_but(p, c, from, 'A', 'Z');
        back = from;
    }
    return upper;
}

/* Letters with the marks on them, and one blank between two of them. */
static size_t joined(const struct cursor *c, size_t at)
{
    size_t length, next;
    uint32_t code;
    while (class_at(c, at, &length) == LETTER) {
        at += length;
        while (code = code_at(c, at, &length), length > 0 && unicode_is_mark(code))
            at += length;
        if (at < c->n && c->text[at] == ' ' && class_at(c, at + 1, &next) == LETTER)
            at++;
    }
    return at;
}

static inline size_t letters_of(const struct parts *p, const struct cursor *c, size_t at)
{
    size_t length;
    if (p->letters == MIXED || p->letters == MIXED_MARKED)
        return mixed_case(p, c, at);
    if (p->letters == JOINED)
        return joined(c, at);
    if (p->letters == PLAIN)
        return run_of(c, at, LETTER);
    while (letter_at(p, c, at, &length))
        at += length;
    return at;
}

/*  ?[^\s\p{L}\p{N}]+TAIL ; at: no such character. */
static inline size_t marks_of(const struct parts *p, const struct cursor *c, size_t at)
{
    size_t first = at + (c->text[at] == ' '), end = first, length;
    while (class_at(c, end, &length) == OTHER && !(p->letters == APART && letter_at(p, c, end, &length)))
        end += length;
    if (end == first)
        return at;
    for (bool more = true; more && end < c->n && c->text[end] && strchr(p->tail, c->text[end]); end++)
        more = !p->one_tail;
    return end;
}

static size_t han(const struct cursor *c, size_t at)
{
    for (size_t length; is_han(code_at(c, at, &length)); at += length)
        continue;
    return at;
}

static inline size_t word_of(const struct parts *p, const struct cursor *c, size_t at)
{
    size_t end = p->contractions ? contraction(c, at, true) : at, length, next;
    if (end > at)
        return end;
    if (p->letters == NOT_HAN && (end = han(c, at)) > at)
        return end;
    enum sort k = class_at(c, at, &length);
    bool letter = letter_at(p, c, at, &next);
    if (letter || ((k == SPACE || k == OTHER) && letter_at(p, c, at + length, &next))) {
        end = letters_of(p, c, letter ? at : at + length);
        return p->suffix ? contraction(c, end, true) : end;
    }
    if (k == NUMBER) {
        end = at;
        for (int most = p->digits; most-- > 0 && class_at(c, end, &length) == NUMBER; end += length)
            continue;
        return end;
    }
    end = marks_of(p, c, at);
    if (end > at)
        return end;
    end = to_line_end(c, at);
    return end > at ? end : p->halved ? halved_blanks(c, at) : blanks(c, at);
}

#define RULE(name, ...)                                                                                      \
    static size_t name(const struct cursor *c, size_t at)                                                    \
    {                                                                                                        \
        static const struct parts parts = {__VA_ARGS__};                                                     \
        return word_of(&parts, c, at);                                                                       \
    }
// clang-format off
RULE(words_llama3, .contractions = true, .digits = 3, .tail = "\r\n")
RULE(words_jais2, .contractions = true, .digits = 3, .tail = "\r\n", .halved = true)
RULE(words_qwen2, .contractions = true, .digits = 1, .tail = "\r\n")
RULE(words_qwen35, .contractions = true, .letters = APART, .digits = 1, .tail = "\r\n")
RULE(words_seed_coder, .contractions = true, .digits = 1, .tail = "")
RULE(words_ufakzeka, .digits = 1, .tail = "\r\n")
RULE(words_exaone_moe, .contractions = true, .letters = JOINED, .digits = 1, .tail = "\r\n/", .one_tail = true)
RULE(words_kimi_k2, .suffix = true, .letters = NOT_HAN, .digits = 3, .tail = "\r\n")
RULE(words_tekken, .letters = MIXED, .digits = 1, .tail = "\r\n/")
RULE(words_gpt4o, .suffix = true, .letters = MIXED, .digits = 3, .tail = "\r\n/")
RULE(words_granite, .suffix = true, .letters = MIXED_MARKED, .digits = 3, .tail = "\r\n/")
/* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ ...: llama.cpp knows letters of one kind */
RULE(words_youtu, .suffix = true, .letters = MARKED, .digits = 1, .tail = "\r\n/")
RULE(words_tiny_aya, .suffix = true, .letters = MARKED, .digits = 3, .tail = "\r\n/")
// clang-format on

/* ---- deepseek-v3 and its kin ---- */

static bool is_latin(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_ascii_mark(char c)
{
    return c > ' ' && c < 127 && !is_latin(c) && !(c >= '0' && c <= '9');
}

static bool mark_or_symbol(uint32_t code, size_t length)
{
    return length > 0 && !is_stray(code, length) && (unicode_is_punctuation(code) || unicode_is_symbol(code));
}

static bool letter_or_mark(uint32_t code)
{
    return unicode_is_letter(code) || unicode_is_mark(code);
}

/* [!"#...~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+ , with line_ends [\r\n]* behind
 * it; at: none of these */
static size_t word_or_marks(const struct cursor *c, size_t at, bool line_ends)
{
    size_t end = at + 1, length, next;
    if (is_ascii_mark(c->text[at]) && end < c->n && is_latin(c->text[end])) {
        while (end < c->n && is_latin(c->text[end]))
            end++;
        return end;
    }
    uint32_t code = code_at(c, at, &length), second = code_at(c, at + length, &next);
    bool lead = !unicode_is_letter(code) && code != '\r' && code != '\n' && !mark_or_symbol(code, length);
    if (letter_or_mark(code) || (lead && next > 0 && letter_or_mark(second))) {
        end = at + length;
        for (second = code_at(c, end, &next); next > 0 && letter_or_mark(second);
             second = code_at(c, end, &next))
            end += next;
        return end;
    }
    size_t first = at + (c->text[at] == ' ');
    for (end = first; code = code_at(c, end, &length), mark_or_symbol(code, length); end += length)
        continue;
    return end == first ? at : line_ends ? run_of(c, end, LINE) : end;
}

/* ...[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t words_deepseek3(const struct cursor *c, size_t at)
{
    size_t end = word_or_marks(c, at, true);
    if (end > at)
        return end;
    end = to_line_end(c, at);
    return end > at ? end : blanks(c, at);
}

/* ...|[\r\n]|\s+(?!\S)|\s+ */
static size_t words_spark(const struct cursor *c, size_t at)
{
    size_t end = word_or_marks(c, at, false);
    end = end > at ? end : cut_one_line(c, at);
    return end > at ? end : blanks(c, at);
}

/* ---- rules ---- */

enum { STAGES = 6 };
static matcher *const rules[][STAGES] = {
    [PRE_GPT2] = {word_gpt2},
    [PRE_LLAMA3] = {words_llama3},
    [PRE_JAIS2] = {words_jais2},
    [PRE_QWEN2] = {words_qwen2},
    [PRE_QWEN35] = {words_qwen35},
    [PRE_STARCODER] = {cut_one_number, word_gpt2},
    [PRE_FALCON] = {cut_marks_falcon, word_gpt2, cut_three_digits},
    [PRE_DEFAULT] = {cut_marks_default, word_gpt2, cut_numbers, cut_three_digits},
    [PRE_DEEPSEEK_LLM] = {cut_one_line, cut_letters_deepseek, cut_marks_deepseek, cut_blanks_at_the_end,
                          cut_eastern, cut_numbers},
    [PRE_DEEPSEEK_CODER] = {cut_one_line, cut_letters, cut_marks, cut_eastern, cut_one_number},
    [PRE_DEEPSEEK3] = {cut_three_numbers, cut_eastern_v3, words_deepseek3},
    [PRE_SPARK] = {cut_three_numbers, cut_eastern_v3, words_spark, cut_one_number},
    [PRE_YOUTU] = {cut_eastern_youtu, words_youtu},
    [PRE_TEKKEN] = {words_tekken},
    [PRE_GPT4O] = {words_gpt4o},
    [PRE_GRANITE] = {words_granite},
    [PRE_TINY_AYA] = {cut_thousands, words_tiny_aya},
    [PRE_BLOOM] = {cut_words_bloom},
    [PRE_VIKING] = {cut_words_bloom, cut_one_number},
    [PRE_SUPERBPE] = {cut_numbers, cut_thousands_ahead},
    [PRE_SEED_CODER] = {words_seed_coder},
    [PRE_UFAKZEKA] = {words_ufakzeka},
    [PRE_AFMOE] = {cut_thousands, cut_eastern_afmoe, words_deepseek3},
    [PRE_LAGUNA] = {cut_lines_or_text, words_qwen2},
    [PRE_EXAONE_MOE] = {words_exaone_moe},
    [PRE_KIMI_K2] = {words_kimi_k2},
    [PRE_MINICPM5] = {cut_three_numbers, words_llama3},
    [PRE_CHAMELEON] = {cut_sentinel, cut_image_tokens, cut_paired_blanks, cut_one_number, cut_one_mark,
                       word_gpt2},
    [PRE_GEMMA4] = {cut_lines_or_text},
    [PRE_SARVAM] = {cut_lines_or_text},
};

struct cutting {
    matcher *const *rule;
    int (*word)(void *who, const char *word, size_t n);
    void *who;
};

static int cut(const struct cutting *k, int stage, const char *text, size_t n)
{
    struct counted counted = {0};
    const struct cursor c = {text, n, &counted};
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
