#include "tui/view_live.h"
#include "engine/figure.h"
#include "engine/worth.h"
#include "tui/format.h"
#include "tui/plot.h"
#include "tui/screen.h"
#include "tui/theme.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct live_place live_place_of(const struct session *s, int cell)
{
    const struct preset *p = &s->preset;
    struct live_place at = {0};
    if (p->n_batch < 1 || p->n_seq < 1 || p->n_workloads < 1)
        return at;
    at.batch = cell % p->n_batch;
    cell /= p->n_batch;
    at.seq = cell % p->n_seq;
    cell /= p->n_seq;
    at.workload = cell % p->n_workloads;
    at.model = cell / p->n_workloads;
    return at;
}

int live_cell_at(const struct session *s, struct live_place at)
{
    const struct preset *p = &s->preset;
    if (at.batch < 0 || at.batch >= p->n_batch || at.seq < 0 || at.seq >= p->n_seq || at.workload < 0 ||
        at.workload >= p->n_workloads || at.model < 0 || at.model >= p->n_models)
        return -1;
    int cell = ((at.model * p->n_workloads + at.workload) * p->n_seq + at.seq) * p->n_batch + at.batch;
    return cell < s->n_cells ? cell : -1;
}

int live_axis_length(const struct session *s, enum live_axis axis)
{
    return axis == LIVE_AXIS_BATCH ? s->preset.n_batch
           : axis == LIVE_AXIS_SEQ ? s->preset.n_seq
                                   : s->preset.n_models;
}

int *live_place_on(struct live_place *p, enum live_axis axis)
{
    return axis == LIVE_AXIS_BATCH ? &p->batch : axis == LIVE_AXIS_SEQ ? &p->seq : &p->model;
}

const char *live_why_empty(const struct session_cell *c, int arm)
{
    static const char *const words[] = {
        [CELL_PENDING] = "waiting",
        [CELL_RUNNING] = "no samples yet",
        [CELL_OK] = "no samples",
        [CELL_OUT_OF_MEMORY] = "not run: out of memory",
        [CELL_UNSUPPORTED] = "not run: unsupported",
        [CELL_FAILED] = "not run: the cell failed",
        [CELL_SKIPPED] = "not run: the cell was skipped",
        [CELL_STOPPED] = "not run: the run was stopped",
    };
    if (c->arm[arm].reason[0])
        return c->arm[arm].reason;
    return words[c->status > CELL_RUNNING ? c->status : c->arm[arm].status];
}

int live_arms_shown(const struct live_state *s, int room, int arm[])
{
    int n_arms = s->of->cell[s->cell].n_arms, n = 0;
    if (room > n_arms)
        room = n_arms;
    if (room > PRESET_ARMS)
        room = PRESET_ARMS;
    if (room < 1)
        return 0;
    int first = s->candidate - room + 2 > 1 ? s->candidate - room + 2 : 1;
    arm[n++] = 0;
    while (n < room)
        arm[n] = first + n - 1, n++;
    return n;
}

static int init(struct app *a, struct error *e)
{
    struct live_state *s = calloc(1, sizeof *s);
    if (s)
        s->statistics = live_new();
    if (!s || !s->statistics) {
        free(s);
        return error_set(e, ERROR_MEMORY, "no memory for a screen: close other programs");
    }
    s->focus = LIVE_STATISTICS;
    s->candidate = 1;
    a->live = s;
    return 0;
}

static void release(struct app *a)
{
    if (!a->live)
        return;
    live_free(a->live->statistics);
    free(a->live);
    a->live = NULL;
}

/* The first axis that the session sweeps; the current one if it does. */
static enum live_axis swept_axis(const struct session *s, enum live_axis from)
{
    for (int i = 0; i < LIVE_AXES; i++) {
        enum live_axis axis = (enum live_axis)(((int)from + i) % LIVE_AXES);
        if (live_axis_length(s, axis) > 1)
            return axis;
    }
    return from;
}

/* Takes up the session that is to be drawn, and its news unless the picture is frozen. */
static void follow(struct app *a)
{
    struct live_state *s = a->live;
    const struct session *session = a->live_session ? a->live_session : a->session;
    if (session != s->of) {
        live_reset(s->statistics);
        s->of = session;
        s->cell = 0;
        s->pinned = false;
        s->candidate = 1;
        s->range.per_column = 0;
        s->n_readings = 0;
        if (session)
            s->axis = swept_axis(session, LIVE_AXIS_BATCH);
    }
    if (!session || (a->frozen && s->now_ns))
        return;
    s->now_ns = a->now_ns();
    if (live_follow(s->statistics, session) < 0)
        app_say(a, true, "no memory for live statistics: close other programs");
    if (!s->pinned && session == a->live_session && a->cell >= 0 && a->cell < session->n_cells)
        s->cell = a->cell;
    /* A run that has ended shows the last cell that has something to show. */
    for (int c = s->cell; !s->pinned && !app_running(a) && c >= 0; c--)
        if (live_arm(s->statistics, c, 0)) {
            s->cell = c;
            break;
        }
    if (s->candidate >= session->cell[s->cell].n_arms)
        s->candidate = session->cell[s->cell].n_arms > 1 ? 1 : 0;
    if (session != a->live_session || !a->engine)
        return;
    s->eta_s = engine_eta_s(a->engine);
    s->elapsed_s = (double)(engine_now_ns(a->engine) - a->run_started_ns) / 1e9;
    int64_t times[64];
    int n = engine_telemetry(a->engine, s->reading, times, 64);
    s->n_readings = n > 0 ? n : 0;
    snprintf(s->phase, sizeof s->phase, "%s", a->phase);
    s->phase_fraction = a->phase_fraction;
}

static void enter(struct app *a)
{
    follow(a);
}

static void session_changed(struct app *a)
{
    live_reset(a->live->statistics);
    a->live->of = NULL;
    a->live->now_ns = 0;
    a->frozen = false;
}

static void move_cell(struct app *a, int by)
{
    struct live_state *s = a->live;
    struct live_place at = live_place_of(s->of, s->cell);
    int *i = live_place_on(&at, s->axis);
    if (live_axis_length(s->of, s->axis) < 2) {
        int to = s->cell + by;
        if (to >= 0 && to < s->of->n_cells)
            s->cell = to;
    } else {
        *i += by;
        int to = live_cell_at(s->of, at);
        if (to < 0) { /* beyond the end of this curve: the next one of the sweep */
            to = s->cell + by;
            to = to >= 0 && to < s->of->n_cells ? to : s->cell;
        }
        s->cell = to;
    }
    s->pinned = true;
}

static void move_cursor(struct live_state *s, int by)
{
    int columns = s->range_columns > 0 ? s->range_columns : 1;
    s->cursor += by;
    s->cursor = s->cursor < 0 ? 0 : s->cursor >= columns ? columns - 1 : s->cursor;
}

static void freeze(struct app *a)
{
    struct live_state *s = a->live;
    a->frozen = !a->frozen;
    if (!a->frozen)
        return;
    live_settle(s->statistics);
    s->focus = LIVE_LATENCY;
    s->cursor = s->range_columns / 2;
    const struct live_arm *arm = live_arm(s->statistics, s->cell, 0);
    if (arm && s->range.per_column > 0) {
        double median = live_quantile(&arm->bins, 0.5);
        int column =
            (int)floor((log10(median * 1e6) * LIVE_BINS_PER_DECADE - s->range.first) / s->range.per_column);
        s->cursor = 0;
        move_cursor(s, column);
    }
}

/* Tab goes through what is on the screen or could be. */
static void move_focus(struct live_state *s, int by)
{
    static const int order[] = {LIVE_STATISTICS, LIVE_LATENCY, LIVE_CURVE, LIVE_DEVICE, LIVE_MEMORY};
    int at = 0, n = (int)(sizeof order / sizeof order[0]);
    for (int i = 0; i < n; i++)
        if (order[i] == s->focus)
            at = i;
    s->focus = order[(at + by + n) % n];
}

static bool back(struct app *a)
{
    if (a->frozen) {
        a->frozen = false;
        return true;
    }
    if (a->live->pinned && app_running(a)) {
        a->live->pinned = false;
        return true;
    }
    return false;
}

static bool action(struct app *a, enum action what)
{
    struct live_state *s = a->live;
    follow(a);
    if (what == ACTION_FOCUS_NEXT || what == ACTION_FOCUS_PREVIOUS) {
        move_focus(s, what == ACTION_FOCUS_NEXT ? 1 : -1);
        return true;
    }
    if (what == ACTION_BACK)
        return back(a);
    if (!s->of)
        return false;
    bool reads_values = a->frozen && s->focus == LIVE_LATENCY;
    switch (what) {
    case ACTION_FREEZE:
        freeze(a);
        return true;
    case ACTION_DUEL: /* the cell and the arm that this screen speaks of */
        a->duel_cell = s->pinned ? s->cell : -1;
        a->duel_candidate = s->candidate;
        return false;
    case ACTION_LEFT:
    case ACTION_RIGHT:
        if (reads_values)
            move_cursor(s, what == ACTION_LEFT ? -1 : 1);
        else
            move_cell(a, what == ACTION_LEFT ? -1 : 1);
        return true;
    case ACTION_PAGE_UP:
    case ACTION_PAGE_DOWN:
        if (reads_values)
            move_cursor(s, what == ACTION_PAGE_UP ? -10 : 10);
        return true;
    case ACTION_UP:
        s->candidate -= s->candidate > 1;
        return true;
    case ACTION_DOWN:
        s->candidate += s->candidate + 1 < s->of->cell[s->cell].n_arms;
        return true;
    case ACTION_HOME:
        s->cell = 0;
        s->pinned = true;
        return true;
    case ACTION_END: /* where the run is */
        s->pinned = !app_running(a);
        if (s->pinned)
            s->cell = s->of->n_cells - 1;
        return true;
    case ACTION_CYCLE: /* every quantity over every axis that is swept */
        s->quantity = (enum live_quantity)((s->quantity + 1) % LIVE_QUANTITIES);
        if (s->quantity == 0)
            s->axis = swept_axis(s->of, (enum live_axis)((s->axis + 1) % LIVE_AXES));
        return true;
    default:
        return false;
    }
}

/* What is done before the first sample: the line of progress below has no room for it on narrow screens. */
static void preparing_words(const struct app *a, char *out, size_t size)
{
    const struct live_state *s = a->live;
    char fraction[FORMAT_TEXT], arm[80] = "", part[FORMAT_TEXT + 8] = "";
    if (s->cell != a->cell || !s->phase[0]) {
        snprintf(out, size, "no samples of this cell yet");
        return;
    }
    if (a->arm >= 0 && a->arm < s->of->cell[s->cell].n_arms)
        snprintf(arm, sizeof arm, ", %s", s->of->cell[s->cell].arm[a->arm].name);
    if (isfinite(s->phase_fraction))
        snprintf(part, sizeof part, ", %s", format_percent(fraction, s->phase_fraction));
    snprintf(out, size, "no samples of this cell yet: %s%s%s", s->phase, arm, part);
}

/* What a person would say, and never more than the data do. */
static void draw_sentence(struct app *a, struct grid *g, struct rect r)
{
    struct live_state *s = a->live;
    const struct session_cell *c = &s->of->cell[s->cell];
    const struct comparison *k = live_comparison(s->statistics, s->of, s->cell, s->candidate, s->now_ns);
    char text[512] = "";
    if (k && k->sentence[0]) {
        char cost[160];
        worth_cost(s->of, s->cell, s->candidate, cost, sizeof cost);
        snprintf(text, sizeof text, "%s%s%s", k->sentence, cost[0] ? "; " : "", cost);
    } else if (c->status > CELL_OK) {
        snprintf(text, sizeof text, "%s%s%s", cell_status_names[c->status], c->reason[0] ? ": " : "",
                 c->reason);
        for (char *at = text; *at && *at != ':'; at++)
            *at = *at == '_' ? ' ' : *at;
    } else {
        const struct arm_summary *m = live_summary(s->statistics, s->of, s->cell, 0, s->now_ns);
        char mean[FORMAT_TEXT], half[FORMAT_TEXT], level[FORMAT_TEXT];
        if (m && isfinite(m->latency.ci.high))
            snprintf(text, sizeof text, "%s takes %s \xc2\xb1 %s ms (%s CI over %d blocks)", c->arm[0].name,
                     format_digits(mean, m->latency.mean, 4),
                     format_digits(half, (m->latency.ci.high - m->latency.ci.low) / 2, 2),
                     figure_percent(summary_confidence(s->of), 1, level, sizeof level), m->blocks);
        else if (m)
            snprintf(text, sizeof text, "%s takes about %s ms so far; too few blocks for an interval",
                     c->arm[0].name, format_digits(mean, m->latency.mean, 3));
        else if (s->of == a->live_session && app_running(a))
            preparing_words(a, text, sizeof text);
        else
            snprintf(text, sizeof text, "this cell has no samples");
    }
    if (r.height > 1)
        widget_paragraph(g, (struct rect){r.x + 1, r.y, r.width - 2, r.height}, STYLE_SENTENCE, text);
    else
        grid_text(g, r.x + 1, r.y, r.width - 2, STYLE_SENTENCE, text);
}

static int rounds_done(const struct session_cell *c)
{
    int rounds = c->n_arms > 0 ? INT32_MAX : 0;
    for (int i = 0; i < c->n_arms; i++) {
        int whole = 0;
        for (int b = 0; b < c->arm[i].n_blocks; b++)
            whole += atomic_load_explicit(&c->arm[i].blocks[b]->n, memory_order_acquire) >=
                     c->arm[i].blocks[b]->capacity;
        if (c->arm[i].n_blocks > 0)
            rounds = whole < rounds ? whole : rounds;
    }
    return rounds == INT32_MAX ? 0 : rounds;
}

static void progress_words(struct app *a, char *out, size_t size)
{
    struct live_state *s = a->live;
    const struct session_cell *c = &s->of->cell[s->cell];
    char tokens[24] = "";
    if (c->workload == WORKLOAD_GENERATE)
        snprintf(tokens, sizeof tokens, "+%d", c->tokens);
    const char *unreal = session_unreal(s->of);
    snprintf(out, size, "%s%s%s%s \xc2\xb7 %s \xc2\xb7 batch %d \xc2\xb7 %d%s", unreal, unreal[0] ? ": " : "",
             s->pinned && app_running(a) ? "looking at " : "", session_model_name(c),
             workload_names[c->workload], c->batch, c->seq, tokens);
}

/* One character per cell of the sweep, the one shown in reverse; returns the columns taken before `end`. */
static int draw_cells(const struct live_state *s, struct grid *g, int end, int y)
{
    const struct session *session = s->of;
    for (int i = 0; i < session->n_cells; i++) {
        enum cell_status status = session->cell[i].status;
        int x = end - session->n_cells + i;
        uint32_t code = status == CELL_OK        ? glyph(g, GLYPH_ON)
                        : status == CELL_RUNNING ? glyph(g, GLYPH_POINTER)
                        : status == CELL_PENDING ? (uint32_t)(g->ascii ? '.' : 0xb7)
                                                 : glyph(g, GLYPH_TIMES);
        enum style style = i == s->cell             ? STYLE_SELECTED
                           : status == CELL_OK      ? STYLE_KEY
                           : status > CELL_OK       ? STYLE_WARNING
                           : status == CELL_RUNNING ? STYLE_TEXT
                                                    : STYLE_DIM;
        grid_put(g, x, y, code, style);
    }
    return session->n_cells + 2;
}

/* Round, precision reached against precision wanted, phase, elapsed, at most how much is left. */
static void draw_progress(struct app *a, struct grid *g, struct rect r)
{
    struct live_state *s = a->live;
    const struct session *session = s->of;
    const struct session_cell *c = &session->cell[s->cell];
    char text[512], left[FORMAT_TEXT], gone[FORMAT_TEXT];
    int x = r.x + 1, end = r.x + r.width - 1;
    bool running = session == a->live_session && app_running(a);
    if (a->frozen)
        x += grid_text(g, x, r.y, end - x, STYLE_CURSOR, " frozen ") + 1;
    else if (running && a->paused)
        x += grid_text(g, x, r.y, end - x, STYLE_CURSOR, " paused ") + 1;
    char time[96] = "";
    if (running && isfinite(s->eta_s) && r.width < 90) /* else it stands in the corner */
        snprintf(time, sizeof time, "%s, left \xe2\x89\xa4 %s", format_duration(gone, s->elapsed_s),
                 format_duration(left, s->eta_s));
    else if (running)
        snprintf(time, sizeof time, "%s", format_duration(gone, s->elapsed_s));
    else
        snprintf(time, sizeof time, "%s", session_status_names[session->status]);
    int time_width = grid_columns(time);
    if (end - time_width > x + 24) {
        grid_text(g, end - time_width, r.y, time_width, STYLE_TEXT, time);
        end -= time_width + 2;
    }
    if (session->n_cells > 1 && session->n_cells < (end - x) / 3)
        end -= draw_cells(s, g, end, r.y);
    progress_words(a, text, sizeof text);
    x += grid_text(g, x, r.y, end - x, STYLE_TEXT, text) + 2;
    int planned = c->rounds_planned > 0 ? c->rounds_planned : session->preset.rounds;
    const struct comparison *k = live_comparison(s->statistics, session, s->cell, s->candidate, s->now_ns);
    snprintf(text, sizeof text, "round %d of %d", rounds_done(c), planned);
    if (end - x >= grid_columns(text))
        x += grid_text(g, x, r.y, end - x, STYLE_DIM, text) + 2;
    if (k && isfinite(k->speedup_ci.high) && session->preset.half_width > 0) {
        char now[FORMAT_TEXT], wanted[FORMAT_TEXT];
        snprintf(text, sizeof text, "\xc2\xb1 %s, wanted %s",
                 format_percent(now, (k->speedup_ci.high - k->speedup_ci.low) / 2 / k->speedup),
                 format_percent(wanted, session->preset.half_width));
        if (end - x >= grid_columns(text))
            x += grid_text(g, x, r.y, end - x, STYLE_DIM, text) + 2;
    }
    if (running && s->cell == a->cell && s->phase[0] && !a->frozen && end - x >= 18) {
        const char *arm = a->arm >= 0 && a->arm < c->n_arms ? c->arm[a->arm].name : "";
        snprintf(text, sizeof text, "%s %s", s->phase, arm);
        int width = grid_columns(text);
        if (end - x < width + 12)
            snprintf(text, sizeof text, "%s", s->phase);
        x += grid_text(g, x, r.y, end - x, STYLE_TEXT, text) + 1;
        if (isfinite(s->phase_fraction) && end - x >= 8)
            plot_bar(g, x, r.y, end - x > 16 ? 16 : end - x, s->phase_fraction, STYLE_BAR);
    }
}

static void draw(struct app *a, struct grid *g, struct rect r)
{
    struct live_state *s = a->live;
    struct rect *panel = s->panel;
    follow(a);
    if (!s->of || s->of->n_cells == 0) {
        struct rect in = widget_panel(g, r, "Live", "", false);
        widget_paragraph(
            g, in, STYLE_DIM,
            "Nothing is running. Choose models, arms and a sweep in Setup (1), then r starts the run; "
            "a saved session opened in Sessions (5) is drawn here too.");
        return;
    }
    bool has_curve = live_axis_length(s->of, s->axis) > 1;
    layout_live(r, s->of->cell[s->cell].n_arms, has_curve, s->focus, panel);
    draw_sentence(a, g, panel[LIVE_SENTENCE]);
    draw_progress(a, g, panel[LIVE_PROGRESS]);
    void (*const drawer[LIVE_PANELS])(struct app *, struct grid *, struct rect) = {
        [LIVE_LATENCY] = live_draw_latency,       [LIVE_CURVE] = live_draw_curve,
        [LIVE_STATISTICS] = live_draw_statistics, [LIVE_DEVICE] = live_draw_device,
        [LIVE_MEMORY] = live_draw_memory,
    };
    for (int i = LIVE_LATENCY; i < LIVE_PANELS; i++)
        if (panel[i].width > 0 && panel[i].height > 0)
            drawer[i](a, g, panel[i]);
}

static void click(struct app *a, int x, int y)
{
    for (int i = LIVE_LATENCY; a->live->of && i < LIVE_PANELS; i++)
        if (widget_hit(a->live->panel[i], x, y))
            a->live->focus = i;
}

const struct view view_live = {.name = "Live",
                               .init = init,
                               .free = release,
                               .enter = enter,
                               .action = action,
                               .click = click,
                               .draw = draw,
                               .session_changed = session_changed};
