#include "tui/headless.h"
#include "engine/clock.h"
#include "tui/format.h"
#include "tui/options.h"
#include "tui/output.h"
#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { REDRAW_MS = 100, HEARTBEAT_MS = 10000 };

/* What the progress line says: a fold over the log. */
struct progress {
    const struct plan *plan;
    bool quiet, line; /* line: one updating line on a terminal; else plain lines */
    const char *less_equal, *dot;
    size_t read; /* log entries folded */
    int cell, done;
    char cell_words[384], phase[64];
    double fraction;
    int round, rounds;
    int64_t told_ms, started_ms;
    bool finished;
    char finished_text[192];
};

static int64_t clock_ms(void)
{
    return clock_ns() / 1000000;
}

static void signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    struct sigaction hup;
    if (sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN)
        sigaddset(set, SIGHUP);
}

void headless_block_signals(void)
{
    sigset_t set;
    signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void clear_line(const struct progress *p)
{
    if (p->line)
        fputs("\r\033[K", stderr);
}

static void time_left(const struct progress *p, double eta, char *out, size_t size)
{
    char text[FORMAT_TEXT];
    *out = '\0';
    if (!isfinite(eta) || eta < 0)
        return;
    snprintf(out, size, " %s %s %s left", p->dot, p->less_equal, format_duration(text, eta < 1 ? 1 : eta));
}

static void describe(const struct progress *p, double eta, char *out, size_t size)
{
    char left[64], where[64] = "";
    time_left(p, eta, left, sizeof left);
    if (p->round > 0 && !strcmp(p->phase, "measure"))
        snprintf(where, sizeof where, " round %d/%d", p->round, p->rounds);
    else if (isfinite(p->fraction))
        snprintf(where, sizeof where, " %.0f %%", 100 * p->fraction);
    snprintf(out, size, "[%d/%d] %s %s %s%s%s", p->done + (p->done < p->plan->n_cells), p->plan->n_cells,
             p->cell_words, p->dot, *p->phase ? p->phase : "starting", where, left);
}

/* Cuts UTF-8 text at `columns` code points: the line must not wrap, or it could not be updated. */
static void cut(char *text, int columns)
{
    for (; *text; text++)
        if ((*text & 0xC0) != 0x80 && columns-- <= 0) {
            *text = '\0';
            return;
        }
}

static void tell(struct progress *p, double eta)
{
    char text[640];
    struct winsize size;
    int64_t now = clock_ms();
    if (p->quiet || now - p->told_ms < (p->line ? REDRAW_MS : HEARTBEAT_MS) || p->finished || p->cell < 0)
        return;
    p->told_ms = now;
    describe(p, eta, text, sizeof text);
    if (!p->line) {
        fprintf(stderr, "  %s\n", text);
        return;
    }
    cut(text, ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79);
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
}

static void cell_started(struct progress *p, const struct log_entry *entry)
{
    p->cell = entry->cell;
    p->round = 0;
    p->rounds = 0;
    p->fraction = NAN;
    *p->phase = '\0';
    prepare_cell_words(p->plan, entry->cell, p->cell_words, sizeof p->cell_words);
    if (!p->quiet && !p->line)
        fprintf(stderr, "cell %d of %d: %s\n", entry->cell + 1, p->plan->n_cells, p->cell_words);
}

static void cell_done(struct progress *p, const struct log_entry *entry)
{
    const struct session_cell *c = entry->payload;
    p->done++;
    if (p->quiet)
        return;
    clear_line(p);
    if (p->line)
        fprintf(stderr, "[%d/%d] %s: ", p->done, p->plan->n_cells, p->cell_words);
    else
        fputs("  ", stderr);
    fprintf(stderr, "%s%s%s%s%s%s\n", cell_status_names[c->status], *c->stop_rule ? " (" : "", c->stop_rule,
            *c->stop_rule ? ")" : "", *c->reason ? ": " : "", c->reason);
    p->told_ms = clock_ms() - REDRAW_MS;
}

static void follow(struct progress *p, const struct engine *g, const struct preset *preset)
{
    const struct log *log = engine_log(g);
    for (size_t n = log_length(log); p->read < n; p->read++) {
        const struct log_entry *entry = log_get(log, p->read);
        switch (entry->kind) {
        case LOG_CELL_STARTED:
            cell_started(p, entry);
            break;
        case LOG_PHASE:
            snprintf(p->phase, sizeof p->phase, "%.60s", entry->text);
            p->fraction = entry->value;
            break;
        case LOG_BLOCK:
            p->round = ((const struct block *)entry->payload)->round + 1;
            p->rounds = p->round <= preset->rounds ? preset->rounds : preset->max_rounds;
            break;
        case LOG_CELL_DONE:
            cell_done(p, entry);
            break;
        case LOG_MESSAGE:
            clear_line(p);
            output_say("%s", entry->text);
            break;
        case LOG_RUN_FINISHED:
            p->finished = true;
            memcpy(p->finished_text, entry->text, sizeof p->finished_text);
            break;
        default:
            break;
        }
    }
}

static void leave_at_once(const struct progress *p, const struct engine *g)
{
    clear_line(p);
    output_say(
        "left at once: what was measured up to here is in %s.journal: `benchtop run --resume %s` goes on",
        engine_session_path(g), engine_session_path(g));
    _exit(EXIT_INTERRUPTED); /* the worker may be deep in a kernel: no destructor may wait for it */
}

static void on_signals(int fd, struct headless_result *result, const struct progress *p)
{
    struct signalfd_siginfo info;
    int arrived = 0;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        arrived++;
    if (!arrived || !engine_running(result->engine))
        return; /* once all is saved there is nothing to stop or to leave behind */
    if (result->interrupted || arrived > 1)
        leave_at_once(p, result->engine);
    result->interrupted = true;
    engine_command(result->engine, ENGINE_STOP);
    clear_line(p);
    output_say("stopping: what was measured is being saved; a second time leaves at once");
}

/* All is saved: a signal that came too late to stop anything is dropped, and from here on the next one ends
 * the program as usual, be it stuck in a pipe. */
static void on_late_signals(int fd)
{
    struct signalfd_siginfo info;
    sigset_t set;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        ;
    signals(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void open_progress(struct progress *p, const struct headless_options *o)
{
    const char *term = getenv("TERM");
    bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    *p =
        (struct progress){.plan = &o->prepared->plan,
                          .quiet = o->quiet,
                          .line = !o->quiet && isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb"),
                          .less_equal = utf8 ? "≤" : "<=",
                          .dot = utf8 ? "·" : "-",
                          .cell = -1,
                          .fraction = NAN,
                          .told_ms = clock_ms(),
                          .started_ms = clock_ms()};
}

int headless_run(const struct headless_options *o, struct headless_result *result, struct error *e)
{
    sigset_t set;
    memset(result, 0, sizeof *result);
    signals(&set);
    int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int status = -1;
    if (signal_fd < 0 || wake_fd < 0) {
        error_set(e, ERROR_FAILED, "no descriptors left (%s): raise ulimit -n", strerror(errno));
        goto done;
    }
    struct engine_options options = {.preset = &o->prepared->preset,
                                     .resume = o->resume,
                                     .session_path = o->path,
                                     .argv_json = o->argv_json,
                                     .wake_fd = wake_fd,
                                     .realtime = o->realtime};
    result->engine = engine_start(&options, e);
    if (!result->engine)
        goto done;
    struct progress p;
    open_progress(&p, o);
    while (!p.finished && engine_running(result->engine)) {
        struct pollfd wait[] = {{signal_fd, POLLIN, 0}, {wake_fd, POLLIN, 0}};
        uint64_t count;
        poll(wait, 2, p.line ? REDRAW_MS : 1000);
        on_signals(signal_fd, result, &p);
        while (read(wake_fd, &count, sizeof count) == (ssize_t)sizeof count)
            ;
        follow(&p, result->engine, &o->prepared->preset);
        tell(&p, engine_eta_s(result->engine));
    }
    engine_join(result->engine);
    on_late_signals(signal_fd);
    follow(&p, result->engine, &o->prepared->preset);
    clear_line(&p);
    /* The log's text is the path written, cut to its room, or why there is none. */
    const char *path = engine_session_path(result->engine);
    result->saved = *p.finished_text && !strncmp(p.finished_text, path, strlen(p.finished_text));
    snprintf(result->why, sizeof result->why, "%s", result->saved ? "" : p.finished_text);
    status = 0;
done:
    if (signal_fd >= 0)
        close(signal_fd);
    if (wake_fd >= 0)
        close(wake_fd);
    return status;
}
