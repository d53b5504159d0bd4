#include "tui/results_dashboard.h"

#include "engine/worth.h"
#include "tui/plot.h"
#include "tui/theme.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 36, VALUE = 17, BESIDE = 132, GAP = 3, TEXT = 160 };

/* Lines go to the grid as they are made; those above `top` and below the rect are only counted. */
struct sheet {
    struct grid *g;
    struct rect r;
    int top, n;
};

static int row_of(const struct sheet *s, int line)
{
    int y = line - s->top;
    return y >= 0 && y < s->r.height ? s->r.y + y : -1;
}

static void put(const struct sheet *s, int line, int x, int width, enum style style, const char *text)
{
    if (row_of(s, line) >= 0 && width > 0)
        grid_text(s->g, s->r.x + x, row_of(s, line), width, style, text);
}

static void put_right(const struct sheet *s, int line, int right, int width, enum style style,
                      const char *text)
{
    if (row_of(s, line) >= 0 && width > 0)
        grid_text_right(s->g, s->r.x + right, row_of(s, line), width, style, text);
}

static void put_title(struct sheet *s, const char *title)
{
    if (s->n > 0)
        s->n++;
    int y = row_of(s, s->n), used = grid_columns(title) + 1;
    if (y >= 0) {
        grid_text(s->g, s->r.x, y, s->r.width, STYLE_TITLE, title);
        if (used < s->r.width)
            grid_fill(s->g, (struct rect){s->r.x + used, y, s->r.width - used, 1},
                      glyph(s->g, GLYPH_HORIZONTAL), STYLE_FRAME);
    }
    s->n++;
}

/* "A ████████████      2160", or in place of the bar why there is none. */
static void put_bar(struct sheet *s, int x, const struct dashboard_row *row, int arm, double most)
{
    char value[DASHBOARD_TEXT * 2], letter[4];
    int width = s->r.width - x - 2, y = row_of(s, s->n);
    snprintf(letter, sizeof letter, "%c", theme_arm_letter(arm));
    put(s, s->n, x, 1, theme_arm(arm), letter);
    if (!isfinite(row->arm[arm].value)) {
        snprintf(value, sizeof value, "\xe2\x80\x93 %s", row->arm[arm].why);
        put(s, s->n, x + 2, width, STYLE_DIM, value);
        return;
    }
    dashboard_value(row, arm, value, sizeof value);
    int bar = width - VALUE - 1;
    if (bar >= 6 && y >= 0)
        plot_bar(s->g, s->r.x + x + 2, y, bar, most > 0 ? row->arm[arm].value / most : 0, theme_arm(arm));
    put_right(s, s->n, s->r.width, bar >= 6 ? VALUE : width, STYLE_TEXT, value);
}

/* The name stands beside the first bar where there is room, and the changes under it. */
static void put_bars(struct sheet *s, const struct dashboard_row *row)
{
    char change[DASHBOARD_TEXT * 2];
    bool beside = s->r.width >= NAME + VALUE + 14;
    double most = 0;
    for (int arm = 0; arm < row->n_arms; arm++)
        if (isfinite(row->arm[arm].value))
            most = fmax(most, row->arm[arm].value);
    put(s, s->n, 0, beside ? NAME - 1 : s->r.width, STYLE_TEXT, row->name);
    s->n += !beside;
    for (int arm = 0; arm < row->n_arms; arm++) {
        put_bar(s, beside ? NAME : 1, row, arm, most);
        dashboard_change(row, arm, change, sizeof change);
        if (change[0] && beside)
            put(s, s->n, 2, NAME - 3, STYLE_DIM, change);
        else if (change[0])
            put(s, ++s->n, 3, s->r.width - 3, STYLE_DIM, change);
        s->n++;
    }
}

static void put_section(struct sheet *s, const struct dashboard *d, enum dashboard_section section)
{
    bool titled = false;
    for (int i = 0; i < d->n; i++) {
        if (d->row[i].section != section)
            continue;
        if (!titled)
            put_title(s, dashboard_titles[section]);
        titled = true;
        put_bars(s, &d->row[i]);
    }
}

/* Every figure in one line: its arms' values and the change of each candidate. */
static void put_overview(struct sheet *s, const struct session_cell *cell, const struct dashboard *d)
{
    int arms = cell->n_arms, value = 15, change = arms == 2 ? 9 : 0, at[PRESET_ARMS];
    int name = s->r.width - arms * (value + 1) - change - 1;
    name = name > NAME ? NAME : name;
    if (name < 16) /* the bars have said it all */
        return;
    put_title(s, "Overview");
    for (int arm = 0; arm < arms; arm++) {
        char text[TEXT];
        at[arm] = name + (arm + 1) * (value + 1);
        snprintf(text, sizeof text, "%c %.60s", theme_arm_letter(arm), cell->arm[arm].name);
        put_right(s, s->n, at[arm], value, theme_arm(arm), text);
    }
    if (change)
        put_right(s, s->n, at[arms - 1] + change + 1, change, STYLE_DIM, "change");
    s->n++;
    enum dashboard_section last = DASHBOARD_SECTIONS;
    for (int i = 0; i < d->n; i++) {
        const struct dashboard_row *row = &d->row[i];
        char text[TEXT];
        s->n += last != DASHBOARD_SECTIONS && row->section != last; /* a blank between sections */
        last = row->section;
        put(s, s->n, 0, name, STYLE_TEXT, row->name);
        struct dashboard_row plain = *row; /* no intervals: the bars have them */
        for (int arm = 0; arm < arms; arm++) {
            plain.arm[arm].half = plain.arm[arm].low = plain.arm[arm].high = (double)NAN;
            dashboard_value(&plain, arm, text, sizeof text);
            put_right(s, s->n, at[arm], value, STYLE_TEXT, text);
        }
        if (change && dashboard_change(&plain, 1, text, sizeof text)[0])
            put_right(s, s->n, at[1] + change + 1, change, STYLE_DIM, text);
        s->n++;
    }
}

static void put_labels(struct sheet *s, const struct session *session)
{
    for (int arm = 0; arm < session->preset.n_arms; arm++) {
        char text[TEXT];
        if (!worth_any_not_equivalent(session, arm))
            continue;
        snprintf(text, sizeof text, "%c %.60s: %s", theme_arm_letter(arm), session->preset.arms[arm].name,
                 worth_not_equivalent_words);
        put(s, s->n++, 0, s->r.width, STYLE_WARNING, text);
    }
}

static void put_weights(struct sheet *s, const struct session_cell *cell, const struct dashboard *d)
{
    bool judged = false;
    for (int i = 0; i < d->n; i++)
        judged = judged || d->row[i].section == DASHBOARD_QUALITY;
    if (judged && session_random_weights(cell))
        put(s, s->n++, 0, s->r.width, STYLE_DIM,
            "random weights: their perplexity is no measure of a trained model");
}

int results_dashboard_draw(struct grid *g, struct rect r, int top, const struct session *s, int cell,
                           const struct dashboard *d)
{
    const struct session_cell *c = &s->cell[cell];
    struct sheet o = {.g = g, .r = r, .top = top};
    bool beside = r.width >= BESIDE;
    if (!d) {
        put(&o, o.n++, 0, r.width, STYLE_DIM, "Nothing was measured yet.");
        return o.n;
    }
    if (beside)
        o.r.width = r.width / 2 - GAP / 2;
    struct sheet right = o;
    right.r.x = r.x + r.width / 2 + GAP / 2;
    right.r.width = r.x + r.width - right.r.x;
    put_labels(&o, s);
    put_weights(&o, c, d);
    for (int section = 0; section < DASHBOARD_MEMORY; section++)
        put_section(&o, d, (enum dashboard_section)section);
    put_overview(beside ? &right : &o, c, d);
    return right.n > o.n ? right.n : o.n;
}
