#include "engine/model/text_file.h"

#include "presets/catalog.h"
#include "presets/json.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_BYTES ((size_t)1 << 30)

static bool is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

static bool is_blank(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\v\f", bytes[i]))
            return false;
    return true;
}

static int cut_lines(struct text_file *t, struct error *e)
{
    size_t room = 0;
    for (size_t at = 0; at < t->size;) {
        const char *end = memchr(t->bytes + at, '\n', t->size - at);
        size_t n = end ? (size_t)(end - (t->bytes + at)) : t->size - at, next = at + n + 1;
        while (n > 0 && t->bytes[at + n - 1] == '\r')
            n--;
        if (!is_blank(t->bytes + at, n)) {
            if ((size_t)t->n == room) {
                room = room ? 2 * room : 256;
                struct text_span *larger = realloc(t->span, room * sizeof *larger);
                if (!larger || t->n == INT_MAX)
                    return error_set(e, ERROR_MEMORY, "%s: no memory for its lines: choose a smaller text",
                                     t->name);
                t->span = larger;
            }
            t->span[t->n++] = (struct text_span){at, n};
        }
        at = next;
    }
    return 0;
}

int text_file_open(const char *name, enum text_unit unit, struct text_file *out, struct error *e)
{
    char path[1024];
    struct text_file t = {0};
    if (is_file(name) && strlen(name) < sizeof path)
        memcpy(path, name, strlen(name) + 1);
    else if (catalog_find(CATALOG_TEXTS, name, path, sizeof path, e) != 0)
        return -1;
    const char *slash = strrchr(name, '/');
    snprintf(t.name, sizeof t.name, "%.95s", slash ? slash + 1 : name);
    error_clean_text(t.name); /* the cut may have halved a character */
    t.bytes = json_read_file(path, TEXT_BYTES, &t.size, e);
    if (!t.bytes)
        return -1;
    int failed = 0;
    if (memchr(t.bytes, '\0', t.size))
        failed =
            error_set(e, ERROR_FAILED, "%s: holds zero bytes, so it is no text: choose a text file", name);
    else if (is_blank(t.bytes, t.size))
        failed = error_set(e, ERROR_FAILED, "%s: holds no text: choose another", name);
    else if (unit == TEXTS_LINES)
        failed = cut_lines(&t, e);
    else if ((t.span = malloc(sizeof *t.span)))
        t.span[t.n++] = (struct text_span){0, t.size};
    else
        failed = error_set(e, ERROR_MEMORY, "%s: no memory to read it: choose a smaller text", name);
    if (failed) {
        text_file_close(&t);
        return -1;
    }
    *out = t;
    return 0;
}

void text_file_close(struct text_file *t)
{
    free(t->bytes);
    free(t->span);
    memset(t, 0, sizeof *t);
}
