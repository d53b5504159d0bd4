#include "tui/app_draw.h"
#include "tui/dialog.h"
#include "tui/format.h"
#include "tui/job.h"
#include "tui/layout.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the last part of "a · b · c" begins, with the blank before its dot; NULL: there is one part. */
static char *last_dot(char *text)
{
    char *found = NULL;
    for (char *at = text; (at = strstr(at, " \xc2\xb7 ")) != NULL; at++)
        found = at;
    return found;
}

/* "throughput-vs-batch · cell 9 of 21 · ≤ 6:12" while a run is on, the device else. Where that is too long
 * for `room` columns the name goes first: what is left of the time matters more. */
static void corner_text(const struct app *a, int room, char *out, size_t size)
{
    if (app_running(a)) {
        double eta = engine_eta_s(a->engine);
        char left[FORMAT_TEXT] = "";
        if (isfinite(eta) && eta >= 0.05)
            format_duration(left, eta);
        int named = snprintf(out, size, "%.40s \xc2\xb7 ", engine_preset(a->engine)->name);
        snprintf(out + named, size - (size_t)named, "cell %d of %d%s%s%s", a->cell + 1,
                 a->live_session ? a->live_session->n_cells : 0, left[0] ? " \xc2\xb7 \xe2\x89\xa4 " : "",
                 left, a->paused ? " \xc2\xb7 paused" : "");
        if (grid_columns(out) > room)
            memmove(out, out + named, strlen(out + named) + 1);
    } else {
        bool tell = a->view == VIEW_SETUP && a->no_gpu[0];
        snprintf(out, size, "%s%s%s", a->device.title, tell ? " \xc2\xb7 " : "", tell ? a->no_gpu : "");
        for (char *dot; grid_columns(out) > room && (dot = last_dot(out)) != NULL;)
            *dot = 0;
    }
}

static void draw_tabs(struct app *a, struct grid *g, struct rect r)
{
    int x = r.x + 1, end = r.x + r.width;
    if (r.width >= 56) {
        grid_text(g, x, r.y, 8, STYLE_BOLD, "benchtop");
        x += 11;
    }
    for (int i = 0; i < VIEWS; i++) {
        char text[32];
        bool current = i == (int)a->view;
        snprintf(text, sizeof text, current && (g->ascii || g->monochrome) ? "[%s]" : " %s ",
                 app_views[i]->name);
        a->tab_x[i] = x;
        x += grid_text(g, x, r.y, end - x, current ? STYLE_TAB_CURRENT : STYLE_TAB, text);
        a->tab_x[i + 1] = x;
        x += r.width >= 60;
    }
    char corner[256];
    int room = end - x - 3;
    corner_text(a, room, corner, sizeof corner);
    if (room >= 12)
        grid_text_right(g, end - 1, r.y, room, app_running(a) ? STYLE_TEXT : STYLE_DIM, corner);
}

static int by_priority(const void *x, const void *y)
{
    const struct action_info *a = *(const struct action_info *const *)x,
                             *b = *(const struct action_info *const *)y;
    return a->priority != b->priority ? a->priority - b->priority : a < b ? -1 : 1;
}

void app_draw_status(const struct app *a, struct grid *g, struct rect r)
{
    const struct action_info *shown[64];
    int n = 0, x = r.x + 1, end = r.x + r.width - 1;
    grid_fill(g, r, ' ', STYLE_TEXT);
    grid_text_right(g, end, r.y, 6, STYLE_TEXT, "? help");
    grid_restyle(g, (struct rect){end - 6, r.y, 1, 1}, STYLE_KEY);
    end -= 8;
    if (a->message[0]) {
        if (grid_columns(a->message) <= end - x)
            grid_text(g, x, r.y, end - x, a->message_is_error ? STYLE_ERROR : STYLE_TEXT, a->message);
        return;
    }
    for (int i = 0; i < action_count && n < 64; i++) {
        const struct action_info *info = &action_table[i];
        if (info->priority > 0 && info->action != ACTION_HELP && (info->views >> a->view & 1u) &&
            app_can(a, info->action))
            shown[n++] = info;
    }
    qsort(shown, (size_t)n, sizeof *shown, by_priority);
    for (int i = 0; i < n; i++) {
        const char *key = shown[i]->key[0] == '\t' ? "tab" : shown[i]->keys;
        int length = (int)strcspn(key, " ");
        char word[16];
        snprintf(word, sizeof word, "%.*s", length < 12 ? length : 12, key);
        const char *hint = shown[i]->action == ACTION_PAUSE && a->paused ? "go on" : shown[i]->hint;
        if (shown[i]->action == ACTION_FREEZE && a->frozen)
            hint = "unfreeze";
        int width = length + 1 + grid_columns(hint);
        if (x + width > end)
            continue;
        grid_text(g, x, r.y, length, STYLE_KEY, word);
        grid_text(g, x + length + 1, r.y, end - x, STYLE_TEXT, hint);
        x += width + 3;
    }
}

/* A message too long for the status line: above it, over the view. */
static void draw_long_message(const struct app *a, struct grid *g, struct rect status)
{
    if (!a->message[0] || grid_columns(a->message) <= status.width - 10)
        return;
    int lines = grid_columns(a->message) / (status.width - 8) + 2;
    int most = g->height / 2;
    lines = lines < most ? lines : most;
    struct rect r = {status.x, status.y - lines, status.width, lines};
    grid_fill(g, r, ' ', STYLE_TEXT);
    grid_fill(g, (struct rect){r.x, r.y, r.width, 1}, glyph(g, GLYPH_HORIZONTAL),
              a->message_is_error ? STYLE_ERROR : STYLE_FRAME);
    r.x += 1;
    r.y += 1;
    r.width -= 2;
    /* The status line is free for the last words. */
    r.height = lines;
    struct rect text = r;
    text.width -= 8;
    widget_paragraph(g, text, a->message_is_error ? STYLE_ERROR : STYLE_TEXT, a->message);
}

void app_draw(struct app *a, struct grid *g)
{
    struct layout_frame f;
    grid_clear(g);
    if (!layout_frame(g->width, g->height, &f)) {
        char text[128];
        snprintf(text, sizeof text, "%d x %d is too small: benchtop needs %d x %d (q quits)", g->width,
                 g->height, LAYOUT_MIN_WIDTH, LAYOUT_MIN_HEIGHT);
        widget_paragraph(g, (struct rect){0, 0, g->width, g->height}, STYLE_TEXT, text);
        return;
    }
    draw_tabs(a, g, f.tabs);
    app_views[a->view]->draw(a, g, f.body);
    app_draw_status(a, g, f.status);
    if (a->job)
        job_draw(a, g, (struct rect){f.status.x, f.status.y - 1, f.status.width, 1});
    draw_long_message(a, g, f.status);
    dialog_draw(a, g);
}
