#include "engine/text.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text text_in(char *buffer, size_t size)
{
    buffer[0] = '\0';
    return (struct text){.bytes = buffer, .room = size, .fixed = true};
}

void text_put(struct text *t, const char *bytes, size_t n)
{
    if (t->failed)
        return;
    if (t->fixed && n > t->room - 1 - t->n) {
        n = t->room - 1 - t->n;
        while (n > 0 && ((unsigned char)bytes[n] & 0xC0) == 0x80)
            n--;
        t->room = t->n + n + 1; /* nothing may follow the cut */
    }
    if (t->n + n + 1 > t->room) {
        size_t room = t->room ? t->room : 1024;
        while (room < t->n + n + 1)
            room *= 2;
        char *larger = realloc(t->bytes, room);
        if (!larger) {
            t->failed = true;
            return;
        }
        t->bytes = larger;
        t->room = room;
    }
    if (n > 0)
        memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    t->bytes[t->n] = '\0';
}

void text_add(struct text *t, const char *word)
{
    text_put(t, word, strlen(word));
}

void text_format(struct text *t, const char *format, ...)
{
    char small[512];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof small) {
        text_put(t, small, (size_t)n);
    } else if (n >= 0) {
        char *large = t->fixed ? NULL : malloc((size_t)n + 1);
        if (t->fixed) {
            text_put(t, small, sizeof small - 1);
        } else if (large) {
            vsnprintf(large, (size_t)n + 1, format, again);
            text_put(t, large, (size_t)n);
            free(large);
        } else {
            t->failed = true;
        }
    }
    va_end(again);
}

void text_repeat(struct text *t, const char *word, int times)
{
    for (int i = 0; i < times; i++)
        text_add(t, word);
}

void text_trim(struct text *t)
{
    while (t->n > 0 && t->bytes[t->n - 1] == ' ')
        t->bytes[--t->n] = '\0';
}

char *text_take(struct text *t, struct error *e)
{
    text_put(t, "", 0);
    char *bytes = t->failed ? NULL : t->bytes;
    if (t->failed) {
        free(t->bytes);
        error_set(e, ERROR_MEMORY, "no memory for the text: close other programs and try again");
    }
    *t = (struct text){0};
    return bytes;
}

void text_free(struct text *t)
{
    free(t->bytes);
    *t = (struct text){0};
}

size_t text_character(const char *s)
{
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80)
        return 1;
    size_t n = u[0] >= 0xC2 && u[0] <= 0xDF   ? 2
               : u[0] >= 0xE0 && u[0] <= 0xEF ? 3
               : u[0] >= 0xF0 && u[0] <= 0xF4 ? 4
                                              : 0;
    for (size_t i = 1; i < n; i++)
        if ((u[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xF0 && u[1] < 0x90);
    bool beyond = (u[0] == 0xED && u[1] > 0x9F) || (u[0] == 0xF4 && u[1] > 0x8F);
    return overlong || beyond ? 0 : n;
}

/* Decodes one character; a byte that starts no valid sequence is returned as U+FFFD of length 1. */
static size_t decode(const char *s, uint32_t *out)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n = u[0] < 0x80 ? 1 : u[0] >> 5 == 6 ? 2 : u[0] >> 4 == 14 ? 3 : u[0] >> 3 == 30 ? 4 : 0;
    *out = 0xFFFD;
    if (n == 0)
        return 1;
    uint32_t c = n == 1 ? u[0] : u[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((u[i] & 0xC0) != 0x80)
            return 1;
        c = c << 6 | (u[i] & 0x3Fu);
    }
    *out = c;
    return n;
}

/* The ranges that matter for names of models and files; Unicode's own table is far longer and changes yearly.
 */
static int columns_of(uint32_t c)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},
                                       {0xF900, 0xFAFF}, {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
                                       {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}};
    if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || (c >= 0xFE00 && c <= 0xFE0F))
        return 0;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        if (c >= wide[i][0] && c <= wide[i][1])
            return 2;
    }
    return 1;
}

int text_width(const char *utf8)
{
    int width = 0;
    uint32_t c;
    while (*utf8) {
        utf8 += decode(utf8, &c);
        width += columns_of(c);
    }
    return width;
}

char *text_fit(const char *utf8, int columns, char *out, size_t size)
{
    bool cut = text_width(utf8) > columns;
    int room = cut ? columns - 1 : columns;
    size_t n = 0;
    while (*utf8) {
        uint32_t c;
        size_t length = decode(utf8, &c);
        bool control = c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xFFFD;
        int width = columns_of(c);
        if (width > room || n + length + 4 > size)
            break;
        if (control)
            out[n++] = '?';
        else
            memcpy(out + n, utf8, length), n += length;
        room -= width;
        utf8 += length;
    }
    if (*utf8 && columns > 0 && n + 4 <= size) {
        memcpy(out + n, "…", 3);
        n += 3;
    }
    out[n] = '\0';
    return out;
}
