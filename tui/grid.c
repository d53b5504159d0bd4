#include "tui/grid.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cell blank = {' ', STYLE_TEXT, STYLE_TEXT};

int grid_init(struct grid *g, int width, int height)
{
    memset(g, 0, sizeof *g);
    return grid_resize(g, width, height);
}

void grid_free(struct grid *g)
{
    free(g->cell);
    g->cell = NULL;
    g->width = g->height = 0;
}

int grid_resize(struct grid *g, int width, int height)
{
    if (width < 1)
        width = 1;
    if (height < 1)
        height = 1;
    struct cell *cell = realloc(g->cell, (size_t)width * (size_t)height * sizeof *cell);
    if (!cell)
        return -1;
    g->cell = cell;
    g->width = width;
    g->height = height;
    grid_clear(g);
    return 0;
}

void grid_clear(struct grid *g)
{
    for (int i = 0; i < g->width * g->height; i++)
        g->cell[i] = blank;
}

/* Columns of a code point. An own table and not wcwidth(): golden screens must not depend on the locale. The
 * screen checks each wide character against the terminal's own opinion before it sends it. */
static int code_columns(uint32_t c)
{
    static const struct {
        uint32_t first, last;
        int columns;
    } range[] = {
        {0x0300, 0x036f, 0},   {0x0483, 0x0489, 0},   {0x0591, 0x05bd, 0},   {0x1100, 0x115f, 2},
        {0x1ab0, 0x1aff, 0},   {0x1dc0, 0x1dff, 0},   {0x200b, 0x200f, 0},   {0x20d0, 0x20ff, 0},
        {0x2e80, 0x303e, 2},   {0x3041, 0x4dbf, 2},   {0x4e00, 0xa4cf, 2},   {0xa960, 0xa97c, 2},
        {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},   {0xfe20, 0xfe2f, 0},
        {0xfe30, 0xfe6f, 2},   {0xff01, 0xff60, 2},   {0xffe0, 0xffe6, 2},   {0x1f300, 0x1f64f, 2},
        {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2},
    };
    for (size_t i = 0; i < sizeof range / sizeof range[0]; i++) {
        if (c < range[i].first)
            return 1;
        if (c <= range[i].last)
            return range[i].columns;
    }
    return 1;
}

/* Next code point of UTF-8 text; '?' for what is malformed, a surrogate or a control character. Consumes at
 * least one byte. */
static uint32_t decode(const char **text)
{
    const unsigned char *s = (const unsigned char *)*text;
    uint32_t c = s[0];
    int more = c < 0x80                ? 0
               : c >= 0xc2 && c < 0xe0 ? 1
               : c >= 0xe0 && c < 0xf0 ? 2
               : c >= 0xf0 && c < 0xf5 ? 3
                                       : -1;
    if (more > 0)
        c &= 0x3fu >> more;
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            more = -1;
            break;
        }
        c = c << 6 | (s[i] & 0x3fu);
    }
    if (more < 0) {
        *text += 1;
        return '?';
    }
    *text += more + 1;
    bool overlong = (more == 2 && c < 0x800) || (more == 3 && c < 0x10000);
    if (overlong || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff || c < 0x20 || (c >= 0x7f && c < 0xa0))
        return '?';
    return c;
}

/* One ASCII column for each column of what our texts use, so that both glyph sets have the same layout. */
static uint32_t to_ascii(uint32_t c)
{
    static const struct {
        uint32_t code;
        char ascii;
    } map[] = {
        {0xb0, ' '},   {0xb1, '~'},   {0xbb, '>'},   {0xb5, 'u'},    {0xb7, '|'},   {0xd7, 'x'},
        {0x3bc, 'u'},  {0x2013, '-'}, {0x2014, '-'}, {0x2019, '\''}, {0x201c, '"'}, {0x201d, '"'},
        {0x2026, '~'}, {0x2192, '>'}, {0x2190, '<'}, {0x2191, '^'},  {0x2193, 'v'}, {0x2212, '-'},
        {0x2248, '~'}, {0x2264, '<'}, {0x2265, '>'}, {0x2500, '-'},  {0x2502, '|'}, {0x25cf, '*'},
        {0x25cb, 'o'}, {0x25b2, '^'}, {0x25bc, 'v'}, {0x2588, '#'},  {0x2593, '='}, {0x2592, '-'},
        {0x2591, '.'}, {0x2580, '"'},
    };
    if (c < 0x80)
        return c;
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if (map[i].code == c)
            return (uint32_t)map[i].ascii;
    return '?';
}

static struct cell *at(struct grid *g, int x, int y)
{
    return &g->cell[y * g->width + x];
}

/* A cell about to be overwritten may be one half of a wide character: the other half becomes a blank. */
static void split_wide(struct grid *g, int x, int y)
{
    if (at(g, x, y)->code == 0 && x > 0)
        at(g, x - 1, y)->code = ' ';
    if (x + 1 < g->width && at(g, x + 1, y)->code == 0)
        at(g, x + 1, y)->code = ' ';
}

void grid_put(struct grid *g, int x, int y, uint32_t code, enum style style)
{
    if (x < 0 || y < 0 || x >= g->width || y >= g->height)
        return;
    int columns = code_columns(code);
    if (g->ascii)
        code = to_ascii(code);
    split_wide(g, x, y);
    if (columns == 2) {
        if (x + 1 >= g->width) {
            *at(g, x, y) = blank;
            return;
        }
        split_wide(g, x + 1, y);
        *at(g, x + 1, y) = (struct cell){g->ascii ? '?' : 0, (uint8_t)style, STYLE_TEXT};
    }
    *at(g, x, y) = (struct cell){columns ? code : ' ', (uint8_t)style, STYLE_TEXT};
}

void grid_put_on(struct grid *g, int x, int y, uint32_t code, enum style style, enum style back)
{
    grid_put(g, x, y, code, style);
    if (x >= 0 && y >= 0 && x < g->width && y < g->height)
        at(g, x, y)->back = (uint8_t)back;
}

uint32_t grid_code(const struct grid *g, int x, int y)
{
    if (x < 0 || y < 0 || x >= g->width || y >= g->height)
        return ' ';
    return g->cell[y * g->width + x].code;
}

int grid_columns(const char *text)
{
    int columns = 0;
    while (*text)
        columns += code_columns(decode(&text));
    return columns;
}

int grid_text(struct grid *g, int x, int y, int width, enum style style, const char *text)
{
    int used = 0;
    bool whole = grid_columns(text) <= width;
    while (*text && used < width) {
        uint32_t c = decode(&text);
        int columns = code_columns(c);
        if (columns == 0)
            continue;
        if (!whole && used + columns > width - 1) {
            grid_put(g, x + used, y, glyph(g, GLYPH_ELLIPSIS), style);
            return used + 1;
        }
        grid_put(g, x + used, y, c, style);
        used += columns;
    }
    return used;
}

int grid_format(struct grid *g, int x, int y, int width, enum style style, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return grid_text(g, x, y, width, style, text);
}

int grid_text_right(struct grid *g, int right, int y, int width, enum style style, const char *text)
{
    int columns = grid_columns(text);
    if (columns > width)
        columns = width;
    return grid_text(g, right - columns, y, columns, style, text);
}

/* The part of r inside the grid. */
static struct rect clip(const struct grid *g, struct rect r)
{
    if (r.x < 0) {
        r.width += r.x;
        r.x = 0;
    }
    if (r.y < 0) {
        r.height += r.y;
        r.y = 0;
    }
    if (r.width > g->width - r.x)
        r.width = g->width - r.x;
    if (r.height > g->height - r.y)
        r.height = g->height - r.y;
    return r;
}

void grid_fill(struct grid *g, struct rect r, uint32_t code, enum style style)
{
    r = clip(g, r);
    for (int y = r.y; y < r.y + r.height; y++)
        for (int x = r.x; x < r.x + r.width; x++)
            grid_put(g, x, y, code, style);
}

void grid_restyle(struct grid *g, struct rect r, enum style style)
{
    r = clip(g, r);
    for (int y = r.y; y < r.y + r.height; y++)
        for (int x = r.x; x < r.x + r.width; x++)
            at(g, x, y)->style = (uint8_t)style;
}

static char *put_code(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

static char style_letter(uint8_t style)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return style == STYLE_TEXT ? ' ' : style < sizeof letters - 1 ? letters[style] : '?';
}

char *grid_dump(const struct grid *g, bool with_styles)
{
    size_t rows = (size_t)g->height * (with_styles ? 2 : 1) + 1;
    char *text = malloc(rows * ((size_t)g->width * 4 + 1) + 1), *out = text;
    if (!text)
        return NULL;
    for (int block = 0; block < (with_styles ? 2 : 1); block++) {
        if (block == 1)
            *out++ = '\n';
        for (int y = 0; y < g->height; y++) {
            char *end = out; /* after the last character that is not a blank */
            for (int x = 0; x < g->width; x++) {
                const struct cell *c = &g->cell[y * g->width + x];
                if (block == 0 && c->code == 0)
                    continue;
                uint32_t code = block == 0 ? c->code : (uint32_t)style_letter(c->back ? c->back : c->style);
                out = put_code(out, code);
                if (code != ' ')
                    end = out;
            }
            out = end;
            *out++ = '\n';
        }
    }
    *out = 0;
    return text;
}

uint32_t glyph(const struct grid *g, enum glyph which)
{
    static const struct {
        uint32_t code;
        char ascii;
    } table[GLYPHS] = {
        [GLYPH_HORIZONTAL] = {0x2500, '-'},  [GLYPH_VERTICAL] = {0x2502, '|'},
        [GLYPH_TOP_LEFT] = {0x250c, '+'},    [GLYPH_TOP_RIGHT] = {0x2510, '+'},
        [GLYPH_BOTTOM_LEFT] = {0x2514, '+'}, [GLYPH_BOTTOM_RIGHT] = {0x2518, '+'},
        [GLYPH_TEE_LEFT] = {0x251c, '+'},    [GLYPH_TEE_RIGHT] = {0x2524, '+'},
        [GLYPH_TICK] = {0x2502, '|'},        [GLYPH_CROSS] = {0x253c, '+'},
        [GLYPH_TICK_DOWN] = {0x252c, '+'},   [GLYPH_TICK_UP] = {0x2534, '+'},
        [GLYPH_ON] = {0x25cf, '*'},          [GLYPH_OFF] = {0x25cb, '.'},
        [GLYPH_POINTER] = {0x25b8, '>'},     [GLYPH_UP] = {0x25b4, '^'},
        [GLYPH_DOWN] = {0x25be, 'v'},        [GLYPH_ELLIPSIS] = {0x2026, '~'},
        [GLYPH_PLUS_MINUS] = {0xb1, '~'},    [GLYPH_TIMES] = {0xd7, 'x'},
        [GLYPH_LESS_EQUAL] = {0x2264, '<'},  [GLYPH_HALF_BLOCK] = {0x2580, '"'},
        [GLYPH_SHADE] = {0x2591, ':'},
    };
    return g->ascii ? (uint32_t)table[which].ascii : table[which].code;
}

uint32_t glyph_bar(const struct grid *g, int eighths, bool vertical)
{
    if (eighths <= 0)
        return ' ';
    if (eighths > 8)
        eighths = 8;
    if (g->ascii)
        return (uint32_t)(vertical ? " ..::||##"[eighths] : " --==+###"[eighths]);
    if (eighths == 8)
        return 0x2588;
    return vertical ? 0x2580u + (uint32_t)eighths : 0x2590u - (uint32_t)eighths;
}
