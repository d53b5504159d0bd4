/* Aligned text tables for standard output: columns are as wide as what stands in them, by display width, and
 * the least important ones are left out where the line is too short. Used by the results table and by
 * compare. The same cells make a table of an HTML page. */
#pragma once

#include "engine/text.h"

struct column {
    const char *title; /* with its unit */
    bool left;         /* aligned to the left (words); numbers stand on the right */
    int rank;          /* 0: always shown; else the highest rank is left out first */
};

struct columns;
struct columns *columns_new(const struct column *column, int n); /* column must outlive it; NULL: no memory */
void columns_cell(struct columns *c,
                  const char *text); /* the next cell, row by row; copied. NULL: memory ran out for it */
/* The next cell: a figure that its sample cannot support. A plain table leaves it out, a page dims it. */
void columns_weak(struct columns *c, const char *text);
/* The next cell: ready markup (a picture) for a page; a plain table has nothing there. */
void columns_markup(struct columns *c, const char *html);
void columns_free(struct columns *c);
/* Appends header and rows, at most `width` columns wide (0: no limit). Columns without any text are left out.
 */
void columns_print(struct columns *c, int width, struct text *out);
/* Appends an HTML table of the same cells, whatever bytes stand in them. Rows that begin something (their
 * first column is not empty) have the class "first". */
void columns_html(struct columns *c, struct text *out);
/* Appends text broken at blanks to lines of at most `width` columns (0: no limit), all but the first
 * indented. */
void columns_wrap(const char *text, int width, int indent, struct text *out);
