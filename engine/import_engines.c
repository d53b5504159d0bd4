/* Files of inference engines' own benchmarks: llama-bench, vLLM. */
#include "engine/import_formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- llama-bench: an array of objects, one per test */

static bool is_llama_bench(const cJSON *root)
{
    const cJSON *first = cJSON_IsArray(root) ? root->child : NULL;
    return cJSON_IsObject(first) && cJSON_GetObjectItemCaseSensitive(first, "n_prompt") &&
           cJSON_GetObjectItemCaseSensitive(first, "n_gen") &&
           (cJSON_GetObjectItemCaseSensitive(first, "avg_ns") ||
            cJSON_GetObjectItemCaseSensitive(first, "samples_ns"));
}

static struct import_place place_of(const cJSON *test, const char *model)
{
    int prompt = import_int(test, "n_prompt", 0), tokens = import_int(test, "n_gen", 0),
        depth = import_int(test, "n_depth", 0);
    if (tokens == 0)
        return (struct import_place){model, WORKLOAD_PREFILL, 1, prompt, 0};
    if (prompt == 0)
        return (struct import_place){model, WORKLOAD_DECODE, 1, depth, 0};
    return (struct import_place){model, WORKLOAD_GENERATE, 1, prompt, tokens};
}

/* One build per file is what a comparison of two files is about; several in one file are its arms. */
static bool many_builds(const cJSON *root)
{
    const cJSON *test;
    cJSON_ArrayForEach(test, root)
    {
        if (strcmp(import_text(test, "build_commit", ""), import_text(root->child, "build_commit", "")) != 0)
            return true;
    }
    return false;
}

static int read_test(struct importer *m, const cJSON *test, bool name_build)
{
    char arm[192];
    double *seconds;
    int n;
    struct import_place place = place_of(
        test, import_base_name(import_text(test, "model_filename", import_text(test, "model_type", "?"))));
    double scale = place.workload == WORKLOAD_DECODE ? 1e-9 / import_int(test, "n_gen", 1) : 1e-9;
    int found = import_numbers(m, test, "samples_ns", scale, &seconds, &n);
    if (found != JSON_FOUND)
        return found == JSON_ABSENT ? 0 : -1; /* csv and sql carry none: told at the end */
    snprintf(arm, sizeof arm, "llama.cpp ngl %d fa %d t %d %s %s", import_int(test, "n_gpu_layers", 0),
             import_int(test, "flash_attn", 0), import_int(test, "n_threads", 0),
             import_text(test, "type_k", "f16"), import_text(test, "type_v", "f16"));
    if (name_build)
        snprintf(arm, sizeof arm, "%.60s", import_text(test, "build_commit", "?"));
    int cell = n > 0 ? import_cell(m, &place) : 0, a = cell >= 0 && n > 0 ? import_arm(m, cell, arm) : cell;
    int failed = a < 0 ? -1 : n > 0 ? import_each(m, cell, a, seconds, n) : 0;
    free(seconds);
    return failed;
}

static int read_llama_bench(struct importer *m, const cJSON *root)
{
    bool name_build = many_builds(root);
    const cJSON *test;
    struct session_environment *v = &m->session->environment;
    cJSON_ArrayForEach(test, root)
    {
        if (!cJSON_IsObject(test))
            return error_set(m->e, ERROR_FAILED, "%s: expected objects alone: the file is damaged", m->file);
        snprintf(v->cpu, sizeof v->cpu, "%.127s", import_text(test, "cpu_info", ""));
        snprintf(v->product, sizeof v->product, "%.63s", import_text(test, "backends", ""));
        v->threads = import_int(test, "n_threads", 0);
        snprintf(m->session->git_commit, sizeof m->session->git_commit, "%.47s",
                 import_text(test, "build_commit", ""));
        snprintf(m->session->started, sizeof m->session->started, "%.31s",
                 import_text(test, "test_time", ""));
        if (read_test(m, test, name_build) != 0)
            return -1;
    }
    import_note(m, "each repetition is a block");
    return 0;
}

const struct import_format import_llama_bench = {
    "llama-bench", "write it with `llama-bench -o json`, which carries samples_ns", is_llama_bench,
    read_llama_bench};

/* --- vLLM bench latency */

static bool is_vllm_latency(const cJSON *root)
{
    return cJSON_IsObject(root) && cJSON_GetObjectItemCaseSensitive(root, "avg_latency") &&
           cJSON_GetObjectItemCaseSensitive(root, "percentiles");
}

static int read_vllm_latency(struct importer *m, const cJSON *root)
{
    double *seconds;
    int n, found = import_numbers(m, root, "latencies", 1, &seconds, &n);
    if (found != JSON_FOUND || n == 0) {
        free(seconds);
        return found == JSON_FOUND || found == JSON_ABSENT ? 0 : -1;
    }
    const struct import_place place = {"vLLM", WORKLOAD_GENERATE, 0, 0, 0};
    int cell = import_cell(m, &place), arm = cell < 0 ? -1 : import_arm(m, cell, "vllm bench latency");
    int failed = arm < 0 ? -1 : import_each(m, cell, arm, seconds, n);
    free(seconds);
    import_note(m, "the file names no model, batch or lengths: both sides are taken to be the same");
    return failed;
}

const struct import_format import_vllm_latency = {
    "vLLM latency",
    "write it with `vllm bench latency --output-json`, which carries "
    "latencies",
    is_vllm_latency, read_vllm_latency};

/* --- vLLM bench serve: a block is a request */

static bool is_vllm_serve(const cJSON *root)
{
    return cJSON_IsObject(root) && cJSON_GetObjectItemCaseSensitive(root, "request_throughput") &&
           cJSON_GetObjectItemCaseSensitive(root, "total_output_tokens");
}

static int read_gaps(struct importer *m, const cJSON *root, const char *model, const char *arm_name)
{
    const cJSON *lists = cJSON_GetObjectItemCaseSensitive(root, "itls"), *list;
    const struct import_place place = {model, WORKLOAD_DECODE, 0, 0, 0};
    cJSON_ArrayForEach(list, lists)
    {
        int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
        double *gaps = n > 0 ? malloc((size_t)n * sizeof *gaps) : NULL;
        const cJSON *item;
        int i = 0;
        if (n == 0)
            continue; /* a failed request, or one of a single token */
        if (!gaps)
            return error_set(m->e, ERROR_MEMORY, "no memory for %d samples: close other programs", n);
        cJSON_ArrayForEach(item, list) gaps[i++] = cJSON_IsNumber(item) ? item->valuedouble : -1;
        int cell = import_cell(m, &place), arm = cell < 0 ? -1 : import_arm(m, cell, arm_name);
        int failed = arm < 0 ? -1 : import_block(m, cell, arm, gaps, n);
        free(gaps);
        if (failed)
            return -1;
    }
    return 0;
}

static int read_vllm_serve(struct importer *m, const cJSON *root)
{
    const char *model = import_text(root, "model_id", "vLLM");
    char arm_name[64];
    double *first;
    int n, concurrency = import_int(root, "max_concurrency", 0);
    snprintf(arm_name, sizeof arm_name, "%.30s, concurrency %d", import_text(root, "backend", "vllm"),
             concurrency);
    int found = import_numbers(m, root, "ttfts", 1, &first, &n);
    if (found != JSON_FOUND && found != JSON_ABSENT)
        return -1;
    int kept = 0;
    for (int i = 0; i < n; i++) /* a failed request has a time of 0 */
        if (first[i] > 0)
            first[kept++] = first[i];
    int failed = 0;
    if (kept > 0) {
        const struct import_place place = {model, WORKLOAD_PREFILL, 0, 0, 0};
        int cell = import_cell(m, &place), arm = cell < 0 ? -1 : import_arm(m, cell, arm_name);
        failed = arm < 0 ? -1 : import_each(m, cell, arm, first, kept);
    }
    free(first);
    if (failed || read_gaps(m, root, model, arm_name) != 0)
        return -1;
    import_note(
        m, "prefill is the time to the first chunk, decode the gap between chunks; requests that overlap in "
           "time are not independent, so that the intervals are too narrow");
    return 0;
}

const struct import_format import_vllm_serve = {
    "vLLM serve",
    "write it with `vllm bench serve --save-result --save-detailed`, which carries ttfts and itls",
    is_vllm_serve, read_vllm_serve};
