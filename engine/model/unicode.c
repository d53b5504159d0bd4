#include "engine/model/unicode.h"

#include "engine/model/unicode_tables.h"

#define IN(table, code)     in_ranges(table, sizeof table / sizeof table[0], code)
#define MAPPED(table, code) mapped(table, sizeof table / sizeof table[0], code)

uint32_t unicode_decode(const char *s, size_t n, size_t *length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *b = (const uint8_t *)s;
    size_t size = b[0] < 0x80                   ? 1
                  : b[0] >= 0xc2 && b[0] < 0xe0 ? 2
                  : b[0] >= 0xe0 && b[0] < 0xf0 ? 3
                  : b[0] >= 0xf0 && b[0] < 0xf5 ? 4
                                                : 0;
    *length = 1;
    if (size == 1)
        return b[0];
    if (size == 0 || size > n)
        return UNICODE_REPLACEMENT;
    uint32_t code = b[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return UNICODE_REPLACEMENT;
        code = code << 6 | (b[i] & 0x3f);
    }
    if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return UNICODE_REPLACEMENT;
    *length = size;
    return code;
}

size_t unicode_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(0xf00 >> size | code);
    return size;
}

static bool in_ranges(const uint32_t (*range)[2], size_t n, uint32_t code)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (code < range[middle][0])
            high = middle;
        else if (code > range[middle][1])
            low = middle + 1;
        else
            return true;
    }
    return false;
}

static uint32_t mapped(const int32_t (*run)[4], size_t n, uint32_t code)
{
    int32_t c = (int32_t)code;
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c < run[middle][0])
            high = middle;
        else if (c > run[middle][1])
            low = middle + 1;
        else
            return (c - run[middle][0]) % run[middle][2] == 0 ? (uint32_t)(c + run[middle][3]) : code;
    }
    return code;
}

bool unicode_is_letter(uint32_t code)
{
    if (code < 0x80)
        return (code | 0x20) >= 'a' && (code | 0x20) <= 'z';
    return IN(letters, code);
}

bool unicode_is_number(uint32_t code)
{
    return code < 0x80 ? code >= '0' && code <= '9' : IN(numbers, code);
}

bool unicode_is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xa0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f ||
           code == 0x205f || code == 0x3000;
}

bool unicode_is_punctuation(uint32_t code)
{
    return IN(punctuation, code);
}

bool unicode_is_mark(uint32_t code)
{
    return IN(marks, code);
}

bool unicode_is_symbol(uint32_t code)
{
    return IN(symbols, code);
}

bool unicode_is_control(uint32_t code)
{
    return IN(controls, code);
}

uint32_t unicode_lower(uint32_t code)
{
    return code < 0x80 ? code + (code >= 'A' && code <= 'Z' ? 32 : 0) : MAPPED(lower_case, code);
}

uint32_t unicode_base(uint32_t code)
{
    if (code < 0xc0)
        return code;
    if (code >= 0xac00 && code <= 0xd7a3) /* Hangul syllables: their leading consonant (Unicode 3.12) */
        return 0x1100 + (code - 0xac00) / 588;
    return MAPPED(decomposition, code);
}
