#include "engine/cache_table.h"

#include "engine/columns.h"
#include "engine/figure.h"

#include <math.h>
#include <stdio.h>

enum { COLUMNS = 15, CELL_TEXT = 128 };

static const struct column head[COLUMNS] = {
    {"model", true, 0},       {"workload", true, 0}, {"batch", false, 0},    {"seq", false, 0},
    {"cache", true, 0},       {"used", false, 0},    {"held", false, 0},     {"saved", false, 0},
    {"reserved", false, 2},   {"page", false, 4},    {"growths", false, 5},  {"waited ms", false, 3},
    {"longest ms", false, 6}, {"tok/s", false, 0},   {"speed-up", false, 0},
};

bool cache_bytes_of(const struct session_cell *cell, const struct session_arm *arm, struct cache_bytes *out)
{
    const struct memory_pages *p = &arm->measured.kv_pages;
    if (!arm->has_measured || p->page_bytes <= 0 || p->contiguous <= 0 || cell->batch < 1)
        return false;
    *out = (struct cache_bytes){arm->measured.kv_used / cell->batch, p->committed / cell->batch,
                                p->reserved / cell->batch, p->contiguous / cell->batch};
    return true;
}

/* Whether two arms of the cell keep their keys and values differently, and say so. */
static bool differs(const struct session_cell *cell)
{
    int first = -1;
    struct cache_bytes bytes;
    for (int j = 0; j < cell->n_arms; j++) {
        if (!cache_bytes_of(cell, &cell->arm[j], &bytes))
            continue;
        if (first < 0)
            first = j;
        else if (cell->arm[j].implementation.kv_cache != cell->arm[first].implementation.kv_cache)
            return true;
    }
    return false;
}

static void put_bytes(char *out, int64_t bytes)
{
    figure_bytes((double)bytes, out, CELL_TEXT);
}

/* "1.13 MiB (44 %)"; where rounding to pages costs more than it saves: "-12 KiB". */
static void put_saved(char *out, const struct cache_bytes *b)
{
    char number[FIGURE_TEXT], share[FIGURE_TEXT];
    int64_t saved = b->contiguous - b->held;
    figure_bytes(fabs((double)saved), number, sizeof number);
    if (saved > 0)
        snprintf(out, CELL_TEXT, "%s (%s)", number,
                 figure_percent((double)saved / (double)b->contiguous, 0, share, sizeof share));
    else
        snprintf(out, CELL_TEXT, "%s%s", saved < 0 ? "-" : "", number);
}

static void put_ms(char *out, bool known, int64_t ns)
{
    if (known)
        figure_digits((double)ns / 1e6, 3, out, CELL_TEXT);
}

static void put_speed(char *rate, char *speedup, const struct arm_summary *a, const struct comparison *c)
{
    char number[FIGURE_TEXT];
    figure_digits(a->tokens_per_second, 4, rate, CELL_TEXT);
    if (c->verdict == VERDICT_NONE)
        return;
    double half = (c->speedup_ci.high - c->speedup_ci.low) / 2;
    int decimals = figure_scale_decimals(c->speedup, isfinite(half) ? half : 0.02);
    snprintf(speedup, CELL_TEXT, "%s %s", figure_fixed(c->speedup, decimals, number, sizeof number),
             verdict_names[c->verdict]);
}

static void fill_row(const struct session *s, const struct comparison *comparisons, int i, int j,
                     char cell[COLUMNS][CELL_TEXT], struct text *out)
{
    const struct session_cell *c = &s->cell[i];
    const struct session_arm *arm = &c->arm[j];
    const struct memory_pages *p = &arm->measured.kv_pages;
    bool grows = arm->implementation.kv_cache == KV_CACHE_VIRTUAL;
    struct arm_summary a;
    struct cache_bytes bytes;
    summary_arm(s, i, j, &a);
    out->failed = out->failed || a.incomplete;
    for (int k = 0; k < COLUMNS; k++)
        cell[k][0] = '\0';
    snprintf(cell[0], CELL_TEXT, "%.120s", j == 0 ? c->model : "");
    snprintf(cell[1], CELL_TEXT, "%s", j == 0 ? workload_names[c->workload] : "");
    if (j == 0) {
        snprintf(cell[2], CELL_TEXT, "%d", c->batch);
        snprintf(cell[3], CELL_TEXT, "%d", c->seq);
    }
    snprintf(cell[4], CELL_TEXT, "%.120s", arm->name);
    put_speed(cell[13], cell[14], &a, &comparisons[i * s->preset.n_arms + j]);
    if (!cache_bytes_of(c, arm, &bytes))
        return;
    put_bytes(cell[5], bytes.used);
    put_bytes(cell[6], bytes.held);
    put_saved(cell[7], &bytes);
    put_bytes(cell[8], bytes.reserved);
    put_bytes(cell[9], p->page_bytes);
    if (grows)
        snprintf(cell[10], CELL_TEXT, "%lld", (long long)(p->hidden_growths + p->exposed_growths));
    put_ms(cell[11], grows, p->exposed_ns);
    put_ms(cell[12], grows, p->hidden_max_ns > p->exposed_max_ns ? p->hidden_max_ns : p->exposed_max_ns);
}

static void print_row(char cell[COLUMNS][CELL_TEXT], struct columns *t, struct text *out)
{
    for (int k = 0; k < COLUMNS; k++) {
        if (t)
            columns_cell(t, cell[k]);
        else
            text_format(out, "%s%s%s", k == 0 ? "| " : " | ", cell[k], k == COLUMNS - 1 ? " |\n" : "");
    }
}

static void print_head(struct text *out)
{
    for (int k = 0; k < COLUMNS; k++)
        text_format(out, "%s%s%s", k == 0 ? "| " : " | ", head[k].title, k == COLUMNS - 1 ? " |\n" : "");
    for (int k = 0; k < COLUMNS; k++)
        text_format(out, "|%s%s", head[k].left ? "---" : "--:", k == COLUMNS - 1 ? "|\n" : "");
}

void cache_table_print(const struct session *s, const struct comparison *comparisons, bool markdown,
                       int width, struct text *out)
{
    static const char about[] =
        "Key-value cache, bytes per sequence: used by tokens, held in blocks or pages "
        "that no other sequence can have, saved against a contiguous cache at "
        "capacity.";
    bool any = false;
    for (int i = 0; i < s->n_cells; i++)
        any = any || differs(&s->cell[i]);
    if (!any)
        return;
    struct columns *t = markdown ? NULL : columns_new(head, COLUMNS);
    if (markdown) {
        text_format(out, "\n## Key-value cache\n\n%s\n\n", about + 17);
        print_head(out);
    } else {
        columns_wrap(about, width, 2, out);
    }
    for (int i = 0; i < s->n_cells; i++)
        for (int j = 0; differs(&s->cell[i]) && j < s->cell[i].n_arms && j < s->preset.n_arms; j++) {
            char cell[COLUMNS][CELL_TEXT];
            fill_row(s, comparisons, i, j, cell, out);
            if (t || markdown)
                print_row(cell, t, out);
        }
    if (!markdown) { /* without memory t is NULL, and columns_print says so */
        columns_print(t, width, out);
        columns_free(t);
    }
}
