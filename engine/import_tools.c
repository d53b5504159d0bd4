/* Files of general benchmark tools: hyperfine, nvbench. */
#include "engine/import_formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- hyperfine: every run is a process of its own, hence a block */

static bool is_hyperfine(const cJSON *root)
{
    const cJSON *results = cJSON_GetObjectItemCaseSensitive(root, "results");
    return cJSON_IsObject(root) && cJSON_IsArray(results) && results->child &&
           cJSON_GetObjectItemCaseSensitive(results->child, "command");
}

static int read_hyperfine(struct importer *m, const cJSON *root)
{
    const cJSON *result;
    cJSON_ArrayForEach(result, cJSON_GetObjectItemCaseSensitive(root, "results"))
    {
        double *seconds;
        int n, found = import_numbers(m, result, "times", 1, &seconds, &n);
        if (found == JSON_ABSENT || (found == JSON_FOUND && n == 0)) {
            free(seconds);
            continue;
        }
        if (found != JSON_FOUND)
            return -1;
        const struct import_place place = {import_text(result, "command", "?"), WORKLOAD_COMMAND, 0, 0, 0};
        int cell = import_cell(m, &place), arm = cell < 0 ? -1 : import_arm(m, cell, "process");
        int failed = arm < 0 ? -1 : import_each(m, cell, arm, seconds, n);
        free(seconds);
        if (failed)
            return -1;
    }
    import_note(m, "each process is a block");
    return 0;
}

const struct import_format import_hyperfine = {"hyperfine",
                                               "write it with `hyperfine --export-json`, which carries times",
                                               is_hyperfine, read_hyperfine};

/* --- nvbench --jsonbin: the samples stand in a file beside, float32 seconds */

enum {
    BATCHES = 20
}; /* consecutive launches share clock and temperature: blocks of them are nearer to independent */

static bool is_nvbench(const cJSON *root)
{
    return cJSON_IsObject(root) && cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(root, "benchmarks")) &&
           cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(root, "meta"));
}

static const char *datum(const cJSON *summary, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(summary, "data"))
    {
        if (strcmp(import_text(item, "name", ""), name) == 0)
            return import_text(item, "value", NULL);
    }
    return NULL;
}

/* The samples' file is named relative to the folder the tool ran in: there, or beside the JSON file. */
static double *read_samples(struct importer *m, const char *name, int *n)
{
    char beside[4096];
    size_t size = 0;
    const char *slash = strrchr(m->file, '/');
    snprintf(beside, sizeof beside, "%.*s%s", slash ? (int)(slash - m->file + 1) : 0, m->file, name);
    char *bytes = json_read_file(name, (size_t)1 << 30, &size, NULL);
    if (!bytes)
        bytes = json_read_file(beside, (size_t)1 << 30, &size, NULL);
    if (!bytes) {
        error_set(
            m->e, ERROR_FAILED,
            "%s names its samples %s, and neither that nor %s can be read: keep the .bin files beside it",
            m->file, name, beside);
        return NULL;
    }
    *n = (int)(size / sizeof(float));
    double *seconds = malloc(((size_t)*n + 1) * sizeof *seconds);
    for (int i = 0; seconds && i < *n; i++) {
        float value;
        memcpy(&value, bytes + (size_t)i * sizeof value, sizeof value);
        seconds[i] = (double)value;
    }
    free(bytes);
    if (!seconds)
        error_set(m->e, ERROR_MEMORY, "no memory for %d samples: close other programs", *n);
    return seconds;
}

static int read_state(struct importer *m, const char *benchmark, const cJSON *state, const char *file)
{
    char model[256];
    int n, failed = 0;
    double *seconds = read_samples(m, file, &n);
    if (!seconds)
        return -1;
    snprintf(model, sizeof model, "%.120s %.130s", benchmark, import_text(state, "name", ""));
    const struct import_place place = {model, WORKLOAD_KERNEL, 0, 0, 0};
    int cell = import_cell(m, &place), arm = cell < 0 ? -1 : import_arm(m, cell, "cold");
    int each = n >= 2 * BATCHES ? n / BATCHES : 1, at = 0;
    failed = arm < 0 ? -1 : 0;
    for (; !failed && at + each <= n; at += each)
        failed = import_block(m, cell, arm, seconds + at, each);
    free(seconds);
    return failed;
}

static int read_nvbench(struct importer *m, const cJSON *root)
{
    const cJSON *benchmark, *state, *summary;
    const cJSON *device = cJSON_GetObjectItemCaseSensitive(root, "devices");
    snprintf(m->session->environment.cpu, sizeof m->session->environment.cpu, "%.127s",
             import_text(device ? device->child : NULL, "name", ""));
    cJSON_ArrayForEach(benchmark, cJSON_GetObjectItemCaseSensitive(root, "benchmarks"))
    {
        cJSON_ArrayForEach(state, cJSON_GetObjectItemCaseSensitive(benchmark, "states"))
        {
            const char *file = NULL;
            cJSON_ArrayForEach(summary, cJSON_GetObjectItemCaseSensitive(state, "summaries"))
            {
                if (strcmp(import_text(summary, "tag", ""), "nv/json/bin:nv/cold/sample_times") == 0)
                    file = datum(summary, "filename");
            }
            if (file && read_state(m, import_text(benchmark, "name", "?"), state, file) != 0)
                return -1;
        }
    }
    import_note(m, "20 blocks of consecutive launches each");
    return 0;
}

const struct import_format import_nvbench = {"nvbench", "run it with --jsonbin, which keeps the sample times",
                                             is_nvbench, read_nvbench};
