#define _GNU_SOURCE /* strverscmp */
#include "presets/catalog.h"
#include "presets/implementation_json.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *folder;         /* of the shipped catalog */
    const char *noun, *nouns;   /* the plural is the user's folder */
    const char *ending, *other; /* of its files; other: NULL or a second kind of file */
} kinds[] = {
    [CATALOG_PRESETS] = {".", "preset", "presets", ".json", NULL},
    [CATALOG_MODELS] = {"models", "model", "models", ".json", NULL},
    [CATALOG_IMPLEMENTATIONS] = {"implementations", "implementation", "implementations", ".json", NULL},
    [CATALOG_VOCABULARIES] = {"vocabularies", "vocabulary", "vocabularies", ".gguf", ".json"},
    [CATALOG_TEXTS] = {"texts", "text", "texts", ".txt", NULL},
};

/* How many bytes of name stand before the ending of a file of this kind; 0: it is none. */
static size_t stem(enum catalog_kind kind, const char *name)
{
    const char *const endings[] = {kinds[kind].ending, kinds[kind].other};
    size_t n = strlen(name);
    for (int i = 0; i < 2; i++) {
        size_t length = endings[i] ? strlen(endings[i]) : n;
        if (n > length && strcmp(name + n - length, endings[i]) == 0)
            return n - length;
    }
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* A catalog is known by its two folders, so that any "presets" folder beside a binary is not taken for one.
 */
static bool is_catalog(const char *path)
{
    char inside[PATH_MAX + 32];
    snprintf(inside, sizeof inside, "%s/models", path);
    if (!is_folder(inside))
        return false;
    snprintf(inside, sizeof inside, "%s/implementations", path);
    return is_folder(inside);
}

const char *catalog_shipped_dir(void)
{
    /* Beside the binary, installed, and from the folders of a build tree. */
    static const char *const places[] = {"presets",       "../presets",       "../share/benchtop/presets",
                                         "../../presets", "../../../presets", "../../../../presets"};
    static _Thread_local char found[PATH_MAX];
    char exe[PATH_MAX - 64], path[PATH_MAX];
    const char *given = getenv("BENCHTOP_CATALOG");
    if (given && given[0]) {
        snprintf(found, sizeof found, "%s", given);
        return is_catalog(found) ? found : NULL;
    }
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return NULL;
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/%s", exe, places[i]);
        if (is_catalog(path))
            return realpath(path, found);
    }
    return NULL;
}

/* $XDG_x_HOME/benchtop/sub or $HOME/fallback/benchtop/sub. The standard ignores relative values. */
static int user_dir(const char *variable, const char *fallback, const char *sub, char *out, size_t size)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int n;
    if (base && base[0] == '/')
        n = snprintf(out, size, "%s/benchtop/%s", base, sub);
    else if (home && home[0] == '/')
        n = snprintf(out, size, "%s/%s/benchtop/%s", home, fallback, sub);
    else
        return -1;
    return n > 0 && (size_t)n < size ? 0 : -1;
}

static int make_dirs(const char *path, struct error *e)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *slash = strchr(copy + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            return error_set(e, ERROR_FAILED,
                             "%s: cannot create the folder: %s: create it or choose another with "
                             "XDG_CONFIG_HOME or XDG_DATA_HOME",
                             copy, strerror(errno));
        if (!slash)
            break;
        *slash = '/';
    }
    if (!is_folder(path))
        return error_set(e, ERROR_FAILED, "%s: not a folder: move it away", path);
    return 0;
}

static int data_dir(const char *sub, bool create, char *out, size_t size, struct error *e)
{
    char path[PATH_MAX];
    if (user_dir("XDG_DATA_HOME", ".local/share", sub, path, sizeof path) != 0 || strlen(path) >= size)
        return error_set(e, ERROR_FAILED, "no folder for %s: set HOME or XDG_DATA_HOME to a full path", sub);
    if (create && make_dirs(path, e) != 0)
        return -1;
    snprintf(out, size, "%s", path);
    return 0;
}

int catalog_sessions_dir(char *out, size_t size, struct error *e)
{
    return data_dir("sessions", true, out, size, e);
}

int catalog_rotations_dir(char *out, size_t size, bool create, struct error *e)
{
    return data_dir("rotations", create, out, size, e);
}

int catalog_calibration_dir(char *out, size_t size, bool create, struct error *e)
{
    return data_dir("calibration", create, out, size, e);
}

static int add_entry(struct catalog_list *l, enum catalog_kind kind, const char *dir, const char *file,
                     bool user, struct error *e)
{
    size_t n = stem(kind, file);
    struct catalog_entry entry = {.user = user};
    struct stat s;
    if (n == 0 || n >= sizeof entry.name || file[0] == '.')
        return 0;
    memcpy(entry.name, file, n);
    int length = snprintf(entry.path, sizeof entry.path, "%s/%s", dir, file);
    if (length < 0 || (size_t)length >= sizeof entry.path || stat(entry.path, &s) != 0 || !S_ISREG(s.st_mode))
        return 0;
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->entry[i].name, entry.name) == 0)
            return 0; /* the user's come first and hide the shipped ones */
    struct catalog_entry *larger = realloc(l->entry, (size_t)(l->n + 1) * sizeof *larger);
    if (!larger)
        return error_set(e, ERROR_MEMORY, "no memory to list the catalog");
    l->entry = larger;
    l->entry[l->n++] = entry;
    return 0;
}

static int add_folder(struct catalog_list *l, enum catalog_kind kind, const char *dir, bool user,
                      struct error *e)
{
    DIR *d = opendir(dir);
    int result = 0;
    if (!d)
        return 0; /* the user need not have one */
    for (const struct dirent *f; result == 0 && (f = readdir(d));)
        result = add_entry(l, kind, dir, f->d_name, user, e);
    closedir(d);
    return result;
}

/* Digits compare as numbers, so that llama-7b stands before llama-13b. */
static int by_name(const void *a, const void *b)
{
    return strverscmp(((const struct catalog_entry *)a)->name, ((const struct catalog_entry *)b)->name);
}

int catalog_list(enum catalog_kind kind, struct catalog_list *out, struct error *e)
{
    struct catalog_list l = {0};
    char dir[PATH_MAX];
    const char *shipped = catalog_shipped_dir();
    int result = 0;
    if (user_dir("XDG_CONFIG_HOME", ".config", kinds[kind].nouns, dir, sizeof dir) == 0)
        result = add_folder(&l, kind, dir, true, e);
    if (result == 0 && shipped) {
        snprintf(dir, sizeof dir, kind == CATALOG_PRESETS ? "%s" : "%s/%s", shipped, kinds[kind].folder);
        result = add_folder(&l, kind, dir, false, e);
    }
    if (result != 0) {
        catalog_list_free(&l);
        return -1;
    }
    if (l.n > 0)
        qsort(l.entry, (size_t)l.n, sizeof *l.entry, by_name);
    *out = l;
    return 0;
}

void catalog_list_free(struct catalog_list *l)
{
    if (!l)
        return;
    free(l->entry);
    *l = (struct catalog_list){0};
}

static bool is_path(enum catalog_kind kind, const char *name)
{
    return strchr(name, '/') || stem(kind, name) > 0;
}

static int unknown_name(enum catalog_kind kind, const char *name, const struct catalog_list *l,
                        struct error *e)
{
    char near[256] = "";
    const char **names = malloc(((size_t)l->n + 1) * sizeof *names);
    for (int i = 0; names && i < l->n; i++)
        names[i] = l->entry[i].name;
    if (names)
        catalog_nearest(name, names, l->n, near, sizeof near);
    free(names);
    if (!catalog_shipped_dir())
        return error_set(e, ERROR_FAILED,
                         "no %s \"%.100s\", and the catalog that comes with benchtop was not found: set "
                         "BENCHTOP_CATALOG to its folder presets",
                         kinds[kind].noun, name);
    return error_set(e, ERROR_USAGE, "no %s \"%.100s\": %s%s%s`benchtop list %s` shows all", kinds[kind].noun,
                     name, near[0] ? "did you mean " : "", near, near[0] ? "? " : "", kinds[kind].nouns);
}

int catalog_find(enum catalog_kind kind, const char *name, char *path, size_t size, struct error *e)
{
    struct catalog_list l;
    if (is_path(kind, name)) {
        if (strlen(name) >= size)
            return error_set(e, ERROR_USAGE, "%.100s...: the path is too long", name);
        snprintf(path, size, "%s", name);
        return 0;
    }
    if (catalog_list(kind, &l, e) != 0)
        return -1;
    int i = 0;
    while (i < l.n && strcmp(l.entry[i].name, name) != 0)
        i++;
    int result = 0;
    if (i < l.n)
        snprintf(path, size, "%s", l.entry[i].path);
    else
        result = unknown_name(kind, name, &l, e);
    catalog_list_free(&l);
    return result;
}

int catalog_model(const char *name, struct model_spec *out, struct error *e)
{
    char path[PATH_MAX];
    return catalog_find(CATALOG_MODELS, name, path, sizeof path, e) != 0
               ? -1
               : model_spec_load(path, out, NULL, e);
}

int catalog_preset(const char *name, struct preset *out, struct error *warning, struct error *e)
{
    char path[PATH_MAX];
    return catalog_find(CATALOG_PRESETS, name, path, sizeof path, e) != 0
               ? -1
               : preset_load(path, out, warning, e);
}

int catalog_implementation(const char *name, struct implementation *out, struct error *e)
{
    char path[PATH_MAX];
    return catalog_find(CATALOG_IMPLEMENTATIONS, name, path, sizeof path, e) != 0
               ? -1
               : implementation_load(path, out, NULL, 0, NULL, e);
}

int catalog_save_preset(const struct preset *p, char *path, size_t size, struct error *e)
{
    char dir[PATH_MAX], file[PATH_MAX];
    size_t plain = strspn(p->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (plain == 0 || p->name[plain] != '\0' || p->name[0] == '.')
        return error_set(e, ERROR_USAGE,
                         "preset name \"%s\": expected letters, digits, '.', '_' and '-' only", p->name);
    if (user_dir("XDG_CONFIG_HOME", ".config", "presets", dir, sizeof dir) != 0)
        return error_set(e, ERROR_FAILED,
                         "no folder for presets: set HOME or XDG_CONFIG_HOME to a full path");
    if (make_dirs(dir, e) != 0)
        return -1;
    int n = snprintf(file, sizeof file, "%s/%s.json", dir, p->name);
    if (n < 0 || (size_t)n >= sizeof file || (size_t)n >= size)
        return error_set(e, ERROR_FAILED, "%s: the path of the preset is too long", dir);
    if (preset_save(p, file, e) != 0)
        return -1;
    snprintf(path, size, "%s", file);
    return 0;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Damerau-Levenshtein distance with adjacent swaps (restricted), ignoring ASCII case, over at most 63 bytes.
 */
static int distance(const char *a, const char *b)
{
    int rows[3][64], n = smaller((int)strlen(a), 63), m = smaller((int)strlen(b), 63);
    for (int j = 0; j <= m; j++)
        rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int same = lower(a[i - 1]) == lower(b[j - 1]);
            row[j] = smaller(smaller(above[j], row[j - 1]) + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = smaller(row[j], two[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void catalog_nearest(const char *word, const char *const *names, int n, char *out, size_t size)
{
    enum { MOST = 3 };
    int best[MOST], score[MOST], kept = 0;
    int limit = (int)strlen(word) / 3 + 1;
    for (int i = 0; i < n; i++) {
        int d = distance(word, names[i]);
        bool part = strlen(word) >= 3 && strstr(names[i], word);
        if (d > limit && !part)
            continue;
        d = part ? smaller(d, limit) : d;
        int at = kept < MOST ? kept : MOST;
        while (at > 0 && score[at - 1] > d)
            at--;
        if (at == MOST)
            continue;
        for (int k = smaller(kept, MOST - 1); k > at; k--) {
            best[k] = best[k - 1];
            score[k] = score[k - 1];
        }
        best[at] = i;
        score[at] = d;
        kept = smaller(kept + 1, MOST);
    }
    size_t length = 0;
    if (size > 0)
        out[0] = '\0';
    for (int k = 0; k < kept; k++) {
        size_t needed = strlen(names[best[k]]) + (k ? 2 : 0);
        if (length + needed + 1 > size)
            break;
        length += (size_t)snprintf(out + length, size - length, "%s%s", k ? ", " : "", names[best[k]]);
    }
}
