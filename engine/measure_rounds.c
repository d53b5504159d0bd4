#include "engine/clock.h"
#include "engine/measure_internal.h"
#include "engine/nvml.h"
#include "engine/schedule.h"
#include "engine/stop.h"
#include "stats/stats.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Samples longer than this are asked for one by one, so that a pause need not wait for a whole block. */
#define LONG_SAMPLE_S 0.1

void measure_choose_samples(struct measure_run *r)
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

static int grow_rounds(struct measure_run *r, int rounds)
{
    if (rounds <= r->rounds_capacity)
        return 0;
    int capacity = rounds > 2 * r->rounds_capacity ? rounds : 2 * r->rounds_capacity;
    double *scratch = realloc(r->scratch, (size_t)capacity * sizeof *scratch);
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

/* Of the samples without a clock fault, in ns; NAN where there is none. */
static double block_mean(const struct block *b, int n)
{
    double sum = 0;
    int good = 0;
    for (int i = 0; i < n; i++)
        if (b->samples[i].device_ns > 0 && b->samples[i].host_ns > 0) {
            sum += (double)b->samples[i].device_ns;
            good++;
        }
    return good > 0 ? sum / good : (double)NAN;
}

static void close_block(struct measure_run *r, struct block *b, int64_t from_ns)
{
    const struct runner_ops *ops = r->m->runner->ops;
    int n = atomic_load_explicit(&b->n, memory_order_relaxed);
    for (int i = 0; i < n; i++)
        if (b->samples[i].device_ns <= 0 || b->samples[i].host_ns <= 0)
            b->flags |= BLOCK_CLOCK_FAULT;
    if (n < r->samples_per_block)
        b->flags |= BLOCK_PARTIAL;
    else
        r->mean[b->arm][b->round] = block_mean(b, n);
    b->telemetry = r->host->telemetry(r->host->who, from_ns, clock_ns());
    if (ops->renew) /* they are this process's, and the block ran in another */
        b->telemetry.valid &= ~(unsigned)(TELEMETRY_LOAD | TELEMETRY_MEMORY);
    if (b->telemetry.valid & TELEMETRY_CLOCK) {
        r->clock_max = fmax(r->clock_max, b->telemetry.clock_mhz);
        if (!ops->throttled && b->telemetry.clock_mhz < MEASURE_THROTTLED_CLOCK * r->clock_max)
            b->flags |= BLOCK_THROTTLED;
    }
    if (b->telemetry.valid & TELEMETRY_REASONS && b->telemetry.reasons & NVML_THROTTLES)
        b->flags |= BLOCK_THROTTLED;
    if (ops->throttled && ops->throttled(r->arm[b->arm]))
        b->flags |= BLOCK_THROTTLED;
    measure_tell(r, LOG_BLOCK_DONE, b->arm, (double)NAN, "", b, 0);
}

/* Fills the block, in one call or, where samples are long, one by one. */
static int fill_block(struct measure_run *r, struct block *b, struct error *e)
{
    const struct runner_ops *ops = r->m->runner->ops;
    struct runner_arm *arm = r->arm[b->arm];
    if (r->sample_s[b->arm] < LONG_SAMPLE_S)
        return ops->run_block(arm, b->capacity, b->samples, &b->n, &r->watch, e);
    for (int i = 0; i < b->capacity; i++) {
        _Atomic int done = 0;
        if (i > 0 && measure_checkpoint(r) != MEASURE_WHY_NONE)
            return error_set(e, ERROR_CANCELLED, "the block was stopped");
        if (ops->run_block(arm, 1, b->samples + i, &done, &r->watch, e) < 0)
            return -1;
        r->alive_ns = measure_now(r);
        atomic_store_explicit(&b->n, i + 1, memory_order_release);
    }
    return 0;
}

/* A process of its own for the next block, warm. */
static int renew(struct measure_run *r, int a, int round, struct error *e)
{
    if (r->m->runner->ops->renew(r->arm[a], round, &r->watch, e) < 0)
        return -1;
    r->again = true;
    r->alive_ns = measure_now(r);
    r->watchdog_s = fmax(MEASURE_WATCHDOG_S, 100 * r->sample_s[a]);
    int rc = measure_warm_arm(r, a);
    r->watchdog_s = 0;
    r->again = false;
    return rc;
}

/* 0; -1: the arm was dropped, or r->why says what ended the block. */
static int run_block(struct measure_run *r, int a, int round, int position)
{
    const struct runner_ops *ops = r->m->runner->ops;
    struct error e = {0};
    struct block *b = NULL;
    if (ops->renew) {
        if (renew(r, a, round, &e) < 0)
            goto fail;
        if (!r->active[a])
            return -1; /* it failed while it was warmed, and was dropped */
    }
    if (ops->reset(r->arm[a], &e) < 0 ||
        !(b = session_new_block(r->m->cell, a, round, position, r->samples_per_block, &e)))
        goto fail;
    b->started_ns = measure_now(r);
    if (r->warmup[a]) { /* the arm's first block takes them over */
        b->warmup = r->warmup[a];
        b->n_warmup = r->n_warmup[a];
        r->warmup[a] = NULL;
        b->flags |= r->unsteady[a] ? BLOCK_WARMUP_NOT_STEADY : 0;
    }
    r->alive_ns = measure_now(r);
    r->watchdog_s = fmax(MEASURE_WATCHDOG_S, 100 * r->sample_s[a]);
    measure_tell(r, LOG_BLOCK, a, (double)NAN, "", b, 0);
    int64_t from_ns = clock_ns();
    int rc = fill_block(r, b, &e);
    r->watchdog_s = 0;
    close_block(r, b, from_ns);
    if (rc == 0)
        return 0;
fail:
    if (r->why == MEASURE_WHY_NONE && r->active[a])
        measure_drop_arm(r, a, measure_status_of(e.kind), e.text);
    return -1;
}

__attribute__((format(printf, 4, 5))) static void end_cell(struct measure_run *r, enum cell_status status,
                                                           enum stop_rule rule, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    r->out->status = status;
    vsnprintf(r->out->reason, sizeof r->out->reason, format, args);
    snprintf(r->out->stop_rule, sizeof r->out->stop_rule, "%s", stop_rule_names[rule]);
    va_end(args);
}

int measure_recall(struct measure_run *r)
{
    if (grow_rounds(r, r->m->first_round) < 0) {
        measure_abandon(r);
        return -1;
    }
    for (int a = 0; a < r->m->preset->n_arms; a++) {
        const struct session_arm *arm = measure_known(r, a);
        for (int i = 0; i < arm->n_blocks; i++) {
            const struct block *b = arm->blocks[i];
            if (b->telemetry.valid & TELEMETRY_CLOCK)
                r->clock_max = fmax(r->clock_max, b->telemetry.clock_mhz);
            if ((b->flags & BLOCK_PARTIAL) || b->round >= r->m->first_round)
                continue;
            r->samples_per_block = b->capacity;
            r->mean[a][b->round] = block_mean(b, b->n);
        }
    }
    return 0;
}

void measure_abandon(struct measure_run *r)
{
    end_cell(r, CELL_OK, STOP_SPENT, "it could not be measured further%s%s", r->lost[0] ? ": " : "", r->lost);
}

void measure_end_early(struct measure_run *r, int rounds)
{
    int planned = r->out->rounds_planned;
    bool whole = rounds >= planned;
    if (r->m->first_round > 0) { /* a visit ends with the rounds that are whole */
        r->out->rounds_planned = rounds;
        if (r->why == MEASURE_WHY_NONE || r->why == MEASURE_WHY_HUNG)
            measure_abandon(r);
        else
            end_cell(r, CELL_OK, r->why == MEASURE_WHY_BUDGET ? STOP_BUDGET : STOP_USER, "%s", "");
        return;
    }
    switch (r->why) {
    case MEASURE_WHY_NONE: /* the baseline was dropped */
        end_cell(r, measure_known(r, 0)->status, STOP_NOT, "%s", measure_known(r, 0)->reason);
        break;
    case MEASURE_WHY_STOP:
    case MEASURE_WHY_SKIP:
        if (whole)
            end_cell(r, CELL_OK, STOP_USER, "%s", "");
        else
            end_cell(r, r->why == MEASURE_WHY_STOP ? CELL_STOPPED : CELL_SKIPPED, STOP_USER,
                     "%s by the user after %d of %d rounds",
                     r->why == MEASURE_WHY_STOP ? "stopped" : "skipped", rounds, planned);
        break;
    case MEASURE_WHY_BUDGET:
        end_cell(r, rounds >= 2 || whole ? CELL_OK : CELL_STOPPED, STOP_BUDGET,
                 "the time budget ended after %d of %d rounds: give it more time or fewer cells", rounds,
                 planned);
        break;
    case MEASURE_WHY_HUNG:
        end_cell(r, CELL_FAILED, STOP_NOT, "no sample was completed for %.0f s: the device hangs",
                 (double)(measure_now(r) - r->alive_ns) / 1e9);
        break;
    }
}

static void bound_left(struct measure_run *r, int64_t start, double rounds, int planned, int cap)
{
    bool extends = r->m->preset->half_width > 0 && cap > planned;
    double left = (extends ? cap : planned) - rounds;
    r->host->left(r->host->who, left * (double)(measure_now(r) - start) / 1e9 / rounds);
}

/* A decision ends the cell before Holm has seen the others, so it must hold in the family of all comparisons
 * of the run: Bonferroni's bound. */
static double watch_confidence(const struct measure_run *r)
{
    int family = r->m->session->n_cells * (r->m->preset->n_arms - 1);
    return 1 - (1 - r->m->preset->confidence) / (family > 1 ? family : 1);
}

static struct stop_state stop_state_of(const struct measure_run *r, int rounds)
{
    const struct preset *p = r->m->preset;
    bool visit = r->m->first_round > 0;
    struct stop_question q = {.mean = r->mean,
                              .arms = p->n_arms,
                              .rounds = rounds,
                              .planned = p->rounds,
                              .confidence = p->confidence,
                              .margin = p->margin,
                              .watch = p->watch,
                              .scratch = r->scratch};
    struct stop_state s = {.rounds = rounds,
                           .planned = r->out->rounds_planned,
                           /* with time to spend, the scheduler extends */
                           .cap = p->time_budget_s > 0 && !visit ? r->out->rounds_planned : p->max_rounds,
                           .half_width = (double)NAN,
                           .target = p->half_width,
                           .share_used = r->share_ns && measure_now(r) > r->share_ns,
                           .watched = p->watch};
    if (visit) {
        s.cap = p->max_rounds;
        s.target = r->m->goal;
        s.visit_end = r->m->first_round + r->m->visit_rounds;
        s.half_width = stop_half_width(&q);
    } else if (s.rounds >= s.planned && s.cap > s.planned && s.target > 0 && !s.watched) {
        s.half_width = stop_half_width(&q);
    }
    if (s.watched && rounds >= STOP_WATCH_ROUNDS) {
        q.confidence = watch_confidence(r);
        s.decided = stop_is_decided(&q);
    }
    return s;
}

/* Arms the user has seen enough of. false: no candidate is left. */
static bool drop_asked(struct measure_run *r, int rounds)
{
    unsigned asked = r->host->dropped(r->host->who);
    bool left = r->m->preset->n_arms == 1;
    for (int a = 1; a < r->m->preset->n_arms; a++) {
        if (asked >> a & 1u && r->active[a]) {
            char reason[96];
            snprintf(reason, sizeof reason, "dropped by the user after %d of %d rounds", rounds,
                     r->out->rounds_planned);
            measure_drop_arm(r, a, CELL_STOPPED, reason);
        }
        left |= r->active[a];
    }
    return left || asked == 0;
}

void measure_rounds(struct measure_run *r)
{
    const struct preset *p = r->m->preset;
    int list[PRESET_ARMS], order[SCHEDULE_ARMS_MAX], n = 0, cap = p->max_rounds;
    for (int a = 0; a < p->n_arms; a++)
        if (r->active[a])
            list[n++] = a;
    int64_t start = measure_now(r);
    for (int round = r->m->first_round;; round++) {
        if (grow_rounds(r, round + 1) < 0) {
            end_cell(r, CELL_FAILED, STOP_NOT,
                     "no memory for the block means of %d rounds: close other programs", round + 1);
            return;
        }
        schedule_round(p->seed, r->m->cell, n, round, order);
        for (int i = 0; i < n; i++) {
            int a = list[order[i]];
            if (measure_checkpoint(r) != MEASURE_WHY_NONE) {
                measure_end_early(r, round);
                return;
            }
            if (!r->active[a])
                continue; /* dropped since the schedule was made: the others keep their places */
            measure_phase(r, a, "measure", fmin(1, (round + (double)i / n) / r->out->rounds_planned));
            run_block(r, a, round, i);
            if (r->why != MEASURE_WHY_NONE || !r->active[0]) {
                measure_end_early(r, round);
                return;
            }
            if (r->m->first_round == 0)
                bound_left(r, start, round + (i + 1.0) / n, r->out->rounds_planned, cap);
        }
        r->out->rounds_planned += r->host->more_rounds(r->host->who);
        if (!drop_asked(r, round + 1)) {
            r->why = MEASURE_WHY_SKIP;
            measure_end_early(r, round + 1);
            return;
        }
        struct stop_state s = stop_state_of(r, round + 1);
        enum stop_rule rule = stop_decide(&s);
        if (rule == STOP_BUDGET) {
            r->why = MEASURE_WHY_BUDGET;
            measure_end_early(r, round + 1);
            return;
        }
        if (r->m->first_round > 0)
            r->out->rounds_planned = round + 1;
        if (rule != STOP_NOT) {
            end_cell(r, CELL_OK, rule, "%s", "");
            return;
        }
    }
}
