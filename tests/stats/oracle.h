/* Reading the oracle files of tests/data/oracle: values computed by R and by 60-digit arithmetic. A field is
 * a number, the strings "Inf", "-Inf", "NaN", a boolean, or an array of these. */
#pragma once

#include "tests/test.h"

#include <cJSON.h>
#include <stdbool.h>

static cJSON *oracle_read(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/data/oracle/%s", name);
    FILE *f = fopen(path, "rb");
    char *text = f ? calloc(1, 1 << 20) : NULL;
    size_t size = text ? fread(text, 1, (1 << 20) - 1, f) : 0;
    if (f)
        fclose(f);
    cJSON *json = size ? cJSON_Parse(text) : NULL;
    free(text);
    if (!json)
        TEST_FAIL("%s cannot be read: run the tests from the repository root", path);
    return json;
}

static double oracle_number(const cJSON *item)
{
    if (cJSON_IsNumber(item))
        return item->valuedouble;
    if (cJSON_IsBool(item))
        return cJSON_IsTrue(item);
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    if (!strcmp(text, "Inf") || !strcmp(text, "-Inf"))
        return *text == '-' ? -INFINITY : INFINITY;
    if (strcmp(text, "NaN") != 0)
        TEST_FAIL("%s is no number", item && item->string ? item->string : "an item");
    return NAN;
}

static inline double oracle_field(const cJSON *object, const char *name)
{
    return oracle_number(cJSON_GetObjectItemCaseSensitive(object, name));
}

static inline const char *oracle_text(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "(no text)";
}

/* Scalars count as one value; the caller frees. */
static inline double *oracle_values(const cJSON *item, size_t *n)
{
    *n = cJSON_IsArray(item) ? (size_t)cJSON_GetArraySize(item) : 1;
    double *x = calloc(*n + 1, sizeof *x);
    size_t i = 0;
    const cJSON *child;
    if (!cJSON_IsArray(item))
        x[0] = oracle_number(item);
    else
        cJSON_ArrayForEach(child, item) x[i++] = oracle_number(child);
    return x;
}

static inline double *oracle_array(const cJSON *object, const char *name, size_t *n)
{
    return oracle_values(cJSON_GetObjectItemCaseSensitive(object, name), n);
}

/* Cases where the arithmetic leaves double's range or a variance is one ulp: correct or refused (NAN), never
 * a wrong number. */
static inline bool oracle_is_extreme(const char *id)
{
    static const char *const extreme[] = {"w019", "w021", "w022", "w051", "u26", "u27", "u28", "u35"};
    for (size_t i = 0; i < sizeof extreme / sizeof *extreme; i++)
        if (!strncmp(id, extreme[i], strlen(extreme[i])))
            return true;
    return false;
}

/* Relative to the larger of the two and to `scale`. */
static inline void oracle_close(const char *id, const char *field, size_t index, double got, double want,
                                double relative, double scale)
{
    double size = fmax(fmax(fabs(got), fabs(want)), scale);
    if (got == want || (isnan(got) && isnan(want)) || (isnan(got) && oracle_is_extreme(id)))
        return;
    if (!(fabs(got - want) <= relative * size))
        TEST_FAIL("%s: %s[%zu] is %.17g, not %.17g (off by %.1e)", id, field, index, got, want,
                  fabs(got - want) / size);
}
