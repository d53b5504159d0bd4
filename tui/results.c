#include "tui/results.h"
#include "engine/headline.h"
#include "engine/worth.h"
#include "tui/format.h"
#include "tui/theme.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMES "\xc3\x97"
#define DASH  "\xe2\x80\x93"

void results_free(struct results *r)
{
    struct results kept = {.sort = r->sort, .reverse = r->reverse};
    memcpy(kept.filter, r->filter, sizeof kept.filter);
    free(r->row);
    summary_cache_free(r->cache);
    dashboard_free(&r->dashboard);
    free(r->shown);
    *r = kept;
}

static int64_t mark_of(const struct session_arm *arm, enum cell_status status)
{
    int64_t mark = (int64_t)status + 16 * (int64_t)arm->n_blocks;
    for (int i = 0; i < arm->n_blocks; i++)
        mark += 1024 * (int64_t)atomic_load_explicit(&arm->blocks[i]->n, memory_order_acquire) +
                (int64_t)arm->blocks[i]->flags;
    return mark;
}

static int lay_out(struct results *r, const struct session *s, struct error *e)
{
    int n = 0;
    for (int c = 0; c < s->n_cells; c++)
        n += s->cell[c].n_arms;
    if (r->row && r->n == n)
        return 0;
    results_free(r);
    r->row = calloc((size_t)n + 1, sizeof *r->row);
    r->shown = calloc((size_t)n + 1, sizeof *r->shown);
    if (!r->row || !r->shown) {
        results_free(r);
        return error_set(e, ERROR_MEMORY, "no memory for the results table: close other programs");
    }
    r->same_model = r->same_workload = r->same_batch = r->same_seq = true;
    for (int c = 0; c < s->n_cells; c++) {
        const struct session_cell *cell = &s->cell[c], *first = &s->cell[0];
        r->same_model = r->same_model && strcmp(cell->model, first->model) == 0;
        r->same_workload = r->same_workload && cell->workload == first->workload;
        r->same_batch = r->same_batch && cell->batch == first->batch;
        r->same_seq = r->same_seq && cell->seq == first->seq;
        int width = grid_columns(session_model_name(cell));
        r->model_width = width > r->model_width ? width : r->model_width;
        for (int a = 0; a < cell->n_arms; a++) {
            r->row[r->n++] = (struct results_row){.cell = c, .arm = a, .mark = -1};
            width = grid_columns(cell->arm[a].name) + 2;
            r->arm_width = width > r->arm_width ? width : r->arm_width;
        }
    }
    r->model_width = r->model_width < 5 ? 5 : r->model_width > 20 ? 20 : r->model_width;
    r->arm_width = r->arm_width < 5 ? 5 : r->arm_width > 18 ? 18 : r->arm_width;
    return 0;
}

const struct comparison *results_comparison(const struct results *r, const struct results_row *row)
{
    if (!r->comparison || row->arm == 0 || row->arm >= r->n_arms || !row->has_summary)
        return NULL;
    const struct comparison *c = &r->comparison[row->cell * r->n_arms + row->arm];
    return c->verdict == VERDICT_NONE ? NULL : c;
}

void results_cell_name(const struct session *s, int cell, char *out, size_t size)
{
    const struct session_cell *c = &s->cell[cell];
    snprintf(out, size, "%.60s \xc2\xb7 %s \xc2\xb7 batch %d \xc2\xb7 seq %d", session_model_name(c),
             workload_names[c->workload], c->batch, c->seq);
}

void results_short_name(const struct results *r, const struct session *s, int cell, char *out, size_t size)
{
    const struct session_cell *c = &s->cell[cell];
    char part[4][72] = {{0}};
    size_t used = 0;
    if (!r->same_model)
        snprintf(part[0], sizeof part[0], "%.60s", session_model_name(c));
    if (!r->same_workload)
        snprintf(part[1], sizeof part[1], "%s", workload_names[c->workload]);
    if (!r->same_batch || (r->same_seq && r->same_model && r->same_workload))
        snprintf(part[2], sizeof part[2], "batch %d", c->batch);
    if (!r->same_seq)
        snprintf(part[3], sizeof part[3], "seq %d", c->seq);
    out[0] = 0;
    for (int i = 0; i < 4; i++)
        if (part[i][0] && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " \xc2\xb7 " : "", part[i]);
}

static void find_quality(struct results *r, const struct session *s)
{
    r->quality = 0;
    r->has_text_rate = r->not_equivalent = false;
    for (int f = 0; f < WORTH_FIGURES; f++)
        r->quality |= (unsigned)worth_has(s, (enum worth_figure)f) << f;
    for (int i = 0; i < r->n; i++) {
        const struct session_arm *arm = &s->cell[r->row[i].cell].arm[r->row[i].arm];
        bool other = strcmp(arm->implementation.vocabulary, "standard") != 0;
        r->not_equivalent = r->not_equivalent || worth_not_equivalent(arm);
        r->has_text_rate =
            r->has_text_rate || (other && r->row[i].has_summary && arm->text.known & TEXT_TOKENS);
    }
}

static void sum_up(struct results *r, const struct session *s, struct results_row *row)
{
    const struct arm_summary *kept = summary_cache_arm(r->cache, s, row->cell, row->arm);
    if (kept)
        row->summary = *kept;
    else /* no block is complete yet: what there is of the first one */
        summary_arm(s, row->cell, row->arm, &row->summary);
    row->has_summary = row->summary.n > 0 && !row->summary.incomplete;
}

enum { STEP = 256 }; /* arms and pairs: tens of milliseconds */

double results_prepare(struct results *r, const struct session *s)
{
    struct error ignored = {0};
    if (lay_out(r, s, &ignored) != 0)
        return 1; /* results_build says why */
    if (!r->cache)
        r->cache = summary_cache_new();
    double done = r->cache ? summary_cache_step(r->cache, s, STEP) : 1;
    return done < 0 ? 1 : done;
}

int results_build(struct results *r, const struct session *s, struct error *e)
{
    if (lay_out(r, s, e) != 0)
        return -1;
    if (!r->cache && !(r->cache = summary_cache_new()))
        return error_set(e, ERROR_MEMORY, "no memory for the results table: close other programs");
    bool changed = !r->comparison;
    for (int i = 0; i < r->n; i++) {
        struct results_row *row = &r->row[i];
        const struct session_cell *cell = &s->cell[row->cell];
        row->status = session_arm_status(cell, row->arm);
        int64_t mark = mark_of(&cell->arm[row->arm], row->status);
        if (mark == row->mark)
            continue;
        row->mark = mark;
        sum_up(r, s, row);
        changed = true;
    }
    r->n_arms = s->preset.n_arms;
    find_quality(r, s);
    if (changed) {
        r->comparison = summary_cache_comparisons(r->cache, s, e);
        if (!r->comparison)
            return -1;
        dashboard_free(&r->dashboard); /* the next one who asks has it made anew */
        r->n_criteria = summary_cache_criteria(r->cache, s, r->criterion);
    }
    headline_print(s, r->cache, r->comparison, r->sentence, sizeof r->sentence);
    results_arrange(r, s);
    return 0;
}

const struct dashboard *results_dashboard(struct results *r, const struct session *s, int cell)
{
    struct error unused = {0};
    if (r->dashboard.row && r->dashboard_cell == cell)
        return &r->dashboard;
    dashboard_free(&r->dashboard);
    r->dashboard_cell = cell;
    if (!r->comparison || dashboard_build(s, cell, r->comparison, &r->dashboard, &unused) != 0)
        return NULL;
    return r->dashboard.n > 0 ? &r->dashboard : NULL;
}

bool results_has_column(const struct results *r, enum results_column column)
{
    switch (column) {
    case RESULTS_MODEL:
        return !r->same_model;
    case RESULTS_WORKLOAD:
        return !r->same_workload;
    case RESULTS_BATCH:
        return !r->same_batch;
    case RESULTS_SEQ:
        return !r->same_seq;
    case RESULTS_TEXT_RATE:
        return r->has_text_rate;
    case RESULTS_PERPLEXITY:
    case RESULTS_BITS:
    case RESULTS_KL:
    case RESULTS_TOP1:
    case RESULTS_REPLIES:
        return r->quality >> (column - RESULTS_PERPLEXITY) & 1u;
    case RESULTS_SPEEDUP:
    case RESULTS_SPEEDUP_CI:
    case RESULTS_VERDICT:
        return r->n_arms > 1;
    default:
        return true;
    }
}

/* the table's cells */

static void digits(char out[RESULTS_TEXT], double value, int n)
{
    char text[FORMAT_TEXT];
    snprintf(out, RESULTS_TEXT, "%s", format_digits(text, value, n));
}

/* At the decimals of the mean beside it. */
static void half_width(char out[RESULTS_TEXT], const struct arm_summary *a)
{
    char mean[FORMAT_TEXT];
    double half = (a->latency.ci.high - a->latency.ci.low) / 2;
    const char *point = strchr(format_digits(mean, a->latency.mean, 4), '.');
    if (isfinite(half))
        snprintf(out, RESULTS_TEXT, "%.*f", point ? (int)strlen(point + 1) : 0, half);
    else
        digits(out, NAN, 1);
}

static enum style memory_text(const struct session_arm *arm, char out[RESULTS_TEXT])
{
    char text[FORMAT_TEXT];
    int64_t peak = arm->has_measured ? arm->measured.peak : arm->predicted.peak;
    if (peak > 0)
        snprintf(out, RESULTS_TEXT, "%s%s", arm->has_measured ? "" : "~", format_bytes(text, (double)peak));
    return arm->has_measured ? STYLE_TEXT : STYLE_DIM;
}

static enum style comparison_text(const struct results *r, const struct session *s,
                                  const struct results_row *row, enum results_column column,
                                  char out[RESULTS_TEXT])
{
    const struct comparison *c = results_comparison(r, row);
    const struct output_check *check = &s->cell[row->cell].arm[row->arm].output;
    if (!c)
        return STYLE_TEXT;
    char a[FORMAT_TEXT], b[FORMAT_TEXT];
    bool wrong = check->checked && !check->passed;
    if (column == RESULTS_SPEEDUP) {
        if (isfinite(c->speedup))
            snprintf(out, RESULTS_TEXT, "%s" TIMES, format_digits(a, c->speedup, 3));
        return wrong || !c->final ? STYLE_DIM : STYLE_TEXT;
    }
    if (column == RESULTS_SPEEDUP_CI) {
        if (isfinite(c->speedup_ci.low) && isfinite(c->speedup_ci.high))
            snprintf(out, RESULTS_TEXT, "%s" DASH "%s", format_digits(a, c->speedup_ci.low, 3),
                     format_digits(b, c->speedup_ci.high, 3));
        return STYLE_DIM;
    }
    worth_verdict(c, &s->cell[row->cell].arm[row->arm], out, RESULTS_TEXT);
    if (wrong)
        return STYLE_ERROR;
    return !c->final || c->verdict == VERDICT_INCONCLUSIVE ? STYLE_DIM
           : c->verdict == VERDICT_FASTER                  ? STYLE_GOOD
           : c->verdict == VERDICT_SLOWER                  ? STYLE_WARNING
                                                           : STYLE_TEXT;
}

static enum style figure_text(const struct results_row *row, enum results_column column,
                              char out[RESULTS_TEXT])
{
    const struct arm_summary *a = &row->summary;
    char text[FORMAT_TEXT];
    switch (column) {
    case RESULTS_N:
        snprintf(out, RESULTS_TEXT, "%d", a->n);
        return a->flagged_blocks > 0 || a->rejected > 0 ? STYLE_WARNING : STYLE_TEXT;
    case RESULTS_MEAN:
        digits(out, a->latency.mean, 4);
        return STYLE_TEXT;
    case RESULTS_INTERVAL:
        half_width(out, a);
        return STYLE_DIM;
    case RESULTS_MEDIAN:
        digits(out, a->latency.median, 4);
        return STYLE_TEXT;
    case RESULTS_P95:
        digits(out, a->latency.p95, 4);
        return a->p95_supported ? STYLE_TEXT : STYLE_DIM;
    case RESULTS_P99:
        digits(out, a->latency.p99, 4);
        return a->p99_supported ? STYLE_TEXT : STYLE_DIM;
    case RESULTS_RATE:
        snprintf(out, RESULTS_TEXT, "%s", format_rate(text, a->tokens_per_second));
        return STYLE_TEXT;
    case RESULTS_TEXT_RATE:
        snprintf(out, RESULTS_TEXT, "%s", format_rate(text, a->text_bytes_per_second));
        return STYLE_TEXT;
    case RESULTS_BANDWIDTH:
        digits(out, a->bandwidth / 1e9, 3);
        return STYLE_TEXT;
    case RESULTS_LIMIT:
        snprintf(out, RESULTS_TEXT, "%s", format_percent(text, a->limit_share));
        return STYLE_TEXT;
    default:
        return STYLE_TEXT;
    }
}

enum style results_text(const struct results *r, const struct session *s, const struct results_row *row,
                        enum results_column column, char out[RESULTS_TEXT])
{
    const struct session_cell *c = &s->cell[row->cell];
    out[0] = 0;
    switch (column) {
    case RESULTS_MODEL:
        snprintf(out, RESULTS_TEXT, "%.90s", session_model_name(c));
        return STYLE_TEXT;
    case RESULTS_WORKLOAD:
        snprintf(out, RESULTS_TEXT, "%s", workload_names[c->workload]);
        return STYLE_TEXT;
    case RESULTS_BATCH:
        snprintf(out, RESULTS_TEXT, "%d", c->batch);
        return STYLE_TEXT;
    case RESULTS_SEQ:
        snprintf(out, RESULTS_TEXT, "%d", c->seq);
        return STYLE_TEXT;
    case RESULTS_ARM:
        snprintf(out, RESULTS_TEXT, "%c %s", theme_arm_letter(row->arm), c->arm[row->arm].name);
        return theme_arm(row->arm);
    case RESULTS_PEAK:
        return memory_text(&c->arm[row->arm], out);
    case RESULTS_PERPLEXITY:
    case RESULTS_BITS:
    case RESULTS_KL:
    case RESULTS_TOP1:
    case RESULTS_REPLIES:
        worth_text(&c->arm[row->arm].quality, (enum worth_figure)(column - RESULTS_PERPLEXITY), out,
                   RESULTS_TEXT);
        return STYLE_TEXT;
    case RESULTS_SPEEDUP:
    case RESULTS_SPEEDUP_CI:
    case RESULTS_VERDICT:
        return comparison_text(r, s, row, column, out);
    default:
        return row->has_summary ? figure_text(row, column, out) : STYLE_TEXT;
    }
}

void results_status_text(const struct session *s, const struct results_row *row, char *out, size_t size)
{
    static const char *const words[] = {[CELL_PENDING] = "not measured yet",
                                        [CELL_RUNNING] = "being measured",
                                        [CELL_OK] = "no samples",
                                        [CELL_OUT_OF_MEMORY] = "does not fit",
                                        [CELL_UNSUPPORTED] = "unsupported",
                                        [CELL_FAILED] = "failed",
                                        [CELL_SKIPPED] = "skipped",
                                        [CELL_STOPPED] = "stopped"};
    const struct session_cell *c = &s->cell[row->cell];
    const char *reason = c->arm[row->arm].reason[0] ? c->arm[row->arm].reason : c->reason;
    const char *word = words[row->status];
    size_t length = strlen(word);
    /* A reason that already begins with the word is not told twice. */
    if (strncmp(reason, word, length) == 0)
        snprintf(out, size, "%s", reason);
    else
        snprintf(out, size, "%s%s%s", word, reason[0] ? ": " : "", reason);
}

/* order */

static double sort_number(const struct results *r, const struct session *s, const struct results_row *row)
{
    const struct session_cell *c = &s->cell[row->cell];
    const struct arm_summary *a = &row->summary;
    const struct comparison *k = results_comparison(r, row);
    const struct session_arm *arm = &c->arm[row->arm];
    switch (r->sort) {
    case RESULTS_BATCH:
        return c->batch;
    case RESULTS_SEQ:
        return c->seq;
    case RESULTS_ARM:
        return row->arm;
    case RESULTS_WORKLOAD:
        return c->workload;
    case RESULTS_PEAK:
        return (double)(arm->has_measured ? arm->measured.peak : arm->predicted.peak);
    case RESULTS_SPEEDUP:
    case RESULTS_SPEEDUP_CI:
        return k ? k->speedup : NAN;
    case RESULTS_PERPLEXITY:
        return quality_figure(&arm->quality, QUALITY_PERPLEXITY);
    case RESULTS_BITS:
        return quality_figure(&arm->quality, QUALITY_BITS);
    case RESULTS_KL:
        return quality_figure(&arm->quality, QUALITY_KL);
    case RESULTS_TOP1:
        return quality_figure(&arm->quality, QUALITY_TOP1);
    case RESULTS_REPLIES:
        return quality_figure(&arm->quality, QUALITY_RESPONSES);
    case RESULTS_VERDICT:
        return k ? (double)k->verdict + (k->final ? 0 : 8) : NAN;
    default:
        break;
    }
    if (!row->has_summary)
        return NAN;
    switch (r->sort) {
    case RESULTS_N:
        return a->n;
    case RESULTS_MEAN:
        return a->latency.mean;
    case RESULTS_INTERVAL:
        return (a->latency.ci.high - a->latency.ci.low) / a->latency.mean;
    case RESULTS_MEDIAN:
        return a->latency.median;
    case RESULTS_P95:
        return a->latency.p95;
    case RESULTS_P99:
        return a->latency.p99;
    case RESULTS_RATE:
        return a->tokens_per_second;
    case RESULTS_TEXT_RATE:
        return a->text_bytes_per_second;
    case RESULTS_BANDWIDTH:
        return a->bandwidth;
    case RESULTS_LIMIT:
        return a->limit_share;
    default:
        return NAN;
    }
}

struct sort_key {
    double number;
    const char *text;
    int index;
    bool reverse;
};

/* Rows without the figure stand last in either direction. */
static int by_key(const void *x, const void *y)
{
    const struct sort_key *a = x, *b = y;
    int order;
    if (a->text && b->text) {
        order = strcmp(a->text, b->text);
    } else {
        if (isnan(a->number) != isnan(b->number))
            return isnan(a->number) ? 1 : -1;
        order = a->number < b->number ? -1 : a->number > b->number;
    }
    if (order == 0)
        return a->index - b->index;
    return a->reverse ? -order : order;
}

static bool is_shown(const struct results *r, const struct session *s, const struct results_row *row)
{
    if (!r->filter[0])
        return true;
    char text[640], status[320] = "", verdict[RESULTS_TEXT];
    const struct session_cell *c = &s->cell[row->cell];
    results_text(r, s, row, RESULTS_VERDICT, verdict);
    if (!row->has_summary)
        results_status_text(s, row, status, sizeof status);
    snprintf(text, sizeof text, "%.80s %s batch %d seq %d %.60s %s %s", c->model, workload_names[c->workload],
             c->batch, c->seq, c->arm[row->arm].name, verdict, status);
    return widget_matches(text, r->filter);
}

void results_arrange(struct results *r, const struct session *s)
{
    struct sort_key *key = calloc((size_t)r->n + 1, sizeof *key);
    r->n_shown = 0;
    for (int i = 0; i < r->n; i++)
        if (is_shown(r, s, &r->row[i]))
            r->shown[r->n_shown++] = i;
    for (int i = 0; key && i < r->n_shown; i++) {
        const struct results_row *row = &r->row[r->shown[i]];
        key[i] = (struct sort_key){.index = r->shown[i], .reverse = r->reverse};
        if (r->sort == RESULTS_MODEL)
            key[i].text = s->cell[row->cell].model;
        else
            key[i].number = r->sort == RESULTS_PLAN_ORDER ? r->shown[i] : sort_number(r, s, row);
    }
    if (key)
        qsort(key, (size_t)r->n_shown, sizeof *key, by_key);
    for (int i = 0; key && i < r->n_shown; i++)
        r->shown[i] = key[i].index;
    free(key);
}

int results_find(const struct results *r, int cell, int arm)
{
    for (int i = 0; i < r->n_shown; i++)
        if (r->row[r->shown[i]].cell == cell && r->row[r->shown[i]].arm == arm)
            return i;
    return -1;
}
