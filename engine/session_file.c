#include "engine/session_file.h"
#include "engine/session_json.h"
#include "presets/catalog.h"
#include <dirent.h>
#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 1024, HEAD_BYTES = 256 * 1024, TRIM_BYTES = 4 << 20 };

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

int session_save(const struct session *s, const char *path, struct error *e)
{
    char *text = session_print(s, e);
    if (!text)
        return -1;
    int result = json_write_file(path, text, strlen(text), e);
    free(text);
    return result;
}

/* path, or the sessions folder's file of that id. */
static int resolve(const char *name, char *out, size_t size, struct error *e)
{
    char journal[PATH_BYTES + 16], folder[PATH_BYTES / 2];
    snprintf(journal, sizeof journal, "%.*s.journal", PATH_BYTES, name);
    bool is_path = strchr(name, '/') || exists(name) || exists(journal);
    if (is_path) {
        if (strlen(name) >= size)
            return error_set(e, ERROR_USAGE, "%.60s...: the path is too long: move the session", name);
        memcpy(out, name, strlen(name) + 1);
        return 0;
    }
    if (catalog_sessions_dir(folder, sizeof folder, e) != 0)
        return -1;
    int n = snprintf(out, size, "%s/%s%s", folder, name, ends_with(name, ".json") ? "" : ".json");
    if (n < 0 || (size_t)n >= size)
        return error_set(e, ERROR_USAGE, "%.60s...: the name is too long: give the session's path", name);
    snprintf(journal, sizeof journal, "%.*s.journal", PATH_BYTES, out);
    if (!exists(out) && !exists(journal))
        return error_set(
            e, ERROR_USAGE,
            "%s: no such file, and no session of that name in %s: `benchtop list sessions` shows them", name,
            folder);
    return 0;
}

static int load_file(const char *path, struct session *out, struct error *warning, struct error *e)
{
    size_t size = 0;
    char *text = json_read_file(path, SESSION_FILE_BYTES, &size, e);
    cJSON *root = text ? session_parse(text, size, path, e) : NULL;
    free(text);
    if (!root)
        return -1;
    int result = session_from_json(path, root, out, warning, e);
    cJSON_Delete(root);
#ifdef __GLIBC__
    if (size > TRIM_BYTES) /* what the tree took stays with the process otherwise */
        malloc_trim(0);
#endif
    return result;
}

/* The file's name without its ending. */
static void name_of(const char *path, char *out, size_t size)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t n = strlen(name);
    if (ends_with(name, ".json"))
        n -= strlen(".json");
    snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), name);
    error_clean_text(out);
}

/* The id is the file's name, when the file does not say. */
static void finish(struct session *s, const char *path)
{
    snprintf(s->path, sizeof s->path, "%.*s", (int)sizeof s->path - 1, path);
    if (ends_with(s->path, ".journal"))
        s->path[strlen(s->path) - strlen(".journal")] = '\0';
    if (!s->id[0])
        name_of(s->path, s->id, sizeof s->id);
}

int session_load(const char *name, struct session *out, struct error *warning, struct error *e)
{
    char path[PATH_BYTES], journal[PATH_BYTES + 16];
    struct session s, recovered;
    struct error unused = {0};
    if (resolve(name, path, sizeof path, e) != 0)
        return -1;
    snprintf(journal, sizeof journal, "%s.journal", path);
    if (ends_with(path, ".journal") || (!exists(path) && exists(journal))) {
        const char *from = ends_with(path, ".journal") ? path : journal;
        if (journal_load(from, &s, warning, e) != 0)
            return -1;
    } else {
        if (load_file(path, &s, warning, e) != 0)
            return -1;
        /* A journal outlives its session only when a run (or a resumed run) was killed: more samples win. */
        struct error told = {0};
        if (exists(journal) && journal_load(journal, &recovered, &told, &unused) == 0) {
            bool newer = s.status == SESSION_RUNNING || session_samples(&recovered) > session_samples(&s);
            session_free(newer ? &s : &recovered);
            if (newer) {
                s = recovered;
                error_add(warning, told.kind, "%s", told.text);
            }
        } else if (s.status == SESSION_RUNNING) {
            s.status = SESSION_STOPPED;
            error_add(warning, ERROR_FAILED, "%s: the run did not end: what it saved is shown", path);
        }
    }
    finish(&s, path);
    *out = s;
    return 0;
}

/* --- lists */

/* The cells are the last member that session_print writes; deeper lists end further to the right. A file of
 * ours that ends otherwise was cut. */
static bool has_tail(FILE *f)
{
    static const char tail[] = "\n  ]\n}\n";
    enum { TAIL = sizeof tail - 1 };
    char end[TAIL];
    return fseek(f, -(long)TAIL, SEEK_END) == 0 && fread(end, 1, TAIL, f) == TAIL &&
           memcmp(end, tail, TAIL) == 0 && fseek(f, 0, SEEK_SET) == 0;
}

/* A file up to its cells, which is all that a list tells of it. whole: only of a file with its tail. *ours:
 * it names our schema, whatever else is wrong with it. */
static cJSON *load_head(const char *path, bool whole, bool *ours)
{
    struct error e = {0};
    FILE *f = fopen(path, "rb");
    char *text = f && (!whole || has_tail(f)) ? malloc(HEAD_BYTES + 16) : NULL;
    size_t n = text ? fread(text, 1, HEAD_BYTES, f) : 0;
    cJSON *root = NULL;
    if (f)
        fclose(f);
    if (n > 0) {
        text[n] = '\0';
        *ours = strstr(text, "\"" SESSION_SCHEMA "\"") != NULL;
        char *cells = strstr(text, "\n  \"cells\": [");
        if (cells) {
            memcpy(cells, "\n\"cells\":[]}", 13);
            root = json_parse(text, strlen(text), path, &e);
        }
    }
    free(text);
    return root;
}

static void join_models(const cJSON *preset, char *out, size_t size)
{
    const cJSON *models = cJSON_GetObjectItemCaseSensitive(preset, "models"), *item;
    size_t n = 0;
    out[0] = '\0';
    cJSON_ArrayForEach(item, models)
    {
        if (!cJSON_IsString(item) || n + 4 > size)
            continue;
        int wrote = snprintf(out + n, size - n, "%s%s", n ? ", " : "", item->valuestring);
        n = wrote > 0 && n + (size_t)wrote < size ? n + (size_t)wrote : size - 1;
    }
    error_clean_text(out); /* a cut may have halved a character */
}

static int fill_entry(struct session_entry *x, const cJSON *root)
{
    char word[32] = "", schema[64] = "";
    struct error e = {0};
    struct json_at at = {x->path, "", &e};
    const cJSON *preset = NULL, *overview = NULL, *cells = NULL, *item;
    json_text(&at, root, "schema", schema, sizeof schema);
    if (strcmp(schema, SESSION_SCHEMA) != 0)
        return -1;
    name_of(x->path, x->id, sizeof x->id); /* what session_load finds it by, also after a copy */
    json_text(&at, root, "started", x->started, sizeof x->started);
    json_text(&at, root, "status", word, sizeof word);
    x->status = SESSION_STOPPED;
    for (int i = 0; i <= SESSION_FAILED; i++) {
        if (strcmp(word, session_status_names[i]) == 0)
            x->status = (enum session_status)i;
    }
    json_object(&at, root, "preset", &preset);
    json_text(&at, preset, "name", x->preset, sizeof x->preset);
    join_models(preset, x->models, sizeof x->models);
    if (json_object(&at, root, "overview", &overview) == JSON_FOUND) {
        json_int(&at, overview, "cells", 0, 1 << 30, &x->cells);
        json_int(&at, overview, "cells_ok", 0, 1 << 30, &x->cells_ok);
        return 0;
    }
    json_array(&at, root, "cells", &cells);
    cJSON_ArrayForEach(item, cells)
    {
        const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "status"));
        x->cells++;
        x->cells_ok += status && strcmp(status, cell_status_names[CELL_OK]) == 0;
    }
    return 0;
}

static int read_file_entry(struct session_entry *x)
{
    struct error unused = {0};
    bool ours = false;
    cJSON *root = x->bytes > HEAD_BYTES ? load_head(x->path, true, &ours) : NULL;
    if (!root)
        root = json_load(x->path, SESSION_FILE_BYTES, &unused);
    if (!root) {
        root = load_head(x->path, false, &ours);
        x->damaged = true;
    }
    int result = root ? fill_entry(x, root) : ours ? 0 : -1;
    if (!root)
        name_of(x->path, x->id, sizeof x->id);
    if (x->damaged) { /* what its overview counts cannot be read any more */
        x->status = SESSION_FAILED;
        x->cells_ok = 0;
    }
    cJSON_Delete(root);
    return result;
}

const char *session_entry_status(const struct session_entry *e)
{
    return e->damaged ? "damaged" : session_status_names[e->status];
}

static int read_entry(struct session_entry *x)
{
    if (!ends_with(x->path, ".journal"))
        return read_file_entry(x);
    struct session s;
    struct error e = {0};
    if (journal_load(x->path, &s, NULL, &e) != 0)
        return -1;
    x->path[strlen(x->path) - strlen(".journal")] = '\0'; /* session_load finds the journal again */
    name_of(x->path, x->id, sizeof x->id);
    snprintf(x->preset, sizeof x->preset, "%s", s.preset.name);
    snprintf(x->started, sizeof x->started, "%s", s.started);
    for (int i = 0; i < s.preset.n_models; i++) {
        size_t n = strlen(x->models);
        snprintf(x->models + n, sizeof x->models - n, "%s%.120s", i ? ", " : "", s.preset.models[i]);
    }
    error_clean_text(x->models);
    x->status = s.status;
    x->cells = s.n_cells;
    for (int i = 0; i < s.n_cells; i++)
        x->cells_ok += s.cell[i].status == CELL_OK;
    session_free(&s);
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct session_entry *x = a, *y = b;
    int order = strcmp(y->started, x->started);
    if (order == 0)
        order = (y->written_ns > x->written_ns) - (y->written_ns < x->written_ns);
    return order ? order : strcmp(y->path, x->path);
}

/* Whether the folder's file is a session, or the journal of one that has no file. */
static bool wanted(const char *folder, const char *name, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/%s", folder, name);
    if (name[0] == '.' || n < 0 || (size_t)n >= size)
        return false;
    if (ends_with(name, ".json.journal")) {
        char file[PATH_BYTES];
        snprintf(file, sizeof file, "%.*s", n - (int)strlen(".journal"), path);
        return !exists(file);
    }
    return ends_with(name, ".json");
}

int session_list(struct session_entry **out, int *n, struct error *e)
{
    char folder[PATH_BYTES / 2];
    if (catalog_sessions_dir(folder, sizeof folder, e) != 0)
        return -1;
    DIR *d = opendir(folder);
    if (!d)
        return error_set(e, ERROR_FAILED, "%s: cannot list sessions: %s", folder, strerror(errno));
    struct session_entry *list = NULL;
    int count = 0, room = 0;
    for (struct dirent *f = readdir(d); f; f = readdir(d)) {
        struct session_entry x = {0};
        struct stat s;
        if (!wanted(folder, f->d_name, x.path, sizeof x.path) || stat(x.path, &s) != 0)
            continue;
        x.bytes = (int64_t)s.st_size;
        x.written_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
        if (read_entry(&x) != 0) /* not a session */
            continue;
        if (count == room) {
            room = room ? 2 * room : 32;
            struct session_entry *larger = realloc(list, (size_t)room * sizeof *list);
            if (!larger) {
                free(list);
                closedir(d);
                return error_set(e, ERROR_MEMORY, "no memory to list the sessions of %s", folder);
            }
            list = larger;
        }
        list[count++] = x;
    }
    closedir(d);
    if (count > 1)
        qsort(list, (size_t)count, sizeof *list, newest_first);
    *out = list;
    *n = count;
    return 0;
}

int session_delete(const char *name, struct error *e)
{
    char path[PATH_BYTES], journal[PATH_BYTES + 16];
    if (resolve(name, path, sizeof path, e) != 0)
        return -1;
    snprintf(journal, sizeof journal, "%s.journal", path);
    if (journal_in_use(journal))
        return error_set(e, ERROR_FAILED, "%s: a run is still writing it: stop that run first", path);
    int file = unlink(path), why = errno;
    if (file != 0 && why != ENOENT)
        return error_set(e, ERROR_FAILED, "%s: cannot delete: %s", path, strerror(why));
    if (unlink(journal) != 0 && errno != ENOENT)
        return error_set(e, ERROR_FAILED, "%s: cannot delete: %s", journal, strerror(errno));
    else if (file != 0 && errno == ENOENT && exists(path))
        return error_set(e, ERROR_FAILED, "%s: cannot delete", path);
    return 0;
}
