#include "engine/runners/process_protocol.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int process_read(int fd, void *to, size_t n)
{
    char *p = to;
    while (n > 0) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

int process_write(int fd, const void *from, size_t n)
{
    const char *p = from;
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

struct child {
    int out;
    struct process_hello *hello;
    struct runner *runner;
    struct runner_arm *arm;
    int64_t load_ns;
    struct sample *samples;
};

static int answer(const struct child *c, enum process_kind kind, const void *body, size_t bytes)
{
    struct process_frame frame = {kind, (uint32_t)bytes};
    return process_write(c->out, &frame, sizeof frame) || process_write(c->out, body, bytes) ? -1 : 0;
}

static void tell_progress(void *who, const char *what, double fraction)
{
    struct process_progress p = {.fraction = fraction};
    size_t n = strlen(what) < sizeof p.what - 1 ? strlen(what) : sizeof p.what - 1;
    memcpy(p.what, what, n);
    answer(who, PROCESS_PROGRESS, &p, sizeof p);
}

static int done(struct child *c)
{
    const struct runner_ops *ops = c->runner->ops;
    struct process_done d;
    memset(&d, 0, sizeof d);
    d.now_ns = ops->now_ns(c->runner);
    d.load_ns = c->load_ns;
    if (c->arm) {
        ops->memory(c->arm, &d.memory);
        ops->work(c->arm, &d.work);
        if (ops->text)
            ops->text(c->arm, &d.text);
        d.can_throttle = ops->throttled != NULL;
        d.throttled = ops->throttled && ops->throttled(c->arm);
    }
    return answer(c, PROCESS_DONE, &d, sizeof d);
}

static struct runner_request request_of(const struct child *c, int arm)
{
    const struct process_hello *h = c->hello;
    return (struct runner_request){.model = &h->model,
                                   .implementation = &h->preset.arms[arm].implementation,
                                   .workload = h->workload,
                                   .batch = h->batch,
                                   .seq = h->seq,
                                   .tokens = h->tokens,
                                   .samples_max = h->samples_max,
                                   .cell = h->cell,
                                   .arm = arm,
                                   .visit = h->visit,
                                   .round = h->round,
                                   .arm_name = h->preset.arms[arm].name,
                                   .seed = h->preset.seed,
                                   .text = h->preset.text,
                                   .texts = h->preset.texts,
                                   .sampling = h->preset.sampling,
                                   .quality_tokens = h->preset.quality_tokens};
}

static int prepare(struct child *c, struct error *e)
{
    struct process_hello *h = c->hello;
    struct runner_watch watch = {.who = c, .progress = tell_progress};
    bool fake = strcmp(h->preset.device, "fake") == 0;
    c->samples = calloc((size_t)h->samples_max + 1, sizeof *c->samples);
    if (!c->samples)
        return error_set(e, ERROR_MEMORY, "no memory for the samples of a block: choose smaller blocks");
    c->runner = fake ? runner_open_fake(&h->preset, h->realtime, e)
                     : runner_open_native(h->preset.device, h->preset.threads, e);
    if (!c->runner)
        return -1;
    struct runner_request q = request_of(c, h->arm);
    c->arm = c->runner->ops->prepare(c->runner, &q, &watch, &c->load_ns, e);
    return c->arm ? 0 : -1;
}

static int run(struct child *c, int n, struct error *e)
{
    _Atomic int count = 0;
    if (n < 0 || n > c->hello->samples_max)
        return error_set(e, ERROR_FAILED, "%d samples were asked of a block of at most %d: this is a defect",
                         n, c->hello->samples_max);
    /* Told after the block: a write between samples would be part of the next one. */
    int rc = c->runner->ops->run_block(c->arm, n, c->samples, &count, NULL, e);
    for (int i = 0; i < count; i++)
        if (answer(c, PROCESS_SAMPLE, &c->samples[i], sizeof c->samples[i]) < 0)
            return error_set(e, ERROR_CANCELLED, "the parent has gone");
    return rc;
}

static int output(struct child *c, struct error *e)
{
    struct runner_output o = {0};
    if (c->runner->ops->output(c->arm, &o, e) < 0)
        return -1;
    struct process_logits head = {o.rows, o.width, o.input_hash};
    size_t bytes = (size_t)o.rows * (size_t)o.width * sizeof *o.logits;
    struct process_frame frame = {PROCESS_LOGITS, (uint32_t)(sizeof head + bytes)};
    int bad = process_write(c->out, &frame, sizeof frame) || process_write(c->out, &head, sizeof head) ||
              process_write(c->out, o.logits, bytes);
    runner_output_free(&o);
    return bad ? error_set(e, ERROR_CANCELLED, "the parent has gone") : 0;
}

/* The other arms live only for this: a child belongs to one. */
static int quality(struct child *c, unsigned others, struct error *e)
{
    const struct runner_ops *ops = c->runner->ops;
    struct runner_watch watch = {.who = c, .progress = tell_progress};
    struct runner_arm *arm[PRESET_ARMS] = {c->arm};
    struct arm_quality judged[PRESET_ARMS];
    int n = 1, rc = 0;
    if (!ops->quality)
        return error_set(e, ERROR_UNSUPPORTED, "this runner computes no logits: nothing can be judged");
    for (int a = 0; a < c->hello->preset.n_arms && a < PRESET_ARMS && rc == 0; a++) {
        int64_t load_ns;
        struct runner_request q = request_of(c, a);
        if (a == c->hello->arm || !(others >> a & 1u))
            continue;
        arm[n] = ops->prepare(c->runner, &q, &watch, &load_ns, e);
        rc = arm[n] ? 0 : -1;
        n += rc == 0;
    }
    memset(judged, 0, sizeof judged);
    if (rc == 0)
        rc = ops->quality(arm, n, &watch, judged, e);
    for (int a = 1; a < n; a++)
        ops->release(arm[a]);
    if (rc == 0 && answer(c, PROCESS_JUDGED, judged, (size_t)n * sizeof *judged) < 0)
        return error_set(e, ERROR_CANCELLED, "the parent has gone");
    return rc;
}

static int write_answers(const struct child *c, const struct session_responses *r)
{
    struct process_answers head = {r ? r->n : 0, r ? r->length : 0};
    struct process_frame frame = {PROCESS_ANSWERED, (uint32_t)sizeof head};
    int bad = process_write(c->out, &frame, sizeof frame) || process_write(c->out, &head, sizeof head);
    if (r)
        bad = bad || process_write(c->out, r->ids, (size_t)r->n * (size_t)r->length * sizeof *r->ids);
    for (int i = 0; i < head.n && !bad; i++) {
        const struct session_response *x = &r->response[i];
        struct process_answer a;
        memset(&a, 0, sizeof a);
        a.response = *x;
        a.response.prompt = a.response.text = NULL;
        a.prompt_bytes = (uint32_t)strlen(x->prompt);
        a.text_bytes = (uint32_t)strlen(x->text);
        bad = process_write(c->out, &a, sizeof a) || process_write(c->out, x->prompt, a.prompt_bytes) ||
              process_write(c->out, x->text, a.text_bytes);
    }
    return bad ? -1 : 0;
}

static int responses(struct child *c, struct error *e)
{
    struct session_responses *r = NULL;
    if (c->runner->ops->responses && c->runner->ops->responses(c->arm, NULL, &r, e) < 0)
        return -1;
    int bad = write_answers(c, r);
    quality_free_responses(r);
    return bad ? error_set(e, ERROR_CANCELLED, "the parent has gone") : 0;
}

static int serve(struct child *c, int in)
{
    struct process_call call;
    while (process_read(in, &call, sizeof call) == 0) {
        struct error e = {0};
        int rc = -1;
        if (call.verb == PROCESS_PREPARE && !c->arm)
            rc = prepare(c, &e);
        else if (!c->arm)
            error_set(&e, ERROR_FAILED,
                      "a block was asked for before its arm was prepared: this is a defect");
        else if (call.verb == PROCESS_RESET)
            rc = c->runner->ops->reset(c->arm, &e);
        else if (call.verb == PROCESS_RUN)
            rc = run(c, call.n, &e);
        else if (call.verb == PROCESS_OUTPUT)
            rc = output(c, &e);
        else if (call.verb == PROCESS_QUALITY)
            rc = quality(c, (unsigned)call.n, &e);
        else if (call.verb == PROCESS_RESPONSES)
            rc = responses(c, &e);
        if ((rc == 0 ? done(c) : answer(c, PROCESS_ERROR, &e, sizeof e)) < 0)
            return 1;
    }
    return 0;
}

int process_serve(int in, int out)
{
    struct child c = {.out = out};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* Ctrl-C goes to the whole group; the parent decides */
    c.hello = malloc(sizeof *c.hello);
    int code = 1;
    if (c.hello && process_read(in, c.hello, sizeof *c.hello) == 0 && c.hello->magic == PROCESS_MAGIC &&
        c.hello->bytes == sizeof *c.hello && c.hello->arm >= 0 && c.hello->arm < PRESET_ARMS) {
        c.hello->preset.unknown = NULL;
        code = serve(&c, in);
    }
    if (c.arm)
        c.runner->ops->release(c.arm);
    if (c.runner)
        c.runner->ops->close(c.runner);
    free(c.samples);
    free(c.hello);
    return code;
}
