#include "engine/engine_internal.h"
#include "engine/resume.h"
#include "engine/spend.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- cells that are not measured --- */

static void tell_done(struct engine *g, int cell, struct session_cell done)
{
    done.arm = NULL; /* readers have their own */
    done.n_arms = 0;
    engine_tell_plain(g, LOG_CELL_DONE, cell, (double)NAN, "", &done, sizeof done);
}

static void close_cell(struct engine *g, int cell, enum cell_status status, const char *stop_rule,
                       const char *reason)
{
    struct session_cell c = g->session.cell[cell];
    c.status = status;
    snprintf(c.reason, sizeof c.reason, "%s", reason);
    snprintf(c.stop_rule, sizeof c.stop_rule, "%s", stop_rule);
    tell_done(g, cell, c);
}

/* The first cell before `cell` of the same row, no larger in batch nor sequence, whose arm ran out of memory.
 */
static int smaller_without_memory(const struct session *s, int cell, int arm)
{
    const struct session_cell *c = &s->cell[cell];
    for (int j = 0; j < cell; j++) {
        const struct session_cell *o = &s->cell[j];
        if (resume_same_row(c, o) && o->batch <= c->batch && o->seq <= c->seq &&
            o->arm[arm].status == CELL_OUT_OF_MEMORY)
            return j;
    }
    return -1;
}

static void tell_responses(struct engine *g, const struct log_entry *of, const struct session_responses *r)
{
    struct log_entry entry = *of;
    struct session_responses *copy = r ? quality_copy_responses(r) : NULL;
    if (!copy && r)
        engine_message(g, "no memory for the responses of the resumed session: close other programs");
    if (!copy)
        return;
    entry.kind = LOG_RESPONSES;
    entry.payload = copy;
    engine_tell(g, &entry, 0);
}

/* A cell that the resumed session has whole is told again as it was. */
static bool keep_cell(struct engine *g, int cell)
{
    const struct session_cell *old = g->resume ? resume_find(g->resume, &g->session.cell[cell]) : NULL;
    if (!old)
        return false;
    struct error e = {0};
    for (int a = 0; a < old->n_arms; a++) {
        struct session_arm facts = old->arm[a];
        facts.blocks = NULL;
        facts.responses = NULL;
        facts.n_blocks = facts.blocks_capacity = 0;
        struct log_entry entry = {.kind = LOG_ARM,
                                  .cell = cell,
                                  .arm = a,
                                  .time_ns = engine_now_ns(g),
                                  .value = (double)NAN,
                                  .payload = &facts};
        engine_tell(g, &entry, sizeof facts);
        tell_responses(g, &entry, old->arm[a].responses);
        for (int i = 0; i < old->arm[a].n_blocks; i++) {
            struct block *b = resume_copy_block(old->arm[a].blocks[i], cell, &e);
            if (!b) {
                engine_message(g, e.text);
                continue;
            }
            entry.kind = LOG_BLOCK;
            entry.payload = b;
            engine_tell(g, &entry, 0);
            entry.kind = LOG_BLOCK_DONE;
            engine_tell(g, &entry, 0);
        }
    }
    tell_done(g, cell, *old);
    return true;
}

/* --- the run --- */

static void run_cell(struct engine *g, struct runner *runner, int cell)
{
    const struct plan_cell *plan = &g->plan.cell[cell];
    const struct session_cell *c = &g->session.cell[cell];
    struct measure_host host = engine_host(g);
    struct measure_cell m = {.runner = runner,
                             .preset = &g->preset,
                             .model = &g->plan.model[plan->model],
                             .plan = plan,
                             .session = &g->session,
                             .cell = cell,
                             .deadline_ns = g->deadline_ns};
    char reason[PRESET_ARMS][160];
    for (int a = 0; a < c->n_arms; a++) {
        int j = smaller_without_memory(&g->session, cell, a);
        if (j < 0)
            continue;
        const struct session_cell *o = &g->session.cell[j];
        snprintf(reason[a], sizeof reason[a], "batch %d, seq %d ran out of memory, and this cell is larger",
                 o->batch, o->seq);
        m.refused[a] = reason[a];
    }
    if (m.refused[0]) {
        close_cell(g, cell, CELL_SKIPPED, "", m.refused[0]);
        return;
    }
    int64_t start = engine_now_ns(g);
    if (g->deadline_ns) {
        /* By prediction, but no less than half of an equal part: what was predicted too short (a workload
         * on the host, a busy machine) is not cut off while there is time. What it leaves goes to the next.
         */
        double share = fmax(plan->time_s / fmax(plan->time_s + g->planned_left_s, 1e-9),
                            0.5 / (g->session.n_cells - cell));
        m.share_ns = start + (int64_t)((double)(g->deadline_ns - start) * share);
    }
    struct session_cell done = *c;
    measure_cell(&m, &host, &done);
    tell_done(g, cell, done);
    g->measured_s += (double)(engine_now_ns(g) - start) / 1e9;
    g->predicted_s += plan->time_s;
}

static void visit_cell(struct engine *g, struct runner *runner, const struct spend_visit *v)
{
    const struct plan_cell *plan = &g->plan.cell[v->cell];
    struct measure_host host = engine_host(g);
    struct measure_cell m = {.runner = runner,
                             .preset = &g->preset,
                             .model = &g->plan.model[plan->model],
                             .plan = plan,
                             .session = &g->session,
                             .cell = v->cell,
                             .share_ns = g->spend_end_ns,
                             .deadline_ns = g->deadline_ns,
                             .first_round = v->first_round,
                             .visit_rounds = v->rounds,
                             .visit = v->first_round, /* a number of its own, after a resumed session too */
                             .goal = v->goal};
    struct session_cell done = g->session.cell[v->cell];
    engine_tell_plain(g, LOG_CELL_STARTED, v->cell, (double)NAN, "", NULL, 0);
    measure_cell(&m, &host, &done);
    done.rounds_planned = spend_whole_rounds(&g->session.cell[v->cell]); /* a round cut short is none */
    tell_done(g, v->cell, done);
}

/* What is left of the time budget goes to the cells that need it, in visits. */
static void spend_time(struct engine *g, struct runner *runner)
{
    int n = g->session.n_cells;
    bool *closed = calloc((size_t)n + 1, sizeof *closed);
    struct spend_visit v;
    while (closed && !atomic_load(&g->stop)) {
        int64_t end = g->deadline_ns && g->deadline_ns < g->spend_end_ns ? g->deadline_ns : g->spend_end_ns;
        if (!spend_next(&g->session, closed, (double)(end - engine_now_ns(g)) / 1e9, &v))
            break;
        atomic_store(&g->skip, false);
        visit_cell(g, runner, &v);
        /* skipped by the user, or no longer to be had */
        closed[v.cell] =
            spend_whole_rounds(&g->session.cell[v.cell]) <= v.first_round || atomic_load(&g->skip);
    }
    free(closed);
}

void engine_run_cells(struct engine *g, struct runner *runner)
{
    for (int i = 0; i < g->session.n_cells; i++) {
        const struct plan_cell *plan = &g->plan.cell[i];
        g->planned_left_s -= plan->time_s;
        atomic_store(&g->skip, false);
        atomic_store(&g->more, 0);
        atomic_store(&g->dropped, 0);
        engine_host_pause(g);
        engine_tell_plain(g, LOG_CELL_STARTED, i, (double)NAN, "", NULL, 0);
        if (keep_cell(g, i))
            continue;
        if (atomic_load(&g->stop))
            close_cell(g, i, CELL_STOPPED, "user", "stopped by the user before it began");
        else if (g->deadline_ns && engine_now_ns(g) > g->deadline_ns)
            close_cell(g, i, CELL_STOPPED, "budget",
                       "the time budget ended before it began: give it more time");
        else if (!plan->supported)
            close_cell(g, i, CELL_UNSUPPORTED, "", plan->reason);
        else if (!plan->fits)
            close_cell(g, i, CELL_OUT_OF_MEMORY, "", plan->reason);
        else
            run_cell(g, runner, i);
    }
    if (g->spend_end_ns)
        spend_time(g, runner);
}
