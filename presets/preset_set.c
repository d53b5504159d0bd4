#include "presets/catalog.h"
#include "presets/implementation.h"
#include "presets/preset_json.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_PARTS = 8, PATH_BYTES = 256 };
static const char *const same_as[][2] = {{"runs", "rounds"}, {"model", "models"}, {"workload", "workloads"}};

static bool is_list(const char *key)
{
    static const char *const lists[] = {"models", "workloads", "batch", "seq", "arms"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (strcmp(key, lists[i]) == 0)
            return true;
    return false;
}

static bool is_text(const char *key)
{
    if (strcmp(key, "texts") == 0)
        return true;
    for (int i = 0; i < preset_n_fields; i++)
        if (strcmp(preset_fields[i].key, key) == 0)
            return preset_fields[i].type == JSON_TEXT || preset_fields[i].type == JSON_UINT64;
    return false;
}

/* A JSON value, or else the word itself. Texts and seeds stay words ("--set title=2026"). */
static cJSON *value_of_word(const char *word, bool text)
{
    cJSON *value = NULL;
    if (!text || word[0] == '"' || strcmp(word, "null") == 0)
        value = json_parse(word, strlen(word), "--set", NULL);
    return value ? value : cJSON_CreateString(word);
}

/* "1,8" for a list is [1, 8]. */
static cJSON *list_of_words(const char *words)
{
    char *copy = strdup(words);
    cJSON *list = copy ? cJSON_CreateArray() : NULL;
    for (char *word = copy, *next; list && word; word = next) {
        next = strchr(word, ',');
        if (next)
            *next++ = '\0';
        if (!cJSON_AddItemToArray(list, value_of_word(word, false))) {
            cJSON_Delete(list);
            list = NULL;
        }
    }
    free(copy);
    return list;
}

static cJSON *value_for(const char *key, bool top, const char *text)
{
    cJSON *value = value_of_word(text, top && is_text(key));
    if (value && cJSON_IsString(value) && top && is_list(key) && strchr(text, ',') && !strchr(text, '=')) {
        cJSON_Delete(value);
        value = list_of_words(text);
    }
    return value;
}

/* Puts value (owned from here on) at key of parent, which is an object or a list; a list also takes names of
 * arms. */
static int put(cJSON *parent, const char *key, cJSON *value)
{
    if (cJSON_IsObject(parent)) {
        cJSON_DeleteItemFromObjectCaseSensitive(parent, key);
        if (cJSON_AddItemToObject(parent, key, value))
            return 0;
    } else if (cJSON_IsArray(parent) && key[0] && key[strspn(key, "0123456789")] == '\0') {
        long index = strtol(key, NULL, 10), n = cJSON_GetArraySize(parent);
        if (index < n && cJSON_ReplaceItemInArray(parent, (int)index, value))
            return 0;
        if (index == n && cJSON_AddItemToArray(parent, value))
            return 0;
    }
    cJSON_Delete(value);
    return -1;
}

static cJSON *child_of(cJSON *parent, const char *key)
{
    if (cJSON_IsObject(parent))
        return cJSON_GetObjectItemCaseSensitive(parent, key);
    if (!cJSON_IsArray(parent))
        return NULL;
    if (key[0] && strlen(key) < 6 && key[strspn(key, "0123456789")] == '\0')
        return cJSON_GetArrayItem(parent, (int)strtol(key, NULL, 10));
    cJSON *item;
    cJSON_ArrayForEach(item, parent)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
        if (name && strcmp(name, key) == 0)
            return item;
    }
    return NULL;
}

/* The keys that may stand where parts[depth] stands. */
static int names_at(char **parts, int depth, const char **names)
{
    int n = 0;
    if (depth == 0) {
        for (int i = 0; i < preset_n_keys(); i++)
            names[n++] = preset_keys[i];
    } else if (strcmp(parts[0], "criteria") == 0 && depth == 1) {
        for (int i = 0; i < preset_n_criteria_fields; i++)
            names[n++] = preset_criteria_fields[i].key;
    } else if (strcmp(parts[0], "sampling") == 0 && depth == 1) {
        for (int i = 0; i < preset_n_sampling_fields; i++)
            names[n++] = preset_sampling_fields[i].key;
    } else if (strcmp(parts[0], "arms") == 0 && depth == 2) {
        names[n++] = "name";
        names[n++] = "of";
        for (int i = 0; i < implementation_n_axes; i++)
            names[n++] = implementation_axes[i].name;
    } else if (strcmp(parts[0], "fake") == 0 && depth == 1) {
        names[n++] = "arms";
        names[n++] = "faults";
    } else if (strcmp(parts[0], "fake") == 0 && depth == 3 && strcmp(parts[1], "arms") == 0) {
        static const char *const more[] = {"law", "modes", "warmup"};
        for (int i = 0; i < 3; i++)
            names[n++] = more[i];
        for (int i = 0; i < preset_n_law_fields; i++)
            names[n++] = preset_law_fields[i].key;
    } else if (strcmp(parts[0], "fake") == 0 && depth == 4 && strcmp(parts[3], "warmup") == 0) {
        for (int i = 0; i < preset_n_law_warmup_fields; i++)
            names[n++] = preset_law_warmup_fields[i].key;
    }
    return n;
}

static int unknown_path(const char *path, char **parts, int depth, struct error *e)
{
    const char *names[64];
    char near[200];
    int n = names_at(parts, depth, names);
    catalog_nearest(parts[depth], names, n, near, sizeof near);
    return error_set(e, ERROR_USAGE, "%.100s: a preset has no field \"%.64s\": %s%s", path, parts[depth],
                     near[0] ? "did you mean " : "see a preset file for the names", near[0] ? near : "");
}

/* Splits at dots; an arm's name may hold dots itself, but then its number does. */
static int split(char *copy, char **parts)
{
    int n = 0;
    for (char *part = copy, *next; part; part = next) {
        next = strchr(part, '.');
        if (next)
            *next++ = '\0';
        if (n == PATH_PARTS || !part[0])
            return -1;
        parts[n++] = part;
    }
    return n;
}

static int put_at(cJSON *root, const char *path, char **parts, int n, const char *value, struct error *e)
{
    cJSON *parent = root;
    for (int depth = 0; depth < n; depth++) {
        const char *names[64];
        int n_names = names_at(parts, depth, names);
        bool known = n_names == 0;
        for (int i = 0; i < n_names; i++)
            known = known || strcmp(names[i], parts[depth]) == 0;
        cJSON *child = child_of(parent, parts[depth]);
        if (!known && !child)
            return unknown_path(path, parts, depth, e);
        if (depth == n - 1)
            break;
        if (!child && cJSON_IsObject(parent))
            child = cJSON_AddObjectToObject(parent, parts[depth]);
        if (!child || !(cJSON_IsObject(child) || cJSON_IsArray(child)))
            return error_set(e, ERROR_USAGE, "%.100s: \"%.64s\" has nothing inside: check the path", path,
                             parts[depth]);
        parent = child;
    }
    const char *key = parts[n - 1];
    bool arm = n == 3 && strcmp(parts[0], "arms") == 0;
    if (arm && strcmp(key, "of") == 0) /* a new bundle, not the old one's axes under a new name */
        for (int a = 0; a < implementation_n_axes; a++)
            cJSON_DeleteItemFromObjectCaseSensitive(parent, implementation_axes[a].name);
    cJSON *item = arm ? cJSON_CreateString(value) : value_for(key, n == 1, value);
    if (!item)
        return error_set(e, ERROR_MEMORY, "no memory to set %.100s", path);
    if (n == 1 && strcmp(key, "warmup") == 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(root, "warmup_min");
        cJSON_DeleteItemFromObjectCaseSensitive(root, "warmup_max");
    }
    if (put(parent, key, item) != 0)
        return error_set(e, ERROR_USAGE, "%.100s: there is no entry \"%.64s\": count from 0", path, key);
    return 0;
}

int preset_set(struct preset *p, const char *path, const char *value, struct error *e)
{
    char copy[PATH_BYTES], *parts[PATH_PARTS];
    struct preset *changed = malloc(sizeof *changed);
    cJSON *root = changed ? preset_to_json(p) : NULL;
    int result = -1, n = -1;
    if (!root) {
        error_set(e, ERROR_MEMORY, "no memory to set %.100s", path);
        goto done;
    }
    if (strlen(path) < sizeof copy) {
        snprintf(copy, sizeof copy, "%s", path);
        n = split(copy, parts);
    }
    if (n < 1) {
        error_set(e, ERROR_USAGE, "\"%.100s\" is no path: write for example criteria.min_speedup=1.2", path);
        goto done;
    }
    for (size_t i = 0; i < sizeof same_as / sizeof *same_as; i++)
        if (strcmp(parts[0], same_as[i][0]) == 0)
            parts[0] = (char *)(uintptr_t)same_as[i][1];
    /* More rounds than the cap mean a higher cap, unless the cap itself is what is set. */
    if (strcmp(parts[0], "rounds") == 0 && strtol(value, NULL, 10) > p->max_rounds)
        cJSON_DeleteItemFromObjectCaseSensitive(root, "max_rounds");
    if (put_at(root, path, parts, n, value, e) != 0 || preset_from_json("", root, changed, NULL, e) != 0)
        goto done;
    preset_free(p);
    *p = *changed;
    result = 0;
done:
    cJSON_Delete(root);
    free(changed);
    return result;
}
