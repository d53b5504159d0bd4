/* Views for neighboring tools: llama-bench (build 0104b151 of 2026, with the keys that its compare script
 * joins on) and vLLM's `bench latency`. */
#include "engine/export_formats.h"
#include "engine/model/model.h"
#include "engine/model/model_find.h"
#include "engine/session_json.h"
#include "presets/catalog.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct series {
    int64_t *ns;
    int n;
};

static bool usable(const struct block *b)
{
    return b->n > 0 && b->n >= b->capacity && !(b->flags & BLOCK_PARTIAL);
}

/* Good samples of complete blocks. per_block: one sum per block of `length` samples (a repetition of that
 * many tokens) instead of each sample. Returns -1 when memory is out. */
static int collect(const struct session_arm *a, bool per_block, int length, struct series *out)
{
    size_t room = 1;
    for (int i = 0; i < a->n_blocks; i++)
        room += (size_t)a->blocks[i]->n;
    *out = (struct series){malloc(room * sizeof *out->ns), 0};
    if (!out->ns)
        return -1;
    for (int i = 0; i < a->n_blocks; i++) {
        const struct block *b = a->blocks[i];
        if (!usable(b) || (per_block && b->n != length))
            continue;
        int64_t sum = 0;
        bool good = true;
        for (int j = 0; j < b->n; j++) {
            int64_t ns = b->samples[j].device_ns;
            good = good && ns > 0;
            sum += ns > 0 && sum < INT64_MAX - ns ? ns : 0;
            if (!per_block && ns > 0)
                out->ns[out->n++] = ns;
        }
        if (per_block && good)
            out->ns[out->n++] = sum;
    }
    return 0;
}

/* --- llama-bench */

/* Every figure of one test: n_prompt and n_gen are all tokens of a repetition, the whole batch. */
struct bench {
    const struct session *s;
    const struct session_cell *cell;
    int arm;
    int64_t n_prompt, n_gen, n_depth;
    struct series samples;
};

static const char *cache_type(const struct session_arm *baseline)
{
    static const char *const names[] = {"f32", "f16", "bf16", "q8_0", "f16"};
    unsigned precision = (unsigned)baseline->implementation.precision;
    return precision < sizeof names / sizeof names[0] ? names[precision] : "f32";
}

static int put_setting(cJSON *o, const char *key, int value)
{
    return cJSON_AddNumberToObject(o, key, value) ? 0 : -1;
}

static int put_flag(cJSON *o, const char *key, bool value)
{
    return cJSON_AddBoolToObject(o, key, value) ? 0 : -1;
}

static int put_name(cJSON *o, const char *key, const char *text)
{
    return cJSON_AddStringToObject(o, key, text) ? 0 : -1;
}

static int put_gpus(cJSON *o, const struct session *s)
{
    char names[512] = "";
    cJSON *list = cJSON_Parse(s->environment.gpu_json[0] ? s->environment.gpu_json : "[]"), *gpu;
    cJSON_ArrayForEach(gpu, list)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(gpu, "name"));
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", name ? name : "");
    }
    cJSON_Delete(list);
    return put_name(o, "gpu_info", names);
}

/* Keys that stand for the pair, not the arm, come from the baseline: rows join when all keys but build_commit
 * are equal, so the arm is told there. */
static int put_llama_model(cJSON *o, const struct bench *b)
{
    const struct session_arm *baseline = &b->cell->arm[0];
    struct model_spec spec;
    struct error ignored = {0};
    int64_t size = baseline->has_measured ? baseline->measured.weights : baseline->predicted.weights;
    int bad = put_name(o, "model_filename", b->cell->model) || put_name(o, "model_type", b->cell->model) ||
              !json_add_int64(o, "model_size", size);
    cJSON *parameters = model_find(b->cell->model, &spec, &ignored) == 0
                            ? json_add_int64(o, "model_n_params", model_parameters(&spec))
                            : cJSON_AddNullToObject(o, "model_n_params");
    return bad || !parameters;
}

static int put_llama_settings(cJSON *o, const struct bench *b)
{
    const struct session_arm *baseline = &b->cell->arm[0];
    bool gpu = strncmp(b->s->preset.device, "cuda", 4) == 0;
    return put_setting(o, "n_batch", b->cell->batch) || put_setting(o, "n_ubatch", b->cell->batch) ||
           put_setting(o, "n_threads", b->s->environment.threads) || put_name(o, "cpu_mask", "0x0") ||
           put_flag(o, "cpu_strict", false) || put_setting(o, "poll", 0) ||
           put_name(o, "type_k", cache_type(baseline)) || put_name(o, "type_v", cache_type(baseline)) ||
           put_setting(o, "n_gpu_layers", gpu ? 99 : 0) || put_setting(o, "n_cpu_moe", 0) ||
           put_name(o, "split_mode", "none") || put_setting(o, "main_gpu", 0) ||
           put_flag(o, "no_kv_offload", false) ||
           put_setting(o, "flash_attn", baseline->implementation.attention != ATTENTION_NAIVE) ||
           put_name(o, "devices", "auto") || put_name(o, "tensor_split", "0.00") ||
           put_name(o, "tensor_buft_overrides", "none") || put_flag(o, "use_mmap", false) ||
           put_name(o, "load_mode", "none") || put_flag(o, "embeddings", false) ||
           put_setting(o, "no_op_offload", 0) || put_flag(o, "no_host", false) ||
           put_setting(o, "fit_target", 0) || put_setting(o, "fit_min_ctx", 0);
}

/* Mean and n-1 deviation as llama-bench has them: of times, and of rates. */
static int put_llama_figures(cJSON *o, const struct bench *b)
{
    int n = b->samples.n;
    double tokens = (double)(b->n_prompt + b->n_gen), *values = malloc(2 * ((size_t)n + 1) * sizeof *values);
    if (!values)
        return -1;
    double *rates = values + n;
    for (int i = 0; i < n; i++) {
        values[i] = (double)b->samples.ns[i];
        rates[i] = 1e9 * tokens / values[i];
    }
    double spread = n > 1 ? stats_std(values, (size_t)n) : 0,
           rate_spread = n > 1 ? stats_std(rates, (size_t)n) : 0;
    int bad = !json_add_int64(o, "avg_ns", llround(stats_mean(values, (size_t)n))) ||
              !json_add_int64(o, "stddev_ns", llround(spread)) ||
              !cJSON_AddNumberToObject(o, "avg_ts", stats_mean(rates, (size_t)n)) ||
              !cJSON_AddNumberToObject(o, "stddev_ts", rate_spread) ||
              !json_add_int64_array(o, "samples_ns", b->samples.ns, n);
    cJSON *list = cJSON_AddArrayToObject(o, "samples_ts");
    for (int i = 0; i < n && !bad; i++)
        bad = session_push_item(list, cJSON_CreateNumber(rates[i])) != 0;
    free(values);
    return bad || !list;
}

static cJSON *bench_row(const struct bench *b)
{
    const struct session *s = b->s;
    char commit[160];
    snprintf(commit, sizeof commit, "%s@%s", b->cell->arm[b->arm].name,
             s->git_commit[0] ? s->git_commit : "unknown");
    cJSON *o = cJSON_CreateObject();
    int bad = put_name(o, "build_commit", commit) || put_setting(o, "build_number", 0) ||
              put_name(o, "cpu_info", s->environment.cpu) || put_gpus(o, s) ||
              put_name(o, "backends", strncmp(s->preset.device, "cuda", 4) == 0 ? "CUDA" : "CPU") ||
              put_llama_model(o, b) || put_llama_settings(o, b) ||
              !json_add_int64(o, "n_prompt", b->n_prompt) || !json_add_int64(o, "n_gen", b->n_gen) ||
              !json_add_int64(o, "n_depth", b->n_depth) || put_name(o, "test_time", s->started) ||
              put_llama_figures(o, b);
    if (bad) {
        cJSON_Delete(o);
        return NULL;
    }
    return o;
}

/* The samples of a decode block are one repetition of that many tokens; -1: no memory. */
static int prepare_bench(struct bench *b)
{
    const struct session_arm *a = &b->cell->arm[b->arm];
    int64_t batch = b->cell->batch;
    int length = 0;
    for (int i = 0; i < a->n_blocks && length == 0; i++)
        length = usable(a->blocks[i]) ? a->blocks[i]->n : 0;
    switch (b->cell->workload) {
    case WORKLOAD_DECODE:
        b->n_gen = batch * length;
        b->n_depth = b->cell->seq;
        break;
    case WORKLOAD_GENERATE:
        b->n_gen = batch * b->cell->tokens;
        b->n_prompt = batch * b->cell->seq;
        break;
    default:
        b->n_prompt = batch * b->cell->seq;
        break;
    }
    return collect(a, b->cell->workload == WORKLOAD_DECODE, length, &b->samples);
}

static char *print_and_delete(cJSON *root, bool bad, struct error *e)
{
    char *text = root && !bad ? json_print(root, 2) : NULL;
    cJSON_Delete(root);
    if (!text)
        error_set(e, ERROR_MEMORY, "no memory for the export: close other programs and try again");
    return text;
}

char *export_llama_bench(const struct session *s, struct error *e)
{
    cJSON *root = cJSON_CreateArray();
    bool bad = !root;
    for (int i = 0; i < s->n_cells && !bad; i++) {
        for (int j = 0; j < s->cell[i].n_arms && !bad; j++) {
            struct bench b = {.s = s, .cell = &s->cell[i], .arm = j};
            bad = prepare_bench(&b) != 0;
            if (!bad && b.samples.n > 0)
                bad = session_push_item(root, bench_row(&b)) != 0;
            free(b.samples.ns);
        }
    }
    return print_and_delete(root, bad, e);
}

/* --- vllm bench latency */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The keys that vLLM writes, in seconds; the deviation is the population's (numpy's default). */
static int put_vllm(cJSON *o, const struct series *x)
{
    static const int percentiles[] = {10, 25, 50, 75, 90, 99};
    double *seconds = malloc(((size_t)x->n + 1) * sizeof *seconds);
    if (!seconds)
        return -1;
    size_t n = (size_t)x->n;
    for (size_t i = 0; i < n; i++)
        seconds[i] = (double)x->ns[i] * 1e-9;
    double spread = n > 1 ? stats_std(seconds, n) * sqrt((double)(n - 1) / (double)n) : 0;
    int bad = !cJSON_AddNumberToObject(o, "avg_latency", stats_mean(seconds, n)) ||
              !cJSON_AddNumberToObject(o, "std_latency", spread);
    cJSON *list = cJSON_AddArrayToObject(o, "latencies");
    for (size_t i = 0; i < n && !bad; i++)
        bad = session_push_item(list, cJSON_CreateNumber(seconds[i])) != 0;
    qsort(seconds, n, sizeof *seconds, compare_doubles);
    cJSON *table = cJSON_AddObjectToObject(o, "percentiles");
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0] && !bad; i++) {
        char key[8];
        snprintf(key, sizeof key, "%d", percentiles[i]);
        bad = !cJSON_AddNumberToObject(table, key, stats_quantile(seconds, n, percentiles[i] / 100.0));
    }
    free(seconds);
    return bad || !list || !table;
}

/* Where there are several, each says which it is. */
static int put_vllm_names(cJSON *o, const struct session_cell *c, int arm)
{
    return put_name(o, "model", c->model) || put_name(o, "workload", workload_names[c->workload]) ||
           put_setting(o, "batch_size", c->batch) || put_setting(o, "input_len", c->seq) ||
           put_setting(o, "output_len",
                       c->workload == WORKLOAD_GENERATE ? c->tokens : c->workload == WORKLOAD_DECODE) ||
           put_name(o, "arm", c->arm[arm].name);
}

char *export_vllm_latency(const struct session *s, struct error *e)
{
    cJSON *root = cJSON_CreateArray(), *first = NULL;
    bool bad = !root;
    int found = 0;
    for (int i = 0; i < s->n_cells && !bad; i++) {
        for (int j = 0; j < s->cell[i].n_arms && !bad; j++) {
            struct series x;
            bad = collect(&s->cell[i].arm[j], false, 0, &x) != 0;
            if (!bad && x.n > 0) {
                cJSON *o = cJSON_CreateObject();
                bad = session_push_item(root, o) != 0 || put_vllm_names(o, &s->cell[i], j) ||
                      put_vllm(o, &x) ||
                      (s->environment.emulated && put_name(o, "device", s->environment.device));
                first = found++ == 0 ? o : first;
            }
            free(x.ns);
        }
    }
    if (found == 1) { /* one measurement: the object itself, as vLLM writes it */
        static const char *const names[] = {"model",     "workload",   "batch_size",
                                            "input_len", "output_len", "arm"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            cJSON_DeleteItemFromObjectCaseSensitive(first, names[i]);
        cJSON_DetachItemViaPointer(root, first);
        cJSON_Delete(root);
        root = first;
    }
    return print_and_delete(root, bad, e);
}
