#include "tui/results_details.h"
#include "engine/figure.h"
#include "engine/worth.h"
#include "tui/format.h"
#include "tui/theme.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TIMES      "\xc3\x97"
#define DASH       "\xe2\x80\x93"
#define DOT        " \xc2\xb7 "
#define PLUS_MINUS "\xc2\xb1"

enum { LABEL = 9 };

/* Lines go to the grid as they are made; those above `top` and below the rect are only counted. */
struct sheet {
    struct grid *g;
    struct rect r;
    int top, n;
};

static void put_line(struct sheet *s, const char *label, enum style style, const char *text)
{
    int y = s->n++ - s->top;
    if (y < 0 || y >= s->r.height)
        return;
    grid_text(s->g, s->r.x, s->r.y + y, LABEL - 1, STYLE_DIM, label);
    grid_text(s->g, s->r.x + LABEL, s->r.y + y, s->r.width - LABEL, style, text);
}

/* Breaks at blanks; the label stands beside the first line. */
static void say(struct sheet *s, const char *label, enum style style, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void say(struct sheet *s, const char *label, enum style style, const char *format, ...)
{
    char text[640], line[640] = "";
    int columns = 0, room = s->r.width - LABEL;
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    for (const char *at = text; *at;) {
        at += strspn(at, " ");
        size_t length = strcspn(at, " ");
        char word[256];
        snprintf(word, sizeof word, "%.*s", (int)(length < 255 ? length : 255), at);
        int width = grid_columns(word);
        if (columns > 0 && columns + 1 + width > room) {
            put_line(s, label, style, line);
            label = "";
            line[0] = 0;
            columns = 0;
        }
        size_t used = strlen(line);
        snprintf(line + used, sizeof line - used, "%s%s", columns ? " " : "", word);
        columns += width + (columns > 0);
        at += length;
    }
    if (columns > 0)
        put_line(s, label, style, line);
}

static const char *d(char out[FORMAT_TEXT], double value, int digits)
{
    return format_digits(out, value, digits);
}

static void latency(struct sheet *o, const struct session *s, const struct arm_summary *a)
{
    char t[8][FORMAT_TEXT];
    const struct stats_summary *l = &a->latency;
    if (isfinite(l->ci.low))
        say(o, "latency", STYLE_TEXT, "%s ms, %s CI %s" DASH "%s", d(t[0], l->mean, 4),
            figure_percent(summary_confidence(s), 1, t[3], sizeof t[3]), d(t[1], l->ci.low, 4),
            d(t[2], l->ci.high, 4));
    else
        say(o, "latency", STYLE_TEXT, "%s ms; one block gives no interval", d(t[0], l->mean, 4));
    say(o, "", STYLE_TEXT, "min %s" DOT "median %s" DOT "max %s", d(t[0], l->min, 4), d(t[1], l->median, 4),
        d(t[2], l->max, 4));
    say(o, "", a->p95_supported ? STYLE_TEXT : STYLE_DIM, "p90 %s" DOT "p95 %s", d(t[0], l->p90, 4),
        d(t[1], l->p95, 4));
    if (a->p99_supported)
        say(o, "", STYLE_TEXT, "p99 %s", d(t[0], l->p99, 4));
    else
        say(o, "", STYLE_DIM, "p99 %s: needs %d samples", d(t[0], l->p99, 4),
            stats_quantile_min_n(0.99, summary_confidence(s)));
    say(o, "", STYLE_TEXT, "std %s" DOT "MAD %s" DOT "CV %s", d(t[0], l->std, 3), d(t[1], l->mad, 3),
        format_percent(t[2], l->cv));
    say(o, "samples", STYLE_TEXT, "%d in %d %s, block CV %s", a->n, a->blocks,
        a->blocks == 1 ? "block" : "blocks", format_percent(t[0], a->block_cv));
    if (fabs(l->lag1) >= 0.1)
        say(o, "", STYLE_DIM, "neighbors correlate: lag-1 %s", d(t[0], l->lag1, 2));
    if (a->rejected > 0)
        say(o, "", STYLE_WARNING, "%d refused: the clock went wrong", a->rejected);
    if (fabs(a->host_mean_ms - l->mean) > 0.005 * l->mean)
        say(o, "host", STYLE_TEXT, "%s ms from submit to done", d(t[0], a->host_mean_ms, 4));
}

/* What is known of recorded steps, of what the cache holds and of a virtual one's pages. */
static void graph_and_pages(struct sheet *o, const struct session_arm *arm, int batch)
{
    char t[6][FORMAT_TEXT];
    const struct runner_graph *g = &arm->graph;
    const struct memory_pages *p = &arm->measured.kv_pages;
    if (g->launches > 0 && g->nodes == 0)
        say(o, "launches", STYLE_TEXT, "%d kernels and copies per step, one by one; the first step %s ms",
            g->launches, d(t[0], (double)g->first_eager_ns / 1e6, 3));
    if (g->nodes > 0)
        say(o, "graph", STYLE_TEXT,
            "%d nodes; recorded in %s ms, made in %s ms, first replay %s ms, then %s ms; one by one %s ms",
            g->nodes, d(t[0], (double)g->capture_ns / 1e6, 3), d(t[1], (double)g->instantiate_ns / 1e6, 3),
            d(t[2], (double)g->first_replay_ns / 1e6, 3), d(t[3], (double)g->replay_ns / 1e6, 3),
            d(t[4], (double)g->eager_ns / 1e6, 3));
    if (p->contiguous > 0 && batch > 0)
        say(o, "cache", STYLE_TEXT, "per sequence %s used, %s held, %s if contiguous at capacity",
            format_bytes(t[0], (double)(arm->measured.kv_used / batch)),
            format_bytes(t[1], (double)(p->committed / batch)),
            format_bytes(t[2], (double)(p->contiguous / batch)));
    if (p->page_bytes > 0 && arm->implementation.kv_cache == KV_CACHE_VIRTUAL)
        say(o, "pages", STYLE_TEXT,
            "%lld of %s under %s of addresses; %s per sequence unused; mapping took %s ms, %s ms of it "
            "waited for",
            (long long)p->pages, format_bytes(t[0], (double)p->page_bytes),
            format_bytes(t[1], (double)p->reserved), format_bytes(t[2], (double)p->wasted),
            d(t[3], (double)(p->hidden_ns + p->exposed_ns) / 1e6, 3),
            d(t[4], (double)p->exposed_ns / 1e6, 3));
    if (p->map_calls > 0)
        say(o, "growth", STYLE_TEXT,
            "%lld calls; %lld times ahead, at most %s ms; %lld times waited for, at most %s ms; %s kept",
            (long long)p->map_calls, (long long)p->hidden_growths, d(t[0], (double)p->hidden_max_ns / 1e6, 3),
            (long long)p->exposed_growths, d(t[1], (double)p->exposed_max_ns / 1e6, 3),
            format_bytes(t[2], (double)p->kept));
}

static void rates(struct sheet *o, const struct session *s, const struct session_arm *arm,
                  const struct arm_summary *a)
{
    char t[6][FORMAT_TEXT];
    say(o, "rate", STYLE_TEXT, "%s tok/s, blocks %s" DASH "%s", format_rate(t[0], a->tokens_per_second),
        format_rate(t[1], a->tokens_per_second_sustained), format_rate(t[2], a->tokens_per_second_peak));
    if (isfinite(a->time_to_first_token_ms) && isfinite(a->time_per_output_token_ms))
        say(o, "tokens", STYLE_TEXT, "first after %s ms, then one in %s ms",
            d(t[0], a->time_to_first_token_ms, 4), d(t[1], a->time_per_output_token_ms, 4));
    const struct session_environment *env = &s->environment;
    double ceiling = env->product_rate[session_rate_index(s->preset.device, &arm->implementation)];
    if (isfinite(a->bandwidth_share))
        say(o, "memory", STYLE_TEXT, "%s GB/s, %s of the %s measured", d(t[0], a->bandwidth / 1e9, 3),
            format_percent(t[1], a->bandwidth_share), d(t[2], env->read_bandwidth / 1e9, 3));
    else if (isfinite(a->bandwidth))
        say(o, "memory", STYLE_TEXT, "%s GB/s; ceiling not measured", d(t[0], a->bandwidth / 1e9, 3));
    if (isfinite(a->flop_share))
        say(o, "products", STYLE_TEXT, "%s GFLOP/s, %s of the %s measured", d(t[0], a->flop_rate / 1e9, 3),
            format_percent(t[1], a->flop_share), d(t[2], ceiling / 1e9, 3));
    else if (isfinite(a->flop_rate))
        say(o, "products", STYLE_TEXT, "%s GFLOP/s", d(t[0], a->flop_rate / 1e9, 3));
    if (isfinite(a->bandwidth_sheet_share) && isfinite(a->flop_sheet_share))
        say(o, "sheet", STYLE_TEXT, "%s of its bandwidth, %s of its rate (%s)",
            format_percent(t[0], a->bandwidth_sheet_share), format_percent(t[1], a->flop_sheet_share),
            env->sheet_source);
}

static void tests(struct sheet *o, const struct comparison *c)
{
    char t[6][FORMAT_TEXT];
    enum style style = c->final ? STYLE_BOLD : STYLE_TEXT;
    say(o, "verdict", style, "%s", c->sentence);
    if (c->reason[0] && !strstr(c->sentence, c->reason))
        say(o, "", STYLE_DIM, "%s", c->reason);
    if (isfinite(c->welch.t))
        say(o, "Welch", STYLE_TEXT, "t %s, df %s, p %s", d(t[0], c->welch.t, 3), d(t[1], c->welch.df, 3),
            format_p(t[2], c->welch.p));
    if (c->paired.n >= 2)
        say(o, "paired", STYLE_TEXT, "%d rounds, ratio %s (%s" DASH "%s), p %s", (int)c->paired.n,
            d(t[0], exp(c->paired.mean_log_ratio), 4), d(t[1], exp(c->paired.ci.low), 4),
            d(t[2], exp(c->paired.ci.high), 4), format_p(t[3], c->paired.p));
    if (c->family > 1 && isfinite(c->p_holm))
        say(o, "Holm", STYLE_TEXT, "p %s over %d comparisons", format_p(t[0], c->p_holm), c->family);
    if (isfinite(c->effect.cohens_d))
        say(o, "effect", STYLE_TEXT, "Cohen's d %s, Hedges' g %s: %s", d(t[0], c->effect.cohens_d, 2),
            d(t[1], c->effect.hedges_g, 2), stats_effect_word(c->effect.cohens_d));
}

static void output(struct sheet *o, const struct output_check *check)
{
    char t[4][FORMAT_TEXT];
    if (!check->checked)
        return;
    format_exponent(t[2], check->max_relative_error, 1);
    if (isnan(check->tolerance)) {
        say(o, "output", check->passed ? STYLE_TEXT : STYLE_ERROR,
            "lossy: same top token in %s of rows, relative error %s, KL %s nats%s",
            format_percent(t[0], check->top1_agreement), t[2],
            isnan(check->kl) ? DASH : d(t[1], check->kl, 2), check->passed ? "" : ": refused");
        return;
    }
    say(o, "output", check->passed ? STYLE_TEXT : STYLE_ERROR,
        "%s the baseline: relative error %s, allowed %s; same top token in %s of rows",
        check->passed ? "agrees with" : "differs from", t[2], format_exponent(t[3], check->tolerance, 0),
        format_percent(t[0], check->top1_agreement));
}

static void text_of(struct sheet *o, const struct session_arm *arm, const struct arm_summary *a)
{
    char t[4][FORMAT_TEXT];
    const struct text_figures *x = &arm->text;
    if (!(x->known & TEXT_TOKENS) || x->texts < 1)
        return;
    say(o, "text", STYLE_TEXT, "%lld %s of %s: %lld tokens, %s each", (long long)x->texts,
        x->texts == 1 ? "text" : "texts", format_bytes(t[0], (double)x->bytes), (long long)x->tokens,
        d(t[1], (double)x->tokens / (double)x->texts, 3));
    if (x->known & TEXT_STANDARD && x->standard_tokens > 0)
        say(o, "", STYLE_TEXT, "%lld in the standard vocabulary: %s %s", (long long)x->standard_tokens,
            format_percent(t[0], fabs(1 - (double)x->tokens / (double)x->standard_tokens)),
            x->tokens <= x->standard_tokens ? "fewer" : "more");
    if (isfinite(a->texts_per_second))
        say(o, "", STYLE_TEXT, "%s texts/s", format_rate(t[0], a->texts_per_second));
    if (isfinite(a->text_bytes_per_second))
        say(o, "", STYLE_TEXT, "%s bytes of text/s", format_rate(t[0], a->text_bytes_per_second));
}

static void quality(struct sheet *o, const struct session *s, int cell, const struct session_arm *arm)
{
    char t[WORTH_FIGURES][FIGURE_TEXT], more[3][FORMAT_TEXT], source[160];
    const struct arm_quality *q = &arm->quality;
    for (int f = 0; f < WORTH_FIGURES; f++)
        worth_text(q, (enum worth_figure)f, t[f], sizeof t[f]);
    if (worth_not_equivalent(arm))
        say(o, "quality", STYLE_WARNING, "%s", worth_not_equivalent_words);
    const char *label = worth_not_equivalent(arm) ? "" : "quality";
    if (q->known & QUALITY_PERPLEXITY) {
        say(o, label, STYLE_TEXT, "perplexity %s, log likelihood %s \xc2\xb1 %s nats a token%s%s",
            t[WORTH_PERPLEXITY], d(more[0], q->nll, 4), d(more[1], q->nll_se, 2),
            t[WORTH_BITS][0] ? DOT "bits per byte " : "", t[WORTH_BITS]);
        label = "";
    }
    if (q->known & QUALITY_KL) {
        say(o, label, STYLE_TEXT, "KL from the baseline %s nats, p99 %s, largest %s%s%s", t[WORTH_KL],
            d(more[0], q->kl_p99, 2), d(more[1], q->kl_max, 2), t[WORTH_TOP1][0] ? DOT "same top token " : "",
            t[WORTH_TOP1]);
        label = "";
    }
    if (q->known & QUALITY_RESPONSES) {
        say(o, label, STYLE_TEXT,
            "replies: %s of the tokens are the baseline's, %s before the first that is not", t[WORTH_REPLIES],
            format_percent(more[0], q->response_prefix));
        label = "";
    }
    if (q->known && q->source[0] && q->window > 0)
        say(o, label, STYLE_DIM, "on %s, windows of %d", worth_source(s, cell, source, sizeof source),
            q->window);
    else if (q->known && q->source[0])
        say(o, label, STYLE_DIM, "on %s", q->source);
    if (q->note[0])
        say(o, q->known ? "" : "quality", STYLE_DIM, "%s", q->note);
}

static void memory(struct sheet *o, const struct session_arm *arm)
{
    char t[7][FORMAT_TEXT];
    const struct memory_use *m = arm->has_measured ? &arm->measured : &arm->predicted;
    if (m->peak <= 0)
        return;
    if (arm->has_measured)
        say(o, "peak", STYLE_TEXT, "%s, predicted %s", format_bytes(t[0], (double)m->peak),
            format_bytes(t[1], (double)arm->predicted.peak));
    else
        say(o, "peak", STYLE_TEXT, "predicted %s", format_bytes(t[0], (double)m->peak));
    if (arm->has_measured && (double)m->average < 0.99 * (double)m->peak)
        say(o, "", STYLE_TEXT, "average %s", format_bytes(t[0], (double)m->average));
    say(o, "", STYLE_TEXT, "weights %s, KV %s, activations %s, overhead %s",
        format_bytes(t[0], (double)m->weights), format_bytes(t[1], (double)m->kv_cache),
        format_bytes(t[2], (double)m->activations), format_bytes(t[3], (double)m->overhead));
}

static void warmup(struct sheet *o, const struct session_arm *arm, const struct arm_summary *a)
{
    char t[3][FORMAT_TEXT];
    int n = 0;
    for (int i = 0; i < arm->n_blocks; i++)
        n += arm->blocks[i]->n_warmup;
    if (arm->time_to_steady_ns >= 0)
        say(o, "warm-up", STYLE_TEXT, "steady after %s",
            format_duration(t[0], (double)arm->time_to_steady_ns / 1e9));
    if (n > 0)
        say(o, arm->time_to_steady_ns >= 0 ? "" : "warm-up", STYLE_TEXT, "%d samples left out", n);
    if (isfinite(a->cold_start_ms))
        say(o, "cold", STYLE_TEXT, "first pass %s ms", d(t[0], a->cold_start_ms, 4));
    if (isfinite(a->load_ms))
        say(o, "weights", STYLE_TEXT, "ready in %s%s%s", format_duration(t[0], a->load_ms / 1e3),
            arm->measured.page_in_ns > 0 ? ", of it reading the file " : "",
            arm->measured.page_in_ns > 0 ? format_duration(t[1], (double)arm->measured.page_in_ns / 1e9)
                                         : "");
    else
        say(o, "weights", STYLE_TEXT, "shared with an earlier arm");
}

/* Telemetry over the blocks that have it, and what was flagged. */
static void machine(struct sheet *o, const struct session_arm *arm)
{
    static const struct {
        enum block_flag flag;
        const char *what;
    } flags[] = {{BLOCK_THROTTLED, "ran throttled"},
                 {BLOCK_WARMUP_NOT_STEADY, "began before it was steady"},
                 {BLOCK_CLOCK_FAULT, "had clock faults"},
                 {BLOCK_PARTIAL, "was cut short"}};
    char text[256] = "", t[FORMAT_TEXT];
    double clock = 0, heat = 0, power = 0, load = 0;
    int n_clock = 0, n_heat = 0, n_power = 0, n_load = 0;
    for (int i = 0; i < arm->n_blocks; i++) {
        const struct block_telemetry *b = &arm->blocks[i]->telemetry;
        if (b->valid & TELEMETRY_CLOCK)
            clock += b->clock_mhz, n_clock++;
        if (b->valid & TELEMETRY_TEMPERATURE)
            heat += b->temperature_c, n_heat++;
        if (b->valid & TELEMETRY_POWER)
            power += b->power_w, n_power++;
        if (b->valid & TELEMETRY_LOAD)
            load += b->load, n_load++;
    }
    size_t used = 0;
#define ADD(count, ...)                                                                                      \
    if (count)                                                                                               \
    used += (size_t)snprintf(text + used, sizeof text - used, __VA_ARGS__)
    ADD(n_clock, "%.0f MHz", clock / n_clock);
    ADD(n_heat,
        "%s%.0f \xc2\xb0"
        "C",
        used ? DOT : "", heat / n_heat);
    ADD(n_power, "%s%.0f W", used ? DOT : "", power / n_power);
    ADD(n_load, "%sother programs %s", used ? DOT : "", format_percent(t, load / n_load));
#undef ADD
    if (text[0])
        say(o, "machine", STYLE_TEXT, "%s", text);
    for (size_t f = 0; f < sizeof flags / sizeof flags[0]; f++) {
        int n = 0;
        for (int i = 0; i < arm->n_blocks; i++)
            n += (arm->blocks[i]->flags & (unsigned)flags[f].flag) != 0;
        if (n > 0)
            say(o, "flagged", STYLE_WARNING, "%d of %d blocks: %s", n, arm->n_blocks, flags[f].what);
    }
}

int results_details_draw(struct grid *g, struct rect r, int top, const struct results *results,
                         const struct session *s, const struct results_row *row)
{
    struct sheet o = {.g = g, .r = r, .top = top};
    const struct session_cell *cell = &s->cell[row->cell];
    const struct session_arm *arm = &cell->arm[row->arm];
    const struct comparison *c = results_comparison(results, row);
    char implementation[128];
    if (r.width < LABEL + 8)
        return 0;
    if (!row->has_summary) {
        char status[320];
        results_status_text(s, row, status, sizeof status);
        say(&o, "status", row->status == CELL_FAILED ? STYLE_ERROR : STYLE_WARNING, "%s", status);
    } else {
        if (c)
            tests(&o, c);
        latency(&o, s, &row->summary);
        rates(&o, s, arm, &row->summary);
        graph_and_pages(&o, arm, s->cell[row->cell].batch);
        output(&o, &arm->output);
        quality(&o, s, row->cell, arm);
        text_of(&o, arm, &row->summary);
    }
    memory(&o, arm);
    if (row->has_summary) {
        warmup(&o, arm, &row->summary);
        machine(&o, arm);
    }
    implementation_describe(&arm->implementation, implementation, sizeof implementation);
    say(&o, "runs as", STYLE_TEXT, "%s", implementation);
    if (cell->stop_rule[0])
        say(&o, "ended by", STYLE_TEXT, "%s", cell->stop_rule);
    const struct session_environment *env = &s->environment;
    if (env->cpu[0])
        say(&o, "on", STYLE_TEXT, "%s%s, %d thread%s",
            strcmp(s->preset.device, "fake") == 0 ? "simulated latencies, by " : "", env->cpu, env->threads,
            env->threads == 1 ? "" : "s");
    if (s->id[0])
        say(&o, "session", STYLE_TEXT, "%s, benchtop %s", s->id, s->version);
    return o.n;
}
