#include "tui/app.h"
#include "tui/format.h"
#include "tui/theme.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row per arm of a cell. Summaries are made again when the session changed, never per frame. */
struct results_row {
    int cell, arm;
    bool has_summary;
    struct arm_summary summary;
};

struct results_state {
    struct results_row *row;
    int n;
    uint64_t version;
    const struct session *of;
    struct comparison *comparison; /* [cell * n_arms + arm] */
    struct widget_scroll scroll;
    int rows_seen;
};

static int init(struct app *a, struct error *e)
{
    a->results = calloc(1, sizeof *a->results);
    return a->results ? 0 : error_set(e, ERROR_MEMORY, "no memory for a screen: close other programs");
}

static void forget(struct results_state *s)
{
    free(s->row);
    free(s->comparison);
    s->row = NULL;
    s->comparison = NULL;
    s->n = 0;
    s->of = NULL;
}

static void session_changed(struct app *a)
{
    forget(a->results);
}

static void release(struct app *a)
{
    if (!a->results)
        return;
    forget(a->results);
    free(a->results);
    a->results = NULL;
}

static void enter(struct app *a)
{
    (void)a;
}

static void refresh(struct app *a)
{
    struct results_state *s = a->results;
    const struct session *session = a->session;
    if (!session || (s->of == session && s->version == a->session_version))
        return;
    forget(s);
    int n = 0;
    for (int c = 0; c < session->n_cells; c++)
        n += session->cell[c].n_arms;
    s->row = calloc((size_t)(n > 0 ? n : 1), sizeof *s->row);
    if (!s->row)
        return;
    for (int c = 0; c < session->n_cells; c++)
        for (int arm = 0; arm < session->cell[c].n_arms; arm++) {
            struct results_row *row = &s->row[s->n++];
            row->cell = c;
            row->arm = arm;
            row->has_summary = summary_arm(session, c, arm, &row->summary) == 0;
        }
    struct error e = {0};
    if (summary_comparisons(session, &s->comparison, &e) != 0)
        s->comparison = NULL;
    s->of = session;
    s->version = a->session_version;
}

static bool action(struct app *a, enum action what)
{
    struct results_state *s = a->results;
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
    default:
        return false;
    }
}

static void draw_row(const struct results_state *s, const struct session *session,
                     const struct widget_table *t, int at, int row)
{
    const struct results_row *r = &s->row[at];
    const struct session_cell *c = &session->cell[r->cell];
    const struct session_arm *arm = &c->arm[r->arm];
    char text[FORMAT_TEXT];
    widget_table_cell(t, row, 0, STYLE_TEXT, c->model);
    widget_table_cell(t, row, 1, STYLE_TEXT, workload_names[c->workload]);
    widget_table_format(t, row, 2, STYLE_TEXT, "%d", c->batch);
    widget_table_format(t, row, 3, STYLE_TEXT, "%d", c->seq);
    widget_table_cell(t, row, 4, theme_arm(r->arm), arm->name);
    if (!r->has_summary) {
        enum cell_status status = arm->status == CELL_PENDING ? c->status : arm->status;
        widget_table_cell(t, row, 9, STYLE_DIM, arm->reason[0] ? arm->reason : cell_status_names[status]);
        return;
    }
    widget_table_cell(t, row, 5, STYLE_TEXT, format_digits(text, r->summary.latency.mean, 4));
    double half = (r->summary.latency.ci.high - r->summary.latency.ci.low) / 2 / r->summary.latency.mean;
    widget_table_cell(t, row, 6, STYLE_DIM, format_percent(text, half));
    widget_table_cell(t, row, 7, STYLE_TEXT, format_rate(text, r->summary.tokens_per_second));
    const struct comparison *k = s->comparison ? &s->comparison[r->cell * c->n_arms + r->arm] : NULL;
    if (!k || r->arm == 0)
        return;
    if (isfinite(k->speedup))
        widget_table_format(t, row, 8, STYLE_TEXT, "%s\xc3\x97", format_digits(text, k->speedup, 3));
    widget_table_cell(t, row, 9, k->verdict == VERDICT_FASTER ? STYLE_GOOD : STYLE_TEXT,
                      k->final ? verdict_names[k->verdict] : "");
}

static void draw(struct app *a, struct grid *g, struct rect r)
{
    static const struct widget_column columns[] = {
        {"model", 12, 1, false, false},  {"workload", 8, 4, false, false}, {"batch", 5, 2, true, false},
        {"seq", 5, 2, true, false},      {"arm", 10, 1, false, false},     {"mean ms", 8, 1, true, false},
        {"\xc2\xb1", 6, 3, true, false}, {"tok/s", 7, 2, true, false},     {"speed-up", 8, 2, true, false},
        {"verdict", 12, 1, false, true},
    };
    struct results_state *s = a->results;
    refresh(a);
    struct rect in = widget_panel(g, r, "Results", a->session ? a->session->id : "", true);
    if (!a->session) {
        widget_paragraph(g, in, STYLE_DIM,
                         "No session yet: r in Setup runs one, Enter in Sessions opens a saved one.");
        return;
    }
    struct widget_table t;
    widget_table_begin(&t, g, in, columns, (int)(sizeof columns / sizeof columns[0]));
    s->rows_seen = t.area.height;
    widget_scroll_fit(&s->scroll, s->n, t.area.height);
    for (int row = 0; row < t.area.height && s->scroll.top + row < s->n; row++) {
        draw_row(s, a->session, &t, s->scroll.top + row, row);
        if (s->scroll.top + row == s->scroll.cursor)
            widget_table_select(&t, row, true);
    }
    widget_scrollbar(g, r, &s->scroll, s->n, t.area.height);
}

const struct view view_results = {.name = "Results",
                                  .init = init,
                                  .free = release,
                                  .enter = enter,
                                  .action = action,
                                  .draw = draw,
                                  .session_changed = session_changed};
