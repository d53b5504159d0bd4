#include "tui/results_sentence.h"
#include "engine/worth.h"
#include "tui/format.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TIMES "\xc3\x97"
#define DASH  "\xe2\x80\x93"

struct tally { /* of one candidate over the cells */
    int compared, faster, slower, equivalent, inconclusive, refused, open;
    int seems_faster, seems_slower; /* of the inconclusive ones: the interval leaves 1 out all the same */
    int open_faster, open_slower;   /* the same of those whose rounds are not done */
    double low, high;               /* speed-ups of the cells where it is faster */
    double slower_low, slower_high;
};

static void add(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add(char *out, size_t size, const char *format, ...)
{
    size_t used = strlen(out);
    va_list list;
    va_start(list, format);
    vsnprintf(out + used, size - used, format, list);
    va_end(list);
}

static struct tally tally_of(const struct results *r, const struct session *s, int arm)
{
    struct tally t = {.low = INFINITY, .high = 0, .slower_low = INFINITY, .slower_high = 0};
    for (int i = 0; i < r->n; i++) {
        const struct comparison *c = r->row[i].arm == arm ? results_comparison(r, &r->row[i]) : NULL;
        if (!c)
            continue;
        const struct output_check *check = &s->cell[r->row[i].cell].arm[arm].output;
        t.compared++;
        if (check->checked && !check->passed)
            t.refused++;
        else if (!c->final) {
            t.open++;
            t.open_faster += summary_leaning(c) > 0;
            t.open_slower += summary_leaning(c) < 0;
        } else if (c->verdict == VERDICT_FASTER) {
            t.faster++;
            t.low = fmin(t.low, c->speedup);
            t.high = fmax(t.high, c->speedup);
        } else if (c->verdict == VERDICT_SLOWER) {
            t.slower++;
            t.slower_low = fmin(t.slower_low, 1 / c->speedup);
            t.slower_high = fmax(t.slower_high, 1 / c->speedup);
        } else if (c->verdict == VERDICT_EQUIVALENT)
            t.equivalent++;
        else {
            t.inconclusive++;
            t.seems_faster += summary_leaning(c) > 0;
            t.seems_slower += summary_leaning(c) < 0;
        }
    }
    return t;
}

static const char *ratio_range(char out[80], double low, double high)
{
    char a[FORMAT_TEXT], b[FORMAT_TEXT];
    format_digits(a, low, 3);
    format_digits(b, high, 3);
    if (strcmp(a, b) == 0)
        snprintf(out, 80, "%s" TIMES, a);
    else
        snprintf(out, 80, "%s" DASH "%s" TIMES, a, b);
    return out;
}

static void add_part(char *out, size_t size, const char *word, int n)
{
    if (n > 0)
        add(out, size, ", %s in %d", word, n);
}

/* " in both cells", " in 3 of 5 cells": of all that were compared. */
static const char *share_of(char out[48], int n, int all)
{
    if (n == all)
        snprintf(out, 48, n == 1 ? "" : n == 2 ? " in both cells" : " in all %d cells", n);
    else
        snprintf(out, 48, " in %d of %d cells", n, all);
    return out;
}

/* A candidate without any verdict, in the words its cells use. */
static void add_unranked(char *out, size_t size, const struct session *s, int arm, const struct tally *t)
{
    const char *name = s->preset.arms[arm].name, *baseline = s->preset.arms[0].name;
    char in[48];
    if (t->seems_faster) {
        add(out, size, "%s seems faster than %s, without a verdict%s", name, baseline,
            share_of(in, t->seems_faster, t->compared));
        add_part(out, size, "slower", t->seems_slower);
    } else if (t->seems_slower)
        add(out, size, "%s seems slower than %s, without a verdict%s", name, baseline,
            share_of(in, t->seems_slower, t->compared));
    else if (t->inconclusive == t->compared)
        add(out, size,
            t->compared > 1 ? "%s is not shown to differ from %s in any of %d cells"
                            : "%s is not shown to differ from %s",
            name, baseline, t->compared);
    else if (t->inconclusive)
        add(out, size, "%s is not shown to differ from %s in %d of %d cells", name, baseline, t->inconclusive,
            t->compared);
    else if (t->open_faster == t->compared || t->open_slower == t->compared)
        add(out, size, "%s is %s than %s so far%s; too few rounds for a verdict", name,
            t->open_faster ? "faster" : "slower", baseline, share_of(in, t->open, t->compared));
    else if (t->open)
        add(out, size, "%s against %s: too few rounds for a verdict", name, baseline);
    else
        add(out, size, "%s is not ranked: its output is not that of %s", name, baseline);
}

/* "fused is 1.31–1.52× faster than baseline in 12 of 14 cells, equivalent in 2" */
static void add_candidate(char *out, size_t size, const struct session *s, int arm, const struct tally *t,
                          bool first)
{
    char range[80], in[48] = "", than[80] = "";
    const char *name = s->preset.arms[arm].name;
    int led = t->faster ? t->faster : t->slower ? t->slower : t->equivalent;
    share_of(in, led, t->compared);
    if (first)
        snprintf(than, sizeof than, " %s %s", t->faster || t->slower ? "than" : "to", s->preset.arms[0].name);
    if (t->faster)
        add(out, size, "%s is %s faster%s%s", name, ratio_range(range, t->low, t->high), than, in);
    else if (t->slower)
        add(out, size, "%s is %s slower%s%s", name, ratio_range(range, t->slower_low, t->slower_high), than,
            in);
    else if (t->equivalent)
        add(out, size, "%s is equivalent%s%s", name, than, in);
    else
        add_unranked(out, size, s, arm, t);
    if (t->faster)
        add_part(out, size, "slower", t->slower);
    if (t->faster || t->slower)
        add_part(out, size, "equivalent", t->equivalent);
    int seems = t->seems_faster + t->seems_slower;
    if (led > 0) {
        add_part(out, size, "without a verdict but seemingly faster", t->seems_faster);
        add_part(out, size, "without a verdict but seemingly slower", t->seems_slower);
    }
    if (led > 0 || seems > 0)
        add_part(out, size, led > 0 ? "inconclusive" : "not shown to differ", t->inconclusive - seems);
    if (led > 0 || t->inconclusive > 0) {
        add_part(out, size, "too few rounds", t->open);
        add_part(out, size, "wrong output", t->refused);
    }
}

static void add_statuses(char *out, size_t size, const struct results *r, const struct session *s)
{
    static const struct {
        enum cell_status status;
        const char *one, *many;
    } words[] = {{CELL_OUT_OF_MEMORY, "1 cell did not fit", "%d cells did not fit"},
                 {CELL_UNSUPPORTED, "1 cell is unsupported in part", "%d cells are unsupported in part"},
                 {CELL_FAILED, "1 cell failed", "%d cells failed"},
                 {CELL_SKIPPED, "1 cell was skipped", "%d cells were skipped"},
                 {CELL_STOPPED, "1 cell was stopped", "%d cells were stopped"}};
    for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
        int cells = 0, last = -1;
        for (int i = 0; i < r->n; i++)
            if (r->row[i].status == words[w].status && r->row[i].cell != last) {
                cells++;
                last = r->row[i].cell;
            }
        if (cells == 0)
            continue;
        char text[64];
        snprintf(text, sizeof text, words[w].many, cells);
        add(out, size, "%s%s", out[0] ? "; " : "", cells == 1 ? words[w].one : text);
    }
    int done = 0;
    for (int c = 0; c < s->n_cells; c++)
        done += s->cell[c].status > CELL_RUNNING;
    if (done < s->n_cells)
        add(out, size, "%s%d of %d cells done", out[0] ? "; " : "", done, s->n_cells);
}

/* One arm alone has nobody to be compared with: its throughput. */
static void add_rates(char *out, size_t size, const struct results *r, const struct session *s)
{
    double low = INFINITY, high = 0;
    int cells = 0;
    for (int i = 0; i < r->n; i++) {
        double rate = r->row[i].has_summary ? r->row[i].summary.tokens_per_second : NAN;
        if (r->row[i].arm > 0 || !isfinite(rate))
            continue;
        low = fmin(low, rate);
        high = fmax(high, rate);
        cells++;
    }
    if (cells == 0)
        return;
    char a[FORMAT_TEXT], b[FORMAT_TEXT];
    format_rate(a, low);
    format_rate(b, high);
    if (strcmp(a, b) == 0)
        add(out, size, "%s reaches %s tok/s", s->preset.arms[0].name, a);
    else
        add(out, size, "%s reaches %s to %s tok/s over %d cells", s->preset.arms[0].name, a, b, cells);
}

/* Tokens of another vocabulary are other pieces of text: what a reader gets per second is text. */
static void add_text_rate(char *out, size_t size, const struct results *r, const struct session *s, int arm)
{
    double low = INFINITY, high = -INFINITY;
    char text[FORMAT_TEXT], upper[FORMAT_TEXT];
    if (strcmp(s->preset.arms[arm].implementation.vocabulary, s->preset.arms[0].implementation.vocabulary) ==
        0)
        return;
    for (int i = 0; i < r->n; i++) {
        const struct results_row *row = &r->row[i], *base = row - row->arm;
        const struct comparison *c = row->arm == arm ? results_comparison(r, row) : NULL;
        if (!c || !c->final || !base->has_summary || s->cell[row->cell].workload == WORKLOAD_TOKENIZE)
            continue;
        /* More text in a token: the speed-up and its interval times that. */
        const struct arm_summary *a = &base->summary, *b = &row->summary;
        double more = b->text_bytes_per_second / a->text_bytes_per_second * b->latency.mean / a->latency.mean;
        double ratio = more * c->speedup;
        if (!isfinite(ratio) || !(more * c->speedup_ci.low > 1 || more * c->speedup_ci.high < 1))
            continue; /* not told from none */
        low = fmin(low, ratio);
        high = fmax(high, ratio);
    }
    if (low > high)
        return;
    format_digits(text, low, 3);
    format_digits(upper, high, 3);
    bool one = strcmp(text, upper) == 0;
    add(out, size, "; text per second %s%s%s" TIMES, text, one ? "" : DASH, one ? "" : upper);
}

void results_sentence(const struct results *r, const struct session *s, char *out, size_t size)
{
    int told = 0;
    bool judged = false;
    char cost[224];
    out[0] = 0;
    for (int arm = 1; arm < r->n_arms; arm++) {
        struct tally t = tally_of(r, s, arm);
        if (t.compared == 0)
            continue;
        if (told > 0)
            add(out, size, "; ");
        if (s->n_cells == 1 && r->n_arms == 2)
            add(out, size, "%s", r->comparison[arm].sentence);
        else
            add_candidate(out, size, s, arm, &t, told == 0);
        told++;
        if (worth_cost(s, -1, arm, cost, sizeof cost)[0])
            add(out, size, "%s%s", r->n_arms > 2 ? ", " : "; ", cost);
        judged = judged || cost[0];
        add_text_rate(out, size, r, s, arm);
    }
    if (judged && worth_source(s, -1, cost, sizeof cost)[0])
        add(out, size, " (quality on %s)", cost);
    if (told == 0)
        add_rates(out, size, r, s);
    add_statuses(out, size, r, s);
    if (s->status == SESSION_FAILED || s->status == SESSION_STOPPED)
        add(out, size, "%sthe run %s%s%s", out[0] ? "; " : "",
            s->status == SESSION_FAILED ? "failed" : "was stopped", s->message[0] ? ": " : "", s->message);
    if (!out[0])
        snprintf(out, size, "Nothing was measured.");
}
