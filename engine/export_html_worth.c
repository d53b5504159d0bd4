/* What speed was bought with, on the HTML page: quality, responses, the combined comparison. */
#include "engine/dashboard.h"
#include "engine/export_html.h"
#include "engine/figure.h"
#include "engine/markup.h"
#include "engine/table.h"
#include "engine/worth.h"
#include <math.h>

enum { WIDE = FIGURE_TEXT * 12, WHERE = 400 };

void html_quality(struct text *out, const struct session *s)
{
    struct column head[3 + WORTH_FIGURES] = {{"cell", true, 0}, {"arm", true, 0}};
    int figure[WORTH_FIGURES], n = 0;
    char text[WIDE], where[WHERE];
    bool random = false;
    for (int f = 0; f < WORTH_FIGURES; f++)
        if (worth_has(s, (enum worth_figure)f)) {
            head[2 + n] = (struct column){worth_titles[f], false, 0};
            figure[n++] = f;
        }
    if (n == 0)
        return;
    head[2 + n] = (struct column){"against the baseline", true, 0};
    struct columns *t = columns_new(head, 3 + n);
    for (int i = 0; i < s->n_cells && t; i++) {
        random = random || session_random_weights(&s->cell[i]);
        for (int j = 0; j < s->cell[i].n_arms && s->cell[i].workload != WORKLOAD_TOKENIZE; j++) {
            const struct session_arm *a = &s->cell[i].arm[j];
            columns_cell(t, j ? "" : table_cell_words(s, i, where, sizeof where));
            columns_cell(t, a->name);
            for (int f = 0; f < n; f++)
                columns_cell(t, worth_text(&a->quality, (enum worth_figure)figure[f], text, sizeof text)[0]
                                    ? text
                                    : "–");
            worth_cost(s, i, j, text, sizeof text);
            columns_cell(t, text[0] ? text : j ? "the same weights" : "");
        }
    }
    text_add(out, "<h2>Quality</h2>\n");
    columns_html(t, out);
    if (worth_source(s, -1, text, sizeof text)[0])
        html_element(out, "<p class=\"quiet\">Judged on ", text,
                     ". KL and agreement are against the baseline on the same tokens.</p>\n");
    if (random)
        text_add(
            out,
            "<p class=\"quiet\">Random weights: their perplexity and bits per byte say nothing of a trained "
            "model, only KL and agreement say what an arm changes.</p>\n");
    columns_free(t);
}

static void put_response(struct text *out, const struct session_arm *arm, int i)
{
    const struct session_response *x = &arm->responses->response[i];
    html_element(out, "<h3>", arm->name, "");
    if (worth_not_equivalent(arm))
        text_format(out, " (%s)", worth_not_equivalent_words);
    text_format(out, "</h3>\n<p class=\"quiet\">%d tokens, ended %s</p>\n", x->tokens,
                x->finish == RESPONSE_END_OF_TEXT ? "by end of text" : "at its length");
    html_element(out, "<blockquote>", x->text, "</blockquote>\n");
}

void html_responses(struct text *out, const struct session *s)
{
    char where[WHERE];
    bool any = false;
    for (int c = 0; c < s->n_cells; c++) {
        const struct session_cell *cell = &s->cell[c];
        int most = session_most_responses(cell);
        for (int i = 0; i < most; i++) {
            bool asked = false;
            text_add(out, any ? "" : "<h2>Responses</h2>\n");
            any = true;
            for (int arm = 0; arm < cell->n_arms; arm++) {
                if (!cell->arm[arm].responses || i >= cell->arm[arm].responses->n)
                    continue;
                if (!asked) {
                    text_add(out, "<details><summary>");
                    table_cell_words(s, c, where, sizeof where);
                    html_element(out, "", where, where[0] ? ", " : "");
                    text_format(out, "prompt %d of %d</summary>\n", i + 1, most);
                    html_element(out, "<blockquote>", cell->arm[arm].responses->response[i].prompt,
                                 "</blockquote>\n");
                }
                asked = true;
                put_response(out, &cell->arm[arm], i);
            }
            text_add(out, asked ? "</details>\n" : "");
        }
    }
}

int html_dashboard(struct text *out, const struct session *s, const struct comparison *comparisons,
                   struct error *e)
{
    struct column head[1 + 2 * PRESET_ARMS] = {{"metric", true, 0}};
    struct dashboard d = {0};
    char text[DASHBOARD_TEXT * 2];
    int arms = s->preset.n_arms;
    if (!dashboard_fits(s))
        return 0;
    if (dashboard_build(s, -1, comparisons, &d, e) != 0)
        return -1;
    for (int arm = 0; arm < arms; arm++) {
        head[1 + 2 * arm] = (struct column){s->preset.arms[arm].name, false, 0};
        head[2 + 2 * arm] = (struct column){"change", true, 0};
    }
    text_add(out, "<h2>What it takes and what it gives</h2>\n");
    for (int section = 0; section < DASHBOARD_SECTIONS; section++) {
        struct columns *t = columns_new(head, 1 + 2 * arms);
        int n = 0;
        for (int i = 0; i < d.n && t; i++) {
            const struct dashboard_row *r = &d.row[i];
            if ((int)r->section != section)
                continue;
            n++;
            columns_cell(t, r->name);
            for (int arm = 0; arm < arms; arm++) {
                bool has = arm < r->n_arms && isfinite(r->arm[arm].value);
                columns_cell(t, has ? dashboard_value(r, arm, text, sizeof text) : "–");
                columns_cell(t, has               ? dashboard_change(r, arm, text, sizeof text)
                                : arm < r->n_arms ? r->arm[arm].why
                                                  : "");
            }
        }
        if (n > 0) {
            html_element(out, "<h3>", dashboard_titles[section], "</h3>\n");
            columns_html(t, out);
        }
        out->failed = out->failed || !t;
        columns_free(t);
    }
    dashboard_free(&d);
    return 0;
}
