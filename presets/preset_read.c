#include "presets/preset_json.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

int preset_keep_unknown(struct preset_reading *r, cJSON **parent, const char *key, cJSON *leftovers)
{
    if (!leftovers)
        return 0;
    if (!*parent)
        *parent = cJSON_CreateObject();
    if (!*parent || !cJSON_AddItemToObject(*parent, key, leftovers)) {
        cJSON_Delete(leftovers);
        return error_add(r->e, ERROR_MEMORY, "%s: no memory to read it", r->file);
    }
    return 0;
}

int preset_field_keys(const struct json_field *fields, int n, const char **out)
{
    for (int i = 0; i < n; i++)
        out[i] = fields[i].key;
    return n;
}

bool preset_given(const cJSON *root, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    return item && !cJSON_IsNull(item);
}

int preset_items(const struct json_at *at, cJSON *root, const char *key, int most, cJSON **items)
{
    cJSON *value = cJSON_GetObjectItemCaseSensitive(root, key), *item;
    int n = 0;
    if (!preset_given(root, key))
        return 0;
    if (!cJSON_IsArray(value)) {
        items[0] = value;
        return 1;
    }
    cJSON_ArrayForEach(item, value)
    {
        if (n == most) {
            char expected[64];
            snprintf(expected, sizeof expected, "at most %d entries", most);
            return json_unexpected(at, key, expected, value);
        }
        items[n++] = item;
    }
    return n;
}

static int read_ints(const struct json_at *at, cJSON *root, const char *key, int max, int *values,
                     int *n_values)
{
    cJSON *items[PRESET_SWEEP];
    int n = preset_items(at, root, key, PRESET_SWEEP, items), result = n < 0 ? -1 : 0;
    if (!preset_given(root, key))
        return 0;
    for (int i = 0; i < n; i++) {
        double v = cJSON_IsNumber(items[i]) ? items[i]->valuedouble : NAN;
        if (!(v >= 1 && v <= max && v == floor(v))) {
            char expected[64];
            snprintf(expected, sizeof expected, "whole numbers from 1 to %d", max);
            result = json_unexpected(at, key, expected, items[i]);
        } else {
            values[i] = (int)v;
        }
    }
    if (result == 0)
        *n_values = n;
    return result;
}

static int read_models(const struct json_at *at, cJSON *root, const char *key, struct preset *p)
{
    cJSON *items[PRESET_MODELS];
    int n = preset_items(at, root, key, PRESET_MODELS, items), result = n < 0 ? -1 : 0;
    if (!preset_given(root, key))
        return 0;
    for (int i = 0; i < n; i++) {
        const char *text = cJSON_IsString(items[i]) ? items[i]->valuestring : "";
        if (!text[0] || strlen(text) >= sizeof p->models[0] || !error_text_is_plain(text))
            result = json_unexpected(at, key, "names of models or paths", items[i]);
        else
            snprintf(p->models[i], sizeof p->models[i], "%s", text);
    }
    if (result == 0)
        p->n_models = n;
    return result;
}

static int read_workloads(const struct json_at *at, cJSON *root, const char *key, struct preset *p)
{
    cJSON *items[16];
    int n = preset_items(at, root, key, COUNT(items), items), result = n < 0 ? -1 : 0;
    if (!preset_given(root, key))
        return 0;
    bool seen[WORKLOADS] = {false};
    for (int i = 0; i < n; i++) {
        int w = 0;
        while (w < WORKLOADS &&
               !(cJSON_IsString(items[i]) && strcmp(items[i]->valuestring, workload_names[w]) == 0))
            w++;
        if (w == WORKLOADS || seen[w])
            result = json_unexpected(at, key, "prefill, decode, generate, tokenize or perplexity, each once",
                                     items[i]);
        else if (result == 0)
            p->workloads[i] = (enum workload)w;
        if (w < WORKLOADS)
            seen[w] = true;
    }
    if (result == 0)
        p->n_workloads = n;
    return result;
}

static int read_criteria(struct preset_reading *r, const struct json_at *at, cJSON *root, struct preset *p)
{
    const cJSON *object;
    const char *known[16];
    cJSON *leftovers = NULL;
    struct json_at in = {at->file, "criteria", at->e};
    int found = json_object(at, root, "criteria", &object);
    if (found != JSON_FOUND)
        return found < 0 ? -1 : 0;
    int n = preset_field_keys(preset_criteria_fields, preset_n_criteria_fields, known);
    int result =
        json_keys(&in, cJSON_GetObjectItemCaseSensitive(root, "criteria"), known, n, &leftovers, r->warning);
    if (json_read_fields(&in, object, preset_criteria_fields, n, &p->criteria) != 0)
        result = -1;
    return preset_keep_unknown(r, &r->unknown, "criteria", leftovers) != 0 ? -1 : result;
}

static int read_sampling(struct preset_reading *r, const struct json_at *at, cJSON *root, struct preset *p)
{
    const cJSON *object;
    const char *known[8];
    cJSON *leftovers = NULL;
    struct json_at in = {at->file, "sampling", at->e};
    int found = json_object(at, root, "sampling", &object);
    if (found != JSON_FOUND)
        return found < 0 ? -1 : 0;
    int n = preset_field_keys(preset_sampling_fields, preset_n_sampling_fields, known);
    int result =
        json_keys(&in, cJSON_GetObjectItemCaseSensitive(root, "sampling"), known, n, &leftovers, r->warning);
    if (json_read_fields(&in, object, preset_sampling_fields, n, &p->sampling) != 0)
        result = -1;
    return preset_keep_unknown(r, &r->unknown, "sampling", leftovers) != 0 ? -1 : result;
}

static int read_text_unit(const struct json_at *at, const cJSON *root, struct preset *p)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "texts");
    if (!preset_given(root, "texts"))
        return 0;
    for (int u = 0; u < TEXT_UNITS; u++)
        if (cJSON_IsString(item) && strcmp(item->valuestring, text_unit_names[u]) == 0) {
            p->texts = (enum text_unit)u;
            return 0;
        }
    return json_unexpected(at, "texts", "document or lines", item);
}

/* "runs" is "rounds" and so on; both at once would leave open which counts. */
static int refuse_both(const struct json_at *at, const cJSON *root, const char *key, const char *other)
{
    if (preset_given(root, key) && preset_given(root, other))
        return error_add(at->e, ERROR_USAGE, "%s: %s and %s say the same: remove one", at->file, key, other);
    return 0;
}

static int read_shorthands(const struct json_at *at, const cJSON *root, struct preset *p)
{
    int samples = -1, result = 0;
    if (json_int(at, root, "warmup", 0, 1000000, &samples) < 0 ||
        json_int(at, root, "runs", 1, PRESET_ROUNDS_MAX, &p->rounds) < 0)
        result = -1;
    if (samples >= 0)
        p->warmup_min = p->warmup_max = samples;
    result |= refuse_both(at, root, "runs", "rounds");
    result |= refuse_both(at, root, "model", "models");
    result |= refuse_both(at, root, "workload", "workloads");
    return result;
}

static int read_root(struct preset_reading *r, cJSON *root, struct preset *p)
{
    struct json_at at = {r->file, "", r->e};
    char schema[64] = "";
    int result = 0, found = json_text(&at, root, "schema", schema, sizeof schema);
    if (found == JSON_ABSENT)
        error_add(r->warning, ERROR_USAGE, "%s: schema: missing: add \"schema\": \"benchtop/preset/1\"",
                  r->file);
    else if (found < 0 || strcmp(schema, "benchtop/preset/1") != 0)
        result = json_unexpected(&at, "schema", "\"benchtop/preset/1\"",
                                 cJSON_GetObjectItemCaseSensitive(root, "schema"));
    result |= read_shorthands(&at, root, p);
    result |= json_read_fields(&at, root, preset_fields, preset_n_fields, p);
    if (!preset_given(root, "max_rounds") && p->max_rounds < p->rounds)
        p->max_rounds = p->rounds;
    if (!preset_given(root, "warmup_max") && p->warmup_max < p->warmup_min)
        p->warmup_max = p->warmup_min;
    result |= read_models(&at, root, "models", p) | read_models(&at, root, "model", p);
    result |= read_workloads(&at, root, "workloads", p) | read_workloads(&at, root, "workload", p);
    result |= read_ints(&at, root, "batch", PRESET_BATCH_MAX, p->batch, &p->n_batch);
    result |= read_ints(&at, root, "seq", PRESET_SEQ_MAX, p->seq, &p->n_seq);
    result |= preset_read_arms(r, &at, root, p) | preset_read_design(r, &at, root, p) |
              read_text_unit(&at, root, p) | read_sampling(r, &at, root, p) | read_criteria(r, &at, root, p) |
              preset_read_fake(r, &at, root, p);
    result |= json_keys(&at, root, preset_keys, preset_n_keys(), &r->unknown, r->warning);
    return result ? -1 : 0;
}

int preset_from_json(const char *file, cJSON *root, struct preset *out, struct error *warning,
                     struct error *e)
{
    struct error found = {0}, noticed = {0};
    struct preset_reading r = {file, NULL, &noticed, &found};
    struct json_at at = {file, "", &found};
    struct preset *p = malloc(sizeof *p);
    int result = -1;
    if (!p)
        return error_set(e, ERROR_MEMORY, "%s: no memory to read it", file);
    preset_default(p);
    if (!cJSON_IsObject(root))
        json_unexpected(&at, "", "an object", root);
    else
        result = read_root(&r, root, p);
    if (result == 0 && r.unknown && !(p->unknown = json_print(r.unknown, 0)))
        result = error_add(&found, ERROR_MEMORY, "%s: no memory to read it", file);
    cJSON_Delete(r.unknown);
    if (result == 0) {
        *out = *p;
        if (noticed.kind != ERROR_NONE)
            error_add(warning, noticed.kind, "%s", noticed.text);
    } else {
        preset_free(p);
        error_set(e, found.kind, "%s", found.text);
    }
    free(p);
    return result;
}

int preset_parse(const char *json, size_t size, const char *name, struct preset *out, struct error *warning,
                 struct error *e)
{
    if (size > PRESET_FILE_BYTES)
        return error_set(e, ERROR_FAILED,
                         "%s: %zu bytes, more than the %d a preset may have: is this the right file?", name,
                         size, PRESET_FILE_BYTES);
    cJSON *root = json_parse(json, size, name, e);
    int result = root ? preset_from_json(name, root, out, warning, e) : -1;
    cJSON_Delete(root);
    return result;
}

int preset_load(const char *path, struct preset *out, struct error *warning, struct error *e)
{
    cJSON *root = json_load(path, PRESET_FILE_BYTES, e);
    int result = root ? preset_from_json(path, root, out, warning, e) : -1;
    cJSON_Delete(root);
    if (result == 0 && !out->name[0]) {
        const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path, *dot = strrchr(file, '.');
        int n = dot && dot > file ? (int)(dot - file) : (int)strlen(file);
        snprintf(out->name, sizeof out->name, "%.*s", n < PRESET_NAME ? n : PRESET_NAME - 1, file);
        error_clean_text(out->name);
    }
    return result;
}
