/* Any bytes as JSON: never a crash; what is accepted is printed, read again and printed the same, on one line
 * and indented. */
#include "presets/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void check_getters(cJSON *object)
{
    struct error e = {0};
    struct json_at at = {"fuzz", "", &e};
    static const char *const known[] = {"a", "b"};
    char text[16];
    double d;
    int64_t i, *list = NULL, n = 0;
    uint64_t u;
    bool b;
    json_text(&at, object, "a", text, sizeof text);
    json_double(&at, object, "a", 0, 1, &d);
    json_int64(&at, object, "a", INT64_MIN, INT64_MAX, &i);
    json_uint64(&at, object, "a", &u);
    json_bool(&at, object, "a", &b);
    if (json_int64_array(&at, object, "b", &list, &n) == JSON_FOUND)
        free(list);
    cJSON *unknown = NULL;
    json_keys(&at, object, known, 2, &unknown, &e);
    cJSON_Delete(unknown);
    must(error_text_is_plain(e.text), "an unfit message");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    cJSON *root = json_parse((const char *)data, size, "fuzz", &e);
    if (!root) {
        must(e.kind != ERROR_NONE && error_text_is_plain(e.text), "an unfit message");
        return 0;
    }
    for (int indent = 0; indent <= 2; indent += 2) {
        char *text = json_print(root, indent);
        cJSON *again = json_parse(text, strlen(text), "again", &e);
        must(again != NULL, "not read back");
        char *second = json_print(again, indent);
        must(strcmp(text, second) == 0, "printed differently");
        free(second);
        free(text);
        cJSON_Delete(again);
    }
    if (cJSON_IsObject(root))
        check_getters(root);
    cJSON_Delete(root);
    return 0;
}
