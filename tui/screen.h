/* The terminal: the one module that includes curses.h. Shows a grid, reads keys, gives the terminal back
 * whatever happens. UI thread only. */
#pragma once

#include "presets/error.h"
#include "tui/grid.h"
#include <stdio.h>

enum key { /* a Unicode code point, or one of these */
           KEYS_SPECIAL = 0x110000,
           KEY_CODE_UP,
           KEY_CODE_DOWN,
           KEY_CODE_LEFT,
           KEY_CODE_RIGHT,
           KEY_CODE_HOME,
           KEY_CODE_END,
           KEY_CODE_PAGE_UP,
           KEY_CODE_PAGE_DOWN,
           KEY_CODE_ENTER,
           KEY_CODE_ESCAPE,
           KEY_CODE_TAB,
           KEY_CODE_BACKTAB,
           KEY_CODE_BACKSPACE,
           KEY_CODE_DELETE,
           KEY_CODE_RESIZE,
           KEY_CODE_WHEEL_UP,
           KEY_CODE_WHEEL_DOWN,
           KEY_CODE_CLICK,
           KEY_CODE_LOST /* the terminal went away */
};

struct screen_options {
    enum { COLOR_AUTO, COLOR_NEVER, COLOR_ALWAYS } color; /* auto obeys NO_COLOR and the terminal */
    bool ascii;                                           /* force the ASCII glyph set */
    bool mouse;
};

struct screen;
/* -1-like NULL with a sentence for terminals that cannot (TERM=dumb, unknown, no tty). Redirects stderr to a
 * log that screen_close replays. */
struct screen *screen_open(const struct screen_options *o, struct error *e);
void screen_close(struct screen *s); /* endwin, terminal as it was; NULL is fine */
void screen_size(const struct screen *s, int *width, int *height);
bool screen_ascii(
    const struct screen *s); /* no UTF-8 locale, or TERM=linux without the glyphs, or asked for */
void screen_flush(struct screen *s, const struct grid *g); /* sends the difference only */
int screen_key(struct screen *s, int *x, int *y);          /* next key waiting, 0: none; x, y of a click */
int screen_fd(const struct screen *s);                     /* to poll */
void screen_resized(struct screen *s);                     /* after SIGWINCH: takes the new size */
void screen_redraw(struct screen *s);                      /* Ctrl-L: everything again */
void screen_set_mouse(struct screen *s, bool on);
void screen_suspend(struct screen *s); /* Ctrl-Z: gives the terminal back, stops, comes again */
bool screen_monochrome(const struct screen *s);
/* For tests: a screen on given files without a real terminal (type "xterm-256color"), and what it shows. */
struct screen *screen_open_on(const char *type, FILE *out, FILE *in, const struct screen_options *o,
                              struct error *e);
uint32_t screen_shown(const struct screen *s, int x, int y, int *foreground, int *background, bool *bold);
