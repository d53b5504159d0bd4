/* Is it real? Two arms of a cell, live: the interval of their ratio shrinking against the band of
 * equivalence, their histograms on one scale, and what spoils the comparison. */
#include "engine/figure.h"
#include "engine/worth.h"
#include "tui/app.h"
#include "tui/duel_plot.h"
#include "tui/format.h"
#include "tui/layout.h"
#include "tui/live.h"
#include "tui/plot.h"
#include "tui/theme.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BARS = 320 };

struct duel_state {
    struct duel duel;
    struct live *statistics;  /* for the histograms */
    const struct session *of; /* what is drawn: the run while it is on, then what Results shows */
    int cell, baseline, candidate;
    bool pinned;   /* the cell was chosen by the user: does not follow the run */
    double margin; /* 0: the session's */
    bool matrix;   /* in place of the ratio, where both have no room */
    struct live_range range;
    int range_cell, range_columns;
    struct comparison *pairs; /* [n_arms, n_arms] of the cell, made anew when the duel changed */
    int n_pairs;
    int64_t now_ns;
    bool drawn;
};

static int init(struct app *a, struct error *e)
{
    struct duel_state *s = calloc(1, sizeof *s);
    if (s)
        s->statistics = live_new();
    if (!s || !s->statistics) {
        free(s);
        return error_set(e, ERROR_MEMORY, "no memory for a screen: close other programs");
    }
    s->candidate = 1;
    a->duel = s;
    a->duel_cell = -1;
    return 0;
}

static void release(struct app *a)
{
    if (!a->duel)
        return;
    duel_free(&a->duel->duel);
    live_free(a->duel->statistics);
    free(a->duel->pairs);
    free(a->duel);
    a->duel = NULL;
}

static void forget(struct duel_state *s)
{
    duel_free(&s->duel);
    live_reset(s->statistics);
    s->of = NULL;
    s->drawn = false;
    s->range.per_column = 0;
}

static void session_changed(struct app *a)
{
    forget(a->duel);
    a->duel_cell = -1;
}

/* The last cell with samples of both arms. */
static int newest_cell(const struct duel_state *s)
{
    for (int c = s->of->n_cells - 1; c > 0; c--)
        if (live_arm(s->statistics, c, 0) && live_arm(s->statistics, c, 1))
            return c;
    return 0;
}

static int pair_all(struct duel_state *s)
{
    int n = s->of->cell[s->cell].n_arms;
    struct comparison *pairs = realloc(s->pairs, (size_t)n * (size_t)n * sizeof *pairs);
    if (!pairs)
        return -1;
    s->pairs = pairs;
    s->n_pairs = n;
    struct session under = *s->of;
    under.preset.margin = s->duel.margin;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (i == j || summary_compare_arms(&under, s->cell, j, i, &pairs[i * n + j]) != 0)
                pairs[i * n + j].speedup = NAN;
    return 0;
}

static void settle_pair(struct duel_state *s)
{
    int n = s->of->cell[s->cell].n_arms;
    if (s->candidate >= n)
        s->candidate = n > 1 ? 1 : 0;
    if (s->baseline >= n || s->baseline == s->candidate)
        s->baseline = s->candidate == 0 && n > 1 ? 1 : 0;
}

/* Takes up the session that is to be drawn, and its news unless the picture is frozen. */
static void follow(struct app *a)
{
    struct duel_state *s = a->duel;
    const struct session *session = app_running(a) || !a->session ? a->live_session : a->session;
    if (session != s->of) {
        forget(s);
        s->of = session;
        s->pinned = false;
        s->cell = s->baseline = 0;
        s->candidate = 1;
        s->margin = 0;
    }
    if (!session || session->n_cells == 0 || (a->frozen && s->drawn))
        return;
    s->now_ns = a->now_ns();
    if (live_follow(s->statistics, session) < 0)
        app_say(a, true, "no memory for live statistics: close other programs");
    if (a->duel_cell >= 0 && a->duel_cell < session->n_cells) { /* another screen pointed here */
        s->cell = a->duel_cell;
        s->candidate = a->duel_candidate;
        s->baseline = 0;
        s->pinned = true;
    } else if (!s->pinned) {
        bool running =
            session == a->live_session && app_running(a) && a->cell >= 0 && a->cell < session->n_cells;
        s->cell = running ? a->cell : newest_cell(s);
    }
    a->duel_cell = -1;
    settle_pair(s);
    double margin = s->margin > 0 ? s->margin : session->preset.margin;
    int news = duel_follow(&s->duel, session, s->cell, s->baseline, s->candidate, margin);
    if (news < 0 || (news > 0 && session->cell[s->cell].n_arms > 2 && pair_all(s) < 0))
        app_say(a, true, "no memory for the rounds of a duel: close other programs");
    s->drawn = true;
}

static void enter(struct app *a)
{
    follow(a);
}

/* ---- keys ---- */

static void set_margin(struct app *a, bool wider)
{
    struct duel_state *s = a->duel;
    char now[FORMAT_TEXT], planned[FORMAT_TEXT];
    double margin = s->margin > 0 ? s->margin : s->of->preset.margin;
    s->margin = duel_margin_step(margin, wider);
    format_percent(now, s->margin);
    if (fabs(s->margin - s->of->preset.margin) < 1e-9)
        app_say(a, false, "equivalent within \xc2\xb1 %s, as the run plans", now);
    else
        app_say(a, false, "looking with \xc2\xb1 %s; the run's own verdict stays at \xc2\xb1 %s", now,
                format_percent(planned, s->of->preset.margin));
}

static void move_candidate(struct duel_state *s, int by)
{
    int n = s->of->cell[s->cell].n_arms;
    for (int to = s->candidate + by; to >= 0 && to < n; to += by)
        if (to != s->baseline) {
            s->candidate = to;
            return;
        }
}

static void drop_arm(struct app *a)
{
    struct duel_state *s = a->duel;
    const struct session_cell *c = &s->of->cell[s->cell];
    int arm = s->candidate > 0 ? s->candidate : s->baseline;
    if (!app_running(a) || s->of != a->live_session || s->cell != a->cell) {
        app_say(a, true, "only an arm of the cell that is being measured can be dropped");
        return;
    }
    engine_drop_arm(a->engine, arm);
    app_say(a, false, "%s is dropped from this cell after the round in flight; what it measured stands",
            c->arm[arm].name);
}

static bool action(struct app *a, enum action what)
{
    struct duel_state *s = a->duel;
    follow(a);
    if (what == ACTION_BACK && (a->frozen || (s->pinned && app_running(a)))) {
        if (!a->frozen)
            s->pinned = false;
        a->frozen = false;
        return true;
    }
    if (!s->of || s->of->n_cells == 0)
        return false;
    int cell = s->cell;
    switch (what) {
    case ACTION_UP:
    case ACTION_DOWN:
        move_candidate(s, what == ACTION_UP ? -1 : 1);
        return true;
    case ACTION_LEFT:
    case ACTION_RIGHT:
        cell += what == ACTION_LEFT ? -1 : 1;
        break;
    case ACTION_SWAP: {
        int baseline = s->baseline;
        s->baseline = s->candidate;
        s->candidate = baseline;
        return true;
    }
    case ACTION_CALIBRATE:
        app_calibrate(a, s->of, s->cell);
        return true;
    case ACTION_DROP_ARM:
        drop_arm(a);
        return true;
    case ACTION_TIGHTER:
    case ACTION_WIDER:
        set_margin(a, what == ACTION_WIDER);
        return true;
    case ACTION_FREEZE:
        a->frozen = !a->frozen;
        return true;
    case ACTION_CYCLE:
        s->matrix = !s->matrix && s->of->cell[s->cell].n_arms > 2;
        if (s->of->cell[s->cell].n_arms < 3)
            app_say(a, false, "two arms are one pair: the matrix of pairs comes with a third arm");
        return true;
    default:
        return false;
    }
    if (cell >= 0 && cell < s->of->n_cells && cell != s->cell) {
        s->cell = cell;
        s->pinned = true;
    }
    return true;
}

/* ---- picture ---- */

static void draw_sentence(const struct app *a, struct grid *g, struct rect r)
{
    const struct duel_state *s = a->duel;
    bool now = app_running(a) && s->of == a->live_session && s->cell == a->cell;
    const char *phase = now ? a->phase : ""; /* "warm-up": what is waited for */
    const struct session_cell *c = &s->of->cell[s->cell];
    char text[512], cost[160] = "";
    /* Against the session's first arm, whichever of the two it is. */
    int arm = s->baseline == 0 ? s->candidate : s->candidate == 0 ? s->baseline : -1;
    if (arm > 0)
        worth_cost(s->of, s->cell, arm, cost, sizeof cost);
    if (s->duel.compared)
        snprintf(text, sizeof text, "%s%s%s%s%s", s->duel.comparison.sentence, cost[0] ? "; " : "",
                 cost[0] && arm == s->baseline ? c->arm[arm].name : "",
                 cost[0] && arm == s->baseline ? ": " : "", cost);
    else if (c->status > CELL_OK && c->reason[0])
        snprintf(text, sizeof text, "this cell has no duel: %s", c->reason);
    else
        snprintf(text, sizeof text, "%s against %s: no round is complete yet%s%s", c->arm[s->candidate].name,
                 c->arm[s->baseline].name, phase[0] ? ": " : "", phase);
    if (r.height > 1)
        widget_paragraph(g, (struct rect){r.x + 1, r.y, r.width - 2, r.height}, STYLE_SENTENCE, text);
    else
        grid_text(g, r.x + 1, r.y, r.width - 2, STYLE_SENTENCE, text);
}

/* What the always-valid bounds say: they hold however often one looks. */
static void watched_words(const struct duel *d, char *out, size_t size)
{
    static const char *const said[] = {
        [VERDICT_FASTER] = "faster", [VERDICT_SLOWER] = "slower", [VERDICT_EQUIVALENT] = "equivalent"};
    if (d->watched == VERDICT_NONE)
        snprintf(out, size, "always-valid: open");
    else
        snprintf(out, size, "always-valid: %s since round %d", said[d->watched], d->watched_round);
}

/* However narrow the interval is, a run that goes on unwatched gives its verdict at the planned round;
 * planned 0: it does not go on. */
static void left_words(const struct duel *d, int planned, char *out, size_t size)
{
    char time[FORMAT_TEXT], margin[FORMAT_TEXT];
    double wait = d->of->preset.watch ? 0 : planned - d->n, pace = d->comparison.spoilers.seconds_per_round;
    out[0] = 0;
    if (!(d->rounds_left > 0))
        return;
    if (d->compared && wait >= d->rounds_left) {
        snprintf(out, size, "verdict at round %d%s%s", planned, isfinite(pace) ? ", in about " : "",
                 isfinite(pace) ? format_duration(time, wait * pace) : "");
        return;
    }
    format_percent(margin, d->margin);
    if (d->rounds_left > 9999)
        snprintf(out, size, "too noisy to settle \xc2\xb1 %s", margin);
    else if (isfinite(d->seconds_left))
        snprintf(out, size, "about %.0f more, %s, to settle", d->rounds_left,
                 format_duration(time, d->seconds_left));
    else
        snprintf(out, size, "about %.0f more to settle", d->rounds_left);
}

static void draw_progress(const struct app *a, struct grid *g, struct rect r)
{
    const struct duel_state *s = a->duel;
    const struct session_cell *c = &s->of->cell[s->cell];
    char part[4][160], margin[FORMAT_TEXT];
    int x = r.x + 1, end = r.x + r.width - 1;
    int planned = c->rounds_planned > 0 ? c->rounds_planned : s->of->preset.rounds;
    if (a->frozen)
        x += grid_text(g, x, r.y, end - x, STYLE_CURSOR, " frozen ") + 1;
    else if (app_running(a) && a->paused)
        x += grid_text(g, x, r.y, end - x, STYLE_CURSOR, " paused ") + 1;
    snprintf(part[0], sizeof part[0], "round %d of %d", s->duel.n, planned > s->duel.n ? planned : s->duel.n);
    left_words(&s->duel, app_running(a) && s->of == a->live_session ? planned : 0, part[1], sizeof part[1]);
    snprintf(part[2], sizeof part[2], "margin \xc2\xb1 %s", format_percent(margin, s->duel.margin));
    watched_words(&s->duel, part[3], sizeof part[3]);
    for (int i = 0; i < 4; i++)
        if (part[i][0] && x + grid_columns(part[i]) <= end)
            x += grid_text(g, x, r.y, end - x, i == 0 ? STYLE_TEXT : STYLE_DIM, part[i]) + 3;
}

static void cell_words(const struct duel_state *s, char *out, size_t size)
{
    const struct session_cell *c = &s->of->cell[s->cell];
    const char *unreal = session_unreal(s->of);
    snprintf(out, size, "%s%s%s \xc2\xb7 %s \xc2\xb7 batch %d \xc2\xb7 seq %d", unreal, unreal[0] ? ": " : "",
             session_model_name(c), workload_names[c->workload], c->batch, c->seq);
}

static void draw_ratio(const struct duel_state *s, struct grid *g, struct rect r)
{
    const struct session_cell *c = &s->of->cell[s->cell];
    char title[192], note[320];
    cell_words(s, note, sizeof note);
    snprintf(title, sizeof title, "Time of %c : %c over rounds", theme_arm_letter(s->baseline),
             theme_arm_letter(s->candidate));
    if (r.width < grid_columns(title) + grid_columns(note) + 10)
        note[0] = 0;
    struct rect in = widget_panel(g, r, title, note, true);
    if (in.height >= 8 && in.width >= 66) {
        char legend[160], margin[FORMAT_TEXT], level[FORMAT_TEXT];
        struct rect line = layout_top(&in, 1);
        snprintf(legend, sizeof legend, "%s round  %s planned %s  %s always-valid  %s equivalent \xc2\xb1 %s",
                 g->ascii ? "o" : "\xe2\x80\xa2", g->ascii ? "==" : "\xe2\x94\x81\xe2\x94\x81",
                 figure_percent(summary_confidence(s->of), 1, level, sizeof level),
                 g->ascii ? ".." : "\xe2\x8b\xaf\xe2\x8b\xaf", g->ascii ? "::" : "\xe2\x96\x91\xe2\x96\x91",
                 figure_percent(s->duel.margin, 2, margin, sizeof margin));
        int indent = line.width - grid_columns(legend); /* above the plot where there is room */
        indent = indent < 0 ? 0 : indent > 7 ? 7 : indent;
        grid_text(g, line.x + indent, line.y, line.width - indent, STYLE_DIM, legend);
    }
    int planned = c->rounds_planned > 0 ? c->rounds_planned : s->of->preset.rounds;
    duel_plot_ratio(g, in, &s->duel, planned);
}

static void draw_matrix(const struct duel_state *s, struct grid *g, struct rect r)
{
    const struct session_cell *c = &s->of->cell[s->cell];
    const char *name[PRESET_ARMS];
    struct rect in = widget_panel(g, r, "Speed-up, row over column", "", false);
    if (s->n_pairs != c->n_arms || !s->pairs)
        return;
    for (int i = 0; i < c->n_arms; i++)
        name[i] = c->arm[i].name;
    duel_plot_matrix(g, in, &(struct duel_matrix){s->pairs, name, c->n_arms, s->candidate, s->baseline});
}

/* One of the two: its histogram on the scale that both share. */
static void draw_arm(struct duel_state *s, struct grid *g, struct rect r, int arm)
{
    const struct session_cell *c = &s->of->cell[s->cell];
    const struct arm_summary *m = live_summary(s->statistics, s->of, s->cell, arm, s->now_ns);
    const struct live_arm *data = live_arm(s->statistics, s->cell, arm);
    char title[128], note[80] = "", mean[FIGURE_TEXT], half[FIGURE_TEXT];
    snprintf(title, sizeof title, "%c %.80s", theme_arm_letter(arm), c->arm[arm].name);
    if (m && isfinite(m->latency.ci.high)) {
        double width = (m->latency.ci.high - m->latency.ci.low) / 2;
        int decimals = figure_scale_decimals(m->latency.mean, width);
        figure_fixed(m->latency.mean, decimals, mean, sizeof mean);
        figure_fixed(width, decimals, half, sizeof half);
        snprintf(note, sizeof note, "%s \xc2\xb1 %s ms", mean, half);
        if (grid_columns(title) + grid_columns(note) + 7 > r.width) /* the figures before their unit */
            snprintf(note, sizeof note, "%s \xc2\xb1 %s", mean, half);
    }
    struct rect in = widget_panel(g, r, title, note, false);
    if (!data || !m) {
        grid_text(g, in.x, in.y, in.width, STYLE_DIM, "no samples yet");
        return;
    }
    int columns = in.width - 2;
    if (columns < 4 || columns > BARS || in.height < 1)
        return;
    if (s->range_cell != s->cell || s->range_columns != columns)
        s->range.per_column = 0;
    s->range_cell = s->cell;
    s->range_columns = columns;
    live_choose_range(s->statistics, s->of, s->cell, columns, &s->range);
    uint32_t count[BARS];
    struct plot_histogram h = {.count = count,
                               .n = columns,
                               .bar_width = 1,
                               .low = live_column_edge(&s->range, 0),
                               .high = live_column_edge(&s->range, columns),
                               .style = theme_arm(arm),
                               .cursor = -1};
    h.tick[0] = (struct plot_tick){m->latency.median, "p50", false};
    h.tick[1] = (struct plot_tick){m->latency.p99, "p99", !m->p99_supported};
    h.tick[2] = (struct plot_tick){m->latency.p90, "p90", !m->p90_supported};
    h.tick[3] = (struct plot_tick){NAN, "", false};
    live_columns(&data->bins, &s->range, columns, count, &h.under, &h.over);
    plot_histogram(g, in, &h);
}

static void draw_spoilers(const struct duel_state *s, struct grid *g, struct rect r)
{
    struct rect in = r;
    if (r.height >= 3)
        in = widget_panel(g, r, "What spoils it", "where the variance lies, and what disturbs", false);
    else
        in = (struct rect){r.x + 1, r.y, r.width - 2, r.height};
    if (s->duel.n_spoilers == 0) {
        grid_text(g, in.x, in.y, in.width, STYLE_DIM, "too few rounds to tell");
        return;
    }
    int left = s->duel.n_spoilers - in.height;
    for (int i = 0; i < s->duel.n_spoilers && i < in.height; i++) {
        const struct duel_spoiler *k = &s->duel.spoiler[i];
        char text[192];
        bool more = i == in.height - 1 && left > 0;
        snprintf(text, sizeof text, "%s%s", k->grave ? "! " : "  ", k->text);
        int room = more ? in.width - 10 : in.width;
        grid_text(g, in.x, in.y + i, room, k->grave ? STYLE_WARNING : STYLE_TEXT, text);
        if (more)
            grid_format(g, in.x + in.width - 9, in.y + i, 9, STYLE_DIM, "%d more", left);
    }
}

static void draw(struct app *a, struct grid *g, struct rect r)
{
    struct duel_state *s = a->duel;
    struct rect panel[DUEL_PANELS];
    follow(a);
    if (!s->of || s->of->n_cells == 0 || s->of->cell[s->cell].n_arms < 2) {
        struct rect in = widget_panel(g, r, "Duel", "", false);
        widget_paragraph(
            g, in, STYLE_DIM,
            s->of && s->of->n_cells > 0
                ? "A duel needs two arms, and this session has one. Add an arm in Setup (1) with a."
                : "Nothing is running. Choose two arms in Setup (1), then r starts the run; a saved "
                  "session opened in Sessions (5) is drawn here too.");
        return;
    }
    int n_arms = s->of->cell[s->cell].n_arms;
    layout_duel(r, n_arms, s->duel.n_spoilers, s->matrix, panel);
    draw_sentence(a, g, panel[DUEL_SENTENCE]);
    draw_progress(a, g, panel[DUEL_PROGRESS]);
    if (panel[DUEL_RATIO].width > 0)
        draw_ratio(s, g, panel[DUEL_RATIO]);
    if (panel[DUEL_MATRIX].width > 0)
        draw_matrix(s, g, panel[DUEL_MATRIX]);
    if (panel[DUEL_LEFT].width > 0) {
        draw_arm(s, g, panel[DUEL_LEFT], s->baseline);
        draw_arm(s, g, panel[DUEL_RIGHT], s->candidate);
    }
    if (panel[DUEL_SPOILS].width > 0)
        draw_spoilers(s, g, panel[DUEL_SPOILS]);
}

static bool can(const struct app *a, enum action what)
{
    const struct duel_state *s = a->duel;
    bool has = s->of && s->of->n_cells > 0 && s->of->cell[s->cell].n_arms > 1;
    switch (what) {
    case ACTION_SWAP:
    case ACTION_TIGHTER:
    case ACTION_WIDER:
        return has;
    case ACTION_FOCUS_NEXT:
        return false;
    case ACTION_DROP_ARM:
        return has && app_running(a) && s->of == a->live_session;
    case ACTION_CYCLE:
        return has && s->of->cell[s->cell].n_arms > 2;
    default:
        return true;
    }
}

const struct view view_duel = {.name = "Duel",
                               .init = init,
                               .free = release,
                               .enter = enter,
                               .action = action,
                               .can = can,
                               .draw = draw,
                               .session_changed = session_changed};
