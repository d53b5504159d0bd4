#include "tui/app.h"
#include "tui/dialog.h"
#include "tui/format.h"
#include "tui/saving.h"
#include "tui/widget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sessions_state {
    struct session_entry *entry; /* newest first */
    int n;
    struct error error; /* why the list could not be read */
    struct widget_scroll scroll;
    int rows_seen;
};

static int init(struct app *a, struct error *e)
{
    a->sessions = calloc(1, sizeof *a->sessions);
    return a->sessions ? 0 : error_set(e, ERROR_MEMORY, "no memory for a screen: close other programs");
}

static void release(struct app *a)
{
    if (!a->sessions)
        return;
    free(a->sessions->entry);
    free(a->sessions);
    a->sessions = NULL;
}

static void enter(struct app *a)
{
    struct sessions_state *s = a->sessions;
    struct session_entry *entry = NULL;
    int n = 0;
    memset(&s->error, 0, sizeof s->error);
    if (session_list(&entry, &n, &s->error) != 0)
        return;
    free(s->entry);
    s->entry = entry;
    s->n = n;
}

static void delete_entry(struct app *a, void *data)
{
    struct sessions_state *s = data;
    struct error e = {0};
    if (s->scroll.cursor >= s->n)
        return;
    if (session_delete(s->entry[s->scroll.cursor].path, &e) != 0)
        app_say(a, true, "%s", e.text);
    else
        app_say(a, false, "deleted");
    enter(a);
}

static bool action(struct app *a, enum action what)
{
    struct sessions_state *s = a->sessions;
    int page = s->rows_seen > 2 ? s->rows_seen - 1 : 1;
    switch (what) {
    case ACTION_UP:
        widget_scroll_move(&s->scroll, s->n, -1);
        return true;
    case ACTION_DOWN:
        widget_scroll_move(&s->scroll, s->n, 1);
        return true;
    case ACTION_PAGE_UP:
        widget_scroll_move(&s->scroll, s->n, -page);
        return true;
    case ACTION_PAGE_DOWN:
        widget_scroll_move(&s->scroll, s->n, page);
        return true;
    case ACTION_HOME:
        s->scroll.cursor = 0;
        return true;
    case ACTION_END:
        widget_scroll_move(&s->scroll, s->n, s->n);
        return true;
    case ACTION_CHOOSE:
    case ACTION_OPEN:
        if (s->scroll.cursor < s->n)
            saving_open_session(a, s->entry[s->scroll.cursor].path);
        return true;
    case ACTION_EXPORT:
        if (s->scroll.cursor < s->n)
            saving_export(a, s->entry[s->scroll.cursor].path, s->entry[s->scroll.cursor].id);
        return true;
    case ACTION_DELETE:
        if (s->scroll.cursor < s->n) {
            char question[160];
            snprintf(question, sizeof question, "Delete session %s?", s->entry[s->scroll.cursor].id);
            dialog_confirm(a, question, "delete", delete_entry, s);
        }
        return true;
    default:
        return false;
    }
}

static void draw(struct app *a, struct grid *g, struct rect r)
{
    static const struct widget_column columns[] = {
        {"session", 24, 1, false, true}, {"preset", 14, 3, false, false}, {"models", 16, 4, false, true},
        {"status", 9, 2, false, false},  {"cells", 7, 2, true, false},    {"size", 9, 3, true, false},
    };
    struct sessions_state *s = a->sessions;
    struct rect in = widget_panel(g, r, "Sessions", "", true);
    if (s->error.text[0] || s->n == 0) {
        widget_paragraph(g, in, s->error.text[0] ? STYLE_ERROR : STYLE_DIM,
                         s->error.text[0] ? s->error.text
                                          : "No saved sessions yet: every run is saved here.");
        return;
    }
    struct widget_table t;
    widget_table_begin(&t, g, in, columns, (int)(sizeof columns / sizeof columns[0]));
    s->rows_seen = t.area.height;
    widget_scroll_fit(&s->scroll, s->n, t.area.height);
    for (int row = 0; row < t.area.height && s->scroll.top + row < s->n; row++) {
        const struct session_entry *e = &s->entry[s->scroll.top + row];
        char text[FORMAT_TEXT];
        widget_table_cell(&t, row, 0, STYLE_TEXT, e->id);
        widget_table_cell(&t, row, 1, STYLE_TEXT, e->preset);
        widget_table_cell(&t, row, 2, STYLE_TEXT, e->models);
        widget_table_cell(&t, row, 3, e->status == SESSION_COMPLETE ? STYLE_TEXT : STYLE_WARNING,
                          session_status_names[e->status]);
        widget_table_format(&t, row, 4, STYLE_TEXT, "%d/%d", e->cells_ok, e->cells);
        widget_table_cell(&t, row, 5, STYLE_DIM, format_bytes(text, (double)e->bytes));
        if (s->scroll.top + row == s->scroll.cursor)
            widget_table_select(&t, row, true);
    }
    widget_scrollbar(g, r, &s->scroll, s->n, t.area.height);
}

const struct view view_sessions = {
    .name = "Sessions", .init = init, .free = release, .enter = enter, .action = action, .draw = draw};
