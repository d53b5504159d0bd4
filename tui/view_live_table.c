#include "engine/figure.h"
#include "engine/worth.h"
#include "tui/format.h"
#include "tui/theme.h"
#include "tui/view_live.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME, SAMPLES, BLOCKS, MEAN, INTERVAL, STD, LEAST, MEDIAN, P95, P99, RATE, LIMIT };

static const struct widget_column columns[] = {
    [NAME] = {"", 12, 1, false, true},
    [SAMPLES] = {"n", 6, 3, true, false},
    [BLOCKS] = {"blocks", 6, 6, true, false},
    [MEAN] = {"mean", 7, 1, true, false},
    [INTERVAL] = {"95 % CI", 13, 2, true, false},
    [STD] = {"std", 7, 7, true, false},
    [LEAST] = {"min", 7, 8, true, false},
    [MEDIAN] = {"median", 7, 5, true, false},
    [P95] = {"p95", 7, 9, true, false},
    [P99] = {"p99", 7, 4, true, false},
    [RATE] = {"tok/s", 7, 2, true, false},
    [LIMIT] = {"of limit", 8, 6, true, false},
};

/* why_at: columns of the longest name, so that reasons stand under each other. */
static void draw_arm(struct app *a, const struct widget_table *t, int row, int arm, int why_at)
{
    struct live_state *s = a->live;
    const struct session_arm *of = &s->of->cell[s->cell].arm[arm];
    const struct arm_summary *m = live_summary(s->statistics, s->of, s->cell, arm, s->now_ns);
    char text[FORMAT_TEXT], high[FORMAT_TEXT];
    widget_table_format(t, row, NAME, theme_arm(arm), "%c %s", theme_arm_letter(arm), of->name);
    if (!m) {
        const char *why = live_why_empty(&s->of->cell[s->cell], arm);
        int x = t->x[NAME] + why_at + 4;
        grid_text(t->grid, x, t->area.y + row, t->area.x + t->area.width - x, STYLE_DIM, why);
        return;
    }
    const struct stats_summary *l = &m->latency;
    widget_table_format(t, row, SAMPLES, STYLE_TEXT, "%d", m->n);
    widget_table_format(t, row, BLOCKS, STYLE_TEXT, "%d", m->blocks);
    widget_table_cell(t, row, MEAN, STYLE_BOLD, format_digits(text, l->mean, 4));
    if (isfinite(l->ci.low))
        widget_table_format(t, row, INTERVAL, STYLE_TEXT, "%s\xe2\x80\x93%s",
                            format_digits(text, l->ci.low, 4), format_digits(high, l->ci.high, 4));
    else
        widget_table_cell(t, row, INTERVAL, STYLE_DIM, "\xe2\x80\x93");
    bool generates = s->of->cell[s->cell].workload == WORKLOAD_GENERATE;
    widget_table_cell(t, row, STD, STYLE_TEXT,
                      generates ? format_digits(text, m->time_to_first_token_ms, 4)
                                : format_digits(text, l->std, 3));
    widget_table_cell(t, row, LEAST, STYLE_TEXT,
                      format_digits(text, generates ? m->time_per_output_token_ms : l->min, 4));
    widget_table_cell(t, row, MEDIAN, STYLE_TEXT, format_digits(text, l->median, 4));
    /* A percentile that n cannot bound is still the sample's own, so it is shown dim and marked. */
    widget_table_format(t, row, P95, m->p95_supported ? STYLE_TEXT : STYLE_DIM,
                        m->p95_supported ? "%s" : "(%s)",
                        format_digits(text, l->p95, m->p95_supported ? 4 : 3));
    widget_table_format(t, row, P99, m->p99_supported ? STYLE_TEXT : STYLE_DIM,
                        m->p99_supported ? "%s" : "(%s)",
                        format_digits(text, l->p99, m->p99_supported ? 4 : 3));
    widget_table_cell(t, row, RATE, STYLE_BOLD, format_rate(text, m->tokens_per_second));
    widget_table_cell(t, row, LIMIT, STYLE_TEXT, format_percent(text, m->limit_share));
}

/* "B:A  1.84x faster, 1.81-1.87   faster   paired p 3e-11 over 7 rounds   Welch t 158.3, df 8.2, p 1e-15   d
 * 40, large": what does not fit is left out. A direction is named only where the interval has one. */
static int draw_ratio(struct grid *g, int x, int y, int end, const struct comparison *k)
{
    char text[160], x1[FORMAT_TEXT], x2[FORMAT_TEXT];
    double low = k->speedup_ci.low, high = k->speedup_ci.high;
    bool is_known = low > 1 || high < 1, slower = is_known && k->speedup < 1;
    if (is_known)
        snprintf(text, sizeof text, "%s\xc3\x97 %s%s",
                 format_digits(x1, slower ? 1 / k->speedup : k->speedup, 4), slower ? "slower" : "faster",
                 k->final ? "" : " so far");
    else
        snprintf(text, sizeof text, "speed-up %s%s", format_digits(x1, k->speedup, 4),
                 k->final ? "" : " so far");
    int from = x;
    x += grid_text(g, x, y, end - x, is_known ? STYLE_BOLD : STYLE_TEXT, text);
    if (isfinite(low)) {
        snprintf(text, sizeof text, ", %s\xe2\x80\x93%s", format_digits(x1, slower ? 1 / high : low, 4),
                 format_digits(x2, slower ? 1 / low : high, 4));
        x += grid_text(g, x, y, end - x, STYLE_TEXT, text);
    }
    return x - from;
}

static void draw_comparison(struct app *a, struct grid *g, struct rect r, int arm)
{
    struct live_state *s = a->live;
    const struct comparison *k = live_comparison(s->statistics, s->of, s->cell, arm, s->now_ns);
    char x1[FORMAT_TEXT], x2[FORMAT_TEXT], x3[FORMAT_TEXT];
    int x = r.x, end = r.x + r.width;
    grid_put(g, x, r.y, (uint32_t)theme_arm_letter(arm), theme_arm(arm));
    grid_text(g, x + 1, r.y, 2, STYLE_DIM, ":");
    grid_put(g, x + 2, r.y, 'A', theme_arm(0));
    x += 5;
    if (!k || !isfinite(k->speedup)) {
        grid_text(g, x, r.y, end - x, STYLE_DIM,
                  s->of->cell[s->cell].status > CELL_RUNNING ? "not compared" : "not measured together yet");
        return;
    }
    x += draw_ratio(g, x, r.y, end, k) + 3;
    if (k->final && k->verdict != VERDICT_NONE && x + grid_columns(verdict_names[k->verdict]) <= end)
        x += grid_text(g, x, r.y, end - x, k->verdict == VERDICT_INCONCLUSIVE ? STYLE_WARNING : STYLE_GOOD,
                       verdict_names[k->verdict]) +
             3;
    char cost[160], part[3][96] = {"", "", ""};
    if (worth_cost(s->of, s->cell, arm, cost, sizeof cost)[0] && x + 12 <= end)
        x += grid_text(g, x, r.y, end - x, STYLE_TEXT, cost) + 3;
    if (k->paired.n >= 2)
        snprintf(part[0], sizeof part[0], "paired p %s over %d rounds", format_p(x1, k->paired.p),
                 (int)k->paired.n);
    if (isfinite(k->welch.t))
        snprintf(part[1], sizeof part[1], "Welch t %s, df %s, p %s", format_digits(x1, k->welch.t, 3),
                 format_digits(x2, k->welch.df, 2), format_p(x3, k->welch.p));
    if (isfinite(k->effect.cohens_d))
        snprintf(part[2], sizeof part[2], "d %s, %s", format_digits(x1, k->effect.cohens_d, 2),
                 stats_effect_word(k->effect.cohens_d));
    if (isfinite(k->welch.t) && x + grid_columns(part[0]) + 3 + grid_columns(part[1]) > end)
        snprintf(part[1], sizeof part[1], "Welch p %s", x3);
    if (k->paired.n >= 2 && x + grid_columns(part[0]) + 3 + grid_columns(part[1]) > end)
        snprintf(part[0], sizeof part[0], "paired p %s", format_p(x1, k->paired.p));
    for (int i = 0; i < 3; i++)
        if (part[i][0] && x + grid_columns(part[i]) <= end)
            x += grid_text(g, x, r.y, end - x, STYLE_TEXT, part[i]) + 3;
}

void live_draw_statistics(struct app *a, struct grid *g, struct rect r)
{
    struct live_state *s = a->live;
    const struct session_cell *c = &s->of->cell[s->cell];
    char note[80], title[24], level[FORMAT_TEXT];
    figure_percent(summary_confidence(s->of), 1, level, sizeof level);
    snprintf(note, sizeof note, "mean and its %s interval over blocks", level);
    snprintf(title, sizeof title, "%.12s CI", level);
    struct rect in = widget_panel(g, r, "Statistics, ms", note, s->focus == LIVE_STATISTICS);
    int comparisons = c->n_arms - 1 > 3 ? 3 : c->n_arms - 1;
    if (in.height < 1 + c->n_arms + comparisons)
        comparisons = in.height - 1 - c->n_arms < 0 ? 0 : in.height - 1 - c->n_arms;
    struct rect under = layout_bottom(&in, comparisons);
    struct widget_table t;
    struct widget_column shown[sizeof columns / sizeof columns[0]];
    memcpy(shown, columns, sizeof columns);
    shown[INTERVAL].title = title;
    if (c->workload == WORKLOAD_GENERATE) { /* what its users wait for */
        shown[STD] = (struct widget_column){"first", 7, 4, true, false};
        shown[LEAST] = (struct widget_column){"per tok", 7, 4, true, false};
    }
    widget_table_begin(&t, g, in, shown, (int)(sizeof columns / sizeof columns[0]));
    int arm[PRESET_ARMS], n = live_arms_shown(s, t.area.height, arm);
    int longest = 0;
    for (int row = 0; row < n; row++) {
        int width = grid_columns(c->arm[arm[row]].name);
        longest = width > longest ? width : longest;
    }
    for (int row = 0; row < n; row++) {
        draw_arm(a, &t, row, arm[row], longest);
        if (arm[row] == s->candidate && c->n_arms > 2 && s->focus == LIVE_STATISTICS)
            grid_restyle(g, (struct rect){t.area.x, t.area.y + row, 1, 1}, STYLE_SELECTED);
    }
    /* The window of candidates that holds the one spoken of. */
    int first = s->candidate > comparisons ? s->candidate - comparisons + 1 : 1;
    for (int i = 0; i < comparisons && first + i < c->n_arms; i++)
        draw_comparison(a, g, (struct rect){under.x, under.y + i, under.width, 1}, first + i);
}
