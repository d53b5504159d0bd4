#include "engine/text.h"
#include "tui/format.h"
#include "tui/plot.h"
#include "tui/theme.h"
#include "tui/view_setup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MODEL, WORKLOAD, BATCH, SEQ, WEIGHTS, CACHE, PEAK, BAR, LIMIT, TIME };

static const struct widget_column columns[] = {
    [MODEL] = {"model", 11, 1, false, false},      [WORKLOAD] = {"work", 8, 4, false, false},
    [BATCH] = {"batch", 5, 2, true, false},        [SEQ] = {"seq", 5, 2, true, false},
    [WEIGHTS] = {"weights", 7, 6, true, false},    [CACHE] = {"KV", 6, 7, true, false},
    [PEAK] = {"peak", 6, 3, true, false},          [BAR] = {"of memory", 10, 5, false, true},
    [LIMIT] = {"limit tok/s", 11, 5, true, false}, [TIME] = {"time", 7, 3, true, false},
};

bool setup_plan_action(struct app *a, enum action what)
{
    struct setup_state *s = a->setup;
    int page = s->plan_rows > 2 ? s->plan_rows - 1 : 1, n = a->plan.n_cells;
    switch (what) {
    case ACTION_UP:
        widget_scroll_move(&s->plan, n, -1);
        return true;
    case ACTION_DOWN:
        widget_scroll_move(&s->plan, n, 1);
        return true;
    case ACTION_PAGE_UP:
        widget_scroll_move(&s->plan, n, -page);
        return true;
    case ACTION_PAGE_DOWN:
        widget_scroll_move(&s->plan, n, page);
        return true;
    case ACTION_HOME:
        s->plan.cursor = 0;
        return true;
    case ACTION_END:
        widget_scroll_move(&s->plan, n, n);
        return true;
    default:
        return false;
    }
}

static void headline(const struct app *a, char *out, size_t size)
{
    char time[FORMAT_TEXT];
    const struct plan *p = &a->plan;
    if (a->plan_error.text[0])
        snprintf(out, size, "Plan  impossible as it stands");
    else if (p->n_cells > 0 && p->n_unfit == p->n_cells)
        snprintf(out, size, "Plan  nothing fits");
    else
        snprintf(out, size, "Plan  %d %s \xc3\x97 %d %s \xc2\xb7 about %s", p->n_cells,
                 p->n_cells == 1 ? "cell" : "cells", a->preset.n_arms, a->preset.n_arms == 1 ? "arm" : "arms",
                 format_duration(time, p->time_s));
}

const struct plan_arm *setup_left_out(const struct app *a, int arm, int *cells)
{
    const struct plan_arm *first = NULL;
    *cells = 0;
    for (int i = 0; i < a->plan.n_cells && arm < a->preset.n_arms; i++) {
        const struct plan_cell *c = &a->plan.cell[i];
        bool runs = c->supported && c->fits;
        if (!runs || (c->arm[arm].supported && c->arm[arm].fits))
            continue;
        first = first ? first : &c->arm[arm];
        (*cells)++;
    }
    return first;
}

/* "B sparse-25, C sparse-40 do not run: no rotation of ... is known: run ..."; "" where every arm does. */
static void left_out_line(const struct app *a, char *out, size_t size)
{
    const struct plan_arm *why = NULL;
    int cells, most = 0, arms = 0, whole = a->plan.n_cells - a->plan.n_unfit - a->plan.n_unsupported;
    struct text line = text_in(out, size);
    text_add(&line, "");
    for (int arm = 1; arm < a->preset.n_arms; arm++) {
        const struct plan_arm *here = setup_left_out(a, arm, &cells);
        if (!here)
            continue;
        text_format(&line, "%s%c %s", arms++ ? ", " : "", theme_arm_letter(arm), a->preset.arms[arm].name);
        why = why ? why : here;
        most = cells > most ? cells : most;
    }
    if (why && most < whole)
        text_format(&line, " left out in %d of %d cells: %s", most, whole, why->reason);
    else if (why)
        text_format(&line, " %s: %s", arms > 1 ? "do not run" : "does not run", why->reason);
}

/* What to know before pressing r, in one line; what binds is left out where it has no room. */
static void summary_line(const struct app *a, int width, char *out, size_t size)
{
    const struct plan *p = &a->plan;
    size_t used = 0;
    if (p->n_unfit == p->n_cells && p->n_cells > 0) {
        snprintf(out, size, "nothing of this fits: a smaller model, batch or sequence does, or int8");
        return;
    }
    if (p->n_unfit > 0)
        used +=
            (size_t)snprintf(out + used, size - used, "%d of %d cells too large for this machine, left out",
                             p->n_unfit, p->n_cells);
    else
        used += (size_t)snprintf(out + used, size - used, "everything fits");
    if (p->n_unsupported > 0 && used < size)
        used += (size_t)snprintf(out + used, size - used, "; %d with arms that do not run here",
                                 p->n_unsupported);
    if (!a->device.measured && strcmp(a->device.id, "fake") != 0 && used < size)
        used += (size_t)snprintf(out + used, size - used, "; limits are estimates (M measures)");
    if (a->preset.budget_s > 0 && p->time_s > a->preset.budget_s && used < size)
        used += (size_t)snprintf(out + used, size - used, "; the budget ends it earlier");
    char bound[64] = "";
    if (p->n_memory_bound + p->n_compute_bound > 0)
        snprintf(bound, sizeof bound, "; %d memory-bound, %d compute-bound", p->n_memory_bound,
                 p->n_compute_bound);
    if (grid_columns(out) + grid_columns(bound) <= width && used < size)
        snprintf(out + used, size - used, "%s", bound);
}

/* Everything of a cell in its order of importance; what stands in the way instead of figures. */
static void draw_cell(const struct app *a, const struct widget_table *t, int row, const struct plan_cell *c)
{
    const struct plan *p = &a->plan;
    char text[FORMAT_TEXT];
    enum style style = c->fits && c->supported ? STYLE_TEXT : STYLE_DIM;
    int64_t weights = 0, cache = 0;
    double limit = NAN;
    for (int i = 0; i < a->preset.n_arms; i++) {
        if (!c->arm[i].supported)
            continue;
        weights = c->arm[i].memory.weights > weights ? c->arm[i].memory.weights : weights;
        cache = c->arm[i].memory.kv_cache > cache ? c->arm[i].memory.kv_cache : cache;
        limit = fmax(limit, c->arm[i].limit_tokens_per_second);
    }
    widget_table_cell(t, row, MODEL, style, c->model < p->n_models ? p->model[c->model].name : "");
    widget_table_cell(t, row, WORKLOAD, style, workload_names[c->workload]);
    widget_table_format(t, row, BATCH, style, "%d", c->batch);
    widget_table_format(t, row, SEQ, style, "%d", c->seq);
    if (!c->supported) {
        int x = widget_table_has(t, WEIGHTS) ? t->x[WEIGHTS]
                : widget_table_has(t, PEAK)  ? t->x[PEAK]
                                             : t->area.x + 20;
        grid_text(t->grid, x, t->area.y + row, t->area.x + t->area.width - x, STYLE_WARNING, c->reason);
        return;
    }
    widget_table_cell(t, row, WEIGHTS, style, format_gib(text, (double)weights));
    widget_table_cell(t, row, CACHE, style, format_gib(text, (double)cache));
    widget_table_cell(t, row, PEAK, c->fits ? STYLE_BOLD : STYLE_WARNING,
                      format_gib(text, (double)c->peak_bytes));
    double share = p->memory_bytes > 0 ? (double)c->peak_bytes / (double)p->memory_bytes : NAN;
    int x = widget_table_has(t, BAR) ? t->x[BAR] : t->area.x + t->area.width;
    if (!c->fits) {
        int room = t->area.x + t->area.width - x;
        char text_short[64], excess[FORMAT_TEXT];
        snprintf(text_short, sizeof text_short, "%s too much",
                 format_bytes(excess, (double)(c->peak_bytes - p->memory_free_bytes)));
        bool whole = grid_columns(c->reason) <= room || c->peak_bytes <= p->memory_free_bytes;
        grid_text(t->grid, x, t->area.y + row, room, STYLE_WARNING, whole ? c->reason : text_short);
        return;
    }
    if (widget_table_has(t, BAR)) {
        int width = t->width[BAR] - 6 > 4 ? t->width[BAR] - 6 : t->width[BAR];
        plot_bar(t->grid, x, t->area.y + row, width, share, STYLE_BAR);
        if (width < t->width[BAR])
            grid_text_right(t->grid, x + t->width[BAR], t->area.y + row, 6, STYLE_DIM,
                            format_percent(text, share));
    }
    widget_table_cell(t, row, LIMIT, a->device.measured ? STYLE_TEXT : STYLE_DIM, format_rate(text, limit));
    widget_table_cell(t, row, TIME, style, format_duration(text, c->time_s));
}

void setup_plan_draw(struct app *a, struct grid *g, struct rect r)
{
    struct setup_state *s = a->setup;
    const struct plan *p = &a->plan;
    bool focus = s->focus == SETUP_PLAN;
    char title[128], note[64] = "", line[512], text[FORMAT_TEXT];
    headline(a, title, sizeof title);
    if (p->memory_free_bytes > 0 && !a->plan_error.text[0])
        snprintf(note, sizeof note, "GiB; %s free", format_bytes(text, (double)p->memory_free_bytes));
    if (r.height < 3) {
        grid_text(g, r.x + 1, r.y, r.width - 2, a->plan_error.text[0] ? STYLE_ERROR : STYLE_TEXT,
                  a->plan_error.text[0] ? a->plan_error.text : title);
        return;
    }
    struct rect in = widget_panel(g, r, title, note, focus);
    if (a->plan_error.text[0]) {
        widget_paragraph(g, in, STYLE_ERROR, a->plan_error.text);
        return;
    }
    if (in.height >= 3) {
        enum style style = STYLE_WARNING;
        left_out_line(a, line, sizeof line);
        if (focus && s->plan.cursor < p->n_cells && p->cell[s->plan.cursor].reason[0])
            snprintf(line, sizeof line, "%s", p->cell[s->plan.cursor].reason);
        else if (!line[0]) {
            style = STYLE_DIM;
            summary_line(a, in.width, line, sizeof line);
        }
        int room = in.height - 1 - p->n_cells, lines = style == STYLE_DIM || room < 1 ? 1
                                                       : room > 3                     ? 3
                                                                                      : room;
        struct rect bottom = layout_bottom(&in, lines);
        if (lines > 1)
            widget_paragraph(g, bottom, style, line);
        else
            grid_text(g, bottom.x, bottom.y, bottom.width, style, line);
    }
    struct widget_table t;
    widget_table_begin(&t, g, in, columns, (int)(sizeof columns / sizeof columns[0]));
    s->plan_rows = t.area.height;
    widget_scroll_fit(&s->plan, p->n_cells, t.area.height);
    for (int row = 0; row < t.area.height && s->plan.top + row < p->n_cells; row++) {
        draw_cell(a, &t, row, &p->cell[s->plan.top + row]);
        if (focus && s->plan.top + row == s->plan.cursor)
            widget_table_select(&t, row, true);
    }
    widget_scrollbar(g, r, &s->plan, p->n_cells, t.area.height);
}
