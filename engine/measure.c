#include "engine/measure.h"

#include "engine/gate.h"
#include "engine/schedule.h"
#include "engine/stop.h"
#include "engine/warmup.h"
#include "stats/stats.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Samples longer than this are asked for one by one, so that a pause need not wait for a whole block. */
#define LONG_SAMPLE_S 0.1
/* Shorter ones are asked for in parts of about this length while the arm warms up. */
#define WARMUP_PART_S 0.1
#define WARMUP_SHARE  0.33

enum why { WHY_NONE, WHY_STOP, WHY_SKIP, WHY_BUDGET, WHY_HUNG };

struct run {
    const struct measure_cell *m;
    const struct measure_host *host;
    struct session_cell *out;
    struct runner_watch watch;
    struct runner_arm *arm[PRESET_ARMS];
    bool active[PRESET_ARMS]; /* prepared and not failed since */
    struct sample *warmup[PRESET_ARMS];
    int n_warmup[PRESET_ARMS];
    bool unsteady[PRESET_ARMS];
    double sample_s[PRESET_ARMS]; /* mean of the later half of the warm-up */
    double *mean[PRESET_ARMS];    /* block means by round, NAN: none */
    double *scratch;
    int rounds_capacity;
    int samples_per_block;
    int64_t share_ns, deadline_ns, alive_ns; /* alive: when something last moved */
    double watchdog_s;
    enum why why;
    char phase[32];
    double fraction;
    double clock_max;
};

static int64_t now(const struct run *r)
{
    return r->m->runner->ops->now_ns(r->m->runner);
}

static int64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void tell(struct run *r, enum log_kind kind, int arm, double value, const char *text,
                 const void *payload, size_t size)
{
    struct log_entry entry = {
        .kind = kind, .cell = r->m->cell, .arm = arm, .time_ns = now(r), .value = value, .payload = payload};
    snprintf(entry.text, sizeof entry.text, "%s", text);
    r->host->tell(r->host->who, &entry, size);
}

static const struct session_arm *known(const struct run *r, int arm)
{
    return &r->m->session->cell[r->m->cell].arm[arm];
}

static void tell_arm(struct run *r, int arm, struct session_arm *facts)
{
    facts->blocks = NULL; /* readers have their own */
    facts->n_blocks = facts->blocks_capacity = 0;
    tell(r, LOG_ARM, arm, (double)NAN, "", facts, sizeof *facts);
}

static void phase(struct run *r, int arm, const char *what, double fraction)
{
    if (strcmp(what, r->phase) == 0 && fabs(fraction - r->fraction) < 0.01)
        return;
    snprintf(r->phase, sizeof r->phase, "%s", what);
    r->fraction = fraction;
    tell(r, LOG_PHASE, arm, fraction, what, NULL, 0);
}

/* What ends a call between samples, and why. Sticky: the first reason stays. */
static enum why check(struct run *r)
{
    if (r->why != WHY_NONE)
        return r->why;
    enum measure_order order = r->host->order(r->host->who);
    if (order == MEASURE_STOP)
        r->why = WHY_STOP;
    else if (order == MEASURE_SKIP)
        r->why = WHY_SKIP;
    else if (r->deadline_ns && now(r) > r->deadline_ns)
        r->why = WHY_BUDGET;
    else if (r->watchdog_s > 0 && (double)(now(r) - r->alive_ns) > 1e9 * r->watchdog_s)
        r->why = WHY_HUNG;
    return r->why;
}

static bool watch_cancelled(void *who)
{
    return check(who) != WHY_NONE;
}

static void watch_progress(void *who, const char *what, double fraction)
{
    struct run *r = who;
    r->alive_ns = now(r);
    phase(r, -1, what, fraction);
}

/* Between samples and blocks: waits while paused, the time of which no budget pays. */
static enum why checkpoint(struct run *r)
{
    int64_t waited = r->host->pause(r->host->who);
    r->share_ns += r->share_ns ? waited : 0;
    r->deadline_ns += r->deadline_ns ? waited : 0;
    r->alive_ns = now(r);
    return check(r);
}

static enum cell_status status_of(enum error_kind kind)
{
    return kind == ERROR_UNSUPPORTED ? CELL_UNSUPPORTED
           : kind == ERROR_MEMORY    ? CELL_OUT_OF_MEMORY
           : kind == ERROR_CANCELLED ? CELL_STOPPED
                                     : CELL_FAILED;
}

/* The arm is out, its cell goes on without it. */
static void drop_arm(struct run *r, int arm, enum cell_status status, const char *reason)
{
    struct session_arm facts = *known(r, arm);
    facts.status = status;
    snprintf(facts.reason, sizeof facts.reason, "%s", reason);
    tell_arm(r, arm, &facts);
    if (r->arm[arm])
        r->m->runner->ops->release(r->arm[arm]);
    r->arm[arm] = NULL;
    r->active[arm] = false;
}

static void prepare_arm(struct run *r, int a)
{
    const struct measure_cell *m = r->m;
    const struct plan_arm *plan = &m->plan->arm[a];
    if (!plan->supported) {
        drop_arm(r, a, CELL_UNSUPPORTED, plan->reason);
        return;
    }
    if (!plan->fits || m->refused[a]) {
        drop_arm(r, a, CELL_OUT_OF_MEMORY, plan->fits ? m->refused[a] : plan->reason);
        return;
    }
    struct runner_request q = {.model = m->model,
                               .implementation = &m->preset->arms[a].implementation,
                               .workload = m->plan->workload,
                               .batch = m->plan->batch,
                               .seq = m->plan->seq,
                               .tokens = m->plan->tokens,
                               .samples_max = m->plan->samples_per_block,
                               .cell = m->cell,
                               .arm = a,
                               .arm_name = m->preset->arms[a].name,
                               .seed = m->preset->seed};
    struct session_arm facts = *known(r, a);
    struct error e = {0};
    facts.predicted = plan->memory;
    phase(r, a, "weights", 0);
    r->arm[a] = m->runner->ops->prepare(m->runner, &q, &r->watch, &facts.load_ns, &e);
    if (!r->arm[a]) {
        drop_arm(r, a, status_of(e.kind), e.text);
        return;
    }
    r->active[a] = true;
    facts.status = CELL_RUNNING;
    m->runner->ops->work(r->arm[a], &facts.work);
    tell_arm(r, a, &facts);
}

static double seconds(const struct sample *s)
{
    return (double)(s->device_ns > s->host_ns ? s->device_ns : s->host_ns) / 1e9;
}

/* How many samples to ask for at once while warming: single ones at first, then parts of WARMUP_PART_S. */
static int warmup_part(const struct run *r, const struct sample *s, int n, int most, int since_reset)
{
    int part = 1;
    if (n >= 4) {
        double t = fmax(seconds(&s[n - 1]), 1e-7);
        part = t * most > WARMUP_PART_S ? (int)(WARMUP_PART_S / t) : most;
        part = part < 1 ? 1 : part > n / 2 ? n / 2 : part; /* steadiness is looked at in between */
    }
    int room = r->m->plan->samples_per_block - since_reset;
    part = part > most - n ? most - n : part;
    return part > room ? room : part;
}

/* When the arm must be warm where a time budget presses: all arms together may use WARMUP_SHARE of what the
 * cell has left. 0: no budget. */
static int64_t warmup_deadline(const struct run *r, int a)
{
    int arms = 0;
    for (int i = a; i < r->m->preset->n_arms; i++)
        arms += r->active[i];
    return r->share_ns ? now(r) + (int64_t)((double)(r->share_ns - now(r)) * WARMUP_SHARE / arms) : 0;
}

/* 0, or -1: the arm failed, or r->why says what else. */
static int warm_arm(struct run *r, int a)
{
    const struct runner_ops *ops = r->m->runner->ops;
    const struct preset *p = r->m->preset;
    int most = p->warmup_max > p->warmup_min ? p->warmup_max : p->warmup_min, n = 0, since_reset = 0;
    struct error e = {0};
    struct session_arm facts = *known(r, a);
    struct sample *s = calloc(most > 0 ? (size_t)most : 1, sizeof *s);
    double *ms = calloc(most > 0 ? (size_t)most : 1, sizeof *ms);
    bool steady = false;
    int64_t start = now(r), steady_at = start, deadline = warmup_deadline(r, a);
    r->warmup[a] = s;
    if (!s || !ms) {
        error_set(&e, ERROR_MEMORY, "no memory for warm-up samples: choose a smaller warmup_max");
        goto fail;
    }
    while (n < most && !steady && (n < p->warmup_min || !deadline || now(r) < deadline)) {
        _Atomic int done = 0;
        phase(r, a, "warm-up", (double)n / most);
        if (checkpoint(r) != WHY_NONE)
            goto fail;
        if (since_reset >= r->m->plan->samples_per_block) {
            if (ops->reset(r->arm[a], &e) < 0)
                goto fail;
            since_reset = 0;
        }
        int part = warmup_part(r, s, n, most, since_reset);
        if (ops->run_block(r->arm[a], part, s + n, &done, &r->watch, &e) < 0)
            goto fail;
        for (int i = n; i < n + part; i++)
            ms[i] = 1e3 * seconds(&s[i]);
        n += part;
        since_reset += part;
        size_t drop;
        steady = warmup_steady(ms, (size_t)n, (size_t)p->warmup_min, &drop);
        steady_at = now(r);
    }
    r->n_warmup[a] = n;
    r->unsteady[a] = !steady;
    if (n > 0) {
        facts.cold_start_ns = s[0].device_ns;
        facts.time_to_steady_ns = steady_at - start;
        int k = n - n / 2;
        r->sample_s[a] = stats_mean(ms + n - k, (size_t)k) / 1e3;
    }
    free(ms);
    tell_arm(r, a, &facts);
    return 0;
fail:
    free(ms);
    if (r->why == WHY_NONE)
        drop_arm(r, a, status_of(e.kind), e.text);
    return -1;
}

static void verify(struct run *r)
{
    const struct runner_ops *ops = r->m->runner->ops;
    const struct preset *p = r->m->preset;
    struct runner_output base = {0};
    struct error e = {0};
    phase(r, 0, "verify", 0);
    if (ops->output(r->arm[0], &base, &e) < 0) {
        if (check(r) == WHY_NONE)
            drop_arm(r, 0, status_of(e.kind), e.text);
        return;
    }
    struct session_arm facts = *known(r, 0);
    facts.output.input_hash = base.input_hash;
    tell_arm(r, 0, &facts);
    for (int a = 1; a < p->n_arms && checkpoint(r) == WHY_NONE; a++) {
        struct runner_output mine = {0};
        if (!r->active[a])
            continue;
        phase(r, a, "verify", (double)a / p->n_arms);
        if (ops->output(r->arm[a], &mine, &e) < 0) {
            if (check(r) == WHY_NONE)
                drop_arm(r, a, status_of(e.kind), e.text);
            continue;
        }
        const struct implementation *ib = &p->arms[0].implementation, *ia = &p->arms[a].implementation;
        facts = *known(r, a);
        if (gate_check(&base, &mine, implementation_same_quality(ib, ia), ia->precision, &facts.output, &e) <
            0)
            snprintf(facts.reason, sizeof facts.reason, "%.*s", (int)sizeof facts.reason - 1, e.text);
        else if (!facts.output.passed)
            snprintf(facts.reason, sizeof facts.reason,
                     "its output differs from the baseline's by %.2g of the rms, %.2g is allowed: it is not "
                     "ranked",
                     facts.output.max_relative_error, facts.output.tolerance);
        tell_arm(r, a, &facts);
        runner_output_free(&mine);
    }
    runner_output_free(&base);
}

/* One number for all arms of the cell, so that decode reads the same positions in every block. */
static void choose_samples_per_block(struct run *r)
{
    const struct preset *p = r->m->preset;
    int most = r->m->plan->samples_per_block;
    if (p->samples_per_block > 0) {
        r->samples_per_block = p->samples_per_block < most ? p->samples_per_block : most;
        return;
    }
    double log_sum = 0;
    int n = 0;
    for (int a = 0; a < p->n_arms; a++) {
        double s = r->n_warmup[a] > 0 ? r->sample_s[a] : r->m->plan->arm[a].sample_s;
        if (r->active[a] && s > 0) {
            log_sum += log(s);
            n++;
        }
    }
    double want = n ? MEASURE_BLOCK_S / exp(log_sum / n) : 1;
    r->samples_per_block = want >= most ? most : want < 1 ? 1 : (int)want;
}

static int grow_rounds(struct run *r, int rounds)
{
    if (rounds <= r->rounds_capacity)
        return 0;
    int capacity = rounds > 2 * r->rounds_capacity ? rounds : 2 * r->rounds_capacity;
    double *scratch = realloc(r->scratch, 3 * (size_t)capacity * sizeof *scratch);
    if (!scratch)
        return -1;
    r->scratch = scratch;
    for (int a = 0; a < r->m->preset->n_arms; a++) {
        double *mean = realloc(r->mean[a], (size_t)capacity * sizeof *mean);
        if (!mean)
            return -1;
        for (int i = r->rounds_capacity; i < capacity; i++)
            mean[i] = (double)NAN;
        r->mean[a] = mean;
    }
    r->rounds_capacity = capacity;
    return 0;
}

static void close_block(struct run *r, struct block *b, int64_t from_ns)
{
    const struct runner_ops *ops = r->m->runner->ops;
    int n = atomic_load_explicit(&b->n, memory_order_relaxed), good = 0;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        if (b->samples[i].device_ns <= 0 || b->samples[i].host_ns <= 0)
            b->flags |= BLOCK_CLOCK_FAULT;
        else {
            sum += (double)b->samples[i].device_ns;
            good++;
        }
    }
    if (n < r->samples_per_block)
        b->flags |= BLOCK_PARTIAL;
    else if (good > 0)
        r->mean[b->arm][b->round] = sum / good;
    b->telemetry = r->host->telemetry(r->host->who, from_ns, monotonic_ns());
    if (b->telemetry.valid & TELEMETRY_CLOCK) {
        r->clock_max = fmax(r->clock_max, b->telemetry.clock_mhz);
        if (!ops->throttled && b->telemetry.clock_mhz < MEASURE_THROTTLED_CLOCK * r->clock_max)
            b->flags |= BLOCK_THROTTLED;
    }
    if (ops->throttled && ops->throttled(r->arm[b->arm]))
        b->flags |= BLOCK_THROTTLED;
    tell(r, LOG_BLOCK_DONE, b->arm, (double)NAN, "", b, 0);
}

/* Fills the block, in one call or, where samples are long, one by one. */
static int fill_block(struct run *r, struct block *b, struct error *e)
{
    const struct runner_ops *ops = r->m->runner->ops;
    struct runner_arm *arm = r->arm[b->arm];
    if (r->sample_s[b->arm] < LONG_SAMPLE_S)
        return ops->run_block(arm, b->capacity, b->samples, &b->n, &r->watch, e);
    for (int i = 0; i < b->capacity; i++) {
        _Atomic int done = 0;
        if (i > 0 && checkpoint(r) != WHY_NONE)
            return error_set(e, ERROR_CANCELLED, "the block was stopped");
        if (ops->run_block(arm, 1, b->samples + i, &done, &r->watch, e) < 0)
            return -1;
        r->alive_ns = now(r);
        atomic_store_explicit(&b->n, i + 1, memory_order_release);
    }
    return 0;
}

/* 0; -1: the arm was dropped, or r->why says what ended the block. */
static int run_block(struct run *r, int a, int round, int position)
{
    const struct runner_ops *ops = r->m->runner->ops;
    struct error e = {0};
    struct block *b = NULL;
    if (ops->reset(r->arm[a], &e) < 0 ||
        !(b = session_new_block(r->m->cell, a, round, position, r->samples_per_block, &e)))
        goto fail;
    b->started_ns = now(r);
    if (r->warmup[a]) { /* the arm's first block takes them over */
        b->warmup = r->warmup[a];
        b->n_warmup = r->n_warmup[a];
        r->warmup[a] = NULL;
        b->flags |= r->unsteady[a] ? BLOCK_WARMUP_NOT_STEADY : 0;
    }
    r->alive_ns = now(r);
    r->watchdog_s = fmax(MEASURE_WATCHDOG_S, 100 * r->sample_s[a]);
    tell(r, LOG_BLOCK, a, (double)NAN, "", b, 0);
    int64_t from_ns = monotonic_ns();
    int rc = fill_block(r, b, &e);
    r->watchdog_s = 0;
    close_block(r, b, from_ns);
    if (rc == 0)
        return 0;
fail:
    if (r->why == WHY_NONE)
        drop_arm(r, a, status_of(e.kind), e.text);
    return -1;
}

__attribute__((format(printf, 4, 5))) static void end_cell(struct run *r, enum cell_status status,
                                                           enum stop_rule rule, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    r->out->status = status;
    vsnprintf(r->out->reason, sizeof r->out->reason, format, args);
    snprintf(r->out->stop_rule, sizeof r->out->stop_rule, "%s", stop_rule_names[rule]);
    va_end(args);
}

/* Something other than the stop rule ended the cell after `rounds` whole rounds. */
static void end_early(struct run *r, int rounds)
{
    int planned = r->out->rounds_planned;
    bool whole = rounds >= planned;
    switch (r->why) {
    case WHY_NONE: /* the baseline was dropped */
        end_cell(r, known(r, 0)->status, STOP_NOT, "%s", known(r, 0)->reason);
        break;
    case WHY_STOP:
    case WHY_SKIP:
        if (whole)
            end_cell(r, CELL_OK, STOP_USER, "%s", "");
        else
            end_cell(r, r->why == WHY_STOP ? CELL_STOPPED : CELL_SKIPPED, STOP_USER,
                     "%s by the user after %d of %d rounds", r->why == WHY_STOP ? "stopped" : "skipped",
                     rounds, planned);
        break;
    case WHY_BUDGET:
        end_cell(r, rounds >= 2 || whole ? CELL_OK : CELL_STOPPED, STOP_BUDGET,
                 "the time budget ended after %d of %d rounds: give it more time or fewer cells", rounds,
                 planned);
        break;
    case WHY_HUNG:
        end_cell(r, CELL_FAILED, STOP_NOT, "no sample was completed for %.0f s: the device hangs",
                 (double)(now(r) - r->alive_ns) / 1e9);
        break;
    }
}

static void bound_left(struct run *r, int64_t start, double rounds, int planned, int cap)
{
    bool extends = r->m->preset->half_width > 0 && cap > planned;
    double left = (extends ? cap : planned) - rounds;
    r->host->left(r->host->who, left * (double)(now(r) - start) / 1e9 / rounds);
}

/* Rounds in balanced random order until the rule says stop. */
static void run_rounds(struct run *r)
{
    const struct preset *p = r->m->preset;
    int list[PRESET_ARMS], order[SCHEDULE_ARMS_MAX], n = 0, cap = p->max_rounds;
    for (int a = 0; a < p->n_arms; a++)
        if (r->active[a])
            list[n++] = a;
    int64_t start = now(r);
    for (int round = 0;; round++) {
        if (grow_rounds(r, round + 1) < 0) {
            end_cell(r, CELL_FAILED, STOP_NOT,
                     "no memory for the block means of %d rounds: close other programs", round + 1);
            return;
        }
        schedule_round(p->seed, r->m->cell, n, round, order);
        for (int i = 0; i < n; i++) {
            int a = list[order[i]];
            if (checkpoint(r) != WHY_NONE) {
                end_early(r, round);
                return;
            }
            if (!r->active[a])
                continue; /* dropped since the schedule was made: the others keep their places */
            phase(r, a, "measure", fmin(1, (round + (double)i / n) / r->out->rounds_planned));
            run_block(r, a, round, i);
            if (r->why != WHY_NONE || !r->active[0]) {
                end_early(r, round);
                return;
            }
            bound_left(r, start, round + (i + 1.0) / n, r->out->rounds_planned, cap);
        }
        r->out->rounds_planned += r->host->more_rounds(r->host->who);
        struct stop_state s = {.rounds = round + 1,
                               .planned = r->out->rounds_planned,
                               .cap = cap,
                               .half_width = (double)NAN,
                               .target = p->half_width,
                               .share_used = r->share_ns && now(r) > r->share_ns};
        if (s.rounds >= s.planned && s.cap > s.planned && s.target > 0)
            s.half_width = stop_half_width(r->mean, p->n_arms, s.rounds, p->confidence, r->scratch);
        enum stop_rule rule = stop_decide(&s);
        if (rule == STOP_BUDGET) {
            r->why = WHY_BUDGET;
            end_early(r, round + 1);
            return;
        }
        if (rule != STOP_NOT) {
            end_cell(r, CELL_OK, rule, "%s", "");
            return;
        }
    }
}

/* The facts that are known at the end, for every arm that took part. */
static void finish_arms(struct run *r)
{
    const struct runner_ops *ops = r->m->runner->ops;
    for (int a = 0; a < r->m->preset->n_arms; a++) {
        if (!r->active[a])
            continue;
        struct session_arm facts = *known(r, a);
        ops->memory(r->arm[a], &facts.measured);
        facts.has_measured = true;
        facts.status = r->out->status;
        tell_arm(r, a, &facts);
    }
}

/* Outputs are compared after the warm-up: the first pass of an arm is its cold start, and is measured. */
static void run_cell(struct run *r)
{
    int n_arms = r->m->preset->n_arms;
    for (int a = 0; a < n_arms; a++) {
        if (checkpoint(r) == WHY_NONE)
            prepare_arm(r, a);
        if (r->why != WHY_NONE || !r->active[0]) {
            end_early(r, 0);
            return;
        }
    }
    for (int a = 0; a < n_arms; a++) {
        if (!r->active[a])
            continue;
        r->watchdog_s = fmax(MEASURE_WATCHDOG_S, 100 * r->m->plan->arm[a].sample_s);
        r->alive_ns = now(r);
        warm_arm(r, a);
        r->watchdog_s = 0;
        if (r->why != WHY_NONE || !r->active[0]) {
            end_early(r, 0);
            return;
        }
    }
    verify(r);
    if (r->why != WHY_NONE || !r->active[0]) {
        end_early(r, 0);
        return;
    }
    choose_samples_per_block(r);
    run_rounds(r);
}

void measure_cell(const struct measure_cell *m, const struct measure_host *host, struct session_cell *out)
{
    struct run r = {.m = m,
                    .host = host,
                    .out = out,
                    .share_ns = m->share_ns,
                    .deadline_ns = m->deadline_ns,
                    .fraction = -1};
    r.watch = (struct runner_watch){&r, watch_progress, watch_cancelled};
    out->rounds_planned = m->preset->rounds;
    run_cell(&r);
    finish_arms(&r);
    for (int a = 0; a < m->preset->n_arms; a++) {
        if (r.arm[a])
            m->runner->ops->release(r.arm[a]);
        free(r.warmup[a]);
        free(r.mean[a]);
    }
    free(r.scratch);
}
