#include "engine/session_json.h"
#include <stdlib.h>
#include <string.h>

enum { FOLD_BYTES = 256 }; /* shorter arrays are not worth it */

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool key_of_samples(const char *end, size_t before)
{
    static const char *const keys[] = {"warmup_ns",  "warmup_host_ns", "warmup_first_ns",
                                       "samples_ns", "host_ns",        "first_ns"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        size_t n = strlen(keys[i]);
        if (before > n && end[-(ptrdiff_t)n - 1] == '"' && memcmp(end - n, keys[i], n) == 0)
            return true;
    }
    return false;
}

/* "samples_ns": [1,2,3] becomes "samples_ns": "1,2,3", in place. A quote behind a key's letters and a colon
 * behind it cannot stand inside a text (there it would be escaped), so no state is needed. */
static void fold(char *text, size_t size)
{
    char *end = text + size;
    for (char *p = text; (p = memchr(p, '[', (size_t)(end - p))); p++) {
        char *key = p;
        while (key > text && blank(key[-1]))
            key--;
        if (key == text || *--key != ':')
            continue;
        while (key > text && blank(key[-1]))
            key--;
        if (key == text || *--key != '"' || !key_of_samples(key, (size_t)(key - text)))
            continue;
        char *q = p + 1;
        while (q < end && ((*q >= '0' && *q <= '9') || *q == ',' || *q == '-' || blank(*q)))
            q++;
        if (q == end || *q != ']' || q - p < FOLD_BYTES)
            continue;
        for (char *c = p + 1; c < q; c++)
            *c = blank(*c) ? ' ' : *c;
        *p = *q = '"';
        p = q;
    }
}

cJSON *session_parse(char *text, size_t size, const char *name, struct error *e)
{
    fold(text, size);
    return json_parse(text, size, name, e);
}

/* One integer as JSON writes it, exact as a double; NULL where it is not. */
static const char *read_integer(const char *p, int64_t *out)
{
    bool negative = *p == '-';
    p += negative;
    if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
        return NULL;
    int64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        value = 10 * value + (*p - '0');
        if (value > JSON_EXACT_MAX)
            return NULL;
    }
    *out = negative ? -value : value;
    return p;
}

static const char *skip(const char *p)
{
    while (*p == ' ')
        p++;
    return p;
}

int session_read_numbers(const struct json_at *at, const cJSON *object, const char *key, int64_t **out,
                         int64_t *n)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    if (!text)
        return json_int64_array(at, object, key, out, n);
    size_t room = 1, count = 0;
    for (const char *p = text; (p = strchr(p, ',')); p++)
        room++;
    int64_t *values = malloc(room * sizeof *values);
    if (!values)
        return error_add(at->e, ERROR_MEMORY, "%s: no memory for the samples", at->file);
    const char *p = skip(text);
    while ((p = read_integer(p, &values[count]))) {
        count++;
        p = skip(p);
        if (*p != ',')
            break;
        p = skip(p + 1);
    }
    if (!p || *p) {
        free(values);
        return json_unexpected(at, key, "a list of whole numbers",
                               cJSON_GetObjectItemCaseSensitive(object, key));
    }
    *out = values;
    *n = (int64_t)count;
    return JSON_FOUND;
}
