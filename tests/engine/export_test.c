#include "engine/export.h"
#include "tests/engine/golden.h"
#include "tests/engine/session_maker.h"
#include <cjson/cJSON.h>
#include <locale.h>

static struct session sample(int n_batch, int n_arms)
{
    maker_state = 11;
    struct session s = maker_session(n_batch, n_arms, 10);
    for (int cell = 0; cell < n_batch; cell++) {
        maker_fill(&s, cell, 0, 10, 14.2 * (1 + cell), 0.01);
        maker_fill(&s, cell, 1, 10, (10 + 2 * cell) * (1 + cell), 0.01);
    }
    if (n_arms > 2) {
        s.cell[0].arm[2].status = CELL_UNSUPPORTED;
        strcpy(s.cell[0].arm[2].reason, "int8 | products need \"AVX2\", choose bf16");
    }
    return s;
}

static char *print(const struct session *s, const char *format)
{
    struct error e = {0};
    const struct export_format *f = export_find(format, &e);
    char *text = f ? f->print(s, &e) : NULL;
    if (!text)
        TEST_FAIL("%s: %s", format, e.text);
    return text;
}

static double number(const cJSON *o, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static const char *word(const cJSON *o, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return text ? text : "";
}

TEST(formats_are_found_by_name_and_misspellings_get_the_nearest)
{
    struct error e = {0};
    CHECK(export_find("md", &e) == &export_formats[3]);
    CHECK(export_find("lama-bench", &e) == NULL);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "did you mean llama-bench?");
}

TEST(every_format_is_the_same_in_every_locale)
{
    struct session s = sample(2, 3);
    for (int i = 0; i < export_n_formats; i++) {
        char *a = print(&s, export_formats[i].name);
        setlocale(LC_ALL, "de_DE.UTF-8");
        char *b = print(&s, export_formats[i].name);
        setlocale(LC_ALL, "C");
        CHECK_STRING(b, a);
        free(a);
        free(b);
    }
    session_free(&s);
}

TEST(every_format_prints_a_session_without_samples)
{
    struct session s = maker_session(2, 3, 10);
    for (int i = 0; i < export_n_formats; i++)
        free(print(&s, export_formats[i].name));
    s.n_cells = 0;
    for (int i = 0; i < export_n_formats; i++)
        free(print(&s, export_formats[i].name));
    s.n_cells = 2;
    session_free(&s);
}

TEST(jsonl_has_a_line_per_block_with_every_sample)
{
    struct session s = sample(2, 2);
    char *text = print(&s, "jsonl"), *line = text;
    int lines = 0;
    int64_t samples = 0;
    for (char *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        *end = '\0';
        cJSON *o = cJSON_Parse(line);
        CHECK(o != NULL);
        CHECK_STRING(word(o, "model"), "gpt2-124m");
        samples += cJSON_GetArraySize(cJSON_GetObjectItem(o, "samples_ns"));
        if (lines == 0)
            CHECK_CLOSE(cJSON_GetObjectItem(o, "samples_ns")->child->valuedouble,
                        (double)s.cell[0].arm[0].blocks[0]->samples[0].device_ns, 0);
        cJSON_Delete(o);
    }
    CHECK_INT(lines, 40);
    CHECK_INT(samples, session_samples(&s));
    free(text);
    session_free(&s);
}

/* Fields of one csv record, unquoted; returns the number, advances *at behind the line end. */
static int csv_record(char **at, char *fields[], int most)
{
    int n = 0;
    char *p = *at;
    while (*p && n < most) {
        char *to = p;
        fields[n++] = p;
        if (*p == '"') {
            for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
                if (*p == '"')
                    p++;
                *to++ = *p;
            }
            p++;
        } else {
            while (*p && *p != ',' && *p != '\n')
                *to++ = *p++;
        }
        char end = *p;
        *to = '\0';
        p++;
        if (end != ',')
            break;
    }
    *at = p;
    return n;
}

TEST(csv_has_a_row_per_arm_and_cell_and_quotes_what_needs_it)
{
    struct session s = sample(2, 3);
    s.cell[0].arm[1].quality =
        (struct arm_quality){.known = QUALITY_KL, .tokens = 100, .kl = 0.125, .source = "seeded random ids"};
    char *text = print(&s, "csv"), *at = text, *head[128], *row[128];
    int n = csv_record(&at, head, 128), rows = 0, mean = -1, reason = -1, verdict = -1, kl = -1;
    for (int i = 0; i < n; i++) {
        mean = strcmp(head[i], "mean_ms") == 0 ? i : mean;
        reason = strcmp(head[i], "reason") == 0 ? i : reason;
        verdict = strcmp(head[i], "verdict") == 0 ? i : verdict;
        kl = strcmp(head[i], "kl") == 0 ? i : kl;
    }
    CHECK(mean > 0 && reason > 0 && verdict > 0);
    CHECK_STRING(head[n - 1], "text_bytes_per_second");
    CHECK(kl > verdict);
    for (; *at; rows++) {
        CHECK_INT(csv_record(&at, row, 128), n);
        struct arm_summary a;
        int cell = rows / 3, arm = rows % 3;
        if (summary_arm(&s, cell, arm, &a) == 0)
            CHECK_CLOSE(strtod(row[mean], NULL), a.latency.mean, 0);
        else
            CHECK_STRING(row[mean], "");
        if (cell == 0 && arm == 2)
            CHECK_STRING(row[reason], s.cell[0].arm[2].reason);
        CHECK_STRING(row[verdict], arm == 1 ? "faster" : "");
        CHECK_STRING(row[kl], cell == 0 && arm == 1 ? "0.125" : ""); /* not known is empty, never 0 */
    }
    CHECK_INT(rows, 6);
    free(text);
    session_free(&s);
}

/* The keys that llama.cpp's compare script joins rows on. */
static const char *const join_keys[] = {
    "cpu_info",       "gpu_info",   "backends",      "n_gpu_layers", "tensor_buft_overrides",
    "model_filename", "model_type", "n_batch",       "n_ubatch",     "embeddings",
    "cpu_mask",       "cpu_strict", "poll",          "n_threads",    "type_k",
    "type_v",         "use_mmap",   "no_kv_offload", "split_mode",   "main_gpu",
    "tensor_split",   "flash_attn", "n_prompt",      "n_gen",        "n_depth"};

TEST(a_llama_bench_pair_differs_in_build_commit_alone)
{
    struct session s = sample(2, 2);
    char *text = print(&s, "llama-bench");
    cJSON *root = cJSON_Parse(text);
    CHECK_INT(cJSON_GetArraySize(root), 4);
    const cJSON *a = cJSON_GetArrayItem(root, 0), *b = cJSON_GetArrayItem(root, 1);
    for (size_t i = 0; i < sizeof join_keys / sizeof join_keys[0]; i++) {
        const cJSON *x = cJSON_GetObjectItem(a, join_keys[i]), *y = cJSON_GetObjectItem(b, join_keys[i]);
        if (!x || !y || !cJSON_Compare(x, y, 1))
            TEST_FAIL("%s is missing or differs", join_keys[i]);
    }
    CHECK_STRING(word(a, "build_commit"), "baseline@0123456789ab");
    CHECK_STRING(word(b, "build_commit"), "fused@0123456789ab");
    CHECK_STRING(word(a, "test_time"), "2026-11-21T06:30:12Z");
    cJSON_Delete(root);
    free(text);
    session_free(&s);
}

TEST(a_decode_block_is_one_repetition_of_its_tokens)
{
    struct session s = sample(2, 2);
    char *text = print(&s, "llama-bench");
    cJSON *root = cJSON_Parse(text);
    const cJSON *a = cJSON_GetArrayItem(root, 2); /* batch 2 */
    CHECK_INT(number(a, "n_prompt"), 0);
    CHECK_INT(number(a, "n_gen"), 2 * MAKER_SAMPLES);
    CHECK_INT(number(a, "n_depth"), 128);
    const cJSON *ns = cJSON_GetObjectItem(a, "samples_ns"), *ts = cJSON_GetObjectItem(a, "samples_ts");
    CHECK_INT(cJSON_GetArraySize(ns), 10);
    CHECK_INT(cJSON_GetArraySize(ts), 10);
    const struct block *b = s.cell[1].arm[0].blocks[0];
    double sum = 0, mean = 0;
    for (int i = 0; i < b->n; i++)
        sum += (double)b->samples[i].device_ns;
    CHECK_CLOSE(ns->child->valuedouble, sum, 0);
    const cJSON *x, *y = ts->child;
    cJSON_ArrayForEach(x, ns)
    {
        CHECK_CLOSE(y->valuedouble, 1e9 * 2 * MAKER_SAMPLES / x->valuedouble, 1e-12);
        mean += y->valuedouble / 10;
        y = y->next;
    }
    CHECK_CLOSE(number(a, "avg_ts"), mean, 1e-12); /* llama-bench averages rates */
    cJSON_Delete(root);
    free(text);
    session_free(&s);
}

TEST(one_measurement_exports_to_vllm_as_the_bare_object)
{
    struct session s = maker_session(1, 2, 10);
    struct block *b = maker_block(&s, 0, 0, 0, 5, 10, 0);
    static const int64_t ns[] = {10000000, 20000000, 30000000, 40000000, 50000000};
    for (int i = 0; i < 5; i++)
        b->samples[i].device_ns = ns[i];
    char *text = print(&s, "vllm-latency");
    cJSON *o = cJSON_Parse(text);
    CHECK(cJSON_IsObject(o));
    CHECK_CLOSE(number(o, "avg_latency"), 0.03, 1e-12);
    CHECK_CLOSE(number(o, "std_latency"), sqrt(2e-4), 1e-12); /* population's */
    CHECK_INT(cJSON_GetArraySize(cJSON_GetObjectItem(o, "latencies")), 5);
    const cJSON *p = cJSON_GetObjectItem(o, "percentiles");
    CHECK_CLOSE(number(p, "10"), 0.014, 1e-12);
    CHECK_CLOSE(number(p, "50"), 0.03, 1e-12);
    CHECK_CLOSE(number(p, "99"), 0.0496, 1e-12);
    CHECK(!cJSON_HasObjectItem(o, "arm"));
    cJSON_Delete(o);
    free(text);
    session_free(&s);
}

TEST(several_measurements_export_to_vllm_as_an_array_that_names_them)
{
    struct session s = sample(2, 2);
    char *text = print(&s, "vllm-latency");
    cJSON *root = cJSON_Parse(text);
    CHECK(cJSON_IsArray(root));
    CHECK_INT(cJSON_GetArraySize(root), 4);
    const cJSON *o = cJSON_GetArrayItem(root, 3);
    CHECK_STRING(word(o, "arm"), "fused");
    CHECK_INT(number(o, "batch_size"), 2);
    CHECK(number(o, "avg_latency") > 0.02);
    cJSON_Delete(root);
    free(text);
    session_free(&s);
}

TEST(the_report_fills_the_tables_and_answers_the_questions)
{
    struct session s = sample(3, 3);
    s.preset.criteria = (struct preset_criteria){1.2, 0.05, NAN, NAN, NAN, 0.1, NAN, NAN, NAN};
    strcpy(s.preset.title, "Throughput against batch size");
    char *text = print(&s, "md");
    CHECK_CONTAINS(text, "### Throughput vs Batch Size");
    CHECK_CONTAINS(text, "| Batch Size | Baseline (tok/s) | Fused (tok/s) | Improvement of fused (%) |");
    CHECK_CONTAINS(text, "| GPU | none: this run used the CPU |");
    CHECK_CONTAINS(text, "– (unsupported: int8 \\| products need");
    CHECK_CONTAINS(text, "| Latency Reduction | ≥ 10 % |");
    CHECK_CONTAINS(text, "criterion `min_speedup` | ≥ 1.2 | 1.0");
    CHECK_CONTAINS(text, "**Did we achieve 10-15% latency improvement?** In part");
    CHECK_CONTAINS(text, "**How does improvement scale with batch size?**");
    CHECK_CONTAINS(text, "it shrinks");
    CHECK_CONTAINS(text, "**How does improvement scale with sequence length?** Not answered");
    CHECK_CONTAINS(text, "**Are there any regressions?**");
    golden_check("report.md", text);
    free(text);
    session_free(&s);
}

TEST(a_single_cell_gets_the_memory_table)
{
    struct session s = sample(1, 2);
    char *text = print(&s, "md");
    CHECK_CONTAINS(text, "| Metric | Baseline (GB) | Fused (GB) | Improvement (%) |");
    CHECK_CONTAINS(text, "| Peak Memory | 0.510 | 0.500 | 2.0 |");
    CHECK_CONTAINS(text, "| Memory BW | ");
    CHECK(strstr(text, "### Throughput vs Batch Size") == NULL);
    free(text);
    session_free(&s);
}

TEST(a_sequence_sweep_gets_the_latency_table)
{
    struct session s = sample(2, 2);
    s.preset.n_batch = 1;
    s.preset.n_seq = 2;
    s.cell[1].batch = 1;
    s.cell[1].seq = 256;
    char *text = print(&s, "md");
    CHECK_CONTAINS(text, "| Seq Len | Baseline (ms) | Fused (ms) | Improvement (%) |");
    CHECK_CONTAINS(text,
                   "**How does improvement scale with sequence length?** gpt2-124m decode, batch 1, fused");
    free(text);
    session_free(&s);
}
