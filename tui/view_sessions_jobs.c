#include "tui/job.h"
#include "tui/results.h"
#include "tui/view_results.h"
#include "tui/view_sessions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void start(struct app *a, const struct job_spec *spec)
{
    struct error e = {0};
    if (a->job && a->job == a->sessions->listing) {
        job_cancel(a);
        a->sessions->listing = NULL;
        a->sessions->stale = true;
    }
    if (job_start(a, spec, &e) != 0)
        app_say(a, true, "%s", e.text);
}

static void no_memory(struct app *a)
{
    app_say(a, true, "no memory to read sessions: close other programs");
}

/* the list */

struct list_work {
    struct session_entry *entry;
    int n;
};

static int list_in_thread(struct job *j, void *data, struct error *e)
{
    struct list_work *w = data;
    job_report(j, "", NAN);
    return session_list(&w->entry, &w->n, e);
}

static void list_done(struct app *a, void *data, int result, const struct error *e)
{
    struct list_work *w = data;
    struct sessions_state *s = a->sessions;
    const struct session_entry *old = sessions_selected(s);
    char path[512] = "";
    s->listed = true;
    s->listing = NULL;
    memset(&s->list_error, 0, sizeof s->list_error);
    if (result != 0) {
        s->list_error = *e;
        return;
    }
    if (old)
        snprintf(path, sizeof path, "%s", old->path);
    bool same = s->n == w->n && (w->n == 0 || strcmp(s->entry[0].id, w->entry[0].id) == 0);
    free(s->entry);
    s->entry = w->entry;
    s->n = w->n;
    w->entry = NULL;
    sessions_arrange(s);
    s->scroll.cursor = 0;
    for (int i = 0; i < s->n_shown; i++)
        if (strcmp(s->entry[s->shown[i]].path, path) == 0)
            s->scroll.cursor = i;
    if (!same)
        s->has_trend = s->on_trend = false; /* read again when it is asked for */
}

static void list_release(void *data)
{
    struct list_work *w = data;
    free(w->entry);
    free(w);
}

void sessions_job_list(struct app *a)
{
    struct list_work *w = calloc(1, sizeof *w);
    if (!w) {
        no_memory(a);
        return;
    }
    const struct job_spec spec = {"reading the sessions", list_in_thread, list_done, list_release, w};
    start(a, &spec);
    a->sessions->listing = a->job;
}

/* one session: to look at, to run again, to go on with */

struct load_work {
    char path[512];
    struct session *session;
    struct results results; /* worked out where the session is to be shown */
    bool show;
    struct error warning;
};

static int load_in_thread(struct job *j, void *data, struct error *e)
{
    struct load_work *w = data;
    job_report(j, "reading", NAN);
    if (session_load(w->path, w->session, &w->warning, e) != 0)
        return -1;
    if (!w->show || job_cancelled(j))
        return 0;
    job_report(j, "and summing up", NAN);
    return results_build(&w->results, w->session, e);
}

static void load_release(void *data)
{
    struct load_work *w = data;
    results_free(&w->results);
    if (w->session) {
        session_free(w->session);
        free(w->session);
    }
    free(w);
}

static struct session *loaded(struct app *a, struct load_work *w, int result, const struct error *e)
{
    struct session *s = w->session;
    if (result != 0) {
        app_say(a, true, "%s", e->text);
        return NULL;
    }
    w->session = NULL;
    return s;
}

static void open_done(struct app *a, void *data, int result, const struct error *e)
{
    struct load_work *w = data;
    struct session *s = loaded(a, w, result, e);
    if (!s)
        return;
    app_show_session(a, s);
    view_results_take(a, &w->results);
    app_go(a, VIEW_RESULTS);
    if (w->warning.text[0])
        app_say(a, false, "%s", w->warning.text);
}

static void rerun_done(struct app *a, void *data, int result, const struct error *e)
{
    struct load_work *w = data;
    struct preset p = {0};
    struct error why = {0};
    if (result == 0 && preset_copy(&p, &w->session->preset, &why) == 0) {
        app_set_preset(a, &p);
        app_say(a, false, "this is what that session ran: r runs it again");
    } else {
        app_say(a, true, "%s", result == 0 ? why.text : e->text);
    }
}

static void resume_done(struct app *a, void *data, int result, const struct error *e)
{
    struct session *s = loaded(a, data, result, e);
    if (s)
        app_start_run(a, s);
}

static void load(struct app *a, const char *path, const char *title, bool show,
                 void (*done)(struct app *a, void *data, int result, const struct error *e))
{
    struct load_work *w = calloc(1, sizeof *w);
    if (w)
        w->session = calloc(1, sizeof *w->session);
    if (!w || !w->session) {
        free(w);
        no_memory(a);
        return;
    }
    snprintf(w->path, sizeof w->path, "%s", path);
    w->show = show;
    w->results.sort = RESULTS_PLAN_ORDER;
    const struct job_spec spec = {title, load_in_thread, done, load_release, w};
    start(a, &spec);
}

void sessions_job_open(struct app *a, const char *path)
{
    load(a, path, "opening", true, open_done);
}

void sessions_job_rerun(struct app *a, const char *path)
{
    load(a, path, "reading the preset", false, rerun_done);
}

void sessions_job_resume(struct app *a, const char *path)
{
    load(a, path, "reading what was measured", false, resume_done);
}

/* two sessions */

struct compare_work {
    char path[2][512];
    struct session session[2];
    struct difference difference;
};

static int compare_in_thread(struct job *j, void *data, struct error *e)
{
    struct compare_work *w = data;
    for (int i = 0; i < 2; i++) {
        struct error warning = {0};
        job_report(j, i == 0 ? "reading the base" : "reading the new one", NAN);
        if (session_load(w->path[i], &w->session[i], &warning, e) != 0)
            return -1;
        if (job_cancelled(j))
            return error_set(e, ERROR_CANCELLED, "cancelled");
    }
    job_report(j, "testing", NAN);
    return difference_make(&w->session[0], &w->session[1], &w->difference, e);
}

static void compare_done(struct app *a, void *data, int result, const struct error *e)
{
    struct compare_work *w = data;
    struct sessions_state *s = a->sessions;
    if (result != 0) {
        app_say(a, true, "%s", e->text);
        return;
    }
    difference_free(&s->difference);
    s->difference = w->difference;
    memset(&w->difference, 0, sizeof w->difference);
    s->difference_scroll = (struct widget_scroll){0};
    s->on_difference = true;
}

static void compare_release(void *data)
{
    struct compare_work *w = data;
    session_free(&w->session[0]);
    session_free(&w->session[1]);
    difference_free(&w->difference);
    free(w);
}

void sessions_job_compare(struct app *a, const char *base, const char *candidate)
{
    struct compare_work *w = calloc(1, sizeof *w);
    if (!w) {
        no_memory(a);
        return;
    }
    snprintf(w->path[0], sizeof w->path[0], "%s", base);
    snprintf(w->path[1], sizeof w->path[1], "%s", candidate);
    const struct job_spec spec = {"comparing", compare_in_thread, compare_done, compare_release, w};
    start(a, &spec);
}

/* the trend */

struct trend_work {
    struct session_entry *entry; /* a copy: the list may change meanwhile */
    int n;
    struct history trend;
    struct history_judgement *judged;
    struct job *job;
};

static bool trend_watch(void *who, double fraction)
{
    struct trend_work *w = who;
    job_report(w->job, "reading saved sessions", fraction);
    return job_cancelled(w->job);
}

static int trend_in_thread(struct job *j, void *data, struct error *e)
{
    struct trend_work *w = data;
    w->job = j;
    if (history_gather(w->entry, w->n, trend_watch, w, &w->trend, e) != 0)
        return -1;
    return history_judge_all(&w->trend, 0, &w->judged, e);
}

static void trend_done(struct app *a, void *data, int result, const struct error *e)
{
    struct trend_work *w = data;
    struct sessions_state *s = a->sessions;
    if (result != 0) {
        app_say(a, true, "%s", e->text);
        s->on_trend = false;
        return;
    }
    history_free(&s->trend);
    free(s->judged);
    s->trend = w->trend;
    s->judged = w->judged;
    w->judged = NULL;
    memset(&w->trend, 0, sizeof w->trend);
    s->has_trend = true;
    int cell, arm;
    s->trend_key =
        view_results_selected(a, &cell, &arm) ? history_find(&s->trend, a->session, cell, arm) : -1;
    if (s->trend_key < 0)
        s->trend_key = history_richest(&s->trend);
}

static void trend_release(void *data)
{
    struct trend_work *w = data;
    history_free(&w->trend);
    free(w->judged);
    free(w->entry);
    free(w);
}

void sessions_job_trend(struct app *a)
{
    struct sessions_state *s = a->sessions;
    struct trend_work *w = calloc(1, sizeof *w);
    if (w)
        w->entry = calloc((size_t)s->n + 1, sizeof *w->entry);
    if (!w || !w->entry) {
        free(w);
        no_memory(a);
        return;
    }
    if (s->n > 0)
        memcpy(w->entry, s->entry, (size_t)s->n * sizeof *w->entry);
    w->n = s->n;
    const struct job_spec spec = {"trend:", trend_in_thread, trend_done, trend_release, w};
    start(a, &spec);
}
