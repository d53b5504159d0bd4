#include "tui/results_ablation.h"
#include "engine/ablation.h"
#include "tui/format.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER = 9, INTERVAL = 17 };

static bool is_clear(const struct stats_contrast *c)
{
    return c->ci.low > 0 || c->ci.high < 0;
}

/* From the middle to the estimate; the interval as a line over it. An unclear effect is hollow. */
static void draw_bar(struct grid *g, struct rect r, const struct stats_contrast *c, double span)
{
    int middle = r.x + r.width / 2;
    double scale = (r.width / 2 - 1) / span;
    grid_put(g, middle, r.y, glyph(g, GLYPH_VERTICAL), STYLE_FRAME);
    if (!isfinite(c->estimate))
        return;
    int low = (int)lround(fmin(fmax(c->ci.low, -span), span) * scale);
    int high = (int)lround(fmin(fmax(c->ci.high, -span), span) * scale);
    int end = (int)lround(c->estimate * scale);
    for (int x = end < 0 ? end : 1; x <= (end < 0 ? -1 : end); x++)
        grid_put(g, middle + x, r.y, is_clear(c) ? (g->ascii ? '#' : 0x2588) : glyph(g, GLYPH_SHADE),
                 is_clear(c) ? STYLE_BAR : STYLE_DIM);
    for (int x = low; x <= high && isfinite(c->ci.low); x++)
        if (x != 0 && (x > end || end < 0) && (x < end || end >= 0))
            grid_put(g, middle + x, r.y, glyph(g, GLYPH_HORIZONTAL), STYLE_DIM);
}

static void signed_percent(char out[FORMAT_TEXT], double log_gain, int decimals)
{
    snprintf(out, FORMAT_TEXT, "%+.*f %%", decimals, 100 * expm1(log_gain));
}

static void draw_effect(struct grid *g, struct rect r, int name_width, const struct ablation *a, int i,
                        double span)
{
    const struct stats_factor_effect *e = &a->effect[i];
    char name[96], gain[FORMAT_TEXT], low[FORMAT_TEXT], high[FORMAT_TEXT], interval[64];
    int decimals = e->contrast.ci.high - e->contrast.ci.low < 0.02 ? 1 : 0, x = r.x;
    enum style style = is_clear(&e->contrast) ? STYLE_BOLD : STYLE_DIM;
    ablation_effect_name(a, i, name, sizeof name);
    grid_text(g, x, r.y, name_width, STYLE_TEXT, name);
    x += name_width + 1;
    signed_percent(gain, e->contrast.estimate, decimals);
    grid_text_right(g, x + NUMBER, r.y, NUMBER, style, gain);
    x += NUMBER + 1;
    if (e->alias >= 0) {
        ablation_effect_name(a, e->alias, name, sizeof name);
        grid_format(g, x, r.y, r.x + r.width - x, STYLE_WARNING, "not told from %s", name);
        return;
    }
    if (r.width - (x - r.x) >= INTERVAL + 12) {
        signed_percent(low, e->contrast.ci.low, decimals);
        signed_percent(high, e->contrast.ci.high, decimals);
        low[strlen(low) - 2] = '\0';
        snprintf(interval, sizeof interval, "%s to %s", low, high);
        grid_text(g, x + 1, r.y, INTERVAL, STYLE_TEXT, interval);
        x += INTERVAL + 1;
    }
    draw_bar(g, (struct rect){x, r.y, r.x + r.width - x, 1}, &e->contrast, span);
}

void results_ablation_draw(struct grid *g, struct rect r, const struct session *s, int cell)
{
    struct ablation a;
    double span = 0.01;
    int name_width = 8;
    if (ablation_of(s, cell, &a) != 0) {
        widget_paragraph(
            g, r, STYLE_DIM,
            s->preset.design.n_factors > 0
                ? "This cell has no whole design yet: two rounds of every arm are needed, and no arm refused."
                : "This session is no ablation: run a preset with a design, such as `ablation`.");
        return;
    }
    for (int i = 0; i < a.n_effects; i++) {
        char name[96];
        ablation_effect_name(&a, i, name, sizeof name);
        int width = grid_columns(name);
        name_width = width > name_width ? width : name_width;
        if (isfinite(a.effect[i].contrast.estimate))
            span = fmax(span, 1.1 * fabs(a.effect[i].contrast.estimate));
    }
    if (name_width > r.width / 3)
        name_width = r.width / 3;
    int y = 0;
    for (int i = 0; i < a.n_effects && y < r.height; i++, y++)
        draw_effect(g, (struct rect){r.x, r.y + y, r.width, 1}, name_width, &a, i, span);
    for (int f = 0; f < a.design->n_factors && y < r.height; f++) {
        char line[512];
        ablation_sentence(&a, f, line, sizeof line);
        y += f == 0 && r.height - y > a.design->n_factors;
        y += widget_paragraph(g, (struct rect){r.x, r.y + y, r.width, r.height - y}, STYLE_TEXT, line);
    }
}
