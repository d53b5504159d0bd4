#include "tui/difference.h"
#include "tui/format.h"
#include "tui/layout.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DASH "\xe2\x80\x93"

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
        snprintf(to->cell, sizeof to->cell, "%.60s \xc2\xb7 %s \xc2\xb7 batch %d \xc2\xb7 seq %d", c->model,
                 workload_names[c->workload], c->batch, c->seq);
        snprintf(to->arm, sizeof to->arm, "%s", c->arm[from->base_arm].name);
        to->base_ms = a.latency.mean;
        to->new_ms = b.latency.mean;
        to->change_pct = from->change_pct;
        to->comparison = from->comparison;
        to->regression = from->regression;
    }
    make_sentence(out, &r);
    compare_free(&r);
    return 0;
}

static void draw_row(const struct widget_table *t, int y, const struct difference_row *d)
{
    char text[FORMAT_TEXT];
    const struct comparison *c = &d->comparison;
    widget_table_cell(t, y, 0, STYLE_TEXT, d->cell);
    widget_table_cell(t, y, 1, STYLE_TEXT, d->arm);
    widget_table_cell(t, y, 2, STYLE_TEXT, format_digits(text, d->base_ms, 4));
    widget_table_cell(t, y, 3, STYLE_TEXT, format_digits(text, d->new_ms, 4));
    if (isfinite(d->change_pct))
        widget_table_format(t, y, 4, STYLE_TEXT, "%+.1f %%", d->change_pct);
    if (isfinite(c->speedup_ci.low) && isfinite(c->speedup_ci.high))
        widget_table_format(t, y, 5, STYLE_DIM, "%+.1f to %+.1f", 100 * (1 / c->speedup_ci.high - 1),
                            100 * (1 / c->speedup_ci.low - 1));
    widget_table_cell(t, y, 6, STYLE_DIM, format_p(text, c->p_holm));
    widget_table_cell(t, y, 7,
                      d->regression                      ? STYLE_ERROR
                      : !c->final                        ? STYLE_DIM
                      : c->verdict == VERDICT_SLOWER     ? STYLE_WARNING
                      : c->verdict == VERDICT_FASTER     ? STYLE_GOOD
                      : c->verdict == VERDICT_EQUIVALENT ? STYLE_TEXT
                                                         : STYLE_DIM,
                      d->regression ? "regression"
                      : !c->final   ? "open"
                                    : verdict_names[c->verdict]);
}

int difference_draw(struct grid *g, struct rect r, const struct difference *d, struct widget_scroll *scroll)
{
    struct widget_column columns[] = {
        {"cell", 20, 1, false, true},    {"arm", 8, 1, false, false},      {"base ms", 8, 4, true, false},
        {"new ms", 8, 3, true, false},   {"change", 8, 1, true, false},    {"interval", 15, 5, true, false},
        {"p (Holm)", 8, 6, true, false}, {"verdict", 12, 2, false, false},
    };
    char note[64];
    snprintf(note, sizeof note, "%d of %d", d->n ? scroll->cursor + 1 : 0, d->n);
    for (int i = 0; i < d->n; i++) {
        int width = grid_columns(d->row[i].arm);
        columns[1].width = width > columns[1].width ? width > 16 ? 16 : width : columns[1].width;
    }
    struct rect in = widget_panel(g, r, "New against base", note, true);
    int most = in.height / 2;
    struct rect head = layout_top(&in, most < 6 ? most : 6);
    int used = widget_paragraph(g, head, STYLE_SENTENCE, d->sentence);
    head.y += used;
    head.height -= used;
    if (head.height > 0) {
        grid_format(g, head.x, head.y, head.width, STYLE_DIM, "base %s   new %s", d->base, d->candidate);
        head.y++;
        head.height--;
        used++;
    }
    if (head.height > 0) {
        char text[1100];
        if (d->differences[0])
            snprintf(text, sizeof text, "Not the same (base / new): %s", d->differences);
        else
            snprintf(text, sizeof text, "The same machine, libraries and program.");
        used += widget_paragraph(g, head, d->differences[0] ? STYLE_WARNING : STYLE_DIM, text);
    }
    if (d->n == 0)
        return 0;
    int kept = used + 1 < most ? used + 1 : used;
    in = (struct rect){in.x, r.y + 1 + kept, in.width, r.y + r.height - 1 - (r.y + 1 + kept)};
    struct widget_table t;
    widget_table_begin(&t, g, in, columns, 8);
    widget_scroll_fit(scroll, d->n, t.area.height);
    for (int y = 0; y < t.area.height && scroll->top + y < d->n; y++) {
        draw_row(&t, y, &d->row[scroll->top + y]);
        if (scroll->top + y == scroll->cursor)
            widget_table_select(&t, y, true);
    }
    widget_scrollbar(g, r, scroll, d->n, t.area.height);
    return t.area.height;
}
