#include "tui/trend.h"
#include "tui/format.h"
#include "tui/plot.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* "11-21" out of "2026-11-21T06:30:12Z", or "06:30" where all are of one day. */
static void label(char out[8], const char *started, bool same_day)
{
    if (strlen(started) < 16)
        snprintf(out, 8, "?");
    else
        snprintf(out, 8, "%.5s", started + (same_day ? 11 : 5));
}

/* The median of every stretch between two changes, as a second line. Only where all sessions are of one
 * machine, so that positions agree. */
static bool stretches(const struct history_judgement *j, int n, double *out)
{
    if (!j || j->n != n || j->n_changes == 0)
        return false;
    for (int i = 0, c = 0; i < n; i++) {
        while (c < j->n_changes && (int)j->change[c].at <= i)
            c++;
        out[i] = exp(c == 0 ? j->change[0].before : j->change[c - 1].after);
    }
    return true;
}

static void add_judgement(char *text, size_t size, const struct history *t, const struct history_judgement *j)
{
    char percent[FORMAT_TEXT];
    size_t used = strlen(text);
    if (!j || used >= size)
        return;
    if (j->n_changes > 0) {
        const struct stats_change *c = &j->change[j->n_changes - 1];
        double by = exp(c->after - c->before) - 1;
        snprintf(text + used, size - used, "; %s %s since %.16s", format_percent(percent, fabs(by)),
                 by > 0 ? "slower" : "faster", t->session[j->at[c->at]->session].started);
    } else if (j->verdict == HISTORY_SLOWER || j->verdict == HISTORY_FASTER) {
        snprintf(text + used, size - used, "; the last is %s than %d sessions predict",
                 history_verdict_names[j->verdict], j->earlier);
    }
}

static void draw_words(struct grid *g, struct rect r, const struct history *t,
                       const struct history_point *const *at, int n, const struct history_judgement *j)
{
    char text[256], mean[FORMAT_TEXT], ratio[FORMAT_TEXT];
    const struct history_point *first = at[0], *last = at[n - 1];
    int machines = 1;
    for (int i = 1; i < n; i++) {
        bool seen = false;
        for (int k = 0; k < i && !seen; k++)
            seen = strcmp(t->session[at[i]->session].machine, t->session[at[k]->session].machine) == 0;
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
    add_judgement(text, sizeof text, t, j);
    grid_text(g, r.x, r.y, r.width, STYLE_TEXT, text);
}

void trend_draw(struct grid *g, struct rect r, const struct history *t, int key,
                const struct history_judgement *j, const char *session_id)
{
    const struct history_point *at[HISTORY_SESSIONS];
    double mean[HISTORY_SESSIONS], low[HISTORY_SESSIONS], high[HISTORY_SESSIONS], level[HISTORY_SESSIONS];
    char text[HISTORY_SESSIONS][8];
    const char *labels[HISTORY_SESSIONS];
    int marked = -1;
    int n = history_points(t, key, at);
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
    draw_words(g, (struct rect){r.x, r.y, r.width, 1}, t, at, n, j);
    const struct plot_series series[2] = {{mean, low, high, 'o', STYLE_ARM_A},
                                          {level, NULL, NULL, '-', STYLE_ARM_B}};
    const struct plot_lines lines = {.x_label = labels,
                                     .n_x = n,
                                     .series = series,
                                     .n_series = stretches(j, n, level) ? 2 : 1,
                                     .y_title = "ms, mean \xc2\xb1 interval",
                                     .cursor = marked};
    plot_lines(g, (struct rect){r.x, r.y + 1, r.width, r.height - 1}, &lines);
}
