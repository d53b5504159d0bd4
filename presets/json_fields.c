#include "presets/json.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- tables of fields
 * ---------------------------------------------------------------------------------------- */

static void *place(const struct json_field *f, void *base)
{
    return (char *)base + f->offset;
}

static const void *place_const(const struct json_field *f, const void *base)
{
    return (const char *)base + f->offset;
}

int json_read_fields(const struct json_at *at, const cJSON *object, const struct json_field *fields, int n,
                     void *base)
{
    int result = 0;
    for (int i = 0; i < n; i++) {
        const struct json_field *f = &fields[i];
        void *p = place(f, base);
        int found = 0;
        switch (f->type) {
        case JSON_TEXT:
            found = json_text(at, object, f->key, p, f->size);
            break;
        case JSON_INT:
            found = json_int(at, object, f->key, (int)f->min, (int)f->max, p);
            break;
        case JSON_INT64:
            found = json_int64(at, object, f->key, (int64_t)f->min, (int64_t)f->max, p);
            break;
        case JSON_UINT64:
            found = json_uint64(at, object, f->key, p);
            break;
        case JSON_DOUBLE:
            found = json_double(at, object, f->key, f->min, f->max, p);
            break;
        case JSON_BOOL:
            found = json_bool(at, object, f->key, p);
            break;
        }
        if (found < 0)
            result = -1;
    }
    return result;
}

int json_write_fields(cJSON *object, const struct json_field *fields, int n, const void *base)
{
    for (int i = 0; i < n; i++) {
        const struct json_field *f = &fields[i];
        const void *p = place_const(f, base);
        const cJSON *added = NULL;
        switch (f->type) {
        case JSON_TEXT:
            added = cJSON_AddStringToObject(object, f->key, p);
            break;
        case JSON_INT:
            added = cJSON_AddNumberToObject(object, f->key, *(const int *)p);
            break;
        case JSON_INT64:
            added = json_add_int64(object, f->key, *(const int64_t *)p);
            break;
        case JSON_UINT64:
            added = json_add_uint64(object, f->key, *(const uint64_t *)p);
            break;
        case JSON_DOUBLE:
            added = isfinite(*(const double *)p) ? cJSON_AddNumberToObject(object, f->key, *(const double *)p)
                                                 : cJSON_AddNullToObject(object, f->key);
            break;
        case JSON_BOOL:
            added = cJSON_AddBoolToObject(object, f->key, *(const bool *)p);
            break;
        }
        if (!added)
            return -1;
    }
    return 0;
}

int json_check_fields(const struct json_at *at, const struct json_field *fields, int n, const void *base)
{
    int result = 0;
    for (int i = 0; i < n; i++) {
        const struct json_field *f = &fields[i];
        const void *p = place_const(f, base);
        if (f->type == JSON_TEXT) {
            const char *text = p;
            if (!memchr(text, '\0', f->size) || !error_text_is_plain(text)) {
                char where[512];
                json_where(at, f->key, where, sizeof where);
                result = error_add(at->e, ERROR_USAGE,
                                   "%s: expected a text in UTF-8 without control characters", where);
            }
            continue;
        }
        if (f->type == JSON_BOOL || f->type == JSON_UINT64)
            continue;
        double v = f->type == JSON_INT     ? *(const int *)p
                   : f->type == JSON_INT64 ? (double)*(const int64_t *)p
                                           : *(const double *)p;
        if (v < f->min || v > f->max || isinf(v)) {
            char expected[160], where[512], value[40];
            json_describe_range(f->type == JSON_DOUBLE ? "a number" : "a whole number", f->min, f->max,
                                expected, sizeof expected);
            json_where(at, f->key, where, sizeof where);
            if (json_number_text(v, value, sizeof value) && isinf(v))
                snprintf(value, sizeof value, "infinity");
            result = error_add(at->e, ERROR_USAGE, "%s: expected %s, found %s", where, expected, value);
        }
    }
    return result;
}

bool json_equal_fields(const struct json_field *fields, int n, const void *a, const void *b)
{
    for (int i = 0; i < n; i++) {
        const void *p = place_const(&fields[i], a), *q = place_const(&fields[i], b);
        bool equal = false;
        switch (fields[i].type) {
        case JSON_TEXT:
            equal = strcmp(p, q) == 0;
            break;
        case JSON_INT:
            equal = *(const int *)p == *(const int *)q;
            break;
        case JSON_INT64:
        case JSON_UINT64:
            equal = *(const int64_t *)p == *(const int64_t *)q;
            break;
        case JSON_DOUBLE:
            equal = *(const double *)p == *(const double *)q ||
                    (isnan(*(const double *)p) && isnan(*(const double *)q));
            break;
        case JSON_BOOL:
            equal = *(const bool *)p == *(const bool *)q;
            break;
        }
        if (!equal)
            return false;
    }
    return true;
}
