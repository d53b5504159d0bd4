#include "presets/json.h"
#include "presets/preset.h"
#include "tests/test.h"
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[64];

/* A temporary folder for this process; removed by the last test. */
static const char *scratch(const char *name)
{
    static char path[2][512];
    static int turn;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/benchtop-json-XXXXXX");
        if (!mkdtemp(folder))
            exit(1);
    }
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        exit(1);
}

/* Of this process's CPU: what others do on the machine does not count. */
/* CPU seconds. Speed is the benches' business; here a bound only tells linear (under a second, more under a
 * sanitizer) from quadratic (many minutes). */
#define NOT_QUADRATIC 20.0
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The three files of the manifest that are too large to keep. */
static size_t make_large(const char *file, char **out)
{
    size_t n = 0;
    char *b = *out = malloc(3000000);
    if (strstr(file, "j07")) {
        memset(b, '[', n = 1000000);
    } else if (strstr(file, "j23")) {
        b[n++] = '[';
        for (int i = 0; i < 1000000; i++) {
            b[n++] = '1';
            b[n++] = i < 999999 ? ',' : ']';
        }
    } else if (strstr(file, "j29")) {
        b[n++] = '{';
        b[n++] = '"';
        memset(b + n, 'k', 1000000);
        n += 1000000;
        memcpy(b + n, "\":1}", 4);
        n += 4;
    }
    return n;
}

static bool preset_accepts(const char *path, struct error *e)
{
    struct preset p;
    if (preset_load(path, &p, NULL, e) != 0)
        return false;
    preset_free(&p);
    return true;
}

TEST(every_malformed_file_gets_its_verdict)
{
    struct error e = {0};
    cJSON *manifest = json_load("tests/data/malformed/json.json", 1 << 20, &e), *entry;
    int n = 0;
    CHECK(manifest != NULL);
    cJSON_ArrayForEach(entry, manifest)
    {
        const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "file"));
        const char *verdict = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(entry, "verdict"));
        char path[512];
        snprintf(path, sizeof path, "tests/data/malformed/%s", file);
        if (access(path, R_OK) != 0) {
            char *bytes;
            size_t size = make_large(file, &bytes);
            CHECK(size > 1000000 - 1);
            snprintf(path, sizeof path, "%s", scratch(strrchr(file, '/') + 1));
            write_bytes(path, bytes, size);
            free(bytes);
        }
        double start = seconds();
        struct error generic = {0}, read = {0};
        cJSON *root = json_load(path, 1 << 28, &generic);
        cJSON_Delete(root);
        bool accepted = preset_accepts(path, &read);
        CHECK(seconds() - start < NOT_QUADRATIC);
        if (strcmp(verdict, "accept") == 0 ? !accepted : strcmp(verdict, "reject") == 0 && accepted)
            TEST_FAIL("%s: verdict should be %s: %s", file, verdict, read.text);
        if (!root)
            CHECK(generic.kind != ERROR_NONE && strstr(generic.text, ": "));
        if (!accepted)
            CHECK(read.kind != ERROR_NONE && error_text_is_plain(read.text));
        n++;
    }
    CHECK_INT(n, 15);
    cJSON_Delete(manifest);
}

static int refuses(const char *text, size_t size, const char *part)
{
    struct error e = {0};
    cJSON *root = json_parse(text, size, "t.json", &e);
    cJSON_Delete(root);
    CHECK_CONTAINS(e.text, part);
    CHECK_CONTAINS(e.text, "t.json: ");
    return root == NULL;
}

TEST(what_cjson_lets_through_is_refused_with_line_and_column)
{
    CHECK(refuses("{\"a\":1} x", 9, "line 1, column 9"));
    CHECK(refuses("{\"a\":1}\0", 8, "NUL byte"));
    CHECK(refuses("{\n \"a\":\"\\u0000b\"}", 18, "line 2, column 7"));
    CHECK(refuses("{\"a\":", 5, "ends too early"));
    CHECK(refuses("{\"a\":\"x\ty\"}", 11, "control character inside a text"));
    CHECK(refuses("", 0, "empty"));
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    CHECK(refuses(deep, 400, "nested too deeply"));
}

TEST(a_byte_order_mark_and_crlf_are_accepted)
{
    struct error e = {0};
    const char *text = "\xEF\xBB\xBF{\r\n\"a\":1\r\n}\r\n";
    cJSON *root = json_parse(text, strlen(text), "t", &e);
    CHECK(root != NULL);
    cJSON_Delete(root);
}

TEST(brackets_inside_texts_do_not_count_as_depth)
{
    struct error e = {0};
    char text[1200] = "[\"";
    memset(text + 2, '[', 1000);
    snprintf(text + 1002, 16, "\\\"[\"]");
    cJSON *root = json_parse(text, strlen(text), "t", &e);
    CHECK(root != NULL);
    cJSON_Delete(root);
}

static struct error got;
static const struct json_at at = {"f.json", "cells.2", &got};

static cJSON *object_of(const char *text)
{
    got = (struct error){0};
    cJSON *root = json_parse(text, strlen(text), "f.json", &got);
    CHECK(root != NULL);
    return root;
}

TEST(getters_find_miss_and_complain)
{
    cJSON *o = object_of("{\"n\":5,\"t\":\"x\",\"d\":0.5,\"b\":true,\"nil\":null,\"l\":[1,2],\"o\":{}}");
    int n = -7;
    int64_t i = -7;
    double d = -7;
    bool b = false;
    char t[8] = "old";
    const cJSON *item = NULL;
    CHECK_INT(json_int(&at, o, "n", 1, 10, &n), JSON_FOUND);
    CHECK_INT(n, 5);
    CHECK_INT(json_int(&at, o, "nil", 1, 10, &n), JSON_ABSENT);
    CHECK_INT(json_int(&at, o, "N", 1, 10, &n), JSON_ABSENT);
    CHECK_INT(json_int(&at, NULL, "n", 1, 10, &n), JSON_ABSENT);
    CHECK_INT(json_text(&at, o, "t", t, sizeof t), JSON_FOUND);
    CHECK_INT(json_double(&at, o, "d", 0, 1, &d), JSON_FOUND);
    CHECK_INT(json_bool(&at, o, "b", &b), JSON_FOUND);
    CHECK_INT(json_array(&at, o, "l", &item), JSON_FOUND);
    CHECK_INT(json_object(&at, o, "o", &item), JSON_FOUND);
    CHECK_INT(got.kind, ERROR_NONE);
    CHECK_INT(json_int(&at, o, "n", 6, 10, &n), -1);
    CHECK_INT(json_int(&at, o, "d", 0, 10, &n), -1);
    CHECK_INT(json_int64(&at, o, "l", 0, 10, &i), -1);
    CHECK_INT(json_text(&at, o, "n", t, sizeof t), -1);
    CHECK_INT(json_double(&at, o, "t", 0, 1, &d), -1);
    CHECK_INT(json_bool(&at, o, "n", &b), -1);
    CHECK_INT(json_array(&at, o, "o", &item), -1);
    CHECK_INT(json_object(&at, o, "l", &item), -1);
    CHECK_INT(n, 5);
    CHECK_INT(i, -7);
    CHECK_STRING(t, "x");
    CHECK_CLOSE(d, 0.5, 0);
    CHECK_CONTAINS(got.text, "f.json: cells.2.n: expected a whole number from 6 to 10, found 5; ");
    CHECK_CONTAINS(got.text, "f.json: cells.2.l: expected an object, found a list");
    cJSON_Delete(o);
}

TEST(texts_with_control_characters_or_too_long_are_refused)
{
    cJSON *o = object_of("{\"a\":\"x\\u001b[0m\",\"b\":\"12345678\"}");
    char t[8] = "old";
    CHECK_INT(json_text(&at, o, "a", t, sizeof t), -1);
    CHECK_INT(json_text(&at, o, "b", t, sizeof t), -1);
    CHECK_STRING(t, "old");
    CHECK(error_text_is_plain(got.text));
    cJSON_Delete(o);
}

TEST(integers_are_exact_or_refused)
{
    cJSON *o =
        object_of("{\"a\":9007199254740991,\"b\":9007199254740993,\"c\":\"9223372036854775807\","
                  "\"d\":\"18446744073709551615\",\"e\":\"18446744073709551616\",\"f\":\" 5\",\"g\":\"5x\","
                  "\"h\":1e300,\"i\":-1,\"j\":\"-9223372036854775808\"}");
    int64_t v = 0;
    uint64_t u = 0;
    CHECK_INT(json_int64(&at, o, "a", INT64_MIN, INT64_MAX, &v), JSON_FOUND);
    CHECK_INT(v, 9007199254740991LL);
    CHECK_INT(json_int64(&at, o, "b", INT64_MIN, INT64_MAX, &v), -1);
    CHECK_INT(json_int64(&at, o, "c", INT64_MIN, INT64_MAX, &v), JSON_FOUND);
    CHECK_INT(v, INT64_MAX);
    CHECK_INT(json_int64(&at, o, "j", INT64_MIN, INT64_MAX, &v), JSON_FOUND);
    CHECK_INT(v, INT64_MIN);
    CHECK_INT(json_uint64(&at, o, "d", &u), JSON_FOUND);
    CHECK(u == UINT64_MAX);
    CHECK_INT(json_uint64(&at, o, "e", &u), -1);
    CHECK_INT(json_int64(&at, o, "f", INT64_MIN, INT64_MAX, &v), -1);
    CHECK_INT(json_int64(&at, o, "g", INT64_MIN, INT64_MAX, &v), -1);
    CHECK_INT(json_int64(&at, o, "h", INT64_MIN, INT64_MAX, &v), -1);
    CHECK_INT(json_uint64(&at, o, "i", &u), -1);
    CHECK_CONTAINS(got.text, "in quotes when beyond 2^53");
    cJSON_Delete(o);
}

TEST(a_key_given_twice_is_refused_and_unknown_keys_are_moved_in_order)
{
    static const char *const known[] = {"a", "b"};
    struct error warning = {0};
    cJSON *unknown = NULL, *o = object_of("{\"z\":1,\"a\":2,\"y\":{\"k\":[1]},\"b\":3,\"A\":4}");
    CHECK_INT(json_keys(&at, o, known, 2, &unknown, &warning), 0);
    char *text = json_print(unknown, 0), *rest = json_print(o, 0);
    CHECK_STRING(text, "{\"z\":1,\"y\":{\"k\":[1]},\"A\":4}");
    CHECK_STRING(rest, "{\"a\":2,\"b\":3}");
    CHECK_CONTAINS(warning.text, "f.json: cells.2.z: unknown key");
    free(text);
    free(rest);
    cJSON_Delete(unknown);
    cJSON_Delete(o);
    o = object_of("{\"a\":1,\"b\":2,\"a\":3}");
    CHECK_INT(json_keys(&at, o, known, 2, NULL, NULL), -1);
    CHECK_CONTAINS(got.text, "cells.2.a: given twice");
    cJSON_Delete(o);
    o = object_of("{\"q\":1,\"q\":2}");
    unknown = NULL;
    CHECK_INT(json_keys(&at, o, known, 2, &unknown, NULL), -1);
    cJSON_Delete(unknown);
    cJSON_Delete(o);
}

static uint64_t random_bits(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void check_doubles_come_back(void)
{
    uint64_t state = 88172645463325252ULL;
    int lost = 0;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = random_bits(&state);
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (i % 3 == 1)
            value = (double)(int64_t)(bits >> 24) * 1e-6; /* milliseconds made of nanoseconds */
        if (i % 3 == 2)
            value = (double)(int64_t)(bits >> 11); /* integers below 2^53 */
        char text[40];
        int n = json_number_text(value, text, sizeof text);
        CHECK(n > 0 && n < 32 && !strchr(text, ','));
        if (!isfinite(value)) {
            CHECK_STRING(text, "null");
            continue;
        }
        cJSON *item = cJSON_Parse(text);
        back = item ? item->valuedouble : NAN;
        cJSON_Delete(item);
        lost += memcmp(&back, &value, sizeof value) != 0;
    }
    CHECK_INT(lost, 0);
}

TEST(every_double_reads_back_bit_for_bit)
{
    char text[40];
    check_doubles_come_back();
    json_number_text(-0.0, text, sizeof text);
    CHECK_STRING(text, "-0.0");
    json_number_text(0.1, text, sizeof text);
    CHECK_STRING(text, "0.1");
    json_number_text(1.7976931348623157e308, text, sizeof text);
    CHECK_STRING(text, "1.7976931348623157e+308");
    json_number_text(9007199254740992.0, text, sizeof text);
    CHECK_STRING(text, "9007199254740992");
}

TEST(numbers_are_the_same_in_a_locale_with_a_decimal_comma)
{
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
        char command[256];
        const char *locale = scratch("de_DE.UTF-8");
        snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s >/dev/null 2>&1", locale);
        setenv("LOCPATH", folder, 1);
        if (system(command) != 0 || !setlocale(LC_NUMERIC, "de_DE.UTF-8"))
            SKIP("the locale de_DE.UTF-8 is not installed and cannot be made");
    }
    CHECK_STRING(localeconv()->decimal_point, ",");
    char text[40];
    json_number_text(1234.5, text, sizeof text);
    CHECK_STRING(text, "1234.5");
    check_doubles_come_back();
    setlocale(LC_NUMERIC, "C");
}

TEST(a_million_integers_are_written_and_read_in_linear_time)
{
    enum { N = 1000000 };
    int64_t *values = malloc(N * sizeof *values), *back = NULL, n = 0;
    for (int64_t i = 0; i < N; i++)
        values[i] = i % 1000 == 0 ? INT64_MAX - i : i % 777 == 0 ? -i : i * 1234567;
    double start = seconds();
    cJSON *o = cJSON_CreateObject();
    CHECK(json_add_int64_array(o, "ns", values, N) != NULL);
    char *text = json_print(o, 0);
    double wrote = seconds() - start;
    cJSON_Delete(o);
    start = seconds();
    o = object_of(text);
    CHECK_INT(json_int64_array(&at, o, "ns", &back, &n), JSON_FOUND);
    double read = seconds() - start;
    CHECK_INT(n, N);
    CHECK(n == N && memcmp(back, values, N * sizeof *values) == 0);
    CHECK(wrote < NOT_QUADRATIC && read < NOT_QUADRATIC);
    cJSON_Delete(o);
    free(text);
    free(back);
    free(values);
    o = cJSON_CreateObject();
    CHECK(json_add_int64_array(o, "ns", NULL, 0) != NULL);
    text = json_print(o, 0);
    CHECK_STRING(text, "{\"ns\":[]}");
    free(text);
    cJSON_Delete(o);
}

static void check_list(const cJSON *o, const char *key, const int64_t *want, int64_t n_want)
{
    int64_t *values = NULL, n = 0;
    CHECK_INT(json_int64_array(&at, o, key, &values, &n), JSON_FOUND);
    CHECK_INT(n, n_want);
    if (n > 0 && n == n_want)
        CHECK(memcmp(values, want, (size_t)n * sizeof *values) == 0);
    free(values);
}

TEST(samples_are_packed_only_where_nothing_changes)
{
    static const char text[] =
        "{\"a_ns\" : [ 1 ,-2,3\n,999999999999999],\"b\":[1,2,3,4],\"c_ns\":[1,2,3,4,5.5],"
        "\"d_ns\":[1,2],\"e_ns\":[1,2,3,9007199254740991],\"f_ns\":[],\"g\":\"_ns\","
        "\"h_ns\":\"[1,2,3,4]\",\"i_ns\":[0,0,0,0],\"j\":{\"k_ns\":[5,6,7,8]},"
        "\"l_ns\":[\"_ns\",[1,2,3,4]],\"m_ns\":\"1\\u00022,x\",\"n_ns\":[01,2,3,4],"
        "\"o_ns\":\"1\\u000299999999999999999999\"}";
    const char *path = scratch("samples.json");
    write_bytes(path, text, sizeof text - 1);
    got = (struct error){0};
    cJSON *o = json_load_samples(path, 10000, &got);
    CHECK(o != NULL);
    check_list(o, "a_ns", (const int64_t[]){1, -2, 3, 999999999999999}, 4);
    check_list(o, "b", (const int64_t[]){1, 2, 3, 4}, 4);
    check_list(o, "d_ns", (const int64_t[]){1, 2}, 2);
    check_list(o, "e_ns", (const int64_t[]){1, 2, 3, 9007199254740991}, 4);
    check_list(o, "f_ns", NULL, 0);
    check_list(o, "i_ns", (const int64_t[]){0, 0, 0, 0}, 4);
    check_list(cJSON_GetObjectItemCaseSensitive(o, "j"), "k_ns", (const int64_t[]){5, 6, 7, 8}, 4);
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "h_ns")), "[1,2,3,4]");
    CHECK(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(o, "b")));
    CHECK_INT(got.kind, ERROR_NONE);
    int64_t *values = NULL, n = 0;
    CHECK_INT(json_int64_array(&at, o, "c_ns", &values, &n), -1);
    CHECK_INT(json_int64_array(&at, o, "m_ns", &values, &n), -1);
    CHECK_INT(json_int64_array(&at, o, "o_ns", &values, &n), -1);
    CHECK_INT(json_int64_array(&at, o, "h_ns", &values, &n), -1);
    CHECK_INT(json_int64_array(&at, o, "l_ns", &values, &n), -1);
    CHECK(values == NULL);
    cJSON_Delete(o);
    write_bytes(path, "{\"a_ns\":[1,2,3,,4]}", 19);
    CHECK(json_load_samples(path, 10000, &got) == NULL);
    write_bytes(path, "{\"a_ns\":[1,2,3,4", 16);
    CHECK(json_load_samples(path, 10000, &got) == NULL);
}

TEST(a_session_of_a_million_samples_is_read_at_little_cost)
{
    enum { BLOCKS = 20000, SAMPLES = 50 };
    const char *path = scratch("million.json");
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    fprintf(f, "{\"blocks\":[");
    for (int b = 0; b < BLOCKS; b++) {
        fprintf(f, "%s{\"samples_ns\":[", b ? "," : "");
        for (int i = 0; i < SAMPLES; i++)
            fprintf(f, "%s%d", i ? "," : "", 10000000 + b * SAMPLES + i);
        fprintf(f, "]}");
    }
    fprintf(f, "]}");
    CHECK_INT(fclose(f), 0);
    double start = seconds();
    cJSON *o = json_load_samples(path, 100 << 20, &got), *block;
    int64_t sum = 0;
    CHECK(o != NULL);
    cJSON_ArrayForEach(block, cJSON_GetObjectItemCaseSensitive(o, "blocks"))
    {
        int64_t *values = NULL, n = 0;
        CHECK_INT(json_int64_array(&at, block, "samples_ns", &values, &n), JSON_FOUND);
        CHECK_INT(n, SAMPLES);
        for (int64_t i = 0; i < n; i++)
            sum += values[i] - 10000000;
        free(values);
    }
    CHECK_INT(sum, 499999500000);
    CHECK(seconds() - start < NOT_QUADRATIC);
    cJSON_Delete(o);
    unlink(path);
}

TEST(texts_are_escaped_and_always_utf8)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "a\"b", "\x01\t\n\\\"\x7f é \xFF\xC3( \xED\xA0\x80 \xE2\x80\xAE \xC2\x9B");
    cJSON_AddNumberToObject(o, "nan", NAN);
    char *text = json_print(o, 0);
    CHECK_STRING(text, "{\"a\\\"b\":\"\\u0001\\t\\n\\\\\\\"\\u007f é \xEF\xBF\xBD\xEF\xBF\xBD( "
                       "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD \xE2\x80\xAE \xC2\x9B\",\"nan\":null}");
    cJSON *back = json_parse(text, strlen(text), "t", NULL);
    CHECK(back != NULL);
    char *again = json_print(back, 0);
    CHECK_STRING(again, text);
    free(again);
    free(text);
    cJSON_Delete(back);
    cJSON_Delete(o);
}

TEST(indented_text_keeps_lists_of_numbers_on_one_line)
{
    cJSON *o = object_of("{\"a\":[1,2.5],\"b\":{\"c\":[]},\"d\":[{\"e\":1}],\"f\":{}}");
    char *text = json_print(o, 2);
    CHECK_STRING(
        text,
        "{\n  \"a\": [1, 2.5],\n  \"b\": {\n    \"c\": []\n  },\n  \"d\": [\n    {\n      \"e\": 1\n    "
        "}\n  ],\n  \"f\": {}\n}\n");
    free(text);
    cJSON_Delete(o);
}

static int refuses_file(const char *path, size_t limit, const char *part)
{
    struct error e = {0};
    size_t size;
    char *text = json_read_file(path, limit, &size, &e);
    free(text);
    CHECK_CONTAINS(e.text, part);
    return text == NULL;
}

TEST(odd_files_are_refused_at_once)
{
    double start = seconds();
    CHECK(refuses_file("/tmp", 100, "a directory, not a file"));
    CHECK(refuses_file("/dev/zero", 100, "a pipe or device"));
    CHECK(refuses_file(scratch("absent"), 100, "No such file"));
    const char *fifo = scratch("fifo");
    CHECK_INT(mkfifo(fifo, 0600), 0);
    CHECK(refuses_file(fifo, 100, "a pipe or device"));
    unlink(fifo);
    const char *sparse = scratch("sparse");
    int fd = open(sparse, O_CREAT | O_RDWR, 0600);
    CHECK_INT(ftruncate(fd, 100 << 20), 0);
    close(fd);
    CHECK(refuses_file(sparse, 1 << 20, "is this the right file?"));
    struct preset p;
    struct error e = {0};
    CHECK_INT(preset_load(sparse, &p, NULL, &e), -1);
    unlink(sparse);
    const char *loop = scratch("loop");
    CHECK_INT(symlink(loop, loop), 0);
    CHECK(refuses_file(loop, 100, "cannot open"));
    unlink(loop);
    const char *empty = scratch("empty");
    write_bytes(empty, "", 0);
    cJSON *root = json_load(empty, 100, &e);
    CHECK(root == NULL);
    CHECK_CONTAINS(e.text, "the file is empty");
    CHECK(seconds() - start < NOT_QUADRATIC);
}

TEST(a_file_without_permission_is_refused)
{
    if (geteuid() == 0)
        SKIP("root reads every file");
    const char *path = scratch("secret");
    write_bytes(path, "{}", 2);
    chmod(path, 0);
    CHECK(refuses_file(path, 100, "Permission denied"));
    unlink(path);
}

static int entries_in(const char *dir)
{
    char command[128], line[16] = "";
    snprintf(command, sizeof command, "ls -A %s | wc -l", dir);
    FILE *f = popen(command, "r");
    CHECK(f && fgets(line, sizeof line, f));
    if (f)
        pclose(f);
    return atoi(line);
}

TEST(a_write_replaces_the_file_whole_and_leaves_nothing_behind)
{
    struct error e = {0};
    size_t size;
    const char *path = scratch("w.json");
    int before = entries_in(folder);
    CHECK_INT(json_write_file(path, "old", 3, &e), 0);
    CHECK_INT(json_write_file(path, "new text", 8, &e), 0);
    char *text = json_read_file(path, 100, &size, &e);
    CHECK_STRING(text, "new text");
    CHECK_INT(size, 8);
    free(text);
    CHECK_INT(entries_in(folder), before + 1);
    CHECK_INT(json_write_file(scratch("no/such/folder"), "x", 1, &e), -1);
    CHECK_CONTAINS(e.text, "cannot write: No such file");
    CHECK_INT(json_write_file(folder, "x", 1, &e), -1);
    CHECK_CONTAINS(e.text, "is a directory");
    CHECK_INT(entries_in(folder), before + 1);
}

TEST(a_device_is_written_through_and_its_failure_told)
{
    struct error e = {0};
    CHECK_INT(json_write_file("/dev/null", "x", 1, &e), 0);
    if (access("/dev/full", W_OK) == 0) {
        CHECK_INT(json_write_file("/dev/full", "x", 1, &e), -1);
        CHECK_CONTAINS(e.text, "No space left");
    }
    struct stat s;
    CHECK(stat("/dev/null", &s) == 0 && S_ISCHR(s.st_mode));
}

TEST(the_temporary_folder_is_removed)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder[0] ? folder : "/nonexistent");
    CHECK_INT(system(command), 0);
}
