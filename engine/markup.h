/* Text and pictures inside an HTML page. Text may be anything: names of models, error messages, prompts and
 * responses come from files that others wrote. Pictures are inline SVG without scripts; they take colors and
 * type from the page's classes, and tell arms apart by letters and dashes as well. Knows no session. Any
 * thread.
 */
#pragma once

#include "engine/text.h"
#include "stats/stats.h"
#include <stdint.h>

/* Appends text that may stand between tags and inside quoted attributes: the five special characters are
 * escaped; control characters and what is no UTF-8 become U+FFFD, line ends stay. */
void markup_text(struct text *out, const char *text);

/* An interval on a scale of ratios from `low` to `high` (logarithmic, 1 in it), over the band of equivalence
 * 1 / (1 + margin) to 1 + margin. What lies beyond the scale ends in an arrow; NAN: nothing is drawn. */
struct markup_scale {
    double low, high, margin;
};
void markup_interval(struct text *out, const struct markup_scale *scale, double value,
                     struct stats_interval interval);
/* The scale itself, with its labels. */
void markup_scale(struct text *out, const struct markup_scale *scale);

/* Parts of a whole beside each other; part i has the class "p<i>". */
void markup_bar(struct text *out, const double *part, int parts, double whole);

enum { MARKUP_ARMS = 8, MARKUP_TICKS = 3 };
struct markup_tick {
    double value; /* NAN: none */
    const char *name;
    bool weak; /* the sample cannot support it */
};
/* Latencies of the arms of one cell, a row each, over one logarithmic axis. */
struct markup_sample {
    const char *name, *figure; /* beside the row, under each other */
    const double *x;           /* [n], positive, ascending; NULL: nothing was measured */
    size_t n;
    struct markup_tick tick[MARKUP_TICKS];
};
void markup_histograms(struct text *out, const struct markup_sample *arm, int arms, const char *unit);

/* Lines of at most MARKUP_ARMS arms over a sweep's values (ascending, positive), with error bars; NAN: no
 * point. */
struct markup_line {
    const char *name;
    const double *y, *low, *high; /* [points] */
};
void markup_curves(struct text *out, const double *x, int points, const struct markup_line *line, int lines,
                   const char *x_title, const char *y_title);
