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

/* With ORACLE_REPORT in the environment a test program ends with a table of what it compared: per field how
 * many values, and the worst relative error among those that were not exempt. */
static struct {
    char field[48], id[24];
    int n;
    double worst;
} oracle_seen[192];
static int oracle_fields;

static inline void oracle_note(const char *id, const char *field, double error)
{
    int i = 0;
    while (i < oracle_fields && strcmp(oracle_seen[i].field, field) != 0)
        i++;
    if (i == (int)(sizeof oracle_seen / sizeof *oracle_seen))
        return;
    if (i == oracle_fields)
        snprintf(oracle_seen[oracle_fields++].field, sizeof oracle_seen[i].field, "%s", field);
    oracle_seen[i].n++;
    if (error > oracle_seen[i].worst || !oracle_seen[i].id[0]) {
        oracle_seen[i].worst = error;
        snprintf(oracle_seen[i].id, sizeof oracle_seen[i].id, "%.23s", id);
    }
}

__attribute__((destructor)) static void oracle_report(void)
{
    if (!getenv("ORACLE_REPORT") || oracle_fields == 0)
        return;
    printf("%-36s %8s  %-12s %s\n", "field", "values", "worst error", "in case");
    for (int i = 0; i < oracle_fields; i++)
        printf("%-36s %8d  %-12.1e %s\n", oracle_seen[i].field, oracle_seen[i].n, oracle_seen[i].worst,
               oracle_seen[i].id);
}

/* Relative to the larger of the two and to `scale`. */
static inline void oracle_close(const char *id, const char *field, size_t index, double got, double want,
                                double relative, double scale)
{
    double size = fmax(fmax(fabs(got), fabs(want)), scale);
    bool same = got == want || (isnan(got) && isnan(want));
    if (isnan(got) && oracle_is_extreme(id))
        return;
    oracle_note(id, field, same ? 0 : fabs(got - want) / size);
    if (same)
        return;
    if (!(fabs(got - want) <= relative * size))
        TEST_FAIL("%s: %s[%zu] is %.17g, not %.17g (off by %.1e)", id, field, index, got, want,
                  fabs(got - want) / size);
}
