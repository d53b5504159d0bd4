/* The Live screen's panels share this state and nothing else; only view_live*.c include it. UI thread only.
 */
#pragma once

#include "tui/app.h"
#include "tui/layout.h"
#include "tui/live.h"

enum live_quantity { LIVE_TOKENS_PER_SECOND, LIVE_LATENCY_MS, LIVE_QUANTITIES };
enum live_axis { LIVE_AXIS_BATCH, LIVE_AXIS_SEQ, LIVE_AXIS_MODEL, LIVE_AXES };
enum { LIVE_COLUMNS_MAX = 320 };

struct live_state {
    struct live *statistics;
    const struct session *of;       /* what is drawn: the run, else what Results shows */
    int cell;                       /* shown */
    bool pinned;                    /* chosen by the user: does not follow the run */
    int focus;                      /* enum layout_live_panel */
    struct rect panel[LIVE_PANELS]; /* where they were drawn */
    int candidate;                  /* the arm that the sentence speaks of, 1.. */
    enum live_quantity quantity;
    enum live_axis axis;
    struct live_range range;
    int range_cell, range_columns; /* what `range` was chosen for */
    int bar_width;                 /* cells per bar: few samples make broad bars */
    int cursor;                    /* bar while frozen */
    int64_t now_ns;                /* of this frame; stands still while frozen */
    double eta_s, elapsed_s;       /* the same */
    struct block_telemetry reading[64];
    int n_readings;
    char phase[64];
    double phase_fraction;
};

/* A position in the sweep, and back. */
struct live_place {
    int model, workload, seq, batch;
};
struct live_place live_place_of(const struct session *s, int cell);
int live_cell_at(const struct session *s, struct live_place p); /* -1: none */
int live_axis_length(const struct session *s, enum live_axis axis);
int *live_place_on(struct live_place *p, enum live_axis axis); /* the index that the axis moves */

/* Why an arm has no samples: its own reason, or what became of the cell. */
const char *live_why_empty(const struct session_cell *c, int arm);

/* Where not all arms have room: the baseline, and the window of candidates that holds the one spoken of.
 * arm[PRESET_ARMS]; returns how many, at most `room`. */
int live_arms_shown(const struct live_state *s, int room, int arm[]);

void live_draw_latency(struct app *a, struct grid *g, struct rect r); /* view_live_pictures.c */
void live_draw_curve(struct app *a, struct grid *g, struct rect r);
void live_draw_statistics(struct app *a, struct grid *g, struct rect r); /* view_live_table.c */
void live_draw_device(struct app *a, struct grid *g, struct rect r);     /* view_live_machine.c */
void live_draw_memory(struct app *a, struct grid *g, struct rect r);
