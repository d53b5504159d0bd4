#include "engine/ablation.h"
#include "engine/columns.h"
#include "engine/figure.h"
#include "engine/text.h"
#include <math.h>
#include <stdio.h>

enum { WORDS = 400 };

static void cell_words(const struct session *s, int cell, char *out, size_t size)
{
    const struct session_cell *c = &s->cell[cell];
    snprintf(out, size, "%s %s, batch %d, seq %d", c->model, workload_names[c->workload], c->batch, c->seq);
}

/* Name, gain in percent, interval, Holm's p, what it cannot be told from. */
static void effect_row(const struct ablation *a, int i, char row[5][96])
{
    const struct stats_factor_effect *e = &a->effect[i];
    double low = 100 * expm1(e->contrast.ci.low), high = 100 * expm1(e->contrast.ci.high);
    int decimals = isfinite(high - low) ? figure_decimals((high - low) / 2) : 1;
    double gain = 100 * expm1(e->contrast.estimate);
    char number[FIGURE_TEXT];
    ablation_effect_name(a, i, row[0], sizeof row[0]);
    snprintf(row[1], sizeof row[1], "%s%s %%", gain >= 0 ? "+" : "",
             figure_fixed(gain, decimals, number, sizeof number));
    figure_interval(low, high, decimals, row[2], sizeof row[2]);
    figure_p(a->p_holm[i], row[3], sizeof row[3]);
    row[4][0] = '\0';
    if (e->alias >= 0)
        ablation_effect_name(a, e->alias, row[4], sizeof row[4]);
}

static void print_table(const struct ablation *a, int width, struct text *out)
{
    static const struct column head[] = {{"effect", true, 0},
                                         {"speed-up", false, 0},
                                         {"interval", false, 0},
                                         {"p (Holm)", false, 0},
                                         {"not told from", true, 1}};
    struct columns *t = columns_new(head, 5);
    for (int i = 0; t && i < a->n_effects; i++) {
        char row[5][96];
        effect_row(a, i, row);
        for (int k = 0; k < 5; k++)
            columns_cell(t, row[k]);
    }
    columns_print(t, width, out);
    columns_free(t);
}

static void print_markdown(const struct ablation *a, struct text *out)
{
    text_add(out, "| Effect | Speed-up | Interval | p (Holm) | Not told from |\n|---|---|---|---|---|\n");
    for (int i = 0; i < a->n_effects; i++) {
        char row[5][96];
        effect_row(a, i, row);
        text_format(out, "| %s | %s | %s | %s | %s |\n", row[0], row[1], row[2], row[3], row[4]);
    }
    text_add(out, "\n");
}

char *ablation_print(const struct session *s, int width, bool markdown, struct error *e)
{
    struct text out = {0};
    text_add(&out, "");
    for (int i = 0; i < s->n_cells; i++) {
        struct ablation a;
        char words[WORDS], line[1024];
        if (ablation_of(s, i, &a) < 0)
            continue;
        text_add(&out, out.n > 0 ? "\n" : "");
        cell_words(s, i, words, sizeof words);
        char level[FIGURE_TEXT];
        snprintf(line, sizeof line, "%s%s: what each factor gains, %d rounds, %s intervals",
                 markdown ? "### Ablation, " : "", words, a.rounds,
                 figure_percent(a.confidence, 1, level, sizeof level));
        columns_wrap(line, markdown ? 10000 : width, 2, &out);
        text_add(&out, markdown ? "\n" : "");
        if (markdown)
            print_markdown(&a, &out);
        else
            print_table(&a, width, &out);
        for (int f = 0; f < a.design->n_factors; f++) {
            size_t n = (size_t)snprintf(line, sizeof line, "%s", markdown ? "- " : "");
            ablation_sentence(&a, f, line + n, sizeof line - n);
            columns_wrap(line, markdown ? 10000 : width, 2, &out);
        }
    }
    text_add(&out, markdown && out.n > 0 ? "\n" : "");
    return text_take(&out, e);
}
