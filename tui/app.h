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
        *session; /* what Live and Results show: a fold over the engine's log, or a loaded file; NULL: none */
    bool session_is_live;
    size_t log_read;          /* entries folded so far */
    uint64_t session_version; /* counts changes, so that views recompute only then */

    struct setup_state *setup;
    struct live_state *live;
    struct results_state *results;
    struct sessions_state *sessions;
    struct dialog *dialog;
    struct job *job;

    bool frozen, quit, ascii, mouse;
    bool realtime;     /* the fake runner sleeps */
    char message[512]; /* last thing told to the user, status line */
    bool message_is_error;
    const char *argv_json;
    int wake_fd;             /* eventfd for engine and jobs */
    int64_t (*now_ns)(void); /* injected clock: tests freeze it */
};

/* preset: start state (copied). -1: nothing allocated. */
int app_init(struct app *a, const struct preset *preset, const struct device *device, int wake_fd,
             struct error *e);
void app_free(struct app *a);                   /* stops a run, waits for it */
void app_key(struct app *a, int key);           /* key codes of tui/screen.h */
void app_do(struct app *a, enum action action); /* the same, from the palette */
bool app_update(struct app *a); /* folds the log's news and finished jobs; true: something to draw */
void app_draw(struct app *a, struct grid *g); /* the whole picture, dialogs included */
void app_say(struct app *a, bool is_error, const char *format, ...) __attribute__((format(printf, 3, 4)));
void app_start_run(struct app *a,
                   const struct session *resume);        /* starts the engine on a->preset, goes to Live */
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
};
extern const struct view view_setup, view_live, view_results, view_sessions;
extern const struct view *const app_views[VIEWS];
