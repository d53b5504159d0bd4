#include "presets/vocabulary_file.h"

#include "presets/json.h"
#include <stdlib.h>
#include <string.h>

#define AT(member)   offsetof(struct vocabulary_file, member)
#define SIZE(member) sizeof((struct vocabulary_file *)0)->member
enum { FILE_BYTES = 32 << 20, TOKENS_MAX = 1 << 22 };

static const char schema_name[] = "benchtop/vocabulary/1";
static const struct json_field fields[] = {
    {"name", JSON_TEXT, AT(name), SIZE(name), 0, 0},
    {"base", JSON_TEXT, AT(base), SIZE(base), 0, 0},
    {"base_fingerprint", JSON_UINT64, AT(fingerprint), 0, 0, 0},
    {"base_tokens", JSON_INT, AT(base_tokens), 0, 2, TOKENS_MAX},
    {"text", JSON_TEXT, AT(text), SIZE(text), 0, 0},
    {"text_bytes", JSON_INT64, AT(text_bytes), 0, 0, 1e15},
    {"standard_tokens", JSON_INT64, AT(standard_tokens), 0, 0, 1e15},
    {"adapted_tokens", JSON_INT64, AT(adapted_tokens), 0, 0, 1e15},
    {"min_frequency", JSON_INT, AT(min_frequency), 0, 1, 1 << 30},
    {"within_words", JSON_BOOL, AT(within_words), 0, 0, 0},
};
static const char *const lists[] = {"removed", "lengths", "parts"};
enum { FIELDS = sizeof fields / sizeof *fields, LISTS = sizeof lists / sizeof *lists };

/* A list of whole numbers of min .. max, at most `most` of them. Caller frees *out. */
static int read_list(const struct json_at *at, const cJSON *root, const char *key, int64_t min, int64_t max,
                     int64_t most, int64_t **out, int64_t *n)
{
    int found = json_int64_array(at, root, key, out, n);
    if (found != JSON_FOUND)
        return found < 0 ? -1 : json_missing(at, key, "a list of whole numbers");
    if (*n > most)
        return error_add(at->e, ERROR_USAGE, "%s: %s: %lld entries, at most %lld can be meant", at->file, key,
                         (long long)*n, (long long)most);
    for (int64_t i = 0; i < *n; i++)
        if ((*out)[i] < min || (*out)[i] > max)
            return error_add(at->e, ERROR_USAGE, "%s: %s.%lld: expected %lld to %lld, found %lld", at->file,
                             key, (long long)i, (long long)min, (long long)max, (long long)(*out)[i]);
    return 0;
}

/* Into the struct's own types. */
static int take_lists(const struct json_at *at, struct vocabulary_file *f, int64_t *const list[LISTS],
                      const int64_t n[LISTS])
{
    f->removed = malloc(((size_t)n[0] + 1) * sizeof *f->removed);
    f->length = malloc((size_t)n[1] + 1);
    f->part = malloc(((size_t)n[2] + 1) * sizeof *f->part);
    if (!f->removed || !f->length || !f->part)
        return error_add(at->e, ERROR_MEMORY, "%s: no memory for its lists: close other programs", at->file);
    for (int64_t i = 0; i < n[0]; i++)
        f->removed[i] = (int32_t)list[0][i];
    for (int64_t i = 0; i < n[1]; i++)
        f->length[i] = (int8_t)list[1][i];
    for (int64_t i = 0; i < n[2]; i++)
        f->part[i] = (int32_t)list[2][i];
    f->n_removed = (int)n[0];
    f->n_added = (int)n[1];
    f->n_parts = (int)n[2];
    return 0;
}

static int read_lists(const struct json_at *at, const cJSON *root, struct vocabulary_file *f)
{
    int64_t *list[LISTS] = {0}, n[LISTS] = {0}, last = f->base_tokens - 1;
    int result = -1;
    if (read_list(at, root, "removed", 0, last, last, &list[0], &n[0]) == 0 &&
        read_list(at, root, "lengths", 2, VOCABULARY_NGRAM_MAX, TOKENS_MAX, &list[1], &n[1]) == 0 &&
        read_list(at, root, "parts", 0, last, (int64_t)TOKENS_MAX * VOCABULARY_NGRAM_MAX, &list[2], &n[2]) ==
            0)
        result = take_lists(at, f, list, n);
    for (int i = 0; i < LISTS; i++)
        free(list[i]);
    return result;
}

/* ---- what the lists must be to each other ---- */

struct gram {
    const int32_t *part;
    int n, index;
};

static int by_parts(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    for (int i = 0; i < x->n; i++)
        if (x->part[i] != y->part[i])
            return x->part[i] < y->part[i] ? -1 : 1;
    return x->index - y->index;
}

static bool same_parts(const struct gram *a, const struct gram *b)
{
    return a->n == b->n && memcmp(a->part, b->part, (size_t)a->n * sizeof *a->part) == 0;
}

static int check_once(const struct json_at *at, const struct vocabulary_file *f)
{
    struct gram *g = malloc(((size_t)f->n_added + 1) * sizeof *g);
    int result = 0, offset = 0;
    if (!g)
        return error_add(at->e, ERROR_MEMORY, "%s: no memory to check it: close other programs", at->file);
    for (int i = 0; i < f->n_added; offset += f->length[i++])
        g[i] = (struct gram){f->part + offset, f->length[i], i};
    qsort(g, (size_t)f->n_added, sizeof *g, by_parts);
    for (int i = 1; i < f->n_added && result == 0; i++)
        if (same_parts(&g[i - 1], &g[i]))
            result = error_add(at->e, ERROR_USAGE, "%s: n-grams %d and %d are the same: build it again",
                               at->file, g[i - 1].index, g[i].index);
    free(g);
    return result;
}

static bool is_removed(const struct vocabulary_file *f, int32_t id)
{
    int low = 0, high = f->n_removed;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (f->removed[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->n_removed && f->removed[low] == id;
}

static int check_together(const struct json_at *at, const struct vocabulary_file *f)
{
    int64_t parts = 0;
    for (int i = 1; i < f->n_removed; i++)
        if (f->removed[i] <= f->removed[i - 1])
            return error_add(at->e, ERROR_USAGE, "%s: removed.%d: expected ascending ids: build it again",
                             at->file, i);
    for (int i = 0; i < f->n_added; i++)
        parts += f->length[i];
    if (parts != f->n_parts)
        return error_add(at->e, ERROR_USAGE,
                         "%s: lengths sum up to %lld, but there are %d parts: build it "
                         "again",
                         at->file, (long long)parts, f->n_parts);
    if ((int64_t)f->base_tokens - f->n_removed + f->n_added > TOKENS_MAX)
        return error_add(at->e, ERROR_USAGE, "%s: more than %d tokens: add fewer", at->file, TOKENS_MAX);
    for (int i = 0; i < f->n_parts; i++)
        if (is_removed(f, f->part[i]))
            return error_add(at->e, ERROR_USAGE, "%s: parts.%d: token %d is removed: build it again",
                             at->file, i, f->part[i]);
    return check_once(at, f);
}

static int read_root(const struct json_at *at, cJSON *root, struct vocabulary_file *f, struct error *warning)
{
    const char *known[FIELDS + LISTS + 1] = {"schema"};
    char schema[64] = "";
    int result = 0;
    for (int i = 0; i < FIELDS; i++)
        known[1 + i] = fields[i].key;
    for (int i = 0; i < LISTS; i++)
        known[1 + FIELDS + i] = lists[i];
    if (json_keys(at, root, known, FIELDS + LISTS + 1, NULL, warning) != 0)
        result = -1;
    if (json_text(at, root, "schema", schema, sizeof schema) != JSON_FOUND ||
        strcmp(schema, schema_name) != 0)
        result = json_unexpected(at, "schema", "\"benchtop/vocabulary/1\"",
                                 cJSON_GetObjectItemCaseSensitive(root, "schema"));
    if (json_read_fields(at, root, fields, FIELDS, f) != 0)
        result = -1;
    if (result == 0 && f->base_tokens == 0)
        result = json_missing(at, "base_tokens", "the size of the base vocabulary");
    if (result == 0 && read_lists(at, root, f) != 0)
        result = -1;
    return result == 0 ? check_together(at, f) : -1;
}

static int read_json(cJSON *root, const char *name, struct vocabulary_file *out, struct error *warning,
                     struct error *found, struct error *e)
{
    struct json_at at = {name, "", found};
    struct vocabulary_file f = {0};
    int result = -1;
    if (root && !cJSON_IsObject(root))
        json_unexpected(&at, "", "an object", root);
    else if (root)
        result = read_root(&at, root, &f, warning);
    cJSON_Delete(root);
    if (result != 0) {
        vocabulary_file_free(&f);
        return error_set(e, found->kind, "%s", found->text);
    }
    *out = f;
    return 0;
}

int vocabulary_file_load(const char *path, struct vocabulary_file *out, struct error *warning,
                         struct error *e)
{
    struct error found = {0};
    return read_json(json_load(path, FILE_BYTES, &found), path, out, warning, &found, e);
}

int vocabulary_file_parse(const char *bytes, size_t size, const char *name, struct vocabulary_file *out,
                          struct error *warning, struct error *e)
{
    struct error found = {0};
    return read_json(json_parse(bytes, size, name, &found), name, out, warning, &found, e);
}

/* ---- writing ---- */

static int add_list(cJSON *root, const char *key, const int32_t *wide, const int8_t *narrow, int n)
{
    int64_t *values = malloc(((size_t)n + 1) * sizeof *values);
    for (int i = 0; values && i < n; i++)
        values[i] = wide ? wide[i] : narrow[i];
    int result = values && json_add_int64_array(root, key, values, n) ? 0 : -1;
    free(values);
    return result;
}

int vocabulary_file_save(const struct vocabulary_file *f, const char *path, struct error *e)
{
    cJSON *root = cJSON_CreateObject();
    char *text = NULL;
    if (root && cJSON_AddStringToObject(root, "schema", schema_name) &&
        json_write_fields(root, fields, FIELDS, f) == 0 &&
        add_list(root, lists[0], f->removed, NULL, f->n_removed) == 0 &&
        add_list(root, lists[1], NULL, f->length, f->n_added) == 0 &&
        add_list(root, lists[2], f->part, NULL, f->n_parts) == 0)
        text = json_print(root, 2);
    cJSON_Delete(root);
    if (!text)
        return error_set(e, ERROR_MEMORY, "no memory to write %s: close other programs", path);
    int result = json_write_file(path, text, strlen(text), e);
    free(text);
    return result;
}

void vocabulary_file_free(struct vocabulary_file *f)
{
    free(f->removed);
    free(f->length);
    free(f->part);
    *f = (struct vocabulary_file){0};
}
