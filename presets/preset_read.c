#include "presets/catalog.h"
#include "presets/implementation_file.h"
#include "presets/preset_json.h"
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

/* What one reading shares. `unknown` mirrors the file: {"key":..., "criteria":{...}, "arms":{"NAME":{...}}}.
 */
struct reading {
    const char *file;
    cJSON *unknown;
    struct error *warning, *e;
};

/* Puts the leftovers of an inner object under `key` of *parent. */
static int keep_unknown(struct reading *r, cJSON **parent, const char *key, cJSON *leftovers)
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

static int field_keys(const struct json_field *fields, int n, const char **out)
{
    for (int i = 0; i < n; i++)
        out[i] = fields[i].key;
    return n;
}

/* --- lists
 * ---------------------------------------------------------------------------------------------------- */

static bool given(const cJSON *root, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    return item && !cJSON_IsNull(item);
}

/* The items under `key`: those of a list, or the lone value itself (an object is a list of one). */
static int items_of(const struct json_at *at, cJSON *root, const char *key, int most, cJSON **items)
{
    cJSON *value = cJSON_GetObjectItemCaseSensitive(root, key), *item;
    int n = 0;
    if (!given(root, key))
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
    int n = items_of(at, root, key, PRESET_SWEEP, items), result = n < 0 ? -1 : 0;
    if (!given(root, key))
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
    int n = items_of(at, root, key, PRESET_MODELS, items), result = n < 0 ? -1 : 0;
    if (!given(root, key))
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
    int n = items_of(at, root, key, COUNT(items), items), result = n < 0 ? -1 : 0;
    if (!given(root, key))
        return 0;
    bool seen[WORKLOADS] = {false};
    for (int i = 0; i < n; i++) {
        int w = 0;
        while (w < WORKLOADS &&
               !(cJSON_IsString(items[i]) && strcmp(items[i]->valuestring, workload_names[w]) == 0))
            w++;
        if (w == WORKLOADS || seen[w])
            result = json_unexpected(at, key, "prefill, decode or generate, each once", items[i]);
        else if (result == 0)
            p->workloads[i] = (enum workload)w;
        if (w < WORKLOADS)
            seen[w] = true;
    }
    if (result == 0)
        p->n_workloads = n;
    return result;
}

/* --- arms
 * ----------------------------------------------------------------------------------------------------- */

int preset_bundle(const char *name, struct implementation *out, struct error *e)
{
    return catalog_implementation(name, out, e);
}

/* Splits "key:value,..." in place; calls for each pair. The key "of" is left to the caller. */
static int apply_pairs(char *pairs, struct preset_arm *arm, char *of, size_t of_size, struct error *e)
{
    for (char *pair = pairs, *next; pair; pair = next) {
        next = strchr(pair, ',');
        if (next)
            *next++ = '\0';
        char *colon = strchr(pair, ':');
        if (!colon)
            return error_set(e, ERROR_USAGE,
                             "arm \"%s\": \"%.80s\" is no key:value: write for example precision:bf16",
                             arm->name, pair);
        *colon = '\0';
        if (strcmp(pair, "of") == 0) {
            if (!colon[1] || strlen(colon + 1) >= PRESET_NAME)
                return error_set(e, ERROR_USAGE, "arm \"%s\": of: expected the name of an implementation",
                                 arm->name);
            if (of)
                snprintf(of, of_size, "%s", colon + 1);
        } else if (!of) {
            struct error why = {0};
            if (implementation_set(&arm->implementation, pair, colon + 1, &why) != 0)
                return error_set(e, why.kind, "arm \"%s\": %s", arm->name, why.text);
        }
    }
    return 0;
}

/* Starts the arm from bundle `of`, else from the bundle of its own name, else (only if axes are given) from
 * the default point. */
static int start_arm(struct preset_arm *arm, const char *of, bool axes_given, struct error *e)
{
    struct error why = {0};
    const char *bundle = of[0] ? of : arm->name;
    if (preset_bundle(bundle, &arm->implementation, &why) == 0) {
        snprintf(arm->bundle, sizeof arm->bundle, "%s", bundle);
        return 0;
    }
    /* Only "no such bundle" lets a name stand for itself; a bundle that cannot be read is an error. */
    if (of[0] || !axes_given || why.kind != ERROR_USAGE)
        return error_set(e, why.kind, "arm \"%s\": %s", arm->name, why.text);
    implementation_default(&arm->implementation);
    arm->bundle[0] = '\0';
    return 0;
}

static int check_arm_name(const char *name, struct error *e)
{
    if (!name[0] || strpbrk(name, "=,:/") || !error_text_is_plain(name))
        return error_set(e, ERROR_USAGE, "arm \"%.64s\": expected a name without '=', ',', ':' and '/'",
                         name);
    return 0;
}

int preset_arm_parse(const char *text, struct preset_arm *out, struct error *e)
{
    struct preset_arm arm = {0};
    char of[PRESET_NAME] = "", first[512], second[512];
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : strlen(text);
    if (n >= sizeof arm.name || (equals && strlen(equals + 1) >= sizeof first))
        return error_set(e, ERROR_USAGE, "arm \"%.64s...\": too long: shorten the name", text);
    memcpy(arm.name, text, n);
    if (check_arm_name(arm.name, e) != 0)
        return -1;
    snprintf(first, sizeof first, "%s", equals ? equals + 1 : "");
    snprintf(second, sizeof second, "%s", first);
    bool axes = equals && first[0];
    if (axes && apply_pairs(first, &arm, of, sizeof of, e) != 0)
        return -1;
    if (start_arm(&arm, of, axes, e) != 0 || (axes && apply_pairs(second, &arm, NULL, 0, e) != 0))
        return -1;
    *out = arm;
    return 0;
}

static int read_arm_object(struct reading *r, const struct json_at *at, cJSON *item, struct preset_arm *arm,
                           cJSON **unknown)
{
    const char *known[16] = {"name", "of"};
    char of[PRESET_NAME] = "";
    struct error why = {0};
    cJSON *leftovers = NULL;
    int given = 0, result = 0;
    for (int a = 0; a < implementation_n_axes; a++)
        known[2 + a] = implementation_axes[a].name;
    if (json_keys(at, item, known, 2 + implementation_n_axes, &leftovers, r->warning) != 0)
        result = -1;
    int named = json_text(at, item, "name", arm->name, sizeof arm->name);
    if (json_text(at, item, "of", of, sizeof of) < 0 || named < 0)
        result = -1;
    if (named == JSON_ABSENT)
        snprintf(arm->name, sizeof arm->name, "%s", of);
    struct implementation spelled;
    implementation_default(&spelled);
    if (result == 0 && check_arm_name(arm->name, &why) != 0)
        result = json_unexpected(at, "name", "a name without '=', ',', ':' and '/'",
                                 cJSON_GetObjectItemCaseSensitive(item, "name"));
    if (implementation_read(at, item, &spelled, &given) != 0)
        result = -1;
    if (result == 0 && given == implementation_n_axes) {
        arm->implementation = spelled; /* whole: a session re-runs where its bundle is not known */
        snprintf(arm->bundle, sizeof arm->bundle, "%s", of);
    } else if (result == 0) {
        if (start_arm(arm, of, given > 0, &why) != 0)
            result = error_add(r->e, why.kind, "%s: %s: %s", at->file, at->path, why.text);
        else
            result = implementation_read(at, item, &arm->implementation, NULL);
    }
    if (keep_unknown(r, unknown, arm->name, leftovers) != 0)
        result = -1;
    return result;
}

static int read_arms(struct reading *r, const struct json_at *at, cJSON *root, struct preset *p)
{
    cJSON *items[PRESET_ARMS], *unknown = NULL;
    int n = items_of(at, root, "arms", PRESET_ARMS, items), result = n < 0 ? -1 : 0;
    for (int i = 0; i < n; i++) {
        struct preset_arm arm = {0};
        struct error why = {0};
        char path[32];
        snprintf(path, sizeof path, "arms.%d", i);
        struct json_at in = {at->file, path, at->e};
        int read;
        if (cJSON_IsObject(items[i])) {
            read = read_arm_object(r, &in, items[i], &arm, &unknown);
        } else if (cJSON_IsString(items[i])) {
            read = preset_arm_parse(items[i]->valuestring, &arm, &why);
            if (read != 0)
                error_add(at->e, why.kind, "%s: %s: %s", at->file, path, why.text);
        } else {
            read = json_unexpected(at, path, "the name of an implementation, or an object", items[i]);
        }
        if (read != 0) {
            result = -1;
            continue;
        }
        p->arms[i] = arm;
        /* Arms are found by name: in --set, in the fake object, in what is kept of unknown keys. */
        for (int j = 0; j < i; j++)
            if (strcmp(p->arms[j].name, arm.name) == 0)
                result = error_add(at->e, ERROR_USAGE,
                                   "%s: %s: another arm is named \"%s\" too: give each its own name",
                                   at->file, path, arm.name);
    }
    if (result == 0 && given(root, "arms"))
        p->n_arms = n;
    return keep_unknown(r, &r->unknown, "arms", unknown) != 0 ? -1 : result;
}

/* --- criteria and fake laws
 * ----------------------------------------------------------------------------------- */

static int read_criteria(struct reading *r, const struct json_at *at, cJSON *root, struct preset *p)
{
    const cJSON *object;
    const char *known[16];
    cJSON *leftovers = NULL;
    struct json_at in = {at->file, "criteria", at->e};
    int found = json_object(at, root, "criteria", &object);
    if (found != JSON_FOUND)
        return found < 0 ? -1 : 0;
    int n = field_keys(preset_criteria_fields, preset_n_criteria_fields, known);
    int result =
        json_keys(&in, cJSON_GetObjectItemCaseSensitive(root, "criteria"), known, n, &leftovers, r->warning);
    if (json_read_fields(&in, object, preset_criteria_fields, n, &p->criteria) != 0)
        result = -1;
    return keep_unknown(r, &r->unknown, "criteria", leftovers) != 0 ? -1 : result;
}

static int read_modes(const struct json_at *at, const cJSON *object, struct fake_law *law,
                      struct error *warning)
{
    static const char *const known[] = {"share", "mean_ms"};
    const cJSON *list;
    cJSON *item;
    int found = json_array(at, object, "modes", &list), n = 0, result = 0;
    if (found != JSON_FOUND)
        return found < 0 ? -1 : 0;
    cJSON_ArrayForEach(item, list)
    {
        double share = 0, mean = 0;
        if (n == FAKE_MODES)
            return json_unexpected(at, "modes", "at most 4 modes", list);
        if (!cJSON_IsObject(item))
            return json_unexpected(at, "modes", "objects with share and mean_ms", item);
        if (json_keys(at, item, known, 2, NULL, warning) != 0)
            result = -1;
        if (json_double(at, item, "share", 0, 1, &share) != JSON_FOUND ||
            json_double(at, item, "mean_ms", 1e-6, 1e9, &mean) != JSON_FOUND)
            result = json_unexpected(at, "modes", "share from 0 to 1 and mean_ms above 0 in each", list);
        law->mode[n].share = share;
        law->mode[n++].mean_ms = mean;
    }
    law->n_modes = n;
    return result;
}

static int find_name(const char *const *names, int n, const cJSON *item)
{
    for (int i = 0; i < n; i++)
        if (cJSON_IsString(item) && strcmp(item->valuestring, names[i]) == 0)
            return i;
    return -1;
}

static int read_law(struct reading *r, const struct json_at *at, cJSON *object, struct fake_law *law,
                    cJSON **unknown)
{
    const char *known[16] = {"law", "modes", "warmup"};
    cJSON *leftovers = NULL;
    const cJSON *warmup = NULL, *kind = cJSON_GetObjectItemCaseSensitive(object, "law");
    int n = 3 + field_keys(preset_law_fields, preset_n_law_fields, known + 3);
    int result = json_keys(at, object, known, n, &leftovers, r->warning);
    int found = kind ? find_name(preset_law_names, 4, kind) : 0;
    if (found < 0)
        result = json_unexpected(at, "law", "normal, lognormal, bimodal or ar1", kind);
    else
        law->kind = (enum fake_law_kind)found;
    law->mean_ms = 10;
    law->within_sd = 0.02;
    law->between_sd = 0.01;
    law->rho = law->kind == FAKE_AR1 ? 0.5 : 0;
    law->sigma = law->kind == FAKE_LOGNORMAL ? 0.5 : 0;
    if (json_read_fields(at, object, preset_law_fields, preset_n_law_fields, law) != 0 ||
        read_modes(at, object, law, r->warning) != 0)
        result = -1;
    int has_warmup = json_object(at, object, "warmup", &warmup);
    if (has_warmup < 0 ||
        json_read_fields(at, warmup, preset_law_warmup_fields, preset_n_law_warmup_fields, law) != 0)
        result = -1;
    if (has_warmup == JSON_FOUND) {
        cJSON *strange = NULL;
        n = field_keys(preset_law_warmup_fields, preset_n_law_warmup_fields, known);
        if (json_keys(at, cJSON_GetObjectItemCaseSensitive(object, "warmup"), known, n, &strange,
                      r->warning) != 0 ||
            keep_unknown(r, &leftovers, "warmup", strange) != 0)
            result = -1;
    }
    return keep_unknown(r, unknown, law->arm, leftovers) != 0 ? -1 : result;
}

static int read_laws(struct reading *r, const struct json_at *at, cJSON *arms, struct fake_spec *fake,
                     cJSON **unknown)
{
    cJSON *kept = NULL;
    int result = 0;
    for (cJSON *item = arms->child; item; item = item->next) {
        char path[160];
        const char *arm = item->string ? item->string : "";
        snprintf(path, sizeof path, "fake.arms.%.100s", arm);
        struct json_at in = {at->file, path, at->e};
        if (fake->n_laws == PRESET_ARMS)
            result = json_unexpected(at, "arms", "at most 8 arms", arms);
        else if (!cJSON_IsObject(item))
            result = json_unexpected(&in, "", "an object with a law", item);
        else if (strlen(arm) >= PRESET_NAME || !error_text_is_plain(arm))
            result = json_unexpected(&in, "", "the name of an arm as key", item);
        else {
            struct fake_law *law = &fake->law[fake->n_laws++];
            snprintf(law->arm, sizeof law->arm, "%s", arm);
            for (int i = 0; i + 1 < fake->n_laws; i++)
                if (strcmp(fake->law[i].arm, arm) == 0)
                    result = error_add(at->e, ERROR_USAGE, "%s: %s: given twice: remove one", at->file, path);
            if (read_law(r, &in, item, law, &kept) != 0)
                result = -1;
        }
        if (result != 0 && fake->n_laws == PRESET_ARMS)
            break;
    }
    return keep_unknown(r, unknown, "arms", kept) != 0 ? -1 : result;
}

static int read_faults(const struct json_at *at, const cJSON *faults, struct fake_spec *fake)
{
    int result = 0;
    for (const cJSON *item = faults->child; item; item = item->next) {
        const char *key = item->string ? item->string : "";
        size_t digits = strspn(key, "0123456789");
        int fault = find_name(preset_fault_names, 4, item);
        if (fake->n_faults == FAKE_FAULTS)
            return json_unexpected(at, "faults", "at most 16 faults", faults);
        if (digits == 0 || digits > 6 || key[digits] != '\0')
            result = json_unexpected(at, "faults", "the number of a cell as key", item);
        else if (fault < 0)
            result = json_unexpected(at, "faults", "ok, out_of_memory, failed or hang", item);
        else {
            for (int i = 0; i < fake->n_faults; i++)
                if (fake->fault[i].cell == atoi(key))
                    result = json_unexpected(at, "faults", "each cell once", item);
            fake->fault[fake->n_faults].cell = atoi(key);
            fake->fault[fake->n_faults++].fault = (enum fake_fault)fault;
        }
    }
    return result;
}

static int read_fake(struct reading *r, const struct json_at *at, cJSON *root, struct preset *p)
{
    static const char *const known[] = {"arms", "faults"};
    const cJSON *object, *arms = NULL, *faults = NULL;
    cJSON *leftovers = NULL;
    struct json_at in = {at->file, "fake", at->e};
    int found = json_object(at, root, "fake", &object);
    if (found != JSON_FOUND)
        return found < 0 ? -1 : 0;
    cJSON *fake = cJSON_GetObjectItemCaseSensitive(root, "fake");
    int result = json_keys(&in, fake, known, 2, &leftovers, r->warning);
    if (json_object(&in, fake, "arms", &arms) < 0 || json_object(&in, fake, "faults", &faults) < 0)
        result = -1;
    if (arms && read_laws(r, &in, cJSON_GetObjectItemCaseSensitive(fake, "arms"), &p->fake, &leftovers) != 0)
        result = -1;
    if (faults && read_faults(&in, faults, &p->fake) != 0)
        result = -1;
    return keep_unknown(r, &r->unknown, "fake", leftovers) != 0 ? -1 : result;
}

/* --- the whole
 * ------------------------------------------------------------------------------------------------ */

/* "runs" is "rounds" and so on; both at once would leave open which counts. */
static int refuse_both(const struct json_at *at, const cJSON *root, const char *key, const char *other)
{
    if (given(root, key) && given(root, other))
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

static int read_root(struct reading *r, cJSON *root, struct preset *p)
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
    if (!given(root, "max_rounds") && p->max_rounds < p->rounds)
        p->max_rounds = p->rounds;
    if (!given(root, "warmup_max") && p->warmup_max < p->warmup_min)
        p->warmup_max = p->warmup_min;
    result |= read_models(&at, root, "models", p) | read_models(&at, root, "model", p);
    result |= read_workloads(&at, root, "workloads", p) | read_workloads(&at, root, "workload", p);
    result |= read_ints(&at, root, "batch", PRESET_BATCH_MAX, p->batch, &p->n_batch);
    result |= read_ints(&at, root, "seq", PRESET_SEQ_MAX, p->seq, &p->n_seq);
    result |= read_arms(r, &at, root, p) | read_criteria(r, &at, root, p) | read_fake(r, &at, root, p);
    result |= json_keys(&at, root, preset_keys, preset_n_keys(), &r->unknown, r->warning);
    return result ? -1 : 0;
}

int preset_from_json(const char *file, cJSON *root, struct preset *out, struct error *warning,
                     struct error *e)
{
    struct error found = {0}, noticed = {0};
    struct reading r = {file, NULL, &noticed, &found};
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
