/* A file that takes its place whole or not at all: a temporary file in the same folder, fsync, rename, fsync
 * of the folder. A pipe or device cannot be replaced (and must not be: /dev/stdout): it is written through.
 * For files too large or too binary for json_write_file, which is the same for one text.
 *
 * begin, then any number of puts, then finish or abandon. After a failure of put or finish nothing is left
 * but what stood there before (what was written through stays written). */
#pragma once

#include "presets/error.h"
#include <limits.h>
#include <stddef.h>

struct replacement {
    const char *path; /* the caller's, until the end */
    int fd;
    char temporary[PATH_MAX]; /* "": written through */
};

int replacement_begin(struct replacement *r, const char *path, struct error *e);
int replacement_put(struct replacement *r, const void *bytes, size_t n, struct error *e); /* -1: abandoned */
int replacement_finish(struct replacement *r, struct error *e);
void replacement_abandon(struct replacement *r); /* after a failure of put: does nothing more */
