/* The table of Results: columns by what the session holds and the width allows, figures, reasons in place of
 * figures. UI thread only. */
#pragma once

#include "tui/results.h"
#include "tui/widget.h"

/* What is the same in every cell, for the panel's title: "gpt2-124m · decode · seq 128". */
void results_table_title(const struct results *r, const struct session *s, int width, char *out, size_t size);
/* Draws into the inside of a panel; returns where the rows are, the header left out. */
struct rect results_table_draw(struct grid *g, struct rect in, const struct results *r,
                               const struct session *s, struct widget_scroll *scroll, bool focus);
