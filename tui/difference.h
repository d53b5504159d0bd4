/* Two sessions held against each other, as the Sessions screen shows it: rows with their names, so that both
 * sessions can be let go. Making may run in any thread; drawing is the UI thread's. */
#pragma once

#include "engine/compare.h"
#include "tui/widget.h"

/* Slower by more than this, its interval included, is a regression: what `compare` is usually asked for. */
#define DIFFERENCE_REGRESSION_PCT 5.0

struct difference_row {
    char model[256], arm[PRESET_NAME];
    enum workload workload;
    int batch, seq;
    double base_ms, new_ms, change_pct;
    struct comparison comparison;
    bool regression;
};
struct difference {
    char base[96], candidate[96]; /* ids */
    char sentence[400], differences[1024];
    struct difference_row *row;
    int n;
    bool same_model, same_workload, same_batch, same_seq; /* in every row: told once, above the table */
};
int difference_make(const struct session *base, const struct session *candidate, struct difference *out,
                    struct error *e);
void difference_free(struct difference *d); /* d may be zeroed */
/* Returns the rows of the table that are seen at once. */
int difference_draw(struct grid *g, struct rect r, const struct difference *d, struct widget_scroll *scroll);
