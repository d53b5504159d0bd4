/* Criteria and questions of the Markdown report, answered from the data alone. */
#include "engine/export_formats.h"
#include "engine/figure.h"
#include "engine/text.h"
#include "engine/worth.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDE = FIGURE_TEXT * 12 };

/* The project's goals where a preset states none: latency 10-15 % lower, bandwidth 20-30 % higher. */
static const double GOAL_LATENCY = 0.10, GOAL_BANDWIDTH = 0.20;

/* One gain of every candidate in every cell, gathered. */
struct gains {
    int n, met; /* with data; at or above the target */
    double worst, best, sum;
};

typedef double (*gain_of)(const struct session *s, int cell, int arm, const struct comparison *c);

static double latency_gain(const struct session *s, int cell, int arm, const struct comparison *c)
{
    (void)s, (void)cell, (void)arm;
    return 1 - 1 / c->speedup;
}

static double throughput_gain(const struct session *s, int cell, int arm, const struct comparison *c)
{
    (void)s, (void)cell, (void)arm;
    return c->speedup - 1;
}

static double bandwidth_gain(const struct session *s, int cell, int arm, const struct comparison *c)
{
    struct arm_summary a, b;
    (void)c;
    summary_arm(s, cell, 0, &a);
    summary_arm(s, cell, arm, &b);
    return b.bandwidth / a.bandwidth - 1;
}

static double memory_gain(const struct session *s, int cell, int arm, const struct comparison *c)
{
    const struct session_arm *a = &s->cell[cell].arm[0], *b = &s->cell[cell].arm[arm];
    (void)c;
    return a->has_measured && b->has_measured && a->measured.peak > 0
               ? 1 - (double)b->measured.peak / (double)a->measured.peak
               : (double)NAN;
}

static bool refused(const struct session_arm *a)
{
    return a->output.checked && !a->output.passed;
}

static struct gains gather(const struct session *s, const struct comparison *comparisons, gain_of gain,
                           double target)
{
    struct gains g = {0};
    for (int i = 0; i < s->n_cells; i++) {
        for (int j = 1; j < s->cell[i].n_arms; j++) {
            const struct comparison *c = &comparisons[i * s->preset.n_arms + j];
            double value =
                c->verdict == VERDICT_NONE || refused(&s->cell[i].arm[j]) ? (double)NAN : gain(s, i, j, c);
            if (isnan(value))
                continue;
            g.worst = g.n == 0 || value < g.worst ? value : g.worst;
            g.best = g.n == 0 || value > g.best ? value : g.best;
            g.sum += value;
            g.met += target > 0 ? value >= target : value > 0;
            g.n++;
        }
    }
    return g;
}

static void put_metric(struct text *out, const char *name, const struct session *s,
                       const struct comparison *comparisons, gain_of gain, double target)
{
    struct gains g = gather(s, comparisons, gain, target);
    char t[4][WIDE];
    text_format(out, "| %s | %s%s | ", name, target > 0 ? "≥ " : "",
                target > 0 ? figure_percent(target, 1, t[0], WIDE) : "Positive");
    if (g.n == 0) {
        text_add(out, "no data | not judged |\n");
        return;
    }
    text_format(out, "%s", figure_percent(g.sum / g.n, 1, t[0], WIDE));
    if (g.n > 1)
        text_format(out, " on average, %s to %s over %d comparisons", figure_percent(g.worst, 1, t[1], WIDE),
                    figure_percent(g.best, 1, t[2], WIDE), g.n);
    if (g.met == g.n)
        text_add(out, " | met |\n");
    else if (g.met == 0)
        text_add(out, " | not met |\n");
    else
        text_format(out, " | met in %d of %d |\n", g.met, g.n);
}

void export_metrics(struct text *out, const struct session *s, const struct comparison *comparisons)
{
    const struct preset_criteria *p = &s->preset.criteria;
    text_add(out,
             "## Success Metrics Evaluation\n\n| Metric | Target | Achieved | Status |\n|---|---|---|---|\n");
    put_metric(out, "Latency Reduction", s, comparisons, latency_gain,
               isnan(p->min_latency_reduction) ? GOAL_LATENCY : p->min_latency_reduction);
    put_metric(out, "Memory Bandwidth", s, comparisons, bandwidth_gain,
               isnan(p->min_bandwidth_gain) ? GOAL_BANDWIDTH : p->min_bandwidth_gain);
    put_metric(out, "Throughput Improvement", s, comparisons, throughput_gain, 0);
    put_metric(out, "Memory Efficiency", s, comparisons, memory_gain, 0);
    struct criterion_result r[SUMMARY_CRITERIA];
    int n = summary_criteria(s, r);
    out->failed = out->failed || n < 0;
    for (int i = 0; i < n; i++) {
        char t[2][WIDE];
        bool least = strncmp(r[i].metric, "min_", 4) == 0;
        text_format(out, "| criterion `%s` | %s %s | ", r[i].metric, least ? "≥" : "≤",
                    figure_digits(r[i].target, 2, t[0], WIDE));
        if (!r[i].known) {
            text_add(out, "no data | not judged |\n");
            continue;
        }
        const struct session_cell *c = &s->cell[r[i].cell];
        text_format(out, "%s (worst: ", figure_against(r[i].achieved, r[i].target, 3, t[1], WIDE));
        export_markdown_text(out, c->model);
        text_format(out, " %s, batch %d, seq %d, ", workload_names[c->workload], c->batch, c->seq);
        export_markdown_text(out, c->arm[r[i].arm].name);
        text_format(out, ") | %s |\n", r[i].passed ? "passed" : "failed");
    }
    text_add(out, "\n");
}

/* --- questions */

static void answer_latency(struct text *out, const struct session *s, const struct comparison *comparisons)
{
    double wanted = s->preset.criteria.min_latency_reduction;
    double target = isnan(wanted) ? GOAL_LATENCY : wanted;
    char t[4][WIDE];
    int reached = 0, missed = 0, open = 0;
    for (int i = 0; i < s->n_cells; i++) {
        for (int j = 1; j < s->cell[i].n_arms; j++) {
            const struct comparison *c = &comparisons[i * s->preset.n_arms + j];
            if (c->verdict == VERDICT_NONE || refused(&s->cell[i].arm[j]))
                continue;
            bool decided = c->final && isfinite(c->speedup_ci.low);
            if (decided && 1 - 1 / c->speedup_ci.low >= target)
                reached++;
            else if (decided && 1 - 1 / c->speedup_ci.high < target)
                missed++;
            else
                open++;
        }
    }
    int n = reached + missed + open;
    struct gains g = gather(s, comparisons, latency_gain, target);
    text_format(out, "- **Did we achieve %s latency improvement?** ",
                isnan(wanted) ? "10-15%" : figure_percent(wanted, 1, t[0], WIDE));
    if (n == 0) {
        text_add(out, "Not answered: no candidate has a measured cell beside its baseline.\n");
        return;
    }
    text_format(out, "%s: ", reached == n ? "Yes" : missed == n ? "No" : reached ? "In part" : "Not shown");
    text_format(
        out,
        "of %d comparisons the %s interval lies above %s in %d and below it in %d; %d are undecided. The "
        "reduction is %s on average",
        n, figure_percent(summary_confidence(s), 1, t[3], WIDE), figure_percent(target, 1, t[0], WIDE),
        reached, missed, open, figure_percent(g.sum / g.n, 1, t[1], WIDE));
    text_format(out, " (%s to ", figure_percent(g.worst, 1, t[1], WIDE));
    text_format(out, "%s).\n", figure_percent(g.best, 1, t[2], WIDE));
}

static void answer_memory(struct text *out, const struct session *s, const struct comparison *comparisons)
{
    int n = 0;
    text_add(out, "- **What is the actual memory I/O reduction?** ");
    for (int j = 1; j < s->preset.n_arms; j++) {
        double base = 0, candidate = 0, gain = 0, peak = 0;
        int cells = 0, peaks = 0;
        for (int i = 0; i < s->n_cells; i++) {
            const struct comparison *c = &comparisons[i * s->preset.n_arms + j];
            const struct session_arm *a = &s->cell[i].arm[0], *b = &s->cell[i].arm[j];
            if (c->verdict == VERDICT_NONE || a->work.bytes <= 0)
                continue;
            base += a->work.bytes;
            candidate += b->work.bytes;
            gain += bandwidth_gain(s, i, j, c);
            double lower = memory_gain(s, i, j, c);
            if (isfinite(lower)) {
                peak += lower;
                peaks++;
            }
            cells++;
        }
        if (cells == 0)
            continue;
        char t[3][WIDE];
        export_markdown_text(out, s->preset.arms[j].name);
        double less = 1 - candidate / base;
        if (fabs(less) < 0.0005)
            text_format(out, " needs as many bytes per sample as the baseline by the cost model (%d cells)",
                        cells);
        else
            text_format(out, " needs %s %s bytes per sample than the baseline by the cost model (%d cells)",
                        figure_percent(fabs(less), 1, t[0], WIDE), less > 0 ? "fewer" : "more", cells);
        text_format(out, ", reaches %s more bandwidth", figure_percent(gain / cells, 1, t[1], WIDE));
        if (peaks > 0)
            text_format(out, " and peaks %s lower in measured memory",
                        figure_percent(peak / peaks, 1, t[2], WIDE));
        text_add(out, ". ");
        n++;
    }
    text_add(out, n ? "Traffic itself was not counted: that takes hardware counters.\n"
                    : "Not answered: no candidate has a measured cell beside its baseline.\n");
}

/* Whether two intervals of a speed-up are apart. */
static const char *trend(const struct comparison *first, const struct comparison *last)
{
    if (!isfinite(first->speedup_ci.low) || !isfinite(last->speedup_ci.low))
        return "the intervals are not known, so no trend is shown";
    if (last->speedup_ci.low > first->speedup_ci.high)
        return "it grows";
    if (last->speedup_ci.high < first->speedup_ci.low)
        return "it shrinks";
    return "the intervals overlap, so no change is shown";
}

/* One sentence per line of cells that differ in the axis alone. */
static int answer_axis(struct text *out, const struct session *s, const struct comparison *comparisons,
                       bool by_batch)
{
    int lines = 0;
    for (int i = 0; i < s->n_cells; i++) {
        for (int arm = 1; arm < s->cell[i].n_arms; arm++) {
            const struct session_cell *a = &s->cell[i];
            const struct comparison *first = &comparisons[i * s->preset.n_arms + arm], *last = NULL;
            bool begins = first->verdict != VERDICT_NONE;
            int end = i;
            for (int j = 0; j < s->n_cells && begins; j++) {
                const struct session_cell *b = &s->cell[j];
                const struct comparison *c = &comparisons[j * s->preset.n_arms + arm];
                bool same = strcmp(a->model, b->model) == 0 && a->workload == b->workload &&
                            (by_batch ? a->seq == b->seq : a->batch == b->batch);
                if (j == i || !same || c->verdict == VERDICT_NONE)
                    continue;
                int here = by_batch ? a->batch : a->seq, there = by_batch ? b->batch : b->seq;
                int most = by_batch ? s->cell[end].batch : s->cell[end].seq;
                begins = here < there; /* a line is told from its smallest value */
                if (begins && there > most) {
                    last = c;
                    end = j;
                }
            }
            if (!begins || !last)
                continue;
            char t[2][WIDE];
            text_format(out, "%s", lines ? " " : "");
            export_markdown_text(out, a->model);
            text_format(out, " %s, ", workload_names[a->workload]);
            text_format(out, by_batch ? "sequence %d, " : "batch %d, ", by_batch ? a->seq : a->batch);
            export_markdown_text(out, a->arm[arm].name);
            text_format(out, ": speed-up %s at %d, %s at %d: %s.",
                        figure_digits(first->speedup, 3, t[0], WIDE), by_batch ? a->batch : a->seq,
                        figure_digits(last->speedup, 3, t[1], WIDE),
                        by_batch ? s->cell[end].batch : s->cell[end].seq, trend(first, last));
            lines++;
        }
    }
    return lines;
}

static void answer_regressions(struct text *out, const struct session *s,
                               const struct comparison *comparisons)
{
    int slower = 0, wrong = 0, open = 0, n = 0, other = 0;
    struct text list = {0};
    for (int i = 0; i < s->n_cells; i++) {
        for (int j = 1; j < s->cell[i].n_arms; j++) {
            const struct comparison *c = &comparisons[i * s->preset.n_arms + j];
            if (c->verdict == VERDICT_NONE)
                continue;
            n++;
            bool bad = refused(&s->cell[i].arm[j]);
            wrong += bad;
            other += worth_not_equivalent(&s->cell[i].arm[j]);
            slower += c->verdict == VERDICT_SLOWER;
            open += c->verdict == VERDICT_INCONCLUSIVE && !bad;
            if (!bad && c->verdict != VERDICT_SLOWER)
                continue;
            text_add(&list, "\n  - ");
            export_markdown_text(&list, s->cell[i].model);
            text_format(&list, " %s, batch %d, seq %d: ", workload_names[s->cell[i].workload],
                        s->cell[i].batch, s->cell[i].seq);
            export_markdown_text(&list, c->sentence);
        }
    }
    text_add(out, "- **Are there any regressions?** ");
    if (n == 0)
        text_add(out, "Not answered: nothing was compared.");
    else
        text_format(out,
                    "%s: of %d comparisons %d are slower, %d compute something else, %d are inconclusive.",
                    slower + wrong ? "Yes"
                    : open         ? "None shown"
                                   : "No",
                    n, slower, wrong, open);
    if (other > 0)
        text_format(out,
                    " In %d the output is not equivalent: an adapted vocabulary on weights that were not "
                    "trained for it; what that costs stands under Quality.",
                    other);
    if (list.n > 0)
        text_add(out, list.bytes);
    out->failed = out->failed || list.failed;
    text_free(&list);
    text_add(out, "\n");
}

void export_questions(struct text *out, const struct session *s, const struct comparison *comparisons)
{
    text_add(out, "## Questions Answered\n\n");
    answer_latency(out, s, comparisons);
    answer_memory(out, s, comparisons);
    text_add(out, "- **How does improvement scale with batch size?** ");
    if (answer_axis(out, s, comparisons, true) == 0)
        text_add(out, "Not answered: fewer than two batch sizes have results.");
    text_add(out, "\n- **How does improvement scale with sequence length?** ");
    if (answer_axis(out, s, comparisons, false) == 0)
        text_add(out, "Not answered: fewer than two sequence lengths have results.");
    text_add(out, "\n");
    answer_regressions(out, s, comparisons);
}
