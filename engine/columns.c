#include "engine/columns.h"
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MOST = 24, GAP = 2, NARROWEST = 6, WORD = 1024 };

struct columns {
    const struct column *column;
    int n;
    char **cell;
    int n_cells, room;
    bool failed;
};

struct columns *columns_new(const struct column *column, int n)
{
    struct columns *c = calloc(1, sizeof *c);
    if (c) {
        c->column = column;
        c->n = n < COLUMNS_MOST ? n : COLUMNS_MOST;
    }
    return c;
}

void columns_cell(struct columns *c, const char *text)
{
    if (c->n_cells == c->room) {
        int room = c->room ? 2 * c->room : 64;
        char **larger = realloc(c->cell, (size_t)room * sizeof *larger);
        if (!larger) {
            c->failed = true;
            return;
        }
        c->cell = larger;
        c->room = room;
    }
    c->cell[c->n_cells] = text ? strdup(text) : NULL;
    if (!c->cell[c->n_cells]) {
        c->failed = true;
        return;
    }
    c->n_cells++;
}

void columns_free(struct columns *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_cells; i++)
        free(c->cell[i]);
    free(c->cell);
    free(c);
}

static int total(const int *width, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += width[i] > 0 ? width[i] + GAP : 0;
    return sum > 0 ? sum - GAP : 0;
}

/* Width 0 leaves a column out. */
static void choose(const struct columns *c, int limit, int *width)
{
    for (int i = 0; i < c->n; i++) {
        bool any = false;
        width[i] = text_width(c->column[i].title);
        for (int j = i; j < c->n_cells; j += c->n) {
            int w = text_width(c->cell[j]);
            any = any || w > 0;
            width[i] = w > width[i] ? w : width[i];
        }
        if (!any)
            width[i] = 0;
    }
    while (limit > 0 && total(width, c->n) > limit) {
        int worst = -1;
        for (int i = 0; i < c->n; i++) {
            if (width[i] > 0 && c->column[i].rank > 0 &&
                (worst < 0 || c->column[i].rank > c->column[worst].rank))
                worst = i;
        }
        if (worst >= 0) {
            width[worst] = 0;
            continue;
        }
        for (int i = 0; i < c->n; i++) { /* nothing left to drop: the widest words give way */
            if (c->column[i].left && width[i] > NARROWEST && (worst < 0 || width[i] > width[worst]))
                worst = i;
        }
        if (worst < 0)
            return;
        width[worst]--;
    }
}

static void put_row(const struct columns *c, const int *width, char *const *cell, int limit, struct text *out)
{
    struct text line = {0};
    for (int i = 0; i < c->n; i++) {
        char fitted[1024];
        if (width[i] == 0)
            continue;
        text_fit(cell ? cell[i] : c->column[i].title, width[i], fitted, sizeof fitted);
        int pad = width[i] - text_width(fitted);
        if (line.n > 0)
            text_repeat(&line, " ", GAP);
        if (!c->column[i].left)
            text_repeat(&line, " ", pad);
        text_add(&line, fitted);
        if (c->column[i].left)
            text_repeat(&line, " ", pad);
    }
    text_add(&line, "");
    text_trim(&line);
    if (line.failed) {
        out->failed = true;
    } else if (limit > 0 && text_width(line.bytes) > limit) {
        char cut[1024];
        text_add(out, text_fit(line.bytes, limit, cut, sizeof cut));
    } else {
        text_add(out, line.bytes);
    }
    text_add(out, "\n");
    text_free(&line);
}

void columns_print(struct columns *c, int width, struct text *out)
{
    int widths[COLUMNS_MOST];
    if (!c || c->failed) {
        out->failed = true;
        return;
    }
    choose(c, width, widths);
    put_row(c, widths, NULL, width, out);
    for (int i = 0; i + c->n <= c->n_cells; i += c->n)
        put_row(c, widths, c->cell + i, width, out);
}

void columns_wrap(const char *text, int width, int indent, struct text *out)
{
    int at = 0;
    while (*text) {
        size_t n = strcspn(text, " ");
        char word[WORD], plain[WORD];
        size_t kept = n < sizeof word ? n : sizeof word - 1;
        memcpy(word, text, kept);
        word[kept] = '\0';
        text_fit(word, width > indent ? width - indent : WORD, plain, sizeof plain);
        int w = text_width(plain);
        if (at > 0 && width > 0 && at + 1 + w > width) {
            text_add(out, "\n");
            text_repeat(out, " ", indent);
            at = indent;
        } else if (at > 0 && n > 0) {
            text_add(out, " ");
            at++;
        }
        text_add(out, plain);
        at += w;
        text += n;
        text += strspn(text, " ");
    }
    text_add(out, "\n");
}
