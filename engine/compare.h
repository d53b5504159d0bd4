/* Two saved sessions, cell by cell: unpaired, so Welch on block means, Holm over the family, thresholds. */
#pragma once

#include "engine/session.h"
#include "engine/summary.h"
#include "presets/error.h"

struct compare_row {
    int base_cell, base_arm, new_cell, new_arm;
    struct comparison comparison; /* baseline = the old session's arm; speedup > 1: the new one is faster */
    double change_pct;            /* latency of new against base; > 0 is slower */
    bool regression;              /* slower by more than the threshold, its interval included */
};
struct compare_result {
    struct compare_row *row;
    int n;
    int only_base, only_new; /* cells without a partner */
    char differences[1024];  /* unequal environments named: "cpu: A / B; threads: 2 / 16" */
    int regressions, inconclusive;
};
/* Cells matched by model, workload, batch, seq, tokens, arm name and implementation. */
int compare_sessions(const struct session *base, const struct session *candidate, double regression_pct,
                     struct compare_result *out, struct error *e);
void compare_free(struct compare_result *r);
char *compare_print(const struct session *base, const struct session *candidate,
                    const struct compare_result *r, int width, struct error *e);
char *compare_print_json(const struct session *base, const struct session *candidate,
                         const struct compare_result *r, struct error *e);
