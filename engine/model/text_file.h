/* The texts of a file: all of it as one, or each of its lines. */
#pragma once

#include "presets/error.h"
#include "presets/preset.h"
#include <stddef.h>

struct text_file {
    char name[96]; /* as messages and sessions tell it: without folders */
    char *bytes;   /* NUL-terminated, owned */
    size_t size;
    struct text_span {
        size_t at, n;
    } * span; /* [n] the texts: never empty; lines without their ends */
    int n;
};

/* name: a file, or the name of a text in the catalog. -1: USAGE (unknown name), FAILED (cannot be read, holds
 * no text, is no text), MEMORY. */
int text_file_open(const char *name, enum text_unit unit, struct text_file *out, struct error *e);
void text_file_close(struct text_file *t); /* zeroed is fine */
