#include "engine/import.h"

#include "engine/import_formats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20 };

int import_cell(struct importer *m, const struct import_place *p)
{
    struct session *s = m->session;
    for (int i = 0; i < s->n_cells; i++) {
        const struct session_cell *c = &s->cell[i];
        if (strcmp(c->model, p->model) == 0 && c->workload == p->workload && c->batch == p->batch &&
            c->seq == p->seq && c->tokens == p->tokens)
            return i;
    }
    struct session_cell *larger = realloc(s->cell, ((size_t)s->n_cells + 1) * sizeof *larger);
    if (!larger)
        return error_set(m->e, ERROR_MEMORY, "no memory for the cells of %s: close other programs", m->file);
    s->cell = larger;
    struct session_cell *c = &larger[s->n_cells];
    *c = (struct session_cell){
        .workload = p->workload, .batch = p->batch, .seq = p->seq, .tokens = p->tokens, .status = CELL_OK};
    snprintf(c->model, sizeof c->model, "%s", p->model);
    error_clean_text(c->model);
    return s->n_cells++;
}

int import_arm(struct importer *m, int cell, const char *name)
{
    struct session_cell *c = &m->session->cell[cell];
    char clean[PRESET_NAME];
    snprintf(clean, sizeof clean, "%.63s", name);
    error_clean_text(clean);
    for (int i = 0; i < c->n_arms; i++)
        if (strcmp(c->arm[i].name, clean) == 0)
            return i;
    struct session_arm *larger = realloc(c->arm, ((size_t)c->n_arms + 1) * sizeof *larger);
    if (!larger)
        return error_set(m->e, ERROR_MEMORY, "no memory for the arms of %s: close other programs", m->file);
    c->arm = larger;
    struct session_arm *a = &larger[c->n_arms];
    *a = (struct session_arm){.status = CELL_OK, .cold_start_ns = -1, .time_to_steady_ns = -1};
    a->output.tolerance = a->output.kl = a->output.top1_agreement = a->output.max_relative_error =
        (double)NAN;
    snprintf(a->name, sizeof a->name, "%s", clean);
    implementation_default(&a->implementation);
    return c->n_arms++;
}

int import_block(struct importer *m, int cell, int arm, const double *seconds, int n)
{
    int round = m->session->cell[cell].arm[arm].n_blocks;
    struct block *b = session_new_block(cell, arm, round, 0, n, m->e);
    if (!b)
        return -1;
    for (int i = 0; i < n; i++) {
        double ns = seconds[i] * 1e9;
        if (!(ns > 0 && ns < 9e18)) {
            session_free_block(b);
            return error_set(m->e, ERROR_FAILED, "%s: a sample of %g s is no latency: the file is damaged",
                             m->file, seconds[i]);
        }
        b->samples[i] = (struct sample){.device_ns = llround(ns), .host_ns = llround(ns)};
    }
    atomic_store(&b->n, n);
    if (session_add_block(m->session, b, m->e) != 0) {
        session_free_block(b);
        return -1;
    }
    return 0;
}

int import_each(struct importer *m, int cell, int arm, const double *seconds, int n)
{
    for (int i = 0; i < n; i++)
        if (import_block(m, cell, arm, &seconds[i], 1) != 0)
            return -1;
    return 0;
}

void import_note(struct importer *m, const char *text)
{
    if (strstr(m->note, text))
        return;
    size_t used = strlen(m->note);
    if (used < m->note_size)
        snprintf(m->note + used, m->note_size - used, "%s%s", used ? "; " : "", text);
}

int import_numbers(struct importer *m, const cJSON *object, const char *key, double scale, double **out,
                   int *n)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, key), *item;
    *out = NULL;
    *n = 0;
    if (!cJSON_IsArray(list))
        return JSON_ABSENT;
    int size = cJSON_GetArraySize(list);
    double *x = malloc(((size_t)size + 1) * sizeof *x);
    if (!x)
        return error_set(m->e, ERROR_MEMORY, "no memory for %d samples: close other programs", size);
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item)) {
            free(x);
            return error_set(m->e, ERROR_FAILED, "%s: %s: expected numbers alone: the file is damaged",
                             m->file, key);
        }
        x[(*n)++] = item->valuedouble * scale;
    }
    *out = x;
    return JSON_FOUND;
}

const char *import_text(const cJSON *object, const char *key, const char *otherwise)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text && *text ? text : otherwise;
}

int import_int(const cJSON *object, const char *key, int otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    if (cJSON_IsBool(item))
        return cJSON_IsTrue(item);
    return cJSON_IsNumber(item) && fabs(item->valuedouble) < 1e9 ? (int)item->valuedouble : otherwise;
}

const char *import_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* JSON lines as one array: llama-bench -o jsonl. NULL: some line is no JSON. */
static cJSON *parse_lines(const char *text, size_t size, const char *name)
{
    cJSON *list = cJSON_CreateArray();
    for (const char *at = text, *end = text + size; list && at < end;) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line ? line : end) - at);
        bool blank = strspn(at, " \t\r") >= length;
        cJSON *item = blank ? NULL : json_parse(at, length, name, NULL);
        if (!blank && (!item || !cJSON_AddItemToArray(list, item))) {
            cJSON_Delete(item);
            cJSON_Delete(list);
            return NULL;
        }
        at += length + 1;
    }
    return list;
}

static cJSON *load(const char *path, struct error *e)
{
    size_t size;
    char *text = json_read_file(path, FILE_LIMIT, &size, e);
    if (!text)
        return NULL;
    char head[256]; /* a session of ours says so at once, and may be large */
    snprintf(head, sizeof head, "%s", text);
    if (strstr(head, "\"benchtop/")) {
        free(text);
        return NULL;
    }
    cJSON *root = json_parse(text, size, path, NULL);
    if (!root)
        root = parse_lines(text, size, path);
    free(text);
    return root;
}

/* The first format that knows the file by its keys. */
static const struct import_format *recognize(const cJSON *root)
{
    static const struct import_format *const formats[] = {
        &import_llama_bench, &import_vllm_latency, &import_vllm_serve, &import_hyperfine, &import_nvbench};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i]->knows(root))
            return formats[i];
    return NULL;
}

int import_session(const char *path, struct session *out, char *note, size_t note_size, struct error *e)
{
    struct session s = {.status = SESSION_COMPLETE, .owns_blocks = true};
    struct importer m = {.session = &s, .file = path, .note = note, .note_size = note_size, .e = e};
    cJSON *root = load(path, NULL);
    const struct import_format *format = root ? recognize(root) : NULL;
    if (!format) {
        cJSON_Delete(root);
        return IMPORT_NOT_MINE;
    }
    note[0] = '\0';
    preset_default(&s.preset);
    s.preset.n_models = s.preset.n_arms = 0;
    snprintf(s.preset.name, sizeof s.preset.name, "%s", format->name);
    snprintf(s.preset.device, sizeof s.preset.device, "%s", format->name);
    snprintf(s.id, sizeof s.id, "%.95s", import_base_name(path));
    snprintf(s.path, sizeof s.path, "%.511s", path);
    snprintf(s.environment.gpu_json, sizeof s.environment.gpu_json, "[]");
    int failed = format->read(&m, root);
    cJSON_Delete(root);
    if (!failed && s.n_cells == 0)
        failed = error_set(e, ERROR_FAILED, "%s: this %s file holds no samples: %s", path, format->name,
                           format->remedy);
    if (failed) {
        session_free(&s);
        return -1;
    }
    *out = s;
    return 0;
}
