#include "presets/preset_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int read_law(struct preset_reading *r, const struct json_at *at, cJSON *object, struct fake_law *law,
                    cJSON **unknown)
{
    const char *known[16] = {"law", "modes", "warmup"};
    cJSON *leftovers = NULL;
    const cJSON *warmup = NULL, *kind = cJSON_GetObjectItemCaseSensitive(object, "law");
    int n = 3 + preset_field_keys(preset_law_fields, preset_n_law_fields, known + 3);
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
        n = preset_field_keys(preset_law_warmup_fields, preset_n_law_warmup_fields, known);
        if (json_keys(at, cJSON_GetObjectItemCaseSensitive(object, "warmup"), known, n, &strange,
                      r->warning) != 0 ||
            preset_keep_unknown(r, &leftovers, "warmup", strange) != 0)
            result = -1;
    }
    return preset_keep_unknown(r, unknown, law->arm, leftovers) != 0 ? -1 : result;
}

static int read_laws(struct preset_reading *r, const struct json_at *at, cJSON *arms, struct fake_spec *fake,
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
    return preset_keep_unknown(r, unknown, "arms", kept) != 0 ? -1 : result;
}

static int read_faults(const struct json_at *at, const cJSON *faults, struct fake_spec *fake)
{
    int result = 0;
    for (const cJSON *item = faults->child; item; item = item->next) {
        const char *key = item->string ? item->string : "";
        size_t digits = strspn(key, "0123456789");
        bool numbered = digits > 0 && digits <= 6 && key[digits] == '\0';
        int fault = find_name(preset_fault_names, 4, item), cell = numbered ? (int)strtol(key, NULL, 10) : -1;
        if (fake->n_faults == FAKE_FAULTS)
            return json_unexpected(at, "faults", "at most 16 faults", faults);
        for (int i = 0; i < fake->n_faults; i++)
            if (fake->fault[i].cell == cell)
                result = json_unexpected(at, "faults", "each cell once", item);
        if (!numbered) {
            result = json_unexpected(at, "faults", "the number of a cell as key", item);
        } else if (fault < 0) {
            result = json_unexpected(at, "faults", "ok, out_of_memory, failed or hang", item);
        } else {
            fake->fault[fake->n_faults].cell = cell;
            fake->fault[fake->n_faults++].fault = (enum fake_fault)fault;
        }
    }
    return result;
}

int preset_read_fake(struct preset_reading *r, const struct json_at *at, cJSON *root, struct preset *p)
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
    return preset_keep_unknown(r, &r->unknown, "fake", leftovers) != 0 ? -1 : result;
}

static int write_law(cJSON *arms, const struct fake_law *law)
{
    cJSON *object = cJSON_AddObjectToObject(arms, law->arm);
    if (!object || !cJSON_AddStringToObject(object, "law", preset_law_names[law->kind]) ||
        json_write_fields(object, preset_law_fields, preset_n_law_fields, law) != 0)
        return -1;
    cJSON *modes = law->n_modes > 0 ? cJSON_AddArrayToObject(object, "modes") : NULL;
    for (int i = 0; i < law->n_modes; i++) {
        cJSON *mode = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(modes, mode) ||
            !cJSON_AddNumberToObject(mode, "share", law->mode[i].share) ||
            !cJSON_AddNumberToObject(mode, "mean_ms", law->mode[i].mean_ms))
            return -1;
    }
    cJSON *warmup = cJSON_AddObjectToObject(object, "warmup");
    return warmup ? json_write_fields(warmup, preset_law_warmup_fields, preset_n_law_warmup_fields, law) : -1;
}

int preset_write_fake(cJSON *root, const struct fake_spec *fake)
{
    if (fake->n_laws == 0 && fake->n_faults == 0)
        return 0;
    cJSON *object = cJSON_AddObjectToObject(root, "fake"), *arms = cJSON_AddObjectToObject(object, "arms");
    cJSON *faults = cJSON_AddObjectToObject(object, "faults");
    if (!arms || !faults)
        return -1;
    for (int i = 0; i < fake->n_laws; i++)
        if (write_law(arms, &fake->law[i]) != 0)
            return -1;
    for (int i = 0; i < fake->n_faults; i++) {
        char cell[16];
        snprintf(cell, sizeof cell, "%d", fake->fault[i].cell);
        if (!cJSON_AddStringToObject(faults, cell, preset_fault_names[fake->fault[i].fault]))
            return -1;
    }
    return 0;
}
