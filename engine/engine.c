#include "engine/clock.h"
#include "engine/engine_internal.h"

#include "engine/device.h"
#include "engine/measure.h"
#include "engine/resume.h"
#include "engine/runners/process.h"
#include "engine/session_calibration.h"
#include "engine/session_file.h"
#include "engine/telemetry.h"
#include "engine/version.h"
#include "kernels/kernels.h"
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MORE = 10 };

int64_t engine_now_ns(const struct engine *g)
{
    struct runner *r = atomic_load_explicit(&g->runner, memory_order_acquire);
    return r ? r->ops->now_ns(r) : g->fake && !g->realtime ? 0 : clock_ns();
}

/* --- telling: log, session, journal --- */

static bool is_journaled(enum log_kind kind)
{
    return kind == LOG_ENVIRONMENT || kind == LOG_ARM || kind == LOG_RESPONSES || kind == LOG_BLOCK_DONE ||
           kind == LOG_CELL_DONE;
}

void engine_tell(void *who, const struct log_entry *entry, size_t payload_size)
{
    struct engine *g = who;
    struct error e = {0};
    /* The fold first: a block belongs to the session as soon as anybody can see it. */
    if (session_apply(&g->session, entry, &e) < 0)
        engine_message(g, e.text);
    if (log_append(g->log, entry, payload_size, g->wake) < 0 && entry->kind == LOG_RUN_FINISHED)
        atomic_store(&g->finished,
                     true); /* no memory for the news: whoever waits sees it in engine_running */
    if (!g->journal || !is_journaled(entry->kind))
        return;
    /* A full disk may have room again later: every line stands for itself, so each is tried. */
    bool failed = journal_append(g->journal, entry, &e) < 0;
    if (failed && !g->journal_failed)
        engine_message(g, e.text);
    else if (!failed && g->journal_failed)
        engine_message(
            g, "the journal can be written again: what was measured in between is in memory until the end");
    g->journal_failed = failed;
}

void engine_tell_plain(struct engine *g, enum log_kind kind, int cell, double value, const char *text,
                       const void *payload, size_t size)
{
    struct log_entry entry = {.kind = kind,
                              .cell = cell,
                              .arm = -1,
                              .time_ns = engine_now_ns(g),
                              .value = value,
                              .payload = payload};
    snprintf(entry.text, sizeof entry.text, "%s", text);
    engine_tell(g, &entry, size);
}

void engine_message(struct engine *g, const char *text)
{
    struct log_entry entry = {
        .kind = LOG_MESSAGE, .cell = -1, .arm = -1, .time_ns = engine_now_ns(g), .value = (double)NAN};
    snprintf(entry.text, sizeof entry.text, "%.191s", text);
    log_append(g->log, &entry, 0, g->wake);
}

/* --- what a cell may ask of its host --- */

enum measure_order engine_host_order(void *who)
{
    struct engine *g = who;
    return atomic_load(&g->stop) ? MEASURE_STOP : atomic_load(&g->skip) ? MEASURE_SKIP : MEASURE_GO;
}

int64_t engine_host_pause(void *who)
{
    struct engine *g = who;
    if (!atomic_load(&g->paused) || engine_host_order(g) != MEASURE_GO)
        return 0;
    int64_t from = engine_now_ns(g);
    engine_tell_plain(g, LOG_PAUSED, -1, (double)NAN, "", NULL, 0);
    pthread_mutex_lock(&g->lock);
    while (atomic_load(&g->paused) && engine_host_order(g) == MEASURE_GO)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    engine_tell_plain(g, LOG_RESUMED, -1, (double)NAN, "", NULL, 0);
    int64_t waited = engine_now_ns(g) - from;
    g->deadline_ns += g->deadline_ns ? waited : 0;
    g->spend_end_ns += g->spend_end_ns ? waited : 0;
    return waited;
}

static int host_more_rounds(void *who)
{
    struct engine *g = who;
    return atomic_exchange(&g->more, 0);
}

static unsigned host_dropped(void *who)
{
    struct engine *g = who;
    return atomic_exchange(&g->dropped, 0);
}

static struct block_telemetry host_telemetry(void *who, int64_t from_ns, int64_t to_ns)
{
    struct engine *g = who;
    if (!g->telemetry)
        return (struct block_telemetry){0};
    /* Blocks are shorter than the period of the readings: the last one before the block counts too. */
    return telemetry_between(g->telemetry, from_ns - (int64_t)TELEMETRY_PERIOD_MS * 1000000, to_ns);
}

static void host_left(void *who, double seconds)
{
    struct engine *g = who;
    const struct preset *p = &g->preset;
    double ratio = g->predicted_s > 0 ? g->measured_s / g->predicted_s : 1;
    double extension = p->half_width > 0 && p->max_rounds > p->rounds && !(p->time_budget_s > 0)
                           ? (double)p->max_rounds / p->rounds
                           : 1;
    double left = seconds + g->planned_left_s * fmax(ratio, 1) * extension;
    int64_t now = engine_now_ns(g), finish = now + (int64_t)(fmin(left, 1e9) * 1e9);
    if (finish < g->spend_end_ns)
        finish = g->spend_end_ns;
    if (g->deadline_ns && finish > g->deadline_ns)
        finish = g->deadline_ns;
    atomic_store(&g->finish_ns, finish);
}

struct measure_host engine_host(struct engine *g)
{
    return (struct measure_host){.who = g,
                                 .order = engine_host_order,
                                 .pause = engine_host_pause,
                                 .more_rounds = host_more_rounds,
                                 .dropped = host_dropped,
                                 .tell = engine_tell,
                                 .telemetry = host_telemetry,
                                 .left = host_left};
}

double engine_eta_s(const struct engine *g)
{
    int64_t finish = atomic_load(&g->finish_ns);
    if (finish == INT64_MAX)
        return (double)NAN;
    return fmax(0, (double)(finish - engine_now_ns(g)) / 1e9);
}

/* --- the run --- */

static struct runner *open_runner(struct engine *g, struct error *e)
{
    struct runner *r = g->preset.strict ? runner_open_process(&g->preset, g->realtime, g->program, e)
                       : g->fake        ? runner_open_fake(&g->preset, g->realtime, e)
                                        : runner_open_native(g->preset.device, g->preset.threads, e);
    atomic_store_explicit(&g->runner, r, memory_order_release);
    return r;
}

static void tell_environment(struct engine *g, struct runner *r)
{
    struct session_environment env = g->device.environment;
    const struct kernels_info *k = r->ops->kernels ? r->ops->kernels(r) : NULL;
    if (k) {
        snprintf(env.simd, sizeof env.simd, "%s", k->simd);
        snprintf(env.product, sizeof env.product, "%s", k->product);
        snprintf(env.affinity, sizeof env.affinity, "%s", k->affinity);
        env.threads = k->threads;
    }
    engine_tell_plain(g, LOG_ENVIRONMENT, -1, (double)NAN, "", &env, sizeof env);
}

/* Shares of the ceiling need the ceiling: once per machine, about a second. */
static void measure_ceilings(struct engine *g)
{
    struct error e = {0};
    if (g->fake || g->device.measured || g->device.emulated || atomic_load(&g->stop))
        return;
    engine_tell_plain(g, LOG_PHASE, -1, (double)NAN, "ceilings of this machine", NULL, 0);
    if (device_measure(&g->device, &e) < 0)
        engine_message(g, e.text);
}

static void now_text(char *out, size_t size)
{
    time_t t = time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static enum session_status sum_up(struct engine *g)
{
    struct session *s = &g->session;
    int stopped = 0;
    for (int i = 0; i < s->n_cells; i++)
        stopped += s->cell[i].status == CELL_STOPPED;
    if (stopped)
        snprintf(s->message, sizeof s->message, "%s: %d of %d cells were not measured to their end",
                 atomic_load(&g->stop) ? "stopped by the user" : "the time budget ended", stopped,
                 s->n_cells);
    return stopped ? SESSION_STOPPED : SESSION_COMPLETE;
}

/* Saves, and says where; a disk that refuses costs the file, not the run: the caller still has the session.
 */
static void finish(struct engine *g, enum session_status status)
{
    struct session *s = &g->session;
    struct error e = {0}, ignored = {0};
    char text[192];
    s->status = status;
    now_text(s->finished, sizeof s->finished);
    bool saved = session_save(s, s->path, &e) == 0;
    if (g->journal && journal_close(g->journal, saved, &ignored) < 0 && saved)
        engine_message(g, ignored.text);
    g->journal = NULL;
    snprintf(text, sizeof text, "%.191s", saved ? s->path : e.text);
    engine_tell_plain(g, LOG_RUN_FINISHED, -1, status, text, NULL, 0);
}

static void *worker(void *who)
{
    struct engine *g = who;
    struct error e = {0};
    engine_tell_plain(g, LOG_RUN_STARTED, -1, (double)NAN, "", NULL, 0);
    struct runner *r = open_runner(g, &e);
    if (!r) {
        snprintf(g->session.message, sizeof g->session.message, "%.255s", e.text);
        engine_message(g, e.text);
        finish(g, SESSION_FAILED);
    } else {
        measure_ceilings(g);
        tell_environment(g, r);
        if (g->preset.budget_s > 0)
            g->deadline_ns = engine_now_ns(g) + (int64_t)(g->preset.budget_s * 1e9);
        if (g->preset.time_budget_s > 0)
            g->spend_end_ns = engine_now_ns(g) + (int64_t)(g->preset.time_budget_s * 1e9);
        g->planned_left_s = g->plan.time_s;
        engine_run_cells(g, r);
        atomic_store(&g->finish_ns, engine_now_ns(g));
        finish(g, sum_up(g));
    }
    atomic_store(&g->finished, true);
    return NULL;
}

/* --- start and end --- */

static int fill_session(struct engine *g, const struct engine_options *o, struct error *e)
{
    struct session *s = &g->session;
    if (session_layout(s, &g->preset, e) < 0)
        return -1;
    s->owns_blocks = true;
    s->status = SESSION_RUNNING;
    s->environment = g->device.environment;
    s->argv = strdup(o->argv_json ? o->argv_json : "[]");
    if (!s->argv)
        return error_set(e, ERROR_MEMORY, "no memory for a session: close other programs");
    now_text(s->started, sizeof s->started);
    snprintf(s->version, sizeof s->version, "%s", version_get()->version);
    snprintf(s->git_commit, sizeof s->git_commit, "%s", version_get()->commit);
    snprintf(s->build, sizeof s->build, "%s", version_get()->build);
    if (s->n_cells != g->plan.n_cells)
        return error_set(e, ERROR_FAILED,
                         "the plan has %d cells, the session %d: this is a defect, report it",
                         g->plan.n_cells, s->n_cells);
    for (int i = 0; i < s->n_cells; i++)
        s->cell[i].seeded = g->plan.model[g->plan.cell[i].model].seeded;
    calibration_attach(s);
    return 0;
}

/* Names the session and opens its journal. The journal's lock is what claims a name: a run that starts in the
 * same second may have taken the one just found free, so another is looked for. */
static int open_journal(struct engine *g, const char *path, struct error *e)
{
    char before[sizeof g->session.path] = "";
    for (;;) {
        struct error why = {0}, ignored = {0};
        if (session_name(&g->session, path, e) < 0)
            return -1;
        g->journal = journal_open(g->session.path, &g->session, &why);
        bool taken = !path && g->journal && access(g->session.path, F_OK) == 0; /* and already finished */
        if (taken) {
            journal_close(g->journal, true, &ignored);
            g->journal = NULL;
        } else if (g->journal) {
            return 0;
        } else if (path || strcmp(before, g->session.path) == 0) {
            return error_set(e, why.kind, "%s", why.text);
        }
        memcpy(before, g->session.path, sizeof before);
    }
}

/* Signals are for the main thread: the worker, and every thread it starts, inherits all but the fatal ones
 * blocked. */
static int start_thread(struct engine *g, struct error *e)
{
    sigset_t all, old;
    sigfillset(&all);
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        sigdelset(&all, fatal[i]);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&g->thread, NULL, worker, g);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return error_set(e, ERROR_FAILED,
                         "the worker thread cannot be started (%s): raise the limit of processes",
                         strerror(rc));
    g->started = true;
    return 0;
}

struct engine *engine_start(const struct engine_options *o, struct error *e)
{
    struct engine *g = calloc(1, sizeof *g);
    if (!g) {
        error_set(e, ERROR_MEMORY, "no memory for the engine: close other programs");
        return NULL;
    }
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    atomic_init(&g->finish_ns, INT64_MAX);
    g->wake = o->wake_fd;
    g->realtime = o->realtime;
    g->program = o->program;
    g->resume = o->resume;
    g->log = log_new();
    if (!g->log) {
        error_set(e, ERROR_MEMORY, "no memory for the log: close other programs");
        goto fail;
    }
    if (preset_copy(&g->preset, o->preset, e) < 0 || device_find(g->preset.device, &g->device, e) < 0 ||
        plan_build(&g->preset, &g->device, &g->plan, e) < 0 || fill_session(g, o, e) < 0)
        goto fail;
    g->fake = strcmp(g->device.id, "fake") == 0;
    if (open_journal(g, o->session_path, e) < 0)
        goto fail;
    struct error warning = {0};
    if (!g->fake || g->realtime) {
        g->telemetry = telemetry_start(g->device.uuid, &warning);
        if (!g->telemetry)
            engine_message(g, warning.text);
    }
    if (start_thread(g, e) < 0) {
        journal_close(g->journal, true, &warning);
        g->journal = NULL;
        goto fail;
    }
    return g;
fail:
    engine_free(g);
    return NULL;
}

void engine_command(struct engine *g, enum engine_command c)
{
    pthread_mutex_lock(&g->lock);
    switch (c) {
    case ENGINE_PAUSE:
        atomic_store(&g->paused, true);
        break;
    case ENGINE_CONTINUE:
        atomic_store(&g->paused, false);
        break;
    case ENGINE_STOP:
        atomic_store(&g->stop, true);
        break;
    case ENGINE_SKIP_CELL:
        atomic_store(&g->skip, true);
        break;
    case ENGINE_MORE_ROUNDS:
        atomic_fetch_add(&g->more, ROUNDS_MORE);
        break;
    }
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

void engine_drop_arm(struct engine *g, int arm)
{
    if (arm > 0 && arm < PRESET_ARMS)
        atomic_fetch_or(&g->dropped, 1u << arm);
}

const struct log *engine_log(const struct engine *g)
{
    return g->log;
}

const struct preset *engine_preset(const struct engine *g)
{
    return &g->preset;
}

const struct plan *engine_plan(const struct engine *g)
{
    return &g->plan;
}

const char *engine_session_path(const struct engine *g)
{
    return g->session.path;
}

bool engine_running(const struct engine *g)
{
    return !atomic_load(&g->finished);
}

int engine_telemetry(const struct engine *g, struct block_telemetry *out, int64_t *time_ns, int max)
{
    struct telemetry_reading r[TELEMETRY_READINGS];
    if (!g->telemetry)
        return 0;
    int n = telemetry_recent(g->telemetry, r, max < TELEMETRY_READINGS ? max : TELEMETRY_READINGS);
    for (int i = 0; i < n; i++) {
        out[i] = r[i].values;
        time_ns[i] = r[i].time_ns;
    }
    return n;
}

void engine_join(struct engine *g)
{
    if (!g->started || g->joined)
        return;
    pthread_join(g->thread, NULL);
    g->joined = true;
}

const struct session *engine_session(const struct engine *g)
{
    return &g->session;
}

void engine_free(struct engine *g)
{
    if (!g)
        return;
    if (g->started && !g->joined) {
        engine_command(g, ENGINE_STOP);
        engine_join(g);
    }
    struct runner *r = atomic_load(&g->runner);
    if (r)
        r->ops->close(r);
    telemetry_stop(g->telemetry);
    log_free(g->log);
    session_free(&g->session);
    plan_free(&g->plan);
    preset_free(&g->preset);
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->changed);
    free(g);
}
