/* The application's state and how keys change it. Pure of terminals: app_key and app_draw are all a terminal
 * (or a test) needs. Long work never happens here: runs live in the engine's thread, saving, exporting,
 * loading and device measuring in a job thread (tui/job.h) whose progress is drawn and which can be
 * cancelled. UI thread only. */
#pragma once

#include "engine/engine.h"
#include "engine/plan.h"
#include "engine/session_file.h"
#include "engine/summary.h"
#include "presets/catalog.h"
#include "tui/action.h"
#include "tui/grid.h"

enum { APP_FILTER = 64 };

struct setup_state;    /* tui/view_setup.c */
struct live_state;     /* tui/view_live.c */
struct duel_state;     /* tui/view_duel.c */
struct results_state;  /* tui/view_results.c */
struct sessions_state; /* tui/view_sessions.c */
struct dialog;         /* tui/dialog.h: palette, help, confirmation, text entry, menu; drawn over the view */
struct job;            /* tui/job.h */

struct app {
    enum view_id view;
    struct preset preset; /* being edited; what `r` runs */
    struct device device;
    struct plan plan;        /* of preset; made again when preset_changed */
    struct error plan_error; /* shown in place of the plan where the preset is impossible */
    bool preset_changed;

    struct engine *engine; /* the run in progress or just ended; NULL before the first */
    struct session
        *live_session;       /* a fold over the engine's log, what Live shows; NULL before the first run */
    struct session *session; /* what Results shows: live_session, or a loaded file (then owned); NULL: none */
    struct session *resumed; /* what the run went on from; lives as long as the engine */
    size_t log_read;         /* entries folded so far */
    uint64_t session_version; /* counts changes to either, so that views recompute only then */
    int cell, arm;            /* of the run in progress, -1: none */
    char phase[64];           /* "weights", "warm-up", "verify", "measure" */
    double phase_fraction;    /* 0..1, NAN: not known */
    bool paused;
    bool calibrating;                        /* the run is an A/A calibration: its end is stored as one */
    int64_t run_started_ns, cell_started_ns; /* runner clock */

    struct setup_state *setup;
    struct live_state *live;
    struct duel_state *duel;
    struct results_state *results;
    struct sessions_state *sessions;
    struct dialog *dialog;
    struct job *job;

    int duel_cell, duel_candidate; /* what another screen asks Duel to show; cell -1: nothing */
    bool frozen, quit, ascii, mouse;
    bool unfinished;      /* what was drawn is on its way: the next frame goes on, whatever happens */
    bool redraw, suspend; /* asked for: the loop does it and clears the flag */
    bool realtime;        /* the fake runner sleeps */
    const char
        *session_path; /* where the next run's session goes (--out); used once; NULL: the sessions folder */
    int tab_x[VIEWS + 1]; /* where the tabs were drawn, for clicks */
    char message[512];    /* last thing told to the user, status line */
    bool message_is_error;
    const char *argv_json;
    char no_gpu[64];         /* "cuda: no driver": why there is none, for the corner of Setup; "" */
    int wake_fd;             /* eventfd for engine and jobs */
    int64_t (*now_ns)(void); /* injected clock: tests freeze it */
};

/* preset: start state (copied). -1: nothing allocated. */
int app_init(struct app *a, const struct preset *preset, const struct device *device, int wake_fd,
             struct error *e);
void app_free(struct app *a);                   /* stops a run, waits for it */
void app_stop_run(struct app *a);               /* the same alone: what was measured is saved and folded in */
void app_key(struct app *a, int key);           /* key codes of tui/screen.h */
void app_click(struct app *a, int x, int y);    /* a tab, or what the view has there */
void app_do(struct app *a, enum action action); /* the same, from the palette */
bool app_update(struct app *a); /* folds the log's news and finished jobs; true: something to draw */
bool app_running(const struct app *a);
bool app_can(const struct app *a, enum action action); /* means something now: else not on the status line */
void app_replan(struct app *a);                        /* after a->preset changed */
void app_go(struct app *a, enum view_id view);
/* Takes the preset (moved out of *p) into Setup. */
void app_set_preset(struct app *a, struct preset *p);
void app_draw(struct app *a, struct grid *g); /* the whole picture, dialogs included */
void app_say(struct app *a, bool is_error, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Starts the engine on a->preset and goes to Live. resume: taken over, kept until the run is forgotten; what
 * is complete in it is not run again; NULL: fresh. */
void app_start_run(struct app *a, struct session *resume);
/* Starts an A/A calibration of Setup's preset, or of the one cell that Duel shows. */
void app_calibrate(struct app *a, const struct session *s, int cell);
void app_show_session(struct app *a, struct session *s); /* takes ownership; Results shows it */

/* A view is a row of this table; view files know nothing of each other. */
struct view {
    const char *name;
    int (*init)(struct app *a, struct error *e);
    void (*free)(struct app *a);
    void (*enter)(struct app *a);                      /* became current */
    bool (*action)(struct app *a, enum action action); /* false: not mine */
    bool (*text)(struct app *a, int key); /* while it takes text (filter, a number): true = consumed */
    void (*draw)(struct app *a, struct grid *g, struct rect r);
    /* What app_can asks of the current view, beyond what it knows itself. NULL: everything. */
    bool (*can)(const struct app *a, enum action action);
    /* The mouse, in cells of the screen: focus what is there. NULL is fine. */
    void (*click)(struct app *a, int x, int y);
    /* Session about to be freed or replaced, or a new one shown: forget pointers into it. NULL is fine. */
    void (*session_changed)(struct app *a);
};
extern const struct view view_setup, view_live, view_duel, view_results, view_sessions;
extern const struct view *const app_views[VIEWS];
