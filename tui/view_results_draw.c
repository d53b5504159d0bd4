#include "tui/view_results_draw.h"

#include "tui/layout.h"
#include "tui/results_ablation.h"
#include "tui/results_dashboard.h"
#include "tui/results_details.h"
#include "tui/results_pictures.h"
#include "tui/results_responses.h"
#include "tui/results_table.h"
#include "tui/theme.h"

#include <stdio.h>
#include <string.h>

#define DOT " \xc2\xb7 "

enum { PANELS = 5 };

static const char *const picture_names[PICTURES] = {"Details",  "Speed-up", "Memory",    "Roofline",
                                                    "Criteria", "Ablation", "Responses", "Dashboard"};

static bool any_responses(const struct session *s)
{
    for (int c = 0; c < s->n_cells; c++)
        if (results_responses_has(s, c))
            return true;
    return false;
}

bool view_results_is_there(const struct results_state *s, enum picture p)
{
    switch (p) {
    case PICTURE_CRITERIA:
        return s->data.n_criteria > 0;
    case PICTURE_ABLATION:
        return s->of->preset.design.n_factors > 0;
    case PICTURE_SPEEDUP:
        return s->data.n_arms > 1;
    case PICTURE_RESPONSES:
        return any_responses(s->of);
    case PICTURE_DASHBOARD:
        return dashboard_fits(s->of);
    default:
        return true;
    }
}

/* Pictures that want the whole width. */
static bool takes_all(enum picture p)
{
    return p == PICTURE_RESPONSES || p == PICTURE_DASHBOARD;
}

bool view_results_scrolls(enum picture p)
{
    return p == PICTURE_DETAILS || takes_all(p);
}

static const struct results_row *selected(const struct results_state *s)
{
    if (s->scroll.cursor < 0 || s->scroll.cursor >= s->data.n_shown)
        return NULL;
    return &s->data.row[s->data.shown[s->scroll.cursor]];
}

static void draw_filter(const struct results_state *s, struct grid *g, struct rect *in)
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

static void draw_table(struct app *a, struct grid *g, struct rect r, bool focus)
{
    struct results_state *s = a->results;
    const struct results *data = &s->data;
    char title[160], note[224];
    results_table_title(data, a->session, r.width, title, sizeof title);
    /* Which session this is, where the line has room for it. */
    const char *id = a->session->id;
    bool named = id[0] && grid_columns(title) + grid_columns(id) + 24 < r.width;
    int used = snprintf(note, sizeof note, "%s%s", named ? id : "", named ? DOT : "");
    if (data->n_shown < data->n)
        snprintf(note + used, sizeof note - (size_t)used, "%d of %d shown", data->n_shown, data->n);
    else
        snprintf(note + used, sizeof note - (size_t)used, "%d of %d", data->n ? s->scroll.cursor + 1 : 0,
                 data->n);
    struct rect in = widget_panel(g, r, title, note, focus);
    draw_filter(s, g, &in);
    s->rows = results_table_draw(g, in, data, a->session, &s->scroll, focus);
    s->table = r;
    widget_scrollbar(g, r, &s->scroll, data->n_shown, s->rows.height);
}

/* The cell, or the first one that has responses where it has none. */
static int answering_cell(const struct session *s, int cell)
{
    for (int c = 0; c < s->n_cells && !results_responses_has(s, cell); c++)
        if (results_responses_has(s, c))
            return c;
    return cell;
}

/* The lines of one of those that scroll, from `top` on; how many there are. */
static int draw_lines(struct app *a, struct grid *g, struct rect in, int top, enum picture which,
                      const struct results_row *row)
{
    struct results *data = &a->results->data;
    if (which == PICTURE_RESPONSES)
        return results_responses_draw(g, in, top, a->session, answering_cell(a->session, row->cell));
    if (which == PICTURE_DASHBOARD)
        return results_dashboard_draw(g, in, top, a->session, row->cell,
                                      results_dashboard(data, a->session, row->cell));
    return results_details_draw(g, in, top, data, a->session, row);
}

/* The first picture scrolls, one beside it shows its beginning. */
static void draw_sheet(struct app *a, struct grid *g, struct rect panel, struct rect in, enum picture which,
                       const struct results_row *row)
{
    struct results_state *s = a->results;
    if (which != s->picture) {
        draw_lines(a, g, in, 0, which, row);
        return;
    }
    s->details_height = in.height;
    s->details_lines = draw_lines(a, g, in, s->details_top, which, row);
    int most = s->details_lines - in.height;
    if (s->details_top > most)
        s->details_top = most > 0 ? most : 0;
    struct widget_scroll scroll = {.top = s->details_top, .cursor = s->details_top};
    widget_scrollbar(g, panel, &scroll, s->details_lines, in.height);
}

static void draw_picture(struct app *a, struct grid *g, struct rect r, enum picture which, bool focus)
{
    struct results_state *s = a->results;
    const struct results_row *row = selected(s);
    char title[160], note[128] = "";
    snprintf(title, sizeof title, "%s", picture_names[which]);
    if (row && which == PICTURE_DETAILS) {
        char name[128];
        results_short_name(&s->data, a->session, row->cell, name, sizeof name);
        snprintf(title, sizeof title, "%c %.40s" DOT "%.100s", theme_arm_letter(row->arm),
                 a->session->cell[row->cell].arm[row->arm].name, name);
    }
    if (row && which == PICTURE_RESPONSES)
        results_short_name(&s->data, a->session, answering_cell(a->session, row->cell), note, sizeof note);
    if (row && (which == PICTURE_MEMORY || which == PICTURE_ROOFLINE || which == PICTURE_ABLATION))
        results_short_name(&s->data, a->session, row->cell, note, sizeof note);
    if (row && which == PICTURE_SPEEDUP)
        results_speedup_title(a->session, row, note, sizeof note);
    struct rect in = widget_panel(g, r, title, note, focus);
    if (which == PICTURE_CRITERIA) {
        results_criteria_draw(g, in, &s->data, a->session);
        return;
    }
    if (!row) {
        widget_paragraph(g, in, STYLE_DIM, "No row is chosen.");
        return;
    }
    if (view_results_scrolls(which)) {
        draw_sheet(a, g, r, in, which, row);
    } else if (which == PICTURE_SPEEDUP) {
        results_speedup_draw(g, in, &s->data, a->session, row);
    } else if (which == PICTURE_ABLATION) {
        results_ablation_draw(g, in, a->session, row->cell);
    } else if (which == PICTURE_MEMORY) {
        results_memory_draw(g, in, a->session, row);
    } else {
        results_roofline_draw(g, in, &s->data, a->session, row);
    }
}

/* Which pictures have something to show, beginning with the current one. */
static int choose_pictures(const struct results_state *s, int room, enum picture out[PANELS + 1])
{
    int n = 0;
    for (int i = 0; i < PICTURES && n < room; i++) {
        enum picture p = (enum picture)(((int)s->picture + i) % PICTURES);
        if (!view_results_is_there(s, p) && (p != PICTURE_CRITERIA || room < PICTURES))
            continue;
        out[n++] = p;
    }
    return n;
}

static void draw_panels(struct app *a, struct grid *g, struct rect r)
{
    struct results_state *s = a->results;
    s->table = s->rows = s->panel = (struct rect){0};
    s->small = r.height < 15 || r.width < 56;
    if (s->alone || s->small) {
        if (s->on_picture) {
            s->panel = r;
            draw_picture(a, g, r, s->picture, true);
        } else
            draw_table(a, g, r, true);
        return;
    }
    int wanted = s->data.n_shown + 3 + (s->filtering || s->filter.text[0]), most = r.height - 9;
    int half = r.height / 2;
    most = r.height >= 30 && most > half + 2 ? half + 2 : most > half ? half : most;
    struct rect top = layout_top(&r, wanted < 6 ? 6 : wanted < most ? wanted : most);
    draw_table(a, g, top, !s->on_picture);
    /* Answers stand side by side where they have the whole width. */
    int room = takes_all(s->picture) ? 1
               : r.width < 96        ? 1
               : r.width < 150       ? 2
               : r.width < 210       ? 3
               : r.width < 270       ? 4
                                     : 5;
    enum picture shown[PANELS + 1];
    bool stacked = room > 1 && room < PANELS && r.height >= 20;
    int n = choose_pictures(s, room + stacked, shown), columns = n - (stacked && n > room);
    for (int i = 0; i < columns; i++) {
        struct rect panel = layout_left(&r, i == columns - 1 ? r.width : r.width / (columns - i));
        if (i == columns - 1 && columns < n) { /* the last column has room for two */
            struct rect under = layout_bottom(&panel, panel.height / 2);
            draw_picture(a, g, under, shown[n - 1], false);
        }
        if (i == 0)
            s->panel = panel;
        draw_picture(a, g, panel, shown[i], s->on_picture && i == 0);
    }
}

/* As many lines as the sentence takes, within what the screen can give. */
static int sentence_lines(struct grid *g, struct rect r, const char *sentence)
{
    int room = r.height >= 24 ? 4 : r.height >= 20 ? 3 : r.height >= 15 ? 2 : 1;
    /* Outside of the grid nothing is drawn: this only counts. */
    int lines = widget_paragraph(g, (struct rect){0, -room, r.width - 2, room}, STYLE_TEXT, sentence);
    return lines < 1 ? 1 : lines;
}

static void draw_sentence(struct grid *g, struct rect r, const char *sentence)
{
    if (r.height == 1)
        grid_text(g, r.x + 1, r.y, r.width - 2, STYLE_SENTENCE, sentence);
    else
        widget_paragraph(g, (struct rect){r.x + 1, r.y, r.width - 2, r.height}, STYLE_SENTENCE, sentence);
}

void view_results_draw(struct app *a, struct grid *g, struct rect r)
{
    struct results_state *s = a->results;
    draw_sentence(g, layout_top(&r, sentence_lines(g, r, s->data.sentence)), s->data.sentence);
    draw_panels(a, g, r);
}
