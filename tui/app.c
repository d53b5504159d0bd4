#include "tui/app.h"
#include "engine/clock.h"
#include "engine/session_calibration.h"
#include "tui/app_draw.h"
#include "tui/dialog.h"
#include "tui/job.h"
#include "tui/saving.h"
#include "tui/screen.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct view *const app_views[VIEWS] = {
    [VIEW_SETUP] = &view_setup,     [VIEW_LIVE] = &view_live,         [VIEW_DUEL] = &view_duel,
    [VIEW_RESULTS] = &view_results, [VIEW_SESSIONS] = &view_sessions,
};

int app_init(struct app *a, const struct preset *preset, const struct device *device, int wake_fd,
             struct error *e)
{
    memset(a, 0, sizeof *a);
    a->device = *device;
    a->wake_fd = wake_fd;
    a->now_ns = clock_ns;
    a->cell = a->arm = -1;
    a->phase_fraction = NAN;
    if (preset_copy(&a->preset, preset, e) != 0)
        return -1;
    int started = 0;
    for (; started < VIEWS; started++)
        if (app_views[started]->init(a, e) != 0)
            break;
    if (started < VIEWS) {
        while (started-- > 0)
            app_views[started]->free(a);
        preset_free(&a->preset);
        return -1;
    }
    app_replan(a);
    app_views[a->view]->enter(a);
    return 0;
}

static void session_changed(struct app *a)
{
    a->session_version++;
    for (int i = 0; i < VIEWS; i++)
        if (app_views[i]->session_changed)
            app_views[i]->session_changed(a);
}

static void free_session(struct session *s)
{
    if (!s)
        return;
    session_free(s);
    free(s);
}

/* Both sessions and the engine whose blocks they share, in this order. */
static void forget_run(struct app *a)
{
    struct session *live = a->live_session;
    if (a->session == live)
        a->session = NULL;
    a->live_session = NULL;
    session_changed(a);
    free_session(live);
    engine_free(a->engine);
    a->engine = NULL;
    free_session(a->resumed);
    a->resumed = NULL;
    a->log_read = 0;
    a->cell = a->arm = -1;
    a->paused = false;
}

void app_free(struct app *a)
{
    job_cancel(a);
    dialog_close(a);
    app_stop_run(a);
    struct session *loaded = a->session != a->live_session ? a->session : NULL;
    if (loaded) {
        a->session = NULL;
        session_changed(a);
        free_session(loaded);
    }
    forget_run(a);
    for (int i = 0; i < VIEWS; i++)
        app_views[i]->free(a);
    plan_free(&a->plan);
    preset_free(&a->preset);
}

void app_say(struct app *a, bool is_error, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(a->message, sizeof a->message, format, list);
    va_end(list);
    a->message_is_error = is_error;
}

void app_replan(struct app *a)
{
    struct plan plan;
    memset(&plan, 0, sizeof plan);
    a->preset_changed = false;
    memset(&a->plan_error, 0, sizeof a->plan_error);
    plan_free(&a->plan);
    memset(&a->plan, 0, sizeof a->plan);
    if (plan_build(&a->preset, &a->device, &plan, &a->plan_error) == 0)
        a->plan = plan;
}

void app_set_preset(struct app *a, struct preset *p)
{
    preset_free(&a->preset);
    a->preset = *p;
    memset(p, 0, sizeof *p);
    app_replan(a);
    app_go(a, VIEW_SETUP);
}

void app_go(struct app *a, enum view_id view)
{
    a->view = view;
    app_views[view]->enter(a);
}

bool app_running(const struct app *a)
{
    return a->engine && engine_running(a->engine);
}

void app_show_session(struct app *a, struct session *s)
{
    struct session *old = a->session != a->live_session ? a->session : NULL;
    a->session = s;
    session_changed(a);
    free_session(old);
}

static bool start(struct app *a, const struct preset *preset, const struct session *resume,
                  struct session **fold, struct engine **engine, struct error *e)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(e, ERROR_MEMORY, "no memory for a session: close other programs");
        return false;
    }
    if (session_layout(s, preset, e) != 0) {
        free(s);
        return false;
    }
    struct engine_options o = {.preset = preset,
                               .resume = resume,
                               .session_path = resume ? resume->path : a->session_path,
                               .argv_json = a->argv_json,
                               .wake_fd = a->wake_fd,
                               .realtime = a->realtime};
    *engine = engine_start(&o, e);
    if (!*engine) {
        free_session(s);
        return false;
    }
    const char *path = engine_session_path(*engine),
               *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t length = strlen(base);
    if (length > 5 && strcmp(base + length - 5, ".json") == 0)
        length -= 5;
    snprintf(s->path, sizeof s->path, "%s", path);
    snprintf(s->id, sizeof s->id, "%.*s", (int)(length < sizeof s->id ? length : sizeof s->id - 1), base);
    *fold = s;
    return true;
}

/* resume is taken over. */
static void start_run(struct app *a, const struct preset *preset, struct session *resume)
{
    struct error e = {0};
    struct session *s = NULL;
    struct engine *g = NULL;
    if (app_running(a))
        error_set(&e, ERROR_USAGE, "a run is in progress: stop it first (s), or wait for its end");
    if (e.text[0] || !start(a, preset, resume, &s, &g, &e)) {
        free_session(resume);
        app_say(a, true, "%s", e.text);
        return;
    }
    struct session *loaded = a->session != a->live_session ? a->session : NULL;
    a->session = NULL;
    forget_run(a);
    free_session(loaded);
    a->session_path = NULL;
    a->engine = g;
    a->resumed = resume;
    a->live_session = a->session = s;
    a->frozen = a->calibrating = false;
    a->message[0] = 0;
    session_changed(a);
}

void app_start_run(struct app *a, struct session *resume)
{
    if (!resume && a->plan_error.text[0]) {
        app_say(a, true, "%s", a->plan_error.text);
        return;
    }
    const struct engine *before = a->engine;
    start_run(a, resume ? &resume->preset : &a->preset, resume);
    if (a->engine != before)
        app_go(a, VIEW_LIVE);
}

static void only_cell(struct preset *p, const struct session_cell *c)
{
    p->n_models = p->n_workloads = p->n_batch = p->n_seq = 1;
    memcpy(p->models[0], c->model, sizeof p->models[0]);
    p->workloads[0] = c->workload;
    p->batch[0] = c->batch;
    p->seq[0] = c->seq;
}

void app_calibrate(struct app *a, const struct session *s, int cell)
{
    struct preset aa = {0};
    struct error e = {0};
    if (calibration_preset(s ? &s->preset : &a->preset, &aa, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    if (s)
        only_cell(&aa, &s->cell[cell]);
    const struct engine *before = a->engine;
    start_run(a, &aa, NULL);
    preset_free(&aa);
    if (a->engine == before)
        return;
    a->calibrating = true;
    app_go(a, VIEW_DUEL);
    app_say(a, false, "calibrating: the baseline against itself");
}

/* What the A/A run says, kept for the verdicts to come. */
static void store_calibration(struct app *a)
{
    struct error e = {0};
    struct session_calibration c;
    a->calibrating = false;
    engine_join(a->engine); /* its thread said that it ends: it has the whole record */
    const struct session *s = engine_session(a->engine);
    int cells = calibration_store(s, NULL, 0, &e);
    if (cells < 0)
        app_say(a, true, "%s", e.text);
    else if (cells == 0)
        app_say(a, true, "nothing was calibrated: at least %d rounds of a cell are needed",
                SUMMARY_MIN_ROUNDS);
    else if (cells == 1 && calibration_of(s, 0, &c))
        app_say(a, false, "calibrated: noise floor \xc2\xb1 %.2g %%, smallest difference found %.2g %%",
                c.noise_floor_pct, c.mde_pct);
    else
        app_say(a, false, "%d cells are calibrated for this machine", cells);
}

/* A session in the folder of sessions goes by its name, any other by its path. */
static void say_saved(struct app *a, bool stopped, const char *path)
{
    char folder[512];
    struct error e = {0};
    if (!*path)
        path = engine_session_path(a->engine);
    size_t length = catalog_sessions_dir(folder, sizeof folder, &e) == 0 ? strlen(folder) : 0;
    if (length > 0 && strncmp(path, folder, length) == 0 && path[length] == '/')
        path += length + 1;
    app_say(a, false, "%ssaved as %s", stopped ? "stopped; " : "", path);
}

static void on_entry(struct app *a, const struct log_entry *entry)
{
    switch (entry->kind) {
    case LOG_RUN_STARTED:
        a->run_started_ns = entry->time_ns;
        break;
    case LOG_CELL_STARTED:
        a->cell_started_ns = entry->time_ns;
        a->cell = entry->cell;
        a->arm = -1;
        a->phase[0] = 0;
        a->phase_fraction = NAN;
        break;
    case LOG_PHASE:
        snprintf(a->phase, sizeof a->phase, "%.63s", entry->text);
        a->phase_fraction = entry->value;
        a->arm = entry->arm;
        break;
    case LOG_BLOCK:
        a->arm = entry->arm;
        break;
    case LOG_PAUSED:
        a->paused = true;
        break;
    case LOG_RESUMED:
        a->paused = false;
        break;
    case LOG_MESSAGE:
        app_say(a, false, "%s", entry->text);
        break;
    case LOG_RUN_FINISHED:
        a->paused = false;
        a->phase[0] = 0;
        a->arm = -1;
        if ((int)entry->value == SESSION_FAILED)
            app_say(a, true, "%s", entry->text[0] ? entry->text : "the run failed");
        else
            say_saved(a, (int)entry->value == SESSION_STOPPED, entry->text);
        if (a->calibrating && (int)entry->value == SESSION_COMPLETE)
            store_calibration(a);
        break;
    default:
        break;
    }
}

/* Entries the log has and the fold has not; bounded per call so that a frame stays short. */
static bool fold(struct app *a)
{
    enum { AT_ONCE = 4096 };
    if (!a->engine || !a->live_session)
        return false;
    const struct log *log = engine_log(a->engine);
    size_t length = log_length(log), n = 0;
    for (; a->log_read < length && n < AT_ONCE; n++) {
        const struct log_entry *entry = log_get(log, a->log_read++);
        struct error e = {0};
        if (session_apply(a->live_session, entry, &e) != 0)
            app_say(a, true, "%s", e.text);
        on_entry(a, entry);
    }
    if (n == 0)
        return false;
    a->session_version++;
    return true;
}

void app_stop_run(struct app *a)
{
    if (!a->engine)
        return;
    if (engine_running(a->engine))
        engine_command(a->engine, ENGINE_STOP);
    engine_join(a->engine);
    while (fold(a))
        continue;
}

static void quit_now(struct app *a, void *data)
{
    (void)data;
    a->quit = true;
}

bool app_update(struct app *a)
{
    bool changed = fold(a);
    changed |= job_poll(a);
    if (!app_running(a) && dialog_asks(a, quit_now)) { /* the run ended by itself: there is nothing to stop */
        dialog_close(a);
        changed = true;
    }
    if (a->preset_changed) {
        app_replan(a);
        changed = true;
    }
    return changed || app_running(a);
}

bool app_can(const struct app *a, enum action action)
{
    bool running = app_running(a);
    if (app_views[a->view]->can && !app_views[a->view]->can(a, action))
        return false;
    switch (action) {
    case ACTION_CALIBRATE:
    case ACTION_RUN:
        return !running && !a->plan_error.text[0];
    case ACTION_PAUSE:
    case ACTION_STOP:
        return running;
    case ACTION_SKIP_CELL:
    case ACTION_MORE_ROUNDS:
        return running && !a->frozen;
    case ACTION_FREEZE:
        return a->live_session || a->session;
    case ACTION_EXPORT:
    case ACTION_SORT:
    case ACTION_CYCLE:
    case ACTION_RERUN:
        return a->view == VIEW_SESSIONS || a->session || a->live_session;
    default:
        return true;
    }
}

static void command(struct app *a, enum engine_command c, const char *text)
{
    if (!app_running(a)) {
        app_say(a, true, "nothing is running: r in Setup starts a run");
        return;
    }
    engine_command(a->engine, c);
    app_say(a, false, "%s", text);
}

static void export_shown(struct app *a)
{
    const struct session *s = a->view == VIEW_LIVE && a->live_session ? a->live_session : a->session;
    saving_export(a, s ? s->path : "", s ? s->id : "");
}

static void rerun(struct app *a)
{
    struct error e = {0};
    struct preset p = {0};
    if (!a->session) {
        app_say(a, true, "no session is open: open one in Sessions");
        return;
    }
    if (preset_copy(&p, &a->session->preset, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    app_set_preset(a, &p);
    app_say(a, false, "this is what that session ran: r runs it again");
}

/* What commands the run in progress. */
static bool do_run(struct app *a, enum action action)
{
    switch (action) {
    case ACTION_RUN:
        app_start_run(a, NULL);
        return true;
    case ACTION_PAUSE:
        if (a->paused)
            command(a, ENGINE_CONTINUE, "going on");
        else
            command(a, ENGINE_PAUSE, "pausing after the block in flight: p goes on");
        return true;
    case ACTION_STOP:
        command(a, ENGINE_STOP, "stopping after the sample in flight; what was measured is kept");
        return true;
    case ACTION_SKIP_CELL:
        command(a, ENGINE_SKIP_CELL, "skipping this cell");
        return true;
    case ACTION_MORE_ROUNDS:
        command(a, ENGINE_MORE_ROUNDS, "ten more rounds for this cell");
        return true;
    default:
        return false;
    }
}

static bool do_global(struct app *a, enum action action)
{
    switch (action) {
    case ACTION_QUIT:
        if (app_running(a))
            dialog_confirm(a, "Stop the run and quit? What was measured is kept.", "stop and quit", quit_now,
                           NULL);
        else
            a->quit = true;
        return true;
    case ACTION_HELP:
        dialog_help(a);
        return true;
    case ACTION_PALETTE:
        dialog_palette(a);
        return true;
    case ACTION_NEXT_VIEW:
        app_go(a, (enum view_id)((a->view + 1) % VIEWS));
        return true;
    case ACTION_PREVIOUS_VIEW:
        app_go(a, (enum view_id)((a->view + VIEWS - 1) % VIEWS));
        return true;
    case ACTION_VIEW_SETUP:
    case ACTION_VIEW_LIVE:
    case ACTION_VIEW_DUEL:
    case ACTION_VIEW_RESULTS:
    case ACTION_VIEW_SESSIONS:
        app_go(a, (enum view_id)(action - ACTION_VIEW_SETUP + VIEW_SETUP));
        return true;
    case ACTION_DUEL:
        app_go(a, VIEW_DUEL);
        return true;
    case ACTION_EXPORT:
        export_shown(a);
        return true;
    case ACTION_RERUN:
        rerun(a);
        return true;
    case ACTION_CALIBRATE:
        app_calibrate(a, NULL, 0);
        return true;
    case ACTION_SAVE_PRESET:
        saving_save_preset(a);
        return true;
    case ACTION_LOAD_PRESET:
        saving_load_preset(a);
        return true;
    case ACTION_MEASURE_DEVICE:
        saving_measure_device(a);
        return true;
    case ACTION_GLYPHS:
        a->ascii = !a->ascii;
        app_say(a, false, a->ascii ? "drawn in ASCII" : "drawn in Unicode, where the terminal has it");
        a->redraw = true;
        return true;
    case ACTION_MOUSE:
        a->mouse = !a->mouse;
        app_say(a, false,
                a->mouse ? "the wheel scrolls; hold Shift to select text"
                         : "the mouse is the terminal's again");
        return true;
    case ACTION_REDRAW:
        a->redraw = true;
        return true;
    case ACTION_SUSPEND:
        a->suspend = true;
        return true;
    case ACTION_BACK:
        if (a->view == VIEW_SETUP)
            app_say(a, false, "q quits");
        else
            app_go(a, VIEW_SETUP);
        return true;
    default:
        return do_run(a, action);
    }
}

void app_do(struct app *a, enum action action)
{
    if (action == ACTION_NONE)
        return;
    if (!app_views[a->view]->action(a, action))
        do_global(a, action);
    if (a->preset_changed)
        app_replan(a);
}

void app_click(struct app *a, int x, int y)
{
    if (a->dialog)
        return;
    if (y > 0) {
        if (app_views[a->view]->click)
            app_views[a->view]->click(a, x, y);
        return;
    }
    for (int i = 0; i < VIEWS; i++)
        if (x >= a->tab_x[i] && x < a->tab_x[i + 1])
            app_go(a, (enum view_id)i);
}

void app_key(struct app *a, int key)
{
    if (key == 0 || key == KEY_CODE_CLICK || key == KEY_CODE_RESIZE)
        return;
    if (key == KEY_CODE_LOST) {
        a->quit = true;
        return;
    }
    a->message[0] = 0;
    if (a->dialog) {
        dialog_key(a, key);
    } else if (key == KEY_CODE_ESCAPE && a->job) {
        job_cancel(a);
        app_say(a, false, "cancelled");
    } else if (!app_views[a->view]->text || !app_views[a->view]->text(a, key)) {
        app_do(a, action_of_key(key, a->view));
    }
    if (a->preset_changed)
        app_replan(a);
}
