#include "engine/session_json.h"
#include "presets/implementation_json.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_TEXT = 96, INNER_TEXT = 192 };

/* The index of a word; JSON_ABSENT leaves *out alone. */
static int read_word(const struct json_at *at, const cJSON *object, const char *key, const char *const *words,
                     int n, int *out)
{
    char word[64] = "";
    int found = json_text(at, object, key, word, sizeof word);
    if (found != JSON_FOUND)
        return found;
    for (int i = 0; i < n; i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return JSON_FOUND;
        }
    }
    char expected[256] = "";
    for (int i = 0; i < n; i++)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%s",
                 i ? ", " : "one of ", words[i]);
    return json_unexpected(at, key, expected, cJSON_GetObjectItemCaseSensitive(object, key));
}

/* The place of an object inside another, for messages. */
static struct json_at inside(const struct json_at *at, const char *key, char path[INNER_TEXT])
{
    snprintf(path, INNER_TEXT, "%s.%s", at->path, key);
    return (struct json_at){at->file, path, at->e};
}

static int required(int found, const struct json_at *at, const char *key, const char *expected)
{
    return found == JSON_ABSENT ? json_missing(at, key, expected) : found;
}

static int read_raw(const struct json_at *at, const cJSON *object, const char *key, char **out)
{
    const cJSON *list = NULL;
    int found = json_array(at, object, key, &list);
    if (found == JSON_FOUND)
        *out = json_print(list, 0);
    return found < 0 ? -1 : 0;
}

static int read_rates(const struct json_at *at, const cJSON *object, double rate[4])
{
    static const char *const dtypes[4] = {"fp32", "fp16", "bf16", "int8"};
    const cJSON *rates = NULL;
    int result = json_object(at, object, "product_rate", &rates) < 0 ? -1 : 0;
    for (int i = 0; i < 4; i++)
        if (json_double(at, rates, dtypes[i], 0, 1e21, &rate[i]) < 0)
            result = -1;
    return result;
}

static int read_sheet(const struct json_at *at, const cJSON *object, struct session_environment *v)
{
    const cJSON *o = NULL;
    char path[INNER_TEXT];
    struct json_at here = inside(at, "datasheet", path);
    if (json_object(at, object, "datasheet", &o) < 0)
        return -1;
    if (!o)
        return 0;
    int bad = json_text(&here, o, "source", v->sheet_source, sizeof v->sheet_source) < 0;
    bad |= json_double(&here, o, "read_bandwidth", 0, 1e18, &v->sheet_bandwidth) < 0;
    bad |= read_rates(&here, o, v->sheet_rate) < 0;
    return bad ? -1 : 0;
}

int session_read_environment(const struct json_at *at, const cJSON *object, struct session_environment *v)
{
    static const struct json_field fields[] = {
        {"host", JSON_TEXT, offsetof(struct session_environment, host), 128, 0, 0},
        {"os", JSON_TEXT, offsetof(struct session_environment, os), 128, 0, 0},
        {"kernel", JSON_TEXT, offsetof(struct session_environment, kernel), 128, 0, 0},
        {"cpu", JSON_TEXT, offsetof(struct session_environment, cpu), 128, 0, 0},
        {"cores", JSON_INT, offsetof(struct session_environment, cores), 0, 0, INT_MAX},
        {"threads", JSON_INT, offsetof(struct session_environment, threads), 0, 0, INT_MAX},
        {"simd", JSON_TEXT, offsetof(struct session_environment, simd), 32, 0, 0},
        {"product", JSON_TEXT, offsetof(struct session_environment, product), 64, 0, 0},
        {"affinity", JSON_TEXT, offsetof(struct session_environment, affinity), 96, 0, 0},
        {"governor", JSON_TEXT, offsetof(struct session_environment, governor), 32, 0, 0},
        {"memory", JSON_INT64, offsetof(struct session_environment, memory_bytes), 0, 0, 1e18},
        {"device", JSON_TEXT, offsetof(struct session_environment, device), 128, 0, 0},
        {"emulated", JSON_BOOL, offsetof(struct session_environment, emulated), 0, 0, 0},
        {"copy_bandwidth", JSON_DOUBLE, offsetof(struct session_environment, copy_bandwidth), 0, 0, 1e18},
        {"read_bandwidth", JSON_DOUBLE, offsetof(struct session_environment, read_bandwidth), 0, 0, 1e18}};
    int result = json_read_fields(at, object, fields, sizeof fields / sizeof fields[0], v);
    if (read_rates(at, object, v->product_rate) < 0 || read_sheet(at, object, v) < 0)
        result = -1;
    char *gpu = NULL;
    if (read_raw(at, object, "gpu", &gpu) != 0)
        result = -1;
    if (gpu && strlen(gpu) < sizeof v->gpu_json)
        memcpy(v->gpu_json, gpu, strlen(gpu) + 1);
    else if (gpu)
        result = json_unexpected(at, "gpu", "a list of at most 2047 bytes", NULL);
    free(gpu);
    return result;
}

/* --- samples and blocks */

struct columns_read {
    int64_t *device, *host, *first;
    int64_t n, n_host, n_first;
};

static int read_columns(const struct json_at *at, const cJSON *object, const char *device, const char *host,
                        const char *first, struct sample **out, int *n)
{
    struct columns_read c = {0};
    int result = session_read_numbers(at, object, device, &c.device, &c.n);
    if (result == JSON_FOUND && c.n > INT_MAX)
        result = json_unexpected(at, device, "at most 2147483647 samples", NULL);
    int has_host = session_read_numbers(at, object, host, &c.host, &c.n_host);
    int has_first = session_read_numbers(at, object, first, &c.first, &c.n_first);
    if (has_host == JSON_FOUND && c.n_host != c.n)
        has_host = json_unexpected(at, host, "as many values as samples", NULL);
    if (has_first == JSON_FOUND && c.n_first != c.n)
        has_first = json_unexpected(at, first, "as many values as samples", NULL);
    if (result < 0 || has_host < 0 || has_first < 0) {
        result = -1;
    } else {
        *out = calloc((size_t)c.n + 1, sizeof **out);
        *n = *out ? (int)c.n : 0;
        result = *out ? 0 : error_add(at->e, ERROR_MEMORY, "%s: no memory for the samples", at->file);
        for (int i = 0; i < *n; i++) /* a file of one clock: both read the same */
            (*out)[i] =
                (struct sample){c.device[i], c.host ? c.host[i] : c.device[i], c.first ? c.first[i] : 0};
    }
    free(c.device);
    free(c.host);
    free(c.first);
    return result;
}

static int read_flags(const struct json_at *at, const cJSON *object, unsigned *flags, struct error *warning)
{
    const cJSON *list = NULL, *item;
    int found = json_array(at, object, "flags", &list);
    cJSON_ArrayForEach(item, list)
    {
        bool known = false;
        if (!cJSON_IsString(item))
            return json_unexpected(at, "flags", "a list of words", item);
        for (int i = 0; i < SESSION_FLAGS; i++) {
            if (strcmp(item->valuestring, session_flag_names[i]) == 0) {
                *flags |= 1u << i;
                known = true;
            }
        }
        if (!known)
            error_add(warning, ERROR_FAILED, "%s: %s: unknown flag \"%.40s\" ignored", at->file, at->path,
                      item->valuestring);
    }
    return found < 0 ? -1 : 0;
}

static int read_telemetry(const struct json_at *at, const cJSON *object, struct block_telemetry *t)
{
    double reasons = 0;
    const struct {
        const char *key;
        unsigned bit;
        double *out;
    } part[] = {{"clock_mhz", TELEMETRY_CLOCK, &t->clock_mhz},
                {"temperature_c", TELEMETRY_TEMPERATURE, &t->temperature_c},
                {"power_w", TELEMETRY_POWER, &t->power_w},
                {"load", TELEMETRY_LOAD, &t->load},
                {"memory_clock_mhz", TELEMETRY_MEMORY_CLOCK, &t->memory_clock_mhz},
                {"utilization", TELEMETRY_UTILIZATION, &t->utilization},
                {"clock_reasons", TELEMETRY_REASONS, &reasons},
                {"other_processes", TELEMETRY_OTHERS, &t->others}};
    const cJSON *o = NULL;
    char path[INNER_TEXT];
    struct json_at here = inside(at, "telemetry", path);
    int result = json_object(at, object, "telemetry", &o);
    at = &here;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        int found = json_double(at, o, part[i].key, -1e12, 1e12, part[i].out);
        t->valid |= found == JSON_FOUND ? part[i].bit : 0u;
        result = found < 0 ? -1 : result;
    }
    t->reasons = reasons >= 0 && reasons <= 0xffffffffu ? (unsigned)reasons : 0;
    int found = json_int64(at, o, "memory_bytes", 0, INT64_MAX, &t->memory_bytes);
    t->valid |= found == JSON_FOUND ? TELEMETRY_MEMORY : 0u;
    return result < 0 || found < 0 ? -1 : 0;
}

struct block *session_read_block(const struct json_at *at, cJSON *object, int cell, int arm,
                                 struct error *warning)
{
    static const char *const known[] = {"round",          "position",        "started_ns", "warmup_ns",
                                        "warmup_host_ns", "warmup_first_ns", "samples_ns", "host_ns",
                                        "first_ns",       "flags",           "telemetry"};
    struct sample *warmup = NULL, *samples = NULL;
    int n_warmup = 0, n = 0, round = 0, position = 0;
    int64_t started = 0;
    unsigned flags = 0;
    struct block_telemetry telemetry = {0};
    if (!cJSON_IsObject(object)) {
        json_unexpected(at, NULL, "an object", object);
        return NULL;
    }
    int bad = json_keys(at, object, known, sizeof known / sizeof known[0], NULL, warning);
    bad |= required(json_int(at, object, "round", 0, INT_MAX, &round), at, "round", "a number from 0");
    bad |= json_int(at, object, "position", 0, INT_MAX, &position) < 0;
    bad |= json_int64(at, object, "started_ns", INT64_MIN, INT64_MAX, &started) < 0;
    bad |= read_columns(at, object, "warmup_ns", "warmup_host_ns", "warmup_first_ns", &warmup, &n_warmup);
    if (!cJSON_GetObjectItemCaseSensitive(object, "samples_ns"))
        bad |= json_missing(at, "samples_ns", "a list of nanoseconds");
    bad |= read_columns(at, object, "samples_ns", "host_ns", "first_ns", &samples, &n);
    bad |= read_flags(at, object, &flags, warning);
    bad |= read_telemetry(at, object, &telemetry);
    struct block *b = bad ? NULL : session_new_block(cell, arm, round, position, 0, at->e);
    if (!b) {
        free(warmup);
        free(samples);
        return NULL;
    }
    free(b->samples);
    b->samples = samples;
    b->capacity = n;
    b->started_ns = started;
    b->flags = flags;
    b->telemetry = telemetry;
    b->n_warmup = n_warmup;
    b->warmup = n_warmup ? warmup : NULL;
    if (!n_warmup)
        free(warmup);
    atomic_store_explicit(&b->n, n, memory_order_release);
    return b;
}

/* --- arms and cells */

static int read_pages(const struct json_at *at, const cJSON *memory, struct memory_pages *p)
{
    static const struct json_field fields[] = {
        {"page_bytes", JSON_INT64, offsetof(struct memory_pages, page_bytes), 0, 0, 1e18},
        {"pages", JSON_INT64, offsetof(struct memory_pages, pages), 0, 0, 1e18},
        {"reserved", JSON_INT64, offsetof(struct memory_pages, reserved), 0, 0, 1e18},
        {"committed", JSON_INT64, offsetof(struct memory_pages, committed), 0, 0, 1e18},
        {"wasted_per_sequence", JSON_INT64, offsetof(struct memory_pages, wasted), 0, 0, 1e18},
        {"hidden_ns", JSON_INT64, offsetof(struct memory_pages, hidden_ns), 0, 0, 1e18},
        {"exposed_ns", JSON_INT64, offsetof(struct memory_pages, exposed_ns), 0, 0, 1e18},
        {"kept", JSON_INT64, offsetof(struct memory_pages, kept), 0, 0, 1e18},
        {"contiguous", JSON_INT64, offsetof(struct memory_pages, contiguous), 0, 0, 1e18},
        {"map_calls", JSON_INT64, offsetof(struct memory_pages, map_calls), 0, 0, 1e18},
        {"hidden_growths", JSON_INT64, offsetof(struct memory_pages, hidden_growths), 0, 0, 1e18},
        {"exposed_growths", JSON_INT64, offsetof(struct memory_pages, exposed_growths), 0, 0, 1e18},
        {"hidden_max_ns", JSON_INT64, offsetof(struct memory_pages, hidden_max_ns), 0, 0, 1e18},
        {"exposed_max_ns", JSON_INT64, offsetof(struct memory_pages, exposed_max_ns), 0, 0, 1e18}};
    const cJSON *o = NULL;
    char path[INNER_TEXT];
    struct json_at here = inside(at, "kv_pages", path);
    if (json_object(at, memory, "kv_pages", &o) < 0)
        return -1;
    return o ? json_read_fields(&here, o, fields, sizeof fields / sizeof fields[0], p) : 0;
}

static int read_graph(const struct json_at *at, const cJSON *arm, struct runner_graph *g)
{
    static const struct json_field fields[] = {
        {"nodes", JSON_INT, offsetof(struct runner_graph, nodes), 0, 0, INT_MAX},
        {"capture_ns", JSON_INT64, offsetof(struct runner_graph, capture_ns), 0, 0, 1e18},
        {"instantiate_ns", JSON_INT64, offsetof(struct runner_graph, instantiate_ns), 0, 0, 1e18},
        {"first_replay_ns", JSON_INT64, offsetof(struct runner_graph, first_replay_ns), 0, 0, 1e18},
        {"replay_ns", JSON_INT64, offsetof(struct runner_graph, replay_ns), 0, 0, 1e18}};
    const cJSON *o = NULL;
    char path[INNER_TEXT];
    struct json_at here = inside(at, "graph", path);
    if (json_object(at, arm, "graph", &o) < 0)
        return -1;
    return o ? json_read_fields(&here, o, fields, sizeof fields / sizeof fields[0], g) : 0;
}

static int read_memory(const struct json_at *at, const cJSON *o, struct memory_use *m, bool *known)
{
    const struct {
        const char *key;
        int64_t *out;
    } part[] = {{"weights", &m->weights},   {"activations", &m->activations},
                {"kv_cache", &m->kv_cache}, {"overhead", &m->overhead},
                {"peak", &m->peak},         {"average", &m->average},
                {"kv_used", &m->kv_used}};
    int result = read_pages(at, o, &m->kv_pages);
    *known = false;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        int found = json_int64(at, o, part[i].key, 0, INT64_MAX, part[i].out);
        *known = *known || found == JSON_FOUND;
        result = found < 0 ? -1 : result;
    }
    return result;
}

static int read_output(const struct json_at *at, const cJSON *arm, struct output_check *out)
{
    const cJSON *o = NULL;
    out->top1_agreement = out->max_relative_error = out->kl = out->tolerance = (double)NAN;
    int result = json_object(at, arm, "output", &o) < 0 ? -1 : 0;
    char path[INNER_TEXT];
    struct json_at here = inside(at, "output", path);
    at = &here;
    /* A file without "checked" says it by "passed". */
    out->checked = json_bool(at, o, "passed", &out->passed) == JSON_FOUND;
    result |= json_bool(at, o, "checked", &out->checked) < 0;
    result |= json_double(at, o, "top1_agreement", 0, 1, &out->top1_agreement) < 0;
    result |= json_double(at, o, "max_relative_error", 0, HUGE_VAL, &out->max_relative_error) < 0;
    result |= json_double(at, o, "kl", -HUGE_VAL, HUGE_VAL, &out->kl) < 0;
    result |= json_double(at, o, "tolerance", 0, HUGE_VAL, &out->tolerance) < 0;
    result |= json_uint64(at, o, "input_hash", &out->input_hash) < 0;
    return result ? -1 : 0;
}

int session_read_arm(const struct json_at *at, const cJSON *object, struct session_arm *a)
{
    const cJSON *implementation = NULL, *memory = NULL, *predicted = NULL, *work = NULL;
    int status = CELL_STOPPED;
    char path[INNER_TEXT];
    bool known;
    a->load_ns = 0;
    a->cold_start_ns = a->time_to_steady_ns = -1;
    int bad =
        required(json_text(at, object, "name", a->name, sizeof a->name), at, "name", "the arm's name") < 0;
    bad |= json_object(at, object, "implementation", &implementation) < 0;
    implementation_default(&a->implementation);
    if (implementation)
        bad |= implementation_read(at, implementation, &a->implementation, NULL) < 0;
    bad |= read_word(at, object, "status", cell_status_names, CELL_STOPPED + 1, &status) < 0;
    a->status = (enum cell_status)status;
    bad |= json_text(at, object, "reason", a->reason, sizeof a->reason) < 0;
    bad |= json_int64(at, object, "load_ns", 0, INT64_MAX, &a->load_ns) < 0;
    bad |= json_int64(at, object, "cold_start_ns", 0, INT64_MAX, &a->cold_start_ns) < 0;
    bad |= json_int64(at, object, "time_to_steady_ns", 0, INT64_MAX, &a->time_to_steady_ns) < 0;
    bad |= json_object(at, object, "memory", &memory) < 0;
    struct json_at here = inside(at, "memory", path);
    bad |= read_memory(&here, memory, &a->measured, &a->has_measured) < 0;
    bad |= json_int64(at, object, "page_in_ns", 0, INT64_MAX, &a->measured.page_in_ns) < 0;
    bad |= json_object(&here, memory, "predicted", &predicted) < 0;
    here = inside(at, "memory.predicted", path);
    bad |= read_memory(&here, predicted, &a->predicted, &known) < 0;
    bad |= json_object(at, object, "work", &work) < 0;
    struct json_at there = inside(at, "work", path);
    bad |= json_double(&there, work, "bytes", 0, HUGE_VAL, &a->work.bytes) < 0;
    bad |= json_double(&there, work, "flops", 0, HUGE_VAL, &a->work.flops) < 0;
    bad |= json_int64(&there, work, "tokens", 0, INT64_MAX, &a->work.tokens) < 0;
    bad |= json_int(at, object, "launches_per_step", 0, INT_MAX, &a->graph.launches) < 0;
    bad |= json_int64(at, object, "first_eager_ns", 0, INT64_MAX, &a->graph.first_eager_ns) < 0;
    bad |= json_int64(at, object, "eager_ns", 0, INT64_MAX, &a->graph.eager_ns) < 0;
    bad |= read_graph(at, object, &a->graph) < 0;
    bad |= read_output(at, object, &a->output) < 0;
    bad |= session_read_quality(at, object, a) < 0;
    return bad ? -1 : 0;
}

int session_read_calibration(const struct json_at *at, const cJSON *object, struct session_calibration *c)
{
    struct session_calibration got = {0};
    int bad = required(json_double(at, object, "noise_floor_pct", 0, 1e6, &got.noise_floor_pct), at,
                       "noise_floor_pct", "a number from 0") < 0;
    bad |= required(json_double(at, object, "mde_pct", 0, 1e6, &got.mde_pct), at, "mde_pct",
                    "a number from 0") < 0;
    bad |= json_int(at, object, "rounds", 0, INT_MAX, &got.rounds) < 0;
    bad |= required(json_text(at, object, "measured_at", got.measured_at, sizeof got.measured_at), at,
                    "measured_at", "a time") < 0;
    if (bad)
        return -1;
    *c = got;
    return 0;
}

int session_read_cell(const struct json_at *at, const cJSON *object, struct session_cell *c)
{
    int status = CELL_STOPPED, workload = WORKLOAD_PREFILL;
    int bad = required(json_text(at, object, "model", c->model, sizeof c->model), at, "model", "a name") < 0;
    bad |= required(read_word(at, object, "workload", workload_names, WORKLOADS, &workload), at, "workload",
                    "prefill, decode, generate, tokenize or perplexity") < 0;
    bad |= required(json_int(at, object, "batch", 1, INT_MAX, &c->batch), at, "batch", "a number from 1") < 0;
    bad |= required(json_int(at, object, "seq", 1, INT_MAX, &c->seq), at, "seq", "a number from 1") < 0;
    bad |= json_int(at, object, "tokens", 0, INT_MAX, &c->tokens) < 0;
    bad |= read_word(at, object, "status", cell_status_names, CELL_STOPPED + 1, &status) < 0;
    bad |= json_text(at, object, "reason", c->reason, sizeof c->reason) < 0;
    bad |= json_text(at, object, "stop_rule", c->stop_rule, sizeof c->stop_rule) < 0;
    bad |= json_int(at, object, "rounds_planned", 0, INT_MAX, &c->rounds_planned) < 0;
    bad |= json_bool(at, object, "random_weights", &c->seeded) < 0;
    const cJSON *calibration = NULL;
    bad |= json_object(at, object, "calibration", &calibration) < 0;
    if (calibration) {
        char path[INNER_TEXT];
        struct json_at in = inside(at, "calibration", path);
        bad |= session_read_calibration(&in, calibration, &c->calibration) < 0;
    }
    c->workload = (enum workload)workload;
    c->status = (enum cell_status)status;
    return bad ? -1 : 0;
}

/* --- the whole */

struct reading {
    const char *file;
    struct error *e, *warning;
    struct session *s;
};

static int read_arm_whole(const struct reading *r, cJSON *object, int cell, int arm)
{
    static const char *const known[] = {"name",           "implementation", "status",
                                        "reason",         "load_ns",        "page_in_ns",
                                        "cold_start_ns",  "memory",         "time_to_steady_ns",
                                        "work",           "output",         "blocks",
                                        "summary",        "graph",          "launches_per_step",
                                        "first_eager_ns", "eager_ns",       "quality",
                                        "text",           "responses"};
    char path[PATH_TEXT];
    snprintf(path, sizeof path, "cells.%d.arms.%d", cell, arm);
    struct json_at at = {r->file, path, r->e};
    if (!cJSON_IsObject(object))
        return json_unexpected(&at, NULL, "an object", object);
    struct session_arm *a = &r->s->cell[cell].arm[arm];
    int result = json_keys(&at, object, known, sizeof known / sizeof known[0], NULL, r->warning);
    if (session_read_arm(&at, object, a) != 0)
        result = -1;
    const cJSON *blocks = NULL, *responses = NULL;
    if (json_array(&at, object, "blocks", &blocks) < 0 ||
        json_array(&at, object, "responses", &responses) < 0)
        result = -1;
    if (responses && session_read_responses(&at, responses, &a->responses) != 0)
        result = -1;
    int i = 0;
    for (cJSON *item = blocks ? blocks->child : NULL; item; item = item->next, i++) {
        char inner[PATH_TEXT + 32];
        snprintf(inner, sizeof inner, "%s.blocks.%d", path, i);
        struct json_at here = {r->file, inner, r->e};
        struct block *b = session_read_block(&here, item, cell, arm, r->warning);
        if (!b || session_add_block(r->s, b, r->e) != 0) {
            session_free_block(b);
            result = -1;
        }
    }
    return result;
}

static int read_cell_whole(const struct reading *r, cJSON *object, int index)
{
    static const char *const known[] = {
        "model",     "workload",       "batch", "seq",         "tokens",      "status",        "reason",
        "stop_rule", "rounds_planned", "arms",  "comparisons", "calibration", "random_weights"};
    char path[PATH_TEXT], expected[96];
    snprintf(path, sizeof path, "cells.%d", index);
    struct json_at at = {r->file, path, r->e};
    if (!cJSON_IsObject(object))
        return json_unexpected(&at, NULL, "an object", object);
    struct session_cell *c = &r->s->cell[index];
    int result = json_keys(&at, object, known, sizeof known / sizeof known[0], NULL, r->warning);
    if (session_read_cell(&at, object, c) != 0)
        result = -1;
    const cJSON *arms = NULL;
    if (required(json_array(&at, object, "arms", &arms), &at, "arms", "a list") < 0)
        return -1;
    int n = cJSON_GetArraySize(arms);
    snprintf(expected, sizeof expected, "%d arms, as in the preset", r->s->preset.n_arms);
    if (n != r->s->preset.n_arms)
        return json_unexpected(&at, "arms", expected, NULL);
    c->arm = calloc((size_t)n + 1, sizeof *c->arm);
    if (!c->arm)
        return error_add(r->e, ERROR_MEMORY, "%s: no memory to read it", r->file);
    c->n_arms = n;
    int i = 0;
    for (cJSON *item = arms->child; item; item = item->next, i++) {
        if (read_arm_whole(r, item, index, i) != 0)
            result = -1;
    }
    return result;
}

static int read_preset(const struct reading *r, const cJSON *root)
{
    struct json_at at = {r->file, "", r->e};
    const cJSON *preset = NULL;
    if (required(json_object(&at, root, "preset", &preset), &at, "preset", "the preset that was run") < 0)
        return -1;
    char *text = json_print(preset, 0), name[320];
    if (!text)
        return error_add(r->e, ERROR_MEMORY, "%s: no memory to read it", r->file);
    snprintf(name, sizeof name, "%.255s: preset", r->file);
    struct error why = {0};
    int result = preset_parse(text, strlen(text), name, &r->s->preset, r->warning, &why);
    free(text);
    return result == 0 ? 0 : error_add(r->e, ERROR_FAILED, "%s", why.text);
}

static int read_head(const struct reading *r, const cJSON *root)
{
    struct json_at at = {r->file, "", r->e};
    struct session *s = r->s;
    const cJSON *program = NULL, *environment = NULL;
    int status = SESSION_STOPPED;
    int bad = json_object(&at, root, "benchtop", &program) < 0;
    bad |= json_text(&at, program, "version", s->version, sizeof s->version) < 0;
    bad |= json_text(&at, program, "git_commit", s->git_commit, sizeof s->git_commit) < 0;
    bad |= json_text(&at, program, "build", s->build, sizeof s->build) < 0;
    bad |= json_text(&at, root, "id", s->id, sizeof s->id) < 0;
    bad |= json_text(&at, root, "started", s->started, sizeof s->started) < 0;
    bad |= json_text(&at, root, "finished", s->finished, sizeof s->finished) < 0;
    bad |= read_word(&at, root, "status", session_status_names, SESSION_FAILED + 1, &status) < 0;
    bad |= json_text(&at, root, "message", s->message, sizeof s->message) < 0;
    bad |= read_raw(&at, root, "argv", &s->argv);
    bad |= json_object(&at, root, "environment", &environment) < 0;
    struct json_at inner = {r->file, "environment", r->e};
    bad |= session_read_environment(&inner, environment, &s->environment);
    s->status = (enum session_status)status;
    return bad ? -1 : 0;
}

static int read_cells(const struct reading *r, const cJSON *root)
{
    struct json_at at = {r->file, "", r->e};
    const cJSON *cells = NULL;
    if (required(json_array(&at, root, "cells", &cells), &at, "cells", "a list") < 0)
        return -1;
    int n = cJSON_GetArraySize(cells), i = 0, result = 0;
    r->s->cell = calloc((size_t)n + 1, sizeof *r->s->cell);
    if (!r->s->cell)
        return error_add(r->e, ERROR_MEMORY, "%s: no memory to read it", r->file);
    r->s->n_cells = n;
    for (cJSON *item = cells->child; item; item = item->next, i++) {
        if (read_cell_whole(r, item, i) != 0)
            result = -1;
    }
    return result;
}

int session_from_json(const char *file, cJSON *root, struct session *out, struct error *warning,
                      struct error *e)
{
    static const char *const known[] = {"schema", "benchtop", "id",       "started", "finished",
                                        "status", "message",  "seed",     "argv",    "environment",
                                        "preset", "overview", "criteria", "cells",   "ablation"};
    struct error found = {0};
    struct session s = {.owns_blocks = true};
    struct json_at at = {file, "", &found};
    struct reading r = {file, &found, warning, &s};
    char schema[64] = "";
    if (!cJSON_IsObject(root)) {
        json_unexpected(&at, NULL, "an object", root);
    } else if (json_text(&at, root, "schema", schema, sizeof schema) != JSON_FOUND ||
               strcmp(schema, SESSION_SCHEMA) != 0) {
        found = (struct error){0};
        json_unexpected(&at, "schema", "\"" SESSION_SCHEMA "\"",
                        cJSON_GetObjectItemCaseSensitive(root, "schema"));
    } else {
        json_keys(&at, root, known, sizeof known / sizeof known[0], NULL, warning);
        read_head(&r, root);
        if (read_preset(&r, root) == 0)
            read_cells(&r, root);
    }
    if (found.kind != ERROR_NONE) {
        session_free(&s);
        return error_set(e, found.kind, "%s", found.text);
    }
    *out = s;
    return 0;
}
