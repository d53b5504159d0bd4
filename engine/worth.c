#include "engine/worth.h"

#include "engine/figure.h"
#include "engine/text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const worth_titles[WORTH_FIGURES] = {"perplexity", "bits/byte", "KL nats", "top-1", "replies"};
const char worth_not_equivalent_words[] = "output not equivalent";

static const enum quality_bit bit_of[WORTH_FIGURES] = {QUALITY_PERPLEXITY, QUALITY_BITS, QUALITY_KL,
                                                       QUALITY_TOP1, QUALITY_RESPONSES};

bool worth_differs(const struct session *s, int arm)
{
    return arm > 0 && arm < s->preset.n_arms &&
           !implementation_same_quality(&s->preset.arms[0].implementation,
                                        &s->preset.arms[arm].implementation);
}

static bool vocabularies_differ(const struct session *s)
{
    for (int arm = 1; arm < s->preset.n_arms; arm++)
        if (strcmp(s->preset.arms[arm].implementation.vocabulary,
                   s->preset.arms[0].implementation.vocabulary) != 0)
            return true;
    return false;
}

bool worth_has(const struct session *s, enum worth_figure figure)
{
    bool differs = false;
    for (int arm = 1; arm < s->preset.n_arms; arm++)
        differs = differs || worth_differs(s, arm);
    /* Bits per byte say what perplexity says, in a unit that vocabularies share. */
    if (figure == WORTH_BITS && s->preset.n_arms > 1 && !vocabularies_differ(s))
        return false;
    for (int c = 0; c < s->n_cells; c++)
        for (int arm = 0; arm < s->cell[c].n_arms; arm++)
            if (s->cell[c].arm[arm].quality.known & bit_of[figure] &&
                (differs || s->cell[c].workload == WORKLOAD_PERPLEXITY))
                return true;
    return false;
}

char *worth_text(const struct arm_quality *q, enum worth_figure figure, char *out, size_t size)
{
    if (size > 0)
        out[0] = '\0';
    if (!(q->known & bit_of[figure]))
        return out;
    double value = quality_figure(q, bit_of[figure]);
    switch (figure) {
    case WORTH_PERPLEXITY:
    case WORTH_BITS:
        return figure_digits(value, 4, out, size);
    case WORTH_KL: /* rounding alone leaves a little more or less than nothing */
        return fabs(value) < 5e-7 ? figure_fixed(0, 0, out, size) : figure_digits(value, 2, out, size);
    case WORTH_TOP1:
        return figure_percent(value, 1, out, size);
    default:
        return figure_percent(value, 0, out, size);
    }
}

bool worth_not_equivalent(const struct session_arm *arm)
{
    bool judged = arm->quality.source[0] || arm->quality.note[0];
    return judged ? arm->quality.not_equivalent : strcmp(arm->implementation.vocabulary, "standard") != 0;
}

char *worth_verdict(const struct comparison *c, const struct session_arm *arm, char *out, size_t size)
{
    bool wrong = arm->output.checked && !arm->output.passed;
    snprintf(out, size, "%s%s",
             wrong      ? "wrong output"
             : c->final ? verdict_names[c->verdict]
                        : "open",
             worth_not_equivalent(arm) ? ", not equivalent" : "");
    return out;
}

bool worth_any_not_equivalent(const struct session *s, int arm)
{
    for (int c = 0; c < s->n_cells; c++)
        if (arm < s->cell[c].n_arms && worth_not_equivalent(&s->cell[c].arm[arm]))
            return true;
    return false;
}

struct range {
    double low, high;
    int n;
};

static void take(struct range *r, double value)
{
    if (isnan(value))
        return;
    r->low = r->n ? fmin(r->low, value) : value;
    r->high = r->n ? fmax(r->high, value) : value;
    r->n++;
}

/* A change in percent, with its sign: "+0.8 %", "-0.04 %", "+31 %", "+270 %". */
static char *change_text(double fraction, char *out, size_t size)
{
    char number[FIGURE_TEXT];
    double pct = 100 * fraction;
    figure_fixed(pct, fabs(pct) >= 9.95 ? 0 : fabs(pct) >= 0.095 ? 1 : 2, number, sizeof number);
    bool nothing = strspn(number, "-0.") == strlen(number);
    snprintf(out, size, "%s%s %%", pct > 0 && !nothing ? "+" : "",
             nothing ? "\xc2\xb1"
                       "0.00"
                     : number);
    return out;
}

static void add_change(struct text *t, const char *what, const struct range *r)
{
    char low[FIGURE_TEXT + 8], high[FIGURE_TEXT + 8];
    change_text(r->low, low, sizeof low);
    change_text(r->high, high, sizeof high);
    if (strcmp(low, high) == 0)
        text_format(t, "%s %s", what, low);
    else
        text_format(t, "%s %s to %s", what, low, high);
}

/* The range of a figure as worth_text writes it: "0.010–0.012". */
static void add_figure(struct text *t, const char *before, const char *after, enum worth_figure figure,
                       const struct range *r)
{
    char low[FIGURE_TEXT], high[FIGURE_TEXT];
    struct arm_quality q = {.known = QUALITY_ALL, .kl = r->low, .top1_agreement = r->low};
    worth_text(&q, figure, low, sizeof low);
    q.kl = q.top1_agreement = r->high;
    worth_text(&q, figure, high, sizeof high);
    if (strcmp(low, high) == 0)
        text_format(t, "%s%s%s", before, low, after);
    else
        text_format(t, "%s%s to %s%s", before, low, high, after);
}

char *worth_cost(const struct session *s, int cell, int arm, char *out, size_t size)
{
    struct text t = text_in(out, size);
    struct range perplexity = {0}, bits = {0}, kl = {0}, top1 = {0};
    bool other = false;
    if (size > 0)
        out[0] = '\0';
    if (!worth_differs(s, arm))
        return out;
    for (int c = cell < 0 ? 0 : cell; c < (cell < 0 ? s->n_cells : cell + 1); c++) {
        if (arm >= s->cell[c].n_arms)
            continue;
        const struct arm_quality *base = &s->cell[c].arm[0].quality, *q = &s->cell[c].arm[arm].quality;
        bool same_tokens = q->known & QUALITY_KL && q->known & QUALITY_PERPLEXITY;
        if (!session_random_weights(&s->cell[c])) /* of those no perplexity is better than another */
            take(same_tokens ? &perplexity : &bits, quality_perplexity_increase(base, q));
        take(&kl, quality_figure(q, QUALITY_KL));
        take(&top1, quality_figure(q, QUALITY_TOP1));
        other = other || worth_not_equivalent(&s->cell[c].arm[arm]);
    }
    if (other)
        text_add(&t, worth_not_equivalent_words);
    const char *comma = other ? ", " : "";
    if (perplexity.n || bits.n) {
        text_add(&t, comma);
        add_change(&t, perplexity.n ? "perplexity" : "bits per byte", perplexity.n ? &perplexity : &bits);
    } else if (kl.n || top1.n) {
        text_add(&t, comma);
        if (kl.n)
            add_figure(&t, "KL ", " nats", WORTH_KL, &kl);
        if (top1.n)
            add_figure(&t, kl.n ? ", top-1 " : "top-1 ", "", WORTH_TOP1, &top1);
    } else if (!other) {
        text_add(&t, "quality not measured");
    }
    return out;
}

char *worth_source(const struct session *s, int cell, char *out, size_t size)
{
    const char *source = NULL;
    int64_t tokens = 0;
    bool one = true, windows = false, random = false;
    if (size > 0)
        out[0] = '\0';
    for (int c = cell < 0 ? 0 : cell; c < (cell < 0 ? s->n_cells : cell + 1); c++)
        for (int arm = 0; arm < s->cell[c].n_arms; arm++) {
            const struct arm_quality *q = &s->cell[c].arm[arm].quality;
            if (!q->source[0] || !(q->known & ~(unsigned)QUALITY_RESPONSES))
                continue;
            random = random || session_random_weights(&s->cell[c]);
            one = one && (!source || (strcmp(source, q->source) == 0));
            windows = windows || (source && tokens != q->tokens);
            source = source ? source : q->source;
            tokens = tokens ? tokens : q->tokens;
        }
    if (source && one && !windows && tokens > 0)
        snprintf(out, size, "%lld tokens of %s%s", (long long)tokens, source,
                 random ? ", random weights" : "");
    else if (source)
        snprintf(out, size, "%s%s", one ? source : "several texts", random ? ", random weights" : "");
    return out;
}

char *worth_rule(const struct session *s, char *out, size_t size)
{
    int least = 0, most = 0;
    if (size > 0)
        out[0] = '\0';
    for (int c = 0; c < s->n_cells; c++)
        for (int arm = 0; arm < s->cell[c].n_arms; arm++) {
            const struct arm_quality *q = &s->cell[c].arm[arm].quality;
            if (!(q->known & QUALITY_PERPLEXITY) || q->window < 1)
                continue;
            least = least == 0 || q->window < least ? q->window : least;
            most = q->window > most ? q->window : most;
        }
    if (most > least)
        snprintf(out, size,
                 "Perplexity: windows of %d to %d tokens, the second half of each predicted; longer windows "
                 "give lower ones.",
                 least, most);
    else if (most > 0)
        snprintf(out, size,
                 "Perplexity: windows of %d tokens, the second half of each predicted, as llama-perplexity "
                 "-c %d does.",
                 most, most);
    return out;
}
