/* What the Results screen draws, and the state it is drawn from: view_results.c changes it, this reads it
 * (and keeps where things stood, for clicks and paging). UI thread only. */
#pragma once

#include "tui/app.h"
#include "tui/results.h"
#include "tui/widget.h"

enum picture {
    PICTURE_DETAILS,
    PICTURE_SPEEDUP,
    PICTURE_MEMORY,
    PICTURE_ROOFLINE,
    PICTURE_CRITERIA,
    PICTURE_ABLATION,
    PICTURE_RESPONSES,
    PICTURE_DASHBOARD,
    PICTURES
};

struct results_state {
    struct results data;
    const struct session *of; /* what data was made from; NULL: nothing */
    uint64_t version;
    double summed;            /* share of a large session that is, so far */
    int64_t made_ns, cost_ns; /* when data was made last, and how long that took */
    struct error error;
    struct widget_scroll scroll;
    struct widget_entry filter;
    bool filtering;
    enum picture picture; /* the first of those shown */
    bool on_picture;      /* focus: arrows scroll or walk the picture, not the table */
    bool small;           /* the screen has room for one panel alone; as of the last frame */
    bool alone;           /* one panel takes the whole screen: the picture where on_picture, else the table */
    int details_top, details_lines, details_height;
    struct rect rows, table,
        panel; /* as last drawn, for clicks and paging: rows of the table, it, the picture */
};

/* The picture has something to show in this session. */
bool view_results_is_there(const struct results_state *s, enum picture p);
/* Pictures of more lines than there may be room for. */
bool view_results_scrolls(enum picture p);
/* The sentence, the table and as many pictures as there is room for; there is a session. */
void view_results_draw(struct app *a, struct grid *g, struct rect r);
