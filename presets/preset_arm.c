#include "presets/catalog.h"
#include "presets/implementation_json.h"
#include "presets/preset_json.h"
#include <stdio.h>
#include <string.h>

/* Splits "key:value,..." in place; calls for each pair. The key "of" is left to the caller. */
static int apply_pairs(char *pairs, struct preset_arm *arm, char *of, size_t of_size, struct error *e)
{
    const char *seen[32];
    int n_seen = 0;
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
        for (int i = 0; i < n_seen; i++)
            if (strcmp(seen[i], pair) == 0)
                return error_set(e, ERROR_USAGE, "arm \"%s\": %.80s is given twice: keep one of them",
                                 arm->name, pair);
        if (n_seen < (int)(sizeof seen / sizeof seen[0]))
            seen[n_seen++] = pair;
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
    if (catalog_implementation(bundle, &arm->implementation, &why) == 0) {
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
        return error_set(e, ERROR_USAGE,
                         "arm \"%.64s\": expected a name without '=', ',', ':', '/' and control characters",
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

static int add_why(const struct json_at *at, const struct error *why)
{
    char where[512];
    json_where(at, NULL, where, sizeof where);
    return error_add(at->e, why->kind, "%s%s%s", where, where[0] ? ": " : "", why->text);
}

static int read_arm_object(struct preset_reading *r, const struct json_at *at, cJSON *item,
                           struct preset_arm *arm, cJSON **unknown)
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
    const char *added =
        implementation_axes[IMPLEMENTATION_ACTIVATIONS].name; /* older sessions have no such key */
    bool older = !cJSON_HasObjectItem(item, added);
    if (result == 0 && given + older == implementation_n_axes) {
        arm->implementation = spelled; /* whole: a session re-runs where its bundle is not known */
        snprintf(arm->bundle, sizeof arm->bundle, "%s", of);
    } else if (result == 0) {
        if (start_arm(arm, of, given > 0, &why) != 0)
            result = add_why(at, &why);
        else
            result = implementation_read(at, item, &arm->implementation, NULL);
    }
    if (preset_keep_unknown(r, unknown, arm->name, leftovers) != 0)
        result = -1;
    return result;
}

int preset_read_arms(struct preset_reading *r, const struct json_at *at, cJSON *root, struct preset *p)
{
    cJSON *items[PRESET_ARMS], *unknown = NULL;
    int n = preset_items(at, root, "arms", PRESET_ARMS, items), result = n < 0 ? -1 : 0;
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
                add_why(&in, &why);
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
    if (result == 0 && preset_given(root, "arms"))
        p->n_arms = n;
    return preset_keep_unknown(r, &r->unknown, "arms", unknown) != 0 ? -1 : result;
}

int preset_write_arms(cJSON *root, const struct preset *p)
{
    cJSON *list = cJSON_AddArrayToObject(root, "arms");
    if (!list)
        return -1;
    for (int i = 0; i < p->n_arms; i++) {
        const struct preset_arm *arm = &p->arms[i];
        cJSON *object = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(list, object) || !cJSON_AddStringToObject(object, "name", arm->name) ||
            (arm->bundle[0] && !cJSON_AddStringToObject(object, "of", arm->bundle)) ||
            implementation_write(object, &arm->implementation) != 0)
            return -1;
    }
    return 0;
}
