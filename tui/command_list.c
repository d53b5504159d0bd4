#include "engine/columns.h"
#include "engine/device.h"
#include "engine/export.h"
#include "engine/export_report.h"
#include "engine/model/model_find.h"
#include "engine/model/native.h"
#include "engine/model/vocabulary.h"
#include "engine/plan_admission.h"
#include "engine/session_file.h"
#include "engine/version.h"
#include "presets/catalog.h"
#include "presets/vocabulary_file.h"
#include "tui/command.h"
#include "tui/format.h"
#include "tui/output.h"
#include "tui/prepare.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Prints and releases. */
static int print_report(struct report *report, const struct request *r)
{
    struct error e = {ERROR_MEMORY, "out of memory: close other programs"};
    char *text = NULL;
    if (report)
        text = r->json ? report_print_json(report, &e) : report_print(report, output_width(), &e);
    report_free(report);
    return output_result(text, &e);
}

static void add_unreadable(struct report *report, const struct catalog_entry *entry, const struct error *e,
                           const char *const *keys, int n)
{
    report_row(report);
    report_text(report, "name", entry->name, NULL);
    for (int i = 0; i < n; i++)
        report_text(report, keys[i], i == n - 1 ? e->text : "", NULL);
    report_text(report, "path", entry->path, "");
    report_bool(report, "user", entry->user, "");
}

static void add_preset(struct report *report, const struct catalog_entry *entry)
{
    static const char *const keys[] = {"device", "answers"};
    struct preset p = {0};
    struct error e = {0};
    if (catalog_preset(entry->name, &p, NULL, &e) < 0) {
        add_unreadable(report, entry, &e, keys, 2);
        return;
    }
    report_row(report);
    report_text(report, "name", entry->name, NULL);
    report_text(report, "device", p.device, NULL);
    report_text(report, "answers", *p.answers ? p.answers : p.title, NULL);
    report_text(report, "path", entry->path, "");
    report_bool(report, "user", entry->user, "");
    preset_free(&p);
}

static void add_model(struct report *report, const struct catalog_entry *entry)
{
    static const char *const keys[] = {"parameters", "layers", "d_model", "heads", "kv_heads",
                                       "context",    "vocab",  "family",  "runs"};
    struct model_spec m;
    struct error e = {0}, why = {0};
    struct implementation baseline;
    char count[FORMAT_TEXT];
    if (model_find(entry->name, &m, &e) < 0) {
        add_unreadable(report, entry, &e, keys, sizeof keys / sizeof *keys);
        return;
    }
    implementation_default(&baseline);
    int64_t parameters = model_parameters(&m);
    bool runs = native_supports("cpu", &m, &baseline, WORKLOAD_PREFILL, &why) == 0;
    report_row(report);
    report_text(report, "name", entry->name, NULL);
    report_number(report, "parameters", (double)parameters, format_count(count, parameters));
    report_number(report, "layers", m.layers, NULL);
    report_number(report, "d_model", m.d_model, NULL);
    report_number(report, "heads", m.heads ? m.heads : (double)NAN, NULL);
    report_number(report, "kv_heads", m.kv_heads ? m.kv_heads : (double)NAN, NULL);
    report_number(report, "context", m.context ? m.context : (double)NAN, NULL);
    report_number(report, "vocab", m.vocab, NULL);
    report_text(report, "family", model_family_name(m.family), NULL);
    report_text(report, "runs", runs ? "yes" : why.text, NULL);
    report_text(report, "path", entry->path, "");
    report_bool(report, "user", entry->user, "");
}

static void add_implementation(struct report *report, const struct catalog_entry *entry)
{
    static const char *const keys[] = {"axes"};
    struct implementation i;
    struct error e = {0};
    char axes[256];
    if (catalog_implementation(entry->name, &i, &e) < 0) {
        add_unreadable(report, entry, &e, keys, 1);
        return;
    }
    implementation_describe(&i, axes, sizeof axes);
    report_row(report);
    report_text(report, "name", entry->name, NULL);
    report_text(report, "axes", axes, NULL);
    report_text(report, "path", entry->path, "");
    report_bool(report, "user", entry->user, "");
}

static int list_catalog(const struct request *r, enum catalog_kind kind,
                        void (*add)(struct report *, const struct catalog_entry *))
{
    struct catalog_list list = {0};
    struct error e = {0};
    if (catalog_list(kind, &list, &e) < 0)
        return output_error(&e);
    if (!catalog_shipped_dir())
        output_say("the catalog that comes with benchtop was not found, only your own files are listed: set "
                   "BENCHTOP_CATALOG to its folder presets");
    struct report *report = report_new();
    for (int i = 0; report && i < list.n; i++)
        add(report, &list.entry[i]);
    catalog_list_free(&list);
    return print_report(report, r);
}

static int list_presets(const struct request *r)
{
    return list_catalog(r, CATALOG_PRESETS, add_preset);
}

static int list_models(const struct request *r)
{
    return list_catalog(r, CATALOG_MODELS, add_model);
}

static int list_implementations(const struct request *r)
{
    return list_catalog(r, CATALOG_IMPLEMENTATIONS, add_implementation);
}

static void add_vocabulary(struct report *report, const struct catalog_entry *entry)
{
    static const char *const keys[] = {"tokens", "kind"};
    struct vocabulary_file f = {0};
    struct tokenizer *t = NULL;
    struct error e = {0};
    char name[64], kind[224] = "";
    size_t n = strlen(entry->path);
    if (n > 5 && strcmp(entry->path + n - 5, ".json") == 0) {
        if (vocabulary_file_load(entry->path, &f, NULL, &e) == 0)
            snprintf(kind, sizeof kind, "%s adapted to %s", f.base, f.text);
    } else if ((t = vocabulary_tokenizer(entry->path, name, sizeof name, &e))) {
        snprintf(kind, sizeof kind, "%s", tokenizer_kind(t));
    }
    int tokens = t ? tokenizer_size(t) : f.base_tokens - f.n_removed + f.n_added;
    tokenizer_free(t);
    vocabulary_file_free(&f);
    if (!kind[0]) {
        add_unreadable(report, entry, &e, keys, 2);
        return;
    }
    report_row(report);
    report_text(report, "name", entry->name, NULL);
    report_number(report, "tokens", tokens, NULL);
    report_text(report, "kind", kind, NULL);
    report_text(report, "path", entry->path, "");
    report_bool(report, "user", entry->user, "");
}

static int list_vocabularies(const struct request *r)
{
    return list_catalog(r, CATALOG_VOCABULARIES, add_vocabulary);
}

static void add_text(struct report *report, const struct catalog_entry *entry)
{
    struct stat s;
    char size[FORMAT_TEXT];
    double bytes = stat(entry->path, &s) == 0 ? (double)s.st_size : (double)NAN;
    report_row(report);
    report_text(report, "name", entry->name, NULL);
    report_number(report, "bytes", bytes, format_bytes(size, bytes));
    report_text(report, "path", entry->path, NULL);
    report_bool(report, "user", entry->user, "");
}

static int list_texts(const struct request *r)
{
    return list_catalog(r, CATALOG_TEXTS, add_text);
}

/* "38.6 GB/s", "134 GFLOP/s"; 0: not known. */
static const char *giga(char *out, size_t size, double rate, const char *unit)
{
    char digits[FORMAT_TEXT];
    snprintf(out, size, rate > 0 ? "%s G%s" : "–", format_digits(digits, rate / 1e9, 3), unit);
    return out;
}

static void list_device(struct report *report, const char *id)
{
    struct device d;
    struct error why = {0};
    char memory[FORMAT_TEXT], rate[64], bandwidth[96];
    bool there = device_find(id, &d, &why) == 0;
    double bytes = there && d.memory_bytes > 0 ? (double)d.memory_bytes : (double)NAN;
    double read = there && d.read_bandwidth > 0 && !d.emulated ? d.read_bandwidth : (double)NAN;
    giga(rate, sizeof rate, isnan(read) ? 0 : read, "B/s");
    snprintf(bandwidth, sizeof bandwidth, isnan(read) || d.measured ? "%s" : "about %s", rate);
    report_row(report);
    report_text(report, "device", there ? d.id : id, NULL);
    report_bool(report, "available", there, NULL);
    report_number(report, "memory_bytes", bytes, format_bytes(memory, bytes));
    report_number(report, "read_bandwidth", read, bandwidth);
    report_bool(report, "measured", there && d.measured, NULL);
    report_text(report, "what", there ? d.title : why.text, NULL);
}

static int list_devices(const struct request *r)
{
    enum { GPUS = 32 };
    char gpu[GPUS][16], why[256];
    struct report *report = report_new();
    int n = device_gpus(gpu, GPUS, why, sizeof why);
    if (report) {
        list_device(report, "cpu");
        if (n == 0)
            list_device(report, "cuda");
        for (int i = 0; i < n && i < GPUS; i++)
            list_device(report, gpu[i]);
        list_device(report, "fake");
    }
    return print_report(report, r);
}

static int list_sessions(const struct request *r)
{
    struct session_entry *entry = NULL;
    struct error e = {0};
    int n = 0;
    if (session_list(&entry, &n, &e) < 0)
        return output_error(&e);
    struct report *report = report_new();
    for (int i = 0; report && i < n; i++) {
        char cells[32], size[FORMAT_TEXT];
        snprintf(cells, sizeof cells, "%d/%d", entry[i].cells_ok, entry[i].cells);
        report_row(report);
        report_text(report, "session", entry[i].id, NULL);
        report_text(report, "started", entry[i].started, NULL);
        report_text(report, "status", session_entry_status(&entry[i]), NULL);
        report_text(report, "preset", entry[i].preset, NULL);
        report_number(report, "cells", entry[i].cells_ok, cells);
        report_number(report, "cells_planned", entry[i].cells, "");
        report_number(report, "bytes", (double)entry[i].bytes, format_bytes(size, (double)entry[i].bytes));
        report_text(report, "models", entry[i].models, NULL);
        report_text(report, "path", entry[i].path, "");
    }
    free(entry);
    if (n == 0 && !r->json && report) {
        report_free(report);
        output_say("no session was saved yet: `benchtop run quick` makes one");
        return EXIT_DONE;
    }
    return print_report(report, r);
}

static int list_formats(const struct request *r)
{
    struct report *report = report_new();
    for (int i = 0; report && i < export_n_formats; i++) {
        report_row(report);
        report_text(report, "format", export_formats[i].name, NULL);
        report_text(report, "extension", export_formats[i].extension, NULL);
        report_text(report, "what", export_formats[i].help, NULL);
    }
    return print_report(report, r);
}

static const struct {
    const char *name;
    int (*list)(const struct request *r);
} lists[] = {
    {"presets", list_presets},           {"models", list_models},   {"implementations", list_implementations},
    {"vocabularies", list_vocabularies}, {"texts", list_texts},     {"devices", list_devices},
    {"sessions", list_sessions},         {"formats", list_formats},
};
enum { LISTS = sizeof lists / sizeof *lists };

int command_list(const struct request *r)
{
    const char *names[LISTS];
    char near[128];
    for (int i = 0; i < LISTS; i++) {
        names[i] = lists[i].name;
        if (!strcmp(names[i], r->operand[0]))
            return lists[i].list(r);
    }
    struct error e = {0};
    catalog_nearest(r->operand[0], names, LISTS, near, sizeof near);
    error_set(&e, ERROR_USAGE, "there is no list of %s: %s%s", r->operand[0],
              *near ? "did you mean " : "choose ", *near ? near : options_lists);
    return output_error(&e);
}

static void add_plan_row(struct report *report, const struct prepared *p, const struct plan_cell *c, int arm)
{
    const struct plan_arm *a = &c->arm[arm];
    char memory[FORMAT_TEXT], sample[FORMAT_TEXT], limit[FORMAT_TEXT];
    bool runs = c->supported && c->fits && a->supported && a->fits;
    double bytes = a->supported ? (double)a->memory.peak : (double)NAN;
    double sample_ms = a->supported ? 1e3 * a->sample_s : (double)NAN;
    double rate = a->supported ? a->limit_tokens_per_second : (double)NAN;
    report_row(report);
    report_text(report, "model", p->plan.model[c->model].name, NULL);
    report_text(report, "workload", workload_names[c->workload], NULL);
    report_number(report, "batch", c->batch, NULL);
    report_number(report, "seq", c->seq, NULL);
    report_text(report, "arm", p->preset.arms[arm].name, NULL);
    report_number(report, "memory_bytes", bytes, format_bytes(memory, bytes));
    report_number(report, "sample_ms", sample_ms, format_digits(sample, sample_ms, 3));
    report_number(report, "limit_tok/s", rate, format_rate(limit, rate));
    report_text(report, "bound", !a->supported ? "" : a->memory_bound ? "memory" : "compute", NULL);
    char yes[sizeof a->reason + 8];
    snprintf(yes, sizeof yes, "yes%s%s", a->reason[0] ? ": " : "", a->reason);
    report_text(report, "runs", runs ? yes : a->supported && !c->fits ? c->reason : a->reason, NULL);
}

static void put_figure(struct columns *t, bool known, double value, int digits)
{
    char text[FORMAT_TEXT];
    columns_cell(t, known ? format_digits(text, value, digits) : "");
}

/* How many more fit: a line and a table. */
static void print_admission(const struct prepared *p, const struct plan_admission *a, struct text *out)
{
    static const struct column head[] = {
        {"cache", true, 0},  {"at once", false, 0},   {"more", false, 0},           {"at most", false, 0},
        {"steps", false, 1}, {"preempted", false, 2}, {"unused/sequence", false, 3}};
    char line[400], amount[FORMAT_TEXT], more[FORMAT_TEXT + 2];
    snprintf(
        line, sizeof line,
        "In the %s that %d sequences of %d tokens of %s take contiguous, %d requests of %d to %d tokens, "
        "each with %d more to come, run:",
        format_bytes(amount, (double)a->budget), a->batch, a->seq + a->tokens, p->plan.model[a->model].name,
        a->requests, a->shortest, a->seq, a->tokens);
    text_add(out, "\n");
    columns_wrap(line, output_width(), 0, out);
    struct columns *t = columns_new(head, sizeof head / sizeof *head);
    for (int k = 0; t && k < a->n; k++) {
        const struct admission_report *r = &a->cache[k].report, *first = &a->cache[0].report;
        bool runs = r->steps > 0;
        snprintf(more, sizeof more, "%+.0f %%", first->mean > 0 ? 100 * (r->mean / first->mean - 1) : 0);
        columns_cell(t, p->preset.arms[a->cache[k].arm].name);
        columns_cell(t, runs ? format_digits(amount, r->mean, 3) : "none fits");
        columns_cell(t, runs && k > 0 && first->mean > 0 ? more : "");
        put_figure(t, runs, r->peak, 1);
        put_figure(t, runs, (double)r->steps, 1);
        put_figure(t, runs, (double)r->preemptions, 1);
        columns_cell(t, runs ? format_bytes(amount, r->wasted_bytes) : "");
    }
    columns_print(t, output_width(), out);
    columns_free(t);
}

static int print_admissions(const struct prepared *p)
{
    struct plan_admission admission[PRESET_MODELS];
    struct error e = {0};
    struct text out = {0};
    int n =
        plan_admissions(&p->preset, &p->plan, plan_page_bytes(p->device.id), admission, PRESET_MODELS, &e);
    if (n < 0)
        return output_error(&e);
    for (int i = 0; i < n; i++)
        print_admission(p, &admission[i], &out);
    return n > 0 ? output_result(text_take(&out, &e), &e) : EXIT_DONE;
}

static int print_plan(const struct prepared *p, const struct request *r)
{
    struct report *report = report_new();
    for (int i = 0; report && i < p->plan.n_cells; i++)
        for (int a = 0; a < p->preset.n_arms; a++)
            add_plan_row(report, p, &p->plan.cell[i], a);
    int code = print_report(report, r);
    if (code != EXIT_DONE)
        return code;
    const struct plan *plan = &p->plan;
    char amount[FORMAT_TEXT], text[640];
    int runs = 0;
    for (int i = 0; i < plan->n_cells; i++)
        runs += plan->cell[i].fits && plan->cell[i].supported;
    int used = snprintf(text, sizeof text, "\n%s, %s: %d of %d cells run", p->device.id, p->device.title,
                        runs, plan->n_cells);
    if (runs > 0)
        used += snprintf(text + used, sizeof text - (size_t)used, ", in about %s",
                         format_duration(amount, plan->time_s));
    if (plan->n_unfit > 0)
        used += snprintf(text + used, sizeof text - (size_t)used, "; %d do not fit the %s that are free",
                         plan->n_unfit, format_bytes(amount, (double)plan->memory_free_bytes));
    if (plan->n_unsupported > 0)
        used +=
            snprintf(text + used, sizeof text - (size_t)used, "; %d are unsupported", plan->n_unsupported);
    if (runs > 0 && !p->device.measured && plan->memory_bytes > 0)
        snprintf(text + used, sizeof text - (size_t)used,
                 ". Times come from estimated ceilings: `benchtop doctor --measure` measures them");
    code = output_text(text);
    return code == EXIT_DONE ? print_admissions(p) : code;
}

int command_plan(const struct request *r)
{
    struct prepared p;
    struct error e = {0}, warning = {0};
    if (prepare(r, r->operand[0], NULL, &p, &warning, &e) < 0)
        return output_error(&e);
    if (*warning.text)
        output_say("%s", warning.text);
    int code =
        r->json ? output_result(report_plan_json(&p.preset, &p.device, &p.plan, &e), &e) : print_plan(&p, r);
    prepare_free(&p);
    return code;
}

/* The fake has no hardware whose memory and ceilings could be told. */
static int print_device(const struct device *d)
{
    static const char *const types[] = {"fp32", "fp16", "bf16", "int8"};
    const struct version *v = version_get();
    char total[FORMAT_TEXT], free_memory[FORMAT_TEXT], rate[64], text[1024], products[256] = "";
    size_t used = 0;
    for (int i = 0; i < 4 && used < sizeof products; i++)
        if (d->product_rate[i] > 0)
            used += (size_t)snprintf(products + used, sizeof products - used, "%s%s %s", used ? ", " : "",
                                     types[i], giga(rate, sizeof rate, d->product_rate[i], "FLOP/s"));
    if (d->memory_bytes <= 0) {
        snprintf(text, sizeof text, "benchtop %s (%s, %s)\n%s: %s\n\n", v->version, v->commit, v->build,
                 d->id, d->title);
        return output_text(text);
    }
    snprintf(text, sizeof text,
             "benchtop %s (%s, %s)\n%s: %s, %s of %s free\nceilings (%s): reads %s; products %s\n\n",
             v->version, v->commit, v->build, d->id, d->title,
             format_bytes(free_memory, (double)d->memory_free_bytes),
             format_bytes(total, (double)d->memory_bytes),
             d->measured ? "measured" : "estimated, --measure measures them",
             giga(rate, sizeof rate, d->read_bandwidth, "B/s"), *products ? products : "–");
    return output_text(text);
}

int command_doctor(const struct request *r)
{
    enum { FINDINGS = 64 };
    static struct device_finding finding[FINDINGS];
    struct device d;
    struct error e = {0};
    if (device_find(r->device ? r->device : "cpu", &d, &e) < 0 || (r->measure && device_measure(&d, &e) < 0))
        return output_error(&e);
    int n = device_findings(finding, FINDINGS);
    n = n < FINDINGS ? n : FINDINGS;
    if (r->json)
        return output_result(report_doctor_json(&d, finding, n, &e), &e);
    int code = print_device(&d);
    if (code != EXIT_DONE)
        return code;
    struct report *report = report_new();
    for (int i = 0; report && i < n; i++) {
        report_row(report);
        report_text(report, "what", finding[i].what, NULL);
        report_bool(report, "ok", finding[i].ok, finding[i].emulated ? "emulated" : NULL);
        report_text(report, "found", finding[i].found, NULL);
        report_text(report, "means", finding[i].means, NULL);
    }
    return print_report(report, r);
}

struct tally {
    int checks;
    bool quiet, failed_to_print;
};

static void tell_check(void *who, const struct selftest_line *line)
{
    struct tally *t = who;
    t->checks++;
    if (t->quiet && line->passed)
        return;
    if (printf("%-6s %-64s error %.2e, allowed %.2e\n", line->passed ? "ok" : "FAILED", line->what,
               line->error, line->tolerance) < 0)
        t->failed_to_print = true;
    fflush(stdout);
}

int command_selftest(const struct request *r)
{
    struct tally t = {.quiet = r->quiet};
    struct error e = {0};
    struct device d;
    const char *device = r->device ? r->device : "cpu";
    char line[128];
    if (device_find(device, &d, &e) < 0)
        return output_error(&e);
    if (!strcmp(d.id, "fake")) {
        error_set(&e, ERROR_USAGE,
                  "the fake device computes nothing that could be tested: choose --device cpu");
        return output_error(&e);
    }
    int failures = native_selftest(device, r->n_operands > 0 ? r->operand[0] : NULL, tell_check, &t, &e);
    if (failures < 0)
        return output_error(&e);
    snprintf(line, sizeof line, "%d of %d checks passed on %s%s", t.checks - failures, t.checks, d.id,
             d.emulated ? " (emulated)" : "");
    int code = output_text(line);
    if (code == EXIT_DONE && t.failed_to_print) {
        output_say("standard output could not be written: some lines are missing; give it a place with room");
        code = EXIT_ERROR;
    }
    return code == EXIT_DONE && failures ? EXIT_ERROR : code;
}
