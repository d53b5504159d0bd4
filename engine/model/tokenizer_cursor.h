/* What the rules that cut words read a text with: sorts of characters and runs of them. For
 * engine/model/tokenizer_words.c and tokenizer_lists.c alone; what is inline here is called once per
 * character. */
#pragma once

#include "engine/model/unicode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const char *text;
    size_t n;
    struct counted {      /* how much of a run of numbers is left, so that long ones are counted once */
        size_t end, left; /* left counts down to `end`, an offset into the text; end 0: nothing counted */
    } * counted;
};

/* The end of what begins at `at`, which is in the text; at: nothing does. */
typedef size_t matcher(const struct cursor *c, size_t at);

enum sort { END, LETTER, NUMBER, SPACE, LINE, OTHER }; /* LINE: \r and \n, which are spaces too */

/* The sorts of ASCII, as the tables of Unicode have them: 16 characters a row. */
enum { L = LETTER, N = NUMBER, S = SPACE, E = LINE, O = OTHER };
// clang-format off
static const uint8_t ascii_sorts[128] = {
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

static inline enum sort sort_of(uint32_t code)
{
    return unicode_is_letter(code)        ? LETTER
           : unicode_is_number(code)      ? NUMBER
           : code == '\r' || code == '\n' ? LINE
           : unicode_is_space(code)       ? SPACE
                                          : OTHER;
}

static inline enum sort class_at(const struct cursor *c, size_t at, size_t *length)
{
    *length = 0;
    if (at >= c->n)
        return END;
    uint8_t first = (uint8_t)c->text[at];
    if (first < 128) {
        *length = 1;
        return (enum sort)ascii_sorts[first];
    }
    return sort_of(unicode_decode(c->text + at, c->n - at, length));
}

static inline bool is_space(enum sort k)
{
    return k == SPACE || k == LINE;
}

static inline size_t run_of(const struct cursor *c, size_t at, enum sort k)
{
    size_t length;
    while (class_at(c, at, &length) == k)
        at += length;
    return at;
}

static inline uint32_t code_at(const struct cursor *c, size_t at, size_t *length)
{
    *length = 0;
    return at < c->n ? unicode_decode(c->text + at, c->n - at, length) : 0;
}

/* A byte that is no UTF-8 is of no category. */
static inline bool is_stray(uint32_t code, size_t length)
{
    return code == UNICODE_REPLACEMENT && length == 1;
}

/* ---- engine/model/tokenizer_lists.c: rules that take characters from lists ---- */

matcher cut_one_number, cut_three_numbers, cut_numbers, cut_three_digits, cut_one_line, cut_lines_or_text;
matcher cut_thousands, cut_thousands_ahead; /* see there */
matcher cut_marks_falcon, cut_marks_default, cut_one_mark, cut_letters, cut_marks, cut_letters_deepseek,
    cut_marks_deepseek;
matcher cut_blanks_at_the_end, cut_eastern, cut_eastern_v3, cut_eastern_afmoe, cut_eastern_youtu,
    cut_words_bloom;
matcher cut_sentinel, cut_image_tokens, cut_paired_blanks; /* of chameleon */
