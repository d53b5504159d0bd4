#include "tui/view_sessions.h"
#include "tui/dialog.h"
#include "tui/format.h"
#include "tui/layout.h"
#include "tui/saving.h"
#include "tui/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOT " \xc2\xb7 "

static int init(struct app *a, struct error *e)
{
    a->sessions = calloc(1, sizeof *a->sessions);
    return a->sessions ? 0 : error_set(e, ERROR_MEMORY, "no memory for a screen: close other programs");
}

static void release(struct app *a)
{
    struct sessions_state *s = a->sessions;
    if (!s)
        return;
    free(s->entry);
    free(s->shown);
    history_free(&s->trend);
    free(s->judged);
    difference_free(&s->difference);
    free(s);
    a->sessions = NULL;
}

static void enter(struct app *a)
{
    a->sessions->stale = true;
    a->sessions->on_difference = false;
}

const struct session_entry *sessions_selected(const struct sessions_state *s)
{
    if (s->scroll.cursor < 0 || s->scroll.cursor >= s->n_shown)
        return NULL;
    return &s->entry[s->shown[s->scroll.cursor]];
}

/* The interface knows its own run: the file says "running" until it ends. */
static bool is_own_run(const struct app *a, const struct session_entry *e)
{
    return app_running(a) && strcmp(engine_session_path(a->engine), e->path) == 0;
}

/* "~/.local/share/..." where the file lies in the user's home. */
static void path_text(char *out, size_t size, const char *path)
{
    const char *home = getenv("HOME");
    size_t length = home ? strlen(home) : 0;
    if (length > 1 && strncmp(path, home, length) == 0 && path[length] == '/')
        snprintf(out, size, "~%s", path + length);
    else
        snprintf(out, size, "%s", path);
}

/* order */

struct sort_key {
    const struct session_entry *entry;
    enum sessions_sort sort;
    bool reverse;
    int index;
};

static int by_key(const void *x, const void *y)
{
    const struct sort_key *a = x, *b = y;
    const struct session_entry *p = a->entry, *q = b->entry;
    int64_t order = 0;
    switch (a->sort) {
    case SESSIONS_PRESET:
        order = strcmp(p->preset, q->preset);
        break;
    case SESSIONS_MODELS:
        order = strcmp(p->models, q->models);
        break;
    case SESSIONS_STATUS:
        order = (int)p->status + p->damaged - (int)q->status - q->damaged;
        break;
    case SESSIONS_CELLS:
        order = q->cells - p->cells;
        break;
    case SESSIONS_SIZE:
        order = q->bytes - p->bytes;
        break;
    default:
        order = a->index - b->index; /* the list comes newest first */
        break;
    }
    if (order == 0)
        return a->index - b->index;
    return (order < 0) == a->reverse ? 1 : -1;
}

void sessions_arrange(struct sessions_state *s)
{
    int *shown = calloc((size_t)s->n + 1, sizeof *shown);
    struct sort_key *key = calloc((size_t)s->n + 1, sizeof *key);
    int n = 0;
    for (int i = 0; shown && key && i < s->n; i++) {
        char text[400];
        const struct session_entry *e = &s->entry[i];
        snprintf(text, sizeof text, "%s %s %s %s", e->id, e->preset, e->models, session_entry_status(e));
        if (widget_matches(text, s->filter.text))
            key[n++] = (struct sort_key){e, s->sort, s->reverse, i};
    }
    if (n > 1)
        qsort(key, (size_t)n, sizeof *key, by_key);
    for (int i = 0; i < n; i++)
        shown[i] = key[i].index;
    free(key);
    free(s->shown);
    s->shown = shown;
    s->n_shown = n;
}

/* After another filter or order the cursor stays with its session, where that is still shown. */
static void arrange(struct sessions_state *s)
{
    const struct session_entry *old = sessions_selected(s);
    sessions_arrange(s);
    s->scroll.cursor = 0;
    for (int i = 0; old && i < s->n_shown; i++)
        if (&s->entry[s->shown[i]] == old)
            s->scroll.cursor = i;
}

/* keys */

static bool text(struct app *a, int key)
{
    struct sessions_state *s = a->sessions;
    if (!s->filtering)
        return false;
    if (key == KEY_CODE_ESCAPE)
        widget_entry_set(&s->filter, "");
    if (key == KEY_CODE_ESCAPE || key == KEY_CODE_ENTER)
        s->filtering = false;
    else if (!widget_entry_key(&s->filter, key))
        return false;
    arrange(s);
    return true;
}

static void delete_entry(struct app *a, void *data)
{
    struct sessions_state *s = a->sessions;
    const struct session_entry *chosen = sessions_selected(s);
    struct error e = {0};
    (void)data;
    if (!chosen)
        return;
    if (session_delete(chosen->path, &e) != 0)
        app_say(a, true, "%s", e.text);
    else
        app_say(a, false, "deleted: %s", chosen->id);
    if (strcmp(s->base, chosen->path) == 0)
        s->base[0] = 0;
    s->has_trend = s->on_trend = false;
    s->stale = true;
}

static void ask_delete(struct app *a, const struct session_entry *e)
{
    char question[700], size[FORMAT_TEXT], path[520];
    if (is_own_run(a, e)) {
        app_say(a, true, "that session is being written: stop the run first (s in Live)");
        return;
    }
    path_text(path, sizeof path, e->path);
    snprintf(question, sizeof question, "Delete %s (%s, %d cells)? It cannot be brought back.", path,
             format_bytes(size, (double)e->bytes), e->cells);
    dialog_confirm(a, question, "delete", delete_entry, NULL);
}

static void mark(struct app *a, const struct session_entry *e)
{
    struct sessions_state *s = a->sessions;
    if (strcmp(s->base, e->path) == 0) {
        s->base[0] = 0;
        app_say(a, false, "no longer marked");
        return;
    }
    snprintf(s->base, sizeof s->base, "%s", e->path);
    app_say(a, false, "marked as the base: go to another session, c compares it with this one");
}

static void resume(struct app *a, const struct session_entry *e)
{
    if (app_running(a))
        app_say(a, true, "a run is in progress: stop it first (s in Live), or wait for its end");
    else if (e->status == SESSION_COMPLETE)
        app_say(a, true, "that session is complete: R takes its preset to Setup, to run it again");
    else
        sessions_job_resume(a, e->path);
}

static void toggle_trend(struct app *a)
{
    struct sessions_state *s = a->sessions;
    if (!s->on_trend || s->has_trend || a->job)
        s->on_trend = !s->on_trend; /* else reading was stopped: it begins again */
    if (s->on_trend && !s->has_trend)
        sessions_job_trend(a);
}

static void move(struct sessions_state *s, int by)
{
    if (s->on_difference)
        widget_scroll_move(&s->difference_scroll, s->difference.n, by);
    else
        widget_scroll_move(&s->scroll, s->n_shown, by);
}

static bool steer(struct app *a, enum action what)
{
    struct sessions_state *s = a->sessions;
    int rows = s->on_difference ? s->difference_rows : s->rows.height, page = rows > 2 ? rows - 1 : 1;
    switch (what) {
    case ACTION_UP:
    case ACTION_DOWN:
        move(s, what == ACTION_DOWN ? 1 : -1);
        return true;
    case ACTION_PAGE_UP:
        move(s, -page);
        return true;
    case ACTION_PAGE_DOWN:
        move(s, page);
        return true;
    case ACTION_HOME:
        move(s, -(1 << 20));
        return true;
    case ACTION_END:
        move(s, 1 << 20);
        return true;
    case ACTION_LEFT:
    case ACTION_RIGHT:
        if (s->on_trend && s->trend.n_keys > 0)
            s->trend_key =
                (s->trend_key + (what == ACTION_RIGHT ? 1 : s->trend.n_keys - 1)) % s->trend.n_keys;
        return true;
    default:
        return false;
    }
}

/* What needs a session under the cursor. */
static bool act_on(struct app *a, enum action what, const struct session_entry *e)
{
    struct sessions_state *s = a->sessions;
    switch (what) {
    case ACTION_CHOOSE:
    case ACTION_OPEN:
        if (e)
            sessions_job_open(a, e->path);
        return true;
    case ACTION_TOGGLE:
        if (e)
            mark(a, e);
        return true;
    case ACTION_COMPARE:
        if (e && s->base[0] && strcmp(s->base, e->path) != 0)
            sessions_job_compare(a, s->base, e->path);
        else if (e)
            mark(a, e);
        return true;
    case ACTION_EXPORT:
        if (e)
            saving_export(a, e->path, e->id);
        return true;
    case ACTION_DELETE:
        if (e)
            ask_delete(a, e);
        return true;
    case ACTION_RERUN:
        if (e)
            sessions_job_rerun(a, e->path);
        return true;
    case ACTION_RESUME:
        if (e)
            resume(a, e);
        return true;
    default:
        return false;
    }
}

static bool back(struct sessions_state *s)
{
    if (s->on_difference)
        s->on_difference = false;
    else if (s->filter.text[0])
        widget_entry_set(&s->filter, "");
    else if (s->on_trend)
        s->on_trend = false;
    else if (s->base[0])
        s->base[0] = 0;
    else
        return false;
    arrange(s);
    return true;
}

static bool can(const struct app *a, enum action what)
{
    const struct sessions_state *s = a->sessions;
    const struct session_entry *e = sessions_selected(s);
    switch (what) {
    case ACTION_RESUME:
        return e && !e->damaged && !s->on_difference && e->status != SESSION_COMPLETE && !app_running(a);
    case ACTION_DELETE:
        return e && !s->on_difference;
    case ACTION_OPEN:
    case ACTION_CHOOSE:
    case ACTION_COMPARE:
    case ACTION_RERUN:
    case ACTION_EXPORT:
        return e && !e->damaged && !s->on_difference;
    case ACTION_TOGGLE:
    case ACTION_SORT:
    case ACTION_SORT_REVERSE:
    case ACTION_FILTER:
    case ACTION_CYCLE:
        return s->n > 0 && !s->on_difference;
    default:
        return true;
    }
}

static bool action(struct app *a, enum action what)
{
    struct sessions_state *s = a->sessions;
    if (steer(a, what))
        return true;
    if (what == ACTION_BACK)
        return back(s);
    if (s->on_difference && !can(a, what)) {
        app_say(a, false, "Esc leaves the comparison first");
        return true;
    }
    switch (what) {
    case ACTION_CYCLE:
        toggle_trend(a);
        return true;
    case ACTION_SORT:
        s->sort = (enum sessions_sort)(((int)s->sort + 1) % SESSIONS_SORTS);
        arrange(s);
        return true;
    case ACTION_SORT_REVERSE:
        s->reverse = !s->reverse;
        arrange(s);
        return true;
    case ACTION_FILTER:
        s->filtering = true;
        return true;
    default:
        return act_on(a, what, sessions_selected(s));
    }
}

static void click(struct app *a, int x, int y)
{
    struct sessions_state *s = a->sessions;
    int at = s->scroll.top + y - s->rows.y;
    if (!s->on_difference && widget_hit(s->rows, x, y) && at < s->n_shown)
        s->scroll.cursor = at;
}

/* drawing */

/* Of "2026-11-21T06:30:12Z" as much as the column takes: "2026-11-21 06:30:12", without seconds, "11-21
 * 06:30". */
static void date_text(char out[24], const struct session_entry *e, int width)
{
    bool year = width >= 16, seconds = width > 16;
    if (strlen(e->started) < 19)
        snprintf(out, 24, "%.20s", e->started[0] ? e->started : "no date");
    else
        snprintf(out, 24, "%.*s %.*s", year ? 10 : 5, e->started + (year ? 0 : 5), seconds ? 8 : 5,
                 e->started + 11);
}

static void draw_row(const struct app *a, const struct widget_table *t, int y, const struct session_entry *e)
{
    char date[24], size[FORMAT_TEXT];
    bool own = is_own_run(a, e);
    date_text(date, e, t->column[1].width);
    if (strcmp(a->sessions->base, e->path) == 0)
        widget_table_cell(t, y, 0, STYLE_KEY, "\xe2\x97\x8f");
    widget_table_cell(t, y, 1, STYLE_TEXT, date);
    widget_table_cell(t, y, 2, STYLE_TEXT, e->preset);
    widget_table_cell(t, y, 3, STYLE_TEXT, e->models);
    widget_table_cell(t, y, 4,
                      own                             ? STYLE_GOOD
                      : e->status == SESSION_COMPLETE ? STYLE_TEXT
                      : e->status == SESSION_FAILED   ? STYLE_ERROR
                                                      : STYLE_WARNING,
                      own                            ? "running"
                      : e->status == SESSION_RUNNING ? "interrupted"
                                                     : session_entry_status(e));
    if (e->cells_ok == e->cells && e->cells > 999) /* "1024/1024" has no room, and says it twice */
        widget_table_format(t, y, 5, STYLE_TEXT, "%d", e->cells);
    else
        widget_table_format(t, y, 5, e->cells_ok < e->cells ? STYLE_WARNING : STYLE_TEXT, "%d/%d",
                            e->cells_ok, e->cells);
    widget_table_cell(t, y, 6, STYLE_DIM, format_bytes(size, (double)e->bytes));
}

static void draw_filter(const struct sessions_state *s, struct grid *g, struct rect *in)
{
    if (!s->filtering && !s->filter.text[0])
        return;
    struct rect top = layout_top(in, 1);
    grid_text(g, top.x, top.y, 1, STYLE_KEY, "/");
    if (s->filtering)
        widget_entry_draw(g, top.x + 2, top.y, top.width - 2, &s->filter);
    else
        grid_text(g, top.x + 2, top.y, top.width - 2, STYLE_KEY, s->filter.text);
}

static void list_note(const struct sessions_state *s, char *out, size_t size)
{
    double bytes = 0;
    char text[FORMAT_TEXT];
    for (int i = 0; i < s->n; i++)
        bytes += (double)s->entry[i].bytes;
    if (s->n_shown < s->n)
        snprintf(out, size, "%d of %d shown", s->n_shown, s->n);
    else if (s->n > 0)
        snprintf(out, size, "%d of %d" DOT "%s", s->scroll.cursor + 1, s->n, format_bytes(text, bytes));
    else
        snprintf(out, size, "%s", "");
}

static void draw_list(struct app *a, struct grid *g, struct rect r)
{
    static const struct widget_column columns[] = {
        {"", 1, 1, false, false},       {"started", 16, 1, false, false}, {"preset", 14, 2, false, true},
        {"models", 16, 4, false, true}, {"status", 11, 2, false, false},  {"cells", 7, 3, true, false},
        {"size", 9, 5, true, false},
    };
    static const int sorted[SESSIONS_SORTS] = {1, 2, 3, 4, 5, 6};
    struct sessions_state *s = a->sessions;
    struct widget_column column[7];
    char note[64], title[48];
    list_note(s, note, sizeof note);
    struct rect in = widget_panel(g, r, "Sessions", note, true);
    if (s->list_error.text[0] || s->n == 0) {
        const char *words = s->list_error.text[0] ? s->list_error.text
                            : s->listed           ? "No saved sessions yet: every run is saved here."
                            : !a->job             ? "The list was not read: 4 reads it."
                                                  : "";
        widget_paragraph(g, in, s->list_error.text[0] ? STYLE_ERROR : STYLE_DIM, words);
        return;
    }
    draw_filter(s, g, &in);
    memcpy(column, columns, sizeof column);
    column[1].width = r.width >= 90 ? 19 : r.width >= 56 ? 16 : 11;
    if (r.width < 56)
        column[2].width = 8;
    struct widget_column *by = &column[sorted[s->sort]];
    if (s->sort != SESSIONS_DATE || s->reverse) {
        snprintf(title, sizeof title, "%s%s", by->title, s->reverse ? "\xe2\x96\xbc" : "\xe2\x96\xb2");
        by->title = title;
    }
    struct widget_table t;
    widget_table_begin(&t, g, in, column, 7);
    s->rows = t.area;
    widget_scroll_fit(&s->scroll, s->n_shown, t.area.height);
    if (s->n_shown == 0)
        widget_paragraph(g, t.area, STYLE_DIM, "No session matches: Esc clears the filter.");
    for (int y = 0; y < t.area.height && s->scroll.top + y < s->n_shown; y++) {
        draw_row(a, &t, y, &s->entry[s->shown[s->scroll.top + y]]);
        if (s->scroll.top + y == s->scroll.cursor)
            widget_table_select(&t, y, true);
    }
    widget_scrollbar(g, r, &s->scroll, s->n_shown, t.area.height);
}

static void draw_trend(struct app *a, struct grid *g, struct rect r)
{
    struct sessions_state *s = a->sessions;
    const struct session_entry *e = sessions_selected(s);
    char name[400] = "", note[64] = "";
    if (s->has_trend && s->trend_key >= 0) {
        history_name(&s->trend, s->trend_key, name, sizeof name);
        snprintf(note, sizeof note, "%d of %d, \xe2\x86\x90 \xe2\x86\x92", s->trend_key + 1, s->trend.n_keys);
    }
    char title[440];
    snprintf(title, sizeof title, "Trend%s%s", name[0] ? "  " : "", name);
    struct rect in = widget_panel(g, r, title, note, false);
    if (!s->has_trend)
        widget_paragraph(g, in, STYLE_DIM,
                         a->job ? "Reading the saved sessions." : "Stopped: v reads them again.");
    else
        trend_draw(g, in, &s->trend, s->trend_key, s->trend_key >= 0 ? &s->judged[s->trend_key] : NULL,
                   e ? e->id : "");
}

/* What can be done with the session under the cursor, and where it lies. */
static void draw_selected(struct app *a, struct grid *g, struct rect r)
{
    const struct session_entry *e = sessions_selected(a->sessions);
    struct rect in = widget_panel(g, r, e ? e->id : "", "", false);
    char path[520];
    if (!e)
        return;
    const char *words =
        strcmp(a->sessions->base, e->path) == 0 ? "The base: c on another session compares that one with it."
        : a->sessions->base[0]                  ? "c compares this one with the base; Esc forgets the base."
        : is_own_run(a, e)                      ? "This run is in progress: 2 shows it."
        : e->damaged                    ? "The file is damaged, cut short perhaps: nothing measured can be "
                                          "read from it; d deletes it."
        : e->status == SESSION_COMPLETE ? "Enter shows it, R takes its preset to Setup, c compares "
                                          "it with another, v shows cells over time."
                                        : "It did not end: u goes on with it and keeps its complete "
                                          "cells; Enter shows what was measured.";
    grid_text(g, in.x, in.y, in.width, STYLE_TEXT, e->models);
    path_text(path, sizeof path, e->path);
    grid_text(g, in.x, in.y + 1, in.width, STYLE_DIM, path);
    in.y += 2;
    in.height -= 2;
    widget_paragraph(g, in, STYLE_DIM, words);
}

static void draw(struct app *a, struct grid *g, struct rect r)
{
    struct sessions_state *s = a->sessions;
    if (!a->job)
        s->listing = NULL; /* Esc may have ended it */
    s->rows = (struct rect){0};
    s->stale |= s->running && !app_running(a);
    s->running = app_running(a);
    if (s->stale && !a->job) {
        s->stale = false;
        sessions_job_list(a);
    }
    if (s->on_difference) {
        s->difference_rows = difference_draw(g, r, &s->difference, &s->difference_scroll);
        return;
    }
    if (s->on_trend && r.height < 16) {
        draw_trend(a, g, r);
        return;
    }
    int below = s->on_trend ? r.height * 3 / 5 < 22 ? r.height * 3 / 5 : 22 : r.height >= 16 ? 6 : 0;
    struct rect bottom = layout_bottom(&r, s->n > 0 ? below : 0);
    draw_list(a, g, r);
    if (bottom.height > 0 && s->on_trend)
        draw_trend(a, g, bottom);
    else if (bottom.height > 0)
        draw_selected(a, g, bottom);
}

const struct view view_sessions = {.name = "Sessions",
                                   .init = init,
                                   .free = release,
                                   .enter = enter,
                                   .action = action,
                                   .text = text,
                                   .draw = draw,
                                   .can = can,
                                   .click = click};
