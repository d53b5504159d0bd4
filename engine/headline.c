#include "engine/headline.h"
#include "engine/figure.h"
#include "engine/worth.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TIMES "\xc3\x97"
#define DASH  "\xe2\x80\x93"
enum { WIDE = FIGURE_TEXT };

/* What a headline is written from. */
struct figures {
    const struct session *s;
    struct summary_cache *cache;
    const struct comparison *comparison;
};

/* Of a candidate that was compared; NULL else. */
static const struct comparison *compared(const struct figures *f, int cell, int arm)
{
    const struct comparison *c = f->comparison ? &f->comparison[cell * f->s->preset.n_arms + arm] : NULL;
    return !c || arm == 0 || arm >= f->s->cell[cell].n_arms || c->verdict == VERDICT_NONE ? NULL : c;
}

/* false: nothing was measured. Before a block is complete, what there is of the first one. */
static bool measured(const struct figures *f, int cell, int arm, struct arm_summary *out)
{
    const struct arm_summary *kept = summary_cache_arm(f->cache, f->s, cell, arm);
    if (kept)
        *out = *kept;
    else
        summary_arm(f->s, cell, arm, out);
    return out->n > 0 && !out->incomplete;
}

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

static struct tally tally_of(const struct figures *f, int arm)
{
    struct tally t = {.low = INFINITY, .high = 0, .slower_low = INFINITY, .slower_high = 0};
    for (int cell = 0; cell < f->s->n_cells; cell++) {
        const struct comparison *c = compared(f, cell, arm);
        if (!c)
            continue;
        const struct output_check *check = &f->s->cell[cell].arm[arm].output;
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
    char a[WIDE], b[WIDE];
    figure_digits(low, 3, a, sizeof a);
    figure_digits(high, 3, b, sizeof b);
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

static void add_statuses(char *out, size_t size, const struct session *s)
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
        int cells = 0;
        for (int c = 0; c < s->n_cells; c++) {
            bool any = false;
            for (int arm = 0; arm < s->cell[c].n_arms; arm++)
                any = any || session_arm_status(&s->cell[c], arm) == words[w].status;
            cells += any;
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
static void add_rates(char *out, size_t size, const struct figures *f)
{
    double low = INFINITY, high = 0;
    int cells = 0;
    struct arm_summary a;
    for (int cell = 0; cell < f->s->n_cells; cell++) {
        double rate = measured(f, cell, 0, &a) ? a.tokens_per_second : (double)NAN;
        if (!isfinite(rate))
            continue;
        low = fmin(low, rate);
        high = fmax(high, rate);
        cells++;
    }
    if (cells == 0)
        return;
    const char *name = f->s->preset.arms[0].name;
    char least[WIDE], most[WIDE];
    figure_rate(low, 3, least, sizeof least);
    figure_rate(high, 3, most, sizeof most);
    if (strcmp(least, most) == 0)
        add(out, size, "%s reaches %s tok/s", name, least);
    else
        add(out, size, "%s reaches %s to %s tok/s over %d cells", name, least, most, cells);
}

/* Tokens of another vocabulary are other pieces of text: what a reader gets per second is text. */
static void add_text_rate(char *out, size_t size, const struct figures *f, int arm)
{
    double low = INFINITY, high = -INFINITY;
    char text[WIDE], upper[WIDE];
    const struct session *s = f->s;
    if (strcmp(s->preset.arms[arm].implementation.vocabulary, s->preset.arms[0].implementation.vocabulary) ==
        0)
        return;
    for (int cell = 0; cell < s->n_cells; cell++) {
        const struct comparison *c = compared(f, cell, arm);
        struct arm_summary base, mine, *a = &base, *b = &mine;
        if (!c || !c->final || s->cell[cell].workload == WORKLOAD_TOKENIZE || !measured(f, cell, 0, a) ||
            !measured(f, cell, arm, b))
            continue;
        /* More text in a token: the speed-up and its interval times that. */
        double more = b->text_bytes_per_second / a->text_bytes_per_second * b->latency.mean / a->latency.mean;
        double ratio = more * c->speedup;
        if (!isfinite(ratio) || !(more * c->speedup_ci.low > 1 || more * c->speedup_ci.high < 1))
            continue; /* not told from none */
        low = fmin(low, ratio);
        high = fmax(high, ratio);
    }
    if (low > high)
        return;
    figure_digits(low, 3, text, sizeof text);
    figure_digits(high, 3, upper, sizeof upper);
    bool one = strcmp(text, upper) == 0;
    add(out, size, "; text per second %s%s%s" TIMES, text, one ? "" : DASH, one ? "" : upper);
}

/* What is said of one candidate. Returns whether its quality was judged. */
static bool add_clause(char *out, size_t size, const struct figures *f, int arm, const struct tally *t,
                       bool first)
{
    const struct session *s = f->s;
    char cost[224];
    if (s->n_cells == 1 && s->preset.n_arms == 2)
        add(out, size, "%s", f->comparison[arm].sentence);
    else
        add_candidate(out, size, s, arm, t, first);
    bool judged = worth_cost(s, -1, arm, cost, sizeof cost)[0];
    if (judged)
        add(out, size, "%s%s", s->preset.n_arms > 2 ? ", " : "; ", cost);
    add_text_rate(out, size, f, arm);
    return judged;
}

/* All candidates, as far as they fit: what is left out is counted, never cut. */
static int add_candidates(char *out, size_t size, const struct figures *f)
{
    enum { TAIL = 160 }; /* for the source of quality, and what follows the candidates */
    const struct session *s = f->s;
    int told = 0, left = 0;
    bool judged = false;
    char source[224];
    for (int arm = 1; arm < s->preset.n_arms; arm++) {
        struct tally t = tally_of(f, arm);
        char clause[640] = "";
        if (t.compared == 0)
            continue;
        bool costs = add_clause(clause, sizeof clause, f, arm, &t, told == 0);
        if (left > 0 || (told > 0 && strlen(out) + strlen(clause) + TAIL > size)) {
            left++;
            continue;
        }
        add(out, size, "%s%s", told > 0 ? "; " : "", clause);
        judged = judged || costs;
        told++;
    }
    if (judged && worth_source(s, -1, source, sizeof source)[0])
        add(out, size, " (quality on %s)", source);
    if (left > 0)
        add(out, size, "; %d more %s in the table", left, left == 1 ? "arm" : "arms");
    return told;
}

void headline_print(const struct session *s, struct summary_cache *cache, const struct comparison *comparison,
                    char *out, size_t size)
{
    const struct figures f = {s, cache, comparison};
    out[0] = 0;
    if (session_unreal(s)[0]) {
        add(out, size, "%s: ", session_unreal(s)); /* first: a long sentence loses its end */
        size -= strlen(out);
        out += strlen(out);
    }
    int told = add_candidates(out, size, &f);
    if (told == 0)
        add_rates(out, size, &f);
    add_statuses(out, size, s);
    if (s->status == SESSION_FAILED || s->status == SESSION_STOPPED)
        add(out, size, "%sthe run %s%s%s", out[0] ? "; " : "",
            s->status == SESSION_FAILED ? "failed" : "was stopped", s->message[0] ? ": " : "", s->message);
    if (!out[0])
        snprintf(out, size, "Nothing was measured.");
}
