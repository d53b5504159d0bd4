/* Where panels stand: pure functions of the size, tested over every size from 20x8 to 300x100 for inside,
 * disjoint, not empty. Screens degrade in steps: first side panels go, then pictures, then everything but
 * the panel in focus. A rect of width 0 is not shown. */
#pragma once

#include "tui/grid.h"

enum { LAYOUT_MIN_WIDTH = 40, LAYOUT_MIN_HEIGHT = 10 };

/* Cut a strip off a rect: the strip is returned, *rest is what remains. Never more than there is. */
struct rect layout_top(struct rect *rest, int height);
struct rect layout_bottom(struct rect *rest, int height);
struct rect layout_left(struct rect *rest, int width);
struct rect layout_right(struct rect *rest, int width);
struct rect layout_inset(struct rect r, int x, int y);
struct rect layout_center(struct rect outer, int width, int height); /* for dialogs: cut to fit */

struct layout_frame {
    struct rect tabs, body, status;
};
/* false: too small for a picture; the application draws a sentence instead. */
bool layout_frame(int width, int height, struct layout_frame *out);

enum layout_setup_panel { SETUP_MODELS, SETUP_ARMS, SETUP_SWEEP, SETUP_PLAN, SETUP_PANELS };
void layout_setup(struct rect body, int n_arms, int focus, struct rect out[SETUP_PANELS]);

enum layout_duel_panel {
    DUEL_SENTENCE,
    DUEL_PROGRESS,
    DUEL_RATIO,
    DUEL_MATRIX,
    DUEL_LEFT,
    DUEL_RIGHT,
    DUEL_SPOILS,
    DUEL_PANELS
};
/* matrix: show who beats whom in place of the ratio, where both have no room. */
void layout_duel(struct rect body, int n_arms, int n_spoilers, bool matrix, struct rect out[DUEL_PANELS]);

enum layout_live_panel {
    LIVE_SENTENCE,
    LIVE_PROGRESS,
    LIVE_LATENCY,
    LIVE_CURVE,
    LIVE_STATISTICS,
    LIVE_DEVICE,
    LIVE_MEMORY,
    LIVE_PANELS
};
/* focus: the panel to keep when there is no room for all. has_curve: the sweep has more than one point. */
void layout_live(struct rect body, int n_arms, bool has_curve, int focus, struct rect out[LIVE_PANELS]);
