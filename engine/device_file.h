/* What engine/device reads and writes: small text files of /proc, /sys and its own cache ("key value" lines),
 * and whether a library can be opened. Knows no device. */
#pragma once

#include "presets/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of the first line "key<spaces>separator value", quotes and spaces around it removed. */
bool device_file_field(const char *path, const char *key, char separator, char *out, size_t size);
bool device_file_line(const char *path, char *out,
                      size_t size); /* the first line; false: not readable or empty */
/* Bytes this process may use in all: the machine's, or less where a control group says so. *free_bytes (may
 * be NULL): of these, what is free now. */
int64_t device_file_memory(int64_t *free_bytes);
/* Cpu seconds of the whole machine since it started, busy and in all, and of this process; false: not known.
 */
bool device_file_cpu_time(double *busy, double *total, double *own);
/* The file with the measured ceilings of this machine (gpu "") or of a GPU (its uuid), in
 * $XDG_CACHE_HOME/benchtop; create: makes its folders. */
int device_file_cache(char *out, size_t size, const char *gpu, bool create, struct error *e);
int device_file_write(const char *path, const char *text, struct error *e); /* temp, fsync, rename */
bool device_file_library(const char *name); /* the loader finds and opens it */
