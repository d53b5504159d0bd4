/* Pictures of a duel: how the interval of the ratio shrinks against the band of equivalence, and who beats
 * whom among many arms. Drawing only. UI thread. */
#pragma once

#include "tui/duel.h"
#include "tui/grid.h"

/* Ratio over rounds: points, planned and always-valid bounds, the band; `rounds`: how many the axis has room
 * for. */
void duel_plot_ratio(struct grid *g, struct rect r, const struct duel *d, int rounds);

/* c[row * n + column]: the row's arm as the candidate against the column's; the marks say the verdict without
 * color. */
struct duel_matrix {
    const struct comparison *c;
    const char *const *name;
    int n;
    int row, column; /* the pair of the duel */
};
void duel_plot_matrix(struct grid *g, struct rect r, const struct duel_matrix *m);
