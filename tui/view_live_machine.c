#include "tui/format.h"
#include "tui/plot.h"
#include "tui/theme.h"
#include "tui/view_live.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double field(const struct block_telemetry *t, unsigned which)
{
    if (!(t->valid & which))
        return NAN;
    switch (which) {
    case TELEMETRY_CLOCK:
        return t->clock_mhz;
    case TELEMETRY_TEMPERATURE:
        return t->temperature_c;
    case TELEMETRY_POWER:
        return t->power_w;
    case TELEMETRY_LOAD:
        return t->load;
    default:
        return (double)t->memory_bytes;
    }
}

/* The last readings, newest at the right, between the least and the most of them. */
static void sparkline(struct grid *g, int x, int y, int width, const struct live_state *s, unsigned which)
{
    double least = INFINITY, most = -INFINITY;
    int n = s->n_readings < width ? s->n_readings : width;
    for (int i = s->n_readings - n; i < s->n_readings; i++) {
        double v = field(&s->reading[i], which);
        if (isfinite(v)) {
            least = fmin(least, v);
            most = fmax(most, v);
        }
    }
    if (which == TELEMETRY_LOAD || which == TELEMETRY_MEMORY) {
        least = 0;
        most = which == TELEMETRY_LOAD ? 1 : most;
    } else if (most - least < 0.02 * most) { /* what hardly moves shall look like it */
        least -= 0.1 * most;
        most += 0.1 * most;
    }
    for (int i = 0; i < n; i++) {
        double v = field(&s->reading[s->n_readings - n + i], which);
        if (!isfinite(v) || !(most > least))
            continue;
        int eighths = 1 + (int)lround((v - least) / (most - least) * 7);
        grid_put(g, x + i, y, glyph_bar(g, eighths, true), STYLE_BAR);
    }
}

static void flags_line(const struct session_cell *c, char *out, size_t size)
{
    int blocks = 0, throttled = 0, unsteady = 0, faults = 0;
    for (int arm = 0; arm < c->n_arms; arm++)
        for (int b = 0; b < c->arm[arm].n_blocks; b++) {
            /* Flags are final once a block is closed: all but the newest are, and that one when the cell is.
             */
            if (b == c->arm[arm].n_blocks - 1 && c->status <= CELL_RUNNING)
                continue;
            unsigned flags = c->arm[arm].blocks[b]->flags;
            blocks++;
            throttled += (flags & BLOCK_THROTTLED) != 0;
            unsteady += (flags & BLOCK_WARMUP_NOT_STEADY) != 0;
            faults += (flags & BLOCK_CLOCK_FAULT) != 0;
        }
    size_t used = 0;
    if (throttled)
        used += (size_t)snprintf(out + used, size - used, "%d of %d blocks throttled  ", throttled, blocks);
    if (unsteady && used < size)
        used += (size_t)snprintf(out + used, size - used, "%d began before it was steady  ", unsteady);
    if (faults && used < size)
        used += (size_t)snprintf(out + used, size - used, "%d with a clock fault", faults);
    if (used == 0)
        snprintf(out, size, blocks ? "no block is flagged" : "");
}

void live_draw_device(struct app *a, struct grid *g, struct rect r)
{
    static const struct {
        unsigned which;
        const char *label;
    } fields[] = {
        {TELEMETRY_CLOCK, "clock"}, {TELEMETRY_LOAD, "other load"}, {TELEMETRY_TEMPERATURE, "temperature"},
        {TELEMETRY_POWER, "power"}, {TELEMETRY_MEMORY, "memory"},
    };
    struct live_state *s = a->live;
    char line[160], text[FORMAT_TEXT];
    struct rect in = widget_panel(g, r, "Device", a->device.id, s->focus == LIVE_DEVICE);
    flags_line(&s->of->cell[s->cell], line, sizeof line);
    bool warns = line[0] && strncmp(line, "no ", 3) != 0;
    if (warns || in.height > 3) {
        struct rect bottom = layout_bottom(&in, 1);
        grid_text(g, bottom.x, bottom.y, bottom.width, warns ? STYLE_WARNING : STYLE_DIM, line);
    }
    int row = 0;
    const struct block_telemetry *last = s->n_readings > 0 ? &s->reading[s->n_readings - 1] : NULL;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0] && row < in.height; i++) {
        double v = last ? field(last, fields[i].which) : NAN;
        if (!isfinite(v))
            continue;
        if (fields[i].which == TELEMETRY_MEMORY)
            format_bytes(text, v);
        else if (fields[i].which == TELEMETRY_LOAD)
            format_percent(text, v);
        else
            snprintf(text, sizeof text,
                     fields[i].which == TELEMETRY_CLOCK         ? "%.0f MHz"
                     : fields[i].which == TELEMETRY_TEMPERATURE ? "%.0f \xc2\xb0\x43"
                                                                : "%.0f W",
                     v);
        grid_text(g, in.x, in.y + row, 12, STYLE_DIM, fields[i].label);
        grid_text_right(g, in.x + 23, in.y + row, 10, STYLE_TEXT, text);
        sparkline(g, in.x + 25, in.y + row, in.width - 25, s, fields[i].which);
        row++;
    }
    if (row == 0)
        widget_paragraph(g, in, STYLE_DIM, "no readings: nothing runs, or this machine tells none");
}

/* Weights, cache, activations, rest: four fills that differ without color. */
static void stacked_bar(struct grid *g, int x, int y, int width, const struct memory_use *m, double scale,
                        enum style style)
{
    static const uint32_t fill[4] = {0x2588, 0x2593, 0x2592, 0x2591};
    static const char ascii[4] = {'#', '=', '-', '.'};
    const int64_t part[4] = {m->weights, m->kv_cache, m->activations, m->overhead};
    double sum = 0;
    int at = 0;
    for (int i = 0; i < 4; i++) {
        sum += (double)part[i];
        int end = (int)lround(sum / scale * width);
        if (part[i] > 0 && end == at && i == 0)
            end = at + 1;
        for (; at < end && at < width; at++)
            grid_put(g, x + at, y, g->ascii ? (uint32_t)ascii[i] : fill[i], style);
    }
}

void live_draw_memory(struct app *a, struct grid *g, struct rect r)
{
    struct live_state *s = a->live;
    const struct session_cell *c = &s->of->cell[s->cell];
    char note[64], text[FORMAT_TEXT];
    double limit = (double)(s->of->environment.memory_bytes > 0 ? s->of->environment.memory_bytes
                                                                : a->device.memory_bytes);
    snprintf(note, sizeof note, "of %s", format_bytes(text, limit));
    struct rect in = widget_panel(g, r, "Memory, GiB", limit > 0 ? note : "", s->focus == LIVE_MEMORY);
    static const struct widget_column columns[] = {
        {"", 12, 1, false, false},
        {"\xe2\x96\x88 weights", 9, 2, true, false},
        {"\xe2\x96\x93 KV", 6, 3, true, false},
        {"\xe2\x96\x92 act", 6, 4, true, false},
        {"\xe2\x96\x91 rest", 6, 5, true, false},
        {"peak", 6, 1, true, false},
        {"", 8, 6, false, true},
    };
    struct widget_table t;
    widget_table_begin(&t, g, in, columns, 7);
    double most = 1;
    for (int arm = 0; arm < c->n_arms; arm++) {
        const struct memory_use *m =
            c->arm[arm].has_measured ? &c->arm[arm].measured : &c->arm[arm].predicted;
        double sum = (double)(m->weights + m->kv_cache + m->activations + m->overhead);
        most = fmax(most, fmax(sum, (double)m->peak));
    }
    int shown[PRESET_ARMS], n = live_arms_shown(s, t.area.height, shown);
    for (int row = 0; row < n; row++) {
        int arm = shown[row];
        const struct session_arm *of = &c->arm[arm];
        const struct memory_use *m = of->has_measured ? &of->measured : &of->predicted;
        enum style style = of->has_measured ? STYLE_TEXT : STYLE_DIM; /* a prediction is not a reading */
        widget_table_format(&t, row, 0, theme_arm(arm), "%c %s", theme_arm_letter(arm), of->name);
        if (m->peak == 0 && m->weights == 0)
            continue;
        widget_table_cell(&t, row, 1, style, format_gib(text, (double)m->weights));
        widget_table_cell(&t, row, 2, style, format_gib(text, (double)m->kv_cache));
        widget_table_cell(&t, row, 3, style, format_gib(text, (double)m->activations));
        widget_table_cell(&t, row, 4, style, format_gib(text, (double)m->overhead));
        widget_table_cell(&t, row, 5, style, format_gib(text, (double)m->peak));
        if (widget_table_has(&t, 6))
            stacked_bar(g, t.x[6], t.area.y + row, t.width[6], m, most, theme_arm(arm));
    }
}
