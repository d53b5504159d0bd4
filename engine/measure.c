#include "engine/gate.h"
#include "engine/measure_internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t measure_now(const struct measure_run *r)
{
    return r->m->runner->ops->now_ns(r->m->runner);
}

void measure_tell(struct measure_run *r, enum log_kind kind, int arm, double value, const char *text,
                  const void *payload, size_t size)
{
    struct log_entry entry = {.kind = kind,
                              .cell = r->m->cell,
                              .arm = arm,
                              .time_ns = measure_now(r),
                              .value = value,
                              .payload = payload};
    snprintf(entry.text, sizeof entry.text, "%s", text);
    r->host->tell(r->host->who, &entry, size);
}

const struct session_arm *measure_known(const struct measure_run *r, int arm)
{
    return &r->m->session->cell[r->m->cell].arm[arm];
}

void measure_tell_arm(struct measure_run *r, int arm, struct session_arm *facts)
{
    facts->blocks = NULL; /* readers have their own */
    facts->responses = NULL;
    facts->n_blocks = facts->blocks_capacity = 0;
    measure_tell(r, LOG_ARM, arm, (double)NAN, "", facts, sizeof *facts);
}

void measure_phase(struct measure_run *r, int arm, const char *what, double fraction)
{
    if (strcmp(what, r->phase) == 0 && fabs(fraction - r->fraction) < 0.01)
        return;
    snprintf(r->phase, sizeof r->phase, "%s", what);
    r->fraction = fraction;
    measure_tell(r, LOG_PHASE, arm, fraction, what, NULL, 0);
}

/* What ends a call between samples, and why. Sticky: the first reason stays. */
static enum measure_why check(struct measure_run *r)
{
    if (r->why != MEASURE_WHY_NONE)
        return r->why;
    enum measure_order order = r->host->order(r->host->who);
    if (order == MEASURE_STOP)
        r->why = MEASURE_WHY_STOP;
    else if (order == MEASURE_SKIP)
        r->why = MEASURE_WHY_SKIP;
    else if (r->deadline_ns && measure_now(r) > r->deadline_ns)
        r->why = MEASURE_WHY_BUDGET;
    else if (r->watchdog_s > 0 && (double)(measure_now(r) - r->alive_ns) > 1e9 * r->watchdog_s)
        r->why = MEASURE_WHY_HUNG;
    return r->why;
}

static bool watch_cancelled(void *who)
{
    return check(who) != MEASURE_WHY_NONE;
}

static void watch_progress(void *who, const char *what, double fraction)
{
    struct measure_run *r = who;
    r->alive_ns = measure_now(r);
    measure_phase(r, -1, what, fraction);
}

enum measure_why measure_checkpoint(struct measure_run *r)
{
    int64_t waited = r->host->pause(r->host->who);
    r->share_ns += r->share_ns ? waited : 0;
    r->deadline_ns += r->deadline_ns ? waited : 0;
    r->alive_ns = measure_now(r);
    return check(r);
}

enum cell_status measure_status_of(enum error_kind kind)
{
    return kind == ERROR_UNSUPPORTED ? CELL_UNSUPPORTED
           : kind == ERROR_MEMORY    ? CELL_OUT_OF_MEMORY
           : kind == ERROR_CANCELLED ? CELL_STOPPED
                                     : CELL_FAILED;
}

void measure_drop_arm(struct measure_run *r, int arm, enum cell_status status, const char *reason)
{
    if (r->m->first_round > 0) { /* what it measured before stands */
        snprintf(r->lost, sizeof r->lost, "%.60s: %.90s", measure_known(r, arm)->name, reason);
        if (r->arm[arm])
            r->m->runner->ops->release(r->arm[arm]);
        r->arm[arm] = NULL;
        r->active[arm] = false;
        return;
    }
    struct session_arm facts = *measure_known(r, arm);
    facts.status = status;
    snprintf(facts.reason, sizeof facts.reason, "%s", reason);
    measure_tell_arm(r, arm, &facts);
    if (r->arm[arm])
        r->m->runner->ops->release(r->arm[arm]);
    r->arm[arm] = NULL;
    r->active[arm] = false;
}

static void prepare_arm(struct measure_run *r, int a)
{
    const struct measure_cell *m = r->m;
    const struct plan_arm *plan = &m->plan->arm[a];
    if (!plan->supported) {
        measure_drop_arm(r, a, CELL_UNSUPPORTED, plan->reason);
        return;
    }
    if (!plan->fits || m->refused[a]) {
        measure_drop_arm(r, a, CELL_OUT_OF_MEMORY, plan->fits ? m->refused[a] : plan->reason);
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
                               .visit = m->visit,
                               .round = m->first_round,
                               .arm_name = m->preset->arms[a].name,
                               .seed = m->preset->seed,
                               .text = m->preset->text,
                               .texts = m->preset->texts,
                               .sampling = m->preset->sampling,
                               .quality_tokens = m->preset->quality_tokens,
                               .shortest = m->preset->shortest};
    struct session_arm facts = *measure_known(r, a);
    struct error e = {0};
    int64_t load_ns = 0;
    measure_phase(r, a, "weights", 0);
    r->arm[a] = m->runner->ops->prepare(m->runner, &q, &r->watch, &load_ns, &e);
    if (!r->arm[a]) {
        measure_drop_arm(r, a, measure_status_of(e.kind), e.text);
        return;
    }
    r->active[a] = true;
    if (m->first_round > 0)
        return;
    snprintf(facts.reason, sizeof facts.reason, "%s", plan->reason);
    facts.predicted = plan->memory;
    facts.load_ns = load_ns;
    facts.status = CELL_RUNNING;
    m->runner->ops->work(r->arm[a], &facts.work);
    if (m->runner->ops->graph)
        m->runner->ops->graph(r->arm[a], &facts.graph);
    measure_tell_arm(r, a, &facts);
}

static void verify(struct measure_run *r)
{
    const struct runner_ops *ops = r->m->runner->ops;
    const struct preset *p = r->m->preset;
    struct runner_output base = {0};
    struct error e = {0};
    measure_phase(r, 0, "verify", 0);
    if (ops->output(r->arm[0], &base, &e) < 0) {
        if (check(r) == MEASURE_WHY_NONE)
            measure_drop_arm(r, 0, measure_status_of(e.kind), e.text);
        return;
    }
    struct session_arm facts = *measure_known(r, 0);
    facts.output.input_hash = base.input_hash;
    measure_tell_arm(r, 0, &facts);
    for (int a = 1; a < p->n_arms && measure_checkpoint(r) == MEASURE_WHY_NONE; a++) {
        struct runner_output mine = {0};
        if (!r->active[a])
            continue;
        measure_phase(r, a, "verify", (double)a / p->n_arms);
        if (ops->output(r->arm[a], &mine, &e) < 0) {
            if (check(r) == MEASURE_WHY_NONE)
                measure_drop_arm(r, a, measure_status_of(e.kind), e.text);
            continue;
        }
        const struct implementation *ib = &p->arms[0].implementation, *ia = &p->arms[a].implementation;
        facts = *measure_known(r, a);
        if (strcmp(ib->vocabulary, ia->vocabulary) != 0) { /* other tokens: nothing to hold together */
            runner_output_free(&mine);
            continue;
        }
        if (gate_check(&base, &mine, implementation_same_quality(ib, ia), ia->precision, &facts.output, &e) <
            0)
            snprintf(facts.reason, sizeof facts.reason, "%.*s", (int)sizeof facts.reason - 1, e.text);
        else if (!facts.output.passed)
            snprintf(facts.reason, sizeof facts.reason,
                     "its output differs from the baseline's by %.2g of the rms, %.2g is allowed: it is not "
                     "ranked",
                     facts.output.max_relative_error, facts.output.tolerance);
        measure_tell_arm(r, a, &facts);
        runner_output_free(&mine);
    }
    runner_output_free(&base);
}

/* The facts that are known at the end, for every arm that took part. */
static void finish_arms(struct measure_run *r)
{
    const struct runner_ops *ops = r->m->runner->ops;
    for (int a = 0; a < r->m->preset->n_arms; a++) {
        if (!r->active[a])
            continue;
        struct session_arm facts = *measure_known(r, a);
        ops->memory(r->arm[a], &facts.measured);
        facts.has_measured = true;
        facts.status = r->out->status;
        measure_tell_arm(r, a, &facts);
    }
}

static bool takes_part(const struct measure_run *r, int a)
{
    return r->m->first_round == 0 || measure_known(r, a)->n_blocks > 0;
}

/* Outputs are compared after the warm-up: the first pass of an arm is its cold start, and is measured. */
static void run_cell(struct measure_run *r)
{
    int n_arms = r->m->preset->n_arms, before = r->m->first_round;
    for (int a = 0; a < n_arms; a++) {
        if (measure_checkpoint(r) == MEASURE_WHY_NONE && takes_part(r, a))
            prepare_arm(r, a);
        if (r->why != MEASURE_WHY_NONE || !r->active[0]) {
            measure_end_early(r, before);
            return;
        }
    }
    for (int a = 0; a < n_arms; a++) {
        if (!r->active[a])
            continue;
        r->watchdog_s = fmax(MEASURE_WATCHDOG_S, 100 * r->m->plan->arm[a].sample_s);
        r->alive_ns = measure_now(r);
        measure_warm_arm(r, a);
        r->watchdog_s = 0;
        if (r->why != MEASURE_WHY_NONE || !r->active[0]) {
            measure_end_early(r, before);
            return;
        }
    }
    if (before > 0) {
        if (measure_recall(r) == 0)
            measure_rounds(r);
        return;
    }
    if (r->m->plan->workload != WORKLOAD_TOKENIZE)
        verify(r);
    if (r->why == MEASURE_WHY_NONE && r->active[0])
        measure_worth(r);
    if (r->why != MEASURE_WHY_NONE || !r->active[0]) {
        measure_end_early(r, 0);
        return;
    }
    measure_choose_samples(r);
    measure_rounds(r);
}

void measure_cell(const struct measure_cell *m, const struct measure_host *host, struct session_cell *out)
{
    struct measure_run r = {.m = m,
                            .host = host,
                            .out = out,
                            .share_ns = m->share_ns,
                            .deadline_ns = m->deadline_ns,
                            .fraction = -1};
    r.watch = (struct runner_watch){&r, watch_progress, watch_cancelled};
    out->rounds_planned = m->first_round > 0 ? m->first_round : m->preset->rounds;
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
