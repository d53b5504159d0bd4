/* What panels are made of: frames, tables whose columns go by priority, scrolling, text entry. Draws into a
 * grid, knows no application. UI thread only. */
#pragma once

#include "tui/grid.h"

/* A frame with its title inside the top line and a note at its right end ("" or NULL: none). Returns the
 * inside. Without room for a frame (under 3 rows or 8 columns) nothing is drawn and r itself is returned. */
struct rect widget_panel(struct grid *g, struct rect r, const char *title, const char *note, bool focus);

/* Which rows of a long list are seen. */
struct widget_scroll {
    int cursor, top;
};
void widget_scroll_fit(struct widget_scroll *s, int items, int rows); /* after either changed */
void widget_scroll_move(struct widget_scroll *s, int items, int by);  /* saturates */
/* A thumb on the right frame line of `panel`, where items do not all fit. */
void widget_scrollbar(struct grid *g, struct rect panel, const struct widget_scroll *s, int items, int rows);

enum { WIDGET_COLUMNS = 28 };
struct widget_column {
    const char *title;
    int width;    /* least columns of content */
    int priority; /* 1 stays to the last; the highest number is dropped first */
    bool right;   /* numbers: aligned right */
    bool grows;   /* takes what is left over */
};
struct widget_table {
    struct grid *grid;
    struct rect area; /* rows below the header */
    const struct widget_column *column;
    int n, x[WIDGET_COLUMNS], width[WIDGET_COLUMNS]; /* width 0: dropped */
};
/* Fits the columns into r and writes the header into its first row (no header where r has one row). */
void widget_table_begin(struct widget_table *t, struct grid *g, struct rect r,
                        const struct widget_column *column, int n);
/* row: from 0 within area; outside: nothing drawn. */
void widget_table_cell(const struct widget_table *t, int row, int column, enum style style, const char *text);
void widget_table_format(const struct widget_table *t, int row, int column, enum style style,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));
bool widget_table_has(const struct widget_table *t, int column);
void widget_table_select(const struct widget_table *t, int row, bool focus); /* the bar, after the cells */

enum { WIDGET_ENTRY = 256 };
struct widget_entry {
    char text[WIDGET_ENTRY]; /* UTF-8 */
    int cursor;              /* bytes */
};
void widget_entry_set(struct widget_entry *e, const char *text); /* cursor at the end */
bool widget_entry_key(struct widget_entry *e, int key);          /* true: consumed */
void widget_entry_draw(struct grid *g, int x, int y, int width, const struct widget_entry *e);

/* Is the cell inside r? */
bool widget_hit(struct rect r, int x, int y);
/* The words of `text` in lines of at most r.width columns; returns the rows used. */
int widget_paragraph(struct grid *g, struct rect r, enum style style, const char *text);
/* Case-insensitive: does `text` contain every space-separated word of `filter`? */
bool widget_matches(const char *text, const char *filter);
