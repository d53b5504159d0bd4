#include "engine/ablation.h"

#include "engine/figure.h"
#include "engine/summary.h"
#include "engine/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The arm of each run, -1 where one has nothing to say; y[round][run] = -log of the block mean, NAN: a hole.
 */
static int find_arms(const struct session *s, int cell, int runs, int arm[])
{
    int rounds = 0;
    for (int r = 0; r < runs; r++) {
        char differs[160] = "";
        arm[r] = preset_design_arm(&s->preset, preset_design_setting(&s->preset.design, r));
        if (arm[r] < 0 || arm[r] >= s->cell[cell].n_arms)
            return -1;
        const struct session_arm *a = &s->cell[cell].arm[arm[r]];
        summary_refusal(&a->output, differs, sizeof differs);
        if (a->n_blocks == 0 || differs[0])
            return -1;
        for (int i = 0; i < a->n_blocks; i++)
            if (a->blocks[i]->round >= rounds)
                rounds = a->blocks[i]->round + 1;
    }
    return rounds;
}

static double *collect(const struct session *s, int cell, int runs, const int arm[], int rounds)
{
    size_t n = (size_t)rounds * (size_t)runs;
    double *y = malloc((n + 1) * sizeof *y);
    if (!y)
        return NULL;
    for (size_t i = 0; i < n; i++)
        y[i] = NAN;
    for (int r = 0; r < runs; r++) {
        const struct session_arm *a = &s->cell[cell].arm[arm[r]];
        for (int i = 0; i < a->n_blocks; i++)
            y[a->blocks[i]->round * runs + r] = -log(summary_block_mean(a->blocks[i]));
    }
    return y;
}

static int run_of(const unsigned *setting, int runs, unsigned want)
{
    for (int r = 0; r < runs; r++)
        if (setting[r] == want)
            return r;
    return -1;
}

/* The gain of a factor with `on` high and all else low: two arms where the design has them, else main effect
 * minus the interactions with what is low, plus that with what is high. */
static void find_gain(const double *y, int rounds, const unsigned *setting, int runs, int factors,
                      double confidence, struct ablation_gain *g)
{
    double weight[1 << PRESET_FACTORS] = {0}, one[1 << PRESET_FACTORS];
    unsigned base = g->on >= 0 ? 1u << g->on : 0;
    int low = run_of(setting, runs, base), high = run_of(setting, runs, base | 1u << g->factor);
    g->direct = low >= 0 && high >= 0;
    if (g->direct) {
        weight[low] = -1;
        weight[high] = 1;
    } else {
        stats_factorial_weights(setting, (size_t)runs, 1u << g->factor, weight);
        for (int f = 0; f < factors; f++) {
            if (f == g->factor)
                continue;
            stats_factorial_weights(setting, (size_t)runs, 1u << f | 1u << g->factor, one);
            for (int r = 0; r < runs; r++)
                weight[r] += f == g->on ? one[r] : -one[r];
        }
    }
    stats_contrast(y, (size_t)rounds, (size_t)runs, weight, confidence, &g->log_speedup);
}

int ablation_of(const struct session *s, int cell, struct ablation *out)
{
    const struct preset_design *d = &s->preset.design;
    int runs = preset_design_runs(d), arm[PRESET_ARMS];
    unsigned setting[PRESET_ARMS];
    *out = (struct ablation){.design = d, .confidence = summary_confidence(s)};
    if (runs < 2 || runs > PRESET_ARMS || cell < 0 || cell >= s->n_cells)
        return -1;
    out->rounds = find_arms(s, cell, runs, arm);
    if (out->rounds < 2)
        return -1;
    double *y = collect(s, cell, runs, arm, out->rounds);
    if (!y)
        return -1;
    for (int r = 0; r < runs; r++)
        setting[r] = preset_design_setting(d, r);
    out->n_effects = stats_factorial(y, (size_t)out->rounds, setting, (size_t)runs, d->n_factors,
                                     out->confidence, out->effect);
    double p[STATS_FACTOR_EFFECTS];
    for (int i = 0; i < out->n_effects; i++)
        p[i] = out->effect[i].alias < 0 ? out->effect[i].contrast.p : NAN;
    if (out->n_effects > 0)
        stats_holm(p, (size_t)out->n_effects, out->p_holm);
    for (int f = 0; f < d->n_factors; f++)
        for (int on = -1; on < d->n_factors; on++) {
            if (on == f)
                continue;
            struct ablation_gain *g = &out->gain[out->n_gains++];
            *g = (struct ablation_gain){.factor = f, .on = on};
            find_gain(y, out->rounds, setting, runs, d->n_factors, out->confidence, g);
        }
    free(y);
    return out->n_effects > 0 && out->effect[0].contrast.n >= 2 ? 0 : -1;
}

void ablation_effect_name(const struct ablation *a, int effect, char *out, size_t size)
{
    struct text t = text_in(out, size);
    if (size > 0)
        out[0] = '\0';
    for (int f = 0; f < a->design->n_factors; f++)
        if (a->effect[effect].factors >> f & 1)
            text_format(&t, "%s%s", t.n ? " x " : "", a->design->factor[f].name);
}

static double percent_of(double log_speedup)
{
    return 100 * expm1(log_speedup);
}

/* "+18" with the decimals that the half width supports. */
static void add_percent(struct text *t, double value, int decimals)
{
    char number[FIGURE_TEXT];
    figure_fixed(value, decimals, number, sizeof number);
    text_format(t, "%s%s", value >= 0 ? "+" : "", number);
}

static void add_gain(struct text *t, const struct stats_contrast *c)
{
    double low = percent_of(c->ci.low), high = percent_of(c->ci.high);
    int decimals = isfinite(high - low) ? figure_decimals((high - low) / 2) : 1;
    char interval[64];
    add_percent(t, percent_of(c->estimate), decimals);
    text_format(t, " %% (%s)", figure_interval(low, high, decimals, interval, sizeof interval));
}

void ablation_sentence(const struct ablation *a, int factor, char *out, size_t size)
{
    struct text t = text_in(out, size);
    if (size > 0)
        out[0] = '\0';
    for (int i = 0; i < a->n_gains; i++) {
        const struct ablation_gain *g = &a->gain[i];
        if (g->factor != factor)
            continue;
        if (g->on < 0)
            text_format(&t, "%s ", a->design->factor[factor].name);
        else
            text_add(&t, ", ");
        add_gain(&t, &g->log_speedup);
        if (g->on < 0)
            text_add(&t, " alone");
        else
            text_format(&t, " on top of %s", a->design->factor[g->on].name);
        if (!g->direct)
            text_add(&t, " by the model");
    }
}
