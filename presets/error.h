/* What went wrong and what to do about it, in one sentence a person can act on.
 *
 * Every function that can fail returns 0 or -1 (pointers: NULL) and fills a struct error. On error nothing
 * the caller can see has changed. The text is complete: "what happened: what to do". It is plain UTF-8
 * without control characters (error_set replaces them), so it may be shown on a terminal as it is.
 * Lives in presets/ because that is the lowest room that engine and tui both see. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum error_kind {
    ERROR_NONE,
    ERROR_FAILED,      /* exit 1: the machine or a file said no */
    ERROR_USAGE,       /* exit 2: the request is impossible or misspelled */
    ERROR_UNSUPPORTED, /* a cell row "unsupported: why" */
    ERROR_MEMORY,      /* a cell row "out_of_memory" */
    ERROR_CANCELLED    /* the user asked to stop */
};

enum { ERROR_TEXT = 1024 };

struct error {
    enum error_kind kind;
    char text[ERROR_TEXT]; /* "what happened: what to do" */
};

/* Fills e (which may be NULL) from a printf format; always returns -1, so that callers can `return
 * error_set(...)`. */
int error_set(struct error *e, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends another finding after "; ", so that all impossible values of a request are told in one message.
 * Starts afresh when e->kind is ERROR_NONE; keeps the first kind otherwise. Always returns -1. */
int error_add(struct error *e, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True for valid UTF-8 without control characters and without marks that reorder text: what may be shown as
 * it is. */
bool error_text_is_plain(const char *text);
/* Makes text plain in place: '?' for each offending byte or character, ' ' for line ends and tabs. Never
 * grows. */
void error_clean_text(char *text);
