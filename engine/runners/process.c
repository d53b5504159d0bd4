#define _GNU_SOURCE /* pipe2 */
#include "engine/clock.h"
#include "engine/runners/process_protocol.h"

#include "kernels/kernels.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 50, GENERATIONS = 4096 };
extern char **environ;

struct runner_arm {
    struct process *process;
    struct runner_arm *next;
    struct process_hello hello;
    pid_t pid; /* 0: no child */
    int to, from;
    int generation; /* children so far */
    int64_t child_now;
    struct process_done last;
};

struct process {
    struct runner runner;
    struct preset preset; /* `unknown` is NULL: nothing is owned */
    char program[512];
    bool realtime, virtual_time;
    _Atomic int64_t now; /* of the fake: what its children's clocks ran, one after another */
    struct runner_arm *arms;
    bool has_info;
    struct kernels_info info;
};

static int64_t now_ns(struct runner *r)
{
    struct process *p = (struct process *)r;
    return p->virtual_time ? atomic_load(&p->now) : clock_ns();
}

/* The status as waitpid gives it. The pipe's end lets the child finish; kill: it may be in the middle of a
 * block. */
static int stop_child(struct runner_arm *a, bool kill_it)
{
    int status = 0;
    if (!a->pid)
        return 0;
    close(a->to);
    close(a->from);
    if (kill_it)
        kill(a->pid, SIGKILL);
    while (waitpid(a->pid, &status, 0) < 0 && errno == EINTR)
        ;
    a->pid = 0;
    return status;
}

static int lost(struct runner_arm *a, struct error *e)
{
    int status = stop_child(a, false);
    const char *name = a->hello.preset.arms[a->hello.arm].name;
    if (WIFSIGNALED(status))
        return error_set(e, ERROR_FAILED,
                         "the process of a block of %s was ended by signal %d (%s): run without --strict",
                         name, WTERMSIG(status), strsignal(WTERMSIG(status)));
    return error_set(e, ERROR_FAILED, "the process of a block of %s ended with code %d: run without --strict",
                     name, WEXITSTATUS(status));
}

/* Signals are blocked in the worker that calls this; the child starts with none blocked. */
static int start_child(struct runner_arm *a, struct error *e)
{
    int down[2] = {-1, -1}, up[2] = {-1, -1};
    char *argv[] = {(char[]){"benchtop"}, (char[]){"block"}, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    if (pipe2(down, O_CLOEXEC) < 0 || pipe2(up, O_CLOEXEC) < 0) {
        int why = errno;
        for (int i = 0; i < 2; i++)
            if (down[i] >= 0)
                close(down[i]);
        return error_set(e, ERROR_FAILED, "no pipe to a block's process (%s): raise the limit of open files",
                         strerror(why));
    }
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, down[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, up[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    int rc = posix_spawn(&a->pid, a->process->program, &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(down[0]);
    close(up[1]);
    a->to = down[1];
    a->from = up[0];
    a->child_now = 0;
    if (rc) {
        close(a->to);
        close(a->from);
        a->pid = 0;
        return error_set(e, ERROR_FAILED, "%s cannot be started for a block (%s): run without --strict",
                         a->process->program, strerror(rc));
    }
    a->hello.visit = a->hello.visit / GENERATIONS * GENERATIONS + a->generation++;
    return process_write(a->to, &a->hello, sizeof a->hello) < 0 ? lost(a, e) : 0;
}

/* Until there is something to read; false: cancelled. */
static bool await(struct runner_arm *a, const struct runner_watch *w)
{
    struct pollfd p = {.fd = a->from, .events = POLLIN};
    for (;;) {
        int ready = poll(&p, 1, POLL_MS);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return true; /* the read will say what it is */
        if (w && w->cancelled && w->cancelled(w->who))
            return false;
    }
}

struct reply { /* where a call's frames go */
    struct sample *samples;
    _Atomic int *done;
    int n;
    struct runner_output *output;
    struct arm_quality *judged; /* [n_judged] */
    int n_judged;
    struct session_responses **answers;
};

static int read_logits(struct runner_arm *a, uint32_t bytes, struct runner_output *o, struct error *e)
{
    struct process_logits head;
    if (bytes < sizeof head || process_read(a->from, &head, sizeof head) < 0)
        return lost(a, e);
    size_t size = bytes - sizeof head;
    float *logits = malloc(size + 1);
    if (!logits) {
        stop_child(a, true);
        return error_set(e, ERROR_MEMORY, "no memory for the logits of an arm: close other programs");
    }
    if (process_read(a->from, logits, size) < 0) {
        free(logits);
        return lost(a, e);
    }
    *o = (struct runner_output){logits, head.rows, head.width, head.input_hash};
    return 0;
}

static char *read_text(struct runner_arm *a, uint32_t bytes)
{
    char *text = bytes <= RESPONSE_TEXT ? malloc((size_t)bytes + 1) : NULL;
    if (!text || process_read(a->from, text, bytes) < 0) {
        free(text);
        return NULL;
    }
    text[bytes] = '\0';
    return text;
}

static int read_answers(struct runner_arm *a, struct session_responses **out, struct error *e)
{
    struct process_answers head;
    if (process_read(a->from, &head, sizeof head) < 0)
        return lost(a, e);
    if (head.n == 0)
        return 0;
    struct session_responses *r = quality_new_responses(head.n, head.length);
    bool whole =
        r && process_read(a->from, r->ids, (size_t)head.n * (size_t)head.length * sizeof *r->ids) == 0;
    for (int i = 0; whole && i < head.n; i++) {
        struct process_answer x;
        whole = process_read(a->from, &x, sizeof x) == 0;
        if (!whole)
            break;
        r->response[i] = x.response;
        r->response[i].prompt = read_text(a, x.prompt_bytes);
        r->response[i].text = r->response[i].prompt ? read_text(a, x.text_bytes) : NULL;
        whole = r->response[i].text != NULL;
    }
    if (!whole) {
        quality_free_responses(r);
        stop_child(a, true);
        return error_set(e, ERROR_FAILED, "the responses of an arm were not had from its process: run again");
    }
    *out = r;
    return 0;
}

static void pass_time(struct runner_arm *a, int64_t child_now)
{
    if (a->process->virtual_time)
        atomic_fetch_add(&a->process->now, child_now - a->child_now);
    a->child_now = child_now;
}

/* 1: the call is over; 0: more frames follow; -1. */
static int take_frame(struct runner_arm *a, struct reply *r, const struct runner_watch *w, struct error *e)
{
    struct process_frame frame;
    struct process_progress progress;
    struct sample sample;
    if (process_read(a->from, &frame, sizeof frame) < 0)
        return lost(a, e);
    switch (frame.kind) {
    case PROCESS_PROGRESS:
        if (process_read(a->from, &progress, sizeof progress) < 0)
            return lost(a, e);
        if (w && w->progress)
            w->progress(w->who, progress.what, progress.fraction);
        return 0;
    case PROCESS_SAMPLE:
        if (process_read(a->from, &sample, sizeof sample) < 0)
            return lost(a, e);
        if (r->samples) {
            r->samples[r->n++] = sample;
            atomic_store_explicit(r->done, r->n, memory_order_release);
        }
        return 0;
    case PROCESS_LOGITS:
        return read_logits(a, frame.bytes, r->output, e);
    case PROCESS_JUDGED:
        if (!r->judged || frame.bytes != (size_t)r->n_judged * sizeof *r->judged ||
            process_read(a->from, r->judged, frame.bytes) < 0)
            return lost(a, e);
        return 0;
    case PROCESS_ANSWERED:
        return r->answers ? read_answers(a, r->answers, e) : lost(a, e);
    case PROCESS_DONE:
        if (process_read(a->from, &a->last, sizeof a->last) < 0)
            return lost(a, e);
        pass_time(a, a->last.now_ns);
        return 1;
    case PROCESS_ERROR: {
        struct error said = {0};
        if (process_read(a->from, &said, sizeof said) < 0)
            return lost(a, e);
        said.text[ERROR_TEXT - 1] = '\0';
        return error_set(e, said.kind, "%s", said.text);
    }
    }
    stop_child(a, true);
    return error_set(e, ERROR_FAILED, "the process of a block speaks another language: build benchtop anew");
}

static int ask(struct runner_arm *a, enum process_verb verb, int n, struct reply *r,
               const struct runner_watch *w, struct error *e)
{
    struct process_call call;
    memset(&call, 0, sizeof call);
    call.verb = verb;
    call.n = n;
    if (process_write(a->to, &call, sizeof call) < 0)
        return lost(a, e);
    for (;;) {
        if (!await(a, w)) {
            stop_child(a, true);
            return error_set(e, ERROR_CANCELLED, "the block's process was stopped");
        }
        int rc = take_frame(a, r, w, e);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
}

/* A child for this arm, and none for another. */
static int ensure(struct runner_arm *a, const struct runner_watch *w, struct error *e)
{
    struct reply none = {0};
    for (struct runner_arm *o = a->process->arms; o; o = o->next)
        if (o != a)
            stop_child(o, false);
    if (a->pid)
        return 0;
    if (start_child(a, e) < 0)
        return -1;
    if (ask(a, PROCESS_PREPARE, 0, &none, w, e) == 0)
        return 0;
    stop_child(a, true);
    return -1;
}

static struct runner_arm *prepare(struct runner *base, const struct runner_request *q,
                                  const struct runner_watch *w, int64_t *load_ns, struct error *e)
{
    struct process *p = (struct process *)base;
    struct runner_arm *a = calloc(1, sizeof *a);
    if (!a) {
        error_set(e, ERROR_MEMORY, "no memory for an arm: close other programs");
        return NULL;
    }
    a->process = p;
    a->hello = (struct process_hello){.magic = PROCESS_MAGIC,
                                      .bytes = sizeof a->hello,
                                      .preset = p->preset,
                                      .model = *q->model,
                                      .workload = q->workload,
                                      .batch = q->batch,
                                      .seq = q->seq,
                                      .tokens = q->tokens,
                                      .samples_max = q->samples_max,
                                      .cell = q->cell,
                                      .arm = q->arm,
                                      .visit = q->visit * GENERATIONS,
                                      .round = q->round,
                                      .realtime = p->realtime};
    a->next = p->arms;
    p->arms = a;
    if (ensure(a, w, e) < 0) {
        p->arms = a->next;
        free(a);
        return NULL;
    }
    *load_ns = a->last.load_ns;
    return a;
}

static int renew(struct runner_arm *a, int round, const struct runner_watch *w, struct error *e)
{
    stop_child(a, false);
    a->hello.round = round;
    return ensure(a, w, e);
}

static int reset(struct runner_arm *a, struct error *e)
{
    struct reply none = {0};
    return ensure(a, NULL, e) < 0 ? -1 : ask(a, PROCESS_RESET, 0, &none, NULL, e);
}

static int run_block(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                     const struct runner_watch *w, struct error *e)
{
    struct reply r = {.samples = out, .done = done};
    atomic_store_explicit(done, 0, memory_order_release);
    return ensure(a, w, e) < 0 ? -1 : ask(a, PROCESS_RUN, n, &r, w, e);
}

static int output(struct runner_arm *a, struct runner_output *out, struct error *e)
{
    struct reply r = {.output = out};
    return ensure(a, NULL, e) < 0 ? -1 : ask(a, PROCESS_OUTPUT, 0, &r, NULL, e);
}

/* The child of the first arm judges them all: arms that are compared must live in one process. */
static int quality(struct runner_arm *const *arm, int n, const struct runner_watch *w,
                   struct arm_quality *out, struct error *e)
{
    struct reply r = {.judged = out, .n_judged = n};
    unsigned others = 0;
    for (int i = 1; i < n; i++)
        others |= 1u << arm[i]->hello.arm;
    if (n < 1 || arm[0]->process->virtual_time || strcmp(arm[0]->process->preset.device, "fake") == 0) {
        for (int i = 0; i < n; i++)
            out[i] = (struct arm_quality){0};
        return 0;
    }
    return ensure(arm[0], w, e) < 0 ? -1 : ask(arm[0], PROCESS_QUALITY, (int)others, &r, w, e);
}

static int responses(struct runner_arm *a, const struct runner_watch *w, struct session_responses **out,
                     struct error *e)
{
    struct reply r = {.answers = out};
    *out = NULL;
    return ensure(a, w, e) < 0 ? -1 : ask(a, PROCESS_RESPONSES, 0, &r, w, e);
}

static void text(struct runner_arm *a, struct text_figures *out)
{
    *out = a->last.text;
}

static void memory(struct runner_arm *a, struct memory_use *out)
{
    *out = a->last.memory;
}

static void work(struct runner_arm *a, struct model_work *out)
{
    *out = a->last.work;
}

static bool throttled(struct runner_arm *a)
{
    return a->last.can_throttle && a->last.throttled;
}

static void release(struct runner_arm *a)
{
    if (!a)
        return;
    struct runner_arm **at = &a->process->arms;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    stop_child(a, false);
    free(a);
}

static void close_process(struct runner *r)
{
    free(r);
}

static const struct kernels_info *kernels(struct runner *r)
{
    struct process *p = (struct process *)r;
    return p->has_info ? &p->info : NULL;
}

static const struct runner_ops ops = {
    .name = "process",
    .now_ns = now_ns,
    .prepare = prepare,
    .renew = renew,
    .reset = reset,
    .run_block = run_block,
    .output = output,
    .quality = quality,
    .responses = responses,
    .text = text,
    .memory = memory,
    .work = work,
    .throttled = throttled,
    .release = release,
    .close = close_process,
    .kernels = kernels,
};

/* What the children will find, for the record: asked once, before the first of them. */
static int look(struct process *p, struct error *e)
{
    struct runner *native = runner_open_native(p->preset.device, p->preset.threads, e);
    if (!native)
        return -1;
    const struct kernels_info *k = native->ops->kernels ? native->ops->kernels(native) : NULL;
    if (k) {
        p->info = *k;
        p->has_info = true;
    }
    native->ops->close(native);
    return 0;
}

struct runner *runner_open_process(const struct preset *preset, bool realtime, const char *program,
                                   struct error *e)
{
    bool fake = strcmp(preset->device, "fake") == 0;
    struct process *p = calloc(1, sizeof *p);
    if (!p) {
        error_set(e, ERROR_MEMORY, "no memory for a runner: close other programs");
        return NULL;
    }
    p->runner.ops = &ops;
    p->preset = *preset;
    p->preset.unknown = NULL;
    p->realtime = realtime;
    p->virtual_time = fake && !realtime;
    if (!program)
        program = "/proc/self/exe";
    if (strlen(program) >= sizeof p->program || (!fake && look(p, e) < 0)) {
        if (strlen(program) >= sizeof p->program)
            error_set(e, ERROR_FAILED, "%.80s...: the path is too long: move the program", program);
        free(p);
        return NULL;
    }
    memcpy(p->program, program, strlen(program) + 1);
    return &p->runner;
}
