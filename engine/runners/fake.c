#include "engine/runners/fake.h"

#include "engine/clock.h"
#include "engine/random.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A hang polls for its end this often: in virtual time it lasts HANG_STEP per poll, and the processor rests.
 */
enum { SLICE_NS = 20000000, HANG_STEP_NS = 100000000, HANG_REST_NS = 1000000 };

struct runner_arm {
    struct fake *fake;
    struct runner_arm *next;
    struct runner_request request;
    struct model_spec model;
    struct implementation implementation;
    struct fake_law law;
    enum fake_fault fault;
    struct random random;
    double block_factor, ar1; /* ar1: the stationary state */
    bool throttled, at_start; /* at_start: reset, and nothing run since */
    int64_t samples;          /* since prepare */
    double round;             /* of the block now running */
    struct model_work work;
    struct memory_use memory;
    double first_share; /* generate: the prompt's share of a sample */
};

struct fake {
    struct runner runner;
    struct preset preset;
    bool realtime;
    _Atomic int64_t now; /* virtual; readers on other threads show elapsed time */
    struct runner_arm *arms;
    int n_arms, blocks; /* blocks: started since the first arm of the cell was prepared */
};

static void rest(int64_t ns)
{
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static bool cancelled(const struct runner_watch *w)
{
    return w && w->cancelled && w->cancelled(w->who);
}

/* Lets `ns` of the runner's time pass. Slices of sleep keep a long sample of --realtime cancellable: false.
 */
static bool pass(struct fake *f, int64_t ns, const struct runner_watch *w)
{
    if (!f->realtime) {
        atomic_fetch_add(&f->now, ns);
        return true;
    }
    int64_t end = clock_ns() + ns;
    for (int64_t left = ns; left > 0; left = end - clock_ns()) {
        rest(left < SLICE_NS ? left : SLICE_NS);
        if (left > SLICE_NS && cancelled(w))
            return false;
    }
    return true;
}

static int hang(struct fake *f, const struct runner_watch *w, struct error *e)
{
    while (!cancelled(w)) {
        rest(HANG_REST_NS);
        if (!f->realtime)
            atomic_fetch_add(&f->now, HANG_STEP_NS);
    }
    return error_set(e, ERROR_CANCELLED, "the fake device hung and was stopped");
}

/* Work that no cost model counts (tokenize) takes a millisecond: a sample of no time would be a clock fault.
 */
static double roofline_s(const struct model_work *w)
{
    double s = fmax(w->bytes / FAKE_BANDWIDTH, w->flops / FAKE_FLOP_RATE);
    return s > 0 ? s : 1e-3;
}

struct fake_law fake_law_of(const struct preset *p, const struct runner_request *q)
{
    for (int i = 0; i < p->fake.n_laws; i++)
        if (strcmp(p->fake.law[i].arm, q->arm_name) == 0)
            return p->fake.law[i];
    struct model_work w =
        model_work_ragged(q->model, q->implementation, q->workload, q->batch, q->seq, q->tokens, q->shortest);
    struct fake_law law = {.kind = FAKE_NORMAL,
                           .mean_ms = 1e3 * roofline_s(&w),
                           .within_sd = 0.02,
                           .between_sd = 0.01,
                           .warmup = {.size = 0.3, .tau = 2}};
    return law;
}

double fake_law_mean_ms(const struct fake_law *law)
{
    if (law->kind != FAKE_BIMODAL || law->n_modes == 0)
        return law->mean_ms;
    double sum = 0, shares = 0;
    for (int i = 0; i < law->n_modes; i++) {
        sum += law->mode[i].share * law->mode[i].mean_ms;
        shares += law->mode[i].share;
    }
    return sum / shares;
}

static int64_t now_ns(struct runner *r)
{
    struct fake *f = (struct fake *)r;
    return f->realtime ? clock_ns() : atomic_load(&f->now);
}

static enum fake_fault fault_of(const struct preset *p, int cell)
{
    for (int i = 0; i < p->fake.n_faults; i++)
        if (p->fake.fault[i].cell == cell)
            return p->fake.fault[i].fault;
    return FAKE_OK;
}

struct memory_use fake_memory_of(const struct runner_request *q)
{
    const struct model_spec *m = q->model;
    enum precision_kind precision = q->implementation->precision;
    int64_t rows = q->workload == WORKLOAD_DECODE ? q->batch : (int64_t)q->batch * q->seq;
    int64_t cached = q->workload == WORKLOAD_DECODE     ? q->seq + q->samples_max
                     : q->workload == WORKLOAD_GENERATE ? q->seq + q->tokens
                                                        : q->seq;
    struct memory_use u = {0};
    u.weights = (int64_t)((double)model_parameters(m) * model_weight_bytes_per_element(precision));
    u.kv_cache = q->batch * cached * model_kv_bytes_per_token(m, precision);
    u.kv_used = u.kv_cache;
    u.activations = rows * ((int64_t)4 * m->d_model + m->ffn) * (int64_t)sizeof(float);
    u.peak = u.average = u.weights + u.kv_cache + u.activations + u.overhead;
    return u;
}

static bool shares_weights(const struct fake *f, const struct runner_request *q)
{
    for (const struct runner_arm *a = f->arms; a; a = a->next)
        if (strcmp(a->model.name, q->model->name) == 0 &&
            a->implementation.precision == q->implementation->precision)
            return true;
    return false;
}

static int load(struct fake *f, int64_t ns, const struct runner_watch *w, struct error *e)
{
    enum { STEPS = 20 };
    for (int i = 0; i < STEPS; i++) {
        if (w && w->progress)
            w->progress(w->who, "weights", (double)i / STEPS);
        if (cancelled(w) || !pass(f, ns / STEPS, w))
            return error_set(e, ERROR_CANCELLED, "loading was stopped");
    }
    return 0;
}

static struct runner_arm *prepare(struct runner *r, const struct runner_request *q,
                                  const struct runner_watch *w, int64_t *load_ns, struct error *e)
{
    struct fake *f = (struct fake *)r;
    enum fake_fault fault = fault_of(&f->preset, q->cell);
    struct memory_use memory = fake_memory_of(q);
    *load_ns = 0;
    if (fault == FAKE_OUT_OF_MEMORY) {
        error_set(e, ERROR_MEMORY,
                  "the fake device has no room for %.1f GiB, as its preset says: choose a smaller cell",
                  (double)memory.peak / 0x1p30);
        return NULL;
    }
    if (!shares_weights(f, q)) {
        int64_t start = now_ns(r);
        if (load(f, (int64_t)((double)memory.weights / FAKE_LOAD_RATE * 1e9), w, e) < 0)
            return NULL;
        *load_ns = now_ns(r) - start;
    }
    struct runner_arm *a = calloc(1, sizeof *a);
    if (!a) {
        error_set(e, ERROR_MEMORY, "no memory for an arm of the fake device: close other programs");
        return NULL;
    }
    a->fake = f;
    a->request = *q;
    a->model = *q->model;
    a->implementation = *q->implementation;
    a->request.model = &a->model;
    a->request.implementation = &a->implementation;
    a->law = fake_law_of(&f->preset, q);
    a->fault = fault;
    a->memory = memory;
    a->work =
        model_work_ragged(q->model, q->implementation, q->workload, q->batch, q->seq, q->tokens, q->shortest);
    if (q->workload == WORKLOAD_GENERATE) {
        struct model_work prompt =
            model_work(q->model, q->implementation, WORKLOAD_PREFILL, q->batch, q->seq, 0);
        a->first_share = fmin(1, roofline_s(&prompt) / roofline_s(&a->work));
    }
    a->random = random_of(q->seed + (uint64_t)q->visit * 0x9e3779b97f4a7c15u, q->cell, q->arm);
    a->ar1 = random_normal(&a->random);
    a->block_factor = 1;
    a->at_start = true;
    if (f->n_arms == 0)
        f->blocks = 0;
    f->n_arms++;
    a->next = f->arms;
    f->arms = a;
    return a;
}

static int reset(struct runner_arm *a, struct error *e)
{
    (void)e;
    a->at_start = true;
    a->block_factor = 1 + a->law.between_sd * random_normal(&a->random);
    a->throttled = random_uniform(&a->random) < a->law.throttled;
    return 0;
}

static double draw_ms(struct runner_arm *a)
{
    const struct fake_law *law = &a->law;
    struct random *g = &a->random;
    double mean = law->mean_ms, noise = 1;
    switch (law->kind) {
    case FAKE_NORMAL:
        noise = 1 + law->within_sd * random_normal(g);
        break;
    case FAKE_LOGNORMAL:
        noise = exp(law->sigma * random_normal(g) - law->sigma * law->sigma / 2);
        break;
    case FAKE_BIMODAL: {
        double shares = 0;
        for (int i = 0; i < law->n_modes; i++)
            shares += law->mode[i].share;
        double u = random_uniform(g) * shares;
        for (int i = 0; i < law->n_modes; i++) {
            mean = law->mode[i].mean_ms;
            if ((u -= law->mode[i].share) < 0)
                break;
        }
        noise = 1 + law->within_sd * random_normal(g);
        break;
    }
    case FAKE_AR1:
        noise = 1 + law->within_sd * a->ar1;
        a->ar1 = law->rho * a->ar1 + sqrt(fmax(0, 1 - law->rho * law->rho)) * random_normal(g);
        break;
    }
    double ms = mean * (1 + law->drift_per_round * a->round) * a->block_factor * noise;
    if (law->warmup.tau > 0)
        ms *= 1 + law->warmup.size * exp(-(double)a->samples / law->warmup.tau);
    if (a->throttled)
        ms /= FAKE_THROTTLED_CLOCK;
    return fmax(ms, 0.01 * mean);
}

static int run_block(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                     const struct runner_watch *w, struct error *e)
{
    struct fake *f = a->fake;
    atomic_store_explicit(done, 0, memory_order_release);
    if (a->fault == FAKE_FAILED)
        return error_set(e, ERROR_FAILED,
                         "the fake device failed in cell %d, as its preset says: take the fault out",
                         a->request.cell);
    if (a->fault == FAKE_HANG)
        return hang(f, w, e);
    if (a->at_start) { /* the first n_arms blocks are warm-up: time in rounds starts behind them */
        a->round = a->request.round + fmax(0, (double)(f->blocks - f->n_arms) / f->n_arms);
        f->blocks++;
        a->at_start = false;
    }
    for (int i = 0; i < n; i++) {
        if (cancelled(w))
            return error_set(e, ERROR_CANCELLED, "the block was stopped");
        int64_t ns = (int64_t)llround(draw_ms(a) * 1e6);
        if (!pass(f, ns + FAKE_HOST_NS, w))
            return error_set(e, ERROR_CANCELLED, "the block was stopped");
        out[i] = (struct sample){ns, ns + FAKE_HOST_NS, (int64_t)((double)ns * a->first_share)};
        a->samples++;
        atomic_store_explicit(done, i + 1, memory_order_release);
    }
    return 0;
}

static int output(struct runner_arm *a, struct runner_output *out, struct error *e)
{
    int width = a->model.vocab < FAKE_LOGITS_WIDTH ? a->model.vocab : FAKE_LOGITS_WIDTH;
    size_t n = (size_t)a->request.batch * (size_t)width;
    float *logits = malloc(n * sizeof *logits);
    if (!logits)
        return error_set(e, ERROR_MEMORY,
                         "no memory for the logits of the fake device: close other programs");
    struct random g = {.state = a->request.seed};
    for (size_t i = 0; i < n; i++)
        logits[i] = (float)random_normal(&g);
    *out = (struct runner_output){logits, a->request.batch, width, a->request.seed};
    return 0;
}

static void memory(struct runner_arm *a, struct memory_use *out)
{
    *out = a->memory;
}

static void work(struct runner_arm *a, struct model_work *out)
{
    *out = a->work;
}

static bool throttled(struct runner_arm *a)
{
    return a->throttled;
}

static void release(struct runner_arm *a)
{
    if (!a)
        return;
    struct runner_arm **at = &a->fake->arms;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    a->fake->n_arms--;
    free(a);
}

static void close_fake(struct runner *r)
{
    struct fake *f = (struct fake *)r;
    preset_free(&f->preset);
    free(f);
}

static const struct runner_ops ops = {
    .name = "fake",
    .now_ns = now_ns,
    .prepare = prepare,
    .reset = reset,
    .run_block = run_block,
    .output = output,
    .memory = memory,
    .work = work,
    .throttled = throttled,
    .release = release,
    .close = close_fake,
};

struct runner *runner_open_fake(const struct preset *preset, bool realtime, struct error *e)
{
    struct fake *f = calloc(1, sizeof *f);
    if (!f) {
        error_set(e, ERROR_MEMORY, "no memory for the fake device: close other programs");
        return NULL;
    }
    if (preset_copy(&f->preset, preset, e) < 0) {
        free(f);
        return NULL;
    }
    f->runner.ops = &ops;
    f->realtime = realtime;
    return &f->runner;
}
