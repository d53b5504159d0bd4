#include "tui/layout.h"

#include <string.h>

static int at_most(int value, int limit)
{
    return value < 0 ? 0 : value < limit ? value : limit < 0 ? 0 : limit;
}

struct rect layout_top(struct rect *rest, int height)
{
    struct rect r = *rest;
    r.height = at_most(height, rest->height);
    rest->y += r.height;
    rest->height -= r.height;
    return r;
}

struct rect layout_bottom(struct rect *rest, int height)
{
    struct rect r = *rest;
    r.height = at_most(height, rest->height);
    rest->height -= r.height;
    r.y = rest->y + rest->height;
    return r;
}

struct rect layout_left(struct rect *rest, int width)
{
    struct rect r = *rest;
    r.width = at_most(width, rest->width);
    rest->x += r.width;
    rest->width -= r.width;
    return r;
}

struct rect layout_right(struct rect *rest, int width)
{
    struct rect r = *rest;
    r.width = at_most(width, rest->width);
    rest->width -= r.width;
    r.x = rest->x + rest->width;
    return r;
}

struct rect layout_inset(struct rect r, int x, int y)
{
    struct rect inner = {r.x + x, r.y + y, r.width - 2 * x, r.height - 2 * y};
    if (inner.width < 0)
        inner.width = 0;
    if (inner.height < 0)
        inner.height = 0;
    return inner;
}

struct rect layout_center(struct rect outer, int width, int height)
{
    if (width > outer.width)
        width = outer.width;
    if (height > outer.height)
        height = outer.height;
    return (struct rect){outer.x + (outer.width - width) / 2, outer.y + (outer.height - height) / 2, width,
                         height};
}

bool layout_frame(int width, int height, struct layout_frame *out)
{
    struct rect all = {0, 0, width, height};
    memset(out, 0, sizeof *out);
    if (width < LAYOUT_MIN_WIDTH || height < LAYOUT_MIN_HEIGHT)
        return false;
    out->tabs = layout_top(&all, 1);
    out->status = layout_bottom(&all, 1);
    out->body = all;
    return true;
}

void layout_setup(struct rect body, int n_arms, int focus, struct rect out[SETUP_PANELS])
{
    memset(out, 0, SETUP_PANELS * sizeof *out);
    struct rect rest = body;
    int sweep_height = body.height >= 27 ? 10 : 8; /* text and sampling are reached by scrolling else */
    int arms_height = n_arms + 4;                  /* frame, header, "add an arm" */
    if (body.width >= 76 && body.height >= 20) {
        int top = arms_height + sweep_height;
        int plan = body.height - top;
        int want = body.height / 3 < 6 ? 6 : body.height / 3;
        if (plan < want) {
            plan = want;
            arms_height = body.height - plan - sweep_height;
        } else if (plan > want) {
            plan = want;
        }
        out[SETUP_PLAN] = layout_bottom(&rest, plan);
        int models = body.width / 3;
        out[SETUP_MODELS] = layout_left(&rest, models > 40 ? 40 : models < 30 ? 30 : models);
        out[SETUP_SWEEP] = layout_bottom(&rest, sweep_height);
        out[SETUP_ARMS] = rest;
        return;
    }
    /* One panel at a time, the plan beside it in height where there is some. */
    if (focus < 0 || focus >= SETUP_PANELS)
        focus = SETUP_MODELS;
    if (focus != SETUP_PLAN)
        out[SETUP_PLAN] = layout_bottom(&rest, body.height >= 18 ? body.height / 3 : 1);
    out[focus] = rest;
}

/* Latency left, curve right; on narrow screens one above the other, or the one in focus alone. */
static void live_pictures(struct rect r, bool has_curve, int focus, struct rect out[LIVE_PANELS])
{
    if (r.height < 5)
        return;
    if (!has_curve) {
        out[LIVE_LATENCY] = r;
    } else if (r.width >= 76) {
        out[LIVE_CURVE] = layout_right(&r, r.width * 2 / 5);
        out[LIVE_LATENCY] = r;
    } else if (r.height >= 18) {
        out[LIVE_CURVE] = layout_bottom(&r, r.height / 2);
        out[LIVE_LATENCY] = r;
    } else {
        out[focus == LIVE_CURVE ? LIVE_CURVE : LIVE_LATENCY] = r;
    }
}

void layout_live(struct rect body, int n_arms, bool has_curve, int focus, struct rect out[LIVE_PANELS])
{
    memset(out, 0, LIVE_PANELS * sizeof *out);
    struct rect rest = body;
    if (n_arms < 1)
        n_arms = 1;
    out[LIVE_SENTENCE] = layout_top(&rest, body.height >= 20 ? 2 : 1);
    out[LIVE_PROGRESS] = layout_top(&rest, 1);
    int comparisons = n_arms - 1 > 3 ? 3 : n_arms - 1;
    int table = 2 + 1 + n_arms + comparisons;
    int pictures = has_curve && body.width < 76 ? 9 : 2 + (n_arms > 4 ? 4 : n_arms) * 2 + 2;
    if (rest.height >= table + pictures + 4) {
        /* A strip for device and memory: a line per arm, as far as there is height to spare. */
        int spare = rest.height - table - pictures;
        int strip = 3 + (n_arms > 4 ? 4 : n_arms < 2 ? 2 : n_arms);
        struct rect bottom = layout_bottom(&rest, strip < spare ? strip : spare);
        if (bottom.width >= 76) {
            out[LIVE_DEVICE] = layout_left(&bottom, bottom.width * 2 / 5);
            out[LIVE_MEMORY] = bottom;
        } else {
            out[focus == LIVE_MEMORY ? LIVE_MEMORY : LIVE_DEVICE] = bottom;
        }
    }
    if (focus > LIVE_PROGRESS && focus < LIVE_PANELS && rest.height < table + 5) {
        /* No room for numbers and a picture: what has the focus. */
        out[focus == LIVE_CURVE && !has_curve ? LIVE_LATENCY : focus] = rest;
        return;
    }
    if (rest.height >= table + 5) {
        out[LIVE_STATISTICS] = layout_bottom(&rest, table);
        live_pictures(rest, has_curve, focus, out);
    } else {
        out[LIVE_STATISTICS] = rest;
    }
}

void layout_duel(struct rect body, int n_arms, int n_spoilers, bool matrix, struct rect out[DUEL_PANELS])
{
    memset(out, 0, DUEL_PANELS * sizeof *out);
    struct rect rest = body;
    out[DUEL_SENTENCE] = layout_top(&rest, body.height >= 20 ? 2 : 1);
    out[DUEL_PROGRESS] = layout_top(&rest, 1);
    if (body.height >= 14) {
        int lines = n_spoilers < 1 ? 1 : n_spoilers, most = body.height / 8;
        out[DUEL_SPOILS] = layout_bottom(&rest, 2 + (lines > most ? most : lines));
    } else if (n_spoilers > 0 && body.height >= 9) {
        out[DUEL_SPOILS] = layout_bottom(&rest, 1);
    }
    if (body.height >= 18 && body.width >= 60) {
        struct rect arms = layout_bottom(&rest, body.height >= 34 ? 8 : body.height >= 26 ? 6 : 5);
        out[DUEL_LEFT] = layout_left(&arms, arms.width / 2);
        out[DUEL_RIGHT] = arms;
        /* Both on one scale need the same width. */
        out[DUEL_RIGHT].width = out[DUEL_LEFT].width;
    }
    int wanted = 8 * n_arms + 20;
    if (n_arms > 2 && rest.width >= wanted + 70) {
        out[DUEL_MATRIX] = layout_right(&rest, wanted);
        out[DUEL_RATIO] = rest;
    } else {
        out[matrix && n_arms > 2 ? DUEL_MATRIX : DUEL_RATIO] = rest;
    }
}
