#include "engine/figure.h"
#include "engine/summary.h"
#include "engine/summary_internal.h"
#include "engine/text.h"
#include <math.h>

const char *const verdict_names[] = {"", "faster", "slower", "equivalent", "inconclusive"};
const char *const reason_names[REASONS] = {
    "",       "beyond_one", "within_margin", "output_differs", "too_few_rounds", "no_variance", "no_interval",
    "family", "throttled",  "bimodal",       "autocorrelated", "drift",          "needs_more",  "too_noisy"};
/* Further rounds nobody will run. */
enum { ROUNDS_MOST = 10000 };

static void add_interval(struct text *t, const struct comparison *c, const struct summary_case *k,
                         bool inverse)
{
    struct stats_interval ci = c->speedup_ci;
    double ratio = inverse ? 1 / c->speedup : c->speedup;
    if (inverse)
        ci = (struct stats_interval){1 / c->speedup_ci.high, 1 / c->speedup_ci.low};
    char percent[FIGURE_TEXT], interval[64];
    text_format(t, "%s CI %s", figure_percent(k->confidence, 1, percent, sizeof percent),
                figure_interval(ci.low, ci.high, figure_scale_decimals(ratio, (ci.high - ci.low) / 2),
                                interval, sizeof interval));
}

static void add_p(struct text *t, const char *name, double p)
{
    char number[FIGURE_TEXT];
    if (isnan(p))
        return;
    figure_p(p, number, sizeof number);
    if (number[0] == '<')
        text_format(t, ", %s p < %s", name, number + 1);
    else
        text_format(t, ", %s p = %s", name, number);
}

/* "1.42× faster" or "1.20× slower", with the digits that the interval supports. */
static void add_ratio(struct text *t, const struct comparison *c, bool slower)
{
    double ratio = slower ? 1 / c->speedup : c->speedup, half = (c->speedup_ci.high - c->speedup_ci.low) / 2;
    char number[FIGURE_TEXT * 2];
    if (slower)
        half = (1 / c->speedup_ci.low - 1 / c->speedup_ci.high) / 2;
    int decimals = isfinite(half) ? figure_decimals(half) : 2;
    text_format(t, "%s× %s", figure_fixed(ratio, decimals, number, sizeof number),
                slower ? "slower" : "faster");
}

int summary_leaning(const struct comparison *c)
{
    if (c->verdict != VERDICT_INCONCLUSIVE || c->reason_code == REASON_OUTPUT_DIFFERS)
        return 0;
    return c->speedup_ci.low > 1 ? 1 : c->speedup_ci.high < 1 ? -1 : 0;
}

/* A verdict goes by the rounds, of which most are usual; the throughput in the table goes by the mean, which
 * a few slow blocks decide. Where the two tell different stories the reader is told so. */
static void add_means(struct text *t, const struct comparison *c, bool slower)
{
    double of_means = c->speedup_of_means;
    char number[FIGURE_TEXT];
    if (of_means > 0 && (of_means < c->speedup_ci.low || of_means > c->speedup_ci.high))
        text_format(t, "; the ratio of the means is %s×: slow blocks weigh on them",
                    figure_fixed(slower ? 1 / of_means : of_means, 2, number, sizeof number));
}

void summary_write_sentence(struct comparison *c, const struct summary_case *k)
{
    struct text t = text_in(c->sentence, sizeof c->sentence);
    const char *a = k->baseline_name, *b = k->candidate_name;
    char margin[FIGURE_TEXT], number[FIGURE_TEXT];
    bool slower = c->speedup < 1;
    if (k->differs[0]) {
        text_format(&t, "%s is not ranked: %s", b, c->reason);
    } else if (c->verdict == VERDICT_FASTER || c->verdict == VERDICT_SLOWER) {
        text_format(&t, "%s is ", b);
        add_ratio(&t, c, slower);
        text_format(&t, " than %s (", a);
        add_interval(&t, c, k, slower);
        text_add(&t, ")");
        add_p(&t, "Welch", c->welch.p);
        if (isfinite(c->effect.cohens_d))
            text_format(&t, ", d = %s, %s", figure_digits(fabs(c->effect.cohens_d), 2, number, sizeof number),
                        stats_effect_word(c->effect.cohens_d));
        add_means(&t, c, slower);
    } else if (c->verdict == VERDICT_EQUIVALENT) {
        text_format(&t, "%s and %s are equivalent within ±%s (", b, a,
                    figure_percent(k->margin, 1, margin, sizeof margin));
        add_interval(&t, c, k, false);
        text_add(&t, ")");
    } else if (!isfinite(c->speedup_ci.low)) {
        text_format(&t, "%s against %s: %s", b, a, c->reason);
    } else if (!c->final && c->speedup_ci.low <= 1 && c->speedup_ci.high >= 1) {
        text_format(&t, "%s is not shown to differ from %s so far (speed-up ", b, a);
        add_interval(&t, c, k, false);
        text_format(&t, "); %s", c->reason);
    } else if (!c->final) {
        text_format(&t, "%s is ", b);
        add_ratio(&t, c, slower);
        text_format(&t, " than %s so far (", a);
        add_interval(&t, c, k, slower);
        text_format(&t, "); %s", c->reason);
    } else if (c->speedup_ci.low > 1 ||
               c->speedup_ci.high < 1) { /* what withholds the verdict is the reason */
        text_format(&t, "%s seems %s than %s, without a verdict (speed-up ", b, slower ? "slower" : "faster",
                    a);
        add_interval(&t, c, k, false);
        text_format(&t, "): %s", c->reason);
    } else {
        text_format(&t, "%s is not shown to differ from %s (speed-up ", b, a);
        add_interval(&t, c, k, false);
        text_format(&t, "): %s", c->reason);
    }
}

/* Rounds still needed until the interval is so narrow that one verdict or another must hold. */
static double rounds_to_decide(const struct comparison *c, const struct summary_case *k)
{
    double half = (log(c->speedup_ci.high) - log(c->speedup_ci.low)) / 2, goal = log1p(k->margin);
    double distance = fabs(log(c->speedup));
    if (half <= goal) /* narrow enough, but across the edge of the margin */
        goal = fmax(distance, goal - distance) * 0.9;
    return goal > 0 ? ceil(k->rounds * (half / goal) * (half / goal)) - k->rounds : NAN;
}

/* "40 s", "12 min", "3 h": nobody plans by the second of an hour. */
static void add_duration(struct text *t, double seconds)
{
    if (seconds < 90)
        text_format(t, "%.0f s", ceil(seconds));
    else if (seconds < 5400)
        text_format(t, "%.0f min", ceil(seconds / 60));
    else
        text_format(t, "%.1f h", seconds / 3600);
}

static enum reason_code spoiler_code(const struct spoilers *s)
{
    return s->throttled > 0 ? REASON_THROTTLED
           : s->bimodal     ? REASON_BIMODAL
           : s->correlated  ? REASON_AUTOCORRELATED
           : s->drifts      ? REASON_DRIFT
                            : REASON_NONE;
}

static void reason_undecided(struct text *t, struct comparison *c, const struct summary_case *k)
{
    double more = c->rounds_left;
    char margin[FIGURE_TEXT];
    figure_percent(k->margin, 1, margin, sizeof margin);
    c->reason_code = REASON_NEEDS_MORE;
    if (!isfinite(more) || k->margin <= 0) {
        text_add(t, "the interval includes 1: more rounds are needed");
    } else if (more > ROUNDS_MOST) {
        c->reason_code = REASON_TOO_NOISY;
        text_format(t, "too noisy for ±%s: more than %d further rounds; close other programs", margin,
                    ROUNDS_MOST);
    } else if (isfinite(c->seconds_left)) {
        text_add(t, "needs about ");
        add_duration(t, c->seconds_left);
        text_format(t, " (%.0f %s) more for ±%s", more, more < 2 ? "round" : "rounds", margin);
    } else {
        text_format(t, "needs about %.0f more %s for ±%s", more, more < 2 ? "round" : "rounds", margin);
    }
}

/* What spoils it, and the more of it. */
static void add_spoilers(struct text *t, struct comparison *c)
{
    char spoiled[160];
    enum reason_code code = spoiler_code(&c->spoilers);
    summary_spoilers_text(&c->spoilers, spoiled, sizeof spoiled);
    if (spoiled[0])
        text_format(t, "; %s", spoiled);
    if (code != REASON_NONE)
        c->reason_code = code;
}

static bool is_paired(const struct comparison *c)
{
    return c->decision.n >= 2;
}

static void judge_interval(struct comparison *c, const struct summary_case *k, struct text *reason)
{
    double low = c->speedup_ci.low, high = c->speedup_ci.high;
    char margin[FIGURE_TEXT], p[FIGURE_TEXT];
    figure_percent(k->margin, 1, margin, sizeof margin);
    bool inside = k->margin > 0 && low >= 1 / (1 + k->margin) && high <= 1 + k->margin;
    if (inside) {
        c->verdict = VERDICT_EQUIVALENT;
        c->reason_code = REASON_WITHIN_MARGIN;
        text_format(reason, "the interval lies inside ±%s", margin);
    } else if (low > 1 || high < 1) {
        c->verdict = low > 1 ? VERDICT_FASTER : VERDICT_SLOWER;
        c->reason_code = REASON_BEYOND_ONE;
        figure_p(c->p, p, sizeof p);
        text_format(reason, "%s, p %s%s",
                    !is_paired(c)            ? "unpaired, drift-exposed: Welch on block means"
                    : c->decision.watched    ? "always-valid sequence over rounds"
                    : c->spoilers.correlated ? "paired over effective rounds"
                                             : "paired over rounds",
                    p[0] == '<' ? "" : "= ", p);
    } else {
        c->verdict = VERDICT_INCONCLUSIVE;
        reason_undecided(reason, c, k);
    }
}

static void judge(struct comparison *c, const struct summary_case *k, struct text *reason)
{
    int needed = k->planned > SUMMARY_MIN_ROUNDS && !k->watched ? k->planned : SUMMARY_MIN_ROUNDS;
    c->verdict = VERDICT_INCONCLUSIVE;
    c->final = k->rounds >= needed && !k->differs[0];
    if (k->differs[0]) {
        c->reason_code = REASON_OUTPUT_DIFFERS;
        text_format(reason, "output differs from the baseline (%s): not ranked", k->differs);
        return;
    }
    if (!c->final) {
        c->reason_code = REASON_TOO_FEW_ROUNDS;
        if (k->rounds < k->planned)
            text_format(reason, "only %d of %d rounds", k->rounds, k->watched ? needed : k->planned);
        else
            text_format(reason, "%d %s too few for a verdict: run at least %d", k->rounds,
                        k->rounds == 1 ? "round is" : "rounds are", needed);
    } else if (c->spoilers.bimodal_rare) {
        char spoiled[160];
        summary_spoilers_text(&c->spoilers, spoiled, sizeof spoiled);
        c->reason_code = spoiler_code(&c->spoilers);
        text_format(reason, "%s: the rarer mode was seen too seldom, run more rounds or longer blocks",
                    spoiled);
        return;
    } else if (c->decision.correlated && isnan(c->speedup_ci.low)) {
        c->final = false;
        c->reason_code = REASON_AUTOCORRELATED;
        text_format(reason, "rounds depend on each other (lag-1 %.1f): run more rounds or longer blocks",
                    c->decision.lag1);
        return;
    } else if (isnan(c->p)) {
        c->final = false;
        c->reason_code = REASON_NO_VARIANCE;
        text_add(reason, "no variance: clock resolution?");
    } else if ((!isfinite(c->speedup_ci.low) || !isfinite(c->speedup_ci.high)) && !c->decision.watched) {
        c->final = false;
        c->reason_code = REASON_NO_INTERVAL;
        text_add(reason, "no interval: too few good samples");
    } else {
        judge_interval(c, k, reason);
    }
    if (c->verdict == VERDICT_INCONCLUSIVE)
        add_spoilers(reason, c);
}

void summary_judge(struct comparison *c, const struct summary_case *k)
{
    struct text reason = text_in(c->reason, sizeof c->reason);
    if (k->throttled > 0) { /* compare has blocks but no spoilers */
        c->spoilers.throttled = k->throttled;
        c->spoilers.blocks = k->blocks;
    }
    c->p = is_paired(c) ? c->decision.p : c->welch.p;
    c->rounds_left = fmax(1, rounds_to_decide(c, k));
    c->seconds_left = is_paired(c) ? c->rounds_left * c->spoilers.seconds_per_round : NAN;
    judge(c, k, &reason);
    summary_write_sentence(c, k);
}

char *summary_calibration_text(const struct session *s, int cell, const struct comparison *c, char *out,
                               size_t size)
{
    const struct session_calibration *k = &s->cell[cell].calibration;
    struct text t = text_in(out, size);
    char floor_text[FIGURE_TEXT], mde[FIGURE_TEXT];
    if (size > 0)
        out[0] = '\0';
    if (!k->measured_at[0])
        return out;
    bool claims = c->verdict == VERDICT_FASTER || c->verdict == VERDICT_SLOWER;
    text_format(
        &t, "; %sthis machine's noise floor is %s %%, the smallest difference found %s %% (calibrated %.10s)",
        claims && 100 * fabs(c->speedup - 1) < k->noise_floor_pct ? "that is less than the noise floor: "
                                                                  : "",
        figure_digits(k->noise_floor_pct, 2, floor_text, sizeof floor_text),
        figure_digits(k->mde_pct, 2, mde, sizeof mde), k->measured_at);
    return out;
}
