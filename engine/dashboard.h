/* The combined comparison as one list of figures: tokens, KV cache, performance, memory and quality of every
 * arm, side by side, from what was measured alone. Nothing is estimated here: a figure that a run did not
 * give says why in a few words. The screen draws it as bars, the Markdown report as tables. Pure; any thread.
 */
#pragma once

#include "engine/session.h"
#include "engine/summary.h"

enum dashboard_section {
    DASHBOARD_TOKENS,
    DASHBOARD_CACHE,
    DASHBOARD_PERFORMANCE,
    DASHBOARD_MEMORY,
    DASHBOARD_QUALITY,
    DASHBOARD_SECTIONS
};
extern const char *const dashboard_titles[DASHBOARD_SECTIONS]; /* "Tokens", "KV cache", ... */

enum dashboard_unit {
    DASHBOARD_COUNT, /* whole things */
    DASHBOARD_NUMBER,
    DASHBOARD_MS,
    DASHBOARD_RATE, /* per second */
    DASHBOARD_BYTES,
    DASHBOARD_BYTES_RATE,
    DASHBOARD_SHARE
};
enum { DASHBOARD_WHY = 128, DASHBOARD_NAME = 96, DASHBOARD_TEXT = 64 };
struct dashboard_row {
    enum dashboard_section section;
    enum dashboard_unit unit;
    char name[DASHBOARD_NAME]; /* "generate: time per pass" */
    int better;                /* 1: more is, -1: less is, 0: neither */
    int n_arms;
    struct {
        double value, half;      /* NAN: not measured; half of the interval, NAN: none */
        double gain, low, high;  /* change against the baseline as a fraction, its interval; NAN */
        enum verdict verdict;    /* where the change is a time's */
        char why[DASHBOARD_WHY]; /* why there is no value */
    } arm[PRESET_ARMS];
};
struct dashboard {
    struct dashboard_row *row;
    int n, room;
};

/* Is it what the session was run for: two arms or more, and a text that one of them has cut into tokens. */
bool dashboard_fits(const struct session *s);
/* Of the cells that share `cell`'s model, batch and sequence (tokenize: its model), or of all where cell is
 * -1. comparisons: what summary_comparisons gave. -1: no memory. */
int dashboard_build(const struct session *s, int cell, const struct comparison *comparisons,
                    struct dashboard *out, struct error *e);
void dashboard_free(struct dashboard *d);
/* "2160", "75.9 MiB", "5408 /s", "12.10 ± 0.03 ms"; "–" without a value (why says more). */
char *dashboard_value(const struct dashboard_row *r, int arm, char *out, size_t size);
/* "-27.1 %", "-10.3 % (-11.0 to -9.6), faster"; "" for the baseline and where a figure is missing. */
char *dashboard_change(const struct dashboard_row *r, int arm, char *out, size_t size);
