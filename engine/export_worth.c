/* The Markdown report's tables of what speed was bought with: the combined comparison, quality, responses. A
 * cell without a measured value says why. */
#include "engine/dashboard.h"
#include "engine/export_formats.h"
#include "engine/figure.h"
#include "engine/text.h"
#include "engine/worth.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RESPONSE_SHOWN = 400 }; /* bytes of a prompt or response in the report: the session has them whole */

static void put_labels(struct text *out, const struct session *s)
{
    bool any = false;
    for (int arm = 0; arm < s->preset.n_arms; arm++) {
        if (!worth_any_not_equivalent(s, arm))
            continue;
        any = true;
        text_add(out, "**");
        export_markdown_text(out, s->preset.arms[arm].name);
        text_format(out, ": %s** (adapted vocabulary `%s`, weights not trained for it)\n",
                    worth_not_equivalent_words, s->preset.arms[arm].implementation.vocabulary);
    }
    text_add(out, any ? "\n" : "");
}

static void put_head(struct text *out, const struct session *s)
{
    text_add(out, "| Metric | ");
    for (int arm = 0; arm < s->preset.n_arms; arm++) {
        export_markdown_text(out, s->preset.arms[arm].name);
        text_add(out, " | ");
        if (arm == 0)
            continue;
        text_add(out, "Change");
        if (s->preset.n_arms > 2) {
            text_add(out, " of ");
            export_markdown_text(out, s->preset.arms[arm].name);
        }
        text_add(out, " | ");
    }
    text_trim(out);
    text_add(out, "\n|---|");
    text_repeat(out, "---|", 2 * s->preset.n_arms - 1);
    text_add(out, "\n");
}

static void put_row(struct text *out, const struct dashboard_row *r, int arms)
{
    char text[DASHBOARD_TEXT * 2];
    text_add(out, "| ");
    export_markdown_text(out, r->name);
    text_add(out, " | ");
    for (int arm = 0; arm < arms; arm++) {
        bool has = arm < r->n_arms && isfinite(r->arm[arm].value);
        text_add(out, has ? dashboard_value(r, arm, text, sizeof text) : "–");
        if (!has && arm < r->n_arms && r->arm[arm].why[0]) {
            text_add(out, " (");
            export_markdown_text(out, r->arm[arm].why);
            text_add(out, ")");
        }
        text_add(out, " | ");
        if (arm > 0)
            text_format(out, "%s | ",
                        arm < r->n_arms && dashboard_change(r, arm, text, sizeof text)[0] ? text : "–");
    }
    text_trim(out);
    text_add(out, "\n");
}

int export_dashboard(struct text *out, const struct session *s, const struct comparison *comparisons,
                     struct error *e)
{
    struct dashboard d = {0};
    if (!dashboard_fits(s))
        return 0;
    if (dashboard_build(s, -1, comparisons, &d, e) != 0)
        return -1;
    text_add(out, "### ");
    for (int arm = 0; arm < s->preset.n_arms; arm++) {
        text_add(out, arm ? " against " : "");
        export_markdown_text(out, s->preset.arms[arm].name);
    }
    text_add(out, "\n\nMeasured values alone; where there is none the cell says why. Changes are against the "
                  "first arm; those of times have an interval and a verdict.\n\n");
    put_labels(out, s);
    for (int section = 0; section < DASHBOARD_SECTIONS; section++) {
        bool any = false;
        for (int i = 0; i < d.n; i++) {
            if ((int)d.row[i].section != section)
                continue;
            if (!any) {
                text_format(out, "#### %s\n\n", dashboard_titles[section]);
                put_head(out, s);
            }
            any = true;
            put_row(out, &d.row[i], s->preset.n_arms);
        }
        text_add(out, any ? "\n" : "");
    }
    dashboard_free(&d);
    return 0;
}

/* Why an arm has no figure: its state, the judge's note, or that it was not judged. */
static void put_missing(struct text *out, const struct session_cell *c, const struct session_arm *a)
{
    enum cell_status status = a->reason[0] || c->status == CELL_OK ? a->status : c->status;
    text_add(out, "– (");
    if (status != CELL_OK)
        export_markdown_text(out, cell_status_names[status]);
    else
        export_markdown_text(out, a->quality.note[0] ? a->quality.note : "not measured");
    text_add(out, ")");
}

void export_quality(struct text *out, const struct session *s)
{
    bool shown[WORTH_FIGURES], any = false;
    char text[FIGURE_TEXT * 12];
    for (int f = 0; f < WORTH_FIGURES; f++) {
        shown[f] = worth_has(s, (enum worth_figure)f);
        any = any || shown[f];
    }
    if (!any)
        return;
    text_add(out, "### Quality\n\n");
    if (worth_source(s, -1, text, sizeof text)[0])
        text_format(out, "Judged on %s. KL and agreement are against the baseline on the same tokens.\n\n",
                    text);
    if (shown[WORTH_PERPLEXITY] && worth_rule(s, text, sizeof text)[0])
        text_format(out, "%s\n\n", text);
    for (int c = 0; c < s->n_cells; c++)
        if (session_random_weights(&s->cell[c])) {
            text_add(out, "Models of the catalog have random weights: their perplexity and bits per byte say "
                          "nothing of a trained model, only KL and agreement say what an arm changes.\n\n");
            break;
        }
    text_add(out, "| Model | Workload | Batch | Seq | Arm |");
    for (int f = 0; f < WORTH_FIGURES; f++)
        if (shown[f])
            text_format(out, " %s |", worth_titles[f]);
    text_add(out, " Against the baseline |\n|---|---|---|---|---|");
    for (int f = 0; f < WORTH_FIGURES; f++)
        text_add(out, shown[f] ? "---|" : "");
    text_add(out, "---|\n");
    for (int c = 0; c < s->n_cells; c++)
        for (int arm = 0; arm < s->cell[c].n_arms; arm++) {
            const struct session_cell *cell = &s->cell[c];
            const struct session_arm *a = &cell->arm[arm];
            char cost[192];
            if (cell->workload == WORKLOAD_TOKENIZE)
                continue;
            text_add(out, "| ");
            export_markdown_text(out, cell->model);
            text_format(out, " | %s | %d | %d | ", workload_names[cell->workload], cell->batch, cell->seq);
            export_markdown_text(out, a->name);
            text_add(out, " |");
            for (int f = 0; f < WORTH_FIGURES; f++) {
                if (!shown[f])
                    continue;
                text_add(out, " ");
                if (worth_text(&a->quality, (enum worth_figure)f, text, sizeof text)[0])
                    text_add(out, text);
                else if (!a->quality.known)
                    put_missing(out, cell, a);
                else
                    text_add(out, "–");
                text_add(out, " |");
            }
            text_format(out, " %s |\n",
                        worth_cost(s, c, arm, cost, sizeof cost)[0] ? cost
                        : arm                                       ? "the same weights"
                                                                    : "–");
        }
    text_add(out, "\n");
}

static void put_excerpt(struct text *out, const char *text)
{
    char cut[RESPONSE_SHOWN + 1];
    size_t n = strlen(text);
    if (n > RESPONSE_SHOWN)
        for (n = RESPONSE_SHOWN; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    memcpy(cut, text, n);
    cut[n] = '\0';
    export_markdown_text(out, cut);
    if (text[n])
        text_add(out, "…");
}

void export_responses(struct text *out, const struct session *s)
{
    bool any = false;
    for (int c = 0; c < s->n_cells; c++) {
        const struct session_cell *cell = &s->cell[c];
        int most = session_most_responses(cell);
        for (int i = 0; i < most; i++) {
            if (!any)
                text_add(out, "## Responses\n\n| Model | Batch | Seq | Prompt | Arm | Tokens | Ended | Text "
                              "|\n|---|---|---|---|---|---|---|---|\n");
            any = true;
            for (int arm = 0; arm < cell->n_arms; arm++) {
                const struct session_responses *r = cell->arm[arm].responses;
                if (!r || i >= r->n)
                    continue;
                const struct session_response *x = &r->response[i];
                text_add(out, "| ");
                export_markdown_text(out, cell->model);
                text_format(out, " | %d | %d | ", cell->batch, cell->seq);
                put_excerpt(out, x->prompt);
                text_add(out, " | ");
                export_markdown_text(out, cell->arm[arm].name);
                if (worth_not_equivalent(&cell->arm[arm]))
                    text_format(out, " (%s)", worth_not_equivalent_words);
                text_format(out, " | %d | %s | ", x->tokens,
                            x->finish == RESPONSE_END_OF_TEXT ? "end of text" : "at its length");
                put_excerpt(out, x->text);
                text_add(out, " |\n");
            }
        }
    }
    text_add(out, any ? "\n" : "");
}
