#include "engine/export_report.h"
#include "engine/plan_admission.h"
#include "engine/text.h"
#include "engine/version.h"
#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_COLUMNS = 24, REPORT_GAP = 2, REPORT_LAST_MIN = 24 };

struct report {
    cJSON *json;        /* array of objects */
    cJSON *display;     /* array of arrays of strings: the table's cells */
    cJSON *row, *cells; /* the newest of each; finding them by index would cost the square of the rows */
    char *heading[REPORT_COLUMNS];
    int n_headings, n_rows;
    bool failed; /* memory ran out: told by the print functions */
};

static void *no_memory(struct error *e)
{
    error_set(e, ERROR_MEMORY, "out of memory while printing a report: close other programs");
    return NULL;
}

struct report *report_new(void)
{
    struct report *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->json = cJSON_CreateArray();
    r->display = cJSON_CreateArray();
    if (r->json && r->display)
        return r;
    report_free(r);
    return NULL;
}

void report_free(struct report *r)
{
    if (!r)
        return;
    cJSON_Delete(r->json);
    cJSON_Delete(r->display);
    for (int i = 0; i < r->n_headings; i++)
        free(r->heading[i]);
    free(r);
}

static cJSON *add(struct report *r, cJSON *array, cJSON *item)
{
    if (item && array && cJSON_AddItemToArray(array, item))
        return item;
    cJSON_Delete(item);
    r->failed = true;
    return NULL;
}

void report_row(struct report *r)
{
    r->row = add(r, r->json, cJSON_CreateObject());
    r->cells = add(r, r->display, cJSON_CreateArray());
    r->n_rows++;
}

int report_rows(const struct report *r)
{
    return r->n_rows;
}

static void add_field(struct report *r, const char *key, cJSON *value, const char *display)
{
    if (!r->row || !value || !cJSON_AddItemToObject(r->row, key, value)) {
        cJSON_Delete(value);
        r->failed = true;
        return;
    }
    if (!*display)
        return;
    if (r->n_rows == 1 && r->n_headings < REPORT_COLUMNS) {
        char *heading = strdup(key);
        if (!heading) {
            r->failed = true;
            return;
        }
        size_t length = strlen(heading);
        if (length > 6 && !strcmp(heading + length - 6, "_bytes")) /* the table's figures carry their unit */
            heading[length - 6] = '\0';
        for (char *c = heading; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        r->heading[r->n_headings++] = heading;
    }
    add(r, r->cells, cJSON_CreateString(display));
}

void report_text(struct report *r, const char *key, const char *value, const char *display)
{
    const char *shown = *value ? value : "–";
    add_field(r, key, *value ? cJSON_CreateString(value) : cJSON_CreateNull(), display ? display : shown);
}

void report_number(struct report *r, const char *key, double value, const char *display)
{
    char text[40];
    snprintf(text, sizeof text, "%.15g", value);
    if (!isfinite(value))
        snprintf(text, sizeof text, "–");
    add_field(r, key, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull(),
              display ? display : text);
}

void report_bool(struct report *r, const char *key, bool value, const char *display)
{
    add_field(r, key, cJSON_CreateBool(value), display ? display : value ? "yes" : "no");
}

/* Columns of UTF-8 text, one per code point: names and figures hold nothing wide. */
static int columns(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xC0) != 0x80;
    return n;
}

/* A line's last cell, continued under itself where it is longer than the room. */
static void print_wrapped(FILE *out, const char *text, int indent, int room)
{
    int at = 0;
    while (*text) {
        char word[512];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(text, " "), text);
        int length = columns(word);
        if (at && room && at + 1 + length > room) {
            fprintf(out, "\n%*s", indent, "");
            at = 0;
        }
        fprintf(out, "%s%s", at ? " " : "", word);
        at += length + (at > 0);
        text += strlen(word);
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_cell(FILE *out, const char *text, int width)
{
    fprintf(out, "%s%*s", text, width - columns(text) + REPORT_GAP, "");
}

static void print_table(const struct report *r, FILE *out, int width)
{
    int wide[REPORT_COLUMNS] = {0}, last = r->n_headings - 1, indent = 0;
    const cJSON *row, *cell;
    for (int i = 0; i <= last; i++)
        wide[i] = columns(r->heading[i]);
    cJSON_ArrayForEach(row, r->display)
    {
        int i = 0;
        cJSON_ArrayForEach(cell, row)
        {
            int n = columns(cell->valuestring);
            if (i < REPORT_COLUMNS && wide[i] < n)
                wide[i] = n;
            i++;
        }
    }
    for (int i = 0; i < last; i++) {
        print_cell(out, r->heading[i], wide[i]);
        indent += wide[i] + REPORT_GAP;
    }
    int room = width ? width - indent : 0;
    if (room && room < REPORT_LAST_MIN)
        room = REPORT_LAST_MIN;
    fprintf(out, "%s\n", r->heading[last]);
    cJSON_ArrayForEach(row, r->display)
    {
        int i = 0;
        cJSON_ArrayForEach(cell, row)
        {
            if (i < last)
                print_cell(out, cell->valuestring, wide[i]);
            else
                print_wrapped(out, cell->valuestring, indent, room);
            i++;
        }
    }
}

char *report_print(const struct report *r, int width, struct error *e)
{
    char *text = NULL;
    size_t size;
    FILE *out = r->failed ? NULL : open_memstream(&text, &size);
    if (!out)
        return no_memory(e);
    if (r->n_headings)
        print_table(r, out, width);
    bool failed = ferror(out);
    if (fclose(out) || failed) {
        free(text);
        return no_memory(e);
    }
    return text;
}

static char *print_json(const cJSON *json, bool failed, struct error *e)
{
    char *text = failed || !json ? NULL : cJSON_Print(json);
    return text ? text : no_memory(e);
}

char *report_print_json(const struct report *r, struct error *e)
{
    return print_json(r->json, r->failed, e);
}

/* Objects below: every add may fail on memory, which one flag remembers. */
struct object {
    cJSON *json;
    bool *failed;
};

static void put(struct object o, const char *key, cJSON *value)
{
    if (!o.json || !value || !cJSON_AddItemToObject(o.json, key, value)) {
        cJSON_Delete(value);
        *o.failed = true;
    }
}

static void put_number(struct object o, const char *key, double v)
{
    put(o, key, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static void put_text(struct object o, const char *key, const char *v)
{
    put(o, key, *v ? cJSON_CreateString(v) : cJSON_CreateNull());
}

static struct object put_object(struct object o, const char *key)
{
    cJSON *child = cJSON_CreateObject();
    put(o, key, child);
    return (struct object){*o.failed ? NULL : child, o.failed};
}

static struct object put_array(struct object o, const char *key)
{
    cJSON *child = cJSON_CreateArray();
    put(o, key, child);
    return (struct object){*o.failed ? NULL : child, o.failed};
}

static struct object push_object(struct object array)
{
    cJSON *child = array.json ? cJSON_CreateObject() : NULL;
    if (!child || !cJSON_AddItemToArray(array.json, child)) {
        cJSON_Delete(child);
        child = NULL;
        *array.failed = true;
    }
    return (struct object){child, array.failed};
}

static void put_device(struct object o, const struct device *d)
{
    static const char *const types[] = {"fp32", "fp16", "bf16", "int8"};
    put_text(o, "id", d->id);
    put_text(o, "title", d->title);
    put_number(o, "memory_bytes", d->memory_bytes > 0 ? (double)d->memory_bytes : (double)NAN);
    put_number(o, "memory_free_bytes", d->memory_bytes > 0 ? (double)d->memory_free_bytes : (double)NAN);
    put_number(o, "read_bandwidth", d->read_bandwidth > 0 ? d->read_bandwidth : (double)NAN);
    struct object rates = put_object(o, "product_rate");
    for (int i = 0; i < 4; i++)
        put_number(rates, types[i], d->product_rate[i] > 0 ? d->product_rate[i] : (double)NAN);
    put(o, "measured", cJSON_CreateBool(d->measured));
}

static void put_plan_arm(struct object o, const struct preset_arm *arm, const struct plan_arm *a)
{
    char axes[256];
    implementation_describe(&arm->implementation, axes, sizeof axes);
    put_text(o, "name", arm->name);
    put_text(o, "implementation", axes);
    put(o, "supported", cJSON_CreateBool(a->supported));
    put_text(o, "reason", a->reason);
    struct object memory = put_object(o, "memory");
    put_number(memory, "weights", (double)a->memory.weights);
    put_number(memory, "activations", (double)a->memory.activations);
    put_number(memory, "kv_cache", (double)a->memory.kv_cache);
    put_number(memory, "overhead", (double)a->memory.overhead);
    put_number(memory, "peak", (double)a->memory.peak);
    struct object work = put_object(o, "work");
    put_number(work, "bytes", a->work.bytes);
    put_number(work, "flops", a->work.flops);
    put_number(work, "tokens", (double)a->work.tokens);
    put_number(o, "sample_s", a->supported ? a->sample_s : (double)NAN);
    put_number(o, "limit_tokens_per_second", a->supported ? a->limit_tokens_per_second : (double)NAN);
    put_text(o, "bound", !a->supported ? "" : a->memory_bound ? "memory" : "compute");
}

static void put_admitted(struct object o, const char *arm, const struct admission_report *r)
{
    put_text(o, "arm", arm);
    put_number(o, "mean_running", r->steps > 0 ? r->mean : (double)NAN);
    put_number(o, "peak_running", r->steps > 0 ? (double)r->peak : (double)NAN);
    put_number(o, "steps", r->steps > 0 ? (double)r->steps : (double)NAN);
    put_number(o, "preemptions", (double)r->preemptions);
    put_number(o, "recomputed_tokens", (double)r->recomputed);
    put_number(o, "wasted_bytes_per_sequence", r->steps > 0 ? r->wasted_bytes : (double)NAN);
    put_number(o, "used_share", r->steps > 0 ? r->used_share : (double)NAN);
}

static int put_admissions(struct object root, const struct preset *p, const struct device *d,
                          const struct plan *plan, struct error *e)
{
    struct plan_admission admission[PRESET_MODELS];
    int n = plan_admissions(p, plan, plan_page_bytes(d->id), admission, PRESET_MODELS, e);
    if (n < 0)
        return -1;
    struct object list = put_array(root, "admissions");
    for (int i = 0; i < n; i++) {
        const struct plan_admission *a = &admission[i];
        struct object o = push_object(list);
        put_text(o, "model", plan->model[a->model].name);
        put_number(o, "batch", a->batch);
        put_number(o, "seq", a->seq);
        put_number(o, "budget_bytes", (double)a->budget);
        put_number(o, "requests", a->requests);
        put_number(o, "shortest_prompt", a->shortest);
        put_number(o, "tokens", a->tokens);
        struct object caches = put_array(o, "caches");
        for (int k = 0; k < a->n; k++)
            put_admitted(push_object(caches), p->arms[a->cache[k].arm].name, &a->cache[k].report);
    }
    return 0;
}

char *report_plan_json(const struct preset *p, const struct device *d, const struct plan *plan,
                       struct error *e)
{
    bool failed = false;
    struct object root = {cJSON_CreateObject(), &failed};
    put_text(root, "schema", "benchtop/plan/1");
    put_text(root, "preset", p->name);
    put_device(put_object(root, "device"), d);
    put_number(root, "time_s", plan->time_s);
    struct object cells = put_array(root, "cells");
    for (int i = 0; i < plan->n_cells && !failed; i++) {
        const struct plan_cell *c = &plan->cell[i];
        struct object cell = push_object(cells);
        put_text(cell, "model", plan->model[c->model].name);
        put_text(cell, "workload", workload_names[c->workload]);
        put_number(cell, "batch", c->batch);
        put_number(cell, "seq", c->seq);
        put_number(cell, "tokens", c->workload == WORKLOAD_GENERATE ? (double)c->tokens : (double)NAN);
        put(cell, "fits", cJSON_CreateBool(c->fits));
        put(cell, "supported", cJSON_CreateBool(c->supported));
        put_text(cell, "reason", c->reason);
        put_number(cell, "peak_bytes", (double)c->peak_bytes);
        put_number(cell, "time_s", c->time_s);
        put_number(cell, "samples_per_block", c->samples_per_block);
        struct object arms = put_array(cell, "arms");
        for (int a = 0; a < p->n_arms && !failed; a++)
            put_plan_arm(push_object(arms), &p->arms[a], &c->arm[a]);
    }
    if (put_admissions(root, p, d, plan, e) != 0) {
        cJSON_Delete(root.json);
        return NULL;
    }
    char *text = print_json(root.json, failed, e);
    cJSON_Delete(root.json);
    return text;
}

char *report_doctor_json(const struct device *d, const struct device_finding *finding, int n, struct error *e)
{
    bool failed = false;
    const struct version *v = version_get();
    struct object root = {cJSON_CreateObject(), &failed};
    put_text(root, "schema", "benchtop/doctor/1");
    struct object program = put_object(root, "benchtop");
    put_text(program, "version", v->version);
    put_text(program, "git_commit", v->commit);
    put_text(program, "build", v->build);
    put_device(put_object(root, "device"), d);
    struct object findings = put_array(root, "findings");
    for (int i = 0; i < n && !failed; i++) {
        struct object f = push_object(findings);
        put_text(f, "what", finding[i].what);
        put_text(f, "found", finding[i].found);
        put_text(f, "means", finding[i].means);
        put(f, "ok", cJSON_CreateBool(finding[i].ok));
        put(f, "emulated", cJSON_CreateBool(finding[i].emulated));
    }
    char *text = print_json(root.json, failed, e);
    cJSON_Delete(root.json);
    return text;
}

char *report_argv_json(int argc, char *const *argv, struct error *e)
{
    bool failed = false;
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < argc && array && !failed; i++) {
        char *clean = malloc(3 * strlen(argv[i]) + 1), *to = clean;
        if (!clean) {
            failed = true;
            break;
        }
        for (const char *from = argv[i]; *from;) {
            size_t n = text_character(from);
            memcpy(to, n ? from : "\xEF\xBF\xBD", n ? n : 3);
            to += n ? n : 3;
            from += n ? n : 1;
        }
        *to = '\0';
        cJSON *word = cJSON_CreateString(clean);
        free(clean);
        if (!word || !cJSON_AddItemToArray(array, word)) {
            cJSON_Delete(word);
            failed = true;
        }
    }
    char *text = failed || !array ? NULL : cJSON_PrintUnformatted(array);
    cJSON_Delete(array);
    return text ? text : no_memory(e);
}
