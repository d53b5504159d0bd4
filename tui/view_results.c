#include "tui/view_results.h"
#include "tui/format.h"
#include "tui/results_pictures.h"
#include "tui/screen.h"
#include "tui/view_results_draw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOT " \xc2\xb7 "

enum { RUNNING_REFRESH_NS = 500000000 };

static int init(struct app *a, struct error *e)
{
    a->results = calloc(1, sizeof *a->results);
    if (!a->results)
        return error_set(e, ERROR_MEMORY, "no memory for a screen: close other programs");
    a->results->data.sort = RESULTS_PLAN_ORDER;
    return 0;
}

static void session_changed(struct app *a)
{
    a->results->of = NULL;
    results_free(&a->results->data);
}

static void release(struct app *a)
{
    if (!a->results)
        return;
    results_free(&a->results->data);
    free(a->results);
    a->results = NULL;
}

static void enter(struct app *a)
{
    (void)a;
}

/* An ablation is what its session was run for. */
static void choose_first_picture(struct results_state *s, const struct session *session)
{
    if (session->preset.design.n_factors > 0)
        s->picture = PICTURE_ABLATION;
    else if (s->picture == PICTURE_ABLATION)
        s->picture = PICTURE_DETAILS;
}

void view_results_take(struct app *a, struct results *made)
{
    struct results_state *s = a->results;
    if (!a->session)
        return;
    made->sort = s->data.sort;
    made->reverse = s->data.reverse;
    memcpy(made->filter, s->data.filter, sizeof made->filter);
    results_free(&s->data);
    s->data = *made;
    memset(made, 0, sizeof *made);
    results_arrange(&s->data, a->session);
    s->of = a->session;
    s->version = a->session_version;
    s->scroll = (struct widget_scroll){0};
    s->details_top = 0;
    choose_first_picture(s, a->session);
}

bool view_results_selected(const struct app *a, int *cell, int *arm)
{
    const struct results_state *s = a->results;
    if (!a->session || s->of != a->session || s->scroll.cursor >= s->data.n_shown)
        return false;
    const struct results_row *row = &s->data.row[s->data.shown[s->scroll.cursor]];
    *cell = row->cell;
    *arm = row->arm;
    return true;
}

/* A session that is being written changes many times a second: its figures follow twice a second, and so much
 * more slowly where they cost more that summing up never takes above two percent of a core: it shares the
 * machine with what is measured. */
static void refresh(struct app *a)
{
    struct results_state *s = a->results;
    const struct session *session = a->session;
    if (!session || (s->of == session && s->version == a->session_version))
        return;
    bool fresh = s->of != session;
    int64_t now = a->now_ns();
    int64_t pause = 50 * s->cost_ns > RUNNING_REFRESH_NS ? 50 * s->cost_ns : RUNNING_REFRESH_NS;
    if (!fresh && app_running(a) && now - s->made_ns < pause)
        return;
    int cell = -1, arm = -1;
    if (!fresh && s->scroll.cursor < s->data.n_shown) {
        const struct results_row *row = &s->data.row[s->data.shown[s->scroll.cursor]];
        cell = row->cell;
        arm = row->arm;
    }
    s->summed = results_prepare(&s->data, session);
    if (s->summed < 1) { /* the picture stays as it is meanwhile */
        a->unfinished = true;
        return;
    }
    memset(&s->error, 0, sizeof s->error);
    s->made_ns = now;
    s->of = session;
    s->version = a->session_version;
    int result = results_build(&s->data, session, &s->error);
    s->cost_ns = a->now_ns() - now;
    if (result != 0)
        return;
    if (fresh) {
        s->scroll = (struct widget_scroll){0};
        choose_first_picture(s, session);
    } else if (results_find(&s->data, cell, arm) >= 0)
        s->scroll.cursor = results_find(&s->data, cell, arm);
}

static const struct results_row *selected(const struct results_state *s)
{
    if (s->scroll.cursor < 0 || s->scroll.cursor >= s->data.n_shown)
        return NULL;
    return &s->data.row[s->data.shown[s->scroll.cursor]];
}

/* keys */

static void arrange(struct app *a)
{
    struct results_state *s = a->results;
    const struct results_row *row = selected(s);
    int cell = row ? row->cell : -1, arm = row ? row->arm : -1;
    if (!a->session || s->of != a->session || !s->data.row)
        return;
    results_arrange(&s->data, a->session);
    int at = results_find(&s->data, cell, arm);
    s->scroll.cursor = at >= 0 ? at : 0;
}

static bool text(struct app *a, int key)
{
    struct results_state *s = a->results;
    if (!s->filtering)
        return false;
    if (key == KEY_CODE_ESCAPE)
        widget_entry_set(&s->filter, "");
    if (key == KEY_CODE_ESCAPE || key == KEY_CODE_ENTER)
        s->filtering = false;
    else if (!widget_entry_key(&s->filter, key))
        return false;
    snprintf(s->data.filter, sizeof s->data.filter, "%.63s", s->filter.text);
    arrange(a);
    return true;
}

static void move(struct results_state *s, int by)
{
    if (s->on_picture && view_results_scrolls(s->picture)) {
        int most = s->details_lines - s->details_height;
        s->details_top += by;
        s->details_top = s->details_top > most ? most : s->details_top;
        s->details_top = s->details_top < 0 ? 0 : s->details_top;
        return;
    }
    widget_scroll_move(&s->scroll, s->data.n_shown, by);
    s->details_top = 0;
}

/* Along the axes of the speed-up picture: the table's cursor follows. */
static void walk(struct app *a, int dx, int dy)
{
    struct results_state *s = a->results;
    const struct results_row *row = selected(s);
    if (!row || !a->session)
        return;
    int to = results_speedup_step(&s->data, a->session, (int)(row - s->data.row), dx, dy);
    int at = results_find(&s->data, s->data.row[to].cell, s->data.row[to].arm);
    if (at >= 0)
        s->scroll.cursor = at;
    else
        app_say(a, false, "the filter hides that cell: Esc clears it");
}

static void cycle_sort(struct app *a, int by)
{
    struct results_state *s = a->results;
    int choices = RESULTS_COLUMNS + 1;
    const struct results *r = &s->data;
    do {
        s->data.sort = (enum results_column)(((int)s->data.sort + by + choices) % choices);
    } while (s->data.sort != RESULTS_PLAN_ORDER &&
             (!results_has_column(r, s->data.sort) || s->data.sort == RESULTS_SPEEDUP_CI ||
              s->data.sort == RESULTS_N));
    arrange(a);
    s->scroll.cursor = 0; /* an order is asked for to see its extremes */
}

static void next_picture(struct results_state *s)
{
    do
        s->picture = (enum picture)(((int)s->picture + 1) % PICTURES);
    while (!view_results_is_there(s, s->picture));
    s->details_top = 0;
}

/* Where there is room for one panel alone the table is one of the pictures. */
static void cycle(struct results_state *s)
{
    if (!s->small) {
        next_picture(s);
    } else if (!s->on_picture) {
        s->on_picture = true;
        s->picture = PICTURE_DETAILS;
    } else {
        next_picture(s);
        s->on_picture = s->picture != PICTURE_DETAILS;
    }
}

static bool back(struct results_state *s)
{
    if (s->alone) {
        s->alone = s->on_picture = false;
    } else if (s->data.filter[0]) {
        widget_entry_set(&s->filter, "");
        s->data.filter[0] = 0;
    } else if (s->on_picture) {
        s->on_picture = false;
    } else {
        return false;
    }
    return true;
}

static bool steer(struct app *a, enum action what)
{
    struct results_state *s = a->results;
    bool walks = s->on_picture && s->picture == PICTURE_SPEEDUP;
    int rows = s->on_picture && view_results_scrolls(s->picture) ? s->details_height : s->rows.height;
    int page = rows > 2 ? rows - 1 : 1;
    switch (what) {
    case ACTION_UP:
    case ACTION_DOWN:
        if (walks)
            walk(a, 0, what == ACTION_DOWN ? 1 : -1);
        else
            move(s, what == ACTION_DOWN ? 1 : -1);
        return true;
    case ACTION_LEFT:
    case ACTION_RIGHT:
        walk(a, what == ACTION_RIGHT ? 1 : -1, 0);
        return true;
    case ACTION_PAGE_UP:
        move(s, -page);
        return true;
    case ACTION_PAGE_DOWN:
        move(s, page);
        return true;
    case ACTION_HOME:
        move(s, -s->data.n - 1000);
        return true;
    case ACTION_END:
        move(s, s->data.n + 1000);
        return true;
    default:
        return false;
    }
}

/* Without a session there is nothing to steer. */
static bool can(const struct app *a, enum action what)
{
    return a->session ||
           (what != ACTION_CHOOSE && what != ACTION_TOGGLE && what != ACTION_FILTER && what != ACTION_SORT &&
            what != ACTION_SORT_REVERSE && what != ACTION_CYCLE && what != ACTION_SAVE_PRESET &&
            what != ACTION_FOCUS_NEXT && what != ACTION_FOCUS_PREVIOUS);
}

static bool action(struct app *a, enum action what)
{
    struct results_state *s = a->results;
    if (!a->session && !can(a, what)) {
        app_say(a, false, "nothing is shown yet: run something, or open a session");
        return true;
    }
    if (!a->session)
        return false;
    if (steer(a, what))
        return true;
    switch (what) {
    case ACTION_FOCUS_NEXT:
    case ACTION_FOCUS_PREVIOUS:
        s->on_picture = !s->on_picture;
        return true;
    case ACTION_CHOOSE:
    case ACTION_TOGGLE:
        if (!s->alone) {
            if (!s->on_picture || !view_results_scrolls(s->picture))
                s->picture = PICTURE_DETAILS;
            s->alone = s->on_picture = true;
        } else {
            s->alone = s->on_picture = false;
        }
        s->details_top = 0;
        return true;
    case ACTION_DUEL: {
        const struct results_row *row = selected(s);
        a->duel_cell = row ? row->cell : -1;
        a->duel_candidate = row && row->arm > 0 ? row->arm : 1;
        return false;
    }
    case ACTION_CYCLE:
        cycle(s);
        return true;
    case ACTION_SORT:
        cycle_sort(a, 1);
        return true;
    case ACTION_SORT_REVERSE:
        s->data.reverse = !s->data.reverse;
        arrange(a);
        s->scroll.cursor = 0;
        return true;
    case ACTION_FILTER:
        s->filtering = true;
        s->alone = s->on_picture = false;
        return true;
    case ACTION_BACK:
        if (!back(s))
            return false;
        arrange(a);
        return true;
    default:
        return false;
    }
}

static void click(struct app *a, int x, int y)
{
    struct results_state *s = a->results;
    if (widget_hit(s->panel, x, y))
        s->on_picture = true;
    else if (widget_hit(s->table, x, y))
        s->on_picture = false;
    if (widget_hit(s->rows, x, y) && s->scroll.top + y - s->rows.y < s->data.n_shown) {
        s->scroll.cursor = s->scroll.top + y - s->rows.y;
        s->details_top = 0;
    }
}

static void draw(struct app *a, struct grid *g, struct rect r)
{
    struct results_state *s = a->results;
    refresh(a);
    if (!a->session) {
        struct rect in = widget_panel(g, r, "Results", "", true);
        widget_paragraph(g, in, STYLE_DIM,
                         "No session yet: r in Setup runs one, Enter in Sessions opens a saved one.");
        return;
    }
    if (s->of != a->session) {
        struct rect in = widget_panel(g, r, "Results", "", true);
        char line[96], percent[FORMAT_TEXT];
        snprintf(line, sizeof line, "Summing up %d cells: %s", a->session->n_cells,
                 format_percent(percent, s->summed));
        widget_paragraph(g, in, STYLE_DIM, line);
        return;
    }
    if (s->error.text[0]) {
        struct rect in = widget_panel(g, r, "Results", "", true);
        widget_paragraph(g, in, STYLE_ERROR, s->error.text);
        return;
    }
    view_results_draw(a, g, r);
}

const struct view view_results = {.name = "Results",
                                  .init = init,
                                  .free = release,
                                  .enter = enter,
                                  .action = action,
                                  .text = text,
                                  .draw = draw,
                                  .session_changed = session_changed,
                                  .can = can,
                                  .click = click};
