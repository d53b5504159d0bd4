#include "engine/session_file.h"
#include "engine/session_json.h"

#include "engine/nvml.h"
#include "presets/implementation_json.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const session_flag_names[SESSION_FLAGS] = {"warmup_not_steady", "throttled", "clock_fault",
                                                       "partial"};

int session_put_item(cJSON *object, const char *key, cJSON *item)
{
    if (item && cJSON_AddItemToObject(object, key, item))
        return 0;
    cJSON_Delete(item);
    return -1;
}

int session_push_item(cJSON *array, cJSON *item)
{
    if (item && cJSON_AddItemToArray(array, item))
        return 0;
    cJSON_Delete(item);
    return -1;
}

int session_put_text(cJSON *object, const char *key, const char *text)
{
    char plain[1024]; /* what the reader refuses (a line end from some library's message) is not written */
    snprintf(plain, sizeof plain, "%s", text);
    error_clean_text(plain);
    cJSON *item = plain[0] ? cJSON_AddStringToObject(object, key, plain) : cJSON_AddNullToObject(object, key);
    return item ? 0 : -1;
}

int session_put_double(cJSON *object, const char *key, double value)
{
    cJSON *item =
        isfinite(value) ? cJSON_AddNumberToObject(object, key, value) : cJSON_AddNullToObject(object, key);
    return item ? 0 : -1;
}

int session_put_interval(cJSON *object, const char *key, struct stats_interval ci)
{
    if (isnan(ci.low) || isnan(ci.high))
        return cJSON_AddNullToObject(object, key) ? 0 : -1;
    cJSON *pair = cJSON_AddArrayToObject(object, key);
    double ends[2] = {ci.low, ci.high};
    for (int i = 0; i < 2; i++) { /* unbounded is null */
        cJSON *end = isfinite(ends[i]) ? cJSON_CreateNumber(ends[i]) : cJSON_CreateNull();
        if (session_push_item(pair, end) != 0)
            return -1;
    }
    return 0;
}

/* 0 stands for "not known". */
static int put_count(cJSON *object, const char *key, int64_t value)
{
    return (value > 0 ? json_add_int64(object, key, value) : cJSON_AddNullToObject(object, key)) ? 0 : -1;
}

static int put_int(cJSON *object, const char *key, int64_t value)
{
    return json_add_int64(object, key, value) ? 0 : -1;
}

/* Text that should be JSON already; what is not becomes null rather than a broken file. */
static int put_raw(cJSON *object, const char *key, const char *json)
{
    cJSON *item = json && json[0] ? cJSON_Parse(json) : NULL;
    return session_put_item(object, key, item ? item : cJSON_CreateNull());
}

/* What the data sheet of a known GPU says; null without one. */
static int put_sheet(cJSON *environment, const struct session_environment *v, const char *const dtypes[4])
{
    if (!(v->sheet_bandwidth > 0))
        return cJSON_AddNullToObject(environment, "datasheet") ? 0 : -1;
    cJSON *o = cJSON_AddObjectToObject(environment, "datasheet");
    int bad = session_put_text(o, "source", v->sheet_source) ||
              session_put_double(o, "read_bandwidth", v->sheet_bandwidth);
    cJSON *rates = cJSON_AddObjectToObject(o, "product_rate");
    for (int i = 0; i < 4; i++)
        bad |= session_put_double(rates, dtypes[i], v->sheet_rate[i] > 0 ? v->sheet_rate[i] : NAN);
    return bad ? -1 : 0;
}

cJSON *session_write_environment(const struct session_environment *v)
{
    static const char *const dtypes[4] = {"fp32", "fp16", "bf16", "int8"};
    cJSON *o = cJSON_CreateObject();
    int bad = session_put_text(o, "host", v->host) || session_put_text(o, "os", v->os) ||
              session_put_text(o, "kernel", v->kernel) || session_put_text(o, "cpu", v->cpu) ||
              put_count(o, "cores", v->cores) || put_count(o, "threads", v->threads) ||
              session_put_text(o, "simd", v->simd) || session_put_text(o, "product", v->product) ||
              session_put_text(o, "affinity", v->affinity) || session_put_text(o, "governor", v->governor) ||
              put_count(o, "memory", v->memory_bytes) ||
              session_put_double(o, "read_bandwidth", v->read_bandwidth > 0 ? v->read_bandwidth : NAN) ||
              session_put_double(o, "copy_bandwidth", v->copy_bandwidth > 0 ? v->copy_bandwidth : NAN);
    cJSON *rates = cJSON_AddObjectToObject(o, "product_rate");
    for (int i = 0; i < 4; i++)
        bad |= session_put_double(rates, dtypes[i], v->product_rate[i] > 0 ? v->product_rate[i] : NAN);
    bad |= session_put_text(o, "device", v->device);
    bad |= put_sheet(o, v, dtypes) || !cJSON_AddBoolToObject(o, "emulated", v->emulated);
    bad |= put_raw(o, "gpu", v->gpu_json);
    if (bad) {
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

static int put_pages(cJSON *memory, const struct memory_pages *p)
{
    cJSON *o = cJSON_AddObjectToObject(memory, "kv_pages");
    return put_int(o, "page_bytes", p->page_bytes) || put_int(o, "pages", p->pages) ||
                   put_int(o, "reserved", p->reserved) || put_int(o, "committed", p->committed) ||
                   put_int(o, "wasted_per_sequence", p->wasted) || put_int(o, "hidden_ns", p->hidden_ns) ||
                   put_int(o, "exposed_ns", p->exposed_ns) || put_int(o, "kept", p->kept) ||
                   put_int(o, "contiguous", p->contiguous) || put_int(o, "map_calls", p->map_calls) ||
                   put_int(o, "hidden_growths", p->hidden_growths) ||
                   put_int(o, "exposed_growths", p->exposed_growths) ||
                   put_int(o, "hidden_max_ns", p->hidden_max_ns) ||
                   put_int(o, "exposed_max_ns", p->exposed_max_ns)
               ? -1
               : 0;
}

/* null where steps are launched one by one. */
static int put_graph(cJSON *arm, const struct runner_graph *g)
{
    if (g->nodes == 0)
        return cJSON_AddNullToObject(arm, "graph") ? 0 : -1;
    cJSON *o = cJSON_AddObjectToObject(arm, "graph");
    return put_int(o, "nodes", g->nodes) || put_int(o, "capture_ns", g->capture_ns) ||
                   put_int(o, "instantiate_ns", g->instantiate_ns) ||
                   put_count(o, "first_replay_ns", g->first_replay_ns) ||
                   put_count(o, "replay_ns", g->replay_ns)
               ? -1
               : 0;
}

static int put_memory(cJSON *o, const struct memory_use *m, bool known)
{
    const struct {
        const char *key;
        int64_t value;
    } part[] = {{"weights", m->weights},   {"activations", m->activations},
                {"kv_cache", m->kv_cache}, {"overhead", m->overhead},
                {"peak", m->peak},         {"average", m->average},
                {"kv_used", m->kv_used}};
    int bad = known && m->kv_pages.page_bytes > 0 ? put_pages(o, &m->kv_pages) : 0;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        bad |= known                                   ? put_int(o, part[i].key, part[i].value)
               : cJSON_AddNullToObject(o, part[i].key) ? 0
                                                       : -1;
    return bad;
}

static int put_output(cJSON *object, const struct output_check *o)
{
    if (!o->checked && o->input_hash == 0)
        return cJSON_AddNullToObject(object, "output") ? 0 : -1;
    cJSON *out = cJSON_AddObjectToObject(object, "output");
    cJSON *passed =
        o->checked ? cJSON_AddBoolToObject(out, "passed", o->passed) : cJSON_AddNullToObject(out, "passed");
    return cJSON_AddBoolToObject(out, "checked", o->checked) && passed &&
                   session_put_double(out, "top1_agreement", o->top1_agreement) == 0 &&
                   session_put_double(out, "max_relative_error", o->max_relative_error) == 0 &&
                   session_put_double(out, "kl", o->kl) == 0 &&
                   session_put_double(out, "tolerance", o->tolerance) == 0 &&
                   json_add_uint64(out, "input_hash", o->input_hash)
               ? 0
               : -1;
}

/* Pending and running are states of a live run only. */
static const char *status_word(enum cell_status status)
{
    return cell_status_names[status == CELL_PENDING || status == CELL_RUNNING ? CELL_STOPPED : status];
}

int session_write_arm(cJSON *o, const struct session_arm *a)
{
    cJSON *implementation = NULL, *memory = NULL, *work = NULL;
    int bad = session_put_text(o, "name", a->name);
    implementation = cJSON_AddObjectToObject(o, "implementation");
    bad |= implementation_write(implementation, &a->implementation);
    bad |= session_put_text(o, "status", status_word(a->status)) || session_put_text(o, "reason", a->reason);
    bad |= put_count(o, "load_ns", a->load_ns);
    if (a->measured.page_in_ns > 0)
        bad |= put_count(o, "page_in_ns", a->measured.page_in_ns);
    bad |= a->cold_start_ns >= 0 ? put_int(o, "cold_start_ns", a->cold_start_ns)
                                 : put_count(o, "cold_start_ns", 0);
    bad |= a->time_to_steady_ns >= 0 ? put_int(o, "time_to_steady_ns", a->time_to_steady_ns)
                                     : put_count(o, "time_to_steady_ns", 0);
    memory = cJSON_AddObjectToObject(o, "memory");
    bad |= put_memory(memory, &a->measured, a->has_measured);
    bad |= put_memory(cJSON_AddObjectToObject(memory, "predicted"), &a->predicted, a->predicted.peak > 0);
    work = cJSON_AddObjectToObject(o, "work");
    bad |= session_put_double(work, "bytes", a->work.bytes > 0 ? a->work.bytes : NAN) ||
           session_put_double(work, "flops", a->work.flops > 0 ? a->work.flops : NAN) ||
           put_count(work, "tokens", a->work.tokens);
    bad |= put_count(o, "launches_per_step", a->graph.launches) ||
           put_count(o, "first_eager_ns", a->graph.first_eager_ns) ||
           put_count(o, "eager_ns", a->graph.eager_ns) || put_graph(o, &a->graph);
    return (bad | put_output(o, &a->output) | session_write_quality(o, a)) ? -1 : 0;
}

int session_write_calibration(cJSON *o, const struct session_calibration *c)
{
    return session_put_double(o, "noise_floor_pct", c->noise_floor_pct) ||
                   session_put_double(o, "mde_pct", c->mde_pct) || put_int(o, "rounds", c->rounds) ||
                   session_put_text(o, "measured_at", c->measured_at)
               ? -1
               : 0;
}

int session_write_cell(cJSON *o, const struct session_cell *c)
{
    return session_put_text(o, "model", c->model) ||
                   session_put_text(o, "workload", workload_names[c->workload]) ||
                   put_int(o, "batch", c->batch) || put_int(o, "seq", c->seq) ||
                   put_count(o, "tokens", c->tokens) ||
                   session_put_text(o, "status", status_word(c->status)) ||
                   session_put_text(o, "reason", c->reason) ||
                   session_put_text(o, "stop_rule", c->stop_rule) ||
                   put_count(o, "rounds_planned", c->rounds_planned) ||
                   !cJSON_AddBoolToObject(o, "random_weights", session_random_weights(c)) ||
                   (c->calibration.measured_at[0]
                        ? session_write_calibration(cJSON_AddObjectToObject(o, "calibration"),
                                                    &c->calibration)
                        : put_count(o, "calibration", 0))
               ? -1
               : 0;
}

/* One member of every sample as an array of integers; absent_if_zero: left out where no sample has it. */
static int put_column(cJSON *o, const char *key, const struct sample *x, int n, size_t member,
                      bool absent_if_zero)
{
    int64_t *values = malloc(((size_t)n + 1) * sizeof *values);
    bool any = !absent_if_zero;
    if (!values)
        return -1;
    for (int i = 0; i < n; i++) {
        memcpy(&values[i], (const char *)&x[i] + member, sizeof values[i]);
        any = any || values[i] != 0;
    }
    int bad = any && !json_add_int64_array(o, key, values, n);
    free(values);
    return bad ? -1 : 0;
}

/* A GPU's own fields; blocks of a cpu have none of them. Reasons as numbers and as words. */
static int put_gpu_telemetry(cJSON *o, const struct block_telemetry *t)
{
    char words[256];
    if (!(t->valid & (TELEMETRY_MEMORY_CLOCK | TELEMETRY_UTILIZATION | TELEMETRY_REASONS | TELEMETRY_OTHERS)))
        return 0;
    nvml_reasons_text(t->reasons & NVML_THROTTLES, words, sizeof words);
    return session_put_double(o, "memory_clock_mhz",
                              t->valid & TELEMETRY_MEMORY_CLOCK ? t->memory_clock_mhz : NAN) ||
           session_put_double(o, "utilization", t->valid & TELEMETRY_UTILIZATION ? t->utilization : NAN) ||
           session_put_double(o, "other_processes", t->valid & TELEMETRY_OTHERS ? t->others : NAN) ||
           session_put_double(o, "clock_reasons", t->valid & TELEMETRY_REASONS ? (double)t->reasons : NAN) ||
           session_put_text(o, "throttled_by", words);
}

static int put_telemetry(cJSON *block, const struct block_telemetry *t)
{
    if (t->valid == 0)
        return cJSON_AddNullToObject(block, "telemetry") ? 0 : -1;
    cJSON *o = cJSON_AddObjectToObject(block, "telemetry");
    return session_put_double(o, "clock_mhz", t->valid & TELEMETRY_CLOCK ? t->clock_mhz : NAN) ||
           session_put_double(o, "temperature_c",
                              t->valid & TELEMETRY_TEMPERATURE ? t->temperature_c : NAN) ||
           session_put_double(o, "power_w", t->valid & TELEMETRY_POWER ? t->power_w : NAN) ||
           session_put_double(o, "load", t->valid & TELEMETRY_LOAD ? t->load : NAN) ||
           (t->valid & TELEMETRY_MEMORY ? put_int(o, "memory_bytes", t->memory_bytes)
                                        : put_count(o, "memory_bytes", 0)) ||
           put_gpu_telemetry(o, t);
}

cJSON *session_write_block(const struct block *b)
{
    int n = atomic_load_explicit(&b->n, memory_order_acquire);
    unsigned flags = b->flags | (n < b->capacity ? BLOCK_PARTIAL : 0u);
    cJSON *o = cJSON_CreateObject(), *list;
    int bad =
        put_int(o, "round", b->round) || put_int(o, "position", b->position) ||
        put_int(o, "started_ns", b->started_ns) ||
        put_column(o, "warmup_ns", b->warmup, b->n_warmup, offsetof(struct sample, device_ns), false) ||
        put_column(o, "warmup_host_ns", b->warmup, b->n_warmup, offsetof(struct sample, host_ns), true) ||
        put_column(o, "warmup_first_ns", b->warmup, b->n_warmup, offsetof(struct sample, first_ns), true) ||
        put_column(o, "samples_ns", b->samples, n, offsetof(struct sample, device_ns), false) ||
        put_column(o, "host_ns", b->samples, n, offsetof(struct sample, host_ns), false) ||
        put_column(o, "first_ns", b->samples, n, offsetof(struct sample, first_ns), true);
    list = cJSON_AddArrayToObject(o, "flags");
    bad |= !list;
    for (int i = 0; i < SESSION_FLAGS; i++) {
        if (flags & (1u << i))
            bad |= session_push_item(list, cJSON_CreateString(session_flag_names[i]));
    }
    bad |= put_telemetry(o, &b->telemetry);
    if (bad) {
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

int session_write_head(cJSON *root, const struct session *s)
{
    struct error e = {0};
    int bad = session_put_text(root, "schema", SESSION_SCHEMA);
    cJSON *program = cJSON_AddObjectToObject(root, "benchtop");
    bad |= session_put_text(program, "version", s->version) ||
           session_put_text(program, "git_commit", s->git_commit) ||
           session_put_text(program, "build", s->build);
    bad |= session_put_text(root, "id", s->id) || session_put_text(root, "started", s->started) ||
           session_put_text(root, "finished", s->finished) ||
           session_put_text(root, "status", session_status_names[s->status]) ||
           session_put_text(root, "message", s->message);
    bad |= json_add_uint64(root, "seed", s->preset.seed) ? 0 : -1;
    bad |= put_raw(root, "argv", s->argv);
    bad |= session_put_item(root, "environment", session_write_environment(&s->environment));
    char *preset = preset_print(&s->preset, &e);
    bad |= preset ? session_put_item(root, "preset", cJSON_Parse(preset)) : -1;
    free(preset);
    return bad;
}

/* What a list of sessions shows, near the start of the file so that it is found without reading the samples.
 */
static int put_overview(cJSON *root, const struct session *s)
{
    cJSON *o = cJSON_AddObjectToObject(root, "overview");
    int ok = 0;
    for (int i = 0; i < s->n_cells; i++)
        ok += s->cell[i].status == CELL_OK;
    return put_int(o, "cells", s->n_cells) || put_int(o, "cells_ok", ok) ||
           put_int(o, "samples", session_samples(s));
}

static int put_blocks(cJSON *arm, const struct session_arm *a)
{
    cJSON *list = cJSON_AddArrayToObject(arm, "blocks");
    for (int i = 0; i < a->n_blocks; i++) {
        if (session_push_item(list, session_write_block(a->blocks[i])) != 0)
            return -1;
    }
    return list ? 0 : -1;
}

static int put_comparisons(cJSON *cell, const struct session *s, int index, const struct comparison *all,
                           const struct comparison *at95)
{
    cJSON *list = cJSON_AddArrayToObject(cell, "comparisons");
    const struct session_cell *c = &s->cell[index];
    for (int arm = 1; arm < c->n_arms && arm < s->preset.n_arms; arm++) {
        const struct comparison *x = &all[index * s->preset.n_arms + arm];
        if (x->verdict == VERDICT_NONE)
            continue;
        cJSON *o = cJSON_CreateObject();
        if (session_push_item(list, o) != 0 || session_put_text(o, "baseline", c->arm[0].name) != 0 ||
            session_put_text(o, "candidate", c->arm[arm].name) != 0 ||
            session_write_comparison(o, x, &at95[index * s->preset.n_arms + arm], summary_confidence(s)) != 0)
            return -1;
    }
    return list ? 0 : -1;
}

static int put_cells(cJSON *root, const struct session *s, const struct comparison *all,
                     const struct comparison *at95)
{
    cJSON *cells = cJSON_AddArrayToObject(root, "cells");
    for (int i = 0; i < s->n_cells; i++) {
        cJSON *cell = cJSON_CreateObject();
        if (session_push_item(cells, cell) != 0 || session_write_cell(cell, &s->cell[i]) != 0)
            return -1;
        cJSON *arms = cJSON_AddArrayToObject(cell, "arms");
        for (int j = 0; j < s->cell[i].n_arms; j++) {
            cJSON *arm = cJSON_CreateObject();
            if (session_push_item(arms, arm) != 0 || session_write_arm(arm, &s->cell[i].arm[j]) != 0 ||
                (s->cell[i].arm[j].responses &&
                 session_put_item(arm, "responses", session_write_responses(s->cell[i].arm[j].responses)) !=
                     0) ||
                put_blocks(arm, &s->cell[i].arm[j]) != 0 ||
                (all && session_put_item(arm, "summary", session_write_summary(s, i, j)) != 0))
                return -1;
        }
        if (all && put_comparisons(cell, s, i, all, at95) != 0)
            return -1;
    }
    return cells ? 0 : -1;
}

static int put_criteria(cJSON *root, const struct session *s)
{
    struct criterion_result r[SUMMARY_CRITERIA];
    int n = summary_criteria(s, r);
    if (n < 0)
        return -1;
    cJSON *list = cJSON_AddArrayToObject(root, "criteria");
    for (int i = 0; i < n; i++) {
        cJSON *o = cJSON_CreateObject();
        if (session_push_item(list, o) != 0)
            return -1;
        int bad = session_put_text(o, "metric", r[i].metric) ||
                  session_put_double(o, "target", r[i].target) ||
                  session_put_double(o, "achieved", r[i].achieved);
        cJSON *passed =
            r[i].known ? cJSON_AddBoolToObject(o, "passed", r[i].passed) : cJSON_AddNullToObject(o, "passed");
        bad |= r[i].cell >= 0 ? put_int(o, "cell", r[i].cell) : put_count(o, "cell", 0);
        bad |= session_put_text(o, "arm", r[i].cell >= 0 ? s->cell[r[i].cell].arm[r[i].arm].name : "");
        if (bad || !passed)
            return -1;
    }
    return list ? 0 : -1;
}

cJSON *session_to_json(const struct session *s, bool figures)
{
    cJSON *root = cJSON_CreateObject();
    struct comparison *all = NULL, *at95 = NULL;
    struct session view = *s; /* the same data at 95 %, for the keys that say so */
    view.preset.confidence = 0.95;
    if (figures && (summary_comparisons(s, &all, NULL) != 0 ||
                    (summary_confidence(s) != 0.95 && summary_comparisons(&view, &at95, NULL) != 0)))
        goto fail;
    if (session_write_head(root, s) != 0 || put_overview(root, s) != 0 ||
        (figures && (put_criteria(root, s) != 0 || session_write_ablation(root, s) != 0)) ||
        put_cells(root, s, all, at95 ? at95 : all) != 0)
        goto fail;
    free(all);
    free(at95);
    return root;
fail:
    free(all);
    free(at95);
    cJSON_Delete(root);
    return NULL;
}

char *session_print(const struct session *s, struct error *e)
{
    cJSON *root = session_to_json(s, true);
    char *text = root ? json_print(root, 2) : NULL;
    cJSON_Delete(root);
    if (!text)
        error_set(e, ERROR_MEMORY, "no memory to write the session: close other programs and try again");
    return text;
}
