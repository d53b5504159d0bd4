#include "engine/export_report.h"
#include "tests/test.h"
#include <cJSON.h>
#include <stdbool.h>

static struct report *two_rows(void)
{
    struct report *r = report_new();
    report_row(r);
    report_text(r, "name", "short", NULL);
    report_number(r, "size_bytes", 2048, "2.00 KiB");
    report_text(r, "path", "/here", "");
    report_bool(r, "ok", true, NULL);
    report_text(r, "what", "some words", NULL);
    report_row(r);
    report_text(r, "name", "naïve · longer", NULL);
    report_number(r, "size_bytes", (double)NAN, NULL);
    report_text(r, "path", "", "");
    report_bool(r, "ok", false, NULL);
    report_text(r, "what", "a sentence that is too long for the room that is left to it", NULL);
    return r;
}

static cJSON *parsed(char *text)
{
    cJSON *json = cJSON_Parse(text);
    if (!json)
        TEST_FAIL("not JSON: %s", text ? text : "(null)");
    free(text);
    return json;
}

TEST(columns_line_up_by_characters_not_bytes)
{
    struct error e = {0};
    struct report *r = two_rows();
    char *text = report_print(r, 0, &e);
    CHECK_STRING(
        text, "name            size      ok   what\n"
              "short           2.00 KiB  yes  some words\n"
              "naïve · longer  –         no   a sentence that is too long for the room that is left to it\n");
    free(text);
    report_free(r);
}

TEST(the_last_column_is_wrapped_under_itself)
{
    struct error e = {0};
    struct report *r = two_rows();
    char *text = report_print(r, 60, &e);
    CHECK_CONTAINS(text, "no   a sentence that is too long\n"
                         "                               for the room that is left to\n"
                         "                               it\n");
    free(text);
    report_free(r);
}

TEST(json_has_every_field_and_null_for_what_is_absent)
{
    struct error e = {0};
    struct report *r = two_rows();
    cJSON *json = parsed(report_print_json(r, &e));
    CHECK_INT(cJSON_GetArraySize(json), 2);
    cJSON *first = cJSON_GetArrayItem(json, 0), *second = cJSON_GetArrayItem(json, 1);
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetObjectItem(first, "path")), "/here");
    CHECK_CLOSE(cJSON_GetNumberValue(cJSON_GetObjectItem(first, "size_bytes")), 2048.0, 0);
    CHECK(cJSON_IsTrue(cJSON_GetObjectItem(first, "ok")));
    CHECK(cJSON_IsNull(cJSON_GetObjectItem(second, "size_bytes")));
    CHECK(cJSON_IsNull(cJSON_GetObjectItem(second, "path")));
    cJSON_Delete(json);
    report_free(r);
}

TEST(no_rows_are_no_text_and_an_empty_array)
{
    struct error e = {0};
    struct report *r = report_new();
    char *text = report_print(r, 80, &e), *json = report_print_json(r, &e);
    CHECK_STRING(text, "");
    CHECK_STRING(json, "[]");
    free(text);
    free(json);
    report_free(r);
}

TEST(the_command_line_becomes_json_whatever_its_bytes)
{
    struct error e = {0};
    char program[] = "benchtop", quotes[] = "a \"b\"\n", bytes[] = "x\xff\xc0\xaf\xed\xa0\x80y",
         good[] = "é€𝄞";
    char *argv[] = {program, quotes, bytes, good};
    cJSON *json = parsed(report_argv_json(4, argv, &e));
    CHECK_INT(cJSON_GetArraySize(json), 4);
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetArrayItem(json, 1)), "a \"b\"\n");
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetArrayItem(json, 2)),
                 "x\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDy");
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetArrayItem(json, 3)), "é€𝄞");
    cJSON_Delete(json);
}

static void make_plan(struct preset *p, struct device *d, struct plan *plan)
{
    struct error e = {0};
    const char *text =
        "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"cpu\","
        "\"models\":[\"tests/data/models/tiny-llama.json\",\"tests/data/models/tiny-bert.json\"],"
        "\"workloads\":[\"decode\"],\"batch\":[1,2],\"seq\":[16],\"arms\":[\"baseline\",\"fused\"]}";
    setenv("BENCHTOP_CATALOG", "presets", 1);
    CHECK_INT(preset_parse(text, strlen(text), "t", p, NULL, &e), 0);
    CHECK_INT(device_find("cpu", d, &e), 0);
    CHECK_INT(plan_build(p, d, plan, &e), 0);
    CHECK_STRING(e.text, "");
}

TEST(a_plan_as_json_has_every_cell_and_arm)
{
    struct error e = {0};
    struct preset p = {0};
    struct device d = {0};
    struct plan plan = {0};
    make_plan(&p, &d, &plan);
    cJSON *json = parsed(report_plan_json(&p, &d, &plan, &e));
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetObjectItem(json, "schema")), "benchtop/plan/1");
    cJSON *cells = cJSON_GetObjectItem(json, "cells"), *cell;
    CHECK_INT(cJSON_GetArraySize(cells), 4);
    cJSON_ArrayForEach(cell, cells)
    {
        bool encoder = !strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(cell, "model")), "tiny-bert");
        cJSON *arms = cJSON_GetObjectItem(cell, "arms"), *arm = cJSON_GetArrayItem(arms, 1);
        CHECK_INT(cJSON_GetArraySize(arms), 2);
        CHECK_STRING(cJSON_GetStringValue(cJSON_GetObjectItem(arm, "name")), "fused");
        CHECK_INT(!cJSON_IsTrue(cJSON_GetObjectItem(cell, "supported")), encoder);
        CHECK_INT(!cJSON_IsNull(cJSON_GetObjectItem(arm, "reason")), encoder);
        CHECK_INT(!cJSON_IsNumber(cJSON_GetObjectItem(arm, "sample_s")), encoder);
    }
    cJSON_Delete(json);
    plan_free(&plan);
    preset_free(&p);
}

TEST(findings_as_json_keep_what_is_not_there)
{
    struct error e = {0};
    struct device d = {.id = "cpu", .title = "a machine"};
    struct device_finding f[] = {{"driver", "", "no cuda", false, false},
                                 {"memory", "1 GiB", "plans", true, false}};
    cJSON *json = parsed(report_doctor_json(&d, f, 2, &e));
    cJSON *findings = cJSON_GetObjectItem(json, "findings");
    CHECK_INT(cJSON_GetArraySize(findings), 2);
    CHECK(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetArrayItem(findings, 0), "found")));
    CHECK(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "device"), "memory_bytes")));
    CHECK(cJSON_IsString(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "benchtop"), "version")));
    cJSON_Delete(json);
}

static long allocations_left;
static void *failing_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

/* Every allocation of cJSON in turn: an error with a text and nothing leaked (the sanitizer builds tell),
 * never a half report. */
TEST(any_allocation_may_fail)
{
    struct preset p = {0};
    struct device d = {0};
    struct plan plan = {0};
    struct device_finding f = {"memory", "1 GiB", "plans", true, false};
    char word[] = "benchtop", *argv[] = {word};
    cJSON_Hooks hooks = {failing_malloc, free};
    make_plan(&p, &d, &plan);
    cJSON_InitHooks(&hooks);
    for (int what = 0; what < 4; what++) {
        bool done = false;
        for (long n = 0; !done && n < 20000; n++) {
            struct error e = {0};
            char *text = NULL;
            allocations_left = n;
            if (what == 0)
                text = report_plan_json(&p, &d, &plan, &e);
            else if (what == 1)
                text = report_doctor_json(&d, &f, 1, &e);
            else if (what == 2)
                text = report_argv_json(1, argv, &e);
            else {
                struct report *r = report_new();
                for (int row = 0; r && row < 2; row++) {
                    report_row(r);
                    report_text(r, "key", "value", NULL);
                    report_number(r, "number", 1, NULL);
                    report_bool(r, "flag", true, NULL);
                }
                if (r)
                    text = report_print_json(r, &e);
                else
                    error_set(&e, ERROR_MEMORY, "no report");
                report_free(r);
            }
            done = text != NULL;
            if (!done && (e.kind != ERROR_MEMORY || !*e.text))
                TEST_FAIL("%d fails without a word at allocation %ld", what, n);
            cJSON *json = text ? cJSON_Parse(text) : NULL;
            (void)json;
            cJSON_Delete(json);
            free(text);
        }
        CHECK(done);
    }
    cJSON_InitHooks(NULL);
    plan_free(&plan);
    preset_free(&p);
}
