/* Any bytes as JSON: never a crash; what is accepted is printed, read again and printed the same, on one line
 * and indented. */
#define _GNU_SOURCE /* memfd_create */
#include "presets/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* The packing reader accepts what the plain one accepts, and its lists are the same. */
static void check_samples(const uint8_t *data, size_t size, const cJSON *plain)
{
    static char path[32];
    static int fd = -1;
    struct error e = {0};
    struct json_at at = {"fuzz", "", &e};
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "no memory file");
    cJSON *root = json_load_samples(path, 1 << 20, &e);
    must(!root == !plain, "packing changes what is accepted");
    if (cJSON_IsObject(plain) && plain->child && plain->child->string) {
        int64_t *a = NULL, *b = NULL, n = 0, m = 0;
        const char *key = plain->child->string;
        int found = json_int64_array(&at, plain, key, &a, &n),
            packed = json_int64_array(&at, root, key, &b, &m);
        must(found == packed && n == m, "packing changes a list's length");
        must(n == 0 || memcmp(a, b, (size_t)n * sizeof *a) == 0, "packing changes a list");
        free(a);
        free(b);
    }
    cJSON_Delete(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    cJSON *root = json_parse((const char *)data, size, "fuzz", &e);
    check_samples(data, size, root);
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
