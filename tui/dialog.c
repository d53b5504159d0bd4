#include "tui/dialog.h"
#include "tui/layout.h"
#include "tui/screen.h"
#include "tui/widget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dialog_kind { DIALOG_HELP, DIALOG_PALETTE, DIALOG_MENU, DIALOG_CONFIRM, DIALOG_ENTRY };

struct dialog {
    enum dialog_kind kind;
    char title[256], verb[32], hint[256];
    struct dialog_item *item;
    int n;
    int *shown; /* indices of the items that match the filter */
    int n_shown;
    struct widget_scroll scroll;
    struct widget_entry entry;
    struct error error;
    void (*then_index)(struct app *a, int index, void *data);
    void (*then_yes)(struct app *a, void *data);
    bool (*then_text)(struct app *a, const char *text, void *data, struct error *e);
    void *data;
};

void dialog_close(struct app *a)
{
    if (!a->dialog)
        return;
    free(a->dialog->item);
    free(a->dialog->shown);
    free(a->dialog);
    a->dialog = NULL;
}

bool dialog_asks(const struct app *a, void (*then)(struct app *a, void *data))
{
    return a->dialog && a->dialog->kind == DIALOG_CONFIRM && a->dialog->then_yes == then;
}

static struct dialog *open_dialog(struct app *a, enum dialog_kind kind, const char *title)
{
    dialog_close(a);
    struct dialog *d = calloc(1, sizeof *d);
    if (!d) {
        app_say(a, true, "no memory for a dialog: close other programs");
        return NULL;
    }
    d->kind = kind;
    snprintf(d->title, sizeof d->title, "%s", title);
    a->dialog = d;
    return d;
}

static void apply_filter(struct dialog *d)
{
    d->n_shown = 0;
    for (int i = 0; i < d->n; i++) {
        char text[sizeof d->item[i].text + sizeof d->item[i].note + 1];
        snprintf(text, sizeof text, "%s %s", d->item[i].text, d->item[i].note);
        bool is_palette = d->kind == DIALOG_PALETTE;
        if (is_palette && d->item[i].disabled)
            continue; /* only what means something on this screen */
        if (widget_matches(is_palette ? d->item[i].text : text, d->entry.text))
            d->shown[d->n_shown++] = i;
    }
    if (d->scroll.cursor >= d->n_shown)
        d->scroll.cursor = 0;
}

static bool take_items(struct app *a, struct dialog *d, const struct dialog_item *item, int n)
{
    d->item = calloc((size_t)(n > 0 ? n : 1), sizeof *d->item);
    d->shown = calloc((size_t)(n > 0 ? n : 1), sizeof *d->shown);
    if (!d->item || !d->shown) {
        dialog_close(a);
        app_say(a, true, "no memory for a menu: close other programs");
        return false;
    }
    if (n > 0)
        memcpy(d->item, item, (size_t)n * sizeof *item);
    d->n = n;
    apply_filter(d);
    return true;
}

static void do_action(struct app *a, int index, void *data)
{
    (void)data;
    app_do(a, action_table[index].action);
}

void dialog_palette(struct app *a)
{
    struct dialog *d = open_dialog(a, DIALOG_PALETTE, "Command");
    struct dialog_item *item = calloc((size_t)action_count, sizeof *item);
    if (!d || !item) {
        free(item);
        dialog_close(a);
        return;
    }
    for (int i = 0; i < action_count; i++) {
        const struct action_info *info = &action_table[i];
        snprintf(item[i].text, sizeof item[i].text, "%s", info->name);
        snprintf(item[i].note, sizeof item[i].note, "%-6.8s %.110s", info->keys, info->help);
        item[i].disabled = !(info->views >> a->view & 1u);
    }
    if (take_items(a, d, item, action_count)) {
        d->then_index = do_action;
        snprintf(d->verb, sizeof d->verb, "do");
    }
    free(item);
}

void dialog_menu(struct app *a, const char *title, const struct dialog_item *item, int n, int cursor,
                 void (*then)(struct app *a, int index, void *data), void *data)
{
    struct dialog *d = open_dialog(a, DIALOG_MENU, title);
    if (!d || !take_items(a, d, item, n))
        return;
    d->then_index = then;
    d->data = data;
    d->scroll.cursor = cursor > 0 && cursor < n ? cursor : 0;
    snprintf(d->verb, sizeof d->verb, "choose");
}

void dialog_confirm(struct app *a, const char *question, const char *verb,
                    void (*then)(struct app *a, void *data), void *data)
{
    struct dialog *d = open_dialog(a, DIALOG_CONFIRM, question);
    if (!d)
        return;
    snprintf(d->verb, sizeof d->verb, "%s", verb);
    d->then_yes = then;
    d->data = data;
}

void dialog_entry(struct app *a, const char *title, const char *initial, const char *hint,
                  bool (*then)(struct app *a, const char *text, void *data, struct error *e), void *data)
{
    struct dialog *d = open_dialog(a, DIALOG_ENTRY, title);
    if (!d)
        return;
    widget_entry_set(&d->entry, initial);
    snprintf(d->hint, sizeof d->hint, "%s", hint ? hint : "");
    d->then_text = then;
    d->data = data;
}

void dialog_help(struct app *a)
{
    open_dialog(a, DIALOG_HELP, "Keys");
}

static void choose(struct app *a)
{
    struct dialog *d = a->dialog;
    if (d->n_shown == 0)
        return;
    int index = d->shown[d->scroll.cursor];
    if (d->item[index].disabled) {
        snprintf(d->error.text, sizeof d->error.text, "%s",
                 d->kind == DIALOG_PALETTE ? "this command means nothing on this screen"
                                           : d->item[index].note);
        return;
    }
    void (*then)(struct app *, int, void *) = d->then_index;
    void *data = d->data;
    dialog_close(a);
    then(a, index, data);
}

static void menu_key(struct app *a, int key)
{
    struct dialog *d = a->dialog;
    d->error.text[0] = 0;
    switch (key) {
    case KEY_CODE_ENTER:
        choose(a);
        return;
    case KEY_CODE_UP:
    case KEY_CODE_WHEEL_UP:
    case KEY_CODE_BACKTAB:
        widget_scroll_move(&d->scroll, d->n_shown, -1);
        return;
    case KEY_CODE_DOWN:
    case KEY_CODE_WHEEL_DOWN:
        widget_scroll_move(&d->scroll, d->n_shown, 1);
        return;
    case KEY_CODE_PAGE_UP:
        widget_scroll_move(&d->scroll, d->n_shown, -10);
        return;
    case KEY_CODE_PAGE_DOWN:
        widget_scroll_move(&d->scroll, d->n_shown, 10);
        return;
    case KEY_CODE_TAB: /* completes to what the cursor is on */
        if (d->n_shown > 0) {
            widget_entry_set(&d->entry, d->item[d->shown[d->scroll.cursor]].text);
            apply_filter(d);
        }
        return;
    default:
        if (widget_entry_key(&d->entry, key)) {
            d->scroll.cursor = 0;
            apply_filter(d);
        }
    }
}

static void entry_key(struct app *a, int key)
{
    struct dialog *d = a->dialog;
    d->error.text[0] = 0;
    if (key != KEY_CODE_ENTER) {
        widget_entry_key(&d->entry, key);
        return;
    }
    /* The callback may open the next dialog: this one is taken off first and put back if it says no. */
    a->dialog = NULL;
    struct error error = {0};
    bool done = d->then_text(a, d->entry.text, d->data, &error);
    struct dialog *next = a->dialog;
    a->dialog = d;
    if (done) {
        dialog_close(a);
        a->dialog = next;
    } else {
        d->error = error;
    }
}

static void help_key(struct app *a, int key)
{
    struct dialog *d = a->dialog;
    enum action action = action_of_key(key, a->view);
    int by = action == ACTION_DOWN        ? 1
             : action == ACTION_UP        ? -1
             : action == ACTION_PAGE_DOWN ? 10
             : action == ACTION_PAGE_UP   ? -10
             : action == ACTION_HOME      ? -1000
             : action == ACTION_END       ? 1000
                                          : 0;
    if (by == 0 && key != ' ')
        dialog_close(a);
    else
        widget_scroll_move(&d->scroll, action_count * 4, by ? by : 10); /* drawing knows the end */
}

void dialog_key(struct app *a, int key)
{
    if (key == KEY_CODE_ESCAPE) {
        dialog_close(a);
        return;
    }
    switch (a->dialog->kind) {
    case DIALOG_HELP:
        help_key(a, key);
        return;
    case DIALOG_PALETTE:
    case DIALOG_MENU:
        menu_key(a, key);
        return;
    case DIALOG_ENTRY:
        entry_key(a, key);
        return;
    case DIALOG_CONFIRM:
        if (key == KEY_CODE_ENTER || key == 'y') {
            void (*then)(struct app *, void *) = a->dialog->then_yes;
            void *data = a->dialog->data;
            dialog_close(a);
            then(a, data);
        } else if (key == 'n' || key == 'q') {
            dialog_close(a);
        }
        return;
    }
}

static struct rect box(struct grid *g, int width, int height, const char *title, const char *note)
{
    struct rect all = {0, 1, g->width, g->height - 2};
    struct rect r = layout_center(all, width, height);
    grid_fill(g, r, ' ', STYLE_TEXT);
    return widget_panel(g, r, title, note, true);
}

/* The next line of words that fits `width`, copied into out; returns where the rest begins. */
static const char *next_line(const char *text, int width, char *out, size_t size)
{
    size_t end = 0;
    for (size_t i = 0; text[i];) {
        size_t word = i + strspn(text + i, " ");
        word += strcspn(text + word, " ");
        snprintf(out, size, "%.*s", (int)word, text);
        if (end > 0 && grid_columns(out) > width)
            break;
        end = i = word;
    }
    snprintf(out, size, "%.*s", (int)end, text);
    return text + end + strspn(text + end, " ");
}

/* Draws the lines of one action that are inside r, from `row` on, and returns how many it has. */
static int help_lines(struct grid *g, struct rect r, int row, const struct action_info *info)
{
    bool wide = r.width >= 60;
    int x = wide ? 28 : 11, n = 0;
    char line[160];
    for (const char *rest = info->help; *rest || n == 0; n++) {
        rest = next_line(rest, r.width - x, line, sizeof line);
        if (row + n < 0 || row + n >= r.height)
            continue;
        if (n == 0)
            grid_text(g, r.x, r.y + row, 10, STYLE_KEY, info->keys);
        if (n == 0 && wide)
            grid_text(g, r.x + 11, r.y + row, 16, STYLE_TEXT, info->name);
        grid_text(g, r.x + x, r.y + row + n, r.width - x, wide ? STYLE_DIM : STYLE_TEXT, line);
    }
    return n;
}

/* All of it from line `top` on; returns how many lines there are. */
static int draw_help_lines(const struct app *a, struct grid *g, struct rect r, int top)
{
    int line = 0;
    for (int everywhere = 0; everywhere < 2; everywhere++) {
        char title[64];
        snprintf(title, sizeof title, everywhere ? "On every screen" : "On %s", app_views[a->view]->name);
        if (line >= top && line - top < r.height)
            grid_text(g, r.x, r.y + line - top, r.width, STYLE_TITLE, title);
        line++;
        for (int i = 0; i < action_count; i++) {
            bool all = action_table[i].views == ~0u;
            if (all == (everywhere == 1) && (action_table[i].views >> a->view & 1u))
                line += help_lines(g, r, line - top, &action_table[i]);
        }
    }
    return line;
}

static void draw_help(const struct app *a, struct grid *g)
{
    struct dialog *d = a->dialog;
    struct rect r = box(g, 112, action_count + 5, "Keys", "Esc close");
    struct rect first = layout_top(&r, 1);
    static const enum action always[] = {ACTION_QUIT, ACTION_BACK, ACTION_PALETTE};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        for (int k = 0; k < action_count; k++)
            if (action_table[k].action == always[i]) {
                first.x +=
                    grid_text(g, first.x, first.y, r.x + r.width - first.x, STYLE_KEY, action_table[k].keys) +
                    1;
                first.x += grid_text(g, first.x, first.y, r.x + r.width - first.x, STYLE_TEXT,
                                     action_table[k].name) +
                           3;
            }
    int items = draw_help_lines(a, g, (struct rect){r.x, r.y, r.width, 0}, 0);
    /* The cursor is the first line shown. */
    int last = items > r.height ? items - r.height : 0;
    if (d->scroll.cursor > last)
        d->scroll.cursor = last;
    int top = d->scroll.cursor;
    draw_help_lines(a, g, r, top);
    struct widget_scroll s = {top, top};
    widget_scrollbar(g, (struct rect){r.x - 2, r.y - 1, r.width + 4, r.height + 2}, &s, items, r.height);
}

static void draw_menu(const struct app *a, struct grid *g)
{
    struct dialog *d = a->dialog;
    int text_width = 12, note_width = 0;
    for (int i = 0; i < d->n; i++) {
        int t = grid_columns(d->item[i].text), n = grid_columns(d->item[i].note);
        text_width = t > text_width ? t : text_width;
        note_width = n > note_width ? n : note_width;
    }
    int width = text_width + note_width + 8;
    struct rect r = box(g,
                        width < 44    ? 44
                        : width > 100 ? 100
                                      : width,
                        d->n > 16 ? 20 : d->n + 5, d->title, "Enter choose, Esc close");
    struct rect top = layout_top(&r, 1);
    grid_text(g, top.x, top.y, 1, STYLE_KEY, d->kind == DIALOG_PALETTE ? ":" : "/");
    widget_entry_draw(g, top.x + 2, top.y, top.width - 2, &d->entry);
    if (d->error.text[0]) {
        struct rect bottom = layout_bottom(&r, 1);
        grid_text(g, bottom.x, bottom.y, bottom.width, STYLE_ERROR, d->error.text);
    }
    if (d->n_shown == 0) {
        grid_text(g, r.x, r.y, r.width, STYLE_DIM, "nothing matches: Backspace");
        return;
    }
    widget_scroll_fit(&d->scroll, d->n_shown, r.height);
    if (text_width > r.width - 2)
        text_width = r.width - 2;
    for (int row = 0; row < r.height && d->scroll.top + row < d->n_shown; row++) {
        int at = d->scroll.top + row;
        const struct dialog_item *item = &d->item[d->shown[at]];
        grid_text(g, r.x + 2, r.y + row, text_width, item->disabled ? STYLE_DIM : STYLE_TEXT, item->text);
        grid_text(g, r.x + 4 + text_width, r.y + row, r.width - 4 - text_width, STYLE_DIM, item->note);
        if (at == d->scroll.cursor) {
            grid_put(g, r.x, r.y + row, glyph(g, GLYPH_POINTER), STYLE_TEXT);
            grid_restyle(g, (struct rect){r.x, r.y + row, r.width, 1}, STYLE_SELECTED);
        }
    }
    widget_scrollbar(g, (struct rect){r.x - 2, r.y - 1, r.width + 4, r.height + 2}, &d->scroll, d->n_shown,
                     r.height);
}

static void draw_entry(const struct app *a, struct grid *g)
{
    const struct dialog *d = a->dialog;
    struct rect r = box(g, 72, 7, d->title, "Enter accept, Esc close");
    widget_entry_draw(g, r.x, r.y, r.width, &d->entry);
    r.y += 1;
    r.height -= 1;
    if (d->error.text[0])
        widget_paragraph(g, r, STYLE_ERROR, d->error.text);
    else
        widget_paragraph(g, r, STYLE_DIM, d->hint);
}

static void draw_confirm(const struct app *a, struct grid *g)
{
    const struct dialog *d = a->dialog;
    int width = grid_columns(d->title) + 4;
    int lines = width > 64 ? 2 : 1;
    struct rect r = box(g, width > 64 ? 68 : width < 40 ? 40 : width, 4 + lines, "", "");
    struct rect bottom = layout_bottom(&r, 1);
    widget_paragraph(g, r, STYLE_BOLD, d->title);
    int x = bottom.x;
    x += grid_text(g, x, bottom.y, bottom.width, STYLE_KEY, "Enter") + 1;
    x += grid_text(g, x, bottom.y, bottom.width, STYLE_TEXT, d->verb) + 3;
    x += grid_text(g, x, bottom.y, bottom.width, STYLE_KEY, "Esc") + 1;
    grid_text(g, x, bottom.y, bottom.x + bottom.width - x, STYLE_TEXT, "do not");
}

void dialog_draw(const struct app *a, struct grid *g)
{
    if (!a->dialog)
        return;
    switch (a->dialog->kind) {
    case DIALOG_HELP:
        draw_help(a, g);
        return;
    case DIALOG_PALETTE:
    case DIALOG_MENU:
        draw_menu(a, g);
        return;
    case DIALOG_ENTRY:
        draw_entry(a, g);
        return;
    case DIALOG_CONFIRM:
        draw_confirm(a, g);
        return;
    }
}
