#include "engine/model/gguf.h"
#include "presets/json.h"
#include "tests/test.h"

#include <math.h>

static int open_named(const char *file, struct gguf *g, struct error *e)
{
    char path[256];
    snprintf(path, sizeof path, "tests/data/malformed/%s", file);
    return gguf_open(path, g, e);
}

TEST(every_crafted_file_gets_its_verdict)
{
    struct error e = {0};
    cJSON *cases = json_load("tests/data/malformed/gguf.json", 1 << 20, &e), *item;
    int n = 0;
    cJSON_ArrayForEach(item, cases)
    {
        const char *file = cJSON_GetStringValue(cJSON_GetObjectItem(item, "file"));
        const char *verdict = cJSON_GetStringValue(cJSON_GetObjectItem(item, "verdict"));
        struct gguf g;
        e = (struct error){0};
        int result = open_named(file, &g, &e);
        n++;
        if ((strcmp(verdict, "accept") == 0 && result != 0) ||
            (strcmp(verdict, "reject") == 0 && result == 0))
            TEST_FAIL("%s: wanted %s, got %d (%s)", file, verdict, result, e.text);
        if (result != 0 && (!e.text[0] || !strstr(e.text, ".gguf")))
            TEST_FAIL("%s: the message does not name the file: %s", file, e.text);
        if (result == 0)
            gguf_close(&g);
        else if (g.value || g.tensor || g.bytes)
            TEST_FAIL("%s: something is left of a refused file", file);
    }
    cJSON_Delete(cases);
    CHECK(n >= 46);
}

TEST(values_are_found_by_key_and_kind)
{
    struct gguf g;
    struct error e = {0};
    CHECK_INT(open_named("gguf/v02_valid_kv.gguf", &g, &e), 0);
    CHECK_INT((long long)g.n_values, 3);
    for (size_t i = 0; i < g.n_values; i++) {
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)g.value[i].key.n, g.value[i].key.bytes);
        CHECK(gguf_find(&g, key) == &g.value[i]);
    }
    CHECK(gguf_find(&g, "no.such.key") == NULL);
    struct gguf_string text;
    CHECK(gguf_text(&g, "general.architecture", &text));
    int64_t whole;
    double number;
    CHECK(!gguf_int(&g, "general.architecture", &whole) && !gguf_double(&g, "general.architecture", &number));
    gguf_close(&g);
}

/* A writer of bytes, independent of the product. */
struct bytes {
    uint8_t at[4096];
    size_t n;
};
static void put(struct bytes *b, const void *p, size_t n)
{
    memcpy(b->at + b->n, p, n);
    b->n += n;
}
static void put32(struct bytes *b, uint32_t x)
{
    put(b, &x, 4);
}
static void put64(struct bytes *b, uint64_t x)
{
    put(b, &x, 8);
}
static void put_text(struct bytes *b, const char *s)
{
    put64(b, strlen(s));
    put(b, s, strlen(s));
}
static void begin(struct bytes *b, uint64_t tensors, uint64_t values)
{
    b->n = 0;
    put(b, "GGUF", 4);
    put32(b, 3);
    put64(b, tensors);
    put64(b, values);
}

TEST(numbers_of_every_kind_and_arrays_of_strings_are_read)
{
    struct bytes b;
    begin(&b, 0, 6);
    put_text(&b, "small");
    put32(&b, GGUF_I8);
    put(&b, &(int8_t){-5}, 1);
    put_text(&b, "large");
    put32(&b, GGUF_U64);
    put64(&b, UINT64_MAX);
    put_text(&b, "float");
    put32(&b, GGUF_F32);
    put(&b, &(float){0.5f}, 4);
    put_text(&b, "yes");
    put32(&b, GGUF_BOOL);
    put(&b, &(uint8_t){1}, 1);
    put_text(&b, "words");
    put32(&b, GGUF_ARRAY);
    put32(&b, GGUF_STRING);
    put64(&b, 3);
    put_text(&b, "a");
    put_text(&b, "");
    put_text(&b, "cd");
    put_text(&b, "ids");
    put32(&b, GGUF_ARRAY);
    put32(&b, GGUF_I32);
    put64(&b, 2);
    put32(&b, 7);
    put32(&b, (uint32_t)-8);
    struct gguf g;
    struct error e = {0};
    CHECK_INT(gguf_parse(b.at, b.n, "memory", &g, &e), 0);
    int64_t whole = 0;
    double number = 0;
    bool yes = false;
    CHECK(gguf_int(&g, "small", &whole) && whole == -5);
    CHECK(!gguf_int(&g, "large", &whole)); /* no int64 holds it */
    CHECK(gguf_double(&g, "float", &number) && fabs(number - 0.5) < 1e-9);
    CHECK(gguf_bool(&g, "yes", &yes) && yes);
    CHECK(!gguf_int(&g, "ids", &whole)); /* an array is no scalar */
    const struct gguf_value *ids = gguf_find(&g, "ids");
    CHECK(gguf_int_at(ids, 1, &whole) && whole == -8);
    CHECK(!gguf_int_at(ids, 2, &whole));
    struct gguf_walk w = {0};
    struct gguf_string s;
    const struct gguf_value *words = gguf_find(&g, "words");
    CHECK(gguf_next(words, &w, &s) && gguf_equal(s, "a"));
    CHECK(gguf_next(words, &w, &s) && gguf_equal(s, ""));
    CHECK(gguf_next(words, &w, &s) && gguf_equal(s, "cd"));
    CHECK(!gguf_next(words, &w, &s));
    gguf_close(&g);
    for (size_t n = 0; n < b.n; n++) { /* cut anywhere: refused, never read beyond */
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, b.at, n);
        if (gguf_parse(exact, n, "memory", &g, &e) == 0) {
            TEST_FAIL("%zu of %zu bytes were accepted", n, b.n);
            gguf_close(&g);
        }
        free(exact);
    }
}

TEST(tensors_are_found_with_their_bytes)
{
    struct gguf g;
    struct error e = {0};
    CHECK_INT(open_named("gguf/v03_valid_tensor_f32.gguf", &g, &e), 0);
    CHECK_INT((long long)g.n_tensors, 1);
    CHECK_INT((long long)g.tensor[0].bytes, 32 * 2 * 4);
    CHECK((const uint8_t *)g.tensor[0].data + g.tensor[0].bytes <= g.bytes + g.size);
    CHECK_INT((long long)((size_t)(g.tensor[0].data - g.bytes) % g.alignment), 0);
    gguf_close(&g);
}

TEST(what_is_no_gguf_file_is_said_so)
{
    struct gguf g;
    struct error e = {0};
    CHECK_INT(gguf_open("README.md", &g, &e), -1);
    CHECK_CONTAINS(e.text, "no GGUF file");
    CHECK_INT(gguf_open("tests", &g, &e), -1);
    CHECK_CONTAINS(e.text, "is no file");
    CHECK_INT(gguf_open("/nonexistent.gguf", &g, &e), -1);
    CHECK_CONTAINS(e.text, "cannot be opened");
}
