/* The picture as data: a grid of styled cells that views draw into and tui/screen puts on a terminal. Knows
 * no terminal, no colors (styles are roles, tui/theme.h turns them into colors), no application. Drawing
 * outside is clipped, never an error, so that views need no bounds checks. Coordinates are cells, x to the
 * right, y down, from 0. UI thread only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rect {
    int x, y, width, height;
};

enum style { /* roles, not colors; one row each in the theme table, with a monochrome column */
             STYLE_TEXT,
             STYLE_DIM,
             STYLE_BOLD,
             STYLE_FRAME,
             STYLE_FRAME_FOCUS,
             STYLE_TITLE,
             STYLE_TAB,
             STYLE_TAB_CURRENT,
             STYLE_KEY,
             STYLE_SELECTED,
             STYLE_CURSOR,
             STYLE_SENTENCE,
             STYLE_WARNING,
             STYLE_ERROR,
             STYLE_GOOD,
             STYLE_ARM_A,
             STYLE_ARM_B,
             STYLE_ARM_C,
             STYLE_ARM_D,
             STYLE_ARM_E,
             STYLE_ARM_F,
             STYLE_ARM_G,
             STYLE_ARM_H,
             STYLE_BAR,
             STYLE_BAR_EMPTY,
             STYLE_LIMIT,
             STYLE_PERCENTILE,
             STYLE_HEAT_0,
             STYLE_HEAT_LAST =
                 STYLE_HEAT_0 + 15, /* slow .. 1x .. fast, diverging; half blocks use two of them */
             STYLES
};

struct cell {
    uint32_t code; /* Unicode; 0: right half of a wide character */
    uint8_t style; /* enum style of the foreground */
    uint8_t back;  /* STYLE_TEXT: the terminal's own background; else that style's color as background (heat
                      maps). Unused cells are blanks: code ' ' */
};

struct grid {
    int width, height;
    struct cell *cell; /* [height * width] */
    bool ascii;        /* draw with ASCII only: glyph() answers accordingly, other text is transliterated
                          column by column, so that both sets have the same layout */
    bool monochrome;   /* no colors: pictures must say in characters what colors would */
};

int grid_init(struct grid *g, int width, int height); /* blank; -1: no memory */
void grid_free(struct grid *g);
int grid_resize(struct grid *g, int width, int height);
void grid_clear(struct grid *g);
void grid_put(struct grid *g, int x, int y, uint32_t code, enum style style);
/* The same on a background of `back`'s color (heat maps). */
void grid_put_on(struct grid *g, int x, int y, uint32_t code, enum style style, enum style back);
uint32_t grid_code(const struct grid *g, int x, int y); /* what stands there; ' ' outside */
/* UTF-8 text from (x, y), cut at `width` columns (an ellipsis marks the cut); control characters become '?'.
 * Returns columns used. */
int grid_text(struct grid *g, int x, int y, int width, enum style style, const char *text);
int grid_format(struct grid *g, int x, int y, int width, enum style style, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
int grid_text_right(struct grid *g, int right, int y, int width, enum style style,
                    const char *text); /* ends before `right` */
void grid_fill(struct grid *g, struct rect r, uint32_t code, enum style style);
void grid_restyle(struct grid *g, struct rect r, enum style style); /* keeps the characters: selection bars */
int grid_columns(const char *text);                                 /* display width of UTF-8 text */
/* UTF-8 lines, trailing blanks cut, one '\n' per row: what tests/golden holds. with_styles adds a second
 * block of one letter per cell. Caller frees. */
char *grid_dump(const struct grid *g, bool with_styles);

enum glyph {
    GLYPH_HORIZONTAL,
    GLYPH_VERTICAL,
    GLYPH_TOP_LEFT,
    GLYPH_TOP_RIGHT,
    GLYPH_BOTTOM_LEFT,
    GLYPH_BOTTOM_RIGHT,
    GLYPH_TEE_LEFT,
    GLYPH_TEE_RIGHT,
    GLYPH_TICK,
    GLYPH_CROSS,
    GLYPH_TICK_DOWN,
    GLYPH_TICK_UP,
    GLYPH_ON,
    GLYPH_OFF,
    GLYPH_POINTER,
    GLYPH_UP,
    GLYPH_DOWN,
    GLYPH_ELLIPSIS,
    GLYPH_PLUS_MINUS,
    GLYPH_TIMES,
    GLYPH_LESS_EQUAL,
    GLYPH_HALF_BLOCK,
    GLYPH_SHADE,
    GLYPHS
};
uint32_t glyph(const struct grid *g, enum glyph which);
uint32_t glyph_bar(const struct grid *g, int eighths,
                   bool vertical); /* 0..8: vertical bars and horizontal bars */
