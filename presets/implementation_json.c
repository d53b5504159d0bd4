#include "presets/implementation_json.h"
#include <stdio.h>
#include <string.h>

enum { BUNDLE_FILE_BYTES = 1 << 16, AXES_MAX = 16 };

/* A list of fusion names as the text that implementation_set reads. */
static int join_list(const struct json_at *at, const char *key, const cJSON *list, char *out, size_t size)
{
    const cJSON *item;
    size_t n = 0;
    out[0] = '\0';
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || n + strlen(item->valuestring) + 2 > size)
            return json_unexpected(at, key, "a list of names", item);
        n += (size_t)snprintf(out + n, size - n, "%s%s", n ? "+" : "", item->valuestring);
    }
    if (n == 0)
        snprintf(out, size, "none");
    return 0;
}

int implementation_read(const struct json_at *at, const cJSON *object, struct implementation *i, int *given)
{
    int result = 0, count = 0;
    for (int a = 0; a < implementation_n_axes; a++) {
        const char *key = implementation_axes[a].name;
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
        char value[256];
        if (!item || cJSON_IsNull(item))
            continue;
        count++;
        struct error why = {0};
        if (a == IMPLEMENTATION_SPARSITY && cJSON_IsNumber(item)) {
            if (json_double(at, object, key, 0, 0.9, &i->sparsity) < 0)
                result = -1;
            continue;
        }
        if (implementation_axes[a].is_mask && cJSON_IsArray(item)) {
            if (join_list(at, key, item, value, sizeof value) != 0) {
                result = -1;
                continue;
            }
        } else if (!cJSON_IsString(item)) {
            result = json_unexpected(
                at, key, a == IMPLEMENTATION_SPARSITY ? "a number from 0 to 0.9" : "a name", item);
            continue;
        } else {
            snprintf(value, sizeof value, "%s", item->valuestring);
        }
        if (implementation_set(i, key, value, &why) != 0) {
            char where[512];
            json_where(at, NULL, where, sizeof where);
            result = error_add(at->e, why.kind, "%s%s%s", where, where[0] ? ": " : "", why.text);
        }
    }
    if (given)
        *given = count;
    return result;
}

int implementation_write(cJSON *object, const struct implementation *i)
{
    for (int a = 0; a < implementation_n_axes; a++) {
        char value[160];
        const char *key = implementation_axes[a].name;
        implementation_get(i, a, value, sizeof value);
        if (a == IMPLEMENTATION_SPARSITY ? !cJSON_AddNumberToObject(object, key, i->sparsity)
                                         : !cJSON_AddStringToObject(object, key, value))
            return -1;
    }
    return 0;
}

int implementation_load(const char *path, struct implementation *out, char *help, size_t size,
                        struct error *warning, struct error *e)
{
    const char *known[AXES_MAX] = {"schema", "name", "title", "help"};
    struct error found = {0};
    struct json_at at = {path, "", &found};
    struct implementation i;
    char schema[64] = "", text[512] = "";
    for (int a = 0; a < implementation_n_axes; a++)
        known[4 + a] = implementation_axes[a].name;
    implementation_default(&i);
    cJSON *root = json_load(path, BUNDLE_FILE_BYTES, &found);
    if (root && !cJSON_IsObject(root)) {
        json_unexpected(&at, "", "an object", root);
    } else if (root) {
        json_keys(&at, root, known, 4 + implementation_n_axes, NULL, warning);
        if (json_text(&at, root, "schema", schema, sizeof schema) != JSON_FOUND ||
            strcmp(schema, "benchtop/implementation/1") != 0)
            json_unexpected(&at, "schema", "\"benchtop/implementation/1\"",
                            cJSON_GetObjectItemCaseSensitive(root, "schema"));
        json_text(&at, root, "help", text, sizeof text);
        implementation_read(&at, root, &i, NULL);
    }
    cJSON_Delete(root);
    if (found.kind != ERROR_NONE)
        return error_set(e, found.kind, "%s", found.text);
    *out = i;
    if (help && size > 0) {
        snprintf(help, size, "%s", text);
        error_clean_text(help); /* a cut may have halved a character */
    }
    return 0;
}
