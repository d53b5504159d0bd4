#include "presets/error.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at s (n bytes left) and its code point; 0 if there is none. */
static size_t decode(const unsigned char *s, size_t n, uint32_t *point)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    uint32_t c = length == 1 ? s[0] : s[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3FU);
    }
    if (c < smallest[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *point = c;
    return length;
}

/* Bytes that could steer a terminal: C0, DEL, C1, and the marks that reorder text. */
static bool steers(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0x200E || c == 0x200F;
}

bool error_text_is_plain(const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t length = decode((const unsigned char *)text + i, n - i, &c);
        if (length == 0 || steers(c))
            return false;
        i += length;
    }
    return true;
}

void error_clean_text(char *text)
{
    size_t n = strlen(text), to = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t length = decode((const unsigned char *)text + i, n - i, &c);
        if (length == 0 || steers(c)) {
            text[to++] = length && (c == '\n' || c == '\t' || c == '\r') ? ' ' : '?';
            i += length ? length : 1;
        } else {
            memmove(text + to, text + i, length);
            to += length;
            i += length;
        }
    }
    text[to] = '\0';
}

/* Formats and cleans into text. vsnprintf may cut a character in two: the cleaner makes '?' of the half. */
__attribute__((format(printf, 2, 0))) static void format_text(char text[2 * ERROR_TEXT], const char *format,
                                                              va_list args)
{
    if (vsnprintf(text, 2 * ERROR_TEXT, format, args) < 0)
        snprintf(text, 2 * ERROR_TEXT, "%s", format);
    error_clean_text(text);
}

/* Puts text at e->text + at; what does not fit is cut and ends in "...", on a character's boundary. */
static void put_text(struct error *e, size_t at, const char *text)
{
    size_t room = sizeof e->text - at, n = strlen(text);
    memmove(e->text + at, text, n < room ? n : room);
    if (n < room) {
        e->text[at + n] = '\0';
        return;
    }
    size_t cut = sizeof e->text - 4;
    while (cut > 0 && ((unsigned char)e->text[cut] & 0xC0) == 0x80)
        cut--;
    memcpy(e->text + cut, "...", 4);
}

int error_set(struct error *e, enum error_kind kind, const char *format, ...)
{
    if (!e)
        return -1;
    /* The arguments may point into e->text, so it is overwritten only from a finished copy. */
    char text[2 * ERROR_TEXT];
    va_list args;
    va_start(args, format);
    format_text(text, format, args);
    va_end(args);
    put_text(e, 0, text);
    e->kind = kind;
    return -1;
}

/* Whether one of the findings, which are separated by "; ", is this one. */
static bool holds(const char *findings, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = n ? strstr(findings, text) : NULL; at; at = strstr(at + 1, text)) {
        bool begins = at == findings || (at - findings >= 2 && strncmp(at - 2, "; ", 2) == 0);
        if (begins && (at[n] == '\0' || strncmp(at + n, "; ", 2) == 0))
            return true;
    }
    return false;
}

int error_add(struct error *e, enum error_kind kind, const char *format, ...)
{
    if (!e)
        return -1;
    char text[2 * ERROR_TEXT];
    va_list args;
    va_start(args, format);
    format_text(text, format, args);
    va_end(args);
    if (e->kind == ERROR_NONE) {
        e->kind = kind;
        put_text(e, 0, text);
    } else if (!holds(e->text, text)) { /* one mistake made five times is told once */
        put_text(e, strlen(e->text), "; ");
        put_text(e, strlen(e->text), text);
    }
    return -1;
}
