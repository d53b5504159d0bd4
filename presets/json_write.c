#include "presets/json.h"
#include "presets/replacement.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int json_number_text(double value, char *out, size_t size)
{
    if (!isfinite(value))
        return snprintf(out, size, "null");
    if (fabs(value) <= (double)JSON_EXACT_MAX && value == floor(value))
        return snprintf(out, size, signbit(value) && value == 0 ? "-0.0" : "%" PRId64, (int64_t)value);
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, size, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    /* printf writes the locale's decimal point, of one byte or several. */
    int to = 0;
    for (int i = 0; i < n; i++) {
        bool number = (out[i] >= '0' && out[i] <= '9') || out[i] == '-' || out[i] == '+' || out[i] == 'e';
        if (number)
            out[to++] = out[i];
        else if (to > 0 && out[to - 1] != '.')
            out[to++] = '.';
    }
    out[to] = '\0';
    return to;
}

/* A text that grows. `failed` sticks, so that only the end needs to look. */
struct text {
    char *bytes;
    size_t n, room;
    bool failed;
};

static void put(struct text *t, const char *bytes, size_t n)
{
    if (t->failed)
        return;
    if (t->n + n + 1 > t->room) {
        size_t room = t->room ? t->room : 1024;
        while (room < t->n + n + 1)
            room *= 2;
        char *larger = realloc(t->bytes, room);
        if (!larger) {
            t->failed = true;
            return;
        }
        t->bytes = larger;
        t->room = room;
    }
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    t->bytes[t->n] = '\0';
}

static void put_word(struct text *t, const char *word)
{
    put(t, word, strlen(word));
}

static void put_indent(struct text *t, int indent, int depth)
{
    if (indent == 0)
        return;
    put(t, "\n", 1);
    for (int i = 0; i < indent * depth; i++)
        put(t, " ", 1);
}

/* Length of the UTF-8 sequence at s if it is well formed, else 0. */
static size_t sequence(const unsigned char *s)
{
    char c[8] = {0};
    size_t n = s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (s[i] & 0xC0) != 0x80)
            return 0;
        c[i] = (char)s[i];
    }
    /* The reader's own rule decides on overlong forms and surrogates; C1 and direction marks are fine inside
     * a file. */
    bool mark = n == 2 && s[0] == 0xC2 && s[1] < 0xA0;
    mark = mark || (n == 3 && s[0] == 0xE2 && (s[1] == 0x80 || s[1] == 0x81));
    return n && (mark || error_text_is_plain(c)) ? n : 0;
}

static void put_string(struct text *t, const char *text)
{
    const unsigned char *s = (const unsigned char *)(text ? text : "");
    put(t, "\"", 1);
    while (*s) {
        size_t plain = 0;
        while (s[plain] >= 0x20 && s[plain] < 0x7F && s[plain] != '"' && s[plain] != '\\')
            plain++;
        put(t, (const char *)s, plain);
        s += plain;
        if (!*s)
            break;
        size_t n = *s >= 0x80 ? sequence(s) : 0;
        if (n) {
            put(t, (const char *)s, n);
            s += n;
            continue;
        }
        char escape[8];
        if (*s >= 0x80)
            snprintf(escape, sizeof escape,
                     "\xEF\xBF\xBD"); /* U+FFFD: a JSON file is UTF-8 whatever we were given */
        else if (*s == '"' || *s == '\\')
            snprintf(escape, sizeof escape, "\\%c", *s);
        else if (*s == '\n' || *s == '\t')
            snprintf(escape, sizeof escape, "\\%c", *s == '\n' ? 'n' : 't');
        else
            snprintf(escape, sizeof escape, "\\u%04x", *s);
        put_word(t, escape);
        s++;
    }
    put(t, "\"", 1);
}

static bool flat(const cJSON *array)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        if (cJSON_IsArray(item) || cJSON_IsObject(item))
            return false;
    }
    return true;
}

static void put_item(struct text *t, const cJSON *item, int indent, int depth);

static void put_children(struct text *t, const cJSON *item, int indent, int depth)
{
    bool object = cJSON_IsObject(item), one_line = indent == 0 || (!object && flat(item));
    put(t, object ? "{" : "[", 1);
    for (const cJSON *child = item->child; child; child = child->next) {
        if (!one_line)
            put_indent(t, indent, depth + 1);
        if (object) {
            put_string(t, child->string);
            put_word(t, indent ? ": " : ":");
        }
        put_item(t, child, indent, depth + 1);
        if (child->next)
            put_word(t, one_line && indent ? ", " : ",");
    }
    if (!one_line && item->child)
        put_indent(t, indent, depth);
    put(t, object ? "}" : "]", 1);
}

static void put_item(struct text *t, const cJSON *item, int indent, int depth)
{
    char number[40];
    if (cJSON_IsString(item))
        put_string(t, item->valuestring);
    else if (cJSON_IsNumber(item)) {
        json_number_text(item->valuedouble, number, sizeof number);
        put_word(t, number);
    } else if (cJSON_IsRaw(item))
        put_word(t, item->valuestring ? item->valuestring : "null");
    else if (cJSON_IsBool(item))
        put_word(t, cJSON_IsTrue(item) ? "true" : "false");
    else if (cJSON_IsArray(item) || cJSON_IsObject(item))
        put_children(t, item, indent, depth);
    else
        put_word(t, "null");
}

char *json_print(const cJSON *item, int indent)
{
    struct text t = {0};
    put_item(&t, item, indent, 0);
    if (indent)
        put(&t, "\n", 1);
    if (t.failed) {
        free(t.bytes);
        return NULL;
    }
    return t.bytes;
}

cJSON *json_add_int64(cJSON *object, const char *key, int64_t value)
{
    if (value >= -JSON_EXACT_MAX && value <= JSON_EXACT_MAX)
        return cJSON_AddNumberToObject(object, key, (double)value);
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    return cJSON_AddStringToObject(object, key, digits);
}

cJSON *json_add_uint64(cJSON *object, const char *key, uint64_t value)
{
    if (value <= (uint64_t)JSON_EXACT_MAX)
        return cJSON_AddNumberToObject(object, key, (double)value);
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    return cJSON_AddStringToObject(object, key, digits);
}

/* Writes value's digits at out (in quotes when no double holds it), returns how many bytes. */
static size_t put_digits(char *out, int64_t value)
{
    char digits[24];
    size_t n = 0, length = 0;
    bool quoted = value < -JSON_EXACT_MAX || value > JSON_EXACT_MAX;
    uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (value < 0)
        digits[n++] = '-';
    if (quoted)
        out[length++] = '"';
    while (n > 0)
        out[length++] = digits[--n];
    if (quoted)
        out[length++] = '"';
    return length;
}

cJSON *json_add_int64_array(cJSON *object, const char *key, const int64_t *values, int64_t n)
{
    char *text = malloc((size_t)n * 24 + 3);
    if (!text)
        return NULL;
    size_t length = 0;
    text[length++] = '[';
    for (int64_t i = 0; i < n; i++) {
        if (i > 0)
            text[length++] = ',';
        length += put_digits(text + length, values[i]);
    }
    text[length++] = ']';
    text[length] = '\0';
    cJSON *item = cJSON_AddRawToObject(object, key, text);
    free(text);
    return item;
}

int json_write_file(const char *path, const char *text, size_t size, struct error *e)
{
    struct replacement r;
    return replacement_begin(&r, path, e) || replacement_put(&r, text, size, e) || replacement_finish(&r, e)
               ? -1
               : 0;
}
