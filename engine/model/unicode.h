/* What tokenizers ask of Unicode: UTF-8 in and out, categories, lower case, base characters. Pure functions;
 * any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNICODE_REPLACEMENT = 0xfffd };

/* The code point at s (n >= 1 bytes left) and its length in bytes. Bytes that are no UTF-8 are
 * UNICODE_REPLACEMENT of length 1. */
uint32_t unicode_decode(const char *s, size_t n, size_t *length);
size_t unicode_encode(uint32_t code, char out[4]); /* bytes written */

bool unicode_is_letter(uint32_t code);      /* \p{L} */
bool unicode_is_number(uint32_t code);      /* \p{N} */
bool unicode_is_space(uint32_t code);       /* White_Space */
bool unicode_is_punctuation(uint32_t code); /* \p{P} */
bool unicode_is_mark(uint32_t code);        /* \p{M} */
bool unicode_is_symbol(uint32_t code);      /* \p{S} */
bool unicode_is_control(uint32_t code);     /* Cc, Cf, Co, Cs */
uint32_t unicode_lower(uint32_t code);      /* one to one */
uint32_t unicode_base(uint32_t code);       /* first character of the canonical decomposition */
