#include "presets/json.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PACKED = '\x02', PACKED_DIGITS = 15 }; /* that many digits are exact in a double too */
enum { UNKNOWN_KEYS = 256 };                  /* more than that in one object: not a file of ours */

static const char *advice(int why)
{
    switch (why) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return ": check the path";
    case EACCES:
    case EPERM:
        return ": change its permissions or give another file";
    case EMFILE:
    case ENFILE:
        return ": close other programs and try again";
    default:
        return ": the disk may be failing, try again";
    }
}

static char *read_descriptor(int fd, const char *path, size_t limit, size_t expected, size_t *size,
                             struct error *e)
{
    size_t room = expected + 1, n = 0;
    char *text = malloc(room + 1);
    while (text) {
        if (n == room) { /* the file grew while it was read */
            room *= 2;
            char *larger = realloc(text, room + 1);
            if (!larger)
                break;
            text = larger;
        }
        ssize_t got = read(fd, text + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error_set(e, ERROR_FAILED, "%s: cannot read: %s%s", path, strerror(errno), advice(errno));
            goto fail;
        }
        if (got == 0) {
            text[n] = '\0';
            *size = n;
            return text;
        }
        n += (size_t)got;
        if (n > limit) {
            error_set(e, ERROR_FAILED, "%s: larger than %zu bytes: is this the right file?", path, limit);
            goto fail;
        }
    }
    error_set(e, ERROR_MEMORY, "%s: no memory to read it", path);
fail:
    free(text);
    return NULL;
}

char *json_read_file(const char *path, size_t limit, size_t *size, struct error *e)
{
    struct stat s;
    /* O_NONBLOCK: opening a FIFO nobody writes to would wait forever. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        error_set(e, ERROR_FAILED, "%s: cannot open: %s%s", path, strerror(errno), advice(errno));
        return NULL;
    }
    char *text = NULL;
    if (fstat(fd, &s) != 0)
        error_set(e, ERROR_FAILED, "%s: cannot read: %s%s", path, strerror(errno), advice(errno));
    else if (!S_ISREG(s.st_mode))
        error_set(e, ERROR_FAILED, "%s: %s, not a file: give the path of a JSON file", path,
                  S_ISDIR(s.st_mode) ? "a directory" : "a pipe or device");
    else if (s.st_size < 0 || (uintmax_t)s.st_size > limit)
        error_set(e, ERROR_FAILED,
                  "%s: %jd bytes, more than the %zu such a file may have: is this the right file?", path,
                  (intmax_t)s.st_size, limit);
    else
        text = read_descriptor(fd, path, limit, (size_t)s.st_size, size, e);
    close(fd);
    return text;
}

static void line_and_column(const char *text, size_t at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else {
            ++*column;
        }
    }
}

/* What cJSON would let through: NUL bytes, the escape \u0000, and nesting that makes recursion deep. */
static int refuse_traps(const char *text, size_t size, const char *name, struct error *e)
{
    size_t depth = 0, line, column;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        const char *what = NULL;
        if (text[i] == '\0') {
            what = "a NUL byte: the file is damaged, perhaps cut off by a crash";
        } else if (quoted) {
            if (text[i] == '\\' && size - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
                what = "\\u0000 inside a text: remove it";
            else if (text[i] == '\\' && i + 1 < size && text[i + 1] != '\0')
                i++;
            else if (text[i] == '"')
                quoted = false;
            else if ((unsigned char)text[i] < 0x20)
                what = "a control character inside a text: write it as \\n or \\u00XX";
        } else if (text[i] == '"') {
            quoted = true;
        } else if (text[i] == '[' || text[i] == '{') {
            if (++depth > JSON_DEPTH)
                what = "nested too deeply: is this the right file?";
        } else if ((text[i] == ']' || text[i] == '}') && depth > 0) {
            depth--;
        }
        if (what) {
            line_and_column(text, i, &line, &column);
            return error_set(e, ERROR_FAILED, "%s: line %zu, column %zu: %s", name, line, column, what);
        }
    }
    return 0;
}

/* The end of the list of integers that starts at text ('['), or NULL if it is none or too short to be worth
 * it. */
static char *packable(char *text)
{
    enum { SHORTEST = 4 };
    size_t n = 0;
    for (char *c = text + 1;; c++) {
        c += strspn(c, " \t\r\n");
        c += *c == '-';
        size_t digits = strspn(c, "0123456789");
        if (digits == 0 || digits > PACKED_DIGITS || (digits > 1 && *c == '0'))
            return NULL;
        c += digits;
        c += strspn(c, " \t\r\n");
        n++;
        if (*c == ']')
            return n >= SHORTEST ? c : NULL;
        if (*c != ',')
            return NULL;
    }
}

/* Turns "x_ns": [1,2,3] into "x_ns": "1<PACKED>2,3", which cJSON keeps as one text instead of a node of 64
 * bytes and more per number. No text of a file can hold PACKED as it is: refuse_traps saw to that. */
static void pack_samples(char *text)
{
    bool quoted = false;
    const char *last = text; /* the last byte that is no space */
    for (char *c = text; *c; c++) {
        if (quoted && *c == '\\' && c[1]) {
            c++;
        } else if (*c == '"') {
            quoted = !quoted;
        } else if (!quoted && *c == '[' && *last == ':') {
            const char *key_end = last;
            while (key_end > text && (key_end[-1] == ' ' || key_end[-1] == '\t'))
                key_end--;
            char *end = key_end - text >= 4 && memcmp(key_end - 4, "_ns\"", 4) == 0 ? packable(c) : NULL;
            if (end) {
                *strchr(c, ',') = PACKED;
                *c = *end = '"';
                c = end;
            }
        }
        if (!quoted && !strchr(" \t\r\n", *c))
            last = c;
    }
}

static int check_text(const char *text, size_t size, const char *name, struct error *e)
{
    if (size == 0)
        return error_set(e, ERROR_FAILED, "%s: the file is empty: expected a JSON object", name);
    return refuse_traps(text, size, name, e);
}

/* text[size] must be NUL. */
static cJSON *parse_terminated(const char *text, size_t size, const char *name, struct error *e)
{
    const char *end = NULL;
    errno = 0; /* cJSON does not tell want of memory from bad text, malloc does */
    cJSON *root = cJSON_ParseWithLengthOpts(text, size + 1, &end, 1);
    if (root)
        return root;
    if (errno == ENOMEM) {
        error_set(e, ERROR_MEMORY, "%s: no memory to read it: close other programs and try again", name);
        return NULL;
    }
    size_t line, column, at = end && end >= text && end <= text + size ? (size_t)(end - text) : size;
    line_and_column(text, at, &line, &column);
    error_set(e, ERROR_FAILED, "%s: line %zu, column %zu: not JSON%s: correct the file there", name, line,
              column, at >= size ? ", the text ends too early" : "");
    return NULL;
}

cJSON *json_parse(const char *text, size_t size, const char *name, struct error *e)
{
    char *copy = malloc(size + 1);
    if (!copy) {
        error_set(e, ERROR_MEMORY, "%s: no memory to read it", name);
        return NULL;
    }
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = '\0';
    cJSON *root = check_text(copy, size, name, e) == 0 ? parse_terminated(copy, size, name, e) : NULL;
    free(copy);
    return root;
}

static cJSON *load(const char *path, size_t limit, bool pack, struct error *e)
{
    size_t size = 0;
    char *text = json_read_file(path, limit, &size, e);
    cJSON *root = NULL;
    if (!text)
        return NULL;
    if (check_text(text, size, path, e) == 0) {
        if (pack)
            pack_samples(text);
        root = parse_terminated(text, size, path, e);
    }
    free(text);
    return root;
}

cJSON *json_load(const char *path, size_t limit, struct error *e)
{
    return load(path, limit, false, e);
}

cJSON *json_load_samples(const char *path, size_t limit, struct error *e)
{
    return load(path, limit, true, e);
}

void json_where(const struct json_at *at, const char *key, char *out, size_t size)
{
    const char *parts[3] = {at->file ? at->file : "", at->path ? at->path : "", key ? key : ""};
    const char *join[3] = {"", parts[0][0] ? ": " : "", parts[1][0] ? "." : parts[0][0] ? ": " : ""};
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < 3; i++)
        if (parts[i][0] && n + 1 < size) {
            int wrote = snprintf(out + n, size - n, "%s%.200s", join[i], parts[i]);
            n += wrote > 0 ? (size_t)wrote : 0;
        }
}

static void describe_item(const cJSON *item, char *out, size_t size)
{
    char number[40];
    if (!item || cJSON_IsNull(item))
        snprintf(out, size, "nothing");
    else if (cJSON_IsString(item) && item->valuestring)
        snprintf(out, size, "\"%.40s%s\"", item->valuestring, strlen(item->valuestring) > 40 ? "..." : "");
    else if (cJSON_IsNumber(item) && isfinite(item->valuedouble)) {
        json_number_text(item->valuedouble, number, sizeof number);
        snprintf(out, size, "%s", number);
    } else if (cJSON_IsNumber(item))
        snprintf(out, size, "a number too large to store");
    else if (cJSON_IsBool(item))
        snprintf(out, size, "%s", cJSON_IsTrue(item) ? "true" : "false");
    else
        snprintf(out, size, "%s", cJSON_IsArray(item) ? "a list" : "an object");
}

int json_unexpected(const struct json_at *at, const char *key, const char *expected, const cJSON *item)
{
    char where[512], found[96];
    json_where(at, key, where, sizeof where);
    describe_item(item, found, sizeof found);
    return error_add(at->e, ERROR_USAGE, "%s: expected %s, found %s", where, expected, found);
}

int json_missing(const struct json_at *at, const char *key, const char *expected)
{
    char where[512];
    json_where(at, key, where, sizeof where);
    return error_add(at->e, ERROR_USAGE, "%s: missing: expected %s", where, expected);
}

void json_describe_range(const char *what, double min, double max, char *out, size_t size)
{
    char low[40], high[40];
    json_number_text(min, low, sizeof low);
    json_number_text(max, high, sizeof high);
    bool has_low = isfinite(min) && fabs(min) < 1e15,
         has_high = isfinite(max) && fabs(max) < 1e15 && max < INT_MAX;
    if (has_low && has_high)
        snprintf(out, size, "%s from %s to %s", what, low, high);
    else if (has_low)
        snprintf(out, size, "%s of at least %s", what, low);
    else if (has_high)
        snprintf(out, size, "%s of at most %s", what, high);
    else
        snprintf(out, size, "%s", what);
}

static const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *item = object ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
    return item && cJSON_IsNull(item) ? NULL : item;
}

int json_text(const struct json_at *at, const cJSON *object, const char *key, char *out, size_t size)
{
    const cJSON *item = member(object, key);
    if (!item)
        return JSON_ABSENT;
    if (!cJSON_IsString(item) || !item->valuestring)
        return json_unexpected(at, key, "a text", item);
    size_t n = strlen(item->valuestring);
    if (n >= size) {
        char expected[64];
        snprintf(expected, sizeof expected, "a text shorter than %zu bytes", size);
        return json_unexpected(at, key, expected, item);
    }
    if (!error_text_is_plain(item->valuestring))
        return json_unexpected(at, key, "a text in UTF-8 without control characters", item);
    memcpy(out, item->valuestring, n + 1);
    return JSON_FOUND;
}

int json_double(const struct json_at *at, const cJSON *object, const char *key, double min, double max,
                double *out)
{
    const cJSON *item = member(object, key);
    if (!item)
        return JSON_ABSENT;
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) || item->valuedouble < min ||
        item->valuedouble > max) {
        char expected[160];
        json_describe_range("a number", min, max, expected, sizeof expected);
        return json_unexpected(at, key, expected, item);
    }
    *out = item->valuedouble;
    return JSON_FOUND;
}

/* An integer within [min, max] from a number that is exact, or from a string of digits. */
static bool exact_int64(const cJSON *item, int64_t min, int64_t max, int64_t *out)
{
    int64_t value;
    if (cJSON_IsNumber(item)) {
        double v = item->valuedouble;
        if (!(fabs(v) <= (double)JSON_EXACT_MAX) || v != floor(v))
            return false;
        value = (int64_t)v;
    } else if (cJSON_IsString(item) && item->valuestring) {
        const char *s = item->valuestring;
        char *end = NULL;
        if (!((*s >= '0' && *s <= '9') || (*s == '-' && s[1] >= '0' && s[1] <= '9')))
            return false;
        errno = 0;
        value = strtoll(s, &end, 10);
        if (errno != 0 || *end != '\0')
            return false;
    } else {
        return false;
    }
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

int json_int64(const struct json_at *at, const cJSON *object, const char *key, int64_t min, int64_t max,
               int64_t *out)
{
    const cJSON *item = member(object, key);
    if (!item)
        return JSON_ABSENT;
    if (exact_int64(item, min, max, out))
        return JSON_FOUND;
    char expected[160];
    json_describe_range("a whole number", min == INT64_MIN ? -INFINITY : (double)min,
                        max == INT64_MAX ? INFINITY : (double)max, expected, sizeof expected);
    if (cJSON_IsNumber(item) && fabs(item->valuedouble) > (double)JSON_EXACT_MAX)
        snprintf(expected, sizeof expected, "a whole number, in quotes when beyond 2^53");
    return json_unexpected(at, key, expected, item);
}

int json_int(const struct json_at *at, const cJSON *object, const char *key, int min, int max, int *out)
{
    int64_t value = 0;
    int found = json_int64(at, object, key, min, max, &value);
    if (found == JSON_FOUND)
        *out = (int)value;
    return found;
}

int json_uint64(const struct json_at *at, const cJSON *object, const char *key, uint64_t *out)
{
    const cJSON *item = member(object, key);
    if (!item)
        return JSON_ABSENT;
    int64_t small;
    if (cJSON_IsNumber(item) && exact_int64(item, 0, INT64_MAX, &small)) {
        *out = (uint64_t)small;
        return JSON_FOUND;
    }
    if (cJSON_IsString(item) && item->valuestring && item->valuestring[0] >= '0' &&
        item->valuestring[0] <= '9') {
        char *end = NULL;
        errno = 0;
        unsigned long long value = strtoull(item->valuestring, &end, 10);
        if (errno == 0 && *end == '\0') {
            *out = value;
            return JSON_FOUND;
        }
    }
    return json_unexpected(at, key,
                           "a whole number from 0 to 18446744073709551615, in quotes when beyond 2^53", item);
}

int json_bool(const struct json_at *at, const cJSON *object, const char *key, bool *out)
{
    const cJSON *item = member(object, key);
    if (!item)
        return JSON_ABSENT;
    if (!cJSON_IsBool(item))
        return json_unexpected(at, key, "true or false", item);
    *out = cJSON_IsTrue(item);
    return JSON_FOUND;
}

int json_object(const struct json_at *at, const cJSON *object, const char *key, const cJSON **out)
{
    const cJSON *item = member(object, key);
    if (!item)
        return JSON_ABSENT;
    if (!cJSON_IsObject(item))
        return json_unexpected(at, key, "an object", item);
    *out = item;
    return JSON_FOUND;
}

int json_array(const struct json_at *at, const cJSON *object, const char *key, const cJSON **out)
{
    const cJSON *item = member(object, key);
    if (!item)
        return JSON_ABSENT;
    if (!cJSON_IsArray(item))
        return json_unexpected(at, key, "a list", item);
    *out = item;
    return JSON_FOUND;
}

/* Reads what pack_samples made; a file may hold the same bytes in escapes, so their form is not taken for
 * granted. */
static int unpack(const struct json_at *at, const char *key, const cJSON *item, int64_t **out, int64_t *n)
{
    int64_t count = 1, i = 0;
    for (const char *c = item->valuestring; *c; c++)
        count += *c == ',' || *c == PACKED;
    int64_t *values = malloc((size_t)count * sizeof *values);
    if (!values)
        return error_add(at->e, ERROR_MEMORY, "%s: no memory for the list %s", at->file, key);
    for (const char *c = item->valuestring; i < count; c++) {
        int64_t value = 0;
        c += strspn(c, " \t\r\n");
        bool negative = *c == '-';
        c += negative;
        const char *digits = c;
        for (; *c >= '0' && *c <= '9' && c - digits < PACKED_DIGITS; c++)
            value = value * 10 + (*c - '0');
        size_t spaces = strspn(c, " \t\r\n");
        if (c == digits || (c[spaces] && c[spaces] != ',' && c[spaces] != PACKED)) {
            free(values);
            return json_unexpected(at, key, "a list", item);
        }
        c += spaces;
        values[i++] = negative ? -value : value;
    }
    *out = values;
    *n = count;
    return JSON_FOUND;
}

int json_int64_array(const struct json_at *at, const cJSON *object, const char *key, int64_t **out,
                     int64_t *n)
{
    const cJSON *array = member(object, key), *item;
    if (array && cJSON_IsString(array) && strchr(array->valuestring, PACKED))
        return unpack(at, key, array, out, n);
    int found = json_array(at, object, key, &array);
    if (found != JSON_FOUND)
        return found;
    int64_t count = cJSON_GetArraySize(array), i = 0;
    int64_t *values = count > 0 ? malloc((size_t)count * sizeof *values) : NULL;
    if (count > 0 && !values)
        return error_add(at->e, ERROR_MEMORY, "%s: no memory for the list %s", at->file, key);
    cJSON_ArrayForEach(item, array)
    {
        if (!exact_int64(item, INT64_MIN, INT64_MAX, &values[i])) {
            free(values);
            char where[128];
            snprintf(where, sizeof where, "%.80s.%lld", key, (long long)i);
            return json_unexpected(at, where, "a whole number, in quotes when beyond 2^53", item);
        }
        i++;
    }
    *out = values;
    *n = count;
    return JSON_FOUND;
}

static int move_unknown(const struct json_at *at, cJSON *object, cJSON *item, cJSON **unknown)
{
    if (!*unknown)
        *unknown = cJSON_CreateObject();
    if (!*unknown)
        return error_add(at->e, ERROR_MEMORY, "%s: no memory to read it", at->file);
    cJSON_DetachItemViaPointer(object, item);
    cJSON_AddItemToArray(*unknown, item); /* the item brings its key along */
    return 0;
}

int json_keys(const struct json_at *at, cJSON *object, const char *const *known, int n_known, cJSON **unknown,
              struct error *warning)
{
    const char *strange[UNKNOWN_KEYS];
    unsigned char *seen = calloc((size_t)n_known + 1, 1);
    int n_strange = 0, result = 0;
    if (!seen)
        return error_add(at->e, ERROR_MEMORY, "%s: no memory to read it", at->file);
    for (cJSON *item = object->child, *next; item; item = next) {
        next = item->next;
        const char *key = item->string ? item->string : "";
        char where[512];
        json_where(at, key, where, sizeof where);
        int k = 0;
        while (k < n_known && strcmp(known[k], key) != 0)
            k++;
        bool twice = k < n_known && seen[k];
        if (k == n_known) {
            for (int i = 0; i < n_strange && !twice; i++)
                twice = strcmp(strange[i], key) == 0;
            if (n_strange == UNKNOWN_KEYS) {
                result =
                    error_add(at->e, ERROR_USAGE, "%s: more than %d unknown keys: is this the right file?",
                              at->file, UNKNOWN_KEYS);
                break;
            }
            strange[n_strange++] = key;
            error_add(warning, ERROR_USAGE, "%s: unknown key, kept but without effect", where);
        }
        seen[k] = 1;
        if (twice)
            result = error_add(at->e, ERROR_USAGE, "%s: given twice: remove one", where);
        if (k == n_known && unknown && move_unknown(at, object, item, unknown) != 0) {
            result = -1;
            break;
        }
    }
    free(seen);
    return result;
}
