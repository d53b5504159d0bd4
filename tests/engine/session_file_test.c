#include "engine/session_file.h"
#include "tests/engine/session_maker.h"
#include <cjson/cJSON.h>
#include <locale.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct session sample(void)
{
    struct session s = maker_session(2, 3, 6);
    for (int cell = 0; cell < 2; cell++)
        for (int arm = 0; arm < 2; arm++)
            maker_fill(&s, cell, arm, 6, 14 - 4 * arm, 0.01);
    struct session_cell *c = &s.cell[0];
    c->arm[2].status = CELL_UNSUPPORTED;
    strcpy(c->arm[2].reason, "int8 needs \"AVX2\": choose bf16 — größer");
    s.cell[1].arm[2].status = CELL_OUT_OF_MEMORY;
    struct block *b = c->arm[0].blocks[0];
    b->n_warmup = 3;
    b->warmup = calloc(3, sizeof *b->warmup);
    b->warmup[0] = (struct sample){30000000, 30000001, 0};
    b->warmup[2] = (struct sample){9007199254740993, -7, 5};
    b->flags = BLOCK_THROTTLED | BLOCK_WARMUP_NOT_STEADY;
    b->telemetry = (struct block_telemetry){.valid = TELEMETRY_CLOCK | TELEMETRY_LOAD | TELEMETRY_MEMORY,
                                            .clock_mhz = 3100.1,
                                            .load = 0.1,
                                            .memory_bytes = 1LL << 40};
    b->samples[1].device_ns = INT64_MAX;
    b->samples[2].device_ns = 9007199254740993; /* 2^53 + 1: no double holds it */
    b->samples[3].device_ns = -1;
    b->samples[4].first_ns = 1700000000000000001;
    return s;
}

static char *file_in(const char *folder, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int load_text(const char *text, struct session *s, struct error *warning, struct error *e)
{
    const char *folder = maker_folder();
    char *path = file_in(folder, "s.json");
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    int result = session_load(path, s, warning, e);
    maker_remove_folder(folder);
    return result;
}

/* The session's text with the first `from` replaced. */
static char *edited(const struct session *s, const char *from, const char *to)
{
    struct error e = {0};
    char *text = session_print(s, &e), *at = text ? strstr(text, from) : NULL;
    if (!at) {
        TEST_FAIL("\"%s\" is not in the file", from);
        return text;
    }
    char *out = malloc(strlen(text) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    free(text);
    return out;
}

TEST(a_session_that_was_saved_loads_equal_bit_for_bit)
{
    struct session s = sample(), t;
    struct error e = {0}, warning = {0};
    const char *folder = maker_folder();
    char *path = file_in(folder, "s.json");
    CHECK_INT(session_save(&s, path, &e), 0);
    CHECK_INT(session_load(path, &t, &warning, &e), 0);
    CHECK_STRING(e.text, "");
    CHECK_STRING(warning.text, "");
    CHECK(maker_equal(&s, &t));
    CHECK_STRING(t.path, path);
    session_free(&s);
    session_free(&t);
    maker_remove_folder(folder);
}

TEST(the_file_has_every_key_that_others_rely_on)
{
    struct session s = sample();
    struct error e = {0};
    char *text = session_print(&s, &e);
    cJSON *root = cJSON_Parse(text);
    static const char *const top[] = {"schema", "benchtop", "started",     "finished", "status",  "seed",
                                      "argv",   "preset",   "environment", "cells",    "criteria"};
    for (size_t i = 0; i < sizeof top / sizeof top[0]; i++)
        if (!cJSON_HasObjectItem(root, top[i]))
            TEST_FAIL("no key %s", top[i]);
    cJSON *cell = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "cells"), 1);
    cJSON *arm = cJSON_GetArrayItem(cJSON_GetObjectItem(cell, "arms"), 0);
    cJSON *block = cJSON_GetArrayItem(cJSON_GetObjectItem(arm, "blocks"), 0);
    cJSON *summary = cJSON_GetObjectItem(arm, "summary"),
          *latency = cJSON_GetObjectItem(summary, "latency_ms");
    cJSON *comparison = cJSON_GetArrayItem(cJSON_GetObjectItem(cell, "comparisons"), 0);
    static const char *const in_cell[] = {"model",  "workload", "batch", "seq",
                                          "status", "reason",   "arms",  "comparisons"};
    static const char *const in_arm[] = {"name",   "implementation", "blocks", "summary",
                                         "memory", "work",           "output"};
    static const char *const in_block[] = {"round",   "position", "warmup_ns", "samples_ns",
                                           "host_ns", "flags",    "telemetry"};
    static const char *const in_latency[] = {"n",   "blocks", "mean", "std", "min",  "max", "median",
                                             "p90", "p95",    "p99",  "cv",  "ci95", "mad", "lag1"};
    static const char *const in_summary[] = {"tokens_per_second", "time_to_first_token_ms",
                                             "time_per_output_token_ms", "cold_start_ms", "load_ms"};
    static const char *const in_comparison[] = {"baseline",        "candidate", "speedup", "speedup_ci95",
                                                "improvement_pct", "welch",     "paired",  "cohens_d",
                                                "hedges_g",        "p_holm",    "verdict", "reason"};
#define ALL(object, keys)                                                                                    \
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)                                                \
        if (!cJSON_HasObjectItem(object, keys[i]))                                                           \
    TEST_FAIL("no key %s", keys[i])
    ALL(cell, in_cell);
    ALL(arm, in_arm);
    ALL(block, in_block);
    ALL(latency, in_latency);
    ALL(summary, in_summary);
    ALL(comparison, in_comparison);
    CHECK(
        cJSON_IsNull(cJSON_GetObjectItem(summary, "time_to_first_token_ms"))); /* decode has none: never 0 */
    CHECK_STRING(cJSON_GetObjectItem(comparison, "verdict")->valuestring, "faster");
    CHECK_STRING(cJSON_GetObjectItem(comparison, "baseline")->valuestring, "baseline");
    CHECK(strstr(text, "nan") == NULL && strstr(text, "inf") == NULL);
    cJSON_Delete(root);
    free(text);
    session_free(&s);
}

TEST(ci95_is_95_percent_whatever_the_preset_asks_for)
{
    struct session s = sample();
    struct error e = {0};
    char *a = session_print(&s, &e);
    s.preset.confidence = 0.99;
    char *b = session_print(&s, &e);
    cJSON *x = cJSON_Parse(a), *y = cJSON_Parse(b);
    cJSON *roots[2] = {x, y}, *ci[2], *other[2];
    for (int i = 0; i < 2; i++) {
        cJSON *cell = cJSON_GetArrayItem(cJSON_GetObjectItem(roots[i], "cells"), 1);
        cJSON *c = cJSON_GetArrayItem(cJSON_GetObjectItem(cell, "comparisons"), 0);
        ci[i] = cJSON_GetArrayItem(cJSON_GetObjectItem(c, "speedup_ci95"), 0);
        other[i] = cJSON_GetArrayItem(cJSON_GetObjectItem(c, "speedup_ci"), 0);
    }
    CHECK_CLOSE(ci[0]->valuedouble, ci[1]->valuedouble, 0);
    CHECK(other[1]->valuedouble < other[0]->valuedouble);
    cJSON_Delete(x);
    cJSON_Delete(y);
    free(a);
    free(b);
    session_free(&s);
}

TEST(unfinished_cells_are_written_as_stopped)
{
    struct session s = maker_session(2, 2, 6), t;
    struct error e = {0}, warning = {0};
    maker_fill(&s, 0, 0, 3, 10, 0.01);
    s.cell[0].status = CELL_RUNNING;
    s.cell[0].arm[1].status = CELL_PENDING;
    struct block *b = maker_block(&s, 0, 1, 0, 10, 9, 0.01);
    b->n = 4;
    char *text = session_print(&s, &e);
    CHECK_INT(load_text(text, &t, &warning, &e), 0);
    CHECK_INT(t.cell[0].status, CELL_STOPPED);
    CHECK_INT(t.cell[1].status, CELL_STOPPED);
    CHECK_INT(t.cell[0].arm[1].blocks[0]->n, 4);
    CHECK(t.cell[0].arm[1].blocks[0]->flags & BLOCK_PARTIAL);
    free(text);
    session_free(&s);
    session_free(&t);
}

TEST(unknown_keys_are_tolerated_and_told)
{
    struct session s = sample(), t;
    struct error e = {0}, warning = {0};
    char *text = edited(&s, "\"round\": 0,", "\"round\": 0, \"color\": [1, 2],");
    CHECK_INT(load_text(text, &t, &warning, &e), 0);
    CHECK_CONTAINS(warning.text, "color");
    CHECK(maker_equal(&s, &t));
    session_free(&t);
    free(text);
    session_free(&s);
}

TEST(sessions_from_before_activations_could_be_chosen_had_them_full)
{
    static const char key[] = "\"activations\": \"full\",";
    struct session s = maker_session(1, 2, 6), t;
    struct error e = {0}, warning = {0};
    maker_fill(&s, 0, 0, 6, 10, 0.01);
    maker_fill(&s, 0, 1, 6, 10, 0.01);
    strcpy(s.preset.arms[1].bundle, "no-longer-known"); /* what the file spells is enough to run it again */
    char *text = session_print(&s, &e);
    int keys = 0;
    for (char *at; (at = strstr(text, key)); keys++)
        memset(at, ' ', sizeof key - 1);
    CHECK_INT(keys, 2 * 2); /* in the preset and in the cell */
    CHECK_INT(load_text(text, &t, &warning, &e), 0);
    CHECK_STRING(e.text, "");
    CHECK(maker_equal(&s, &t));
    CHECK_INT(t.cell[0].arm[1].implementation.activations, ACTIVATIONS_FULL);
    session_free(&t);
    free(text);
    session_free(&s);
}

TEST(bad_values_are_refused_with_file_key_and_what_was_expected)
{
    static const struct {
        const char *from, *to, *key, *expected;
    } bad[] = {
        {"\"benchtop/session/1\"", "\"benchtop/session/9\"", "schema", "benchtop/session/1"},
        {"\"status\": \"complete\"", "\"status\": \"done\"", "status", "one of running, complete"},
        {"\"batch\": 1,", "\"batch\": 0,", "cells.0.batch", "1"},
        {"\"workload\": \"decode\"", "\"workload\": \"sing\"", "cells.0.workload", "one of prefill"},
        {"\"round\": 0,", "\"round\": -1,", "cells.0.arms.0.blocks.0.round", "0"},
        {"\"round\": 0,", "\"round\": \"x\",", "cells.0.arms.0.blocks.0.round", "0"},
        {"\"samples_ns\": [", "\"samples_ns\": [1.5,", "cells.0.arms.0.blocks.0.samples_ns", "whole"},
        {"\"samples_ns\": [", "\"samples_ns\": [17,", "host_ns", "as many values as samples"},
        {"\"attention\": \"naive\"", "\"attention\": \"nave\"", "attention", "naive"},
        {"\"activations\": \"full\"", "\"activations\": \"int4\"", "activations", "use one of full, int8"},
        {"\"threads\": 2,", "\"threads\": -2,", "environment.threads", "0"},
        {"\"flags\": []", "\"flags\": [3]", "flags", "a list of words"},
        {"\"cells\": [", "\"cells\": 3, \"x\": [", "cells", "list"},
        {"\"top1_agreement\": 1,", "\"top1_agreement\": 2,", "cells.0.arms.1.output.top1_agreement",
         "0 to 1"},
        {"\"tokens\": 1", "\"tokens\": -1", "cells.0.arms.0.work.tokens", "0"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct session s = maker_session(1, 2, 6), t = {0};
        struct error e = {0};
        maker_fill(&s, 0, 0, 6, 10, 0.01);
        maker_fill(&s, 0, 1, 6, 10, 0.01);
        char *text = edited(&s, bad[i].from, bad[i].to);
        if (load_text(text, &t, NULL, &e) != -1) {
            TEST_FAIL("%s was accepted", bad[i].to);
            session_free(&t);
        }
        CHECK_CONTAINS(e.text, "s.json");
        CHECK_CONTAINS(e.text, bad[i].key);
        CHECK_CONTAINS(e.text, bad[i].expected);
        CHECK(t.cell == NULL);
        free(text);
        session_free(&s);
    }
}

TEST(long_lists_of_samples_are_as_strict_as_short_ones)
{
    static const char *const bad[] = {"01",  "1.5",   "1e3",  "-",  "", "9007199254740993",
                                      "1 2", "\"x\"", "0x10", "- 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct session s = maker_session(1, 2, 6), t = {0};
        struct error e = {0};
        char to[64];
        maker_fill(&s, 0, 0, 6, 10, 0.01);
        snprintf(to, sizeof to, "\"samples_ns\": [%s, ", bad[i]);
        char *text = edited(&s, "\"samples_ns\": [", to);
        if (load_text(text, &t, NULL, &e) != -1) {
            TEST_FAIL("%s was accepted", bad[i]);
            session_free(&t);
        }
        CHECK(e.text[0] != '\0');
        free(text);
        session_free(&s);
    }
    struct session s = maker_session(1, 2, 6), t = {0};
    struct error e = {0};
    maker_fill(&s, 0, 0, 6, 10, 0.01);
    maker_fill(&s, 0, 1, 6, 10, 0.01);
    int64_t first = s.cell[0].arm[0].blocks[0]->samples[0].device_ns;
    char from[64], to[64];
    snprintf(from, sizeof from, "%lld,", (long long)first);
    snprintf(to, sizeof to, "\n\t%lld \r\n ,", (long long)first);
    char *text = edited(&s, from, to);
    CHECK_INT(load_text(text, &t, NULL, &e), 0);
    CHECK(maker_equal(&s, &t));
    free(text);
    session_free(&t);
    session_free(&s);
}

TEST(every_prefix_of_a_session_file_is_refused_without_harm)
{
    struct session s = maker_session(1, 2, 5), t;
    struct error e = {0};
    maker_block(&s, 0, 0, 0, 2, 10, 0.01);
    char *text = session_print(&s, &e);
    const char *folder = maker_folder();
    char *path = file_in(folder, "s.json");
    size_t n = strlen(text);
    for (size_t i = 0; i + 2 < n; i += i < 300 ? 1 : 7) {
        FILE *f = fopen(path, "w");
        fwrite(text, 1, i, f);
        fclose(f);
        e = (struct error){0};
        if (session_load(path, &t, NULL, &e) == 0) {
            TEST_FAIL("%zu of %zu bytes were accepted", i, n);
            session_free(&t);
        }
    }
    maker_remove_folder(folder);
    free(text);
    session_free(&s);
}

TEST(the_file_is_the_same_in_every_locale)
{
    struct session s = sample();
    struct error e = {0};
    char *a = session_print(&s, &e);
    setlocale(LC_ALL, "de_DE.UTF-8");
    char *b = session_print(&s, &e);
    struct session t;
    CHECK_INT(load_text(a, &t, NULL, &e), 0);
    CHECK(maker_equal(&s, &t));
    setlocale(LC_ALL, "C");
    CHECK_STRING(b, a);
    free(a);
    free(b);
    session_free(&s);
    session_free(&t);
}

TEST(control_characters_in_a_reason_do_not_make_a_file_unreadable)
{
    struct session s = sample(), t;
    struct error e = {0};
    strcpy(s.cell[0].arm[2].reason, "library said:\n\tno \033[1mway\xC3");
    char *text = session_print(&s, &e);
    CHECK_INT(load_text(text, &t, NULL, &e), 0);
    CHECK_CONTAINS(t.cell[0].arm[2].reason, "library said:");
    free(text);
    session_free(&s);
    session_free(&t);
}

TEST(a_missing_file_says_where_sessions_are)
{
    const char *folder = maker_folder();
    struct session t;
    struct error e = {0};
    CHECK_INT(session_load("no-such-session", &t, NULL, &e), -1);
    CHECK_CONTAINS(e.text, "no-such-session");
    CHECK_CONTAINS(e.text, "benchtop list sessions");
    e = (struct error){0};
    CHECK_INT(session_load(folder, &t, NULL, &e), -1);
    CHECK_CONTAINS(e.text, "directory");
    maker_remove_folder(folder);
}

TEST(sessions_are_listed_newest_first_and_deleted_by_name)
{
    const char *folder = maker_folder();
    struct error e = {0};
    char path[256], sessions[128];
    snprintf(sessions, sizeof sessions, "%s/benchtop/sessions", folder);
    struct session_entry *list = NULL;
    int n = -1;
    CHECK_INT(session_list(&list, &n, &e), 0);
    CHECK_INT(n, 0);
    free(list);
    for (int i = 0; i < 3; i++) {
        struct session s = maker_session(2, 2, 6);
        sprintf(s.id, "2026-11-2%dT06-30-12-maker", i);
        sprintf(s.started, "2026-11-2%dT06:30:12Z", i);
        maker_fill(&s, 0, 0, i == 1 ? 2000 : 2, 10, 0.01); /* one is larger than the head that is read */
        snprintf(path, sizeof path, "%s/%s.json", sessions, s.id);
        CHECK_INT(session_save(&s, path, &e), 0);
        session_free(&s);
    }
    snprintf(path, sizeof path, "%s/other.json", sessions);
    FILE *f = fopen(path, "w");
    fputs("{\"schema\": \"something/else\"}", f);
    fclose(f);
    CHECK_INT(session_list(&list, &n, &e), 0);
    CHECK_INT(n, 3);
    for (int i = 0; i < n && n == 3; i++) {
        char id[96];
        sprintf(id, "2026-11-2%dT06-30-12-maker", 2 - i);
        CHECK_STRING(list[i].id, id);
        CHECK_STRING(list[i].preset, "maker");
        CHECK_STRING(list[i].models, "gpt2-124m");
        CHECK_INT(list[i].cells, 2);
        CHECK_INT(list[i].cells_ok, 1);
        CHECK_INT(list[i].status, SESSION_COMPLETE);
    }
    free(list);
    struct session s;
    CHECK_INT(session_load("2026-11-21T06-30-12-maker", &s, NULL, &e), 0);
    snprintf(path, sizeof path, "%s/a copy.json", sessions); /* is listed by the name that finds it */
    CHECK_INT(session_save(&s, path, &e), 0);
    session_free(&s);
    CHECK_INT(session_list(&list, &n, &e), 0);
    CHECK_INT(n, 4);
    for (int i = 0, copies = 0; i < n; i++) {
        copies += strcmp(list[i].id, "a copy") == 0;
        CHECK_INT(session_load(list[i].id, &s, NULL, &e), 0);
        session_free(&s);
        CHECK(i < n - 1 || copies == 1);
    }
    free(list);
    CHECK_INT(session_delete("a copy", &e), 0);
    CHECK_INT(session_delete("2026-11-21T06-30-12-maker", &e), 0);
    CHECK_INT(session_delete("2026-11-21T06-30-12-maker", &e), -1);
    CHECK_INT(session_list(&list, &n, &e), 0);
    CHECK_INT(n, 2);
    free(list);
    maker_remove_folder(folder);
}

static void cut(const char *path, double share)
{
    struct stat at;
    if (stat(path, &at) != 0 || truncate(path, (off_t)(share * (double)at.st_size)) != 0)
        TEST_FAIL("%s cannot be cut", path);
}

TEST(a_file_that_was_cut_is_listed_as_damaged)
{
    static const double share[] = {0.0002, 0.5, 0.9999, 1}; /* within the head; then within the cells */
    const char *folder = maker_folder();
    struct session s = maker_session(2, 2, 6), t;
    struct error e = {0};
    struct session_entry *none = NULL;
    int nobody = 0;
    CHECK_INT(session_list(&none, &nobody, &e), 0); /* makes the folder */
    free(none);
    maker_fill(&s, 0, 0, 2000, 10, 0.01);
    for (int small = 0; small < 2; small++)
        for (int i = 0; i < 4; i++) {
            char path[256];
            struct session_entry *list = NULL;
            int n = 0;
            snprintf(path, sizeof path, "%s/benchtop/sessions/%s.json", folder, s.id);
            CHECK_INT(session_save(&s, path, &e), 0);
            cut(path, small && i == 0 ? 0.05 : share[i]);
            CHECK_INT(session_list(&list, &n, &e), 0);
            CHECK_INT(n, 1);
            if (n == 1) {
                bool whole = i == 3;
                CHECK_STRING(list[0].id, s.id);
                CHECK(list[0].damaged == !whole);
                CHECK_STRING(session_entry_status(&list[0]), whole ? "complete" : "damaged");
                CHECK_INT(list[0].cells_ok, whole ? 1 : 0);
                CHECK_INT(session_load(list[0].id, &t, NULL, &e), whole ? 0 : -1);
                if (whole)
                    session_free(&t);
            }
            free(list);
            if (i == 3 && !small) { /* now one that is read whole */
                session_free(&s);
                s = maker_session(2, 2, 6);
                maker_fill(&s, 0, 0, 2, 10, 0.01);
            }
        }
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(a_million_samples_open_in_two_seconds)
{
    struct session s = maker_session(1, 2, 10), t;
    struct error e = {0};
    for (int arm = 0; arm < 2; arm++)
        for (int r = 0; r < 50; r++)
            maker_block(&s, 0, arm, r, 10000, 10, 0.01);
    const char *folder = maker_folder();
    char *path = file_in(folder, "s.json");
    struct timespec a, b, c;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    CHECK_INT(session_save(&s, path, &e), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    CHECK_INT(session_load(path, &t, NULL, &e), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c);
    double save = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
    double load = (double)(c.tv_sec - b.tv_sec) + 1e-9 * (double)(c.tv_nsec - b.tv_nsec);
    if (getenv("SHOW"))
        printf("save %.2f s, load %.2f s\n", save, load);
    CHECK(getenv("SANITIZER") != NULL || load < 2);
    CHECK(getenv("SANITIZER") != NULL || save < 2);
    CHECK_INT(session_samples(&t), 1000000);
    maker_remove_folder(folder);
    session_free(&s);
    session_free(&t);
}
