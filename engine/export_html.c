/* The HTML report: one file that needs no other, no script and no font. What the Results screen shows, with
 * its words: the sentence at the top, verdicts against the band of equivalence, every figure, then pictures,
 * and at the end what it takes to run it again. */
#include "engine/export_html.h"
#include "engine/ablation.h"
#include "engine/cache_table.h"
#include "engine/export_formats.h"
#include "engine/figure.h"
#include "engine/headline.h"
#include "engine/markup.h"
#include "engine/session_json.h"
#include "engine/table.h"
#include "engine/worth.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = FIGURE_TEXT * 12, WHERE = 400 };

/* Blue, orange, teal, gray first: apart for every common kind of color blindness, as on the screens. */
static const char style[] =
    ":root{color-scheme:light dark;--page:#fff;--ink:#1c1d1f;--quiet:#686c73;--line:#dcdee2;--band:#e6eaef;"
    "--a0:#3f68c0;--a1:#b86e00;--a2:#00857f;--a3:#767a80;--a4:#95429a;--a5:#7c7c24;--a6:#4f7d88;--a7:#9a7042}"
    "\n"
    "@media(prefers-color-scheme:dark){:root{--page:#17181a;--ink:#e4e5e7;--quiet:#989ca3;--line:#34363a;"
    "--band:#2a2e34;--a0:#7fa0ea;--a1:#e09a3a;--a2:#3fc0b8;--a3:#a6aab0;--a4:#cd83d0;--a5:#bcbc62;--a6:#"
    "92b8c2;"
    "--a7:#d9b08c}}\n"
    "@media print{:root{--page:#fff;--ink:#000;--quiet:#555;--line:#ccc;--band:#e8e8e8}body{max-width:none}"
    "h2,h3{break-after:avoid}svg.picture,tr{break-inside:avoid}.wide{overflow:visible}}\n"
    "body{background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif;"
    "font-variant-numeric:tabular-nums;max-width:84rem;margin:2.5rem auto;padding:0 1.25rem}\n"
    "h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2.75rem 0 .75rem}"
    "h3{font-size:1rem;font-weight:600;margin:1.5rem 0 .25rem}p{margin:.5rem 0;max-width:46rem}\n"
    ".headline{font-size:1.2rem;font-weight:600;margin:1.25rem 0}.quiet,.small{color:var(--quiet)}"
    ".label{border:1px solid currentColor;border-radius:3px;padding:0 "
    ".4em;margin-right:.5em;font-weight:600}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem}"
    "th,td{padding:.2rem .75rem .2rem 0;text-align:right;white-space:nowrap;vertical-align:baseline}"
    "th{font-weight:400;color:var(--quiet);border-bottom:1px solid var(--line)}"
    ".left{text-align:left}td.weak{color:var(--quiet);opacity:.65;font-style:italic}"
    "tr.first td{border-top:1px solid var(--line)}td svg{vertical-align:middle;max-width:none}"
    "td.left:last-child{white-space:normal;min-width:14rem}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.25rem;font-size:.875rem}"
    "dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}\n"
    "pre{background:var(--band);padding:.75rem;overflow-x:auto;font-size:.8rem;line-height:1.4;"
    "white-space:pre-wrap;overflow-wrap:anywhere}summary{cursor:pointer}ul{padding-left:1.2rem}"
    "blockquote{margin:.25rem 0 .75rem;padding-left:.75rem;border-left:3px solid var(--line);"
    "white-space:pre-wrap;overflow-wrap:anywhere}\n"
    "svg{max-width:100%;height:auto}svg.picture{display:block;font-size:120px;margin:.25rem 0}"
    "svg.interval{font-size:105px;overflow:visible;min-width:150px}"
    "text{fill:var(--ink)}text.small{fill:var(--quiet);font-size:110px}text.letter{font-weight:700}"
    "text.middle{text-anchor:middle}text.end{text-anchor:end}text.weak{opacity:.55;font-style:italic}\n"
    ".band{fill:var(--band)}.one,.tick{stroke:var(--quiet);stroke-width:8;fill:none}"
    ".one{stroke-dasharray:20 20}.tick.weak{opacity:.5}.grid{stroke:var(--line);stroke-width:6}"
    ".ci{stroke:var(--ink);stroke-width:16;fill:none}.dot,.arrow{fill:var(--ink)}"
    ".line{fill:none;stroke-width:18}.error{fill:none;stroke-width:12}.empty{fill:var(--line)}\n"
    ".fill.a0,.p0{fill:var(--a0)}.fill.a1,.p1{fill:var(--a1)}.fill.a2,.p2{fill:var(--a2)}"
    ".fill.a3,.p3{fill:var(--a3)}.fill.a4{fill:var(--a4)}.fill.a5{fill:var(--a5)}.fill.a6{fill:var(--a6)}"
    ".fill.a7{fill:var(--a7)}\n"
    ".line.a0,.error.a0{stroke:var(--a0)}.line.a1,.error.a1{stroke:var(--a1)}"
    ".line.a2,.error.a2{stroke:var(--a2)}.line.a3,.error.a3{stroke:var(--a3)}"
    ".line.a4,.error.a4{stroke:var(--a4)}.line.a5,.error.a5{stroke:var(--a5)}"
    ".line.a6,.error.a6{stroke:var(--a6)}.line.a7,.error.a7{stroke:var(--a7)}"
    ".line.a1,.line.a5{stroke-dasharray:70 35}.line.a2,.line.a6{stroke-dasharray:20 30}"
    ".line.a3,.line.a7{stroke-dasharray:90 30 20 30}\n"
    ".key{display:inline-block;width:.7em;height:.7em;margin:0 .35em 0 .9em}.key.p0{background:var(--a0)}"
    ".key.p1{background:var(--a1)}.key.p2{background:var(--a2)}.key.p3{background:var(--a3)}\n";

void html_element(struct text *out, const char *open, const char *words, const char *close)
{
    text_add(out, open);
    markup_text(out, words);
    text_add(out, close);
}

/* Lines of plain text as a list; nothing where there are none. Releases lines. */
static void put_list(struct text *out, struct text *lines)
{
    out->failed = out->failed || lines->failed;
    if (lines->n > 0) {
        text_add(out, "<ul class=\"quiet\">\n");
        for (char *at = lines->bytes, *end; (end = strchr(at, '\n')); at = end + 1) {
            *end = '\0';
            html_element(out, "<li>", at, "</li>\n");
        }
        text_add(out, "</ul>\n");
    }
    text_free(lines);
}

/* A table for aligned text, as `show` prints it. Releases lines. */
static void put_preformatted(struct text *out, const char *title, struct text *lines)
{
    out->failed = out->failed || lines->failed;
    if (lines->n > 0) {
        html_element(out, "<h2>", title, "</h2>\n");
        html_element(out, "<pre>", lines->bytes, "</pre>\n");
    }
    text_free(lines);
}

static void put_columns(struct text *out, struct columns *c)
{
    columns_html(c, out);
    columns_free(c);
}

/* --- the top */

static void put_head(struct text *out, const struct session *s)
{
    const char *title = s->preset.title[0] ? s->preset.title : s->preset.name;
    text_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    html_element(out, "<title>", title, " · benchtop</title>\n<style>\n");
    text_add(out, style);
    html_element(out, "</style>\n</head>\n<body>\n<h1>", title, "</h1>\n");
    if (s->preset.answers[0])
        html_element(out, "<p class=\"quiet\">", s->preset.answers, "</p>\n");
}

/* What no reader may miss: figures that are no measurement of a machine, output that is another. */
static void put_labels(struct text *out, const struct session *s)
{
    text_add(out, "<p>");
    if (strcmp(s->preset.device, "fake") == 0)
        text_add(out, "<span class=\"label\">simulated latencies</span>");
    if (s->environment.emulated)
        text_add(out, "<span class=\"label\">emulated GPU: its times mean nothing</span>");
    if (s->status != SESSION_COMPLETE)
        html_element(out, "<span class=\"label\">", session_status_names[s->status], "</span>");
    for (int arm = 0; arm < s->preset.n_arms; arm++)
        if (worth_any_not_equivalent(s, arm)) {
            html_element(out, "<span class=\"label\">", s->preset.arms[arm].name, ": ");
            text_format(out, "%s</span>", worth_not_equivalent_words);
        }
    text_add(out, "</p>\n");
}

static void put_top(struct text *out, const struct session *s, struct summary_cache *cache,
                    const struct comparison *comparisons)
{
    char sentence[640], line[1024];
    struct text about = text_in(line, sizeof line);
    headline_print(s, cache, comparisons, sentence, sizeof sentence);
    put_head(out, s);
    html_element(out, "<p class=\"headline\">", sentence, "</p>\n");
    put_labels(out, s);
    text_format(&about, "%s%s%s", s->id, s->started[0] ? " · " : "", s->started);
    table_common(s, &about);
    const char *on = s->environment.device[0] ? s->environment.device : s->environment.cpu;
    if (on[0])
        text_format(&about, " · %s", on);
    text_format(&about, " · seed %llu · %d rounds planned", (unsigned long long)s->preset.seed,
                s->preset.rounds);
    html_element(out, "<p class=\"quiet\">", line, "</p>\n");
}

/* --- verdicts */

static struct markup_scale scale_of(const struct session *s, const struct comparison *comparisons)
{
    struct markup_scale scale = {1 / 1.04, 1.04, s->preset.margin};
    for (int i = 0; i < s->n_cells * s->preset.n_arms; i++) {
        const struct comparison *c = &comparisons[i];
        if (c->verdict == VERDICT_NONE || !(c->speedup > 0))
            continue;
        bool known = c->speedup_ci.low > 0 && isfinite(c->speedup_ci.high);
        scale.low = fmin(scale.low, known ? c->speedup_ci.low : c->speedup);
        scale.high = fmax(scale.high, known ? c->speedup_ci.high : c->speedup);
    }
    scale.low =
        fmax(scale.low / 1.01, 0.05); /* an interval without a bound would leave no room for the rest */
    scale.high = fmin(scale.high * 1.01, 50);
    return scale;
}

static void put_verdict(struct columns *t, const struct session *s, int cell, int arm,
                        const struct comparison *c, const struct markup_scale *scale)
{
    char number[WIDE], interval[96], words[64];
    double half = (c->speedup_ci.high - c->speedup_ci.low) / 2;
    int d = figure_scale_decimals(c->speedup, isfinite(half) ? half : 0.02);
    struct text picture = {0};
    columns_cell(t, s->cell[cell].arm[arm].name);
    columns_cell(t, figure_fixed(c->speedup, d, number, sizeof number));
    columns_cell(t, figure_interval(c->speedup_ci.low, c->speedup_ci.high, d, interval, sizeof interval));
    markup_interval(&picture, scale, c->speedup, c->speedup_ci);
    columns_markup(t, picture.failed ? NULL : picture.bytes);
    text_free(&picture);
    columns_cell(t, worth_verdict(c, &s->cell[cell].arm[arm], words, sizeof words));
    columns_cell(t, isfinite(c->p_holm) ? figure_p(c->p_holm, number, sizeof number) : "");
    columns_cell(t, isfinite(c->welch.p) ? figure_p(c->welch.p, number, sizeof number) : "");
    columns_cell(t, isfinite(c->effect.cohens_d) ? figure_digits(c->effect.cohens_d, 2, number, sizeof number)
                                                 : "");
    columns_cell(t, c->reason);
}

static void put_verdicts(struct text *out, const struct session *s, const struct comparison *comparisons)
{
    static const struct column head[] = {
        {"cell", true, 0},       {"candidate", true, 0}, {"speed-up", false, 0}, {"interval", true, 0},
        {"", true, 0},           {"verdict", true, 0},   {"p, Holm", false, 0},  {"p, Welch", false, 0},
        {"Cohen's d", false, 0}, {"because", true, 0}};
    enum { COLUMNS = sizeof head / sizeof head[0] };
    struct markup_scale scale = scale_of(s, comparisons);
    struct columns *t = columns_new(head, COLUMNS);
    struct text axis = {0};
    char where[WHERE], level[WIDE], margin[WIDE];
    int n = 0, family = 0;
    markup_scale(&axis, &scale);
    for (int i = 0; i < COLUMNS && t; i++) /* the scale stands above its intervals */
        i == 4 ? columns_markup(t, axis.failed ? NULL : axis.bytes) : columns_cell(t, "");
    text_free(&axis);
    for (int i = 0; i < s->n_cells && t; i++) {
        bool told = false;
        for (int j = 1; j < s->cell[i].n_arms; j++) {
            const struct comparison *c = &comparisons[i * s->preset.n_arms + j];
            if (c->verdict == VERDICT_NONE)
                continue;
            columns_cell(t, told ? "" : table_cell_words(s, i, where, sizeof where));
            put_verdict(t, s, i, j, c, &scale);
            told = true;
            n++;
            family = c->family > family ? c->family : family;
        }
    }
    if (n > 0) {
        text_add(out, "<h2>Verdicts</h2>\n");
        put_columns(out, t);
        html_element(out, "<p class=\"quiet\">Speed-up over ", s->preset.arms[0].name, ", ");
        text_format(out, "with %s intervals: above 1 is faster. Gray band: equivalent, ± %s.",
                    figure_percent(summary_confidence(s), 1, level, sizeof level),
                    figure_percent(s->preset.margin, 1, margin, sizeof margin));
        if (family > 1)
            text_format(out, " Verdicts hold over the family of %d comparisons (Holm).", family);
        text_add(out, "</p>\n");
    } else {
        columns_free(t);
    }
    out->failed = out->failed || !t;
}

/* --- all figures */

static void put_results(struct text *out, const struct session *s, const struct comparison *comparisons)
{
    struct text notes = {0};
    if (s->n_cells == 0)
        return;
    text_add(out, "<h2>Figures</h2>\n");
    put_columns(out, table_results(s, comparisons, out));
    text_add(out,
             "<p class=\"quiet\">Latencies in milliseconds, means with intervals over blocks; throughput is "
             "tokens over mean time. Figures in gray italics: too few samples for an interval of that "
             "percentile.</p>\n");
    table_percentile_note(s, 0, &notes);
    table_limit_note(s, 0, &notes);
    table_notes(s, 0, &notes);
    put_list(out, &notes);
}

/* --- memory and limits */

static const char *const memory_parts[] = {"weights", "KV cache", "activations", "overhead"};
enum { PARTS = 4 };

static void memory_values(const struct memory_use *m, double part[PARTS])
{
    part[0] = (double)m->weights;
    part[1] = (double)m->kv_cache;
    part[2] = (double)m->activations;
    part[3] = (double)m->overhead;
}

static const struct memory_use *memory_of(const struct session_arm *a)
{
    return a->has_measured ? &a->measured : &a->predicted;
}

static void put_bar(struct columns *t, const double *part, int parts, double whole)
{
    struct text picture = {0};
    markup_bar(&picture, part, parts, whole);
    columns_markup(t, picture.failed ? NULL : picture.bytes);
    text_free(&picture);
}

static void put_memory(struct text *out, const struct session *s)
{
    static const struct column head[] = {
        {"cell", true, 0},         {"arm", true, 0},      {"", true, 0},
        {"peak", false, 0},        {"weights", false, 0}, {"KV cache", false, 0},
        {"activations", false, 0}, {"overhead", false, 0}};
    double most = 0, part[PARTS];
    char where[WHERE], number[WIDE], text[WIDE + 4];
    bool predicted = false;
    for (int i = 0; i < s->n_cells; i++)
        for (int j = 0; j < s->cell[i].n_arms; j++)
            most = fmax(most, (double)memory_of(&s->cell[i].arm[j])->peak);
    struct columns *t = most > 0 ? columns_new(head, sizeof head / sizeof head[0]) : NULL;
    for (int i = 0; i < s->n_cells && t; i++) {
        bool told = false;
        for (int j = 0; j < s->cell[i].n_arms; j++) {
            const struct session_arm *a = &s->cell[i].arm[j];
            const struct memory_use *m = memory_of(a);
            if (m->peak <= 0) /* tokenize runs no model */
                continue;
            memory_values(m, part);
            columns_cell(t, told ? "" : table_cell_words(s, i, where, sizeof where));
            told = true;
            columns_cell(t, a->name);
            put_bar(t, part, PARTS, most);
            bool guess = !a->has_measured;
            predicted = predicted || guess;
            snprintf(text, sizeof text, "%s%s", guess ? "~" : "",
                     figure_bytes((double)m->peak, number, sizeof number));
            columns_cell(t, text);
            for (int k = 0; k < PARTS; k++)
                columns_cell(t, part[k] > 0 ? figure_bytes(part[k], number, sizeof number) : "");
        }
    }
    out->failed = out->failed || (most > 0 && !t);
    if (!t)
        return;
    text_add(out, "<h2>Memory</h2>\n<p class=\"quiet\">");
    for (int k = 0; k < PARTS; k++)
        text_format(out, "<span class=\"key p%d\"></span>%s", k, memory_parts[k]);
    text_format(out, "%s</p>\n", predicted ? " · ~ predicted, not measured" : "");
    put_columns(out, t);
}

static void put_share(struct columns *t, double share)
{
    char percent[WIDE];
    columns_cell(t, isfinite(share) ? figure_percent(share, share < 0.0995 ? 1 : 0, percent, sizeof percent)
                                    : "");
}

static void put_rate(struct columns *t, double per_second)
{
    char number[WIDE];
    columns_cell(t, per_second > 0 ? figure_digits(per_second / 1e9, 3, number, sizeof number) : "");
}

/* How near every arm came to what the device was measured to reach. */
static void put_limits(struct text *out, const struct session *s, struct summary_cache *cache)
{
    static const struct column head[] = {{"cell", true, 0},
                                         {"arm", true, 0},
                                         {"nearer limit", false, 0},
                                         {"", true, 0},
                                         {"GB/s", false, 0},
                                         {"of bandwidth", false, 0},
                                         {"GFLOP/s", false, 0},
                                         {"of products", false, 0},
                                         {"bandwidth of data sheet", false, 0},
                                         {"products of data sheet", false, 0}};
    struct columns *t = columns_new(head, sizeof head / sizeof head[0]);
    char where[WHERE];
    int n = 0;
    for (int i = 0; i < s->n_cells && t; i++) {
        bool told = false;
        for (int j = 0; j < s->cell[i].n_arms; j++) {
            const struct arm_summary *a = summary_cache_arm(cache, s, i, j);
            if (!a || !isfinite(a->limit_share))
                continue;
            columns_cell(t, told ? "" : table_cell_words(s, i, where, sizeof where));
            columns_cell(t, s->cell[i].arm[j].name);
            put_share(t, a->limit_share);
            put_bar(t, &a->limit_share, 1, 1);
            put_rate(t, a->bandwidth);
            put_share(t, a->bandwidth_share);
            put_rate(t, a->flop_rate);
            put_share(t, a->flop_share);
            put_share(t, a->bandwidth_sheet_share);
            put_share(t, a->flop_sheet_share);
            told = true;
            n++;
        }
    }
    out->failed = out->failed || !t;
    if (n == 0) {
        columns_free(t);
        return;
    }
    text_add(out, "<h2>Share of what this device was measured to reach</h2>\n");
    put_columns(out, t);
}

/* --- the end: where it ran, and how to run it again */

static void put_hardware_row(struct text *out, const char *key, const char *value, const char *absent)
{
    html_element(out, "<dt>", key, "</dt>");
    html_element(out, value[0] ? "<dd>" : "<dd class=\"quiet\">", value[0] ? value : absent, "</dd>\n");
}

/* The command line as one may paste it into a shell. */
static void put_command(struct text *out, const struct session *s)
{
    cJSON *list = cJSON_Parse(s->argv ? s->argv : "[]");
    const cJSON *item;
    struct text line = {0};
    cJSON_ArrayForEach(item, list)
    {
        const char *word = cJSON_IsString(item) ? item->valuestring : "";
        bool bare = word[0] && strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                            "_-./=:,+@%") == strlen(word);
        text_add(&line, line.n ? bare ? " " : " '" : bare ? "" : "'");
        for (const char *p = word; *p; p++)
            text_add(&line, *p == '\'' ? "'\\''" : (char[]){*p, '\0'});
        text_add(&line, bare ? "" : "'");
    }
    cJSON_Delete(list);
    if (line.n > 0)
        html_element(out, "<p>As it was started:</p>\n<pre>", line.bytes, "</pre>\n");
    out->failed = out->failed || line.failed;
    text_free(&line);
}

static int put_end(struct text *out, const struct session *s, struct error *e)
{
    char *preset = preset_print(&s->preset, e);
    if (!preset)
        return -1;
    text_add(out, "<h2>Where it ran</h2>\n<dl>\n");
    put_hardware_row(out, "Host", s->environment.host, "not known");
    export_hardware(out, s, put_hardware_row);
    text_add(out, "</dl>\n<h2>To run it again</h2>\n");
    put_command(out, s);
    html_element(out, "<p>With the session file, which has every raw sample: <code>benchtop run ", s->id,
                 "</code>, or from the preset below as a file of its own.</p>\n");
    html_element(out, "<details><summary>The preset</summary>\n<pre>", preset, "</pre>\n</details>\n");
    text_add(out, "</body>\n</html>\n");
    free(preset);
    return 0;
}

static int put_page(struct text *out, const struct session *s, struct summary_cache *cache, struct error *e)
{
    struct text caches = {0}, gains = {0};
    /* All figures first: none can then be missing for want of memory. */
    if (summary_cache_step(cache, s, INT_MAX) < 0)
        return error_set(e, ERROR_MEMORY, "no memory for the report: close other programs");
    const struct comparison *comparisons = summary_cache_comparisons(cache, s, e);
    if (!comparisons)
        return -1;
    put_top(out, s, cache, comparisons);
    put_verdicts(out, s, comparisons);
    put_results(out, s, comparisons);
    html_curves(out, s, cache);
    html_histograms(out, s, cache);
    put_limits(out, s, cache);
    put_memory(out, s);
    if (html_dashboard(out, s, comparisons, e) != 0)
        return -1;
    html_quality(out, s);
    cache_table_print(s, comparisons, false, 0, &caches);
    put_preformatted(out, "Key-value caches", &caches);
    html_responses(out, s);
    char *ablation = ablation_print(s, 0, false, e);
    if (!ablation)
        return -1;
    text_add(&gains, ablation);
    free(ablation);
    put_preformatted(out, "What each optimization gains", &gains);
    struct columns *criteria = table_criteria(s, out);
    if (criteria) {
        text_add(out, "<h2>Criteria</h2>\n");
        put_columns(out, criteria);
    }
    return put_end(out, s, e);
}

char *export_html(const struct session *s, struct error *e)
{
    struct text out = {0};
    struct summary_cache *cache = summary_cache_new();
    if (!cache) {
        error_set(e, ERROR_MEMORY, "no memory for the report: close other programs");
        return NULL;
    }
    int result = put_page(&out, s, cache, e);
    summary_cache_free(cache);
    if (result == 0)
        return text_take(&out, e);
    text_free(&out);
    return NULL;
}
