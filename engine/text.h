/* A text that grows, for everything that is printed as a whole: tables, exports, reports. A failed allocation
 * sticks, so that only the end needs to look. Knows nothing of what is written. */
#pragma once

#include "presets/error.h"
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes; /* NUL-terminated once anything was put */
    size_t n, room;
    bool failed;
    bool fixed; /* bytes is the caller's buffer: what does not fit is cut off at a whole character */
};

/* A text in a buffer of the caller's; nothing is allocated and nothing fails. text_take and text_free are not
 * for it. */
struct text text_in(char *buffer, size_t size);
void text_put(struct text *t, const char *bytes, size_t n);
void text_add(struct text *t, const char *word);
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_repeat(struct text *t, const char *word, int times);
void text_trim(struct text *t); /* drops blanks at the end */
/* The finished text (never NULL without an error), which the caller frees; t is empty afterwards. */
char *text_take(struct text *t, struct error *e);
void text_free(struct text *t);

/* Bytes of the well-formed UTF-8 sequence at `s` (Unicode 15, table 3-7); 0: it starts none. */
size_t text_character(const char *s);
/* Columns a terminal gives to UTF-8 text: wide characters count two, combining ones none. */
int text_width(const char *utf8);
/* Copies utf8 with control characters replaced and cut to `columns` with an ellipsis; valid UTF-8 remains so.
 */
char *text_fit(const char *utf8, int columns, char *out, size_t size);
