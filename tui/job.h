/* Work of more than a moment off the UI thread: reading and writing files, exporting, measuring the device.
 * One job at a time. The UI draws its progress and Esc cancels it: a cancelled job is let go at once, its
 * thread ends when it notices, and its result is released, never delivered. */
#pragma once

#include "presets/error.h"
#include "tui/grid.h"

struct app;
struct job;

struct job_spec {
    const char *title; /* "exporting", copied */
    /* The job thread: touches `data` alone. -1 with an error. */
    int (*work)(struct job *j, void *data, struct error *e);
    /* UI thread, after work came back and was not cancelled. May take what it needs out of data. */
    void (*done)(struct app *a, void *data, int result, const struct error *e);
    void (*release)(void *data); /* any thread, always, last */
    void *data;                  /* owned by the job from here on, on failure to start too */
};
/* -1: another job runs (USAGE), or no thread; data is released. */
int job_start(struct app *a, const struct job_spec *spec, struct error *e);
void job_cancel(struct app *a);
bool job_poll(struct app *a); /* UI thread: delivers a finished job; true: something changed */
void job_draw(const struct app *a, struct grid *g, struct rect r); /* one line */

/* For work(): */
void job_report(struct job *j, const char *what, double fraction); /* fraction NAN: not known */
bool job_cancelled(const struct job *j);
