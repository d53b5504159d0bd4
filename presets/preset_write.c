#include "presets/preset_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int write_ints(cJSON *root, const char *key, const int *values, int n)
{
    cJSON *list = cJSON_AddArrayToObject(root, key);
    int result = list ? 0 : -1;
    for (int i = 0; result == 0 && i < n; i++)
        result = cJSON_AddItemToArray(list, cJSON_CreateNumber(values[i])) ? 0 : -1;
    return result;
}

static int write_lists(cJSON *root, const struct preset *p)
{
    cJSON *models = cJSON_AddArrayToObject(root, "models"),
          *workloads = cJSON_AddArrayToObject(root, "workloads");
    if (!models || !workloads)
        return -1;
    for (int i = 0; i < p->n_models; i++)
        if (!cJSON_AddItemToArray(models, cJSON_CreateString(p->models[i])))
            return -1;
    for (int i = 0; i < p->n_workloads; i++)
        if (!cJSON_AddItemToArray(workloads, cJSON_CreateString(workload_names[p->workloads[i]])))
            return -1;
    return write_ints(root, "batch", p->batch, p->n_batch) != 0 ? -1
                                                                : write_ints(root, "seq", p->seq, p->n_seq);
}

/* The member of an object, or the arm of that name in a list of arms. */
static cJSON *counterpart(cJSON *in, const char *key)
{
    if (cJSON_IsObject(in))
        return cJSON_GetObjectItemCaseSensitive(in, key);
    cJSON *item;
    cJSON_ArrayForEach(item, in)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "name"));
        if (name && strcmp(name, key) == 0)
            return item;
    }
    return NULL;
}

/* Moves unknown keys to the places they came from. Those of an arm that is gone go with it. */
static void merge_unknown(cJSON *into, cJSON *unknown)
{
    for (cJSON *item = unknown->child, *next; item; item = next) {
        next = item->next;
        cJSON *there = counterpart(into, item->string);
        if (there && cJSON_IsObject(item) && (cJSON_IsObject(there) || cJSON_IsArray(there))) {
            merge_unknown(there, item);
        } else if (!there && cJSON_IsObject(into)) {
            cJSON_DetachItemViaPointer(unknown, item);
            cJSON_AddItemToArray(into, item); /* the item brings its key along */
        }
    }
}

cJSON *preset_to_json(const struct preset *p)
{
    const int head = PRESET_HEAD_FIELDS;
    cJSON *root = cJSON_CreateObject(), *criteria = NULL, *sampling = NULL;
    bool done =
        cJSON_AddStringToObject(root, "schema", "benchtop/preset/1") &&
        json_write_fields(root, preset_fields, head, p) == 0 && write_lists(root, p) == 0 &&
        preset_write_arms(root, p) == 0 && preset_write_design(root, p) == 0 &&
        json_write_fields(root, preset_fields + head, preset_n_fields - head, p) == 0 &&
        cJSON_AddStringToObject(root, "texts", text_unit_names[p->texts]) &&
        (sampling = cJSON_AddObjectToObject(root, "sampling")) &&
        json_write_fields(sampling, preset_sampling_fields, preset_n_sampling_fields, &p->sampling) == 0 &&
        (criteria = cJSON_AddObjectToObject(root, "criteria")) &&
        json_write_fields(criteria, preset_criteria_fields, preset_n_criteria_fields, &p->criteria) == 0 &&
        preset_write_fake(root, &p->fake) == 0;
    if (done && p->unknown) {
        cJSON *unknown = cJSON_Parse(p->unknown);
        done = unknown != NULL;
        if (done)
            merge_unknown(root, unknown);
        cJSON_Delete(unknown);
    }
    if (!done) {
        cJSON_Delete(root);
        return NULL;
    }
    return root;
}

char *preset_print(const struct preset *p, struct error *e)
{
    cJSON *root = preset_to_json(p);
    char *text = root ? json_print(root, 2) : NULL;
    cJSON_Delete(root);
    if (!text)
        error_set(e, ERROR_MEMORY, "no memory to write the preset");
    return text;
}

int preset_save(const struct preset *p, const char *path, struct error *e)
{
    char *text = preset_print(p, e);
    int result = text ? json_write_file(path, text, strlen(text), e) : -1;
    free(text);
    return result;
}
