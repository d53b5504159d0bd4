#include "tui/trend.h"
#include "engine/summary.h"
#include "tui/format.h"
#include "tui/plot.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void trend_free(struct trend *t)
{
    free(t->key);
    free(t->point);
    memset(t, 0, sizeof *t);
}

static struct trend_key key_of(const struct session *s, int cell, int arm)
{
    const struct session_cell *c = &s->cell[cell];
    struct trend_key k = {.workload = c->workload,
                          .batch = c->batch,
                          .seq = c->seq,
                          .tokens = c->tokens,
                          .implementation = c->arm[arm].implementation};
    snprintf(k.model, sizeof k.model, "%s", c->model);
    snprintf(k.arm, sizeof k.arm, "%s", c->arm[arm].name);
    return k;
}

static bool same_key(const struct trend_key *a, const struct trend_key *b)
{
    return a->batch == b->batch && a->seq == b->seq && a->workload == b->workload && a->tokens == b->tokens &&
           strcmp(a->model, b->model) == 0 && strcmp(a->arm, b->arm) == 0 &&
           implementation_equal(&a->implementation, &b->implementation);
}

static int find(const struct trend *t, const struct trend_key *key)
{
    for (int i = 0; i < t->n_keys; i++)
        if (same_key(&t->key[i], key))
            return i;
    return -1;
}

int trend_find(const struct trend *t, const struct session *s, int cell, int arm)
{
    if (cell < 0 || cell >= s->n_cells || arm < 0 || arm >= s->cell[cell].n_arms)
        return -1;
    struct trend_key key = key_of(s, cell, arm);
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

static int add_point(struct trend *t, const struct trend_key *key, const struct trend_point *at)
{
    int k = find(t, key);
    if (k < 0) {
        struct trend_key *keys = grown(t->key, t->n_keys, &t->keys_room, sizeof *keys);
        if (!keys)
            return -1;
        t->key = keys;
        k = t->n_keys++;
        keys[k] = *key;
    }
    struct trend_point *points = grown(t->point, t->n_points, &t->points_room, sizeof *points);
    if (!points)
        return -1;
    t->point = points;
    points[t->n_points] = *at;
    points[t->n_points++].key = k;
    return 0;
}

int trend_add(struct trend *t, const struct session *s, struct error *e)
{
    if (t->n_sessions == TREND_SESSIONS)
        return 0;
    int at = t->n_sessions++;
    snprintf(t->session[at].id, sizeof t->session[at].id, "%s", s->id);
    snprintf(t->session[at].started, sizeof t->session[at].started, "%s", s->started);
    snprintf(t->session[at].machine, sizeof t->session[at].machine, "%s %s", s->environment.host,
             s->environment.cpu);
    for (int c = 0; c < s->n_cells; c++)
        for (int arm = 0; arm < s->cell[c].n_arms; arm++) {
            struct arm_summary a;
            if (summary_arm(s, c, arm, &a) != 0 || a.n == 0)
                continue;
            struct trend_key key = key_of(s, c, arm);
            const struct trend_point point = {
                .session = at, .mean = a.latency.mean, .low = a.latency.ci.low, .high = a.latency.ci.high};
            if (add_point(t, &key, &point) != 0)
                return error_set(e, ERROR_MEMORY, "no memory for the trend: close other programs");
        }
    return 0;
}

int trend_gather(const struct session_entry *entry, int n, bool (*watch)(void *who, double fraction),
                 void *who, struct trend *out, struct error *e)
{
    int64_t bytes = 0;
    int take = 0;
    memset(out, 0, sizeof *out);
    while (take < n && take < TREND_SESSIONS && bytes + entry[take].bytes <= TREND_BYTES)
        bytes += entry[take++].bytes;
    out->left_out = n - take;
    for (int i = take - 1; i >= 0; i--) {
        struct session s;
        struct error ignored = {0}, warning = {0};
        if (watch && watch(who, (double)(take - 1 - i) / take)) {
            trend_free(out);
            return error_set(e, ERROR_CANCELLED, "cancelled: nothing is shown");
        }
        if (session_load(entry[i].path, &s, &warning, &ignored) != 0) {
            out->unreadable++;
            continue;
        }
        int result = trend_add(out, &s, e);
        session_free(&s);
        if (result != 0) {
            trend_free(out);
            return -1;
        }
    }
    return 0;
}

int trend_richest(const struct trend *t)
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

void trend_name(const struct trend *t, int key, char *out, size_t size)
{
    const struct trend_key *k = &t->key[key];
    snprintf(out, size, "%s \xc2\xb7 %s %s \xc2\xb7 batch %d \xc2\xb7 seq %d", k->arm,
             workload_names[k->workload], k->model, k->batch, k->seq);
}

/* "11-21" out of "2026-11-21T06:30:12Z", or "06:30" where all are of one day. */
static void label(char out[8], const char *started, bool same_day)
{
    if (strlen(started) < 16)
        snprintf(out, 8, "?");
    else
        snprintf(out, 8, "%.5s", started + (same_day ? 11 : 5));
}

static void draw_words(struct grid *g, struct rect r, const struct trend *t,
                       const struct trend_point *const *at, int n)
{
    char text[256], mean[FORMAT_TEXT], ratio[FORMAT_TEXT];
    const struct trend_point *first = at[0], *last = at[n - 1];
    int machines = 1;
    for (int i = 1; i < n; i++) {
        bool seen = false;
        for (int j = 0; j < i && !seen; j++)
            seen = strcmp(t->session[at[i]->session].machine, t->session[at[j]->session].machine) == 0;
        machines += !seen;
    }
    int used = snprintf(text, sizeof text, "%s ms last", format_digits(mean, last->mean, 4));
    if (n > 1)
        used += snprintf(text + used, sizeof text - (size_t)used, ", %s\xc3\x97 the first",
                         format_digits(ratio, last->mean / first->mean, 3));
    used += snprintf(text + used, sizeof text - (size_t)used, ", %d %s", n, n == 1 ? "session" : "sessions");
    if (machines > 1)
        used += snprintf(text + used, sizeof text - (size_t)used, " on %d machines", machines);
    if (t->left_out > 0)
        used += snprintf(text + used, sizeof text - (size_t)used, "; %d older not read", t->left_out);
    if (t->unreadable > 0)
        snprintf(text + used, sizeof text - (size_t)used, "; %d unreadable", t->unreadable);
    grid_text(g, r.x, r.y, r.width, STYLE_TEXT, text);
}

void trend_draw(struct grid *g, struct rect r, const struct trend *t, int key, const char *session_id)
{
    const struct trend_point *at[TREND_SESSIONS];
    double mean[TREND_SESSIONS], low[TREND_SESSIONS], high[TREND_SESSIONS];
    char text[TREND_SESSIONS][8];
    const char *labels[TREND_SESSIONS];
    int n = 0, marked = -1;
    for (int i = 0; i < t->n_points && n < TREND_SESSIONS; i++)
        if (t->point[i].key == key)
            at[n++] = &t->point[i];
    if (n == 0) {
        widget_paragraph(g, r, STYLE_DIM, "No saved session holds a measured cell yet.");
        return;
    }
    bool same_day =
        strncmp(t->session[at[0]->session].started, t->session[at[n - 1]->session].started, 10) == 0;
    for (int i = 0; i < n; i++) {
        mean[i] = at[i]->mean;
        low[i] = at[i]->low;
        high[i] = at[i]->high;
        label(text[i], t->session[at[i]->session].started, same_day);
        labels[i] = text[i];
        if (strcmp(t->session[at[i]->session].id, session_id) == 0)
            marked = i;
    }
    draw_words(g, (struct rect){r.x, r.y, r.width, 1}, t, at, n);
    const struct plot_series series = {mean, low, high, 'o', STYLE_ARM_A};
    const struct plot_lines lines = {.x_label = labels,
                                     .n_x = n,
                                     .series = &series,
                                     .n_series = 1,
                                     .y_title = "ms, mean \xc2\xb1 interval",
                                     .cursor = marked};
    plot_lines(g, (struct rect){r.x, r.y + 1, r.width, r.height - 1}, &lines);
}
