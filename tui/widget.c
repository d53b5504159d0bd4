#include "tui/widget.h"
#include "tui/screen.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The note up to a comma, where it has no room to be told to its end. */
static const char *whole_clauses(const char *note, int columns, char *out, size_t size)
{
    snprintf(out, size, "%s", note);
    while (grid_columns(out) > columns) {
        char *comma = strrchr(out, ',');
        if (!comma)
            return note; /* one clause: it is cut */
        *comma = '\0';
    }
    return out;
}

struct rect widget_panel(struct grid *g, struct rect r, const char *title, const char *note, bool focus)
{
    if (r.width < 8 || r.height < 3)
        return r;
    enum style style = focus ? STYLE_FRAME_FOCUS : STYLE_FRAME;
    int right = r.x + r.width - 1, bottom = r.y + r.height - 1;
    grid_fill(g, (struct rect){r.x + 1, r.y, r.width - 2, 1}, glyph(g, GLYPH_HORIZONTAL), style);
    grid_fill(g, (struct rect){r.x + 1, bottom, r.width - 2, 1}, glyph(g, GLYPH_HORIZONTAL), style);
    grid_fill(g, (struct rect){r.x, r.y + 1, 1, r.height - 2}, glyph(g, GLYPH_VERTICAL), style);
    grid_fill(g, (struct rect){right, r.y + 1, 1, r.height - 2}, glyph(g, GLYPH_VERTICAL), style);
    grid_put(g, r.x, r.y, glyph(g, GLYPH_TOP_LEFT), style);
    grid_put(g, right, r.y, glyph(g, GLYPH_TOP_RIGHT), style);
    grid_put(g, r.x, bottom, glyph(g, GLYPH_BOTTOM_LEFT), style);
    grid_put(g, right, bottom, glyph(g, GLYPH_BOTTOM_RIGHT), style);
    int room = r.width - 4, used = 0;
    if (title && *title && room > 2) {
        grid_put(g, r.x + 1, r.y, ' ', style);
        used = grid_text(g, r.x + 2, r.y, room, focus ? STYLE_TITLE : STYLE_TEXT, title);
        grid_put(g, r.x + 2 + used, r.y, ' ', style);
    }
    if (note && *note && room - used - 3 > 6) {
        char whole[256];
        note = whole_clauses(note, room - used - 3, whole, sizeof whole);
        int width = grid_columns(note);
        width = width < room - used - 3 ? width : room - used - 3;
        grid_put(g, right - 2 - width, r.y, ' ', style);
        grid_text_right(g, right - 1, r.y, width, STYLE_DIM, note);
        grid_put(g, right - 1, r.y, ' ', style);
    }
    return (struct rect){r.x + 2, r.y + 1, r.width - 4, r.height - 2};
}

void widget_scroll_fit(struct widget_scroll *s, int items, int rows)
{
    if (s->cursor >= items)
        s->cursor = items - 1;
    if (s->cursor < 0)
        s->cursor = 0;
    if (rows < 1)
        rows = 1;
    if (s->top > items - rows)
        s->top = items - rows;
    if (s->top > s->cursor)
        s->top = s->cursor;
    if (s->cursor >= s->top + rows)
        s->top = s->cursor - rows + 1;
    if (s->top < 0)
        s->top = 0;
}

void widget_scroll_move(struct widget_scroll *s, int items, int by)
{
    int to = s->cursor + by;
    s->cursor = to >= items ? items - 1 : to;
    if (s->cursor < 0)
        s->cursor = 0;
}

void widget_scrollbar(struct grid *g, struct rect panel, const struct widget_scroll *s, int items, int rows)
{
    if (items <= rows || rows < 1 || panel.height < 4)
        return;
    int track = panel.height - 2, thumb = track * rows / items;
    if (thumb < 1)
        thumb = 1;
    int from = items > rows ? (track - thumb) * s->top / (items - rows) : 0;
    for (int i = 0; i < thumb; i++)
        grid_put(g, panel.x + panel.width - 1, panel.y + 1 + from + i, glyph_bar(g, 8, true), STYLE_FRAME);
}

void widget_table_begin(struct widget_table *t, struct grid *g, struct rect r,
                        const struct widget_column *column, int n)
{
    if (n > WIDGET_COLUMNS)
        n = WIDGET_COLUMNS;
    *t = (struct widget_table){.grid = g, .area = r, .column = column, .n = n};
    int total = 0, gap = 2, shown = n;
    for (int i = 0; i < n; i++) {
        t->width[i] = column[i].width;
        total += column[i].width;
    }
    /* First the gaps shrink, then the least important columns go, then what remains is cut. */
    while (shown > 1 && total + gap * (shown - 1) > r.width) {
        if (total + (shown - 1) <= r.width) {
            gap = 1;
            break;
        }
        int drop = -1;
        for (int i = 0; i < n; i++)
            if (t->width[i] > 0 && column[i].priority > 1 &&
                (drop < 0 || column[i].priority >= column[drop].priority))
                drop = i;
        if (drop < 0) {
            gap = 1;
            break;
        }
        total -= t->width[drop];
        t->width[drop] = 0;
        shown--;
    }
    int left = r.width - total - gap * (shown - 1), growing = 0;
    for (int i = 0; i < n; i++)
        growing += t->width[i] > 0 && column[i].grows;
    int x = r.x;
    for (int i = 0; i < n; i++) {
        if (t->width[i] == 0)
            continue;
        if (column[i].grows && left > 0) {
            int part = left / growing;
            t->width[i] += part;
            left -= part;
            growing--;
        }
        if (t->width[i] > r.x + r.width - x)
            t->width[i] = r.x + r.width - x > 0 ? r.x + r.width - x : 0;
        t->x[i] = x;
        x += t->width[i] + gap;
    }
    if (r.height < 2)
        return;
    for (int i = 0; i < n; i++)
        widget_table_cell(t, 0, i, STYLE_DIM, column[i].title);
    t->area.y++;
    t->area.height--;
}

void widget_table_cell(const struct widget_table *t, int row, int column, enum style style, const char *text)
{
    if (row < 0 || row >= t->area.height || column < 0 || column >= t->n || t->width[column] < 1)
        return;
    int y = t->area.y + row, width = t->width[column];
    if (t->column[column].right)
        grid_text_right(t->grid, t->x[column] + width, y, width, style, text);
    else
        grid_text(t->grid, t->x[column], y, width, style, text);
}

void widget_table_format(const struct widget_table *t, int row, int column, enum style style,
                         const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    widget_table_cell(t, row, column, style, text);
}

bool widget_table_has(const struct widget_table *t, int column)
{
    return column >= 0 && column < t->n && t->width[column] > 0;
}

void widget_table_select(const struct widget_table *t, int row, bool focus)
{
    if (row < 0 || row >= t->area.height)
        return;
    struct rect bar = {t->area.x, t->area.y + row, t->area.width, 1};
    grid_restyle(t->grid, bar, focus ? STYLE_SELECTED : STYLE_BOLD);
}

void widget_entry_set(struct widget_entry *e, const char *text)
{
    snprintf(e->text, sizeof e->text, "%s", text ? text : "");
    e->cursor = (int)strlen(e->text);
}

static int previous_character(const char *text, int at)
{
    do
        at--;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80);
    return at < 0 ? 0 : at;
}

static int next_character(const char *text, int at)
{
    if (!text[at])
        return at;
    do
        at++;
    while (((unsigned char)text[at] & 0xc0) == 0x80);
    return at;
}

static void insert_character(struct widget_entry *e, int key)
{
    char bytes[5] = {0};
    int n = 1;
    if (key < 0x80) {
        bytes[0] = (char)key;
    } else if (key < 0x800) {
        bytes[0] = (char)(0xc0 | key >> 6);
        bytes[1] = (char)(0x80 | (key & 0x3f));
        n = 2;
    } else if (key < 0x10000) {
        bytes[0] = (char)(0xe0 | key >> 12);
        bytes[1] = (char)(0x80 | (key >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (key & 0x3f));
        n = 3;
    } else {
        bytes[0] = (char)(0xf0 | key >> 18);
        bytes[1] = (char)(0x80 | (key >> 12 & 0x3f));
        bytes[2] = (char)(0x80 | (key >> 6 & 0x3f));
        bytes[3] = (char)(0x80 | (key & 0x3f));
        n = 4;
    }
    size_t length = strlen(e->text);
    if (length + (size_t)n >= sizeof e->text)
        return;
    memmove(e->text + e->cursor + n, e->text + e->cursor, length - (size_t)e->cursor + 1);
    memcpy(e->text + e->cursor, bytes, (size_t)n);
    e->cursor += n;
}

static void cut(struct widget_entry *e, int from, int to)
{
    memmove(e->text + from, e->text + to, strlen(e->text + to) + 1);
    e->cursor = from;
}

bool widget_entry_key(struct widget_entry *e, int key)
{
    switch (key) {
    case KEY_CODE_LEFT:
        e->cursor = previous_character(e->text, e->cursor);
        return true;
    case KEY_CODE_RIGHT:
        e->cursor = next_character(e->text, e->cursor);
        return true;
    case KEY_CODE_HOME:
    case 'A' - '@':
        e->cursor = 0;
        return true;
    case KEY_CODE_END:
    case 'E' - '@':
        e->cursor = (int)strlen(e->text);
        return true;
    case KEY_CODE_BACKSPACE:
        cut(e, previous_character(e->text, e->cursor), e->cursor);
        return true;
    case KEY_CODE_DELETE:
        cut(e, e->cursor, next_character(e->text, e->cursor));
        return true;
    case 'U' - '@':
        cut(e, 0, e->cursor);
        return true;
    case 'W' - '@': {
        int from = e->cursor;
        while (from > 0 && e->text[from - 1] == ' ')
            from--;
        while (from > 0 && e->text[from - 1] != ' ')
            from--;
        cut(e, from, e->cursor);
        return true;
    }
    default:
        if (key < 0x20 || (key >= 0x7f && key < 0xa0) || key >= KEYS_SPECIAL)
            return false;
        insert_character(e, key);
        return true;
    }
}

void widget_entry_draw(struct grid *g, int x, int y, int width, const struct widget_entry *e)
{
    if (width < 2)
        return;
    /* Scroll so that the cursor is seen: whole characters from the left go. */
    char before[WIDGET_ENTRY];
    memcpy(before, e->text, (size_t)e->cursor);
    before[e->cursor] = 0;
    const char *from = before;
    while (grid_columns(from) > width - 1)
        from += next_character(from, 0);
    int column = grid_columns(from);
    const char *text = e->text + (from - before);
    for (int i = 0; i < width; i++)
        grid_put(g, x + i, y, ' ', STYLE_TEXT);
    grid_text(g, x, y, width, STYLE_TEXT, text);
    grid_restyle(g, (struct rect){x, y, width, 1}, STYLE_KEY);
    grid_restyle(g, (struct rect){x + column, y, 1, 1}, STYLE_CURSOR);
}

bool widget_hit(struct rect r, int x, int y)
{
    return x >= r.x && x < r.x + r.width && y >= r.y && y < r.y + r.height;
}

int widget_paragraph(struct grid *g, struct rect r, enum style style, const char *text)
{
    int row = 0, x = 0, last = 0;
    while (*text && row < r.height) {
        while (*text == ' ')
            text++;
        size_t length = strcspn(text, " \n");
        char word[256];
        snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), text);
        int columns = grid_columns(word);
        if (x > 0 && x + 1 + columns > r.width) {
            row++;
            last = x;
            x = 0;
        }
        if (row >= r.height) { /* words are left: the last line says so */
            int end = last < r.width ? last : r.width - 1;
            grid_put(g, r.x + end, r.y + r.height - 1, glyph(g, GLYPH_ELLIPSIS), style);
            break;
        }
        if (x > 0)
            x++;
        if (columns > 0)
            x += grid_text(g, r.x + x, r.y + row, r.width - x, style, word);
        text += length;
        if (*text == '\n') {
            text++;
            row++;
            x = 0;
        }
    }
    return row + (x > 0);
}

static bool contains(const char *text, const char *word, size_t length)
{
    for (; *text; text++) {
        size_t i = 0;
        while (i < length && text[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)word[i]))
            i++;
        if (i == length)
            return true;
    }
    return false;
}

bool widget_matches(const char *text, const char *filter)
{
    while (*filter) {
        while (*filter == ' ')
            filter++;
        size_t length = strcspn(filter, " ");
        if (length && !contains(text, filter, length))
            return false;
        filter += length;
    }
    return true;
}
