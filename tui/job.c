#include "tui/job.h"
#include "tui/app.h"
#include "tui/format.h"
#include "tui/plot.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { JOB_SHOWN_NS = 150000000 };

/* RUNNING ends once, under the lock: either the thread says FINISHED and the UI frees the job, or the UI says
 * ABANDONED and the thread frees it. */
enum { JOB_RUNNING, JOB_FINISHED, JOB_ABANDONED };

/* Orders the end of a job against the UI's letting go of it: after job_cancel no thread writes to the app's
 * descriptor, so that the app may close it while an abandoned job still works. */
static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER;

struct job {
    struct job_spec spec;
    char title[64];
    pthread_t thread;
    atomic_int state;
    atomic_int permille; /* -1: not known */
    _Atomic(const char *) what;
    int wake_fd;
    int result;
    struct error error;
    int64_t started_ns;
};

static void free_job(struct job *j)
{
    if (j->spec.release)
        j->spec.release(j->spec.data);
    free(j);
}

/* With the lock held, while nobody has abandoned the job. */
static void wake(const struct job *j)
{
    uint64_t one = 1;
    if (j->wake_fd >= 0 && write(j->wake_fd, &one, sizeof one) < 0)
        return; /* full: a wake-up is pending already */
}

static void *run(void *argument)
{
    struct job *j = argument;
    j->result = j->spec.work(j, j->spec.data, &j->error);
    pthread_mutex_lock(&end_lock);
    bool abandoned = atomic_load(&j->state) == JOB_ABANDONED;
    if (!abandoned) {
        atomic_store(&j->state, JOB_FINISHED);
        wake(j);
    }
    pthread_mutex_unlock(&end_lock);
    if (abandoned)
        free_job(j);
    return NULL;
}

int job_start(struct app *a, const struct job_spec *spec, struct error *e)
{
    if (a->job) {
        error_set(e, ERROR_USAGE, "%s is still going on: wait, or Esc cancels it", a->job->title);
        if (spec->release)
            spec->release(spec->data);
        return -1;
    }
    struct job *j = calloc(1, sizeof *j);
    if (!j) {
        if (spec->release)
            spec->release(spec->data);
        return error_set(e, ERROR_MEMORY, "no memory to start %s: close other programs", spec->title);
    }
    j->spec = *spec;
    snprintf(j->title, sizeof j->title, "%s", spec->title);
    atomic_init(&j->state, JOB_RUNNING);
    atomic_init(&j->permille, -1);
    atomic_init(&j->what, NULL);
    j->wake_fd = a->wake_fd;
    j->started_ns = a->now_ns();
    if (pthread_create(&j->thread, NULL, run, j)) {
        error_set(e, ERROR_FAILED, "no thread for %s: close other programs", j->title);
        free_job(j);
        return -1;
    }
    pthread_detach(j->thread);
    a->job = j;
    return 0;
}

void job_cancel(struct app *a)
{
    struct job *j = a->job;
    if (!j)
        return;
    a->job = NULL;
    pthread_mutex_lock(&end_lock);
    bool finished = atomic_load(&j->state) == JOB_FINISHED;
    if (!finished)
        atomic_store(&j->state, JOB_ABANDONED);
    pthread_mutex_unlock(&end_lock);
    if (finished)
        free_job(j);
}

bool job_poll(struct app *a)
{
    struct job *j = a->job;
    if (!j || atomic_load(&j->state) != JOB_FINISHED)
        return j != NULL;
    pthread_mutex_lock(&end_lock); /* the thread has left its wake() behind */
    pthread_mutex_unlock(&end_lock);
    a->job = NULL;
    if (j->spec.done)
        j->spec.done(a, j->spec.data, j->result, &j->error);
    free_job(j);
    return true;
}

void job_report(struct job *j, const char *what, double fraction)
{
    atomic_store(&j->what, what);
    int permille = isnan(fraction) ? -1 : (int)lround(fmin(fmax(fraction, 0), 1) * 1000);
    if (atomic_exchange(&j->permille, permille) == permille)
        return;
    pthread_mutex_lock(&end_lock);
    if (atomic_load(&j->state) == JOB_RUNNING)
        wake(j);
    pthread_mutex_unlock(&end_lock);
}

bool job_cancelled(const struct job *j)
{
    return atomic_load(&j->state) == JOB_ABANDONED;
}

void job_draw(const struct app *a, struct grid *g, struct rect r)
{
    const struct job *j = a->job;
    /* What is over within a blink is not worth a flicker. */
    if (!j || r.width < 20 || a->now_ns() - j->started_ns < JOB_SHOWN_NS)
        return;
    grid_fill(g, r, ' ', STYLE_TEXT);
    int x = r.x + 1, end = r.x + r.width;
    x += grid_text(g, x, r.y, end - x - 12, STYLE_BOLD, j->title) + 1;
    const char *what = atomic_load(&j->what);
    if (what)
        x += grid_text(g, x, r.y, end - x - 12, STYLE_TEXT, what) + 1;
    int permille = atomic_load(&j->permille);
    char text[FORMAT_TEXT];
    if (permille >= 0 && end - x > 40) {
        plot_bar(g, x, r.y, 20, permille / 1000.0, STYLE_BAR);
        x += 21;
        x += grid_text(g, x, r.y, 8, STYLE_TEXT, format_percent(text, permille / 1000.0)) + 1;
    }
    format_duration(text, (double)(a->now_ns() - j->started_ns) / 1e9);
    if (end - x > 24)
        grid_text(g, x, r.y, 10, STYLE_DIM, text);
    grid_text_right(g, end - 1, r.y, 10, STYLE_TEXT, "Esc cancel");
    grid_restyle(g, (struct rect){end - 11, r.y, 3, 1}, STYLE_KEY);
}
