#include "tui/difference.h"
#include "tui/format.h"
#include "tui/layout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOT " \xc2\xb7 "

void difference_free(struct difference *d)
{
    free(d->row);
    memset(d, 0, sizeof *d);
}

static void add_count(char *out, size_t size, const char *word, int n, int *told)
{
    size_t used = strlen(out);
    if (n > 0)
        snprintf(out + used, size - used, "%s%s in %d", (*told)++ ? ", " : "", word, n);
}

static void make_sentence(struct difference *d, const struct compare_result *r)
{
    int count[VERDICT_INCONCLUSIVE + 1] = {0}, open = 0, told = 0;
    size_t size = sizeof d->sentence, used;
    for (int i = 0; i < r->n; i++) {
        if (r->row[i].comparison.final)
            count[r->row[i].comparison.verdict]++;
        else
            open++;
    }
    if (r->n == 0) {
        snprintf(d->sentence, size, "These sessions have no cell and arm in common.");
        return;
    }
    snprintf(d->sentence, size, "Of %d %s, new against base: ", r->n, r->n == 1 ? "row" : "rows");
    add_count(d->sentence, size, "slower", count[VERDICT_SLOWER], &told);
    add_count(d->sentence, size, "faster", count[VERDICT_FASTER], &told);
    add_count(d->sentence, size, "equivalent", count[VERDICT_EQUIVALENT], &told);
    add_count(d->sentence, size, "inconclusive", count[VERDICT_INCONCLUSIVE], &told);
    add_count(d->sentence, size, "too few rounds", open, &told);
    used = strlen(d->sentence);
    if (r->regressions > 0)
        used += (size_t)snprintf(d->sentence + used, size - used, "; %d slower by more than %g %%",
                                 r->regressions, DIFFERENCE_REGRESSION_PCT);
    if (r->only_base + r->only_new > 0)
        snprintf(d->sentence + used, size - used, "; %d cells without a partner", r->only_base + r->only_new);
}

static void find_common(struct difference *d)
{
    const struct difference_row *first = d->row;
    d->same_model = d->same_workload = d->same_batch = d->same_seq = true;
    for (int i = 1; i < d->n; i++) {
        d->same_model = d->same_model && strcmp(d->row[i].model, first->model) == 0;
        d->same_workload = d->same_workload && d->row[i].workload == first->workload;
        d->same_batch = d->same_batch && d->row[i].batch == first->batch;
        d->same_seq = d->same_seq && d->row[i].seq == first->seq;
    }
}

int difference_make(const struct session *base, const struct session *candidate, struct difference *out,
                    struct error *e)
{
    struct compare_result r = {0};
    memset(out, 0, sizeof *out);
    if (compare_sessions(base, candidate, DIFFERENCE_REGRESSION_PCT, &r, e) != 0)
        return -1;
    out->row = calloc((size_t)r.n + 1, sizeof *out->row);
    if (!out->row) {
        compare_free(&r);
        return error_set(e, ERROR_MEMORY, "no memory to compare the sessions: close other programs");
    }
    snprintf(out->base, sizeof out->base, "%s", base->id);
    snprintf(out->candidate, sizeof out->candidate, "%s", candidate->id);
    snprintf(out->differences, sizeof out->differences, "%s", r.differences);
    for (int i = 0; i < r.n; i++) {
        const struct compare_row *from = &r.row[i];
        struct difference_row *to = &out->row[out->n++];
        const struct session_cell *c = &base->cell[from->base_cell];
        struct arm_summary a, b;
        summary_arm(base, from->base_cell, from->base_arm, &a);
        summary_arm(candidate, from->new_cell, from->new_arm, &b);
        snprintf(to->model, sizeof to->model, "%s", c->model);
        to->workload = c->workload;
        to->batch = c->batch;
        to->seq = c->seq;
        snprintf(to->arm, sizeof to->arm, "%s", c->arm[from->base_arm].name);
        to->base_ms = a.latency.mean;
        to->new_ms = b.latency.mean;
        to->change_pct = from->change_pct;
        to->comparison = from->comparison;
        to->regression = from->regression;
    }
    find_common(out);
    make_sentence(out, &r);
    compare_free(&r);
    return 0;
}

enum column { MODEL, WORKLOAD, BATCH, SEQ, ARM, BASE, NEW, CHANGE, INTERVAL, HOLM, VERDICT, COLUMNS };

static enum style cell_text(const struct difference_row *d, enum column column, char *out, size_t size)
{
    char text[FORMAT_TEXT];
    const struct comparison *c = &d->comparison;
    struct stats_interval change = {100 * (1 / c->speedup_ci.high - 1), 100 * (1 / c->speedup_ci.low - 1)};
    out[0] = 0;
    switch (column) {
    case MODEL:
        snprintf(out, size, "%s", d->model);
        return STYLE_TEXT;
    case WORKLOAD:
        snprintf(out, size, "%s", workload_names[d->workload]);
        return STYLE_TEXT;
    case BATCH:
    case SEQ:
        snprintf(out, size, "%d", column == BATCH ? d->batch : d->seq);
        return STYLE_TEXT;
    case ARM:
        snprintf(out, size, "%s", d->arm);
        return STYLE_TEXT;
    case BASE:
    case NEW:
        snprintf(out, size, "%s", format_digits(text, column == BASE ? d->base_ms : d->new_ms, 4));
        return STYLE_TEXT;
    case CHANGE:
        if (isfinite(d->change_pct))
            snprintf(out, size, "%+.1f %%", d->change_pct);
        return STYLE_TEXT;
    case INTERVAL:
        if (isfinite(change.low) && isfinite(change.high))
            snprintf(out, size, "%+.1f to %+.1f", change.low, change.high);
        return STYLE_DIM;
    case HOLM:
        snprintf(out, size, "%s", format_p(text, c->p_holm));
        return STYLE_DIM;
    default:
        snprintf(out, size, "%s",
                 d->regression ? "regression"
                 : !c->final   ? "open"
                               : verdict_names[c->verdict]);
        return d->regression                      ? STYLE_ERROR
               : !c->final                        ? STYLE_DIM
               : c->verdict == VERDICT_SLOWER     ? STYLE_WARNING
               : c->verdict == VERDICT_FASTER     ? STYLE_GOOD
               : c->verdict == VERDICT_EQUIVALENT ? STYLE_TEXT
                                                  : STYLE_DIM;
    }
}

/* Columns that say the same in every row are told in the title instead. */
static int choose_columns(const struct difference *d, struct widget_column column[COLUMNS],
                          enum column id[COLUMNS])
{
    static const struct widget_column all[COLUMNS] = {
        [MODEL] = {"model", 5, 2, false, false},       [WORKLOAD] = {"workload", 8, 4, false, false},
        [BATCH] = {"batch", 5, 1, true, false},        [SEQ] = {"seq", 5, 1, true, false},
        [ARM] = {"arm", 5, 1, false, false},           [BASE] = {"base ms", 8, 6, true, false},
        [NEW] = {"new ms", 8, 5, true, false},         [CHANGE] = {"change", 8, 1, true, false},
        [INTERVAL] = {"interval", 15, 7, true, false}, [HOLM] = {"p (Holm)", 8, 8, true, false},
        [VERDICT] = {"verdict", 12, 2, false, true},
    };
    int n = 0;
    for (int i = 0; i < COLUMNS; i++) {
        if ((i == MODEL && d->same_model) || (i == WORKLOAD && d->same_workload) ||
            (i == BATCH && d->same_batch) || (i == SEQ && d->same_seq))
            continue;
        column[n] = all[i];
        for (int row = 0; row < d->n && (i == MODEL || i == ARM); row++) {
            int width = grid_columns(i == MODEL ? d->row[row].model : d->row[row].arm);
            width = width > 20 ? 20 : width;
            column[n].width = width > column[n].width ? width : column[n].width;
        }
        id[n++] = (enum column)i;
    }
    return n;
}

static void make_title(const struct difference *d, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "New against base");
    const struct difference_row *first = d->row;
    if (d->n == 0)
        return;
    if (d->same_model)
        used += (size_t)snprintf(out + used, size - used, DOT "%.60s", first->model);
    if (d->same_workload)
        used += (size_t)snprintf(out + used, size - used, DOT "%s", workload_names[first->workload]);
    if (d->same_batch)
        used += (size_t)snprintf(out + used, size - used, DOT "batch %d", first->batch);
    if (d->same_seq)
        snprintf(out + used, size - used, DOT "seq %d", first->seq);
}

/* Sentence, names and what differs between the machines; returns the rows taken. */
static int draw_head(struct grid *g, struct rect head, const struct difference *d)
{
    char text[1100];
    int used = widget_paragraph(g, head, STYLE_SENTENCE, d->sentence);
    if (used < head.height) {
        snprintf(text, sizeof text, "base %s, new %s", d->base, d->candidate);
        used += widget_paragraph(g, (struct rect){head.x, head.y + used, head.width, head.height - used},
                                 STYLE_DIM, text);
    }
    if (used < head.height) {
        if (d->differences[0])
            snprintf(text, sizeof text, "Not the same (base / new): %s", d->differences);
        else
            snprintf(text, sizeof text, "The same machine, libraries and program.");
        used += widget_paragraph(g, (struct rect){head.x, head.y + used, head.width, head.height - used},
                                 d->differences[0] ? STYLE_WARNING : STYLE_DIM, text);
    }
    return used;
}

int difference_draw(struct grid *g, struct rect r, const struct difference *d, struct widget_scroll *scroll)
{
    struct widget_column column[COLUMNS];
    enum column id[COLUMNS];
    int n = choose_columns(d, column, id);
    char note[64], title[160], text[256];
    snprintf(note, sizeof note, "%d of %d" DOT "Esc back", d->n ? scroll->cursor + 1 : 0, d->n);
    make_title(d, title, sizeof title);
    struct rect in = widget_panel(g, r, title, note, true), head = in;
    head.height = in.height / 2 < 9 ? in.height / 2 : 9;
    int used = draw_head(g, head, d);
    if (d->n == 0)
        return 0;
    layout_top(&in, used + (in.height - used > 6));
    if (in.height >= 12 && scroll->cursor < d->n) {
        const struct comparison *c = &d->row[scroll->cursor].comparison;
        struct rect foot = layout_bottom(&in, 3);
        widget_paragraph(g, (struct rect){foot.x, foot.y + 1, foot.width, 2}, STYLE_TEXT, c->sentence);
    }
    struct widget_table t;
    widget_table_begin(&t, g, in, column, n);
    widget_scroll_fit(scroll, d->n, t.area.height);
    for (int y = 0; y < t.area.height && scroll->top + y < d->n; y++) {
        for (int i = 0; i < n; i++) {
            enum style style = cell_text(&d->row[scroll->top + y], id[i], text, sizeof text);
            widget_table_cell(&t, y, i, style, text);
        }
        if (scroll->top + y == scroll->cursor)
            widget_table_select(&t, y, true);
    }
    widget_scrollbar(g, r, scroll, d->n, t.area.height);
    return t.area.height;
}
