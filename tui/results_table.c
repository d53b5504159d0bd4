#include "tui/results_table.h"
#include "engine/figure.h"
#include "engine/worth.h"
#include "tui/theme.h"

#include <stdio.h>
#include <string.h>

#define DOT " \xc2\xb7 "

enum { ROOMY = 96 }; /* columns at which verdicts say that an output is not equivalent, not the title */

static const struct widget_column table[RESULTS_COLUMNS] = {
    [RESULTS_MODEL] = {"model", 0, 2, false, false},
    [RESULTS_WORKLOAD] = {"workload", 8, 1, false, false},
    [RESULTS_BATCH] = {"batch", 5, 1, true, false},
    [RESULTS_SEQ] = {"seq", 5, 1, true, false},
    [RESULTS_ARM] = {"arm", 0, 1, false, false},
    [RESULTS_N] = {"n", 6, 12, true, false},
    [RESULTS_MEAN] = {"mean ms", 8, 1, true, false},
    [RESULTS_INTERVAL] = {"\xc2\xb1 95 %", 7, 4, true, false},
    [RESULTS_MEDIAN] = {"median", 7, 10, true, false},
    [RESULTS_P95] = {"p95", 7, 11, true, false},
    [RESULTS_P99] = {"p99", 7, 6, true, false},
    [RESULTS_RATE] = {"tok/s", 6, 3, true, false},
    [RESULTS_TEXT_RATE] = {"text B/s", 8, 4, true, false},
    [RESULTS_BANDWIDTH] = {"GB/s", 5, 9, true, false},
    [RESULTS_LIMIT] = {"of limit", 8, 8, true, false},
    [RESULTS_PEAK] = {"peak", 9, 7, true, false},
    [RESULTS_SPEEDUP] = {"speed-up", 8, 1, true, false},
    [RESULTS_SPEEDUP_CI] = {"95 % CI", 11, 5, true, false},
    [RESULTS_PERPLEXITY] = {"perplexity", 10, 3, true, false},
    [RESULTS_BITS] = {"bits/byte", 9, 1, true, false},
    [RESULTS_KL] = {"KL nats", 8, 3, true, false},
    [RESULTS_TOP1] = {"top-1", 7, 5, true, false},
    [RESULTS_REPLIES] = {"replies", 7, 9, true, false},
    [RESULTS_VERDICT] = {"verdict", 12, 2, false, true},
};

/* "C: output not equivalent": where the column of verdicts has no room to say it. */
static void not_equivalent_title(const struct session *s, char *out, size_t size)
{
    size_t used = 0;
    for (int arm = 0; arm < s->preset.n_arms; arm++) {
        if (worth_any_not_equivalent(s, arm) && used < size)
            used +=
                (size_t)snprintf(out + used, size - used, "%s%c", used ? ", " : "", theme_arm_letter(arm));
    }
    if (used < size)
        snprintf(out + used, size - used, ": %s", worth_not_equivalent_words);
}

void results_table_title(const struct results *r, const struct session *s, int width, char *out, size_t size)
{
    char part[4][72] = {{0}};
    const struct session_cell *c = &s->cell[0];
    snprintf(out, size, "Cells and arms");
    if (s->n_cells == 0)
        return;
    if (r->not_equivalent && width < ROOMY + 4) {
        not_equivalent_title(s, out, size);
        if (width < 64)
            return;
    }
    if (r->same_model)
        snprintf(part[0], sizeof part[0], "%.60s", session_model_name(c));
    if (r->same_workload)
        snprintf(part[1], sizeof part[1], "%s", workload_names[c->workload]);
    if (r->same_batch)
        snprintf(part[2], sizeof part[2], "batch %d", c->batch);
    if (r->same_seq)
        snprintf(part[3], sizeof part[3], "seq %d", c->seq);
    size_t used = r->not_equivalent && width < ROOMY + 4 ? strlen(out) : 0;
    for (int i = 0; i < 4; i++)
        if (part[i][0] && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? DOT : "", part[i]);
}

static void draw_row(const struct results *r, const struct session *s, const struct widget_table *t, int y,
                     const int *id, const struct results_row *row)
{
    char cell[RESULTS_TEXT], status[320];
    for (int i = 0; i < t->n; i++) {
        if (!widget_table_has(t, i) || (!row->has_summary && id[i] > RESULTS_ARM))
            continue;
        enum style style = results_text(r, s, row, (enum results_column)id[i], cell);
        char *label = id[i] == RESULTS_VERDICT ? strchr(cell, ',') : NULL;
        if (label && t->width[i] < 28)
            *label = '\0'; /* the title says it */
        widget_table_cell(t, y, i, style, cell);
    }
    if (row->has_summary || y >= t->area.height)
        return;
    int x = t->area.x;
    for (int i = 0; i < t->n; i++)
        if (widget_table_has(t, i) && id[i] <= RESULTS_ARM)
            x = t->x[i] + t->width[i] + 2;
    results_status_text(s, row, status, sizeof status);
    grid_text(t->grid, x, t->area.y + y, t->area.x + t->area.width - x,
              row->status == CELL_FAILED || row->status == CELL_OUT_OF_MEMORY ? STYLE_WARNING : STYLE_DIM,
              status);
}

struct column_titles {
    char sorted[32], half[16], interval[16];
};

/* The columns that say something in this session; the sorted one carries an arrow. */
static int choose_columns(const struct results *r, const struct session *s, int room,
                          struct widget_column column[RESULTS_COLUMNS], int id[RESULTS_COLUMNS],
                          struct column_titles *titles)
{
    int n = 0;
    char level[FIGURE_TEXT];
    figure_percent(summary_confidence(s), 1, level, sizeof level);
    snprintf(titles->half, sizeof titles->half, "\xc2\xb1 %.8s", level);
    snprintf(titles->interval, sizeof titles->interval, "%.8s CI", level);
    for (int i = 0; i < RESULTS_COLUMNS; i++) {
        if (!results_has_column(r, (enum results_column)i))
            continue;
        struct widget_column *c = &column[n];
        *c = table[i];
        if (i == RESULTS_MODEL)
            c->width = r->model_width;
        if (i == RESULTS_ARM)
            c->width = r->arm_width;
        if (i == RESULTS_PERPLEXITY && results_has_column(r, RESULTS_BITS))
            c->priority = 8; /* of several vocabularies: bits per byte is what compares */
        if (i == RESULTS_VERDICT && r->not_equivalent)
            c->width = room >= ROOMY ? 28 : c->width; /* "inconclusive, not equivalent" is never cut */
        if (i == RESULTS_INTERVAL)
            c->title = titles->half;
        if (i == RESULTS_SPEEDUP_CI)
            c->title = titles->interval;
        if (i == RESULTS_SPEEDUP && room < 52) {
            c->title = "speed";
            c->width = 6;
        }
        if (i == RESULTS_MEAN && room < 52) {
            c->title = "ms";
            c->width = 6;
        }
        if (i == (int)r->sort) {
            snprintf(titles->sorted, sizeof titles->sorted, "%s%s", c->title,
                     r->reverse ? "\xe2\x96\xbc" : "\xe2\x96\xb2");
            c->title = titles->sorted;
            int width = grid_columns(c->title);
            c->width = c->width < width ? width : c->width;
        }
        id[n++] = i;
    }
    return n;
}

struct rect results_table_draw(struct grid *g, struct rect in, const struct results *r,
                               const struct session *s, struct widget_scroll *scroll, bool focus)
{
    struct widget_column column[RESULTS_COLUMNS];
    struct column_titles titles;
    int id[RESULTS_COLUMNS];
    int n = choose_columns(r, s, in.width, column, id, &titles);
    struct widget_table t;
    widget_table_begin(&t, g, in, column, n);
    widget_scroll_fit(scroll, r->n_shown, t.area.height);
    if (r->n_shown == 0)
        widget_paragraph(g, t.area, STYLE_DIM, "Nothing matches: Esc clears the filter.");
    for (int y = 0; y < t.area.height && scroll->top + y < r->n_shown; y++) {
        draw_row(r, s, &t, y, id, &r->row[r->shown[scroll->top + y]]);
        if (scroll->top + y == scroll->cursor)
            widget_table_select(&t, y, focus);
    }
    return t.area;
}
