#include "engine/dashboard.h"

#include "engine/figure.h"
#include "engine/text.h"
#include "engine/worth.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const dashboard_titles[DASHBOARD_SECTIONS] = {"Tokens", "KV cache", "Performance", "Memory",
                                                          "Quality"};

/* What the rows of one cell are made from. */
struct source {
    const struct session *s;
    const struct comparison *comparison; /* [n_arms] of the cell */
    int cell;
    char prefix[48]; /* "generate: ", where there is more than one */
    struct arm_summary arm[PRESET_ARMS];
    struct dashboard *out;
    bool failed;
};

static const struct session_arm *arm_of(const struct source *o, int arm)
{
    return &o->s->cell[o->cell].arm[arm];
}

static void why_not(const struct source *o, int arm, const char *why, char out[DASHBOARD_WHY])
{
    const struct session_cell *c = &o->s->cell[o->cell];
    const struct session_arm *a = arm_of(o, arm);
    bool own = a->reason[0] || c->status == CELL_OK;
    enum cell_status status = own ? a->status : c->status;
    const char *reason = own ? a->reason : c->reason;
    if (status == CELL_OK)
        snprintf(out, DASHBOARD_WHY, "%s", why);
    else
        snprintf(out, DASHBOARD_WHY, "%s%s%.100s", cell_status_names[status], reason[0] ? ": " : "", reason);
}

static struct dashboard_row *add_row(struct source *o, enum dashboard_section section,
                                     enum dashboard_unit unit, int better, const char *name)
{
    struct dashboard *d = o->out;
    if (d->n == d->room) {
        int room = d->room ? 2 * d->room : 32;
        struct dashboard_row *larger = realloc(d->row, (size_t)room * sizeof *larger);
        if (!larger) {
            o->failed = true;
            return NULL;
        }
        d->row = larger;
        d->room = room;
    }
    struct dashboard_row *r = &d->row[d->n++];
    memset(r, 0, sizeof *r);
    r->section = section;
    r->unit = unit;
    r->better = better;
    r->n_arms = o->s->cell[o->cell].n_arms;
    snprintf(r->name, sizeof r->name, "%s%s", o->prefix, name);
    for (int i = 0; i < r->n_arms; i++)
        r->arm[i].value = r->arm[i].half = r->arm[i].gain = r->arm[i].low = r->arm[i].high = (double)NAN;
    return r;
}

/* One figure of every arm; drops the row where nobody has it. why: where this arm alone lacks it. */
static void add(struct source *o, enum dashboard_section section, enum dashboard_unit unit, int better,
                const char *name, double (*value)(const struct source *, int arm), const char *why)
{
    struct dashboard_row *r = add_row(o, section, unit, better, name);
    bool any = false;
    if (!r)
        return;
    for (int i = 0; i < r->n_arms; i++) {
        r->arm[i].value = value(o, i);
        any = any || isfinite(r->arm[i].value);
        if (!isfinite(r->arm[i].value))
            why_not(o, i, why, r->arm[i].why);
        double base = r->arm[0].value;
        if (i > 0 && isfinite(r->arm[i].value) && base > 0)
            r->arm[i].gain = r->arm[i].value / base - 1;
    }
    if (!any)
        o->out->n--;
}

/* ---- tokens ---- */

static double of_text(const struct source *o, int arm, int64_t figure)
{
    return arm_of(o, arm)->text.known & TEXT_TOKENS ? (double)figure : (double)NAN;
}
static double total_tokens(const struct source *o, int arm)
{
    return of_text(o, arm, arm_of(o, arm)->text.tokens);
}
static double mean_tokens(const struct source *o, int arm)
{
    const struct text_figures *t = &arm_of(o, arm)->text;
    return t->texts > 0 ? of_text(o, arm, t->tokens) / (double)t->texts : (double)NAN;
}
static double bytes_per_token(const struct source *o, int arm)
{
    const struct text_figures *t = &arm_of(o, arm)->text;
    return t->tokens > 0 ? of_text(o, arm, t->bytes) / (double)t->tokens : (double)NAN;
}

static double sum_of_responses(const struct source *o, int arm, bool prompts)
{
    const struct session_responses *r = arm_of(o, arm)->responses;
    double sum = 0;
    for (int i = 0; r && i < r->n; i++)
        sum += prompts ? r->response[i].prompt_tokens : r->response[i].tokens;
    return r && r->n > 0 ? sum : (double)NAN;
}
static double input_tokens(const struct source *o, int arm)
{
    return sum_of_responses(o, arm, true);
}
static double output_tokens(const struct source *o, int arm)
{
    return sum_of_responses(o, arm, false);
}
static double both_tokens(const struct source *o, int arm)
{
    return input_tokens(o, arm) + output_tokens(o, arm);
}

static void add_tokens(struct source *o)
{
    static const char no_text[] = "no text was cut into tokens";
    static const char no_response[] = "no response was kept";
    if (o->s->cell[o->cell].workload == WORKLOAD_TOKENIZE) {
        add(o, DASHBOARD_TOKENS, DASHBOARD_COUNT, -1, "tokens in all", total_tokens, no_text);
        add(o, DASHBOARD_TOKENS, DASHBOARD_NUMBER, -1, "tokens per text", mean_tokens, no_text);
        add(o, DASHBOARD_TOKENS, DASHBOARD_NUMBER, 1, "bytes per token", bytes_per_token, no_text);
    }
    add(o, DASHBOARD_TOKENS, DASHBOARD_COUNT, -1, "input tokens", input_tokens, no_response);
    add(o, DASHBOARD_TOKENS, DASHBOARD_COUNT, 0, "output tokens", output_tokens, no_response);
    add(o, DASHBOARD_TOKENS, DASHBOARD_COUNT, 0, "input and output", both_tokens, no_response);
}

/* ---- KV cache and memory ---- */

static double of_memory(const struct source *o, int arm, int64_t bytes)
{
    return arm_of(o, arm)->has_measured ? (double)bytes : (double)NAN;
}
/* Pages are counted where they are mapped; else what was allocated. */
static double cache_bytes(const struct source *o, int arm)
{
    const struct memory_pages *p = &arm_of(o, arm)->measured.kv_pages;
    int64_t bytes = p->page_bytes > 0 ? p->committed : arm_of(o, arm)->measured.kv_cache;
    return bytes > 0 ? of_memory(o, arm, bytes) : (double)NAN;
}
static double cache_used(const struct source *o, int arm)
{
    int64_t bytes = arm_of(o, arm)->measured.kv_used;
    return bytes > 0 ? of_memory(o, arm, bytes) : (double)NAN;
}
static double cache_per_text(const struct source *o, int arm)
{
    return cache_bytes(o, arm) / o->s->cell[o->cell].batch;
}
static double cache_idle(const struct source *o, int arm)
{
    return cache_bytes(o, arm) - cache_used(o, arm);
}
static double cache_address_space(const struct source *o, int arm)
{
    const struct memory_pages *p = &arm_of(o, arm)->measured.kv_pages;
    return p->page_bytes > 0 ? of_memory(o, arm, p->reserved) : (double)NAN;
}
static double cache_contiguous(const struct source *o, int arm)
{
    const struct memory_pages *p = &arm_of(o, arm)->measured.kv_pages;
    return p->page_bytes > 0 && p->contiguous > 0 ? of_memory(o, arm, p->contiguous) : (double)NAN;
}
static double cache_saved(const struct source *o, int arm)
{
    return cache_contiguous(o, arm) - cache_bytes(o, arm);
}
static double cache_wait(const struct source *o, int arm)
{
    const struct memory_pages *p = &arm_of(o, arm)->measured.kv_pages;
    return p->page_bytes > 0 ? of_memory(o, arm, 1) * (double)p->exposed_ns / 1e6 : (double)NAN;
}
static double peak_bytes(const struct source *o, int arm)
{
    return of_memory(o, arm, arm_of(o, arm)->measured.peak);
}
static double average_bytes(const struct source *o, int arm)
{
    return of_memory(o, arm, arm_of(o, arm)->measured.average);
}
static double weight_bytes(const struct source *o, int arm)
{
    int64_t bytes = arm_of(o, arm)->measured.weights;
    return bytes > 0 ? of_memory(o, arm, bytes) : (double)NAN; /* tokenize has none */
}
static double tokens_per_mib(const struct source *o, int arm)
{
    double peak = peak_bytes(o, arm);
    return peak > 0 ? (double)arm_of(o, arm)->work.tokens / (peak / 0x1p20) : (double)NAN;
}

static void add_memory(struct source *o)
{
    static const char none[] = "memory was not measured", fixed[] = "its cache tells no pages";
    add(o, DASHBOARD_CACHE, DASHBOARD_BYTES, -1, "KV cache", cache_bytes, none);
    if (o->s->cell[o->cell].batch > 1)
        add(o, DASHBOARD_CACHE, DASHBOARD_BYTES, -1, "KV cache per text", cache_per_text, none);
    add(o, DASHBOARD_CACHE, DASHBOARD_BYTES, 0, "of it holding tokens", cache_used, none);
    add(o, DASHBOARD_CACHE, DASHBOARD_BYTES, -1, "of it held for nothing", cache_idle, none);
    add(o, DASHBOARD_CACHE, DASHBOARD_BYTES, 0, "a contiguous cache holds", cache_contiguous, none);
    add(o, DASHBOARD_CACHE, DASHBOARD_BYTES, 1, "saved against that", cache_saved, none);
    add(o, DASHBOARD_CACHE, DASHBOARD_BYTES, 0, "addresses reserved", cache_address_space, fixed);
    add(o, DASHBOARD_CACHE, DASHBOARD_MS, -1, "waited for its growth", cache_wait, fixed);
    add(o, DASHBOARD_MEMORY, DASHBOARD_BYTES, -1, "peak", peak_bytes, none);
    add(o, DASHBOARD_MEMORY, DASHBOARD_BYTES, -1, "average", average_bytes, none);
    add(o, DASHBOARD_MEMORY, DASHBOARD_BYTES, -1, "weights", weight_bytes, none);
    add(o, DASHBOARD_MEMORY, DASHBOARD_NUMBER, 1, "tokens of a pass per MiB", tokens_per_mib, none);
}

/* ---- performance ---- */

static double pass_ms(const struct source *o, int arm)
{
    return o->arm[arm].latency.mean;
}
static double text_ms(const struct source *o, int arm)
{
    const struct session_cell *c = &o->s->cell[o->cell];
    double texts = c->workload == WORKLOAD_TOKENIZE ? (double)c->arm[arm].text.texts : c->batch;
    return texts > 0 ? pass_ms(o, arm) / texts : (double)NAN;
}
static double texts_rate(const struct source *o, int arm)
{
    return 1e3 / text_ms(o, arm);
}
static double tokens_rate(const struct source *o, int arm)
{
    return o->arm[arm].tokens_per_second;
}
static double bytes_rate(const struct source *o, int arm)
{
    return o->arm[arm].text_bytes_per_second;
}
static double first_token(const struct source *o, int arm)
{
    return o->arm[arm].time_to_first_token_ms;
}
static double per_token(const struct source *o, int arm)
{
    return o->arm[arm].time_per_output_token_ms;
}

/* A pass is what was timed: its change has an interval and a verdict. */
static void add_pass(struct source *o, const char *name)
{
    int at = o->out->n;
    add(o, DASHBOARD_PERFORMANCE, DASHBOARD_MS, -1, name, pass_ms, "no sample was taken");
    if (o->failed || o->out->n == at)
        return;
    struct dashboard_row *r = &o->out->row[at];
    for (int i = 0; i < r->n_arms; i++) {
        const struct stats_interval *ci = &o->arm[i].latency.ci;
        r->arm[i].half = (ci->high - ci->low) / 2;
        const struct comparison *c = &o->comparison[i];
        if (i == 0 || c->verdict == VERDICT_NONE)
            continue;
        r->arm[i].gain = 1 / c->speedup - 1;
        r->arm[i].low = 1 / c->speedup_ci.high - 1;
        r->arm[i].high = 1 / c->speedup_ci.low - 1;
        r->arm[i].verdict = c->final ? c->verdict : VERDICT_NONE;
    }
}

static void add_performance(struct source *o)
{
    static const char none[] = "no sample was taken";
    enum workload w = o->s->cell[o->cell].workload;
    if (w == WORKLOAD_PERPLEXITY)
        return;
    bool text = w != WORKLOAD_DECODE;
    add_pass(o, w == WORKLOAD_DECODE ? "time per step" : "time per pass");
    if (text)
        add(o, DASHBOARD_PERFORMANCE, DASHBOARD_MS, -1, "time per text", text_ms, none);
    if (w == WORKLOAD_GENERATE) {
        add(o, DASHBOARD_PERFORMANCE, DASHBOARD_MS, -1, "time to the first token", first_token, none);
        add(o, DASHBOARD_PERFORMANCE, DASHBOARD_MS, -1, "time per output token", per_token, none);
    }
    if (text)
        add(o, DASHBOARD_PERFORMANCE, DASHBOARD_RATE, 1, "texts per second", texts_rate, none);
    add(o, DASHBOARD_PERFORMANCE, DASHBOARD_RATE, 1, "tokens per second", tokens_rate, none);
    add(o, DASHBOARD_PERFORMANCE, DASHBOARD_BYTES_RATE, 1, "text per second", bytes_rate,
        "its input is no text");
}

/* ---- quality ---- */

static double perplexity(const struct source *o, int arm)
{
    return quality_figure(&arm_of(o, arm)->quality, QUALITY_PERPLEXITY);
}
static double bits_per_byte(const struct source *o, int arm)
{
    return quality_figure(&arm_of(o, arm)->quality, QUALITY_BITS);
}
static double divergence(const struct source *o, int arm)
{
    return quality_figure(&arm_of(o, arm)->quality, QUALITY_KL);
}
static double top1(const struct source *o, int arm)
{
    return quality_figure(&arm_of(o, arm)->quality, QUALITY_TOP1);
}
static double replies(const struct source *o, int arm)
{
    return quality_figure(&arm_of(o, arm)->quality, QUALITY_RESPONSES);
}
static double response_length(const struct source *o, int arm)
{
    const struct session_responses *r = arm_of(o, arm)->responses;
    double sum = 0;
    for (int i = 0; r && i < r->n; i++)
        for (const char *c = r->response[i].text; *c; c++)
            sum += ((unsigned char)*c & 0xc0) != 0x80;
    return r && r->n > 0 ? sum / r->n : (double)NAN;
}

/* A candidate's figure against the baseline: the baseline has none, and none of them is a change. */
static void add_agreement(struct source *o, enum dashboard_unit unit, int better, const char *name,
                          double (*value)(const struct source *, int arm), const char *why)
{
    int at = o->out->n;
    add(o, DASHBOARD_QUALITY, unit, better, name, value, why);
    if (o->failed || o->out->n == at)
        return;
    struct dashboard_row *r = &o->out->row[at];
    snprintf(r->arm[0].why, sizeof r->arm[0].why, "is the baseline");
    for (int i = 0; i < r->n_arms; i++)
        r->arm[i].gain = (double)NAN;
}

/* Perplexities of two vocabularies are of other tokens: bits per byte compare, they do not. And of random
 * weights neither is better than another. */
static void add_prediction(struct source *o, const char *name,
                           double (*value)(const struct source *, int arm), bool of_tokens, const char *why)
{
    int at = o->out->n;
    add(o, DASHBOARD_QUALITY, DASHBOARD_NUMBER, -1, name, value, why);
    if (o->failed || o->out->n == at)
        return;
    struct dashboard_row *r = &o->out->row[at];
    for (int i = 1; i < r->n_arms; i++) {
        bool other =
            strcmp(arm_of(o, i)->implementation.vocabulary, arm_of(o, 0)->implementation.vocabulary) != 0;
        if ((of_tokens && other) || session_random_weights(&o->s->cell[o->cell]))
            r->arm[i].gain = (double)NAN;
    }
}

static void add_quality(struct source *o)
{
    static const char other[] = "its tokens are not the baseline's", none[] = "no text was scored";
    add_prediction(o, "perplexity", perplexity, true, none);
    add_prediction(o, "bits per byte", bits_per_byte, false, none);
    add_agreement(o, DASHBOARD_NUMBER, -1, "KL from the baseline, nats", divergence, other);
    add_agreement(o, DASHBOARD_SHARE, 1, "same likeliest token", top1, other);
    add_agreement(o, DASHBOARD_SHARE, 1, "same response tokens", replies, other);
    add(o, DASHBOARD_QUALITY, DASHBOARD_NUMBER, 0, "characters per response", response_length,
        "no response was kept");
}

/* ---- */

bool dashboard_fits(const struct session *s)
{
    if (s->preset.n_arms < 2)
        return false;
    for (int c = 0; c < s->n_cells; c++)
        for (int arm = 0; arm < s->cell[c].n_arms; arm++)
            if (s->cell[c].arm[arm].text.known & TEXT_TOKENS)
                return true;
    return false;
}

static bool belongs(const struct session *s, int of, int cell)
{
    const struct session_cell *a, *b = &s->cell[cell];
    if (of < 0)
        return true;
    a = &s->cell[of];
    bool text = a->workload == WORKLOAD_TOKENIZE || b->workload == WORKLOAD_TOKENIZE;
    return strcmp(a->model, b->model) == 0 && (text || (a->batch == b->batch && a->seq == b->seq));
}

/* "generate, batch 4: ": what tells the cell from the others that are shown. */
static void name_cell(struct source *o, int of)
{
    const struct session_cell *c = &o->s->cell[o->cell];
    bool model = false, workload = false, batch = false, seq = false;
    for (int i = 0; i < o->s->n_cells; i++) {
        const struct session_cell *x = &o->s->cell[i];
        if (!belongs(o->s, of, i))
            continue;
        model = model || strcmp(x->model, c->model) != 0;
        workload = workload || x->workload != c->workload;
        batch = batch || (x->workload == c->workload && x->batch != c->batch);
        seq = seq || (x->workload == c->workload && x->seq != c->seq);
    }
    struct text t = text_in(o->prefix, sizeof o->prefix);
    if (workload)
        text_add(&t, workload_names[c->workload]);
    if (model)
        text_format(&t, "%s%.20s", t.n ? ", " : "", c->model);
    if (batch)
        text_format(&t, "%sbatch %d", t.n ? ", " : "", c->batch);
    if (seq)
        text_format(&t, "%sseq %d", t.n ? ", " : "", c->seq);
    if (t.n)
        text_add(&t, ": ");
}

int dashboard_build(const struct session *s, int cell, const struct comparison *comparisons,
                    struct dashboard *out, struct error *e)
{
    struct dashboard d = {0};
    for (int c = 0; c < s->n_cells; c++) {
        struct source o = {.s = s, .cell = c, .out = &d, .comparison = &comparisons[c * s->preset.n_arms]};
        if (!belongs(s, cell, c))
            continue;
        name_cell(&o, cell);
        for (int arm = 0; arm < s->cell[c].n_arms; arm++) {
            summary_arm(s, c, arm, &o.arm[arm]);
            o.failed = o.failed || o.arm[arm].incomplete;
        }
        add_tokens(&o);
        add_memory(&o);
        add_performance(&o);
        add_quality(&o);
        if (o.failed) {
            dashboard_free(&d);
            return error_set(e, ERROR_MEMORY, "no memory for the dashboard: close other programs");
        }
    }
    /* Few rows, and those of a section stay in the order of their cells. */
    for (int i = 1; i < d.n; i++)
        for (int j = i; j > 0 && d.row[j - 1].section > d.row[j].section; j--) {
            struct dashboard_row swap = d.row[j];
            d.row[j] = d.row[j - 1];
            d.row[j - 1] = swap;
        }
    *out = d;
    return 0;
}

void dashboard_free(struct dashboard *d)
{
    free(d->row);
    *d = (struct dashboard){0};
}

/* In the unit that leaves the fewest zeros. */
static char *time_value(double ms, double half, char *out, size_t size)
{
    int k = ms >= 1e4 ? 0 : ms >= 0.1 || ms == 0 ? 1 : 2;
    static const double by[] = {1e3, 1, 1e-3};
    static const char *const unit[] = {"s", "ms", "µs"};
    char number[FIGURE_TEXT * 12], more[FIGURE_TEXT * 12];
    double value = ms / by[k], h = half / by[k];
    if (isfinite(h) && h > 0) {
        int d = figure_scale_decimals(value, h);
        snprintf(out, size, "%s ± %s %s", figure_fixed(value, d, number, sizeof number),
                 figure_fixed(h, d, more, sizeof more), unit[k]);
    } else
        snprintf(out, size, "%s %s",
                 figure_digits(value,
                               value >= 1  ? 4
                               : value > 0 ? 3
                                           : 1,
                               number, sizeof number),
                 unit[k]);
    return out;
}

char *dashboard_value(const struct dashboard_row *r, int arm, char *out, size_t size)
{
    double value = r->arm[arm].value, half = r->arm[arm].half;
    char number[FIGURE_TEXT * 12];
    if (!isfinite(value)) {
        snprintf(out, size, "–");
        return out;
    }
    switch (r->unit) {
    case DASHBOARD_COUNT:
        return figure_fixed(value, 0, out, size);
    case DASHBOARD_BYTES:
        return figure_bytes(value, out, size);
    case DASHBOARD_SHARE:
        return figure_percent(value, 1, out, size);
    case DASHBOARD_MS:
        return time_value(value, half, out, size);
    case DASHBOARD_RATE: {
        int k = value >= 1e6 ? 2 : value >= 1e5 ? 1 : 0; /* seven digits are not read */
        static const double by[] = {1, 1e3, 1e6};
        static const char *const unit[] = {"/s", "k/s", "M/s"};
        snprintf(out, size, "%s %s", figure_digits(value / by[k], 4, number, sizeof number), unit[k]);
        return out;
    }
    case DASHBOARD_BYTES_RATE:
        snprintf(out, size, "%s/s", figure_bytes(value, number, sizeof number));
        return out;
    default:
        return fabs(value) < 5e-7 ? figure_fixed(0, 0, out, size) : figure_digits(value, 4, out, size);
    }
}

static char *percent(double fraction, char *out, size_t size)
{
    char number[FIGURE_TEXT * 12];
    double pct = 100 * fraction;
    figure_fixed(pct, fabs(pct) >= 99.5 ? 0 : 1, number, sizeof number);
    snprintf(out, size, "%s%s", pct > 0 && strspn(number, "0.") < strlen(number) ? "+" : "", number);
    return out;
}

char *dashboard_change(const struct dashboard_row *r, int arm, char *out, size_t size)
{
    double gain = r->arm[arm].gain, low = r->arm[arm].low, high = r->arm[arm].high;
    char number[3][FIGURE_TEXT * 12 + 2];
    if (size > 0)
        out[0] = '\0';
    if (arm == 0 || !isfinite(gain))
        return out;
    percent(gain, number[0], sizeof number[0]);
    if (!isfinite(low) || !isfinite(high))
        snprintf(out, size, "%s %%", number[0]);
    else
        snprintf(out, size, "%s %% (%s to %s)%s%s", number[0], percent(low, number[1], sizeof number[1]),
                 percent(high, number[2], sizeof number[2]), r->arm[arm].verdict ? ", " : "",
                 verdict_names[r->arm[arm].verdict]);
    return out;
}
