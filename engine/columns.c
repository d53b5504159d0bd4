#include "engine/columns.h"
#include "engine/markup.h"
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MOST = 24, GAP = 2, NARROWEST = 6, WORD = 1024 };

enum cell_kind { CELL_PLAIN, CELL_WEAK, CELL_MARKUP };
struct cell {
    char *text;
    enum cell_kind kind;
};

struct columns {
    const struct column *column;
    int n;
    struct cell *cell;
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

static void add_cell(struct columns *c, const char *text, enum cell_kind kind)
{
    if (c->n_cells == c->room) {
        int room = c->room ? 2 * c->room : 64;
        struct cell *larger = realloc(c->cell, (size_t)room * sizeof *larger);
        if (!larger) {
            c->failed = true;
            return;
        }
        c->cell = larger;
        c->room = room;
    }
    c->cell[c->n_cells] = (struct cell){text ? strdup(text) : NULL, kind};
    if (!c->cell[c->n_cells].text) {
        c->failed = true;
        return;
    }
    c->n_cells++;
}

void columns_cell(struct columns *c, const char *text)
{
    add_cell(c, text, CELL_PLAIN);
}

void columns_weak(struct columns *c, const char *text)
{
    add_cell(c, text, CELL_WEAK);
}

void columns_markup(struct columns *c, const char *html)
{
    add_cell(c, html, CELL_MARKUP);
}

/* What a plain table shows of a cell. */
static const char *plain(const struct cell *cell)
{
    return cell->kind == CELL_PLAIN ? cell->text : cell->kind == CELL_WEAK ? "–" : "";
}

void columns_free(struct columns *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_cells; i++)
        free(c->cell[i].text);
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
            int w = text_width(plain(&c->cell[j]));
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

static void put_row(const struct columns *c, const int *width, const struct cell *cell, int limit,
                    struct text *out)
{
    struct text line = {0};
    for (int i = 0; i < c->n; i++) {
        char fitted[1024];
        if (width[i] == 0)
            continue;
        text_fit(cell ? plain(&cell[i]) : c->column[i].title, width[i], fitted, sizeof fitted);
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

static void put_html_cell(const struct columns *c, int column, const struct cell *cell, struct text *out)
{
    bool weak = cell->kind == CELL_WEAK;
    text_format(out, "<td%s>", weak ? " class=\"weak\"" : c->column[column].left ? " class=\"left\"" : "");
    if (cell->kind == CELL_MARKUP)
        text_add(out, cell->text);
    else
        markup_text(out, cell->text);
    text_add(out, "</td>");
}

void columns_html(struct columns *c, struct text *out)
{
    bool shown[COLUMNS_MOST] = {false};
    int first = -1;
    if (!c || c->failed) {
        out->failed = true;
        return;
    }
    for (int i = 0; i < c->n; i++) {
        for (int j = i; j < c->n_cells && !shown[i]; j += c->n)
            shown[i] = c->cell[j].text[0] != '\0';
        first = first < 0 && shown[i] ? i : first;
    }
    text_add(out, "<div class=\"wide\"><table>\n<thead><tr>");
    for (int i = 0; i < c->n; i++) {
        if (!shown[i])
            continue;
        text_add(out, c->column[i].left ? "<th class=\"left\">" : "<th>");
        markup_text(out, c->column[i].title);
        text_add(out, "</th>");
    }
    text_add(out, "</tr></thead>\n<tbody>\n");
    for (int row = 0; row + c->n <= c->n_cells; row += c->n) {
        text_add(out, first >= 0 && c->cell[row + first].text[0] ? "<tr class=\"first\">" : "<tr>");
        for (int i = 0; i < c->n; i++)
            if (shown[i])
                put_html_cell(c, i, &c->cell[row + i], out);
        text_add(out, "</tr>\n");
    }
    text_add(out, "</tbody></table></div>\n");
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
