/* What is drawn over a view and takes the keys until it is closed: help, palette, menu, question, text entry.
 * One at a time; opening another replaces it. Callbacks run on the UI thread after the dialog was closed, so
 * that they may open the next. Strings and items are copied; `data` is handed through and stays the caller's.
 */
#pragma once

#include "presets/error.h"
#include "tui/app.h"

struct dialog_item {
    char text[96], note[128]; /* the note is dim, to the right: keys, a size, why it cannot be chosen */
    bool disabled;
};

void dialog_help(struct app *a);    /* the keys of this view, then those of every view */
void dialog_palette(struct app *a); /* every action that means something here, by name */
/* A list with a filter: typed letters narrow it. then: index into `item`. */
void dialog_menu(struct app *a, const char *title, const struct dialog_item *item, int n, int cursor,
                 void (*then)(struct app *a, int index, void *data), void *data);
/* Enter or y does it, Esc or n does not. verb: "delete". */
void dialog_confirm(struct app *a, const char *question, const char *verb,
                    void (*then)(struct app *a, void *data), void *data);
/* hint: what may be typed. then: false with an error keeps the dialog open and shows it. */
void dialog_entry(struct app *a, const char *title, const char *initial, const char *hint,
                  bool (*then)(struct app *a, const char *text, void *data, struct error *e), void *data);
void dialog_key(struct app *a, int key);
void dialog_draw(const struct app *a, struct grid *g);
void dialog_close(struct app *a);
/* Whether the question that is open leads to `then`: its reason may have gone meanwhile. */
bool dialog_asks(const struct app *a, void (*then)(struct app *a, void *data));
