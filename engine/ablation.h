/* What each factor of a design gains, alone and together: main effects and two-factor interactions of a cell
 * on the log scale, from its rounds (stats/factorial), told as speed-ups. Pure: reads a session. */
#pragma once

#include "engine/session.h"
#include "stats/stats.h"

struct ablation_gain { /* of one factor, the others low but for `on` */
    int factor, on;    /* on: the factor that is high; -1: alone */
    bool direct; /* two arms differ in just this; else from the model of main effects and interactions */
    struct stats_contrast log_speedup;
};
enum { ABLATION_GAINS = PRESET_FACTORS * PRESET_FACTORS };
struct ablation {
    const struct preset_design *design; /* of the session's preset */
    double confidence;
    int rounds;
    struct stats_factor_effect
        effect[STATS_FACTOR_EFFECTS];    /* of log speed-up; alias: index of an earlier one */
    double p_holm[STATS_FACTOR_EFFECTS]; /* over the effects of this cell that stand alone */
    int n_effects;
    struct ablation_gain gain[ABLATION_GAINS]; /* per factor: alone, then on top of each other factor */
    int n_gains;
};
/* -1: no design, an arm of it without data or refused, fewer than two whole rounds, no memory. */
int ablation_of(const struct session *s, int cell, struct ablation *out);
/* "attention", "attention x fusion" */
void ablation_effect_name(const struct ablation *a, int effect, char *out, size_t size);
/* "flash +18 % (95 % CI 16 to 20) alone, +4 % (3 to 5) on top of fusion" */
void ablation_sentence(const struct ablation *a, int factor, char *out, size_t size);
/* All cells as text for `show` ("" without a design); markdown: as a section of a report. NULL: no memory. */
char *ablation_print(const struct session *s, int width, bool markdown, struct error *e);
