#include "engine/history.h"

#include "engine/figure.h"
#include "engine/summary.h"
#include "engine/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void history_free(struct history *t)
{
    free(t->key);
    free(t->point);
    memset(t, 0, sizeof *t);
}

static struct history_key key_of(const struct session *s, int cell, int arm)
{
    const struct session_cell *c = &s->cell[cell];
    struct history_key k = {.workload = c->workload,
                            .batch = c->batch,
                            .seq = c->seq,
                            .tokens = c->tokens,
                            .implementation = c->arm[arm].implementation};
    snprintf(k.model, sizeof k.model, "%s", c->model);
    snprintf(k.arm, sizeof k.arm, "%s", c->arm[arm].name);
    return k;
}

static bool same_key(const struct history_key *a, const struct history_key *b)
{
    return a->batch == b->batch && a->seq == b->seq && a->workload == b->workload && a->tokens == b->tokens &&
           strcmp(a->model, b->model) == 0 && strcmp(a->arm, b->arm) == 0 &&
           implementation_equal(&a->implementation, &b->implementation);
}

static int find(const struct history *t, const struct history_key *key)
{
    for (int i = 0; i < t->n_keys; i++)
        if (same_key(&t->key[i], key))
            return i;
    return -1;
}

int history_find(const struct history *t, const struct session *s, int cell, int arm)
{
    if (cell < 0 || cell >= s->n_cells || arm < 0 || arm >= s->cell[cell].n_arms)
        return -1;
    struct history_key key = key_of(s, cell, arm);
    return find(t, &key);
}

/* Room for one more element; NULL: no memory, nothing changed. */
static void *grown(void *list, int n, int *room, size_t size)
{
    if (n < *room)
        return list;
    int wanted = *room ? 2 * *room : 64;
    void *larger = realloc(list, (size_t)wanted * size);
    if (larger)
        *room = wanted;
    return larger;
}

static int add_point(struct history *t, const struct history_key *key, const struct history_point *at)
{
    int k = find(t, key);
    if (k < 0) {
        struct history_key *keys = grown(t->key, t->n_keys, &t->keys_room, sizeof *keys);
        if (!keys)
            return -1;
        t->key = keys;
        k = t->n_keys++;
        keys[k] = *key;
    }
    struct history_point *points = grown(t->point, t->n_points, &t->points_room, sizeof *points);
    if (!points)
        return -1;
    t->point = points;
    points[t->n_points] = *at;
    points[t->n_points++].key = k;
    return 0;
}

int history_add(struct history *t, const struct session *s, struct error *e)
{
    if (t->n_sessions == HISTORY_SESSIONS)
        return 0;
    int at = t->n_sessions++;
    snprintf(t->session[at].id, sizeof t->session[at].id, "%s", s->id);
    snprintf(t->session[at].started, sizeof t->session[at].started, "%s", s->started);
    snprintf(t->session[at].machine, sizeof t->session[at].machine, "%s %s %s %s %d%s", s->environment.host,
             s->environment.cpu, strcmp(s->preset.device, "cuda") == 0 ? "cuda:0" : s->preset.device,
             s->environment.device, s->environment.threads, s->preset.strict ? " strict" : "");
    for (int c = 0; c < s->n_cells; c++)
        for (int arm = 0; arm < s->cell[c].n_arms; arm++) {
            struct arm_summary a;
            if (summary_arm(s, c, arm, &a) != 0 || a.n == 0)
                continue;
            struct history_key key = key_of(s, c, arm);
            const struct history_point point = {
                .session = at, .mean = a.latency.mean, .low = a.latency.ci.low, .high = a.latency.ci.high};
            if (add_point(t, &key, &point) != 0)
                return error_set(e, ERROR_MEMORY, "no memory for the history: close other programs");
        }
    return 0;
}

int history_gather(const struct session_entry *entry, int n, bool (*watch)(void *who, double fraction),
                   void *who, struct history *out, struct error *e)
{
    int64_t bytes = 0;
    int take = 0;
    memset(out, 0, sizeof *out);
    while (take < n && take < HISTORY_SESSIONS && bytes + entry[take].bytes <= HISTORY_BYTES)
        bytes += entry[take++].bytes;
    out->left_out = n - take;
    for (int i = take - 1; i >= 0; i--) {
        struct session s;
        struct error ignored = {0}, warning = {0};
        if (watch && watch(who, (double)(take - 1 - i) / take)) {
            history_free(out);
            return error_set(e, ERROR_CANCELLED, "cancelled: nothing is shown");
        }
        if (session_load(entry[i].path, &s, &warning, &ignored) != 0) {
            out->unreadable++;
            continue;
        }
        int result = history_add(out, &s, e);
        session_free(&s);
        if (result != 0) {
            history_free(out);
            return -1;
        }
    }
    return 0;
}

int history_richest(const struct history *t)
{
    int best = -1, most = 0;
    for (int k = 0; k < t->n_keys; k++) {
        int n = 0;
        for (int i = 0; i < t->n_points; i++)
            n += t->point[i].key == k;
        if (n > most) {
            most = n;
            best = k;
        }
    }
    return best;
}

static bool look_alike(const struct history_key *a, const struct history_key *b)
{
    return a->batch == b->batch && a->seq == b->seq && a->workload == b->workload &&
           strcmp(a->model, b->model) == 0 && strcmp(a->arm, b->arm) == 0;
}

static bool differ_in(const struct history_key *a, const struct history_key *b, int axis)
{
    char x[160], y[160];
    implementation_get(&a->implementation, axis, x, sizeof x);
    implementation_get(&b->implementation, axis, y, sizeof y);
    return strcmp(x, y) != 0;
}

void history_axes(const struct history *t, int key, char *out, size_t size)
{
    const struct history_key *k = &t->key[key];
    struct text words = text_in(out, size);
    for (int axis = -1; axis < implementation_n_axes; axis++) {
        bool differs = false;
        for (int i = 0; i < t->n_keys && !differs; i++)
            if (i != key && look_alike(k, &t->key[i]))
                differs = axis < 0 ? k->tokens != t->key[i].tokens : differ_in(k, &t->key[i], axis);
        if (!differs)
            continue;
        const char *name = axis < 0 ? "" : implementation_axes[axis].name;
        char value[160];
        if (axis >= 0)
            implementation_get(&k->implementation, axis, value, sizeof value);
        else
            snprintf(value, sizeof value, "%d tokens", k->tokens);
        /* "none", "int8", "0" and "standard" say nothing without their axis. */
        bool bare = axis < 0 || (implementation_axes[axis].values && !implementation_axes[axis].is_mask &&
                                 axis != IMPLEMENTATION_ACTIVATIONS);
        text_format(&words, "%s%s%s%s", words.n ? " " : "", bare ? "" : name, bare ? "" : " ", value);
    }
}

void history_name(const struct history *t, int key, char *out, size_t size)
{
    const struct history_key *k = &t->key[key];
    char axes[192];
    history_axes(t, key, axes, sizeof axes);
    snprintf(out, size, "%s%s%s%s \xc2\xb7 %s %s \xc2\xb7 batch %d \xc2\xb7 seq %d", k->arm,
             axes[0] ? " (" : "", axes, axes[0] ? ")" : "", workload_names[k->workload], k->model, k->batch,
             k->seq);
}

int history_points(const struct history *t, int key, const struct history_point *out[HISTORY_SESSIONS])
{
    int n = 0;
    for (int i = 0; i < t->n_points && n < HISTORY_SESSIONS; i++)
        if (t->point[i].key == key)
            out[n++] = &t->point[i];
    return n;
}

const char *const history_verdict_names[] = {"too short", "steady", "faster", "slower", "undecided"};

/* Only sessions of the machine that ran the newest one tell something about it. */
static void same_machine(const struct history *t, int key, struct history_judgement *out)
{
    const struct history_point *all[HISTORY_SESSIONS];
    int n = history_points(t, key, all);
    out->n = 0;
    for (int i = 0; i < n; i++)
        if (strcmp(t->session[all[i]->session].machine, t->session[all[n - 1]->session].machine) == 0)
            out->at[out->n++] = all[i];
}

/* The newest mean against the t prediction interval of one more session. */
static void predict(struct history_judgement *j, const double *logs)
{
    int first = j->n_changes > 0 ? (int)j->change[j->n_changes - 1].at : 0, n = j->n - 1 - first;
    if (n < HISTORY_MIN_EARLIER &&
        j->n_changes > 0) { /* the change is new: hold against what was before it */
        int before = j->n_changes > 1 ? (int)j->change[j->n_changes - 2].at : 0;
        n = first - before;
        first = before;
    }
    j->earlier = n;
    if (n < HISTORY_MIN_EARLIER)
        return;
    double mean = stats_mean(logs + first, (size_t)n), std = stats_std(logs + first, (size_t)n);
    double error = std * sqrt(1 + 1.0 / n), difference = logs[j->n - 1] - mean;
    double reach = stats_t_quantile(0.975, n - 1) * error;
    j->ratio = exp(difference);
    j->ci = (struct stats_interval){exp(difference - reach), exp(difference + reach)};
    j->p = error > 0 ? stats_t_two_sided(difference / error, n - 1) : NAN;
}

static void judge_newest(struct history_judgement *j, double threshold_pct)
{
    double limit = threshold_pct / 100;
    j->verdict = HISTORY_TOO_SHORT;
    if (j->earlier < HISTORY_MIN_EARLIER) {
        snprintf(j->reason, sizeof j->reason, "%d earlier %s: %d make a prediction", j->earlier,
                 j->earlier == 1 ? "session" : "sessions", HISTORY_MIN_EARLIER);
        return;
    }
    bool outside = j->ci.low > 1 || j->ci.high < 1;
    j->verdict = !outside                          ? HISTORY_STEADY
                 : isnan(j->p) || j->p_holm < 0.05 ? (j->ratio > 1 ? HISTORY_SLOWER : HISTORY_FASTER)
                                                   : HISTORY_UNDECIDED;
    j->harmless = j->ci.high <= 1 + limit || j->verdict == HISTORY_FASTER;
    j->regression = j->verdict == HISTORY_SLOWER && j->ci.low > 1 + limit;
    if (j->verdict == HISTORY_UNDECIDED)
        snprintf(j->reason, sizeof j->reason,
                 "outside what %d sessions predict, but not among so many cells (Holm)", j->earlier);
    else
        snprintf(j->reason, sizeof j->reason, "%s what %d earlier sessions predict",
                 outside ? "outside" : "inside", j->earlier);
}

/* A change that made it slower stays one until somebody accepts it by starting the history after it. */
static void judge_change(const struct history *t, struct history_judgement *j, double threshold_pct)
{
    if (j->n_changes == 0)
        return;
    const struct stats_change *c = &j->change[j->n_changes - 1];
    char number[FIGURE_TEXT];
    double pct = 100 * (exp(c->after - c->before) - 1);
    if (pct <= threshold_pct)
        return;
    j->regression = true;
    j->harmless = false;
    snprintf(j->reason, sizeof j->reason, "slower by %s %% since %s",
             figure_digits(pct, 2, number, sizeof number), t->session[j->at[c->at]->session].id);
}

static int find_changes(const struct history *t, int key, struct history_judgement *out, double *logs,
                        struct error *e)
{
    *out = (struct history_judgement){.ratio = NAN, .ci = {NAN, NAN}, .p = NAN, .p_holm = NAN};
    same_machine(t, key, out);
    for (int i = 0; i < out->n; i++)
        logs[i] = log(out->at[i]->mean);
    out->n_changes = stats_changes(logs, (size_t)out->n, 0.05, 1, out->change, HISTORY_CHANGES);
    if (out->n_changes < 0)
        return error_set(e, ERROR_MEMORY, "no memory to judge the history: close other programs");
    predict(out, logs);
    return 0;
}

int history_judge(const struct history *t, int key, double threshold_pct, struct history_judgement *out,
                  struct error *e)
{
    double logs[HISTORY_SESSIONS];
    if (find_changes(t, key, out, logs, e) != 0)
        return -1;
    out->p_holm = out->p;
    judge_newest(out, threshold_pct);
    judge_change(t, out, threshold_pct);
    return 0;
}

int history_judge_all(const struct history *t, double threshold_pct, struct history_judgement **out,
                      struct error *e)
{
    size_t n = (size_t)t->n_keys;
    struct history_judgement *j = calloc(n + 1, sizeof *j);
    double *p = calloc(2 * n + 1, sizeof *p), logs[HISTORY_SESSIONS];
    int failed =
        j && p ? 0 : error_set(e, ERROR_MEMORY, "no memory to judge the history: close other programs");
    for (size_t i = 0; i < n && !failed; i++) {
        failed = find_changes(t, (int)i, &j[i], logs, e);
        p[i] = j[i].p;
    }
    if (!failed) {
        stats_holm(p, n, p + n);
        for (size_t i = 0; i < n; i++) {
            j[i].p_holm = p[n + i];
            judge_newest(&j[i], threshold_pct);
            judge_change(t, &j[i], threshold_pct);
        }
    }
    free(p);
    if (failed) {
        free(j);
        return -1;
    }
    *out = j;
    return 0;
}
