#include "engine/history_print.h"

#include "engine/columns.h"
#include "engine/figure.h"
#include "engine/session_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- text */

static const struct column columns[] = {
    {"model", true, 0},       {"workload", true, 3},   {"batch", false, 0},    {"seq", false, 0},
    {"arm", true, 0},         {"axes", true, 0},       {"sessions", false, 4}, {"first ms", false, 5},
    {"earlier ms", false, 6}, {"newest ms", false, 0}, {"change", false, 0},   {"predicted", true, 2},
    {"Holm p", false, 7},     {"verdict", true, 0}};
enum { COLUMNS = sizeof columns / sizeof columns[0], LINE = 512 };

static void put_number(struct columns *t, int value)
{
    char text[24];
    snprintf(text, sizeof text, "%d", value);
    columns_cell(t, text);
}

static void put_ms(struct columns *t, double ms)
{
    char number[FIGURE_TEXT * 2];
    columns_cell(t, figure_digits(ms, 4, number, sizeof number));
}

static void put_percent(struct columns *t, double ratio)
{
    char number[FIGURE_TEXT], text[FIGURE_TEXT * 2];
    double pct = 100 * (ratio - 1);
    if (isnan(pct)) {
        columns_cell(t, "–");
        return;
    }
    figure_fixed(pct, 1, number, sizeof number);
    snprintf(text, sizeof text, "%s%s %%", pct > 0 ? "+" : "", number);
    columns_cell(t, text);
}

static void put_row(struct columns *t, const struct history *h, int key, const struct history_judgement *j)
{
    const struct history_key *k = &h->key[key];
    char text[FIGURE_TEXT * 4], p[FIGURE_TEXT], verdict[64], axes[192];
    columns_cell(t, k->model);
    columns_cell(t, workload_names[k->workload]);
    put_number(t, k->batch);
    put_number(t, k->seq);
    columns_cell(t, k->arm);
    history_axes(h, key, axes, sizeof axes);
    columns_cell(t, axes);
    put_number(t, j->n);
    put_ms(t, j->at[0]->mean);
    put_ms(t, j->at[j->n - 1]->mean / j->ratio);
    put_ms(t, j->at[j->n - 1]->mean);
    put_percent(t, j->ratio);
    /* What the earlier sessions allow for one more, as a change. */
    columns_cell(t, figure_interval(100 * (j->ratio / j->ci.high - 1), 100 * (j->ratio / j->ci.low - 1), 1,
                                    text, sizeof text));
    columns_cell(t, figure_p(j->p_holm, p, sizeof p));
    bool since = j->regression && j->verdict != HISTORY_SLOWER; /* the change below, not the newest session */
    snprintf(verdict, sizeof verdict, "%s%s", since ? "changed" : history_verdict_names[j->verdict],
             j->regression ? ", REGRESSION" : "");
    columns_cell(t, verdict);
}

static void put_changes(const struct history *h, int key, const struct history_judgement *j, int width,
                        struct text *out)
{
    char name[400], line[LINE], before[FIGURE_TEXT * 2], after[FIGURE_TEXT * 2], percent[FIGURE_TEXT],
        p[FIGURE_TEXT];
    history_name(h, key, name, sizeof name);
    for (int i = 0; i < j->n_changes; i++) {
        const struct stats_change *c = &j->change[i];
        struct text t = text_in(line, sizeof line);
        text_format(&t, "%s: %s → %s ms (%s%s %%) from %s on, p %s", name,
                    figure_digits(exp(c->before), 4, before, sizeof before),
                    figure_digits(exp(c->after), 4, after, sizeof after), c->after > c->before ? "+" : "",
                    figure_fixed(100 * (exp(c->after - c->before) - 1), 1, percent, sizeof percent),
                    h->session[j->at[c->at]->session].id, figure_p(c->p, p, sizeof p));
        columns_wrap(line, width, 2, out);
    }
}

char *history_print(const struct history *h, const struct history_judgement *j, const int *key, int n,
                    int width, struct error *e)
{
    struct text out = {0}, changes = {0};
    char line[LINE];
    struct columns *t = columns_new(columns, COLUMNS);
    for (int i = 0; i < n; i++) {
        if (t)
            put_row(t, h, key[i], &j[key[i]]);
        put_changes(h, key[i], &j[key[i]], width, &changes);
    }
    if (t)
        columns_print(t, width, &out);
    else
        out.failed = true;
    columns_free(t);
    if (changes.n > 0) {
        text_add(&out, "\nchanges\n");
        text_put(&out, changes.bytes, changes.n);
    }
    out.failed = out.failed || changes.failed;
    text_free(&changes);
    text_add(&out, "\n");
    struct text note = text_in(line, sizeof line);
    text_format(
        &note,
        "%d %s. The newest mean against a t prediction interval of the sessions of this machine before it, "
        "back to the last change; Holm over all cells read; changes by E-divisive at 5 %%.",
        h->n_sessions, h->n_sessions == 1 ? "session" : "sessions");
    columns_wrap(line, width, 2, &out);
    if (h->left_out > 0 || h->unreadable > 0) {
        note = text_in(line, sizeof line);
        text_format(&note, "%d older sessions were not read, %d could not be.", h->left_out, h->unreadable);
        columns_wrap(line, width, 2, &out);
    }
    return text_take(&out, e);
}

/* --- JSON */

static int put_points(cJSON *o, const struct history *h, const struct history_judgement *j)
{
    cJSON *list = cJSON_AddArrayToObject(o, "sessions");
    for (int i = 0; i < j->n; i++) {
        cJSON *p = cJSON_CreateObject();
        if (session_push_item(list, p) != 0 || session_put_text(p, "id", h->session[j->at[i]->session].id) ||
            session_put_text(p, "started", h->session[j->at[i]->session].started) ||
            session_put_double(p, "mean_ms", j->at[i]->mean) ||
            session_put_double(p, "ci95_low_ms", j->at[i]->low) ||
            session_put_double(p, "ci95_high_ms", j->at[i]->high))
            return -1;
    }
    return list ? 0 : -1;
}

static int put_change_list(cJSON *o, const struct history *h, const struct history_judgement *j)
{
    cJSON *list = cJSON_AddArrayToObject(o, "changes");
    for (int i = 0; i < j->n_changes; i++) {
        const struct stats_change *c = &j->change[i];
        cJSON *p = cJSON_CreateObject();
        if (session_push_item(list, p) != 0 ||
            session_put_text(p, "session", h->session[j->at[c->at]->session].id) ||
            session_put_double(p, "before_ms", exp(c->before)) ||
            session_put_double(p, "after_ms", exp(c->after)) || session_put_double(p, "p", c->p))
            return -1;
    }
    return list ? 0 : -1;
}

static int put_key(cJSON *list, const struct history *h, int key, const struct history_judgement *j)
{
    const struct history_key *k = &h->key[key];
    cJSON *o = cJSON_CreateObject();
    char implementation[256];
    implementation_describe(&k->implementation, implementation, sizeof implementation);
    return session_push_item(list, o) || session_put_text(o, "model", k->model) ||
           session_put_text(o, "workload", workload_names[k->workload]) ||
           !json_add_int64(o, "batch", k->batch) || !json_add_int64(o, "seq", k->seq) ||
           !json_add_int64(o, "tokens", k->tokens) || session_put_text(o, "arm", k->arm) ||
           session_put_text(o, "implementation", implementation) ||
           session_put_double(o, "ratio", j->ratio) || session_put_double(o, "ratio_ci95_low", j->ci.low) ||
           session_put_double(o, "ratio_ci95_high", j->ci.high) || session_put_double(o, "p", j->p) ||
           session_put_double(o, "p_holm", j->p_holm) ||
           session_put_text(o, "verdict", history_verdict_names[j->verdict]) ||
           session_put_text(o, "reason", j->reason) ||
           !cJSON_AddBoolToObject(o, "regression", j->regression) || put_points(o, h, j) ||
           put_change_list(o, h, j);
}

char *history_print_json(const struct history *h, const struct history_judgement *j, const int *key, int n,
                         struct error *e)
{
    cJSON *root = cJSON_CreateObject();
    bool bad = session_put_text(root, "schema", "benchtop/history/1") ||
               !json_add_int64(root, "sessions", h->n_sessions) ||
               !json_add_int64(root, "left_out", h->left_out) ||
               !json_add_int64(root, "unreadable", h->unreadable);
    cJSON *list = bad ? NULL : cJSON_AddArrayToObject(root, "cells");
    bad = bad || !list;
    for (int i = 0; i < n && !bad; i++)
        bad = put_key(list, h, key[i], &j[key[i]]) != 0;
    char *text = bad ? NULL : json_print(root, 2);
    cJSON_Delete(root);
    if (!text)
        error_set(e, ERROR_MEMORY, "no memory to write the history: close other programs and try again");
    return text;
}
