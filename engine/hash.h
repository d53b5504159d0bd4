/* FNV-1a over bytes (Fowler, Noll & Vo 1991), 64 bits: names for contents, not secrets. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HASH_START ((uint64_t)0xcbf29ce484222325u)
#define HASH_PRIME ((uint64_t)0x100000001b3u)

static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * HASH_PRIME;
    return hash;
}
